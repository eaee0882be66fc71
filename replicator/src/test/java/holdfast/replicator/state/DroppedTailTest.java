package holdfast.replicator.state;

import static holdfast.replicator.state.CopyOnFiles.at;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/// A power cut tears a record and keeps whole ones behind it. They are dropped, and none of them
/// comes back later: not where the journal was written over as far as to it, nor where the base was
/// rolled on as far as to it.
class DroppedTailTest {
    @TempDir Path directory;

    private CopyOnFiles copy;

    /// The point is 10, with 1 in the blocks 0 to 2. Behind it 11 is torn; 12 and 13 are whole.
    @BeforeEach
    void dropTail() throws Exception {
        copy = new CopyOnFiles(directory);
        copy.connect(Position.NONE);
        copy.commit(10, 1, 0, 1, 2);
        copy.syncsLater = true;
        long torn = copy.write(11, 0, 2);
        copy.write(12, 1, 3);
        copy.write(13, 2, 4);
        assertEquals(at(10), copy.backup.committed());
        copy.damage(torn + 200);
        copy.syncsLater = false;
        copy.open();
        assertNull(copy.damage);
        assertBlocks(10, 1, 1, 1);
        copy.connect(at(10));
    }

    @AfterEach
    void close() {
        copy.close();
    }

    @Test
    void aDroppedRecordIsNotTheNextBehindWhatWasWrittenSince() throws Exception {
        copy.write(11, 2, 5);
        copy.open();
        assertNull(copy.damage);
        assertBlocks(11, 1, 1, 5);
    }

    @Test
    void aDroppedRecordIsNotTheFirstBehindTheWatermark() throws Exception {
        copy.write(11, 2, 5);
        copy.roll(Integer.MAX_VALUE);
        copy.open();
        assertNull(copy.damage);
        assertBlocks(11, 1, 1, 5);
        copy.connect(at(11));
        copy.write(12, 0, 6);
        copy.open();
        assertNull(copy.damage);
        assertBlocks(12, 6, 1, 5);
    }

    /// The opening that reads it is not the one that moved the watermark, and may be many later.
    @Test
    void norAfterMoreStarts() throws Exception {
        copy.write(11, 2, 5);
        copy.roll(Integer.MAX_VALUE);
        copy.open();
        copy.open();
        copy.connect(at(11));
        long again = copy.write(12, 0, 6);
        copy.damage(again + 200);
        copy.open();
        assertNull(copy.damage);
        assertBlocks(11, 1, 1, 5);
        copy.connect(at(11));
        copy.write(12, 0, 7);
        copy.roll(Integer.MAX_VALUE);
        copy.open();
        assertBlocks(12, 7, 1, 5);
    }

    private void assertBlocks(long number, int... blocks) throws Exception {
        Backup.View view = copy.backup.openView();
        assertEquals(at(number), view.position());
        for (int i = 0; i < blocks.length; i++) {
            assertEquals(blocks[i], copy.seen(view, i), "block " + i);
        }
        copy.backup.closeView(view.id());
    }
}
