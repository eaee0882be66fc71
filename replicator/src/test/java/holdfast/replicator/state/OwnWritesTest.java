package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.BitSet;
import java.util.List;
import java.util.UUID;

/// What a primary says that it wrote, which its peer may lack: as much as it knows, over a restart
/// too, and that it does not know the rest.
class OwnWritesTest implements PrimaryEffects {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final int BLOCKS = 8192;
    private static final long SECOND = 1_000_000_000L;
    private static final long UNKNOWN = Frame.Wrote.UNKNOWN;
    private static final UUID ID = new UUID(5, 6);
    private static final Position AT = new Position(1, 10);
    private static final Ancestry CREATED =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));

    private final BlockSet dirty = new BlockSet(BLOCKS);
    private final BlockSet suspect = new BlockSet(BLOCKS);
    private Position acknowledged = AT;
    private WriteTimes times = WriteTimes.NONE;
    private List<Long> active = List.of();
    private boolean isLost;
    private long nowNanos = SECOND;
    private Primary primary;

    private Kept kept() {
        return new Kept(
                1,
                1,
                Transaction.Blank.CLEAR,
                new PeerCopy(acknowledged, Position.NONE, 0, 0),
                1,
                times,
                dirty,
                suspect,
                new BlockSet(BLOCKS),
                new BitSet(),
                active,
                isLost,
                false);
    }

    private static Ancestry gone(Ancestry.Reason reason) {
        return CREATED.plus(new Ancestry.Entry(2, AT, reason, ID, 0));
    }

    private void attach(Ancestry ancestry, long bufferBytes) {
        primary =
                new Primary(
                        new Primary.Config(
                                ID, (long) BLOCKS * BLOCK, false, false, NoQuestions.LIMITS),
                        new Primary.Attached(ancestry, kept()),
                        Budget.of(bufferBytes),
                        this);
        primary.tick(nowNanos, 1);
    }

    private void write(long block, int count, long atMillis) {
        int bytes = count * BLOCK;
        Op op = Op.write(block * BLOCK, bytes, Held.of(ByteBuffer.allocate(bytes)), "nobody");
        if (primary.admit(op) != Primary.Admission.GO) {
            primary.transactionDone(primary.nextTransaction());
        }
        primary.written(op, atMillis);
    }

    private Frame.Wrote wrote(Position since, long first, long last, long blocks, long doubtful) {
        return new Frame.Wrote(
                ID,
                primary.position(),
                since,
                0,
                first,
                last,
                false,
                blocks,
                doubtful == 0,
                doubtful);
    }

    /// The peer stands where this one began, and the buffer is open.
    private void establish() {
        connect();
        primary.tick(nowNanos += 60 * SECOND, 1);
        Frame.EpochBegin asked = assertInstanceOf(Frame.EpochBegin.class, next());
        primary.on(new Frame.EpochReply(ID, 1, asked.epoch(), asked.blocks(), 0, 0));
        Frame.EpochCommit commit = assertInstanceOf(Frame.EpochCommit.class, next());
        acknowledge(commit.position().number());
        assertEquals(ReplicationState.ESTABLISHED, primary.state());
    }

    private Frame.Data next() {
        Frame.Data next = primary.next();
        return next instanceof Frame.Tracked ? primary.next() : next;
    }

    private void connect() {
        primary.sessionUp(1, 1);
        primary.on(
                new Frame.ResourceHello(
                        ID,
                        2,
                        DiskState.UP_TO_DATE.ordinal(),
                        (long) BLOCKS * BLOCK,
                        AT,
                        AT,
                        0,
                        true,
                        1 << 20,
                        false,
                        0,
                        CREATED));
    }

    private void acknowledge(long number) {
        Position at = new Position(2, number);
        primary.on(new Frame.Ack(ID, 1, at, at, 0, 0));
    }

    /// Some of it waits in the buffer, the rest is marked, and some is in both.
    @Test
    void eachBlockCountsOnceWhereverItIs() {
        attach(gone(Ancestry.Reason.ATTACH), 3L * (4 * BLOCK + Op.OVERHEAD_BYTES));
        establish();
        primary.sessionDown();
        Position since = primary.position();
        assertEquals(wrote(since, 0, 0, 0, 0), primary.wrote());
        write(104, 4, 20);
        write(200, 4, 21);
        write(202, 4, 22);
        assertEquals(wrote(since, 20, 22, 10, 0), primary.wrote());
        assertEquals(0, primary.figures().dirtyBlocks());
        write(300, 4, 23); // Finds no room, and closes the buffer.
        write(203, 2, 24);
        assertEquals(6, primary.figures().dirtyBlocks());
        assertEquals(wrote(since, 20, 24, 14, 0), primary.wrote());
    }

    @Test
    void whatWasMarkedBeforeARestartIsStillToldOf() {
        dirty.addRange(100, 110);
        times = new WriteTimes(3, 4);
        attach(gone(Ancestry.Reason.ATTACH), 1 << 20);
        assertEquals(wrote(AT, 3, 4, 10, 0), primary.wrote());
        write(104, 8, 20);
        assertEquals(wrote(AT, 3, 20, 12, 0), primary.wrote());
    }

    @Test
    void aPromotedCopyThatWroteNothingSaysThatAndThenWhatItWrites() {
        acknowledged = Position.NONE;
        attach(gone(Ancestry.Reason.PROMOTE), 1 << 20);
        assertEquals(wrote(AT, 0, 0, 0, 0), primary.wrote());
        write(7, 2, 30);
        write(8, 2, 31);
        assertEquals(wrote(AT, 30, 31, 3, 0), primary.wrote());
    }

    /// It went on from an older moment: everything is compared, and yet it knows what it wrote.
    @Test
    void whereEverythingIsComparedAllOfItMayHaveBeenWrittenBesideWhatIsKnown() {
        acknowledged = Position.NONE;
        suspect.addAll();
        attach(gone(Ancestry.Reason.PROMOTE), 1 << 20);
        write(7, 2, 30);
        assertEquals(wrote(AT, 30, 30, 2, BLOCKS), primary.wrote());
    }

    @Test
    void whatWasActiveInACrashIsDoubtfulAndTheLastWriteMayBeLater() {
        dirty.addRange(0, 5);
        suspect.addRange(0, 1024);
        times = new WriteTimes(8, 9);
        active = List.of(0L);
        attach(gone(Ancestry.Reason.CRASH), 1 << 20);
        assertEquals(
                new Frame.Wrote(ID, primary.position(), AT, 0, 8, 9, true, 5, false, 1024),
                primary.wrote());
        write(1, 1, 40);
        write(6, 1, 41);
        assertEquals(
                new Frame.Wrote(ID, primary.position(), AT, 0, 8, 41, false, 6, false, 1024),
                primary.wrote());
    }

    /// At the last transaction the peer had everything, and what was written in the seconds since
    /// no transaction says.
    @Test
    void sinceWhenIsNotKnownWhereNothingWasMissingBeforeTheCrash() {
        suspect.addRange(0, 1024);
        times = new WriteTimes(0, 9);
        active = List.of(0L);
        assertEquals(
                new Frame.Wrote(ID, new Position(1, 0), AT, 0, UNKNOWN, 9, true, 0, false, 1024),
                OwnWrites.atRest(ID, CREATED, new Position(1, 0), false, kept(), false));
        active = List.of();
        assertEquals(
                new Frame.Wrote(ID, new Position(1, 12), AT, 0, 0, 9, false, 0, false, 1024),
                OwnWrites.atRest(ID, CREATED, new Position(1, 12), true, kept(), false));
    }

    /// Another image may have been restored into it.
    @Test
    void ofADiskThatIsDoubtedItIsNotKnownWhatItHas() {
        primary =
                new Primary(
                        new Primary.Config(
                                ID, (long) BLOCKS * BLOCK, false, false, NoQuestions.LIMITS),
                        new Primary.Attached(gone(Ancestry.Reason.ATTACH), kept(), 0, false),
                        Budget.of(1 << 20),
                        this);
        write(3, 1, 50);
        assertEquals(wrote(Position.NONE, 50, 50, UNKNOWN, UNKNOWN), primary.wrote());
    }

    @Test
    void withoutMetadataNothingIsKnown() {
        suspect.addAll();
        times = WriteTimes.LOST;
        isLost = true;
        assertEquals(
                new Frame.Wrote(
                        ID,
                        new Position(1, 12),
                        Position.NONE,
                        0,
                        UNKNOWN,
                        UNKNOWN,
                        false,
                        UNKNOWN,
                        false,
                        UNKNOWN),
                OwnWrites.atRest(ID, CREATED, new Position(1, 12), true, kept(), false));
    }

    @Test
    void whatIsToBeComparedAtTheNextAttachMayHaveBeenWritten() {
        dirty.addRange(3, 5);
        Frame.Wrote wrote = OwnWrites.atRest(ID, CREATED, new Position(1, 12), true, kept(), true);
        assertEquals(2, wrote.blocks());
        assertEquals(BLOCKS, wrote.doubtful());
    }

    /// Memory for the marks was short, or may have been before the restart.
    @Test
    void roundedMarksAreNotSaidToBeExact() {
        dirty.addRange(1024, 2048); // A whole granule.
        assertFalse(
                OwnWrites.atRest(ID, CREATED, new Position(1, 12), true, kept(), false).exact());
        attach(gone(Ancestry.Reason.ATTACH), 1 << 20);
        assertFalse(primary.wrote().exact());
    }

    /// So many blocks in the buffer are not counted one by one under the lock of the resource.
    @Test
    void aFullBufferIsAnUpperBound() {
        attach(gone(Ancestry.Reason.ATTACH), 128 << 20);
        establish();
        primary.sessionDown();
        for (int i = 0; i < 65; i++) {
            write(0, 256, 20 + i);
        }
        assertEquals(65 * 256, primary.wrote().blocks());
        assertFalse(primary.wrote().exact());
    }

    @Test
    void whatThePeerHasIsInTheBufferNoMore() {
        attach(gone(Ancestry.Reason.ATTACH), 128 << 20);
        establish();
        for (int i = 0; i < 65; i++) {
            write(0, 256, 20 + i);
        }
        assertFalse(primary.wrote().exact());
        acknowledge(primary.position().number());
        write(0, 2, 90);
        assertEquals(2, primary.wrote().blocks());
        assertTrue(primary.wrote().exact());
    }

    // ---- what is durable of it
    // ------------------------------------------------------------------------------------

    @Test
    void aTransactionSaysWhenItWasWritten() {
        attach(gone(Ancestry.Reason.ATTACH), 1 << 20);
        write(3, 1, 50);
        write(3, 1, 51);
        write(7000, 1, 52); // Another extent.
        primary.detach();
        Transaction next = primary.nextTransaction();
        assertNotNull(next);
        assertEquals(new WriteTimes(50, 52), next.wrote());
    }

    @Test
    void aCleanStopSaysWhenTheLastWriteWas() {
        attach(gone(Ancestry.Reason.ATTACH), 1 << 20);
        write(3, 1, 50);
        write(4, 1, 51);
        primary.detach();
        Transaction last = null;
        for (Transaction t = primary.nextTransaction(); t != null; t = primary.nextTransaction()) {
            primary.transactionDone(t);
            last = t;
        }
        assertNotNull(last);
        assertEquals(new WriteTimes(50, 51), last.wrote());
    }

    /// What the peer has is no part of it.
    @Test
    void whatIsAcknowledgedIsMissingNoMore() {
        attach(gone(Ancestry.Reason.ATTACH), 1 << 20);
        establish();
        write(3, 1, 50);
        write(4, 1, 51);
        long first = primary.position().number() - 1;
        acknowledge(first);
        assertEquals(wrote(new Position(2, first), 51, 51, 1, 0), primary.wrote());
        acknowledge(first + 1);
        assertEquals(wrote(new Position(2, first + 1), 0, 51, 0, 0), primary.wrote());
    }

    @Override
    public void send(Frame.OfResource frame) {}

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
    public void event(String kind, String text) {}
}
