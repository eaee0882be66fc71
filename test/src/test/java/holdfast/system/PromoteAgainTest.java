package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.MetadataDump;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.daemon.Daemon;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.StatusTable;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// A promotion of which another moment is chosen before it is final, with real daemons and clients.
class PromoteAgainTest {
    private static final int MIB = 1 << 20;
    private static final Path OPERATIONS = Path.of("../docs/operations.md");

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

    private static void opened(Daemon copy, String at, int number, String range) throws Exception {
        StatusReport.View view =
                copy.open(new ControlApi.OpenRequest("home", Optional.of(at))).view();
        shows(view.uri(), number, range);
        copy.closeView(new ControlApi.CloseRequest(view.id()));
    }

    /// The clock is in milliseconds: what comes next is later than this, and what was before not.
    private static Instant now() {
        LockSupport.parkNanos(5_000_000);
        Instant now = Instant.now();
        LockSupport.parkNanos(5_000_000);
        return now;
    }

    private static String promote(TwoNodes nodes, String at) throws Exception {
        return uri(
                nodes.backup.promote(
                        new ControlApi.PromoteRequest(
                                "home", Optional.ofNullable(at), false, false)));
    }

    private static String uri(ControlApi.PromoteReply reply) {
        return reply.attached().orElseThrow(() -> new AssertionError(reply.toString())).uri();
    }

    private static ControlApi.PromoteReply preview(TwoNodes nodes, String at) throws Exception {
        return nodes.backup.promote(
                new ControlApi.PromoteRequest(
                        "home", Optional.of(at), false, false, true, Optional.empty()));
    }

    /// As somebody who reads what it would undo, and confirms that.
    private static ControlApi.PromoteReply again(TwoNodes nodes, String at) throws Exception {
        return nodes.backup.promote(
                new ControlApi.PromoteRequest(
                        "home",
                        Optional.of(at),
                        false,
                        false,
                        false,
                        preview(nodes, at).confirm()));
    }

    private static Problem refused(TwoNodes nodes, String at) {
        return assertThrows(ProblemException.class, () -> again(nodes, at)).problem();
    }

    private static void commit(TwoNodes nodes) throws Exception {
        nodes.backup.promote(new ControlApi.PromoteRequest("home", Optional.empty(), false, true));
    }

    private static StatusReport.Resource atBackup(TwoNodes nodes) {
        return nodes.backup.status().resource("home").orElseThrow();
    }

    private List<String> roles() throws IOException {
        try (Stream<Path> files = Files.list(dir.resolve("backup/state/resources"))) {
            return List.copyOf(
                    new TreeSet<>(files.map(each -> each.getFileName().toString()).toList()));
        }
    }

    private static ControlApi.PointsReply points(Daemon at) throws Exception {
        return at.points(new ControlApi.NameRequest("home"));
    }

    @Test
    void anOlderAndANewerMomentCanBeChosenUntilItIsFinalAndNothingIsLost() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            List<Instant> moments = new ArrayList<>();
            for (int i = 1; i <= 3; i++) {
                write(atServer, i, "0 2M");
                nodes.untilInSync("home");
                moments.add(now());
            }
            nodes.server.close();
            String first = moments.get(0).toString();
            String second = moments.get(1).toString();
            String third = moments.get(2).toString();

            String uri = promote(nodes, first);
            shows(uri, 1, "0 2M");
            write(uri, 4, "1M 2M");
            String fourth = now().toString();

            retain(nodes, "64 MiB", "12h");
            assertEquals(12 * 3600, points(nodes.backup).retentionSeconds());

            // It says what it is, and changes nothing below anybody or unasked.
            StatusReport.Resource promoted = atBackup(nodes);
            assertTrue(promoted.journal().isPresent() && promoted.promotion().isPresent());
            assertTrue(points(nodes.backup).promoted());
            String table = StatusTable.of(nodes.backup.status(), ZoneOffset.UTC);
            assertTrue(
                    table.matches("(?s).*  promotion    of .*, not final: any moment from .*"),
                    table);
            Path socket = nodes.backupPaths.run().resolve("home.nbd");
            try (BlockClient client = new BlockClient(socket, "home")) {
                Problem inUse = refused(nodes, second);
                assertEquals(ExitCode.REFUSED.number(), inUse.exitCode());
                assertTrue(inUse.text().contains("1 client is connected"), inUse::text);
                assertTrue(inUse.text().contains("promote home --at " + second), inUse::text);
                client.flush();
            }
            Problem unsure =
                    assertThrows(ProblemException.class, () -> promote(nodes, second)).problem();
            assertEquals(ExitCode.CONFIRMATION_NEEDED.number(), unsure.exitCode());
            System.out.println("PromoteAgainTest: " + unsure.text());
            assertTrue(
                    unsure.text().matches("(?s).*3 MiB of home .* at least [1-9] writes .*"),
                    unsure::text);
            assertTrue(refused(nodes, "latest").cause().contains("is what it was"));
            assertThrows(ProblemException.class, () -> promote(nodes, null));
            assertEquals(
                    ExitCode.REFUSED.number(), refused(nodes, "2001-01-01T00:00:00Z").exitCode());
            shows(uri, 4, "1M 2M");

            // A newer one than the first.
            ControlApi.PromoteReply reply = again(nodes, second);
            assertTrue(reply.done() && uri(reply).equals(uri), reply::toString);
            shows(uri, 2, "0 2M");
            shows(uri, 0, "2M 6M");
            opened(nodes.backup, fourth, 4, "1M 2M");
            opened(nodes.backup, first, 1, "0 2M");
            opened(nodes.backup, third, 3, "0 2M");
            assertEquals(List.of("home", "home~2"), roles());
            write(uri, 5, "0 1M");
            String fifth = now().toString();

            // One of the history that was left, which is that of the first choice.
            again(nodes, fourth);
            shows(uri, 1, "0 1M");
            shows(uri, 4, "1M 2M");
            opened(nodes.backup, fifth, 5, "0 1M");
            opened(nodes.backup, fifth, 2, "1M 1M");

            // What the server had at last, and again after a restart.
            again(nodes, third);
            nodes.backup.close();
            nodes.startBackup();
            TwoNodes.until("it is exported again", () -> atBackup(nodes).export().isPresent());
            shows(uri, 3, "0 2M");
            shows(uri, 0, "2M 6M");
            write(uri, 6, "3M 1M");
            again(nodes, fifth);
            shows(uri, 5, "0 1M");
            shows(uri, 2, "1M 1M");

            // The server comes back: they parted where the moment of the choice that counts was.
            nodes.startServer();
            TwoNodes.until(
                    "both stand apart",
                    () -> atBackup(nodes).trouble().orElse("").contains("last position of both"));
            shows(atServer, 3, "0 2M");
            nodes.server.close();

            commit(nodes);
            shows(uri, 5, "0 1M");
            Problem isFinal =
                    assertThrows(ProblemException.class, () -> again(nodes, first)).problem();
            assertTrue(isFinal.cause().contains("is primary here already"), isFinal::text);
            assertEquals(Optional.empty(), atBackup(nodes).promotion());
            assertEquals(1, roles().size(), () -> "more than one role");
            nodes.backup.detach(new ControlApi.NameRequest("home"));
            String base = dir.resolve("storage/home.img").toString();
            shows(base, 5, "0 1M");
            shows(base, 2, "1M 1M");
            shows(base, 0, "2M 6M");
        }
    }

    /// The last position of both is that of the moment chosen last.
    @Test
    void theForkWithTheServerIsWhereTheMomentChosenLastWas() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            write(atServer, 1, "0 1M");
            nodes.untilInSync("home");
            String first = now().toString();
            write(atServer, 2, "0 1M");
            nodes.untilInSync("home");
            String second = now().toString();
            write(atServer, 3, "0 1M");
            nodes.untilInSync("home");
            nodes.server.close();
            promote(nodes, first);
            String position = again(nodes, second).from().orElseThrow().position();
            nodes.startServer();
            TwoNodes.until(
                    "both stand apart where it parted",
                    () ->
                            atBackup(nodes)
                                            .trouble()
                                            .orElse("")
                                            .contains("last position of both is " + position)
                                    && nodes.atServer("home")
                                            .trouble()
                                            .orElse("")
                                            .contains("last position of both is " + position));
        }
    }

    private static void retain(TwoNodes nodes, String size, String span) throws Exception {
        Path file = nodes.backupPaths.resourceDirectory().resolve("home.toml");
        Files.writeString(
                file,
                Files.readString(file)
                        .replaceFirst(
                                "journal = .*",
                                "journal = { size = \"%s\", retention = \"%s\", retention-min = \"0s\" }"
                                        .formatted(size, span)));
        ControlApi.AdjustReply reply = nodes.backup.adjust(new ControlApi.AdjustRequest(false));
        assertTrue(reply.applied(), reply::toString);
    }

    private void compare(String content, String uri) throws Exception {
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", content, uri);
    }

    /// Of a moment that the base has been rolled past only what was saved of the base is left.
    @Test
    void aKeptMomentThatTheBaseHasPassedIsGoneOnFrom() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            Path disk = disk();
            String atServer = nodes.addAndAttach("home", disk, 16L << 20);
            nodes.untilInSync("home");
            write(atServer, 1, "0 3M");
            write(atServer, 2, "1M 64k");
            write(atServer, 8, "6000k 100k");
            nodes.untilInSync("home");
            String content = Files.copy(disk, dir.resolve("kept.img")).toString();
            nodes.backup.keep(
                    new ControlApi.KeepRequest(
                            "home", "before", Optional.of("latest"), Optional.empty()));
            retain(nodes, "16 MiB", "0s");
            int[] round = {10};
            TwoNodes.until(
                    "the base is past it",
                    () -> {
                        write(atServer, round[0]++ % 200 + 1, "1M 1M");
                        write(atServer, round[0]++ % 200 + 1, "4M 1M");
                        Run.ok("qemu-io", "-f", "raw", "-c", "write -z -u 6000k 64k", atServer);
                        nodes.untilInSync("home");
                        return points(nodes.backup).kept().getFirst().bytes() > MIB;
                    });
            nodes.server.close();
            String uri = promote(nodes, "before");
            compare(content, uri);
            // And once more, with what the new primary wrote in journal and base.
            TwoNodes.until(
                    "the base is past what was written",
                    () -> {
                        write(uri, round[0]++ % 200 + 1, "0 1M");
                        write(uri, round[0]++ % 200 + 1, "5M 2M");
                        return points(nodes.backup).kept().getFirst().bytes() > 2 * MIB;
                    });
            write(uri, 7, "2M 1M");
            assertEquals(List.of("before"), atBackup(nodes).promotion().orElseThrow().kept());
            again(nodes, "before");
            compare(content, uri);

            Problem kept = assertThrows(ProblemException.class, () -> commit(nodes)).problem();
            assertTrue(kept.text().contains("the moment before is kept"), kept::text);
            Problem grown =
                    assertThrows(
                                    ProblemException.class,
                                    () -> nodes.backup.resize(new ControlApi.NameRequest("home")))
                            .problem();
            assertTrue(
                    grown.text().matches("(?s).*keep home before --drop.*promote home --commit.*"),
                    grown::text);
            String confirm =
                    nodes.backup
                            .drop(
                                    new ControlApi.DropRequest(
                                            "home", "before", true, Optional.empty()))
                            .confirm();
            nodes.backup.drop(
                    new ControlApi.DropRequest("home", "before", false, Optional.of(confirm)));
            commit(nodes);
            compare(content, uri);
            compare(content, dir.resolve("storage/home.img").toString());
        }
    }

    @Test
    void withoutRoomForWhatHasChangedItIsExportedAgainAsItWas() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            Path disk = Files.write(dir.resolve("disk.img"), new byte[32 * MIB]);
            String atServer = nodes.addAndAttach("home", disk, 16L << 20);
            nodes.untilInSync("home");
            write(atServer, 1, "0 20M");
            nodes.untilInSync("home");
            nodes.backup.keep(
                    new ControlApi.KeepRequest(
                            "home", "before", Optional.of("latest"), Optional.empty()));
            retain(nodes, "16 MiB", "0s");
            write(atServer, 2, "0 20M");
            nodes.untilInSync("home");
            TwoNodes.until(
                    "the base is past it",
                    () -> {
                        write(atServer, 3, "24M 1M");
                        nodes.untilInSync("home");
                        return points(nodes.backup).kept().getFirst().bytes() > 18 * MIB;
                    });
            nodes.server.close();
            String uri = promote(nodes, null);
            Problem lacks = refused(nodes, "before");
            assertTrue(lacks.cause().contains("goes on as before, nothing changed"), lacks::text);
            assertTrue(lacks.text().contains("of room for the "), lacks::text);
            assertTrue(atBackup(nodes).export().isPresent());
            shows(uri, 2, "0 20M");
            write(uri, 4, "25M 1M");
            shows(uri, 4, "25M 1M");
            assertEquals(List.of("home", "home~1"), roles());
        }
    }

    /// The journal ends in front of the commit by which the second moment was chosen.
    @Test
    void aDamagedJournalThatHasLostTheChoiceSaysSo() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            write(atServer, 1, "0 256k");
            nodes.untilInSync("home");
            String first = now().toString();
            write(atServer, 2, "0 256k");
            nodes.untilInSync("home");
            nodes.server.close();
            String uri = promote(nodes, null);
            write(uri, 3, "0 256k");
            String undone = now().toString();
            again(nodes, first);
            write(uri, 4, "2M 256k");
            String chosen = lastPromotion(nodes);
            nodes.backup.close();
            damageWhatFollows(chosen);
            nodes.startBackup();

            TwoNodes.until(
                    "status says so",
                    () -> atBackup(nodes).trouble().orElse("").contains("is among what is lost"));
            String trouble = atBackup(nodes).trouble().orElseThrow();
            assertTrue(trouble.contains("its journal is damaged"), trouble);
            assertTrue(trouble.contains("promote home --at POINT"), trouble);
            assertEquals(1, eventsOf(nodes, "choice-lost"));
            assertEquals(Optional.empty(), atBackup(nodes).export());
            ControlApi.AttachReply attached =
                    nodes.backup.attach(new ControlApi.NameRequest("home"));
            assertTrue(
                    attached.notes().stream().anyMatch(each -> each.contains("among what is lost")),
                    attached::toString);
            assertEquals(2, eventsOf(nodes, "choice-lost"));
            shows(uri, 3, "0 256k");
            assertTrue(atBackup(nodes).trouble().orElse("").contains("is among what is lost"));
            again(nodes, first);
            shows(uri, 1, "0 256k");
            opened(nodes.backup, undone, 3, "0 256k");
            assertFalse(atBackup(nodes).trouble().orElse("").contains("is among what is lost"));
        }
    }

    private static long eventsOf(TwoNodes nodes, String kind) throws Exception {
        List<String> kinds = new ArrayList<>();
        nodes.backup.events(new ControlApi.EventsRequest(0, false), each -> kinds.add(each.kind()));
        return kinds.stream().filter(kind::equals).count();
    }

    /// Its generation, all digits.
    private static String lastPromotion(TwoNodes nodes) throws Exception {
        MetadataDump dump = new Daemon.Entry().dump(nodes.backupPaths, "home~2", 1);
        return dump.ancestry().reversed().stream()
                .filter(each -> each.reason().equals("PROMOTE"))
                .findFirst()
                .orElseThrow()
                .generation();
    }

    /// Turns a bit over where the journal has this generation first: in the record by which it
    /// begins.
    private void damageWhatFollows(String generation) throws Exception {
        byte[] wanted = HexFormat.of().parseHex(generation);
        List<Path> segments;
        try (Stream<Path> files = Files.list(dir.resolve("storage/home.journal"))) {
            segments =
                    files.filter(each -> each.getFileName().toString().matches("[0-9a-f]{16}"))
                            .sorted()
                            .toList();
        }
        for (Path each : segments) {
            byte[] bytes = Files.readAllBytes(each);
            for (int at = 0; at + 8 <= bytes.length; at++) {
                if (Arrays.equals(bytes, at, at + 8, wanted, 0, 8)) {
                    bytes[at] ^= 1;
                    Files.write(each, bytes);
                    return;
                }
            }
        }
        throw new AssertionError(generation + " is nowhere in " + segments);
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
        TwoNodes.until(
                "in sync",
                () -> {
                    StatusReport.Resource home = primary.status().resource("home").orElseThrow();
                    return home.replication().equals("ESTABLISHED")
                            && home.committed().equals(home.position())
                            && home.behind().orElseThrow().bytes() == 0;
                });
    }

    /// @param first a time before the promotion
    /// @param uri of the promoted copy
    private record Followed(String first, String uri) {}

    /// A copy is promoted and written to, and the server follows it as its copy.
    private Followed followed(TwoNodes nodes) throws Exception {
        nodes.pair();
        nodes.server.storage(
                new ControlApi.StorageRequest(
                        dir.resolve("server-storage").toString(), Optional.empty()));
        String atServer = nodes.addAndAttach("home", disk());
        nodes.untilInSync("home");
        write(atServer, 1, "0 2M");
        nodes.untilInSync("home");
        String first = now().toString();
        write(atServer, 2, "0 2M");
        nodes.untilInSync("home");
        nodes.server.detach(new ControlApi.NameRequest("home"));
        String uri = promote(nodes, null);
        write(uri, 3, "4M 1M");
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
        untilInSync(nodes.backup);
        assertThrows(ProblemException.class, () -> discard(nodes.server, "server"));
        return new Followed(first, uri);
    }

    /// What is undone is of the generation in which the copy follows, and it is all of one host: it
    /// is a history of its own all the same.
    @Test
    void aCopyThatHadFollowedStandsApartFromAMomentOfTheSameGeneration() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            Followed followed = followed(nodes);
            String since = now().toString();
            write(followed.uri, 5, "6M 1M");
            untilInSync(nodes.backup);
            again(nodes, since);
            write(followed.uri, 6, "7M 1M");
            TwoNodes.until(
                    "the copy stands apart",
                    () -> nodes.atServer("home").trouble().orElse("").contains("forked"));
            opened(nodes.server, "latest", 5, "6M 1M");
            discard(nodes.server, "server");
            untilInSync(nodes.backup);
            opened(nodes.server, "latest", 0, "6M 1M");
            opened(nodes.server, "latest", 6, "7M 1M");
        }
    }

    /// The server follows the promoted copy already when another moment is chosen: it is brought on
    /// when an operator there has given up what it has.
    @Test
    void aCopyThatHadFollowedIsBroughtOnWhenItGivesUpWhatIsUndone() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            Followed followed = followed(nodes);
            String first = followed.first;
            String uri = followed.uri;

            again(nodes, first);
            shows(uri, 1, "0 2M");
            write(uri, 4, "5M 1M");
            TwoNodes.until(
                    "the copy stands apart",
                    () -> nodes.atServer("home").trouble().orElse("").contains("forked"));
            opened(nodes.server, "latest", 3, "4M 1M");
            discard(nodes.server, "server");
            untilInSync(nodes.backup);
            opened(nodes.server, "latest", 1, "0 2M");
            opened(nodes.server, "latest", 0, "4M 1M");
            opened(nodes.server, "latest", 4, "5M 1M");
            String kept =
                    points(nodes.server).kept().stream()
                            .map(ControlApi.Kept::as)
                            .filter(each -> each.startsWith("discarded-"))
                            .reduce((_, last) -> last)
                            .orElseThrow();
            opened(nodes.server, kept, 3, "4M 1M");
            nodes.server.close();
            nodes.startServer();
            write(uri, 5, "6M 1M");
            untilInSync(nodes.backup);
            opened(nodes.server, "latest", 5, "6M 1M");
        }
    }

    /// What docs/operations.md says, word for word; what it prints to be typed is typed.
    @Test
    void theRunbookOfTheWrongMomentDoesWhatItSays() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String atServer = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            write(atServer, 1, "0 2M");
            nodes.server.mark(new ControlApi.MarkRequest("home", "before-upgrade"));
            write(atServer, 2, "0 2M");
            nodes.untilInSync("home");
            nodes.server.close();
            String uri = promote(nodes, null);
            shows(uri, 2, "0 2M");
            List<String> commands = runbook("The wrong moment was promoted");
            assertEquals(5, commands.size(), commands::toString);
            for (String each : commands) {
                Command.Ended ended = run(nodes, each);
                Matcher asked =
                        Pattern.compile("(?m)^ *next: holdfast --root \\S+ (.*)$")
                                .matcher(ended.err());
                if (ended.code() == ExitCode.CONFIRMATION_NEEDED.number() && asked.find()) {
                    ended = run(nodes, asked.group(1));
                }
                String text = each + ": " + ended.text();
                System.out.println(text);
                assertEquals(0, ended.code(), text);
                if (each.startsWith("promote home --at") && !each.contains("--dry-run")) {
                    shows(uri, 1, "0 2M");
                }
            }
            shows(uri, 1, "0 2M");
            assertEquals(Optional.empty(), atBackup(nodes).promotion());
            assertFalse(Files.exists(dir.resolve("storage/home.journal")));
        }
    }

    /// Without the program's name.
    private static List<String> runbook(String title) throws IOException {
        String section = Files.readString(OPERATIONS).split("## " + title + "\n", 2)[1];
        String block = section.split("```", 3)[1];
        return block.lines()
                .filter(each -> each.startsWith("backup# holdfast "))
                .map(each -> each.substring("backup# holdfast ".length()).split(" #")[0].strip())
                .toList();
    }

    private Command.Ended run(TwoNodes nodes, String command) throws Exception {
        String[] words = command.split(" ");
        return Command.start(
                        nodes.backupPaths,
                        dir,
                        words[0],
                        Stream.of(words).skip(1).toArray(String[]::new))
                .await();
    }
}
