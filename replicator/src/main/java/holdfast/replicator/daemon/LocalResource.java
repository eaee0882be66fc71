package holdfast.replicator.daemon;

import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.state.Verdict;
import holdfast.tunnel.wire.Frame;

import java.util.Optional;
import java.util.UUID;

/// One resource of this node, whatever its role.
sealed interface LocalResource permits LocalPrimary, LocalBackup {
    String name();

    UUID id();

    ResourceDir dir();

    /// Tells what changes.
    StateChanges.Voice states();

    /// The peer can be talked to about this resource.
    void connect(PeerSession session);

    void disconnect(PeerSession session);

    /// A control frame of this resource; on the link's thread, so it must not wait.
    void received(PeerSession session, Frame.OfResource frame);

    /// What the peer said of its copy last; null before that in this session.
    Frame.ResourceHello peerHello();

    /// What keeps the two copies apart; null where nothing does, or nothing is known of the peer's.
    Verdict parted();

    /// What both have told of their writes while something does.
    Standoff standoff();

    /// Time passes.
    void tellApart(long nowNanos);

    /// What comparing the copy with its data has found last.
    Optional<VerifyReport> lastVerify();

    /// Stops it for good in this process, leaving everything durable.
    void close();
}
