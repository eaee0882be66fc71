package holdfast.replicator.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;

import holdfast.replicator.json.Json;
import holdfast.replicator.status.Samples;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// Holds what `--json` and the control socket say to the files in `docs/schemas/`, both ways: a
/// schema names exactly the keys and types that are written. To change a schema is to change an
/// interface that scripts use.
///
/// `mvn -pl replicator -am test -Dtest=SchemasTest -Dholdfast.schemas=write
/// -Dsurefire.failIfNoSpecifiedTests=false` writes the files anew.
class SchemasTest {
    private static final ControlApi.Kept KEPT =
            new ControlApi.Kept(
                    "before",
                    Samples.NOW,
                    Optional.of(Samples.NOW),
                    "a/1",
                    Samples.NOW,
                    Samples.NOW,
                    1,
                    false);

    private static final Path DIRECTORY = Path.of("..", "docs", "schemas");

    private static final StatusReport REPORT =
            StatusReport.of(
                    Samples.node("server"),
                    Optional.of(Samples.link("backup", "CONNECTED", 0)),
                    List.of(
                            Samples.resource("home", "PRIMARY")
                                    .behind(203, 812 << 10, 14)
                                    .progress("CATCH_UP", 41, 100, 30)
                                    .promoted(List.of("before"))
                                    .apart()
                                    .trouble("the disk failed")
                                    .build(),
                            Samples.resource("mail", "SECONDARY")
                                    .drill(false, 42, "check: it failed")
                                    .verify(3, "stopped", true)
                                    .build()),
                    List.of(Samples.unopened("music")),
                    List.of("/etc/holdfast/node.toml"),
                    ZoneOffset.UTC);

    private static final StatusReport.Volume VOLUME =
            new StatusReport.Volume(
                    1, "/dev/b", 1, Optional.of("nbd+unix:"), Optional.of("/dev/nbd1"));

    private static final VerifyReport VERIFIED =
            new VerifyReport(
                    "home",
                    "server",
                    "backup",
                    Samples.NOW,
                    Samples.NOW,
                    false,
                    Optional.of("stopped"),
                    8192,
                    4096,
                    "3fa901/1",
                    "3fa901/2",
                    1,
                    4096,
                    1,
                    List.of(new VerifyReport.Range(0, 4096)),
                    Optional.of(Samples.NOW),
                    Optional.of(
                            new VerifyReport.Repair(
                                    Samples.NOW,
                                    1,
                                    4096,
                                    1,
                                    Optional.of("/var/lib/holdfast/home/repaired-1.blocks"),
                                    Optional.of("the link was lost"))));

    static List<Record> samples() {
        return List.of(
                REPORT,
                Problem.of(ExitCode.REFUSED, "server", "it is in use")
                        .withRole("PRIMARY")
                        .withEvidence("mounted")
                        .withNext("umount /home"),
                new ControlApi.InviteReply("hf1:x", Samples.NOW, "a:1", "ab"),
                new ControlApi.JoinReply("backup", "ab", "a:1"),
                new ControlApi.PeersReply(
                        List.of(
                                new ControlApi.Peer(
                                        "backup", "e1", "ab", Optional.of("a:1"), "CONNECTED"))),
                new ControlApi.StorageReply("/srv", 1, Optional.of(2L)),
                new ControlApi.AddReply(
                        true,
                        "home",
                        "server",
                        "/dev/a",
                        1,
                        Optional.of("ext4"),
                        List.of(VOLUME),
                        "backup",
                        "/dev/b",
                        Optional.of("xfs"),
                        1,
                        Optional.of(1.5),
                        Optional.of("line"),
                        List.of("note"),
                        Optional.of("at backup: holdfast permit home")),
                new ControlApi.PermitReply(
                        true, "home", "backup", "server", "/dev/b", 1, "xfs", "backup/home@3fa901"),
                new ControlApi.AttachReply(
                        "home",
                        "nbd+unix:",
                        "/s",
                        Optional.of("/dev/nbd0"),
                        List.of(VOLUME),
                        List.of("note")),
                new ControlApi.OpenReply(
                        "home",
                        REPORT.resources().get(1).views().getFirst(),
                        1,
                        Optional.of("in a gap")),
                new ControlApi.PromoteReply(
                        true,
                        "home",
                        "backup",
                        Optional.of(
                                new ControlApi.Point(Samples.NOW, Optional.of(Samples.NOW), "a/1")),
                        Optional.empty(),
                        List.of("12 writes are undone"),
                        List.of("there is no second copy now"),
                        Optional.of("backup/home@3fa901")),
                new ControlApi.ReconnectReply(
                        false,
                        "home",
                        "server",
                        Optional.of(Samples.HISTORIES),
                        List.of("both were the same at a/1 for the last time"),
                        List.of("to decide later: nothing"),
                        "server/home@3fa901"),
                new ControlApi.PointsReply(
                        "home",
                        Optional.of(
                                new ControlApi.Point(Samples.NOW, Optional.of(Samples.NOW), "a/1")),
                        Optional.of(
                                new ControlApi.Point(Samples.NOW, Optional.of(Samples.NOW), "a/2")),
                        Optional.of(Samples.NOW),
                        List.of(new ControlApi.Gap(Samples.NOW, Samples.NOW)),
                        1,
                        1,
                        1,
                        1,
                        Optional.of(1L),
                        List.of(KEPT),
                        1,
                        1,
                        "nbd+unix:///home@latest?socket=/run/holdfast/home.nbd",
                        List.of(
                                new ControlApi.Marked(
                                        "nightly", Samples.NOW, Optional.of(Samples.NOW), "a/2")),
                        true),
                new ControlApi.MarkReply("home", "nightly", "backup", Samples.NOW, "a/2"),
                new ControlApi.KeepReply("home", KEPT, Optional.of("in a gap")),
                new ControlApi.DropReply(
                        true, "home", "before", "backup", List.of("gone"), "backup/home@before"),
                new ControlApi.VerifyReply(
                        "home",
                        "server",
                        "backup",
                        true,
                        true,
                        Optional.of(Samples.NOW),
                        Optional.of(1L),
                        Optional.of("it waits"),
                        REPORT.resources().getFirst().progress(),
                        Optional.of(VERIFIED)),
                VERIFIED,
                new ControlApi.MendReply(
                        true,
                        "home",
                        "server",
                        "backup",
                        "server",
                        1,
                        4096,
                        1,
                        List.of("mended"),
                        "backup/home@3fa901"),
                new ControlApi.RemoveReply(
                        true, "home", "server", List.of("gone"), "server/home@3fa901"),
                new ControlApi.SettleReply(
                        true,
                        "home",
                        "backup",
                        "/srv/home.img",
                        List.of("its moments are gone"),
                        "backup/home@3fa901"),
                new ControlApi.AdjustReply(
                        true,
                        List.of(
                                new ControlApi.Change(
                                        "f", "k", Optional.of("a"), Optional.of("b"), "at once")),
                        List.of("node.toml:1:1: wrong")),
                new DrillReport(
                        "home",
                        "backup",
                        Samples.NOW,
                        false,
                        Optional.of("check: it failed"),
                        Optional.of("3f/1"),
                        Optional.of(Samples.NOW),
                        Optional.of(1.5),
                        Optional.of("ext4"),
                        Optional.of("/etc/check"),
                        Optional.of(1.5),
                        2.5,
                        List.of(
                                new DrillReport.Step(
                                        "check", 1.5, DrillReport.Outcome.FAILED, "no"))),
                ControlApi.Done.of("done"),
                new ControlApi.Event(
                        1,
                        Samples.NOW,
                        "server",
                        Optional.of("home"),
                        "disk-changed",
                        "disk: Failed, was UpToDate",
                        Optional.of(new ControlApi.StateChange("disk", "UP_TO_DATE", "FAILED"))),
                new ControlApi.WaitStatus(
                        ControlApi.WaitState.DONE,
                        "a/1",
                        "a/1",
                        "a/1",
                        Optional.of(StatusReport.Behind.NOTHING),
                        Optional.of(
                                new StatusReport.Progress("CATCH_UP", 1, 2, 3, Optional.of(4.0))),
                        "sentence"),
                new MetadataDump(
                        "home",
                        "/var/lib/holdfast/resources/home",
                        Optional.of(1L),
                        true,
                        "e1",
                        "PRIMARY",
                        "/dev/a",
                        Optional.of("/srv/j"),
                        "backup",
                        Optional.of(
                                new MetadataDump.Super(
                                        "f",
                                        0,
                                        1,
                                        "PRIMARY",
                                        1,
                                        List.of(new MetadataDump.Segment(0, 0, 1)),
                                        true,
                                        true,
                                        true,
                                        true,
                                        true,
                                        "3f/1",
                                        "3f/1",
                                        "00",
                                        1,
                                        1,
                                        1,
                                        1,
                                        1)),
                        List.of(
                                new MetadataDump.Generation(
                                        "3f", "none", "CREATE", "e1", Samples.NOW)),
                        Optional.of(
                                new MetadataDump.Tracking(
                                        "f",
                                        1,
                                        false,
                                        1,
                                        1,
                                        "CLEAR",
                                        "3f/1",
                                        "none",
                                        "00",
                                        1,
                                        1,
                                        1,
                                        992,
                                        List.of(new MetadataDump.Range(0, 1)),
                                        new MetadataDump.Marks(
                                                1, 1, List.of(new MetadataDump.Range(0, 1))),
                                        new MetadataDump.Marks(
                                                1, 1, List.of(new MetadataDump.Range(0, 1))))),
                        List.of("standalone"),
                        List.of("damage")),
                new Audit.Entry(Samples.NOW, "root", "remove", "home", 0));
    }

    @ParameterizedTest
    @MethodSource("samples")
    void theFileSaysWhatTheRecordHas(Record sample) throws IOException {
        Path file = DIRECTORY.resolve(fileName(sample));
        String schema = schema(sample.getClass());
        if ("write".equals(System.getProperty("holdfast.schemas"))) {
            Files.createDirectories(DIRECTORY);
            Files.writeString(file, schema);
        }
        assertEquals(Files.readString(file), schema, file.toString());
    }

    @ParameterizedTest
    @MethodSource("samples")
    void whatIsWrittenFitsTheFileAndTheFileHasNothingElse(Record sample) throws IOException {
        Object schema = parse(Files.readString(DIRECTORY.resolve(fileName(sample))));
        compare(schema, parse(Json.write(sample)), sample.getClass().getSimpleName());
    }

    @Test
    void everySchemaBelongsToASample() throws IOException {
        List<String> names = samples().stream().map(SchemasTest::fileName).sorted().toList();
        try (Stream<Path> files = Files.list(DIRECTORY)) {
            // Those in commands/ are of what a command says without a daemon: CommandsTest.
            assertEquals(
                    names,
                    files.filter(Files::isRegularFile)
                            .map(f -> f.getFileName().toString())
                            .sorted()
                            .toList());
        }
    }

    private static String fileName(Record sample) {
        String name =
                sample instanceof Audit.Entry ? "AuditEntry" : sample.getClass().getSimpleName();
        return name.replaceAll("(?<=.)([A-Z])", "-$1").toLowerCase(java.util.Locale.ROOT) + ".json";
    }

    /// Each sample fills in every optional value, so a key of the file that never appears would
    /// show.
    private static void compare(Object schema, Object value, String path) {
        Map<?, ?> rules = (Map<?, ?>) schema;
        List<?> types =
                rules.get("type") instanceof List<?> list ? list : List.of(rules.get("type"));
        switch (value) {
            case Map<?, ?> object -> {
                assertTrue(types.contains("object"), path);
                Map<?, ?> properties = (Map<?, ?>) rules.get("properties");
                assertEquals(List.copyOf(properties.keySet()), List.copyOf(object.keySet()), path);
                assertEquals(List.copyOf(properties.keySet()), rules.get("required"), path);
                properties.forEach((key, rule) -> compare(rule, object.get(key), path + "." + key));
            }
            case List<?> array -> {
                assertTrue(types.contains("array"), path);
                array.forEach(item -> compare(rules.get("items"), item, path + "[]"));
            }
            case String type when type.equals("null") -> assertTrue(types.contains("null"), path);
            case String type ->
                    assertTrue(types.contains(type), path + " is " + type + " and not " + types);
            default -> throw new IllegalStateException(value.toString());
        }
    }

    private static String schema(Class<?> type) {
        var out =
                new StringBuilder(
                        "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n");
        object(out, type, 2, "object");
        return out.append("}\n").toString();
    }

    private static void object(StringBuilder out, Class<?> type, int indent, String typeText) {
        String pad = " ".repeat(indent);
        List<String> required = new ArrayList<>();
        out.append(pad)
                .append("\"type\": ")
                .append(typeText.startsWith("[") ? typeText : "\"" + typeText + "\"")
                .append(",\n");
        out.append(pad)
                .append("\"additionalProperties\": false,\n")
                .append(pad)
                .append("\"properties\": {\n");
        RecordComponent[] components = type.getRecordComponents();
        for (int i = 0; i < components.length; i++) {
            required.add("\"" + components[i].getName() + "\"");
            out.append(pad).append("  \"").append(components[i].getName()).append("\": ");
            value(out, components[i].getGenericType(), indent + 2, false);
            out.append(i + 1 < components.length ? ",\n" : "\n");
        }
        out.append(pad)
                .append("},\n")
                .append(pad)
                .append("\"required\": [")
                .append(String.join(", ", required))
                .append("]\n");
    }

    private static void value(StringBuilder out, Type type, int indent, boolean nullable) {
        if (type instanceof ParameterizedType generic) {
            Type inner = generic.getActualTypeArguments()[0];
            if (generic.getRawType() == Optional.class) {
                value(out, inner, indent, true);
                return;
            }
            out.append("{\"type\": \"array\", \"items\": ");
            value(out, inner, indent, false);
            out.append("}");
            return;
        }
        Class<?> plain = (Class<?>) type;
        if (plain.isRecord()) {
            out.append("{\n");
            object(out, plain, indent + 2, nullable ? "[\"object\", \"null\"]" : "object");
            out.append(" ".repeat(indent)).append("}");
            return;
        }
        String name = name(plain);
        String types = nullable ? "[\"" + name + "\", \"null\"]" : "\"" + name + "\"";
        String more = "";
        if (plain == Instant.class) {
            more = ", \"format\": \"date-time\"";
        } else if (plain.isEnum()) {
            more =
                    ", \"enum\": ["
                            + String.join(
                                    ", ",
                                    Stream.of(plain.getEnumConstants())
                                            .map(c -> "\"" + c + "\"")
                                            .toList())
                            + "]";
        }
        out.append("{\"type\": ").append(types).append(more).append("}");
    }

    private static String name(Class<?> type) {
        if (type == boolean.class || type == Boolean.class) {
            return "boolean";
        }
        if (type == double.class || type == Double.class) {
            return "number";
        }
        return type.isPrimitive() || Number.class.isAssignableFrom(type) ? "integer" : "string";
    }

    /// Objects as maps, arrays as lists; in a value that is no schema, a scalar is the name of its
    /// type.
    private static Object parse(String text) throws IOException {
        boolean isSchema = text.contains("\"$schema\"");
        try (JsonParser in = new JsonFactory().createParser(text)) {
            in.nextToken();
            return parse(in, isSchema);
        }
    }

    private static Object parse(JsonParser in, boolean isSchema) throws IOException {
        return switch (in.currentToken()) {
            case START_OBJECT -> {
                Map<String, Object> object = new LinkedHashMap<>();
                while (in.nextToken() != JsonToken.END_OBJECT) {
                    String key = in.currentName();
                    in.nextToken();
                    object.put(key, parse(in, isSchema));
                }
                yield object;
            }
            case START_ARRAY -> {
                List<Object> array = new ArrayList<>();
                while (in.nextToken() != JsonToken.END_ARRAY) {
                    array.add(parse(in, isSchema));
                }
                yield array;
            }
            case VALUE_STRING -> isSchema ? in.getText() : "string";
            case VALUE_NUMBER_INT -> "integer";
            case VALUE_NUMBER_FLOAT -> "number";
            case VALUE_TRUE, VALUE_FALSE -> "boolean";
            case VALUE_NULL -> "null";
            default -> throw new IOException("token " + in.currentToken());
        };
    }
}
