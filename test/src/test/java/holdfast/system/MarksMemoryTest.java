package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.bench.Ports;
import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A server without memory for marks of single blocks asks for room for whole extents where single
/// blocks differ. That lacks room in a small journal; what status says then makes it go on.
@Timeout(300)
class MarksMemoryTest {
    private static final int MIB = 1 << 20;
    private static final int EXTENTS = 16;
    private static final int EXTENT = 4 * MIB;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    /// Less than the 24 bytes that a block alone takes.
    private static final List<String> NO_MARKS = List.of("-Dholdfast.marks.bytes=16");

    @TempDir Path dir;

    @Test
    void wholeExtentsThatLackRoomGoWhenTheJournalIsEnlargedAsStatusSays() throws Exception {
        NodePaths serverPaths = NodePaths.under(dir.resolve("server"));
        NodePaths backupPaths = NodePaths.under(dir.resolve("backup"));
        int port = Ports.free();
        TwoNodes.make(serverPaths, "[node]\nname = \"server\"\n");
        TwoNodes.make(
                backupPaths,
                "[node]\nname = \"backup\"\n[link]\nlisten = \"127.0.0.1:" + port + "\"\n");
        byte[] data = new byte[EXTENTS * EXTENT]; // What is zero would take no room.
        new Random(5).nextBytes(data);
        Path disk = Files.write(dir.resolve("disk.img"), data);
        try (NodeProcess server = new NodeProcess(serverPaths, NO_MARKS);
                NodeProcess backup = new NodeProcess(backupPaths, List.of())) {
            backup.start();
            server.start();
            backup.awaitAnswer();
            server.awaitAnswer();
            backup.api.storage(
                    new ControlApi.StorageRequest(
                            dir.resolve("storage").toString(), Optional.empty()));
            String token =
                    backup.api
                            .invite(
                                    new ControlApi.InviteRequest(
                                            Optional.of("127.0.0.1:" + port), Optional.empty()))
                            .token();
            server.api.join(new ControlApi.JoinRequest(token));
            TwoNodes.until("connected", () -> server.api.status().link().get().isConnected());
            server.api.add(TwoNodes.addRequest("home", disk, 16L * MIB));
            Path socket = Path.of(server.api.attach(HOME).socket());
            NodeProcess.until("first sync", () -> isInSync(server), server, backup);

            ControlApi.LinkRequest link = new ControlApi.LinkRequest(Optional.of("home"));
            server.api.disconnect(link);
            try (BlockClient client = new BlockClient(socket, "home")) {
                for (int i = 0; i < EXTENTS; i++) {
                    ByteBuffer block = ByteBuffer.allocate(4096).put(0, (byte) i);
                    client.write((long) i * EXTENT, block, false);
                }
                client.flush();
            }
            server.api.detach(HOME); // What is buffered is marked then.
            server.api.attach(HOME);
            server.api.connect(link);
            NodeProcess.until("it waits for room", () -> more(server) > 0, server, backup);
            NodeProcess.until("told there", () -> more(backup) > 0, server, backup);
            assertTrue(more(server) > 30L * MIB, "whole extents are asked for");
            assertEquals(more(server), more(backup));

            Path file = backupPaths.resourceDirectory().resolve("home.toml");
            String size = "size = \"%s\"".formatted(new Size(16L * MIB + more(backup)));
            Files.writeString(file, Files.readString(file).replaceFirst("size = \"[^\"]*\"", size));
            ControlApi.AdjustReply reply = backup.api.adjust(new ControlApi.AdjustRequest(false));
            assertTrue(reply.applied(), reply.problems().toString());
            NodeProcess.until("caught up", () -> isInSync(server), server, backup);
        }
    }

    /// By how much the journal is to grow, as status says; 0 if it does not say so.
    private static long more(NodeProcess node) {
        String trouble = node.resource("home").flatMap(StatusReport.Resource::trouble).orElse("");
        Matcher found =
                Pattern.compile("raise journal.size in \\S+ by (\\d+ [KMG]iB) or more")
                        .matcher(trouble.replaceAll("(?:--root \\S+ )", ""));
        return found.find() ? Size.parse(found.group(1)).bytes() : 0;
    }

    private static boolean isInSync(NodeProcess server) {
        return server.resource("home")
                .filter(
                        home ->
                                home.replication().equals("ESTABLISHED")
                                        && home.committed().equals(home.position())
                                        && home.behind().orElseThrow().bytes() == 0)
                .isPresent();
    }
}
