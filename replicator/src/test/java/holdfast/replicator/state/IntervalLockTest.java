package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

class IntervalLockTest {
    private final IntervalLock lock = new IntervalLock(4096);

    private static Op op(long offset, long length) {
        return Op.zero(offset, length, false, null);
    }

    @Test
    void neighboursDoNotMeetButTwoPartsOfOneBlockDo() {
        assertTrue(lock.acquire(op(0, 4096), true));
        assertTrue(lock.acquire(op(4096, 512), true));
        assertFalse(lock.acquire(op(5120, 512), true));
    }

    @Test
    void whoeverOverlapsOneThatWaitsComesAfterIt() {
        Op first = op(0, 4096);
        Op wide = op(0, 8192);
        Op late = op(4096, 4096);
        assertTrue(lock.acquire(first, true));
        assertFalse(lock.acquire(wide, true));
        assertFalse(lock.acquire(late, true));
        lock.release(first);
        assertEquals(List.of(wide), lock.grantable());
        lock.release(wide);
        assertEquals(List.of(late), lock.grantable());
    }

    @Test
    void aReaderGoesPastThoseThatWaitAndNeverQueues() {
        Op first = op(0, 4096);
        assertTrue(lock.acquire(first, true));
        assertFalse(lock.acquire(op(0, 8192), true));
        assertFalse(lock.tryHold(op(0, 4096)));
        assertTrue(lock.tryHold(op(4096, 4096)));
        assertEquals(1, lock.waitingCount());
    }

    @Test
    void whatMayNotGoWaitsEvenAlone() {
        Op frozen = op(0, 512);
        assertFalse(lock.acquire(frozen, false));
        assertEquals(List.of(frozen), lock.grantable());
        assertEquals(1, lock.heldCount());
    }

    @Test
    void releasingWhatIsNotHeldIsABug() {
        assertThrows(IllegalStateException.class, () -> lock.release(op(0, 512)));
    }

    @Test
    void noTwoThatOverlapAreEverHeldAndOverlappingOnesKeepTheirOrder() {
        SplittableRandom random = new SplittableRandom(1);
        List<Op> held = new ArrayList<>();
        List<Op> arrived = new ArrayList<>();
        for (int step = 0; step < 5000; step++) {
            if (random.nextBoolean() || held.isEmpty()) {
                Op op = op(random.nextInt(64) * 512L, 512L * (1 + random.nextInt(20)));
                arrived.add(op);
                if (lock.acquire(op, true)) {
                    granted(op, held, arrived);
                }
            } else {
                Op done = held.remove(random.nextInt(held.size()));
                arrived.remove(done);
                lock.release(done);
                for (Op op : lock.grantable()) {
                    granted(op, held, arrived);
                }
            }
        }
    }

    private static void granted(Op op, List<Op> held, List<Op> arrived) {
        for (Op other : held) {
            assertFalse(meets(op, other));
        }
        for (Op earlier : arrived.subList(0, arrived.indexOf(op))) {
            assertFalse(meets(op, earlier), "overtook one that overlaps");
        }
        held.add(op);
    }

    private static boolean meets(Op a, Op b) {
        return a.lockFrom < b.lockTo && b.lockFrom < a.lockTo;
    }
}
