package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.tunnel.link.HostPort;
import holdfast.tunnel.link.Identity;
import holdfast.tunnel.link.LinkEndpoint;
import holdfast.tunnel.link.LinkHandler;
import holdfast.tunnel.link.LinkSession;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Frame;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/// What a peer may ask of this node when a resource is added, also a peer gone bad; and that an
/// `add` that was cut off goes on.
class OfferTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private Path disk;

    @BeforeEach
    void disk() throws Exception {
        disk = Files.write(dir.resolve("disk.img"), new byte[4 * MIB]);
    }

    // ---- a peer gone bad ---------------------------------------------------------------------

    /// It has the server's key and says what it likes, but cannot type at the backup.
    @Test
    void aPeerAloneCannotHaveWhatADiskHoldsOverwritten() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            Path used = dir.resolve("storage/used.img");
            Files.write(used, new byte[4 * MIB]);
            Run.ok("mkfs.ext4", "-q", "-L", "precious", used.toString());
            byte[] before = Files.readAllBytes(used);
            nodes.server.close();
            try (HostilePeer peer = new HostilePeer(nodes)) {
                UUID id = UUID.randomUUID();
                for (String name : List.of("home", "home", "backup", "used")) {
                    for (boolean dryRun : new boolean[] {true, false}) {
                        peer.send(offer(id, name, used, dryRun));
                        Frame.OfferReply reply = peer.reply();
                        assertFalse(reply.accepted(), reply.toString());
                        assertTrue(reply.holds().contains("precious"), reply.toString());
                    }
                }
                // More questions than are kept: none of them is an answer.
                for (int i = 0; i < 100; i++) {
                    peer.send(offer(UUID.randomUUID(), "n" + i, used, false));
                    assertFalse(peer.reply().accepted());
                }
                // What an operator permits for one resource is not good for another.
                peer.send(offer(id, "home", used, true));
                peer.reply();
                ControlApi.PermitReply shown = permit(nodes, Optional.empty());
                permit(nodes, Optional.of(shown.confirm()));
                peer.send(offer(UUID.randomUUID(), "home", used, false));
                assertFalse(peer.reply().accepted());
                peer.send(offer(id, "home", used, false));
                assertFalse(peer.reply().accepted(), "the permission went with the question");
            }
            assertArrayEquals(before, Files.readAllBytes(used));
            assertEquals(List.of(), nodes.backup.status().resources());
        }
    }

    /// R22: the peer offers a copy without history, the backup makes one with its own, and a peer
    /// that then writes more than the journal holds, over the real link, takes no moment of before.
    @Test
    void aPeerOffersNoHistoryAndThenFloodsAndTheMomentsOfBeforeStay() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String nodeId = nodes.server.status().node().id();
            Files.writeString(
                    nodes.backupPaths.resourceDirectory().resolve("home.toml"),
                    "journal = { retention-min = \"3h\" }\n[on.server]\ndisk = \"/x\"\n");
            UUID id = UUID.nameUUIDFromBytes((nodeId + "/home").getBytes(StandardCharsets.UTF_8));
            nodes.server.close();
            try (HostilePeer peer = new HostilePeer(nodes)) {
                String journal =
                        "journal = { size = \"32 MiB\", retention = \"0s\", retention-min = \"0s\", keep-max = \"0 B\" }\n";
                peer.send(
                        new Frame.Offer(
                                id,
                                "home",
                                AddressSpace.of(4 * MIB),
                                journal + "[on.server]\ndisk = \"/x\"\n",
                                false));
                assertTrue(peer.reply().accepted());
            }
            ControlApi.PointsReply history =
                    nodes.backup.points(new ControlApi.NameRequest("home"));
            assertEquals(24 * 3600, history.retentionSeconds());
            assertEquals(3 * 3600, history.retentionMinSeconds());
            assertEquals(4L << 30, history.keepMaxBytes());

            nodes.startServer();
            String uri = nodes.addAndAttach("home", disk, 32 * MIB);
            nodes.untilInSync("home");
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 0 2M", uri);
            nodes.untilInSync("home");
            Instant before = Instant.now();
            byte[] noise = new byte[2 * MIB]; // It does not compress.
            new Random(22).nextBytes(noise);
            Path random = Files.write(dir.resolve("random"), noise);
            List<String> flood = new ArrayList<>(List.of("qemu-io", "-f", "raw"));
            for (int i = 0; i < 18; i++) {
                flood.addAll(List.of("-c", "write -s %s 0 2M".formatted(random)));
            }
            flood.add(uri);
            Run.ok(flood.toArray(String[]::new));
            TwoNodes.until("it is told why", () -> isHeld(nodes));
            String said = nodes.atServer("home").trouble().orElse("");
            ControlApi.OpenReply view =
                    nodes.backup.open(
                            new ControlApi.OpenRequest("home", Optional.of(before.toString())));
            Run.ok("qemu-io", "-r", "-f", "raw", "-c", "read -P 7 0 2M", view.view().uri());
            nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
            assertTrue(said.contains("at backup: the journal is full of moments"), said);
        }
    }

    private static boolean isHeld(TwoNodes nodes) {
        return nodes.backup
                        .status()
                        .resource("home")
                        .flatMap(home -> home.trouble())
                        .filter(why -> why.contains("younger than journal.retention-min (3 h)"))
                        .isPresent()
                && nodes.atServer("home").trouble().isPresent();
    }

    @Test
    void whoDoesNotWaitForAnswersIsHungUpOn() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.server.close();
            try (HostilePeer peer = new HostilePeer(nodes)) {
                Path used = dir.resolve("storage/used.img");
                Files.write(used, new byte[4 * MIB]);
                for (int i = 0; i < 20_000; i++) {
                    peer.send(offer(UUID.randomUUID(), "n" + i, used, true));
                }
                assertTrue(peer.gone.await(60, TimeUnit.SECONDS), "it was hung up on");
                List<String> said = new ArrayList<>();
                nodes.backup.events(
                        new ControlApi.EventsRequest(0, false), each -> said.add(each.text()));
                assertTrue(
                        said.stream()
                                .anyMatch(
                                        each ->
                                                each.contains(
                                                        "more than 256 offers, withdrawals and orders")),
                        said.toString());
            }
            nodes.startServer();
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
        }
    }

    /// What the base lacks is in the journal. Nothing but the resource says that it is in use.
    @Test
    void theDiskOfAnotherResourceIsRefusedAlsoWhenItIsEmptyAndThatOneIsNotOpen() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
            nodes.server.close();
            nodes.backup.close();
            Path storage = dir.resolve("storage");
            Files.move(storage.resolve("home.journal"), dir.resolve("away"));
            nodes.startBackup();
            assertEquals(1, nodes.backup.status().unopened().size());
            try (HostilePeer peer = new HostilePeer(nodes)) {
                peer.send(offer(UUID.randomUUID(), "mail", storage.resolve("home.img"), false));
                Frame.OfferReply reply = peer.reply();
                assertFalse(reply.accepted(), reply.toString());
                assertTrue(reply.reason().contains("belongs to the resource home"), reply.reason());
            }
        }
    }

    /// After the state directory was lost the points are in the storage still.
    @Test
    void theJournalOfAnEarlierCopyIsDeletedOnlyByPermission() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
            nodes.server.close();
            nodes.backup.close();
            Files.delete(nodes.backupPaths.state().resolve("resources/home/resource.json"));
            nodes.startBackup();
            Path image = dir.resolve("storage/home.img");
            Path segment = dir.resolve("storage/home.journal/0000000000000000");
            byte[] before = Files.readAllBytes(segment);
            try (HostilePeer peer = new HostilePeer(nodes)) {
                Frame.Offer offer = offer(UUID.randomUUID(), "home", image, false);
                peer.send(offer);
                Frame.OfferReply reply = peer.reply();
                assertFalse(reply.accepted(), reply.toString());
                assertTrue(reply.holds().contains("the journal of an earlier copy"), reply.holds());
                assertArrayEquals(before, Files.readAllBytes(segment));
                permit(nodes, Optional.of(permit(nodes, Optional.empty()).confirm()));
                peer.send(offer);
                assertTrue(peer.reply().accepted());
            }
        }
    }

    private static Frame.Offer offer(UUID id, String name, Path disk, boolean dryRun) {
        return new Frame.Offer(
                id,
                name,
                AddressSpace.of(4 * MIB),
                "[on.server]\ndisk = \"/x\"\n[on.backup]\ndisk = \"" + disk + "\"\n",
                dryRun);
    }

    private static ControlApi.PermitReply permit(TwoNodes nodes, Optional<String> confirm)
            throws ProblemException {
        return nodes.backup.permit(
                new ControlApi.PermitRequest("home", confirm.isEmpty(), confirm));
    }

    /// Speaks with the server's key.
    private static final class HostilePeer implements LinkHandler, AutoCloseable {
        final CountDownLatch gone = new CountDownLatch(1);
        private final CountDownLatch connected = new CountDownLatch(1);
        private final BlockingQueue<Frame.OfferReply> replies = new LinkedBlockingQueue<>();
        private final LinkEndpoint endpoint;
        private volatile LinkSession session;

        HostilePeer(TwoNodes nodes) throws Exception {
            Identity identity = Identity.load(nodes.serverPaths.state());
            endpoint =
                    LinkEndpoint.builder(identity, "server", _ -> Optional.of("backup"), this)
                            .build();
            endpoint.dial(new HostPort("127.0.0.1", nodes.port));
            assertTrue(connected.await(30, TimeUnit.SECONDS), "connected");
        }

        void send(Frame frame) {
            session.sendControl(frame);
        }

        Frame.OfferReply reply() throws InterruptedException {
            Frame.OfferReply reply = replies.poll(30, TimeUnit.SECONDS);
            assertTrue(reply != null, "an answer");
            return reply;
        }

        @Override
        public void connected(LinkSession session) {
            this.session = session;
            connected.countDown();
        }

        @Override
        public void disconnected(LinkSession session, String reason) {
            gone.countDown();
        }

        @Override
        public void received(LinkSession session, int stream, Frame frame) {
            if (frame instanceof Frame.OfferReply reply) {
                replies.add(reply);
            }
        }

        @Override
        public void close() {
            endpoint.close();
        }
    }

    // ---- an add that was cut off -------------------------------------------------------------

    /// What a crash at the backup leaves between its image and its `resource.json`.
    @Test
    void aFileWithoutDataIsWhatAnAddLeftAndIsTakenAsNew() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            Path home = dir.resolve("storage/home.img");
            try (RandomAccessFile left = new RandomAccessFile(home.toFile(), "rw")) {
                left.setLength(4 * MIB);
            }
            Files.createFile(dir.resolve("storage/mail.img"));
            Path half = nodes.backupPaths.state().resolve("resources/home");
            Files.createDirectories(half);
            Files.writeString(half.resolve("settings.toml"), "");
            Path other = Files.write(dir.resolve("mail.img"), new byte[4 * MIB]);
            for (String name : List.of("home", "mail")) {
                nodes.addAndAttach(name, name.equals("home") ? disk : other, 16 * MIB);
                nodes.untilInSync(name);
            }
        }
    }

    /// A crash at the server between the peer's answer and its own `resource.json`.
    @Test
    void aCopyThatThePeerHasAlreadyIsTakenUpAgain() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.server.add(TwoNodes.addRequest("home", disk, 16 * MIB));
            nodes.server.close();
            Files.delete(nodes.serverPaths.state().resolve("resources/home/resource.json"));
            nodes.startServer();
            assertEquals(List.of(), nodes.server.status().resources());
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
        }
    }

    @Test
    void ofAddsOfOneNameAtOnceOneIsDone() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir);
                var threads = Executors.newFixedThreadPool(8)) {
            nodes.pair();
            List<Callable<Boolean>> adds = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                Path each = Files.write(dir.resolve("d" + i), new byte[4 * MIB]);
                adds.add(
                        () -> {
                            try {
                                nodes.server.add(TwoNodes.addRequest("home", each, 16 * MIB));
                                return true;
                            } catch (ProblemException e) {
                                return false;
                            }
                        });
            }
            int done = 0;
            for (Future<Boolean> each : threads.invokeAll(adds)) {
                done += each.get() ? 1 : 0;
            }
            assertEquals(1, done);
            nodes.server.attach(new ControlApi.NameRequest("home"));
            nodes.untilInSync("home");
        }
    }

    /// Under names of their own, and one of them by a link. Also a copy for the peer is no second
    /// use.
    @Test
    void ofAddsOfOneDiskAtOnceOneIsDone() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir);
                var threads = Executors.newFixedThreadPool(8)) {
            nodes.pair();
            Path link = Files.createSymbolicLink(dir.resolve("link.img"), disk);
            List<Callable<String>> adds = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                String name = "r" + i;
                Path path = i % 2 == 0 ? disk : link;
                adds.add(
                        () -> {
                            try {
                                nodes.server.add(TwoNodes.addRequest(name, path, 16 * MIB));
                                return "";
                            } catch (ProblemException e) {
                                return e.problem().text();
                            }
                        });
            }
            List<String> refusals = new ArrayList<>();
            for (Future<String> each : threads.invokeAll(adds)) {
                refusals.add(each.get());
            }
            assertEquals(1, refusals.stream().filter(String::isEmpty).count(), refusals::toString);
            for (String each : refusals) {
                assertTrue(
                        each.isEmpty()
                                || each.contains("is just being added as r")
                                || each.contains("it is the disk of the resource r"),
                        each);
            }
            assertEquals(1, nodes.server.status().resources().size());
            assertEquals(1, nodes.backup.status().resources().size());
        }
    }

    // ---- what is wrong with the request itself -----------------------------------------------

    /// No peer is needed to see it.
    @Test
    void aWrongRequestIsRefusedHereWithWhatWouldBeRight() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            assertUsage(
                    nodes,
                    "D",
                    disk.toString(),
                    16 * MIB,
                    "protocol is \"D\", should be one of A, B, C");
            assertUsage(
                    nodes,
                    "A",
                    disk.toString(),
                    MIB,
                    "journal.size is 1 MiB, should be 16 MiB to 64 TiB");
            assertUsage(nodes, "A", disk.toString(), -1, "size of -1 bytes");
            assertUsage(
                    nodes,
                    "A",
                    "disk.img",
                    16 * MIB,
                    "the disk is \"disk.img\", should be an absolute path");
        }
    }

    private static void assertUsage(
            TwoNodes nodes, String protocol, String disk, long journalBytes, String cause) {
        ProblemException e =
                assertThrows(
                        ProblemException.class,
                        () ->
                                nodes.server.add(
                                        new ControlApi.AddRequest(
                                                "home",
                                                disk,
                                                Optional.empty(),
                                                Optional.of(protocol),
                                                Optional.of(journalBytes),
                                                false)));
        assertEquals(cause, e.problem().cause());
        assertEquals(2, e.problem().exitCode());
    }

    // ---- a name that comes back --------------------------------------------------------------

    @Test
    void aNameThatWasWithdrawnBeforeItsFirstPointIsConnectedAgain() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.server.add(TwoNodes.addRequest("home", disk, 16 * MIB));
            remove(nodes);
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
        }
    }

    @Test
    void aCopyWithPointsIsNotWrittenOverByAnAdd() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
            remove(nodes);
            ProblemException e =
                    assertThrows(
                            ProblemException.class,
                            () -> nodes.server.add(TwoNodes.addRequest("home", disk, 16 * MIB)));
            assertTrue(
                    e.problem().text().contains("there is a copy of an earlier home")
                            && e.problem().text().contains("remove home"),
                    e.problem().text());
            assertNotEquals(
                    "none", nodes.backup.status().resource("home").orElseThrow().committed());
        }
    }

    private static void remove(TwoNodes nodes) throws Exception {
        String confirm =
                nodes.server
                        .remove(new ControlApi.RemoveRequest("home", false, true, Optional.empty()))
                        .confirm();
        nodes.server.remove(
                new ControlApi.RemoveRequest("home", false, false, Optional.of(confirm)));
        TwoNodes.until(
                "withdrawn",
                () ->
                        nodes.backup
                                .status()
                                .resource("home")
                                .orElseThrow()
                                .connection()
                                .equals("STANDALONE"));
    }
}
