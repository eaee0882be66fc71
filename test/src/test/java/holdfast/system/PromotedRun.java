package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;
import holdfast.system.PromoteFaultsTest.End;
import holdfast.system.PromoteFaultsTest.Fault;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.Stream;

/// One promotion of a [SavedCopy] behind a [FaultyDisk], from its first command to a plain disk.
final class PromotedRun implements FaultRun {
    private static final int BLOCKS = 64;
    private static final int STRIDE_BLOCKS = 128;
    private static final int MORE_WRITES = 10;
    private static final long STRIKE_NANOS = 6_000_000_000L;

    /// Before another moment is chosen; all of it stays in the journal.
    private static final int WRITES_BEFORE = 100;

    private final SavedCopy saved;
    private final Path dir;
    private final Fault fault;
    private final Consumer<String> notes;
    private final SavedCopy.Moment another;
    private final FaultyDisk disk;
    private final NodeProcess node;
    private final Operator operator;
    private final Random random;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private volatile boolean stop;

    /// What the device goes on from, and what was written since.
    private SavedCopy.Moment chosen;

    private LoggedRange range;

    /// When the writer of before had ended, and what the device was then; null while nothing else
    /// was chosen.
    private SavedCopy.Moment before;

    /// Whether the command to go on from `another` was answered: then it holds.
    private boolean chosenAgain;

    /// Whether the command was answered: then it holds.
    private boolean promoted;

    /// Whether the command to make it final was given: its device may be a plain disk.
    private boolean finalAsked;

    PromotedRun(SavedCopy saved, Path dir, Path library, Fault fault, Consumer<String> notes)
            throws Exception {
        this.random = new Random(fault.seed());
        this.saved = saved;
        this.dir = Files.createDirectories(dir);
        this.fault = fault;
        this.notes = notes;
        int newest = saved.moments().size() - 1;
        int first = fault.older() ? random.nextInt(newest) : newest;
        this.chosen = saved.moments().get(first);
        this.another =
                saved.moments().get((first + 1 + random.nextInt(newest)) % saved.moments().size());
        this.disk = new FaultyDisk(library, dir.resolve("faults"), dir);
        this.node = saved.copyTo(dir, disk.environment());
        this.operator = new Operator(List.of(node), notes);
        this.range = new LoggedRange(BLOCKS, STRIDE_BLOCKS, random);
    }

    @Override
    public boolean play() throws Exception {
        start();
        awaitSteady();
        boolean came = strike();
        notes.accept(promoted ? "promotion answered" : "promotion not answered");
        if (came && fault.kind().endsTheProcess()) {
            assertTrue(node.hasEnded(), "the process did not end");
        }
        if (came && fault.end() != End.NONE && node.isAlive()) {
            disk.end(fault.end() == End.POWER_CUT, fault.seed());
            assertTrue(node.hasEnded(), "the process did not end");
        }
        if (!node.isAlive()) {
            start();
        }
        awaitSteady();
        if (home().role().equals("SECONDARY")) {
            assertTrue(!promoted, "it was promoted, and is a copy again");
            notes.accept("a copy still");
            requireMoments();
            promote();
        }
        if (before != null) {
            goOnFromAnother(came);
        }
        requireWhole(came && fault.mayLoseUnflushed());
        writeMore();
        makeFinal();
        if (came && fault.mayLeaveTheOldRole() && !isBaseAlone()) {
            assertTrue(node.account().contains("deleted at the next start"), "nobody was told");
            notes.accept("the next start deletes the rest");
            kill();
            start();
            awaitSteady();
        }
        requireBaseAlone();
        assertTrue(
                !came || operator.steps() == 0 || fault.mayNeedHands(),
                "somebody had to do something");
        return came;
    }

    // ---- the strike --------------------------------------------------------------------------

    private boolean strike() throws Exception {
        switch (fault.stage()) {
            case PROMOTING -> {
                arm();
                tryToPromote();
            }
            case STARTING -> {
                promote();
                arm(() -> kill());
            }
            case WRITING -> {
                promote();
                Future<String> writer = write();
                arm();
                awaitStrike(null);
                endWriter(writer);
            }
            case FINAL -> {
                promote();
                Future<String> writer = write();
                LockSupport.parkNanos(150_000_000);
                arm();
                awaitStrike(threads.submit(this::tryToMakeFinal));
                endWriter(writer);
            }
            case AGAIN -> {
                promoteAndWrite();
                arm();
                tryAnother();
            }
            case STARTING_AGAIN -> {
                promoteAndWrite();
                // The journal has the choice, and its role cannot be written.
                disk.arm(FaultyDisk.Kind.IO_ERROR, FaultyDisk.WRITE, "resources/home~2/", 1, 0);
                tryAnother();
                assertTrue(disk.hasStruck() && !chosenAgain, "the role was written");
                chosenAgain = true;
                arm(() -> kill());
            }
            case STARTING_FINAL -> {
                promote();
                Future<String> writer = write();
                Future<?> asked = threads.submit(this::tryToMakeFinal);
                LockSupport.parkNanos((fault.seed() & 127) * 1_000_000);
                kill();
                asked.get();
                endWriter(writer);
                arm(() -> {});
            }
            case DISCARDING, STARTING_DISCARDING ->
                    throw new IllegalStateException("it is another run's: " + fault);
        }
        boolean came = disk.hasStruck();
        disk.disarm();
        return came || disk.hasStruck();
    }

    private void promoteAndWrite() throws Exception {
        promote();
        stop = false;
        Future<String> writer = write();
        TwoNodes.until("some was written", () -> range.writes() > WRITES_BEFORE || writer.isDone());
        endWriter(writer);
        LockSupport.parkNanos(5_000_000); // The clock is in milliseconds.
        try (BlockClient client = client()) {
            client.flush(); // So that none of it is lost, whatever strikes.
            before =
                    new SavedCopy.Moment(
                            Instant.now(), KeptMoments.digest(client, 0, SavedCopy.DEVICE_BYTES));
        }
        LockSupport.parkNanos(5_000_000);
    }

    /// The device is what it was, or the other moment; that one if it was answered. Either way it
    /// can be gone on from, and what was written before can be opened.
    private void goOnFromAnother(boolean came) throws Exception {
        String now;
        try (BlockClient client = client()) {
            now = KeptMoments.digest(client, SavedCopy.CONTENT_FROM, SavedCopy.DEVICE_BYTES);
        }
        if (now.equals(chosen.digest())) {
            assertTrue(!chosenAgain, "another moment was chosen, and it is the one of before");
            notes.accept("the moment of before still");
            requireWhole(false);
            operator.doWhatIsAskedFor();
            chooseAnother();
        }
        chosen = another;
        range = new LoggedRange(BLOCKS, STRIDE_BLOCKS, random);
        assertEquals(
                before.digest(),
                KeptMoments.digest(node, Optional.of(before.at().toString()), 0),
                "what was written before another moment was chosen is another image");
        notes.accept(came ? "another moment chosen" : "another moment chosen, unstruck");
    }

    private void chooseAnother() throws ProblemException {
        Optional<String> at = Optional.of(another.at().toString());
        String confirm =
                node.api
                        .promote(
                                new ControlApi.PromoteRequest(
                                        "home", at, false, false, true, Optional.empty()))
                        .confirm()
                        .orElseThrow();
        ControlApi.PromoteReply reply =
                node.api.promote(
                        new ControlApi.PromoteRequest(
                                "home", at, false, false, false, Optional.of(confirm)));
        chosenAgain = reply.done();
    }

    private void tryAnother() {
        try {
            chooseAnother();
        } catch (ProblemException e) {
            notes.accept("promote --at: " + Operator.words(e));
        }
    }

    private void arm() {
        disk.arm(fault.kind(), fault.calls(), fault.pattern(), fault.nth(), fault.seed());
    }

    private interface Deed {
        void run() throws Exception;
    }

    /// Strikes in the next start.
    private void arm(Deed before) throws Exception {
        before.run();
        disk.reset();
        arm();
        node.start();
        long deadline = System.nanoTime() + 10 * STRIKE_NANOS;
        while (node.isAlive()
                && !disk.hasStruck()
                && node.resource("home").isEmpty()
                && System.nanoTime() < deadline) {
            LockSupport.parkNanos(5_000_000);
        }
        if (disk.hasStruck() && fault.kind().endsTheProcess()) {
            assertTrue(node.hasEnded(), "the process did not end");
        }
    }

    /// @param until it is done without being struck; null for never
    private void awaitStrike(Future<?> until) {
        long deadline = System.nanoTime() + STRIKE_NANOS;
        while (!disk.hasStruck()
                && (until == null || !until.isDone())
                && node.isAlive()
                && System.nanoTime() < deadline) {
            LockSupport.parkNanos(2_000_000);
        }
        LockSupport.parkNanos((fault.seed() & 63) * 1_000_000);
    }

    private void kill() throws Exception {
        disk.end(false, fault.seed());
        assertTrue(node.hasEnded(), "the process did not end");
    }

    private void start() throws IOException {
        disk.reset();
        node.start();
        node.awaitAnswer();
    }

    /// The application.
    private Future<String> write() {
        return threads.submit(
                () -> {
                    try (BlockClient client = client()) {
                        return range.write(client, () -> stop);
                    } catch (IOException e) {
                        return String.valueOf(e.getMessage());
                    }
                });
    }

    private void endWriter(Future<String> writer) throws Exception {
        stop = true;
        writer.get();
    }

    private BlockClient client() throws IOException {
        return new BlockClient(TwoProcesses.socket(node, "home"), "home");
    }

    // ---- commands ----------------------------------------------------------------------------

    private void promote() throws ProblemException {
        Optional<String> at =
                chosen == saved.moments().getLast()
                        ? Optional.empty()
                        : Optional.of(chosen.at().toString());
        node.api.promote(new ControlApi.PromoteRequest("home", at, false, false));
        promoted = true;
    }

    private void tryToPromote() {
        try {
            promote();
        } catch (ProblemException e) {
            notes.accept("promote: " + Operator.words(e));
        }
    }

    private boolean tryToMakeFinal() {
        finalAsked = true;
        try {
            node.api.promote(new ControlApi.PromoteRequest("home", Optional.empty(), false, true));
            return true;
        } catch (ProblemException e) {
            if (e.getMessage().contains("no promotion")) {
                return true;
            }
            notes.accept("promote --commit: " + Operator.words(e));
            return false;
        }
    }

    private void makeFinal() {
        NodeProcess.until(
                "it is final",
                () -> {
                    operator.doWhatIsAskedFor();
                    return tryToMakeFinal();
                },
                node);
    }

    // ---- what is looked at -------------------------------------------------------------------

    private StatusReport.Resource home() {
        return node.resource("home").orElseThrow();
    }

    private void awaitSteady() {
        NodeProcess.until(
                "it is a copy that can be opened, or exported",
                () -> {
                    operator.doWhatIsAskedFor();
                    return node.resource("home").filter(PromotedRun::isSteady).isPresent();
                },
                node);
    }

    private static boolean isSteady(StatusReport.Resource of) {
        return !Operator.isOut(of) && (of.role().equals("SECONDARY") || of.export().isPresent());
    }

    private void requireMoments() throws Exception {
        for (SavedCopy.Moment each : saved.moments()) {
            assertEquals(
                    each.digest(),
                    KeptMoments.digest(
                            node, Optional.of(each.at().toString()), SavedCopy.CONTENT_FROM),
                    () -> "another image of " + each.at());
        }
    }

    /// The device is the chosen moment and what was written since: a beginning of that, as long as
    /// it cannot be a plain disk.
    private void requireWhole(boolean unflushedMayBeLost) throws IOException {
        try (BlockClient client = client()) {
            client.flush(); // What is there now counts as durable from now on.
            assertEquals(
                    chosen.digest(),
                    KeptMoments.digest(client, SavedCopy.CONTENT_FROM, SavedCopy.DEVICE_BYTES),
                    "it does not go on from the moment that was chosen");
            if (finalAsked) {
                range.requireKept(client, unflushedMayBeLost);
            } else {
                range.requireKeptInOrder(client, unflushedMayBeLost);
            }
        }
    }

    /// It takes writes, or says what is to be typed before it does.
    private void writeMore() {
        NodeProcess.until(
                "it takes writes",
                () -> {
                    awaitSteady();
                    long until = range.writes() + MORE_WRITES;
                    String why;
                    try (BlockClient client = client()) {
                        why = range.write(client, () -> range.writes() >= until);
                        if (why.isEmpty()) {
                            client.flush();
                        }
                    } catch (IOException e) {
                        why = String.valueOf(e.getMessage());
                    }
                    if (!why.isEmpty()) {
                        notes.accept("write: " + why);
                        awaitSteady();
                        requireWhole(fault.mayLoseUnflushed());
                    }
                    return why.isEmpty();
                },
                node);
    }

    /// All is in the base, nothing of the copy is left beside it, and it is attached again.
    private void requireBaseAlone() throws Exception {
        requireWhole(false);
        List<String> roles = names(node.paths.state().resolve("resources"));
        assertEquals(1, roles.size(), roles::toString);
        assertTrue(
                roles.getFirst().matches(before == null ? "home~1" : "home~[2-9]"),
                roles::toString);
        assertEquals(List.of("home.img"), names(dir.resolve("storage")));
        Path base = dir.resolve("storage/home.img");
        Run.ok(
                "qemu-img",
                "compare",
                "-f",
                "raw",
                "-F",
                "raw",
                "nbd+unix:///home?socket=" + TwoProcesses.socket(node, "home"),
                base.toString());
        node.api.detach(new ControlApi.NameRequest("home"));
        node.api.attach(new ControlApi.NameRequest("home"));
        requireWhole(false);
    }

    private boolean isBaseAlone() throws IOException {
        return names(node.paths.state().resolve("resources")).size() == 1
                && names(dir.resolve("storage")).size() == 1;
    }

    private static List<String> names(Path of) throws IOException {
        try (Stream<Path> files = Files.list(of)) {
            return List.copyOf(
                    new TreeSet<>(files.map(each -> each.getFileName().toString()).toList()));
        }
    }

    @Override
    public String account() {
        return node.account();
    }

    @Override
    public void close() throws InterruptedException {
        stop = true;
        threads.shutdownNow();
        if (node.isAlive()) {
            node.kill(); // Nothing of it is used again.
        }
    }
}
