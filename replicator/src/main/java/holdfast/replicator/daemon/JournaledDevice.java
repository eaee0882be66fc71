package holdfast.replicator.daemon;

import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
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
///  write ─► journal's file ─► returns, is in memory ─► flush, 1 s or 16 MiB: synced ─► in the index
///  read  ◄─ what is in memory, over the index's journal, over the base
/// ```
///
/// A write returns when its record is in the journal's file: a client that connects again (qemu,
/// `nbd-client -persist`) outlives a daemon that is killed, and takes for written what was
/// answered; so do the file's pages. A power cut may take what was not flushed, as from any disk,
/// but only from the end on: what is left is what the journal holds up to the first record that is
/// not whole.
///
/// Nothing but this device knows of what is not synced: the index, and all that is rolled, kept,
/// shown or freed by it, is of what is durable.
final class JournaledDevice implements BlockDevice {
    private final BackupResource resource;
    private final BlockDevice base;
    private final long sizeBytes;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();

    // Guarded by `lock`.
    private final ArrayDeque<Write> inFlight = new ArrayDeque<>();
    private DeviceException failure;

    // Journal offsets: what is in its file, of what was answered, and of what is durable.
    private long writtenEnd;
    private long answeredEnd;
    private long durableEnd;

    /// Where what was answered and is not durable has its newest content, and the writes, by the
    /// addresses of their records. It is read from memory: pages that the kernel could not write
    /// are not there any more when it drops them, and the sync that says so may come later.
    private final JournalIndex unsynced = new JournalIndex();

    private final TreeMap<Long, Write> unsyncedWrites = new TreeMap<>();

    /// The base alone is the device: nothing of the journal is needed any more. Once it is, it
    /// stays so; then it is read without the lock as well.
    private volatile boolean direct;

    /// Nothing is written at present.
    private boolean held;

    /// Readers hold it for reading; nothing of the journal is freed under them.
    private final ReentrantReadWriteLock reading = new ReentrantReadWriteLock();

    /// Of what is durable. Replaced under `lock`, together with what goes from `unsynced` for it,
    /// and under `reading` where the records of the one before are freed.
    private JournalIndex index;

    /// One write on its way to the journal.
    static final class Write {
        final long offsetBytes;
        final long lengthBytes;
        final boolean punch;

        /// This device's own; null for zeroes. What the client gave belongs to it again when the
        /// write has returned, also one that failed while its record waits for a disk that hangs:
        /// that may be written later, and is a whole record then.
        final ByteBuffer data;

        private final CompletableFuture<Void> done = new CompletableFuture<>();

        /// Journal offset behind its record, once it has one.
        private long endAddress = Long.MAX_VALUE;

        private Write(long offsetBytes, long lengthBytes, boolean punch, ByteBuffer data) {
            this.offsetBytes = offsetBytes;
            this.lengthBytes = lengthBytes;
            this.punch = punch;
            this.data = data;
        }

        private JournalIndex.Run run() {
            int dataBytes = data == null ? 0 : data.remaining();
            long record = endAddress - JournalRecord.totalBytes(dataBytes);
            return new JournalIndex.Run(
                    offsetBytes,
                    lengthBytes,
                    data == null ? JournalIndex.Run.ZEROES : record + JournalRecord.HEADER_BYTES,
                    record,
                    punch);
        }
    }

    /// @param index of all that the journal holds now, durably
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
        if (direct) {
            base.write(offsetBytes, parts);
            return;
        }
        int length = 0;
        for (ByteBuffer part : parts) {
            length += part.remaining();
        }
        ByteBuffer data = ByteBuffer.allocate(length);
        for (ByteBuffer part : parts) {
            data.put(part);
        }
        data.flip();
        if (!submit(new Write(offsetBytes, length, false, data))) {
            base.write(offsetBytes, data);
        }
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
            resource.append(this, write); // In the order of `inFlight`.
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

    /// The record of the write that was given to the journal first, of those that have none, ends
    /// there. From the mailbox.
    void appended(Write write, long endAddress) {
        lock.lock();
        try {
            write.endAddress = endAddress;
            answer();
        } finally {
            lock.unlock();
        }
    }

    /// The journal's file has everything up to this offset. From the committer.
    void written(long upToAddress) {
        lock.lock();
        try {
            writtenEnd = Math.max(writtenEnd, upToAddress);
            answer();
        } finally {
            lock.unlock();
        }
    }

    /// The committer may have written a record before the mailbox has said where it ends.
    private void answer() {
        boolean some = false;
        while (!inFlight.isEmpty() && inFlight.peek().endAddress <= writtenEnd) {
            Write next = inFlight.poll();
            answeredEnd = next.endAddress;
            if (answeredEnd > durableEnd) {
                JournalIndex.Run run = next.run();
                unsynced.put(run);
                unsyncedWrites.put(run.recordAddress(), next);
            }
            next.done.complete(null);
            some = true;
        }
        if (some) {
            changed.signalAll();
        }
    }

    /// What is durable up to a journal offset is in this index. From the mailbox.
    void publish(JournalIndex durable, long upToAddress) {
        lock.lock();
        try {
            index = durable;
            durableEnd = Math.max(durableEnd, upToAddress);
            writtenEnd = Math.max(writtenEnd, durableEnd);
            unsynced.dropBelow(durableEnd);
            unsyncedWrites.headMap(durableEnd).clear();
            answer();
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

    /// Nothing becomes durable any more. What was answered and is not durable is read as before, as
    /// from a disk that has failed, until it is opened anew.
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

    @Override
    public void sync() throws DeviceException {
        boolean isDirect;
        lock.lock();
        try {
            requireWorks();
            isDirect = direct;
            long until = answeredEnd;
            if (durableEnd < until) {
                resource.syncOwn();
            }
            while (durableEnd < until) {
                changed.awaitUninterruptibly();
                requireWorks();
            }
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

    /// Holds what is written, makes durable what was answered, and runs `settle` and `forget`. When
    /// all of that succeeds, the base alone is the device from then on. Nothing is written to it
    /// before it is durable that it is nothing else: a start would take it for the moment at which
    /// it was settled. Where that may or may not be durable, the device has failed: what would be
    /// written to either place could be lost.
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
            String obstacle = syncAll();
            if (obstacle.isEmpty()) {
                obstacle = settle.get();
            }
            if (obstacle.isEmpty()) {
                publishAndWait(new JournalIndex(), 0);
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

    private String syncAll() {
        try {
            sync();
            return "";
        } catch (DeviceException e) {
            return "what was written cannot be made durable: " + e.getMessage();
        }
    }

    // ---- reading -----------------------------------------------------------------------------

    /// @param newer of what is not durable, and is over it
    private record Seen(JournalIndex durable, List<Piece> newer) {}

    /// @param data null for zeroes
    private record Piece(long offsetBytes, int lengthBytes, ByteBuffer data) {}

    /// Both at one moment: what goes from the one is in the other then.
    private Seen seen(long offsetBytes, long lengthBytes) {
        long end = offsetBytes + lengthBytes;
        lock.lock();
        try {
            List<Piece> newer = new ArrayList<>();
            for (JournalIndex.Run run = unsynced.at(offsetBytes);
                    run != null && run.offsetBytes() < end;
                    run = unsynced.at(run.endBytes())) {
                int length = (int) (Math.min(end, run.endBytes()) - run.offsetBytes());
                Write from = unsyncedWrites.get(run.recordAddress());
                newer.add(
                        new Piece(
                                run.offsetBytes(),
                                length,
                                run.isZero()
                                        ? null
                                        : from.data.slice(
                                                (int) (run.offsetBytes() - from.offsetBytes),
                                                length)));
            }
            return new Seen(index, newer);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws DeviceException {
        reading.readLock().lock();
        try {
            int from = into.position();
            Seen seen = seen(offsetBytes, into.remaining());
            resource.read(seen.durable, offsetBytes, into);
            for (Piece piece : seen.newer) {
                ByteBuffer over =
                        into.slice(
                                from + (int) (piece.offsetBytes - offsetBytes), piece.lengthBytes);
                if (piece.data == null) {
                    Holes.zero(over);
                } else {
                    over.put(piece.data);
                }
            }
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

    /// The next offset at which memory, journal and base hold data, or none.
    private long next(long offsetBytes, boolean data) throws DeviceException {
        reading.readLock().lock();
        try {
            JournalIndex newer;
            JournalIndex durable;
            lock.lock();
            try {
                newer = unsynced.copy();
                durable = index;
            } finally {
                lock.unlock();
            }
            for (long at = offsetBytes; at < sizeBytes; ) {
                JournalIndex.Run over = newer.at(at);
                JournalIndex.Run run = durable.at(at);
                JournalIndex.Run here = startsBy(over, at) ? over : startsBy(run, at) ? run : null;
                long end = here == null ? sizeBytes : here.endBytes();
                // Nothing below is looked at behind where something newer begins.
                if (here != over && over != null) {
                    end = Math.min(end, over.offsetBytes());
                }
                if (here != null) {
                    if (here.isZero() != data) {
                        return at;
                    }
                } else {
                    if (run != null) {
                        end = Math.min(end, run.offsetBytes());
                    }
                    long found = data ? base.nextData(at) : base.nextHole(at);
                    if (found < end) {
                        return found;
                    }
                }
                at = end;
            }
            return sizeBytes;
        } finally {
            reading.readLock().unlock();
        }
    }

    private static boolean startsBy(JournalIndex.Run run, long at) {
        return run != null && run.offsetBytes() <= at;
    }

    /// The copy's owner closes what is underneath.
    @Override
    public void close() {}

    @Override
    public String toString() {
        return base.toString();
    }
}
