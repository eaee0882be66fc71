package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

class CommittersTest {
    @TempDir Path directory;

    @Test
    void journalsOfOneFilesystemShareACommitterAndThoseOfAnotherHaveTheirOwn() throws Exception {
        Path memory = Path.of("/dev/shm");
        assumeTrue(!Files.getFileStore(memory).equals(Files.getFileStore(directory)));
        Path below = Files.createDirectories(directory.resolve("below"));
        try (var committers = new Committers()) {
            assertSame(committers.of(directory), committers.of(below));
            assertNotSame(committers.of(directory), committers.of(memory));
        }
    }

    @Test
    void aPathThatIsGoneHasNone() {
        try (var committers = new Committers()) {
            assertThrows(IOException.class, () -> committers.of(directory.resolve("gone")));
        }
    }
}
