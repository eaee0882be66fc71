package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.state.Verdict.How;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Ancestry.Reason;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.util.UUID;

/// What two sides conclude: each test is a line or two of the table on [Verdict], seen from the
/// primary, and the backup's verdict is its mirror image.
class VerdictTest {
    private static final UUID NODE = new UUID(1, 2);
    private static final UUID OTHER = new UUID(3, 4);
    private static final Position NOTHING = Position.NONE;

    /// The copy that our first sync filled.
    private static final long COPY = 77;

    private static final long SIZE = 4096;

    private Ancestry mine = Ancestry.EMPTY;
    private Ancestry theirs = Ancestry.EMPTY;
    private int theirRole = 2;
    private DiskState theirDisk = DiskState.OUTDATED;
    private long theirSize = SIZE;
    private boolean everCommitted = true;

    /// What the peer has heard of our metadata, of which we told up to 50.
    private long tracked = 50;

    private long filled = 20;
    private long marked;
    private Position completeFrom = NOTHING;
    private boolean ordered;

    /// What we were told of before we were promoted.
    private long heard;

    /// The copy that we have filled; none of one that was promoted and had no other.
    private long ourCopy = COPY;

    private Frame.Known theirKnown = Frame.Known.NOTHING;

    private VerdictTest began(long generation, Position parent, Reason reason) {
        mine = mine.plus(new Ancestry.Entry(generation, parent, reason, NODE, 0));
        return this;
    }

    private void copyBegan(long generation, Position parent, Reason reason, UUID author) {
        theirs = theirs.plus(new Ancestry.Entry(generation, parent, reason, author, 0));
    }

    private Verdict of(long lastNumber, Position acknowledged, Position at) {
        Position here = new Position(mine.generation(), lastNumber);
        Frame.ResourceHello primary =
                new Frame.ResourceHello(
                        NODE,
                        1,
                        DiskState.UP_TO_DATE.ordinal(),
                        SIZE,
                        here,
                        here,
                        0,
                        true,
                        0,
                        false,
                        heard,
                        0,
                        new Frame.Known(
                                acknowledged, completeFrom, ourCopy, 20, 50, marked, ordered),
                        mine);
        Frame.ResourceHello copy =
                new Frame.ResourceHello(
                        NODE,
                        theirRole,
                        theirDisk.ordinal(),
                        theirSize,
                        at,
                        at,
                        0,
                        everCommitted,
                        0,
                        false,
                        tracked,
                        filled,
                        theirKnown,
                        theirs);
        Verdict verdict = Verdict.of(primary, copy);
        assertEquals(verdict.mirrored(), Verdict.of(copy, primary));
        assertEquals(verdict, verdict.mirrored().mirrored());
        return verdict;
    }

    private How how(long lastNumber, Position acknowledged, Position at) {
        return assertInstanceOf(Verdict.Ahead.class, of(lastNumber, acknowledged, at)).how();
    }

    private static Position at(long generation, long number) {
        return new Position(generation, number);
    }

    // ---- what is given up
    // -------------------------------------------------------------------------

    /// The former primary, a copy now, knows its changes since what it knew to be acknowledged.
    private void formerGivesUp(Position since, long told) {
        tracked = 0;
        copyBegan(1, NOTHING, Reason.CREATE, OTHER);
        copyBegan(9, at(1, 12), Reason.ATTACH, OTHER);
        theirKnown = new Frame.Known(since, NOTHING, 0, 0, told, 3, true);
    }

    private void promotedAt(Position at) {
        ourCopy = 0;
        began(1, NOTHING, Reason.CREATE).began(2, at, Reason.PROMOTE);
    }

    @Test
    void whatBothKnowToHaveChangedIsAllThatIsCompared() {
        promotedAt(at(1, 10));
        heard = 40;
        formerGivesUp(at(1, 7), 40);
        assertEquals(How.UNION, how(3, NOTHING, at(9, 0)));
        assertEquals(at(1, 10), Since.common(of(3, NOTHING, at(9, 0))));
        theirKnown = new Frame.Known(at(1, 10), NOTHING, 0, 0, 40, 3, true);
        assertEquals(How.UNION, how(3, NOTHING, at(9, 0)));
    }

    @Test
    void withoutTheWordOfBothEverythingIsCompared() {
        promotedAt(at(1, 10));
        heard = 40;
        formerGivesUp(at(1, 7), 40);
        theirKnown = Frame.Known.GIVES_UP;
        assertEquals(How.COMPARISON, how(3, NOTHING, at(9, 0)));
        // It knows less than since they were the same.
        theirKnown = new Frame.Known(at(1, 11), NOTHING, 0, 0, 40, 3, true);
        assertEquals(How.COMPARISON, how(3, NOTHING, at(9, 0)));
        // It has told of less than was heard: it was set back.
        theirKnown = new Frame.Known(at(1, 7), NOTHING, 0, 0, 39, 3, true);
        assertEquals(How.COMPARISON, how(3, NOTHING, at(9, 0)));
        // Its journal is damaged.
        theirKnown = new Frame.Known(at(1, 7), NOTHING, 0, 0, 40, 3, true);
        theirDisk = DiskState.INCONSISTENT;
        assertEquals(How.COMPARISON, how(3, NOTHING, at(9, 0)));
        assertEquals(
                NOTHING, Since.common(of(3, NOTHING, at(9, 0)))); // It is no image of anything.
        theirDisk = DiskState.OUTDATED;
        // What is marked here is about another copy that was compared.
        assertEquals(How.COMPARISON, how(3, at(8, 0), at(9, 0)));
        // And about this one, which has not moved since.
        assertEquals(How.UNION, how(3, at(9, 0), at(9, 0)));
        theirKnown = new Frame.Known(at(1, 7), NOTHING, 0, 0, 39, 3, true);
        assertEquals(How.COMPARISON, how(3, at(9, 0), at(9, 0)));
    }

    /// A replacement was filled in part, or a mixture mended: what that has is marked no more, and
    /// nothing is acknowledged.
    @Test
    void whatIsMarkedBesideACopyThatIsBeingFilledIsNotAllThatChanged() {
        promotedAt(at(1, 10));
        heard = 40;
        formerGivesUp(at(1, 7), 40);
        assertEquals(How.UNION, how(3, NOTHING, at(9, 0)));
        ourCopy = COPY;
        assertEquals(How.COMPARISON, how(3, NOTHING, at(9, 0)));
        // Nor is it all that one lacks that gives up nothing, wherever it stands.
        theirKnown = Frame.Known.NOTHING;
        theirs = Ancestry.EMPTY;
        copyBegan(1, NOTHING, Reason.CREATE, OTHER);
        assertEquals(How.COMPARISON, how(3, NOTHING, at(1, 10)));
        ourCopy = 0;
        assertEquals(How.BITMAP, how(3, NOTHING, at(1, 10)));
    }

    @Test
    void aDiskAtTheMomentOfThePromotionIsStillTheDiskOfAPrimary() {
        promotedAt(at(1, 10));
        tracked = 0;
        copyBegan(1, NOTHING, Reason.CREATE, OTHER);
        theirKnown = Frame.Known.GIVES_UP;
        assertEquals(How.COMPARISON, how(3, NOTHING, at(1, 10)));
        theirKnown = new Frame.Known(at(1, 7), NOTHING, 0, 0, 40, 3, true);
        assertEquals(How.UNION, how(3, NOTHING, at(1, 10)));
        // One that gives up nothing and stands in front of it lacks what is not marked.
        theirKnown = Frame.Known.NOTHING;
        assertEquals(How.COMPARISON, how(3, NOTHING, at(1, 9)));
    }

    @Test
    void thePromotedSideGivesUpToTheFormerPrimary() {
        began(1, NOTHING, Reason.CREATE);
        tracked = 0;
        copyBegan(1, NOTHING, Reason.CREATE, NODE);
        copyBegan(2, at(1, 10), Reason.PROMOTE, OTHER);
        copyBegan(9, at(2, 5), Reason.ATTACH, OTHER);
        theirKnown = new Frame.Known(at(1, 10), NOTHING, 0, 50, 1, 3, true);
        assertEquals(How.UNION, how(12, at(1, 8), at(9, 0)));
        // It was told of more than the former primary, as far as that knows, has told of.
        theirKnown = new Frame.Known(at(1, 10), NOTHING, 0, 51, 1, 3, true);
        assertEquals(How.COMPARISON, how(12, at(1, 8), at(9, 0)));
        assertEquals(How.COMPARISON, how(12, at(9, 0), at(9, 0)));
        theirKnown = new Frame.Known(at(1, 10), NOTHING, 0, 0, 1, 3, true);
        assertEquals(How.COMPARISON, how(12, at(1, 11), at(9, 0)));
        assertEquals(How.COMPARISON, how(12, NOTHING, at(9, 0)));
    }

    // ---- without a point
    // -------------------------------------------------------------------------

    @Test
    void aCopyWithoutAPointIsFilled() {
        began(1, NOTHING, Reason.CREATE);
        everCommitted = false;
        assertEquals(How.FIRST_SYNC, how(5, NOTHING, NOTHING));
        copyBegan(COPY, NOTHING, Reason.CREATE, OTHER);
        assertEquals(How.FIRST_SYNC, how(5, NOTHING, NOTHING));
        filled = 25;
        assertEquals(How.FIRST_SYNC, how(5, NOTHING, NOTHING));
    }

    @Test
    void aCopyThatForgotItsPointsIsComparedAndAnotherOneIsRefused() {
        began(1, NOTHING, Reason.CREATE);
        everCommitted = false;
        assertInstanceOf(Verdict.Unfit.class, of(5, at(1, 3), NOTHING));
        copyBegan(COPY, NOTHING, Reason.CREATE, OTHER);
        assertEquals(How.FIRST_SYNC_COMPARED, how(5, at(1, 3), NOTHING));
    }

    @Test
    void aCopyThatIsEmptierThanItWasIsCompared() {
        began(1, NOTHING, Reason.CREATE);
        everCommitted = false;
        copyBegan(COPY, NOTHING, Reason.CREATE, OTHER);
        filled = 19;
        assertEquals(How.FIRST_SYNC_COMPARED, how(5, NOTHING, NOTHING));
    }

    @Test
    void ofAHostThatWasSetBackAFirstSyncIsCompared() {
        began(1, NOTHING, Reason.CREATE);
        everCommitted = false;
        copyBegan(COPY, NOTHING, Reason.CREATE, OTHER);
        tracked = 51;
        assertEquals(How.FIRST_SYNC_COMPARED, how(5, NOTHING, NOTHING));
    }

    // ---- in our past
    // -----------------------------------------------------------------------------

    @Test
    void aPeerInOurGenerationGoesOnWhereItStands() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        assertEquals(new Verdict.Ahead(at(1, 3), How.STREAM, ""), of(5, at(1, 3), at(1, 3)));
        assertEquals(new Verdict.Equal(at(1, 5)), of(5, at(1, 3), at(1, 5)));
    }

    /// A verdict never clears a bit.
    @Test
    void equalPositionsAreNoEqualCopiesWhileBlocksAreMarked() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        marked = 1;
        assertEquals(new Verdict.Ahead(at(1, 5), How.STREAM, ""), of(5, at(1, 5), at(1, 5)));
    }

    @Test
    void aPeerInAnEarlierGenerationLacksWhatIsMarked() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        began(2, at(1, 9), Reason.ATTACH).began(3, at(2, 4), Reason.ATTACH);
        assertEquals(new Verdict.Ahead(at(1, 8), How.BITMAP, ""), of(0, at(1, 8), at(1, 8)));
        assertEquals(How.BITMAP, how(0, NOTHING, at(1, 9)));
        copyBegan(2, at(1, 9), Reason.ATTACH, NODE);
        assertEquals(How.BITMAP, how(0, at(2, 4), at(2, 4)));
    }

    @Test
    void aPeerThatReportsLessThanItAcknowledgedIsCompared() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        began(2, at(1, 9), Reason.ATTACH);
        assertEquals(How.COMPARISON, how(5, at(2, 4), at(1, 9)));
        assertEquals(How.COMPARISON, how(5, at(1, 8), at(1, 7)));
        theirs = mine;
        assertEquals(How.COMPARISON, how(5, at(2, 4), at(2, 3)));
    }

    /// Put back to 4 and compared there, while the primary stood at 9; put back again to 7.
    @Test
    void aPeerThatIsPutBackAgainIsComparedAgain() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        marked = 3;
        completeFrom = at(1, 9);
        assertEquals(How.STREAM, how(10, at(1, 4), at(1, 4)));
        assertEquals(How.COMPARISON, how(10, at(1, 4), at(1, 7)));
        assertEquals(How.STREAM, how(10, at(1, 4), at(1, 9)), "the commit's answer was lost");
        assertEquals(How.COMPARISON, how(10, NOTHING, at(1, 7)), "it was filled again meanwhile");
        began(2, at(1, 10), Reason.ATTACH);
        assertEquals(How.BITMAP, how(0, at(1, 4), at(1, 4)));
        assertEquals(How.COMPARISON, how(0, at(1, 4), at(1, 7)));
        assertEquals(How.BITMAP, how(0, at(1, 4), at(1, 10)));
        theirs = mine;
        assertEquals(How.STREAM, how(0, at(1, 4), at(2, 0)));
    }

    /// It gives up its own, and was a primary that had begun to compare.
    @Test
    void whatOneHasComparedIsNotAllThatItChanged() {
        promotedAt(at(1, 10));
        heard = 40;
        formerGivesUp(at(1, 7), 40);
        completeFrom = at(2, 1);
        assertEquals(How.COMPARISON, how(3, NOTHING, at(9, 0)));
        assertEquals(How.UNION, how(3, at(9, 0), at(9, 0)));
    }

    @Test
    void aMixtureIsComparedAndNeverResumed() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        theirDisk = DiskState.INCONSISTENT;
        assertEquals(NOTHING, ((Verdict.Ahead) of(5, at(1, 3), at(1, 3))).common());
        assertEquals(How.COMPARISON, how(5, at(1, 3), at(1, 3)));
        assertEquals(How.COMPARISON, how(5, NOTHING, at(1, 3)));
        assertInstanceOf(Verdict.SetBack.class, of(5, at(1, 3), at(1, 6)));
    }

    /// It was there when an order brought it back to us; what was equal there is not marked.
    @Test
    void whatAcknowledgedAHistoryThatIsNotOursIsComparedAnywhereElse() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        began(2, at(1, 4), Reason.CRASH);
        assertEquals(How.COMPARISON, how(7, at(9, 5), at(1, 3)));
        copyBegan(2, at(1, 4), Reason.CRASH, NODE);
        assertEquals(How.COMPARISON, how(7, at(9, 5), at(2, 1)));
        assertEquals(How.STREAM, how(7, NOTHING, at(2, 1)));
    }

    /// What the peer holds of it more than we lies where we were writing, and is compared (R4).
    @Test
    void howFarAGenerationWentThatACrashEndedNobodyKnows() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        began(2, at(1, 2), Reason.CRASH).began(3, at(2, 4), Reason.ATTACH);
        assertEquals(How.BITMAP, how(0, at(1, 2), at(1, 7)));
        copyBegan(2, at(1, 2), Reason.CRASH, NODE);
        assertEquals(How.BITMAP, how(0, at(2, 1), at(2, 1)));
    }

    /// Its marks are everything, or begin with a promotion that it has forgotten.
    @Test
    void whoHasForgottenItsBeginningKnowsNoCopyThatHasAcknowledgedNothing() {
        began(5, at(4, 3), Reason.ATTACH);
        theirs = mine;
        began(6, at(5, 9), Reason.ATTACH);
        assertFalse(Verdict.isFollowed(mine, NOTHING, 0));
        assertTrue(Verdict.isFollowed(mine, NOTHING, COPY));
        assertTrue(Verdict.isFollowed(mine, at(5, 2), 0));
        ourCopy = 0;
        assertEquals(How.COMPARISON, how(3, NOTHING, at(5, 9)));
        mine = Ancestry.EMPTY;
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        began(6, at(1, 9), Reason.ATTACH);
        assertTrue(Verdict.isFollowed(mine, NOTHING, 0));
        assertEquals(How.BITMAP, how(3, NOTHING, at(1, 9)));
    }

    @Test
    void aPeerFromBeforeAllThatIsRememberedIsComparedIfItAcknowledgedToBeThere() {
        began(1, NOTHING, Reason.CREATE);
        Ancestry then = mine;
        for (int i = 2; i <= Ancestry.MAX_ENTRIES + 1; i++) {
            began(i, at(i - 1, 1), Reason.ATTACH);
        }
        assertEquals(-1, mine.indexOf(1));
        theirs = then;
        assertEquals(How.COMPARISON, how(5, at(1, 1), at(1, 1)));
        assertInstanceOf(Verdict.Unrelated.class, of(5, NOTHING, at(1, 1)));
        // It went on by itself.
        copyBegan(-5, at(1, 1), Reason.PROMOTE, OTHER);
        assertInstanceOf(Verdict.Unrelated.class, of(5, at(1, 1), at(-5, 3)));
    }

    // ---- set back
    // --------------------------------------------------------------------------------

    @Test
    void aHostThatWasSetBackIsToldByWhatThePeerHasSeenOfIt() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        began(2, at(1, 2), Reason.CRASH);
        assertEquals(How.BITMAP, how(0, at(1, 2), at(1, 7)));
        tracked = 51;
        Verdict.SetBack found = assertInstanceOf(Verdict.SetBack.class, of(0, at(1, 2), at(1, 7)));
        assertTrue(found.mine());
        assertTrue(found.why().contains("invalidate-remote"), found.why());
        ordered = true;
        assertEquals(How.COMPARISON, how(0, at(1, 2), at(1, 7)));
    }

    @Test
    void whatOurHostHasWrittenAndWeDoNotKnowOfIsASetBackToo() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        copyBegan(2, at(1, 9), Reason.ATTACH, NODE);
        assertInstanceOf(Verdict.SetBack.class, of(4, at(1, 3), at(2, 6)));
        assertInstanceOf(Verdict.SetBack.class, of(12, at(1, 3), at(2, 6)));
        assertTrue(of(4, at(1, 3), at(2, 6)).why().contains("one of the two was set back"));
        tracked = 51;
        assertTrue(of(4, at(1, 3), at(2, 6)).why().contains("the primary was set back"));
        ordered = true;
        assertEquals(How.COMPARISON, how(4, at(1, 3), at(2, 6)));
    }

    /// Its position could only go back, within one generation.
    @Test
    void whatIsAheadOfUsInOurGenerationNeedsAnotherOneFirst() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        ordered = true;
        assertTrue(of(5, at(1, 3), at(1, 6)).why().contains("detach, attach"));
        began(2, at(1, 5), Reason.ATTACH);
        assertEquals(How.COMPARISON, how(0, at(1, 3), at(1, 6)));
    }

    // ---- apart
    // -----------------------------------------------------------------------------------

    @Test
    void aPeerThatWasPromotedIsNotOverwritten() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        copyBegan(8, at(1, 5), Reason.PROMOTE, OTHER);
        ordered = true;
        Verdict.Behind behind = assertInstanceOf(Verdict.Behind.class, of(5, at(1, 3), at(8, 1)));
        assertEquals(at(1, 5), behind.common());
        assertTrue(behind.why().contains("it was promoted"), behind.why());
        assertEquals(at(1, 5), forked(6, at(8, 1)));
        began(2, at(1, 7), Reason.ATTACH);
        assertEquals(at(1, 5), forked(0, at(8, 1)));
    }

    private Position forked(long lastNumber, Position at) {
        return assertInstanceOf(Verdict.Forked.class, of(lastNumber, at(1, 3), at)).at();
    }

    @Test
    void aStrangerIsUnrelated() {
        began(1, NOTHING, Reason.CREATE);
        copyBegan(9, NOTHING, Reason.CREATE, NODE);
        assertInstanceOf(Verdict.Unrelated.class, of(5, at(1, 3), at(9, 1)));
        assertInstanceOf(Verdict.Unrelated.class, of(5, at(1, 3), at(10, 1)));
    }

    @Test
    void twoPrimariesAreForkedWhereTheyParted() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        theirRole = 1;
        copyBegan(8, at(1, 3), Reason.PROMOTE, OTHER);
        assertEquals(at(1, 3), forked(6, at(8, 1)));
        assertEquals(at(1, 2), forked(2, at(8, 1)));
    }

    /// A power cut leaves a primary that knows of its generation no more than that it has begun.
    /// The other one, which was promoted, knows where it was left.
    @Test
    void aPrimaryAtRestBehindACrashWasWhereTheOtherOneLeftItsGeneration() {
        promotedAt(at(1, 10));
        copyBegan(1, NOTHING, Reason.CREATE, OTHER);
        theirRole = 1;
        assertEquals(at(1, 0), forked(3, at(1, 0)));
        theirDisk = DiskState.DISKLESS;
        assertEquals(at(1, 10), forked(3, at(1, 0)));
        // That one was detached.
        assertEquals(at(1, 4), forked(3, at(1, 4)));
        assertEquals(at(1, 10), forked(3, at(1, 12)));
    }

    @Test
    void whoCannotTakePartIsUnfit() {
        began(1, NOTHING, Reason.CREATE);
        theirs = mine;
        theirDisk = DiskState.FAILED;
        assertEquals(new Verdict.Unfit(Verdict.DISK_FAILED), of(5, at(1, 3), at(1, 3)));
        theirDisk = DiskState.OUTDATED;
        theirSize = SIZE - 1;
        assertInstanceOf(Verdict.Unfit.class, of(5, at(1, 3), at(1, 3)));
    }
}
