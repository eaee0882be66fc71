package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.state.History.Moment;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Optional;

class HistoryTest {
    private final History history = new History(100);

    private static Moment moment(long address, long millis) {
        return new Moment(
                address, new Position(1, address), Ancestry.EMPTY, millis, millis + 5, 0, 1, 0);
    }

    private void live(long address, long millis) {
        history.add(moment(address, millis), false);
    }

    private void commit(long address, long millis) {
        history.add(moment(address, millis), true);
    }

    @Test
    void beforeTheFirstPointThereIsNone() {
        assertNull(history.newest());
        assertNull(history.oldest());
        assertNull(history.notAfter(1000));
        commit(50, 1000);
        assertEquals(50, history.oldest().address());
        assertEquals(50, history.newest().address());
        assertNull(history.notAfter(999));
        assertTrue(history.gaps(10).isEmpty());
    }

    @Test
    void ofLiveRecordsSomeAreKeptAndTheNewestAlways() {
        history.begin(moment(0, 1000), true);
        for (long i = 1; i <= 25; i++) {
            live(10 * i, 1000 + i);
        }
        assertEquals(0, history.oldest().address());
        assertEquals(250, history.newest().address());
        assertEquals(100, history.notAfter(1015).address());
        assertEquals(200, history.behind(100).address());
        assertEquals(250, history.behind(200).address());
        assertEquals(250, history.notAfter(5000).address());
        assertNull(history.notAfter(999));
    }

    @Test
    void anEpochLeavesAGapInFrontOfItsCommit() {
        history.begin(moment(0, 1000), true);
        live(10, 1010);
        commit(500, 1900);
        live(510, 1910);
        List<Moment> gaps = history.gaps(10);
        assertEquals(1, gaps.size());
        assertEquals(1010, gaps.getFirst().gapMillis());
        assertEquals(1900, gaps.getFirst().labelMillis());
        assertEquals(10, history.notAfter(1500).address());
        assertTrue(history.behind(10).endsGap());
    }

    /// Heartbeats had said that nothing newer was written until then.
    @Test
    void aGapBeginsWhereTheCopyWasLastComplete() {
        history.begin(moment(0, 1000), true);
        history.add(
                new Moment(500, new Position(1, 9), Ancestry.EMPTY, 1900, 1905, 0, 1, 1600), true);
        assertEquals(1600, history.gaps(10).getFirst().gapMillis());
        history.add(
                new Moment(700, new Position(1, 10), Ancestry.EMPTY, 1950, 1955, 0, 1, 1950), true);
        assertEquals(1, history.gaps(10).size());
    }

    /// A clock that is set back makes nothing older than what was there before.
    @Test
    void timesNeverFall() {
        history.begin(moment(0, 1000), true);
        live(100, 900);
        live(200, 950);
        assertEquals(1000, history.newest().labelMillis());
        assertEquals(1005, history.newest().receiptMillis());
        live(300, 2000);
        assertEquals(200, history.notAfter(1500).address());
    }

    @Test
    void whatTheBaseIsBeingMovedPastCannotBeOpenedAnyMore() {
        history.begin(moment(0, 1000), true);
        for (long i = 1; i <= 5; i++) {
            live(100 * i, 1000 + i);
        }
        history.rollBegins(300);
        assertEquals(300, history.oldest().address());
        assertNull(history.notAfter(1002));
        history.rolled(moment(300, 1003));
        assertEquals(300, history.oldest().address());
        assertEquals(400, history.behind(300).address());
        history.rolled(moment(500, 1005));
        assertEquals(500, history.newest().address());
        assertEquals(500, history.oldest().address());
        assertNull(history.behind(500));
    }

    @Test
    void aRollGoesAsFarAsAgeAndPlaceAllow() {
        history.begin(moment(0, 1000), true);
        for (long i = 1; i <= 5; i++) {
            live(100 * i, 1000 * i);
        }
        assertNull(history.upTo(99, Long.MAX_VALUE));
        assertEquals(300, history.upTo(399, Long.MAX_VALUE).address());
        assertEquals(200, history.upTo(500, 2005).address());
        assertEquals(500, history.upTo(500, 5005).address());
    }

    /// 300 bytes in 100 s are 10,800 in an hour; of a journal that takes half of what it holds,
    /// half of that.
    @Test
    void whatTheRetentionNeedsFollowsFromTheRateOfWhatIsThere() {
        long hour = 3_600_000;
        assertEquals(Optional.empty(), history.neededBytes(hour, 1));
        history.begin(moment(1000, 5_000), true);
        assertEquals(Optional.empty(), history.neededBytes(hour, 1));
        live(1200, 64_999);
        assertEquals(Optional.empty(), history.neededBytes(hour, 1), "too short to tell");
        live(1300, 105_000);
        assertEquals(Optional.of(10_800L), history.neededBytes(hour, 1));
        assertEquals(Optional.of(5_400L), history.neededBytes(hour, 0.5));
        assertEquals(Optional.of(24 * 10_800L), history.neededBytes(24 * hour, 1));
        assertEquals(Optional.empty(), history.neededBytes(0, 1), "nothing is to be kept");
        // From the moment on to which the base was rolled: 100 bytes in 40,001 ms say nothing yet.
        history.rolled(moment(1200, 64_999));
        assertEquals(Optional.empty(), history.neededBytes(hour, 1));
        live(1400, 164_999);
        assertEquals(Optional.of(7_200L), history.neededBytes(hour, 1));
    }

    /// When the moment of the base was received nobody has noted.
    @Test
    void nothingIsForecastFromATimeThatIsNotKnown() {
        history.begin(new Moment(0, new Position(1, 1), Ancestry.EMPTY, 0, 0, 0, 1, 0), true);
        live(1300, 105_000);
        assertEquals(Optional.empty(), history.neededBytes(3_600_000, 1));
    }
}
