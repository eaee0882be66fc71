package holdfast.replicator.device;

import holdfast.replicator.journal.DeltaLog;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;

/// The file of one pin's delta; what its bytes mean is [DeltaLog]'s to say.
///
/// One thread adds, any number read what counts. A failed sync is final: what was added counts
/// nowhere then, and only the next opening writes there again.
public final class DeltaFile implements AutoCloseable, DeltaLog.Storage {
    private final RawFile file;
    private DeltaLog log;

    private DeltaFile(RawFile file) {
        this.file = file;
    }

    /// A new one, in place of any of that name, of which nobody knows.
    public static DeltaFile create(Path path, UUID resource, long pin) throws IOException {
        RawFile.delete(path.toString());
        DeltaFile made =
                new DeltaFile(
                        RawFile.open(
                                path.toString(),
                                Native.O_RDWR | Native.O_CREAT | Native.O_EXCL,
                                0600));
        try {
            made.log = DeltaLog.create(resource, pin, made);
            made.file.sync();
            RawFile.syncDirectory(path.toAbsolutePath().getParent().toString());
            return made;
        } catch (IOException | RuntimeException e) {
            made.close();
            throw e;
        }
    }

    /// @param counts what of it does
    /// @throws IOException if that cannot be read
    public static DeltaFile open(Path path, UUID resource, long pin, DeltaLog.Extent counts)
            throws IOException {
        return open(path, Native.O_RDWR, resource, pin, counts);
    }

    /// The same for reading alone.
    public static DeltaFile openReadOnly(Path path, UUID resource, long pin, DeltaLog.Extent counts)
            throws IOException {
        return open(path, Native.O_RDONLY, resource, pin, counts);
    }

    private static DeltaFile open(
            Path path, int flags, UUID resource, long pin, DeltaLog.Extent counts)
            throws IOException {
        DeltaFile opened = new DeltaFile(RawFile.open(path.toString(), flags, 0));
        try {
            opened.log = DeltaLog.open(resource, pin, opened, counts);
            return opened;
        } catch (IOException | RuntimeException e) {
            opened.close();
            throw e;
        }
    }

    public DeltaLog log() {
        return log;
    }

    @Override
    public void write(long address, ByteBuffer data) throws DeviceException {
        file.write(address, data);
    }

    @Override
    public void read(long address, ByteBuffer into) throws DeviceException {
        file.read(address, into);
    }

    /// What was added and does not count is nothing, and its room is given back.
    public void abandon() throws DeviceException {
        log.abandon();
        file.truncate(log.endBytes());
    }

    /// Makes durable what was added.
    public void sync() throws DeviceException {
        file.sync();
    }

    @Override
    public void close() {
        file.close();
    }
}
