package holdfast.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/// Does the simulator see? Each deliberate mistake must break a promise within few histories;
/// without one the same seeds pass ([SimulationTest]). Those that hardly any history meets are left
/// to [PlansTest].
class MutantsTest {
    private static final List<String> MUTANTS =
            List.of(
                    "M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8", "M9", "M10", "M13", "M14",
                    "M15", "M16", "M17", "M19", "M20", "M22", "M23", "M24", "M25", "M26", "M27",
                    "M28", "M29", "M30", "M31", "M32", "M36", "M37", "M38", "M39", "M40", "M42",
                    "M44", "M45", "M46", "M50", "M51", "M52", "M53", "M54", "M60", "M61", "M62");

    /// The slowest of them, M5, takes 563.
    private static final int HISTORIES = 1000;

    private static final ExecutorService TWO = Executors.newFixedThreadPool(2);
    private static final List<Future<Forked>> RUNS =
            MUTANTS.stream().map(id -> TWO.submit(() -> run(id))).toList();

    static Stream<String> mutants() {
        return MUTANTS.stream();
    }

    private static Forked run(String mutant) throws Exception {
        return Forked.sim(
                List.of("-Dholdfast.mutants=" + mutant, "-XX:TieredStopAtLevel=1"),
                List.of("--count", "" + HISTORIES, "--threads", "1"));
    }

    @ParameterizedTest
    @MethodSource("mutants")
    void isCaught(String mutant) throws Exception {
        Forked forked = RUNS.get(MUTANTS.indexOf(mutant)).get();
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
