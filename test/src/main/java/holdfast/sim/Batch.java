package holdfast.sim;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;

/// Many histories, several at a time, and what they reached together. A history has one thread of
/// its own; they share nothing.
final class Batch {
    private final List<Simulation.Result> failures = new ArrayList<>();
    private long histories;
    private long operations;
    private long faults;
    private long events;
    private long blocks;
    private long clones;
    private long virtualNanos;
    private double seconds;
    private final Map<Long, Long> hashes = new TreeMap<>();

    /// How many histories reached it.
    private final Map<Rare, Long> rare = new EnumMap<>(Rare.class);

    /// Runs the seeds from `from` to `to`, both included, in order, until the time is over or so
    /// many have failed.
    static Batch run(long from, long to, long seconds, int failuresAllowed, int threads) {
        long began = System.nanoTime();
        long until = began + Math.min(seconds, 1_000_000) * 1_000_000_000L;
        Batch batch = new Batch();
        AtomicLong next = new AtomicLong(from);
        List<Thread> workers = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            workers.add(
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        while (System.nanoTime() < until
                                                && !batch.isOver(failuresAllowed)) {
                                            long seed = next.getAndIncrement();
                                            if (seed > to) {
                                                return;
                                            }
                                            batch.add(Simulation.run(seed));
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
        batch.seconds = (System.nanoTime() - began) / 1e9;
        return batch;
    }

    private synchronized boolean isOver(int failuresAllowed) {
        return failures.size() >= failuresAllowed;
    }

    private synchronized void add(Simulation.Result r) {
        histories++;
        if (r.violation() != null) {
            failures.add(r);
        }
        hashes.put(r.plan().seed(), r.traceHash());
        operations += r.issued();
        faults += r.struck().size();
        events += r.events();
        blocks += r.checkedBlocks();
        clones += r.clones();
        virtualNanos += r.virtualNanos();
        r.rare().keySet().forEach(situation -> rare.merge(situation, 1L, Long::sum));
    }

    long histories() {
        return histories;
    }

    double operationsEach() {
        return (double) operations / histories;
    }

    double faultsEach() {
        return (double) faults / histories;
    }

    /// Which history a seed was, as [Simulation.Result#traceHash] says it.
    Map<Long, Long> hashes() {
        return hashes;
    }

    List<Simulation.Result> failures() {
        return failures;
    }

    /// Situations that fewer histories reached than their floor says.
    List<Rare> missed() {
        List<Rare> missed = new ArrayList<>();
        for (Rare situation : Rare.values()) {
            if (rare.getOrDefault(situation, 0L) < situation.floorOf(histories)) {
                missed.add(situation);
            }
        }
        return missed;
    }

    String summary() {
        StringBuilder text = new StringBuilder();
        for (Simulation.Result failure : failures) {
            text.append(
                    "seed %d: %s%n"
                            .formatted(failure.plan().seed(), failure.violation().getMessage()));
        }
        text.append(
                "%d histories, %d failed; %.0f operations and %.1f faults each%n"
                        .formatted(histories, failures.size(), operationsEach(), faultsEach()));
        text.append(
                "%d events, %d blocks checked, %d power cuts tried on a copy, %.1f virtual hours; %.1f s, %.0f histories/s%n"
                        .formatted(
                                events,
                                blocks,
                                clones,
                                virtualNanos / 3.6e12,
                                seconds,
                                histories / seconds));
        for (Rare situation : Rare.values()) {
            text.append(
                    "%9d histories, floor %d: %s%n"
                            .formatted(
                                    rare.getOrDefault(situation, 0L),
                                    situation.floorOf(histories),
                                    situation));
        }
        return text.toString();
    }
}
