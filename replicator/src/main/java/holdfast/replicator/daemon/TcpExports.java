package holdfast.replicator.daemon;

import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdServer;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.function.Supplier;

/// All attached resources, and the moments of copies, on the one TCP address of `nbd.listen`: a
/// client chooses by the name of the export, and is not told which there are.
final class TcpExports implements AutoCloseable {
    private final Shared shared;
    private final Exports exports;

    // Guarded by this object's monitor.
    private NbdServer server;
    private InetSocketAddress listening;
    private volatile String trouble;

    /// @param attached asked anew by every handshake
    /// @param copies those whose moments can be asked for, likewise
    TcpExports(
            Shared shared,
            Supplier<List<? extends Export>> attached,
            Supplier<List<LocalBackup>> copies) {
        this.shared = shared;
        this.exports =
                new Exports() {
                    @Override
                    public List<Export> list() {
                        return List.copyOf(attached.get());
                    }

                    @Override
                    public Optional<Export> find(String name) {
                        Optional<Export> found = Exports.of(attached.get()).find(name);
                        if (found.isEmpty() && !name.isEmpty()) {
                            for (LocalBackup each : copies.get()) {
                                found = found.or(() -> each.moments().find(name));
                            }
                        }
                        return found;
                    }
                };
    }

    /// Listens there and nowhere else; nothing happens when it does already.
    ///
    /// @throws IOException if the address cannot be had; tried again by the next call
    synchronized void listen(Optional<InetSocketAddress> wanted) throws IOException {
        if (server != null && !wanted.map(listening::equals).orElse(false)) {
            close();
        }
        trouble = null;
        if (server != null || wanted.isEmpty()) {
            return;
        }
        NbdServer next = shared.nbdServer(exports);
        try {
            next.listenTcp(wanted.get(), false);
        } catch (IOException | RuntimeException e) {
            next.close();
            trouble =
                    "nbd.listen is %s:%d: %s"
                            .formatted(
                                    wanted.get().getHostString(),
                                    wanted.get().getPort(),
                                    e.getMessage());
            throw new IOException(trouble, e);
        }
        server = next;
        listening = wanted.get();
    }

    /// Why it does not listen though it should.
    Optional<String> trouble() {
        return Optional.ofNullable(trouble);
    }

    /// Ends the connections to these exports, as a stop does.
    void end(Predicate<Export> exports, Duration limit) {
        NbdServer now;
        synchronized (this) {
            now = server;
        }
        if (now != null) {
            now.disconnect(exports, limit);
        }
    }

    @Override
    public synchronized void close() {
        if (server != null) {
            server.close();
            server = null;
            listening = null;
        }
    }
}
