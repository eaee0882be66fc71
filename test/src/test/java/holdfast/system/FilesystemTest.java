package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/// A real ext4 on an export, in use while the line to the backup is as bad as lines get: whenever
/// the copy is opened it is a whole filesystem that holds every file that was synced before.
@ResourceLock(value = "mounts and loop devices", mode = ResourceAccessMode.READ)
class FilesystemTest {
    private static final long DISK_BYTES = 128L << 20;

    /// Holds an epoch of every block, with what is asked for in advance: nothing has to pause.
    private static final long JOURNAL_BYTES = 256L << 20;

    private static final Duration CHURN = Duration.ofSeconds(40);
    private static final int WRITERS = 2;

    /// Of the send buffer: small, so that a bad line soon closes it and the copy moves by epochs.
    private static final String SETTINGS = "[buffer]\nsend = \"2 MiB\"\n";

    @TempDir Path dir;

    private final FileHistory history = new FileHistory();
    private final AtomicInteger changes = new AtomicInteger();
    private volatile boolean stop;

    @Test
    void theCopyIsAWholeFilesystemWhateverTheLineDoes() throws Exception {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        System.out.println("FilesystemTest: seed " + seed);
        Path disk = dir.resolve("disk.img");
        try (var file =
                FileChannel.open(disk, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.allocate(1), DISK_BYTES - 1);
        }
        try (TwoNodes nodes = new TwoNodes(dir, SETTINGS, "");
                ToxicLink line = new ToxicLink(dir.resolve("toxiproxy.log"), nodes.port, seed)) {
            nodes.pair("127.0.0.1:" + line.port);
            String uri = nodes.addAndAttach("home", disk, JOURNAL_BYTES);
            use(nodes, line, uri, seed);
            line.heal();
            nodes.untilInSync("home");
            ControlApi.OpenReply view =
                    nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
            Run.ok(
                    "qemu-img",
                    "compare",
                    "-f",
                    "raw",
                    "-F",
                    "raw",
                    disk.toString(),
                    view.view().uri());
            report(nodes, line);
        }
    }

    private void use(TwoNodes nodes, ToxicLink line, String uri, long seed) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        try (MountedExport mounted = new MountedExport(dir, uri)) {
            nodes.untilInSync("home");
            List<Future<?>> running = new ArrayList<>();
            for (int i = 0; i < WRITERS; i++) {
                Path root = Files.createDirectory(mounted.root.resolve("d" + i));
                int number = i;
                running.add(threads.submit(() -> write(root, "d" + number, seed + number)));
            }
            running.add(threads.submit(() -> trouble(line, new Random(seed))));
            running.add(threads.submit(() -> mark(nodes)));
            try {
                look(nodes, new Random(seed + 100), running);
            } finally {
                stop = true;
                for (Future<?> each : running) {
                    each.get();
                }
            }
        } finally {
            stop = true;
            threads.shutdownNow();
        }
    }

    // ---- what goes on at the server ----------------------------------------------------------

    private Void write(Path root, String prefix, long seed) throws Exception {
        Random random = new Random(seed);
        List<Integer> live = new ArrayList<>();
        int next = 0;
        try (FileChannel directory = FileChannel.open(root, StandardOpenOption.READ)) {
            while (!stop) {
                int dice = random.nextInt(100);
                if (dice < 55 || live.size() < 20) {
                    int number = next++;
                    put(root, prefix, number, random, directory);
                    live.add(number);
                } else if (dice < 80) {
                    put(root, prefix, live.get(random.nextInt(live.size())), random, directory);
                } else {
                    Collections.swap(live, random.nextInt(live.size()), live.size() - 1);
                    Integer gone = live.removeLast();
                    history.change(
                            prefix + "/" + gone,
                            null,
                            () -> {
                                Files.delete(root.resolve(gone.toString()));
                                directory.force(true);
                            });
                }
                changes.incrementAndGet();
            }
        }
        return null;
    }

    private void put(Path root, String prefix, int number, Random random, FileChannel directory)
            throws Exception {
        byte[] content = new byte[random.nextInt(12_000)];
        random.nextBytes(content);
        history.change(
                prefix + "/" + number,
                content,
                () -> {
                    try (FileChannel file =
                            FileChannel.open(
                                    root.resolve(Integer.toString(number)),
                                    StandardOpenOption.CREATE,
                                    StandardOpenOption.TRUNCATE_EXISTING,
                                    StandardOpenOption.WRITE)) {
                        ByteBuffer left = ByteBuffer.wrap(content);
                        while (left.hasRemaining()) {
                            file.write(left);
                        }
                        file.force(true);
                    }
                    directory.force(true);
                });
    }

    private Void trouble(ToxicLink line, Random random) throws IOException {
        while (!stop) {
            pause(line.change() ? 200 + random.nextInt(400) : 1500 + random.nextInt(2500));
        }
        return null;
    }

    private Void mark(TwoNodes nodes) {
        while (!stop) {
            long asked = System.nanoTime();
            StatusReport.Resource home = nodes.atServer("home");
            history.mark(asked, System.nanoTime(), number(home.position()));
            pause(100);
        }
        return null;
    }

    private static long number(String position) {
        return Long.parseLong(position.substring(position.indexOf('/') + 1));
    }

    private static void pause(long millis) {
        LockSupport.parkNanos(Duration.ofMillis(millis).toNanos());
    }

    // ---- what is seen at the backup ----------------------------------------------------------

    private int looks;
    private long filesChecked;
    private final Set<String> points = new HashSet<>();
    private final Map<String, Integer> states = new TreeMap<>();

    private void look(TwoNodes nodes, Random random, List<Future<?>> running) throws Exception {
        long end = System.nanoTime() + CHURN.toNanos();
        while (System.nanoTime() < end) {
            pause(500 + random.nextInt(2500));
            for (Future<?> each : running) {
                if (each.isDone()) {
                    each.get();
                    throw new AssertionError("a thread of the test has ended early");
                }
            }
            lookOnce(nodes);
        }
    }

    private void lookOnce(TwoNodes nodes) throws Exception {
        states.merge(nodes.atServer("home").replication(), 1, Integer::sum);
        ControlApi.OpenReply opened =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
        long openedNanos = System.nanoTime();
        Path image = dir.resolve("scratch.img");
        Files.deleteIfExists(image);
        Run.ok("nbdcopy", opened.view().uri(), image.toString());
        nodes.backup.closeView(new ControlApi.CloseRequest(opened.view().id()));
        String point = opened.view().point();
        FileHistory.Found[] found = new FileHistory.Found[1];
        try {
            MountedExport.look(
                    image,
                    dir.resolve("look"),
                    root -> found[0] = history.check(root, number(point), openedNanos));
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + "\n" + nodes.account(), e);
        }
        looks++;
        filesChecked += found[0].present() + found[0].absent();
        points.add(point);
        System.out.println("FilesystemTest: copy of " + point + ": " + found[0]);
    }

    private void report(TwoNodes nodes, ToxicLink line) throws Exception {
        Map<String, Integer> events = new HashMap<>();
        nodes.server.events(
                new ControlApi.EventsRequest(0, false),
                event -> events.merge(event.kind(), 1, Integer::sum));
        System.out.printf(
                "FilesystemTest: %d changes of files, line %s, copy opened %d times at %d points while"
                        + " %s, %d files checked, events at the server %s%n",
                changes.get(),
                line.counts(),
                looks,
                points.size(),
                states,
                filesChecked,
                new TreeMap<>(events));
        assertTrue(changes.get() > 2000, "only " + changes + " changes of files");
        assertTrue(filesChecked > 5000, "only " + filesChecked + " files were looked for");
        assertTrue(looks >= 5, "opened only " + looks + " times");
        assertTrue(points.size() >= 3, "only " + points.size() + " points");
    }
}
