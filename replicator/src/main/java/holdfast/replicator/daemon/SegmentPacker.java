package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.JournalFiles;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayDeque;
import java.util.Optional;
import java.util.concurrent.Executor;

/// Packs the whole segments of one journal, one after the other, when the host has nothing better
/// to do: what comes in is never held up for it. While a segment is packed both take space. One for
/// which there was none, or no time, is tried again at the next start.
final class SegmentPacker {
    private static final Logger LOG = LoggerFactory.getLogger(SegmentPacker.class);

    /// Hears what a segment takes, once it is packed.
    @FunctionalInterface
    interface Listener {
        void takes(long address, long bytes);
    }

    private final JournalFiles journal;
    private final Executor pool;
    private final Executor idle;
    private final Listener listener;

    // Guarded by this.
    private final ArrayDeque<Long> due = new ArrayDeque<>();
    private boolean busy;

    private volatile boolean stopped;

    /// @param pool for what holds the journal's locks
    /// @param idle whose threads give way to all others
    SegmentPacker(JournalFiles journal, Executor pool, Executor idle, Listener listener) {
        this.journal = journal;
        this.pool = pool;
        this.idle = idle;
        this.listener = listener;
    }

    /// The segment that begins there is whole and durable.
    synchronized void add(long address) {
        due.add(address);
        if (!busy && !stopped) {
            busy = true;
            pool.execute(this::next);
        }
    }

    /// No more are packed. One that is being packed is given up soon, by itself: it has its own
    /// descriptors, and once the journal is closed it replaces nothing.
    void stop() {
        stopped = true;
    }

    private void next() {
        for (Long address = poll(); address != null; address = poll()) {
            try {
                Optional<JournalFiles.Packing> packing = journal.packing(address);
                if (packing.isPresent()) {
                    long at = address;
                    idle.execute(() -> compress(packing.get(), at));
                    return;
                }
            } catch (DeviceException | RuntimeException e) {
                tell(address, e);
            }
        }
    }

    private synchronized Long poll() {
        Long address = stopped ? null : due.poll();
        busy = address != null;
        return address;
    }

    private void compress(JournalFiles.Packing packing, long address) {
        try {
            packing.compress(() -> stopped);
        } catch (DeviceException | RuntimeException | OutOfMemoryError | LinkageError e) {
            tell(address, e);
        }
        pool.execute(
                () -> {
                    finish(packing, address);
                    next();
                });
    }

    private void finish(JournalFiles.Packing packing, long address) {
        try (packing) {
            packing.finish().ifPresent(bytes -> listener.takes(address, bytes));
        } catch (DeviceException | RuntimeException e) {
            tell(address, e);
        }
    }

    private void tell(long address, Throwable why) {
        LOG.warn("{}: the segment at {} is not packed: {}", journal, address, why.getMessage());
    }
}
