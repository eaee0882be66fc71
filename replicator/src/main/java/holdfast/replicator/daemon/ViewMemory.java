package holdfast.replicator.daemon;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;

/// Memory for the indexes of opened moments, which all copies of a daemon share: counted in runs,
/// those that are being built among them. Nobody waits here.
final class ViewMemory {
    /// A run of an index that is built in order, its chunk's headers included.
    private static final int RUN_BYTES = 33;

    /// Of the daemon's heap, for all else.
    private static final long REST_BYTES = 60_000_000;

    /// However small the heap is.
    private static final long LEAST_RUNS = 1_000_000;

    /// A moment's index does not fit beside what there is.
    static final class FullException extends IOException {
        private static final long serialVersionUID = 1;

        private final transient LocalBackup.NoPoint why;

        private FullException(LocalBackup.NoPoint why, UnaryOperator<String> command) {
            super(why.words() + "; next: " + command.apply(why.next()));
            this.why = why;
        }

        LocalBackup.NoPoint why() {
            return why;
        }
    }

    private final long mostRuns;

    /// What the newest indexes may have beside it, and one more of each.
    private final long allRuns;

    /// Of the newest indexes, as they are now.
    private volatile long newestRuns = LocalBackup.INDEX_RUNS;

    // Guarded by this.
    private final Set<Claim> claims = new LinkedHashSet<>();
    private long taken;

    ViewMemory(long mostRuns) {
        this(mostRuns, mostRuns);
    }

    private ViewMemory(long mostRuns, long allRuns) {
        this.mostRuns = mostRuns;
        this.allRuns = allRuns;
    }

    /// What a heap has left beside the indexes of the newest moments, 48 bytes a run, and one more
    /// of each, which is made when the base takes over a part of it.
    static ViewMemory ofHeap(long heapBytes) {
        long all = (heapBytes - REST_BYTES) / RUN_BYTES;
        return new ViewMemory(Math.max(LEAST_RUNS, all - besides(LocalBackup.INDEX_RUNS)), all);
    }

    private static long besides(long newest) {
        return newest * (48 + RUN_BYTES) / RUN_BYTES;
    }

    /// So many runs all newest indexes have. They may grow while a view is open, and hardly while
    /// one is built.
    void newest(long runs) {
        newestRuns = runs;
    }

    /// Begins with nothing.
    ///
    /// @param command makes of an order what is to be typed for it
    Claim claim(String resource, UnaryOperator<String> command) {
        return new Claim(resource, command);
    }

    /// Runs that may be taken, for tests.
    long most() {
        return mostRuns;
    }

    /// Runs that may be taken while one is built.
    long mostBuilding() {
        return Math.max(mostRuns, allRuns - besides(newestRuns));
    }

    /// Runs that are taken, for tests.
    synchronized long taken() {
        return taken;
    }

    private FullException full(Claim asks, long runs) {
        List<String> open =
                claims.stream()
                        .filter(each -> each != asks && each.runs > 0)
                        .map(each -> "%s takes %d".formatted(each.what, each.runs))
                        .toList();
        String next =
                claims.stream()
                        .filter(each -> each != asks && each.isView)
                        .map(each -> "close " + each.what)
                        .findFirst()
                        .orElse("");
        return new FullException(
                new LocalBackup.NoPoint(
                        "no memory for one more moment of %s: its index takes %d runs or more, and all that are opened may take %d; more is given by HOLDFAST_JAVA_OPTS=-Xmx1g and a restart of the daemon"
                                .formatted(asks.what, runs, mostRuns),
                        open.isEmpty() ? List.of() : List.of(String.join(", ", open)),
                        next.isEmpty() ? "status " + asks.resource : next),
                asks.command);
    }

    /// The part of one opened moment.
    final class Claim {
        private final String resource;
        private final UnaryOperator<String> command;

        // Guarded by the memory.
        private String what;
        private boolean isView;
        private long runs;
        private boolean ended;

        private Claim(String resource, UnaryOperator<String> command) {
            this.resource = resource;
            this.command = command;
            this.what = resource;
        }

        /// So much in all is needed while its index is built.
        ///
        /// @throws UncheckedIOException of a [FullException]; the claim stays what it was
        void builds(long needed) {
            try {
                set(needed, false);
            } catch (FullException e) {
                throw new UncheckedIOException(e);
            }
        }

        /// It is there and takes so much. One that is alone always may: it is no larger than an
        /// index of the newest moment.
        void holds(long needed) throws FullException {
            set(needed, true);
        }

        private void set(long needed, boolean isBuilt) throws FullException {
            synchronized (ViewMemory.this) {
                long others = taken - runs;
                if ((isBuilt || needed > runs)
                        && others + needed > (isBuilt ? mostRuns : mostBuilding())
                        && !(isBuilt && others == 0)) {
                    throw full(this, needed);
                }
                if (!ended) {
                    claims.add(this);
                    taken = others + needed;
                    runs = needed;
                }
            }
        }

        /// It is served as this view.
        void isOf(String id) {
            synchronized (ViewMemory.this) {
                what = id;
                isView = true;
            }
        }

        /// More than once is no harm.
        void giveBack() {
            synchronized (ViewMemory.this) {
                ended = true;
                claims.remove(this);
                taken -= runs;
                runs = 0;
            }
        }
    }
}
