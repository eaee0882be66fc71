package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.json.Json;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

/// Is the copy what it should be? With real daemons, damage behind their backs, and writes that do
/// not wait for the answer.
class VerifyTest {
    private static final int MIB = 1 << 20;
    private static final int BLOCK = 4096;
    private static final int SIZE = 24 * MIB;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    /// Blocks that are damaged: the application writes to the first sectors of one of them all the
    /// time, and to the others not at all.
    private static final List<VerifyReport.Range> DAMAGED =
            List.of(
                    new VerifyReport.Range(5 * MIB, BLOCK),
                    new VerifyReport.Range(10 * MIB - BLOCK, 2 * BLOCK),
                    new VerifyReport.Range(SIZE - BLOCK, BLOCK));

    @TempDir Path dir;

    /// Writes as fast as about two hundred in a second until it is closed.
    private static final class Load implements AutoCloseable {
        private final AtomicLong written = new AtomicLong();
        private final Thread thread;
        private volatile boolean ends;
        private volatile IOException failure;

        Load(Path socket) {
            thread =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        try (BlockClient client = new BlockClient(socket, "home")) {
                                            run(client);
                                        } catch (IOException e) {
                                            failure = e;
                                        }
                                    });
        }

        private void run(BlockClient client) throws IOException {
            Random random = new Random(7);
            byte[] data = new byte[BLOCK];
            while (!ends) {
                random.nextBytes(data);
                for (int i = 0; i < 8; i++) {
                    long block = 12L * MIB / BLOCK + random.nextInt(10 * MIB / BLOCK);
                    client.write(block * BLOCK, ByteBuffer.wrap(data), false);
                }
                client.write(5 * MIB, ByteBuffer.wrap(data, 0, 1024).slice(), false);
                written.addAndGet(9);
                java.util.concurrent.locks.LockSupport.parkNanos(20_000_000);
            }
        }

        @Override
        public void close() throws IOException, InterruptedException {
            ends = true;
            thread.join();
            if (failure != null) {
                throw failure;
            }
        }
    }

    private Path disk() throws IOException {
        byte[] content = new byte[SIZE];
        new Random(3).nextBytes(content);
        return Files.write(dir.resolve("home.disk"), content);
    }

    /// In the base of the copy, which its daemon has open.
    private static void damage(Path image) throws IOException {
        try (FileChannel file = FileChannel.open(image, StandardOpenOption.WRITE)) {
            for (VerifyReport.Range each : DAMAGED) {
                for (long at = 0; at < each.lengthBytes(); at += BLOCK) {
                    file.write(
                            ByteBuffer.wrap(new byte[] {1, 2, 3}), each.offsetBytes() + at + 2000);
                }
            }
            file.force(true);
        }
    }

    private static void add(ControlApi api, Path disk) throws Exception {
        api.add(TwoNodes.addRequest("home", disk, 128L * MIB));
        api.attach(HOME);
    }

    @Test
    void underLoadItFindsWhatIsDamagedAndNothingElseAndMendsIt() throws Exception {
        Path disk = disk();
        try (TwoProcesses nodes = new TwoProcesses(dir, Map.of())) {
            add(nodes.left.api, disk);
            nodes.awaitInSync(nodes.left, "home");
            try (Load load = new Load(TwoProcesses.socket(nodes.left, "home"))) {
                Command.Ended clean = verify(nodes);
                assertEquals(0, clean.code(), clean.text());
                assertTrue(clean.out().contains("no differences in the copy"), clean.text());

                damage(dir.resolve("storage/right/home.img"));
                Command.Ended found = verify(nodes, "--json");
                assertEquals(8, found.code(), found.text());
                VerifyReport report = Json.read(found.out(), VerifyReport.class);
                assertEquals(DAMAGED, report.ranges());
                assertTrue(report.whole());
                assertEquals(SIZE, report.comparedBytes());

                String confirm = mend(nodes, true, Optional.empty()).confirm();
                assertEquals(
                        DAMAGED, look(nodes).last().orElseThrow().ranges(), "nothing has changed");
                assertTrue(mend(nodes, false, Optional.of(confirm)).done());

                Command.Ended again = verify(nodes);
                assertEquals(0, again.code(), again.text());
                assertTrue(load.written.get() > 100, "there was load: " + load.written);
            }
            nodes.awaitInSync(nodes.left, "home");
            TwoProcesses.compare(nodes.right, "home", disk);
        }
    }

    private static ControlApi.VerifyReply look(TwoProcesses nodes) throws Exception {
        return nodes.left.api.verify(new ControlApi.VerifyRequest("home", "look"));
    }

    private static ControlApi.MendReply mend(
            TwoProcesses nodes, boolean dryRun, Optional<String> confirm) throws Exception {
        return nodes.left.api.mend(new ControlApi.MendRequest("home", "left", dryRun, confirm));
    }

    private Command.Ended verify(TwoProcesses nodes, String... options) throws Exception {
        String[] arguments = new String[options.length + 1];
        arguments[0] = "home";
        System.arraycopy(options, 0, arguments, 1, options.length);
        return Command.start(nodes.left.paths, dir, "verify", arguments).await();
    }

    @Test
    void itWaitsForTheStreamSurvivesTheLinkAndIsRememberedAtBothHosts() throws Exception {
        Path disk = disk();
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.server.add(TwoNodes.addRequest("home", disk, 32L * MIB));
            assertEquals(3, refusal(() -> order(nodes, "start")).exitCode());
            nodes.server.attach(HOME);
            nodes.untilInSync("home");

            nodes.server.pauseSync(HOME);
            assertTrue(order(nodes, "start").begun());
            assertFalse(order(nodes, "start").begun(), "one is under way");
            assertTrue(order(nodes, "look").waits().orElseThrow().contains("resume-sync"));
            nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
            nodes.server.resumeSync(HOME);
            assertTrue(order(nodes, "look").waits().orElseThrow().contains("backup is there"));
            StatusReport.Progress waiting = nodes.atServer("home").progress().orElseThrow();
            assertEquals("VERIFY", waiting.kind());
            assertEquals(0, waiting.percent());
            nodes.server.connect(new ControlApi.LinkRequest(Optional.of("home")));
            VerifyReport clean = ended(nodes);
            assertTrue(clean.whole());
            assertEquals(0, clean.differingBlocks());

            damage(dir.resolve("storage/home.img"));
            order(nodes, "start");
            assertEquals(4, ended(nodes).differingBlocks());
            String sentence = nodes.server.status().sentences().getFirst();
            assertTrue(sentence.contains("4 blocks differ. Next, at server: "), sentence);
            TwoNodes.until(
                    "the backup's operator is told",
                    () ->
                            nodes.backup.status().sentences().getFirst().contains("4 blocks differ")
                                    && nodes.backup.status().resource("home").stream()
                                            .anyMatch(r -> r.verify().isPresent()));
            Problem unsure = refusal(() -> mend(nodes, "backup", Optional.empty()));
            assertEquals(6, unsure.exitCode(), "to be confirmed");

            nodes.server.close();
            nodes.startServer();
            nodes.untilInSync("home");
            assertEquals(4, nodes.atServer("home").verify().orElseThrow().differingBlocks());
            Instant before = Instant.now();
            // An epoch bears the time of the tick before it.
            TwoNodes.until("another tick", () -> Instant.now().isAfter(before.plusMillis(300)));
            String confirm =
                    nodes.server
                            .mend(
                                    new ControlApi.MendRequest(
                                            "home", "server", true, Optional.empty()))
                            .confirm();
            assertEquals(6, refusal(() -> mend(nodes, "server", Optional.of("x"))).exitCode());
            assertTrue(mend(nodes, "server", Optional.of(confirm)).done());
            TwoNodes.until(
                    "the copy is what it should be", () -> isCopySame(nodes, "latest", disk));
            assertFalse(isCopySame(nodes, before.toString(), disk), "as it was before");
            nodes.untilInSync("home");
            order(nodes, "start");
            assertEquals(0, ended(nodes).differingBlocks());
        }
    }

    @Test
    void oneThatIsStoppedSaysHowFarItCame() throws Exception {
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.addAndAttach("home", disk(), 32L * MIB);
            nodes.untilInSync("home");
            nodes.server.pauseSync(HOME);
            order(nodes, "start");
            order(nodes, "stop");
            VerifyReport report = ended(nodes);
            assertFalse(report.whole());
            assertEquals(Optional.of("an operator of server stopped it"), report.trouble());
            assertTrue(report.comparedBytes() < SIZE);
            assertEquals(3, refusal(() -> order(nodes, "stop")).exitCode());
            Problem elsewhere =
                    refusal(
                            () ->
                                    nodes.backup.verify(
                                            new ControlApi.VerifyRequest("home", "start")));
            assertEquals(Optional.of("at server: holdfast verify home"), elsewhere.next());
        }
    }

    private static ControlApi.VerifyReply order(TwoNodes nodes, String order) throws Exception {
        return nodes.server.verify(new ControlApi.VerifyRequest("home", order));
    }

    private static VerifyReport ended(TwoNodes nodes) throws Exception {
        TwoNodes.until("verified", () -> !order(nodes, "look").running());
        return order(nodes, "look").last().orElseThrow();
    }

    private static ControlApi.MendReply mend(TwoNodes nodes, String from, Optional<String> confirm)
            throws Exception {
        return nodes.server.mend(new ControlApi.MendRequest("home", from, false, confirm));
    }

    private static Problem refusal(org.junit.jupiter.api.function.Executable order) {
        return assertThrows(ProblemException.class, order).problem();
    }

    private static boolean isCopySame(TwoNodes nodes, String at, Path disk) throws Exception {
        ControlApi.OpenReply view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.of(at)));
        try {
            return Run.succeeds(
                    "qemu-img",
                    "compare",
                    "-f",
                    "raw",
                    "-F",
                    "raw",
                    disk.toString(),
                    view.view().uri());
        } finally {
            nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
        }
    }
}
