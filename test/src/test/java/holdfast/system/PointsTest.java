package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;

/// The copy as it was at any moment of the retention, with real daemons and clients.
class PointsTest {
    private static final int MIB = 1 << 20;
    private static final int ROUNDS = 12;

    @TempDir Path dir;

    private final List<Instant> moments = new ArrayList<>();

    /// Each round leaves its number in the first 2 MiB, so that what each moment shows is known.
    private void write(TwoNodes nodes, String uri, int rounds) throws Exception {
        for (int i = 0; i < rounds; i++) {
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P %d 0 2M".formatted(i + 1), uri);
            nodes.untilInSync("home");
            moments.add(Instant.now());
        }
    }

    private String opened(TwoNodes nodes, String at, Look look) throws Exception {
        ControlApi.OpenReply reply =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.of(at)));
        try {
            look.at(reply.view());
            return reply.note().orElse("");
        } finally {
            nodes.backup.closeView(new ControlApi.CloseRequest(reply.view().id()));
        }
    }

    private interface Look {
        void at(StatusReport.View view) throws Exception;
    }

    private static void shows(StatusReport.View view, int number) throws Exception {
        String seen =
                Run.anyway("qemu-io", "-r", "-f", "raw", "-c", "read -v 0 16", view.uri())
                        + Run.anyway(
                                "qemu-io",
                                "-r",
                                "-f",
                                "raw",
                                "-c",
                                "read -P %d 0 2M".formatted(number),
                                view.uri());
        assertTrue(!seen.contains("failed"), () -> view + " shows " + seen);
    }

    private void everyMomentIsRight(TwoNodes nodes) throws Exception {
        for (int i = 0; i < moments.size(); i++) {
            int number = i + 1;
            opened(nodes, moments.get(i).toString(), view -> shows(view, number));
        }
    }

    private long files(String suffix) throws Exception {
        try (Stream<Path> files = Files.walk(dir)) {
            return files.filter(each -> each.toString().endsWith(suffix)).count();
        }
    }

    private Path disk() throws Exception {
        return Files.write(dir.resolve("disk.img"), new byte[8 * MIB]);
    }

    @Test
    void anyMomentCanBeOpenedAlsoAfterRestartsAndWithoutTheIndexes() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            Instant first = Instant.now();
            write(nodes, uri, ROUNDS);
            everyMomentIsRight(nodes);
            opened(nodes, first.toString(), view -> shows(view, 0));
            opened(nodes, "latest", view -> shows(view, ROUNDS));
            TwoNodes.until("whole segments have an index", () -> files(".index") >= 4);
            TwoNodes.until("whole segments are packed", () -> files(".packed") >= 4);
            everyMomentIsRight(nodes);

            nodes.backup.close();
            nodes.startBackup();
            everyMomentIsRight(nodes);

            nodes.backup.close();
            try (Stream<Path> files = Files.walk(dir)) {
                for (Path each :
                        files.filter(file -> file.toString().endsWith(".index")).toList()) {
                    Files.delete(each);
                }
            }
            nodes.startBackup();
            everyMomentIsRight(nodes);
            nodes.untilInSync("home");

            ControlApi.PointsReply points = nodes.backup.points(new ControlApi.NameRequest("home"));
            assertTrue(points.oldest().orElseThrow().time().isBefore(first), points.toString());
            assertEquals(24 * 3600, points.retentionSeconds());
            assertEquals(0, points.retentionMinSeconds());
        }
    }

    /// What is older than a segment takes less room, and so all moments stay where the journal has
    /// taken in more than it has bytes.
    @Test
    void aJournalHoldsMoreThanItHasBytesOfWhatCompresses() throws Exception {
        int journal = 32 * MIB;
        int segment = 4 * MIB;
        int rounds = 20;
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk(), journal);
            nodes.untilInSync("home");
            for (int i = 0; i < rounds; i++) {
                Run.ok("qemu-io", "-f", "raw", "-c", "write -P %d 0 2M".formatted(i + 1), uri);
                nodes.untilInSync("home");
                moments.add(Instant.now());
                int whole = (i + 1) * 2 * MIB / segment;
                TwoNodes.until(
                        "%d segments are packed".formatted(whole), () -> files(".packed") >= whole);
            }
            assertTrue(rounds * 2 * MIB > journal);
            everyMomentIsRight(nodes);
            nodes.backup.close();
            nodes.startBackup();
            everyMomentIsRight(nodes);
            StatusReport.Journal used =
                    nodes.backup.status().resource("home").orElseThrow().journal().orElseThrow();
            assertTrue(used.usedBytes() <= 2L * segment, used.toString());
        }
    }

    /// A view of an older moment stays what it is while the base is rolled as far as to it and
    /// writes go on.
    @Test
    void anOpenMomentStandsStillAndTheJournalGoesOn() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            write(nodes, uri, 8);
            opened(
                    nodes,
                    moments.get(5).toString(),
                    view -> {
                        write(nodes, uri, 20);
                        shows(view, 6);
                    });
            opened(nodes, "latest", view -> shows(view, 20));
        }
    }

    @Test
    void whatWasNeverThereOrIsNoTimeIsRefusedWithWhatThereIs() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            write(nodes, uri, 2);
            ProblemException early =
                    assertThrows(
                            ProblemException.class,
                            () -> opened(nodes, "2001-01-01T00:00:00Z", _ -> {}));
            assertTrue(early.getMessage().contains("the oldest moment is 20"), early.getMessage());
            assertTrue(early.getMessage().contains("points home"), early.getMessage());
            ProblemException word =
                    assertThrows(ProblemException.class, () -> opened(nodes, "yesterday", _ -> {}));
            assertTrue(word.getMessage().contains("-15m"), word.getMessage());
            opened(nodes, "-0s", view -> shows(view, 2));
        }
    }

    /// What was written while the copy was being brought on was never a moment of the copy.
    @Test
    void aTimeWithinACatchUpShowsTheMomentBeforeAndSaysSo() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk());
            nodes.untilInSync("home");
            write(nodes, uri, 1);
            TwoNodes.until(
                    "a heartbeat has come", () -> completeUntil(nodes).isAfter(moments.getFirst()));
            nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 77 0 1M", uri);
            TwoNodes.until(
                    "the copy does not know of it",
                    () -> Instant.now().isAfter(completeUntil(nodes).plusSeconds(1)));
            Instant away = Instant.now();
            // A planned stop turns what the peer lacks into marked blocks.
            nodes.server.close();
            nodes.startServer();
            nodes.server.connect(new ControlApi.LinkRequest(Optional.of("home")));
            nodes.untilInSync("home");
            String note = opened(nodes, away.toString(), view -> shows(view, 1));
            assertTrue(note.contains("gap"), note);
            assertEquals("", opened(nodes, moments.getFirst().toString(), _ -> {}));
            assertEquals(1, nodes.backup.points(new ControlApi.NameRequest("home")).gaps().size());
        }
    }

    /// R22: a peer that writes much shortens the history as far as the backup allows, and then has
    /// to wait; what the backup allows is changed while it runs.
    @Test
    void aFullJournalKeepsTheLeastRetentionAndTakesNothingMore() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk(), 16 * MIB);
            nodes.untilInSync("home");
            retention(nodes, "4h");
            write(nodes, uri, 3);
            // A packed journal has room again, so that what fills it must not compress.
            byte[] noise = new byte[2 * MIB];
            new Random(9).nextBytes(noise);
            Path random = Files.write(dir.resolve("random"), noise);
            for (int i = 0; i < 10; i++) {
                String last = "write -s %s 0 2M".formatted(random);
                Run.ok("qemu-io", "-f", "raw", "-c", last, uri);
            }
            TwoNodes.until("the journal is full", () -> kinds(nodes).contains("journal-full"));
            everyMomentIsRight(nodes);
            retention(nodes, "0s");
            nodes.untilInSync("home");
            opened(nodes, "latest", view -> assertArrayEquals(noise, firstBytes(view)));
        }
    }

    /// The first 2 MiB.
    private byte[] firstBytes(StatusReport.View view) throws Exception {
        Path read = dir.resolve("read");
        Run.ok("nbdcopy", view.uri(), read.toString());
        return Arrays.copyOf(Files.readAllBytes(read), 2 * MIB);
    }

    private static Instant completeUntil(TwoNodes nodes) throws Exception {
        return nodes.backup
                .points(new ControlApi.NameRequest("home"))
                .completeUntil()
                .orElseThrow();
    }

    private static List<String> kinds(TwoNodes nodes) throws Exception {
        List<String> kinds = new ArrayList<>();
        nodes.backup.events(
                new ControlApi.EventsRequest(0, false), event -> kinds.add(event.kind()));
        return kinds;
    }

    private void retention(TwoNodes nodes, String least) throws Exception {
        Path file = nodes.backupPaths.resourceDirectory().resolve("home.toml");
        String was = Files.readString(file, StandardCharsets.UTF_8);
        Files.writeString(
                file,
                was.replaceFirst(
                        "journal = .*",
                        "journal = { size = \"16 MiB\", retention-min = \"%s\" }"
                                .formatted(least)));
        nodes.backup.adjust(new ControlApi.AdjustRequest(false));
    }
}
