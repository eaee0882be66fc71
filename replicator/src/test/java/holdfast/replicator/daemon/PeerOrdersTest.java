package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

class PeerOrdersTest {
    private static final UUID HOME = new UUID(1, 1);
    private static final UUID MAIL = new UUID(1, 2);

    private final ExecutorService pool = Executors.newCachedThreadPool();
    private final List<RuntimeException> bugs = Collections.synchronizedList(new ArrayList<>());
    private final PeerOrders orders = new PeerOrders(pool, bugs::add);
    private final List<String> done = Collections.synchronizedList(new ArrayList<>());
    private final CountDownLatch turn = new CountDownLatch(1);

    @AfterEach
    void stop() {
        turn.countDown();
        pool.shutdown();
    }

    private void waitsForItsTurn() {
        await(turn);
        done.add("first of home");
    }

    private static void await(CountDownLatch latch) {
        try {
            assertTrue(latch.await(5, TimeUnit.MINUTES));
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /// As an offer does while another order on its name is under way.
    @Test
    void whatWaitsHoldsUpItsOwnResourceAlone() {
        var both = new CountDownLatch(2);
        assertTrue(orders.post(HOME, this::waitsForItsTurn));
        assertTrue(
                orders.post(
                        HOME,
                        () -> {
                            done.add("second of home");
                            both.countDown();
                        }));
        var mail = new CountDownLatch(1);
        assertTrue(
                orders.post(
                        MAIL,
                        () -> {
                            done.add("mail");
                            mail.countDown();
                            both.countDown();
                        }));
        await(mail);
        turn.countDown();
        await(both);
        assertEquals(List.of("mail", "first of home", "second of home"), done);
        assertEquals(List.of(), bugs);
    }

    @Test
    void soManyMayWaitAndNoneIsRememberedBehindItsEnd() {
        assertTrue(orders.post(HOME, this::waitsForItsTurn));
        for (int i = 1; i < PeerOrders.MAX_WAITING; i++) {
            assertTrue(orders.post(HOME, () -> {}));
        }
        assertFalse(orders.post(MAIL, () -> done.add("one too many")));
        turn.countDown();
        while (orders.size() > 0) {
            Thread.onSpinWait();
        }
        var broken = new CountDownLatch(1);
        assertTrue(
                orders.post(
                        MAIL,
                        () -> {
                            broken.countDown();
                            throw new IllegalStateException("a test");
                        }));
        await(broken);
        while (orders.size() > 0 || bugs.isEmpty()) {
            Thread.onSpinWait();
        }
        assertEquals(List.of("first of home"), done);
        assertEquals("a test", bugs.getFirst().getMessage());
    }
}
