package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.state.Transaction.Blank;

import org.junit.jupiter.api.Test;

import java.util.BitSet;
import java.util.List;

class DurableBitmapTest {
    private static final int EXTENT_BLOCKS = 64;
    private static final int PAGE_BLOCKS = 31 * EXTENT_BLOCKS;
    private static final long BLOCKS = 10L * PAGE_BLOCKS + 7;

    private final BlockSet dirty = new BlockSet(BLOCKS);
    private final BlockSet suspect = new BlockSet(BLOCKS);
    private final BlockSet onDisk = new BlockSet(BLOCKS);
    private final DurableBitmap bitmap = new DurableBitmap(EXTENT_BLOCKS, onDisk, new BitSet());
    private final DurableBitmap.Missing missing =
            new DurableBitmap.Missing(List.of(dirty), List.of(suspect));

    private void carryOut(List<Transaction.Page> pages, Blank blank, boolean begins) {
        bitmap.done(
                new Transaction(1, 1, blank, PeerCopy.UNKNOWN, false, pages, List.of()), begins);
    }

    @Test
    void anExtentLeavesWithoutAPageWhenItsBitsAreOnDiskAlready() {
        assertEquals(List.of(), bitmap.pagesOf(List.of(0L, 31L), missing));
        dirty.add(70);
        assertEquals(List.of(), bitmap.pagesOf(List.of(0L), missing), "it is in another extent");
        List<Transaction.Page> pages = bitmap.pagesOf(List.of(1L, 2L, 0L), missing);
        assertEquals(List.of(0L), pages.stream().map(Transaction.Page::number).toList());
        carryOut(pages, Blank.CLEAR, false);
        assertEquals(List.of(), bitmap.pagesOf(List.of(1L), missing));
    }

    @Test
    void aPageHasAllBitsOfItsExtentsAndSaysWhichAreToBeCompared() {
        dirty.addRange(0, 3);
        suspect.add(5L * EXTENT_BLOCKS);
        dirty.add(PAGE_BLOCKS);
        Transaction.Page page = bitmap.pagesOf(List.of(0L), missing).getFirst();
        assertEquals(0b111, page.bits()[0]);
        assertEquals(1, page.bits()[5]);
        assertEquals(1 << 5, page.suspectParts());
        carryOut(List.of(page), Blank.CLEAR, false);
        assertEquals(4, onDisk.count());
    }

    @Test
    void aSweepFindsBitsThatNothingNeedsAnyMore() {
        onDisk.addRange(0, 10);
        onDisk.addRange(3L * PAGE_BLOCKS, 3L * PAGE_BLOCKS + 5);
        onDisk.add(BLOCKS - 1);
        dirty.addRange(0, 12);
        suspect.add(3L * PAGE_BLOCKS);
        dirty.add(BLOCKS - 1);
        List<Transaction.Page> stale = bitmap.sweep(missing, 1);
        assertEquals(List.of(), stale, "page 0 has too few, not too many");
        stale = bitmap.sweep(missing, 10);
        assertEquals(List.of(3L), stale.stream().map(Transaction.Page::number).toList());
        carryOut(stale, Blank.CLEAR, false);
        assertEquals(12, onDisk.count());
    }

    @Test
    void anEraSaysTheSameOfAllBlocks() {
        carryOut(List.of(), Blank.SUSPECT, true);
        assertEquals(BLOCKS, onDisk.count());
        dirty.addAll();
        assertEquals(List.of(), bitmap.pagesOf(List.of(0L, 100L), missing));
        carryOut(List.of(), Blank.CLEAR, true);
        assertTrue(bitmap.isEmpty());
    }

    /// Or a bit would be taken for durable that is not, or stay for ever.
    @Test
    void aPageThatMemoryHasNoRoomToKnowIsWrittenAgainAndTakenOffWhenNothingIsMissing() {
        PageMemory none = PageMemory.of(11, 0);
        BlockSet known = new BlockSet(BLOCKS, none, BlockSet.Rounding.NEVER);
        DurableBitmap small = new DurableBitmap(EXTENT_BLOCKS, known, new BitSet());
        dirty.add(70);
        List<Transaction.Page> pages = small.pagesOf(List.of(1L), missing);
        small.done(
                new Transaction(1, 1, Blank.CLEAR, PeerCopy.UNKNOWN, false, pages, List.of()),
                false);
        assertTrue(known.isEmpty() && !small.isEmpty());
        assertEquals(1, small.pagesOf(List.of(1L), missing).size(), "who knows");
        assertEquals(List.of(), small.pagesOf(List.of(2L), missing));
        assertEquals(List.of(), small.sweep(missing, 10), "or it would be written all the time");
        small.sweep(missing, 10);
        dirty.clear();
        dirty.add(PAGE_BLOCKS);
        pages = small.sweep(missing, 10);
        assertEquals(List.of(0L), pages.stream().map(Transaction.Page::number).toList());
        small.done(
                new Transaction(1, 1, Blank.CLEAR, PeerCopy.UNKNOWN, false, pages, List.of()),
                false);
        assertTrue(small.isEmpty());
    }
}
