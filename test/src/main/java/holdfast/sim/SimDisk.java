package holdfast.sim;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;

/// A disk that keeps its word and no more: reads see every write at once, a sync makes durable what
/// had ended before it was asked for, and a power cut loses, keeps or tears each other write by
/// 512-byte sectors, independently.
final class SimDisk {
    static final int SECTOR = 512;

    /// A write that took effect and is not durable; `data` null: zeroes.
    private record Written(long offset, int length, byte[] data) {}

    private byte[] now;
    private byte[] safe;
    private final ArrayList<Written> pending = new ArrayList<>();

    /// Writes that were made durable, so that a mark taken earlier still counts.
    private long settled;

    SimDisk(int bytes) {
        now = new byte[bytes];
        safe = new byte[bytes];
    }

    /// Becomes longer, durably, by what was in the new space before.
    void grow(byte[] more) {
        int from = now.length;
        now = Arrays.copyOf(now, from + more.length);
        safe = Arrays.copyOf(safe, from + more.length);
        System.arraycopy(more, 0, now, from, more.length);
        System.arraycopy(more, 0, safe, from, more.length);
    }

    /// What a power cut would leave now, in `into`, which has this disk's size. Only reads are for
    /// it.
    ///
    /// @param fate see [#powerCut]
    void crashInto(byte[] into, RandomGenerator random, int fate) {
        System.arraycopy(safe, 0, into, 0, safe.length);
        cut(into, random, fate);
    }

    /// What a power cut leaves: which sectors of which pending writes are kept.
    @FunctionalInterface
    interface Cut {
        /// @param write counted from the oldest
        /// @param sector of the disk, counted from the first that the write touches
        boolean keeps(int write, int sector);
    }

    /// As the other, with a fate for each sector.
    void crashInto(byte[] into, Cut cut) {
        System.arraycopy(safe, 0, into, 0, safe.length);
        for (int i = 0; i < pending.size(); i++) {
            Written w = pending.get(i);
            for (long at = w.offset; at < w.offset + w.length; ) {
                long end = Math.min((at / SECTOR + 1) * SECTOR, w.offset + w.length);
                if (cut.keeps(i, (int) (at / SECTOR - w.offset / SECTOR))) {
                    putPart(into, w, at, end);
                }
                at = end;
            }
        }
    }

    int pending() {
        return pending.size();
    }

    /// How many of the disk's sectors a pending write touches.
    int sectorsOf(int write) {
        Written w = pending.get(write);
        return (int) ((w.offset + w.length - 1) / SECTOR - w.offset / SECTOR) + 1;
    }

    /// Changes whenever something is written or made durable.
    long changes() {
        return 2 * settled + pending.size();
    }

    /// What reads see; not to be changed.
    byte[] now() {
        return now;
    }

    boolean hasPending() {
        return !pending.isEmpty();
    }

    int size() {
        return now.length;
    }

    /// Takes effect at once. `data` belongs to the disk from here on; null: zeroes.
    void write(long offset, int length, byte[] data) {
        put(now, offset, length, data);
        pending.add(new Written(offset, length, data));
    }

    void write(long offset, ByteBuffer data) {
        byte[] bytes = new byte[data.remaining()];
        data.get(data.position(), bytes);
        write(offset, bytes.length, bytes);
    }

    /// Begins a sync: hand the answer to [#synced] when it has ended.
    long sync() {
        return settled + pending.size();
    }

    void synced(long mark) {
        int ended = (int) (mark - settled);
        if (ended <= 0) {
            return;
        }
        for (Written w : pending.subList(0, ended)) {
            put(safe, w.offset, w.length, w.data);
        }
        pending.subList(0, ended).clear();
        settled += ended;
    }

    void syncNow() {
        synced(sync());
    }

    /// The sync failed: each write it covered is durable or lost by itself, and every one looks
    /// clean. Reads show it, and a later sync has nothing left to do for it.
    void syncFailed(long mark, RandomGenerator random) {
        int ended = (int) Math.max(0, mark - settled);
        for (Written w : pending.subList(0, ended)) {
            if (random.nextBoolean()) {
                put(safe, w.offset, w.length, w.data);
            }
        }
        pending.subList(0, ended).clear();
        settled += ended;
    }

    /// Clean pages are dropped: what reads show is again what the disk holds.
    void dropClean() {
        System.arraycopy(safe, 0, now, 0, now.length);
        for (Written w : pending) {
            put(now, w.offset, w.length, w.data);
        }
    }

    /// All of it is another content from now on, durably, and zeroes behind that.
    void put(byte[] content) {
        settled += pending.size();
        pending.clear();
        safe = Arrays.copyOf(content, safe.length);
        now = safe.clone();
    }

    /// Content is damaged where it lies; nothing reports it.
    void damage(RandomGenerator random, long offset, int length) {
        for (int at = (int) offset; at < offset + length; at++) {
            byte flip = (byte) (1 + random.nextInt(255));
            now[at] ^= flip;
            safe[at] = now[at];
            for (Written w : pending) {
                if (w.data != null && at >= w.offset && at < w.offset + w.length) {
                    // Or the next sync would heal what a start has read and found damaged.
                    w.data[(int) (at - w.offset)] = now[at];
                }
            }
        }
    }

    /// The power is cut. `fate` 0: all that was not synced is lost, 1: all is kept, else each write
    /// has its own fate.
    void powerCut(RandomGenerator random, int fate) {
        cut(safe, random, fate);
        settled += pending.size();
        pending.clear();
        System.arraycopy(safe, 0, now, 0, now.length);
    }

    private void cut(byte[] left, RandomGenerator random, int fate) {
        for (Written w : pending) {
            int own = fate < 2 ? fate : random.nextInt(4);
            switch (own) {
                case 0 -> {}
                case 1 -> put(left, w.offset, w.length, w.data);
                default -> tear(w, left, random);
            }
        }
    }

    private static void tear(Written w, byte[] left, RandomGenerator random) {
        int way = random.nextInt(3);
        int sectors = (w.length + SECTOR - 1) / SECTOR;
        int edge = random.nextInt(sectors + 1);
        // The disk's sectors, not the write's: a journal record may begin in the middle of one.
        for (long at = w.offset; at < w.offset + w.length; ) {
            long end = Math.min((at / SECTOR + 1) * SECTOR, w.offset + w.length);
            int sector = (int) ((at - w.offset) / SECTOR);
            boolean kept =
                    switch (way) {
                        case 0 -> sector < edge;
                        case 1 -> sector >= edge;
                        default -> random.nextBoolean();
                    };
            if (kept) {
                putPart(left, w, at, end);
            }
            at = end;
        }
    }

    private static void putPart(byte[] into, Written w, long from, long end) {
        if (w.data == null) {
            Arrays.fill(into, (int) from, (int) end, (byte) 0);
        } else {
            System.arraycopy(w.data, (int) (from - w.offset), into, (int) from, (int) (end - from));
        }
    }

    /// Part of a write that failed or was on its way when the power was cut.
    ///
    /// @return its first bytes that were written
    int writePart(RandomGenerator random, long offset, int length, byte[] data) {
        int sectors = length / SECTOR;
        int kept = random.nextInt(sectors + 1);
        if (kept > 0) {
            byte[] part = data == null ? null : Arrays.copyOf(data, kept * SECTOR);
            write(offset, kept * SECTOR, part);
        }
        return kept * SECTOR;
    }

    private static void put(byte[] into, long offset, int length, byte[] data) {
        if (data == null) {
            Arrays.fill(into, (int) offset, (int) offset + length, (byte) 0);
        } else {
            System.arraycopy(data, 0, into, (int) offset, length);
        }
    }

    /// Bytes of the sectors in which two images differ, where both have them.
    static long differingBytes(byte[] a, byte[] b) {
        long differ = 0;
        int at = 0;
        int both = Math.min(a.length, b.length);
        while (at < both) {
            int hit = Arrays.mismatch(a, at, both, b, at, both);
            if (hit < 0) {
                break;
            }
            int sector = (at + hit) / SECTOR * SECTOR;
            int end = Math.min(sector + SECTOR, both);
            differ += end - sector;
            at = end;
        }
        return differ;
    }

    static List<String> describe(byte[] expected, byte[] found, int limit) {
        List<String> lines = new ArrayList<>();
        if (expected.length != found.length) {
            lines.add("expected %d bytes, found %d".formatted(expected.length, found.length));
            return lines;
        }
        for (int at = 0; at < expected.length && lines.size() < limit; at += SECTOR) {
            int end = Math.min(at + SECTOR, expected.length);
            if (!Arrays.equals(expected, at, end, found, at, end)) {
                lines.add(
                        "block %d sector %d: expected operation %d, found %d"
                                .formatted(
                                        at / 4096,
                                        at % 4096 / SECTOR,
                                        Tags.operationOf(expected, at),
                                        Tags.operationOf(found, at)));
            }
        }
        return lines;
    }
}
