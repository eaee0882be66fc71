package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;

@Command(
        name = "disconnect",
        description =
                "Parts a resource, or the link, from the peer until `connect`; writes go on and are kept.",
        mixinStandardHelpOptions = true)
final class Disconnect extends LinkCommand {
    @Override
    ControlApi.Done order(ControlApi api, ControlApi.LinkRequest request) throws ProblemException {
        return api.disconnect(request);
    }
}
