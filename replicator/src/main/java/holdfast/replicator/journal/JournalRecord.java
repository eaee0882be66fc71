package holdfast.replicator.journal;

import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.util.UUID;
import java.util.zip.CRC32C;

/// The header of one journal record, and its codec: no I/O. The record's data follow it; the next
/// record begins at the next multiple of 8 bytes. Integers are big-endian. docs/on-disk-format.md
/// has the same table.
///
/// | offset | bytes | field         | meaning                                                                   |
/// |-------:|------:|---------------|---------------------------------------------------------------------------|
/// |      0 |     4 | magic         | `0x48464a52`, "HFJR"                                                      |
/// |      4 |     1 | version       | [#VERSION]                                                                |
/// |      5 |     1 | kind          | [Kind], ordinal plus one; numbers are never reused                        |
/// |      6 |     1 | encoding      | of the data: 0 = as they are                                              |
/// |      7 |     1 | flags         | bit 0: the space of a zeroed range may be given back; bit 1: an epoch goes on from what is staged |
/// |      8 |    16 | resource      | id of the resource                                                        |
/// |     24 |     8 | address       | offset of this record in the journal's own count, which never wraps       |
/// |     32 |     8 | durableBefore | everything below this journal offset was on stable storage already        |
/// |     40 |     8 | incarnation   | counts the openings of this journal; never falls from one record to the next |
/// |     48 |     4 | volume        | 0                                                                         |
/// |     52 |     4 | dataBytes     | stored bytes behind the header                                            |
/// |     56 |    16 | position      | generation, number; of an epoch's blocks: [Position#NONE]                 |
/// |     72 |     8 | epoch         | 0 for live records                                                        |
/// |     80 |     8 | offset        | in the device, bytes; in a commit: distinct blocks                        |
/// |     88 |     8 | length        | in the device, bytes                                                      |
/// |     96 |     8 | primaryMillis | wall clock of the primary; at an epoch's begin: until when the copy was complete |
/// |    104 |     8 | receiptMillis | wall clock of the backup                                                  |
/// |    112 |     4 | dataCrc       | CRC-32C of the data as stored                                             |
/// |    116 |     8 | tracked       | transaction of the primary's metadata under which this was written        |
/// |    124 |     4 | headerCrc     | CRC-32C of bytes 0 to 123                                                 |
///
/// `durableBefore` tells a torn tail from damage: a bad record may be dropped silently only if no
/// later good record says that it had been durable (R25). `address` and `incarnation` keep a
/// recycled segment's old records from being taken for new ones.
///
/// @param continues of an [Kind#EPOCH_BEGIN]
public record JournalRecord(
        Kind kind,
        boolean punch,
        boolean continues,
        UUID resource,
        long address,
        long durableBefore,
        long incarnation,
        int volume,
        int dataBytes,
        Position position,
        long epoch,
        long offsetBytes,
        long lengthBytes,
        long primaryMillis,
        long receiptMillis,
        int dataCrc,
        long tracked) {
    public static final int HEADER_BYTES = 128;
    public static final int VERSION = 1;

    /// Largest data of a record: one piece of a write, or one run of an epoch, or an ancestry.
    public static final int MAX_DATA_BYTES = 2 << 20;

    private static final int MAGIC = 0x48464a52;
    private static final int PUNCH = 1;
    private static final int CONTINUES = 2;
    private static final Kind[] KINDS = Kind.values();

    /// What a record says.
    public enum Kind {
        /// One application write.
        WRITE,
        /// A range that reads back zero.
        ZERO,
        /// An epoch is staged from here on. An earlier one that was not committed is void or, where
        /// this one [#continues], its beginning.
        EPOCH_BEGIN,
        /// Blocks of an epoch; nothing until its commit.
        EPOCH_BLOCKS,
        EPOCH_ZERO,
        /// The copy moves to `position`, by this record alone; its data are the ancestry adopted.
        EPOCH_COMMIT,
        /// Nothing follows in this segment.
        PAD,
        /// The moment at `position`, which the record before it has made, has a name: its data.
        MARK
    }

    /// What kind of thing stands at a place of the journal.
    public sealed interface Found {
        record Good(JournalRecord record) implements Found {}

        /// No record, or a broken one; `why` for the operator.
        record Bad(String why) implements Found {}
    }

    /// Bytes it takes in the journal, padding included.
    public long totalBytes() {
        return totalBytes(dataBytes);
    }

    public static long totalBytes(int dataBytes) {
        return padded((long) HEADER_BYTES + dataBytes);
    }

    /// The next multiple of 8 at or after this one, where a record may begin.
    public static long padded(long address) {
        return (address + 7) & ~7L;
    }

    public boolean ofEpoch() {
        return kind == Kind.EPOCH_BEGIN
                || kind == Kind.EPOCH_BLOCKS
                || kind == Kind.EPOCH_ZERO
                || kind == Kind.EPOCH_COMMIT;
    }

    /// The header, ready to be written at [#address].
    public ByteBuffer encode() {
        ByteBuffer out = ByteBuffer.allocate(HEADER_BYTES);
        out.putInt(MAGIC).put((byte) VERSION).put((byte) (kind.ordinal() + 1)).put((byte) 0);
        out.put((byte) ((punch ? PUNCH : 0) | (continues ? CONTINUES : 0)));
        out.putLong(resource.getMostSignificantBits()).putLong(resource.getLeastSignificantBits());
        out.putLong(address)
                .putLong(durableBefore)
                .putLong(incarnation)
                .putInt(volume)
                .putInt(dataBytes);
        position.write(out);
        out.putLong(epoch)
                .putLong(offsetBytes)
                .putLong(lengthBytes)
                .putLong(primaryMillis)
                .putLong(receiptMillis);
        out.putInt(dataCrc).putLong(tracked);
        CRC32C crc = new CRC32C();
        crc.update(out.array(), 0, 124);
        return out.putInt((int) crc.getValue()).flip();
    }

    /// Reads the header at `in`'s position without moving it.
    public static Found decode(ByteBuffer in) {
        int at = in.position();
        if (in.remaining() < HEADER_BYTES) {
            return new Found.Bad("the segment ends");
        }
        if (in.getInt(at) != MAGIC) {
            return new Found.Bad("magic %08x, expected %08x".formatted(in.getInt(at), MAGIC));
        }
        CRC32C crc = new CRC32C();
        crc.update(in.slice(at, 124));
        if (in.getInt(at + 124) != (int) crc.getValue()) {
            return new Found.Bad("the header's checksum differs");
        }
        int version = in.get(at + 4);
        int kind = in.get(at + 5) - 1;
        int dataBytes = in.getInt(at + 52);
        int flags = in.get(at + 7);
        if (version != VERSION || in.get(at + 6) != 0 || (flags & ~(PUNCH | CONTINUES)) != 0) {
            return new Found.Bad(
                    "version %d or a reserved field is not known here".formatted(version));
        }
        if (kind < 0 || kind >= KINDS.length || dataBytes < 0 || dataBytes > MAX_DATA_BYTES) {
            return new Found.Bad("kind %d with %d bytes".formatted(kind + 1, dataBytes));
        }
        boolean continues = (flags & CONTINUES) != 0;
        if (continues && KINDS[kind] != Kind.EPOCH_BEGIN) {
            return new Found.Bad("kind %d goes on from what is staged".formatted(kind + 1));
        }
        ByteBuffer b = in.slice(at, HEADER_BYTES);
        if (!Position.isValid(b.getLong(56), b.getLong(64))) {
            return new Found.Bad("position %x/%d".formatted(b.getLong(56), b.getLong(64)));
        }
        return new Found.Good(
                new JournalRecord(
                        KINDS[kind],
                        (flags & PUNCH) != 0,
                        continues,
                        new UUID(b.getLong(8), b.getLong(16)),
                        b.getLong(24),
                        b.getLong(32),
                        b.getLong(40),
                        b.getInt(48),
                        dataBytes,
                        Position.read(b.slice(56, Position.BYTES)),
                        b.getLong(72),
                        b.getLong(80),
                        b.getLong(88),
                        b.getLong(96),
                        b.getLong(104),
                        b.getInt(112),
                        b.getLong(116)));
    }

    /// CRC-32C of what remains in the buffer, which does not move.
    public static int crcOf(ByteBuffer data) {
        CRC32C crc = new CRC32C();
        crc.update(data.duplicate());
        return (int) crc.getValue();
    }
}
