package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

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
                    + " opened under a name for 30 days. DRBD: connect --discard-my-data."
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
        ControlApi api = holdfast.api();
        Optional<String> given = confirm;
        if (discard.isPresent() && confirm.isEmpty()) {
            ControlApi.ReconnectReply preview =
                    api.reconnect(
                            new ControlApi.ReconnectRequest(
                                    name, Optional.empty(), Optional.empty()));
            if (discard.get().equals(preview.host())) {
                holdfast.terminal().complain(text(preview));
                String command =
                        holdfast.paths()
                                .command(
                                        "reconnect %s --discard %s --confirm %s"
                                                .formatted(name, discard.get(), preview.confirm()));
                given =
                        Optional.of(
                                new Confirmation(holdfast.terminal(), preview.confirm())
                                        .ask(
                                                "%s: give up what %s has of %s by itself"
                                                        .formatted(
                                                                preview.host(),
                                                                preview.host(),
                                                                name),
                                                command));
            }
        }
        ControlApi.ReconnectReply reply =
                api.reconnect(new ControlApi.ReconnectRequest(name, discard, given));
        return holdfast.answer(reply, text(reply));
    }

    private static String text(ControlApi.ReconnectReply reply) {
        var out = new StringBuilder("%s at %s:%n".formatted(reply.name(), reply.host()));
        reply.facts().forEach(each -> out.append("  ").append(each).append('\n'));
        reply.choices().forEach(each -> out.append("  ").append(each).append('\n'));
        return out.toString();
    }
}
