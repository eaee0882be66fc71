package holdfast.sim;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;

/// What happened: the last events for whoever reads a failure, and a hash over all of them, by
/// which two runs of one seed are known to be the same.
final class Trace {
    private static final int KEPT = 400;

    private final LongSupplier nanos;
    private final PrintStream print;
    private final String[] what = new String[KEPT];
    private final long[] when = new long[KEPT];
    private final long[] a = new long[KEPT];
    private final long[] b = new long[KEPT];
    private long count;
    private long hash = 0x9e3779b97f4a7c15L;

    /// @param print takes every event as it comes; null for nobody
    Trace(LongSupplier nanos, PrintStream print) {
        this.nanos = nanos;
        this.print = print;
    }

    void note(String event, long first, long second) {
        int i = (int) (count++ % KEPT);
        what[i] = event;
        when[i] = nanos.getAsLong();
        a[i] = first;
        b[i] = second;
        mix(when[i]);
        mix(event.hashCode()); // Specified by the language, the same in every JVM.
        mix(first);
        mix(second);
        if (print != null) {
            print.println(line(i));
        }
    }

    private String line(int at) {
        return "%12.6f s  %s  %s %s".formatted(when[at] / 1e9, what[at], a[at], b[at]);
    }

    private void mix(long value) {
        hash = (hash ^ value) * 0xbf58476d1ce4e5b9L;
        hash ^= hash >>> 29;
    }

    long hash() {
        return hash;
    }

    long count() {
        return count;
    }

    /// The last events, oldest first.
    List<String> last(int limit) {
        List<String> lines = new ArrayList<>();
        for (long i = Math.max(0, count - Math.min(limit, KEPT)); i < count; i++) {
            lines.add(line((int) (i % KEPT)));
        }
        return lines;
    }
}
