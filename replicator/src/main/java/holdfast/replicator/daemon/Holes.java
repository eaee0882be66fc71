package holdfast.replicator.daemon;

import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// Where a device holds nothing.
final class Holes {
    private static final ByteBuffer ZEROES =
            ByteBuffer.allocateDirect(128 << 10).asReadOnlyBuffer();

    private Holes() {}

    /// `base:allocation` of a device that knows its holes.
    static List<Extent> extents(BlockDevice device, long offset, long length, int max)
            throws ExportException {
        List<Extent> found = new ArrayList<>();
        long end = offset + length;
        try {
            for (long at = offset; at < end && found.size() < max; ) {
                long data = Math.min(end, device.nextData(at));
                if (data > at) {
                    found.add(Extent.hole(data - at));
                    at = data;
                } else {
                    long hole = Math.min(end, device.nextHole(at));
                    found.add(Extent.data(Math.max(1, hole - at)));
                    at = Math.max(at + 1, hole);
                }
            }
            return found;
        } catch (DeviceException e) {
            throw new ExportException(e.errno(), e.getMessage(), e);
        }
    }

    /// Fills the rest of the buffer with zeroes.
    static void zero(ByteBuffer into) {
        while (into.hasRemaining()) {
            into.put(ZEROES.slice(0, Math.min(ZEROES.capacity(), into.remaining())));
        }
    }
}
