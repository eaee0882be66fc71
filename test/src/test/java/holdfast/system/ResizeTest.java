package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;

/// A resource becomes larger after its device did (S003-13, S003-31): under its clients, while it
/// is detached, while the peer is away, and whenever either side is killed in between.
@ResourceLock(value = "mounts and loop devices", mode = ResourceAccessMode.READ)
class ResizeTest {
    private static final int MIB = 1 << 20;
    private static final long SIZE = 16 * MIB;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private Path disk;

    private TwoNodes started() throws Exception {
        TwoNodes nodes = new TwoNodes(dir);
        try {
            nodes.pair();
            makeDisk();
            nodes.addAndAttach("home", disk, 64L * MIB);
            nodes.untilInSync("home");
            return nodes;
        } catch (Exception | Error e) {
            nodes.close();
            throw e;
        }
    }

    private void makeDisk() throws IOException {
        disk = dir.resolve("disk.img");
        byte[] content = new byte[(int) SIZE];
        new Random(5).nextBytes(content);
        Files.write(disk, content);
    }

    /// What lies behind the old end need not be zero, as on a device.
    private void enlarge(long to) throws IOException {
        byte[] more = new byte[2 * MIB];
        new Random(to).nextBytes(more);
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            long was = file.length();
            file.setLength(to);
            file.seek(was);
            file.write(more, 0, (int) Math.min(more.length, to - was));
        }
    }

    // ---- online ------------------------------------------------------------------------------

    @Test
    void itGrowsUnderAClientThatWritesAndANewOneSeesTheSize() throws Exception {
        try (TwoNodes nodes = started()) {
            Path socket = nodes.serverPaths.run().resolve("home.nbd");
            AtomicBoolean enough = new AtomicBoolean();
            try (var threads = Executors.newSingleThreadExecutor()) {
                Future<Integer> writer = threads.submit(() -> writeUntil(enough, socket));
                for (long size = SIZE + 512; size < 600 * MIB; size = 3 * size / 512 * 512) {
                    enlarge(size);
                    String done = resize(nodes);
                    assertTrue(done.contains("has " + size + " bytes"), done);
                    assertEquals(size, nodes.atServer("home").sizeBytes());
                    assertEquals(size, atBackup(nodes).sizeBytes());
                }
                enough.set(true);
                assertTrue(writer.get() > 0);
            }
            long size = nodes.atServer("home").sizeBytes();
            try (BlockClient client = new BlockClient(socket, "home")) {
                client.write(size - 4096, ByteBuffer.allocate(4096).put(0, (byte) 9), true);
            }
            nodes.untilInSync("home");
            assertCopyIsSame(nodes, size);
            // And it is durable.
            nodes.server.close();
            nodes.backup.close();
            nodes.startBackup();
            nodes.startServer();
            nodes.untilInSync("home");
            assertCopyIsSame(nodes, size);
            assertFalse(Files.exists(state(nodes.serverPaths, "resize")));
            TwoNodes.until("over", () -> !Files.exists(state(nodes.serverPaths, "grown")));
            assertFalse(Files.exists(state(nodes.backupPaths, "grown")));
        }
    }

    private static int writeUntil(AtomicBoolean enough, Path socket) throws IOException {
        Random random = new Random(8);
        int written = 0;
        try (BlockClient client = new BlockClient(socket, "home")) {
            while (!enough.get()) {
                byte[] data = new byte[4096];
                random.nextBytes(data);
                int block = random.nextInt((int) (SIZE / 4096));
                client.write(block * 4096L, ByteBuffer.wrap(data), written % 16 == 0);
                assertEquals(ByteBuffer.wrap(data), client.read(block * 4096L, 4096));
                written++;
            }
        }
        return written;
    }

    /// As the kernel's client, which is told of the size beside the connection.
    @Test
    void aClientThatWasThereBeforeMayUseWhatIsNew() throws Exception {
        try (TwoNodes nodes = started();
                BlockClient client =
                        new BlockClient(nodes.serverPaths.run().resolve("home.nbd"), "home")) {
            ByteBuffer data = ByteBuffer.allocate(4096).put(0, (byte) 7);
            assertThrows(
                    IOException.class, () -> client.write(2 * SIZE - 4096, data.duplicate(), true));
            enlarge(2 * SIZE);
            String done = resize(nodes);
            assertTrue(done.contains("see it when they connect again"), done);
            client.write(2 * SIZE - 4096, data.duplicate(), true);
            assertEquals(data, client.read(2 * SIZE - 4096, 4096));
            nodes.untilInSync("home");
            assertCopyIsSame(nodes, 2 * SIZE);
        }
    }

    /// Only what is new is compared, and of that only what differs is sent.
    @Test
    void itCostsNoComparisonOfWhatWasThere() throws Exception {
        try (TwoNodes nodes = started()) {
            nodes.server.pauseSync(HOME);
            enlarge(2 * SIZE);
            nodes.server.resize(HOME);
            nodes.untilServer("home", "to be compared", r -> r.replication().equals("COMPARE"));
            assertEquals(SIZE, nodes.atServer("home").behind().orElseThrow().bytes());
            // The copy is still that of the smaller device.
            ControlApi.OpenReply view = open(nodes);
            assertEquals(SIZE, view.sizeBytes());
            nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
            nodes.server.resumeSync(HOME);
            nodes.untilInSync("home");
            assertCopyIsSame(nodes, 2 * SIZE);
        }
    }

    @Test
    void whatIsNewIsNotForgottenBeforeItIsCompared() throws Exception {
        try (TwoNodes nodes = started()) {
            nodes.server.pauseSync(HOME);
            enlarge(2 * SIZE);
            nodes.server.resize(HOME);
            nodes.server.detach(HOME);
            nodes.server.attach(HOME);
            enlarge(3 * SIZE);
            nodes.server.resize(HOME);
            nodes.untilServer("home", "to be compared", r -> r.replication().equals("COMPARE"));
            assertEquals(2 * SIZE, nodes.atServer("home").behind().orElseThrow().bytes());
            nodes.server.resumeSync(HOME);
            nodes.untilInSync("home");
            assertCopyIsSame(nodes, 3 * SIZE);
        }
    }

    // ---- detached, away ------------------------------------------------------------------------

    @Test
    void itGrowsWhileItIsDetached() throws Exception {
        try (TwoNodes nodes = started()) {
            nodes.server.detach(HOME);
            enlarge(40 * MIB);
            assertTrue(resize(nodes).contains("has 41943040 bytes"));
            nodes.server.attach(HOME);
            nodes.untilInSync("home");
            assertCopyIsSame(nodes, 40 * MIB);
        }
    }

    @Test
    void aLargerDeviceIsUsedAsBeforeUntilItIsOrdered() throws Exception {
        try (TwoNodes nodes = started()) {
            nodes.server.close();
            enlarge(40 * MIB);
            nodes.startServer();
            nodes.untilInSync("home");
            assertEquals(SIZE, nodes.atServer("home").sizeBytes());
            nodes.server.detach(HOME);
            String notes = String.join("\n", nodes.server.attach(HOME).notes());
            assertTrue(notes.contains("16777216 of them are used. Next: "), notes);
            nodes.server.resize(HOME);
            nodes.untilInSync("home");
            assertCopyIsSame(nodes, 40 * MIB);
        }
    }

    @Test
    void whileThePeerIsAwayItIsKeptAndCarriedOutWhenItComes() throws Exception {
        try (TwoNodes nodes = started()) {
            nodes.backup.close();
            nodes.untilServer("home", "away", r -> !r.isConnected());
            enlarge(40 * MIB);
            String said = resize(nodes);
            assertTrue(said.contains("as soon as backup is there"), said);
            assertEquals(SIZE, nodes.atServer("home").sizeBytes());
            nodes.server.close();
            nodes.startServer();
            String trouble = nodes.atServer("home").trouble().orElse("");
            assertTrue(trouble.contains("it is to have 41943040 bytes"), trouble);
            nodes.startBackup();
            nodes.untilServer("home", "larger", r -> r.sizeBytes() == 40 * MIB);
            nodes.untilInSync("home");
            assertEquals(Optional.empty(), nodes.atServer("home").trouble());
            assertCopyIsSame(nodes, 40 * MIB);
        }
    }

    // ---- refusals ----------------------------------------------------------------------------

    @Test
    void nothingIsCutOffAndTheBackupFollowsThePrimary() throws Exception {
        try (TwoNodes nodes = started()) {
            assertTrue(resize(nodes).contains("has 16777216 bytes, as its"));
            try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
                file.setLength(SIZE - MIB);
                Problem shrunk = refusal(() -> nodes.server.resize(HOME));
                assertTrue(shrunk.text().contains("nothing is ever cut off"), shrunk.text());
                file.setLength(SIZE);
                file.setLength(SIZE + 100);
            }
            Problem ragged = refusal(() -> nodes.server.resize(HOME));
            assertTrue(ragged.text().contains("a whole number of 512"), ragged.text());
            Problem there = refusal(() -> nodes.backup.resize(HOME));
            assertEquals(Optional.of("at server: holdfast resize home"), there.next());
        }
    }

    @Test
    void aCopyOnADeviceThatIsTooSmallKeepsItAsItWas() throws Exception {
        assumeTrue(Run.ok("id", "-u").strip().equals("0"), "needs root");
        Path under = dir.resolve("under.img");
        try (var file = new RandomAccessFile(under.toFile(), "rw")) {
            file.setLength(SIZE);
        }
        String loop = Run.ok("losetup", "--show", "-f", under.toString()).strip();
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            makeDisk();
            nodes.server.add(
                    new ControlApi.AddRequest(
                            "home",
                            disk.toString(),
                            Optional.of(loop),
                            Optional.empty(),
                            Optional.of(64L * MIB),
                            false));
            nodes.server.attach(HOME);
            nodes.untilInSync("home");
            enlarge(2 * SIZE);
            Problem small = refusal(() -> nodes.server.resize(HOME));
            assertTrue(
                    small.text().contains("33554432 are needed: enlarge it first"), small.text());
            assertEquals(SIZE, nodes.atServer("home").sizeBytes());
            assertTrue(nodes.atServer("home").trouble().orElse("").contains("enlarge it first"));
            try (var file = new RandomAccessFile(under.toFile(), "rw")) {
                file.setLength(2 * SIZE);
            }
            Run.ok("losetup", "-c", loop);
            nodes.server.resize(HOME);
            nodes.untilInSync("home");
            assertCopyIsSame(nodes, 2 * SIZE);
        } finally {
            Run.ok("losetup", "-d", loop);
        }
    }

    private static String resize(TwoNodes nodes) throws ProblemException {
        return String.join(" ", nodes.server.resize(HOME).lines());
    }

    private static Problem refusal(org.junit.jupiter.api.function.Executable order) {
        Problem problem = assertThrows(ProblemException.class, order).problem();
        assertEquals(3, problem.exitCode(), problem.text());
        return problem;
    }

    // ---- kills -------------------------------------------------------------------------------

    /// Whatever is killed and whenever: both come back, and the order is carried out by itself.
    @Test
    void aKillAtAnyMomentOnlyDelaysIt() throws Exception {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        System.out.println("ResizeTest: seed " + seed);
        Random random = new Random(seed);
        makeDisk();
        try (ServerAndBackup nodes = new ServerAndBackup(dir)) {
            NodeProcess server = nodes.server;
            NodeProcess backup = nodes.backup;
            nodes.addHome(disk, 64L * MIB);
            long size = SIZE;
            for (int i = 0; i < 8; i++) {
                size += (1 + random.nextInt(200)) * (long) MIB;
                enlarge(size);
                NodeProcess victim = random.nextBoolean() ? server : backup;
                long delay = random.nextInt(250);
                try (var threads = Executors.newSingleThreadExecutor()) {
                    threads.execute(() -> resizeOrNot(server));
                    // The one place where time itself is what is tried.
                    java.util.concurrent.locks.LockSupport.parkNanos(delay * 1_000_000);
                    victim.kill();
                }
                victim.start();
                victim.awaitAnswer();
                long to = size;
                NodeProcess.until(
                        "larger and in sync after a kill",
                        () -> {
                            // It may have been killed before it had stored the order.
                            if (sizeOf(server) != to
                                    && !Files.exists(state(server.paths, "resize"))) {
                                resizeOrNot(server);
                            }
                            return sizeOf(server) == to && nodes.isInSync() && sizeOf(backup) == to;
                        },
                        server,
                        backup);
                compare(backup, size);
            }
        }
    }

    private static void resizeOrNot(NodeProcess server) {
        try {
            server.api.resize(HOME);
        } catch (ProblemException e) {
            // It was killed, or its peer.
        }
    }

    private static long sizeOf(NodeProcess node) {
        return node.resource("home").map(StatusReport.Resource::sizeBytes).orElse(0L);
    }

    private void compare(NodeProcess backup, long size) throws Exception {
        ControlApi.OpenReply view =
                backup.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
        assertEquals(size, view.sizeBytes());
        compare(view);
        backup.api.closeView(new ControlApi.CloseRequest(view.view().id()));
    }

    // ---- the parts of it ---------------------------------------------------------------------

    private static Path state(NodePaths node, String file) {
        return node.state().resolve("resources/home").resolve(file);
    }

    private static StatusReport.Resource atBackup(TwoNodes nodes) {
        return nodes.backup.status().resource("home").orElseThrow();
    }

    private static ControlApi.OpenReply open(TwoNodes nodes) throws ProblemException {
        return nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
    }

    private void assertCopyIsSame(TwoNodes nodes, long size) throws Exception {
        ControlApi.OpenReply view = open(nodes);
        assertEquals(size, view.sizeBytes());
        compare(view);
        nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
    }

    private void compare(ControlApi.OpenReply view) throws Exception {
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.toString(), view.view().uri());
    }
}
