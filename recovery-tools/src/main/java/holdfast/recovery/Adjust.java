package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;

@Command(
        name = "adjust",
        description = {
            "Reads the settings files again and applies what changed.",
            "Until then the daemon goes on with, and also starts with, the settings it accepted last."
        },
        mixinStandardHelpOptions = true)
final class Adjust implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Option(names = "--dry-run", description = "Only say what would change.")
    private boolean dryRun;

    @Override
    public Integer call() throws Exception {
        ControlApi.AdjustReply reply = holdfast.api().adjust(new ControlApi.AdjustRequest(dryRun));
        holdfast.answer(reply, text(reply));
        return (reply.problems().isEmpty() ? ExitCode.DONE : ExitCode.USAGE).number();
    }

    private static String text(ControlApi.AdjustReply reply) {
        var out = new StringBuilder();
        reply.problems().forEach(problem -> out.append(problem).append('\n'));
        if (!reply.problems().isEmpty()) {
            return out.append("Nothing was applied.\n").toString();
        }
        for (ControlApi.Change change : reply.changes()) {
            out.append(
                    "%s: %s %s -> %s, %s%n"
                            .formatted(
                                    change.file(),
                                    change.key(),
                                    change.from().orElse("(not set)"),
                                    change.to().orElse("(not set)"),
                                    change.takesEffect()));
        }
        if (reply.changes().isEmpty()) {
            return "The files say what is in force.\n";
        }
        return out.append(reply.applied() ? "Accepted.\n" : "Not applied: this was a dry run.\n")
                .toString();
    }
}
