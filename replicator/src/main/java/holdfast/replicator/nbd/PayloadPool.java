package holdfast.replicator.nbd;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicLong;

/// Direct buffers that are used again.
///
/// Sizes are powers of two from 4 KiB to 32 MiB; from 64 KiB on each has one more page, in which a
/// reply's header stands directly before data that starts on a page. Memory in use is bounded by
/// those who use it, the limits of each connection and the budget of the send buffer: a pool that
/// refused would make the application wait for the link. Idle memory goes back to the system when
/// [#trim] has found it idle for a while, and not before: to close a shared arena stops every
/// thread of the process for a moment, which cost a third of the speed of large writes.
public final class PayloadPool {
    /// Space before the data in buffers for long reads.
    static final int PAGE_BYTES = 4096;

    private static final int SMALLEST_SHIFT = 12;
    private static final int FIRST_WITH_PAGE = 16 - SMALLEST_SHIFT;
    private static final int CLASS_COUNT = 14;

    /// What is taken from the system at once: 256 of the smallest.
    private static final int SLAB_BYTES = 1 << 20;

    /// A slab that was found idle by so many trims in a row is given back: ten minutes of them, for
    /// bursts come again (a database writes its checkpoint every five) and new memory is slow.
    /// Where a hypervisor takes free memory back, each MiB of it costs 3 ms at its first use.
    static final int PATIENCE = 600;

    private final SizeClass[] classes = new SizeClass[CLASS_COUNT];
    private final AtomicLong idleBytes = new AtomicLong();
    private final AtomicLong usedBytes = new AtomicLong();

    /// Payloads of one size that live and die together; guarded by the monitor of its class.
    static final class Slab {
        private final Arena arena = Arena.ofShared();
        private final ArrayDeque<Payload> idle = new ArrayDeque<>();
        private final int count;
        private int trimsIdle;

        private Slab(PayloadPool pool, int sizeClass, int sizeBytes) {
            count = Math.max(1, SLAB_BYTES / sizeBytes);
            MemorySegment memory = arena.allocate((long) count * sizeBytes, PAGE_BYTES);
            for (int i = 0; i < count; i++) {
                var data = memory.asSlice((long) i * sizeBytes, sizeBytes).asByteBuffer();
                idle.addLast(new Payload(pool, this, sizeClass, data));
            }
        }
    }

    /// Its monitor is held for a push or a pop, and to make a slab.
    private final class SizeClass {
        final int index;
        final int sizeBytes;

        /// Those that have an idle payload; the first is used first, so that the others become idle
        /// as a whole.
        private final ArrayDeque<Slab> slabs = new ArrayDeque<>();

        SizeClass(int index) {
            this.index = index;
            sizeBytes = (1 << SMALLEST_SHIFT + index) + (index < FIRST_WITH_PAGE ? 0 : PAGE_BYTES);
        }

        synchronized Payload pop() {
            if (slabs.isEmpty()) {
                var slab = new Slab(PayloadPool.this, index, sizeBytes);
                idleBytes.addAndGet((long) slab.count * sizeBytes);
                slabs.addFirst(slab);
            }
            Slab slab = slabs.peekFirst();
            slab.trimsIdle = 0;
            Payload payload = slab.idle.pollLast();
            if (slab.idle.isEmpty()) {
                slabs.pollFirst();
            }
            return payload;
        }

        synchronized void push(Payload payload) {
            Slab slab = payload.slab();
            if (slab.idle.isEmpty()) {
                slabs.addFirst(slab);
            }
            slab.idle.addLast(payload);
        }

        synchronized void trim() {
            slabs.removeIf(
                    slab -> {
                        if (slab.idle.size() < slab.count || ++slab.trimsIdle < PATIENCE) {
                            return false;
                        }
                        idleBytes.addAndGet(-(long) slab.count * sizeBytes);
                        slab.arena.close();
                        return true;
                    });
        }
    }

    public PayloadPool() {
        for (int i = 0; i < CLASS_COUNT; i++) {
            classes[i] = new SizeClass(i);
        }
    }

    /// A payload of this length with one reference, its contents undefined.
    ///
    /// @param lengthBytes 0 to 32 MiB and a page
    /// @throws OutOfMemoryError if the system has no more
    public Payload acquire(int lengthBytes) {
        SizeClass wanted = classes[classFor(lengthBytes)];
        Payload payload = wanted.pop();
        idleBytes.addAndGet(-wanted.sizeBytes);
        usedBytes.addAndGet(wanted.sizeBytes);
        return payload.revive(lengthBytes);
    }

    /// Memory of all payloads that are out.
    public long usedBytes() {
        return usedBytes.get();
    }

    /// Memory that waits for its next use.
    public long idleBytes() {
        return idleBytes.get();
    }

    /// Gives memory back that was idle at so many calls in a row; its owner calls once a second.
    public void trim() {
        for (SizeClass each : classes) {
            each.trim();
        }
    }

    void giveBack(Payload payload) {
        SizeClass home = classes[payload.sizeClass()];
        usedBytes.addAndGet(-home.sizeBytes);
        idleBytes.addAndGet(home.sizeBytes);
        home.push(payload);
    }

    private int classFor(int lengthBytes) {
        for (int i =
                        Math.max(
                                0,
                                31
                                        - SMALLEST_SHIFT
                                        - Integer.numberOfLeadingZeros(lengthBytes | 1));
                i < CLASS_COUNT;
                i++) {
            if (lengthBytes <= classes[i].sizeBytes) {
                return i;
            }
        }
        throw new IllegalArgumentException("a payload of %d bytes".formatted(lengthBytes));
    }
}
