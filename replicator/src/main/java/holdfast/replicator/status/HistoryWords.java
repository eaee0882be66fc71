package holdfast.replicator.status;

import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// Two histories in sentences, the same on both sides: the last moment of both, and what each has
/// written since. What nobody knows is said to be so, and never left out.
///
/// | what is known              | words                                                             |
/// |----------------------------|-------------------------------------------------------------------|
/// | all of it                  | it wrote 512 blocks (2 MiB) from 12:03:09, last at 14:00:11       |
/// | marks from before that     | it wrote at most 512 blocks (2 MiB) …                             |
/// | marks that were rounded    | the same                                                          |
/// | it crashed                 | …, and perhaps others among 1,024 blocks (4 MiB) …, last at 14:00:11 or later |
/// | no marks                   | how many blocks it wrote is not known, …                          |
/// | nothing was written        | it wrote nothing since                                            |
/// | the clocks differ          | each time is by the clock of the host that tells it, and that of … is 37 s ahead … |
public final class HistoryWords {
    private static final String OPEN =
            ", which were open to writes when it crashed or are to be compared for another reason";

    private HistoryWords() {}

    /// @param clock how the peer's compares with this node's now; empty where that is not known
    public static List<String> of(
            StatusReport.Histories histories,
            Optional<StatusReport.ClockOffset> clock,
            ZoneId zone) {
        List<String> lines = new ArrayList<>();
        lines.add(common(histories, zone));
        histories.sides().forEach(side -> lines.add(side(side, zone)));
        clock.filter(StatusReport.ClockOffset::isSeenInTimes)
                .ifPresent(c -> lines.add(clocks(histories.sides(), c)));
        return lines;
    }

    /// What a clock showed when a time was taken nobody knows, so none is put right.
    private static String clocks(List<StatusReport.Side> sides, StatusReport.ClockOffset clock) {
        String node = sides.getFirst().host();
        String peer = sides.getLast().host();
        boolean isPeers = clock.aheadSeconds() > 0;
        return "each time is by the clock of the host that tells it, and that of %s is %s ahead of that of %s now"
                .formatted(
                        isPeers ? peer : node,
                        Words.span(Math.abs(clock.aheadSeconds())),
                        isPeers ? node : peer);
    }

    private static String common(StatusReport.Histories of, ZoneId zone) {
        if (of.common().isEmpty()) {
            return "no moment is known at which both were the same";
        }
        return of.commonTime()
                .map(
                        time ->
                                "both were the same at %s for the last time (position %s)"
                                        .formatted(Words.dayAndTime(time, zone), of.common().get()))
                .orElseGet(
                        () ->
                                "both were the same at position %s for the last time; when that was is not known"
                                        .formatted(of.common().get()));
    }

    private static String side(StatusReport.Side side, ZoneId zone) {
        var out = new StringBuilder();
        boolean isPrimary = side.role().equals("PRIMARY");
        out.append(side.host())
                .append(isPrimary ? ": primary, at " : ": secondary, at ")
                .append(side.position());
        for (StatusReport.Begun each : side.begun()) {
            out.append(", %s at %s".formatted(began(each), Words.dayAndTime(each.time(), zone)));
        }
        return out.append("; ").append(isPrimary ? wrote(side, zone) : is(side, zone)).toString();
    }

    private static String began(StatusReport.Begun begun) {
        String words =
                switch (begun.reason()) {
                    case "CREATE" -> "created by %s";
                    case "ATTACH" -> "attached by %s";
                    case "CRASH" -> "attached by %s after a crash";
                    case "PROMOTE" -> "promoted by %s";
                    default -> "forced by %s";
                };
        return words.formatted(begun.host());
    }

    /// A copy is written to by its primary alone.
    private static String is(StatusReport.Side side, ZoneId zone) {
        return side.last()
                .map(time -> "what it holds was written last at " + Words.dayAndTime(time, zone))
                .orElse("when what it holds was written last is not known");
    }

    private static String wrote(StatusReport.Side side, ZoneId zone) {
        if (!side.told()) {
            return "it has not said yet what it wrote";
        }
        if (side.blocks().isEmpty()) {
            return "how many blocks it wrote is not known, " + last(side, zone);
        }
        boolean isDoubtful = side.doubtfulBlocks().orElse(0L) > 0;
        if (side.blocks().get() > 0) {
            String from =
                    side.since()
                            .map(time -> " from %s".formatted(Words.dayAndTime(time, zone)))
                            .orElse(", since when is not known");
            return "it wrote %s%s, %s"
                    .formatted(
                            amount(side).orElseThrow() + (isDoubtful ? OPEN + "," : ""),
                            from,
                            last(side, zone));
        }
        return isDoubtful
                ? "it knows of nothing that it wrote since, %s%s; %s"
                        .formatted(doubtful(side), OPEN, last(side, zone))
                : "it wrote nothing since";
    }

    private static String last(StatusReport.Side side, ZoneId zone) {
        return side.last()
                .map(
                        time ->
                                "last at %s%s"
                                        .formatted(
                                                Words.dayAndTime(time, zone),
                                                side.lastOrLater() ? " or later" : ""))
                .orElse("when last is not known");
    }

    private static String doubtful(StatusReport.Side side) {
        return "and perhaps others among "
                + blocks(side.doubtfulBlocks().orElseThrow(), side.doubtfulBytes().orElseThrow());
    }

    /// Like `512 blocks (2 MiB)`, as far as it is known, with those that may be more.
    public static Optional<String> amount(StatusReport.Side side) {
        return side.blocks()
                .map(
                        count ->
                                (side.atMost() && count > 0 ? "at most " : "")
                                        + blocks(count, side.bytes().orElseThrow())
                                        + (side.doubtfulBlocks().orElse(0L) > 0
                                                ? " that it knows of, " + doubtful(side)
                                                : ""));
    }

    private static String blocks(long count, long bytes) {
        return "%,d %s (%s)".formatted(count, count == 1 ? "block" : "blocks", Words.bytes(bytes));
    }
}
