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
    private boolean setBack;

    WallClock(LongSupplier nanos) {
        this.nanos = nanos;
    }

    long millis() {
        long now = nanos.getAsLong();
        return (long) (offsetMillis + now / 1e6 + (now - driftsFromNanos) / 1e6 * drift);
    }

    /// Somebody sets it.
    void step(long millis) {
        offsetMillis += millis;
        setBack |= millis < 0;
    }

    /// Whether nobody ever set it back.
    boolean isSteady() {
        return !setBack;
    }

    /// @param drift 0.1: ten per cent too fast from now on
    void drift(double drift) {
        long now = nanos.getAsLong();
        offsetMillis += (now - driftsFromNanos) / 1e6 * this.drift;
        driftsFromNanos = now;
        this.drift = drift;
    }
}
