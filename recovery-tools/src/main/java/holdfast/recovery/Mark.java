package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.time.Instant;
import java.time.ZoneId;
import java.util.concurrent.Callable;

@Command(
        name = "mark",
        description = {
            "Gives the present moment a name in the copy: that of everything written and answered until now. Type"
                    + " it where the data is.",
            "What programs and the filesystem still hold in memory is not in it: stop or freeze them, or `sync`,"
                    + " before.",
            "The name is a point at the backup, for `open --at`, `promote --at`, `mount`, `drill` and `keep --at`."
                    + " It goes with the history: what is to stay longer is kept there."
        },
        exitCodeList = {
            "0:it is marked, durably",
            "3:refused, nothing was marked: the stream is not established, or the name is taken",
            "5:the backup is away, or did not answer",
            "7:it is on its way"
        },
        mixinStandardHelpOptions = true)
final class Mark implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(index = "0", paramLabel = "NAME")
    private String name;

    @Parameters(
            index = "1",
            paramLabel = "AS",
            description =
                    "What the moment is to be called: a letter, then letters, digits, dots, dashes or underscores.")
    private String as;

    @Override
    public Integer call() throws Exception {
        ControlApi.MarkReply reply = holdfast.api().mark(new ControlApi.MarkRequest(name, as));
        return holdfast.answer(
                reply,
                "%s as it was at %s is %s in the copy at %s.%nTo look at it, at %s: holdfast open %s --at %s%nTo keep it beyond the history, there: holdfast keep %s %s --at %s%n"
                        .formatted(
                                reply.name(),
                                Words.moment(reply.time(), Instant.now(), ZoneId.systemDefault()),
                                reply.as(),
                                reply.host(),
                                reply.host(),
                                reply.name(),
                                reply.as(),
                                reply.name(),
                                reply.as(),
                                reply.as()));
    }
}
