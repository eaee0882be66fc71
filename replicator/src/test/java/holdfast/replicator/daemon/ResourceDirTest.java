package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Transaction;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.TreeMap;
import java.util.UUID;

class ResourceDirTest {
    private static final UUID ID = new UUID(1, 2);
    private static final long SIZE = 16 << 20;
    private static final UUID NODE = new UUID(3, 4);

    @TempDir Path dir;

    @Test
    void anAttachWithoutAWriteCostsNoGenerationAndOneWithAWriteDoes() throws Exception {
        try (ResourceDir resource = created()) {
            assertEquals(100, attach(resource, 100, 1).ancestry().generation());
            resource.detached(new Position(100, 7), Position.NONE, 0, true);
            Primary.Attached second = attach(resource, 200, 2);
            assertEquals(200, second.ancestry().generation());
            for (int i = 0; i < Ancestry.MAX_ENTRIES + 10; i++) {
                resource.detached(new Position(200, 0), Position.NONE, 0, true);
                second = attach(resource, 300 + i, 3);
                assertEquals(200, second.ancestry().generation());
            }
            assertEquals(2, second.ancestry().entries().size());
            assertEquals(new Position(200, 0), resource.superblock().position());

            resource.detached(new Position(200, 1), Position.NONE, 0, true);
            assertEquals(5, attach(resource, 5, 4).ancestry().generation());
            // Not detached: nobody knows whether there was a write.
            Primary.Attached crashed = attach(resource, 6, 5);
            assertNotEquals(5, crashed.ancestry().generation());
            assertEquals(Ancestry.Reason.CRASH, crashed.ancestry().entries().getLast().reason());
        }
    }

    private static Primary.Attached attach(ResourceDir resource, long generation, long wallMillis)
            throws Exception {
        return resource.attach(resource.recover().kept(), NODE, generation, wallMillis);
    }

    /// Promise 5: after a stop that was none, what was active may be missing.
    @Test
    void whatTheMetadataNameIsMissingAndOfAnExtentThatWasActiveAllOfIt() throws Exception {
        try (ResourceDir resource = created()) {
            assertEquals(SIZE, resource.missingBytes());
            resource.metadata().write(transaction(2, 2, List.of(), List.of()));
            assertEquals(0, resource.recover().kept().missingBytes());
            long[] bits = new long[Transaction.Page.blocks(1024) / 64];
            bits[0] = 0b101000;
            Transaction.Page page = new Transaction.Page(0, 0, bits);
            resource.metadata().write(transaction(3, 2, List.of(page), List.of(2L)));
        }
        try (ResourceDir resource = ResourceDir.open(dir, "home")) {
            assertEquals(2 * BlockSet.BLOCK_BYTES + (4 << 20), resource.missingBytes());
        }
        Files.delete(dir.resolve("home/metadata"));
        try (ResourceDir resource = ResourceDir.open(dir, "home")) {
            assertEquals(SIZE, resource.missingBytes());
        }
    }

    /// Or old pages would count as those of the new era, and say that what nobody compared is
    /// equal.
    @Test
    void withoutTheNewestTransactionAnEraBeginsThatNoPageHas() throws Exception {
        Transaction.Page page =
                new Transaction.Page(0, 0, new long[Transaction.Page.blocks(1024) / 64]);
        try (ResourceDir resource = created()) {
            resource.metadata().write(transaction(2, 1, List.of(page), List.of()));
            resource.metadata().write(transaction(3, 1, List.of(page), List.of()));
        }
        try (FileChannel file =
                FileChannel.open(dir.resolve("home/metadata"), StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.allocate(64 * 4096), 0);
        }
        try (ResourceDir resource = ResourceDir.open(dir, "home")) {
            Kept kept = resource.recover().kept();
            assertTrue(kept.isLost());
            resource.metadata()
                    .write(
                            new Transaction(
                                    kept.transaction() + 1,
                                    kept.era() + 1,
                                    Transaction.Blank.SUSPECT,
                                    Position.NONE,
                                    0,
                                    false,
                                    List.of(),
                                    List.of()));
            assertEquals(SIZE, resource.recover().kept().missingBytes());
        }
    }

    private static Transaction transaction(
            long number, long era, List<Transaction.Page> pages, List<Long> extents) {
        return new Transaction(
                number,
                era,
                Transaction.Blank.CLEAR,
                new Position(100, 7),
                1,
                false,
                pages,
                extents);
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
                ResourceDir.newPrimary(ID, SIZE),
                ResourceSettings.ofDisks(disks));
    }
}
