package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Ancestry.Reason;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.UUID;

class SinceTest {
    private static final UUID HOST = new UUID(1, 1);
    private static final UUID OTHER = new UUID(2, 2);
    private static final Ancestry CREATED =
            Ancestry.EMPTY.plus(new Ancestry.Entry(1, Position.NONE, Reason.CREATE, HOST, 0));
    private static final Position FORK = new Position(1, 8);

    private static Frame.ResourceHello at(Position here, Ancestry ancestry) {
        return new Frame.ResourceHello(
                new UUID(0, 7),
                Role.PRIMARY.ordinal() + 1,
                DiskState.UP_TO_DATE.ordinal(),
                4096,
                here,
                here,
                0,
                true,
                0,
                false,
                0,
                0,
                Frame.Known.NOTHING,
                ancestry);
    }

    private static Ancestry gone(Ancestry from, long generation, Position parent, Reason reason) {
        return from.plus(new Ancestry.Entry(generation, parent, reason, OTHER, 0));
    }

    @Test
    void whoWentOnInTheSameGenerationHasWrittenWhatLiesBehind() {
        assertEquals(new Since(12, List.of(), 0), Since.of(at(new Position(1, 20), CREATED), FORK));
    }

    @Test
    void whoWasPromotedThereHasWrittenInTheGenerationThatBegan() {
        Ancestry promoted = gone(CREATED, 2, FORK, Reason.PROMOTE);
        Since since = Since.of(at(new Position(2, 5), promoted), FORK);
        assertEquals(0, since.writes());
        assertEquals(5, since.writesSince());
        assertEquals(promoted.entries().subList(1, 2), since.begun());
    }

    @Test
    void aCleanStopCountsWhatWasWrittenBeforeItAndACrashDoesNot() {
        Ancestry attached = gone(CREATED, 3, new Position(1, 30), Reason.ATTACH);
        assertEquals(22, Since.of(at(new Position(3, 1), attached), FORK).writes());
        Ancestry crashed = gone(CREATED, 3, new Position(1, 0), Reason.CRASH);
        assertEquals(0, Since.of(at(new Position(3, 1), crashed), FORK).writes());
    }

    @Test
    void withoutACommonPositionAllThatIsKnownIsSince() {
        Since since = Since.of(at(new Position(1, 20), CREATED), Position.NONE);
        assertEquals(CREATED.entries(), since.begun());
        assertTrue(since.writes() == 0 && since.writesSince() == 20);
    }

    @Test
    void whatIsGivenUpIsTheBeginningOfAGenerationOfItsOwn() {
        Position end = new Position(1, 20);
        Rest clean = Rest.of(CREATED, end, true, 9, HOST, 5);
        assertEquals(new Position(9, 0), clean.position());
        assertEquals(end, clean.ancestry().entries().getLast().parent());
        assertEquals(Reason.ATTACH, clean.ancestry().entries().getLast().reason());
        Rest crashed = Rest.of(CREATED, new Position(1, 0), false, 9, HOST, 5);
        assertEquals(new Position(9, 0), crashed.position());
        assertEquals(Reason.CRASH, crashed.ancestry().entries().getLast().reason());
    }

    @Test
    void whatIsUndoneByGoingOnFromAMomentIsCountedAlongTheWayToIt() {
        Ancestry first = gone(CREATED, 2, FORK, Reason.PROMOTE);
        Ancestry attached = gone(first, 3, new Position(2, 5), Reason.ATTACH);
        Position here = new Position(3, 4);
        // Of the own history, of before the promotion, and of what the server had done by itself.
        assertEquals(7, Since.writesBehind(attached, here, first, new Position(2, 2)));
        assertEquals(12, Since.writesBehind(attached, here, CREATED, new Position(1, 5)));
        assertEquals(9, Since.writesBehind(attached, here, CREATED, new Position(1, 20)));
        assertEquals(0, Since.writesBehind(attached, here, attached, here));
        // And back, from a moment of before to one of the history that was left.
        Ancestry second = gone(CREATED, 4, new Position(1, 5), Reason.PROMOTE);
        assertEquals(6, Since.writesBehind(second, new Position(4, 6), attached, here));
    }
}
