package holdfast.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.json.JsonException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// Plans that once broke a promise, each shrunk and kept: they hold now, and those of a deliberate
/// mistake break the same promise again when it is switched on. When a change of the product lets
/// such a plan pass with its mistake, make another: docs/simulator.md says how.
@Execution(ExecutionMode.SAME_THREAD)
class PlansTest {
    static Stream<Path> plans() throws IOException {
        try (Stream<Path> files = Files.list(Path.of("src/test/resources/plans"))) {
            return files.sorted().toList().stream();
        }
    }

    static Stream<Path> plansOfMutants() throws IOException {
        return plans().filter(
                        file -> {
                            try {
                                return read(file).mutant().isPresent();
                            } catch (IOException | JsonException e) {
                                throw new IllegalStateException(file.toString(), e);
                            }
                        });
    }

    private static Plan.Saved read(Path file) throws IOException, JsonException {
        return Plan.Saved.read(Files.readString(file));
    }

    @ParameterizedTest
    @MethodSource("plans")
    void holds(Path file) throws Exception {
        Plan.Saved saved = read(file);
        assertTrue(saved.about().endsWith("."), "a plan says why it is kept");
        assertNull(Simulation.run(saved.plan(), null).violation(), saved.about());
    }

    @ParameterizedTest
    @MethodSource("plansOfMutants")
    void breaksItsPromiseWithItsMutant(Path file) throws Exception {
        Plan.Saved saved = read(file);
        Forked forked =
                Forked.sim(
                        List.of("-Dholdfast.mutants=" + saved.mutant().orElseThrow()),
                        List.of("--plan", file.toString()));
        assertEquals(1, forked.exitCode(), forked.output());
        String verdict = forked.output().lines().toList().getLast();
        assertTrue(
                verdict.startsWith("seed " + saved.seed() + ": " + saved.promise()),
                forked.output());
        System.out.println(
                saved.mutant().orElseThrow() + " caught by its plan, " + saved.promise());
    }

    @Test
    void aSavedPlanIsTheSamePlanAndTheSameHistory() throws Exception {
        Plan plan = Plan.of(3);
        Plan.Saved saved = Plan.Saved.of(plan, "About.", "PFX", Optional.of("M2"));
        Plan.Saved read = Plan.Saved.read(saved.text());
        assertEquals(saved, read);
        assertEquals(plan, read.plan());
        assertEquals(
                Simulation.run(plan, null).traceHash(),
                Simulation.run(read.plan(), null).traceHash());
    }

    /// Without this a plan could not be made shorter step by step.
    @Test
    void aStepLeftOutAtTheEndLeavesWhatWasBefore() {
        Plan plan = Plan.of(3);
        int kept = plan.requests().size() / 2;
        Plan shorter = plan.withSteps(plan.requests().subList(0, kept), plan.strikes());
        List<String> all = Traced.lines(plan);
        List<String> less = Traced.lines(shorter);
        int same = 0;
        while (all.get(same).equals(less.get(same))) {
            same++;
        }
        long nanos = plan.requests().get(kept).nanos();
        double differsFrom = Double.parseDouble(less.get(same).strip().split(" ")[0]);
        assertTrue(
                differsFrom >= (nanos + Simulation.BEGINNING_NANOS) / 1e9,
                "differs from " + differsFrom + " s on");
    }
}
