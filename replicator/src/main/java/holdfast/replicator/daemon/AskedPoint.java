package holdfast.replicator.daemon;

import holdfast.replicator.state.Pins;

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

    /// One that is kept under a name, or was marked with it.
    record Named(String name) implements AskedPoint {}

    String WORDS =
            "latest; -15m, -4h or -2d before the newest; or a time, like 12:03, \"2026-11-20 12:03:07\" or 2026-11-20T11:03:07Z; or the name of a kept or marked moment";

    Duration KEPT_AT_MOST = Duration.ofDays(3650);

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
            return new Before(duration(before));
        }
        if (Pins.isName(text)) {
            return new Named(text);
        }
        try {
            Instant time = time(text.strip().replace(' ', 'T'), zone, now);
            long _ = time.toEpochMilli(); // As it is looked for; a far year has none.
            return new At(time);
        } catch (DateTimeException | ArithmeticException e) {
            throw new IllegalArgumentException(
                    "the point is \"%s\", should be %s".formatted(text, WORDS), e);
        }
    }

    private static Duration duration(Matcher of) {
        long count = Long.parseLong(of.group(1));
        return switch (of.group(2)) {
            case "s" -> Duration.ofSeconds(count);
            case "h" -> Duration.ofHours(count);
            case "d" -> Duration.ofDays(count);
            default -> Duration.ofMinutes(count);
        };
    }

    /// How long something is to be kept.
    ///
    /// @param text like 30d
    /// @throws IllegalArgumentException with what would be right
    static Duration duration(String text) {
        Matcher found = BEFORE.matcher("-" + text);
        if (found.matches()) {
            Duration duration = duration(found);
            if (duration.isPositive() && duration.compareTo(KEPT_AT_MOST) <= 0) {
                return duration;
            }
        }
        throw new IllegalArgumentException(
                "\"%s\" should be like 30d, 12h or 90min, %d days at most"
                        .formatted(text, KEPT_AT_MOST.toDays()));
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
            case Named(String name) -> "@" + name;
            case At(Instant time) -> "@" + time;
            case Before(Duration duration) -> "@-" + duration.toSeconds() + "s";
        };
    }
}
