package holdfast.replicator.device;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/// A [Committer] for each filesystem that holds journals (R27): a disk that is slow or hangs holds
/// up no journal of another.
public final class Committers implements AutoCloseable {
    private final ReentrantLock lock = new ReentrantLock();

    /// By the number of the filesystem's device, stat(2). One stays when its last journal is gone.
    private final Map<Long, Committer> committers = new HashMap<>();

    private boolean closed;

    /// Of the filesystem that holds this file or directory.
    public Committer of(Path path) throws IOException {
        long device = (long) Files.getAttribute(path, "unix:dev");
        lock.lock();
        try {
            if (closed) {
                throw new IOException("the daemon stops");
            }
            return committers.computeIfAbsent(
                    device, number -> new Committer("journal-%x".formatted(number)));
        } finally {
            lock.unlock();
        }
    }

    /// Makes durable what is queued, then ends the threads and waits for them. Not by a listener.
    @Override
    public void close() {
        lock.lock();
        try {
            closed = true;
        } finally {
            lock.unlock();
        }
        committers.values().forEach(Committer::close);
    }
}
