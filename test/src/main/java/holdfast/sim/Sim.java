package holdfast.sim;

import java.util.EnumMap;
import java.util.Map;

/// Runs simulated histories: `--seed N` one, with its last events when it fails; `--seeds A..B`
/// many; `--seconds S` ends the batch early. Exit code 1 when a promise was broken.
public final class Sim {
    private Sim() {}

    public static void main(String[] args) {
        long from = 1;
        long to = Long.MAX_VALUE;
        long seconds = Long.MAX_VALUE / 1_000_000_000L;
        int stopAfter = 1;
        boolean one = false;
        for (int i = 0; i + 1 < args.length; i += 2) {
            String value = args[i + 1];
            switch (args[i]) {
                case "--seed" -> {
                    from = Long.parseLong(value);
                    to = from;
                    one = true;
                }
                case "--seeds" -> {
                    from = Long.parseLong(value.substring(0, value.indexOf("..")));
                    to = Long.parseLong(value.substring(value.indexOf("..") + 2));
                }
                case "--count" -> to = from + Long.parseLong(value) - 1;
                case "--seconds" -> seconds = Long.parseLong(value);
                case "--failures" -> stopAfter = Integer.parseInt(value);
                default -> {
                    System.err.println("unknown option " + args[i]);
                    System.exit(2);
                }
            }
        }
        long began = System.nanoTime();
        Batch batch = new Batch();
        for (long seed = from;
                seed <= to && System.nanoTime() - began < seconds * 1_000_000_000L;
                seed++) {
            Simulation.Result result = Simulation.run(seed);
            batch.add(result);
            if (result.violation() != null) {
                if (one) {
                    System.out.println(Scenario.of(seed));
                    result.trace().forEach(System.out::println);
                    result.violation().printStackTrace(System.out);
                }
                System.out.println("seed " + seed + ": " + result.violation().getMessage());
                if (batch.failures() >= stopAfter) {
                    break;
                }
            } else if (one) {
                System.out.println(
                        "seed " + seed + ": trace " + Long.toHexString(result.traceHash()));
            }
        }
        System.out.println(batch.summary((System.nanoTime() - began) / 1e9));
        System.exit(batch.failures() == 0 ? 0 : 1);
    }

    /// Totals over many histories.
    static final class Batch {
        private long histories;
        private long failed;
        private long operations;
        private long faults;
        private long events;
        private long blocks;
        private long clones;
        private long virtualNanos;
        private final Map<Rare, Long> rare = new EnumMap<>(Rare.class);

        void add(Simulation.Result r) {
            histories++;
            failed += r.violation() == null ? 0 : 1;
            operations += r.operations();
            faults += r.faults();
            events += r.events();
            blocks += r.checkedBlocks();
            clones += r.clones();
            virtualNanos += r.virtualNanos();
            r.rare().forEach((situation, count) -> rare.merge(situation, count, Long::sum));
        }

        long failures() {
            return failed;
        }

        String summary(double seconds) {
            StringBuilder text = new StringBuilder();
            text.append(
                    "%d histories, %d failed; %.0f operations and %.1f faults each; %d events, %d blocks and %d power cuts checked; %.1f virtual hours; %.1f s, %.0f histories/s%n"
                            .formatted(
                                    histories,
                                    failed,
                                    (double) operations / histories,
                                    (double) faults / histories,
                                    events,
                                    blocks,
                                    clones,
                                    virtualNanos / 3.6e12,
                                    seconds,
                                    histories / seconds));
            for (Rare situation : Rare.values()) {
                text.append("%8d %s%n".formatted(rare.getOrDefault(situation, 0L), situation));
            }
            return text.toString();
        }
    }
}
