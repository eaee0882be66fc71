package holdfast.sim;

import holdfast.checksum.TreeAnswers;
import holdfast.replicator.journal.DeltaLog;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Found;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BackupEffects;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.ClockCheck;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Faults;
import holdfast.replicator.state.History;
import holdfast.replicator.state.Marks;
import holdfast.replicator.state.Now;
import holdfast.replicator.state.OwnChanges;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Retention;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Mutants;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.random.RandomGenerator;

/// The backup's machine: [Backup] with a base, a journal and a superblock on simulated disks. It
/// does what the daemon's shell does, one small step at a time, so that a crash may fall between
/// any two.
final class BackupHost implements BackupEffects {
    /// Under this name a copy keeps what it has given up.
    static final String DISCARDED = "discarded";

    private static final long DISCARDED_KEPT_MILLIS = 1_000_000_000L;

    /// Times of receipt are whole milliseconds.
    private static final long ROUNDED_MILLIS = 2;

    /// How long room is waited for, and how long a view may keep it from a promoted copy.
    private static final long ROOM_LIMIT_NANOS = 30_000_000_000L;

    private static final long VIEW_GIVES_WAY_NANOS = 5_000_000_000L;

    /// Work on the base, done strictly in the order it was asked for.
    private sealed interface BaseWork {
        record Write(
                long session, long sequence, long offset, int length, byte[] data, long tracked)
                implements BaseWork {}

        /// A look at what is to be digested for the peer.
        record Digest() implements BaseWork {}
    }

    // Deliberate mistakes of a shell. The deciding objects have theirs in `state.Faults`.

    /// A failed write of the journal is passed over.
    private static final boolean M22 = Mutants.on("M22");

    /// A failed sync of the journal is taken for good.
    private static final boolean M23 = Mutants.on("M23");

    /// Frames of an earlier session are taken in as well.
    private static final boolean M27 = Mutants.on("M27");

    /// The opening of the journal is numbered by the wall clock.
    private static final boolean M30 = Mutants.on("M30");

    /// A flush of a promoted copy is answered before its journal is synced.
    private static final boolean M70 = Mutants.on("M70");

    /// A promotion is told before its commit is durable.
    private static final boolean M74 = Mutants.on("M74");

    /// A damaged journal goes on where the damage is, and what stands behind that stays.
    private static final boolean M81 = Mutants.on("M81");

    /// What is written to the journal of a promoted copy counts as durable: it is rolled and shown.
    /// Its flushes are answered rightly.
    private static final boolean M82 = Mutants.on("M82");

    /// A roll leaves out what it cannot read of the journal, and goes on.
    private static final boolean M90 = Mutants.on("M90");

    private final Simulation sim;
    private final Scenario scenario;
    private final RandomGenerator random;
    private final Machine machine;
    private final SimDisk base;
    private final SimDisk journal;

    /// What its packed segments take, by where each begins.
    private final Map<Long, Long> packed = new TreeMap<>();

    private final RandomGenerator packing;

    private final SimSuperblock superblock;

    /// It was a primary, and what it has by itself, of this generation, is given up; 0 for none.
    private final long givesUp;

    /// What it has changed by itself in that; null where it does not know.
    private final OwnChanges ownChanges;

    /// Where it stood then; [Position#NONE] for none.
    private final Position givenUpAt;

    /// What was given up is kept no longer: it has expired, or an operator has dropped it.
    private boolean givenUpIsGone;

    /// When each of what is kept was, and for how long it is.
    private record KeptFor(long sinceNanos, long millis) {}

    private final Map<String, KeptFor> keptFor = new HashMap<>();

    /// When what brings the copy to each position came in last.
    private final Map<Position, Long> cameNanos = new HashMap<>();

    /// A start has found the clock on the wall ahead of what it was.
    private boolean startedAhead;

    /// A primary of this host writes to it.
    private boolean promoted;

    /// It is being made final: nothing is opened or kept any more.
    private boolean settling;

    /// The list of the pins: each change of it is atomic.
    private List<Pins.Pin> durablePins = List.of();

    /// What is durable of damage that was found while it ran, by where that is.
    private final TreeMap<Long, SegmentIndex> damages = new TreeMap<>();

    private long lastPin;
    private final Map<Long, DeltaLog.Extent> durableDeltas = new LinkedHashMap<>();
    private final Map<Long, SimDelta> deltas = new LinkedHashMap<>();

    /// With the mistake M52: what is still to be made durable of a delta.
    private Runnable saveLater;

    /// Counts starts, so that what an earlier life had asked for comes to nothing.
    private int life;

    private long startedNanos;

    private Backup backup;
    private boolean up;

    /// The opening of its journal is about to be counted; it is not up before.
    private boolean starting;

    private long appendedEnd;

    /// What is appended is a write of the primary of this host, which need not be durable soon.
    private boolean appendsUnsynced;

    /// The journal is to be synced as far as that.
    private long syncTo;

    /// A sync of it has failed: what was answered before and not flushed may be lost.
    private boolean syncFailed;

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
    private long rollTo;
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

    private SimLink.Pipe out;

    /// An operator has disconnected the resource; survives restarts.
    private boolean standalone;

    private int stream;

    /// An older state of everything that is durable here.
    private record Older(
            byte[] base,
            byte[] journal,
            byte[] superblock,
            long highest,
            boolean damaged,
            List<Pins.Pin> pins,
            TreeMap<Long, SegmentIndex> damages,
            long lastPin,
            Map<Long, DeltaLog.Extent> durableDeltas,
            Map<Long, byte[]> deltas,
            Map<Long, Long> packed) {}

    private Older older;

    /// It was put back to an older state that the primary has not seen yet.
    private boolean restored;

    /// No peer writes to it: it is promoted, or being promoted.
    private boolean taken;

    /// Of [#promoted]: what is not in the journal yet, what is not written there, and what is and
    /// was answered, but is not durable.
    private final ArrayDeque<OwnWrite> ownWaiting = new ArrayDeque<>();

    private final ArrayDeque<OwnWrite> ownSent = new ArrayDeque<>();
    private final ArrayDeque<OwnWrite> ownUnsynced = new ArrayDeque<>();
    private long waitsSinceNanos;

    private static final class OwnWrite {
        private final long offset;
        private final int length;
        private final byte[] data;
        private final boolean punch;
        private final Runnable done;
        private final Runnable lost;

        /// Journal offset behind its record, once it has one, and its place in the order there.
        private long end;

        private Position number;

        /// @param data null for zeroes
        private OwnWrite(
                long offset, int length, byte[] data, boolean punch, Runnable done, Runnable lost) {
            this.offset = offset;
            this.length = length;
            this.data = data;
            this.punch = punch;
            this.done = done;
            this.lost = lost;
        }

        private Frame.Data at(Position number, long millis) {
            return data == null
                    ? new Frame.Zero(0, number, millis, offset, length, punch)
                    : new Frame.Write(0, number, millis, offset, ByteBuffer.wrap(data));
        }
    }

    /// What waits until the journal is durable up to an offset.
    ///
    /// @param lost when it never will be
    private record Waiter(long end, Runnable then, Runnable lost) {}

    private final ArrayDeque<Waiter> waiters = new ArrayDeque<>();

    // For the checks.
    private Truth truth;
    private final Truth.Seen seen;
    private Truth.Seen ownSeen;
    private final Map<Long, Truth.Line> ownLines = new HashMap<>();
    private Position acknowledged = Position.NONE;

    /// The newest write to a promoted copy that was answered in this life, and where its record
    /// ends. It outlives a kill; a power cut may take what is not acknowledged.
    private Position answered = Position.NONE;

    private long answeredEnd;

    /// The same, when the power was cut.
    private Position answeredBefore = Position.NONE;

    /// Where the copy comes to by the commit with which an operator has promoted an older moment;
    /// [Position#NONE] when none is on its way. What was acknowledged behind that moment is not in
    /// the copy then, by this order and no other.
    private Position ordered = Position.NONE;

    /// Those on their way, by the number of the order.
    private final Map<Long, String> askedMarks = new HashMap<>();

    /// What was answered as marked, as far as it has to be there, and the names of all.
    private final List<Marks.Mark> answeredMarks = new ArrayList<>();

    private final Set<String> answeredNames = new HashSet<>();
    private byte[] crashedBase;
    private byte[] crashedJournal;
    private final BitSet fresh = new BitSet();

    /// Sectors of the base that read wrong.
    private final BitSet wrong = new BitSet();

    /// Records of the journal that are not what was written there, by where they begin. A roll
    /// finds that, and no other check: those are about what was written. Nor does a start, as where
    /// it goes by the indexes of whole segments.
    private final TreeSet<Long> rotten = new TreeSet<>();

    private int uncovered;

    /// What a commit may show, whoever has sent it.
    private final BitSet staged = new BitSet();

    private Position checkedAt = Position.NONE;

    /// A start has found blocks of an epoch that was cut off.
    private boolean stagedFound;

    /// The epoch that is open goes on from such blocks.
    private boolean continuing;

    BackupHost(
            Simulation sim,
            Scenario scenario,
            RandomGenerator random,
            Machine machine,
            Ancestry first) {
        this(
                sim,
                scenario,
                random,
                machine,
                new SimDisk(scenario.deviceBytes()),
                Superblock.ofBackup(
                        Simulation.RESOURCE,
                        AddressSpace.of(scenario.deviceBytes()),
                        scenario.blank(),
                        first),
                0,
                null);
        if (!scenario.blank()) {
            byte[] junk = Tags.content(-1, 0, scenario.deviceBytes() / 512 * 512);
            base.write(0, junk.length, junk);
            base.syncNow();
        }
    }

    /// @param base of a primary that was detached, with a `givesUp` that is not 0
    BackupHost(
            Simulation sim,
            Scenario scenario,
            RandomGenerator random,
            Machine machine,
            SimDisk base,
            Superblock first,
            long givesUp,
            OwnChanges ownChanges) {
        this.sim = sim;
        this.scenario = scenario;
        this.random = random;
        this.machine = machine;
        this.base = base;
        this.givesUp = givesUp;
        this.ownChanges = ownChanges;
        this.packing = sim.chance("packing " + givesUp);
        givenUpAt = givesUp == 0 ? Position.NONE : first.position();
        givenUpIsGone = givesUp != 0; // Until the first start.
        journal = new SimDisk(scenario.journalRingBytes());
        superblock =
                new SimSuperblock(
                        "superblock",
                        first,
                        random,
                        new SimSuperblock.Host() {
                            @Override
                            public void afterDisk(Runnable task) {
                                sim.disk("backup superblock");
                                later(diskTime(), task);
                            }

                            @Override
                            public void struck(SimSuperblock.Failure by) {
                                sim.reached(Rare.BACKUP_SUPERBLOCK_FAILED);
                            }
                        });
        truth = sim.truth();
        seen = truth.seen();
        if (givesUp != 0) {
            acknowledged = first.position();
        }
    }

    // ---- life
    // ----------------------------------------------------------------------------------------------------

    void start() {
        start(
                () -> {},
                () -> sim.agenda().in(random.nextLong(1_000_000_000L), sim.restartOf(machine)));
    }

    /// @param then called when it is up
    /// @param failed called when it is not, since its superblock cannot be written
    void start(Runnable then, Runnable failed) {
        if (starting) {
            return;
        }
        starting = true;
        life++;
        // What a killed daemon had written and not synced must not be taken for durable.
        // What a failed sync left clean in the cache is not on the disk.
        journal.dropClean();
        base.dropClean();
        journal.syncNow();
        base.syncNow();
        openDeltas();
        superblock.open();
        superblock.write(
                Superblock::opened,
                () -> {
                    starting = false;
                    started();
                    then.run();
                },
                _ -> {
                    sim.reached(Rare.STARTED_AGAIN_WITHOUT_SUPERBLOCK);
                    starting = false;
                    life++;
                    failed.run();
                });
    }

    private void started() {
        startedNanos = sim.agenda().nowNanos();
        if (life > 1) {
            setClockOff();
        }
        taken = promoted;
        settling = false;
        backup = open(superblock.value(), this, journal.now(), Long.MAX_VALUE);
        retain();
        up = true;
        freed = known().watermark() / scenario.segmentBytes() * scenario.segmentBytes();
        appendedEnd = 0;
        syncTo = 0;
        durableEnd = 0;
        fresh.set(0, (base.size() + 4095) / 4096);
        lacked = true;
        stagedFound = backup.holdsStaged();
        if (stagedFound) {
            staged.set(0, (scenario.deviceBytes() + 4095) / 4096);
        }
        if (damaged || restored) {
            acknowledged = backup.hasPoint() ? backup.committed() : Position.NONE;
            answeredMarks.retainAll(backup.marks());
            unjudged = true;
            wakeRoller();
        }
        if (backup.isToBeCut()) {
            cut();
        }
        damaged = backup.isDamaged(); // Not when it is cut, or was taken for a torn end.
        rotten.tailSet(backup.end()).clear();
        noteRotAtStart();
        if (backup.isMixture()) {
            sim.reached(Rare.MIXTURE);
        }
        if (givesUp != 0) {
            giveUp();
        }
        check("backup started");
        if (isBefore(backup.committed(), answeredBefore)) {
            sim.reached(Rare.PROMOTED_LOST_UNFLUSHED);
        }
        answeredBefore = Position.NONE;
        noteOrderCarriedOut();
        checkPins("backup started");
        keepRolling(life);
    }

    /// While a primary of this host writes to the copy, history never holds its writes back.
    private void retain() {
        Retention retention = scenario.retention();
        backup.retain(
                promoted ? new Retention(retention.millis(), 0) : retention, scenario.indexRuns());
    }

    /// What the copy was is kept before anybody is told that it is given up.
    private void giveUp() {
        backup.tick(now());
        String trouble = backup.discard(givesUp, DISCARDED, DISCARDED_KEPT_MILLIS);
        if (!trouble.isEmpty()) {
            throw new Violation("SPL", "what is given up cannot be kept: " + trouble);
        }
        backup.changed(ownChanges);
        boolean isHalfway = backup.committed().generation() == givesUp;
        if (isHalfway && givenUpIsGone) {
            givenUpIsGone = false; // It is kept again.
            keptFor.put(DISCARDED, new KeptFor(sim.agenda().nowNanos(), DISCARDED_KEPT_MILLIS));
        }
        if (isHalfway && backup.pin(DISCARDED) == null) {
            throw new Violation("SPL", "what is given up is not kept");
        }
    }

    /// SPL: what was given up is kept, as it was then, until its time is over or somebody drops it.
    private void checkGivenUp(String where, Backup of) {
        if (givesUp == 0 || givenUpIsGone) {
            return;
        }
        Pins.Pin pin = of.pin(DISCARDED);
        if (pin == null || pin.damaged() || !pin.moment().position().equals(givenUpAt)) {
            throw new Violation(
                    "SPL",
                    "%s: %s was given up, and is not kept: %s".formatted(where, givenUpAt, pin));
        }
    }

    /// As an operator does it.
    ///
    /// @return empty, or why not
    String drop(String name) {
        String refused = backup.drop(name);
        givenUpIsGone |= refused.isEmpty() && name.equals(DISCARDED);
        return refused;
    }

    /// R22: nothing that is kept expires before its time is over, whatever a clock says.
    private void expired(String what) {
        String name = what.substring(0, what.indexOf(','));
        KeptFor kept = keptFor.get(name);
        long millis = kept == null ? 0 : millisSince(kept.sinceNanos);
        if (kept != null && millis < kept.millis - ROUNDED_MILLIS && sim.isOneClockSteady()) {
            throw new Violation(
                    "PIN",
                    "%s: that was %d ms ago, and it was to be kept for %d"
                            .formatted(what, millis, kept.millis));
        }
        if (startedAhead) {
            sim.reached(Rare.PIN_EXPIRED_BEHIND_A_CLOCK_AHEAD);
        }
        givenUpIsGone |= givesUp != 0 && name.equals(DISCARDED);
    }

    private long millisSince(long nanos) {
        return (sim.agenda().nowNanos() - nanos) / 1_000_000;
    }

    /// The machine's clock is far off when the daemon starts, and somebody sets it right soon.
    private void setClockOff() {
        Chance own = sim.chance("clock at start");
        if (own.nextInt(100) >= scenario.clockOffPercent()) {
            return;
        }
        long millis = (long) Math.pow(10, 4 + own.nextDouble() * 5.4);
        long ahead = own.nextInt(4) == 0 ? -millis : millis;
        machine.clock().step(ahead);
        startedAhead |= ahead > 0;
        if (ahead > 0) {
            sim.reached(Rare.STARTED_WITH_A_CLOCK_AHEAD);
        }
        sim.agenda().in(own.nextLong(20_000_000_000L), () -> machine.clock().step(-ahead));
    }

    private void openDeltas() {
        deltas.keySet().retainAll(durableDeltas.keySet());
        deltas.forEach(
                (pin, delta) -> {
                    delta.disk().dropClean();
                    delta.disk().syncNow();
                    try {
                        delta.open(durableDeltas.get(pin));
                    } catch (IOException e) {
                        throw new Violation("PIN", "the delta of " + pin + ": " + e.getMessage());
                    }
                });
    }

    /// The shell also looks by itself now and then whether there is something to roll.
    private void keepRolling(int of) {
        sim.agenda()
                .in(
                        500_000_000L,
                        () -> {
                            if (of == life && up) {
                                backup.tick(now());
                                wakeRoller();
                                askSync();
                                settleOwn();
                                keepRolling(of);
                            }
                        });
    }

    /// @param readEnd a start reads all of the journal; for a check the rest is not worth the time,
    ///   since nothing was ever written there in this round
    private Backup open(Superblock known, BackupEffects fx, byte[] journal, long readEnd) {
        Backup opened =
                new Backup(
                        new Backup.Config(
                                Simulation.RESOURCE,
                                known.sizeBytes(),
                                scenario.journalBytes(),
                                scenario.segmentBytes(),
                                scenario.rollBytes(),
                                known.blank(),
                                scenario.limits()),
                        known.base(),
                        M30 ? machine.clock().millis() : known.incarnation(),
                        fx);
        packed.forEach(opened::packed);
        try {
            String damage =
                    opened.recover(
                            (address, into) -> readAtStart(known, journal, readEnd, address, into),
                            JournalScan.Indexes.NONE,
                            List.copyOf(damages.values()),
                            segmentsEnd(known));
            if (damage != null && !damaged) {
                throw new Violation("PFX", "the journal is taken for damaged: " + damage);
            }
            opened.pins(durablePins, lastPin);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return opened;
    }

    /// What is found damaged shows where a bridge leads over it: a start must not read that.
    private int readAtStart(
            Superblock known, byte[] journal, long readEnd, long address, ByteBuffer into) {
        int begin = into.position();
        int bytes = read(known, journal, readEnd, address, into);
        for (SegmentIndex each : damages.values()) {
            if (!each.parts().isEmpty()) {
                long from = Math.max(address, each.address());
                long to = Math.min(address + bytes, each.parts().getLast().endAddress());
                for (long record : from < to ? rotten.subSet(from, to) : Set.<Long>of()) {
                    int at = begin + (int) (record - address);
                    into.put(at, (byte) ~into.get(at));
                }
            }
        }
        return bytes;
    }

    private long segmentsEnd(Superblock known) {
        long segment = scenario.segmentBytes();
        return (Math.max(highest, known.watermark()) + segment - 1) / segment * segment;
    }

    /// Bytes of the journal that a start will read are not what was written; only while it is
    /// stopped. Behind what a bridge leads over, which it does not read.
    void damageJournal(RandomGenerator own) {
        long from = known().watermark();
        for (SegmentIndex each : damages.values()) {
            if (!each.parts().isEmpty()) {
                from = Math.max(from, each.parts().getLast().endAddress());
            }
        }
        if (up || highest <= from) {
            return;
        }
        damaged = true;
        everDamaged = true;
        uncovered++;
        sim.reached(Rare.JOURNAL_DAMAGED);
        long at = from + own.nextLong(highest - from);
        int length = own.nextBoolean() ? 1 : 1 + own.nextInt(3000);
        int place = (int) (at % journal.size());
        journal.damage(own, place, Math.min(length, journal.size() - place));
    }

    /// Somebody copies what is durable, as it lies there at this moment.
    void keepOlder(RandomGenerator own) {
        byte[] baseNow = new byte[base.size()];
        byte[] journalNow = new byte[journal.size()];
        base.crashInto(baseNow, own, 0);
        journal.crashInto(journalNow, own, 0);
        Map<Long, byte[]> deltasNow = new LinkedHashMap<>();
        deltas.forEach((pin, delta) -> deltasNow.put(pin, crashed(delta, own, 0)));
        older =
                new Older(
                        baseNow,
                        journalNow,
                        superblock.crashedBytes(own, 0),
                        highest,
                        damaged,
                        durablePins,
                        new TreeMap<>(damages),
                        lastPin,
                        new LinkedHashMap<>(durableDeltas),
                        deltasNow,
                        Map.copyOf(packed));
    }

    private static byte[] crashed(SimDelta delta, RandomGenerator own, int fate) {
        byte[] content = new byte[delta.disk().size()];
        delta.disk().crashInto(content, own, fate);
        return content;
    }

    /// Somebody puts it back; only while it is stopped.
    void restoreOlder() {
        base.put(older.base);
        wrong.clear();
        rotten.clear();
        uncovered++;
        journal.put(older.journal);
        superblock.put(older.superblock);
        highest = older.highest;
        damaged = older.damaged;
        durablePins = older.pins;
        damages.clear();
        damages.putAll(older.damages);
        lastPin = older.lastPin;
        durableDeltas.clear();
        durableDeltas.putAll(older.durableDeltas);
        deltas.clear();
        older.deltas.forEach((pin, content) -> deltas.put(pin, new SimDelta(pin, content)));
        packed.clear();
        packed.putAll(older.packed);
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

    private int read(
            Superblock known, byte[] journal, long readEnd, long address, ByteBuffer into) {
        long from = known.watermark() / scenario.segmentBytes() * scenario.segmentBytes();
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
            if (starting) {
                crashDisks(power);
                gone();
            }
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
        if (isWrittenTo() || !ownUnsynced.isEmpty()) {
            sim.reached(Rare.PROMOTED_CRASHED_WITH_WRITES);
        }
        if (isGivingUp() && backup.holdsStaged()) {
            sim.reached(Rare.COPY_CRASHED_WHILE_GIVING_UP);
        }
        if (power) {
            answeredBefore = answered;
        } else if (!syncFailed && isBefore(acknowledged, answered)) {
            acknowledged = answered;
        }
        crashDisks(power);
        if (power && appendedEnd > durableEnd) {
            sim.reached(Rare.TORN_TAIL_DROPPED);
        }
        gone();
    }

    private void crashDisks(boolean power) {
        int fate = Math.min(scenario.cutFate(), 2);
        if (superblock.isBusy()) {
            sim.reached(Rare.CRASH_WITH_SUPERBLOCK_ON_ITS_WAY);
        }
        superblock.crash(power ? fate : -1);
        if (power) {
            if (journal.hasPending() || base.hasPending()) {
                sim.reached(
                        fate == 0
                                ? Rare.POWER_CUT_LOST_ALL
                                : fate == 1 ? Rare.POWER_CUT_KEPT_ALL : Rare.POWER_CUT_CHOSE);
            }
            journal.powerCut(random, fate);
            base.powerCut(random, fate);
            deltas.values().forEach(each -> each.disk().powerCut(random, fate));
        }
    }

    private void gone() {
        up = false;
        starting = false;
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
        saveLater = null;
        taken = false;
        settling = false;
        ownWaiting.clear();
        ownSent.clear();
        ownUnsynced.clear();
        answered = Position.NONE;
        answeredEnd = 0;
        syncFailed = false;
        waiters.clear();
        sim.closeViews(this);
    }

    /// Stops once nothing is on its way to the disks, which are synced.
    void stop(Runnable then) {
        if (!up || machine.isWrittenTo()) {
            return; // It was promoted meanwhile.
        }
        sessionDown(link);
        if (failed) {
            return;
        }
        if (journalSyncing || rolling || baseBusy || superblock.isBusy()) {
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

    /// Whether it is about to be up.
    boolean isStarting() {
        return starting;
    }

    void failSuperblock(SimSuperblock.Failure by) {
        superblock.failNext(by);
    }

    /// Makes room for a larger device: the base first, then the superblock. A crash in between
    /// leaves a base that is longer than needed.
    ///
    /// @param done called when all of it is durable
    /// @param failed called with why it is not
    void grow(int bytes, Runnable done, Consumer<String> failed) {
        if (bytes <= bytes()) {
            done.run();
            return;
        }
        later(
                diskTime(),
                () -> {
                    byte[] more = new byte[Math.max(0, bytes - base.size())];
                    // A file gets zeroes, a device whatever was there before.
                    base.grow(scenario.blank() ? more : Tags.content(-5, 0, more.length));
                    superblock.write(
                            was -> was.ofSpace(AddressSpace.of(Math.max(bytes(), bytes))),
                            () -> {
                                backup.grow(bytes);
                                later(random.nextLong(100_000), done);
                            },
                            why -> {
                                sim.reached(Rare.GROWTH_REFUSED_WITHOUT_SUPERBLOCK);
                                if (superblock.hasFailed()) {
                                    fail();
                                }
                                failed.accept(why);
                            });
                });
    }

    private void grow(SimLink of, Frame.Resize order) {
        int bytes = (int) order.space().sizeBytes();
        grow(bytes, () -> reply(of, bytes, ""), why -> reply(of, bytes, why));
    }

    private void reply(SimLink of, int bytes, String refusal) {
        if (present == of) {
            out.send(0, List.of(new Frame.ResizeReply(Simulation.RESOURCE, bytes, refusal)));
        }
    }

    /// What is durably known of the base.
    private Superblock known() {
        return superblock.value();
    }

    Backup backup() {
        return backup;
    }

    WallClock clock() {
        return machine.clock();
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
    void sessionUp(SimLink link, SimLink.Pipe to) {
        sessionDown(this.link);
        present = link;
        out = to;
    }

    /// On which connection it has a session with the primary; null for none.
    SimLink link() {
        return link;
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
                call();
                sim.reached(Rare.CONNECTED_AGAIN_ON_ONE_LINK);
            }
        }
    }

    /// Asks the primary to greet. It may wait for the answer to a greeting that went to whatever
    /// was here before: that nobody will give it is said first.
    void call() {
        if (present != null && !standalone) {
            if (link == null) {
                out.send(0, List.of(new Frame.Refused(Simulation.RESOURCE, Backup.NOT_GREETED)));
            }
            out.send(0, List.copyOf(backup.greeting()));
        }
    }

    private void greeted(Frame.ResourceHello hello) {
        if (standalone) {
            sim.reached(Rare.GREETED_WHILE_DISCONNECTED);
            out.send(0, List.of(new Frame.Refused(Simulation.RESOURCE, PrimaryHost.DISCONNECTED)));
        } else if (PrimaryHost.isAtRest(hello)) {
            link = null;
            backup.sessionDown();
            out.send(0, List.copyOf(backup.greeting()));
        } else if (link == null || hello.diskState() != DiskState.FAILED.ordinal()) {
            link = present;
            stream = 0;
            backup.sessionUp(hello);
        }
    }

    void received(SimLink of, int onStream, List<Frame> frames) {
        for (Frame frame : frames) {
            if (!up || taken || of != present && !M27) {
                return;
            }
            if (frame instanceof Frame.ResourceHello hello) {
                greeted(hello);
                continue;
            }
            if (frame instanceof Frame.Resize order) {
                sim.note("backup < Resize", order.space().sizeBytes(), bytes());
                grow(of, order);
                continue;
            }
            if (link == null && !standalone && frame instanceof Frame.StreamStart) {
                // It took what was said to somebody else for its answer.
                sim.reached(Rare.CALL_TAKEN_FOR_AN_ANSWER);
                call();
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
                    backup.on(data, FrameCodec.sizeOf(frame), now());
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

    /// A frame of an older session, late.
    void receivedLate(SimLink of, int onStream, Frame.Data frame) {
        if (up && link != null && of != present) {
            sim.note("backup < late " + frame.getClass().getSimpleName(), 0, 0);
            sim.reached(Rare.LATE_DATA_OF_OLD_SESSION);
            received(of, onStream, List.of(frame));
        }
    }

    private void mark(Frame.Data frame) {
        switch (frame) {
            case Frame.Write w -> {
                came(w.position());
                mark(fresh, w.offsetBytes(), w.data().remaining());
            }
            case Frame.Zero z -> {
                came(z.position());
                mark(fresh, z.offsetBytes(), z.lengthBytes());
            }
            case Frame.EpochCommit c -> came(c.position());
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
                    Frame.EpochBegin _,
                    Frame.SyncBlocks _,
                    Frame.SyncZero _,
                    Frame.Compare _,
                    Frame.CompareSectors _,
                    Frame.Verify _,
                    Frame.Fetch _ -> {}
            case Frame.Mark m -> askedMarks.put(m.number(), m.name());
        }
    }

    private void came(Position at) {
        cameNanos.put(at, sim.agenda().nowNanos());
    }

    @Override
    public boolean readCommitted(long offsetBytes, ByteBuffer into) {
        byte[] found = new byte[into.remaining()];
        readForPeer(backup.committedIndex(), offsetBytes, found);
        into.put(found);
        return true;
    }

    // ---- a promoted copy
    // ---------------------------------------------------------------------------------------------

    /// From now on no peer writes to it.
    void take() {
        taken = true;
        retain();
        askSync();
        if (link != null) {
            link = null;
            backup.sessionDown();
        }
    }

    /// Whether all that was taken in from the peer is in the copy.
    boolean isQuiet() {
        return backup.appliedEnd() >= backup.end();
    }

    /// It is not promoted after all.
    void giveBack() {
        taken = false;
        retain();
        call();
    }

    boolean isTaken() {
        return taken;
    }

    /// The directory of the new role is whole.
    void promoted() {
        promoted = true;
        retain();
    }

    /// The base alone is the device of that primary: all else is forgotten.
    void forget() {
        promoted = false;
        gone();
    }

    /// One generation of this host's primary begins, as the daemon's shell does it.
    ///
    /// @param restored what the device is to be; null: what it is
    /// @param done called when it is durable
    /// @param refused when there is no room
    void begin(Ancestry ancestry, Backup.View restored, Runnable done, Runnable refused) {
        if (ownSeen == null) {
            truth = sim.truth().beside();
            ownSeen = truth.seen();
            fresh.set(0, (base.size() + 4095) / 4096);
            ownSeen.move(backup.committed(), fresh);
        }
        Position from = restored == null ? backup.committed() : restored.position();
        List<Frame.Data> parts =
                restored == null ? List.of() : toRestore(ancestry.generation(), restored);
        byte[] image = truth.imageAt(from);
        long blocks = 0;
        long zeroes = 0;
        for (Frame.Data part : parts) {
            if (part instanceof Frame.EpochBlocks b) {
                blocks += BlockSet.blocksOf(b.data().remaining()) + 1;
            } else {
                zeroes++;
            }
        }
        Frame.EpochBegin begin = new Frame.EpochBegin(ancestry.generation(), blocks, zeroes);
        Runnable commit =
                () -> {
                    Truth.Line line = truth.lineFrom(from);
                    line.begin(ancestry.generation(), image);
                    ownLines.put(ancestry.generation(), line);
                    Position at = new Position(ancestry.generation(), 0);
                    ordered = restored == null ? Position.NONE : at;
                    backup.commitOwn(at, machine.clock().millis(), ancestry);
                    Runnable told =
                            () -> {
                                acknowledged = at;
                                ordered = Position.NONE;
                                done.run();
                            };
                    if (M74) {
                        later(0, told);
                    } else {
                        waiters.add(new Waiter(backup.end(), told, () -> {}));
                    }
                };
        begin(begin, sim.agenda().nowNanos() + ROOM_LIMIT_NANOS, parts.iterator(), commit, refused);
    }

    private void begin(
            Frame.EpochBegin begin,
            long deadline,
            Iterator<Frame.Data> parts,
            Runnable commit,
            Runnable refused) {
        if (takeOwn(begin)) {
            restore(parts, commit, refused);
        } else if (sim.agenda().nowNanos() > deadline) {
            sim.reached(Rare.PROMOTION_LACKED_ROOM);
            backup.abandonOwn();
            refused.run();
        } else {
            later(100_000_000L, () -> begin(begin, deadline, parts, commit, refused));
        }
    }

    private void restore(Iterator<Frame.Data> parts, Runnable commit, Runnable refused) {
        if (!parts.hasNext()) {
            commit.run();
        } else if (takeOwn(parts.next())) {
            later(diskTime() / 4, () -> restore(parts, commit, refused));
        } else if (!failed) {
            backup.abandonOwn();
            refused.run();
        }
    }

    /// The ranges that have changed since a moment, as they were then.
    private List<Frame.Data> toRestore(long epoch, Backup.View then) {
        byte[] image = new byte[bytes()];
        readCommitted(indexOf(then), base.now(), journal.now(), 0, image);
        List<Frame.Data> parts = new ArrayList<>();
        int most = scenario.limits().runBlocks() * BlockSet.BLOCK_BYTES;
        for (JournalIndex.Run run : backup.since(then.moment())) {
            for (long at = run.offsetBytes(); at < run.endBytes(); at += most) {
                int to = (int) Math.min(at + most, run.endBytes());
                byte[] part = Arrays.copyOfRange(image, (int) at, to);
                parts.add(
                        Tags.zeroes(part) == part.length
                                ? new Frame.EpochZero(0, epoch, at, part.length)
                                : new Frame.EpochBlocks(0, epoch, at, ByteBuffer.wrap(part)));
            }
        }
        return parts;
    }

    private boolean takeOwn(Frame.Data frame) {
        if (failed || !backup.takeOwn(frame, now())) {
            return false;
        }
        mark(frame);
        return true;
    }

    /// A write of the primary of this host.
    ///
    /// @param done called when it is in the journal's file
    /// @param lost when nobody knows whether it ever will be
    void write(long offset, int length, byte[] data, boolean punch, Runnable done, Runnable lost) {
        ownWaiting.add(new OwnWrite(offset, length, data, punch, done, lost));
        if (failed) {
            failOwn();
        } else {
            settleOwn();
        }
    }

    /// A flush of it: what was answered before becomes durable.
    ///
    /// @param lost when it never will
    void sync(Runnable done, Runnable lost) {
        Position covered = answered;
        Runnable told =
                () -> {
                    if (isBefore(acknowledged, covered)) {
                        acknowledged = covered;
                    }
                    done.run();
                };
        if (failed) {
            lost.run();
        } else if (answeredEnd <= ownDurableEnd() || M70) {
            told.run();
        } else {
            sim.reached(Rare.PROMOTED_FLUSH_WAITED);
            waiters.add(new Waiter(answeredEnd, told, lost));
            askSync();
        }
    }

    /// The journal or the base has failed: nothing of what that primary waits for comes any more.
    private void failOwn() {
        List<Runnable> all = new ArrayList<>();
        ownSent.forEach(each -> all.add(each.lost));
        ownWaiting.forEach(each -> all.add(each.lost));
        waiters.forEach(each -> all.add(each.lost()));
        ownSent.clear();
        ownWaiting.clear();
        waiters.clear();
        all.forEach(Runnable::run);
    }

    /// Whether something of that primary is not answered.
    boolean isWrittenTo() {
        return !ownWaiting.isEmpty() || !ownSent.isEmpty();
    }

    /// What is written is answered, who waits for what came to be durable is told, and what waits
    /// is taken in.
    private void settleOwn() {
        int of = life;
        while (of == life
                && !waiters.isEmpty()
                && !failed
                && ownDurableEnd() >= waiters.peek().end()) {
            waiters.poll().then().run();
        }
        if (of != life || failed) {
            return;
        }
        ownUnsynced.removeIf(each -> each.end <= ownDurableEnd());
        if (ownWaiting.isEmpty() && ownSent.isEmpty()) {
            return;
        }
        while (!ownWaiting.isEmpty()) {
            OwnWrite next = ownWaiting.peek();
            Position at = backup.nextOwn();
            if (!takeOwnWrite(next.at(at, machine.clock().millis()))) {
                askSync(); // A roll-forward makes room of what is durable.
                break;
            }
            next.end = backup.end();
            next.number = at;
            ownLines.get(at.generation())
                    .numbered(
                            at.number(),
                            new Truth.Change(
                                    next.offset, next.length, next.data, sim.agenda().nowNanos()));
            if (failed) {
                return; // Its own append has: a start finds it, or not.
            }
            ownSent.add(ownWaiting.poll());
        }
        if (M82) {
            backup.durable(appendedEnd);
        }
        while (of == life && !ownSent.isEmpty() && ownSent.peek().end <= appendedEnd) {
            OwnWrite next = ownSent.poll();
            answered = next.number;
            answeredEnd = next.end;
            if (next.end > ownDurableEnd()) {
                ownUnsynced.add(next);
            }
            sim.reached(Rare.PROMOTED_WRITE_ANSWERED);
            next.done.run();
        }
        if (of == life) {
            makeViewsGiveWay();
        }
    }

    /// In front of it all is durable and in the image. By what this host has synced, and not by
    /// what it has told the deciding object, which M82 tells too early.
    private long ownDurableEnd() {
        return Math.min(durableEnd, backup.appliedEnd());
    }

    /// What was answered and has been synced, whoever has asked for that, is there for good.
    private void acknowledgeOwn() {
        for (OwnWrite each : ownUnsynced) {
            if (each.end <= durableEnd && isBefore(acknowledged, each.number)) {
                acknowledged = each.number;
            }
        }
    }

    private boolean takeOwnWrite(Frame.Data frame) {
        appendsUnsynced = true;
        try {
            return takeOwn(frame);
        } finally {
            appendsUnsynced = false;
        }
    }

    private void makeViewsGiveWay() {
        long now = sim.agenda().nowNanos();
        if (ownWaiting.isEmpty()) {
            waitsSinceNanos = 0;
        } else if (waitsSinceNanos == 0) {
            waitsSinceNanos = now;
            sim.reached(Rare.PROMOTED_WRITE_WAITED);
        } else if (now - waitsSinceNanos > VIEW_GIVES_WAY_NANOS) {
            sim.viewGivesWay(this);
        }
    }

    /// What the primary of this host reads.
    byte[] read(int from, int end) {
        byte[] into = new byte[end - from];
        readCommitted(backup.committedIndex(), base.now(), journal.now(), from, into);
        for (OwnWrite each : ownUnsynced) {
            int first = (int) Math.max(from, each.offset);
            int last = (int) Math.min(end, each.offset + each.length);
            for (int at = first; at < last; at++) {
                into[at - from] = each.data == null ? 0 : each.data[(int) (at - each.offset)];
            }
        }
        return into;
    }

    /// What a view shows, by what was written and not by what is read.
    byte[] imageOf(Backup.View view) {
        return truth.imageAt(view.position());
    }

    /// Likewise what the copy is.
    byte[] imageOfCommitted() {
        return truth.imageAt(backup.committed());
    }

    /// As long as this life lasts.
    void afterAWhile(Runnable task) {
        later(diskTime(), task);
    }

    int bytes() {
        return (int) superblock.value().sizeBytes();
    }

    /// From now on nothing is opened or kept.
    ///
    /// @return false if something is open or kept, and nothing has changed
    boolean beginToSettle() {
        settling = backup.pins().isEmpty() && backup.openViews() == 0;
        return settling;
    }

    /// History is kept again, if there is any.
    void endSettling() {
        if (settling) {
            settling = false;
            retain();
        }
    }

    boolean isSettling() {
        return settling;
    }

    /// Everything goes into the base, and nothing of history is kept.
    void settleAll() {
        backup.retain(Retention.NONE, scenario.indexRuns());
        askSync();
        settle();
    }

    /// Whether the base alone is what the copy is, durably.
    boolean isBaseAlone() {
        return up && !failed && backup.isSettled() && isSettled() && !journalSyncing;
    }

    // ---- silent damage
    // -------------------------------------------------------------------------------------------

    /// Some sectors of the base read wrong, and nothing reports it. It is seen by whatever digests
    /// the copy for the peer, and by no other check: those are about what was written. What the
    /// journal has of it is no damage: a roll may be writing it at this moment.
    void damageBase(RandomGenerator own) {
        int sectors = bytes() / SimDisk.SECTOR;
        int first = own.nextInt(sectors);
        int end = Math.min(sectors, first + 1 + own.nextInt(own.nextBoolean() ? 2 : 40));
        for (int s = first; s < end; s++) {
            if (!isIn(backup.committedIndex(), (long) s * SimDisk.SECTOR)) {
                wrong.set(s);
            }
        }
    }

    /// Some records of the journal, behind the base, are not what was written there any more.
    void rotJournal(RandomGenerator own) {
        if (!up || failed || rolling || damaged || !backup.hasPoint()) {
            return;
        }
        List<Long> there = new ArrayList<>();
        try {
            scan(journal.now())
                    .run(
                            known().watermark(),
                            backup.appliedEnd(),
                            known().movedBy(),
                            JournalScan.Indexes.NONE,
                            (record, _) -> there.add(record.address()));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        for (int i = own.nextInt(3); i >= 0 && !there.isEmpty(); i--) {
            rotten.add(there.remove(own.nextInt(there.size())));
            sim.reached(Rare.JOURNAL_ROTTEN);
        }
    }

    private void noteRotAtStart() {
        Backup.Bridge over = backup.bridge(known().watermark(), Long.MAX_VALUE);
        if (backup.isRotten()) {
            sim.reached(Rare.ROT_FOUND_BY_START);
        }
        if (over != null) {
            sim.reached(Rare.BRIDGE_FOUND_BY_START);
        }
        if (over != null && known().rollingTo() >= over.address()) {
            sim.reached(Rare.CRASH_IN_ROLL_OVER_BRIDGE);
        }
    }

    /// Whether nothing in front of it can be rolled any more.
    boolean isRolledUpToRot() {
        Long first = rotten.ceiling(known().watermark());
        History.Moment next = backup.history().behind(known().watermark());
        return first == null || next == null || next.address() > first;
    }

    /// Whether some is there that the base has not passed.
    boolean hasRot() {
        return rotten.ceiling(known().watermark()) != null;
    }

    /// @return where it first finds what it cannot read; negative for nowhere
    private long firstRotten(Backup.Roll roll) {
        Long first = rotten.ceiling(roll.over() == null ? roll.from() : roll.over().address());
        long found = first == null || first >= roll.to() ? -1 : first;
        if (roll.over() != null) {
            for (JournalIndex.Run run : roll.over().index().all()) {
                if (isUnreadable(run)) {
                    throw new Violation("PIT", "moments go on with what cannot be read");
                }
                if (!run.isZero() && rotten.contains(run.recordAddress())) {
                    found = run.recordAddress();
                }
            }
        }
        return found;
    }

    /// Which records of the newest image are not whole.
    private void look(JournalIndex at) {
        rolling = true;
        later(
                diskTime(),
                () -> {
                    rolling = false;
                    SortedSet<Long> bad = new TreeSet<>();
                    for (JournalIndex.Run run : at.all()) {
                        if (!run.isZero() && rotten.contains(run.recordAddress())) {
                            bad.add(run.recordAddress());
                        }
                    }
                    backup.checked(bad);
                    answeredMarks.retainAll(backup.marks()); // More may have ended.
                    if (backup.isRotten()) {
                        sim.reached(Rare.ROT_OF_THE_NEWEST);
                        sim.cannotRead();
                    }
                    check("looked at");
                });
    }

    /// Whether that is known.
    private boolean isUnreadable(JournalIndex.Run run) {
        return !run.isZero() && backup.unreadable().contains(run.recordAddress());
    }

    /// Where what a promotion would yield reads wrong, by blocks.
    ///
    /// @param bytes of the primary's device: what is behind it means nothing
    BitSet damage(int bytes) {
        return damage(backup.committedIndex(), bytes);
    }

    /// Where the base reads wrong, also below what the journal has.
    BitSet damageOfBase() {
        return damage(new JournalIndex(), base.size());
    }

    private BitSet damage(JournalIndex index, int bytes) {
        BitSet blocks = new BitSet();
        for (int s = wrong.nextSetBit(0); s >= 0; s = wrong.nextSetBit(s + 1)) {
            if (s < bytes / SimDisk.SECTOR && !isIn(index, (long) s * SimDisk.SECTOR)) {
                blocks.set(s / (4096 / SimDisk.SECTOR));
            }
        }
        for (JournalIndex.Run run : index.all()) {
            if (isUnreadable(run) && run.offsetBytes() < bytes) {
                mark(
                        blocks,
                        run.offsetBytes(),
                        Math.min(run.endBytes(), bytes) - run.offsetBytes());
            }
        }
        return blocks;
    }

    /// How often the journal may have lost what lay over the base.
    int uncovered() {
        return uncovered;
    }

    private static boolean isIn(JournalIndex index, long offset) {
        JournalIndex.Run run = index.at(offset);
        return run != null && run.offsetBytes() <= offset;
    }

    /// It is written anew.
    private void writeToBase(long offset, int length, byte[] data) {
        wrong.clear((int) (offset / SimDisk.SECTOR), (int) (offset + length) / SimDisk.SECTOR);
        base.write(offset, length, data);
    }

    private void readForPeer(JournalIndex index, long offset, byte[] into) {
        readCommitted(index, base.now(), journal.now(), offset, into);
        long end = offset + into.length;
        for (JournalIndex.Run run = index.at(offset);
                run != null && run.offsetBytes() < end;
                run = index.at(run.endBytes())) {
            long to = Math.min(run.endBytes(), end);
            for (long at = Math.max(run.offsetBytes(), offset);
                    isUnreadable(run) && at < to;
                    at++) {
                into[(int) (at - offset)] ^= 0x33;
            }
        }
        for (long sector = offset / SimDisk.SECTOR; sector * SimDisk.SECTOR < end; sector++) {
            long from = sector * SimDisk.SECTOR;
            if (wrong.get((int) sector) && !isIn(index, from)) {
                for (long at = Math.max(from, offset);
                        at < Math.min(from + SimDisk.SECTOR, end);
                        at++) {
                    into[(int) (at - offset)] ^= 0x55;
                }
            }
        }
    }

    private static void mark(BitSet set, long offset, long length) {
        set.set((int) (offset / 4096), (int) ((offset + length + 4095) / 4096));
    }

    @Override
    public void send(Frame.OfResource frame) {
        if (frame instanceof Frame.Ack ack) {
            Position committed = backup.committed();
            if (!ack.committed().isNone() && !isIn(ack.committed(), committed)) {
                throw new Violation(
                        "LOW", "acknowledges " + ack.committed() + ", would yield " + committed);
            }
            if (isBefore(acknowledged, ack.committed())) {
                acknowledged = ack.committed();
            }
        }
        if (frame instanceof Frame.ResourceHello hello
                && (!hello.committed().equals(backup.committed())
                        || hello.ancestry().generation() != backup.ancestry().generation())) {
            throw new Violation(
                    "SPL",
                    "says that it is at %s, is at %s"
                            .formatted(hello.committed(), backup.committed()));
        }
        if (frame instanceof Frame.MarkReply reply && reply.refusal().isEmpty()) {
            marked(askedMarks.get(reply.number()));
        }
        if (frame instanceof Frame.Refused refused) {
            sim.refused("backup", refused.reason());
        }
        sim.note("backup > " + frame.getClass().getSimpleName(), backup.committed().number(), 0);
        if (link != null) {
            sim.sentByBackup(link, frame);
            out.send(0, List.of(frame));
        }
    }

    @Override
    public void grant(long bytes) {
        if (link != null) {
            out.send(0, List.of(new Frame.Credit(stream, bytes)));
        }
    }

    @Override
    public void checked(ClockCheck check) {
        if (!superblock.writeNow(was -> was.checked(check)) && !failed) {
            fail();
        }
    }

    @Override
    public void event(String kind, String text) {
        sim.event("backup", kind, text);
        switch (kind) {
            case "time-in-doubt" -> sim.reached(Rare.TIME_IN_DOUBT);
            case "time-settled" -> sim.reached(Rare.TIME_SETTLED);
            case "pin-expired" -> {
                sim.reached(Rare.PIN_EXPIRED);
                expired(text);
            }
            case "journal-full" -> sim.reached(Rare.JOURNAL_FULL);
            case "journal-mended" -> {
                sim.reached(Rare.ROT_MENDED);
                answeredMarks.retainAll(backup.marks()); // One may have been on its way.
            }
            case "epoch-continued" -> {
                sim.reached(Rare.EPOCH_CONTINUED);
                continuing = true;
                if (stagedFound) {
                    sim.reached(Rare.CONTINUED_AFTER_BACKUP_START);
                }
            }
            case "kept-given-up" -> {
                sim.reached(Rare.KEPT_GIVEN_UP_FOR_ROOM);
                continuing = false;
                stagedFound = false;
            }
            case "epoch-committed" -> {
                if (continuing) {
                    sim.reached(Rare.CONTINUED_EPOCH_COMMITTED);
                }
                continuing = false;
                stagedFound = false;
            }
            default -> {}
        }
    }

    // ---- the journal
    // ---------------------------------------------------------------------------------------------

    @Override
    public void append(long address, ByteBuffer header, ByteBuffer data) {
        int length = header.remaining() + (data == null ? 0 : data.remaining());
        if (address + length > freed + journal.size()
                || stored(address + length) > scenario.journalBytes()) {
            throw new Violation(
                    "BND",
                    "the journal's record at %d overwrites what is needed".formatted(address));
        }
        if (JournalRecord.decode(header) instanceof Found.Good(JournalRecord record)
                && record.kind() == Kind.PAD) {
            sim.reached(Rare.JOURNAL_PAD);
        }
        if (address >= journal.size()) {
            sim.reached(Rare.JOURNAL_WRAPPED);
        }
        if (address >= freed + scenario.journalBytes()) {
            sim.reached(Rare.JOURNAL_HELD_MORE);
        }
        if (journalBroken) {
            return;
        }
        sim.disk("backup disk");
        highest = Math.max(highest, address + length);
        long at = address % journal.size();
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
        // Or as much as may be unsynced has come together.
        if (!appendsUnsynced || random.nextInt(16) == 0) {
            askSync();
        }
    }

    /// What was appended becomes durable soon.
    private void askSync() {
        syncTo = appendedEnd;
        syncJournal();
    }

    /// The journal ends where it is damaged. A crash leaves a part of what stood behind, so that
    /// the next start finds damage again, or an end that looks torn.
    private void cut() {
        if (random.nextInt(3) == 0) {
            zeroFrom(backup.end() + random.nextLong(highest - backup.end() + 1));
            sim.reached(Rare.CUT_OF_DAMAGE_CUT_OFF);
            superblock.writeNow(Superblock::opened);
            backup = open(superblock.value(), this, journal.now(), Long.MAX_VALUE);
            retain();
            if (!backup.isToBeCut()) {
                return;
            }
        }
        zeroFrom(backup.end());
        highest = backup.end();
        packed.keySet()
                .removeIf(at -> at >= highest / scenario.segmentBytes() * scenario.segmentBytes());
        backup.cut();
        sim.reached(Rare.DAMAGE_CUT);
    }

    private void zeroFrom(long address) {
        if (M81) {
            return;
        }
        for (long at = address; at < highest; ) {
            int place = (int) (at % journal.size());
            int length = (int) Math.min(highest - at, journal.size() - place);
            journal.write(place, length, null);
            at += length;
        }
        journal.syncNow();
    }

    /// What the segments take that hold the journal as far as there.
    private long stored(long end) {
        long segment = scenario.segmentBytes();
        long bytes = 0;
        for (long at = freed / segment * segment; at < end; at += segment) {
            bytes += packed.getOrDefault(at, segment);
        }
        return bytes;
    }

    /// Some time after it is full and durable, a segment takes less. The content is the same, so
    /// that nothing of it shows on the disk.
    private void pack(long from, long to) {
        long segment = scenario.segmentBytes();
        if (scenario.packedPercent() == 100) {
            return;
        }
        for (long at = Math.max(from, freed) / segment * segment;
                at + segment <= to;
                at += segment) {
            long address = at;
            if (packing.nextInt(4) > 0) {
                later(packing.nextLong(100_000_000L), () -> packed(address));
            }
        }
    }

    private void packed(long address) {
        if (address < freed || packed.containsKey(address)) {
            return;
        }
        int least = scenario.packedPercent();
        long bytes = scenario.segmentBytes() * packing.nextInt(least, 100) / 100;
        packed.put(address, bytes);
        sim.reached(Rare.SEGMENT_PACKED);
        if (!failed) {
            backup.packed(address, bytes);
            check("packed");
        }
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
        if (journalSyncing || syncTo <= durableEnd) {
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
                                    syncFailed = true;
                                    if (!M23) {
                                        fail();
                                        return;
                                    }
                                    failNextSync = false;
                                }
                                journal.synced(mark);
                                pack(durableEnd, upTo);
                                durableEnd = upTo;
                                journalSyncing = false;
                                sim.cloneAndCrash();
                                backup.durable(upTo);
                                acknowledgeOwn();
                                check("durable");
                                sim.check("durable");
                                settleOwn();
                                if (!up || failed) {
                                    return;
                                }
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
        check("failed");
        failOwn();
        sim.backupFailed(this);
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
        if (beforeAddress > known().watermark()) {
            throw new Violation(
                    "LOW",
                    "the journal below %d is given free, a start reads it from %d on"
                            .formatted(beforeAddress, known().watermark()));
        }
        freed = beforeAddress;
        packed.keySet().removeIf(at -> at < freed);
        rotten.headSet(freed).clear();
    }

    // ---- the base
    // ------------------------------------------------------------------------------------------------

    @Override
    public boolean writeBase(
            long session,
            long sequence,
            long offsetBytes,
            long lengthBytes,
            ByteBuffer data,
            long tracked) {
        byte[] bytes = null;
        if (data != null) {
            bytes = new byte[data.remaining()];
            data.get(data.position(), bytes);
        }
        baseWork.add(
                new BaseWork.Write(
                        session, sequence, offsetBytes, (int) lengthBytes, bytes, tracked));
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
                if (superblock.value().filling(w.tracked) != superblock.value()) {
                    // Before that it must be durable that the base is not blank.
                    baseBusy = true;
                    superblock.write(was -> was.filling(w.tracked), () -> work(w), _ -> fail());
                    return;
                }
                if (random.nextBoolean() && baseWriteFails()) {
                    base.writePart(random, w.offset, w.length, w.data);
                    sim.reached(Rare.BASE_WRITE_FAILED);
                    fail();
                    return;
                }
                writeToBase(w.offset, w.length, w.data);
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
        Backup.Sectors sectors = backup.nextSectors();
        if (sectors != null) {
            digest(sectors);
            return;
        }
        TreeAnswers.Part part = backup.nextDigest();
        if (part == null) {
            workOnBase();
            return;
        }
        int offset = (int) part.offsetBytes();
        byte[] rest = new byte[(int) part.lengthBytes()];
        readForPeer(backup.committedIndex(), offset, rest);
        if (random.nextBoolean() && backup.digestedZeroes(part, Tags.zeroes(rest))) {
            sim.reached(Rare.COMPARE_SKIPPED_HOLE);
            wakeDigester();
            return;
        }
        byte[] read = Arrays.copyOf(rest, part.wantedBytes(scenario.limits().runBlocks() * 4096));
        byte[] leaves = part.shape().leaves(ByteBuffer.wrap(read));
        later(
                diskTime() / 2,
                () -> {
                    backup.digested(part, read.length, leaves);
                    wakeDigester();
                });
        workOnBase();
    }

    /// What was read is handed over later.
    private void digest(Backup.Sectors sectors) {
        ByteBuffer read = ByteBuffer.allocate(sectors.lengthBytes());
        for (Frame.Range each : sectors.ranges()) {
            byte[] part = new byte[each.lengthBytes()];
            int offset = (int) each.offsetBytes();
            readForPeer(backup.indexOf(sectors), offset, part);
            read.put(part);
        }
        byte[] digests = sectors.digest(read.flip());
        later(
                diskTime() / 2,
                () -> {
                    backup.sectorsDigested(sectors, digests);
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
                    Backup.Base upTo = backup.filling();
                    superblock.write(
                            was -> was.filled(upTo),
                            () ->
                                    later(
                                            random.nextLong(100_000),
                                            () -> {
                                                baseBusy = false;
                                                backup.baseDurable(session, sequence);
                                                then.run();
                                            }),
                            _ -> fail());
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
        JournalIndex doubted = backup.startCheck();
        if (doubted != null) {
            look(doubted);
            return;
        }
        boolean settle = settleAsked;
        History.Moment oldest = backup.history().oldest();
        boolean forRoom = backup.isRollUrgent();
        Backup.Roll roll = backup.startRoll(settle);
        settleAsked = false;
        if (roll == null) {
            return;
        }
        long bad = firstRotten(roll);
        if (bad >= 0 && !M90) {
            settleAsked = settle;
            sim.reached(Rare.ROLL_MET_ROT);
            backup.rollMeetsDamage(bad);
            answeredMarks.retainAll(backup.marks());
            check("rot met");
            wakeRoller();
            return;
        }
        sim.note("roll", roll.reached().watermark(), roll.reached().position().number());
        if (!settle && !damaged) {
            checkRetention(roll, oldest, forRoom);
        }
        rolling = true;
        rollTo = roll.to();
        JournalIndex image = image(roll.over(), roll.from(), roll.to(), roll.begun().movedBy());
        if (roll.over() != null) {
            sim.reached(Rare.ROT_PASSED);
        }
        rollRuns = image.all().iterator();
        if (roll.save() != null) {
            saveFirst(roll, image);
        } else {
            begin(roll);
        }
    }

    private void begin(Backup.Roll roll) {
        superblock.write(was -> was.rolled(roll.begun()), () -> rollStep(roll), _ -> rollFailed());
    }

    /// What a pin needs of the base is saved, synced and said to count; only then the roll begins.
    private void saveFirst(Backup.Roll roll, JournalIndex image) {
        if (random.nextInt(10) == 0) {
            rolling = false;
            rollRuns = null;
            sim.reached(Rare.SAVE_LACKED_ROOM);
            backup.saveLacksRoom("an injected lack of room");
            later(1_000_000_000L, () -> backup.tryAgain());
            return;
        }
        try {
            List<JournalIndex> held = new ArrayList<>();
            for (long pin : roll.save().counted()) {
                if (deltas.containsKey(pin)) {
                    held.add(deltas.get(pin).log().index());
                }
            }
            List<Pins.Range> unsaved = Pins.unsaved(image, held);
            long pin = roll.save().into();
            if (!unsaved.isEmpty() && !deltas.containsKey(pin)) {
                SimDelta made = new SimDelta(pin);
                made.create();
                deltas.put(pin, made);
            }
            if (unsaved.isEmpty()) {
                begin(roll);
                return;
            }
            SimDelta into = deltas.get(pin);
            for (Pins.Range range : unsaved) {
                byte[] old = new byte[(int) (range.endBytes() - range.offsetBytes())];
                int there = Math.min(old.length, base.size() - (int) range.offsetBytes());
                System.arraycopy(base.now(), (int) range.offsetBytes(), old, 0, there);
                if (Tags.zeroes(old) == old.length) {
                    into.log().addZero(range.offsetBytes(), old.length);
                } else {
                    into.log().add(range.offsetBytes(), ByteBuffer.wrap(old));
                }
            }
            DeltaLog.Extent now = into.log().finish();
            sim.reached(Rare.SAVED_FOR_PIN);
            sim.note("saved", pin, now.end());
            if (Faults.M52) {
                into.log().counts(now);
                saveLater =
                        () -> {
                            into.disk().syncNow();
                            durableDeltas.put(pin, now);
                        };
                begin(roll);
            } else {
                syncSaved(roll, pin, into, now);
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private void syncSaved(Backup.Roll roll, long pin, SimDelta into, DeltaLog.Extent now) {
        long mark = into.disk().sync();
        later(
                diskTime(),
                () -> {
                    if (random.nextInt(4) == 0 && baseWriteFails()) {
                        into.disk().syncFailed(mark, random);
                        rollFailed();
                        return;
                    }
                    into.disk().synced(mark);
                    later(
                            diskTime(),
                            () -> {
                                durableDeltas.put(pin, now);
                                into.log().counts(now);
                                sim.cloneAndCrash();
                                begin(roll);
                            });
                });
    }

    /// @param part which of the moments there are, 1 for the newest
    void keep(String name, double part, long forMillis) {
        Backup.View view = openView(part);
        if (view == null) {
            return;
        }
        backup.tick(now());
        String refused = backup.keep(name, view.moment(), bytes(), forMillis);
        if (refused.isEmpty()) {
            keptFor.put(name, new KeptFor(sim.agenda().nowNanos(), forMillis));
            sim.note("kept", view.moment().address(), view.position().number());
            sim.reached(Rare.PIN_MADE);
        }
        backup.closeView(view.id());
    }

    @Override
    public String damaged(SegmentIndex note) {
        damages.put(
                note.address(),
                SegmentIndex.decode(note.encode(), Simulation.RESOURCE, note.address()));
        return null;
    }

    @Override
    public void damagePassed(long from, long before) {
        damages.subMap(from, before).clear();
    }

    @Override
    public String pins(List<Pins.Pin> all, long lastId) {
        durablePins = all;
        lastPin = lastId;
        List<Long> left = all.stream().map(Pins.Pin::id).toList();
        deltas.keySet().retainAll(left);
        durableDeltas.keySet().retainAll(left);
        return null;
    }

    /// What the base was while it stood at a pin, with what is saved since.
    private static byte[] below(
            long pin, List<Pins.Pin> pins, Map<Long, SimDelta> deltas, byte[] base) {
        byte[] image = base.clone();
        try {
            for (Pins.Pin each : pins.reversed()) {
                if (deltas.containsKey(each.id())) {
                    deltas.get(each.id()).over(image);
                }
                if (each.id() == pin) {
                    return image;
                }
            }
        } catch (IOException e) {
            throw new Violation("PIN", "a delta cannot be read: " + e.getMessage());
        }
        throw new Violation("PIN", "pin " + pin + " is open and not kept");
    }

    /// PIN: each kept moment reads as the image of its position.
    void checkPins(String where) {
        if (!damaged) {
            checkPins(where, backup, base.now(), journal.now(), deltas);
        }
    }

    private void checkPins(
            String where,
            Backup of,
            byte[] baseBytes,
            byte[] journalBytes,
            Map<Long, SimDelta> deltasThere) {
        checkGivenUp(where, of);
        long watermark = of.base().watermark();
        for (Pins.Pin pin : of.pins()) {
            long address = pin.moment().address();
            byte[] expected = truth.imageAt(pin.moment().position());
            byte[] found = new byte[expected.length];
            JournalIndex index =
                    address <= watermark
                            ? new JournalIndex()
                            : image(journalBytes, watermark, address, of.base().movedBy());
            byte[] below = below(pin.id(), durablePins, deltasThere, baseBytes);
            readCommitted(index, below, journalBytes, 0, found);
            sim.countCheckedBlocks((found.length + 4095) / 4096);
            if (address < watermark) {
                sim.reached(Rare.PIN_CHECKED_BEHIND_BASE);
            }
            if (!Arrays.equals(expected, found)) {
                throw new Violation(
                        "PIN",
                        "%s: %s, kept of %s, is not that image: %s"
                                .formatted(
                                        where,
                                        pin.name(),
                                        pin.moment().position(),
                                        SimDisk.describe(expected, found, 8)));
            }
        }
    }

    /// R22: what is younger than the retention stays openable while there is room, and what is
    /// younger than the least one however full the journal is; whatever the clocks say.
    ///
    /// @param oldest that could be opened before; in front of it there was nothing to be kept
    private void checkRetention(Backup.Roll roll, History.Moment oldest, boolean forRoom) {
        Backup.Base to = roll.reached();
        Long received = cameNanos.get(to.position());
        long keptMillis = forRoom ? scenario.retentionMinMillis() : scenario.retentionMillis();
        if (!promoted
                && to.everCommitted()
                && !to.mixture()
                && !to.position().equals(oldest.position())
                && received != null
                && millisSince(received) < keptMillis - ROUNDED_MILLIS
                && sim.isOneClockSteady()) {
            throw new Violation(
                    "PIT",
                    "history is shortened to %d ms, %d ms are to be kept"
                            .formatted(millisSince(received), keptMillis));
        }
        if (!forRoom && scenario.retentionMillis() > 0) {
            sim.reached(Rare.ROLLED_FOR_AGE);
            if (startedAhead) {
                sim.reached(Rare.ROLLED_FOR_AGE_BEHIND_A_CLOCK_AHEAD);
            }
        }
        if (scenario.retentionMinMillis() > 0 && backup.wantsRoom()) {
            sim.reached(Rare.ROLLED_FOR_ROOM_BEHIND_LEAST_RETENTION);
        }
    }

    /// As the daemon has it.
    private Now now() {
        return new Now(
                sim.agenda().nowNanos(),
                machine.clock().millis(),
                link == null ? null : machine.peerReading());
    }

    private void rollFailed() {
        rolling = false;
        sim.reached(Rare.ROLL_FAILED);
        failed = true;
        backup.rollFailed("an injected error");
        check("roll failed");
        failOwn();
        sim.backupFailed(this);
    }

    private void rollStep(Backup.Roll roll) {
        int steps = 1 + random.nextInt(8);
        for (int i = 0; i < steps && rollRuns.hasNext(); i++) {
            JournalIndex.Run run = rollRuns.next();
            if (M90 && rotten.contains(run.recordAddress())) {
                continue;
            }
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
            writeToBase(run.offsetBytes(), (int) run.lengthBytes(), data);
            mark(fresh, run.offsetBytes(), run.lengthBytes());
        }
        check("roll step");
        sim.check("roll step");
        if (random.nextInt(4) == 0) {
            checkPins("roll step");
        }
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
                    if (saveLater != null) {
                        saveLater.run();
                        saveLater = null;
                    }
                    superblock.write(
                            was -> was.rolled(roll.reached()),
                            () -> later(random.nextLong(100_000), () -> rolled(roll)),
                            _ -> rollFailed());
                });
    }

    private void rolled(Backup.Roll roll) {
        rolling = false;
        sim.reached(Rare.ROLLED);
        backup.rolled(roll);
        damaged &= backup.isDamaged();
        sim.baseHas(this, backup.base().watermark());
        checkAll("rolled");
        checkPins("rolled");
        sim.cloneAndCrash();
        settleOwn();
    }

    boolean isRolling() {
        return rolling;
    }

    /// Journal offset to which the base is rolled, or being rolled: no moment before that can be
    /// opened.
    long rolledTo() {
        long begun = Math.max(backup.base().watermark(), backup.base().rollingTo());
        return rolling ? Math.max(begun, rollTo) : begun;
    }

    // ---- the checks
    // ----------------------------------------------------------------------------------------------

    /// Whether the copy comes from the first position to the second. What it gives up lies before
    /// all that it is brought to.
    private boolean isBefore(Position a, Position b) {
        boolean isGivenUp = a.generation() == givesUp;
        return givesUp != 0
                        && !a.isNone()
                        && !b.isNone()
                        && isGivenUp != (b.generation() == givesUp)
                ? isGivenUp
                : truth.isBefore(a, b);
    }

    /// Whether what the copy was at the first position is in what it is at the second: it is there,
    /// or has gone on from there.
    private boolean isIn(Position a, Position b) {
        return a.isNone() || a.equals(b) || isBefore(a, b);
    }

    /// Whether a copy at this position has lost what it has acknowledged. One that an order has
    /// brought back to an older moment has not, at the very position of that order's commit.
    private boolean lacksAcknowledged(Position committed) {
        return !isIn(acknowledged, committed) && !committed.equals(ordered);
    }

    /// PFX, LOW: the newest moment is all that the copy has, and all that was acknowledged.
    void requireNewest(Position of) {
        if (!of.equals(backup.committed()) || lacksAcknowledged(of)) {
            throw new Violation(
                    "LOW",
                    "promoted is %s, the copy is at %s, %s was acknowledged"
                            .formatted(of, backup.committed(), acknowledged));
        }
    }

    /// What was ordered before a crash has come about: from now on it is that which is kept.
    private void noteOrderCarriedOut() {
        if (backup.hasPoint() && backup.committed().equals(ordered)) {
            acknowledged = ordered;
            ordered = Position.NONE;
        }
    }

    /// What the copy was at the last check.
    Truth.Seen seen() {
        return ownSeen == null ? seen : ownSeen;
    }

    /// Whether it was made of a primary, and what that said may still be on its way.
    boolean isNew() {
        return givesUp != 0 && (!up || backup.committed().generation() == givesUp);
    }

    boolean isOfWhatIsGivenUp(Position at) {
        return givesUp != 0 && at.generation() == givesUp;
    }

    /// Whether all that it has by itself is given up, and it is not brought to anything else yet.
    boolean isGivingUp() {
        return up && givesUp != 0 && backup.committed().generation() == givesUp;
    }

    /// PFX, LOW and SPL on what may have changed since the last check.
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
            fresh.set(0, (base.size() + 4095) / 4096);
        }
        checkMarks(where, backup);
        Position committed = backup.committed();
        if (lacksAcknowledged(committed)) {
            throw new Violation(
                    "LOW",
                    where + ": " + acknowledged + " was acknowledged, would yield " + committed);
        }
        if (!committed.equals(checkedAt)) {
            fresh.or(staged);
            if (!backup.holdsStaged()) {
                staged.clear();
            }
            if (checkedAt.generation() != givesUp
                    && !committed.equals(ordered)
                    && truth.isForked(checkedAt, committed)) {
                throw new Violation(
                        "SPL",
                        "%s: the copy was at %s, and is at %s of another history"
                                .formatted(where, checkedAt, committed));
            }
            if (isOfWhatIsGivenUp(checkedAt) && !isOfWhatIsGivenUp(committed)) {
                sim.reached(Rare.GIVEN_UP_AND_ADOPTED);
            }
            seen().move(committed, fresh);
            checkedAt = committed;
        }
        byte[] expected = seen().image();
        // What is behind the end of a smaller device means nothing.
        int blocks = (expected.length + 4095) / 4096;
        for (int block = fresh.nextSetBit(0); block >= 0 && block < blocks; ) {
            int endBlock = Math.min(fresh.nextClearBit(block), blocks);
            int from = block * 4096;
            byte[] found = new byte[Math.min(endBlock * 4096, expected.length) - from];
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

    private void marked(String name) {
        answeredNames.add(name);
        answeredMarks.add(
                backup.marks().stream()
                        .filter(each -> each.name().equals(name))
                        .findFirst()
                        .orElseThrow(
                                () ->
                                        new Violation(
                                                "PIT", name + " is answered, and is no mark yet")));
    }

    /// Whether the primary was ever told that this is marked.
    boolean hasMarked(String name) {
        return answeredNames.contains(name);
    }

    /// What was answered stays until the base is rolled as far as there.
    private void checkMarks(String where, Backup of) {
        History.Moment oldest = of.history().oldest();
        if (answeredMarks.isEmpty() || oldest == null) {
            return;
        }
        long from = Math.max(oldest.address(), of.base().watermark() + 1);
        List<String> there = of.marks().stream().map(Marks.Mark::name).toList();
        for (Marks.Mark each : answeredMarks) {
            if (each.moment().address() >= from && !there.contains(each.name())) {
                throw new Violation(
                        "PIT", "%s: %s was marked and is gone".formatted(where, each.name()));
            }
        }
    }

    void checkAll(String where) {
        fresh.set(0, (base.size() + 4095) / 4096);
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
        checkCrashed(superblock.crashed(own, fate), opened(each -> crashed(each, own, fate)));
    }

    /// The deltas as a start would find them.
    private Map<Long, SimDelta> opened(Function<SimDelta, byte[]> crashed) {
        Map<Long, SimDelta> opened = new LinkedHashMap<>();
        durableDeltas.forEach(
                (pin, counts) -> {
                    SimDelta there = new SimDelta(pin, crashed.apply(deltas.get(pin)));
                    try {
                        there.open(counts);
                    } catch (IOException e) {
                        throw new Violation(
                                "PIN",
                                "after a power cut the delta of " + pin + ": " + e.getMessage());
                    }
                    opened.put(pin, there);
                });
        return opened;
    }

    private void makeRoom() {
        if (crashedBase == null || crashedBase.length != base.size()) {
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

    SimDisk superblock() {
        return superblock.disk();
    }

    /// The same for one power cut.
    void checkCrash(SimDisk.Cut ofBase, SimDisk.Cut ofJournal, SimDisk.Cut ofSuperblock) {
        makeRoom();
        base.crashInto(crashedBase, ofBase);
        journal.crashInto(crashedJournal, ofJournal);
        checkCrashed(superblock.crashed(ofSuperblock), opened(each -> crashed(each, random, 0)));
    }

    /// What the primary of this host would read after a power cut.
    byte[] crashedImage(RandomGenerator own) {
        makeRoom();
        int fate = own.nextInt(4);
        base.crashInto(crashedBase, own, fate);
        journal.crashInto(crashedJournal, own, fate);
        byte[] found = new byte[bytes()];
        Backup clone = crashedClone(superblock.crashed(own, fate));
        readCommitted(clone.committedIndex(), crashedBase, crashedJournal, 0, found);
        return found;
    }

    /// @param left of the superblock
    private Backup crashedClone(Superblock left) {
        return open(left.opened(), new NoEffects(), crashedJournal, highest + 64 * 1024);
    }

    private void checkCrashed(Superblock left, Map<Long, SimDelta> crashedDeltas) {
        Backup clone = crashedClone(left);
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
        if (lacksAcknowledged(clone.committed())) {
            throw new Violation(
                    "LOW",
                    "after a power cut %s is left, %s was acknowledged"
                            .formatted(clone.committed(), acknowledged));
        }
        byte[] expected = truth.imageAt(clone.committed());
        byte[] found = new byte[expected.length];
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
        checkMarks("after a power cut", clone);
        checkPins("after a power cut", clone, crashedBase, crashedJournal, crashedDeltas);
    }

    /// What the journal holds of the committed image from one place to another.
    private JournalIndex image(long from, long to, long oldestIncarnation) {
        return image(journal.now(), from, to, oldestIncarnation);
    }

    /// @param over what is damaged in between, null for nothing
    private JournalIndex image(Backup.Bridge over, long from, long to, long oldestIncarnation) {
        if (over == null) {
            return image(from, to, oldestIncarnation);
        }
        for (JournalIndex.Run run : over.index().all()) {
            if (!run.isZero() && run.recordAddress() < freed) {
                throw new Violation(
                        "PIT",
                        "moments go on with a record at %d, which is freed"
                                .formatted(run.recordAddress()));
            }
        }
        JournalIndex all = over.index().copy();
        if (over.address() < to) {
            all.putAll(image(over.address(), to, oldestIncarnation));
        }
        return all;
    }

    private JournalScan scan(byte[] now) {
        return new JournalScan(
                Simulation.RESOURCE,
                scenario.segmentBytes(),
                (address, into) -> read(superblock.value(), now, Long.MAX_VALUE, address, into));
    }

    private JournalIndex image(byte[] now, long from, long to, long oldestIncarnation) {
        SegmentIndex.Builder builder =
                new SegmentIndex.Builder(scenario.segmentBytes() / Backup.MOMENTS_IN_SEGMENT);
        try {
            JournalScan.End end =
                    scan(now).run(from, to, oldestIncarnation, JournalScan.Indexes.NONE, builder);
            if (end.end() < to) {
                throw new Violation(
                        "PIT",
                        "the journal from %d to %d ends at %d".formatted(from, to, end.end()));
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return SegmentIndex.image(builder.parts());
    }

    /// Opens one of the moments that there are, of `all` the given part; 1 is the newest.
    Backup.View openView(double part) {
        History history = backup.history();
        if (settling) {
            return null;
        }
        if (part >= 1 || history.newest() == null) {
            return backup.openView();
        }
        long oldest = history.oldest().labelMillis();
        long label = oldest + (long) (part * (history.newest().labelMillis() - oldest));
        History.Moment moment = history.notAfter(label);
        Backup.View view = moment == null ? null : backup.openView(moment);
        if (view != null && moment != history.newest()) {
            for (JournalIndex.Run run : indexOf(view).all()) {
                if (isUnreadable(run)) {
                    throw new Violation(
                            "PIT",
                            "%s can be opened, and part of it cannot be read"
                                    .formatted(moment.position()));
                }
            }
        }
        return view;
    }

    /// Where what a view shows lies.
    JournalIndex indexOf(Backup.View view) {
        long to = Math.max(view.watermark(), view.moment().address());
        return image(
                backup.bridge(view.watermark(), to), view.watermark(), to, backup.base().movedBy());
    }

    /// PIT: a view reads as the point it was opened at.
    void checkView(Backup.View view, JournalIndex index) {
        byte[] expected = truth.imageAt(view.position());
        byte[] found = new byte[expected.length];
        byte[] below =
                view.pin() == 0 ? base.now() : below(view.pin(), durablePins, deltas, base.now());
        readCommitted(index, below, journal.now(), 0, found);
        if (!Arrays.equals(expected, found)) {
            throw new Violation(
                    "PIT",
                    "the view of "
                            + view.position()
                            + " is not that image: "
                            + SimDisk.describe(expected, found, 8));
        }
    }

    /// The image, and what lies behind it in a copy that was made larger: a comparison may have
    /// found that equal before a commit makes it part of a point.
    byte[] withWhatIsBehind(byte[] image) {
        byte[] all = new byte[Math.max(image.length, bytes())];
        readCommitted(backup.committedIndex(), base.now(), journal.now(), 0, all);
        System.arraycopy(image, 0, all, 0, image.length);
        return all;
    }

    boolean isSettled() {
        return up && known().position().equals(backup.committed()) && !rolling;
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
                long session,
                long sequence,
                long offsetBytes,
                long lengthBytes,
                ByteBuffer data,
                long tracked) {
            return true;
        }

        @Override
        public void wakeDigester() {}

        @Override
        public boolean readCommitted(long offsetBytes, ByteBuffer into) {
            return false;
        }

        @Override
        public void grant(long bytes) {}

        @Override
        public void wakeRoller() {}

        @Override
        public void free(long beforeAddress) {}

        @Override
        public String damaged(SegmentIndex note) {
            return null;
        }

        @Override
        public void damagePassed(long from, long before) {}

        @Override
        public String pins(List<Pins.Pin> pins, long lastId) {
            return null;
        }

        @Override
        public void checked(ClockCheck check) {}

        @Override
        public void event(String kind, String text) {}
    }
}
