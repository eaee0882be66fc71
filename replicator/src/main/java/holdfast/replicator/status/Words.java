package holdfast.replicator.status;

import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/// Sizes, spans and moments as people read them. What tells a loss or an age is rounded up, so that
/// nothing is reported younger or smaller than it is.
public final class Words {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("HH:mm:ss", Locale.ROOT);
    private static final DateTimeFormatter DAY_AND_TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss", Locale.ROOT);
    private static final int DRILL_CHARS = 200;
    private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    private Words() {}

    /// Like `812 KiB` or `1.4 GiB`: three digits at most, rounded up.
    public static String bytes(long bytes) {
        int unit = 0;
        double value = bytes;
        while (unit < UNITS.length - 1
                && (value >= 1024 || (unit > 0 && Math.ceil(value) >= 1024))) {
            value /= 1024;
            unit++;
        }
        boolean fraction = unit > 0 && value < 10 && Math.ceil(value * 10) < 100;
        double up = fraction ? Math.ceil(value * 10) / 10 : Math.ceil(value);
        return fraction && up != Math.rint(up)
                ? String.format(Locale.ROOT, "%.1f %s", up, UNITS[unit])
                : "%d %s".formatted((long) up, UNITS[unit]);
    }

    /// Like `2.3 MB/s`: decimal as links are sold, not rounded in anyone's favour.
    public static String rate(double bytesPerSecond) {
        String[] units = {"B/s", "kB/s", "MB/s", "GB/s"};
        int unit = 0;
        double value = Math.max(0, bytesPerSecond);
        while (unit < units.length - 1 && value >= 999.5) {
            value /= 1000;
            unit++;
        }
        return unit > 0 && value < 9.95
                ? String.format(Locale.ROOT, "%.1f %s", value, units[unit])
                : "%d %s".formatted(Math.round(value), units[unit]);
    }

    /// Like `18 Mbit/s`: a limit as the settings write it.
    public static String bitRate(long bytesPerSecond) {
        String[] units = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s"};
        int unit = 0;
        double value = 8.0 * bytesPerSecond;
        while (unit < units.length - 1 && value >= 1000) {
            value /= 1000;
            unit++;
        }
        String digits = String.format(Locale.ROOT, "%.2f", value);
        return digits.replaceAll("\\.?0+$", "") + " " + units[unit];
    }

    /// Like `14 s`, `12 min`, `19 h` or `3 days`, rounded up; two units below three of the larger
    /// one would be precision nobody needs.
    public static String span(double seconds) {
        long s = (long) Math.ceil(Math.max(0, seconds));
        if (s < 120) {
            return s + " s";
        }
        if (s <= 120 * 60) {
            return Math.ceilDiv(s, 60) + " min";
        }
        if (s <= 48 * 3600) {
            return Math.ceilDiv(s, 3600) + " h";
        }
        return Math.ceilDiv(s, 86_400) + " days";
    }

    public static String span(Duration duration) {
        return span(duration.toMillis() / 1000.0);
    }

    /// Like `14 s ago`. A moment that a clock has put into the future is not said to be now.
    public static String ago(Instant then, Instant now) {
        return isFuture(then, now)
                ? "in the future, by " + span(Duration.between(now, then))
                : span(Duration.between(then, now)) + " ago";
    }

    /// Whether it lies behind `now`, by more than two clocks that are read one after the other
    /// differ.
    public static boolean isFuture(Instant then, Instant now) {
        return then.isAfter(now.plusSeconds(1));
    }

    /// How long ago a drill was and what came of it, like `3 days ago: passed, 42 s`, and `mounted
    /// only` where nothing was run on it. The first line of what went wrong, and not all of it: the
    /// report has that.
    public static String drill(StatusReport.Drill drill, Instant now) {
        String trouble = drill.trouble().map(t -> t.lines().findFirst().orElse("")).orElse("");
        String shown =
                trouble.length() <= DRILL_CHARS ? trouble : trouble.substring(0, DRILL_CHARS) + "…";
        String passed =
                "passed, "
                        + span(drill.seconds())
                        + (drill.check().isEmpty() ? ", mounted only" : "");
        return "%s: %s"
                .formatted(ago(drill.began(), now), drill.passed() ? passed : "failed: " + shown);
    }

    /// Like `1 block differs`.
    public static String differing(long blocks) {
        return blocks == 1 ? "1 block differs" : "%,d blocks differ".formatted(blocks);
    }

    /// How long ago the copy was compared and what came of it, like `3 days ago: no differences`.
    public static String verify(StatusReport.Verify verify, Instant now) {
        String found =
                verify.differingBlocks() == 0
                        ? "no differences"
                        : differing(verify.differingBlocks());
        String cut = verify.trouble().map(why -> ", cut short: " + why).orElse("");
        String mended = verify.mended().map(when -> ", mended " + ago(when, now)).orElse("");
        return "%s: %s%s%s".formatted(ago(verify.ended(), now), found, cut, mended);
    }

    /// The time of day, with the date in front when it is not today's; rounded down to the second.
    public static String moment(Instant moment, Instant now, ZoneId zone) {
        var at = moment.atZone(zone);
        return at.toLocalDate().equals(now.atZone(zone).toLocalDate())
                ? at.format(TIME)
                : at.format(DAY_AND_TIME);
    }

    /// A moment that may be long ago, always with its date; rounded down to the second.
    public static String dayAndTime(Instant moment, ZoneId zone) {
        return moment.atZone(zone).format(DAY_AND_TIME);
    }

    /// A state as DRBD writes it: `UP_TO_DATE` is `UpToDate`.
    public static String state(String state) {
        var out = new StringBuilder();
        for (String part : state.split("_")) {
            if (part.equals("STANDALONE")) {
                out.append("StandAlone");
            } else if (!part.isEmpty()) {
                out.append(part.charAt(0)).append(part.substring(1).toLowerCase(Locale.ROOT));
            }
        }
        return out.toString();
    }
}
