package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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

    /// A granule of a page of 32,768 blocks has 1,024.
    @Test
    void whatMayBeMoreThanWasMeantIsKnown() {
        BlockSet exact = new BlockSet(100_000);
        exact.addRange(1, 1000);
        exact.addRange(1500, 2500);
        assertFalse(exact.isRoundedUp() || exact.hasWholeGranules());
        exact.addRange(4096, 5120);
        assertTrue(exact.hasWholeGranules());
        assertFalse(exact.isRoundedUp());

        PageMemory none = PageMemory.of(15, 0);
        BlockSet rounded = new BlockSet(100_000, none, BlockSet.Rounding.UP);
        rounded.addRange(0, 1024);
        assertFalse(rounded.isRoundedUp());
        rounded.add(5000);
        assertTrue(rounded.isRoundedUp());
        BlockSet sum = new BlockSet(100_000);
        sum.addAll(rounded);
        assertTrue(sum.isRoundedUp() && sum.hasWholeGranules());
        sum.takeFrom(new BlockSet(100_000));
        assertFalse(sum.isRoundedUp() || sum.hasWholeGranules());
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
    void whatIsTakenFromAnotherSetNeedsNoMemoryAndLeavesItEmpty() {
        PageMemory memory = PageMemory.of(15, 200);
        BlockSet from = new BlockSet(1 << 20, memory, BlockSet.Rounding.UP);
        from.addRange(10, 50);
        from.addRange(100_000, 1 << 20);
        long count = from.count();
        assertFalse(memory.hasRoom(200));
        BlockSet set = from.another(BlockSet.Rounding.NEVER);
        set.add(3);
        set.takeFrom(from);
        assertEquals(count, set.count());
        assertTrue(from.isEmpty() && from.next(0) < 0);
        assertFalse(set.contains(3));
        set.clear();
        assertTrue(memory.hasRoom(200), "all of it is given back");
    }

    @Test
    void aSingleBlockAndAWholePageTakeNextToNothing() {
        PageMemory memory = PageMemory.of(15, 24);
        BlockSet set = new BlockSet(BlockSet.blocksOf(64L << 40), memory, BlockSet.Rounding.UP);
        set.addAll();
        set.removeRange(0, 5L << 30);
        set.addRange(77 << 10, 78 << 10);
        assertTrue(memory.hasRoom(24), "what is whole takes none");
        set.add(5);
        assertEquals((11L << 30) + 1024 + 1, set.count());
        set.add(1 << 15);
        assertEquals((11L << 30) + 2 * 1024 + 1, set.count(), "rounded to its extent");
    }

    /// In every amount of memory: a set that rounds up has all that it should, one that rounds down
    /// nothing else, and the rules of counting and finding hold for what it has.
    @ParameterizedTest
    @CsvSource({
        "UP,6,0", "UP,6,60", "UP,7,200", "UP,15,0", "UP,15,5000", "UP,15,20000",
        "DOWN,6,0", "DOWN,6,60", "DOWN,7,200", "DOWN,15,0", "DOWN,15,5000", "DOWN,15,20000",
        "NEVER,6,0", "NEVER,15,5000"
    })
    void roundsTheWayItShouldWhereMemoryIsShort(
            BlockSet.Rounding rounding, int pageBits, long limitBytes) {
        int blocks = (5 << pageBits) - 3;
        SplittableRandom random = new SplittableRandom(limitBytes + pageBits);
        long[] used = {0, 0};
        PageMemory memory = watched(PageMemory.of(pageBits, limitBytes), used);
        BlockSet set = new BlockSet(blocks, memory, rounding);
        BitSet model = new BitSet(blocks);
        for (int step = 0; step < 1000; step++) {
            int from = random.nextInt(blocks);
            int most = random.nextInt(3) == 0 ? blocks : random.nextInt(3) == 0 ? 1 : 70;
            int to = Math.min(blocks, from + random.nextInt(most) + 1);
            switch (random.nextInt(8)) {
                case 0, 1, 2 -> {
                    set.addRange(from, to);
                    model.set(from, to);
                }
                case 3, 4, 5 -> {
                    set.removeRange(from, to);
                    model.clear(from, to);
                    assertFalse(set.intersects(from, to), "whoever removes gets on");
                }
                case 6 -> {
                    BlockSet other =
                            new BlockSet(blocks, PageMemory.of(pageBits, 1 << 20), rounding);
                    BitSet otherModel = new BitSet(blocks);
                    for (int i = random.nextInt(40); i >= 0; i--) {
                        int at = random.nextInt(blocks);
                        other.add(at);
                        otherModel.set(at);
                    }
                    other.addRange(from, to);
                    otherModel.set(from, to);
                    set.addAll(other);
                    model.or(otherModel);
                }
                default -> {
                    if (random.nextInt(20) == 0) {
                        set.clear();
                        model.clear();
                        assertEquals(0, used[0], "all of it is given back");
                    }
                }
            }
            BitSet held = held(set);
            BitSet more = (BitSet) held.clone();
            more.andNot(model);
            BitSet less = (BitSet) model.clone();
            less.andNot(held);
            assertTrue(less.isEmpty() || rounding == BlockSet.Rounding.DOWN, "misses " + less);
            assertTrue(more.isEmpty() || rounding == BlockSet.Rounding.UP, "has too much " + more);
            assertSame(held, set, random);
            // From here on it is what it is.
            model = held;
        }
        if (rounding != BlockSet.Rounding.NEVER) {
            long page = (1L << pageBits - 3) + 16;
            assertTrue(used[1] <= limitBytes + 2 * page, used[1] + " of " + limitBytes);
        }
    }

    private static BitSet held(BlockSet set) {
        BitSet held = new BitSet();
        for (long b = set.next(0); b >= 0; ) {
            long end = set.runEnd(b, set.capacity());
            held.set((int) b, (int) end);
            b = end < set.capacity() ? set.next(end) : -1;
        }
        long[] words = new long[(int) (set.capacity() + 63) / 64];
        for (int w = 0; w < words.length; w++) {
            words[w] = set.bits(w * 64L);
        }
        assertEquals(held, BitSet.valueOf(words));
        return held;
    }

    /// @param used what is used, and the most that was
    private static PageMemory watched(PageMemory memory, long[] used) {
        return new PageMemory() {
            @Override
            public int pageBits() {
                return memory.pageBits();
            }

            @Override
            public boolean hasRoom(long bytes) {
                return memory.hasRoom(bytes);
            }

            @Override
            public void use(long bytes) {
                used[0] += bytes;
                used[1] = Math.max(used[1], used[0]);
                memory.use(bytes);
            }
        };
    }

    /// Writes of a block each all over 64 TiB while the peer is away.
    @Test
    void scatteredOverAHugeDeviceItStaysWithinItsMemory() {
        long blocks = BlockSet.blocksOf(64L << 40);
        long[] used = {0, 0};
        PageMemory memory = watched(PageMemory.of(15, 1 << 20), used);
        BlockSet set = new BlockSet(blocks, memory, BlockSet.Rounding.UP);
        SplittableRandom random = new SplittableRandom(7);
        long[] written = new long[300_000];
        for (int i = 0; i < written.length; i++) {
            written[i] = random.nextLong(blocks);
            set.add(written[i]);
        }
        for (long block : written) {
            assertTrue(set.contains(block));
        }
        assertTrue(used[1] <= 1 << 20);
        assertTrue(set.count() < 300_000L * 1024);
        for (long b = set.next(0); b >= 0; b = set.next(b)) {
            set.removeRange(b, set.runEnd(b, 32));
        }
        assertTrue(used[1] <= (1 << 20) + 2 * 4112, "reading it away needs two pages");
        assertEquals(0, used[0]);
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
