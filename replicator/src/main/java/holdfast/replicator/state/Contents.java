package holdfast.replicator.state;

import holdfast.checksum.TreeShape;
import holdfast.tunnel.wire.Frame;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Brings back what the copy holds of blocks that differ, for an operator who says that the copy is
/// right. The side that asks; what is brought is written elsewhere, by the ordinary write path.
///
/// ```
///  digests of the blocks here ─► those of the copy ── equal: nothing is to be brought
///                                                 └─ not: its content ── has these digests: brought
///                                                                    └─ not: trouble
/// ```
///
/// Both questions go when nothing is left to be sent, and nobody writes here from the reading of
/// the content until its end ([Primary#fetch]): so all three are as of one number. The copy is read
/// twice, and a disk that does not return the same both times brings nothing.
final class Contents {
    /// Questions that are unanswered at a time: 1 MiB that the peer reads between two frames.
    static final int MAX = 8;

    private static final class Question {
        private final long number;
        private final BlockRun run;
        private final byte[] ours;

        /// What the copy is said to hold; null while that is not known.
        private byte[] theirs;

        private Question(long number, BlockRun run, byte[] ours) {
            this.number = number;
            this.run = run;
            this.ours = ours;
        }
    }

    /// Tells its questions apart from those of verifications, which count up from 1.
    private static final long RUN = 0;

    private final long sizeBytes;
    private final ArrayDeque<Question> unsent = new ArrayDeque<>();
    private final Map<Long, Question> asked = new LinkedHashMap<>();
    private List<Primary.Fetched> done = new ArrayList<>();
    private long lastNumber;

    Contents(long sizeBytes) {
        this.sizeBytes = sizeBytes;
    }

    boolean isFull() {
        return unsent.size() + asked.size() >= MAX;
    }

    /// @param ours digest of each block here
    long add(BlockRun blocks, byte[] ours) {
        unsent.add(new Question(++lastNumber, blocks, ours));
        return lastNumber;
    }

    /// The next question, or null. To be called only when nothing else is to be sent.
    Frame.Data next() {
        Question next = unsent.poll();
        if (next == null) {
            return null;
        }
        asked.put(next.number, next);
        long offset = next.run.offsetBytes();
        int length = next.run.lengthBytes(sizeBytes);
        return next.theirs == null
                ? new Frame.Verify(0, RUN, next.number, offset, length, 0, true)
                : new Frame.Fetch(0, RUN, next.number, offset, length);
    }

    /// @return whether it answers a question of this
    /// @throws IllegalArgumentException if it answers nothing that was asked
    boolean answered(Frame.VerifyReply reply) {
        if (reply.run() != RUN) {
            return false;
        }
        Question question = asked.remove(reply.number());
        if (question == null
                || !reply.exact()
                || question.theirs != null
                || reply.digests().length != question.ours.length) {
            throw new IllegalArgumentException(
                    "%d bytes of digests for the question %d"
                            .formatted(reply.digests().length, reply.number()));
        }
        if (Arrays.equals(question.ours, reply.digests())) {
            done.add(new Primary.Fetched(question.number, null, ""));
        } else {
            question.theirs = reply.digests();
            unsent.add(question);
        }
        return true;
    }

    /// @throws IllegalArgumentException if it answers nothing that was asked
    void answered(Frame.Fetched reply) {
        Question question = asked.remove(reply.number());
        if (reply.run() != RUN
                || question == null
                || question.theirs == null
                || reply.data().length != question.run.lengthBytes(sizeBytes)) {
            throw new IllegalArgumentException(
                    "%d bytes for the question %d".formatted(reply.data().length, reply.number()));
        }
        byte[] digests = ReadRun.blockDigests(ByteBuffer.wrap(reply.data()));
        for (int i = 0; i < question.run.count(); i++) {
            if (!TreeShape.isEqual(question.theirs, digests, i)) {
                done.add(
                        new Primary.Fetched(
                                question.number,
                                null,
                                "the copy does not return at byte %d what it said that it holds there"
                                        .formatted(
                                                (question.run.first() + i)
                                                        * BlockSet.BLOCK_BYTES)));
                return;
            }
        }
        done.add(new Primary.Fetched(question.number, reply.data(), ""));
    }

    /// Nothing will be answered any more.
    void end(String why) {
        unsent.forEach(each -> done.add(new Primary.Fetched(each.number, null, why)));
        asked.values().forEach(each -> done.add(new Primary.Fetched(each.number, null, why)));
        unsent.clear();
        asked.clear();
    }

    boolean hasDone() {
        return !done.isEmpty();
    }

    List<Primary.Fetched> takeDone() {
        List<Primary.Fetched> taken = done;
        done = new ArrayList<>();
        return taken;
    }
}
