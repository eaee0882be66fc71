package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.time.Instant;
import java.time.ZoneId;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "open",
        description = {
            "Serves the copy over NBD, read-only, as it is now; replication goes on beside it.",
            "It stays open until `close`."
        },
        mixinStandardHelpOptions = true)
final class Open implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(
            paramLabel = "NAME[@POINT]",
            description = "POINT is latest, the newest whole point.")
    private String name;

    @Override
    public Integer call() throws Exception {
        int at = name.indexOf('@');
        Optional<String> point = at < 0 ? Optional.empty() : Optional.of(name.substring(at + 1));
        String resource = at < 0 ? name : name.substring(0, at);
        ControlApi.OpenReply reply =
                holdfast.api().open(new ControlApi.OpenRequest(resource, point));
        return holdfast.answer(
                reply,
                """
                %s as of %s can be read at
                  %s
                for instance with
                  nbdinfo '%s'
                  nbdcopy '%s' copy.img
                until
                  %s
                """
                        .formatted(
                                reply.name(),
                                Words.moment(
                                        reply.view().pointTime(),
                                        Instant.now(),
                                        ZoneId.systemDefault()),
                                reply.view().uri(),
                                reply.view().uri(),
                                reply.view().uri(),
                                holdfast.paths().command("close " + reply.view().id())));
    }
}
