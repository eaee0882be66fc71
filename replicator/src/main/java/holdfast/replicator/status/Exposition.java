package holdfast.replicator.status;

import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;

/// A report in Prometheus' text format 0.0.4.
///
/// Ages are exported as the *moment* they count from (`..._replicated_until_timestamp_seconds`),
/// never as a lag: a lag that nobody updates any more looks healthy, a moment that stands still
/// does not. An unknown value has no line.
///
/// Each state of DRBD's words is a series of value 1 with the word as label, so that an alert reads
/// like a sentence.
final class Exposition {
    static final String CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

    private final StringBuilder out = new StringBuilder(4096);

    private Exposition() {}

    static String of(StatusReport report) {
        var text = new Exposition();
        text.node(report.node());
        report.link().ifPresent(text::link);
        text.opened(report);
        text.resources(report.resources());
        return text.out.toString();
    }

    private void node(StatusReport.Node node) {
        head("holdfast_info", "gauge", "The daemon, its version and its node.");
        line("holdfast_info", labels("node", node.name(), "version", node.version()), "1");
        head("holdfast_start_time_seconds", "gauge", "When the daemon started.");
        line("holdfast_start_time_seconds", "", seconds(node.started()));
    }

    private void link(StatusReport.Link link) {
        String peer = labels("peer", link.peer());
        head("holdfast_link_up", "gauge", "1 while the link to the peer is connected.");
        line("holdfast_link_up", peer, link.isConnected() ? "1" : "0");
        link.lastContact()
                .ifPresent(
                        moment -> {
                            head(
                                    "holdfast_link_last_contact_timestamp_seconds",
                                    "gauge",
                                    "When the peer was last heard of.");
                            line(
                                    "holdfast_link_last_contact_timestamp_seconds",
                                    peer,
                                    seconds(moment));
                        });
        link.roundTripMillis()
                .ifPresent(
                        millis -> {
                            head(
                                    "holdfast_link_round_trip_seconds",
                                    "gauge",
                                    "Round trip of the last heartbeat.");
                            line("holdfast_link_round_trip_seconds", peer, number(millis / 1000));
                        });
        link.clock()
                .ifPresent(
                        clock -> {
                            head(
                                    "holdfast_link_clock_ahead_seconds",
                                    "gauge",
                                    "How far the peer's clock is ahead of this node's.");
                            line(
                                    "holdfast_link_clock_ahead_seconds",
                                    peer,
                                    number(clock.aheadSeconds()));
                            head(
                                    "holdfast_link_clock_uncertainty_seconds",
                                    "gauge",
                                    "By how much that may be wrong, either way.");
                            line(
                                    "holdfast_link_clock_uncertainty_seconds",
                                    peer,
                                    number(clock.uncertaintySeconds()));
                        });
        counter(
                "holdfast_link_sent_wire_bytes_total",
                "Bytes sent, compressed.",
                peer,
                link.sentWireBytes());
        counter(
                "holdfast_link_sent_raw_bytes_total",
                "The same before compression.",
                peer,
                link.sentRawBytes());
        counter(
                "holdfast_link_received_wire_bytes_total",
                "Bytes received, compressed.",
                peer,
                link.receivedWireBytes());
        counter(
                "holdfast_link_received_raw_bytes_total",
                "The same after decompression.",
                peer,
                link.receivedRawBytes());
        rate(
                "holdfast_link_rate_bytes_per_second",
                "Limit in force on the wire.",
                peer,
                link.rate().bytesPerSecond());
        rate(
                "holdfast_link_catch_up_rate_bytes_per_second",
                "Limit in force for first sync and catch-up.",
                peer,
                link.rate().catchUpBytesPerSecond());
    }

    private void opened(StatusReport report) {
        if (report.resources().isEmpty() && report.unopened().isEmpty()) {
            return;
        }
        head("holdfast_resource_open", "gauge", "0 for a resource that is not open.");
        report.resources()
                .forEach(r -> line("holdfast_resource_open", labels("resource", r.name()), "1"));
        report.unopened()
                .forEach(u -> line("holdfast_resource_open", labels("resource", u.name()), "0"));
    }

    private void resources(List<StatusReport.Resource> resources) {
        if (resources.isEmpty()) {
            return;
        }
        states(
                "holdfast_role",
                "Role of the resource here.",
                resources,
                StatusReport.Resource::role);
        states(
                "holdfast_connection_state",
                "Connection.",
                resources,
                StatusReport.Resource::connection);
        states(
                "holdfast_disk_state",
                "State of the disk here.",
                resources,
                StatusReport.Resource::disk);
        states(
                "holdfast_replication_state",
                "What flows.",
                resources,
                StatusReport.Resource::replication);
        gauge(
                "holdfast_size_bytes",
                "Size of the resource.",
                resources,
                r -> Optional.of((double) r.sizeBytes()));
        gauge(
                "holdfast_replicated_until_timestamp_seconds",
                "Everything written before this moment is in the copy; never later than the truth.",
                resources,
                r -> r.replicatedUntil().map(Exposition::toSeconds));
        gauge(
                "holdfast_copy_timestamp_seconds",
                "The moment the committed copy shows.",
                resources,
                r -> r.copyTime().map(Exposition::toSeconds));
        gauge(
                "holdfast_behind_operations",
                "Operations the copy lacks; the primary alone knows.",
                resources,
                r -> r.behind().map(b -> (double) b.operations()));
        gauge(
                "holdfast_behind_bytes",
                "Bytes the copy lacks; the primary alone knows.",
                resources,
                r -> r.behind().map(b -> (double) b.bytes()));
        gauge(
                "holdfast_progress_done_bytes",
                "Of a transfer under way.",
                resources,
                r -> r.progress().map(p -> (double) p.doneBytes()));
        gauge(
                "holdfast_progress_total_bytes",
                "Of a transfer under way.",
                resources,
                r -> r.progress().map(p -> (double) p.totalBytes()));
        gauge(
                "holdfast_send_buffer_used_bytes",
                "Writes kept for the peer.",
                resources,
                r -> r.sendBuffer().map(b -> (double) b.usedBytes()));
        gauge(
                "holdfast_send_buffer_size_bytes",
                "Room for them.",
                resources,
                r -> r.sendBuffer().map(b -> (double) b.sizeBytes()));
        gauge(
                "holdfast_send_buffer_closed",
                "1 while later writes only mark blocks.",
                resources,
                r -> r.sendBuffer().map(b -> b.closed() ? 1.0 : 0.0));
        gauge(
                "holdfast_journal_used_bytes",
                "Journal in use.",
                resources,
                r -> r.journal().map(j -> (double) j.usedBytes()));
        gauge(
                "holdfast_journal_size_bytes",
                "Journal's size.",
                resources,
                r -> r.journal().map(j -> (double) j.sizeBytes()));
        gauge(
                "holdfast_journal_needed_bytes",
                "Journal that all of the retention needs at the rate so far.",
                resources,
                r -> r.journal().flatMap(StatusReport.Journal::neededBytes).map(b -> (double) b));
        gauge(
                "holdfast_journal_missing_bytes",
                "What an epoch waits for.",
                resources,
                r -> r.journal().map(j -> (double) j.missingBytes()));
        gauge(
                "holdfast_open_views",
                "Views open now.",
                resources,
                r -> Optional.of((double) r.views().size()));
        gauge(
                "holdfast_drill_timestamp_seconds",
                "When the last drill began.",
                resources,
                r -> r.drill().map(d -> toSeconds(d.began())));
        gauge(
                "holdfast_drill_passed_timestamp_seconds",
                "When the last drill began that passed.",
                resources,
                r -> r.drill().flatMap(StatusReport.Drill::lastPassed).map(Exposition::toSeconds));
        gauge(
                "holdfast_drill_passed",
                "1 when the last drill passed, 0 when it failed.",
                resources,
                r -> r.drill().map(d -> d.passed() ? 1.0 : 0.0));
        gauge(
                "holdfast_drill_duration_seconds",
                "How long the last drill took.",
                resources,
                r -> r.drill().map(StatusReport.Drill::seconds));
        gauge(
                "holdfast_verify_timestamp_seconds",
                "When the copy was last compared with what it should hold, all of it.",
                resources,
                r -> r.verify().filter(StatusReport.Verify::whole).map(v -> toSeconds(v.ended())));
        gauge(
                "holdfast_verify_differing_blocks",
                "Blocks that the last comparison found to differ and nobody had mended.",
                resources,
                r ->
                        r.verify()
                                .map(
                                        v ->
                                                v.mended().isPresent()
                                                        ? 0.0
                                                        : (double) v.differingBlocks()));
        counters(
                "holdfast_sent_wire_bytes_total",
                "Bytes sent, compressed.",
                resources,
                r -> r.traffic().sentWireBytes());
        counters(
                "holdfast_sent_raw_bytes_total",
                "The same before compression.",
                resources,
                r -> r.traffic().sentRawBytes());
        counters(
                "holdfast_received_wire_bytes_total",
                "Bytes received, compressed.",
                resources,
                r -> r.traffic().receivedWireBytes());
        counters(
                "holdfast_received_raw_bytes_total",
                "The same after decompression.",
                resources,
                r -> r.traffic().receivedRawBytes());
    }

    private void states(
            String name,
            String help,
            List<StatusReport.Resource> resources,
            Function<StatusReport.Resource, String> state) {
        head(name, "gauge", help);
        for (StatusReport.Resource r : resources) {
            line(name, labels("resource", r.name(), "state", state.apply(r)), "1");
        }
    }

    private void gauge(
            String name,
            String help,
            List<StatusReport.Resource> resources,
            Function<StatusReport.Resource, Optional<Double>> value) {
        head(name, "gauge", help);
        for (StatusReport.Resource r : resources) {
            value.apply(r).ifPresent(v -> line(name, labels("resource", r.name()), number(v)));
        }
    }

    private void counters(
            String name,
            String help,
            List<StatusReport.Resource> resources,
            Function<StatusReport.Resource, Long> value) {
        head(name, "counter", help);
        for (StatusReport.Resource r : resources) {
            line(name, labels("resource", r.name()), Long.toString(value.apply(r)));
        }
    }

    private void counter(String name, String help, String labels, long value) {
        head(name, "counter", help);
        line(name, labels, Long.toString(value));
    }

    private void rate(String name, String help, String labels, Optional<Long> value) {
        value.ifPresent(
                v -> {
                    head(name, "gauge", help + " No line: no limit.");
                    line(name, labels, Long.toString(v));
                });
    }

    private void head(String name, String type, String help) {
        out.append("# HELP ").append(name).append(' ').append(help).append('\n');
        out.append("# TYPE ").append(name).append(' ').append(type).append('\n');
    }

    private void line(String name, String labels, String value) {
        out.append(name).append(labels).append(' ').append(value).append('\n');
    }

    private static String labels(String... namesAndValues) {
        var out = new StringBuilder("{");
        for (int i = 0; i < namesAndValues.length; i += 2) {
            out.append(i == 0 ? "" : ",").append(namesAndValues[i]).append("=\"");
            out.append(
                            namesAndValues[i + 1]
                                    .replace("\\", "\\\\")
                                    .replace("\"", "\\\"")
                                    .replace("\n", "\\n"))
                    .append('"');
        }
        return out.append('}').toString();
    }

    private static double toSeconds(Instant moment) {
        return moment.toEpochMilli() / 1000.0;
    }

    private static String seconds(Instant moment) {
        return number(toSeconds(moment));
    }

    private static String number(double value) {
        return value == Math.rint(value)
                ? Long.toString((long) value)
                : String.format(Locale.ROOT, "%.3f", value);
    }
}
