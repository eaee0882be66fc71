package holdfast.checksum;

import java.util.ArrayDeque;
import java.util.Iterator;

/// The side that answers a [TreeComparison]. One owner; it neither reads nor sends:
///
/// ```
///  ask() ─► known from a tree that is kept: the answer
///        └► else it waits ─► next(): Part ─► zeroes() or leaves() ─► next() … ─► the answer
/// ```
///
/// What a peer can make it hold is bounded, whatever it asks.
public final class TreeAnswers {
    /// Questions that may wait to be read.
    static final int WAITING_MAX = 256;

    /// Digests kept for what may be asked next. Two trees of 256 MiB, and what 32 short ranges
    /// have: as much as an honest peer has under way. What is gone is read again.
    static final long KEPT_BYTES_MAX = 5632 << 10;

    /// What each tree counts at least: so there are not many to look through.
    private static final long TREE_BYTES = 16 << 10;

    /// @param digests of the parts that were asked for
    public record Answer(long number, byte[] digests) {}

    /// What is to be digested next, from its beginning: as much as is at hand.
    ///
    /// @param isFirst nothing of the range it belongs to was read before
    public record Part(
            TreeShape shape, long number, long offsetBytes, long lengthBytes, boolean isFirst) {
        /// How much to read for [TreeAnswers#leaves].
        public int wantedBytes(int mostBytes) {
            return TreeBuilder.wantedBytes(lengthBytes, mostBytes);
        }
    }

    private record Reading(TreeComparison.Ask ask, TreeBuilder tree) {}

    private record Kept(long offsetBytes, HashTree tree) {
        private long bytes() {
            return Math.max(tree.keptBytes(), TREE_BYTES);
        }
    }

    private final TreeShape shape;
    private final ArrayDeque<TreeComparison.Ask> waiting = new ArrayDeque<>();
    private final ArrayDeque<Kept> kept = new ArrayDeque<>();
    private long keptBytes;
    private long parts;

    /// What was given out and not handed over yet.
    private Part part;

    private Reading reading;

    public TreeAnswers(TreeShape shape) {
        this.shape = shape;
    }

    /// @return the answer, or null when it has to be read first
    /// @throws IllegalArgumentException if no honest peer asks this
    public Answer ask(TreeComparison.Ask ask) {
        if (ask.level() < 0
                || ask.level() > TreeShape.TOP
                || ask.offsetBytes() < 0
                || ask.lengthBytes() < 1
                || ask.lengthBytes() > shape.rangeBytesMax()
                || shape.parts(ask.lengthBytes(), ask.level()) > shape.digestsMax()) {
            throw new IllegalArgumentException("no question of a comparison: " + ask);
        }
        Answer known = known(ask);
        if (known == null) {
            if (waiting.size() >= WAITING_MAX) {
                throw new IllegalArgumentException(
                        "more than %d questions wait".formatted(WAITING_MAX));
            }
            waiting.add(ask);
        }
        return known;
    }

    private Answer known(TreeComparison.Ask ask) {
        for (Iterator<Kept> each = kept.iterator(); each.hasNext(); ) {
            Kept found = each.next();
            long from = ask.offsetBytes() - found.offsetBytes();
            if (found.tree().has(from, ask.lengthBytes(), ask.level())) {
                each.remove(); // The longest unused goes first.
                kept.add(found);
                return new Answer(
                        ask.number(), found.tree().digests(from, ask.lengthBytes(), ask.level()));
            }
        }
        return null;
    }

    /// What to read next; null while there is nothing, or what was given out is not handed over.
    public Part next() {
        if (part != null) {
            return null;
        }
        if (reading == null) {
            TreeComparison.Ask ask = waiting.poll();
            if (ask == null) {
                return null;
            }
            reading = new Reading(ask, new TreeBuilder(shape, ask.lengthBytes()));
        }
        TreeBuilder tree = reading.tree();
        part =
                new Part(
                        shape,
                        ++parts,
                        reading.ask().offsetBytes() + tree.doneBytes(),
                        tree.leftBytes(),
                        tree.doneBytes() == 0);
        return part;
    }

    /// The part begins with so many bytes that read zero, or more than it has.
    ///
    /// @return whether any of them were taken: [#finished] then; else it has to be read
    public boolean zeroes(Part of, long bytes) {
        if (!isCurrent(of)) {
            return true;
        }
        if (reading.tree().zeroes(bytes) == 0) {
            return false;
        }
        part = null;
        return true;
    }

    /// The part's beginning was read, [Part#wantedBytes] of it, and digested by [TreeShape#leaves].
    public void leaves(Part of, long bytes, byte[] digests) {
        if (isCurrent(of)) {
            reading.tree().leaves(bytes, digests);
            part = null;
        }
    }

    /// Not when it was given out before [#end].
    private boolean isCurrent(Part of) {
        return part != null && part.number() == of.number();
    }

    /// The answer that what was handed over last has completed, or null.
    public Answer finished() {
        if (part != null || reading == null || reading.tree().leftBytes() > 0) {
            return null;
        }
        TreeComparison.Ask ask = reading.ask();
        HashTree tree = reading.tree().tree();
        reading = null;
        keep(new Kept(ask.offsetBytes(), tree));
        return new Answer(ask.number(), tree.digests(0, ask.lengthBytes(), ask.level()));
    }

    private void keep(Kept tree) {
        kept.add(tree);
        keptBytes += tree.bytes();
        while (keptBytes > KEPT_BYTES_MAX) {
            keptBytes -= kept.poll().bytes();
        }
    }

    /// Memory that the kept digests take.
    long keptBytes() {
        return keptBytes;
    }

    /// What was digested does not hold any more.
    public void forgetKept() {
        kept.clear();
        keptBytes = 0;
    }

    /// Nobody waits for an answer any more.
    public void end() {
        waiting.clear();
        part = null;
        reading = null;
        forgetKept();
    }
}
