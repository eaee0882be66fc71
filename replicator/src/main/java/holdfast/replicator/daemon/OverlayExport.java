package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.PayloadPool;
import holdfast.replicator.nbd.Reply;
import holdfast.replicator.state.BlockSet;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// Any read-only export made writable: what is written goes to a sparse file of the same size,
/// block by block at its own offset, and is thrown away with it. What is below is never changed.
///
/// ```
/// block    reads from            in `held`   in `data`
/// as it was   the export below      no          (yes after a write that failed)
/// written     the file              yes         yes
/// zeroed      nothing: it is zero   yes         no
/// ```
///
/// The file has no name once it is open, so a crash leaves nothing of it; one between its making
/// and its unlinking leaves an empty file, which the next overlay of that name replaces.
///
/// A flush makes the file durable all the same, though nobody finds it after a crash: only so does
/// a client hear of a disk that has lost what it had taken.
final class OverlayExport implements Export, AutoCloseable {
    private static final int BLOCK_BYTES = BlockSet.BLOCK_BYTES;

    /// What one lock is for, of [#STRETCHES]: a change holds those of its range over its I/O, as
    /// two changes of one block that are filled up from below would undo each other.
    private static final int STRETCH_SHIFT = 20;

    private static final int STRETCHES = 64;

    private final Export below;
    private final FileBlockDevice file;
    private final OverlaySpace space;
    private final PayloadPool pool;
    private final long sizeBytes;

    /// Both guarded by the monitor of `space`.
    private final BlockSet held;

    private final BlockSet data;
    private final ReentrantLock[] stretches = new ReentrantLock[STRETCHES];

    private enum Source {
        BELOW,
        FILE,
        ZERO
    }

    private record Run(Source source, long endBytes) {}

    private interface Change {
        void run() throws DeviceException, ExportException;
    }

    private OverlayExport(
            Export below, FileBlockDevice file, OverlaySpace space, PayloadPool pool) {
        this.below = below;
        this.file = file;
        this.space = space;
        this.pool = pool;
        this.sizeBytes = file.sizeBytes();
        this.held =
                new BlockSet(BlockSet.blocksOf(sizeBytes), space.memory(), BlockSet.Rounding.NEVER);
        this.data = held.another(BlockSet.Rounding.NEVER);
        for (int i = 0; i < STRETCHES; i++) {
            stretches[i] = new ReentrantLock();
        }
    }

    /// @param path where the file is made, and taken away again
    /// @param pool for blocks that are filled up from below
    static OverlayExport over(Export below, Path path, OverlaySpace space, PayloadPool pool)
            throws IOException {
        Files.deleteIfExists(path);
        FileBlockDevice file = FileBlockDevice.create(path, below.sizeBytes());
        try {
            Files.delete(path);
            return new OverlayExport(below, file, space, pool);
        } catch (IOException | RuntimeException e) {
            file.close();
            throw e;
        }
    }

    @Override
    public String name() {
        return below.name();
    }

    @Override
    public String description() {
        return below.description() + ", writable, all changes are thrown away";
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean readOnly() {
        return false;
    }

    @Override
    public boolean rotational() {
        return below.rotational();
    }

    @Override
    public int minBlockBytes() {
        return below.minBlockBytes();
    }

    @Override
    public int maxBlockBytes() {
        return below.maxBlockBytes();
    }

    @Override
    public void opened() throws ExportException {
        below.opened();
    }

    @Override
    public void closed() {
        below.closed();
    }

    // ---- reading -----------------------------------------------------------------------------

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        int limit = into.limit();
        long end = offsetBytes + into.remaining();
        for (long at = offsetBytes; at < end; ) {
            Run run = run(at, end);
            into.limit(into.position() + (int) (run.endBytes() - at));
            switch (run.source()) {
                case BELOW -> below.read(at, into);
                case FILE -> readFile(at, into);
                case ZERO -> Holes.zero(into);
            }
            at = run.endBytes();
        }
        into.limit(limit);
    }

    private void readFile(long offsetBytes, ByteBuffer into) throws ExportException {
        try {
            file.read(offsetBytes, into);
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
            Run run = run(at, end);
            long length = run.endBytes() - at;
            switch (run.source()) {
                case BELOW -> {
                    for (Extent each : below.blockStatus(at, length, maxExtents - found.size())) {
                        found.add(each);
                        at += each.lengthBytes();
                    }
                }
                case FILE -> {
                    found.add(Extent.data(length));
                    at += length;
                }
                case ZERO -> {
                    found.add(Extent.hole(length));
                    at += length;
                }
            }
        }
        return found;
    }

    /// What stands at `at`, and how far that goes. A change that comes in between may be seen or
    /// not, as by every reader that runs beside it.
    private Run run(long at, long end) {
        long block = at / BLOCK_BYTES;
        long limit = BlockSet.blocksOf(end);
        synchronized (space) {
            if (!held.contains(block)) {
                return run(Source.BELOW, held.next(block), end);
            }
            long heldEnd = held.runEnd(block, limit - block);
            if (data.contains(block)) {
                return run(Source.FILE, data.runEnd(block, heldEnd - block), end);
            }
            long next = data.next(block);
            return run(Source.ZERO, next < 0 ? heldEnd : Math.min(heldEnd, next), end);
        }
    }

    /// @param endBlock negative: no other block follows
    private static Run run(Source source, long endBlock, long end) {
        return new Run(source, endBlock < 0 ? end : Math.min(end, endBlock * BLOCK_BYTES));
    }

    // ---- changing ----------------------------------------------------------------------------

    @Override
    public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
        try {
            ByteBuffer bytes = payload.view();
            change(offsetBytes, bytes.remaining(), fua, reply, () -> put(offsetBytes, bytes));
        } finally {
            payload.release();
        }
    }

    @Override
    public void writeZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        change(
                offsetBytes,
                lengthBytes,
                fua,
                reply,
                () -> {
                    long end = offsetBytes + lengthBytes;
                    long from = Math.min(end, Math.ceilDiv(offsetBytes, BLOCK_BYTES) * BLOCK_BYTES);
                    long to = Math.max(from, endOfWhole(end));
                    zeroPart(offsetBytes, from);
                    if (noHole) {
                        allocateZeroes(from, to);
                    } else {
                        dropToZero(from, to);
                    }
                    zeroPart(to, end);
                });
    }

    /// Whole blocks read back as zero and give their space back; parts of blocks at the ends stay
    /// as they are.
    @Override
    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
        change(
                offsetBytes,
                lengthBytes,
                fua,
                reply,
                () ->
                        dropToZero(
                                Math.ceilDiv(offsetBytes, BLOCK_BYTES) * BLOCK_BYTES,
                                endOfWhole(offsetBytes + lengthBytes)));
    }

    @Override
    public void flush(Reply reply) {
        int errno = Errno.OK;
        try {
            file.sync();
        } catch (DeviceException e) {
            errno = e.errno() == 0 ? Errno.EIO : e.errno();
        }
        reply.done(errno);
    }

    private void change(
            long offsetBytes, long lengthBytes, boolean fua, Reply reply, Change change) {
        long locked = lock(offsetBytes, lengthBytes);
        int errno = Errno.OK;
        try {
            change.run();
            if (fua) {
                file.sync();
            }
        } catch (DeviceException e) {
            errno =
                    e.isOutOfSpace()
                            ? space.noSpace("the filesystem is full").errno()
                            : e.errno() == 0 ? Errno.EIO : e.errno();
        } catch (ExportException e) {
            errno = e.errno();
        } finally {
            unlock(locked);
        }
        reply.done(errno);
    }

    /// @return which locks, a bit for each
    private long lock(long offsetBytes, long lengthBytes) {
        long first = offsetBytes >>> STRETCH_SHIFT;
        long last = offsetBytes + lengthBytes - 1 >>> STRETCH_SHIFT;
        long mask = 0;
        for (long i = first; i <= last && mask != -1; i++) {
            mask |= 1L << i % STRETCHES;
        }
        // Always in this order, or two long requests could wait for each other.
        for (int i = 0; i < STRETCHES; i++) {
            if ((mask & 1L << i) != 0) {
                stretches[i].lock();
            }
        }
        return mask;
    }

    private void unlock(long mask) {
        for (int i = 0; i < STRETCHES; i++) {
            if ((mask & 1L << i) != 0) {
                stretches[i].unlock();
            }
        }
    }

    /// The end of the last whole block before `end`; the last of the device may be short.
    private long endOfWhole(long end) {
        return end == sizeBytes ? end : end / BLOCK_BYTES * BLOCK_BYTES;
    }

    private void put(long offsetBytes, ByteBuffer bytes) throws DeviceException, ExportException {
        long end = offsetBytes + bytes.remaining();
        int begin = bytes.position();
        allocate(offsetBytes, end);
        long whole = endOfWhole(end);
        for (long at = offsetBytes; at < end; ) {
            boolean isWhole = at % BLOCK_BYTES == 0 && at < whole;
            long until =
                    isWhole ? whole : Math.min(end, (at / BLOCK_BYTES + 1) * (long) BLOCK_BYTES);
            ByteBuffer part =
                    bytes.slice(begin + (int) (at - offsetBytes), Math.toIntExact(until - at));
            if (isWhole || isHeld(at)) {
                file.write(at, part);
            } else {
                fillUp(at, part);
            }
            at = until;
        }
        hold(offsetBytes, end);
    }

    private boolean isHeld(long at) {
        synchronized (space) {
            return held.contains(at / BLOCK_BYTES);
        }
    }

    /// Writes a block whose other bytes are those below.
    private void fillUp(long at, ByteBuffer part) throws DeviceException, ExportException {
        long start = at / BLOCK_BYTES * BLOCK_BYTES;
        Payload block = pool.acquire((int) Math.min(BLOCK_BYTES, sizeBytes - start));
        try {
            ByteBuffer bytes = block.data();
            below.read(start, bytes);
            bytes.put((int) (at - start), part, part.position(), part.remaining());
            file.write(start, bytes.position(0));
        } finally {
            block.release();
        }
    }

    /// Zeroes less than a block.
    private void zeroPart(long from, long to) throws DeviceException, ExportException {
        if (from < to && run(from, to).source() != Source.ZERO) {
            put(from, ByteBuffer.allocate((int) (to - from)));
        }
    }

    /// Whole blocks.
    private void allocateZeroes(long from, long to) throws DeviceException, ExportException {
        if (from < to) {
            allocate(from, to);
            file.zero(from, to - from, false);
            hold(from, to);
        }
    }

    /// Whole blocks. Those that the file has nothing of need no I/O.
    private void dropToZero(long from, long to) throws DeviceException, ExportException {
        if (from >= to) {
            return;
        }
        long endBlock = BlockSet.blocksOf(to);
        for (long at = from / BLOCK_BYTES; ; ) {
            long first;
            long end;
            synchronized (space) {
                first = data.next(at);
                end = first < 0 || first >= endBlock ? first : data.runEnd(first, endBlock - first);
            }
            if (first < 0 || first >= endBlock) {
                break;
            }
            long offset = first * BLOCK_BYTES;
            file.zero(offset, Math.min(to, end * BLOCK_BYTES) - offset, true);
            at = end;
        }
        boolean done;
        synchronized (space) {
            done = space.hasMemory();
            if (done) {
                long before = data.count();
                data.removeRange(from / BLOCK_BYTES, endBlock);
                space.give((before - data.count()) * BLOCK_BYTES);
                held.addRange(from / BLOCK_BYTES, endBlock);
            }
        }
        if (!done) {
            throw tooScattered();
        }
    }

    /// Takes space for those blocks of a range that the file does not have yet.
    private void allocate(long from, long to) throws ExportException {
        boolean hasMemory;
        boolean done = false;
        synchronized (space) {
            hasMemory = space.hasMemory();
            if (hasMemory) {
                long first = from / BLOCK_BYTES;
                long end = BlockSet.blocksOf(to);
                done = space.take((end - first - dataBlocks(first, end)) * BLOCK_BYTES);
                if (done) {
                    data.addRange(first, end);
                }
            }
        }
        if (!hasMemory) {
            throw tooScattered();
        }
        if (!done) {
            throw space.noSpace("no space is left for what is written to the view");
        }
    }

    /// How many blocks of a range the file has; the caller holds the monitor of `space`.
    private long dataBlocks(long from, long to) {
        long count = 0;
        for (long at = data.next(from); at >= 0 && at < to; ) {
            long end = data.runEnd(at, to - at);
            count += end - at;
            at = end < to ? data.next(end) : -1;
        }
        return count;
    }

    private void hold(long from, long to) {
        synchronized (space) {
            held.addRange(from / BLOCK_BYTES, BlockSet.blocksOf(to));
        }
    }

    private ExportException tooScattered() {
        return space.noSpace("what is written to the view is scattered too widely to be kept");
    }

    /// The space of the file is free again. Requests that are still under way fail.
    @Override
    public void close() {
        file.close();
    }
}
