package holdfast.replicator.daemon;

import holdfast.replicator.config.NodeSettings;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.EventLog;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.device.Committers;
import holdfast.replicator.nbd.PayloadPool;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/// What the resources of a node need to live, on real files and without a link.
final class LoneNode implements AutoCloseable {
    static final UUID ID = new UUID(5, 6);

    final NodePaths paths;
    final NodeSettings settings;
    final Shared shared;
    final EventLog log;
    final Path storage;
    private final ExecutorService pool = Executors.newCachedThreadPool();
    final Committers committers = new Committers();

    /// @param storageToml more of the table `storage`
    LoneNode(Path dir, String storageToml) throws Exception {
        paths = NodePaths.under(dir.resolve("node"));
        storage = Files.createDirectories(dir.resolve("storage"));
        for (Path each : List.of(paths.state().resolve("resources"), paths.run())) {
            Files.createDirectories(each);
        }
        Files.createDirectories(paths.resourceDirectory());
        settings =
                NodeSettings.parse(
                        "[node]\nname = \"backup\"\n[storage]\npath = \"%s\"\n%s"
                                .formatted(storage, storageToml),
                        "node.toml");
        log = new EventLog("backup", Clock.systemUTC());
        shared =
                new Shared(
                        "backup",
                        ID,
                        paths,
                        pool,
                        pool,
                        committers,
                        new SendBudget(1 << 20),
                        new ViewMemory(1 << 20),
                        new PayloadPool(),
                        new ReadBuffers(),
                        _ -> {},
                        new KernelDevice(paths.run()),
                        new Events(log, pool));
    }

    Path resources() {
        return paths.state().resolve("resources");
    }

    ResourceManager manager(Turns turns, Duration offerPatience) throws Exception {
        var manager =
                new ResourceManager(
                        shared,
                        () -> settings,
                        new PeerBook(paths.state().resolve("peers.json")),
                        turns,
                        offerPatience);
        manager.use(new Link(manager, pool, shared.events()));
        return manager;
    }

    /// The events so far, each its kind and text.
    List<String> said() throws InterruptedException {
        List<String> said = new ArrayList<>();
        log.stream(
                new ControlApi.EventsRequest(0, false),
                each -> said.add(each.kind() + " " + each.text()));
        return said;
    }

    /// The same of one resource.
    List<String> saidOf(String name) throws InterruptedException {
        List<String> said = new ArrayList<>();
        log.stream(
                new ControlApi.EventsRequest(0, false),
                each -> {
                    if (each.resource().equals(Optional.of(name))) {
                        said.add(each.kind());
                    }
                });
        return said;
    }

    @Override
    public void close() {
        committers.close();
        pool.shutdown();
    }
}
