package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/// One, three and a hundred resources share one connection.
class ManyResourcesTest {
    private static final int DISK_BYTES = 1 << 20;
    private static final long JOURNAL_BYTES = 16L << 20;

    /// Of heap, for each resource here and its copy, which this process holds as well: bitmaps,
    /// index, buffers of a session.
    private static final long HEAP_EACH_BYTES = 1 << 20;

    @TempDir Path dir;

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 100})
    void allOfThemComeIntoSyncOverOneConnection(int count) throws Exception {
        Random random = new Random(count);
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            long before = usedBytes();
            List<Path> disks = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                Path disk = dir.resolve(name(i) + ".img");
                byte[] content = new byte[DISK_BYTES];
                random.nextBytes(content);
                Files.write(disk, content);
                nodes.addAndAttach(name(i), disk, JOURNAL_BYTES);
                disks.add(disk);
            }
            for (int i = 0; i < count; i++) {
                try (BlockClient client =
                        new BlockClient(
                                nodes.serverPaths.run().resolve(name(i) + ".nbd"), name(i))) {
                    byte[] data = new byte[64 << 10];
                    random.nextBytes(data);
                    client.write(
                            (long) random.nextInt(8) * data.length, ByteBuffer.wrap(data), true);
                }
            }
            for (int i = 0; i < count; i++) {
                nodes.untilInSync(name(i));
            }
            long used = usedBytes() - before;
            for (int i = 0; i < count; i++) {
                requireSame(nodes, name(i), disks.get(i));
            }
            StatusReport status = nodes.server.status();
            assertEquals(count, status.resources().size());
            assertEquals(count, status.sentences().size());
            assertTrue(used < 32 * DISK_BYTES + count * HEAP_EACH_BYTES, used + " bytes of heap");
            System.out.printf(
                    "ManyResourcesTest: %d resources in sync over one connection, %d KiB of heap for"
                            + " each (both nodes)%n",
                    count, used / count >> 10);
        }
    }

    private static String name(int number) {
        return "r" + number;
    }

    private static long usedBytes() {
        System.gc();
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    private static void requireSame(TwoNodes nodes, String name, Path disk) throws Exception {
        StatusReport.View view =
                nodes.backup.open(new ControlApi.OpenRequest(name, Optional.empty())).view();
        try (BlockClient client = new BlockClient(Path.of(view.socket()), name + "@latest")) {
            assertEquals(
                    ByteBuffer.wrap(Files.readAllBytes(disk)), client.read(0, DISK_BYTES), name);
        }
        nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
    }
}
