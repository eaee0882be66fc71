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
    private static final int LATE_CHUNK_BYTES = 4096;

    private final GatheringByteChannel channel;
    private final PayloadPool pool;

    /// Guards all fields below, and the order of bytes on the channel, which does not block.
    private final ReentrantLock lock = new ReentrantLock();

    /// Unsent bytes, each between position and limit.
    private final ArrayDeque<Payload> queue = new ArrayDeque<>();

    /// The last of the queue if it may be added to, else null.
    private Payload lateChunk;

    /// Written under the lock, read without.
    private volatile boolean broken;

    /// Unsent bytes; written under the lock, read without.
    private volatile long queuedBytes;

    /// @param channel in non-blocking mode
    Outbox(GatheringByteChannel channel, PayloadPool pool) {
        this.channel = channel;
        this.pool = pool;
    }

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
            if (!broken && (!queue.isEmpty() || !write(batch.data()))) {
                lateChunk = null;
                queue.addLast(batch);
                queuedBytes += batch.data().remaining();
                return false;
            }
            return true;
        } finally {
            lock.unlock();
        }
    }

    /// Sends one short reply from any thread.
    ///
    /// @param reply heap or direct, below [#LATE_CHUNK_BYTES] long
    /// @return whether the connection must be woken to send the rest
    boolean sendLate(ByteBuffer reply) {
        lock.lock();
        try {
            if (broken || queue.isEmpty() && write(reply)) {
                return false;
            }
            boolean wasEmpty = queue.isEmpty();
            int length = reply.remaining();
            if (lateChunk == null
                    || lateChunk.data().capacity() - lateChunk.data().limit() < length) {
                lateChunk = pool.acquire(LATE_CHUNK_BYTES);
                lateChunk.data().limit(0);
                queue.addLast(lateChunk);
            }
            ByteBuffer chunk = lateChunk.data();
            int at = chunk.limit();
            chunk.limit(at + length).put(at, reply, reply.position(), length);
            queuedBytes += length;
            return wasEmpty;
        } finally {
            lock.unlock();
        }
    }

    /// Sends queued bytes, as many as the socket takes.
    void flush() {
        lock.lock();
        try {
            while (!queue.isEmpty()) {
                Payload first = queue.peekFirst();
                int before = first.data().remaining();
                boolean whole = write(first.data());
                if (broken) {
                    return;
                }
                queuedBytes -= before - first.data().remaining();
                if (!whole) {
                    return;
                }
                queue.removeFirst();
                if (first == lateChunk) {
                    lateChunk = null;
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
            lateChunk = null;
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
