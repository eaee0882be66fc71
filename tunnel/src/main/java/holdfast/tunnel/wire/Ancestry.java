package holdfast.tunnel.wire;

import java.util.List;
import java.util.Optional;
import java.util.UUID;

/// The forks that led to a copy, oldest first: which generation followed which, and where (protocol
/// rule R2).
///
/// @param entries oldest first, at most [#MAX_ENTRIES]; the last one is the generation the copy is
///   in
public record Ancestry(List<Entry> entries) {
    /// Beyond it the oldest entries are dropped; a peer that is older still is compared, not
    /// guessed about.
    public static final int MAX_ENTRIES = 1024;

    public static final Ancestry EMPTY = new Ancestry(List.of());

    /// One generation and the place in its parent where it began.
    ///
    /// @param parent where it began; [Position#NONE] for the first generation of a resource
    /// @param author node that started it
    /// @param wallMillis the author's wall clock, a label only
    public record Entry(
            long generation, Position parent, Reason reason, UUID author, long wallMillis) {
        /// Bytes on the wire and on disk: 8 + 16 + 1 + 16 + 8.
        public static final int BYTES = 49;
    }

    /// Why a generation was started. Numbers on the wire and on disk are the ordinals plus one,
    /// never reused.
    public enum Reason {
        CREATE,
        ATTACH,
        CRASH,
        PROMOTE,
        FORCE
    }

    public Ancestry {
        entries = List.copyOf(entries);
        if (entries.size() > MAX_ENTRIES) {
            throw new IllegalArgumentException("ancestry of " + entries.size() + " generations");
        }
    }

    /// The generation the copy is in, 0 when it has none yet.
    public long generation() {
        return entries.isEmpty() ? 0 : entries.getLast().generation();
    }

    /// Whether there were older generations than the list has.
    public boolean hasForgotten() {
        return !entries.isEmpty() && !entries.getFirst().parent().isNone();
    }

    /// Place of this generation in the list, -1 when it is not there.
    public int indexOf(long generation) {
        for (int i = entries.size() - 1; i >= 0; i--) {
            if (entries.get(i).generation() == generation) {
                return i;
            }
        }
        return -1;
    }

    public Optional<Entry> find(long generation) {
        return entries.stream().filter(e -> e.generation() == generation).findFirst();
    }

    /// This history, gone on by one generation; the oldest is dropped when there are too many.
    public Ancestry plus(Entry next) {
        var all = new java.util.ArrayList<>(entries);
        all.add(next);
        return new Ancestry(
                all.size() > MAX_ENTRIES ? all.subList(all.size() - MAX_ENTRIES, all.size()) : all);
    }
}
