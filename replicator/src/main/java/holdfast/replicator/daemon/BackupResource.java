package holdfast.replicator.daemon;

import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.Committer;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.device.PackedSegment;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BackupEffects;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.ClockCheck;
import holdfast.replicator.state.CopyAge;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.Now;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Retention;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.Position;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.function.LongConsumer;
import java.util.function.Supplier;

/// The mailbox, the journal and the base around a [Backup]. It decides nothing.
///
/// All calls into the deciding object come one after the other from the mailbox, so its effects may
/// wait for the disk: what piles up meanwhile is bounded by the credit the peer was given.
final class BackupResource {
    /// First-sync data that may be in the base without being synced.
    private static final long SYNC_EVERY_BYTES = 16 << 20;

    /// What the peer may send ahead of us: the link's rate times its delay, 1 Gbit/s at 64 ms.
    static final long WINDOW_BYTES = 8 << 20;

    /// Credit is given back in pieces of this size: a sender never waits for less.
    private static final long GRANT_BYTES = WINDOW_BYTES / 8;

    /// What may wait for the committer: half of it before credit is withheld, and then the window,
    /// headers included.
    private static final long QUEUE_BYTES = 4 * WINDOW_BYTES;

    private static final long RETRY_MIN_NANOS = 1_000_000_000L;

    /// How often it is seen whether something has become old enough to make room.
    private static final long ROOM_NANOS = 1_000_000_000L;

    private static final long RETRY_MAX_NANOS = 60_000_000_000L;

    /// What clients of a promoted copy have written is synced so often at least, so that what
    /// nobody flushes is not lost for long, and soon among the moments.
    private static final long OWN_SYNC_NANOS = 1_000_000_000L;

    private static final String CLOSED = "the copy is closed";

    private static final Logger LOG = LoggerFactory.getLogger(BackupResource.class);

    private final String name;

    /// As an operator types it.
    private final String connectCommand;

    /// The same, with a place for the pin's name.
    private final String dropCommand;

    private final BlockDevice base;
    private final JournalFiles journal;
    private final Committer committer;
    private final Committer.Writer appends;
    private final Executor pool;
    private final ResourceDir store;
    private final BiConsumer<String, String> events;
    private final BiConsumer<String, String> stateIs;
    private final Mailbox mailbox;
    private final Backup backup;
    private final CopyDigester digester;
    private final SegmentIndexes indexes;
    private final WholeRecords records;
    private final SegmentPacker packer;
    private final String damage;
    private final PinStore pins;

    // Owned by the mailbox.
    private PeerSession session;
    private int stream;

    /// Credit of what was taken in and not given back yet.
    private long owedBytes;

    private long baseSession;
    private long lastBaseSequence;
    private long unsyncedBaseBytes;
    private boolean baseDirty;

    /// Others read it.
    private volatile boolean stopping;

    /// No peer writes to the copy: it is promoted, or being promoted. Others read it.
    private volatile boolean taken;

    /// [#stop] has ended: nothing is written any more.
    private boolean closed;

    /// What the primary of a promoted copy writes to; null while it is not attached. The committer
    /// tells it by itself what is written.
    private volatile JournaledDevice own;

    /// What [#own] has written and the journal has not taken yet.
    private final ArrayDeque<JournaledDevice.Write> ownWrites = new ArrayDeque<>();

    /// What is appended is a write of [#own], which nobody waits for to be durable: only within
    /// [#takeOwnWrites].
    private boolean appendsUnsynced;

    /// Moments that are open and read.
    private final List<OpenPoint> points = new ArrayList<>();

    /// Of the index of the newest moment.
    private volatile int newestRuns;

    /// What the mailbox knew when it was last empty.
    private volatile Snapshot snapshot;

    /// Records of the journal that nobody is to read.
    private volatile Set<Long> unreadable = Set.of();

    /// What of the newest moment cannot be read is not known, or not all of it.
    private volatile boolean doubted;

    /// Who waits until everything is in the base.
    private final AtomicInteger hurries = new AtomicInteger();

    // When a base without space is tried again: each wait twice the one before, until it takes
    // data.
    private long retryNanos;
    private volatile long retryAtNanos;
    private volatile boolean retryDue;

    // The timer's.
    private long tickedNanos;
    private long ownSyncedNanos;

    /// @param completeMillis wall time of the primary until which the copy is complete, 0 if
    ///   unknown
    /// @param age how old it is; null if unknown
    /// @param newestReceiptMillis of the newest moment, 0 while there is none
    /// @param doubtMillis what this host's clock says has passed, and does not count yet
    /// @param oldestMillis that of the oldest moment that can be opened, 0 while there is none
    /// @param retention in force
    /// @param neededBytes as [Backup#neededBytes]
    /// @param lacksBytes what the journal lacks for the epoch that the peer, or the primary of a
    ///   promoted copy, wants to bring; 0 for nothing
    /// @param nextMoment journal offset of the first moment behind the base, 0 while there is none
    /// @param heldUntil as [Backup#heldUntilMillis], by this host's clock
    /// @param viewInTheWay as [Backup#inTheWay], its id; 0 for none
    /// @param kept names of the moments that are kept, oldest first
    /// @param endedOpen those whose moments have ended, and that stay as long as they are open
    record Snapshot(
            DiskState disk,
            Position committed,
            boolean hasPoint,
            boolean mixture,
            long completeMillis,
            CopyAge age,
            long newestReceiptMillis,
            long doubtMillis,
            long oldestMillis,
            long journalUsedBytes,
            Retention retention,
            Optional<Long> neededBytes,
            long lacksBytes,
            long nextMoment,
            boolean holding,
            boolean wantsRoom,
            boolean rollUrgent,
            Optional<Instant> heldUntil,
            long viewInTheWay,
            List<String> kept,
            List<Pins.Pin> endedOpen,
            String replication,
            String rot,
            String noSpace,
            String refusal,
            String peerTrouble) {
        boolean isFailed() {
            return disk == DiskState.FAILED;
        }

        boolean isRotten() {
            return !rot.isEmpty();
        }

        boolean hasPins() {
            return !kept.isEmpty();
        }
    }

    /// @param idle whose threads give way to all others
    /// @param countsPacked there is as much space as the journal may take, so what packed segments
    ///   save is room
    /// @param stateIs takes what of [StateChanges] has which value now, in order
    BackupResource(
            String name,
            BlockDevice base,
            JournalFiles journal,
            Committer committer,
            Backup.Config config,
            Backup.Base durable,
            long incarnation,
            Executor pool,
            Executor idle,
            boolean countsPacked,
            PrimaryResource.ReadPace pace,
            ResourceDir store,
            PinStore pins,
            String connectCommand,
            String dropCommand,
            BiConsumer<String, String> events,
            BiConsumer<String, String> stateIs)
            throws IOException {
        this.name = name;
        this.connectCommand = connectCommand;
        this.dropCommand = dropCommand;
        this.base = base;
        this.journal = journal;
        this.pool = pool;
        this.store = store;
        this.pins = pins;
        this.events = events;
        this.stateIs = stateIs;
        this.mailbox = new Mailbox(pool, this::mailboxIsEmpty, this::broken);
        this.backup = new Backup(config, durable, incarnation, new Effects());
        this.digester = new CopyDigester(backup, base, this::readDamaged, mailbox, pool, pace);
        this.packer =
                new SegmentPacker(
                        journal,
                        pool,
                        idle,
                        (address, bytes) -> mailbox.post(() -> backup.packed(address, bytes)));
        this.indexes =
                new SegmentIndexes(
                        config.resource(),
                        journal,
                        pool,
                        packer::add,
                        at -> mailbox.post(() -> backup.damageFound(at)));
        this.records = new WholeRecords(config.resource(), journal);
        this.committer = committer;
        if (countsPacked) {
            journal.packed().forEach(backup::packed);
        }
        // What stands behind damage is given up by a start. What the disk fails to read it may read
        // tomorrow: that is not taken for damage here, and the copy is not opened.
        this.damage =
                backup.recover(
                        journal::readDamaged,
                        indexes::of,
                        damages(config.resource()),
                        journal.endOffset());
        backup.pins(pins.pins(), pins.lastId());
        pins.damages().forEach(each -> backup.pinDamaged(each.pin(), each.why()));
        indexes.begin(durable.watermark());
        packWhatIsWhole();
        this.appends =
                committer.register(
                        journal,
                        QUEUE_BYTES,
                        new Committer.Listener() {
                            @Override
                            public void written(long endOffset) {
                                JournaledDevice device = own;
                                if (device != null) {
                                    device.written(JournalRecord.padded(endOffset));
                                }
                            }

                            @Override
                            public void durable(long endOffset) {
                                // What is written ends with the data, a record with its padding.
                                mailbox.post(
                                        () -> {
                                            backup.durable(JournalRecord.padded(endOffset));
                                            payCredit();
                                        });
                                indexes.durable(endOffset);
                            }

                            @Override
                            public void failed(DeviceException why) {
                                mailbox.post(() -> backup.failed(why.getMessage()));
                            }
                        });
        if (damage != null) {
            events.accept("journal-damaged", journal + ": " + damage);
        }
        if (damage != null || backup.isDoubted()) {
            mailbox.post(this::lookForRoll);
        }
        takeSnapshot();
        mailbox.post(() -> backup.tick(now()));
    }

    /// What is known of damage. A note that the disk cannot read may be read tomorrow: then the
    /// copy is not opened. One that is broken goes, durably, before a start cuts anything.
    private List<SegmentIndex> damages(UUID resource) throws DeviceException {
        List<SegmentIndex> notes = new ArrayList<>();
        for (long address : journal.damages()) {
            try {
                notes.add(SegmentIndex.decode(journal.damage(address), resource, address));
            } catch (OutOfMemoryError e) {
                throw new DeviceException(
                        0,
                        "%s: no memory for the note of damage at offset %d: %s; give the daemon more: HOLDFAST_JAVA_OPTS=-Xmx2g"
                                .formatted(journal, address, e.getMessage()));
            } catch (RuntimeException e) {
                events.accept(
                        "journal-damaged",
                        "%s: the note of damage at offset %d is no use: %s"
                                .formatted(journal, address, e.getMessage()));
                journal.dropDamages(address, address + 1);
            }
        }
        return notes;
    }

    // ---- the link ----------------------------------------------------------------------------

    /// The peer's primary greets on this session: begin anew.
    void greeted(PeerSession peer, Frame.ResourceHello hello) {
        mailbox.post(
                () -> {
                    if (hello.role() != Role.PRIMARY.ordinal() + 1 || taken) {
                        return;
                    }
                    if (hello.diskState() == DiskState.DISKLESS.ordinal()) {
                        if (peer == session) {
                            leaveStream(); // It is detached.
                            session = null;
                            backup.sessionDown();
                        }
                        greet(peer); // It asks before it is exported (R30).
                        return;
                    }
                    if (peer == session && hello.diskState() == DiskState.FAILED.ordinal()) {
                        backup.primaryFails();
                        return;
                    }
                    leaveStream();
                    session = peer;
                    long generation = hello.ancestry().generation();
                    try {
                        // A device grows by a new generation (docs/protocol.md): the moments of one
                        // that there are have their size, whatever is said now.
                        if (!isFailed() && backup.ancestry().indexOf(generation) < 0) {
                            store.grownIn(hello.sizeBytes(), generation);
                        }
                    } catch (IOException e) {
                        backup.failed(e.getMessage());
                    }
                    backup.sessionUp(hello);
                });
    }

    /// Asks the primary on this session to greet, when it does not use it.
    void call(PeerSession peer) {
        mailbox.post(
                () -> {
                    if (peer == session) {
                        greet(peer);
                    } else {
                        callAnew(peer);
                    }
                });
    }

    /// The primary may wait for the answer to a greeting that went to whatever was here before, and
    /// would take ours for it: so it is told first that nobody will give it.
    private void callAnew(PeerSession peer) {
        peer.send(new Frame.Refused(backup.hello().resource(), Backup.NOT_GREETED));
        greet(peer);
    }

    private void greet(PeerSession peer) {
        backup.greeting().forEach(peer::send);
    }

    /// What is still on its way on our stream is passed over.
    private void leaveStream() {
        if (session != null && stream != 0) {
            session.drop(stream);
        }
        stream = 0;
    }

    void received(PeerSession peer, Frame.OfResource frame) {
        mailbox.post(
                () -> {
                    if (peer != session && frame instanceof Frame.StreamStart) {
                        // It took what was said to somebody else for its answer.
                        callAnew(peer);
                        return;
                    }
                    // The answer to a call of ours is a refusal where the primary is not there yet.
                    if (peer != session && !(frame instanceof Frame.Refused)) {
                        return;
                    }
                    if (frame instanceof Frame.StreamStart start) {
                        stream = start.stream();
                        owedBytes = 0;
                        session.grant(stream, WINDOW_BYTES);
                    }
                    backup.on(frame);
                    tellState();
                });
    }

    /// The frames of one packet, all of them data.
    void received(PeerSession peer, int onStream, List<Frame> frames) {
        mailbox.post(
                () -> {
                    Now now = now();
                    for (Frame frame : frames) {
                        if (peer == session && onStream == stream) {
                            backup.on((Frame.Data) frame, FrameCodec.sizeOf(frame), now);
                            tellState();
                        }
                    }
                });
    }

    void disconnect(PeerSession peer) {
        mailbox.post(
                () -> {
                    if (peer == session) {
                        leaveStream();
                        session = null;
                        backup.sessionDown();
                    }
                });
    }

    /// As [Backup#growJournal].
    void growJournal(long bytes) {
        mailbox.post(() -> backup.growJournal(bytes));
    }

    /// The base has this size from now on, durably.
    void grown(long sizeBytes) {
        mailbox.post(() -> backup.grow(sizeBytes));
    }

    /// What the clocks show; from the mailbox.
    Now now() {
        long nanos = System.nanoTime();
        long wallMillis = System.currentTimeMillis();
        PeerClock.Reading peer =
                session == null ? null : session.peerClock().at(nanos, wallMillis).orElse(null);
        return new Now(nanos, wallMillis, peer);
    }

    /// Looks at what the mailbox owns. What breaks an invariant there ends the wait as well.
    <T> T look(Function<Backup, T> at) {
        CompletableFuture<T> seen = new CompletableFuture<>();
        mailbox.post(
                () -> {
                    try {
                        seen.complete(at.apply(backup));
                    } catch (RuntimeException e) {
                        seen.completeExceptionally(e);
                        throw e;
                    }
                });
        return seen.join();
    }

    /// As [Backup#discard].
    String discard(long generation, String keptAs, long forMillis) {
        return look(
                backup -> {
                    backup.tick(now());
                    return backup.discard(generation, keptAs, forMillis);
                });
    }

    /// How long records stay in the journal from now on.
    ///
    /// @param indexRuns as in [Backup#retain]
    void retain(Retention retention, int indexRuns) {
        mailbox.post(() -> backup.retain(retention, indexRuns));
    }

    /// The journal goes on where it is found damaged, and what stands behind that is given up.
    ///
    /// @throws DeviceException if it cannot be cut there: it stays as it is
    void cutDamage() throws DeviceException {
        DeviceException failed =
                ask(
                        () -> {
                            if (!backup.isToBeCut()) {
                                return null;
                            }
                            if (!backup.isListWritten()) {
                                return new DeviceException(
                                        0, "the list of what is kept cannot be written");
                            }
                            try {
                                journal.cut(backup.end());
                                backup.cut();
                                return null;
                            } catch (DeviceException e) {
                                return e;
                            }
                        });
        if (failed != null) {
            throw failed;
        }
    }

    /// What was found damaged of the journal when it was opened.
    Optional<String> damageAtStart() {
        return Optional.ofNullable(damage);
    }

    // ---- a promoted copy ---------------------------------------------------------------------

    /// Blocks that go into the journal as one record when an older moment is restored.
    private static final int RESTORE_BYTES = 128 << 10;

    private static final int EXTENTS_AT_ONCE = 1024;

    /// How long room is waited for.
    private static final long ROOM_LIMIT_NANOS = 30_000_000_000L;

    /// How long the journal's disk may make nothing durable of what was written before, until an
    /// order that waits for that is refused.
    static final Duration ANSWERS = Duration.ofSeconds(30);

    /// For whoever waits as long as it takes.
    static final Duration NO_LIMIT = Duration.ofNanos(Long.MAX_VALUE);

    /// From now on no peer writes to the copy. What one has sent is in it, or dropped, when this
    /// returns.
    ///
    /// @param limit how long nothing may become durable
    /// @throws DeviceException if nothing did for so long: what was written before comes into the
    ///   copy when the disk answers, and no peer writes to it until [#giveBack]
    void take(Duration limit) throws DeviceException {
        ask(
                () -> {
                    taken = true;
                    leaveStream();
                    session = null;
                    backup.sessionDown();
                    return null;
                });
        storeAll(limit);
    }

    /// What was appended before is durable when this returns, or the journal has failed: however
    /// slow its disk is, if only it goes on.
    ///
    /// @param limit how long nothing may become durable
    /// @throws DeviceException if nothing did for so long
    void storeAll(Duration limit) throws DeviceException {
        long until = ask(backup::end);
        long reached = ask(backup::appliedEnd);
        long since = System.nanoTime();
        while (!ask(() -> isFailed() || backup.appliedEnd() >= until)) {
            appends.sync();
            long now = ask(backup::appliedEnd);
            if (now != reached) {
                reached = now;
                since = System.nanoTime();
            } else if (System.nanoTime() - since > limit.toNanos()) {
                throw doesNotAnswer(limit);
            }
            LockSupport.parkNanos(2_000_000);
        }
    }

    private DeviceException doesNotAnswer(Duration limit) {
        return new DeviceException(
                0,
                "%s has not stored for %d s what was written to it; see why its disk hangs (dmesg, and what it is on)"
                        .formatted(journal, limit.toSeconds()));
    }

    /// Whether all that was appended is in the copy, or never will be; if it is not, it will be
    /// soon.
    private boolean isAllDurable() {
        if (isFailed() || backup.appliedEnd() >= backup.end()) {
            return true;
        }
        appends.sync();
        return false;
    }

    /// What [#own] has written becomes durable soon.
    void syncOwn() {
        appends.sync();
    }

    /// Makes durable what clients of a promoted copy were answered before, so that it is in the
    /// newest moment when this returns.
    ///
    /// @param limit a disk that is slower than that is not waited for
    /// @return false when it is not: the disk is slow, or the journal or the base has failed
    boolean bringUp(Duration limit) {
        long until = ask(backup::end);
        long deadline = System.nanoTime() + limit.toNanos();
        appends.sync();
        while (!ask(() -> isFailed() || backup.appliedEnd() >= until)
                && System.nanoTime() < deadline) {
            LockSupport.parkNanos(1_000_000);
        }
        return ask(() -> backup.appliedEnd() >= until);
    }

    private boolean isFailed() {
        return backup.diskState() == DiskState.FAILED;
    }

    /// The device of this host's primary, after [#take].
    JournaledDevice own(long sizeBytes) {
        return ask(
                () -> {
                    if (own == null) {
                        own =
                                new JournaledDevice(
                                        this, base, sizeBytes, backup.committedIndex().copy());
                        publishedEnd = backup.appliedEnd();
                    }
                    return own;
                });
    }

    /// Nothing of it can be relied on any more until it is opened again.
    void failed(String why) {
        mailbox.post(() -> backup.failed(why));
    }

    /// The primary is detached. What it has not been answered is not written any more, but for what
    /// the committer has already: that is in the journal when its disk answers, as behind a write
    /// that failed at any disk.
    void fence() {
        ask(
                () -> {
                    if (own != null) {
                        own.failed("the resource was detached");
                        own = null;
                        backup.sessionDown(); // Nobody waits for room any more.
                    }
                    ownWrites.clear();
                    waitsSinceNanos = 0;
                    return null;
                });
    }

    /// No primary of this host writes to the copy after all.
    void giveBack() {
        fence();
        ask(
                () -> {
                    taken = false;
                    return null;
                });
    }

    /// One generation of the primary begins: the copy is at its first position, by an epoch of the
    /// blocks that must change for it, durably when this returns. A crash before leaves the copy
    /// where it was.
    ///
    /// @param restored what the device is to be; null: what it is
    /// @param patience how long nothing may become durable of what is taken back when this fails
    /// @param limit how long the commit may take: it comes when the disk answers, and as a crash
    ///   behind it would leave it
    /// @throws IOException if there is no room, or the journal or the base fails, or a limit is
    ///   over
    void begin(Ancestry ancestry, OpenPoint restored, Duration patience, Duration limit)
            throws IOException {
        List<Restored> parts = restored == null ? List.of() : toRestore(restored);
        long blocks = 0;
        long zeroes = 0;
        for (Restored part : parts) {
            if (part.data()) {
                blocks += BlockSet.blocksOf(part.lengthBytes()) + 1;
            } else {
                zeroes++;
            }
        }
        Frame.EpochBegin begin = new Frame.EpochBegin(ancestry.generation(), blocks, zeroes);
        requireRoom(begin, restored);
        try {
            begin(begin);
            for (Restored part : parts) {
                restore(restored, part, begin.epoch(), patience);
            }
            storeAll(patience);
            String staged = ask(backup::stagedDamage);
            if (!staged.isEmpty()) {
                throw new IOException("%s: %s; give the order again".formatted(journal, staged));
            }
        } catch (IOException | RuntimeException e) {
            ask(
                    () -> {
                        backup.abandonOwn();
                        return null;
                    });
            throw e;
        }
        CompletableFuture<Void> durable = new CompletableFuture<>();
        mailbox.post(
                () -> {
                    backup.commitOwn(
                            new Position(ancestry.generation(), 0),
                            System.currentTimeMillis(),
                            ancestry);
                    waiters.add(new Waiter(backup.end(), durable));
                });
        await(durable, limit);
    }

    /// A range of the device that has changed since a moment: with data then, or without.
    private record Restored(long offsetBytes, long lengthBytes, boolean data) {}

    /// How many bytes of the device have changed since a moment, as far as is known: 0 when it is
    /// what it was then.
    long changedSince(OpenPoint then) {
        return changed(then).stream().mapToLong(each -> each.endBytes() - each.offsetBytes()).sum();
    }

    /// Where the device may differ from what it was then. Behind a moment that is kept and that the
    /// base has passed that is what the journal holds and what was saved of the base: in this
    /// order, for a roll saves what it takes out of the journal before it does.
    private List<Pins.Range> changed(OpenPoint then) {
        record Seen(List<JournalIndex.Run> since, long sizeBytes) {}
        Seen seen = ask(() -> new Seen(backup.since(then.moment()), backup.hello().sizeBytes()));
        List<Pins.Range> ranges = new ArrayList<>();
        for (JournalIndex.Run run : seen.since()) {
            ranges.add(new Pins.Range(run.offsetBytes(), run.endBytes()));
        }
        if (then.view().pin() != 0) {
            ranges.addAll(pins.saved(then.view().pin()));
        }
        ranges.sort(Comparator.comparingLong(Pins.Range::offsetBytes));
        List<Pins.Range> changed = new ArrayList<>();
        long end = 0;
        for (Pins.Range each : ranges) {
            long from = Math.max(end, each.offsetBytes());
            long to = Math.min(each.endBytes(), seen.sizeBytes());
            if (from < to) {
                changed.add(new Pins.Range(from, to));
                end = to;
            }
        }
        return changed;
    }

    private List<Restored> toRestore(OpenPoint then) throws IOException {
        List<Restored> parts = new ArrayList<>();
        for (Pins.Range range : changed(then)) {
            for (long at = range.offsetBytes(); at < range.endBytes(); ) {
                for (Extent each : extents(then, at, range.endBytes() - at)) {
                    parts.add(new Restored(at, each.lengthBytes(), !each.zero()));
                    at += each.lengthBytes();
                }
            }
        }
        return parts;
    }

    private static List<Extent> extents(OpenPoint then, long offset, long length)
            throws IOException {
        try {
            return then.extents(offset, length, EXTENTS_AT_ONCE);
        } catch (ExportException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    /// What cannot have room rolls nothing into the base for it.
    private void requireRoom(Frame.EpochBegin begin, OpenPoint restored) throws IOException {
        Backup.View view = restored == null ? null : restored.view();
        long lacks = ask(() -> backup.lacksForOwn(begin, view, now()));
        if (lacks > 0) {
            throw lacksRoom(lacks, begin);
        }
    }

    private IOException lacksRoom(long bytes, Frame.EpochBegin begin) {
        return new IOException(
                "%s lacks %d bytes of room for the %d blocks that have changed since"
                        .formatted(journal, bytes, begin.blocks()));
    }

    /// What is older is rolled into the base meanwhile, if that makes the room.
    private void begin(Frame.EpochBegin begin) throws IOException {
        long deadline = System.nanoTime() + ROOM_LIMIT_NANOS;
        while (!ask(() -> takeOwn(begin))) {
            if (ask(this::isFailed)) {
                throw new IOException("the journal or the base has failed");
            }
            if (System.nanoTime() > deadline) {
                throw lacksRoom(ask(backup::missingForEpoch), begin);
            }
            LockSupport.parkNanos(100_000_000);
        }
    }

    private void restore(OpenPoint from, Restored part, long epoch, Duration patience)
            throws IOException {
        if (!part.data()) {
            requireTaken(new Frame.EpochZero(0, epoch, part.offsetBytes(), part.lengthBytes()));
            return;
        }
        for (long at = 0; at < part.lengthBytes(); ) {
            int length = (int) Math.min(RESTORE_BYTES, part.lengthBytes() - at);
            ByteBuffer data = ByteBuffer.allocate(length);
            from.read(part.offsetBytes() + at, data);
            if (appends.queuedBytes() > QUEUE_BYTES / 2) {
                storeAll(patience);
            }
            requireTaken(new Frame.EpochBlocks(0, epoch, part.offsetBytes() + at, data.flip()));
            at += length;
        }
    }

    private void requireTaken(Frame.Data part) throws IOException {
        if (!ask(() -> takeOwn(part))) {
            throw new IOException(journal + " takes nothing more");
        }
    }

    /// @return false if there is no room, or the journal has failed
    private boolean takeOwn(Frame.Data frame) {
        return !isFailed() && backup.takeOwn(frame, now());
    }

    /// Whoever waits until the journal is durable up to an offset.
    private record Waiter(long address, CompletableFuture<Void> durable) {}

    private final List<Waiter> waiters = new ArrayList<>();

    private void await(CompletableFuture<Void> durable, Duration limit) throws IOException {
        try {
            durable.get(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            throw new IOException(e.getCause().getMessage(), e);
        } catch (TimeoutException e) {
            throw doesNotAnswer(limit);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while " + journal + " was written", e);
        }
    }

    private <T> T ask(Supplier<T> question) {
        CompletableFuture<T> answer = new CompletableFuture<>();
        mailbox.post(
                () -> {
                    try {
                        answer.complete(question.get());
                    } catch (RuntimeException e) {
                        answer.completeExceptionally(e);
                    }
                });
        return answer.join();
    }

    /// What the primary of a promoted copy writes, in order.
    void append(JournaledDevice from, JournaledDevice.Write write) {
        mailbox.post(
                () -> {
                    if (own == from) {
                        ownWrites.add(write); // Else it was fenced, and answered with an error.
                    }
                });
    }

    /// As many as the committer's queue has room for. The rest waits for a sync, whatever it lacks:
    /// where the journal has no room, only what is durable can be rolled; and where the queue is
    /// full, nothing but something durable wakes the mailbox when it has been written.
    private void takeOwnWrites(JournaledDevice device) {
        appendsUnsynced = true;
        try {
            while (!ownWrites.isEmpty()
                    && appends.queuedBytes() <= QUEUE_BYTES / 2
                    && takeOwn(frameOf(ownWrites.peek()))) {
                device.appended(ownWrites.poll(), backup.end());
            }
        } finally {
            appendsUnsynced = false;
        }
        if (!ownWrites.isEmpty()) {
            appends.sync();
        }
    }

    private Frame.Data frameOf(JournaledDevice.Write write) {
        Position at = backup.nextOwn();
        long now = System.currentTimeMillis();
        return write.data == null
                ? new Frame.Zero(0, at, now, write.offsetBytes, write.lengthBytes, write.punch)
                : new Frame.Write(0, at, now, write.offsetBytes, write.data.duplicate());
    }

    /// Tells the device of a promoted copy what has become of what it wrote.
    private void settleOwn() {
        if (isFailed()) {
            String why = "the journal or the base of %s has failed".formatted(name);
            waiters.forEach(each -> each.durable().completeExceptionally(new IOException(why)));
            waiters.clear();
            if (own != null) {
                own.failed(why);
            }
            return;
        }
        JournaledDevice device = own;
        if (device != null) {
            takeOwnWrites(device);
            waitsSinceNanos = ownWrites.isEmpty() ? 0 : waitsSinceNanos;
            if (!ownWrites.isEmpty() && waitsSinceNanos == 0) {
                waitsSinceNanos = System.nanoTime() | 1;
            }
            if (publishedEnd != backup.appliedEnd()) {
                publishedEnd = backup.appliedEnd();
                device.publish(backup.committedIndex().copy(), publishedEnd);
            }
        }
        waiters.removeIf(
                each -> backup.appliedEnd() >= each.address() && each.durable().complete(null));
    }

    /// What [#own] knows of.
    private long publishedEnd;

    /// Since when a write of [#own] waits for room; 0 when none does.
    private volatile long waitsSinceNanos;

    /// Whether the primary of a promoted copy has waited for room for so long.
    boolean hasWaited(long nanos) {
        long since = waitsSinceNanos;
        return since != 0 && System.nanoTime() - since > nanos;
    }

    // ---- pins --------------------------------------------------------------------------------

    /// How much all deltas may take.
    void keepMax(long bytes) {
        pins.maxBytes(bytes);
        tryAgain();
    }

    /// Of the index of the newest moment.
    int newestRuns() {
        return newestRuns;
    }

    PinStore pinStore() {
        return pins;
    }

    /// As [Backup#keep].
    String keep(String as, OpenPoint point, long sizeBytes, long forMillis) {
        return look(
                backup -> {
                    backup.tick(now());
                    return backup.keep(as, point.moment(), sizeBytes, forMillis);
                });
    }

    /// As [Backup#drop].
    String drop(String as) {
        return look(backup -> backup.drop(as));
    }

    /// Opens what is kept or marked under this name; null when there is nothing.
    ///
    /// @param room as [SegmentIndexes#image] asks it
    OpenPoint openPin(String as, LongConsumer room) throws IOException {
        record Began(Backup.View view, Backup.Bridge over, long movedBy) {}
        Began began =
                look(
                        backup -> {
                            Backup.View opened = backup.openView(as);
                            return new Began(
                                    opened,
                                    opened == null ? null : bridge(opened, opened.moment()),
                                    backup.base().movedBy());
                        });
        Backup.View view = began.view();
        if (view == null) {
            return null;
        }
        JournalIndex index = new JournalIndex();
        long end = view.moment().address();
        try {
            if (view.watermark() < end) {
                index = indexes.image(view.watermark(), end, began.over(), began.movedBy(), room);
            }
        } catch (IOException | RuntimeException e) {
            mailbox.post(() -> backup.closeView(view.id()));
            throw e;
        }
        OpenPoint point = new OpenPoint(this, view, view.moment(), false, index);
        return look(
                _ -> {
                    points.add(point);
                    baseHas(point);
                    return point;
                });
    }

    private Backup.Bridge bridge(Backup.View view, Moment to) {
        return backup.bridge(view.watermark(), to.address());
    }

    /// As [#read], of the moment of a pin; 0 for none.
    void read(long pin, JournalIndex index, long offsetBytes, ByteBuffer into)
            throws DeviceException {
        read(
                index,
                offsetBytes,
                into,
                this::readWhole,
                (at, part) -> {
                    if (pin == 0) {
                        base.read(at, part);
                    } else {
                        pins.read(pin, at, part, base);
                    }
                });
    }

    /// Where data and holes are below what the journal holds; as much of it as one look tells.
    List<Extent> extentsBelow(long pin, long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        return pin == 0
                ? Holes.extents(base, offsetBytes, lengthBytes, maxExtents)
                : pins.extents(pin, offsetBytes, lengthBytes, maxExtents, base);
    }

    // ---- moments -----------------------------------------------------------------------------

    /// Opens the newest moment; null while there is none.
    OpenPoint openPoint() {
        CompletableFuture<OpenPoint> opened = new CompletableFuture<>();
        mailbox.post(
                () -> {
                    Backup.View view = backup.openView();
                    opened.complete(view == null ? null : opened(view));
                });
        return opened.join();
    }

    /// Opens the newest moment with a label not after this.
    ///
    /// @return null when all that can be opened are later, or there is none
    /// @throws DeviceException if the journal cannot be read
    OpenPoint openPoint(long labelMillis) throws IOException {
        return openPoint(labelMillis, _ -> {});
    }

    /// @param room as [SegmentIndexes#image] asks it
    OpenPoint openPoint(long labelMillis, LongConsumer room) throws IOException {
        CompletableFuture<Found> began = new CompletableFuture<>();
        mailbox.post(() -> began.complete(find(labelMillis)));
        Found found = began.join();
        if (found == null || found.opened() != null) {
            return found == null ? null : found.opened();
        }
        OpenPoint point;
        try {
            point = read(found, labelMillis, room);
        } catch (IOException | RuntimeException e) {
            mailbox.post(() -> backup.closeView(found.view().id()));
            throw e;
        }
        CompletableFuture<OpenPoint> opened = new CompletableFuture<>();
        mailbox.post(
                () -> {
                    points.add(point);
                    baseHas(point);
                    opened.complete(point);
                });
        return opened.join();
    }

    /// Where to begin to look for a moment.
    ///
    /// @param opened it is the newest, and open
    /// @param next the first later one that is known; the moment looked for is in front of it
    private record Found(
            Backup.View view, OpenPoint opened, Moment next, Backup.Bridge over, long movedBy) {}

    private Found find(long labelMillis) {
        Moment from = backup.history().notAfter(labelMillis);
        if (from == null || !backup.hasPoint()) {
            return null;
        }
        if (from == backup.history().newest()) {
            return new Found(null, opened(backup.openView()), null, null, 0);
        }
        Backup.View view = backup.openView(from);
        return view == null
                ? null
                : new Found(
                        view,
                        null,
                        backup.history().behind(from.address()),
                        bridge(view, from),
                        backup.base().movedBy());
    }

    private OpenPoint opened(Backup.View view) {
        OpenPoint point =
                new OpenPoint(this, view, view.moment(), false, backup.committedIndex().copy());
        points.add(point);
        return point;
    }

    private OpenPoint read(Found found, long labelMillis, LongConsumer room) throws IOException {
        Moment moment = found.view().moment();
        if (!found.next().endsGap()) {
            moment = lastOf(moment, found.next(), labelMillis);
        }
        JournalIndex index =
                indexes.image(
                        found.view().watermark(),
                        moment.address(),
                        found.over(),
                        found.movedBy(),
                        room);
        boolean inGap = found.next().endsGap() && labelMillis > found.next().gapMillis();
        return new OpenPoint(this, found.view(), moment, inGap, index);
    }

    /// Of the moments from one up to another, between which no epoch is committed. What is left of
    /// one that was cut off, and then overtaken by a live record, is no moment.
    private Moment lastOf(Moment from, Moment until, long labelMillis) throws IOException {
        Moment last = from;
        for (JournalRecord each :
                indexes.records(from.address(), until.address(), from.incarnation())) {
            if (each.position().isNone()) {
                continue;
            }
            if (each.primaryMillis() > labelMillis) {
                break;
            }
            last =
                    new Moment(
                            each.address() + each.totalBytes(),
                            each.position(),
                            from.ancestry(),
                            Math.max(last.labelMillis(), each.primaryMillis()),
                            each.receiptMillis(),
                            each.tracked(),
                            each.incarnation(),
                            0);
        }
        return last;
    }

    /// The base holds part of what the point has in its index, maybe.
    private void baseHas(OpenPoint point) {
        long watermark = backup.base().watermark();
        if (watermark > point.view().watermark()) {
            point.baseHas(watermark);
            backup.viewReads(point.view(), watermark);
        }
    }

    /// Whoever reads of it may hang in a dead disk: then its part of the journal stays until it
    /// does not, and nobody else waits for that.
    void closePoint(OpenPoint point) {
        mailbox.post(
                () -> {
                    points.remove(point);
                    if (point.closesNow()) {
                        backup.closeView(point.view().id());
                    } else {
                        pool.execute(() -> closeWhenRead(point));
                    }
                });
    }

    private void closeWhenRead(OpenPoint point) {
        point.close();
        mailbox.post(() -> backup.closeView(point.view().id()));
    }

    /// Fills `into` from the image that base and index make together.
    void read(JournalIndex index, long offsetBytes, ByteBuffer into) throws DeviceException {
        read(index, offsetBytes, into, this::readWhole, base::read);
    }

    private interface OfJournal {
        void read(JournalIndex.Run run, ByteBuffer into) throws DeviceException;
    }

    private interface Below {
        void read(long offsetBytes, ByteBuffer into) throws DeviceException;
    }

    private void read(
            JournalIndex index, long offsetBytes, ByteBuffer into, OfJournal records, Below below)
            throws DeviceException {
        int begin = into.position();
        int end = into.limit();
        for (long at = offsetBytes;
                into.position() < end;
                at = offsetBytes + into.position() - begin) {
            long wanted = into.remaining();
            JournalIndex.Run run = index.at(at);
            if (run == null || run.offsetBytes() >= at + wanted) {
                below.read(at, into);
            } else if (run.offsetBytes() > at) {
                into.limit(into.position() + (int) (run.offsetBytes() - at));
                below.read(at, into);
                into.limit(end);
            } else {
                int part = (int) Math.min(wanted, run.lengthBytes());
                into.limit(into.position() + part);
                if (run.isZero()) {
                    Holes.zero(into);
                } else {
                    records.read(run, into);
                }
                into.limit(end);
            }
        }
    }

    private void readWhole(JournalIndex.Run run, ByteBuffer into) throws DeviceException {
        requireReadable(run);
        readRecord(run, into);
    }

    /// A reader of what is damaged gets an error and never another content.
    private void requireReadable(JournalIndex.Run run) throws DeviceException {
        if (doubted) {
            indexes.requireWhole(run.recordAddress());
        }
        Set<Long> not = unreadable;
        if (!not.isEmpty() && not.contains(run.recordAddress())) {
            throw new PackedSegment.DamagedException(
                    "%s: the record at offset %d is damaged"
                            .formatted(journal, run.recordAddress()));
        }
    }

    /// Fills `into` with the run's data. What is damaged of it, or the disk cannot read, is an
    /// error of its reader alone: what is old may rot, and the newest moment be whole. The record
    /// is looked at then. Where the journal ends too early something durable is gone, and nothing
    /// more is acknowledged.
    private void readRecord(JournalIndex.Run run, ByteBuffer into) throws DeviceException {
        try {
            records.read(run, into);
        } catch (PackedSegment.DamagedException e) {
            indexes.suspect(run.recordAddress());
            throw e;
        } catch (DeviceException e) {
            if (e.errno() == Errno.EIO) {
                indexes.suspect(run.recordAddress());
                throw new PackedSegment.DamagedException(e.getMessage());
            }
            mailbox.post(() -> backup.failed(e.getMessage()));
            throw e;
        }
    }

    /// As [#read], for who compares: what is damaged reads as what nobody has written, so that it
    /// differs and is mended, also where it should be zero. What lies beside it reads as it is, for
    /// all that differs takes room in the journal.
    private void readDamaged(JournalIndex index, long offsetBytes, ByteBuffer into)
            throws DeviceException {
        read(index, offsetBytes, into, this::readOrNoise, base::read);
    }

    private void readOrNoise(JournalIndex.Run run, ByteBuffer into) throws DeviceException {
        int from = into.position();
        int limit = into.limit();
        try {
            readWhole(run, into);
        } catch (PackedSegment.DamagedException e) {
            LOG.warn("{}: {}", name, e.getMessage());
            into.limit(limit).position(from);
            byte[] noise = new byte[into.remaining()];
            ThreadLocalRandom.current().nextBytes(noise);
            into.put(noise);
        }
    }

    /// What there was no time for before.
    private void packWhatIsWhole() {
        Map<Long, Long> packed = journal.packed();
        long segment = journal.segmentBytes();
        for (long at = journal.firstOffset(); at + segment <= backup.end(); at += segment) {
            if (!packed.containsKey(at)) {
                packer.add(at);
            }
        }
    }

    // ---- the mailbox -------------------------------------------------------------------------

    private void mailboxIsEmpty() {
        if (baseDirty) {
            syncBase();
        }
        settleOwn();
        try {
            store.endGrowth(backup.ancestry());
        } catch (IOException e) {
            events.accept("metadata-error", e.getMessage());
        }
        takeSnapshot();
    }

    /// An invariant does not hold: going on would spread it, so the resource stops (the others do
    /// not).
    private void broken(RuntimeException bug) {
        LOG.error("{}: this is a bug; the resource stops", name, bug);
        backup.failed("internal error: " + bug);
        mailbox.post(() -> {}); // Whoever waits is told.
    }

    /// The word for what flows between the copies, as the backup sees it.
    private String replication() {
        if (!backup.isStreaming()) {
            return "OFF";
        }
        if (backup.isTakingEpoch() || !backup.hasPoint()) {
            return "SYNC_TARGET";
        }
        if (backup.isCompared()) {
            return ReplicationState.COMPARE.name();
        }
        if (backup.isBehind()) {
            return "BEHIND";
        }
        return (backup.isInStep() ? ReplicationState.ESTABLISHED : ReplicationState.HANDSHAKE)
                .name();
    }

    private void tellState() {
        stateIs.accept(StateChanges.DISK, backup.diskState().name());
        stateIs.accept(StateChanges.REPLICATION, replication());
    }

    private long oldestMillis() {
        Moment oldest = backup.history().oldest();
        return oldest == null ? 0 : oldest.labelMillis();
    }

    private long nextMoment() {
        Moment next = backup.history().behind(backup.base().watermark());
        return next == null ? 0 : next.address();
    }

    private Optional<Instant> heldUntil() {
        long until = backup.heldUntilMillis();
        return until > 0 ? Optional.of(backup.onTheWall(until, now())) : Optional.empty();
    }

    private long viewInTheWay() {
        Backup.View view = backup.inTheWay();
        return view == null ? 0 : view.id();
    }

    private void takeSnapshot() {
        newestRuns = backup.committedIndex().size();
        tellState();
        unreadable = backup.unreadable();
        doubted = backup.isRotten();
        Moment newest = backup.history().newest();
        snapshot =
                new Snapshot(
                        backup.diskState(),
                        backup.committed(),
                        backup.hasPoint(),
                        backup.isMixture(),
                        backup.completeMillis(),
                        backup.age(),
                        newest == null ? 0 : newest.receiptMillis(),
                        backup.doubtMillis(),
                        oldestMillis(),
                        backup.journalUsedBytes(),
                        backup.retention(),
                        backup.neededBytes(),
                        backup.missingForEpoch(),
                        nextMoment(),
                        backup.isHolding(),
                        backup.wantsRoom(),
                        backup.isRollUrgent(),
                        heldUntil(),
                        viewInTheWay(),
                        backup.pins().stream().map(Pins.Pin::name).toList(),
                        backup.endedOpen(),
                        replication(),
                        backup.rotWords(),
                        backup.noSpace(),
                        backup.refusal(),
                        backup.peerTrouble());
        if (backup.noSpace().isEmpty()) {
            retryNanos = 0;
        }
    }

    Snapshot snapshot() {
        return snapshot;
    }

    private void syncBase() {
        try {
            base.sync();
            store.filled(backup.filling());
            baseDirty = false;
            unsyncedBaseBytes = 0;
            backup.baseDurable(baseSession, lastBaseSequence);
        } catch (DeviceException e) {
            baseDirty = false;
            backup.failed(e.getMessage());
        }
    }

    private void roll(Backup.Roll roll) {
        pool.execute(
                () -> {
                    RollPace pace = pace();
                    try {
                        JournalIndex image = indexes.checkedImage(roll, pace);
                        if (!saveFirst(roll, image, pace)) {
                            return;
                        }
                        store.rolled(roll.begun());
                        if (!copyAll(image, pace)) {
                            return;
                        }
                        base.sync();
                        store.rolled(roll.reached());
                        mailbox.post(
                                () -> {
                                    backup.rolled(roll);
                                    points.forEach(this::baseHas);
                                    lookForRoll();
                                });
                    } catch (SegmentIndexes.DamagedException e) {
                        mailbox.post(
                                () -> {
                                    backup.rollMeetsDamage(e.address());
                                    lookForRoll();
                                });
                    } catch (IOException | RuntimeException | OutOfMemoryError e) {
                        mailbox.post(() -> backup.rollFailed(String.valueOf(e.getMessage())));
                    }
                });
    }

    private RollPace pace() {
        return new RollPace(committer, this::isInHurry);
    }

    private boolean isInHurry() {
        Snapshot now = snapshot; // Null while it is being opened.
        return stopping || hurries.get() > 0 || now != null && now.rollUrgent();
    }

    /// Somebody waits until everything is in the base, or does no longer.
    void hurry(boolean waits) {
        hurries.addAndGet(waits ? 1 : -1);
    }

    /// Looks which records of the newest image are not whole. Whoever reads a promoted copy reads
    /// all twice until that is known.
    private void check(JournalIndex image) {
        pool.execute(
                () -> {
                    RollPace pace = new RollPace(committer, () -> taken || isInHurry());
                    try {
                        SortedSet<Long> bad = indexes.unreadable(image, pace, () -> stopping);
                        mailbox.post(
                                () -> {
                                    backup.checked(bad);
                                    unreadable = backup.unreadable();
                                });
                    } catch (IOException | RuntimeException | OutOfMemoryError e) {
                        mailbox.post(() -> backup.rollFailed(String.valueOf(e.getMessage())));
                    }
                });
    }

    /// What a pin needs of the base is saved before the roll is said to have begun.
    ///
    /// @return false if there is no room for it: the roll has ended then
    private boolean saveFirst(Backup.Roll roll, JournalIndex image, RollPace pace)
            throws IOException {
        PinStore.NoRoom lacks =
                roll.save() == null ? null : pins.save(roll.save(), image, base, pace::did);
        if (lacks != null) {
            mailbox.post(
                    () -> {
                        backup.saveLacksRoom(noRoomWords(lacks));
                        retryLater();
                    });
        }
        return lacks == null;
    }

    private String noRoomWords(PinStore.NoRoom lacks) {
        String dropped = backup.pins().isEmpty() ? "NAME" : backup.pins().getFirst().name();
        String drop = dropCommand.formatted(dropped);
        String next =
                switch (lacks.bound()) {
                    case SETTING -> drop + ", or raise journal.keep-max";
                    case FILESYSTEM ->
                            "make room for %s; it goes on by itself, or at once with: %s. Or %s"
                                    .formatted(pins.directory(), connectCommand, drop);
                    case MEMORY -> drop;
                };
        return "what the kept moments need of the base cannot be saved: %s. Nothing is lost; until then the journal fills. Next: %s"
                .formatted(lacks.why(), next);
    }

    /// @return false if the base has no space: the roll has ended then. A sync that fails for want
    ///   of space is another matter, and final, also where a later write only repeats it
    private boolean copyAll(JournalIndex index, RollPace pace) throws IOException {
        try {
            ByteBuffer buffer = ByteBuffer.allocateDirect(RollPace.PIECE_BYTES);
            for (JournalIndex.Run run : index.all()) {
                copy(run, buffer, pace);
            }
            return true;
        } catch (DeviceException e) {
            if (!e.isOutOfSpace() || base.syncFailure() != null) {
                throw e;
            }
            mailbox.post(
                    () -> {
                        backup.rollLacksSpace(noSpaceWords(e));
                        retryLater();
                    });
            return false;
        }
    }

    private String noSpaceWords(DeviceException e) {
        return "%s. Nothing is lost. Make room; it goes on by itself, or at once with: %s"
                .formatted(e.getMessage(), connectCommand);
    }

    private void retryLater() {
        retryNanos = Math.clamp(2 * retryNanos, RETRY_MIN_NANOS, RETRY_MAX_NANOS);
        retryAtNanos = System.nanoTime() + retryNanos;
        retryDue = true;
    }

    /// Time passes; ten times a second.
    void tick(long nowNanos) {
        if (nowNanos - ownSyncedNanos >= OWN_SYNC_NANOS) {
            ownSyncedNanos = nowNanos;
            appends.sync();
        }
        if (retryDue && nowNanos - retryAtNanos >= 0) {
            tryAgain();
        }
        if ((snapshot.wantsRoom()
                        || snapshot.hasPins()
                        || snapshot.isRotten()
                        || snapshot.doubtMillis() > 0)
                && nowNanos - tickedNanos >= ROOM_NANOS) {
            tickedNanos = nowNanos;
            mailbox.post(() -> backup.tick(now()));
        }
    }

    /// What of this copy waits because the journal of another one does not answer.
    Optional<Hangs.Hang> heldUp(long nowNanos) {
        return appends.heldUp()
                .map(
                        other ->
                                new Hangs.Hang(
                                        other.files().toString(),
                                        Duration.ofNanos(nowNanos - other.sinceNanos()),
                                        "it is the journal of another copy, and what comes for %s waits behind it, since one thread stores for all journals of a filesystem"
                                                .formatted(name)));
    }

    /// Space may have been made.
    void tryAgain() {
        retryDue = false;
        mailbox.post(backup::tryAgain);
    }

    private void copy(JournalIndex.Run run, ByteBuffer buffer, RollPace pace)
            throws DeviceException {
        if (run.isZero()) {
            base.zero(run.offsetBytes(), run.lengthBytes(), run.punch());
            wrote(pace, BlockSet.BLOCK_BYTES); // The filesystem's, as a rule.
            return;
        }
        for (long done = 0; done < run.lengthBytes(); ) {
            int part = (int) Math.min(buffer.capacity(), run.lengthBytes() - done);
            buffer.clear().limit(part);
            records.fill(run.dataAddress() + done, buffer);
            base.write(run.offsetBytes() + done, buffer.flip());
            done += part;
            wrote(pace, part);
        }
    }

    private void wrote(RollPace pace, long bytes) throws DeviceException {
        if (pace.wrote(bytes)) {
            base.sync();
            pace.synced();
        }
    }

    /// Gives back the credit of what was taken in, in few pieces, and only while the committer
    /// keeps up: what is neither granted nor durable fits into its queue.
    private void payCredit() {
        if (session != null
                && stream != 0
                && owedBytes >= GRANT_BYTES
                && appends.queuedBytes() <= QUEUE_BYTES / 2) {
            long bytes = owedBytes;
            owedBytes = 0;
            session.grant(stream, bytes);
        }
    }

    private void lookForRoll() {
        if (stopping) {
            return;
        }
        JournalIndex doubted = backup.startCheck();
        if (doubted != null) {
            check(doubted);
            return;
        }
        Backup.Roll roll = backup.startRoll(false);
        if (roll != null) {
            roll(roll);
        } else if (backup.waitsForList() && !retryDue) {
            retryLater();
        }
    }

    /// Takes in nothing more of this session, and waits until everything committed is in the base,
    /// so that the base alone is the newest point. A roll-forward that is under way is waited for.
    ///
    /// @return what prevents it; empty when it is done
    String settle() {
        CompletableFuture<String> settled = new CompletableFuture<>();
        hurry(true);
        mailbox.post(
                () -> {
                    session = null;
                    backup.sessionDown();
                    settle(settled);
                });
        try {
            return settled.join();
        } finally {
            hurry(false);
        }
    }

    private void settle(CompletableFuture<String> settled) {
        if (stopping) {
            settled.complete("the copy is being closed");
            return;
        }
        if (backup.isRolling() || backup.isDoubted() || !isAllDurable()) {
            againSoon(() -> settle(settled));
            return;
        }
        if (backup.isToBeCut()) {
            settled.complete(
                    "its journal is damaged, and nobody has said to go on without what was behind that");
            return;
        }
        Backup.Roll roll = backup.isSettled() ? null : backup.startRoll(true);
        if (roll != null) {
            roll(roll);
            whenRolled(() -> settle(settled));
            return;
        }
        String obstacle = backup.obstacle();
        settled.complete(
                backup.isSettled() ? "" : obstacle.isEmpty() ? "there is no point" : obstacle);
    }

    /// Ends it: nothing is taken in or rolled any more when this returns, and the files may be
    /// closed by their owner.
    void stop() {
        CompletableFuture<Void> stopped = new CompletableFuture<>();
        mailbox.post(
                () -> {
                    session = null;
                    stopping = true;
                    digester.stop();
                    indexes.stop();
                    packer.stop();
                    backup.sessionDown();
                    whenRolled(
                            () -> {
                                try {
                                    if (baseDirty) {
                                        syncBase(); // Behind this the base is closed.
                                    }
                                } finally {
                                    closed = true;
                                    stopped.complete(null);
                                }
                            });
                });
        stopped.join();
        appends.close();
        pins.close();
    }

    /// Runs a task in the mailbox once neither a roll-forward nor a read of the base is under way.
    private void whenRolled(Runnable then) {
        if (backup.isRolling() || digester.isReading() || stopping && indexes.isMaking()) {
            againSoon(() -> whenRolled(then));
        } else {
            then.run();
        }
    }

    private void againSoon(Runnable task) {
        pool.execute(
                () -> {
                    LockSupport.parkNanos(5_000_000);
                    mailbox.post(task);
                });
    }

    private final class Effects implements BackupEffects {
        @Override
        public void send(Frame.OfResource frame) {
            if (session != null) {
                session.send(frame);
            }
        }

        @Override
        public void append(long address, ByteBuffer header, ByteBuffer data) {
            ByteBuffer[] parts =
                    data == null ? new ByteBuffer[] {header} : new ByteBuffer[] {header, data};
            boolean taken =
                    appendsUnsynced
                            ? appends.appendUnsynced(address, parts)
                            : appends.append(address, parts);
            if (!taken) {
                backup.failed("the journal takes nothing more");
            }
        }

        @Override
        public boolean writeBase(
                long ofSession,
                long sequence,
                long offsetBytes,
                long lengthBytes,
                ByteBuffer data,
                long tracked) {
            try {
                store.filling(tracked);
            } catch (DeviceException e) {
                // Its space was taken when it was made, and a failed sync of it is final.
                backup.failed(e.getMessage());
                return true;
            }
            try {
                if (data == null) {
                    base.zero(offsetBytes, lengthBytes, true);
                } else {
                    base.write(offsetBytes, data.duplicate());
                    unsyncedBaseBytes += lengthBytes;
                }
                baseSession = ofSession;
                lastBaseSequence = sequence;
                baseDirty = true;
                if (unsyncedBaseBytes >= SYNC_EVERY_BYTES) {
                    mailbox.post(
                            () -> {
                                if (baseDirty) {
                                    syncBase();
                                }
                            });
                }
                return true;
            } catch (DeviceException e) {
                if (!e.isOutOfSpace()) {
                    backup.failed(e.getMessage());
                    return true;
                }
                backup.lacksSpace(noSpaceWords(e));
                retryLater();
                return false;
            }
        }

        @Override
        public void wakeDigester() {
            digester.wake();
        }

        @Override
        public boolean readCommitted(long offsetBytes, ByteBuffer into) {
            try {
                readDamaged(backup.committedIndex(), offsetBytes, into);
                return true;
            } catch (DeviceException e) {
                backup.failed(e.getMessage());
                return false;
            }
        }

        @Override
        public void grant(long bytes) {
            owedBytes += bytes;
            payCredit();
        }

        @Override
        public void wakeRoller() {
            mailbox.post(BackupResource.this::lookForRoll);
        }

        @Override
        public void free(long beforeAddress) {
            if (own != null) {
                own.publishAndWait(backup.committedIndex().copy(), backup.appliedEnd());
            }
            try {
                journal.free(beforeAddress);
            } catch (DeviceException e) {
                events.accept("journal-error", e.getMessage());
            }
        }

        @Override
        public String damaged(SegmentIndex note) {
            if (closed) {
                return CLOSED;
            }
            try {
                journal.damage(note.address(), note.encode());
                return null;
            } catch (DeviceException e) {
                return e.getMessage();
            } catch (OutOfMemoryError e) {
                return "%s: no memory for a note of damage: %s".formatted(journal, e.getMessage());
            }
        }

        @Override
        public void damagePassed(long from, long before) {
            try {
                journal.dropDamages(from, before);
            } catch (DeviceException e) {
                events.accept("journal-error", e.getMessage());
            }
        }

        @Override
        public String pins(List<Pins.Pin> all, long lastId) {
            if (closed) {
                return CLOSED;
            }
            try {
                pins.write(all, lastId);
                return null;
            } catch (DeviceException e) {
                return e.getMessage();
            }
        }

        @Override
        public void checked(ClockCheck check) {
            if (closed) {
                return;
            }
            try {
                store.checked(check);
            } catch (DeviceException e) {
                backup.failed(e.getMessage());
            }
        }

        @Override
        public void event(String kind, String text) {
            events.accept(kind, text);
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
