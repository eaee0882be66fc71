package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
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
