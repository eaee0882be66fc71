package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "permit",
        description = {
            "Lets the peer's `add` overwrite what a disk here holds.",
            "Type it at the node whose data is lost, after `add` was refused at the other one. It is"
                    + " good once, for an hour."
        },
        mixinStandardHelpOptions = true)
final class Permit implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME", description = "The resource that is being added.")
    private String name;

    @Option(names = "--dry-run", description = "Only say what would be lost.")
    private boolean dryRun;

    @Option(
            names = "--confirm",
            paramLabel = "HOST/NAME@TOKEN",
            description = "Go on without asking; as the dry run printed it.")
    private Optional<String> confirm;

    @Override
    public Integer call() throws Exception {
        ControlApi api = holdfast.api();
        Optional<String> given = confirm;
        if (dryRun || confirm.isEmpty()) {
            ControlApi.PermitReply preview =
                    api.permit(new ControlApi.PermitRequest(name, true, Optional.empty()));
            String text = text(preview);
            if (dryRun) {
                return holdfast.answer(
                        preview,
                        text + "  confirm with --confirm %s%n".formatted(preview.confirm()));
            }
            holdfast.terminal().complain(text);
            given =
                    Optional.of(
                            new Confirmation(holdfast.terminal(), preview.confirm())
                                    .ask(
                                            "%s: %s loses what it holds"
                                                    .formatted(preview.host(), preview.disk()),
                                            holdfast.paths()
                                                    .command(
                                                            "permit %s --confirm %s"
                                                                    .formatted(
                                                                            name,
                                                                            preview.confirm()))));
        }
        ControlApi.PermitReply reply = api.permit(new ControlApi.PermitRequest(name, false, given));
        return holdfast.answer(
                reply,
                text(reply) + "  next         at %s: the same add again%n".formatted(reply.peer()));
    }

    private static String text(ControlApi.PermitReply r) {
        return "%s: %s wants to keep a copy of %s (%s) on %s%n  it holds     %s%n  %s%n"
                .formatted(
                        r.host(),
                        r.peer(),
                        r.name(),
                        Words.bytes(r.sizeBytes()),
                        r.disk(),
                        r.holds(),
                        r.done()
                                ? "permitted for an hour: the copy is written over it"
                                : "the copy would be written over it");
    }
}
