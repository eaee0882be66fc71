package holdfast.sim;

import holdfast.checksum.TreeBuilder;
import holdfast.checksum.TreeShape;
import holdfast.replicator.metadata.Evidence;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Budget;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Faults;
import holdfast.replicator.state.Held;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.Op;
import holdfast.replicator.state.OwnChanges;
import holdfast.replicator.state.PageMemory;
import holdfast.replicator.state.PeerCopy;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.PrimaryEffects;
import holdfast.replicator.state.ReadRun;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Rest;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Transaction;
import holdfast.replicator.state.Verdict;
import holdfast.replicator.state.Verification;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Mutants;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;

/// The primary's machine: [Primary] with a disk and a superblock, doing what the daemon's shell
/// does, one small step at a time, so that a crash may fall between any two.
final class PrimaryHost implements PrimaryEffects {
    static final String DISCONNECTED = "disconnected by an operator";

    /// Few, so that a slot is written again soon.
    private static final int RECORD_SLOTS = 3;

    /// One request of the application.
    private static final class Request {
        private final long id;
        private final Op op;
        private final byte[] data;
        private final boolean sync;
        private boolean synced;
        private boolean held;

        private Request(long id, Op op, byte[] data, boolean sync) {
            this.id = id;
            this.op = op;
            this.data = data;
            this.sync = sync;
        }
    }

    /// An op does not know its request before it is made.
    private static final class Owner {
        private Request request;
    }

    // Deliberate mistakes of a shell. The deciding objects have theirs in `state.Faults`.

    /// A start does not wait until its generation is durable.
    private static final boolean M13 = Mutants.on("M13");

    /// A start after a crash goes on in the generation that was interrupted.
    private static final boolean M14 = Mutants.on("M14");

    /// A failed sync of the disk is passed over.
    private static final boolean M43 = Mutants.on("M43");

    /// What waits for a promotion to be final is written to the base before it is durable that the
    /// base is the disk.
    private static final boolean M75 = Mutants.on("M75");

    /// Takes a disk that was exchanged, or has failed, for what it was.
    private static final boolean M88 = Mutants.on("M88");

    /// Takes the disk of the side that goes on for what it was, although it has failed.
    private static final boolean M89 = Mutants.on("M89");

    private final Simulation sim;
    private final Scenario scenario;
    private final RandomGenerator random;
    private final Machine machine;

    /// Null where it writes to [#own]; its base while that is being made final.
    private SimDisk disk;

    /// The copy that was promoted, until all of it is in its base.
    private BackupHost own;

    /// What was on its way to the copy may still come when the promotion is final.
    private final boolean wasCopy;

    private final Budget budget;
    private final Truth.Line line;
    private final SimDisk metadata;
    private MetadataLayout layout;
    private byte[] crashedDisk = {};
    private byte[] crashedMetadata = {};

    private final SimSuperblock superblock;

    // Files beside it, each of which is replaced as a whole.

    /// What the disk was like at the last clean stop.
    private Evidence durableEvidence;

    /// It was written to past us, and not all of it is compared yet.
    private boolean durableCompare;

    /// And somebody has ordered that.
    private boolean durableOrder;

    /// How much of it somebody has ordered to be used; 0 for no order.
    private int durableOrdered;

    /// What is behind it was never compared all; at least as much as is used when nothing is.
    private int durableGrownFrom = Integer.MAX_VALUE;

    /// Everything that is durable here, at an earlier moment.
    private record Older(
            byte[] disk,
            byte[] metadata,
            byte[] superblock,
            Evidence evidence,
            boolean compare,
            boolean ordered,
            int orderedBytes,
            int grownFrom) {}

    private Older older;

    /// It was put back to that, and is not in step with the copy again.
    private boolean setBack;

    private boolean everSetBack;
    private boolean failedWrites;
    private boolean mayHaveToldUnnoted;
    private boolean toldUnnoted;

    private int life;
    private long startedNanos;
    private Primary primary;
    private boolean up;

    /// Its superblock is about to say that it writes; it is not up before.
    private boolean starting;

    private boolean stopping;

    /// Nothing is written at present: the promotion is being made final.
    private boolean held;

    private final List<Request> heldWrites = new ArrayList<>();
    private SimLink link;
    private SimLink.Pipe out;

    /// What this side has said of itself first in this session, and how many writes there were.
    private Frame.ResourceHello said;

    private long saidWrites;

    /// The link that is there, also while this resource does not use it.
    private SimLink present;

    /// Also where it has left it to stop.
    private SimLink lastPresent;

    /// An operator has disconnected the resource; survives restarts.
    private boolean standalone;

    private int stream;
    private long credit;
    private boolean pumpDue;
    private boolean readDue;
    private int reading;
    private int outstanding;

    /// A transaction is on its way.
    private boolean keeping;

    private boolean keeperDue;
    private long lastEra;

    /// What follows a stop whose last transactions are on their way.
    private Runnable endOfStop;

    /// Pieces that are between the door and their number.
    private int inFlight;

    /// The copy with which what either side changed was compared last, or null.
    private BackupHost unionWith;

    /// Newest transaction of the former primary that the copy was told of.
    private long heard;

    private final List<Request> onTheirWay = new ArrayList<>();
    private final ArrayDeque<Frame> sentSinceUp = new ArrayDeque<>();
    private long slowUntil;
    private Strike.Fault next;
    private long frozenUntil;
    private boolean diskFailed;

    /// It has failed since everything was compared.
    private boolean durableDoubt;

    /// Another disk is in its place since the last stop, and nobody has attached it yet.
    private boolean isExchanged;

    private boolean inSessionDown;
    private boolean inHello;
    private boolean greeted;
    private boolean commitOpen;

    /// The life in which something of an epoch was sent last.
    private int stagedInLife;

    /// What the check of the verification that is under way needs, or null.
    private Verifying verifying;

    /// Names on their way to the copy, by the number of the order.
    private final Map<Long, String> marking = new HashMap<>();

    private List<BlockRun> lastReported = List.of();

    /// What a request of a repair has for a number.
    private static final long REPAIR = -1;

    /// The blocks that are asked for by a repair, and the number of that question.
    private BlockRun fetching;

    private long fetched;
    private boolean repairing;

    /// From the damage of the disk until the last of it is written over.
    private boolean unrepaired;

    private final List<Collected> collected = new ArrayList<>();

    /// A verification, and the damage that there was.
    ///
    /// @param atStart blocks that the copy had wrong when it began
    /// @param possible blocks that it may have had wrong since
    /// @param uncovered see [BackupHost#uncovered]
    private record Verifying(BitSet atStart, BitSet possible, int uncovered) {}

    /// Since then copy and device were compared.
    private boolean comparedSince;

    PrimaryHost(Simulation sim, Scenario scenario, RandomGenerator random, Machine machine) {
        this(
                sim,
                scenario,
                random,
                machine,
                new SimDisk(scenario.deviceBytes()),
                null,
                sim.truth().line(),
                Transaction.Blank.MISSING,
                Superblock.ofPrimary(Simulation.RESOURCE, AddressSpace.of(scenario.deviceBytes())));
        if (scenario.startsFilled()) {
            int half = scenario.deviceBytes() / 2 / 512 * 512;
            disk.write(0, half, Tags.content(-2, 0, half));
            disk.syncNow();
        }
    }

    /// Of a copy that was promoted: nothing is known of the peer.
    ///
    /// @param newest whether it goes on from the newest moment, and only what it writes is marked
    /// @param line in which the generation of the ancestry has begun
    PrimaryHost(
            Simulation sim,
            Scenario scenario,
            RandomGenerator random,
            Machine machine,
            BackupHost own,
            Ancestry ancestry,
            boolean newest,
            Truth.Line line) {
        this(
                sim,
                scenario,
                random,
                machine,
                null,
                own,
                line,
                newest ? Transaction.Blank.CLEAR : Transaction.Blank.SUSPECT,
                promoted(own.bytes(), ancestry));
        heard = newest ? own.backup().tracked() : 0;
    }

    private static Superblock promoted(int bytes, Ancestry ancestry) {
        return Superblock.ofPrimary(Simulation.RESOURCE, AddressSpace.of(bytes))
                .attached(ancestry, PeerCopy.UNKNOWN)
                .detached(new Position(ancestry.generation(), 0), PeerCopy.UNKNOWN, false);
    }

    private PrimaryHost(
            Simulation sim,
            Scenario scenario,
            RandomGenerator random,
            Machine machine,
            SimDisk disk,
            BackupHost own,
            Truth.Line line,
            Transaction.Blank blank,
            Superblock first) {
        this.sim = sim;
        this.scenario = scenario;
        this.random = random;
        this.machine = machine;
        this.disk = disk;
        this.own = own;
        this.wasCopy = own != null;
        this.line = line;
        budget = Budget.of(scenario.budgetBytes());
        superblock =
                new SimSuperblock(
                        "superblock",
                        first,
                        random,
                        new SimSuperblock.Host() {
                            @Override
                            public void afterDisk(Runnable task) {
                                sim.disk("primary superblock");
                                later(diskTime(), task);
                            }

                            @Override
                            public void struck(SimSuperblock.Failure by) {
                                sim.reached(Rare.PRIMARY_SUPERBLOCK_FAILED);
                            }
                        });
        layout = layoutOf(bytes());
        metadata = new SimDisk(Math.toIntExact(layout.fileBytes()));
        layout.beginning(MetadataLayout.first(blank, 1, PeerCopy.UNKNOWN)).forEach(this::put);
        metadata.syncNow();
    }

    private MetadataLayout layoutOf(int bytes) {
        return new MetadataLayout(
                Simulation.RESOURCE, bytes, scenario.limits().extentBlocks(), RECORD_SLOTS);
    }

    private void put(MetadataLayout.Piece piece) {
        metadata.write(piece.offsetBytes(), piece.data());
    }

    // ---- life
    // ----------------------------------------------------------------------------------------------------

    /// A promoted copy starts first, and the generation begins in its journal too.
    void start() {
        start(machine::join);
    }

    /// @param then called when it is up, before anybody else
    private void start(Runnable then) {
        if (starting) {
            return;
        }
        if (own == null || own.isUp()) {
            begin(false, then);
            return;
        }
        starting = true;
        int of = life;
        own.start(
                () -> {
                    if (of == life) {
                        begin(true, then);
                    }
                },
                () -> {
                    if (of == life) {
                        startAgain();
                    }
                });
    }

    private void begin(boolean wasDown, Runnable then) {
        starting = false;
        if (own != null && sim.takesOver(this, wasDown)) {
            return;
        }
        stopSettling();
        life++;
        starting = true;
        startedNanos = sim.agenda().nowNanos();
        if (life >= 9) { // An end counts as well.
            sim.reached(Rare.FIFTH_GENERATION);
        }
        // All are opened anew: what a failed sync left in memory alone is not what the disk holds.
        if (disk != null) {
            disk.dropClean();
        }
        metadata.syncNow();
        metadata.dropClean();
        superblock.open();
        Superblock was = superblock.value();
        layout = layoutOf(bytes()); // A growth may have come as far as the superblock.
        boolean first = was.ancestry().entries().isEmpty();
        Ancestry.Reason crashedOrNot = was.clean() ? Ancestry.Reason.ATTACH : Ancestry.Reason.CRASH;
        Ancestry.Reason reason = first ? Ancestry.Reason.CREATE : crashedOrNot;
        Position unwritten = new Position(was.ancestry().generation(), 0);
        MetadataLayout.Recovered found = recovered(metadata.now(), marks());
        if (found.damage() != null) {
            sim.event("primary", "metadata-damaged", found.damage());
        }
        if (was.clean() && own == null && isWrittenPast()) {
            durableCompare = true;
            sim.reached(Rare.WRITTEN_PAST_NOTICED);
        }
        durableCompare |= isExchanged;
        isExchanged = false;
        durableDoubt &= !durableCompare;
        boolean isPromoted = own != null && was.clean() && was.position().equals(unwritten);
        boolean goesOn = M14 && reason == Ancestry.Reason.CRASH || isPromoted;
        long generation = goesOn ? was.ancestry().generation() : random.nextLong() | 1;
        Ancestry ancestry =
                goesOn
                        ? was.ancestry()
                        : was.ancestry()
                                .plus(
                                        new Ancestry.Entry(
                                                generation,
                                                was.position(),
                                                reason,
                                                machine.node(),
                                                machine.clock().millis()));
        Kept kept = durableCompare ? found.kept().allSuspect(durableOrder) : found.kept();
        markGrown(kept);
        Primary.Attached attached =
                new Primary.Attached(ancestry, kept, heard, !durableDoubt || M89);
        Runnable begun = () -> start(attached, isPromoted, then);
        if (own != null && !isPromoted) {
            int of = life;
            begun =
                    () ->
                            own.begin(
                                    ancestry,
                                    null,
                                    () -> {
                                        if (of == life) {
                                            start(attached, false, then);
                                        }
                                    },
                                    () -> {
                                        throw new Violation(
                                                "LIV", "a promoted copy has no room to start");
                                    });
        }
        if (M13) {
            begun.run();
            later(1_000_000_000L, () -> begun(ancestry, kept.peer(), () -> {}));
        } else {
            begun(ancestry, kept.peer(), begun);
        }
        sim.note("primary starts", generation, reason.ordinal());
    }

    /// From here on the superblock says "not clean". Where that cannot be written it is no primary,
    /// and somebody starts it again.
    private void begun(Ancestry ancestry, PeerCopy peer, Runnable then) {
        superblock.write(was -> was.attached(ancestry, peer), then, _ -> startAgain());
    }

    private void startAgain() {
        if (up) {
            return; // With the mistake M13.
        }
        starting = false;
        life++;
        sim.reached(Rare.STARTED_AGAIN_WITHOUT_SUPERBLOCK);
        sim.agenda().in(random.nextLong(1_000_000_000L), sim.restartOf(machine));
    }

    private boolean isWrittenPast() {
        return durableEvidence == null
                || !durableEvidence
                        .differences(
                                look(places(durableEvidence), (int) durableEvidence.sizeBytes()),
                                AddressSpace.of(bytes()))
                        .isEmpty();
    }

    private void start(Primary.Attached attached, boolean goesOn, Runnable then) {
        if (!goesOn) {
            // Of a promoted copy it is known what its journal has to hold; a disk may have lost any
            // of what was not synced (R4).
            line.begin(
                    attached.ancestry().generation(),
                    own != null ? own.imageOfCommitted() : image());
        }
        primary =
                new Primary(
                        new Primary.Config(
                                Simulation.RESOURCE,
                                bytes(),
                                scenario.protocolC(),
                                scenario.blockOnCongestion(),
                                scenario.limits()),
                        attached,
                        budget,
                        this);
        up = true;
        starting = false;
        stopping = false;
        endOfStop = null;
        outstanding = 0;
        inFlight = 0;
        reading = 0;
        keeping = false;
        keeperDue = false;
        held = false;
        // Somebody may have woken them while nothing was up: the link outlives a growth.
        pumpDue = false;
        readDue = false;
        primary.tick(sim.agenda().nowNanos(), machine.clock().millis());
        tick(life);
        then.run();
        sim.replied();
    }

    /// @param power whether the power is cut; else the process alone is killed and the kernel keeps
    ///   what was written
    void crash(boolean power) {
        if (!up) {
            if (own != null || starting) {
                life++; // It may have been starting.
                starting = false;
                crashDisk(power);
            }
            return;
        }
        sim.reached(power ? Rare.PRIMARY_POWER_CUT : Rare.PRIMARY_KILLED);
        toldUnnoted |= mayHaveToldUnnoted;
        noteCrash();
        for (Request request : onTheirWay) {
            if (disk != null && random.nextBoolean()) {
                disk.writePart(
                        random,
                        request.op.offsetBytes(),
                        (int) request.op.lengthBytes(),
                        request.data);
            }
        }
        if (keeping) {
            sim.reached(Rare.CRASH_DURING_TRANSACTION);
        }
        gone();
        crashDisk(power);
    }

    private void crashDisk(boolean power) {
        if (own != null) {
            own.crash(power);
        }
        superblock.crash(power ? Math.min(scenario.cutFate(), 2) : -1);
        if (power) {
            byte[] before = disk == null ? new byte[0] : disk.now().clone();
            if (disk != null) {
                disk.powerCut(random, Math.min(scenario.cutFate(), 2));
            }
            metadata.powerCut(random, Math.min(scenario.cutFate(), 2));
            if (disk != null && !Arrays.equals(before, disk.now())) {
                sim.reached(Rare.PRIMARY_CRASH_LOST_WRITES);
            }
        }
    }

    private void noteCrash() {
        if (primary.figures().frozenBlocks() > 0) {
            sim.reached(Rare.PRIMARY_CRASH_MID_EPOCH);
        }
        if (sim.agenda().nowNanos() - startedNanos < 1_000_000_000L) {
            sim.reached(Rare.PRIMARY_CRASH_SOON_AFTER_START);
        }
        if (!onTheirWay.isEmpty()) {
            sim.reached(Rare.CRASH_WITH_WRITE_ON_ITS_WAY);
        }
        if (outstanding > 0) {
            sim.reached(Rare.CRASH_WITH_REPLIES_OWED);
        }
        if (frozenUntil > sim.agenda().nowNanos()) {
            sim.reached(Rare.CRASH_WITH_FROZEN_DISK);
        }
    }

    private void gone() {
        up = false;
        durableDoubt |= diskFailed && !M88;
        stopSettling();
        life++;
        primary = null;
        verifying = null;
        link = null;
        present = null;
        commitOpen = false;
        onTheirWay.clear();
        pumpDue = false;
        readDue = false;
        sim.primaryGone(outstanding);
        outstanding = 0;
    }

    /// Stops without losing anything: drains, detaches, syncs, and stores what the peer may lack.
    void stop(Runnable then) {
        if (!up || stopping || hasFailed()) {
            return;
        }
        stopping = true;
        drain(0, then);
    }

    private void drain(int rounds, Runnable then) {
        if (hasFailed()) {
            stopping = false; // A failed disk has no clean end.
            return;
        }
        if (inFlight > 0 || reading > 0 || keeping) {
            if (rounds == 20) {
                sessionDown(link);
            }
            later(20_000_000L, () -> drain(rounds + 1, then));
            return;
        }
        sessionDown(link);
        later(
                0,
                () -> {
                    if (inFlight > 0 || reading > 0 || keeping || hasFailed()) {
                        drain(rounds + 1, then);
                        return;
                    }
                    Position end = primary.position();
                    boolean ordered = primary.isComparisonOrdered();
                    if (primary.figures().bufferBytes() > 0) {
                        sim.reached(Rare.STOPPED_WITH_BUFFERED_WRITES);
                    }
                    List<Long> recent = primary.recentlyWritten(Evidence.RECENT_BLOCKS);
                    primary.detach();
                    if (primary.figures().dirtyBlocks() > 0) {
                        sim.reached(Rare.STOPPED_WITH_DIRTY_BLOCKS);
                    }
                    checkImage();
                    endOfStop = then; // First: its end may come at once, and another start with it.
                    keepNext(() -> stopped(end, primary.peerCopy(), recent, ordered, then));
                });
    }

    /// All is durable that the peer may lack. Where the superblock cannot be written this is no
    /// clean end.
    private void stopped(
            Position end, PeerCopy peer, List<Long> recent, boolean ordered, Runnable then) {
        durableEvidence =
                own != null
                        ? null
                        : look(Evidence.places(AddressSpace.of(bytes()), recent, random), bytes());
        superblock.write(
                was -> was.detached(end, peer, false),
                () -> {
                    // What is left of it is in the bitmap.
                    durableCompare &= ordered;
                    durableOrder &= ordered;
                    sim.reached(Rare.PRIMARY_RESTARTED_CLEANLY);
                    gone();
                    then.run();
                },
                _ -> {
                    sim.reached(Rare.NO_CLEAN_END_WITHOUT_SUPERBLOCK);
                    gone();
                    then.run();
                });
    }

    static boolean isAtRest(Frame.ResourceHello hello) {
        return Verdict.isPrimary(hello) && hello.diskState() == DiskState.DISKLESS.ordinal();
    }

    /// It was detached, and says so where the link outlives that.
    void tellRest() {
        if (lastPresent != null && !lastPresent.isCut() && !standalone) {
            out.send(0, List.of(said(DiskState.DISKLESS, superblock.value().position())));
        }
    }

    /// The other side's primary was detached. It hears what is here, and whoever plays there by now
    /// may take that for a greeting.
    private void peerRests() {
        if (isStreaming()) {
            join(link);
        }
        sim.reached(Rare.PEER_AT_REST);
        out.send(0, List.of(said(DiskState.UP_TO_DATE, primary.position())));
    }

    /// What is said in no session: not of what the copy was told.
    private Frame.ResourceHello said(DiskState state, Position here) {
        return new Frame.ResourceHello(
                Simulation.RESOURCE,
                Role.PRIMARY.ordinal() + 1,
                state.ordinal(),
                bytes(),
                here,
                here,
                0,
                true,
                0,
                false,
                0,
                0,
                new Frame.Known(Position.NONE, Position.NONE, 0, 0, Long.MAX_VALUE, 0, false),
                ancestry());
    }

    /// LOC: the disk is the image of what was written to it.
    void checkImage() {
        if (!Arrays.equals(image(), line.image())) {
            throw new Violation(
                    "LOC",
                    "the disk is not the image of its writes in order: "
                            + SimDisk.describe(line.image(), image(), 8));
        }
    }

    private Evidence look(List<Long> places, int bytes) {
        List<Evidence.Sample> samples = new ArrayList<>();
        for (long place : places) {
            BlockRun run = new BlockRun(place, 1);
            ByteBuffer block =
                    ByteBuffer.wrap(disk.now(), (int) run.offsetBytes(), run.lengthBytes(bytes));
            samples.add(Evidence.Sample.of(place, block));
        }
        return new Evidence(Simulation.RESOURCE, 0, bytes, 0, List.of(), samples);
    }

    private static List<Long> places(Evidence of) {
        return of.samples().stream().map(Evidence.Sample::block).toList();
    }

    /// Somebody writes to the disk while nobody looks: in some places, one of which is among the
    /// samples. What these do not see nothing sees, nor anything behind a stop that was not clean:
    /// there it does not happen.
    void writePast(RandomGenerator own) {
        if (!isClean()) {
            return;
        }
        List<Long> sampled = places(durableEvidence);
        int blocks = (int) BlockSet.blocksOf(bytes());
        for (int i = own.nextInt(6); i >= 0; i--) {
            long block = i == 0 ? sampled.get(own.nextInt(sampled.size())) : own.nextInt(blocks);
            BlockRun run = new BlockRun(block, 1);
            int sectors = run.lengthBytes(bytes()) / SimDisk.SECTOR;
            int from = own.nextInt(sectors);
            int length = (1 + own.nextInt(sectors - from)) * SimDisk.SECTOR;
            long at = run.offsetBytes() + (long) from * SimDisk.SECTOR;
            disk.write(at, length, Tags.content(-3 - own.nextInt(1000), at, length));
        }
        disk.syncNow();
        sim.reached(Rare.WRITTEN_PAST);
    }

    /// Somebody puts another disk in the place of one that has failed, or that was not stopped
    /// cleanly: it holds anything in places of which no bitmap says a word.
    void exchangeDisk(RandomGenerator own) {
        if (up || starting || disk == null || this.own != null || isClean()) {
            return;
        }
        overwrite(own);
        isExchanged = !M88;
        sim.reached(Rare.DISK_EXCHANGED);
    }

    /// Its disk fails, and somebody restores an image of before into it: by what it says of itself
    /// it is the same one.
    ///
    /// @return false where that is another story: a promoted copy has no such disk
    boolean failsAndIsRestored(RandomGenerator own) {
        if (!up || stopping || this.own != null || diskFailed) {
            return false;
        }
        diskFailed = true;
        crash(own.nextBoolean());
        diskFailed = false;
        overwrite(own);
        sim.reached(Rare.SURVIVOR_RESTORED);
        return true;
    }

    private void overwrite(RandomGenerator own) {
        int sectors = bytes() / SimDisk.SECTOR;
        for (int i = own.nextInt(6); i >= 0; i--) {
            int from = own.nextInt(sectors);
            int length = (1 + own.nextInt(Math.min(64, sectors - from))) * SimDisk.SECTOR;
            long at = (long) from * SimDisk.SECTOR;
            disk.write(at, length, Tags.content(-5 - own.nextInt(1000), at, length));
        }
        disk.syncNow();
    }

    /// Somebody takes a snapshot of the machine: of what a power cut would leave at this moment.
    void keepOlder(RandomGenerator own) {
        if (!up || diskFailed || disk == null) {
            return;
        }
        byte[] diskNow = new byte[disk.size()];
        byte[] metadataNow = new byte[metadata.size()];
        disk.crashInto(diskNow, own, own.nextInt(3));
        metadata.crashInto(metadataNow, own, own.nextInt(3));
        older =
                new Older(
                        diskNow,
                        metadataNow,
                        superblock.crashedBytes(own, own.nextInt(3)),
                        durableEvidence,
                        durableCompare,
                        durableOrder,
                        durableOrdered,
                        durableGrownFrom);
    }

    boolean hasOlder() {
        return older != null;
    }

    /// Somebody goes back to the snapshot; only while it is stopped.
    void restoreOlder() {
        disk.put(older.disk);
        metadata.put(older.metadata);
        superblock.put(older.superblock);
        durableEvidence = older.evidence;
        durableCompare = older.compare;
        durableOrder = older.ordered;
        durableOrdered = older.orderedBytes;
        durableGrownFrom = older.grownFrom;
        layout = layoutOf(bytes());
        setBack = true;
        everSetBack = true;
        sim.reached(Rare.PRIMARY_SET_BACK);
    }

    /// Whether what it holds was put back to an older state, and the copy has not been told so.
    boolean isSetBack() {
        return setBack;
    }

    /// Whether its disk failed while the copy was told of a transaction of which it is not durable
    /// that it was, and they have not met since.
    boolean hasToldUnnoted() {
        return toldUnnoted;
    }

    /// Somebody attaches the failed disk again, or starts the machine again: it goes on with what
    /// it holds.
    ///
    /// @return false where that is another story: a promoted copy has no such disk
    boolean comesBack(RandomGenerator own) {
        if (!up || this.own != null || own.nextBoolean()) {
            return false;
        }
        crash(own.nextBoolean());
        diskFailed = false;
        sim.reached(Rare.FAILED_DISK_CAME_BACK);
        return true;
    }

    /// Whether it has forgotten generations that moments of the copy are of.
    boolean wasEverSetBack() {
        return everSetBack;
    }

    /// Whether it has been in that generation, as far as it knows.
    boolean knows(Position at) {
        return ancestry().indexOf(at.generation()) >= 0;
    }

    /// An operator has the copy brought back to what this side holds.
    void order() {
        durableCompare = true;
        durableOrder = true;
        if (up) {
            primary.compareAll("somebody ordered it");
        }
    }

    boolean isUp() {
        return up;
    }

    /// Whether it is about to be up.
    boolean isStarting() {
        return starting;
    }

    boolean isStopping() {
        return stopping;
    }

    Primary primary() {
        return primary;
    }

    /// Whether a write has failed: its blocks are marked, whatever of it was written.
    boolean hadFailedWrites() {
        return failedWrites;
    }

    boolean isDiskFailed() {
        return diskFailed;
    }

    /// Whether nothing more is written at present; a promoted copy whose journal or base has failed
    /// is given another disk, and started again.
    boolean hasFailed() {
        return diskFailed || own != null && own.hasFailed();
    }

    int outstanding() {
        return outstanding;
    }

    byte[] image() {
        return bytes(0, bytes());
    }

    /// What the device reads.
    private byte[] bytes(int from, int end) {
        return own != null ? own.read(from, end) : Arrays.copyOfRange(disk.now(), from, end);
    }

    Truth.Line line() {
        return line;
    }

    /// The copy that it was, and that it writes to; null when it is a disk.
    BackupHost own() {
        return own;
    }

    WallClock clock() {
        return machine.clock();
    }

    // ---- two histories
    // ------------------------------------------------------------------------------------------

    /// Everything that the copy was promoted with goes into its base, which is the disk from then
    /// on; the clients stay. A crash at any step leaves the copy as it was promoted, or the disk.
    ///
    /// @param then called when it is done, and not where something prevents it
    void makeFinal(Runnable then) {
        if (own == null) {
            then.run();
            return;
        }
        if (held || !own.isUp() || own.hasFailed()) {
            return;
        }
        if (!own.beginToSettle()) {
            sim.reached(Rare.PROMOTION_KEPT_FROM_FINAL);
            return;
        }
        held = true;
        own.settleAll();
        settle(then);
    }

    private void settle(Runnable then) {
        if (!own.isUp() || own.hasFailed()) {
            sim.reached(Rare.FINAL_GIVEN_UP);
            own.endSettling();
            disk = null;
            letWrite();
            return;
        }
        if (own.isWrittenTo() || !own.isBaseAlone()) {
            own.settleAll();
            later(20_000_000L, () -> settle(then));
            return;
        }
        disk = own.base();
        if (M75) {
            letWrite();
        }
        later(
                diskTime() + diskTime(), // A rename, and its sync.
                () -> {
                    if (own.hasFailed()) {
                        settle(then);
                        return;
                    }
                    // Until here a crash leaves the copy as it was promoted.
                    own.checkAll("just before it is final");
                    sim.cloneAndCrash();
                    own.forget();
                    own = null;
                    machine.plays(this, null);
                    sim.reached(Rare.PROMOTION_FINAL);
                    checkImage(); // Whatever is in flight is held.
                    letWrite();
                    then.run();
                });
    }

    /// What was held for a promotion to be final goes where it belongs now.
    private void letWrite() {
        held = false;
        List<Request> waiting = List.copyOf(heldWrites);
        heldWrites.clear();
        waiting.forEach(this::write);
    }

    /// Whatever was to be final is cut off, and what was held has gone with its clients.
    private void stopSettling() {
        heldWrites.clear();
        held = false;
        if (own != null) {
            own.endSettling();
            disk = null;
        }
    }

    /// What it is while it is detached; only then.
    Rest rest() {
        return Rest.of(
                ancestry(),
                superblock.value().position(),
                isClean(),
                random.nextLong() | 1,
                machine.node(),
                machine.clock().millis());
    }

    boolean isClean() {
        return superblock.value().clean();
    }

    private Ancestry ancestry() {
        return superblock.value().ancestry();
    }

    /// What it has changed by itself, as it says it when it becomes a copy; null when it does not
    /// know. The disk of a promoted copy is held until the order, so there is no evidence to look
    /// at.
    OwnChanges ownChanges(long generation) {
        boolean isDoubtful = isClean() && durableEvidence != null && isWrittenPast();
        if (durableCompare
                || durableGrownFrom < bytes()
                || durableDoubt
                || isExchanged
                || isDoubtful) {
            return null;
        }
        metadata.syncNow();
        Kept kept = recovered(metadata.now(), marks()).kept();
        return OwnChanges.of(ancestry(), kept, heard, generation);
    }

    /// Whether it has met the other side, and has nothing to do with what that holds.
    boolean isApart() {
        return primary.state() == ReplicationState.OFF && TwoHistories.isSplit(primary.refusal());
    }

    private void checkSplit(Frame.ResourceHello theirs) {
        if (Verdict.isPrimary(theirs) && said != null) {
            sim.checkSplit(said, saidWrites, theirs);
        }
    }

    private boolean isStreaming() {
        return primary.state() != ReplicationState.HANDSHAKE
                && primary.state() != ReplicationState.OFF;
    }

    /// How much of the disk is used.
    int bytes() {
        return (int) superblock.value().sizeBytes();
    }

    // ---- a larger device
    // -----------------------------------------------------------------------------------------

    /// Somebody has enlarged the disk and orders that it is used, which the copy must have room for
    /// first. What is in the new space was there before.
    void resize(int more, RandomGenerator own) {
        int to = Math.max(bytes(), durableOrdered) + more;
        int from = disk.size();
        if (to > from) {
            byte[] found = Tags.content(-4, from, to - from);
            disk.grow(own.nextBoolean() ? found : new byte[found.length]);
        }
        durableOrdered = to;
        sim.reached(present == null ? Rare.GROWTH_ORDERED_WITHOUT_PEER : Rare.GROWTH_ORDERED);
        if (link != null) {
            askForRoom(durableOrdered);
        }
    }

    boolean isToGrow() {
        return durableOrdered > 0;
    }

    int orderedBytes() {
        return durableOrdered;
    }

    private void askForRoom(int bytes) {
        send(new Frame.Resize(Simulation.RESOURCE, AddressSpace.of(bytes)));
    }

    /// The copy has refused, and somebody orders it again.
    private void orderAgain() {
        later(
                random.nextLong(2_000_000_000L),
                () -> {
                    if (link != null && durableOrdered > 0) {
                        askForRoom(durableOrdered);
                    }
                });
    }

    /// The copy has room for so much.
    private void copyHasRoom(int bytes) {
        if (bytes <= bytes()) {
            ordered(bytes);
            join(link); // Its first greeting may have told of a smaller copy.
            return;
        }
        SimLink with = link;
        stop(
                () -> {
                    if (isClean()) {
                        grow(bytes, with);
                    } else {
                        sim.primaryCrashed(); // The disk has failed in the end of it.
                    }
                });
    }

    /// The same while it is stopped: it is not started again.
    void copyHasRoomMeanwhile(int bytes) {
        if (!up && !starting && bytes > bytes()) {
            sim.reached(Rare.GROWN_WHILE_STOPPED);
            growStep(bytes, 0, () -> ordered(bytes), () -> {});
        }
    }

    private void grow(int bytes, SimLink with) {
        growStep(
                bytes,
                0,
                () -> {
                    sim.reached(Rare.GROWN_UNDER_CLIENTS);
                    start(() -> later(diskTime(), () -> grown(bytes, with)));
                },
                sim::primaryCrashed);
    }

    private void grown(int bytes, SimLink with) {
        ordered(bytes);
        if (!with.isCut() && present == null) {
            present = with;
            if (!standalone) {
                join(with);
            }
        }
    }

    /// One thing after the other becomes durable, and the machine may be gone behind each.
    ///
    /// @param failed called where the superblock cannot be written
    private void growStep(int bytes, int step, Runnable then, Runnable failed) {
        if (random.nextInt(6) == 0) {
            sim.reached(Rare.CRASH_DURING_GROWTH);
            sim.primaryCrashed();
            return;
        }
        switch (step) {
            case 0 -> {
                int room = Math.toIntExact(layoutOf(bytes).fileBytes()) - metadata.size();
                metadata.grow(new byte[Math.max(0, room)]);
            }
            case 1 -> durableGrownFrom = Faults.M28 ? bytes : Math.min(bytes(), durableGrownFrom);
            default -> {
                superblock.write(
                        was -> was.ofSpace(AddressSpace.of(bytes)),
                        () -> {
                            layout = layoutOf(bytes);
                            then.run();
                        },
                        _ -> failed.run());
                return;
            }
        }
        later(diskTime(), () -> growStep(bytes, step + 1, then, failed));
    }

    private void ordered(int done) {
        if (done >= durableOrdered) {
            durableOrdered = 0;
        }
    }

    /// What came with a growth, until all of it was compared.
    private void markGrown(Kept kept) {
        int from = Math.min(durableGrownFrom, bytes());
        kept.suspect().addBytes(from, bytes() - from);
    }

    private void later(long nanos, Runnable task) {
        int of = life;
        sim.agenda()
                .in(
                        nanos,
                        () -> {
                            if (of == life) {
                                task.run();
                            }
                        });
    }

    /// How long the next operation of the disk takes.
    private long diskTime() {
        sim.disk("primary disk");
        long slow = slowUntil > sim.agenda().nowNanos() ? 50 : 1;
        long frozen = Math.max(0, frozenUntil - sim.agenda().nowNanos());
        return (random.nextLong(scenario.localDiskNanos()) + 1000) * slow + frozen;
    }

    void slowUntil(long nanos) {
        slowUntil = nanos;
    }

    void freezeUntil(long nanos) {
        frozenUntil = Math.max(frozenUntil, nanos);
        sim.reached(Rare.LOCAL_DISK_FROZEN);
    }

    /// The next write, read or sync of the disk fails.
    void failNext(Strike.Fault fault) {
        next = fault;
    }

    void failSuperblock(SimSuperblock.Failure by) {
        superblock.failNext(by);
    }

    private boolean fails(Strike.Fault fault) {
        if (next != fault) {
            return false;
        }
        next = null;
        return true;
    }

    /// @param ended called with whether all that was written before is durable
    private void syncDisk(Consumer<Boolean> ended) {
        if (own != null) {
            int of = life;
            own.sync(
                    () -> {
                        if (of == life) {
                            later(0, () -> ended.accept(true));
                        }
                    },
                    () -> {
                        if (of == life) {
                            later(0, () -> ended.accept(false));
                        }
                    });
            return;
        }
        long mark = disk.sync();
        later(diskTime(), () -> ended.accept(synced(mark)));
    }

    /// @return false if it failed: then what it covered looks clean and may be lost (R11)
    private boolean synced(long mark) {
        if (!fails(Strike.Fault.LOCAL_SYNC_EIO)) {
            disk.synced(mark);
            return true;
        }
        disk.syncFailed(mark, random);
        sim.reached(Rare.LOCAL_SYNC_FAILED);
        return M43;
    }

    private void syncFailed() {
        diskFailed = own == null;
        outstanding--;
        primary.diskFailed("an injected error of a sync");
    }

    private void tick(int of) {
        sim.agenda()
                .in(
                        100_000_000L,
                        () -> {
                            if (of == life) {
                                primary.tick(sim.agenda().nowNanos(), machine.clock().millis());
                                sim.checkBudget(primary.figures().bufferBytes());
                                lookAtVerified();
                                lookAtMarked();
                                lookAtFetched();
                                endComparison();
                                tick(of);
                            }
                        });
    }

    private void endComparison() {
        Primary.Figures figures = primary.figures();
        if (primary.state() == ReplicationState.ESTABLISHED
                && figures.dirtyBlocks() + figures.suspectBlocks() + figures.frozenBlocks() == 0) {
            durableCompare = false;
            durableOrder = false;
            if (primary.isAllDurable()) {
                durableGrownFrom = Integer.MAX_VALUE;
                durableDoubt &= !primary.trustsDisk();
            }
        }
    }

    // ---- what is durable
    // -----------------------------------------------------------------------------------------

    /// Where it is next to nothing extents are marked whole.
    private PageMemory marks() {
        PageMemory memory = PageMemory.of(scenario.markPageBits(), scenario.markBytes());
        return new PageMemory() {
            @Override
            public int pageBits() {
                return memory.pageBits();
            }

            @Override
            public boolean hasRoom(long bytes) {
                if (!memory.hasRoom(bytes)) {
                    sim.reached(Rare.MARKS_OUT_OF_MEMORY);
                    return false;
                }
                return true;
            }

            @Override
            public void use(long bytes) {
                memory.use(bytes);
            }
        };
    }

    private MetadataLayout.Recovered recovered(byte[] from, PageMemory memory) {
        try {
            return layout.recover(
                    new MetadataLayout.Source() {
                        @Override
                        public void read(long offsetBytes, ByteBuffer into) {
                            into.put(from, (int) offsetBytes, into.remaining());
                        }

                        @Override
                        public long nextData(long offsetBytes) {
                            return offsetBytes;
                        }
                    },
                    memory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void wakeKeeper() {
        if (!keeperDue && endOfStop == null) {
            keeperDue = true;
            later(
                    random.nextLong(20_000),
                    () -> {
                        keeperDue = false;
                        keepNext(() -> {});
                    });
        }
    }

    /// Carries out one transaction after the other, and then calls `end`.
    private void keepNext(Runnable end) {
        if (keeping) {
            return;
        }
        Transaction next = primary.nextTransaction();
        if (next == null) {
            end.run();
            return;
        }
        keeping = true;
        noteTransaction(next);
        Runnable write = () -> writePages(next, () -> keepNext(end));
        if (!next.syncDevice()) {
            write.run();
            return;
        }
        syncDisk(
                succeeded -> {
                    if (succeeded) {
                        write.run();
                    } else {
                        transactionFailed();
                    }
                });
    }

    private void noteTransaction(Transaction next) {
        sim.note("transaction", next.number(), next.pages().size());
        if (next.syncDevice()) {
            sim.reached(Rare.EXTENTS_LEFT_THE_LOG);
        }
        if (!next.pages().isEmpty()) {
            sim.reached(next.syncDevice() ? Rare.BITS_EVICTED : Rare.BITMAP_SWEPT);
        }
        if (next.era() != lastEra) {
            sim.reached(Rare.ERA_BEGUN);
            lastEra = next.era();
        }
    }

    private void writePages(Transaction next, Runnable then) {
        for (MetadataLayout.Piece piece : layout.pages(next)) {
            put(piece);
        }
        syncMetadata(
                () -> {
                    layout.records(next).forEach(this::put);
                    syncMetadata(
                            () -> {
                                keeping = false;
                                sim.checkCoverage();
                                primary.transactionDone(next);
                                then.run();
                            });
                });
    }

    private void syncMetadata(Runnable then) {
        long mark = metadata.sync();
        later(
                diskTime(),
                () -> {
                    if (fails(Strike.Fault.LOCAL_SYNC_EIO)) {
                        metadata.syncFailed(mark, random);
                        sim.reached(Rare.METADATA_FAILED);
                        transactionFailed();
                    } else {
                        metadata.synced(mark);
                        then.run();
                    }
                });
    }

    private void transactionFailed() {
        keeping = false;
        if (endOfStop != null) {
            gone(); // No clean end. What looked clean is dropped.
            if (disk != null) {
                disk.dropClean();
            }
            metadata.dropClean();
            endOfStop.run();
            return;
        }
        boolean ofOwn = own != null && own.hasFailed();
        primary.transactionFailed("an injected error of a sync");
        diskFailed |= !ofOwn && primary.isFailed();
    }

    /// What would be known if the power failed now (COV): each block in which the disk then differs
    /// from the copy is among it.
    ///
    /// @param copy image of the copy, which stands at `at`
    void checkCoverage(RandomGenerator cut, byte[] copy, Position at) {
        if (unrepaired) {
            return; // That is what nobody knows.
        }
        if (durableCompare) {
            return;
        }
        makeRoom();
        if (own != null) {
            crashedDisk = own.crashedImage(cut);
        } else {
            disk.crashInto(crashedDisk, cut, cut.nextInt(3));
        }
        metadata.crashInto(crashedMetadata, cut, cut.nextInt(3));
        checkCovered(copy, at);
    }

    SimDisk disk() {
        return disk;
    }

    SimDisk metadata() {
        return metadata;
    }

    SimDisk superblock() {
        return superblock.disk();
    }

    /// R1: from before the first write on the generation in which it writes is durable, and that it
    /// has not ended cleanly.
    void checkSuperblock(SimDisk.Cut cut) {
        Superblock left = superblock.crashed(cut);
        Superblock was = superblock.value();
        boolean isIn = left.ancestry().generation() == was.ancestry().generation();
        if (up && !stopping && (left.clean() || !isIn)) {
            throw new Violation(
                    "R1", "after a power cut nothing says that %s was written in".formatted(was));
        }
    }

    /// The same for one power cut.
    void checkCoverage(SimDisk.Cut ofDisk, SimDisk.Cut ofMetadata, byte[] copy, Position at) {
        makeRoom();
        disk.crashInto(crashedDisk, ofDisk);
        metadata.crashInto(crashedMetadata, ofMetadata);
        checkCovered(copy, at);
    }

    private void makeRoom() {
        int bytes = own != null ? own.bytes() : disk.size();
        if (crashedDisk.length != bytes || crashedMetadata.length != metadata.size()) {
            crashedDisk = new byte[bytes];
            crashedMetadata = new byte[metadata.size()];
        }
    }

    private void checkCovered(byte[] copy, Position at) {
        // In as much memory as it takes: what is on the disk, and not what is made of it.
        Kept kept =
                recovered(crashedMetadata, PageMemory.of(PageMemory.PAGE_BITS, Long.MAX_VALUE))
                        .kept();
        markGrown(kept);
        PeerCopy peer = kept.peer();
        if (sim.truth().isBefore(at, peer.acknowledged())
                || !at.equals(peer.acknowledged())
                        && sim.truth().isBefore(at, peer.completeFrom())) {
            return; // The handshake sees that, and everything is compared.
        }
        sim.reached(Rare.COVERAGE_CHECKED);
        byte[] mine = crashedDisk;
        for (int b = 0; b < kept.dirty().capacity(); b++) {
            int from = b * BlockSet.BLOCK_BYTES;
            int to = Math.min(from + BlockSet.BLOCK_BYTES, bytes());
            // Behind the end of a smaller copy there is nothing.
            if (to <= copy.length && Arrays.equals(mine, from, to, copy, from, to)) {
                continue;
            }
            if (!kept.dirty().contains(b) && !kept.suspect().contains(b)) {
                throw new Violation(
                        "COV",
                        "block %d differs from the copy at %s and nobody would know: transaction %d, acknowledged %s"
                                .formatted(b, at, kept.transaction(), peer.acknowledged()));
            }
            if (!kept.onDisk().contains(b)) {
                sim.reached(Rare.COVERED_BY_THE_LOG_ALONE);
            }
        }
    }

    // ---- the application
    // -----------------------------------------------------------------------------------------

    /// @param data null for zeroes
    void submit(long id, long offset, int length, byte[] data, boolean punch, boolean sync) {
        outstanding++;
        inFlight++;
        Owner owner = new Owner();
        Op op =
                data == null
                        ? Op.zero(offset, length, punch, owner)
                        : Op.write(offset, length, Held.of(ByteBuffer.wrap(data)), owner);
        Request request = new Request(id, op, data, sync);
        owner.request = request;
        sim.note("submit", id, offset);
        ReplicationState state = primary.state();
        long frozen = primary.figures().frozenBlocks();
        switch (primary.admit(op)) {
            case GO -> later(0, () -> begin(request));
            case PARKED -> {
                sim.note("parked", id, 0);
                sim.reached(Rare.EXTENT_MISSED);
                if (state == ReplicationState.SYNC_SOURCE && frozen == 0) {
                    sim.reached(Rare.WRITE_PARKED_WHILE_FREEZING);
                } else {
                    sim.reached(Rare.WRITE_PARKED_BY_OVERLAP);
                }
                if (scenario.blockOnCongestion() && state == ReplicationState.ESTABLISHED) {
                    sim.reached(Rare.WRITE_WAITS_FOR_ROOM);
                }
            }
            case REFUSED -> {
                inFlight--;
                outstanding--;
            }
        }
    }

    void flush(long id) {
        outstanding++;
        sim.note("flush", id, 0);
        Owner owner = new Owner();
        owner.request = new Request(id, null, null, false);
        syncDisk(
                succeeded -> {
                    if (!succeeded) {
                        syncFailed();
                        return;
                    }
                    if (primary.flushed(owner)) {
                        reply(owner.request);
                    } else {
                        sim.reached(Rare.FLUSH_WAITED_FOR_PEER);
                    }
                });
    }

    @Override
    public void granted(Op op) {
        Request request = ((Owner) op.owner()).request;
        later(0, () -> begin(request));
    }

    @Override
    public void refused(Op op) {
        inFlight--;
        outstanding--;
    }

    private void begin(Request request) {
        List<BlockRun> wanted = request.op.preimages();
        if (wanted.isEmpty()) {
            write(request);
            return;
        }
        sim.reached(Rare.PREIMAGE_CAPTURED);
        sim.note("preimage", request.id, wanted.size());
        readPreimages(request, wanted, 0);
    }

    private void readPreimages(Request request, List<BlockRun> wanted, int next) {
        if (next == wanted.size()) {
            write(request);
            return;
        }
        BlockRun run = wanted.get(next);
        later(
                diskTime(),
                () -> {
                    if (fails(Strike.Fault.LOCAL_READ_EIO)) {
                        sim.reached(Rare.READ_FAILED);
                        diskFailed = true;
                        inFlight--;
                        outstanding--;
                        primary.failed(request.op, "an injected error of a read", true);
                        return;
                    }
                    ByteBuffer data = read(run);
                    if (request.op.preimages().isEmpty()) {
                        sim.reached(Rare.PREIMAGE_DROPPED);
                    }
                    primary.preimage(request.op, run, data);
                    readPreimages(request, wanted, next + 1);
                });
    }

    /// Null when all of it is zero.
    private ByteBuffer read(BlockRun run) {
        int from = (int) run.offsetBytes();
        byte[] bytes = bytes(from, from + run.lengthBytes(bytes()));
        for (byte b : bytes) {
            if (b != 0) {
                return ByteBuffer.wrap(bytes).asReadOnlyBuffer();
            }
        }
        return null;
    }

    private void write(Request request) {
        if (held) {
            heldWrites.add(request);
            return;
        }
        if (own != null && disk == null) {
            Op op = request.op;
            int of = life;
            own.write(
                    op.offsetBytes(),
                    (int) op.lengthBytes(),
                    request.data,
                    op.punch(),
                    () -> {
                        if (of == life) {
                            later(0, () -> written(request));
                        }
                    },
                    () -> {
                        if (of == life) {
                            sim.reached(Rare.PROMOTED_WRITE_FAILED);
                            later(0, () -> failed(request, 0, true));
                        }
                    });
            return;
        }
        onTheirWay.add(request);
        // A write that fails has its block sent as the disk has it. Of a repair that is damage,
        // which the truth does not know: the daemon has what is right in its file then.
        boolean repairs = request.id == REPAIR;
        boolean noSpace = !repairs && fails(Strike.Fault.LOCAL_NO_SPACE);
        boolean fails = noSpace || !repairs && fails(Strike.Fault.LOCAL_EIO);
        later(
                diskTime(),
                () -> {
                    onTheirWay.remove(request);
                    Op op = request.op;
                    int part =
                            fails
                                    ? disk.writePart(
                                            random,
                                            op.offsetBytes(),
                                            (int) op.lengthBytes(),
                                            request.data)
                                    : 0;
                    if (noSpace) {
                        sim.reached(Rare.LOCAL_NO_SPACE);
                    } else if (fails) {
                        diskFailed = true;
                        sim.reached(Rare.DISK_FAILED);
                    } else {
                        disk.write(op.offsetBytes(), (int) op.lengthBytes(), request.data);
                    }
                    later(
                            diskTime() / 2,
                            () -> {
                                if (fails) {
                                    failed(request, part, !noSpace);
                                } else {
                                    written(request);
                                }
                            });
                });
    }

    /// @param part how many bytes of it were written; what a disk holds that has failed is never
    ///   sent
    private void failed(Request request, int part, boolean fatal) {
        inFlight--;
        outstanding--;
        Op op = request.op;
        numbersGivenOut();
        if (part > 0 && !fatal) {
            line.leftPart(
                    new Truth.Change(
                            op.offsetBytes(), part, request.data, sim.agenda().nowNanos()));
        }
        failedWrites = true;
        primary.failed(op, "an injected error", fatal);
        sim.replied();
    }

    /// Before the primary gives out another: the last may be an epoch's.
    private void numbersGivenOut() {
        if (line.givenOut(primary.position().number(), sim.agenda().nowNanos())) {
            sim.reached(Rare.EPOCH_TOOK_A_NUMBER);
        }
    }

    private void written(Request request) {
        inFlight--;
        Op op = request.op;
        numbersGivenOut();
        boolean now = primary.written(op, machine.clock().millis());
        line.numbered(
                op.number(),
                new Truth.Change(
                        op.offsetBytes(),
                        (int) op.lengthBytes(),
                        request.data,
                        sim.agenda().nowNanos()));
        sim.note("written", request.id, op.number());
        if (op.number() % 4 == 0) {
            sim.checkCoverage();
        }
        request.held = !now;
        if (!now) {
            sim.reached(Rare.REPLY_HELD_FOR_PEER);
        }
        if (request.sync) {
            syncDisk(
                    succeeded -> {
                        if (!succeeded) {
                            syncFailed();
                            return;
                        }
                        request.synced = true;
                        if (!request.held) {
                            reply(request);
                        }
                    });
        } else if (now) {
            reply(request);
        }
    }

    @Override
    public void answered(Object waiter) {
        Request request = ((Owner) waiter).request;
        request.held = false;
        if (inSessionDown) {
            sim.reached(Rare.REPLY_RELEASED_BY_LINK_LOSS);
        }
        // C: what is answered while the stream is established is in the peer's journal.
        if (primary.isProtected() && request.op != null) {
            sim.checkProtected(new Position(primary.position().generation(), request.op.number()));
        }
        if (!request.sync || request.synced) {
            reply(request);
        }
    }

    private void reply(Request request) {
        outstanding--;
        sim.note("reply", request.id, 0);
        sim.replied();
    }

    // ---- the session
    // ---------------------------------------------------------------------------------------------

    void sessionUp(SimLink link, SimLink.Pipe to) {
        present = link;
        lastPresent = link;
        out = to;
        stream = 0;
        if (!standalone) {
            join(link);
        }
    }

    /// Whether its session with the peer is on that connection.
    boolean isOn(SimLink which) {
        return link == which;
    }

    private void join(SimLink link) {
        this.link = link;
        credit = scenario.windowBytes();
        greeted = false;
        sentSinceUp.clear();
        noteInterrupted();
        stream++;
        if (durableOrdered > 0) {
            askForRoom(durableOrdered);
        }
        inSessionDown = true;
        said = null;
        primary.sessionUp(link.session() + stream, stream);
        inSessionDown = false;
    }

    /// An operator disconnects this resource alone; the link stays.
    void disconnect() {
        standalone = true;
        if (up && link != null && !stopping) {
            send(new Frame.Refused(Simulation.RESOURCE, DISCONNECTED));
            leave(link);
            sim.reached(Rare.DISCONNECTED_AT_PRIMARY);
        }
    }

    /// The operator connects it again.
    void connect() {
        if (standalone) {
            standalone = false;
            if (up && present != null && !present.isCut() && !stopping) {
                join(present);
                sim.reached(Rare.CONNECTED_AGAIN_ON_ONE_LINK);
            }
        }
    }

    /// @param of only if this is still the session
    void sessionDown(SimLink of) {
        if (present == of) {
            present = null;
        }
        leave(of);
    }

    private void leave(SimLink of) {
        if (up && of != null && link == of) {
            noteInterrupted();
            link = null;
            inSessionDown = true;
            primary.sessionDown();
            inSessionDown = false;
        }
    }

    private void noteInterrupted() {
        switch (primary.state()) {
            case FIRST_SYNC -> sim.reached(Rare.FIRST_SYNC_INTERRUPTED);
            case COMPARE -> sim.reached(Rare.COMPARE_INTERRUPTED);
            case SYNC_SOURCE -> {
                if (primary.figures().frozenBlocks() > 0) {
                    sim.reached(Rare.CUT_MID_EPOCH);
                }
            }
            case ESTABLISHED -> {
                if (primary.verifying() != null) {
                    sim.reached(Rare.VERIFY_INTERRUPTED);
                }
            }
            default -> {}
        }
    }

    void received(SimLink of, List<Frame> frames) {
        for (Frame frame : frames) {
            if (of != link || !up) {
                return;
            }
            switch (frame) {
                case Frame.Credit c when c.stream() != stream -> {}
                case Frame.Credit c -> {
                    credit += c.bytes();
                    wakeSender();
                }
                case Frame.ResizeReply reply -> {
                    sim.note("primary < ResizeReply", reply.sizeBytes(), bytes());
                    if (reply.refusal().isEmpty()) {
                        copyHasRoom((int) reply.sizeBytes());
                    } else {
                        orderAgain();
                    }
                }
                case Frame.OfResource control -> {
                    if (control instanceof Frame.ResourceHello hello
                            && hello.sizeBytes() < bytes()
                            && !Verdict.isPrimary(hello)
                            && durableOrdered == 0) {
                        sim.reached(Rare.COPY_SET_BACK_TO_SMALLER);
                        askForRoom(bytes());
                    }
                    sim.note(
                            "primary < " + frame.getClass().getSimpleName(),
                            FrameCodec.sizeOf(frame),
                            0);
                    inHello = control instanceof Frame.ResourceHello;
                    if (control instanceof Frame.ResourceHello hello && isAtRest(hello)) {
                        peerRests();
                        inHello = false;
                        continue;
                    }
                    if (inHello && primary.state() == ReplicationState.OFF) {
                        sim.reached(Rare.CALLED_BY_BACKUP);
                        join(link); // What was refused may be over: the other side calls.
                        inHello = false;
                        continue;
                    }
                    if (control instanceof Frame.Invalidate) {
                        order(); // Part of the copy cannot be read.
                        if (!primary.isFailed()) {
                            join(link); // Else it goes on with what is buffered (R11).
                        }
                        inHello = false;
                        continue;
                    }
                    if (control instanceof Frame.ResourceHello hello) {
                        if (Verdict.isPrimary(hello) && isStreaming()) {
                            sim.reached(Rare.PROMOTED_UNDER_STREAM);
                            join(link); // Its copy was promoted: there is nothing to stream to.
                        }
                        checkSplit(hello);
                    }
                    Position known = primary.committed();
                    long filled = primary.filled();
                    primary.on(control);
                    lookAtVerified();
                    lookAtMarked();
                    lookAtFetched();
                    if (inHello && !greeted) {
                        greeted = true;
                        greeted();
                        // Whoever is let in has seen all there is to see.
                        setBack &= primary.state() == ReplicationState.OFF;
                        toldUnnoted &= primary.state() == ReplicationState.OFF;
                        if (!Verdict.isPrimary((Frame.ResourceHello) control)) {
                            sim.checkRestored(known, filled);
                        }
                    }
                    inHello = false;
                    sim.check("answer");
                }
                case Frame.Data _ when wasCopy -> {} // It was for the copy.
                default -> throw new IllegalStateException("sent by nobody: " + frame);
            }
        }
    }

    private void greeted() {
        if (commitOpen) {
            sim.reached(Rare.COMMIT_LOST);
            commitOpen = false;
        }
        switch (primary.state()) {
            case ESTABLISHED -> {
                sim.reached(Rare.RESUMED_BY_POSITION);
                if (primary.figures().bufferBytes() > 0) {
                    sim.reached(Rare.RESUMED_WITH_UNSENT_WRITES);
                }
            }
            case COMPARE -> sim.reached(Rare.COMPARE_STARTED);
            default -> {}
        }
    }

    /// A frame of an older session, late.
    void receivedLate(SimLink of, Frame.OfResource frame) {
        if (up && link != null && link != of) {
            sim.note("primary < late " + frame.getClass().getSimpleName(), 0, 0);
            sim.reached(Rare.LATE_FRAME_OF_OLD_SESSION);
            primary.on(frame);
            sim.check("late answer");
        }
    }

    @Override
    public void send(Frame.OfResource frame) {
        if (frame instanceof Frame.Refused refused) {
            sim.refused("primary", refused.reason());
        }
        if (frame instanceof Frame.ResourceHello hello && said == null) {
            numbersGivenOut();
            said = hello;
            saidWrites = line.writes();
        }
        sim.note("primary > " + frame.getClass().getSimpleName(), 0, 0);
        if (link != null) {
            out.send(0, List.of(frame));
        }
    }

    @Override
    public void wakeSender() {
        if (!pumpDue) {
            pumpDue = true;
            later(random.nextLong(20_000), this::pump);
        }
    }

    private void pump() {
        pumpDue = false;
        while (link != null && credit > 0 && out.hasRoom()) {
            List<Frame> batch = new ArrayList<>();
            int most = 1 + random.nextInt(4);
            for (int i = 0; i < most && credit > 0; i++) {
                Frame.Data frame = primary.next();
                if (frame == null) {
                    break;
                }
                sim.note(
                        "primary > " + frame.getClass().getSimpleName(),
                        FrameCodec.sizeOf(frame),
                        credit);
                if (frame instanceof Frame.EpochZero) {
                    sim.reached(Rare.EPOCH_ZERO_SENT);
                }
                mayHaveToldUnnoted |= frame instanceof Frame.Tracked && primary.isFailed();
                if (frame instanceof Frame.EpochBlocks || frame instanceof Frame.EpochZero) {
                    stagedInLife = life;
                    comparedSince = false;
                }
                if (frame instanceof Frame.EpochBlocks b && b.data().remaining() % 4096 != 0) {
                    sim.reached(Rare.SHORT_BLOCK_SENT);
                }
                if (frame instanceof Frame.EpochCommit) {
                    commitOpen = true;
                    numbersGivenOut();
                }
                if (frame instanceof Frame.Verify v) {
                    sim.reached(v.exact() ? Rare.VERIFY_ASKED_EXACTLY : Rare.VERIFY_SCANNED);
                }
                if (frame instanceof Frame.CompareSectors) {
                    sim.reached(Rare.ASKED_ABOUT_SECTORS);
                }
                if (frame instanceof Frame.Compare c) {
                    lookAt(c);
                }
                credit -= FrameCodec.sizeOf(frame);
                sim.sentByPrimary(link, stream, frame);
                batch.add(frame);
            }
            if (batch.isEmpty()) {
                return;
            }
            out.send(stream, batch);
        }
    }

    private void lookAt(Frame.Compare asked) {
        TreeShape shape = new TreeShape(scenario.limits().fanOut());
        if (asked.level() == 0 && asked.lengthBytes() > 4096) {
            sim.reached(Rare.COMPARE_READ_AGAIN);
        } else if (asked.level() < shape.levelOf(asked.lengthBytes())) {
            sim.reached(Rare.COMPARE_WENT_DOWN);
        }
    }

    @Override
    public void wakeReader() {
        // The daemon's shell asks at once, others only when their reader has come round.
        if (!readDue && (!scenario.eagerReader() || primary.wantsRead())) {
            readDue = true;
            later(random.nextLong(20_000), this::readSome);
        }
    }

    private void readSome() {
        readDue = false;
        if (primary.isFailed()) {
            return;
        }
        for (ReadRun run = primary.nextRead(); run != null; run = primary.nextRead()) {
            ReadRun wanted = run;
            reading++;
            if (run.purpose() == ReadRun.Purpose.COMPARE
                    || run.purpose() == ReadRun.Purpose.VERIFY) {
                compare(run, run.newTree());
                continue;
            }
            later(
                    diskTime(),
                    () -> {
                        if (fails(Strike.Fault.LOCAL_READ_EIO)) {
                            reading--;
                            diskFailed = true;
                            sim.reached(Rare.READ_FAILED);
                            primary.readFailed(wanted, "an injected error of a read");
                            return;
                        }
                        // What was read may be old when it is handed over.
                        ByteBuffer data = read(wanted.blocks());
                        long hole = data == null ? holeEnd(wanted) : 0;
                        later(diskTime() / 2, () -> handOver(wanted, data, hole));
                    });
        }
    }

    /// Piece by piece, as the daemon's shell does: writes come between, and holes are not read.
    private void compare(ReadRun run, TreeBuilder tree) {
        if (tree.leftBytes() == 0) {
            reading--;
            primary.digestDone(run, tree.tree());
            return;
        }
        later(
                diskTime(),
                () -> {
                    if (fails(Strike.Fault.LOCAL_READ_EIO)) {
                        reading--;
                        diskFailed = true;
                        sim.reached(Rare.READ_FAILED);
                        primary.readFailed(run, "an injected error of a read");
                        return;
                    }
                    if (!primary.isWanted(run, tree.doneBytes())) {
                        reading--;
                        primary.readDropped(run);
                        return;
                    }
                    int from = (int) (run.blocks().offsetBytes() + tree.doneBytes());
                    int end = from + (int) tree.leftBytes();
                    byte[] rest = bytes(from, end);
                    if (random.nextInt(4) > 0 || tree.zeroes(Tags.zeroes(rest)) == 0) {
                        int most = scenario.limits().runBlocks() * 4096;
                        tree.data(ByteBuffer.wrap(rest, 0, tree.wantedBytes(most)));
                    }
                    later(diskTime() / 2, () -> compare(run, tree));
                });
    }

    /// Where the zeroes around the run end; 0 when the disk does not know that they are a hole.
    private long holeEnd(ReadRun run) {
        if (!run.isGuess() && random.nextInt(4) == 0) {
            return 0;
        }
        BlockRun blocks = run.blocks();
        long end = blocks.offsetBytes() + blocks.lengthBytes(bytes());
        return end + Tags.zeroes(bytes((int) end, bytes()));
    }

    /// @param hole where it ends, 0 when it is none
    private void handOver(ReadRun run, ByteBuffer data, long hole) {
        reading--;
        if (run.purpose() == ReadRun.Purpose.CONFIRM) {
            int from = (int) run.blocks().offsetBytes();
            int end = from + run.blocks().lengthBytes(bytes());
            byte[] now = bytes(from, end);
            primary.confirmed(run, ReadRun.blockDigests(ByteBuffer.wrap(now)));
            lookAtVerified();
            lookAtMarked();
            lookAtFetched();
            return;
        }
        if (run.isGuess()) {
            sim.reached(hole == 0 ? Rare.HOLE_WAS_WRITTEN_TO : Rare.LONG_HOLE_SKIPPED);
            if (hole == 0) {
                primary.readDropped(run);
                return;
            }
        }
        if (data == null && scenario.blank() && run.purpose() == ReadRun.Purpose.FIRST_SYNC) {
            sim.reached(Rare.ZEROES_NOT_SENT_TO_BLANK);
        }
        if (hole > 0) {
            primary.readHole(run, hole);
        } else if (run.isAnswered() && data != null) {
            List<ReadRun.Part> parts = run.partsToSend(data, ByteBuffer::allocate);
            int sent = parts.stream().mapToInt(each -> each.data().remaining()).sum();
            if (sent == 0) {
                sim.reached(Rare.ANSWERED_BLOCKS_EQUAL);
            } else if (sent < data.remaining()) {
                sim.reached(Rare.ANSWERED_BLOCKS_SENT_IN_PART);
            }
            primary.readParts(run, parts);
        } else {
            primary.readDone(run, data);
        }
    }

    // ---- verification
    // --------------------------------------------------------------------------------------------

    /// @param wrong what the copy has wrong now
    /// @param possible what it may come to have wrong
    boolean verify(BitSet wrong, BitSet possible, int uncovered) {
        if (!up || stopping || diskFailed || !primary.verify(machine.clock().millis())) {
            return false;
        }
        verifying = new Verifying(wrong, possible, uncovered);
        return true;
    }

    void mark(String name) {
        long number = up && !stopping && !hasFailed() ? primary.mark(name) : 0;
        if (number != 0) {
            marking.put(number, name);
            sim.marks(name, primary.position());
            sim.note("mark", primary.position().number(), 0);
            sim.reached(Rare.MARKED);
        }
    }

    /// The operator is told only what the backup has said.
    private void lookAtMarked() {
        for (Primary.Marked each : primary.takeMarked()) {
            String name = marking.remove(each.number());
            if (each.end() == Primary.MarkEnd.DURABLE && !sim.isMarkedAtBackup(name)) {
                throw new Violation(
                        "PIT", name + " counts as marked, and the backup has not said so");
            }
        }
    }

    // ---- repair from the copy
    // -------------------------------------------------------------------------------------------

    /// The disk is written past us, at rest.
    ///
    /// @return false if it is the copy of a promotion, and no disk of its own
    boolean damageDisk(RandomGenerator own) {
        if (!up || own() != null || disk == null) {
            return false;
        }
        disk.syncNow(); // What waits for that shares its bytes with the truth.
        for (int i = own.nextInt(3); i >= 0; i--) {
            int sectors = bytes() / SimDisk.SECTOR;
            int first = own.nextInt(sectors);
            int count = 1 + own.nextInt(Math.min(40, sectors - first));
            disk.damage(own, (long) first * SimDisk.SECTOR, count * SimDisk.SECTOR);
        }
        unrepaired = true;
        return true;
    }

    /// Brings the disk to what the copy holds, as the daemon does it: nobody writes meanwhile, and
    /// nothing is written before all is collected.
    void repair() {
        repairing = true;
        collected.clear();
        collect(0);
    }

    /// Whether it is not over yet. When it is, all checks hold again.
    boolean isRepairing() {
        unrepaired &= repairing || outstanding > 0;
        return unrepaired;
    }

    private void collect(long first) {
        long blocks = (bytes() + 4095L) / 4096;
        if (first >= blocks) {
            List<Collected> all = List.copyOf(collected);
            all.forEach(
                    each -> submit(REPAIR, each.offset, each.data.length, each.data, false, false));
            sim.note("repair", all.size(), 0);
            repairing = false;
            return;
        }
        int most = Math.min(32, scenario.limits().runBlocks());
        var run = new BlockRun(first, (int) Math.min(most, blocks - first));
        ByteBuffer ours =
                ByteBuffer.wrap(
                        bytes(
                                (int) run.offsetBytes(),
                                (int) run.offsetBytes() + run.lengthBytes(bytes())));
        fetched = primary.fetch(run, ReadRun.blockDigests(ours.duplicate()));
        fetching = run;
        if (fetched == 0) {
            later(100_000_000L, () -> collect(first));
        }
    }

    private void lookAtFetched() {
        for (Primary.Fetched each : primary.takeFetched()) {
            if (each.number() != fetched) {
                continue;
            }
            BlockRun run = fetching;
            if (!each.trouble().isEmpty()) {
                later(100_000_000L, () -> collect(run.first()));
                continue;
            }
            for (int at = 0; each.data() != null && at < each.data().length; at += 4096) {
                int from = (int) run.offsetBytes() + at;
                byte[] right =
                        Arrays.copyOfRange(
                                each.data(), at, Math.min(at + 4096, each.data().length));
                if (!Arrays.equals(right, bytes(from, from + right.length))) {
                    collected.add(new Collected(from, right));
                }
            }
            later(0, () -> collect(run.end()));
        }
    }

    private record Collected(long offset, byte[] data) {}

    void stopVerify() {
        if (up && primary.stopVerify("an operator stopped it")) {
            sim.reached(Rare.VERIFY_STOPPED);
        }
    }

    boolean isVerifying() {
        return verifying != null;
    }

    /// What the last one found.
    List<BlockRun> reported() {
        return lastReported;
    }

    static BitSet blocks(List<BlockRun> runs) {
        BitSet blocks = new BitSet();
        runs.forEach(each -> blocks.set((int) each.first(), (int) each.end()));
        return blocks;
    }

    /// The copy was damaged meanwhile.
    void damaged(BitSet wrong) {
        if (verifying != null) {
            verifying.possible.or(wrong);
        }
    }

    private void lookAtVerified() {
        Verification.Result result = primary.takeVerified();
        if (result == null) {
            return;
        }
        Verifying was = verifying;
        verifying = null;
        lastReported = result.differing();
        BitSet reported = blocks(result.differing());
        sim.note("verified", reported.cardinality(), result.isWhole() ? 1 : 0);
        if (was != null) {
            sim.checkVerified(result.isWhole(), reported, was.atStart, was.possible, was.uncovered);
            if (result.isWhole()
                    && !reported.isEmpty()
                    && !sim.isHealed()
                    && random.nextBoolean()) {
                later(
                        random.nextLong(2_000_000_000L),
                        () -> {
                            if (!sim.isHealed()) { // Else it would mend what is looked for by then.
                                mend(result.differing());
                            }
                        });
            }
        }
    }

    void mend(List<BlockRun> blocks) {
        if (up && !stopping && !diskFailed) {
            sim.note("mend", primary.mend(blocks), 0);
            sim.reached(Rare.VERIFY_MENDED);
        }
    }

    @Override
    public void event(String kind, String text) {
        sim.event("primary", kind, text);
        switch (kind) {
            case "epoch-extended" -> sim.reached(Rare.EPOCH_EXTENDED);
            case "epoch-voided" -> sim.reached(Rare.EPOCH_VOIDED);
            case "ahead" -> sim.reached(Rare.BUFFER_CLOSED);
            case "paused" -> sim.reached(Rare.PAUSED_FOR_ROOM);
            case "refused" -> sim.refused("primary", text);
            case "epoch-continued" -> {
                if (stagedInLife != life) {
                    sim.reached(Rare.CONTINUED_BY_NEXT_GENERATION);
                }
                if (comparedSince) {
                    sim.reached(Rare.CONTINUED_AFTER_COMPARISON);
                }
            }
            case "union" -> {
                sim.reached(
                        unionWith == sim.backup()
                                ? Rare.DISCARD_BY_UNION_WENT_ON
                                : Rare.DISCARD_BY_UNION);
                unionWith = sim.backup();
            }
            case "compare" -> {
                if (text.contains("gives up what it has")) {
                    sim.reached(Rare.DISCARD_BY_COMPARISON);
                }
            }
            case "compared" -> {
                comparedSince = true;
                if (!text.startsWith("0 ")) {
                    sim.reached(Rare.COMPARE_FOUND_DIFFERENCE);
                }
            }
            case "epoch-committed" -> {
                sim.reached(Rare.EPOCH_COMMITTED);
                commitOpen = false;
                if (inHello) {
                    sim.reached(Rare.COMMIT_ARRIVED_ACK_LOST);
                }
            }
            default -> {}
        }
    }
}
