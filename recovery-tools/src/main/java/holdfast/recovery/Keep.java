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
        name = "keep",
        description = {
            "Keeps the copy as it was at one moment under a name, also when the retention has passed it by;"
                    + " type it where the copy is.",
            "`open NAME --at AS`, `mount` and `drill` show it. It expires by itself, and what it takes of the"
                    + " storage is limited by journal.keep-max."
        },
        mixinStandardHelpOptions = true)
final class Keep implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;
    @Spec private CommandSpec spec;

    @Parameters(index = "0", paramLabel = "NAME")
    private String name;

    @Parameters(
            index = "1",
            arity = "0..1",
            paramLabel = "AS",
            description = {
                "What the moment is to be called: a letter, then letters, digits, dots, dashes or underscores.",
                "Without it what is kept is listed."
            })
    private Optional<String> as;

    @Option(
            names = "--at",
            paramLabel = "POINT",
            description = "Which moment, as for `open`. Default: the newest.")
    private Optional<String> at;

    @Option(
            names = "--for",
            paramLabel = "SPAN",
            description = "How long, like 30d or 12h. Default: 30d.")
    private Optional<String> span;

    @Option(names = "--list", description = "Lists what is kept.")
    private boolean list;

    @Option(names = "--drop", description = "Keeps it no longer.")
    private boolean drop;

    @Option(names = "--dry-run", description = "With --drop: only say what would be lost.")
    private boolean dryRun;

    @Option(
            names = "--confirm",
            paramLabel = "HOST/NAME@AS",
            description = "With --drop: go on without asking; as the dry run printed it.")
    private Optional<String> confirm;

    @Override
    public Integer call() throws Exception {
        if (list || as.isEmpty()) {
            requireNone(drop || at.isPresent() || span.isPresent() || list && as.isPresent());
            return listed();
        }
        requireNone(drop && (at.isPresent() || span.isPresent()));
        requireNone(!drop && (dryRun || confirm.isPresent()));
        return drop ? dropped(as.get()) : kept(as.get());
    }

    private void requireNone(boolean wrong) {
        if (wrong) {
            throw new ParameterException(
                    spec.commandLine(),
                    "one of: NAME AS [--at POINT] [--for SPAN]; NAME AS --drop; NAME --list");
        }
    }

    private int listed() throws Exception {
        ControlApi.PointsReply reply = holdfast.api().points(new ControlApi.NameRequest(name));
        return holdfast.answer(
                reply,
                reply.kept().isEmpty()
                        ? "Nothing of %s is kept.%n".formatted(reply.name())
                        : list(reply));
    }

    /// What is kept, a line for each.
    static String list(ControlApi.PointsReply reply) {
        var text = new StringBuilder();
        text.append(
                "Kept under names, with %s of %s of older content:%n"
                        .formatted(
                                Words.bytes(reply.keptBytes()), Words.bytes(reply.keepMaxBytes())));
        for (ControlApi.Kept each : reply.kept()) {
            text.append(
                    "  %-20s %s, until %s%s%n"
                            .formatted(
                                    each.as(),
                                    moment(each.time()),
                                    moment(each.expires()),
                                    each.damaged() ? ", damaged: it cannot be opened" : ""));
        }
        return text.toString();
    }

    private int kept(String called) throws Exception {
        ControlApi.KeepReply reply =
                holdfast.api().keep(new ControlApi.KeepRequest(name, called, at, span));
        return holdfast.answer(
                reply,
                "%s is kept as it was at %s, as %s, until %s.%n%sTo look at it: %s%n"
                        .formatted(
                                reply.name(),
                                moment(reply.kept().time()),
                                reply.kept().as(),
                                moment(reply.kept().expires()),
                                reply.note().map("(%s)%n"::formatted).orElse(""),
                                holdfast.paths()
                                        .command(
                                                "open %s --at %s"
                                                        .formatted(
                                                                reply.name(), reply.kept().as()))));
    }

    private int dropped(String called) throws Exception {
        ControlApi api = holdfast.api();
        Optional<String> given = confirm;
        if (dryRun || confirm.isEmpty()) {
            ControlApi.DropReply preview =
                    api.drop(new ControlApi.DropRequest(name, called, true, Optional.empty()));
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
                                    "keep %s %s --drop --confirm %s"
                                            .formatted(name, called, preview.confirm()));
            given =
                    Optional.of(
                            new Confirmation(holdfast.terminal(), preview.confirm())
                                    .ask(
                                            "%s: drop %s of %s"
                                                    .formatted(preview.host(), called, name),
                                            command));
        }
        ControlApi.DropReply reply =
                api.drop(new ControlApi.DropRequest(name, called, false, given));
        return holdfast.answer(reply, text(reply));
    }

    private static String text(ControlApi.DropReply reply) {
        var out =
                new StringBuilder(
                        "%s: %s %s of %s%n"
                                .formatted(
                                        reply.host(),
                                        reply.done() ? "dropped" : "would drop",
                                        reply.as(),
                                        reply.name()));
        reply.effects().forEach(effect -> out.append("  ").append(effect).append('\n'));
        return out.toString();
    }

    private static String moment(Instant time) {
        return Words.moment(time, Instant.now(), ZoneId.systemDefault());
    }
}
