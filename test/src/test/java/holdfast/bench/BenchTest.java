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
    void measuresCatchingUpBesideRsyncAndLeavesNothing() throws Exception {
        var out = new StringWriter();
        String[] arguments = {"--catch-up", "--cases=bdf", "--dir=" + directory};
        int code = new CommandLine(new Bench(new PrintWriter(out, true))).execute(arguments);
        String printed = out.toString();
        assertEquals(0, code, printed);
        assertTrue(printed.contains("(b) 1,000 random blocks"), printed);
        assertTrue(printed.contains("measured: 2 of 8"), printed);
        // Of 4 MiB of text that compress to a third the changed sectors, and as much of digests.
        String pages = printed.lines().filter(each -> each.startsWith("(f)")).toList().getFirst();
        String[] figures = pages.substring(46).strip().split(" +");
        long both = Long.parseLong(figures[0]) + Long.parseLong(figures[1]);
        assertTrue(both < 600_000, pages);
        try (Stream<Path> left = Files.list(directory)) {
            assertEquals(0, left.count());
        }
    }

    @Test
    void measuresAPromotionAndLeavesNothing() throws Exception {
        var out = new StringWriter();
        String[] arguments = {"--failover=0.05", "--seconds=1", "--no-bars", "--dir=" + directory};
        int code = new CommandLine(new Bench(new PrintWriter(out, true))).execute(arguments);
        String printed = out.toString();
        assertEquals(0, code, printed);
        assertTrue(printed.contains("the journal takes "), printed);
        assertTrue(printed.contains("promoted and its first block read in"), printed);
        assertTrue(printed.contains("made final in"), printed);
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
