package holdfast.recovery;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "reconnect",
        description = {
            "Says what both sides of a resource have done since they were the same, and what can be done about it.",
            "With --discard this host gives up what it has by itself, and becomes the copy of the other. What it was can be"
                    + " opened under a name for 30 days, beside the live one. The same in DRBD's words: connect --discard-my-data NAME."
        },
        mixinStandardHelpOptions = true)
final class Reconnect implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Option(
            names = "--discard",
            paramLabel = "HOST",
            description = "The host that gives up its own part: this one, by its name.")
    private Optional<String> discard;

    @Option(
            names = "--confirm",
            paramLabel = "HOST/NAME@GENERATION",
            description = "Go on without asking; as the command without it printed it.")
    private Optional<String> confirm;

    @Override
    public Integer call() throws Exception {
        GivingUp order = new GivingUp(holdfast, name);
        return discard.isEmpty()
                ? order.answer(order.look())
                : order.of(
                        discard.get(),
                        confirm,
                        "reconnect %s --discard %s".formatted(name, discard.get()));
    }
}
