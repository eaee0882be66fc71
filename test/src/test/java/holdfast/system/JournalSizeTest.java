package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A catch-up that is larger than the journal waits, and says what is to be typed; once that is
/// typed it goes on.
class JournalSizeTest {
    private static final Path OPERATIONS = Path.of("../docs/operations.md");
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");
    private static final ControlApi.LinkRequest LINK =
            new ControlApi.LinkRequest(Optional.of("home"));

    @TempDir Path dir;

    @Test
    void aCatchUpThatLacksRoomGoesOnWhenTheJournalIsEnlargedAsStatusSays() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            Path disk = Files.write(dir.resolve("home.disk"), new byte[64 * MIB]);
            nodes.addAndAttach("home", disk, 16L * MIB);
            nodes.untilInSync("home");
            writeWhileAway(nodes);

            nodes.untilServer("home", "it waits for room", r -> r.replication().equals("PAUSED"));
            TwoNodes.until("told", () -> trouble(nodes.backup.status()).contains("lacks"));
            StatusReport.Resource copy = nodes.backup.status().resource("home").orElseThrow();
            assertEquals("OUTDATED", copy.disk());
            assertEquals("BEHIND", copy.replication());
            assertTrue(copy.journal().orElseThrow().missingBytes() > 8 * MIB);
            String said = trouble(nodes.server.status());
            assertTrue(said.contains("next, at backup: raise journal.size"), said);
            assertTrue(said.contains("then holdfast adjust"), said);
            assertTrue(trouble(nodes.backup.status()).contains("adjust"));

            assertIsRefusedWithoutRoom(nodes);
            nodes.untilServer("home", "it waits still", r -> r.replication().equals("PAUSED"));

            long more = wanted(said);
            String there = trouble(nodes.backup.status());
            assertEquals(more, wanted(there));
            // The file may say less than the journal has.
            assertTrue(there.contains("to " + new Size(16L * MIB + more) + ","), there);
            followRunbook(nodes);
            nodes.untilInSync("home");
            assertEquals(16L * MIB + more, journalBytes(nodes));
            compare(nodes, disk);

            nodes.backup.close();
            nodes.startBackup();
            nodes.untilInSync("home");
            assertEquals(16L * MIB + more, journalBytes(nodes));
            compare(nodes, disk);

            ControlApi.AdjustReply reply = adjust(nodes, 16L * MIB);
            assertTrue(reply.applied(), reply.problems().toString());
            String when = reply.changes().getFirst().takesEffect();
            assertTrue(when.contains("never becomes smaller"), when);
            assertEquals(16L * MIB + more, journalBytes(nodes));
        }
    }

    /// What docs/operations.md says, word for word.
    private void followRunbook(TwoNodes nodes) throws Exception {
        adjust(nodes, 16L * MIB); // What was refused still stands in the file.
        String section = Files.readString(OPERATIONS).split("## A catch-up does not fit", 2)[1];
        List<String> lines =
                section.split("```", 3)[1].lines().filter(each -> !each.isEmpty()).toList();
        assertEquals(4, lines.size(), lines::toString);
        for (String line : lines) {
            NodePaths paths = line.startsWith("backup# ") ? nodes.backupPaths : nodes.serverPaths;
            String typed = line.substring(line.indexOf(' ') + 1).split(" #")[0].strip();
            if (typed.startsWith("sed ")) {
                String sed = typed.replace("/etc/holdfast", paths.etc().toString());
                Run.ok("sh", "-c", sed);
            } else {
                String[] words = typed.split(" ");
                Command.Ended ended =
                        Command.start(
                                        paths,
                                        dir,
                                        words[1],
                                        Arrays.copyOfRange(words, 2, words.length))
                                .await();
                System.out.println(typed + " " + ended.text());
                assertEquals(0, ended.code(), ended.text());
            }
        }
    }

    /// More than twice what the journal holds, and none of it in the buffer.
    private static void writeWhileAway(TwoNodes nodes) throws Exception {
        nodes.server.disconnect(LINK);
        byte[] data = new byte[MIB];
        Random random = new Random(7);
        try (BlockClient client =
                new BlockClient(nodes.serverPaths.run().resolve("home.nbd"), "home")) {
            for (int i = 0; i < 40; i++) {
                random.nextBytes(data);
                client.write((long) i * MIB, ByteBuffer.wrap(data), false);
            }
            client.flush();
        }
        nodes.server.detach(HOME);
        nodes.server.attach(HOME);
        nodes.server.connect(LINK);
    }

    /// Nothing is taken, and the settings stay what they were.
    private void assertIsRefusedWithoutRoom(TwoNodes nodes) throws Exception {
        long before = Files.getFileStore(dir).getUsableSpace();
        ControlApi.AdjustReply reply = adjust(nodes, 64L << 40);
        assertFalse(reply.applied());
        String problem = String.join(" ", reply.problems());
        assertTrue(problem.contains("home.toml: journal.size is 64 TiB"), problem);
        assertTrue(problem.contains("are missing"), problem);
        assertEquals(16L * MIB, journalBytes(nodes));
        assertTrue(Files.getFileStore(dir).getUsableSpace() > before / 2);
    }

    private static ControlApi.AdjustReply adjust(TwoNodes nodes, long bytes) throws Exception {
        Path file = nodes.backupPaths.resourceDirectory().resolve("home.toml");
        String text = Files.readString(file);
        Files.writeString(
                file, text.replaceFirst("size = \"[^\"]*\"", "size = \"" + new Size(bytes) + "\""));
        return nodes.backup.adjust(new ControlApi.AdjustRequest(false));
    }

    /// By how much, as status says it.
    private static long wanted(String words) {
        Matcher found = Pattern.compile("by (\\d+ [KMG]iB) or more").matcher(words);
        assertTrue(found.find(), words);
        return Size.parse(found.group(1)).bytes();
    }

    private static String trouble(StatusReport status) {
        return status.resource("home").flatMap(StatusReport.Resource::trouble).orElse("");
    }

    private static long journalBytes(TwoNodes nodes) {
        return nodes.backup
                .status()
                .resource("home")
                .orElseThrow()
                .journal()
                .orElseThrow()
                .sizeBytes();
    }

    private static void compare(TwoNodes nodes, Path disk) throws Exception {
        StatusReport.View view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty())).view();
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.toString(), view.uri());
        nodes.backup.closeView(new ControlApi.CloseRequest(view.id()));
    }
}
