package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.UUID;

/// How the holes of a sparse device are read for the peer: the disk is asked where they end, and
/// what may be written to meanwhile is asked again.
class HoleReadsTest implements PrimaryEffects {
    private static final UUID ID = new UUID(1, 2);
    private static final long SESSION = 7;
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final long SIZE = 64L << 40;
    private static final Ancestry MINE =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(2, Position.NONE, Ancestry.Reason.CREATE, ID, 0));

    /// The blocks with data; all else is a hole.
    private final TreeMap<Long, Byte> disk = new TreeMap<>();

    private final BlockSet dirty = new BlockSet(BlockSet.blocksOf(SIZE));
    private final List<Frame.Data> sent = new ArrayList<>();
    private Primary primary;
    private int reads;

    private void greet(boolean blank, boolean everCommitted) {
        dirty.addAll();
        primary =
                new Primary(
                        new Primary.Config(ID, SIZE, false, false, NoQuestions.LIMITS),
                        new Primary.Attached(
                                MINE,
                                new Kept(
                                        1,
                                        1,
                                        Transaction.Blank.MISSING,
                                        new PeerCopy(
                                                everCommitted ? new Position(2, 0) : Position.NONE,
                                                Position.NONE,
                                                9,
                                                0),
                                        dirty,
                                        new BlockSet(dirty.capacity()),
                                        new BlockSet(dirty.capacity()),
                                        List.of(0L),
                                        false)),
                        Budget.of(1 << 20),
                        this);
        Position at = everCommitted ? new Position(2, 0) : Position.NONE;
        primary.sessionUp(SESSION, 1);
        primary.on(
                new Frame.ResourceHello(
                        ID,
                        2,
                        (everCommitted ? DiskState.OUTDATED : DiskState.INCONSISTENT).ordinal(),
                        SIZE,
                        at,
                        at,
                        0,
                        everCommitted,
                        1 << 20,
                        blank,
                        0,
                        everCommitted
                                ? MINE
                                : Ancestry.EMPTY.plus(
                                        new Ancestry.Entry(
                                                77,
                                                Position.NONE,
                                                Ancestry.Reason.CREATE,
                                                ID,
                                                0))));
    }

    /// Before a block is sent it is durable that this copy is being filled.
    private void keep() {
        for (Transaction t = primary.nextTransaction(); t != null; t = primary.nextTransaction()) {
            primary.transactionDone(t);
        }
    }

    /// As the daemon's shell does it.
    private void read(ReadRun run) {
        reads++;
        BlockRun blocks = run.blocks();
        Long data = disk.ceilingKey(blocks.first());
        if (data == null || data >= blocks.end()) {
            primary.readHole(run, data == null ? SIZE : data * BLOCK);
        } else if (run.isGuess()) {
            primary.readDropped(run);
        } else {
            ByteBuffer content = ByteBuffer.allocate(blocks.count() * BLOCK);
            disk.subMap(blocks.first(), blocks.end())
                    .forEach((b, v) -> content.put((int) (b - blocks.first()) * BLOCK, v));
            primary.readDone(run, content);
        }
    }

    private void readAndSend() {
        for (boolean goesOn = true; goesOn; ) {
            goesOn = false;
            for (ReadRun run = primary.nextRead(); run != null; run = primary.nextRead()) {
                read(run);
                goesOn = true;
            }
            keep();
            for (Frame.Data f = primary.next(); f != null; f = primary.next()) {
                sent.add(f);
                goesOn = true;
            }
        }
    }

    @Test
    void theFirstSyncOfAnEmptyDeviceOf64TiBAsksTheDiskAFewTimes() {
        greet(true, false);
        disk.put(5L, (byte) 1);
        disk.put(40L << 28, (byte) 2);
        readAndSend();
        assertTrue(reads < 60, reads + " reads");
        assertEquals(List.of(0L, 40L << 40), syncedFrom());
        assertTrue(sent.stream().noneMatch(Frame.SyncZero.class::isInstance));
    }

    /// Its zeroes must be sent, in pieces that a request could have.
    @Test
    void aCopyThatHasSomethingGetsTheZeroesInLongPieces() {
        greet(false, false);
        disk.put(1L << 28, (byte) 1);
        long bytes = 0;
        int frames = 0;
        for (int i = 0; i < 100; i++) {
            ReadRun run = primary.nextRead();
            if (run != null) {
                read(run);
            }
            keep();
            Frame.Data next = primary.next();
            if (next instanceof Frame.SyncZero zero) {
                assertEquals(bytes, zero.offsetBytes());
                assertTrue(zero.lengthBytes() <= Op.MAX_ZERO_BYTES);
                bytes += zero.lengthBytes();
                frames++;
            }
        }
        assertTrue(bytes > frames * (Op.MAX_ZERO_BYTES / 2), bytes + " in " + frames);
    }

    @Test
    void aHoleThatWasWrittenToIsReadAsWhatItIs() {
        greet(true, false);
        read(primary.nextRead());
        ReadRun hole = primary.nextRead();
        assertTrue(hole.isGuess() && hole.blocks().count() > 1 << 20);
        disk.put(1000L, (byte) 1);
        Op op = Op.write(1000L * BLOCK, BLOCK, Held.of(ByteBuffer.allocate(BLOCK)), "nobody waits");
        assertEquals(Primary.Admission.GO, primary.admit(op));
        primary.written(op, 1);
        read(hole);
        assertFalse(primary.nextRead().isGuess(), "it is not guessed at again");
    }

    /// The mark of what is written behind the look at the hole stays.
    @Test
    void aWriteBehindTheLookIsSentByTheNextPass() {
        greet(true, false);
        read(primary.nextRead());
        ReadRun hole = primary.nextRead();
        Op op = Op.write(1000L * BLOCK, BLOCK, Held.of(ByteBuffer.allocate(BLOCK)), "nobody waits");
        assertEquals(Primary.Admission.GO, primary.admit(op));
        primary.written(op, 1);
        primary.readHole(hole, SIZE);
        disk.put(1000L, (byte) 1);
        assertTrue(dirty.contains(1000));
    }

    /// An epoch is committed with all of it, however the guess went.
    @Test
    void anEpochWaitsForWhatWasNoHoleAnyMore() {
        greet(false, true);
        dirty.clear();
        dirty.addRange(0, 5000);
        primary.tick(10_000_000_000L, 1);
        Frame.EpochBegin asked = assertInstanceOf(Frame.EpochBegin.class, next());
        primary.on(
                new Frame.EpochReply(
                        ID, SESSION, asked.epoch(), asked.blocks(), asked.zeroRanges(), 0));
        read(primary.nextRead());
        ReadRun hole = primary.nextRead();
        assertTrue(hole.isGuess());
        assertInstanceOf(Frame.EpochZero.class, next());
        disk.put(1000L, (byte) 1);
        read(hole);
        assertNull(next());
        readAndSend();
        Frame.EpochCommit commit =
                (Frame.EpochCommit)
                        sent.stream()
                                .filter(Frame.EpochCommit.class::isInstance)
                                .findFirst()
                                .orElseThrow();
        assertEquals(5000, commit.blocks());
    }

    private Frame.Data next() {
        Frame.Data next = primary.next();
        return next instanceof Frame.Tracked ? primary.next() : next;
    }

    private List<Long> syncedFrom() {
        return sent.stream()
                .filter(Frame.SyncBlocks.class::isInstance)
                .map(f -> ((Frame.SyncBlocks) f).offsetBytes())
                .toList();
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
    public void refused(Op op) {
        throw new AssertionError("nothing is refused here");
    }

    @Override
    public void answered(Object waiter) {}

    @Override
    public void event(String kind, String text) {}
}
