package holdfast.tunnel.link;

import java.io.IOException;
import java.util.UUID;

/// Takes in a peer that has redeemed an invitation.
public interface JoinHandler {
    /// Stores the peer durably; from then on [Peers] finds it. May be called again for the same
    /// key, when the first answer was lost. Called from a thread that may block.
    ///
    /// @throws IOException if it cannot be stored or is not wanted; its message is shown to the one
    ///   who joins
    void joined(Pin pin, UUID node, String nodeName) throws IOException;
}
