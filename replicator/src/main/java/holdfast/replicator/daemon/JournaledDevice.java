package holdfast.replicator.daemon;

import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.journal.JournalIndex;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;

/// A promoted copy as the device of its primary (R24): what is written goes to the copy's journal,
/// and what is read comes from base and journal together. So it is there at once, however much is
/// still to be rolled forward, and the moments of before the promotion can still be opened.
///
/// ```
///  write ─► unsettled (memory) ─► journal, in groups ─► durable: in the index, unsettled no more
///  read  ◄─ unsettled, over the index's journal, over the base
///  sync  ─► waits until all that was written before is durable
/// ```
///
/// A write returns before it is durable, like one into a disk's cache; a crash loses what was not
/// synced, and the activity log above names where that was.
final class JournaledDevice implements BlockDevice {
    /// Written and not durable yet: beyond it a write waits. The committer's queue holds twice as
    /// much.
    static final long UNSETTLED_BYTES = 16 << 20;

    /// What a write takes of it beside its data: a record's header and padding.
    private static final int WRITE_BYTES = 512;

    private final BackupResource resource;
    private final BlockDevice base;
    private final long sizeBytes;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition settled = lock.newCondition();

    // Guarded by `lock`.
    private final ArrayDeque<Write> inFlight = new ArrayDeque<>();
    private final TreeMap<Long, Piece> pieces = new TreeMap<>();
    private long unsettledBytes;
    private long submitted;
    private long done;
    private DeviceException failure;

    /// The base alone is the device: nothing of the journal is needed any more.
    private boolean direct;

    /// Nothing is written at present.
    private boolean held;

    /// Readers hold it for reading; nothing of the journal is freed under them.
    private final ReentrantReadWriteLock reading = new ReentrantReadWriteLock();

    /// Guarded by `reading`: of what is durable.
    private volatile JournalIndex index;

    /// One write that is under way to the journal; of zeroes without data. The mailbox fills in
    /// `endAddress`.
    static final class Write {
        final long offsetBytes;
        final long lengthBytes;
        final boolean punch;
        final ByteBuffer data;

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

        private long cost() {
            return WRITE_BYTES + (data == null ? 0 : lengthBytes);
        }
    }

    /// A part of a write that no later one has covered.
    private record Piece(Write of, long from, long to) {
        /// @param into at the position of device offset `at`
        private void copy(ByteBuffer into, int position, long at, long end) {
            long begin = Math.max(from, at);
            int length = (int) (Math.min(to, end) - begin);
            ByteBuffer target = into.slice(position + (int) (begin - at), length);
            if (of.data == null) {
                Holes.zero(target);
            } else {
                target.put(of.data.slice((int) (begin - of.offsetBytes), length));
            }
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
        return true;
    }

    // ---- writing -----------------------------------------------------------------------------

    @Override
    public void write(long offsetBytes, ByteBuffer... parts) throws DeviceException {
        int length = 0;
        for (ByteBuffer part : parts) {
            length += part.remaining();
        }
        ByteBuffer copy = ByteBuffer.allocate(length);
        for (ByteBuffer part : parts) {
            copy.put(part);
        }
        if (!submit(new Write(offsetBytes, length, false, copy.flip()))) {
            base.write(offsetBytes, copy);
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
            if (write.lengthBytes == 0) {
                return true;
            }
            while (failure == null
                    && (held
                            || unsettledBytes > 0
                                    && unsettledBytes + write.cost() > UNSETTLED_BYTES)) {
                settled.awaitUninterruptibly();
            }
            if (direct) {
                return false;
            }
            requireWorks();
            unsettledBytes += write.cost();
            submitted++;
            inFlight.add(write);
            cut(write.offsetBytes, write.offsetBytes + write.lengthBytes);
            put(new Piece(write, write.offsetBytes, write.offsetBytes + write.lengthBytes));
            resource.append(write); // In the order of `inFlight`.
            return true;
        } finally {
            lock.unlock();
        }
    }

    private void requireWorks() throws DeviceException {
        if (failure != null) {
            throw new DeviceException(failure.errno(), failure.getMessage(), failure);
        }
    }

    private void put(Piece piece) {
        pieces.put(piece.from(), piece);
    }

    /// Takes a range out of what there is.
    private void cut(long from, long to) {
        for (Piece each : overlapping(from, to)) {
            pieces.remove(each.from());
            if (each.from() < from) {
                put(new Piece(each.of(), each.from(), from));
            }
            if (each.to() > to) {
                put(new Piece(each.of(), to, each.to()));
            }
        }
    }

    private List<Piece> overlapping(long from, long to) {
        Long first = pieces.floorKey(from);
        List<Piece> found = new ArrayList<>();
        for (Piece each : pieces.subMap(first == null ? from : first, true, to, false).values()) {
            if (each.to() > from) {
                found.add(each);
            }
        }
        return found;
    }

    /// What is durable up to a journal offset is in this index. From the mailbox.
    void publish(JournalIndex durable, long upToAddress) {
        index = durable;
        lock.lock();
        try {
            while (!inFlight.isEmpty() && inFlight.peek().endAddress <= upToAddress) {
                Write write = inFlight.poll();
                unsettledBytes -= write.cost();
                done++;
                for (Piece each :
                        overlapping(write.offsetBytes, write.offsetBytes + write.lengthBytes)) {
                    if (each.of() == write) {
                        pieces.remove(each.from());
                    }
                }
            }
            settled.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// As [#publish], of an index whose records may be freed when this returns: nobody reads by an
    /// older one any more.
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
            settled.signalAll();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void sync() throws DeviceException {
        lock.lock();
        try {
            long until = submitted;
            while (failure == null && done < until) {
                settled.awaitUninterruptibly();
            }
            requireWorks();
            if (!direct) {
                return;
            }
        } finally {
            lock.unlock();
        }
        base.sync();
    }

    /// Runs `settle` while nothing is written and nothing is unsettled. When it succeeds, the base
    /// alone is the device from then on.
    ///
    /// @param settle brings all of the journal into the base; returns what prevents it, empty when
    ///   it is done
    String goDirect(Supplier<String> settle) throws DeviceException {
        lock.lock();
        try {
            held = true;
            while (failure == null && !inFlight.isEmpty()) {
                settled.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
        String obstacle = "it did not end";
        try {
            obstacle = settle.get();
            if (obstacle.isEmpty()) {
                publishAndWait(new JournalIndex(), Long.MAX_VALUE);
            }
        } finally {
            lock.lock();
            try {
                direct = obstacle.isEmpty();
                held = false;
                settled.signalAll();
            } finally {
                lock.unlock();
            }
        }
        return obstacle;
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

    // ---- reading -----------------------------------------------------------------------------

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws DeviceException {
        int begin = into.position();
        long end = offsetBytes + into.remaining();
        List<Piece> newer = newer(offsetBytes, end); // Before the index, which has them next.
        reading.readLock().lock();
        try {
            resource.read(index, offsetBytes, into);
        } finally {
            reading.readLock().unlock();
        }
        for (Piece each : newer) {
            each.copy(into, begin, offsetBytes, end);
        }
    }

    private List<Piece> newer(long from, long to) {
        lock.lock();
        try {
            return overlapping(from, to);
        } finally {
            lock.unlock();
        }
    }

    /// What is not durable yet is taken for data.
    @Override
    public long nextData(long offsetBytes) throws DeviceException {
        long unsettled = sizeBytes;
        lock.lock();
        try {
            Map.Entry<Long, Piece> at = pieces.floorEntry(offsetBytes);
            if (at != null && at.getValue().to() > offsetBytes) {
                return offsetBytes;
            }
            Long next = pieces.ceilingKey(offsetBytes);
            unsettled = next == null ? sizeBytes : next;
        } finally {
            lock.unlock();
        }
        reading.readLock().lock();
        try {
            return Math.min(unsettled, nextStored(offsetBytes, true));
        } finally {
            reading.readLock().unlock();
        }
    }

    @Override
    public long nextHole(long offsetBytes) throws DeviceException {
        long at = offsetBytes;
        reading.readLock().lock();
        try {
            at = nextStored(at, false);
        } finally {
            reading.readLock().unlock();
        }
        lock.lock();
        try {
            // Behind what is written there now; whoever asks again finds the hole.
            Map.Entry<Long, Piece> written = pieces.floorEntry(at);
            return written != null && written.getValue().to() > at ? written.getValue().to() : at;
        } finally {
            lock.unlock();
        }
    }

    /// The next offset at which base and journal hold data, or none.
    private long nextStored(long offsetBytes, boolean data) throws DeviceException {
        for (long at = offsetBytes; at < sizeBytes; ) {
            JournalIndex.Run run = index.at(at);
            if (run != null && run.offsetBytes() <= at) {
                if (run.isZero() != data) {
                    return at;
                }
                at = run.endBytes();
                continue;
            }
            long next = run == null ? sizeBytes : Math.min(sizeBytes, run.offsetBytes());
            long found = data ? base.nextData(at) : base.nextHole(at);
            if (found < next) {
                return found;
            }
            at = next;
        }
        return sizeBytes;
    }

    /// The copy's owner closes what is underneath.
    @Override
    public void close() {}

    @Override
    public String toString() {
        return base.toString();
    }
}
