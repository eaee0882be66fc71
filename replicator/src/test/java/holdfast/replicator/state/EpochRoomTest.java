package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

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

    /// Whatever the journal holds, and however the blocks come.
    @Test
    void whatIsSaidToBeMissingSufficesForAllThatWasAskedFor() throws Exception {
        for (int seed = 1; seed <= 30; seed++) {
            Path own = Files.createDirectory(directory.resolve("seed-" + seed));
            try (CopyOnFiles copy = new CopyOnFiles(own)) {
                raiseAndFill(copy, new Random(seed), "seed " + seed);
            }
        }
    }

    private static void raiseAndFill(CopyOnFiles copy, Random random, String seed)
            throws Exception {
        copy.connect(Position.NONE);
        copy.commit(1, 1, 0);
        int writes = random.nextInt(250);
        for (int i = 0; i < writes; i++) {
            copy.write(2 + i, random.nextInt(CopyOnFiles.BLOCKS), i % 100);
        }
        if (random.nextBoolean()) {
            copy.roll(Integer.MAX_VALUE);
        }
        int blocks = 300 + random.nextInt(700);
        Frame.EpochBegin begin = new Frame.EpochBegin(7, blocks, 0);
        copy.on(begin);
        long missing = answer(copy).missingBytes();
        assertTrue(missing > 0, seed);
        long more = Math.ceilDiv(missing, CopyOnFiles.SEGMENT) * CopyOnFiles.SEGMENT;
        copy.growJournal(CopyOnFiles.JOURNAL + more);
        copy.on(begin);
        assertEquals(blocks, answer(copy).grantedBlocks(), seed);

        EpochDigest digest = new EpochDigest();
        for (int left = blocks; left > 0; ) {
            int run = Math.min(left, 1 + random.nextInt(Limits.DEFAULT.runBlocks()));
            long at = (long) random.nextInt(CopyOnFiles.BLOCKS - run + 1) * CopyOnFiles.BLOCK;
            ByteBuffer data = ByteBuffer.allocate(run * CopyOnFiles.BLOCK);
            copy.on(new Frame.EpochBlocks(0, 7, at, data.duplicate()));
            digest.blocks(at, data);
            left -= run;
        }
        copy.on(
                new Frame.EpochCommit(
                        7, CopyOnFiles.at(900), 5, blocks, digest.finish(), CopyOnFiles.ANCESTRY));
        assertEquals(CopyOnFiles.at(900), copy.backup.committed(), seed);
        assertTrue(
                copy.backup.journalUsedBytes() <= CopyOnFiles.JOURNAL + more,
                seed + ": " + copy.backup.journalUsedBytes());
    }

    private static Frame.EpochReply answer(CopyOnFiles copy) {
        return (Frame.EpochReply) copy.sent.getLast();
    }
}
