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
/// Short ranges go first, also while a long one is being read, since whoever asks needs them to end
/// others. What a peer can make it hold is bounded, whatever it asks.
public final class TreeAnswers {
    /// Questions that may wait to be read.
    static final int WAITING_MAX = 256;

    /// Digests kept for what may be asked next. Four trees, of 128 MiB or of more, and what 32
    /// short ranges have: more than an honest peer has under way. What is gone is read again.
    static final long KEPT_BYTES_MAX = 5632 << 10;

    /// @param digests of the parts that were asked for
    public record Answer(long number, byte[] digests) {}

    /// What is to be digested next, from its beginning: as much as is at hand.
    ///
    /// @param isFirst nothing of the range it belongs to was read before
    public record Part(
            TreeShape shape,
            long number,
            long offsetBytes,
            long lengthBytes,
            int leafLevel,
            boolean isFirst) {
        /// How much to read for [TreeAnswers#leaves].
        public int wantedBytes(int mostBytes) {
            return TreeBuilder.wantedBytes(shape, leafLevel, lengthBytes, mostBytes);
        }
    }

    private record Reading(TreeComparison.Ask ask, TreeBuilder tree) {}

    private record Kept(long offsetBytes, HashTree tree) {}

    private final TreeShape shape;
    private final ArrayDeque<TreeComparison.Ask> waiting = new ArrayDeque<>();
    private final ArrayDeque<Kept> kept = new ArrayDeque<>();
    private long keptBytes;
    private Reading ofLong;
    private Reading ofShort;
    private long parts;

    /// What was given out and not handed over yet.
    private Part part;

    /// What the part that was given out last belongs to.
    private Reading ofPart;

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
        ofPart = reading();
        if (ofPart == null) {
            return null;
        }
        TreeBuilder tree = ofPart.tree();
        part =
                new Part(
                        shape,
                        ++parts,
                        ofPart.ask().offsetBytes() + tree.doneBytes(),
                        tree.leftBytes(),
                        tree.leafLevel(),
                        tree.doneBytes() == 0);
        return part;
    }

    private Reading reading() {
        if (ofShort == null) {
            ofShort = start(true);
        }
        if (ofShort != null) {
            return ofShort;
        }
        if (ofLong == null) {
            ofLong = start(false);
        }
        return ofLong;
    }

    private Reading start(boolean close) {
        for (Iterator<TreeComparison.Ask> each = waiting.iterator(); each.hasNext(); ) {
            TreeComparison.Ask ask = each.next();
            if (ask.lengthBytes() <= shape.closeBytes() == close) {
                each.remove();
                return new Reading(ask, new TreeBuilder(shape, ask.lengthBytes()));
            }
        }
        return null;
    }

    /// The part begins with so many bytes that read zero, or more than it has.
    ///
    /// @return whether any of them were taken: [#finished] then; else it has to be read
    public boolean zeroes(Part of, long bytes) {
        if (!isCurrent(of)) {
            return true;
        }
        if (ofPart.tree().zeroes(bytes) == 0) {
            return false;
        }
        part = null;
        return true;
    }

    /// The part's beginning was read, [Part#wantedBytes] of it, and digested by [TreeShape#leaves].
    public void leaves(Part of, long bytes, byte[] digests) {
        if (isCurrent(of)) {
            ofPart.tree().leaves(bytes, digests);
            part = null;
        }
    }

    /// Not when it was given out before [#end].
    private boolean isCurrent(Part of) {
        return part != null && part.number() == of.number();
    }

    /// The answer that what was handed over last has completed, or null.
    public Answer finished() {
        if (part != null || ofPart == null || ofPart.tree().leftBytes() > 0) {
            return null;
        }
        TreeComparison.Ask ask = ofPart.ask();
        HashTree tree = ofPart.tree().tree();
        if (ask.lengthBytes() <= shape.closeBytes()) {
            ofShort = null;
        } else {
            ofLong = null;
        }
        ofPart = null;
        keep(new Kept(ask.offsetBytes(), tree));
        return new Answer(ask.number(), tree.digests(0, ask.lengthBytes(), ask.level()));
    }

    private void keep(Kept tree) {
        kept.add(tree);
        keptBytes += tree.tree().keptBytes();
        while (keptBytes > KEPT_BYTES_MAX) {
            keptBytes -= kept.poll().tree().keptBytes();
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
        ofShort = null;
        ofLong = null;
        part = null;
        ofPart = null;
        forgetKept();
    }
}
