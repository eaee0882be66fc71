package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.state.Backup;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/// Orders on a promoted copy whose journal's disk does not answer.
class SlowJournalTest {
    private static final long MIB = 1 << 20;

    @TempDir Path dir;

    private PromotedNode promoted() throws Exception {
        return new PromotedNode(dir, 4 * MIB, 64 * MIB);
    }

    /// Whatever the disk has still to store comes behind it.
    @Test
    void aMomentInFrontOfTheNewestIsKeptAndOpenedAndGoneOnFrom() throws Exception {
        try (PromotedNode promoted = promoted()) {
            promoted.write(0, 1, 1);
            promoted.flush();
            String then = Instant.ofEpochMilli(promoted.newestLabel()).toString();
            promoted.write(0, 2, 1);
            promoted.flush();
            promoted.newestLabel();
            promoted.write(0, 3, 1);
            LocalBackup copy = promoted.copy();
            try (var _ = new HungJournals(promoted.node.committers.of(dir), dir)) {
                assertFalse(copy.resource().bringUp(Duration.ofMillis(20)));
                ControlApi.Kept kept =
                        promoted.manager
                                .keep(
                                        new ControlApi.KeepRequest(
                                                "home",
                                                "before",
                                                Optional.of(then),
                                                Optional.empty()))
                                .kept();
                assertEquals(then, kept.time().toString());
                ControlApi.PromoteReply preview =
                        promoted.manager.promote(backTo(then, true, Optional.empty()));
                assertEquals(then, preview.from().orElseThrow().time().toString());
                for (String moment : List.of(then, "before")) {
                    copy.openFor("home@" + moment, moment, 0, _ -> {});
                }
                List<LocalBackup.OpenView> views = List.copyOf(copy.views());
                assertEquals(2, views.size());
                assertTrue(views.stream().noneMatch(LocalBackup.OpenView::behind));
                views.forEach(each -> each.exports().getFirst().closed());
            }
        }
    }

    /// It would have to be detached first, and that waits for the disk.
    @Test
    void anotherMomentIsNotGoneOnFromAndTheDeviceStaysExported() throws Exception {
        try (PromotedNode promoted = promoted()) {
            promoted.write(0, 1, 1);
            promoted.flush();
            String then = Instant.ofEpochMilli(promoted.newestLabel()).toString();
            promoted.write(0, 2, 1);
            promoted.flush();
            promoted.newestLabel();
            promoted.write(0, 3, 1);
            try (var _ = new HungJournals(promoted.node.committers.of(dir), dir)) {
                Optional<String> confirm =
                        promoted.manager.promote(backTo(then, true, Optional.empty())).confirm();
                ProblemException why =
                        assertThrows(
                                ProblemException.class,
                                () -> promoted.manager.promote(backTo(then, false, confirm)));
                assertTrue(why.getMessage().contains("nothing changed"), why.getMessage());
                assertTrue(why.getMessage().contains("see why its disk hangs"), why.getMessage());
                assertTrue(promoted.primary().isAttached());
            }
            promoted.write(0, 4, 1);
            promoted.flush();
        }
    }

    private static ControlApi.PromoteRequest backTo(
            String time, boolean dryRun, Optional<String> confirm) {
        return new ControlApi.PromoteRequest(
                "home", Optional.of(time), false, false, dryRun, confirm);
    }

    @Test
    void anAttachIsRefusedWithItsCauseAndIsDoneWhenTheDiskAnswers() throws Exception {
        try (PromotedNode promoted = promoted()) {
            promoted.write(0, 1, 1);
            promoted.flush();
            promoted.manager.detach("home");
            LocalPrimary primary = promoted.primary();
            Path socket = promoted.copy().socket();
            try (var _ = new HungJournals(promoted.node.committers.of(dir), dir)) {
                for (int i = 0; i < 2; i++) { // The second has the first one's commit to wait for.
                    DeviceException why =
                            assertThrows(
                                    DeviceException.class,
                                    () -> primary.attach(Duration.ofMillis(50)));
                    assertTrue(
                            why.getMessage().contains("see why its disk hangs"), why.getMessage());
                    assertFalse(primary.isAttached());
                    assertTrue(Files.exists(socket), "its moments are served all the same");
                }
            }
            promoted.manager.attach("home");
            assertEquals(primary, promoted.primary());
            promoted.write(0, 2, 1);
            promoted.flush();
            BackupResource resource = promoted.copy().resource();
            assertEquals(resource.look(Backup::end), resource.look(Backup::appliedEnd));
            assertEquals(primary.dir().superblock().ancestry(), resource.look(Backup::ancestry));
        }
    }
}
