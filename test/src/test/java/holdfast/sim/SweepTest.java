package holdfast.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A fault at every place of short plans. Each loop has a time, and a floor, so that a slow machine
/// cannot pass by doing nothing.
@Execution(ExecutionMode.SAME_THREAD)
class SweepTest {
    private static final Pattern TOTAL =
            Pattern.compile("(\\d+) of (\\d+) runs, 0 failed", Pattern.MULTILINE);

    @Test
    void everyOperationOfADiskMayFail() throws Exception {
        assertMostOf(5000, sweep(List.of("--every-operation", "--seconds", "900")));
    }

    @Test
    void theLinkMayBeCutAtEveryByteOfASession() throws Exception {
        assertMostOf(15_000, sweep(List.of("--every-byte", "--seconds", "900")));
    }

    /// Otherwise its name promised what it does not do.
    @Test
    void thePlanOfAnEpochThatIsCutOffGoesOnFromIt() {
        Simulation.Result result = Simulation.run(Canonical.named("cut off").plan(), null);
        assertNull(result.violation());
        assertTrue(result.rare().containsKey(Rare.CONTINUED_EPOCH_COMMITTED));
    }

    /// Otherwise a loop that never looks would pass as well.
    @Test
    void aMistakeIsFound() throws Exception {
        Forked forked =
                Forked.inTheBackground(
                        List.of("-Dholdfast.mutants=M23"),
                        List.of("--every-operation", "--seconds", "300"));
        assertEquals(1, forked.exitCode(), forked.output());
        assertTrue(forked.output().contains("error of a journal sync: "), forked.output());
    }

    private static String sweep(List<String> what) throws Exception {
        List<String> arguments = new ArrayList<>(what);
        arguments.addAll(List.of("--threads", "2"));
        Forked forked = Forked.inTheBackground(Forked.MANY, arguments);
        assertEquals(0, forked.exitCode(), forked.output());
        System.out.print(forked.output());
        return forked.output();
    }

    private static void assertMostOf(int least, String output) {
        Matcher total = TOTAL.matcher(output);
        assertTrue(total.find(), output);
        int runs = Integer.parseInt(total.group(1));
        assertTrue(Integer.parseInt(total.group(2)) >= least, output);
        assertTrue(runs >= Integer.parseInt(total.group(2)) * 6L / 10, output);
    }
}
