package holdfast.tunnel.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.PeerClock.Reading;

import org.junit.jupiter.api.Test;

import java.util.Optional;
import java.util.SplittableRandom;

class PeerClockTest {
    private static final long MILLI = 1_000_000L;
    private static final long SECOND = 1_000 * MILLI;
    private static final long NOON = 1_790_000_000_000L;

    /// The monotonic clock shows what has passed since noon; ours on the wall is right.
    private static PeerClock answered(PeerClock clock, long sentNanos, long tookNanos, long shows) {
        long received = sentNanos + tookNanos;
        return clock.answered(sentNanos, received, NOON + received / MILLI, shows);
    }

    private static Reading reading(PeerClock clock, long nanos) {
        return clock.at(nanos, NOON + nanos / MILLI).orElseThrow();
    }

    @Test
    void nothingIsKnownBeforeAnAnswer() {
        assertEquals(Optional.empty(), PeerClock.UNKNOWN.at(5 * SECOND, NOON));
    }

    @Test
    void whatItShowsLiesWithinTheRoundTrip() {
        Reading now = reading(answered(PeerClock.UNKNOWN, 0, 40 * MILLI, 500_000), 40 * MILLI);
        assertTrue(now.earliestMillis() >= 500_000 - 1 && now.earliestMillis() <= 500_000);
        assertTrue(now.latestMillis() >= 500_041 && now.latestMillis() <= 500_043);
        assertTrue(now.uncertaintyMillis() >= 20.5 && now.uncertaintyMillis() < 23);
    }

    @Test
    void howFarItIsAheadHasASign() {
        PeerClock clock = answered(PeerClock.UNKNOWN, 0, 2 * MILLI, NOON + 31_000);
        assertEquals(31_000, reading(clock, 2 * MILLI).aheadMillis(NOON + 1), 2);
        PeerClock behind = answered(PeerClock.UNKNOWN, 0, 2 * MILLI, NOON - 31_000);
        assertEquals(-31_000, reading(behind, 2 * MILLI).aheadMillis(NOON + 1), 2);
    }

    @Test
    void theAnswerThatWasBackSoonestCountsUntilItIsTooOld() {
        PeerClock clock = answered(PeerClock.UNKNOWN, 0, 10 * MILLI, NOON + 5);
        for (int i = 1; i < 8; i++) {
            clock = answered(clock, i * SECOND, 800 * MILLI, NOON + i * 1000L + 400);
            assertTrue(reading(clock, (i + 1) * SECOND).uncertaintyMillis() < 20);
        }
        clock = answered(clock, 8 * SECOND, 800 * MILLI, NOON + 8400);
        assertTrue(reading(clock, 9 * SECOND).uncertaintyMillis() > 400);
    }

    @Test
    void thePeersClockThatIsSetIsSeenByTheNextAnswer() {
        PeerClock clock = answered(PeerClock.UNKNOWN, 0, 10 * MILLI, NOON);
        clock = answered(clock, SECOND, 500 * MILLI, NOON - 3_600_000);
        Reading now = reading(clock, 2 * SECOND);
        assertEquals(-3_600_000, now.aheadMillis(NOON + 2000), 1300);
    }

    /// The monotonic clock stands still meanwhile.
    @Test
    void aHostThatHasSleptKnowsNothingUntilTheNextAnswer() {
        PeerClock clock = answered(PeerClock.UNKNOWN, 0, 10 * MILLI, NOON);
        assertEquals(Optional.empty(), clock.at(SECOND, NOON + 3_600_000));
        clock = clock.answered(SECOND, SECOND + MILLI, NOON + 3_600_000, NOON + 3_600_000);
        Reading now = clock.at(SECOND + MILLI, NOON + 3_600_000).orElseThrow();
        assertEquals(0, now.aheadMillis(NOON + 3_600_000), 2);
    }

    @Test
    void whatNoClockShowsIsPassedOver() {
        for (long shows : new long[] {Long.MIN_VALUE, -1, Long.MAX_VALUE}) {
            PeerClock clock = answered(PeerClock.UNKNOWN, 0, MILLI, shows);
            assertEquals(Optional.empty(), clock.at(MILLI, NOON), "it shows " + shows);
        }
    }

    /// Whatever the way takes in either direction, and while the clocks drift as clocks do.
    @Test
    void whatItSaysIsNeverWrong() {
        SplittableRandom random = new SplittableRandom(11);
        for (int run = 0; run < 200; run++) {
            double speed = 1 + (random.nextDouble() - 0.5) / 1000;
            long offset = random.nextLong(1L << 41);
            PeerClock clock = PeerClock.UNKNOWN;
            long now = 0;
            for (int i = 0; i < 30; i++) {
                long there = random.nextLong(random.nextBoolean() ? 3 * SECOND : 5 * MILLI);
                long back = random.nextLong(random.nextBoolean() ? 3 * SECOND : 5 * MILLI);
                long shows = offset + (long) ((now + there) * speed / MILLI);
                clock = answered(clock, now, there + back, shows);
                now += there + back + random.nextLong(10 * SECOND);
                double truth = offset + now * speed / MILLI;
                Reading said = reading(clock, now);
                assertTrue(
                        said.earliestMillis() <= truth && truth <= said.latestMillis(),
                        "run %d: %s, and it is %.1f".formatted(run, said, truth));
            }
        }
    }
}
