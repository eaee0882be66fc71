package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// A file of `docs/schemas`, and what commands print held against it: as much of JSON Schema as
/// those files use.
record SchemaFile(String name) {
    private static final Path DIRECTORY = Path.of("..", "docs", "schemas");

    /// @param output one JSON object, or one in each line
    void requireFits(String output) throws IOException {
        Object schema = parse(Files.readString(DIRECTORY.resolve(name))).getFirst();
        List<Object> values = parse(output);
        assertTrue(!values.isEmpty(), "nothing was printed, expected " + name);
        for (Object value : values) {
            require(schema, value, name);
        }
    }

    private static void require(Object schema, Object value, String place) {
        Map<?, ?> rules = (Map<?, ?>) schema;
        List<?> types = rules.get("type") instanceof List<?> all ? all : List.of(rules.get("type"));
        switch (value) {
            case Map<?, ?> object -> {
                assertTrue(types.contains("object"), place + " is an object");
                Map<?, ?> properties = (Map<?, ?>) rules.get("properties");
                assertEquals(properties.keySet(), object.keySet(), place);
                properties.forEach(
                        (key, rule) -> require(rule, object.get(key), place + "." + key));
            }
            case List<?> array -> {
                assertTrue(types.contains("array"), place + " is an array");
                array.forEach(item -> require(rules.get("items"), item, place + "[]"));
            }
            case Scalar(String type, String text) -> {
                boolean isWholeNumber = type.equals("integer") && types.contains("number");
                assertTrue(
                        types.contains(type) || isWholeNumber,
                        "%s is %s, not %s".formatted(place, type, types));
                if (rules.get("enum") instanceof List<?> allowed && !type.equals("null")) {
                    assertTrue(allowed.contains(new Scalar("string", text)), place + " is " + text);
                }
            }
            default -> throw new IllegalStateException(value.toString());
        }
    }

    private record Scalar(String type, String text) {}

    /// Objects as maps, arrays as lists. In a schema the type is a plain text.
    private static List<Object> parse(String text) throws IOException {
        List<Object> values = new ArrayList<>();
        boolean isSchema = text.contains("\"$schema\"");
        try (JsonParser in = new JsonFactory().createParser(text)) {
            while (in.nextToken() != null) {
                values.add(value(in, isSchema ? "type" : ""));
            }
        }
        return values;
    }

    private static Object value(JsonParser in, String plain) throws IOException {
        return switch (in.currentToken()) {
            case START_OBJECT -> {
                Map<String, Object> object = new LinkedHashMap<>();
                while (in.nextToken() != JsonToken.END_OBJECT) {
                    String key = in.currentName();
                    in.nextToken();
                    object.put(key, key.equals(plain) ? plain(in) : value(in, plain));
                }
                yield object;
            }
            case START_ARRAY -> {
                List<Object> array = new ArrayList<>();
                while (in.nextToken() != JsonToken.END_ARRAY) {
                    array.add(value(in, plain));
                }
                yield array;
            }
            case VALUE_STRING -> new Scalar("string", in.getText());
            case VALUE_NUMBER_INT -> new Scalar("integer", in.getText());
            case VALUE_NUMBER_FLOAT -> new Scalar("number", in.getText());
            case VALUE_TRUE, VALUE_FALSE -> new Scalar("boolean", in.getText());
            case VALUE_NULL -> new Scalar("null", "");
            default -> throw new IOException("token " + in.currentToken());
        };
    }

    private static Object plain(JsonParser in) throws IOException {
        if (in.currentToken() == JsonToken.VALUE_STRING) {
            return in.getText();
        }
        if (in.currentToken() != JsonToken.START_ARRAY) {
            return value(in, "type");
        }
        List<Object> types = new ArrayList<>();
        while (in.nextToken() != JsonToken.END_ARRAY) {
            types.add(in.getText());
        }
        return types;
    }
}
