package holdfast.replicator.journal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import holdfast.replicator.journal.JournalRecord.Kind;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

class JournalScanTest {
    private static final int SEGMENT = 4096;

    private final ByteBuffer journal = ByteBuffer.allocate(4 * SEGMENT);
    private final List<Long> seen = new ArrayList<>();
    private int end;

    /// @param durableBefore what the writer knew to be durable when it appended
    private void append(int dataBytes, long durableBefore, long incarnation) {
        ByteBuffer data = ByteBuffer.allocate(dataBytes);
        for (int i = 0; i < dataBytes; i++) {
            data.put(i, (byte) (end + i));
        }
        JournalRecord record =
                JournalRecordTest.record(Kind.WRITE, end, durableBefore, incarnation, data);
        journal.put(end, record.encode().array())
                .put(end + JournalRecord.HEADER_BYTES, data.array());
        end += (int) record.totalBytes();
    }

    private JournalScan.End scan() throws IOException {
        return scan(0, 0);
    }

    private JournalScan.End scan(long from, long oldestIncarnation) throws IOException {
        seen.clear();
        return new JournalScan(JournalRecordTest.RESOURCE, SEGMENT, this::read)
                .run(from, oldestIncarnation, (record, data) -> seen.add(record.address()));
    }

    private int read(long address, ByteBuffer into) {
        int length = Math.max(0, Math.min(into.remaining(), journal.capacity() - (int) address));
        into.put(journal.slice((int) address, length));
        return length;
    }

    private void damage(int at) {
        journal.put(at, (byte) (journal.get(at) ^ 1));
    }

    @Test
    void readsToTheEnd() throws IOException {
        append(500, 0, 1);
        append(0, 0, 1);
        append(700, 0, 1);
        JournalScan.End found = scan();
        assertEquals(List.of(0L, 632L, 760L), seen);
        assertEquals(end, found.end());
        assertNull(found.damage());
    }

    @Test
    void aTornTailIsDroppedAtEveryByte() throws IOException {
        append(500, 0, 1);
        int tail = end;
        append(600, 0, 1);
        for (int at = tail; at < tail + JournalRecord.HEADER_BYTES + 600; at++) {
            damage(at);
            JournalScan.End found = scan();
            assertEquals(tail, found.end(), "byte " + at);
            assertNull(found.damage());
            damage(at);
        }
    }

    @Test
    void aTornRecordBeforeGoodOnesIsATornTailToo() throws IOException {
        append(500, 0, 1);
        int torn = end;
        append(600, 0, 1);
        append(600, torn, 1);
        damage(torn + 300);
        assertEquals(torn, scan().end());
        assertNull(scan().damage());
    }

    @Test
    void whatALaterRecordKnewToBeDurableIsDamaged() throws IOException {
        append(500, 0, 1);
        int bad = end;
        append(600, 0, 1);
        append(600, end, 1);
        damage(bad + 300);
        JournalScan.End found = scan();
        assertEquals(bad, found.end());
        assertNotNull(found.damage());
    }

    @Test
    void aRecordOfAnEarlierOpeningIsNotTakenForTheNext() throws IOException {
        append(500, 0, 1);
        int second = end;
        append(500, 0, 1);
        append(500, 0, 1);
        int last = end;
        // The second was torn; the journal was opened again and wrote a new one in its place.
        end = second;
        append(500, second, 2);
        JournalScan.End found = scan();
        assertEquals(List.of(0L, (long) second), seen);
        assertEquals(end, found.end());
        assertEquals(2, found.lastIncarnation());
        assertNull(found.damage());
        assertEquals(last, end + JournalRecord.HEADER_BYTES + 504);
    }

    /// It was dropped when the journal was opened again, and what was written since ends just
    /// there.
    @Test
    void aRecordOfAnEarlierOpeningIsNotTakenForTheFirst() throws IOException {
        append(500, 0, 1);
        int watermark = end;
        append(500, 0, 1);
        JournalScan.End found = scan(watermark, 2);
        assertEquals(List.of(), seen);
        assertEquals(watermark, found.end());
        assertNull(found.damage());
    }

    @Test
    void aSegmentsShortRestIsSkipped() throws IOException {
        append(SEGMENT - JournalRecord.HEADER_BYTES - 64, 0, 1);
        end = SEGMENT;
        append(8, 0, 1);
        assertEquals(end, scan().end());
        assertEquals(List.of(0L, (long) SEGMENT), seen);
    }

    @Test
    void aPadEndsItsSegment() throws IOException {
        append(100, 0, 1);
        ByteBuffer none = ByteBuffer.allocate(0);
        journal.put(end, JournalRecordTest.record(Kind.PAD, end, 0, 1, none).encode().array());
        end = SEGMENT;
        append(100, 0, 1);
        assertEquals(end, scan().end());
        assertEquals(List.of(0L, (long) SEGMENT), seen);
    }
}
