package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ConfigException;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.daemon.Daemon;
import holdfast.replicator.status.StatusReport;
import holdfast.tunnel.link.Identity;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;

/// What an operator gets wrong, and what a host lacks: each is refused in words that name the
/// cause, and nothing is lost or left behind.
@ResourceLock(value = "mounts and loop devices", mode = ResourceAccessMode.READ)
class BadInputTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private TwoNodes nodes;
    private final List<Path> mounted = new ArrayList<>();
    private final List<String> loops = new ArrayList<>();

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
    }

    @AfterEach
    void stop() throws Exception {
        nodes.close();
        for (Path each : mounted.reversed()) {
            Run.ok("umount", each.toString());
        }
        for (String each : loops) {
            Run.ok("losetup", "-d", each);
        }
    }

    // ---- pairing -----------------------------------------------------------------------------

    @Test
    void aGarbledTokenIsNamedAsSuch() throws Exception {
        String token = invite(30);
        refused(ExitCode.REFUSED, "this is no invitation", () -> join("hf1:hello"));
        char other = token.charAt(20) == 'a' ? 'b' : 'a';
        refused(
                ExitCode.REFUSED,
                "this is no invitation",
                () -> join(token.substring(0, 20) + other + token.substring(21)));
        refused(
                ExitCode.REFUSED,
                "this is no invitation",
                () -> join(token.substring(0, token.length() - 3)));
        assertEquals(List.of(), nodes.server.peers().peers());
        join(token);
    }

    @Test
    void anExpiredTokenIsRefused() throws Exception {
        String token = invite(0);
        refused(ExitCode.REFUSED, "expired", () -> join(token));
        assertEquals(List.of(), nodes.backup.peers().peers());
    }

    @Test
    void aTokenIsGoodForOneNode() throws Exception {
        String token = invite(30);
        join(token);
        NodePaths third = NodePaths.under(dir.resolve("third"));
        TwoNodes.make(third, "[node]\nname = \"third\"\n");
        try (Daemon late = Daemon.start(third)) {
            refused(
                    ExitCode.REFUSED,
                    "another node has joined with this invitation",
                    () -> late.join(new ControlApi.JoinRequest(token)));
            assertEquals(1, nodes.backup.peers().peers().size());
        }
    }

    @Test
    void aPeerWithAnotherKeyIsNotTalkedTo() throws Exception {
        nodes.pair();
        nodes.backup.close();
        TwoNodes.until("down", () -> !nodes.server.status().link().get().isConnected());
        Path identity = nodes.backupPaths.state().resolve("identity.pem");
        Path kept = dir.resolve("kept");
        Files.move(identity, kept);
        Identity.create(nodes.backupPaths.state());
        nodes.startBackup();
        TwoNodes.until(
                "the cause is told",
                () ->
                        nodes.server.status().link().get().trouble().orElse("").contains("key")
                                || nodes.backup
                                        .status()
                                        .link()
                                        .get()
                                        .trouble()
                                        .orElse("")
                                        .contains("key"));
        System.out.println(
                "BadInputTest: wrong key: " + nodes.server.status().link().get().trouble());
        assertTrue(!nodes.server.status().link().get().isConnected());
        nodes.backup.close();
        Files.move(kept, identity, StandardCopyOption.REPLACE_EXISTING);
        nodes.startBackup();
        TwoNodes.until("connected", () -> nodes.server.status().link().get().isConnected());
    }

    // ---- devices -----------------------------------------------------------------------------

    @Test
    void aDeviceOfThePeerThatIsTooSmallIsRefused() throws Exception {
        nodes.pair();
        Path disk = file("disk.img", 4 * MIB);
        Path small = file("storage/small.img", 2 * MIB);
        byte[] before = Files.readAllBytes(small);
        refused(ExitCode.REFUSED, "is too small: it has", () -> add("home", disk, small));
        assertArrayEquals(before, Files.readAllBytes(small));
        assertEquals(List.of(), nodes.server.status().resources());
        assertEquals(List.of(), nodes.backup.status().resources());
    }

    @Test
    void whatADeviceOfThePeerHoldsIsOverwrittenOnlyWhenThatIsPermittedThere() throws Exception {
        nodes.pair();
        Path disk = file("disk.img", 4 * MIB);
        Path used = dir.resolve("storage/used.img");
        Files.write(used, new byte[8 * MIB]);
        Run.ok("mkfs.ext4", "-q", "-L", "precious", used.toString());
        byte[] before = Files.readAllBytes(used);
        for (String words :
                List.of(used + " would be overwritten at backup", "precious", "at backup: ")) {
            refused(ExitCode.CONFIRMATION_NEEDED, words, () -> add("home", disk, used));
        }
        ControlApi.PermitReply shown = permit("home", Optional.empty(), true);
        assertEquals(used.toString(), shown.disk());
        assertTrue(shown.holds().contains("precious"), shown.holds());
        refused(
                ExitCode.CONFIRMATION_NEEDED,
                "precious",
                () -> permit("home", Optional.of("backup/home@00000000"), false));
        refused(ExitCode.CONFIRMATION_NEEDED, "precious", () -> add("home", disk, used));
        assertArrayEquals(before, Files.readAllBytes(used));

        assertTrue(permit("home", Optional.of(shown.confirm()), false).done());
        // Not for another disk than was shown.
        Path other = dir.resolve("storage/other.img");
        Files.copy(used, other);
        refused(ExitCode.CONFIRMATION_NEEDED, "precious", () -> add("home", disk, other));
        refused(ExitCode.CONFIRMATION_NEEDED, "precious", () -> add("home", disk, used));
        assertArrayEquals(before, Files.readAllBytes(other));

        permit("home", Optional.of(permit("home", Optional.empty(), true).confirm()), false);
        add("home", disk, used);
        nodes.server.attach(new ControlApi.NameRequest("home"));
        nodes.untilInSync("home");
        refused(
                ExitCode.REFUSED,
                "nobody asks to overwrite",
                () -> permit("home", Optional.empty(), true));
    }

    private ControlApi.PermitReply permit(String name, Optional<String> confirm, boolean dryRun)
            throws ProblemException {
        return nodes.backup.permit(new ControlApi.PermitRequest(name, dryRun, confirm));
    }

    @Test
    void aPeerCannotChooseAFileOutsideTheStorage() throws Exception {
        nodes.pair();
        Path disk = file("disk.img", 4 * MIB);
        Path elsewhere = dir.resolve("elsewhere.img");
        refused(ExitCode.REFUSED, "lies outside the storage", () -> add("home", disk, elsewhere));
        assertTrue(Files.notExists(elsewhere));
        Files.writeString(
                nodes.backupPaths.resourceDirectory().resolve("home.toml"),
                "[on.backup]\ndisk = \"" + elsewhere + "\"\n");
        add("home", disk, elsewhere);
        assertTrue(Files.exists(elsewhere));
    }

    @Test
    void oneDeviceHasOneResource() throws Exception {
        nodes.pair();
        Path disk = file("storage/disk.img", 4 * MIB);
        nodes.addAndAttach("home", disk, 16 * MIB);
        nodes.server.detach(new ControlApi.NameRequest("home"));
        Path alias = Files.createSymbolicLink(dir.resolve("alias.img"), disk);
        refused(
                ExitCode.REFUSED,
                "it is the disk of the resource home already",
                () -> add("again", alias, null));
        assertTrue(
                nodes.server.adjust(new ControlApi.AdjustRequest(true)).problems().isEmpty(),
                "settings that every start can read");
        nodes.server.attach(new ControlApi.NameRequest("home"));
        Path other = file("other.img", 4 * MIB);
        refused(
                ExitCode.CONFIRMATION_NEEDED,
                "which has to be permitted there",
                () -> add("third", other, disk));
        permit("third", Optional.of(permit("third", Optional.empty(), true).confirm()), false);
        refused(ExitCode.REFUSED, "is held by resource home", () -> add("third", other, disk));
        nodes.untilInSync("home");
    }

    @Test
    void aMountedDeviceIsNotAttached() throws Exception {
        nodes.pair();
        Path image = dir.resolve("loop.img");
        Files.write(image, new byte[8 * MIB]);
        String loop = Run.ok("losetup", "--show", "-f", image.toString()).strip();
        loops.add(loop);
        Run.ok("mkfs.ext4", "-q", loop);
        Path where = Files.createDirectories(dir.resolve("where"));
        Run.ok("mount", loop, where.toString());
        mounted.add(where);
        Files.writeString(where.resolve("file"), "here");
        add("home", Path.of(loop), null);
        refused(
                ExitCode.REFUSED,
                "is mounted at " + where,
                () -> nodes.server.attach(new ControlApi.NameRequest("home")));
        assertEquals("here", Files.readString(where.resolve("file")));
    }

    // ---- hosts -------------------------------------------------------------------------------

    @Test
    void anUnknownKeyIsNamedWithItsPlaceBeforeAnythingIsOpened() throws Exception {
        NodePaths paths = NodePaths.under(dir.resolve("typo"));
        TwoNodes.make(paths, "[node]\nname = \"typo\"\n[link]\n  rat = \"8 Mbit/s\"\n");
        ConfigException e = assertThrows(ConfigException.class, () -> Daemon.start(paths).close());
        assertTrue(e.getMessage().contains(paths.nodeFile() + ":4:3"), e.getMessage());
        assertTrue(e.getMessage().contains("rat"), e.getMessage());
    }

    @Test
    void aStateDirectoryHasOneDaemon() {
        IOException e =
                assertThrows(IOException.class, () -> Daemon.start(nodes.serverPaths).close());
        assertTrue(
                e.getMessage()
                        .contains(
                                "is held by the daemon with pid " + ProcessHandle.current().pid()),
                e.getMessage());
        assertEquals("server", nodes.server.status().node().name());
    }

    @Test
    void aPortThatIsTakenIsNamed() throws Exception {
        NodePaths paths = NodePaths.under(dir.resolve("third"));
        TwoNodes.make(
                paths,
                "[node]\nname = \"third\"\n[link]\nlisten = \"127.0.0.1:" + nodes.port + "\"\n");
        IOException e = assertThrows(IOException.class, () -> Daemon.start(paths).close());
        assertTrue(
                e.getMessage().contains("link.listen is 127.0.0.1:" + nodes.port), e.getMessage());
        System.out.println("BadInputTest: port in use: " + e.getMessage());
    }

    @Test
    void storageThatCannotBeWrittenToIsRefused() throws Exception {
        Path readOnly = mount("ro", "ro,size=1m");
        refused(
                ExitCode.REFUSED,
                readOnly + " cannot be written to",
                () ->
                        nodes.backup.storage(
                                new ControlApi.StorageRequest(
                                        readOnly.toString(), Optional.empty())));
        Path file = file("file", 1);
        refused(
                ExitCode.REFUSED,
                file + " is no directory",
                () ->
                        nodes.backup.storage(
                                new ControlApi.StorageRequest(file.toString(), Optional.empty())));
    }

    @Test
    void storageWithoutRoomForTheJournalIsRefusedWithTheNumbers() throws Exception {
        nodes.pair();
        storeIn(mount("small", "size=12m"));
        Path disk = file("disk.img", 4 * MIB);
        refused(ExitCode.REFUSED, "the journal alone takes 16 MiB", () -> add("home", disk, null));
        storeIn(Files.createDirectories(dir.resolve("large")));
        add("home", disk, null);
    }

    /// The journal is taken in advance; what can still fill up is the copy, a sparse file.
    @Test
    void aBackupWhoseDiskRunsFullSaysSoAndTheServerGoesOn() throws Exception {
        nodes.pair();
        Path storage = mount("full", "size=24m");
        storeIn(storage);
        Path disk = file("disk.img", 16 * MIB);
        String uri = nodes.addAndAttach("home", disk, 16 * MIB);
        TwoNodes.until("the cause is told", () -> nodes.atServer("home").trouble().isPresent());
        System.out.println("BadInputTest: full: " + nodes.atServer("home").trouble().get());
        List<String> events = new CopyOnWriteArrayList<>();
        nodes.backup.events(
                new ControlApi.EventsRequest(0, false),
                each -> events.add(each.kind() + " " + each.text()));
        assertTrue(
                events.stream()
                        .anyMatch(
                                each ->
                                        each.startsWith("no-space")
                                                && each.contains("no space left")
                                                && each.contains("connect home")),
                events.toString());
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", "-c", "read -P 7 0 1M", uri);
        // Space is made: it goes on by itself.
        Run.ok("mount", "-o", "remount,size=64m", storage.toString());
        nodes.untilInSync("home");
        assertTrue(nodes.atServer("home").trouble().isEmpty());
    }

    /// The same when there is a copy: the journal takes in what it can, and the copy stays open to
    /// be looked at.
    @Test
    void aCopyThatCannotGrowKeepsItsPointsAndGoesOnWhenThereIsRoom() throws Exception {
        nodes.pair();
        Path storage = mount("full", "size=36m");
        storeIn(storage);
        Path disk = Files.write(dir.resolve("disk.img"), new byte[32 * MIB]);
        String uri = nodes.addAndAttach("home", disk, 32 * MIB);
        nodes.untilInSync("home");
        // What does not compress. From three quarters of the journal on some of it should go into
        // the copy; the journal is not full yet.
        byte[] bytes = new byte[MIB];
        new Random(7).nextBytes(bytes);
        Path random = Files.write(dir.resolve("random"), bytes);
        for (int mib = 0;
                !nodes.atServer("home").trouble().orElse("").contains("no space");
                mib++) {
            assertTrue(mib < 28, nodes.account());
            String one = "write -s %s %dM 1M".formatted(random, mib);
            Run.ok("qemu-io", "-f", "raw", "-c", one, uri);
            nodes.untilInSync("home");
            if (mib >= 22) {
                Thread.sleep(300);
            }
        }
        StatusReport.Resource home = nodes.backup.status().resource("home").orElseThrow();
        assertTrue(home.trouble().orElseThrow().contains("connect home"), home.toString());
        assertEquals("UP_TO_DATE", home.disk());
        nodes.untilInSync("home");
        assertSameAtBackup(disk);
        Run.ok("mount", "-o", "remount,size=64m", storage.toString());
        nodes.backup.connect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.untilServer("home", "no trouble", it -> it.trouble().isEmpty());
        assertSameAtBackup(disk);
    }

    private void assertSameAtBackup(Path disk) throws Exception {
        StatusReport.View view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty())).view();
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.toString(), view.uri());
        nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
    }

    // ---- help --------------------------------------------------------------------------------

    private String invite(int minutes) throws Exception {
        return nodes.backup
                .invite(
                        new ControlApi.InviteRequest(
                                Optional.of("127.0.0.1:" + nodes.port), Optional.of(minutes)))
                .token();
    }

    private void join(String token) throws ProblemException {
        nodes.server.join(new ControlApi.JoinRequest(token));
    }

    private void add(String name, Path disk, Path peerDisk) throws ProblemException {
        nodes.server.add(
                new ControlApi.AddRequest(
                        name,
                        disk.toString(),
                        Optional.ofNullable(peerDisk).map(Path::toString),
                        Optional.empty(),
                        Optional.of(16L * MIB),
                        false));
    }

    private void storeIn(Path storage) throws ProblemException {
        nodes.backup.storage(new ControlApi.StorageRequest(storage.toString(), Optional.empty()));
    }

    private Path file(String name, int bytes) throws IOException {
        byte[] content = new byte[bytes];
        new Random(bytes).nextBytes(content);
        return Files.write(dir.resolve(name), content);
    }

    private Path mount(String name, String options) throws Exception {
        Path at = Files.createDirectories(dir.resolve(name));
        Run.ok("mount", "-t", "tmpfs", "-o", options, "tmpfs", at.toString());
        mounted.add(at);
        return at;
    }

    private static void refused(ExitCode code, String words, Executable what) {
        ProblemException e = assertThrows(ProblemException.class, what);
        System.out.println("BadInputTest: " + e.problem().text().replace('\n', '|'));
        assertEquals(code.number(), e.problem().exitCode(), e.problem().text());
        assertTrue(e.problem().text().contains(words), e.problem().text());
    }
}
