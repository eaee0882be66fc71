package holdfast.system;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlClient;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;

/// A daemon in a process of its own, which can be killed at any moment.
final class NodeProcess implements AutoCloseable {
    /// It lives for seconds: what runs a few hundred times is not worth its compilation.
    static final List<String> FLAGS =
            List.of(
                    "-XX:TieredStopAtLevel=1",
                    "-XX:CompileThresholdScaling=5",
                    "-XX:+UseSerialGC",
                    "-Xmx192m");

    final NodePaths paths;
    final ControlClient api;
    private final Map<String, String> environment;
    private final Path log;
    private final List<String> jvmFlags;
    private Process process;

    NodeProcess(NodePaths paths) {
        this(paths, FLAGS, Map.of());
    }

    NodeProcess(NodePaths paths, List<String> jvmFlags) {
        this(paths, jvmFlags, Map.of());
    }

    /// @param environment more than this process has
    NodeProcess(NodePaths paths, Map<String, String> environment) {
        this(paths, FLAGS, environment);
    }

    private NodeProcess(NodePaths paths, List<String> jvmFlags, Map<String, String> environment) {
        this.jvmFlags = jvmFlags;
        this.paths = paths;
        this.environment = environment;
        this.api = new ControlClient(paths.run(), "");
        this.log = paths.root().orElseThrow().resolve("daemon.log");
    }

    /// Starts it, without waiting for anything.
    void start() throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.addAll(jvmFlags);
        if (jvmFlags.equals(FLAGS)) {
            command.addAll(AheadOfTime.flags(FLAGS));
        }
        command.addAll(
                List.of("-cp", AheadOfTime.classPath(), "holdfast.recovery.Holdfast", "daemon"));
        command.addAll(List.of("--root", paths.root().orElseThrow().toString()));
        ProcessBuilder builder =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
        builder.environment().putAll(environment);
        process = builder.start();
    }

    void awaitAnswer() {
        TwoNodes.until("the daemon of " + paths.root().orElseThrow() + " answers", this::answers);
    }

    private boolean answers() throws IOException {
        if (!process.isAlive()) {
            throw new AssertionError(
                    "the daemon ended by itself with %d\n%s"
                            .formatted(process.exitValue(), logEnd()));
        }
        try {
            api.status();
            return true;
        } catch (ProblemException e) {
            return false;
        }
    }

    /// Empty while the daemon is away, or has not opened the resource yet.
    Optional<StatusReport.Resource> resource(String name) {
        try {
            return api.status().resource(name);
        } catch (ProblemException e) {
            return Optional.empty();
        }
    }

    boolean isAlive() {
        return process.isAlive();
    }

    /// Waits for its end: of a process that was killed, which a busy host may take a while to bury.
    boolean hasEnded() throws InterruptedException {
        return process.waitFor(60, TimeUnit.SECONDS);
    }

    /// The most memory that it ever had resident, as the kernel counts it.
    long mostResidentBytes() throws IOException {
        for (String line :
                Files.readAllLines(Path.of("/proc", Long.toString(process.pid()), "status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) << 10;
            }
        }
        throw new IOException("the kernel does not tell");
    }

    /// What it has read so far, of files and sockets, in bytes.
    long readBytes() throws IOException {
        for (String line :
                Files.readAllLines(Path.of("/proc", Long.toString(process.pid()), "io"))) {
            if (line.startsWith("rchar:")) {
                return Long.parseLong(line.substring(6).strip());
            }
        }
        throw new IOException("no rchar");
    }

    /// SIGTERM.
    void terminate() {
        process.destroy();
    }

    /// SIGKILL.
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /// The same as [TwoNodes#until]; what these say of themselves goes with the failure.
    static void until(String what, TwoNodes.Check check, NodeProcess... nodes) {
        try {
            TwoNodes.until(what, check);
        } catch (AssertionError e) {
            StringBuilder text = new StringBuilder(e.getMessage());
            for (NodeProcess each : nodes) {
                text.append('\n').append(each.account());
            }
            throw new AssertionError(text.toString(), e);
        }
    }

    /// What it says of itself, for a failing test.
    String account() {
        StringBuilder text = new StringBuilder();
        try {
            text.append(api.status()).append('\n');
            api.events(
                    new ControlApi.EventsRequest(0, false),
                    event -> text.append(event).append('\n'));
            text.append(logEnd());
        } catch (ProblemException | IOException e) {
            text.append(e.getMessage());
        }
        return text.append('\n').toString();
    }

    /// How much it has logged so far.
    long loggedBytes() throws IOException {
        return Files.size(log);
    }

    /// What it has logged behind that place; its log outlives it.
    String loggedText(long fromBytes) throws IOException {
        byte[] all = Files.readAllBytes(log);
        int from = Math.toIntExact(fromBytes);
        return new String(all, from, all.length - from, StandardCharsets.UTF_8);
    }

    /// Kinds of the events of a resource since that moment; none while it does not answer.
    Set<String> kindsSince(String resource, Instant since) {
        Set<String> kinds = new TreeSet<>();
        try {
            api.events(
                    new ControlApi.EventsRequest(0, false),
                    event -> {
                        if (event.resource().filter(resource::equals).isPresent()
                                && !event.time().isBefore(since)) {
                            kinds.add(event.kind());
                        }
                    });
        } catch (ProblemException e) {
            return Set.of();
        }
        return kinds;
    }

    private String logEnd() throws IOException {
        List<String> lines = Files.readAllLines(log);
        return String.join("\n", lines.subList(Math.max(0, lines.size() - 60), lines.size()));
    }

    @Override
    public void close() throws InterruptedException {
        if (process != null && process.isAlive()) {
            process.destroy();
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        }
    }
}
