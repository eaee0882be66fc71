package holdfast.replicator.state;

/// Sizes and times of catching up that are constants of the program; a simulation makes them small,
/// so that rare situations are reached with little data.
///
/// @param runBlocks largest run that is read and sent as one frame
/// @param fanOut of the trees of digests by which ranges are compared
/// @param treeBlocks longest run that is compared by one tree: what a lost session costs to read
///   again is that many blocks for each tree in flight
/// @param treesInFlight long runs that may be compared at a time, each with 32 bytes of memory at
///   both sides for each [#fanOut] blocks
/// @param comparesInFlight questions of comparisons that may be unanswered at a time
/// @param readAheadBytes bulk data that may be read ahead of the link
/// @param dwellNanos how long the buffer stays closed at least, so that congestion cannot flap
/// @param heartbeatNanos how often a quiet stream says that it is complete
/// @param askAgainNanos after a `pause` the backup is asked again this often
/// @param extentBlocks blocks of an extent of the activity log
/// @param activeExtents extents that may be active at a time
/// @param keepNanos how often what the peer has acknowledged is made durable, and what it lacks no
///   more is taken off the bitmap
public record Limits(
        int runBlocks,
        int fanOut,
        int treeBlocks,
        int treesInFlight,
        int comparesInFlight,
        long readAheadBytes,
        long dwellNanos,
        long heartbeatNanos,
        long askAgainNanos,
        int extentBlocks,
        int activeExtents,
        long keepNanos) {
    /// Runs of 128 KiB; trees over 1 GiB, so that comparing 1 TiB takes 1,024 questions. As many
    /// active extents as one record of the log names: a crash costs comparing 3.9 GiB at most.
    public static final Limits DEFAULT =
            new Limits(
                    32,
                    32,
                    1 << 18,
                    4,
                    32,
                    1 << 20,
                    1_000_000_000L,
                    1_000_000_000L,
                    2_000_000_000L,
                    1024,
                    992,
                    2_000_000_000L);
}
