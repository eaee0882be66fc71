package holdfast.replicator.config;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// An amount of bytes as people write it: `40 GiB`, `512 KiB`, `500 GB`.
///
/// @param bytes 0 to 8 EiB - 1
public record Size(long bytes) implements Comparable<Size> {
    private static final Pattern TEXT = Pattern.compile("(\\d{1,15}(?:\\.\\d{1,3})?) ?([A-Za-z]+)");
    private static final String EXAMPLE = "should be like \"40 GiB\" or \"500 GB\"";
    private static final Map<String, Long> UNITS = new LinkedHashMap<>();

    static {
        UNITS.put("TiB", 1L << 40);
        UNITS.put("GiB", 1L << 30);
        UNITS.put("MiB", 1L << 20);
        UNITS.put("KiB", 1L << 10);
        UNITS.put("TB", 1_000_000_000_000L);
        UNITS.put("GB", 1_000_000_000L);
        UNITS.put("MB", 1_000_000L);
        UNITS.put("kB", 1_000L);
        UNITS.put("B", 1L);
    }

    public Size {
        if (bytes < 0) {
            throw new IllegalArgumentException("size of " + bytes + " bytes");
        }
    }

    /// Reads the text form.
    ///
    /// @throws IllegalArgumentException its message says what is wrong and what would be right
    public static Size parse(String text) {
        Matcher m = TEXT.matcher(text);
        if (!m.matches()) {
            throw new IllegalArgumentException("\"%s\" is no size, %s".formatted(text, EXAMPLE));
        }
        Long unit = UNITS.get(m.group(2));
        if (unit == null) {
            String right =
                    UNITS.keySet().stream()
                            .filter(
                                    name ->
                                            name.equalsIgnoreCase(m.group(2))
                                                    || name.charAt(0) == m.group(2).charAt(0))
                            .findFirst()
                            .map(name -> "did you mean \"" + name + "\"?")
                            .orElse(EXAMPLE);
            throw new IllegalArgumentException(
                    "size \"%s\" has the unknown unit \"%s\", %s"
                            .formatted(text, m.group(2), right));
        }
        BigDecimal bytes = new BigDecimal(m.group(1)).multiply(BigDecimal.valueOf(unit));
        if (bytes.compareTo(BigDecimal.valueOf(Long.MAX_VALUE)) > 0) {
            throw new IllegalArgumentException(
                    "size is \"%s\", should be below 8 EiB".formatted(text));
        }
        return new Size(bytes.setScale(0, RoundingMode.DOWN).longValueExact());
    }

    @Override
    public int compareTo(Size other) {
        return Long.compare(bytes, other.bytes);
    }

    /// The shortest exact text in 1,024s, which [#parse] reads back as this size.
    @Override
    public String toString() {
        for (var unit : UNITS.entrySet()) {
            boolean printed = unit.getKey().contains("i") || unit.getKey().equals("B");
            if (printed && bytes > 0 && bytes % unit.getValue() == 0) {
                return bytes / unit.getValue() + " " + unit.getKey();
            }
        }
        return bytes + " B";
    }
}
