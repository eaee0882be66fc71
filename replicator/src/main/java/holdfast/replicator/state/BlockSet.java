package holdfast.replicator.state;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// A set of 4 KiB blocks of one device, held in pages, as a rule of 32,768 blocks (128 MiB of the
/// device), each in the form that takes least:
///
/// | form   | what is in it                     | bytes                    |
/// |--------|-----------------------------------|--------------------------|
/// | clear  | nothing                           | none                     |
/// | full   | all blocks                        | none                     |
/// | coarse | whole granules, 32 to a page      | 4                        |
/// | few    | single blocks, 256 at most        | 2 for each, and 16       |
/// | words  | single blocks                     | 4,112                    |
///
/// The last two come out of a [PageMemory]. Where it has no room the set rounds to granules, up or
/// down as whoever made it said, so what it holds is a superset or a subset of what it was told;
/// without room nothing ever fails. Pages hang in chunks of 128 GiB, so that a clear or full device
/// of 64 TiB takes 2 KiB.
///
/// Not thread-safe: the owner of the resource's lock owns it.
public final class BlockSet {
    public static final int BLOCK_BYTES = 4096;

    /// What happens where memory has no room for what differs within a granule.
    public enum Rounding {
        /// Blocks are added beside those that were meant. To remove some, memory is used that there
        /// is no room for, for two pages at a time.
        UP,
        /// Blocks are left out, or removed beside those that were meant.
        DOWN,
        /// Memory is used all the same.
        NEVER
    }

    private enum Whole {
        FULL,
        COARSE
    }

    /// Pages that hang together.
    private static final class Chunk {
        private final Object[] pages = new Object[CHUNK_PAGES];

        /// Granules of the coarse pages, a bit for each; null where there was none yet.
        private int[] granules;

        private int used;
    }

    private static final int CHUNK_BITS = 10;
    private static final int CHUNK_PAGES = 1 << CHUNK_BITS;
    private static final int GRANULE_BITS = 5;
    private static final int FEW = 256;
    private static final int HEADER_BYTES = 16;
    private static final char[] NONE = {};

    /// Stands for a chunk of full pages.
    private static final Chunk ALL = new Chunk();

    private final long blocks;
    private final PageMemory memory;
    private final Rounding rounding;
    private final int pageBits;
    private final int pageBlocks;
    private final int granuleBlocks;
    private Chunk[] chunks;
    private long count;

    /// Blocks may be in it beside those that were meant.
    private boolean rounded;

    /// Pages for which memory was used that there was no room for, two at most.
    private final List<Integer> overdrawn = new ArrayList<>(2);

    /// An empty set over a device of `blocks` blocks, which is always exact.
    public BlockSet(long blocks) {
        this(blocks, PageMemory.of(PageMemory.PAGE_BITS, Long.MAX_VALUE), Rounding.NEVER);
    }

    /// An empty set over a device of `blocks` blocks.
    public BlockSet(long blocks, PageMemory memory, Rounding rounding) {
        this.blocks = blocks;
        this.memory = memory;
        this.rounding = rounding;
        this.pageBits = memory.pageBits();
        this.pageBlocks = 1 << pageBits;
        this.granuleBlocks = 1 << pageBits - GRANULE_BITS;
        int chunkBits = pageBits + CHUNK_BITS;
        this.chunks = new Chunk[Math.toIntExact((blocks + (1L << chunkBits) - 1) >>> chunkBits)];
    }

    /// An empty set over the same device, out of the same memory.
    public BlockSet another(Rounding rounding) {
        return new BlockSet(blocks, memory, rounding);
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

    /// Whether blocks may be in it beside those that were meant, since it was clear last.
    public boolean isRoundedUp() {
        return rounded;
    }

    /// Whether some granule of it is there as a whole. Of a set that was read again it is all that
    /// says that it may have been rounded.
    public boolean hasWholeGranules() {
        for (int c = 0; c < chunks.length; c++) {
            if (chunks[c] == ALL) {
                return true;
            }
            for (int i = 0; chunks[c] != null && i < CHUNK_PAGES; i++) {
                if (chunks[c].pages[i] != null && hasWholeGranules((c << CHUNK_BITS) + i)) {
                    return true;
                }
            }
        }
        return false;
    }

    private boolean hasWholeGranules(int p) {
        Object page = page(p);
        if (page instanceof Whole) {
            return true;
        }
        for (int from = 0; from < pageSize(p); from += granuleBlocks) {
            int to = Math.min(from + granuleBlocks, pageSize(p));
            if (next(p, page, from) == from && runEnd(p, page, from) >= to) {
                return true;
            }
        }
        return false;
    }

    /// Blocks of the device.
    public long capacity() {
        return blocks;
    }

    public boolean contains(long block) {
        int p = pageOf(block);
        Object page = page(p);
        return page != null
                && (page == Whole.FULL || next(p, page, inPage(block)) == inPage(block));
    }

    // ---- changes
    // ---------------------------------------------------------------------------------

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
            int c = chunkOf(at);
            if (at == firstOf(c) && to >= endOf(c)) {
                replace(c, ALL, endOf(c) - at);
                at = endOf(c);
            } else {
                int p = pageOf(at);
                long end = Math.min(firstBlock(p) + pageBlocks, to);
                addInPage(p, inPage(at), (int) (end - firstBlock(p)));
                at = end;
            }
        }
    }

    /// Whether the blocks would be added without rounding, as far as one can say beforehand.
    public boolean hasRoomFor(long from, long to) {
        return memory.hasRoom((pageOf(to - 1) - pageOf(from) + 1) * wordsBytes());
    }

    /// Whether they would be removed without rounding and without overdrawing the memory.
    public boolean hasRoomToRemove(long from, long to) {
        long bytes = 0;
        for (long at = from; at < to; ) {
            int p = pageOf(at);
            long end = Math.min(firstBlock(p) + pageBlocks, to);
            boolean isWhole = page(p) instanceof Whole;
            int torn = torn(p, inPage(at), (int) (end - firstBlock(p)));
            bytes += isWhole && (granules(p, page(p)) & torn) != 0 ? wordsBytes() : 0;
            at = end;
        }
        return bytes == 0 || memory.hasRoom(bytes);
    }

    public void remove(long block) {
        removeRange(block, block + 1);
    }

    /// Removes `from` (inclusive) to `to` (exclusive).
    public void removeRange(long from, long to) {
        for (long at = from; at < to; ) {
            int c = chunkOf(at);
            if (chunks[c] == null) {
                at = endOf(c);
            } else if (at == firstOf(c) && to >= endOf(c)) {
                replace(c, null, 0);
                at = endOf(c);
            } else {
                int p = pageOf(at);
                long end = Math.min(firstBlock(p) + pageBlocks, to);
                removeInPage(p, inPage(at), (int) (end - firstBlock(p)), pageOf(from));
                at = end;
            }
        }
    }

    public void clear() {
        rounded = false;
        for (int c = 0; c < chunks.length; c++) {
            if (chunks[c] != null) {
                replace(c, null, 0);
            }
        }
    }

    /// Adds all blocks of `other`, which is a set over the same device with pages of the same size.
    public void addAll(BlockSet other) {
        rounded |= other.rounded;
        for (int c = 0; c < chunks.length; c++) {
            Chunk from = other.chunks[c];
            if (from == ALL) {
                addRange(firstOf(c), endOf(c));
            } else if (from != null) {
                for (int i = 0; i < CHUNK_PAGES; i++) {
                    if (from.pages[i] != null) {
                        addPage((c << CHUNK_BITS) + i, other);
                    }
                }
            }
        }
    }

    private void addPage(int p, BlockSet other) {
        Object mine = page(p);
        Object theirs = other.page(p);
        if (theirs instanceof long[] from && mine instanceof long[] to) {
            for (int w = 0; w < to.length; w++) {
                count += Long.bitCount(from[w] & ~to[w]);
                to[w] |= from[w];
            }
        } else if (mine == null && theirs instanceof long[] from && memory.hasRoom(wordsBytes())) {
            set(p, from.clone());
            count += size(p, from);
        } else if (mine == null && theirs instanceof char[] few && memory.hasRoom(bytesOf(few))) {
            set(p, few);
            count += few.length;
        } else {
            int end = pageSize(p);
            for (int at = other.next(p, theirs, 0); at >= 0; ) {
                int runEnd = other.runEnd(p, theirs, at);
                addInPage(p, at, runEnd);
                at = runEnd < end ? other.next(p, theirs, runEnd) : -1;
            }
        }
    }

    /// Takes out all blocks of `other`, which is a set over the same device.
    public void removeAll(BlockSet other) {
        for (long b = other.next(0); b >= 0; ) {
            long end = other.runEnd(b, blocks - b);
            removeRange(b, end);
            b = end < blocks ? other.next(end) : -1;
        }
    }

    /// Becomes what `other` is, which becomes empty: no memory is needed for it.
    public void takeFrom(BlockSet other) {
        clear();
        Chunk[] empty = chunks;
        chunks = other.chunks;
        count = other.count;
        rounded = other.rounded;
        other.chunks = empty;
        other.count = 0;
        other.rounded = false;
        overdrawn.clear();
        other.overdrawn.clear();
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

    private void addInPage(int p, int from, int to) {
        Object page = page(p);
        if (page == Whole.FULL) {
            return;
        }
        if (from == 0 && to == pageSize(p)) {
            count += to - size(p, page);
            set(p, Whole.FULL);
            return;
        }
        if (page instanceof long[] words) {
            count += change(words, from, to, true);
            return;
        }
        int touched = touched(from, to);
        if (!(page instanceof char[])) {
            int has = granules(p, page);
            if ((torn(p, from, to) & ~has) == 0) {
                setGranules(p, has | touched);
                return;
            }
        }
        if (page != Whole.COARSE) {
            char[] few = page == null ? NONE : (char[]) page;
            if (few.length + to - from <= FEW && memory.hasRoom(HEADER_BYTES + 2L * (to - from))) {
                char[] more = with(few, from, to);
                count += more.length - few.length;
                set(p, more);
                return;
            }
        }
        if (rounding == Rounding.NEVER || memory.hasRoom(wordsBytes())) {
            count += change(words(p, page), from, to, true);
        } else if (rounding == Rounding.UP) {
            rounded = true;
            setGranules(p, covering(p, page) | touched);
        } else if (!(page instanceof char[])) {
            setGranules(p, granules(p, page) | touched & ~torn(p, from, to));
        }
    }

    /// @param first page of what is removed at once
    private void removeInPage(int p, int from, int to, int first) {
        Object page = page(p);
        if (page == null) {
            return;
        }
        if (from == 0 && to == pageSize(p)) {
            count -= size(p, page);
            set(p, null);
        } else if (page instanceof long[] words) {
            count -= change(words, from, to, false);
            if (isClear(words)) {
                set(p, null);
            }
        } else if (page instanceof char[] few) {
            char[] left = without(few, from, to);
            count -= few.length - left.length;
            set(p, left.length == 0 ? null : left);
        } else {
            int has = granules(p, page);
            boolean fits = (torn(p, from, to) & has) == 0;
            boolean hasRoom = fits || memory.hasRoom(wordsBytes());
            if (fits || !hasRoom && rounding == Rounding.DOWN) {
                setGranules(p, has & ~touched(from, to));
                return;
            }
            if (!hasRoom && rounding == Rounding.UP) {
                overdraw(p, first);
            }
            count -= change(words(p, page), from, to, false);
        }
    }

    /// Whoever removes goes through the set from its beginning to its end, so that it does for the
    /// pages where the last removal began and ended. Others are rounded.
    private void overdraw(int p, int first) {
        overdrawn.removeIf(
                before -> {
                    if (before >= first && before <= p) {
                        return false;
                    }
                    if (page(before) instanceof long[] words) {
                        rounded = true;
                        setGranules(before, covering(before, words));
                    }
                    return true;
                });
        overdrawn.add(p);
    }

    // ---- questions
    // -------------------------------------------------------------------------------

    /// The first block of the set at or after `from`, or -1.
    public long next(long from) {
        for (long at = from; at < blocks; ) {
            Chunk chunk = chunks[chunkOf(at)];
            if (chunk == ALL) {
                return at;
            }
            if (chunk == null) {
                at = endOf(chunkOf(at));
                continue;
            }
            int p = pageOf(at);
            Object page = page(p);
            int found = page == null ? -1 : next(p, page, inPage(at));
            if (found >= 0) {
                return firstBlock(p) + found;
            }
            at = firstBlock(p) + pageBlocks;
        }
        return -1;
    }

    /// The end (exclusive) of the run of set blocks that begins at `from`, at most `limit` blocks
    /// on.
    public long runEnd(long from, long limit) {
        long end = Math.min(blocks, from + limit);
        long at = from;
        while (at < end) {
            Chunk chunk = chunks[chunkOf(at)];
            if (chunk == ALL) {
                at = endOf(chunkOf(at));
                continue;
            }
            int p = pageOf(at);
            int runEnd = runEnd(p, page(p), inPage(at));
            at = firstBlock(p) + runEnd;
            if (runEnd < pageSize(p)) {
                break;
            }
        }
        return Math.min(at, end);
    }

    /// The number of runs of set blocks, where a run ends at the end of its page at the latest.
    public long runCount() {
        long runs = 0;
        for (int c = 0; c < chunks.length; c++) {
            if (chunks[c] == ALL) {
                runs += (endOf(c) - firstOf(c) + pageBlocks - 1) >>> pageBits;
            } else if (chunks[c] != null) {
                for (int i = 0; i < CHUNK_PAGES; i++) {
                    runs += runCount((c << CHUNK_BITS) + i, chunks[c].pages[i]);
                }
            }
        }
        return runs;
    }

    private int runCount(int p, Object page) {
        if (page == Whole.COARSE) {
            int granules = granules(p, page);
            return Integer.bitCount(granules & ~(granules << 1));
        }
        if (page == null || page == Whole.FULL) {
            return page == null ? 0 : 1;
        }
        int runs = 0;
        if (page instanceof char[] few) {
            for (int i = 0; i < few.length; i++) {
                runs += i == 0 || few[i] != few[i - 1] + 1 ? 1 : 0;
            }
            return runs;
        }
        long before = 0;
        for (long word : (long[]) page) {
            runs += Long.bitCount(word & ~(word << 1 | before));
            before = word >>> 63;
        }
        return runs;
    }

    /// The run of [#runCount] that `block`, which is in the set, belongs to.
    public BlockRun runAround(long block) {
        int p = pageOf(block);
        Object page = page(p);
        int first = inPage(block);
        while (first > 0 && page != Whole.FULL && next(p, page, first - 1) == first - 1) {
            first--;
        }
        first = page == Whole.FULL ? 0 : first;
        return new BlockRun(firstBlock(p) + first, runEnd(p, page, inPage(block)) - first);
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
        long word = word(from) >>> from;
        return (from & 63) == 0 || (from | 63) + 1 >= blocks
                ? word
                : word | word((from | 63) + 1) << -from;
    }

    /// The 64 blocks, from a multiple of 64 on, of which this is one.
    private long word(long block) {
        int p = pageOf(block);
        Object page = page(p);
        if (page == null) {
            return 0;
        }
        int at = inPage(block);
        if (page instanceof long[] words) {
            return words[at >>> 6];
        }
        int first = at & ~63;
        int end = Math.min(first + 64, pageSize(p));
        long word = 0;
        for (int b = next(p, page, first); b >= 0 && b < end; ) {
            int runEnd = Math.min(end, runEnd(p, page, b));
            word |= -1L << b & -1L >>> -runEnd;
            b = runEnd < end ? next(p, page, runEnd) : -1;
        }
        return word;
    }

    // ---- chunks and pages
    // ------------------------------------------------------------------------

    private int chunkOf(long block) {
        return (int) (block >>> pageBits + CHUNK_BITS);
    }

    private long firstOf(int chunk) {
        return (long) chunk << pageBits + CHUNK_BITS;
    }

    private long endOf(int chunk) {
        return Math.min(blocks, firstOf(chunk + 1));
    }

    private int pageOf(long block) {
        return (int) (block >>> pageBits);
    }

    private int inPage(long block) {
        return (int) block & pageBlocks - 1;
    }

    private long firstBlock(int p) {
        return (long) p << pageBits;
    }

    private int pageSize(int p) {
        return (int) Math.min(pageBlocks, blocks - firstBlock(p));
    }

    private Object page(int p) {
        Chunk chunk = chunks[p >>> CHUNK_BITS];
        if (chunk == null) {
            return null;
        }
        return chunk == ALL ? Whole.FULL : chunk.pages[p & CHUNK_PAGES - 1];
    }

    /// A chunk becomes clear or full as a whole.
    private void replace(int c, Chunk with, long blocksThen) {
        Chunk was = chunks[c];
        if (was == ALL) {
            count -= endOf(c) - firstOf(c);
        } else if (was != null) {
            for (int i = 0; i < CHUNK_PAGES; i++) {
                Object page = was.pages[i];
                if (page != null) {
                    count -= size((c << CHUNK_BITS) + i, page);
                    memory.use(-bytesOf(page));
                }
            }
        }
        chunks[c] = with;
        count += blocksThen;
    }

    /// Its blocks are counted by the caller.
    private void set(int p, Object page) {
        int c = p >>> CHUNK_BITS;
        int i = p & CHUNK_PAGES - 1;
        Chunk chunk = chunks[c];
        if (chunk == null || chunk == ALL) {
            chunk = new Chunk();
            if (chunks[c] == ALL) {
                chunk.used = (int) (endOf(c) - firstOf(c) + pageBlocks - 1 >>> pageBits);
                Arrays.fill(chunk.pages, 0, chunk.used, Whole.FULL);
            }
            chunks[c] = chunk;
        }
        Object was = chunk.pages[i];
        memory.use(bytesOf(page) - bytesOf(was));
        chunk.pages[i] = page;
        chunk.used += (page == null ? 0 : 1) - (was == null ? 0 : 1);
        if (chunk.used == 0) {
            chunks[c] = null;
        }
    }

    private void setGranules(int p, int granules) {
        count += sizeOfGranules(p, granules) - size(p, page(p));
        if (granules == 0 || granules == allGranules(p)) {
            set(p, granules == 0 ? null : Whole.FULL);
            return;
        }
        set(p, Whole.COARSE);
        Chunk chunk = chunks[p >>> CHUNK_BITS];
        if (chunk.granules == null) {
            chunk.granules = new int[CHUNK_PAGES];
        }
        chunk.granules[p & CHUNK_PAGES - 1] = granules;
    }

    /// The page as words, from now on.
    private long[] words(int p, Object page) {
        long[] words = new long[pageBlocks >>> 6];
        if (page instanceof char[] few) {
            for (char b : few) {
                words[b >>> 6] |= 1L << b;
            }
        } else {
            for (int left = granules(p, page); left != 0; left &= left - 1) {
                int first = Integer.numberOfTrailingZeros(left) * granuleBlocks;
                change(words, first, Math.min(first + granuleBlocks, pageSize(p)), true);
            }
        }
        set(p, words);
        return words;
    }

    private long wordsBytes() {
        return pageBlocks / 8L + HEADER_BYTES;
    }

    private static long bytesOf(Object page) {
        return switch (page) {
            case long[] words -> words.length * 8L + HEADER_BYTES;
            case char[] few -> few.length * 2L + HEADER_BYTES;
            case null, default -> 0;
        };
    }

    private int size(int p, Object page) {
        if (page == null || page instanceof Whole) {
            return sizeOfGranules(p, granules(p, page));
        }
        if (page instanceof char[] few) {
            return few.length;
        }
        int sum = 0;
        for (long word : (long[]) page) {
            sum += Long.bitCount(word);
        }
        return sum;
    }

    /// The first block of a page that is not clear at or after `from`, or -1.
    private int next(int p, Object page, int from) {
        if (page == Whole.FULL) {
            return from;
        }
        if (page == Whole.COARSE) {
            int left = granules(p, page) & -1 << from / granuleBlocks;
            return left == 0
                    ? -1
                    : Math.max(from, Integer.numberOfTrailingZeros(left) * granuleBlocks);
        }
        if (page instanceof char[] few) {
            int i = Arrays.binarySearch(few, (char) from);
            i = i < 0 ? -i - 1 : i;
            return i < few.length ? few[i] : -1;
        }
        long[] words = (long[]) page;
        int w = from >>> 6;
        long word = words[w] & -1L << from;
        while (word == 0 && ++w < words.length) {
            word = words[w];
        }
        return word == 0 ? -1 : w * 64 + Long.numberOfTrailingZeros(word);
    }

    /// Where the run that begins at `from` ends within the page; `from` when it is not in the set.
    private int runEnd(int p, Object page, int from) {
        int end = pageSize(p);
        if (page == null || page == Whole.FULL) {
            return page == null ? from : end;
        }
        if (page == Whole.COARSE) {
            int others = ~granules(p, page) & -1 << from / granuleBlocks;
            int gap = Integer.numberOfTrailingZeros(others) * granuleBlocks;
            return Math.max(from, Math.min(end, gap));
        }
        if (page instanceof char[] few) {
            int at = from;
            for (int i = Arrays.binarySearch(few, (char) from);
                    i >= 0 && i < few.length && few[i] == at;
                    i++) {
                at++;
            }
            return at;
        }
        long[] words = (long[]) page;
        int w = from >>> 6;
        long gaps = ~words[w] & -1L << from;
        while (gaps == 0 && ++w < words.length) {
            gaps = ~words[w];
        }
        return gaps == 0 ? end : Math.min(end, w * 64 + Long.numberOfTrailingZeros(gaps));
    }

    // ---- granules
    // --------------------------------------------------------------------------------

    /// Of a page that is clear, full or coarse.
    private int granules(int p, Object page) {
        if (page == null) {
            return 0;
        }
        return page == Whole.FULL
                ? allGranules(p)
                : chunks[p >>> CHUNK_BITS].granules[p & CHUNK_PAGES - 1];
    }

    private int allGranules(int p) {
        return -1 >>> 32 - Math.ceilDiv(pageSize(p), granuleBlocks);
    }

    private int sizeOfGranules(int p, int granules) {
        int all = Integer.bitCount(granules) * granuleBlocks;
        int last = (pageSize(p) - 1) / granuleBlocks;
        int missing = (last + 1) * granuleBlocks - pageSize(p);
        return (granules >>> last & 1) == 0 ? all : all - missing;
    }

    /// The granules that the range of a page touches.
    private int touched(int from, int to) {
        int last = (to - 1) / granuleBlocks;
        return -1 << from / granuleBlocks & -1 >>> 31 - last;
    }

    /// Those that it touches in part.
    private int torn(int p, int from, int to) {
        int torn = from % granuleBlocks == 0 ? 0 : 1 << from / granuleBlocks;
        return to % granuleBlocks == 0 || to == pageSize(p) ? torn : torn | 1 << to / granuleBlocks;
    }

    /// The granules in which the page has anything.
    private int covering(int p, Object page) {
        if (page == null || page instanceof Whole) {
            return granules(p, page);
        }
        int granules = 0;
        for (int b = next(p, page, 0); b >= 0; ) {
            granules |= 1 << b / granuleBlocks;
            int behind = (b / granuleBlocks + 1) * granuleBlocks;
            b = behind < pageSize(p) ? next(p, page, behind) : -1;
        }
        return granules;
    }

    // ---- few blocks, and words
    // -------------------------------------------------------------------

    private static char[] with(char[] few, int from, int to) {
        char[] rest = without(few, from, to);
        int at = Arrays.binarySearch(rest, (char) from);
        at = at < 0 ? -at - 1 : at;
        char[] more = new char[rest.length + to - from];
        System.arraycopy(rest, 0, more, 0, at);
        for (int b = from; b < to; b++) {
            more[at + b - from] = (char) b;
        }
        System.arraycopy(rest, at, more, at + to - from, rest.length - at);
        return more;
    }

    private static char[] without(char[] few, int from, int to) {
        int first = Arrays.binarySearch(few, (char) from);
        first = first < 0 ? -first - 1 : first;
        int end = first;
        while (end < few.length && few[end] < to) {
            end++;
        }
        if (end == first) {
            return few;
        }
        char[] left = Arrays.copyOf(few, few.length - (end - first));
        System.arraycopy(few, end, left, first, few.length - end);
        return left;
    }

    /// Sets or clears a range within one page and says how many bits changed.
    private static int change(long[] words, int from, int to, boolean set) {
        int changed = 0;
        for (int at = from; at < to; ) {
            int w = at >>> 6;
            int wordEnd = Math.min((at | 63) + 1, to);
            long mask = -1L << at & -1L >>> -wordEnd;
            changed += Long.bitCount(set ? mask & ~words[w] : mask & words[w]);
            words[w] = set ? words[w] | mask : words[w] & ~mask;
            at = wordEnd;
        }
        return changed;
    }

    private static boolean isClear(long[] words) {
        for (long word : words) {
            if (word != 0) {
                return false;
            }
        }
        return true;
    }
}
