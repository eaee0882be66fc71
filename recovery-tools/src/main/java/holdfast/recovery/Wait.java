package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.status.StatusTable;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "wait",
        description = {
            "Waits until the copy has everything that the resource holds now.",
            "Later writes do not prolong it. A peer that is away, or was told not to connect, is waited for."
        },
        mixinStandardHelpOptions = true)
final class Wait implements Callable<Integer> {
    /// Without a terminal a line each time would fill a log.
    private static final long QUIET_NANOS = 5_000_000_000L;

    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Option(
            names = "--acked",
            description = "Until the backup's journal has it, though it cannot be opened yet.")
    private boolean acked;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            description =
                    "Give up then, with exit code 7, or 5 when the peer is away. Default: never.")
    private Optional<Double> timeout;

    private long lastLine = System.nanoTime() - QUIET_NANOS;

    @Override
    public Integer call() throws Exception {
        Terminal terminal = holdfast.terminal();
        ControlApi.WaitStatus end =
                holdfast.api()
                        .waitFor(new ControlApi.WaitRequest(name, acked, timeout), this::show);
        terminal.endProgress();
        boolean done = end.state() == ControlApi.WaitState.DONE;
        holdfast.answer(
                end,
                done
                        ? "%s: %s%n"
                                .formatted(
                                        name,
                                        acked
                                                ? "the backup has everything up to " + end.target()
                                                : "the copy has everything up to " + end.target())
                        : "%s: not there yet, %s. %s%n"
                                .formatted(
                                        name,
                                        end.state() == ControlApi.WaitState.PEER_AWAY
                                                ? "and the peer is away"
                                                : "the work goes on",
                                        end.sentence()));
        return code(end.state()).number();
    }

    private static ExitCode code(ControlApi.WaitState state) {
        return switch (state) {
            case DONE -> ExitCode.DONE;
            case PEER_AWAY -> ExitCode.PEER_AWAY;
            case TIMED_OUT, WAITING -> ExitCode.TIMED_OUT;
        };
    }

    private static String behind(ControlApi.WaitStatus status) {
        return status.behind().map(b -> Words.bytes(b.bytes()) + " behind, ").orElse("");
    }

    private void show(ControlApi.WaitStatus status) {
        Terminal terminal = holdfast.terminal();
        long now = System.nanoTime();
        if (!terminal.interactive() && now - lastLine < QUIET_NANOS) {
            return;
        }
        lastLine = now;
        terminal.progress(
                status.progress()
                        .filter(p -> !p.kind().equals("VERIFY") && !p.kind().equals("REPAIR"))
                        .map(p -> name + " " + StatusTable.bar(p))
                        .orElseGet(
                                () ->
                                        status.target().equals("none")
                                                ? status.sentence()
                                                : "%s: %sstored %s of %s"
                                                        .formatted(
                                                                name,
                                                                behind(status),
                                                                status.stored(),
                                                                status.target())));
    }
}
