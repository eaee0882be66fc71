package holdfast.replicator.state;

/// Tells how long ago something was, and never less than it was, whatever somebody does to the
/// clock on the wall: it goes on as the monotonic clock does. That one stands still in a host that
/// is suspended; so where the clock on the wall has gone on much further, this does too, also when
/// somebody has set that ahead.
final class SteadyClock {
    /// Two clocks that are read one after the other, and one of which is corrected a little all the
    /// time, differ by less.
    private static final long JUMP_NANOS = 1_000_000_000L;

    private boolean runs;
    private long nanos;
    private long wallMillis;
    private long steadyNanos = 1;
    private long setBackNanos;

    /// @param nowNanos of the monotonic clock
    void tick(long nowNanos, long nowMillis) {
        if (runs) {
            long passed = Math.max(0, nowNanos - nanos);
            long onTheWall = (nowMillis - wallMillis) * 1_000_000;
            steadyNanos +=
                    Faults.M45 ? onTheWall : onTheWall > passed + JUMP_NANOS ? onTheWall : passed;
            if (onTheWall < passed - JUMP_NANOS) {
                setBackNanos += passed - onTheWall;
            }
        }
        runs = true;
        nanos = nowNanos;
        wallMillis = nowMillis;
    }

    /// This moment as of the last [#tick], so not later than it is.
    long now() {
        return steadyNanos;
    }

    /// How long ago that was at a moment since the last tick, rounded up.
    long millisSince(long steadyThen, long nowNanos) {
        long since = Math.max(0, nowNanos - nanos);
        return Math.ceilDiv(steadyNanos + (runs ? since : 0) - steadyThen, 1_000_000L);
    }

    /// By how much this is ahead of the clock on the wall, as of the last tick: more than it was
    /// when that was set back since, or is slow.
    long lagMillis() {
        return steadyNanos / 1_000_000 - wallMillis;
    }

    /// By how much the clock on the wall was set back, in all.
    long setBackMillis() {
        return Math.ceilDiv(setBackNanos, 1_000_000L);
    }
}
