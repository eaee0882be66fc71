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

/// A fault at every place of short plans: at all of them. Each loop has a time, by which a slow
/// machine has failed and not passed by doing less.
@Execution(ExecutionMode.SAME_THREAD)
class SweepTest {
    private static final Pattern TOTAL =
            Pattern.compile("(\\d+) of (\\d+) runs, 0 failed", Pattern.MULTILINE);

    @Test
    void everyOperationOfADiskMayFail() throws Exception {
        assertAllOf(10_500, sweep(List.of("--every-operation", "--seconds", "1800")));
    }

    @Test
    void theLinkMayBeCutAtEveryByteOfASession() throws Exception {
        assertAllOf(50_000, sweep(List.of("--every-byte", "--seconds", "1800")));
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

    /// @param least what the plans are long enough for
    private static void assertAllOf(int least, String output) {
        Matcher total = TOTAL.matcher(output);
        assertTrue(total.find(), output);
        assertEquals(total.group(2), total.group(1), output);
        assertTrue(Integer.parseInt(total.group(1)) >= least, output);
    }
}
