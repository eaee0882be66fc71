package holdfast.checksum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;

/// Both sides of a comparison over two images in memory, with everything that may come in another
/// order coming in a random one.
class TreeComparisonTest {
    private static final int BLOCK = TreeShape.BLOCK_BYTES;

    /// Two images, and what comparing them took.
    private static final class Run {
        private final Random random;
        private final TreeShape shape;
        private final byte[] ours;
        private final byte[] theirs;
        private final TreeComparison comparison;
        private final TreeAnswers answers;
        private final int treeBlocks;

        private final ArrayDeque<long[]> suspect = new ArrayDeque<>();
        private final List<TreeComparison.Subject> reading = new ArrayList<>();
        private final ArrayDeque<TreeComparison.Ask> onTheWay = new ArrayDeque<>();
        private final List<TreeAnswers.Answer> back = new ArrayList<>();
        private TreeAnswers.Part part;

        private final BitSet differing = new BitSet();
        private final BitSet unresolved = new BitSet();
        private long oursRead;
        private long theirsRead;
        private long digests;
        private long questions;
        private long keptMax;

        private Run(Random random, TreeShape shape, byte[] ours, byte[] theirs, int treeBlocks) {
            this.random = random;
            this.shape = shape;
            this.ours = ours;
            this.theirs = theirs;
            this.treeBlocks = treeBlocks;
            comparison = new TreeComparison(shape, 1 + random.nextInt(3), 1 + random.nextInt(8));
            answers = new TreeAnswers(shape);
        }

        private Run suspect(int firstBlock, int endBlock) {
            for (int b = firstBlock; b < endBlock; b += treeBlocks) {
                long from = (long) b * BLOCK;
                long to = Math.min((long) Math.min(b + treeBlocks, endBlock) * BLOCK, ours.length);
                if (to > from) {
                    suspect.add(new long[] {from, to - from});
                }
            }
            return this;
        }

        private Run all() {
            return suspect(0, Math.ceilDiv(ours.length, BLOCK));
        }

        /// @param steps at most
        private Run go(int steps) {
            for (int i = 0; i < steps && !isDone(); i++) {
                switch (random.nextInt(6)) {
                    case 0 -> open();
                    case 1 -> readOurs();
                    case 2 -> ask();
                    case 3 -> arrive();
                    case 4 -> readTheirs();
                    default -> answer();
                }
                keptMax = Math.max(keptMax, answers.keptBytes());
            }
            return this;
        }

        private Run go() {
            go(10_000_000);
            assertTrue(isDone() && comparison.isIdle() && comparison.openBytes() == 0);
            return this;
        }

        private boolean isDone() {
            return suspect.isEmpty() && reading.isEmpty() && comparison.isIdle();
        }

        private void open() {
            if (comparison.takes() && !suspect.isEmpty()) {
                long[] range = suspect.poll();
                reading.add(comparison.open(range[0], range[1]));
            }
        }

        private void readOurs() {
            if (!reading.isEmpty()) {
                var subject = reading.remove(random.nextInt(reading.size()));
                TreeBuilder tree = subject.newTree();
                while (tree.leftBytes() > 0) {
                    int at = (int) (subject.offsetBytes() + tree.doneBytes());
                    int length = tree.wantedBytes(1 + random.nextInt(6 * BLOCK));
                    tree.data(ByteBuffer.wrap(ours, at, length));
                    oursRead += length;
                }
                comparison.read(subject, tree.tree(), this::found);
            }
        }

        private void found(long offsetBytes, long lengthBytes) {
            mark(differing, offsetBytes, lengthBytes);
        }

        private static void mark(BitSet set, long offsetBytes, long lengthBytes) {
            int first = (int) (offsetBytes / BLOCK);
            set.set(first, first + (int) Math.ceilDiv(lengthBytes, BLOCK));
        }

        private void ask() {
            TreeComparison.Ask ask = comparison.next();
            if (ask != null) {
                questions++;
                onTheWay.add(ask);
            }
        }

        private void arrive() {
            if (!onTheWay.isEmpty()) {
                TreeAnswers.Answer known = answers.ask(onTheWay.poll());
                if (known != null) {
                    back.add(known);
                }
            }
        }

        private void readTheirs() {
            if (part == null) {
                part = answers.next();
                return;
            }
            assertNull(answers.next(), "one at a time");
            int length = part.wantedBytes(1 + random.nextInt(6 * BLOCK));
            ByteBuffer data = ByteBuffer.wrap(theirs, (int) part.offsetBytes(), length);
            if (!Zeros.isZero(data) || !answers.zeroes(part, length)) {
                answers.leaves(part, length, shape.leaves(data));
                theirsRead += length;
            }
            part = null;
            TreeAnswers.Answer done = answers.finished();
            if (done != null) {
                back.add(done);
            }
        }

        private void answer() {
            if (!back.isEmpty()) {
                TreeAnswers.Answer answer = back.remove(random.nextInt(back.size()));
                assertTrue(answer.digests().length <= shape.digestsMax() * 32);
                digests += answer.digests().length / 32;
                comparison.answered(answer.number(), answer.digests(), this::found);
            }
        }

        /// The session is lost.
        private void cut() {
            comparison.end((o, l) -> mark(unresolved, o, l), (o, l) -> mark(unresolved, o, l));
            for (long[] range : suspect) {
                mark(unresolved, range[0], range[1]);
            }
            answers.end();
            assertTrue(comparison.isIdle());
        }

        private BitSet truth() {
            var truth = new BitSet();
            for (int at = 0; at < ours.length; at += BLOCK) {
                int end = Math.min(at + BLOCK, ours.length);
                truth.set(at / BLOCK, !java.util.Arrays.equals(ours, at, end, theirs, at, end));
            }
            return truth;
        }
    }

    private final Random random = new Random(5);

    private byte[] image(int length) {
        byte[] image = new byte[length];
        for (int at = 0; at < length; ) {
            int run = Math.min(length - at, 1 + random.nextInt(20 * BLOCK));
            if (random.nextInt(3) > 0) {
                byte[] bytes = new byte[run];
                random.nextBytes(bytes);
                System.arraycopy(bytes, 0, image, at, run);
            }
            at += run;
        }
        return image;
    }

    private Run run(TreeShape shape, int length, int differences) {
        byte[] ours = image(length);
        byte[] theirs = ours.clone();
        for (int i = 0; i < differences; i++) {
            int at = random.nextInt(length);
            theirs[at] ^= (byte) (1 << random.nextInt(8));
        }
        int treeBlocks = 1 + random.nextInt((int) (shape.rangeBytesMax() / BLOCK));
        return new Run(random, shape, ours, theirs, treeBlocks);
    }

    private TreeShape shape() {
        return new TreeShape(2 + random.nextInt(3));
    }

    private int length() {
        return 1 + random.nextInt(400 * BLOCK);
    }

    @Test
    void ofEqualImagesEachSideReadsEveryByteOnceAndSaysOneDigestForEachTree() {
        for (int i = 0; i < 200; i++) {
            Run run = run(shape(), length(), 0).all();
            int trees = run.suspect.size();
            run.go();
            assertTrue(run.differing.isEmpty());
            assertEquals(run.ours.length, run.oursRead);
            assertTrue(run.theirsRead <= run.theirs.length);
            assertEquals(trees, run.digests);
            assertEquals(trees, run.questions);
        }
    }

    @Test
    void exactlyTheBlocksThatDifferAreFound() {
        for (int i = 0; i < 400; i++) {
            Run run = run(shape(), length(), random.nextInt(i % 2 == 0 ? 3 : 200)).all().go();
            assertEquals(run.truth(), run.differing);
            assertEquals(run.ours.length, run.oursRead);
            assertTrue(run.theirsRead <= run.theirs.length);
        }
    }

    @Test
    void whollyDifferentImagesAreReadOnce() {
        for (int i = 0; i < 50; i++) {
            TreeShape shape = shape();
            int length = length();
            var run = new Run(random, shape, image(length), image(length), 1 << 20);
            int treeBlocks = (int) (shape.rangeBytesMax() / BLOCK);
            for (int b = 0; b * BLOCK < length; b += treeBlocks) {
                run.suspect(b, Math.min(b + treeBlocks, Math.ceilDiv(length, BLOCK)));
            }
            run.go();
            assertEquals(run.truth(), run.differing);
            assertTrue(run.oursRead == length && run.theirsRead <= length);
        }
    }

    /// 256 MiB in the real shape: a digest for the whole, then 32 at most on each level.
    @Test
    void oneBlockOfManyIsFoundByFewDigests() {
        byte[] ours = new byte[256 << 20];
        byte[] theirs = new byte[256 << 20];
        theirs[200_000_001] = 1;
        var run = new Run(random, TreeShape.DEFAULT, ours, theirs, 1 << 16).all().go();
        assertEquals(1, run.differing.cardinality());
        assertTrue(run.differing.get(200_000_001 / BLOCK));
        assertEquals(1 + 2 + 32 + 32 + 32, run.digests);
        assertEquals(256 << 20, run.oursRead);
    }

    @Test
    void onlyWhatIsSuspectIsReadAndAsked() {
        for (int i = 0; i < 200; i++) {
            Run run = run(shape(), length(), random.nextInt(40));
            var suspects = new BitSet();
            int blocks = Math.ceilDiv(run.ours.length, BLOCK);
            for (int at = random.nextInt(9); at < blocks; at += 1 + random.nextInt(60)) {
                int end = Math.min(blocks, at + 1 + random.nextInt(50));
                run.suspect(at, end);
                suspects.set(at, end);
                at = end;
            }
            run.go();
            BitSet truth = run.truth();
            truth.and(suspects);
            assertEquals(truth, run.differing);
            assertTrue(run.oursRead <= (long) suspects.cardinality() * BLOCK);
        }
    }

    /// Whatever is neither found nor given back is equal.
    @Test
    void aSessionThatIsLostLosesNoBlock() {
        boolean early = false;
        for (int i = 0; i < 400; i++) {
            Run run = run(shape(), length(), random.nextInt(60)).all();
            run.go(random.nextInt(1500));
            run.cut();
            early |= !run.unresolved.isEmpty();
            BitSet truth = run.truth();
            var wrong = (BitSet) run.differing.clone();
            wrong.andNot(truth);
            assertTrue(wrong.isEmpty(), "equal: " + wrong);
            truth.andNot(run.differing);
            truth.andNot(run.unresolved);
            assertTrue(truth.isEmpty(), "lost: " + truth);
        }
        assertTrue(early);
    }

    @Test
    void whatIsNotReadAfterAllIsDroppedAndItsAnswerPassedOver() {
        var comparison = new TreeComparison(new TreeShape(2), 1, 4);
        TreeComparison.Subject wide = comparison.open(0, 16 * BLOCK);
        assertFalse(comparison.takes(), "one at a time");
        comparison.drop(wide);
        assertTrue(comparison.takes() && comparison.isIdle());
        TreeComparison.Subject again = comparison.open(0, 16 * BLOCK);
        long number = comparison.next().number();
        comparison.drop(again);
        assertEquals(0, comparison.openBytes());
        comparison.answered(number, new byte[32], (_, _) -> {});
        assertTrue(comparison.isIdle());
    }

    @Test
    void aLongRangeThatReadsZeroLeavesItsPlaceToTheNext() {
        var comparison = new TreeComparison(new TreeShape(2), 1, 4);
        TreeComparison.Subject hole = comparison.open(0, 16 * BLOCK);
        assertFalse(comparison.takes());
        TreeBuilder zeroes = hole.newTree();
        zeroes.zeroes(16 * BLOCK);
        comparison.read(hole, zeroes.tree(), (_, _) -> {});
        assertTrue(comparison.takes());
        TreeComparison.Subject data = comparison.open(16 * BLOCK, 16 * BLOCK);
        assertFalse(comparison.takes());
        long number = comparison.next().number();
        comparison.answered(number, hole(), (_, _) -> {});
        assertFalse(comparison.takes(), "the other one is as it was");
        TreeBuilder read = data.newTree();
        byte[] bytes = new byte[16 * BLOCK];
        bytes[5] = 1;
        read.data(ByteBuffer.wrap(bytes));
        comparison.read(data, read.tree(), (_, _) -> {});
        assertFalse(comparison.takes());
        comparison.answered(
                comparison.next().number(), read.tree().digests(0, 16 * BLOCK, 4), (_, _) -> {});
        assertTrue(comparison.takes() && comparison.isIdle());
    }

    private static byte[] hole() {
        TreeBuilder zeroes = new TreeBuilder(new TreeShape(2), 16 * BLOCK);
        zeroes.zeroes(16 * BLOCK);
        return zeroes.tree().digests(0, 16 * BLOCK, 4);
    }

    @Test
    void whatWasNotAskedIsNoAnswer() {
        var comparison = new TreeComparison(new TreeShape(2), 2, 4);
        comparison.open(0, 4 * BLOCK);
        TreeComparison.Ask ask = comparison.next();
        for (long number : new long[] {0, ask.number() + 1}) {
            assertThrows(
                    IllegalArgumentException.class,
                    () -> comparison.answered(number, new byte[32], (_, _) -> {}));
        }
        assertThrows(
                IllegalArgumentException.class,
                () -> comparison.answered(ask.number(), new byte[64], (_, _) -> {}));
        comparison.answered(ask.number(), new byte[32], (_, _) -> {});
        assertThrows(
                IllegalArgumentException.class,
                () -> comparison.answered(ask.number(), new byte[32], (_, _) -> {}));
    }

    @Test
    void aPeerThatAsksAnythingGetsNoMoreMemoryThanALimit() {
        var answers = new TreeAnswers(TreeShape.DEFAULT);
        long range = 256 << 20;
        for (TreeComparison.Ask ask :
                List.of(
                        new TreeComparison.Ask(1, 0, range, 0),
                        new TreeComparison.Ask(1, 0, range, 1),
                        new TreeComparison.Ask(1, 0, range + BLOCK, 4),
                        new TreeComparison.Ask(1, 0, 0, 0),
                        new TreeComparison.Ask(1, 0, BLOCK, -1),
                        new TreeComparison.Ask(1, 0, BLOCK, 5))) {
            assertThrows(IllegalArgumentException.class, () -> answers.ask(ask), ask.toString());
        }
        for (int i = 0; i < TreeAnswers.WAITING_MAX; i++) {
            assertNull(answers.ask(new TreeComparison.Ask(i, i * range, range, 4)));
        }
        assertThrows(
                IllegalArgumentException.class,
                () -> answers.ask(new TreeComparison.Ask(999, 0, range, 4)));
        for (int i = 0; i < TreeAnswers.WAITING_MAX; i++) {
            TreeAnswers.Part part = answers.next();
            if (i % 2 == 0) {
                assertTrue(answers.zeroes(part, Long.MAX_VALUE));
            } else {
                answers.leaves(part, range, new byte[(int) (range / BLOCK) * 32]);
            }
            assertEquals(i, answers.finished().number());
            assertTrue(answers.keptBytes() <= TreeAnswers.KEPT_BYTES_MAX);
        }
        assertNull(answers.next());
    }

    @Test
    void rangesAreReadAsTheyWereAsked() {
        TreeShape shape = new TreeShape(2);
        var answers = new TreeAnswers(shape);
        answers.ask(new TreeComparison.Ask(1, 0, 16 * BLOCK, 4));
        TreeAnswers.Part part = answers.next();
        answers.ask(new TreeComparison.Ask(2, 32 * BLOCK, 2 * BLOCK, 1));
        answers.leaves(part, 2 * BLOCK, new byte[64]);
        assertNull(answers.finished());
        part = answers.next();
        assertEquals(2 * BLOCK, part.offsetBytes());
        assertFalse(part.isFirst());
        assertTrue(answers.zeroes(part, 14 * BLOCK));
        assertEquals(1, answers.finished().number());
        part = answers.next();
        assertEquals(32 * BLOCK, part.offsetBytes());
        assertTrue(part.isFirst());
    }

    @Test
    void whatWasReadForAnEndedSessionIsPassedOver() {
        var answers = new TreeAnswers(new TreeShape(2));
        answers.ask(new TreeComparison.Ask(1, 0, BLOCK, 0));
        TreeAnswers.Part old = answers.next();
        answers.end();
        answers.ask(new TreeComparison.Ask(1, BLOCK, BLOCK, 0));
        TreeAnswers.Part now = answers.next();
        answers.leaves(old, BLOCK, new byte[32]);
        assertNull(answers.finished());
        answers.leaves(now, BLOCK, new byte[32]);
        assertEquals(1, answers.finished().number());
    }
}
