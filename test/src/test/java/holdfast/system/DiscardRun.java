package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.daemon.Daemon;
import holdfast.replicator.status.StatusReport;
import holdfast.system.PromoteFaultsTest.End;
import holdfast.system.PromoteFaultsTest.Fault;
import holdfast.system.PromoteFaultsTest.Stage;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.Stream;

/// One of the two histories of a [SavedFork] is given up: the server's, by a daemon behind a
/// [FaultyDisk], for what the backup has, whose daemon runs in this process and nothing happens to
/// it. In the end the server is the backup's copy, and what it had can be opened.
final class DiscardRun implements FaultRun {
    private static final int WRITES = 8;
    private static final long STRIKE_NANOS = 6_000_000_000L;

    /// Syncs of an order, of which one cuts off what is started again: from about where the journal
    /// has its space to where what is given up has its name.
    private static final int CUT_FROM = 26;

    private static final int CUT_SYNCS = 20;

    private final Path dir;
    private final Fault fault;
    private final Consumer<String> notes;
    private final Random random;
    private final FaultyDisk disk;
    private final NodeProcess loser;
    private final Operator operator;
    private final Daemon winner;

    /// What the loser is before the order.
    private String lost;

    /// What the winner is.
    private String wins;

    /// Whether the order was answered: then it holds.
    private boolean givenUp;

    DiscardRun(SavedFork saved, Path dir, Path library, Fault fault, Consumer<String> notes)
            throws Exception {
        this.random = new Random(fault.seed());
        this.dir = Files.createDirectories(dir);
        this.fault = fault;
        this.notes = notes;
        this.disk = new FaultyDisk(library, dir.resolve("faults"), dir);
        saved.copyTo(dir);
        this.loser = new NodeProcess(SavedFork.server(dir), disk.environment());
        this.operator = new Operator(List.of(loser), notes);
        this.winner = Daemon.start(SavedFork.backup(dir));
    }

    @Override
    public boolean play() throws Exception {
        start();
        until("both stand apart", () -> isApart(loser.resource("home")) && isApart(atWinner()));
        lost = writeAndDigest(SavedFork.client(loser.paths));
        wins = writeAndDigest(SavedFork.client(SavedFork.backup(dir)));
        boolean came = strike();
        notes.accept(givenUp ? "order answered" : "order not answered");
        if (came && fault.kind().endsTheProcess()) {
            assertTrue(loser.hasEnded(), "the process did not end");
        }
        if (came && fault.end() != End.NONE && loser.isAlive()) {
            kill(fault.end() == End.POWER_CUT);
        }
        if (!loser.isAlive()) {
            start();
        }
        until("it is open", () -> isOpen());
        if (home().role().equals("PRIMARY")) {
            assertTrue(!givenUp, "it was given up, and is primary again");
            notes.accept("a primary still");
            requireUnchanged();
            until("it is given up", () -> isGivenUpNow());
        }
        awaitInSync();
        requireKept();
        requireNothingElse();
        goOn();
        assertTrue(
                !came || operator.steps() == 0 || fault.mayNeedHands(),
                "somebody had to do something");
        return came;
    }

    // ---- the strike --------------------------------------------------------------------------

    private boolean strike() throws Exception {
        if (fault.stage() == Stage.STARTING_DISCARDING) {
            disk.arm(
                    FaultyDisk.Kind.KILL_AFTER,
                    FaultyDisk.SYNC,
                    "/",
                    CUT_FROM + random.nextInt(CUT_SYNCS),
                    fault.seed());
            giveUp();
            if (loser.isAlive() && !disk.hasStruck()) {
                kill(false);
            }
            assertTrue(loser.hasEnded(), "the process did not end");
            notes.accept("cut off at " + disk.where().replace(dir.toString(), ""));
            disk.reset();
            arm();
            loser.start();
            awaitStrike();
        } else {
            arm();
            giveUp();
        }
        boolean came = disk.hasStruck();
        disk.disarm();
        return came || disk.hasStruck();
    }

    private void arm() {
        disk.arm(fault.kind(), fault.calls(), fault.pattern(), fault.nth(), fault.seed());
    }

    private void awaitStrike() {
        long deadline = System.nanoTime() + 10 * STRIKE_NANOS;
        while (loser.isAlive()
                && !disk.hasStruck()
                && loser.resource("home").isEmpty()
                && System.nanoTime() < deadline) {
            LockSupport.parkNanos(5_000_000);
        }
    }

    private void kill(boolean power) throws Exception {
        disk.end(power, fault.seed());
        assertTrue(loser.hasEnded(), "the process did not end");
    }

    private void start() throws IOException {
        disk.reset();
        loser.start();
        loser.awaitAnswer();
    }

    private boolean giveUp() {
        try {
            String confirm =
                    loser.api
                            .reconnect(
                                    new ControlApi.ReconnectRequest(
                                            "home", Optional.empty(), Optional.empty()))
                            .confirm();
            loser.api.reconnect(
                    new ControlApi.ReconnectRequest(
                            "home", Optional.of("server"), Optional.of(confirm)));
            givenUp = true;
            return true;
        } catch (ProblemException e) {
            notes.accept("reconnect --discard: " + Operator.words(e));
            return false;
        }
    }

    /// As soon as the peer has said what it has.
    private boolean isGivenUpNow() {
        return giveUp()
                || loser.resource("home").filter(of -> of.role().equals("SECONDARY")).isPresent();
    }

    // ---- what is looked at -------------------------------------------------------------------

    private StatusReport.Resource home() {
        return loser.resource("home").orElseThrow();
    }

    private Optional<StatusReport.Resource> atWinner() {
        return winner.status().resource("home");
    }

    private static boolean isApart(Optional<StatusReport.Resource> of) {
        return of.filter(each -> each.export().isPresent())
                .flatMap(StatusReport.Resource::trouble)
                .filter(text -> text.contains("both sides are primary"))
                .isPresent();
    }

    private String writeAndDigest(BlockClient client) throws IOException {
        try (client) {
            SavedFork.write(client, WRITES, random);
            return KeptMoments.digest(client, 0, SavedFork.DEVICE_BYTES);
        }
    }

    /// A disk that has failed waits for somebody; a primary does not, for the order comes again.
    private boolean isOpen() throws Exception {
        Optional<StatusReport.Resource> of = loser.resource("home");
        if (of.isEmpty() || of.get().role().equals("SECONDARY")) {
            operator.doWhatIsAskedFor();
        }
        return of.isPresent() && (of.get().role().equals("PRIMARY") || !Operator.isOut(of.get()));
    }

    /// The order has not come about: nothing is lost of it, and no room.
    private void requireUnchanged() throws Exception {
        until("it is attached", () -> isAttached());
        try (BlockClient client = SavedFork.client(loser.paths)) {
            assertEquals(lost, KeptMoments.digest(client, 0, SavedFork.DEVICE_BYTES), "its device");
        }
        assertEquals(List.of("home"), names(loser.paths.state().resolve("resources")));
        assertEquals(List.of(), names(SavedFork.storage(dir)));
        until("both stand apart", () -> isApart(loser.resource("home")) && isApart(atWinner()));
    }

    private boolean isAttached() throws Exception {
        StatusReport.Resource of = home();
        if (of.export().isEmpty()) {
            Operator.order(loser, "attach", notes);
        } else if (of.disk().equals("FAILED")) {
            operator.doWhatIsAskedFor();
        }
        return of.export().isPresent() && !Operator.isOut(of);
    }

    /// When the winner says so for the first time, they are equal.
    private void awaitInSync() throws Exception {
        until(
                "in sync",
                () -> {
                    operator.doWhatIsAskedFor();
                    return atWinner().filter(TwoProcesses::isInSync).isPresent();
                });
        assertEquals(
                wins,
                KeptMoments.digest(loser, Optional.of("latest"), 0),
                "it is said to be what the winner has");
    }

    private void requireKept() throws Exception {
        List<ControlApi.Kept> kept = loser.api.points(new ControlApi.NameRequest("home")).kept();
        assertEquals(1, kept.size(), kept::toString);
        assertTrue(kept.getFirst().as().startsWith("discarded-"), kept::toString);
        assertEquals(
                lost, KeptMoments.digest(loser, Optional.of(kept.getFirst().as()), 0), "the loser");
    }

    private void requireNothingElse() throws IOException {
        List<String> roles = names(loser.paths.state().resolve("resources"));
        assertTrue(roles.size() == 1 && roles.getFirst().startsWith("home~"), roles::toString);
        List<String> files = names(SavedFork.storage(dir));
        assertTrue(
                files.size() == 2
                        && files.get(0).endsWith(".journal")
                        && files.get(1).endsWith(".pins"),
                files::toString);
    }

    private static List<String> names(Path of) throws IOException {
        try (Stream<Path> files = Files.list(of)) {
            return files.map(each -> each.getFileName().toString()).sorted().toList();
        }
    }

    /// It is an ordinary copy.
    private void goOn() throws Exception {
        wins = writeAndDigest(SavedFork.client(SavedFork.backup(dir)));
        awaitInSync();
    }

    private void until(String what, TwoNodes.Check check) {
        NodeProcess.until(what, check, loser);
    }

    @Override
    public String account() {
        return "%s%nthe winner: %s%n".formatted(loser.account(), winner.status());
    }

    @Override
    public void close() throws InterruptedException {
        winner.close();
        if (loser.isAlive()) {
            loser.kill(); // Nothing of it is used again.
        }
    }
}
