package holdfast.replicator.state;

import holdfast.replicator.state.Transaction.Blank;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/// Knows which blocks the bitmap on disk has set, and makes the pages that are to be written: the
/// disk may have too many, and too few only in active extents.
public final class DurableBitmap {
    /// Pages that one sweep looks at while writes go on: it runs under the resource's lock.
    static final int SWEEP_PAGES = 256;

    private final int extentBlocks;
    private final int pageBlocks;
    private final BlockSet onDisk;

    /// Pages that have bits on disk of which memory had no room to know. None of them is taken for
    /// set, so that what is missing there is written again when it must be durable.
    private final BitSet unknown;

    /// Where the next sweep begins.
    private long cursor;

    /// What the peer may lack, by reason.
    ///
    /// @param dirty what is to be sent
    /// @param suspect what is to be compared
    record Missing(List<BlockSet> dirty, List<BlockSet> suspect) {
        boolean isEmpty() {
            return dirty.stream().allMatch(BlockSet::isEmpty)
                    && suspect.stream().allMatch(BlockSet::isEmpty);
        }

        private static long bits(List<BlockSet> of, long from) {
            long bits = 0;
            for (BlockSet each : of) {
                bits |= each.isEmpty() ? 0 : each.bits(from);
            }
            return bits;
        }

        private long bits(long from) {
            return bits(dirty, from) | bits(suspect, from);
        }
    }

    /// @param unknown pages with bits on disk that are not in `onDisk`
    DurableBitmap(int extentBlocks, BlockSet onDisk, BitSet unknown) {
        this.extentBlocks = extentBlocks;
        this.pageBlocks = Transaction.Page.blocks(extentBlocks);
        this.onDisk = onDisk;
        this.unknown = unknown;
    }

    boolean isEmpty() {
        return onDisk.isEmpty() && unknown.isEmpty();
    }

    /// The pages that must be written before these extents leave the log: of those that lack a bit
    /// on disk.
    List<Transaction.Page> pagesOf(List<Long> extents, Missing missing) {
        List<Transaction.Page> pages = new ArrayList<>();
        long last = -1;
        for (long extent : extents.stream().sorted().toList()) {
            long page = extent / Transaction.Page.PARTS;
            if (page != last && !isCovered(extent, missing)) {
                pages.add(page(page, missing));
                last = page;
            }
        }
        return pages;
    }

    /// Whether all that is missing of the extent is on disk.
    boolean isCovered(long extent, Missing missing) {
        long first = extent * extentBlocks;
        for (int b = 0; b < extentBlocks; b += 64) {
            long mask = extentBlocks - b >= 64 ? -1 : (1L << extentBlocks - b) - 1;
            if ((missing.bits(first + b) & mask & ~onDisk.bits(first + b)) != 0) {
                return false;
            }
        }
        return true;
    }

    /// Pages with bits on disk that nothing needs any more, [#SWEEP_PAGES] at most.
    ///
    /// @param looks pages with bits that are looked at, at most
    List<Transaction.Page> sweep(Missing missing, int looks) {
        List<Transaction.Page> stale = new ArrayList<>();
        for (int i = 0; i < looks && stale.size() < SWEEP_PAGES; i++) {
            long page = nextPage();
            if (page < 0) {
                cursor = 0;
                return stale;
            }
            cursor = (page + 1) * pageBlocks;
            if (isStale(page, missing)) {
                stale.add(page(page, missing));
            }
        }
        return stale;
    }

    /// The next page with bits on disk, or -1.
    private long nextPage() {
        long block = onDisk.next(cursor);
        long known = block < 0 ? Long.MAX_VALUE : block / pageBlocks;
        int other = unknown.nextSetBit(Math.toIntExact(cursor / pageBlocks));
        long next = Math.min(known, other < 0 ? Long.MAX_VALUE : other);
        return next == Long.MAX_VALUE ? -1 : next;
    }

    private boolean isStale(long page, Missing missing) {
        long first = page * pageBlocks;
        if (unknown.get((int) page)) {
            // What could not be known before may not be known again: not before nothing is missing.
            return bitsOf(first, pageBlocks, missing) == 0;
        }
        for (int b = 0; b < pageBlocks; b += 64) {
            if ((onDisk.bits(first + b) & ~missing.bits(first + b) & mask(b)) != 0) {
                return true;
            }
        }
        return false;
    }

    /// Whether any, not which.
    private static long bitsOf(long first, int blocks, Missing missing) {
        long any = 0;
        for (int b = 0; b < blocks; b += 64) {
            long mask = blocks - b >= 64 ? -1 : (1L << blocks - b) - 1;
            any |= missing.bits(first + b) & mask;
        }
        return any;
    }

    private Transaction.Page page(long number, Missing missing) {
        long first = number * pageBlocks;
        long[] bits = new long[(pageBlocks + 63) / 64];
        for (int w = 0; w < bits.length; w++) {
            bits[w] = missing.bits(first + w * 64L) & mask(w * 64);
        }
        int suspectParts = 0;
        for (int part = 0; part < Transaction.Page.PARTS; part++) {
            suspectParts |= isSuspect(first + (long) part * extentBlocks, missing) ? 1 << part : 0;
        }
        return new Transaction.Page(number, suspectParts, bits);
    }

    private boolean isSuspect(long first, Missing missing) {
        for (int b = 0; b < extentBlocks; b += 64) {
            long mask = extentBlocks - b >= 64 ? -1 : (1L << extentBlocks - b) - 1;
            if ((Missing.bits(missing.suspect(), first + b) & mask) != 0) {
                return true;
            }
        }
        return false;
    }

    /// Of the 64 blocks from `b` on within a page, those that belong to it.
    private long mask(int b) {
        return pageBlocks - b >= 64 ? -1 : (1L << pageBlocks - b) - 1;
    }

    /// A transaction is durable.
    ///
    /// @param begins whether it began an era
    void done(Transaction t, boolean begins) {
        if (begins) {
            if (t.blank() == Blank.CLEAR) {
                onDisk.clear();
            } else {
                onDisk.addAll();
            }
            unknown.clear();
            cursor = 0;
        }
        for (Transaction.Page page : t.pages()) {
            boolean isKnown = load(onDisk, page, pageBlocks);
            unknown.set((int) page.number(), !isKnown);
        }
    }

    /// Sets in `onDisk` what the page has, and no more.
    ///
    /// @return false when memory has no room for it; then nothing of the page is set
    public static boolean load(BlockSet onDisk, Transaction.Page page, int pageBlocks) {
        long first = Math.min(page.number() * pageBlocks, onDisk.capacity());
        long end = Math.min(first + pageBlocks, onDisk.capacity());
        onDisk.removeRange(first, end);
        if (first < end && !isWhole(page, end - first) && !onDisk.hasRoomFor(first, end)) {
            return isEmpty(page);
        }
        for (int w = 0; w < page.bits().length; w++) {
            long left = end - first - w * 64L;
            long mask = left >= 64 ? -1 : left <= 0 ? 0 : (1L << left) - 1;
            onDisk.addBits(first + w * 64L, page.bits()[w] & mask);
        }
        return true;
    }

    private static boolean isEmpty(Transaction.Page page) {
        return Arrays.stream(page.bits()).allMatch(word -> word == 0);
    }

    private static boolean isWhole(Transaction.Page page, long blocks) {
        return BitSet.valueOf(page.bits()).nextClearBit(0) >= blocks;
    }
}
