package holdfast.system;

import holdfast.bench.BlockClient;
import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.daemon.Daemon;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;

/// A server and a backup that were stopped, both primary of `home`: the copy was promoted beside
/// the server, and both have been written to since. A test begins with a copy of their whole tree.
final class SavedFork {
    static final long DEVICE_BYTES = 16L << 20;
    private static final long JOURNAL_BYTES = 16L << 20;
    private static final int WRITES = 24;

    private final SavedTree saved;

    private SavedFork(SavedTree saved) {
        this.saved = saved;
    }

    static SavedFork make(Path dir, Random random) throws Exception {
        Path tree = Files.createDirectories(dir.resolve("tree"));
        int port = Ports.free();
        NodePaths server = server(tree);
        NodePaths backup = backup(tree);
        TwoNodes.make(server, "[node]\nname = \"server\"\n");
        TwoNodes.make(
                backup, "[node]\nname = \"backup\"\n[link]\nlisten = \"127.0.0.1:" + port + "\"\n");
        try (Daemon second = Daemon.start(backup);
                Daemon first = Daemon.start(server)) {
            second.storage(
                    new ControlApi.StorageRequest(
                            tree.resolve("storage-backup").toString(), Optional.empty()));
            first.storage(
                    new ControlApi.StorageRequest(storage(tree).toString(), Optional.empty()));
            String token =
                    second.invite(
                                    new ControlApi.InviteRequest(
                                            Optional.of("127.0.0.1:" + port), Optional.empty()))
                            .token();
            first.join(new ControlApi.JoinRequest(token));
            TwoNodes.until("connected", () -> first.status().link().get().isConnected());
            Path disk = Files.write(tree.resolve("home.disk"), new byte[(int) DEVICE_BYTES]);
            first.add(TwoNodes.addRequest("home", disk, JOURNAL_BYTES));
            first.attach(new ControlApi.NameRequest("home"));
            fill(server, random);
            TwoNodes.until(
                    "in sync",
                    () ->
                            first.status()
                                    .resource("home")
                                    .filter(TwoProcesses::isInSync)
                                    .isPresent());
            second.promote(new ControlApi.PromoteRequest("home", Optional.empty(), true, false));
            fill(server, random);
            fill(backup, random);
        }
        return new SavedFork(new SavedTree(tree, port));
    }

    private static void fill(NodePaths at, Random random) throws IOException {
        try (BlockClient client = client(at)) {
            write(client, WRITES, random);
        }
    }

    /// Flushed.
    static void write(BlockClient client, int writes, Random random) throws IOException {
        for (int i = 0; i < writes; i++) {
            byte[] data = new byte[4096 * (1 + random.nextInt(8))];
            random.nextBytes(data);
            long blocks = (DEVICE_BYTES - data.length) / 4096;
            client.write(random.nextInt((int) blocks) * 4096L, ByteBuffer.wrap(data), false);
        }
        client.flush();
    }

    static BlockClient client(NodePaths at) throws IOException {
        return new BlockClient(at.run().resolve("home.nbd"), "home");
    }

    static NodePaths server(Path tree) {
        return NodePaths.under(tree.resolve("server"));
    }

    static NodePaths backup(Path tree) {
        return NodePaths.under(tree.resolve("backup"));
    }

    /// Of the server.
    static Path storage(Path tree) {
        return tree.resolve("storage-server");
    }

    void copyTo(Path to) throws Exception {
        saved.copyTo(to);
    }
}
