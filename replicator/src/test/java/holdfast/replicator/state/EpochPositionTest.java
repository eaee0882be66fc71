package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import holdfast.checksum.TreeAnswers;
import holdfast.checksum.TreeBuilder;
import holdfast.checksum.TreeComparison;
import holdfast.checksum.TreeShape;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.BitSet;
import java.util.List;
import java.util.UUID;

/// What the peer's copy lacks although it has every write: a comparison finds it, or a write that
/// failed left it. Its epoch brings it, and counts as committed when the peer has that epoch and
/// not because of where the peer stood before.
class EpochPositionTest implements PrimaryEffects {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final int BLOCKS = 256;
    private static final UUID ID = new UUID(5, 6);
    private static final Position OLD = new Position(1, 10);
    private static final Ancestry PAST =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));
    private static final Ancestry MINE =
            PAST.plus(new Ancestry.Entry(2, OLD, Ancestry.Reason.ATTACH, ID, 0));

    private long session;
    private long epoch;
    private long now;
    private Primary primary;

    /// In step: the peer stands at the one write of this generation.
    @BeforeEach
    void attach() {
        primary = attached(1);
        connect(OLD, PAST);
        assertEquals(new Position(2, 0), epoch(0));
        acknowledge(0);
        Op op = admitted(3);
        primary.written(op, 1);
        Frame.Write sent = assertInstanceOf(Frame.Write.class, next());
        assertEquals(new Position(2, 1), sent.position());
        acknowledge(1);
        assertEquals(ReplicationState.ESTABLISHED, primary.state());
    }

    /// @param told the newest transaction that the peer may have been told of
    private Primary attached(long told) {
        return new Primary(
                new Primary.Config(ID, (long) BLOCKS * BLOCK, false, false, NoQuestions.LIMITS),
                new Primary.Attached(
                        MINE,
                        new Kept(
                                1,
                                1,
                                Transaction.Blank.CLEAR,
                                new PeerCopy(OLD, Position.NONE, 0, 0),
                                told,
                                WriteTimes.NONE,
                                new BlockSet(BLOCKS),
                                new BlockSet(BLOCKS),
                                new BlockSet(BLOCKS),
                                new BitSet(),
                                List.of(0L),
                                false,
                                false)),
                Budget.of(1 << 20),
                this);
    }

    // ---- nobody waits for what need not be
    // -------------------------------------------------------------------------

    /// That is for a buffer which was full, and would be full again at once.
    @Test
    void whatAComparisonFoundWaitsForNoDwell() {
        primary.compareAll("somebody ordered it");
        primary.sessionDown();
        connect(new Position(2, 1), MINE);
        compareWithZeroes();
        assertInstanceOf(Frame.EpochBegin.class, next());
    }

    /// Else two syncs of the metadata came between the last block and the commit.
    @Test
    void whatThePeerIsToldOfIsMadeDurableFromTheBeginningOfAStream() {
        primary = attached(0);
        connect(OLD, PAST);
        Transaction due = primary.nextTransaction();
        assertEquals(due.number(), due.told());
        primary.transactionDone(due);
        assertEquals(new Position(2, 0), epoch(0));
    }

    /// What is asked for beyond need may be what keeps it waiting.
    @Test
    void whatLacksRoomIsAskedForWithLessToSpare() {
        for (int block = 0; block < 128; block++) {
            primary.failed(admitted(block), "no space", false);
        }
        assertEquals(128 + 32 + 16, asked().blocks());
        primary.on(new Frame.EpochReply(ID, session, epoch, 0, 0, 1000));
        assertEquals(ReplicationState.PAUSED, primary.state());
        assertEquals(128 + 8 + 16, asked().blocks());
        primary.on(new Frame.EpochReply(ID, session, epoch, 128 + 8 + 16, 0, 0));
        assertEquals(ReplicationState.SYNC_SOURCE, primary.state());
    }

    // ---- a write that failed
    // --------------------------------------------------------------------------------------

    @Test
    void anEpochThatIsLostIsSentAgainThoughThePeerHasAllWrites() {
        aWriteFails();
        assertEquals(new Position(2, 2), epoch(1));
        primary.sessionDown();
        connect(new Position(2, 1), MINE);
        assertEquals(1, primary.figures().dirtyBlocks());
        assertEquals(new Position(2, 2), epoch(1));
    }

    @Test
    void anAcknowledgementOfWhatThePeerHadIsNoneOfTheEpoch() {
        aWriteFails();
        epoch(1);
        acknowledge(1);
        assertEquals(1, primary.figures().frozenBlocks());
        acknowledge(2);
        assertEquals(0, primary.figures().frozenBlocks());
    }

    @Test
    void anEpochWhoseAcknowledgementIsLostIsNotSentAgain() {
        aWriteFails();
        epoch(1);
        primary.sessionDown();
        connect(new Position(2, 2), MINE);
        assertEquals(ReplicationState.ESTABLISHED, primary.state());
        assertEquals(0, primary.figures().dirtyBlocks() + primary.figures().frozenBlocks());
        primary.written(admitted(7), 1);
        assertEquals(new Position(2, 3), assertInstanceOf(Frame.Write.class, next()).position());
    }

    /// Else two images had one name: with what the failed write left, and without.
    @Test
    void whatAFailedWriteLeftIsInNoPositionThatAWriteHas() {
        aWriteFails();
        primary.written(admitted(5), 1);
        aWriteFails();
        assertEquals(new Position(2, 3), epoch(2));
    }

    @Test
    void aWriteBehindItNamesTheImageAsWell() {
        aWriteFails();
        primary.written(admitted(5), 1);
        assertEquals(new Position(2, 2), epoch(2));
    }

    @Test
    void anEpochThatWasNeverSentKeepsItsNumber() {
        aWriteFails();
        ask();
        primary.sessionDown();
        connect(new Position(2, 1), MINE);
        assertEquals(new Position(2, 2), epoch(1));
    }

    /// A start that did not know of it would have everything compared, where the peer stood in a
    /// history that is not ours before.
    @Test
    void aCommitIsMadeDurableAtOnce() {
        aWriteFails();
        assertEquals(new Position(2, 2), epoch(1));
        for (Transaction due = primary.nextTransaction();
                due != null;
                due = primary.nextTransaction()) {
            assertEquals(new Position(2, 1), due.peer().acknowledged());
            primary.transactionDone(due);
        }
        acknowledge(2);
        assertEquals(new Position(2, 2), primary.nextTransaction().peer().acknowledged());
    }

    // ---- a comparison that was ordered
    // ----------------------------------------------------------------------------

    @Test
    void whatAComparisonFoundIsNotForgottenWithALostCommit() {
        primary.compareAll("somebody ordered it");
        primary.sessionDown();
        connect(new Position(2, 1), MINE);
        compareWithZeroes();
        assertEquals(new Position(2, 2), epoch(BLOCKS));
        primary.sessionDown();
        connect(new Position(2, 1), MINE);
        assertEquals(BLOCKS, primary.figures().dirtyBlocks());
    }

    // ---- the parts of it
    // ------------------------------------------------------------------------------------------

    private void connect(Position theirs, Ancestry ancestry) {
        primary.sessionUp(++session, 1);
        primary.on(
                new Frame.ResourceHello(
                        ID,
                        2,
                        DiskState.OUTDATED.ordinal(),
                        (long) BLOCKS * BLOCK,
                        theirs,
                        theirs,
                        0,
                        true,
                        1 << 20,
                        false,
                        0,
                        ancestry));
    }

    private Op admitted(long block) {
        Op op = Op.write(block * BLOCK, BLOCK, Held.of(ByteBuffer.allocate(BLOCK)), "nobody");
        assertEquals(Primary.Admission.GO, primary.admit(op));
        return op;
    }

    private void aWriteFails() {
        primary.failed(admitted(9), "no space", false);
    }

    private void acknowledge(long number) {
        Position at = new Position(2, number);
        primary.on(new Frame.Ack(ID, session, at, at, 0, 0));
    }

    /// But for what it says of its metadata.
    private Frame.Data next() {
        Frame.Data next = primary.next();
        return next instanceof Frame.Tracked ? primary.next() : next;
    }

    private Frame.EpochBegin asked() {
        now += 60_000_000_000L;
        primary.tick(now, 1);
        Frame.EpochBegin asked = assertInstanceOf(Frame.EpochBegin.class, next());
        epoch = asked.epoch();
        return asked;
    }

    private void ask() {
        Frame.EpochBegin asked = asked();
        primary.on(new Frame.EpochReply(ID, session, asked.epoch(), asked.blocks(), 0, 0));
        assertEquals(ReplicationState.SYNC_SOURCE, primary.state());
    }

    /// An epoch of so many blocks, up to its commit.
    private Position epoch(long blocks) {
        ask();
        while (primary.wantsRead()) {
            ReadRun run = primary.nextRead();
            assertNotNull(run);
            primary.readDone(run, ByteBuffer.allocate(run.blocks().count() * BLOCK));
        }
        for (Frame.Data frame = next(); ; frame = next()) {
            if (frame instanceof Frame.EpochCommit commit) {
                assertEquals(blocks, commit.blocks());
                return commit.position();
            }
            assertInstanceOf(Frame.EpochBlocks.class, frame);
        }
    }

    /// The device holds no zero, the peer's copy nothing else.
    private void compareWithZeroes() {
        TreeAnswers peer = new TreeAnswers(TreeShape.DEFAULT);
        while (primary.state() == ReplicationState.COMPARE) {
            if (primary.wantsRead()) {
                ReadRun run = primary.nextRead();
                TreeBuilder tree = run.newTree();
                ByteBuffer data = ByteBuffer.allocate((int) tree.leftBytes());
                while (data.hasRemaining()) {
                    data.put((byte) 7);
                }
                tree.data(data.flip());
                primary.digestDone(run, tree.tree());
            }
            if (next() instanceof Frame.Compare c) {
                TreeAnswers.Answer answer =
                        peer.ask(
                                new TreeComparison.Ask(
                                        c.number(), c.offsetBytes(), c.lengthBytes(), c.level()));
                if (answer == null) {
                    peer.zeroes(peer.next(), Long.MAX_VALUE);
                    answer = peer.finished();
                }
                primary.on(new Frame.CompareReply(ID, session, answer.number(), answer.digests()));
            }
        }
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
