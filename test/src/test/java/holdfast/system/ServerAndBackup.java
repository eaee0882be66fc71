package holdfast.system;

import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.status.StatusReport;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// A server and its backup, each a daemon in a process of its own, paired over loopback and
/// connected; the backup has storage. Where either may be the backup of the other there are
/// [TwoProcesses], and where both may live in this process [TwoNodes].
final class ServerAndBackup implements AutoCloseable {
    final NodeProcess server;
    final NodeProcess backup;

    ServerAndBackup(Path dir) throws Exception {
        this(dir, "", NodeProcess.FLAGS, NodeProcess.FLAGS, dir.resolve("storage"));
    }

    /// @param serverToml more of the settings of the server, tables and all
    /// @param serverFlags of its JVM
    /// @param storage of the backup
    ServerAndBackup(
            Path dir,
            String serverToml,
            List<String> serverFlags,
            List<String> backupFlags,
            Path storage)
            throws Exception {
        NodePaths serverPaths = NodePaths.under(dir.resolve("server"));
        NodePaths backupPaths = NodePaths.under(dir.resolve("backup"));
        int port = Ports.free();
        TwoNodes.make(serverPaths, "[node]\nname = \"server\"\n" + serverToml);
        TwoNodes.make(
                backupPaths,
                "[node]\nname = \"backup\"\n[link]\nlisten = \"127.0.0.1:" + port + "\"\n");
        server = new NodeProcess(serverPaths, serverFlags);
        backup = new NodeProcess(backupPaths, backupFlags);
        try {
            start();
            backup.api.storage(new ControlApi.StorageRequest(storage.toString(), Optional.empty()));
            pair(server, backup, port);
        } catch (Exception | AssertionError e) {
            close();
            throw e;
        }
    }

    /// Both, until they answer.
    void start() throws Exception {
        backup.start();
        server.start();
        backup.awaitAnswer();
        server.awaitAnswer();
    }

    /// @param port at which `inviting` listens
    static void pair(NodeProcess joining, NodeProcess inviting, int port) throws Exception {
        String token =
                inviting.api
                        .invite(
                                new ControlApi.InviteRequest(
                                        Optional.of("127.0.0.1:" + port), Optional.empty()))
                        .token();
        joining.api.join(new ControlApi.JoinRequest(token));
        TwoNodes.until("connected", () -> joining.api.status().link().get().isConnected());
    }

    /// Adds and attaches the resource `home`, and waits for its first sync.
    ControlApi.AttachReply addHome(Path disk, long journalBytes) throws Exception {
        server.api.add(TwoNodes.addRequest("home", disk, journalBytes));
        ControlApi.AttachReply attached = server.api.attach(new ControlApi.NameRequest("home"));
        untilInSync("first sync");
        return attached;
    }

    /// Waits until the backup has all of `home`.
    void untilInSync(String what) {
        NodeProcess.until(what, this::isInSync, server, backup);
    }

    boolean isInSync() {
        return isInSync(server);
    }

    static boolean isInSync(NodeProcess server) {
        return server.resource("home").filter(ServerAndBackup::isInSync).isPresent();
    }

    static boolean isInSync(StatusReport.Resource of) {
        return of.replication().equals("ESTABLISHED")
                && of.committed().equals(of.position())
                && of.behind().orElseThrow().bytes() == 0;
    }

    @Override
    public void close() throws InterruptedException {
        try {
            server.close();
        } finally {
            backup.close();
        }
    }
}
