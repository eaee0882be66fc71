package holdfast.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

@Execution(ExecutionMode.SAME_THREAD)
class ShrinkerTest {
    @TempDir private Path dir;

    @ParameterizedTest
    @ValueSource(strings = {"M2", "M17", "M25"})
    void aFailureOfSomeHundredStepsComesDownToAFew(String mutant) throws Exception {
        Path file = dir.resolve("plan.json");
        Forked forked =
                Forked.sim(
                        List.of("-Dholdfast.mutants=" + mutant),
                        List.of(
                                "--count",
                                "100",
                                "--threads",
                                "1",
                                "--shrink",
                                "--save",
                                "" + file));
        assertEquals(1, forked.exitCode(), forked.output());
        Plan.Saved saved = Plan.Saved.read(Files.readString(file));
        assertTrue(saved.plan().steps() < 15, forked.output());
        assertEquals(Optional.of(mutant), saved.mutant());
        assertNull(Simulation.run(saved.plan(), null).violation(), "without " + mutant);
        forked.output()
                .lines()
                .filter(line -> line.contains(" steps of "))
                .forEach(line -> System.out.println(mutant + " shrunk, " + line));
    }

    @Test
    void aPlanThatHoldsIsNotShrunk() {
        assertNull(Shrinker.shrink(Plan.of(3), 10, 1));
    }
}
