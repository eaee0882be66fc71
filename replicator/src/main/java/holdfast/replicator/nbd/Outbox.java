package holdfast.replicator.nbd;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.GatheringByteChannel;
import java.util.ArrayDeque;
import java.util.concurrent.locks.ReentrantLock;

/// Replies on their way to one client. Its connection sends whole batches, other threads single
/// late replies; nobody ever waits here for the client: what the socket does not take is queued,
/// and the connection goes on with it when the socket is writable.
final class Outbox {
    /// Replies that have to wait and fill less than half of their buffer are gathered in chunks of
    /// this size, so that what waits holds at most twice its own length, and a chunk.
    private static final int CHUNK_BYTES = 32 << 10;

    private final GatheringByteChannel channel;
    private final PayloadPool pool;

    /// Guards all fields below, and the order of bytes on the channel, which does not block.
    private final ReentrantLock lock = new ReentrantLock();

    /// Unsent bytes, each between position and limit.
    private final ArrayDeque<Payload> queue = new ArrayDeque<>();

    /// The last of the queue if it may be added to, else null.
    private Payload chunk;

    /// Written under the lock, read without.
    private volatile boolean broken;

    /// Memory of the queue, whole buffers; written under the lock, read without.
    private volatile long queuedBytes;

    /// @param channel in non-blocking mode
    Outbox(GatheringByteChannel channel, PayloadPool pool) {
        this.channel = channel;
        this.pool = pool;
    }

    /// How much memory the unsent bytes take; 0 if there are none.
    long queuedBytes() {
        return queuedBytes;
    }

    /// Whether the client can no longer be reached.
    boolean broken() {
        return broken;
    }

    /// Sends what is between position and limit, as much as goes, and owns the payload from now on
    /// unless it gives it back.
    ///
    /// @return true if all was sent (or dropped, because the client is gone) and the payload is the
    ///   caller's
    boolean send(Payload batch) {
        lock.lock();
        try {
            ByteBuffer bytes = batch.data();
            if (broken || queue.isEmpty() && write(bytes)) {
                return true;
            }
            if (bytes.remaining() < bytes.capacity() / 2) {
                queueCopy(bytes);
                return true;
            }
            chunk = null;
            queue.addLast(batch);
            queuedBytes += bytes.capacity();
            return false;
        } finally {
            lock.unlock();
        }
    }

    /// Sends one short reply from any thread.
    ///
    /// @return whether the connection must be woken to send the rest
    boolean sendLate(ByteBuffer reply) {
        lock.lock();
        try {
            if (broken || queue.isEmpty() && write(reply)) {
                return false;
            }
            boolean wasEmpty = queue.isEmpty();
            queueCopy(reply);
            return wasEmpty;
        } finally {
            lock.unlock();
        }
    }

    private void queueCopy(ByteBuffer bytes) {
        while (bytes.hasRemaining()) {
            if (chunk == null || chunk.data().limit() == chunk.data().capacity()) {
                chunk = pool.acquire(CHUNK_BYTES);
                chunk.data().limit(0);
                queue.addLast(chunk);
                queuedBytes += chunk.data().capacity();
            }
            ByteBuffer to = chunk.data();
            int at = to.limit();
            int length = Math.min(bytes.remaining(), to.capacity() - at);
            to.limit(at + length).put(at, bytes, bytes.position(), length);
            bytes.position(bytes.position() + length);
        }
    }

    /// Sends queued bytes, as many as the socket takes.
    void flush() {
        lock.lock();
        try {
            while (!queue.isEmpty()) {
                Payload first = queue.peekFirst();
                if (!write(first.data()) || broken) {
                    return;
                }
                queue.removeFirst();
                queuedBytes -= first.data().capacity();
                if (first == chunk) {
                    chunk = null;
                }
                first.release();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Drops what is queued and all that comes, because the client is gone.
    void breakOff() {
        lock.lock();
        try {
            broken = true;
            chunk = null;
            queue.forEach(Payload::release);
            queue.clear();
            queuedBytes = 0;
        } finally {
            lock.unlock();
        }
    }

    /// @return whether all of it was written; true as well if the channel broke, which drops it
    private boolean write(ByteBuffer bytes) {
        try {
            channel.write(bytes);
            return !bytes.hasRemaining();
        } catch (IOException e) {
            // Also a ClosedChannelException.
            breakOff();
            return true;
        }
    }
}
