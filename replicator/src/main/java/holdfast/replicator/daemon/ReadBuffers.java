package holdfast.replicator.daemon;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/// Direct memory for what is read from a disk, used again: to get it from the system, which hands
/// out zeroes a page at a time, costs more than the read itself.
///
/// It keeps what was in use at once lately, and forgets it after a while without use. A buffer that
/// is not given back is the collector's: to lose one costs time and nothing else.
final class ReadBuffers {
    private static final int SMALLEST_BYTES = 4096;
    private static final int LARGEST_BYTES = 1 << 20;
    private static final long KEPT_BYTES = 32L << 20;

    /// Ticks without use after which everything is forgotten.
    private static final int PATIENCE = 10;

    /// By size, each twice the one before.
    private final List<ArrayDeque<ByteBuffer>> idle = new ArrayList<>();

    private long idleBytes;
    private int ticksUnused;

    ReadBuffers() {
        for (int bytes = SMALLEST_BYTES; bytes <= LARGEST_BYTES; bytes *= 2) {
            idle.add(new ArrayDeque<>());
        }
    }

    /// A buffer with position 0 and this limit, its contents undefined.
    ByteBuffer acquire(int lengthBytes) {
        if (lengthBytes > LARGEST_BYTES) {
            return ByteBuffer.allocateDirect(lengthBytes);
        }
        int sizeClass = classFor(lengthBytes);
        ByteBuffer found;
        synchronized (this) {
            ticksUnused = 0;
            found = idle.get(sizeClass).pollLast();
            if (found != null) {
                idleBytes -= found.capacity();
            }
        }
        if (found == null) {
            found = ByteBuffer.allocateDirect(SMALLEST_BYTES << sizeClass);
        }
        return found.clear().limit(lengthBytes);
    }

    /// Nobody reads or writes it any more.
    synchronized void giveBack(ByteBuffer buffer) {
        if (buffer.capacity() <= LARGEST_BYTES && idleBytes + buffer.capacity() <= KEPT_BYTES) {
            idle.get(classFor(buffer.capacity())).addLast(buffer);
            idleBytes += buffer.capacity();
        }
    }

    /// Its owner calls once a second.
    synchronized void tick() {
        if (++ticksUnused > PATIENCE) {
            idle.forEach(ArrayDeque::clear);
            idleBytes = 0;
        }
    }

    private static int classFor(int lengthBytes) {
        int blocks = Math.ceilDiv(Math.max(1, lengthBytes), SMALLEST_BYTES);
        return Integer.SIZE - Integer.numberOfLeadingZeros(blocks - 1);
    }
}
