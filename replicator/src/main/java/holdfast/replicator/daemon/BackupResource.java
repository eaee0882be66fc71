package holdfast.replicator.daemon;

import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.Committer;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BackupEffects;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Position;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiConsumer;

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
    private static final long RETRY_MAX_NANOS = 60_000_000_000L;

    private static final Logger LOG = LoggerFactory.getLogger(BackupResource.class);

    private final String name;

    /// As an operator types it.
    private final String connectCommand;

    private final BlockDevice base;
    private final JournalFiles journal;
    private final Committer.Writer appends;
    private final Executor pool;
    private final ResourceDir store;
    private final BiConsumer<String, String> events;
    private final BiConsumer<String, String> stateIs;
    private final Mailbox mailbox;
    private final Backup backup;
    private final CopyDigester digester;

    // Owned by the mailbox.
    private PeerSession session;
    private int stream;

    /// Credit of what was taken in and not given back yet.
    private long owedBytes;

    private long baseSession;
    private long lastBaseSequence;
    private long unsyncedBaseBytes;
    private boolean baseDirty;
    private boolean stopping;

    /// What the mailbox knew when it was last empty.
    private volatile Snapshot snapshot;

    // When a base without space is tried again: each wait twice the one before, until it takes
    // data.
    private long retryNanos;
    private volatile long retryAtNanos;
    private volatile boolean retryDue;

    /// @param completeMillis wall time of the primary until which the copy is complete, 0 if
    ///   unknown
    record Snapshot(
            DiskState disk,
            Position committed,
            boolean hasPoint,
            boolean mixture,
            long completeMillis,
            long journalUsedBytes,
            boolean holding,
            boolean catchingUp,
            boolean connected,
            String noSpace,
            String refusal,
            String peerTrouble) {}

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
            PrimaryResource.ReadPace pace,
            ResourceDir store,
            String connectCommand,
            BiConsumer<String, String> events,
            BiConsumer<String, String> stateIs)
            throws IOException {
        this.name = name;
        this.connectCommand = connectCommand;
        this.base = base;
        this.journal = journal;
        this.pool = pool;
        this.store = store;
        this.events = events;
        this.stateIs = stateIs;
        this.mailbox = new Mailbox(pool, this::mailboxIsEmpty, this::broken);
        this.backup = new Backup(config, durable, incarnation, new Effects());
        this.digester = new CopyDigester(backup, base, this::read, mailbox, pool, pace);
        String damage = backup.recover(journal::read, journal.endOffset());
        this.appends =
                committer.register(
                        journal,
                        QUEUE_BYTES,
                        new Committer.Listener() {
                            @Override
                            public void durable(long endOffset) {
                                // What is written ends with the data, a record with its padding.
                                mailbox.post(
                                        () -> {
                                            backup.durable(JournalRecord.padded(endOffset));
                                            payCredit();
                                        });
                            }

                            @Override
                            public void failed(DeviceException why) {
                                mailbox.post(() -> backup.failed(why.getMessage()));
                            }
                        });
        if (damage != null) {
            events.accept("journal-damaged", journal + ": " + damage);
            mailbox.post(this::lookForRoll);
        }
        takeSnapshot();
    }

    // ---- the link ----------------------------------------------------------------------------

    /// The peer's primary greets on this session: begin anew.
    void greeted(PeerSession peer, Frame.ResourceHello hello) {
        mailbox.post(
                () -> {
                    if (hello.role() != Role.PRIMARY.ordinal() + 1) {
                        return;
                    }
                    if (hello.diskState() == DiskState.DISKLESS.ordinal()) {
                        peer.send(backup.hello()); // It asks before it is exported (R30).
                        return;
                    }
                    if (peer == session && hello.diskState() == DiskState.FAILED.ordinal()) {
                        return; // It still drains what it has buffered (R11).
                    }
                    leaveStream();
                    session = peer;
                    backup.sessionUp();
                });
    }

    /// Asks the primary on this session to greet, when it does not use it.
    void call(PeerSession peer) {
        mailbox.post(() -> peer.send(backup.hello()));
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
                    long now = System.currentTimeMillis();
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

    // ---- views -------------------------------------------------------------------------------

    /// The newest committed point, or null while there is none.
    Backup.View openView() {
        CompletableFuture<Backup.View> opened = new CompletableFuture<>();
        mailbox.post(() -> opened.complete(backup.openView()));
        return opened.join();
    }

    void closeView(Backup.View view) {
        mailbox.post(() -> backup.closeView(view.id()));
    }

    /// Fills `into` from the image that base and index make together.
    void read(JournalIndex index, long offsetBytes, ByteBuffer into) throws DeviceException {
        int begin = into.position();
        int end = into.limit();
        for (long at = offsetBytes;
                into.position() < end;
                at = offsetBytes + into.position() - begin) {
            long wanted = into.remaining();
            JournalIndex.Run run = index.at(at);
            if (run == null || run.offsetBytes() >= at + wanted) {
                base.read(at, into);
            } else if (run.offsetBytes() > at) {
                into.limit(into.position() + (int) (run.offsetBytes() - at));
                base.read(at, into);
                into.limit(end);
            } else {
                int part = (int) Math.min(wanted, run.lengthBytes());
                into.limit(into.position() + part);
                if (run.isZero()) {
                    Holes.zero(into);
                } else {
                    readJournal(run.dataAddress(), into);
                }
                into.limit(end);
            }
        }
    }

    /// Fills `into` from the journal. Where that cannot be read, or ends too early, something
    /// durable is gone, and nothing more is acknowledged.
    private void readJournal(long address, ByteBuffer into) throws DeviceException {
        try {
            journal.read(address, into);
            if (into.hasRemaining()) {
                throw new DeviceException(
                        0,
                        "%s: %d bytes are missing of the data at offset %d"
                                .formatted(journal, into.remaining(), address));
            }
        } catch (DeviceException e) {
            mailbox.post(() -> backup.failed(e.getMessage()));
            throw e;
        }
    }

    BlockDevice base() {
        return base;
    }

    // ---- the mailbox -------------------------------------------------------------------------

    private void mailboxIsEmpty() {
        if (baseDirty) {
            syncBase();
        }
        takeSnapshot();
    }

    /// An invariant does not hold: going on would spread it, so the resource stops (the others do
    /// not).
    private void broken(RuntimeException bug) {
        LOG.error("{}: this is a bug; the resource stops", name, bug);
        backup.failed("internal error: " + bug);
    }

    private void tellState() {
        stateIs.accept(StateChanges.DISK, backup.diskState().name());
        stateIs.accept(
                StateChanges.REPLICATION,
                replication(session != null, backup.openEpoch() != 0, backup.hasPoint()));
    }

    /// The word for what flows between the copies, as the backup sees it.
    static String replication(boolean connected, boolean catchingUp, boolean hasPoint) {
        if (!connected) {
            return "OFF";
        }
        return catchingUp || !hasPoint ? "SYNC_TARGET" : "ESTABLISHED";
    }

    private void takeSnapshot() {
        tellState();
        snapshot =
                new Snapshot(
                        backup.diskState(),
                        backup.committed(),
                        backup.hasPoint(),
                        backup.isMixture(),
                        backup.completeMillis(),
                        backup.journalUsedBytes(),
                        backup.isHolding(),
                        backup.openEpoch() != 0,
                        session != null,
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
                    try {
                        store.rolled(roll.begun());
                        if (!copyAll(roll)) {
                            return;
                        }
                        base.sync();
                        store.rolled(roll.reached());
                        mailbox.post(
                                () -> {
                                    backup.rolled(roll);
                                    lookForRoll();
                                });
                    } catch (DeviceException | RuntimeException e) {
                        mailbox.post(() -> backup.rollFailed(e.getMessage()));
                    }
                });
    }

    /// @return false if the base has no space: the roll has ended then. A sync that fails for want
    ///   of space is another matter, and final
    private boolean copyAll(Backup.Roll roll) throws DeviceException {
        try {
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
            for (JournalIndex.Run run : roll.index().all()) {
                copy(run, buffer);
            }
            return true;
        } catch (DeviceException e) {
            if (!e.isOutOfSpace()) {
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
        if (retryDue && nowNanos - retryAtNanos >= 0) {
            tryAgain();
        }
    }

    /// Space may have been made.
    void tryAgain() {
        retryDue = false;
        mailbox.post(backup::tryAgain);
    }

    private void copy(JournalIndex.Run run, ByteBuffer buffer) throws DeviceException {
        if (run.isZero()) {
            base.zero(run.offsetBytes(), run.lengthBytes(), run.punch());
            return;
        }
        for (long done = 0; done < run.lengthBytes(); ) {
            int part = (int) Math.min(buffer.capacity(), run.lengthBytes() - done);
            buffer.clear().limit(part);
            readJournal(run.dataAddress() + done, buffer);
            base.write(run.offsetBytes() + done, buffer.flip());
            done += part;
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
        Backup.Roll roll = backup.startRoll(false);
        if (roll != null) {
            roll(roll);
        }
    }

    /// Takes in nothing more of this session, and waits until everything committed is in the base,
    /// so that the base alone is the newest point. A roll-forward that is under way is waited for.
    ///
    /// @return what prevents it; empty when it is done
    String settle() {
        CompletableFuture<String> settled = new CompletableFuture<>();
        mailbox.post(
                () -> {
                    session = null;
                    backup.sessionDown();
                    settle(settled);
                });
        return settled.join();
    }

    private void settle(CompletableFuture<String> settled) {
        if (backup.isRolling()) {
            whenRolled(() -> settle(settled));
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
                    backup.sessionDown();
                    whenRolled(() -> stopped.complete(null));
                });
        stopped.join();
        appends.close();
    }

    /// Runs a task in the mailbox once neither a roll-forward nor a read of the base is under way.
    private void whenRolled(Runnable then) {
        if (backup.isRolling() || digester.isReading()) {
            pool.execute(
                    () -> {
                        LockSupport.parkNanos(5_000_000);
                        mailbox.post(() -> whenRolled(then));
                    });
        } else {
            then.run();
        }
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
            boolean taken =
                    data == null
                            ? appends.append(address, header)
                            : appends.append(address, header, data);
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
                ByteBuffer data) {
            try {
                store.noLongerBlank();
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
            try {
                journal.free(beforeAddress);
            } catch (DeviceException e) {
                events.accept("journal-error", e.getMessage());
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
