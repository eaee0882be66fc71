package holdfast.replicator.status;

import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/// A report as text for people: the sentences, then a block for each resource in DRBD's words, then
/// the link.
public final class StatusTable {
    private final StatusReport report;
    private final ZoneId zone;
    private final StringBuilder out = new StringBuilder();

    private StatusTable(StatusReport report, ZoneId zone) {
        this.report = report;
        this.zone = zone;
    }

    /// Lines that end in a line break.
    public static String of(StatusReport report, ZoneId zone) {
        return new StatusTable(report, zone).text();
    }

    private String text() {
        report.sentences().forEach(s -> out.append(s).append('\n'));
        for (String file : report.settingsDiffer()) {
            out.append("Settings differ from what runs: ")
                    .append(file)
                    .append(". Next: holdfast adjust --dry-run\n");
        }
        for (StatusReport.Resource r : report.resources()) {
            out.append('\n');
            resource(r);
        }
        for (StatusReport.Unopened u : report.unopened()) {
            out.append('\n');
            unopened(u);
        }
        report.link().ifPresent(this::link);
        return out.toString();
    }

    private void resource(StatusReport.Resource r) {
        out.append(
                "%s  %s  %s%n"
                        .formatted(
                                r.name(),
                                Words.bytes(r.sizeBytes()),
                                r.volumes().isEmpty()
                                        ? r.path()
                                        : "in %d volumes".formatted(r.volumes().size())));
        r.volumes().forEach(this::volume);
        line(
                "role",
                Words.state(r.role()) + r.peerRole().map(p -> "/" + Words.state(p)).orElse(""));
        line("connection", Words.state(r.connection()));
        line(
                "disk",
                Words.state(r.disk()) + r.peerDisk().map(d -> "/" + Words.state(d)).orElse(""));
        line("replication", Words.state(r.replication()) + protocol(r));
        line(
                "position",
                "%s  stored %s  committed %s".formatted(r.position(), r.stored(), r.committed()));
        line(
                "behind",
                r.behind()
                        .map(
                                b ->
                                        "%,d operations, %s"
                                                .formatted(b.operations(), Words.bytes(b.bytes())))
                        .orElseGet(() -> notKnown(r)));
        line(
                "copy",
                r.copyTime()
                        .map(t -> "of %s, %s".formatted(moment(t), age(r, t)))
                        .orElse("none yet"));
        r.progress()
                .ifPresent(p -> line(p.kind().toLowerCase(Locale.ROOT).replace('_', ' '), bar(p)));
        line("traffic", traffic(r.traffic()));
        r.sendBuffer().ifPresent(b -> line("send buffer", buffer(b)));
        r.journal()
                .ifPresent(
                        j ->
                                line(
                                        "journal",
                                        "%s of %s%s%s"
                                                .formatted(
                                                        Words.bytes(j.usedBytes()),
                                                        Words.bytes(j.sizeBytes()),
                                                        j.missingBytes() > 0
                                                                ? ", lacks "
                                                                        + Words.bytes(
                                                                                j.missingBytes())
                                                                : "",
                                                        j.oldest()
                                                                .map(t -> ", from " + moment(t))
                                                                .orElse(""))));
        r.journal()
                .flatMap(StatusReport.Journal::forecast)
                .ifPresent(forecast -> line("", forecast));
        r.promotion().ifPresent(p -> line("promotion", promotion(r.name(), p)));
        r.histories().ifPresent(this::histories);
        r.export()
                .ifPresent(
                        e ->
                                line(
                                        "export",
                                        e.device().map(d -> d + "  ").orElse("")
                                                + e.uri()
                                                + "  "
                                                + clients(e.clients())));
        r.drill().ifPresent(d -> line("last drill", Words.drill(d, report.node().now())));
        r.verify().ifPresent(v -> line("last verify", Words.verify(v, report.node().now())));
        for (StatusReport.View v : r.views()) {
            line(
                    "view " + v.id(),
                    "of %s  %s  %s"
                            .formatted(moment(v.pointTime()), v.uri(), clients(v.clients())));
            v.volumes().stream().skip(1).forEach(each -> line("", each.uri().orElse("")));
            v.overlay()
                    .ifPresent(
                            o ->
                                    line(
                                            "",
                                            "writable, overlay %s of %s%s"
                                                    .formatted(
                                                            Words.bytes(o.usedBytes()),
                                                            Words.bytes(o.limitBytes()),
                                                            o.full()
                                                                    ? ", full: writes were refused"
                                                                    : "")));
        }
    }

    private static String notKnown(StatusReport.Resource r) {
        return "not known here" + r.peer().map(p -> ", see status at " + p).orElse("");
    }

    private String age(StatusReport.Resource r, Instant copyTime) {
        Instant now = report.node().now();
        if (r.replicatedUntil().isPresent()) {
            return Words.span(Duration.between(r.replicatedUntil().get(), now)) + " old";
        }
        return Words.isFuture(copyTime, now)
                ? "which is %s; how old it is nobody knows".formatted(Words.ago(copyTime, now))
                : "%s old if the clocks of both hosts are right"
                        .formatted(Words.span(Duration.between(copyTime, now)));
    }

    /// With C a write that is answered is at the peer, but only while the stream is established: in
    /// between nobody waits for it, and somebody may count on that (R10).
    private static String protocol(StatusReport.Resource r) {
        String unprotected =
                r.isUnprotected()
                        ? ", unprotected: writes are answered before they are in the copy"
                        : "";
        return r.protocol().map(p -> ", protocol " + p).orElse("") + unprotected;
    }

    private String promotion(String name, StatusReport.Promotion p) {
        return "of %s, not final: %s%s can be gone on from instead: holdfast points %s"
                .formatted(
                        moment(p.since()),
                        p.oldest().isPresent() && p.newest().isPresent()
                                ? "any moment from %s to %s"
                                        .formatted(
                                                moment(p.oldest().get()), moment(p.newest().get()))
                                : "no moment",
                        p.kept().isEmpty() ? "" : ", or " + String.join(", ", p.kept()),
                        name);
    }

    private void histories(StatusReport.Histories h) {
        List<String> lines =
                HistoryWords.of(h, report.link().flatMap(StatusReport.Link::clock), zone);
        line("histories", lines.getFirst());
        lines.stream().skip(1).forEach(each -> line("", each));
    }

    private void volume(StatusReport.Volume v) {
        line(
                "volume " + v.number(),
                "%s  %s%s%s"
                        .formatted(
                                Words.bytes(v.sizeBytes()),
                                v.path(),
                                v.device().map(device -> "  " + device).orElse(""),
                                v.uri().map(uri -> "  " + uri).orElse("")));
    }

    private void unopened(StatusReport.Unopened u) {
        out.append("%s  not opened  %s%n".formatted(u.name(), u.path().orElse("")));
        u.role().ifPresent(r -> line("role", Words.state(r)));
        line("cause", u.cause());
        line("next", u.next());
    }

    private void link(StatusReport.Link link) {
        out.append(
                "%nlink to %s  %s %s%n"
                        .formatted(
                                link.peer(),
                                link.mode().equals("LISTEN") ? "listening on" : "dialling",
                                link.address()));
        line(
                "state",
                "%s for %s%s"
                        .formatted(
                                Words.state(link.connection()),
                                Words.span(Duration.between(link.since(), report.node().now())),
                                link.roundTripMillis()
                                        .map(
                                                ms ->
                                                        String.format(
                                                                Locale.ROOT,
                                                                ", round trip %.1f ms",
                                                                ms))
                                        .orElse("")));
        line("clock", link.clock().map(StatusTable::clock).orElse("unknown"));
        link.trouble().filter(_ -> !link.isConnected()).ifPresent(t -> line("last error", t));
        link.nextAttempt()
                .filter(_ -> !link.isConnected())
                .ifPresent(t -> line("next attempt", moment(t)));
        line(
                "wire",
                "sent %s (raw %s), received %s (raw %s)"
                        .formatted(
                                Words.bytes(link.sentWireBytes()),
                                Words.bytes(link.sentRawBytes()),
                                Words.bytes(link.receivedWireBytes()),
                                Words.bytes(link.receivedRawBytes())));
        line("rate", rate(link.rate()));
    }

    private static String clock(StatusReport.ClockOffset of) {
        return String.format(
                Locale.ROOT,
                "%.3f s %s ours, give or take %.3f s",
                Math.abs(of.aheadSeconds()),
                of.aheadSeconds() < 0 ? "behind" : "ahead of",
                of.uncertaintySeconds());
    }

    private String rate(StatusReport.Rate rate) {
        List<String> parts = new ArrayList<>();
        parts.add(rate.bytesPerSecond().map(Words::bitRate).orElse("no limit"));
        rate.catchUpBytesPerSecond().ifPresent(r -> parts.add("catch-up " + Words.bitRate(r)));
        rate.nextChange()
                .ifPresent(
                        t ->
                                parts.add(
                                        "from %s %s%s"
                                                .formatted(
                                                        moment(t),
                                                        rate.nextBytesPerSecond()
                                                                .map(Words::bitRate)
                                                                .orElse("no limit"),
                                                        rate.nextCatchUpBytesPerSecond()
                                                                .map(
                                                                        r ->
                                                                                ", catch-up "
                                                                                        + Words
                                                                                                .bitRate(
                                                                                                        r))
                                                                .orElse(""))));
        return parts.stream().collect(Collectors.joining("; "));
    }

    private static String traffic(StatusReport.Traffic t) {
        return "sent %s (raw %s), received %s (raw %s)%s"
                .formatted(
                        Words.bytes(t.sentWireBytes()),
                        Words.bytes(t.sentRawBytes()),
                        Words.bytes(t.receivedWireBytes()),
                        Words.bytes(t.receivedRawBytes()),
                        t.ratio()
                                .map(r -> String.format(Locale.ROOT, ", ratio %.2f", r))
                                .orElse(""));
    }

    private static String buffer(StatusReport.SendBuffer b) {
        Optional<String> full = b.secondsUntilFull().map(s -> ", full in " + Words.span(s));
        return "%s of %s%s"
                .formatted(
                        Words.bytes(b.usedBytes()),
                        Words.bytes(b.sizeBytes()),
                        b.closed() ? ", closed" : full.orElse(""));
    }

    /// Like `[########------------] 41 % 4.1 GiB of 10 GiB 2.2 MB/s about 45 min left`.
    public static String bar(StatusReport.Progress p) {
        int marks = p.percent() / 5;
        return "[%s%s] %d %%  %s of %s  %s%s"
                .formatted(
                        "#".repeat(marks),
                        "-".repeat(20 - marks),
                        p.percent(),
                        Words.bytes(p.doneBytes()),
                        Words.bytes(p.totalBytes()),
                        Words.rate(p.bytesPerSecond()),
                        p.secondsLeft().map(s -> "  about " + Words.span(s) + " left").orElse(""));
    }

    private static String clients(int count) {
        return count == 1 ? "1 client" : count + " clients";
    }

    private void line(String name, String value) {
        out.append("  %-12s %s%n".formatted(name, value));
    }

    private String moment(Instant t) {
        return Words.moment(t, report.node().now(), zone);
    }
}
