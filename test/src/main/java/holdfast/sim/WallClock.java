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
    private boolean wasAhead;

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
        wasSet = true;
        wasAhead |= millis() > rightMillis(nanos.getAsLong());
    }

    /// Whether it was right all the time.
    boolean isRight() {
        return !wasSet;
    }

    /// Whether it was never ahead of the right time.
    boolean isNeverAhead() {
        return !wasAhead;
    }

    /// What one shows that nobody has touched.
    static long rightMillis(long nanos) {
        return (long) (BEGINNING_MILLIS + nanos / 1e6);
    }

    /// @param drift 0.1: ten per cent too fast from now on
    void drift(double drift) {
        long now = nanos.getAsLong();
        offsetMillis += (now - driftsFromNanos) / 1e6 * this.drift;
        driftsFromNanos = now;
        this.drift = drift;
        wasSet = true;
        wasAhead |= drift > 0; // At the latest some time later.
    }
}
