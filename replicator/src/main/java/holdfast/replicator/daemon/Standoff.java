package holdfast.replicator.daemon;

import holdfast.tunnel.wire.Frame;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;

/// What a resource and its peer have told each other of their writes, while one of the two would
/// have to lose something and nobody joins them. Each tells it as soon as it has heard what the
/// other has, and again as long as that is so, for both go on: what is shown is some seconds old,
/// and nothing is counted for who looks at it.
///
/// Any thread.
final class Standoff {
    private static final Duration TELLS = Duration.ofSeconds(5);
    private static final Duration ANSWERS = Duration.ofSeconds(2);

    /// It is being looked at, on a thread of the pool: once at a time, however often the peer says
    /// what it has.
    private final AtomicBoolean looking = new AtomicBoolean();

    /// What the peer said it has, as it was looked at last; null for nothing. Guarded by this, as
    /// what follows.
    private Frame.ResourceHello seen;

    private long seenNanos;

    /// Null while nothing keeps the two apart.
    private Histories.Said mine;

    /// Null before it has told.
    private Frame.Wrote theirs;

    /// The session is over, or another one begins.
    synchronized void end() {
        seen = null;
        mine = null;
        theirs = null;
    }

    synchronized void received(Frame.Wrote wrote) {
        theirs = wrote;
    }

    /// Often.
    ///
    /// @param hello what the peer said that it has; null for nothing
    /// @param pool for what may take a while
    /// @param said what this side says now; empty where nothing keeps the two apart
    void tick(
            PeerSession peer,
            Frame.ResourceHello hello,
            long nowNanos,
            Executor pool,
            Supplier<Optional<Histories.Said>> said) {
        synchronized (this) {
            boolean isDue = seen != hello || nowNanos - seenNanos >= TELLS.toNanos();
            if (peer == null || hello == null || !isDue || !looking.compareAndSet(false, true)) {
                return;
            }
            seenNanos = nowNanos;
        }
        pool.execute(
                () -> {
                    try {
                        tell(peer, hello, said);
                    } finally {
                        looking.set(false);
                    }
                });
    }

    /// Where that fails it is not tried at once again.
    private void tell(
            PeerSession peer, Frame.ResourceHello hello, Supplier<Optional<Histories.Said>> said) {
        Optional<Histories.Said> now = Optional.empty();
        try {
            now = said.get();
        } finally {
            synchronized (this) {
                seen = hello;
                mine = now.orElse(null);
            }
        }
        now.ifPresent(each -> peer.send(each.wrote()));
    }

    /// What this side has told last; null while nothing keeps the two apart.
    synchronized Histories.Said mine() {
        return mine;
    }

    /// What the peer has told last of what it has; null where it has not.
    ///
    /// @param hello what it has
    synchronized Frame.Wrote theirs(Frame.ResourceHello hello) {
        boolean isOfThat =
                theirs != null && theirs.at().generation() == hello.committed().generation();
        return isOfThat ? theirs : null;
    }

    /// Looks again at what is here, and waits a moment until both have told.
    ///
    /// @param hello what the peer has
    void await(Frame.ResourceHello hello) {
        synchronized (this) {
            seen = null;
        }
        long deadline = System.nanoTime() + ANSWERS.toNanos();
        while (!isTold(hello) && System.nanoTime() < deadline) {
            LockSupport.parkNanos(5_000_000);
        }
    }

    private synchronized boolean isTold(Frame.ResourceHello hello) {
        return seen == hello && mine != null && theirs(hello) != null;
    }
}
