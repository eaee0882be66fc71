package holdfast.system;

import holdfast.bench.BlockClient;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.zip.CRC32C;

/// Writes blocks that say what they are, one request after the other, into a range of a device of
/// its own, and remembers them in order: so it can say of any image of the range whether it is what
/// the range was at some moment, and several together whether that can be one moment of all their
/// ranges ([#requireOneMoment]).
///
/// A block holds `writer u32, block u32, seq u64, incarnation u64, crc u32`, then noise. The
/// request that was under way when the server died may have been carried out or not, also in part;
/// which, the range shows when the server is back.
final class BlockWriter {
    static final int BLOCK_BYTES = 4096;
    private static final int MAX_BLOCKS = 8;

    /// Orders what all writers of this process send and are answered.
    private static final AtomicLong TICKS = new AtomicLong();

    private static final long NEVER = Long.MAX_VALUE;

    /// One request.
    ///
    /// @param blocks those that it changed, from `first` on
    /// @param sent tick in front of it
    /// @param answered tick behind its answer, or behind when it was found after a restart
    private record Write(
            long seq, int first, boolean[] blocks, boolean zero, long sent, long answered) {
        Write answeredNow() {
            return new Write(seq, first, blocks, zero, sent, TICKS.incrementAndGet());
        }
    }

    /// What an image shows of a writer's range. A write of zeroes where there were zeroes leaves it
    /// open whether it has been carried out: it counts as neither.
    ///
    /// @param sent tick in front of the last write that it holds; 0 when it holds none
    /// @param missing tick behind the answer of the first that it does not hold; [#NEVER] when it
    ///   holds all that were answered
    record Shown(int writer, long seq, long sent, long missing) {}

    /// Opens the device again, as often as that takes.
    interface Opener {
        BlockClient open() throws InterruptedException;
    }

    private final int id;
    private final int firstBlock;
    private final int blockCount;
    private final Random random;
    private final byte[] noise = new byte[BLOCK_BYTES];

    // Guarded by this.
    private final List<Write> log = new ArrayList<>();
    private Write pending;
    private long answered;
    private long floor;

    private long seq;
    private long incarnation;
    private volatile boolean stop;
    private volatile long flushes;

    BlockWriter(int id, int firstBlock, int blockCount, long seed) {
        this.id = id;
        this.firstBlock = firstBlock;
        this.blockCount = blockCount;
        this.random = new Random(seed);
    }

    void stop() {
        stop = true;
    }

    long writes() {
        return seq;
    }

    long flushes() {
        return flushes;
    }

    long incarnations() {
        return incarnation;
    }

    /// Writes until it is stopped.
    Void run(Opener opener) throws Exception {
        while (!stop) {
            try (BlockClient client = opener.open()) {
                incarnation++;
                requireAllIsThere(client);
                while (!stop) {
                    writeOnce(client);
                    LockSupport.parkNanos(3_000_000);
                }
            } catch (IOException e) {
                LockSupport.parkNanos(5_000_000);
            }
        }
        return null;
    }

    private void writeOnce(BlockClient client) throws IOException {
        int count = random.nextInt(4) == 0 ? 1 + random.nextInt(MAX_BLOCKS) : 1;
        // Half of the writes go to a few blocks: the same block is written again and again.
        int among = random.nextBoolean() ? blockCount : 64;
        int first = random.nextInt(Math.min(among, blockCount - count));
        boolean[] blocks = new boolean[count];
        Arrays.fill(blocks, true);
        boolean zero = random.nextInt(30) == 0;
        Write write = new Write(++seq, first, blocks, zero, TICKS.incrementAndGet(), NEVER);
        synchronized (this) {
            pending = write;
        }
        long offset = (long) (firstBlock + first) * BLOCK_BYTES;
        if (zero) {
            client.writeZeroes(offset, count * BLOCK_BYTES);
        } else {
            client.write(offset, content(first, count), random.nextInt(20) == 0);
        }
        synchronized (this) {
            log.add(write.answeredNow());
            pending = null;
            answered = write.seq;
        }
        if (random.nextInt(20) == 0) {
            client.flush();
            flushes++;
        }
    }

    private ByteBuffer content(int first, int count) {
        ByteBuffer data = ByteBuffer.allocate(count * BLOCK_BYTES);
        for (int i = 0; i < count; i++) {
            random.nextBytes(noise);
            ByteBuffer block = ByteBuffer.wrap(noise);
            block.putInt(id).putInt(first + i).putLong(seq).putLong(incarnation);
            block.putInt(24, crc(noise));
            data.put(noise);
        }
        return data.flip();
    }

    private static int crc(byte[] block) {
        CRC32C crc = new CRC32C();
        crc.update(block, 0, 24);
        crc.update(block, 28, BLOCK_BYTES - 28);
        return (int) crc.getValue();
    }

    // ---- judging -----------------------------------------------------------------------------

    /// After a restart of the server: everything that was answered is there, and of what was not
    /// answered is known now what became of it.
    private void requireAllIsThere(BlockClient client) throws IOException {
        long[] found = seqs(client);
        synchronized (this) {
            long[] expected = stateAt(Long.MAX_VALUE);
            if (pending != null) {
                boolean any = false;
                for (int i = 0; i < pending.blocks.length; i++) {
                    int block = pending.first + i;
                    long shows = pending.zero ? 0 : pending.seq;
                    pending.blocks[i] = found[block] == shows;
                    if (pending.blocks[i]) {
                        expected[block] = shows;
                        any = true;
                    }
                }
                if (any) {
                    log.add(pending.answeredNow());
                }
                pending = null;
            }
            for (int block = 0; block < blockCount; block++) {
                if (found[block] != expected[block]) {
                    throw new AssertionError(
                            "writer %d, block %d: the server answered write %d and has %d after a restart"
                                    .formatted(id, block, expected[block], found[block]));
                }
            }
        }
    }

    /// For each block the write it is from, 0 for zeroes; the write that touched it last and left
    /// zeroes is 0 as well.
    private long[] stateAt(long seq) {
        long[] state = new long[blockCount];
        for (Write each : log) {
            if (each.seq > seq) {
                break;
            }
            put(state, each);
        }
        return state;
    }

    private static void put(long[] state, Write write) {
        for (int i = 0; i < write.blocks.length; i++) {
            if (write.blocks[i]) {
                state[write.first + i] = write.zero ? 0 : write.seq;
            }
        }
    }

    private long[] seqs(BlockClient client) throws IOException {
        long[] found = new long[blockCount];
        int step = 256;
        for (int at = 0; at < blockCount; at += step) {
            int count = Math.min(step, blockCount - at);
            ByteBuffer data =
                    client.read((long) (firstBlock + at) * BLOCK_BYTES, count * BLOCK_BYTES);
            for (int i = 0; i < count; i++) {
                byte[] block = new byte[BLOCK_BYTES];
                data.get(block);
                found[at + i] = seqOf(at + i, block);
            }
        }
        return found;
    }

    private long seqOf(int number, byte[] block) {
        ByteBuffer in = ByteBuffer.wrap(block);
        if (isZero(block)) {
            return 0;
        }
        int writer = in.getInt();
        int at = in.getInt();
        long seq = in.getLong();
        if (in.getInt(24) != crc(block)) {
            throw new AssertionError(
                    "writer %d, block %d: torn or foreign content".formatted(id, number));
        }
        if (writer != id || at != number) {
            throw new AssertionError(
                    "writer %d, block %d: holds block %d of writer %d"
                            .formatted(id, number, at, writer));
        }
        return seq;
    }

    private static boolean isZero(byte[] block) {
        for (byte each : block) {
            if (each != 0) {
                return false;
            }
        }
        return true;
    }

    /// Writes that were answered so far.
    synchronized long answered() {
        return answered;
    }

    /// The backup has acknowledged everything up to this write: no copy may be older from now on.
    synchronized void acknowledged(long seq) {
        floor = Math.max(floor, seq);
    }

    synchronized long floor() {
        return floor;
    }

    /// Checks that the image is what the range was after one of the writes, and not before `least`.
    ///
    /// @return which write that was, for [#requireOneMoment]
    Shown requirePrefix(BlockClient image, long least) throws IOException {
        long[] found = seqs(image);
        long newest = 0;
        for (long each : found) {
            newest = Math.max(newest, each);
        }
        synchronized (this) {
            List<Write> all = new ArrayList<>(log);
            if (pending != null) {
                all.add(pending);
            }
            long[] state = new long[blockCount];
            long reached = 0;
            int next = 0;
            while (next < all.size() && all.get(next).seq <= newest) {
                reached = all.get(next).seq;
                put(state, all.get(next++));
            }
            // Zeroes leave no number: the image may hold those that come next, too.
            int wrong = difference(found, state);
            while ((wrong >= 0 || reached < least) && next < all.size() && all.get(next).zero) {
                reached = all.get(next).seq;
                put(state, all.get(next++));
                wrong = difference(found, state);
            }
            if (wrong >= 0) {
                throw new AssertionError(
                        "writer %d: the copy holds write %d, but block %d is of write %d, not %d"
                                .formatted(id, newest, wrong, found[wrong], state[wrong]));
            }
            if (reached < least) {
                throw new AssertionError(
                        "writer %d: the copy shows write %d, the backup had acknowledged %d"
                                .formatted(id, reached, least));
            }
            long sent = next == 0 ? 0 : all.get(next - 1).sent;
            // Whether these were carried out it does not show.
            while (next < all.size()
                    && all.get(next).zero
                    && changesNothing(all.get(next), state)) {
                next++;
            }
            return new Shown(id, reached, sent, next < all.size() ? all.get(next).answered : NEVER);
        }
    }

    private static boolean changesNothing(Write zeroes, long[] state) {
        long[] behind = state.clone();
        put(behind, zeroes);
        return Arrays.equals(behind, state);
    }

    /// Checks that what an image shows of several writers is of one moment of the device: a write
    /// that was answered before another was sent is not missing where the other is there.
    static void requireOneMoment(List<Shown> all) {
        for (Shown without : all) {
            for (Shown with : all) {
                if (without.missing < with.sent) {
                    throw new AssertionError(
                            "the copy holds write %d of writer %d, and of writer %d only up to %d: the next was answered before the other was sent"
                                    .formatted(with.seq, with.writer, without.writer, without.seq));
                }
            }
        }
    }

    private static int difference(long[] found, long[] state) {
        return Arrays.mismatch(found, state);
    }
}
