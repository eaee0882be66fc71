package holdfast.replicator.state;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/// Lets no two overlapping requests be in flight at once, so that the disk, the numbering and the
/// peer see them in one order (R5). First come, first served: a request also waits for an earlier
/// one that waits itself.
///
/// Few requests are in flight at a time (each connection writes inline), so plain lists beat a
/// tree.
final class IntervalLock {
    private final List<Op> held = new ArrayList<>();
    private final List<Op> waiting = new ArrayList<>();
    private final long roundBytes;

    IntervalLock(long roundBytes) {
        this.roundBytes = roundBytes;
    }

    /// Takes the lock, or queues the request and says no.
    boolean acquire(Op op, boolean mayGo) {
        op.lockFrom = op.offsetBytes / roundBytes * roundBytes;
        op.lockTo = (op.offsetBytes + op.lengthBytes + roundBytes - 1) / roundBytes * roundBytes;
        if (!mayGo || isBlocked(op, waiting.size())) {
            waiting.add(op);
            return false;
        }
        hold(op);
        return true;
    }

    /// Takes the lock if no request in flight overlaps, past those that wait; never queues.
    boolean tryHold(Op op) {
        op.lockFrom = op.offsetBytes;
        op.lockTo = op.offsetBytes + op.lengthBytes;
        if (overlapsAny(op.lockFrom, op.lockTo)) {
            return false;
        }
        hold(op);
        return true;
    }

    private void hold(Op op) {
        op.locked = true;
        held.add(op);
    }

    void release(Op op) {
        op.locked = false;
        // By identity, from the end: the newest is the likeliest.
        for (int i = held.size() - 1; i >= 0; i--) {
            if (held.get(i) == op) {
                held.set(i, held.getLast());
                held.removeLast();
                return;
            }
        }
        throw new IllegalStateException("released a lock that was not held");
    }

    /// Gives the lock to whoever waits and is free to go, oldest first.
    List<Op> grantable() {
        if (waiting.isEmpty()) {
            return List.of();
        }
        List<Op> granted = new ArrayList<>();
        int i = 0;
        for (Iterator<Op> it = waiting.iterator(); it.hasNext(); ) {
            Op op = it.next();
            if (isBlocked(op, i)) {
                i++;
            } else {
                it.remove();
                hold(op);
                granted.add(op);
            }
        }
        return granted;
    }

    /// When the one that has been at the disk for longest went there; [Long#MAX_VALUE] when none
    /// is.
    long oldestNanos() {
        long oldest = Long.MAX_VALUE;
        for (int i = 0; i < held.size(); i++) {
            long went = held.get(i).wentNanos;
            oldest = went == 0 ? oldest : Math.min(oldest, went);
        }
        return oldest;
    }

    int heldCount() {
        return held.size();
    }

    int waitingCount() {
        return waiting.size();
    }

    /// Takes a waiting request out for good.
    boolean forget(Op op) {
        return waiting.remove(op);
    }

    /// Whether the bytes overlap a request in flight or one that waits for its turn.
    boolean overlapsAny(long fromBytes, long toBytes) {
        for (int i = 0; i < held.size(); i++) {
            Op other = held.get(i);
            if (other.lockFrom < toBytes && fromBytes < other.lockTo) {
                return true;
            }
        }
        return false;
    }

    private boolean isBlocked(Op op, int earlierWaiting) {
        if (Faults.M16) {
            return false;
        }
        if (overlapsAny(op.lockFrom, op.lockTo)) {
            return true;
        }
        for (int i = 0; i < earlierWaiting; i++) {
            Op other = waiting.get(i);
            if (other.lockFrom < op.lockTo && op.lockFrom < other.lockTo) {
                return true;
            }
        }
        return false;
    }
}
