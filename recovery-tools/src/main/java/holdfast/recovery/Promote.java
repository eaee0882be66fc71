package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

import java.time.Instant;
import java.time.ZoneId;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "promote",
        description = {
            "Goes on from the copy: it becomes the primary of its resource here, and is exported at once.",
            "The moments of before can still be opened, and what the other host wrote stays there. Typed where the copy is.",
            "Until --commit another moment can be gone on from instead: --at again, older or newer, when nobody uses the device.",
            "To only look at the copy: open."
        },
        mixinStandardHelpOptions = true)
final class Promote implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;
    @Spec private CommandSpec spec;

    @Parameters(paramLabel = "NAME[@POINT]", description = "POINT as --at.")
    private String name;

    @Option(
            names = "--at",
            paramLabel = "POINT",
            description =
                    "Goes on from an earlier moment, as for open; what came later can still be opened.")
    private String point;

    @Option(
            names = "--force",
            description = "Also while the other host is connected and writes: two histories begin.")
    private boolean force;

    @Option(
            names = "--read-only",
            description =
                    "Opens the copy read-only under the resource's own name, until it is closed, and changes nothing: replication goes on.")
    private boolean readOnly;

    @Option(
            names = "--commit",
            description =
                    "Makes an earlier promotion final: the moments of before are given up, and the disk alone holds the data.")
    private boolean commit;

    @Option(
            names = "--dry-run",
            description = "Only says from which moment it would go on, and what would be undone.")
    private boolean dryRun;

    @Option(
            names = "--confirm",
            paramLabel = "HOST/NAME@GENERATION",
            description =
                    "Of what is promoted already: go on from another moment without asking; as the command without it printed it.")
    private Optional<String> confirm;

    @Override
    public Integer call() throws Exception {
        Point named = Point.parse(name);
        if (named.at().isPresent() && point != null) {
            throw new ParameterException(spec.commandLine(), "one of @POINT and --at POINT");
        }
        Optional<String> at = named.at().or(() -> Optional.ofNullable(point));
        if (commit && (at.isPresent() || force) || readOnly && (commit || force)) {
            throw new ParameterException(
                    spec.commandLine(), "--commit goes alone, --read-only with none but --at");
        }
        if (readOnly) {
            return Open.answer(
                    holdfast,
                    holdfast.api()
                            .open(
                                    new ControlApi.OpenRequest(
                                            named.resource(),
                                            at,
                                            false,
                                            Optional.empty(),
                                            Optional.empty(),
                                            false,
                                            true)));
        }
        if (commit && (dryRun || confirm.isPresent())) {
            throw new ParameterException(spec.commandLine(), "--commit goes alone");
        }
        Optional<String> given = confirm;
        if (dryRun || at.isPresent() && confirm.isEmpty()) {
            ControlApi.PromoteReply preview = ask(named, at, true, Optional.empty());
            if (dryRun) {
                return holdfast.answer(preview, text(preview));
            }
            if (preview.confirm().isPresent()) {
                holdfast.terminal().complain(text(preview));
                given = Optional.of(confirmed(preview, at.get()));
            }
        }
        ControlApi.PromoteReply reply = ask(named, at, false, given);
        return holdfast.answer(reply, text(reply));
    }

    private ControlApi.PromoteReply ask(
            Point named, Optional<String> at, boolean only, Optional<String> given)
            throws ProblemException {
        return holdfast.api()
                .promote(
                        new ControlApi.PromoteRequest(
                                named.resource(), at, force, commit, only, given));
    }

    private String confirmed(ControlApi.PromoteReply preview, String at) throws ProblemException {
        String expected = preview.confirm().orElseThrow();
        return new Confirmation(holdfast.terminal(), expected)
                .ask(
                        "%s: what was written to %s since is undone"
                                .formatted(preview.host(), preview.name()),
                        holdfast.paths()
                                .command(
                                        "promote %s --at %s --confirm %s"
                                                .formatted(preview.name(), at, expected)));
    }

    private static String text(ControlApi.PromoteReply reply) {
        var out = new StringBuilder();
        if (reply.from().isPresent()) {
            out.append(
                    "%s %s at %s%s, from what it was at %s.%n"
                            .formatted(
                                    reply.name(),
                                    reply.done() ? "runs" : "would run",
                                    reply.host(),
                                    reply.done() ? " now" : "",
                                    Words.moment(
                                            reply.from().get().time(),
                                            Instant.now(),
                                            ZoneId.systemDefault())));
        } else {
            out.append(
                    "The promotion of %s at %s is final.%n".formatted(reply.name(), reply.host()));
        }
        reply.undone().forEach(each -> out.append("  ").append(each).append('\n'));
        reply.attached().ifPresent(each -> out.append(Attach.text(each)));
        reply.notes().forEach(each -> out.append("  ").append(each).append('\n'));
        return out.toString();
    }
}
