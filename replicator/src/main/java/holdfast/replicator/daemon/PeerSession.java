package holdfast.replicator.daemon;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;

/// What a resource needs of the live session with the peer. Any thread may call it; nothing here
/// blocks, and after the session's end nothing happens.
interface PeerSession {
    void send(Frame frame);

    /// What the peer's clock shows, as far as this session's pings tell.
    PeerClock peerClock();

    /// Gives the resource's data stream a place on the link.
    ///
    /// @return its id, never used before in this session
    int open(PrimaryResource source);

    /// Ends a stream of ours.
    void close(int stream);

    /// Passes over what the peer still sends on a stream of its.
    void drop(int stream);

    void wake(int stream);

    /// Lets the peer send this many more bytes on one of its streams.
    void grant(int stream, long bytes);
}
