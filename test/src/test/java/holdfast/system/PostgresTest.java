package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;

/// A database commits numbered rows, one after the other, while the stream is interrupted again and
/// again, so that it goes on by epochs. Moments of it, drawn from all that was until then, are
/// opened, half of them in the middle of an epoch, and promoted: from a copy that is being brought
/// on by the live server, and from one that was cut off from it in the middle of an epoch, while
/// the database writes on. The filesystem of each is whole once its journal is replayed, and the
/// database recovers to the first so many rows, none of those that had been committed before the
/// moment missing, and none in it that was begun later.
///
/// `-Dholdfast.moments=N` tries more of them.
@ResourceLock(value = "mounts and loop devices", mode = ResourceAccessMode.READ)
class PostgresTest {
    private static final int MOMENTS = Integer.getInteger("holdfast.moments", 50);

    /// Each is promoted once, and then goes on from other moments.
    private static final int PROMOTED_COPIES = Math.max(2, MOMENTS / 10);

    private static final int PROMOTIONS_EACH = 4;
    private static final int OPENED = MOMENTS - PROMOTED_COPIES * PROMOTIONS_EACH;
    private static final long DISK_BYTES = 160L << 20;
    private static final long JOURNAL_BYTES = 1L << 30;

    /// More than the send buffer holds.
    private static final int MORE_BYTES = 2 << 20;

    @TempDir Path dir;

    /// When each row was sent to the database, and when that had said that it is committed.
    private final ConcurrentSkipListMap<Instant, Integer> begun = new ConcurrentSkipListMap<>();

    private final ConcurrentSkipListMap<Instant, Integer> committed = new ConcurrentSkipListMap<>();
    private volatile boolean over;
    private int openedInEpochs;

    @Test
    void everyMomentIsAPrefixOfTheCommits() throws Exception {
        Random random = new Random();
        long seed = Long.getLong("holdfast.seed", random.nextLong());
        random.setSeed(seed);
        System.out.println("PostgresTest: seed " + seed);
        try (TwoNodes nodes = new TwoNodes(dir, "[buffer]\nsend = \"1 MiB\"\n", "")) {
            nodes.pair();
            Path disk = dir.resolve("disk.img");
            Run.ok("truncate", "-s", "" + DISK_BYTES, disk.toString());
            String uri = nodes.addAndAttach("home", disk, JOURNAL_BYTES);
            try (MountedExport mounted = new MountedExport(dir, uri);
                    Postgres postgres = new Postgres(mounted.root.resolve("pg"));
                    ExecutorService threads = Executors.newCachedThreadPool()) {
                postgres.sql("create table rows (n int)");
                nodes.untilInSync("home");
                slowCatchUp(nodes);
                Path ballast = mounted.root.resolve("ballast");
                Instant first = Instant.now();
                Future<?> writer = threads.submit(() -> write(postgres));
                try {
                    for (int i = 0; i < OPENED; i++) {
                        if (i % 2 == 0) {
                            interrupt(nodes, ballast, random);
                        } else {
                            LockSupport.parkNanos(random.nextInt(200_000_000));
                        }
                        open(nodes, between(first, Instant.now(), random));
                    }
                    cutInAnEpoch(nodes, ballast, random);
                    promote(nodes, first, random);
                } finally {
                    over = true;
                    writer.get();
                }
                System.out.printf(
                        "PostgresTest: %d rows in %s, %d epochs, %d moments opened, %d of them in an epoch%n",
                        committed.size(),
                        Duration.between(first, Instant.now()),
                        epochs(nodes),
                        OPENED,
                        openedInEpochs);
                assertTrue(epochs(nodes) >= OPENED / 3, "the stream was hardly ever interrupted");
                assertTrue(openedInEpochs >= OPENED / 4, "too few moments opened in an epoch");
            }
        }
    }

    /// So that an epoch is under way for a while.
    private static void slowCatchUp(TwoNodes nodes) throws Exception {
        Files.writeString(
                nodes.serverPaths.nodeFile(),
                Files.readString(nodes.serverPaths.nodeFile())
                        + "[link]\ncatch-up = \"24 Mbit/s\"\n");
        assertTrue(nodes.server.adjust(new ControlApi.AdjustRequest(false)).applied());
    }

    private static boolean isInEpoch(TwoNodes nodes) {
        return nodes.atServer("home").replication().equals("SYNC_SOURCE");
    }

    /// The application does not notice; the copy goes on by an epoch, which begins here.
    private static void interrupt(TwoNodes nodes, Path ballast, Random random) throws Exception {
        ControlApi.LinkRequest home = new ControlApi.LinkRequest(Optional.of("home"));
        nodes.server.disconnect(home);
        byte[] more = new byte[MORE_BYTES];
        random.nextBytes(more);
        try (FileChannel file =
                FileChannel.open(ballast, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.wrap(more));
            file.force(true);
        }
        LockSupport.parkNanos(random.nextInt(200_000_000));
        nodes.server.connect(home);
        TwoNodes.until("it goes on by an epoch", () -> isInEpoch(nodes));
    }

    /// The copy loses its server while it takes in an epoch.
    private static void cutInAnEpoch(TwoNodes nodes, Path ballast, Random random) throws Exception {
        for (int i = 0; i < 20; i++) {
            nodes.untilServer("home", "the epoch before is over", _ -> !isInEpoch(nodes));
            long before = epochs(nodes);
            interrupt(nodes, ballast, random);
            nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
            if (epochs(nodes) == before) {
                return;
            }
        }
        throw new AssertionError("every epoch ended before it could be cut off");
    }

    private static Instant between(Instant from, Instant to, Random random) {
        return from.plusNanos((long) (Duration.between(from, to).toNanos() * random.nextDouble()));
    }

    private Void write(Postgres postgres) throws Exception {
        Process session = postgres.session();
        try (Writer in = session.outputWriter(StandardCharsets.UTF_8);
                BufferedReader out = session.inputReader(StandardCharsets.UTF_8)) {
            for (int n = 1; !over; n++) {
                begun.put(Instant.now(), n);
                in.write("insert into rows values (%d);%n".formatted(n));
                in.flush();
                String answer = out.readLine();
                if (!"INSERT 0 1".equals(answer)) {
                    throw new IOException("row %d: %s".formatted(n, answer));
                }
                committed.put(Instant.now(), n);
                LockSupport.parkNanos(5_000_000); // All of it must stay in the journal.
            }
        }
        session.waitFor();
        return null;
    }

    private static long epochs(TwoNodes nodes) throws Exception {
        long[] epochs = new long[1];
        nodes.server.events(
                new ControlApi.EventsRequest(0, false),
                each -> epochs[0] += each.kind().equals("epoch-committed") ? 1 : 0);
        return epochs[0];
    }

    private void open(TwoNodes nodes, Instant at) throws Exception {
        StatusReport.View view =
                nodes.backup
                        .open(new ControlApi.OpenRequest("home", Optional.of(at.toString())))
                        .view();
        openedInEpochs += isInEpoch(nodes) ? 1 : 0;
        Path image = dir.resolve("moment.img");
        Run.ok("nbdcopy", view.uri(), image.toString());
        nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
        require(image, view.pointTime());
        Files.delete(image);
    }

    /// From the same copy again and again, and each time from one moment after the other. The first
    /// time the server has it again, and brings it on, as the database writes.
    private void promote(TwoNodes nodes, Instant first, Random random) throws Exception {
        Instant last = Instant.now();
        int rows = committed.size();
        nodes.backup.close();
        Path kept = dir.resolve("kept");
        for (int i = 0; i < PROMOTED_COPIES; i++) {
            for (String part : new String[] {"backup", "storage"}) {
                Run.ok("rm", "-rf", kept.resolve(part) + "");
                Files.createDirectories(kept);
                Run.ok("cp", "-a", "--sparse=always", dir.resolve(part) + "", kept + "");
            }
            // The base is another file now, which would be refused.
            Files.delete(dir.resolve("backup/state/resources/home/base"));
            nodes.startBackup();
            ControlApi.LinkRequest home = new ControlApi.LinkRequest(Optional.of("home"));
            if (i == 0) {
                nodes.server.connect(home);
                TwoNodes.until("it goes on by an epoch", () -> isInEpoch(nodes));
            }
            for (int k = 0; k < PROMOTIONS_EACH; k++) {
                promote(nodes, between(first, last, random), k == 0 && i > 0);
            }
            if (i == 0) {
                nodes.server.disconnect(home);
                assertTrue(committed.size() > rows, "the database stood still");
            }
            nodes.backup.close();
            for (String part : new String[] {"backup", "storage"}) {
                Run.ok("rm", "-rf", dir.resolve(part) + "");
                Run.ok("mv", kept.resolve(part) + "", dir + "");
            }
        }
        nodes.startBackup();
    }

    private void promote(TwoNodes nodes, Instant time, boolean isAway) throws Exception {
        Optional<String> at = Optional.of(time.toString());
        StatusReport.View view = nodes.backup.open(new ControlApi.OpenRequest("home", at)).view();
        nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
        Optional<String> confirm =
                isAway
                        ? Optional.empty()
                        : nodes.backup
                                .promote(
                                        new ControlApi.PromoteRequest(
                                                "home", at, true, false, true, Optional.empty()))
                                .confirm();
        ControlApi.PromoteReply promoted =
                nodes.backup.promote(
                        new ControlApi.PromoteRequest("home", at, true, false, false, confirm));
        Path image = dir.resolve("promoted.img");
        Run.ok("nbdcopy", promoted.attached().orElseThrow().uri(), image.toString());
        require(image, view.pointTime());
    }

    /// @param point the moment that the image is of
    private void require(Path image, Instant point) throws Exception {
        int replay = Run.code("e2fsck", "-p", image.toString());
        assertTrue(replay <= 1, () -> "e2fsck -p ends with " + replay);
        Run.ok("e2fsck", "-fn", image.toString());
        Path root = Files.createDirectories(dir.resolve("moment"));
        Run.ok("mount", "-o", "loop", image.toString(), root.toString());
        try {
            List<String> found =
                    Postgres.recovered(
                            root.resolve("pg"), "select count(*), coalesce(max(n), 0) from rows");
            assertEquals(2, found.size(), found::toString);
            int rows = Integer.parseInt(found.get(0));
            assertEquals(rows, Integer.parseInt(found.get(1)), "no prefix, as of " + point);
            Instant millis = point.truncatedTo(ChronoUnit.MILLIS);
            int atLeast = of(committed.lowerEntry(millis));
            // Its time may be a millisecond early: two clocks are read for it, in whole ones.
            int atMost = of(begun.lowerEntry(millis.plusMillis(2)));
            assertTrue(
                    atLeast <= rows && rows <= atMost,
                    () ->
                            "%d rows as of %s, at least %d, at most %d"
                                    .formatted(rows, point, atLeast, atMost));
        } finally {
            Run.ok("umount", root.toString());
        }
    }

    private static int of(Map.Entry<Instant, Integer> entry) {
        return entry == null ? 0 : entry.getValue();
    }
}
