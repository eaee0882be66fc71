package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;

/// What is refused of a repair says what to do instead.
class VerifyOrdersTest {
    @TempDir Path dir;

    @Test
    void aDeviceInUseIsNotWrittenFromTheCopyAndTheWaysOutAreNamed() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary home = RosterTest.primary(node, "home", new UUID(1, 2));
            Problem refused = refusal(node, home, "server");
            assertEquals(ExitCode.REFUSED.number(), refused.exitCode());
            assertEquals(
                    Optional.of(
                            "at server: holdfast open home, or holdfast mount home DIR, and copy the files that are right"
                                    + " back through the filesystem here;"
                                    + " or, to go on from all of the copy, here: "
                                    + node.shared.command("detach home")
                                    + ", then at server: holdfast promote home"),
                    refused.next());
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
        VerifyOrders orders = new VerifyOrders(node.shared, _ -> Optional.empty());
        ControlApi.MendRequest order =
                new ControlApi.MendRequest("home", from, true, Optional.empty());
        return assertThrows(ProblemException.class, () -> orders.mend(of, order)).problem();
    }
}
