package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Position;

import java.util.List;

/// What a copy that gives up its own has changed by itself, as it knew when it was a primary: its
/// part of the union that is compared when it is brought on (R31). Outside of it its disk is as it
/// was at the last moment of both sides, if that is not before `since`.
///
/// @param generation that is given up
/// @param since from this position of its past on the ranges name all that changed
/// @param told the newest transaction of its metadata that a copy may have been told of: one that
///   was told of a newer one saw this disk before it was set back
/// @param heard the newest transaction that it was told of itself while it was a copy, of the
///   primary that wrote up to `since`; 0 where that does not matter
/// @param ranges whole blocks, in order
public record OwnChanges(
        long generation, Position since, long told, long heard, List<Frame.KeptRange> ranges) {
    public OwnChanges {
        ranges = List.copyOf(ranges);
    }

    /// @param was past of the primary while it was one
    /// @param kept what it durably knew at its end; blocks of extents that were active are among it
    /// @param heard as of its promotion, 0 if it was not promoted
    /// @param generation that is given up
    /// @return null when it does not know what it changed, or that is everything
    public static OwnChanges of(Ancestry was, Kept kept, long heard, long generation) {
        Position since = OwnWrites.since(was, kept.peer());
        BlockSet changed = kept.dirty().another(BlockSet.Rounding.UP);
        changed.addAll(kept.dirty());
        changed.addAll(kept.suspect());
        if (since.isNone() || kept.isLost() || changed.count() == changed.capacity()) {
            return null;
        }
        return new OwnChanges(
                generation,
                since,
                kept.told(),
                kept.peer().acknowledged().isNone() ? heard : 0,
                KeptRanges.around(changed, FrameCodec.MAX_KEPT_RANGES));
    }

    /// Blocks in the ranges.
    public long blocks() {
        long bytes = 0;
        for (Frame.KeptRange each : ranges) {
            bytes += each.lengthBytes();
        }
        return BlockSet.blocksOf(bytes);
    }
}
