package holdfast.checksum;

import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.Map;

/// Which blocks of some ranges differ from the peer's? The side that asks. One owner; it neither
/// reads nor sends:
///
/// ```
///  open(range) ─► next(): Ask{range, its top level} ─► the peer reads it while we do ─► read(tree), answered(digest)
///     equal: done.  Not: next(): Ask{what differs, one level lower} … which both answer from their trees
///     a block differs: Found
/// ```
///
/// So a range that is equal costs one digest and one reading on each side, and one differing block
/// of 256 MiB four answers of at most 1 KiB.
public final class TreeComparison {
    /// A question for the peer: the digests of the parts of a level of this range.
    ///
    /// @param number counts up from 1; the answer bears it
    public record Ask(long number, long offsetBytes, long lengthBytes, int level) {}

    /// Takes ranges of the device.
    @FunctionalInterface
    public interface Ranges {
        void add(long offsetBytes, long lengthBytes);
    }

    /// A range that both sides read.
    public final class Subject {
        private final long offsetBytes;
        private final long lengthBytes;
        private long doneBytes;
        private HashTree tree;
        private Question first;
        private boolean dropped;

        /// Questions of it that are not judged yet.
        private int questions;

        private Subject(long offsetBytes, long lengthBytes) {
            this.offsetBytes = offsetBytes;
            this.lengthBytes = lengthBytes;
        }

        public long offsetBytes() {
            return offsetBytes;
        }

        public long lengthBytes() {
            return lengthBytes;
        }

        public TreeBuilder newTree() {
            return new TreeBuilder(shape, lengthBytes);
        }

        /// For [TreeComparison#unreadBytes].
        public void done(long bytes) {
            doneBytes = bytes;
        }

        /// Whether it keeps many digests: not any more when all of it reads zero.
        private boolean isLong() {
            return lengthBytes > shape.shortBytes() && (tree == null || tree.keptBytes() > 0);
        }
    }

    private static final class Question {
        private final Ask ask;
        private final Subject subject;

        /// What the peer answered, when our own reading is not over yet.
        private byte[] theirs;

        private Question(Ask ask, Subject subject) {
            this.ask = ask;
            this.subject = subject;
        }
    }

    private final TreeShape shape;
    private final int longInFlight;
    private final int asksInFlight;
    private final ArrayDeque<Question> toAsk = new ArrayDeque<>();
    private final Map<Long, Question> asked = new LinkedHashMap<>();
    private long asks;
    private int longOpen;

    /// @param longInFlight ranges beyond [TreeShape#shortBytes] that may be compared at a time:
    ///   each keeps the digests of its blocks until it is done
    /// @param asksInFlight questions that may be unanswered at a time
    public TreeComparison(TreeShape shape, int longInFlight, int asksInFlight) {
        this.shape = shape;
        this.longInFlight = longInFlight;
        this.asksInFlight = asksInFlight;
    }

    /// Whether another range may be opened now.
    public boolean takes() {
        return longOpen < longInFlight && toAsk.size() + asked.size() < asksInFlight;
    }

    /// Compares a range, which is to be read now.
    ///
    /// @param lengthBytes at most [TreeShape#rangeBytesMax]; whole blocks but at the device's end
    public Subject open(long offsetBytes, long lengthBytes) {
        Subject subject = new Subject(offsetBytes, lengthBytes);
        longOpen += subject.isLong() ? 1 : 0;
        subject.first = ask(subject, offsetBytes, lengthBytes, shape.levelOf(lengthBytes));
        return subject;
    }

    /// The next question for the peer, or null.
    public Ask next() {
        if (asked.size() >= asksInFlight) {
            return null;
        }
        Question question = toAsk.poll();
        if (question == null) {
            return null;
        }
        asked.put(question.ask.number(), question);
        return question.ask;
    }

    /// Our own reading of a range is over.
    ///
    /// @param found takes the blocks that differ
    public void read(Subject subject, HashTree tree, Ranges found) {
        boolean wasLong = subject.isLong();
        subject.tree = tree;
        longOpen -= wasLong && !subject.isLong() ? 1 : 0;
        subject.doneBytes = subject.lengthBytes;
        if (subject.first.theirs != null) {
            judge(subject.first, found);
        }
    }

    /// The peer's answer.
    ///
    /// @param found takes the blocks that differ
    /// @throws IllegalArgumentException if it answers nothing that was asked
    public void answered(long number, byte[] digests, Ranges found) {
        Question question = asked.get(number);
        if (question == null || question.theirs != null) {
            throw new IllegalArgumentException("question %d was not asked".formatted(number));
        }
        long wanted =
                shape.parts(question.ask.lengthBytes(), question.ask.level())
                        * TreeShape.DIGEST_BYTES;
        if (digests.length != wanted) {
            throw new IllegalArgumentException(
                    "question %d: %d bytes of digests, should be %d"
                            .formatted(number, digests.length, wanted));
        }
        if (question.subject.dropped) {
            asked.remove(number);
            return;
        }
        question.theirs = digests;
        if (question.subject.tree != null) {
            judge(question, found);
        }
    }

    private void judge(Question question, Ranges found) {
        Ask ask = question.ask;
        Subject subject = question.subject;
        asked.remove(ask.number());
        byte[] ours =
                subject.tree.digests(
                        ask.offsetBytes() - subject.offsetBytes, ask.lengthBytes(), ask.level());
        int parts = ours.length / TreeShape.DIGEST_BYTES;
        for (int i = 0; i < parts; i++) {
            int first = i;
            // As many neighbours together as one answer on the next level may speak of.
            while (i < parts
                    && i - first < shape.fanOut()
                    && !TreeShape.isEqual(ours, question.theirs, i)) {
                i++;
            }
            if (i > first) {
                differs(question, first, i, found);
                i--;
            }
        }
        if (--subject.questions == 0) {
            close(subject);
        }
    }

    private void differs(Question question, int first, int end, Ranges found) {
        Ask ask = question.ask;
        Subject subject = question.subject;
        long part = shape.partBytes(ask.level());
        long from = ask.offsetBytes() + first * part;
        long length =
                Math.min(ask.offsetBytes() + end * part, ask.offsetBytes() + ask.lengthBytes())
                        - from;
        if (ask.level() == 0) {
            found.add(from, length);
        } else {
            ask(subject, from, length, ask.level() - 1);
        }
    }

    private Question ask(Subject subject, long offsetBytes, long lengthBytes, int level) {
        Question question = new Question(new Ask(++asks, offsetBytes, lengthBytes, level), subject);
        subject.questions++;
        toAsk.add(question);
        return question;
    }

    private void close(Subject subject) {
        longOpen -= subject.isLong() ? 1 : 0;
    }

    /// A range that was to be read will not be: it is not compared.
    public void drop(Subject subject) {
        if (!toAsk.remove(subject.first)) {
            subject.dropped = true; // The answer is still to come.
            if (subject.first.theirs != null) {
                asked.remove(subject.first.ask.number());
            }
        }
        close(subject);
    }

    /// Ends it, and says what was not found to be equal or to differ.
    ///
    /// @param unasked takes what the peer was not asked about at last
    /// @param inFlight takes what it was
    public void end(Ranges unasked, Ranges inFlight) {
        for (Question question : toAsk) {
            unasked.add(question.ask.offsetBytes(), question.ask.lengthBytes());
        }
        for (Question question : asked.values()) {
            if (!question.subject.dropped) {
                inFlight.add(question.ask.offsetBytes(), question.ask.lengthBytes());
            }
        }
        toAsk.clear();
        asked.clear();
        asks = 0;
        longOpen = 0;
    }

    /// Whether nothing is under way.
    public boolean isIdle() {
        return toAsk.isEmpty() && asked.isEmpty();
    }

    /// What is not known to be equal or to differ.
    public void forEachOpen(Ranges into) {
        for (Question question : toAsk) {
            into.add(question.ask.offsetBytes(), question.ask.lengthBytes());
        }
        for (Question question : asked.values()) {
            if (!question.subject.dropped) {
                into.add(question.ask.offsetBytes(), question.ask.lengthBytes());
            }
        }
    }

    /// Bytes of which it is not known whether they are equal.
    public long openBytes() {
        long sum = 0;
        for (Question question : toAsk) {
            sum += question.ask.lengthBytes();
        }
        for (Question question : asked.values()) {
            sum += question.subject.dropped ? 0 : question.ask.lengthBytes();
        }
        return sum;
    }

    /// Bytes that are still to be read here.
    public long unreadBytes() {
        long sum = 0;
        for (Question question : toAsk) {
            sum += unread(question);
        }
        for (Question question : asked.values()) {
            sum += unread(question);
        }
        return sum;
    }

    private static long unread(Question question) {
        Subject subject = question.subject;
        return subject.dropped || question != subject.first
                ? 0
                : subject.lengthBytes - subject.doneBytes;
    }
}
