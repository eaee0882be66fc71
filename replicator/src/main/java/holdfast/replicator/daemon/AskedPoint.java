package holdfast.replicator.daemon;

import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Which moment of a copy somebody wants to see, by the primary's clock.
sealed interface AskedPoint {
    /// The newest whole one.
    record Newest() implements AskedPoint {}

    /// The newest that is not after this.
    record At(Instant time) implements AskedPoint {}

    /// The same, counted back from the newest one.
    record Before(Duration duration) implements AskedPoint {}

    String WORDS =
            "latest; -15m, -4h or -2d before the newest; or a time, like 12:03, \"2026-11-20 12:03:07\" or 2026-11-20T11:03:07Z";

    Pattern BEFORE = Pattern.compile("-(\\d{1,6})(s|m|min|h|d)");

    /// @param text as typed, a time without a zone or offset is one of `zone`
    /// @param now a time of day that lies behind it is yesterday's
    /// @throws IllegalArgumentException with what would be right
    static AskedPoint parse(String text, ZoneId zone, Instant now) {
        if (text.equals("latest")) {
            return new Newest();
        }
        Matcher before = BEFORE.matcher(text);
        if (before.matches()) {
            long count = Long.parseLong(before.group(1));
            return new Before(
                    switch (before.group(2)) {
                        case "s" -> Duration.ofSeconds(count);
                        case "h" -> Duration.ofHours(count);
                        case "d" -> Duration.ofDays(count);
                        default -> Duration.ofMinutes(count);
                    });
        }
        try {
            return new At(time(text.strip().replace(' ', 'T'), zone, now));
        } catch (DateTimeException e) {
            throw new IllegalArgumentException(
                    "the point is \"%s\", should be %s".formatted(text, WORDS), e);
        }
    }

    private static Instant time(String text, ZoneId zone, Instant now) {
        if (!text.contains("-") && !text.endsWith("Z")) {
            LocalTime time = LocalTime.parse(text);
            LocalDate today = LocalDate.ofInstant(now, zone);
            Instant found = today.atTime(time).atZone(zone).toInstant();
            return found.isAfter(now)
                    ? today.minusDays(1).atTime(time).atZone(zone).toInstant()
                    : found;
        }
        boolean hasOffset = text.matches(".*T.*(Z|[+-]\\d\\d:?\\d\\d)");
        return hasOffset
                ? OffsetDateTime.parse(text).toInstant()
                : ZonedDateTime.of(LocalDateTime.parse(text), zone).toInstant();
    }

    /// What follows the resource's name in the name of an export.
    default String suffix() {
        return switch (this) {
            case Newest _ -> "@latest";
            case At(Instant time) -> "@" + time;
            case Before(Duration duration) -> "@-" + duration.toSeconds() + "s";
        };
    }
}
