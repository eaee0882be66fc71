package holdfast.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The batch, in a JVM of its own, which has the memory that it wants; `-Dholdfast.sim.histories=N`
/// says how many, docs/simulator.md what is checked in each.
@Execution(ExecutionMode.SAME_THREAD)
class SimulationTest {
    private static final int HISTORIES = Integer.getInteger("holdfast.sim.histories", 5000);

    @TempDir private static Path dir;
    private static Path hashes;
    private static Forked batch;

    @BeforeAll
    static void run() throws Exception {
        hashes = dir.resolve("hashes");
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "--count",
                                "" + HISTORIES,
                                // Of a processor that others need more. What is not done by
                                // then has failed.
                                "--seconds",
                                "" + Math.max(300, HISTORIES / 2),
                                "--failures",
                                "5",
                                "--threads",
                                "2",
                                "--hashes-to",
                                hashes.toString()));
        // The rarest situations are not met for certain in fewer.
        if (HISTORIES >= 5000) {
            arguments.add("--floors");
        }
        batch = Forked.inTheBackground(Forked.MANY, arguments);
        System.out.print(batch.output());
    }

    /// That every situation was reached often enough is part of it.
    @Test
    void everyPromiseHoldsInEveryHistory() {
        assertEquals(0, batch.exitCode(), batch.output());
        Matcher counts =
                Pattern.compile(
                                "(\\d+) histories, 0 failed; (\\d+) operations and ([\\d.]+) faults each")
                        .matcher(batch.output());
        assertTrue(counts.find(), batch.output());
        // A slow machine must not pass by doing less.
        assertEquals(HISTORIES, Long.parseLong(counts.group(1)), batch.output());
        assertTrue(Long.parseLong(counts.group(2)) >= 200, batch.output());
        assertTrue(Double.parseDouble(counts.group(3)) >= 8, batch.output());
    }

    @Test
    void theSameSeedIsTheSameHistoryWhenInterpreted() throws Exception {
        compare(
                1,
                2,
                List.of(
                        "-Xint",
                        "-XX:+UnlockExperimentalVMOptions",
                        "-XX:hashCode=1",
                        "-Duser.language=tr",
                        "-Duser.timezone=Asia/Kolkata"));
    }

    @Test
    void theSameSeedIsTheSameHistoryWithOtherMemoryAndHashes() throws Exception {
        compare(
                3,
                2 + HISTORIES / 100,
                List.of(
                        "-Xmx160m",
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-XX:+UnlockExperimentalVMOptions",
                        "-XX:hashCode=2",
                        "-Dfile.encoding=ISO-8859-1"));
    }

    private static void compare(int from, int to, List<String> jvmOptions) throws Exception {
        List<String> here = Files.readAllLines(hashes).subList(from - 1, to);
        Forked other = Forked.inTheBackground(jvmOptions, List.of("--hashes", from + ".." + to));
        assertEquals(here, other.output().lines().toList());
    }
}
