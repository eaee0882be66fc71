package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/// A base without space is trouble as long as something has to go into it.
class FullBaseTest {
    private static final String WHY = "no space";

    @TempDir Path dir;

    private CopyOnFiles copy;
    private long number = 10;

    @BeforeEach
    void aCopyWithAPoint() throws Exception {
        copy = new CopyOnFiles(dir);
        copy.backup.retain(new Retention(86_400_000, 0), Integer.MAX_VALUE);
        copy.connect(Position.NONE);
        copy.commit(number, 1, 0, 1, 2, 3);
    }

    @AfterEach
    void close() {
        copy.close();
    }

    @Test
    void whoTriesAgainAndHasNothingToWriteLacksNothing() throws Exception {
        copy.write(++number, 1, 7);
        assertNotNull(copy.backup.startRoll(true));
        copy.backup.rollLacksSpace(WHY);
        assertEquals(WHY, copy.backup.noSpace());
        copy.backup.tryAgain();
        assertNull(copy.backup.startRoll(false));
        assertEquals("", copy.backup.noSpace());
    }

    @Test
    void whatHasToBeWrittenLacksSpaceUntilItIs() throws Exception {
        Backup.Roll roll = null;
        while (roll == null) {
            copy.write(++number, (int) (number % CopyOnFiles.BLOCKS), 7);
            roll = copy.backup.startRoll(false);
        }
        copy.backup.rollLacksSpace(WHY);
        copy.backup.tryAgain();
        assertEquals(WHY, copy.backup.noSpace());
        copy.rollWhatIsDue();
        assertEquals("", copy.backup.noSpace());
    }
}
