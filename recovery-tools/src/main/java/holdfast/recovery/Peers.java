package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;

@Command(
        name = "peers",
        description = "Lists the nodes that this one knows.",
        mixinStandardHelpOptions = true)
final class Peers implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Override
    public Integer call() throws Exception {
        ControlApi.PeersReply reply = holdfast.api().peers();
        var out = new StringBuilder();
        for (ControlApi.Peer peer : reply.peers()) {
            out.append(
                    "%s  %s%s%n  node  %s%n  key   %s%n"
                            .formatted(
                                    peer.name(),
                                    Words.state(peer.connection()),
                                    peer.address().map(a -> "  dialled at " + a).orElse(""),
                                    peer.id(),
                                    peer.pin()));
        }
        return holdfast.answer(
                reply,
                reply.peers().isEmpty()
                        ? "No peer yet. Next: holdfast invite or holdfast join\n"
                        : out.toString());
    }
}
