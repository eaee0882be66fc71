package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;

@Command(
        name = "close",
        description = "Ends a view that `open` made.",
        mixinStandardHelpOptions = true)
final class Close implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "VIEW")
    private String id;

    @Override
    public Integer call() throws Exception {
        ControlApi.Done done = holdfast.api().closeView(new ControlApi.CloseRequest(id));
        return holdfast.answer(done, Lines.of(done));
    }
}
