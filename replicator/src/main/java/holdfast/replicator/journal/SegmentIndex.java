package holdfast.replicator.journal;

import holdfast.replicator.journal.JournalIndex.Run;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/// What one whole segment of a journal holds, so that whoever opens the journal or a point in it
/// need not read the segment. It says nothing that the segment does not say, and where it is
/// missing or broken the segment is read instead. Written once, when all of the segment is durable.
/// Integers are big-endian.
///
/// | offset | bytes | field       | meaning                                                        |
/// |-------:|------:|-------------|----------------------------------------------------------------|
/// |      0 |     4 | magic       | `0x48464a58`, "HFJX"                                           |
/// |      4 |     4 | version     | [#VERSION]                                                     |
/// |      8 |    16 | resource    | id of the resource                                             |
/// |     24 |     8 | address     | journal offset of the segment                                  |
/// |     32 |     8 | incarnation | of its last record                                             |
/// |     40 |     8 | lastRecord  | journal offset of its last record that is no PAD; -1 without one |
/// |     48 |     4 | lastCrc     | `headerCrc` of that                                            |
/// |     52 |     4 | parts       | how many follow                                                |
/// |        |       | parts       | see [Part]                                                     |
/// |        |     4 | crc         | CRC-32C of all before                                          |
///
/// A part:
///
/// | bytes | field         | meaning                                                              |
/// |------:|---------------|----------------------------------------------------------------------|
/// |     1 | kind          | ordinal of [PartKind] plus one                                      |
/// |     8 | begin         | journal offset of its first record                                   |
/// |     8 | end           | behind its last record                                               |
/// |    16 | position      | after it; [Position#NONE] where it moves none                        |
/// |     8 | primaryMillis | greatest of its records                                              |
/// |     8 | receiptMillis | greatest of its records                                              |
/// |     8 | tracked       | greatest of its records                                              |
/// |     8 | incarnation   | of its last record                                                   |
/// |     4 | dataBytes     | of a commit: its ancestry ([AncestryCodec]), of a mark: its name; which follows |
/// |     4 | runs          | how many follow the data, each offset, length, dataAddress, recordAddress and (bit 0) punch, 8 bytes each |
public record SegmentIndex(
        UUID resource,
        long address,
        long incarnation,
        long lastRecord,
        int lastCrc,
        List<Part> parts) {
    public static final int VERSION = 1;

    private static final int MAGIC = 0x48464a58;
    private static final int HEADER_BYTES = 56;
    private static final int PART_BYTES = 1 + 8 + 8 + Position.BYTES + 8 + 8 + 8 + 8 + 4 + 4;
    private static final int RUN_BYTES = 32;
    private static final PartKind[] KINDS = PartKind.values();

    /// What the records of a part are.
    public enum PartKind {
        /// Writes, zeroes and trims: each a moment of its own.
        LIVE,
        /// An epoch begins.
        BEGIN,
        /// Blocks of an epoch.
        STAGED,
        /// They count.
        COMMIT,
        /// An epoch begins with what the one before it has staged.
        CONTINUES,
        /// The moment in front of it has a name.
        MARK
    }

    /// Records of a kind, one behind the other.
    ///
    /// @param endAddress behind its last record: of [PartKind#LIVE], [PartKind#COMMIT] and
    ///   [PartKind#MARK] a moment that can be opened
    /// @param data of a commit: its ancestry; of a mark: its name; else empty
    public record Part(
            PartKind kind,
            long beginAddress,
            long endAddress,
            Position position,
            long primaryMillis,
            long receiptMillis,
            long tracked,
            long incarnation,
            ByteBuffer data,
            JournalIndex runs) {
        private Part from(long at) {
            JournalIndex rest = runs.copy();
            rest.dropBelow(at);
            return new Part(
                    kind,
                    at,
                    endAddress,
                    position,
                    primaryMillis,
                    receiptMillis,
                    tracked,
                    incarnation,
                    data,
                    rest);
        }
    }

    public SegmentIndex {
        parts = List.copyOf(parts);
    }

    /// Takes the records of a journal in order and makes parts of them.
    public static final class Builder implements JournalScan.Visitor {
        private final long liveBytes;
        private final List<Part> done = new ArrayList<>();
        private final Consumer<Part> sink;
        private long lastRecord = -1;
        private int lastCrc;

        // The part that is being made; kind null for none.
        private PartKind kind;
        private long begin;
        private long end;
        private Position position;
        private long primaryMillis;
        private long receiptMillis;
        private long tracked;
        private long incarnation;
        private ByteBuffer data;
        private JournalIndex runs;

        /// @param liveBytes of the journal that one part of live records has at most, so that there
        ///   are moments within a long row of them
        public Builder(long liveBytes) {
            this.liveBytes = liveBytes;
            this.sink = done::add;
        }

        /// @param sink takes each part when it is whole; the last one when [#finishPart] is called
        public Builder(long liveBytes, Consumer<Part> sink) {
            this.liveBytes = liveBytes;
            this.sink = sink;
        }

        @Override
        public void record(JournalRecord r, ByteBuffer content) {
            lastRecord = r.address();
            lastCrc = r.encode().getInt(JournalRecord.HEADER_BYTES - 4);
            PartKind of = kindOf(r);
            boolean goesOn =
                    of == kind
                            && (of == PartKind.STAGED
                                    || of == PartKind.LIVE && r.address() - begin < liveBytes);
            if (!goesOn) {
                finishPart();
                kind = of;
                begin = r.address();
                position = Position.NONE;
                primaryMillis = 0;
                receiptMillis = 0;
                tracked = 0;
                data = ByteBuffer.allocate(0);
                runs = new JournalIndex();
            }
            end = r.address() + r.totalBytes();
            if (!r.position().isNone()) {
                position = r.position();
            }
            primaryMillis = Math.max(primaryMillis, r.primaryMillis());
            receiptMillis = Math.max(receiptMillis, r.receiptMillis());
            tracked = Math.max(tracked, r.tracked());
            incarnation = r.incarnation();
            if (of == PartKind.COMMIT || of == PartKind.MARK) {
                data = copyOf(content);
            } else if (r.kind() != Kind.EPOCH_BEGIN && r.lengthBytes() > 0) {
                runs.put(runOf(r));
            }
        }

        @Override
        public void segment(SegmentIndex whole) {
            finishPart();
            whole.parts().forEach(sink);
        }

        /// What was taken in, as parts.
        public List<Part> parts() {
            finishPart();
            return List.copyOf(done);
        }

        /// The index of the segment whose records were taken in.
        public SegmentIndex finish(UUID resource, long address, long incarnation) {
            return new SegmentIndex(resource, address, incarnation, lastRecord, lastCrc, parts());
        }

        /// No record follows.
        public void finishPart() {
            if (kind != null) {
                sink.accept(
                        new Part(
                                kind,
                                begin,
                                end,
                                position,
                                primaryMillis,
                                receiptMillis,
                                tracked,
                                incarnation,
                                data,
                                runs));
                kind = null;
            }
        }

        private static PartKind kindOf(JournalRecord r) {
            return switch (r.kind()) {
                case WRITE, ZERO -> PartKind.LIVE;
                case EPOCH_BEGIN -> r.continues() ? PartKind.CONTINUES : PartKind.BEGIN;
                case EPOCH_BLOCKS, EPOCH_ZERO -> PartKind.STAGED;
                case EPOCH_COMMIT -> PartKind.COMMIT;
                case MARK -> PartKind.MARK;
                case PAD -> throw new IllegalArgumentException("a scan shows no PAD");
            };
        }

        private static ByteBuffer copyOf(ByteBuffer content) {
            ByteBuffer copy = ByteBuffer.allocate(content.remaining());
            return copy.put(content.duplicate()).flip();
        }
    }

    /// Where the data of a record lie that has some.
    public static Run runOf(JournalRecord r) {
        boolean zero = r.kind() == Kind.ZERO || r.kind() == Kind.EPOCH_ZERO;
        return new Run(
                r.offsetBytes(),
                r.lengthBytes(),
                zero ? Run.ZEROES : r.address() + JournalRecord.HEADER_BYTES,
                r.address(),
                r.punch());
    }

    /// The same without what stands in front of this journal offset, at which a record begins.
    SegmentIndex from(long at) {
        if (at <= address) {
            return this;
        }
        List<Part> rest = new ArrayList<>();
        for (Part part : parts) {
            if (part.beginAddress() >= at) {
                rest.add(part);
            } else if (part.endAddress() > at) {
                rest.add(part.from(at));
            }
        }
        return new SegmentIndex(resource, address, incarnation, lastRecord, lastCrc, rest);
    }

    /// What these parts, one behind the other, hold of the committed image: live records, and the
    /// epochs that are committed among them.
    public static JournalIndex image(List<Part> parts) {
        ImageBuilder builder = new ImageBuilder();
        parts.forEach(builder::add);
        return builder.image();
    }

    public ByteBuffer encode() {
        long bytes = HEADER_BYTES + 4;
        for (Part part : parts) {
            bytes += PART_BYTES + part.data().remaining() + (long) part.runs().size() * RUN_BYTES;
        }
        ByteBuffer out = ByteBuffer.allocate(Math.toIntExact(bytes));
        out.putInt(MAGIC).putInt(VERSION);
        out.putLong(resource.getMostSignificantBits()).putLong(resource.getLeastSignificantBits());
        out.putLong(address).putLong(incarnation).putLong(lastRecord).putInt(lastCrc);
        out.putInt(parts.size());
        for (Part part : parts) {
            out.put((byte) (part.kind().ordinal() + 1));
            out.putLong(part.beginAddress()).putLong(part.endAddress());
            part.position().write(out);
            out.putLong(part.primaryMillis()).putLong(part.receiptMillis());
            out.putLong(part.tracked()).putLong(part.incarnation());
            out.putInt(part.data().remaining()).putInt(part.runs().size());
            out.put(part.data().duplicate());
            for (Run run : part.runs().all()) {
                out.putLong(run.offsetBytes()).putLong(run.lengthBytes());
                out.putLong(run.dataAddress());
                out.putLong(run.recordAddress() | (run.punch() ? 1 : 0));
            }
        }
        return out.putInt(crcOf(out.array(), out.position())).flip();
    }

    /// @throws IllegalArgumentException if it is no index of that segment: then the segment is read
    public static SegmentIndex decode(ByteBuffer in, UUID resource, long address) {
        int length = in.remaining();
        require(
                length >= HEADER_BYTES + 4
                        && in.getInt(in.position() + length - 4) == crcOf(in.slice(), length - 4),
                "its checksum differs");
        require(
                in.getInt() == MAGIC && in.getInt() == VERSION,
                "it is no index of version " + VERSION);
        require(
                new UUID(in.getLong(), in.getLong()).equals(resource) && in.getLong() == address,
                "it is of another segment");
        long incarnation = in.getLong();
        long lastRecord = in.getLong();
        int lastCrc = in.getInt();
        int count = in.getInt();
        require(count >= 0, count + " parts");
        ByteBuffer content = in.slice(in.position(), in.remaining() - 4);
        List<Part> parts = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            parts.add(part(content));
        }
        require(!content.hasRemaining(), "bytes behind its last part");
        return new SegmentIndex(resource, address, incarnation, lastRecord, lastCrc, parts);
    }

    private static Part part(ByteBuffer in) {
        require(in.remaining() >= PART_BYTES, "a part is cut off");
        int number = in.get() - 1;
        require(number >= 0 && number < KINDS.length, "a part of kind " + (number + 1));
        PartKind kind = KINDS[number];
        long begin = in.getLong();
        long end = in.getLong();
        Position position = Position.read(in);
        long primaryMillis = in.getLong();
        long receiptMillis = in.getLong();
        long tracked = in.getLong();
        long incarnation = in.getLong();
        int dataBytes = in.getInt();
        int runCount = in.getInt();
        require(
                dataBytes >= 0
                        && runCount >= 0
                        && dataBytes + (long) runCount * RUN_BYTES <= in.remaining(),
                "a part of %d bytes and %d runs is cut off".formatted(dataBytes, runCount));
        ByteBuffer data = in.slice(in.position(), dataBytes);
        in.position(in.position() + dataBytes);
        JournalIndex runs = new JournalIndex();
        long behind = 0;
        for (int i = 0; i < runCount; i++) {
            long offset = in.getLong();
            long length = in.getLong();
            require(
                    offset >= behind && length > 0 && length <= Long.MAX_VALUE - offset,
                    "a run of %d bytes at %d".formatted(length, offset));
            behind = offset + length;
            runs.append(offset, length, in.getLong(), in.getLong());
        }
        return new Part(
                kind,
                begin,
                end,
                position,
                primaryMillis,
                receiptMillis,
                tracked,
                incarnation,
                data,
                runs);
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalArgumentException(otherwise);
        }
    }

    private static int crcOf(byte[] bytes, int length) {
        return crcOf(ByteBuffer.wrap(bytes), length);
    }

    private static int crcOf(ByteBuffer bytes, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes.slice(0, length));
        return (int) crc.getValue();
    }
}
