package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.GivingWay;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/// Attaching and its end: what fails costs nothing, and all attached resources share one port.
class AttachTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private Path disk;

    @BeforeEach
    void disk() throws Exception {
        byte[] content = new byte[4 * MIB];
        new Random(3).nextBytes(content);
        disk = Files.write(dir.resolve("disk.img"), content);
    }

    /// A thread inherits the nice value of the one that starts it, and a command may be carried out
    /// on a thread that the link's started.
    @Test
    void anExportDoesNotGiveWayThoughItsAttachCameFromAThreadThatDoes() throws Exception {
        String usual = niceOf(Path.of("/proc/self/stat"));
        try (TwoNodes nodes = new TwoNodes(dir, "", "")) {
            nodes.pair();
            var failure = new CompletableFuture<Void>();
            Thread niced =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        GivingWay.fromNowOn();
                                        try {
                                            nodes.addAndAttach("home", disk, 16 * MIB);
                                            failure.complete(null);
                                        } catch (Exception e) {
                                            failure.completeExceptionally(e);
                                        }
                                    });
            niced.join();
            failure.get(60, TimeUnit.SECONDS);
            List<String> seen = new ArrayList<>();
            try (var tasks = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
                for (Path task : tasks) {
                    try {
                        if (Files.readString(task.resolve("comm")).startsWith("nbd accept")) {
                            seen.add(niceOf(task.resolve("stat")));
                        }
                    } catch (NoSuchFileException e) {
                        // Another thread, which has ended.
                    }
                }
            }
            assertTrue(!seen.isEmpty() && seen.stream().allMatch(usual::equals), seen.toString());
        }
    }

    private static String niceOf(Path stat) throws IOException {
        String text = Files.readString(stat);
        return text.substring(text.lastIndexOf(')') + 2).split(" ")[16];
    }

    /// Where the clean bitmap is lost everything is to be compared, and nobody knows what the copy
    /// lacks.
    @Test
    void anAttachWhoseSocketOrPortIsTakenCostsNoCleanBitmap() throws Exception {
        int port = Ports.free();
        try (TwoNodes nodes =
                new TwoNodes(dir, "[nbd]\nlisten = \"127.0.0.1:" + port + "\"\n", "")) {
            nodes.pair();
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
            nodes.server.detach(new ControlApi.NameRequest("home"));
            nodes.backup.close();
            Path socket = nodes.serverPaths.run().resolve("home.nbd");
            Files.deleteIfExists(socket);
            try (ServerSocketChannel other =
                    ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
                other.bind(UnixDomainSocketAddress.of(socket));
                assertThrows(
                        ProblemException.class,
                        () -> nodes.server.attach(new ControlApi.NameRequest("home")));
            } finally {
                Files.deleteIfExists(socket);
            }
            nodes.server.close();
            try (ServerSocket other = listening(port)) {
                nodes.startServer();
                ProblemException e =
                        assertThrows(
                                ProblemException.class,
                                () -> nodes.server.attach(new ControlApi.NameRequest("home")));
                assertTrue(
                        e.problem().text().contains("nbd.listen is 127.0.0.1:" + port),
                        e.problem().text());
                assertEquals(port, other.getLocalPort());
            }
            nodes.server.attach(new ControlApi.NameRequest("home"));
            assertEquals(Optional.of(StatusReport.Behind.NOTHING), nodes.atServer("home").behind());
            nodes.startBackup();
            nodes.untilInSync("home");
        }
    }

    /// Whose thread still stands in an accept keeps the port for an instant behind the close.
    private static ServerSocket listening(int port) throws Exception {
        for (int tries = 0; ; tries++) {
            try {
                return new ServerSocket(port, 1, InetAddress.getLoopbackAddress());
            } catch (BindException e) {
                if (tries == 50) {
                    throw e;
                }
                Thread.sleep(100);
            }
        }
    }

    @Test
    void aClientChoosesByNameOnTheOnePortAndIsNotToldWhichNamesThereAre() throws Exception {
        int port = Ports.free();
        String uri = "nbd://127.0.0.1:" + port + "/";
        try (TwoNodes nodes =
                new TwoNodes(dir, "[nbd]\nlisten = \"127.0.0.1:" + port + "\"\n", "")) {
            nodes.pair();
            Path mail = Files.write(dir.resolve("mail.img"), new byte[2 * MIB]);
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.addAndAttach("mail", mail, 16 * MIB);
            assertEquals(4 * MIB + "", Run.ok("nbdinfo", "--size", uri + "home").strip());
            assertEquals(2 * MIB + "", Run.ok("nbdinfo", "--size", uri + "mail").strip());
            for (String[] refused :
                    new String[][] {
                        {"nbdinfo", "--size", uri + "music"},
                        {"nbdinfo", "--size", uri},
                        {"nbdinfo", "--list", uri}
                    }) {
                Process process =
                        new ProcessBuilder(refused)
                                .redirectErrorStream(true)
                                .redirectOutput(dir.resolve("said").toFile())
                                .start();
                assertNotEquals(0, process.waitFor(), String.join(" ", refused));
                String said = Files.readString(dir.resolve("said"));
                assertTrue(!said.contains("mail"), said);
            }
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 9 0 1M", uri + "mail");
            nodes.server.detach(new ControlApi.NameRequest("home"));
            assertEquals(2 * MIB + "", Run.ok("nbdinfo", "--size", uri + "mail").strip());
            nodes.untilInSync("mail");
        }
    }

    /// At 64 kbit/s the comparison of one extent alone takes a minute.
    @Test
    void aStopDoesNotWaitForAComparisonThatIsPaced() throws Exception {
        byte[] content = new byte[32 * MIB];
        new Random(4).nextBytes(content);
        Files.write(disk, content);
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
            nodes.server.close();
            nodes.backup.close();
            Files.delete(nodes.serverPaths.state().resolve("resources/home/metadata"));
            String slow = "\ncatch-up = \"64 kbit/s\"\n";
            Path accepted = nodes.backupPaths.state().resolve("accepted-node.toml");
            String was = Files.readString(accepted);
            Files.writeString(accepted, was.replace("[link]", "[link]" + slow));
            nodes.startBackup();
            nodes.startServer();
            nodes.untilServer(
                    "home", "comparing", r -> r.progress().isPresent() && r.isConnected());
            assertTimeout(Duration.ofSeconds(9), () -> nodes.backup.close());
            Files.writeString(accepted, was);
            nodes.startBackup();
            nodes.untilInSync("home");
        }
    }
}
