package holdfast.replicator.device;

import holdfast.tunnel.wire.Mutants;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntSupplier;

/// An open file or device: a descriptor that cannot be closed under a call in flight, whole reads
/// and writes, errors with a name. Direct buffers spare a copy.
///
/// Any thread may call any method. [#close] is by the owner alone; the last call in flight closes
/// the descriptor, so a disk that hangs does not hang the owner.
final class RawFile implements AutoCloseable {
    /// A deliberate mistake: the directory is not synced after a rename.
    private static final boolean M33 = Mutants.on("M33");

    /// Set in `users` once closed; the bits below the next count the calls in flight.
    private static final int CLOSED = 1 << 30;

    /// Set once the descriptor is closed.
    private static final int GONE = 1 << 29;

    /// Unit of writing zeroes where nothing better exists.
    private static final int ZEROES_BYTES = 256 << 10;

    /// Native memory that is never written to. Of its own class so that it is taken at first use.
    private static final class Zeroes {
        static final MemorySegment SEGMENT =
                Arena.global().allocate(ZEROES_BYTES, 4096).asReadOnly();
    }

    private final int fd;
    private volatile String name;
    private final AtomicInteger users = new AtomicInteger();
    private final DiskCalls calls;

    /// @param name for messages
    private RawFile(int fd, String name, DiskCalls calls) {
        this.fd = fd;
        this.name = name;
        this.calls = calls;
    }

    /// @param flags as for open(2), `O_CLOEXEC` is added
    /// @param mode of a file that is created
    static RawFile open(String path, int flags, int mode) throws DeviceException {
        DiskCalls calls = DiskCalls.of(path);
        int call = calls.began();
        int fd = Native.open(path, flags | Native.O_CLOEXEC, mode);
        calls.ended(call);
        if (fd < 0) {
            calls.gone();
            throw new DeviceException(-fd, path + " cannot be opened");
        }
        return new RawFile(fd, path, calls);
    }

    /// Makes durable what was created, renamed or deleted in a directory.
    static void syncDirectory(String path) throws DeviceException {
        if (M33) {
            return;
        }
        try (RawFile directory = open(path, Native.O_RDONLY, 0)) {
            directory.syncAll("the directory cannot be synced");
        }
    }

    static void rename(String from, String to) throws DeviceException {
        int result = ofName(from, () -> Native.rename(from, to));
        if (result < 0) {
            throw new DeviceException(-result, from + " cannot be renamed to " + to);
        }
    }

    /// This file has that name from now on, in the place of whatever had it.
    void rename(String to) throws DeviceException {
        rename(name, to);
        name = to;
        calls.renamed(to);
    }

    /// A call that concerns the name of a file, and no file that is open.
    private static int ofName(String path, IntSupplier call) {
        DiskCalls calls = DiskCalls.of(path);
        calls.began();
        try {
            return call.getAsInt();
        } finally {
            calls.gone();
        }
    }

    static void delete(String path) throws DeviceException {
        int result = ofName(path, () -> Native.unlink(path));
        if (result < 0 && result != -Errno.ENOENT) {
            throw new DeviceException(-result, path + " cannot be deleted");
        }
    }

    String name() {
        return name;
    }

    /// As [#read], or false when this was closed meanwhile; for whoever can open it anew.
    boolean tryRead(long offsetBytes, ByteBuffer into) throws DeviceException {
        if (!isOpen()) {
            return false;
        }
        int call = calls.began();
        try {
            fill(offsetBytes, into);
            return true;
        } finally {
            leave(call);
        }
    }

    /// Fills `into` or throws.
    void read(long offsetBytes, ByteBuffer into) throws DeviceException {
        int call = enter();
        try {
            fill(offsetBytes, into);
        } finally {
            leave(call);
        }
    }

    private void fill(long offsetBytes, ByteBuffer into) throws DeviceException {
        int length = into.remaining();
        if (!into.isDirect()) {
            try (var arena = Arena.ofConfined()) {
                MemorySegment copy = arena.allocate(length);
                fill(offsetBytes, copy);
                into.put(copy.asByteBuffer());
            }
            return;
        }
        fill(offsetBytes, MemorySegment.ofBuffer(into));
        into.position(into.limit());
    }

    private void fill(long offsetBytes, MemorySegment into) throws DeviceException {
        long done = 0;
        while (done < into.byteSize()) {
            long got = Native.pread(fd, into.asSlice(done), offsetBytes + done);
            if (got == -Errno.EINTR) {
                continue;
            }
            if (got == 0) {
                throw new DeviceException(
                        0, "%s ends at byte %d: it has shrunk".formatted(name, offsetBytes + done));
            }
            done += check(got, "cannot be read at byte " + (offsetBytes + done));
        }
    }

    /// Writes all of all parts or throws.
    void write(long offsetBytes, ByteBuffer... parts) throws DeviceException {
        if (parts.length == 1 && parts[0].isDirect()) {
            write(offsetBytes, MemorySegment.ofBuffer(parts[0]));
            parts[0].position(parts[0].limit());
            return;
        }
        long at = offsetBytes;
        for (int from = 0; from < parts.length; from += Native.MAX_PARTS) {
            int count = Math.min(Native.MAX_PARTS, parts.length - from);
            at += gather(at, parts, from, count);
        }
    }

    private void write(long offsetBytes, MemorySegment from) throws DeviceException {
        int call = enter();
        try {
            long done = 0;
            while (done < from.byteSize()) {
                long put = Native.pwrite(fd, from.asSlice(done), offsetBytes + done);
                done += checkWritten(put, offsetBytes + done);
            }
        } finally {
            leave(call);
        }
    }

    private long gather(long offsetBytes, ByteBuffer[] parts, int first, int count)
            throws DeviceException {
        int call = enter();
        try (var arena = Arena.ofConfined()) {
            var segments = new MemorySegment[count];
            long length = 0;
            for (int i = 0; i < count; i++) {
                segments[i] = nativeView(arena, parts[first + i]);
                length += segments[i].byteSize();
            }
            int next = 0;
            long done = 0;
            while (done < length) {
                var rest =
                        next == 0 ? segments : java.util.Arrays.copyOfRange(segments, next, count);
                long put = Native.pwritev(fd, rest, count - next, offsetBytes + done);
                long left = checkWritten(put, offsetBytes + done);
                done += left;
                // After a short write: drop the parts that are out, cut the one that is not whole.
                while (next < count && left >= segments[next].byteSize()) {
                    left -= segments[next++].byteSize();
                }
                if (left > 0) {
                    segments[next] = segments[next].asSlice(left);
                }
            }
            for (int i = 0; i < count; i++) {
                parts[first + i].position(parts[first + i].limit());
            }
            return length;
        } finally {
            Reference.reachabilityFence(parts);
            leave(call);
        }
    }

    private static MemorySegment nativeView(Arena arena, ByteBuffer part) {
        MemorySegment segment = MemorySegment.ofBuffer(part);
        if (segment.isNative()) {
            return segment;
        }
        return arena.allocate(segment.byteSize()).copyFrom(segment);
    }

    /// Zeroes by writing them.
    void writeZeroes(long offsetBytes, long lengthBytes) throws DeviceException {
        for (long done = 0; done < lengthBytes; ) {
            long now = Math.min(ZEROES_BYTES, lengthBytes - done);
            write(offsetBytes + done, Zeroes.SEGMENT.asSlice(0, now));
            done += now;
        }
    }

    /// fallocate(2); false when this kind of file does not have it.
    boolean fallocate(int mode, long offsetBytes, long lengthBytes) throws DeviceException {
        int call = enter();
        try {
            int result;
            do {
                result = Native.fallocate(fd, mode, offsetBytes, lengthBytes);
            } while (result == -Errno.EINTR);
            if (result == -Errno.EOPNOTSUPP || result == -Errno.ENOSYS) {
                return false;
            }
            check(result, "cannot take or give space at byte " + offsetBytes);
            return true;
        } finally {
            leave(call);
        }
    }

    /// fdatasync(2). EINTR counts as a failure too: an error that was reported together with it
    /// would be lost.
    void sync() throws DeviceException {
        int call = enter();
        try {
            check(Native.fdatasync(fd), "cannot be made durable");
        } finally {
            leave(call);
        }
    }

    /// fsync(2): also its time of change, which [#sync] leaves to be written some day.
    void syncAll() throws DeviceException {
        syncAll("cannot be made durable");
    }

    private void syncAll(String what) throws DeviceException {
        int call = enter();
        try {
            check(Native.fsync(fd), what);
        } finally {
            leave(call);
        }
    }

    /// When its content was changed last.
    Instant lastChange() throws DeviceException {
        int call = enter();
        try {
            // By its descriptor: there may be another file at its path by now.
            return Files.getLastModifiedTime(Path.of("/proc/self/fd/" + fd)).toInstant();
        } catch (IOException e) {
            throw new DeviceException(Errno.EIO, name + " cannot be looked at", e);
        } finally {
            leave(call);
        }
    }

    /// Forgets what the kernel keeps of it in memory, as far as that is on disk.
    void dropCache() throws DeviceException {
        int call = enter();
        try {
            check(Native.dropCache(fd), "cannot be dropped from memory");
        } finally {
            leave(call);
        }
    }

    /// The next data or hole, or `end` when there is none.
    long seek(long offsetBytes, int whence, long end) throws DeviceException {
        int call = enter();
        try {
            long found = Native.lseek(fd, offsetBytes, whence);
            if (found == -Errno.ENXIO) {
                return end;
            }
            if (found == -Errno.EINVAL || found == -Errno.EOPNOTSUPP) {
                return whence == Native.SEEK_DATA ? offsetBytes : end;
            }
            return Math.min(end, check(found, "cannot be searched for holes"));
        } finally {
            leave(call);
        }
    }

    long sizeBytes() throws DeviceException {
        int call = enter();
        try {
            return check(Native.lseek(fd, 0, Native.SEEK_END), "has no size");
        } finally {
            leave(call);
        }
    }

    void truncate(long sizeBytes) throws DeviceException {
        int call = enter();
        try {
            check(Native.ftruncate(fd, sizeBytes), "cannot be given %d bytes".formatted(sizeBytes));
        } finally {
            leave(call);
        }
    }

    /// Takes the lock of this open file, which the kernel lets go of when it is closed or its
    /// process dies; false when somebody else has it.
    boolean tryLock() throws DeviceException {
        int call = enter();
        try {
            int result = Native.flock(fd, Native.LOCK_EX | Native.LOCK_NB);
            return result != -Errno.EAGAIN && check(result, "cannot be locked") == 0;
        } finally {
            leave(call);
        }
    }

    int logicalBlockBytes() throws DeviceException {
        int call = enter();
        try {
            return (int) check(Native.logicalBlockBytes(fd), "does not tell its block size");
        } finally {
            leave(call);
        }
    }

    boolean isReadOnlyDevice() throws DeviceException {
        int call = enter();
        try {
            return check(Native.isReadOnly(fd), "does not tell if it can be written") != 0;
        } finally {
            leave(call);
        }
    }

    private int checkWritten(long put, long offsetBytes) throws DeviceException {
        if (put == -Errno.EINTR) {
            return 0;
        }
        if (put == 0) {
            // Not allowed for a file or device by write(2); without this the loop would not end.
            throw new DeviceException(0, name + " took no bytes at byte " + offsetBytes);
        }
        return (int) check(put, "cannot be written at byte " + offsetBytes);
    }

    private long check(long result, String what) throws DeviceException {
        if (result < 0) {
            throw new DeviceException((int) -result, name + " " + what);
        }
        return result;
    }

    /// @return what to [#leave] with
    private int enter() {
        if (!isOpen()) {
            throw new IllegalStateException(name + " is closed");
        }
        return calls.began();
    }

    /// Whether it is, and then stays so until [#leave].
    private boolean isOpen() {
        if ((users.incrementAndGet() & CLOSED) != 0) {
            leave();
            return false;
        }
        return true;
    }

    private void leave(int call) {
        calls.ended(call);
        leave();
    }

    private void leave() {
        if (users.decrementAndGet() == CLOSED) {
            closeOnce();
        }
    }

    /// More than one thread may see the count at zero after the close: one that was turned away
    /// counts for a moment too.
    private void closeOnce() {
        if (users.compareAndSet(CLOSED, CLOSED | GONE)) {
            Native.close(fd);
            calls.gone();
        }
    }

    /// Whether the kernel has a call of ours that has not come back.
    boolean isInCall() {
        return (users.get() & (GONE - 1)) > 0;
    }

    @Override
    public void close() {
        if ((users.getAndUpdate(n -> n | CLOSED) & CLOSED) == 0) {
            if (users.get() == CLOSED) {
                closeOnce();
            }
        }
    }
}
