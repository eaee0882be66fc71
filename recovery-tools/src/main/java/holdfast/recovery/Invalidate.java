package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;

@Command(
        name = "invalidate",
        description = {
            "Has the copy here compared with its primary, all of it, and mends what differs.",
            "Type it at the backup. Until it is mended the copy can be opened as it was."
        },
        mixinStandardHelpOptions = true)
final class Invalidate extends NameCommand {
    @Override
    ControlApi.Done order(ControlApi api, ControlApi.NameRequest request) throws ProblemException {
        return api.invalidate(request);
    }
}
