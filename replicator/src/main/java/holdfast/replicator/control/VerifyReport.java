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
/// @param mended when an operator had it brought back to what the primary holds
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
        Optional<Instant> mended) {
    /// Whole blocks; the last of the device may be short.
    public record Range(long offsetBytes, long lengthBytes) {}

    /// The same with so many ranges at most.
    public VerifyReport shortened(int most) {
        return with(ranges.subList(0, Math.min(most, ranges.size())), mended);
    }

    public VerifyReport mended(Instant when) {
        return with(ranges, Optional.of(when));
    }

    private VerifyReport with(List<Range> ranges, Optional<Instant> mended) {
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
                mended);
    }

    public StatusReport.Verify status() {
        return new StatusReport.Verify(began, ended, whole, trouble, differingBlocks, mended);
    }
}
