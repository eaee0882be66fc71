package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "connect",
        description = "Lets a resource, or the link, connect to the peer again.",
        mixinStandardHelpOptions = true)
final class Connect implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(
            paramLabel = "NAME",
            arity = "0..1",
            description = "A resource. Default: the whole link.")
    private Optional<String> name;

    @Override
    public Integer call() throws Exception {
        ControlApi.Done done = holdfast.api().connect(new ControlApi.LinkRequest(name));
        return holdfast.answer(done, Lines.of(done));
    }
}
