package holdfast.replicator.daemon;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/// Runs what is posted one after the other, in order, on threads of a pool: one owner for the state
/// of a resource without a thread that waits for it. Posting never blocks.
final class Mailbox {
    private final Executor pool;
    private final Runnable whenEmpty;
    private final Consumer<RuntimeException> bug;
    private final Queue<Runnable> posted = new ConcurrentLinkedQueue<>();
    private final AtomicBoolean runs = new AtomicBoolean();

    /// @param whenEmpty runs, like the posted, each time all of them are done
    /// @param bug told when a task breaks an invariant; what was posted behind it still runs
    Mailbox(Executor pool, Runnable whenEmpty, Consumer<RuntimeException> bug) {
        this.pool = pool;
        this.whenEmpty = whenEmpty;
        this.bug = bug;
    }

    void post(Runnable task) {
        posted.add(task);
        if (runs.compareAndSet(false, true)) {
            pool.execute(this::work);
        }
    }

    private void work() {
        do {
            for (Runnable task = posted.poll(); task != null; task = posted.poll()) {
                run(task);
            }
            run(whenEmpty);
            runs.set(false);
            // Whoever posted before the line above saw it running.
        } while (!posted.isEmpty() && runs.compareAndSet(false, true));
    }

    private void run(Runnable task) {
        try {
            task.run();
        } catch (RuntimeException e) {
            bug.accept(e);
        }
    }
}
