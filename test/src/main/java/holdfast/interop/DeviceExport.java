package holdfast.interop;

import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;

/// A device as an export that replicates nothing: what interop tests serve, and what benchmarks
/// compare. It does not order overlapping requests of different connections, which none of its
/// clients sends.
public final class DeviceExport implements Export {
    private final String name;
    private final BlockDevice device;
    private final boolean readOnly;
    private final Executor changes;

    /// @param changes where requests that change data are carried out; `Runnable::run` for the
    ///   connection's own thread
    public DeviceExport(String name, BlockDevice device, boolean readOnly, Executor changes) {
        this.name = name;
        this.device = device;
        this.readOnly = readOnly;
        this.changes = changes;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        return "device " + name + ", not replicated";
    }

    @Override
    public long sizeBytes() {
        return device.sizeBytes();
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        try {
            device.read(offsetBytes, into);
        } catch (DeviceException e) {
            throw new ExportException(e.errno(), e.getMessage(), e);
        }
    }

    @Override
    public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
        change(
                fua,
                reply,
                () -> {
                    try {
                        device.write(offsetBytes, payload.data());
                    } finally {
                        payload.release();
                    }
                });
    }

    @Override
    public void writeZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        change(fua, reply, () -> device.zero(offsetBytes, lengthBytes, !noHole));
    }

    @Override
    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
        change(
                fua,
                reply,
                () -> {
                    if (device.discardZeroes()) {
                        device.zero(offsetBytes, lengthBytes, true);
                    }
                });
    }

    @Override
    public void flush(Reply reply) {
        change(true, reply, () -> {});
    }

    @Override
    public List<Extent> blockStatus(long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        List<Extent> extents = new ArrayList<>();
        long end = offsetBytes + lengthBytes;
        try {
            for (long at = offsetBytes; at < end && extents.size() < maxExtents; ) {
                long data = Math.min(end, device.nextData(at));
                if (data > at) {
                    extents.add(Extent.hole(data - at));
                    at = data;
                } else {
                    // A hole that begins here now was punched this moment; data is always safe to
                    // say.
                    long hole = Math.min(end, Math.max(at + 1, device.nextHole(at)));
                    extents.add(Extent.data(hole - at));
                    at = hole;
                }
            }
        } catch (DeviceException e) {
            throw new ExportException(e.errno(), e.getMessage(), e);
        }
        return extents;
    }

    private interface Change {
        void run() throws DeviceException;
    }

    private void change(boolean durable, Reply reply, Change change) {
        changes.execute(() -> reply.done(carryOut(durable, change)));
    }

    private int carryOut(boolean durable, Change change) {
        try {
            change.run();
            if (durable) {
                device.sync();
            }
            return Errno.OK;
        } catch (DeviceException e) {
            return e.errno();
        }
    }
}
