package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.UUID;

/// A role that is over, for whoever has found it before and comes to it only then.
class LocalPrimaryTest {
    private static final String CHOSEN = "another moment of it was chosen just now";

    @TempDir Path dir;

    @Test
    void aRoleThatWasHandedOverIsNeitherAttachedNorMadeFinal() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary primary = RosterTest.primary(node, "home", new UUID(1, 2));
            assertEquals("", primary.makeFinal(), "a plain disk is final");
            primary.handOver();
            assertEquals(CHOSEN, assertThrows(IOException.class, primary::makeFinal).getMessage());
            assertEquals(CHOSEN, assertThrows(IOException.class, () -> attach(primary)).getMessage());
            assertFalse(primary.isAttached());
        }
    }

    @Test
    void aRoleThatEndsSaysWhatBecomesOfIt() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary primary = RosterTest.primary(node, "home", new UUID(1, 2));
            primary.end("it is just being removed");
            assertEquals(
                    "it is just being removed",
                    assertThrows(IOException.class, () -> attach(primary)).getMessage());
            primary.close();
        }
    }

    private static void attach(LocalPrimary primary) throws IOException {
        primary.attach(BackupResource.ANSWERS);
    }
}
