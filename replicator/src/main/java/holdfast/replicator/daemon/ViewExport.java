package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;

import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/// One committed moment of a copy, read-only.
final class ViewExport implements Export {
    private final String name;
    private final OpenPoint point;
    private final long sizeBytes;
    private final Optional<Runnable> left;

    // Guarded by this object's monitor.
    private int clients;
    private int arrivals;
    private boolean over;

    /// @param left it ends with its last client, and this is called then
    ViewExport(String name, OpenPoint point, long sizeBytes, Optional<Runnable> left) {
        this.name = name;
        this.point = point;
        this.sizeBytes = sizeBytes;
        this.left = left;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        return "as it was at %s (%s)"
                .formatted(Instant.ofEpochMilli(point.shownMillis()), point.moment().position());
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
    public synchronized void opened() throws ExportException {
        if (over) {
            throw new ExportException(Errno.EIO, name + " was closed");
        }
        arrivals++;
        clients++;
    }

    @Override
    public void closed() {
        synchronized (this) {
            clients--;
            if (clients > 0 || over || left.isEmpty()) {
                return;
            }
            over = true;
        }
        left.get().run();
    }

    /// No client is let in any more.
    synchronized void end() {
        over = true;
    }

    synchronized int clients() {
        return clients;
    }

    /// How many clients there have been.
    synchronized int arrivals() {
        return arrivals;
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
