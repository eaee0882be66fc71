package holdfast.replicator.status;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.time.Instant;

class WordsTest {
    @ParameterizedTest
    @CsvSource({
        "0, 0 B",
        "1023, 1023 B",
        "1024, 1 KiB",
        "1025, 1.1 KiB",
        "831488, 812 KiB",
        "831489, 813 KiB",
        "1048575, 1 MiB",
        "10484711, 10 MiB",
        "9223372036854775807, 8 EiB"
    })
    void sizesAreRoundedUp(long bytes, String text) {
        assertEquals(text, Words.bytes(bytes));
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0 s",
        "13.01, 14 s",
        "119, 119 s",
        "119.5, 2 min",
        "121, 3 min",
        "7200, 120 min",
        "7201, 3 h",
        "172800, 48 h",
        "172801, 3 days"
    })
    void spansAreRoundedUp(double seconds, String text) {
        assertEquals(text, Words.span(seconds));
    }

    @ParameterizedTest
    @CsvSource({
        "14, 14 s ago",
        "0, 0 s ago",
        "-0.9, 0 s ago",
        "-1.1, 'in the future, by 2 s'",
        "-10800, 'in the future, by 3 h'"
    })
    void whatIsInTheFutureIsNotNow(double secondsAgo, String text) {
        Instant then = Samples.NOW.minusMillis((long) (1000 * secondsAgo));
        assertEquals(text, Words.ago(then, Samples.NOW));
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0 B/s",
        "999, 999 B/s",
        "2000000, 2.0 MB/s",
        "12500000, 13 MB/s",
        "9960000000, 10 GB/s"
    })
    void ratesAreDecimal(double rate, String text) {
        assertEquals(text, Words.rate(rate));
    }

    @ParameterizedTest
    @CsvSource({
        "8000, 64 kbit/s",
        "2250000, 18 Mbit/s",
        "125000000, 1 Gbit/s",
        "187500, 1.5 Mbit/s",
        "12500000, 100 Mbit/s"
    })
    void limitsReadAsTheyAreSet(long bytesPerSecond, String text) {
        assertEquals(text, Words.bitRate(bytesPerSecond));
    }

    @ParameterizedTest
    @CsvSource({
        "UP_TO_DATE, UpToDate",
        "STANDALONE, StandAlone",
        "CONNECTED, Connected",
        "SYNC_SOURCE, SyncSource",
        "PRIMARY, Primary"
    })
    void statesReadAsInDrbd(String state, String text) {
        assertEquals(text, Words.state(state));
    }
}
