package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.DrillReport;
import holdfast.replicator.control.DrillReport.Step;
import holdfast.replicator.control.DrillReports;
import holdfast.replicator.json.Json;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/// A drill on a copy whose original is in use: an ext4 with files and a PostgreSQL that was never
/// stopped. Whatever ends the drill, the host is as it was before. Needs root.
@ResourceLock("mounts and loop devices")
class DrillTest {
    private static final Path CHECKS = Path.of("../conf.d/checks").toAbsolutePath().normalize();

    @TempDir Path dir;

    private TwoNodes nodes;
    private MountedExport mounted;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        Path disk = Files.createFile(dir.resolve("disk.img"));
        Run.ok("truncate", "-s", "192M", disk.toString());
        String uri = nodes.addAndAttach("home", disk, 64L << 20);
        mounted = new MountedExport(Files.createDirectory(dir.resolve("at-server")), uri);
        for (int i = 0; i < 50; i++) {
            Files.write(mounted.root.resolve("file" + i), new byte[1000 * i]);
        }
        Run.ok("sync", "-f", mounted.root.toString());
        nodes.untilInSync("home");
    }

    @AfterEach
    void stop() throws Exception {
        try {
            mounted.close();
        } finally {
            nodes.close();
        }
    }

    /// Runs a command of the backup.
    private Command drill(String... arguments) throws Exception {
        return Command.start(nodes.backupPaths, dir, "drill", arguments);
    }

    private void requireNothingLeft(String before) throws Exception {
        TwoNodes.until("the view is closed", () -> atBackup().views().isEmpty());
        assertEquals(before, host());
    }

    /// What a drill could leave behind: loop devices and mounts, and processes that show the copy.
    private String host() throws Exception {
        return Run.ok("losetup", "-a")
                + Files.readString(Path.of("/proc/self/mountinfo"))
                + Run.anyway("pgrep", "-fa", "nbdfuse.*" + nodes.backupPaths.run());
    }

    private StatusReport.Resource atBackup() {
        return nodes.backup.status().resource("home").orElseThrow();
    }

    @Test
    void aCheckIsRunOnWhatWasReplicatedAndAllIsReported() throws Exception {
        String before = host();
        Path script =
                script(
                        """
                        #!/bin/sh
                        env | sort
                        ls $HOLDFAST_MOUNT | wc -l
                        touch $HOLDFAST_MOUNT/written $HOLDFAST_SCRATCH/written
                        """);
        Command.Ended ended = drill("home", "--check", script.toString(), "--json").await();
        assertEquals(0, ended.code(), ended.text());
        DrillReport report = Json.read(ended.out(), DrillReport.class);
        assertTrue(report.passed());
        assertEquals(
                List.of("open", "connect", "replay", "fsck", "mount", "check", "teardown"),
                report.steps().stream().map(DrillReport.Step::name).toList());
        for (DrillReport.Step each : report.steps()) {
            assertEquals(DrillReport.Outcome.PASSED, each.outcome(), each.toString());
        }
        String said = report.steps().get(5).said();
        for (String each :
                List.of(
                        "HOLDFAST_RESOURCE=home",
                        "HOLDFAST_POINT=" + report.point().orElseThrow(),
                        "HOLDFAST_POINT_TIME=" + report.pointTime().orElseThrow(),
                        "HOLDFAST_NODE=backup",
                        "HOLDFAST_FILESYSTEM=ext4",
                        // Fifty files and lost+found.
                        "\n51")) {
            assertTrue(said.contains(each), each + " in " + said);
        }
        assertTrue(report.filesystem().orElseThrow().startsWith("ext4"), report.toString());
        assertTrue(report.recoverySeconds().orElseThrow() <= report.totalSeconds());
        assertTrue(report.pointAgeSeconds().orElseThrow() < 600, report.toString());
        requireNothingLeft(before);
        // Nothing of it is in the copy.
        Command.Ended again = drill("home", "--check", CHECKS.resolve("files") + " 50").await();
        assertEquals(0, again.code(), again.text());
        assertTrue(again.out().contains("50 files, all of which could be read"), again.out());
        StatusReport.Drill last = atBackup().drill().orElseThrow();
        assertTrue(last.passed());
        String sentence = nodes.backup.status().sentences().getFirst();
        assertTrue(sentence.matches(".* Last drill \\d+ s ago: passed, \\d+ s\\."), sentence);
        try (Stream<Path> reports = Files.list(nodes.backupPaths.state().resolve("reports"))) {
            assertEquals(4, reports.count());
        }
    }

    @Test
    void aPostgresqlThatWasRunningIsFoundWithWhatItHadCommitted() throws Exception {
        try (Postgres postgres = new Postgres(mounted.root.resolve("pg"))) {
            postgres.sql("create table t as select generate_series(1, 1234) n");
            nodes.untilInSync("home");
            Command.Ended ended =
                    drill(
                                    "home",
                                    "--check",
                                    CHECKS.resolve("postgresql")
                                            + " pg postgres select count(*) from t")
                            .await();
            assertEquals(0, ended.code(), ended.text());
            assertTrue(ended.out().contains("select count(*) from t: 1234"), ended.out());
            Command.Ended wrong =
                    drill(
                                    "home",
                                    "--check",
                                    CHECKS.resolve("postgresql")
                                            + " pg postgres select count(*) from nothing")
                            .await();
            assertEquals(8, wrong.code(), wrong.text());
        }
    }

    @Test
    void aCheckThatFailsHangsOrIsKilledFailsTheDrillAndLeavesNothing() throws Exception {
        String before = host();
        Command.Ended failed =
                drill("home", "--check", script("#!/bin/sh\necho no good\nexit 3\n").toString())
                        .await();
        assertEquals(8, failed.code(), failed.text());
        assertTrue(failed.out().contains("no good"), failed.out());
        requireNothingLeft(before);
        Path hangs = script("#!/bin/sh\nsetsid sleep 987 &\ncd $HOLDFAST_MOUNT\nsleep 987\n");
        Command.Ended late = drill("home", "--check", hangs.toString(), "--timeout", "1").await();
        assertEquals(8, late.code(), late.text());
        assertTrue(late.out().contains("has not ended within 1 s"), late.out());
        requireNothingLeft(before);
        assertEquals("", Run.anyway("pgrep", "-f", "sleep 987"));
        StatusReport.Drill last = atBackup().drill().orElseThrow();
        assertFalse(last.passed());
        String sentence = nodes.backup.status().sentences().getFirst();
        assertTrue(sentence.contains("ago: failed: check"), sentence);
    }

    @Test
    void aDrillThatIsInterruptedOrKilledLeavesNothing() throws Exception {
        String before = host();
        Path sign = dir.resolve("sign");
        Path hangs = script("#!/bin/sh\ntouch " + sign + "\ncd $HOLDFAST_MOUNT\nsleep 987\n");
        for (String signal : List.of("INT", "KILL")) {
            Files.deleteIfExists(sign);
            Command drill = drill("home", "--check", hangs.toString());
            TwoNodes.until("the check runs", () -> Files.exists(sign));
            Command.Ended second = drill("home").await();
            assertEquals(3, second.code(), second.text());
            Run.ok("kill", "-" + signal, Long.toString(drill.process.pid()));
            assertTrue(drill.process.waitFor(60, TimeUnit.SECONDS));
            requireNothingLeft(before);
            assertEquals("", Run.anyway("pgrep", "-f", "sleep 987"));
        }
        try (Stream<Path> reports = Files.list(nodes.backupPaths.state().resolve("reports"))) {
            List<String> texts = new ArrayList<>();
            for (Path each : reports.filter(each -> each.toString().endsWith(".txt")).toList()) {
                texts.add(Files.readString(each));
            }
            assertEquals(1, texts.size(), texts.toString());
            assertTrue(texts.getFirst().contains("interrupted"), texts.getFirst());
        }
    }

    @Test
    void anOlderMomentIsRehearsedWhereverItIsNamed() throws Exception {
        nodes.server.mark(new ControlApi.MarkRequest("home", "before"));
        Files.writeString(mounted.root.resolve("later"), "later");
        Run.ok("sync", "-f", mounted.root.toString());
        nodes.untilInSync("home");
        String count = script("#!/bin/sh\nls $HOLDFAST_MOUNT | wc -l\n").toString();
        DrillReport byOption = passed("home", "--at", "before", "--check", count, "--json");
        DrillReport byName = passed("home@before", "--check", count, "--json");
        DrillReport latest = passed("home", "--check", count, "--json");
        // Fifty files and lost+found.
        assertEquals("51", said(byOption, "check"));
        assertEquals("51", said(byName, "check"));
        assertEquals("52", said(latest, "check"));
        assertEquals(byOption.point(), byName.point());
        assertTrue(byName.pointTime().orElseThrow().isBefore(latest.pointTime().orElseThrow()));
        Command.Ended twice = drill("home@before", "--at", "before").await();
        assertEquals(2, twice.code(), twice.text());
    }

    private DrillReport passed(String... arguments) throws Exception {
        Command.Ended ended = drill(arguments).await();
        assertEquals(0, ended.code(), ended.text());
        return Json.read(ended.out(), DrillReport.class);
    }

    private static String said(DrillReport report, String step) {
        return report.steps().stream()
                .filter(each -> each.name().equals(step))
                .map(each -> each.said().strip())
                .findFirst()
                .orElseThrow();
    }

    /// What a drill is there to find: status does not go on saying that the last one has passed.
    @Test
    void aCopyThatCannotBeOpenedHasFailedItsDrill() throws Exception {
        assertTrue(passed("home", "--json").passed());
        nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.backup.close();
        CutOffRoll.in(nodes, "home", 1L << 30); // More than the journal holds.
        nodes.startBackup();
        // Nothing was asked of a copy: that is no drill.
        assertEquals(3, drill("nothing").await().code());
        assertEquals(2, drill("home", "--at", "no time").await().code());
        assertTrue(atBackup().drill().orElseThrow().passed());

        Command.Ended ended = drill("home", "--json").await();
        assertEquals(8, ended.code(), ended.text());
        DrillReport report = Json.read(ended.out(), DrillReport.class);
        assertFalse(report.passed());
        assertEquals(List.of("open"), report.steps().stream().map(Step::name).toList());
        assertEquals(DrillReport.Outcome.FAILED, report.steps().getFirst().outcome());
        String why = report.trouble().orElseThrow();
        assertTrue(why.startsWith("could not open: the copy of home is the image of no"), why);
        assertTrue(report.point().isEmpty() && report.recoverySeconds().isEmpty());
        StatusReport.Drill last = atBackup().drill().orElseThrow();
        assertFalse(last.passed());
        assertTrue(last.lastPassed().isPresent());
        String sentence = nodes.backup.status().sentences().getFirst();
        assertTrue(sentence.contains("ago: failed: could not open: the copy"), sentence);

        // One that is not open at all.
        nodes.backup.close();
        Path journal = dir.resolve("storage/home.journal");
        Files.move(journal, dir.resolve("away"));
        nodes.startBackup();
        Command.Ended away = drill("home").await();
        assertEquals(8, away.code(), away.text());
        assertTrue(away.out().contains("could not open: home is not open: "), away.out());
        assertTrue(away.out().contains("report "), away.out());
        Files.move(dir.resolve("away"), journal);
    }

    @Test
    void theDaemonRunsItByTheCalendar() throws Exception {
        Path script = script("#!/bin/sh\necho by itself\n");
        // A clock that shows a whole minute in ten seconds.
        Instant now = Instant.now();
        ZoneOffset clock = ZoneOffset.ofTotalSeconds(Math.floorMod(50 - now.getEpochSecond(), 60));
        String minute =
                DateTimeFormatter.ofPattern("HH:mm", Locale.ROOT)
                        .withZone(clock)
                        .format(now.plusSeconds(12));
        Files.writeString(
                nodes.backupPaths.nodeFile(),
                Files.readString(nodes.backupPaths.nodeFile())
                        + "[drill]\ncalendar = [\"%s home %s\"]\n".formatted(minute, script)
                        + "time-zone = \"%s\"\n".formatted(clock));
        nodes.backup.adjust(new ControlApi.AdjustRequest(false));
        List<String> told = new ArrayList<>();
        TwoNodes.until(
                "the drill has passed",
                () -> {
                    told.clear();
                    nodes.backup.events(
                            new ControlApi.EventsRequest(0, false),
                            event -> {
                                if (event.kind().startsWith("drill-")) {
                                    told.add(event.kind() + " " + event.text());
                                }
                            });
                    return told.stream().anyMatch(each -> !each.startsWith("drill-started"));
                });
        assertTrue(told.getLast().startsWith("drill-passed"), told.toString());
        assertTrue(atBackup().drill().orElseThrow().passed());
        DrillReports reports = new DrillReports(nodes.backupPaths);
        assertTrue(reports.last("home").orElseThrow().passed());
    }

    private int scripts;

    private Path script(String text) throws Exception {
        Path script = dir.resolve("check" + scripts++);
        Files.writeString(script, text);
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
        return script;
    }
}
