package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.VerifyReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;

/// The server's device was written past Holdfast, and is brought to what the copy holds.
class RepairTest {
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");
    private static final int BLOCK = 4096;
    private static final int MIB = 1 << 20;
    private static final int SIZE = 64 * MIB;
    private static final int ENTRY_BYTES = 16 + 2 * BLOCK;

    @TempDir Path dir;

    private final byte[] right = new byte[SIZE];
    private Path disk;

    private TwoProcesses inSync() throws Exception {
        new Random(5).nextBytes(right);
        disk = Files.write(dir.resolve("home.disk"), right);
        TwoProcesses nodes = new TwoProcesses(dir, Map.of());
        nodes.left.api.add(TwoNodes.addRequest("home", disk, 256L * MIB));
        nodes.left.api.attach(HOME);
        nodes.awaitInSync(nodes.left, "home");
        return nodes;
    }

    /// As `dd` would, beside the daemon that has it open.
    private void damage(long offset, int length) throws IOException {
        byte[] other = new byte[length];
        new Random(offset).nextBytes(other);
        try (FileChannel file = FileChannel.open(disk, StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.wrap(other), offset);
            file.force(true);
        }
    }

    private Command.Ended verify(TwoProcesses nodes, String... options) throws Exception {
        String[] arguments = new String[options.length + 1];
        arguments[0] = "home";
        System.arraycopy(options, 0, arguments, 1, options.length);
        return Command.start(nodes.left.paths, dir, "verify", arguments).await();
    }

    private static ControlApi.VerifyReply look(TwoProcesses nodes) throws Exception {
        return nodes.left.api.verify(new ControlApi.VerifyRequest("home", "look"));
    }

    private static ControlApi.MendReply order(
            TwoProcesses nodes, boolean dryRun, Optional<String> confirm) throws Exception {
        return nodes.left.api.mend(new ControlApi.MendRequest("home", "right", dryRun, confirm));
    }

    private static Optional<Path> file(TwoProcesses nodes, String prefix) throws IOException {
        try (Stream<Path> all = Files.list(nodes.left.paths.state().resolve("resources/home"))) {
            return all.filter(each -> each.getFileName().toString().startsWith(prefix)).findFirst();
        }
    }

    /// That the file has, of each block, what was there.
    private void requireFormer(Path file, byte[] damaged, int blocks) throws IOException {
        byte[] all = Files.readAllBytes(file);
        assertEquals(64 + blocks * ENTRY_BYTES, all.length);
        for (int at = 64; at < all.length; at += ENTRY_BYTES) {
            int offset = Math.toIntExact(ByteBuffer.wrap(all).getLong(at));
            assertArrayEquals(
                    Arrays.copyOfRange(damaged, offset, offset + BLOCK),
                    Arrays.copyOfRange(all, at + 16, at + 16 + BLOCK));
        }
    }

    /// What docs/operations.md says, word for word, with another device.
    private void putBackAsOperationsSays(Path former, byte[] damaged) throws Exception {
        String section =
                Files.readString(Path.of("../docs/operations.md"))
                        .split("- To put back what a block held", 2)[1];
        Path device = Files.write(dir.resolve("device"), right);
        String script =
                section.split("```", 3)[1]
                        .replaceFirst("f=\\S+", "f=" + former)
                        .replace("/dev/holdfast/home", device.toString());
        Run.ok("sh", "-e", "-c", script);
        assertArrayEquals(damaged, Files.readAllBytes(device));
    }

    @Test
    void whatWasDamagedAtTheServerIsBroughtFromTheCopyWhileNobodyUsesIt() throws Exception {
        try (TwoProcesses nodes = inSync()) {
            damage(5 * MIB + 2000, 3);
            damage(10L * MIB - BLOCK, 2 * BLOCK);
            damage(SIZE - BLOCK, BLOCK);
            byte[] damaged = Files.readAllBytes(disk);
            assertEquals(8, verify(nodes).code());
            assertEquals(
                    List.of(
                            new VerifyReport.Range(5 * MIB, BLOCK),
                            new VerifyReport.Range(10L * MIB - BLOCK, 2 * BLOCK),
                            new VerifyReport.Range(SIZE - BLOCK, BLOCK)),
                    look(nodes).last().orElseThrow().ranges());
            String confirm = order(nodes, true, Optional.empty()).confirm();
            assertTrue(confirm.startsWith("left/home@"), confirm);
            assertEquals(6, verify(nodes, "--repair", "right").code(), "to be confirmed");
            try (BlockClient client =
                    new BlockClient(TwoProcesses.socket(nodes.left, "home"), "home")) {
                client.flush();
                Command.Ended used = verify(nodes, "--repair", "right", "--confirm", confirm);
                assertEquals(3, used.code(), used.text());
                assertTrue(used.text().contains("1 client is connected"), used.text());
                client.flush();
            }
            assertArrayEquals(damaged, Files.readAllBytes(disk), "nothing has changed");

            Command.Ended done = verify(nodes, "--repair", "right", "--confirm", confirm);
            assertEquals(0, done.code(), done.text());
            assertTrue(
                    done.out().contains("4 blocks (16 KiB) are what the copy held"), done.text());
            assertArrayEquals(right, Files.readAllBytes(disk));
            requireFormer(file(nodes, "repaired-").orElseThrow(), damaged, 4);
            assertEquals(Optional.empty(), nodes.left.resource("home").orElseThrow().trouble());
            try (BlockClient client =
                    new BlockClient(TwoProcesses.socket(nodes.left, "home"), "home")) {
                client.flush(); // It is let in again.
            }
            putBackAsOperationsSays(file(nodes, "repaired-").orElseThrow(), damaged);
            // Ordered once more nothing differs, and what was kept stays as it is.
            Command.Ended twice = verify(nodes, "--repair", "right", "--confirm", confirm);
            assertEquals(0, twice.code(), twice.text());
            assertTrue(twice.out().contains("0 blocks"), twice.text());
            requireFormer(file(nodes, "repaired-").orElseThrow(), damaged, 4);
            assertEquals(Optional.empty(), file(nodes, "repair.blocks"));
            Command.Ended again = verify(nodes);
            assertEquals(0, again.code(), again.text());
            nodes.awaitInSync(nodes.left, "home");
            TwoProcesses.compare(nodes.right, "home", disk);
        }
    }

    @Test
    void oneThatIsKilledInTheMiddleIsGoneOnWith() throws Exception {
        try (TwoProcesses nodes = inSync()) {
            int blocks = 8192;
            damage(16 * MIB, blocks * BLOCK);
            byte[] damaged = Files.readAllBytes(disk);
            assertEquals(8, verify(nodes).code());
            String confirm = order(nodes, true, Optional.empty()).confirm();
            assertTrue(order(nodes, false, Optional.of(confirm)).done());
            assertThrows(
                    IOException.class,
                    () -> new BlockClient(TwoProcesses.socket(nodes.left, "home"), "home").close(),
                    "no client is let in meanwhile");
            TwoNodes.until(
                    "all is collected, and some of it written",
                    () ->
                            file(nodes, "repair.blocks")
                                            .filter(each -> !each.toString().endsWith(".new"))
                                            .isPresent()
                                    && !Arrays.equals(damaged, Files.readAllBytes(disk)));
            nodes.left.kill();
            assertTrue(file(nodes, "repair.blocks").isPresent(), "it came to its end too soon");
            nodes.left.start();
            nodes.left.awaitAnswer();
            nodes.awaitInSync(nodes.left, "home");
            String trouble = nodes.left.resource("home").orElseThrow().trouble().orElseThrow();
            assertTrue(trouble.contains("verify home --repair right"), trouble);

            // What was written since the crash stays.
            byte[] newer = new byte[BLOCK];
            new Random(77).nextBytes(newer);
            int written = 16 * MIB + (blocks - 1) * BLOCK;
            try (BlockClient client =
                    new BlockClient(TwoProcesses.socket(nodes.left, "home"), "home")) {
                client.write(written, ByteBuffer.wrap(newer), true);
            }
            System.arraycopy(newer, 0, right, written, BLOCK);
            Command.Ended done = verify(nodes, "--repair", "right", "--confirm", confirm);
            assertEquals(0, done.code(), done.text());
            assertTrue(done.out().contains("1 blocks were written to meanwhile"), done.text());
            assertArrayEquals(right, Files.readAllBytes(disk));
            requireFormer(file(nodes, "repaired-").orElseThrow(), damaged, blocks);
            nodes.awaitInSync(nodes.left, "home");
            Command.Ended again = verify(nodes);
            assertEquals(0, again.code(), again.text());
            TwoProcesses.compare(nodes.right, "home", disk);
        }
    }

    @Test
    void oneWhoseCopyGoesAwayChangesNothingAndIsOrderedAgain() throws Exception {
        try (TwoProcesses nodes = inSync()) {
            damage(8 * MIB, 48 * MIB);
            byte[] damaged = Files.readAllBytes(disk);
            assertEquals(8, verify(nodes).code());
            String confirm = order(nodes, true, Optional.empty()).confirm();
            assertTrue(order(nodes, false, Optional.of(confirm)).done());
            nodes.right.kill();
            TwoNodes.until("it is cut short", () -> !look(nodes).running());
            VerifyReport.Repair how = look(nodes).last().orElseThrow().repair().orElseThrow();
            assertTrue(how.trouble().isPresent(), how.toString());
            assertEquals(Optional.empty(), how.former());
            assertArrayEquals(damaged, Files.readAllBytes(disk));
            assertEquals(Optional.empty(), file(nodes, "repair"));
            try (BlockClient client =
                    new BlockClient(TwoProcesses.socket(nodes.left, "home"), "home")) {
                client.flush(); // It is let in again.
            }
            Command.Ended away = verify(nodes, "--repair", "right", "--confirm", confirm);
            assertEquals(3, away.code(), away.text());
            assertTrue(away.text().contains("wait home"), away.text());

            nodes.right.start();
            nodes.right.awaitAnswer();
            nodes.awaitInSync(nodes.left, "home");
            order(nodes, false, Optional.of(confirm));
            nodes.left.api.verify(new ControlApi.VerifyRequest("home", "stop"));
            TwoNodes.until("it is stopped", () -> !look(nodes).running());
            how = look(nodes).last().orElseThrow().repair().orElseThrow();
            assertTrue(how.trouble().orElseThrow().contains("it was stopped"), how.toString());
            Command.Ended done = verify(nodes, "--repair", "right", "--confirm", confirm);
            assertEquals(0, done.code(), done.text());
            assertArrayEquals(right, Files.readAllBytes(disk));
        }
    }
}
