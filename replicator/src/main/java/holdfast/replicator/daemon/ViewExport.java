package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;
import holdfast.replicator.state.Backup;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/// One committed moment of a copy, read-only.
final class ViewExport implements Export {
    private final String name;
    private final BackupResource resource;
    private final Backup.View view;
    private final long sizeBytes;
    private final AtomicInteger clients = new AtomicInteger();

    ViewExport(String name, BackupResource resource, Backup.View view, long sizeBytes) {
        this.name = name;
        this.resource = resource;
        this.view = view;
        this.sizeBytes = sizeBytes;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        return "as it was at " + view.position();
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean readOnly() {
        return true;
    }

    @Override
    public void opened() {
        clients.incrementAndGet();
    }

    @Override
    public void closed() {
        clients.decrementAndGet();
    }

    int clients() {
        return clients.get();
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        try {
            resource.read(view.index(), offsetBytes, into);
        } catch (DeviceException e) {
            throw new ExportException(e.errno(), e.getMessage(), e);
        }
    }

    @Override
    public List<Extent> blockStatus(long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        List<Extent> found = new ArrayList<>();
        long end = offsetBytes + lengthBytes;
        for (long at = offsetBytes; at < end && found.size() < maxExtents; ) {
            JournalIndex.Run run = view.index().at(at);
            if (run == null || run.offsetBytes() > at) {
                long until = run == null ? end : Math.min(end, run.offsetBytes());
                List<Extent> below =
                        Holes.extents(resource.base(), at, until - at, maxExtents - found.size());
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
    }

    @Override
    public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
        payload.release();
        reply.done(Errno.EPERM);
    }

    @Override
    public void writeZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        reply.done(Errno.EPERM);
    }

    @Override
    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
        reply.done(Errno.EPERM);
    }

    @Override
    public void flush(Reply reply) {
        reply.done(Errno.OK);
    }
}
