package holdfast.replicator.journal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import holdfast.replicator.journal.DeltaLog.Extent;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.UUID;

class DeltaLogTest {
    private static final UUID ID = new UUID(1, 2);
    private static final int BLOCK = DeltaLog.BLOCK_BYTES;

    private final Bytes file = new Bytes();

    private static final class Bytes implements DeltaLog.Storage {
        private byte[] content = {};

        @Override
        public void write(long address, ByteBuffer data) {
            int end = (int) address + data.remaining();
            content = Arrays.copyOf(content, Math.max(content.length, end));
            data.get(content, (int) address, data.remaining());
        }

        @Override
        public void read(long address, ByteBuffer into) throws IOException {
            if (address + into.remaining() > content.length) {
                throw new IOException("it ends at " + content.length);
            }
            into.put(content, (int) address, into.remaining());
        }
    }

    private static ByteBuffer blocks(int... of) {
        ByteBuffer blocks = ByteBuffer.allocate(of.length * BLOCK);
        for (int each : of) {
            byte[] block = new byte[BLOCK];
            Arrays.fill(block, (byte) each);
            blocks.put(block);
        }
        return blocks.flip();
    }

    private static void add(DeltaLog log) throws IOException {
        log.add(2L * BLOCK, blocks(1, 2));
        log.addZero(10L * BLOCK, 5L * BLOCK);
    }

    private static void shows(DeltaLog log, int block, int... expected) throws IOException {
        JournalIndex.Run run = log.index().at((long) block * BLOCK);
        assertEquals((long) block * BLOCK, run.offsetBytes());
        ByteBuffer found = ByteBuffer.allocate(expected.length * BLOCK);
        log.read(run.dataAddress(), found);
        assertArrayEquals(blocks(expected).array(), found.array());
    }

    @Test
    void whatCountsIsFoundAgainAndNothingElse() throws IOException {
        DeltaLog log = DeltaLog.create(ID, 3, file);
        add(log);
        Extent first = log.finish();
        assertNull(log.index().at(0));
        log.counts(first);
        shows(log, 2, 1, 2);
        log.add(0, blocks(7));
        Extent second = log.finish();
        log.counts(second);
        log.add(5L * BLOCK, blocks(8));
        log.finish();

        DeltaLog whole = DeltaLog.open(ID, 3, file, second);
        shows(whole, 0, 7);
        shows(whole, 3, 2);
        assertEquals(10L * BLOCK, whole.index().at(4L * BLOCK).offsetBytes());
        assertEquals(JournalIndex.Run.ZEROES, whole.index().at(11L * BLOCK).dataAddress());

        DeltaLog less = DeltaLog.open(ID, 3, file, first);
        assertEquals(2L * BLOCK, less.index().at(0).offsetBytes());
        // What does not count is written over, also where more of it was there.
        less.add(6L * BLOCK, blocks(9));
        Extent other = less.finish();
        less.counts(other);
        DeltaLog again = DeltaLog.open(ID, 3, file, other);
        shows(again, 6, 9);
        shows(again, 2, 1, 2);
        assertEquals(6L * BLOCK, again.index().at(5L * BLOCK).offsetBytes());
    }

    @Test
    void whatWasGivenUpIsGone() throws IOException {
        DeltaLog log = DeltaLog.create(ID, 3, file);
        add(log);
        log.abandon();
        assertEquals(Extent.NONE, log.finish());
        add(log);
        log.counts(log.finish());
        shows(log, 2, 1, 2);
        assertEquals(log.extent(), log.finish());
    }

    @Test
    void manyBlocksAreSeveralBatches() throws IOException {
        DeltaLog log = DeltaLog.create(ID, 3, file);
        ByteBuffer some = blocks(new int[1000]);
        for (int i = 0; i < 40; i++) {
            some.put(0, (byte) i);
            log.add(2000L * i * BLOCK, some.duplicate());
        }
        Extent all = log.finish();
        DeltaLog found = DeltaLog.open(ID, 3, file, all);
        assertEquals(40, found.index().size());
        ByteBuffer first = ByteBuffer.allocate(BLOCK);
        found.read(found.index().at(2000L * 33 * BLOCK).dataAddress(), first);
        assertEquals(33, first.get(0));
    }

    @Test
    void theBytesAreThoseOfThePage() throws IOException {
        DeltaLog log = DeltaLog.create(ID, 3, file);
        add(log);
        Extent extent = log.finish();
        assertEquals(new Extent(3 * BLOCK, 4 * BLOCK), extent);
        try (var in = DeltaLogTest.class.getResourceAsStream("/golden/disk/delta-v1.hex")) {
            String[] golden =
                    new String(in.readAllBytes(), StandardCharsets.UTF_8).strip().split("\n");
            HexFormat hex = HexFormat.of();
            assertEquals(golden[0], hex.formatHex(file.content, 0, 36));
            assertEquals(golden[1], hex.formatHex(file.content, 3 * BLOCK, 3 * BLOCK + 124));
        }
        for (int at = 36; at < BLOCK; at++) {
            assertEquals(0, file.content[at]);
        }
        for (int at = 3 * BLOCK + 124; at < 4 * BLOCK; at++) {
            assertEquals(0, file.content[at]);
        }
    }

    @Test
    void aFlippedBitIsSeenWhereItMatters() throws IOException {
        DeltaLog log = DeltaLog.create(ID, 3, file);
        add(log);
        Extent extent = log.finish();
        for (int at = 0; at < file.content.length; at++) {
            boolean inTable = at >= 3 * BLOCK && at < 3 * BLOCK + 124;
            file.content[at] ^= 1;
            if (at < 36 || inTable) {
                assertThrows(IOException.class, () -> DeltaLog.open(ID, 3, file, extent));
            } else if (at >= BLOCK && at < 3 * BLOCK && at % 512 == 7) {
                DeltaLog opened = DeltaLog.open(ID, 3, file, extent);
                assertThrows(IOException.class, () -> shows(opened, 2, 1, 2));
            }
            file.content[at] ^= 1;
        }
        assertThrows(IOException.class, () -> DeltaLog.open(ID, 4, file, extent));
        assertThrows(IOException.class, () -> DeltaLog.open(new UUID(1, 3), 3, file, extent));
        assertThrows(
                IOException.class, () -> DeltaLog.open(ID, 3, file, new Extent(BLOCK, 4 * BLOCK)));
        file.content = Arrays.copyOf(file.content, 3 * BLOCK);
        assertThrows(IOException.class, () -> DeltaLog.open(ID, 3, file, extent));
    }
}
