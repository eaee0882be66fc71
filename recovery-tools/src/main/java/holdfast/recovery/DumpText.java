package holdfast.recovery;

import holdfast.replicator.control.MetadataDump;
import holdfast.replicator.status.Words;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// A [MetadataDump] for people, in the shape that status has.
final class DumpText {
    private final StringBuilder out = new StringBuilder();

    private DumpText() {}

    static String of(MetadataDump dump) {
        var text = new DumpText();
        text.head(dump);
        dump.superblock().ifPresent(text::superblock);
        text.ancestry(dump.ancestry());
        dump.tracking().ifPresent(text::tracking);
        return text.out.toString();
    }

    private void head(MetadataDump d) {
        line("%s  %s  %s", d.resource(), Words.state(d.role()), d.directory());
        field(
                "read",
                d.daemonPid()
                        .map(
                                pid ->
                                        "beside the daemon with pid %d%s"
                                                .formatted(
                                                        pid,
                                                        d.consistent()
                                                                ? ""
                                                                : ", which changed it meanwhile: this is of no one"
                                                                        + " moment"))
                        .orElse("no daemon has it"));
        field("id", d.id());
        field("disk", d.disk());
        d.journal().ifPresent(journal -> field("journal", journal));
        field("peer", d.peer());
        field("marks", d.marks().isEmpty() ? "none" : String.join(", ", d.marks()));
    }

    private void superblock(MetadataDump.Super s) {
        line("%nsuperblock  %s  slot %d, written %d times", s.file(), s.slot(), s.writes());
        field("role", Words.state(s.role()));
        field("size", "%s (%d bytes)".formatted(Words.bytes(s.sizeBytes()), s.sizeBytes()));
        for (MetadataDump.Segment each : s.segments()) {
            field(
                    "volume " + each.volume(),
                    "%d bytes at address %d".formatted(each.lengthBytes(), each.addressBytes()));
        }
        field("flags", flags(s));
        field("position", s.position());
        field("acknowledged", s.acknowledged());
        field("peer mark", s.peerMark());
        field(
                "watermark",
                "%d by incarnation %d, rolling to %d"
                        .formatted(s.watermark(), s.movedBy(), s.rollingTo()));
        field("incarnation", Long.toString(s.incarnation()));
        field("filled", Long.toString(s.filled()));
    }

    private static String flags(MetadataDump.Super s) {
        List<String> flags = new ArrayList<>();
        flag(flags, s.clean(), "clean");
        flag(flags, s.everCommitted(), "ever-committed");
        flag(flags, s.blank(), "blank");
        flag(flags, s.detached(), "detached");
        flag(flags, s.mixture(), "mixture");
        return flags.isEmpty() ? "none" : String.join(", ", flags);
    }

    private static void flag(List<String> flags, boolean isSet, String name) {
        if (isSet) {
            flags.add(name);
        }
    }

    private void ancestry(List<MetadataDump.Generation> generations) {
        line("%nancestry, oldest first: %d", generations.size());
        for (MetadataDump.Generation g : generations) {
            line(
                    "  %s  %-7s  from %s  by %s  %s",
                    g.generation(),
                    g.reason().toLowerCase(Locale.ROOT),
                    g.parent(),
                    g.author(),
                    g.time());
        }
    }

    private void tracking(MetadataDump.Tracking t) {
        line(
                "%nactivity log and bitmap  %s  %s%s",
                t.file(),
                Words.bytes(t.fileBytes()),
                t.isLost() ? "  LOST: everything is compared" : "");
        field("transaction", "%d in era %d".formatted(t.transaction(), t.era()));
        field("else", "what no page says is %s".formatted(t.blank().toLowerCase(Locale.ROOT)));
        field(
                "acknowledged",
                t.completeFrom().equals("none")
                        ? t.acknowledged()
                        : "%s; what is marked is complete from %s on"
                                .formatted(t.acknowledged(), t.completeFrom()));
        field("peer copy", "%s, filled %d".formatted(t.peerCopy(), t.filled()));
        field("told", "transaction %d".formatted(t.told()));
        field("active", "%d of %d extents".formatted(t.activeExtentCount(), t.activeExtentLimit()));
        ranges(t.activeExtents());
        marks("to send", t.toSend());
        marks("to compare", t.toCompare());
    }

    private void marks(String name, MetadataDump.Marks marks) {
        field(
                name,
                marks.blocks() == 0
                        ? "nothing"
                        : "%d blocks, %s, in %d ranges"
                                .formatted(
                                        marks.blocks(),
                                        Words.bytes(marks.blocks() * 4096),
                                        marks.rangeCount()));
        ranges(marks.ranges());
        long more = marks.rangeCount() - marks.ranges().size();
        if (more > 0) {
            line("                 and %d more: --ranges %d", more, marks.rangeCount());
        }
    }

    private void ranges(List<MetadataDump.Range> ranges) {
        for (MetadataDump.Range r : ranges) {
            line("    %16d +%d", r.offsetBytes(), r.lengthBytes());
        }
    }

    private void field(String name, String value) {
        line("  %-12s %s", name, value);
    }

    private void line(String format, Object... values) {
        out.append(format.formatted(values)).append('\n');
    }
}
