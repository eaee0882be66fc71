package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.ArrayList;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "down",
        description = "Takes a resource down: `detach` and `disconnect`.",
        mixinStandardHelpOptions = true)
final class Down implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Override
    public Integer call() throws Exception {
        ControlApi api = holdfast.api();
        var lines = new ArrayList<>(api.detach(new ControlApi.NameRequest(name)).lines());
        lines.addAll(api.disconnect(new ControlApi.LinkRequest(Optional.of(name))).lines());
        var done = new ControlApi.Done(lines);
        return holdfast.answer(done, Lines.of(done));
    }
}
