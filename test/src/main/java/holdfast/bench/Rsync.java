package holdfast.bench;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// `rsync` to a daemon of its own on this host, through a [Relay] that counts as it counts ours.
/// Between two local files rsync copies the whole file unless told not to, and there would be no
/// line to count on; a daemon adds neither a shell nor encryption.
final class Rsync implements AutoCloseable {
    private static final long START_SECONDS = 20;

    private final Path module;
    private final Process daemon;
    private final Relay relay;

    /// @param bytes in both directions
    record Cost(Relay.Bytes bytes, double seconds) {}

    /// @param directory a new one, for what it keeps
    Rsync(Path directory, long delayMillis) throws Exception {
        this.module = Files.createDirectories(directory.resolve("module"));
        Path settings = directory.resolve("rsyncd.conf");
        boolean root = System.getProperty("user.name").equals("root");
        Files.writeString(
                settings,
                """
                use chroot = no
                %s
                [copy]
                path = %s
                read only = no
                """
                        .formatted(root ? "uid = root\ngid = root" : "", module));
        int port = Ports.free();
        this.daemon =
                Programs.start(
                        directory.resolve("log"),
                        List.of(
                                "rsync",
                                "--daemon",
                                "--no-detach",
                                "--address=127.0.0.1",
                                "--port=" + port,
                                "--config=" + settings));
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (!answers(port)) {
            if (daemon.waitFor(20, TimeUnit.MILLISECONDS) || System.nanoTime() > deadline) {
                Programs.stop(daemon);
                throw new IOException(
                        "rsync --daemon\n" + Files.readString(directory.resolve("log")));
            }
        }
        this.relay = new Relay(port, delayMillis);
    }

    private static boolean answers(int port) {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            return socket.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    /// Makes `old` what `now` is.
    ///
    /// @param old an image that is not needed any more
    Cost bringOn(Path old, Path now) throws IOException, InterruptedException {
        Path copy = module.resolve("image");
        Files.move(old, copy);
        Relay.Bytes before = relay.bytes();
        long began = System.nanoTime();
        Programs.run(
                "rsync",
                "--inplace",
                "--no-whole-file",
                "--ignore-times",
                "-z",
                now.toString(),
                "rsync://127.0.0.1:" + relay.port() + "/copy/image");
        double seconds = (System.nanoTime() - began) / 1e9;
        if (Files.mismatch(copy, now) >= 0) {
            throw new IOException("rsync left another image");
        }
        Files.delete(copy);
        return new Cost(relay.bytes().minus(before), seconds);
    }

    @Override
    public void close() throws IOException {
        relay.close();
        Programs.stop(daemon);
    }
}
