package holdfast.replicator.nbd;

/// What `base:allocation` says of a stretch of an export.
///
/// @param lengthBytes above zero
/// @param hole nothing is allocated there
/// @param zero it reads as zero
public record Extent(long lengthBytes, boolean hole, boolean zero) {
    /// The answer that is always safe.
    public static Extent data(long lengthBytes) {
        return new Extent(lengthBytes, false, false);
    }

    public static Extent hole(long lengthBytes) {
        return new Extent(lengthBytes, true, true);
    }

    /// NBD_STATE_HOLE is 1, NBD_STATE_ZERO is 2.
    int stateFlags() {
        return (hole ? 1 : 0) | (zero ? 2 : 0);
    }
}
