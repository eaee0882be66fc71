package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;

@Command(
        name = "detach",
        description =
                "Takes a resource's export away, once its clients are gone; the device can then be used directly.",
        mixinStandardHelpOptions = true)
final class Detach implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Override
    public Integer call() throws Exception {
        ControlApi.Done done = holdfast.api().detach(new ControlApi.NameRequest(name));
        return holdfast.answer(done, Lines.of(done));
    }
}
