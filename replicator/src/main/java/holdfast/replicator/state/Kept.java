package holdfast.replicator.state;

import holdfast.tunnel.wire.Position;

import java.util.BitSet;
import java.util.List;

/// What a primary durably knew of its peer's copy when it was opened.
///
/// @param transaction the newest of which anything was found
/// @param era of the pages
/// @param blank what pages mean that were not written in it
/// @param peer what was known of its copy
/// @param told the newest transaction that the peer may have been told of
/// @param wrote when the device was written
/// @param dirty blocks that the peer lacks
/// @param suspect blocks of which nobody knows; those of the active extents are among them
/// @param onDisk blocks that are set in the pages
/// @param unknown pages with bits set that are not in `onDisk`, for want of memory
/// @param extents that were active: what was written there last may be lost or not, and the peer
///   may have it or not
/// @param isLost the file says less than this: a new era has to begin
/// @param ordered an operator wants all of it compared, and the peer's copy brought back to this
public record Kept(
        long transaction,
        long era,
        Transaction.Blank blank,
        PeerCopy peer,
        long told,
        WriteTimes wrote,
        BlockSet dirty,
        BlockSet suspect,
        BlockSet onDisk,
        BitSet unknown,
        List<Long> extents,
        boolean isLost,
        boolean ordered) {
    /// Where memory had room for all of it; the peer may have been told of all transactions.
    public Kept(
            long transaction,
            long era,
            Transaction.Blank blank,
            PeerCopy peer,
            BlockSet dirty,
            BlockSet suspect,
            BlockSet onDisk,
            List<Long> extents,
            boolean isLost) {
        this(
                transaction,
                era,
                blank,
                peer,
                transaction,
                WriteTimes.NONE,
                dirty,
                suspect,
                onDisk,
                new BitSet(),
                extents,
                isLost,
                false);
    }

    /// The same, when everything is to be compared.
    ///
    /// @param byOrder an operator's, who has the peer's copy brought back to this
    public Kept allSuspect(boolean byOrder) {
        suspect.addAll();
        return new Kept(
                transaction,
                era,
                blank,
                peer,
                told,
                wrote,
                dirty,
                suspect,
                onDisk,
                unknown,
                extents,
                true,
                byOrder);
    }

    /// The same, with transactions and eras that count on from here, and what else is known of the
    /// peer where the file does not say.
    public Kept numberedFrom(long number, Position otherwise, long otherCopy) {
        return new Kept(
                number,
                number,
                blank,
                new PeerCopy(
                        peer.acknowledged().isNone() ? otherwise : peer.acknowledged(),
                        peer.completeFrom(),
                        peer.id() == 0 ? otherCopy : peer.id(),
                        peer.filled()),
                number,
                wrote,
                dirty,
                suspect,
                onDisk,
                unknown,
                extents,
                isLost,
                ordered);
    }

    /// How much the peer may lack.
    public long missingBytes() {
        return (dirty.count() + suspect.count()) * BlockSet.BLOCK_BYTES;
    }
}
