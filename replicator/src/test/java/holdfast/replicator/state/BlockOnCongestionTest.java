package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.state.Primary.Admission;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/// With `block` writers wait for room, and the buffer of an established stream does not close under
/// them, whoever else takes room meanwhile.
class BlockOnCongestionTest implements PrimaryEffects, Budget {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final int BLOCKS = 64;

    /// Three blocks and what is kept beside each.
    private static final long LIMIT_BYTES = 3 * (BLOCK + Op.OVERHEAD_BYTES);

    private static final UUID ID = new UUID(5, 6);
    private static final Ancestry MINE =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(2, Position.NONE, Ancestry.Reason.CREATE, ID, 0));

    private final List<Op> granted = new ArrayList<>();
    private long takenBytes;

    /// Of the budget, by another resource.
    private long othersBytes;

    private Primary primary;

    @BeforeEach
    void attach() {
        primary =
                new Primary(
                        new Primary.Config(ID, (long) BLOCKS * BLOCK, false, true),
                        new Primary.Attached(
                                MINE,
                                new Kept(
                                        1,
                                        1,
                                        Transaction.Blank.CLEAR,
                                        PeerCopy.UNKNOWN,
                                        new BlockSet(BLOCKS),
                                        new BlockSet(BLOCKS),
                                        new BlockSet(BLOCKS),
                                        List.of(0L),
                                        false)),
                        this,
                        this);
        primary.sessionUp(1, 1);
        Position at = new Position(2, 0);
        primary.on(
                new Frame.ResourceHello(
                        ID,
                        Role.SECONDARY.ordinal() + 1,
                        DiskState.UP_TO_DATE.ordinal(),
                        (long) BLOCKS * BLOCK,
                        at,
                        at,
                        0,
                        true,
                        1 << 20,
                        false,
                        0,
                        0,
                        Frame.Known.NOTHING,
                        MINE));
        primary.tick(1_000_000_000_000L, 1);
        Frame.EpochBegin asked = assertInstanceOf(Frame.EpochBegin.class, next());
        primary.on(new Frame.EpochReply(ID, 1, asked.epoch(), asked.blocks(), 0, 0));
        Frame.EpochCommit commit = assertInstanceOf(Frame.EpochCommit.class, next());
        acknowledge(commit.position());
        assertEquals(ReplicationState.ESTABLISHED, primary.state());
    }

    @Test
    void whatWasLetInTogetherFindsRoomTogether() {
        List<Op> let = new ArrayList<>();
        List<Op> parked = new ArrayList<>();
        for (int block = 0; block < 5; block++) {
            Op op = write(block);
            (primary.admit(op) == Admission.GO ? let : parked).add(op);
        }
        assertEquals(3, let.size());
        let.forEach(op -> primary.written(op, 1));
        assertStays();
        assertEquals(List.of(), granted);
        acknowledge(new Position(2, primary.position().number() - 1));
        assertEquals(parked, granted);
        parked.forEach(op -> primary.written(op, 1));
        assertStays();
    }

    /// Status names the peer when that takes long.
    @Test
    void itKnowsSinceWhenAWriteWaitsForRoom() {
        assertEquals(Long.MAX_VALUE, primary.waitsForPeerSinceNanos());
        List<Op> all = new ArrayList<>();
        for (int block = 0; block < 5; block++) {
            primary.tick(2_000_000_000_000L + block, 1);
            Op op = write(block);
            primary.admit(op);
            all.add(op);
        }
        assertEquals(2_000_000_000_003L, primary.waitsForPeerSinceNanos());
        primary.written(all.getFirst(), 1);
        acknowledge(primary.position());
        assertEquals(2_000_000_000_004L, primary.waitsForPeerSinceNanos());
        primary.written(all.get(1), 1);
        acknowledge(primary.position());
        assertEquals(Long.MAX_VALUE, primary.waitsForPeerSinceNanos());
    }

    @Test
    void anotherResourceTakesNoRoomThatAWriteWasLetInWith() {
        Op op = write(1);
        assertEquals(Admission.GO, primary.admit(op));
        othersBytes = LIMIT_BYTES - takenBytes;
        primary.written(op, 1);
        assertStays();
        assertEquals(Admission.PARKED, primary.admit(write(2)));
    }

    @Test
    void aWriteThatFailedGivesItsRoomBack() {
        Op op = write(1);
        assertEquals(Admission.GO, primary.admit(op));
        assertTrue(takenBytes > 0);
        primary.failed(op, "no space", false);
        assertEquals(0, takenBytes);
    }

    @Test
    void aPieceLargerThanTheBudgetGoesAloneAndClosesIt() {
        Op large = Op.write(0, 8 * BLOCK, Held.of(ByteBuffer.allocate(8 * BLOCK)), this);
        assertEquals(Admission.GO, primary.admit(large));
        primary.written(large, 1);
        assertEquals(ReplicationState.AHEAD, primary.state());
        assertEquals(0, takenBytes);
    }

    private void assertStays() {
        assertEquals(ReplicationState.ESTABLISHED, primary.state());
        assertFalse(primary.figures().closed());
    }

    private static Op write(int block) {
        return Op.write(
                (long) block * BLOCK, BLOCK, Held.of(ByteBuffer.allocate(BLOCK)), new Object());
    }

    /// But for what it says of its metadata.
    private Frame.Data next() {
        Frame.Data next = primary.next();
        if (next == null) {
            Transaction due = primary.nextTransaction();
            primary.transactionDone(due);
            next = primary.next();
        }
        return next instanceof Frame.Tracked ? primary.next() : next;
    }

    private void acknowledge(Position at) {
        primary.on(new Frame.Ack(ID, 1, at, at, 0, 0));
    }

    @Override
    public boolean take(long bytes, long used) {
        if (takenBytes + othersBytes + bytes > LIMIT_BYTES) {
            return false;
        }
        takenBytes += bytes;
        return true;
    }

    @Override
    public void give(long bytes) {
        takenBytes -= bytes;
    }

    @Override
    public void granted(Op op) {
        granted.add(op);
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
    public void refused(Op op) {}

    @Override
    public void answered(Object waiter) {}

    @Override
    public void event(String kind, String text) {}
}
