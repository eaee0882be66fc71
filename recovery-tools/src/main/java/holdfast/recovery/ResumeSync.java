package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;

@Command(
        name = "resume-sync",
        description =
                "Lets catch-up, first sync and comparison of a resource go on. Type it at the primary.",
        mixinStandardHelpOptions = true)
final class ResumeSync extends NameCommand {
    @Override
    ControlApi.Done order(ControlApi api, ControlApi.NameRequest request) throws ProblemException {
        return api.resumeSync(request);
    }
}
