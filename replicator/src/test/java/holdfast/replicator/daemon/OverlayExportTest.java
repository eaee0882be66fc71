package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.PayloadPool;
import holdfast.replicator.nbd.Reply;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/// What is written over an export that must not change: it reads back, nothing else changes, and
/// neither the space nor the memory that it takes goes beyond what was allowed.
class OverlayExportTest {
    private static final int BLOCK = 4096;
    private static final long PLENTY = 1L << 40;

    @TempDir Path dir;

    private final PayloadPool pool = new PayloadPool();
    private final List<String> told = new ArrayList<>();
    private long freeBytes = PLENTY;
    private OverlaySpace space;
    private OverlayExport overlay;

    @AfterEach
    void close() {
        if (overlay != null) {
            overlay.close();
        }
        assertEquals(0, pool.usedBytes(), "a buffer was not given back");
    }

    private void over(Export below, long limitBytes) throws IOException {
        space = new OverlaySpace(limitBytes, () -> freeBytes, told::add);
        overlay = OverlayExport.over(below, dir.resolve("x.overlay"), space, pool);
    }

    @Test
    void whateverIsWrittenReadsBackAndWhatIsBelowStaysAsItWas() throws Exception {
        // Not a whole number of blocks: the last one is short.
        byte[] original = random(1, 3 * (1 << 20) + 1000);
        Below below = new Below(original);
        over(below, PLENTY);
        byte[] model = original.clone();
        Random random = new Random(7);
        for (int i = 0; i < 3000; i++) {
            int offset = random.nextInt(model.length);
            int most = random.nextInt(8) == 0 ? 200_000 : 10_000;
            int length = 1 + random.nextInt(Math.min(most, model.length - offset));
            if (random.nextBoolean()) {
                offset = offset / BLOCK * BLOCK;
                length = Math.min(model.length - offset, (length + BLOCK - 1) / BLOCK * BLOCK);
            }
            switch (random.nextInt(5)) {
                case 0, 1 -> {
                    byte[] bytes = random(i, length);
                    assertEquals(Errno.OK, write(offset, bytes));
                    System.arraycopy(bytes, 0, model, offset, length);
                }
                case 2 -> {
                    boolean noHole = random.nextBoolean();
                    assertEquals(Errno.OK, zero(offset, length, noHole));
                    Arrays.fill(model, offset, offset + length, (byte) 0);
                }
                case 3 -> {
                    assertEquals(Errno.OK, trim(offset, length));
                    int from = (offset + BLOCK - 1) / BLOCK * BLOCK;
                    int end = offset + length;
                    int to = end == model.length ? end : end / BLOCK * BLOCK;
                    if (from < to) {
                        Arrays.fill(model, from, to, (byte) 0);
                    }
                }
                default -> {
                    byte[] read = read(offset, length);
                    assertArrayEquals(
                            Arrays.copyOfRange(model, offset, offset + length), read, "step " + i);
                }
            }
        }
        assertArrayEquals(model, read(0, model.length));
        assertArrayEquals(original, below.bytes);
        assertTrue(space.usedBytes() <= (model.length + BLOCK - 1) / BLOCK * (long) BLOCK);
        requireMapIsTrue(model);
    }

    /// Extents are without gaps, and what is called zero is zero.
    private void requireMapIsTrue(byte[] model) throws Exception {
        long at = 0;
        while (at < model.length) {
            for (Extent each : overlay.blockStatus(at, model.length - at, 7)) {
                if (each.zero()) {
                    for (long i = at; i < at + each.lengthBytes(); i++) {
                        assertEquals(0, model[(int) i], "byte " + i);
                    }
                }
                at += each.lengthBytes();
            }
        }
        assertEquals(model.length, at);
    }

    @Test
    void requestsOfOneBlockOnManyThreadsDoNotUndoEachOther() throws Exception {
        byte[] original = random(3, 64 * BLOCK);
        over(new Below(original), PLENTY);
        int threads = 4;
        try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
            List<Future<?>> all = new ArrayList<>();
            for (int t = 0; t < threads; t++) {
                int mine = t;
                // Each thread writes its own quarter of every block.
                all.add(
                        pool.submit(
                                () -> {
                                    for (int block = 0; block < 64; block++) {
                                        byte[] bytes = new byte[BLOCK / threads];
                                        Arrays.fill(bytes, (byte) (mine + 1));
                                        write(block * BLOCK + mine * bytes.length, bytes);
                                    }
                                }));
            }
            for (Future<?> each : all) {
                each.get();
            }
        }
        byte[] now = read(0, original.length);
        for (int i = 0; i < now.length; i++) {
            assertEquals(i % BLOCK / (BLOCK / threads) + 1, now[i], "byte " + i);
        }
    }

    @Test
    void theLimitEndsWithEnospcAndIsToldOnce() throws Exception {
        over(new Below(random(4, 100 * BLOCK)), 10 * BLOCK);
        assertEquals(Errno.OK, write(0, random(5, 10 * BLOCK)));
        assertEquals(10 * BLOCK, space.usedBytes());
        assertEquals(Errno.ENOSPC, write(50 * BLOCK, random(6, BLOCK)));
        assertEquals(Errno.ENOSPC, write(60 * BLOCK + 1, random(6, 1)));
        assertEquals(1, told.size(), told.toString());
        assertTrue(space.isFull());
        // What is there already can be written anew, what is trimmed makes room for others.
        assertEquals(Errno.OK, write(5 * BLOCK, random(7, 2 * BLOCK)));
        assertEquals(Errno.OK, trim(0, 3 * BLOCK));
        assertEquals(7 * BLOCK, space.usedBytes());
        assertEquals(Errno.OK, write(50 * BLOCK, random(6, 3 * BLOCK)));
        assertEquals(Errno.ENOSPC, write(70 * BLOCK, random(6, BLOCK)));
        assertEquals(1, told.size(), told.toString());
    }

    @Test
    void zeroesTakeNoSpaceUnlessTheyAreToStayAllocated() throws Exception {
        over(new Below(random(8, 100 * BLOCK)), 10 * BLOCK);
        assertEquals(Errno.OK, zero(0, 100 * BLOCK, false));
        assertEquals(0, space.usedBytes());
        assertArrayEquals(new byte[100 * BLOCK], read(0, 100 * BLOCK));
        assertEquals(List.of(Extent.hole(100 * BLOCK)), overlay.blockStatus(0, 100 * BLOCK, 10));
        assertEquals(Errno.ENOSPC, zero(0, 11 * BLOCK, true));
        assertEquals(Errno.OK, zero(0, 4 * BLOCK, true));
        assertEquals(4 * BLOCK, space.usedBytes());
    }

    @Test
    void aFilesystemThatIsNearlyFullIsLeftItsRest() throws Exception {
        over(new Below(random(9, 100 * BLOCK)), PLENTY);
        freeBytes = OverlaySpace.RESERVE_BYTES + 2 * BLOCK;
        assertEquals(Errno.ENOSPC, write(0, random(1, 3 * BLOCK)));
        assertEquals(0, space.usedBytes());
        assertEquals(Errno.OK, write(0, random(1, 2 * BLOCK)));
    }

    @Test
    void theUsualLimitIsATenthWithinWhatIsFree() {
        long gib = 1L << 30;
        assertEquals(100 * gib, OverlaySpace.usualLimit(1000 * gib, 5000 * gib));
        assertEquals(256L << 20, OverlaySpace.usualLimit(gib, 5000 * gib));
        assertEquals(gib, OverlaySpace.usualLimit(1000 * gib, gib + OverlaySpace.RESERVE_BYTES));
        assertEquals(0, OverlaySpace.usualLimit(1000 * gib, 1000));
    }

    /// A change in each of so many pages that the memory for them ends: nothing but that is lost.
    @Test
    void theMemoryForBlocksIsBounded() throws Exception {
        long deviceBytes = 4L << 40;
        long page = 128L << 20;
        over(new Hole(deviceBytes), PLENTY);
        int refused = 0;
        byte[] block = random(2, BLOCK);
        // 300 single blocks are more than a page keeps as a list.
        for (long at = 0; at < 64 * page; at += page) {
            for (int i = 0; i < 300; i++) {
                refused += zero(at + 2L * i * BLOCK, BLOCK, false) == Errno.OK ? 0 : 1;
            }
        }
        assertEquals(0, refused);
        assertEquals(Errno.OK, trim(0, deviceBytes));
        assertTrue(space.hasMemory());
        assertEquals(List.of(Extent.hole(deviceBytes)), overlay.blockStatus(0, deviceBytes, 2));
        // All of it is zero and takes no memory; data in it does.
        space.memory().use(OverlaySpace.MEMORY_BYTES - 100 * 4112);
        int written = 0;
        for (long at = 0; at < deviceBytes; at += page) {
            space.memory().use(4112);
            if (!space.hasMemory()) {
                assertEquals(Errno.ENOSPC, write(at, block));
                break;
            }
            assertEquals(Errno.OK, write(at, block));
            written++;
        }
        assertTrue(written > 80 && written < 100, "so many: " + written);
        assertEquals(1, told.size(), told.toString());
        assertTrue(told.getFirst().contains("scattered"), told.toString());
        assertArrayEquals(block, read(0, BLOCK));
    }

    @Test
    void theFileHasNoNameAndOneThatACrashLeftIsReplaced() throws Exception {
        Files.writeString(dir.resolve("x.overlay"), "left by a crash");
        over(new Below(random(4, BLOCK)), PLENTY);
        try (Stream<Path> files = Files.list(dir)) {
            assertEquals(List.of(), files.toList());
        }
        assertFalse(overlay.readOnly());
        assertArrayEquals(random(4, BLOCK), read(0, BLOCK));
    }

    @Test
    void aReadThatFailsBelowFailsTheWriteOfAPartAndNothingElse() throws Exception {
        Below below = new Below(random(4, 4 * BLOCK));
        over(below, PLENTY);
        below.failing = true;
        assertEquals(Errno.EIO, write(10, random(1, 20)));
        assertEquals(Errno.OK, write(BLOCK, random(1, BLOCK)));
        assertEquals(Errno.OK, write(BLOCK + 5, random(2, 10)));
        below.failing = false;
        assertArrayEquals(Arrays.copyOf(below.bytes, BLOCK), read(0, BLOCK));
    }

    // ---- requests ----------------------------------------------------------------------------

    private static byte[] random(long seed, int length) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static final class Answer implements Reply {
        private int errno = -1;

        @Override
        public void done(int result) {
            assertEquals(-1, errno, "answered twice");
            errno = result;
        }
    }

    private int write(long offset, byte[] bytes) {
        Payload payload = pool.acquire(bytes.length);
        payload.data().put(0, bytes);
        Answer answer = new Answer();
        overlay.write(payload, offset, offset % 97 == 5, answer);
        return answer.errno;
    }

    private int zero(long offset, long length, boolean noHole) {
        Answer answer = new Answer();
        overlay.writeZeroes(offset, length, noHole, false, answer);
        return answer.errno;
    }

    private int trim(long offset, long length) {
        Answer answer = new Answer();
        overlay.trim(offset, length, false, answer);
        return answer.errno;
    }

    private byte[] read(long offset, int length) throws ExportException {
        ByteBuffer into = ByteBuffer.allocateDirect(length);
        overlay.read(offset, into);
        assertFalse(into.hasRemaining());
        byte[] bytes = new byte[length];
        into.get(0, bytes);
        return bytes;
    }

    // ---- what is below -----------------------------------------------------------------------

    /// A read-only export of bytes in memory.
    private static final class Below extends ReadOnly {
        final byte[] bytes;
        volatile boolean failing;

        Below(byte[] bytes) {
            this.bytes = bytes.clone();
        }

        @Override
        public long sizeBytes() {
            return bytes.length;
        }

        @Override
        public void read(long offsetBytes, ByteBuffer into) throws ExportException {
            if (failing) {
                throw new ExportException(Errno.EIO, "as told");
            }
            into.put(bytes, (int) offsetBytes, into.remaining());
        }
    }

    /// A large one of nothing.
    private static final class Hole extends ReadOnly {
        private final long sizeBytes;

        Hole(long sizeBytes) {
            this.sizeBytes = sizeBytes;
        }

        @Override
        public long sizeBytes() {
            return sizeBytes;
        }

        @Override
        public void read(long offsetBytes, ByteBuffer into) {
            into.put(new byte[into.remaining()]);
        }
    }

    private abstract static class ReadOnly implements Export {
        @Override
        public String name() {
            return "below";
        }

        @Override
        public boolean readOnly() {
            return true;
        }

        @Override
        public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
            throw new AssertionError("what is below was written to");
        }

        @Override
        public void writeZeroes(
                long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
            throw new AssertionError("what is below was written to");
        }

        @Override
        public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
            throw new AssertionError("what is below was written to");
        }

        @Override
        public void flush(Reply reply) {
            throw new AssertionError("what is below has nothing to flush");
        }
    }
}
