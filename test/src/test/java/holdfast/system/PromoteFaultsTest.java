package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.system.FaultyDisk.Kind;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// A copy of several moments is promoted, written to, goes on from another moment and is made final
/// by a daemon in a process of its own, and at chosen calls of it to the kernel the process is
/// killed, the power cut, or the call fails. Each run begins with the same copy, see [PromotedRun],
/// and ends with a plain disk that holds the moment that was chosen, and what was written and
/// answered since: all of it after a kill, after a power cut or a sync that failed all that was
/// flushed, and until the promotion is made final nothing that was written later than what is gone.
///
/// And one of two histories is given up by such a daemon, see [DiscardRun]: in the end it has the
/// copy of the other, never said to be in step before it is, and what it gave up beside that; or
/// the order has not come about, and all is as it was before it.
///
/// `-Dholdfast.seed=N` repeats, as far as processes and kernel do the same again;
/// `-Dholdfast.fault.runs=M` and `-Dholdfast.fault.only=T,U` try longer, or some of the targets.
class PromoteFaultsTest {
    private static final int RUNS = Integer.getInteger("holdfast.fault.runs", 42);
    private static final int LANES = Math.min(3, RUNS);
    private static final Duration LIMIT =
            Duration.ofMinutes(Long.getLong("holdfast.fault.minutes", 20));

    private static final int WRITE = FaultyDisk.WRITE;
    private static final int SYNC = FaultyDisk.SYNC;

    /// What the copy is at when it is struck.
    enum Stage {
        PROMOTING,
        /// Promoted, and started again.
        STARTING,
        /// Promoted and written to.
        WRITING,
        /// The promotion is made final while it is written to.
        FINAL,
        /// The same, cut off by a kill once, and started again.
        STARTING_FINAL,
        /// Promoted and written to, and another moment is chosen.
        AGAIN,
        /// The same, cut off between the choice and its role, and started again.
        STARTING_AGAIN,
        /// The other side of a promotion gives up what it has by itself, see [DiscardRun].
        DISCARDING,
        /// The same, cut off by a kill once, and started again.
        STARTING_DISCARDING;

        private boolean isOfDiscard() {
            return this == DISCARDING || this == STARTING_DISCARDING;
        }

        /// What an end of the backup at a call of it counts for.
        Optional<Phase> phaseAt(String what) {
            return switch (this) {
                // The journal may have been written for the application.
                case FINAL -> Optional.of(what.equals("journal") ? Phase.PROMOTED : Phase.PROMOTE);
                case WRITING -> Optional.of(Phase.PROMOTED);
                case STARTING -> Optional.of(Phase.START);
                // A start that carries out what was cut off.
                case PROMOTING, AGAIN, STARTING_FINAL, STARTING_AGAIN -> Optional.of(Phase.PROMOTE);
                case DISCARDING, STARTING_DISCARDING -> Optional.empty(); // It is the server.
            };
        }
    }

    /// @param older whether a moment that is not the newest is gone on from
    /// @param nth of the calls to files whose path has this in it
    record Fault(
            String what,
            String pattern,
            int calls,
            int nth,
            Stage stage,
            boolean older,
            Kind kind,
            End end,
            long seed) {
        /// Where an end at the call itself counts; empty for one that was ordered behind it.
        Optional<Phase> ends() {
            return kind.endsTheProcess() ? stage.phaseAt(what) : Optional.empty();
        }

        /// For the table.
        String how() {
            return "%s at a %s of the %s, %s"
                    .formatted(kind, calls == WRITE ? "write" : "sync", what, stage);
        }

        /// Whether what was written and not flushed may be gone.
        boolean mayLoseUnflushed() {
            return kind.cutsThePower() || kind == Kind.LOST_SYNC || end == End.POWER_CUT;
        }

        /// Only a disk that has failed waits for somebody.
        boolean mayNeedHands() {
            return switch (kind) {
                case IO_ERROR, LOST_SYNC, NO_SPACE -> true;
                default -> false;
            };
        }

        /// Whether the deletion of the role before may have failed: the next start ends it.
        boolean mayLeaveTheOldRole() {
            return stage == Stage.FINAL && mayNeedHands();
        }

        @Override
        public String toString() {
            return "%s%s: %s at %s %d of the %s%s"
                    .formatted(
                            stage,
                            older ? " from an older moment" : "",
                            kind,
                            calls == WRITE ? "write" : "sync",
                            nth,
                            what,
                            end == End.NONE ? "" : ", then " + end);
        }
    }

    enum End {
        NONE,
        KILL,
        POWER_CUT
    }

    /// @param least the n-th call is one from here on
    private record Target(
            String what, String pattern, int calls, int least, int most, Stage stage) {
        private Target(String what, String pattern, int calls, int most, Stage stage) {
            this(what, pattern, calls, 1, most, stage);
        }
    }

    private static final List<Target> TARGETS =
            List.of(
                    new Target("new role", "resources/home~1/", WRITE, 8, Stage.PROMOTING),
                    new Target("new role", "resources", SYNC, 14, Stage.PROMOTING),
                    new Target("journal", "home.journal/", WRITE, 3, Stage.PROMOTING),
                    new Target("journal", "home.journal/", SYNC, 2, Stage.PROMOTING),
                    new Target("facts", "home~1/resource.json", WRITE, 1, Stage.PROMOTING),
                    new Target("facts", "home~1/resource.json", SYNC, 1, Stage.PROMOTING),
                    // The last of its files is there and may not be durable.
                    new Target("facts' directory", "resources", SYNC, 10, 11, Stage.PROMOTING),
                    new Target("superblock", "home~1/superblock", WRITE, 4, Stage.PROMOTING),
                    new Target("journal", "home.journal/", WRITE, 12, Stage.WRITING),
                    new Target("journal", "home.journal/", SYNC, 8, Stage.WRITING),
                    new Target("metadata", "home~1/metadata", WRITE, 1, Stage.WRITING),
                    new Target("base", "storage/home.img", WRITE, 40, Stage.FINAL),
                    new Target("base", "storage/home.img", SYNC, 2, Stage.FINAL),
                    new Target("old role", "resources/home/", WRITE, 2, Stage.FINAL),
                    new Target("old role", "resources/home", SYNC, 4, Stage.FINAL),
                    new Target("journal", "home.journal/", WRITE, 2, Stage.FINAL),
                    new Target("journal", "home.journal/", SYNC, 2, Stage.FINAL),
                    new Target("roles", "resources/home", WRITE, 1, Stage.STARTING),
                    new Target("roles", "resources/home", SYNC, 6, Stage.STARTING),
                    new Target("journal", "home.journal/", SYNC, 2, Stage.STARTING),
                    new Target("base", "storage/home.img", SYNC, 1, Stage.STARTING_FINAL),
                    new Target("roles", "resources/home", SYNC, 4, Stage.STARTING_FINAL),
                    new Target("journal", "home.journal/", WRITE, 40, Stage.AGAIN),
                    new Target("journal", "home.journal/", SYNC, 3, Stage.AGAIN),
                    new Target("role before", "resources/home~1/", WRITE, 3, Stage.AGAIN),
                    new Target("role before", "resources/home~1", SYNC, 5, Stage.AGAIN),
                    new Target("next role", "resources/home~2/", WRITE, 8, Stage.AGAIN),
                    new Target("next role", "resources", SYNC, 16, Stage.AGAIN),
                    new Target("next role", "resources/home~2/", WRITE, 8, Stage.STARTING_AGAIN),
                    new Target("next role", "resources", SYNC, 12, Stage.STARTING_AGAIN),
                    new Target("journal", "home.journal/", SYNC, 2, Stage.STARTING_AGAIN),
                    new Target("own role", "resources/home/", WRITE, 6, Stage.DISCARDING),
                    new Target("roles", "resources", SYNC, 30, Stage.DISCARDING),
                    new Target("new role", "resources/home~1/", WRITE, 9, Stage.DISCARDING),
                    new Target("facts", "home~1/resource.json", WRITE, 1, Stage.DISCARDING),
                    new Target("facts", "home~1/resource.json", SYNC, 1, Stage.DISCARDING),
                    new Target("storage", "storage-server", SYNC, 12, Stage.DISCARDING),
                    new Target("what is kept", "home.pins", WRITE, 1, Stage.DISCARDING),
                    new Target("device", "home.disk", SYNC, 3, Stage.DISCARDING),
                    new Target("roles", "resources", SYNC, 2, Stage.STARTING_DISCARDING),
                    new Target("storage", "storage-server", SYNC, 4, Stage.STARTING_DISCARDING));

    private static final List<Kind> ENDS_OF_WRITES =
            List.of(
                    Kind.KILL_BEFORE,
                    Kind.KILL_AFTER,
                    Kind.TORN_KILL,
                    Kind.CUT_AFTER,
                    Kind.CUT_AFTER);
    private static final List<Kind> ENDS_OF_SYNCS =
            List.of(Kind.KILL_BEFORE, Kind.KILL_AFTER, Kind.CUT_BEFORE, Kind.CUT_AFTER);
    private static final List<Kind> FAILURES_OF_WRITES =
            List.of(Kind.IO_ERROR, Kind.NO_SPACE, Kind.SHORT);
    private static final List<Kind> FAILURES_OF_SYNCS = List.of(Kind.LOST_SYNC);

    @TempDir Path dir;

    private final TreeMap<String, Integer> struck = new TreeMap<>();
    private final TreeMap<String, Integer> seen = new TreeMap<>();
    private volatile boolean failed;
    private int missed;

    private Path library;
    private SavedCopy saved;
    private SavedFork fork;

    private static Fault draw(int number, Random random) {
        Target target = TARGETS.get(InjectedFaultsTest.targetOf(number) % TARGETS.size());
        boolean isEnd = random.nextInt(3) > 0;
        List<Kind> kinds =
                target.calls == WRITE
                        ? isEnd ? ENDS_OF_WRITES : FAILURES_OF_WRITES
                        : isEnd ? ENDS_OF_SYNCS : FAILURES_OF_SYNCS;
        Kind kind = kinds.get(random.nextInt(kinds.size()));
        End end = End.NONE;
        if (!kind.endsTheProcess() && random.nextBoolean()) {
            end = random.nextBoolean() ? End.KILL : End.POWER_CUT;
        }
        return new Fault(
                target.what,
                target.pattern,
                target.calls,
                target.least + random.nextInt(target.most - target.least + 1),
                target.stage,
                random.nextBoolean() && !target.stage.isOfDiscard(),
                kind,
                end,
                random.nextLong() >>> 1);
    }

    @Test
    void aPromotionIsDoneOrNotAndLosesNothingWhateverFails() throws Exception {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        System.out.println("PromoteFaultsTest: seed " + seed);
        library = FaultyDisk.build(dir);
        long end = System.nanoTime() + LIMIT.toNanos();
        saved = SavedCopy.make(dir.resolve("saved"), new Random(seed));
        fork = SavedFork.make(dir.resolve("fork"), new Random(seed));
        List<Future<?>> lanes = new ArrayList<>();
        // Its end waits for all of them, also when one has failed: none leaves daemons behind.
        try (ExecutorService threads = Executors.newFixedThreadPool(LANES)) {
            for (int lane = 0; lane < LANES; lane++) {
                int of = lane;
                lanes.add(threads.submit(() -> lane(of, new Random(seed + of), end)));
            }
        }
        for (Future<?> each : lanes) {
            each.get();
        }
        int runs = struck.values().stream().mapToInt(Integer::intValue).sum();
        struck.forEach((what, times) -> System.out.printf("%6d %s%n", times, what));
        System.out.printf(
                "PromoteFaultsTest: %d faults struck, %d calls did not come, seen %s%n",
                runs, missed, seen);
        System.out.print("PromoteFaultsTest: " + Phase.table());
        assertTrue(runs >= RUNS, "only " + runs + " faults struck");
        if (RUNS >= 40 && InjectedFaultsTest.isOfAllTargets()) {
            assertEquals("", Phase.lacking(Phase.PROMOTE), "too seldom");
        }
    }

    private FaultRun run(Fault fault, Path at) throws Exception {
        return fault.stage().isOfDiscard()
                ? new DiscardRun(fork, at, library, fault, this::count)
                : new PromotedRun(saved, at, library, fault, this::count);
    }

    private Void lane(int lane, Random random, long end) throws Exception {
        int done = 0;
        int ends = 0;
        boolean isAll = InjectedFaultsTest.isOfAllTargets();
        for (int number = lane * 11;
                (done < Math.ceilDiv(RUNS, LANES) || isAll && ends < Math.ceilDiv(RUNS / 2, LANES))
                        && System.nanoTime() < end
                        && !failed;
                number++) {
            Fault fault = draw(number, random);
            long began = System.nanoTime();
            Path at = dir.resolve("run%d-%d".formatted(lane, number));
            boolean came;
            try (FaultRun run = run(fault, at)) {
                try {
                    came = run.play();
                } catch (Exception | AssertionError e) {
                    failed = true;
                    throw new AssertionError(
                            "run %d-%d, %s: %s%n%s"
                                    .formatted(lane, number, fault, e.getMessage(), run.account()),
                            e);
                }
            }
            Run.ok("rm", "-r", at.toString());
            done += came ? 1 : 0;
            if (came && fault.ends().isPresent()) {
                fault.ends().get().ended(fault.how());
                ends += fault.ends().get() == Phase.PROMOTE ? 1 : 0;
            }
            note(fault, came);
            System.out.printf(
                    "%d-%d %s%s, %d ms%n",
                    lane,
                    number,
                    fault,
                    came ? "" : " did not come",
                    (System.nanoTime() - began) / 1_000_000);
        }
        return null;
    }

    private synchronized void count(String what) {
        seen.merge(what, 1, Integer::sum);
    }

    private synchronized void note(Fault fault, boolean came) {
        if (!came) {
            missed++;
            return;
        }
        struck.merge(
                "%s, %s of the %s".formatted(fault.stage(), fault.kind(), fault.what()),
                1,
                Integer::sum);
    }
}
