package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.DrillReport;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.state.Role;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/// One rehearsal of the worst day: the copy is opened, its filesystem replayed, checked and
/// mounted, and something is done with it; each step is timed. All of it happens in an overlay and
/// in a [Sandbox], and is taken down whatever becomes of it.
///
/// What each step may take is limited. A step that fails ends the drill; what comes after the limit
/// is killed.
final class DrillRun {
    private static final Duration CONNECT_LIMIT = Duration.ofSeconds(60);

    /// A full check of a large filesystem, over a journal that is in use.
    private static final Duration FILESYSTEM_LIMIT = Duration.ofHours(6);

    /// What is to be done.
    ///
    /// @param check a program and its arguments; empty: it is mounted only
    record Order(
            Point point,
            int volume,
            List<String> check,
            Duration checkLimit,
            Optional<Long> overlayBytes) {}

    private final NodePaths paths;
    private final ControlApi api;
    private final String node;
    private final Order order;
    private final List<DrillReport.Step> steps = new ArrayList<>();
    private final Instant began = Instant.now();
    private final long beganNanos = System.nanoTime();
    private Optional<StatusReport.View> view = Optional.empty();
    private Optional<Filesystem> filesystem = Optional.empty();
    private Optional<Double> recovery = Optional.empty();
    private Sandbox sandbox;
    private Path copy;

    /// What a step says when it is done.
    private record Said(DrillReport.Outcome outcome, String words) {
        static final Said NOTHING = new Said(DrillReport.Outcome.PASSED, "");
    }

    private interface Work {
        Said run() throws IOException, InterruptedException, ProblemException;
    }

    /// A step has failed, and is noted.
    private static final class Failed extends Exception {
        private static final long serialVersionUID = 1L;

        Failed(String why) {
            super(why);
        }
    }

    DrillRun(NodePaths paths, ControlApi api, String node, Order order) {
        this.paths = paths;
        this.api = api;
        this.node = node;
        this.order = order;
    }

    /// @throws ProblemException when nothing was asked of a copy here, see [#isOfTheCopy]: there
    ///   was no drill then
    DrillReport run() throws ProblemException {
        Optional<String> trouble = open();
        return report(trouble.isPresent() ? trouble : rehearse());
    }

    /// With the copy open: all steps, and all taken down again.
    ///
    /// @return why it failed, absent when it passed
    private Optional<String> rehearse() {
        Optional<String> trouble = Optional.empty();
        try {
            step("connect", this::connect);
            step("replay", this::replay);
            step("fsck", this::fsck);
            step("mount", this::mount);
            recovery = Optional.of(seconds());
            step("check", this::check);
            if (!order.check().isEmpty()) {
                recovery = Optional.of(seconds());
            }
        } catch (Failed e) {
            trouble = Optional.of(e.getMessage());
        }
        try {
            // What is left of an interrupt that a step was ended by.
            boolean ignored = Thread.interrupted();
            step("teardown", this::takeDown);
        } catch (Failed e) {
            trouble = trouble.or(() -> Optional.of(e.getMessage()));
        } finally {
            if (sandbox != null) {
                sandbox.close();
            }
            close();
        }
        return trouble;
    }

    private DrillReport report(Optional<String> trouble) {
        return new DrillReport(
                order.point().resource(),
                node,
                began,
                trouble.isEmpty(),
                trouble,
                view.map(StatusReport.View::point),
                view.map(StatusReport.View::pointTime),
                view.flatMap(StatusReport.View::pointAgeSeconds),
                filesystem.map(Filesystem::words),
                order.check().isEmpty()
                        ? Optional.empty()
                        : Optional.of(String.join(" ", order.check())),
                trouble.isEmpty() ? recovery : Optional.empty(),
                seconds(),
                List.copyOf(steps));
    }

    private double seconds() {
        return (System.nanoTime() - beganNanos) / 1e9;
    }

    private void step(String name, Work work) throws Failed {
        long start = System.nanoTime();
        Said said;
        try {
            said = work.run();
        } catch (IOException | RuntimeException e) {
            said = new Said(DrillReport.Outcome.FAILED, String.valueOf(e.getMessage()));
        } catch (ProblemException e) {
            said = new Said(DrillReport.Outcome.FAILED, e.problem().text().strip());
        } catch (InterruptedException e) {
            said = new Said(DrillReport.Outcome.FAILED, "interrupted");
        }
        steps.add(
                new DrillReport.Step(
                        name, (System.nanoTime() - start) / 1e9, said.outcome(), said.words()));
        if (said.outcome() == DrillReport.Outcome.FAILED) {
            throw new Failed("%s: %s".formatted(name, said.words()));
        }
    }

    // ---- the steps ---------------------------------------------------------------------------

    /// A copy that cannot be opened is what a drill is for: it has failed then, like one whose
    /// check did.
    ///
    /// @return why it cannot be opened; absent when it is
    private Optional<String> open() throws ProblemException {
        long start = System.nanoTime();
        try {
            view =
                    Optional.of(
                            api.open(
                                            new ControlApi.OpenRequest(
                                                    order.point().resource(),
                                                    order.point().at(),
                                                    true,
                                                    order.overlayBytes(),
                                                    Optional.empty(),
                                                    true))
                                    .view());
        } catch (ProblemException e) {
            if (!isOfTheCopy(e.problem())) {
                throw e;
            }
            opened(start, DrillReport.Outcome.FAILED, e.problem().text().strip());
            return Optional.of("could not open: " + inOneLine(e.problem()));
        }
        try {
            String ignored = ViewMounts.uri(view.get(), order.volume());
        } catch (ProblemException e) {
            close();
            throw e;
        }
        opened(start, DrillReport.Outcome.PASSED, view.get().id());
        return Optional.empty();
    }

    private void opened(long start, DrillReport.Outcome outcome, String said) {
        steps.add(new DrillReport.Step("open", (System.nanoTime() - start) / 1e9, outcome, said));
    }

    /// Not a wrong argument, a daemon that is away, or a node whose copy it is not.
    private boolean isOfTheCopy(Problem problem) throws ProblemException {
        if (problem.exitCode() == ExitCode.USAGE.number()
                || problem.exitCode() == ExitCode.DAEMON_AWAY.number()
                || problem.role().equals(Optional.of(Role.PRIMARY.name()))) {
            return false;
        }
        StatusReport here = api.status();
        String name = order.point().resource();
        return here.resource(name).isPresent()
                || here.unopened().stream().anyMatch(each -> each.name().equals(name));
    }

    private static String inOneLine(Problem problem) {
        return problem.evidence().isEmpty()
                ? problem.cause()
                : "%s: %s".formatted(problem.cause(), problem.why());
    }

    private Said connect() throws IOException, InterruptedException, ProblemException {
        Programs.require("nbdfuse");
        String uri = ViewMounts.uri(view.orElseThrow(), order.volume());
        filesystem = Optional.of(ViewMounts.filesystem(uri));
        List<Path> visible = new ArrayList<>(List.of(paths.run()));
        if (!order.check().isEmpty()) {
            visible.add(Path.of(order.check().getFirst()));
        }
        sandbox = Sandbox.start(visible);
        Path fuse = sandbox.makeDirectory("fuse", "700");
        copy = sandbox.makeDirectory("copy", "755");
        sandbox.makeDirectory("scratch", "1777");
        Path pid = sandbox.path("nbdfuse.pid");
        Path log = Files.createTempFile("holdfast-", ".log");
        try {
            Process nbdfuse =
                    sandbox.start(log, "nbdfuse", "-P", pid.toString(), fuse.toString(), uri);
            Path ready = sandbox.outside(pid);
            long deadline = System.nanoTime() + CONNECT_LIMIT.toNanos();
            while (!Files.exists(ready) || Files.size(ready) == 0) {
                if (nbdfuse.waitFor(20, TimeUnit.MILLISECONDS) || System.nanoTime() > deadline) {
                    throw new IOException("nbdfuse: " + Files.readString(log).strip());
                }
            }
        } finally {
            Files.deleteIfExists(log);
        }
        return Said.NOTHING;
    }

    private String file() {
        return sandbox.path("fuse").resolve("nbd").toString();
    }

    private Said replay() throws IOException, InterruptedException {
        mount();
        unmount();
        return Said.NOTHING;
    }

    private Said mount() throws IOException, InterruptedException {
        Filesystem found = filesystem.orElseThrow();
        // A loop device that a mount has made is gone with it.
        Programs.Ran ran =
                sandbox.run(
                        FILESYSTEM_LIMIT,
                        Map.of(),
                        List.of(
                                "mount",
                                "-t",
                                found.type(),
                                "-o",
                                "loop," + found.options(false),
                                file(),
                                copy.toString()));
        if (!ran.isDone()) {
            throw new IOException(ran.words());
        }
        return Said.NOTHING;
    }

    private void unmount() throws IOException, InterruptedException {
        Programs.Ran ran =
                sandbox.run(FILESYSTEM_LIMIT, Map.of(), List.of("umount", copy.toString()));
        if (!ran.isDone()) {
            throw new IOException(ran.words());
        }
    }

    private Said fsck() throws IOException, InterruptedException {
        Filesystem found = filesystem.orElseThrow();
        Optional<List<String>> command = found.check(file());
        if (command.isEmpty()) {
            return new Said(
                    DrillReport.Outcome.SKIPPED,
                    "no way to check %s is known".formatted(found.type()));
        }
        if (!Programs.has(command.get().getFirst())) {
            return new Said(
                    DrillReport.Outcome.SKIPPED, Programs.notInstalled(command.get().getFirst()));
        }
        Programs.Ran ran =
                sandbox.run(FILESYSTEM_LIMIT, Map.of(), command.get(), found.signOfLoss());
        return switch (found.verdict(ran)) {
            case Filesystem.Sound _ -> Said.NOTHING;
            case Filesystem.Mended(String words) -> new Said(DrillReport.Outcome.NOTED, words);
            case Filesystem.Damaged(String words) -> new Said(DrillReport.Outcome.FAILED, words);
        };
    }

    private Said check() throws IOException, InterruptedException {
        if (order.check().isEmpty()) {
            return new Said(DrillReport.Outcome.SKIPPED, "mounted only");
        }
        StatusReport.View opened = view.orElseThrow();
        Map<String, String> variables = new HashMap<>();
        variables.put("HOLDFAST_MOUNT", copy.toString());
        variables.put("HOLDFAST_SCRATCH", sandbox.path("scratch").toString());
        variables.put("HOLDFAST_RESOURCE", order.point().resource());
        variables.put("HOLDFAST_VOLUME", Integer.toString(order.volume()));
        variables.put("HOLDFAST_NODE", node);
        variables.put("HOLDFAST_POINT", opened.point());
        variables.put("HOLDFAST_POINT_TIME", opened.pointTime().toString());
        variables.put("HOLDFAST_FILESYSTEM", filesystem.orElseThrow().type());
        Programs.Ran ran = sandbox.run(order.checkLimit(), variables, order.check());
        return new Said(
                ran.isDone() ? DrillReport.Outcome.PASSED : DrillReport.Outcome.FAILED,
                ran.isDone() ? ran.output() : ran.words());
    }

    // ---- the end -----------------------------------------------------------------------------

    /// In order, so that nothing is in use when it is taken away. What this cannot do the end of
    /// the sandbox does.
    private Said takeDown() throws IOException, InterruptedException {
        if (sandbox == null) {
            return Said.NOTHING;
        }
        sandbox.killAllBut("nbdfuse");
        if (copy != null && isMounted(copy)) {
            unmount();
        }
        if (isMounted(sandbox.path("fuse"))) {
            Programs.Ran ran =
                    sandbox.run(
                            CONNECT_LIMIT,
                            Map.of(),
                            List.of("umount", "-l", sandbox.path("fuse").toString()));
            if (!ran.isDone()) {
                throw new IOException(ran.words());
            }
        }
        return Said.NOTHING;
    }

    private boolean isMounted(Path inside) throws IOException, InterruptedException {
        return sandbox.run(CONNECT_LIMIT, Map.of(), List.of("mountpoint", "-q", inside.toString()))
                .isDone();
    }

    private void close() {
        try {
            api.closeView(new ControlApi.CloseRequest(view.orElseThrow().id()));
        } catch (ProblemException e) {
            // It has no client any more: the daemon closes it, if it is there at all.
            return;
        }
    }
}
