package holdfast.replicator.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/// A server over two exports in memory, and the client that must always be served well.
final class ServerFixture implements AutoCloseable {
    static final int SIZE_BYTES = 4 << 20;

    /// Short, so that tests can wait for them.
    static final NbdLimits SMALL =
            new NbdLimits(
                    64, 8, Duration.ofMillis(400), Duration.ofMillis(400), 64, 8 << 20, 8 << 20);

    final MemoryExport disk = new MemoryExport("disk", SIZE_BYTES);
    final MemoryExport other = new MemoryExport("other", SIZE_BYTES);
    final PayloadPool pool = new PayloadPool();
    final NbdServer server;
    final Path directory;
    final Path socket;

    ServerFixture(NbdLimits limits) throws IOException {
        directory = Files.createTempDirectory("nbd");
        socket = directory.resolve("s");
        server = new NbdServer(Exports.of(List.of(disk, other)), pool, limits);
        server.listenUnix(socket);
    }

    RawClient connect() throws IOException {
        return new RawClient(socket);
    }

    /// A client of simple replies in transmission.
    RawClient open(String name) throws IOException {
        RawClient client = connect().greet(3);
        client.go(name);
        return client;
    }

    /// Shows that a client that keeps the rules is served: handshake, write, read, flush,
    /// disconnect.
    void assertServesOthers() throws IOException {
        try (RawClient good = open("other")) {
            byte[] data = new byte[4096];
            data[17] = (byte) System.nanoTime();
            good.putRequest(1, 1, 1, 8192, data.length).out.write(data);
            good.send();
            assertEquals(0, good.simpleReply(1));
            good.putRequest(0, 0, 2, 8192, data.length).send();
            assertEquals(0, good.simpleReply(2));
            assertArrayEquals(data, good.in.readNBytes(data.length));
            assertEquals(0, good.request(0, 3, 0, 0));
            good.putRequest(0, 2, 3, 0, 0).send();
            assertEquals(-1, good.in.read());
        }
    }

    @Override
    public void close() throws IOException {
        disk.letGo();
        boolean ended = server.close(Duration.ofSeconds(5));
        Files.deleteIfExists(socket);
        Files.deleteIfExists(directory);
        assertEquals(true, ended, "a connection did not end");
        assertEquals(0, pool.usedBytes(), "a buffer was not given back");
        assertEquals(disk.opened.get(), disk.closed.get(), "opened and closed");
    }
}
