package holdfast.system;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// What a backup is at when its process is ended at one of its calls, and how often the build does
/// that at least: a hundred times in all.
enum Phase {
    /// A record of the stream is written to the journal, or made durable.
    APPEND(16),
    /// The record that commits an epoch is.
    COMMIT(16),
    /// The journal is rolled into the base: its blocks, and how far it leads.
    ROLL_FORWARD(16),
    /// A moment is kept: the list of these, and the blocks that are saved for them.
    KEEP(16),
    /// A kept moment leaves the list, or a part of the journal that the base has passed goes.
    EXPIRE(16),
    /// A promotion, the choice of another moment, or making it final.
    PROMOTE(20),
    /// A start, of a copy or of one that is promoted.
    START(8),
    /// Writes to a copy that is promoted.
    PROMOTED(0);

    /// Of all tests that end backups, in this run of theirs.
    private static final Map<Phase, Map<String, Integer>> ENDS = new EnumMap<>(Phase.class);

    private final int least;

    Phase(int least) {
        this.least = least;
    }

    /// What the build promises of those that the recovery of a promise hangs on.
    static int leastOfAll() {
        return Arrays.stream(values())
                .filter(each -> each != START && each != PROMOTED)
                .mapToInt(each -> each.least)
                .sum();
    }

    /// The process has ended at this call, and all was looked at.
    ///
    /// @param how kind of end, call and file
    void ended(String how) {
        synchronized (ENDS) {
            ENDS.computeIfAbsent(this, _ -> new TreeMap<>()).merge(how, 1, Integer::sum);
        }
    }

    private int ends() {
        synchronized (ENDS) {
            return ENDS.getOrDefault(this, Map.of()).values().stream().mapToInt(i -> i).sum();
        }
    }

    boolean isReached() {
        return ends() >= least;
    }

    /// One line for each, and for each call that was struck.
    static String table() {
        StringBuilder text = new StringBuilder("ends of the backup at its calls, by kind:\n");
        int sum = 0;
        for (Phase each : values()) {
            int ends = each.ends();
            sum += ends;
            text.append("%6d %-12s (at least %d)%n".formatted(ends, each, each.least));
            synchronized (ENDS) {
                ENDS.getOrDefault(each, Map.of())
                        .forEach((how, times) -> text.append("%19d %s%n".formatted(times, how)));
            }
        }
        return text.append("%6d in all%n".formatted(sum)).toString();
    }

    /// Which have come about too seldom; empty when none has.
    static String lacking(Phase... of) {
        return Arrays.stream(of)
                .filter(each -> !each.isReached())
                .map(each -> "%s %d of %d".formatted(each, each.ends(), each.least))
                .collect(Collectors.joining(", "));
    }
}
