package holdfast.throttle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.time.Duration;
import java.util.Random;

class RateTest {
    @ParameterizedTest
    @CsvSource({
        "18 Mbit/s, 2250000, 18 Mbit/s", "64 kbit/s, 8000, 64 kbit/s", "1 MB/s, 1000000, 8 Mbit/s",
        "1 MiB/s, 1048576, 1 MiB/s", "1.5 Mbit/s, 187500, 1500 kbit/s",
                "1Gbit/s, 125000000, 1 Gbit/s",
        "100 Gbit/s, 12500000000, 100 Gbit/s", "512 KiB/s, 524288, 512 KiB/s",
                "9001 B/s, 9001, 72008 bit/s",
        "800 kB/s, 800000, 6400 kbit/s", "64000 bit/s, 8000, 64 kbit/s"
    })
    void aRateIsReadAndPrinted(String text, long bytesPerSecond, String printed) {
        assertEquals(bytesPerSecond, Rate.parse(text).bytesPerSecond());
        assertEquals(printed, Rate.parse(text).toString());
    }

    @Test
    void everyRateReadsBackWhatItPrints() {
        var random = new Random(1);
        for (int i = 0; i < 10_000; i++) {
            var rate =
                    new Rate(random.nextLong(Rate.MIN_BYTES_PER_SECOND, Rate.MAX_BYTES_PER_SECOND));
            assertEquals(rate, Rate.parse(rate.toString()));
        }
        assertEquals(Rate.UNLIMITED, Rate.parse(Rate.UNLIMITED.toString()));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "18 Mbps | did you mean \"Mbit/s\"?",
                "18 mbit/s | did you mean \"Mbit/s\"?",
                "1 mib/s | did you mean \"MiB/s\"?",
                "18 | is no rate, should be like \"18 Mbit/s\"",
                "18 parsecs | unknown unit \"parsecs\", should be like",
                "-1 Mbit/s | is no rate",
                "1 kbit/s | rate is 1 kbit/s, should be at least 64 kbit/s",
                "0 bit/s | should be at least 64 kbit/s",
                "999999 Gbit/s | rate is 999999 Gbit/s, should be at most 100 Gbit/s",
                "1e3 Mbit/s | is no rate",
                "18  Mbit/s | is no rate"
            })
    void whatIsWrongIsSaidWithWhatWouldBeRight(String text, String message) {
        var e = assertThrows(IllegalArgumentException.class, () -> Rate.parse(text));
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " ", "unlimited ", "Unlimited"})
    void nothingIsGuessed(String text) {
        assertThrows(IllegalArgumentException.class, () -> Rate.parse(text));
    }

    @Test
    void aPieceForASlowLineIsSmall() {
        assertEquals(800, Rate.parse("64 kbit/s").bytesIn(Duration.ofMillis(100)));
        assertEquals(Long.MAX_VALUE, Rate.UNLIMITED.bytesIn(Duration.ofMillis(100)));
    }
}
