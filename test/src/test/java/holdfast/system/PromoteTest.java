package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.daemon.Daemon;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;

/// A copy that becomes the primary, with real daemons and clients.
class PromoteTest {
    private static final int MIB = 1 << 20;
    private static final int PROMOTED_KILLS = 12;

    @TempDir Path dir;

    private Path disk() throws Exception {
        return Files.write(dir.resolve("disk.img"), new byte[8 * MIB]);
    }

    private static void write(String uri, int number, String range) throws Exception {
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P %d %s".formatted(number, range), uri);
    }

    private static void shows(String uri, int number, String range) throws Exception {
        String command = "read -P %d %s".formatted(number, range);
        String seen = Run.ok("qemu-io", "-r", "-f", "raw", "-c", command, uri);
        assertTrue(!seen.contains("failed"), () -> uri + " shows " + seen);
    }

    private static ControlApi.PromoteReply promote(TwoNodes nodes, String at, boolean force)
            throws Exception {
        return nodes.backup.promote(
                new ControlApi.PromoteRequest("home", Optional.ofNullable(at), force, false));
    }

    private static void commit(TwoNodes nodes) throws Exception {
        nodes.backup.promote(new ControlApi.PromoteRequest("home", Optional.empty(), false, true));
    }

    private static void opened(TwoNodes nodes, String at, int number) throws Exception {
        StatusReport.View view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.of(at))).view();
        shows(view.uri(), number, "0 2M");
        nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
    }

    private static String uri(ControlApi.PromoteReply reply) {
        return reply.attached().orElseThrow(() -> new AssertionError(reply.toString())).uri();
    }

    private static StatusReport.Resource atBackup(TwoNodes nodes) {
        return nodes.backup.status().resource("home").orElseThrow();
    }

    @Test
    void theNewestMomentGoesOnAtOnceAndTheOlderOnesStay() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            write(atServer, 1, "0 2M");
            nodes.untilInSync("home");
            Instant first = Instant.now();
            write(atServer, 2, "0 2M");
            nodes.untilInSync("home");
            nodes.server.close();

            String uri = uri(promote(nodes, null, false));
            assertEquals("PRIMARY", atBackup(nodes).role());
            shows(uri, 2, "0 2M");
            shows(uri, 0, "2M 6M");
            write(uri, 3, "1M 2M");
            Run.ok("qemu-io", "-f", "raw", "-c", "write -z 5M 1M", "-c", "flush", uri);
            shows(uri, 2, "0 1M");
            shows(uri, 3, "1M 2M");
            opened(nodes, first.toString(), 1);

            nodes.backup.close();
            nodes.startBackup();
            TwoNodes.until("it is exported again", () -> atBackup(nodes).export().isPresent());
            shows(uri, 2, "0 1M");
            shows(uri, 3, "1M 2M");
            shows(uri, 0, "3M 5M");
            opened(nodes, first.toString(), 1);
            write(uri, 4, "4M 1M");

            commit(nodes);
            shows(uri, 3, "1M 2M");
            write(uri, 5, "6M 1M");
            shows(uri, 5, "6M 1M");
            assertThrows(ProblemException.class, () -> opened(nodes, "latest", 3));
            assertThrows(ProblemException.class, () -> commit(nodes));
            nodes.backup.detach(new ControlApi.NameRequest("home"));
            String base = dir.resolve("storage/home.img").toString();
            shows(base, 2, "0 1M");
            shows(base, 3, "1M 2M");
            shows(base, 4, "4M 1M");
            shows(base, 5, "6M 1M");
            nodes.backup.attach(new ControlApi.NameRequest("home"));
            assertEquals(Optional.empty(), atBackup(nodes).trouble());
            nodes.backup.close();
            nodes.startBackup();
            TwoNodes.until("it is exported again", () -> atBackup(nodes).export().isPresent());
            shows(uri, 5, "6M 1M");
            assertTrue(Files.notExists(dir.resolve("storage/home.journal")));
        }
    }

    @Test
    void anOlderMomentIsBroughtBackAndWhatCameLaterCanStillBeOpened() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            Instant begun = now().minusMillis(1);
            write(atServer, 1, "0 2M");
            nodes.untilInSync("home");
            Instant first = Instant.now();
            write(atServer, 2, "1M 3M");
            nodes.untilInSync("home");
            Instant second = Instant.now();

            ProblemException alive =
                    assertThrows(ProblemException.class, () -> promote(nodes, null, false));
            assertEquals(ExitCode.REFUSED.number(), alive.problem().exitCode());
            nodes.server.close();
            assertThrows(
                    ProblemException.class, () -> promote(nodes, "2001-01-01T00:00:00Z", false));
            assertEquals("SECONDARY", atBackup(nodes).role());

            String uri = uri(promote(nodes, first.toString(), false));
            shows(uri, 1, "0 2M");
            shows(uri, 0, "2M 6M");
            StatusReport.View later =
                    nodes.backup
                            .open(
                                    new ControlApi.OpenRequest(
                                            "home", Optional.of(second.toString())))
                            .view();
            shows(later.uri(), 2, "1M 3M");
            nodes.backup.closeView(new ControlApi.CloseRequest(later.id()));

            // The one of before comes back: neither gives up anything.
            nodes.startServer();
            TwoNodes.until(
                    "both stand apart",
                    () -> atBackup(nodes).trouble().orElse("").contains("last position of both"));
            shows(uri, 1, "0 2M");
            shows(atServer, 2, "1M 3M");
            write(uri, 3, "5M 1M");
            write(uri, 3, "6143k 1536"); // Some of its last block, and the one behind it.
            StatusReport.Histories histories =
                    nodes.backup
                            .reconnect(
                                    new ControlApi.ReconnectRequest(
                                            "home", Optional.empty(), Optional.empty()))
                            .histories()
                            .orElseThrow();
            StatusReport.Side here = histories.sides().getFirst();
            assertEquals(Optional.of(257L), here.blocks(), here::toString);
            // What it had before it is among what the copy holds, and in none of its marks.
            assertEquals(Optional.empty(), histories.sides().getLast().blocks());
            Instant common = histories.commonTime().orElseThrow();
            assertTrue(common.isBefore(first) && common.isAfter(begun), histories::toString);
        }
    }

    /// Both count on the same room, of which there is enough for one. The other one stays what it
    /// is and can go the same way when there is more.
    @Test
    void ofTwoThatGiveUpTheirOwnAtOnceOneWaitsForRoom() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir);
                var threads = Executors.newFixedThreadPool(2)) {
            nodes.pair();
            String storage = dir.resolve("server-storage").toString();
            nodes.server.storage(new ControlApi.StorageRequest(storage, Optional.of(100L << 20)));
            List<String> names = List.of("home", "mail");
            for (String name : names) {
                Path disk = Files.write(dir.resolve(name + ".disk"), new byte[8 << 20]);
                nodes.addAndAttach(name, disk, 64 << 20);
                nodes.untilInSync(name);
                nodes.backup.promote(
                        new ControlApi.PromoteRequest(name, Optional.empty(), true, false));
                TwoNodes.until(
                        "the backup is known to be primary",
                        () ->
                                reconnect(nodes.server, name, "").facts().stream()
                                        .anyMatch(each -> each.startsWith("backup: primary")));
            }
            List<Callable<String>> orders = new ArrayList<>();
            for (String name : names) {
                String confirm = reconnect(nodes.server, name, "").confirm();
                orders.add(
                        () -> {
                            try {
                                reconnect(nodes.server, name, confirm);
                                return "";
                            } catch (ProblemException e) {
                                return e.problem().text();
                            }
                        });
            }
            List<String> refusals = new ArrayList<>();
            for (Future<String> each : threads.invokeAll(orders)) {
                refusals.add(each.get());
            }
            assertEquals(1, refusals.stream().filter(String::isEmpty).count(), refusals::toString);
            int other = refusals.getFirst().isEmpty() ? 1 : 0;
            assertTrue(refusals.get(other).contains("storage.max is 100 MiB"), refusals::toString);
            assertEquals("SECONDARY", nodes.atServer(names.get(1 - other)).role());
            assertEquals("PRIMARY", nodes.atServer(names.get(other)).role());
            assertEquals(List.of(), nodes.server.status().unopened());

            nodes.server.storage(new ControlApi.StorageRequest(storage, Optional.of(200L << 20)));
            String name = names.get(other);
            reconnect(nodes.server, name, reconnect(nodes.server, name, "").confirm());
            for (String each : names) {
                TwoNodes.until("in sync", () -> isInSync(nodes.backup, each));
            }
        }
    }

    /// @param confirm gives up what this one has; empty: it is only looked
    private static ControlApi.ReconnectReply reconnect(Daemon server, String name, String confirm)
            throws ProblemException {
        return server.reconnect(
                new ControlApi.ReconnectRequest(
                        name,
                        confirm.isEmpty() ? Optional.empty() : Optional.of("server"),
                        confirm.isEmpty() ? Optional.empty() : Optional.of(confirm)));
    }

    private static void discard(Daemon at, String host) throws Exception {
        String confirm =
                at.reconnect(
                                new ControlApi.ReconnectRequest(
                                        "home", Optional.empty(), Optional.empty()))
                        .confirm();
        at.reconnect(
                new ControlApi.ReconnectRequest("home", Optional.of(host), Optional.of(confirm)));
    }

    private static void untilInSync(Daemon primary) {
        TwoNodes.until("in sync", () -> isInSync(primary, "home"));
    }

    private static boolean isInSync(Daemon primary, String name) {
        StatusReport.Resource now = primary.status().resource(name).orElseThrow();
        return now.replication().equals("ESTABLISHED")
                && now.committed().equals(now.position())
                && now.behind().orElseThrow().bytes() == 0;
    }

    private static void shows(Daemon copy, String at, int number, String range) throws Exception {
        StatusReport.View view =
                copy.open(new ControlApi.OpenRequest("home", Optional.of(at))).view();
        shows(view.uri(), number, range);
        copy.closeView(new ControlApi.CloseRequest(view.id()));
    }

    /// There and back: each side was written to alone, each gives up its own once, and what it gave
    /// up can still be opened.
    @Test
    void whatOneSideGivesUpStaysToBeOpenedAndTheOtherBringsItOn() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.server.storage(
                    new ControlApi.StorageRequest(
                            dir.resolve("server-storage").toString(), Optional.empty()));
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            write(atServer, 1, "0 2M");
            nodes.untilInSync("home");
            String atBackup = uri(promote(nodes, null, true));
            write(atServer, 2, "1M 2M");
            write(atBackup, 3, "4M 2M");
            TwoNodes.until(
                    "both stand apart",
                    () -> nodes.atServer("home").trouble().orElse("").contains("last position"));

            ControlApi.ReconnectReply facts =
                    nodes.server.reconnect(
                            new ControlApi.ReconnectRequest(
                                    "home", Optional.empty(), Optional.empty()));
            System.out.println("PromoteTest: " + String.join("\n  ", facts.facts()));
            assertTrue(facts.facts().get(1).contains("server: primary"), facts.toString());
            assertTrue(facts.facts().get(2).contains("promoted by backup"), facts.toString());
            assertEquals(
                    ExitCode.CONFIRMATION_NEEDED.number(),
                    assertThrows(
                                    ProblemException.class,
                                    () ->
                                            nodes.server.reconnect(
                                                    new ControlApi.ReconnectRequest(
                                                            "home",
                                                            Optional.of("server"),
                                                            Optional.empty())))
                            .problem()
                            .exitCode());
            discard(nodes.server, "server");
            assertEquals("SECONDARY", nodes.atServer("home").role());
            untilInSync(nodes.backup);
            shows(nodes.server, "latest", 3, "4M 2M");
            shows(nodes.server, "latest", 1, "0 2M");
            String kept =
                    nodes.server.points(new ControlApi.NameRequest("home")).kept().getFirst().as();
            assertTrue(kept.startsWith("discarded-"), kept);
            shows(nodes.server, kept, 2, "1M 2M");
            shows(nodes.server, kept, 0, "3M 5M");

            nodes.server.close();
            nodes.startServer();
            write(atBackup, 4, "6M 1M");
            untilInSync(nodes.backup);
            shows(nodes.server, "latest", 4, "6M 1M");
            shows(nodes.server, kept, 2, "1M 2M");

            // Back: planned, so nothing is given up.
            nodes.backup.detach(new ControlApi.NameRequest("home"));
            ControlApi.PromoteReply back =
                    nodes.server.promote(
                            new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
            write(uri(back), 5, "7M 1M");
            TwoNodes.until(
                    "the server is known to be primary",
                    () ->
                            nodes
                                    .backup
                                    .reconnect(
                                            new ControlApi.ReconnectRequest(
                                                    "home", Optional.empty(), Optional.empty()))
                                    .facts()
                                    .stream()
                                    .anyMatch(each -> each.startsWith("server: primary")));
            discard(nodes.backup, "backup");
            untilInSync(nodes.server);
            shows(nodes.backup, "latest", 5, "7M 1M");
            shows(nodes.backup, "latest", 4, "6M 1M");
            shows(nodes.backup, "latest", 1, "0 2M");
        }
    }

    /// Both say the same of each other: the last moment of both, and how much each has written
    /// since and when, also when they were started again.
    @Test
    void bothSidesSayWhenTheyWereTheSameAndWhatEachHasWrittenSince() throws Exception {
        try (TwoProcesses nodes = new TwoProcesses(dir, Map.of())) {
            nodes.add(nodes.left, "home", 64 * MIB);
            String atLeft = uri(nodes.left);
            Instant before = now();
            write(atLeft, 1, "0 2M");
            nodes.awaitInSync(nodes.left, "home");
            Instant same = Instant.now();
            nodes.right.api.promote(
                    new ControlApi.PromoteRequest("home", Optional.empty(), true, false));
            Instant apart = now();
            write(atLeft, 2, "1M 2M");
            write(atLeft, 3, "2M 64k"); // Blocks that are among those.
            write(uri(nodes.right), 4, "4M 512k");
            Instant after = Instant.now();

            StatusReport.Histories seen = met(nodes, 512, 0, 128, 0);
            Instant common = seen.commonTime().orElseThrow();
            assertTrue(!common.isBefore(before) && !common.isAfter(same), seen::toString);
            for (StatusReport.Side each : seen.sides()) {
                Instant first = each.since().orElseThrow();
                Instant last = each.last().orElseThrow();
                assertTrue(!first.isBefore(apart) && !first.isAfter(last), each::toString);
                assertTrue(!last.isAfter(after) && !each.lastOrLater(), each::toString);
            }
            StatusReport.Begun promoted = seen.sides().getLast().begun().getFirst();
            assertEquals("PROMOTE", promoted.reason());
            assertEquals("right", promoted.host());
            List<String> words = reconnect(nodes.left).facts();
            assertTrue(
                    words.get(1).contains("it wrote 512 blocks (2 MiB) from 20"), words::toString);
            assertTrue(
                    words.get(2).contains("it wrote 128 blocks (512 KiB) from 20"),
                    words::toString);
            List<String> choices = reconnect(nodes.left).choices();
            assertTrue(
                    choices.get(0).contains("what left wrote since, 512 blocks (2 MiB), is in home")
                            && choices.get(1).contains("what right wrote since, 128 blocks (512"),
                    choices::toString);

            // A clean stop forgets nothing.
            nodes.right.close();
            nodes.right.start();
            nodes.right.awaitAnswer();
            StatusReport.Histories again = met(nodes, 512, 0, 128, 0);
            assertEquals(seen.commonTime(), again.commonTime());
            assertEquals(seen.sides().getLast().since(), again.sides().getLast().since());
            assertEquals(seen.sides().getLast().last(), again.sides().getLast().last());

            // A kill leaves an extent in which it may have written anything.
            nodes.left.kill();
            nodes.left.start();
            nodes.left.awaitAnswer();
            StatusReport.Histories crashed = met(nodes, 0, 1024, 128, 0);
            assertEquals(seen.commonTime(), crashed.commonTime());
            StatusReport.Side left = crashed.sides().getFirst();
            assertTrue(left.lastOrLater() && !left.last().orElseThrow().isAfter(after));
            write(uri(nodes.right), 5, "40M 4k");
            met(nodes, 0, 1024, 129, 0);
        }
    }

    private static Instant now() {
        return Instant.now().truncatedTo(ChronoUnit.MILLIS);
    }

    private static String uri(NodeProcess node) {
        return "nbd+unix:///home?socket=" + TwoProcesses.socket(node, "home");
    }

    private static ControlApi.ReconnectReply reconnect(NodeProcess node) throws Exception {
        return node.api.reconnect(
                new ControlApi.ReconnectRequest("home", Optional.empty(), Optional.empty()));
    }

    /// What both say when they have heard of each other.
    private static StatusReport.Histories met(
            TwoProcesses nodes, long left, long leftDoubt, long right, long rightDoubt) {
        List<StatusReport.Histories> said = new ArrayList<>();
        NodeProcess.until(
                "both say %d+%d and %d+%d".formatted(left, leftDoubt, right, rightDoubt),
                () -> {
                    said.clear();
                    for (NodeProcess each : List.of(nodes.left, nodes.right)) {
                        each.resource("home")
                                .flatMap(StatusReport.Resource::histories)
                                .ifPresent(said::add);
                        if (said.size() % 2 == 1) { // Else it is not open, or alone.
                            reconnect(each).histories().ifPresent(said::add);
                        }
                    }
                    return said.size() == 4
                            && said.stream()
                                    .allMatch(
                                            each ->
                                                    wrote(each, "left", left, leftDoubt)
                                                            && wrote(
                                                                    each,
                                                                    "right",
                                                                    right,
                                                                    rightDoubt));
                },
                nodes.left,
                nodes.right);
        assertEquals(said.get(0).common(), said.get(2).common());
        assertEquals(said.get(0).commonTime(), said.get(2).commonTime());
        assertEquals(said.get(0).sides(), said.get(2).sides().reversed());
        return said.get(0);
    }

    private static boolean wrote(
            StatusReport.Histories of, String host, long blocks, long doubtful) {
        return of.sides().stream()
                .anyMatch(
                        each ->
                                each.host().equals(host)
                                        && each.blocks().equals(Optional.of(blocks))
                                        && each.bytes().equals(Optional.of(blocks << 12))
                                        && each.doubtfulBlocks().equals(Optional.of(doubtful)));
    }

    /// What the journal has lost, the peer's copy may hold: nothing but a comparison of everything
    /// finds that.
    @Test
    void whatADamagedJournalHasLostIsTakenOutOfTheCopyThatHasIt() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.server.storage(
                    new ControlApi.StorageRequest(
                            dir.resolve("server-storage").toString(), Optional.empty()));
            write(nodes.addAndAttach("home", disk()), 1, "0 2M");
            nodes.untilInSync("home");
            nodes.server.detach(new ControlApi.NameRequest("home"));
            String uri = uri(promote(nodes, null, false));
            TwoNodes.until(
                    "the backup is known to be primary",
                    () ->
                            nodes
                                    .server
                                    .reconnect(
                                            new ControlApi.ReconnectRequest(
                                                    "home", Optional.empty(), Optional.empty()))
                                    .facts()
                                    .stream()
                                    .anyMatch(each -> each.startsWith("backup: primary")));
            discard(nodes.server, "server");
            write(uri, 199, "4M 64k"); // In the segment that a start reads.
            write(uri, 3, "6M 512k");
            untilInSync(nodes.backup);
            nodes.backup.close();
            damage(dir.resolve("storage/home.journal"), (byte) 199);
            nodes.startBackup();
            TwoNodes.until(
                    "it says so", () -> atBackup(nodes).trouble().orElse("").contains("damaged"));
            nodes.backup.attach(new ControlApi.NameRequest("home"));
            shows(uri, 1, "0 2M");
            shows(uri, 0, "6M 512k");
            untilInSync(nodes.backup);
            shows(nodes.server, "latest", 1, "0 2M");
            shows(nodes.server, "latest", 0, "6M 512k");
            Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, image(nodes.server));
        }
    }

    private static String image(Daemon copy) throws Exception {
        return copy.open(new ControlApi.OpenRequest("home", Optional.of("latest"))).view().uri();
    }

    /// The kill came between the new role and the name for what it gives up, and the disk has no
    /// room for that now.
    @Test
    void whatCannotBeKeptIsNotGivenUpAndTheCopyIsOpenAndSaysSo() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            Path storage = dir.resolve("server-storage");
            nodes.server.storage(
                    new ControlApi.StorageRequest(storage.toString(), Optional.empty()));
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            String atBackup = uri(promote(nodes, null, true));
            write(atServer, 2, "1M 2M");
            write(atBackup, 3, "4M 2M");
            TwoNodes.until(
                    "both stand apart",
                    () -> nodes.atServer("home").trouble().orElse("").contains("last position"));
            nodes.backup.pauseSync(new ControlApi.NameRequest("home"));
            discard(nodes.server, "server");
            nodes.server.close();
            Path pins = storage.resolve("home.pins");
            Files.delete(pins.resolve("pins"));
            Path inTheWay = Files.createDirectory(pins.resolve("pins.tmp"));

            nodes.startServer();
            TwoNodes.until("it is open", () -> nodes.server.status().resource("home").isPresent());
            String trouble = nodes.atServer("home").trouble().orElse("");
            System.out.println("PromoteTest: " + trouble);
            assertTrue(trouble.contains("what it has by itself cannot be kept"), trouble);
            assertTrue(trouble.contains(nodes.serverPaths.command("connect home")), trouble);
            assertEquals("SECONDARY", nodes.atServer("home").role());
            shows(nodes.server, "latest", 2, "1M 2M");
            // Nothing is brought on over what is not kept.
            nodes.backup.resumeSync(new ControlApi.NameRequest("home"));
            TwoNodes.until(
                    "the peer stands apart",
                    () -> atBackup(nodes).trouble().orElse("").contains("forked"));
            shows(nodes.server, "latest", 2, "1M 2M");

            Files.delete(inTheWay);
            nodes.server.connect(new ControlApi.LinkRequest(Optional.of("home")));
            untilInSync(nodes.backup);
            TwoNodes.until(
                    "nothing is told any more", () -> nodes.atServer("home").trouble().isEmpty());
            shows(nodes.server, "latest", 3, "4M 2M");
            String kept =
                    nodes.server.points(new ControlApi.NameRequest("home")).kept().getFirst().as();
            assertTrue(kept.startsWith("discarded-"), kept);
            shows(nodes.server, kept, 2, "1M 2M");
        }
    }

    /// It is the only live device: its clients write on, and the peer waits for what is damaged.
    @Test
    void aPeerIsNotFilledFromWhatCannotBeReadOfAPromotedCopyUntilThatIsWrittenAnew()
            throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            Path storage = dir.resolve("server-storage");
            nodes.server.storage(
                    new ControlApi.StorageRequest(storage.toString(), Optional.empty()));
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            String atBackup = uri(promote(nodes, null, true));
            write(atServer, 2, "1M 2M");
            write(atBackup, 3, "4M 64k");
            TwoNodes.until(
                    "both stand apart",
                    () -> nodes.atServer("home").trouble().orElse("").contains("last position"));
            damage(dir.resolve("storage/home.journal"), (byte) 3);
            // Each segment is looked at when it is whole.
            TwoNodes.until(
                    "it is found",
                    () -> {
                        write(atBackup, 4, "5M 2M");
                        return atBackup(nodes).trouble().orElse("").contains("I/O error");
                    });
            discard(nodes.server, "server");
            TwoNodes.until(
                    "the peer waits",
                    () -> nodes.atServer("home").trouble().orElse("").contains("damaged"));
            write(atBackup, 5, "7M 64k");
            assertEquals("UP_TO_DATE", atBackup(nodes).disk());
            assertFalse(isInSync(nodes.backup, "home"));
            write(atBackup, 6, "4M 64k");
            untilInSync(nodes.backup);
            shows(nodes.server, "latest", 6, "4M 64k");
            shows(nodes.server, "latest", 5, "7M 64k");
            TwoNodes.until("nothing is told any more", () -> atBackup(nodes).trouble().isEmpty());
        }
    }

    /// In the first data of this content.
    private static void damage(Path journal, byte content) throws IOException {
        List<Path> segments;
        try (Stream<Path> files = Files.list(journal)) {
            segments = files.sorted().toList();
        }
        for (Path each : segments) {
            byte[] bytes = Files.readAllBytes(each);
            int same = 0;
            for (int i = 0; i < bytes.length; i++) {
                same = bytes[i] == content ? same + 1 : 0;
                if (same == 512) {
                    bytes[i] ^= 1;
                    Files.write(each, bytes);
                    return;
                }
            }
        }
        throw new AssertionError("nothing of it is in " + journal);
    }

    /// A promoted copy whose daemon is killed again and again, also while the promotion is made
    /// final, keeps what was answered.
    @Test
    void whatAPromotedCopyAnsweredItKeepsWhenItIsKilled() throws Exception {
        Random random = new Random();
        long seed = random.nextLong();
        random.setSeed(seed);
        System.out.println("PromoteTest: seed " + seed);
        try (TwoProcesses nodes = new TwoProcesses(dir, Map.of())) {
            nodes.add(nodes.left, "home", 8 * MIB);
            nodes.left.close();
            NodeProcess node = nodes.right;
            node.api.promote(new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
            List<BlockWriter> writers = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                writers.add(new BlockWriter(i, i * 1024, 1024, seed + i));
            }
            ExecutorService threads = Executors.newCachedThreadPool();
            AtomicBoolean over = new AtomicBoolean();
            BlockWriter.Opener opener = () -> open(TwoProcesses.socket(node, "home"), over::get);
            List<Future<?>> running = new ArrayList<>();
            writers.forEach(each -> running.add(threads.submit(() -> each.run(opener))));
            TwoNodes.until(
                    "both write", () -> writers.stream().allMatch(each -> each.incarnations() > 0));
            boolean isFinal = false;
            for (int i = 0; i < PROMOTED_KILLS; i++) {
                Thread.sleep(random.nextInt(1000));
                Future<Boolean> commit =
                        i >= PROMOTED_KILLS / 3 && !isFinal
                                ? threads.submit(() -> commit(node))
                                : CompletableFuture.completedFuture(isFinal);
                Thread.sleep(random.nextInt(400));
                node.kill();
                isFinal |= commit.get();
                node.start();
                node.awaitAnswer();
            }
            if (!isFinal) {
                TwoNodes.until("it is open", () -> node.resource("home").isPresent());
                assertTrue(commit(node));
            }
            List<Long> so = writers.stream().map(BlockWriter::writes).toList();
            TwoNodes.until(
                    "both write again",
                    () ->
                            writers.get(0).writes() > so.get(0)
                                    && writers.get(1).writes() > so.get(1));
            over.set(true);
            writers.forEach(BlockWriter::stop);
            for (Future<?> each : running) {
                each.get();
            }
            threads.shutdown();
            System.out.println(
                    "PromoteTest: %d kills, %d writes"
                            .formatted(
                                    PROMOTED_KILLS,
                                    writers.stream().mapToLong(BlockWriter::writes).sum()));
            try (BlockClient client = open(TwoProcesses.socket(node, "home"), () -> false)) {
                for (BlockWriter each : writers) {
                    each.requirePrefix(client, each.floor());
                }
            }
            Run.ok(
                    "qemu-img",
                    "compare",
                    "-f",
                    "raw",
                    "-F",
                    "raw",
                    "nbd+unix:///home?socket=" + TwoProcesses.socket(node, "home"),
                    node.resource("home").orElseThrow().path());
        }
    }

    /// @return false if it was killed meanwhile
    private static boolean commit(NodeProcess node) {
        try {
            node.api.promote(new ControlApi.PromoteRequest("home", Optional.empty(), false, true));
            return true;
        } catch (ProblemException e) {
            System.out.println("PromoteTest: --commit: " + e.getMessage());
            return e.getMessage().contains("no promotion");
        }
    }

    private static BlockClient open(Path socket, BooleanSupplier over) throws InterruptedException {
        while (true) {
            try {
                return new BlockClient(socket, "home");
            } catch (IOException e) {
                if (over.getAsBoolean()) {
                    throw new InterruptedException("the test is over");
                }
                Thread.sleep(5);
            }
        }
    }
}
