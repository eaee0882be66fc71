package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
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
        ControlApi.PromoteReply reply =
                holdfast.api()
                        .promote(
                                new ControlApi.PromoteRequest(named.resource(), at, force, commit));
        return holdfast.answer(reply, text(reply));
    }

    private static String text(ControlApi.PromoteReply reply) {
        var out = new StringBuilder();
        if (reply.from().isPresent()) {
            out.append(
                    "%s runs at %s now, from what it was at %s.%n"
                            .formatted(
                                    reply.name(),
                                    reply.host(),
                                    Words.moment(
                                            reply.from().get().time(),
                                            Instant.now(),
                                            ZoneId.systemDefault())));
        } else {
            out.append(
                    "The promotion of %s at %s is final.%n".formatted(reply.name(), reply.host()));
        }
        reply.attached().ifPresent(each -> out.append(Attach.text(each)));
        reply.notes().forEach(each -> out.append("  ").append(each).append('\n'));
        return out.toString();
    }
}
