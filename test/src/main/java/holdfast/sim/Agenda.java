package holdfast.sim;

import java.util.PriorityQueue;
import java.util.random.RandomGenerator;

/// The virtual clock: what is due next happens next. Things due at the same moment happen in an
/// order drawn from the seed, so that no code comes to rest on the order in which it asked.
final class Agenda {
    private record Entry(long nanos, int tie, long number, Runnable task)
            implements Comparable<Entry> {
        @Override
        public int compareTo(Entry other) {
            if (nanos != other.nanos) {
                return Long.compare(nanos, other.nanos);
            }
            return tie != other.tie
                    ? Integer.compare(tie, other.tie)
                    : Long.compare(number, other.number);
        }
    }

    private final PriorityQueue<Entry> due = new PriorityQueue<>();
    private final RandomGenerator ties;
    private long nowNanos = Simulation.BEGINNING_NANOS;
    private long count;

    Agenda(long seed) {
        ties = new Chance(seed, "ties", this::nowNanos);
    }

    long nowNanos() {
        return nowNanos;
    }

    /// Events so far.
    long count() {
        return count;
    }

    void in(long delayNanos, Runnable task) {
        due.add(
                new Entry(
                        nowNanos + Math.max(0, delayNanos),
                        ties.nextInt(),
                        count + due.size(),
                        task));
    }

    /// Does what is due next.
    ///
    /// @return false if nothing is
    boolean step() {
        Entry next = due.poll();
        if (next == null) {
            return false;
        }
        nowNanos = next.nanos;
        count++;
        next.task.run();
        return true;
    }
}
