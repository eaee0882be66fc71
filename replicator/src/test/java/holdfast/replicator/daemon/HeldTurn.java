package holdfast.replicator.daemon;

import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/// The turn of a name, had by an order on a thread of its own until this is closed.
final class HeldTurn implements AutoCloseable {
    interface Work {
        void run() throws Exception;
    }

    private final CountDownLatch taken = new CountDownLatch(1);
    private final CountDownLatch end = new CountDownLatch(1);
    private final FutureTask<Boolean> order;

    private HeldTurn(Turns turns, String name, String words, Work last) {
        order =
                new FutureTask<>(
                        () ->
                                turns.<Boolean, Exception>of(
                                        name,
                                        words,
                                        () -> {
                                            taken.countDown();
                                            end.await();
                                            last.run();
                                            return true;
                                        }));
    }

    static HeldTurn of(Turns turns, String name, String words) throws Exception {
        return of(turns, name, words, () -> {});
    }

    /// @param last what the order does at its end
    static HeldTurn of(Turns turns, String name, String words, Work last) throws Exception {
        var held = new HeldTurn(turns, name, words, last);
        Thread.ofPlatform().daemon().start(held.order);
        held.taken.await();
        return held;
    }

    /// What a thread without any turn comes to.
    static <T> T elsewhere(Callable<T> work) {
        var task = new FutureTask<T>(work);
        Thread.ofPlatform().daemon().start(task);
        try {
            return task.get();
        } catch (InterruptedException | ExecutionException e) {
            throw new AssertionError(e);
        }
    }

    /// The order ends, and has ended when this returns.
    @Override
    public void close() throws Exception {
        end.countDown();
        order.get();
    }
}
