package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.UUID;

/// What a copy that gives up its own says, and what a promoted primary makes of it: the union only
/// where all that was said belongs together, and everything where anything is missing.
class GivingUpTest implements PrimaryEffects {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final int BLOCKS = 256;
    private static final UUID ID = new UUID(5, 6);
    private static final UUID OTHER = new UUID(7, 8);
    private static final Position PROMOTED_AT = new Position(1, 10);

    private static final Ancestry PAST =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, OTHER, 0));
    private static final Ancestry MINE =
            PAST.plus(new Ancestry.Entry(2, PROMOTED_AT, Ancestry.Reason.PROMOTE, ID, 0));
    private static final Ancestry GIVEN_UP =
            PAST.plus(new Ancestry.Entry(9, new Position(1, 12), Ancestry.Reason.ATTACH, OTHER, 0));

    private static final List<Frame.KeptRange> RANGES =
            List.of(new Frame.KeptRange(20L * BLOCK, 2 * BLOCK));

    private final List<String> events = new ArrayList<>();
    private final List<Frame> sent = new ArrayList<>();
    private Primary primary;
    private long session;

    @BeforeEach
    void attach() {
        BlockSet dirty = new BlockSet(BLOCKS);
        dirty.add(3);
        primary = attached(Position.NONE, 0, dirty, true);
    }

    /// It has told of its transactions up to 50, and heard of 40 of the former primary's.
    private Primary attached(
            Position acknowledged, long peerCopy, BlockSet dirty, boolean trusted) {
        return attached(acknowledged, peerCopy, dirty, new BlockSet(BLOCKS), trusted);
    }

    private Primary attached(
            Position acknowledged,
            long peerCopy,
            BlockSet dirty,
            BlockSet suspect,
            boolean trusted) {
        return new Primary(
                new Primary.Config(ID, (long) BLOCKS * BLOCK, false, false, NoQuestions.LIMITS),
                new Primary.Attached(
                        MINE,
                        new Kept(
                                50,
                                1,
                                Transaction.Blank.CLEAR,
                                new PeerCopy(acknowledged, Position.NONE, peerCopy, 0),
                                50,
                                WriteTimes.NONE,
                                dirty,
                                suspect,
                                new BlockSet(BLOCKS),
                                new BitSet(),
                                List.of(),
                                false,
                                false),
                        40,
                        trusted),
                Budget.of(1 << 20),
                this);
    }

    // ---- what the primary makes of it
    // ------------------------------------------------------------------------------------

    @Test
    void whatBothSayIsCompared() {
        connect(gives(0, 40, 2), GIVEN_UP, new Position(9, 0), RANGES);
        assertEquals(2, primary.figures().suspectBlocks());
        assertEquals(1, primary.figures().dirtyBlocks());
        assertEquals(List.of("union"), events);
        // Cut off, it goes on, about this copy alone.
        connect(gives(0, 40, 2), GIVEN_UP, new Position(9, 0), RANGES);
        assertEquals(2, primary.figures().suspectBlocks());
        assertEquals(List.of("union", "union"), events);
    }

    @Test
    void whoWasToldOfWhatTheOtherNeverToldHasEverythingCompared() {
        connect(gives(51, 40, 2), GIVEN_UP, new Position(9, 0), RANGES);
        assertEquals(BLOCKS, primary.figures().suspectBlocks());
        attach();
        connect(gives(0, 39, 2), GIVEN_UP, new Position(9, 0), RANGES);
        assertEquals(BLOCKS, primary.figures().suspectBlocks());
        assertEquals(List.of("compare", "compare"), events);
    }

    /// It answers what was said to somebody else, or says its changes of another time.
    @Test
    void aHelloWithoutItsRangesHasEverythingCompared() {
        connect(gives(0, 40, 2), GIVEN_UP, new Position(9, 0), null);
        assertEquals(BLOCKS, primary.figures().suspectBlocks());
        attach();
        connect(gives(0, 40, 3), GIVEN_UP, new Position(9, 0), RANGES);
        assertEquals(BLOCKS, primary.figures().suspectBlocks());
        assertEquals(List.of("compare", "compare"), events);
    }

    /// What is found equal in a copy that is no image of anything is marked no more, while nothing
    /// is acknowledged: with the first mark that goes it is durable that the marks are about that
    /// copy.
    @Test
    void theMarksBesideAMixtureThatIsMendedAreAboutThatAlone() {
        primary.sessionUp(++session, 1);
        primary.on(hello(Frame.Known.NOTHING, PAST, PROMOTED_AT, DiskState.INCONSISTENT));
        assertEquals(BLOCKS, primary.figures().suspectBlocks());
        Transaction next = primary.nextTransaction();
        assertEquals(Position.NONE, next.peer().acknowledged());
        assertNotEquals(0, next.peer().id());
        primary = attached(Position.NONE, next.peer().id(), new BlockSet(BLOCKS), true);
        connect(gives(0, 40, 2), GIVEN_UP, new Position(9, 0), RANGES);
        assertEquals(BLOCKS, primary.figures().suspectBlocks());
        assertEquals(List.of("compare", "compare"), events);
    }

    /// Somebody may have restored an old image into it: what that lacks is in no list. So also
    /// where the peer stands where this has begun to compare with it, before that.
    @Test
    void beforeAnotherDiskIsBroughtToOneThatIsDoubtedEverythingIsCompared() {
        for (Position acknowledged : List.of(Position.NONE, new Position(9, 0))) {
            events.clear();
            primary = attached(acknowledged, 0, new BlockSet(BLOCKS), true);
            connect(gives(0, 40, 2), GIVEN_UP, new Position(9, 0), RANGES);
            assertEquals(List.of("union"), events);
            primary = attached(acknowledged, 0, new BlockSet(BLOCKS), false);
            assertFalse(primary.trustsDisk());
            connect(gives(0, 40, 2), GIVEN_UP, new Position(9, 0), RANGES);
            assertEquals(BLOCKS, primary.figures().suspectBlocks());
            assertEquals(List.of("union", "compare"), events);
        }
    }

    /// What is not marked was found equal from then on, until the disk fails.
    @Test
    void aDiskIsTrustedOnceEverythingIsMarked() {
        primary = attached(Position.NONE, 0, new BlockSet(BLOCKS), false);
        primary.compareAll("somebody ordered it");
        assertTrue(primary.trustsDisk());
        primary = attached(Position.NONE, 0, new BlockSet(BLOCKS), false);
        primary.sessionUp(++session, 1);
        primary.on(aNewCopy());
        assertEquals(ReplicationState.FIRST_SYNC, primary.state());
        assertTrue(primary.trustsDisk());
        primary.diskFailed("an error");
        assertFalse(primary.trustsDisk());
    }

    /// As behind an era in which nobody knew anything: what was written since is only dirty.
    @Test
    void whereAllIsMarkedOneWayOrTheOtherItIsCalledEverything() {
        BlockSet dirty = new BlockSet(BLOCKS);
        dirty.addRange(0, 100);
        BlockSet suspect = new BlockSet(BLOCKS);
        suspect.addRange(100, BLOCKS);
        primary = attached(Position.NONE, 0, dirty, suspect, true);
        connect(gives(0, 40, 2), GIVEN_UP, new Position(9, 0), RANGES);
        assertEquals(List.of("compare"), events);
    }

    /// Its journal was damaged while it was brought on.
    @Test
    void aMixtureThatGivesUpItsOwnIsComparedFromNoPosition() {
        connect(gives(0, 40, 2), GIVEN_UP, new Position(9, 0), RANGES, DiskState.INCONSISTENT);
        assertEquals(List.of("compare"), events);
        assertEquals(ReplicationState.COMPARE, primary.state());
        Frame behind = sent.removeLast();
        assertEquals(Position.NONE, assertInstanceOf(Frame.Behind.class, behind).whole());
        assertEquals(
                Position.NONE, assertInstanceOf(Frame.StreamStart.class, sent.getLast()).from());
    }

    private static Frame.ResourceHello aNewCopy() {
        return new Frame.ResourceHello(
                ID,
                Role.SECONDARY.ordinal() + 1,
                DiskState.INCONSISTENT.ordinal(),
                (long) BLOCKS * BLOCK,
                Position.NONE,
                Position.NONE,
                0,
                false,
                1 << 20,
                false,
                0,
                0,
                Frame.Known.NOTHING,
                Ancestry.EMPTY.plus(
                        new Ancestry.Entry(77, Position.NONE, Ancestry.Reason.CREATE, OTHER, 0)));
    }

    private static Frame.Known gives(long heard, long told, long blocks) {
        return new Frame.Known(new Position(1, 7), Position.NONE, 0, heard, told, blocks, true);
    }

    private void connect(
            Frame.Known known, Ancestry past, Position at, List<Frame.KeptRange> ranges) {
        connect(known, past, at, ranges, DiskState.UP_TO_DATE);
    }

    private void connect(
            Frame.Known known,
            Ancestry past,
            Position at,
            List<Frame.KeptRange> ranges,
            DiskState disk) {
        primary.sessionUp(++session, 1);
        if (ranges != null) {
            primary.on(new Frame.Changed(ID, ranges));
        }
        primary.on(hello(known, past, at, disk));
    }

    private static Frame.ResourceHello hello(
            Frame.Known known, Ancestry past, Position at, DiskState disk) {
        return new Frame.ResourceHello(
                ID,
                Role.SECONDARY.ordinal() + 1,
                disk.ordinal(),
                (long) BLOCKS * BLOCK,
                at,
                at,
                0,
                true,
                1 << 20,
                false,
                0,
                0,
                known,
                past);
    }

    // ---- what the copy says
    // ------------------------------------------------------------------------------------

    /// Who greets may not know what it is about, or say it later: the copy says what it knows.
    @Test
    void theCopySaysTheSameWhoeverGreets(@TempDir Path dir) throws Exception {
        try (CopyOnFiles copy = new CopyOnFiles(dir)) {
            copy.connect(Position.NONE);
            copy.commit(3, 1, 0, 1);
            OwnChanges changes = new OwnChanges(1, CopyOnFiles.at(2), 40, 100, RANGES);
            copy.backup.changed(changes);
            assertEquals(1, copy.backup.greeting().size(), "it gives up nothing");
            assertEquals("", copy.backup.discard(1, "discarded-1", 9));
            assertEquals(1, copy.backup.greeting().size(), "it does not know");
            copy.backup.changed(changes);
            Frame.Known says =
                    new Frame.Known(CopyOnFiles.at(2), Position.NONE, 0, 100, 40, 2, true);
            saysWhatItChanged(copy.backup.greeting(), says);
            copy.sent.clear();
            copy.backup.sessionUp(copy.primary());
            saysWhatItChanged(copy.sent, says);
            saysWhatItChanged(copy.backup.greeting(), says);
        }
    }

    private static void saysWhatItChanged(List<? extends Frame> greeting, Frame.Known known) {
        Frame.Changed changed = assertInstanceOf(Frame.Changed.class, greeting.get(0));
        assertEquals(RANGES, changed.ranges());
        assertEquals(known, assertInstanceOf(Frame.ResourceHello.class, greeting.get(1)).known());
    }

    // ---- the effects
    // ------------------------------------------------------------------------------------

    @Override
    public void send(Frame.OfResource frame) {
        sent.add(frame);
    }

    @Override
    public void wakeSender() {}

    @Override
    public void wakeReader() {}

    @Override
    public void wakeKeeper() {}

    @Override
    public void granted(Op op) {}

    @Override
    public void refused(Op op) {}

    @Override
    public void answered(Object waiter) {}

    @Override
    public void event(String kind, String text) {
        events.add(kind);
    }
}
