package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.device.FileBlockDevice;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// Which device is chosen, from what the kernel shows in `/sys/block`. The kernel itself takes part
/// in `test/guest`.
class KernelDeviceTest {
    @TempDir Path dir;

    private KernelDevice kernel() {
        return new KernelDevice(dir.resolve("sys"), dir.resolve("dev"), dir);
    }

    @Test
    void aKernelWithoutNbdHasNoDevice() {
        assertFalse(kernel().isThere());
        assertEquals(Optional.empty(), kernel().choose());
    }

    @Test
    void aDeviceWithAnOwnerIsPassedOver() throws Exception {
        Files.createDirectories(dir.resolve("sys/nbd0"));
        Files.createFile(dir.resolve("sys/nbd0/pid"));
        Files.createDirectories(dir.resolve("sys/nbd1"));
        assertTrue(kernel().isThere());
        assertEquals(Optional.of("nbd1"), kernel().choose());
    }

    /// The kernel shows an owner only when `nbd-client` has done its work.
    @Test
    void aDeviceThatIsAboutToBeConnectedIsNobodyElses() throws Exception {
        Files.createDirectories(dir.resolve("sys/nbd0"));
        Files.createDirectories(dir.resolve("sys/nbd1"));
        KernelDevice kernel = kernel();
        assertEquals(Optional.of("nbd0"), kernel.choose());
        assertEquals(Optional.of("nbd1"), kernel.choose());
        assertEquals(Optional.empty(), kernel.choose());
        kernel.chose("nbd0");
        assertEquals(Optional.of("nbd0"), kernel.choose(), "it was not connected after all");
        Files.createFile(dir.resolve("sys/nbd1/pid"));
        kernel.chose("nbd1");
        assertEquals(Optional.empty(), kernel.choose(), "it has an owner");
    }

    @Test
    void whenAllAreTakenTheRefusalSaysWhatToRaise() throws Exception {
        Files.createDirectories(dir.resolve("sys/nbd0"));
        Files.createFile(dir.resolve("sys/nbd0/pid"));
        IOException refused =
                assertThrows(
                        IOException.class,
                        () -> kernel().connect("home", "home", dir.resolve("socket")));
        assertTrue(refused.getMessage().contains("nbds_max"), refused.getMessage());
    }

    @Test
    void aDeviceIsTheResourcesForAsLongAsItHasTheOwnerThatTheRecordNames() throws Exception {
        Files.createDirectories(dir.resolve("sys/nbd0"));
        Files.writeString(dir.resolve("sys/nbd0/pid"), "812\n");
        assertEquals(Optional.empty(), kernel().of("home"));
        Files.writeString(dir.resolve("home.kernel"), "nbd0 812\n");
        assertEquals(Optional.of("nbd0"), kernel().of("home"));
        assertFalse(kernel().isConnected("home"), "not by this process");
        Files.writeString(dir.resolve("sys/nbd0/pid"), "813\n");
        assertEquals(Optional.empty(), kernel().of("home"));
    }

    /// Somebody disconnected it by hand and uses it for something else.
    @Test
    void aDeviceThatIsNoLongerTheResourcesIsLeftAlone() throws Exception {
        Files.createDirectories(dir.resolve("sys/nbd0"));
        Files.createDirectories(dir.resolve("dev/holdfast"));
        Files.writeString(dir.resolve("sys/nbd0/pid"), "813\n");
        Files.writeString(dir.resolve("home.kernel"), "nbd0 812\n");
        Files.createSymbolicLink(dir.resolve("dev/holdfast/home"), dir.resolve("dev/nbd0"));
        kernel().disconnect("home");
        assertFalse(Files.exists(dir.resolve("home.kernel")));
        assertFalse(Files.isSymbolicLink(dir.resolve("dev/holdfast/home")));
    }

    @Test
    void whatWasNeverConnectedIsDisconnectedWithoutAWord() throws Exception {
        kernel().disconnect("home");
    }

    /// The devices are files here; that each of them is synced before the first is disconnected
    /// takes a kernel's, and is in `test/guest`.
    @Test
    void whileOneVolumeIsHeldBySomebodyElseNoneIsLetGo() throws Exception {
        Files.createDirectories(dir.resolve("dev/holdfast"));
        for (int i = 0; i < 2; i++) {
            String name = KernelDevice.name("db", i);
            Files.createDirectories(dir.resolve("sys/nbd" + i));
            Files.writeString(dir.resolve("sys/nbd" + i + "/pid"), "812\n");
            Files.writeString(dir.resolve("dev/nbd" + i), "");
            Files.writeString(dir.resolve(name + ".kernel"), "nbd" + i + " 812\n");
            Files.createSymbolicLink(
                    dir.resolve("dev/holdfast").resolve(name), dir.resolve("dev/nbd" + i));
        }
        KernelDevice kernel = kernel();
        try (FileBlockDevice other = FileBlockDevice.hold(dir.resolve("dev/nbd1"))) {
            IOException refused =
                    assertThrows(
                            IOException.class,
                            () -> kernel.disconnect(List.of("db", "db.1"), () -> true));
            assertTrue(refused.getMessage().startsWith(other + " "), refused.getMessage());
        }
        assertEquals(Optional.of("nbd0"), kernel.of("db"));
        assertEquals(Optional.of("nbd1"), kernel.of("db.1"));
        assertTrue(Files.isSymbolicLink(dir.resolve("dev/holdfast/db")));
        // What was opened for the refusal is closed: either can be held again.
        FileBlockDevice.hold(dir.resolve("dev/nbd0")).close();
        FileBlockDevice.hold(dir.resolve("dev/nbd1")).close();
    }
}
