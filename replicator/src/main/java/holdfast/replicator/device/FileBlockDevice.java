package holdfast.replicator.device;

import holdfast.replicator.metadata.Evidence;
import holdfast.tunnel.wire.Mutants;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;

/// A regular file, sparse or not, or a block device of the kernel, opened buffered, the one mode in
/// which everyone who touches it opens it (R12).
///
/// A block device is opened exclusively, so nobody mounts it, swaps on it or builds a mapping over
/// it while it is held. For a file the kernel has nothing like that; [OwnedLock] keeps our own
/// daemons apart, and a file that a loop device uses is refused.
public final class FileBlockDevice implements BlockDevice {
    private static final int FILE_BLOCK_BYTES = 512;

    /// A deliberate mistake: a failed sync is passed over.
    private static final boolean M43 = Mutants.on("M43");

    private final RawFile file;
    private final DeviceNode node;
    private volatile long sizeBytes;
    private final int logicalBlockBytes;
    private final boolean discardZeroes;

    /// The first failed sync, which every later write reports. Written once; null until then.
    private volatile DeviceException syncFailure;

    private final ReentrantLock syncing = new ReentrantLock();

    private FileBlockDevice(RawFile file, DeviceNode node) throws DeviceException {
        this.file = file;
        this.node = node;
        this.sizeBytes = file.sizeBytes();
        this.logicalBlockBytes = node.isBlockDevice() ? file.logicalBlockBytes() : FILE_BLOCK_BYTES;
        this.discardZeroes = !node.isBlockDevice() || node.zeroesWithoutWriting();
    }

    /// Opens for reading and writing, exclusively.
    ///
    /// @throws DeviceException if it is no file or block device, is read-only, is in use (the
    ///   message says by whom) or cannot be opened
    public static FileBlockDevice open(Path path) throws DeviceException {
        return open(path, Native.O_RDWR, true);
    }

    /// Opens for reading alone, and a block device not exclusively: what is read may change.
    /// Writing throws a [DeviceException] with EBADF.
    public static FileBlockDevice openReadOnly(Path path) throws DeviceException {
        return open(path, Native.O_RDONLY, false);
    }

    /// Opens exclusively, as [#open] does, what is only to be kept from others: it is not synced,
    /// which a device that is dead cannot be.
    public static FileBlockDevice hold(Path path) throws DeviceException {
        return open(path, Native.O_RDWR, false);
    }

    private static FileBlockDevice open(Path path, int flags, boolean syncs)
            throws DeviceException {
        boolean writing = flags != Native.O_RDONLY;
        DeviceNode node = DeviceNode.of(path);
        if (writing) {
            node.requireUnused();
        }
        RawFile file;
        try {
            file =
                    RawFile.open(
                            path.toString(),
                            writing && node.isBlockDevice() ? flags | Native.O_EXCL : flags,
                            0);
        } catch (DeviceException e) {
            if (e.errno() == Errno.EBUSY) {
                throw new DeviceException(
                        Errno.EBUSY,
                        path
                                + " is held by somebody else (a mount, a mapping, another program);"
                                + " lsblk shows most of them",
                        e);
            }
            throw e;
        }
        try {
            if (writing && node.isBlockDevice() && file.isReadOnlyDevice()) {
                throw new DeviceException(Errno.EROFS, path + " takes no writes");
            }
            if (writing && !node.isBlockDevice()) {
                lock(file);
            }
            if (syncs) {
                // What a killed daemon wrote and did not sync is durable from here on, and what a
                // failed sync left in memory alone is not taken for what the disk holds.
                file.sync();
                file.dropCache();
            }
            return new FileBlockDevice(file, node);
        } catch (DeviceException | RuntimeException e) {
            file.close();
            throw e;
        }
    }

    /// Makes a sparse file that reads as zero, durably, and opens it. It must not exist yet.
    public static FileBlockDevice create(Path path, long sizeBytes) throws DeviceException {
        RawFile file =
                RawFile.open(path.toString(), Native.O_RDWR | Native.O_CREAT | Native.O_EXCL, 0600);
        try {
            lock(file);
            file.truncate(sizeBytes);
            file.sync();
            RawFile.syncDirectory(path.toAbsolutePath().getParent().toString());
            return new FileBlockDevice(file, DeviceNode.of(path));
        } catch (DeviceException | RuntimeException e) {
            file.close();
            path.toFile().delete();
            throw e;
        }
    }

    /// A file has no exclusive opening; this at least keeps out daemons that share no lock
    /// directory, and programs that are as polite. Not for a block device, where udev takes the
    /// same lock to look at it.
    private static void lock(RawFile file) throws DeviceException {
        if (!file.tryLock()) {
            throw new DeviceException(
                    Errno.EBUSY, file.name() + " is open for writing somewhere else");
        }
    }

    /// Where it stands in the system, for the lock and for messages.
    public DeviceNode node() {
        return node;
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public int logicalBlockBytes() {
        return logicalBlockBytes;
    }

    @Override
    public boolean discardZeroes() {
        return discardZeroes;
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws DeviceException {
        Objects.checkFromIndexSize(offsetBytes, into.remaining(), sizeBytes);
        file.read(offsetBytes, into);
    }

    @Override
    public void write(long offsetBytes, ByteBuffer... parts) throws DeviceException {
        long lengthBytes = 0;
        for (ByteBuffer part : parts) {
            lengthBytes += part.remaining();
        }
        Objects.checkFromIndexSize(offsetBytes, lengthBytes, sizeBytes);
        requireSynced();
        file.write(offsetBytes, parts);
    }

    @Override
    public void zero(long offsetBytes, long lengthBytes, boolean punch) throws DeviceException {
        Objects.checkFromIndexSize(offsetBytes, lengthBytes, sizeBytes);
        requireSynced();
        // A block device zeroes whole blocks only; the ragged ends are written.
        long unit = node.isBlockDevice() ? logicalBlockBytes : 1;
        long from = Math.ceilDiv(offsetBytes, unit) * unit;
        long to = (offsetBytes + lengthBytes) / unit * unit;
        if (from >= to) {
            file.writeZeroes(offsetBytes, lengthBytes);
            return;
        }
        file.writeZeroes(offsetBytes, from - offsetBytes);
        zeroWholeBlocks(from, to - from, punch);
        file.writeZeroes(to, offsetBytes + lengthBytes - to);
    }

    /// Both calls promise zeroes, on a block device too: there the kernel takes the device's WRITE
    /// ZEROES, with unmapping when punching, and never its discard, which promises nothing.
    private void zeroWholeBlocks(long offsetBytes, long lengthBytes, boolean punch)
            throws DeviceException {
        int punchMode = Native.FALLOC_FL_PUNCH_HOLE | Native.FALLOC_FL_KEEP_SIZE;
        int zeroMode = Native.FALLOC_FL_ZERO_RANGE | Native.FALLOC_FL_KEEP_SIZE;
        boolean done =
                punch && file.fallocate(punchMode, offsetBytes, lengthBytes)
                        || file.fallocate(zeroMode, offsetBytes, lengthBytes);
        if (!done) {
            file.writeZeroes(offsetBytes, lengthBytes);
        }
    }

    @Override
    public void sync() throws DeviceException {
        alone(file::sync);
    }

    private interface Sync {
        void run() throws DeviceException;
    }

    /// One at a time: the kernel tells an error to one of those that wait in it, and the others
    /// would take what is lost for durable.
    private void alone(Sync sync) throws DeviceException {
        syncing.lock();
        try {
            requireSynced();
            sync.run();
        } catch (DeviceException e) {
            if (M43) {
                return;
            }
            syncFailure = e;
            throw e;
        } finally {
            syncing.unlock();
        }
    }

    @Override
    public DeviceException syncFailure() {
        return syncFailure;
    }

    /// Size of what is underneath now, which somebody may have changed.
    public long sizeNow() throws DeviceException {
        return file.sizeBytes();
    }

    /// It has this size from now on; what is underneath has it, or a file is made longer, durably.
    ///
    /// @throws DeviceException if a block device is smaller, or the file cannot be made longer
    public void grow(long bytes) throws DeviceException {
        long now = sizeNow();
        if (now < bytes && node.isBlockDevice()) {
            throw new DeviceException(
                    0,
                    "%s has %d bytes, %d are needed: enlarge it first"
                            .formatted(file.name(), now, bytes));
        }
        if (now < bytes) {
            file.truncate(bytes);
        }
        alone(file::syncAll);
        sizeBytes = Math.max(sizeBytes, bytes);
    }

    /// What it says of itself by which a foreign write is seen: for a file its time of change,
    /// which is made durable first so that a power cut does not set it back; and what its
    /// filesystem says.
    ///
    /// @throws DeviceException if it cannot be read or made durable
    public List<Evidence.Sign> signs() throws DeviceException {
        List<Evidence.Sign> signs = new ArrayList<>();
        if (!node.isBlockDevice()) {
            alone(file::syncAll);
            signs.add(new Evidence.Sign("the file's time of change", file.lastChange().toString()));
        }
        signs.addAll(FilesystemSigns.of(this));
        return signs;
    }

    private void requireSynced() throws DeviceException {
        DeviceException failure = syncFailure;
        if (failure != null) {
            throw new DeviceException(
                    failure.errno(),
                    file.name() + " takes no more writes since it could not be made durable",
                    failure);
        }
    }

    @Override
    public long nextData(long offsetBytes) throws DeviceException {
        Objects.checkIndex(offsetBytes, sizeBytes + 1);
        if (node.isBlockDevice() || offsetBytes == sizeBytes) {
            return offsetBytes;
        }
        long data = file.seek(offsetBytes, Native.SEEK_DATA, sizeBytes);
        if (data >= sizeBytes && file.sizeBytes() < sizeBytes) {
            // Behind its end a file has no hole: what was there is gone, and does not read zero.
            throw new DeviceException(
                    0,
                    "%s ends at byte %d: it has shrunk".formatted(file.name(), file.sizeBytes()));
        }
        return data;
    }

    @Override
    public long nextHole(long offsetBytes) throws DeviceException {
        Objects.checkIndex(offsetBytes, sizeBytes + 1);
        if (node.isBlockDevice()) {
            return sizeBytes;
        }
        return file.seek(offsetBytes, Native.SEEK_HOLE, sizeBytes);
    }

    /// Whether the kernel still has a call for it, also after [#close].
    boolean isInCall() {
        return file.isInCall();
    }

    @Override
    public void close() {
        file.close();
    }

    @Override
    public String toString() {
        return file.name();
    }
}
