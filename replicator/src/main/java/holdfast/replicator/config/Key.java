package holdfast.replicator.config;

import java.util.List;

/// One key of a settings file.
///
/// @param path tables and name; the part [#ANY_NODE] stands for the name of a node
/// @param type of the value, or of each element when the type is a list
/// @param defaultToml in TOML; empty when the key has no default
/// @param doc one sentence for the docs
record Key<T>(List<String> path, Type<T> type, String defaultToml, String doc) {
    static final String ANY_NODE = "NODE";

    static <T> Key<T> of(String path, Type<T> type, String defaultToml, String doc) {
        return new Key<>(List.of(path.split("\\.")), type, defaultToml, doc);
    }

    /// Whether `given` names this key, or a table on the way to it.
    boolean startsWith(List<String> given) {
        if (given.size() > path.size()) {
            return false;
        }
        for (int i = 0; i < given.size(); i++) {
            if (!path.get(i).equals(ANY_NODE) && !path.get(i).equals(given.get(i))) {
                return false;
            }
        }
        return true;
    }

    boolean matches(List<String> given) {
        return given.size() == path.size() && startsWith(given);
    }

    @Override
    public String toString() {
        return String.join(".", path);
    }
}
