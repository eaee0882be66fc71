package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.NodePaths;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;

class ExaminationTest {
    @TempDir Path directory;

    private NodePaths paths;
    private Path system;

    @BeforeEach
    void makeANode() throws Exception {
        paths = NodePaths.under(directory.resolve("node"));
        Node.make(paths, Optional.of("server"), "");
        system = Files.createDirectories(directory.resolve("system"));
        Files.createDirectories(system.resolve("etc"));
        Files.createDirectories(system.resolve("dev/disk/by-uuid"));
    }

    @Test
    void aNodeInOrderHasNothingRed() {
        assertEquals(List.of(), red());
        assertEquals(Finding.Level.GREEN, finding("settings").level());
        assertEquals(Finding.Level.GREEN, finding("identity").level());
        assertEquals(Finding.Level.GREEN, finding("daemon").level());
        assertTrue(
                finding("link").evidence().startsWith("connected to backup"), "" + finding("link"));
    }

    @Test
    void aFstabLineThatMountsTheBackingDeviceByItsUuidIsRed() throws IOException {
        // The resource of the scripted daemon is /dev/vg0/home; the link leads there or to nothing.
        Path disk = Files.createFile(directory.resolve("disk"));
        Files.createSymbolicLink(system.resolve("dev/disk/by-uuid/6e0c-11"), disk);
        Files.writeString(
                system.resolve("etc/fstab"), "# old\nUUID=6e0c-11 /home ext4 defaults 0 2\n");
        var daemon = new ScriptedDaemon();
        daemon.path = disk.toString();
        List<Finding> findings = new Examination(paths, daemon, system).findings();
        Finding found =
                findings.stream()
                        .filter(f -> f.level() == Finding.Level.RED)
                        .findFirst()
                        .orElseThrow();
        assertEquals("home", found.subject());
        assertEquals(
                "/etc/fstab mounts its backing device %s at /home (UUID=6e0c-11)".formatted(disk),
                found.evidence());
        assertEquals(
                "edit /etc/fstab: use /dev/holdfast/home with _netdev,nofail",
                found.next().orElseThrow());
    }

    @Test
    void aStateDirectoryThatOthersMayReadIsRed() throws IOException {
        Files.setPosixFilePermissions(paths.state(), PosixFilePermissions.fromString("rwxr-x---"));
        assertTrue(red().getFirst().evidence().contains("others may look into"), "" + red());
    }

    @Test
    void everyProblemOfTheSettingsIsShown() throws IOException {
        Files.writeString(paths.nodeFile(), "[link]\nrate = \"fast\"\nfrob = 1\n");
        assertEquals(2, red().size(), "" + red());
    }

    @Test
    void withoutADaemonTheRestIsStillLookedAt() {
        var away =
                new holdfast.replicator.control.ControlClient(
                        paths.run(), "holdfast daemon --detach");
        List<Finding> findings = new Examination(paths, away, system).findings();
        Finding daemon = findings.getLast();
        assertEquals(
                Finding.red("daemon", "no daemon answers here", "holdfast daemon --detach"),
                daemon);
        assertTrue(findings.size() > 5);
    }

    /// Nobody can do more about it than wait for the server.
    @Test
    void timeThatDoesNotCountYetIsNotRed() {
        var daemon = new ScriptedDaemon();
        daemon.role = "SECONDARY";
        daemon.uncountedSeconds = 31 * 86_400;
        List<Finding> findings =
                new Examination(paths, daemon, system)
                        .findings().stream()
                                .filter(f -> f.evidence().contains("make nothing old"))
                                .toList();
        assertEquals(1, findings.size());
        assertEquals(Finding.Level.YELLOW, findings.getFirst().level());
        assertTrue(findings.getFirst().evidence().startsWith("31 days"), "" + findings);
    }

    /// A server whose copy was promoted may have to become the copy of that (R31).
    @Test
    void whoeverMayBecomeTheCopyIsToldWhatThatNeeds() throws Exception {
        var daemon = new ScriptedDaemon();
        assertEquals(Finding.Level.GREEN, toBecomeTheCopy(daemon).level());
        daemon.hasJournal = false;
        Path settings = paths.resourceDirectory().resolve("home.toml");
        String disk = "on.server.disk = \"/dev/vg0/home\"\n";
        Files.writeString(settings, "journal.size = \"16 MiB\"\n" + disk);
        Finding none = toBecomeTheCopy(daemon);
        assertEquals(Finding.Level.YELLOW, none.level());
        assertTrue(
                none.evidence().endsWith("a journal of 16 MiB, and no storage is set"), "" + none);
        assertTrue(none.next().orElseThrow().contains("storage DIR"), "" + none);
        String node = Files.readString(paths.nodeFile());
        Path storage = Files.createDirectory(directory.resolve("storage"));
        Files.writeString(paths.nodeFile(), node + "[storage]\npath = \"" + storage + "\"\n");
        Finding enough = toBecomeTheCopy(daemon);
        assertEquals(Finding.Level.GREEN, enough.level());
        assertTrue(enough.evidence().contains("16 MiB; " + storage + " has "), "" + enough);
        Files.writeString(settings, "journal.size = \"64 TiB\"\n" + disk);
        assertEquals(Finding.Level.YELLOW, toBecomeTheCopy(daemon).level());
        Files.writeString(settings, "journal.size = \"16 MiB\"\n" + disk);
        Files.delete(storage);
        assertEquals(Finding.Level.YELLOW, toBecomeTheCopy(daemon).level());
    }

    private Finding toBecomeTheCopy(ScriptedDaemon daemon) {
        List<Finding> found =
                new Examination(paths, daemon, system)
                        .findings().stream()
                                .filter(f -> f.evidence().startsWith("to become the copy"))
                                .toList();
        assertEquals(1, found.size(), "" + found);
        return found.getFirst();
    }

    private List<Finding> findings() {
        return new Examination(paths, new ScriptedDaemon(), system).findings();
    }

    private List<Finding> red() {
        return findings().stream().filter(f -> f.level() == Finding.Level.RED).toList();
    }

    private Finding finding(String subject) {
        return findings().stream()
                .filter(f -> f.subject().equals(subject))
                .findFirst()
                .orElseThrow();
    }
}
