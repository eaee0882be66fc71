package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.UTF_8;

import holdfast.replicator.metadata.CorruptFormatException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

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
    void whatIsNotedOfDamageIsThereAfterOpeningAgainUntilItIsDroppedOrCut() throws Exception {
        try (var files = open(4, 0)) {
            fill(files, 0, 3);
            files.damage(40, filled(10, 1));
            files.damage(40, filled(20, 2));
            files.damage(SEGMENT + 8, filled(10, 3));
            files.damage(2L * SEGMENT, filled(10, 4));
            assertEquals(List.of(40L, SEGMENT + 8L, 2L * SEGMENT), files.damages());
        }
        try (var files = open(4, 0)) {
            assertEquals(List.of(40L, SEGMENT + 8L, 2L * SEGMENT), files.damages());
            assertEquals(filled(20, 2), files.damage(40));
            files.dropDamages(0, SEGMENT);
            files.cut(SEGMENT + 100);
            assertEquals(List.of(SEGMENT + 8L), files.damages());
        }
        assertEquals(1, names().stream().filter(each -> each.endsWith(".damage")).count());
        try (var files = open(4, 0)) {
            assertEquals(List.of(SEGMENT + 8L), files.damages());
            assertEquals(filled(10, 3), files.damage(SEGMENT + 8));
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
                assertTrue(held <= 34, held + " descriptors");
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

    /// Text, a word of which is the number.
    private static ByteBuffer text(int lengthBytes, int with) {
        var buffer = ByteBuffer.allocateDirect(lengthBytes);
        for (int i = 0; buffer.remaining() >= 24; i++) {
            buffer.put("%8d of %8d goes. ".formatted(i, with).getBytes(UTF_8), 0, 21);
        }
        while (buffer.hasRemaining()) {
            buffer.put((byte) '.');
        }
        return buffer.flip();
    }

    private static void write(JournalFiles files, int from, int to) throws DeviceException {
        for (int i = from; i < to; i++) {
            files.write((long) i * SEGMENT, text(SEGMENT, i));
        }
        files.sync();
    }

    private static Optional<Long> pack(JournalFiles files, int number) throws DeviceException {
        Optional<JournalFiles.Packing> begun = files.packing((long) number * SEGMENT);
        if (begun.isEmpty()) {
            return Optional.empty();
        }
        try (JournalFiles.Packing packing = begun.get()) {
            packing.compress(() -> false);
            return packing.finish();
        }
    }

    private static void packs(JournalFiles files, int number) throws DeviceException {
        assertTrue(pack(files, number).isPresent(), "segment " + number);
    }

    private static void holds(JournalFiles files, int from, int to) throws DeviceException {
        var all = ByteBuffer.allocate((to - from) * SEGMENT);
        for (int i = from; i < to; i++) {
            all.put(text(SEGMENT, i));
        }
        var into = ByteBuffer.allocate(50_000);
        var random = new Random(from);
        for (int i = 0; i < 200; i++) {
            int at = random.nextInt(all.capacity() - 1);
            into.clear().limit(Math.min(all.capacity() - at, 1 + random.nextInt(50_000)));
            int asked = into.remaining();
            assertEquals(asked, files.read((long) from * SEGMENT + at, into));
            assertEquals(all.slice(at, asked), into.flip(), "at " + at);
        }
    }

    @Test
    void aPackedSegmentReadsAsBeforeAndTakesLess() throws Exception {
        try (var files = open(8, 0)) {
            write(files, 0, 4);
            holds(files, 0, 4);
            for (int i = 0; i < 3; i++) {
                long bytes = pack(files, i).orElseThrow();
                assertTrue(bytes < SEGMENT / 2, bytes + " bytes");
                assertEquals(bytes, files.packed().get((long) i * SEGMENT));
                assertEquals(Optional.empty(), pack(files, i));
            }
            holds(files, 0, 4);
            assertTrue(files.takenBytes() < 3 * SEGMENT, files.takenBytes() + " bytes");
        }
        assertEquals(
                List.of(
                        "0000000000000000.packed",
                        "0000000000000001.packed",
                        "0000000000000002.packed",
                        "0000000000000003"),
                names());
        try (var files = open(8, 0)) {
            assertEquals(3, files.packed().size());
            assertEquals(4L * SEGMENT, files.endOffset());
            holds(files, 0, 4);
            files.free(2 * SEGMENT);
            assertEquals(0, files.read(SEGMENT, ByteBuffer.allocate(1)));
            assertEquals(1, files.packed().size());
            holds(files, 2, 4);
        }
        assertEquals(List.of("0000000000000002.packed", "0000000000000003"), names());
    }

    @Test
    void whatPackingSavesIsRoomForMore() throws Exception {
        try (var files = open(8, 0)) {
            files.reserve(8 * SEGMENT);
            for (int i = 0; i < 20; i++) {
                write(files, i, i + 1);
                if (i > 0) {
                    packs(files, i - 1);
                }
                assertTrue(files.takenBytes() <= 8 * SEGMENT, files.takenBytes() + " bytes");
                assertTrue(files.takenBytes() > 7 * SEGMENT, files.takenBytes() + " bytes");
            }
            holds(files, 0, 20);
            assertEquals(0, files.firstOffset());
        }
    }

    @Test
    void reservedSpaceStaysTakenWhateverIsPackedAndFreed() throws Exception {
        try (var files = open(8, 0)) {
            files.reserve(8 * SEGMENT);
            for (int i = 0; i < 60; i++) {
                write(files, i, i + 1);
                if (i > 0) {
                    packs(files, i - 1);
                    assertEquals(8 * SEGMENT, files.takenBytes());
                    assertEquals(8 * SEGMENT, onDisk());
                }
                if (i % 7 == 6) {
                    files.free((i - 2L) * SEGMENT);
                    assertEquals(8 * SEGMENT, files.takenBytes());
                    assertEquals(8 * SEGMENT, onDisk());
                }
            }
            holds(files, 57, 60);
        }
        try (var files = open(8, 57 * SEGMENT)) {
            files.reserve(8 * SEGMENT);
            assertEquals(8 * SEGMENT, onDisk());
            holds(files, 57, 60);
        }
    }

    /// Of what the filesystem has given to the journal's files, notes left out.
    private long onDisk() throws Exception {
        String blocks = Tool.run("sh", "-c", "stat -c %b " + journal() + "/*");
        return blocks.lines().mapToLong(Long::parseLong).sum() * 512;
    }

    @Test
    void whatDoesNotCompressStaysAsItIs() throws Exception {
        try (var files = open(4, 0)) {
            var bytes = new byte[SEGMENT];
            new Random(1).nextBytes(bytes);
            // Half of it: chunks of either kind in one segment.
            files.write(0, ByteBuffer.wrap(bytes, 0, SEGMENT - 4096), text(4096, 1));
            files.write(SEGMENT, ByteBuffer.wrap(bytes, 0, SEGMENT / 2), text(SEGMENT / 2, 1));
            files.write(2 * SEGMENT, ByteBuffer.wrap(bytes));
            files.sync();
            assertEquals(Optional.empty(), pack(files, 0));
            assertTrue(pack(files, 1).isPresent());
            var into = ByteBuffer.allocate(SEGMENT);
            files.read(SEGMENT, into);
            assertEquals(ByteBuffer.wrap(bytes, 0, SEGMENT / 2), into.slice(0, SEGMENT / 2));
            assertEquals(text(SEGMENT / 2, 1), into.slice(SEGMENT / 2, SEGMENT / 2));
        }
        assertEquals(
                List.of("0000000000000000", "0000000000000001.packed", "0000000000000002"),
                names());
    }

    @Test
    void rotIsTold() throws Exception {
        try (var files = open(4, 0)) {
            write(files, 0, 3);
            packs(files, 0);
            packs(files, 1);
        }
        Path first = journal().resolve("0000000000000000.packed");
        flip(first, Files.size(first) - 3);
        flip(journal().resolve("0000000000000001.packed"), 9);
        try (var files = open(4, 0)) {
            var into = ByteBuffer.allocate(1000);
            files.read(100, into);
            assertEquals(text(SEGMENT, 0).slice(100, 1000), into.flip());
            var e =
                    assertThrows(
                            PackedSegment.DamagedException.class,
                            () -> files.read(SEGMENT - 500, ByteBuffer.allocate(10)));
            assertTrue(e.getMessage().contains("its checksum differs"), e.getMessage());
            assertThrows(
                    PackedSegment.DamagedException.class,
                    () -> files.read(SEGMENT + 500, ByteBuffer.allocate(10)));
            into.clear();
            assertEquals(1000, files.readDamaged(2 * SEGMENT - 500, into));
            assertEquals(0, into.get(0));
            assertEquals(0, into.get(499));
            assertEquals(text(SEGMENT, 2).get(0), into.get(500));
        }
    }

    private static void flip(Path file, long at) throws IOException {
        try (var open = new RandomAccessFile(file.toFile(), "rw")) {
            open.seek(at);
            int was = open.read();
            open.seek(at);
            open.write(was ^ 0x10);
        }
    }

    /// A cut needs room to unpack the segment in which it lies: what it deletes behind that is
    /// enough.
    @Test
    void aFullJournalCanBeCutInAPackedSegment() throws Exception {
        try (var files = open(4, 0)) {
            files.reserve(4 * SEGMENT);
            for (int i = 0; i < 6; i++) {
                write(files, i, i + 1);
                assertEquals(Optional.empty(), pack(files, i));
                if (i > 0) {
                    packs(files, i - 1);
                }
            }
            assertEquals(4 * SEGMENT, files.takenBytes());
            files.cut(4 * SEGMENT + 500);
            assertEquals(5L * SEGMENT, files.endOffset());
            assertEquals(4 * SEGMENT, files.takenBytes());
            holds(files, 0, 4);
            assertEquals(0, byteAt(files, 4 * SEGMENT + 500));
        }
    }

    @Test
    void whatIsNoSegmentIsLetBe() throws Exception {
        try (var files = open(4, 0)) {
            write(files, 0, 2);
        }
        Files.write(journal().resolve("notes.packed"), new byte[10]);
        try (var files = open(4, 0)) {
            holds(files, 0, 2);
        }
        assertTrue(Files.exists(journal().resolve("notes.packed")));
    }

    @Test
    void packingThatWasCutOffLeavesTheSegment() throws Exception {
        try (var files = open(4, 0)) {
            write(files, 0, 2);
        }
        Path raw = journal().resolve("0000000000000000");
        Path kept = directory.resolve("kept");
        Files.copy(raw, kept);
        try (var files = open(4, 0)) {
            packs(files, 0);
        }
        Files.move(kept, raw);
        Files.write(journal().resolve("0000000000000001.packed.tmp"), new byte[100]);
        try (var files = open(4, 0)) {
            assertEquals(List.of("0000000000000000", "0000000000000001"), names());
            holds(files, 0, 2);
        }
    }

    @Test
    void whatIsFreedOrStoppedMeanwhileLeavesNothing() throws Exception {
        try (var files = open(4, 0)) {
            write(files, 0, 3);
            try (JournalFiles.Packing packing = files.packing(0).orElseThrow()) {
                packing.compress(() -> true);
                assertEquals(Optional.empty(), packing.finish());
            }
            assertEquals(3, names().size());
            try (JournalFiles.Packing packing = files.packing(0).orElseThrow()) {
                packing.compress(() -> false);
                files.free(SEGMENT);
                write(files, 3, 4);
                assertEquals(Optional.empty(), packing.finish());
            }
            holds(files, 1, 4);
            assertEquals(Optional.empty(), files.packing(0));
        }
        assertEquals(3, names().size());
    }

    @Test
    void nothingIsLeftBehindACut() throws Exception {
        for (boolean packs : List.of(false, true)) {
            try (var files = open(8, 0)) {
                write(files, 0, 4);
                if (packs) {
                    for (int i = 0; i < 3; i++) {
                        packs(files, i);
                    }
                }
                files.note(2 * SEGMENT, filled(10, 1));
                files.cut(2 * SEGMENT + 1000);
                assertEquals(3 * SEGMENT, files.endOffset());
                assertEquals(null, files.note(2 * SEGMENT));
                holds(files, 0, 2);
                var into = ByteBuffer.allocate(SEGMENT);
                assertEquals(SEGMENT, files.read(2 * SEGMENT, into));
                assertEquals(text(SEGMENT, 2).slice(0, 1000), into.slice(0, 1000));
                assertEquals(filled(SEGMENT - 1000, 0), into.slice(1000, SEGMENT - 1000));
            }
            try (var files = open(8, 0)) {
                assertEquals(packs ? 2 : 0, files.packed().size());
                files.write(2 * SEGMENT + 1000, filled(100, 9));
                files.write(3 * SEGMENT, filled(100, 9));
                files.sync();
                assertEquals(9, byteAt(files, 3 * SEGMENT));
                files.cut(0);
                assertEquals(SEGMENT, files.endOffset());
                assertEquals(0, byteAt(files, 0));
            }
            Tool.run("rm", "-r", journal());
        }
    }

    @Test
    void whoReadsMeanwhileNoticesNothing() throws Exception {
        try (var files = open(40, 0)) {
            write(files, 0, 20);
            var failure = new AtomicReference<Throwable>();
            var rounds = new AtomicInteger();
            Thread reader =
                    Thread.startVirtualThread(
                            () -> {
                                try {
                                    while (rounds.get() < 1000) {
                                        holds(files, 0, 20);
                                        rounds.incrementAndGet();
                                    }
                                } catch (Throwable e) {
                                    failure.set(e);
                                }
                            });
            while (rounds.get() == 0 && failure.get() == null) {
                Thread.onSpinWait();
            }
            for (int i = 0; i < 19; i++) {
                packs(files, i);
            }
            rounds.set(1000);
            reader.join();
            assertEquals(null, failure.get());
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
    void aJournalThatGrowsHasTheSpaceAndTakesMore() throws Exception {
        try (var files = open(3, 0)) {
            files.reserve(3 * SEGMENT);
            fill(files, 0, 3);
            assertThrows(DeviceException.class, () -> files.write(3 * SEGMENT, filled(100, 3)));
            files.grow(5 * SEGMENT);
            assertEquals(5 * SEGMENT, files.takenBytes());
            fill(files, 3, 5);
            assertEquals(4, byteAt(files, 5 * SEGMENT - 1));
            assertThrows(DeviceException.class, () -> files.write(5 * SEGMENT, filled(100, 5)));
        }
    }

    /// And is what it was.
    @Test
    void aJournalThatCannotGrowGivesBackWhatItHasTaken() throws Exception {
        Tool.assumeRoot();
        Path mount = Files.createDirectory(directory.resolve("small"));
        Tool.run("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", mount);
        try {
            Path path = mount.resolve("journal");
            JournalFiles.create(path, SEGMENT, 3 * SEGMENT);
            try (var files = JournalFiles.open(path, SEGMENT, 3 * SEGMENT, 0)) {
                files.reserve(3 * SEGMENT);
                fill(files, 0, 1);
                var e = assertThrows(DeviceException.class, () -> files.grow(20 * SEGMENT));
                assertTrue(e.isOutOfSpace());
                assertEquals(3 * SEGMENT, files.takenBytes());
                fill(files, 1, 3);
                assertThrows(DeviceException.class, () -> files.write(3 * SEGMENT, filled(9, 3)));
                files.grow(5 * SEGMENT);
                fill(files, 3, 5);
            }
        } finally {
            Tool.run("umount", mount);
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
