package holdfast.replicator.status;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.time.Instant;
import java.time.ZoneId;
import java.util.List;
import java.util.Optional;

class HistoryWordsTest {
    /// Two hours before UTC.
    private static final ZoneId ZONE = ZoneId.of("Etc/GMT-2");

    private static final Optional<Instant> FIRST = at("2026-11-20T10:03:09Z");
    private static final Optional<Instant> LAST = at("2026-11-20T23:10:00Z");
    private static final Optional<Long> NONE = Optional.of(0L);

    private static Optional<Instant> at(String moment) {
        return Optional.of(Instant.parse(moment));
    }

    private static String of(
            Optional<Instant> since,
            Optional<Instant> last,
            boolean orLater,
            Optional<Long> blocks,
            boolean atMost,
            Optional<Long> doubtful) {
        StatusReport.Side side =
                new StatusReport.Side(
                        "server",
                        "PRIMARY",
                        "a/12",
                        List.of(),
                        true,
                        since,
                        last,
                        orLater,
                        blocks,
                        blocks.map(each -> each << 12),
                        atMost,
                        doubtful,
                        doubtful.map(each -> each << 12));
        String words = words(side);
        String begin = "server: primary, at a/12; ";
        assertTrue(words.startsWith(begin), words);
        return words.substring(begin.length());
    }

    private static String words(StatusReport.Side side) {
        return HistoryWords.of(
                        new StatusReport.Histories(
                                Optional.empty(), Optional.empty(), List.of(side)),
                        Optional.empty(),
                        ZONE)
                .get(1);
    }

    @Test
    void bothSidesInWordsWithWhatIsKnownOfThem() {
        assertEquals(
                List.of(
                        "both were the same at 2026-11-20 12:03:21 for the last time (position 3fa901/7)",
                        "server: primary, at 77aa00/0, attached by server after a crash at 2026-11-20 13:13:21; it wrote at most 512 blocks (2 MiB) that it knows of, and perhaps others among 1,024 blocks (4 MiB), which were open to writes when it crashed or are to be compared for another reason, from 2026-11-20 12:03:22, last at 2026-11-20 13:03:21 or later",
                        "backup: primary, at 91b300/3, promoted by backup at 2026-11-20 13:05:01; it wrote 1 block (4 KiB) from 2026-11-20 13:06:41, last at 2026-11-20 14:01:41"),
                HistoryWords.of(Samples.HISTORIES, Optional.empty(), ZONE));
    }

    /// What is shown in whole seconds need not be put right by less; and what may be a second is
    /// not said to be one.
    @Test
    void clocksThatDifferAreSaidToBesideTheTimesAndAlikeOnBothSides() {
        assertEquals(
                "each time is by the clock of the host that tells it, and that of backup is 37 s ahead of that of server now",
                clocks(new StatusReport.ClockOffset(37, 0.1)));
        assertEquals(
                "each time is by the clock of the host that tells it, and that of server is 48 h ahead of that of backup now",
                clocks(new StatusReport.ClockOffset(-172_800, 30)));
        assertEquals("", clocks(new StatusReport.ClockOffset(0.9, 0)));
        assertEquals("", clocks(new StatusReport.ClockOffset(-3, 2.5)));
    }

    private static String clocks(StatusReport.ClockOffset clock) {
        List<String> lines = HistoryWords.of(Samples.HISTORIES, Optional.of(clock), ZONE);
        return lines.size() == 3 ? "" : lines.get(3);
    }

    @Test
    void theLastMomentOfBothIsNotMadeUp() {
        List<StatusReport.Side> sides = Samples.HISTORIES.sides();
        assertEquals(
                "no moment is known at which both were the same",
                HistoryWords.of(
                                new StatusReport.Histories(
                                        Optional.empty(), Optional.empty(), sides),
                                Optional.empty(),
                                ZONE)
                        .getFirst());
        assertEquals(
                "both were the same at position a/7 for the last time; when that was is not known",
                HistoryWords.of(
                                new StatusReport.Histories(
                                        Optional.of("a/7"), Optional.empty(), sides),
                                Optional.empty(),
                                ZONE)
                        .getFirst());
    }

    @Test
    void whatASideWroteWithWhatNobodyKnowsSaidToBeSo() {
        assertEquals(
                "it wrote 512 blocks (2 MiB) from 2026-11-20 12:03:09, last at 2026-11-21 01:10:00",
                of(FIRST, LAST, false, Optional.of(512L), false, NONE));
        assertEquals(
                "it wrote 3 blocks (12 KiB), since when is not known, last at 2026-11-21 01:10:00",
                of(Optional.empty(), LAST, false, Optional.of(3L), false, NONE));
        assertEquals(
                "it wrote 3 blocks (12 KiB) from 2026-11-20 12:03:09, when last is not known",
                of(FIRST, Optional.empty(), false, Optional.of(3L), false, NONE));
        assertEquals(
                "how many blocks it wrote is not known, last at 2026-11-21 01:10:00",
                of(Optional.empty(), LAST, false, Optional.empty(), false, Optional.empty()));
        assertEquals("it wrote nothing since", of(FIRST, LAST, false, NONE, false, NONE));
        assertEquals(
                "it knows of nothing that it wrote since, and perhaps others among 1,024 blocks (4 MiB), which were open to writes when it crashed or are to be compared for another reason; last at 2026-11-21 01:10:00 or later",
                of(Optional.empty(), LAST, true, NONE, false, Optional.of(1024L)));
    }

    @Test
    void aSideThatHasNotSaidItIsWaitedForAndACopyHasNothingOfItsOwn() {
        StatusReport.Side silent =
                new StatusReport.Side(
                        "backup",
                        "PRIMARY",
                        "b/0",
                        List.of(),
                        false,
                        Optional.empty(),
                        Optional.empty(),
                        false,
                        Optional.empty(),
                        Optional.empty(),
                        false,
                        Optional.empty(),
                        Optional.empty());
        assertEquals("backup: primary, at b/0; it has not said yet what it wrote", words(silent));
        StatusReport.Side copy =
                new StatusReport.Side(
                        "backup",
                        "SECONDARY",
                        "b/4",
                        List.of(),
                        true,
                        Optional.empty(),
                        LAST,
                        false,
                        Optional.empty(),
                        Optional.empty(),
                        false,
                        Optional.empty(),
                        Optional.empty());
        assertEquals(
                "backup: secondary, at b/4; what it holds was written last at 2026-11-21 01:10:00",
                words(copy));
    }
}
