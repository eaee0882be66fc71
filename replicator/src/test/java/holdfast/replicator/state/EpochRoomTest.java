package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Path;

/// What a peer may ask room for (R17).
class EpochRoomTest {
    @TempDir Path directory;

    @Test
    void roomForMoreThanALongCanCountIsNotThere() throws Exception {
        try (CopyOnFiles copy = new CopyOnFiles(directory)) {
            copy.connect(Position.NONE);
            for (long huge :
                    new long[] {1L << 52, 1L << 60, Long.MAX_VALUE / 4100, Long.MAX_VALUE}) {
                for (boolean zeroes : new boolean[] {false, true}) {
                    copy.on(new Frame.EpochBegin(7, zeroes ? 1 : huge, zeroes ? huge : 1));
                    Frame.EpochReply reply = (Frame.EpochReply) copy.sent.getLast();
                    assertTrue(reply.missingBytes() > 0, reply.toString());
                }
            }
        }
    }

    @Test
    void aJournalThatHasGrownHasRoomWhenItIsAskedAgain() throws Exception {
        try (CopyOnFiles copy = new CopyOnFiles(directory)) {
            copy.connect(Position.NONE);
            copy.commit(1, 1, 0);
            long blocks = CopyOnFiles.JOURNAL / CopyOnFiles.BLOCK;
            copy.on(new Frame.EpochBegin(7, blocks, 0));
            long missing = answer(copy).missingBytes();
            assertTrue(missing > 0);
            assertEquals(missing, copy.backup.missingForEpoch());
            long segments = Math.ceilDiv(missing, CopyOnFiles.SEGMENT);
            copy.backup.growJournal(CopyOnFiles.JOURNAL + segments * CopyOnFiles.SEGMENT);
            copy.on(new Frame.EpochBegin(7, blocks, 0));
            assertEquals(blocks, answer(copy).grantedBlocks());
            assertEquals(0, copy.backup.missingForEpoch());
            copy.backup.growJournal(CopyOnFiles.JOURNAL);
            copy.on(new Frame.EpochBegin(7, blocks, 0));
            assertEquals(blocks, answer(copy).grantedBlocks());
        }
    }

    @Test
    void whatAnEpochThatIsGivenUpHadStagedMakesRoomForTheNext() throws Exception {
        try (CopyOnFiles copy = new CopyOnFiles(directory)) {
            copy.connect(Position.NONE);
            copy.commit(1, 1, 0);
            long blocks = 120;
            int extensions = 0;
            for (copy.on(new Frame.EpochBegin(7, blocks, 0));
                    answer(copy).missingBytes() == 0;
                    copy.on(new Frame.EpochBegin(7, blocks, 0))) {
                for (int i = 0; i < blocks; i++) {
                    copy.on(new Frame.EpochBlocks(0, 7, 0, ByteBuffer.allocate(CopyOnFiles.BLOCK)));
                }
                assertTrue(++extensions < 20);
            }
            assertTrue(extensions > 1, "extended at least once");
            copy.roll(Integer.MAX_VALUE);
            copy.on(new Frame.EpochBegin(7, blocks, 0));
            assertTrue(answer(copy).missingBytes() > 0, "what is staged stays while it may count");

            copy.on(new Frame.EpochBegin(8, blocks, 0));
            copy.roll(Integer.MAX_VALUE);
            copy.on(new Frame.EpochBegin(8, blocks, 0));
            assertEquals(blocks, answer(copy).grantedBlocks());
        }
    }

    private static Frame.EpochReply answer(CopyOnFiles copy) {
        return (Frame.EpochReply) copy.sent.getLast();
    }
}
