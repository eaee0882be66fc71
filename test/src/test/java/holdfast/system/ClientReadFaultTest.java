package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Random;

/// Two daemons in processes of their own, and the kernel answers EIO to a read of a client, as of a
/// bad sector.
@Timeout(180)
class ClientReadFaultTest {
    @TempDir Path dir;

    @Test
    void theClientGetsTheErrorAndStatusSaysItUntilThatPlaceIsRead() throws Exception {
        Path library = FaultyDisk.build(dir);
        try (FaultyPair pair = new FaultyPair(dir.resolve("pair"), library, "A", new Random(1))) {
            NodeProcess server = pair.server.process;
            Instant began = Instant.now();
            Path socket = dir.resolve("pair/server/run/home.nbd");
            try (BlockClient client = new BlockClient(socket, "home")) {
                pair.server.disk.arm(FaultyDisk.Kind.IO_ERROR, FaultyDisk.READ, "home.disk", 1, 1);
                String words =
                        assertThrows(IOException.class, () -> client.read(8192, 4096)).getMessage();
                assertEquals("command 0 fails with error 5", words);
                assertTrue(pair.server.disk.hasStruck());
                String trouble = server.resource("home").orElseThrow().trouble().orElseThrow();
                assertTrue(
                        trouble.startsWith("reads of clients fail, 1 since ")
                                && trouble.contains("at bytes 8192 to 12287 (")
                                && trouble.contains("home.disk"),
                        trouble);
                assertFalse(server.resource("other").orElseThrow().trouble().isPresent());
                assertTrue(server.kindsSince("home", began).contains("read-error"));
                assertFalse(server.kindsSince("home", began).contains("disk-failed"));

                client.read(0, 16384);
                NodeProcess.until(
                        "it is over",
                        () -> server.kindsSince("home", began).contains("read-again"),
                        server);
                assertTrue(server.resource("home").orElseThrow().trouble().isEmpty());
            }
        }
    }
}
