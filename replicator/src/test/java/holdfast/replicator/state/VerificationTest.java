package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.checksum.TreeAnswers;
import holdfast.checksum.TreeBuilder;
import holdfast.checksum.TreeComparison;
import holdfast.checksum.TreeShape;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/// What a [Primary] asks to verify a copy, when it asks that, and what it makes of the answers.
class VerificationTest implements PrimaryEffects {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final UUID ID = new UUID(5, 6);
    private static final Position THEIRS = new Position(1, 10);
    private static final Ancestry OLD =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));
    private static final Ancestry MINE =
            OLD.plus(new Ancestry.Entry(2, THEIRS, Ancestry.Reason.ATTACH, ID, 0));
    private static final byte[] ZERO = new byte[BLOCK];

    /// Blocks of our disk and of the copy that do not read zero.
    private final Map<Long, byte[]> ours = new HashMap<>();

    private final Map<Long, byte[]> copy = new HashMap<>();
    private TreeAnswers peer = new TreeAnswers(TreeShape.DEFAULT);
    private final List<Frame> control = new ArrayList<>();
    private Primary primary;
    private long session;
    private long wireBytes;
    private Position committed = THEIRS;

    private void attach(long blocks) {
        primary =
                new Primary(
                        new Primary.Config(ID, blocks * BLOCK, false, false, NoQuestions.LIMITS),
                        new Primary.Attached(
                                MINE,
                                new Kept(
                                        1,
                                        1,
                                        Transaction.Blank.CLEAR,
                                        new PeerCopy(THEIRS, Position.NONE, 0, 0),
                                        new BlockSet(blocks),
                                        new BlockSet(blocks),
                                        new BlockSet(blocks),
                                        List.of(),
                                        false)),
                        Budget.of(1 << 20),
                        this);
        connect(blocks, OLD);
        // The copy comes into our generation by an epoch of nothing.
        while (!committed.equals(primary.position())) {
            keep();
            primary.tick(5_000_000_000L, 5000);
            Frame.Data next = primary.next();
            if (next instanceof Frame.EpochBegin b) {
                primary.on(
                        new Frame.EpochReply(
                                ID, session, b.epoch(), b.blocks(), b.zeroRanges(), 0));
            } else if (next instanceof Frame.EpochCommit c) {
                acknowledge(c.position());
            }
        }
        assertEquals(ReplicationState.ESTABLISHED, primary.state());
    }

    private void connect(long blocks, Ancestry theirs) {
        primary.sessionUp(++session, 1);
        peer = new TreeAnswers(TreeShape.DEFAULT);
        primary.on(
                new Frame.ResourceHello(
                        ID,
                        2,
                        DiskState.OUTDATED.ordinal(),
                        blocks * BLOCK,
                        committed,
                        committed,
                        0,
                        true,
                        1 << 20,
                        false,
                        0,
                        theirs));
    }

    private void acknowledge(Position at) {
        committed = at;
        primary.on(new Frame.Ack(ID, session, at, at, 0, 0));
    }

    /// Carries out all transactions.
    private Transaction keep() {
        Transaction last = null;
        for (Transaction t = primary.nextTransaction(); t != null; t = primary.nextTransaction()) {
            primary.transactionDone(t);
            last = t;
        }
        return last;
    }

    /// Reads whatever is wanted here.
    private void readAll() {
        for (ReadRun run = primary.nextRead(); run != null; run = primary.nextRead()) {
            if (run.purpose() == ReadRun.Purpose.CONFIRM) {
                primary.confirmed(run, digests(ours, run.blocks()));
                continue;
            }
            TreeBuilder tree = run.newTree();
            while (tree.leftBytes() > 0) {
                long first = run.blocks().first() + tree.doneBytes() / BLOCK;
                if (tree.zeroes(zeroBytes(ours, first, tree.leftBytes())) == 0) {
                    int length = tree.wantedBytes(1 << 20);
                    tree.data(content(ours, first, length / BLOCK));
                }
            }
            primary.digestDone(run, tree.tree());
        }
    }

    private static long zeroBytes(Map<Long, byte[]> of, long first, long most) {
        long end = first + most / BLOCK;
        return of.keySet().stream().filter(b -> b >= first).mapToLong(b -> b).min().stream()
                                .map(b -> Math.min(b, end))
                                .findFirst()
                                .orElse(end)
                        * BLOCK
                - first * BLOCK;
    }

    private static ByteBuffer content(Map<Long, byte[]> of, long first, int count) {
        ByteBuffer data = ByteBuffer.allocate(count * BLOCK);
        for (int i = 0; i < count; i++) {
            data.put(of.getOrDefault(first + i, ZERO));
        }
        return data.flip();
    }

    private static byte[] digests(Map<Long, byte[]> of, BlockRun run) {
        return ReadRun.blockDigests(content(of, run.first(), run.count()));
    }

    private void answer(Frame.Verify v) {
        wireBytes += FrameCodec.sizeOf(v);
        byte[] digests;
        if (v.exact()) {
            digests =
                    digests(
                            copy,
                            new BlockRun(v.offsetBytes() / BLOCK, (int) v.lengthBytes() / BLOCK));
        } else {
            TreeAnswers.Answer answer =
                    peer.ask(
                            new TreeComparison.Ask(
                                    v.number(), v.offsetBytes(), v.lengthBytes(), v.level()));
            while (answer == null) {
                TreeAnswers.Part part = peer.next();
                long first = part.offsetBytes() / BLOCK;
                if (!peer.zeroes(part, zeroBytes(copy, first, part.lengthBytes()))) {
                    int length = part.wantedBytes(1 << 20);
                    ByteBuffer data = content(copy, first, length / BLOCK);
                    peer.leaves(part, length, part.shape().leaves(data));
                }
                answer = peer.finished();
            }
            digests = answer.digests();
        }
        Frame.VerifyReply reply =
                new Frame.VerifyReply(ID, session, v.run(), v.number(), v.exact(), digests);
        wireBytes += FrameCodec.sizeOf(reply);
        primary.on(reply);
    }

    private Verification.Result runToTheEnd() {
        while (primary.verifying() != null) {
            readAll();
            if (primary.next() instanceof Frame.Verify v) {
                answer(v);
            }
        }
        return primary.takeVerified();
    }

    private void write(long block) {
        byte[] data = new byte[BLOCK];
        data[0] = (byte) block;
        Op op = Op.write(block * BLOCK, BLOCK, new Data(data), this);
        if (primary.admit(op) == Primary.Admission.PARKED) {
            keep();
        }
        ours.put(block, data);
        assertTrue(primary.written(op, 5000));
    }

    private record Data(byte[] bytes) implements Held {
        @Override
        public ByteBuffer data() {
            return ByteBuffer.wrap(bytes);
        }

        @Override
        public void release() {}
    }

    @Test
    void oneTebibyteThatIsEqualCostsLessThanAMebibyte() {
        attach(1L << 28);
        primary.verify(7);
        Verification.Result result = runToTheEnd();
        assertTrue(result.isWhole());
        assertEquals(List.of(), result.differing());
        assertEquals(1L << 40, result.comparedBytes());
        assertTrue(wireBytes < 1 << 20, "on the wire: " + wireBytes);
        System.out.println("1 TiB verified with " + wireBytes + " bytes of frames");
        assertInstanceOf(Frame.Verified.class, control.getLast());
    }

    @Test
    void whatDiffersIsReportedBlockByBlock() {
        attach(1 << 20);
        for (long block : new long[] {5, 6, 700_000, (1 << 20) - 1}) {
            copy.put(block, java.util.Arrays.copyOf(new byte[] {1}, BLOCK));
        }
        primary.verify(7);
        assertEquals(
                List.of(
                        new BlockRun(5, 2),
                        new BlockRun(700_000, 1),
                        new BlockRun((1 << 20) - 1, 1)),
                runToTheEnd().differing());
    }

    @Test
    void whatWasWrittenWhileItWasReadIsAskedAboutAsOfItsPlaceInTheStream() {
        attach(1000);
        primary.verify(7);
        readAll(); // It reads zero here.
        write(3);
        write(4);
        copy.put(3L, ours.get(3L)); // And not there.
        int writes = 0;
        int writesBeforeExact = -1;
        while (primary.verifying() != null) {
            keep();
            Frame.Data next = primary.next();
            if (next instanceof Frame.Write w) {
                writes++;
                copy.put(w.offsetBytes() / BLOCK, ours.get(w.offsetBytes() / BLOCK));
            } else if (next instanceof Frame.Verify v) {
                writesBeforeExact = v.exact() ? writes : writesBeforeExact;
                answer(v);
            }
            readAll();
        }
        assertEquals(2, writesBeforeExact);
        assertEquals(List.of(), primary.takeVerified().differing());
    }

    @Test
    void aWriteThatComesWhileItWaitsIsSentBehindTheQuestion() {
        attach(1000);
        copy.put(3L, java.util.Arrays.copyOf(new byte[] {1}, BLOCK));
        primary.verify(7);
        ReadRun confirm = untilConfirmed();
        primary.confirmed(confirm, digests(ours, confirm.blocks()));
        write(3);
        Frame.Verify exact = assertInstanceOf(Frame.Verify.class, primary.next());
        assertTrue(exact.exact());
        assertEquals(3 * BLOCK, exact.offsetBytes());
        keep();
        assertInstanceOf(Frame.Tracked.class, primary.next());
        assertInstanceOf(Frame.Write.class, primary.next());
        answer(exact);
        assertEquals(List.of(new BlockRun(3, 1)), runToTheEnd().differing());
    }

    /// Up to the reading of what seems to differ.
    private ReadRun untilConfirmed() {
        while (true) {
            ReadRun run = primary.nextRead();
            if (run != null && run.purpose() == ReadRun.Purpose.CONFIRM) {
                return run;
            }
            if (run != null) {
                TreeBuilder tree = run.newTree();
                tree.zeroes(tree.leftBytes());
                primary.digestDone(run, tree.tree());
            }
            if (primary.next() instanceof Frame.Verify v) {
                answer(v);
            }
        }
    }

    @Test
    void aBlockIsLockedOnlyWhileItIsReadToBeConfirmed() {
        attach(1000);
        copy.put(3L, java.util.Arrays.copyOf(new byte[] {1}, BLOCK));
        primary.verify(7);
        ReadRun confirm = untilConfirmed();
        Op op = Op.write(3 * BLOCK, BLOCK, new Data(new byte[BLOCK]), this);
        assertEquals(Primary.Admission.PARKED, primary.admit(op));
        assertNull(granted);
        primary.confirmed(confirm, digests(ours, confirm.blocks()));
        keep();
        assertEquals(op, granted);
    }

    @Test
    void aLostSessionIsGoneOnFrom() {
        attach(1000);
        copy.put(3L, java.util.Arrays.copyOf(new byte[] {1}, BLOCK));
        primary.verify(7);
        ReadRun confirm = untilConfirmed();
        primary.sessionDown();
        assertTrue(primary.verifying().waits());
        primary.confirmed(confirm, digests(ours, confirm.blocks()));
        connect(1000, MINE);
        assertEquals(ReplicationState.ESTABLISHED, primary.state());
        assertEquals(List.of(new BlockRun(3, 1)), runToTheEnd().differing());
    }

    @Test
    void answersToOneThatWasStoppedAreNotThoseOfTheNext() {
        attach(1000);
        primary.verify(7);
        readAll();
        Frame.Verify old = assertInstanceOf(Frame.Verify.class, primary.next());
        assertTrue(primary.stopVerify("enough"));
        assertEquals("enough", primary.takeVerified().trouble());
        assertFalse(primary.stopVerify("again"));
        assertTrue(primary.verify(8));
        assertFalse(primary.verify(9));
        copy.put(3L, java.util.Arrays.copyOf(new byte[] {1}, BLOCK));
        primary.on(
                new Frame.VerifyReply(ID, session, old.run(), old.number(), false, new byte[32]));
        peer = new TreeAnswers(TreeShape.DEFAULT);
        assertEquals(List.of(new BlockRun(3, 1)), runToTheEnd().differing());
    }

    @Test
    void whatIsToBeMendedIsMarkedDurablyAndGoesAsAnEpoch() {
        attach(1 << 20);
        keep();
        List<BlockRun> blocks = new ArrayList<>();
        for (int i = 0; i < 600; i++) {
            blocks.add(new BlockRun(i * 1700L, 2));
        }
        assertEquals(1200, primary.mend(blocks));
        assertFalse(primary.isMarkedDurably());
        assertEquals(ReplicationState.AHEAD, primary.state());
        Map<Long, long[]> pages = new HashMap<>();
        for (Transaction t = primary.nextTransaction(); t != null; t = primary.nextTransaction()) {
            t.pages().forEach(each -> pages.put(each.number(), each.bits()));
            primary.transactionDone(t);
        }
        assertTrue(primary.isMarkedDurably());
        int pageBlocks = Transaction.Page.blocks(Limits.DEFAULT.extentBlocks());
        for (BlockRun run : blocks) {
            for (long b = run.first(); b < run.end(); b++) {
                int at = (int) (b % pageBlocks);
                long[] bits = pages.get(b / pageBlocks);
                assertNotNull(bits);
                assertTrue((bits[at / 64] >>> at % 64 & 1) == 1, "block " + b);
            }
        }
        primary.tick(6_000_000_000L, 6000);
        assertInstanceOf(Frame.EpochBegin.class, primary.next());
        assertEquals(Long.MAX_VALUE, primary.missingForMillis(6_000_000_000L), "since when?");
    }

    private Frame.Fetched fetched(Frame.Fetch f) {
        ByteBuffer data = content(copy, f.offsetBytes() / BLOCK, (int) f.lengthBytes() / BLOCK);
        byte[] bytes = new byte[data.remaining()];
        data.get(bytes);
        return new Frame.Fetched(ID, session, f.run(), f.number(), bytes);
    }

    @Test
    void whatTheCopyHoldsIsBroughtOfBlocksThatDiffer() {
        attach(1000);
        copy.put(3L, java.util.Arrays.copyOf(new byte[] {1}, BLOCK));
        long differs = primary.fetch(new BlockRun(2, 2), digests(ours, new BlockRun(2, 2)));
        long equal = primary.fetch(new BlockRun(8, 1), digests(ours, new BlockRun(8, 1)));
        answer(assertInstanceOf(Frame.Verify.class, primary.next()));
        answer(assertInstanceOf(Frame.Verify.class, primary.next()));
        List<Primary.Fetched> first = primary.takeFetched();
        assertEquals(List.of(equal), first.stream().map(Primary.Fetched::number).toList());
        assertNull(first.getFirst().data());
        primary.on(fetched(assertInstanceOf(Frame.Fetch.class, primary.next())));
        Primary.Fetched brought = primary.takeFetched().getFirst();
        assertEquals(differs, brought.number());
        assertEquals("", brought.trouble());
        assertArrayEquals(content(copy, 2, 2).array(), brought.data());
        assertEquals("", primary.refusal());
    }

    /// A disk that returns something else each time, or a peer that makes it up.
    @Test
    void whatIsNotWhatTheCopySaidThatItHoldsIsNotTaken() {
        attach(1000);
        copy.put(3L, java.util.Arrays.copyOf(new byte[] {1}, BLOCK));
        primary.fetch(new BlockRun(3, 1), digests(ours, new BlockRun(3, 1)));
        answer(assertInstanceOf(Frame.Verify.class, primary.next()));
        Frame.Fetch question = assertInstanceOf(Frame.Fetch.class, primary.next());
        copy.put(3L, java.util.Arrays.copyOf(new byte[] {2}, BLOCK));
        primary.on(fetched(question));
        Primary.Fetched brought = primary.takeFetched().getFirst();
        assertNull(brought.data());
        assertTrue(brought.trouble().contains("byte 12288"), brought.trouble());
    }

    @Test
    void contentThatNobodyAskedForEndsTheStream() {
        for (int length : new int[] {BLOCK - 1, 2 * BLOCK}) {
            attach(1000);
            copy.put(3L, java.util.Arrays.copyOf(new byte[] {1}, BLOCK));
            primary.fetch(new BlockRun(3, 1), digests(ours, new BlockRun(3, 1)));
            answer(assertInstanceOf(Frame.Verify.class, primary.next()));
            Frame.Fetch question = assertInstanceOf(Frame.Fetch.class, primary.next());
            primary.on(
                    new Frame.Fetched(
                            ID, session, question.run(), question.number(), new byte[length]));
            assertTrue(primary.refusal().contains("answer to a repair"), primary.refusal());
            committed = THEIRS;
        }
        attach(1000);
        primary.on(new Frame.Fetched(ID, session, 0, 1, new byte[BLOCK]));
        assertTrue(primary.refusal().contains("answer to a repair"), primary.refusal());
    }

    @Test
    void aLostSessionEndsWhatIsFetched() {
        attach(1000);
        long unsent = primary.fetch(new BlockRun(3, 1), digests(ours, new BlockRun(3, 1)));
        primary.sessionDown();
        Primary.Fetched ended = primary.takeFetched().getFirst();
        assertEquals(unsent, ended.number());
        assertEquals("the link was lost", ended.trouble());
        assertEquals(0, primary.fetch(new BlockRun(3, 1), new byte[32]), "nobody to ask");
        connect(1000, MINE);
        assertNull(primary.next(), "it is not asked again");
    }

    @Test
    void aComparisonOfEverythingCutsItShort() {
        attach(1000);
        primary.verify(7);
        primary.sessionDown();
        primary.compareAll("somebody ordered it");
        connect(1000, MINE);
        assertEquals(ReplicationState.COMPARE, primary.state());
        assertFalse(primary.takeVerified().isWhole());
        assertNull(primary.verifying());
    }

    @Test
    void digestsOfBlocksAreThoseOfTheTree() {
        byte[] data = new byte[3 * BLOCK];
        data[BLOCK] = 1;
        assertArrayEquals(
                TreeShape.DEFAULT.leaves(ByteBuffer.wrap(data)),
                ReadRun.blockDigests(ByteBuffer.wrap(data)));
    }

    private Op granted;

    @Override
    public void send(Frame.OfResource frame) {
        control.add(frame);
    }

    @Override
    public void wakeSender() {}

    @Override
    public void wakeReader() {}

    @Override
    public void wakeKeeper() {}

    @Override
    public void granted(Op op) {
        granted = op;
    }

    @Override
    public void refused(Op op) {
        throw new AssertionError("refused");
    }

    @Override
    public void answered(Object waiter) {}

    @Override
    public void event(String kind, String text) {}
}
