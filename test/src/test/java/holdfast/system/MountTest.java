package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/// The copy of a filesystem that is in use, mounted where it is kept: by commands, whose crash and
/// whose daemon's crash leave nothing that `umount` does not take away. Needs root.
@ResourceLock("mounts and loop devices")
class MountTest {
    @TempDir Path dir;

    private TwoNodes nodes;
    private MountedExport original;
    private Path place;
    private String before;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        Path disk = Files.createFile(dir.resolve("disk.img"));
        Run.ok("truncate", "-s", "64M", disk.toString());
        String uri = nodes.addAndAttach("home", disk, 64L << 20);
        original = new MountedExport(Files.createDirectory(dir.resolve("at-server")), uri);
        Files.writeString(original.root.resolve("one"), "first");
        Run.ok("sync", "-f", original.root.toString());
        nodes.untilInSync("home");
        place = Files.createDirectory(dir.resolve("a place"));
        before = host();
    }

    @AfterEach
    void stop() throws Exception {
        // Only after a failure there is something left to undo.
        umount();
        try {
            original.close();
        } finally {
            nodes.close();
        }
    }

    private String host() throws Exception {
        return Run.ok("losetup", "-a")
                + Files.readString(Path.of("/proc/self/mountinfo"))
                + Run.anyway("pgrep", "-fa", "nbdfuse.*" + nodes.backupPaths.run());
    }

    private Command.Ended mount(String name) throws Exception {
        return Command.start(nodes.backupPaths, dir, "mount", name, place.toString()).await();
    }

    private Command.Ended umount() throws Exception {
        return Command.start(nodes.backupPaths, dir, "umount", place.toString()).await();
    }

    private void requireNothingLeft() throws Exception {
        assertEquals(before, host());
        Path mounts = nodes.backupPaths.run().resolve("mounts");
        try (var files = Files.list(mounts)) {
            assertEquals(0, files.count());
        }
    }

    private boolean hasView() {
        return !nodes.backup.status().resource("home").orElseThrow().views().isEmpty();
    }

    @Test
    void aCopyIsMountedReadOnlyAndTakenAwayAgain() throws Exception {
        Command.Ended mounted = mount("home");
        assertEquals(0, mounted.code(), mounted.text());
        assertTrue(mounted.out().contains("ext4"), mounted.out());
        assertEquals("first", Files.readString(place.resolve("one")));
        assertFalse(Run.succeeds("touch", place.resolve("two").toString()));
        // It stays what it was while the original goes on.
        Files.writeString(original.root.resolve("three"), "later");
        Run.ok("sync", "-f", original.root.toString());
        nodes.untilInSync("home");
        assertFalse(Files.exists(place.resolve("three")));
        assertTrue(hasView());
        Command.Ended again = mount("home");
        assertEquals(3, again.code(), again.text());
        Command.Ended gone = umount();
        assertEquals(0, gone.code(), gone.text());
        requireNothingLeft();
        assertFalse(hasView());
        Command.Ended nothing = umount();
        assertEquals(3, nothing.code(), nothing.text());
    }

    @Test
    void anOlderMomentIsMountedAsItWas() throws Exception {
        nodes.server.mark(new ControlApi.MarkRequest("home", "before"));
        Files.writeString(original.root.resolve("one"), "second");
        Files.writeString(original.root.resolve("two"), "later");
        Run.ok("sync", "-f", original.root.toString());
        nodes.untilInSync("home");
        Command.Ended mounted = mount("home@before");
        assertEquals(0, mounted.code(), mounted.text());
        assertEquals("first", Files.readString(place.resolve("one")));
        assertFalse(Files.exists(place.resolve("two")));
        assertEquals(0, umount().code());
        assertEquals(0, mount("home@latest").code());
        assertEquals("second", Files.readString(place.resolve("one")));
        assertEquals(0, umount().code());
        requireNothingLeft();
    }

    @Test
    void whatIsInUseIsNotTakenAway() throws Exception {
        assertEquals(0, mount("home@latest").code());
        Process user = new ProcessBuilder("sleep", "600").directory(place.toFile()).start();
        try {
            Command.Ended refused = umount();
            assertEquals(3, refused.code(), refused.text());
            assertTrue(refused.err().contains("is in use, nothing changed"), refused.err());
            assertEquals("first", Files.readString(place.resolve("one")));
        } finally {
            user.destroyForcibly().waitFor();
        }
        assertEquals(0, umount().code());
        requireNothingLeft();
    }

    @Test
    void aDaemonThatIsGoneKeepsNobodyFromTakingItAway() throws Exception {
        assertEquals(0, mount("home").code());
        nodes.backup.close();
        Command.Ended gone = umount();
        assertEquals(0, gone.code(), gone.text());
        requireNothingLeft();
        nodes.startBackup();
        assertFalse(hasView());
    }

    /// A command that is killed at whatever moment: what it has made by then is taken away.
    @Test
    void aCommandThatWasKilledLeavesWhatUmountTakesAway() throws Exception {
        Path mounts = nodes.backupPaths.run().resolve("mounts");
        for (String sign : new String[] {"record.json", "nbdfuse.pid", "fuse/nbd"}) {
            Command mounting =
                    Command.start(nodes.backupPaths, dir, "mount", "home", place.toString());
            TwoNodes.until(
                    sign,
                    () -> {
                        if (!Files.isDirectory(mounts)) {
                            return false;
                        }
                        try (var homes = Files.list(mounts)) {
                            return homes.anyMatch(each -> Files.exists(each.resolve(sign)));
                        }
                    });
            mounting.process.destroyForcibly();
            assertTrue(mounting.process.waitFor(20, TimeUnit.SECONDS));
            Command.Ended gone = umount();
            assertEquals(0, gone.code(), gone.text());
            requireNothingLeft();
            TwoNodes.until("the view is closed", () -> !hasView());
        }
    }

    /// No btrfs is needed to see it: what stands at its place is enough.
    @Test
    void aBtrfsIsNotMountedBesideADeviceWithItsUuid() throws Exception {
        byte[] image = new byte[4 << 20];
        System.arraycopy("_BHRfS_M".getBytes(StandardCharsets.US_ASCII), 0, image, 65536 + 64, 8);
        byte[] uuid = new byte[16];
        new Random(5).nextBytes(uuid);
        System.arraycopy(uuid, 0, image, 65536 + 32, 16);
        nodes.addAndAttach("tree", Files.write(dir.resolve("tree.img"), image), 16L << 20);
        nodes.untilInSync("tree");
        Path twin = Files.write(dir.resolve("twin.img"), image);
        String loop = Run.ok("losetup", "--show", "-f", twin.toString()).strip();
        try {
            Command.Ended refused = mount("tree");
            assertEquals(3, refused.code(), refused.text());
            assertTrue(
                    refused.err().contains("a btrfs with its UUID is visible here"), refused.err());
            assertTrue(refused.err().contains("on " + loop), refused.err());
        } finally {
            Run.ok("losetup", "-d", loop);
        }
        // Alone it is tried, and is none.
        Command.Ended tried = mount("tree");
        assertEquals(1, tried.code(), tried.text());
        assertTrue(tried.err().contains("mount ended with 32"), tried.err());
        requireNothingLeft();
    }

    @Test
    void aProgramThatIsMissingIsNamedWithItsPackage() throws Exception {
        Command.Ended refused =
                Command.start(
                                nodes.backupPaths,
                                dir,
                                Map.of("PATH", "/nowhere"),
                                "mount",
                                "home",
                                place.toString())
                        .await();
        assertEquals(1, refused.code(), refused.text());
        assertTrue(
                refused.err().contains("nbdfuse is not installed; it is in the package nbdfuse"),
                refused.err());
        assertFalse(hasView());
    }

    @Test
    void whatIsNoFilesystemIsNamed() throws Exception {
        Path disk = Files.write(dir.resolve("blank.img"), new byte[4 << 20]);
        nodes.addAndAttach("blank", disk, 16L << 20);
        nodes.untilInSync("blank");
        Command.Ended refused = mount("blank");
        assertEquals(3, refused.code(), refused.text());
        assertTrue(refused.err().contains("no filesystem is recognised"), refused.err());
        requireNothingLeft();
    }
}
