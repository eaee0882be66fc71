package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/// What comes while a journal grows: its disk does not answer, until both have come.
@Timeout(180)
class GrowthUnderWayTest {
    private static final long MIB = 1 << 20;

    @TempDir Path dir;

    @Test
    void nobodyElseCountsOnTheRoomAndAnEditIsOfTheNextAdjust() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("right.faults"), dir);
        try (TwoProcesses nodes = new TwoProcesses(dir, Map.of(), faults.environment())) {
            NodeProcess backup = nodes.right;
            nodes.add(nodes.left, "home", MIB);
            backup.api.storage(
                    new ControlApi.StorageRequest(
                            dir.resolve("storage/right").toString(), Optional.of(64 * MIB)));
            edit(backup.paths.resourceDirectory().resolve("home.toml"), "size", "32 MiB");
            faults.arm(FaultyDisk.Kind.HANG, FaultyDisk.SYNC, "home.journal/spare-", 1, 1);
            CompletableFuture<ControlApi.AdjustReply> growth =
                    CompletableFuture.supplyAsync(() -> adjust(backup));
            Path more = nodes.disk("more", MIB);
            try {
                TwoNodes.until("it grows", faults::hasStruck);
                // 17 MiB are used, 16 MiB promised.
                ControlApi.AddRequest add = TwoNodes.addRequest("more", more, 40 * MIB);
                ProblemException e =
                        assertThrows(ProblemException.class, () -> nodes.left.api.add(add));
                assertTrue(e.problem().text().contains("being made just now"), e.problem().text());
                edit(backup.paths.nodeFile(), "max", "65 MiB");
                assertFalse(growth.isDone());
            } finally {
                faults.release();
            }
            assertTrue(growth.join().applied(), growth.join().problems().toString());
            long bytes = backup.resource("home").orElseThrow().journal().orElseThrow().sizeBytes();
            assertEquals(32 * MIB, bytes);
            assertEquals(
                    List.of(backup.paths.nodeFile().toString()),
                    backup.api.status().settingsDiffer());
            List<ControlApi.Change> next = adjust(backup).changes();
            assertEquals(1, next.size(), next.toString());
            assertEquals("storage.max", next.getFirst().key());
            assertEquals(List.of(), backup.api.status().settingsDiffer());
        }
    }

    private static ControlApi.AdjustReply adjust(NodeProcess node) {
        try {
            return node.api.adjust(new ControlApi.AdjustRequest(false));
        } catch (ProblemException e) {
            throw new AssertionError(e);
        }
    }

    private static void edit(Path file, String key, String value) throws Exception {
        String was = Files.readString(file);
        String then = was.replaceFirst(key + " = \"[^\"]*\"", "%s = \"%s\"".formatted(key, value));
        assertFalse(then.equals(was), was);
        Files.writeString(file, then);
    }
}
