package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/// A sparse device of 64 TiB at both sides, each a file in the host's tmpfs where that has the
/// room, or in another filesystem that takes such files; where there is neither, of 15 TiB on the
/// disk, which ext4 takes: first sync, writes all over it without the peer, catching up, detaching.
/// Neither daemon, with the flags that `bin/holdfast` gives it, may need memory for its size. Then
/// the server has so little for its marks that none fits: whole extents are marked, and compared.
@Timeout(600)
class HugeDeviceTest {
    private static final long SIZE = 64L << 40;
    private static final long SIZE_ON_EXT4 = 15L << 40;
    private static final long RESIDENT_BYTES = 300L << 20;
    private static final int WRITES = 10_000;
    private static final int CLIENTS = 16;
    private static final Path TMPFS = Path.of("/dev/shm");
    private static final long DISKS_BYTES = 1L << 30;
    private static final long STATE_BYTES = 4L << 30;

    private static final List<String> JVM_FLAGS =
            List.of("-Xms64m", "-Xmx512m", "-XX:MaxDirectMemorySize=1g");

    /// Less than the 24 bytes that a block alone takes.
    private static final String NO_MARKS = "-Dholdfast.marks.bytes=16";

    /// What is marked as a whole extent may be sent as one, and has to fit the journal then.
    private static final int WHOLE_EXTENTS = 40;

    /// The state directories: the server's metadata alone takes 2.1 GiB for such a device.
    @TempDir Path dir;

    private Path disks;
    private long size;

    private record Place(Path directory, long sizeBytes) {}

    @BeforeEach
    void makeDisks() throws IOException {
        if (Files.getFileStore(dir).getUsableSpace() < STATE_BYTES + DISKS_BYTES) {
            fail("needs 5 GiB of disk at " + dir);
        }
        for (Place each :
                List.of(
                        new Place(TMPFS, SIZE),
                        new Place(dir, SIZE),
                        new Place(dir, SIZE_ON_EXT4))) {
            if (takesDisks(each)) {
                disks = Files.createTempDirectory(each.directory(), "holdfast-huge-");
                size = each.sizeBytes();
                return;
            }
        }
        fail("needs files of 15 TiB at " + dir);
    }

    private static boolean takesDisks(Place place) throws IOException {
        Path directory = place.directory();
        if (!Files.isWritable(directory)
                || Files.getFileStore(directory).getUsableSpace() < DISKS_BYTES) {
            return false;
        }
        Path probe = Files.createTempFile(directory, "holdfast-huge-", ".probe");
        try (var file = new RandomAccessFile(probe.toFile(), "rw")) {
            file.setLength(place.sizeBytes());
            return true;
        } catch (IOException _) {
            return false; // Too large for a file there.
        } finally {
            Files.delete(probe);
        }
    }

    @AfterEach
    void removeDisks() throws IOException {
        if (disks != null) {
            try (Stream<Path> all = Files.walk(disks)) {
                for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(each);
                }
            }
        }
    }

    @Test
    void costsTheMemoryOfWhatIsWrittenAndNotOfItsSize() throws Exception {
        Path disk = disks.resolve("disk.img");
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(size);
            file.seek(size / 2);
            file.write(7);
        }
        String buffer = "[buffer]\nsend = \"16 MiB\"\n";
        try (ServerAndBackup nodes =
                new ServerAndBackup(dir, buffer, JVM_FLAGS, JVM_FLAGS, disks.resolve("storage"))) {
            NodeProcess server = nodes.server;
            NodeProcess backup = nodes.backup;
            Path socket = Path.of(nodes.addHome(disk, 256L << 20).socket());
            mark("first sync", server, backup);
            long[] offsets = offsets();
            writeAll(socket, offsets, 0, 100);
            TwoNodes.until("in sync", () -> ServerAndBackup.isInSync(server));
            mark("connected writes", server, backup);

            backup.kill();
            writeAll(socket, offsets, 100, offsets.length);
            mark("writes without the peer", server);
            long away = server.mostResidentBytes();
            backup.start();
            backup.awaitAnswer();
            TwoNodes.until("caught up", () -> ServerAndBackup.isInSync(server));
            mark("caught up", server, backup);
            assertHeld(backup, offsets);
            server.api.detach(new ControlApi.NameRequest("home"));
            mark("detached", server, backup);
            long most = server.mostResidentBytes();
            assertEquals(0, comparisons(server), "each block was marked alone");
            server.close();
            wholeExtentsAreMarked(server.paths, backup);

            assertTrue(away < RESIDENT_BYTES, "without its peer: " + away);
            assertTrue(most < RESIDENT_BYTES, "server: " + most);
            most = backup.mostResidentBytes();
            assertTrue(most < RESIDENT_BYTES, "backup: " + most);
        }
    }

    private void wholeExtentsAreMarked(NodePaths serverPaths, NodeProcess backup) throws Exception {
        List<String> flags = new ArrayList<>(JVM_FLAGS);
        flags.add(NO_MARKS);
        try (NodeProcess server = new NodeProcess(serverPaths, flags)) {
            server.start();
            server.awaitAnswer();
            TwoNodes.until("open", () -> server.resource("home").isPresent());
            Path socket = Path.of(server.api.attach(new ControlApi.NameRequest("home")).socket());
            TwoNodes.until("in sync", () -> ServerAndBackup.isInSync(server));
            backup.kill();
            TwoNodes.until("away", () -> !server.resource("home").orElseThrow().isConnected());
            long[] offsets =
                    new SplittableRandom(65)
                            .longs(WHOLE_EXTENTS, 0, size >>> 12)
                            .map(block -> block << 12)
                            .toArray();
            writeAll(socket, offsets, 0, offsets.length);
            // What is buffered is marked as well then.
            server.api.detach(new ControlApi.NameRequest("home"));
            server.api.attach(new ControlApi.NameRequest("home"));
            backup.start();
            backup.awaitAnswer();
            NodeProcess.until("caught up", () -> ServerAndBackup.isInSync(server), server, backup);
            mark("whole extents", server, backup);
            assertTrue(comparisons(server) > 0, "no extent was marked as a whole");
            assertHeld(backup, offsets);
            long most = server.mostResidentBytes();
            assertTrue(most < RESIDENT_BYTES, "without memory for marks: " + most);
        }
    }

    /// How often blocks were compared of which nobody knew.
    private static long comparisons(NodeProcess server) throws Exception {
        List<ControlApi.Event> all = new ArrayList<>();
        server.api.events(new ControlApi.EventsRequest(0, false), all::add);
        return all.stream()
                .flatMap(each -> each.change().stream())
                .filter(each -> each.to().equals("COMPARE"))
                .count();
    }

    private final long began = System.nanoTime();

    private void mark(String what, NodeProcess... nodes) throws IOException {
        var out =
                new StringBuilder(
                        "%.1f s %s of %d TiB at %s"
                                .formatted(
                                        (System.nanoTime() - began) / 1e9,
                                        what,
                                        size >> 40,
                                        disks));
        for (NodeProcess node : nodes) {
            out.append("  ").append(node.mostResidentBytes() >> 20).append(" MiB");
        }
        System.out.println(out);
    }

    /// Single blocks all over the device, its first and its last among them.
    private long[] offsets() {
        SplittableRandom random = new SplittableRandom(64);
        long[] offsets = random.longs(WRITES, 0, size >>> 12).map(block -> block << 12).toArray();
        offsets[0] = 0;
        offsets[1] = size - 4096;
        offsets[200] = 4096;
        offsets[201] = size - 8192;
        return offsets;
    }

    private static ByteBuffer content(long offset) {
        ByteBuffer content = ByteBuffer.allocate(4096);
        while (content.hasRemaining()) {
            content.putLong(offset + 1 + content.position());
        }
        return content.flip();
    }

    private static void writeAll(Path socket, long[] offsets, int from, int to) throws Exception {
        try (ExecutorService pool = Executors.newFixedThreadPool(CLIENTS)) {
            List<Future<Void>> all = new ArrayList<>();
            for (int client = 0; client < CLIENTS; client++) {
                int first = from + client;
                Callable<Void> work =
                        () -> {
                            try (BlockClient nbd = new BlockClient(socket, "home")) {
                                for (int i = first; i < to; i += CLIENTS) {
                                    nbd.write(offsets[i], content(offsets[i]), false);
                                }
                                return null;
                            }
                        };
                all.add(pool.submit(work));
            }
            for (Future<Void> each : all) {
                each.get();
            }
        }
    }

    private void assertHeld(NodeProcess backup, long[] offsets) throws Exception {
        StatusReport.View view =
                backup.api.open(new ControlApi.OpenRequest("home", Optional.empty())).view();
        String export = view.uri().replaceAll("^nbd\\+unix:///|\\?.*$", "");
        try (BlockClient copy = new BlockClient(Path.of(view.socket()), export)) {
            assertEquals(7, copy.read(size / 2, 512).get(0));
            for (long offset : offsets) {
                assertEquals(content(offset), copy.read(offset, 4096), "at " + offset);
            }
        }
        backup.api.closeView(new ControlApi.CloseRequest(view.id()));
    }
}
