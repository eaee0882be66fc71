package holdfast.replicator.metadata;

import holdfast.replicator.state.PeerCopy;
import holdfast.replicator.state.Transaction;
import holdfast.replicator.state.WriteTimes;
import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.zip.CRC32C;

/// The two kinds of page in a primary's metadata file, and their codec: no I/O. A page of 4,096
/// bytes is a header and [#PAYLOAD_BYTES]; integers are big-endian. docs/on-disk-format.md has the
/// same table.
///
/// | offset | bytes | field        | meaning                                                           |
/// |-------:|------:|--------------|-------------------------------------------------------------------|
/// |      0 |     4 | magic        | `0x48464d44`, "HFMD"                                              |
/// |      4 |     1 | version      | [#VERSION]                                                        |
/// |      5 |     1 | kind         | 1 = transaction, 2 = bitmap                                       |
/// |      6 |     1 | peer         | 0: whose bits and positions these are; there is one peer          |
/// |      7 |     1 | blank        | transaction: what a page of another era means, [Transaction.Blank] |
/// |      8 |    16 | resource     | id                                                                |
/// |     24 |     8 | address      | of this page in the file, bytes                                   |
/// |     32 |     8 | transaction  | its number                                                        |
/// |     40 |     8 | era          | bitmap pages of another one have no meaning                       |
/// |     48 |    16 | acknowledged | what the peer is known to have committed                          |
/// |     64 |     8 | peerCopy     | the peer's copy that the last first sync filled, 0 before         |
/// |     72 |     4 | count        | transaction: active extents; bitmap: bit i, part i is suspect     |
/// |     76 |     4 | reserved     | zero                                                              |
/// |     80 |     8 | filled       | how far that has come, in what the peer acknowledged of it        |
/// |     88 |     8 | told         | transaction: the newest that the peer may have been told of       |
/// |     96 |    16 | completeFrom | [PeerCopy#completeFrom]                                           |
/// |    112 |     6 | first        | transaction: wall clock of the oldest write that the peer may lack; 0 none, -1 not known |
/// |    118 |     6 | last         | transaction: wall clock of the newest write; likewise             |
/// |    124 |     4 | crc          | CRC-32C of the header before it and of the payload                |
/// |    128 | 3,968 | payload      | transaction: extents, 4 bytes each; bitmap: 31,744 bits, 8 bytes for 64 blocks, lowest first |
public final class MetadataCodec {
    public static final int PAGE_BYTES = 4096;
    public static final int VERSION = 1;

    /// Extents that a transaction can list.
    public static final int MAX_EXTENTS = 992;

    static final int HEADER_BYTES = 128;
    static final int PAYLOAD_BYTES = PAGE_BYTES - HEADER_BYTES;

    private static final int MAGIC = 0x48464d44;
    private static final int CRC_OFFSET = 124;

    /// What stands at a place of the file.
    sealed interface Found {
        /// Never written.
        record Blank() implements Found {}

        record Broken(String why) implements Found {}

        /// A transaction's record: its pages are elsewhere.
        record Change(Transaction transaction) implements Found {}

        /// A bitmap page, and what its transaction knew of the peer.
        record Bits(Transaction.Page page, long transaction, long era, PeerCopy peer)
                implements Found {}
    }

    private MetadataCodec() {}

    /// The record of a transaction, for this address of the file.
    public static ByteBuffer record(UUID resource, long address, Transaction t) {
        ByteBuffer out = header(1, t.blank().ordinal(), resource, address, t);
        if (t.extents().size() > MAX_EXTENTS) {
            throw new IllegalArgumentException(t.extents().size() + " active extents");
        }
        out.putInt(72, t.extents().size()).putLong(88, t.told());
        putMillis(out, 112, t.wrote().firstMillis());
        putMillis(out, 118, t.wrote().lastMillis());
        for (long extent : t.extents()) {
            out.putInt(Math.toIntExact(extent));
        }
        return sealed(out);
    }

    /// One of the pages of a transaction, for this address of the file.
    public static ByteBuffer page(
            UUID resource, long address, Transaction t, Transaction.Page page) {
        ByteBuffer out = header(2, 0, resource, address, t);
        out.putInt(72, page.suspectParts());
        for (long word : page.bits()) {
            out.putLong(word);
        }
        return sealed(out);
    }

    private static ByteBuffer header(
            int kind, int blank, UUID resource, long address, Transaction t) {
        // Not direct: a sweep makes hundreds, and nothing would free them before the heap is full.
        ByteBuffer out = ByteBuffer.allocate(PAGE_BYTES);
        out.putInt(MAGIC).put((byte) VERSION).put((byte) kind).put((byte) 0).put((byte) blank);
        out.putLong(resource.getMostSignificantBits()).putLong(resource.getLeastSignificantBits());
        out.putLong(address).putLong(t.number()).putLong(t.era());
        t.peer().acknowledged().write(out);
        out.putLong(t.peer().id()).putLong(80, t.peer().filled()).position(96);
        t.peer().completeFrom().write(out);
        return out.position(HEADER_BYTES);
    }

    /// A time that is no earlier than 1970 and no later than 6429, or -1.
    private static void putMillis(ByteBuffer out, int at, long millis) {
        out.putShort(at, (short) (millis >>> 32)).putInt(at + 2, (int) millis);
    }

    private static long millis(ByteBuffer in, int at) {
        return (long) in.getShort(at) << 32 | Integer.toUnsignedLong(in.getInt(at + 2));
    }

    private static ByteBuffer sealed(ByteBuffer out) {
        out.clear();
        return out.putInt(CRC_OFFSET, crc(out));
    }

    private static int crc(ByteBuffer page) {
        CRC32C crc = new CRC32C();
        crc.update(page.slice(0, CRC_OFFSET));
        crc.update(page.slice(HEADER_BYTES, PAYLOAD_BYTES));
        return (int) crc.getValue();
    }

    /// @param in a page, from its beginning
    /// @param number of a bitmap page
    /// @param words of a bitmap page's bits
    static Found decode(ByteBuffer in, UUID resource, long address, long number, int words) {
        if (isZero(in, 0, PAGE_BYTES)) {
            return new Found.Blank();
        }
        if (in.getInt(0) != MAGIC) {
            return new Found.Broken("its magic is missing");
        }
        if (in.getInt(CRC_OFFSET) != crc(in)) {
            return new Found.Broken("its checksum differs");
        }
        if (in.get(4) != VERSION) {
            return new Found.Broken("version %d, expected %d".formatted(in.get(4), VERSION));
        }
        if (!new UUID(in.getLong(8), in.getLong(16)).equals(resource)) {
            return new Found.Broken("it belongs to another resource");
        }
        if (in.getLong(24) != address) {
            return new Found.Broken("it belongs to byte " + in.getLong(24));
        }
        if (in.get(6) != 0) {
            return new Found.Broken("it is of peer %d, of several".formatted(in.get(6)));
        }
        boolean isBits = in.get(5) == 2;
        if (in.getInt(76) != 0 || isBits && (in.getLong(112) != 0 || in.getInt(120) != 0)) {
            return new Found.Broken("bytes that are reserved are not zero");
        }
        if (!isPosition(in, 48) || !isPosition(in, 96)) {
            return new Found.Broken("a position that no writer makes");
        }
        long transaction = in.getLong(32);
        long era = in.getLong(40);
        PeerCopy peer =
                new PeerCopy(
                        Position.read(in.slice(48, Position.BYTES)),
                        Position.read(in.slice(96, Position.BYTES)),
                        in.getLong(64),
                        in.getLong(80));
        int count = in.getInt(72);
        if (isBits) {
            long[] bits = new long[words];
            for (int w = 0; w < words; w++) {
                bits[w] = in.getLong(HEADER_BYTES + 8 * w);
            }
            return new Found.Bits(
                    new Transaction.Page(number, count, bits), transaction, era, peer);
        }
        Transaction.Blank[] blanks = Transaction.Blank.values();
        if (in.get(5) != 1
                || count < 0
                || count > MAX_EXTENTS
                || in.get(7) < 0
                || in.get(7) >= blanks.length) {
            return new Found.Broken("a kind or a count that is unknown");
        }
        List<Long> extents = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            extents.add(Integer.toUnsignedLong(in.getInt(HEADER_BYTES + 4 * i)));
        }
        return new Found.Change(
                new Transaction(
                        transaction,
                        era,
                        blanks[in.get(7)],
                        peer,
                        in.getLong(88),
                        new WriteTimes(millis(in, 112), millis(in, 118)),
                        false,
                        List.of(),
                        extents));
    }

    private static boolean isPosition(ByteBuffer in, int at) {
        return Position.isValid(in.getLong(at), in.getLong(at + 8));
    }

    private static boolean isZero(ByteBuffer in, int from, int to) {
        for (int at = from; at < to; at += 8) {
            if (in.getLong(at) != 0) {
                return false;
            }
        }
        return true;
    }
}
