package holdfast.replicator.config;

import holdfast.tunnel.wire.AddressSpace;

import org.tomlj.Toml;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// What the file of one resource says; the same text on both hosts. The meaning of each key stands
/// in `docs/settings.md`.
///
/// @param retention how far back moments of the copy can be opened
/// @param retentionMin how far even when the journal is short of room; not more than `retention`
/// @param keepMax what may be saved at the backup for moments that are kept under a name
/// @param disks by the name of the node, one or two; of each volume, as many on both
public record ResourceSettings(
        Protocol protocol,
        OnCongestion onCongestion,
        Compression compression,
        Size journalSize,
        Duration retention,
        Duration retentionMin,
        Size keepMax,
        SortedMap<String, List<Path>> disks) {
    /// How many nodes have a copy.
    static final int MAX_NODES = 2;

    /// The bounds of [#journalSize]: a segment has 1 MiB of payload in it and much more beside.
    static final String JOURNAL_MIN = "16 MiB";

    static final String JOURNAL_MAX = "64 TiB";

    static final Duration DEFAULT_RETENTION = Duration.ofHours(24);
    static final Duration DEFAULT_RETENTION_MIN = Duration.ofHours(4);
    static final String DEFAULT_KEEP_MAX = "4 GiB";

    /// A smaller journal is soon full of what is young, and to hold the copy back for hours then is
    /// not what somebody wants who has not asked for it (decision 0010).
    private static final Size KEEPS_HISTORY = Size.parse("16 GiB");

    /// When a write is answered. B is accepted and served as C (R10).
    public enum Protocol {
        A,
        B,
        C;

        /// Whether a write waits for the peer's journal.
        public boolean waitsForPeer() {
            return this != A;
        }
    }

    /// What happens to writes when the send buffer is full.
    public enum OnCongestion {
        PULL_AHEAD,
        BLOCK
    }

    /// How the stream is compressed.
    public enum Compression {
        STREAM,
        FRAME,
        OFF
    }

    public ResourceSettings {
        if (protocol.waitsForPeer() && onCongestion == OnCongestion.PULL_AHEAD) {
            throw new IllegalArgumentException("protocol " + protocol + " with pull-ahead");
        }
        requireJournalSize(journalSize);
        if (retentionMin.compareTo(retention) > 0) {
            throw new IllegalArgumentException(
                    "retention " + retention + " with retention-min " + retentionMin);
        }
        disks = Collections.unmodifiableSortedMap(new TreeMap<>(disks));
    }

    /// @throws IllegalArgumentException with what would be right, if no journal may have this size
    public static void requireJournalSize(Size size) {
        if (size.compareTo(Size.parse(JOURNAL_MIN)) < 0
                || size.compareTo(Size.parse(JOURNAL_MAX)) > 0) {
            throw new IllegalArgumentException(
                    "journal.size is %s, should be %s to %s"
                            .formatted(size, JOURNAL_MIN, JOURNAL_MAX));
        }
    }

    /// The protocol of that name, as a command or a program gives it.
    ///
    /// @throws IllegalArgumentException with the names there are
    public static Protocol protocolOf(String name) {
        try {
            return Schema.PROTOCOL.type().parse().apply(name.toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("protocol " + e.getMessage(), e);
        }
    }

    /// What `add` proposes: every default, and the disks.
    public static ResourceSettings ofDisks(Map<String, List<Path>> disks) {
        return from(SettingsText.read("", "defaults", Schema.RESOURCE), new TreeMap<>(disks));
    }

    /// The same with the history that is proposed for a journal of its size.
    public ResourceSettings withProposedHistory() {
        boolean keeps = journalSize.bytes() >= KEEPS_HISTORY.bytes();
        return withHistory(
                DEFAULT_RETENTION,
                keeps ? DEFAULT_RETENTION_MIN : Duration.ZERO,
                Size.parse(DEFAULT_KEEP_MAX));
    }

    /// The same with the history that another has.
    public ResourceSettings withHistoryOf(ResourceSettings other) {
        return withHistory(other.retention, other.retentionMin, other.keepMax);
    }

    private ResourceSettings withHistory(Duration retention, Duration retentionMin, Size keepMax) {
        return new ResourceSettings(
                protocol,
                onCongestion,
                compression,
                journalSize,
                retention,
                retentionMin,
                keepMax,
                disks);
    }

    /// Reads the text of a resource's file, from disk or from the peer.
    ///
    /// @param origin its path, or whom it came from, for the report
    public static ResourceSettings parse(String text, String origin) throws ConfigException {
        SettingsText toml = SettingsText.read(text, origin, Schema.RESOURCE);
        ResourceSettings settings = from(toml);
        if (!toml.problems().isEmpty()) {
            throw new ConfigException(toml.problems());
        }
        return settings;
    }

    /// What `toml` says where it is right; problems between keys are reported to it.
    static ResourceSettings from(SettingsText toml) {
        var disks = new TreeMap<String, List<Path>>();
        for (String node : toml.tablesIn("on")) {
            if (!Type.NAME.matcher(node).matches()) {
                toml.report(
                        List.of("on", node),
                        "node \"%s\" should be %s".formatted(node, Type.NAME_RULE));
            }
            List<Path> ofVolumes = toml.getList(Schema.DISK, List.of("on", node, "disk"));
            if (!ofVolumes.isEmpty()) {
                disks.put(node, ofVolumes);
            }
            if (ofVolumes.size() > AddressSpace.MAX_VOLUMES) {
                toml.report(
                        List.of("on", node, "disk"),
                        "%d disks at %s, a resource has at most %d"
                                .formatted(ofVolumes.size(), node, AddressSpace.MAX_VOLUMES));
            }
            if (ofVolumes.stream().distinct().count() < ofVolumes.size()) {
                toml.report(
                        List.of("on", node, "disk"),
                        "a disk at %s is named twice, should be one for each volume"
                                .formatted(node));
            }
        }
        if (disks.values().stream().mapToInt(List::size).distinct().count() > 1) {
            toml.report(
                    List.of("on"),
                    "disks of %s volumes, should be as many on both nodes"
                            .formatted(
                                    disks.values().stream()
                                            .map(each -> String.valueOf(each.size()))
                                            .collect(Collectors.joining(" and of "))));
        }
        if (toml.tablesIn("on").size() > MAX_NODES) {
            toml.report(
                    List.of("on"),
                    "disks of %d nodes, a resource has %d"
                            .formatted(toml.tablesIn("on").size(), MAX_NODES));
        }
        boolean isDiskGiven =
                toml.tablesIn("on").stream()
                        .anyMatch(node -> toml.isGiven(List.of("on", node, "disk")));
        if (!isDiskGiven && toml.isWellFormed()) {
            toml.report(
                    List.of(),
                    "no disk is named, should have at least [on.NODE] with disk = \"/dev/...\"");
        }
        return from(toml, disks);
    }

    private static ResourceSettings from(SettingsText toml, SortedMap<String, List<Path>> disks) {
        Protocol protocol = toml.get(Schema.PROTOCOL).orElseThrow();
        OnCongestion onCongestion = toml.get(Schema.ON_CONGESTION).orElseThrow();
        if (protocol.waitsForPeer() && onCongestion == OnCongestion.PULL_AHEAD) {
            if (toml.isGiven(Schema.ON_CONGESTION)) {
                toml.report(
                        Schema.ON_CONGESTION.path(),
                        "on-congestion is \"pull-ahead\" with protocol %s, which waits for the peer: should be \"block\", or protocol \"A\""
                                .formatted(protocol));
            }
            onCongestion = OnCongestion.BLOCK;
        }
        Duration retention = toml.get(Schema.RETENTION).orElseThrow();
        Duration retentionMin = toml.get(Schema.RETENTION_MIN).orElseThrow();
        if (retentionMin.compareTo(retention) > 0) {
            if (toml.isGiven(Schema.RETENTION_MIN)) {
                toml.report(
                        Schema.RETENTION_MIN.path(),
                        "journal.retention-min is more than journal.retention, should be %s at most"
                                .formatted(Type.durationText(retention)));
            }
            retentionMin = retention;
        }
        return new ResourceSettings(
                protocol,
                onCongestion,
                toml.get(Schema.COMPRESSION).orElseThrow(),
                toml.get(Schema.JOURNAL_SIZE).orElseThrow(),
                retention,
                retentionMin,
                toml.get(Schema.KEEP_MAX).orElseThrow(),
                disks);
    }

    /// The disks at that node, one for each volume; empty when they are files under that node's
    /// storage.
    public Optional<List<Path>> disksAt(String node) {
        return Optional.ofNullable(disks.get(node));
    }

    /// The text of a file that says this; [#parse] reads it back as an equal value.
    public String render() {
        var text = new StringBuilder();
        text.append("protocol = \"").append(protocol).append("\"\n");
        if (!protocol.waitsForPeer() && onCongestion != OnCongestion.PULL_AHEAD) {
            text.append("on-congestion = \"").append(Type.choiceName(onCongestion)).append("\"\n");
        }
        if (compression != Compression.STREAM) {
            text.append("compression = \"").append(Type.choiceName(compression)).append("\"\n");
        }
        text.append("journal = { size = \"").append(journalSize).append('"');
        if (!retention.equals(DEFAULT_RETENTION)) {
            text.append(", retention = \"").append(Type.durationText(retention)).append('"');
        }
        if (!retentionMin.equals(least(DEFAULT_RETENTION_MIN, retention))) {
            text.append(", retention-min = \"").append(Type.durationText(retentionMin)).append('"');
        }
        if (!keepMax.equals(Size.parse(DEFAULT_KEEP_MAX))) {
            text.append(", keep-max = \"").append(keepMax).append('"');
        }
        text.append(" }\n");
        disks.forEach(
                (node, ofVolumes) ->
                        text.append("\n[on.")
                                .append(node)
                                .append("]\ndisk = ")
                                .append(render(ofVolumes))
                                .append('\n'));
        return text.toString();
    }

    private static Duration least(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }

    /// One as a text, several as a list.
    private static String render(List<Path> ofVolumes) {
        String texts =
                ofVolumes.stream()
                        .map(each -> "\"%s\"".formatted(Toml.tomlEscape(each.toString())))
                        .collect(Collectors.joining(", "));
        return ofVolumes.size() == 1 ? texts : "[" + texts + "]";
    }
}
