package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.checksum.HashTree;
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
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/// What a [Primary] reads and asks where nobody knows what the peer holds, what is left when that
/// is cut off, and what it reports meanwhile.
class CompareReadsTest implements PrimaryEffects {
    private static final int BLOCK = BlockSet.BLOCK_BYTES;
    private static final int BLOCKS = 1 << 20;
    private static final int TREE = Limits.DEFAULT.treeBlocks();
    private static final UUID ID = new UUID(5, 6);
    private static final Position THEIRS = new Position(1, 10);
    private static final Ancestry OLD =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));
    private static final Ancestry MINE =
            OLD.plus(new Ancestry.Entry(2, THEIRS, Ancestry.Reason.ATTACH, ID, 0));

    private final BlockSet suspect = new BlockSet(BLOCKS);
    private final TreeAnswers peer = new TreeAnswers(TreeShape.DEFAULT);
    private final List<String> events = new ArrayList<>();
    private Primary primary;
    private long session;

    @BeforeEach
    void attach() {
        primary =
                new Primary(
                        new Primary.Config(
                                ID, (long) BLOCKS * BLOCK, false, false, NoQuestions.LIMITS),
                        new Primary.Attached(
                                MINE,
                                new Kept(
                                        1,
                                        1,
                                        Transaction.Blank.CLEAR,
                                        new PeerCopy(THEIRS, Position.NONE, 0, 0),
                                        new BlockSet(BLOCKS),
                                        suspect,
                                        new BlockSet(BLOCKS),
                                        List.of(),
                                        false)),
                        Budget.of(1 << 20),
                        this);
    }

    private void connect() {
        primary.sessionUp(++session, 1);
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
        assertEquals(ReplicationState.COMPARE, primary.state());
    }

    private List<ReadRun> startAll() {
        List<ReadRun> runs = new ArrayList<>();
        while (primary.wantsRead()) {
            ReadRun run = primary.nextRead();
            assertNotNull(run, "it would be asked again and again");
            runs.add(run);
        }
        return runs;
    }

    private static HashTree holding(ReadRun run, byte with) {
        TreeBuilder tree = run.newTree();
        while (tree.leftBytes() > 0) {
            ByteBuffer data = ByteBuffer.allocate(tree.wantedBytes(1 << 20));
            while (data.hasRemaining()) {
                data.put(with);
            }
            tree.data(data.flip());
        }
        return tree.tree();
    }

    /// A peer whose copy reads zero answers all that was asked.
    private void answerAll() {
        while (primary.next() instanceof Frame.Compare c) {
            TreeAnswers.Answer answer =
                    peer.ask(
                            new TreeComparison.Ask(
                                    c.number(), c.offsetBytes(), c.lengthBytes(), c.level()));
            if (answer == null) {
                assertTrue(peer.zeroes(peer.next(), Long.MAX_VALUE));
                answer = peer.finished();
            }
            primary.on(new Frame.CompareReply(ID, session, answer.number(), answer.digests()));
        }
    }

    @Test
    void onlyWhatIsSuspectIsRead() {
        suspect.addRange(1000, 1003);
        suspect.addRange(1010, 1020); // Nearer than another question is worth.
        suspect.addRange(5000, 6024);
        connect();
        List<BlockRun> read = startAll().stream().map(ReadRun::blocks).toList();
        assertEquals(List.of(new BlockRun(1000, 20), new BlockRun(5000, 1024)), read);
    }

    @Test
    void aWholeDeviceIsReadInLongRunsAndBoundedlyMany() {
        suspect.addAll();
        connect();
        List<ReadRun> runs = startAll();
        assertEquals(Limits.DEFAULT.treesInFlight(), runs.size());
        assertEquals(new BlockRun(TREE, TREE), runs.get(1).blocks());
        // The peer is told of all of them before one is read.
        for (ReadRun run : runs) {
            Frame.Compare asked = (Frame.Compare) primary.next();
            assertEquals(run.blocks().offsetBytes(), asked.offsetBytes());
        }
    }

    @Test
    void aLostSessionPutsBackWhatIsNotDecided() {
        suspect.addRange(0, 100);
        suspect.addRange(1000, 1100);
        suspect.addRange(3000, 3100);
        connect();
        List<ReadRun> runs = startAll();
        assertEquals(3, runs.size());
        primary.digestDone(runs.get(0), holding(runs.get(0), (byte) 0));
        primary.digestDone(runs.get(1), holding(runs.get(1), (byte) 7));
        answerAll();
        // Equal; different in every block; asked and not read.
        assertEquals(100, primary.figures().dirtyBlocks());
        assertEquals(200L * BLOCK, primary.figures().behindBytes());
        primary.sessionDown();
        assertEquals(100, suspect.count());
        assertEquals(3000, suspect.next(0));
        assertEquals(200L * BLOCK, primary.figures().behindBytes());
        assertFalse(primary.isWanted(runs.get(2), 0));
        primary.readDropped(runs.get(2));
        connect();
        ReadRun again = startAll().getFirst();
        assertEquals(new BlockRun(3000, 100), again.blocks());
        primary.digestDone(again, holding(again, (byte) 0));
        answerAll();
        assertTrue(events.contains("compared"));
        assertEquals(0, suspect.count());
        assertEquals(100, primary.figures().dirtyBlocks());
    }

    @Test
    void whatIsDroppedIsSuspectAgain() {
        suspect.addRange(0, 100);
        connect();
        primary.readDropped(startAll().getFirst());
        assertEquals(100, suspect.count());
        assertEquals(100L * BLOCK, primary.figures().behindBytes());
    }

    @Test
    void progressFollowsTheReadingOfALongRun() {
        suspect.addRange(0, TREE);
        connect();
        ReadRun run = startAll().getFirst();
        assertEquals(TREE, primary.figures().bulkTotalBlocks());
        assertEquals(TREE + 1, primary.figures().bulkLeftBlocks());
        assertTrue(primary.isWanted(run, TREE / 2L * BLOCK));
        assertEquals(TREE / 2 + 1, primary.figures().bulkLeftBlocks());
        assertEquals((long) TREE * BLOCK, primary.figures().behindBytes());
    }

    @Test
    void anAnswerThatFitsNoQuestionEndsIt() {
        suspect.addRange(0, 100);
        connect();
        startAll();
        Frame.Compare asked = (Frame.Compare) primary.next();
        primary.on(new Frame.CompareReply(ID, session, asked.number(), new byte[64]));
        assertEquals(ReplicationState.OFF, primary.state());
        assertTrue(primary.refusal().contains("64 bytes of digests"), primary.refusal());
        primary.sessionDown();
        assertEquals(100, suspect.count());
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
    public void event(String kind, String text) {
        events.add(kind);
    }
}
