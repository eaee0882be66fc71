package holdfast.replicator.control;

import holdfast.replicator.json.Json;
import holdfast.throttle.AcceptRetry;

import jdk.net.ExtendedSocketOptions;
import jdk.net.UnixDomainPrincipal;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;

/// Offers a [ControlApi] as HTTP/1.1 and JSON on the Unix socket `control.sock` of the run
/// directory (`docs/control.md`). One request for each connection, a virtual thread for each
/// connection.
///
/// Who may ask: root and the owner of the run directory, as the kernel names the other end. The
/// directory has mode 0700, so nobody else comes as far as the socket even in the moment between
/// its making and its mode of 0600.
///
/// | limit                      | value |
/// |----------------------------|------:|
/// | clients at once            |    64 |
/// | streams among them         |    16 |
/// | requests in a second       |   200 |
/// | body                       | 64 KiB |
/// | time to send a request     |  10 s |
/// | time to take a reply       |  30 s |
public final class ControlServer implements AutoCloseable {
    /// Below the 108 bytes of `sun_path` with its final zero.
    private static final int MAX_PATH_BYTES = 107;

    private static final int MAX_CLIENTS = 64;
    private static final int MAX_STREAMS = 16;
    private static final int MAX_REQUESTS_PER_SECOND = 200;
    private static final int MAX_BODY_BYTES = 64 << 10;

    private static final Logger LOG = LoggerFactory.getLogger(ControlServer.class);

    private final Path socket;
    private final FileChannel lockFile;
    private final FileLock lock;
    private final ServerSocketChannel server;
    private final UserPrincipal owner;
    private final UserPrincipal root;
    private final Routes routes;
    private final Duration requestLimit;
    private final AcceptRetry.Told acceptTold;
    private final ScheduledExecutorService timer =
            Executors.newSingleThreadScheduledExecutor(
                    Thread.ofPlatform().daemon().name("control-deadlines").factory());
    private final Semaphore clients = new Semaphore(MAX_CLIENTS);
    private final Semaphore streams = new Semaphore(MAX_STREAMS);
    private final Set<Thread> handlers = ConcurrentHashMap.newKeySet();
    private final AtomicLong second = new AtomicLong();
    private final AtomicLong requestsInSecond = new AtomicLong();
    private Thread acceptor;

    private ControlServer(
            Path socket,
            FileChannel lockFile,
            FileLock lock,
            ServerSocketChannel server,
            UserPrincipal owner,
            UserPrincipal root,
            Routes routes,
            Duration requestLimit,
            AcceptRetry.Told acceptTold) {
        this.socket = socket;
        this.lockFile = lockFile;
        this.lock = lock;
        this.server = server;
        this.owner = owner;
        this.root = root;
        this.routes = routes;
        this.requestLimit = requestLimit;
        this.acceptTold = acceptTold;
    }

    /// Makes the run directory if need be, takes its lock, replaces a socket that a dead daemon
    /// left, and listens.
    ///
    /// @param hostName of this node, for refusals
    /// @param acceptTold told that no client can be taken, and when that is over
    /// @throws IOException also when another daemon holds the directory; the message says so
    public static ControlServer open(
            Path runDirectory,
            String hostName,
            ControlApi api,
            Audit audit,
            AcceptRetry.Told acceptTold)
            throws IOException {
        return open(runDirectory, hostName, api, audit, acceptTold, Duration.ofSeconds(10));
    }

    /// The same for those who look only at what is answered.
    public static ControlServer open(
            Path runDirectory, String hostName, ControlApi api, Audit audit) throws IOException {
        return open(runDirectory, hostName, api, audit, AcceptRetry.Told.NOBODY);
    }

    static ControlServer open(
            Path runDirectory, String hostName, ControlApi api, Audit audit, Duration requestLimit)
            throws IOException {
        return open(runDirectory, hostName, api, audit, AcceptRetry.Told.NOBODY, requestLimit);
    }

    private static ControlServer open(
            Path runDirectory,
            String hostName,
            ControlApi api,
            Audit audit,
            AcceptRetry.Told acceptTold,
            Duration requestLimit)
            throws IOException {
        Path directory = runDirectory.toAbsolutePath();
        Path socket = ControlClient.socketIn(directory);
        if (socket.toString().getBytes(StandardCharsets.UTF_8).length > MAX_PATH_BYTES) {
            throw new IOException(
                    "the path %s is longer than the %d bytes a Unix socket may have; choose a shorter --root"
                            .formatted(socket, MAX_PATH_BYTES));
        }
        UserPrincipal owner = makePrivate(directory);
        FileChannel lockFile =
                FileChannel.open(
                        directory.resolve("control.lock"),
                        Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE),
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rw-------")));
        ServerSocketChannel server = null;
        try {
            FileLock lock = lock(lockFile, directory);
            Files.deleteIfExists(socket);
            server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            server.bind(UnixDomainSocketAddress.of(socket), MAX_CLIENTS);
            Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
            UserPrincipal root =
                    directory
                            .getFileSystem()
                            .getUserPrincipalLookupService()
                            .lookupPrincipalByName("root");
            var opened =
                    new ControlServer(
                            socket,
                            lockFile,
                            lock,
                            server,
                            owner,
                            root,
                            new Routes(hostName, api, audit),
                            requestLimit,
                            acceptTold);
            opened.acceptor = Thread.ofVirtual().name("control-accept").start(opened::accept);
            return opened;
        } catch (IOException | RuntimeException e) {
            if (server != null) {
                server.close();
            }
            lockFile.close();
            throw e;
        }
    }

    /// Refuses new clients, ends the streams and waits for nobody.
    @Override
    public void close() throws IOException {
        if (!server.isOpen()) {
            return;
        }
        server.close();
        acceptor.interrupt();
        handlers.forEach(Thread::interrupt);
        timer.shutdownNow();
        Files.deleteIfExists(socket);
        lock.release();
        lockFile.close();
    }

    private static UserPrincipal makePrivate(Path directory) throws IOException {
        var rights = PosixFilePermissions.fromString("rwx------");
        if (!Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS)) {
            Files.createDirectories(directory.getParent());
            Files.createDirectory(directory, PosixFilePermissions.asFileAttribute(rights));
        }
        Files.setPosixFilePermissions(directory, rights);
        return Files.getOwner(directory);
    }

    private static FileLock lock(FileChannel file, Path directory) throws IOException {
        FileLock lock;
        try {
            lock = file.tryLock();
        } catch (java.nio.channels.OverlappingFileLockException _) {
            lock = null;
        }
        if (lock == null) {
            throw new IOException(
                    "another daemon runs in " + directory + " and holds its control.lock");
        }
        return lock;
    }

    private void accept() {
        AcceptRetry retry = new AcceptRetry(acceptTold);
        while (true) {
            SocketChannel channel;
            try {
                channel = server.accept();
            } catch (ClosedChannelException _) {
                return;
            } catch (IOException e) {
                // Out of file descriptors, most likely. Going on at once would only spin.
                if (!pause(retry.failed(e))) {
                    return;
                }
                continue;
            }
            retry.took();
            var connection = new Connection(channel, timer);
            if (!clients.tryAcquire()) {
                // Whoever is turned away is told nothing: a write could block the one thread that
                // accepts.
                connection.close();
                continue;
            }
            Thread.ofVirtual().name("control-client").start(() -> serve(channel, connection));
        }
    }

    private static boolean pause(long nanos) {
        try {
            Thread.sleep(Duration.ofNanos(nanos));
            return true;
        } catch (InterruptedException _) {
            return false;
        }
    }

    private void serve(SocketChannel channel, Connection connection) {
        handlers.add(Thread.currentThread());
        try (connection) {
            connection.limit(requestLimit);
            answer(channel, connection);
        } catch (IOException | RuntimeException e) {
            LOG.debug("a control client went away", e);
        } finally {
            connection.unlimited();
            clients.release();
            handlers.remove(Thread.currentThread());
        }
    }

    private void answer(SocketChannel channel, Connection connection) throws IOException {
        UnixDomainPrincipal peer = channel.getOption(ExtendedSocketOptions.SO_PEERCRED);
        try {
            if (!peer.user().equals(owner) && !peer.user().equals(root)) {
                throw new HttpException(
                        403, "%s may not use this socket".formatted(peer.user().getName()));
            }
            HttpHead head = HttpHead.read(connection.in());
            if (head == null) {
                return;
            }
            if (isTooFast()) {
                throw new HttpException(
                        429, "more than " + MAX_REQUESTS_PER_SECOND + " requests in a second");
            }
            Routes.Request request = parse(head, connection);
            connection.unlimited();
            reply(request, peer.user().getName(), connection);
        } catch (HttpException e) {
            connection.limit(Duration.ofSeconds(30));
            send(
                    connection,
                    e.status(),
                    Json.write(routes.problem(ExitCode.USAGE, e.getMessage())));
        }
    }

    private static Routes.Request parse(HttpHead head, Connection connection)
            throws IOException, HttpException {
        String[] parts = head.first().split(" ", -1);
        if (parts.length != 3 || !parts[2].equals("HTTP/1.1")) {
            throw new HttpException(
                    parts.length == 3 && parts[2].startsWith("HTTP/") ? 505 : 400,
                    "malformed request line");
        }
        if (head.field("host").isEmpty()) {
            throw new HttpException(400, "the Host field is missing");
        }
        if (!head.field("transfer-encoding").isEmpty()) {
            throw new HttpException(501, "send Content-Length, not Transfer-Encoding");
        }
        if (!head.field("expect").isEmpty()) {
            throw new HttpException(417, "no Expect, please");
        }
        return new Routes.Request(
                parts[0], parts[1], connection.readText(head.contentLength(MAX_BODY_BYTES)));
    }

    private void reply(Routes.Request request, String user, Connection connection)
            throws IOException, HttpException {
        Routes.Outcome outcome = routes.handle(request, user);
        switch (outcome) {
            case Routes.Reply(int status, String json) -> {
                connection.limit(Duration.ofSeconds(30));
                send(connection, status, json);
            }
            case Routes.Stream stream -> {
                if (!streams.tryAcquire()) {
                    throw new HttpException(503, "more than " + MAX_STREAMS + " streams at once");
                }
                try {
                    stream(stream, connection);
                } finally {
                    streams.release();
                }
            }
        }
    }

    private static void send(Connection connection, int status, String json) throws IOException {
        connection.write(
                head(status, "application/json")
                        + "Content-Length: "
                        + (json.length() + 1)
                        + "\r\n\r\n"
                        + json
                        + "\n");
    }

    /// Each line is a chunk. The head waits for the first line, so that a refusal still has its
    /// status.
    private void stream(Routes.Stream stream, Connection connection) throws IOException {
        var sink = new Chunks(connection);
        try {
            stream.run(sink);
            sink.end();
        } catch (ProblemException e) {
            if (sink.isStarted()) {
                sink.line(Json.write(e.problem()));
                sink.end();
            } else {
                connection.limit(Duration.ofSeconds(30));
                send(
                        connection,
                        ExitCode.of(e.problem().exitCode()).httpStatus(),
                        Json.write(e.problem()));
            }
        } catch (InterruptedException _) {
            // The daemon stops: the missing last chunk tells the client that there was more to
            // come.
        }
    }

    private static String head(int status, String type) {
        return "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nConnection: close\r\n"
                .formatted(status, status < 300 ? "OK" : "Refused", type);
    }

    private boolean isTooFast() {
        long now = System.nanoTime() / 1_000_000_000;
        if (second.getAndSet(now) != now) {
            requestsInSecond.set(0);
        }
        return requestsInSecond.incrementAndGet() > MAX_REQUESTS_PER_SECOND;
    }

    /// Lines as chunks of a chunked reply; an empty line is a sign of life.
    private static final class Chunks implements Routes.LineSink {
        private final Connection connection;
        private boolean started;

        Chunks(Connection connection) {
            this.connection = connection;
        }

        boolean isStarted() {
            return started;
        }

        @Override
        public void line(String json) throws IOException {
            begin();
            connection.limit(Duration.ofSeconds(30));
            connection.write("%x\r\n%s\n\r\n".formatted(json.length() + 1, json));
            connection.unlimited();
        }

        void end() throws IOException {
            begin();
            connection.limit(Duration.ofSeconds(30));
            connection.write("0\r\n\r\n");
        }

        private void begin() throws IOException {
            if (!started) {
                started = true;
                connection.limit(Duration.ofSeconds(30));
                connection.write(
                        head(200, "application/x-ndjson") + "Transfer-Encoding: chunked\r\n\r\n");
            }
        }
    }
}
