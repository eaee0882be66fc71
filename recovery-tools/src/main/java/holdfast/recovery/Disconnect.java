package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "disconnect",
        description =
                "Parts a resource, or the link, from the peer until `connect`; writes go on and are kept.",
        mixinStandardHelpOptions = true)
final class Disconnect implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(
            paramLabel = "NAME",
            arity = "0..1",
            description = "A resource. Default: the whole link.")
    private Optional<String> name;

    @Override
    public Integer call() throws Exception {
        ControlApi.Done done = holdfast.api().disconnect(new ControlApi.LinkRequest(name));
        return holdfast.answer(done, Lines.of(done));
    }
}
