package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.BitSet;
import java.util.SplittableRandom;

class BlockSetTest {
    @Test
    void runsAreCountedAndFoundAndEndAtTheirPage() {
        BlockSet set = new BlockSet(100_000);
        assertEquals(0, set.runCount());
        set.addRange(10, 200);
        set.add(202);
        set.addRange(32_760, 32_770);
        set.addRange(65_536, 98_304);
        assertEquals(5, set.runCount());
        assertEquals(new BlockRun(10, 190), set.runAround(64));
        assertEquals(new BlockRun(202, 1), set.runAround(202));
        assertEquals(new BlockRun(32_760, 8), set.runAround(32_767));
        assertEquals(new BlockRun(32_768, 2), set.runAround(32_768));
        assertEquals(new BlockRun(65_536, 32_768), set.runAround(70_000));
    }

    /// Sizes around a word and around a page of 32,768 blocks.
    @ParameterizedTest
    @ValueSource(ints = {1, 63, 64, 65, 32767, 32768, 32769, 70000})
    void agreesWithABitSetWhateverIsDone(int blocks) {
        SplittableRandom random = new SplittableRandom(blocks);
        BlockSet set = new BlockSet(blocks);
        BitSet model = new BitSet(blocks);
        for (int step = 0; step < 400; step++) {
            int from = random.nextInt(blocks);
            int to = from + random.nextInt(random.nextBoolean() ? 70 : blocks) + 1;
            to = Math.min(blocks, to);
            switch (random.nextInt(9)) {
                case 0, 1, 2 -> {
                    set.addRange(from, to);
                    model.set(from, to);
                }
                case 3, 4 -> {
                    set.removeRange(from, to);
                    model.clear(from, to);
                }
                case 5 -> {
                    BlockSet other = new BlockSet(blocks);
                    BitSet otherModel = new BitSet(blocks);
                    other.addRange(from, to);
                    otherModel.set(from, to);
                    if (random.nextBoolean()) {
                        set.addAll(other);
                        model.or(otherModel);
                    } else {
                        set.removeAll(other);
                        model.andNot(otherModel);
                    }
                }
                case 6 -> {
                    set.add(from);
                    model.set(from);
                }
                case 7 -> {
                    if (random.nextInt(10) == 0) {
                        set.addAll();
                        model.set(0, blocks);
                    } else {
                        set.remove(from);
                        model.clear(from);
                    }
                }
                default -> {
                    if (random.nextInt(10) == 0) {
                        set.clear();
                        model.clear();
                    }
                }
            }
            assertSame(model, set, random);
        }
    }

    private static void assertSame(BitSet model, BlockSet set, SplittableRandom random) {
        int blocks = (int) set.capacity();
        assertEquals(model.cardinality(), set.count());
        assertEquals(model.isEmpty(), set.isEmpty());
        for (int i = 0; i < 8; i++) {
            int at = random.nextInt(blocks);
            assertEquals(model.get(at), set.contains(at));
            assertEquals(model.nextSetBit(at), set.next(at));
            int to = Math.min(blocks, at + 1 + random.nextInt(200));
            int hit = model.nextSetBit(at);
            assertEquals(hit >= 0 && hit < to, set.intersects(at, to));
            int limit = 1 + random.nextInt(100);
            assertEquals(
                    Math.min(Math.min(model.nextClearBit(at), at + limit), blocks),
                    set.runEnd(at, limit));
        }
    }

    @Test
    void aCopyIsIndependent() {
        BlockSet set = new BlockSet(40000);
        set.addRange(10, 39000);
        BlockSet copy = set.copy();
        set.remove(20);
        assertTrue(copy.contains(20));
        copy.clear();
        assertEquals(38989, set.count());
    }

    @Test
    void bytesTouchTheirBlocksInPartOrWhole() {
        BlockSet set = new BlockSet(10);
        set.addBytes(4095, 2);
        assertTrue(set.contains(0) && set.contains(1));
        assertFalse(set.contains(2));
        set.clear();
        set.addBytes(4096, 4096);
        assertEquals(1, set.count());
        set.addBytes(0, 0);
        assertEquals(1, set.count());
    }
}
