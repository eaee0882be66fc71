package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;

import holdfast.replicator.control.ControlApi;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;

/// The main job, with real sockets, files and clients: what is written at the server can be opened
/// at the backup.
class ReplicationTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    @Test
    void whatIsWrittenAtTheServerCanBeOpenedAtTheBackup() throws Exception {
        Path disk = dir.resolve("disk.img");
        byte[] content = new byte[16 * MIB];
        new Random(1).nextBytes(content);
        Files.write(disk, content);
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk);
            nodes.untilInSync("home");
            compare(nodes, disk);

            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 0x5a 1M 3M", uri);
            Run.ok("qemu-io", "-f", "raw", "-c", "write -z 8M 64k", "-c", "flush", uri);
            nodes.untilInSync("home");
            compare(nodes, disk);
        }
    }

    @Test
    void afterRestartsOfEitherSideTheCopyIsRightAgain() throws Exception {
        Path disk = dir.resolve("disk.img");
        byte[] content = new byte[8 * MIB];
        new Random(2).nextBytes(content);
        Files.write(disk, content);
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk);
            nodes.untilInSync("home");
            nodes.backup.close();
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 0x11 0 1M", uri);
            nodes.startBackup();
            nodes.untilInSync("home");
            compare(nodes, disk);
            nodes.server.close();
            nodes.startServer();
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 0x22 2M 1M", uri);
            nodes.untilInSync("home");
            compare(nodes, disk);
        }
    }

    /// What mkfs does to a new device: more is written than the journal holds while the first sync
    /// ends, so it takes another pass and does not wait for room that never comes.
    @Test
    void whatIsTooMuchForTheJournalDuringTheFirstSyncGoesInAnotherPass() throws Exception {
        Path disk = dir.resolve("disk.img");
        Files.write(disk, new byte[64 * MIB]);
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk, 16 * MIB);
            Run.ok("qemu-io", "-f", "raw", "-c", "discard 0 64M", "-c", "write -z 0 64M", uri);
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 0x33 1M 4M", uri);
            nodes.untilInSync("home");
            compare(nodes, disk);
        }
    }

    /// Blocks that read zero need no room in the journal: 60 MiB of them go through one of 16 MiB,
    /// together with some data.
    @Test
    void aDiscardOfMoreThanTheJournalHoldsGoesThrough() throws Exception {
        Path disk = dir.resolve("disk.img");
        byte[] content = new byte[64 * MIB];
        new Random(3).nextBytes(content);
        Files.write(disk, content);
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
            nodes.backup.close();
            Run.ok("qemu-io", "-f", "raw", "-c", "discard 2M 60M", "-c", "write 9M 1M", uri);
            // A planned stop turns what the peer lacks into marked blocks.
            nodes.server.close();
            nodes.startServer();
            nodes.startBackup();
            nodes.untilInSync("home");
            compare(nodes, disk);
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 0x77 20M 1M", uri);
            nodes.untilInSync("home");
            compare(nodes, disk);
        }
    }

    private void compare(TwoNodes nodes, Path disk) throws Exception {
        ControlApi.OpenReply view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
        try {
            Run.ok(
                    "qemu-img",
                    "compare",
                    "-f",
                    "raw",
                    "-F",
                    "raw",
                    disk.toString(),
                    view.view().uri());
            assertEquals(Files.size(disk), view.sizeBytes());
        } finally {
            nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
        }
    }
}
