package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

/// A sync of the primary's disk fails and loses what only the copy has then (R11): the copy goes
/// on, the disk comes back as its copy, and nothing that was replicated is missing anywhere.
class FailedDiskTest {
    private static final int BLOCK = 4096;
    private static final int BLOCKS = 64;

    @TempDir Path dir;

    @Test
    void whatAFailedSyncLostComesBackFromTheCopy() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        try (TwoProcesses nodes = new TwoProcesses(dir, faults.environment())) {
            Path disk = nodes.add(nodes.left, "home", 8 << 20);
            ControlApi.NameRequest home = new ControlApi.NameRequest("home");
            try (BlockClient client = client(nodes.left)) {
                write(client, 1);
                client.flush();
                write(client, 2);
                nodes.awaitInSync(nodes.left, "home");
                faults.arm(FaultyDisk.Kind.LOST_SYNC, FaultyDisk.SYNC, "home.disk", 1, 7);
                assertThrows(IOException.class, client::flush);
            }
            TwoNodes.until("status says so", () -> trouble(nodes.left).contains("has failed"));
            String said = trouble(nodes.left);
            assertTrue(said.contains("holdfast promote home"), said);
            assertTrue(said.contains(" detach home"), said);
            nodes.left.api.detach(home);
            faults.end(false, 7);
            assertTrue(nodes.left.hasEnded());
            faults.reset();
            int lost = BLOCKS - blocksOf(disk, 2);
            assertTrue(lost > 0, "the sync lost nothing");
            System.out.println("FailedDiskTest: %d blocks of %d lost".formatted(lost, BLOCKS));

            nodes.right.api.promote(
                    new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
            try (BlockClient client = client(nodes.right)) {
                shows(client, 0, 2);
                client.write((long) (BLOCKS + 1) * BLOCK, filled(3), true);
            }
            nodes.left.start();
            nodes.left.awaitAnswer();
            TwoNodes.until(
                    "they meet", () -> trouble(nodes.right).contains("last position of both"));
            discard(nodes.left, "left");
            nodes.awaitInSync(nodes.right, "home");
            compareCopy(nodes.left, nodes.right);

            // And back, planned.
            nodes.right.api.detach(home);
            nodes.left.api.promote(
                    new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
            discard(nodes.right, "right");
            nodes.awaitInSync(nodes.left, "home");
            dropKept(nodes.left);
            nodes.left.api.promote(
                    new ControlApi.PromoteRequest("home", Optional.empty(), false, true));
            assertEquals(BLOCKS, blocksOf(disk, 2));
            try (BlockClient client = client(nodes.left)) {
                shows(client, 0, 2);
                assertEquals(3, client.read((long) (BLOCKS + 1) * BLOCK, BLOCK).get(0));
            }
        }
    }

    /// What it holds nobody knows then: an operator may have restored an image into it. Nor do a
    /// clean stop and an attach say it, which compare only what was active.
    @Test
    void aDiskThatHasFailedIsDoubtedUntilEverythingWasCompared() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        try (TwoProcesses nodes = new TwoProcesses(dir, faults.environment())) {
            nodes.add(nodes.left, "home", 8 << 20);
            ControlApi.NameRequest home = new ControlApi.NameRequest("home");
            Path doubted = nodes.left.paths.state().resolve("resources/home/disk-doubted");
            try (BlockClient client = client(nodes.left)) {
                write(client, 1);
                client.flush();
                nodes.awaitInSync(nodes.left, "home");
                assertFalse(Files.exists(doubted));
                faults.arm(FaultyDisk.Kind.IO_ERROR, FaultyDisk.WRITE, "home.disk", 1, 7);
                assertThrows(IOException.class, () -> write(client, 2));
            }
            TwoNodes.until("it is doubted", () -> Files.exists(doubted));
            faults.disarm();
            for (int i = 0; i < 2; i++) {
                String done = nodes.left.api.detach(home).lines().getFirst();
                assertEquals(i == 0, done.contains("the next start"), done);
                assertTrue(Files.exists(doubted));
                nodes.left.api.attach(home);
                nodes.awaitInSync(nodes.left, "home");
            }
            assertTrue(Files.exists(doubted));
            nodes.left.api.invalidateRemote(home);
            TwoNodes.until("it is trusted again", () -> !Files.exists(doubted));
            nodes.awaitInSync(nodes.left, "home");
        }
    }

    /// The first that is noted after the link is back fails: what is buffered goes to the copy all
    /// the same, told as of what is durable but was not noted to be told. So nobody can say whether
    /// the disk was set back, and an operator says which side counts.
    @Test
    void ofADiskThatFailsAsTheLinkIsBackAnOperatorSaysWhichSideCounts() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        List<String> typed = new ArrayList<>();
        try (TwoProcesses nodes = new TwoProcesses(dir, faults.environment())) {
            nodes.add(nodes.left, "home", 8 << 20);
            try (BlockClient client = client(nodes.left)) {
                write(client, 1);
                client.flush();
                nodes.awaitInSync(nodes.left, "home");
                Operator.order(nodes.left, "disconnect", typed::add);
                // Other extents of 4 MiB: they are noted as active, while nobody is told.
                client.write(5L << 20, filled(2), true);
                faults.arm(FaultyDisk.Kind.IO_ERROR, FaultyDisk.WRITE, "home/metadata", 1, 7);
                Operator.order(nodes.left, "connect", typed::add);
                TwoNodes.until("status says so", () -> trouble(nodes.left).contains("has failed"));
            }
            TwoNodes.until("it was drained", () -> copyHolds(nodes.right, 5L << 20, 2));
            faults.end(false, 7);
            assertTrue(nodes.left.hasEnded());
            faults.reset();
            nodes.left.start();
            nodes.left.awaitAnswer();

            for (NodeProcess each : List.of(nodes.left, nodes.right)) {
                TwoNodes.until("asked", () -> trouble(each).contains("its disk failed while"));
                assertTrue(trouble(each).contains("promote at the copy"), trouble(each));
            }
            assertTrue(copyHolds(nodes.right, 5L << 20, 2));
            Operator operator = new Operator(List.of(nodes.left, nodes.right), typed::add);
            TwoNodes.until(
                    "in sync",
                    () -> {
                        operator.doWhatIsAskedFor();
                        return nodes.left
                                .resource("home")
                                .filter(home -> home.replication().equals("ESTABLISHED"))
                                .isPresent();
                    });
            assertEquals(1, operator.comparisons(), typed.toString());
            nodes.awaitInSync(nodes.left, "home");
            compareCopy(nodes.right, nodes.left);
        }
    }

    /// The client of a promoted copy is answered and flushes nothing. When the journal's disk
    /// fails, status says that this may be lost, moments say that they lack it, and what is
    /// attached anew is a beginning of what was written.
    @Test
    void whatNobodyFlushedBeforeAPromotedCopyFailedIsSaidToBeLost() throws Exception {
        FaultyDisk faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        try (TwoProcesses nodes = new TwoProcesses(dir, faults.environment())) {
            nodes.add(nodes.right, "home", 8 << 20);
            nodes.right.api.detach(new ControlApi.NameRequest("home"));
            nodes.left.api.promote(
                    new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
            int answered = writeUntilItFails(nodes.left, faults);
            TwoNodes.until(
                    "status says so",
                    () -> trouble(nodes.left).contains("what was answered since the last sync"));
            ProblemException notKept =
                    assertThrows(
                            ProblemException.class,
                            () ->
                                    nodes.left.api.keep(
                                            new ControlApi.KeepRequest(
                                                    "home",
                                                    "now",
                                                    Optional.empty(),
                                                    Optional.empty())));
            assertTrue(notKept.problem().toString().contains("has failed"), notKept.toString());
            ControlApi.OpenReply view =
                    nodes.left.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
            assertTrue(
                    view.note().orElse("").contains("written last is not in it"), view::toString);
            nodes.left.api.closeView(new ControlApi.CloseRequest(view.view().id()));

            Operator operator = new Operator(List.of(nodes.left), System.out::println);
            NodeProcess.until(
                    "it is attached again",
                    () -> {
                        operator.doWhatIsAskedFor();
                        return nodes.left
                                .resource("home")
                                .filter(home -> home.export().isPresent())
                                .filter(home -> !Operator.isOut(home))
                                .isPresent();
                    },
                    nodes.left);
            try (BlockClient client = client(nodes.left)) {
                client.flush();
                int left = writesIn(client, answered + 1);
                System.out.printf(
                        "FailedDiskTest: %d writes answered, %d of them left%n", answered, left);
                assertTrue(left >= BLOCKS, "of what was flushed only %d are left".formatted(left));
                assertTrue(left < answered, "the sync lost nothing");
            }
        }
    }

    /// Of each write, what it fills its block with.
    private static int with(int write) {
        return 1 + write / BLOCKS % 100;
    }

    /// Flushes as many writes as there are blocks, and no later one.
    ///
    /// @return how many were answered
    private static int writeUntilItFails(NodeProcess node, FaultyDisk faults) throws IOException {
        int done = 0;
        try (BlockClient client = client(node)) {
            for (; done < BLOCKS; done++) {
                client.write((long) done * BLOCK, filled(with(done)), false);
            }
            client.flush();
            // Not the next one, which may come at once.
            faults.arm(FaultyDisk.Kind.LOST_SYNC, FaultyDisk.SYNC, "home.journal/", 2, 7);
            for (long end = System.nanoTime() + 60_000_000_000L; System.nanoTime() < end; done++) {
                client.write((long) (done % BLOCKS) * BLOCK, filled(with(done)), false);
                LockSupport.parkNanos(1_000_000); // So that the journal has room.
            }
        } catch (IOException e) {
            assertTrue(done >= BLOCKS, String.valueOf(e));
            return done;
        }
        throw new AssertionError("nobody has synced it");
    }

    /// Of which beginning of so many writes this is the outcome; the longest one.
    private static int writesIn(BlockClient client, int most) throws IOException {
        byte[] found = new byte[BLOCKS];
        for (int i = 0; i < BLOCKS; i++) {
            ByteBuffer block = client.read((long) i * BLOCK, BLOCK);
            found[i] = block.get(0);
            assertEquals(filled(found[i]), block, "block " + i);
        }
        byte[] model = new byte[BLOCKS];
        int fits = -1;
        for (int done = 0; done < most; done++) {
            model[done % BLOCKS] = (byte) with(done);
            fits = Arrays.equals(model, found) ? done + 1 : fits;
        }
        assertTrue(fits >= 0, "it is no beginning of what was written: " + Arrays.toString(found));
        return fits;
    }

    /// What was given up is kept, and a promotion is not made final while something is.
    private static void dropKept(NodeProcess node) throws Exception {
        for (var kept : node.api.points(new ControlApi.NameRequest("home")).kept()) {
            node.api.drop(
                    new ControlApi.DropRequest(
                            "home", kept.as(), false, Optional.of("left/home@" + kept.as())));
        }
    }

    /// As soon as the peer has said that it is the primary now.
    private static void discard(NodeProcess node, String host) {
        TwoNodes.until("given up", () -> hasGivenUp(node, host));
    }

    private static boolean hasGivenUp(NodeProcess node, String host) {
        try {
            ControlApi.ReconnectReply asked =
                    node.api.reconnect(
                            new ControlApi.ReconnectRequest(
                                    "home", Optional.empty(), Optional.empty()));
            node.api.reconnect(
                    new ControlApi.ReconnectRequest(
                            "home", Optional.of(host), Optional.of(asked.confirm())));
            return true;
        } catch (ProblemException e) {
            return false;
        }
    }

    private static boolean copyHolds(NodeProcess copy, long offsetBytes, int with)
            throws Exception {
        ControlApi.OpenReply view =
                copy.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
        try (BlockClient image = new BlockClient(Path.of(view.view().socket()), "home@latest")) {
            return image.read(offsetBytes, BLOCK).equals(filled(with));
        } finally {
            copy.api.closeView(new ControlApi.CloseRequest(view.view().id()));
        }
    }

    /// The copy at one node is what the other exports.
    private static void compareCopy(NodeProcess copy, NodeProcess primary) throws Exception {
        ControlApi.OpenReply view =
                copy.api.open(new ControlApi.OpenRequest("home", Optional.empty()));
        Run.ok(
                "qemu-img",
                "compare",
                "-f",
                "raw",
                "-F",
                "raw",
                "nbd+unix:///home?socket=" + TwoProcesses.socket(primary, "home"),
                view.view().uri());
        copy.api.closeView(new ControlApi.CloseRequest(view.view().id()));
    }

    private static String trouble(NodeProcess node) {
        return node.resource("home").flatMap(home -> home.trouble()).orElse("");
    }

    private static BlockClient client(NodeProcess node) throws IOException {
        return new BlockClient(TwoProcesses.socket(node, "home"), "home");
    }

    private static void write(BlockClient client, int with) throws IOException {
        for (int i = 0; i < BLOCKS; i++) {
            client.write((long) i * BLOCK, filled(with), false);
        }
    }

    private static void shows(BlockClient client, int from, int with) throws IOException {
        for (int i = from; i < BLOCKS; i++) {
            assertEquals(filled(with), client.read((long) i * BLOCK, BLOCK), "block " + i);
        }
    }

    private static int blocksOf(Path disk, int with) throws IOException {
        byte[] all = Files.readAllBytes(disk);
        int count = 0;
        for (int i = 0; i < BLOCKS; i++) {
            count += ByteBuffer.wrap(all, i * BLOCK, BLOCK).equals(filled(with)) ? 1 : 0;
        }
        return count;
    }

    private static ByteBuffer filled(int with) {
        byte[] bytes = new byte[BLOCK];
        Arrays.fill(bytes, (byte) with);
        return ByteBuffer.wrap(bytes);
    }
}
