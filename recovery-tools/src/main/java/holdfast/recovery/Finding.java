package holdfast.recovery;

import java.util.Optional;

/// What one look of [Examination] found.
///
/// @param evidence what was read or measured
/// @param next what to type, absent when all is well
record Finding(Level level, String subject, String evidence, Optional<String> next) {
    enum Level {
        GREEN,
        YELLOW,
        RED
    }

    static Finding green(String subject, String evidence) {
        return new Finding(Level.GREEN, subject, evidence, Optional.empty());
    }

    static Finding yellow(String subject, String evidence, String next) {
        return new Finding(Level.YELLOW, subject, evidence, Optional.of(next));
    }

    static Finding red(String subject, String evidence, String next) {
        return new Finding(Level.RED, subject, evidence, Optional.of(next));
    }
}
