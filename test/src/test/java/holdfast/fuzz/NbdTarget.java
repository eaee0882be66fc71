package holdfast.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.US_ASCII;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;

import holdfast.interop.DeviceExport;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdLimits;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.nbd.PayloadPool;

import org.slf4j.LoggerFactory;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/// An NBD server with a file of 4 MiB; each input is one connection, from the client's flags on. It
/// is the daemon's own server, and what it calls a bug in its log is one.
final class NbdTarget {
    private static final NbdLimits LIMITS =
            new NbdLimits(
                    64, 8, Duration.ofSeconds(5), Duration.ofSeconds(5), 64, 8 << 20, 8 << 20);

    /// Of two connections that are just ending: what may wait each way, and one longest read more.
    private static final long POOL_BYTES_MAX = 2L * ((8 + 8 + 33) << 20);

    private final PayloadPool pool = new PayloadPool();

    /// Filled by the threads of the connections.
    private final Queue<String> bugs = new ConcurrentLinkedQueue<>();

    private final UnixDomainSocketAddress address;
    private final ByteBuffer sink = ByteBuffer.allocate(1 << 20);

    @SuppressWarnings("MustBeClosedChecker") // they live as long as this JVM
    private NbdTarget() {
        try {
            Path dir = Files.createTempDirectory("nbd");
            Path disk = dir.resolve("disk");
            Path socket = dir.resolve("s");
            var device = FileBlockDevice.create(disk, 4 << 20);
            var export = new DeviceExport("disk", device, false, Runnable::run);
            var server = new NbdServer(Exports.of(List.of(export)), pool, LIMITS);
            server.listenUnix(socket);
            address = UnixDomainSocketAddress.of(socket);
            Runtime.getRuntime()
                    .addShutdownHook(
                            new Thread(
                                    () -> {
                                        server.close();
                                        disk.toFile().delete();
                                        dir.toFile().delete();
                                    }));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        var log =
                new AppenderBase<ILoggingEvent>() {
                    @Override
                    protected void append(ILoggingEvent event) {
                        if (event.getLevel() == Level.ERROR) {
                            bugs.add(
                                    event.getFormattedMessage()
                                            + " "
                                            + event.getThrowableProxy().getMessage());
                        }
                    }
                };
        log.start();
        ((Logger) LoggerFactory.getLogger("holdfast.replicator.nbd.Connection")).addAppender(log);
    }

    static Target target() {
        var target = new NbdTarget();
        return new Target(
                "nbd",
                List.of(session(3, 8, 28), session(3, 11, 32), session(1, 3, 28)),
                4 << 20,
                target::connect);
    }

    private void connect(byte[] input) throws IOException {
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            channel.connect(address);
            try {
                // What does not fit is sent when replies have been read: the server never waits
                // for both.
                channel.configureBlocking(false);
                ByteBuffer bytes = ByteBuffer.wrap(input);
                long end = System.nanoTime() + 10_000_000_000L;
                while (bytes.hasRemaining() && System.nanoTime() < end) {
                    channel.write(bytes);
                    channel.read(sink.clear());
                }
                channel.shutdownOutput();
                channel.configureBlocking(true);
                while (channel.read(sink.clear()) >= 0) {
                    assertTrue(pool.usedBytes() <= POOL_BYTES_MAX, "the pool");
                }
            } catch (IOException e) {
                // Closed by the server, which may be right.
            }
        }
        assertEquals(List.of(), List.copyOf(bugs));
    }

    /// @param style an option that sets how requests and replies look
    /// @param headerBytes of a request then
    private static byte[] session(int flags, int style, int headerBytes) {
        var bytes = new ByteArrayOutputStream();
        try (var out = new DataOutputStream(bytes)) {
            out.writeInt(flags);
            option(out, style, new byte[0]);
            if (style == 8 || style == 11) {
                option(out, 10, export("base:allocation"));
            }
            option(out, 6, export());
            option(out, 7, export());
            int[] commands = {1, 0, 3, 5, 6, 4, 7, 2};
            for (int command : commands) {
                boolean extended = headerBytes == 32;
                out.writeInt(extended ? 0x21e41c71 : 0x25609513);
                out.writeShort(extended && command == 1 ? 32 : 0);
                out.writeShort(command);
                out.writeLong(command);
                out.writeLong(4096);
                if (extended) {
                    out.writeLong(512);
                } else {
                    out.writeInt(512);
                }
                out.write(new byte[command == 1 ? 512 : 0]);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static void option(DataOutputStream out, int option, byte[] data) throws IOException {
        out.writeLong(0x49484156454f5054L);
        out.writeInt(option);
        out.writeInt(data.length);
        out.write(data);
    }

    /// The export, and how many of what, which for a context is its name.
    private static byte[] export(String... contexts) throws IOException {
        var bytes = new ByteArrayOutputStream();
        var out = new DataOutputStream(bytes);
        out.writeInt(4);
        out.writeBytes("disk");
        if (contexts.length == 0) {
            out.writeShort(1);
            out.writeShort(3);
        } else {
            out.writeInt(contexts.length);
        }
        for (String context : contexts) {
            out.writeInt(context.length());
            out.write(context.getBytes(US_ASCII));
        }
        return bytes.toByteArray();
    }
}
