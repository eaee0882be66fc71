package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.util.UUID;

/// What the disk of a primary is when it becomes a copy that gives up what it has by itself.
public record Rest(Ancestry ancestry, Position position) {
    /// The beginning of a generation of its own, whatever its superblock says: so no two disks that
    /// were given up ever stand at one position. What a crash left is another image anyway (R4),
    /// and so is what a write has left that failed.
    ///
    /// @param clean whether it was detached, at this position
    /// @param generation new
    public static Rest of(
            Ancestry ancestry,
            Position position,
            boolean clean,
            long generation,
            UUID node,
            long wallMillis) {
        Ancestry.Reason reason = clean ? Ancestry.Reason.ATTACH : Ancestry.Reason.CRASH;
        return new Rest(
                ancestry.plus(new Ancestry.Entry(generation, position, reason, node, wallMillis)),
                new Position(generation, 0));
    }
}
