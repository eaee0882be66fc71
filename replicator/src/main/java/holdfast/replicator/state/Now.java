package holdfast.replicator.state;

import holdfast.tunnel.wire.PeerClock;

/// What the clocks show at one moment.
///
/// @param nanos of the monotonic clock, which nobody sets
/// @param wallMillis of this host's clock on the wall, which may be wrong, and be set
/// @param peer what the peer's shows; null while that is not known
public record Now(long nanos, long wallMillis, PeerClock.Reading peer) {}
