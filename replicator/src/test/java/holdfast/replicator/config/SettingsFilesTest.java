package holdfast.replicator.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// The examples in `conf.d/` and the table in `docs/settings.md` say what the schema says.
class SettingsFilesTest {
    /// A key that is commented out, unlike prose, has no space behind the sign.
    private static final Pattern COMMENTED_KEY = Pattern.compile("(?m)^#(?=[a-z.-]+ = )");

    private static final Path ROOT = Path.of("").toAbsolutePath().getParent();

    @Test
    void theExamplesLoadAsTheyAre() throws Exception {
        NodeSettings node = NodeSettings.parse(read("conf.d/node.toml"), "node.toml");
        assertEquals(NodeSettings.parse("", "empty"), node);
        ResourceSettings resource =
                ResourceSettings.parse(read("conf.d/resource.toml"), "resource.toml");
        assertEquals(List.of(Path.of("/dev/vg0/home")), resource.disksAt("server").orElseThrow());
    }

    @Test
    void theNodeExampleHasEachKeyOfTheSchemaWithItsDefault() throws IOException {
        checkExample("conf.d/node.toml", Schema.NODE);
    }

    @Test
    void theResourceExampleHasEachKeyOfTheSchemaWithItsDefault() throws IOException {
        checkExample("conf.d/resource.toml", Schema.RESOURCE);
    }

    @Test
    void theTablesInTheDocsAreThoseOfTheSchema() throws IOException {
        String docs = read("docs/settings.md");
        for (List<Key<?>> schema : List.of(Schema.NODE, Schema.RESOURCE)) {
            String table = table(schema);
            assertTrue(docs.contains(table), "docs/settings.md should contain\n" + table);
        }
    }

    private static void checkExample(String file, List<Key<?>> schema) throws IOException {
        String text = read(file);
        var missing = new HashSet<>(schema);
        var matcher = COMMENTED_KEY.matcher(text);
        while (matcher.find()) {
            String oneKey = text.substring(0, matcher.start()) + text.substring(matcher.end());
            String line = text.substring(matcher.end()).lines().findFirst().orElseThrow();
            SettingsText toml = SettingsText.read(oneKey, file, schema);
            assertEquals(List.of(), toml.problems(), line);
            List<Key<?>> given = new ArrayList<>();
            for (Key<?> key : schema) {
                var path =
                        key.path().stream()
                                .map(p -> p.equals(Key.ANY_NODE) ? "backup" : p)
                                .toList();
                if (toml.isGiven(path)) {
                    given.add(key);
                    checkDefault(key, toml, line);
                }
            }
            assertEquals(1, given.size(), line);
            assertTrue(missing.removeAll(given), "twice in " + file + ": " + line);
        }
        assertEquals(new HashSet<>(), missing, "not in " + file);
    }

    private static <T> void checkDefault(Key<T> key, SettingsText toml, String line) {
        if (!key.defaultToml().isEmpty()) {
            SettingsText empty = SettingsText.read("", "empty", List.of(key));
            if (key.type().form() == Type.Form.LIST) {
                assertEquals(empty.getList(key), toml.getList(key), line);
            } else {
                assertEquals(empty.get(key), toml.get(key), line);
            }
        }
    }

    private static String table(List<Key<?>> schema) {
        return "| key | value | default | meaning |\n|-----|-------|---------|---------|\n"
                + schema.stream()
                        .map(
                                key ->
                                        "| `%s` | %s | %s | %s |\n"
                                                .formatted(
                                                        key,
                                                        key.type().name(),
                                                        key.defaultToml().isEmpty()
                                                                ? "none"
                                                                : "`" + key.defaultToml() + "`",
                                                        key.doc()))
                        .collect(Collectors.joining());
    }

    private static String read(String file) throws IOException {
        return Files.readString(ROOT.resolve(file));
    }
}
