package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.daemon.Daemon;
import holdfast.tunnel.link.Identity;
import holdfast.tunnel.link.LinkEndpoint;
import holdfast.tunnel.link.LinkHandler;
import holdfast.tunnel.link.LinkSession;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/// A primary whose host was restarted, told by the boot id of its last export.
class BootGateTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path boot;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        nodes.addAndAttach(
                "home", Files.write(dir.resolve("disk.img"), new byte[4 * MIB]), 16 * MIB);
        nodes.untilInSync("home");
        boot = nodes.serverPaths.state().resolve("resources/home/boot");
        nodes.server.close();
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    @Test
    void aRestartOfTheDaemonAloneIsNotGated() throws Exception {
        nodes.backup.close();
        nodes.startServer();
        assertTrue(isExported());
        assertEquals(List.of(), events("boot-gate"));
    }

    @Test
    void afterARestartOfTheHostThePeerIsAskedAndItsAnswerOpens() throws Exception {
        gate("hold");
        nodes.startServer();
        TwoNodes.until("exported", this::isExported);
        assertEquals(
                List.of("it is exported: the peer was not promoted"), events("boot-gate-opened"));
        nodes.untilInSync("home");
        nodes.server.close();
        nodes.startServer();
        assertTrue(isExported(), "now it is the same boot");
    }

    @Test
    void withoutAnAnswerItIsExportedAfterABoundedTimeAndNotBefore() throws Exception {
        nodes.backup.close();
        gate("3s");
        nodes.startServer();
        assertEquals(Optional.empty(), nodes.atServer("home").export());
        String trouble = nodes.atServer("home").trouble().orElseThrow();
        assertTrue(
                trouble.contains("backup is asked first whether it was promoted, for "), trouble);
        assertTrue(trouble.endsWith(nodes.serverPaths.command("attach home")), trouble);
        TwoNodes.until("exported", this::isExported);
        assertEquals(
                List.of("it is exported: the peer has not answered within 3 s"),
                events("boot-gate-opened"));
    }

    @Test
    void anOperatorWhoKnowsOpensWhatIsHeldForEver() throws Exception {
        nodes.backup.close();
        gate("hold");
        nodes.startServer();
        String trouble = nodes.atServer("home").trouble().orElseThrow();
        assertTrue(trouble.contains("promoted, for ever"), trouble);
        // An interrupted start is gated again.
        nodes.server.close();
        nodes.startServer();
        assertEquals(Optional.empty(), nodes.atServer("home").export());
        nodes.server.attach(HOME);
        assertTrue(isExported());
    }

    @Test
    void aPeerThatWasPromotedKeepsItClosed() throws Exception {
        nodes.backup.close();
        gate("1s");
        try (PromotedPeer peer = new PromotedPeer()) {
            nodes.startServer();
            TwoNodes.until("it is told", () -> events("boot-gate-closed").size() == 1);
            ProblemException e =
                    assertThrows(ProblemException.class, () -> nodes.server.attach(HOME));
            assertTrue(e.problem().cause().contains("was promoted"), e.problem().text());
            assertEquals(Optional.empty(), nodes.atServer("home").export());
            String trouble = nodes.atServer("home").trouble().orElseThrow();
            assertTrue(trouble.contains("was promoted"), trouble);
            assertTrue(peer.asked);
        }
        // It is away again, for longer than the gate waits; and the daemon is started again.
        TwoNodes.until("away", () -> !nodes.server.status().link().orElseThrow().isConnected());
        Thread.sleep(2_000);
        assertEquals(Optional.empty(), nodes.atServer("home").export());
        nodes.server.close();
        nodes.startServer();
        Thread.sleep(2_000);
        assertEquals(Optional.empty(), nodes.atServer("home").export());
        assertEquals(List.of(), events("boot-gate-opened"));
        // Who knows that it is gone for good.
        assertThrows(ProblemException.class, () -> nodes.server.attach(HOME));
        nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.server.attach(HOME);
        assertTrue(isExported());
        assertTrue(Files.notExists(boot.resolveSibling("gate-closed")));
    }

    /// It knows of its generation no more than that it has begun; the promoted copy knows where
    /// that was left.
    @Test
    void behindAPowerCutBothSayWhereThePromotedCopyWentOn() throws Exception {
        nodes.startServer();
        String uri = nodes.atServer("home").export().orElseThrow().uri();
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 1 0 64k", uri);
        nodes.untilInSync("home");
        Path superblock = boot.resolveSibling("superblock");
        byte[] attached = Files.readAllBytes(superblock);
        nodes.server.close();
        Files.write(superblock, attached);
        String from =
                nodes.backup
                        .promote(
                                new ControlApi.PromoteRequest(
                                        "home", Optional.empty(), false, false))
                        .from()
                        .orElseThrow()
                        .position();
        assertTrue(!from.endsWith("/0"), from);
        gate("hold");
        nodes.startServer();
        TwoNodes.until("it is told", () -> events("boot-gate-closed").size() == 1);
        for (Daemon each : List.of(nodes.server, nodes.backup)) {
            TwoNodes.until(
                    "both say when they parted",
                    () -> reconnect(each).facts().getFirst().endsWith("(position " + from + ")"));
            List<String> facts = reconnect(each).facts();
            assertEquals(3, facts.size(), facts::toString);
            assertTrue(facts.stream().noneMatch(f -> f.contains("not known")), facts::toString);
        }
        String here = reconnect(nodes.server).choices().getLast();
        assertTrue(here.contains("it stays closed here"), here);
        assertTrue(here.endsWith(nodes.serverPaths.command("attach home")), here);
        String there = reconnect(nodes.backup).choices().getLast();
        assertTrue(there.endsWith("at server it is not exported"), there);
    }

    private static ControlApi.ReconnectReply reconnect(Daemon at) throws Exception {
        return at.reconnect(
                new ControlApi.ReconnectRequest("home", Optional.empty(), Optional.empty()));
    }

    private void gate(String time) throws Exception {
        Files.writeString(boot, "another boot");
        Path accepted = nodes.serverPaths.state().resolve("accepted-node.toml");
        for (Path each : List.of(nodes.serverPaths.nodeFile(), accepted)) {
            Files.writeString(
                    each,
                    Files.readString(each)
                            .replace("[node]\n", "[node]\nboot-gate = \"" + time + "\"\n"));
        }
    }

    private boolean isExported() {
        return nodes.atServer("home").export().isPresent();
    }

    private List<String> events(String kind) throws Exception {
        List<String> texts = new ArrayList<>();
        nodes.server.events(
                new ControlApi.EventsRequest(0, false),
                each -> {
                    if (each.kind().equals(kind)) {
                        texts.add(each.text());
                    }
                });
        return texts;
    }

    /// Has the backup's key, and says that its copy goes on from the server's history.
    private final class PromotedPeer implements LinkHandler, AutoCloseable {
        volatile boolean asked;
        private final LinkEndpoint endpoint;

        PromotedPeer() throws Exception {
            Identity identity = Identity.load(nodes.backupPaths.state());
            endpoint =
                    LinkEndpoint.builder(identity, "backup", _ -> Optional.of("server"), this)
                            .build();
            endpoint.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), nodes.port));
        }

        @Override
        public void connected(LinkSession session) {}

        @Override
        public void disconnected(LinkSession session, String reason) {}

        @Override
        public void received(LinkSession session, int stream, Frame frame) {
            if (frame instanceof Frame.ResourceHello hello) {
                asked = true;
                Position at = new Position(77, 1);
                session.sendControl(
                        new Frame.ResourceHello(
                                hello.resource(),
                                1,
                                5,
                                hello.sizeBytes(),
                                at,
                                at,
                                0,
                                true,
                                1 << 20,
                                false,
                                0,
                                hello.ancestry()
                                        .plus(
                                                new Ancestry.Entry(
                                                        77,
                                                        hello.committed(),
                                                        Ancestry.Reason.PROMOTE,
                                                        UUID.randomUUID(),
                                                        1))));
            }
        }

        @Override
        public void close() {
            endpoint.close();
        }
    }
}
