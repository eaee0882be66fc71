package holdfast.bench;

import holdfast.recovery.Holdfast;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlClient;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.Launcher;
import holdfast.tunnel.link.Identity;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// A node with a daemon in a process of its own: started by `bin/holdfast` where that started us
/// (`HOLDFAST_BIN`), else by our own JVM with the same flags.
final class Site implements AutoCloseable {
    private static final long START_SECONDS = 60;

    private final String name;
    private final NodePaths paths;
    private final ControlClient api;
    private final List<String> command;
    private Process process;

    private Site(String name, NodePaths paths, List<String> command) throws IOException {
        this.name = name;
        this.paths = paths;
        this.command = command;
        this.process = Programs.start(log(), command);
        this.api = new ControlClient(paths.run(), "daemon");
    }

    /// Makes the node and starts its daemon; [#awaitAnswer] says when it is up.
    ///
    /// @param toml the rest of the node's settings
    /// @param prefix of the daemon's command: `nice` or nothing
    static Site start(Path root, String name, String toml, String... prefix) throws IOException {
        NodePaths paths = NodePaths.under(root);
        Files.createDirectories(paths.resourceDirectory());
        Files.createDirectories(paths.state());
        Files.setPosixFilePermissions(paths.state(), PosixFilePermissions.fromString("rwx------"));
        Files.writeString(paths.nodeFile(), "[node]\nname = \"" + name + "\"\n" + toml);
        Identity.create(paths.state());
        List<String> command = new ArrayList<>(List.of(prefix));
        command.addAll(command(root));
        return new Site(name, paths, command);
    }

    private static List<String> command(Path root) {
        List<String> command = new ArrayList<>();
        String launcher = System.getenv("HOLDFAST_BIN");
        if (launcher == null) {
            String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
            String classPath = System.getProperty("java.class.path");
            String access = "--enable-native-access=ALL-UNNAMED";
            command.addAll(List.of(java, access, "-cp", classPath, Launcher.class.getName()));
            command.addAll(List.of(access, "-Xms64m", "-Xmx512m", "-XX:MaxDirectMemorySize=1g"));
            command.addAll(List.of("-cp", classPath, Holdfast.class.getName()));
        } else {
            command.add(launcher);
        }
        command.addAll(List.of("daemon", "--root", root.toString()));
        // A benchmark that is killed leaves no daemon behind.
        command.addAll(List.of("--while-pid", Long.toString(ProcessHandle.current().pid())));
        return command;
    }

    private Path log() {
        return paths.root().orElseThrow().resolve("log");
    }

    /// The daemon crashes (SIGKILL), and is started again.
    void crash() throws IOException, InterruptedException {
        process.destroyForcibly().waitFor();
        process = Programs.start(log(), command);
    }

    void awaitAnswer() throws IOException, InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (true) {
            try {
                api.status();
                return;
            } catch (ProblemException e) {
                if (process.waitFor(50, TimeUnit.MILLISECONDS) || System.nanoTime() > deadline) {
                    String log = Files.readString(log());
                    throw new IOException(name + " does not answer\n" + log, e);
                }
            }
        }
    }

    ControlApi api() {
        return api;
    }

    double cpuSeconds() throws IOException {
        return Programs.cpuSeconds(process.pid());
    }

    @Override
    public void close() {
        try {
            api.shutdown();
            process.waitFor(20, TimeUnit.SECONDS);
        } catch (ProblemException e) {
            // It does not answer: ended below.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        Programs.stop(process);
    }
}
