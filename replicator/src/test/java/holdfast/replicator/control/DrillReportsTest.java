package holdfast.replicator.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

class DrillReportsTest {
    private static final Instant BEGAN = Instant.parse("2026-11-29T03:00:00.250Z");

    @TempDir Path root;

    private Path directory;
    private DrillReports reports;

    @BeforeEach
    void open() throws IOException {
        NodePaths paths = NodePaths.under(root);
        Files.createDirectories(paths.state());
        directory = paths.state().resolve("reports");
        reports = new DrillReports(paths);
    }

    private static DrillReport report(String resource, Instant began, boolean passed) {
        return new DrillReport(
                resource,
                "backup",
                began,
                passed,
                passed ? Optional.empty() : Optional.of("fsck: it is damaged"),
                Optional.of("3f/1"),
                Optional.of(began.minusSeconds(14)),
                Optional.of(14.0),
                Optional.of("ext4"),
                Optional.empty(),
                passed ? Optional.of(4.2) : Optional.empty(),
                5.5,
                List.of(
                        new DrillReport.Step("open", 0.1, DrillReport.Outcome.PASSED, ""),
                        new DrillReport.Step(
                                "check", 0, DrillReport.Outcome.SKIPPED, "mounted only")));
    }

    @Test
    void theLastOfEachResourceIsFound() throws IOException {
        assertEquals(Optional.empty(), reports.last("home"));
        reports.save(report("home", BEGAN, true));
        reports.save(report("home", BEGAN.plusSeconds(60), false));
        // The name of one is the beginning of another's.
        reports.save(report("home-2", BEGAN.plusSeconds(90), true));
        assertEquals(
                new StatusReport.Drill(
                        BEGAN.plusSeconds(60),
                        false,
                        Optional.empty(),
                        5.5,
                        Optional.of("fsck: it is damaged"),
                        Optional.of(BEGAN)),
                reports.last("home").orElseThrow());
        assertTrue(reports.last("home-2").orElseThrow().passed());
        assertEquals(Optional.empty(), reports.last("mail"));
    }

    @Test
    void ofEachResourceTheNewestAndTheLastThatPassedAreKept() throws IOException {
        reports.save(report("mail", BEGAN, true));
        reports.save(report("home", BEGAN, true));
        for (int i = 1; i <= DrillReports.KEPT + 5; i++) {
            reports.save(report("home", BEGAN.plusSeconds(i), false));
        }
        try (Stream<Path> files = Files.list(directory)) {
            // A text and a JSON of each.
            assertEquals(2 * (1 + DrillReports.KEPT + 1), files.count());
        }
        assertEquals(BEGAN, reports.last("home").orElseThrow().lastPassed().orElseThrow());
        assertTrue(reports.last("mail").isPresent());
    }

    @Test
    void whatIsNoReportIsLeftAlone() throws IOException {
        Path text = reports.save(report("home", BEGAN, true));
        Files.writeString(directory.resolve("notes.txt"), "mine");
        Files.writeString(
                directory.resolve("drill-home-20261130T030000000Z-failed.json"), "{\"x\": 1}");
        assertTrue(reports.last("home").orElseThrow().passed());
        assertEquals(
                "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(text)));
    }

    @Test
    void theTextSaysWhatAPersonWantsToKnow() {
        assertEquals(
                """
                Drill of home at backup, 2026-11-29T03:00:00Z: passed
                  point        3f/1 of 2026-11-29T02:59:46.250Z, 14 s old when the drill began
                  filesystem   ext4
                  check        mounted only
                  recovered    in 4.2 s
                  open         0.1 s
                  check        0.0 s skipped: mounted only
                """,
                report("home", BEGAN, true).text());
    }
}
