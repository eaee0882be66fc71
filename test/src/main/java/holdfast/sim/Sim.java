package holdfast.sim;

/// Runs simulated histories:
///
/// - `--seed N` one of them, with its last events when it fails;
/// - `--seeds A..B` or `--count N` many; `--seconds S` ends the batch early; `--failures N` goes on
///   until so many failed;
/// - `--hashes A..B` prints a hash of everything that happened, for each seed.
///
/// Exit code 1 when a promise was broken, 2 for wrong options. docs/simulator.md says more.
public final class Sim {
    private Sim() {}

    public static void main(String[] args) {
        long from = 1;
        long to = Long.MAX_VALUE;
        long seconds = Long.MAX_VALUE;
        int failures = 1;
        int threads = Runtime.getRuntime().availableProcessors();
        for (int i = 0; i < args.length; i += 2) {
            String value = i + 1 < args.length ? args[i + 1] : "";
            switch (args[i]) {
                case "--seed" -> System.exit(one(Long.parseLong(value)));
                case "--hashes" -> System.exit(hashes(first(value), last(value)));
                case "--seeds" -> {
                    from = first(value);
                    to = last(value);
                }
                case "--count" -> to = from + Long.parseLong(value) - 1;
                case "--seconds" -> seconds = Long.parseLong(value);
                case "--failures" -> failures = Integer.parseInt(value);
                case "--threads" -> threads = Integer.parseInt(value);
                default -> {
                    System.err.println(
                            "usage: Sim [--seed N | --hashes A..B | --seeds A..B | --count N] [--seconds S]"
                                    + " [--failures N] [--threads N]");
                    System.exit(2);
                }
            }
        }
        Batch batch = Batch.run(from, to, seconds, failures, threads);
        System.out.print(batch.summary());
        for (Simulation.Result failure : batch.failures()) {
            System.out.println("replay: " + command(failure.seed()));
        }
        System.exit(batch.failures().isEmpty() ? 0 : 1);
    }

    static String command(long seed) {
        return "test/sim --seed " + seed;
    }

    private static int one(long seed) {
        Simulation.Result result = Simulation.run(seed);
        if (result.violation() == null) {
            System.out.printf(
                    "seed %d: all promises held, trace %016x%n", seed, result.traceHash());
            return 0;
        }
        System.out.println(Scenario.of(seed));
        result.trace().forEach(System.out::println);
        result.violation().printStackTrace(System.out);
        System.out.println("seed " + seed + ": " + result.violation().getMessage());
        return 1;
    }

    private static int hashes(long from, long to) {
        for (long seed = from; seed <= to; seed++) {
            System.out.printf("%d %016x%n", seed, Simulation.run(seed).traceHash());
        }
        return 0;
    }

    private static long first(String range) {
        return Long.parseLong(range.substring(0, range.indexOf("..")));
    }

    private static long last(String range) {
        return Long.parseLong(range.substring(range.indexOf("..") + 2));
    }
}
