package holdfast.replicator.state;

import holdfast.tunnel.wire.Position;

/// What a primary durably knows of its peer's copy, besides the marks, which are about it.
///
/// @param acknowledged what it is known to have committed; [Position#NONE] for nothing
/// @param completeFrom the marks name all that a copy lacks which stands at `acknowledged`, or here
///   or behind. Between the two they do not: what a comparison found equal at `acknowledged` is
///   marked no more, and may have been written there and back since. [Position#NONE]: they are
///   complete from `acknowledged` on
/// @param id the copy that the last first sync filled, 0 before
/// @param filled how far that had come, in what it acknowledged of it
public record PeerCopy(Position acknowledged, Position completeFrom, long id, long filled) {
    public static final PeerCopy UNKNOWN = new PeerCopy(Position.NONE, Position.NONE, 0, 0);
}
