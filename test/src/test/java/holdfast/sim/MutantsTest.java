package holdfast.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/// Does the simulator see? Each deliberate mistake must break a promise within few histories;
/// without one the same seeds pass ([SimulationTest]). Those that hardly any history meets are left
/// to [PlansTest].
@Execution(ExecutionMode.SAME_THREAD)
class MutantsTest {
    /// Each with a history that lately caught it, where that is not among the first dozen: there
    /// the search begins, so that it is short; where the plans have moved since, it only takes
    /// longer.
    private static final Map<String, Integer> MUTANTS =
            of(
                    "M1 M2 M3 M4 M5:326 M6 M7:112 M8:17 M9:261 M10 M11 M12 M13 M14 M15:16 M16 M17 M19"
                            + " M20:155 M22 M23 M24 M25 M26 M27 M28 M29:23 M30:63 M31 M32 M36 M37:191 M38:90"
                            + " M39:173 M40:38 M42 M44 M45:564 M46:79 M50:20 M51:99 M52:38 M53:22"
                            + " M54:21 M60:26 M61:80 M62:26 M63:119 M65:49 M70 M71:34 M72 M74:34 M75:350"
                            + " M80:60 M81 M82:119 M84:249 M85:155 M88:15 M89:240 M90:31"
                            + " M91:31"
                            + " M92:31 M93:138 M94 M95 M97");

    private static final int HISTORIES = 1000;

    private static final ExecutorService TWO = Executors.newFixedThreadPool(2);
    private static final Map<String, Future<Forked>> RUNS = new LinkedHashMap<>();

    static {
        MUTANTS.forEach((id, from) -> RUNS.put(id, TWO.submit(() -> run(id, from))));
    }

    static Stream<String> mutants() {
        return MUTANTS.keySet().stream();
    }

    private static Map<String, Integer> of(String mutants) {
        Map<String, Integer> each = new LinkedHashMap<>();
        for (String mutant : mutants.split(" ", -1)) {
            int colon = mutant.indexOf(':');
            each.put(
                    colon < 0 ? mutant : mutant.substring(0, colon),
                    colon < 0 ? 1 : Integer.parseInt(mutant.substring(colon + 1)));
        }
        return each;
    }

    private static Forked run(String mutant, int from) throws Exception {
        return Forked.inTheBackground(
                List.of("-Dholdfast.mutants=" + mutant, "-XX:TieredStopAtLevel=1"),
                List.of("--seeds", from + ".." + (from + HISTORIES - 1), "--threads", "1"));
    }

    @ParameterizedTest
    @MethodSource("mutants")
    void isCaught(String mutant) throws Exception {
        Forked forked = RUNS.get(mutant).get();
        assertEquals(1, forked.exitCode(), forked.output());
        String verdict = forked.output().lines().findFirst().orElseThrow();
        assertTrue(verdict.startsWith("seed "), forked.output());
        System.out.println(
                mutant + " caught, " + verdict.substring(0, Math.min(120, verdict.length())));
    }

    @AfterAll
    static void end() {
        TWO.shutdownNow();
    }
}
