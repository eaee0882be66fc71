package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// A backup in a process of its own is killed, or loses its power, at chosen calls to the kernel,
/// in each phase of its work ([Phase]), again and again in one life of its copy: it is started
/// again, what it holds is looked at, and it is struck again while it goes on. The server stays,
/// under fio and a writer whose blocks say what they are. Whenever the copy is opened it is the
/// device of one moment, and not one before what was acknowledged; what is kept is what it was;
/// nobody has to do anything; and in the end both are equal.
///
/// `-Dholdfast.seed=N` repeats, as far as processes and kernel do the same again;
/// `-Dholdfast.ends.rounds=M` strikes M times as often.
class BackupEndsTest {
    private static final int LANES = 2;
    private static final int ROUNDS = Integer.getInteger("holdfast.ends.rounds", 1);
    private static final Duration LIMIT = Duration.ofMinutes(10L * ROUNDS);

    @TempDir Path dir;

    private volatile boolean failed;

    @Test
    void aHundredEndsAreAskedForInAll() {
        assertTrue(Phase.leastOfAll() >= 100, "only " + Phase.leastOfAll());
    }

    @Test
    void noEndOfTheBackupCostsWhatItAcknowledgedOrKept() throws Exception {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        System.out.println("BackupEndsTest: seed " + seed);
        Path library = FaultyDisk.build(dir);
        long end = System.nanoTime() + LIMIT.toNanos();
        List<Deque<Ending>> plans = Ending.draw(LANES, ROUNDS, new Random(seed));
        List<Future<?>> lanes = new ArrayList<>();
        // Its end waits for all of them, also when one has failed: none leaves daemons behind.
        try (ExecutorService threads = Executors.newFixedThreadPool(LANES)) {
            for (int lane = 0; lane < LANES; lane++) {
                int of = lane;
                lanes.add(
                        threads.submit(
                                () ->
                                        lane(
                                                of,
                                                plans.get(of),
                                                library,
                                                new Random(seed + of),
                                                end)));
            }
        }
        for (Future<?> each : lanes) {
            each.get();
        }
        System.out.print("BackupEndsTest: " + Phase.table());
        assertEquals(
                "",
                Phase.lacking(
                        Phase.APPEND,
                        Phase.COMMIT,
                        Phase.ROLL_FORWARD,
                        Phase.KEEP,
                        Phase.EXPIRE,
                        Phase.START),
                "too seldom");
    }

    private Void lane(int lane, Deque<Ending> plan, Path library, Random random, long end)
            throws Exception {
        String name = "backup" + lane;
        try (FaultyPair pair =
                new FaultyPair(dir.resolve(name), library, lane == 1 ? "C" : "A", true, random)) {
            EndedBackup backup = new EndedBackup(name, pair);
            try {
                backup.play(plan, () -> failed || System.nanoTime() > end);
            } catch (Exception | AssertionError e) {
                failed = true;
                throw new AssertionError(
                        "%s, %s: %s%n%s"
                                .formatted(name, backup.last(), e.getMessage(), pair.account()),
                        e);
            }
            System.out.println(name + ": " + pair.summary());
        }
        return null;
    }
}
