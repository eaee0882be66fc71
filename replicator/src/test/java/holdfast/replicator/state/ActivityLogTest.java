package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

class ActivityLogTest {
    private static final int EXTENT_BLOCKS = 4;
    private static final int CAPACITY = 8;

    private final ActivityLog log = new ActivityLog(EXTENT_BLOCKS, CAPACITY, List.of());

    /// A write of so many blocks.
    private static Op write(long block, int blocks) {
        int bytes = blocks * BlockSet.BLOCK_BYTES;
        return Op.write(
                block * BlockSet.BLOCK_BYTES, bytes, Held.of(ByteBuffer.allocate(bytes)), "");
    }

    private static Op inExtent(long extent) {
        return write(extent * EXTENT_BLOCKS, 1);
    }

    private void makeActive(Op... ops) {
        log.plan(List.of(ops));
        log.done();
        for (Op op : ops) {
            assertTrue(log.enter(op));
            log.leave(op, 1);
        }
    }

    @Test
    void aWriteGoesOnlyWhenAllItsExtentsAreDurablyListed() {
        Op both = write(3, 2);
        assertFalse(log.enter(both));
        assertEquals(List.of(), log.plan(List.of(both)));
        assertEquals(List.of(0L, 1L), log.listed());
        assertFalse(log.enter(both), "the transaction is not durable yet");
        log.done();
        assertTrue(log.enter(both));
    }

    @Test
    void theLeastRecentlyUsedLeaveAndNeverWhileAWriteIsInFlight() {
        for (int e = 0; e < CAPACITY; e++) {
            makeActive(inExtent(e));
        }
        Op flying = inExtent(0);
        assertTrue(log.enter(flying));
        Op used = inExtent(1);
        assertTrue(log.enter(used));
        log.leave(used, 2);
        Op waits = inExtent(50);
        List<Long> leaving = log.plan(List.of(waits));
        assertEquals(List.of(2L, 3L, 4L), leaving);
        assertFalse(log.listed().contains(2L));
        assertTrue(log.listed().containsAll(List.of(0L, 1L, 50L)));
        assertFalse(log.enter(inExtent(2)), "it is leaving");
        log.done();
        assertFalse(log.enter(inExtent(2)));
        assertTrue(log.enter(waits));
    }

    @Test
    void whatThoseThatWaitedLongestHaveAlreadyStaysForThem() {
        for (int e = 0; e < CAPACITY; e++) {
            makeActive(inExtent(e));
        }
        Op first = write(0, 2 * EXTENT_BLOCKS + 1);
        Op second = write(100, 5 * EXTENT_BLOCKS + 1);
        Op third = write(200, CAPACITY * EXTENT_BLOCKS - 1);
        List<Long> leaving = log.plan(List.of(first, second, third));
        assertFalse(leaving.contains(0L) || leaving.contains(1L) || leaving.contains(2L));
        log.done();
        assertTrue(log.enter(first));
    }

    @Test
    void extentsLeaveAheadOfNeed() {
        ActivityLog large = new ActivityLog(EXTENT_BLOCKS, 64, List.of());
        for (int e = 0; e < 64; e++) {
            Op op = inExtent(e);
            large.plan(List.of(op));
            large.done();
            assertTrue(large.enter(op));
            large.leave(op, e);
        }
        assertTrue(large.isCrowded());
        assertEquals(17, large.plan(List.of()).size());
        large.done();
        assertFalse(large.isCrowded());
        large.plan(List.of());
        assertFalse(large.isPlanned());
    }

    @Test
    void knowsWhatWasWrittenSinceAnExtentBecameActive() {
        makeActive(write(1, 2));
        Op again = write(3, 2);
        log.plan(List.of(again));
        log.done();
        assertTrue(log.enter(again));
        log.leave(again, 9);
        List<Long> written = new ArrayList<>();
        log.forEachWritten(0, written::add);
        assertEquals(List.of(1L, 2L, 3L), written);
        assertEquals(9, log.lastNumber(0));
        assertEquals(9, log.lastNumber(1));
    }

    @Test
    void whatWasActiveAtACrashIsActiveAgainAndLeavesLikeAnyOther() {
        ActivityLog after = new ActivityLog(EXTENT_BLOCKS, CAPACITY, List.of(3L, 4L));
        assertTrue(after.enter(inExtent(3)));
        assertEquals(0, after.lastNumber(4));
        assertEquals(2, after.listed().size());
    }

    /// Whatever comes in whatever order: nothing in flight leaves, no more than the capacity is
    /// listed, and everybody gets a turn.
    @Test
    void everyWriteGetsItsTurn() {
        Random random = new Random(7);
        ArrayDeque<Op> waiting = new ArrayDeque<>();
        List<Op> flying = new ArrayList<>();
        int done = 0;
        int sent = 0;
        for (int round = 0; round < 5000 || done < sent; round++) {
            if (sent < 3000 && random.nextBoolean()) {
                Op op = write(random.nextInt(400), 1 + random.nextInt(3 * EXTENT_BLOCKS));
                sent++;
                if (log.enter(op)) {
                    flying.add(op);
                } else {
                    waiting.add(op);
                }
            }
            if (!flying.isEmpty() && random.nextBoolean()) {
                log.leave(flying.remove(random.nextInt(flying.size())), round + 1);
                done++;
            }
            Set<Long> inFlight = new HashSet<>();
            for (Op op : flying) {
                for (long b = op.offsetBytes();
                        b < op.offsetBytes() + op.lengthBytes();
                        b += 4096) {
                    inFlight.add(b / 4096 / EXTENT_BLOCKS);
                }
            }
            List<Long> leaving = log.plan(waiting);
            assertTrue(leaving.stream().noneMatch(inFlight::contains));
            assertTrue(log.listed().size() <= CAPACITY);
            assertTrue(log.listed().containsAll(inFlight));
            log.done();
            for (Op op : List.copyOf(waiting)) {
                if (log.enter(op)) {
                    waiting.remove(op);
                    flying.add(op);
                }
            }
            assertTrue(round < 100_000, "a write waits for ever");
        }
        assertEquals(sent, done);
    }
}
