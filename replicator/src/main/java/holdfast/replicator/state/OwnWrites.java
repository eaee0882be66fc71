package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.util.UUID;

/// What a primary has written that its peer may lack, as it says it where two histories meet. The
/// marks say it: what they name was written from a position of its past on, or may have been.
public final class OwnWrites {
    private OwnWrites() {}

    /// Blocks of it.
    ///
    /// @param written that were, each counted once
    /// @param exact whether it is so many, as far as the marks say; else it may be fewer
    /// @param doubtful of which nobody knows; some of those that were written may be among them
    record Count(long written, boolean exact, long doubtful) {}

    /// Of one that is not attached.
    ///
    /// @param past that it has
    /// @param position where it ended
    /// @param clean whether it ended with nothing in flight
    /// @param kept what it durably knew then; blocks of extents that were active are among it
    /// @param comparesAll everything is to be compared at the next attach
    public static Frame.Wrote atRest(
            UUID resource,
            Ancestry past,
            Position position,
            boolean clean,
            Kept kept,
            boolean comparesAll) {
        return said(
                resource,
                past,
                position,
                kept.isLost() ? Position.NONE : since(past, kept.peer()),
                new WriteTimes(firstMillis(kept), kept.wrote().lastMillis()),
                !clean || endedInACrash(past, position),
                new Count(
                        kept.dirty().count(),
                        clean && !comparesAll && !marksMore(kept),
                        comparesAll ? kept.dirty().capacity() : kept.suspect().count()));
    }

    /// What a comparison that has not ended in a commit found equal may have been written too.
    static Position since(Ancestry past, PeerCopy peer) {
        return peer.completeFrom().isNone()
                ? Verdict.marksSince(past, peer.acknowledged(), peer.id())
                : Position.NONE;
    }

    /// Whether blocks may be marked that were not written: found different, or rounded. So it is
    /// also where some are still to be compared, for others were before.
    static boolean marksMore(Kept kept) {
        return !kept.suspect().isEmpty() || kept.dirty().hasWholeGranules();
    }

    /// The oldest write that the peer may lack, as it is known behind a crash: where it lacked
    /// nothing then, but extents were active, there may be one of which nobody knows when it was.
    static long firstMillis(Kept kept) {
        long first = kept.wrote().firstMillis();
        return first == 0 && !kept.extents().isEmpty() ? WriteTimes.UNKNOWN : first;
    }

    /// Whether the last write was made in a generation that ended in a crash: what was written
    /// behind its last transaction is in none.
    static boolean endedInACrash(Ancestry past, Position position) {
        return !past.entries().isEmpty()
                && past.entries().getLast().reason() == Ancestry.Reason.CRASH
                && position.number() == 0;
    }

    /// @param past that it has
    /// @param at where it is
    /// @param since from which position of its past on the marks name all that was written;
    ///   [Position#NONE] where nobody knows
    static Frame.Wrote said(
            UUID resource,
            Ancestry past,
            Position at,
            Position since,
            WriteTimes times,
            boolean orLater,
            Count count) {
        Frame.Wrote said =
                new Frame.Wrote(
                        resource,
                        at,
                        since,
                        0,
                        times.firstMillis(),
                        times.lastMillis(),
                        orLater,
                        count.written(),
                        count.exact() && !hasCrashed(past, since),
                        count.doubtful());
        return since.isNone() ? said.unknown() : said;
    }

    /// Behind a crash blocks are marked of which the peer has acknowledged some.
    private static boolean hasCrashed(Ancestry past, Position since) {
        int from = past.indexOf(since.generation());
        return past.entries().subList(from + 1, past.entries().size()).stream()
                .anyMatch(each -> each.reason() == Ancestry.Reason.CRASH);
    }
}
