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
            "Writes a volume of the copy as it was at one moment to a new file, from the files of the copy alone.",
            "It needs no daemon, no settings and no peer, and changes nothing of the copy. It is refused where a daemon wrote to them meanwhile; beside one that runs, `open` and nbdcopy do the same. Of several volumes, give it once for each: the newest moment, or one --at, is the same for all."
        },
        mixinStandardHelpOptions = true)
final class ExtractCommand implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Option(
            names = "--base",
            required = true,
            paramLabel = "DISK",
            description =
                    "The device or file of the copy; of several volumes, of the one that is wanted.")
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
                    "STATE/resources/NAME/superblock of the copy: it says how far the base was rolled forward, and which volumes there are.")
    private Optional<Path> superblock;

    @Option(
            names = "--sizes",
            paramLabel = "SIZES",
            description =
                    "In place of a superblock that is lost: the bytes of the only volume, or like \"0:10737418240 1:2147483648\" of all of them; of one that has grown beside others, in the order of the growths. It gets the newest moment of a journal without damage, and nobody can tell then whether the end of that is missing.")
    private Optional<String> sizes;

    @Option(
            names = "--volume",
            paramLabel = "N",
            description =
                    "Which volume DISK is, of several. Default: what is noted beside the superblock.")
    private Optional<Integer> volume;

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

    @Parameters(
            paramLabel = "FILE",
            description = "To be made; it must not exist. It is FILE.part until it is whole.")
    private Path to;

    private int shown = -1;

    @Override
    public Integer call() throws ProblemException {
        Extract.Reply reply =
                Daemon.entry()
                        .extract(
                                new Extract.Request(
                                        base, journal, superblock, sizes, volume, pins, to, at),
                                this::show);
        return holdfast.answer(
                reply,
                "%s holds %s%s as of %s: %s, position %s%n%s%s"
                        .formatted(
                                reply.to(),
                                base,
                                reply.volumes() > 1 ? ", volume %d,".formatted(reply.volume()) : "",
                                reply.time()
                                        .map(
                                                time ->
                                                        Words.moment(
                                                                time,
                                                                Instant.now(),
                                                                ZoneId.systemDefault()))
                                        .orElse("a time that is not known"),
                                Words.bytes(reply.sizeBytes()),
                                reply.position(),
                                reply.damage().isEmpty()
                                        ? ""
                                        : "The journal is damaged behind it: %s%n"
                                                .formatted(reply.damage()),
                                sizes.isPresent()
                                        ? "Without the superblock nobody can tell whether the end of the journal is missing. If it is, this is the image of no moment: check what is in it.%n"
                                                .formatted()
                                        : ""));
    }

    private void show(long done, long total) {
        int percent = total == 0 ? 100 : (int) (100.0 * done / total);
        if (percent / 10 > shown / 10 || shown < 0) {
            shown = percent;
            holdfast.terminal().complain("%d %% of %s".formatted(percent, Words.bytes(total)));
        }
    }
}
