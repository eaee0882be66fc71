package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;

/// Several volumes in one resource (R28): they have one role, one order and one fate, and each is
/// an export of its own. [VolumeOrderTest] has the order.
class VolumesTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest DB = new ControlApi.NameRequest("db");

    @TempDir Path dir;

    private final List<Path> disks = new ArrayList<>();

    private TwoNodes added() throws Exception {
        makeDisk("data.img", 10 * MIB + 512);
        makeDisk("log.img", 6 * MIB);
        TwoNodes nodes = new TwoNodes(dir);
        try {
            nodes.pair();
            nodes.server.add(request(disks, Optional.empty()));
            nodes.server.attach(DB);
            nodes.untilInSync("db");
            return nodes;
        } catch (Exception | Error e) {
            nodes.close();
            throw e;
        }
    }

    private void makeDisk(String name, int bytes) throws IOException {
        byte[] content = new byte[bytes];
        new Random(bytes).nextBytes(content);
        disks.add(Files.write(dir.resolve(name), content));
    }

    private static ControlApi.AddRequest request(List<Path> disks, Optional<List<String>> atPeer) {
        return new ControlApi.AddRequest(
                "db",
                disks.stream().map(Path::toString).toList(),
                atPeer,
                Optional.empty(),
                Optional.of(64L * MIB),
                false);
    }

    private static String uri(TwoNodes nodes, int volume) {
        return nodes.atServer("db").volumes().get(volume).uri().orElseThrow();
    }

    private static void write(TwoNodes nodes, int volume, String... commands) throws Exception {
        List<String> line = new ArrayList<>(List.of("qemu-io", "-f", "raw"));
        for (String each : commands) {
            line.add("-c");
            line.add(each);
        }
        line.add(uri(nodes, volume));
        Run.ok(line.toArray(String[]::new));
    }

    /// Each volume of the newest point is what the server's disk is.
    private void assertCopyIsSame(TwoNodes nodes) throws Exception {
        ControlApi.OpenReply opened =
                nodes.backup.open(new ControlApi.OpenRequest("db", Optional.empty()));
        try {
            List<StatusReport.Volume> volumes = opened.view().volumes();
            assertEquals(disks.size(), volumes.size());
            long bytes = 0;
            for (StatusReport.Volume each : volumes) {
                Path disk = disks.get(each.number());
                bytes += Files.size(disk);
                assertEquals(Files.size(disk), each.sizeBytes());
                Run.ok(
                        "qemu-img",
                        "compare",
                        "-f",
                        "raw",
                        "-F",
                        "raw",
                        disk.toString(),
                        each.uri().orElseThrow());
            }
            assertEquals(bytes, opened.sizeBytes());
        } finally {
            nodes.backup.closeView(new ControlApi.CloseRequest(opened.view().id()));
        }
    }

    /// By the names that clients find by themselves.
    private void assertNamedExportsAreTheDisks(TwoNodes nodes) throws Exception {
        Path socket = nodes.backupPaths.run().resolve("db.nbd");
        String list = Run.ok("nbdinfo", "--list", "nbd+unix://?socket=" + socket);
        for (int i = 0; i < disks.size(); i++) {
            String name = (i == 0 ? "db" : "db/" + i) + "@latest";
            assertTrue(list.contains("export=\"" + name + "\":"), list);
            Path read = dir.resolve("read.img");
            Run.ok("nbdcopy", "nbd+unix:///" + name + "?socket=" + socket, read.toString());
            assertEquals(-1, Files.mismatch(disks.get(i), read));
        }
    }

    // ---- the main job ------------------------------------------------------------------------

    @Test
    void eachVolumeIsAnExportAndTheirCopyIsOfOneMoment() throws Exception {
        try (TwoNodes nodes = added()) {
            assertCopyIsSame(nodes);
            Path socket = nodes.serverPaths.run().resolve("db.nbd");
            assertEquals("nbd+unix:///db?socket=" + socket, uri(nodes, 0));
            assertEquals("nbd+unix:///db/1?socket=" + socket, uri(nodes, 1));
            String list = Run.ok("nbdinfo", "--list", "nbd+unix://?socket=" + socket);
            assertTrue(list.contains("export=\"db\":") && list.contains("export=\"db/1\":"), list);
            assertEquals(16 * MIB + 512, nodes.atServer("db").sizeBytes());

            write(nodes, 0, "write -P 0x11 1M 3M", "write -z 5M 1M", "discard 7M 64k", "flush");
            write(nodes, 1, "write -P 0x22 2M 3M", "write -f -P 0x23 0 512", "flush");
            nodes.untilInSync("db");
            assertCopyIsSame(nodes);
            assertNamedExportsAreTheDisks(nodes);

            // An outage, and a restart of either side.
            nodes.backup.close();
            write(nodes, 0, "write -P 0x31 0 1M");
            write(nodes, 1, "write -P 0x32 1M 1M");
            nodes.startBackup();
            nodes.untilInSync("db");
            assertCopyIsSame(nodes);
            nodes.server.close();
            nodes.startServer();
            nodes.untilInSync("db");
            write(nodes, 1, "write -P 0x41 5M 1M");
            nodes.untilInSync("db");
            assertCopyIsSame(nodes);
            try (var images = Files.list(dir.resolve("storage"))) {
                assertEquals(
                        List.of("db.1.img", "db.img", "db.journal"),
                        images.map(each -> each.getFileName().toString()).sorted().toList());
            }
        }
    }

    /// The copy is spoilt behind our back in both volumes; everything is compared and mended.
    @Test
    void allOfThemAreComparedAndMended() throws Exception {
        try (TwoNodes nodes = added()) {
            nodes.backup.close();
            for (String image : List.of("db.img", "db.1.img")) {
                spoil(dir.resolve("storage").resolve(image), 3 * MIB + 100, 5000);
            }
            nodes.startBackup();
            nodes.untilInSync("db");
            nodes.server.invalidateRemote(DB);
            TwoNodes.until("compared", () -> hasCompared(nodes));
            nodes.untilInSync("db");
            assertCopyIsSame(nodes);
        }
    }

    private static boolean hasCompared(TwoNodes nodes) throws InterruptedException {
        AtomicBoolean found = new AtomicBoolean();
        nodes.server.events(
                new ControlApi.EventsRequest(0, false),
                event -> found.compareAndSet(false, event.kind().equals("compared")));
        return found.get();
    }

    @Test
    void aWritePastUsOnTheSecondVolumeIsSaidAndMended() throws Exception {
        try (TwoNodes nodes = added()) {
            nodes.server.detach(DB);
            assertEquals(List.of(), noted(nodes.server.attach(DB)));
            nodes.untilInSync("db");
            nodes.server.detach(DB);
            spoil(disks.get(1), 0, 512);
            String note = String.join("\n", nodes.server.attach(DB).notes());
            assertTrue(note.contains("one of " + disks.get(0) + ", " + disks.get(1)), note);
            assertTrue(note.contains("of volume 1 the file's time of change is "), note);
            assertTrue(note.contains("the first at byte 0 of volume 1"), note);
            assertFalse(note.contains("of volume 0"), note);
            TwoNodes.until("over", () -> nodes.atServer("db").trouble().isEmpty());
            assertCopyIsSame(nodes);
        }
    }

    private static List<String> noted(ControlApi.AttachReply reply) {
        return reply.notes().stream().filter(each -> !each.contains("modprobe nbd")).toList();
    }

    @Test
    void disksThatHaveChangedPlacesAreNotExported() throws Exception {
        makeDisk("data.img", MIB);
        makeDisk("log.img", MIB);
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.server.add(request(disks, Optional.empty()));
            nodes.server.attach(DB);
            nodes.untilInSync("db");
            nodes.server.detach(DB);
            Path aside = dir.resolve("aside.img");
            Files.move(disks.get(0), aside);
            Files.move(disks.get(1), disks.get(0));
            Files.move(aside, disks.get(1));
            String refusal =
                    assertThrows(ProblemException.class, () -> nodes.server.attach(DB))
                            .problem()
                            .text();
            assertTrue(refusal.contains("the disks of db have changed places"), refusal);
            Files.move(disks.get(1), aside);
            Files.move(disks.get(0), disks.get(1));
            Files.move(aside, disks.get(0));
            assertEquals(List.of(), noted(nodes.server.attach(DB)));
            nodes.untilInSync("db");
            assertCopyIsSame(nodes);
        }
    }

    private static void spoil(Path file, long at, int bytes) throws IOException {
        byte[] other = new byte[bytes];
        new Random(at).nextBytes(other);
        try (var open = new RandomAccessFile(file.toFile(), "rw")) {
            open.seek(at);
            open.write(other);
        }
    }

    // ---- growth ------------------------------------------------------------------------------

    /// The second growth of volume 0 is in the middle of the addresses by then; a write over the
    /// end of its first segment is in two pieces.
    @Test
    void anyOfThemGrowsAndTheOthersStayWhereTheyAre() throws Exception {
        try (TwoNodes nodes = added()) {
            for (int volume : List.of(0, 1, 0)) {
                long was = Files.size(disks.get(volume));
                enlarge(disks.get(volume), was + 3 * MIB + 512);
                String done = String.join(" ", nodes.server.resize(DB).lines());
                String sizes = Files.size(disks.get(0)) + " + " + Files.size(disks.get(1));
                assertTrue(done.contains("has " + sizes + " bytes, and so has its copy"), done);
                write(nodes, volume, "write -P 0x5%d %d 1M".formatted(volume, was - MIB / 2));
                write(nodes, volume, "read -P 0x5%d %d 1M".formatted(volume, was - MIB / 2));
                write(nodes, volume, "write -z %d 64k".formatted(was - 1024));
                nodes.untilInSync("db");
                assertCopyIsSame(nodes);
            }
            enlarge(disks.get(0), Files.size(disks.get(0)) + MIB);
            enlarge(disks.get(1), Files.size(disks.get(1)) + MIB);
            nodes.backup.close();
            nodes.server.resize(DB);
            String trouble = nodes.atServer("db").trouble().orElse("");
            assertTrue(trouble.contains("it is to have "), trouble);
            nodes.server.close();
            nodes.startServer();
            nodes.startBackup();
            long all = Files.size(disks.get(0)) + Files.size(disks.get(1));
            nodes.untilServer("db", "larger", r -> r.sizeBytes() == all);
            nodes.untilInSync("db");
            assertCopyIsSame(nodes);
            // And it is durable.
            nodes.server.close();
            nodes.backup.close();
            nodes.startBackup();
            nodes.startServer();
            nodes.untilInSync("db");
            assertCopyIsSame(nodes);
        }
    }

    private static void enlarge(Path disk, long to) throws IOException {
        byte[] more = new byte[MIB];
        new Random(to).nextBytes(more);
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            long was = file.length();
            file.setLength(to);
            file.seek(was);
            file.write(more, 0, (int) Math.min(more.length, to - was));
        }
    }

    // ---- what is wrong -----------------------------------------------------------------------

    @Test
    void whatCannotBeIsNamed() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            makeDisk("data.img", 10 * MIB);
            makeDisk("log.img", 6 * MIB);
            Path link = Files.createSymbolicLink(dir.resolve("link"), disks.get(0));
            requireRefusal(
                    nodes,
                    List.of(disks.get(0), link),
                    Optional.empty(),
                    link + " is the disk of volume 0 and of volume 1");
            requireRefusal(
                    nodes,
                    disks,
                    Optional.of(List.of("/dev/one")),
                    "2 disks here and 1 at the peer");
            Path small = dir.resolve("storage/small.img");
            Files.write(small, new byte[4 * MIB]);
            requireRefusal(
                    nodes,
                    disks,
                    Optional.of(List.of(dir.resolve("storage/new.img").toString(), "" + small)),
                    small + " is too small");
            assertFalse(Files.exists(dir.resolve("storage/new.img")));
            requireRefusal(
                    nodes,
                    List.of(disks.get(0), dir.resolve("none")),
                    Optional.empty(),
                    dir.resolve("none").toString());

            nodes.server.add(request(disks, Optional.empty()));
            nodes.server.attach(DB);
            nodes.untilInSync("db");
            Problem taken =
                    refusal(
                            () ->
                                    nodes.server.add(
                                            TwoNodes.addRequest("mail", disks.get(1), 16 * MIB)));
            assertTrue(taken.text().contains("it is the disk of the resource db already"));
            nodes.server.detach(DB);

            Path away = Files.move(disks.get(1), dir.resolve("away"));
            Problem missing = refusal(() -> nodes.server.attach(DB));
            assertTrue(missing.text().contains("volume 1 of db: " + disks.get(1)), missing.text());
            Files.move(away, disks.get(1));
            try (var file = new RandomAccessFile(disks.get(1).toFile(), "rw")) {
                file.setLength(5 * MIB);
                Problem shrunk = refusal(() -> nodes.server.attach(DB));
                assertTrue(
                        shrunk.text()
                                .contains(
                                        "%s has 5242880 bytes, volume 1 of db has 6291456"
                                                .formatted(disks.get(1))),
                        shrunk.text());
                file.setLength(6 * MIB);
            }
        }
    }

    private static void requireRefusal(
            TwoNodes nodes, List<Path> disks, Optional<List<String>> atPeer, String words) {
        Problem problem =
                assertThrows(ProblemException.class, () -> nodes.server.add(request(disks, atPeer)))
                        .problem();
        assertTrue(problem.text().contains(words), problem.text());
    }

    private static Problem refusal(org.junit.jupiter.api.function.Executable order) {
        return assertThrows(ProblemException.class, order).problem();
    }

    @Test
    void removalLeavesNothingOfTheCopyAndTheDisksAsTheyAre() throws Exception {
        try (TwoNodes nodes = added()) {
            write(nodes, 1, "write -P 0x22 2M 1M");
            byte[] data = Files.readAllBytes(disks.get(0));
            String gone =
                    String.join(
                            "\n",
                            nodes.backup
                                    .remove(new ControlApi.RemoveRequest("db", false, true, NONE))
                                    .effects());
            assertTrue(gone.contains("db.img, ") && gone.contains("db.1.img"), gone);
            for (var node : List.of(nodes.server, nodes.backup)) {
                String confirm =
                        node.remove(new ControlApi.RemoveRequest("db", false, true, NONE))
                                .confirm();
                node.remove(new ControlApi.RemoveRequest("db", false, false, Optional.of(confirm)));
            }
            try (var images = Files.list(dir.resolve("storage"))) {
                assertEquals(List.of(), images.toList());
            }
            assertArrayEquals(data, Files.readAllBytes(disks.get(0)));
        }
    }

    private static final Optional<String> NONE = Optional.empty();
}
