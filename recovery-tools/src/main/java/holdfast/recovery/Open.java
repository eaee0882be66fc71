package holdfast.recovery;

import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneId;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

@Command(
        name = "open",
        description = {
            "Serves the copy over NBD as it was at one moment, read-only or with --writable into an overlay that"
                    + " is thrown away; replication goes on beside it.",
            "It stays open until `close`. `points` says which moments there are."
        },
        mixinStandardHelpOptions = true)
final class Open implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;
    @Spec private CommandSpec spec;

    @Parameters(paramLabel = "NAME[@POINT]", description = "POINT as --at.")
    private String name;

    @Option(
            names = "--at",
            paramLabel = "POINT",
            description = {
                "latest, the newest whole moment (the default);",
                "-15m, -4h or -2d: so long before the newest one;",
                "12:03, \"2026-11-20 12:03:07\" or 2026-11-20T11:03:07Z: the newest that is not after this, by the primary's clock;",
                "the name of a moment that `keep` holds or `mark` has named."
            })
    private String point;

    @Option(
            names = "--writable",
            description = "Takes writes, which `close` throws away; the copy stays as it is.")
    private boolean writable;

    @Option(
            names = "--overlay",
            paramLabel = "SIZE",
            description = {
                "How much may be written, like 20GiB; implies --writable.",
                "Without it a tenth of the device, at least 256MiB, never more than is free."
            })
    private Size overlay;

    @Option(
            names = "--socket",
            paramLabel = "PATH",
            description = "Where to serve it; without it in the run directory.")
    private Path socket;

    @Option(
            names = "--while-used",
            description =
                    "Closes it by itself when its last client has gone for half a minute, or none comes"
                            + " within a minute.")
    private boolean whileUsed;

    @Override
    public Integer call() throws Exception {
        Point named = Point.parse(name);
        if (named.at().isPresent() && point != null) {
            throw new ParameterException(spec.commandLine(), "one of @POINT and --at POINT");
        }
        ControlApi.OpenReply reply =
                holdfast.api()
                        .open(
                                new ControlApi.OpenRequest(
                                        named.resource(),
                                        named.at().or(() -> Optional.ofNullable(point)),
                                        writable || overlay != null,
                                        Optional.ofNullable(overlay).map(Size::bytes),
                                        Optional.ofNullable(socket)
                                                .map(each -> each.toAbsolutePath().toString()),
                                        whileUsed));
        return answer(holdfast, reply);
    }

    static int answer(Holdfast holdfast, ControlApi.OpenReply reply) {
        return holdfast.answer(
                reply,
                """
                %s as of %s can be %s at
                  %s
                %s%sfor instance with
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
                                reply.view().overlay().map(Open::writableWords).orElse("read"),
                                reply.view().uri(),
                                furtherVolumes(reply.view()),
                                reply.note().map("(%s)%n"::formatted).orElse(""),
                                reply.view().uri(),
                                reply.view().uri(),
                                holdfast.paths().command("close " + reply.view().id())));
    }

    private static String writableWords(StatusReport.Overlay overlay) {
        return "read and written (%s at most, thrown away at the end)"
                .formatted(Words.bytes(overlay.limitBytes()));
    }

    private static String furtherVolumes(StatusReport.View view) {
        return view.volumes().stream()
                .skip(1)
                .map(each -> "  %s%n".formatted(each.uri().orElseThrow()))
                .collect(Collectors.joining());
    }
}
