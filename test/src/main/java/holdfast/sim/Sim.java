package holdfast.sim;

import holdfast.replicator.json.JsonException;
import holdfast.tunnel.wire.Mutants;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/// Runs simulated histories:
///
/// - `--seed N` or `--plan FILE` one of them, with its last events when it fails; `--trace` prints
///   every event; `--shrink` makes the failing plan small, within `--seconds S` (60); `--save FILE`
///   writes it;
/// - `--seeds A..B` or `--count N` many; `--seconds S` ends the batch early; `--failures N` goes on
///   until so many failed; `--shrink` makes the first failure small;
/// - `--floors`: a batch that reached a situation too rarely has failed ([Rare]); `--hashes-to
///   FILE` writes a hash of everything that happened, for each seed;
/// - `--hashes A..B` prints them;
/// - `--every-operation` and `--every-byte` try a fault at every place of short plans ([Sweep]);
///   `--crash-states` tries what a power cut may leave behind each of their steps.
///
/// Exit code 1 when a promise was broken, 2 for wrong options. docs/simulator.md says more.
public final class Sim {
    private static final String EVERY_OPERATION = "every operation of a disk";
    private static final String EVERY_BYTE = "a cut at every byte";
    private static final String CRASH_STATES = "states after a power cut";

    private Plan plan;
    private boolean trace;
    private boolean shrink;
    private Path save;
    private long from = 1;
    private long to = Long.MAX_VALUE;
    private long seconds = Long.MAX_VALUE;
    private int failures = 1;
    private int threads = Runtime.getRuntime().availableProcessors();
    private boolean hashes;
    private boolean floors;
    private String sweep = "";
    private Path hashesTo;

    private Sim() {}

    public static void main(String[] args) throws IOException, JsonException {
        Sim sim = new Sim();
        for (int i = 0; i < args.length; i++) {
            switch (args[i]) {
                case "--trace" -> sim.trace = true;
                case "--shrink" -> sim.shrink = true;
                case "--every-operation" -> sim.sweep = EVERY_OPERATION;
                case "--every-byte" -> sim.sweep = EVERY_BYTE;
                case "--crash-states" -> sim.sweep = CRASH_STATES;
                case "--floors" -> sim.floors = true;
                default -> {
                    if (i + 1 == args.length || !sim.option(args[i], args[i + 1])) {
                        System.err.println(
                                "usage: Sim [--seed N | --plan FILE] [--trace] [--shrink] [--save FILE]"
                                        + " | [--hashes A..B | --seeds A..B | --count N] [--seconds S]"
                                        + " [--failures N] [--threads N] [--floors] [--hashes-to FILE]"
                                        + " | --every-operation | --every-byte | --crash-states");
                        System.exit(2);
                    }
                    i++;
                }
            }
        }
        if (!sim.sweep.isEmpty()) {
            System.exit(sim.sweep());
        }
        System.exit(sim.plan != null ? sim.one() : sim.hashes ? sim.hash() : sim.many());
    }

    private boolean option(String name, String value) throws IOException, JsonException {
        switch (name) {
            case "--seed" -> plan = Plan.of(Long.parseLong(value));
            case "--plan" -> plan = Plan.Saved.read(Files.readString(Path.of(value))).plan();
            case "--hashes-to" -> hashesTo = Path.of(value);
            case "--save" -> save = Path.of(value);
            case "--hashes" -> {
                hashes = true;
                range(value);
            }
            case "--seeds" -> range(value);
            case "--count" -> to = from + Long.parseLong(value) - 1;
            case "--seconds" -> seconds = Long.parseLong(value);
            case "--failures" -> failures = Integer.parseInt(value);
            case "--threads" -> threads = Integer.parseInt(value);
            default -> {
                return false;
            }
        }
        return true;
    }

    private void range(String range) {
        from = Long.parseLong(range.substring(0, range.indexOf("..")));
        to = Long.parseLong(range.substring(range.indexOf("..") + 2));
    }

    private int sweep() {
        long within = seconds == Long.MAX_VALUE ? 3600 : seconds;
        Sweep.Result result =
                switch (sweep) {
                    case EVERY_BYTE -> Sweep.everyByte(within, threads);
                    case CRASH_STATES -> Sweep.everyCrashState(within, threads);
                    default -> Sweep.everyOperation(within, threads);
                };
        System.out.print(result.summary(sweep));
        return result.failures().isEmpty() ? 0 : 1;
    }

    private int many() throws IOException {
        Batch batch = Batch.run(from, to, seconds, failures, threads);
        System.out.print(batch.summary());
        for (Simulation.Result failure : batch.failures()) {
            System.out.println("replay: " + command(failure.plan().seed()));
        }
        if (hashesTo != null) {
            StringBuilder text = new StringBuilder();
            batch.hashes().forEach((seed, hash) -> text.append("%d %016x%n".formatted(seed, hash)));
            Files.writeString(hashesTo, text);
        }
        if (floors && !batch.missed().isEmpty()) {
            System.out.println("reached too rarely: " + batch.missed());
            return 1;
        }
        if (shrink && !batch.failures().isEmpty()) {
            plan = batch.failures().getFirst().plan();
            seconds = 60;
            return one();
        }
        return batch.failures().isEmpty() ? 0 : 1;
    }

    static String command(long seed) {
        return "test/sim --seed " + seed;
    }

    private int one() throws IOException {
        if (shrink) {
            Shrinker.Result shrunk =
                    Shrinker.shrink(plan, seconds == Long.MAX_VALUE ? 60 : seconds, threads);
            if (shrunk != null) {
                System.out.printf(
                        "%s: %d steps of %d, %d settings, in %.1f s and %d histories%n",
                        shrunk.id(),
                        shrunk.plan().steps(),
                        plan.steps(),
                        Plan.Setting.of(shrunk.plan().scenario()).size(),
                        shrunk.seconds(),
                        shrunk.runs());
                plan = shrunk.plan();
            }
        }
        Simulation.Result result = Simulation.run(plan, trace ? System.out : null);
        String promise = result.violation() == null ? "" : result.violation().promise();
        Plan.Saved saved =
                Plan.Saved.of(
                        plan,
                        "",
                        promise,
                        Optional.ofNullable(System.getProperty(Mutants.PROPERTY)));
        if (save != null) {
            Files.writeString(save, saved.text());
        }
        if (result.violation() == null) {
            System.out.printf(
                    "seed %d: all promises held, trace %016x%n", plan.seed(), result.traceHash());
            return 0;
        }
        if (!trace) {
            result.trace().forEach(System.out::println);
        }
        System.out.println(shrink ? saved.text() : plan.scenario());
        result.violation().printStackTrace(System.out);
        System.out.println("seed " + plan.seed() + ": " + result.violation().getMessage());
        return 1;
    }

    private int hash() {
        for (long seed = from; seed <= to; seed++) {
            System.out.printf("%d %016x%n", seed, Simulation.run(seed).traceHash());
        }
        return 0;
    }
}
