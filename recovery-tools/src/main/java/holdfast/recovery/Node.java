package holdfast.recovery;

import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.NodeSettings;
import holdfast.replicator.config.Settings;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.tunnel.link.Identity;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/// What `init` makes of a host: a directory for settings, one for state, an identity. All of it may
/// be there already.
final class Node {
    private Node() {}

    /// @param isNew the identity was made just now
    record Made(String name, String id, String pin, boolean isNew) {}

    /// @param name for the settings file, when that is made; absent: the host's
    /// @param moreToml more of the settings file, when that is made
    static Made make(NodePaths paths, Optional<String> name, String moreToml)
            throws IOException, ProblemException {
        DaemonProcess.makePrivate(paths.etc());
        DaemonProcess.makePrivate(paths.resourceDirectory());
        if (!Files.exists(paths.nodeFile())) {
            Files.writeString(
                    paths.nodeFile(),
                    settings(paths, name, moreToml),
                    StandardOpenOption.CREATE_NEW);
        }
        NodeSettings settings = load(paths);
        if (name.isPresent() && !settings.name().equals(name.get())) {
            throw new ProblemException(
                    Problem.of(
                                    ExitCode.REFUSED,
                                    settings.name(),
                                    "this node has a name already, nothing changed")
                            .withEvidence(paths.nodeFile() + " says \"" + settings.name() + "\"")
                            .withNext("edit " + paths.nodeFile()));
        }
        Path state = settings.stateDir();
        DaemonProcess.makePrivate(state);
        boolean isNew = !Identity.exists(state);
        Identity identity = isNew ? Identity.create(state) : Identity.load(state);
        return new Made(
                settings.name(), identity.node().toString(), identity.pin().toString(), isNew);
    }

    /// The settings of the node alone.
    static NodeSettings load(NodePaths paths) throws ProblemException {
        try {
            return Settings.load(paths.etc()).node();
        } catch (ConfigException e) {
            throw new ProblemException(
                    Problem.of(ExitCode.USAGE, "this host", "the settings are wrong")
                            .withEvidence(
                                    e.problems().stream()
                                            .map(Object::toString)
                                            .toArray(String[]::new))
                            .withNext("edit the file"));
        }
    }

    private static String settings(NodePaths paths, Optional<String> name, String moreToml) {
        var out =
                new StringBuilder(
                        "# Made by `holdfast init`. All keys: docs/settings.md\n[node]\n");
        name.ifPresent(n -> out.append("name = \"").append(n).append("\"\n"));
        paths.root()
                .ifPresent(_ -> out.append("state-dir = \"").append(paths.state()).append("\"\n"));
        return out.append(moreToml).toString();
    }
}
