package holdfast.tunnel.link;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.TrafficClass;

import java.util.List;

/// Where the frames of one outgoing stream come from. It is asked by the session's pump thread,
/// only when the line can take more; so what is sent is decided as late as possible.
public interface StreamSource {
    /// The next frame in the stream's order, or null when there is none now; after null it is not
    /// asked again before [LinkSession#wake]. The frame is on its way once it is returned: it is
    /// not asked for twice. May take a short lock.
    ///
    /// @param budgetBytes what would fit into the present batch; a longer frame is allowed
    Frame next(int budgetBytes);

    /// Takes the frames of one batch, as [#next] would give them one by one; a source with a lock
    /// takes it once.
    ///
    /// @param into empty; gets frames until they have `budgetBytes` or there is none now
    /// @return whether there is none now
    default boolean fill(List<Frame> into, int budgetBytes) {
        for (int left = budgetBytes; left > 0; ) {
            Frame frame = next(left);
            if (frame == null) {
                return true;
            }
            into.add(frame);
            left -= FrameCodec.sizeOf(frame);
        }
        return false;
    }

    /// What the next frame is. Asked before each turn.
    TrafficClass trafficClass();
}
