package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A server that was killed, its copy promoted, both written to, and one of them given up: what
/// either side wrote is read, and not the device (R31).
class DiscardUnionTest {
    private static final int MIB = 1 << 20;
    private static final int DEVICE_MIB = 96;

    /// What is written once it goes on at the other side.
    private static final long OTHER_BYTES = 5L * MIB;

    /// What a kill leaves active of the one write before.
    private static final long ACTIVE_BYTES = 4L * MIB;

    /// What the server writes when it is back. What both wrote counts twice, at most.
    private static final long BACK_BYTES = 4L * MIB + (64 << 10);

    /// What a daemon reads besides: its journal, frames, metadata.
    private static final long SLACK_BYTES = 32L * MIB;

    private static final Pattern AT_MOST = Pattern.compile("(\\d+) bytes at most of");

    @TempDir Path dir;

    private TwoProcesses nodes;

    /// @param loser also `killed`: both sides are killed while it is brought on
    @ParameterizedTest
    @ValueSource(strings = {"left", "right", "left killed", "right killed"})
    void onlyWhatEitherSideWroteIsRead(String loser) throws Exception {
        // Slow enough for a kill in the middle.
        boolean isKilled = loser.endsWith("killed");
        try (TwoProcesses made = made(isKilled ? "rate = \"12 Mbit/s\"\n" : "")) {
            fork();
            boolean isLeft = loser.startsWith("left");
            NodeProcess givesUp = isLeft ? nodes.left : nodes.right;
            NodeProcess goesOn = isLeft ? nodes.right : nodes.left;
            if (!isKilled) {
                givesUpReadingLittle(givesUp, goesOn, OTHER_BYTES + ACTIVE_BYTES + BACK_BYTES);
                return;
            }
            discard(givesUp, goesOn);
            for (NodeProcess each : List.of(givesUp, goesOn)) {
                until("it is on its way", () -> "SYNC_SOURCE".equals(replication(goesOn)));
                assertEquals(0, events(goesOn, "compare").size(), goesOn::account);
                each.kill();
                each.start();
                each.awaitAnswer();
            }
            nodes.awaitInSync(goesOn, "home");
            assertEquals(0, events(goesOn, "compare").size(), goesOn::account);
            // Whoever was killed has forgotten its events.
            assertNotEquals(0, events(goesOn, "union").size(), goesOn::account);
            isSame(givesUp, goesOn);
        }
    }

    /// The host was restarted, and its peer says that it was promoted: nothing is attached when the
    /// order comes.
    @Test
    void aServerBehindItsGateReadsNoMoreThanOneThatIsAttached() throws Exception {
        try (TwoProcesses made = made("")) {
            begin();
            nodes.left.kill();
            goOnAtTheOther();
            Files.writeString(
                    nodes.left.paths.state().resolve("resources/home/boot"), "another boot");
            nodes.left.start();
            nodes.left.awaitAnswer();
            until("it is held", () -> !events(nodes.left, "boot-gate-closed").isEmpty());
            givesUpReadingLittle(nodes.left, nodes.right, OTHER_BYTES + ACTIVE_BYTES);
        }
    }

    /// A planned change of sides and back: each side was detached when the other was promoted.
    @Test
    void whoWasDetachedWroteNothingByItself() throws Exception {
        try (TwoProcesses made = made("")) {
            begin();
            ControlApi.NameRequest home = new ControlApi.NameRequest("home");
            nodes.left.api.detach(home);
            promote(nodes.right);
            givesUpReadingLittle(nodes.left, nodes.right, 0);
            write(nodes.right, 2, "40M 1M");
            nodes.awaitInSync(nodes.right, "home");
            nodes.right.api.detach(home);
            promote(nodes.left);
            write(nodes.left, 3, "60M 1M");
            givesUpReadingLittle(nodes.right, nodes.left, MIB);
        }
    }

    /// What another disk holds that was put in the place of the one that crashed is in no bitmap,
    /// and a clean stop of it makes it no other.
    @Test
    void ofADiskThatWasExchangedEverythingIsCompared() throws Exception {
        try (TwoProcesses made = made("")) {
            begin();
            nodes.left.kill();
            goOnAtTheOther();
            Path disk = dir.resolve("home.disk");
            byte[] restored = Files.readAllBytes(disk);
            Arrays.fill(restored, 70 * MIB, 71 * MIB, (byte) 9);
            Files.move(disk, dir.resolve("broken.disk"));
            Files.write(disk, restored);
            nodes.left.start();
            nodes.left.awaitAnswer();
            until(
                    "it runs again",
                    () -> nodes.left.resource("home").flatMap(r -> r.export()).isPresent());
            assertEquals(1, events(nodes.left, "disk-exchanged").size(), nodes.left::account);
            ControlApi.NameRequest home = new ControlApi.NameRequest("home");
            nodes.left.api.detach(home);
            nodes.left.api.attach(home);
            until("they have met", () -> !events(nodes.right, "split-brain").isEmpty());
            discard(nodes.left, nodes.right);
            nodes.awaitInSync(nodes.right, "home");
            assertEquals(0, events(nodes.right, "union").size(), nodes.right::account);
            isSame(nodes.left, nodes.right);
        }
    }

    /// It was stopped cleanly, so it says what it wrote; but its disk is not what it was then.
    @Test
    void ofADiskThatWasWrittenPastUsEverythingIsCompared() throws Exception {
        try (TwoProcesses made = made("")) {
            begin();
            nodes.left.api.detach(new ControlApi.NameRequest("home"));
            promote(nodes.right);
            writePast();
            discard(nodes.left, nodes.right);
            nodes.awaitInSync(nodes.right, "home");
            assertEquals(0, events(nodes.right, "union").size(), nodes.right::account);
            isSame(nodes.left, nodes.right);
        }
    }

    private void writePast() throws IOException {
        try (FileChannel disk =
                FileChannel.open(dir.resolve("home.disk"), StandardOpenOption.WRITE)) {
            disk.write(ByteBuffer.wrap(new byte[MIB]), 70L * MIB);
        }
    }

    /// Its disk has failed, and somebody has restored an old image into it: by what it says of
    /// itself it is the same one, and what it lacks is in the list of neither side. Once everything
    /// was compared it is trusted again.
    @Test
    void beforeACopyIsBroughtToADiskThatHasFailedEverythingIsCompared() throws Exception {
        try (TwoProcesses made = made("")) {
            begin();
            nodes.left.kill();
            goOnAtTheOther();
            Path doubted = nodes.left.paths.state().resolve("resources/home/disk-doubted");
            Files.createFile(doubted); // As it was left by the failure.
            writePast();
            nodes.left.start();
            nodes.left.awaitAnswer();
            for (NodeProcess each : List.of(nodes.left, nodes.right)) {
                until("they have met", () -> !events(each, "split-brain").isEmpty());
            }
            assertEquals(0, events(nodes.left, "disk-exchanged").size(), nodes.left::account);
            discard(nodes.right, nodes.left);
            nodes.awaitInSync(nodes.left, "home");
            assertEquals(0, events(nodes.left, "union").size(), nodes.left::account);
            isSame(nodes.right, nodes.left);
            until("it is trusted again", () -> !Files.exists(doubted));
        }
    }

    private TwoProcesses made(String link) throws Exception {
        nodes = new TwoProcesses(dir, Map.of(), link);
        return nodes;
    }

    /// How much it is the event says. Whether that is so is only looked at from afar, and at the
    /// side that is never restarted here: a fresh process reads its program.
    ///
    /// @param mostBytes what either side wrote since both were the same
    private void givesUpReadingLittle(NodeProcess givesUp, NodeProcess goesOn, long mostBytes)
            throws Exception {
        long before = nodes.right.readBytes();
        int unions = events(goesOn, "union").size();
        discard(givesUp, goesOn);
        nodes.awaitInSync(goesOn, "home");
        long read = nodes.right.readBytes() - before;
        assertEquals(0, events(goesOn, "compare").size(), goesOn::account);
        List<String> said = events(goesOn, "union");
        assertTrue(said.size() > unions, goesOn::account);
        Matcher bytes = AT_MOST.matcher(said.getLast());
        assertTrue(bytes.find(), said.getLast());
        long claimed = Long.parseLong(bytes.group(1));
        assertTrue(claimed <= mostBytes, () -> said.getLast() + ", expected at most " + mostBytes);
        assertTrue(
                read <= 3 * claimed + SLACK_BYTES,
                () -> said.getLast() + ", and %d bytes were read".formatted(read));
        isSame(givesUp, goesOn);
    }

    private static void isSame(NodeProcess copy, NodeProcess primary) throws Exception {
        StatusReport.View view =
                copy.api.open(new ControlApi.OpenRequest("home", Optional.of("latest"))).view();
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", uri(primary), view.uri());
        copy.api.closeView(new ControlApi.CloseRequest(view.id()));
    }

    private void begin() throws Exception {
        Path disk = dir.resolve("home.disk");
        Files.write(disk, content());
        nodes.left.api.add(TwoNodes.addRequest("home", disk, 64L << 20));
        ControlApi.NameRequest home = new ControlApi.NameRequest("home");
        nodes.left.api.attach(home);
        nodes.awaitInSync(nodes.left, "home");
        // Marks leave the metadata now and then, and all of them at a clean stop.
        nodes.left.api.detach(home);
        nodes.left.api.attach(home);
        nodes.awaitInSync(nodes.left, "home");
        write(nodes.left, 1, "1M 1M");
        nodes.awaitInSync(nodes.left, "home");
    }

    private void goOnAtTheOther() throws Exception {
        until(
                "the server is gone",
                () -> nodes.right.api.status().link().filter(l -> l.isConnected()).isEmpty());
        promote(nodes.right);
        write(nodes.right, 2, "40M 4M");
        write(nodes.right, 3, "90M 1M");
    }

    private static void promote(NodeProcess node) throws Exception {
        node.api.promote(new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
    }

    /// The server dies, its copy goes on; then it comes back, and is written to as well.
    private void fork() throws Exception {
        begin();
        nodes.left.kill();
        goOnAtTheOther();
        nodes.left.start();
        nodes.left.awaitAnswer();
        until(
                "it runs again",
                () -> nodes.left.resource("home").flatMap(r -> r.export()).isPresent());
        write(nodes.left, 4, "80M 4M");
        write(nodes.left, 5, "42M 64k");
        for (NodeProcess each : List.of(nodes.left, nodes.right)) {
            until("they have met", () -> !events(each, "split-brain").isEmpty());
        }
    }

    private void until(String what, TwoNodes.Check check) {
        NodeProcess.until(what, check, nodes.left, nodes.right);
    }

    private static String replication(NodeProcess node) throws Exception {
        return node.resource("home").map(StatusReport.Resource::replication).orElse("");
    }

    /// Each block another one, and quickly sent.
    private static byte[] content() {
        byte[] bytes = new byte[DEVICE_MIB * MIB];
        ByteBuffer out = ByteBuffer.wrap(bytes);
        while (out.hasRemaining()) {
            out.putLong(out.position() / 4096 + 1);
        }
        return bytes;
    }

    /// What does not compress, so that it takes a while.
    private void write(NodeProcess node, int seed, String range) throws Exception {
        Path source = dir.resolve("source");
        byte[] all = new byte[4 * MIB];
        new Random(seed).nextBytes(all);
        Files.write(source, all);
        Run.ok(
                "qemu-io",
                "-f",
                "raw",
                "-c",
                "write -s %s %s".formatted(source, range),
                "-c",
                "flush",
                uri(node));
    }

    private static String uri(NodeProcess node) {
        return "nbd+unix:///home?socket=" + TwoProcesses.socket(node, "home");
    }

    /// As soon as the peer has said what it has.
    private void discard(NodeProcess at, NodeProcess goesOn) {
        until("given up for " + goesOn.paths.root().orElseThrow(), () -> hasGivenUp(at));
    }

    private boolean hasGivenUp(NodeProcess at) {
        try {
            String confirm =
                    at.api
                            .reconnect(
                                    new ControlApi.ReconnectRequest(
                                            "home", Optional.empty(), Optional.empty()))
                            .confirm();
            at.api.reconnect(
                    new ControlApi.ReconnectRequest(
                            "home",
                            Optional.of(at == nodes.left ? "left" : "right"),
                            Optional.of(confirm)));
            return true;
        } catch (ProblemException e) {
            return false;
        }
    }

    private static List<String> events(NodeProcess node, String kind) throws Exception {
        List<String> events = new ArrayList<>();
        node.api.events(
                new ControlApi.EventsRequest(0, false),
                each -> {
                    if (each.kind().equals(kind)) {
                        events.add(each.text());
                    }
                });
        return events;
    }
}
