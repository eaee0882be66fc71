package holdfast.throttle;

import java.time.Duration;

/// Says how long to wait so that bytes go no faster than a rate; never waits itself.
///
/// The whole state is one moment, `paidAt`: when everything taken so far is paid for. Ahead of now
/// it is debt; behind now it is credit, of which no more than the burst is kept, so that an idle
/// hour does not come out at once.
///
/// ```
///   |<-- burst -->|          |<- reserve() answers ->|
/// --+-------------+----------+-----------------------+--> time
///   oldest        paidAt     now                     paidAt after a reserve()
///   paidAt kept   (credit)                           (debt)
/// ```
///
/// Debt may be of any size, so a packet of 128 KiB passes a line of 64 kbit/s; the next one then
/// waits 16 s.
///
/// Not thread-safe: one thread owns it, usually the link's.
public final class TokenBucket {
    /// Long enough to make up for a late timer or a short pause of the JVM, short enough to be
    /// within 1 % of what was set over 10 s.
    public static final Duration DEFAULT_BURST = Duration.ofMillis(50);

    /// More in one call is a mistake of the caller; also keeps bytes × 10⁹ within a long.
    static final long MAX_RESERVE_BYTES = 1L << 30;

    /// A caller that is a day in debt did not wait; it must not be made to wait for ever as well.
    private static final long MAX_DEBT_NANOS = Duration.ofDays(1).toNanos();

    private static final long SECOND = 1_000_000_000L;

    private final NanoClock clock;
    private final long burstNanos;

    private Rate rate;
    private long paidAtNanos;

    /// What a division left over, in 1/rate nanoseconds: small packets on a fast line would else go
    /// too fast.
    private long remainder;

    /// A bucket with its whole burst to spend.
    public TokenBucket(Rate rate, Duration burst, NanoClock clock) {
        if (burst.isNegative() || burst.compareTo(Duration.ofSeconds(10)) > 0) {
            throw new IllegalArgumentException("burst is " + burst + ", should be 0 to 10 s");
        }
        this.rate = rate;
        this.burstNanos = burst.toNanos();
        this.clock = clock;
        this.paidAtNanos = clock.nanoTime() - burstNanos;
    }

    /// Takes `bytes` and says after how many nanoseconds they are paid for; 0 when they already
    /// are.
    ///
    /// A caller that knows a packet's size beforehand waits that long and then sends it; one that
    /// learns the size only by making the packet sends it at once and waits before it makes the
    /// next. Both keep to the rate.
    ///
    /// @param bytes 0 to 1 GiB
    public long reserve(long bytes) {
        if (bytes < 0 || bytes > MAX_RESERVE_BYTES) {
            throw new IllegalArgumentException(
                    "reserve of " + bytes + " bytes, should be 0 to " + MAX_RESERVE_BYTES);
        }
        if (rate.isUnlimited()) {
            return 0;
        }
        long now = clock.nanoTime();
        forgetCreditBeyondBurst(now);
        long cost = bytes * SECOND + remainder;
        remainder = cost % rate.bytesPerSecond();
        long debt = Math.min(paidAtNanos - now + cost / rate.bytesPerSecond(), MAX_DEBT_NANOS);
        paidAtNanos = now + debt;
        return Math.max(0, debt);
    }

    /// How long until everything taken is paid for; 0 when something may go now. Takes nothing.
    public long waitNanos() {
        return rate.isUnlimited() ? 0 : Math.max(0, paidAtNanos - clock.nanoTime());
    }

    /// Changes the rate from now on. Who waits for an earlier answer asks again with [#waitNanos].
    ///
    /// A faster rate shortens debt and credit alike (they are bytes); a slower one does not stretch
    /// them, since what was sent was sent under the old rate.
    public void setRate(Rate next) {
        if (next.equals(rate)) {
            return;
        }
        long now = clock.nanoTime();
        if (rate.isUnlimited() || next.isUnlimited()) {
            paidAtNanos = now;
        } else {
            forgetCreditBeyondBurst(now);
            double shorter = Math.min(1.0, (double) rate.bytesPerSecond() / next.bytesPerSecond());
            paidAtNanos = now + (long) ((paidAtNanos - now) * shorter);
        }
        remainder = 0;
        rate = next;
    }

    public Rate rate() {
        return rate;
    }

    private void forgetCreditBeyondBurst(long now) {
        // Compared by difference: the clock may be negative and wrap.
        if (now - paidAtNanos > burstNanos) {
            paidAtNanos = now - burstNanos;
            remainder = 0;
        }
    }
}
