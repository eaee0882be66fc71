package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.daemon.Daemon;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.net.ConnectException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// What `adjust` says it applied is in force.
@Timeout(60)
class AdjustTest {
    @TempDir Path dir;

    @Test
    void theMetricsPageIsServedWhereTheAcceptedSettingsSay() throws Exception {
        NodePaths paths = NodePaths.under(dir.resolve("node"));
        TwoNodes.make(paths, "[node]\nname = \"node\"\n");
        List<Integer> ports = List.of(Ports.free(), Ports.free());
        try (Daemon daemon = Daemon.start(paths)) {
            for (int port : ports) {
                adjust(daemon, paths, "[metrics]\nlisten = \"127.0.0.1:" + port + "\"\n");
                assertTrue(metrics(port).contains("holdfast_"), metrics(port));
            }
            assertThrows(ConnectException.class, () -> metrics(ports.getFirst()));
            adjust(daemon, paths, "");
            assertThrows(ConnectException.class, () -> metrics(ports.getLast()));
        }
    }

    @Test
    void whatARunningDaemonCannotChangeIsSaidToComeLater() throws Exception {
        NodePaths paths = NodePaths.under(dir.resolve("node"));
        TwoNodes.make(paths, "[node]\nname = \"node\"\n");
        int first = Ports.free();
        try (Daemon daemon = Daemon.start(paths)) {
            assertEquals("at once", takesEffect(daemon, paths, first));
            assertEquals(
                    "at the next start of the daemon", takesEffect(daemon, paths, Ports.free()));
            try (var socket = new Socket(InetAddress.getLoopbackAddress(), first)) {
                assertTrue(socket.isConnected());
            }
        }
    }

    private static String takesEffect(Daemon daemon, NodePaths paths, int port) throws Exception {
        Files.writeString(
                paths.nodeFile(),
                "[node]\nname = \"node\"\n[link]\nlisten = \"127.0.0.1:" + port + "\"\n");
        ControlApi.AdjustReply reply = daemon.adjust(new ControlApi.AdjustRequest(false));
        return reply.changes().getFirst().takesEffect();
    }

    private static void adjust(Daemon daemon, NodePaths paths, String more) throws Exception {
        Files.writeString(paths.nodeFile(), "[node]\nname = \"node\"\n" + more);
        ControlApi.AdjustReply reply = daemon.adjust(new ControlApi.AdjustRequest(false));
        assertTrue(reply.applied(), reply.problems().toString());
        assertEquals(1, reply.changes().size(), reply.changes().toString());
    }

    private static String metrics(int port) throws Exception {
        try (HttpClient client = HttpClient.newHttpClient()) {
            return client.send(
                            HttpRequest.newBuilder(
                                            URI.create("http://127.0.0.1:" + port + "/metrics"))
                                    .build(),
                            HttpResponse.BodyHandlers.ofString())
                    .body();
        }
    }
}
