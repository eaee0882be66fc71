package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;

@Command(
        name = "attach",
        description = {
            "Exports a resource over NBD on its Unix socket, from where it is replicated.",
            "Where the kernel has nbd it also becomes a device, /dev/holdfast/NAME."
        },
        mixinStandardHelpOptions = true)
final class Attach implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Override
    public Integer call() throws Exception {
        ControlApi.AttachReply reply = holdfast.api().attach(new ControlApi.NameRequest(name));
        return holdfast.answer(reply, text(reply));
    }

    static String text(ControlApi.AttachReply reply) {
        var out =
                new StringBuilder(
                        "%s is attached: %s%n"
                                .formatted(reply.name(), reply.device().orElse(reply.uri())));
        if (reply.device().isPresent()) {
            out.append("  also at %s%n".formatted(reply.uri()));
        }
        reply.notes().forEach(note -> out.append("  %s%n".formatted(note)));
        return out.toString();
    }
}
