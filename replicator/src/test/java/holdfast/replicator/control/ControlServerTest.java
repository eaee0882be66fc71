package holdfast.replicator.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import holdfast.replicator.status.Samples;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

@Timeout(60)
class ControlServerTest {
    @TempDir Path directory;

    private final FakeDaemon daemon = new FakeDaemon();
    private final List<Audit.Entry> audited = new ArrayList<>();
    private ControlServer server;
    private ControlClient client;

    @BeforeEach
    void open() throws IOException {
        server =
                ControlServer.open(
                        directory.resolve("run"),
                        "server",
                        daemon,
                        audited::add,
                        Duration.ofMillis(700));
        client = new ControlClient(directory.resolve("run"), "holdfast daemon --detach");
    }

    @AfterEach
    void close() throws IOException {
        server.close();
    }

    @Test
    void theClientSeesTheReportOfTheDaemon() throws Exception {
        assertEquals(daemon.status(), client.status());
    }

    @Test
    void onlyTheOwnerComesNear() throws Exception {
        Path run = directory.resolve("run");
        assertEquals(
                "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(run)));
        assertEquals(
                "rw-------",
                PosixFilePermissions.toString(
                        Files.getPosixFilePermissions(run.resolve("control.sock"))));
    }

    @Test
    void aRefusalArrivesWhole() {
        var refused =
                assertThrows(
                        ProblemException.class,
                        () ->
                                client.add(
                                        new ControlApi.AddRequest(
                                                "home",
                                                "/dev/vg0/home",
                                                Optional.empty(),
                                                Optional.empty(),
                                                Optional.empty(),
                                                false)));
        assertEquals(
                """
                server (Primary): /dev/vg0/home is in use, nothing changed
                  seen: mounted at /home
                  next: umount /home
                """,
                refused.problem().text());
        assertEquals(3, refused.problem().exitCode());
    }

    @Test
    void changesAreAuditedWithTheUserAndReadsAreNot() throws Exception {
        client.status();
        client.join(new ControlApi.JoinRequest("hf1:secret"));
        assertThrows(
                ProblemException.class, () -> client.attach(new ControlApi.NameRequest("home")));
        assertEquals(2, audited.size());
        assertEquals(System.getProperty("user.name"), audited.get(0).user());
        assertEquals("join", audited.get(0).verb());
        assertEquals("", audited.get(0).target());
        assertEquals(1, audited.get(1).exitCode());
        assertEquals("home", audited.get(1).target());
    }

    @Test
    void theAuditFileIsPrivateAndHoldsOneObjectInALine() throws Exception {
        Path file = directory.resolve("audit.log");
        Audit audit = Audit.to(file);
        audit.record(new Audit.Entry(Samples.NOW, "root", "remove", "home", 0));
        audit.record(new Audit.Entry(Samples.NOW, "root", "join", "", 3));
        assertEquals(
                "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
        assertEquals(
                List.of(
                        "{\"time\":\"2026-11-20T12:03:21Z\",\"user\":\"root\",\"verb\":\"remove\",\"target\":\"home\",\"exitCode\":0}",
                        "{\"time\":\"2026-11-20T12:03:21Z\",\"user\":\"root\",\"verb\":\"join\",\"target\":\"\",\"exitCode\":3}"),
                Files.readAllLines(file));
    }

    @Test
    void aBugInTheDaemonIsAnAnswerAndNotTheEnd() throws Exception {
        var failed =
                assertThrows(
                        ProblemException.class,
                        () -> client.attach(new ControlApi.NameRequest("home")));
        assertEquals(1, failed.problem().exitCode());
        assertEquals("server", client.status().node().name());
    }

    @Test
    void eventsAreFollowedAsTheyHappen() throws Exception {
        daemon.events.append(Optional.empty(), "link-up", "backup is connected.");
        var seen = new ArrayBlockingQueue<ControlApi.Event>(4);
        Thread follower =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    try {
                                        client.events(
                                                new ControlApi.EventsRequest(0, true), seen::add);
                                    } catch (ProblemException _) {
                                        // The server is closed at the end of the test.
                                    }
                                });
        assertEquals("link-up", seen.poll(10, TimeUnit.SECONDS).kind());
        daemon.events.append(Optional.of("home"), "attached", "home is attached.");
        ControlApi.Event second = seen.poll(10, TimeUnit.SECONDS);
        assertEquals(2, second.number());
        assertEquals(Optional.of("home"), second.resource());
        server.close();
        follower.join();
    }

    @Test
    void eventsWithoutFollowEnd() throws Exception {
        for (int i = 0; i < 5000; i++) {
            daemon.events.append(Optional.empty(), "tick", "tick " + i);
        }
        var seen = new ArrayList<ControlApi.Event>();
        client.events(new ControlApi.EventsRequest(4990, false), seen::add);
        assertEquals(10, seen.size());
        seen.clear();
        client.events(new ControlApi.EventsRequest(0, false), seen::add);
        assertEquals(4096, seen.size());
    }

    @Test
    void waitEndsWhenTheCopyHasWhatWasThereAtItsBegin() throws Exception {
        daemon.resource =
                Samples.resource("home", "PRIMARY")
                        .positions("3fa901/100", "3fa901/90", "3fa901/90")
                        .behind(10, 40960, 3)
                        .build();
        var states = new ArrayList<ControlApi.WaitStatus>();
        ControlApi.WaitStatus end =
                client.waitFor(
                        new ControlApi.WaitRequest("home", false, Optional.of(30.0)),
                        status -> {
                            states.add(status);
                            // Later writes do not prolong it.
                            daemon.resource =
                                    Samples.resource("home", "PRIMARY")
                                            .positions("3fa901/900", "3fa901/100", "3fa901/100")
                                            .build();
                        });
        assertEquals(ControlApi.WaitState.DONE, end.state());
        assertEquals("3fa901/100", end.target());
        assertEquals(ControlApi.WaitState.WAITING, states.getFirst().state());
    }

    @Test
    void waitTimesOut() throws Exception {
        daemon.resource =
                Samples.resource("home", "PRIMARY")
                        .noCopy()
                        .positions("3fa901/100", "none", "none")
                        .build();
        var end =
                client.waitFor(
                        new ControlApi.WaitRequest("home", false, Optional.of(0.3)), _ -> {});
        assertEquals(ControlApi.WaitState.TIMED_OUT, end.state());
    }

    @Test
    void whatIsJustBeingOpenedIsWaitedFor() throws Exception {
        daemon.unopened = Optional.of(Samples.opening("home"));
        var request = new ControlApi.WaitRequest("home", false, Optional.of(0.3));
        ControlApi.WaitStatus late = client.waitFor(request, _ -> {});
        assertEquals(ControlApi.WaitState.TIMED_OUT, late.state());
        assertTrue(late.sentence().contains("it is being opened"), late.sentence());
        ControlApi.WaitStatus end =
                client.waitFor(
                        new ControlApi.WaitRequest("home", false, Optional.of(60.0)),
                        _ -> daemon.unopened = Optional.empty());
        assertEquals(ControlApi.WaitState.DONE, end.state());
        assertEquals("3fa901/1234", end.target());
    }

    @Test
    void whatCannotBeOpenedIsNotWaitedFor() {
        daemon.unopened = Optional.of(Samples.unopened("home"));
        var refused =
                assertThrows(
                        ProblemException.class,
                        () ->
                                client.waitFor(
                                        new ControlApi.WaitRequest("home", false, Optional.empty()),
                                        _ -> {}));
        assertEquals("home is not open", refused.problem().cause());
        assertEquals(Optional.of("holdfast connect home"), refused.problem().next());
    }

    @Test
    void waitForAnUnknownResourceIsRefused() {
        var refused =
                assertThrows(
                        ProblemException.class,
                        () ->
                                client.waitFor(
                                        new ControlApi.WaitRequest("hom", false, Optional.empty()),
                                        _ -> {}));
        assertEquals("there is no resource hom", refused.problem().cause());
        assertEquals(List.of("it has home"), refused.problem().evidence());
    }

    @Test
    void withoutADaemonTheCommandToStartItIsNamed() throws Exception {
        server.close();
        var away = assertThrows(ProblemException.class, () -> client.status());
        assertEquals(4, away.problem().exitCode());
        assertEquals(Optional.of("holdfast daemon --detach"), away.problem().next());
    }

    @Test
    void aSecondDaemonIsTurnedAwayAndADeadOnesSocketIsReplaced() throws Exception {
        var e =
                assertThrows(
                        IOException.class,
                        () ->
                                ControlServer.open(
                                        directory.resolve("run"), "server", daemon, audited::add));
        assertTrue(e.getMessage().contains("another daemon runs in"), e.getMessage());
        server.close();
        Files.createFile(directory.resolve("run/control.sock"));
        server = ControlServer.open(directory.resolve("run"), "server", daemon, audited::add);
        assertEquals("server", client.status().node().name());
    }

    @Test
    void aPathTooLongForASocketIsExplained() {
        Path deep = directory.resolve("x".repeat(100));
        var e =
                assertThrows(
                        IOException.class,
                        () -> ControlServer.open(deep, "server", daemon, audited::add));
        assertTrue(e.getMessage().contains("shorter --root"), e.getMessage());
    }

    @Test
    void hostileRequestsGetTheirAnswerAndHarmNobody() throws Exception {
        String get = "GET /v1/status HTTP/1.1\r\nHost: x\r\n";
        assertEquals(400, statusOf("\r\n\r\n"));
        assertEquals(400, statusOf("GET /v1/status\r\n\r\n"));
        assertEquals(505, statusOf("GET /v1/status HTTP/1.0\r\nHost: x\r\n\r\n"));
        assertEquals(400, statusOf("GET /v1/status HTTP/1.1\r\n\r\n"));
        assertEquals(400, statusOf("GET /v1/status HTTP/1.1\nHost: x\n\n"));
        assertEquals(400, statusOf(get + " folded: x\r\n\r\n"));
        assertEquals(400, statusOf(get + "Host: y\r\n\r\n"));
        assertEquals(400, statusOf(get + "X: \u0001\r\n\r\n"));
        assertEquals(431, statusOf(get + "X: " + "a".repeat(3000) + "\r\n\r\n"));
        assertEquals(431, statusOf(get + fields(10, 1900) + "\r\n"));
        assertEquals(431, statusOf(get + fields(40, 10) + "\r\n"));
        assertEquals(405, statusOf("PUT /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"));
        assertEquals(405, statusOf("POST /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"));
        assertEquals(405, statusOf("GET /v1/remove HTTP/1.1\r\nHost: x\r\n\r\n"));
        assertEquals(404, statusOf("GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"));
        assertEquals(404, statusOf("GET /v1/../v1/status HTTP/1.1\r\nHost: x\r\n\r\n"));
        assertEquals(400, statusOf("GET /v1/events?since=-1 HTTP/1.1\r\nHost: x\r\n\r\n"));
        assertEquals(501, statusOf(detach("Transfer-Encoding: chunked")));
        assertEquals(413, statusOf(post(99_999_999, "")));
        assertEquals(413, statusOf(detach("Content-Length: 99999999999999")));
        assertEquals(400, statusOf(detach("Content-Length: +1")));
        assertEquals(400, statusOf(post(2, "{]")));
        assertEquals(400, statusOf(post("{\"name\":\"home\",\"force\":true}")));
        assertEquals(400, statusOf(post("{\"name\":\"home\",\"name\":\"other\"}")));
        assertEquals(400, statusOf(post("{\"name\":7}")));
        assertEquals(400, statusOf(post("{}")));
        assertEquals(400, statusOf(post("{\"name\":\"home\"} x")));
        assertEquals(400, statusOf(post("[".repeat(5000))));
        assertEquals(200, statusOf(post("{\"name\":\"home\"}")));
        assertEquals(200, statusOf(get + "\r\n"));
        assertTrue(
                daemon.asked.stream().allMatch(new ControlApi.NameRequest("home")::equals),
                "" + daemon.asked);
    }

    @Test
    void aClientThatSendsNothingIsDropped() throws Exception {
        long start = System.nanoTime();
        assertEquals("", exchange("GET /v1/sta"));
        assertTrue(System.nanoTime() - start < Duration.ofSeconds(10).toNanos());
        assertEquals("", exchange(post(50, "{\"name\":")));
        assertEquals(200, statusOf("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"));
    }

    @Test
    void clientsBeyondTheLimitAreTurnedAwayUntilOthersAreGone() throws Exception {
        List<SocketChannel> idle = new ArrayList<>();
        for (int i = 0; i < 64; i++) {
            idle.add(connect());
        }
        assertEquals("", exchange("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"));
        for (SocketChannel channel : idle) {
            channel.close();
        }
        // The places are given back as the handlers notice; each try is answered one way or the
        // other.
        while (exchange("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").isEmpty()) {
            LockSupport.parkNanos(1_000_000);
        }
    }

    @Test
    void aFloodIsSlowedDown() throws Exception {
        boolean refused = false;
        for (int i = 0; i < 3000 && !refused; i++) {
            refused = statusOf("GET /v1/peers HTTP/1.1\r\nHost: x\r\n\r\n") == 429;
        }
        assertTrue(refused);
    }

    @Test
    void anotherUserIsTurnedAway() throws Exception {
        assumeTrue(
                System.getProperty("user.name").equals("root"),
                "only root can become someone else");
        // Opened up on purpose, to see the second door behind the first.
        Path run = directory.resolve("run");
        for (Path path = run; path != null; path = path.getParent()) {
            if (path.startsWith(directory)) {
                Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwxr-xr-x"));
            }
        }
        Files.setPosixFilePermissions(
                run.resolve("control.sock"), PosixFilePermissions.fromString("rw-rw-rw-"));
        Process python =
                new ProcessBuilder(
                                "python3",
                                "-c",
                                """
                                import os, socket, sys
                                os.setgid(65534); os.setuid(65534)
                                s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
                                try:
                                    s.sendall(b"GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
                                except BrokenPipeError:
                                    pass  # turned away before it asked; the answer is there
                                print(s.recv(4096).decode())
                                """,
                                run.resolve("control.sock").toString())
                        .redirectErrorStream(true)
                        .start();
        String answer = new String(python.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(answer.startsWith("HTTP/1.1 403 "), answer);
        assertTrue(answer.contains("may not use this socket"), answer);
    }

    @Test
    void curlWorks() throws Exception {
        Process curl =
                new ProcessBuilder(
                                "curl",
                                "-sS",
                                "--unix-socket",
                                directory.resolve("run/control.sock").toString(),
                                "http://holdfast/v1/detach",
                                "-d",
                                "{\"name\": \"home\"}")
                        .redirectErrorStream(true)
                        .start();
        String answer = new String(curl.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals("{\"lines\":[\"home is detached\"]}\n", answer);
        assertFalse(daemon.asked.isEmpty());
    }

    private static String detach(String field) {
        return "POST /v1/detach HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n".formatted(field);
    }

    private static String fields(int count, int length) {
        var out = new StringBuilder();
        for (int i = 0; i < count; i++) {
            out.append("X").append(i).append(": ").repeat("c", length).append("\r\n");
        }
        return out.toString();
    }

    private static String post(String body) {
        return post(body.length(), body);
    }

    private static String post(int length, String body) {
        return "POST /v1/detach HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                .formatted(length, body);
    }

    private int statusOf(String request) throws IOException {
        String answer = exchange(request);
        assertTrue(answer.startsWith("HTTP/1.1 "), () -> "to " + request + " came " + answer);
        return Integer.parseInt(answer.substring(9, 12));
    }

    private SocketChannel connect() throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(directory.resolve("run/control.sock")));
        return channel;
    }

    /// All that comes until the server closes; empty also when it resets, as it may when it did not
    /// read all.
    private String exchange(String request) throws IOException {
        try (SocketChannel channel = connect()) {
            try {
                channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.ISO_8859_1)));
            } catch (IOException _) {
                // It answered and closed before it had read everything.
            }
            ByteBuffer in = ByteBuffer.allocate(64 << 10);
            try {
                while (channel.read(in) >= 0) {
                    assertTrue(in.hasRemaining());
                }
            } catch (IOException _) {
                // Reset after the answer.
            }
            return new String(in.array(), 0, in.position(), StandardCharsets.UTF_8);
        }
    }
}
