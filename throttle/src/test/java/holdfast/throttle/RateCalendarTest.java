package holdfast.throttle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

class RateCalendarTest {
    private static final ZoneId BERLIN = ZoneId.of("Europe/Berlin");
    private static final Rates USUAL = new Rates(Rate.parse("18 Mbit/s"), Rate.parse("10 Mbit/s"));

    private final RateCalendar office =
            calendar("Mon-Fri 08:00-18:00 catch-up 2 Mbit/s", "22:00-06:00 link 100 Mbit/s");

    @Test
    void outsideOfAllWindowsTheUsualRatesAreInForce() {
        assertEquals(USUAL, office.at(berlin("2026-11-21T12:00"))); // a Saturday
    }

    @Test
    void aWindowBeginsWithItsFirstMinuteAndEndsBeforeItsLast() {
        assertEquals("10 Mbit/s", catchUp(office, "2026-11-20T07:59:59"));
        assertEquals("2 Mbit/s", catchUp(office, "2026-11-20T08:00"));
        assertEquals("2 Mbit/s", catchUp(office, "2026-11-20T17:59:59"));
        assertEquals("10 Mbit/s", catchUp(office, "2026-11-20T18:00"));
    }

    @Test
    void aWindowOverMidnightBelongsToTheDayItBeginsOn() {
        RateCalendar friday = calendar("Fri 22:00-06:00 link 100 Mbit/s");
        assertEquals("18 Mbit/s", link(friday, "2026-11-20T05:00")); // Friday morning
        assertEquals("100 Mbit/s", link(friday, "2026-11-20T23:00"));
        assertEquals("100 Mbit/s", link(friday, "2026-11-21T05:59"));
        assertEquals("18 Mbit/s", link(friday, "2026-11-21T06:00"));
    }

    @Test
    void wholeDaysAndDaysOverTheWeekend() {
        RateCalendar weekend =
                calendar(
                        "Sat,Sun 00:00-24:00 link 50 Mbit/s",
                        "Sun-Tue 12:00-13:00 catch-up unlimited");
        assertEquals("50 Mbit/s", link(weekend, "2026-11-21T00:00"));
        assertEquals("50 Mbit/s", link(weekend, "2026-11-22T23:59:59"));
        assertEquals("18 Mbit/s", link(weekend, "2026-11-23T00:00"));
        assertEquals("unlimited", catchUp(weekend, "2026-11-23T12:30"));
        assertEquals("10 Mbit/s", catchUp(weekend, "2026-11-25T12:30"));
        assertEquals(
                Optional.of(berlin("2026-11-23T00:00")),
                weekend.nextChange(berlin("2026-11-22T14:00")));
    }

    @Test
    void whereWindowsOverlapTheLaterLineWins() {
        RateCalendar exception = calendar("08:00-18:00 link 1 Mbit/s", "12:00-13:00 link 5 Mbit/s");
        assertEquals("1 Mbit/s", link(exception, "2026-11-20T11:59"));
        assertEquals("5 Mbit/s", link(exception, "2026-11-20T12:00"));
        assertEquals("1 Mbit/s", link(exception, "2026-11-20T13:00"));
    }

    @Test
    void theNextChangeIsWhereOtherRatesBegin() {
        assertEquals(
                Optional.of(berlin("2026-11-20T18:00")),
                office.nextChange(berlin("2026-11-20T12:00")));
        assertEquals(
                Optional.of(berlin("2026-11-20T22:00")),
                office.nextChange(berlin("2026-11-20T18:00")));
        assertEquals(
                Optional.of(berlin("2026-11-21T06:00")),
                office.nextChange(berlin("2026-11-20T22:00")));
        assertEquals(
                Optional.of(berlin("2026-11-21T22:00")),
                office.nextChange(berlin("2026-11-21T06:00")));
    }

    @Test
    void aWindowThatChangesNothingIsNoChange() {
        assertEquals(Optional.empty(), calendar().nextChange(berlin("2026-11-20T12:00")));
        assertEquals(
                Optional.empty(),
                calendar("08:00-18:00 link 18 Mbit/s").nextChange(berlin("2026-11-20T12:00")));
        RateCalendar always = calendar("00:00-24:00 link 5 Mbit/s");
        assertEquals(Optional.empty(), always.nextChange(berlin("2026-11-20T12:00")));
        assertEquals("5 Mbit/s", link(always, "2026-11-20T00:00"));
    }

    /// 29 March 2026: 02:00 CET is 03:00 CEST; the hour between is not there.
    @Test
    void inSpringAWindowOfTheMissingHourLastsNoTime() {
        RateCalendar missing = calendar("02:00-03:00 link 5 Mbit/s");
        assertEquals(
                "18 Mbit/s", missing.at(Instant.parse("2026-03-29T00:59:59Z")).link().toString());
        assertEquals(
                "18 Mbit/s", missing.at(Instant.parse("2026-03-29T01:00:00Z")).link().toString());
        assertEquals(
                Optional.of(Instant.parse("2026-03-30T00:00:00Z")),
                missing.nextChange(Instant.parse("2026-03-28T12:00:00Z")));
    }

    @Test
    void inSpringAWindowThatBeginsInTheMissingHourBeginsWithTheChange() {
        RateCalendar late = calendar("02:30-04:00 link 5 Mbit/s");
        assertEquals(
                Optional.of(Instant.parse("2026-03-29T01:00:00Z")),
                late.nextChange(Instant.parse("2026-03-29T00:30:00Z")));
        assertEquals(
                Optional.of(Instant.parse("2026-03-29T02:00:00Z")),
                late.nextChange(Instant.parse("2026-03-29T01:00:00Z")));
    }

    /// 25 October 2026: 03:00 CEST is 02:00 CET; the hour before comes twice.
    @Test
    void inAutumnAWindowIsOnePieceAndBeginsWithTheFirstComing() {
        RateCalendar twice = calendar("02:00-03:00 link 5 Mbit/s");
        assertEquals(
                Optional.of(Instant.parse("2026-10-25T00:00:00Z")),
                twice.nextChange(Instant.parse("2026-10-24T12:00:00Z")));
        assertEquals(
                Optional.of(Instant.parse("2026-10-25T02:00:00Z")),
                twice.nextChange(Instant.parse("2026-10-25T00:00:00Z")));
        RateCalendar night = calendar("22:00-02:30 link 5 Mbit/s");
        assertEquals(
                Optional.of(Instant.parse("2026-10-25T00:30:00Z")),
                night.nextChange(Instant.parse("2026-10-24T22:00:00Z")));
        assertEquals(
                "18 Mbit/s", night.at(Instant.parse("2026-10-25T01:15:00Z")).link().toString());
    }

    @Test
    void windowsThatMeetLeaveNoGapInTheNightsOfChange() {
        RateCalendar meeting = calendar("00:00-02:30 link 5 Mbit/s", "02:30-24:00 link 6 Mbit/s");
        for (String day : List.of("2026-03-29", "2026-10-25", "2026-06-01")) {
            Instant t = LocalDateTime.parse(day + "T00:00").atZone(BERLIN).toInstant();
            Instant end =
                    LocalDateTime.parse(day + "T00:00").plusDays(1).atZone(BERLIN).toInstant();
            for (; t.isBefore(end); t = t.plusSeconds(60)) {
                assertTrue(meeting.at(t).link().bytesPerSecond() < 1_000_000, "no window at " + t);
            }
        }
    }

    /// Samoa went from 29 to 31 December 2011: Friday was not there.
    @Test
    void aDayThatIsSkippedEndsTheWindowsOfTheDayBefore() {
        var apia = ZoneId.of("Pacific/Apia");
        RateCalendar friday =
                RateCalendar.of(USUAL, List.of("Fri 00:00-24:00 link 5 Mbit/s"), apia);
        Instant thursday = ZonedDateTime.of(2011, 12, 29, 23, 0, 0, 0, apia).toInstant();
        Instant saturday = ZonedDateTime.of(2011, 12, 31, 0, 0, 0, 0, apia).toInstant();
        assertEquals(USUAL, friday.at(thursday));
        assertEquals(USUAL, friday.at(saturday));
    }

    @Test
    void goingFromChangeToChangeMissesNone() {
        RateCalendar busy =
                calendar(
                        "Mon-Fri 08:00-18:00 catch-up 2 Mbit/s",
                        "Sat,Sun 00:00-24:00 link 50 Mbit/s",
                        "22:00-06:00 link 100 Mbit/s",
                        "01:45-02:15 catch-up unlimited");
        Instant end = Instant.parse("2026-11-01T00:00:00Z");
        Instant t = Instant.parse("2026-10-20T00:00:00Z");
        while (t.isBefore(end)) {
            Rates rates = busy.at(t);
            Instant next = busy.nextChange(t).orElseThrow();
            for (Instant between = t; between.isBefore(next); between = between.plusSeconds(300)) {
                assertEquals(rates, busy.at(between), "at " + between);
            }
            t = next;
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "nonsense | is no calendar entry, should be like",
                "Mon-Fry 08:00-18:00 link 1 Mbit/s | has the day \"Fry\"",
                "08:00-18:00 upload 1 Mbit/s | limits \"upload\", should be \"link\" or"
                        + " \"catch-up\"",
                "08:00-08:00 link 1 Mbit/s | a whole day is 00:00-24:00",
                "08:00-25:00 link 1 Mbit/s | has the time \"25:00\"",
                "24:00-06:00 link 1 Mbit/s | has the time \"24:00\"",
                "08:00-18:00 link 1 kbit/s | at least 64 kbit/s",
                "8:00-18:00 link 1 Mbit/s | is no calendar entry",
                "Mon-Tue-Wed 08:00-18:00 link 1 Mbit/s | like \"Mon-Fri\"",
                "Mon, 08:00-18:00 link 1 Mbit/s | has the day \"\""
            })
    void aLineThatIsWrongSaysWhatWouldBeRight(String line, String message) {
        var e = assertThrows(IllegalArgumentException.class, () -> calendar(line));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        assertTrue(e.getMessage().contains(line), e.getMessage());
    }

    @Test
    void aCalendarHasALimit() {
        var lines = Collections.nCopies(RateCalendar.MAX_ENTRIES + 1, "08:00-18:00 link 1 Mbit/s");
        assertThrows(
                IllegalArgumentException.class,
                () -> RateCalendar.of(USUAL, lines, ZoneOffset.UTC));
    }

    private static RateCalendar calendar(String... lines) {
        return RateCalendar.of(USUAL, List.of(lines), BERLIN);
    }

    private static String link(RateCalendar calendar, String local) {
        return calendar.at(berlin(local)).link().toString();
    }

    private static String catchUp(RateCalendar calendar, String local) {
        return calendar.at(berlin(local)).catchUp().toString();
    }

    private static Instant berlin(String local) {
        return LocalDateTime.parse(local).atZone(BERLIN).toInstant();
    }
}
