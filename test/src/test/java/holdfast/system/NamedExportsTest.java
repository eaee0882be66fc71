package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/// Moments of a copy that NBD clients find by themselves on the socket of the resource, without an
/// `open` before: stock clients, real daemons.
class NamedExportsTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private TwoNodes nodes;
    private String device;

    private interface Story {
        void tell() throws Exception;
    }

    private void with(String backupToml, Story story) throws Exception {
        Path disk = Files.write(dir.resolve("disk.img"), new byte[8 * MIB]);
        try (TwoNodes both = new TwoNodes(dir, "", backupToml)) {
            nodes = both;
            nodes.pair();
            device = nodes.addAndAttach("home", disk);
            write(1);
            story.tell();
        }
    }

    /// The first MiB says which write this was.
    private void write(int number) throws Exception {
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P %d 0 1M".formatted(number), device);
        nodes.untilInSync("home");
    }

    private Path socket() {
        return nodes.backupPaths.run().resolve("home.nbd");
    }

    private String uri(String export) {
        return "nbd+unix:///" + export + "?socket=" + socket();
    }

    private String list() throws Exception {
        return Run.ok("nbdinfo", "--list", uri(""));
    }

    private void shows(int number, String uri) throws Exception {
        String seen =
                Run.anyway(
                        "qemu-io",
                        "-r",
                        "-f",
                        "raw",
                        "-c",
                        "read -P %d 0 1M".formatted(number),
                        uri);
        assertFalse(seen.contains("failed") || seen.contains("can't"), seen);
    }

    private List<StatusReport.View> views() {
        return nodes.backup.status().resource("home").orElseThrow().views();
    }

    private void untilNoView() {
        TwoNodes.until("no view is open", () -> views().isEmpty());
    }

    private StatusReport.View open(boolean writable) throws Exception {
        return nodes.backup
                .open(
                        new ControlApi.OpenRequest(
                                "home",
                                Optional.empty(),
                                writable,
                                Optional.empty(),
                                Optional.empty(),
                                false))
                .view();
    }

    private void keep(String as) throws Exception {
        nodes.backup.keep(
                new ControlApi.KeepRequest("home", as, Optional.empty(), Optional.empty()));
    }

    // ---- what there is -----------------------------------------------------------------------

    @Test
    void theListHasTheNewestTheKeptAndTheOpenMoments() throws Exception {
        with(
                "",
                () -> {
                    keep("before-upgrade");
                    write(2);
                    StatusReport.View view = open(false);
                    String list = list();
                    assertTrue(list.contains("export=\"home@latest\""), list);
                    assertTrue(list.contains("export=\"home@before-upgrade\""), list);
                    assertTrue(list.contains("export=\"" + view.id() + "\""), list);
                    assertTrue(list.contains("kept until") && list.contains("as it was at"), list);
                    String qemu = Run.ok("qemu-nbd", "-L", "-k", socket().toString());
                    assertTrue(qemu.contains("exports available: 3"), qemu);
                    shows(1, uri("home@before-upgrade"));
                    shows(2, uri("home@latest"));
                    shows(2, uri(view.id()));
                    String points = nodes.backup.points(HOME).uri();
                    assertEquals(uri("home@latest"), points);
                    nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
                    untilNoView();
                });
    }

    @Test
    void momentsAreOpenedByNameAndByTime() throws Exception {
        with(
                "",
                () -> {
                    Instant first = nodes.atServer("home").copyTime().orElseThrow();
                    TwoNodes.until(
                            "a second has passed",
                            () -> first.plusSeconds(2).isBefore(Instant.now()));
                    write(2);
                    Path now = dir.resolve("now.img");
                    Run.ok("nbdcopy", "--connections=4", uri("home@latest"), now.toString());
                    assertEquals(-1, Files.mismatch(dir.resolve("disk.img"), now));
                    shows(1, uri("home@" + first));
                    shows(2, uri("home@-0s"));
                    shows(2, uri("")); // The only volume's newest moment needs no name.
                    Path then = dir.resolve("then.img");
                    Run.ok(
                            "qemu-img",
                            "convert",
                            "-f",
                            "raw",
                            "-O",
                            "raw",
                            uri("home@" + first),
                            then.toString());
                    assertEquals(1, Files.readAllBytes(then)[0]);
                    untilNoView();
                });
    }

    @Test
    void aViewEndsWithItsLastClientAndIsTheSameForAllUntilThen() throws Exception {
        with(
                "",
                () -> {
                    try (BlockClient early = new BlockClient(socket(), "home@latest")) {
                        write(2);
                        try (BlockClient late = new BlockClient(socket(), "home@latest")) {
                            assertEquals(1, early.read(0, 1).get(0));
                            assertEquals(1, late.read(0, 1).get(0));
                            assertEquals(2, views().getFirst().clients());
                        }
                        assertEquals(1, early.read(0, 1).get(0));
                        assertEquals(1, views().size());
                    }
                    shows(2, uri("home@latest"));
                    untilNoView();
                });
    }

    // ---- what is refused ---------------------------------------------------------------------

    @Test
    void whatIsNotThereIsRefusedWithCauseAndNextCommand() throws Exception {
        with(
                "",
                () -> {
                    refused(
                            "home@befor-upgrade",
                            "nothing of home is kept or marked under the name");
                    refused("home@2001-01-01T00:00", "the oldest moment is");
                    refused("home@yesterday noon", "should be latest; -15m");
                    refused("home@", "should be latest; -15m");
                    refused("home@+999999999-01-01T00:00:00Z", "should be latest; -15m");
                    refused("home", "promote home --read-only", "home@latest");
                    for (String other : List.of("other@latest", "home/1@latest", "home/1")) {
                        String said = Run.anyway("qemu-img", "info", uri(other));
                        assertTrue(said.contains("no such export"), said);
                    }
                    untilNoView();
                });
    }

    private void refused(String export, String cause) throws Exception {
        refused(export, cause, "points home");
    }

    private void refused(String export, String cause, String next) throws Exception {
        String said = Run.anyway("qemu-img", "info", uri(export.replace(" ", "%20")));
        assertTrue(said.contains(cause) && said.contains(next), said);
    }

    /// As `promote --read-only` has it (R29): the link stays, and nothing is to be undone.
    @Test
    void readOnlyUnderItsOwnNameUntilItIsClosed() throws Exception {
        with(
                "",
                () -> {
                    StatusReport.View view = openUnderName();
                    assertEquals(uri("home"), view.uri());
                    write(2);
                    shows(1, uri("home"));
                    shows(1, uri("")); // The default is what the socket is called by.
                    shows(1, uri(view.id()));
                    shows(2, uri("home@latest"));
                    assertTrue(list().contains("export=\"home\""), list());
                    String said =
                            Run.anyway(
                                    "qemu-io", "-f", "raw", "-c", "write -P 9 0 1M", uri("home"));
                    assertTrue(said.contains("Permission denied"), said);
                    Problem twice =
                            assertThrows(ProblemException.class, this::openUnderName).problem();
                    assertTrue(twice.toString().contains("close " + view.id()), twice::toString);
                    assertEquals(3, twice.exitCode());
                    nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
                    refused("home", "promote home --read-only", "home@latest");
                    openUnderName();
                    shows(2, uri("home"));
                    nodes.server.detach(HOME);
                    nodes.backup.promote(
                            new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
                    Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", uri("home"));
                    assertThrows(ProblemException.class, this::openUnderName);
                });
    }

    private StatusReport.View openUnderName() throws Exception {
        return nodes.backup
                .open(
                        new ControlApi.OpenRequest(
                                "home",
                                Optional.empty(),
                                false,
                                Optional.empty(),
                                Optional.empty(),
                                false,
                                true))
                .view();
    }

    @Test
    void nobodyWritesToThemAndAWritableViewIsWritableByItsNumberToo() throws Exception {
        with(
                "",
                () -> {
                    String said =
                            Run.anyway(
                                    "qemu-io",
                                    "-f",
                                    "raw",
                                    "-c",
                                    "write -P 9 0 1M",
                                    uri("home@latest"));
                    assertTrue(said.contains("Permission denied"), said);
                    StatusReport.View view = open(true);
                    Run.ok("qemu-io", "-f", "raw", "-c", "write -P 9 0 1M", uri(view.id()));
                    shows(9, view.uri());
                    shows(1, uri("home@latest"));
                    nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
                    String gone = Run.anyway("qemu-img", "info", uri(view.id()));
                    assertTrue(gone.contains("no such view is open"), gone);
                });
    }

    @Test
    void soManyMomentsAtOnceAndOneThatIsClosedByOrderEndsItsClients() throws Exception {
        with(
                "",
                () -> {
                    List<BlockClient> clients = new ArrayList<>();
                    try {
                        for (int i = 0; i < 16; i++) {
                            clients.add(new BlockClient(socket(), moment(i)));
                        }
                        String said = Run.anyway("qemu-img", "info", uri("home@latest"));
                        assertTrue(said.contains("16 views of home are open"), said);
                        assertEquals(16, views().size());
                        BlockClient last = clients.getLast();
                        String id =
                                views().stream()
                                        .filter(each -> each.uri().contains(moment(15)))
                                        .findFirst()
                                        .orElseThrow()
                                        .id();
                        nodes.backup.closeView(new ControlApi.CloseRequest(id));
                        assertThrows(IOException.class, () -> last.read(0, 1));
                        assertEquals(1, clients.getFirst().read(0, 1).get(0));
                        shows(1, uri("home@latest"));
                    } finally {
                        for (BlockClient each : clients) {
                            each.close();
                        }
                    }
                    untilNoView();
                });
    }

    /// The journal has 64 MiB.
    @Test
    void aViewThatNobodyHasOrderedGivesWayToACopyThatLacksRoom() throws Exception {
        with(
                "",
                () -> {
                    Path file = nodes.backupPaths.resourceDirectory().resolve("home.toml");
                    String journal =
                            "journal = { size = \"64 MiB\", retention = \"0s\", retention-min = \"0s\" }";
                    Files.writeString(
                            file, Files.readString(file).replaceFirst("journal = .*", journal));
                    nodes.backup.adjust(new ControlApi.AdjustRequest(false));
                    try (BlockClient reader = new BlockClient(socket(), "home@latest")) {
                        assertEquals(1, reader.read(0, 1).get(0));
                        // What does not compress.
                        byte[] bytes = new byte[8 << 20];
                        for (int i = 2; i < 14; i++) {
                            new Random(i).nextBytes(bytes);
                            Path random = Files.write(dir.resolve("random"), bytes);
                            String all = "write -s %s 0 8M".formatted(random);
                            Run.ok("qemu-io", "-f", "raw", "-c", all, device);
                            nodes.untilInSync("home");
                        }
                        assertThrows(IOException.class, () -> reader.read(0, 1));
                    }
                    Run.ok("qemu-io", "-f", "raw", "-c", "write -P 13 0 8M", device);
                    nodes.untilInSync("home");
                    shows(13, uri("home@latest"));
                    untilNoView();
                });
    }

    /// Times that are not there yet are the newest moment, and each is another name.
    private static String moment(int number) {
        return "home@2100-01-%02dT00:00:00Z".formatted(number + 1);
    }

    // ---- over changes ------------------------------------------------------------------------

    @Test
    void overTcpByNameAndWithoutAList() throws Exception {
        int port = Ports.free();
        with(
                "[nbd]\nlisten = \"127.0.0.1:" + port + "\"\n",
                () -> {
                    shows(1, "nbd://127.0.0.1:%d/home@latest".formatted(port));
                    String said = Run.anyway("nbdinfo", "--list", "nbd://127.0.0.1:" + port);
                    assertFalse(said.contains("home@"), said);
                    untilNoView();
                });
    }

    @Test
    void aCopyThatIsPromotedShowsItsMomentsBesideTheDevice() throws Exception {
        with(
                "",
                () -> {
                    keep("before");
                    try (BlockClient reader = new BlockClient(socket(), "home@before")) {
                        nodes.server.detach(HOME);
                        nodes.backup.promote(
                                new ControlApi.PromoteRequest(
                                        "home", Optional.empty(), false, false));
                        assertEquals(1, reader.read(0, 1).get(0));
                        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", uri("home"));
                        String list = list();
                        assertTrue(list.contains("export=\"home\""), list);
                        assertTrue(list.contains("export=\"home@before\""), list);
                        shows(1, uri("home@before"));
                        shows(7, uri("home@latest"));
                    }
                    nodes.backup.detach(HOME);
                    shows(1, uri("home@before"));
                    refused("home", "is not attached", "attach home");
                    refused("", "is not attached", "attach home");
                    Problem notNow =
                            assertThrows(ProblemException.class, this::openUnderName).problem();
                    assertTrue(notNow.cause().contains("was promoted"), notNow::toString);
                    nodes.backup.attach(HOME);
                    shows(7, uri("home"));
                    untilNoView();
                });
    }

    @Test
    void aMomentOnTheDevicesSocketIsClosedByOrderAndHoldsUpAFinalPromotionBeforeItBegins()
            throws Exception {
        with(
                "",
                () -> {
                    Instant before = nodes.atServer("home").copyTime().orElseThrow();
                    nodes.server.detach(HOME);
                    nodes.backup.promote(
                            new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
                    Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", uri("home"));
                    try (BlockClient reader = new BlockClient(socket(), "home@" + before)) {
                        assertEquals(1, reader.read(0, 1).get(0));
                        Problem open = assertThrows(ProblemException.class, this::commit).problem();
                        String id = views().getFirst().id();
                        assertTrue(open.toString().contains("close " + id), open::toString);
                        assertEquals(1, reader.read(0, 1).get(0));
                        nodes.backup.closeView(new ControlApi.CloseRequest(id));
                        assertThrows(IOException.class, () -> reader.read(0, 1));
                        assertEquals(List.of(), views());
                    }
                    shows(1, uri("home@" + before)); // The refusal has cost no moment.
                    untilNoView();
                    commit();
                    String said = Run.anyway("qemu-img", "info", uri("home@" + before));
                    assertTrue(said.contains("no such export"), said);
                    shows(7, uri("home"));
                });
    }

    private void commit() throws Exception {
        nodes.backup.promote(new ControlApi.PromoteRequest("home", Optional.empty(), false, true));
    }

    @Test
    void theyAreThereAgainAfterARestart() throws Exception {
        with(
                "",
                () -> {
                    keep("before");
                    nodes.backup.close();
                    nodes.startBackup();
                    shows(1, uri("home@before"));
                    shows(1, uri("home@latest"));
                    nodes.backup.remove(
                            new ControlApi.RemoveRequest(
                                    "home",
                                    false,
                                    false,
                                    Optional.of(
                                            nodes.backup
                                                    .remove(
                                                            new ControlApi.RemoveRequest(
                                                                    "home",
                                                                    false,
                                                                    true,
                                                                    Optional.empty()))
                                                    .confirm())));
                    assertFalse(Files.exists(socket()));
                });
    }
}
