package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
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
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;

/// A database with its log on another disk, in small: a number goes to volume 0 and is flushed,
/// then to volume 1, and so on, each depending on the answer for the other. Whatever is killed and
/// wherever the line is cut meanwhile, every copy that is opened has either the same number in
/// both, or that of volume 0 is one ahead; and so has the device itself after a kill.
class VolumeOrderTest {
    private static final int KILLS = 5;
    private static final int MIB = 1 << 20;
    private static final int BLOCK = 4096;

    /// Behind the first segment of volume 0, which has grown.
    private static final long DATA_AT = 9L * MIB;

    private static final long LOG_AT = 3L * MIB;
    private static final Duration LIMIT = Duration.ofMinutes(3);

    @TempDir Path dir;

    private final Map<String, Integer> seen = new ConcurrentHashMap<>();
    private volatile boolean stop;
    private volatile long answered;
    private int looks;
    private int pastLooks;
    private long newest;

    /// Which number volume 1 had at the moments that were looked at.
    private final TreeMap<Instant, Long> known = new TreeMap<>();

    private int ahead;

    @Test
    void everyPointHasTheVolumesInTheOrderTheyWereWrittenIn() throws Exception {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        System.out.println("VolumeOrderTest: seed " + seed);
        NodePaths serverPaths = NodePaths.under(dir.resolve("server"));
        NodePaths backupPaths = NodePaths.under(dir.resolve("backup"));
        int port = Ports.free();
        // A small buffer, so that epochs carry what the line is too slow for.
        TwoNodes.make(serverPaths, "[node]\nname = \"server\"\n[buffer]\nsend = \"1 MiB\"\n");
        TwoNodes.make(
                backupPaths,
                "[node]\nname = \"backup\"\n[link]\nlisten = \"127.0.0.1:" + port + "\"\n");
        List<Path> disks = List.of(dir.resolve("data.img"), dir.resolve("log.img"));
        Files.write(disks.get(0), new byte[6 * MIB]);
        Files.write(disks.get(1), new byte[8 * MIB]);
        try (ToxicLink line = new ToxicLink(dir.resolve("toxiproxy.log"), port, seed);
                NodeProcess server = new NodeProcess(serverPaths);
                NodeProcess backup = new NodeProcess(backupPaths)) {
            backup.start();
            server.start();
            backup.awaitAnswer();
            server.awaitAnswer();
            setUp(server, backup, line.port, disks);
            try {
                run(server, backup, line, seed);
                line.heal();
                TwoNodes.until("in sync", () -> isInSync(server));
                compare(backup, disks);
            } catch (Exception | AssertionError e) {
                throw new AssertionError(
                        "%s%n-- server%n%s%n-- backup%n%s"
                                .formatted(e.getMessage(), server.account(), backup.account()),
                        e);
            }
            System.out.printf(
                    "VolumeOrderTest: %d numbers, %d copies opened, %d of them of the past, %d with volume 0 ahead, %s; line %s%n",
                    answered, looks, pastLooks, ahead, new TreeMap<>(seen), line.counts());
        }
        assertTrue(answered > 100, "only " + answered + " numbers");
        assertTrue(looks >= 10, "only " + looks + " looks");
        assertTrue(pastLooks >= 3, "only " + pastLooks + " looks at the past");
    }

    private void setUp(NodeProcess server, NodeProcess backup, int port, List<Path> disks)
            throws Exception {
        backup.api.storage(
                new ControlApi.StorageRequest(dir.resolve("storage").toString(), Optional.empty()));
        ControlApi.InviteReply invitation =
                backup.api.invite(
                        new ControlApi.InviteRequest(
                                Optional.of("127.0.0.1:" + port), Optional.empty()));
        server.api.join(new ControlApi.JoinRequest(invitation.token()));
        TwoNodes.until("connected", () -> server.api.status().link().get().isConnected());
        server.api.add(
                new ControlApi.AddRequest(
                        "db",
                        disks.stream().map(Path::toString).toList(),
                        Optional.empty(),
                        Optional.empty(),
                        Optional.of(32L * MIB),
                        false));
        server.api.attach(new ControlApi.NameRequest("db"));
        TwoNodes.until("in sync", () -> isInSync(server));
        try (var file = new RandomAccessFile(disks.get(0).toFile(), "rw")) {
            file.setLength(12 * MIB);
        }
        server.api.resize(new ControlApi.NameRequest("db"));
        TwoNodes.until("in sync", () -> isInSync(server));
    }

    private static boolean isInSync(NodeProcess server) {
        return server.resource("db")
                .filter(
                        db ->
                                db.replication().equals("ESTABLISHED")
                                        && db.committed().equals(db.position())
                                        && db.behind().orElseThrow().bytes() == 0)
                .isPresent();
    }

    private void run(NodeProcess server, NodeProcess backup, ToxicLink line, long seed)
            throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        List<Future<?>> running = new ArrayList<>();
        try {
            running.add(threads.submit(() -> write(server, new Random(seed + 1))));
            running.add(threads.submit(() -> look(backup, new Random(seed + 2))));
            running.add(threads.submit(() -> disturb(line, new Random(seed + 3))));
            Random random = new Random(seed + 4);
            long end = System.nanoTime() + LIMIT.toNanos();
            for (int i = 0; i < KILLS; i++) {
                long until = System.nanoTime() + (500L + random.nextInt(1000)) * 1_000_000;
                while (System.nanoTime() < until) {
                    requireRunning(running);
                    LockSupport.parkNanos(20_000_000);
                }
                assertTrue(System.nanoTime() < end, "the kills take too long");
                NodeProcess node = random.nextBoolean() ? server : backup;
                node.kill();
                node.start();
            }
            server.awaitAnswer();
            backup.awaitAnswer();
            long goal = answered + 20;
            TwoNodes.until(
                    "it is written again",
                    () -> {
                        requireRunning(running);
                        return answered > goal;
                    });
        } finally {
            stop = true;
            for (Future<?> each : running) {
                each.get();
            }
            threads.shutdownNow();
        }
    }

    private static void requireRunning(List<Future<?>> running) throws Exception {
        for (Future<?> each : running) {
            if (each.isDone()) {
                each.get();
                throw new AssertionError("a thread of the test has ended early");
            }
        }
    }

    private Void disturb(ToxicLink line, Random random) throws Exception {
        while (!stop) {
            line.change();
            LockSupport.parkNanos((200L + random.nextInt(800)) * 1_000_000);
        }
        return null;
    }

    // ---- the numbers -------------------------------------------------------------------------

    private Void write(NodeProcess server, Random random) throws Exception {
        Path socket = server.paths.run().resolve("db.nbd");
        while (!stop) {
            try (BlockClient data = new BlockClient(socket, "db");
                    BlockClient log = new BlockClient(socket, "db/1")) {
                long number = requireOrder(data, log, "the device", answered);
                if (number(log, LOG_AT) < number) {
                    put(log, LOG_AT, number);
                }
                while (!stop) {
                    number++;
                    put(data, DATA_AT, number);
                    writeOther(data, random, random.nextInt(2));
                    put(log, LOG_AT, number);
                    answered = number;
                    writeOther(data, random, random.nextInt(2));
                }
            } catch (IOException e) {
                LockSupport.parkNanos(20_000_000); // The server was killed, or is not up yet.
            }
        }
        return null;
    }

    /// Much else, of which the line carries only a part.
    private static void writeOther(BlockClient to, Random random, int times) throws IOException {
        byte[] other = new byte[32 << 10];
        for (int i = 0; i < times; i++) {
            random.nextBytes(other);
            to.write(random.nextInt(100) * 32L * 1024, ByteBuffer.wrap(other), false);
        }
    }

    private static void put(BlockClient to, long at, long number) throws IOException {
        ByteBuffer block = ByteBuffer.allocate(BLOCK);
        while (block.hasRemaining()) {
            block.putLong(number);
        }
        to.write(at, block.flip(), false);
        to.flush();
    }

    private static long number(BlockClient of, long at) throws IOException {
        ByteBuffer block = of.read(at, BLOCK);
        long number = block.getLong(0);
        for (int i = 8; i < BLOCK; i += 8) {
            assertEquals(number, block.getLong(i), "a block is torn");
        }
        return number;
    }

    /// @return the number in volume 0
    private static long requireOrder(BlockClient data, BlockClient log, String what, long least)
            throws IOException {
        long first = number(data, DATA_AT);
        long second = number(log, LOG_AT);
        assertTrue(
                first == second || first == second + 1,
                "%s has %d in volume 0 and %d in volume 1".formatted(what, first, second));
        assertTrue(second >= least, "%s has %d, %d was answered".formatted(what, second, least));
        return first;
    }

    private Void look(NodeProcess backup, Random random) throws Exception {
        while (!stop) {
            LockSupport.parkNanos(random.nextInt(40) * 1_000_000L);
            try {
                Optional<Instant> at = known.isEmpty() ? Optional.empty() : past(random);
                StatusReport.View view =
                        backup.api
                                .open(new ControlApi.OpenRequest("db", at.map(Instant::toString)))
                                .view();
                Path socket = Path.of(view.socket());
                String suffix = "@" + at.map(Instant::toString).orElse("latest");
                try (BlockClient data = new BlockClient(socket, "db" + suffix);
                        BlockClient log = new BlockClient(socket, "db/1" + suffix)) {
                    long least = at.map(time -> known.floorEntry(time).getValue()).orElse(newest);
                    long first = requireOrder(data, log, "the copy " + view.point(), least);
                    long second = number(log, LOG_AT);
                    newest = Math.max(newest, second);
                    known.merge(view.pointTime(), second, Math::max);
                    ahead += first > second ? 1 : 0;
                    pastLooks += at.isPresent() ? 1 : 0;
                    looks++;
                }
                backup.api.closeView(new ControlApi.CloseRequest(view.id()));
            } catch (IOException | ProblemException e) {
                seen.merge("no view", 1, Integer::sum); // It was killed, or is not up yet.
            }
        }
        return null;
    }

    /// One of two times the newest moment, else a time between those that were looked at.
    private Optional<Instant> past(Random random) {
        long first = known.firstKey().toEpochMilli();
        long span = known.lastKey().toEpochMilli() - first;
        return random.nextBoolean()
                ? Optional.empty()
                : Optional.of(Instant.ofEpochMilli(first + (long) (span * random.nextDouble())));
    }

    private static void compare(NodeProcess backup, List<Path> disks) throws Exception {
        StatusReport.View view =
                backup.api.open(new ControlApi.OpenRequest("db", Optional.empty())).view();
        for (StatusReport.Volume each : view.volumes()) {
            Run.ok(
                    "qemu-img",
                    "compare",
                    "-f",
                    "raw",
                    "-F",
                    "raw",
                    disks.get(each.number()).toString(),
                    each.uri().orElseThrow());
        }
        backup.api.closeView(new ControlApi.CloseRequest(view.id()));
    }
}
