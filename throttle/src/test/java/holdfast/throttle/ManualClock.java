package holdfast.throttle;

import java.time.Duration;

/// A clock that stands still until it is moved. It starts close to where a long wraps.
final class ManualClock implements NanoClock {
    private long nanos = Long.MAX_VALUE - 1_000_000_000L;

    @Override
    public long nanoTime() {
        return nanos;
    }

    void advance(Duration time) {
        advanceNanos(time.toNanos());
    }

    void advanceNanos(long time) {
        if (time < 0) {
            throw new IllegalArgumentException("time goes back by " + time);
        }
        nanos += time;
    }
}
