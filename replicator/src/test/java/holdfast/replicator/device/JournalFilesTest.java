package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.metadata.CorruptFormatException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

class JournalFilesTest {
    private static final int SEGMENT = 64 << 10;

    @TempDir Path directory;

    private Path journal() {
        return directory.resolve("journal");
    }

    /// Opens it, and makes it first if need be.
    private JournalFiles open(int segments, long neededFrom) throws Exception {
        if (!Files.exists(journal())) {
            JournalFiles.create(journal(), SEGMENT, (long) segments * SEGMENT);
        }
        return JournalFiles.open(journal(), SEGMENT, (long) segments * SEGMENT, neededFrom);
    }

    private static ByteBuffer filled(int lengthBytes, int with) {
        var buffer = ByteBuffer.allocateDirect(lengthBytes);
        while (buffer.hasRemaining()) {
            buffer.put((byte) with);
        }
        return buffer.flip();
    }

    private static void fill(JournalFiles files, int from, int to) throws DeviceException {
        for (int i = from; i < to; i++) {
            files.write((long) i * SEGMENT, filled(SEGMENT, i));
        }
        files.sync();
    }

    private static int byteAt(JournalFiles files, long offset) throws DeviceException {
        var one = ByteBuffer.allocate(1);
        return files.read(offset, one) == 1 ? one.get(0) : -1;
    }

    private List<String> names() throws IOException {
        try (var entries = Files.list(journal())) {
            return entries.map(p -> p.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void whatWasWrittenIsReadAcrossSegmentsAndAfterOpeningAgain() throws Exception {
        try (var files = open(4, 0)) {
            assertEquals(SEGMENT, files.endOffset());
            files.write(0, filled(100, 1), filled(200, 2));
            files.write(300, filled(SEGMENT - 300, 3));
            files.write(SEGMENT, filled(5000, 4));
            files.sync();
            files.prepare();
            assertEquals(2 * SEGMENT, files.endOffset());
        }
        try (var files = open(4, 0)) {
            var into = ByteBuffer.allocateDirect(1000);
            assertEquals(1000, files.read(SEGMENT - 500, into));
            into.flip();
            assertEquals(3, into.get(499));
            assertEquals(4, into.get(500));
            assertEquals(1, byteAt(files, 99));
            assertEquals(2, byteAt(files, 100));
            var beyond = ByteBuffer.allocate(1000);
            assertEquals(400, files.read(2 * SEGMENT - 400, beyond));
            assertEquals(400, beyond.position());
            assertEquals(0, files.read(2 * SEGMENT, beyond));
            assertEquals(1000, beyond.limit());
        }
        assertEquals(
                List.of("0000000000000000", "0000000000000001", "spare-0000000000000001"), names());
    }

    @Test
    void aSegmentTakesItsSpaceBeforeItIsUsed() throws Exception {
        try (var files = open(4, 0)) {
            files.write(0, filled(1, 1));
            assertEquals(SEGMENT, files.takenBytes());
            String blocks = Tool.run("stat", "-c", "%b", journal().resolve("0000000000000000"));
            assertTrue(Long.parseLong(blocks) * 512 >= SEGMENT, blocks);
        }
    }

    @Test
    void freedSegmentsAreUsedAgainAndNeverReadAgain() throws Exception {
        try (var files = open(4, 0)) {
            fill(files, 0, 4);
            assertEquals(1, byteAt(files, SEGMENT));
            files.free(2 * SEGMENT + 5);
            assertEquals(2 * SEGMENT, files.firstOffset());
            assertEquals(0, files.read(SEGMENT, ByteBuffer.allocate(1)));
            assertEquals(4 * SEGMENT, files.takenBytes());
            fill(files, 4, 6);
            assertEquals(5, byteAt(files, 5 * SEGMENT));
            var full =
                    assertThrows(
                            DeviceException.class, () -> files.write(6 * SEGMENT, filled(1, 1)));
            assertTrue(full.isOutOfSpace());
            files.free(3 * SEGMENT);
            files.write(6 * SEGMENT, filled(1, 6));
            files.sync();
            files.free(100 * SEGMENT);
            assertEquals(6 * SEGMENT, files.firstOffset());
            assertEquals(6, byteAt(files, 6 * SEGMENT));
        }
        assertEquals(4, names().size());
        try (var files = open(4, 6 * SEGMENT)) {
            assertEquals(7 * SEGMENT, files.endOffset());
            files.trim(SEGMENT);
            assertEquals(SEGMENT, files.takenBytes());
        }
        assertEquals(List.of("0000000000000006"), names());
    }

    @Test
    void moreSegmentsThanAreHeldOpenCanBeRead() throws Exception {
        try (var files = open(40, 0)) {
            fill(files, 0, 40);
            for (int round = 0; round < 2; round++) {
                for (int i = 0; i < 40; i++) {
                    assertEquals(i, byteAt(files, (long) i * SEGMENT + 7));
                }
            }
            try (var open = Files.list(Path.of("/proc/self/fd"))) {
                long held =
                        open.filter(p -> p.toFile().exists())
                                .filter(
                                        p -> {
                                            try {
                                                return Files.readSymbolicLink(p)
                                                        .startsWith(journal());
                                            } catch (IOException e) {
                                                return false;
                                            }
                                        })
                                .count();
                assertTrue(held <= 18, held + " descriptors");
            }
        }
    }

    @Test
    void reservedSpaceIsTakenAtOnce() throws Exception {
        try (var files = open(4, 0)) {
            files.reserve(3 * SEGMENT);
            assertEquals(3 * SEGMENT, files.takenBytes());
            fill(files, 0, 2);
            assertEquals(3 * SEGMENT, files.takenBytes());
            files.free(SEGMENT);
            assertEquals(3 * SEGMENT, files.takenBytes());
        }
        try (var files = open(4, SEGMENT)) {
            assertEquals(3 * SEGMENT, files.takenBytes());
        }
    }

    @Test
    void aMissingOrCutSegmentIsNamedUnlessNobodyNeedsIt() throws Exception {
        try (var files = open(8, 0)) {
            fill(files, 0, 5);
        }
        Files.delete(journal().resolve("0000000000000001"));
        var e = assertThrows(CorruptFormatException.class, () -> open(8, 0));
        assertTrue(e.getMessage().contains("0000000000000001"), e.getMessage());
        assertTrue(e.getMessage().contains("no file"), e.getMessage());
        open(8, 2 * SEGMENT).close();
        try (var cut = new RandomAccessFile(journal().resolve("0000000000000003").toFile(), "rw")) {
            cut.setLength(1000);
        }
        e = assertThrows(CorruptFormatException.class, () -> open(8, 2 * SEGMENT));
        assertTrue(e.getMessage().contains("found 1000 bytes"), e.getMessage());
    }

    @Test
    void aJournalThatVanishedIsNotTakenForAnEmptyOne() throws Exception {
        try (var files = open(4, 0)) {
            files.reserve(4 * SEGMENT);
            fill(files, 0, 2);
        }
        Path kept = directory.resolve("kept");
        Files.move(journal(), kept);
        var e = assertThrows(CorruptFormatException.class, () -> reopen(0));
        assertTrue(e.getMessage().contains("found nothing"), e.getMessage());
        assertFalse(Files.exists(journal()));
        // What lies under a mount point, or what is left when segments were deleted.
        Files.createDirectory(journal());
        e = assertThrows(CorruptFormatException.class, () -> reopen(0));
        assertTrue(e.getMessage().contains("found no segment"), e.getMessage());
        Files.move(
                kept.resolve("spare-0000000000000002"),
                journal().resolve("spare-0000000000000002"));
        assertThrows(CorruptFormatException.class, () -> reopen(0));
        Files.move(kept.resolve("0000000000000000"), journal().resolve("0000000000000000"));
        e = assertThrows(CorruptFormatException.class, () -> reopen(SEGMENT + 8));
        assertTrue(e.getMessage().contains("segments as far as " + SEGMENT), e.getMessage());
        reopen(SEGMENT).close();
    }

    private JournalFiles reopen(long neededFrom) throws Exception {
        return JournalFiles.open(journal(), SEGMENT, 4 * SEGMENT, neededFrom);
    }

    @Test
    void whatIsReadAfterOpeningComesFromTheDisk() throws Exception {
        Tool.assumeRoot();
        Path image = directory.resolve("image");
        try (Loop loop = Loop.over(image, 8 << 20)) {
            Path mount = Files.createDirectory(directory.resolve("mount"));
            Tool.run("mkfs.ext4", "-q", loop.device());
            Tool.run("mount", loop.device(), mount);
            try {
                Path path = mount.resolve("journal");
                JournalFiles.create(path, SEGMENT, 4 * SEGMENT);
                try (var files = JournalFiles.open(path, SEGMENT, 4 * SEGMENT, 0)) {
                    fill(files, 0, 1);
                }
                Path segment = path.resolve("0000000000000000");
                assertEquals(SEGMENT, cachedBytes(segment));
                JournalFiles.open(path, SEGMENT, 4 * SEGMENT, 0).close();
                assertEquals(0, cachedBytes(segment));
            } finally {
                Tool.run("umount", mount);
            }
        }
    }

    private static long cachedBytes(Path file) throws IOException {
        return Long.parseLong(Tool.run("fincore", "-b", "-n", "-o", "RES", file).strip());
    }

    @Test
    void whatACrashLeftHalfMadeGoes() throws Exception {
        open(4, 0).close();
        Files.write(journal().resolve("spare-0000000000000000.tmp"), new byte[10]);
        Files.write(journal().resolve("spare-0000000000000007"), new byte[10]);
        try (var files = open(4, 0)) {
            assertEquals(List.of("0000000000000000"), names());
            fill(files, 0, 1);
        }
    }

    @Test
    void theCallerKeepsToSegmentsAndTheirOrder() throws Exception {
        try (var files = open(4, 0)) {
            assertThrows(
                    IllegalArgumentException.class, () -> files.write(SEGMENT - 1, filled(2, 1)));
            fill(files, 0, 1);
            assertThrows(
                    IllegalArgumentException.class, () -> files.write(2 * SEGMENT, filled(2, 1)));
        }
    }

    @Test
    void aFullDiskLeavesNothingHalfMadeAndTheWriteWorksOnceThereIsRoom() throws Exception {
        Tool.assumeRoot();
        Path mount = Files.createDirectory(directory.resolve("small"));
        Tool.run("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", mount);
        try {
            Path path = mount.resolve("journal");
            Path ballast = mount.resolve("ballast");
            Files.write(ballast, new byte[380 << 10]);
            JournalFiles.create(path, SEGMENT, 100 * SEGMENT);
            try (var files = JournalFiles.open(path, SEGMENT, 100 * SEGMENT, 0)) {
                fill(files, 0, 2);
                var e =
                        assertThrows(
                                DeviceException.class,
                                () -> files.write(2 * SEGMENT, filled(100, 2)));
                assertTrue(e.isOutOfSpace());
                assertTrue(e.getMessage().contains("no room for a journal segment"));
                assertEquals(2, path.toFile().list().length);
                files.prepare();
                assertEquals(2, path.toFile().list().length);
                files.sync();
                Files.delete(ballast);
                files.write(2 * SEGMENT, filled(100, 2));
                files.sync();
                assertEquals(2, byteAt(files, 2 * SEGMENT + 99));
            }
            assertFalse(path.resolve("spare-0000000000000002.tmp").toFile().exists());
        } finally {
            Tool.run("umount", mount);
        }
    }
}
