package holdfast.replicator.device;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// Makes the journals of one filesystem durable, in groups (R27): one platform thread serves all
/// resources in turn.
///
/// ```
/// append ─► queue of a resource ─┐
/// append ─► queue of a resource ─┼─► round: write a share of each ─► sync each ─► durable(end) of each
/// append ─► queue of a resource ─┘                └─► written(end)
/// ```
///
/// It begins as soon as anything is queued, and what arrives during a sync goes into the next
/// round: an idle disk answers at once, a busy one gets larger groups. The first sync of a round
/// commits the filesystem's metadata for all, so the others cost little more than their data.
///
/// What is appended by [Writer#appendUnsynced] alone does not make a round sync its resource:
/// somebody asks for that ([Writer#sync]), or [#UNSYNCED_BYTES] have come together.
///
/// A resource that fails harms no other: it is called back once and takes nothing more.
public final class Committer implements AutoCloseable {
    /// Most that one resource writes in a round, so that one with a long queue delays the others by
    /// one share only. At 100 MB/s that is 40 ms.
    static final int SHARE_BYTES = 4 << 20;

    /// Most that is written and not synced of one resource, a share beside it. At 100 MB/s a sync
    /// of that takes 160 ms, and so long a flush waits at most for what others have written.
    static final int UNSYNCED_BYTES = 16 << 20;

    /// Called on the committer's thread, in order, never two at once; it must not wait for a disk,
    /// a peer or [Committer#close].
    public interface Listener {
        /// Everything appended below this offset is in the files, whose content outlives the
        /// process and not a power cut. Said of all that is written, before it is durable.
        default void written(long endOffset) {}

        /// Everything appended below this offset is on stable storage.
        void durable(long endOffset);

        /// Nothing more becomes durable. Called once at most, and after it nothing.
        void failed(DeviceException cause);
    }

    /// @param waits whether somebody waits for it to be durable
    private record Part(long atOffset, ByteBuffer[] parts, long lengthBytes, boolean waits) {}

    /// One resource's end of the queue.
    public final class Writer implements AutoCloseable {
        private final JournalFiles files;
        private final long queueBytes;
        private final Listener listener;

        // Guarded by the committer's lock.
        private final ArrayDeque<Part> queue = new ArrayDeque<>();
        private long queued;
        private boolean syncAsked;
        private boolean closed;
        private boolean busy;

        /// Written since the last sync. Changed by the committer's thread, under the lock.
        private long unsynced;

        /// The committer's thread's: where what is written ends.
        private long writtenEnd;

        private Writer(JournalFiles files, long queueBytes, Listener listener) {
            this.files = files;
            this.queueBytes = queueBytes;
            this.listener = listener;
        }

        /// Queues one write; never waits. The buffers belong to the committer until their end is
        /// durable. Calls come in the order of their offsets, from one thread at a time.
        ///
        /// @param parts within one segment of the journal, one after the other
        /// @return false when the queue is full or this writer has failed or is closed: nothing was
        ///   taken. Whoever feeds it stops before, by the credit of its stream
        public boolean append(long atOffset, ByteBuffer... parts) {
            return append(true, atOffset, parts);
        }

        /// As [#append], of what nobody waits for to be durable: the buffers belong to the
        /// committer until their end is written.
        public boolean appendUnsynced(long atOffset, ByteBuffer... parts) {
            return append(false, atOffset, parts);
        }

        private boolean append(boolean waits, long atOffset, ByteBuffer... parts) {
            long length = 0;
            for (ByteBuffer part : parts) {
                length += part.remaining();
            }
            lock.lock();
            try {
                // A part larger than the whole queue still passes when nothing else is queued.
                if (closed || queued > 0 && queued + length > queueBytes) {
                    return false;
                }
                queue.add(new Part(atOffset, parts, length, waits));
                queued += length;
                work.signal();
                return true;
            } finally {
                lock.unlock();
            }
        }

        /// All that was appended before becomes durable soon: in the next round in which nothing of
        /// it is queued any more. Never waits; nothing happens when all of it is durable.
        public void sync() {
            lock.lock();
            try {
                if (unsynced > 0 || queued > 0) {
                    syncAsked = true;
                    work.signal();
                }
            } finally {
                lock.unlock();
            }
        }

        /// Bytes that were appended and wait here: to be durable, or to be written where that is
        /// all that somebody waits for.
        public long queuedBytes() {
            lock.lock();
            try {
                return queued;
            } finally {
                lock.unlock();
            }
        }

        /// At which other journal the committer is just now, and something of this one waits.
        public Optional<At> heldUp() {
            lock.lock();
            try {
                At now = at;
                return now == null || now.files == files || !hasWork()
                        ? Optional.empty()
                        : Optional.of(now);
            } finally {
                lock.unlock();
            }
        }

        /// Takes nothing more; what is still queued is dropped, and the listener is not called any
        /// more when this returns. Waits for the round in progress. Not by a listener.
        @Override
        public void close() {
            lock.lock();
            try {
                drop();
                while (busy) {
                    idle.awaitUninterruptibly();
                }
                writers.remove(this);
            } finally {
                lock.unlock();
            }
        }

        private void drop() {
            closed = true;
            queue.clear();
            queued = 0;
            unsynced = 0;
        }

        private boolean hasWork() {
            return !queue.isEmpty() || busy || syncAsked && unsynced > 0;
        }
    }

    /// Guards the queues and the list of writers. No file is touched and no listener called under
    /// it.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition work = lock.newCondition();
    private final Condition idle = lock.newCondition();
    private final List<Writer> writers = new ArrayList<>();
    private final Thread thread;
    private boolean closing;

    /// Where its thread is; null between rounds.
    private volatile At at;

    /// A journal that is being written or synced.
    ///
    /// @param sinceNanos on the clock of [System#nanoTime]
    public record At(JournalFiles files, long sinceNanos) {}

    /// @param name of the filesystem, for the thread's name
    public Committer(String name) {
        thread = Thread.ofPlatform().name("committer-" + name).start(this::run);
    }

    /// @param files written by this committer alone from now on; whoever opened it closes it, after
    ///   the writer
    /// @param queueBytes most that waits here for this resource
    public Writer register(JournalFiles files, long queueBytes, Listener listener) {
        var writer = new Writer(files, queueBytes, listener);
        lock.lock();
        try {
            if (closing) {
                throw new IllegalStateException("the committer is closed");
            }
            writers.add(writer);
        } finally {
            lock.unlock();
        }
        return writer;
    }

    /// Waits while anything of any resource is to be written or made durable: for who uses the same
    /// disk, and is in no hurry.
    ///
    /// @param nanos at most so long
    /// @return false if there was something all the time
    public boolean awaitIdle(long nanos) {
        boolean interrupted = false;
        long until = System.nanoTime() + nanos;
        lock.lock();
        try {
            while (writers.stream().anyMatch(Writer::hasWork)) {
                long left = until - System.nanoTime();
                if (left <= 0) {
                    return false;
                }
                try {
                    idle.awaitNanos(left);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
            return true;
        } finally {
            lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /// A writer's part of a round.
    ///
    /// @param parts none when there is only something to sync
    private record Turn(Writer writer, List<Part> parts, long lengthBytes, boolean syncs) {}

    private void run() {
        while (true) {
            List<Turn> round = nextRound();
            if (round.isEmpty()) {
                return;
            }
            var written = new ArrayList<Turn>();
            for (Turn turn : round) {
                isAt(turn);
                if (write(turn)) {
                    written.add(turn);
                }
            }
            for (Turn turn : written) {
                if (turn.syncs) {
                    isAt(turn);
                    sync(turn);
                }
            }
            for (Turn turn : round) {
                isAt(turn);
                turn.writer.files.prepare();
                end(turn.writer);
            }
            at = null;
        }
    }

    private void isAt(Turn turn) {
        at = new At(turn.writer.files, System.nanoTime());
    }

    /// Waits until there is something to do; empty when closing and there is nothing.
    private List<Turn> nextRound() {
        lock.lock();
        try {
            while (true) {
                var round = new ArrayList<Turn>();
                for (Writer writer : writers) {
                    if (!writer.queue.isEmpty()
                            || writer.unsynced > 0 && (writer.syncAsked || closing)) {
                        round.add(take(writer));
                    }
                }
                if (!round.isEmpty() || closing) {
                    return round;
                }
                work.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    private Turn take(Writer writer) {
        var parts = new ArrayList<Part>();
        long length = 0;
        while (!writer.queue.isEmpty() && length < SHARE_BYTES) {
            Part part = writer.queue.remove();
            parts.add(part);
            length += part.lengthBytes;
        }
        writer.busy = true;
        boolean syncs =
                parts.stream().anyMatch(Part::waits)
                        || writer.syncAsked && writer.queue.isEmpty()
                        || writer.unsynced + length >= UNSYNCED_BYTES
                        || closing;
        writer.syncAsked &= !writer.queue.isEmpty();
        return new Turn(writer, parts, length, syncs);
    }

    private boolean write(Turn turn) {
        Writer writer = turn.writer;
        try {
            for (Part part : turn.parts) {
                writer.files.write(part.atOffset, part.parts);
                writer.writtenEnd = part.atOffset + part.lengthBytes;
            }
            if (!turn.parts.isEmpty() && isWritten(turn)) {
                writer.listener.written(writer.writtenEnd);
            }
            return true;
        } catch (DeviceException e) {
            fail(writer, e);
        } catch (RuntimeException e) {
            fail(writer, new DeviceException(0, "a bug in writing the journal: " + e, e));
        }
        return false;
    }

    /// Takes what nobody waits for any more off the count; false when the writer was closed
    /// meanwhile.
    private boolean isWritten(Turn turn) {
        Writer writer = turn.writer;
        lock.lock();
        try {
            if (writer.closed) {
                return false;
            }
            writer.unsynced += turn.lengthBytes;
            if (!turn.syncs) {
                writer.queued -= turn.lengthBytes;
            }
            return true;
        } finally {
            lock.unlock();
        }
    }

    private void sync(Turn turn) {
        Writer writer = turn.writer;
        try {
            writer.files.sync();
            if (settle(writer, turn.lengthBytes)) {
                writer.listener.durable(writer.writtenEnd);
            }
        } catch (DeviceException e) {
            fail(writer, e);
        } catch (RuntimeException e) {
            fail(writer, new DeviceException(0, "a bug in taking in what is durable: " + e, e));
        }
    }

    /// Takes what is durable off the count, so that the listener may fill the queue again; false
    /// when the writer was closed meanwhile.
    private boolean settle(Writer writer, long lengthBytes) {
        lock.lock();
        try {
            if (writer.closed) {
                return false;
            }
            writer.queued -= lengthBytes;
            writer.unsynced = 0;
            writer.syncAsked &= !writer.queue.isEmpty();
            return true;
        } finally {
            lock.unlock();
        }
    }

    private void fail(Writer writer, DeviceException cause) {
        lock.lock();
        try {
            if (writer.closed) {
                return;
            }
            writer.drop();
        } finally {
            lock.unlock();
        }
        try {
            writer.listener.failed(cause);
        } catch (RuntimeException e) {
            // The listener's bug must not end the thread that the others live on.
            thread.getUncaughtExceptionHandler().uncaughtException(thread, e);
        }
    }

    private void end(Writer writer) {
        lock.lock();
        try {
            writer.busy = false;
            idle.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// Makes durable what is queued, then ends the thread and waits for it. Not by a listener.
    @Override
    public void close() {
        lock.lock();
        try {
            closing = true;
            work.signal();
        } finally {
            lock.unlock();
        }
        boolean interrupted = false;
        while (true) {
            try {
                thread.join();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
