package holdfast.replicator.daemon;

import holdfast.checksum.HashTree;
import holdfast.checksum.TreeBuilder;
import holdfast.checksum.Zeros;
import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.MetadataFile;
import holdfast.replicator.device.PackedSegment;
import holdfast.replicator.metadata.Evidence;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Held;
import holdfast.replicator.state.Op;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.PrimaryEffects;
import holdfast.replicator.state.ReadRun;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Transaction;
import holdfast.replicator.state.Verification;
import holdfast.tunnel.link.Compression;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/// The threads and the disk around a [Primary]: an NBD export on one side, a source of frames on
/// the other. It decides nothing.
///
/// A connection's thread writes inline: decide under the lock, write, tell the outcome under the
/// lock. Whatever waited meanwhile, flushes and the reading for the peer run on the pool.
final class PrimaryResource implements Export {
    /// What a comparison reads at a time: what a stop or a link that is back waits for, at most.
    private static final int COMPARE_BYTES = 1 << 20;

    private static final Duration IDLE_LIMIT = Duration.ofSeconds(10);

    private final String name;
    private final BlockDevice device;
    private final MetadataFile metadata;
    private final Executor pool;
    private final ReadPace pace;
    private final ReadBuffers buffers;
    private final Compression compression;
    private final SendBudget budget;
    private final BiConsumer<String, String> events;
    private final Consumer<Primary> stateTold;
    private final ClientErrors errors;

    /// Guards the deciding object and what is below; held for moments, never over a disk or the
    /// link.
    private final ReentrantLock lock = new ReentrantLock();

    private Primary primary;

    /// Of the export, which is that of the device or less.
    private volatile long sizeBytes;

    /// Requests that came while it stands still to become larger, in order; else null. Guarded by
    /// the lock.
    private List<Op> held;

    /// Replies and continuations that the deciding object asked for, run when the lock is given
    /// back.
    private List<Runnable> afterwards = new ArrayList<>();

    private PeerSession session;

    /// Written under the lock, read without.
    private volatile int stream;

    private boolean stopped;

    /// What the link's thread was given last in [#fill]: once it asks for more it has made packets
    /// of it. Its own but for the start of a session.
    private List<ByteBuffer> lent = new ArrayList<>();

    /// Where it was written last, as of the detach.
    private List<Long> recentlyWritten = List.of();

    /// Whether a thread carries out transactions. Guarded by the lock.
    private boolean keeperRuns;

    /// Whose sender is to be woken; null when it need not be. Set under the lock, taken without.
    private volatile PeerSession sleeping;

    /// Written under the lock, read without.
    private volatile ReplicationState replication = ReplicationState.OFF;

    // What was told, under the lock; the peer's greeting makes it worth telling again.
    private boolean diskFailed;
    private boolean isTold;

    /// Nothing more is read for the peer: the daemon stops.
    private volatile boolean readingEnds;

    private final AtomicBoolean readerRuns = new AtomicBoolean();
    private final AtomicInteger clients = new AtomicInteger();

    /// Orders that let no client in. Guarded by the lock.
    private int turnAway;

    /// Takes what a verification found, on the pool.
    private volatile Consumer<Verification.Result> verified = _ -> {};

    /// Who waits for a mark, by its number. Guarded by the lock.
    private final Map<Long, CompletableFuture<Primary.Marked>> marking = new HashMap<>();

    /// Who waits for what the copy holds, likewise. Guarded by the lock.
    private final Map<Long, CompletableFuture<Primary.Fetched>> fetching = new HashMap<>();

    /// How fast blocks may be read for the peer.
    @FunctionalInterface
    interface ReadPace {
        /// Waits until this many bytes may be read.
        ///
        /// @throws CancellationException when the daemon stops: nothing is read any more
        void acquire(int bytes) throws InterruptedException;
    }

    /// @param stateTold looks at the state after each decision that may have changed it, under the
    ///   lock: it must not wait
    PrimaryResource(
            String name,
            BlockDevice device,
            MetadataFile metadata,
            Primary.Config config,
            Primary.Attached attached,
            SendBudget budget,
            Executor pool,
            ReadPace pace,
            ReadBuffers buffers,
            Compression compression,
            BiConsumer<String, String> events,
            Consumer<Primary> stateTold) {
        this.name = name;
        this.device = device;
        this.metadata = metadata;
        this.pool = pool;
        this.pace = pace;
        this.buffers = buffers;
        this.compression = compression;
        this.events = events;
        this.errors = new ClientErrors(events);
        this.stateTold = stateTold;
        this.budget = budget;
        this.sizeBytes = config.sizeBytes();
        this.primary = started(config, attached);
    }

    /// With its clock running before the first write.
    private Primary started(Primary.Config config, Primary.Attached attached) {
        Primary made = new Primary(config, attached, budget, new Effects());
        made.tick(System.nanoTime(), System.currentTimeMillis());
        return made;
    }

    // ---- the export --------------------------------------------------------------------------

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        return "replicated by Holdfast";
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
    public void opened() throws ExportException {
        lock.lock();
        try {
            if (stopped || turnAway > 0) {
                throw new ExportException(
                        Errno.EPERM,
                        name
                                + " takes no client now: it is being detached, or repaired from its copy");
            }
            clients.incrementAndGet();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void closed() {
        clients.decrementAndGet();
    }

    /// How its stream is compressed.
    Compression compression() {
        return compression;
    }

    int clients() {
        return clients.get();
    }

    ClientErrors errors() {
        return errors;
    }

    /// An order begins to let no client in, or does so no more. Those that are there go on; who
    /// counts them meanwhile has counted all.
    void turnAway(boolean begins) {
        lock.lock();
        try {
            turnAway += begins ? 1 : -1;
        } finally {
            lock.unlock(); // No state has changed.
        }
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        int lengthBytes = into.remaining();
        try {
            device.read(offsetBytes, into);
            errors.read(offsetBytes, lengthBytes);
        } catch (DeviceException e) {
            errors.readFailed(offsetBytes, lengthBytes, e.getMessage());
            throw new ExportException(e.errno(), e.getMessage(), e);
        }
    }

    @Override
    public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
        int length = payload.data().limit();
        if (length <= Op.MAX_DATA_BYTES) {
            WriteRequest request = new WriteRequest(reply, fua, 1);
            submit(Op.write(offsetBytes, length, new HeldPayload(payload, 0, length), request));
            return;
        }
        int pieces = Math.ceilDiv(length, Op.MAX_DATA_BYTES);
        WriteRequest request = new WriteRequest(reply, fua, pieces);
        for (int i = 1; i < pieces; i++) {
            payload.retain();
        }
        for (int at = 0; at < length; at += Op.MAX_DATA_BYTES) {
            int part = Math.min(Op.MAX_DATA_BYTES, length - at);
            submit(Op.write(offsetBytes + at, part, new HeldPayload(payload, at, part), request));
        }
    }

    @Override
    public void writeZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        zero(offsetBytes, lengthBytes, !noHole, fua, reply);
    }

    /// TRIM is WRITE_ZEROES with permission to punch and reads back zero at once; where discarding
    /// does not zero it is ignored, on both sides alike (R6).
    @Override
    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
        if (device.discardZeroes()) {
            zero(offsetBytes, lengthBytes, true, fua, reply);
        } else {
            reply.done(Errno.OK);
        }
    }

    private void zero(long offsetBytes, long lengthBytes, boolean punch, boolean fua, Reply reply) {
        int pieces = Math.toIntExact(Math.ceilDiv(lengthBytes, Op.MAX_ZERO_BYTES));
        WriteRequest request = new WriteRequest(reply, fua, pieces);
        for (long at = 0; at < lengthBytes; at += Op.MAX_ZERO_BYTES) {
            long part = Math.min(Op.MAX_ZERO_BYTES, lengthBytes - at);
            submit(Op.zero(offsetBytes + at, part, punch, request));
        }
    }

    @Override
    public void flush(Reply reply) {
        flush(0, reply);
    }

    /// Of the volume that has this address alone: a database's log does not wait for its data.
    void flush(long address, Reply reply) {
        pool.execute(
                () -> {
                    int result = sync(address);
                    boolean now = true;
                    if (result == Errno.OK) {
                        WriteRequest request = new WriteRequest(reply, false, 1);
                        lock.lock();
                        try {
                            now = primary.flushed(request);
                        } finally {
                            unlock();
                        }
                        if (now) {
                            request.pieceDone();
                        }
                    } else {
                        reply.done(result);
                    }
                });
    }

    @Override
    public List<Extent> blockStatus(long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        return Holes.extents(device, offsetBytes, lengthBytes, maxExtents);
    }

    // ---- writing -----------------------------------------------------------------------------

    private void submit(Op op) {
        Primary.Admission admission;
        lock.lock();
        try {
            if (held != null) {
                held.add(op);
                return;
            }
            admission = primary.admit(op);
        } finally {
            giveBack();
        }
        switch (admission) {
            case GO -> carryOut(op);
            case PARKED -> {}
            case REFUSED -> refuse(op);
        }
    }

    private void refuse(Op op) {
        if (!op.isZero()) {
            op.data().release();
        }
        if (requestOf(op).pieceFailed(Errno.EIO)) {
            requestOf(op).synced(Errno.EIO);
        }
    }

    private static WriteRequest requestOf(Op op) {
        return (WriteRequest) op.owner();
    }

    /// Has the lock of its range: capture what the epoch wants, write, number.
    private void carryOut(Op op) {
        WriteRequest request = requestOf(op);
        boolean answer;
        try {
            for (BlockRun run : op.preimages()) {
                capture(op, run);
            }
            if (op.isZero()) {
                device.zero(op.offsetBytes(), op.lengthBytes(), op.punch());
            } else {
                device.write(op.offsetBytes(), op.data().data());
            }
        } catch (DeviceException e) {
            writeFailed(op, e.getMessage(), !e.isOutOfSpace());
            if (e.isOutOfSpace()) {
                errors.noSpace(op.offsetBytes(), op.lengthBytes(), e.getMessage());
            }
            if (request.pieceFailed(e.errno() == 0 ? Errno.EIO : e.errno())) {
                request.synced(sync(op.offsetBytes()));
            }
            return;
        } catch (RuntimeException | OutOfMemoryError e) {
            // The range must not stay locked for ever, whatever went wrong.
            writeFailed(op, "internal error: " + e, true);
            if (request.pieceFailed(Errno.EIO)) {
                request.synced(Errno.EIO);
            }
            return;
        }
        errors.wrote(op.offsetBytes(), op.lengthBytes());
        lock.lock();
        try {
            answer = primary.written(op, System.currentTimeMillis());
        } finally {
            giveBack();
        }
        if (request.writtenLocally()) {
            pool.execute(() -> request.synced(sync(op.offsetBytes())));
        }
        if (answer) {
            request.pieceDone();
        }
    }

    private void capture(Op op, BlockRun run) throws DeviceException {
        try {
            ByteBuffer old = readRun(run);
            done(() -> primary.preimage(op, run, old));
        } catch (PackedSegment.DamagedException e) {
            done(() -> primary.preimageLost(op));
        }
    }

    private void writeFailed(Op op, String why, boolean fatal) {
        lock.lock();
        try {
            primary.failed(op, why, fatal);
        } finally {
            unlock();
        }
    }

    // ---- what is durable -------------------------------------------------------------------

    /// Carries out one transaction after the other while there are any.
    private void keepLoop() {
        while (true) {
            Transaction next;
            lock.lock();
            try {
                next = primary.nextTransaction();
                keeperRuns = next != null;
            } catch (RuntimeException | OutOfMemoryError e) {
                keeperRuns = false;
                primary.diskFailed("internal error: " + e);
                return;
            } finally {
                unlock();
            }
            if (next == null) {
                return;
            }
            keep(next);
        }
    }

    private boolean keep(Transaction next) {
        try {
            if (next.syncDevice()) {
                device.sync();
            }
            metadata.write(next);
        } catch (DeviceException e) {
            done(() -> primary.transactionFailed("the metadata cannot be kept: " + e.getMessage()));
            return false;
        } catch (RuntimeException | OutOfMemoryError e) {
            done(() -> primary.transactionFailed("internal error: " + e));
            return false;
        }
        try {
            done(() -> primary.transactionDone(next));
        } catch (RuntimeException | OutOfMemoryError e) {
            done(() -> primary.diskFailed("internal error: " + e));
            return false;
        }
        return true;
    }

    /// A failed sync is final (R11).
    private int sync(long address) {
        try {
            device.sync(address);
            return Errno.OK;
        } catch (DeviceException e) {
            lock.lock();
            try {
                primary.diskFailed(e.getMessage());
            } finally {
                unlock();
            }
            return Errno.EIO;
        }
    }

    /// Null when the blocks read zero.
    private ByteBuffer readRun(BlockRun run) throws DeviceException {
        int length = run.lengthBytes(sizeBytes);
        if (device.nextData(run.offsetBytes()) >= run.offsetBytes() + length) {
            return null;
        }
        ByteBuffer data = buffers.acquire(length);
        device.read(run.offsetBytes(), data);
        data.flip();
        if (Zeros.isZero(data)) {
            buffers.giveBack(data);
            return null;
        }
        return data;
    }

    // ---- reading for the peer ----------------------------------------------------------------

    private void readLoop() {
        boolean again = true;
        while (again) {
            try {
                readWhatIsWanted();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            readerRuns.set(false);
            // A wish that came between the last look and the line above found the reader running.
            again =
                    !Thread.currentThread().isInterrupted()
                            && isReadWanted()
                            && readerRuns.compareAndSet(false, true);
        }
    }

    private boolean isReadWanted() {
        lock.lock();
        try {
            return !stopped && !readingEnds && primary.wantsRead();
        } finally {
            unlock();
        }
    }

    private void readWhatIsWanted() throws InterruptedException {
        while (true) {
            ReadRun wanted;
            Primary of;
            lock.lock();
            try {
                of = primary;
                wanted = stopped || readingEnds ? null : of.nextRead();
            } finally {
                unlock();
            }
            if (wanted == null) {
                return;
            }
            read(of, wanted);
        }
    }

    private void read(Primary of, ReadRun wanted) throws InterruptedException {
        try {
            if (wanted.purpose() == ReadRun.Purpose.COMPARE
                    || wanted.purpose() == ReadRun.Purpose.VERIFY) {
                compare(of, wanted);
                return;
            }
            if (wanted.purpose() == ReadRun.Purpose.CONFIRM) {
                confirm(of, wanted);
                return;
            }
            BlockRun blocks = wanted.blocks();
            long hole = device.nextData(blocks.offsetBytes());
            if (hole >= Math.min(blocks.end() * BlockSet.BLOCK_BYTES, device.sizeBytes())) {
                done(() -> of.readHole(wanted, hole));
                return;
            }
            if (wanted.isGuess()) {
                done(() -> of.readDropped(wanted));
                return;
            }
            // Blocks of an epoch are locked against writes meanwhile: they are not paced here.
            ByteBuffer data = readRun(blocks);
            if (data != null && wanted.purpose() == ReadRun.Purpose.FIRST_SYNC) {
                pace.acquire(data.remaining());
            }
            if (data != null && wanted.isAnswered()) {
                List<ReadRun.Part> parts = wanted.partsToSend(data, buffers::acquire);
                if (parts.stream().noneMatch(each -> each.data() == data)) {
                    buffers.giveBack(data);
                }
                done(() -> of.readParts(wanted, parts));
                return;
            }
            done(() -> of.readDone(wanted, data));
        } catch (PackedSegment.DamagedException e) {
            // Of these blocks alone, of a promoted copy: writes go on, and the peer waits until
            // they are written anew.
            done(
                    () -> {
                        of.pauseSync(
                                "catch-up, first sync and comparison wait until what cannot be read is written anew: "
                                        + e.getMessage());
                        of.readDropped(wanted);
                    });
        } catch (DeviceException e) {
            done(() -> of.readFailed(wanted, e.getMessage()));
        } catch (CancellationException e) {
            // The daemon stops and paces nobody any more: not the disk's fault.
            readingEnds = true;
            done(() -> of.readDropped(wanted));
        } catch (RuntimeException | OutOfMemoryError e) {
            done(() -> of.readFailed(wanted, "internal error: " + e));
        }
    }

    /// A piece at a time; holes are known to be zero and cost neither reading nor pace.
    private void compare(Primary of, ReadRun wanted) throws InterruptedException, DeviceException {
        TreeBuilder tree = wanted.newTree();
        long from = wanted.blocks().offsetBytes();
        ByteBuffer data = null;
        while (tree.leftBytes() > 0) {
            long at = from + tree.doneBytes();
            if (tree.zeroes(device.nextData(at) - at) > 0) {
                continue;
            }
            if (!goesOn(of, wanted, tree.doneBytes())) {
                done(() -> of.readDropped(wanted));
                return;
            }
            int length = tree.wantedBytes(COMPARE_BYTES);
            pace.acquire(length);
            if (data == null) {
                data = buffers.acquire(COMPARE_BYTES);
            }
            device.read(at, data.clear().limit(length));
            tree.data(data.flip());
        }
        if (data != null) {
            buffers.giveBack(data);
        }
        HashTree made = tree.tree();
        done(() -> of.digestDone(wanted, made));
    }

    /// The blocks are locked against writes meanwhile, so it is paced behind that.
    private void confirm(Primary of, ReadRun wanted) throws InterruptedException, DeviceException {
        int length = wanted.blocks().lengthBytes(sizeBytes);
        ByteBuffer data = buffers.acquire(length);
        device.read(wanted.blocks().offsetBytes(), data);
        byte[] digests = ReadRun.blockDigests(data.flip());
        done(() -> of.confirmed(wanted, digests));
        buffers.giveBack(data);
        try {
            pace.acquire(length);
        } catch (CancellationException e) {
            readingEnds = true;
        }
    }

    private boolean goesOn(Primary of, ReadRun wanted, long doneBytes) {
        lock.lock();
        try {
            return of.isWanted(wanted, doneBytes) && !stopped && !readingEnds;
        } finally {
            unlock();
        }
    }

    private void done(Runnable tell) {
        lock.lock();
        try {
            tell.run();
        } finally {
            unlock();
        }
    }

    // ---- the link ----------------------------------------------------------------------------

    /// A session with the peer is there for this resource.
    void connect(PeerSession peer, long number) {
        lock.lock();
        try {
            if (stopped || held != null) {
                return;
            }
            leaveSession();
            session = peer;
            stream = peer.open(this);
            lent = new ArrayList<>(); // The sender of the last session may still be at it.
            // What is committed before the next tick bears the time of a moment that there was.
            primary.tick(System.nanoTime(), System.currentTimeMillis());
            primary.sessionUp(number, stream);
        } finally {
            unlock();
        }
    }

    /// Whether there is a session but one side has refused to use it.
    boolean isApart() {
        lock.lock();
        try {
            return session != null && primary.state() == ReplicationState.OFF;
        } finally {
            unlock();
        }
    }

    /// The session is gone, or the operator has taken this resource off it.
    void disconnect(PeerSession peer) {
        lock.lock();
        try {
            if (session == peer) {
                leaveSession();
            }
        } finally {
            unlock();
        }
    }

    private void leaveSession() {
        if (session != null) {
            session.close(stream);
            session = null;
            primary.sessionDown();
        }
    }

    /// Everything is to be compared with the peer; a session that is there must be connected anew.
    void compareAll(String why) {
        lock.lock();
        try {
            primary.compareAll(why);
        } finally {
            unlock();
        }
    }

    /// See [Primary#mark].
    ///
    /// @return what comes of it; null if it is no moment of the copy now
    CompletableFuture<Primary.Marked> mark(String as) {
        lock.lock();
        try {
            long number = primary.mark(as);
            return number == 0
                    ? null
                    : marking.computeIfAbsent(number, _ -> new CompletableFuture<>());
        } finally {
            unlock();
        }
    }

    /// See [Primary#fetch].
    ///
    /// @return what comes of it; null if it cannot be asked now
    CompletableFuture<Primary.Fetched> fetch(BlockRun blocks, byte[] ours) {
        lock.lock();
        try {
            long number = primary.fetch(blocks, ours);
            return number == 0
                    ? null
                    : fetching.computeIfAbsent(number, _ -> new CompletableFuture<>());
        } finally {
            unlock();
        }
    }

    /// See [Primary#verify].
    boolean verify() {
        lock.lock();
        try {
            return primary.verify(System.currentTimeMillis());
        } finally {
            unlock();
        }
    }

    /// See [Primary#stopVerify].
    boolean stopVerify(String why) {
        lock.lock();
        try {
            return primary.stopVerify(why);
        } finally {
            unlock();
        }
    }

    void onVerified(Consumer<Verification.Result> taker) {
        verified = taker;
    }

    /// See [Primary#mend].
    void mend(List<BlockRun> blocks) {
        done(() -> primary.mend(blocks));
    }

    /// See [Primary#pauseSync].
    void pauseSync(String why) {
        lock.lock();
        try {
            primary.pauseSync(why);
        } finally {
            unlock();
        }
    }

    /// What the peer says of this resource; on the link's thread.
    void received(PeerSession peer, Frame.OfResource frame) {
        lock.lock();
        try {
            if (session == peer) {
                isTold &= !(frame instanceof Frame.ResourceHello);
                primary.on(frame);
            }
        } finally {
            unlock();
        }
    }

    /// The next frame of the data stream, for the link's sender.
    Frame.Data next(int forStream) {
        lock.lock();
        try {
            return session == null || stream != forStream ? null : primary.next();
        } finally {
            unlock();
        }
    }

    /// The next frames of the data stream up to so many bytes.
    ///
    /// @return whether there is none left now
    boolean fill(int forStream, List<Frame> into, int budgetBytes) {
        lock.lock();
        try {
            if (session == null || stream != forStream) {
                return true;
            }
            lent.forEach(buffers::giveBack);
            lent.clear();
            for (int left = budgetBytes; left > 0; ) {
                Frame.Data frame = primary.next();
                if (frame == null) {
                    return true;
                }
                into.add(frame);
                switch (frame) {
                    case Frame.SyncBlocks blocks -> lent.add(blocks.data());
                    case Frame.EpochBlocks blocks -> lent.add(blocks.data());
                    default -> {}
                }
                left -= FrameCodec.sizeOf(frame);
            }
            return false;
        } finally {
            unlock();
        }
    }

    /// As it was when the lock was given back last.
    ReplicationState replication() {
        return replication;
    }

    void tick(long nowNanos, long wallMillis) {
        lock.lock();
        try {
            primary.tick(nowNanos, wallMillis);
        } finally {
            unlock();
        }
        errors.look(nowNanos);
    }

    /// How long a write has been at the disk, as of the last tick.
    Optional<Duration> atDiskFor(long nowNanos) {
        long since = look(Primary::atDiskSinceNanos);
        return since == Long.MAX_VALUE
                ? Optional.empty()
                : Optional.of(Duration.ofNanos(nowNanos - since));
    }

    String deviceName() {
        return device.toString();
    }

    // ---- the end -----------------------------------------------------------------------------

    /// No client is let in any more.
    void stopClients() {
        lock.lock();
        try {
            stopped = true;
        } finally {
            unlock();
        }
    }

    /// No client is there any more: makes durable what was written and what the peer may lack.
    ///
    /// @return whether all of it is; not where the disk has failed
    /// @throws IOException if something is still in flight after some seconds: a disk hangs
    boolean detach() throws IOException {
        stopClients();
        try {
            return end();
        } catch (IOException e) {
            // What still hangs must not come between the transactions of the next attach.
            metadata.abandon();
            throw e;
        }
    }

    /// Ends the deciding object's life.
    ///
    /// @return whether all it knew is durable; not where the disk has failed
    /// @throws IOException if something is still in flight after some seconds: then it goes on
    private boolean end() throws IOException {
        stopVerify("the resource was detached, or its device enlarged"); // The peer is told.
        long deadline = System.nanoTime() + IDLE_LIMIT.toNanos();
        while (true) {
            lock.lock();
            try {
                leaveSession();
                if (primary.isIdle() && !keeperRuns) {
                    recentlyWritten = primary.recentlyWritten(Evidence.RECENT_BLOCKS);
                    primary.detach();
                    keeperRuns = true;
                    break;
                }
            } finally {
                unlock();
            }
            if (System.nanoTime() > deadline) {
                throw new IOException("the disk does not answer: requests are still in flight");
            }
            LockSupport.parkNanos(5_000_000);
        }
        while (true) {
            Transaction next = look(Primary::nextTransaction);
            if (next == null) {
                return !look(Primary::isFailed);
            }
            if (!keep(next)) {
                return false;
            }
        }
    }

    /// What comes from now on waits, until the end of [#renew].
    void hold() {
        done(
                () -> {
                    if (held == null) {
                        held = new ArrayList<>();
                    }
                });
    }

    /// What goes on after a pause.
    record Renewed(Primary.Config config, Primary.Attached attached) {}

    /// Makes of the end of one deciding object the beginning of the next.
    interface Renewal {
        Renewed renew() throws IOException;
    }

    /// Becomes larger under its clients: what is in flight ends, what comes waits, and the deciding
    /// object is ended as by [#detach] and begun anew as by an attach. The session is to be
    /// connected anew.
    ///
    /// @throws IOException if it did not; where `by` has failed, or the disk, the disk is FAILED
    void renew(Renewal by) throws IOException {
        hold();
        try {
            if (!end()) {
                done(() -> keeperRuns = false);
                throw new IOException("the disk has failed");
            }
            Renewed next;
            try {
                next = by.renew();
            } catch (IOException | RuntimeException e) {
                done(
                        () -> {
                            keeperRuns = false;
                            primary.diskFailed("it could not be made larger: " + e.getMessage());
                        });
                throw e;
            }
            done(
                    () -> {
                        keeperRuns = false;
                        primary = started(next.config(), next.attached());
                        sizeBytes = next.config().sizeBytes();
                        isTold = false;
                    });
        } finally {
            List<Op> waited = new ArrayList<>();
            done(
                    () -> {
                        waited.addAll(held);
                        held = null;
                    });
            // What comes meanwhile may go before them: none of it was answered.
            waited.forEach(op -> pool.execute(() -> submit(op)));
        }
    }

    /// Blocks that were written last before [#detach].
    List<Long> recentlyWritten() {
        return recentlyWritten;
    }

    /// Looks at the deciding object under the lock.
    <T> T look(java.util.function.Function<Primary, T> at) {
        lock.lock();
        try {
            return at.apply(primary);
        } finally {
            unlock();
        }
    }

    /// Gives the lock back and then does what the deciding object asked for.
    private void unlock() {
        giveBack();
        wakeSender();
    }

    /// As [#unlock], but the sender is woken later, by [#wakeSender].
    private void giveBack() {
        List<Runnable> now = List.of();
        if (lock.getHoldCount() == 1) {
            tellState();
            tellVerified();
            tellMarked();
            tellFetched();
            if (!afterwards.isEmpty()) {
                now = afterwards;
                afterwards = new ArrayList<>();
            }
        }
        lock.unlock();
        for (Runnable each : now) {
            each.run();
        }
    }

    private void tellState() {
        ReplicationState state = primary.state();
        boolean failed = primary.isFailed();
        if (state != replication || failed != diskFailed || !isTold) {
            replication = state;
            diskFailed = failed;
            isTold = true;
            stateTold.accept(primary);
        }
    }

    private void tellVerified() {
        Verification.Result result = primary.takeVerified();
        if (result != null) {
            afterwards.add(() -> pool.execute(() -> verified.accept(result)));
        }
    }

    private void tellFetched() {
        for (Primary.Fetched each : primary.takeFetched()) {
            CompletableFuture<Primary.Fetched> waits = fetching.remove(each.number());
            if (waits != null) {
                afterwards.add(() -> waits.complete(each));
            }
        }
    }

    private void tellMarked() {
        for (Primary.Marked each : primary.takeMarked()) {
            CompletableFuture<Primary.Marked> waits = marking.remove(each.number());
            if (waits != null) {
                afterwards.add(() -> waits.complete(each));
            }
        }
    }

    /// Wakes the sender if that was asked for.
    private void wakeSender() {
        PeerSession to = sleeping;
        if (to != null) {
            sleeping = null;
            to.wake(stream);
        }
    }

    /// A round of a connection has ended. The sender is woken once for all its writes: woken for
    /// each of them, it takes the processor from the connection, which pays with its place in the
    /// queue of a busy host.
    @Override
    public void roundEnded() {
        wakeSender();
    }

    private final class Effects implements PrimaryEffects {
        @Override
        public void send(Frame.OfResource frame) {
            if (session != null) {
                session.send(frame);
            }
        }

        @Override
        public void wakeSender() {
            sleeping = session;
        }

        @Override
        public void wakeReader() {
            if (session != null
                    && !readerRuns.get()
                    && primary.wantsRead()
                    && readerRuns.compareAndSet(false, true)) {
                afterwards.add(() -> pool.execute(PrimaryResource.this::readLoop));
            }
        }

        @Override
        public void wakeKeeper() {
            if (!keeperRuns) {
                keeperRuns = true;
                afterwards.add(() -> pool.execute(PrimaryResource.this::keepLoop));
            }
        }

        @Override
        public void granted(Op op) {
            afterwards.add(
                    () ->
                            pool.execute(
                                    () -> {
                                        carryOut(op);
                                        wakeSender();
                                    }));
        }

        @Override
        public void refused(Op op) {
            afterwards.add(
                    () -> {
                        if (requestOf(op).pieceFailed(Errno.EIO)) {
                            requestOf(op).synced(Errno.EIO);
                        }
                    });
        }

        @Override
        public void answered(Object waiter) {
            afterwards.add(((WriteRequest) waiter)::pieceDone);
        }

        @Override
        public void event(String kind, String text) {
            afterwards.add(() -> events.accept(kind, text));
        }
    }

    /// A payload, or a part of it that shares its memory.
    private record HeldPayload(Payload payload, int from, int length) implements Held {
        @Override
        public ByteBuffer data() {
            return payload.view().slice(from, length);
        }

        @Override
        public void release() {
            payload.release();
        }
    }
}
