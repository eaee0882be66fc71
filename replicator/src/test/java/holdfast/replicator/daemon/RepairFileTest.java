package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.UUID;

class RepairFileTest {
    private static final UUID ID = new UUID(1, 2);
    private static final Instant WHEN = Instant.ofEpochMilli(1_795_200_000_009L);
    private static final long SIZE = 9 * 4096 + 512;

    @TempDir Path dir;

    private static byte[] bytes(int length, int of) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) of);
        return bytes;
    }

    private Path written() throws IOException {
        Path path = dir.resolve("repair.blocks");
        try (RepairFile file = RepairFile.create(path, ID, WHEN, SIZE)) {
            file.add(new RepairFile.Entry(3 * 4096, bytes(4096, 1), bytes(4096, 2)));
            file.add(new RepairFile.Entry(9 * 4096, bytes(512, 3), bytes(512, 4)));
            file.finish();
        }
        return path;
    }

    private static void readAll(Path path) throws IOException {
        try (RepairFile file = RepairFile.open(path, ID)) {
            for (long i = 0; i < file.header().blocks(); i++) {
                file.entry(i);
            }
        }
    }

    @Test
    void whatWasWrittenIsRead() throws IOException {
        try (RepairFile file = RepairFile.open(written(), ID)) {
            assertEquals(new RepairFile.Header(ID, WHEN, SIZE, 2), file.header());
            RepairFile.Entry last = file.entry(1);
            assertEquals(9 * 4096, last.offsetBytes());
            assertArrayEquals(bytes(512, 3), last.former());
            assertArrayEquals(bytes(512, 4), last.right());
        }
    }

    /// An operator puts the former content back by these numbers (docs/operations.md).
    @Test
    void entriesLieWhereTheDocumentSays() throws IOException {
        byte[] all = Files.readAllBytes(written());
        assertEquals(64 + 2 * 8208, all.length);
        assertEquals("HFREPAIR", new String(all, 0, 8, StandardCharsets.US_ASCII));
        assertEquals(3 * 4096, ByteBuffer.wrap(all).getLong(64));
        assertEquals(512, ByteBuffer.wrap(all).getInt(64 + 8208 + 8));
        assertEquals(1, all[64 + 16]);
        assertEquals(2, all[64 + 16 + 4096]);
    }

    @Test
    void everyFlippedBitAndEveryTruncationIsSeen() throws IOException {
        Path path = written();
        byte[] good = Files.readAllBytes(path);
        for (int i = 0; i < good.length; i += i < 100 ? 1 : 61) {
            byte[] bad = good.clone();
            bad[i] ^= (byte) (1 << i % 8);
            Files.write(path, bad);
            assertThrows(IOException.class, () -> readAll(path), "byte " + i);
        }
        for (int length : new int[] {0, 1, 63, 64, 64 + 8207, 64 + 8208, good.length - 1}) {
            Files.write(path, Arrays.copyOf(good, length));
            assertThrows(IOException.class, () -> readAll(path), length + " bytes");
        }
        Files.write(path, good);
        readAll(path);
        assertThrows(IOException.class, () -> RepairFile.open(path, new UUID(1, 3)));
    }

    @Test
    void oneThatWasNotFinishedIsNone() throws IOException {
        Path path = dir.resolve("repair.blocks.new");
        try (RepairFile file = RepairFile.create(path, ID, WHEN, SIZE)) {
            file.add(new RepairFile.Entry(0, bytes(4096, 1), bytes(4096, 2)));
        }
        assertThrows(IOException.class, () -> RepairFile.open(path, ID));
    }
}
