package holdfast.replicator.control;

import holdfast.replicator.status.StatusReport;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/// What a comparison of the copy with what it should hold has found. It is kept in the resource's
/// directory as `verify.json`; at the host of the copy without the ranges.
///
/// @param primary host of the data
/// @param backup host of the copy
/// @param whole all was compared
/// @param trouble why it was cut short
/// @param from position of the resource when it began
/// @param to when it ended: each block was compared as of one position from there to here
/// @param ranges what differs, in order; of [#rangeCount], where it is told and not kept, the first
/// @param mended when an operator had it brought back to what the primary holds, or the primary to
///   what the copy holds
/// @param repair what came of the latter
public record VerifyReport(
        String resource,
        String primary,
        String backup,
        Instant began,
        Instant ended,
        boolean whole,
        Optional<String> trouble,
        long sizeBytes,
        long comparedBytes,
        String from,
        String to,
        long differingBlocks,
        long differingBytes,
        long rangeCount,
        List<Range> ranges,
        Optional<Instant> mended,
        Optional<Repair> repair) {
    /// Whole blocks; the last of the device may be short.
    public record Range(long offsetBytes, long lengthBytes) {}

    /// Blocks of the primary were brought to what the copy holds.
    ///
    /// @param blocks that hold that now
    /// @param writtenSince blocks that were left alone: they were written to after an attempt that
    ///   was cut short
    /// @param former file with what was there before
    /// @param trouble why it is not finished
    public record Repair(
            Instant ended,
            long blocks,
            long bytes,
            long writtenSince,
            Optional<String> former,
            Optional<String> trouble) {}

    /// The same with so many ranges at most.
    public VerifyReport shortened(int most) {
        return with(ranges.subList(0, Math.min(most, ranges.size())), mended, repair);
    }

    public VerifyReport mended(Instant when) {
        return with(ranges, Optional.of(when), repair);
    }

    /// The same with what came of the repair of the primary.
    public VerifyReport repaired(Repair how) {
        return with(
                ranges,
                how.trouble().isEmpty() ? Optional.of(how.ended()) : mended,
                Optional.of(how));
    }

    private VerifyReport with(
            List<Range> ranges, Optional<Instant> mended, Optional<Repair> repair) {
        return new VerifyReport(
                resource,
                primary,
                backup,
                began,
                ended,
                whole,
                trouble,
                sizeBytes,
                comparedBytes,
                from,
                to,
                differingBlocks,
                differingBytes,
                rangeCount,
                List.copyOf(ranges),
                mended,
                repair);
    }

    public StatusReport.Verify status() {
        return new StatusReport.Verify(began, ended, whole, trouble, differingBlocks, mended);
    }
}
