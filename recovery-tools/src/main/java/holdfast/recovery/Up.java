package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "up",
        description = "Brings a resource up: `connect` and `attach`.",
        mixinStandardHelpOptions = true)
final class Up implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Override
    public Integer call() throws Exception {
        ControlApi api = holdfast.api();
        api.connect(new ControlApi.LinkRequest(Optional.of(name)));
        ControlApi.AttachReply reply = api.attach(new ControlApi.NameRequest(name));
        return holdfast.answer(reply, Attach.text(reply));
    }
}
