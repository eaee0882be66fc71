package holdfast.replicator.daemon;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.Committers;
import holdfast.replicator.device.GivingWay;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdLimits;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.nbd.PayloadPool;
import holdfast.replicator.state.Role;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ThreadFactory;

/// What all resources of a daemon use together.
///
/// @param pool platform threads for whatever waits for a disk
/// @param idle a thread that gives way to all others, for work that may wait
/// @param pace how fast blocks are read for first sync and comparison
/// @param viewMemory for the indexes of opened moments
/// @param kernel its own NBD clients, connected to exports
record Shared(
        String node,
        UUID nodeId,
        NodePaths paths,
        ExecutorService pool,
        Executor idle,
        Committers committers,
        SendBudget budget,
        ViewMemory viewMemory,
        PayloadPool payloads,
        ReadBuffers readBuffers,
        PrimaryResource.ReadPace pace,
        KernelDevice kernel,
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

    /// What an operator writes of a resource.
    Path settingsFile(String name) {
        return paths.resourceDirectory().resolve(name + ".toml");
    }

    /// A server whose threads answer an application, whoever starts them: the link's give way, and
    /// what they start would inherit that.
    NbdServer nbdServer(Exports exports) {
        ThreadFactory usual = GivingWay.never(Thread.ofPlatform().daemon().factory());
        return new NbdServer(
                exports, payloads, NbdLimits.DEFAULT, usual, events.acceptTold("the NBD server"));
    }

    /// A refusal by this node, to be thrown.
    ProblemException problem(ExitCode code, String cause, String next, String... evidence) {
        Problem problem = Problem.of(code, node, cause).withEvidence(evidence);
        return new ProblemException(next.isEmpty() ? problem : problem.withNext(command(next)));
    }

    /// The same, for what a resource of this role does not do.
    ProblemException refused(Role role, String cause, String next, String... evidence) {
        return new ProblemException(
                problem(ExitCode.REFUSED, cause, next, evidence).problem().withRole(role.name()));
    }

    /// What has to be typed with an order that gives up what the resource is now.
    String confirmOf(ResourceDir of) {
        return "%s/%s@%06x"
                .formatted(node, of.name(), of.superblock().ancestry().generation() >>> 40);
    }

    /// What gives something up is typed twice, the second time with what the first one has shown.
    ///
    /// @param cause why, where nothing was typed with it
    /// @param command the order without its `--confirm`
    void requireConfirmed(
            Optional<String> typed,
            String confirm,
            String cause,
            List<String> evidence,
            String command)
            throws ProblemException {
        if (!typed.map(confirm::equals).orElse(false)) {
            throw problem(
                    ExitCode.CONFIRMATION_NEEDED,
                    typed.map("%s confirms something else"::formatted).orElse(cause),
                    command + " --confirm " + confirm,
                    evidence.toArray(String[]::new));
        }
    }

    /// `holdfast …` as it has to be typed for this node.
    String command(String rest) {
        return paths.command(rest);
    }
}
