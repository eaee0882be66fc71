package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;

class AskedPointTest {
    private static final ZoneId BERLIN = ZoneId.of("Europe/Berlin");
    private static final Instant NOW = Instant.parse("2026-11-20T11:30:00Z");

    private static AskedPoint parse(String text) {
        return AskedPoint.parse(text, BERLIN, NOW);
    }

    @ParameterizedTest
    @CsvSource({
        "2026-11-20T11:03:07Z, 2026-11-20T11:03:07Z",
        "2026-11-20T12:03:07+01:00, 2026-11-20T11:03:07Z",
        "2026-11-20 12:03:07, 2026-11-20T11:03:07Z",
        "2026-07-20 12:03, 2026-07-20T10:03:00Z",
        "12:03, 2026-11-20T11:03:00Z",
        "12:31, 2026-11-19T11:31:00Z"
    })
    void aTimeIsOfTheBackupsZoneUnlessItSaysWhich(String text, Instant expected) {
        assertEquals(new AskedPoint.At(expected), parse(text));
    }

    @Test
    void aSpanCountsBackFromTheNewest() {
        assertEquals(new AskedPoint.Before(Duration.ofMinutes(15)), parse("-15m"));
        assertEquals(new AskedPoint.Before(Duration.ofDays(2)), parse("-2d"));
        assertEquals(new AskedPoint.Newest(), parse("latest"));
    }

    @Test
    void aNameIsThatOfAKeptMoment() {
        assertEquals(new AskedPoint.Named("before-upgrade"), parse("before-upgrade"));
        assertEquals("@before-upgrade", parse("before-upgrade").suffix());
        assertEquals(Duration.ofMinutes(90), AskedPoint.duration("90min"));
        for (String wrong : new String[] {"", "0s", "30", "99999d", "-1d", "1w"}) {
            assertThrows(IllegalArgumentException.class, () -> AskedPoint.duration(wrong));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "-15", "-m", "25:00", "2026-13-01 00:00", "12:03Z", "-9999999h"})
    void whatIsNoneSaysWhatWouldBe(String text) {
        IllegalArgumentException e =
                assertThrows(IllegalArgumentException.class, () -> parse(text));
        assertTrue(e.getMessage().contains("-15m"), e.getMessage());
    }
}
