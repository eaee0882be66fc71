package holdfast.replicator.state;

import holdfast.tunnel.wire.Position;

import java.util.List;

/// What a primary durably knew of its peer's copy when it was opened.
///
/// @param transaction the newest of which anything was found
/// @param era of the pages
/// @param blank what pages mean that were not written in it
/// @param acknowledged what the peer is known to have committed
/// @param peerCopy the peer's copy that the last first sync filled, 0 before
/// @param dirty blocks that the peer lacks
/// @param suspect blocks of which nobody knows; those of the active extents are among them
/// @param onDisk blocks that are set in the pages
/// @param extents that were active: what was written there last may be lost or not, and the peer
///   may have it or not
/// @param isLost the file says less than this: a new era has to begin
public record Kept(
        long transaction,
        long era,
        Transaction.Blank blank,
        Position acknowledged,
        long peerCopy,
        BlockSet dirty,
        BlockSet suspect,
        BlockSet onDisk,
        List<Long> extents,
        boolean isLost) {
    /// The same, when everything is to be compared.
    public Kept allSuspect() {
        suspect.addAll();
        return new Kept(
                transaction,
                era,
                blank,
                acknowledged,
                peerCopy,
                dirty,
                suspect,
                onDisk,
                extents,
                true);
    }

    /// The same, with transactions and eras that count on from here, and what else is known of the
    /// peer where the file does not say.
    public Kept numberedFrom(long number, Position otherwise, long otherCopy) {
        return new Kept(
                number,
                number,
                blank,
                acknowledged.isNone() ? otherwise : acknowledged,
                peerCopy == 0 ? otherCopy : peerCopy,
                dirty,
                suspect,
                onDisk,
                extents,
                isLost);
    }

    /// How much the peer may lack.
    public long missingBytes() {
        return (dirty.count() + suspect.count()) * BlockSet.BLOCK_BYTES;
    }
}
