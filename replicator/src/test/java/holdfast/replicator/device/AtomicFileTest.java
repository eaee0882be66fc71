package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

class AtomicFileTest {
    @TempDir Path directory;

    @Test
    void replacesTheWholeFileAndLeavesNothingElse() throws IOException {
        Path path = directory.resolve("state");
        AtomicFile.write(path, new byte[] {1, 2, 3});
        Files.write(directory.resolve("state.tmp"), new byte[] {9});
        AtomicFile.write(path, new byte[] {4});
        assertArrayEquals(new byte[] {4}, Files.readAllBytes(path));
        assertEquals(
                "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
        try (var entries = Files.list(directory)) {
            assertEquals(1, entries.count());
        }
    }

    @Test
    void aFailureLeavesTheOldFile() throws IOException {
        Path path = Files.createDirectory(directory.resolve("state"));
        Files.write(path.resolve("content"), new byte[] {1});
        assertThrows(DeviceException.class, () -> AtomicFile.write(path, new byte[] {4}));
        try (var entries = Files.list(directory)) {
            assertEquals(1, entries.count());
        }
    }
}
