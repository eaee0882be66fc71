package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.util.List;

/// What one copy has done since a position that it once was at: what an operator weighs before one
/// of two histories is given up. The writes of a generation are counted; how many were made in one
/// that has ended in a crash nobody knows.
///
/// @param writes in the position's own generation, behind it; 0 also where nobody knows
/// @param begun generations that the copy has begun since, or adopted, oldest first
/// @param writesSince in the last of these; 0 when there are none
public record Since(long writes, List<Ancestry.Entry> begun, long writesSince) {
    /// @param side what the copy says of itself, with the position it is at
    /// @param common [Position#NONE]: all that is known of it
    public static Since of(Frame.ResourceHello side, Position common) {
        List<Ancestry.Entry> entries = side.ancestry().entries();
        int from = side.ancestry().indexOf(common.generation());
        List<Ancestry.Entry> begun = entries.subList(from + 1, entries.size());
        long end = begun.isEmpty() ? side.committed().number() : begun.getFirst().parent().number();
        return new Since(
                from < 0 ? 0 : Math.max(0, end - common.number()),
                begun,
                begun.isEmpty() ? 0 : side.committed().number());
    }

    /// How many writes of a history are not in that of one of its moments: what is undone when the
    /// copy goes on from there. Of a generation that ended in a crash those are not counted of
    /// which nobody knows.
    ///
    /// @param at where the history stands
    /// @param then past of the moment, which is at `from`
    public static long writesBehind(Ancestry now, Position at, Ancestry then, Position from) {
        List<Ancestry.Entry> mine = now.entries();
        long writes = 0;
        for (int i = mine.size() - 1; i >= 0; i--) {
            long generation = mine.get(i).generation();
            long end = endOf(now, i, at);
            int common = then.indexOf(generation);
            if (common >= 0) {
                return writes + Math.max(0, end - endOf(then, common, from));
            }
            writes += end;
        }
        return writes;
    }

    private static long endOf(Ancestry past, int index, Position at) {
        return index + 1 < past.entries().size()
                ? past.entries().get(index + 1).parent().number()
                : at.number();
    }

    /// The last position of both sides, as their verdict says; [Position#NONE] when none is known.
    public static Position common(Verdict verdict) {
        return switch (verdict) {
            case Verdict.Equal(Position at) -> at;
            case Verdict.Ahead(Position at, _, _) -> at;
            case Verdict.Behind(Position at, _, _) -> at;
            case Verdict.Forked(Position at, _) -> at;
            case Verdict.Unrelated _, Verdict.SetBack _, Verdict.Unfit _ -> Position.NONE;
        };
    }
}
