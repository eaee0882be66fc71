package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.checksum.SectorDigests;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.UUID;

/// An epoch of blocks of which the peer holds most, nothing, or what it does not say: what a
/// [Primary] asks, sends and leaves out.
class SectorQuestionsTest implements PrimaryEffects {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final int BLOCKS = 4000;
    private static final int SIZE = BLOCKS * BLOCK - 3 * 512;
    private static final UUID ID = new UUID(5, 6);
    private static final long SESSION = 77;
    private static final Position THEIRS = new Position(1, 10);
    private static final Ancestry OLD =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));
    private static final Ancestry MINE =
            OLD.plus(new Ancestry.Entry(2, THEIRS, Ancestry.Reason.ATTACH, ID, 0));

    private final byte[] theirs = new byte[SIZE];
    private final byte[] ours;
    private final byte[] staged;
    private final BlockSet dirty = new BlockSet(BLOCKS);
    private Primary primary;
    private int questions;
    private int askedBlocks;
    private long sentBytes;
    private Frame.EpochCommit commit;

    /// Where the peer has kept what an epoch had staged.
    private List<Frame.KeptRange> kept = List.of();

    SectorQuestionsTest() {
        new Random(1).nextBytes(theirs);
        ours = theirs.clone();
        staged = theirs.clone();
    }

    private void start(boolean everCommitted, Budget budget) {
        primary =
                new Primary(
                        new Primary.Config(ID, SIZE, false, false),
                        new Primary.Attached(
                                MINE,
                                new Kept(
                                        1,
                                        1,
                                        Transaction.Blank.CLEAR,
                                        new PeerCopy(
                                                everCommitted ? THEIRS : Position.NONE,
                                                Position.NONE,
                                                0,
                                                0),
                                        dirty,
                                        new BlockSet(BLOCKS),
                                        new BlockSet(BLOCKS),
                                        List.of(0L, 1L, 2L, 3L),
                                        false)),
                        budget,
                        this);
        primary.sessionUp(SESSION, 1);
        primary.on(
                new Frame.ResourceHello(
                        ID,
                        2,
                        DiskState.OUTDATED.ordinal(),
                        SIZE,
                        THEIRS,
                        THEIRS,
                        0,
                        everCommitted,
                        1 << 30,
                        false,
                        0,
                        OLD));
    }

    /// Sends what there is to send until there is nothing more, and answers.
    ///
    /// @param answers whether questions about sectors are answered
    private List<Frame.CompareSectors> send(boolean answers) {
        List<Frame.CompareSectors> asked = new ArrayList<>();
        for (Frame.Data each = primary.next(); each != null; each = primary.next()) {
            switch (each) {
                case Frame.EpochBegin b ->
                        primary.on(
                                new Frame.EpochReply(
                                        ID,
                                        SESSION,
                                        b.epoch(),
                                        b.blocks(),
                                        b.zeroRanges(),
                                        0,
                                        kept));
                case Frame.CompareSectors c -> {
                    questions++;
                    askedBlocks +=
                            (int)
                                    c.ranges().stream()
                                            .mapToLong(r -> BlockSet.blocksOf(r.lengthBytes()))
                                            .sum();
                    asked.add(c);
                    if (answers) {
                        primary.on(new Frame.SectorsReply(ID, SESSION, c.number(), digests(c)));
                    }
                }
                case Frame.EpochBlocks b -> {
                    sentBytes += b.data().remaining();
                    b.data().duplicate().get(staged, (int) b.offsetBytes(), b.data().remaining());
                }
                case Frame.EpochCommit c -> commit = c;
                case Frame.Tracked _, Frame.Heartbeat _ -> {}
                default -> throw new AssertionError(each);
            }
        }
        return asked;
    }

    private byte[] digests(Frame.CompareSectors asked) {
        Backup.Sectors sectors = new Backup.Sectors(SESSION, asked.number(), asked.ranges());
        ByteBuffer data = ByteBuffer.allocate(sectors.lengthBytes());
        for (Frame.Range each : asked.ranges()) {
            data.put(theirs, (int) each.offsetBytes(), each.lengthBytes());
        }
        return sectors.digest(data.flip());
    }

    private boolean readOne() {
        ReadRun read = primary.nextRead();
        if (read == null) {
            assertFalse(primary.wantsRead(), "it would be asked again and again");
            return false;
        }
        int from = (int) read.blocks().offsetBytes();
        ByteBuffer data = ByteBuffer.wrap(ours, from, read.blocks().lengthBytes(SIZE)).slice();
        if (read.isAnswered()) {
            primary.readParts(read, read.partsToSend(data, ByteBuffer::allocate));
        } else {
            primary.readDone(read, data);
        }
        return true;
    }

    private void run() {
        for (int i = 0; i < 100_000 && commit == null; i++) {
            send(true);
            Transaction due = primary.nextTransaction();
            if (due != null) {
                primary.transactionDone(due);
            }
            readOne();
        }
        assertNotNull(commit);
    }

    private void change(int offset, int length) {
        for (int i = offset; i < offset + length; i++) {
            ours[i] ^= 0x5a;
        }
    }

    @Test
    void aFewChangedBytesOfEachBlockCostTheirSectors() {
        dirty.addAll();
        for (int block = 0; block < BLOCKS; block++) {
            change(block * BLOCK + 700, 100);
        }
        start(true, Budget.of(1 << 20));
        run();
        assertEquals(512 * BLOCKS, sentBytes);
        assertEquals(BLOCKS, askedBlocks);
        assertTrue(questions < 40, questions + " questions");
        assertArrayEquals(ours, staged);
    }

    @Test
    void whatTheDeviceHasAtItsEndIsShort() {
        dirty.addRange(BLOCKS - 3, BLOCKS);
        change(SIZE - 10, 10);
        start(true, Budget.of(1 << 20));
        run();
        assertEquals(512, sentBytes);
        assertArrayEquals(ours, staged);
    }

    @Test
    void blocksThatAreOtherThroughoutAreHardlyAskedAbout() {
        dirty.addAll();
        change(0, SIZE);
        start(true, Budget.of(1 << 20));
        run();
        assertEquals(SIZE, sentBytes);
        assertTrue(askedBlocks <= 64 + 64 + 64, askedBlocks + " blocks");
    }

    /// Each is an entry in the peer's memory until the epoch is in its base.
    @Test
    void ofAnEpochOfManyPartsTheRestGoesWhole() {
        dirty.addAll();
        BlockSet none = new BlockSet(BLOCKS);
        SectorQuestions sectors = new SectorQuestions(Limits.DEFAULT, SIZE, new BlockSet(BLOCKS));
        sectors.begin();
        sectors.partsGo(SectorQuestions.MOST_PARTS);
        assertNotNull(sectors.next(dirty, none));
        sectors.partsGo(1);
        assertNull(sectors.next(dirty, none));
        sectors.begin();
        assertNotNull(sectors.next(dirty, none));
    }

    @Test
    void aCopyWithoutAPointIsNotAsked() {
        dirty.addRange(0, 10);
        start(false, Budget.of(1 << 20));
        send(true);
        assertEquals(0, questions);
    }

    /// Of the committed image it has all sectors, of what is staged in the epoch it has not.
    @Test
    void whatWasSentAndIsWrittenBackGoesWhole() {
        dirty.add(0);
        dirty.add(100);
        change(0, 512);
        change(100 * BLOCK, 512);
        start(true, Budget.of(BLOCK / 2));
        send(true);
        assertTrue(readOne());
        send(true);
        assertEquals(512, sentBytes);
        // The budget does not take what this overwrites: the epoch is extended.
        write(100 * BLOCK, ours);
        write(0, theirs);
        System.arraycopy(theirs, 0, ours, 0, BLOCK);
        run();
        assertArrayEquals(ours, staged);
    }

    private void write(int offset, byte[] content) {
        Held data = Held.of(ByteBuffer.wrap(content, offset, BLOCK).slice());
        Op op = Op.write(offset, BLOCK, data, "nobody waits");
        assertEquals(Primary.Admission.GO, primary.admit(op));
        primary.written(op, 5);
    }

    /// Nothing here says that they differ, and what the peer has of them is not what it has
    /// committed.
    @Test
    void whatThePeerHasKeptIsOfTheEpochAndCostsItsQuestions() {
        dirty.addRange(3000, 3400);
        change(3000 * BLOCK, 400 * BLOCK);
        kept =
                List.of(
                        new Frame.KeptRange(1000L * BLOCK, 1000L * BLOCK),
                        new Frame.KeptRange((BLOCKS - 2L) * BLOCK, 2L * BLOCK));
        change(1500 * BLOCK + 512, 512);
        change(SIZE - 5, 5);
        start(true, Budget.of(1 << 20));
        run();
        assertArrayEquals(ours, staged);
        assertEquals(400 * BLOCK + 2 * 512, sentBytes);
        assertTrue(askedBlocks >= 1002, askedBlocks + " blocks");
        assertTrue(askedBlocks <= 1002 + 64 + 64 + 64, askedBlocks + " blocks");
    }

    @Test
    void whatIsLeftIsWhatThePeerHasNotKept() {
        dirty.addRange(0, 1000);
        kept = List.of(new Frame.KeptRange(0, 900L * BLOCK));
        start(true, Budget.of(1 << 20));
        send(false);
        assertEquals(1000, primary.figures().bulkTotalBlocks());
        assertEquals(100, primary.figures().bulkLeftBlocks());
    }

    /// On a slow line under a busy host epochs are extended, and what is kept must not be sent for
    /// that.
    @Test
    void anExtensionForgetsNothingOfWhatThePeerHasKept() {
        dirty.addRange(3000, 3010);
        change(3000 * BLOCK, 10 * BLOCK);
        kept = List.of(new Frame.KeptRange(0, 2000L * BLOCK));
        start(true, Budget.of(BLOCK / 2));
        send(true);
        assertTrue(readOne());
        send(true);
        long before = sentBytes;
        // The budget does not take what this overwrites.
        write(1999 * BLOCK, theirs);
        run();
        assertEquals(before + 10 * BLOCK, sentBytes);
        assertArrayEquals(ours, staged);
    }

    /// It may have given up what it kept, and then its answers were about that.
    @Test
    void answersFromBeforeThePeerLackedRoomAreNotUsed() {
        dirty.addRange(0, 10);
        start(true, Budget.of(1 << 20));
        Frame.EpochBegin asked = (Frame.EpochBegin) primary.next();
        Frame.CompareSectors question = (Frame.CompareSectors) primary.next();
        primary.on(new Frame.EpochReply(ID, SESSION, asked.epoch(), 0, 0, 999));
        primary.on(new Frame.SectorsReply(ID, SESSION, question.number(), digests(question)));
        change(0, 512);
        System.arraycopy(ours, 0, theirs, 0, 512);
        primary.tick(10_000_000_000L, 5);
        run();
        assertEquals(0, sentBytes);
        assertEquals(1, questions, "it is asked once more");
    }

    @Test
    void aPeerThatHasKeptMoreThanTheDeviceHasIsRefused() {
        dirty.addRange(0, 10);
        kept = List.of(new Frame.KeptRange((BLOCKS - 1L) * BLOCK, 2L * BLOCK));
        start(true, Budget.of(1 << 20));
        send(true);
        assertEquals(ReplicationState.OFF, primary.state());
    }

    @Test
    void anAnswerThatDoesNotFitEndsIt() {
        dirty.addRange(0, 10);
        start(true, Budget.of(1 << 20));
        Frame.CompareSectors asked = send(false).getFirst();
        assertFalse(primary.wantsRead(), "it waits for the answer");
        primary.on(new Frame.SectorsReply(ID, SESSION + 1, asked.number(), new byte[16]));
        primary.on(new Frame.SectorsReply(ID, SESSION, asked.number() + 1, new byte[16]));
        assertEquals(ReplicationState.SYNC_SOURCE, primary.state());
        int bytes = 10 * 8 * SectorDigests.BYTES;
        primary.on(new Frame.SectorsReply(ID, SESSION, asked.number(), new byte[bytes - 16]));
        assertEquals(ReplicationState.OFF, primary.state());
    }

    @Override
    public void send(Frame.OfResource frame) {
        assertFalse(frame instanceof Frame.EpochReply);
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
    public void event(String kind, String text) {}
}
