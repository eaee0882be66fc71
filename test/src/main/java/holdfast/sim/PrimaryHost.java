package holdfast.sim;

import holdfast.checksum.TreeBuilder;
import holdfast.checksum.TreeShape;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Budget;
import holdfast.replicator.state.Held;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.Op;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.PrimaryEffects;
import holdfast.replicator.state.ReadRun;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Transaction;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.random.RandomGenerator;

/// The primary's machine: [Primary] with a disk and a superblock, doing what the daemon's shell
/// does, one small step at a time, so that a crash may fall between any two.
final class PrimaryHost implements PrimaryEffects {
    static final String DISCONNECTED = "disconnected by an operator";
    private static final UUID NODE = new UUID(1, 1);

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

    private final Simulation sim;
    private final Scenario scenario;
    private final RandomGenerator random;
    private final SimDisk disk;
    private final Budget budget;

    private final SimDisk metadata;
    private final MetadataLayout layout;
    private final byte[] crashedDisk;
    private final byte[] crashedMetadata;

    // The superblock; each change of it is atomic.
    private Ancestry durableAncestry = Ancestry.EMPTY;
    private boolean durableClean;
    private Position durableEnd = Position.NONE;

    private int life;
    private long startedNanos;
    private Primary primary;
    private boolean up;
    private boolean stopping;
    private SimLink link;

    /// The link that is there, also while this resource does not use it.
    private SimLink present;

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

    private final List<Request> onTheirWay = new ArrayList<>();
    private final ArrayDeque<Frame> sentSinceUp = new ArrayDeque<>();
    private long slowUntil;
    private Strike.Fault next;
    private long frozenUntil;
    private boolean diskFailed;
    private boolean inSessionDown;
    private boolean inHello;
    private boolean greeted;
    private boolean commitOpen;

    PrimaryHost(Simulation sim, Scenario scenario, RandomGenerator random) {
        this.sim = sim;
        this.scenario = scenario;
        this.random = random;
        disk = new SimDisk(scenario.deviceBytes());
        budget = Budget.of(scenario.budgetBytes());
        if (scenario.startsFilled()) {
            int half = scenario.deviceBytes() / 2 / 512 * 512;
            disk.write(0, half, Tags.content(-2, 0, half));
            disk.syncNow();
        }
        layout =
                new MetadataLayout(
                        Simulation.RESOURCE,
                        scenario.deviceBytes(),
                        scenario.limits().extentBlocks(),
                        RECORD_SLOTS);
        metadata = new SimDisk(Math.toIntExact(layout.fileBytes()));
        crashedDisk = new byte[disk.size()];
        crashedMetadata = new byte[metadata.size()];
        put(layout.record(MetadataLayout.first(Transaction.Blank.MISSING, 1, Position.NONE, 0)));
        metadata.syncNow();
    }

    private void put(MetadataLayout.Piece piece) {
        metadata.write(piece.offsetBytes(), piece.data());
    }

    // ---- life
    // ----------------------------------------------------------------------------------------------------

    void start() {
        life++;
        startedNanos = sim.agenda().nowNanos();
        if (life >= 9) { // An end counts as well.
            sim.reached(Rare.FIFTH_GENERATION);
        }
        boolean first = durableAncestry.entries().isEmpty();
        Ancestry.Reason crashedOrNot =
                durableClean ? Ancestry.Reason.ATTACH : Ancestry.Reason.CRASH;
        Ancestry.Reason reason = first ? Ancestry.Reason.CREATE : crashedOrNot;
        Position parent =
                switch (reason) {
                    case CREATE -> Position.NONE;
                    case ATTACH -> durableEnd;
                    default -> new Position(durableAncestry.generation(), 0);
                };
        metadata.syncNow();
        MetadataLayout.Recovered found = recovered(metadata.now());
        if (found.damage() != null) {
            sim.event("primary", "metadata-damaged", found.damage());
        }
        long generation = random.nextLong() | 1;
        durableAncestry =
                durableAncestry.plus(
                        new Ancestry.Entry(generation, parent, reason, NODE, sim.primaryMillis()));
        Primary.Attached attached = new Primary.Attached(durableAncestry, found.kept());
        durableClean = false;
        sim.truth().begin(generation, disk.now());
        primary =
                new Primary(
                        new Primary.Config(
                                Simulation.RESOURCE,
                                scenario.deviceBytes(),
                                scenario.protocolC(),
                                scenario.blockOnCongestion(),
                                scenario.limits()),
                        attached,
                        budget,
                        this);
        up = true;
        stopping = false;
        endOfStop = null;
        outstanding = 0;
        inFlight = 0;
        reading = 0;
        keeping = false;
        keeperDue = false;
        tick(life);
        sim.note("primary starts", generation, reason.ordinal());
    }

    /// @param power whether the power is cut; else the process alone is killed and the kernel keeps
    ///   what was written
    void crash(boolean power) {
        if (!up) {
            return;
        }
        sim.reached(power ? Rare.PRIMARY_POWER_CUT : Rare.PRIMARY_KILLED);
        noteCrash();
        for (Request request : onTheirWay) {
            if (random.nextBoolean()) {
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
        byte[] before = disk.now().clone();
        if (power) {
            disk.powerCut(random, Math.min(scenario.cutFate(), 2));
            metadata.powerCut(random, Math.min(scenario.cutFate(), 2));
        }
        if (!Arrays.equals(before, disk.now())) {
            sim.reached(Rare.PRIMARY_CRASH_LOST_WRITES);
        }
        gone();
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
        life++;
        primary = null;
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
        if (!up || stopping || diskFailed) {
            return;
        }
        stopping = true;
        drain(0, then);
    }

    private void drain(int rounds, Runnable then) {
        if (diskFailed) {
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
                    if (inFlight > 0 || reading > 0 || keeping) {
                        drain(rounds + 1, then);
                        return;
                    }
                    Position end = primary.position();
                    if (primary.figures().bufferBytes() > 0) {
                        sim.reached(Rare.STOPPED_WITH_BUFFERED_WRITES);
                    }
                    primary.detach();
                    if (primary.figures().dirtyBlocks() > 0) {
                        sim.reached(Rare.STOPPED_WITH_DIRTY_BLOCKS);
                    }
                    if (!Arrays.equals(disk.now(), sim.truth().image())) {
                        throw new Violation(
                                "LOC",
                                "the disk is not the image of its writes in order: "
                                        + SimDisk.describe(sim.truth().image(), disk.now(), 8));
                    }
                    keepNext(
                            () -> {
                                durableEnd = end;
                                durableClean = true;
                                sim.reached(Rare.PRIMARY_RESTARTED_CLEANLY);
                                gone();
                                then.run();
                            });
                    endOfStop = then;
                });
    }

    boolean isUp() {
        return up;
    }

    boolean isStopping() {
        return stopping;
    }

    Primary primary() {
        return primary;
    }

    boolean isDiskFailed() {
        return diskFailed;
    }

    int outstanding() {
        return outstanding;
    }

    byte[] image() {
        return disk.now();
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

    private boolean fails(Strike.Fault fault) {
        if (next != fault) {
            return false;
        }
        next = null;
        return true;
    }

    /// @return whether it failed: then what it covered looks clean and may be lost (R11)
    private boolean synced(long mark) {
        if (!fails(Strike.Fault.LOCAL_SYNC_EIO)) {
            disk.synced(mark);
            return true;
        }
        disk.syncFailed(mark, random);
        sim.reached(Rare.LOCAL_SYNC_FAILED);
        return false;
    }

    private void syncFailed() {
        diskFailed = true;
        outstanding--;
        primary.diskFailed("an injected error of a sync");
    }

    private void tick(int of) {
        sim.agenda()
                .in(
                        100_000_000L,
                        () -> {
                            if (of == life) {
                                primary.tick(sim.agenda().nowNanos(), sim.primaryMillis());
                                sim.checkBudget(primary.figures().bufferBytes());
                                tick(of);
                            }
                        });
    }

    // ---- what is durable
    // -----------------------------------------------------------------------------------------

    private MetadataLayout.Recovered recovered(byte[] from) {
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
                    });
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
        long mark = disk.sync();
        later(
                diskTime(),
                () -> {
                    if (synced(mark)) {
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
                    put(layout.record(next));
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
            disk.dropClean();
            metadata.dropClean();
            endOfStop.run();
            return;
        }
        primary.transactionFailed("an injected error of a sync");
        diskFailed = primary.isFailed();
    }

    /// What would be known if the power failed now (COV): each block in which the disk then differs
    /// from the copy is among it.
    ///
    /// @param copy image of the copy, which stands at `at`
    void checkCoverage(RandomGenerator cut, byte[] copy, Position at) {
        disk.crashInto(crashedDisk, cut, cut.nextInt(3));
        metadata.crashInto(crashedMetadata, cut, cut.nextInt(3));
        checkCovered(copy, at);
    }

    SimDisk disk() {
        return disk;
    }

    SimDisk metadata() {
        return metadata;
    }

    /// The same for one power cut.
    void checkCoverage(SimDisk.Cut ofDisk, SimDisk.Cut ofMetadata, byte[] copy, Position at) {
        disk.crashInto(crashedDisk, ofDisk);
        metadata.crashInto(crashedMetadata, ofMetadata);
        checkCovered(copy, at);
    }

    private void checkCovered(byte[] copy, Position at) {
        Kept kept = recovered(crashedMetadata).kept();
        if (sim.truth().isBefore(at, kept.acknowledged())) {
            return; // The handshake sees that, and everything is compared.
        }
        sim.reached(Rare.COVERAGE_CHECKED);
        byte[] mine = crashedDisk;
        for (int b = 0; b < kept.dirty().capacity(); b++) {
            int from = b * BlockSet.BLOCK_BYTES;
            int to = Math.min(from + BlockSet.BLOCK_BYTES, mine.length);
            if (Arrays.equals(mine, from, to, copy, from, to)) {
                continue;
            }
            if (!kept.dirty().contains(b) && !kept.suspect().contains(b)) {
                throw new Violation(
                        "COV",
                        "block %d differs from the copy at %s and nobody would know: transaction %d, acknowledged %s"
                                .formatted(b, at, kept.transaction(), kept.acknowledged()));
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
        long mark = disk.sync();
        later(
                diskTime(),
                () -> {
                    if (!synced(mark)) {
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
        byte[] bytes =
                Arrays.copyOfRange(
                        disk.now(), from, from + run.lengthBytes(scenario.deviceBytes()));
        for (byte b : bytes) {
            if (b != 0) {
                return ByteBuffer.wrap(bytes).asReadOnlyBuffer();
            }
        }
        return null;
    }

    private void write(Request request) {
        onTheirWay.add(request);
        boolean noSpace = fails(Strike.Fault.LOCAL_NO_SPACE);
        boolean fails = noSpace || fails(Strike.Fault.LOCAL_EIO);
        later(
                diskTime(),
                () -> {
                    onTheirWay.remove(request);
                    Op op = request.op;
                    if (noSpace) {
                        // Nothing of it arrived.
                        sim.reached(Rare.LOCAL_NO_SPACE);
                    } else if (fails) {
                        disk.writePart(
                                random, op.offsetBytes(), (int) op.lengthBytes(), request.data);
                        diskFailed = true;
                        sim.reached(Rare.DISK_FAILED);
                    } else {
                        disk.write(op.offsetBytes(), (int) op.lengthBytes(), request.data);
                    }
                    later(
                            diskTime() / 2,
                            () -> {
                                if (fails) {
                                    inFlight--;
                                    outstanding--;
                                    primary.failed(op, "an injected error", !noSpace);
                                    sim.replied();
                                } else {
                                    written(request);
                                }
                            });
                });
    }

    private void written(Request request) {
        inFlight--;
        Op op = request.op;
        boolean now = primary.written(op, sim.primaryMillis());
        sim.truth()
                .numbered(
                        op.number(),
                        new Truth.Change(
                                op.offsetBytes(),
                                (int) op.lengthBytes(),
                                request.data,
                                sim.primaryMillis()));
        sim.note("written", request.id, op.number());
        if (op.number() % 4 == 0) {
            sim.checkCoverage();
        }
        request.held = !now;
        if (!now) {
            sim.reached(Rare.REPLY_HELD_FOR_PEER);
        }
        if (request.sync) {
            long mark = disk.sync();
            later(
                    diskTime(),
                    () -> {
                        if (!synced(mark)) {
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

    void sessionUp(SimLink link) {
        present = link;
        stream = 0;
        if (!standalone) {
            join(link);
        }
    }

    private void join(SimLink link) {
        this.link = link;
        credit = scenario.windowBytes();
        greeted = false;
        sentSinceUp.clear();
        noteInterrupted();
        stream++;
        inSessionDown = true;
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
                case Frame.OfResource control -> {
                    sim.note(
                            "primary < " + frame.getClass().getSimpleName(),
                            FrameCodec.sizeOf(frame),
                            0);
                    inHello = control instanceof Frame.ResourceHello;
                    if (inHello && primary.state() == ReplicationState.OFF) {
                        sim.reached(Rare.CALLED_BY_BACKUP);
                        join(link); // What was refused may be over: the other side calls.
                        inHello = false;
                        continue;
                    }
                    Position known = primary.committed();
                    primary.on(control);
                    if (inHello && !greeted) {
                        greeted = true;
                        greeted();
                        sim.checkRestored(known);
                    }
                    inHello = false;
                    sim.check("answer");
                }
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
    void receivedLate(Frame.OfResource frame) {
        if (up && link != null) {
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
        sim.note("primary > " + frame.getClass().getSimpleName(), 0, 0);
        if (link != null) {
            link.toBackup().send(0, List.of(frame));
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
        while (link != null && credit > 0 && link.toBackup().hasRoom()) {
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
                if (frame instanceof Frame.EpochBlocks b && b.data().remaining() % 4096 != 0) {
                    sim.reached(Rare.SHORT_BLOCK_SENT);
                }
                commitOpen |= frame instanceof Frame.EpochCommit;
                if (frame instanceof Frame.Compare c) {
                    lookAt(c);
                }
                credit -= FrameCodec.sizeOf(frame);
                batch.add(frame);
            }
            if (batch.isEmpty()) {
                return;
            }
            link.toBackup().send(stream, batch);
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
            if (run.purpose() == ReadRun.Purpose.COMPARE) {
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
                        later(diskTime() / 2, () -> handOver(wanted, data));
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
                    byte[] rest = Arrays.copyOfRange(disk.now(), from, end);
                    if (random.nextInt(4) > 0 || tree.zeroes(Tags.zeroes(rest)) == 0) {
                        int most = scenario.limits().runBlocks() * 4096;
                        tree.data(ByteBuffer.wrap(rest, 0, tree.wantedBytes(most)));
                    }
                    later(diskTime() / 2, () -> compare(run, tree));
                });
    }

    private void handOver(ReadRun run, ByteBuffer data) {
        reading--;
        if (data == null && scenario.blank() && run.purpose() == ReadRun.Purpose.FIRST_SYNC) {
            sim.reached(Rare.ZEROES_NOT_SENT_TO_BLANK);
        }
        primary.readDone(run, data);
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
            case "compared" -> {
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
