package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;

class SignatureTest {
    private static final String UUID = "0f0e0d0c-0b0a-4908-8706-050403020100";
    private static final long SIZE = 64 << 20;

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
            file.seek(at < 0 ? file.length() + at : at);
            file.write(bytes);
        }
    }

    private static List<Signature.Content> known(Path path) throws DeviceException {
        return assertInstanceOf(Signature.Known.class, Signature.probe(path)).found();
    }

    @Test
    void whatIsAllZeroIsBlank() throws IOException {
        assertEquals(new Signature.Blank(), Signature.probe(image(SIZE)));
        assertEquals(new Signature.Blank(), Signature.probe(image(0)));
        assertEquals(new Signature.Blank(), Signature.probe(image(100)));
    }

    @Test
    void whatIsNotKnownAndNotZeroIsNotBlank() throws IOException {
        for (long at : new long[] {0, 5000, (1 << 20) - 1, SIZE - (1 << 20), SIZE - 1}) {
            Files.deleteIfExists(directory.resolve("image"));
            put(image(SIZE), at, new byte[] {1});
            assertEquals(new Signature.Unknown(at), Signature.probe(directory.resolve("image")));
        }
    }

    @ParameterizedTest
    @CsvSource({"ext2", "ext3", "ext4"})
    void extIsToldApartWithLabelAndUuid(String type) throws IOException {
        Path path = image(SIZE);
        Tool.run("mkfs." + type, "-q", "-F", "-L", "home data", "-U", UUID, path);
        assertEquals(List.of(new Signature.Content(type, "home data", UUID)), known(path));
    }

    @Test
    void swapIsKnown() throws IOException {
        Path path = image(SIZE);
        Tool.run("mkswap", "-q", "-L", "swap", "-U", UUID, path);
        assertEquals(List.of(new Signature.Content("swap", "swap", UUID)), known(path));
    }

    @Test
    void aPartitionTableIsToldFromABootSector() throws IOException {
        Path path = image(SIZE);
        put(path, 510, new byte[] {0x55, (byte) 0xaa});
        assertEquals(new Signature.Unknown(510), Signature.probe(path));
        put(path, 446 + 4, new byte[] {(byte) 0x83, 0, 0, 0, 1, 0, 0, 0, 0, 8});
        assertEquals("dos", known(path).getFirst().type());
    }

    @ParameterizedTest
    @CsvSource({
        "xfs, 0, 58465342",
        "btrfs, 65600, 5f42485266535f4d",
        "crypto_LUKS, 0, 4c554b53babe",
        "linux_raid_member, 4096, fc4e2ba9",
        "linux_raid_member, -8192, fc4e2ba9",
        "linux_raid_member, -65536, fc4e2ba9",
        "zfs_member, 132096, 0cb1ba0000000000",
        "zfs_member, -131072, 0000000000bab10c",
        "squashfs, 0, 68737173",
        "ntfs, 3, 4e54465320202020",
        "vfat, 82, 4641543332202020",
        "iso9660, 32769, 4344303031",
        "gpt, -512, 4546492050415254",
        "drbd, -4036, 8374026d"
    })
    void magicNumbersAreKnownWhereTheyStand(String type, long at, String hex) throws IOException {
        Path path = image(SIZE);
        put(path, at, HexFormat.of().parseHex(hex));
        assertEquals(type, known(path).getFirst().type());
    }

    @Test
    void aPhysicalVolumeHasItsId() throws IOException {
        Path path = image(SIZE);
        put(path, 512, "LABELONE".getBytes(StandardCharsets.US_ASCII));
        put(path, 512 + 20, new byte[] {32, 0, 0, 0});
        put(path, 512 + 24, "LVM2 001".getBytes(StandardCharsets.US_ASCII));
        put(path, 512 + 32, "abcdefghijklmnopqrstuvwxyz012345".getBytes(StandardCharsets.US_ASCII));
        assertEquals("abcdefghijklmnopqrstuvwxyz012345", known(path).getFirst().uuid());
    }

    @Test
    void aLabelCannotSteerTheTerminal() throws IOException {
        Path path = image(SIZE);
        put(path, 0, "XFSB".getBytes(StandardCharsets.US_ASCII));
        put(path, 108, "a\u001b[2Jb".getBytes(StandardCharsets.US_ASCII));
        assertEquals("a?[2Jb", known(path).getFirst().label());
    }

    @Test
    void aTruncatedImageIsReadAsFarAsItGoes() throws IOException {
        for (long size : new long[] {1, 511, 512, 1024, 1100, 65600}) {
            Files.deleteIfExists(directory.resolve("image"));
            put(image(size), 0, "X".getBytes(StandardCharsets.US_ASCII));
            assertEquals(new Signature.Unknown(0), Signature.probe(directory.resolve("image")));
        }
    }
}
