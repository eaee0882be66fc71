package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// Somebody writes to the disk of a primary while it is detached (S000-07): the next attach says
/// so, and the copy gets what differs and little more. Whoever only looks is no alarm.
@ResourceLock(value = "mounts and loop devices", mode = ResourceAccessMode.READ)
class WrittenPastTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path disk;
    private Path where;
    private String loop = "";

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        disk = dir.resolve("disk.img");
        where = Files.createDirectory(dir.resolve("where"));
        byte[] content = new byte[16 * MIB];
        new Random(5).nextBytes(content);
        Files.write(disk, content);
    }

    @AfterEach
    void stop() throws Exception {
        nodes.close();
        if (Run.succeeds("mountpoint", "-q", where.toString())) {
            Run.ok("umount", where.toString());
        }
        if (!loop.isEmpty()) {
            Run.ok("losetup", "-d", loop);
        }
    }

    // ---- files -------------------------------------------------------------------------------

    @Test
    void aCleanStopThatNobodyWroteBehindCostsNoComparison() throws Exception {
        addWithPoint(disk);
        writeThroughTheExport(3 * MIB);
        nodes.untilInSync("home");
        nodes.server.detach(HOME);
        Files.readAllBytes(disk);
        assertEquals(List.of(), attach());
        nodes.untilInSync("home");
        nodes.server.close();
        nodes.startServer();
        nodes.untilInSync("home");
        // An attach without a write goes on in its generation, and is a clean stop as well.
        nodes.server.detach(HOME);
        assertEquals(List.of(), attach());
        nodes.untilInSync("home");
        assertEquals("", trouble());
        assertEquals(List.of(), events("written-past", "evidence-missing", "compared"));
        assertTrue(sentBytes() < 64 << 10, () -> sentBytes() + " bytes");
    }

    @Test
    void whatIsWrittenToTheFileMeanwhileIsSaidComparedAndMended() throws Exception {
        addWithPoint(disk);
        nodes.server.detach(HOME);
        nodes.server.pauseSync(HOME);
        // Into one block of 4096, which no sample need see: a file has a time of change.
        spoil(9 * MIB + 12345, 100);
        long before = sentBytes();
        String note = String.join("\n", attach());
        assertTrue(note.contains(disk + " was written to past Holdfast between the"), note);
        assertTrue(note.contains("the file's time of change is "), note);
        assertTrue(trouble().contains(note), trouble());
        assertEquals(List.of(note), events("written-past"));
        nodes.untilServer("home", "to be compared", r -> r.replication().equals("COMPARE"));
        assertTrue(nodes.atServer("home").behind().orElseThrow().bytes() >= 16 * MIB);
        assertEquals("OUTDATED", nodes.backup.status().resource("home").get().disk());
        nodes.server.resumeSync(HOME);
        nodes.untilInSync("home");
        TwoNodes.until("it is over", () -> trouble().isEmpty());
        assertCopyIsSame();
        assertEquals(1, events("compared").size());
        assertTrue(sentBytes() - before < 128 << 10, () -> sentBytes() - before + " bytes");
        // And that was that.
        nodes.server.detach(HOME);
        assertEquals(List.of(), attach());
    }

    @Test
    void whatWasSeenIsNotForgottenWhileItCannotBeCompared() throws Exception {
        addWithPoint(disk);
        nodes.backup.close();
        nodes.server.detach(HOME);
        spoil(0, 512);
        spoil(15 * MIB, MIB);
        attach();
        assertTrue(trouble().contains("sampled blocks differ, the first at byte 0"), trouble());
        nodes.server.detach(HOME);
        attach();
        nodes.server.close();
        nodes.startServer();
        assertTrue(trouble().contains("was written to past Holdfast"), trouble());
        nodes.startBackup();
        nodes.untilInSync("home");
        assertCopyIsSame();
        TwoNodes.until("it is over", () -> trouble().isEmpty());
    }

    @Test
    void withoutEvidenceOfTheStopAllIsComparedAndThatIsSaidToo() throws Exception {
        addWithPoint(disk);
        Path evidence = nodes.serverPaths.state().resolve("resources/home/evidence");
        nodes.server.detach(HOME);
        byte[] taken = Files.readAllBytes(evidence);
        Files.delete(evidence);
        assertTrue(attach().getFirst().contains("nothing tells whether " + disk));
        nodes.untilInSync("home");
        nodes.server.detach(HOME);
        Files.write(evidence, taken);
        assertTrue(attach().getFirst().contains(evidence + " is of another stop"));
        nodes.untilInSync("home");
        nodes.server.detach(HOME);
        taken[70]++;
        Files.write(evidence, taken);
        assertTrue(attach().getFirst().contains("its checksum differs"));
        nodes.untilInSync("home");
        assertEquals(3, events("evidence-missing").size());
        assertEquals(List.of(), events("written-past"));
    }

    @Test
    void aFileOfAnotherSizeIsNotExported() throws Exception {
        addWithPoint(disk);
        nodes.server.detach(HOME);
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(15 * MIB);
        }
        String refusal = assertThrows(ProblemException.class, () -> attach()).problem().text();
        assertTrue(refusal.contains("its last 1048576 bytes are gone"), refusal);
        assertTrue(refusal.contains("give it its size back"), refusal);
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(16 * MIB);
        }
        assertFalse(attach().isEmpty());
        nodes.untilInSync("home");
        assertCopyIsSame();
    }

    // ---- a device with a filesystem
    // --------------------------------------------------------------

    @Test
    void aMountThatWritesIsSeenInTheFilesystemAndOneThatReadsIsNone() throws Exception {
        assumeTrue(Run.ok("id", "-u").strip().equals("0"), "needs root");
        Files.write(disk, new byte[0]);
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(64 * MIB);
        }
        Run.ok("mkfs.ext4", "-q", "-F", disk.toString());
        loop = Run.ok("losetup", "--show", "-f", disk.toString()).strip();
        addWithPoint(Path.of(loop));
        for (boolean writes : new boolean[] {false, true}) {
            nodes.server.detach(HOME);
            Run.ok("mount", "-o", writes ? "rw" : "ro", loop, where.toString());
            Run.ok("ls", "-lR", where.toString());
            if (writes) {
                Files.writeString(where.resolve("file"), "from another system");
            }
            Run.ok("umount", where.toString());
            long before = sentBytes();
            String note = String.join("\n", attach());
            assertEquals(writes, note.contains("the count of mounts of the ext"), note);
            assertEquals(writes, note.contains("the last mount of the ext filesystem is 20"), note);
            assertEquals(writes, !events("written-past").isEmpty());
            nodes.untilInSync("home");
            assertTrue(sentBytes() - before < MIB, () -> sentBytes() - before + " bytes");
        }
        assertCopyIsSame();
    }

    // ---- a crash -----------------------------------------------------------------------------

    /// After a crash the evidence of an earlier stop says nothing, however bad it is.
    @Test
    void anUncleanStopDoesNotDependOnIt() throws Exception {
        nodes.server.close();
        try (NodeProcess server = new NodeProcess(nodes.serverPaths)) {
            server.start();
            server.awaitAnswer();
            server.api.add(TwoNodes.addRequest("home", disk, 64L * MIB));
            String uri = server.api.attach(HOME).uri();
            TwoNodes.until("in sync", () -> isInSync(server));
            server.api.detach(HOME);
            server.api.attach(HOME);
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 1M 1M", "-c", "flush", uri);
            TwoNodes.until("in sync", () -> isInSync(server));
            server.kill();
            Files.write(nodes.serverPaths.state().resolve("resources/home/evidence"), new byte[10]);
            server.start();
            server.awaitAnswer();
            TwoNodes.until("in sync", () -> isInSync(server));
            List<String> kinds = new ArrayList<>();
            server.api.events(
                    new ControlApi.EventsRequest(0, false), event -> kinds.add(event.kind()));
            assertFalse(kinds.contains("evidence-missing"), kinds.toString());
            assertFalse(kinds.contains("written-past"), kinds.toString());
        }
        nodes.startServer();
    }

    private static boolean isInSync(NodeProcess server) {
        return server.resource("home")
                .filter(
                        home ->
                                home.replication().equals("ESTABLISHED")
                                        && home.committed().equals(home.position())
                                        && home.behind().orElseThrow().bytes() == 0)
                .isPresent();
    }

    // ---- the parts of it ---------------------------------------------------------------------

    private void addWithPoint(Path device) throws Exception {
        nodes.addAndAttach("home", device, 64L * MIB);
        nodes.untilInSync("home");
        // Restarted, so that the bytes of the first sync are not counted.
        nodes.server.close();
        nodes.startServer();
        nodes.untilInSync("home");
    }

    /// @return its notes about what was written past us
    private List<String> attach() throws ProblemException {
        return nodes.server.attach(HOME).notes().stream()
                .filter(note -> note.contains("past Holdfast"))
                .toList();
    }

    private void spoil(long offset, int length) throws IOException {
        byte[] data = new byte[length];
        new Random(offset).nextBytes(data);
        try (FileChannel file = FileChannel.open(disk, StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.wrap(data), offset);
        }
    }

    private void writeThroughTheExport(long offset) throws Exception {
        try (BlockClient client =
                new BlockClient(nodes.serverPaths.run().resolve("home.nbd"), "home")) {
            client.write(offset, ByteBuffer.wrap(new byte[64 << 10]), true);
        }
    }

    private String trouble() {
        return nodes.atServer("home").trouble().orElse("");
    }

    private long sentBytes() {
        StatusReport.Link link = nodes.server.status().link().orElseThrow();
        return link.sentWireBytes() + link.receivedWireBytes();
    }

    /// Texts of the events of these kinds since the server was started.
    private List<String> events(String... kinds) throws InterruptedException {
        List<String> texts = new ArrayList<>();
        nodes.server.events(
                new ControlApi.EventsRequest(0, false),
                event -> {
                    if (List.of(kinds).contains(event.kind())) {
                        texts.add(event.text());
                    }
                });
        return texts;
    }

    private void assertCopyIsSame() throws Exception {
        ControlApi.OpenReply view =
                nodes.backup.open(new ControlApi.OpenRequest("home", java.util.Optional.empty()));
        String uri = view.view().uri();
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.toString(), uri);
        nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
    }
}
