package holdfast.replicator.state;

/// Sizes and times of catching up that are constants of the program; a simulation makes them small,
/// so that rare situations are reached with little data.
///
/// @param runBlocks largest run that is read and sent as one frame
/// @param compareBlocks blocks of one comparison
/// @param comparesInFlight comparisons that may be unanswered at a time
/// @param readAheadBytes bulk data that may be read ahead of the link
/// @param dwellNanos how long the buffer stays closed at least, so that congestion cannot flap
/// @param heartbeatNanos how often a quiet stream says that it is complete
/// @param askAgainNanos after a `pause` the backup is asked again this often
public record Limits(
        int runBlocks,
        int compareBlocks,
        int comparesInFlight,
        long readAheadBytes,
        long dwellNanos,
        long heartbeatNanos,
        long askAgainNanos) {
    /// Runs of 128 KiB; comparisons of one extent of 4 MiB.
    public static final Limits DEFAULT =
            new Limits(32, 1024, 8, 1 << 20, 1_000_000_000L, 1_000_000_000L, 2_000_000_000L);
}
