package holdfast.recovery;

import holdfast.replicator.control.ControlClient;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.Launcher;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/// A daemon in a process of its own, started the way this command itself was: by `bin/holdfast`
/// when that is how we came to be, else by the same JVM on the same class path.
final class DaemonProcess {
    private static final Duration START_LIMIT = Duration.ofSeconds(60);

    /// Enough for the reason a daemon gave before it ended.
    private static final int SHOWN_LOG_LINES = 5;

    private final NodePaths paths;
    private final Process process;

    private DaemonProcess(NodePaths paths, Process process) {
        this.paths = paths;
        this.process = process;
    }

    /// Starts it and returns when its control socket answers. It lives on when this process ends,
    /// unless `onlyWhile` is given: then it stops cleanly when that process is gone.
    ///
    /// @throws ProblemException when it ended or did not answer in time, with the end of its log
    static DaemonProcess start(NodePaths paths, Optional<Long> onlyWhile)
            throws IOException, ProblemException, InterruptedException {
        Path log = paths.daemonLog();
        makePrivate(paths.state());
        makePrivate(log.getParent());
        Process process =
                new ProcessBuilder(command(paths, onlyWhile))
                        .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                        .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
                        .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
                        .start();
        var daemon = new DaemonProcess(paths, process);
        daemon.awaitAnswer();
        return daemon;
    }

    static boolean answers(NodePaths paths) {
        try {
            new ControlClient(paths.run(), "").status();
            return true;
        } catch (ProblemException e) {
            return e.problem().exitCode() != ExitCode.DAEMON_AWAY.number();
        }
    }

    long pid() {
        return process.pid();
    }

    /// Waits for a daemon that was told to stop, and ends it when it does not.
    ///
    /// @return whether it stopped by itself
    boolean awaitEnd(Duration limit) throws InterruptedException {
        if (process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
            return true;
        }
        process.destroyForcibly().waitFor();
        return false;
    }

    boolean isAlive() {
        return process.isAlive();
    }

    private static List<String> command(NodePaths paths, Optional<Long> onlyWhile) {
        var command = new ArrayList<String>();
        // A session of its own: neither Ctrl-C nor the end of the terminal reaches the daemon.
        if (Files.isExecutable(Path.of("/usr/bin/setsid"))) {
            command.add("/usr/bin/setsid");
        }
        String launcher = System.getenv("HOLDFAST_BIN");
        if (launcher != null) {
            command.add(launcher);
        } else {
            String classPath = System.getProperty("java.class.path");
            command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
            command.addAll(
                    List.of(
                            "--enable-native-access=ALL-UNNAMED",
                            "-cp",
                            classPath,
                            Launcher.class.getName()));
            command.addAll(
                    List.of("--enable-native-access=ALL-UNNAMED", "-Xmx512m", "-cp", classPath));
            command.add(Holdfast.class.getName());
        }
        // The verb first: the launcher looks at it to choose the JVM's flags.
        command.add("daemon");
        paths.root().ifPresent(root -> command.addAll(List.of("--root", root.toString())));
        onlyWhile.ifPresent(pid -> command.addAll(List.of("--while-pid", Long.toString(pid))));
        return command;
    }

    private void awaitAnswer() throws ProblemException, InterruptedException {
        long end = System.nanoTime() + START_LIMIT.toNanos();
        while (!answers(paths)) {
            boolean gone = process.waitFor(50, TimeUnit.MILLISECONDS);
            if (gone || System.nanoTime() > end) {
                process.destroy();
                throw new ProblemException(
                        Problem.of(
                                        ExitCode.DAEMON_AWAY,
                                        "this host",
                                        gone
                                                ? "the daemon ended with code %d as it started"
                                                        .formatted(process.exitValue())
                                                : "the daemon does not answer after "
                                                        + START_LIMIT.toSeconds()
                                                        + " s")
                                .withEvidence(logEnd())
                                .withNext("less " + paths.daemonLog()));
            }
        }
    }

    private String[] logEnd() {
        try {
            List<String> lines = Files.readAllLines(paths.daemonLog());
            return lines.subList(Math.max(0, lines.size() - SHOWN_LOG_LINES), lines.size())
                    .toArray(String[]::new);
        } catch (IOException e) {
            return new String[] {"its log cannot be read: " + e.getMessage()};
        }
    }

    static void makePrivate(Path directory) throws IOException {
        if (!Files.isDirectory(directory)) {
            Files.createDirectories(directory.getParent());
            Files.createDirectory(
                    directory,
                    PosixFilePermissions.asFileAttribute(
                            PosixFilePermissions.fromString("rwx------")));
        }
    }
}
