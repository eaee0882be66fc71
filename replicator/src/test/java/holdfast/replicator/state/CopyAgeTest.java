package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import holdfast.tunnel.wire.PeerClock;

import org.junit.jupiter.api.Test;

class CopyAgeTest {
    private static final long SECOND = 1_000_000_000L;
    private static final long NOON = 1_790_000_000_000L;

    /// The primary's clock is an hour ahead of ours, give or take 20 ms.
    private static Now seconds(long after) {
        long peer = NOON + 3_600_000 + 1000 * after;
        return new Now(
                after * SECOND, NOON + 1000 * after, new PeerClock.Reading(peer - 20, peer + 20));
    }

    private static long stamp(long after) {
        return NOON + 3_600_000 + 1000 * after;
    }

    @Test
    void whatWaitedIsAsOldAsItIsHoweverFarThatClockIsAhead() {
        CopyAge age = CopyAge.of(stamp(0), seconds(14));
        assertEquals(14_020, age.millis());
        assertEquals(16_020, age.at(16 * SECOND, NOON + 16_000));
    }

    @Test
    void noClockOfOursMakesItYounger() {
        CopyAge age = CopyAge.of(stamp(0), seconds(0));
        assertEquals(10_020, age.at(10 * SECOND, NOON - 3_600_000));
        assertEquals(3_600_020, age.at(10 * SECOND, NOON + 3_600_000), "it may have slept");
    }

    @Test
    void nothingIsMadeUp() {
        assertNull(CopyAge.of(stamp(0), new Now(0, NOON, null)));
        assertNull(CopyAge.of(stamp(20), seconds(0)), "that clock was set since it was seen");
        assertNull(CopyAge.of(Long.MIN_VALUE, seconds(0)), "no clock shows that");
    }

    @Test
    void theCopyOnlyBecomesNewer() {
        CopyAge first = CopyAge.of(stamp(0), seconds(1));
        CopyAge later = CopyAge.of(stamp(9), seconds(10));
        assertEquals(first, CopyAge.younger(null, first));
        assertEquals(later, CopyAge.younger(first, later));
        assertEquals(first, CopyAge.younger(first, null));
        CopyAge older = CopyAge.of(stamp(2), seconds(11));
        assertEquals(later, CopyAge.younger(later, older));
    }
}
