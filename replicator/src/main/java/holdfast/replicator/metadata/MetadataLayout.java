package holdfast.replicator.metadata;

import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Faults;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.Transaction;
import holdfast.replicator.state.Transaction.Blank;
import holdfast.tunnel.wire.Position;

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
///  | transaction 0 | 1 | … | recordSlots-1 | bitmap page 0 | 1 | 2 | …
/// ```
///
/// Transaction n is in slot n modulo the number of slots; the newest whole one counts. Bitmap page
/// i is always in its place.
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
        return (recordSlots + pageCount()) * MetadataCodec.PAGE_BYTES;
    }

    /// Where the bitmap pages begin.
    public long pagesOffsetBytes() {
        return (long) recordSlots * MetadataCodec.PAGE_BYTES;
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
        return (recordSlots + page) * MetadataCodec.PAGE_BYTES;
    }

    /// The transaction that makes a new file one.
    ///
    /// @param blank what is true of all blocks
    public static Transaction first(
            Blank blank, long number, Position acknowledged, long peerCopy) {
        return new Transaction(
                number, 1, blank, acknowledged, peerCopy, false, List.of(), List.of());
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

    /// The write of the transaction's record.
    public Piece record(Transaction t) {
        long address = t.number() % recordSlots * MetadataCodec.PAGE_BYTES;
        return new Piece(address, MetadataCodec.record(resource, address, t));
    }

    /// Reads back what is known. A torn or damaged page costs comparing what it stood for; without
    /// the newest transaction everything is compared.
    public Recovered recover(Source source) throws IOException {
        Transaction newest = newest(source);
        if (newest == null) {
            return lost(0, 0, Position.NONE, 0, "no transaction can be read");
        }
        return new Reading(newest).run(source);
    }

    /// The number of the newest transaction that is whole, 0 when none is.
    public long newestTransaction(Source source) throws IOException {
        Transaction newest = newest(source);
        return newest == null ? 0 : newest.number();
    }

    private Transaction newest(Source source) throws IOException {
        Transaction newest = null;
        ByteBuffer page = ByteBuffer.allocateDirect(MetadataCodec.PAGE_BYTES);
        for (int slot = 0; slot < recordSlots; slot++) {
            long address = (long) slot * MetadataCodec.PAGE_BYTES;
            source.read(address, page.clear());
            if (MetadataCodec.decode(page.flip(), resource, address, 0, 0)
                            instanceof MetadataCodec.Found.Change(Transaction t)
                    && (newest == null || Faults.M24 || t.number() > newest.number())) {
                newest = t;
            }
        }
        return newest;
    }

    /// Everything is compared, in a new era.
    private Recovered lost(
            long transaction, long era, Position acknowledged, long peerCopy, String why) {
        Kept kept =
                new Kept(
                        transaction,
                        era,
                        Blank.SUSPECT,
                        acknowledged,
                        peerCopy,
                        new BlockSet(blocks()),
                        new BlockSet(blocks()),
                        new BlockSet(blocks()),
                        List.of(),
                        true);
        kept.suspect().addAll();
        return new Recovered(kept, why + ": every block is compared");
    }

    /// The bitmap pages, in the light of the newest transaction.
    private final class Reading {
        private final Transaction newest;
        private final BlockSet dirty = new BlockSet(blocks());
        private final BlockSet suspect = new BlockSet(blocks());
        private final BlockSet onDisk = new BlockSet(blocks());
        private long transaction;
        private Position acknowledged;
        private long peerCopy;
        private int broken;
        private String why;
        private boolean newestIsLost;

        private Reading(Transaction newest) {
            this.newest = newest;
            this.transaction = newest.number();
            this.acknowledged = newest.acknowledged();
            this.peerCopy = newest.peerCopy();
        }

        private Recovered run(Source source) throws IOException {
            ByteBuffer chunk = ByteBuffer.allocateDirect(READ_PAGES * MetadataCodec.PAGE_BYTES);
            long next = 0; // The first page that was not looked at.
            for (long at = 0; at < pageCount(); ) {
                long data = source.nextData(pageAddress(at));
                at = Math.max(at, data / MetadataCodec.PAGE_BYTES - recordSlots);
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
            if (newestIsLost) {
                return lost(
                        transaction,
                        newest.era(),
                        acknowledged,
                        peerCopy,
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
                            acknowledged,
                            peerCopy,
                            dirty,
                            suspect,
                            onDisk,
                            newest.extents(),
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
                acknowledged = found.acknowledged();
                peerCopy = found.peerCopy();
            }
            BitSet bits = BitSet.valueOf(found.page().bits());
            long first = found.page().number() * pageBlocks();
            int end = (int) Math.min(pageBlocks(), blocks() - first);
            for (int b = bits.nextSetBit(0); b >= 0 && b < end; ) {
                int part = b / extentBlocks;
                int runEnd =
                        Math.min(Math.min(bits.nextClearBit(b), end), (part + 1) * extentBlocks);
                boolean compare = (found.page().suspectParts() >>> part & 1) != 0;
                (compare ? suspect : dirty).addRange(first + b, first + runEnd);
                onDisk.addRange(first + b, first + runEnd);
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
