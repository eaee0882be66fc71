package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Role;
import holdfast.replicator.status.StatusReport;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Ancestry.Reason;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

class HistoriesTest {
    private static final UUID SERVER = new UUID(1, 1);
    private static final UUID BACKUP = new UUID(2, 2);
    private static final Position FORK = new Position(1, 8);
    private static final Ancestry CREATED =
            Ancestry.EMPTY.plus(new Ancestry.Entry(1, Position.NONE, Reason.CREATE, SERVER, 5));
    private static final Ancestry PROMOTED =
            CREATED.plus(new Ancestry.Entry(2, FORK, Reason.PROMOTE, BACKUP, 900));

    private static final Frame.ResourceHello FORMER = hello(new Position(1, 20), CREATED);
    private static final Frame.ResourceHello ITS_COPY = hello(new Position(2, 3), PROMOTED);

    private static final Frame.Wrote BY_FORMER =
            new Frame.Wrote(
                    new UUID(0, 7), new Position(1, 20), FORK, 0, 100, 700, false, 12, true, 0);
    private static final Frame.Wrote BY_PROMOTED =
            new Frame.Wrote(
                    new UUID(0, 7), new Position(2, 3), FORK, 600, 950, 980, false, 3, true, 0);

    private static Frame.ResourceHello hello(Position at, Ancestry past) {
        return new Frame.ResourceHello(
                new UUID(0, 7),
                Role.PRIMARY.ordinal() + 1,
                DiskState.UP_TO_DATE.ordinal(),
                1 << 20,
                at,
                at,
                0,
                true,
                0,
                false,
                0,
                past);
    }

    private static StatusReport.Histories atServer(Frame.Wrote former, Frame.Wrote promoted) {
        return new Histories("server", SERVER, "backup")
                .of(new Histories.Said(FORMER, former), new Histories.Said(ITS_COPY, promoted));
    }

    private static StatusReport.Histories atBackup(Frame.Wrote former, Frame.Wrote promoted) {
        return new Histories("backup", BACKUP, "server")
                .of(new Histories.Said(ITS_COPY, promoted), new Histories.Said(FORMER, former));
    }

    private static Optional<Instant> at(long millis) {
        return Optional.of(Instant.ofEpochMilli(millis));
    }

    private static StatusReport.Side former(Frame.Wrote wrote) {
        return atServer(wrote, BY_PROMOTED).sides().getFirst();
    }

    private static Frame.Wrote counts(Position since, long blocks, boolean exact, long doubtful) {
        return new Frame.Wrote(
                new UUID(0, 7),
                new Position(1, 20),
                since,
                0,
                100,
                700,
                true,
                blocks,
                exact,
                doubtful);
    }

    @Test
    void bothSidesSayTheSame() {
        StatusReport.Histories here = atServer(BY_FORMER, BY_PROMOTED);
        StatusReport.Histories there = atBackup(BY_FORMER, BY_PROMOTED);
        assertEquals(Optional.of(FORK.toString()), here.common());
        assertEquals(at(600), here.commonTime());
        assertEquals(here.common(), there.common());
        assertEquals(here.commonTime(), there.commonTime());
        assertEquals(here.sides(), there.sides().reversed());
        StatusReport.Side promoted = here.sides().getLast();
        assertEquals(
                List.of(new StatusReport.Begun("PROMOTE", "backup", Instant.ofEpochMilli(900))),
                promoted.begun());
        assertEquals(Optional.of(3L), promoted.blocks());
        assertFalse(promoted.atMost());
    }

    /// It has left the moment, and only the promoted one knows when that was written.
    @Test
    void whoStandsAtTheLastMomentOfBothSaysWhenItWasWhereNobodyWasPromoted() {
        Frame.ResourceHello behind = hello(FORK, CREATED);
        Frame.Wrote stands =
                new Frame.Wrote(new UUID(0, 7), FORK, FORK, 0, 0, 650, false, 0, true, 0);
        Frame.Wrote silent = BY_PROMOTED.parted(0);
        assertEquals(
                at(650),
                new Histories("server", SERVER, "backup")
                        .of(
                                new Histories.Said(behind, stands),
                                new Histories.Said(ITS_COPY, silent))
                        .commonTime());
        assertEquals(Optional.empty(), atServer(BY_FORMER, silent).commonTime());
        assertEquals(Optional.empty(), atServer(BY_FORMER, null).commonTime());
    }

    @Test
    void whatAPeerGoneBadSaysIsNotKnown() {
        StatusReport.Side side = former(counts(FORK, -7, true, 3));
        assertTrue(side.told());
        assertEquals(Optional.empty(), side.blocks());
        assertEquals(Optional.empty(), side.since());
        assertEquals(Optional.empty(), former(counts(FORK, 3, true, Long.MIN_VALUE)).blocks());
        assertEquals(
                Optional.of(Long.MAX_VALUE / 4096 * 4096),
                former(counts(FORK, Long.MAX_VALUE, true, 0)).bytes());
    }

    @Test
    void whatWasMarkedBeforeTheLastMomentOfBothIsAtMostAndBehindItNothing() {
        StatusReport.Side before = former(counts(new Position(1, 6), 12, true, 0));
        assertTrue(before.atMost());
        assertEquals(at(600), before.since());
        assertTrue(former(counts(FORK, 12, false, 0)).atMost());
        assertEquals(at(100), former(counts(FORK, 12, true, 0)).since());
        assertEquals(Optional.empty(), former(counts(new Position(1, 9), 12, true, 0)).blocks());
        assertEquals(Optional.empty(), former(counts(Position.NONE, 12, true, 0)).blocks());
    }
}
