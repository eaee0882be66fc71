package holdfast.replicator.daemon;

import holdfast.replicator.state.PageMemory;

import java.util.concurrent.atomic.AtomicLong;

/// The daemon's one budget for marks of single blocks, so that a hundred devices that are written
/// to all over while their peer is away do not take more memory than one.
final class MarkMemory {
    /// Of 64 MiB a block that was written alone takes 24 bytes in each of up to four sets, and a
    /// device of 1 TiB that was written everywhere 32 MiB a set.
    static final long LIMIT_BYTES = 64 << 20;

    /// Another limit is for tests, and for whoever has reason to give a JVM more or less.
    private static final String LIMIT = "holdfast.marks.bytes";

    static final MarkMemory OF_PROCESS = new MarkMemory(Long.getLong(LIMIT, LIMIT_BYTES));

    private final long limitBytes;
    private final AtomicLong usedBytes = new AtomicLong();

    MarkMemory(long limitBytes) {
        this.limitBytes = limitBytes;
    }

    long usedBytes() {
        return usedBytes.get();
    }

    /// For what one attach of a resource marks. Its owner closes it when that is over.
    Share share() {
        return new Share();
    }

    /// Of one thread at a time.
    final class Share implements PageMemory, AutoCloseable {
        private long ownBytes;
        private boolean closed;

        private Share() {}

        @Override
        public int pageBits() {
            return PAGE_BITS;
        }

        @Override
        public boolean hasRoom(long bytes) {
            return usedBytes.get() + bytes <= limitBytes;
        }

        @Override
        public void use(long bytes) {
            if (!closed) {
                ownBytes += bytes;
                usedBytes.addAndGet(bytes);
            }
        }

        /// Gives back all of it; the sets are thrown away.
        @Override
        public void close() {
            usedBytes.addAndGet(-ownBytes);
            ownBytes = 0;
            closed = true;
        }
    }
}
