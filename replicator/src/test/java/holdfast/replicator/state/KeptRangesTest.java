package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.JournalIndex;
import holdfast.tunnel.wire.Frame;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Random;

class KeptRangesTest {
    private static final long BLOCK = BlockSet.BLOCK_BYTES;
    private final JournalIndex kept = new JournalIndex();

    private void keep(long offset, long length) {
        kept.put(new JournalIndex.Run(offset, length, 0, 0, false));
    }

    @Test
    void sectorsAreInTheirBlocks() {
        keep(BLOCK + 512, 512);
        keep(2 * BLOCK + 1024, BLOCK);
        keep(9 * BLOCK, 1);
        assertEquals(
                List.of(
                        new Frame.KeptRange(BLOCK, 3 * BLOCK),
                        new Frame.KeptRange(9 * BLOCK, BLOCK)),
                KeptRanges.of(kept, 2));
    }

    @Test
    void whereTheyAreTooManyTheSmallestGapsAreFilled() {
        keep(0, 10 * BLOCK);
        keep(11 * BLOCK, 10 * BLOCK);
        keep(40 * BLOCK, 10 * BLOCK);
        assertEquals(
                List.of(
                        new Frame.KeptRange(0, 21 * BLOCK),
                        new Frame.KeptRange(40 * BLOCK, 10 * BLOCK)),
                KeptRanges.of(kept, 2));
    }

    /// To compare most of a device for the sake of a few blocks costs more than to send them.
    @Test
    void whatWouldBeMostlyGapsIsNotTold() {
        keep(0, BLOCK);
        keep(1000 * BLOCK, BLOCK);
        assertNotNull(KeptRanges.of(kept, 2));
        assertNull(KeptRanges.of(kept, 1));
    }

    @Test
    void nothingIsKeptInNoRange() {
        assertEquals(List.of(), KeptRanges.of(kept, 1));
    }

    @Test
    void allThatIsKeptLiesInThem() {
        Random random = new Random(3);
        for (int round = 0; round < 300; round++) {
            JournalIndex some = new JournalIndex();
            BlockSet blocks = new BlockSet(2000);
            for (int i = 0; i < 1 + random.nextInt(40); i++) {
                long from = random.nextInt(1900) * BLOCK + random.nextInt(8) * 512L;
                long length = 512L * (1 + random.nextInt(200));
                some.put(new JournalIndex.Run(from, length, 0, i, false));
                blocks.addBytes(from, length);
            }
            List<Frame.KeptRange> ranges = KeptRanges.of(some, 1 + random.nextInt(20));
            if (ranges != null) {
                long before = blocks.count();
                BlockSet told = new BlockSet(2000);
                ranges.forEach(each -> told.addBytes(each.offsetBytes(), each.lengthBytes()));
                assertTrue(told.count() <= 2 * (before + some.size()));
                blocks.removeAll(told);
                assertEquals(0, blocks.count());
            }
        }
    }
}
