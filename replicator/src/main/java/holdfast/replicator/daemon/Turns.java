package holdfast.replicator.daemon;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.ProblemException;

import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/// The orders that make something else of a resource: one at a time for each, and none waits for
/// that of another resource. In the turn of one order its own parts may take it again.
final class Turns {
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

    private static final class Turn {
        final ReentrantLock lock = new ReentrantLock();
        volatile String order = "";
        volatile Instant since = Instant.EPOCH;
    }

    /// @param order what the next one is told that waits too long for it
    /// @throws ProblemException if another one is still under way: nothing was done
    <T, X extends Exception> T of(String name, String order, Work<T, X> work)
            throws X, ProblemException {
        Turn turn = turns.computeIfAbsent(name, _ -> new Turn());
        if (!isFree(turn)) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "another order on %s is under way, nothing changed".formatted(name),
                    "status " + name,
                    "%s, since %s".formatted(turn.order, turn.since));
        }
        try {
            if (turn.lock.getHoldCount() == 1) {
                turn.order = order;
                turn.since = Instant.now().truncatedTo(ChronoUnit.SECONDS);
            }
            return work.run();
        } finally {
            turn.lock.unlock();
        }
    }

    private boolean isFree(Turn turn) {
        try {
            return turn.lock.tryLock(patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }
}
