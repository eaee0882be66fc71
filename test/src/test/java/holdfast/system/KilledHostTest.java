package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A primary that was killed in the middle of its writes and is started by another boot of its host
/// (R30), first while nobody can tell it anything, then behind the promotion of its copy.
class KilledHostTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    @Test
    void isNotExportedBeforeItsPeerWasAskedAndNeverBesideAPromotedCopy() throws Exception {
        try (TwoProcesses nodes = new TwoProcesses(dir, Map.of())) {
            NodeProcess host = nodes.left;
            nodes.add(host, "home", 8 * MIB);
            gate(host, "[node]\n", "[node]\nboot-gate = \"10s\"\n");

            nodes.right.kill();
            killAmongWrites(host, 1);
            start(host);
            StatusReport.Resource home = host.resource("home").orElseThrow();
            assertEquals(Optional.empty(), home.export());
            assertTrue(
                    home.trouble().orElseThrow().contains("right is asked first"), home.toString());
            NodeProcess.until("it is exported", () -> isExported(host), host);
            assertEquals(
                    List.of("it is exported: the peer has not answered within 10 s"),
                    events(host, "boot-gate-opened"));

            nodes.right.start();
            nodes.right.awaitAnswer();
            nodes.awaitInSync(host, "home");
            killAmongWrites(host, 2);
            gate(host, "\"10s\"", "\"60s\""); // However slowly it starts.
            NodeProcess.until(
                    "the copy can be promoted",
                    () ->
                            nodes.right
                                    .resource("home")
                                    .filter(each -> !each.isConnected())
                                    .isPresent(),
                    nodes.right);
            nodes.right.api.promote(
                    new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
            start(host);
            NodeProcess.until(
                    "it is told that its copy was promoted",
                    () -> events(host, "boot-gate-closed").size() == 1,
                    host,
                    nodes.right);
            ProblemException refusal =
                    assertThrows(ProblemException.class, () -> host.api.attach(HOME));
            assertTrue(
                    refusal.problem().cause().contains("was promoted"), refusal.problem().text());
            assertEquals(List.of(), events(host, "boot-gate-opened"));
            assertEquals(Optional.empty(), host.resource("home").orElseThrow().export());
            assertTrue(isExported(nodes.right));
        }
    }

    /// All are answered, and none is synced.
    private static void killAmongWrites(NodeProcess host, int fill) throws Exception {
        byte[] data = new byte[MIB];
        Arrays.fill(data, (byte) fill);
        try (BlockClient client = new BlockClient(TwoProcesses.socket(host, "home"), "home")) {
            for (int i = 0; i < 8; i++) {
                client.write((long) i * MIB, ByteBuffer.wrap(data), false);
            }
            host.kill();
        }
    }

    /// As another boot.
    private static void start(NodeProcess host) throws Exception {
        Files.writeString(host.paths.state().resolve("resources/home/boot"), "another boot");
        host.start();
        host.awaitAnswer();
        NodeProcess.until("it is open", () -> host.resource("home").isPresent(), host);
        NodeProcess.until("its gate is shut", () -> !events(host, "boot-gate").isEmpty(), host);
    }

    private static void gate(NodeProcess host, String from, String to) throws Exception {
        Path accepted = host.paths.state().resolve("accepted-node.toml");
        for (Path each : List.of(host.paths.nodeFile(), accepted)) {
            Files.writeString(each, Files.readString(each).replace(from, to));
        }
    }

    private static boolean isExported(NodeProcess host) {
        return host.resource("home").flatMap(StatusReport.Resource::export).isPresent();
    }

    private static List<String> events(NodeProcess host, String kind) throws Exception {
        List<String> texts = new ArrayList<>();
        host.api.events(
                new ControlApi.EventsRequest(0, false),
                each -> {
                    if (each.kind().equals(kind)) {
                        texts.add(each.text());
                    }
                });
        return texts;
    }
}
