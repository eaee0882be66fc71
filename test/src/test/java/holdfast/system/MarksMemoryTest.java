package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
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
        byte[] data = new byte[EXTENTS * EXTENT]; // What is zero would take no room.
        new Random(5).nextBytes(data);
        Path disk = Files.write(dir.resolve("disk.img"), data);
        try (ServerAndBackup nodes =
                new ServerAndBackup(dir, "", NO_MARKS, NodeProcess.FLAGS, dir.resolve("storage"))) {
            NodeProcess server = nodes.server;
            NodeProcess backup = nodes.backup;
            Path socket = Path.of(nodes.addHome(disk, 16L * MIB).socket());

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

            Path file = backup.paths.resourceDirectory().resolve("home.toml");
            String size = "size = \"%s\"".formatted(new Size(16L * MIB + more(backup)));
            Files.writeString(file, Files.readString(file).replaceFirst("size = \"[^\"]*\"", size));
            ControlApi.AdjustReply reply = backup.api.adjust(new ControlApi.AdjustRequest(false));
            assertTrue(reply.applied(), reply.problems().toString());
            nodes.untilInSync("caught up");
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
}
