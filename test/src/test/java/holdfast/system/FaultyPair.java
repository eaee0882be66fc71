package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.net.SocketException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// A server and its backup in processes of their own, each behind a [FaultyDisk], with two
/// resources: `home`, whose files are harmed, and `other`, which must never notice.
final class FaultyPair implements AutoCloseable {
    private static final long DEVICE_BYTES = 16L << 20;
    private static final long FIO_BYTES = 1L << 20;
    private static final long OTHER_BYTES = 1L << 20;

    /// The smallest there is: a quarter of it is rolled forward at a time.
    private static final long JOURNAL_BYTES = 16L << 20;

    /// 16 runs of blocks in each of 4 extents, the last of which fio has a part of.
    private static final int BLOCKS = 224;

    private static final int STRIDE_BLOCKS = 64;

    /// One of the two daemons.
    static final class Node {
        final NodeProcess process;
        final FaultyDisk disk;

        private Node(NodePaths paths, FaultyDisk disk) {
            this.process = new NodeProcess(paths, disk.environment());
            this.disk = disk;
        }

        private Optional<StatusReport.Resource> resource(String name) {
            return process.resource(name);
        }
    }

    final Node server;
    final Node backup;
    private final Path dir;
    private final Path device;
    private final Path otherDevice;
    private final LoggedRange range;
    private final FioRange fio;
    private final TreeMap<String, Integer> seen = new TreeMap<>();

    private static final Pattern FAILING =
            Pattern.compile("(reads|writes) of clients fail, (\\d+) since");

    /// Before the blow.
    private Map<String, Long> failing = Map.of();

    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final Operator operator;
    private final KeptMoments kept;
    private Load load;
    private int fioRate = 500;
    private boolean fioIsTorn;
    private int otherWrites;
    private int looks;
    private int fioLooks;

    /// @param protocol of `home`, A or C
    FaultyPair(Path dir, Path library, String protocol, Random random) throws Exception {
        this(dir, library, protocol, false, random);
    }

    /// @param backupDials whichever is started more often: it dials at once, and is not waited for
    FaultyPair(Path dir, Path library, String protocol, boolean backupDials, Random random)
            throws Exception {
        this.dir = Files.createDirectories(dir);
        this.device = dir.resolve("home.disk");
        this.otherDevice = dir.resolve("other.disk");
        this.range = new LoggedRange(BLOCKS, STRIDE_BLOCKS, random);
        this.fio = new FioRange(dir.resolve("fio"), DEVICE_BYTES - FIO_BYTES, FIO_BYTES);
        NodePaths serverPaths = NodePaths.under(dir.resolve("server"));
        NodePaths backupPaths = NodePaths.under(dir.resolve("backup"));
        int port = Ports.free();
        String listen = "[link]\nlisten = \"127.0.0.1:" + port + "\"\n";
        TwoNodes.make(
                serverPaths,
                "[node]\nname = \"server\"\n[buffer]\nsend = \"1 MiB\"\n"
                        + (backupDials ? listen : ""));
        TwoNodes.make(backupPaths, "[node]\nname = \"backup\"\n" + (backupDials ? "" : listen));
        server = new Node(serverPaths, new FaultyDisk(library, dir.resolve("server.faults"), dir));
        backup = new Node(backupPaths, new FaultyDisk(library, dir.resolve("backup.faults"), dir));
        operator = new Operator(List.of(server.process, backup.process), this::count);
        kept = new KeptMoments(backup.process, new Random(random.nextLong()), this::count);
        makeSparse(device, DEVICE_BYTES);
        makeSparse(otherDevice, OTHER_BYTES);
        try {
            setUp(port, protocol, backupDials);
        } catch (Exception | AssertionError e) {
            close();
            throw e;
        }
    }

    private static void makeSparse(Path path, long bytes) throws IOException {
        try (FileChannel file =
                FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.wrap(new byte[1]), bytes - 1);
        }
    }

    private void setUp(int port, String protocol, boolean backupDials) throws Exception {
        backup.process.start();
        server.process.start();
        backup.process.awaitAnswer();
        server.process.awaitAnswer();
        backup.process.api.storage(
                new ControlApi.StorageRequest(dir.resolve("storage").toString(), Optional.empty()));
        Node listens = backupDials ? server : backup;
        Node dials = backupDials ? backup : server;
        ControlApi.InviteReply invitation =
                listens.process.api.invite(
                        new ControlApi.InviteRequest(
                                Optional.of("127.0.0.1:" + port), Optional.empty()));
        dials.process.api.join(new ControlApi.JoinRequest(invitation.token()));
        TwoNodes.until("connected", () -> server.process.api.status().link().get().isConnected());
        add("home", device, protocol);
        add("other", otherDevice, "A");
        fio.fill(uri());
        awaitInSync();
        assertTrue(server.disk.seen() > 0 && backup.disk.seen() > 0, "the library sees no call");
    }

    private void add(String name, Path disk, String protocol) throws Exception {
        server.process.api.add(
                new ControlApi.AddRequest(
                        name,
                        disk.toString(),
                        Optional.empty(),
                        Optional.of(protocol),
                        Optional.of(JOURNAL_BYTES),
                        false));
        server.process.api.attach(new ControlApi.NameRequest(name));
    }

    private Path socket(String name) {
        return server.process.paths.run().resolve(name + ".nbd");
    }

    private String uri() {
        return "nbd+unix:///home?socket=" + socket("home");
    }

    private synchronized void count(String what) {
        seen.merge(what, 1, Integer::sum);
    }

    // ---- one run -----------------------------------------------------------------------------

    /// Strikes once, looks what is left, heals, and looks again.
    ///
    /// @return false when the call did not come within the time
    boolean run(Blow blow) throws Exception {
        Node struck = blow.atServer() ? server : backup;
        int stepsBefore = operator.steps();
        int comparisonsBefore = operator.comparisons();
        boolean came;
        Instant armed;
        boolean isHard = blow.moment() == Blow.Moment.CATCHING_UP; // Its outage is short.
        range.pause(isHard ? 1 : 3);
        fioRate = isHard ? 500 : 150;
        try (Load now = new Load()) {
            load = now;
            blow.prepare().accept(this);
            failing = failing(struck);
            armed = Instant.now();
            struck.disk.arm(blow.kind(), blow.calls(), blow.pattern(), blow.nth(), blow.seed());
            blow.meanwhile().accept(this);
            came = await(struck, blow);
            if (came) {
                pause(blow.afterMillis());
            }
        }
        struck.disk.disarm();
        came |= struck.disk.hasStruck(); // It may have come while the load ended.
        if (came && blow.kind().endsTheProcess()) {
            assertTrue(struck.process.hasEnded(), "the process did not end");
        }
        fioIsTorn = came && blow.mayTear();
        if (came) {
            requireOtherUntouched();
            look(blow);
            requireTold(blow, struck, armed);
            end(blow, struck);
        }
        heal(blow, came);
        kept.requireAll(came && blow.mayDamageKept());
        kept.dropAll();
        if (blow.isRolling()) {
            kept.rollAtOnce(false);
        }
        judge(came && blow.mayLoseWrites());
        if (came && operator.steps() > stepsBefore && !blow.mayNeedHands()) {
            throw new AssertionError("somebody had to do something");
        }
        // A disk that fails just when the link is back tells what it cannot note any more.
        if (operator.comparisons() > comparisonsBefore && !(came && blow.failsAsTheLinkIsBack())) {
            throw new AssertionError("somebody had to say which side counts");
        }
        return came;
    }

    private static boolean await(Node struck, Blow blow) {
        long deadline = System.nanoTime() + blow.patience().toNanos();
        while (!struck.disk.hasStruck()) {
            if (System.nanoTime() > deadline || !blow.isAtStart() && !struck.process.isAlive()) {
                return struck.disk.hasStruck();
            }
            LockSupport.parkNanos(2_000_000);
        }
        return true;
    }

    /// @param position as status says it, like `3fa901/1234`
    private record Mark(String position, int answered) {
        boolean isIn(String committed) {
            int at = position.indexOf('/') + 1;
            return at > 0
                    && committed.startsWith(position.substring(0, at))
                    && Long.parseLong(committed, at, committed.length(), 10)
                            >= Long.parseLong(position, at, position.length(), 10);
        }
    }

    /// The application, and somebody who notes what the backup has acknowledged.
    private final class Load implements AutoCloseable {
        private volatile boolean stop;
        private final Future<?> writer = threads.submit(this::write);
        private final Future<?> fioRun = threads.submit(this::runFio);
        private final Future<?> watcher = threads.submit(this::watch);

        private Void write() throws Exception {
            while (!stop) {
                try (BlockClient client = new BlockClient(socket("home"), "home")) {
                    String why = range.write(client, () -> stop);
                    if (!why.isEmpty()) {
                        return null; // What became of this one must be looked at first.
                    }
                } catch (IOException e) {
                    LockSupport.parkNanos(5_000_000);
                }
            }
            return null;
        }

        private Void runFio() throws Exception {
            while (!stop && !server.process.isAlive()) {
                LockSupport.parkNanos(5_000_000);
            }
            if (Files.exists(socket("home"))) {
                fio.write(uri(), fioRate, () -> stop || !server.process.isAlive());
            }
            return null;
        }

        /// What was answered before a moment at which the server was at a position is in the copy
        /// once the backup has acknowledged that position.
        private Void watch() {
            ArrayDeque<Mark> marks = new ArrayDeque<>();
            while (!stop) {
                int answered = range.answered();
                Optional<StatusReport.Resource> home = server.resource("home");
                count(home.map(StatusReport.Resource::replication).orElse("away"));
                if (home.isPresent()) {
                    marks.add(new Mark(home.get().position(), answered));
                    String committed = home.get().committed();
                    while (!marks.isEmpty() && marks.peek().isIn(committed)) {
                        range.acknowledged(marks.remove().answered());
                    }
                }
                LockSupport.parkNanos(150_000_000); // Each answer costs a daemon milliseconds.
            }
            return null;
        }

        @Override
        public void close() throws Exception {
            stop = true;
            writer.get();
            fioRun.get();
            watcher.get();
        }
    }

    /// While one resource is down, the other is written and replicated.
    void requireOtherUntouched() throws Exception {
        if (!server.process.isAlive()) {
            return;
        }
        server.process.awaitAnswer();
        writeOther();
        if (backup.process.isAlive()) {
            TwoNodes.until("the other one is in sync", () -> isInSync("other"));
        }
    }

    private void writeOther() {
        ByteBuffer data = ByteBuffer.allocate(512).putInt(++otherWrites).rewind();
        TwoNodes.until(
                "the other one is written",
                () -> {
                    try (BlockClient client = new BlockClient(socket("other"), "other")) {
                        client.write(otherWrites % 2048 * 512L, data, true);
                        return true;
                    } catch (SocketException e) {
                        return false; // A daemon that starts is not there yet.
                    }
                });
    }

    /// The copy as it can be opened now is the device of one moment.
    private void look(Blow blow) throws Exception {
        if (!backup.process.isAlive()) {
            return;
        }
        // What the device has lost in a detach its copy loses soon after the next attach.
        boolean mayBeMended =
                blow.mayLoseWrites()
                        && blow.moment() == Blow.Moment.ATTACHING
                        && server.process.isAlive()
                        && server.resource("home").filter(FaultyPair::isExported).isPresent();
        if (mayBeMended && blow.seed() % 2 == 0) {
            awaitInSync();
        }
        ControlApi.OpenReply opened;
        try {
            opened = backup.process.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
        } catch (ProblemException e) {
            if (!blow.mayNeedHands() || blow.atServer()) {
                throw new AssertionError("the copy cannot be opened", e);
            }
            count("no view: " + Operator.words(e));
            return;
        }
        try (BlockClient image = new BlockClient(Path.of(opened.view().socket()), "home@latest")) {
            requireMoment(image, mayBeMended);
            looks++;
        }
        if (looks % 3 == 0 && !fioIsTorn && fio.isIntact(opened.view().uri(), () -> false)) {
            fioLooks++;
        }
        backup.process.api.closeView(new ControlApi.CloseRequest(opened.view().id()));
    }

    private void requireMoment(BlockClient image, boolean mayBeMended) throws IOException {
        if (!mayBeMended) {
            range.requireMoment(image);
            return;
        }
        try (BlockClient now = new BlockClient(socket("home"), "home")) {
            range.requireMomentOr(image, now);
        }
    }

    /// What has failed is an event where it has failed, also when nobody looks at the status.
    private void requireTold(Blow blow, Node struck, Instant since) {
        Set<String> any = blow.tells();
        if (!any.isEmpty()) {
            NodeProcess.until(
                    "one of %s tells of %s".formatted(any, blow),
                    () ->
                            !Collections.disjoint(any, struck.process.kindsSince("home", since))
                                    || saysThatMoreFail(any, struck),
                    struck.process);
        }
    }

    /// What goes on from a blow before is no new event, but it is one more.
    private boolean saysThatMoreFail(Set<String> any, Node struck) {
        Map<String, Long> now = failing(struck);
        return any.contains("no-space") && isMore("writes", now)
                || any.contains("read-error") && isMore("reads", now);
    }

    private boolean isMore(String what, Map<String, Long> now) {
        return now.getOrDefault(what, 0L) > failing.getOrDefault(what, 0L);
    }

    /// How many requests of clients fail, as status says.
    private static Map<String, Long> failing(Node node) {
        Map<String, Long> counts = new HashMap<>();
        String words = node.resource("home").flatMap(StatusReport.Resource::trouble).orElse("");
        Matcher each = FAILING.matcher(words);
        while (each.find()) {
            counts.put(each.group(1), Long.parseLong(each.group(2)));
        }
        return counts;
    }

    /// A failure is not always the end of it.
    private void end(Blow blow, Node struck) throws Exception {
        if (struck.process.isAlive() && blow.end() != Blow.End.NONE) {
            struck.disk.end(blow.end() == Blow.End.POWER_CUT, blow.seed());
            assertTrue(struck.process.hasEnded(), "the process did not end");
        }
    }

    /// The same of a copy that is written to meanwhile, by a server that has kept its word.
    void requireCopy() throws Exception {
        int least = range.floor();
        StatusReport.View view =
                backup.process
                        .api
                        .open(new ControlApi.OpenRequest("home", Optional.empty()))
                        .view();
        try (BlockClient image = new BlockClient(Path.of(view.socket()), "home@latest")) {
            range.requireMoment(image, least);
            looks++;
        }
        if (looks % 4 == 0 && fio.isIntact(view.uri(), () -> false)) {
            fioLooks++;
        }
        backup.process.api.closeView(new ControlApi.CloseRequest(view.id()));
    }

    // ---- healing -----------------------------------------------------------------------------

    private void heal(Blow blow, boolean came) throws Exception {
        boolean powerFailed = blow.kind().cutsThePower() || blow.end() == Blow.End.POWER_CUT;
        if (came
                && !blow.atServer()
                && !backup.process.isAlive()
                && (powerFailed || blow.seed() % 4 == 0)) {
            lookAtWhatTheBackupKept(blow);
        }
        for (Node each : new Node[] {backup, server}) {
            if (!each.process.isAlive()) {
                each.disk.reset();
                each.process.start();
            }
        }
        server.process.awaitAnswer();
        backup.process.awaitAnswer();
        if (blow.moment() == Blow.Moment.CATCHING_UP) {
            order(true, "connect"); // It may have been struck before that was ordered.
        }
        awaitInSync();
    }

    /// Without the server there is nobody to mend the copy.
    private void lookAtWhatTheBackupKept(Blow blow) throws Exception {
        server.disk.end(false, blow.seed());
        assertTrue(server.process.hasEnded(), "the process did not end");
        backup.disk.reset();
        backup.process.start();
        backup.process.awaitAnswer();
        TwoNodes.until("the backup is open", () -> backup.resource("home").isPresent());
        look(blow);
        if (!Operator.isOut(backup.resource("home").orElseThrow())) {
            kept.requireAll(blow.mayDamageKept());
        }
        count("copy opened without the server");
    }

    void awaitInSync() {
        TwoNodes.until(
                "in sync",
                () -> {
                    operator.doWhatIsAskedFor();
                    return isInSync("home", "other");
                });
    }

    private boolean isInSync(String... names) {
        try {
            StatusReport said = server.process.api.status();
            return Stream.of(names)
                    .allMatch(each -> said.resource(each).filter(FaultyPair::isInSync).isPresent());
        } catch (ProblemException e) {
            return false; // The daemon is away.
        }
    }

    private static boolean isInSync(StatusReport.Resource of) {
        return of.replication().equals("ESTABLISHED")
                && of.disk().equals("UP_TO_DATE")
                && of.committed().equals(of.position())
                && of.behind().orElseThrow().bytes() == 0;
    }

    private static boolean isExported(StatusReport.Resource of) {
        return of.export().isPresent();
    }

    void judge(boolean mayHaveLostWrites) throws Exception {
        try (BlockClient client = new BlockClient(socket("home"), "home")) {
            client.flush(); // What is there now counts as durable from now on.
            range.requireKept(client, mayHaveLostWrites);
        }
        compare("home", device);
        if (fioIsTorn) {
            fio.fill(uri());
            awaitInSync();
            fioIsTorn = false;
        } else if (looks % 4 == 0) {
            assertTrue(fio.isIntact(uri(), () -> false), "fio cannot read the export");
        }
    }

    void compareOther() throws Exception {
        compare("other", otherDevice);
    }

    private void compare(String name, Path disk) throws Exception {
        StatusReport.View view =
                backup.process.api.open(new ControlApi.OpenRequest(name, Optional.empty())).view();
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.toString(), view.uri());
        backup.process.api.closeView(new ControlApi.CloseRequest(view.id()));
    }

    // ---- what a blow may need ------------------------------------------------------------------

    void kill(boolean theServer, long seed) throws Exception {
        Node node = theServer ? server : backup;
        node.disk.end(false, seed);
        assertTrue(node.process.hasEnded(), "the process did not end");
        node.disk.reset();
    }

    void start(boolean theServer) throws IOException {
        (theServer ? server : backup).process.start();
    }

    void order(boolean theServer, String verb) {
        Operator.order((theServer ? server : backup).process, verb, this::count);
    }

    /// The moments that are kept while the load goes on, see [KeptMoments].
    KeptMoments kept() {
        return kept;
    }

    /// The application works from now on, until [#endLoad]: gently, so that the copy keeps up.
    void writeOn() {
        fioRate = 50;
        gently();
        load = new Load();
    }

    /// An outage fits into the send buffer.
    void gently() {
        range.pause(8);
    }

    /// More than the send buffer holds, within half a second.
    void hard() {
        range.pause(1);
    }

    /// Until what is written goes straight into the copy.
    void awaitStream() {
        TwoNodes.until("the stream is established", () -> isEstablishedSoon());
    }

    private boolean isEstablishedSoon() {
        if (server.resource("home").filter(FaultyPair::isEstablished).isPresent()) {
            return true;
        }
        pause(40); // Each answer costs a daemon milliseconds.
        return false;
    }

    private static boolean isEstablished(StatusReport.Resource of) {
        return of.replication().equals("ESTABLISHED");
    }

    /// How many orders somebody had to type so far.
    int steps() {
        return operator.steps();
    }

    void endLoad() throws Exception {
        load.close();
        TwoNodes.until("nobody uses it", () -> isUnused());
    }

    private boolean isUnused() {
        return server.resource("home")
                .flatMap(StatusReport.Resource::export)
                .filter(export -> export.clients() == 0)
                .isPresent();
    }

    /// The application goes on.
    void pause(long millis) {
        LockSupport.parkNanos(millis * 1_000_000);
    }

    String summary() {
        return "%d writes, copy opened %d times and read by fio %d times, %d orders typed, seen %s"
                .formatted(range.writes(), looks, fioLooks, operator.steps(), seen);
    }

    String account() {
        StringBuilder text = new StringBuilder();
        for (Node each : new Node[] {server, backup}) {
            text.append(each.process.account());
        }
        return text.toString();
    }

    @Override
    public void close() throws InterruptedException {
        if (load != null) {
            load.stop = true;
        }
        threads.shutdownNow();
        server.process.close();
        backup.process.close();
    }
}
