package holdfast.sim;

import holdfast.tunnel.wire.Position;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// What really happened, as the checks know it: for each generation the image it began with, its
/// numbered changes, so that image(k) can be had for every k, and which generation it went on from:
/// after a promotion there are two branches.
final class Truth {
    /// `data` null: zeroes.
    record Change(long offset, int length, byte[] data, long nanos) {}

    private static final class Generation {
        private final int order;
        private final byte[] start;
        private final List<Change> changes = new ArrayList<>();

        /// Null for the first.
        private final Generation before;

        /// Number in `before` of the last operation that is in this one's past: where it was left.
        private final long left;

        private Generation(byte[] start, Generation before, long left) {
            this.order = before == null ? 0 : before.order + 1;
            this.start = start;
            this.before = before;
            this.left = left;
        }

        /// Number of the last operation here that is in the past of a later generation; -1 when it
        /// does not go on from this one.
        private long leftFor(Generation later) {
            Generation each = later;
            while (each.order > order + 1) {
                each = each.before;
            }
            return each.order == order + 1 && each.before == this ? each.left : -1;
        }
    }

    /// What a primary's own crash takes from the end of a generation nobody counts: the copy may
    /// have it, and is rightly brought to what was left (R4).
    private static final long ALL = Long.MAX_VALUE;

    private final Map<Long, Generation> generations = new HashMap<>();

    /// Null but for one that is [#beside] it.
    private final Truth shared;

    Truth() {
        this(null);
    }

    private Truth(Truth shared) {
        this.shared = shared;
    }

    /// One that knows all of this and has generations of its own. The journal of a promoted copy
    /// numbers writes in the order in which they came to it, its primary in that in which they
    /// ended.
    Truth beside() {
        return new Truth(this);
    }

    /// The writes of one primary, in their order, over its crashes and starts.
    final class Line {
        private Generation newest;
        private byte[] image = {};
        private boolean leftPart;

        /// Where it went on from another's.
        private Position from = Position.NONE;

        private Line() {}

        /// A generation begins with this image, which is copied.
        void begin(long generation, byte[] start) {
            boolean forks = newest == null && !from.isNone();
            newest =
                    forks
                            ? new Generation(start.clone(), find(from), from.number())
                            : new Generation(start.clone(), newest, ALL);
            generations.put(generation, newest);
            image = start.clone();
            leftPart = false;
        }

        /// The next operation of the newest generation has its number.
        void numbered(long number, Change change) {
            put(image, change);
            newest.changes.add(
                    leftPart ? new Change(0, image.length, image.clone(), change.nanos) : change);
            leftPart = false;
            if (number != newest.changes.size()) {
                throw new Violation(
                        "ORDER", "operation " + number + " after " + (newest.changes.size() - 1));
            }
        }

        /// A failed operation, which has no number, left this. It counts to the next number.
        void leftPart(Change part) {
            put(image, part);
            leftPart = true;
        }

        boolean hasLeftPart() {
            return leftPart;
        }

        /// Numbers up to this one are given out. One that no operation has is an epoch's: with it
        /// changes what failed operations left, or nothing.
        ///
        /// @return whether there was one
        boolean givenOut(long number, long nanos) {
            boolean ofAnEpoch = number > newest.changes.size();
            if (ofAnEpoch) {
                numbered(number, new Change(0, 0, null, nanos));
            }
            return ofAnEpoch;
        }

        /// The newest image: all operations that have a number, and what failed ones left.
        byte[] image() {
            return image;
        }

        /// Numbers given out in the newest generation.
        long writes() {
            return newest.changes.size();
        }
    }

    Line line() {
        return new Line();
    }

    /// Of whoever goes on from there by itself.
    Line lineFrom(Position from) {
        Line line = new Line();
        line.from = from;
        return line;
    }

    /// What one copy is to be, moved on step by step.
    final class Seen {
        private byte[] image = {};
        private Position at = Position.NONE;

        private Seen() {}

        /// Moves it on and adds the blocks that changed to `touched`.
        void move(Position to, BitSet touched) {
            if (to.equals(at)) {
                return;
            }
            Generation found = find(to);
            if (to.generation() == at.generation() && to.number() > at.number()) {
                for (Change change : found.changes.subList((int) at.number(), (int) to.number())) {
                    put(image, change);
                    touched.set(
                            (int) (change.offset / 4096),
                            (int) ((change.offset + change.length + 4095) / 4096));
                }
            } else {
                image = imageAt(to);
                touched.set(0, (image.length + 4095) / 4096);
            }
            at = to;
        }

        byte[] image() {
            return image;
        }

        /// When the oldest operation happened that the copy lacks of its generation;
        /// [Long#MAX_VALUE] when it lacks none.
        long oldestMissingNanos() {
            List<Change> all = find(at).changes;
            for (Change change : all.subList((int) at.number(), all.size())) {
                if (change.length > 0) {
                    return change.nanos;
                }
            }
            return Long.MAX_VALUE;
        }
    }

    Seen seen() {
        return new Seen();
    }

    /// Whether the first lies in the past of the second. Of two branches neither does.
    boolean isBefore(Position a, Position b) {
        if (a.isNone() || b.isNone()) {
            return a.isNone() && !b.isNone();
        }
        Generation ofA = find(a);
        Generation ofB = find(b);
        return ofA == ofB ? a.number() < b.number() : a.number() <= ofA.leftFor(ofB);
    }

    /// Whether they are of two branches, so that nothing leads from the one to the other.
    boolean isForked(Position a, Position b) {
        return !a.equals(b) && !isBefore(a, b) && !isBefore(b, a);
    }

    private Generation find(Position p) {
        Generation found = generations.get(p.generation());
        if (found == null && shared != null) {
            return shared.find(p);
        }
        if (found == null || p.number() > found.changes.size()) {
            throw new Violation("PFX", "the copy stands at " + p + ", which never was");
        }
        return found;
    }

    /// A fresh image(k).
    byte[] imageAt(Position p) {
        Generation found = find(p);
        byte[] at = found.start.clone();
        for (Change change : found.changes.subList(0, (int) p.number())) {
            put(at, change);
        }
        return at;
    }

    /// Blocks that were written behind one position, up to one of its future.
    BitSet written(Position from, Position to) {
        BitSet blocks = new BitSet();
        Generation first = find(from);
        long end = to.number();
        for (Generation each = find(to); ; each = each.before) {
            long begin = each == first ? from.number() : 0;
            long most = Math.min(end, each.changes.size());
            for (Change change : each.changes.subList((int) begin, (int) Math.max(begin, most))) {
                blocks.set(
                        (int) (change.offset / 4096),
                        (int) ((change.offset + change.length + 4095) / 4096));
            }
            if (each == first) {
                return blocks;
            }
            end = each.left;
        }
    }

    private static void put(byte[] into, Change change) {
        int offset = (int) change.offset;
        if (change.data == null) {
            Arrays.fill(into, offset, offset + change.length, (byte) 0);
        } else {
            System.arraycopy(change.data, 0, into, offset, change.length);
        }
    }
}
