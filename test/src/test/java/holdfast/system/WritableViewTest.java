package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.StatusTable;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;

/// A view that can be written to, judged by clients that nobody here wrote: what they write is
/// there, the copy and the next view do not have it, replication goes on beside it.
@ResourceLock(value = "mounts and loop devices", mode = ResourceAccessMode.READ)
class WritableViewTest {
    private static final int DISK_BYTES = 32 << 20;

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path disk;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        byte[] content = new byte[DISK_BYTES];
        new Random(11).nextBytes(content);
        disk = Files.write(dir.resolve("disk.img"), content);
        nodes.addAndAttach("home", disk);
        nodes.untilInSync("home");
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    private ControlApi.OpenReply open(Optional<Long> overlayBytes) throws ProblemException {
        return nodes.backup.open(
                new ControlApi.OpenRequest(
                        "home", Optional.empty(), true, overlayBytes, Optional.empty(), false));
    }

    private void close(ControlApi.OpenReply opened) throws ProblemException {
        nodes.backup.closeView(new ControlApi.CloseRequest(opened.view().id()));
    }

    private StatusReport.Overlay overlay(ControlApi.OpenReply opened) {
        return nodes.backup.status().resource("home").orElseThrow().views().stream()
                .filter(each -> each.id().equals(opened.view().id()))
                .findFirst()
                .orElseThrow()
                .overlay()
                .orElseThrow();
    }

    @Test
    void clientsWriteAndReadItAndTheCopyStaysAsItWas() throws Exception {
        ControlApi.OpenReply opened = open(Optional.empty());
        String uri = opened.view().uri();
        Run.ok(
                "qemu-io",
                "-f",
                "raw",
                "-c",
                "write -P 0x5a 1000k 300k",
                "-c",
                "write -P 0x5b 512 512",
                "-c",
                "write -z 8M 1M",
                "-c",
                "write -z -u 9M 1M",
                "-c",
                "write -f -P 0x5c 16M 64k",
                "-c",
                "discard 20M 1M",
                "-c",
                "flush",
                "-c",
                "read -P 0x5a 1000k 300k",
                "-c",
                "read -P 0x5b 512 512",
                "-c",
                "read -P 0 8M 2M",
                "-c",
                "read -P 0x5c 16M 64k",
                "-c",
                "read -P 0 20M 1M",
                uri);
        assertTrue(overlay(opened).usedBytes() > 1 << 20, overlay(opened).toString());
        assertTrue(overlay(opened).usedBytes() < 3 << 20, overlay(opened).toString());
        String table = StatusTable.of(nodes.backup.status(), ZoneOffset.UTC);
        assertTrue(table.contains("writable, overlay 1.4 MiB of 256 MiB"), table);
        Run.ok(
                "fio",
                "--name=x",
                "--ioengine=nbd",
                "--uri=" + uri,
                "--rw=randrw",
                "--bsrange=512-128k",
                "--verify=crc32c",
                "--iodepth=32",
                "--size=12m",
                "--offset=16m",
                "--verify_fatal=1",
                "--verify_state_save=0");
        Path image = dir.resolve("other.img");
        byte[] other = new byte[DISK_BYTES];
        new Random(12).nextBytes(other);
        Files.write(image, other);
        Run.ok("nbdcopy", "--connections=4", "--requests=64", "--flush", image.toString(), uri);
        Path back = dir.resolve("back.img");
        Run.ok("nbdcopy", uri, back.toString());
        assertEquals(-1, Files.mismatch(image, back));
        requireCopyIs(disk);
        // Replication goes on beside it.
        Run.ok(
                "qemu-io",
                "-f",
                "raw",
                "-c",
                "write -P 0x77 28M 64k",
                nodes.atServer("home").export().orElseThrow().uri());
        nodes.untilInSync("home");
        Run.ok("nbdcopy", uri, back.toString());
        assertEquals(-1, Files.mismatch(image, back));
        close(opened);
        requireCopyIs(disk);
        try (Stream<Path> files = Files.list(dir.resolve("storage"))) {
            assertFalse(files.anyMatch(each -> each.toString().endsWith(".overlay")));
        }
    }

    private void requireCopyIs(Path image) throws Exception {
        ControlApi.OpenReply view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
        assertEquals(Optional.empty(), view.view().overlay());
        Path copy = dir.resolve("copy.img");
        Run.ok("nbdcopy", view.view().uri(), copy.toString());
        close(view);
        assertEquals(-1, Files.mismatch(image, copy));
    }

    @Test
    void aFilesystemIsMadeUsedAndCheckedOnIt() throws Exception {
        ControlApi.OpenReply opened = open(Optional.empty());
        Path here = Files.createDirectory(dir.resolve("fs"));
        Path image = dir.resolve("fs.img");
        try (MountedExport mounted = new MountedExport(here, opened.view().uri())) {
            for (int i = 0; i < 200; i++) {
                Files.write(mounted.root.resolve("file" + i), new byte[100 * i]);
            }
            Run.ok("sync", "-f", mounted.root.toString());
            for (int i = 0; i < 200; i += 3) {
                Files.delete(mounted.root.resolve("file" + i));
            }
            Run.ok("fstrim", mounted.root.toString());
        }
        Run.ok("nbdcopy", opened.view().uri(), image.toString());
        Run.ok("e2fsck", "-fn", image.toString());
        MountedExport.look(
                image,
                dir.resolve("look"),
                root -> {
                    assertFalse(Files.exists(root.resolve("file3")));
                    assertEquals(100 * 199, Files.size(root.resolve("file199")));
                });
        close(opened);
        requireCopyIs(disk);
    }

    @Test
    void itsLimitEndsWithEnospcAndOneEvent() throws Exception {
        ControlApi.OpenReply opened = open(Optional.of(2L << 20));
        String said =
                Run.anyway(
                        "qemu-io",
                        "-f",
                        "raw",
                        "-c",
                        "write -P 1 0 1M",
                        "-c",
                        "write -P 2 8M 2M",
                        "-c",
                        "write -P 2 16M 2M",
                        "-c",
                        "read -P 1 0 1M",
                        opened.view().uri());
        assertTrue(said.contains("No space left on device"), said);
        assertFalse(said.contains("Pattern verification failed"), said);
        assertEquals(new StatusReport.Overlay(1 << 20, 2 << 20, true), overlay(opened));
        List<String> events = new ArrayList<>();
        nodes.backup.events(
                new ControlApi.EventsRequest(0, false),
                event -> {
                    if (event.kind().equals("overlay-full")) {
                        events.add(event.text());
                    }
                });
        assertEquals(1, events.size(), events.toString());
        close(opened);
        requireCopyIs(disk);
    }

    @Test
    void moreThanThereIsRoomForIsNotOpened() {
        ProblemException refused =
                assertThrows(ProblemException.class, () -> open(Optional.of(1L << 60)));
        assertTrue(
                refused.problem().text().contains("no room for an overlay"),
                refused.problem().text());
        assertEquals(List.of(), nodes.backup.status().resource("home").orElseThrow().views());
    }

    @Test
    void itIsServedWhereTheUserWantsItAndEndsWithItsUse() throws Exception {
        Path socket = dir.resolve("s");
        ControlApi.OpenReply opened =
                nodes.backup.open(
                        new ControlApi.OpenRequest(
                                "home",
                                Optional.of("latest"),
                                false,
                                Optional.empty(),
                                Optional.of(socket.toString()),
                                true));
        Run.ok("nbdinfo", "nbd+unix:///?socket=" + socket);
        assertEquals(socket.toString(), opened.view().socket());
        TwoNodes.until(
                "it is closed",
                () -> nodes.backup.status().resource("home").orElseThrow().views().isEmpty());
        assertFalse(Files.exists(socket));
    }

    @Test
    void severalVolumesShareOneLimit() throws Exception {
        Path data = Files.write(dir.resolve("data.img"), new byte[8 << 20]);
        Path log = Files.write(dir.resolve("log.img"), new byte[4 << 20]);
        nodes.server.add(
                new ControlApi.AddRequest(
                        "db",
                        List.of(data.toString(), log.toString()),
                        Optional.empty(),
                        Optional.empty(),
                        Optional.of(16L << 20),
                        false));
        nodes.server.attach(new ControlApi.NameRequest("db"));
        nodes.untilInSync("db");
        ControlApi.OpenReply opened =
                nodes.backup.open(
                        new ControlApi.OpenRequest(
                                "db",
                                Optional.empty(),
                                true,
                                Optional.of(3L << 20),
                                Optional.empty(),
                                false));
        List<String> uris =
                opened.view().volumes().stream().map(each -> each.uri().orElseThrow()).toList();
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 1 0 2M", uris.get(0));
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 2 0 1M", uris.get(1));
        assertTrue(
                Run.anyway("qemu-io", "-f", "raw", "-c", "write -P 2 1M 64k", uris.get(1))
                        .contains("No space left on device"));
        Run.ok(
                "qemu-io",
                "-f",
                "raw",
                "-c",
                "read -P 1 0 2M",
                "-c",
                "read -P 0 2M 6M",
                uris.get(0));
        Run.ok(
                "qemu-io",
                "-f",
                "raw",
                "-c",
                "read -P 2 0 1M",
                "-c",
                "read -P 0 1M 3M",
                uris.get(1));
        close(opened);
    }
}
