package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "connect",
        description = {
            "Lets a resource, or the link, connect to the peer again; opens one that could not be opened.",
            "With --discard-my-data, in DRBD's words, what `reconnect NAME --discard HOST` does, HOST being this one."
        },
        mixinStandardHelpOptions = true)
final class Connect implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Spec private CommandSpec spec;

    @Parameters(
            paramLabel = "NAME",
            arity = "0..1",
            description = "A resource. Default: the whole link.")
    private Optional<String> name;

    @Option(
            names = "--discard-my-data",
            description =
                    "Of two histories give up the one that is here; it can be opened under a name for 30 days.")
    private boolean discards;

    @Option(
            names = "--confirm",
            paramLabel = "HOST/NAME@GENERATION",
            description = "Give it up without asking; as the command without it printed it.")
    private Optional<String> confirm;

    @Override
    public Integer call() throws Exception {
        if (discards) {
            GivingUp order =
                    new GivingUp(
                            holdfast,
                            name.orElseThrow(() -> wrong("--discard-my-data wants a NAME")));
            return order.of(
                    order.look().host(), confirm, "connect --discard-my-data " + name.get());
        }
        if (confirm.isPresent()) {
            throw wrong("--confirm goes with --discard-my-data");
        }
        ControlApi.Done done = holdfast.api().connect(new ControlApi.LinkRequest(name));
        return holdfast.answer(done, Lines.of(done));
    }

    private CommandLine.ParameterException wrong(String why) {
        return new CommandLine.ParameterException(spec.commandLine(), why);
    }
}
