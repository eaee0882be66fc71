package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

/// What two copies are to each other, and how the one behind is brought on (R1-R4): a pure and
/// total function of what both sides have said, and of nothing else. So both come to it, each to
/// the other's mirror image, and say the same words. It never clears a block.
///
/// | the copy (secondary) is | and                                                       | verdict of the primary |
/// |-------------------------|-----------------------------------------------------------|------------------------|
/// | without a point         | nothing is known of one                                   | Ahead, FIRST_SYNC |
/// |                         | it is less full than it was, or the primary was set back  | Ahead, FIRST_SYNC_COMPARED |
/// |                         | had one, and is the copy that the first sync filled       | Ahead, FIRST_SYNC_COMPARED |
/// |                         | had one, and is another copy                              | Unfit |
/// | where the primary is    | nothing is marked                                         | Equal |
/// | in its generation       |                                                           | Ahead, STREAM |
/// | in its past             | marked blocks name all that it may lack                   | Ahead, BITMAP |
/// |                         | it acknowledged more once, or a place in another history; or is a mixture; or forgotten | Ahead, COMPARISON |
/// | anywhere                | the primary has lost what this copy was told              | SetBack, until an order to compare |
/// | gone on from here       | by itself                                                 | Behind |
/// | on another branch       |                                                           | Forked |
/// |                         | an operator of its host gives that up                     | Ahead, COMPARISON |
/// |                         | and both sides know what they have changed since          | Ahead, UNION |
/// | of no common history    |                                                           | Unrelated |
public sealed interface Verdict {
    /// Nothing is missing.
    record Equal(Position at) implements Verdict {}

    /// The other side is brought on from here.
    ///
    /// @param common the last position of both; [Position#NONE] where the copy is no image of
    ///   anything
    /// @param why what was found, for the operator; empty when it is as usual
    record Ahead(Position common, How how, String why) implements Verdict {}

    /// This side would have to be brought on from the other.
    record Behind(Position common, How how, String why) implements Verdict {}

    /// Both have gone on from here: one has to lose something, and only an operator says which.
    record Forked(Position at, String why) implements Verdict {}

    record Unrelated(String why) implements Verdict {}

    /// A primary is older than what it once sent: what the copy has more may be wanted, and nothing
    /// at the primary says which blocks that are.
    ///
    /// @param mine whether it is this side
    /// @param again whether the primary has to be attached again before its order to compare counts
    record SetBack(boolean mine, boolean again, String why) implements Verdict {}

    /// One of them cannot take part, whatever their histories.
    record Unfit(String why) implements Verdict {}

    /// How the copy is brought on.
    enum How {
        /// From its position in the present generation: the stream or the marked blocks.
        STREAM,
        /// The marked blocks.
        BITMAP,
        /// What either side has changed since they were the same, as far as a comparison finds it
        /// different (R31).
        UNION,
        /// All that a comparison finds.
        COMPARISON,
        /// A copy that has no point is filled (R19).
        FIRST_SYNC,
        /// The same, of what a comparison finds.
        FIRST_SYNC_COMPARED
    }

    String DISK_FAILED = "the copy's disk has failed";

    /// @param mine what this side said of itself first in this session
    /// @param theirs what the other said
    static Verdict of(Frame.ResourceHello mine, Frame.ResourceHello theirs) {
        if (isPrimary(mine) && isPrimary(theirs)) {
            return ofPrimaries(mine, theirs);
        }
        if (isPrimary(mine)) {
            return ofPrimary(mine, theirs);
        }
        return isPrimary(theirs)
                ? ofPrimary(theirs, mine).mirrored()
                : new Unfit("both sides are secondary");
    }

    /// What the other side concludes.
    default Verdict mirrored() {
        return switch (this) {
            case Ahead(Position common, How how, String why) -> new Behind(common, how, why);
            case Behind(Position common, How how, String why) -> new Ahead(common, how, why);
            case SetBack(boolean mine, boolean again, String why) -> new SetBack(!mine, again, why);
            case Equal _, Forked _, Unrelated _, Unfit _ -> this;
        };
    }

    /// For the operator; empty when there is nothing to say.
    default String why() {
        return switch (this) {
            case Equal _ -> "";
            case Ahead(_, _, String why) -> why;
            case Behind(_, _, String why) -> why;
            case Forked(_, String why) -> why;
            case Unrelated(String why) -> why;
            case SetBack(_, _, String why) -> why;
            case Unfit(String why) -> why;
        };
    }

    /// Whether the other side may be joined: by the primary as source, by the secondary as target.
    ///
    /// @param primary whether this side is
    default boolean joins(boolean primary) {
        return switch (this) {
            case Equal _ -> true;
            case Ahead _ -> primary;
            case Behind _ -> !primary;
            case Forked _, Unrelated _, SetBack _, Unfit _ -> false;
        };
    }

    /// Whether the two would have to be merged.
    default boolean isSplit() {
        return switch (this) {
            case Ahead _, Behind _, Forked _, Unrelated _ -> true;
            case Equal _, SetBack _, Unfit _ -> false;
        };
    }

    static boolean isUsable(int diskState) {
        return diskState > DiskState.FAILED.ordinal() && diskState < DiskState.values().length;
    }

    /// Whether it says that it is written to.
    public static boolean isPrimary(Frame.ResourceHello side) {
        return side.role() == Role.PRIMARY.ordinal() + 1;
    }

    /// Whoever is behind: it takes writes, and would lose them.
    private static Verdict ofPrimaries(Frame.ResourceHello mine, Frame.ResourceHello theirs) {
        Lineage lineage =
                Lineage.of(
                        mine.ancestry(),
                        mine.committed(),
                        mayHaveCrashed(mine),
                        theirs.ancestry(),
                        theirs.committed(),
                        mayHaveCrashed(theirs));
        return lineage.relation() == Lineage.Relation.UNRELATED
                ? new Unrelated("both sides are primary, and have no common history")
                : new Forked(
                        lineage.common(),
                        "both sides are primary; the last position of both is " + lineage.common());
    }

    /// Until a generation has ended cleanly its primary notes no more than that it has begun.
    private static boolean mayHaveCrashed(Frame.ResourceHello primary) {
        return primary.diskState() == DiskState.DISKLESS.ordinal()
                && primary.committed().number() == 0;
    }

    private static Lineage lineage(Frame.ResourceHello first, Frame.ResourceHello second) {
        return Lineage.of(
                first.ancestry(), first.committed(), second.ancestry(), second.committed());
    }

    private static Verdict ofPrimary(Frame.ResourceHello primary, Frame.ResourceHello copy) {
        if (!isUsable(copy.diskState())) {
            return new Unfit(DISK_FAILED);
        }
        if (copy.sizeBytes() < primary.sizeBytes()) {
            return new Unfit(
                    "the copy has %d bytes, the primary's device has %d"
                            .formatted(copy.sizeBytes(), primary.sizeBytes()));
        }
        if (!copy.everCommitted()) {
            return withoutPoint(primary, copy);
        }
        Lineage lineage = lineage(primary, copy);
        Position common = lineage.common();
        return switch (lineage.relation()) {
            case SAME, AHEAD ->
                    isSetBack(primary, copy)
                            ? setBack(primary, copy, common)
                            : copy.known().ordered()
                                    ? givingUp(primary, copy, common)
                                    : inThePast(primary, copy, lineage);
            case BEHIND, FORKED -> {
                if ((copy.known().ordered() || Faults.M73) && !isSetBack(primary, copy)) {
                    yield givingUp(primary, copy, common);
                }
                if (isByItself(primary, copy, common)) {
                    yield setBack(primary, copy, common);
                }
                yield lineage.relation() == Lineage.Relation.FORKED
                        ? new Forked(
                                common,
                                "the histories forked at %s: the primary went on to %s, the copy to %s"
                                        .formatted(common, primary.committed(), copy.committed()))
                        : new Behind(
                                common,
                                How.BITMAP,
                                "the copy has gone on from %s to %s by itself: it was promoted"
                                        .formatted(common, copy.committed()));
            }
            case UNRELATED -> {
                if (!isForgotten(primary, copy)) {
                    yield new Unrelated("the two copies have no common history");
                }
                yield isSetBack(primary, copy)
                        ? setBack(primary, copy, common)
                        : new Ahead(
                                copy.committed(),
                                How.COMPARISON,
                                "more than %d generations began since %s"
                                        .formatted(Ancestry.MAX_ENTRIES, copy.committed()));
            }
        };
    }

    /// What a peer has that had acknowledged a point is not overwritten unasked: its storage or its
    /// state may be another one, and the copy that we know still there.
    private static Verdict withoutPoint(Frame.ResourceHello primary, Frame.ResourceHello copy) {
        Frame.Known known = primary.known();
        boolean isTheOne = copy.ancestry().generation() == known.copy();
        if (!known.acknowledged().isNone()) {
            String why =
                    "the backup acknowledged %s and now has a copy without a point"
                            .formatted(known.acknowledged());
            return isTheOne
                    ? new Ahead(Position.NONE, How.FIRST_SYNC_COMPARED, why)
                    : new Unfit(
                            why
                                    + ", another one: its state or its storage was replaced. Look"
                                    + " for the old copy there; to fill the new one, remove the"
                                    + " resource at the primary and add it again");
        }
        if (isTheOne && copy.filled() < known.filled()) {
            return new Ahead(
                    Position.NONE,
                    How.FIRST_SYNC_COMPARED,
                    "the copy was put back to an older state: it had been filled to %d, now it says %d"
                            .formatted(known.filled(), copy.filled()));
        }
        if (isTheOne && isSetBack(primary, copy)) {
            return new Ahead(
                    Position.NONE,
                    How.FIRST_SYNC_COMPARED,
                    "the primary was set back to an older copy of itself");
        }
        return new Ahead(Position.NONE, How.FIRST_SYNC, "");
    }

    /// The copy is what was a primary's disk, whatever its position says: a write that failed, or
    /// one past us, has no number. So the primary's marks alone never do. One whose journal was
    /// damaged since is no image of anything, and the stream begins at none.
    private static Verdict givingUp(
            Frame.ResourceHello primary, Frame.ResourceHello copy, Position common) {
        How how = isChangeKnown(primary, copy, common) ? How.UNION : How.COMPARISON;
        boolean isMixture = copy.diskState() == DiskState.INCONSISTENT.ordinal();
        String why =
                "the copy gives up what it has by itself since %s, as an operator of its host ordered"
                        .formatted(common);
        return new Ahead(
                isMixture ? Position.NONE : common,
                Faults.M11 ? How.BITMAP : how,
                how == How.UNION ? why : why + "; not all that changed since then is known");
    }

    /// Whether the blocks that differ are all among those that the primary has marked and those
    /// that the copy says it has changed: both know all that they have changed since the last
    /// position of both. Or the primary has begun to compare with this very copy, which has not
    /// moved since: then what it found equal is marked no more, and all else is as it was.
    private static boolean isChangeKnown(
            Frame.ResourceHello primary, Frame.ResourceHello copy, Position common) {
        Frame.Known own = copy.known();
        Frame.Known known = primary.known();
        if (own.acknowledged().isNone() || copy.diskState() == DiskState.INCONSISTENT.ordinal()) {
            return false;
        }
        boolean isOneSetBack = own.filled() > known.told() || primary.tracked() > own.told();
        if (isOneSetBack && !Faults.M86) {
            return false; // One was told of what the other, as far as it knows, never told.
        }
        if (known.acknowledged().equals(copy.committed())) {
            return true;
        }
        return known.completeFrom().isNone()
                && isNotBehind(primary.ancestry(), marksSince(primary.ancestry(), known), common)
                && isNotBehind(copy.ancestry(), own.acknowledged(), common);
    }

    private static Position marksSince(Ancestry past, Frame.Known known) {
        return marksSince(past, known.acknowledged(), known.copy());
    }

    /// Whether what is known since one position of a past is all since another.
    ///
    /// @param since [Position#NONE]: nothing is
    public static boolean isNotBehind(Ancestry past, Position since, Position common) {
        if (since.isNone()) {
            return false;
        }
        if (since.generation() == common.generation()) {
            return since.number() <= common.number();
        }
        int from = past.indexOf(since.generation());
        return from >= 0 && from < past.indexOf(common.generation());
    }

    /// From which position of a primary's past on its marks name all that has changed. Those of a
    /// promoted copy begin with its promotion. Those of a primary that has begun to compare with a
    /// copy from another history are about that copy alone: what is equal there is not marked. So
    /// are those of one that has begun to fill or to mend a copy that is no image of anything: what
    /// that has is marked no more, and it has acknowledged nothing.
    ///
    /// @param acknowledged what its peer is known to have committed
    /// @param copy the copy that was filled or mended, 0 for none
    /// @return [Position#NONE] when there is no such position
    public static Position marksSince(Ancestry past, Position acknowledged, long copy) {
        int promoted = lastPromotion(past);
        if (acknowledged.isNone()) {
            return promoted < 0 || copy != 0 && !Faults.M87
                    ? Position.NONE
                    : past.entries().get(promoted).parent();
        }
        return past.indexOf(acknowledged.generation()) >= Math.max(0, promoted)
                ? acknowledged
                : Position.NONE;
    }

    /// Whether a copy is known to which the marks of this primary are a list of all that it lacks;
    /// of one that was never attached, which has marked everything, they are of any copy. One that
    /// has forgotten how its past began may have been promoted there.
    ///
    /// @param acknowledged what its peer is known to have committed
    /// @param copy the copy that was filled or mended, 0 for none
    public static boolean isFollowed(Ancestry past, Position acknowledged, long copy) {
        return acknowledged.isNone()
                ? !mayBePromoted(past) || copy != 0
                : past.entries().isEmpty() || !marksSince(past, acknowledged, copy).isNone();
    }

    private static boolean mayBePromoted(Ancestry past) {
        return lastPromotion(past) >= 0 || past.hasForgotten();
    }

    private static int lastPromotion(Ancestry past) {
        for (int i = past.entries().size() - 1; i >= 0; i--) {
            if (past.entries().get(i).reason() == Ancestry.Reason.PROMOTE) {
                return i;
            }
        }
        return -1;
    }

    /// The primary knows where the copy stands.
    private static Verdict inThePast(
            Frame.ResourceHello primary, Frame.ResourceHello copy, Lineage lineage) {
        Position theirs = copy.committed();
        if (copy.diskState() == DiskState.INCONSISTENT.ordinal()) {
            return new Ahead(
                    Position.NONE,
                    How.COMPARISON,
                    "the copy's journal was damaged, and it is no image of any moment");
        }
        if (hasLess(primary, theirs)) {
            return new Ahead(
                    theirs,
                    How.COMPARISON,
                    primary.known().acknowledged().isNone()
                            ? "the copy stands at %s, and what the primary has marked is not all since then"
                                    .formatted(theirs)
                            : "the copy acknowledged %s and now reports %s"
                                    .formatted(primary.known().acknowledged(), theirs));
        }
        if (theirs.generation() != primary.committed().generation()) {
            return new Ahead(theirs, How.BITMAP, "");
        }
        return lineage.relation() == Lineage.Relation.SAME && primary.known().marked() == 0
                ? new Equal(theirs)
                : new Ahead(theirs, How.STREAM, "");
    }

    /// Whether the copy stands before what it acknowledged, or was put back again since what it
    /// lacked there was compared. What it acknowledged may lie in a history which is not the
    /// primary's: the copy was joined there by an order, and compared. What is marked since is what
    /// the copy lacked there, and says nothing of any other place. Of a promoted primary that
    /// nobody has acknowledged anything the marks begin with the promotion, or are about a copy
    /// that is being filled, which may be another one.
    private static boolean hasLess(Frame.ResourceHello primary, Position theirs) {
        Position acknowledged = primary.known().acknowledged();
        Position completeFrom = primary.known().completeFrom();
        if (!completeFrom.isNone()
                && !theirs.equals(acknowledged)
                && !isNotBehind(primary.ancestry(), completeFrom, theirs)
                && !Faults.M96) {
            return true;
        }
        if (acknowledged.isNone()) {
            Ancestry past = primary.ancestry();
            return mayBePromoted(past)
                    && !isNotBehind(past, marksSince(past, primary.known()), theirs);
        }
        if (acknowledged.generation() == theirs.generation()) {
            return theirs.number() < acknowledged.number();
        }
        int index = primary.ancestry().indexOf(acknowledged.generation());
        return index < 0 || index > primary.ancestry().indexOf(theirs.generation());
    }

    // ---- a primary that was set back
    // -------------------------------------------------------------

    /// Whether the copy was told of a transaction that the primary never told of, as far as it
    /// knows.
    private static boolean isSetBack(Frame.ResourceHello primary, Frame.ResourceHello copy) {
        return copy.tracked() > primary.known().told() && !Faults.M39;
    }

    /// Whether all that the copy has more, it has of this primary's host, attached and not
    /// promoted; and neither is what the primary has more: one that was promoted again has left the
    /// other history by an order.
    private static boolean isByItself(
            Frame.ResourceHello primary, Frame.ResourceHello copy, Position common) {
        if (primary.ancestry().entries().isEmpty()) {
            return false;
        }
        var node = primary.ancestry().entries().getLast().author();
        Ancestry theirs = copy.ancestry();
        Ancestry ours = primary.ancestry();
        int from = theirs.indexOf(common.generation());
        int ourFrom = ours.indexOf(common.generation());
        return from >= 0
                && ours.entries().subList(ourFrom + 1, ours.entries().size()).stream()
                        .allMatch(Verdict::isAttach)
                && theirs.entries().subList(from, theirs.entries().size()).stream()
                        .allMatch(each -> each.author().equals(node))
                && theirs.entries().subList(from + 1, theirs.entries().size()).stream()
                        .allMatch(Verdict::isAttach);
    }

    private static boolean isAttach(Ancestry.Entry entry) {
        return switch (entry.reason()) {
            case ATTACH, CRASH -> true;
            case CREATE, PROMOTE, FORCE -> false;
        };
    }

    private static Verdict setBack(
            Frame.ResourceHello primary, Frame.ResourceHello copy, Position common) {
        boolean isInOurs = copy.committed().generation() == primary.committed().generation();
        boolean needsGeneration =
                isInOurs && copy.committed().number() > primary.committed().number();
        if (primary.known().ordered() && !needsGeneration) {
            return new Ahead(
                    copy.diskState() == DiskState.INCONSISTENT.ordinal() ? Position.NONE : common,
                    How.COMPARISON,
                    "the primary was set back to an older copy of itself, and an operator ordered"
                            + " that it counts");
        }
        // A disk that fails just when the link is back tells what it could not note any more
        // (R11). Or the copy may have been put back, to a time which a primary that was set back
        // before has forgotten: it was told of less then than the primary has told of since.
        String who =
                isSetBack(primary, copy)
                        ? "the primary was set back to an older copy of itself, or its disk failed"
                                + " while it sent the copy what the disk may lack"
                        : "the copy holds what the primary knows nothing of: one of the two was set"
                                + " back to an older copy of itself";
        return new SetBack(
                true,
                needsGeneration,
                ("%s. The primary stands at %s and has told of its transactions up to %d, the copy"
                                + " stands at %s and was told of %d. To go on with what the copy"
                                + " has, detach at the primary, promote at the copy, and reconnect"
                                + " --discard at the primary. To bring the copy back to what the"
                                + " primary holds instead, at the primary: %sinvalidate-remote")
                        .formatted(
                                who,
                                primary.committed(),
                                primary.known().told(),
                                copy.committed(),
                                copy.tracked(),
                                needsGeneration ? "detach, attach, " : ""));
    }

    /// Whether the copy stands where it once acknowledged that it does, so long ago that the
    /// primary's ancestry no longer reaches back to it. Had it gone on by itself since, it would be
    /// in another generation; had the primary been set back, it would know the one that is in.
    private static boolean isForgotten(Frame.ResourceHello primary, Frame.ResourceHello copy) {
        return primary.ancestry().hasForgotten()
                && copy.committed().generation() == primary.known().acknowledged().generation();
    }
}
