package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "invite",
        description =
                "Prints a token with which one other node joins this one: one line, one use, for a short time.",
        mixinStandardHelpOptions = true)
final class Invite implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Option(
            names = "--address",
            paramLabel = "HOST:PORT",
            description =
                    "Where the other node reaches this one; this one listens there. Default: as the settings say.")
    private Optional<String> address;

    @Option(
            names = "--valid",
            paramLabel = "MINUTES",
            description = "How long the token can be used. Default: 30.")
    private Optional<Integer> minutes;

    @Override
    public Integer call() throws Exception {
        ControlApi.InviteReply reply =
                holdfast.api().invite(new ControlApi.InviteRequest(address, minutes));
        String until =
                DateTimeFormatter.ofPattern("HH:mm:ss", Locale.ROOT)
                        .format(reply.expires().atZone(ZoneId.systemDefault()));
        // The token alone on standard output, so that it can be piped.
        holdfast.terminal()
                .err()
                .print(
                        """
                        Type this at the other node, before %s and once:

                          holdfast join TOKEN

                        with the line below as TOKEN. It holds a secret. This node is reached at %s
                        and its key is %s.
                        """
                                .formatted(until, reply.address(), reply.pin()));
        return holdfast.answer(reply, reply.token() + "\n");
    }
}
