package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// Two daemons in processes of their own, and at chosen calls of theirs to the kernel the call
/// fails as on a bad or full disk, or the server's process is killed or its power cut (for the
/// backup's see [BackupEndsTest]), while fio and a writer fill the device with blocks that say what
/// they are. Whatever it is: an opened copy is the device of one moment, and not one before what
/// was acknowledged; the device has kept its word; what has failed is an event of the daemon that
/// it befell; after a restart, and after what status says is to be typed, both are equal; another
/// resource does not notice.
///
/// `-Dholdfast.seed=N` repeats, as far as processes and kernel do the same again;
/// `-Dholdfast.fault.runs=M` and `-Dholdfast.fault.only=T,U` try longer, or some targets of [Blow].
class InjectedFaultsTest {
    private static final int RUNS = Integer.getInteger("holdfast.fault.runs", 56);

    private static final String ONLY = System.getProperty("holdfast.fault.only", "");

    /// Pairs at a time: while one waits for its peer to be dialled again, another one works.
    private static final int LANES = Math.min(2, RUNS);

    private static final Duration LIMIT =
            Duration.ofMinutes(Long.getLong("holdfast.fault.minutes", 20));

    @TempDir Path dir;

    private final TreeMap<String, Integer> struck = new TreeMap<>();
    private volatile boolean failed;
    private int missed;

    @Test
    void noFaultCostsAWrongByteAndEachIsTold() throws Exception {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        System.out.println("InjectedFaultsTest: seed " + seed);
        Path library = FaultyDisk.build(dir);
        long end = System.nanoTime() + LIMIT.toNanos();
        List<Deque<Blow>> plans = plans(new Random(seed));
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
        int runs = struck.values().stream().mapToInt(Integer::intValue).sum();
        struck.forEach((what, times) -> System.out.printf("%6d %s%n", times, what));
        System.out.printf(
                "InjectedFaultsTest: %d faults struck, %d calls did not come%n", runs, missed);
        assertTrue(runs >= RUNS, "only " + runs + " faults struck");
        if (RUNS >= 56 && isOfAllTargets()) {
            requireOfEach();
        }
    }

    /// Some that do not come are made up for by those behind.
    private static List<Deque<Blow>> plans(Random random) {
        Blow.Draws draws = new Blow.Draws(random);
        List<Deque<Blow>> plans = new ArrayList<>();
        for (int lane = 0; lane < LANES; lane++) {
            plans.add(new ArrayDeque<>());
        }
        for (int number = 0; number < 2 * RUNS; number++) {
            for (int lane = 0; lane < LANES; lane++) {
                plans.get(lane).add(draws.next(targetOf(number + lane * 16)));
            }
        }
        return plans;
    }

    private void requireOfEach() {
        for (String who : List.of("server", "backup")) {
            assertTrue(times(who, "IO_ERROR") >= 1, who + ": too few calls failed");
            assertTrue(times(who, "LOST_SYNC") >= 4, who + ": too few syncs failed");
        }
        assertTrue(times("server", "TORN_KILL") >= 1, "no write was torn");
        for (String file :
                List.of(
                        "server device",
                        "server metadata",
                        "server superblock",
                        "backup journal",
                        "backup base",
                        "backup superblock")) {
            String[] of = file.split(" ", 2);
            assertTrue(
                    struck.keySet().stream()
                            .anyMatch(
                                    each ->
                                            each.startsWith(of[0])
                                                    && each.endsWith("of the " + of[1])),
                    "nothing struck the " + of[1] + " of the " + of[0]);
        }
    }

    private int times(String who, String kind) {
        return struck.entrySet().stream()
                .filter(each -> each.getKey().startsWith(who + " " + kind))
                .mapToInt(Map.Entry::getValue)
                .sum();
    }

    private Void lane(int lane, Deque<Blow> plan, Path library, Random random, long end)
            throws Exception {
        String name = "pair" + lane;
        try (FaultyPair pair =
                new FaultyPair(dir.resolve(name), library, lane == 1 ? "C" : "A", random)) {
            int done = 0;
            int number = 0;
            while (done < Math.ceilDiv(RUNS, LANES)
                    && !plan.isEmpty()
                    && System.nanoTime() < end
                    && !failed) {
                Blow blow = plan.poll();
                number++;
                long began = System.nanoTime();
                boolean came;
                try {
                    came = pair.run(blow);
                } catch (Exception | AssertionError e) {
                    failed = true;
                    throw new AssertionError(
                            "%s, run %d, %s: %s%n%s"
                                    .formatted(name, number, blow, e.getMessage(), pair.account()),
                            e);
                }
                done += came ? 1 : 0;
                note(blow, came);
                System.out.printf(
                        "%s %2d %s%s, %d ms%n",
                        name,
                        number,
                        blow,
                        came ? "" : " did not come",
                        (System.nanoTime() - began) / 1_000_000);
            }
            pair.compareOther();
            System.out.println(name + ": " + pair.summary());
        }
        return null;
    }

    /// Of all targets that of a run, or of those that were asked for.
    static int targetOf(int run) {
        String[] asked = ONLY.split(",");
        return ONLY.isEmpty() ? run : Integer.parseInt(asked[run % asked.length]);
    }

    static boolean isOfAllTargets() {
        return ONLY.isEmpty();
    }

    private synchronized void note(Blow blow, boolean came) {
        if (!came) {
            missed++;
            return;
        }
        struck.merge(
                "%s %s of the %s"
                        .formatted(blow.atServer() ? "server" : "backup", blow.kind(), blow.what()),
                1,
                Integer::sum);
    }
}
