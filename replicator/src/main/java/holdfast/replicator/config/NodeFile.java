package holdfast.replicator.config;

import org.tomlj.Toml;
import org.tomlj.TomlParseResult;

import java.util.List;

/// A `node.toml` as its owner wrote it, in which a command changes single keys; comments, order and
/// layout stay.
public final class NodeFile {
    private final String text;
    private final String origin;

    private NodeFile(String text, String origin) {
        this.text = text;
        this.origin = origin;
    }

    /// @param origin its path, for the report
    /// @throws ConfigException if the text cannot be used as it stands: what is broken is not
    ///   edited
    public static NodeFile parse(String text, String origin) throws ConfigException {
        NodeSettings.parse(text, origin);
        return new NodeFile(text, origin);
    }

    /// This file with one key set; a table that is not there yet comes at the end.
    ///
    /// @param valueToml in TOML, so a text stands in quotes: `"0.0.0.0:7788"`
    /// @throws ConfigException if the settings would be wrong then
    public NodeFile set(String table, String key, String valueToml) throws ConfigException {
        TomlParseResult value = Toml.parse("value = " + valueToml);
        if (value.hasErrors() || value.size() != 1) {
            throw new IllegalArgumentException("no TOML value: " + valueToml);
        }
        TomlParseResult toml = Toml.parse(text);
        toml.set(List.of(table, key), value.get("value"));
        return parse(toml.toToml(), origin);
    }

    /// This file without that key, which then is at its default.
    public NodeFile unset(String table, String key) throws ConfigException {
        TomlParseResult toml = Toml.parse(text);
        toml.remove(List.of(table, key));
        return parse(toml.toToml(), origin);
    }

    public String text() {
        return text;
    }
}
