package holdfast.recovery;

import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlClient;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.json.Json;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

import java.nio.file.Path;
import java.util.List;

/// The `holdfast` command: each subcommand is a class of this package, listed in [Verbs].
/// `bin/holdfast` starts it.
@Command(
        name = "holdfast",
        description = "Keeps a second copy of a server's block devices at another site.",
        synopsisSubcommandLabel = "COMMAND",
        versionProvider = Version.class,
        mixinStandardHelpOptions = true,
        exitCodeListHeading = "%nEvery command ends with one of these:%n",
        exitCodeList = {
            "0:done",
            "1:failed",
            "2:wrong arguments or settings",
            "3:refused, nothing changed",
            "4:no daemon answers",
            "5:the peer is away",
            "6:confirmation needed",
            "7:the wait timed out, the work goes on",
            "8:differences found, or a drill failed"
        },
        footerHeading = "%nTo begin, on two hosts, as root:%n",
        footer = {
            "  backup#  holdfast init && holdfast storage DIR && holdfast invite --address HOST:PORT",
            "  server#  holdfast init && holdfast join TOKEN && holdfast add NAME DISK",
            "  server#  holdfast attach NAME && holdfast wait NAME && holdfast status"
        })
public final class Holdfast {
    @Option(
            names = "--root",
            paramLabel = "DIR",
            scope = ScopeType.INHERIT,
            defaultValue = "${env:HOLDFAST_ROOT}",
            description =
                    "The node under DIR (DIR/etc, DIR/state, DIR/run) instead of the host's own.")
    private Path root;

    @Option(
            names = "--json",
            scope = ScopeType.INHERIT,
            description = "The same facts as JSON on standard output.")
    private boolean json;

    private final Terminal terminal;

    private Holdfast(Terminal terminal) {
        this.terminal = terminal;
    }

    public static void main(String[] args) {
        int code;
        try {
            code = run(args, Terminal.ofProcess());
        } catch (Throwable e) {
            // Also an Error ends the process, or a daemon whose start failed half-way would live on
            // in its other threads.
            e.printStackTrace();
            code = ExitCode.FAILED.number();
        }
        System.exit(code);
    }

    /// Runs one command.
    ///
    /// @return its exit code
    public static int run(String[] args, Terminal terminal) {
        var holdfast = new Holdfast(terminal);
        var line = new CommandLine(holdfast);
        Verbs.register(line, args);
        line.setOut(terminal.out());
        line.setErr(terminal.err());
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setUsageHelpWidth(100);
        line.setExecutionStrategy(new CommandLine.RunLast());
        line.setExecutionExceptionHandler((e, _, _) -> holdfast.report(e));
        line.setParameterExceptionHandler(holdfast::usage);
        line.registerConverter(Size.class, Holdfast::size);
        int code = line.execute(args);
        terminal.out().flush();
        terminal.err().flush();
        return code;
    }

    Terminal terminal() {
        return terminal;
    }

    NodePaths paths() {
        return root == null ? NodePaths.ofHost() : NodePaths.under(root);
    }

    ControlApi api() {
        NodePaths paths = paths();
        return new ControlClient(paths.run(), paths.command("daemon --detach"));
    }

    boolean json() {
        return json;
    }

    /// Prints a reply: the record with `--json`, else the text.
    int answer(Record reply, String text) {
        terminal.print(json ? Json.writePretty(reply) : text);
        return ExitCode.DONE.number();
    }

    private int report(Exception e) {
        Problem problem = problemOf(e);
        if (json) {
            terminal.print(Json.writePretty(problem));
        }
        terminal.endProgress();
        terminal.complain(problem.text());
        return problem.exitCode();
    }

    private static Problem problemOf(Exception e) {
        return switch (e) {
            case ProblemException known -> known.problem();
            case InterruptedException _ -> Problem.of(ExitCode.FAILED, "this host", "interrupted");
            default ->
                    Problem.of(
                            ExitCode.FAILED,
                            "this host",
                            e.getMessage() == null ? e.toString() : e.getMessage());
        };
    }

    private static Size size(String text) {
        try {
            return Size.parse(text);
        } catch (IllegalArgumentException e) {
            throw new CommandLine.TypeConversionException(e.getMessage());
        }
    }

    private int usage(CommandLine.ParameterException e, String[] args) {
        CommandLine line = e.getCommandLine();
        String help = line.getCommandSpec().qualifiedName() + " --help";
        // What was typed could not be parsed, so neither could be whether JSON is wanted.
        if (List.of(args).contains("--json")) {
            terminal.print(
                    Json.writePretty(
                            Problem.of(ExitCode.USAGE, "this host", e.getMessage())
                                    .withNext(help)));
        }
        line.getErr().println(e.getMessage());
        if (!CommandLine.UnmatchedArgumentException.printSuggestions(e, line.getErr())) {
            line.getErr().println("  next: " + help);
        }
        return ExitCode.USAGE.number();
    }
}
