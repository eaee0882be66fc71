package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;

/// What is refused of a repair says what to do instead.
class VerifyOrdersTest {
    @TempDir Path dir;

    @Test
    void whatIsNotAttachedIsNotRepairedFromTheCopy() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary home = RosterTest.primary(node, "home", new UUID(1, 2));
            Problem refused = refusal(node, home, "server");
            assertEquals(ExitCode.REFUSED.number(), refused.exitCode());
            assertEquals(Optional.of(node.shared.command("attach home")), refused.next());
            home.close();
        }
    }

    @Test
    void withoutRoomForWhatIsOverwrittenNothingIsBegun() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary home = RosterTest.primary(node, "home", new UUID(1, 2));
            Repair repair = new Repair(null, home.dir(), home.id(), "backup");
            IOException refused =
                    assertThrows(IOException.class, () -> repair.requireRoom(1L << 40));
            assertTrue(refused.getMessage().contains("free"), refused.getMessage());
            home.close();
        }
    }

    /// `verify home` alone would verify, and mend nothing.
    @Test
    void atTheCopyTheWholeCommandIsNamedThatIsToBeTypedAtTheServer() throws Exception {
        try (PromotedNode promoted = new PromotedNode(dir, 16 << 20, 64 << 20)) {
            assertEquals(
                    Optional.of("at server: holdfast verify home --repair server"),
                    refusal(promoted.node, promoted.copy(), "server").next());
        }
    }

    private static Problem refusal(LoneNode node, LocalResource of, String from) {
        VerifyOrders orders = new VerifyOrders(node.shared, (_, _) -> {}, _ -> Optional.empty());
        ControlApi.MendRequest order =
                new ControlApi.MendRequest("home", from, true, Optional.empty());
        return assertThrows(ProblemException.class, () -> orders.mend(of, order)).problem();
    }
}
