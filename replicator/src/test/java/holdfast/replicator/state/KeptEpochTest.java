package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.JournalIndex;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/// What a backup keeps of an epoch that was cut off, and what becomes of it (R18).
class KeptEpochTest {
    private static final int BLOCK = CopyOnFiles.BLOCK;

    @TempDir Path directory;
    private CopyOnFiles copy;
    private EpochDigest digest;
    private int sentBlocks;

    /// Blocks 1 to 9 are 1 in the copy, and an epoch that brings 2 to blocks 2 and 3 is cut off.
    @BeforeEach
    void cutOff() throws Exception {
        copy = new CopyOnFiles(directory);
        copy.connect(Position.NONE);
        copy.commit(1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        begin(100, 20);
        send(2, 2);
        send(3, 2);
        copy.backup.sessionDown();
    }

    @AfterEach
    void close() throws Exception {
        copy.close();
    }

    @Test
    void theNextEpochGoesOnFromIt() throws Exception {
        connect();
        assertEquals(List.of(range(2, 2)), begin(1, 20).kept());
        send(3, 3);
        send(4, 3);
        commit(1, 2);
        assertSees(2, 1, 2, 3, 3, 1);
        copy.open();
        assertSees(2, 1, 2, 3, 3, 1);
        copy.roll(Integer.MAX_VALUE);
        assertSees(2, 1, 2, 3, 3, 1);
        assertFalse(copy.backup.holdsStaged());
    }

    @Test
    void aRestartFindsItAgain() throws Exception {
        copy.open();
        connect();
        assertEquals(List.of(range(2, 2)), begin(1, 20).kept());
        send(9, 4);
        copy.open();
        connect();
        assertEquals(List.of(range(2, 2), range(9, 1)), begin(1, 20).kept());
        commit(1, 2);
        copy.open();
        assertSees(2, 1, 2, 2, 1, 1, 1, 1, 1, 4);
    }

    /// Its beginning would be gone at the next start, and the rest of it would be another thing.
    @Test
    void theBaseDoesNotRollPastWhereItBegan() throws Exception {
        copy.roll(Integer.MAX_VALUE);
        connect();
        begin(1, 20);
        send(5, 3);
        copy.backup.sessionDown();
        assertEquals(null, copy.backup.startRoll(true));
        copy.open();
        connect();
        assertEquals(List.of(range(2, 2), range(5, 1)), begin(1, 20).kept());
        commit(1, 2);
        copy.roll(Integer.MAX_VALUE);
        assertSees(2, 1, 2, 2, 1, 3);
    }

    @Test
    void itShowsOnlyWithTheCommitOfWhatGoesOnFromIt() throws Exception {
        connect();
        begin(1, 20);
        assertSees(1, 1, 1, 1, 1);
        copy.open();
        assertSees(1, 1, 1, 1, 1);
    }

    @Test
    void digestsOfSectorsAreOfWhatIsKeptOverWhatIsCommitted() throws Exception {
        connect();
        begin(1, 20);
        send(2, 7); // Of the epoch itself: nothing that a digest is made of.
        copy.on(new Frame.CompareSectors(1, List.of(new Frame.Range(BLOCK, 3 * BLOCK))));
        Backup.Sectors asked = copy.backup.nextSectors();
        byte[] found = new byte[3 * BLOCK];
        JournalIndex index = copy.backup.indexOf(asked);
        for (int block = 1; block <= 3; block++) {
            Arrays.fill(
                    found,
                    (block - 1) * BLOCK,
                    block * BLOCK,
                    copy.journalByte(index.at((long) block * BLOCK).dataAddress()));
        }
        byte[] expected = new byte[3 * BLOCK];
        Arrays.fill(expected, 0, BLOCK, (byte) 1);
        Arrays.fill(expected, BLOCK, 3 * BLOCK, (byte) 2);
        assertArrayEquals(expected, found);
    }

    @Test
    void anotherEpochOfTheSameSessionVoidsIt() throws Exception {
        connect();
        begin(1, 20);
        send(5, 3);
        assertEquals(List.of(), begin(2, 20).kept());
        commit(2, 2);
        assertSees(2, 1, 1, 1, 1, 1);
        copy.open();
        assertSees(2, 1, 1, 1, 1, 1);
    }

    @Test
    void anExtensionIsNotToldAgain() {
        connect();
        begin(1, 20);
        send(5, 3);
        copy.on(new Frame.EpochBegin(1, 30, 0));
        assertEquals(30, answer().grantedBlocks());
        assertEquals(List.of(), answer().kept());
    }

    @Test
    void aWriteEndsIt() throws Exception {
        connect();
        copy.write(2, 3, 9);
        assertEquals(List.of(), begin(1, 20).kept());
        commit(1, 3);
        assertSees(3, 1, 1, 9, 1);
        copy.open();
        assertSees(3, 1, 1, 9, 1);
    }

    /// A start between the two finds both.
    @Test
    void aWriteEndsItForAStartAsWell() throws Exception {
        connect();
        copy.write(2, 3, 9);
        copy.open();
        connect(2);
        assertEquals(List.of(), begin(1, 20).kept());
    }

    @Test
    void whatIsKeptGivesWayToAnEpochThatLacksRoom() throws Exception {
        connect();
        begin(1, 130);
        for (int i = 0; i < 120; i++) {
            send(5, 3); // Two segments.
        }
        copy.backup.sessionDown();
        connect();
        long blocks = 200;
        while (begin(1, blocks).missingBytes() == 0) {
            copy.backup.sessionDown();
            connect();
            blocks++;
        }
        assertTrue(copy.backup.holdsStaged(), "there is something in front of it to roll");
        copy.roll(Integer.MAX_VALUE);
        assertTrue(begin(1, blocks).missingBytes() > 0);
        assertFalse(copy.backup.holdsStaged());
        copy.roll(Integer.MAX_VALUE);
        assertEquals(blocks, begin(1, blocks).grantedBlocks());
        assertEquals(List.of(), answer().kept());
        commit(1, 2);
        assertSees(2, 1, 1, 1, 1);
        copy.open();
        assertSees(2, 1, 1, 1, 1);
    }

    @Test
    void whatLiesBehindTheEndOfThePeersDeviceIsNotKept() {
        copy.deviceBlocks = 3;
        connect();
        assertEquals(List.of(), begin(1, 20).kept());
    }

    @Test
    void whatArrivedDamagedIsNotKept() {
        connect();
        begin(1, 20);
        send(5, 3);
        copy.on(
                new Frame.EpochCommit(
                        1, CopyOnFiles.at(2), 5, 1, new byte[32], CopyOnFiles.ANCESTRY));
        copy.backup.sessionDown();
        connect();
        assertEquals(List.of(), begin(1, 20).kept());
    }

    // ---- the parts of it
    // ------------------------------------------------------------------------------------------

    private void connect() {
        connect(1);
    }

    private void connect(long number) {
        copy.connect(CopyOnFiles.at(number));
    }

    private Frame.EpochReply begin(long epoch, long blocks) {
        digest = new EpochDigest();
        sentBlocks = 0;
        this.epoch = epoch;
        copy.on(new Frame.EpochBegin(epoch, blocks, 0));
        return answer();
    }

    private long epoch;

    private void send(int block, int with) {
        byte[] bytes = new byte[BLOCK];
        Arrays.fill(bytes, (byte) with);
        ByteBuffer data = ByteBuffer.wrap(bytes);
        digest.blocks((long) block * BLOCK, data);
        sentBlocks++;
        copy.on(new Frame.EpochBlocks(0, epoch, (long) block * BLOCK, data));
    }

    private void commit(long epoch, long number) {
        copy.on(
                new Frame.EpochCommit(
                        epoch,
                        CopyOnFiles.at(number),
                        5,
                        sentBlocks,
                        digest.finish(),
                        CopyOnFiles.ANCESTRY));
    }

    private Frame.EpochReply answer() {
        return (Frame.EpochReply) copy.sent.getLast();
    }

    private static Frame.KeptRange range(long first, long count) {
        return new Frame.KeptRange(first * BLOCK, count * BLOCK);
    }

    /// The point, and what blocks 1, 2 … are filled with in it.
    private void assertSees(long number, int... blocks) throws Exception {
        Backup.View view = copy.backup.openView();
        assertEquals(CopyOnFiles.at(number), view.position());
        int[] seen = new int[blocks.length];
        for (int i = 0; i < blocks.length; i++) {
            seen[i] = copy.seen(view, i + 1);
        }
        copy.backup.closeView(view.id());
        assertArrayEquals(blocks, seen);
    }
}
