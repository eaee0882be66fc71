package holdfast.replicator.daemon;

import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.journal.JournalIndex;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;

/// A promoted copy as the device of its primary (R24): what is written goes to the copy's journal,
/// and what is read comes from base and journal together. So it is there at once, however much is
/// still to be rolled forward, and the moments of before the promotion can still be opened.
///
/// ```
///  write ─► journal, in groups ─► durable ─► in the index ─► returns
///  read  ◄─ the index's journal, over the base
/// ```
///
/// A write returns when it is durable: a client of the kernel's outlives a daemon that is killed,
/// and takes for written what was answered. What writes at the same time shares a sync.
final class JournaledDevice implements BlockDevice {
    private final BackupResource resource;
    private final BlockDevice base;
    private final long sizeBytes;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();

    // Guarded by `lock`.
    private final ArrayDeque<Write> inFlight = new ArrayDeque<>();
    private DeviceException failure;

    /// The base alone is the device: nothing of the journal is needed any more.
    private boolean direct;

    /// Nothing is written at present.
    private boolean held;

    /// Readers hold it for reading; nothing of the journal is freed under them.
    private final ReentrantReadWriteLock reading = new ReentrantReadWriteLock();

    /// Of what is durable. Replaced under `reading` where the records of the one before are freed.
    private volatile JournalIndex index;

    /// One write on its way to the journal; of zeroes without data.
    static final class Write {
        final long offsetBytes;
        final long lengthBytes;
        final boolean punch;
        final ByteBuffer data;
        private final CompletableFuture<Void> done = new CompletableFuture<>();

        /// Journal offset behind its record, once it has one.
        private volatile long endAddress = Long.MAX_VALUE;

        private Write(long offsetBytes, long lengthBytes, boolean punch, ByteBuffer data) {
            this.offsetBytes = offsetBytes;
            this.lengthBytes = lengthBytes;
            this.punch = punch;
            this.data = data;
        }

        void appendedUpTo(long address) {
            endAddress = address;
        }
    }

    /// @param index of all that the journal holds now
    JournaledDevice(BackupResource resource, BlockDevice base, long sizeBytes, JournalIndex index) {
        this.resource = resource;
        this.base = base;
        this.sizeBytes = sizeBytes;
        this.index = index;
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public int logicalBlockBytes() {
        return base.logicalBlockBytes();
    }

    @Override
    public boolean discardZeroes() {
        return base.discardZeroes();
    }

    // ---- writing -----------------------------------------------------------------------------

    @Override
    public void write(long offsetBytes, ByteBuffer... parts) throws DeviceException {
        int length = 0;
        for (ByteBuffer part : parts) {
            length += part.remaining();
        }
        ByteBuffer whole = parts[0];
        if (parts.length > 1) {
            whole = ByteBuffer.allocate(length);
            for (ByteBuffer part : parts) {
                whole.put(part);
            }
            whole.flip();
        }
        if (!submit(new Write(offsetBytes, length, false, whole.duplicate()))) {
            base.write(offsetBytes, whole);
        }
        whole.position(whole.limit());
    }

    @Override
    public void zero(long offsetBytes, long lengthBytes, boolean punch) throws DeviceException {
        if (!submit(new Write(offsetBytes, lengthBytes, punch, null))) {
            base.zero(offsetBytes, lengthBytes, punch);
        }
    }

    /// @return false when it is for the base
    private boolean submit(Write write) throws DeviceException {
        lock.lock();
        try {
            while (held) {
                changed.awaitUninterruptibly();
            }
            if (direct) {
                return false;
            }
            requireWorks();
            if (write.lengthBytes == 0) {
                return true;
            }
            inFlight.add(write);
            resource.append(write); // In the order of `inFlight`.
        } finally {
            lock.unlock();
        }
        try {
            write.done.join();
            return true;
        } catch (CompletionException e) {
            throw new DeviceException(0, e.getCause().getMessage(), e);
        }
    }

    private void requireWorks() throws DeviceException {
        if (failure != null) {
            throw new DeviceException(failure.errno(), failure.getMessage(), failure);
        }
    }

    /// What is durable up to a journal offset is in this index. From the mailbox.
    void publish(JournalIndex durable, long upToAddress) {
        index = durable;
        lock.lock();
        try {
            while (!inFlight.isEmpty() && inFlight.peek().endAddress <= upToAddress) {
                inFlight.poll().done.complete(null);
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// As [#publish], of an index beside which the records of the one before may be freed when this
    /// returns: nobody reads by that any more.
    void publishAndWait(JournalIndex durable, long upToAddress) {
        reading.writeLock().lock();
        try {
            publish(durable, upToAddress);
        } finally {
            reading.writeLock().unlock();
        }
    }

    /// Nothing becomes durable any more.
    void failed(String why) {
        lock.lock();
        try {
            if (failure == null) {
                failure = new DeviceException(0, why);
            }
            inFlight.forEach(each -> each.done.completeExceptionally(failure));
            inFlight.clear();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// All that has returned is durable already, but for what went to the base.
    @Override
    public void sync() throws DeviceException {
        boolean isDirect;
        lock.lock();
        try {
            requireWorks();
            isDirect = direct;
        } finally {
            lock.unlock();
        }
        if (isDirect) {
            base.sync();
        }
    }

    @Override
    public DeviceException syncFailure() {
        lock.lock();
        try {
            return failure != null || !direct ? failure : base.syncFailure();
        } finally {
            lock.unlock();
        }
    }

    /// Makes it durable that nothing of the journal counts any more.
    interface Forgetting {
        /// @throws IOException if nothing has changed
        /// @throws UncheckedIOException if nobody knows whether it is durable
        void run() throws IOException;
    }

    /// Runs `settle` and `forget` while nothing is written. When both succeed, the base alone is
    /// the device from then on. Nothing is written to it before it is durable that it is nothing
    /// else: a start would take it for the moment at which it was settled. Where that may or may
    /// not be durable, the device has failed: what would be written to either place could be lost.
    ///
    /// @param settle brings all of the journal into the base; returns what prevents it, empty when
    ///   it is done
    /// @return what prevents it; empty when it is done
    String goDirect(Supplier<String> settle, Forgetting forget) {
        lock.lock();
        try {
            held = true;
            while (!inFlight.isEmpty()) {
                changed.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
        boolean done = false;
        try {
            String obstacle = settle.get();
            if (obstacle.isEmpty()) {
                publishAndWait(new JournalIndex(), Long.MAX_VALUE);
                forget.run();
                done = true;
            }
            return obstacle;
        } catch (IOException e) {
            return "that it was a copy cannot be forgotten: " + e.getMessage();
        } catch (UncheckedIOException e) {
            failed(String.valueOf(e.getMessage()));
            throw e;
        } finally {
            lock.lock();
            try {
                direct |= done;
                held = false;
                changed.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    // ---- reading -----------------------------------------------------------------------------

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws DeviceException {
        reading.readLock().lock();
        try {
            resource.read(index, offsetBytes, into);
        } finally {
            reading.readLock().unlock();
        }
    }

    @Override
    public long nextData(long offsetBytes) throws DeviceException {
        return next(offsetBytes, true);
    }

    @Override
    public long nextHole(long offsetBytes) throws DeviceException {
        return next(offsetBytes, false);
    }

    /// The next offset at which base and journal hold data, or none.
    private long next(long offsetBytes, boolean data) throws DeviceException {
        reading.readLock().lock();
        try {
            JournalIndex now = index;
            for (long at = offsetBytes; at < sizeBytes; ) {
                JournalIndex.Run run = now.at(at);
                if (run != null && run.offsetBytes() <= at) {
                    if (run.isZero() != data) {
                        return at;
                    }
                    at = run.endBytes();
                    continue;
                }
                long end = run == null ? sizeBytes : Math.min(sizeBytes, run.offsetBytes());
                long found = data ? base.nextData(at) : base.nextHole(at);
                if (found < end) {
                    return found;
                }
                at = end;
            }
            return sizeBytes;
        } finally {
            reading.readLock().unlock();
        }
    }

    /// The copy's owner closes what is underneath.
    @Override
    public void close() {}

    @Override
    public String toString() {
        return base.toString();
    }
}
