package holdfast.system;

import holdfast.bench.BlockClient;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.zip.CRC32C;

/// Blocks of a device, far from each other, that one writer fills with what says what it is, and
/// every state that they have been in: so it knows of any image whether the device was that at one
/// moment, and of the device whether it has kept its word after an accident.
///
/// A block holds `number u32, block u32, write u64, crc u32`, then noise. Its tag is the number of
/// the write, 0 for zeroes, negative for content that nobody wrote.
final class LoggedRange {
    static final int BLOCK_BYTES = 4096;
    private static final int MAX_BLOCKS = 4;

    /// Blocks that change together.
    private record Step(int[] blocks, long[] tags) {}

    private final int count;
    private final int strideBlocks;
    private final Random random;

    // Guarded by this.
    private final List<Step> steps = new ArrayList<>();
    private final long[] before;
    private final long[] state;
    private final List<Set<Long>> unflushed = new ArrayList<>();
    private Step pending;
    private int floor;

    /// How many writes are durable, at least, where one that is has all before it with it.
    private int flushedSteps;

    private long writes;

    /// Behind each write.
    private volatile long pauseNanos = 1_000_000;

    /// @param strideBlocks from one run of [#MAX_BLOCKS] of these blocks to the next
    LoggedRange(int count, int strideBlocks, Random random) {
        this.count = count;
        this.strideBlocks = strideBlocks;
        this.random = random;
        this.before = new long[count];
        this.state = new long[count];
        for (int i = 0; i < count; i++) {
            unflushed.add(new HashSet<>(List.of(0L)));
        }
    }

    private long offsetOf(int block) {
        long run = block / MAX_BLOCKS;
        return (run * strideBlocks + block % MAX_BLOCKS) * BLOCK_BYTES;
    }

    long writes() {
        return writes;
    }

    /// How long the writer rests behind each write from now on.
    void pause(long millis) {
        pauseNanos = millis * 1_000_000;
    }

    /// Writes until told to end or until a request fails: what became of that one is not known.
    ///
    /// @return why it ended early, empty when it did not
    String write(BlockClient client, BooleanSupplier end) {
        try {
            while (!end.getAsBoolean()) {
                writeOnce(client);
                LockSupport.parkNanos(pauseNanos);
            }
            return "";
        } catch (IOException e) {
            return String.valueOf(e.getMessage());
        }
    }

    private void writeOnce(BlockClient client) throws IOException {
        int run = random.nextInt(count / MAX_BLOCKS);
        int first = run * MAX_BLOCKS;
        int length = 1;
        if (random.nextInt(4) == 0) {
            length = 1 + random.nextInt(MAX_BLOCKS);
        } else {
            first += random.nextInt(MAX_BLOCKS);
        }
        boolean zero = random.nextInt(20) == 0;
        boolean fua = random.nextInt(16) == 0;
        writes++;
        Step step = new Step(new int[length], new long[length]);
        ByteBuffer data = ByteBuffer.allocate(length * BLOCK_BYTES);
        for (int i = 0; i < length; i++) {
            step.blocks[i] = first + i;
            step.tags[i] = zero ? 0 : writes;
            data.put(content(first + i));
        }
        synchronized (this) {
            pending = step;
        }
        if (zero) {
            client.writeZeroes(offsetOf(first), length * BLOCK_BYTES);
        } else {
            client.write(offsetOf(first), data.flip(), fua);
        }
        answered(step, fua && !zero);
        if (random.nextInt(24) == 0) {
            client.flush();
            flushed();
        }
    }

    private byte[] content(int block) {
        byte[] content = new byte[BLOCK_BYTES];
        random.nextBytes(content);
        ByteBuffer head = ByteBuffer.wrap(content);
        head.putInt(0x4c4f4747).putInt(block).putLong(writes);
        head.putInt(16, crc(content));
        return content;
    }

    private static int crc(byte[] content) {
        CRC32C crc = new CRC32C();
        crc.update(content, 0, 16);
        crc.update(content, 20, content.length - 20);
        return (int) crc.getValue();
    }

    private synchronized void answered(Step step, boolean durable) {
        for (int i = 0; i < step.blocks.length; i++) {
            Set<Long> of = unflushed.get(step.blocks[i]);
            if (durable) {
                of.clear();
            }
            of.add(step.tags[i]);
        }
        apply(step, state);
        steps.add(step);
        if (durable) {
            flushedSteps = steps.size();
        }
        pending = null;
    }

    private synchronized void flushed() {
        for (int i = 0; i < count; i++) {
            unflushed.get(i).clear();
            unflushed.get(i).add(state[i]);
        }
        flushedSteps = steps.size();
    }

    private static void apply(Step step, long[] to) {
        for (int i = 0; i < step.blocks.length; i++) {
            to[step.blocks[i]] = step.tags[i];
        }
    }

    // ---- judging -----------------------------------------------------------------------------

    /// How many writes were answered, for [#acknowledged].
    synchronized int answered() {
        return steps.size();
    }

    /// No copy may be older from now on.
    synchronized void acknowledged(int answered) {
        floor = Math.max(floor, answered);
    }

    /// So many writes were acknowledged by now, for an image that is opened later.
    synchronized int floor() {
        return floor;
    }

    /// Checks that the image is what the device was at one moment, and one that is not before what
    /// was acknowledged.
    void requireMoment(BlockClient image) throws IOException {
        requireMoment(image, floor());
    }

    /// The same while more is written.
    ///
    /// @param least so many had been acknowledged when it was opened
    void requireMoment(BlockClient image, int least) throws IOException {
        String wrong = whyNoMoment(tags(image), least);
        if (!wrong.isEmpty()) {
            throw new AssertionError(wrong);
        }
    }

    /// The same of a device that has lost what was not flushed and was attached again: its copy may
    /// also be what it holds now.
    void requireMomentOr(BlockClient image, BlockClient device) throws IOException {
        long[] found = tags(image);
        String wrong = whyNoMoment(found, floor);
        if (!wrong.isEmpty() && !Arrays.equals(found, tags(device))) {
            throw new AssertionError(wrong + ", and it is not what the device holds now");
        }
    }

    /// Empty when it is of a moment, at which so many writes had been answered at least.
    private synchronized String whyNoMoment(long[] found, int least) {
        long[] at = before.clone();
        int wrong = 0;
        for (int i = 0; i < count; i++) {
            wrong += at[i] == found[i] ? 0 : 1;
        }
        int last = steps.size() + (pending == null ? 0 : 1);
        int best = wrong;
        int bestAt = 0;
        for (int step = 0; step <= last; step++) {
            if (wrong == 0 && step >= least) {
                return "";
            }
            if (wrong <= best) {
                best = wrong;
                bestAt = step;
            }
            if (step < last) {
                Step next = step < steps.size() ? steps.get(step) : pending;
                for (int i = 0; i < next.blocks.length; i++) {
                    int block = next.blocks[i];
                    wrong += at[block] == found[block] ? 1 : 0;
                    at[block] = next.tags[i];
                    wrong -= at[block] == found[block] ? 1 : 0;
                }
            }
        }
        return ("the copy is the device of no moment from %d on (of %d): it is nearest to %d,"
                        + " where %d blocks differ")
                .formatted(least, last, bestAt, best);
    }

    /// As [#requireKept], of a device that is a journal: what it holds is a beginning of what was
    /// written, in its order, with all that was answered or, where that may be lost, flushed.
    void requireKeptInOrder(BlockClient device, boolean unflushedMayBeLost) throws IOException {
        long[] found = tags(device);
        synchronized (this) {
            String wrong = whyNoMoment(found, unflushedMayBeLost ? flushedSteps : steps.size());
            if (!wrong.isEmpty()) {
                throw new AssertionError(
                        "%s; %d of them were flushed".formatted(wrong, flushedSteps));
            }
            begin(found);
        }
    }

    /// Checks after a restart that the device has kept its word, and takes what it holds for its
    /// state.
    ///
    /// @param unflushedMayBeLost the power was cut, or a sync failed
    void requireKept(BlockClient device, boolean unflushedMayBeLost) throws IOException {
        long[] found = tags(device);
        synchronized (this) {
            Set<Integer> doubtful = new HashSet<>();
            if (pending != null) {
                Arrays.stream(pending.blocks).forEach(doubtful::add);
            }
            for (int block = 0; block < count; block++) {
                Set<Long> may = unflushed.get(block);
                boolean kept =
                        found[block] == state[block]
                                || doubtful.contains(block)
                                || unflushedMayBeLost
                                        && (may.contains(found[block])
                                                || found[block] < 0 && may.size() > 1);
                if (!kept) {
                    throw new AssertionError(
                            "block %d: write %d was answered, of what may be there %s, found %d"
                                    .formatted(block, state[block], may, found[block]));
                }
            }
            begin(found);
        }
    }

    /// Copy and device are equal: what was before counts no more.
    private void begin(long[] found) {
        System.arraycopy(found, 0, before, 0, count);
        System.arraycopy(found, 0, state, 0, count);
        steps.clear();
        pending = null;
        floor = 0;
        flushed();
    }

    private long[] tags(BlockClient image) throws IOException {
        long[] found = new long[count];
        for (int first = 0; first < count; first += MAX_BLOCKS) {
            ByteBuffer data = image.read(offsetOf(first), MAX_BLOCKS * BLOCK_BYTES);
            for (int i = 0; i < MAX_BLOCKS; i++) {
                byte[] block = new byte[BLOCK_BYTES];
                data.get(block);
                found[first + i] = tagOf(first + i, block);
            }
        }
        return found;
    }

    private static long tagOf(int number, byte[] block) {
        ByteBuffer in = ByteBuffer.wrap(block);
        int magic = in.getInt();
        int at = in.getInt();
        long write = in.getLong();
        if (magic == 0x4c4f4747 && at == number && in.getInt(16) == crc(block)) {
            return write;
        }
        return isZero(block) ? 0 : -1 - (Arrays.hashCode(block) & 0xffffffffL);
    }

    private static boolean isZero(byte[] block) {
        for (byte each : block) {
            if (each != 0) {
                return false;
            }
        }
        return true;
    }
}
