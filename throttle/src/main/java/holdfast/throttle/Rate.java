package holdfast.throttle;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.time.Duration;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// How fast bytes may go: what people write as `18 Mbit/s`, `1 MiB/s` or `unlimited`.
///
/// Bits count in thousands (`kbit/s` is 1,000 bit/s), as lines are sold; bytes in thousands
/// (`kB/s`) or in 1,024s (`KiB/s`), as written. Equal rates are equal however they were written.
///
/// @param bytesPerSecond [#MIN_BYTES_PER_SECOND] to [#MAX_BYTES_PER_SECOND], or that of
///   [#UNLIMITED]
public record Rate(long bytesPerSecond) {
    /// 64 kbit/s: below it one write of 4 KiB takes longer than half a second and keepalives crowd
    /// out the data.
    public static final long MIN_BYTES_PER_SECOND = 8_000;

    /// 100 Gbit/s; above it nothing is worth limiting.
    public static final long MAX_BYTES_PER_SECOND = 12_500_000_000L;

    public static final Rate UNLIMITED = new Rate(Long.MAX_VALUE);

    private static final Pattern TEXT =
            Pattern.compile("(\\d{1,12}(?:\\.\\d{1,6})?) ?([A-Za-z]\\S*)");

    private static final String EXAMPLE =
            "should be like \"18 Mbit/s\", \"1 MiB/s\" or \"unlimited\"";

    /// A unit of the text form. `bits` first, since that is how this class prints.
    private record Unit(String name, long eighths) {
        static final List<Unit> ALL =
                List.of(
                        new Unit("Gbit/s", 1_000_000_000L),
                        new Unit("Mbit/s", 1_000_000L),
                        new Unit("kbit/s", 1_000L),
                        new Unit("bit/s", 1L),
                        new Unit("GB/s", 8_000_000_000L),
                        new Unit("MB/s", 8_000_000L),
                        new Unit("kB/s", 8_000L),
                        new Unit("B/s", 8L),
                        new Unit("GiB/s", 8L << 30),
                        new Unit("MiB/s", 8L << 20),
                        new Unit("KiB/s", 8L << 10));
    }

    public Rate {
        if (bytesPerSecond != Long.MAX_VALUE) {
            if (bytesPerSecond < MIN_BYTES_PER_SECOND) {
                throw new IllegalArgumentException(
                        "rate is %s, should be at least 64 kbit/s".formatted(text(bytesPerSecond)));
            }
            if (bytesPerSecond > MAX_BYTES_PER_SECOND) {
                throw new IllegalArgumentException(
                        "rate is %s, should be at most 100 Gbit/s or \"unlimited\""
                                .formatted(text(bytesPerSecond)));
            }
        }
    }

    /// Reads the text form.
    ///
    /// @throws IllegalArgumentException its message says what is wrong and what would be right
    public static Rate parse(String text) {
        if (text.equals("unlimited")) {
            return UNLIMITED;
        }
        Matcher m = TEXT.matcher(text);
        if (!m.matches()) {
            throw new IllegalArgumentException("\"%s\" is no rate, %s".formatted(text, EXAMPLE));
        }
        Unit unit =
                Unit.ALL.stream()
                        .filter(u -> u.name().equals(m.group(2)))
                        .findFirst()
                        .orElseThrow(() -> unknownUnit(text, m.group(2)));
        BigDecimal bytes =
                new BigDecimal(m.group(1))
                        .multiply(BigDecimal.valueOf(unit.eighths()))
                        .divide(BigDecimal.valueOf(8), 0, RoundingMode.DOWN);
        if (bytes.compareTo(BigDecimal.valueOf(MAX_BYTES_PER_SECOND)) > 0) {
            throw new IllegalArgumentException(
                    "rate is %s, should be at most 100 Gbit/s or \"unlimited\"".formatted(text));
        }
        return new Rate(bytes.longValueExact());
    }

    public boolean isUnlimited() {
        return bytesPerSecond == Long.MAX_VALUE;
    }

    /// What may go in that time; at least 1. For callers that cut bulk data into pieces a slow line
    /// can pass.
    public long bytesIn(Duration time) {
        if (isUnlimited()) {
            return Long.MAX_VALUE;
        }
        return Math.max(1, Math.multiplyExact(bytesPerSecond, time.toMillis()) / 1000);
    }

    /// The slower one.
    public Rate min(Rate other) {
        return bytesPerSecond <= other.bytesPerSecond ? this : other;
    }

    /// The shortest exact text that [#parse] reads back as this rate.
    @Override
    public String toString() {
        return isUnlimited() ? "unlimited" : text(bytesPerSecond);
    }

    private static String text(long bytesPerSecond) {
        String best = bytesPerSecond + " B/s";
        long bestCount = Long.MAX_VALUE;
        long eighths = bytesPerSecond * 8;
        for (Unit unit : Unit.ALL) {
            // Bits and 1,024s only: the many ways to write one rate then print as one.
            boolean printed = unit.name().contains("bit") || unit.name().contains("iB");
            if (printed && eighths % unit.eighths() == 0 && eighths / unit.eighths() < bestCount) {
                bestCount = eighths / unit.eighths();
                best = bestCount + " " + unit.name();
            }
        }
        return best;
    }

    private static IllegalArgumentException unknownUnit(String text, String unit) {
        String wanted = unit.replaceFirst("(?i)bps$", "bit/s");
        for (Unit known : Unit.ALL) {
            if (known.name().equalsIgnoreCase(wanted)) {
                return new IllegalArgumentException(
                        "rate \"%s\" has the unknown unit \"%s\", did you mean \"%s\"?"
                                .formatted(text, unit, known.name()));
            }
        }
        return new IllegalArgumentException(
                "rate \"%s\" has the unknown unit \"%s\", %s".formatted(text, unit, EXAMPLE));
    }
}
