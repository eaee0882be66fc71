package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.status.StatusTable;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "verify",
        description = {
            "Compares the copy with what it should hold while writes go on, and says what differs; it changes nothing.",
            "It ends with 8 when something does. Interrupted it goes on; --stop ends it. Type it where the data is."
        },
        mixinStandardHelpOptions = true)
final class Verify implements Callable<Integer> {
    private static final long LOOK_MILLIS = 200;

    /// Without a terminal a line each time would fill a log.
    private static final long QUIET_NANOS = 5_000_000_000L;

    /// Ranges that are printed; `--json` has more of them.
    private static final int PRINTED = 20;

    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Option(names = "--stop", description = "End the one that is under way, or a repair.")
    private boolean stop;

    @Option(names = "--last", description = "Only tell what the last one found.")
    private boolean last;

    @Option(
            names = "--no-wait",
            description = "Begin it and return; `status` shows how far it is and what it found.")
    private boolean noWait;

    @Option(
            names = "--repair",
            paramLabel = "HOST",
            description = {
                "Bring what the last one found to what HOST holds.",
                "The host of the data: the copy can be opened as it is now at any moment before that.",
                "The host of the copy: the data are changed, while no client is connected; what they were is kept in a file."
            })
    private Optional<String> repair = Optional.empty();

    @Option(names = "--dry-run", description = "With --repair: only say what would be mended.")
    private boolean dryRun;

    @Option(
            names = "--confirm",
            paramLabel = "HOST/NAME@TOKEN",
            description = "With --repair: go on without asking; as the dry run printed it.")
    private Optional<String> confirm = Optional.empty();

    private long lastLine = System.nanoTime() - QUIET_NANOS;

    @Override
    public Integer call() throws Exception {
        if ((stop ? 1 : 0) + (last ? 1 : 0) + (noWait ? 1 : 0) + (repair.isPresent() ? 1 : 0) > 1
                || repair.isEmpty() && (dryRun || confirm.isPresent())) {
            throw new ProblemException(
                    Problem.of(
                                    ExitCode.USAGE,
                                    "holdfast",
                                    "of --stop, --last, --no-wait and --repair only one can be had; --dry-run and --confirm go with --repair")
                            .withNext(holdfast.paths().command("verify --help")));
        }
        ControlApi api = holdfast.api();
        if (repair.isPresent()) {
            return mend(api, repair.get());
        }
        if (last) {
            return tell(ask(api, "look"));
        }
        ControlApi.VerifyReply reply = ask(api, stop ? "stop" : "start");
        if (noWait) {
            return holdfast.answer(
                    reply,
                    "%s: %s: the copy of %s at %s is compared while writes go on%n"
                            .formatted(
                                    reply.host(),
                                    reply.begun() ? "begun" : "under way already",
                                    name,
                                    reply.peer()));
        }
        if (!stop) {
            holdfast.terminal()
                    .complain(
                            "%s: %s; interrupted it goes on, and %s ends it%n"
                                    .formatted(
                                            reply.host(),
                                            reply.begun()
                                                    ? "comparing the copy of %s at %s"
                                                            .formatted(name, reply.peer())
                                                    : "a comparison of %s is under way already"
                                                            .formatted(name),
                                            holdfast.paths()
                                                    .command("verify %s --stop".formatted(name))));
        }
        return tell(awaitEnd(api, reply));
    }

    private ControlApi.VerifyReply awaitEnd(ControlApi api, ControlApi.VerifyReply reply)
            throws ProblemException, InterruptedException {
        while (reply.running()) {
            show(reply);
            Thread.sleep(LOOK_MILLIS);
            reply = ask(api, "look");
        }
        holdfast.terminal().endProgress();
        return reply;
    }

    private ControlApi.VerifyReply ask(ControlApi api, String order) throws ProblemException {
        return api.verify(new ControlApi.VerifyRequest(name, order));
    }

    private void show(ControlApi.VerifyReply reply) {
        Terminal terminal = holdfast.terminal();
        long now = System.nanoTime();
        if (!terminal.interactive() && now - lastLine < QUIET_NANOS) {
            return;
        }
        lastLine = now;
        String found =
                reply.differingBlocks()
                        .filter(blocks -> blocks > 0)
                        .map(blocks -> "  " + Words.differing(blocks))
                        .orElse("");
        terminal.progress(
                reply.waits()
                                .map(why -> name + " waits: " + why)
                                .or(
                                        () ->
                                                reply.progress()
                                                        .map(p -> name + " " + StatusTable.bar(p)))
                                .orElse(name)
                        + found);
    }

    private int tell(ControlApi.VerifyReply reply) throws ProblemException {
        VerifyReport report =
                reply.last()
                        .orElseThrow(
                                () ->
                                        new ProblemException(
                                                Problem.of(
                                                                ExitCode.REFUSED,
                                                                reply.host(),
                                                                "no comparison of %s has ended yet"
                                                                        .formatted(name))
                                                        .withNext(
                                                                holdfast.paths()
                                                                        .command(
                                                                                "verify "
                                                                                        + name))));
        holdfast.answer(report, text(report));
        return code(report).number();
    }

    private static ExitCode code(VerifyReport report) {
        if (report.differingBlocks() > 0) {
            return ExitCode.DIFFERENT;
        }
        return report.whole() ? ExitCode.DONE : ExitCode.FAILED;
    }

    private String text(VerifyReport r) {
        var out = new StringBuilder();
        out.append(
                "%s: %s of %s at %s%n"
                        .formatted(
                                r.primary(),
                                r.differingBlocks() == 0
                                        ? r.whole()
                                                ? "no differences in the copy"
                                                : "not all of the copy was compared, and no difference found in the copy"
                                        : "%s (%s) in the copy"
                                                .formatted(
                                                        Words.differing(r.differingBlocks()),
                                                        Words.bytes(r.differingBytes())),
                                r.resource(),
                                r.backup()));
        out.append(
                "  compared     %s of %s, from %s to %s (%s), at positions %s to %s%n"
                        .formatted(
                                Words.bytes(r.comparedBytes()),
                                Words.bytes(r.sizeBytes()),
                                seconds(r.began()),
                                seconds(r.ended()),
                                Words.span(Duration.between(r.began(), r.ended())),
                                r.from(),
                                r.to()));
        r.trouble().ifPresent(why -> out.append("  cut short    ").append(why).append('\n'));
        r.ranges().stream()
                .limit(PRINTED)
                .forEach(
                        each ->
                                out.append(
                                        "  differs      bytes %d to %d (%s)%n"
                                                .formatted(
                                                        each.offsetBytes(),
                                                        each.offsetBytes() + each.lengthBytes() - 1,
                                                        Words.bytes(each.lengthBytes()))));
        if (r.rangeCount() > PRINTED) {
            out.append("               and %,d more ranges%n".formatted(r.rangeCount() - PRINTED));
        }
        r.mended()
                .filter(_ -> r.repair().isEmpty())
                .ifPresent(
                        when ->
                                out.append(
                                        "  mended       ordered at %s%n".formatted(seconds(when))));
        r.repair().ifPresent(each -> out.append(text(each)));
        next(r).ifPresent(next -> out.append("  next         ").append(next).append('\n'));
        return out.toString();
    }

    private static String text(VerifyReport.Repair r) {
        var out = new StringBuilder();
        if (r.trouble().isPresent()) {
            out.append("  repair       cut short: %s%n".formatted(r.trouble().get()));
        } else {
            out.append(
                    "  repaired     %,d blocks (%s) are what the copy held%n"
                            .formatted(r.blocks(), Words.bytes(r.bytes())));
        }
        if (r.writtenSince() > 0) {
            out.append(
                    "               %,d blocks were written to meanwhile and left alone%n"
                            .formatted(r.writtenSince()));
        }
        r.former()
                .ifPresent(
                        file ->
                                out.append("  former       what was there before is in ")
                                        .append(file)
                                        .append('\n'));
        return out.toString();
    }

    private Optional<String> next(VerifyReport r) {
        if (r.repair().filter(each -> each.trouble().isPresent()).isPresent()) {
            return Optional.of(
                    holdfast.paths().command("verify %s --repair %s".formatted(name, r.backup())));
        }
        if (r.differingBlocks() > 0 && r.mended().isEmpty()) {
            return Optional.of(
                    "see which side is right (at %s: holdfast open %s); when it is %s, with %s unmounted: %s; when it is %s: %s"
                            .formatted(
                                    r.backup(),
                                    name,
                                    r.backup(),
                                    name,
                                    holdfast.paths()
                                            .command(
                                                    "verify %s --repair %s"
                                                            .formatted(name, r.backup())),
                                    r.primary(),
                                    holdfast.paths()
                                            .command(
                                                    "verify %s --repair %s"
                                                            .formatted(name, r.primary()))));
        }
        return r.whole() && r.differingBlocks() == 0
                ? Optional.empty()
                : Optional.of(holdfast.paths().command("verify " + name));
    }

    private static String seconds(Instant at) {
        return at.truncatedTo(java.time.temporal.ChronoUnit.SECONDS).toString();
    }

    private int mend(ControlApi api, String from) throws ProblemException, InterruptedException {
        Optional<String> given = confirm;
        if (dryRun || confirm.isEmpty()) {
            ControlApi.MendReply preview =
                    api.mend(new ControlApi.MendRequest(name, from, true, Optional.empty()));
            if (dryRun) {
                return holdfast.answer(
                        preview,
                        text(preview)
                                + "  confirm with --confirm %s%n".formatted(preview.confirm()));
            }
            holdfast.terminal().complain(text(preview));
            given =
                    Optional.of(
                            new Confirmation(holdfast.terminal(), preview.confirm())
                                    .ask(
                                            isOfData(preview)
                                                    ? "%s: %s is changed here"
                                                            .formatted(preview.host(), name)
                                                    : "%s: the copy of %s at %s is mended"
                                                            .formatted(
                                                                    preview.host(),
                                                                    name,
                                                                    preview.peer()),
                                            holdfast.paths()
                                                    .command(
                                                            "verify %s --repair %s --confirm %s"
                                                                    .formatted(
                                                                            name,
                                                                            from,
                                                                            preview.confirm()))));
        }
        ControlApi.MendReply reply = api.mend(new ControlApi.MendRequest(name, from, false, given));
        if (isOfData(reply)) {
            holdfast.terminal()
                    .complain(
                            "%s: repairing %s from the copy at %s; interrupted it goes on%n"
                                    .formatted(reply.host(), name, reply.peer()));
            ControlApi.VerifyReply ended = awaitEnd(api, ask(api, "look"));
            tell(ended);
            return ended.last()
                            .flatMap(VerifyReport::repair)
                            .filter(each -> each.trouble().isEmpty())
                            .isPresent()
                    ? ExitCode.DONE.number()
                    : ExitCode.FAILED.number();
        }
        return holdfast.answer(
                reply,
                text(reply)
                        + "  next         %s, then %s%n"
                                .formatted(
                                        holdfast.paths().command("wait " + name),
                                        holdfast.paths().command("verify " + name)));
    }

    /// Whether the data are brought to what the copy holds.
    private static boolean isOfData(ControlApi.MendReply reply) {
        return reply.from().equals(reply.peer());
    }

    private static String text(ControlApi.MendReply reply) {
        String what =
                isOfData(reply)
                        ? "%s here, from the copy at".formatted(reply.name())
                        : "the copy at";
        var out =
                new StringBuilder(
                        "%s: %s %,d blocks (%s) in %,d ranges of %s %s%n"
                                .formatted(
                                        reply.host(),
                                        reply.done() ? "mends" : "would mend",
                                        reply.blocks(),
                                        Words.bytes(reply.bytes()),
                                        reply.ranges(),
                                        what,
                                        reply.peer()));
        reply.effects().forEach(effect -> out.append("  ").append(effect).append('\n'));
        return out.toString();
    }
}
