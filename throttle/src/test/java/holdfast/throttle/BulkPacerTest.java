package holdfast.throttle;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/// On the clock of this machine, since Guava's limiter has no other. Bounds are one-sided where the
/// machine may be slow.
@Timeout(30)
class BulkPacerTest {
    private static final int MIB = 1 << 20;

    @Test
    void readersGoNoFasterThanTheRateAndReachIt() throws Exception {
        try (var pacer = new BulkPacer(Rate.parse("40 MiB/s"))) {
            long begin = System.nanoTime();
            for (int i = 0; i < 40; i++) {
                pacer.acquire(MIB);
            }
            double seconds = (System.nanoTime() - begin) / 1e9;
            assertTrue(seconds > 0.97, "40 MiB in " + seconds + " s");
            assertTrue(seconds < 3, "40 MiB in " + seconds + " s");
        }
    }

    @Test
    void aLargeReadLeavesNoDebtForAFasterRate() throws Exception {
        try (var pacer = new BulkPacer(Rate.parse("64 KiB/s"));
                var threads = Executors.newSingleThreadExecutor()) {
            var started = new CountDownLatch(1);
            Future<?> reader =
                    threads.submit(
                            () -> {
                                started.countDown();
                                pacer.acquire(64 * MIB); // 17 minutes
                                return null;
                            });
            started.await();
            pacer.setRate(Rate.UNLIMITED);
            reader.get(10, TimeUnit.SECONDS);
        }
    }

    @Test
    void anIdleSecondIsNotSavedUp() throws Exception {
        try (var pacer = new BulkPacer(Rate.parse("10 MiB/s"))) {
            pacer.acquire(64 << 10);
            TimeUnit.MILLISECONDS.sleep(700);
            long begin = System.nanoTime();
            pacer.acquire(5 * MIB);
            double seconds = (System.nanoTime() - begin) / 1e9;
            assertTrue(seconds > 0.45, "5 MiB in " + seconds + " s");
        }
    }

    @Test
    void closingEndsTheWaiting() throws Exception {
        var pacer = new BulkPacer(Rate.parse("64 kbit/s"));
        try (var threads = Executors.newSingleThreadExecutor()) {
            Future<?> reader =
                    threads.submit(
                            () -> {
                                pacer.acquire(MIB);
                                return null;
                            });
            pacer.close();
            pacer.close();
            var e = assertThrows(ExecutionException.class, () -> reader.get(10, TimeUnit.SECONDS));
            assertInstanceOf(CancellationException.class, e.getCause());
        }
    }

    @Test
    void anInterruptEndsTheWaiting() throws Exception {
        try (var pacer = new BulkPacer(Rate.parse("64 kbit/s"))) {
            var ended = new CountDownLatch(1);
            Thread reader =
                    Thread.startVirtualThread(
                            () -> {
                                assertThrows(InterruptedException.class, () -> pacer.acquire(MIB));
                                ended.countDown();
                            });
            reader.interrupt();
            assertTrue(ended.await(10, TimeUnit.SECONDS));
        }
    }
}
