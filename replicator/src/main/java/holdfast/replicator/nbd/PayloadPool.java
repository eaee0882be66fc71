package holdfast.replicator.nbd;

import java.lang.foreign.Arena;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicLong;

/// Direct buffers that are used again.
///
/// Sizes are powers of two from 4 KiB to 32 MiB; from 64 KiB on each has one more page, in which a
/// reply's header stands directly before data that starts on a page. Idle memory is bounded here.
/// Memory in use is bounded by those who use it, the limits of each connection and the budget of
/// the send buffer: a pool that refused would make the application wait for the link.
public final class PayloadPool {
    /// Space before the data in buffers for long reads.
    static final int PAGE_BYTES = 4096;

    private static final int SMALLEST_SHIFT = 12;
    private static final int FIRST_WITH_PAGE = 16 - SMALLEST_SHIFT;
    private static final int CLASS_COUNT = 14;

    private final long idleBytesMax;
    private final SizeClass[] classes = new SizeClass[CLASS_COUNT];
    private final AtomicLong idleBytes = new AtomicLong();
    private final AtomicLong usedBytes = new AtomicLong();

    /// Idle buffers of one size; its monitor guards them and is held for a push or a pop.
    private static final class SizeClass {
        final int sizeBytes;
        private final ArrayDeque<Payload> idle = new ArrayDeque<>();

        SizeClass(int index) {
            sizeBytes = (1 << SMALLEST_SHIFT + index) + (index < FIRST_WITH_PAGE ? 0 : PAGE_BYTES);
        }

        synchronized Payload pop() {
            return idle.pollLast();
        }

        synchronized void push(Payload payload) {
            idle.addLast(payload);
        }
    }

    /// @param idleBytesMax what is given back beyond this goes back to the system
    public PayloadPool(long idleBytesMax) {
        this.idleBytesMax = idleBytesMax;
        for (int i = 0; i < CLASS_COUNT; i++) {
            classes[i] = new SizeClass(i);
        }
    }

    /// A payload of this length with one reference, its contents undefined.
    ///
    /// @param lengthBytes 0 to 32 MiB and a page
    /// @throws OutOfMemoryError if the limit for direct memory (`-XX:MaxDirectMemorySize`) is
    ///   reached
    public Payload acquire(int lengthBytes) {
        int index = classFor(lengthBytes);
        SizeClass wanted = classes[index];
        Payload payload = wanted.pop();
        if (payload == null) {
            Arena arena = Arena.ofShared();
            payload =
                    new Payload(
                            this,
                            arena,
                            index,
                            arena.allocate(wanted.sizeBytes, PAGE_BYTES).asByteBuffer());
        } else {
            idleBytes.addAndGet(-wanted.sizeBytes);
        }
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

    void giveBack(Payload payload) {
        SizeClass home = classes[payload.sizeClass()];
        usedBytes.addAndGet(-home.sizeBytes);
        if (idleBytes.addAndGet(home.sizeBytes) > idleBytesMax) {
            idleBytes.addAndGet(-home.sizeBytes);
            payload.free();
        } else {
            home.push(payload);
        }
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
