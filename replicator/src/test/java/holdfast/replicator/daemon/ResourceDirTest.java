package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.TreeMap;
import java.util.UUID;

class ResourceDirTest {
    private static final UUID ID = new UUID(1, 2);
    private static final UUID NODE = new UUID(3, 4);

    @TempDir Path dir;

    @Test
    void anAttachWithoutAWriteCostsNoGenerationAndOneWithAWriteDoes() throws Exception {
        try (ResourceDir resource = created()) {
            Primary.Attached first = resource.attach(NODE, 100, 1);
            resource.detached(first, new Position(100, 7), true);
            Primary.Attached second = resource.attach(NODE, 200, 2);
            assertEquals(200, second.ancestry().generation());
            for (int i = 0; i < Ancestry.MAX_ENTRIES + 10; i++) {
                resource.detached(second, new Position(200, 0), true);
                second = resource.attach(NODE, 300 + i, 3);
                assertEquals(200, second.ancestry().generation());
            }
            assertEquals(2, second.ancestry().entries().size());
            assertEquals(new Position(200, 0), resource.superblock().position());

            resource.detached(second, new Position(200, 1), true);
            assertEquals(5, resource.attach(NODE, 5, 4).ancestry().generation());
            // Not detached: nobody knows whether there was a write.
            Primary.Attached crashed = resource.attach(NODE, 6, 5);
            assertNotEquals(5, crashed.ancestry().generation());
            assertEquals(Ancestry.Reason.CRASH, crashed.ancestry().entries().getLast().reason());
        }
    }

    /// Promise 5: after a stop that was none nobody knows what was written last.
    @Test
    void whatACleanStopKeptIsMissingAndAfterACrashEverythingMayBe() throws Exception {
        try (ResourceDir resource = created()) {
            Primary.Attached first = resource.attach(NODE, 100, 1);
            assertEquals(1 << 20, resource.unsentBytes());
            first.dirty().clear();
            first.dirty().add(3);
            first.suspect().add(5);
            resource.detached(first, new Position(100, 7), true);
            assertEquals(2 * BlockSet.BLOCK_BYTES, resource.unsentBytes());
            Primary.Attached second = resource.attach(NODE, 200, 2);
            assertEquals(1 << 20, resource.unsentBytes());
            second.dirty().clear();
            second.suspect().clear();
            resource.detached(second, new Position(200, 1), true);
            assertEquals(0, resource.unsentBytes());
        }
    }

    private ResourceDir created() throws Exception {
        TreeMap<String, Path> disks = new TreeMap<>();
        disks.put("server", Path.of("/dev/vg0/home"));
        return ResourceDir.create(
                dir,
                "home",
                new ResourceDir.Facts(
                        ID.toString(),
                        Role.PRIMARY.name(),
                        "/dev/vg0/home",
                        false,
                        "",
                        1 << 20,
                        "backup"),
                ResourceDir.newPrimary(ID, 1 << 20),
                ResourceSettings.ofDisks(disks));
    }
}
