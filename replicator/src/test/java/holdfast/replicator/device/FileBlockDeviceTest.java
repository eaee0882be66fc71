package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

class FileBlockDeviceTest {
    private static final int MIB = 1 << 20;

    @TempDir Path directory;

    private final Random random = new Random(1);

    private ByteBuffer direct(int lengthBytes) {
        byte[] bytes = new byte[lengthBytes];
        random.nextBytes(bytes);
        return ByteBuffer.allocateDirect(lengthBytes).put(bytes).flip();
    }

    private static byte[] read(BlockDevice device, long offsetBytes, int lengthBytes)
            throws DeviceException {
        var into = ByteBuffer.allocateDirect(lengthBytes);
        device.read(offsetBytes, into);
        assertFalse(into.hasRemaining());
        byte[] bytes = new byte[lengthBytes];
        into.flip().get(bytes);
        return bytes;
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(buffer.position(), bytes);
        return bytes;
    }

    @Test
    void aNewFileReadsAsZeroAndKeepsWhatIsWritten() throws IOException {
        Path path = directory.resolve("disk");
        ByteBuffer data = direct(10_000);
        byte[] expected = bytes(data);
        try (var device = FileBlockDevice.create(path, 4 * MIB)) {
            assertEquals(4 * MIB, device.sizeBytes());
            assertArrayEquals(new byte[5000], read(device, MIB, 5000));
            device.write(777, data);
            assertFalse(data.hasRemaining());
            device.sync();
        }
        try (var device = FileBlockDevice.open(path)) {
            assertEquals(4 * MIB, device.sizeBytes());
            assertArrayEquals(expected, read(device, 777, 10_000));
        }
        assertThrows(DeviceException.class, () -> FileBlockDevice.create(path, MIB));
    }

    @Test
    void manyPartsOfBothKindsAreWrittenInOrder() throws IOException {
        var parts = new ByteBuffer[Native.MAX_PARTS * 2 + 3];
        var expected = ByteBuffer.allocate(MIB);
        for (int i = 0; i < parts.length; i++) {
            ByteBuffer part = direct(i * 37);
            parts[i] = i % 3 == 0 ? ByteBuffer.wrap(bytes(part)) : part.asReadOnlyBuffer();
            expected.put(parts[i].duplicate());
        }
        expected.flip();
        try (var device = FileBlockDevice.create(directory.resolve("disk"), MIB)) {
            device.write(4096, parts);
            for (ByteBuffer part : parts) {
                assertFalse(part.hasRemaining());
            }
            assertArrayEquals(bytes(expected), read(device, 4096, expected.remaining()));
            var heap = ByteBuffer.allocate(expected.remaining());
            device.read(4096, heap);
            assertEquals(expected, heap.flip());
        }
    }

    @Test
    void readOnlyHeapBuffersAreWrittenToo() throws IOException {
        try (var device = FileBlockDevice.create(directory.resolve("disk"), MIB)) {
            device.write(0, ByteBuffer.wrap(new byte[] {1, 2, 3}).asReadOnlyBuffer());
            assertArrayEquals(new byte[] {1, 2, 3, 0}, read(device, 0, 4));
        }
    }

    @Test
    void zeroingReadsAsZeroAtOnceAndPunchingGivesSpaceBack() throws IOException {
        Path path = directory.resolve("disk");
        try (var device = FileBlockDevice.create(path, 4 * MIB)) {
            ByteBuffer data = direct(3 * MIB);
            byte[] expected = bytes(data);
            device.write(0, data);
            device.sync();
            device.zero(1000, 5000, false);
            device.zero(MIB, MIB, true);
            java.util.Arrays.fill(expected, 1000, 6000, (byte) 0);
            java.util.Arrays.fill(expected, MIB, 2 * MIB, (byte) 0);
            assertArrayEquals(expected, read(device, 0, 3 * MIB));
            assertTrue(device.discardZeroes());
            assertEquals(MIB, device.nextHole(0));
            assertEquals(2 * MIB, device.nextData(MIB));
            assertEquals(3 * MIB, device.nextHole(2 * MIB));
            assertEquals(4 * MIB, device.nextData(3 * MIB));
            assertEquals(4 * MIB, device.nextData(4 * MIB));
            assertEquals(4 * MIB, device.sizeBytes());
        }
    }

    @Test
    void outsideIsABugOfTheCallerAndChangesNothing() throws IOException {
        Path path = directory.resolve("disk");
        try (var device = FileBlockDevice.create(path, MIB)) {
            assertThrows(IndexOutOfBoundsException.class, () -> device.write(MIB - 1, direct(2)));
            assertThrows(IndexOutOfBoundsException.class, () -> device.zero(0, MIB + 1, true));
            assertThrows(
                    IndexOutOfBoundsException.class, () -> device.read(-1, ByteBuffer.allocate(1)));
        }
        assertEquals(MIB, Files.size(path));
    }

    @Test
    void aFileThatHasShrunkIsAnErrorAndNotZeroes() throws IOException {
        Path path = directory.resolve("disk");
        try (var device = FileBlockDevice.create(path, MIB);
                var file =
                        java.nio.channels.FileChannel.open(
                                path, java.nio.file.StandardOpenOption.WRITE)) {
            file.truncate(1000);
            var e =
                    assertThrows(
                            DeviceException.class, () -> device.read(0, ByteBuffer.allocate(2000)));
            assertTrue(e.getMessage().contains("shrunk"), e.getMessage());
            // Nor a hole, which readers of the whole device skip.
            e = assertThrows(DeviceException.class, () -> device.nextData(4096));
            assertTrue(e.getMessage().contains("shrunk"), e.getMessage());
        }
    }

    @Test
    void anInterruptedThreadHarmsNobody() throws IOException {
        try (var device = FileBlockDevice.create(directory.resolve("disk"), MIB)) {
            Thread.currentThread().interrupt();
            device.write(0, direct(4096));
            device.sync();
            read(device, 0, 4096);
            assertTrue(Thread.interrupted());
            read(device, 0, 4096);
        }
    }

    @Test
    void afterCloseNothingWorksAndClosingAgainIsHarmless() throws IOException {
        var device = FileBlockDevice.create(directory.resolve("disk"), MIB);
        device.close();
        device.close();
        assertThrows(IllegalStateException.class, () -> device.read(0, ByteBuffer.allocate(1)));
        assertThrows(IllegalStateException.class, device::sync);
    }

    @Test
    void whatIsNoFileOrDeviceIsRefused() {
        var missing =
                assertThrows(
                        DeviceException.class,
                        () -> FileBlockDevice.open(directory.resolve("missing")));
        assertEquals(Errno.ENOENT, missing.errno());
        assertThrows(DeviceException.class, () -> FileBlockDevice.open(directory));
        assertThrows(DeviceException.class, () -> FileBlockDevice.open(Path.of("/dev/null")));
    }

    @Test
    void aBlockDeviceHasItsSizeAndZeroesRaggedRanges() throws IOException {
        try (var loop = Loop.over(directory.resolve("image"), 8 * MIB, "--sector-size", "4096");
                var device = FileBlockDevice.open(loop.device())) {
            assertEquals(8 * MIB, device.sizeBytes());
            assertEquals(4096, device.logicalBlockBytes());
            ByteBuffer data = direct(8 * MIB);
            byte[] expected = bytes(data);
            device.write(0, data);
            device.zero(1000, 100, true);
            device.zero(5000, 20_000, false);
            device.zero(MIB + 1, MIB, true);
            java.util.Arrays.fill(expected, 1000, 1100, (byte) 0);
            java.util.Arrays.fill(expected, 5000, 25_000, (byte) 0);
            java.util.Arrays.fill(expected, MIB + 1, 2 * MIB + 1, (byte) 0);
            assertArrayEquals(expected, read(device, 0, 8 * MIB));
            device.sync();
            assertArrayEquals(expected, Files.readAllBytes(loop.file()));
            assertTrue(device.discardZeroes());
            assertEquals(12345, device.nextData(12345));
            assertEquals(8 * MIB, device.nextHole(0));
        }
    }

    @Test
    void aBlockDeviceIsHeldExclusively() throws IOException {
        try (var loop = Loop.over(directory.resolve("image"), 8 * MIB);
                var device = FileBlockDevice.open(loop.device())) {
            var e = assertThrows(DeviceException.class, () -> FileBlockDevice.open(loop.device()));
            assertEquals(Errno.EBUSY, e.errno());
            try (var reader = FileBlockDevice.openReadOnly(loop.device())) {
                assertEquals(8 * MIB, reader.sizeBytes());
            }
        }
    }

    @Test
    void aMountedDeviceIsRefusedAndTheMessageSaysWhere() throws IOException {
        Path mount = Files.createDirectory(directory.resolve("a mount"));
        try (var loop = Loop.over(directory.resolve("image"), 16 * MIB)) {
            Tool.run("mkfs.ext4", "-q", loop.device());
            Tool.run("mount", loop.device(), mount);
            try {
                var e =
                        assertThrows(
                                DeviceException.class, () -> FileBlockDevice.open(loop.device()));
                assertEquals(
                        loop.device() + " is mounted at " + mount + ": in use (EBUSY)",
                        e.getMessage());
                e = assertThrows(DeviceException.class, () -> FileBlockDevice.open(loop.file()));
                assertTrue(e.getMessage().contains("is mounted at " + mount), e.getMessage());
            } finally {
                Tool.run("umount", mount);
            }
            var e = assertThrows(DeviceException.class, () -> FileBlockDevice.open(loop.file()));
            assertTrue(e.getMessage().contains("losetup -d"), e.getMessage());
        }
        FileBlockDevice.open(directory.resolve("image")).close();
    }

    @Test
    void aReadOnlyDeviceIsRefused() throws IOException {
        try (var loop = Loop.over(directory.resolve("image"), MIB, "--read-only")) {
            assertThrows(DeviceException.class, () -> FileBlockDevice.open(loop.device()));
            FileBlockDevice.openReadOnly(loop.device()).close();
        }
    }
}
