package holdfast.recovery;

import java.util.Optional;

/// What a person types as `NAME[@POINT]`. Which points there are is the daemon's to say.
record Point(String resource, Optional<String> at) {
    static Point parse(String text) {
        int at = text.indexOf('@');
        return at < 0
                ? new Point(text, Optional.empty())
                : new Point(text.substring(0, at), Optional.of(text.substring(at + 1)));
    }
}
