package holdfast.bench;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Predicate;

/// Two nodes of this host that replicate one device over loopback.
final class Pair implements AutoCloseable {
    static final String RESOURCE = "disk";

    private static final long LIMIT_SECONDS = 120;

    private final Path directory;
    private final Site server;
    private final Site backup;
    private String uri;

    private Pair(Path directory, Site server, Site backup) {
        this.directory = directory;
        this.server = server;
        this.backup = backup;
    }

    /// How a pair is set up.
    ///
    /// @param server more of the server's settings: the tables `link` (without its head) and what
    ///   follows
    /// @param protocol A or C
    record Setup(String server, String protocol) {
        static final Setup PLAIN = new Setup("", "A");
    }

    /// Starts both daemons, pairs them, and replicates the file `disk` in the directory.
    ///
    /// In life the backup has a machine of its own: here it gets what the server and its
    /// application leave over.
    static Pair start(Path directory, Setup setup, long journalBytes) throws Exception {
        return start(directory, setup, journalBytes, port -> port, "nice", "-n", "19");
    }

    /// What stands between the server and the port on which the backup listens.
    interface Line {
        /// @return the port to dial
        int to(int port) throws IOException;
    }

    /// @param backupPrefix of the command that starts the backup's daemon
    static Pair start(
            Path directory, Setup setup, long journalBytes, Line line, String... backupPrefix)
            throws Exception {
        int port = Ports.free();
        Site backup =
                Site.start(
                        directory.resolve("backup"),
                        "backup",
                        "[link]\nlisten = \"127.0.0.1:%d\"\n".formatted(port),
                        backupPrefix);
        Site server = null;
        try {
            server = Site.start(directory.resolve("server"), "server", "[link]\n" + setup.server());
            var pair = new Pair(directory, server, backup);
            pair.join("127.0.0.1:" + line.to(port), setup, journalBytes);
            return pair;
        } catch (Exception e) {
            backup.close();
            if (server != null) {
                server.close();
            }
            throw e;
        }
    }

    private void join(String address, Setup setup, long journalBytes) throws Exception {
        backup.awaitAnswer();
        server.awaitAnswer();
        Path storage = Files.createDirectories(directory.resolve("storage"));
        backup.api().storage(new ControlApi.StorageRequest(storage.toString(), Optional.empty()));
        String token =
                backup.api()
                        .invite(
                                new ControlApi.InviteRequest(
                                        Optional.of(address), Optional.empty()))
                        .token();
        server.api().join(new ControlApi.JoinRequest(token));
        until("connected", s -> s.link().map(StatusReport.Link::isConnected).orElse(false));
        server.api()
                .add(
                        new ControlApi.AddRequest(
                                RESOURCE,
                                disk().toString(),
                                Optional.empty(),
                                Optional.of(setup.protocol()),
                                Optional.of(journalBytes),
                                false));
        uri = server.api().attach(new ControlApi.NameRequest(RESOURCE)).uri();
        awaitInSync();
    }

    Path disk() {
        return directory.resolve(RESOURCE);
    }

    String uri() {
        return uri;
    }

    ControlApi api() {
        return server.api();
    }

    ControlApi backupApi() {
        return backup.api();
    }

    /// The server's daemon crashes and is started again; it attaches what was attached.
    void crashServer() throws IOException, InterruptedException {
        server.crash();
        server.awaitAnswer();
    }

    /// A client of the export.
    BlockClient client() throws IOException, ProblemException {
        return new BlockClient(Path.of(resource().export().orElseThrow().socket()), RESOURCE);
    }

    StatusReport.Resource resource() throws ProblemException {
        return server.api().status().resource(RESOURCE).orElseThrow();
    }

    String state() throws ProblemException {
        return resource().replication();
    }

    /// Bytes that the server has sent to the backup for whatever reason, as packets, before TLS.
    long sentWireBytes() throws ProblemException {
        return server.api().status().link().map(StatusReport.Link::sentWireBytes).orElse(0L);
    }

    /// The same before compression, and without what is not this device's.
    long sentRawBytes() throws ProblemException {
        return resource().traffic().sentRawBytes();
    }

    /// Until the backup has committed everything.
    void awaitInSync() throws Exception {
        until("in sync", Pair::isInSync);
    }

    boolean isInSync() throws ProblemException {
        return isInSync(server.api().status());
    }

    private static boolean isInSync(StatusReport status) {
        // A daemon that has just been started may not have it yet.
        return status.resource(RESOURCE)
                .filter(r -> r.replication().equals("ESTABLISHED"))
                .filter(
                        r ->
                                r.committed().equals(r.position())
                                        && r.behind().orElseThrow().bytes() == 0)
                .isPresent();
    }

    void awaitState(String state) throws Exception {
        until(state, s -> s.resource(RESOURCE).orElseThrow().replication().equals(state));
    }

    private void until(String what, Predicate<StatusReport> holds) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS);
        while (!holds.test(server.api().status())) {
            if (System.nanoTime() > deadline) {
                throw new IOException(
                        "not within %d s: %s\n%s"
                                .formatted(LIMIT_SECONDS, what, server.api().status()));
            }
            LockSupport.parkNanos(50_000_000);
        }
    }

    double serverCpuSeconds() throws IOException {
        return server.cpuSeconds();
    }

    double backupCpuSeconds() throws IOException {
        return backup.cpuSeconds();
    }

    void stopBackup() {
        backup.close();
    }

    @Override
    public void close() {
        server.close();
        backup.close();
    }
}
