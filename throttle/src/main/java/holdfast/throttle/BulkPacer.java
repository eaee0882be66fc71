package holdfast.throttle;

import com.google.common.util.concurrent.RateLimiter;

import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// Paces whoever reads bulk data (first sync, comparison, verify, drill) by making it wait; never
/// for an event loop.
///
/// On Guava's [RateLimiter], around its habits: it lets one request of any size pass and makes the
/// next one pay, keeps old debt after a change of rate, saves up a second while idle, and sleeps
/// uninterruptibly. So permits are taken in pieces of at most [#MAX_PIECE_BYTES] and 50 ms, without
/// a timeout; a change of rate and an idle time begin with a fresh limiter; and the waiting is done
/// here, where an interrupt or [#close] ends it.
///
/// Thread-safe. Several readers share the rate, in no particular order.
public final class BulkPacer implements AutoCloseable {
    static final int MAX_PIECE_BYTES = 64 << 10;

    private static final Duration PIECE_TIME = Duration.ofMillis(50);
    private static final long IDLE_NANOS = Duration.ofMillis(200).toNanos();
    private static final long MAX_NAP_NANOS = Duration.ofMillis(10).toNanos();

    /// Guards all fields below; held for arithmetic only, given up while waiting.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private Rate rate;
    private RateLimiter limiter;
    private long lastNanos;
    private boolean closed;

    public BulkPacer(Rate rate) {
        this.rate = rate;
        this.limiter = limiter(rate);
        this.lastNanos = System.nanoTime();
    }

    /// Waits until `bytes` more may be read.
    ///
    /// @throws CancellationException if the pacer is or gets closed: the reader stops
    public void acquire(long bytes) throws InterruptedException {
        if (bytes < 0) {
            throw new IllegalArgumentException("acquire of " + bytes + " bytes");
        }
        lock.lockInterruptibly();
        try {
            if (System.nanoTime() - lastNanos > IDLE_NANOS) {
                limiter = limiter(rate);
            }
            long left = bytes;
            while (left > 0) {
                if (closed) {
                    throw new CancellationException("pacer closed");
                }
                if (rate.isUnlimited()) {
                    break;
                }
                int piece =
                        (int) Math.min(left, Math.min(MAX_PIECE_BYTES, rate.bytesIn(PIECE_TIME)));
                if (limiter.tryAcquire(piece)) {
                    left -= piece;
                } else {
                    // A piece takes at most 50 ms; what a nap oversleeps the limiter has saved up
                    // meanwhile.
                    long napNanos =
                            Math.min(MAX_NAP_NANOS, piece * 1_000_000_000L / rate.bytesPerSecond());
                    changed.awaitNanos(Math.max(napNanos, 100_000));
                }
                lastNanos = System.nanoTime();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Takes effect at once, also for who waits already.
    public void setRate(Rate next) {
        lock.lock();
        try {
            if (!next.equals(rate)) {
                rate = next;
                limiter = limiter(next);
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Ends all waiting with [CancellationException].
    @Override
    public void close() {
        lock.lock();
        try {
            closed = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private static RateLimiter limiter(Rate rate) {
        return RateLimiter.create(
                (double) (rate.isUnlimited() ? Rate.MAX_BYTES_PER_SECOND : rate.bytesPerSecond()));
    }
}
