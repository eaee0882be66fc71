package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import holdfast.replicator.metadata.Evidence.Sign;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

class FilesystemSignsTest {
    private static final String UUID = "0f0e0d0c-0b0a-4908-8706-050403020100";
    private static final String HEX = UUID.replace("-", "");

    @TempDir Path directory;

    private Path image(long sizeBytes) throws IOException {
        Path path = directory.resolve("image");
        try (var file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(sizeBytes);
        }
        return path;
    }

    private static void put(Path path, long at, byte[] bytes) throws IOException {
        try (var file = new RandomAccessFile(path.toFile(), "rw")) {
            file.seek(at);
            file.write(bytes);
        }
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static Map<String, String> signs(Path path) throws DeviceException {
        try (FileBlockDevice device = FileBlockDevice.openReadOnly(path)) {
            return FilesystemSigns.of(device).stream()
                    .collect(Collectors.toMap(Sign::name, Sign::value));
        }
    }

    @Test
    void whatIsNotKnownOrSmallSaysNothing() throws IOException {
        assertEquals(Map.of(), signs(image(0)));
        assertEquals(Map.of(), signs(image(600)));
        assertEquals(Map.of(), signs(image(1 << 20)));
    }

    @Test
    void extSaysWhenItWasMountedAndWritten() throws IOException {
        Path path = image(64 << 20);
        Tool.run("mkfs.ext4", "-q", "-F", "-U", UUID, path);
        for (String change :
                List.of("set_super_value mtime 20300102030405", "ssv wtime 20400102030405")) {
            Tool.run("debugfs", "-w", "-R", change, path);
        }
        put(path, 1024 + 0x34, new byte[] {7, 1});
        Map<String, String> signs = signs(path);
        assertEquals(HEX, signs.get("the uuid of the ext filesystem"));
        assertEquals("2030-01-02T03:04:05Z", signs.get("the last mount of the ext filesystem"));
        assertEquals("263", signs.get("the count of mounts of the ext filesystem"));
        String written = signs.get("the last write of the ext filesystem");
        put(path, 1024 + 0x274, new byte[] {1}); // The 33rd bit of the time of writing.
        assertNotEquals(written, signs(path).get("the last write of the ext filesystem"));
        assertEquals(4, signs.size());
    }

    @Test
    void othersSayWhatTheirHeadersHold() throws IOException {
        Path path = image(1 << 20);
        put(path, 0, text("XFSB"));
        put(path, 100, new byte[] {(byte) 0xb4, (byte) 0xa5}); // Version 5.
        put(path, 144, ByteBuffer.allocate(8).putLong(1234).array());
        put(path, 240, ByteBuffer.allocate(8).putLong(0x500000006L).array());
        Map<String, String> xfs = signs(path);
        assertEquals("1234", xfs.get("the count of free blocks of the xfs filesystem"));
        assertEquals("0000000500000006", xfs.get("the log position of the xfs filesystem"));
        Files.delete(path);

        image(1 << 20);
        put(path, 65536 + 64, text("_BHRfS_M"));
        ByteBuffer generation = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(99);
        put(path, 65536 + 72, generation.array());
        assertEquals("99", signs(path).get("the generation of the btrfs filesystem"));
        put(path, 512, text("LABELONE"));
        put(path, 512 + 24, text("LVM2 001"));
        put(path, 4096, new byte[] {1, 2, 3, 4});
        assertEquals("01020304", signs(path).get("the checksum of the LVM metadata"));
        put(path, 512, text("EFI PART"));
        put(path, 512 + 16, new byte[] {9, 8, 7, 6});
        assertEquals("09080706", signs(path).get("the checksum of the partition table"));
    }

    @Test
    void aFileSaysWhenItWasChangedAndADeviceDoesNot() throws Exception {
        Path path = image(1 << 20);
        try (FileBlockDevice device = FileBlockDevice.open(path)) {
            List<Sign> before = device.signs();
            assertEquals("the file's time of change", before.getFirst().name());
            device.read(0, ByteBuffer.allocate(4096));
            device.sync();
            assertEquals(before, device.signs());
            device.write(0, ByteBuffer.allocate(512));
            assertNotEquals(before, device.signs());
        }
        try (Loop loop = Loop.over(directory.resolve("loop"), 1 << 20);
                FileBlockDevice device = FileBlockDevice.open(loop.device())) {
            assertEquals(List.of(), device.signs());
        }
    }
}
