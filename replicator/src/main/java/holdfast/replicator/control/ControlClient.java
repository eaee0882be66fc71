package holdfast.replicator.control;

import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.function.Consumer;

/// The daemon of a run directory, over its control socket. A connection for each request; several
/// threads may ask.
///
/// A daemon that cannot be reached is a [ProblemException] of exit code 4 like any other refusal.
public final class ControlClient implements ControlApi {
    /// A verb may have to ask the peer over a slow line, or flush a large device.
    private static final Duration REPLY_LIMIT = Duration.ofMinutes(5);

    /// A stream that is silent for longer than the server's signs of life is broken.
    private static final Duration SILENCE_LIMIT = Duration.ofSeconds(30);

    private static final ScheduledExecutorService TIMER =
            Executors.newSingleThreadScheduledExecutor(
                    Thread.ofPlatform().daemon().name("control-client").factory());

    private final Path socket;
    private final String startCommand;

    /// @param startCommand told to whoever finds no daemon
    public ControlClient(Path runDirectory, String startCommand) {
        this.socket = socketIn(runDirectory.toAbsolutePath());
        this.startCommand = startCommand;
    }

    /// Where the daemon of a run directory listens.
    public static Path socketIn(Path runDirectory) {
        return runDirectory.resolve("control.sock");
    }

    @Override
    public StatusReport status() throws ProblemException {
        return ask("GET", "status", "", StatusReport.class);
    }

    @Override
    public PeersReply peers() throws ProblemException {
        return ask("GET", "peers", "", PeersReply.class);
    }

    @Override
    public InviteReply invite(InviteRequest request) throws ProblemException {
        return post("invite", request, InviteReply.class);
    }

    @Override
    public JoinReply join(JoinRequest request) throws ProblemException {
        return post("join", request, JoinReply.class);
    }

    @Override
    public StorageReply storage(StorageRequest request) throws ProblemException {
        return post("storage", request, StorageReply.class);
    }

    @Override
    public AddReply add(AddRequest request) throws ProblemException {
        return post("add", request, AddReply.class);
    }

    @Override
    public PermitReply permit(PermitRequest request) throws ProblemException {
        return post("permit", request, PermitReply.class);
    }

    @Override
    public AttachReply attach(NameRequest request) throws ProblemException {
        return post("attach", request, AttachReply.class);
    }

    @Override
    public Done detach(NameRequest request) throws ProblemException {
        return post("detach", request, Done.class);
    }

    @Override
    public OpenReply open(OpenRequest request) throws ProblemException {
        return post("open", request, OpenReply.class);
    }

    @Override
    public Done closeView(CloseRequest request) throws ProblemException {
        return post("close", request, Done.class);
    }

    @Override
    public PromoteReply promote(PromoteRequest request) throws ProblemException {
        return post("promote", request, PromoteReply.class);
    }

    @Override
    public ReconnectReply reconnect(ReconnectRequest request) throws ProblemException {
        return post("reconnect", request, ReconnectReply.class);
    }

    @Override
    public PointsReply points(NameRequest request) throws ProblemException {
        return post("points", request, PointsReply.class);
    }

    @Override
    public MarkReply mark(MarkRequest request) throws ProblemException {
        return post("mark", request, MarkReply.class);
    }

    @Override
    public KeepReply keep(KeepRequest request) throws ProblemException {
        return post("keep", request, KeepReply.class);
    }

    @Override
    public DropReply drop(DropRequest request) throws ProblemException {
        return post("drop", request, DropReply.class);
    }

    @Override
    public RemoveReply remove(RemoveRequest request) throws ProblemException {
        return post("remove", request, RemoveReply.class);
    }

    @Override
    public SettleReply settle(SettleRequest request) throws ProblemException {
        return post("settle", request, SettleReply.class);
    }

    @Override
    public AdjustReply adjust(AdjustRequest request) throws ProblemException {
        return post("adjust", request, AdjustReply.class);
    }

    @Override
    public Done connect(LinkRequest request) throws ProblemException {
        return post("connect", request, Done.class);
    }

    @Override
    public Done disconnect(LinkRequest request) throws ProblemException {
        return post("disconnect", request, Done.class);
    }

    @Override
    public Done pauseSync(NameRequest request) throws ProblemException {
        return post("pause-sync", request, Done.class);
    }

    @Override
    public Done resumeSync(NameRequest request) throws ProblemException {
        return post("resume-sync", request, Done.class);
    }

    @Override
    public Done invalidate(NameRequest request) throws ProblemException {
        return post("invalidate", request, Done.class);
    }

    @Override
    public VerifyReply verify(VerifyRequest request) throws ProblemException {
        return post("verify", request, VerifyReply.class);
    }

    @Override
    public MendReply mend(MendRequest request) throws ProblemException {
        return post("mend", request, MendReply.class);
    }

    @Override
    public Done resize(NameRequest request) throws ProblemException {
        return post("resize", request, Done.class);
    }

    @Override
    public Done invalidateRemote(NameRequest request) throws ProblemException {
        return post("invalidate-remote", request, Done.class);
    }

    @Override
    public Done shutdown() throws ProblemException {
        return ask("POST", "shutdown", "{}", Done.class);
    }

    @Override
    public void events(EventsRequest request, EventSink sink) throws ProblemException {
        String target = "events?since=%d&follow=%b".formatted(request.since(), request.follow());
        stream(
                "GET",
                target,
                "",
                line -> {
                    if (line.isBlank()) {
                        sink.idle();
                    } else {
                        sink.event(parse(line, Event.class));
                    }
                });
    }

    @Override
    public WaitStatus waitFor(WaitRequest request, Consumer<WaitStatus> progress)
            throws ProblemException {
        WaitStatus[] last = {null};
        stream(
                "POST",
                "wait",
                Json.write(request),
                line -> {
                    last[0] = parse(line, WaitStatus.class);
                    if (last[0].state() == WaitState.WAITING) {
                        progress.accept(last[0]);
                    }
                });
        if (last[0] == null || last[0].state() == WaitState.WAITING) {
            throw away("the daemon stopped while it was waited for");
        }
        return last[0];
    }

    private <T extends Record> T post(String verb, Record request, Class<T> type)
            throws ProblemException {
        return ask("POST", verb, Json.write(request), type);
    }

    private <T extends Record> T ask(String method, String target, String body, Class<T> type)
            throws ProblemException {
        try (Connection connection = send(method, target, body)) {
            connection.limit(REPLY_LIMIT);
            try {
                HttpHead head = head(connection);
                String text = connection.readText(head.contentLength(Json.MAX_TEXT_CHARS));
                if (status(head) != 200) {
                    throw new ProblemException(parse(text, Problem.class));
                }
                return parse(text, type);
            } finally {
                connection.unlimited();
            }
        } catch (IOException | HttpException e) {
            throw away("the daemon did not answer: " + e.getMessage());
        }
    }

    private interface LineReader {
        void line(String line) throws ProblemException;
    }

    private void stream(String method, String target, String body, LineReader reader)
            throws ProblemException {
        try (Connection connection = send(method, target, body)) {
            try {
                connection.limit(SILENCE_LIMIT);
                HttpHead head = head(connection);
                if (status(head) != 200) {
                    throw new ProblemException(
                            parse(
                                    connection.readText(head.contentLength(Json.MAX_TEXT_CHARS)),
                                    Problem.class));
                }
                String chunk;
                while ((chunk = chunk(connection)) != null) {
                    connection.unlimited();
                    reader.line(chunk);
                    connection.limit(SILENCE_LIMIT);
                }
            } finally {
                connection.unlimited();
            }
        } catch (IOException | HttpException e) {
            throw away("the daemon went away: " + e.getMessage());
        }
    }

    private Connection send(String method, String target, String body) throws ProblemException {
        SocketChannel channel;
        try {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        } catch (IOException e) {
            throw away(e.getMessage());
        }
        var connection = new Connection(channel, TIMER);
        try {
            channel.connect(UnixDomainSocketAddress.of(socket));
            int length = body.getBytes(StandardCharsets.UTF_8).length;
            connection.write(
                    "%s /v1/%s HTTP/1.1\r\nHost: holdfast\r\nContent-Length: %d\r\n\r\n%s"
                            .formatted(method, target, length, body));
            return connection;
        } catch (IOException e) {
            connection.close();
            throw away(e.getMessage());
        }
    }

    private static HttpHead head(Connection connection) throws IOException, HttpException {
        HttpHead head = HttpHead.read(connection.in());
        if (head == null) {
            throw new IOException("it closed the connection, too many clients at once perhaps");
        }
        return head;
    }

    private static int status(HttpHead head) throws HttpException {
        String[] parts = head.first().split(" ", 3);
        if (parts.length < 2 || !parts[0].equals("HTTP/1.1") || !parts[1].matches("[0-9]{3}")) {
            throw new HttpException(0, "the reply is no HTTP/1.1");
        }
        return Integer.parseInt(parts[1]);
    }

    /// The line in the next chunk, null after the last chunk.
    private static String chunk(Connection connection) throws IOException, HttpException {
        var size = new StringBuilder();
        int c;
        while ((c = connection.in().read()) != '\r') {
            if (Character.digit(c, 16) < 0 || size.length() == 6) {
                throw new HttpException(
                        0, c < 0 ? "the stream ends before its last chunk" : "malformed chunk");
            }
            size.append((char) c);
        }
        int length = Integer.parseInt("0" + size, 16);
        String text = connection.readText(length + 3);
        return length == 0 ? null : text.substring(1, text.length() - 2).stripTrailing();
    }

    private <T extends Record> T parse(String text, Class<T> type) throws ProblemException {
        try {
            return Json.read(text, type);
        } catch (JsonException e) {
            throw new ProblemException(
                    local(
                                    ExitCode.FAILED,
                                    "the daemon's answer is not understood: " + e.getMessage())
                            .withEvidence(
                                    "the command and the daemon are of different versions, perhaps")
                            .withNext(startCommand));
        }
    }

    private ProblemException away(String evidence) {
        return new ProblemException(
                local(ExitCode.DAEMON_AWAY, "no daemon answers here")
                        .withEvidence(
                                evidence == null ? "no reason given" : evidence,
                                "its socket would be " + socket)
                        .withNext(startCommand));
    }

    /// A problem that this end found; the host is then simply this one.
    private static Problem local(ExitCode code, String cause) {
        return Problem.of(code, "this host", cause);
    }
}
