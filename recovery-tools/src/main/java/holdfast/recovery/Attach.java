package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;

@Command(
        name = "attach",
        description = {
            "Exports a resource over NBD on its Unix socket, from where it is replicated.",
            "Where the kernel has nbd it also becomes a device, /dev/holdfast/NAME.",
            "Of several volumes, the further ones are NAME/1, /dev/holdfast/NAME.1 and so on."
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
        for (StatusReport.Volume each : reply.volumes()) {
            if (each.number() > 0) {
                out.append(
                        "  volume %d: %s%n"
                                .formatted(
                                        each.number(),
                                        Stream.concat(each.device().stream(), each.uri().stream())
                                                .collect(Collectors.joining(", also at "))));
            }
        }
        reply.notes().forEach(note -> out.append("  %s%n".formatted(note)));
        return out.toString();
    }
}
