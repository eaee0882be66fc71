package holdfast.system;

import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.daemon.Daemon;
import holdfast.replicator.json.Json;
import holdfast.replicator.status.StatusReport;
import holdfast.tunnel.link.Identity;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Predicate;

/// Two daemons in this process, each with a root of its own, paired over a real link on loopback.
final class TwoNodes implements AutoCloseable {
    private static final Duration LIMIT = Duration.ofMinutes(2);

    final Path dir;
    final NodePaths serverPaths;
    final NodePaths backupPaths;
    final int port;
    Daemon server;
    Daemon backup;

    TwoNodes(Path dir) throws Exception {
        this(dir, "", "");
    }

    /// @param serverToml more of the settings of the server, tables and all
    TwoNodes(Path dir, String serverToml, String backupToml) throws Exception {
        this.dir = dir;
        this.serverPaths = NodePaths.under(dir.resolve("server"));
        this.backupPaths = NodePaths.under(dir.resolve("backup"));
        this.port = Ports.free();
        make(serverPaths, "[node]\nname = \"server\"\n" + serverToml);
        make(
                backupPaths,
                "[node]\nname = \"backup\"\n[link]\nlisten = \"127.0.0.1:"
                        + port
                        + "\"\n"
                        + backupToml);
        startBackup();
        startServer();
    }

    static void make(NodePaths paths, String nodeToml) throws Exception {
        Files.createDirectories(paths.etc().resolve("conf.d"));
        Files.createDirectories(paths.state());
        Files.setPosixFilePermissions(paths.state(), PosixFilePermissions.fromString("rwx------"));
        Files.writeString(paths.nodeFile(), nodeToml);
        Identity.create(paths.state());
    }

    void startServer() throws Exception {
        server = Daemon.start(serverPaths);
    }

    void startBackup() throws Exception {
        backup = Daemon.start(backupPaths);
    }

    /// Storage at the backup, an invitation, and its redemption through `address`.
    void pair(String address) throws Exception {
        backup.storage(
                new ControlApi.StorageRequest(dir.resolve("storage").toString(), Optional.empty()));
        String token =
                backup.invite(new ControlApi.InviteRequest(Optional.of(address), Optional.empty()))
                        .token();
        server.join(new ControlApi.JoinRequest(token));
        until("connected", () -> server.status().link().get().isConnected());
    }

    void pair() throws Exception {
        pair("127.0.0.1:" + port);
    }

    static ControlApi.AddRequest addRequest(String name, Path disk, long journalBytes) {
        return new ControlApi.AddRequest(
                name,
                disk.toString(),
                Optional.empty(),
                Optional.empty(),
                Optional.of(journalBytes),
                false);
    }

    /// Adds and attaches a resource on a file.
    ///
    /// @return its NBD URI
    String addAndAttach(String name, Path disk) throws Exception {
        return addAndAttach(name, disk, 64L << 20);
    }

    String addAndAttach(String name, Path disk, long journalBytes) throws Exception {
        server.add(addRequest(name, disk, journalBytes));
        return server.attach(new ControlApi.NameRequest(name)).uri();
    }

    StatusReport.Resource atServer(String name) {
        return server.status().resource(name).orElseThrow();
    }

    void untilServer(String name, String what, Predicate<StatusReport.Resource> holds) {
        try {
            until(what, () -> holds.test(atServer(name)));
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + "\n" + account(), e);
        }
    }

    /// What both sides say of themselves, for a failing test.
    String account() {
        StringBuilder text = new StringBuilder();
        for (Daemon each : List.of(server, backup)) {
            text.append(Json.writePretty(each.status())).append('\n');
            try {
                each.events(
                        new ControlApi.EventsRequest(0, false),
                        event -> text.append(event).append('\n'));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        return text.toString();
    }

    /// Waits until the backup has committed everything the server has.
    void untilInSync(String name) {
        untilServer(
                name,
                "in sync",
                r ->
                        r.replication().equals("ESTABLISHED")
                                && r.committed().equals(r.position())
                                && r.behind().orElseThrow().bytes() == 0);
    }

    /// A thing that should become true.
    interface Check {
        boolean holds() throws Exception;
    }

    static void until(String what, Check check) {
        long began = System.nanoTime();
        try {
            while (!check.holds()) {
                long waited = System.nanoTime() - began;
                if (waited > LIMIT.toNanos()) {
                    throw new AssertionError("not within 120 s: " + what);
                }
                // What takes long is asked for less often: the daemons need the processor.
                LockSupport.parkNanos(Math.clamp(waited / 10, 10_000_000, 250_000_000));
            }
        } catch (Exception e) {
            throw new AssertionError(what, e);
        }
    }

    @Override
    public void close() {
        if (server != null) {
            server.close();
        }
        if (backup != null) {
            backup.close();
        }
    }
}
