package holdfast.replicator.daemon;

import holdfast.replicator.control.ControlApi;

import org.tomlj.Toml;
import org.tomlj.TomlParseResult;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/// Which keys differ between two texts of one settings file, both known to be right.
final class SettingsDiff {
    private SettingsDiff() {}

    static List<ControlApi.Change> between(String file, String before, String after) {
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
                                Optional.ofNullable(now.get(key))));
            }
        }
        return changes;
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
