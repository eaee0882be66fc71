package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.JournalFiles;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;

/// The disk of one resource does not answer a write. Nobody else waits for it, status says what is
/// the matter and what to type, and what was asked before a detach is not done behind the next
/// attach.
class HangingDiskTest {
    private static final int BLOCK = 4096;

    @TempDir Path dir;

    @Test
    void aDiskThatHangsHoldsUpNobodyElseAndWritesNothingBehindANewAttach() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        try (TwoProcesses nodes = new TwoProcesses(dir, faults.environment())) {
            Path disk = nodes.add(nodes.left, "home", 4 << 20);
            nodes.add(nodes.left, "other", 4 << 20);
            faults.arm(FaultyDisk.Kind.HANG, FaultyDisk.WRITE, "home.disk", 1, 1);
            CompletableFuture<IOException> answer = new CompletableFuture<>();
            Thread writer =
                    Thread.ofPlatform().start(() -> answer.complete(write(nodes, "home", 1)));
            try {
                TwoNodes.until("it hangs", faults::hasStruck);
                assertEquals(null, write(nodes, "other", 1));
                nodes.awaitInSync(nodes.left, "other");
                NodeProcess.until(
                        "status says so",
                        () -> trouble(nodes).contains("not answered"),
                        nodes.left);
                assertTrue(trouble(nodes).contains("holdfast"), trouble(nodes));

                detachWhileOthersGoOn(nodes);
                assertTrue(answer.get() != null, "the client was told nothing");
                ProblemException refused =
                        assertThrows(ProblemException.class, () -> attach(nodes));
                assertTrue(refused.toString().contains("before the detach"), refused.toString());
                assertEquals(0, first(disk)[0]);
            } finally {
                faults.release();
                writer.join();
            }
            TwoNodes.until("attached again", () -> isAttached(nodes));
            assertEquals(null, write(nodes, "home", 2));
            nodes.awaitInSync(nodes.left, "home");
            assertArrayEquals(filled(2).array(), first(disk));
            TwoProcesses.compare(nodes.right, "home", disk);
        }
    }

    /// What it was asked may land on what was compared and found equal, or be lost with the disk
    /// that an operator takes out.
    @Test
    void aDiskThatHangsIsGivenUpOnceItAnswersAndComparedAsAWhole() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        try (TwoProcesses nodes = new TwoProcesses(dir, faults.environment())) {
            Path disk = nodes.add(nodes.left, "home", 4 << 20);
            assertEquals(null, write(nodes, "home", 1));
            nodes.awaitInSync(nodes.left, "home");
            faults.arm(FaultyDisk.Kind.HANG, FaultyDisk.WRITE, "home.disk", 1, 1);
            Thread writer = Thread.ofPlatform().start(() -> write(nodes, "home", 2));
            try {
                TwoNodes.until("it is seen", () -> trouble(nodes).contains("not answered"));
                ControlApi.NameRequest home = new ControlApi.NameRequest("home");
                assertThrows(ProblemException.class, () -> nodes.left.api.detach(home));
                Path doubted = nodes.left.paths.state().resolve("resources/home/disk-doubted");
                assertTrue(Files.exists(doubted));
                nodes.right.api.promote(
                        new ControlApi.PromoteRequest("home", Optional.empty(), true, false));
                TwoNodes.until(
                        "it is asked to wait", () -> discard(nodes).contains("before the detach"));
                assertEquals(1, first(disk)[0]);
            } finally {
                faults.release();
                writer.join();
            }
            TwoNodes.until("given up", () -> discard(nodes).isEmpty());
            nodes.awaitInSync(nodes.right, "home");
            ControlApi.OpenReply view =
                    nodes.left.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
            try (BlockClient copy = new BlockClient(Path.of(view.view().socket()), "home@latest")) {
                assertEquals(filled(1), copy.read(0, BLOCK));
            }
            assertEquals(List.of(), unions(nodes.right));
        }
    }

    private static List<String> unions(NodeProcess node) throws Exception {
        List<String> unions = new ArrayList<>();
        node.api.events(
                new ControlApi.EventsRequest(0, false),
                each -> {
                    if (each.kind().equals("union")) {
                        unions.add(each.text());
                    }
                });
        return unions;
    }

    /// Of the two, the one that hangs comes first.
    @Test
    void aDiskThatHangsInTheStartHoldsUpNoOtherResource() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        try (TwoProcesses nodes = new TwoProcesses(dir, faults.environment())) {
            Path disk = nodes.add(nodes.left, "home", 4 << 20);
            nodes.add(nodes.left, "other", 4 << 20);
            assertEquals(null, write(nodes, "home", 1));
            nodes.left.close();
            faults.arm(FaultyDisk.Kind.HANG, FaultyDisk.READ, "home.disk", 1, 1);
            try {
                nodes.left.start();
                NodeProcess.until(
                        "the other is open",
                        () -> nodes.left.resource("other").isPresent(),
                        nodes.left);
                assertTrue(faults.hasStruck());
                assertEquals(null, write(nodes, "other", 2));
                nodes.awaitInSync(nodes.left, "other");
                assertTrue(trouble(nodes).contains("being attached"), trouble(nodes));
            } finally {
                faults.release();
            }
            NodeProcess.until(
                    "it is opened when it answers",
                    () -> nodes.left.resource("home").filter(TwoProcesses::isInSync).isPresent(),
                    nodes.left);
            assertEquals(null, write(nodes, "home", 3));
            nodes.awaitInSync(nodes.left, "home");
            TwoProcesses.compare(nodes.right, "home", disk);
        }
    }

    /// What an order to become a copy has left that was cut off lies in another storage.
    @Test
    void aStorageThatHangsWhenALeftJournalIsDeletedHoldsUpNothing() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        try (TwoProcesses nodes = new TwoProcesses(dir, faults.environment())) {
            Path disk = nodes.add(nodes.left, "home", 4 << 20);
            nodes.add(nodes.left, "other", 4 << 20);
            nodes.left.close();
            Path journal = Files.createDirectory(dir.resolve("elsewhere")).resolve("home.journal");
            JournalFiles.create(journal, 4 << 20, 8 << 20);
            Path note = nodes.left.paths.state().resolve("resources/home/journal-begun");
            Files.writeString(note, journal.toString());
            faults.arm(FaultyDisk.Kind.HANG, FaultyDisk.SYNC, "*/elsewhere", 1, 1);
            try {
                nodes.left.start();
                NodeProcess.until("it hangs", faults::hasStruck, nodes.left);
                for (String each : List.of("home", "other")) {
                    NodeProcess.until(
                            "open", () -> nodes.left.resource(each).isPresent(), nodes.left);
                    assertEquals(null, write(nodes, each, 1));
                    nodes.awaitInSync(nodes.left, each);
                }
                assertTrue(Files.exists(note), "it is over, and nothing was seen");
            } finally {
                faults.release();
            }
            TwoNodes.until("deleted", () -> !Files.exists(note));
            assertFalse(Files.exists(journal));
            TwoProcesses.compare(nodes.right, "home", disk);
        }
    }

    /// It takes a while, and ends.
    private static void detachWhileOthersGoOn(TwoProcesses nodes) throws Exception {
        CompletableFuture<Exception> detached = new CompletableFuture<>();
        Thread operator =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    try {
                                        nodes.left.api.detach(new ControlApi.NameRequest("home"));
                                        detached.complete(null);
                                    } catch (ProblemException | RuntimeException e) {
                                        detached.complete(e);
                                    }
                                });
        for (int round = 0; !detached.isDone(); round++) {
            int fill = 2 + round % 100;
            assertTimeout(
                    Duration.ofSeconds(20), () -> assertEquals(null, write(nodes, "other", fill)));
            assertTimeout(Duration.ofSeconds(20), () -> nodes.left.api.status());
            LockSupport.parkNanos(50_000_000); // More than 200 questions in a second are refused.
        }
        operator.join();
        assertTrue(
                detached.get() instanceof ProblemException problem
                        && problem.toString().contains("does not answer"),
                "" + detached.get());
        nodes.awaitInSync(nodes.left, "other");
    }

    private static String trouble(TwoProcesses nodes) {
        return nodes.left.resource("home").flatMap(home -> home.trouble()).orElse("");
    }

    /// Empty when it is given up for what the peer has; else why not.
    private static String discard(TwoProcesses nodes) {
        try {
            String confirm =
                    nodes.left
                            .api
                            .reconnect(
                                    new ControlApi.ReconnectRequest(
                                            "home", Optional.empty(), Optional.empty()))
                            .confirm();
            nodes.left.api.reconnect(
                    new ControlApi.ReconnectRequest(
                            "home", Optional.of("left"), Optional.of(confirm)));
            return "";
        } catch (ProblemException e) {
            return e.toString();
        }
    }

    private static void attach(TwoProcesses nodes) throws ProblemException {
        nodes.left.api.attach(new ControlApi.NameRequest("home"));
    }

    private static boolean isAttached(TwoProcesses nodes) {
        try {
            attach(nodes);
            return true;
        } catch (ProblemException e) {
            return false;
        }
    }

    /// @return null when it was done and made durable
    private static IOException write(TwoProcesses nodes, String name, int fill) {
        try (BlockClient client = new BlockClient(TwoProcesses.socket(nodes.left, name), name)) {
            client.write(0, filled(fill), true);
            return null;
        } catch (IOException e) {
            return e;
        }
    }

    private static ByteBuffer filled(int fill) {
        byte[] block = new byte[BLOCK];
        Arrays.fill(block, (byte) fill);
        return ByteBuffer.wrap(block);
    }

    private static byte[] first(Path disk) throws IOException {
        ByteBuffer block = ByteBuffer.allocate(BLOCK);
        try (FileChannel file = FileChannel.open(disk)) {
            file.read(block, 0);
        }
        return block.array();
    }
}
