package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.DaemonEntry;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.ServiceLoader;
import java.util.concurrent.Callable;

@Command(
        name = "daemon",
        description = "Runs this node in the foreground, or with --detach on its own.",
        mixinStandardHelpOptions = true)
final class Daemon implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Option(
            names = "--detach",
            description = "Start it in the background and return when it answers.")
    private boolean detach;

    @Option(names = "--while-pid", hidden = true, description = "Stop when that process is gone.")
    private Optional<Long> whilePid;

    @Override
    public Integer call() throws Exception {
        NodePaths paths = holdfast.paths();
        if (detach) {
            if (DaemonProcess.answers(paths)) {
                return answer("The daemon runs already.");
            }
            DaemonProcess daemon = DaemonProcess.start(paths, whilePid);
            return answer(
                    "The daemon runs as process %d and logs to %s."
                            .formatted(daemon.pid(), paths.daemonLog()));
        }
        DaemonEntry entry = entry();
        whilePid.ifPresent(Daemon::stopWith);
        return entry.run(paths);
    }

    static DaemonEntry entry() throws ProblemException {
        return ServiceLoader.load(DaemonEntry.class)
                .findFirst()
                .orElseThrow(
                        () ->
                                new ProblemException(
                                        Problem.of(
                                                ExitCode.FAILED,
                                                "this host",
                                                "this build has no daemon in its class path")));
    }

    private int answer(String line) {
        return holdfast.answer(ControlApi.Done.of(line), line + "\n");
    }

    /// An orderly exit runs the daemon's shutdown hook, as a signal would.
    private static void stopWith(long pid) {
        ProcessHandle.of(pid)
                .ifPresentOrElse(
                        other -> other.onExit().thenRun(() -> System.exit(0)),
                        () -> System.exit(ExitCode.FAILED.number()));
    }
}
