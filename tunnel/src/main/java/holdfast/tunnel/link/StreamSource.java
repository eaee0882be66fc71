package holdfast.tunnel.link;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.TrafficClass;

/// Where the frames of one outgoing stream come from. It is asked by the session's pump thread,
/// only when the line can take more; so what is sent is decided as late as possible.
public interface StreamSource {
    /// The next frame in the stream's order, or null when there is none now; after null it is not
    /// asked again before [LinkSession#wake]. The frame is on its way once it is returned: it is
    /// not asked for twice. May take a short lock.
    ///
    /// @param budgetBytes what would fit into the present batch; a longer frame is allowed
    Frame next(int budgetBytes);

    /// What the next frame is. Asked before each turn.
    TrafficClass trafficClass();
}
