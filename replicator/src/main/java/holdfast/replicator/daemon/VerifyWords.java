package holdfast.replicator.daemon;

import holdfast.replicator.control.VerifyReport;

import java.util.function.BiConsumer;

/// The event that says how a verification has ended, at either host.
final class VerifyWords {
    private VerifyWords() {}

    static void tell(BiConsumer<String, String> events, VerifyReport report) {
        String cut = report.trouble().map(why -> "; it was cut short: " + why).orElse("");
        if (report.differingBlocks() > 0) {
            events.accept(
                    "verify-differs",
                    "%d blocks of the copy at %s are not what they should be%s"
                            .formatted(report.differingBlocks(), report.backup(), cut));
        } else if (report.whole()) {
            events.accept(
                    "verify-equal", "the copy at %s is as it should be".formatted(report.backup()));
        } else {
            events.accept(
                    "verify-cut-short",
                    "%d of %d bytes were compared, without a difference%s"
                            .formatted(report.comparedBytes(), report.sizeBytes(), cut));
        }
    }
}
