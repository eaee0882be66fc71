package holdfast.recovery;

import holdfast.replicator.config.Size;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneId;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "mount",
        description = {
            "Mounts the filesystem of the copy read-only, as root; replication goes on beside it.",
            "Its journal is replayed in an overlay that is thrown away by `umount`."
        },
        mixinStandardHelpOptions = true)
final class Mount implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(
            index = "0",
            paramLabel = "NAME[@POINT]",
            description = "POINT as for `open --at`. Default: the newest whole moment.")
    private String name;

    @Parameters(index = "1", paramLabel = "DIR", description = "Where; it must be there.")
    private Path directory;

    @Option(
            names = "--volume",
            paramLabel = "N",
            defaultValue = "0",
            description = "Of a resource with several; 0 is the first.")
    private int volume;

    @Option(
            names = "--overlay",
            paramLabel = "SIZE",
            description = "How much the replay may write, see `open`.")
    private Size overlay;

    @Override
    public Integer call() throws Exception {
        ViewMounts.Mounted mounted =
                new ViewMounts(holdfast.paths(), holdfast.api())
                        .mount(
                                Point.parse(name),
                                volume,
                                directory,
                                Optional.ofNullable(overlay).map(Size::bytes));
        return holdfast.answer(
                mounted,
                """
                %s as of %s, %s, is mounted read-only at %s
                until
                  %s
                """
                        .formatted(
                                mounted.resource(),
                                Words.moment(
                                        mounted.pointTime(), Instant.now(), ZoneId.systemDefault()),
                                mounted.filesystem(),
                                mounted.directory(),
                                holdfast.paths().command("umount " + mounted.directory())));
    }
}
