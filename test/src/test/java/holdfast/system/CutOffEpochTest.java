package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;

/// A catch-up over a slow line that is cut in its middle goes on from what the backup has.
class CutOffEpochTest {
    private static final int MIB = 1 << 20;
    private static final int EPOCH_BYTES = 24 * MIB;

    @TempDir Path dir;

    @Test
    void whatArrivedBeforeTheCutIsNotSentAgain() throws Exception {
        Path disk = dir.resolve("disk.img");
        byte[] content = new byte[32 * MIB];
        Random random = new Random(4);
        random.nextBytes(content);
        Files.write(disk, content);
        random.nextBytes(content);
        Path changes = dir.resolve("changes");
        Files.write(changes, Arrays.copyOf(content, EPOCH_BYTES));
        try (TwoNodes nodes = new TwoNodes(dir);
                ToxicLink line = new ToxicLink(dir.resolve("toxiproxy.log"), nodes.port, 4)) {
            nodes.pair("127.0.0.1:" + line.port);
            String uri = nodes.addAndAttach("home", disk, 128L * MIB);
            nodes.untilInSync("home");
            line.cut();
            Run.ok(
                    "qemu-io",
                    "-f",
                    "raw",
                    "-c",
                    "write -s " + changes + " 4M " + EPOCH_BYTES,
                    "-c",
                    "flush",
                    uri);
            Files.writeString(
                    nodes.serverPaths.nodeFile(),
                    "[node]\nname = \"server\"\n[link]\nrate = \"24 Mbit/s\"\n");
            assertTrue(nodes.server.adjust(new ControlApi.AdjustRequest(false)).applied());
            // A planned stop turns what the peer lacks into marked blocks.
            nodes.server.close();
            nodes.startServer();
            line.heal();
            untilSent(nodes, 10 * MIB);
            line.cut();
            nodes.untilServer("home", "cut", r -> r.progress().isEmpty());
            line.heal();
            untilSent(nodes, 18 * MIB);
            nodes.backup.close();
            nodes.startBackup();
            nodes.untilInSync("home");
            long sent = nodes.server.status().link().orElseThrow().sentWireBytes();
            System.out.printf(
                    "CutOffEpochTest: %d bytes sent for an epoch of %d, cut off twice%n",
                    sent, EPOCH_BYTES);
            // What was on its way at the cuts comes on top; anew it would be 52 MiB.
            assertTrue(sent < EPOCH_BYTES + 6 * MIB, sent + " bytes sent");
            assertTrue(continued(nodes) >= 2, nodes.account());
            ControlApi.OpenReply view =
                    nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
            Run.ok(
                    "qemu-img",
                    "compare",
                    "-f",
                    "raw",
                    "-F",
                    "raw",
                    disk.toString(),
                    view.view().uri());
            nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
        }
    }

    /// Until so much of the catch-up is at the backup, or on its way to it.
    private static void untilSent(TwoNodes nodes, long bytes) {
        nodes.untilServer(
                "home",
                bytes + " bytes of the epoch are sent",
                r ->
                        r.progress()
                                .filter(p -> p.kind().equals("CATCH_UP"))
                                .map(StatusReport.Progress::doneBytes)
                                .filter(done -> done >= bytes)
                                .isPresent());
    }

    private static int continued(TwoNodes nodes) throws Exception {
        AtomicInteger found = new AtomicInteger();
        nodes.server.events(
                new ControlApi.EventsRequest(0, false),
                event -> {
                    if (event.kind().equals("epoch-continued")) {
                        found.incrementAndGet();
                    }
                });
        return found.get();
    }
}
