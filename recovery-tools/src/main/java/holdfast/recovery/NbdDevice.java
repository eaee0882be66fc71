package holdfast.recovery;

import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;

import java.io.IOException;
import java.nio.ByteBuffer;

/// An export as a device to look at, before the kernel is shown it: a kernel that has seen a second
/// device of a btrfs may use it for the first.
final class NbdDevice implements BlockDevice {
    private static final int EIO = 5;
    private static final int EROFS = 30;

    private final NbdClient client;

    private NbdDevice(NbdClient client) {
        this.client = client;
    }

    static NbdDevice connect(String uri) throws IOException {
        return new NbdDevice(NbdClient.connect(uri));
    }

    @Override
    public long sizeBytes() {
        return client.size();
    }

    @Override
    public int logicalBlockBytes() {
        return 512;
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws DeviceException {
        byte[] bytes = new byte[into.remaining()];
        try {
            client.read(offsetBytes, bytes);
        } catch (IOException e) {
            throw new DeviceException(EIO, "the view cannot be read", e);
        }
        into.put(bytes);
    }

    @Override
    public void write(long offsetBytes, ByteBuffer... parts) throws DeviceException {
        throw new DeviceException(EROFS, "it is only looked at");
    }

    @Override
    public void zero(long offsetBytes, long lengthBytes, boolean punch) throws DeviceException {
        throw new DeviceException(EROFS, "it is only looked at");
    }

    @Override
    public void sync() {}

    @Override
    public DeviceException syncFailure() {
        return null;
    }

    @Override
    public long nextData(long offsetBytes) {
        return offsetBytes;
    }

    @Override
    public long nextHole(long offsetBytes) {
        return client.size();
    }

    @Override
    public boolean discardZeroes() {
        return false;
    }

    @Override
    public void close() {
        try {
            client.close();
        } catch (IOException e) {
            // Nothing was written: whatever the server makes of it, nothing is lost.
            return;
        }
    }
}
