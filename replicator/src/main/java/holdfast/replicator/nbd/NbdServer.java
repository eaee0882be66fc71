package holdfast.replicator.nbd;

import holdfast.throttle.AcceptRetry;

import jdk.net.ExtendedSocketOptions;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Predicate;

/// Serves exports over NBD on Unix sockets and TCP addresses.
///
/// Each connection has a platform thread. A malformed request ends its connection and nothing else.
/// A stop finishes what was read, replies and closes; it announces nothing, because a kernel client
/// takes ESHUTDOWN for a dead disk and a closed connection for one that will come back.
public final class NbdServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(NbdServer.class);

    /// How long [#close()] lets requests in flight end.
    private static final Duration STOP_LIMIT = Duration.ofSeconds(10);

    private final Exports exports;
    private final PayloadPool pool;
    private final ThreadFactory threads;
    private final NbdLimits limits;
    private final AcceptRetry.Told acceptTold;
    private final HalfOpen halfOpen;
    private final AtomicLong accepted = new AtomicLong();

    /// Guarded by this object's monitor, like `stopped`.
    private final Set<Connection> connections = new HashSet<>();

    private final List<Listener> listeners = new ArrayList<>();
    private boolean stopped;

    /// What status shows of a connection.
    ///
    /// @param client where it came from, and a number
    /// @param export empty while it has none open
    public record Client(String client, String export, int inFlightRequests) {}

    private interface Closing {
        void close() throws IOException;
    }

    private record Listener(
            String name, ServerSocketChannel channel, boolean listAllowed, Closing closing) {}

    /// @param pool where the payloads of writes come from; it may be shared
    public NbdServer(Exports exports, PayloadPool pool, NbdLimits limits) {
        this(
                exports,
                pool,
                limits,
                Thread.ofPlatform().daemon().factory(),
                AcceptRetry.Told.NOBODY);
    }

    /// @param threads makes the threads of listeners and connections
    /// @param acceptTold told that no client can be taken, and when that is over, by each listener
    public NbdServer(
            Exports exports,
            PayloadPool pool,
            NbdLimits limits,
            ThreadFactory threads,
            AcceptRetry.Told acceptTold) {
        this.exports = exports;
        this.pool = pool;
        this.limits = limits;
        this.halfOpen = new HalfOpen(limits.halfOpen());
        this.threads = threads;
        this.acceptTold = acceptTold;
    }

    /// Listens on a Unix socket of mode 0600, which appears at `path` only when it can be connected
    /// to.
    ///
    /// @throws java.nio.file.FileAlreadyExistsException if somebody answers there, or it is no
    ///   socket
    public void listenUnix(Path path) throws IOException {
        UnixSocketFile socket = UnixSocketFile.listen(path);
        start(new Listener("unix", socket.channel(), true, socket::close));
    }

    /// Listens on an address, which should be loopback: this protocol has neither encryption nor
    /// passwords.
    ///
    /// @param listAllowed whether a stranger may ask which exports there are
    /// @return the address with the port that was taken
    public InetSocketAddress listenTcp(InetSocketAddress address, boolean listAllowed)
            throws IOException {
        ServerSocketChannel channel = ServerSocketChannel.open();
        try {
            channel.setOption(StandardSocketOptions.SO_REUSEADDR, true);
            channel.bind(address);
            InetSocketAddress bound = (InetSocketAddress) channel.getLocalAddress();
            if (!bound.getAddress().isLoopbackAddress()) {
                LOG.warn(
                        "NBD on {} is open to whoever can reach it: no encryption, no password",
                        bound);
            }
            start(new Listener("tcp", channel, listAllowed, channel::close));
            return bound;
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    /// The connections there are now.
    public synchronized List<Client> clients() {
        List<Client> clients = new ArrayList<>();
        for (Connection connection : connections) {
            Export export = connection.export();
            String name = export == null ? "" : export.name();
            clients.add(new Client(connection.client(), name, connection.inFlightRequests()));
        }
        return clients;
    }

    /// Ends the connections to some exports the way a stop does, for instance before a change of
    /// role, and waits until they are closed.
    ///
    /// @param limit after this their sockets are closed under them
    /// @return whether all are closed; false if requests are still in flight even then
    public boolean disconnect(Predicate<Export> which, Duration limit) {
        List<Connection> chosen = new ArrayList<>();
        synchronized (this) {
            for (Connection connection : connections) {
                Export export = connection.export();
                if (export != null && which.test(export)) {
                    chosen.add(connection);
                }
            }
        }
        return end(chosen, limit);
    }

    /// Stops within ten seconds, see [#close(Duration)].
    @Override
    public void close() {
        close(STOP_LIMIT);
    }

    /// Stops listening, lets every connection finish what it has read, and closes them.
    ///
    /// @param limit after this their sockets are closed under them
    /// @return whether all are closed; false if requests are still in flight even then
    public boolean close(Duration limit) {
        List<Connection> open;
        synchronized (this) {
            stopped = true;
            open = List.copyOf(connections);
        }
        stopListening();
        return end(open, limit);
    }

    /// Takes no new connections, until it is told to listen again; those that are there go on.
    public void stopListening() {
        List<Listener> listening;
        synchronized (this) {
            listening = List.copyOf(listeners);
            listeners.clear();
        }
        for (Listener listener : listening) {
            try {
                listener.closing().close();
            } catch (IOException e) {
                LOG.warn("closing the {} listener: {}", listener.name(), e.toString());
            }
        }
    }

    NbdLimits limits() {
        return limits;
    }

    PayloadPool pool() {
        return pool;
    }

    void handshakeDone(Connection connection) {
        halfOpen.remove(connection);
    }

    synchronized void ended(Connection connection) {
        halfOpen.remove(connection);
        connections.remove(connection);
        notifyAll();
    }

    private boolean end(List<Connection> chosen, Duration limit) {
        chosen.forEach(Connection::stop);
        if (awaitEnd(chosen, limit)) {
            return true;
        }
        chosen.forEach(Connection::abort);
        return awaitEnd(chosen, Duration.ofSeconds(1));
    }

    private synchronized boolean awaitEnd(List<Connection> chosen, Duration limit) {
        long deadline = System.nanoTime() + limit.toNanos();
        boolean interrupted = false;
        while (chosen.stream().anyMatch(connections::contains)) {
            long leftMillis = (deadline - System.nanoTime()) / 1_000_000;
            if (leftMillis <= 0) {
                break;
            }
            try {
                wait(leftMillis);
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return chosen.stream().noneMatch(connections::contains);
    }

    private void start(Listener listener) throws IOException {
        synchronized (this) {
            if (stopped) {
                listener.closing().close();
                throw new IOException("the NBD server has been stopped");
            }
            listeners.add(listener);
        }
        start("nbd accept " + listener.name(), () -> accept(listener));
    }

    private void start(String name, Runnable work) {
        Thread thread = threads.newThread(work);
        thread.setName(name);
        thread.start();
    }

    private void accept(Listener listener) {
        AcceptRetry retry = new AcceptRetry(acceptTold);
        while (true) {
            try {
                serve(listener.channel().accept(), listener);
                retry.took();
            } catch (ClosedChannelException e) {
                return;
            } catch (IOException | OutOfMemoryError e) {
                // No descriptors, no memory, no threads: all may come back.
                LockSupport.parkNanos(retry.failed(e));
            }
        }
    }

    private void serve(SocketChannel channel, Listener listener) throws IOException {
        Connection connection = null;
        try {
            connection = admit(channel, listener);
            if (connection == null) {
                channel.close();
                return;
            }
            start("nbd " + connection.client(), connection);
        } catch (IOException | RuntimeException | Error e) {
            channel.close();
            if (connection != null) {
                connection.end();
            }
            throw e;
        }
    }

    /// A host that lost its power says no good-bye, and its connection would hold the export open
    /// for ever: one that answers nothing for two minutes ends.
    private static void endWhenGone(SocketChannel channel) throws IOException {
        channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
        channel.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, 60);
        channel.setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, 10);
        channel.setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, 6);
    }

    /// @return null if there is no room
    private Connection admit(SocketChannel channel, Listener listener) throws IOException {
        String client = listener.name() + "-" + accepted.incrementAndGet();
        if (channel.getRemoteAddress() instanceof InetSocketAddress remote) {
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            endWhenGone(channel);
            client += " " + remote.getAddress().getHostAddress();
        }
        synchronized (this) {
            if (stopped || connections.size() >= limits.connections()) {
                LOG.warn("{}: refused, {} connections are open", client, connections.size());
                return null;
            }
        }
        Connection connection =
                new Connection(
                        this, channel, new Negotiation(exports, listener.listAllowed()), client);
        synchronized (this) {
            connections.add(connection);
            if (stopped) {
                connection.stop();
            }
        }
        Connection oldest = halfOpen.add(connection);
        if (oldest != null) {
            LOG.info("{}: closed, too many clients are in the handshake", oldest.client());
            oldest.abort();
        }
        return connection;
    }
}
