package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

/// What a primary concludes from its own history and the peer's report (R1-R3): a pure function of
/// evidence, never of a label. A verdict never clears a block.
sealed interface Verdict {
    /// The peer's copy never had a committed point: a first sync (R19).
    record Fresh() implements Verdict {}

    /// The peer's copy is the one that our first sync filled, and it has forgotten its points: a
    /// first sync again, of what a comparison finds.
    record FreshUntracked(String why) implements Verdict {}

    /// The peer stands in our generation at this number; the stream or the dirty blocks bring it
    /// on.
    record InGeneration(long number) implements Verdict {}

    /// The peer stands in our past and our dirty blocks name all that it may lack.
    record InPast() implements Verdict {}

    /// The peer stands in our past, but older than it once acknowledged: only a comparison tells
    /// what it lacks.
    record InPastUntracked(String why) implements Verdict {}

    /// The peer stands in our past, and damage has made its copy the image of no moment: a
    /// comparison tells what it lacks, and until the next commit it has no point.
    record Mixture(String why) implements Verdict {}

    /// This host is older than what it once sent: what the peer has more may be wanted, and nothing
    /// here says which blocks that are.
    record SetBack(String why) implements Verdict {}

    /// The copies must not be joined without an order.
    record Refuse(String why) implements Verdict {}

    /// @param mine ends with the generation we are in
    /// @param last our last position
    /// @param acknowledged what the peer is known to have committed; [Position#NONE] when nothing
    /// @param peerCopy the copy that our first sync filled, 0 when there was none
    /// @param transaction newest of our metadata
    static Verdict of(
            Ancestry mine,
            Position last,
            Position acknowledged,
            long peerCopy,
            long transaction,
            Frame.ResourceHello peer) {
        if (peer.tracked() > transaction) {
            return new SetBack(
                    ("this host was set back to an older copy of itself: its metadata end with"
                                    + " transaction %d, and the peer's copy was written under %d. To bring"
                                    + " that copy back to what this host holds: invalidate-remote")
                            .formatted(transaction, peer.tracked()));
        }
        if (!peer.everCommitted()) {
            return withoutPoint(acknowledged, peerCopy, peer);
        }
        Verdict verdict = withPoint(mine, last, acknowledged, peer);
        return verdict instanceof Refuse || peer.diskState() != DiskState.INCONSISTENT.ordinal()
                ? verdict
                : new Mixture("the peer's journal was damaged and its copy is a mixture");
    }

    /// What a peer has that had acknowledged a point is not overwritten unasked: its storage or its
    /// state may be another one, and the copy that we know still there.
    private static Verdict withoutPoint(
            Position acknowledged, long peerCopy, Frame.ResourceHello peer) {
        if (acknowledged.isNone()) {
            return new Fresh();
        }
        String why =
                "the peer acknowledged " + acknowledged + " and now has a copy without a point";
        return peer.ancestry().generation() == peerCopy
                ? new FreshUntracked(why)
                : new Refuse(
                        why
                                + ", another one: its state or its storage was replaced. Look for the"
                                + " old copy there; to fill the new one, remove the resource here"
                                + " and add it again");
    }

    private static Verdict withPoint(
            Ancestry mine, Position last, Position acknowledged, Frame.ResourceHello peer) {
        Position theirs = peer.committed();
        int at = indexOf(mine, theirs.generation());
        if (at < 0 && isForgotten(mine, last, acknowledged, peer)) {
            return new InPastUntracked(
                    "more than %d generations began since %s"
                            .formatted(Ancestry.MAX_ENTRIES, theirs));
        }
        if (at < 0) {
            return peer.ancestry().find(last.generation()).isPresent()
                    ? new Refuse("the peer has gone on from our history by itself: it was promoted")
                    : new Refuse("the two copies have no common history");
        }
        boolean rolledBack =
                acknowledged.generation() == theirs.generation()
                        ? theirs.number() < acknowledged.number()
                        : indexOf(mine, acknowledged.generation()) > at;
        if (theirs.generation() == last.generation()) {
            if (theirs.number() > last.number()) {
                return new Refuse("the peer holds " + theirs + ", we only got to " + last);
            }
            return rolledBack
                    ? new InPastUntracked(
                            "the peer acknowledged " + acknowledged + " and now reports " + theirs)
                    : new InGeneration(theirs.number());
        }
        for (int i = at + 1; i < mine.entries().size(); i++) {
            Ancestry.Entry next = mine.entries().get(i);
            // After a crash nobody knows how far the generation went; what the peer may have more
            // than we lies in the extents that were active.
            if (i == at + 1
                    && next.reason() != Ancestry.Reason.CRASH
                    && theirs.number() > next.parent().number()) {
                return new Refuse(
                        "the histories forked at "
                                + next.parent()
                                + ", the peer went on to "
                                + theirs);
            }
        }
        return rolledBack
                ? new InPastUntracked(
                        "the peer acknowledged " + acknowledged + " and now reports " + theirs)
                : new InPast();
    }

    /// Whether the peer stands where it once acknowledged to us that it does, so long ago that our
    /// ancestry no longer reaches back to it. Had it gone on by itself since, it would be in
    /// another generation; had we been set back, it would know the one we are in or none of ours.
    private static boolean isForgotten(
            Ancestry mine, Position last, Position acknowledged, Frame.ResourceHello peer) {
        return mine.hasForgotten()
                && peer.committed().generation() == acknowledged.generation()
                && peer.ancestry().find(last.generation()).isEmpty();
    }

    private static int indexOf(Ancestry ancestry, long generation) {
        for (int i = ancestry.entries().size() - 1; i >= 0; i--) {
            if (ancestry.entries().get(i).generation() == generation) {
                return i;
            }
        }
        return -1;
    }
}
