package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Command;

@Command(
        name = "resize",
        description = {
            "Gives a resource the size that its device has now, after that was made larger.",
            "Type it at the primary, attached or not. The copy grows first; while the peer is away the order is kept and carried out when it comes.",
            "A copy on a device needs that device enlarged before. Nothing is ever made smaller."
        },
        mixinStandardHelpOptions = true)
final class Resize extends NameCommand {
    @Override
    ControlApi.Done order(ControlApi api, ControlApi.NameRequest request) throws ProblemException {
        return api.resize(request);
    }
}
