package holdfast.replicator.config;

import holdfast.throttle.Rate;
import holdfast.throttle.RateCalendar;

import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.ZoneId;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What the value of a key may be. All are written as TOML strings, since a bare number has no
/// unit; a list is an array of strings, and one that may be short is a string when it has one
/// element.
///
/// @param name for people, with the unit and the limits
/// @param example in TOML
/// @param parse one string to its value; an IllegalArgumentException says what would be right
record Type<T>(String name, String example, Form form, Function<String, T> parse) {
    enum Form {
        TEXT,
        LIST,
        TEXT_OR_LIST
    }

    /// What a resource or a node may be called: it becomes part of file names, sockets and export
    /// names.
    static final Pattern NAME = Pattern.compile("[a-z0-9][a-z0-9_-]{0,62}");

    static final String NAME_RULE = "1 to 63 of a-z 0-9 _ -, the first a letter or digit";

    private static final int MAX_COMMAND_CHARS = 1000;

    private static final Pattern DURATION = Pattern.compile("(\\d{1,9}) ?(ms|s|min|h|d)");

    private static final Map<String, Duration> DURATION_UNITS =
            Map.of(
                    "ms", Duration.ofMillis(1),
                    "s", Duration.ofSeconds(1),
                    "min", Duration.ofMinutes(1),
                    "h", Duration.ofHours(1),
                    "d", Duration.ofDays(1));

    static final Type<String> NODE_NAME = text("name: " + NAME_RULE, "server", Type::name);
    static final Type<Rate> RATE =
            text("rate: 64 kbit/s to 100 Gbit/s, or unlimited", "18 Mbit/s", Rate::parse);
    static final Type<Address> ADDRESS =
            text("address: host:port", "backup.example.net:7788", Address::parse);
    static final Type<Address> LOOPBACK =
            text("address of this host alone: host:port", "127.0.0.1:9180", Type::loopback);
    static final Type<Path> PATH = text("absolute path", "/srv/holdfast", Type::path);
    static final Type<Path> DISKS =
            new Type<>(
                    "absolute path, or a list of them",
                    "\"/dev/vg0/home\"",
                    Form.TEXT_OR_LIST,
                    Type::path);
    static final Type<String> COMMAND =
            text(
                    "command: absolute path and arguments, separated by blanks",
                    "/usr/local/sbin/holdfast-notify root",
                    Type::command);
    static final Type<ZoneId> ZONE = text("time zone, or system", "Europe/Berlin", Type::zone);
    static final Type<String> CALENDAR =
            new Type<>(
                    "list of \"[days] HH:MM-HH:MM link\\|catch-up RATE\"",
                    "[\"Mon-Fri 08:00-18:00 catch-up 2 Mbit/s\"]",
                    Form.LIST,
                    line -> {
                        RateCalendar.check(line);
                        return line;
                    });

    static final Type<VerifySettings.Entry> VERIFICATIONS =
            new Type<>(
                    "list of \"[days] HH:MM NAME\"",
                    "[\"Sun 02:00 home\"]",
                    Form.LIST,
                    VerifySettings.Entry::parse);

    static final Type<DrillSettings.Entry> DRILLS =
            new Type<>(
                    "list of \"[days] HH:MM NAME [CHECK]\"",
                    "[\"Sun 03:00 home files 1000\"]",
                    Form.LIST,
                    DrillSettings.Entry::parse);

    private static <T> Type<T> text(String name, String example, Function<String, T> parse) {
        return new Type<>(name, '"' + example + '"', Form.TEXT, parse);
    }

    static Type<Size> size(String min, String max) {
        return text(
                "size: " + min + " to " + max,
                min,
                text -> between(Size.parse(text), Size.parse(min), Size.parse(max)));
    }

    /// A duration, or `hold`: for ever, which is absent as a value.
    static Type<Optional<Duration>> durationOrHold(String max) {
        Type<Duration> bounded = duration("0s", max);
        return text(
                bounded.name() + ", or hold",
                "30s",
                text ->
                        text.equals("hold")
                                ? Optional.empty()
                                : Optional.of(bounded.parse().apply(text)));
    }

    static Type<Duration> duration(String min, String max) {
        return text(
                "duration: " + min + " to " + max,
                min,
                text -> {
                    Duration value = duration(text);
                    if (value.compareTo(duration(min)) < 0 || value.compareTo(duration(max)) > 0) {
                        throw new IllegalArgumentException(
                                "is \"%s\", should be %s to %s".formatted(text, min, max));
                    }
                    return value;
                });
    }

    /// As [#duration] reads it, in the largest unit in which it is whole.
    static String durationText(Duration duration) {
        long millis = duration.toMillis();
        for (String unit : List.of("d", "h", "min", "s")) {
            long unitMillis = DURATION_UNITS.get(unit).toMillis();
            if (millis % unitMillis == 0) {
                return millis / unitMillis + unit;
            }
        }
        return millis + "ms";
    }

    /// The constants of an enum, written in lower case with hyphens, or as they are when they are
    /// single letters.
    static <E extends Enum<E>> Type<E> choice(Class<E> choices) {
        List<E> all = Arrays.asList(choices.getEnumConstants());
        String names = String.join(", ", all.stream().map(Type::choiceName).toList());
        return text(
                "one of " + names,
                choiceName(all.getFirst()),
                text ->
                        all.stream()
                                .filter(e -> choiceName(e).equals(text))
                                .findFirst()
                                .orElseThrow(
                                        () ->
                                                new IllegalArgumentException(
                                                        "is \"%s\", should be one of %s"
                                                                .formatted(text, names))));
    }

    static String choiceName(Enum<?> choice) {
        String name = choice.name();
        return name.length() == 1 ? name : name.toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static Size between(Size value, Size min, Size max) {
        if (value.compareTo(min) < 0 || value.compareTo(max) > 0) {
            throw new IllegalArgumentException(
                    "is %s, should be %s to %s".formatted(value, min, max));
        }
        return value;
    }

    private static Duration duration(String text) {
        Matcher m = DURATION.matcher(text);
        if (!m.matches()) {
            throw new IllegalArgumentException(
                    "\"%s\" is no duration, should be like \"30s\", \"15min\", \"24h\" or \"7d\""
                            .formatted(text));
        }
        return DURATION_UNITS.get(m.group(2)).multipliedBy(Long.parseLong(m.group(1)));
    }

    static String name(String text) {
        if (!NAME.matcher(text).matches()) {
            throw new IllegalArgumentException(
                    "is \"%s\", should be %s".formatted(text, NAME_RULE));
        }
        return text;
    }

    private static Address loopback(String text) {
        Address address = Address.parse(text);
        if (!address.isLoopback()) {
            throw new IllegalArgumentException(
                    "is \"%s\", which other hosts can reach without being asked who they are; should be like \"127.0.0.1:%d\""
                            .formatted(text, address.port()));
        }
        return address;
    }

    private static Path path(String text) {
        if (text.chars().anyMatch(c -> c < ' ' || c == 127)) {
            throw new IllegalArgumentException("contains a control character");
        }
        Path path = Path.of(text);
        if (!path.isAbsolute()) {
            throw new IllegalArgumentException(
                    "is \"%s\", should be an absolute path".formatted(text));
        }
        return path.normalize();
    }

    /// No shell sees it, so nothing in it has a meaning but the blanks.
    private static String command(String text) {
        if (text.length() > MAX_COMMAND_CHARS) {
            throw new IllegalArgumentException(
                    "is longer than %d characters".formatted(MAX_COMMAND_CHARS));
        }
        if (text.isBlank() || text.startsWith(" ")) {
            throw new IllegalArgumentException(
                    "is \"%s\", should begin with an absolute path".formatted(text));
        }
        path(text.split(" ", 2)[0]);
        if (text.chars().anyMatch(c -> c < ' ' || c == 127)) {
            throw new IllegalArgumentException("contains a control character");
        }
        return text.strip();
    }

    private static ZoneId zone(String text) {
        if (text.equals("system")) {
            return ZoneId.systemDefault();
        }
        try {
            return ZoneId.of(text);
        } catch (DateTimeException e) {
            throw new IllegalArgumentException(
                    "is \"%s\", which is no time zone known here; should be like \"Europe/Berlin\""
                            .formatted(text),
                    e);
        }
    }
}
