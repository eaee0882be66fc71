package holdfast.replicator.state;

import holdfast.tunnel.wire.FrameCodec;

/// Sizes and times of catching up that are constants of the program; a simulation makes them small,
/// so that rare situations are reached with little data.
///
/// @param runBlocks largest run that is read and sent as one frame
/// @param holeBlocks longest run that is handed over as zeroes, where the disk says that it has a
///   hole: no more than a request may zero
/// @param fanOut of the trees of digests by which ranges are compared
/// @param treeBlocks longest run that is compared by one tree: what a lost session costs to read
///   again is that many blocks for each tree in flight
/// @param treesInFlight long runs that may be compared at a time, each with 2 MiB of memory or
///   little more at both sides
/// @param comparesInFlight questions of comparisons that may be unanswered at a time
/// @param readAheadBytes bulk data that may be read ahead of the link
/// @param dwellNanos how long the buffer stays closed at least, so that congestion cannot flap
/// @param heartbeatNanos how often a quiet stream says that it is complete
/// @param askAgainNanos after a `pause` the backup is asked again this often
/// @param extentBlocks blocks of an extent of the activity log
/// @param activeExtents extents that may be active at a time
/// @param keepNanos how often what the peer has acknowledged is made durable, and what it lacks no
///   more is taken off the bitmap
/// @param askedBlocks most blocks of whose sectors one question asks; 0: none are asked
/// @param wholeBlocks where asking did not pay, so many are sent whole before it is tried again
/// @param keptRanges by as many ranges the backup says at most what it has kept of an epoch that
///   was cut off
public record Limits(
        int runBlocks,
        int holeBlocks,
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
        long keepNanos,
        int askedBlocks,
        int wholeBlocks,
        int keptRanges) {
    /// Runs of 128 KiB; trees over 256 MiB, so that comparing 1 TiB takes 4,096 questions. As many
    /// active extents as one record of the log names: a crash costs comparing 3.9 GiB at most.
    public static final Limits DEFAULT =
            new Limits(
                    32,
                    1 << 16,
                    32,
                    1 << 16,
                    2,
                    32,
                    1 << 20,
                    1_000_000_000L,
                    1_000_000_000L,
                    2_000_000_000L,
                    1024,
                    992,
                    2_000_000_000L,
                    256,
                    2048,
                    FrameCodec.MAX_KEPT_RANGES);
}
