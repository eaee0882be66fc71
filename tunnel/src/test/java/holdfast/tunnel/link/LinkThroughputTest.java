package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/// Keeps the benchmark alive; a machine that is busy with other things proves no ratio.
class LinkThroughputTest {
    @Test
    void theBenchmarkRuns() throws Exception {
        assertTrue(LinkThroughput.tls(8 << 20) > 0);
        assertTrue(LinkThroughput.link(8 << 20, Compression.STREAM) > 0);
    }
}
