package holdfast.bench;

import java.io.PrintWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// The figures of speed, for people.
///
/// @param where of the device the loads went, behind the title of each; empty for all over it
/// @param measured for each target, the first of which is what the others are compared with, and
///   load: one figure for each run
record Table(
        PrintWriter out, String where, Map<Target, Map<Load, List<Target.Measured>>> measured) {
    void print() {
        Map<Load, List<Target.Measured>> base = measured.values().iterator().next();
        for (Load load : Load.values()) {
            if (!base.containsKey(load)) {
                continue;
            }
            out.printf(
                    "%n%-26s %10s %7s %11s %9s %9s  %s%n",
                    load.title() + where,
                    load.isSequential() ? "MiB/s" : "IOPS",
                    "ratio",
                    "of runs",
                    "CPU us/op",
                    "at backup",
                    "replication meanwhile");
            measured.forEach(
                    (target, loads) -> {
                        List<Target.Measured> runs = loads.get(load);
                        if (runs != null) {
                            row(target, runs, base.get(load));
                        }
                    });
        }
        out.println();
    }

    private void row(Target target, List<Target.Measured> runs, List<Target.Measured> base) {
        out.printf(
                "  %-24s %10.0f %7s %11s %9.1f %9.1f  %s%n",
                target.title(),
                median(runs, Target.Measured::operationsPerSecond),
                runs == base ? "" : "%.2f".formatted(medianRatio(runs, base)),
                runs == base ? "" : spread(runs, base),
                median(runs, Target.Measured::cpuMicros),
                median(runs, Target.Measured::backupCpuMicros),
                states(runs));
    }

    private static String states(List<Target.Measured> runs) {
        Set<String> names = new TreeSet<>();
        runs.forEach(each -> names.addAll(each.states().keySet()));
        return names.stream()
                .map(
                        name ->
                                "%s %.0f %%"
                                        .formatted(name, 100 * median(runs, m -> m.fraction(name))))
                .collect(Collectors.joining(", "));
    }

    private static double median(
            List<Target.Measured> runs, ToDoubleFunction<Target.Measured> value) {
        return Bench.median(runs.stream().mapToDouble(value).toArray());
    }

    /// The median of the ratios of each run: what disturbs a run mostly disturbs both.
    static double medianRatio(List<Target.Measured> runs, List<Target.Measured> base) {
        return Bench.median(ratios(runs, base));
    }

    /// The lowest and the highest of them.
    private static String spread(List<Target.Measured> runs, List<Target.Measured> base) {
        double[] sorted = ratios(runs, base);
        Arrays.sort(sorted);
        return "%.2f-%.2f".formatted(sorted[0], sorted[sorted.length - 1]);
    }

    private static double[] ratios(List<Target.Measured> runs, List<Target.Measured> base) {
        return IntStream.range(0, runs.size())
                .mapToDouble(
                        i -> runs.get(i).operationsPerSecond() / base.get(i).operationsPerSecond())
                .toArray();
    }
}
