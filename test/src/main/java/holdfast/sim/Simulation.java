package holdfast.sim;

import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.CopyAge;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Marks;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Verdict;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.io.PrintStream;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.BooleanSupplier;

/// One history: two machines, their disks and the link between them on one thread and one virtual
/// clock, all of it from one plan. First faults strike while an application writes; then all is
/// healed and the copies must become equal.
///
/// Checked at every step that can change it: the copy is exactly image(k) of its position (PFX) and
/// holds what was acknowledged (LOW); docs/simulator.md lists the rest.
final class Simulation {
    static final UUID RESOURCE = new UUID(0x686f6c64L, 0x66617374L);

    /// The clock shows this at the beginning.
    static final long BEGINNING_NANOS = 1_000_000_000L;

    /// Virtual time in which two healed machines must have become equal.
    private static final long PATIENCE_NANOS = 600_000_000_000L;

    /// Each machine pings the other so often.
    private static final long PING_NANOS = 1_000_000_000L;

    /// What became of a history.
    ///
    /// @param struck by a strike's id: when it struck, after the beginning
    /// @param occurred how often each kind of disk operation was seen
    /// @param issued how many requests were issued
    record Result(
            Plan plan,
            Violation violation,
            long traceHash,
            int issued,
            Map<Integer, Long> struck,
            Map<String, Integer> occurred,
            List<Session> sessions,
            long events,
            long checkedBlocks,
            long clones,
            long virtualNanos,
            Map<Rare, Long> rare,
            List<String> trace) {}

    /// What a connection carried.
    record Session(long bytesDown, long bytesUp) {}

    private record OpenView(BackupHost host, Backup.View view, JournalIndex index) {}

    private final Plan plan;
    private final Scenario scenario;
    private final Agenda agenda;
    private final Trace trace;
    private final Truth truth = new Truth();
    private final Chance shell;
    private final Chance clones;
    private final Chance lateData;
    private final Machine first;
    private final Machine second;

    /// The primary and its peer's copy; while there are two histories the first one's primary and
    /// the copy that was promoted.
    private PrimaryHost primary;

    private BackupHost backup;
    private final TwoHistories two;
    private final Map<Rare, Long> rare = new EnumMap<>(Rare.class);
    private final List<OpenView> views = new ArrayList<>();

    /// Which moments the primary has given a name.
    private final Map<String, Position> marks = new HashMap<>();

    private final ArrayDeque<Answer> answers = new ArrayDeque<>();

    /// What the primary has sent last on data streams, oldest first.
    private final ArrayDeque<Sent> data = new ArrayDeque<>();

    private record Sent(SimLink link, int stream, Frame.Data frame) {}

    private record Answer(SimLink link, Frame.OfResource frame) {}

    /// On which connection the copy is not brought all there is, and how many bytes the primary had
    /// sent on it when that began.
    private SimLink leavesOut;

    private long saidBytes;

    private SimLink link;
    private final List<SimLink> sessions = new ArrayList<>();
    private final Map<String, List<Strike>> armed = new HashMap<>();
    private boolean operatorReads;
    private final Map<String, Integer> occurred = new HashMap<>();
    private boolean connecting;
    private long heldUntilNanos;
    private boolean healed;
    private boolean lostOnlyPoint;
    private int issued;
    private boolean issueDue;
    private final Map<Integer, Long> struck = new TreeMap<>();
    private long checkedBlocks;
    private long clonesChecked;
    private long checks;
    private long standings;

    /// Null: power cuts are tried now and then, and not at every step.
    private final CrashStates crashes;

    private Simulation(Plan plan, PrintStream print, CrashStates crashes) {
        this.plan = plan;
        this.crashes = crashes;
        scenario = plan.scenario();
        agenda = new Agenda(plan.seed());
        trace = new Trace(agenda::nowNanos, print);
        shell = chance("shell");
        clones = chance("clones");
        lateData = chance("late data");
        first = new Machine(new UUID(1, 1), agenda::nowNanos, scenario.firstClockMillis());
        second = new Machine(new UUID(2, 2), agenda::nowNanos, scenario.secondClockMillis());
        two = new TwoHistories(this, scenario);
        primary = new PrimaryHost(this, scenario, chance("primary"), first);
        Ancestry copy =
                Ancestry.EMPTY.plus(
                        new Ancestry.Entry(
                                7, Position.NONE, Ancestry.Reason.CREATE, new UUID(2, 2), 0));
        backup = new BackupHost(this, scenario, chance("backup"), second, copy);
        first.plays(primary, null);
        second.plays(null, backup);
    }

    private void step() {
        agenda.step();
        checkStanding();
        if (crashes != null) {
            crashes.look(this, primary, backup);
        }
    }

    Chance chance(String name) {
        return new Chance(plan.seed(), name, agenda::nowNanos);
    }

    static Result run(long seed) {
        return run(Plan.of(seed), null);
    }

    /// @param print takes every event; null: only the last are kept
    static Result run(Plan plan, PrintStream print) {
        return run(plan, print, null);
    }

    /// @param crashes tries power cuts behind every step; null: they are tried now and then
    static Result run(Plan plan, PrintStream print, CrashStates crashes) {
        Simulation sim = new Simulation(plan, print, crashes);
        Violation violation = null;
        try {
            sim.play();
        } catch (Violation e) {
            violation = e;
        } catch (RuntimeException e) {
            violation = new Violation("CRASH", e);
        }
        return new Result(
                plan,
                violation,
                sim.trace.hash(),
                sim.issued,
                sim.struck,
                sim.occurred,
                sim.sessions.stream().map(SimLink::carried).toList(),
                sim.agenda.count(),
                sim.checkedBlocks,
                sim.clonesChecked,
                sim.agenda.nowNanos(),
                sim.rare,
                violation == null ? List.of() : sim.trace.last(400));
    }

    private void play() {
        for (Strike strike : plan.strikes()) {
            if (strike.trigger().isEmpty()) {
                agenda.in(strike.nanos(), () -> strike(strike));
            } else {
                armed.computeIfAbsent(strike.trigger().get(), _ -> new ArrayList<>()).add(strike);
            }
        }
        primary.start();
        backup.start();
        connectLater(shell.nextLong(100_000_000L));
        issueLater();
        long workEnds = agenda.nowNanos() + scenario.workNanos();
        while (agenda.nowNanos() < workEnds) {
            step();
        }
        heal();
        long patience = agenda.nowNanos() + PATIENCE_NANOS;
        if (!two.end(patience)) {
            return;
        }
        if (!becomesEqual(patience)) {
            return;
        }
        while (primary.isDiskFailed()) {
            drain(agenda.nowNanos() + 60_000_000_000L);
            if (backup.isUp()) {
                backup.checkAll("the end, with a failed disk");
            }
            if (!primary.comesBack(shell)) {
                return;
            }
            cut(link);
            start(primary);
            patience = agenda.nowNanos() + PATIENCE_NANOS;
            if (!becomesEqual(patience)) {
                return;
            }
        }
        if (!verifyToTheEnd(patience)) {
            return;
        }
        backup.checkAll("the end");
        backup.checkPins("the end");
        backup.checkCrashedClone(clones);
        byte[] image = primary.line().image();
        sameImage("the copy", image, backup.seen().image());
        sameImage("the primary's disk", image, primary.image());
        long hadRoom = agenda.nowNanos();
        while (!backup.isSettled()) {
            backup.settle();
            hadRoom = needsDecision() ? hadRoom : agenda.nowNanos();
            if (agenda.nowNanos() - hadRoom > 60_000_000_000L) {
                reached(Rare.ROT_WITHOUT_ROOM); // What only this roll has found.
                return;
            }
            if (agenda.nowNanos() > patience) {
                throw new Violation("LIV", "the base is never settled");
            }
            step();
        }
        sameImage("the settled base", image, Arrays.copyOf(backup.baseImage(), image.length));
    }

    /// @return false when that is not to be expected: what was found is checked then. A disk that
    ///   has failed is the end of it as well
    private boolean becomesEqual(long patience) {
        int quiet = 0;
        int lackedRoom = 0;
        while (!isEqual() && !primary.isDiskFailed()) {
            long next = agenda.nowNanos() + 50_000_000L;
            while (agenda.nowNanos() < next) {
                step();
            }
            quiet++;
            if (lostOnlyPoint) {
                backup.checkAll("the end, without a point");
                return false;
            }
            if (needsDecision()) {
                lackedRoom++;
                if (lackedRoom == 1200) {
                    reached(Rare.JOURNAL_TOO_SMALL_FOR_EPOCH);
                    backup.checkAll("the end, without room");
                    return false;
                }
            } else {
                lackedRoom = 0;
            }
            if (agenda.nowNanos() > patience) {
                throw new Violation(
                        "LIV",
                        "not equal after " + PATIENCE_NANOS / 1_000_000_000L + " s: " + describe());
            }
        }
        note("equal after", quiet, 0);
        return true;
    }

    /// R11: what was buffered when the disk failed still reaches the copy, unless an epoch would be
    /// needed.
    private void drain(long patience) {
        while (true) {
            step();
            if (primary.isUp()
                    && backup.isUp()
                    && primary.primary().state() == ReplicationState.ESTABLISHED) {
                if (backup.backup().committed().equals(primary.primary().position())) {
                    reached(Rare.FAILED_DISK_DRAINED);
                    return;
                }
                if (agenda.nowNanos() > patience) {
                    throw new Violation(
                            "LIV",
                            "the buffer is not drained after the disk failed: " + describe());
                }
            } else if (agenda.nowNanos() > patience) {
                return;
            }
        }
    }

    private void sameImage(String what, byte[] expected, byte[] found) {
        if (!Arrays.equals(expected, found)) {
            throw new Violation(
                    "LIV", what + " differs at the end: " + SimDisk.describe(expected, found, 8));
        }
    }

    private boolean isEqual() {
        if (two.isSplit()
                || issued < plan.requests().size()
                || !primary.isUp()
                || !backup.isUp()
                || primary.outstanding() > 0) {
            return false;
        }
        Primary p = primary.primary();
        Primary.Figures figures = p.figures();
        return p.state() == ReplicationState.ESTABLISHED
                && p.committed().equals(p.position())
                && figures.dirtyBlocks() + figures.suspectBlocks() + figures.frozenBlocks() == 0
                && backup.backup().committed().equals(p.position())
                && !primary.isToGrow();
    }

    /// The backup has rolled forward all it can, and still the journal cannot hold the epoch:
    /// somebody must enlarge it. So it is where it cannot be rolled because it is damaged, and the
    /// epoch that mends it has no room behind that. A copy whose journal was damaged in the middle
    /// of a roll stands at no moment that the primary could know of.
    private boolean needsDecision() {
        return primary.isUp()
                && backup.isUp()
                && primary.primary().state() == ReplicationState.PAUSED
                && primary.primary().figures().missingBytes() > 0
                && (backup.isSettled() || backup.backup().isRotten() && backup.isRolledUpToRot())
                && (backup.backup().committed().equals(primary.primary().committed())
                        || backup.backup().isMixture() && primary.primary().committed().isNone());
    }

    String describe() {
        StringBuilder text = new StringBuilder();
        if (primary.isUp()) {
            Primary p = primary.primary();
            text.append(
                    "primary %s at %s, committed %s, %s, %d replies owed, stopping %s"
                            .formatted(
                                    p.state(),
                                    p.position(),
                                    p.committed(),
                                    p.figures(),
                                    primary.outstanding(),
                                    primary.isStopping()));
        } else {
            text.append("primary down");
        }
        if (backup.isUp()) {
            Backup b = backup.backup();
            text.append(
                    "; backup %s at %s, journal %d of %d used, epoch %d, holding %s, views %d, rolling %s"
                            .formatted(
                                    b.diskState(),
                                    b.committed(),
                                    b.journalUsedBytes(),
                                    scenario.journalBytes(),
                                    b.openEpoch(),
                                    b.isHolding(),
                                    b.openViews(),
                                    backup.isRolling()));
        } else {
            text.append("; backup down");
        }
        return text + "; issued " + issued + " of " + plan.requests().size();
    }

    // ---- the application
    // -----------------------------------------------------------------------------------------

    private void issueLater() {
        if (issueDue || issued >= plan.requests().size()) {
            return;
        }
        issueDue = true;
        long due = BEGINNING_NANOS + plan.requests().get(issued).nanos() - agenda.nowNanos();
        agenda.in(due > 0 ? due : shell.nextLong(200_000), this::issue);
    }

    private void issue() {
        issueDue = false;
        if (issued >= plan.requests().size()) {
            return;
        }
        PrimaryHost to = writesTo(plan.requests().get(issued).id());
        if (to == null) {
            return; // Woken by a reply or by the next start.
        }
        Request next = plan.requests().get(issued++).within(scenario.deviceBytes(), to.bytes());
        if (next.kind() == Request.Kind.FLUSH) {
            to.flush(next.id());
        } else {
            boolean write = next.kind() == Request.Kind.WRITE;
            if (!write && next.lengthBytes() > 64 * 1024) {
                reached(Rare.LONG_TRIM);
            } else if (!next.isAligned()) {
                reached(write ? Rare.UNALIGNED_WRITE : Rare.UNALIGNED_ZEROES);
            }
            to.submit(
                    next.id(),
                    next.offsetBytes(),
                    next.lengthBytes(),
                    next.content(),
                    next.kind() == Request.Kind.TRIM,
                    next.sync());
        }
        issueLater();
    }

    /// Where there are two primaries each has every second request, and all while the other is
    /// away.
    private PrimaryHost writesTo(int request) {
        PrimaryHost promoted = two.promoted();
        PrimaryHost one = promoted != null && request % 2 == 0 ? promoted : primary;
        if (takesRequests(one)) {
            return one;
        }
        PrimaryHost other = one == primary ? promoted : primary;
        return other != null && takesRequests(other) ? other : null;
    }

    private boolean takesRequests(PrimaryHost host) {
        return host.isUp() && !host.isStopping() && host.outstanding() < scenario.queueDepth();
    }

    void replied() {
        issueLater();
    }

    void primaryGone(int owed) {
        note("primary gone", owed, 0);
    }

    // ---- the link
    // ------------------------------------------------------------------------------------------------

    private void connectLater(long nanos) {
        if (!connecting) {
            connecting = true;
            agenda.in(nanos, this::connect);
        }
    }

    private void connect() {
        connecting = false;
        if (link != null && !link.isCut()) {
            return;
        }
        if (!healed && agenda.nowNanos() < heldUntilNanos) {
            connectLater(heldUntilNanos - agenda.nowNanos());
            return;
        }
        if (!first.isReady() || !second.isReady()) {
            connectLater(50_000_000L + shell.nextLong(200_000_000L));
            return;
        }
        SimLink[] made = new SimLink[1];
        SimLink next =
                new SimLink(
                        agenda,
                        chance("link"),
                        scenario,
                        shell.nextLong() | 1,
                        (stream, frames) -> second.received(made[0], stream, frames),
                        (stream, frames) -> first.received(made[0], stream, frames),
                        first::drained,
                        second::drained,
                        () -> cut(made[0]));
        made[0] = next;
        link = next;
        sessions.add(next);
        note("connected", next.session(), 0);
        agenda.in(
                shell.nextLong(20_000_000L),
                () -> {
                    if (!next.isCut() && first.isReady()) {
                        first.sessionUp(next, next.toSecond());
                        next.toFirst().open();
                        ping(next, first, second, next.toSecond(), next.toFirst());
                        deliverLate();
                    } else {
                        cut(next);
                    }
                });
        agenda.in(
                shell.nextLong(20_000_000L),
                () -> {
                    if (!next.isCut() && second.isReady()) {
                        second.sessionUp(next, next.toFirst());
                        next.toSecond().open();
                        ping(next, second, first, next.toFirst(), next.toSecond());
                    } else {
                        cut(next);
                    }
                });
    }

    private void ping(
            SimLink over, Machine from, Machine other, SimLink.Pipe to, SimLink.Pipe back) {
        if (!over.isCut()) {
            from.ping(over, to, back, other);
            agenda.in(PING_NANOS, () -> ping(over, from, other, to, back));
        }
    }

    /// Whether the clock of one machine at least has never gone on further than time has: then
    /// nothing may count that has not passed.
    boolean isOneClockSteady() {
        return !first.clock().hasGained() || !second.clock().hasGained();
    }

    /// What an old session answered and nobody has seen yet may come up while the next one is
    /// young.
    private void deliverLate() {
        int count = Math.min(answers.size(), shell.nextInt(4));
        for (int i = 0; i < count; i++) {
            Answer late = answers.pollLast();
            agenda.in(
                    shell.nextLong(2_000_000_000L),
                    () -> primary.receivedLate(late.link, late.frame));
        }
        answers.clear();
        deliverLateData();
    }

    /// What an old connection still had for the backup likewise: it need not have noticed that
    /// there is another one.
    private void deliverLateData() {
        int count = Math.min(data.size(), lateData.nextInt(4));
        for (int i = 0; i < count; i++) {
            Sent sent = data.pollLast();
            agenda.in(
                    lateData.nextLong(2_000_000_000L),
                    () -> backup.receivedLate(sent.link, sent.stream, sent.frame));
        }
        data.clear();
    }

    void sentByPrimary(SimLink link, int stream, Frame.Data frame) {
        data.add(new Sent(link, stream, frame));
        if (data.size() > 8) {
            data.poll();
        }
    }

    void sentByBackup(SimLink link, Frame.OfResource frame) {
        if (frame instanceof Frame.Ack
                || frame instanceof Frame.EpochReply
                || frame instanceof Frame.CompareReply
                || frame instanceof Frame.VerifyReply
                || frame instanceof Frame.Fetched) {
            answers.add(new Answer(link, frame));
            if (answers.size() > 8) {
                answers.poll();
            }
        }
    }

    void cut() {
        cut(link);
    }

    SimLink link() {
        return link;
    }

    private void cut(SimLink which) {
        if (which == null || which.isCut()) {
            return;
        }
        note("cut", which.session(), 0);
        reached(Rare.LINK_CUT);
        noteState("CUT");
        if (which.cut()) {
            reached(Rare.CUT_INSIDE_A_PACKET);
        }
        // The sides notice at different times; one may learn of it only by the next connection.
        long sooner = noticeNanos();
        long later = noticeNanos();
        agenda.in(sooner, () -> first.sessionDown(which));
        agenda.in(later, () -> second.sessionDown(which));
        long back =
                shell.nextInt(3) == 0
                        ? shell.nextLong(5_000_000_000L)
                        : shell.nextLong(300_000_000L);
        if (healed) {
            back = Math.min(back, 1_000_000_000L);
        }
        if (back < Math.max(sooner, later)) {
            reached(Rare.HALF_OPEN);
        }
        connectLater(back);
    }

    private long noticeNanos() {
        return shell.nextInt(3) == 0 ? shell.nextLong(3_000_000_000L) : shell.nextLong(10_000_000L);
    }

    // ---- faults
    // --------------------------------------------------------------------------------------------------

    private void strike(Strike s) {
        if (healed || two.wasOrdered() && !s.fault().isForTwoHistories()) {
            return;
        }
        struck.put(s.id(), agenda.nowNanos() - BEGINNING_NANOS);
        note("fault " + s.fault(), (long) (s.amount() * 1000), 0);
        SplittableRandom own = Seeds.stream(plan.seed(), "struck " + s.id());
        long until = agenda.nowNanos() + (long) (s.amount() * s.amount() * 8e9);
        switch (s.fault()) {
            case CUT -> cut(link);
            case CUT_AT_BYTE -> {
                if (link != null) {
                    (own.nextBoolean() ? link.toSecond() : link.toFirst())
                            .cutAfter(1 + own.nextInt(20000));
                }
            }
            case CUT_DOWN_AT ->
                    link.toSecond().cutAfter((long) (s.amount() * Strike.CUT_BYTES_MAX));
            case CUT_UP_AT -> link.toFirst().cutAfter((long) (s.amount() * Strike.CUT_BYTES_MAX));
            case STALL_DOWN -> {
                if (link != null) {
                    link.toSecond().stallUntil(until);
                    reached(Rare.ONE_WAY_STALL);
                }
            }
            case STALL_UP -> {
                if (link != null) {
                    link.toFirst().stallUntil(until);
                    reached(Rare.ONE_WAY_STALL);
                }
            }
            case SLOW_LINK -> {
                if (link != null) {
                    link.speed((long) (5000 + s.amount() * 100_000));
                }
            }
            case BACKUP_POWER_CUT, BACKUP_KILL -> {
                if (isBackupUp()) {
                    noteState("BACKUP_CRASH");
                    if (!primary.isUp()) {
                        reached(Rare.BOTH_DOWN);
                    }
                    crashBackup(s.fault() == Strike.Fault.BACKUP_POWER_CUT);
                    cut(link);
                    agenda.in(until - agenda.nowNanos(), restartOf(backupMachine()));
                }
            }
            case PRIMARY_POWER_CUT, PRIMARY_KILL -> {
                if (primary.isUp() && !primary.isDiskFailed() || primary.isStarting()) {
                    noteState("PRIMARY_CRASH");
                    if (!backup.isUp()) {
                        reached(Rare.BOTH_DOWN);
                    }
                    primary.crash(s.fault() == Strike.Fault.PRIMARY_POWER_CUT);
                    cut(link);
                    agenda.in(until - agenda.nowNanos(), restartOf(primaryMachine()));
                }
            }
            case PRIMARY_RESTART ->
                    primary.stop(
                            () -> {
                                cut(link);
                                agenda.in(
                                        own.nextLong(2_000_000_000L), restartOf(primaryMachine()));
                            });
            case PRIMARY_WRITTEN_PAST ->
                    primary.stop(
                            () -> {
                                cut(link);
                                primary.writePast(own);
                                agenda.in(
                                        own.nextLong(2_000_000_000L), restartOf(primaryMachine()));
                            });
            case PRIMARY_GROWN -> {
                if (primary.isUp() && !primary.isDiskFailed()) {
                    primary.resize(moreBytes(s.amount()), own);
                }
            }
            case PRIMARY_GROWN_STOPPED ->
                    primary.stop(
                            () -> {
                                cut(link);
                                primary.resize(moreBytes(s.amount()), own);
                                int to = primary.orderedBytes();
                                if (backup.isUp()) {
                                    backup.grow(
                                            to, () -> primary.copyHasRoomMeanwhile(to), _ -> {});
                                }
                                agenda.in(
                                        own.nextLong(2_000_000_000L), restartOf(primaryMachine()));
                            });
            case PROMOTE -> two.promote(s.amount(), own);
            case PROMOTE_AGAIN -> two.again(own);
            case PROMOTION_FINAL -> two.makeFinal();
            case DISCARD -> two.discard(s.amount() < 0.5);
            case FREEZE_BACKUP_DISK -> backup.freezeUntil(until);
            case SLOW_LOCAL_DISK -> primary.slowUntil(until);
            case VIEW ->
                    openView(
                            agenda.nowNanos() + (long) (s.amount() * 15e9),
                            own.nextInt(3) == 0 ? 1 : own.nextDouble());
            case KEEP -> keepOrDrop(s, own);
            case KEPT_VIEW -> openPin(agenda.nowNanos() + (long) (s.amount() * 15e9), own);
            case MARK -> primary.mark("m" + s.id());
            case MARKED_VIEW -> openMark(agenda.nowNanos() + (long) (s.amount() * 15e9), own);
            case ROLL -> backup.settle();
            case BACKUP_EIO -> backup.failNextSync();
            case LOCAL_EIO, LOCAL_READ_EIO, LOCAL_SYNC_EIO, LOCAL_NO_SPACE -> {
                PrimaryHost promoted = two.promoted();
                PrimaryHost host = promoted != null && own.nextBoolean() ? promoted : primary;
                if (host.own() == null) {
                    host.failNext(s.fault());
                }
            }
            case FREEZE_LOCAL_DISK -> primary.freezeUntil(until);
            case BACKUP_WRITE_EIO -> backup.failNextAppend();
            case BACKUP_BASE_EIO -> backup.failNextBaseWrite();
            case PRIMARY_SUPERBLOCK -> primary.failSuperblock(failure(s.amount()));
            case BACKUP_SUPERBLOCK -> {
                SimSuperblock.Failure by = failure(s.amount());
                PrimaryHost promoted = two.promoted();
                if (promoted != null && own.nextBoolean()) {
                    promoted.failSuperblock(by);
                } else {
                    backup.failSuperblock(by);
                }
            }
            case OUTAGE -> {
                heldUntilNanos = until;
                cut(link);
                reached(Rare.OUTAGE);
            }
            case PRIMARY_DISCONNECT -> {
                primary.disconnect();
                agenda.in(until - agenda.nowNanos(), primary::connect);
            }
            case BACKUP_DISCONNECT -> {
                PrimaryHost promoted = two.promoted();
                if (promoted != null) {
                    promoted.disconnect();
                    agenda.in(until - agenda.nowNanos(), promoted::connect);
                } else {
                    backup.disconnect();
                    agenda.in(until - agenda.nowNanos(), backup::connect);
                }
            }
            case BACKUP_RESTART ->
                    stopBackup(
                            () -> {
                                cut(link);
                                agenda.in(own.nextLong(2_000_000_000L), restartOf(backupMachine()));
                            });
            case BACKUP_COPIED -> {
                if (backup.isUp()) {
                    backup.keepOlder(own);
                }
            }
            case BACKUP_RESTORED -> {
                if (backup.isUp() && backup.hasOlder()) {
                    backup.crash(false);
                    backup.restoreOlder();
                    cut(link);
                    agenda.in(until - agenda.nowNanos(), restartOf(backupMachine()));
                }
            }
            case PRIMARY_COPIED -> primary.keepOlder(own);
            case PRIMARY_RESTORED -> {
                if (primary.isUp() && primary.hasOlder() && !primary.isDiskFailed()) {
                    primary.crash(false);
                    primary.restoreOlder();
                    cut(link);
                    agenda.in(until - agenda.nowNanos(), restartOf(primaryMachine()));
                }
            }
            case VERIFY -> {
                if (primary.isVerifying() && s.amount() < 0.3) {
                    primary.stopVerify();
                } else {
                    verify();
                }
            }
            case COPY_DAMAGED -> {
                if (backup.isUp() && backup.backup().hasPoint()) {
                    damageCopy(own);
                }
            }
            case JOURNAL_ROT -> {
                // Behind the end of a device that was set back to before its growth no comparison
                // mends it: docs/simulator.md, what is not checked.
                if (primary.bytes() >= backup.bytes()) {
                    backup.rotJournal(own);
                }
            }
            case PRIMARY_CLOCK -> setClock(first.clock(), s.amount(), own);
            case BACKUP_CLOCK -> setClock(second.clock(), s.amount(), own);
            case BACKUP_DAMAGE -> {
                if (backup.isUp()) {
                    backup.crash(own.nextBoolean());
                    backup.damageJournal(own);
                    cut(link);
                    agenda.in(until - agenda.nowNanos(), restartOf(backupMachine()));
                }
            }
        }
        check("fault");
        cloneAndCrash();
    }

    private static SimSuperblock.Failure failure(double amount) {
        SimSuperblock.Failure[] all = SimSuperblock.Failure.values();
        return all[(int) (amount * all.length) % all.length];
    }

    private boolean isBackupUp() {
        PrimaryHost promoted = two.promoted();
        return promoted != null && (promoted.isUp() || promoted.isStarting())
                || backup.isUp()
                || backup.isStarting();
    }

    private void crashBackup(boolean power) {
        if (two.promoted() != null) {
            two.promoted().crash(power);
        } else {
            backup.crash(power);
        }
    }

    private void stopBackup(Runnable then) {
        PrimaryHost promoted = two.promoted();
        if (promoted == null) {
            backup.stop(then);
        } else {
            promoted.stop(
                    () -> {
                        if (promoted.own() == null) {
                            then.run();
                        } else {
                            promoted.own().stop(then);
                        }
                    });
        }
    }

    private void damageCopy(SplittableRandom own) {
        backup.damageBase(own);
        primary.damaged(backup.damageOfBase());
        reached(Rare.COPY_DAMAGED);
    }

    /// Something of the copy cannot be read, and differs for who compares it.
    void cannotRead() {
        primary.damaged(backup.damage(primary.bytes()));
    }

    private boolean verify() {
        BitSet wrong =
                backup.isUp() && backup.backup().hasPoint()
                        ? backup.damage(primary.bytes())
                        : new BitSet();
        BitSet possible = backup.damageOfBase();
        possible.or(wrong);
        return primary.verify(wrong, possible, backup.uncovered());
    }

    /// What is reported as different is, and what was different all the time is reported.
    void checkVerified(
            boolean whole, BitSet reported, BitSet atStart, BitSet possible, int uncovered) {
        BitSet invented = (BitSet) reported.clone();
        invented.andNot(possible);
        if (!invented.isEmpty()) {
            throw new Violation(
                    "VER",
                    "blocks %s are reported as different, and are as they should be"
                            .formatted(invented));
        }
        if (!whole || !backup.isUp() || backup.uncovered() != uncovered) {
            return;
        }
        reached(Rare.VERIFY_ENDED);
        if (!reported.isEmpty()) {
            reached(Rare.VERIFY_FOUND_DAMAGE);
        }
        BitSet missed = backup.damage(primary.bytes());
        missed.and(atStart);
        missed.andNot(reported);
        if (!missed.isEmpty()) {
            throw new Violation(
                    "VER", "blocks %s are wrong in the copy, and not reported".formatted(missed));
        }
    }

    /// Verifies until there is nothing to be found, and has what is found mended.
    ///
    /// @return false if the journal has no room for that
    private boolean verifyToTheEnd(long patience) {
        if (two.wasOrdered()
                || plan.strikes().stream().noneMatch(each -> each.fault().isOfVerify())) {
            return true;
        }
        // At rest nothing of the journal is found damaged meanwhile, and has everything compared.
        boolean isAtRest =
                stepUntil(
                        () -> {
                            if (backup.hasRot()) {
                                backup.settle();
                            }
                            return !backup.hasRot() && isEqual();
                        },
                        patience);
        if (!isAtRest) {
            return false;
        }
        damageCopy(Seeds.stream(plan.seed(), "last damage"));
        for (int round = 0; round < 2; round++) {
            primary.stopVerify();
            if (!stepUntil(() -> !primary.isVerifying(), patience)) {
                return false;
            }
            BitSet wrong = backup.damage(primary.bytes());
            if (!verify() || !stepUntil(() -> !primary.isVerifying(), patience)) {
                return false;
            }
            List<BlockRun> found = primary.reported();
            BitSet reported = PrimaryHost.blocks(found);
            if (!reported.equals(wrong)) {
                throw new Violation(
                        "VER", "at rest %s are wrong, reported are %s".formatted(wrong, reported));
            }
            primary.mend(found);
            if (!stepUntil(this::isEqual, patience)) {
                return false;
            }
        }
        if (!backup.damage(primary.bytes()).isEmpty()) {
            throw new Violation(
                    "VER",
                    "mended, and still wrong are %s".formatted(backup.damage(primary.bytes())));
        }
        return repairToTheEnd(patience);
    }

    /// Damages the disk of the primary, and has it brought to what the copy holds. That both hold
    /// then what was written is seen where the images are compared.
    ///
    /// @return false if the journal has no room for that
    private boolean repairToTheEnd(long patience) {
        if (!primary.damageDisk(Seeds.stream(plan.seed(), "damage of the primary"))) {
            return true;
        }
        primary.repair();
        if (!stepUntil(() -> !primary.isRepairing(), patience)
                || !stepUntil(this::isEqual, patience)) {
            return false;
        }
        reached(Rare.REPAIRED_FROM_COPY);
        return true;
    }

    boolean isHealed() {
        return healed;
    }

    private boolean stepUntil(BooleanSupplier done, long patience) {
        int lackedRoom = 0;
        while (!done.getAsBoolean()) {
            long next = agenda.nowNanos() + 50_000_000L;
            while (agenda.nowNanos() < next) {
                step();
            }
            lackedRoom = needsDecision() ? lackedRoom + 1 : 0;
            if (lackedRoom == 1200 || primary.isDiskFailed()) {
                return false;
            }
            if (agenda.nowNanos() > patience) {
                throw new Violation("LIV", "the copy is never verified: " + describe());
            }
        }
        return true;
    }

    /// By a sector, or by half of what the device had at the beginning, or something in between.
    private int moreBytes(double amount) {
        return (1 + (int) (amount * scenario.deviceBytes() / 2 / SimDisk.SECTOR)) * SimDisk.SECTOR;
    }

    private void setClock(WallClock clock, double amount, SplittableRandom own) {
        if (own.nextInt(4) == 0) {
            clock.drift(amount - 0.5);
            reached(Rare.CLOCK_DRIFTED);
        } else {
            // From milliseconds to a month, either way.
            long millis = (long) Math.pow(10, 2 + amount * 7.4);
            boolean back = own.nextBoolean();
            clock.step(back ? -millis : millis);
            reached(back ? Rare.CLOCK_SET_BACK : Rare.CLOCK_SET_AHEAD);
        }
    }

    private void noteState(String what) {
        Rare situation = primary.isUp() ? Rare.whileIn(what, primary.primary().state()) : null;
        if (situation != null) {
            reached(situation);
        }
    }

    /// Whether the primary knows nothing of what the copy holds: it was set back, the copy was put
    /// back to that later, or its disk has failed before it could note that it told of it.
    private boolean isForgotten() {
        return primary.isSetBack()
                || primary.hasToldUnnoted()
                || primary.wasEverSetBack()
                        && backup.isUp()
                        && backup.backup().hasPoint()
                        && !primary.knows(backup.backup().committed());
    }

    /// Status says what to type, and after a while somebody does.
    private void operatorReads(String why) {
        if (operatorReads) {
            return;
        }
        operatorReads = true;
        agenda.in(
                shell.nextLong(2_000_000_000L),
                () -> {
                    operatorReads = false;
                    if (!primary.isUp() || !isForgotten() || primary.isDiskFailed()) {
                        return; // It says so again when it is up.
                    }
                    reached(Rare.PRIMARY_SET_BACK_AND_ORDERED);
                    if (why.contains("detach, attach")) {
                        primary.stop(
                                () -> {
                                    primary.order();
                                    cut(link);
                                    start(primary);
                                });
                    } else {
                        primary.order();
                        cut(link);
                    }
                });
    }

    /// Somebody gives the backup a good disk with what could still be read, and starts it again.
    void backupFailed(BackupHost host) {
        agenda.in(
                shell.nextLong(3_000_000_000L),
                () -> {
                    if (!host.hasFailed()) {
                        return;
                    }
                    boolean isCopy = host == backup;
                    Machine machine = isCopy ? backupMachine() : primaryMachine();
                    if (isCopy) {
                        crashBackup(shell.nextBoolean());
                    } else {
                        primary.crash(shell.nextBoolean());
                    }
                    cut(link);
                    agenda.in(shell.nextLong(100_000_000L), restartOf(machine));
                });
    }

    private Machine primaryMachine() {
        return machineOf(primary);
    }

    private Machine backupMachine() {
        return otherThan(primary);
    }

    /// Whatever it plays then.
    Runnable restartOf(Machine machine) {
        return () -> {
            if (machine.primary() != null) {
                restart(machine.primary());
            } else if (!machine.copy().isUp()) {
                machine.copy().start();
            }
        };
    }

    /// It is gone, in the middle of something.
    void primaryCrashed() {
        cut(link);
        agenda.in(shell.nextLong(1_000_000_000L), restartOf(primaryMachine()));
    }

    /// A process that was gone begins with a connection of its own, also where it was stopped
    /// meanwhile for another reason.
    private void restart(PrimaryHost host) {
        if (!host.isUp()) {
            cut(link);
            start(host);
        }
    }

    void start(PrimaryHost host) {
        if (!host.isUp()) {
            host.start();
        }
    }

    /// @param part which of the moments there are, 1 for the newest
    private void openView(long until, double part) {
        if (!backup.isUp()) {
            return;
        }
        Backup.View view = backup.openView(part);
        if (view == null) {
            return;
        }
        if (view.moment() != backup.backup().history().newest()) {
            reached(Rare.OLDER_MOMENT_OPENED);
        }
        if (backup.isRolling()) {
            reached(Rare.VIEW_OPENED_DURING_ROLL);
        }
        if (two.isBeforePromotion(view.position())) {
            reached(Rare.MOMENT_BEFORE_PROMOTION_OPENED);
        }
        OpenView open = new OpenView(backup, view, backup.indexOf(view));
        views.add(open);
        if (views.size() > 1) {
            reached(Rare.TWO_VIEWS_OPEN);
        }
        backup.checkView(view, open.index);
        agenda.in(until - agenda.nowNanos(), () -> closeView(open));
    }

    /// Somebody keeps a moment, or drops one that is kept.
    private void keepOrDrop(Strike s, SplittableRandom own) {
        if (!backup.isUp()) {
            return;
        }
        List<Pins.Pin> kept = backup.backup().pins();
        if (kept.size() > 1 && own.nextInt(3) == 0) {
            String name = kept.get(own.nextInt(kept.size())).name();
            if (backup.drop(name).isEmpty()) {
                reached(Rare.PIN_DROPPED);
            }
        } else {
            double part = own.nextBoolean() ? 1 : own.nextDouble();
            long millis = own.nextInt(4) == 0 ? own.nextLong(10_000) : 1_000_000_000L;
            backup.keep("at" + s.id(), part, millis);
        }
        backup.checkPins("kept or dropped");
    }

    private void openPin(long until, SplittableRandom own) {
        List<Pins.Pin> kept = canOpen() ? backup.backup().pins() : List.of();
        if (kept.isEmpty()) {
            return;
        }
        Pins.Pin pin = kept.get(own.nextInt(kept.size()));
        if (pin.moment().address() < backup.backup().base().watermark()) {
            reached(Rare.PIN_OPENED_BEHIND_BASE);
        }
        Backup.View view = backup.backup().openView(pin.name());
        OpenView open = new OpenView(backup, view, backup.indexOf(view));
        views.add(open);
        backup.checkView(view, open.index);
        agenda.in(until - agenda.nowNanos(), () -> closeView(open));
    }

    private boolean canOpen() {
        return backup.isUp() && !backup.isSettling();
    }

    /// The primary marks its present moment.
    void marks(String name, Position at) {
        marks.put(name, at);
    }

    boolean isMarkedAtBackup(String name) {
        return backup.hasMarked(name);
    }

    private void openMark(long until, SplittableRandom own) {
        List<Marks.Mark> found = canOpen() ? backup.backup().marks() : List.of();
        if (found.isEmpty()) {
            return;
        }
        Marks.Mark mark = found.get(own.nextInt(found.size()));
        Backup.View view = backup.backup().openView(mark.name());
        if (!view.position().equals(marks.get(mark.name()))) {
            throw new Violation(
                    "PIT",
                    "%s is %s, and was marked at %s"
                            .formatted(mark.name(), view.position(), marks.get(mark.name())));
        }
        reached(Rare.MARK_OPENED);
        OpenView open = new OpenView(backup, view, backup.indexOf(view));
        views.add(open);
        backup.checkView(view, open.index);
        agenda.in(until - agenda.nowNanos(), () -> closeView(open));
    }

    /// The base was rolled there: no view reads the journal in front of it any more.
    void baseHas(BackupHost host, long watermark) {
        for (OpenView open : views) {
            if (open.host == host) {
                reached(Rare.ROLLED_UNDER_VIEW);
                open.index.dropBelow(watermark);
                host.backup().viewReads(open.view, watermark);
            }
        }
    }

    private void closeView(OpenView open) {
        if (views.remove(open)) {
            Backup of = open.host.backup();
            open.host.checkView(open.view, open.index);
            if (!open.view.position().equals(of.committed())) {
                reached(Rare.VIEW_HELD_ACROSS_COMMIT);
            }
            of.closeView(open.view.id());
        }
    }

    /// A view keeps room from what is written to a promoted copy.
    void viewGivesWay(BackupHost host) {
        for (OpenView open : List.copyOf(views)) {
            if (open.host == host && open.view.pin() == 0) {
                reached(Rare.VIEW_GAVE_WAY);
                closeView(open);
                return;
            }
        }
    }

    void closeViewsOf(BackupHost host) {
        List.copyOf(views).stream().filter(each -> each.host == host).forEach(this::closeView);
    }

    /// This host is gone, and with it whatever was open there.
    void closeViews(BackupHost host) {
        if (views.removeIf(each -> each.host == host)) {
            reached(Rare.VIEW_LOST_BY_CRASH);
        }
    }

    private void heal() {
        healed = true;
        note("heal", 0, 0);
        for (OpenView open : List.copyOf(views)) {
            closeView(open);
        }
        if (link != null) {
            link.speed(Math.max(500_000, scenario.linkBytesPerSecond()));
        }
        primary.connect();
        backup.connect();
        if (two.promoted() != null) {
            two.promoted().connect();
        }
        connectLater(10_000_000L);
        issueLater();
    }

    // ---- the checks
    // ----------------------------------------------------------------------------------------------

    Agenda agenda() {
        return agenda;
    }

    Truth truth() {
        return truth;
    }

    PrimaryHost primary() {
        return primary;
    }

    BackupHost backup() {
        return backup;
    }

    Machine machineOf(PrimaryHost host) {
        return first.has(host) ? first : second;
    }

    Machine otherThan(PrimaryHost host) {
        return first.has(host) ? second : first;
    }

    /// There is one history again, or will be: whoever was given up is the copy of the other.
    void pair(PrimaryHost survivor, BackupHost copy) {
        primary = survivor;
        backup = copy;
        answers.clear();
        data.clear();
    }

    boolean hasIssuedAll() {
        return issued >= plan.requests().size();
    }

    /// Goes on until something is so.
    ///
    /// @return false if it never was
    boolean stepUntil(long patience, BooleanSupplier done) {
        while (!done.getAsBoolean()) {
            if (agenda.nowNanos() > patience) {
                return false;
            }
            step();
        }
        return true;
    }

    long seed() {
        return plan.seed();
    }

    void note(String event, long first, long second) {
        trace.note(event, first, second);
        if (!armed.isEmpty() && armed.containsKey(event)) {
            fire(event, occurred.merge(event, 1, Integer::sum));
        }
    }

    private void fire(String event, int count) {
        for (Strike strike : armed.getOrDefault(event, List.of())) {
            if (strike.count() == count) {
                agenda.in(strike.nanos(), () -> strike(strike));
            }
        }
    }

    /// A disk of this side is about to do something.
    void disk(String side) {
        if (healed) {
            return;
        }
        occurred.merge(side, 1, Integer::sum);
        fire(side, occurred.get(side));
    }

    void event(String side, String kind, String text) {
        trace.note(side + " event " + kind + ": " + text, 0, 0);
    }

    void reached(Rare situation) {
        rare.merge(situation, 1L, Long::sum);
    }

    void countCheckedBlocks(long blocks) {
        checkedBlocks += blocks;
    }

    void check(String where) {
        backup.check(where);
        if (primary.own() != null) {
            primary.own().check(where);
        }
        if (++checks % 64 == 0) {
            checkLoss();
        }
    }

    /// RPO: what is reported as missing at the peer is never less than what a promotion would lose.
    private void checkLoss() {
        if (!primary.isUp()
                || !backup.isUp()
                || !backup.backup().hasPoint()
                || !isJudged()
                || primary.hasFailed()) {
            return;
        }
        long lost = SimDisk.differingBytes(primary.line().image(), backup.seen().image());
        Primary.Figures figures = primary.primary().figures();
        long reported = figures.behindBytes();
        if (lost > reported) {
            throw new Violation(
                    "RPO",
                    "%d bytes would be lost, %d are reported: %s"
                            .formatted(lost, reported, describe()));
        }
        if (primary.primary().position().generation() == backup.backup().committed().generation()) {
            checkAge(backup.seen().oldestMissingNanos());
        }
    }

    /// RPO: the age that either side tells is never less than that of the oldest write which a
    /// promotion would lose.
    ///
    /// @param oldestNanos when that was; [Long#MAX_VALUE] when there is none
    private void checkAge(long oldestNanos) {
        if (oldestNanos == Long.MAX_VALUE) {
            return;
        }
        if (primary.clock().wasSet()) {
            reached(Rare.AGE_TOLD_BY_A_WRONG_CLOCK);
        }
        long told = primary.primary().missingForMillis(agenda.nowNanos());
        long missingFor = (agenda.nowNanos() - oldestNanos) / 1_000_000;
        if (told < missingFor) {
            throw new Violation(
                    "RPO",
                    "something has been missing for %d ms, reported is %d: %s"
                            .formatted(missingFor, told, describe()));
        }
        CopyAge age = backup.backup().age();
        // One that is set ahead, or is fast, is seen to be by the next ping alone.
        if (age == null || primary.clock().hasGained()) {
            return;
        }
        reached(Rare.AGE_TOLD_BY_THE_BACKUP);
        if (primary.clock().millis() > backup.clock().millis()) {
            reached(Rare.AGE_TOLD_UNDER_A_CLOCK_AHEAD);
        }
        // The primary looks at its clock ten times a second, and has not seen yet what a slow one
        // has lost since.
        long toldThere =
                age.at(agenda.nowNanos(), backup.clock().millis()) + primary.clock().lostOf(100);
        if (toldThere < missingFor) {
            throw new Violation(
                    "RPO",
                    "something has been missing for %d ms, the backup says %d: %s"
                            .formatted(missingFor, toldThere, describe()));
        }
    }

    /// STATE: a copy says that it is up to date only while the primary's stream brings it all there
    /// is. Once that is not so, the copy is told with what is sent next, and says so no more when
    /// it has got that.
    private void checkStanding() {
        SimLink on = backup.isUp() && !two.isSplit() ? backup.link() : null;
        boolean isOneSession = on != null && !on.isCut() && primary.isUp() && primary.isOn(on);
        if (!isOneSession || primary.primary().state() == ReplicationState.ESTABLISHED) {
            leavesOut = null;
            if (isOneSession && isUpToDate() && ++standings % 64 == 0) {
                checkNothingIsLeftOut();
            }
            return;
        }
        SimLink.Pipe pipe = backupMachine() == second ? on.toSecond() : on.toFirst();
        if (leavesOut != on) {
            leavesOut = on;
            saidBytes = pipe.sent();
        }
        if (isUpToDate() && pipe.carried() >= saidBytes) {
            throw new Violation("STATE", "the copy lacks what it is not sent: " + describe());
        }
    }

    private boolean isUpToDate() {
        return backup.backup().diskState() == DiskState.UP_TO_DATE;
    }

    private void checkNothingIsLeftOut() {
        if (primary.primary().isFailed()) {
            return; // What it wrote in part was answered to nobody.
        }
        Primary.Figures figures = primary.primary().figures();
        reached(Rare.UP_TO_DATE_CHECKED);
        if (figures.closed() || figures.dirtyBlocks() + figures.suspectBlocks() > 0) {
            throw new Violation("STATE", "nobody brings the copy what is marked: " + describe());
        }
    }

    /// COV, now and then: what the primary durably knows names all that differs.
    void checkCoverage() {
        if (clones.nextInt(4) != 0
                || !backup.isUp()
                || !backup.backup().hasPoint()
                || !isJudged()) {
            return;
        }
        Position at = backup.backup().committed();
        primary.checkCoverage(clones, backup.withWhatIsBehind(truth.imageAt(at)), at);
    }

    /// What the copy shows at this moment.
    byte[] copyImage() {
        return backup.withWhatIsBehind(truth.imageAt(backup.backup().committed()));
    }

    /// COV for one power cut of the primary.
    void checkCoverage(SimDisk.Cut ofDisk, SimDisk.Cut ofMetadata, byte[] copy) {
        primary.checkCoverage(ofDisk, ofMetadata, copy, backup.backup().committed());
    }

    boolean canCheckCoverage() {
        return primary.isUp() && backup.isUp() && backup.backup().hasPoint() && isJudged();
    }

    /// Whether each side has looked at the other since one of them was harmed behind its back.
    private boolean isJudged() {
        return backup.isJudged() && !primary.isSetBack() && !two.isSplit() && !backup.isGivingUp();
    }

    void checkBudget(long used) {
        if (used > scenario.budgetBytes()) {
            throw new Violation(
                    "BND", used + " bytes buffered, the budget is " + scenario.budgetBytes());
        }
    }

    void checkProtected(Position number) {
        if (!backup.isUp() || two.isSplit()) {
            return; // What it had is checked when it starts.
        }
        Position committed = backup.backup().committed();
        if (!committed.equals(number) && !truth.isBefore(number, committed)) {
            throw new Violation(
                    "C", "operation " + number + " was answered, the copy is at " + committed);
        }
    }

    void refused(String side, String why) {
        if (backup.wasDamaged()
                && primary.isUp()
                && primary.primary().peerCopy().id() == 0
                && why.contains("now has a copy without a point")) {
            // The only point was lost, and the primary crashed before it had stored which copy
            // it had filled: somebody must say that it may be filled anew.
            lostOnlyPoint = true;
            return;
        }
        if (TwoHistories.isSplit(why) && (two.isSplit() || backup.isNew())) {
            return;
        }
        if (why.endsWith(PrimaryHost.DISCONNECTED)) {
            return;
        }
        if (why.endsWith(Backup.NOT_GREETED)) {
            return; // It greets again at once.
        }
        if (why.contains("bytes, the primary's device has")) {
            return; // The copy was set back, and is asked to make room.
        }
        if (isForgotten() && why.contains("was set back to an older copy of itself")) {
            if (primary.hasToldUnnoted()) {
                reached(Rare.FAILED_DISK_TOLD_UNNOTED);
            } else {
                reached(
                        primary.isSetBack()
                                ? Rare.PRIMARY_SET_BACK_NOTICED
                                : Rare.COPY_PUT_BACK_TO_WHAT_IS_FORGOTTEN);
            }
            operatorReads(why);
            return;
        }
        // Of two histories a side whose disk has failed says no more than that.
        boolean isLost = primary.isDiskFailed() && !two.wasOrdered();
        if (!isLost && !why.equals(Verdict.DISK_FAILED)) {
            throw new Violation("REFUSED", side + ": " + why);
        }
    }

    /// As [TwoHistories#takesOver].
    boolean takesOver(PrimaryHost starting, boolean wasDown) {
        return two.takesOver(starting, wasDown);
    }

    /// SPL: each side says that there are two histories, the same as the other.
    void checkSplit(Frame.ResourceHello mine, long writes, Frame.ResourceHello theirs) {
        two.check(mine, writes, theirs);
    }

    /// A copy that has less than the primary knows it had is compared, whatever else fits (R3).
    ///
    /// @param known what the primary knew when the copy greeted
    /// @param filled how far it knew it to be filled then
    void checkRestored(Position known, long filled) {
        if (!backup.isUp() || !backup.takeRestored() || primary.primary().isFailed()) {
            return;
        }
        boolean less =
                !backup.backup().hasPoint() || truth.isBefore(backup.backup().committed(), known);
        boolean emptier =
                known.isNone()
                        && !backup.backup().everCommitted()
                        && backup.backup().filled() < filled;
        if (emptier) {
            reached(Rare.RESTORED_IN_FIRST_SYNC);
        }
        if (less && !known.isNone() || emptier) {
            reached(Rare.RESTORED_BACKUP_NOTICED);
            if (primary.primary().state() != ReplicationState.COMPARE
                    && primary.primary().state() != ReplicationState.OFF) {
                throw new Violation("R3", "a copy put back is not compared: " + describe());
            }
        }
    }

    void cloneAndCrash() {
        if (clones.nextInt(16) == 0) {
            clonesChecked++;
            reached(Rare.CRASHED_CLONE_CHECKED);
            backup.checkCrashedClone(clones);
            if (primary.own() != null) {
                primary.own().checkCrashedClone(clones);
            }
        }
    }
}
