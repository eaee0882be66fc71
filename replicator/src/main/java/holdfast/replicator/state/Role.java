package holdfast.replicator.state;

/// Who takes application writes. Numbers on the wire and on disk are the ordinals plus one.
public enum Role {
    /// Takes application writes.
    PRIMARY,
    /// Takes only the peer's.
    SECONDARY
}
