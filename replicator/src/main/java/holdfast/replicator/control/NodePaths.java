package holdfast.replicator.control;

import java.nio.file.Path;
import java.util.Optional;

/// Where a node keeps its things.
///
/// @param etc `node.toml` and `conf.d/`
/// @param state identity, metadata, audit log and the daemon's log
/// @param run sockets; mode 0700
/// @param root all three lie under it; absent on a host with one node, where they are in their
///   usual places
public record NodePaths(Path etc, Path state, Path run, Optional<Path> root) {
    /// Of the one node of a host.
    public static NodePaths ofHost() {
        return new NodePaths(
                Path.of("/etc/holdfast"),
                Path.of("/var/lib/holdfast"),
                Path.of("/run/holdfast"),
                Optional.empty());
    }

    /// Of a node under a directory of its own, as `--root` gives it: `etc`, `state` and `run` in
    /// there.
    public static NodePaths under(Path directory) {
        Path root = directory.toAbsolutePath().normalize();
        return new NodePaths(
                root.resolve("etc"), root.resolve("state"), root.resolve("run"), Optional.of(root));
    }

    public Path nodeFile() {
        return etc.resolve("node.toml");
    }

    public Path resourceDirectory() {
        return etc.resolve("conf.d");
    }

    public Path auditFile() {
        return state.resolve("audit.log");
    }

    public Path daemonLog() {
        return state.resolve("log").resolve("daemon.log");
    }

    /// `holdfast` followed by what it takes to mean this node, for commands that are shown to
    /// people.
    public String command(String rest) {
        return "holdfast " + root.map(r -> "--root " + r + " ").orElse("") + rest;
    }
}
