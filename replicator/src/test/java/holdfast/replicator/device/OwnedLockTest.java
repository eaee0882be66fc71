package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

class OwnedLockTest {
    @TempDir Path directory;

    private Path locks() {
        return directory.resolve("locks");
    }

    private Path device() throws IOException {
        Path path = directory.resolve("disk");
        if (!Files.exists(path)) {
            Files.write(path, new byte[1 << 20]);
        }
        return path;
    }

    /// Takes a lock, says so, and keeps it until it is killed.
    static final class Holder {
        public static void main(String[] arguments) throws Exception {
            OwnedLock.ofDevice(Path.of(arguments[0]), Path.of(arguments[1]), arguments[2]);
            System.out.println("held");
            System.in.read();
        }
    }

    private DeviceException refused(Path path) {
        return assertThrows(
                DeviceException.class, () -> OwnedLock.ofDevice(locks(), path, "second"));
    }

    @Test
    void allNamesOfOneFileAreOneLock() throws IOException {
        Path symbolic = Files.createSymbolicLink(directory.resolve("symbolic"), device());
        Path hard = Files.createLink(directory.resolve("hard"), device());
        try (var lock = OwnedLock.ofDevice(locks(), device(), "home")) {
            assertEquals("home", lock.owner().resource());
            assertEquals(Optional.empty(), lock.previous());
            assertEquals(
                    "%s is held by resource home of the daemon with pid %d: in use (EBUSY)"
                            .formatted(device(), ProcessHandle.current().pid()),
                    refused(device()).getMessage());
            for (Path alias : new Path[] {symbolic, hard}) {
                assertTrue(
                        refused(alias).getMessage().contains("under the name " + device()),
                        refused(alias).getMessage());
            }
        }
        OwnedLock.ofDevice(locks(), hard, "home").close();
    }

    @Test
    void bindMountsAndLoopDevicesAreTheSameLockToo() throws IOException {
        Path bound = Files.createDirectory(directory.resolve("bound"));
        Path images = Files.createDirectory(directory.resolve("images"));
        try (var loop = Loop.over(images.resolve("image"), 1 << 20)) {
            Tool.run("mount", "--bind", images, bound);
            try (var lock = OwnedLock.ofDevice(locks(), loop.device(), "home")) {
                assertEquals(Errno.EBUSY, refused(bound.resolve("image")).errno());
                assertEquals(Errno.EBUSY, refused(loop.file()).errno());
                assertEquals(loop.device().toString(), lock.owner().path());
            } finally {
                Tool.run("umount", bound);
            }
        }
    }

    @Test
    void aKilledOwnersLockIsTakenOverAndNobodyElses() throws Exception {
        Process holder =
                new ProcessBuilder(
                                System.getProperty("java.home") + "/bin/java",
                                "--enable-native-access=ALL-UNNAMED",
                                "-cp",
                                System.getProperty("java.class.path"),
                                Holder.class.getName(),
                                locks().toString(),
                                device().toString(),
                                "home")
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        try {
            assertEquals("held", holder.inputReader().readLine());
            assertTrue(
                    refused(device()).getMessage().contains("pid " + holder.pid()),
                    refused(device()).getMessage());
        } finally {
            holder.destroyForcibly().waitFor();
        }
        try (var lock = OwnedLock.ofDevice(locks(), device(), "home")) {
            OwnerRecord dead = lock.previous().orElseThrow();
            assertEquals(holder.pid(), dead.pid());
            assertEquals(lock.owner().bootId(), dead.bootId());
        }
        // Let go of in good order, there is nobody to take over from.
        try (var lock = OwnedLock.ofDevice(locks(), device(), "home")) {
            assertEquals(Optional.empty(), lock.previous());
        }
    }

    @Test
    void aStateDirectoryHasOneDaemon() throws IOException {
        try (var lock = OwnedLock.ofStateDirectory(directory)) {
            var e =
                    assertThrows(
                            DeviceException.class, () -> OwnedLock.ofStateDirectory(directory));
            assertTrue(
                    e.getMessage().contains("held by the daemon with pid " + lock.owner().pid()),
                    e.getMessage());
        }
        var lock = OwnedLock.ofStateDirectory(directory);
        lock.close();
        lock.close();
    }

    @Test
    void aTornRecordIsNoRecord() {
        byte[] whole =
                new OwnerRecord("boot", 12, new java.util.UUID(1, 2), "home", "/dev/a b").encode();
        assertEquals("/dev/a b", OwnerRecord.decode(whole).orElseThrow().path());
        for (int i = 0; i < whole.length; i++) {
            assertEquals(Optional.empty(), OwnerRecord.decode(java.util.Arrays.copyOf(whole, i)));
            byte[] flipped = whole.clone();
            flipped[i] ^= 4;
            assertEquals(Optional.empty(), OwnerRecord.decode(flipped));
        }
    }

    @Test
    void twoWritersOfOneFileAreRefusedEvenWithoutACommonLockDirectory() throws IOException {
        try (var device = FileBlockDevice.open(device())) {
            var e = assertThrows(DeviceException.class, () -> FileBlockDevice.open(device()));
            assertEquals(Errno.EBUSY, e.errno());
            FileBlockDevice.openReadOnly(device()).close();
            assertEquals(1 << 20, device.sizeBytes());
        }
    }

    /// As a program does that was being started when its owner let go.
    @Test
    void whoHoldsItWithoutANameIsWaitedForAMoment() throws Exception {
        OwnedLock.ofStateDirectory(directory).close();
        RawFile nameless =
                RawFile.open(directory.resolve("daemon.lock").toString(), Native.O_RDWR, 0600);
        nameless.truncate(0);
        assertTrue(nameless.tryLock());
        Thread letsGo =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    LockSupport.parkNanos(200_000_000);
                                    nameless.close();
                                });
        OwnedLock.ofStateDirectory(directory).close();
        letsGo.join();
    }
}
