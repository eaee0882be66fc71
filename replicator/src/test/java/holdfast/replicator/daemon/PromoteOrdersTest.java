package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.state.History.Moment;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

class PromoteOrdersTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    /// 33 MiB have changed since. Rolling the 12 MiB in front of it would not make the room.
    @Test
    void anOrderThatCannotHaveRoomLeavesTheHistoryAsItIs() throws Exception {
        try (PromotedNode promoted = new PromotedNode(dir, 64 * MIB, 64 * MIB)) {
            fill(promoted, 0, 12);
            String then = Instant.ofEpochMilli(promoted.newestLabel()).toString();
            fill(promoted, 12, 33);
            Moment oldest = oldest(promoted);
            assertEquals(0, oldest.address(), "nothing was rolled yet");
            ControlApi.PromoteRequest preview = request(then, true, Optional.empty());
            Optional<String> confirm = promoted.manager.promote(preview).confirm();
            ProblemException lacks =
                    assertThrows(
                            ProblemException.class,
                            () -> promoted.manager.promote(request(then, false, confirm)));
            assertTrue(lacks.problem().text().contains("of room for the "), lacks.getMessage());
            assertEquals(oldest, oldest(promoted));
            assertTrue(promoted.primary().isAttached());
            promoted.write(0, 99, 1);
            promoted.flush();
        }
    }

    /// A handler that runs at once is told of the role that the event names.
    @Test
    void whoHearsOfTheNewRoleFindsItInItsPlace() throws Exception {
        List<String> found = new ArrayList<>();
        try (PromotedNode promoted =
                new PromotedNode(
                        dir,
                        16 * MIB,
                        64 * MIB,
                        (manager, event) -> {
                            if (event.kind().equals("role-changed")) {
                                found.add(
                                        event.change().orElseThrow().to()
                                                + " "
                                                + manager.facts("home").orElseThrow().role()
                                                + " "
                                                + manager.byName("home").isPresent());
                            }
                        })) {
            assertEquals(List.of("PRIMARY PRIMARY true"), found);
        }
    }

    private static ControlApi.PromoteRequest request(
            String at, boolean dryRun, Optional<String> confirm) {
        return new ControlApi.PromoteRequest(
                "home", Optional.of(at), false, false, dryRun, confirm);
    }

    private static void fill(PromotedNode promoted, int fromMib, int mib) throws Exception {
        // In parts that leave little of a segment: three quarters of the journal are full then.
        for (long at = (long) fromMib * MIB; at < (long) (fromMib + mib) * MIB; at += MIB / 8) {
            promoted.write(at, at, MIB / 8 / PromotedNode.BLOCK);
        }
        promoted.flush();
    }

    private static Moment oldest(PromotedNode promoted) throws ProblemException {
        return promoted.copy().resource().look(at -> at.history().oldest());
    }
}
