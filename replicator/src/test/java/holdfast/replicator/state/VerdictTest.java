package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Ancestry.Reason;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.util.UUID;

/// What a primary concludes: each test is one line of the table in docs/state-machine.md.
class VerdictTest {
    private static final UUID NODE = new UUID(1, 2);
    private static final Position NOTHING = Position.NONE;

    /// The copy that our first sync filled.
    private static final long COPY = 77;

    private Ancestry mine = Ancestry.EMPTY;

    /// What the peer has heard of our metadata, which ends with 50.
    private long tracked = 50;

    private VerdictTest began(long generation, Position parent, Reason reason) {
        mine = mine.plus(new Ancestry.Entry(generation, parent, reason, NODE, 0));
        return this;
    }

    private Verdict of(long lastNumber, Position acknowledged, Position theirs) {
        return of(lastNumber, acknowledged, theirs, true, Ancestry.EMPTY);
    }

    private Verdict of(
            long lastNumber,
            Position acknowledged,
            Position theirs,
            boolean everCommitted,
            Ancestry theirAncestry) {
        return of(
                lastNumber, acknowledged, theirs, everCommitted, theirAncestry, DiskState.OUTDATED);
    }

    private Verdict of(
            long lastNumber,
            Position acknowledged,
            Position theirs,
            boolean everCommitted,
            Ancestry theirAncestry,
            DiskState disk) {
        Frame.ResourceHello hello =
                new Frame.ResourceHello(
                        NODE,
                        2,
                        disk.ordinal(),
                        4096,
                        theirs,
                        theirs,
                        0,
                        everCommitted,
                        0,
                        false,
                        tracked,
                        theirAncestry);
        return Verdict.of(
                mine, new Position(mine.generation(), lastNumber), acknowledged, COPY, 50, hello);
    }

    private static Position at(long generation, long number) {
        return new Position(generation, number);
    }

    @Test
    void aCopyWithoutAPointIsFilled() {
        began(1, NOTHING, Reason.CREATE);
        assertEquals(new Verdict.Fresh(), of(5, NOTHING, NOTHING, false, Ancestry.EMPTY));
    }

    @Test
    void aCopyThatForgotItsPointsIsComparedAndAnotherOneIsRefused() {
        began(1, NOTHING, Reason.CREATE);
        assertInstanceOf(Verdict.FreshUntracked.class, of(5, at(1, 3), NOTHING, false, copy(COPY)));
        assertInstanceOf(Verdict.Refuse.class, of(5, at(1, 3), NOTHING, false, copy(COPY + 1)));
        assertInstanceOf(Verdict.Refuse.class, of(5, at(1, 3), NOTHING, false, Ancestry.EMPTY));
    }

    @Test
    void aMixtureIsComparedAndNeverResumed() {
        began(1, NOTHING, Reason.CREATE);
        assertInstanceOf(Verdict.Mixture.class, mixture(at(1, 3), at(1, 3)));
        assertInstanceOf(Verdict.Mixture.class, mixture(NOTHING, at(1, 3)));
        assertInstanceOf(Verdict.Refuse.class, mixture(at(1, 3), at(1, 6)));
    }

    private Verdict mixture(Position acknowledged, Position theirs) {
        return of(5, acknowledged, theirs, true, Ancestry.EMPTY, DiskState.INCONSISTENT);
    }

    private static Ancestry copy(long id) {
        return Ancestry.EMPTY.plus(new Ancestry.Entry(id, NOTHING, Reason.CREATE, NODE, 0));
    }

    @Test
    void aPeerInOurGenerationGoesOnWhereItStands() {
        began(1, NOTHING, Reason.CREATE);
        assertEquals(new Verdict.InGeneration(3), of(5, at(1, 3), at(1, 3)));
        assertEquals(new Verdict.InGeneration(5), of(5, at(1, 3), at(1, 5)));
    }

    @Test
    void aPeerAheadOfUsInOurGenerationIsRefused() {
        began(1, NOTHING, Reason.CREATE);
        assertInstanceOf(Verdict.Refuse.class, of(5, at(1, 3), at(1, 6)));
    }

    @Test
    void aPeerThatReportsLessThanItAcknowledgedIsCompared() {
        began(1, NOTHING, Reason.CREATE).began(2, at(1, 9), Reason.ATTACH);
        assertInstanceOf(Verdict.InPastUntracked.class, of(5, at(2, 4), at(2, 3)));
        assertInstanceOf(Verdict.InPastUntracked.class, of(5, at(2, 4), at(1, 9)));
        assertInstanceOf(Verdict.InPastUntracked.class, of(5, at(1, 8), at(1, 7)));
    }

    @Test
    void aPeerInAnEarlierGenerationLacksWhatIsMarked() {
        began(1, NOTHING, Reason.CREATE)
                .began(2, at(1, 9), Reason.ATTACH)
                .began(3, at(2, 4), Reason.ATTACH);
        assertEquals(new Verdict.InPast(), of(0, at(1, 8), at(1, 8)));
        assertEquals(new Verdict.InPast(), of(0, NOTHING, at(1, 9)));
        assertEquals(new Verdict.InPast(), of(0, at(2, 4), at(2, 4)));
    }

    @Test
    void aHostThatWasSetBackIsToldByWhatThePeerHasSeenOfIt() {
        began(1, NOTHING, Reason.CREATE).began(2, at(1, 2), Reason.CRASH);
        assertEquals(new Verdict.InPast(), of(0, at(1, 2), at(1, 7)));
        tracked = 51;
        assertInstanceOf(Verdict.SetBack.class, of(0, at(1, 2), at(1, 7)));
    }

    /// What the peer holds of it more than we lies where we were writing, and is compared (R4).
    @Test
    void howFarAGenerationWentThatACrashEndedNobodyKnows() {
        began(1, NOTHING, Reason.CREATE)
                .began(2, at(1, 2), Reason.CRASH)
                .began(3, at(2, 4), Reason.ATTACH);
        assertEquals(new Verdict.InPast(), of(0, at(1, 2), at(1, 7)));
        assertEquals(new Verdict.InPast(), of(0, at(2, 1), at(2, 1)));
        assertInstanceOf(Verdict.Refuse.class, of(0, at(2, 1), at(2, 5)));
    }

    @Test
    void aPeerFromBeforeAllThatIsRememberedIsComparedIfItAcknowledgedToBeThere() {
        began(1, NOTHING, Reason.CREATE);
        Ancestry then = mine;
        for (int i = 2; i <= Ancestry.MAX_ENTRIES + 1; i++) {
            began(i, at(i - 1, 1), Reason.ATTACH);
        }
        assertEquals(-1, mine.entries().indexOf(then.entries().getFirst()));
        assertInstanceOf(Verdict.InPastUntracked.class, of(5, at(1, 1), at(1, 1), true, then));
        // It went on by itself, it is somebody else's, or we were set back: no evidence.
        Ancestry other = then.plus(new Ancestry.Entry(-5, at(1, 1), Reason.PROMOTE, NODE, 0));
        assertInstanceOf(Verdict.Refuse.class, of(5, at(1, 1), at(-5, 3), true, other));
        assertInstanceOf(Verdict.Refuse.class, of(5, NOTHING, at(1, 1), true, then));
        Ancestry later =
                then.plus(new Ancestry.Entry(mine.generation(), at(1, 1), Reason.ATTACH, NODE, 0))
                        .plus(new Ancestry.Entry(-6, at(1, 1), Reason.ATTACH, NODE, 0));
        assertInstanceOf(Verdict.Refuse.class, of(5, at(-6, 1), at(-6, 1), true, later));
    }

    @Test
    void aPeerThatWentOnAfterTheForkIsRefused() {
        began(1, NOTHING, Reason.CREATE).began(2, at(1, 9), Reason.ATTACH);
        assertInstanceOf(Verdict.Refuse.class, of(0, at(1, 9), at(1, 10)));
    }

    @Test
    void aPromotedPeerAndAStrangerAreRefusedWithDifferentWords() {
        began(1, NOTHING, Reason.CREATE);
        Ancestry promoted = mine.plus(new Ancestry.Entry(8, at(1, 3), Reason.PROMOTE, NODE, 0));
        Verdict.Refuse gone = (Verdict.Refuse) of(5, at(1, 3), at(8, 1), true, promoted);
        Verdict.Refuse stranger = (Verdict.Refuse) of(5, at(1, 3), at(9, 1));
        assertEquals(
                "the peer has gone on from our history by itself: it was promoted", gone.why());
        assertEquals("the two copies have no common history", stranger.why());
    }
}
