package holdfast.recovery;

import holdfast.replicator.control.NodePaths;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "init",
        description =
                "Makes this node's identity and settings where there are none, and starts its daemon.",
        mixinStandardHelpOptions = true)
final class Init implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Option(
            names = "--name",
            paramLabel = "NAME",
            description = "Of this node. Default: the host's, up to its first dot.")
    private Optional<String> name;

    @Option(names = "--no-daemon", description = "Do not start the daemon.")
    private boolean noDaemon;

    @Override
    public Integer call() throws Exception {
        NodePaths paths = holdfast.paths();
        Node.Made made = Node.make(paths, name, "");
        say(
                "%s has %s: its key is %s.",
                made.name(), made.isNew() ? "an identity now" : "its identity already", made.pin());
        say("Settings: %s", paths.nodeFile());
        if (noDaemon) {
            say("  next: %s", paths.command("daemon --detach"));
        } else {
            if (DaemonProcess.answers(paths)) {
                say("The daemon runs already.");
            } else {
                DaemonProcess daemon = DaemonProcess.start(paths, Optional.empty());
                say(
                        "The daemon runs as process %d and logs to %s.",
                        daemon.pid(), paths.daemonLog());
            }
            say(
                    "  next: %s   where the other site can reach this host,",
                    paths.command("invite --address HOST:PORT"));
            say(
                    "        or %s   with what that printed at the other site",
                    paths.command("join TOKEN"));
        }
        return holdfast.answer(made, "");
    }

    /// At once, so that it is known what was done when the daemon does not start.
    private void say(String format, Object... arguments) {
        if (!holdfast.json()) {
            holdfast.terminal().println(format.formatted(arguments));
        }
    }
}
