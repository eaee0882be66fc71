package holdfast.replicator.daemon;

import java.time.Duration;

/// When a view that was opened for somebody's use ends by itself, so that a program that is killed
/// leaves none behind: an open view keeps the base from being rolled forward. One thread asks.
final class ViewLease {
    /// For the first client to come.
    static final Duration FIRST = Duration.ofSeconds(60);

    /// For the next client after the last has gone: programs look first, and come again to work.
    static final Duration BETWEEN = Duration.ofSeconds(30);

    private long sinceNanos;
    private int arrivals;

    ViewLease(long nowNanos) {
        sinceNanos = nowNanos;
    }

    /// @param clients that are connected now
    /// @param arrivals how many there have been: one may have come and gone between two looks
    boolean isOver(int clients, int arrivals, long nowNanos) {
        if (clients > 0 || arrivals != this.arrivals) {
            this.arrivals = arrivals;
            sinceNanos = nowNanos;
            return false;
        }
        return nowNanos - sinceNanos > (arrivals > 0 ? BETWEEN : FIRST).toNanos();
    }
}
