package holdfast.replicator.config;

import holdfast.throttle.WeeklyTime;

import java.time.Instant;
import java.time.ZoneId;
import java.util.List;

/// Verifications that the daemon begins by itself, `[verify]` of `node.toml`, where the data is.
///
/// @param zone the clock that the calendar means
public record VerifySettings(List<Entry> calendar, ZoneId zone) {
    /// A bound for what is looked at every second.
    public static final int MAX_ENTRIES = 100;

    private static final String EXAMPLE = "Sun 02:00 home";

    public VerifySettings {
        calendar = List.copyOf(calendar);
    }

    /// One line: `[days] HH:MM NAME`.
    public record Entry(WeeklyTime when, String resource) {
        /// @throws IllegalArgumentException its message says what would be right
        public static Entry parse(String line) {
            WeeklyTime.Entry parts = WeeklyTime.parse(line, EXAMPLE);
            String name = parts.what().strip();
            if (!Type.NAME.matcher(name).matches()) {
                throw new IllegalArgumentException(
                        "\"%s\" names no resource, should be like \"%s\"".formatted(line, EXAMPLE));
            }
            return new Entry(parts.when(), name);
        }
    }

    /// The resources whose time has come after `from` and at `to` at the latest, each once, in the
    /// order of the lines.
    public List<String> due(Instant from, Instant to) {
        return calendar.stream()
                .filter(each -> each.when().isBetween(from, to, zone))
                .map(Entry::resource)
                .distinct()
                .toList();
    }
}
