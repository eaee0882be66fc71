package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/// Which device is chosen, from what the kernel shows in `/sys/block`.
class KernelDeviceTest {
    @TempDir Path dir;

    private KernelDevice kernel() {
        return new KernelDevice(dir.resolve("sys"), dir.resolve("dev"));
    }

    @Test
    void aKernelWithoutNbdHasNoDevice() {
        assertFalse(kernel().isThere());
        assertEquals(Optional.empty(), kernel().free());
    }

    @Test
    void aDeviceWithAnOwnerIsPassedOver() throws Exception {
        Files.createDirectories(dir.resolve("sys/nbd0"));
        Files.createFile(dir.resolve("sys/nbd0/pid"));
        Files.createDirectories(dir.resolve("sys/nbd1"));
        assertTrue(kernel().isThere());
        assertEquals(Optional.of("nbd1"), kernel().free());
    }

    @Test
    void whenAllAreTakenTheRefusalSaysWhatToRaise() throws Exception {
        Files.createDirectories(dir.resolve("sys/nbd0"));
        Files.createFile(dir.resolve("sys/nbd0/pid"));
        IOException refused =
                assertThrows(
                        IOException.class, () -> kernel().connect("home", dir.resolve("socket")));
        assertTrue(refused.getMessage().contains("nbds_max"), refused.getMessage());
    }

    @Test
    void whatWasNeverConnectedIsDisconnectedWithoutAWord() throws Exception {
        kernel().disconnect("home");
    }
}
