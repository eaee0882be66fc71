package holdfast.replicator.daemon;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.ProblemException;

import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantLock;

/// The orders that make something else of a resource: one at a time for each name, and none waits
/// for that of another. Whoever has the turn may take it again in parts of his order.
///
/// | takes a turn                             | because it                                          |
/// |------------------------------------------|-----------------------------------------------------|
/// | `add`, a peer's offer                    | makes what the name means                           |
/// | `remove`                                 | ends it                                             |
/// | `promote`, `reconnect --discard`         | gives it another role, and its files to that        |
/// | `connect`, `disconnect`                  | closes and opens what has failed, and marks what is not wanted on the link |
/// | its opening at the start of the daemon   | is not to be opened twice while its disk hangs      |
/// | `attach` of what is damaged, or of what another moment was chosen of | writes its role or its journal |
/// | the end of a journal that no role has    | deletes what a `reconnect --discard` may be making   |
/// | a peer's withdrawal                      | marks the copy; it does not wait, see [#leave]      |
///
/// What only looks takes none, a dry run for example: nothing is held up by it. The rest changes
/// things within one role, whose object lets one in after the other (`attach`, `detach`, `resize`,
/// `verify`, `promote --commit`, views, what is kept); what would write to the disk of a role that
/// is over is refused there ([LocalPrimary#end]). A `detach` has to get through while something
/// waits for a disk that hangs, so it must not wait for a turn.
///
/// A turn comes before every other lock.
final class Turns {
    /// How long an operator's order waits. Most orders end within it, also those that let clients
    /// finish, ten seconds for each way by which these come. Somebody who has waited so long is to
    /// know for what, and may type it again: nothing is lost by a refusal.
    static final Duration PATIENCE = Duration.ofSeconds(30);

    private final Shared shared;
    private final Duration patience;
    private final ConcurrentMap<String, Turn> turns = new ConcurrentHashMap<>();

    /// @param patience how long an order waits for another one before it is refused
    Turns(Shared shared, Duration patience) {
        this.shared = shared;
        this.patience = patience;
    }

    interface Work<T, X extends Exception> {
        T run() throws X, ProblemException;
    }

    interface Task<X extends Exception> {
        void run() throws X, ProblemException;
    }

    private record Order(String words, Instant since) {}

    private static final class Turn {
        final ReentrantLock lock = new ReentrantLock();

        /// Whose turn it is; null while it is nobody's, and for an instant after it was taken.
        volatile Order order;

        /// See [#leave].
        final AtomicReference<Runnable> left = new AtomicReference<>();

        /// Those that have it or wait for it. Guarded by the map, which forgets a turn without any.
        int users;
    }

    /// @param order what the next one is told that waits too long for it
    /// @throws ProblemException if another one is still under way: nothing was done
    <T, X extends Exception> T of(String name, String order, Work<T, X> work)
            throws X, ProblemException {
        return of(name, order, patience, work);
    }

    <X extends Exception> void run(String name, String order, Task<X> task)
            throws X, ProblemException {
        of(
                name,
                order,
                () -> {
                    task.run();
                    return true;
                });
    }

    /// @param limit a patience of its own
    <T, X extends Exception> T of(String name, String order, Duration limit, Work<T, X> work)
            throws X, ProblemException {
        Turn turn = use(name);
        try {
            if (turn.lock.isHeldByCurrentThread()) {
                return work.run();
            }
            take(turn, name, limit);
            try {
                turn.order = new Order(order, Instant.now().truncatedTo(ChronoUnit.SECONDS));
                doWhatIsLeft(turn); // It was there first.
                return work.run();
            } finally {
                turn.order = null;
                turn.lock.unlock();
                doWhatIsLeft(turn);
            }
        } finally {
            drop(name);
        }
    }

    /// For what cannot be refused and is short: it is carried out now, or by whoever has the turn
    /// when he is done, and in any case before the next one begins. A turn keeps the last that was
    /// left: what is left twice has to be the same again.
    void leave(String name, Runnable task) {
        Turn turn = use(name);
        try {
            turn.left.set(task);
            doWhatIsLeft(turn);
        } finally {
            drop(name);
        }
    }

    /// What is left while somebody has the turn is seen by him: he looks once more after he has
    /// given it back.
    private void doWhatIsLeft(Turn turn) {
        while (turn.left.get() != null && turn.lock.tryLock()) {
            try {
                Runnable task = turn.left.getAndSet(null);
                if (task != null) {
                    task.run();
                }
            } catch (RuntimeException e) {
                shared.events().node("internal-error", String.valueOf(e));
            } finally {
                turn.lock.unlock();
            }
        }
    }

    private void take(Turn turn, String name, Duration limit) throws ProblemException {
        try {
            if (turn.lock.tryLock(limit.toNanos(), TimeUnit.NANOSECONDS)) {
                return;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw shared.problem(ExitCode.FAILED, "interrupted, nothing changed", "status " + name);
        }
        Order other = turn.order;
        throw shared.problem(
                ExitCode.REFUSED,
                "another order on %s is under way, nothing changed".formatted(name),
                "status " + name,
                other == null
                        ? "it has just begun or ended"
                        : "%s, since %s".formatted(other.words(), other.since()));
    }

    private Turn use(String name) {
        return turns.compute(
                name,
                (_, known) -> {
                    Turn turn = known == null ? new Turn() : known;
                    turn.users++;
                    return turn;
                });
    }

    private void drop(String name) {
        turns.computeIfPresent(name, (_, turn) -> --turn.users == 0 ? null : turn);
    }

    /// How many names somebody has the turn of or waits for.
    int size() {
        return turns.size();
    }
}
