package holdfast.replicator.json;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Records to JSON and back. The shape of the text is the record: a key for each component, in its
/// order.
///
/// | Java                          | JSON                                                     |
/// |-------------------------------|----------------------------------------------------------|
/// | record                        | object; every key is written, also when its value is null |
/// | `String`, enum                | string                                                   |
/// | `int`, `long`, `double`       | number                                                   |
/// | `boolean`                     | `true`, `false`                                          |
/// | `Instant`                     | string like `2026-11-20T12:03:07Z`                       |
/// | `Optional<T>`                 | `T` or null                                              |
/// | `List<T>`                     | array                                                    |
///
/// Reading is strict: an unknown key, a key twice, a wrong type or anything after the end is an
/// error. A missing key is an error too, unless its type has a natural nothing: `Optional` is then
/// empty and `boolean` false, so that a request typed by hand stays short. Which record is read is
/// said by the caller and never by the text.
public final class Json {
    /// A reply of status for hundreds of resources stays far below it.
    public static final int MAX_TEXT_CHARS = 4 << 20;

    private static final int MAX_DEPTH = 16;
    private static final int MAX_STRING_CHARS = 64 << 10;

    private static final JsonFactory FACTORY =
            JsonFactory.builder()
                    .streamReadConstraints(
                            StreamReadConstraints.builder()
                                    .maxNestingDepth(MAX_DEPTH)
                                    .maxStringLength(MAX_STRING_CHARS)
                                    .maxNameLength(128)
                                    .maxNumberLength(40)
                                    .maxDocumentLength(MAX_TEXT_CHARS)
                                    .build())
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build();

    /// What reflection says of a record's class, asked once: it answers with new objects each time,
    /// and each has to learn to call its component anew.
    ///
    /// @param indexes of the components, by their names
    private record Shape(
            RecordComponent[] components,
            Map<String, Integer> indexes,
            Constructor<?> constructor) {
        static Shape of(Class<?> type) {
            RecordComponent[] components = type.getRecordComponents();
            Map<String, Integer> indexes = HashMap.newHashMap(components.length);
            Class<?>[] types = new Class<?>[components.length];
            for (int i = 0; i < components.length; i++) {
                indexes.put(components[i].getName(), i);
                types[i] = components[i].getType();
                components[i].getAccessor().setAccessible(true);
            }
            try {
                Constructor<?> constructor = type.getDeclaredConstructor(types);
                constructor.setAccessible(true);
                return new Shape(components, indexes, constructor);
            } catch (NoSuchMethodException e) {
                throw new IllegalStateException("every record has it: " + type, e);
            }
        }
    }

    private static final ClassValue<Shape> SHAPES =
            new ClassValue<>() {
                @Override
                protected Shape computeValue(Class<?> type) {
                    return Shape.of(type);
                }
            };

    private Json() {}

    /// The record on one line.
    public static String write(Record value) {
        var out = new StringBuilder(256);
        append(out, value, -1);
        return out.toString();
    }

    /// The record over many lines, indented by two, for people.
    public static String writePretty(Record value) {
        var out = new StringBuilder(1024);
        append(out, value, 0);
        return out.append('\n').toString();
    }

    /// @throws JsonException if the text is not exactly one such record
    public static <T extends Record> T read(String text, Class<T> type) throws JsonException {
        try (JsonParser in = FACTORY.createParser(text)) {
            in.nextToken();
            T value = type.cast(readRecord(in, type, ""));
            if (in.nextToken() != null) {
                throw new JsonException("something follows the end of the object");
            }
            return value;
        } catch (IOException e) {
            throw new JsonException(
                    "no valid JSON: " + e.getMessage().lines().findFirst().orElse(""));
        }
    }

    private static void append(StringBuilder out, Object value, int indent) {
        switch (value) {
            case Optional<?> optional when optional.isEmpty() -> out.append("null");
            case Optional<?> optional -> append(out, optional.get(), indent);
            case Record record -> appendRecord(out, record, indent);
            case List<?> list -> appendList(out, list, indent);
            case Boolean bool -> out.append(bool);
            case Double number when !Double.isFinite(number) -> out.append("null");
            case Double number when Math.rint(number) == number && Math.abs(number) < 1e15 ->
                    out.append(number.longValue()).append(".0");
            case Double number -> out.append(number);
            case Integer number -> out.append(number);
            case Long number -> out.append(number);
            case Enum<?> constant -> appendString(out, constant.name());
            case Instant moment -> appendString(out, moment.toString());
            case String string -> appendString(out, string);
            default -> throw new IllegalArgumentException("no JSON form for " + value.getClass());
        }
    }

    private static void appendRecord(StringBuilder out, Record record, int indent) {
        out.append('{');
        int inner = indent < 0 ? -1 : indent + 2;
        boolean first = true;
        for (RecordComponent component : SHAPES.get(record.getClass()).components()) {
            separate(out, first, inner);
            first = false;
            appendString(out, component.getName());
            out.append(indent < 0 ? ":" : ": ");
            append(out, get(record, component), inner);
        }
        if (!first && indent >= 0) {
            newLine(out, indent);
        }
        out.append('}');
    }

    private static void appendList(StringBuilder out, List<?> list, int indent) {
        out.append('[');
        int inner = indent < 0 ? -1 : indent + 2;
        boolean first = true;
        for (Object item : list) {
            separate(out, first, inner);
            first = false;
            append(out, item, inner);
        }
        if (!first && indent >= 0) {
            newLine(out, indent);
        }
        out.append(']');
    }

    private static void separate(StringBuilder out, boolean first, int indent) {
        if (!first) {
            out.append(',');
        }
        if (indent >= 0) {
            newLine(out, indent);
        }
    }

    private static void newLine(StringBuilder out, int indent) {
        out.append('\n').repeat(' ', indent);
    }

    /// Escapes what JSON demands and everything outside ASCII, so that no terminal or log is
    /// surprised.
    private static void appendString(StringBuilder out, String string) {
        out.append('"');
        for (int i = 0; i < string.length(); i++) {
            char c = string.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\t' -> out.append("\\t");
                case '\r' -> out.append("\\r");
                default -> {
                    if (c >= 0x20 && c < 0x7f) {
                        out.append(c);
                    } else {
                        out.append("\\u%04x".formatted((int) c));
                    }
                }
            }
        }
        out.append('"');
    }

    private static Object get(Record record, RecordComponent component) {
        try {
            return component.getAccessor().invoke(record);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(component.toString(), e);
        }
    }

    private static Object readValue(JsonParser in, Type type, String key)
            throws IOException, JsonException {
        JsonToken token = in.currentToken();
        if (type instanceof ParameterizedType generic) {
            Type inner = generic.getActualTypeArguments()[0];
            if (generic.getRawType() == Optional.class) {
                return token == JsonToken.VALUE_NULL
                        ? Optional.empty()
                        : Optional.of(readValue(in, inner, key));
            }
            require(token == JsonToken.START_ARRAY, key, "an array");
            var items = new ArrayList<>();
            while (in.nextToken() != JsonToken.END_ARRAY) {
                items.add(readValue(in, inner, key + "[" + items.size() + "]"));
            }
            return List.copyOf(items);
        }
        Class<?> plain = (Class<?>) type;
        if (plain.isRecord()) {
            return readRecord(in, plain, key);
        }
        if (plain == boolean.class || plain == Boolean.class) {
            require(
                    token == JsonToken.VALUE_TRUE || token == JsonToken.VALUE_FALSE,
                    key,
                    "true or false");
            return in.getBooleanValue();
        }
        if (plain == double.class || plain == Double.class) {
            require(token != null && token.isNumeric(), key, "a number");
            return in.getDoubleValue();
        }
        if (plain == long.class
                || plain == Long.class
                || plain == int.class
                || plain == Integer.class) {
            require(token == JsonToken.VALUE_NUMBER_INT, key, "a whole number");
            boolean isLong = plain == long.class || plain == Long.class;
            try {
                return isLong ? (Object) in.getLongValue() : (Object) in.getIntValue();
            } catch (IOException _) {
                throw new JsonException(at(key) + "is out of range");
            }
        }
        require(token == JsonToken.VALUE_STRING, key, "a string");
        String string = in.getText();
        if (plain == Instant.class) {
            try {
                return Instant.parse(string);
            } catch (DateTimeParseException _) {
                throw new JsonException(at(key) + "should be a time like 2026-11-20T12:03:07Z");
            }
        }
        if (plain.isEnum()) {
            for (Object constant : plain.getEnumConstants()) {
                if (((Enum<?>) constant).name().equals(string)) {
                    return constant;
                }
            }
            throw new JsonException(
                    at(key) + "should be one of " + List.of(plain.getEnumConstants()));
        }
        return string;
    }

    private static Object readRecord(JsonParser in, Class<?> type, String key)
            throws IOException, JsonException {
        require(in.currentToken() == JsonToken.START_OBJECT, key, "an object");
        Shape shape = SHAPES.get(type);
        RecordComponent[] components = shape.components();
        Object[] values = new Object[components.length];
        while (in.nextToken() != JsonToken.END_OBJECT) {
            String name = in.currentName();
            Integer index = shape.indexes().get(name);
            String path = key.isEmpty() ? name : key + "." + name;
            if (index == null) {
                throw new JsonException(
                        "unknown key "
                                + path
                                + ", expected "
                                + shape.indexes().keySet().stream().sorted().toList());
            }
            in.nextToken();
            values[index] = readValue(in, components[index].getGenericType(), path);
        }
        for (int i = 0; i < components.length; i++) {
            if (values[i] == null) {
                values[i] = nothing(components[i].getType(), key, components[i].getName());
            }
        }
        try {
            return shape.constructor().newInstance(values);
        } catch (InvocationTargetException e) {
            throw new JsonException(at(key) + e.getCause().getMessage());
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(type.toString(), e);
        }
    }

    private static Object nothing(Class<?> type, String key, String name) throws JsonException {
        if (type == Optional.class) {
            return Optional.empty();
        }
        if (type == boolean.class) {
            return false;
        }
        throw new JsonException("key " + (key.isEmpty() ? name : key + "." + name) + " is missing");
    }

    private static void require(boolean holds, String key, String expected) throws JsonException {
        if (!holds) {
            throw new JsonException(at(key) + "should be " + expected);
        }
    }

    private static String at(String key) {
        return key.isEmpty() ? "the text " : "key " + key + " ";
    }
}
