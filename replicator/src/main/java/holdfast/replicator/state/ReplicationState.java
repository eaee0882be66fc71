package holdfast.replicator.state;

/// What flows between the two copies of a resource, as the primary sees it.
public enum ReplicationState {
    /// No session with the peer, or the peer's copy is refused.
    OFF,
    /// The session is up and the two sides tell each other where they are.
    HANDSHAKE,
    /// Every write goes to the peer in order.
    ESTABLISHED,
    /// The first full sync, straight to the peer's base (R19).
    FIRST_SYNC,
    /// Blocks whose state is not known are compared by digest.
    COMPARE,
    /// The buffer is closed: writes only mark blocks (R9).
    AHEAD,
    /// One epoch carries the marked blocks (R15).
    SYNC_SOURCE,
    /// The backup has no room for the epoch (R17).
    PAUSED
}
