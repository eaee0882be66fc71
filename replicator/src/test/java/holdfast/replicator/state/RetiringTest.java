package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.UUID;

/// When an extent leaves the activity log: the peer has acknowledged what was written in it, or has
/// its bit for it, durably (R8, and R33 of the one peer that there is).
class RetiringTest implements PrimaryEffects {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final int BLOCKS = 256;
    private static final int EXTENT_BLOCKS = 16;
    private static final int ACTIVE = 4;
    private static final int WRITES = 100;
    private static final UUID ID = new UUID(7, 8);
    private static final Position OLD = new Position(1, 10);
    private static final Ancestry PAST =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));
    private static final Limits OF = NoQuestions.LIMITS;
    private static final Limits LIMITS =
            new Limits(
                    OF.runBlocks(),
                    OF.holeBlocks(),
                    OF.fanOut(),
                    OF.treeBlocks(),
                    OF.treesInFlight(),
                    OF.comparesInFlight(),
                    OF.readAheadBytes(),
                    OF.dwellNanos(),
                    OF.heartbeatNanos(),
                    OF.askAgainNanos(),
                    EXTENT_BLOCKS,
                    ACTIVE,
                    OF.keepNanos(),
                    0,
                    OF.wholeBlocks(),
                    OF.keptRanges());

    private final BlockSet onDisk = new BlockSet(BLOCKS);
    private final ArrayDeque<Op> granted = new ArrayDeque<>();
    private final Set<Long> written = new HashSet<>();
    private final Set<Long> left = new HashSet<>();
    private Set<Long> listed = Set.of();
    private final Primary primary =
            new Primary(
                    new Primary.Config(ID, (long) BLOCKS * BLOCK, false, false, LIMITS),
                    new Primary.Attached(
                            PAST.plus(new Ancestry.Entry(2, OLD, Ancestry.Reason.ATTACH, ID, 0)),
                            new Kept(
                                    1,
                                    1,
                                    Transaction.Blank.CLEAR,
                                    new PeerCopy(OLD, Position.NONE, 0, 0),
                                    1,
                                    WriteTimes.NONE,
                                    new BlockSet(BLOCKS),
                                    new BlockSet(BLOCKS),
                                    onDisk,
                                    new BitSet(),
                                    List.of(),
                                    false,
                                    false)),
                    Budget.of(4 << 20),
                    this);

    @Test
    void whatThePeerHasNotAcknowledgedHasItsBitOnDiskBeforeItsExtentLeaves() {
        connect();
        primary.sessionDown();
        SplittableRandom random = new SplittableRandom(3);
        for (int i = 0; i < WRITES; i++) {
            write(random.nextInt(BLOCKS));
            for (long block : written) {
                assertTrue(
                        listed.contains(block / EXTENT_BLOCKS) || onDisk.contains(block),
                        "block " + block + " after write " + i);
            }
        }
        assertTrue(primary.figures().bufferBytes() >= WRITES * BLOCK, "the buffer has them all");
        assertEquals(0, primary.figures().dirtyBlocks());
        assertTrue(left.size() > BLOCKS / EXTENT_BLOCKS / 2, left.toString());
    }

    @Test
    void whatItHasAcknowledgedLeavesWithoutOne() {
        connect();
        SplittableRandom random = new SplittableRandom(4);
        for (int i = 1; i <= WRITES; i++) {
            write(random.nextInt(BLOCKS));
            assertEquals(i, next(Frame.Write.class).position().number());
            acknowledge(i);
        }
        assertEquals(0, onDisk.count());
        assertTrue(left.size() > BLOCKS / EXTENT_BLOCKS / 2, left.toString());
    }

    private void write(long block) {
        Op op = Op.write(block * BLOCK, BLOCK, Held.of(ByteBuffer.allocate(BLOCK)), "nobody");
        if (primary.admit(op) == Primary.Admission.GO) {
            primary.written(op, 1);
        }
        written.add(block);
        for (Transaction t = primary.nextTransaction(); t != null; t = primary.nextTransaction()) {
            primary.transactionDone(t);
            left.addAll(listed);
            listed = new HashSet<>(t.extents());
            left.removeAll(listed);
            for (Op next = granted.poll(); next != null; next = granted.poll()) {
                primary.written(next, 1);
            }
        }
    }

    /// In step with a peer that lacks nothing.
    private void connect() {
        primary.sessionUp(1, 1);
        primary.on(
                new Frame.ResourceHello(
                        ID,
                        2,
                        DiskState.OUTDATED.ordinal(),
                        (long) BLOCKS * BLOCK,
                        OLD,
                        OLD,
                        0,
                        true,
                        1 << 20,
                        false,
                        0,
                        PAST));
        primary.tick(60_000_000_000L, 1);
        Frame.EpochBegin asked = next(Frame.EpochBegin.class);
        primary.on(new Frame.EpochReply(ID, 1, asked.epoch(), asked.blocks(), 0, 0));
        next(Frame.EpochCommit.class);
        acknowledge(0);
        assertEquals(ReplicationState.ESTABLISHED, primary.state());
    }

    /// Passes over what it says of its metadata.
    private <F extends Frame.Data> F next(Class<F> kind) {
        Frame.Data next = primary.next();
        return next instanceof Frame.Tracked ? next(kind) : assertInstanceOf(kind, next);
    }

    private void acknowledge(long number) {
        Position at = new Position(2, number);
        primary.on(new Frame.Ack(ID, 1, at, at, 0, 0));
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
