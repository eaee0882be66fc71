package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.UUID;

/// Single blocks written all over 64 TiB while the peer is away, in far less memory than it takes
/// to remember each.
class ScatteredWritesTest implements PrimaryEffects {
    private static final UUID ID = new UUID(1, 2);
    private static final long SIZE = 64L << 40;
    private static final long BLOCKS = BlockSet.blocksOf(SIZE);
    private static final long MARK_BYTES = 256 << 10;
    private static final int WRITES = 30_000;

    private final ArrayDeque<Op> granted = new ArrayDeque<>();
    private long used;
    private long mostUsed;

    private final PageMemory memory =
            new PageMemory() {
                @Override
                public int pageBits() {
                    return PAGE_BITS;
                }

                @Override
                public boolean hasRoom(long bytes) {
                    return used + bytes <= MARK_BYTES;
                }

                @Override
                public void use(long bytes) {
                    used += bytes;
                    mostUsed = Math.max(mostUsed, used);
                }
            };

    private final BlockSet dirty = new BlockSet(BLOCKS, memory, BlockSet.Rounding.UP);
    private final BlockSet suspect = dirty.another(BlockSet.Rounding.UP);
    private final BlockSet onDisk = dirty.another(BlockSet.Rounding.NEVER);
    private final BitSet unknown = new BitSet();

    private final Primary primary =
            new Primary(
                    new Primary.Config(ID, SIZE, false, false, NoQuestions.LIMITS),
                    new Primary.Attached(
                            Ancestry.EMPTY.plus(
                                    new Ancestry.Entry(
                                            1, Position.NONE, Ancestry.Reason.CREATE, ID, 0)),
                            new Kept(
                                    1,
                                    1,
                                    Transaction.Blank.CLEAR,
                                    new PeerCopy(new Position(1, 0), Position.NONE, 1, 0),
                                    1,
                                    WriteTimes.NONE,
                                    dirty,
                                    suspect,
                                    onDisk,
                                    unknown,
                                    List.of(),
                                    false,
                                    false)),
                    Budget.of(0),
                    this);

    private void write(long block) {
        int length = BlockSet.BLOCK_BYTES;
        Op op = Op.write(block * length, length, Held.of(ByteBuffer.allocate(length)), "nobody");
        if (primary.admit(op) == Primary.Admission.GO) {
            primary.written(op, 1);
        }
        for (Transaction t = primary.nextTransaction(); t != null; t = primary.nextTransaction()) {
            primary.transactionDone(t);
            for (Op next = granted.poll(); next != null; next = granted.poll()) {
                primary.written(next, 1);
            }
        }
    }

    @Test
    void stayWithinTheMemoryForMarksAndNoneIsMissed() {
        SplittableRandom random = new SplittableRandom(5);
        long[] written = random.longs(WRITES, 0, BLOCKS).toArray();
        for (long block : written) {
            write(block);
        }
        primary.detach();
        for (Transaction t = primary.nextTransaction(); t != null; t = primary.nextTransaction()) {
            primary.transactionDone(t);
        }
        for (long block : written) {
            assertTrue(dirty.contains(block) || suspect.contains(block));
            assertTrue(
                    onDisk.contains(block)
                            || unknown.get((int) (block / Transaction.Page.blocks(1024))));
        }
        assertTrue(mostUsed <= MARK_BYTES + 2 * 4112, mostUsed + " bytes");
        assertTrue(dirty.count() < WRITES, "what is to be sent was written, block by block");
        assertTrue(suspect.count() > WRITES, "the rest is compared, in whole extents");
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
