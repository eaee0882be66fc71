package holdfast.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import picocli.CommandLine;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/// The benchmark once, small and without judging, so that it stays alive.
class BenchTest {
    @TempDir private Path directory;

    @Test
    void measuresTwoDaemonsBesideNbdkitAndLeavesNothing() throws Exception {
        var out = new StringWriter();
        String[] arguments = {
            "--runs=1",
            "--seconds=0.3",
            "--size=16",
            "--only=established",
            "--loads=RANDOM_WRITE_32",
            "--no-wire",
            "--no-bars",
            "--dir=" + directory
        };
        int code = new CommandLine(new Bench(new PrintWriter(out, true))).execute(arguments);
        String printed = out.toString();
        assertEquals(0, code, printed);
        assertTrue(printed.contains("nbdkit file"), printed);
        assertTrue(printed.contains("established"), printed);
        try (Stream<Path> left = Files.list(directory)) {
            assertEquals(0, left.count());
        }
    }

    @Test
    void theMedianIsTheMiddleOne() {
        assertEquals(2, Bench.median(new double[] {3, 1, 2}));
        assertEquals(2.5, Bench.median(new double[] {4, 1, 2, 3}));
    }
}
