package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;

@Command(
        name = "connect",
        description =
                "Lets a resource, or the link, connect to the peer again; opens one that could not be"
                        + " opened.",
        mixinStandardHelpOptions = true)
final class Connect extends LinkCommand {
    @Override
    ControlApi.Done order(ControlApi api, ControlApi.LinkRequest request) throws ProblemException {
        return api.connect(request);
    }
}
