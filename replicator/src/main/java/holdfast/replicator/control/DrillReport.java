package holdfast.replicator.control;

import holdfast.replicator.status.Words;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/// What a drill has found, for people and for scripts.
///
/// @param node where the copy is
/// @param trouble why it failed; absent when it passed
/// @param point position that was opened; absent when none could be
/// @param pointTime the moment it shows, by the primary's clock
/// @param pointAgeSeconds how old it was when the drill began: what a disaster at that moment would
///   have cost
/// @param filesystem like `ext4 "home" 8c…`
/// @param check what was run on it; absent: it was mounted only
/// @param recoverySeconds from the beginning until it was mounted and the check was content; absent
///   when it did not come to that
/// @param totalSeconds until all was taken down again
public record DrillReport(
        String resource,
        String node,
        Instant began,
        boolean passed,
        Optional<String> trouble,
        Optional<String> point,
        Optional<Instant> pointTime,
        Optional<Double> pointAgeSeconds,
        Optional<String> filesystem,
        Optional<String> check,
        Optional<Double> recoverySeconds,
        double totalSeconds,
        List<Step> steps) {

    public enum Outcome {
        PASSED,
        /// It went on, but a person should read what was said.
        NOTED,
        SKIPPED,
        FAILED
    }

    /// @param name open, connect, replay, fsck, mount, check or teardown
    /// @param said the end of what the program printed, or why there was nothing to do
    public record Step(String name, double seconds, Outcome outcome, String said) {}

    /// Lines for people.
    public String text() {
        var out = new StringBuilder();
        out.append(
                "Drill of %s at %s, %s: %s%n"
                        .formatted(
                                resource,
                                node,
                                Instant.ofEpochSecond(began.getEpochSecond()),
                                passed ? "passed" : "FAILED"));
        trouble.ifPresent(why -> line(out, "why", why));
        point.ifPresent(
                p ->
                        line(
                                out,
                                "point",
                                "%s of %s, %s"
                                        .formatted(
                                                p,
                                                pointTime.map(Instant::toString).orElse("?"),
                                                age())));
        filesystem.ifPresent(f -> line(out, "filesystem", f));
        line(out, "check", check.orElse("mounted only"));
        recoverySeconds.ifPresent(s -> line(out, "recovered", "in " + seconds(s)));
        for (Step each : steps) {
            line(
                    out,
                    each.name(),
                    "%s%s%s"
                            .formatted(
                                    seconds(each.seconds()),
                                    each.outcome() == Outcome.PASSED
                                            ? ""
                                            : " " + each.outcome().name().toLowerCase(Locale.ROOT),
                                    each.said().isEmpty()
                                            ? ""
                                            : ": "
                                                    + each.said()
                                                            .replace("\n", "\n               ")));
        }
        return out.toString();
    }

    private String age() {
        return pointAgeSeconds
                .map(s -> Words.span(s) + " old when the drill began")
                .orElse("how old that was when the drill began nobody knows");
    }

    /// How long it took, rounded up.
    public Duration took() {
        return Duration.ofMillis((long) Math.ceil(totalSeconds * 1000));
    }

    private static String seconds(double seconds) {
        return String.format(Locale.ROOT, "%.1f s", seconds);
    }

    private static void line(StringBuilder out, String name, String value) {
        out.append("  %-12s %s%n".formatted(name, value));
    }
}
