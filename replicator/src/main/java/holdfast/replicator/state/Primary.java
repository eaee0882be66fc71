package holdfast.replicator.state;

import holdfast.checksum.HashTree;
import holdfast.checksum.SectorDigests;
import holdfast.checksum.TreeComparison;
import holdfast.checksum.TreeShape;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.UUID;

/// Decides, at the primary of one resource, what happens to each write and what goes to the peer,
/// and never acts: no thread, clock, file or socket. The daemon calls it under the resource's lock,
/// the simulator from its one thread.
///
/// ```
///  admit ─► (park) ─► GO ─► disk write ─► written: number ─┬─► send buffer ─► next() ─► the link
///                                                          └─► buffer closed: dirty blocks
///  dirty blocks ─► EpochBegin, reply ─► freeze at S ─► nextRead(), preimages ─► next() ─► EpochCommit ─► stream goes on
/// ```
///
/// The peer moves from image(k) to image(S) by one commit record and never through a mixture
/// (R14-R18).
public final class Primary {
    /// What does not change while the resource is attached.
    ///
    /// @param protocolC replies wait for the peer's journal while the stream is established
    /// @param blockOnCongestion a full buffer makes writers wait instead of closing it
    public record Config(
            UUID resource,
            long sizeBytes,
            boolean protocolC,
            boolean blockOnCongestion,
            Limits limits) {
        public Config(UUID resource, long sizeBytes, boolean protocolC, boolean blockOnCongestion) {
            this(resource, sizeBytes, protocolC, blockOnCongestion, Limits.DEFAULT);
        }
    }

    /// What the resource knew when it was attached, from its superblock and metadata.
    ///
    /// @param ancestry ends with the generation that this attach started
    /// @param kept what it durably knew of the peer; its sets belong to the primary from here on
    /// @param heard the newest transaction of the former primary that this one was told of before
    ///   it was promoted; 0 if it was not
    /// @param trusted whether nobody doubts that the disk holds what was written to it, but for
    ///   what is marked or was active
    public record Attached(Ancestry ancestry, Kept kept, long heard, boolean trusted) {
        public Attached(Ancestry ancestry, Kept kept) {
            this(ancestry, kept, 0, true);
        }
    }

    /// What happens to a request at the door.
    public enum Admission {
        /// Read and hand over [Op#preimages], write, then call [#written] or [#failed].
        GO,
        /// Wait for [PrimaryEffects#granted] or [PrimaryEffects#refused].
        PARKED,
        /// The disk has failed: answer with an I/O error.
        REFUSED
    }

    /// Blocks that are confirmed to differ at a time: one answer of the peer, between two frames.
    private static final int EXACT_BLOCKS = FrameCodec.MAX_EXACT_BYTES / BlockSet.BLOCK_BYTES;

    /// Runs of zeroes that wait for the link at most.
    private static final int ZERO_RUNS_AHEAD = 64;

    /// Blocks of the buffer that are counted one by one, a few milliseconds under the lock.
    private static final long COUNTED_BLOCKS = 16_384;

    /// Blocks of a hole that may be skipped at once when nothing is sent for them: 4 TiB.
    private static final long SKIPPED_BLOCKS = 1 << 30;

    private enum Phase {
        /// No epoch is being made; one that was sent may still wait for its commit to be
        /// acknowledged.
        NONE,
        /// Asked the backup for room.
        ASKING,
        /// No room; asked again now and then.
        PAUSED,
        /// Waiting until no write is in flight, to freeze at one position.
        FREEZING,
        /// Blocks as of S are on their way.
        SENDING
    }

    /// Content for the peer: all of the run or, where the peer holds the rest, a part of it.
    ///
    /// @param data null means zeroes
    private record Content(BlockRun run, long offsetBytes, ByteBuffer data) {
        private Content(BlockRun run, ByteBuffer data) {
            this(run, run.offsetBytes(), data);
        }
    }

    private record SyncSent(long sequence, BlockRun run) {}

    /// @param sinceNanos on the clock of [#tick]
    private record Waiter(long number, Object owner, long sinceNanos) {}

    private final Config config;
    private final Limits limits;
    private final PrimaryEffects fx;
    private final Budget budget;
    private final Ancestry ancestry;
    private final long generation;
    private final long heard;

    /// Blocks that a copy of this may lack beside those that are marked: all of them as long as
    /// none is known.
    private long unknownBlocks;

    private final IntervalLock lock = new IntervalLock(BlockSet.BLOCK_BYTES);
    private boolean failed;

    /// What is not marked is what was written: nobody has doubted the disk, or everything was
    /// marked in this attach.
    private boolean trusted;

    private long last;

    /// A write has failed since the last number, and may have changed some of its range.
    private boolean partlyWritten;

    private long nowNanos;

    /// A label, which may be set back; ages are told by the other.
    private long wallMillis;

    private final SteadyClock clock = new SteadyClock();

    /// When the oldest write was made that the peer may lack, or one before it, and the newest; see
    /// [WriteTimes].
    private long missingSinceMillis;

    private long wroteMillis;

    /// Blocks may be marked that were not written since the peer had everything last: found
    /// different, ordered, or rounded before a restart.
    private boolean marksMore;

    // The send buffer: dense numbers from bufferFirst; when closed it keeps its oldest part (R9).
    private final ArrayDeque<Op> buffer = new ArrayDeque<>();
    private final ArrayDeque<Op> unsentOps = new ArrayDeque<>();
    private long bufferBytes;

    /// Room in the buffer for pieces that are on their way: with `block` they have it before they
    /// go.
    private long roomBytes;

    /// Device bytes that the buffer changes; a trim of much takes little room.
    private long bufferedChangeBytes;

    /// Blocks of its writes, each of every write.
    private long bufferedBlocks;

    private boolean closed = true;
    private long closedAtNanos;
    private final List<Op> waitForRoom = new ArrayList<>();

    // What is durable of all this.
    private final ActivityLog log;
    private final DurableBitmap bitmap;

    /// Pieces that have the lock of their range and wait until their extents are active.
    private final List<Op> waitForLog = new ArrayList<>();

    /// The transaction that is being carried out, or null.
    private Transaction transaction;

    private long transactionNumber;
    private long durableTransaction;

    /// What the peer was told last in this session.
    private long toldTransaction;

    /// The newest transaction that the peer may have been told of, as far as that is durable.
    private long durableTold;

    /// The peer is to be told of a transaction, and it is not durable that it may have been.
    private boolean tellDue;

    private long era;

    /// Meaning of the pages that were not written in this era.
    private Transaction.Blank blank;

    /// What a new era is to begin with, or null: nothing on disk says as much as memory does.
    private Transaction.Blank eraDue;

    private boolean eraBegins;
    private PeerCopy durablePeer;
    private long keptNanos;
    private boolean ending;

    // Written blocks of extents that have left the log, not known to be acknowledged then. A newer
    // set takes what leaves now, so that the older one ends at an acknowledgement (R8).
    private BlockSet evicted;
    private BlockSet newlyEvicted;
    private long evictedUpTo;
    private long newlyEvictedUpTo;

    /// Blocks of bulk work that is on its way, as of the transaction that is being made.
    private final BlockSet bulkDirty;

    private final BlockSet bulkSuspect;
    private final ArrayDeque<Waiter> waitForPeer = new ArrayDeque<>();

    // What the peer may lack, beyond the buffer.
    private final BlockSet dirty;
    private final BlockSet suspect;

    /// What has left [#suspect] to be compared and is not known to be equal or to differ.
    private final TreeComparison comparison;

    /// Blocks of the epoch, sent or not, until its commit is acknowledged (R15).
    private final BlockSet frozen;

    /// Blocks of the epoch that are neither sent nor read nor being captured.
    private final BlockSet unsent;

    /// Marked blocks that were found to read zero and were not written since. Only while the buffer
    /// is closed: then whatever is written is marked, and leaves this set.
    private final BlockSet zeroed;

    /// Blocks of [#unsent] that read zero as of the epoch's position. They are sent without reading
    /// and a whole run at a time, so that they take no more records than were reserved.
    private final BlockSet unsentZeroes;

    /// What is asked of the peer about the blocks of the epoch.
    private final SectorQuestions sectors;

    /// Marked blocks to be looked at for zeroes, because the peer lacks room for all of them.
    private final BlockSet toLook;

    private boolean looking;

    /// What is to be read next is being written, or is about to.
    private boolean readWaits;

    private boolean foundZeroes;

    private final ArrayDeque<SyncSent> syncInFlight = new ArrayDeque<>();

    /// Blocks of a blank copy that were never sent anything: zeroes need not be sent for them.
    private final BlockSet untouched;

    /// When the oldest of the marked blocks was written, by [#clock]: 0 when nobody knows,
    /// [Long#MAX_VALUE] when none is marked.
    private long dirtySince;

    private long frozenSince;

    // The session with the peer.
    private ReplicationState state = ReplicationState.OFF;
    private String refusal = "";
    private String peerTrouble = "";

    /// What keeps the two copies apart in this session; null while nothing does.
    private Verdict parted;

    /// Why an operator lets no catch-up, first sync or comparison go on; empty when they may.
    private String syncPaused = "";

    private long session;
    private int stream;

    /// What this side said first in this session; the verdict is made of it.
    private Frame.ResourceHello said;

    private Frame.ResourceHello peer;

    /// What it has changed by itself; null when it does not say.
    private List<Frame.KeptRange> peerChanged;

    /// An operator wants the peer's copy compared and brought back to this, until that is done.
    private boolean ordered;

    private Position committed;
    private Position stored;

    /// [PeerCopy#completeFrom].
    private Position completeFrom;

    private long peerCopy;

    /// How far the peer's copy is filled, in what it acknowledged.
    private long filled;

    private long lastHeartbeatNanos;

    // The epoch.
    private Phase phase = Phase.NONE;
    private long epoch;
    private long epochPosition;

    /// Wall clock when it was frozen: what was written since is not in it.
    private long epochMillis;

    /// [SteadyClock#lagMillis] then.
    private long epochLagMillis;

    private boolean commitSent;

    /// The last one that goes on from what the peer kept.
    private long continuedEpoch;

    private long askedBlocks;
    private long askedZeroRanges;
    private long missingBytes;
    private long epochSentBlocks;
    private long askedNanos;
    private EpochDigest digest;
    private int capturing;
    private final List<Op> capturingOps = new ArrayList<>();

    // Bulk reading.
    private final ArrayDeque<Content> ready = new ArrayDeque<>();
    private final ArrayDeque<Content> preimages = new ArrayDeque<>();
    private long preimageBytes;
    private long readyBytes;
    private final List<ReadRun> reading = new ArrayList<>();

    // Blocks in which the disk had a hole when somebody last looked, and may have data by now.
    private long holeFirst;
    private long holeEnd;

    private long cursor;

    // Whether the copy is as it should be, while an operator wants to know.
    private Verification verification;

    private final MarkOrders marks = new MarkOrders();

    /// What an operator wants to have of the copy.
    private final Contents contents;

    private long verifications;

    /// What the last one found, until it is taken.
    private Verification.Result verified;

    /// Extents of blocks that an operator has marked, to be durable.
    private final TreeSet<Long> marked = new TreeSet<>();

    /// Those of them that the present transaction makes so.
    private final List<Long> markedNow = new ArrayList<>();

    private long syncSequence;
    private long bulkTotalBlocks;
    private long epochsCommitted;

    public Primary(Config config, Attached attached, Budget budget, PrimaryEffects fx) {
        this.config = config;
        this.limits = config.limits();
        this.contents = new Contents(config.sizeBytes());
        this.fx = fx;
        this.budget = budget;
        this.ancestry = attached.ancestry();
        this.generation = ancestry.generation();
        this.heard = attached.heard();
        Kept kept = attached.kept();
        this.durablePeer = kept.peer();
        this.committed = Faults.M41 ? Position.NONE : durablePeer.acknowledged();
        this.stored = committed;
        this.completeFrom = durablePeer.completeFrom();
        this.peerCopy = durablePeer.id();
        this.filled = durablePeer.filled();
        this.dirty = kept.dirty();
        this.suspect = kept.suspect();
        this.trusted = attached.trusted() || suspect.count() == suspect.capacity();
        this.log = new ActivityLog(limits.extentBlocks(), limits.activeExtents(), kept.extents());
        this.bitmap = new DurableBitmap(limits.extentBlocks(), kept.onDisk(), kept.unknown());
        this.transactionNumber = kept.transaction();
        this.durableTransaction = kept.transaction();
        this.era = kept.era();
        this.blank = kept.blank();
        this.eraDue = kept.isLost() ? Transaction.Blank.SUSPECT : null;
        this.durableTold = kept.told();
        this.missingSinceMillis = OwnWrites.firstMillis(kept);
        this.wroteMillis = kept.wrote().lastMillis();
        this.marksMore = OwnWrites.marksMore(kept);
        this.ordered = kept.ordered();
        this.comparison =
                new TreeComparison(
                        new TreeShape(limits.fanOut()),
                        limits.treesInFlight(),
                        limits.comparesInFlight());
        boolean isFollowed = Verdict.isFollowed(ancestry, durablePeer.acknowledged(), peerCopy);
        this.unknownBlocks = isFollowed ? 0 : dirty.capacity();
        this.dirtySince = isFollowed && dirty.isEmpty() && suspect.isEmpty() ? Long.MAX_VALUE : 0;
        this.frozen = dirty.another(BlockSet.Rounding.UP);
        this.unsent = dirty.another(BlockSet.Rounding.NEVER);
        this.zeroed = dirty.another(BlockSet.Rounding.DOWN);
        this.unsentZeroes = dirty.another(BlockSet.Rounding.NEVER);
        this.sectors = new SectorQuestions(limits, config.sizeBytes(), dirty);
        this.toLook = dirty.another(BlockSet.Rounding.DOWN);
        this.untouched = dirty.another(BlockSet.Rounding.DOWN);
        this.evicted = dirty.another(BlockSet.Rounding.UP);
        this.newlyEvicted = dirty.another(BlockSet.Rounding.UP);
        this.bulkDirty = dirty.another(BlockSet.Rounding.UP);
        this.bulkSuspect = dirty.another(BlockSet.Rounding.UP);
    }

    // ---- the local path
    // ------------------------------------------------------------------------------------------

    /// A piece of a request arrives.
    public Admission admit(Op op) {
        if (failed) {
            return Admission.REFUSED;
        }
        if (config.blockOnCongestion && (othersWaitForRoom() || !takesRoom(op))) {
            op.parkedNanos = nowNanos;
            waitForRoom.add(op);
            return Admission.PARKED;
        }
        if (!lock.acquire(op, phase != Phase.FREEZING) || !enterLog(op)) {
            return Admission.PARKED;
        }
        prepare(op);
        return Admission.GO;
    }

    /// The piece has the lock of its range. It goes to the disk when its extents are durably
    /// active.
    private boolean enterLog(Op op) {
        if (log.enter(op)) {
            return true;
        }
        waitForLog.add(op);
        fx.wakeKeeper();
        return Faults.M4;
    }

    /// One of the runs that [Op#preimages] names was read, before the write. `data` null: it reads
    /// zero.
    public void preimage(Op op, BlockRun run, ByteBuffer data) {
        if (op.preimages.isEmpty()) {
            return; // The epoch was extended meanwhile: the run is dirty again.
        }
        capturing--;
        preimages.add(new Content(run, data));
        fx.wakeSender();
    }

    /// One of the runs that [Op#preimages] names is damaged and cannot be read: what is written
    /// over it mends it, and the epoch goes on to a later position, to which that belongs.
    public void preimageLost(Op op) {
        if (!op.preimages.isEmpty()) {
            extend("what a write overwrites cannot be read");
        }
    }

    /// The local write has succeeded: the piece gets its number (R5).
    ///
    /// @return whether its reply may go now; if not, [PrimaryEffects#answered] follows with the
    ///   op's owner
    public boolean written(Op op, long wallMillis) {
        this.wallMillis = wallMillis;
        op.number = ++last;
        partlyWritten = false;
        op.wallMillis = wallMillis;
        op.since = clock.now();
        op.lagMillis = clock.lagMillis();
        noteWrite();
        endCapture(op);
        boolean markedLate = Faults.M9 && closed;
        if (!markedLate) {
            keep(op);
        }
        leaveLog(op, op.number);
        boolean now = !bindsPeer();
        if (!now) {
            waitForPeer.add(new Waiter(op.number, op.owner(), nowNanos));
        }
        unlock(op);
        if (markedLate) {
            markDirty(op.offsetBytes, op.lengthBytes, clock.now());
            letGo(op);
        }
        return now;
    }

    /// The local write failed or was partial: no number, its blocks are marked (R5).
    ///
    /// @param fatal the disk is FAILED; false when it only had no space, which giving space heals
    public void failed(Op op, String why, boolean fatal) {
        markDirty(op.offsetBytes, op.lengthBytes, clock.now());
        partlyWritten = true;
        noteWrite();
        leaveLog(op, 0);
        letGo(op);
        if (!op.preimages.isEmpty() && phase == Phase.SENDING) {
            extend("a write failed whose old content the epoch wanted");
        }
        endCapture(op);
        if (fatal) {
            diskFailed(why);
        } else if (!closed) {
            // What it wrote in part has no number: only an epoch can bring it.
            close(
                    "a write found no space: what it may have written in part, and further writes, are marked and sent as one epoch later",
                    last,
                    nowNanos);
        }
        unlock(op);
    }

    private void noteWrite() {
        wroteMillis = wallMillis;
        missingSinceMillis = missingSinceMillis == 0 ? wallMillis : missingSinceMillis;
    }

    /// A sync or a read of the local disk failed: nothing more is written to it (R11).
    public void diskFailed(String why) {
        if (failed) {
            return;
        }
        failed = true;
        fx.event("disk-failed", why);
        endVerify("the disk has failed");
        for (Op op : waitForRoom) {
            op.release();
            fx.refused(op);
        }
        waitForRoom.clear();
        List<Op> unwritten = List.copyOf(waitForLog);
        waitForLog.clear();
        for (Op op : unwritten) {
            letGo(op);
            fx.refused(op);
        }
        for (Op op : unwritten) {
            unlock(op);
        }
        sayHello();
    }

    /// A flush was done locally. Under protocol C it also waits for all that was written before it
    /// (R10).
    ///
    /// @return whether its reply may go now; if not, [PrimaryEffects#answered] follows with `owner`
    public boolean flushed(Object owner) {
        if (!bindsPeer() || committedNumber() >= last) {
            return true;
        }
        waitForPeer.add(new Waiter(last, owner, nowNanos));
        return false;
    }

    private boolean othersWaitForRoom() {
        return !waitForRoom.isEmpty();
    }

    /// With `block`: the piece has its room in the buffer from here on, and not only when it has
    /// been written. Else what others take meanwhile, pieces that were let in beside it or another
    /// resource, would close the buffer under it.
    ///
    /// @return false if it has to wait for room. A piece larger than the budget goes when it is
    ///   alone, and [#keep] then closes; so does it where no stream is established, which nobody
    ///   waits for
    private boolean takesRoom(Op op) {
        if (closed) {
            return true;
        }
        if (budget.take(op.bufferBytes(), heldBytes())) {
            op.hasRoom = true;
            roomBytes += op.bufferBytes();
            return true;
        }
        return state != ReplicationState.ESTABLISHED || heldBytes() == 0;
    }

    /// Of the budget.
    private long heldBytes() {
        return bufferBytes + preimageBytes + roomBytes;
    }

    /// What the piece has of the budget is the buffer's, or is given back.
    private void endRoom(Op op, boolean isKept) {
        if (op.hasRoom) {
            op.hasRoom = false;
            roomBytes -= op.bufferBytes();
            if (!isKept) {
                budget.give(op.bufferBytes());
            }
        }
    }

    /// The piece goes into no buffer.
    private void letGo(Op op) {
        endRoom(op, false);
        op.release();
    }

    /// The piece has its lock. What it would overwrite of an unsent epoch block is captured first
    /// (R15).
    private void prepare(Op op) {
        op.wentNanos = nowNanos;
        op.preimages = List.of();
        if (phase != Phase.SENDING) {
            return;
        }
        long from = op.offsetBytes / BlockSet.BLOCK_BYTES;
        long to = BlockSet.blocksOf(op.offsetBytes + op.lengthBytes);
        if (!unsent.intersects(from, to)) {
            return;
        }
        for (long b = unsentZeroes.next(from); b >= 0 && b < to; b = unsentZeroes.next(from)) {
            sendZeroes(b);
        }
        List<BlockRun> runs = new ArrayList<>();
        long bytes = 0;
        for (long b = unsent.next(from); b >= 0 && b < to; ) {
            long end = Math.min(to, unsent.runEnd(b, limits.runBlocks()));
            runs.add(new BlockRun(b, (int) (end - b)));
            bytes += (end - b) * BlockSet.BLOCK_BYTES;
            b = unsent.next(end);
        }
        if (!unsent.hasRoomToRemove(from, to)) {
            extend("memory has no room to tell the blocks of a write from those around it");
            return;
        }
        if (!budget.take(bytes, heldBytes())) {
            extend("the buffer has no room for what a write overwrites before it was sent");
            return;
        }
        preimageBytes += bytes;
        for (BlockRun run : runs) {
            leaveUnsent(run);
        }
        capturing += runs.size();
        op.preimages = runs;
        capturingOps.add(op);
    }

    private void leaveUnsent(BlockRun run) {
        unsent.removeRange(run.first(), run.end());
        sectors.gone(run.first(), run.end());
    }

    private void endCapture(Op op) {
        if (!op.preimages.isEmpty()) {
            op.preimages = List.of();
            capturingOps.remove(op);
        }
    }

    private void keep(Op op) {
        if (!closed) {
            if (op.hasRoom || budget.take(op.bufferBytes(), heldBytes())) {
                endRoom(op, true);
                bufferBytes += op.bufferBytes();
                bufferedChangeBytes += op.lengthBytes;
                bufferedBlocks += blocksOf(op);
                buffer.add(op);
                unsentOps.add(op);
                fx.wakeSender();
                return;
            }
            closeFull(op.number - 1);
        }
        markDirty(op.offsetBytes, op.lengthBytes, clock.now());
        letGo(op);
    }

    /// @param since when what these blocks hold was written
    private void markDirty(long offsetBytes, long lengthBytes, long since) {
        dirtySince = Math.min(dirtySince, since);
        if (Faults.M17) {
            long from = BlockSet.blocksOf(offsetBytes);
            dirty.addRange(
                    from, Math.max(from, (offsetBytes + lengthBytes) / BlockSet.BLOCK_BYTES));
            return;
        }
        long from = offsetBytes / BlockSet.BLOCK_BYTES;
        long to = BlockSet.blocksOf(offsetBytes + lengthBytes);
        // Where only whole extents can be marked most of them is equal. In a session nothing would
        // compare them.
        (session == 0 && !dirty.hasRoomFor(from, to) ? suspect : dirty).addRange(from, to);
        if (looking || !zeroed.isEmpty()) {
            zeroed.removeRange(from, to);
            if (looking) {
                toLook.addRange(from, to);
            }
        }
    }

    private void closeFull(long whole) {
        close(
                "the send buffer is full: further writes are marked and sent as one epoch later",
                whole,
                nowNanos);
    }

    /// @param whole the last number that the buffer brings to the peer
    private void close(String why, long whole, long atNanos) {
        closed = true;
        closedAtNanos = atNanos;
        if (isStreaming()) {
            tellBehind(new Position(generation, whole));
        }
        answerAll();
        if (state == ReplicationState.ESTABLISHED) {
            state = ReplicationState.AHEAD;
            fx.event("ahead", why);
        }
    }

    /// The peer knows by itself neither that something is left out nor since when.
    private void tellBehind(Position whole) {
        fx.send(new Frame.Behind(config.resource, session, whole));
    }

    private void unlock(Op op) {
        lock.release(op);
        if (readWaits) {
            readWaits = false;
            fx.wakeReader();
        }
        if (phase == Phase.FREEZING) {
            if (lock.heldCount() == 0) {
                freeze();
            }
            return;
        }
        grant();
    }

    private void grant() {
        List<Op> next = lock.grantable();
        while (failed && !next.isEmpty()) {
            // Whoever waited behind these is free to go next, and is refused as well.
            for (Op op : next) {
                letGo(op);
                lock.release(op);
                fx.refused(op);
            }
            next = lock.grantable();
        }
        next.forEach(this::goOn);
    }

    /// A parked piece has got the lock of its range.
    private void goOn(Op op) {
        if (enterLog(op)) {
            prepare(op);
            fx.granted(op);
        }
    }

    private boolean bindsPeer() {
        return config.protocolC && state == ReplicationState.ESTABLISHED && !closed;
    }

    private void answerUpTo(long number) {
        while (!waitForPeer.isEmpty() && waitForPeer.peek().number() <= number) {
            fx.answered(waitForPeer.poll().owner());
        }
    }

    /// The stream is no longer established: nobody waits for it (R10, "unprotected").
    private void answerAll() {
        answerUpTo(Long.MAX_VALUE);
        admitWaiting();
    }

    private void admitWaiting() {
        while (!waitForRoom.isEmpty() && takesRoom(waitForRoom.getFirst())) {
            Op op = waitForRoom.removeFirst();
            if (lock.acquire(op, phase != Phase.FREEZING)) {
                goOn(op);
            }
        }
    }

    // ---- the session
    // ---------------------------------------------------------------------------------------------

    /// A session with the peer is up. `stream` is the id of our data stream on it.
    public void sessionUp(long session, int stream) {
        sessionDown();
        this.session = session;
        this.stream = stream;
        state = ReplicationState.HANDSHAKE;
        refusal = "";
        said = hello();
        fx.send(said);
    }

    /// The session is gone; writes go on into the buffer (R9), and an unfinished epoch becomes
    /// dirty blocks again.
    public void sessionDown() {
        session = 0;
        peer = null;
        parted = null;
        peerChanged = null;
        peerTrouble = "";
        tellDue = false;
        abandonEpoch();
        for (ReadRun run : reading) {
            run.stale = true;
            if (run.subject == null) {
                putBack(run);
            }
        }
        reading.removeIf(run -> run.purpose() != ReadRun.Purpose.EPOCH);
        for (Content content : ready) {
            dirty.addRange(content.run().first(), content.run().end());
        }
        ready.clear();
        readyBytes = 0;
        comparison.end(suspect::addBytes, Faults.M7 ? (_, _) -> {} : suspect::addBytes);
        if (verification != null) {
            verification.sessionDown();
        }
        marks.end("the link was lost before it was answered");
        contents.end("the link was lost");
        for (SyncSent sent : syncInFlight) {
            dirty.addRange(sent.run().first(), sent.run().end());
        }
        syncInFlight.clear();
        state = ReplicationState.OFF;
        answerAll();
    }

    /// What the peer says of this resource.
    public void on(Frame.OfResource frame) {
        switch (frame) {
            case Frame.ResourceHello hello -> greeted(hello);
            case Frame.Changed changed when peer == null -> peerChanged = changed.ranges();
            case Frame.Ack ack when isCurrent(ack.session()) -> acknowledged(ack);
            case Frame.EpochReply reply when isCurrent(reply.session()) -> replied(reply);
            case Frame.CompareReply reply when isCurrent(reply.session()) -> compared(reply);
            case Frame.SectorsReply reply when isCurrent(reply.session()) -> answered(reply);
            case Frame.VerifyReply reply when isCurrent(reply.session()) -> answered(reply);
            case Frame.Fetched reply when isCurrent(reply.session()) -> answered(reply);
            case Frame.MarkReply reply when isCurrent(reply.session()) -> marks.answered(reply);
            case Frame.Refused _ when isApart() -> {} // It says why both stand apart.
            case Frame.Refused refused -> refuse("the peer refuses: " + refused.reason());
            case Frame.Trouble trouble -> peerTrouble = trouble.text();
            case Frame.Ack _,
                    Frame.EpochReply _,
                    Frame.CompareReply _,
                    Frame.SectorsReply _,
                    Frame.VerifyReply _,
                    Frame.Fetched _,
                    Frame.MarkReply _ -> {} // of an older session
            case Frame.Offer _,
                    Frame.OfferReply _,
                    Frame.Withdraw _,
                    Frame.Invalidate _,
                    Frame.InvalidateReply _,
                    Frame.Verified _,
                    Frame.Resize _,
                    Frame.ResizeReply _,
                    Frame.Changed _,
                    Frame.Behind _,
                    Frame.Wrote _,
                    Frame.StreamStart _ -> {}
        }
    }

    private boolean isCurrent(long answered) {
        return Faults.M26 ? session != 0 : answered == session && session != 0;
    }

    private void sayHello() {
        if (session != 0) {
            fx.send(hello());
        }
    }

    private Frame.ResourceHello hello() {
        DiskState disk = failed ? DiskState.FAILED : DiskState.UP_TO_DATE;
        Position here = position();
        return new Frame.ResourceHello(
                config.resource,
                Role.PRIMARY.ordinal() + 1,
                disk.ordinal(),
                config.sizeBytes,
                here,
                here,
                0,
                true,
                0,
                false,
                committed.isNone() ? heard : 0,
                0,
                new Frame.Known(
                        committed,
                        completeFrom,
                        peerCopy,
                        filled,
                        durableTold,
                        dirty.count() + suspect.count() + frozen.count(),
                        ordered),
                ancestry);
    }

    private void greeted(Frame.ResourceHello hello) {
        boolean first = peer == null;
        peer = hello;
        if (!Verdict.isUsable(hello.diskState())) {
            refuse(Verdict.DISK_FAILED);
            return;
        }
        if (first && state == ReplicationState.HANDSHAKE) {
            judge(Verdict.of(Faults.M15 ? withoutEvidence(hello) : said, hello));
            if (state == ReplicationState.COMPARE || state == ReplicationState.FIRST_SYNC) {
                endVerify("the copy is compared and mended in another way, or filled anew");
            }
        }
        peerChanged = null; // It was of this hello, and is not small.
    }

    private void judge(Verdict verdict) {
        if (verdict.joins(true) && peer.tracked() > durableTold) {
            // Set back, and all of it is compared: beyond what the peer knows from now on.
            transactionNumber = Math.max(transactionNumber, peer.tracked());
            eraDue = Transaction.Blank.SUSPECT;
            fx.wakeKeeper();
        }
        switch (verdict) {
            case Verdict.Equal _ -> resume(peer.committed().number());
            case Verdict.Ahead ahead -> bringOn(ahead);
            case Verdict.Behind _,
                    Verdict.Forked _,
                    Verdict.Unrelated _,
                    Verdict.SetBack _,
                    Verdict.Unfit _ -> {
                fx.send(new Frame.Refused(config.resource, verdict.why()));
                parted = verdict;
                refuse(verdict.why());
                if (verdict.isSplit()) {
                    fx.event("split-brain", verdict.why());
                }
            }
        }
    }

    private void bringOn(Verdict.Ahead ahead) {
        switch (ahead.how()) {
            case STREAM -> resume(peer.committed().number());
            case BITMAP -> startBehind();
            case UNION -> compareUnion(ahead);
            case COMPARISON -> {
                mistrust(ahead.why());
                if (ahead.common().isNone() && peerCopy == 0) {
                    // What is found equal is marked no more, and no position says so.
                    peerCopy = peer.ancestry().generation();
                }
                startBehind(ahead.common().isNone() ? Position.NONE : peer.committed());
            }
            case FIRST_SYNC -> startFresh();
            case FIRST_SYNC_COMPARED -> {
                committed = Position.NONE;
                stored = Position.NONE;
                untouched.clear();
                mistrust(ahead.why());
                startFresh();
            }
        }
    }

    /// Both sides know what they have changed since they were the same: outside of it they still
    /// are, and nothing of that is read. What is marked here is compared or sent as always; what
    /// the peer has changed is compared. The marks count from now on from where the peer stands, so
    /// what is found equal loses its mark for good. What is cut off goes on: the peer says again
    /// what it has changed, until it has moved.
    ///
    /// A disk that is doubted may hold anything outside of both lists, and what is left different
    /// there would be called equal.
    private void compareUnion(Verdict.Ahead ahead) {
        if (!trustsDisk() || !saysWhatChanged() || isAllMarked()) {
            mistrust(
                    trustsDisk()
                            ? ahead.why()
                            : ahead.why()
                                    + "; and the disk here has failed since all of it was compared last, or nothing tells it from another");
            startBehind();
            return;
        }
        if (Faults.M85) {
            dirty.clear();
            suspect.clear();
        }
        for (Frame.KeptRange each : Faults.M84 ? List.<Frame.KeptRange>of() : peerChanged) {
            long from = Math.min(each.offsetBytes() / BlockSet.BLOCK_BYTES, suspect.capacity());
            long length = BlockSet.blocksOf(each.lengthBytes());
            suspect.addRange(from, from + Math.min(length, suspect.capacity() - from));
        }
        startBehind();
        dirtySince = 0;
        fx.event(
                "union",
                "only what either side wrote since %s is compared or sent: %d bytes at most of %d"
                        .formatted(
                                ahead.common(),
                                (dirty.count() + suspect.count()) * BlockSet.BLOCK_BYTES,
                                config.sizeBytes));
    }

    /// One way or the other: after an era in which nobody knew anything, what was written since is
    /// only dirty.
    private boolean isAllMarked() {
        if (dirty.count() + suspect.count() < suspect.capacity()) {
            return false;
        }
        BlockSet marked = suspect.another(BlockSet.Rounding.UP);
        marked.addAll(suspect);
        marked.addAll(dirty);
        boolean isAll = marked.count() == marked.capacity();
        marked.clear();
        return isAll;
    }

    /// And that what it says is of the hello that it was judged by.
    private boolean saysWhatChanged() {
        if (peerChanged == null) {
            return false;
        }
        long bytes = peerChanged.stream().mapToLong(Frame.KeptRange::lengthBytes).sum();
        return BlockSet.blocksOf(bytes) == peer.known().marked();
    }

    private Frame.ResourceHello withoutEvidence(Frame.ResourceHello theirs) {
        Frame.Known known = said.known();
        return new Frame.ResourceHello(
                said.resource(),
                said.role(),
                said.diskState(),
                said.sizeBytes(),
                said.committed(),
                said.stored(),
                said.openEpoch(),
                said.everCommitted(),
                said.journalBytes(),
                said.blank(),
                said.tracked(),
                said.filled(),
                new Frame.Known(
                        theirs.everCommitted() ? theirs.committed() : known.acknowledged(),
                        Position.NONE,
                        known.copy(),
                        0,
                        known.told(),
                        known.marked(),
                        known.ordered()),
                said.ancestry());
    }

    /// An operator wants everything compared with the peer, and its copy brought back to this. A
    /// session that is up must be begun anew for it.
    public void compareAll(String why) {
        ordered = true;
        mistrust(why);
    }

    /// An operator's order to compare has not ended in a commit yet.
    public boolean isComparisonOrdered() {
        return ordered;
    }

    /// Whether what is not marked is what was written to the disk, as far as anybody knows. Where
    /// nothing is marked any more, it is what the peer has.
    public boolean trustsDisk() {
        return trusted && !failed;
    }

    private void mistrust(String why) {
        suspectAll();
        fx.event("compare", "every block is compared: " + why);
    }

    /// Lets no catch-up, first sync or comparison go on until it is called again with nothing: what
    /// is read stays where it is, and of an epoch under way nothing more is sent. Writes go on, and
    /// an established stream.
    ///
    /// @param why for the peer's operator; empty: they go on
    public void pauseSync(String why) {
        if (!why.equals(syncPaused)) {
            syncPaused = why;
            if (session != 0) {
                fx.send(new Frame.Trouble(config.resource, why));
            }
            fx.wakeReader();
            fx.wakeSender();
        }
    }

    private boolean isSyncPaused() {
        return !syncPaused.isEmpty();
    }

    private void suspectAll() {
        marksMore = true;
        trusted = true;
        suspect.addAll();
        dirtySince = 0;
        eraDue = Transaction.Blank.SUSPECT;
    }

    /// What the two copies are to each other, where that keeps them apart in this session; else
    /// null.
    public Verdict parted() {
        return parted;
    }

    /// Whether there is a session, and this side will have nothing to do with the peer's copy.
    private boolean isApart() {
        return state == ReplicationState.OFF && !refusal.isEmpty();
    }

    private void refuse(String why) {
        refusal = why;
        state = ReplicationState.OFF;
        marks.end("the two copies have parted: " + why);
        fx.event("refused", why);
        answerAll();
    }

    private void startFresh() {
        zeroed.clear(); // A pass takes marks away.
        long copy = peer.ancestry().generation();
        forgetCommit();
        bufferToDirty();
        unknownBlocks = 0;
        if (copy != peerCopy || !committed.isNone()) {
            // Another copy than the one we were filling: it has nothing.
            suspect.clear();
            dirty.addAll();
            trusted = true;
            eraDue = Transaction.Blank.MISSING;
            dirtySince = 0;
            untouched.clear();
            if (peer.blank()) {
                untouched.addAll();
            }
            peerCopy = copy;
            committed = Position.NONE;
            stored = Position.NONE;
        }
        filled = peer.filled();
        completeFrom = position(); // What is sent is marked no more.
        startStream(Position.NONE);
        cursor = 0;
        bulkTotalBlocks = dirty.count() + suspect.count();
        state = suspect.isEmpty() ? ReplicationState.FIRST_SYNC : ReplicationState.COMPARE;
        fx.wakeReader();
    }

    private void startBehind() {
        startBehind(peer.committed());
    }

    /// @param at what a promotion of the peer would get
    private void startBehind(Position at) {
        forgetCommit();
        bufferToDirty();
        unknownBlocks = 0;
        committed = at;
        stored = at;
        comparesFromHere();
        startStream(committed);
        cursor = 0;
        bulkTotalBlocks = suspect.count();
        state = suspect.isEmpty() ? ReplicationState.AHEAD : ReplicationState.COMPARE;
        fx.wakeReader();
        fx.wakeSender();
    }

    /// The peer stands in our generation: the stream goes on behind its position (R1).
    private void resume(long number) {
        if (commitSent && number >= epochPosition) {
            epochCommitted();
        } else {
            forgetCommit();
        }
        if (!buffer.isEmpty() && number + 1 < buffer.peek().number) {
            suspectAll();
            fx.event(
                    "compare", "every block is compared: the peer lacks writes that it had stored");
            startBehind();
            return;
        }
        trim(number);
        unknownBlocks = 0;
        committed = new Position(generation, number);
        stored = committed;
        committedHere();
        comparesFromHere();
        unsentOps.clear();
        unsentOps.addAll(buffer);
        if (!suspect.isEmpty()) {
            bufferToDirty();
        }
        startStream(committed);
        cursor = 0;
        bulkTotalBlocks = suspect.count();
        state =
                suspect.isEmpty()
                        ? closed && !Faults.M10
                                ? ReplicationState.AHEAD
                                : ReplicationState.ESTABLISHED
                        : ReplicationState.COMPARE;
        fx.wakeReader();
        fx.wakeSender();
    }

    /// A commit that was sent has not arrived: its blocks are dirty again, and what was buffered
    /// behind it.
    private void forgetCommit() {
        if (commitSent) {
            bufferToDirty();
            thaw();
        }
    }

    private void startStream(Position from) {
        syncSequence = 0;
        toldTransaction = 0;
        lastHeartbeatNanos = nowNanos;
        wantTold(); // Made durable while there is something else to do.
        fx.send(new Frame.StreamStart(config.resource, session, stream, from));
        if (closed) {
            tellBehind(from);
        }
        if (isSyncPaused()) {
            fx.send(new Frame.Trouble(config.resource, syncPaused));
        }
    }

    private void bufferToDirty() {
        for (Op op : buffer) {
            markDirty(op.offsetBytes, op.lengthBytes, op.since);
            drop(op);
        }
        buffer.clear();
        unsentOps.clear();
        marks.fallsBehind("the copy is behind now, and is brought on by a catch-up");
        if (!closed) {
            closed = true;
            // Nothing was full, so there is nothing to dwell on.
            closedAtNanos = nowNanos - limits.dwellNanos();
        }
    }

    private void drop(Op op) {
        bufferBytes -= op.bufferBytes();
        bufferedChangeBytes -= op.lengthBytes;
        bufferedBlocks -= blocksOf(op);
        budget.give(op.bufferBytes());
        op.release();
    }

    private void trim(long number) {
        while (!buffer.isEmpty() && buffer.peek().number <= number) {
            Op op = buffer.poll();
            if (!unsentOps.isEmpty() && unsentOps.peek() == op) {
                unsentOps.poll();
            }
            drop(op);
        }
    }

    private void acknowledged(Frame.Ack ack) {
        while (!syncInFlight.isEmpty() && syncInFlight.peek().sequence() <= ack.synced()) {
            SyncSent sent = syncInFlight.poll();
            if (Faults.M3) {
                dirty.removeRange(sent.run().first(), sent.run().end());
            }
        }
        filled = Math.max(filled, ack.filled());
        if (ack.stored().generation() == generation) {
            if (ack.stored().number() > last) {
                refuse("the peer acknowledges " + ack.stored() + ", we only got to " + position());
                return;
            }
            stored = ack.stored();
            trim(stored.number());
        }
        if (ack.committed().generation() == generation) {
            if (ack.committed().number() > last) {
                refuse("the peer reports " + ack.committed() + ", we only got to " + position());
                return;
            }
            committed = ack.committed();
            committedHere();
            if (commitSent && committed.number() >= epochPosition) {
                epochCommitted();
            }
            answerUpTo(committed.number());
        }
        if (dirty.isEmpty() && suspect.isEmpty() && frozen.isEmpty()) {
            missingSinceMillis = buffer.isEmpty() ? 0 : buffer.peek().wallMillis;
            marksMore = false;
        }
        admitWaiting();
        fx.wakeSender();
        fx.wakeReader();
    }

    /// The peer stands in our generation.
    private void committedHere() {
        if (committed.reaches(completeFrom) || completeFrom.generation() != generation) {
            completeFrom = Position.NONE;
        }
    }

    /// What is found equal from now on is marked no more.
    private void comparesFromHere() {
        if (!suspect.isEmpty()) {
            completeFrom = position();
        }
    }

    /// Made durable at once: a copy that was given up has left the position that is durable for one
    /// of our own history, and to a start that does not know of it the marks would be about
    /// nothing.
    private void epochCommitted() {
        commitSent = false;
        ordered = false;
        keptNanos = nowNanos - limits.keepNanos();
        fx.wakeKeeper();
        frozen.clear();
        unsent.clear();
        unsentZeroes.clear();
        epochsCommitted++;
        fx.event(
                "epoch-committed",
                "the copy has moved to " + new Position(generation, epochPosition));
    }

    // ---- catching up
    // ---------------------------------------------------------------------------------------------

    /// Time passes. Call at least ten times a second while a session is up.
    public void tick(long nowNanos, long wallMillis) {
        this.nowNanos = nowNanos;
        this.wallMillis = wallMillis;
        clock.tick(nowNanos, wallMillis);
        if (phase == Phase.PAUSED && nowNanos - askedNanos >= limits.askAgainNanos()) {
            phase = Phase.ASKING;
            askedNanos = 0;
        }
        if (session != 0) {
            fx.wakeSender();
        }
        if (verification != null) {
            fx.wakeReader();
        }
        if (isKeepingDue() || eraDue != null) {
            fx.wakeKeeper();
        }
    }

    /// Whether the marked blocks should go as an epoch now: the buffer's old part is at the peer
    /// and the dwell is over.
    private boolean epochIsDue() {
        return state == ReplicationState.AHEAD
                && phase == Phase.NONE
                && closed
                && !commitSent
                && !failed
                && !isSyncPaused()
                && (Faults.M8 || buffer.isEmpty())
                && (nowNanos - closedAtNanos >= limits.dwellNanos()
                        || committed.generation() != generation);
    }

    private void replied(Frame.EpochReply reply) {
        if (reply.epoch() != epoch || (phase != Phase.ASKING && phase != Phase.PAUSED)) {
            return;
        }
        if (reply.missingBytes() > 0) {
            if (state == ReplicationState.SYNC_SOURCE && isForAnotherPass()) {
                // Much was written since the pass ended, and there is no point yet to protect.
                thaw();
                state = ReplicationState.FIRST_SYNC;
                nextPass();
                return;
            }
            if (!frozen.isEmpty()) {
                beginAnew();
                return;
            }
            if (missingBytes == 0) {
                fx.event(
                        "paused",
                        "the backup's journal lacks %d bytes for the catch-up"
                                .formatted(reply.missingBytes()));
            }
            missingBytes = reply.missingBytes();
            beginSectors(); // It may have given up what it kept, and then has more to send.
            phase = Phase.PAUSED;
            state = ReplicationState.PAUSED;
            askedNanos = nowNanos;
            lookForZeroes();
            return;
        }
        if (reply.grantedBlocks() != askedBlocks || reply.grantedZeroRanges() != askedZeroRanges) {
            return; // We have asked again since, and that replaced it.
        }
        if (frozen.isEmpty() && !cover(reply.kept())) {
            return;
        }
        missingBytes = 0;
        state = ReplicationState.SYNC_SOURCE;
        if (isMoreThanAsked()) {
            phase = Phase.ASKING;
            askedNanos = 0;
            fx.wakeSender();
            return;
        }
        phase = Phase.FREEZING;
        if (lock.heldCount() == 0) {
            freeze();
        }
    }

    /// The peer goes on from what an epoch has staged there that was cut off. Nobody here knows
    /// what that is: a comparison finds a block equal to what is committed and not to what was kept
    /// of it. So all of it is of this epoch, and what of it is equal by sectors is not sent. Once
    /// that is frozen, what was told again is known.
    ///
    /// @return false if it cannot be: then the peer is refused
    private boolean cover(List<Frame.KeptRange> kept) {
        long bytes = 0;
        for (Frame.KeptRange each : kept) {
            long from = each.offsetBytes() / BlockSet.BLOCK_BYTES;
            long to = from + BlockSet.blocksOf(each.lengthBytes());
            if (to > dirty.capacity()) {
                refuse("the peer has kept blocks up to %d of %d".formatted(to, dirty.capacity()));
                return false;
            }
            if (!Faults.M40) {
                marksMore = true;
                dirty.addRange(from, to);
                dirtySince = Math.min(dirtySince, clock.now());
            }
            if (looking) {
                toLook.addRange(from, to);
            }
            sectors.pays(from, to);
            bytes += each.lengthBytes();
        }
        if (bytes > 0 && epoch != continuedEpoch) {
            continuedEpoch = epoch;
            fx.event(
                    "epoch-continued",
                    "the backup has kept blocks of the epoch that was cut off, within %d bytes:"
                                    .formatted(bytes)
                            + " what is equal is not sent again");
        }
        return true;
    }

    private long blocksWithData() {
        return dirty.count() - zeroed.count();
    }

    private boolean isMoreThanAsked() {
        return blocksWithData() > askedBlocks || zeroed.runCount() > askedZeroRanges;
    }

    /// The journal lacks room for all marked blocks as if they carried data. Those that read zero
    /// take next to none, and nobody knows which these are: they are read once, here and not before
    /// every epoch.
    private void lookForZeroes() {
        if (!looking) {
            looking = true;
            toLook.addAll(dirty);
            toLook.removeAll(zeroed);
        }
        fx.wakeReader();
    }

    private void stopLooking() {
        looking = false;
        foundZeroes = false;
        toLook.clear();
    }

    /// When all is looked at and room was found, the peer is asked again at once.
    private void looked() {
        boolean underWay = false;
        for (ReadRun run : reading) {
            underWay |= run.purpose() == ReadRun.Purpose.LOOK;
        }
        if (phase == Phase.PAUSED && foundZeroes && toLook.isEmpty() && !underWay) {
            foundZeroes = false;
            phase = Phase.ASKING;
            askedNanos = 0;
            fx.wakeSender();
        }
    }

    /// No write is in flight: the epoch's position is the last number, and the buffer opens again
    /// behind it. The epoch takes a number of its own where no write has given it one since the
    /// peer's, or since one that left a part: a position names one image, and whoever reports the
    /// epoch's has its commit (R18).
    private void freeze() {
        if (isMoreThanAsked()) {
            phase = Phase.ASKING;
            askedNanos = 0;
            fx.wakeSender();
        } else {
            if (frozen.isEmpty() || dirtySince < frozenSince) {
                frozenSince = dirtySince;
            }
            if ((partlyWritten || isAtPeer(position())) && !Faults.M37) {
                last++;
                partlyWritten = false;
            }
            epochPosition = last;
            epochMillis = wallMillis;
            epochLagMillis = clock.lagMillis();
            frozen.addAll(dirty);
            unsent.takeFrom(dirty);
            unsentZeroes.takeFrom(zeroed);
            stopLooking();
            bulkTotalBlocks = unsent.count();
            dirtySince = Long.MAX_VALUE;
            closed = false;
            cursor = 0;
            phase = Phase.SENDING;
            if (Faults.M2) {
                frozen.clear();
            }
            fx.wakeReader();
            fx.wakeSender();
        }
        grant();
        admitWaiting();
    }

    private boolean isAtPeer(Position at) {
        return committed.equals(at) || peer.committed().equals(at);
    }

    /// The epoch cannot be finished as of S: it goes on to a later position with what is left and
    /// what changed (R15).
    private void extend(String why) {
        fx.event("epoch-extended", why);
        dropUnsentEpoch();
        bufferToDirty();
        phase = Phase.ASKING;
        askedNanos = 0;
        fx.wakeSender();
    }

    /// The epoch will never be finished; its blocks are dirty again.
    private void abandonEpoch() {
        if (phase == Phase.NONE) {
            return; // Nothing was frozen, or all was sent and the commit may have arrived: the
            // handshake tells.
        }
        boolean freezing = phase == Phase.FREEZING;
        if (phase == Phase.SENDING) {
            dropUnsentEpoch();
            bufferToDirty();
        }
        thaw();
        if (freezing) {
            grant();
        }
    }

    private void dropUnsentEpoch() {
        dirty.addAll(unsent);
        unsent.clear();
        unsentZeroes.clear();
        for (Content content : preimages) {
            dirty.addRange(content.run().first(), content.run().end());
        }
        preimages.clear();
        for (Op op : capturingOps) {
            for (BlockRun run : op.preimages) {
                dirty.addRange(run.first(), run.end());
            }
            op.preimages = List.of(); // What is read for it now is dropped when it arrives.
        }
        capturingOps.clear();
        capturing = 0;
        for (ReadRun run : reading) {
            if (run.purpose() == ReadRun.Purpose.EPOCH && !run.stale) {
                run.stale = true;
                dirty.addRange(run.blocks().first(), run.blocks().end());
            }
        }
        for (Content content : ready) {
            dirty.addRange(content.run().first(), content.run().end());
        }
        ready.clear();
        readyBytes = 0;
        budget.give(preimageBytes);
        preimageBytes = 0;
        dirtySince = Math.min(dirtySince, frozenSince);
    }

    private void thaw() {
        if (!frozen.isEmpty()) {
            dirtySince = Math.min(dirtySince, frozenSince);
        }
        dirty.addAll(frozen);
        frozen.clear();
        unsent.clear();
        unsentZeroes.clear();
        stopLooking();
        sectors.end();
        commitSent = false;
        phase = Phase.NONE;
        epochSentBlocks = 0;
        missingBytes = 0;
    }

    // ---- bulk reading
    // --------------------------------------------------------------------------------------------

    /// The next blocks that somebody should read from the local disk, or null. Hand the result to
    /// [#readDone], [#digestDone] or [#readFailed].
    public ReadRun nextRead() {
        if (session == 0
                || failed
                || isSyncPaused()
                || readyBytes >= limits.readAheadBytes()
                || reading.size() >= 4) {
            return null;
        }
        return switch (state) {
            case COMPARE -> readToCompare();
            case FIRST_SYNC -> readToSync();
            case SYNC_SOURCE -> phase == Phase.SENDING ? readForEpoch() : null;
            case PAUSED -> readToLook();
            case ESTABLISHED -> readToVerify();
            case OFF, HANDSHAKE, AHEAD -> null;
        };
    }

    /// Whether [#nextRead] would have something; may say yes too often, but not while it has to
    /// wait for something slow: the reader would ask again and again.
    public boolean wantsRead() {
        if (session == 0
                || failed
                || isSyncPaused()
                || readyBytes >= limits.readAheadBytes()
                || reading.size() >= 4) {
            return false;
        }
        return switch (state) {
            case COMPARE -> !suspect.isEmpty() && comparison.takes();
            case FIRST_SYNC -> !zeroesWait() && dirty.next(cursor) >= 0;
            case SYNC_SOURCE ->
                    phase == Phase.SENDING
                            && !readWaits
                            && !unsent.isEmpty()
                            && !zeroesWait()
                            && (sectors.answered(unsent, unsentZeroes) != null
                                    || !sectors.waits(unsent, unsentZeroes));
            case PAUSED -> !readWaits && !toLook.isEmpty();
            case ESTABLISHED ->
                    isVerifying()
                            && (verification.wantsScan()
                                    || !readWaits && verification.wantsCandidates());
            case OFF, HANDSHAKE, AHEAD -> false;
        };
    }

    /// Of the blocks of which nobody knows, the next run.
    ///
    /// A block leaves the set when its run is opened, and is in the comparison from then until both
    /// sides' digests of it, or of something around it, were found equal, or it is marked; a
    /// session that is lost before puts it back. It may be written meanwhile, and our side of a
    /// tree be made of what it held before or since. That is as good: the buffer is closed before
    /// the first block is read, so each write that ends later marks its blocks, and marks stay
    /// until an epoch; and equal digests say that a block, when it was read, held what the peer
    /// holds throughout. So a block that is not marked in the end was equal when it was read and
    /// not written since.
    private ReadRun readToCompare() {
        TreeComparison.Subject subject = comparison.takes() ? openSuspects() : null;
        if (subject == null) {
            return null;
        }
        fx.wakeSender(); // The peer begins to read at the same time.
        int count = (int) BlockSet.blocksOf(subject.lengthBytes());
        BlockRun run = new BlockRun(subject.offsetBytes() / BlockSet.BLOCK_BYTES, count);
        ReadRun read = new ReadRun(ReadRun.Purpose.COMPARE, run, subject);
        reading.add(read);
        return read;
    }

    private boolean isVerifying() {
        return verification != null && !closed;
    }

    /// What seems to differ is looked at again first, as of one number.
    private ReadRun readToVerify() {
        if (!isVerifying()) {
            return null;
        }
        if (!readWaits && verification.wantsCandidates()) {
            ReadRun read = readCandidates(Math.min(limits.runBlocks(), EXACT_BLOCKS));
            if (read == null) {
                read = readCandidates(1); // One that is written all the time hides no others.
            }
            if (read != null) {
                return read;
            }
            verification.passedOver(verification.nextCandidates(1));
            readWaits = true; // For the end of a write, which wakes us.
        }
        TreeComparison.Subject subject = verification.nextScan();
        if (subject == null) {
            return null;
        }
        fx.wakeSender(); // The peer begins to read at the same time.
        int count = (int) BlockSet.blocksOf(subject.lengthBytes());
        BlockRun run = new BlockRun(subject.offsetBytes() / BlockSet.BLOCK_BYTES, count);
        ReadRun read = new ReadRun(ReadRun.Purpose.VERIFY, run, subject);
        reading.add(read);
        return read;
    }

    private ReadRun readCandidates(int most) {
        BlockRun run = verification.nextCandidates(most);
        Op reader = readLock(run);
        if (!lock.tryHold(reader)) {
            return null;
        }
        verification.taken(run);
        return startRead(ReadRun.Purpose.CONFIRM, run, reader);
    }

    private TreeComparison.Subject openSuspects() {
        long first = suspect.next(cursor);
        if (first < 0) {
            first = suspect.next(0);
        }
        if (first < 0) {
            return null;
        }
        long limit = first + limits.treeBlocks();
        long end = suspect.runEnd(first, limits.treeBlocks());
        // A gap that costs less to read than another question costs is compared as well.
        for (long next = suspect.next(end);
                next >= 0 && next - end < limits.fanOut() && next < limit;
                next = suspect.next(end)) {
            end = suspect.runEnd(next, limit - next);
        }
        suspect.removeRange(first, end);
        cursor = end;
        BlockRun run = new BlockRun(first, (int) (end - first));
        return comparison.open(run.offsetBytes(), run.lengthBytes(config.sizeBytes));
    }

    private ReadRun readToSync() {
        long b = dirty.next(cursor);
        if (b < 0) {
            return null; // The pass is over; next() decides what follows when all of it is
            // acknowledged.
        }
        if (zeroesWait()) {
            return null; // What is taken of them wakes us.
        }
        BlockRun run = runOf(dirty, b, holeBlocksToSync(b));
        // Out of the set before the read: a write that ends later puts its blocks back.
        dirty.removeRange(run.first(), run.end());
        cursor = run.end();
        return startRead(ReadRun.Purpose.FIRST_SYNC, run, null);
    }

    private ReadRun readForEpoch() {
        SectorQuestions.Answered answered = sectors.answered(unsent, unsentZeroes);
        if (answered != null) {
            return readAnswered(answered);
        }
        long b = unsent.next(cursor);
        if (b < 0) {
            b = unsent.next(0);
        }
        while (b >= 0 && unsentZeroes.contains(b) && !zeroesWait()) {
            sendZeroes(b);
            b = unsent.next(0);
        }
        if (b < 0 || unsentZeroes.contains(b)) {
            return null; // What is taken of the zeroes wakes us.
        }
        if (sectors.waits(unsent, unsentZeroes)) {
            fx.wakeSender(); // It asks, and the answer wakes us.
            return null;
        }
        long zero = unsentZeroes.next(b);
        BlockRun run = runOf(unsent, b, zero < 0 ? limits.holeBlocks() : zero - b);
        if (zero >= 0 && zero < run.end()) {
            run = new BlockRun(b, (int) (zero - b));
        }
        Op reader = readLock(run);
        if (!lock.tryHold(reader)) {
            readWaits = true; // For the end of a write, which captures some of them or will.
            forgetHole();
            return null;
        }
        leaveUnsent(run);
        cursor = run.end();
        sectors.sentWhole(run.count(), run.end());
        return startRead(ReadRun.Purpose.EPOCH, run, reader);
    }

    private ReadRun readAnswered(SectorQuestions.Answered answered) {
        BlockRun run = answered.run();
        Op reader = readLock(run);
        if (!lock.tryHold(reader)) {
            readWaits = true; // For the end of a write, which captures some of them or will.
            return null;
        }
        leaveUnsent(run);
        cursor = run.end();
        answered.taken();
        ReadRun read = new ReadRun(answered, reader, session);
        reading.add(read);
        return read;
    }

    /// Of a hole in a copy that has nothing there either nothing is sent, however long it is.
    private long holeBlocksToSync(long first) {
        long limit = Math.min(SKIPPED_BLOCKS, holeEnd - first);
        return isHole(first)
                ? Math.max(limits.holeBlocks(), untouched.runEnd(first, limit) - first)
                : 0;
    }

    private boolean isHole(long block) {
        return block >= holeFirst && block < holeEnd;
    }

    /// The run of the set that is read next: short, or as long as the hole that was seen there.
    ///
    /// @param most blocks of a hole
    private BlockRun runOf(BlockSet set, long first, long most) {
        long limit = isHole(first) ? Math.min(most, holeEnd - first) : 0;
        long end = set.runEnd(first, Math.max(limit, limits.runBlocks()));
        return new BlockRun(first, (int) (end - first));
    }

    private void forgetHole() {
        holeFirst = 0;
        holeEnd = 0;
    }

    /// Whether the link has to take something before more of an epoch is handed over.
    private boolean zeroesWait() {
        return ready.size() >= ZERO_RUNS_AHEAD;
    }

    /// Hands over the run of zeroes around an unsent block, all of it.
    private void sendZeroes(long block) {
        BlockRun run = unsentZeroes.runAround(block);
        leaveUnsent(run);
        unsentZeroes.removeRange(run.first(), run.end());
        ready.add(new Content(run, null));
        fx.wakeSender();
    }

    private ReadRun readToLook() {
        long b = toLook.next(0);
        if (b < 0) {
            return null;
        }
        BlockRun run = runOf(toLook, b, limits.holeBlocks());
        Op reader = readLock(run);
        if (!lock.tryHold(reader)) {
            readWaits = true; // For the end of a write, which wakes us.
            forgetHole();
            return null;
        }
        toLook.removeRange(run.first(), run.end());
        return startRead(ReadRun.Purpose.LOOK, run, reader);
    }

    private static Op readLock(BlockRun run) {
        return Op.zero(run.offsetBytes(), (long) run.count() * BlockSet.BLOCK_BYTES, false, null);
    }

    private ReadRun startRead(ReadRun.Purpose purpose, BlockRun run, Op lockOp) {
        ReadRun read = new ReadRun(purpose, run, lockOp, run.count() > limits.runBlocks());
        reading.add(read);
        return read;
    }

    /// The blocks lie in a hole of the disk, which reads zero; that makes the next run longer.
    ///
    /// @param untilBytes where the hole ends, behind the run or further
    public void readHole(ReadRun read, long untilBytes) {
        holeFirst = read.blocks().end();
        holeEnd = untilBytes / BlockSet.BLOCK_BYTES;
        if (read.purpose() == ReadRun.Purpose.FIRST_SYNC
                && !read.stale
                && untouched.runEnd(read.blocks().first(), read.blocks().count())
                        == read.blocks().end()) {
            endRead(read); // It reads zero there already.
            fx.wakeSender();
        } else {
            readDone(read, null);
        }
    }

    /// The blocks were read; `data` null: they are all zero, or a hole.
    public void readDone(ReadRun read, ByteBuffer data) {
        if (read.purpose() == ReadRun.Purpose.LOOK) {
            // Before its lock is let go: a write may follow, or the freeze that waits for it.
            if (!read.stale && looking && data == null) {
                long before = zeroed.count();
                zeroed.addRange(read.blocks().first(), read.blocks().end());
                foundZeroes |= zeroed.count() > before;
            }
            endRead(read);
            looked();
            return;
        }
        if (read.isAnswered()) {
            int length = read.blocks().lengthBytes(config.sizeBytes);
            read.answered.looked(SectorDigests.sectors(length), 0);
        }
        endRead(read);
        if (!read.stale) {
            ready.add(new Content(read.blocks(), data));
            readyBytes += data == null ? 0 : data.remaining();
            fx.wakeSender();
        }
        endCompareIfDone(); // It may have waited for nothing but this read of an older session.
    }

    /// The blocks were read, and the peer holds all of them but these parts: [ReadRun#partsToSend].
    public void readParts(ReadRun read, List<ReadRun.Part> parts) {
        int length = read.blocks().lengthBytes(config.sizeBytes);
        int sent = 0;
        for (ReadRun.Part part : parts) {
            sent += SectorDigests.sectors(part.data().remaining());
        }
        int all = SectorDigests.sectors(length);
        read.answered.looked(all, all - sent);
        endRead(read);
        if (!read.stale) {
            for (ReadRun.Part part : parts) {
                long first = part.offsetBytes() / BlockSet.BLOCK_BYTES;
                long end = BlockSet.blocksOf(part.offsetBytes() + part.data().remaining());
                BlockRun run = new BlockRun(first, (int) (end - first));
                ready.add(new Content(run, part.offsetBytes(), part.data()));
                readyBytes += part.data().remaining();
            }
            sectors.partsGo(parts.size());
            fx.wakeSender();
        }
        endCompareIfDone(); // As in readDone.
    }

    /// So much of what is to be compared was read.
    ///
    /// @return whether to go on; if not, [#readDropped]
    public boolean isWanted(ReadRun read, long doneBytes) {
        read.subject.done(doneBytes);
        return !read.stale && !failed && !isSyncPaused();
    }

    /// The blocks were read to be compared.
    public void digestDone(ReadRun read, HashTree tree) {
        endRead(read);
        if (read.purpose() == ReadRun.Purpose.VERIFY) {
            if (!read.stale) {
                verification.scanned(read.subject, tree);
                verifyGoesOn();
            }
            return;
        }
        if (!read.stale) {
            comparison.read(read.subject, tree, dirty::addBytes);
        }
        compareGoesOn();
    }

    /// The blocks were read to be confirmed.
    ///
    /// @param digests by [ReadRun#blockDigests]
    public void confirmed(ReadRun read, byte[] digests) {
        if (!read.stale && isVerifying() && state == ReplicationState.ESTABLISHED) {
            // Before the lock is let go: none of what has got a number since it was had is theirs.
            verification.confirm(read.blocks(), digests, last);
        } else if (!read.stale) {
            putBack(read); // The stream does not come to this number.
        }
        endRead(read);
        verifyGoesOn();
    }

    public void readFailed(ReadRun read, String why) {
        if (!read.stale) {
            if (read.purpose() == ReadRun.Purpose.EPOCH && phase == Phase.SENDING) {
                // Without these blocks the epoch is no image of anything: it must not be committed.
                extend("blocks of the epoch cannot be read");
            } else {
                putBack(read);
            }
        }
        endRead(read);
        diskFailed(why);
    }

    /// What was to be read is not read after all; its blocks are as before.
    public void readDropped(ReadRun read) {
        if (read.guess) {
            forgetHole();
            again(read);
        }
        if (read.isAnswered()) {
            read.answered.looked(0, 0);
        }
        if (!read.stale && read.purpose() == ReadRun.Purpose.EPOCH && phase == Phase.SENDING) {
            // Without these blocks the epoch is no image of anything: it waits for them.
            unsent.addRange(read.blocks().first(), read.blocks().end());
        } else if (!read.stale) {
            putBack(read);
        }
        endRead(read);
    }

    /// What was no hole any more is read next.
    private void again(ReadRun read) {
        if (read.purpose() == ReadRun.Purpose.LOOK) {
            if (!read.stale && looking) {
                toLook.addRange(read.blocks().first(), read.blocks().end());
            }
        } else {
            cursor = Math.min(cursor, read.blocks().first());
        }
    }

    private void endRead(ReadRun read) {
        reading.remove(read);
        if (read.lock != null) {
            unlock(read.lock);
        }
        fx.wakeReader();
    }

    private void putBack(ReadRun read) {
        switch (read.purpose()) {
            case COMPARE -> {
                comparison.drop(read.subject);
                suspect.addRange(read.blocks().first(), read.blocks().end());
            }
            case FIRST_SYNC, EPOCH -> dirty.addRange(read.blocks().first(), read.blocks().end());
            case LOOK -> {} // They are marked as they were.
            case VERIFY -> verification.scanDropped(read.subject);
            case CONFIRM -> verification.unconfirmed(read.blocks());
        }
    }

    private void compared(Frame.CompareReply reply) {
        try {
            comparison.answered(reply.number(), reply.digests(), dirty::addBytes);
        } catch (IllegalArgumentException e) {
            refuse("the peer's answer to a comparison: " + e.getMessage());
            return;
        }
        compareGoesOn();
    }

    private void answered(Frame.SectorsReply reply) {
        try {
            sectors.answered(reply.number(), reply.digests());
        } catch (IllegalArgumentException e) {
            refuse("the peer's answer about sectors: " + e.getMessage());
            return;
        }
        fx.wakeReader();
    }

    // ---- marks
    // --------------------------------------------------------------------------------------------

    /// How a [#mark] ends.
    public enum MarkEnd {
        /// Its name is durable at the peer.
        DURABLE,
        /// The peer has refused it, for instance for its name.
        TAKEN,
        /// It was not sent: the copy does not pass through the moment.
        BEHIND,
        /// It was not sent: the session is over.
        LOST,
        /// The peer did not answer, and may have marked it or not.
        UNSURE
    }

    /// What came of [#mark].
    ///
    /// @param refusal why there is no such moment, empty when it is durable
    public record Marked(long number, Position at, long wallMillis, MarkEnd end, String refusal) {}

    /// Gives the present moment a name in the peer's journal: that of all writes that were answered
    /// until now. Only while every write goes to the peer in its order is that a moment of the
    /// copy.
    ///
    /// @return its number, which [#takeMarked] says later; 0 if it is none now
    /// @throws IllegalArgumentException if no moment may have that name
    public long mark(String name) {
        if (!Frame.Mark.isName(name)) {
            throw new IllegalArgumentException("no name of a moment");
        }
        if (state != ReplicationState.ESTABLISHED || closed || marks.isFull()) {
            return 0;
        }
        long number = marks.add(name, position(), wallMillis);
        fx.wakeSender();
        return number;
    }

    /// What has become of marks since the last call.
    public List<Marked> takeMarked() {
        return marks.hasDone() ? marks.takeDone() : List.of();
    }

    // ---- what the copy holds
    // -----------------------------------------------------------------------------------------

    /// What came of [#fetch].
    ///
    /// @param data what the copy holds there; null where it holds what is here, or there is trouble
    /// @param trouble why it is not known, empty when it is
    public record Fetched(long number, byte[] data, String trouble) {}

    /// Asks what the copy holds of these blocks, if that is not what is here. Nobody may write from
    /// before the blocks were read until the answer: the caller keeps clients out.
    ///
    /// @param blocks as many as one exact question may be about, [#EXACT_BLOCKS]
    /// @param ours digest of each block as it is here, by [ReadRun#blockDigests]
    /// @return its number, which [#takeFetched] says later; 0 if it cannot be asked now: too much
    ///   is asked already, or the copy does not follow write by write
    public long fetch(BlockRun blocks, byte[] ours) {
        if (blocks.count() > EXACT_BLOCKS) {
            throw new IllegalArgumentException(
                    "a question about %d blocks".formatted(blocks.count()));
        }
        if (state != ReplicationState.ESTABLISHED || closed || failed || contents.isFull()) {
            return 0;
        }
        long number = contents.add(blocks, ours);
        fx.wakeSender();
        return number;
    }

    /// What was brought since the last call.
    public List<Fetched> takeFetched() {
        return contents.hasDone() ? contents.takeDone() : List.of();
    }

    private void answered(Frame.Fetched reply) {
        try {
            contents.answered(reply);
        } catch (IllegalArgumentException e) {
            refuse("the peer's answer to a repair: " + e.getMessage());
        }
        fx.wakeSender();
    }

    // ---- verification
    // --------------------------------------------------------------------------------------------

    /// Begins to find out whether the peer's copy is as it should be. It changes nothing. While the
    /// stream is not established it waits; a session that is lost only delays it.
    ///
    /// @return false if one is under way already
    public boolean verify(long startedMillis) {
        if (verification != null) {
            return false;
        }
        verified = null;
        verification =
                new Verification(
                        ++verifications, startedMillis, position(), config.sizeBytes, limits);
        fx.wakeReader();
        return true;
    }

    /// @return false if none is under way
    public boolean stopVerify(String why) {
        boolean was = verification != null;
        endVerify(why);
        return was;
    }

    /// The one that is under way, or null.
    public Verification.Progress verifying() {
        return verification == null
                ? null
                : verification.progress(
                        state != ReplicationState.ESTABLISHED || closed || isSyncPaused());
    }

    /// What the last one found, once; null for nothing new.
    public Verification.Result takeVerified() {
        Verification.Result taken = verified;
        verified = null;
        return taken;
    }

    private Frame.Data nextOfVerify() {
        if (verification == null) {
            return null;
        }
        Op next = Faults.M62 ? null : unsentOps.peek();
        return verification.next(
                next == null ? Long.MAX_VALUE : next.number,
                state == ReplicationState.ESTABLISHED && !isSyncPaused());
    }

    private void answered(Frame.VerifyReply reply) {
        try {
            if (contents.answered(reply)) {
                fx.wakeSender();
                return;
            }
            if (verification == null) {
                return; // It was stopped.
            }
            verification.answered(reply);
        } catch (IllegalArgumentException e) {
            refuse("the peer's answer to a verification: " + e.getMessage());
            return;
        }
        verifyGoesOn();
    }

    private void verifyGoesOn() {
        if (verification == null) {
            return;
        }
        if (verification.isTooMuch()) {
            endVerify(
                    "more than %d blocks differ: it is another copy as a whole"
                            .formatted(Verification.DIFFERING_MAX));
        } else if (verification.isDone() && reading.stream().noneMatch(Primary::isOfVerify)) {
            endVerify("");
        }
        fx.wakeReader();
        fx.wakeSender();
    }

    private static boolean isOfVerify(ReadRun read) {
        return read.purpose() == ReadRun.Purpose.VERIFY
                || read.purpose() == ReadRun.Purpose.CONFIRM;
    }

    /// @param trouble why it is cut short, empty when all was compared
    private void endVerify(String trouble) {
        if (verification == null) {
            return;
        }
        for (ReadRun run : reading) {
            run.stale |= isOfVerify(run);
        }
        reading.removeIf(Primary::isOfVerify);
        verified = verification.result(wallMillis, position(), trouble);
        if (session != 0) {
            fx.send(
                    new Frame.Verified(
                            config.resource,
                            verification.run(),
                            verified.startedMillis(),
                            verified.endedMillis(),
                            verified.comparedBytes(),
                            verified.differingBlocks(),
                            trouble));
        }
        verification = null;
    }

    /// An operator wants these blocks of the peer's copy to be as they are here: they are marked
    /// and go with an epoch, in front of which the copy can still be opened as it was.
    ///
    /// @return how many there are
    public long mend(List<BlockRun> blocks) {
        long count = 0;
        for (BlockRun run : blocks) {
            long end = Math.min(run.end(), dirty.capacity());
            for (long first = run.first(); first < end; first += limits.extentBlocks()) {
                marked.add(first / limits.extentBlocks());
            }
            if (run.first() < end) {
                marked.add((end - 1) / limits.extentBlocks());
                long length = (end - run.first()) * BlockSet.BLOCK_BYTES;
                // Since when they differ nobody knows.
                marksMore = true;
                markDirty(run.offsetBytes(), length, 0);
                count += end - run.first();
            }
        }
        if (count > 0 && !closed) {
            close(
                    "%d blocks of the copy are mended as one epoch".formatted(count),
                    last,
                    nowNanos - limits.dwellNanos());
        }
        fx.wakeKeeper();
        fx.wakeSender();
        return count;
    }

    /// Whether what [#mend] has marked is durably so.
    public boolean isMarkedDurably() {
        return marked.isEmpty() && markedNow.isEmpty();
    }

    private void compareGoesOn() {
        endCompareIfDone();
        fx.wakeReader();
        fx.wakeSender();
    }

    private void endCompareIfDone() {
        if (state != ReplicationState.COMPARE
                || !(suspect.isEmpty()
                        && comparison.isIdle()
                        && reading.isEmpty()
                        && ready.isEmpty())) {
            return;
        }
        fx.event("compared", "%d blocks differ or were written meanwhile".formatted(dirty.count()));
        cursor = 0;
        if (peer.everCommitted()) {
            state = ReplicationState.AHEAD;
        } else {
            state = ReplicationState.FIRST_SYNC;
            bulkTotalBlocks = dirty.count();
        }
    }

    // ---- what goes on the link
    // -----------------------------------------------------------------------------------

    /// The next frame of the data stream, or null when there is nothing to say now. The data of a
    /// write stays valid until its acknowledgement, so it is encoded before the lock is given back.
    public Frame.Data next() {
        if (session == 0) {
            return null;
        }
        return switch (state) {
            case ESTABLISHED, AHEAD -> nextLive();
            case COMPARE -> isSyncPaused() ? null : nextCompare();
            case FIRST_SYNC -> isSyncPaused() ? null : nextSync();
            case SYNC_SOURCE, PAUSED -> isSyncPaused() ? null : nextOfEpoch();
            case OFF, HANDSHAKE -> null;
        };
    }

    private Frame.Data nextLive() {
        Frame.Data question = nextOfVerify();
        if (question != null) {
            return question;
        }
        Frame.Data mark =
                marks.next(unsentOps.isEmpty() ? Long.MAX_VALUE : unsentOps.peek().number);
        if (mark != null) {
            return mark;
        }
        Frame.Data fetch =
                unsentOps.isEmpty() && !closed && state == ReplicationState.ESTABLISHED
                        ? contents.next()
                        : null;
        if (fetch != null) {
            return fetch;
        }
        if (Faults.M8 && epochIsDue()) {
            return beginEpoch();
        }
        if (!unsentOps.isEmpty()) {
            return isTold() ? frameOf(unsentOps.poll()) : tell();
        }
        if (epochIsDue()) {
            return beginEpoch();
        }
        if (!closed && nowNanos - lastHeartbeatNanos >= limits.heartbeatNanos()) {
            lastHeartbeatNanos = nowNanos;
            return new Frame.Heartbeat(position(), wallMillis);
        }
        return null;
    }

    private long stamp(Op op) {
        return stamp(op.wallMillis, op.lagMillis);
    }

    /// When something was, by the clock on the wall as it goes now. The peer compares that with
    /// what this clock shows ([CopyAge]), and one that was set back since would make it younger.
    private long stamp(long thenMillis, long lagThenMillis) {
        return thenMillis - Math.max(0, clock.lagMillis() - lagThenMillis);
    }

    private Frame.Data frameOf(Op op) {
        Position at = new Position(generation, op.number);
        if (!op.isZero()) {
            return new Frame.Write(0, at, stamp(op), op.offsetBytes, op.data().data());
        }
        long from = op.offsetBytes;
        long to = from + op.lengthBytes;
        if (Faults.M17) {
            long inner = BlockSet.blocksOf(from) * BlockSet.BLOCK_BYTES;
            to = Math.max(inner, to / BlockSet.BLOCK_BYTES * BlockSet.BLOCK_BYTES);
            from = Math.min(inner, to);
        }
        return new Frame.Zero(0, at, stamp(op), from, to - from, op.punch);
    }

    private Frame.Data nextCompare() {
        TreeComparison.Ask ask = comparison.next();
        return ask == null
                ? null
                : new Frame.Compare(
                        0, ask.number(), ask.offsetBytes(), ask.lengthBytes(), ask.level());
    }

    private Frame.Data nextSync() {
        if (isEraDue()) {
            return null; // Which copy is being filled, and from where on, is durable first.
        }
        if (!ready.isEmpty() && !isTold()) {
            return tell();
        }
        for (Content content = ready.poll(); content != null; content = ready.poll()) {
            BlockRun run = content.run();
            readyBytes -= content.data() == null ? 0 : content.data().remaining();
            fx.wakeReader();
            if (content.data() == null && untouched.runEnd(run.first(), run.count()) == run.end()) {
                continue; // It reads zero there already.
            }
            untouched.removeRange(run.first(), run.end());
            long sequence = ++syncSequence;
            if (!Faults.M2) {
                syncInFlight.add(new SyncSent(sequence, run));
            }
            if (content.data() == null) {
                return new Frame.SyncZero(
                        0, sequence, run.offsetBytes(), run.lengthBytes(config.sizeBytes));
            }
            return new Frame.SyncBlocks(0, sequence, run.offsetBytes(), content.data());
        }
        if (reading.isEmpty() && dirty.next(cursor) < 0) {
            // The pass is over. What is left becomes the first epoch when the journal holds it,
            // else another pass (R19).
            if (isForAnotherPass()) {
                nextPass();
            } else if (syncInFlight.isEmpty()) {
                state = ReplicationState.AHEAD;
                return nextLive();
            }
        } else if (reading.isEmpty()) {
            fx.wakeReader(); // Nothing was marked when the pass began, and something is now.
        }
        return null;
    }

    /// Whether the first sync has more left than becomes the first epoch.
    private boolean isForAnotherPass() {
        return !peer.everCommitted()
                && committed.isNone()
                && (dirty.count() + frozen.count()) * Backup.EPOCH_BLOCK_BYTES
                        > peer.journalBytes() / 2;
    }

    private void nextPass() {
        zeroed.clear(); // A pass takes marks away.
        cursor = 0;
        bulkTotalBlocks = dirty.count();
        fx.wakeReader();
    }

    private Frame.Data beginEpoch() {
        phase = Phase.ASKING;
        state = ReplicationState.SYNC_SOURCE;
        numberEpoch();
        return askForRoom();
    }

    private void numberEpoch() {
        epoch++;
        epochSentBlocks = 0;
        digest = new EpochDigest();
        bulkTotalBlocks = dirty.count();
        askedNanos = 0;
        beginSectors();
    }

    private void beginSectors() {
        if (peer.everCommitted()) {
            sectors.begin();
        }
    }

    /// What was sent before the epoch was extended takes the room that the rest of it lacks.
    /// Another epoch voids it.
    private void beginAnew() {
        fx.event("epoch-voided", "its blocks at the backup and those to come do not fit together");
        thaw();
        phase = Phase.ASKING;
        numberEpoch();
        fx.wakeSender();
    }

    private Frame.Data askForRoom() {
        askedNanos = Math.max(1, nowNanos);
        sectors.askAnew();
        // What is asked for beyond need may be just what the peer has no room for.
        long share = missingBytes > 0 ? 16 : 4;
        long zeroRanges = zeroed.runCount();
        askedBlocks = Math.min(blocksToAsk(blocksWithData(), share), dirty.capacity());
        askedZeroRanges = zeroRanges == 0 ? 0 : blocksToAsk(zeroRanges, share);
        return new Frame.EpochBegin(epoch, askedBlocks, askedZeroRanges);
    }

    /// For how many blocks room is asked for: a quarter more than there are now, for writes go on
    /// while the answer is on its way.
    static long blocksToAsk(long blocks) {
        return blocksToAsk(blocks, 4);
    }

    private static long blocksToAsk(long blocks, long share) {
        return blocks + blocks / share + 16;
    }

    private Frame.Data nextOfEpoch() {
        if (phase == Phase.ASKING && askedNanos == 0) {
            return askForRoom();
        }
        if (phase == Phase.ASKING || phase == Phase.FREEZING) {
            // What is marked now will be of the epoch: the answers are here when it begins.
            return sectors.next(dirty, zeroed);
        }
        if (phase != Phase.SENDING) {
            return null;
        }
        Frame.Data question = sectors.next(unsent, unsentZeroes);
        if (question != null) {
            return question;
        }
        Content content = preimages.poll();
        if (content != null) {
            long bytes = (long) content.run().count() * BlockSet.BLOCK_BYTES;
            preimageBytes -= bytes;
            budget.give(bytes);
            return epochFrame(content);
        }
        Content read = ready.poll();
        if (read != null) {
            readyBytes -= read.data() == null ? 0 : read.data().remaining();
            fx.wakeReader();
            return epochFrame(read);
        }
        if (capturing == 0 && reading.isEmpty() && unsent.isEmpty()) {
            return isTold() ? commit() : tell();
        }
        return null;
    }

    /// Whether the peer knows under which transaction the next of our writes were written.
    private boolean isTold() {
        return toldTransaction == durableTransaction;
    }

    /// A start that finds an older state of this host must see that the peer was told: so it is
    /// durable first. A disk that has failed notes nothing any more, and still sends what is
    /// buffered (R11): when it comes back it cannot be told from one that was set back, and an
    /// operator says which side counts.
    private Frame.Data tell() {
        if (wantTold()) {
            return null;
        }
        toldTransaction = durableTransaction;
        return new Frame.Tracked(durableTransaction);
    }

    /// @return whether it is still to be made durable that the peer may have been told
    private boolean wantTold() {
        if (durableTold < durableTransaction && !failed) {
            tellDue = true;
            fx.wakeKeeper();
            return true;
        }
        return false;
    }

    private Frame.Data epochFrame(Content content) {
        sectors.sent(content.run());
        long offset = content.offsetBytes();
        if (content.data() == null) {
            int length = content.run().lengthBytes(config.sizeBytes);
            epochSentBlocks += BlockSet.blocksOf(length);
            digest.zero(offset, length);
            return new Frame.EpochZero(0, epoch, offset, length);
        }
        epochSentBlocks += BlockSet.blocksOf(content.data().remaining());
        digest.blocks(offset, content.data());
        return new Frame.EpochBlocks(0, epoch, offset, content.data());
    }

    private Frame.Data commit() {
        phase = Phase.NONE;
        sectors.end();
        commitSent = true;
        state = closed ? ReplicationState.AHEAD : ReplicationState.ESTABLISHED;
        fx.wakeSender();
        return new Frame.EpochCommit(
                epoch,
                new Position(generation, epochPosition),
                Faults.M46 ? wallMillis : stamp(epochMillis, epochLagMillis),
                epochSentBlocks,
                digest.finish(),
                ancestry);
    }

    // ---- what it knows
    // -------------------------------------------------------------------------------------------

    /// The last number given out.
    public Position position() {
        return new Position(generation, last);
    }

    public ReplicationState state() {
        return state;
    }

    /// Why the peer's copy is refused; empty when it is not.
    public String refusal() {
        return refusal;
    }

    /// What the peer's operator must see to before its copy can go on; empty for nothing.
    public String peerTrouble() {
        return peerTrouble;
    }

    public Position committed() {
        return committed;
    }

    public Position stored() {
        return stored;
    }

    /// What is known of the peer's copy now, to be stored.
    public PeerCopy peerCopy() {
        return new PeerCopy(committed, completeFrom, peerCopy, filled);
    }

    /// How far the peer's copy is filled, in what it acknowledged of a first sync.
    public long filled() {
        return filled;
    }

    public boolean isFailed() {
        return failed;
    }

    /// Whether protocol C holds at this moment (R10).
    public boolean isProtected() {
        return bindsPeer();
    }

    private long committedNumber() {
        return committed.generation() == generation ? committed.number() : -1;
    }

    /// A snapshot for the status page.
    ///
    /// @param behindBytes what a promotion of the peer would lose now, at most
    /// @param bulkTotalBlocks blocks of the present bulk work, sent or not
    /// @param bulkLeftBlocks those of them that are not at the peer yet
    public record Figures(
            long bufferBytes,
            boolean closed,
            long dirtyBlocks,
            long suspectBlocks,
            long frozenBlocks,
            long behindBytes,
            long bulkTotalBlocks,
            long bulkLeftBlocks,
            long missingBytes,
            long epochsCommitted) {}

    public Figures figures() {
        long frozenLeft = frozen.count();
        long inFlight = 0;
        for (SyncSent sent : syncInFlight) {
            inFlight += sent.run().count();
        }
        for (Content content : ready) {
            inFlight += content.run().count();
        }
        for (ReadRun run : reading) {
            inFlight +=
                    switch (run.purpose()) {
                        case FIRST_SYNC, EPOCH -> run.blocks().count();
                        // Not to be sent; in the comparison.
                        case LOOK, COMPARE, VERIFY, CONFIRM -> 0;
                    };
        }
        inFlight += BlockSet.blocksOf(comparison.openBytes());
        long blocks =
                dirty.count()
                        + suspect.count()
                        + frozenLeft
                        + (phase == Phase.SENDING ? 0 : inFlight);
        long left =
                switch (state) {
                    // What is read here and only unanswered is one block, so that it is not done.
                    case COMPARE ->
                            suspect.count()
                                    + BlockSet.blocksOf(comparison.unreadBytes())
                                    + (comparison.isIdle() ? 0 : 1);
                    case FIRST_SYNC -> dirty.count() + inFlight;
                    // What the peer kept of an epoch that was cut off is there already, as a rule.
                    case SYNC_SOURCE ->
                            (phase == Phase.SENDING ? unsent.count() + inFlight : dirty.count())
                                    - sectors.keptCount();
                    case OFF, HANDSHAKE, ESTABLISHED, AHEAD, PAUSED -> blocks;
                };
        return new Figures(
                bufferBytes + preimageBytes,
                closed,
                dirty.count(),
                suspect.count(),
                frozenLeft,
                (Faults.M32 ? 0 : bufferedChangeBytes)
                        + Math.max(blocks, unknownBlocks) * BlockSet.BLOCK_BYTES,
                bulkTotalBlocks,
                left,
                missingBytes,
                epochsCommitted);
    }

    /// How long the oldest write is here that the peer has not committed, in milliseconds, and
    /// never less, also when the clock on the wall was set back: 0 when there is none,
    /// [Long#MAX_VALUE] when nobody knows.
    public long missingForMillis(long nowNanos) {
        long oldest = buffer.isEmpty() ? dirtySince : Math.min(dirtySince, buffer.peek().since);
        if (!frozen.isEmpty()) {
            oldest = Math.min(oldest, frozenSince);
        }
        if (oldest == Long.MAX_VALUE) {
            return 0;
        }
        return oldest == 0 ? Long.MAX_VALUE : clock.millisSince(oldest, nowNanos);
    }

    /// When the piece that has been at the disk for longest went there, as of the tick before it,
    /// on the clock of [#tick]; [Long#MAX_VALUE] when none is there.
    public long atDiskSinceNanos() {
        return lock.oldestNanos();
    }

    /// Since when the oldest of the writes and flushes waits that the peer has to acknowledge,
    /// under protocol C or in front of a full buffer, as of the tick before it, on the clock of
    /// [#tick]; [Long#MAX_VALUE] when none does.
    public long waitsForPeerSinceNanos() {
        long since = waitForPeer.isEmpty() ? Long.MAX_VALUE : waitForPeer.peek().sinceNanos();
        return othersWaitForRoom() ? Math.min(since, waitForRoom.getFirst().parkedNanos) : since;
    }

    /// What was written that the peer may lack: for a side that stands apart from it, and writes
    /// on. A few milliseconds of work at most.
    public Frame.Wrote wrote() {
        boolean isExact =
                !marksMore
                        && !dirty.isRoundedUp()
                        && suspect.isEmpty() // Where memory is short it takes what is written.
                        && frozen.isEmpty();
        boolean isCounted = bufferedBlocks <= COUNTED_BLOCKS;
        long buffered = isCounted ? unmarked() : bufferedBlocks;
        return OwnWrites.said(
                config.resource,
                ancestry,
                position(),
                // Of a disk that is doubted the marks do not say what it holds.
                trustsDisk() ? OwnWrites.since(ancestry, peerCopy()) : Position.NONE,
                new WriteTimes(missingSinceMillis, wroteMillis),
                OwnWrites.endedInACrash(ancestry, position()),
                new OwnWrites.Count(
                        dirty.count() + frozen.count() + buffered,
                        isExact && isCounted,
                        suspect.count()));
    }

    /// Blocks of the buffer that are not marked, each counted once.
    private long unmarked() {
        BlockSet found = new BlockSet(dirty.capacity());
        for (Op op : buffer) {
            for (long block = firstBlock(op); block < endBlock(op); block++) {
                if (!dirty.contains(block)) {
                    found.add(block);
                }
            }
        }
        return found.count();
    }

    private static long blocksOf(Op op) {
        return endBlock(op) - firstBlock(op);
    }

    private static long firstBlock(Op op) {
        return op.offsetBytes / BlockSet.BLOCK_BYTES;
    }

    private static long endBlock(Op op) {
        return BlockSet.blocksOf(op.offsetBytes + op.lengthBytes);
    }

    /// By how much the clock on the wall was set back since the attach.
    public long setBackMillis() {
        return clock.setBackMillis();
    }

    /// Blocks written lately, the last ones first; none after [#detach].
    public List<Long> recentlyWritten(int most) {
        return log.recent(most);
    }

    /// Whether no piece and no read of an epoch is in flight or parked.
    public boolean isIdle() {
        return lock.heldCount() + lock.waitingCount() + waitForRoom.size() == 0;
    }

    /// Ends the resource's life here: nothing is in flight any more, what the peer may lack is in
    /// the sets (R9: what is left in the buffer becomes bits). Carry out [#nextTransaction] until
    /// it has no more.
    ///
    /// @throws IllegalStateException if a piece is still in flight or parked
    public void detach() {
        endVerify("the resource was detached, or its device enlarged");
        sessionDown();
        if (!isIdle()) {
            throw new IllegalStateException("detached with requests in flight");
        }
        bufferToDirty();
        thaw();
        // All of it that is not acknowledged is marked by now, and need not be compared.
        evicted.clear();
        newlyEvicted.clear();
        ending = true;
    }

    // ---- what is durable
    // -----------------------------------------------------------------------------------------

    /// What is to be made durable next, or null. Tell the outcome by [#transactionDone] or
    /// [#transactionFailed]; there is one at a time.
    public Transaction nextTransaction() {
        if (transaction != null || failed) {
            return null;
        }
        List<Long> leaving = ending ? log.planEnd() : log.plan(waitForLog);
        boolean keeping = ending || isKeepingDue();
        if (!log.isPlanned() && !keeping && eraDue == null && !isTellDue() && marked.isEmpty()) {
            return null;
        }
        if (!ending) {
            evict(leaving);
        }
        DurableBitmap.Missing missing = missing();
        if (eraDue == null && keeping && missing.isEmpty() && !bitmap.isEmpty()) {
            eraDue = Transaction.Blank.CLEAR;
        }
        List<Transaction.Page> pages = new ArrayList<>();
        eraBegins = eraDue != null;
        if (eraBegins) {
            era++;
            blank = eraDue;
            eraDue = null;
        } else {
            pages.addAll(bitmap.pagesOf(withMarked(leaving, missing), missing));
            if (keeping && leaving.isEmpty()) {
                int looks = ending ? Integer.MAX_VALUE : DurableBitmap.SWEEP_PAGES;
                pages.addAll(bitmap.sweep(missing, looks));
            }
        }
        if (keeping) {
            // The next part of a sweep has time: 31 GiB of the device in each of these intervals is
            // more than a link brings, and whoever waits for an extent does not wait for a sweep.
            keptNanos = nowNanos;
        }
        if (!log.isPlanned() && !eraBegins && pages.isEmpty() && !isTellDue() && isAllDurable()) {
            return null;
        }
        transaction =
                new Transaction(
                        ++transactionNumber,
                        era,
                        blank,
                        peerCopy(),
                        isStreaming() ? transactionNumber : durableTold,
                        new WriteTimes(missingSinceMillis, wroteMillis),
                        !leaving.isEmpty() && !Faults.M6,
                        pages,
                        log.listed());
        return transaction;
    }

    /// The extents that leave the log, and some of those whose blocks an operator has marked.
    private List<Long> withMarked(List<Long> leaving, DurableBitmap.Missing missing) {
        while (!marked.isEmpty() && markedNow.size() < DurableBitmap.SWEEP_PAGES) {
            long extent = marked.pollFirst();
            if (!bitmap.isCovered(extent, missing)) {
                markedNow.add(extent);
            }
        }
        List<Long> all = new ArrayList<>(leaving);
        all.addAll(markedNow);
        return all;
    }

    /// What is acknowledged is made durable now and then, and what is not missing any more taken
    /// off the disk's bitmap.
    private boolean isKeepingDue() {
        return nowNanos - keptNanos >= limits.keepNanos() && (!isAllDurable() || !bitmap.isEmpty());
    }

    /// What the peer acknowledged is in a transaction.
    public boolean isAllDurable() {
        return peerCopy().equals(durablePeer);
    }

    private boolean isTellDue() {
        return tellDue && isStreaming();
    }

    private boolean isEraDue() {
        return eraDue != null || transaction != null && eraBegins;
    }

    /// Whether the peer may be told of what is made durable now.
    private boolean isStreaming() {
        return session != 0
                && switch (state) {
                    case OFF, HANDSHAKE -> false;
                    case ESTABLISHED, FIRST_SYNC, COMPARE, AHEAD, SYNC_SOURCE, PAUSED -> true;
                };
    }

    /// The transaction is durable: what waited for its extents goes on.
    public void transactionDone(Transaction done) {
        log.done();
        bitmap.done(done, eraBegins);
        durableTransaction = done.number();
        durablePeer = done.peer();
        durableTold = done.told();
        transaction = null;
        markedNow.clear();
        if (eraBegins || tellDue) {
            tellDue = durableTold < durableTransaction;
            fx.wakeSender();
        }
        List<Op> waited = List.copyOf(waitForLog);
        waitForLog.clear();
        for (Op op : waited) {
            if (!Faults.M4) {
                goOn(op);
            }
        }
        if (!waitForLog.isEmpty()
                || eraDue != null
                || isTellDue()
                || log.isCrowded()
                || !marked.isEmpty()) {
            fx.wakeKeeper();
        }
    }

    /// The metadata cannot be kept: nothing more is written (a failed sync is final).
    public void transactionFailed(String why) {
        if (Faults.M5) {
            transactionDone(transaction);
            return;
        }
        diskFailed(why);
    }

    private void leaveLog(Op op, long number) {
        if (Faults.M4) {
            return;
        }
        log.leave(op, number);
        if (!waitForLog.isEmpty()) {
            fx.wakeKeeper();
        }
    }

    /// What was written in these extents and is not acknowledged gets its bits (R8).
    private void evict(List<Long> leaving) {
        long acknowledged = committedNumber();
        if (acknowledged >= evictedUpTo) {
            BlockSet emptied = evicted;
            emptied.clear();
            evicted = newlyEvicted;
            evictedUpTo = newlyEvictedUpTo;
            newlyEvicted = emptied;
            newlyEvictedUpTo = 0;
        }
        for (long extent : leaving) {
            if (log.lastNumber(extent) > acknowledged) {
                log.forEachWritten(extent, this::evict);
                newlyEvictedUpTo = Math.max(newlyEvictedUpTo, log.lastNumber(extent));
            }
        }
    }

    /// What is marked already stays so until the peer has all that was written there by now. The
    /// epoch does not: it may have been frozen before.
    private void evict(long block) {
        if (!dirty.contains(block) && !suspect.contains(block)) {
            newlyEvicted.add(block);
        }
    }

    /// Everything that the peer may lack, but for what the buffer holds in active extents.
    private DurableBitmap.Missing missing() {
        bulkDirty.clear();
        bulkSuspect.clear();
        for (SyncSent sent : syncInFlight) {
            bulkDirty.addRange(sent.run().first(), sent.run().end());
        }
        for (Content content : ready) {
            bulkDirty.addRange(content.run().first(), content.run().end());
        }
        for (ReadRun run : reading) {
            if (!isOfVerify(run)) {
                BlockSet into = run.purpose() == ReadRun.Purpose.COMPARE ? bulkSuspect : bulkDirty;
                into.addRange(run.blocks().first(), run.blocks().end());
            }
        }
        comparison.forEachOpen(bulkSuspect::addBytes);
        return new DurableBitmap.Missing(
                List.of(dirty, frozen, bulkDirty),
                List.of(suspect, evicted, newlyEvicted, bulkSuspect));
    }
}
