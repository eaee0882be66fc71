package holdfast.replicator.daemon;

import holdfast.replicator.config.DrillSettings;
import holdfast.replicator.control.DrillReports;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.device.ProcessGroup;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.Words;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/// Runs `holdfast drill` by the calendar of `[drill]`, as a child process: one at a time, those
/// whose time comes meanwhile wait. One whose time passed while the daemon was down is not made up
/// for.
///
/// | limit                | value           | beyond it                                  |
/// |----------------------|-----------------|--------------------------------------------|
/// | drills that wait     | [#MAX_WAITING]  | `drill-failed`                             |
/// | time of one          | [#LIMIT]        | it is told to stop, and killed a minute on |
final class Drills implements AutoCloseable {
    static final int MAX_WAITING = 100;

    /// A full check of a large filesystem takes hours.
    private static final Duration LIMIT = Duration.ofHours(12);

    private static final Duration TEARDOWN = Duration.ofSeconds(70);

    /// Of what a child printed, in an event.
    private static final int SHOWN_CHARS = 1000;

    /// Makes it the leader of a process group, so that its children can be killed with it.
    private static final Path SETSID = Path.of("/usr/bin/setsid");

    private final Supplier<DrillSettings> settings;
    private final NodePaths paths;
    private final Events events;
    private final Executor pool;
    private final DrillReports reports;

    // All below is guarded by this object, which is held for moments.
    private final ArrayDeque<DrillSettings.Entry> waiting = new ArrayDeque<>();
    private final CalendarLook look;
    private boolean working;
    private boolean closed;
    private Process running;

    Drills(
            Supplier<DrillSettings> settings,
            NodePaths paths,
            Events events,
            Executor pool,
            Instant now) {
        this.settings = settings;
        this.paths = paths;
        this.events = events;
        this.pool = pool;
        this.reports = new DrillReports(paths);
        this.look = new CalendarLook(now);
    }

    /// The last drill of a resource, whoever ran it.
    Optional<StatusReport.Drill> last(String resource) {
        return reports.last(resource);
    }

    /// Begins those whose time has come since the last look.
    void look(Instant now) {
        List<DrillSettings.Entry> dropped = new ArrayList<>();
        synchronized (this) {
            if (closed) {
                return;
            }
            for (DrillSettings.Entry each : look.due(now, settings.get()::due)) {
                if (waiting.size() < MAX_WAITING) {
                    waiting.add(each);
                } else {
                    dropped.add(each);
                }
            }
            if (!waiting.isEmpty() && !working) {
                working = true;
                pool.execute(this::work);
            }
        }
        for (DrillSettings.Entry each : dropped) {
            failed(each, "%d drills wait already".formatted(MAX_WAITING));
        }
    }

    private void work() {
        for (DrillSettings.Entry next = next(); next != null; next = next()) {
            try {
                run(next);
            } catch (IOException | RuntimeException e) {
                failed(next, "it could not be run: " + e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private synchronized DrillSettings.Entry next() {
        DrillSettings.Entry next = closed ? null : waiting.poll();
        working = next != null;
        return next;
    }

    private void run(DrillSettings.Entry entry) throws IOException, InterruptedException {
        if (entry.check().isPresent()) {
            // A name without a slash is first looked for among the settings, as the command does.
            Path program =
                    paths.etc().resolve("checks").resolve(entry.check().get().split(" ", 2)[0]);
            Optional<String> danger =
                    entry.check().get().startsWith("/") || Files.exists(program)
                            ? HandlerFile.danger(program)
                            : Optional.empty();
            if (danger.isPresent()) {
                failed(entry, program + " " + danger.get());
                return;
            }
        }
        Path output = Files.createTempFile("holdfast-", ".drill");
        try {
            told(entry, "drill-started", "as the calendar says");
            Process process =
                    new ProcessBuilder(command(entry))
                            .directory(Path.of("/").toFile())
                            .redirectInput(Path.of("/dev/null").toFile())
                            .redirectErrorStream(true)
                            .redirectOutput(output.toFile())
                            .start();
            await(process);
            ended(entry, process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
        } finally {
            Files.deleteIfExists(output);
        }
    }

    private void await(Process process) throws InterruptedException {
        boolean isWanted;
        synchronized (this) {
            running = process;
            isWanted = !closed;
        }
        try {
            if (!isWanted || !process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
                process.destroy();
                if (!process.waitFor(TEARDOWN.toSeconds(), TimeUnit.SECONDS)) {
                    ProcessGroup.kill(process.pid());
                    process.waitFor();
                }
            }
        } finally {
            synchronized (this) {
                running = null;
            }
        }
    }

    private void ended(DrillSettings.Entry entry, int code, String output) {
        Optional<StatusReport.Drill> last = reports.last(entry.resource());
        if (code == ExitCode.DONE.number() && last.isPresent()) {
            told(entry, "drill-passed", "in " + Words.span(last.get().seconds()));
        } else if (code == ExitCode.DIFFERENT.number() && last.isPresent()) {
            failed(entry, last.get().trouble().orElse("see its report"));
        } else {
            failed(entry, "it ended with %d: %s".formatted(code, output));
        }
    }

    /// The way this process itself came to be: by `bin/holdfast`, else by the same JVM on the same
    /// class path.
    private List<String> command(DrillSettings.Entry entry) {
        List<String> command = new ArrayList<>();
        if (Files.isExecutable(SETSID)) {
            command.add(SETSID.toString());
        }
        String launcher = System.getenv("HOLDFAST_BIN");
        if (launcher != null) {
            command.add(launcher);
        } else {
            command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
            command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-Xmx256m", "-cp"));
            command.add(
                    System.getProperty(
                            "surefire.test.class.path", System.getProperty("java.class.path")));
            command.add("holdfast.recovery.Holdfast");
        }
        command.add("drill");
        paths.root().ifPresent(root -> command.addAll(List.of("--root", root.toString())));
        command.addAll(
                List.of(
                        entry.resource(),
                        "--timeout",
                        Long.toString(settings.get().timeout().toSeconds())));
        entry.check().ifPresent(check -> command.addAll(List.of("--check", check)));
        return command;
    }

    private void failed(DrillSettings.Entry entry, String why) {
        told(entry, "drill-failed", why);
    }

    private void told(DrillSettings.Entry entry, String kind, String text) {
        String line = text.replaceAll("\\p{Cntrl}+", " ").strip();
        events.of(entry.resource())
                .accept(kind, line.substring(0, Math.min(line.length(), SHOWN_CHARS)));
    }

    /// None is begun any more. One that runs is told to stop: its view ends with the daemon.
    @Override
    public void close() {
        Process left;
        synchronized (this) {
            closed = true;
            waiting.clear();
            left = running;
        }
        if (left != null) {
            left.destroy();
        }
    }
}
