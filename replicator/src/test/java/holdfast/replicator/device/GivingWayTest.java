package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

class GivingWayTest {
    private static final int SCHED_OTHER = 0;
    private static final int SCHED_IDLE = 5;

    /// Fields 19 and 41 of proc(5), counted from the one behind the name.
    private record Standing(int nice, int policy) {
        static Standing of(Path task) {
            String stat = LinuxText.read(task.resolve("stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            return new Standing(Integer.parseInt(fields[16]), Integer.parseInt(fields[38]));
        }

        static Standing mine() {
            return of(Path.of("/proc/thread-self"));
        }
    }

    private static void assumeRoot() throws IOException {
        assumeTrue(Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0), "needs root");
    }

    @Test
    void aPoolThreadThatTheLinkStartedIsAsOthersAre() throws Exception {
        assumeRoot();
        Standing usual = Standing.mine();
        ThreadFactory usualThreads = GivingWay.never(Thread.ofPlatform().factory());
        var link = new CompletableFuture<Standing>();
        var heir = new CompletableFuture<Standing>();
        var work = new CompletableFuture<Standing>();
        Thread.ofPlatform()
                .start(
                        () -> {
                            GivingWay.fromNowOn();
                            link.complete(Standing.mine());
                            Thread.ofPlatform().start(() -> heir.complete(Standing.mine()));
                            usualThreads.newThread(() -> work.complete(Standing.mine())).start();
                        });
        assertEquals(new Standing(Math.min(19, usual.nice() + 10), SCHED_IDLE), link.get());
        assertEquals(link.get(), heir.get(), "Linux: it is inherited");
        assertEquals(usual, work.get());
    }

    @Test
    void whoFoundNoTimeForAWhileGetsAShare() throws Exception {
        assumeRoot();
        var ends = new AtomicBoolean();
        var task = new CompletableFuture<Path>();
        var turns = new AtomicInteger();
        List<Thread> busy = new ArrayList<>();
        try {
            Thread link =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        GivingWay.fromNowOn();
                                        task.complete(
                                                Path.of("/proc/self/task/" + Native.threadId()));
                                        spin(ends, turns);
                                    });
            busy.add(link);
            task.get();
            GivingWay.everySecond(false);
            assertEquals(SCHED_IDLE, Standing.of(task.get()).policy());
            for (int i = 0; i < 2 * Runtime.getRuntime().availableProcessors(); i++) {
                busy.add(Thread.ofPlatform().start(() -> spin(ends, new AtomicInteger())));
            }
            long since = System.nanoTime();
            while (Standing.of(task.get()).policy() == SCHED_IDLE) {
                assertTrue(System.nanoTime() - since < 60e9, "the link starves");
                Thread.sleep(1000); // Between two looks, as in the daemon.
                GivingWay.everySecond(false);
            }
            int before = turns.get();
            while (turns.get() == before) {
                assertTrue(System.nanoTime() - since < 60e9, "it has a share");
                Thread.onSpinWait();
            }
            while (Standing.of(task.get()).nice() != Standing.mine().nice()) {
                assertTrue(System.nanoTime() - since < 60e9, "it stays behind all others");
                Thread.sleep(200);
                GivingWay.everySecond(false);
            }
            GivingWay.everySecond(true);
            assertEquals(SCHED_OTHER, Standing.of(task.get()).policy(), "an application waits");
        } finally {
            ends.set(true);
            for (Thread each : busy) {
                each.join();
            }
        }
        GivingWay.everySecond(false); // It has ended, which is forgotten.
    }

    private static void spin(AtomicBoolean ends, AtomicInteger turns) {
        while (!ends.get()) {
            turns.incrementAndGet();
        }
    }
}
