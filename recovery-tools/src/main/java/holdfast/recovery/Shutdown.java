package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;

@Command(
        name = "shutdown",
        description = "Stops the daemon cleanly.",
        mixinStandardHelpOptions = true)
final class Shutdown implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Override
    public Integer call() throws Exception {
        ControlApi.Done done = holdfast.api().shutdown();
        return holdfast.answer(done, Lines.of(done));
    }
}
