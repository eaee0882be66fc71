package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;

/// `link.rate` is what goes over the wire, also when it is changed meanwhile.
@Isolated("what it measures is the processor's, too")
class RateTest {
    /// The token bucket's own test measures within 3 %; here two JVM-wide daemons and the machine's
    /// other work are in between.
    private static final double TOLERANCE = 0.05;

    private static final Duration MEASURED = Duration.ofSeconds(5);

    @TempDir Path dir;

    @Test
    void theWireCarriesWhatIsSetAndStatusSaysIt() throws Exception {
        Path disk = dir.resolve("disk.img");
        byte[] content = new byte[48 << 20];
        new Random(8).nextBytes(content);
        Files.write(disk, content);
        try (TwoNodes nodes = new TwoNodes(dir, "[link]\nrate = \"8 Mbit/s\"\n", "")) {
            nodes.pair();
            nodes.addAndAttach("home", disk);
            requireRate(nodes, 1_000_000);
            adjust(nodes, "rate = \"24 Mbit/s\"");
            requireRate(nodes, 3_000_000);
            // First sync is background work: it keeps to the lower of the two.
            adjust(nodes, "rate = \"24 Mbit/s\"\ncatch-up = \"4 Mbit/s\"");
            requireRate(nodes, 500_000);
            adjust(
                    nodes,
                    "rate = \"24 Mbit/s\"\ncalendar = [\"Mon-Sun 00:00-24:00 link 1 Gbit/s\"]");
            assertEquals(Optional.of(125_000_000L), rate(nodes).bytesPerSecond());
            adjust(
                    nodes,
                    "rate = \"24 Mbit/s\"\ncalendar = [\"Mon-Sun 00:00-12:00 link 1 Gbit/s\"]");
            assertTrue(rate(nodes).nextChange().isPresent(), "the next change is known");
        }
    }

    private static StatusReport.Rate rate(TwoNodes nodes) {
        return nodes.server.status().link().orElseThrow().rate();
    }

    private static void adjust(TwoNodes nodes, String link) throws Exception {
        Files.writeString(
                nodes.serverPaths.nodeFile(), "[node]\nname = \"server\"\n[link]\n" + link + "\n");
        ControlApi.AdjustReply reply = nodes.server.adjust(new ControlApi.AdjustRequest(false));
        assertTrue(reply.applied(), reply.problems().toString());
    }

    private static void requireRate(TwoNodes nodes, long bytesPerSecond) {
        // What the kernel and the bucket had saved up goes first.
        LockSupport.parkNanos(Duration.ofSeconds(1).toNanos());
        long began = System.nanoTime();
        long before = sentBytes(nodes);
        LockSupport.parkNanos(MEASURED.toNanos());
        long sent = sentBytes(nodes) - before;
        double seconds = (System.nanoTime() - began) / 1e9;
        double rate = sent / seconds;
        System.out.printf(
                "RateTest: set to %d B/s, measured %.0f B/s (%+.1f %%)%n",
                bytesPerSecond, rate, 100 * (rate / bytesPerSecond - 1));
        StatusReport.Rate inForce = rate(nodes);
        long said =
                Math.min(
                        inForce.bytesPerSecond().orElse(Long.MAX_VALUE),
                        inForce.catchUpBytesPerSecond().orElse(Long.MAX_VALUE));
        assertEquals(bytesPerSecond, said, "status says the rate in force");
        assertEquals((double) bytesPerSecond, rate, TOLERANCE * bytesPerSecond);
    }

    private static long sentBytes(TwoNodes nodes) {
        return nodes.server.status().link().orElseThrow().sentWireBytes();
    }
}
