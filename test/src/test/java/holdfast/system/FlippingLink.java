package holdfast.system;

import holdfast.bench.Ports;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/// A line between two nodes, below TLS: it passes on what it is given, and turns a bit of it where
/// it was told to.
final class FlippingLink implements AutoCloseable {
    /// Nothing is to be turned.
    private static final long NEVER = -1;

    final int port = Ports.free();
    private final int upstreamPort;
    private final ServerSocket server;
    private final Set<Socket> open = Collections.synchronizedSet(new HashSet<>());
    private final AtomicLong up = new AtomicLong(NEVER);
    private final AtomicLong down = new AtomicLong(NEVER);
    private final AtomicBoolean flipped = new AtomicBoolean();

    /// @param upstreamPort where the node is that listens
    FlippingLink(int upstreamPort) throws IOException {
        this.upstreamPort = upstreamPort;
        this.server = new ServerSocket(port, 16, InetAddress.getLoopbackAddress());
        Thread.ofPlatform().daemon().name("flipping link").start(this::accept);
    }

    /// A bit is turned of the byte that comes behind so many from now on.
    ///
    /// @param upwards of what the node that dials sends
    void flip(boolean upwards, long behindBytes) {
        flipped.set(false);
        (upwards ? up : down).set(behindBytes);
    }

    boolean hasFlipped() {
        return flipped.get();
    }

    /// Ends what is connected; who dials again is let through.
    void cut() throws IOException {
        for (Socket each : Set.copyOf(open)) {
            each.close();
        }
    }

    private void accept() {
        while (!server.isClosed()) {
            try {
                Socket from = server.accept();
                Socket to = new Socket(InetAddress.getLoopbackAddress(), upstreamPort);
                open.add(from);
                open.add(to);
                pass(from, to, up);
                pass(to, from, down);
            } catch (IOException _) {
                // The node that listens is away, or this is: the other one dials again.
            }
        }
    }

    private void pass(Socket from, Socket to, AtomicLong flipAt) {
        Thread.ofPlatform()
                .daemon()
                .start(
                        () -> {
                            try (from;
                                    to) {
                                pass(from.getInputStream(), to.getOutputStream(), flipAt);
                            } catch (IOException _) {
                                // Either side has ended it.
                            } finally {
                                open.remove(from);
                                open.remove(to);
                            }
                        });
    }

    private void pass(InputStream in, OutputStream out, AtomicLong flipAt) throws IOException {
        byte[] buffer = new byte[64 << 10];
        for (int got = in.read(buffer); got >= 0; got = in.read(buffer)) {
            long at = flipAt.get();
            if (at != NEVER && at < got) {
                buffer[(int) at] ^= 0x10;
                flipAt.set(NEVER);
                flipped.set(true);
            } else if (at != NEVER) {
                flipAt.set(at - got);
            }
            out.write(buffer, 0, got);
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
        cut();
    }
}
