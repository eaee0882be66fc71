package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

class FailingPlacesTest {
    private static final long SECOND = 1_000_000_000L;

    private final FailingPlaces reads = FailingPlaces.ofReads();
    private final FailingPlaces writes = FailingPlaces.ofWrites();
    private final List<String> told = new ArrayList<>();
    private long now = -5 * SECOND; // A clock that begins below zero is one, too.

    private void fail(FailingPlaces of, long offset, long length) {
        note(of.failed(offset, length, "disk: error 5", now, 1_000_000 + now / 1_000_000));
    }

    private void look(FailingPlaces of) {
        note(of.look(now));
    }

    private void note(Optional<FailingPlaces.Told> what) {
        what.ifPresent(each -> told.add(each.kind()));
    }

    @Test
    void aReadThatIsRepeatedTenThousandTimesIsToldOnce() {
        for (int i = 0; i < 10_000; i++) {
            fail(reads, 4096, 4096);
            look(reads);
        }
        assertEquals(List.of("read-error"), told);
        assertEquals(
                "reads of clients fail, 10000 since 1970-01-01T00:16:35Z, at bytes 4096 to 8191 (disk: error 5)",
                reads.words());
    }

    @Test
    void whatGoesOnIsToldOnceAnHourWithItsCount() {
        fail(reads, 0, 512);
        for (int i = 0; i < 7300; i++) {
            now += SECOND;
            fail(reads, 0, 512);
        }
        assertEquals(List.of("read-error", "read-error", "read-error"), told);
        now += 2 * 3600 * SECOND;
        look(reads);
        assertEquals(4, told.size(), "what failed since the last word is worth another one");
        now += 24 * 3600 * SECOND;
        look(reads);
        assertEquals(4, told.size(), "nothing has failed since");
        assertTrue(reads.fails(), "nor worked");
    }

    @Test
    void itIsOverWhenEachPlaceWorksAndNoneHasFailedForAWhile() {
        fail(reads, 0, 8192);
        fail(reads, 1 << 20, 512);
        now += 20 * SECOND;
        reads.worked(512, 4096);
        reads.worked(1 << 20, 512);
        look(reads);
        assertTrue(reads.words().contains("at bytes 0 to 511, bytes 4608 to 8191 ("));
        reads.worked(0, 512);
        reads.worked(4608, 1 << 20);
        look(reads);
        assertEquals(List.of("read-error", "read-again"), told);
        assertFalse(reads.fails());
    }

    @Test
    void aPlaceThatFailsAndWorksByTurnsIsBounded() {
        for (int i = 0; i < 36_000; i++) {
            fail(reads, 0, 512);
            reads.worked(0, 512);
            look(reads);
            now += SECOND / 10;
        }
        assertEquals(List.of("read-error"), told);
        now += 10 * SECOND;
        look(reads);
        assertEquals(List.of("read-error", "read-again"), told);
    }

    /// A sector that fails, works when it is tried again, and fails again later.
    @Test
    void whatComesBackEveryQuarterOfAMinuteIsToldLessAndLess() {
        for (int i = 0; i < 24 * 240; i++) {
            fail(reads, 0, 512);
            reads.worked(0, 512);
            for (int s = 0; s < 15; s++) {
                now += SECOND;
                look(reads);
            }
        }
        assertTrue(told.size() <= 2 * 9 + 2 * 24, "events in a day: " + told.size());
        now += 2 * 3600 * SECOND;
        look(reads);
        assertFalse(reads.fails());
        now += 3 * 3600 * SECOND;
        int before = told.size();
        fail(reads, 0, 512);
        reads.worked(0, 512);
        now += 11 * SECOND;
        look(reads);
        assertEquals(before + 2, told.size(), "a new one is over soon");
    }

    @Test
    void otherWritesSayInTheEndThatThereIsSpaceAndOtherReadsSayNothingOfASector() {
        fail(writes, 0, 512);
        fail(reads, 0, 512);
        now += 601 * SECOND;
        look(writes);
        assertTrue(writes.fails(), "nothing was written since");
        writes.worked(1 << 20, 512);
        reads.worked(1 << 20, 512);
        look(writes);
        look(reads);
        assertEquals(List.of("no-space", "read-error", "space-again"), told);
        assertTrue(reads.fails());
    }

    @Test
    void placesAreNeverManyAndNeverTooFew() {
        Random random = new Random(1);
        for (int i = 0; i < 20_000; i++) {
            long offset = random.nextInt(100_000) * 512L;
            fail(reads, offset, 512L << random.nextInt(6));
            long other = random.nextInt(100_000) * 512L;
            reads.worked(other, 512L << random.nextInt(9));
        }
        assertTrue(reads.words().contains(" places more ("), reads.words());
        reads.worked(0, 1L << 40);
        now += 11 * SECOND;
        look(reads);
        assertEquals(List.of("read-error", "read-again"), told);
    }
}
