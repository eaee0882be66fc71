package holdfast.replicator.daemon;

import java.time.Instant;
import java.util.List;
import java.util.function.BiFunction;

/// Which entries of a calendar have come since the last look. A clock that was set back brings none
/// again; one that was set forward brings each once, and what has passed while the daemon was down
/// is left out. One caller at a time.
final class CalendarLook {
    private Instant looked;

    CalendarLook(Instant begin) {
        looked = begin;
    }

    /// @param due those after one moment and at another at the latest
    <T> List<T> due(Instant now, BiFunction<Instant, Instant, List<T>> due) {
        if (!now.isAfter(looked)) {
            return List.of();
        }
        List<T> found = due.apply(looked, now);
        looked = now;
        return found;
    }
}
