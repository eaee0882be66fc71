package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SteadyClockTest {
    private static final long SECOND = 1_000_000_000L;
    private static final long DAY_MILLIS = 86_400_000L;
    private static final long BEGINNING_MILLIS = 1_790_000_000_000L;

    private final SteadyClock clock = new SteadyClock();
    private long then;

    @BeforeEach
    void begin() {
        clock.tick(5 * SECOND, BEGINNING_MILLIS);
        then = clock.now();
    }

    @Test
    void goesOnThoughTheClockOnTheWallIsSetBack() {
        clock.tick(6 * SECOND, BEGINNING_MILLIS - 30 * DAY_MILLIS);
        clock.tick(7 * SECOND, BEGINNING_MILLIS - 30 * DAY_MILLIS + 1000);
        assertEquals(2000, clock.millisSince(then, 7 * SECOND));
        assertEquals(30 * DAY_MILLIS + 1000, clock.setBackMillis());
    }

    @Test
    void doesNotWaitForTheNextTick() {
        assertEquals(1500, clock.millisSince(then, 6 * SECOND + SECOND / 2));
    }

    /// The monotonic clock stands still meanwhile.
    @Test
    void goesOnWhileTheHostIsSuspended() {
        clock.tick(6 * SECOND, BEGINNING_MILLIS + DAY_MILLIS);
        assertEquals(DAY_MILLIS, clock.millisSince(then, 6 * SECOND));
        assertEquals(0, clock.setBackMillis());
    }

    @Test
    void doesNotFollowAClockThatIsCorrectedALittle() {
        for (int i = 1; i <= 1000; i++) {
            clock.tick(5 * SECOND + i * (SECOND / 10), BEGINNING_MILLIS + i * 100L + i % 2 * 3L);
        }
        assertEquals(100_000, clock.millisSince(then, 105 * SECOND));
        assertEquals(0, clock.setBackMillis());
    }
}
