package holdfast.sim;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/// Makes a failing plan small: leaves out steps, half of them, a quarter, one by one (ddmin), then
/// tries plain settings and simpler steps, for as long as the same promise breaks.
///
/// What the disks and the link leave to chance depends on the moment ([Chance]), so that most of a
/// history stays what it was when a step is left out. Where a step cannot go, it is tried again
/// with other chances.
final class Shrinker {
    private final String id;
    private final long untilNanos;
    private final int threads;
    private Plan best;
    private int runs;

    private Shrinker(Plan failing, String id, long untilNanos, int threads) {
        best = failing;
        this.id = id;
        this.untilNanos = untilNanos;
        this.threads = threads;
    }

    /// @param runs how many histories it took
    record Result(Plan plan, String id, int runs, double seconds) {}

    /// The smallest plan found within the time that breaks the same promise as `failing`.
    ///
    /// @return null if `failing` does not fail
    static Result shrink(Plan failing, long seconds, int threads) {
        long began = System.nanoTime();
        Simulation.Result first = Simulation.run(failing, null);
        if (first.violation() == null) {
            return null;
        }
        String id = first.violation().id();
        Shrinker shrinker = new Shrinker(failing, id, began + seconds * 1_000_000_000L, threads);
        shrinker.dropWhatNeverCame(first);
        shrinker.nameTheTimes(first);
        int before;
        do {
            before = shrinker.best.steps();
            shrinker.leaveOut(1);
            shrinker.plainSettings();
            shrinker.leaveOut(4);
            shrinker.simplerSteps();
        } while (shrinker.best.steps() < before && !shrinker.isOver());
        return new Result(shrinker.best, id, shrinker.runs, (System.nanoTime() - began) / 1e9);
    }

    private boolean isOver() {
        return System.nanoTime() > untilNanos;
    }

    private boolean fails(Plan plan) {
        Violation violation = Simulation.run(plan, null).violation();
        return violation != null && violation.id().equals(id);
    }

    /// Tries the candidates, several at a time, and takes the first in their order that fails.
    ///
    /// @return its index; -1 if none does
    private int takeFirst(List<Plan> candidates) {
        for (int from = 0; from < candidates.size() && !isOver(); from += threads) {
            List<Plan> some = candidates.subList(from, Math.min(candidates.size(), from + threads));
            boolean[] failed = new boolean[some.size()];
            List<Thread> workers = new ArrayList<>();
            for (int i = 0; i < some.size(); i++) {
                int at = i;
                workers.add(Thread.ofPlatform().start(() -> failed[at] = fails(some.get(at))));
            }
            for (Thread worker : workers) {
                join(worker);
            }
            runs += some.size();
            for (int i = 0; i < failed.length; i++) {
                if (failed[i]) {
                    best = some.get(i);
                    return from + i;
                }
            }
        }
        return -1;
    }

    private static void join(Thread worker) {
        try {
            worker.join();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private void dropWhatNeverCame(Simulation.Result first) {
        takeFirst(
                List.of(
                        best.withSteps(
                                best.requests().subList(0, first.issued()),
                                best.strikes().stream()
                                        .filter(s -> first.struck().containsKey(s.id()))
                                        .toList())));
    }

    /// A strike that waits for the third occurrence of something is at another moment as soon as
    /// the first occurrence is left out.
    private void nameTheTimes(Simulation.Result first) {
        takeFirst(
                List.of(
                        best.withSteps(
                                best.requests(),
                                best.strikes().stream()
                                        .filter(s -> first.struck().containsKey(s.id()))
                                        .map(s -> s.at(first.struck().get(s.id())))
                                        .toList())));
    }

    /// @param chances how often each candidate is tried
    private void leaveOut(int chances) {
        int most = chances > 1 ? 4 : best.steps() / 2;
        for (int chunk = Math.max(1, most); ; chunk = Math.max(1, chunk / 2)) {
            boolean any = false;
            int from = 0;
            while (from < best.steps() && !isOver()) {
                List<Plan> candidates = new ArrayList<>();
                int ahead = chances > 1 ? 1 : threads;
                for (int i = 0; i < ahead && from + i * chunk < best.steps(); i++) {
                    candidates.add(without(from + i * chunk, chunk));
                }
                for (int i = 1; i < chances; i++) {
                    candidates.add(candidates.getFirst().withSeed(best.seed() + i));
                }
                int taken = takeFirst(candidates);
                any |= taken >= 0;
                // What failed to go stays, and so does what lies before the one that went.
                from += taken < 0 ? ahead * chunk : chances > 1 ? 0 : taken * chunk;
            }
            if (isOver() || chunk == 1 && !any) {
                return;
            }
        }
    }

    /// Strikes come first in the order of steps: they are few, and what they set off is much.
    private Plan without(int from, int count) {
        int strikes = best.strikes().size();
        List<Strike> keptStrikes =
                IntStream.range(0, strikes)
                        .filter(i -> i < from || i >= from + count)
                        .mapToObj(best.strikes()::get)
                        .toList();
        List<Request> keptRequests =
                IntStream.range(strikes, best.steps())
                        .filter(i -> i < from || i >= from + count)
                        .mapToObj(i -> best.requests().get(i - strikes))
                        .toList();
        return best.withSteps(keptRequests, keptStrikes);
    }

    private void plainSettings() {
        endEarly();
        for (Plan.Setting setting : Plan.Setting.of(best.scenario())) {
            List<Plan.Setting> rest =
                    Plan.Setting.of(best.scenario()).stream()
                            .filter(s -> !s.name().equals(setting.name()))
                            .toList();
            Plan candidate = best.with(Plan.Setting.apply(rest));
            if (fits(candidate)) {
                takeFirst(
                        List.of(
                                candidate,
                                candidate.withSeed(best.seed() + 1),
                                candidate.withSeed(best.seed() + 2)));
            }
        }
    }

    /// The faults end soon after the last step.
    private void endEarly() {
        long last = 0;
        for (Request request : best.requests()) {
            last = Math.max(last, request.nanos());
        }
        for (Strike strike : best.strikes()) {
            last = Math.max(last, strike.nanos());
        }
        long end = last + 1_000_000_000L;
        if (best.scenario().workNanos() > end) {
            List<Plan.Setting> settings = new ArrayList<>(Plan.Setting.of(best.scenario()));
            settings.removeIf(s -> s.name().equals("workNanos"));
            settings.add(new Plan.Setting("workNanos", end));
            takeFirst(List.of(best.with(Plan.Setting.apply(settings))));
        }
    }

    private static boolean fits(Plan plan) {
        return plan.requests().stream()
                .allMatch(r -> r.offsetBytes() + r.lengthBytes() <= plan.scenario().deviceBytes());
    }

    private void simplerSteps() {
        for (int i = 0; i < best.requests().size() && !isOver(); i++) {
            simplify(
                    i,
                    r ->
                            new Request(
                                    r.id(),
                                    r.nanos(),
                                    r.kind(),
                                    r.offsetBytes(),
                                    r.lengthBytes(),
                                    false));
            simplify(i, r -> resized(r, r.offsetBytes() / 4096 * 4096, 4096));
            simplify(i, r -> resized(r, r.offsetBytes(), 512));
        }
        for (int i = 0; i < best.strikes().size() && !isOver(); i++) {
            int at = i;
            for (double amount : new double[] {0, 0.125, 0.5}) {
                Strike strike = best.strikes().get(at);
                if (amount < strike.amount()) {
                    List<Strike> strikes = new ArrayList<>(best.strikes());
                    strikes.set(at, strike.withAmount(amount));
                    if (takeFirst(List.of(best.withSteps(best.requests(), strikes))) == 0) {
                        break;
                    }
                }
            }
        }
    }

    private static Request resized(Request r, long offset, int length) {
        return r.lengthBytes() <= length
                ? r
                : new Request(r.id(), r.nanos(), r.kind(), offset, length, r.sync());
    }

    private void simplify(int index, UnaryOperator<Request> change) {
        Request now = best.requests().get(index);
        Request simpler = change.apply(now);
        if (!simpler.equals(now)) {
            List<Request> requests = new ArrayList<>(best.requests());
            requests.set(index, simpler);
            Plan candidate = best.withSteps(requests, best.strikes());
            if (fits(candidate)) {
                takeFirst(List.of(candidate));
            }
        }
    }
}
