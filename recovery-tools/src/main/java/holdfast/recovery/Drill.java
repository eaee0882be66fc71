package holdfast.recovery;

import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.DrillReport;
import holdfast.replicator.control.DrillReports;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

@Command(
        name = "drill",
        description = {
            "Rehearses the worst day, as root: opens the copy, replays and checks its filesystem, mounts it, runs"
                    + " a check on it, and takes everything down again.",
            "It ends with 8 when the copy could not be opened, or it or the check failed. The report is kept in the state"
                    + " directory."
        },
        mixinStandardHelpOptions = true)
final class Drill implements Callable<Integer> {
    /// How long a stop waits until all is taken down.
    private static final Duration TEARDOWN = Duration.ofSeconds(60);

    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME[@POINT]", description = "POINT is latest unless it is given.")
    private String name;

    @Option(names = "--at", paramLabel = "POINT", description = "The same as NAME@POINT.")
    private String at;

    @Option(
            names = "--check",
            paramLabel = "SCRIPT",
            description = {
                "What is run on the mounted copy, with arguments, separated by blanks; a name without a slash"
                        + " is one of the scripts that come along: postgresql, files.",
                "Its environment: HOLDFAST_MOUNT, HOLDFAST_RESOURCE, HOLDFAST_POINT, HOLDFAST_POINT_TIME,"
                        + " HOLDFAST_SCRATCH and more, see docs/operations.md. Without it: mounted only."
            })
    private String check;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "600",
            description = "How long the check may run; then it is killed and the drill has failed.")
    private double timeoutSeconds;

    @Option(
            names = "--volume",
            paramLabel = "N",
            defaultValue = "0",
            description = "Of a resource with several; 0 is the first.")
    private int volume;

    @Option(
            names = "--overlay",
            paramLabel = "SIZE",
            description = "How much the drill may write, see `open`.")
    private Size overlay;

    @Override
    public Integer call() throws Exception {
        ViewMounts.requireRoot("drill");
        NodePaths paths = holdfast.paths();
        Point typed = Point.parse(name);
        if (at != null && typed.at().isPresent()) {
            throw usage("both --at and %s name a point".formatted(name));
        }
        ControlApi api = holdfast.api();
        var order =
                new DrillRun.Order(
                        new Point(typed.resource(), typed.at().or(() -> Optional.ofNullable(at))),
                        volume,
                        checkCommand(paths),
                        Duration.ofMillis((long) (1000 * timeoutSeconds)),
                        Optional.ofNullable(overlay).map(Size::bytes));
        String node = api.status().node().name();
        // A file name: nothing of that name is there if it is no resource.
        if (!typed.resource().matches("[a-z0-9][a-z0-9_-]{0,62}")) {
            throw usage("%s is no name of a resource".formatted(typed.resource()));
        }
        Path lock = paths.run().resolve("drill-" + typed.resource() + ".lock");
        try (FileChannel file =
                        FileChannel.open(
                                lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock only = file.tryLock()) {
            if (only == null) {
                throw ViewMounts.refused(
                        "a drill of %s is under way".formatted(typed.resource()),
                        paths.command("status " + typed.resource()));
            }
            return run(paths, new DrillRun(paths, api, node, order));
        }
    }

    /// A signal ends the step that is under way, and the process only when all is taken down and
    /// the report is written.
    private int run(NodePaths paths, DrillRun drill) throws IOException, ProblemException {
        var done = new CountDownLatch(1);
        Thread worker = Thread.currentThread();
        Thread stop =
                Thread.ofPlatform()
                        .unstarted(
                                () -> {
                                    worker.interrupt();
                                    try {
                                        boolean ignored =
                                                done.await(TEARDOWN.toSeconds(), TimeUnit.SECONDS);
                                    } catch (InterruptedException e) {
                                        Thread.currentThread().interrupt();
                                    }
                                });
        Runtime.getRuntime().addShutdownHook(stop);
        try {
            DrillReport report = drill.run();
            Path text = new DrillReports(paths).save(report);
            holdfast.answer(report, report.text() + "  report       " + text + "\n");
            return (report.passed() ? ExitCode.DONE : ExitCode.DIFFERENT).number();
        } finally {
            done.countDown();
            forget(stop);
        }
    }

    private static void forget(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // It runs already.
            return;
        }
    }

    private List<String> checkCommand(NodePaths paths) throws ProblemException {
        if (check == null) {
            return List.of();
        }
        List<String> words = new ArrayList<>(Arrays.asList(check.strip().split(" +")));
        Path program = find(paths, words.getFirst());
        if (!Files.isExecutable(program) || Files.isDirectory(program)) {
            throw usage("%s cannot be executed".formatted(program));
        }
        words.set(0, program.toAbsolutePath().toString());
        return words;
    }

    /// A name without a slash is looked for among the node's settings, in the checkout that
    /// `bin/holdfast` is in, and where packages put it.
    private static Path find(NodePaths paths, String word) throws ProblemException {
        if (word.contains("/")) {
            return Path.of(word);
        }
        List<Path> places = new ArrayList<>(List.of(paths.etc().resolve("checks")));
        String launcher = System.getenv("HOLDFAST_BIN");
        if (launcher != null) {
            places.add(Path.of(launcher).resolveSibling("../conf.d/checks").normalize());
        }
        places.add(Path.of("/usr/share/holdfast/checks"));
        return places.stream()
                .map(each -> each.resolve(word))
                .filter(Files::isExecutable)
                .findFirst()
                .orElseThrow(() -> usage("no check %s in any of %s".formatted(word, places)));
    }

    private static ProblemException usage(String cause) {
        return new ProblemException(
                Problem.of(ExitCode.USAGE, "this host", cause).withNext("holdfast drill --help"));
    }
}
