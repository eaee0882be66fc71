package holdfast.replicator.control;

import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DurableDirectory;
import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// The reports of drills, in `reports/` of the state directory, of each resource the newest
/// [#KEPT]: `drill-home-20261129T134000000Z-passed.json`, and the same as text beside it.
///
/// The text is written first and the JSON is what counts: a crash in between leaves a text that
/// goes with the next that are too old. A command writes, the daemon reads.
public final class DrillReports {
    static final int KEPT = 50;

    private static final DateTimeFormatter MOMENT =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmssSSS'Z'", Locale.ROOT)
                    .withZone(ZoneOffset.UTC);
    private static final Pattern NAME =
            Pattern.compile("drill-(.+)-(\\d{8}T\\d{9}Z)-(passed|failed)\\.(json|txt)");

    private final Path directory;

    /// What was found when the directory had last changed at `seen`; guarded by this object.
    private FileTime seen = FileTime.fromMillis(0);

    private Map<String, StatusReport.Drill> latest = Map.of();

    /// One file, whose name says most of it.
    private record Entry(Path file, String resource, String moment, boolean passed) {
        static Optional<Entry> of(Path file) {
            Matcher m = NAME.matcher(file.getFileName().toString());
            return m.matches()
                    ? Optional.of(
                            new Entry(file, m.group(1), m.group(2), m.group(3).equals("passed")))
                    : Optional.empty();
        }

        boolean isJson() {
            return file.toString().endsWith(".json");
        }

        Instant began() {
            return MOMENT.parse(moment, Instant::from);
        }
    }

    public DrillReports(NodePaths paths) {
        this.directory = paths.state().resolve("reports");
    }

    /// Writes one, durably, and takes those away that are too many.
    ///
    /// @return where the text is
    public Path save(DrillReport report) throws IOException {
        DurableDirectory.make(directory);
        String name =
                "drill-%s-%s-%s"
                        .formatted(
                                report.resource(),
                                MOMENT.format(report.began()),
                                report.passed() ? "passed" : "failed");
        Path text = directory.resolve(name + ".txt");
        AtomicFile.write(text, report.text().getBytes(StandardCharsets.UTF_8));
        AtomicFile.write(
                directory.resolve(name + ".json"),
                (Json.writePretty(report) + "\n").getBytes(StandardCharsets.UTF_8));
        prune(report.resource());
        return text;
    }

    private void prune(String resource) throws IOException {
        List<Entry> own =
                entries().stream().filter(each -> each.resource().equals(resource)).toList();
        List<String> moments =
                own.stream()
                        .map(Entry::moment)
                        .distinct()
                        .sorted(Comparator.reverseOrder())
                        .toList();
        for (Entry each : own) {
            // The last that passed stays: status tells when that was.
            boolean isLastPassed =
                    own.stream()
                            .filter(Entry::passed)
                            .map(Entry::moment)
                            .max(Comparator.naturalOrder())
                            .equals(Optional.of(each.moment()));
            if (moments.indexOf(each.moment()) >= KEPT && !isLastPassed) {
                Files.deleteIfExists(each.file());
            }
        }
    }

    /// The last drill of a resource, as status shows it.
    public synchronized Optional<StatusReport.Drill> last(String resource) {
        try {
            if (!Files.isDirectory(directory)) {
                return Optional.empty();
            }
            FileTime now = Files.getLastModifiedTime(directory);
            if (!now.equals(seen)) {
                latest = look();
                seen = now;
            }
        } catch (IOException e) {
            // A report is no state: without it nothing is said of drills.
            return Optional.empty();
        }
        return Optional.ofNullable(latest.get(resource));
    }

    private Map<String, StatusReport.Drill> look() throws IOException {
        Map<String, StatusReport.Drill> found = new HashMap<>();
        Map<String, Instant> lastPassed = new HashMap<>();
        for (Entry each : entries()) {
            if (!each.isJson()) {
                continue;
            }
            if (each.passed()) {
                lastPassed.put(each.resource(), each.began());
            }
            read(each.file())
                    .ifPresent(
                            report ->
                                    found.put(
                                            each.resource(),
                                            new StatusReport.Drill(
                                                    report.began(),
                                                    report.passed(),
                                                    report.check(),
                                                    report.totalSeconds(),
                                                    report.trouble(),
                                                    Optional.ofNullable(
                                                            lastPassed.get(each.resource())))));
        }
        return found;
    }

    private static Optional<DrillReport> read(Path file) throws IOException {
        try {
            return Optional.of(Json.read(Files.readString(file), DrillReport.class));
        } catch (JsonException e) {
            // Of another version, or somebody's own.
            return Optional.empty();
        }
    }

    /// The oldest first.
    private List<Entry> entries() throws IOException {
        List<Entry> all = new ArrayList<>();
        try (Stream<Path> files = Files.list(directory)) {
            files.forEach(file -> Entry.of(file).ifPresent(all::add));
        }
        all.sort(Comparator.comparing(Entry::moment));
        return all;
    }
}
