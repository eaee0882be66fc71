package holdfast.sim;

import holdfast.checksum.TreeAnswers;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Found;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BackupEffects;
import holdfast.replicator.state.DiskState;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Mutants;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Iterator;
import java.util.List;
import java.util.random.RandomGenerator;

/// The backup's machine: [Backup] with a base, a journal and a superblock on simulated disks. It
/// does what the daemon's shell does, one small step at a time, so that a crash may fall between
/// any two.
final class BackupHost implements BackupEffects {
    /// Work on the base, done strictly in the order it was asked for.
    private sealed interface BaseWork {
        record Write(long session, long sequence, long offset, int length, byte[] data)
                implements BaseWork {}

        /// A look at what is to be digested for the peer.
        record Digest() implements BaseWork {}
    }

    // Deliberate mistakes of a shell. The deciding objects have theirs in `state.Faults`.

    /// A failed write of the journal is passed over.
    private static final boolean M22 = Mutants.on("M22");

    /// A failed sync of the journal is taken for good.
    private static final boolean M23 = Mutants.on("M23");

    private final Simulation sim;
    private final Scenario scenario;
    private final RandomGenerator random;
    private final SimDisk base;
    private final SimDisk journal;

    // The superblock: each change of it is atomic.
    private Backup.Base durableBase;
    private boolean durableBlank;
    private long incarnation;

    /// Counts starts, so that what an earlier life had asked for comes to nothing.
    private int life;

    private long startedNanos;

    private Backup backup;
    private boolean up;
    private long appendedEnd;
    private long freed;
    private boolean journalSyncing;
    private boolean journalBroken;
    private long durableEnd;
    private final ArrayDeque<BaseWork> baseWork = new ArrayDeque<>();
    private boolean baseBusy;
    private long syncSession;
    private long syncSequence;
    private int unsyncedBaseWrites;
    private boolean rollAsked;
    private boolean settleAsked;
    private Iterator<JournalIndex.Run> rollRuns;
    private boolean rolling;
    private long frozenUntil;
    private boolean failNextSync;
    private boolean failNextAppend;
    private boolean failNextBaseWrite;
    private boolean failed;

    /// Behind all that was ever appended.
    private long highest;

    /// The journal was damaged, and the next start may find out.
    private boolean damaged;

    private boolean everDamaged;

    /// Since then the primary has not looked at what is left.
    private boolean unjudged;

    /// There was no point when last looked.
    private boolean lacked;

    private boolean wasMixture;
    private SimLink link;

    /// The link that is there, also while this resource does not use it.
    private SimLink present;

    /// An operator has disconnected the resource; survives restarts.
    private boolean standalone;

    private int stream;

    /// An older state of everything that is durable here.
    private record Older(
            byte[] base,
            byte[] journal,
            Backup.Base durableBase,
            boolean blank,
            long incarnation,
            long highest,
            boolean damaged) {}

    private Older older;

    /// It was put back to an older state that the primary has not seen yet.
    private boolean restored;

    // For the checks.
    private Position acknowledged = Position.NONE;
    private byte[] crashedBase;
    private byte[] crashedJournal;
    private final BitSet fresh = new BitSet();
    private final BitSet staged = new BitSet();
    private Position checkedAt = Position.NONE;
    private long seenEpoch;

    BackupHost(Simulation sim, Scenario scenario, RandomGenerator random, Backup.Base first) {
        this.sim = sim;
        this.scenario = scenario;
        this.random = random;
        base = new SimDisk(scenario.deviceBytes());
        journal = new SimDisk((int) scenario.journalBytes());
        durableBase = first;
        durableBlank = scenario.blank();
        if (!durableBlank) {
            byte[] junk = Tags.content(-1, 0, scenario.deviceBytes() / 512 * 512);
            base.write(0, junk.length, junk);
            base.syncNow();
        }
    }

    // ---- life
    // ----------------------------------------------------------------------------------------------------

    void start() {
        // What a killed daemon had written and not synced must not be taken for durable.
        // What a failed sync left clean in the cache is not on the disk.
        journal.dropClean();
        base.dropClean();
        journal.syncNow();
        base.syncNow();
        incarnation++;
        life++;
        startedNanos = sim.agenda().nowNanos();
        backup = open(durableBase, durableBlank, incarnation, this, journal.now(), Long.MAX_VALUE);
        up = true;
        freed = durableBase.watermark() / scenario.segmentBytes() * scenario.segmentBytes();
        appendedEnd = 0;
        durableEnd = 0;
        fresh.set(0, (scenario.deviceBytes() + 4095) / 4096);
        lacked = true;
        if (damaged || restored) {
            acknowledged = backup.hasPoint() ? backup.committed() : Position.NONE;
            unjudged = true;
            wakeRoller();
        }
        if (backup.isMixture()) {
            sim.reached(Rare.MIXTURE);
        }
        sim.check("backup started");
        keepRolling(life);
    }

    /// The shell also looks by itself now and then whether there is something to roll.
    private void keepRolling(int of) {
        sim.agenda()
                .in(
                        500_000_000L,
                        () -> {
                            if (of == life && up) {
                                wakeRoller();
                                keepRolling(of);
                            }
                        });
    }

    /// @param readEnd a start reads all of the journal; for a check the rest is not worth the time,
    ///   since nothing was ever written there in this round
    private Backup open(
            Backup.Base from,
            boolean blank,
            long incarnation,
            BackupEffects fx,
            byte[] journal,
            long readEnd) {
        Backup opened =
                new Backup(
                        new Backup.Config(
                                Simulation.RESOURCE,
                                scenario.deviceBytes(),
                                scenario.journalBytes(),
                                scenario.segmentBytes(),
                                scenario.rollBytes(),
                                blank,
                                scenario.limits()),
                        from,
                        incarnation,
                        fx);
        try {
            String damage =
                    opened.recover(
                            (address, into) -> read(journal, readEnd, address, into),
                            segmentsEnd());
            if (damage != null && !damaged) {
                throw new Violation("PFX", "the journal is taken for damaged: " + damage);
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return opened;
    }

    private long segmentsEnd() {
        long segment = scenario.segmentBytes();
        return (Math.max(highest, durableBase.watermark()) + segment - 1) / segment * segment;
    }

    /// Bytes of the journal that a start will read are not what was written; only while it is
    /// stopped.
    void damageJournal(RandomGenerator own) {
        long from = durableBase.watermark();
        if (up || highest <= from) {
            return;
        }
        damaged = true;
        everDamaged = true;
        sim.reached(Rare.JOURNAL_DAMAGED);
        long at = from + own.nextLong(highest - from);
        int length = own.nextBoolean() ? 1 : 1 + own.nextInt(3000);
        int place = (int) (at % scenario.journalBytes());
        journal.damage(own, place, Math.min(length, journal.size() - place));
    }

    /// Somebody copies what is durable, as it lies there at this moment.
    void keepOlder(RandomGenerator own) {
        byte[] baseNow = new byte[base.size()];
        byte[] journalNow = new byte[journal.size()];
        base.crashInto(baseNow, own, 0);
        journal.crashInto(journalNow, own, 0);
        older =
                new Older(
                        baseNow,
                        journalNow,
                        durableBase,
                        durableBlank,
                        incarnation,
                        highest,
                        damaged);
    }

    /// Somebody puts it back; only while it is stopped.
    void restoreOlder() {
        base.put(older.base);
        journal.put(older.journal);
        durableBase = older.durableBase;
        durableBlank = older.blank;
        incarnation = older.incarnation;
        highest = older.highest;
        damaged = older.damaged;
        everDamaged = true;
        restored = true;
        sim.reached(Rare.BACKUP_RESTORED);
    }

    boolean hasOlder() {
        return older != null;
    }

    /// Whether it was put back to an older state since the primary last looked.
    boolean takeRestored() {
        boolean was = restored;
        restored = false;
        return was;
    }

    /// Whether its journal was ever damaged, or all of it put back to an older state.
    boolean wasDamaged() {
        return everDamaged;
    }

    /// Whether the primary has looked at this copy since its journal was damaged.
    boolean isJudged() {
        return !unjudged;
    }

    private int read(byte[] journal, long readEnd, long address, ByteBuffer into) {
        long from = durableBase.watermark() / scenario.segmentBytes() * scenario.segmentBytes();
        long left = Math.min(readEnd, from + journal.length) - address;
        int total = (int) Math.min(into.remaining(), Math.max(0, left));
        int done = 0;
        while (done < total) {
            int at = (int) ((address + done) % journal.length);
            int part = Math.min(total - done, journal.length - at);
            into.put(journal, at, part);
            done += part;
        }
        return total;
    }

    /// @param power whether the power is cut; else the process alone is killed and the kernel keeps
    ///   what was written
    void crash(boolean power) {
        if (!up) {
            return;
        }
        sim.reached(power ? Rare.BACKUP_POWER_CUT : Rare.BACKUP_KILLED);
        if (backup.openEpoch() != 0) {
            sim.reached(Rare.BACKUP_CRASH_WITH_OPEN_EPOCH);
        }
        if (sim.agenda().nowNanos() - startedNanos < 1_000_000_000L) {
            sim.reached(Rare.BACKUP_CRASH_SOON_AFTER_START);
        }
        if (frozenUntil > sim.agenda().nowNanos()) {
            sim.reached(Rare.CRASH_WITH_FROZEN_DISK);
        }
        if (rolling) {
            sim.reached(Rare.BACKUP_CRASH_MID_ROLL);
        }
        if (power) {
            int fate = Math.min(scenario.cutFate(), 2);
            if (journal.hasPending() || base.hasPending()) {
                sim.reached(
                        fate == 0
                                ? Rare.POWER_CUT_LOST_ALL
                                : fate == 1 ? Rare.POWER_CUT_KEPT_ALL : Rare.POWER_CUT_CHOSE);
            }
            journal.powerCut(random, fate);
            base.powerCut(random, fate);
        }
        if (power && appendedEnd > durableEnd) {
            sim.reached(Rare.TORN_TAIL_DROPPED);
        }
        gone();
    }

    private void gone() {
        up = false;
        life++;
        link = null;
        present = null;
        backup = null;
        failed = false;
        failNextSync = false;
        failNextAppend = false;
        failNextBaseWrite = false;
        journalSyncing = false;
        journalBroken = false;
        baseWork.clear();
        baseBusy = false;
        unsyncedBaseWrites = 0;
        rolling = false;
        rollRuns = null;
        rollAsked = false;
        sim.closeViews();
    }

    /// Stops once nothing is on its way to the disks, which are synced.
    void stop(Runnable then) {
        if (!up) {
            return;
        }
        sessionDown(link);
        if (failed) {
            return;
        }
        if (journalSyncing || rolling || baseBusy) {
            later(10_000_000L, () -> stop(then));
            return;
        }
        base.syncNow();
        journal.syncNow();
        gone();
        sim.reached(Rare.BACKUP_RESTARTED_CLEANLY);
        then.run();
    }

    boolean isUp() {
        return up;
    }

    Backup backup() {
        return backup;
    }

    private void later(long nanos, Runnable task) {
        int of = life;
        long frozen = Math.max(0, frozenUntil - sim.agenda().nowNanos());
        sim.agenda()
                .in(
                        nanos + frozen,
                        () -> {
                            if (of == life) {
                                task.run();
                            }
                        });
    }

    /// How long the next operation of a disk takes.
    private long diskTime() {
        sim.disk("backup disk");
        return random.nextLong(scenario.backupDiskNanos()) + 1000;
    }

    void freezeUntil(long nanos) {
        frozenUntil = Math.max(frozenUntil, nanos);
        sim.reached(Rare.BACKUP_DISK_FROZEN);
    }

    // ---- the session
    // ---------------------------------------------------------------------------------------------

    /// The primary greets, and only then is there a session for this resource.
    void sessionUp(SimLink link) {
        sessionDown(this.link);
        present = link;
    }

    /// @param of only if this is still the session
    void sessionDown(SimLink of) {
        if (present == of) {
            present = null;
        }
        if (up && link == of && of != null) {
            link = null;
            backup.sessionDown();
        }
    }

    /// An operator disconnects this resource alone; the link stays.
    void disconnect() {
        standalone = true;
        if (up && link != null) {
            send(new Frame.Refused(Simulation.RESOURCE, PrimaryHost.DISCONNECTED));
            link = null;
            backup.sessionDown();
            sim.reached(Rare.DISCONNECTED_AT_BACKUP);
        }
    }

    /// The operator connects it again: the primary is asked to greet.
    void connect() {
        if (standalone) {
            standalone = false;
            if (up && present != null && !present.isCut()) {
                present.toPrimary().send(0, List.of(backup.hello()));
                sim.reached(Rare.CONNECTED_AGAIN_ON_ONE_LINK);
            }
        }
    }

    private void greeted(Frame.ResourceHello hello) {
        if (standalone) {
            sim.reached(Rare.GREETED_WHILE_DISCONNECTED);
            present.toPrimary()
                    .send(
                            0,
                            List.of(
                                    new Frame.Refused(
                                            Simulation.RESOURCE, PrimaryHost.DISCONNECTED)));
        } else if (link == null || hello.diskState() != DiskState.FAILED.ordinal()) {
            link = present;
            stream = 0;
            backup.sessionUp();
        }
    }

    void received(SimLink of, int onStream, List<Frame> frames) {
        for (Frame frame : frames) {
            if (!up || of != present) {
                return;
            }
            if (frame instanceof Frame.ResourceHello hello) {
                greeted(hello);
                continue;
            }
            if (link == null || frame instanceof Frame.Data && onStream != stream) {
                sim.reached(Rare.FRAME_OF_OLD_STREAM);
                continue; // On its way when the session ended.
            }
            sim.note(
                    "backup < " + frame.getClass().getSimpleName(),
                    FrameCodec.sizeOf(frame),
                    backup.openEpoch());
            switch (frame) {
                case Frame.Data data -> {
                    mark(data);
                    backup.on(data, FrameCodec.sizeOf(frame), sim.backupMillis());
                    sim.check("frame");
                }
                case Frame.OfResource control -> {
                    if (control instanceof Frame.StreamStart start) {
                        stream = start.stream();
                        unjudged = false;
                    }
                    backup.on(control);
                }
                case Frame.Control other ->
                        throw new IllegalStateException("sent by nobody: " + other);
            }
        }
    }

    private void mark(Frame.Data frame) {
        switch (frame) {
            case Frame.Write w -> mark(fresh, w.offsetBytes(), w.data().remaining());
            case Frame.Zero z -> mark(fresh, z.offsetBytes(), z.lengthBytes());
            case Frame.EpochBegin b -> {
                if (b.epoch() != seenEpoch) {
                    staged.clear();
                }
                seenEpoch = b.epoch();
            }
            case Frame.EpochBlocks b -> {
                mark(staged, b.offsetBytes(), b.data().remaining());
                mark(fresh, b.offsetBytes(), b.data().remaining());
            }
            case Frame.EpochZero z -> {
                mark(staged, z.offsetBytes(), z.lengthBytes());
                mark(fresh, z.offsetBytes(), z.lengthBytes());
            }
            case Frame.Heartbeat _,
                    Frame.Tracked _,
                    Frame.EpochCommit _,
                    Frame.SyncBlocks _,
                    Frame.SyncZero _,
                    Frame.Compare _ -> {}
        }
    }

    private static void mark(BitSet set, long offset, long length) {
        set.set((int) (offset / 4096), (int) ((offset + length + 4095) / 4096));
    }

    @Override
    public void send(Frame.OfResource frame) {
        if (frame instanceof Frame.Ack ack) {
            Position committed = backup.committed();
            if (!ack.committed().isNone() && sim.truth().isBefore(committed, ack.committed())) {
                throw new Violation(
                        "LOW", "acknowledges " + ack.committed() + ", would yield " + committed);
            }
            if (sim.truth().isBefore(acknowledged, ack.committed())) {
                acknowledged = ack.committed();
            }
        }
        if (frame instanceof Frame.Refused refused) {
            sim.refused("backup", refused.reason());
        }
        sim.note("backup > " + frame.getClass().getSimpleName(), backup.committed().number(), 0);
        if (link != null) {
            sim.sentByBackup(frame);
            link.toPrimary().send(0, List.of(frame));
        }
    }

    @Override
    public void grant(long bytes) {
        if (link != null) {
            link.toPrimary().send(0, List.of(new Frame.Credit(stream, bytes)));
        }
    }

    @Override
    public void event(String kind, String text) {
        sim.event("backup", kind, text);
        if (kind.equals("journal-full")) {
            sim.reached(Rare.JOURNAL_FULL);
        }
    }

    // ---- the journal
    // ---------------------------------------------------------------------------------------------

    @Override
    public void append(long address, ByteBuffer header, ByteBuffer data) {
        int length = header.remaining() + (data == null ? 0 : data.remaining());
        if (address + length > freed + scenario.journalBytes()) {
            throw new Violation(
                    "BND",
                    "the journal's record at %d overwrites what is needed".formatted(address));
        }
        if (JournalRecord.decode(header) instanceof Found.Good(JournalRecord record)
                && record.kind() == Kind.PAD) {
            sim.reached(Rare.JOURNAL_PAD);
        }
        if (address >= scenario.journalBytes()) {
            sim.reached(Rare.JOURNAL_WRAPPED);
        }
        if (journalBroken) {
            return;
        }
        sim.disk("backup disk");
        highest = Math.max(highest, address + length);
        long at = address % scenario.journalBytes();
        if (failNextAppend) {
            appendFailed(at, header);
        } else {
            journal.write(at, header);
        }
        if (journalBroken) {
            return;
        }
        if (data != null) {
            journal.write(at + JournalRecord.HEADER_BYTES, data);
        }
        appendedEnd = address + JournalRecord.totalBytes(data == null ? 0 : data.remaining());
        syncJournal();
    }

    /// EIO or no space: part of the record may be there. Nothing is written behind it.
    private void appendFailed(long at, ByteBuffer header) {
        byte[] part = new byte[random.nextInt(header.remaining() + 1)];
        header.get(header.position(), part);
        journal.write(at, part.length, part);
        sim.reached(Rare.JOURNAL_WRITE_FAILED);
        failNextAppend = false;
        if (M22) {
            return;
        }
        journalBroken = true;
        journalSyncing = true;
        if (random.nextBoolean()) {
            fail();
        } else {
            later(random.nextLong(300_000), this::fail);
        }
    }

    private void syncJournal() {
        if (journalSyncing || appendedEnd <= durableEnd) {
            return;
        }
        journalSyncing = true;
        later(
                random.nextLong(300_000),
                () -> {
                    long mark = journal.sync();
                    long upTo = appendedEnd;
                    later(
                            diskTime(),
                            () -> {
                                if (failNextSync) {
                                    journal.syncFailed(mark, random);
                                    if (!M23) {
                                        fail();
                                        return;
                                    }
                                    failNextSync = false;
                                }
                                journal.synced(mark);
                                durableEnd = upTo;
                                journalSyncing = false;
                                sim.cloneAndCrash();
                                backup.durable(upTo);
                                sim.check("durable");
                                sim.cloneAndCrash();
                                syncJournal();
                            });
                });
    }

    /// A failed sync is final: nothing more is acknowledged, and only a new start finds out what
    /// the disk holds.
    private void fail() {
        if (failed) {
            return;
        }
        failNextSync = false;
        failed = true;
        sim.reached(Rare.BACKUP_DISK_FAILED);
        backup.failed("an injected error");
        sim.check("failed");
        sim.backupFailed();
    }

    void failNextSync() {
        failNextSync = up;
    }

    void failNextAppend() {
        failNextAppend = up;
    }

    /// The next write of a first sync or a roll into the base fails, or the sync behind it.
    void failNextBaseWrite() {
        failNextBaseWrite = up;
    }

    private boolean baseWriteFails() {
        boolean fails = failNextBaseWrite;
        failNextBaseWrite = false;
        return fails;
    }

    boolean hasFailed() {
        return failed;
    }

    @Override
    public void free(long beforeAddress) {
        freed = beforeAddress;
    }

    // ---- the base
    // ------------------------------------------------------------------------------------------------

    @Override
    public boolean writeBase(
            long session, long sequence, long offsetBytes, long lengthBytes, ByteBuffer data) {
        durableBlank = false;
        byte[] bytes = null;
        if (data != null) {
            bytes = new byte[data.remaining()];
            data.get(data.position(), bytes);
        }
        baseWork.add(new BaseWork.Write(session, sequence, offsetBytes, (int) lengthBytes, bytes));
        workOnBase();
        return true;
    }

    @Override
    public void wakeDigester() {
        baseWork.add(new BaseWork.Digest());
        workOnBase();
    }

    private void workOnBase() {
        if (baseBusy || failed) {
            return;
        }
        if (unsyncedBaseWrites > 0 && (baseWork.isEmpty() || unsyncedBaseWrites > 8)) {
            syncBase(this::workOnBase);
            return;
        }
        BaseWork next = baseWork.poll();
        if (next == null) {
            return;
        }
        baseBusy = true;
        later(diskTime() / 4, () -> work(next));
    }

    private void work(BaseWork next) {
        baseBusy = false;
        switch (next) {
            case BaseWork.Write w -> {
                if (random.nextBoolean() && baseWriteFails()) {
                    base.writePart(random, w.offset, w.length, w.data);
                    sim.reached(Rare.BASE_WRITE_FAILED);
                    fail();
                    return;
                }
                base.write(w.offset, w.length, w.data);
                syncSession = w.session;
                syncSequence = w.sequence;
                unsyncedBaseWrites++;
                workOnBase();
            }
            case BaseWork.Digest _ -> {
                if (backup.everCommitted() || unsyncedBaseWrites == 0) {
                    digest();
                } else {
                    syncBase(this::digest);
                }
            }
        }
    }

    /// As the daemon's shell does: holes are not read, and what was read is handed over later.
    private void digest() {
        TreeAnswers.Part part = backup.nextDigest();
        if (part == null) {
            workOnBase();
            return;
        }
        int offset = (int) part.offsetBytes();
        byte[] rest = new byte[(int) part.lengthBytes()];
        readCommitted(backup.committedIndex(), base.now(), journal.now(), offset, rest);
        if (random.nextBoolean() && backup.digestedZeroes(part, Tags.zeroes(rest))) {
            sim.reached(Rare.COMPARE_SKIPPED_HOLE);
            wakeDigester();
            return;
        }
        byte[] read = Arrays.copyOf(rest, part.wantedBytes(scenario.limits().runBlocks() * 4096));
        byte[] leaves = part.shape().leaves(ByteBuffer.wrap(read), part.leafLevel());
        later(
                diskTime() / 2,
                () -> {
                    backup.digested(part, read.length, leaves);
                    wakeDigester();
                });
        workOnBase();
    }

    private void syncBase(Runnable then) {
        baseBusy = true;
        long mark = base.sync();
        long session = syncSession;
        long sequence = syncSequence;
        unsyncedBaseWrites = 0;
        later(
                diskTime(),
                () -> {
                    if (baseWriteFails()) {
                        base.syncFailed(mark, random);
                        sim.reached(Rare.BASE_WRITE_FAILED);
                        fail();
                        return;
                    }
                    base.synced(mark);
                    baseBusy = false;
                    backup.baseDurable(session, sequence);
                    then.run();
                });
    }

    static void readCommitted(
            JournalIndex index, byte[] base, byte[] journal, long offset, byte[] into) {
        System.arraycopy(base, (int) offset, into, 0, into.length);
        long end = offset + into.length;
        for (long at = offset; at < end; ) {
            JournalIndex.Run run = index.at(at);
            if (run == null || run.offsetBytes() >= end) {
                return;
            }
            int to = (int) (run.offsetBytes() - offset);
            int length = (int) (Math.min(run.endBytes(), end) - run.offsetBytes());
            if (run.isZero()) {
                Arrays.fill(into, to, to + length, (byte) 0);
            } else {
                System.arraycopy(
                        journal, (int) (run.dataAddress() % journal.length), into, to, length);
            }
            at = run.endBytes();
        }
    }

    // ---- rolling forward
    // -----------------------------------------------------------------------------------------

    @Override
    public void wakeRoller() {
        if (!rollAsked) {
            rollAsked = true;
            later(
                    random.nextLong(1_000_000),
                    () -> {
                        rollAsked = false;
                        startRoll();
                    });
        }
    }

    void settle() {
        if (up) {
            settleAsked = true;
            wakeRoller();
        }
    }

    private void startRoll() {
        if (rolling) {
            return;
        }
        Backup.Roll roll = backup.startRoll(settleAsked);
        settleAsked = false;
        if (roll == null) {
            return;
        }
        sim.note("roll", roll.reached().watermark(), roll.reached().position().number());
        rolling = true;
        rollRuns = roll.index().all().iterator();
        later(
                diskTime(),
                () -> {
                    durableBase = roll.begun();
                    rollStep(roll);
                });
    }

    private void rollFailed() {
        rolling = false;
        sim.reached(Rare.ROLL_FAILED);
        failed = true;
        backup.rollFailed("an injected error");
        sim.check("roll failed");
        sim.backupFailed();
    }

    private void rollStep(Backup.Roll roll) {
        int steps = 1 + random.nextInt(8);
        for (int i = 0; i < steps && rollRuns.hasNext(); i++) {
            JournalIndex.Run run = rollRuns.next();
            byte[] data = null;
            if (!run.isZero()) {
                int at = (int) (run.dataAddress() % journal.size());
                data = Arrays.copyOfRange(journal.now(), at, at + (int) run.lengthBytes());
            }
            if (random.nextInt(4) == 0 && baseWriteFails()) {
                base.writePart(random, run.offsetBytes(), (int) run.lengthBytes(), data);
                rollFailed();
                return;
            }
            base.write(run.offsetBytes(), (int) run.lengthBytes(), data);
            mark(fresh, run.offsetBytes(), run.lengthBytes());
        }
        sim.check("roll step");
        if (rollRuns.hasNext()) {
            later(diskTime(), () -> rollStep(roll));
            return;
        }
        long mark = base.sync();
        later(
                diskTime(),
                () -> {
                    if (baseWriteFails()) {
                        base.syncFailed(mark, random);
                        rollFailed();
                        return;
                    }
                    base.synced(mark);
                    sim.note("base synced", mark, 0);
                    sim.cloneAndCrash();
                    later(
                            diskTime(),
                            () -> {
                                durableBase = roll.reached();
                                later(
                                        random.nextLong(100_000),
                                        () -> {
                                            rolling = false;
                                            sim.reached(Rare.ROLLED);
                                            damaged = false;
                                            backup.rolled(roll);
                                            checkAll("rolled");
                                            sim.cloneAndCrash();
                                        });
                            });
                });
    }

    boolean isRolling() {
        return rolling;
    }

    // ---- the checks
    // ----------------------------------------------------------------------------------------------

    /// PFX and LOW on what may have changed since the last check.
    void check(String where) {
        if (backup == null || !backup.hasPoint()) {
            if (backup != null && backup.isMixture()) {
                lacked = true;
                wasMixture = true;
            }
            return;
        }
        if (wasMixture) {
            wasMixture = false;
            sim.reached(Rare.MIXTURE_MENDED);
        }
        if (lacked) {
            lacked = false;
            fresh.set(0, (scenario.deviceBytes() + 4095) / 4096);
        }
        Position committed = backup.committed();
        if (sim.truth().isBefore(committed, acknowledged)) {
            throw new Violation(
                    "LOW",
                    where + ": " + acknowledged + " was acknowledged, would yield " + committed);
        }
        if (!committed.equals(checkedAt)) {
            fresh.or(staged);
            sim.truth().moveBackup(committed, fresh);
            checkedAt = committed;
        }
        byte[] expected = sim.truth().backupImage();
        for (int block = fresh.nextSetBit(0); block >= 0; ) {
            int endBlock = fresh.nextClearBit(block);
            int from = block * 4096;
            byte[] found = new byte[Math.min(endBlock * 4096, scenario.deviceBytes()) - from];
            readCommitted(backup.committedIndex(), base.now(), journal.now(), from, found);
            sim.countCheckedBlocks(endBlock - block);
            if (!Arrays.equals(found, 0, found.length, expected, from, from + found.length)) {
                throw new Violation(
                        "PFX",
                        where
                                + ": the copy at "
                                + committed
                                + " is not that image: "
                                + SimDisk.describe(
                                        Arrays.copyOfRange(expected, from, from + found.length),
                                        found,
                                        8)
                                + " in the blocks from "
                                + block);
            }
            block = fresh.nextSetBit(endBlock);
        }
        fresh.clear();
    }

    void checkAll(String where) {
        fresh.set(0, (scenario.deviceBytes() + 4095) / 4096);
        check(where);
    }

    /// PFX and LOW as if the power were cut now: on a copy, which is thrown away.
    void checkCrashedClone(RandomGenerator own) {
        if (!up) {
            return;
        }
        makeRoom();
        int fate = own.nextInt(4);
        base.crashInto(crashedBase, own, fate);
        journal.crashInto(crashedJournal, own, fate);
        checkCrashed();
    }

    private void makeRoom() {
        if (crashedBase == null) {
            crashedBase = new byte[base.size()];
            crashedJournal = new byte[journal.size()];
        }
    }

    SimDisk base() {
        return base;
    }

    SimDisk journal() {
        return journal;
    }

    /// The same for one power cut.
    void checkCrash(SimDisk.Cut ofBase, SimDisk.Cut ofJournal) {
        makeRoom();
        base.crashInto(crashedBase, ofBase);
        journal.crashInto(crashedJournal, ofJournal);
        checkCrashed();
    }

    private void checkCrashed() {
        Backup clone =
                open(
                        durableBase,
                        false,
                        incarnation + 1,
                        new NoEffects(),
                        crashedJournal,
                        highest + 64 * 1024);
        if (damaged) {
            return; // What is left of it is known when it starts.
        }
        if (backup.isMixture()) {
            return;
        }
        if (clone.isMixture()) {
            throw new Violation("PFX", "after a power cut the copy is a mixture");
        }
        if (!clone.everCommitted()) {
            if (!acknowledged.isNone()) {
                throw new Violation("LOW", "after a power cut nothing is left of " + acknowledged);
            }
            return;
        }
        if (sim.truth().isBefore(clone.committed(), acknowledged)) {
            throw new Violation(
                    "LOW",
                    "after a power cut %s is left, %s was acknowledged"
                            .formatted(clone.committed(), acknowledged));
        }
        byte[] expected = sim.truth().imageAt(clone.committed());
        byte[] found = new byte[scenario.deviceBytes()];
        readCommitted(clone.committedIndex(), crashedBase, crashedJournal, 0, found);
        sim.countCheckedBlocks((found.length + 4095) / 4096);
        if (!Arrays.equals(expected, found)) {
            throw new Violation(
                    "PFX",
                    "after a power cut the copy at "
                            + clone.committed()
                            + " is not that image: "
                            + SimDisk.describe(expected, found, 8));
        }
    }

    /// PIT: a view reads as the point it was opened at.
    void checkView(Backup.View view) {
        byte[] found = new byte[scenario.deviceBytes()];
        readCommitted(view.index(), base.now(), journal.now(), 0, found);
        byte[] expected = sim.truth().imageAt(view.position());
        if (!Arrays.equals(expected, found)) {
            throw new Violation(
                    "PIT",
                    "the view of "
                            + view.position()
                            + " is not that image: "
                            + SimDisk.describe(expected, found, 8));
        }
    }

    boolean isSettled() {
        return up && durableBase.position().equals(backup.committed()) && !rolling;
    }

    byte[] baseImage() {
        return base.now();
    }

    private static final class NoEffects implements BackupEffects {
        @Override
        public void send(Frame.OfResource frame) {}

        @Override
        public void append(long address, ByteBuffer header, ByteBuffer data) {}

        @Override
        public boolean writeBase(
                long session, long sequence, long offsetBytes, long lengthBytes, ByteBuffer data) {
            return true;
        }

        @Override
        public void wakeDigester() {}

        @Override
        public void grant(long bytes) {}

        @Override
        public void wakeRoller() {}

        @Override
        public void free(long beforeAddress) {}

        @Override
        public void event(String kind, String text) {}
    }
}
