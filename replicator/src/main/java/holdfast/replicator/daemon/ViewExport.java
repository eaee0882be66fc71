package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/// One committed moment of a copy, read-only.
final class ViewExport implements Export {
    private final String name;
    private final OpenPoint point;
    private final long sizeBytes;
    private final AtomicInteger clients = new AtomicInteger();
    private final AtomicInteger arrivals = new AtomicInteger();

    ViewExport(String name, OpenPoint point, long sizeBytes) {
        this.name = name;
        this.point = point;
        this.sizeBytes = sizeBytes;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        return "as it was at " + point.moment().position();
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
        arrivals.incrementAndGet();
        clients.incrementAndGet();
    }

    @Override
    public void closed() {
        clients.decrementAndGet();
    }

    int clients() {
        return clients.get();
    }

    /// How many clients there have been.
    int arrivals() {
        return arrivals.get();
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        try {
            point.read(offsetBytes, into);
        } catch (DeviceException e) {
            throw new ExportException(e.errno(), e.getMessage(), e);
        }
    }

    @Override
    public List<Extent> blockStatus(long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        return point.extents(offsetBytes, lengthBytes, maxExtents);
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
