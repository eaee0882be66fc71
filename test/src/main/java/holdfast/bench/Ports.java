package holdfast.bench;

import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.concurrent.ThreadLocalRandom;

/// Ports of loopback for what is about to listen.
public final class Ports {
    /// Below those that the kernel gives to connections: none of these takes it in between, nor
    /// while a daemon is down.
    private static final int FIRST = 20_000;

    private static final int COUNT = 12_000;

    private Ports() {}

    /// One on which nobody listens now.
    public static int free() throws IOException {
        while (true) {
            int port = FIRST + ThreadLocalRandom.current().nextInt(COUNT);
            try (ServerSocket _ = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
                return port;
            } catch (BindException e) {
                // Somebody else's.
            }
        }
    }
}
