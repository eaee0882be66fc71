package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/// What a [Primary] wants read for a catch-up whose epoch is too large for the peer's journal, when
/// it wants nothing, and that what reads zero is sent as zero only while it does.
class CatchUpReadsTest implements PrimaryEffects {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final int BLOCKS = 256;
    private static final UUID ID = new UUID(5, 6);
    private static final long SESSION = 3;
    private static final Position THEIRS = new Position(1, 10);
    private static final Ancestry OLD =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));
    private static final Ancestry MINE =
            OLD.plus(new Ancestry.Entry(2, THEIRS, Ancestry.Reason.ATTACH, ID, 0));

    private final BlockSet dirty = new BlockSet(BLOCKS);
    private List<Long> active = List.of(0L);
    private final List<Op> granted = new ArrayList<>();
    private Primary primary;
    private Frame.EpochBegin asked;
    private Primary.Figures whileAsking;
    private int readerWoken;

    /// A session with a peer that has no room for the marked blocks.
    private void pause() {
        primary = primary(new BlockSet(BLOCKS));
        greet();
        asked = assertInstanceOf(Frame.EpochBegin.class, primary.next());
        whileAsking = primary.figures();
        primary.on(new Frame.EpochReply(ID, SESSION, asked.epoch(), 0, 0, 999));
        assertEquals(ReplicationState.PAUSED, primary.state());
    }

    private Primary primary(BlockSet suspect) {
        return new Primary(
                new Primary.Config(ID, (long) BLOCKS * BLOCK, false, false, NoQuestions.LIMITS),
                new Primary.Attached(MINE, kept(suspect)),
                Budget.of(1 << 20),
                this);
    }

    private void greet() {
        primary.sessionUp(SESSION, 1);
        primary.on(
                new Frame.ResourceHello(
                        ID,
                        2,
                        DiskState.OUTDATED.ordinal(),
                        (long) BLOCKS * BLOCK,
                        THEIRS,
                        THEIRS,
                        0,
                        true,
                        1 << 20,
                        false,
                        0,
                        OLD));
    }

    /// But for what it says of its metadata.
    private Frame.Data next() {
        Frame.Data next = primary.next();
        return next instanceof Frame.Tracked ? primary.next() : next;
    }

    /// All blocks lie in an extent that is active.
    private Kept kept(BlockSet suspect) {
        return new Kept(
                1,
                1,
                Transaction.Blank.CLEAR,
                new PeerCopy(THEIRS, Position.NONE, 0, 0),
                dirty,
                suspect,
                new BlockSet(BLOCKS),
                active,
                false);
    }

    private void lookAtAll(ByteBuffer found) {
        while (primary.wantsRead()) {
            ReadRun read = primary.nextRead();
            assertEquals(ReadRun.Purpose.LOOK, read.purpose());
            primary.readDone(read, found);
        }
    }

    private void grant() {
        asked = assertInstanceOf(Frame.EpochBegin.class, primary.next());
        primary.on(
                new Frame.EpochReply(
                        ID, SESSION, asked.epoch(), asked.blocks(), asked.zeroRanges(), 0));
        assertEquals(ReplicationState.SYNC_SOURCE, primary.state());
    }

    private static Op write(long block) {
        return Op.write(block * BLOCK, BLOCK, Held.of(ByteBuffer.allocate(BLOCK)), "nobody waits");
    }

    @Test
    void theReaderRestsWhileTheLinkHasEnoughRunsOfZeroes() {
        for (int i = 0; i < 200; i += 2) {
            dirty.add(i);
        }
        pause();
        lookAtAll(null);
        grant();
        assertTrue(asked.zeroRanges() >= 100);
        assertNull(primary.nextRead());
        assertFalse(primary.wantsRead(), "it would be asked again and again");
        assertInstanceOf(Frame.EpochZero.class, next());
        assertTrue(primary.wantsRead());
        int sent = 1;
        while (true) {
            assertNull(primary.nextRead());
            Frame.Data next = next();
            if (next instanceof Frame.EpochCommit commit) {
                assertEquals(100, sent);
                assertEquals(100, commit.blocks());
                return;
            }
            assertInstanceOf(Frame.EpochZero.class, next);
            sent++;
        }
    }

    @Test
    void theReaderRestsWhileWhatItWouldLookAtIsBeingWritten() {
        dirty.addRange(0, 4);
        pause();
        Op op = write(1);
        assertEquals(Primary.Admission.GO, primary.admit(op));
        assertNull(primary.nextRead());
        assertFalse(primary.wantsRead(), "it would be asked again and again");
        readerWoken = 0;
        primary.written(op, 1);
        assertTrue(readerWoken > 0);
        assertNotNull(primary.nextRead());
    }

    /// Such a write has the lock of its range and has captured nothing yet. Seed 3976 of the
    /// simulator.
    @Test
    void theReaderOfAnEpochIsWokenByTheEndOfAWriteThatWaitedForTheActivityLog() {
        active = List.of();
        dirty.addRange(0, 4);
        pause();
        primary.tick(20_000_000_000L, 1);
        grant();
        Op op = write(1);
        assertEquals(Primary.Admission.PARKED, primary.admit(op));
        assertNull(primary.nextRead());
        assertFalse(primary.wantsRead(), "it would be asked again and again");
        primary.transactionDone(primary.nextTransaction());
        assertEquals(List.of(op), granted);
        BlockRun captured = op.preimages().getFirst();
        primary.preimage(op, captured, null);
        readerWoken = 0;
        primary.written(op, 1);
        assertTrue(readerWoken > 0);
        assertNotNull(primary.nextRead());
    }

    @Test
    void whatIsWrittenAfterItWasFoundToReadZeroIsReadAgain() {
        dirty.addRange(0, 8);
        pause();
        lookAtAll(null);
        Op op = write(3);
        assertEquals(Primary.Admission.GO, primary.admit(op));
        primary.written(op, 1);
        grant();
        ReadRun read = primary.nextRead();
        assertEquals(ReadRun.Purpose.EPOCH, read.purpose());
        assertEquals(new BlockRun(3, 1), read.blocks());
    }

    @Test
    void ofACatchUpThatAsksForRoomNothingIsDoneYet() {
        dirty.addRange(0, 8);
        pause();
        assertEquals(8, whileAsking.bulkTotalBlocks());
        assertEquals(8, whileAsking.bulkLeftBlocks());
    }

    @Test
    void anExtendedEpochThatNoLongerFitsBesideWhatItHasStagedBeginsAnew() {
        dirty.addRange(0, 8);
        pause();
        lookAtAll(ByteBuffer.allocate(8 * BLOCK));
        primary.tick(10_000_000_000L, 1);
        grant();
        long first = asked.epoch();
        Op op = write(3);
        assertEquals(Primary.Admission.GO, primary.admit(op));
        assertFalse(op.preimages().isEmpty());
        primary.failed(op, "no space", false);
        asked = assertInstanceOf(Frame.EpochBegin.class, primary.next());
        assertEquals(first, asked.epoch(), "extended: what is staged counts");
        primary.on(new Frame.EpochReply(ID, SESSION, first, 0, 0, 999));

        asked = assertInstanceOf(Frame.EpochBegin.class, primary.next());
        assertEquals(first + 1, asked.epoch(), "what is staged is void");
        primary.on(new Frame.EpochReply(ID, SESSION, asked.epoch(), 0, 0, 999));
        assertEquals(ReplicationState.PAUSED, primary.state());
        primary.tick(20_000_000_000L, 1);
        grant();
        assertEquals(first + 1, asked.epoch());
        assertEquals(8, asked.blocks() - 16, "all of it again");
    }

    @Test
    void aPausedEpochSendsNothingNotEvenWhatIsOverwrittenAndGoesOnWhereItWas() {
        dirty.addRange(0, 8);
        pause();
        lookAtAll(ByteBuffer.allocate(8 * BLOCK));
        primary.tick(10_000_000_000L, 1);
        grant();
        ReadRun read = primary.nextRead();
        primary.pauseSync("an operator");
        primary.readDone(read, ByteBuffer.allocate(8 * BLOCK));
        assertFalse(primary.wantsRead());
        assertNull(primary.nextRead());
        assertNull(primary.next());
        Op op = write(3);
        assertEquals(Primary.Admission.GO, primary.admit(op));
        primary.written(op, 1);
        primary.tick(20_000_000_000L, 1);
        assertNull(primary.next());
        primary.pauseSync("");
        assertInstanceOf(Frame.EpochBlocks.class, primary.next());
        assertInstanceOf(Frame.EpochCommit.class, next());
        assertInstanceOf(Frame.Write.class, primary.next());
    }

    @Test
    void aPausedCatchUpDoesNotBeginAndNeitherDoesAComparison() {
        dirty.addRange(0, 8);
        primary = primary(new BlockSet(BLOCKS));
        primary.pauseSync("an operator");
        greet();
        assertEquals(ReplicationState.AHEAD, primary.state());
        assertNull(primary.next());
        primary.sessionDown();
        primary.compareAll("an order");
        greet();
        assertEquals(ReplicationState.COMPARE, primary.state());
        assertFalse(primary.wantsRead());
        assertNull(primary.nextRead());
        primary.pauseSync("");
        assertEquals(ReadRun.Purpose.COMPARE, primary.nextRead().purpose());
    }

    @Test
    void anEpochIsNotCommittedWithoutWhatWasNotReadAfterAll() {
        dirty.addRange(0, 8);
        pause();
        lookAtAll(ByteBuffer.allocate(8 * BLOCK));
        primary.tick(10_000_000_000L, 1);
        grant();
        ReadRun read = primary.nextRead();
        assertEquals(new BlockRun(0, 8), read.blocks());
        primary.readDropped(read);
        assertNull(primary.next(), "no commit");
        assertEquals(read.blocks(), primary.nextRead().blocks());
    }

    @Override
    public void send(Frame.OfResource frame) {}

    @Override
    public void wakeSender() {}

    @Override
    public void wakeReader() {
        readerWoken++;
    }

    @Override
    public void wakeKeeper() {}

    @Override
    public void granted(Op op) {
        granted.add(op);
    }

    @Override
    public void refused(Op op) {
        throw new AssertionError("nothing is refused here");
    }

    @Override
    public void answered(Object waiter) {}

    @Override
    public void event(String kind, String text) {}
}
