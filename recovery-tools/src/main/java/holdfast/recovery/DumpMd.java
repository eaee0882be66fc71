package holdfast.recovery;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.MetadataDump;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.json.Json;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

import java.util.concurrent.Callable;

@Command(
        name = "dump-md",
        description = {
            "Prints what the state directory has of a resource: superblock, ancestry, positions, activity log, bitmap.",
            "It needs no daemon, changes nothing, and may be used beside one."
        },
        mixinStandardHelpOptions = true,
        exitCodeListHeading = "%nIt ends with:%n",
        exitCodeList = {
            "0:printed",
            "1:printed, but something is damaged; or nothing can be read",
            "3:there is no such resource"
        })
final class DumpMd implements Callable<Integer> {
    /// A line or an object for each: what a terminal and a script can still take.
    private static final int RANGES_MAX = 1_000_000;

    @ParentCommand private Holdfast holdfast;
    @Spec private CommandSpec spec;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Option(
            names = "--ranges",
            paramLabel = "N",
            defaultValue = "20",
            description = "How many ranges of the bitmap are listed. Default: 20.")
    private int ranges;

    @Override
    public Integer call() throws ProblemException {
        if (ranges < 0 || ranges > RANGES_MAX) {
            throw new ParameterException(
                    spec.commandLine(), "--ranges should be 0 to " + RANGES_MAX);
        }
        NodePaths paths = holdfast.paths();
        MetadataDump dump = Daemon.entry().dump(paths, name, ranges);
        holdfast.terminal().print(holdfast.json() ? Json.writePretty(dump) : DumpText.of(dump));
        if (dump.damage().isEmpty()) {
            return ExitCode.DONE.number();
        }
        holdfast.terminal()
                .complain(
                        Problem.of(ExitCode.FAILED, "this host", name + " has damaged metadata")
                                .withEvidence(dump.damage().toArray(String[]::new))
                                .withNext(paths.command("status " + name))
                                .text());
        return ExitCode.FAILED.number();
    }
}
