package holdfast.replicator.journal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.JournalIndex.Run;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.replicator.journal.SegmentIndex.Part;
import holdfast.replicator.journal.SegmentIndex.PartKind;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;

class SegmentIndexTest {
    private static final UUID RESOURCE = new UUID(1, 2);
    private static final ByteBuffer ANCESTRY =
            AncestryCodec.encode(
                    Ancestry.EMPTY.plus(
                            new Ancestry.Entry(
                                    7, Position.NONE, Ancestry.Reason.CREATE, RESOURCE, 5)));

    private final SegmentIndex.Builder builder = new SegmentIndex.Builder(1000);
    private final List<JournalRecord> records = new ArrayList<>();
    private long address = 4096;
    private long number;

    private void add(Kind kind, long offset, int length) {
        add(kind, false, offset, length);
    }

    private void add(Kind kind, boolean continues, long offset, int length) {
        boolean moves = kind == Kind.WRITE || kind == Kind.ZERO || kind == Kind.EPOCH_COMMIT;
        boolean hasData = kind == Kind.WRITE || kind == Kind.EPOCH_BLOCKS;
        int dataBytes = kind == Kind.EPOCH_COMMIT ? ANCESTRY.remaining() : hasData ? length : 0;
        JournalRecord record =
                new JournalRecord(
                        kind,
                        kind == Kind.ZERO,
                        continues,
                        RESOURCE,
                        address,
                        0,
                        3,
                        0,
                        dataBytes,
                        moves ? new Position(7, ++number) : Position.NONE,
                        kind == Kind.WRITE ? 0 : 9,
                        offset,
                        length,
                        100 + number,
                        200 + number,
                        0,
                        4);
        builder.record(record, dataOf(record));
        records.add(record);
        address += record.totalBytes();
    }

    private static ByteBuffer dataOf(JournalRecord record) {
        return record.kind() == Kind.EPOCH_COMMIT ? ANCESTRY : ByteBuffer.allocate(0);
    }

    private static List<String> image(List<Part> parts) {
        List<String> runs = new ArrayList<>();
        for (Run run : SegmentIndex.image(parts).all()) {
            runs.add(run.offsetBytes() + "+" + run.lengthBytes() + (run.isZero() ? "z" : ""));
        }
        return runs;
    }

    @Test
    void blocksOfAnEpochCountFromItsCommitOn() {
        add(Kind.WRITE, 0, 512);
        add(Kind.EPOCH_BEGIN, 0, 0);
        add(Kind.EPOCH_BLOCKS, 4096, 512);
        add(Kind.EPOCH_BEGIN, 0, 0);
        add(Kind.EPOCH_BLOCKS, 8192, 512);
        add(Kind.EPOCH_ZERO, 12288, 4096);
        List<Part> open = builder.parts();
        assertEquals(List.of("0+512"), image(open));
        add(Kind.EPOCH_COMMIT, 3, 0);
        add(Kind.WRITE, 8192, 512);
        List<Part> all = builder.parts();
        assertEquals(List.of("0+512", "8192+512", "12288+4096z"), image(all));
        assertEquals(
                List.of(
                        PartKind.LIVE,
                        PartKind.BEGIN,
                        PartKind.STAGED,
                        PartKind.BEGIN,
                        PartKind.STAGED,
                        PartKind.COMMIT,
                        PartKind.LIVE),
                all.stream().map(Part::kind).toList());
        assertEquals(new Position(7, 2), all.get(5).position());
        assertEquals(ANCESTRY, all.get(5).data());
    }

    /// What was staged before counts too, unless a live record or nothing at all lies in between.
    @Test
    void anEpochThatGoesOnHasWhatTheOneBeforeItStaged() {
        add(Kind.EPOCH_BLOCKS, 0, 512);
        add(Kind.EPOCH_BEGIN, true, 0, 0);
        add(Kind.EPOCH_BLOCKS, 4096, 512);
        add(Kind.EPOCH_BEGIN, true, 0, 0);
        add(Kind.EPOCH_BLOCKS, 8192, 512);
        add(Kind.EPOCH_COMMIT, 2, 0);
        assertEquals(List.of("4096+512", "8192+512"), image(builder.parts()));
        add(Kind.EPOCH_BEGIN, 0, 0);
        add(Kind.EPOCH_BLOCKS, 16384, 512);
        add(Kind.WRITE, 20480, 512);
        add(Kind.EPOCH_BEGIN, true, 0, 0);
        add(Kind.EPOCH_COMMIT, 0, 0);
        assertEquals(List.of("4096+512", "8192+512", "20480+512"), image(builder.parts()));
    }

    /// There are moments to roll to within a long row of live records.
    @Test
    void aLongRowOfLiveRecordsIsCutIntoParts() {
        for (int i = 0; i < 10; i++) {
            add(Kind.WRITE, 4096L * i, 512);
        }
        List<Part> parts = builder.parts();
        assertEquals(5, parts.size());
        assertEquals(4096 + 2 * 640, parts.getFirst().endAddress());
        assertEquals(new Position(7, 2), parts.getFirst().position());
        assertEquals(102, parts.getFirst().primaryMillis());
        assertEquals(202, parts.getFirst().receiptMillis());
    }

    /// What a roll leaves of a segment is not read either.
    @Test
    void whatStandsBehindAnyRecordIsWhatReadingFromThereFinds() {
        for (int i = 0; i < 12; i++) {
            add(Kind.WRITE, 4096L * (i % 5), 512 + 8 * i);
        }
        add(Kind.EPOCH_BEGIN, 0, 0);
        add(Kind.EPOCH_BLOCKS, 0, 512);
        add(Kind.EPOCH_BLOCKS, 8192, 4096);
        add(Kind.EPOCH_COMMIT, 2, 0);
        add(Kind.ZERO, 4096, 4096);
        add(Kind.EPOCH_BEGIN, 0, 0);
        add(Kind.EPOCH_BLOCKS, 0, 8192);
        SegmentIndex whole = builder.finish(RESOURCE, 4096, 3);
        int parts = 0;
        for (JournalRecord first : records) {
            SegmentIndex.Builder read = new SegmentIndex.Builder(1000);
            records.stream()
                    .filter(each -> each.address() >= first.address())
                    .forEach(each -> read.record(each, dataOf(each)));
            SegmentIndex rest = whole.from(first.address());
            assertEquals(image(read.parts()), image(rest.parts()), "from " + first.address());
            assertEquals(first.address(), rest.parts().getFirst().beginAddress());
            assertEquals(read.parts().getLast().position(), rest.parts().getLast().position());
            parts += rest.parts().size();
        }
        assertTrue(parts > records.size());
        assertEquals(List.of(), whole.from(address).parts());
    }

    @Test
    void itComesBackAndAnyChangedByteIsSeen() {
        add(Kind.WRITE, 0, 512);
        add(Kind.ZERO, 4096, 8192);
        add(Kind.EPOCH_BEGIN, 0, 0);
        add(Kind.EPOCH_BLOCKS, 0, 1024);
        add(Kind.EPOCH_COMMIT, 1, 0);
        SegmentIndex index = builder.finish(RESOURCE, 4096, 3);
        ByteBuffer bytes = index.encode();
        SegmentIndex back = SegmentIndex.decode(bytes.duplicate(), RESOURCE, 4096);
        assertEquals(bytes, back.encode());
        assertEquals(image(index.parts()), image(back.parts()));
        for (int i = 0; i < bytes.limit(); i++) {
            byte[] changed = bytes(bytes);
            changed[i] ^= 0x10;
            assertThrows(
                    IllegalArgumentException.class,
                    () -> SegmentIndex.decode(ByteBuffer.wrap(changed), RESOURCE, 4096));
        }
        for (int length = 0; length < bytes.limit(); length++) {
            ByteBuffer cut = bytes.slice(0, length);
            assertThrows(
                    IllegalArgumentException.class, () -> SegmentIndex.decode(cut, RESOURCE, 4096));
        }
        assertThrows(
                IllegalArgumentException.class,
                () -> SegmentIndex.decode(bytes.duplicate(), RESOURCE, 8192));
        assertThrows(
                IllegalArgumentException.class,
                () -> SegmentIndex.decode(bytes.duplicate(), new UUID(0, 0), 4096));
    }

    private static byte[] bytes(ByteBuffer of) {
        byte[] bytes = new byte[of.remaining()];
        of.duplicate().get(bytes);
        return bytes;
    }

    @Test
    void goldenBytesStayReadable() {
        add(Kind.ZERO, 4096, 8192);
        String hex = HexFormat.of().formatHex(bytes(builder.finish(RESOURCE, 4096, 3).encode()));
        assertEquals(GOLDEN, hex);
    }

    private static final String GOLDEN =
            "48464a5800000001000000000000000100000000000000020000000000001000"
                    + "00000000000000030000000000001000d0cfc3a8000000010100000000000010"
                    + "0000000000000010800000000000000007000000000000000100000000000000"
                    + "6500000000000000c90000000000000004000000000000000300000000000000"
                    + "0100000000000010000000000000002000ffffffffffffffff00000000000010"
                    + "013b1c7a2d";
}
