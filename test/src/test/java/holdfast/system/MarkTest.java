package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlApi.Marked;
import holdfast.replicator.control.DaemonEntry;
import holdfast.replicator.control.Extract;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;

/// `mark` at the server names a moment of the copy, with real daemons and clients.
class MarkTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private TwoNodes nodes;
    private String device;

    private interface Story {
        void tell() throws Exception;
    }

    private void with(Story story) throws Exception {
        Path disk = Files.write(dir.resolve("disk.img"), new byte[8 * MIB]);
        try (TwoNodes both = new TwoNodes(dir)) {
            nodes = both;
            nodes.pair();
            device = nodes.addAndAttach("home", disk);
            nodes.untilInSync("home");
            story.tell();
        }
    }

    /// The first MiB says which write this was. It is answered, and may be on its way.
    private void write(int number) throws Exception {
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P %d 0 1M".formatted(number), device);
    }

    private ControlApi.MarkReply mark(String as) throws Exception {
        return nodes.server.mark(new ControlApi.MarkRequest("home", as));
    }

    private Problem notMarked(String as) {
        return assertThrows(ProblemException.class, () -> mark(as)).problem();
    }

    private List<String> marked() throws Exception {
        return nodes.backup.points(HOME).marked().stream().map(Marked::as).toList();
    }

    private void shows(int number, String at) throws Exception {
        StatusReport.View view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.of(at))).view();
        shows(number, view, view.uri());
        nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
    }

    private static void shows(int number, Object what, String uri) throws Exception {
        String command = "read -P %d 0 1M".formatted(number);
        String seen = Run.anyway("qemu-io", "-r", "-f", "raw", "-c", command, uri);
        assertFalse(seen.contains("failed") || seen.contains("can't"), () -> what + ": " + seen);
    }

    @Test
    void aMarkIsEverythingAnsweredUntilThenAndNothingLater() throws Exception {
        with(
                () -> {
                    for (int i = 1; i <= 5; i++) {
                        write(i);
                        assertEquals("backup", mark("m" + i).host());
                        write(i + 100);
                    }
                    nodes.untilInSync("home");
                    assertEquals(List.of("m1", "m2", "m3", "m4", "m5"), marked());
                    for (int i = 1; i <= 5; i++) {
                        shows(i, "m" + i);
                        shows(
                                i,
                                "by name",
                                "nbd+unix:///home@m%d?socket=%s"
                                        .formatted(i, nodes.backupPaths.run().resolve("home.nbd")));
                    }
                    nodes.backup.close();
                    nodes.startBackup();
                    assertEquals(List.of("m1", "m2", "m3", "m4", "m5"), marked());
                    shows(2, "m2");
                    shows(105, "latest");
                    String list =
                            Run.ok(
                                    "nbdinfo",
                                    "--list",
                                    "nbd+unix://?socket="
                                            + nodes.backupPaths.run().resolve("home.nbd"));
                    assertTrue(list.contains("export=\"home@m3\""), list);
                    assertTrue(list.contains("marked by the primary"), list);
                });
    }

    @Test
    void aMarkedMomentIsKeptAndPromoted() throws Exception {
        with(
                () -> {
                    write(1);
                    mark("before");
                    write(2);
                    nodes.untilInSync("home");
                    nodes.backup.keep(
                            new ControlApi.KeepRequest(
                                    "home", "before", Optional.of("before"), Optional.empty()));
                    shows(1, "before");
                    mark("between");
                    write(3);
                    nodes.untilInSync("home");
                    String third = nodes.backup.points(HOME).newest().get().time().toString();
                    nodes.server.detach(HOME);
                    nodes.backup.promote(
                            new ControlApi.PromoteRequest(
                                    "home", Optional.of("between"), false, false));
                    String uri = nodes.backup.status().resource("home").get().export().get().uri();
                    shows(2, "promoted", uri);
                    shows(1, "before");
                    shows(3, third);
                });
    }

    @Test
    void extractFindsItInTheFilesAlone() throws Exception {
        with(
                () -> {
                    write(1);
                    mark("before");
                    write(2);
                    nodes.untilInSync("home");
                    nodes.backup.close();
                    nodes.backup = null;
                    Path to = dir.resolve("extracted.img");
                    extract("before", to);
                    assertEquals(1, Files.readAllBytes(to)[0]);
                    Exception none =
                            assertThrows(
                                    Exception.class,
                                    () -> extract("befor", dir.resolve("none.img")));
                    assertTrue(none.getMessage().contains("no mark of the name"), none::toString);
                });
    }

    private void extract(String at, Path to) throws Exception {
        Path storage = dir.resolve("storage");
        ServiceLoader.load(DaemonEntry.class)
                .findFirst()
                .orElseThrow()
                .extract(
                        new Extract.Request(
                                storage.resolve("home.img"),
                                storage.resolve("home.journal"),
                                Optional.of(
                                        nodes.backupPaths
                                                .state()
                                                .resolve("resources/home/superblock")),
                                Optional.empty(),
                                Optional.empty(),
                                Optional.empty(),
                                to,
                                Optional.of(at)),
                        (_, _) -> {});
    }

    @Test
    void whatCannotBeMarkedIsRefusedAndSaysWhatToType() throws Exception {
        with(
                () -> {
                    write(1);
                    mark("once");
                    write(2);
                    assertTrue(notMarked("once").cause().contains("already"));
                    shows(1, "once");
                    assertEquals(2, notMarked("a/b").exitCode());
                    assertEquals(2, notMarked("latest").exitCode());
                    Problem elsewhere =
                            assertThrows(
                                            ProblemException.class,
                                            () ->
                                                    nodes.backup.mark(
                                                            new ControlApi.MarkRequest(
                                                                    "home", "here")))
                                    .problem();
                    assertTrue(elsewhere.toString().contains("at server: holdfast mark home"));

                    nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
                    Problem alone = notMarked("alone");
                    assertTrue(alone.cause().contains("disconnected"), alone::toString);
                    nodes.server.connect(new ControlApi.LinkRequest(Optional.of("home")));
                    nodes.untilInSync("home");
                    mark("together");

                    nodes.backup.close();
                    nodes.backup = null;
                    TwoNodes.until(
                            "the peer is away",
                            () -> !nodes.server.status().link().get().isConnected());
                    Problem away = notMarked("away");
                    assertEquals(5, away.exitCode());
                    assertTrue(away.cause().contains("cannot be reached"), away::toString);
                    nodes.startBackup();
                    nodes.untilInSync("home");
                    assertEquals(List.of("once", "together"), marked());

                    nodes.server.detach(HOME);
                    assertTrue(notMarked("detached").cause().contains("not attached"));
                });
    }
}
