package holdfast.replicator.daemon;

import holdfast.replicator.control.ControlApi;

import org.tomlj.Toml;
import org.tomlj.TomlParseResult;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/// Which keys differ between two texts of one settings file, both known to be right.
final class SettingsDiff {
    static final String JOURNAL_SIZE = "journal.size";

    /// What a running daemon does not take back: its name, its directory, where it listens and whom
    /// it dials already.
    private static final Set<String> AT_NEXT_START =
            Set.of("node.name", "node.state-dir", "link.listen", "link.dial", "link.keepalive");

    private SettingsDiff() {}

    /// @param journalGrows there is a journal here that becomes larger
    static List<ControlApi.Change> between(
            String file, String before, String after, boolean journalGrows) {
        Map<String, String> old = values(before);
        Map<String, String> now = values(after);
        SortedSet<String> keys = new TreeSet<>(old.keySet());
        keys.addAll(now.keySet());
        List<ControlApi.Change> changes = new ArrayList<>();
        for (String key : keys) {
            if (!Objects.equals(old.get(key), now.get(key))) {
                changes.add(
                        new ControlApi.Change(
                                file,
                                key,
                                Optional.ofNullable(old.get(key)),
                                Optional.ofNullable(now.get(key)),
                                takesEffect(file, key, old.containsKey(key), journalGrows)));
            }
        }
        return changes;
    }

    private static String takesEffect(
            String file, String key, boolean wasSet, boolean journalGrows) {
        if (key.equals(JOURNAL_SIZE)) {
            return journalGrows
                    ? "at once"
                    : "when a journal is made here: one that is there never becomes smaller";
        }
        if (!file.equals("node.toml")) {
            boolean ofHistory =
                    key.startsWith("journal.retention") || key.equals("journal.keep-max");
            return ofHistory ? "at once" : "at the next attach";
        }
        boolean opens = !wasSet && (key.equals("link.listen") || key.equals("link.dial"));
        return AT_NEXT_START.contains(key) && !opens
                ? "at the next start of the daemon"
                : "at once";
    }

    private static Map<String, String> values(String text) {
        Map<String, String> values = new TreeMap<>();
        TomlParseResult toml = Toml.parse(text);
        for (Map.Entry<String, Object> each : toml.dottedEntrySet()) {
            values.put(each.getKey(), shown(each.getValue()));
        }
        return values;
    }

    private static String shown(Object value) {
        return value instanceof org.tomlj.TomlArray array
                ? array.toList().toString()
                : String.valueOf(value);
    }
}
