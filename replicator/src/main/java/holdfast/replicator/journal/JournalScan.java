package holdfast.replicator.journal;

import holdfast.replicator.journal.JournalRecord.Found;
import holdfast.tunnel.wire.Mutants;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.UUID;

/// Reads a journal from its watermark to its end, and tells a torn tail from damage (R25).
public final class JournalScan {
    /// Reads what a journal holds. Fewer bytes than asked for mean that nothing is stored behind
    /// them.
    @FunctionalInterface
    public interface Reader {
        int read(long address, ByteBuffer into) throws IOException;
    }

    /// Takes each good record in order.
    @FunctionalInterface
    public interface Visitor {
        /// @param data the record's data, valid during the call
        void record(JournalRecord record, ByteBuffer data);

        /// Takes all records of a segment at once, where there is an index of it.
        default void segment(SegmentIndex whole) {
            throw new IllegalStateException("no index was asked for");
        }
    }

    /// Finds the index of a whole segment.
    @FunctionalInterface
    public interface Indexes {
        /// None: all segments are read.
        Indexes NONE = _ -> null;

        /// @param address of the segment's first byte
        /// @return null when there is none: the segment is read
        SegmentIndex of(long address) throws IOException;
    }

    /// Where good records end.
    ///
    /// @param end journal offset where the next record goes
    /// @param damage null for a clean or torn end; else what was found, and records behind it say
    ///   that it was durable
    public record End(long end, long lastIncarnation, String damage) {}

    /// A deliberate mistake: a record of an earlier round of the segments is taken.
    private static final boolean M20 = Mutants.on("M20");

    /// Of a record.
    private static final int MAGIC = 0x48464a52;

    private final UUID resource;
    private final long segmentBytes;
    private final Reader reader;

    public JournalScan(UUID resource, long segmentBytes, Reader reader) {
        this.resource = resource;
        this.segmentBytes = segmentBytes;
        this.reader = reader;
    }

    /// @param oldestIncarnation none of the journal's records from there on is of an earlier
    ///   opening: one that is found is what is left of a tail that was dropped at a start
    public End run(long from, long oldestIncarnation, Visitor visitor) throws IOException {
        return run(from, Long.MAX_VALUE, oldestIncarnation, Indexes.NONE, visitor);
    }

    /// @param until where to end at the latest, in front of a record
    public End run(long from, long until, long oldestIncarnation, Indexes indexes, Visitor visitor)
            throws IOException {
        long at = from;
        long incarnation = oldestIncarnation;
        while (at < until) {
            long left = segmentBytes - at % segmentBytes;
            if ((at == from || left == segmentBytes) && until - at >= left) {
                SegmentIndex whole = indexes.of(at + left - segmentBytes);
                if (whole != null && whole.incarnation() >= incarnation) {
                    incarnation = whole.incarnation();
                    visitor.segment(whole.from(at));
                    at += left;
                    continue;
                }
            }
            if (left < JournalRecord.HEADER_BYTES) {
                at += left;
                continue;
            }
            Found found = header(at, incarnation);
            if (found instanceof Found.Good(JournalRecord record)) {
                ByteBuffer data = data(record);
                if (data == null) {
                    return new End(
                            at, incarnation, damageBehind(at, "the data's checksum differs"));
                }
                incarnation = record.incarnation();
                if (record.kind() == JournalRecord.Kind.PAD) {
                    at += left;
                } else {
                    visitor.record(record, data);
                    at += record.totalBytes();
                }
            } else {
                return new End(at, incarnation, damageBehind(at, ((Found.Bad) found).why()));
            }
        }
        return new End(at, incarnation, null);
    }

    /// Whether a record stands there, whole.
    public boolean isWhole(long address) throws IOException {
        return header(address, 0) instanceof Found.Good(JournalRecord record)
                && data(record) != null;
    }

    /// Whether something stands there of a record that belongs there, whole or not.
    ///
    /// @param oldestIncarnation a whole one of an earlier opening is what was dropped at a start
    public boolean isBegun(long address, long oldestIncarnation) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(JournalRecord.HEADER_BYTES);
        reader.read(address, bytes);
        bytes.flip();
        return bytes.remaining() == JournalRecord.HEADER_BYTES
                && bytes.getInt(0) == MAGIC
                && bytes.getLong(24) == address
                && !(JournalRecord.decode(bytes) instanceof Found.Good(JournalRecord r)
                        && r.incarnation() < oldestIncarnation);
    }

    private Found header(long at, long incarnation) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(JournalRecord.HEADER_BYTES);
        reader.read(at, bytes);
        Found found = JournalRecord.decode(bytes.flip());
        if (found instanceof Found.Good(JournalRecord r)) {
            if (!r.resource().equals(resource) || r.address() != at && !M20) {
                return new Found.Bad("a record of " + r.resource() + " for offset " + r.address());
            }
            if (r.incarnation() < incarnation) {
                return new Found.Bad("a record of an earlier opening of the journal");
            }
            if (at % segmentBytes + r.totalBytes() > segmentBytes) {
                return new Found.Bad("a record that crosses its segment's end");
            }
        }
        return found;
    }

    private ByteBuffer data(JournalRecord record) throws IOException {
        ByteBuffer data = ByteBuffer.allocate(record.dataBytes());
        if (record.dataBytes() > 0) {
            reader.read(record.address() + JournalRecord.HEADER_BYTES, data);
        }
        if (data.hasRemaining()) {
            return null;
        }
        data.flip();
        return JournalRecord.crcOf(data) == record.dataCrc() ? data : null;
    }

    /// A bad record is damage, not a torn tail, when a good record behind it says that it had been
    /// durable.
    private String damageBehind(long bad, String why) throws IOException {
        long end = bad;
        ByteBuffer chunk =
                ByteBuffer.allocate(
                        (int) Math.min(segmentBytes, 1 << 20) + JournalRecord.HEADER_BYTES);
        while (true) {
            chunk.clear();
            int got = reader.read(end, chunk);
            chunk.flip();
            for (int i = 0; i + JournalRecord.HEADER_BYTES <= got; i += 8) {
                if (chunk.getInt(i) == MAGIC
                        && JournalRecord.decode(chunk.position(i))
                                instanceof Found.Good(JournalRecord r)
                        && r.resource().equals(resource)
                        && r.address() == end + i
                        && r.durableBefore() > bad) {
                    return "offset %d: %s, but the record at %d says that it had been durable"
                            .formatted(bad, why, r.address());
                }
            }
            if (got < chunk.capacity()) {
                return null;
            }
            end += got - JournalRecord.HEADER_BYTES;
        }
    }
}
