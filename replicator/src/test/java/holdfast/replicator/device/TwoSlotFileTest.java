package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.TwoSlots;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.UUID;

class TwoSlotFileTest {
    private static final UUID OWNER = UUID.fromString("00112233-4455-6677-8899-aabbccddeeff");

    private static final TwoSlots.Codec<String> TEXT =
            new TwoSlots.Codec<>() {
                @Override
                public ByteBuffer encode(String value) {
                    return StandardCharsets.UTF_8.encode(value);
                }

                @Override
                public String decode(ByteBuffer in) {
                    String text = StandardCharsets.UTF_8.decode(in).toString();
                    if (text.startsWith("!")) {
                        throw new IllegalArgumentException("an exclamation");
                    }
                    return text;
                }
            };

    @TempDir Path directory;

    private Path path() {
        return directory.resolve("value");
    }

    static TwoSlotFile<String> create(Path path, String initial) throws DeviceException {
        return TwoSlotFile.create(path, OWNER, 5000, TEXT, initial);
    }

    static TwoSlotFile<String> open(Path path) throws DeviceException, CorruptFormatException {
        return TwoSlotFile.open(path, OWNER, TEXT);
    }

    private TwoSlotFile<String> create(String initial) throws DeviceException {
        return create(path(), initial);
    }

    private TwoSlotFile<String> open() throws DeviceException, CorruptFormatException {
        return open(path());
    }

    /// Fills a slot well, so that a torn write has sectors to be torn between.
    private static String longText(char c) {
        return String.valueOf(c).repeat(4900);
    }

    @Test
    void theNewestValueIsReadBackAndTheFileNeverGrows() throws Exception {
        try (var file = create("one")) {
            assertEquals("one", file.value());
            file.write("two");
            file.write("three");
            assertEquals("three", file.value());
        }
        assertEquals(2 * 8192, Files.size(path()));
        try (var file = open()) {
            assertEquals("three", file.value());
            assertEquals(4, file.counter());
            assertNull(file.damage());
            file.write("four");
        }
        try (var file = open()) {
            assertEquals("four", file.value());
        }
        assertEquals(2 * 8192, Files.size(path()));
        assertThrows(DeviceException.class, () -> create("again"));
    }

    @Test
    void aWriteTornAtAnySectorLeavesTheValueBeforeOrTheWholeNewOne() throws Exception {
        try (var file = create(longText('a'))) {
            file.write(longText('b'));
        }
        byte[] before = Files.readAllBytes(path());
        try (var file = open()) {
            file.write(longText('c'));
        }
        byte[] after = Files.readAllBytes(path());
        for (int sector = 0; sector <= before.length / 512; sector++) {
            for (boolean prefix : new boolean[] {true, false}) {
                byte[] torn = (prefix ? before : after).clone();
                System.arraycopy(prefix ? after : before, 0, torn, 0, sector * 512);
                Files.write(path(), torn);
                try (var file = open()) {
                    boolean whole = Arrays.equals(torn, after);
                    boolean none = Arrays.equals(torn, before);
                    // The length of the content decides from which sector on the new value is
                    // whole.
                    if (file.value().startsWith("c")) {
                        assertEquals(longText('c'), file.value());
                    } else {
                        assertEquals(longText('b'), file.value());
                        assertTrue(!whole);
                    }
                    assertEquals(whole || none, file.damage() == null);
                    file.write("next");
                }
                try (var file = open()) {
                    assertEquals("next", file.value());
                    assertNull(file.damage());
                }
            }
        }
    }

    @Test
    void aFlippedBitInEitherSlotIsSeenAndTheOtherSlotCounts() throws Exception {
        try (var file = create("old")) {
            file.write("new");
        }
        byte[] good = Files.readAllBytes(path());
        for (int slot = 0; slot < 2; slot++) {
            // Counter 3 is odd: "new" is in slot 1, "old" in slot 0.
            for (int at = 0; at < (TwoSlots.HEADER_BYTES + 3) * 8; at++) {
                byte[] bad = good.clone();
                bad[slot * 8192 + at / 8] ^= (byte) (1 << at % 8);
                Files.write(path(), bad);
                try (var file = open()) {
                    assertEquals(slot == 0 ? "new" : "old", file.value());
                    assertNotNull(file.damage());
                }
            }
        }
    }

    @Test
    void whenNoSlotIsWholeTheFileAndThePlaceAreNamed() throws Exception {
        create("old").close();
        try (var file = new RandomAccessFile(path().toFile(), "rw")) {
            file.seek(3);
            file.write(1);
            file.seek(8192 + 44);
            file.write(new byte[4]);
        }
        var e = assertThrows(CorruptFormatException.class, this::open);
        assertEquals(path() + ", byte 0: expected 48465453, found 48465401", e.getMessage());
    }

    @Test
    void anotherOwnersValueAndALaterVersionAreRefusedThoughTheOtherSlotIsGood() throws Exception {
        create("old").close();
        var other = UUID.randomUUID();
        assertThrows(CorruptFormatException.class, () -> TwoSlotFile.open(path(), other, TEXT));
        byte[] bytes = Files.readAllBytes(path());
        bytes[5] = 2;
        var crc = new java.util.zip.CRC32C();
        crc.update(bytes, 0, 60);
        ByteBuffer.wrap(bytes).putInt(60, (int) crc.getValue());
        Files.write(path(), bytes);
        var e = assertThrows(CorruptFormatException.class, this::open);
        assertTrue(e.getMessage().contains("version 2"), e.getMessage());
    }

    @Test
    void everyTruncationIsRefused() throws Exception {
        create("old").close();
        byte[] bytes = Files.readAllBytes(path());
        for (int length = 0; length < bytes.length; length += 512) {
            Files.write(path(), Arrays.copyOf(bytes, length));
            assertThrows(CorruptFormatException.class, this::open);
        }
    }

    @Test
    void aValueThatWouldNotBeReadBackIsNotWritten() throws Exception {
        try (var file = create("old")) {
            assertThrows(IllegalStateException.class, () -> file.write("!"));
            assertThrows(IllegalStateException.class, () -> file.write("\ud800"));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> file.write(longText('x') + longText('y')));
            assertEquals("old", file.value());
        }
        try (var file = open()) {
            assertEquals("old", file.value());
            assertNull(file.damage());
        }
    }

    @Test
    void theBytesAreThoseOfVersionOne() throws Exception {
        try (var file = create("first")) {
            file.write("second");
        }
        byte[] bytes = Files.readAllBytes(path());
        var slots =
                HexFormat.of().formatHex(bytes, 0, 72)
                        + "\n"
                        + HexFormat.of().formatHex(bytes, 8192, 8192 + 72)
                        + "\n";
        assertEquals(golden(), slots);
    }

    @Test
    void aFileOfVersionOneIsRead() throws Exception {
        String golden = golden();
        byte[] bytes = new byte[2 * 8192];
        String[] slots = golden.split("\n");
        for (int i = 0; i < 2; i++) {
            byte[] slot = HexFormat.of().parseHex(slots[i]);
            System.arraycopy(slot, 0, bytes, i * 8192, slot.length);
        }
        Files.write(path(), bytes);
        try (var file = open()) {
            assertEquals("second", file.value());
            assertEquals(3, file.counter());
        }
    }

    private static String golden() throws IOException {
        try (var in = TwoSlotFileTest.class.getResourceAsStream("/golden/disk/two-slot-v1.hex")) {
            return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
        }
    }
}
