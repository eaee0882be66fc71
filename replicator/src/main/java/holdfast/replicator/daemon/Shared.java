package holdfast.replicator.daemon;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.Committer;
import holdfast.replicator.nbd.PayloadPool;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import java.util.concurrent.ExecutorService;

/// What all resources of a daemon use together.
///
/// @param pool platform threads for whatever waits for a disk
/// @param pace how fast blocks are read for first sync and comparison
record Shared(
        String node,
        UUID nodeId,
        NodePaths paths,
        ExecutorService pool,
        Committer committer,
        SendBudget budget,
        PayloadPool payloads,
        PrimaryResource.ReadPace pace,
        Events events) {

    /// One for all daemons of the host, so that two of them never open one device; a node without
    /// the right to it protects itself alone.
    Path lockDirectory() {
        Path common = Path.of("/run/lock/holdfast");
        Path parent = common.getParent();
        return Files.isWritable(Files.isDirectory(common) ? common : parent)
                ? common
                : paths.state().resolve("locks");
    }

    /// A refusal by this node, to be thrown.
    ProblemException problem(ExitCode code, String cause, String next, String... evidence) {
        Problem problem = Problem.of(code, node, cause).withEvidence(evidence);
        return new ProblemException(next.isEmpty() ? problem : problem.withNext(command(next)));
    }

    /// `holdfast …` as it has to be typed for this node.
    String command(String rest) {
        return paths.command(rest);
    }
}
