package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.History.Moment;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/// A moment of a copy that is open: where of it what lies. Any number of readers; the base is
/// rolled meanwhile, as far as to the view's moment.
final class OpenPoint {
    private final BackupResource resource;
    private final Backup.View view;
    private final Moment moment;
    private final boolean inGap;

    /// Whoever reads holds it for reading: what the base has taken over is dropped from the index
    /// when nobody reads the journal for it any more, and only then freed there.
    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();

    /// Guarded by `lock`; null when it is closed.
    private JournalIndex index;

    /// Given back when it is closed; null for none. Guarded by `lock`.
    private ViewMemory.Claim claim;

    /// @param view keeps the base from being rolled past it
    /// @param moment what is shown, the view's or a later one
    /// @param inGap the time that was asked for lies behind it, in front of the end of an epoch
    OpenPoint(
            BackupResource resource,
            Backup.View view,
            Moment moment,
            boolean inGap,
            JournalIndex index) {
        this.resource = resource;
        this.view = view;
        this.moment = moment;
        this.inGap = inGap;
        this.index = index;
    }

    Backup.View view() {
        return view;
    }

    Moment moment() {
        return moment;
    }

    /// Until when nothing newer was written, as far as it is known, by the primary's clock.
    long shownMillis() {
        return moment == view.moment() ? view.completeMillis() : moment.labelMillis();
    }

    boolean isInGap() {
        return inGap;
    }

    /// Its index is counted there from now on. Before anybody else has it.
    ///
    /// @throws ViewMemory.FullException if there is no memory for it: then nothing is counted, and
    ///   it has to be closed
    void counts(ViewMemory.Claim as) throws ViewMemory.FullException {
        lock.writeLock().lock();
        try {
            as.holds(index == null ? 0 : index.size());
            claim = as;
        } finally {
            lock.writeLock().unlock();
        }
    }

    /// It is served as this view.
    void isOf(String id) {
        lock.readLock().lock();
        try {
            if (claim != null) {
                claim.isOf(id);
            }
        } finally {
            lock.readLock().unlock();
        }
    }

    private void drop() {
        index = null;
        if (claim != null) {
            claim.giveBack();
        }
    }

    /// The base holds what stands below this journal offset. One caller at a time; when it returns
    /// nobody reads there any more.
    void baseHas(long watermark) {
        JournalIndex now = index;
        if (now == null) {
            return;
        }
        JournalIndex rest = now.copy();
        rest.dropBelow(watermark);
        lock.writeLock().lock();
        try {
            index = rest;
        } finally {
            lock.writeLock().unlock();
        }
    }

    /// Nobody reads it any more when this returns: the journal may be freed. Waits for whoever
    /// reads; [#baseHas] is called no more.
    void close() {
        lock.writeLock().lock();
        try {
            drop();
        } finally {
            lock.writeLock().unlock();
        }
    }

    /// The same without waiting.
    ///
    /// @return false when somebody reads, and nothing was closed
    boolean closesNow() {
        if (!lock.writeLock().tryLock()) {
            return false;
        }
        try {
            drop();
            return true;
        } finally {
            lock.writeLock().unlock();
        }
    }

    /// Fills `into` from the device as it was.
    ///
    /// @throws DeviceException if that cannot be read, or the view is closed
    void read(long offsetBytes, ByteBuffer into) throws DeviceException {
        lock.readLock().lock();
        try {
            if (index == null) {
                throw new DeviceException(Errno.EIO, "the view was closed");
            }
            resource.read(view.pin(), index, offsetBytes, into);
        } finally {
            lock.readLock().unlock();
        }
    }

    /// Where data and holes are, from `offsetBytes` on, `maxExtents` at most.
    List<Extent> extents(long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        lock.readLock().lock();
        try {
            if (index == null) {
                throw new ExportException(Errno.EIO, "the view was closed");
            }
            List<Extent> found = new ArrayList<>();
            long end = offsetBytes + lengthBytes;
            for (long at = offsetBytes; at < end && found.size() < maxExtents; ) {
                JournalIndex.Run run = index.at(at);
                if (run == null || run.offsetBytes() > at) {
                    long until = run == null ? end : Math.min(end, run.offsetBytes());
                    List<Extent> below =
                            resource.extentsBelow(
                                    view.pin(), at, until - at, maxExtents - found.size());
                    for (Extent each : below) {
                        found.add(each);
                        at += each.lengthBytes();
                    }
                } else {
                    long length = Math.min(end - at, run.lengthBytes());
                    found.add(run.isZero() ? Extent.hole(length) : Extent.data(length));
                    at += length;
                }
            }
            return found;
        } finally {
            lock.readLock().unlock();
        }
    }
}
