package holdfast.throttle;

import java.time.DayOfWeek;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.time.ZoneId;
import java.util.EnumSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A time of day on some days of the week, like `Sun 03:00`, or `03:00` for every day. In a night
/// of change it means what a [RateCalendar] means by it, and comes once.
public record WeeklyTime(Set<DayOfWeek> days, LocalTime time) {
    private static final Pattern ENTRY =
            Pattern.compile("(?:([A-Za-z][A-Za-z,-]*) +)?(\\d\\d:\\d\\d) +(.+)");

    /// A week, and a day at each end for zones that skip one.
    private static final int DAYS_AHEAD = 9;

    public WeeklyTime {
        days = Set.copyOf(days);
    }

    /// One line of a calendar: when, and what then.
    public record Entry(WeeklyTime when, String what) {}

    /// Takes a line apart.
    ///
    /// @param example of a right line
    /// @throws IllegalArgumentException its message says what would be right
    public static Entry parse(String line, String example) {
        Matcher m = ENTRY.matcher(line.strip());
        if (!m.matches()) {
            throw WeekText.wrong(line, "is no calendar entry, should be like \"" + example + "\"");
        }
        Set<DayOfWeek> days =
                m.group(1) == null
                        ? EnumSet.allOf(DayOfWeek.class)
                        : WeekText.days(line, m.group(1));
        return new Entry(
                new WeeklyTime(days, WeekText.time(line, m.group(2), "00:00 to 23:59")),
                m.group(3));
    }

    /// Whether it comes after `from` and at `to` at the latest.
    public boolean isBetween(Instant from, Instant to, ZoneId zone) {
        return !next(from, zone).isAfter(to);
    }

    /// The first coming after a moment.
    public Instant next(Instant after, ZoneId zone) {
        LocalDate first = LocalDate.ofInstant(after, zone).minusDays(1);
        for (int i = 0; i < DAYS_AHEAD; i++) {
            LocalDate day = first.plusDays(i);
            Instant at = WeekText.instantOf(day.atTime(time), zone.getRules());
            if (days.contains(day.getDayOfWeek()) && at.isAfter(after)) {
                return at;
            }
        }
        throw new IllegalStateException("no " + this + " within a week after " + after);
    }
}
