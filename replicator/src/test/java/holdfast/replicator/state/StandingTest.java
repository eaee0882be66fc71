package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/// What a copy says of itself while the primary's buffer is closed: that it is whole, and old.
class StandingTest {
    @TempDir Path directory;
    private CopyOnFiles copy;

    /// The stream is established.
    @BeforeEach
    void follow() throws Exception {
        copy = new CopyOnFiles(directory);
        copy.connect(Position.NONE);
        copy.commit(1, 1, 1, 2);
        copy.write(2, 3, 1);
        assertSays(DiskState.UP_TO_DATE);
    }

    @AfterEach
    void close() {
        copy.close();
    }

    @Test
    void whatAClosedBufferDrainsMakesItNotUpToDate() {
        copy.leavesOutBehind(4);
        assertSays(DiskState.OUTDATED);
        copy.write(3, 4, 1);
        copy.write(4, 5, 1);
        assertSays(DiskState.OUTDATED);
        assertTrue(copy.backup.isBehind());
    }

    @Test
    void anEpochThatLacksRoomLeavesItOutdated() {
        copy.leavesOutBehind(2);
        copy.on(new Frame.EpochBegin(7, 1L << 40, 0));
        assertTrue(((Frame.EpochReply) copy.sent.getLast()).missingBytes() > 0);
        assertEquals(0, copy.backup.openEpoch());
        assertSays(DiskState.OUTDATED);
    }

    @Test
    void theEpochThatBringsWhatIsLeftOutMakesItUpToDateOnceItIsDurable() {
        copy.leavesOutBehind(2);
        copy.stage(2, 1);
        assertSays(DiskState.OUTDATED);
        copy.syncsLater = true;
        copy.commitStaged(3, 2, 1);
        assertSays(DiskState.OUTDATED);
        copy.settle();
        assertSays(DiskState.UP_TO_DATE);
    }

    /// The buffer opened when the epoch was frozen, and has closed again since.
    @Test
    void aCommitThatWasOvertakenIsNoneOfWhatIsLeftOut() {
        copy.leavesOutBehind(2);
        copy.stage(2, 1);
        copy.leavesOutBehind(5);
        copy.commitStaged(3, 2, 1);
        copy.write(4, 4, 1);
        copy.write(5, 5, 1);
        assertSays(DiskState.OUTDATED);
        copy.commit(6, 3, 1);
        assertSays(DiskState.UP_TO_DATE);
    }

    @Test
    void theNextSessionSaysItAnew() {
        copy.leavesOutBehind(2);
        copy.connect(CopyOnFiles.at(2));
        assertSays(DiskState.OUTDATED);
        copy.write(3, 4, 1);
        assertSays(DiskState.UP_TO_DATE);
    }

    @Test
    void whatIsRefusedBringsItNothing() {
        copy.write(9, 4, 1);
        assertTrue(copy.backup.refusal().contains("does not follow"), copy.backup.refusal());
        assertSays(DiskState.OUTDATED);
    }

    private void assertSays(DiskState state) {
        assertEquals(state, copy.backup.diskState());
    }
}
