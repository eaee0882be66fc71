package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.daemon.Daemon;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// One resource leaves the link and comes back, by an order at either side or because it could not
/// be opened, while another goes on over the same connection.
class ConnectTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private Path disk;
    private Path other;

    @BeforeEach
    void disks() throws Exception {
        disk = Files.write(dir.resolve("home.img"), new byte[4 * MIB]);
        other = Files.write(dir.resolve("mail.img"), new byte[4 * MIB]);
    }

    @Test
    void whatWasDisconnectedAtEitherSideGoesOnByItselfOnceItIsConnectedThere() throws Exception {
        try (TwoNodes nodes = started()) {
            long session = sessionBegan(nodes);
            for (Daemon each : List.of(nodes.backup, nodes.server)) {
                disconnect(nodes, each);
                write(nodes, "home", each == nodes.backup ? 1 : 2);
                each.connect(new ControlApi.LinkRequest(Optional.of("home")));
                nodes.untilInSync("home");
                write(nodes, "home", 3);
                nodes.untilInSync("home");
                assertEquals(Optional.empty(), nodes.atServer("home").trouble());
                assertEquals(Optional.empty(), atBackup(nodes, "home").trouble());
            }
            write(nodes, "mail", 4);
            nodes.untilInSync("mail");
            assertEquals(session, sessionBegan(nodes), "the connection was kept");
        }
    }

    @Test
    void whoWaitsForWhatIsNotThereIsToldTheCommandOfThisNode() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            ProblemException e =
                    assertThrows(
                            ProblemException.class,
                            () ->
                                    nodes.server.waitFor(
                                            new ControlApi.WaitRequest(
                                                    "nope", false, Optional.empty()),
                                            _ -> {}));
            assertEquals(Optional.of(nodes.serverPaths.command("status")), e.problem().next());
        }
    }

    @Test
    void whoConnectsFirstDoesNotMatter() throws Exception {
        try (TwoNodes nodes = started()) {
            for (List<Daemon> order :
                    List.of(
                            List.of(nodes.backup, nodes.server),
                            List.of(nodes.server, nodes.backup))) {
                disconnect(nodes, nodes.backup);
                disconnect(nodes, nodes.server);
                write(nodes, "home", 5);
                order.getFirst().connect(new ControlApi.LinkRequest(Optional.of("home")));
                String last = order.getLast().status().node().name();
                TwoNodes.until(
                        "the first is told who still refuses",
                        () ->
                                order.getFirst()
                                        .status()
                                        .resource("home")
                                        .orElseThrow()
                                        .trouble()
                                        .orElse("")
                                        .contains("disconnected by an operator of " + last));
                order.getLast().connect(new ControlApi.LinkRequest(Optional.of("home")));
                nodes.untilInSync("home");
            }
        }
    }

    @Test
    void aCopyThatCannotBeOpenedIsShownOnBothSidesUntilItIsMended() throws Exception {
        try (TwoNodes nodes = started()) {
            nodes.backup.close();
            Path image = dir.resolve("storage/home.img");
            Path away = dir.resolve("away.img");
            Files.move(image, away);
            nodes.startBackup();
            StatusReport status = nodes.backup.status();
            StatusReport.Unopened lost = status.unopened().getFirst();
            assertEquals("home", lost.name());
            assertEquals(Optional.of("SECONDARY"), lost.role());
            assertTrue(lost.cause().contains(image.toString()), lost.cause());
            assertTrue(
                    status.sentences().stream()
                            .anyMatch(each -> each.startsWith("home is not open at backup")),
                    status.sentences().toString());
            TwoNodes.until(
                    "the peer is told the truth",
                    () ->
                            nodes.atServer("home")
                                    .trouble()
                                    .orElse("")
                                    .contains("it cannot be opened at backup"));
            write(nodes, "home", 6);
            ProblemException still =
                    assertThrows(
                            ProblemException.class,
                            () ->
                                    nodes.backup.connect(
                                            new ControlApi.LinkRequest(Optional.of("home"))));
            assertTrue(still.problem().text().contains("connect home"), still.problem().text());
            Files.move(away, image);
            nodes.backup.connect(new ControlApi.LinkRequest(Optional.of("home")));
            assertEquals(List.of(), nodes.backup.status().unopened());
            nodes.untilInSync("home");
            nodes.untilInSync("mail");
        }
    }

    @Test
    void anAttachThatFailsAtTheStartIsShownWithItsCause() throws Exception {
        try (TwoNodes nodes = started()) {
            nodes.server.close();
            Path away = dir.resolve("away.img");
            Files.move(disk, away);
            nodes.startServer();
            String trouble = nodes.atServer("home").trouble().orElseThrow();
            assertTrue(trouble.contains(disk.toString()), trouble);
            Files.move(away, disk);
            nodes.server.attach(new ControlApi.NameRequest("home"));
            nodes.untilInSync("home");
        }
    }

    private TwoNodes started() throws Exception {
        TwoNodes nodes = new TwoNodes(dir);
        try {
            nodes.pair();
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.addAndAttach("mail", other, 16 * MIB);
            nodes.untilInSync("home");
            nodes.untilInSync("mail");
            return nodes;
        } catch (Exception | AssertionError e) {
            nodes.close();
            throw e;
        }
    }

    private static void disconnect(TwoNodes nodes, Daemon at) throws Exception {
        at.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.untilServer("home", "disconnected", r -> r.replication().equals("OFF"));
    }

    private static StatusReport.Resource atBackup(TwoNodes nodes, String name) {
        return nodes.backup.status().resource(name).orElseThrow();
    }

    private static long sessionBegan(TwoNodes nodes) {
        return nodes.server.status().link().orElseThrow().since().toEpochMilli();
    }

    private static void write(TwoNodes nodes, String name, int fill) throws Exception {
        byte[] data = new byte[64 << 10];
        java.util.Arrays.fill(data, (byte) fill);
        try (BlockClient client =
                new BlockClient(nodes.serverPaths.run().resolve(name + ".nbd"), name)) {
            client.write((long) fill * data.length, ByteBuffer.wrap(data), true);
        }
    }
}
