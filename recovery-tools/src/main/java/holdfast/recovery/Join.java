package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;

@Command(
        name = "join",
        description =
                "Redeems a token that `invite` printed at the other node; both then know each other's keys.",
        mixinStandardHelpOptions = true)
final class Join implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(
            paramLabel = "TOKEN",
            description = "The line that `invite` printed; - reads it from standard input.")
    private String token;

    @Override
    public Integer call() throws Exception {
        String line = token.equals("-") ? holdfast.terminal().in().readLine() : token;
        ControlApi.JoinReply reply =
                holdfast.api().join(new ControlApi.JoinRequest(line == null ? "" : line.strip()));
        return holdfast.answer(
                reply,
                "Joined %s at %s, whose key is %s.%n"
                        .formatted(reply.peer(), reply.address(), reply.peerPin()));
    }
}
