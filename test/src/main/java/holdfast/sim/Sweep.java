package holdfast.sim;

import holdfast.sim.Strike.Fault;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;

/// Tries a fault at every place of the [Canonical] plans: at the first, the second, the third
/// operation of a disk and so on until none is left, or at every byte of a session. After each the
/// machines recover, and every promise is checked as in any history.
final class Sweep {
    /// What fails, and the event after whose n-th occurrence it does.
    private record Way(String name, String event, Fault fault, double amount, boolean twice) {
        private Way(String name, String event, Fault fault, boolean twice) {
            this(name, event, fault, 0.1, twice);
        }
    }

    /// Amounts that mean the kinds of a failure of a superblock.
    private static final double WRITE = 0.1;

    private static final double SYNC = 0.9;

    /// An error armed behind the n-th operation strikes the one that follows it.
    private static final List<Way> WAYS =
            List.of(
                    new Way(
                            "power cut of the backup",
                            "backup disk",
                            Fault.BACKUP_POWER_CUT,
                            false),
                    new Way("and again in recovery", "backup disk", Fault.BACKUP_POWER_CUT, true),
                    new Way("kill of the backup", "backup disk", Fault.BACKUP_KILL, false),
                    new Way(
                            "error of a journal write",
                            "backup disk",
                            Fault.BACKUP_WRITE_EIO,
                            false),
                    new Way("error of a journal sync", "backup disk", Fault.BACKUP_EIO, false),
                    new Way("error of the base", "backup disk", Fault.BACKUP_BASE_EIO, false),
                    new Way(
                            "error of a superblock write",
                            "backup superblock",
                            Fault.BACKUP_SUPERBLOCK,
                            WRITE,
                            false),
                    new Way(
                            "error of a superblock sync",
                            "backup superblock",
                            Fault.BACKUP_SUPERBLOCK,
                            SYNC,
                            false),
                    new Way(
                            "error of a superblock write",
                            "primary superblock",
                            Fault.PRIMARY_SUPERBLOCK,
                            WRITE,
                            false),
                    new Way(
                            "error of a superblock sync",
                            "primary superblock",
                            Fault.PRIMARY_SUPERBLOCK,
                            SYNC,
                            false),
                    new Way(
                            "power cut of the primary",
                            "primary disk",
                            Fault.PRIMARY_POWER_CUT,
                            false),
                    new Way("and again in recovery", "primary disk", Fault.PRIMARY_POWER_CUT, true),
                    new Way("kill of the primary", "primary disk", Fault.PRIMARY_KILL, false),
                    new Way("error of a write", "primary disk", Fault.LOCAL_EIO, false),
                    new Way("no space for a write", "primary disk", Fault.LOCAL_NO_SPACE, false),
                    new Way("error of a read", "primary disk", Fault.LOCAL_READ_EIO, false),
                    new Way("error of a sync", "primary disk", Fault.LOCAL_SYNC_EIO, false));

    private final long untilNanos;
    private final int threads;
    private final List<String> failures = Collections.synchronizedList(new ArrayList<>());
    private final Map<String, Integer> runs = Collections.synchronizedMap(new TreeMap<>());
    private final AtomicInteger wanted = new AtomicInteger();

    private Sweep(long seconds, int threads) {
        untilNanos = System.nanoTime() + seconds * 1_000_000_000L;
        this.threads = threads;
    }

    /// What was tried.
    ///
    /// @param wanted how many runs it would have been with time enough
    record Result(int runs, int wanted, List<String> failures, Map<String, Integer> runsByName) {
        String summary(String what) {
            StringBuilder text = new StringBuilder();
            failures.forEach(failure -> text.append(failure).append('\n'));
            runsByName.forEach((name, count) -> text.append("%9d %s%n".formatted(count, name)));
            return text.append(
                            "%s: %d of %d runs, %d failed%n"
                                    .formatted(what, runs, wanted, failures.size()))
                    .toString();
        }
    }

    private Result result() {
        int total = runs.values().stream().mapToInt(Integer::intValue).sum();
        return new Result(total, Math.max(wanted.get(), total), failures, runs);
    }

    /// The n-th operation of a disk fails, or is the last one before a power cut, for each n.
    static Result everyOperation(long seconds, int threads) {
        Sweep sweep = new Sweep(seconds, threads);
        List<Runnable> tasks = new ArrayList<>();
        for (Canonical canonical : Canonical.ALL) {
            for (Way way : WAYS) {
                tasks.add(() -> sweep.everyOperation(canonical, way));
            }
        }
        sweep.run(tasks);
        return sweep.result();
    }

    private void everyOperation(Canonical canonical, Way way) {
        String name = way.event() + ", " + way.name();
        int operations =
                Simulation.run(canonical.plan(), null).occurred().getOrDefault(way.event(), 0);
        wanted.addAndGet(operations);
        for (int n = 1; !isOver(); n++) {
            Strike first = after(way, n, 101);
            Plan plan =
                    way.twice()
                            ? canonical.with(first, after(way, n + 1 + n % 4, 102))
                            : canonical.with(first);
            Simulation.Result result = Simulation.run(plan, null);
            if (!result.struck().containsKey(first.id())) {
                return;
            }
            count(name, canonical.name() + " at operation " + n, plan, result);
        }
    }

    private static Strike after(Way way, int n, int id) {
        return new Strike(id, 0, Optional.of(way.event()), n, way.fault(), way.amount());
    }

    /// The link is cut at each byte of a session, in each direction.
    static Result everyByte(long seconds, int threads) {
        Sweep sweep = new Sweep(seconds, threads);
        List<Runnable> tasks = new ArrayList<>();
        for (Canonical canonical :
                List.of(Canonical.named("session"), Canonical.named("compare"))) {
            List<Simulation.Session> sessions = Simulation.run(canonical.plan(), null).sessions();
            // The last one holds what the plan is about.
            int at = sessions.size();
            Simulation.Session session = sessions.getLast();
            for (long n = 1; n < session.bytesDown(); n++) {
                tasks.add(sweep.cut(canonical, at, Fault.CUT_DOWN_AT, n));
            }
            for (long n = 1; n < session.bytesUp(); n++) {
                tasks.add(sweep.cut(canonical, at, Fault.CUT_UP_AT, n));
            }
        }
        sweep.wanted.set(tasks.size());
        // When the time is over, what was done is spread over all.
        Collections.shuffle(tasks, new Random(1));
        sweep.run(tasks);
        return sweep.result();
    }

    /// What a power cut may leave behind each step, each way ([CrashStates]); also while a machine
    /// recovers from a kill.
    static Result everyCrashState(long seconds, int threads) {
        Sweep sweep = new Sweep(seconds, threads);
        List<Runnable> tasks = new ArrayList<>();
        for (Canonical canonical : Canonical.ALL) {
            tasks.add(() -> sweep.crashStates(canonical.name(), canonical.plan()));
            for (Way way : WAYS) {
                if (way.fault() == Fault.PRIMARY_KILL || way.fault() == Fault.BACKUP_KILL) {
                    for (int n : new int[] {12, 40}) {
                        tasks.add(
                                () ->
                                        sweep.crashStates(
                                                canonical.name() + ", " + way.name(),
                                                canonical.with(after(way, n, 101))));
                    }
                }
            }
        }
        sweep.run(tasks);
        return sweep.result();
    }

    private void crashStates(String name, Plan plan) {
        CrashStates states = new CrashStates();
        Simulation.Result result = Simulation.run(plan, null, states);
        states.states().forEach((what, count) -> runs.merge(what, count, Integer::sum));
        fail(name, "a power cut", plan, result);
    }

    private Runnable cut(Canonical canonical, int session, Fault fault, long bytes) {
        return () -> {
            Plan plan =
                    canonical.with(
                            new Strike(
                                    101,
                                    0,
                                    Optional.of("connected"),
                                    session,
                                    fault,
                                    (double) bytes / Strike.CUT_BYTES_MAX));
            count(
                    canonical.name() + " " + fault,
                    canonical.name() + " session " + session + " cut after byte " + bytes,
                    plan,
                    Simulation.run(plan, null));
        };
    }

    private void count(String name, String where, Plan plan, Simulation.Result result) {
        runs.merge(name, 1, Integer::sum);
        fail(where, name, plan, result);
    }

    private void fail(String where, String name, Plan plan, Simulation.Result result) {
        Violation violation = result.violation();
        if (violation != null) {
            failures.add(
                    "%s, %s: %s%n%s"
                            .formatted(
                                    where,
                                    name,
                                    violation.getMessage(),
                                    Plan.Saved.of(plan, "", violation.promise(), Optional.empty())
                                            .text()));
        }
    }

    private boolean isOver() {
        return System.nanoTime() > untilNanos || failures.size() >= 10;
    }

    private void run(List<Runnable> tasks) {
        AtomicInteger next = new AtomicInteger();
        List<Thread> workers = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            workers.add(
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        for (int at = next.getAndIncrement();
                                                at < tasks.size() && !isOver();
                                                at = next.getAndIncrement()) {
                                            tasks.get(at).run();
                                        }
                                    }));
        }
        for (Thread worker : workers) {
            try {
                worker.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
