package holdfast.sim;

import holdfast.replicator.journal.DeltaLog;
import holdfast.replicator.journal.JournalIndex;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/// The file of one pin's delta, on a disk of its own, which grows with it.
final class SimDelta implements DeltaLog.Storage {
    private static final int GROWS_BYTES = 64 * 1024;

    private final long pin;
    private final SimDisk disk;

    /// Null while the machine is down.
    private DeltaLog log;

    SimDelta(long pin) {
        this.pin = pin;
        disk = new SimDisk(GROWS_BYTES);
    }

    /// One with this content, durably.
    SimDelta(long pin, byte[] content) {
        this.pin = pin;
        disk = new SimDisk(content.length);
        disk.put(content);
    }

    SimDisk disk() {
        return disk;
    }

    DeltaLog log() {
        return log;
    }

    void create() throws IOException {
        log = DeltaLog.create(Simulation.RESOURCE, pin, this);
        disk.syncNow();
    }

    void open(DeltaLog.Extent counts) throws IOException {
        log = DeltaLog.open(Simulation.RESOURCE, pin, this, counts);
    }

    @Override
    public void write(long address, ByteBuffer data) {
        while (address + data.remaining() > disk.size()) {
            disk.grow(new byte[GROWS_BYTES]);
        }
        disk.write(address, data);
        data.position(data.limit());
    }

    @Override
    public void read(long address, ByteBuffer into) throws IOException {
        if (address + into.remaining() > disk.size()) {
            throw new IOException("the delta ends at " + disk.size());
        }
        into.put(disk.now(), (int) address, into.remaining());
    }

    /// Lays what it holds over an image.
    void over(byte[] image) throws IOException {
        for (JournalIndex.Run run : log.index().all()) {
            int from = (int) run.offsetBytes();
            int length = (int) Math.min(run.lengthBytes(), image.length - from);
            if (length <= 0) {
                continue;
            }
            if (run.isZero()) {
                Arrays.fill(image, from, from + length, (byte) 0);
            } else {
                log.read(run.dataAddress(), ByteBuffer.wrap(image, from, length));
            }
        }
    }
}
