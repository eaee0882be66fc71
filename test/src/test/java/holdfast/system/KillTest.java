package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/// Two daemons in processes of their own, killed at random moments while blocks are written that
/// say what they are, by fio and by writers that also know their order: the server keeps what it
/// answered, the backup what it acknowledged, and the copy is at every moment what the device was
/// at one, for all writers together. [BackupEndsTest] and [InjectedFaultsTest] choose the calls;
/// this one has what these have not, kills of both at once, and of either while they find each
/// other.
///
/// `-Dholdfast.seed=N` begins with the same seed, `-Dholdfast.kills=M` kills more often.
class KillTest {
    private static final int KILLS = Integer.getInteger("holdfast.kills", 16);
    private static final int WRITERS = 3;
    private static final int BLOCKS_EACH = 1024;
    private static final int WRITERS_BYTES = WRITERS * BLOCKS_EACH * BlockWriter.BLOCK_BYTES;
    private static final int FIO_BYTES = 4 << 20;
    private static final long JOURNAL_BYTES = 32L << 20;
    private static final Set<String> REPLICATING =
            Set.of("ESTABLISHED", "AHEAD", "SYNC_SOURCE", "COMPARE");

    private static final Duration LIMIT = Duration.ofSeconds(60 + 5L * KILLS);

    @TempDir Path dir;

    private final AtomicInteger serverKills = new AtomicInteger();
    private final AtomicInteger backupKills = new AtomicInteger();
    private final Map<String, Integer> states = new ConcurrentHashMap<>();
    private final List<BlockWriter> writers = new ArrayList<>();
    private volatile boolean stop;
    private FioRange fio;
    private int fioRuns;
    private int fioLooks;
    private int looks;
    private int differentPoints;

    @Test
    void noKillCostsAWrongByteOrAManualStep() throws Exception {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        System.out.println("KillTest: seed " + seed);
        NodePaths serverPaths = NodePaths.under(dir.resolve("server"));
        NodePaths backupPaths = NodePaths.under(dir.resolve("backup"));
        int port = Ports.free();
        TwoNodes.make(serverPaths, "[node]\nname = \"server\"\n[buffer]\nsend = \"8 MiB\"\n");
        TwoNodes.make(
                backupPaths,
                "[node]\nname = \"backup\"\n[link]\nlisten = \"127.0.0.1:" + port + "\"\n");
        Path disk = dir.resolve("disk.img");
        Files.write(disk, new byte[WRITERS_BYTES + FIO_BYTES]);
        try (NodeProcess server = new NodeProcess(serverPaths);
                NodeProcess backup = new NodeProcess(backupPaths)) {
            backup.start();
            server.start();
            backup.awaitAnswer();
            server.awaitAnswer();
            setUp(server, backup, port, disk);
            try {
                killAndLook(server, backup, seed);
                TwoNodes.until("in sync", () -> isInSync(server));
                assertTrue(fio.isIntact(uri(server), () -> false), "fio cannot read the export");
                compare(backup, disk);
            } catch (Exception | AssertionError e) {
                throw new AssertionError(
                        "%s%n%s%n-- server%n%s%n-- backup%n%s"
                                .formatted(
                                        e.getMessage(),
                                        states(server, backup),
                                        server.account(),
                                        backup.account()),
                        e);
            }
        }
        report();
    }

    private void setUp(NodeProcess server, NodeProcess backup, int port, Path disk)
            throws Exception {
        backup.api.storage(
                new ControlApi.StorageRequest(dir.resolve("storage").toString(), Optional.empty()));
        ControlApi.InviteReply invitation =
                backup.api.invite(
                        new ControlApi.InviteRequest(
                                Optional.of("127.0.0.1:" + port), Optional.empty()));
        server.api.join(new ControlApi.JoinRequest(invitation.token()));
        TwoNodes.until("connected", () -> server.api.status().link().get().isConnected());
        server.api.add(TwoNodes.addRequest("home", disk, JOURNAL_BYTES));
        server.api.attach(new ControlApi.NameRequest("home"));
        fio = new FioRange(dir.resolve("fio"), WRITERS_BYTES, FIO_BYTES);
        fio.fill(uri(server));
        TwoNodes.until("in sync", () -> isInSync(server));
    }

    private static Path socket(NodeProcess server) {
        return server.paths.run().resolve("home.nbd");
    }

    private static String uri(NodeProcess server) {
        return "nbd+unix:///home?socket=" + socket(server);
    }

    private static boolean isInSync(NodeProcess server) {
        return server.resource("home").filter(KillTest::isInSync).isPresent();
    }

    private static boolean isInSync(StatusReport.Resource home) {
        return home.replication().equals("ESTABLISHED")
                && home.committed().equals(home.position())
                && home.behind().orElseThrow().bytes() == 0;
    }

    private void killAndLook(NodeProcess server, NodeProcess backup, long seed) throws Exception {
        Path socket = socket(server);
        ExecutorService threads = Executors.newCachedThreadPool();
        List<Future<?>> running = new ArrayList<>();
        try {
            for (int i = 0; i < WRITERS; i++) {
                BlockWriter writer = new BlockWriter(i, i * BLOCKS_EACH, BLOCKS_EACH, seed + i);
                writers.add(writer);
                running.add(threads.submit(() -> writer.run(() -> open(socket, "home"))));
            }
            running.add(threads.submit(() -> runFio(server)));
            running.add(threads.submit(() -> watch(server)));
            running.add(threads.submit(() -> look(backup, new Random(seed + 50))));
            Future<?> killer = threads.submit(() -> kill(server, backup, new Random(seed + 100)));
            long end = System.nanoTime() + LIMIT.toNanos();
            while (!killer.isDone()) {
                for (Future<?> each : running) {
                    if (each.isDone()) {
                        each.get();
                        throw new AssertionError("a thread of the test has ended early");
                    }
                }
                assertTrue(System.nanoTime() < end, "the kills take too long");
                LockSupport.parkNanos(20_000_000);
            }
            killer.get();
        } finally {
            stop = true;
            writers.forEach(BlockWriter::stop);
            for (Future<?> each : running) {
                each.get();
            }
            threads.shutdownNow();
        }
    }

    /// Kills one or the other again and again: mostly while they replicate, now and then while they
    /// find each other, or before they are up.
    private Void kill(NodeProcess server, NodeProcess backup, Random random) throws Exception {
        int rounds = 0;
        while (serverKills.get() + backupKills.get() < KILLS && !stop) {
            int dice = random.nextInt(10);
            if (dice < 4) {
                until(server, Set.of("ESTABLISHED"));
                pause(random.nextInt(500));
            } else if (dice < 7) {
                until(server, REPLICATING);
                pause(random.nextInt(500));
            } else {
                pause(random.nextInt(dice < 9 ? 1500 : 500));
            }
            boolean both = ++rounds % 6 == 0;
            boolean one = random.nextBoolean();
            if (both || one) {
                server.kill();
                serverKills.incrementAndGet();
            }
            if (both || !one) {
                backup.kill();
                backupKills.incrementAndGet();
            }
            if (both || one) {
                server.start();
            }
            if (both || !one) {
                backup.start();
            }
        }
        server.awaitAnswer();
        backup.awaitAnswer();
        return null;
    }

    /// Waits a few seconds for one of these states.
    private void until(NodeProcess server, Set<String> states) {
        long deadline = System.nanoTime() + Duration.ofSeconds(6).toNanos();
        while (System.nanoTime() < deadline
                && !stop
                && server.resource("home")
                        .filter(home -> states.contains(home.replication()))
                        .isEmpty()) {
            pause(20);
        }
    }

    /// Begins again whenever the server has been killed.
    private Void runFio(NodeProcess server) throws Exception {
        while (!stop) {
            int kills = serverKills.get();
            try (BlockClient client = open(socket(server), "home")) {
                client.read(0, BlockWriter.BLOCK_BYTES);
            } catch (IOException e) {
                continue;
            }
            fio.write(uri(server), () -> stop || serverKills.get() != kills);
            fioRuns++;
        }
        return null;
    }

    private static void pause(long millis) {
        LockSupport.parkNanos(Duration.ofMillis(millis).toNanos());
    }

    private BlockClient open(Path socket, String export) {
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (true) {
            try {
                return new BlockClient(socket, export);
            } catch (IOException e) {
                if (System.nanoTime() > deadline) {
                    throw new AssertionError("the export does not come back", e);
                }
                LockSupport.parkNanos(20_000_000);
            }
        }
    }

    /// Notes what the backup has acknowledged: all that was answered before a moment at which the
    /// server says that nothing is missing.
    private Void watch(NodeProcess server) {
        while (!stop) {
            long[] answered = writers.stream().mapToLong(BlockWriter::answered).toArray();
            Optional<StatusReport.Resource> home = server.resource("home");
            states.merge(home.map(each -> each.replication()).orElse("away"), 1, Integer::sum);
            if (home.filter(KillTest::isInSync).isPresent()) {
                for (int i = 0; i < answered.length; i++) {
                    writers.get(i).acknowledged(answered[i]);
                }
            }
            pause(30);
        }
        return null;
    }

    // ---- looking at the copy -----------------------------------------------------------------

    private Void look(NodeProcess backup, Random random) throws Exception {
        String last = "";
        while (!stop) {
            pause(random.nextInt(300));
            int kills = backupKills.get();
            long[] floors = writers.stream().mapToLong(BlockWriter::floor).toArray();
            try {
                ControlApi.OpenReply opened =
                        backup.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
                StatusReport.View view = opened.view();
                try (BlockClient image = new BlockClient(Path.of(view.socket()), "home@latest")) {
                    List<BlockWriter.Shown> shown = new ArrayList<>();
                    for (int i = 0; i < writers.size(); i++) {
                        shown.add(writers.get(i).requirePrefix(image, floors[i]));
                    }
                    BlockWriter.requireOneMoment(shown);
                }
                if (fio.isIntact(view.uri(), () -> stop || backupKills.get() != kills)) {
                    fioLooks++;
                }
                looks++;
                if (!view.point().equals(last)) {
                    differentPoints++;
                    last = view.point();
                }
                backup.api.closeView(new ControlApi.CloseRequest(view.id()));
            } catch (IOException | ProblemException e) {
                // It was killed meanwhile, or is not up yet.
                states.merge("no view: " + firstWords(e), 1, Integer::sum);
            }
        }
        return null;
    }

    private static String firstWords(Exception e) {
        String text = String.valueOf(e.getMessage());
        return text.substring(0, Math.min(40, text.length()));
    }

    private static void compare(NodeProcess backup, Path disk) throws Exception {
        ControlApi.OpenReply view =
                backup.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.toString(), view.view().uri());
        backup.api.closeView(new ControlApi.CloseRequest(view.view().id()));
    }

    private String states(NodeProcess... nodes) {
        StringBuilder text = new StringBuilder();
        for (NodeProcess each : nodes) {
            try {
                text.append(each.api.status()).append('\n');
                each.api.events(
                        new ControlApi.EventsRequest(0, false),
                        event -> text.append(event).append('\n'));
            } catch (ProblemException e) {
                text.append(e.getMessage()).append('\n');
            }
        }
        return text.toString();
    }

    private void report() {
        long writes = writers.stream().mapToLong(BlockWriter::writes).sum();
        System.out.printf(
                "KillTest: server killed %d times, backup %d times; %d writes, %d flushes, device checked"
                        + " %d times after a restart, copy opened %d times at %d points; fio ran %d times and"
                        + " read %d copies; states seen %s%n",
                serverKills.get(),
                backupKills.get(),
                writes,
                writers.stream().mapToLong(BlockWriter::flushes).sum(),
                writers.stream().mapToLong(BlockWriter::incarnations).sum(),
                looks,
                differentPoints,
                fioRuns,
                fioLooks,
                new TreeMap<>(states));
        assertTrue(serverKills.get() + backupKills.get() >= KILLS, "too few kills");
        assertTrue(writes > 2000, "only " + writes + " writes");
        assertTrue(looks >= 10, "only " + looks + " looks");
        // On a busy host the two are out of step for most of the time.
        assertTrue(
                differentPoints >= Math.max(1, KILLS / 16),
                "only " + differentPoints + " moments were looked at");
        assertTrue(fioRuns >= KILLS / 8, "fio ran only " + fioRuns + " times");
        assertTrue(fioLooks >= 5, "fio read only " + fioLooks + " copies");
    }
}
