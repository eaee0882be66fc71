package holdfast.tunnel.link;

import holdfast.tunnel.wire.Frame;

import java.util.List;

/// What happens on an endpoint's sessions. All calls come from the endpoint's one event loop, one
/// after the other: they must not block, touch a disk or wait for a lock that is held over anything
/// slow.
///
/// For one session the order is [#connected], any number of [#received], [#disconnected]; and of
/// one peer no session is connected before the one before it is disconnected.
public interface LinkHandler {
    /// Both sides have agreed. Streams may be added and frames sent from now on.
    void connected(LinkSession session);

    /// Nothing more is received from the session, and nothing that is sent on it arrives for
    /// certain.
    ///
    /// @param reason for the operator
    void disconnected(LinkSession session, String reason);

    /// A connection was refused, since another host with the key of that peer is connected.
    ///
    /// @param session that one's
    /// @param source where the refused one comes from
    default void usedTwice(LinkSession session, String source) {}

    /// @param stream 0 for control frames; those of the session itself (ping, credit, ...) are not
    ///   handed on
    void received(LinkSession session, int stream, Frame frame);

    /// The frames of one packet, in order; one frame at a time unless the handler can do better.
    default void received(LinkSession session, int stream, List<Frame> frames) {
        for (Frame frame : frames) {
            if (session.isOpen()) {
                received(session, stream, frame);
            }
        }
    }
}
