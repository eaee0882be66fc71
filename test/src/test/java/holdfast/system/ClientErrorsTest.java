package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// What a client is told of a disk that fails some of its requests and goes on, the operator is
/// told as well: once, in status for as long as it is so, and when it is over.
@Timeout(180)
class ClientErrorsTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path mounted;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        nodes.addAndAttach("other", Files.write(dir.resolve("other.img"), new byte[MIB]));
        nodes.untilInSync("other");
    }

    @AfterEach
    void stop() throws Exception {
        nodes.close();
        if (mounted != null) {
            Run.ok("umount", "-l", mounted.toString());
        }
    }

    /// The file has lost its end, which reads as an I/O error until it is back.
    @Test
    void aStormOfReadsThatFailIsOneEventAndOneSentenceUntilItIsOver() throws Exception {
        Path disk = Files.write(dir.resolve("disk.img"), new byte[2 * MIB]);
        nodes.addAndAttach("home", disk);
        nodes.untilInSync("home");
        length(disk, MIB);
        int before = events().size();
        try (BlockClient client = client("home")) {
            for (int i = 0; i < 10_000; i++) {
                String words =
                        assertThrows(IOException.class, () -> client.read(MIB + 8192, 4096))
                                .getMessage();
                assertEquals("command 0 fails with error 5", words);
            }
            String trouble = nodes.atServer("home").trouble().orElseThrow();
            assertTrue(
                    trouble.startsWith("reads of clients fail, 10000 since ")
                            && trouble.contains("at bytes 1056768 to 1060863 (")
                            && trouble.contains("dmesg"),
                    trouble);
            assertEquals("UP_TO_DATE", nodes.atServer("home").disk());
            client.read(0, 4096);
            assertOtherGoesOn();
            List<ControlApi.Event> now = events();
            assertEquals(1, count("home", "read-error"), now.toString());
            assertTrue(now.size() < before + 20, "the ring still holds what was before");

            length(disk, 2 * MIB);
            client.read(MIB, MIB);
            TwoNodes.until("it is over", () -> count("home", "read-again") == 1);
        }
        assertTrue(nodes.atServer("home").trouble().isEmpty(), nodes.account());
    }

    @Test
    void aFullFilesystemIsToldOnceAndWhenThereIsSpaceAgain() throws Exception {
        mounted = Files.createDirectories(dir.resolve("small"));
        Run.ok("mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", mounted.toString());
        Path disk = mounted.resolve("disk.img");
        try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(2 * MIB);
        }
        nodes.addAndAttach("home", disk);
        nodes.untilInSync("home");
        Path filler = mounted.resolve("filler");
        Run.ok(
                "sh",
                "-c",
                "dd if=/dev/zero of=%s bs=4k 2>/dev/null; test -s %s".formatted(filler, filler));
        try (BlockClient client = client("home")) {
            for (int i = 0; i < 3000; i++) {
                String words =
                        assertThrows(
                                        IOException.class,
                                        () -> client.write(MIB, data(64 << 10), false))
                                .getMessage();
                assertEquals("command 1 fails with error 28", words);
            }
            String trouble = nodes.atServer("home").trouble().orElseThrow();
            assertTrue(
                    trouble.startsWith("writes of clients fail, 3000 since ")
                            && trouble.contains("at bytes 1048576 to 1114111 (")
                            && trouble.contains("make room"),
                    trouble);
            assertEquals("UP_TO_DATE", nodes.atServer("home").disk());
            assertEquals(1, count("home", "no-space"), nodes.account());
            assertTrue(events().size() < 200, "the ring still holds what was before");
            assertOtherGoesOn();

            Files.delete(filler);
            client.write(MIB, data(64 << 10), false);
            client.flush();
            TwoNodes.until("it is over", () -> count("home", "space-again") == 1);
        }
        assertTrue(nodes.atServer("home").trouble().isEmpty(), nodes.account());
        nodes.untilInSync("home");
    }

    private void assertOtherGoesOn() throws Exception {
        try (BlockClient client = client("other")) {
            client.write(0, data(4096), true);
            client.read(0, 4096);
        }
        nodes.untilInSync("other");
        assertTrue(nodes.atServer("other").trouble().isEmpty());
    }

    private BlockClient client(String name) throws IOException {
        return new BlockClient(nodes.serverPaths.run().resolve(name + ".nbd"), name);
    }

    private static ByteBuffer data(int bytes) {
        byte[] data = new byte[bytes];
        Arrays.fill(data, (byte) 7);
        return ByteBuffer.wrap(data);
    }

    private static void length(Path file, long bytes) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(bytes);
        }
    }

    private long count(String resource, String kind) throws InterruptedException {
        return events().stream()
                .filter(each -> each.resource().filter(resource::equals).isPresent())
                .filter(each -> each.kind().equals(kind))
                .count();
    }

    private List<ControlApi.Event> events() throws InterruptedException {
        List<ControlApi.Event> events = new ArrayList<>();
        nodes.server.events(new ControlApi.EventsRequest(0, false), events::add);
        return events;
    }
}
