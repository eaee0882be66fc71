package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// How the histories of two copies lie to each other, whoever is primary (R2).
///
/// ```
///  SAME              BEHIND                    FORKED
///  1 ── 2 ── a,b     1 ── a ── 2 ── 3 ── b     1 ──┬── 2 ── a
///                                                  └── 3 ── b
/// ```
///
/// @param common the last position that both have been at; where only one of them knows it, or
///   neither does after a crash, the nearest before it that is known
record Lineage(Relation relation, Position common) {
    enum Relation {
        SAME,
        /// The first goes on from where the second stands.
        AHEAD,
        BEHIND,
        FORKED,
        UNRELATED;

        private Relation mirrored() {
            return switch (this) {
                case AHEAD -> BEHIND;
                case BEHIND -> AHEAD;
                case SAME, FORKED, UNRELATED -> this;
            };
        }
    }

    /// One generation of a copy's history.
    ///
    /// @param number of the last operation in it; of an end that nobody knows, one before it
    /// @param known whether it ended there; a crash leaves it open how far it went
    /// @param here whether the copy stands in it
    private record Step(int index, long generation, long number, boolean known, boolean here) {}

    static Lineage of(Ancestry first, Position at, Ancestry second, Position otherAt) {
        return of(first, at, false, second, otherAt, false);
    }

    /// @param left whether a crash may have ended the generation in which the first stands, and the
    ///   next one has not begun: nobody knows how far it went
    /// @param otherLeft the same of the second
    static Lineage of(
            Ancestry first,
            Position at,
            boolean left,
            Ancestry second,
            Position otherAt,
            boolean otherLeft) {
        Map<Long, Step> mine = steps(first, at, left);
        Map<Long, Step> theirs = steps(second, otherAt, otherLeft);
        Step newest = null;
        Step other = null;
        for (Step step : mine.values()) {
            Step same = theirs.get(step.generation());
            if (same != null && (newest == null || isNewer(step, same, newest, other))) {
                newest = step;
                other = same;
            }
        }
        return newest == null
                ? new Lineage(Relation.UNRELATED, Position.NONE)
                : meet(newest, other);
    }

    /// The same order from both sides, also of histories that contradict each other.
    private static boolean isNewer(Step step, Step same, Step newest, Step other) {
        long index = (long) step.index() + same.index();
        long before = (long) newest.index() + other.index();
        return index > before || index == before && step.generation() > newest.generation();
    }

    private static Map<Long, Step> steps(Ancestry ancestry, Position at, boolean left) {
        List<Long> path = new ArrayList<>();
        for (Ancestry.Entry entry : ancestry.entries()) {
            path.add(entry.generation());
        }
        if (at.generation() != ancestry.generation()) {
            path.add(at.generation()); // What a peer says need not fit together.
        }
        Map<Long, Step> steps = new LinkedHashMap<>();
        for (int i = 0; i < path.size(); i++) {
            long generation = path.get(i);
            if (generation == 0) {
                continue;
            }
            boolean isLast = i == path.size() - 1;
            boolean here = isLast && !left;
            boolean known = here;
            long number = isLast ? at.number() : 0;
            if (!isLast && i + 1 < ancestry.entries().size()) {
                Ancestry.Entry next = ancestry.entries().get(i + 1);
                known = next.reason() != Ancestry.Reason.CRASH;
                number = next.parent().generation() == generation ? next.parent().number() : 0;
            }
            steps.put(generation, new Step(i, generation, number, known, here));
        }
        return steps;
    }

    /// @param mine and `theirs` are of the newest generation that both have been in
    private static Lineage meet(Step mine, Step theirs) {
        if (mine.here() && theirs.here()) {
            int order = Long.compare(mine.number(), theirs.number());
            return at(
                    order == 0 ? Relation.SAME : order > 0 ? Relation.AHEAD : Relation.BEHIND,
                    mine,
                    Math.min(mine.number(), theirs.number()));
        }
        if (mine.here()) {
            // What the other lost in a crash this one may still have: R4.
            return !theirs.known() || mine.number() <= theirs.number()
                    ? at(Relation.BEHIND, mine, mine.number())
                    : at(Relation.FORKED, mine, theirs.number());
        }
        if (theirs.here()) {
            Lineage seen = meet(theirs, mine);
            return new Lineage(seen.relation().mirrored(), seen.common());
        }
        long number = Math.min(mine.number(), theirs.number());
        if (mine.known() != theirs.known()) {
            number = mine.known() ? mine.number() : theirs.number();
        }
        return at(Relation.FORKED, mine, number);
    }

    private static Lineage at(Relation relation, Step of, long number) {
        return new Lineage(relation, new Position(of.generation(), number));
    }
}
