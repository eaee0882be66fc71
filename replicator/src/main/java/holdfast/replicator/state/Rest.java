package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.util.UUID;

/// What the disk of a primary is while nothing writes to it.
public record Rest(Ancestry ancestry, Position position) {
    /// As its superblock has it. What a crash left is the beginning of another generation (R4).
    ///
    /// @param clean whether it was detached, at this position
    /// @param generation of that other one, new
    public static Rest of(
            Ancestry ancestry,
            Position position,
            boolean clean,
            long generation,
            UUID node,
            long wallMillis) {
        if (clean) {
            return new Rest(ancestry, position);
        }
        return new Rest(
                ancestry.plus(
                        new Ancestry.Entry(
                                generation, position, Ancestry.Reason.CRASH, node, wallMillis)),
                new Position(generation, 0));
    }
}
