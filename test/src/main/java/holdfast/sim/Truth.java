package holdfast.sim;

import holdfast.tunnel.wire.Position;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// What really happened, as the checks know it: for each generation the image it began with and its
/// numbered changes, so that image(k) can be had for every k. The image of the backup's position is
/// kept and moved on step by step.
final class Truth {
    /// `data` null: zeroes.
    record Change(long offset, int length, byte[] data, long nanos) {}

    private static final class Generation {
        private final int order;
        private final byte[] start;
        private final List<Change> changes = new ArrayList<>();

        private Generation(int order, byte[] start) {
            this.order = order;
            this.start = start;
        }
    }

    private final Map<Long, Generation> generations = new HashMap<>();
    private Generation newest;
    private byte[] image = {};
    private boolean leftPart;
    private byte[] backupImage = {};
    private Position backupAt = Position.NONE;

    /// A generation begins with this image, which is copied.
    void begin(long generation, byte[] start) {
        newest = new Generation(generations.size(), start.clone());
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

    /// Which of two positions is the later one in the order of things.
    boolean isBefore(Position a, Position b) {
        int orderOfA = orderOf(a);
        int orderOfB = orderOf(b);
        return orderOfA != orderOfB ? orderOfA < orderOfB : a.number() < b.number();
    }

    private int orderOf(Position p) {
        return p.isNone() ? -1 : find(p).order;
    }

    private Generation find(Position p) {
        Generation found = generations.get(p.generation());
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

    /// Moves the image of the backup on and adds the blocks that changed to `touched`.
    void moveBackup(Position to, BitSet touched) {
        if (to.equals(backupAt)) {
            return;
        }
        Generation found = find(to);
        if (to.generation() == backupAt.generation() && to.number() > backupAt.number()) {
            for (Change change :
                    found.changes.subList((int) backupAt.number(), (int) to.number())) {
                put(backupImage, change);
                touched.set(
                        (int) (change.offset / 4096),
                        (int) ((change.offset + change.length + 4095) / 4096));
            }
        } else {
            backupImage = imageAt(to);
            touched.set(0, (backupImage.length + 4095) / 4096);
        }
        backupAt = to;
    }

    /// When the oldest operation happened that the backup lacks of its generation; [Long#MAX_VALUE]
    /// when it lacks none.
    long oldestMissingNanos() {
        List<Change> all = find(backupAt).changes;
        for (Change change : all.subList((int) backupAt.number(), all.size())) {
            if (change.length > 0) {
                return change.nanos;
            }
        }
        return Long.MAX_VALUE;
    }

    byte[] backupImage() {
        return backupImage;
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
