package holdfast.bench;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.stream.Stream;

/// What does replication cost the application? Sketch: a write that is kept for the peer costs one
/// copy less than nbdkit (which hands each request to a pool of threads) and one CRC, compression
/// and encryption more, on another thread. So with a processor to spare it is the disk that
/// decides; on two processors that also run fio and the backup, the share of each.
///
/// Every figure is the median of interleaved runs, and stands beside `nbdkit file` on the same disk
/// in the same run: machines are noisy, a ratio counts. docs/benchmarks.md says how to read it.
@Command(
        name = "test/bench",
        description = "Measures Holdfast beside nbdkit, which replicates nothing.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        exitCodeList = {
            "0:all bars were reached",
            "1:one was not",
            "2:usage, or a program is missing"
        })
public final class Bench implements Callable<Integer> {
    private static final long MIB = 1 << 20;

    /// The bars of today; DESIGN.md has the goals.
    private static final double RANDOM_BAR = 0.7;

    private static final double SEQUENTIAL_BAR = 0.85;

    /// Of a load that the link cannot carry, so that the send buffer runs over.
    private static final double OVERRUN_BAR = 0.5;

    /// How much of a load that the link carries has to be replicated as it is written.
    private static final double IN_STEP_BAR = 0.9;

    private static final double WIRE_BAR = 0.5;

    private static final int SPEED_BARS = 5;

    private static final String ESTABLISHED = "established";
    private static final String COLD = "cold";

    /// Four times what the activity log holds: of random writes three in four have to wait for a
    /// transaction.
    private static final int COLD_MIB = 16 << 10;

    @Option(
            names = "--runs",
            defaultValue = "5",
            description = "Interleaved runs (${DEFAULT-VALUE}).")
    private int runs;

    @Option(
            names = "--seconds",
            defaultValue = "3",
            description =
                    "Of each load in each run (${DEFAULT-VALUE}); of sequential writes three times as long.")
    private double seconds;

    @Option(
            names = "--size",
            paramLabel = "MIB",
            defaultValue = "512",
            description = "Of each device (${DEFAULT-VALUE}).")
    private int sizeMib;

    @Option(
            names = "--dir",
            defaultValue = "/var/tmp",
            description = "On the disk to be measured (${DEFAULT-VALUE}).")
    private Path directory;

    @Option(names = "--quick", description = "Two runs of 1.5 s, less for the wire: 2 minutes.")
    private boolean quick;

    @Option(
            names = "--only",
            paramLabel = "TARGET",
            split = ",",
            description = "Of alone, established, full, epoch, C, cold; nbdkit always runs.")
    private List<String> only = List.of("alone", ESTABLISHED, "full", "epoch", "C", COLD);

    @Option(
            names = "--loads",
            paramLabel = "LOAD",
            split = ",",
            description = "Of ${COMPLETION-CANDIDATES}.")
    private Set<Load> loads = EnumSet.allOf(Load.class);

    @Option(names = "--no-wire", description = "Leave out what needs root: bytes on the wire.")
    private boolean noWire;

    @Option(
            names = "--tree",
            paramLabel = "DIR",
            split = ",",
            defaultValue = "/usr/share/doc,/usr/include",
            description = "What is unpacked (${DEFAULT-VALUE}).")
    private List<Path> trees;

    @Option(
            names = "--catch-up",
            description = "Measure nothing but what it costs to catch up: 3 minutes.")
    private boolean catchUp;

    @Option(
            names = "--cases",
            paramLabel = "LETTERS",
            defaultValue = "abcdefg",
            description = "Of catching up (${DEFAULT-VALUE}).")
    private String cases;

    @Option(
            names = "--delay",
            paramLabel = "MILLIS",
            defaultValue = "0",
            description = "Of the line on which it catches up, each way (${DEFAULT-VALUE}).")
    private long delayMillis;

    @Option(
            names = "--failover",
            paramLabel = "GIB",
            split = ",",
            description =
                    "Measure nothing but the journal, moments and a promotion, with so much of it: 1,4,10.")
    private List<Double> failover = List.of();

    @Option(names = "--no-bars", description = "Judge nothing.")
    private boolean noBars;

    private final PrintWriter out;
    private final List<String> missed = new ArrayList<>();

    /// What stands or is mounted, to be ended also when we are told to stop.
    private final Deque<AutoCloseable> open = new ConcurrentLinkedDeque<>();

    private int judged;
    private Path work;

    public Bench(PrintWriter out) {
        this.out = out;
    }

    public static void main(String[] arguments) {
        var out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
        System.exit(new CommandLine(new Bench(out)).execute(arguments));
    }

    @Override
    public Integer call() throws Exception {
        if (quick) {
            runs = 2;
            seconds = 1.5;
        }
        List<String> missing =
                new ArrayList<>(
                        catchUp ? Programs.missing("rsync") : Programs.missing("nbdkit", "fio"));
        Optional<Path> postgres = postgres();
        if (!noWire && !catchUp && failover.isEmpty()) {
            missing.addAll(
                    Programs.missing("nbdfuse", "losetup", "mke2fs", "mount", "tar", "runuser"));
            if (postgres.isEmpty()) {
                missing.add("postgresql");
            }
            if (!System.getProperty("user.name").equals("root")) {
                missing.add("root (or --no-wire)");
            }
        }
        if (!missing.isEmpty()) {
            out.println("test/bench: this is missing: " + String.join(", ", missing));
            return 2;
        }
        work = Files.createTempDirectory(directory, "hf-");
        // PostgreSQL runs as a user of its own and must reach the mount point.
        Programs.run("chmod", "755", work.toString());
        out.printf(
                "%s  %d processors, load %s%n",
                Instant.now().truncatedTo(java.time.temporal.ChronoUnit.SECONDS),
                Runtime.getRuntime().availableProcessors(),
                Files.readString(Path.of("/proc/loadavg")).strip());
        Instant began = Instant.now();
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(this::cleanUp));
        try {
            if (catchUp) {
                measureCatchingUp();
            } else if (!failover.isEmpty()) {
                measureFailover();
            } else {
                measureSpeed();
                if (!noWire) {
                    measureWire(postgres.orElseThrow());
                }
            }
        } finally {
            // A hook that runs already waits for nothing but this.
            cleanUp();
        }
        out.printf(
                "%d s, load at the end %s%n",
                Duration.between(began, Instant.now()).toSeconds(),
                Files.readString(Path.of("/proc/loadavg")).strip());
        if (noBars) {
            return 0;
        }
        missed.forEach(each -> out.println("under its bar: " + each));
        if (missed.isEmpty()) {
            out.printf(
                    "all bars reached that were measured: %d of %d%n",
                    judged,
                    catchUp
                            ? CatchUp.BARS
                            : failover.isEmpty()
                                    ? SPEED_BARS
                                    : Append.BARS + failover.size() * Failover.BARS);
        }
        return missed.isEmpty() ? 0 : 1;
    }

    /// In reverse order; when we are told to stop, beside whoever is still at work with it.
    private synchronized void cleanUp() {
        try {
            for (AutoCloseable each = open.pollLast(); each != null; each = open.pollLast()) {
                close(each);
            }
            if (Files.exists(work)) {
                Programs.delete(work);
            }
        } catch (IOException e) {
            out.println("not cleaned up: " + e.getMessage());
        }
    }

    private void close(AutoCloseable each) {
        try {
            each.close();
        } catch (Exception e) {
            out.println("not cleaned up: " + e.getMessage());
        }
    }

    private static Optional<Path> postgres() throws IOException {
        Path all = Path.of("/usr/lib/postgresql");
        if (!Files.isDirectory(all)) {
            return Optional.empty();
        }
        try (Stream<Path> versions = Files.list(all)) {
            return versions.map(each -> each.resolve("bin"))
                    .filter(each -> Files.isExecutable(each.resolve("initdb")))
                    .max(Path::compareTo);
        }
    }

    // ---- speed -------------------------------------------------------------------------------

    private void measureSpeed() throws Exception {
        List<Target> targets = new ArrayList<>();
        targets.add(new Target.Nbdkit(disk("nbdkit")));
        for (String each : only) {
            if (!each.equals(COLD)) {
                targets.add(export(each));
            }
        }
        // Compiles what is hot, and gives each file its blocks; not counted.
        for (Target each : targets) {
            each.measure(Load.RANDOM_WRITE_32, Math.min(2, seconds));
        }
        var measured = new LinkedHashMap<Target, Map<Load, List<Target.Measured>>>();
        targets.forEach(each -> measured.put(each, new EnumMap<>(Load.class)));
        for (int run = 0; run < runs; run++) {
            for (Load load : loads) {
                for (Target target : targets) {
                    if (target.loads().contains(load)) {
                        settle(target.disk());
                        measured.get(target)
                                .computeIfAbsent(load, _ -> new ArrayList<>())
                                .add(target.measure(load, seconds));
                    }
                }
            }
        }
        new Table(out, "", measured).print();
        judge(targets, measured);
        while (!open.isEmpty()) {
            close(open.pollLast());
        }
        if (only.contains(COLD) && loads.contains(Load.RANDOM_WRITE_32)) {
            measureCold();
        }
    }

    /// Random writes all over a device that is larger than the activity log.
    private void measureCold() throws Exception {
        Path base = largeDisk("nbdkit-" + COLD);
        Pair pair = pair(largeDisk(COLD), Pair.Setup.PLAIN);
        List<Target> targets =
                List.of(
                        new Target.Nbdkit(base),
                        new Target.Export(ESTABLISHED, pair, List.of(Load.values()), true));
        var measured = new LinkedHashMap<Target, Map<Load, List<Target.Measured>>>();
        for (Target each : targets) {
            each.measure(Load.RANDOM_WRITE_32, Math.min(2, seconds));
            measured.put(each, Map.of(Load.RANDOM_WRITE_32, new ArrayList<>()));
        }
        for (int run = 0; run < runs; run++) {
            for (Target each : targets) {
                Programs.run("sync", "-f", work.toString());
                measured.get(each)
                        .get(Load.RANDOM_WRITE_32)
                        .add(each.measure(Load.RANDOM_WRITE_32, seconds));
            }
        }
        new Table(out, ", cold", measured).print();
        close(open.pollLast());
    }

    /// Nothing is left to be written, and the whole disk is in memory, read in the same way for
    /// all: what was in memory before, and in pieces of which size, made a third of the figure.
    private void settle(Path disk) throws IOException, InterruptedException {
        Programs.run("sync", "-f", work.toString());
        Programs.run("dd", "of=" + disk, "oflag=nocache", "conv=notrunc", "count=0", "status=none");
        Programs.run("dd", "if=" + disk, "of=/dev/null", "bs=1M", "status=none");
    }

    private void judge(
            List<Target> targets, Map<Target, Map<Load, List<Target.Measured>>> measured) {
        for (Target target : targets) {
            if (!target.title().equals(ESTABLISHED)) {
                continue;
            }
            bar(measured, targets.getFirst(), target, Load.RANDOM_WRITE_32, RANDOM_BAR);
            bar(measured, targets.getFirst(), target, Load.SEQUENTIAL_WRITE_PACED, SEQUENTIAL_BAR);
            bar(measured, targets.getFirst(), target, Load.SEQUENTIAL_WRITE, OVERRUN_BAR);
            inStep(target, measured.get(target).get(Load.SEQUENTIAL_WRITE_PACED));
        }
    }

    private void inStep(Target target, List<Target.Measured> runs) {
        if (runs == null) {
            return;
        }
        double[] parts = runs.stream().mapToDouble(run -> run.fraction("ESTABLISHED")).toArray();
        judged++;
        if (median(parts) < IN_STEP_BAR) {
            missed.add(
                    "%s, %s: ESTABLISHED for %.2f of the time, should be %.2f"
                            .formatted(
                                    target.title(),
                                    Load.SEQUENTIAL_WRITE_PACED.title(),
                                    median(parts),
                                    IN_STEP_BAR));
        }
    }

    private void bar(
            Map<Target, Map<Load, List<Target.Measured>>> measured,
            Target nbdkit,
            Target target,
            Load load,
            double bar) {
        if (!loads.contains(load)) {
            return;
        }
        judged++;
        double ratio =
                Table.medianRatio(measured.get(target).get(load), measured.get(nbdkit).get(load));
        if (ratio < bar) {
            missed.add(
                    "%s, %s: %.2f of nbdkit, should be %.2f"
                            .formatted(target.title(), load.title(), ratio, bar));
        }
    }

    /// A file of zeroes with all its blocks, in a directory of its own.
    private Path disk(String name) throws IOException, InterruptedException {
        Path disk = Files.createDirectories(work.resolve(name)).resolve(Pair.RESOURCE);
        Programs.run(
                "dd",
                "if=/dev/zero",
                "of=" + disk,
                "bs=1M",
                "count=" + sizeMib,
                "conv=fsync",
                "status=none");
        return disk;
    }

    /// A file that has its blocks, none of them written.
    private Path largeDisk(String name) throws IOException, InterruptedException {
        Path disk = Files.createDirectories(work.resolve(name)).resolve(Pair.RESOURCE);
        Programs.run("fallocate", "-l", COLD_MIB + "MiB", disk.toString());
        return disk;
    }

    private Target export(String name) throws Exception {
        List<Load> all = List.of(Load.values());
        List<Load> writes =
                List.of(Load.RANDOM_WRITE_1, Load.RANDOM_WRITE_32, Load.SEQUENTIAL_WRITE);
        // Of these the buffer stays closed, or the epoch open, for as long as all runs take.
        String narrow = "[buffer]\nsend = \"32 MiB\"\n";
        return switch (name) {
            case "alone" -> {
                Pair pair = pair(name, Pair.Setup.PLAIN);
                pair.stopBackup();
                yield new Target.Export("no peer", pair, all, false);
            }
            case ESTABLISHED ->
                    new Target.Export(ESTABLISHED, pair(name, Pair.Setup.PLAIN), all, true);
            case "full" -> {
                var setup = new Pair.Setup("rate = \"128 kbit/s\"\n" + narrow, "A");
                yield new Target.Export("link full", pair(name, setup), writes, false);
            }
            case "epoch" -> {
                var setup = new Pair.Setup("catch-up = \"128 kbit/s\"\n" + narrow, "A");
                Pair pair = pair(name, setup);
                Load.RANDOM_WRITE_32.run(pair.uri(), 2);
                pair.awaitState("SYNC_SOURCE");
                yield new Target.Export("epoch running", pair, writes, false);
            }
            case "C" ->
                    new Target.Export(
                            "protocol C", pair(name, new Pair.Setup("", "C")), writes, true);
            default ->
                    throw new CommandLine.ParameterException(
                            new CommandLine(this), "there is no target " + name);
        };
    }

    private Pair pair(String name, Pair.Setup setup) throws Exception {
        return pair(disk(name), setup);
    }

    private Pair pair(Path disk, Pair.Setup setup) throws Exception {
        // An epoch of all that is written has to go in.
        Pair pair = Pair.start(disk.getParent(), setup, (2L * sizeMib + 64) * MIB);
        open.addLast(pair);
        return pair;
    }

    // ---- bytes -------------------------------------------------------------------------------

    private void measureWire(Path postgres) throws Exception {
        Path archive = work.resolve("trees.tar");
        List<String> tar = new ArrayList<>(List.of("tar", "-cf", archive.toString()));
        trees.forEach(each -> tar.add(each.toString()));
        Programs.run(tar);
        sizeMib = Math.max(1024, (int) (2 * Files.size(archive) / MIB));
        List<Wire.Bytes> all = new ArrayList<>();
        Pair pair = pair("wire", Pair.Setup.PLAIN);
        var wire = new Wire(pair, work);
        open.addLast(wire);
        wire.mount();
        all.add(wire.untar(archive));
        all.addAll(wire.postgres(postgres, quick ? 2 : 10, quick ? 5 : 15));
        while (!open.isEmpty()) {
            close(open.pollLast());
        }
        judged++;
        out.printf("%n%-44s %12s %12s %7s%n", "bytes", "raw", "on the wire", "ratio");
        for (Wire.Bytes each : all) {
            out.printf(
                    "%-44s %12d %12d %7.3f%n", each.what(), each.raw(), each.wire(), each.ratio());
            if (each.ratio() > WIRE_BAR) {
                missed.add(
                        "%s: %.3f of the raw bytes on the wire, should be %.2f at most"
                                .formatted(each.what(), each.ratio(), WIRE_BAR));
            }
        }
    }

    // ---- coming back -------------------------------------------------------------------------

    private void measureCatchingUp() throws Exception {
        var measuring = new CatchUp(out, work, delayMillis, cases);
        missed.addAll(measuring.run());
        judged += measuring.judged();
    }

    private void measureFailover() throws Exception {
        double most = failover.stream().mapToDouble(each -> each).max().orElseThrow();
        missed.addAll(new Append(out, work, (long) (most / 4 * (1 << 30))).run());
        judged += Append.BARS;
        for (double gib : failover) {
            var measuring = new Failover(out, work, seconds);
            missed.addAll(measuring.run(gib));
            judged += measuring.judged();
        }
    }

    /// The middle one.
    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int n = sorted.length;
        return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    }
}
