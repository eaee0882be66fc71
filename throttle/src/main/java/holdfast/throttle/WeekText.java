package holdfast.throttle;

import java.time.DateTimeException;
import java.time.DayOfWeek;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.zone.ZoneOffsetTransition;
import java.time.zone.ZoneRules;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// Days of the week and times of day as the settings write them.
final class WeekText {
    private static final List<String> DAY_NAMES =
            List.of("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun");

    private WeekText() {}

    /// Like `Mon-Fri`, `Sat,Sun` or `Fri-Mon`.
    ///
    /// @param line that it stands in, for the message
    static Set<DayOfWeek> days(String line, String text) {
        var days = EnumSet.noneOf(DayOfWeek.class);
        for (String part : text.split(",", -1)) {
            String[] ends = part.split("-", -1);
            DayOfWeek first = day(line, ends[0]);
            DayOfWeek last = day(line, ends[ends.length - 1]);
            if (ends.length > 2) {
                throw wrong(line, "has the days \"" + part + "\", should be like \"Mon-Fri\"");
            }
            for (DayOfWeek day = first; ; day = day.plus(1)) { // Fri-Mon goes over the weekend
                days.add(day);
                if (day == last) {
                    break;
                }
            }
        }
        return days;
    }

    private static DayOfWeek day(String line, String name) {
        int index = DAY_NAMES.indexOf(name);
        if (index < 0) {
            throw wrong(
                    line,
                    "has the day \""
                            + name
                            + "\", should be one of "
                            + String.join(" ", DAY_NAMES));
        }
        return DayOfWeek.of(index + 1);
    }

    /// @param right what would be, for the message
    static LocalTime time(String line, String text, String right) {
        try {
            return LocalTime.parse(text);
        } catch (DateTimeException e) {
            throw wrong(line, "has the time \"" + text + "\", should be " + right);
        }
    }

    /// The moment at which clocks show that: one that does not exist is the moment of the change,
    /// one that comes twice its first coming.
    static Instant instantOf(LocalDateTime wall, ZoneRules rules) {
        ZoneOffsetTransition change = rules.getTransition(wall);
        if (change == null) {
            return wall.toInstant(rules.getOffset(wall));
        }
        return change.isGap() ? change.getInstant() : wall.toInstant(change.getOffsetBefore());
    }

    static IllegalArgumentException wrong(String line, String message) {
        return new IllegalArgumentException("\"" + line + "\" " + message);
    }
}
