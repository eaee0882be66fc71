package holdfast.replicator.config;

import org.tomlj.Toml;
import org.tomlj.TomlArray;
import org.tomlj.TomlParseResult;
import org.tomlj.TomlPosition;
import org.tomlj.TomlTable;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// A settings text read against a schema. Whatever is wrong is collected, so that it is all
/// reported at once; what is right can be asked for meanwhile.
final class SettingsText {
    /// The text may come over the link; no settings are near that long.
    static final int MAX_CHARS = 64 << 10;

    /// A text that is no settings at all has a problem in each line.
    static final int MAX_PROBLEMS = 100;

    private final String origin;
    private final List<Key<?>> schema;
    private final TomlParseResult toml;
    private final Map<List<String>, Object> values = new LinkedHashMap<>();
    private final List<Problem> problems = new ArrayList<>();

    private SettingsText(String text, String origin, List<Key<?>> schema) {
        this.origin = origin;
        this.schema = schema;
        boolean isTooLong = text.length() > MAX_CHARS;
        this.toml = Toml.parse(isTooLong ? "" : text);
        if (isTooLong) {
            problems.add(new Problem(origin, 0, 0, "is longer than " + MAX_CHARS + " characters"));
        }
        toml.errors().forEach(e -> report(e.position(), e.getMessage()));
        read(toml, List.of());
    }

    static SettingsText read(String text, String origin, List<Key<?>> schema) {
        return new SettingsText(text, origin, schema);
    }

    /// The value given, else the default; empty when there is neither.
    @SuppressWarnings("unchecked") // values holds for each path what its key's type made
    <T> Optional<T> get(Key<T> key) {
        T value = (T) values.get(key.path());
        if (value == null && !key.defaultToml().isEmpty()) {
            String toml = key.defaultToml();
            return Optional.of(key.type().parse().apply(toml.substring(1, toml.length() - 1)));
        }
        return Optional.ofNullable(value);
    }

    /// The elements of a key that is a list.
    <T> List<T> getList(Key<T> key) {
        return getList(key, key.path());
    }

    /// Those of a key whose path names a node.
    @SuppressWarnings("unchecked")
    <T> List<T> getList(Key<T> key, List<String> path) {
        return (List<T>) values.getOrDefault(path, List.of());
    }

    /// Whether the text sets it, rightly or not.
    boolean isGiven(Key<?> key) {
        return isGiven(key.path());
    }

    boolean isGiven(List<String> path) {
        return toml.contains(path);
    }

    /// Names of the tables inside `table`, in the order of the text.
    Set<String> tablesIn(String table) {
        return toml.isTable(table) ? new LinkedHashSet<>(toml.getTable(table).keySet()) : Set.of();
    }

    /// Whether what stands there is TOML at all; a missing key is not worth a word when it is not.
    boolean isWellFormed() {
        return !toml.hasErrors();
    }

    void report(List<String> path, String message) {
        TomlPosition position = path.isEmpty() ? null : toml.inputPositionOf(path);
        if (position == null) {
            problems.add(new Problem(origin, 0, 0, message));
        } else {
            report(position, message);
        }
    }

    private void report(TomlPosition position, String message) {
        problems.add(new Problem(origin, position.line(), position.column(), message));
    }

    /// All that was reported, in the order of the text; of very many, the first ones.
    List<Problem> problems() {
        List<Problem> all =
                problems.stream()
                        .sorted(
                                Comparator.comparingInt(Problem::line)
                                        .thenComparingInt(Problem::column))
                        .distinct()
                        .toList();
        if (all.size() <= MAX_PROBLEMS) {
            return all;
        }
        var first = new ArrayList<>(all.subList(0, MAX_PROBLEMS));
        first.add(new Problem(origin, 0, 0, (all.size() - MAX_PROBLEMS) + " more problems"));
        return first;
    }

    private void read(TomlTable table, List<String> at) {
        for (String name : table.keySet()) {
            List<String> path = plus(at, name);
            Object value = table.get(List.of(name));
            Optional<Key<?>> key = schema.stream().filter(k -> k.matches(path)).findFirst();
            boolean isTable = schema.stream().anyMatch(k -> k.startsWith(path));
            if (key.isPresent()) {
                readValue(key.get(), path, value);
            } else if (!isTable) {
                report(path, unknown(path, value instanceof TomlTable));
            } else if (value instanceof TomlTable inner) {
                read(inner, path);
            } else {
                report(
                        path,
                        dotted(path)
                                + " is "
                                + kind(value)
                                + ", should be a table: ["
                                + dotted(path)
                                + "]");
            }
        }
    }

    private <T> void readValue(Key<T> key, List<String> path, Object value) {
        Type.Form form = key.type().form();
        if (value instanceof TomlArray array && form != Type.Form.TEXT) {
            readList(key, path, array);
        } else if (value instanceof String text && form != Type.Form.LIST) {
            parse(key, path, text, toml.inputPositionOf(path))
                    .ifPresent(
                            parsed ->
                                    values.put(
                                            path,
                                            form == Type.Form.TEXT ? parsed : List.of(parsed)));
        } else {
            report(
                    path,
                    (form == Type.Form.LIST
                                    ? "%s is %s, should be a list: %s"
                                    : "%s is %s, should be a quoted text like %s")
                            .formatted(dotted(path), kind(value), key.type().example()));
        }
    }

    private <T> void readList(Key<T> key, List<String> path, TomlArray array) {
        var list = new ArrayList<T>();
        if (array.isEmpty() && key.type().form() == Type.Form.TEXT_OR_LIST) {
            report(
                    path,
                    "%s is an empty list, should be a quoted text like %s"
                            .formatted(dotted(path), key.type().example()));
        }
        for (int i = 0; i < array.size(); i++) {
            if (array.get(i) instanceof String text) {
                parse(key, path, text, array.inputPositionOf(i)).ifPresent(list::add);
            } else {
                report(
                        array.inputPositionOf(i),
                        "%s has %s, should have quoted texts: %s"
                                .formatted(dotted(path), kind(array.get(i)), key.type().example()));
            }
        }
        values.put(path, List.copyOf(list));
    }

    private <T> Optional<T> parse(
            Key<T> key, List<String> path, String text, TomlPosition position) {
        try {
            return Optional.of(key.type().parse().apply(text));
        } catch (IllegalArgumentException e) {
            String message = e.getMessage();
            report(position, dotted(path) + (message.startsWith("is ") ? " " : ": ") + message);
            return Optional.empty();
        }
    }

    private String unknown(List<String> path, boolean isTable) {
        String name = path.getLast();
        List<String> at = path.subList(0, path.size() - 1);
        List<String> siblings =
                schema.stream()
                        .filter(k -> k.path().size() > at.size() && k.startsWith(at))
                        .map(k -> k.path().get(at.size()))
                        .distinct()
                        .toList();
        String what =
                (isTable ? "unknown table [" : "unknown key ")
                        + dotted(path)
                        + (isTable ? "]" : "");
        Optional<String> near =
                siblings.stream()
                        .min(Comparator.comparingInt(sibling -> distance(name, sibling)))
                        .filter(
                                sibling ->
                                        distance(name, sibling)
                                                <= Math.max(1, sibling.length() / 3));
        if (near.isPresent()) {
            return what + ", did you mean \"" + near.get() + "\"?";
        }
        Optional<Key<?>> elsewhere =
                schema.stream().filter(k -> k.path().getLast().equals(name)).findFirst();
        if (elsewhere.isPresent()) {
            return what + ", did you mean \"" + elsewhere.get() + "\"?";
        }
        return what + ", known here: " + String.join(", ", siblings);
    }

    private static String kind(Object value) {
        return switch (value) {
            case TomlTable _ -> "a table";
            case TomlArray _ -> "a list";
            case String _ -> "a text";
            case Boolean b -> b.toString();
            case Long n -> "the number " + n;
            case Double n -> "the number " + n;
            default -> "a date or time";
        };
    }

    private static List<String> plus(List<String> path, String name) {
        var longer = new ArrayList<>(path);
        longer.add(name);
        return List.copyOf(longer);
    }

    private static String dotted(List<String> path) {
        return Toml.joinKeyPath(path);
    }

    /// Levenshtein's: how many letters to add, drop or change.
    private static int distance(String a, String b) {
        int[] previous = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            previous[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int[] row = new int[b.length() + 1];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int change = previous[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                row[j] = Math.min(change, Math.min(previous[j], row[j - 1]) + 1);
            }
            previous = row;
        }
        return previous[b.length()];
    }
}
