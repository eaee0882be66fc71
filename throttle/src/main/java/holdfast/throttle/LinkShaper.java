package holdfast.throttle;

import java.time.Duration;

/// Shapes one link: a bucket for all bytes on the wire and a second one that background packets pay
/// as well.
///
/// Background is what the setting `catch-up` limits: first sync and catch-up together, and whatever
/// else can wait. Live writes never wait for the background's share, only for the link.
///
/// One thread owns it, the link's, except [#setLimits], which any thread may call; it holds no
/// lock. The owner asks [#waitNanos] before it makes a packet and [#spend]s what the packet came
/// to:
///
/// ```java
/// long wait = shaper.waitNanos(false);
/// if (wait > 0) { schedule(wait); return; }
/// var packet = source.next(shaper.waitNanos(true) == 0);  // may it be background?
/// shaper.spend(packet.wireBytes(), packet.background());
/// ```
public final class LinkShaper {
    /// No wait is longer: the owner then asks again, so that a rate changed meanwhile, by hand or
    /// by the calendar, takes effect at once and nothing has to wake it.
    public static final long MAX_WAIT_NANOS = 100_000_000;

    private final TokenBucket link;
    private final TokenBucket background;
    private volatile Rates limits = Rates.UNLIMITED;
    private Rates applied = Rates.UNLIMITED;

    public LinkShaper(NanoClock clock) {
        link = new TokenBucket(Rate.UNLIMITED, TokenBucket.DEFAULT_BURST, clock);
        background = new TokenBucket(Rate.UNLIMITED, TokenBucket.DEFAULT_BURST, clock);
    }

    /// Takes effect at the owner's next call. Any thread.
    public void setLimits(Rates next) {
        limits = next;
    }

    /// What is in force. Any thread.
    public Rates limits() {
        return limits;
    }

    /// How long until the next packet of that class may be made, at most [#MAX_WAIT_NANOS]; 0 when
    /// it may now.
    public long waitNanos(boolean isBackground) {
        apply();
        long wait =
                isBackground
                        ? Math.max(link.waitNanos(), background.waitNanos())
                        : link.waitNanos();
        return Math.min(wait, MAX_WAIT_NANOS);
    }

    /// Counts a packet that goes out now.
    ///
    /// @param wireBytes headers and encryption included, since the rate is that of the line
    public void spend(long wireBytes, boolean isBackground) {
        reserve(wireBytes, isBackground);
    }

    /// Like [#spend], and says after how many nanoseconds the packet is paid for, however long that
    /// is.
    public long reserve(long wireBytes, boolean isBackground) {
        apply();
        long wait = link.reserve(wireBytes);
        return isBackground ? Math.max(wait, background.reserve(wireBytes)) : wait;
    }

    /// What a packet of that class may carry in so much time, by the lower of its rates.
    ///
    /// @param atLeast the answer's bounds, in bytes
    public int bytesIn(Duration time, boolean isBackground, int atLeast, int atMost) {
        Rates now = limits;
        long bytes = atMost;
        if (!now.link().isUnlimited()) {
            bytes = Math.min(bytes, bytesIn(now.link(), time));
        }
        if (isBackground && !now.catchUp().isUnlimited()) {
            bytes = Math.min(bytes, bytesIn(now.catchUp(), time));
        }
        return (int) Math.max(bytes, atLeast);
    }

    private static long bytesIn(Rate rate, Duration time) {
        return Math.round(rate.bytesPerSecond() * (time.toNanos() / 1e9));
    }

    private void apply() {
        Rates wanted = limits;
        if (!wanted.equals(applied)) {
            link.setRate(wanted.link());
            background.setRate(wanted.catchUp());
            applied = wanted;
        }
    }
}
