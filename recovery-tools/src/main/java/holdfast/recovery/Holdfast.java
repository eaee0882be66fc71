package holdfast.recovery;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/// The `holdfast` command: each subcommand is a class of this package. `bin/holdfast` starts it.
@Command(
        name = "holdfast",
        description = "Keeps a second copy of a server's block devices at another site.",
        versionProvider = Version.class,
        mixinStandardHelpOptions = true)
public final class Holdfast {
    public static void main(String[] args) {
        System.exit(new CommandLine(new Holdfast()).execute(args));
    }
}
