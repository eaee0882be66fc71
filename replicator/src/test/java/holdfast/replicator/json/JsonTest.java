package holdfast.replicator.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

class JsonTest {
    enum Colour {
        RED,
        GREEN
    }

    record Inner(Optional<Long> count, List<String> names) {}

    record Outer(
            String text,
            int small,
            long large,
            double number,
            boolean flag,
            Instant time,
            Colour colour,
            Optional<Inner> inner,
            List<Inner> inners) {}

    record Brief(String name, boolean force, Optional<String> other) {}

    private static final Outer SAMPLE =
            new Outer(
                    "a \"quoted\" \\ \n\t\r\u0001 line, \u00e4 \ud83d\udc1f \u2028",
                    -7,
                    Long.MIN_VALUE,
                    0.25,
                    true,
                    Instant.parse("2026-11-20T12:03:07.5Z"),
                    Colour.GREEN,
                    Optional.of(new Inner(Optional.empty(), List.of("x"))),
                    List.of(new Inner(Optional.of(3L), List.of())));

    @Test
    void whatIsWrittenIsReadAgain() throws JsonException {
        assertEquals(SAMPLE, Json.read(Json.write(SAMPLE), Outer.class));
        assertEquals(SAMPLE, Json.read(Json.writePretty(SAMPLE), Outer.class));
    }

    @Test
    void theTextIsAsciiAndHasEveryKey() {
        assertEquals(
                "{\"name\":\"\\u00e4\\u0001\",\"force\":false,\"other\":null}",
                Json.write(new Brief("\u00e4\u0001", false, Optional.empty())));
    }

    @Test
    void aShortRequestLeavesOutWhatIsNothing() throws JsonException {
        assertEquals(
                new Brief("x", false, Optional.empty()),
                Json.read("{\"name\":\"x\"}", Brief.class));
    }

    @Test
    void whatIsNoNumberIsNull() {
        record Rate(double value) {}
        assertEquals("{\"value\":null}", Json.write(new Rate(Double.NaN)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{} | key name is missing",
                "{'name':null} | key name should be a string",
                "{'name':1} | key name should be a string",
                "{'name':'x','force':1} | key force should be true or false",
                "{'name':'x','nmae':1} | unknown key nmae, expected [force, name, other]",
                "{'name':'x'} {} | something follows the end of the object",
                "[] | the text should be an object",
                "7 | the text should be an object"
            })
    void whatIsWrongIsNamed(String text, String message) {
        var e =
                assertThrows(
                        JsonException.class, () -> Json.read(text.replace('\'', '"'), Brief.class));
        assertEquals(message, e.getMessage());
    }

    @Test
    void brokenTextIsAnExceptionOfOurs() {
        String whole = Json.write(SAMPLE);
        for (int length = 0; length < whole.length(); length++) {
            String part = whole.substring(0, length);
            assertThrows(JsonException.class, () -> Json.read(part, Outer.class));
        }
        assertThrows(
                JsonException.class,
                () -> Json.read("{\"name\":\"x\",\"name\":\"y\"}", Brief.class));
        assertThrows(
                JsonException.class,
                () -> Json.read("{\"name\":" + "[".repeat(100_000), Brief.class));
        assertThrows(
                JsonException.class,
                () -> Json.read("{\"name\":\"" + "x".repeat(70_000) + "\"}", Brief.class));
    }
}
