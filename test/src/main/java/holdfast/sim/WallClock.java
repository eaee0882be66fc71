package holdfast.sim;

import java.util.function.LongSupplier;

/// The clock on a machine's wall: it drifts and is set, also backwards. Nothing but labels and ages
/// may come from it.
final class WallClock {
    private static final long BEGINNING_MILLIS = 1_790_000_000_000L;

    private final LongSupplier nanos;
    private double offsetMillis = BEGINNING_MILLIS;
    private double drift;
    private long driftsFromNanos;
    private boolean wasSet;
    private boolean hasGained;

    /// Of all drifts; not above 0.
    private double slowest;

    /// @param aheadMillis of the right time, from the beginning on
    WallClock(LongSupplier nanos, long aheadMillis) {
        this.nanos = nanos;
        offsetMillis += aheadMillis;
    }

    long millis() {
        long now = nanos.getAsLong();
        return (long) (offsetMillis + now / 1e6 + (now - driftsFromNanos) / 1e6 * drift);
    }

    /// Somebody sets it.
    void step(long millis) {
        offsetMillis += millis;
        wasSet = true;
        hasGained |= millis > 0;
    }

    /// Whether somebody has touched it.
    boolean wasSet() {
        return wasSet;
    }

    /// Whether it has ever gone on further than time has.
    boolean hasGained() {
        return hasGained;
    }

    /// How much it has ever lost of so much time, at most.
    long lostOf(long millis) {
        return (long) Math.ceil(-slowest * millis);
    }

    /// @param drift 0.1: ten per cent too fast from now on
    void drift(double drift) {
        long now = nanos.getAsLong();
        offsetMillis += (now - driftsFromNanos) / 1e6 * this.drift;
        driftsFromNanos = now;
        this.drift = drift;
        slowest = Math.min(slowest, drift);
        wasSet = true;
        hasGained |= drift > 0;
    }
}
