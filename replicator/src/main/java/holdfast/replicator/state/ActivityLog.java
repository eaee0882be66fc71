package holdfast.replicator.state;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongConsumer;

/// The extents in which writes may be under way: they are durably listed before the first write
/// goes to the disk, so that a crash costs comparing these and no others (R7, R8).
///
/// ```
///  absent ─► ADDING (in a transaction) ─► ACTIVE ─► LEAVING (in a transaction) ─► absent
/// ```
///
/// Least recently used extents leave first, and never while a write in them is in flight. A write
/// to one that is leaving waits like one to an absent extent.
final class ActivityLog {
    /// Extents that leave behind one sync of the device.
    private static final int BATCH = 64;

    private enum State {
        ADDING,
        ACTIVE,
        LEAVING
    }

    private static final class Extent {
        private final long number;
        private State state;
        private int inFlight;

        /// Highest number written here, 0 for none of this generation.
        private long last;

        /// Blocks written since it became active.
        private final long[] written;

        // Neighbours in the order of use; the least recently used is first.
        private Extent before;
        private Extent after;

        private Extent(long number, int extentBlocks) {
            this.number = number;
            this.written = new long[(extentBlocks + 63) / 64];
        }
    }

    private final int extentBlocks;
    private final long extentBytes;
    private final int capacity;
    private final Map<Long, Extent> extents = new LinkedHashMap<>();

    /// Before the first and behind the last in the order of use.
    private final Extent ends;

    /// Found last: writes that follow each other are often in one extent.
    private Extent recent;

    private int unsettled;

    /// @param inherited extents that the newest durable transaction lists
    ActivityLog(int extentBlocks, int capacity, Collection<Long> inherited) {
        this.extentBlocks = extentBlocks;
        this.extentBytes = (long) extentBlocks * BlockSet.BLOCK_BYTES;
        this.capacity = capacity;
        this.ends = new Extent(-1, 0);
        ends.before = ends;
        ends.after = ends;
        for (long number : inherited) {
            put(number).state = State.ACTIVE;
        }
    }

    // ---- writes ------------------------------------------------------------------------------

    /// Whether all extents of the piece are active; they stay so until [#leave].
    boolean enter(Op op) {
        long from = op.offsetBytes / extentBytes;
        long to = lastOf(op);
        for (long e = from; e <= to; e++) {
            Extent extent = find(e);
            if (extent == null || extent.state != State.ACTIVE) {
                return false;
            }
        }
        for (long e = from; e <= to; e++) {
            Extent extent = find(e);
            extent.inFlight++;
            touch(extent);
        }
        return true;
    }

    /// The piece has been written, or has failed.
    ///
    /// @param number 0 when it has none
    void leave(Op op, long number) {
        long from = op.offsetBytes / BlockSet.BLOCK_BYTES;
        long to = BlockSet.blocksOf(op.offsetBytes + op.lengthBytes);
        for (long e = op.offsetBytes / extentBytes; e <= lastOf(op); e++) {
            Extent extent = find(e);
            extent.inFlight--;
            extent.last = Math.max(extent.last, number);
            long first = e * extentBlocks;
            int end = (int) (Math.min(to, first + extentBlocks) - first);
            for (int b = (int) (Math.max(from, first) - first); b < end; b++) {
                extent.written[b >>> 6] |= 1L << b;
            }
        }
    }

    private long lastOf(Op op) {
        return (op.offsetBytes + op.lengthBytes - 1) / extentBytes;
    }

    // ---- transactions ------------------------------------------------------------------------

    /// Whether extents should leave although nobody waits for their place.
    boolean isCrowded() {
        return capacity - extents.size() < capacity / 8;
    }

    /// Chooses what the next transaction adds for the pieces that wait, oldest first, and what
    /// leaves. It stands until [#done].
    ///
    /// @return the extents that leave
    List<Long> plan(Iterable<Op> waiting) {
        Set<Long> wanted = wanted(waiting);
        long missing = wanted.stream().filter(e -> !extents.containsKey(e)).count();
        long free = (long) capacity - extents.size();
        List<Long> leaving = new ArrayList<>();
        if (missing > free || (missing == 0 && isCrowded())) {
            long most = Math.max(missing - free, Math.min(BATCH, capacity / 4 + 1));
            for (Extent e = ends.after; e != ends && leaving.size() < most; e = e.after) {
                if (e.state == State.ACTIVE && e.inFlight == 0 && !wanted.contains(e.number)) {
                    e.state = State.LEAVING;
                    unsettled++;
                    leaving.add(e.number);
                }
            }
            free += leaving.size();
        }
        for (Op op : waiting) {
            // All extents of a piece or none: half of them would only be in the way.
            List<Long> adding = new ArrayList<>();
            for (long e = op.offsetBytes / extentBytes; e <= lastOf(op); e++) {
                if (!extents.containsKey(e)) {
                    adding.add(e);
                }
            }
            if (adding.size() > free) {
                break;
            }
            for (long e : adding) {
                put(e).state = State.ADDING;
                unsettled++;
            }
            free -= adding.size();
        }
        return leaving;
    }

    /// The extents of those that waited longest, as many as find a place together: what they have
    /// already must not leave for those behind them.
    private Set<Long> wanted(Iterable<Op> waiting) {
        Set<Long> wanted = new LinkedHashSet<>();
        for (Op op : waiting) {
            List<Long> more = new ArrayList<>();
            for (long e = op.offsetBytes / extentBytes; e <= lastOf(op); e++) {
                if (wanted.add(e)) {
                    more.add(e);
                }
            }
            if (wanted.size() > capacity) {
                more.forEach(wanted::remove);
                break;
            }
        }
        return wanted;
    }

    /// Whether the plan changes anything.
    boolean isPlanned() {
        return unsettled > 0;
    }

    /// The extents that the planned transaction lists.
    List<Long> listed() {
        List<Long> listed = new ArrayList<>(extents.size());
        for (Extent e = ends.after; e != ends; e = e.after) {
            if (e.state != State.LEAVING) {
                listed.add(e.number);
            }
        }
        return listed;
    }

    /// The planned transaction is durable.
    void done() {
        if (unsettled == 0) {
            return;
        }
        unsettled = 0;
        recent = null;
        for (Extent e = ends.after; e != ends; ) {
            Extent next = e.after;
            if (e.state == State.LEAVING) {
                unlink(e);
                extents.remove(e.number);
            } else {
                e.state = State.ACTIVE;
            }
            e = next;
        }
    }

    /// Highest number written in the extent, 0 for none.
    long lastNumber(long extent) {
        return extents.get(extent).last;
    }

    /// The blocks written in the extent since it became active.
    void forEachWritten(long extent, LongConsumer block) {
        long[] written = extents.get(extent).written;
        for (int w = 0; w < written.length; w++) {
            for (long word = written[w]; word != 0; word &= word - 1) {
                block.accept(extent * extentBlocks + w * 64L + Long.numberOfTrailingZeros(word));
            }
        }
    }

    /// Blocks written lately, at most so many: two of each extent, the extent used last first.
    List<Long> recent(int most) {
        List<Long> found = new ArrayList<>();
        for (Extent e = ends.before; e != ends && found.size() < most; e = e.before) {
            List<Long> here = new ArrayList<>();
            forEachWritten(e.number, here::add);
            if (!here.isEmpty()) {
                found.add(here.getLast());
            }
            if (here.size() > 1) {
                found.add(here.getFirst());
            }
        }
        return found.subList(0, Math.min(most, found.size()));
    }

    /// Plans that all leave, at the end, when nothing is in flight.
    List<Long> planEnd() {
        List<Long> leaving = new ArrayList<>();
        for (Extent e = ends.after; e != ends; e = e.after) {
            e.state = State.LEAVING;
            unsettled++;
            leaving.add(e.number);
        }
        return leaving;
    }

    int size() {
        return extents.size();
    }

    // ---- the order of use --------------------------------------------------------------------

    private Extent find(long number) {
        Extent hit = recent;
        if (hit == null || hit.number != number) {
            hit = extents.get(number);
            recent = hit;
        }
        return hit;
    }

    private Extent put(long number) {
        Extent extent = new Extent(number, extentBlocks);
        extents.put(number, extent);
        link(extent);
        return extent;
    }

    private void touch(Extent extent) {
        if (extent.after != ends) {
            unlink(extent);
            link(extent);
        }
    }

    private void link(Extent extent) {
        extent.before = ends.before;
        extent.after = ends;
        ends.before.after = extent;
        ends.before = extent;
    }

    private static void unlink(Extent extent) {
        extent.before.after = extent.after;
        extent.after.before = extent.before;
    }
}
