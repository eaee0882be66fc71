package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

import java.util.ArrayList;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "down",
        description = {
            "Takes a resource down: `detach` and `disconnect`.",
            "With --settle, where the copy is: brings its disk or file to the newest moment and closes it, so that it is"
                    + " a plain image without the journal. The moments before that are given up."
        },
        mixinStandardHelpOptions = true)
final class Down implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;
    @Spec private CommandSpec spec;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Option(
            names = "--settle",
            description = "Roll all of the journal into the copy, until `connect`.")
    private boolean settle;

    @Option(names = "--dry-run", description = "With --settle: only say what would be lost.")
    private boolean dryRun;

    @Option(
            names = "--confirm",
            paramLabel = "HOST/NAME@GENERATION",
            description = "With --settle: go on without asking; as the dry run printed it.")
    private Optional<String> confirm;

    @Override
    public Integer call() throws Exception {
        if (!settle && (dryRun || confirm.isPresent())) {
            throw new ParameterException(
                    spec.commandLine(), "--dry-run and --confirm belong to --settle");
        }
        return settle ? settled() : taken();
    }

    private int taken() throws Exception {
        ControlApi api = holdfast.api();
        var lines = new ArrayList<>(api.detach(new ControlApi.NameRequest(name)).lines());
        lines.addAll(api.disconnect(new ControlApi.LinkRequest(Optional.of(name))).lines());
        var done = new ControlApi.Done(lines);
        return holdfast.answer(done, Lines.of(done));
    }

    private int settled() throws Exception {
        ControlApi api = holdfast.api();
        Optional<String> given = confirm;
        if (dryRun || confirm.isEmpty()) {
            ControlApi.SettleReply preview =
                    api.settle(new ControlApi.SettleRequest(name, true, Optional.empty()));
            if (dryRun) {
                return holdfast.answer(
                        preview,
                        text(preview)
                                + "  confirm with --confirm %s%n".formatted(preview.confirm()));
            }
            holdfast.terminal().complain(text(preview));
            String command =
                    holdfast.paths()
                            .command(
                                    "down %s --settle --confirm %s"
                                            .formatted(name, preview.confirm()));
            given =
                    Optional.of(
                            new Confirmation(holdfast.terminal(), preview.confirm())
                                    .ask("%s: settle %s".formatted(preview.host(), name), command));
        }
        ControlApi.SettleReply reply = api.settle(new ControlApi.SettleRequest(name, false, given));
        return holdfast.answer(reply, text(reply));
    }

    private static String text(ControlApi.SettleReply reply) {
        var out =
                new StringBuilder(
                        "%s: %s %s down%n"
                                .formatted(
                                        reply.host(),
                                        reply.done() ? "took" : "would take",
                                        reply.name()));
        reply.effects().forEach(effect -> out.append("  ").append(effect).append('\n'));
        return out.toString();
    }
}
