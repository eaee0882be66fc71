package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;

@Command(
        name = "invalidate-remote",
        description = {
            "Has the copy at the peer compared with the data here, all of it, and mends what differs there.",
            "Type it at the primary. Until it is mended the copy can be opened as it was."
        },
        mixinStandardHelpOptions = true)
final class InvalidateRemote extends NameCommand {
    @Override
    ControlApi.Done order(ControlApi api, ControlApi.NameRequest request) throws ProblemException {
        return api.invalidateRemote(request);
    }
}
