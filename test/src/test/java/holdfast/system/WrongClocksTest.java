package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/// Two daemons whose hosts do not agree what time it is.
class WrongClocksTest {
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private Path library;

    private ShiftedClock clock(String name, Duration ahead) throws Exception {
        library = library == null ? ShiftedClock.build(dir) : library;
        ShiftedClock clock = new ShiftedClock(library, dir.resolve(name + ".clock"));
        clock.ahead(ahead);
        return clock;
    }

    private static boolean says(NodeProcess node, String text) throws Exception {
        return node.api.status().sentences().stream().anyMatch(each -> each.contains(text));
    }

    private static double aheadSeconds(NodeProcess node) throws Exception {
        return node.api.status().link().orElseThrow().clock().orElseThrow().aheadSeconds();
    }

    /// How old the copy is, by the clock of its host.
    private static Duration age(StatusReport report) {
        Instant until = report.resource("home").orElseThrow().replicatedUntil().orElseThrow();
        return Duration.between(until, report.node().now());
    }

    @Test
    void bothSidesSayHowFarTheirClocksAreApartAndTheAgeIsRight() throws Exception {
        ShiftedClock ofServer = clock("left", Duration.ofMinutes(10));
        try (TwoProcesses nodes = new TwoProcesses(dir, ofServer.environment(), Map.of())) {
            nodes.add(nodes.left, "home", 4 << 20);
            String apart = "The clock of left is 10 min ahead of that of right.";
            NodeProcess.until(
                    "both say so",
                    () -> says(nodes.left, apart) && says(nodes.right, apart),
                    nodes.left,
                    nodes.right);
            assertEquals(600, aheadSeconds(nodes.right), 2);
            assertEquals(-600, aheadSeconds(nodes.left), 2);
            NodeProcess.until(
                    "the copy is fresh",
                    () -> age(nodes.right.api.status()).toSeconds() < 10,
                    nodes.right);
            StatusReport fresh = nodes.right.api.status();
            assertFalse(age(fresh).isNegative());
            assertTrue(
                    fresh.resource("home").get().copyTime().get().isBefore(fresh.node().now()),
                    fresh::toString);

            nodes.left.kill();
            TwoNodes.until(
                    "it is away", () -> !nodes.right.api.status().link().get().isConnected());
            StatusReport away = nodes.right.api.status();
            assertEquals(Optional.empty(), away.link().orElseThrow().clock());
            Instant until = away.resource("home").get().replicatedUntil().orElseThrow();
            TwoNodes.until(
                    "it becomes older",
                    () -> age(nodes.right.api.status()).compareTo(age(away)) > 0);
            StatusReport older = nodes.right.api.status();
            assertEquals(
                    0,
                    Duration.between(until, older.resource("home").get().replicatedUntil().get())
                            .abs()
                            .toSeconds(),
                    "it stands still while nothing comes");

            ofServer.ahead(Duration.ZERO);
            nodes.left.start();
            nodes.left.awaitAnswer();
            nodes.awaitInSync(nodes.left, "home");
            NodeProcess.until(
                    "they agree",
                    () -> Math.abs(aheadSeconds(nodes.right)) < 2,
                    nodes.left,
                    nodes.right);
            assertFalse(says(nodes.right, "ahead of that"));
        }
    }

    @Test
    void whoeverChoosesBetweenTwoHistoriesIsToldThatTheirClocksDiffer() throws Exception {
        ShiftedClock ofServer = clock("left", Duration.ofSeconds(90));
        try (TwoProcesses nodes = new TwoProcesses(dir, ofServer.environment(), Map.of())) {
            nodes.add(nodes.left, "home", 4 << 20);
            nodes.right.api.promote(
                    new ControlApi.PromoteRequest("home", Optional.empty(), true, false));
            Pattern differ = Pattern.compile("of left is \\d+ s ahead of that of right now");
            for (NodeProcess each : List.of(nodes.left, nodes.right)) {
                NodeProcess.until(
                        "it says so beside the times",
                        () -> facts(each).stream().anyMatch(line -> differ.matcher(line).find()),
                        nodes.left,
                        nodes.right);
            }
        }
    }

    private static List<String> facts(NodeProcess at) throws Exception {
        return at.api
                .reconnect(
                        new ControlApi.ReconnectRequest("home", Optional.empty(), Optional.empty()))
                .facts();
    }

    @Test
    void aBackupThatStartsWithItsClockAMonthAheadKeepsWhatItHas() throws Exception {
        ShiftedClock ofBackup = clock("right", Duration.ZERO);
        try (TwoProcesses nodes = new TwoProcesses(dir, Map.of(), ofBackup.environment())) {
            nodes.add(nodes.left, "home", 4 << 20);
            write(nodes, 1);
            nodes.right.api.keep(
                    new ControlApi.KeepRequest(
                            "home", "before", Optional.empty(), Optional.of("1h")));
            write(nodes, 2);
            ControlApi.PointsReply was = nodes.right.api.points(HOME);
            assertTrue(was.newest().orElseThrow().received().isPresent(), was::toString);

            nodes.right.terminate();
            assertTrue(nodes.right.hasEnded());
            ofBackup.ahead(Duration.ofDays(31));
            nodes.right.start();
            nodes.right.awaitAnswer();
            NodeProcess.until(
                    "both say that the clocks are apart",
                    () ->
                            says(nodes.right, "The clock of right is 31 days ahead")
                                    && says(nodes.left, "The clock of right is 31 days ahead"),
                    nodes.left,
                    nodes.right);
            write(nodes, 3);
            ControlApi.PointsReply is = nodes.right.api.points(HOME);
            assertEquals(was.oldest().get().position(), is.oldest().get().position());
            assertEquals(List.of("before"), is.kept().stream().map(ControlApi.Kept::as).toList());
            Instant now = nodes.right.api.status().node().now();
            Duration left = Duration.between(now, is.kept().getFirst().expires());
            assertTrue(left.toMinutes() > 30 && left.toMinutes() < 61, is::toString);
            Duration since = Duration.between(is.newest().get().received().get(), now);
            assertTrue(since.abs().toSeconds() < 60, is + " at " + now);
            assertEquals(List.of("time-in-doubt", "time-settled"), events(nodes.right));

            ofBackup.ahead(Duration.ZERO);
            NodeProcess.until(
                    "it is set right",
                    () -> !says(nodes.right, "ahead of that"),
                    nodes.left,
                    nodes.right);
            write(nodes, 4);
            assertEquals(
                    was.oldest().get().position(),
                    nodes.right.api.points(HOME).oldest().get().position());
        }
    }

    private static void write(TwoProcesses nodes, int with) throws Exception {
        Run.ok(
                "qemu-io",
                "-f",
                "raw",
                "-c",
                "write -P %d 0 64k".formatted(with),
                "nbd+unix:///home?socket=" + TwoProcesses.socket(nodes.left, "home"));
        nodes.awaitInSync(nodes.left, "home");
    }

    private static List<String> events(NodeProcess node) throws Exception {
        List<String> kinds = new ArrayList<>();
        node.api.events(
                new ControlApi.EventsRequest(0, false),
                each -> {
                    if (each.kind().startsWith("time-")) {
                        kinds.add(each.kind());
                    }
                });
        return kinds;
    }
}
