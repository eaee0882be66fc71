package holdfast.system;

import eu.rekawek.toxiproxy.Proxy;
import eu.rekawek.toxiproxy.ToxiproxyClient;
import eu.rekawek.toxiproxy.model.Toxic;
import eu.rekawek.toxiproxy.model.ToxicDirection;

import holdfast.bench.Ports;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/// A Toxiproxy server of its own between the nodes. What it does to the bytes changes with each
/// [#change].
final class ToxicLink implements AutoCloseable {
    private static final String LOCAL = "127.0.0.1";

    /// What can be wrong with a line. Toxiproxy's own words.
    enum Trouble {
        NONE(false),
        LATENCY(false),
        BANDWIDTH(false),
        SLICER(false),
        RESET_PEER(true),
        TIMEOUT(true),
        LIMIT_DATA(true),
        DISABLED(true);

        private final boolean cuts;

        Trouble(boolean cuts) {
            this.cuts = cuts;
        }
    }

    final int port;
    private final Process server;
    private final Proxy proxy;
    private final Random random;
    private boolean cutting;
    private final Map<Trouble, Integer> counts = new EnumMap<>(Trouble.class);

    ToxicLink(Path log, int upstreamPort, long seed) throws Exception {
        int apiPort = Ports.free();
        port = Ports.free();
        random = new Random(seed);
        server =
                new ProcessBuilder(
                                program().toString(),
                                "-host",
                                LOCAL,
                                "-port",
                                Integer.toString(apiPort))
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile())
                        .start();
        try {
            TwoNodes.until("Toxiproxy answers", () -> answers(apiPort));
            proxy =
                    new ToxiproxyClient(LOCAL, apiPort)
                            .createProxy("link", LOCAL + ":" + port, LOCAL + ":" + upstreamPort);
        } catch (IOException | RuntimeException | Error e) {
            server.destroyForcibly();
            throw e;
        }
    }

    private static Path program() {
        String told = System.getenv("HOLDFAST_TOXIPROXY");
        Path path =
                told != null
                        ? Path.of(told)
                        : Path.of(
                                System.getProperty("user.home"),
                                ".cache/holdfast/toxiproxy-v2.12.0/server");
        if (!Files.isExecutable(path)) {
            throw new AssertionError(
                    path
                            + " is not there: test/run builds the Toxiproxy server, or set"
                            + " HOLDFAST_TOXIPROXY");
        }
        return path;
    }

    private static boolean answers(int apiPort) {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), apiPort)) {
            return socket.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    /// Something else from now on; what cuts the connection and what lets it live take turns.
    ///
    /// @return whether it cuts
    boolean change() throws IOException {
        cutting = !cutting;
        List<Trouble> kind =
                Stream.of(Trouble.values()).filter(each -> each.cuts == cutting).toList();
        become(kind.get(random.nextInt(kind.size())));
        return cutting;
    }

    private void become(Trouble next) throws IOException {
        heal();
        counts.merge(next, 1, Integer::sum);
        ToxicDirection direction =
                random.nextBoolean() ? ToxicDirection.UPSTREAM : ToxicDirection.DOWNSTREAM;
        String name = "now";
        var toxics = proxy.toxics();
        switch (next) {
            case NONE -> {}
            case LATENCY ->
                    toxics.latency(name, direction, 20 + random.nextInt(180))
                            .setJitter(random.nextInt(100));
            case BANDWIDTH -> toxics.bandwidth(name, direction, 50 + random.nextInt(1000));
            case RESET_PEER -> toxics.resetPeer(name, direction, random.nextInt(300));
            case TIMEOUT -> toxics.timeout(name, direction, 100 + random.nextInt(900));
            case SLICER ->
                    toxics.slicer(name, direction, 1 + random.nextInt(400), random.nextInt(200));
            // The connection ends in the middle of a frame: packets are larger than that.
            case LIMIT_DATA -> toxics.limitData(name, direction, 1 + random.nextInt(40_000));
            case DISABLED -> proxy.disable();
        }
    }

    /// The line is good again.
    void heal() throws IOException {
        for (Toxic each : proxy.toxics().getAll()) {
            each.remove();
        }
        if (!proxy.isEnabled()) {
            proxy.enable();
        }
    }

    /// It carries nothing until [#heal].
    void cut() throws IOException {
        proxy.disable();
    }

    Map<Trouble, Integer> counts() {
        return counts;
    }

    @Override
    public void close() throws InterruptedException {
        server.destroyForcibly().waitFor();
    }
}
