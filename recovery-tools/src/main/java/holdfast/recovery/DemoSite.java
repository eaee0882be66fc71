package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlClient;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/// One of the two sites of a demonstration: a node under a directory, and its daemon.
final class DemoSite implements AutoCloseable {
    private static final Duration STOP_LIMIT = Duration.ofSeconds(30);

    private final String name;
    private final NodePaths paths;
    private final ControlClient api;
    private DaemonProcess daemon;

    private DemoSite(String name, NodePaths paths) {
        this.name = name;
        this.paths = paths;
        this.api = new ControlClient(paths.run(), paths.command("daemon --detach"));
    }

    /// As `holdfast --root DIR init --name NAME`, but the daemon ends with us.
    ///
    /// @param rate of the link, so that there is something to see
    static DemoSite start(Path directory, String name, String rate)
            throws IOException, ProblemException, InterruptedException {
        var site = new DemoSite(name, NodePaths.under(directory.resolve(name)));
        Node.make(site.paths, Optional.of(name), "[link]\nrate = \"" + rate + "\"\n");
        site.daemon = DaemonProcess.start(site.paths, Optional.of(ProcessHandle.current().pid()));
        return site;
    }

    String name() {
        return name;
    }

    NodePaths paths() {
        return paths;
    }

    ControlApi api() {
        return api;
    }

    StatusReport.Resource resource(String resource) throws ProblemException {
        return api.status().resource(resource).orElseThrow();
    }

    /// Stops the daemon as a person would. May be called twice.
    @Override
    public synchronized void close() {
        if (daemon == null || !daemon.isAlive()) {
            return;
        }
        try {
            api.shutdown();
        } catch (ProblemException _) {
            // It is about to end already, or it hangs: the limit decides.
        }
        try {
            daemon.awaitEnd(STOP_LIMIT);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
