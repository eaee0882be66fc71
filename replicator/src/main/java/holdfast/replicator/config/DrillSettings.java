package holdfast.replicator.config;

import holdfast.throttle.WeeklyTime;

import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Drills that the daemon runs by itself, `[drill]` of `node.toml`. They stand there and not with a
/// resource, whose settings come from the peer: that must not name what is run here.
///
/// @param zone the clock that the calendar means
/// @param timeout how long a check may run
public record DrillSettings(List<Entry> calendar, ZoneId zone, Duration timeout) {
    /// A bound for what is looked at every second.
    public static final int MAX_ENTRIES = 100;

    private static final String EXAMPLE = "Sun 03:00 home files 1000";
    private static final Pattern WHAT = Pattern.compile("(\\S+)(?: +(\\S.*))?");

    public DrillSettings {
        calendar = List.copyOf(calendar);
    }

    /// One line: `[days] HH:MM NAME [CHECK]`.
    ///
    /// @param check a program and its arguments; absent: the copy is mounted only
    public record Entry(WeeklyTime when, String resource, Optional<String> check) {
        /// @throws IllegalArgumentException its message says what would be right
        public static Entry parse(String line) {
            WeeklyTime.Entry parts = WeeklyTime.parse(line, EXAMPLE);
            Matcher m = WHAT.matcher(parts.what().strip());
            if (!m.matches() || !Type.NAME.matcher(m.group(1)).matches()) {
                throw new IllegalArgumentException(
                        "\"%s\" names no resource, should be like \"%s\"".formatted(line, EXAMPLE));
            }
            if (line.chars().anyMatch(c -> c < ' ' || c == 127)) {
                throw new IllegalArgumentException("contains a control character");
            }
            Optional<String> check = Optional.ofNullable(m.group(2));
            String program = check.map(words -> words.split(" ", 2)[0]).orElse("");
            if (program.contains("/") && !program.startsWith("/")) {
                throw new IllegalArgumentException(
                        "\"%s\" runs \"%s\", should be an absolute path, or the name of a check"
                                .formatted(line, program));
            }
            return new Entry(parts.when(), m.group(1), check);
        }
    }

    /// Those whose time has come after `from` and at `to` at the latest, in the order of the lines.
    public List<Entry> due(Instant from, Instant to) {
        return calendar.stream().filter(each -> each.when().isBetween(from, to, zone)).toList();
    }
}
