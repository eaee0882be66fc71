package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "remove",
        description = {
            "Ends the replication of a resource and forgets it, here; says first what that takes.",
            "Typed where the data is that stays as it is, and the copy stays at the backup until it is removed there.",
            "Typed at the backup the journal and what is kept are deleted, and with them a copy in a file under the storage; a disk that was named, or any with --keep-copy, stays and becomes the newest moment."
        },
        mixinStandardHelpOptions = true)
final class Remove implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Option(names = "--keep-copy", description = "Leave the copy at the backup as a plain image.")
    private boolean keepCopy;

    @Option(names = "--dry-run", description = "Only say what would be lost.")
    private boolean dryRun;

    @Option(
            names = "--confirm",
            paramLabel = "HOST/NAME@GENERATION",
            description = "Go on without asking; as the dry run printed it.")
    private Optional<String> confirm;

    @Override
    public Integer call() throws Exception {
        ControlApi api = holdfast.api();
        Optional<String> given = confirm;
        if (dryRun || confirm.isEmpty()) {
            ControlApi.RemoveReply preview =
                    api.remove(
                            new ControlApi.RemoveRequest(name, keepCopy, true, Optional.empty()));
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
                                    "remove %s%s --confirm %s"
                                            .formatted(
                                                    name,
                                                    keepCopy ? " --keep-copy" : "",
                                                    preview.confirm()));
            given =
                    Optional.of(
                            new Confirmation(holdfast.terminal(), preview.confirm())
                                    .ask("%s: remove %s".formatted(preview.host(), name), command));
        }
        ControlApi.RemoveReply reply =
                api.remove(new ControlApi.RemoveRequest(name, keepCopy, false, given));
        return holdfast.answer(reply, text(reply));
    }

    private static String text(ControlApi.RemoveReply reply) {
        var out =
                new StringBuilder(
                        "%s: %s %s%n"
                                .formatted(
                                        reply.host(),
                                        reply.done() ? "removed" : "would remove",
                                        reply.name()));
        reply.effects().forEach(effect -> out.append("  ").append(effect).append('\n'));
        return out.toString();
    }
}
