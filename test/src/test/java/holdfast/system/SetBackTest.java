package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// A server that is set back to an older copy of itself, device, state and all, as a machine's
/// snapshot does: what it knows is whole and fits together, and only the peer can tell.
class SetBackTest {
    private static final long JOURNAL_BYTES = 64L << 20;
    private static final long SIZE = 64L << 20;

    @TempDir Path dir;

    @Test
    void isNoticedByThePeerAndMendedOnlyOnAnOrder() throws Exception {
        Path disk = dir.resolve("disk.img");
        try (var file = new java.io.RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(SIZE);
        }
        try (ServerAndBackup nodes = new ServerAndBackup(dir)) {
            NodeProcess server = nodes.server;
            NodeProcess backup = nodes.backup;
            String uri = nodes.addHome(disk, JOURNAL_BYTES).uri();
            for (NodeProcess each : List.of(server, backup)) {
                ControlApi.ReconnectReply healthy = reconnect(each);
                assertEquals(List.of("nothing keeps the two copies apart"), healthy.facts());
                assertTrue(healthy.choices().getFirst().contains("status home"));
            }
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 1 0 1M", "-c", "flush", uri);
            nodes.untilInSync("in sync");

            Run.ok("cp", "-a", disk.toString(), dir.resolve("old.img").toString());
            Run.ok("cp", "-a", server.paths.state().toString(), dir.resolve("old").toString());
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 2 40M 1M", "-c", "flush", uri);
            nodes.untilInSync("in sync");
            server.kill();
            Run.ok("cp", "-a", dir.resolve("old.img").toString(), disk.toString());
            Run.ok("rm", "-rf", server.paths.state().toString());
            Run.ok("cp", "-a", dir.resolve("old").toString(), server.paths.state().toString());
            // It counts on by itself before the peer sees it, beyond what the peer was told.
            backup.kill();
            for (int life = 0; life < 2; life++) {
                server.start();
                server.awaitAnswer();
                TwoNodes.until("exported", () -> isExported(server));
                for (int extent = 1; extent < 10; extent++) {
                    String write = "write -P 4 %dM 4k".formatted(4 * extent);
                    Run.ok("qemu-io", "-f", "raw", "-c", write, "-c", "flush", uri);
                }
                server.kill();
            }
            server.start();
            backup.start();
            backup.awaitAnswer();

            for (NodeProcess each : List.of(server, backup)) {
                TwoNodes.until("noticed", () -> trouble(each).contains("was set back"));
                assertTrue(trouble(each).contains("invalidate-remote"), trouble(each));
                TwoNodes.until("it is an event", () -> isRefused(each));
                List<String> choices = reconnect(each).choices();
                assertTrue(
                        choices.get(0).contains("at backup holdfast promote home")
                                && choices.get(1).contains("holdfast invalidate-remote home"),
                        choices::toString);
            }
            // The newer data are where they were.
            assertTrue(copyHolds(backup, "read -P 2 40M 1M"));

            server.api.invalidateRemote(new ControlApi.NameRequest("home"));
            nodes.untilInSync("mended");
            assertTrue(copyHolds(backup, "read -P 0 40M 1M"));
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 3 50M 1M", "-c", "flush", uri);
            nodes.untilInSync("in sync");
            server.kill();
            server.start();
            server.awaitAnswer();
            nodes.untilInSync("in sync after a crash");
            assertTrue(copyHolds(backup, "read -P 3 50M 1M"));

            // Once more, to a clean stop, with a device that has another time of change: that it
            // may have been written to past us is no order either.
            server.close();
            Run.ok("cp", disk.toString(), dir.resolve("old2.img").toString());
            Run.ok("cp", "-a", server.paths.state().toString(), dir.resolve("old2").toString());
            server.start();
            server.awaitAnswer();
            TwoNodes.until("exported", () -> isExported(server));
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 5 45M 1M", "-c", "flush", uri);
            nodes.untilInSync("in sync");
            server.kill();
            Run.ok("cp", dir.resolve("old2.img").toString(), disk.toString());
            Run.ok("rm", "-rf", server.paths.state().toString());
            Run.ok("cp", "-a", dir.resolve("old2").toString(), server.paths.state().toString());
            server.start();
            server.awaitAnswer();
            TwoNodes.until("noticed", () -> trouble(server).contains("was set back"));
            assertTrue(copyHolds(backup, "read -P 5 45M 1M"));

            // An order that cannot be carried out yet outlasts stops.
            backup.kill();
            server.api.invalidateRemote(new ControlApi.NameRequest("home"));
            server.close();
            server.start();
            server.awaitAnswer();
            TwoNodes.until("exported", () -> isExported(server));
            server.kill();
            server.start();
            backup.start();
            backup.awaitAnswer();
            server.awaitAnswer();
            nodes.untilInSync("mended");
            assertTrue(copyHolds(backup, "read -P 0 45M 1M"));
        }
    }

    private static ControlApi.ReconnectReply reconnect(NodeProcess at) throws Exception {
        return at.api.reconnect(
                new ControlApi.ReconnectRequest("home", Optional.empty(), Optional.empty()));
    }

    private static boolean isExported(NodeProcess node) {
        return node.resource("home").flatMap(StatusReport.Resource::export).isPresent();
    }

    private static boolean isRefused(NodeProcess node) throws Exception {
        List<String> refused = new ArrayList<>();
        node.api.events(
                new ControlApi.EventsRequest(0, false),
                event -> {
                    if (event.kind().equals("refused")) {
                        refused.add(event.text());
                    }
                });
        return refused.stream().anyMatch(each -> each.contains("was set back"));
    }

    private static String trouble(NodeProcess server) {
        return server.resource("home").flatMap(StatusReport.Resource::trouble).orElse("");
    }

    private static boolean copyHolds(NodeProcess backup, String read) throws Exception {
        ControlApi.OpenReply opened =
                backup.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
        String said = Run.ok("qemu-io", "-r", "-f", "raw", "-c", read, opened.view().uri());
        backup.api.closeView(new ControlApi.CloseRequest(opened.view().id()));
        return !said.contains("Pattern verification failed");
    }
}
