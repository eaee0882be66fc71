package holdfast.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.List;

/// `-Dholdfast.sim.histories=N` says how many; docs/simulator.md says what is checked in each.
class SimulationTest {
    private static final int HISTORIES = Integer.getInteger("holdfast.sim.histories", 500);

    @Test
    void everyPromiseHoldsInEveryHistory() {
        // Ten times what an idle machine with two cores takes.
        Batch batch = Batch.run(1, HISTORIES, Math.max(150, HISTORIES / 10), 5, 2);
        System.out.print(batch.summary());
        assertEquals(
                List.of(),
                batch.failures().stream().map(f -> Sim.command(f.plan().seed())).toList(),
                batch::summary);
        // A slow machine must not pass by doing nothing.
        assertTrue(batch.histories() >= HISTORIES * 6 / 10, batch::summary);
        assertTrue(batch.operationsEach() >= 200 && batch.faultsEach() >= 8, batch::summary);
        if (batch.histories() >= 500) {
            assertEquals(List.of(), batch.missed(), "situations that were never reached");
        }
    }

    @Test
    void theSameSeedIsTheSameHistoryInAnotherJvm() throws Exception {
        StringBuilder here = new StringBuilder();
        for (long seed = 1; seed <= 5; seed++) {
            here.append("%d %016x%n".formatted(seed, Simulation.run(seed).traceHash()));
        }
        Forked other =
                Forked.sim(
                        List.of(
                                "-Xint",
                                "-XX:+UnlockExperimentalVMOptions",
                                "-XX:hashCode=1",
                                "-Djava.util.Locale.default=tr",
                                "-Duser.timezone=Asia/Kolkata"),
                        List.of("--hashes", "1..5"));
        assertEquals(here.toString(), other.output());
    }
}
