package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;

@Command(
        name = "pause-sync",
        description = {
            "Stops catch-up, first sync and comparison of a resource until `resume-sync`, also over restarts.",
            "An established stream goes on, and so do writes. Type it at the primary."
        },
        mixinStandardHelpOptions = true)
final class PauseSync extends NameCommand {
    @Override
    ControlApi.Done order(ControlApi api, ControlApi.NameRequest request) throws ProblemException {
        return api.pauseSync(request);
    }
}
