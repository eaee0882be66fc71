package holdfast.recovery;

import holdfast.replicator.control.Extract;
import holdfast.replicator.control.ProblemException;
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
        name = "extract",
        description = {
            "Writes the copy as it was at one moment to a new file, from its base and its journal alone.",
            "It needs no daemon, no settings and no peer, and changes nothing of the copy. Beside a daemon that runs, `open` and nbdcopy do the same."
        },
        mixinStandardHelpOptions = true)
final class ExtractCommand implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Option(
            names = "--base",
            required = true,
            paramLabel = "DISK",
            description = "The device or file of the copy.")
    private Path base;

    @Option(
            names = "--journal",
            required = true,
            paramLabel = "DIR",
            description = "The directory of its journal.")
    private Path journal;

    @Option(
            names = "--superblock",
            paramLabel = "FILE",
            description =
                    "STATE/resources/NAME/superblock of the copy. Wanted for --at, and where a volume is one of several.")
    private Optional<Path> superblock;

    @Option(
            names = "--pins",
            paramLabel = "DIR",
            description =
                    "NAME.pins beside the journal. Wanted where --at is the name of a kept moment.")
    private Optional<Path> pins;

    @Option(
            names = "--at",
            paramLabel = "POINT",
            description = "As for `open`. Default: the newest moment.")
    private Optional<String> at;

    @Parameters(paramLabel = "FILE", description = "To be made; it must not exist.")
    private Path to;

    private int shown = -1;

    @Override
    public Integer call() throws ProblemException {
        Extract.Reply reply =
                Daemon.entry()
                        .extract(
                                new Extract.Request(base, journal, superblock, pins, to, at),
                                this::show);
        return holdfast.answer(
                reply,
                "%s holds %s as of %s: %s, position %s%n%s"
                        .formatted(
                                reply.to(),
                                base,
                                reply.time()
                                        .map(
                                                time ->
                                                        Words.moment(
                                                                time,
                                                                Instant.now(),
                                                                ZoneId.systemDefault()))
                                        .orElse("its last roll-forward"),
                                Words.bytes(reply.sizeBytes()),
                                reply.position(),
                                reply.damage().isEmpty()
                                        ? ""
                                        : "The journal is damaged behind it: %s%n"
                                                .formatted(reply.damage())));
    }

    private void show(long done, long total) {
        int percent = total == 0 ? 100 : (int) (100.0 * done / total);
        if (percent / 10 > shown / 10 || shown < 0) {
            shown = percent;
            holdfast.terminal().complain("%d %% of %s".formatted(percent, Words.bytes(total)));
        }
    }
}
