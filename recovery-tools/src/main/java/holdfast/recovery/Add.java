package holdfast.recovery;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "add",
        description = {
            "Makes a resource of a device or file that holds data, and a copy of it at the peer.",
            "Type it where the data is: the first sync goes from here. Nothing that is in use is changed."
        },
        mixinStandardHelpOptions = true)
final class Add implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(index = "0", paramLabel = "NAME", description = "1 to 63 of a-z 0-9 _ -")
    private String name;

    @Parameters(
            index = "1..*",
            arity = "1..*",
            paramLabel = "DISK",
            description =
                    "The device or file here that holds the data. Several become volumes of one"
                            + " resource, whose copy shows all of them at the same moment.")
    private List<Path> disks;

    @Option(
            names = "--peer-disk",
            paramLabel = "DISK",
            description =
                    "The device or file at the peer. Default: a new file under its storage. Of several"
                            + " volumes, once for each in the same order.")
    private List<String> peerDisks = List.of();

    @Option(
            names = "--protocol",
            paramLabel = "A|B|C",
            description =
                    "When a write is answered: A when it is on the disk here, C when the copy's journal has it too; B is served as C. Default: A.")
    private Optional<ResourceSettings.Protocol> protocol;

    @Option(
            names = "--journal",
            paramLabel = "SIZE",
            description = "Like 40GiB. Default: as proposed.")
    private Optional<Size> journal;

    @Option(names = "--dry-run", description = "Only say what would be done.")
    private boolean dryRun;

    @Override
    public Integer call() throws Exception {
        ControlApi api = holdfast.api();
        ControlApi.AddReply reply =
                api.add(
                        new ControlApi.AddRequest(
                                name,
                                disks.stream()
                                        .map(each -> each.toAbsolutePath().normalize().toString())
                                        .toList(),
                                Optional.of(peerDisks).filter(each -> !each.isEmpty()),
                                protocol.map(Enum::name),
                                journal.map(Size::bytes),
                                dryRun));
        return holdfast.answer(reply, text(reply) + next(reply));
    }

    private static String next(ControlApi.AddReply r) {
        if (r.done()) {
            return "  next         holdfast attach %s%n".formatted(r.name());
        }
        return r.permit().map("  first        %s%n"::formatted).orElse("");
    }

    private static String text(ControlApi.AddReply r) {
        var out = new StringBuilder();
        out.append("%s: %s %s%n".formatted(r.host(), r.done() ? "added" : "would add", r.name()));
        line(
                out,
                "data",
                "%s at %s, %s, %s"
                        .formatted(
                                r.disk(),
                                r.host(),
                                Words.bytes(r.sizeBytes()),
                                r.signature().orElse("no signature known")));
        for (StatusReport.Volume each : r.volumes()) {
            line(
                    out,
                    "volume " + each.number(),
                    "%s, %s".formatted(each.path(), Words.bytes(each.sizeBytes())));
        }
        line(
                out,
                "copy",
                "%s at %s, %s"
                        .formatted(
                                r.peerDisk(),
                                r.peer(),
                                r.peerSignature()
                                        .map(s -> "which holds " + s)
                                        .orElse("which is empty or new")));
        line(out, "journal", Words.bytes(r.journalBytes()) + " on each side");
        r.firstSyncSeconds().ifPresent(s -> line(out, "first sync", "about " + Words.span(s)));
        r.fstabLine().ifPresent(l -> line(out, "fstab", l));
        r.notes().forEach(n -> line(out, "note", n));
        return out.toString();
    }

    private static void line(StringBuilder out, String name, String value) {
        out.append("  %-12s %s%n".formatted(name, value));
    }
}
