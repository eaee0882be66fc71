package holdfast.throttle;

import java.time.DayOfWeek;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.time.ZoneId;
import java.time.zone.ZoneRules;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Which rates are in force when: the usual ones, and windows of the week with others.
///
/// ```
/// Mon-Fri 08:00-18:00 catch-up 2 Mbit/s
/// Sat,Sun 00:00-24:00 link 50 Mbit/s
/// 22:00-06:00 link 100 Mbit/s            every night; a window belongs to the day it begins on
/// ```
///
/// Where windows of one kind overlap, the later line wins, so that an exception is written below
/// what it excepts.
///
/// Times are those on the wall. In a night of change a window stays one piece: a time that does not
/// exist (02:30 when the clock goes from 02:00 to 03:00) is the moment of the change, one that
/// comes twice is its first coming. So `02:00-03:00` lasts no time in spring and two hours in
/// autumn, and windows that meet always meet.
public final class RateCalendar {
    /// A bound for what is read from a file and looked at with every change.
    public static final int MAX_ENTRIES = 100;

    private static final String EXAMPLE =
            "should be like \"Mon-Fri 08:00-18:00 catch-up 2 Mbit/s\"";
    private static final String TIMES = "00:00 to 23:59, or 24:00 as an end";
    private static final Pattern ENTRY =
            Pattern.compile(
                    "(?:([A-Za-z][A-Za-z,-]*) +)?(\\d\\d:\\d\\d)-(\\d\\d:\\d\\d) +([a-z-]+) +(.+)");

    /// A window cut off by a night of change comes again a week later; twice a week and a day is
    /// enough to see it.
    private static final int DAYS_AHEAD = 15;

    /// What a window limits.
    private enum Kind {
        LINK,
        CATCH_UP
    }

    /// One line of the calendar.
    ///
    /// @param toNextDay whether `to` is a time of the day after, as in 22:00-06:00 and in
    ///   00:00-24:00
    private record Entry(
            Set<DayOfWeek> days,
            LocalTime from,
            LocalTime to,
            boolean toNextDay,
            Kind kind,
            Rate rate) {
        Instant begin(LocalDate day, ZoneRules rules) {
            return WeekText.instantOf(day.atTime(from), rules);
        }

        Instant end(LocalDate day, ZoneRules rules) {
            return WeekText.instantOf((toNextDay ? day.plusDays(1) : day).atTime(to), rules);
        }
    }

    private final Rates usual;
    private final List<Entry> entries;
    private final ZoneId zone;

    private RateCalendar(Rates usual, List<Entry> entries, ZoneId zone) {
        this.usual = usual;
        this.entries = entries;
        this.zone = zone;
    }

    /// @param usual in force outside of all windows
    /// @param lines each as in the examples above
    /// @throws IllegalArgumentException its message says which line is wrong and what would be
    ///   right
    public static RateCalendar of(Rates usual, List<String> lines, ZoneId zone) {
        if (lines.size() > MAX_ENTRIES) {
            throw new IllegalArgumentException(
                    "calendar has %d entries, should have at most %d"
                            .formatted(lines.size(), MAX_ENTRIES));
        }
        return new RateCalendar(usual, lines.stream().map(RateCalendar::parse).toList(), zone);
    }

    /// Checks one line without keeping it, so that a settings file can report each of its lines.
    ///
    /// @throws IllegalArgumentException its message says what would be right
    public static void check(String line) {
        parse(line);
    }

    /// The rates in force at `moment`.
    public Rates at(Instant moment) {
        LocalDate today = LocalDate.ofInstant(moment, zone);
        Rate link = usual.link();
        Rate catchUp = usual.catchUp();
        for (Entry entry : entries) {
            // Two days back: a zone that skips a whole day can put yesterday's window into it.
            boolean inForce =
                    Stream.of(today.minusDays(2), today.minusDays(1), today)
                            .filter(day -> entry.days().contains(day.getDayOfWeek()))
                            .anyMatch(
                                    day ->
                                            !moment.isBefore(entry.begin(day, zone.getRules()))
                                                    && moment.isBefore(
                                                            entry.end(day, zone.getRules())));
            if (inForce) {
                switch (entry.kind()) {
                    case LINK -> link = entry.rate();
                    case CATCH_UP -> catchUp = entry.rate();
                }
            }
        }
        return new Rates(link, catchUp);
    }

    /// The first moment after `moment` at which other rates are in force; empty when they never
    /// change.
    public Optional<Instant> nextChange(Instant moment) {
        Rates now = at(moment);
        var edges = new TreeSet<Instant>();
        LocalDate first = LocalDate.ofInstant(moment, zone).minusDays(2);
        for (LocalDate day = first;
                day.isBefore(first.plusDays(DAYS_AHEAD + 2));
                day = day.plusDays(1)) {
            for (Entry entry : entries) {
                if (entry.days().contains(day.getDayOfWeek())) {
                    edges.add(entry.begin(day, zone.getRules()));
                    edges.add(entry.end(day, zone.getRules()));
                }
            }
        }
        return edges.tailSet(moment, false).stream()
                .filter(edge -> !at(edge).equals(now))
                .findFirst();
    }

    private static Entry parse(String line) {
        Matcher m = ENTRY.matcher(line.strip());
        if (!m.matches()) {
            throw WeekText.wrong(line, "is no calendar entry, " + EXAMPLE);
        }
        Set<DayOfWeek> days =
                m.group(1) == null
                        ? EnumSet.allOf(DayOfWeek.class)
                        : WeekText.days(line, m.group(1));
        boolean toMidnight = m.group(3).equals("24:00");
        LocalTime from = WeekText.time(line, m.group(2), TIMES);
        LocalTime to = toMidnight ? LocalTime.MIDNIGHT : WeekText.time(line, m.group(3), TIMES);
        if (!toMidnight && from.equals(to)) {
            throw WeekText.wrong(
                    line, "begins and ends at the same time, a whole day is 00:00-24:00");
        }
        Kind kind =
                switch (m.group(4)) {
                    case "link" -> Kind.LINK;
                    case "catch-up" -> Kind.CATCH_UP;
                    default ->
                            throw WeekText.wrong(
                                    line,
                                    "limits \""
                                            + m.group(4)
                                            + "\", should be \"link\" or \"catch-up\"");
                };
        try {
            return new Entry(days, from, to, !to.isAfter(from), kind, Rate.parse(m.group(5)));
        } catch (IllegalArgumentException e) {
            throw WeekText.wrong(line, e.getMessage());
        }
    }
}
