package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Ancestry.Reason;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.Optional;
import java.util.UUID;

class BootGateDecisionTest {
    private static final UUID HERE = new UUID(1, 1);
    private static final UUID THERE = new UUID(2, 2);
    private static final Position FORK = new Position(1, 8);
    private static final Ancestry CREATED =
            Ancestry.EMPTY.plus(new Ancestry.Entry(1, Position.NONE, Reason.CREATE, HERE, 0));

    private static Ancestry gone(Ancestry from, long generation, Position parent, Reason reason) {
        return from.plus(new Ancestry.Entry(generation, parent, reason, THERE, 0));
    }

    private static Frame.ResourceHello hello(
            Role role, DiskState disk, Position at, Ancestry past) {
        return new Frame.ResourceHello(
                new UUID(0, 7),
                role.ordinal() + 1,
                disk.ordinal(),
                4096,
                at,
                at,
                0,
                true,
                0,
                false,
                0,
                past);
    }

    private static BootGate.Outcome decide(Frame.ResourceHello mine, Frame.ResourceHello peer) {
        return BootGate.decide(Duration.ZERO, Optional.empty(), mine, peer);
    }

    private static final Frame.ResourceHello SERVER =
            hello(Role.PRIMARY, DiskState.DISKLESS, FORK.plus(3), CREATED);
    private static final Ancestry PROMOTED = gone(CREATED, 2, FORK, Reason.PROMOTE);

    @Test
    void aCopyThatWasPromotedClosesItAndAnyOtherOpensIt() {
        assertInstanceOf(
                BootGate.Outcome.Closed.class,
                decide(
                        SERVER,
                        hello(Role.PRIMARY, DiskState.UP_TO_DATE, new Position(2, 0), PROMOTED)));
        assertInstanceOf(
                BootGate.Outcome.Closed.class,
                decide(
                        SERVER,
                        hello(Role.SECONDARY, DiskState.OUTDATED, new Position(2, 0), PROMOTED)));
        assertEquals(
                new BootGate.Outcome.Open("the peer was not promoted"),
                decide(SERVER, hello(Role.SECONDARY, DiskState.OUTDATED, FORK, CREATED)));
        assertEquals(new BootGate.Outcome.Wait(Optional.empty()), decide(SERVER, null));
    }

    /// It is the one that goes on, and its host was restarted: the former primary is primary still,
    /// detached or not, and may have been attached again.
    @Test
    void whoWasPromotedIsNotKeptClosedByTheOneOfBefore() {
        Frame.ResourceHello promoted =
                hello(Role.PRIMARY, DiskState.DISKLESS, new Position(2, 0), PROMOTED);
        assertInstanceOf(BootGate.Outcome.Open.class, decide(promoted, SERVER));
        assertInstanceOf(
                BootGate.Outcome.Open.class,
                decide(
                        promoted,
                        hello(
                                Role.PRIMARY,
                                DiskState.UP_TO_DATE,
                                new Position(3, 4),
                                gone(CREATED, 3, FORK.plus(3), Reason.CRASH))));
        // Promoted there and then here: what began before the last moment of both closes nothing.
        Ancestry back = gone(PROMOTED, 4, new Position(2, 9), Reason.PROMOTE);
        assertInstanceOf(
                BootGate.Outcome.Open.class,
                decide(
                        hello(Role.PRIMARY, DiskState.DISKLESS, new Position(4, 0), back),
                        hello(Role.PRIMARY, DiskState.UP_TO_DATE, new Position(2, 12), PROMOTED)));
    }

    /// Neither a promotion nor anything else says what it is to this one, and both would be written
    /// to. A copy with no common history is nobody who goes on.
    @Test
    void aPrimaryOfNoCommonHistoryClosesIt() {
        Ancestry another =
                Ancestry.EMPTY.plus(new Ancestry.Entry(9, Position.NONE, Reason.CREATE, THERE, 0));
        assertEquals(
                new BootGate.Outcome.Closed("both sides are primary, and have no common history"),
                decide(
                        SERVER,
                        hello(Role.PRIMARY, DiskState.DISKLESS, new Position(9, 4), another)));
        assertInstanceOf(
                BootGate.Outcome.Open.class,
                decide(
                        SERVER,
                        hello(Role.SECONDARY, DiskState.OUTDATED, new Position(9, 4), another)));
    }
}
