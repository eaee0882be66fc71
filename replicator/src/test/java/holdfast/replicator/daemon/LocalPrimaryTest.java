package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.DeviceNode;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;

/// A role that is over, for whoever has found it before and comes to it only then.
class LocalPrimaryTest {
    private static final String CHOSEN = "another moment of it was chosen just now";

    @TempDir Path dir;

    @Test
    void aRoleThatWasHandedOverIsNeitherAttachedNorMadeFinal() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary primary = RosterTest.primary(node, "home", new UUID(1, 2));
            assertEquals("", primary.makeFinal(), "a plain disk is final");
            primary.handOver();
            assertEquals(CHOSEN, assertThrows(IOException.class, primary::makeFinal).getMessage());
            assertEquals(
                    CHOSEN, assertThrows(IOException.class, () -> attach(primary)).getMessage());
            assertFalse(primary.isAttached());
        }
    }

    @Test
    void aRoleThatEndsSaysWhatBecomesOfIt() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary primary = RosterTest.primary(node, "home", new UUID(1, 2));
            primary.end("it is just being removed");
            assertEquals(
                    "it is just being removed",
                    assertThrows(IOException.class, () -> attach(primary)).getMessage());
            primary.close();
        }
    }

    /// As after a reboot in which the names of devices changed, behind a crash.
    @Test
    void anotherDiskIsExportedOnlyWhenSomebodySaysSo() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            Path disk = node.storage.resolve("home.disk");
            Files.write(disk, new byte[16 << 20]);
            LocalPrimary primary = RosterTest.primary(node, "home", new UUID(1, 2));
            Files.writeString(
                    primary.dir().path().resolve("attached"), "the device eui.0025385a91b02461");
            String why = assertThrows(IOException.class, primary::attachUnasked).getMessage();
            assertTrue(
                    why.contains("and was the device eui.0025385a91b02461: another disk")
                            && why.contains(" attach home. "),
                    why);
            assertFalse(primary.isAttached());
            attach(primary);
            assertTrue(primary.isAttached());
            primary.close();
        }
    }

    @Test
    void onlyWhatCannotBeTheSameIsAnotherDisk() {
        String file = "the file with inode 12, made at 1.000000002";
        String one = "partition 1 of the device naa.5000c500a1b2c3d4";
        assertTrue(DeviceNode.areTwo(one, "partition 1 of the device naa.5000c500a1b2c3d5"));
        assertTrue(DeviceNode.areTwo(one, file) && DeviceNode.areTwo(file, one));
        assertFalse(DeviceNode.areTwo(one, one));
        assertFalse(DeviceNode.areTwo(one, "a device without an id"));
        assertFalse(DeviceNode.areTwo("a device without an id", one));
        assertFalse(DeviceNode.areTwo(file, "the file with inode 13, made nobody knows when"));
        assertFalse(DeviceNode.areTwo("", one), "nothing was attached");
    }

    /// Nobody comes between the counting of the clients and the detach, whichever orders count.
    @Test
    void whoIsThereIsCountedWhileNobodyIsLetIn() throws Exception {
        try (PromotedNode promoted = new PromotedNode(dir, 4 << 20, 64 << 20)) {
            LocalPrimary primary = promoted.primary();
            Export export = primary.exports().getFirst();
            export.opened();
            try (var turnedAway = primary.turnAway()) {
                assertThrows(ExportException.class, export::opened);
                try (var _ = primary.turnAway()) {
                    assertThrows(ExportException.class, export::opened);
                }
                assertThrows(ExportException.class, export::opened);
                assertEquals(1, primary.resource().orElseThrow().clients());
                turnedAway.requireStill();
            }
            export.opened();
            export.closed();
            assertThrows(ProblemException.class, () -> promoted.manager.detach("home"));
            export.opened();
            export.closed();
            export.closed();
            try (var turnedAway = primary.turnAway()) {
                promoted.manager.detach("home");
                turnedAway.requireStill();
                promoted.manager.attach("home");
                assertThrows(IOException.class, turnedAway::requireStill);
            }
            primary.exports().getFirst().opened();
            primary.exports().getFirst().closed();
        }
    }

    private static void attach(LocalPrimary primary) throws IOException {
        primary.attach(BackupResource.ANSWERS);
    }
}
