package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.daemon.Daemon;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.status.StatusReport;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.function.UnaryOperator;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/// Copies whose histories do not follow each other: that resource alone stands apart, on both
/// sides, and both say why. What a server knows of its past is changed while it is stopped.
class DivergedTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private TwoNodes nodes;
    private String uri;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        uri = nodes.addAndAttach("home", Files.write(dir.resolve("home.img"), new byte[MIB]));
        nodes.addAndAttach("other", Files.write(dir.resolve("other.img"), new byte[MIB]));
        write(1);
        nodes.untilInSync("home");
        nodes.untilInSync("other");
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    @Test
    void unrelatedCopiesStandApartOnBothSides() throws Exception {
        withAPastOfItsOwn();
        assertApart("the two copies have no common history");
        String disk = dir.resolve("home.img").toString();
        String copy = dir.resolve("storage/home.img").toString();
        String here = "here " + nodes.serverPaths.command("");
        String there = "at backup holdfast ";
        assertEquals(
                List.of(
                        List.of(
                                here + "remove home",
                                there + "remove home",
                                here + "add home " + disk),
                        List.of(
                                there + "remove home --keep-copy",
                                here + "remove home",
                                there + "add home DISK"),
                        List.of(there + "promote home")),
                commands(nodes.server));
        here = "here " + nodes.backupPaths.command("");
        there = "at server holdfast ";
        assertEquals(
                List.of(
                        List.of(
                                here + "remove home --keep-copy",
                                there + "remove home",
                                here + "add home " + copy),
                        List.of(
                                there + "remove home",
                                here + "remove home",
                                there + "add home DISK"),
                        List.of(here + "promote home")),
                commands(nodes.backup));
        // And they do it.
        remove(nodes.server, false);
        remove(nodes.backup, false);
        nodes.addAndAttach("home", Path.of(disk));
        nodes.untilInSync("home");
    }

    /// The other choice, as it is said.
    @Test
    void ofTwoUnrelatedOnesTheCopyCanBeKept() throws Exception {
        withAPastOfItsOwn();
        TwoNodes.until("it is said", () -> trouble(nodes.backup).startsWith("the two copies"));
        remove(nodes.backup, true);
        remove(nodes.server, false);
        nodes.server.storage(
                new ControlApi.StorageRequest(
                        dir.resolve("storage-server").toString(), Optional.empty()));
        nodes.backup.add(TwoNodes.addRequest("home", dir.resolve("storage/home.img"), 64L << 20));
        String kept = nodes.backup.attach(HOME).uri();
        TwoNodes.until("filled", () -> home(nodes.backup).replication().equals("ESTABLISHED"));
        Run.ok("qemu-io", "-r", "-f", "raw", "-c", "read -P 1 0 64k", kept);
        assertEquals("SECONDARY", home(nodes.server).role());
    }

    private void withAPastOfItsOwn() throws Exception {
        withAnotherPast(
                was ->
                        new Ancestry(
                                List.of(
                                        new Ancestry.Entry(
                                                99,
                                                Position.NONE,
                                                Ancestry.Reason.CREATE,
                                                was.entries().getLast().author(),
                                                1))),
                new Position(99, 5));
    }

    /// What is to be typed, for each choice.
    private static List<List<String>> commands(Daemon at) throws Exception {
        Pattern command = Pattern.compile("(here|at [a-z]+) holdfast .+?(?= \\(|\\. |, |$)");
        return choices(at).stream()
                .map(each -> command.matcher(each).results().map(MatchResult::group).toList())
                .toList();
    }

    private static void remove(Daemon at, boolean keepCopy) throws Exception {
        String confirm =
                at.remove(new ControlApi.RemoveRequest("home", keepCopy, true, Optional.empty()))
                        .confirm();
        at.remove(new ControlApi.RemoveRequest("home", keepCopy, false, Optional.of(confirm)));
    }

    /// The copy went on in a generation that this server knows nothing of, and that began in one
    /// that another host wrote.
    @Test
    void forkedCopiesStandApartOnBothSidesAndSayWhereTheyForked() throws Exception {
        List<Ancestry.Entry> first = new ArrayList<>();
        withAnotherPast(
                was -> {
                    Ancestry.Entry entry = was.entries().getFirst();
                    first.add(
                            new Ancestry.Entry(
                                    entry.generation(),
                                    entry.parent(),
                                    entry.reason(),
                                    UUID.randomUUID(),
                                    entry.wallMillis()));
                    return new Ancestry(first);
                },
                null);
        write(2);
        nodes.untilInSync("home");
        Position fork = new Position(first.getFirst().generation(), 1);
        withAnotherPast(_ -> new Ancestry(first), fork);
        assertApart("the histories forked at " + fork);
    }

    private void write(int with) throws Exception {
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P %d 0 64k".formatted(with), uri);
    }

    /// @param at where the server stopped last; null: where it did
    private void withAnotherPast(UnaryOperator<Ancestry> past, Position at) throws Exception {
        nodes.server.close();
        Path file = nodes.serverPaths.state().resolve("resources/home/superblock");
        UUID id = UUID.fromString(nodes.backup.status().resource("home").orElseThrow().id());
        try (TwoSlotFile<Superblock> slots = TwoSlotFile.open(file, id, Superblock.CODEC)) {
            Superblock was = slots.value();
            slots.write(
                    new Superblock(
                            was.resource(),
                            was.role(),
                            was.space(),
                            was.clean(),
                            was.everCommitted(),
                            was.blank(),
                            was.detached(),
                            was.mixture(),
                            at == null ? was.position() : at,
                            was.acknowledged(),
                            was.peerMark(),
                            was.watermark(),
                            was.rollingTo(),
                            was.incarnation(),
                            was.movedBy(),
                            was.filled(),
                            was.labelMillis(),
                            was.receiptMillis(),
                            past.apply(was.ancestry())));
        }
        nodes.startServer();
    }

    private void assertApart(String why) throws Exception {
        for (Daemon each : List.of(nodes.server, nodes.backup)) {
            TwoNodes.until(
                    "%s, told by %s".formatted(why, each.status().node().name()),
                    () -> trouble(each).startsWith(why));
            assertEquals("OFF", home(each).replication());
            assertEquals("CONNECTED", home(each).connection());
            TwoNodes.until(
                    "it is an event",
                    () -> events(each).stream().anyMatch(e -> e.startsWith("split-brain " + why)));
        }
        for (Daemon each : List.of(nodes.server, nodes.backup)) {
            List<String> choices = choices(each);
            assertTrue(
                    choices.size() > 1 && choices.stream().allMatch(c -> c.contains("holdfast ")),
                    choices::toString);
        }
        // The copy is as it was, and the other resource goes on.
        ControlApi.OpenReply view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
        Run.ok("qemu-io", "-r", "-f", "raw", "-c", "read 0 64k", view.view().uri());
        Run.ok(
                "qemu-io",
                "-f",
                "raw",
                "-c",
                "write -P 7 0 64k",
                nodes.atServer("other").export().orElseThrow().uri());
        nodes.untilInSync("other");
        // Nobody's order to connect merges them.
        long before = splits(nodes.backup);
        nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.server.connect(new ControlApi.LinkRequest(Optional.of("home")));
        TwoNodes.until("it is told again", () -> splits(nodes.backup) > before);
        TwoNodes.until("and here", () -> trouble(nodes.server).startsWith(why));
    }

    private static List<String> choices(Daemon at) throws Exception {
        return at.reconnect(
                        new ControlApi.ReconnectRequest("home", Optional.empty(), Optional.empty()))
                .choices();
    }

    private static long splits(Daemon node) throws Exception {
        return events(node).stream().filter(e -> e.startsWith("split-brain")).count();
    }

    private static StatusReport.Resource home(Daemon node) {
        return node.status().resource(HOME.name()).orElseThrow();
    }

    private static String trouble(Daemon node) {
        return home(node).trouble().orElse("");
    }

    private static List<String> events(Daemon node) throws Exception {
        List<String> events = new ArrayList<>();
        node.events(
                new ControlApi.EventsRequest(0, false),
                each -> {
                    if (each.resource().equals(Optional.of(HOME.name()))) {
                        events.add(each.kind() + " " + each.text());
                    }
                });
        return events;
    }
}
