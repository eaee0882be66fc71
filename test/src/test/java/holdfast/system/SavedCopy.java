package holdfast.system;

import holdfast.bench.BlockClient;
import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;

/// A backup that was stopped, with a copy of several moments, whose server is away. A test begins
/// with a copy of its whole tree.
///
/// The moments differ in the device's second half; the first holds zeroes in all of them.
final class SavedCopy {
    static final long DEVICE_BYTES = 16L << 20;
    static final long CONTENT_FROM = DEVICE_BYTES / 2;
    private static final long JOURNAL_BYTES = 16L << 20;
    private static final int MOMENTS = 4;
    private static final int WRITES = 24;

    /// @param at a time at which it was the newest
    /// @param digest of the device from [#CONTENT_FROM] on
    record Moment(Instant at, String digest) {}

    private final Path tree;
    private final int port;
    private final List<Moment> moments = new ArrayList<>();

    private SavedCopy(Path tree, int port) {
        this.tree = tree;
        this.port = port;
    }

    static SavedCopy make(Path dir, Random random) throws Exception {
        Path tree = dir.resolve("tree");
        Files.createDirectories(tree);
        SavedCopy saved = new SavedCopy(tree, Ports.free());
        NodePaths serverPaths = NodePaths.under(dir.resolve("server"));
        NodePaths backupPaths = NodePaths.under(tree.resolve("backup"));
        TwoNodes.make(serverPaths, "[node]\nname = \"server\"\n");
        TwoNodes.make(
                backupPaths,
                "[node]\nname = \"backup\"\n[link]\nlisten = \"127.0.0.1:" + saved.port + "\"\n");
        try (NodeProcess server = new NodeProcess(serverPaths);
                NodeProcess backup = new NodeProcess(backupPaths)) {
            backup.start();
            server.start();
            backup.awaitAnswer();
            server.awaitAnswer();
            saved.fill(dir, server, backup, random);
        }
        return saved;
    }

    private void fill(Path dir, NodeProcess server, NodeProcess backup, Random random)
            throws Exception {
        backup.api.storage(
                new ControlApi.StorageRequest(
                        tree.resolve("storage").toString(), Optional.empty()));
        String token =
                backup.api
                        .invite(
                                new ControlApi.InviteRequest(
                                        Optional.of("127.0.0.1:" + port), Optional.empty()))
                        .token();
        server.api.join(new ControlApi.JoinRequest(token));
        TwoNodes.until("connected", () -> server.api.status().link().get().isConnected());
        Path disk = Files.write(dir.resolve("home.disk"), new byte[(int) DEVICE_BYTES]);
        server.api.add(TwoNodes.addRequest("home", disk, JOURNAL_BYTES));
        server.api.attach(new ControlApi.NameRequest("home"));
        awaitInSync(server, backup);
        Path socket = TwoProcesses.socket(server, "home");
        for (int i = 0; i < MOMENTS; i++) {
            try (BlockClient client = new BlockClient(socket, "home")) {
                write(client, random);
            }
            awaitInSync(server, backup);
            // The clock is in milliseconds; what comes next is later, and this is not.
            LockSupport.parkNanos(5_000_000);
            Instant now = Instant.now();
            LockSupport.parkNanos(5_000_000);
            moments.add(
                    new Moment(
                            now, KeptMoments.digest(backup, Optional.of("latest"), CONTENT_FROM)));
        }
    }

    private static void write(BlockClient client, Random random) throws IOException {
        for (int i = 0; i < WRITES; i++) {
            int length = 4096 * (1 + random.nextInt(8));
            long blocks = (DEVICE_BYTES - CONTENT_FROM - length) / 4096;
            long offset = CONTENT_FROM + random.nextInt((int) blocks) * 4096L;
            if (random.nextInt(6) == 0) {
                client.writeZeroes(offset, length);
            } else {
                byte[] data = new byte[length];
                random.nextBytes(data);
                client.write(offset, ByteBuffer.wrap(data), false);
            }
        }
        client.flush();
    }

    private static void awaitInSync(NodeProcess server, NodeProcess backup) {
        NodeProcess.until(
                "in sync",
                () -> server.resource("home").filter(TwoProcesses::isInSync).isPresent(),
                server,
                backup);
    }

    /// Oldest first.
    List<Moment> moments() {
        return moments;
    }

    /// The same under another path and with another port, as if an operator had moved it.
    ///
    /// @param environment more than this process has
    NodeProcess copyTo(Path to, Map<String, String> environment) throws Exception {
        new SavedTree(tree, port).copyTo(to);
        return new NodeProcess(NodePaths.under(to.resolve("backup")), environment);
    }
}
