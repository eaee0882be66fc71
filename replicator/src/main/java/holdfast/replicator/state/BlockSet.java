package holdfast.replicator.state;

import java.nio.ByteBuffer;
import java.util.Arrays;

/// A set of 4 KiB blocks of one device, held in pages of 32,768 blocks (128 MiB of the device).
///
/// A page that is wholly clear or wholly set takes no memory, so an all-dirty 64 TiB device costs 4
/// MiB and a clean one the same. Not thread-safe: the owner of the resource's lock owns it.
@SuppressWarnings("ReferenceEquality") // FULL is one array, known by its identity.
public final class BlockSet {
    public static final int BLOCK_BYTES = 4096;

    private static final int PAGE_BITS = 15;
    private static final int PAGE_BLOCKS = 1 << PAGE_BITS;
    private static final int PAGE_WORDS = PAGE_BLOCKS / 64;

    /// Bytes of one page's bits.
    public static final int PAGE_BYTES = PAGE_WORDS * 8;

    private static final long[] FULL = new long[0];

    private final long blocks;
    private final long[][] pages;
    private long count;

    /// An empty set over a device of `blocks` blocks.
    public BlockSet(long blocks) {
        this.blocks = blocks;
        this.pages = new long[Math.toIntExact((blocks + PAGE_BLOCKS - 1) >>> PAGE_BITS)][];
    }

    /// How many blocks a device of this size has; the last one may be short.
    public static long blocksOf(long sizeBytes) {
        return (sizeBytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    }

    /// Blocks in the set.
    public long count() {
        return count;
    }

    public boolean isEmpty() {
        return count == 0;
    }

    /// Blocks of the device.
    public long capacity() {
        return blocks;
    }

    public boolean contains(long block) {
        long[] page = pages[(int) (block >>> PAGE_BITS)];
        if (page == null || page == FULL) {
            return page != null;
        }
        return (page[wordOf(block)] >>> block & 1) != 0;
    }

    public void add(long block) {
        addRange(block, block + 1);
    }

    public void addAll() {
        addRange(0, blocks);
    }

    /// Adds the blocks that the bytes touch, in part or whole.
    public void addBytes(long offsetBytes, long lengthBytes) {
        if (lengthBytes > 0) {
            addRange(offsetBytes / BLOCK_BYTES, blocksOf(offsetBytes + lengthBytes));
        }
    }

    /// Adds `from` (inclusive) to `to` (exclusive).
    public void addRange(long from, long to) {
        for (long at = from; at < to; ) {
            int p = (int) (at >>> PAGE_BITS);
            long pageEnd = Math.min((long) (p + 1) << PAGE_BITS, to);
            long[] page = pages[p];
            if (page != FULL) {
                if (isWholePage(p, at, pageEnd)) {
                    count += pageSize(p) - (page == null ? 0 : popCount(page));
                    pages[p] = FULL;
                } else {
                    if (page == null) {
                        page = pages[p] = new long[PAGE_WORDS];
                    }
                    count += change(page, at, pageEnd, true);
                }
            }
            at = pageEnd;
        }
    }

    public void remove(long block) {
        removeRange(block, block + 1);
    }

    /// Removes `from` (inclusive) to `to` (exclusive).
    public void removeRange(long from, long to) {
        for (long at = from; at < to; ) {
            int p = (int) (at >>> PAGE_BITS);
            long pageEnd = Math.min((long) (p + 1) << PAGE_BITS, to);
            long[] page = pages[p];
            if (page != null) {
                if (isWholePage(p, at, pageEnd)) {
                    count -= page == FULL ? pageSize(p) : popCount(page);
                    pages[p] = null;
                } else {
                    page = writable(p);
                    count -= change(page, at, pageEnd, false);
                    if (isClear(page)) {
                        pages[p] = null;
                    }
                }
            }
            at = pageEnd;
        }
    }

    public void clear() {
        Arrays.fill(pages, null);
        count = 0;
    }

    /// Adds all blocks of `other`, which is a set over the same device.
    public void addAll(BlockSet other) {
        for (int p = 0; p < pages.length; p++) {
            long[] from = other.pages[p];
            if (from == FULL) {
                addRange((long) p << PAGE_BITS, ((long) p << PAGE_BITS) + pageSize(p));
            } else if (from != null && pages[p] != FULL) {
                long[] to = writable(p);
                for (int w = 0; w < PAGE_WORDS; w++) {
                    count += Long.bitCount(from[w] & ~to[w]);
                    to[w] |= from[w];
                }
            }
        }
    }

    /// Takes out all blocks of `other`, which is a set over the same device.
    public void removeAll(BlockSet other) {
        for (int p = 0; p < pages.length; p++) {
            long[] out = other.pages[p];
            if (out == FULL) {
                removeRange((long) p << PAGE_BITS, ((long) p << PAGE_BITS) + pageSize(p));
            } else if (out != null && pages[p] != null) {
                long[] page = writable(p);
                for (int w = 0; w < PAGE_WORDS; w++) {
                    count -= Long.bitCount(page[w] & out[w]);
                    page[w] &= ~out[w];
                }
                if (isClear(page)) {
                    pages[p] = null;
                }
            }
        }
    }

    public BlockSet copy() {
        BlockSet copy = new BlockSet(blocks);
        copy.addAll(this);
        return copy;
    }

    /// The first block of the set at or after `from`, or -1.
    public long next(long from) {
        for (long at = from; at < blocks; ) {
            int p = (int) (at >>> PAGE_BITS);
            long[] page = pages[p];
            if (page == FULL) {
                return at;
            }
            if (page != null) {
                int w = wordOf(at);
                long word = page[w] & -1L << at;
                while (word == 0 && ++w < PAGE_WORDS) {
                    word = page[w];
                }
                if (word != 0) {
                    return ((long) p << PAGE_BITS) + w * 64L + Long.numberOfTrailingZeros(word);
                }
            }
            at = (long) (p + 1) << PAGE_BITS;
        }
        return -1;
    }

    /// The end (exclusive) of the run of set blocks that begins at `from`, at most `limit` blocks
    /// on.
    public long runEnd(long from, long limit) {
        long end = Math.min(blocks, from + limit);
        long at = from;
        while (at < end && contains(at)) {
            boolean full = pages[(int) (at >>> PAGE_BITS)] == FULL;
            at = full ? (at | PAGE_BLOCKS - 1) + 1 : at + 1;
        }
        return Math.min(at, end);
    }

    /// The number of runs of set blocks, where a run ends at the end of its page at the latest.
    public long runCount() {
        long runs = 0;
        for (long[] page : pages) {
            if (page == FULL) {
                runs++;
            } else if (page != null) {
                long before = 0;
                for (long word : page) {
                    runs += Long.bitCount(word & ~(word << 1 | before));
                    before = word >>> 63;
                }
            }
        }
        return runs;
    }

    /// The run of [#runCount] that `block`, which is in the set, belongs to.
    public BlockRun runAround(long block) {
        long pageFirst = block >>> PAGE_BITS << PAGE_BITS;
        long pageEnd = Math.min(blocks, pageFirst + PAGE_BLOCKS);
        long first = block;
        while (first > pageFirst && contains(first - 1)) {
            first--;
        }
        return new BlockRun(first, (int) (runEnd(block, pageEnd - block) - first));
    }

    /// Whether any block from `from` (inclusive) to `to` (exclusive) is in the set.
    public boolean intersects(long from, long to) {
        if (count == 0) {
            return false;
        }
        long hit = next(from);
        return hit >= 0 && hit < to;
    }

    /// The 64 blocks from `from` on, lowest bit first; those behind the device's end are clear.
    public long bits(long from) {
        if (from >= blocks) {
            return 0;
        }
        long word = wordAt(from) >>> from;
        return (from & 63) == 0 || (from | 63) + 1 >= blocks
                ? word
                : word | wordAt((from | 63) + 1) << -from;
    }

    private long wordAt(long block) {
        int p = (int) (block >>> PAGE_BITS);
        long[] page = pages[p];
        if (page == null) {
            return 0;
        }
        if (page == FULL) {
            long left = blocks - (block & ~63L);
            return left >= 64 ? -1 : (1L << left) - 1;
        }
        return page[wordOf(block)];
    }

    /// Adds those of the 64 blocks from `from` on whose bits are set.
    public void addBits(long from, long bits) {
        for (long left = bits; left != 0; ) {
            int first = Long.numberOfTrailingZeros(left);
            int length = Long.numberOfTrailingZeros(~(left >>> first));
            addRange(from + first, from + first + length);
            left = first + length >= 64 ? 0 : left & -1L << first + length;
        }
    }

    /// Pages of the set, for whoever writes it to a file.
    public int pageCount() {
        return pages.length;
    }

    public boolean isPageClear(int page) {
        return pages[page] == null;
    }

    public boolean isPageFull(int page) {
        return pages[page] == FULL;
    }

    /// Puts the bits of a page that is neither clear nor full, [#PAGE_BYTES] of them.
    public void copyPage(int page, ByteBuffer out) {
        for (long word : pages[page]) {
            out.putLong(word);
        }
    }

    /// Adds all blocks of a page.
    public void fillPage(int page) {
        long first = (long) page << PAGE_BITS;
        addRange(first, first + pageSize(page));
    }

    /// Adds the blocks whose bits the buffer holds, [#PAGE_BYTES] of them; bits behind the device's
    /// end are ignored.
    public void loadPage(int page, ByteBuffer in) {
        long first = (long) page << PAGE_BITS;
        for (int w = 0; w < PAGE_WORDS; w++) {
            for (long word = in.getLong(); word != 0; word &= word - 1) {
                long block = first + w * 64L + Long.numberOfTrailingZeros(word);
                if (block < blocks) {
                    add(block);
                }
            }
        }
    }

    private int pageSize(int p) {
        return (int) Math.min(PAGE_BLOCKS, blocks - ((long) p << PAGE_BITS));
    }

    private boolean isWholePage(int p, long from, long to) {
        return from == (long) p << PAGE_BITS && to - from == pageSize(p);
    }

    private long[] writable(int p) {
        if (pages[p] == null) {
            pages[p] = new long[PAGE_WORDS];
        } else if (pages[p] == FULL) {
            long[] page = new long[PAGE_WORDS];
            change(page, (long) p << PAGE_BITS, ((long) p << PAGE_BITS) + pageSize(p), true);
            pages[p] = page;
        }
        return pages[p];
    }

    /// Sets or clears a range within one page and says how many bits changed.
    private static int change(long[] page, long from, long to, boolean set) {
        int changed = 0;
        for (long at = from; at < to; ) {
            int w = wordOf(at);
            long wordEnd = Math.min((at | 63) + 1, to);
            long mask = -1L << at & -1L >>> -wordEnd;
            changed += Long.bitCount(set ? mask & ~page[w] : mask & page[w]);
            page[w] = set ? page[w] | mask : page[w] & ~mask;
            at = wordEnd;
        }
        return changed;
    }

    private static int wordOf(long block) {
        return (int) (block & PAGE_BLOCKS - 1) >>> 6;
    }

    private static int popCount(long[] page) {
        int sum = 0;
        for (long word : page) {
            sum += Long.bitCount(word);
        }
        return sum;
    }

    private static boolean isClear(long[] page) {
        for (long word : page) {
            if (word != 0) {
                return false;
            }
        }
        return true;
    }
}
