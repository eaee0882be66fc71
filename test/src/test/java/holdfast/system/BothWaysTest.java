package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;

/// Each of two daemons is primary of one resource and backup of the other's, over one connection.
/// Each is killed in the middle of writing, in turn and then both: every resource keeps what was
/// answered, and comes back by itself in both directions.
class BothWaysTest {
    private static final int BLOCKS = 512;
    private static final long DEVICE_BYTES = (long) BLOCKS * BlockWriter.BLOCK_BYTES;

    @TempDir Path dir;

    private final List<BlockWriter> writers = new ArrayList<>();

    @Test
    void eitherSideMayDieWhileBothAreWrittenTo() throws Exception {
        try (TwoProcesses nodes = new TwoProcesses(dir, Map.of())) {
            Path east = nodes.add(nodes.left, "east", DEVICE_BYTES);
            Path west = nodes.add(nodes.right, "west", DEVICE_BYTES);
            assertEquals(
                    List.of("PRIMARY", "SECONDARY"), roles(nodes.left), "one of them each way");
            assertEquals(List.of("SECONDARY", "PRIMARY"), roles(nodes.right));
            ExecutorService threads = Executors.newCachedThreadPool();
            List<Future<?>> running = new ArrayList<>();
            try {
                running.add(write(threads, nodes.left, "east", 11));
                running.add(write(threads, nodes.right, "west", 12));
                kill(nodes, nodes.left);
                kill(nodes, nodes.right);
                kill(nodes, nodes.left, nodes.right);
            } finally {
                writers.forEach(BlockWriter::stop);
                for (Future<?> each : running) {
                    each.get();
                }
                threads.shutdownNow();
            }
            nodes.awaitInSync(nodes.left, "east");
            nodes.awaitInSync(nodes.right, "west");
            TwoProcesses.compare(nodes.right, "east", east);
            TwoProcesses.compare(nodes.left, "west", west);
            for (BlockWriter each : writers) {
                assertTrue(each.writes() > 50, "only " + each.writes() + " writes");
            }
        }
    }

    private static List<String> roles(NodeProcess of) throws Exception {
        return of.api.status().resources().stream().map(StatusReport.Resource::role).toList();
    }

    private Future<?> write(ExecutorService threads, NodeProcess node, String name, long seed) {
        BlockWriter writer = new BlockWriter(0, 0, BLOCKS, seed);
        writers.add(writer);
        return threads.submit(() -> writer.run(() -> open(node, name)));
    }

    private static BlockClient open(NodeProcess node, String name) throws InterruptedException {
        while (true) {
            try {
                return new BlockClient(TwoProcesses.socket(node, name), name);
            } catch (java.io.IOException e) {
                LockSupport.parkNanos(20_000_000);
                if (Thread.interrupted()) {
                    throw new InterruptedException();
                }
            }
        }
    }

    /// Once more was written on both sides, these die; they come back and both directions are
    /// established again.
    private void kill(TwoProcesses nodes, NodeProcess... victims) throws Exception {
        long[] written = writers.stream().mapToLong(BlockWriter::writes).toArray();
        NodeProcess.until(
                "both are written to",
                () ->
                        writers.get(0).writes() > written[0] + 20
                                && writers.get(1).writes() > written[1] + 20,
                nodes.left,
                nodes.right);
        for (NodeProcess each : victims) {
            each.kill();
        }
        for (NodeProcess each : victims) {
            each.start();
            each.awaitAnswer();
        }
        NodeProcess.until(
                "both are established again",
                () -> isEstablished(nodes.left, "east") && isEstablished(nodes.right, "west"),
                nodes.left,
                nodes.right);
    }

    private static boolean isEstablished(NodeProcess node, String name) {
        return node.resource(name)
                .filter(each -> each.replication().equals("ESTABLISHED"))
                .isPresent();
    }
}
