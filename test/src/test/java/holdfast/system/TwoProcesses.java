package holdfast.system;

import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/// Two daemons in processes of their own, paired over loopback, each of which has storage, so that
/// either may be the backup of the other.
final class TwoProcesses implements AutoCloseable {
    private static final long JOURNAL_BYTES = 16L << 20;

    final NodeProcess left;
    final NodeProcess right;
    private final Path dir;

    /// @param environment of the left one, more than this process has
    TwoProcesses(Path dir, Map<String, String> environment) throws Exception {
        this(dir, environment, "");
    }

    /// @param left more environment of the left one than this process has
    /// @param right likewise
    TwoProcesses(Path dir, Map<String, String> left, Map<String, String> right) throws Exception {
        this(
                dir,
                paths -> new NodeProcess(paths, left),
                paths -> new NodeProcess(paths, right),
                "");
    }

    /// @param link what both say of the link
    TwoProcesses(Path dir, Map<String, String> environment, String link) throws Exception {
        this(
                dir,
                paths -> new NodeProcess(paths, environment),
                paths -> new NodeProcess(paths),
                link);
    }

    /// @param leftFlags of the JVM
    TwoProcesses(Path dir, List<String> leftFlags, List<String> rightFlags) throws Exception {
        this(
                dir,
                paths -> new NodeProcess(paths, leftFlags),
                paths -> new NodeProcess(paths, rightFlags),
                "");
    }

    private TwoProcesses(
            Path dir,
            Function<NodePaths, NodeProcess> leftOf,
            Function<NodePaths, NodeProcess> rightOf,
            String link)
            throws Exception {
        this.dir = dir;
        NodePaths leftPaths = NodePaths.under(dir.resolve("left"));
        NodePaths rightPaths = NodePaths.under(dir.resolve("right"));
        int port = Ports.free();
        TwoNodes.make(leftPaths, "[node]\nname = \"left\"\n[link]\n" + link);
        TwoNodes.make(
                rightPaths,
                "[node]\nname = \"right\"\n[link]\nlisten = \"127.0.0.1:" + port + "\"\n" + link);
        left = leftOf.apply(leftPaths);
        right = rightOf.apply(rightPaths);
        try {
            pair(port);
        } catch (Exception | AssertionError e) {
            close();
            throw e;
        }
    }

    private void pair(int port) throws Exception {
        right.start();
        left.start();
        right.awaitAnswer();
        left.awaitAnswer();
        for (NodeProcess each : new NodeProcess[] {left, right}) {
            String storage = dir.resolve("storage").resolve(each == left ? "left" : "right") + "";
            each.api.storage(new ControlApi.StorageRequest(storage, Optional.empty()));
        }
        ServerAndBackup.pair(left, right, port);
    }

    /// A sparse file.
    Path disk(String name, long bytes) throws IOException {
        Path path = dir.resolve(name + ".disk");
        try (FileChannel file =
                FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.wrap(new byte[1]), bytes - 1);
        }
        return path;
    }

    /// A resource of this node's, on a file of so many bytes; attached and in sync.
    Path add(NodeProcess node, String name, long bytes) throws Exception {
        Path disk = disk(name, bytes);
        node.api.add(TwoNodes.addRequest(name, disk, JOURNAL_BYTES));
        node.api.attach(new ControlApi.NameRequest(name));
        awaitInSync(node, name);
        return disk;
    }

    static Path socket(NodeProcess node, String name) {
        return node.paths.run().resolve(name + ".nbd");
    }

    void awaitInSync(NodeProcess node, String name) {
        NodeProcess.until(
                name + " in sync",
                () -> node.resource(name).filter(TwoProcesses::isInSync).isPresent(),
                left,
                right);
    }

    static boolean isInSync(StatusReport.Resource of) {
        return ServerAndBackup.isInSync(of);
    }

    /// The copy at the other node is what the disk holds.
    static void compare(NodeProcess backup, String name, Path disk) throws Exception {
        ControlApi.OpenReply view =
                backup.api.open(new ControlApi.OpenRequest(name, Optional.empty()));
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.toString(), view.view().uri());
        backup.api.closeView(new ControlApi.CloseRequest(view.view().id()));
    }

    @Override
    public void close() throws InterruptedException {
        try {
            left.close();
        } finally {
            right.close();
        }
    }
}
