package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.util.concurrent.Callable;

@Command(
        name = "points",
        description = {
            "Says which moments of a copy can be opened; type it where the copy is.",
            "Between two writes each moment is one, so what is listed is how far back they reach, and the gaps."
        },
        mixinStandardHelpOptions = true)
final class Points implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Override
    public Integer call() throws Exception {
        ControlApi.PointsReply reply = holdfast.api().points(new ControlApi.NameRequest(name));
        return holdfast.answer(reply, text(reply));
    }

    private String text(ControlApi.PointsReply reply) {
        if (reply.oldest().isEmpty()) {
            return "%s has no copy yet that could be opened.%n".formatted(reply.name());
        }
        var text = new StringBuilder();
        text.append(
                "%s can be opened as it was at any moment from %s to %s.%n"
                        .formatted(
                                reply.name(),
                                moment(reply.oldest().get().time()),
                                reply.completeUntil()
                                        .map(Points::moment)
                                        .orElse("what it is now")));
        for (ControlApi.Gap gap : reply.gaps()) {
            text.append(
                    "  but for %s to %s: %s%n"
                            .formatted(
                                    moment(gap.after()),
                                    moment(gap.before()),
                                    reply.promoted()
                                            ? "the server was ahead of the copy, or nothing was written to it"
                                            : "the server was ahead of the copy"));
        }
        text.append(
                "%s are kept while the journal has room, %s also when it is full. It holds %s of %s.%n"
                        .formatted(
                                duration(reply.retentionSeconds()),
                                duration(reply.retentionMinSeconds()),
                                Words.bytes(reply.journalUsedBytes()),
                                Words.bytes(reply.journalBytes())));
        reply.neededBytes()
                .ifPresent(
                        bytes ->
                                text.append(
                                        "At the rate so far %s need %s.%n"
                                                .formatted(
                                                        duration(reply.retentionSeconds()),
                                                        Words.bytes(bytes))));
        if (!reply.marked().isEmpty()) {
            text.append("Marked by the server, as long as the history has them:\n");
            for (ControlApi.Marked each : reply.marked()) {
                text.append("  %-20s %s%n".formatted(each.as(), moment(each.time())));
            }
        }
        if (!reply.kept().isEmpty()) {
            text.append(Keep.list(reply));
        }
        text.append(
                "To look at one of them: %s%n"
                        .formatted(
                                holdfast.paths()
                                        .command("open %s --at -15m".formatted(reply.name()))));
        if (reply.promoted()) {
            text.append(
                    "To go on from one of them, or of what is kept, instead: %s%n"
                            .formatted(
                                    holdfast.paths()
                                            .command(
                                                    "promote %s --at -15m"
                                                            .formatted(reply.name()))));
        }
        text.append(
                "NBD clients find them by themselves, instead of \"latest\" also by time or name: %s%n"
                        .formatted(reply.uri()));
        return text.toString();
    }

    private static String moment(Instant time) {
        return Words.moment(time, Instant.now(), ZoneId.systemDefault());
    }

    private static String duration(long seconds) {
        return Words.span(Duration.ofSeconds(seconds));
    }
}
