package holdfast.replicator.daemon;

import holdfast.replicator.state.FailingPlaces;

import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// The requests of clients that a disk fails which goes on: what [FailingPlaces] decides is told.
///
/// Any thread, also under the lock of the resource; where nothing fails, as nearly always, no lock
/// is taken.
final class ClientErrors {
    private final BiConsumer<String, String> events;

    // Guarded by this object, and so that they are told in order, the events too.
    private final FailingPlaces reads = FailingPlaces.ofReads();
    private final FailingPlaces writes = FailingPlaces.ofWrites();

    /// Written with the lock, read without.
    private volatile boolean readsFail;

    private volatile boolean writesFail;

    /// @param events must not wait
    ClientErrors(BiConsumer<String, String> events) {
        this.events = events;
    }

    synchronized void readFailed(long offsetBytes, long lengthBytes, String why) {
        tell(failed(reads, offsetBytes, lengthBytes, why));
    }

    synchronized void noSpace(long offsetBytes, long lengthBytes, String why) {
        tell(failed(writes, offsetBytes, lengthBytes, why));
    }

    private static Optional<FailingPlaces.Told> failed(
            FailingPlaces places, long offsetBytes, long lengthBytes, String why) {
        return places.failed(
                offsetBytes, lengthBytes, why, System.nanoTime(), System.currentTimeMillis());
    }

    void read(long offsetBytes, long lengthBytes) {
        if (readsFail) {
            synchronized (this) {
                reads.worked(offsetBytes, lengthBytes);
            }
        }
    }

    /// A drive gives a bad sector that is written another place, so it can be read again too.
    void wrote(long offsetBytes, long lengthBytes) {
        if (readsFail || writesFail) {
            synchronized (this) {
                reads.worked(offsetBytes, lengthBytes);
                writes.worked(offsetBytes, lengthBytes);
            }
        }
    }

    void look(long nowNanos) {
        if (readsFail || writesFail) {
            synchronized (this) {
                tell(reads.look(nowNanos));
                tell(writes.look(nowNanos));
            }
        }
    }

    private void tell(Optional<FailingPlaces.Told> what) {
        readsFail = reads.fails();
        writesFail = writes.fails();
        what.ifPresent(each -> events.accept(each.kind(), each.words()));
    }

    /// For status; empty when nothing fails.
    ///
    /// @param disks which it is, by its path
    synchronized Optional<String> trouble(String disks, String peer) {
        String read =
                readsFail
                        ? "%s. What else is read and written goes on. Next: see why (dmesg, and the disk %s); where %s is in sync, its copy holds what cannot be read here. It is over when those places have been read or written"
                                .formatted(reads.words(), disks, peer)
                        : "";
        String write =
                writesFail
                        ? "%s: no space is left for them at %s. Next: make room there (df, dmesg), and have the client repeat them. It is over when those places have been written, or other writes work and none has failed for 10 minutes"
                                .formatted(writes.words(), disks)
                        : "";
        String words =
                Stream.of(write, read)
                        .filter(each -> !each.isEmpty())
                        .collect(Collectors.joining(". Besides, "));
        return words.isEmpty() ? Optional.empty() : Optional.of(words);
    }
}
