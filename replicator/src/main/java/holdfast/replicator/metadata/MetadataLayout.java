package holdfast.replicator.metadata;

import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.DurableBitmap;
import holdfast.replicator.state.Faults;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.PageMemory;
import holdfast.replicator.state.PeerCopy;
import holdfast.replicator.state.Transaction;
import holdfast.replicator.state.Transaction.Blank;
import holdfast.replicator.state.WriteTimes;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.UUID;

/// Where the pages of a primary's metadata lie, and what they say together when they are read back:
/// no I/O of its own.
///
/// ```
///  | transaction 0 | 1 | … | recordSlots-1 | 0 | 1 | … | recordSlots-1 | bitmap page 0 | 1 | 2 | …
/// ```
///
/// Transaction n is in slot n modulo the number of slots, twice, both written before one sync; the
/// newest of which a copy is whole counts. Bitmap page i is always in its place.
///
/// **Torn or damaged?** A record is durable when both copies are. So one whole copy of what the
/// slot held before proves that its successor never was: what a power cut tore is passed over. A
/// slot of which no copy is whole may have held what was durable, and nobody can tell: if it is the
/// one behind the newest that is left, everything is compared. A new file holds its first
/// transaction in all slots, so that zeroes are no old record.
///
/// @param resource whose metadata it is
/// @param sizeBytes of the device
/// @param extentBlocks blocks of an extent of the activity log
/// @param recordSlots transactions that are kept, 2 at least
public record MetadataLayout(UUID resource, long sizeBytes, int extentBlocks, int recordSlots) {
    /// A file to read from.
    public interface Source {
        void read(long offsetBytes, ByteBuffer into) throws IOException;

        /// Where data begin that may be other than zero, at or behind this byte; the end of the
        /// file where there are none.
        long nextData(long offsetBytes) throws IOException;
    }

    /// One write into the file.
    public record Piece(long offsetBytes, ByteBuffer data) {}

    /// What was read back.
    ///
    /// @param damage null, or what is wrong and what is done about it, for the operator
    public record Recovered(Kept kept, String damage) {}

    private static final int READ_PAGES = 64;

    /// Transactions that a file keeps: two are needed, more spread the wear.
    public static final int RECORD_SLOTS = 64;

    public long fileBytes() {
        return (firstPage() + pageCount()) * MetadataCodec.PAGE_BYTES;
    }

    /// Where the bitmap pages begin.
    public long pagesOffsetBytes() {
        return firstPage() * MetadataCodec.PAGE_BYTES;
    }

    private long firstPage() {
        return 2L * recordSlots;
    }

    private long blocks() {
        return BlockSet.blocksOf(sizeBytes);
    }

    private int pageBlocks() {
        return Transaction.Page.blocks(extentBlocks);
    }

    private int pageWords() {
        return (pageBlocks() + 63) / 64;
    }

    private long pageCount() {
        return (blocks() + pageBlocks() - 1) / pageBlocks();
    }

    private long pageAddress(long page) {
        return (firstPage() + page) * MetadataCodec.PAGE_BYTES;
    }

    /// The transaction that makes a new file one.
    ///
    /// @param blank what is true of all blocks
    public static Transaction first(Blank blank, long number, PeerCopy peer) {
        return new Transaction(number, 1, blank, peer, false, List.of(), List.of());
    }

    /// The writes that make a new file of zeroes one. In the other slots the transaction stands
    /// under the numbers before its own.
    public List<Piece> beginning(Transaction first) {
        List<Piece> pieces = new ArrayList<>(2 * recordSlots);
        for (int before = recordSlots - 1; before >= 0; before--) {
            pieces.addAll(
                    records(
                            new Transaction(
                                    first.number() - before,
                                    first.era(),
                                    first.blank(),
                                    first.peer(),
                                    first.told(),
                                    first.wrote(),
                                    false,
                                    List.of(),
                                    first.extents())));
        }
        return pieces;
    }

    /// The writes of the transaction's pages.
    public List<Piece> pages(Transaction t) {
        List<Piece> pieces = new ArrayList<>(t.pages().size());
        for (Transaction.Page page : t.pages()) {
            long address = pageAddress(page.number());
            pieces.add(new Piece(address, MetadataCodec.page(resource, address, t, page)));
        }
        return pieces;
    }

    /// The writes of the transaction's record, two calls: so a power cut tears both hardly ever.
    public List<Piece> records(Transaction t) {
        long address = slotAddress(t.number());
        long second = address + secondCopy();
        return List.of(
                new Piece(address, MetadataCodec.record(resource, address, t)),
                new Piece(second, MetadataCodec.record(resource, second, t)));
    }

    private long slotAddress(long transaction) {
        return Math.floorMod(transaction, (long) recordSlots) * MetadataCodec.PAGE_BYTES;
    }

    /// Bytes from the first copy of a record to the second.
    private long secondCopy() {
        return (long) recordSlots * MetadataCodec.PAGE_BYTES;
    }

    /// Reads back what is known. A torn or damaged page costs comparing what it stood for; without
    /// the newest transaction everything is compared.
    ///
    /// @param memory of the sets; where it has no room whole extents are to be compared
    public Recovered recover(Source source, PageMemory memory) throws IOException {
        Newest newest = newest(source);
        if (newest.transaction == null) {
            return lost(memory, 0, 0, PeerCopy.UNKNOWN, "no transaction can be read");
        }
        return new Reading(newest.transaction, newest.whole, memory).run(source);
    }

    /// The same, with as much memory as it takes.
    public Recovered recover(Source source) throws IOException {
        return recover(source, PageMemory.of(PageMemory.PAGE_BITS, Long.MAX_VALUE));
    }

    /// The number of the newest transaction that is whole, 0 when none is.
    public long newestTransaction(Source source) throws IOException {
        Transaction newest = newest(source).transaction;
        return newest == null ? 0 : newest.number();
    }

    /// @param transaction null when none is whole
    /// @param whole slots of which a copy is
    private record Newest(Transaction transaction, BitSet whole) {}

    private Newest newest(Source source) throws IOException {
        Transaction newest = null;
        BitSet whole = new BitSet(recordSlots);
        for (int page = 0; page < 2 * recordSlots; page++) {
            Transaction found = transaction(source, page);
            if (found != null) {
                whole.set(page % recordSlots);
                if (newest == null || Faults.M24 || found.number() > newest.number()) {
                    newest = found;
                }
            }
        }
        return new Newest(newest, whole);
    }

    /// What is whole in one page of the slots; null for nothing.
    private Transaction transaction(Source source, int number) throws IOException {
        ByteBuffer page = ByteBuffer.allocateDirect(MetadataCodec.PAGE_BYTES);
        long address = (long) number * MetadataCodec.PAGE_BYTES;
        source.read(address, page);
        return MetadataCodec.decode(page.flip(), resource, address, 0, 0)
                                instanceof MetadataCodec.Found.Change(Transaction t)
                        && slotAddress(t.number()) == address % secondCopy()
                ? t
                : null;
    }

    /// Everything is compared, in a new era.
    private Recovered lost(
            PageMemory memory, long transaction, long era, PeerCopy peer, String why) {
        Kept kept =
                new Kept(
                        transaction,
                        era,
                        Blank.SUSPECT,
                        peer,
                        transaction,
                        WriteTimes.LOST,
                        new BlockSet(blocks(), memory, BlockSet.Rounding.UP),
                        new BlockSet(blocks(), memory, BlockSet.Rounding.UP),
                        new BlockSet(blocks(), memory, BlockSet.Rounding.NEVER),
                        new BitSet(),
                        List.of(),
                        true,
                        false);
        kept.suspect().addAll();
        return new Recovered(kept, why + ": every block is compared");
    }

    /// The bitmap pages, in the light of the newest transaction.
    private final class Reading {
        private final Transaction newest;
        private final PageMemory memory;
        private final BitSet whole;
        private final BlockSet dirty;
        private final BlockSet suspect;
        private final BlockSet onDisk;
        private final BitSet unknown = new BitSet();
        private long transaction;
        private PeerCopy peer;
        private int broken;
        private String why;
        private boolean newestIsLost;

        /// @param whole slots of which a copy can be read
        private Reading(Transaction newest, BitSet whole, PageMemory memory) {
            this.newest = newest;
            this.whole = whole;
            this.memory = memory;
            this.dirty = new BlockSet(blocks(), memory, BlockSet.Rounding.UP);
            this.suspect = dirty.another(BlockSet.Rounding.UP);
            this.onDisk = dirty.another(BlockSet.Rounding.NEVER);
            this.transaction = newest.number();
            this.peer = newest.peer();
        }

        /// Whether there may have been a newer one. A transaction of which only pages are durable
        /// has used up its number, so the one behind it is looked at as well.
        private boolean mayBeLost() {
            for (long number = newest.number() + 1; number <= transaction + 1; number++) {
                if (!whole.get((int) Math.floorMod(number, (long) recordSlots))) {
                    return true;
                }
            }
            return false;
        }

        private Recovered run(Source source) throws IOException {
            ByteBuffer chunk = ByteBuffer.allocateDirect(READ_PAGES * MetadataCodec.PAGE_BYTES);
            long next = 0; // The first page that was not looked at.
            for (long at = 0; at < pageCount(); ) {
                long data = source.nextData(pageAddress(at));
                at = Math.max(at, data / MetadataCodec.PAGE_BYTES - firstPage());
                if (at >= pageCount()) {
                    break;
                }
                blank(next, at);
                int count = (int) Math.min(READ_PAGES, pageCount() - at);
                source.read(pageAddress(at), chunk.clear().limit(count * MetadataCodec.PAGE_BYTES));
                for (int i = 0; i < count; i++) {
                    ByteBuffer page =
                            chunk.slice(i * MetadataCodec.PAGE_BYTES, MetadataCodec.PAGE_BYTES);
                    take(at + i, page);
                }
                at += count;
                next = at;
            }
            blank(next, pageCount());
            if (newestIsLost || mayBeLost()) {
                return lost(
                        memory,
                        transaction,
                        newest.era(),
                        peer,
                        "the newest transaction cannot be read");
            }
            if (!Faults.M31) {
                for (long extent : newest.extents()) {
                    long first = extent * extentBlocks;
                    suspect.addRange(
                            Math.min(first, blocks()), Math.min(first + extentBlocks, blocks()));
                }
            }
            Kept kept =
                    new Kept(
                            transaction,
                            newest.era(),
                            newest.blank(),
                            peer,
                            newest.told(),
                            newest.wrote(),
                            dirty,
                            suspect,
                            onDisk,
                            unknown,
                            newest.extents(),
                            false,
                            false);
            return new Recovered(
                    kept,
                    broken == 0
                            ? null
                            : "%d pages of the bitmap cannot be used (the last: %s): what they"
                                            .formatted(broken, why)
                                    + " stood for is compared");
        }

        private void take(long number, ByteBuffer page) {
            switch (MetadataCodec.decode(
                    page, resource, pageAddress(number), number, pageWords())) {
                case MetadataCodec.Found.Blank _ -> blank(number, number + 1);
                case MetadataCodec.Found.Change _ -> broken(number, "a transaction stands there");
                case MetadataCodec.Found.Broken(String cause) -> broken(number, cause);
                case MetadataCodec.Found.Bits bits -> {
                    if (bits.era() > newest.era() || bits.transaction() > newest.number() + 1) {
                        // Written after the newest record that is left: that one is gone.
                        newestIsLost = true;
                        transaction = Math.max(transaction, bits.transaction());
                    } else if (bits.era() < newest.era()) {
                        blank(number, number + 1);
                    } else {
                        take(bits);
                    }
                }
            }
        }

        private void take(MetadataCodec.Found.Bits found) {
            if (found.transaction() > transaction) {
                transaction = found.transaction();
                peer = found.peer();
            }
            if (!DurableBitmap.load(onDisk, found.page(), pageBlocks())) {
                unknown.set((int) found.page().number());
            }
            BitSet bits = BitSet.valueOf(found.page().bits());
            long first = found.page().number() * pageBlocks();
            int end = (int) Math.min(pageBlocks(), blocks() - first);
            for (int b = bits.nextSetBit(0); b >= 0 && b < end; ) {
                int part = b / extentBlocks;
                int runEnd =
                        Math.min(Math.min(bits.nextClearBit(b), end), (part + 1) * extentBlocks);
                boolean compare = (found.page().suspectParts() >>> part & 1) != 0;
                boolean rounds = !dirty.hasRoomFor(first + b, first + runEnd);
                (compare || rounds ? suspect : dirty).addRange(first + b, first + runEnd);
                b = bits.nextSetBit(runEnd);
            }
        }

        private void broken(long number, String cause) {
            broken++;
            why = "byte %d: %s".formatted(pageAddress(number), cause);
            mark(number, number + 1, suspect);
        }

        private void blank(long from, long to) {
            switch (newest.blank()) {
                case CLEAR -> {}
                case MISSING -> mark(from, to, dirty);
                case SUSPECT -> mark(from, to, suspect);
            }
        }

        private void mark(long from, long to, BlockSet as) {
            long first = Math.min(from * pageBlocks(), blocks());
            long end = Math.min(to * pageBlocks(), blocks());
            if (first < end) {
                as.addRange(first, end);
                onDisk.addRange(first, end);
            }
        }
    }
}
