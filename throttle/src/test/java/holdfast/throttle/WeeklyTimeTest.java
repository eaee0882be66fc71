package holdfast.throttle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.time.Instant;
import java.time.ZoneId;

class WeeklyTimeTest {
    private static final ZoneId BERLIN = ZoneId.of("Europe/Berlin");
    private static final String EXAMPLE = "Sun 03:00 home";

    private static WeeklyTime when(String line) {
        return WeeklyTime.parse(line + " home", EXAMPLE).when();
    }

    @Test
    void aLineSaysWhenAndWhat() {
        WeeklyTime.Entry entry = WeeklyTime.parse("Sat,Sun 04:30 db /etc/check  a b", EXAMPLE);
        assertEquals("db /etc/check  a b", entry.what());
        assertEquals("04:30", entry.when().time().toString());
        assertEquals(2, entry.when().days().size());
    }

    /// In 2026 the clocks change on 29 March at 02:00 and on 25 October at 03:00; 29 November is a
    /// Sunday.
    @ParameterizedTest
    @CsvSource({
        "03:00,         2026-11-29T01:59:59Z, 2026-11-29T02:00:00Z",
        "03:00,         2026-11-29T02:00:00Z, 2026-11-30T02:00:00Z",
        "Sun 03:00,     2026-11-29T02:00:00Z, 2026-12-06T02:00:00Z",
        "Mon-Fri 03:00, 2026-11-27T02:00:00Z, 2026-11-30T02:00:00Z",
        "Sat 00:00,     2026-11-29T12:00:00Z, 2026-12-04T23:00:00Z",
        "02:30,         2026-03-28T12:00:00Z, 2026-03-29T01:00:00Z",
        "02:30,         2026-03-29T01:00:00Z, 2026-03-30T00:30:00Z",
        "02:30,         2026-10-24T12:00:00Z, 2026-10-25T00:30:00Z",
        "02:30,         2026-10-25T00:30:00Z, 2026-10-26T01:30:00Z"
    })
    void itComesOnceOnEachOfItsDays(String line, Instant after, Instant next) {
        assertEquals(next, when(line).next(after, BERLIN));
    }

    @Test
    void itIsBetweenTwoLooksOnce() {
        Instant at = Instant.parse("2026-11-29T02:00:00Z");
        WeeklyTime three = when("Sun 03:00");
        assertTrue(three.isBetween(at.minusSeconds(1), at, BERLIN));
        assertFalse(three.isBetween(at, at.plusSeconds(1), BERLIN));
        assertFalse(three.isBetween(at.minusSeconds(2), at.minusSeconds(1), BERLIN));
        assertTrue(three.isBetween(at.minusSeconds(100_000), at.plusSeconds(100_000), BERLIN));
    }

    @ParameterizedTest
    @CsvSource({"Sun home", "3:00 home", "Sun 24:00 home", "Son 03:00 home", "Sun 03:00", "''"})
    void aWrongLineIsSaidToBe(String line) {
        String message =
                assertThrows(IllegalArgumentException.class, () -> WeeklyTime.parse(line, EXAMPLE))
                        .getMessage();
        assertTrue(message.contains("should be"), message);
    }
}
