package holdfast.replicator.status;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.json.Json;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

@Timeout(60)
class StatusPageTest {
    private final StatusReport report =
            StatusReport.of(
                    Samples.node("server"),
                    Optional.of(Samples.link("backup", "CONNECTED", 1)),
                    List.of(
                            Samples.resource("home", "PRIMARY").behind(203, 812 << 10, 14).build(),
                            Samples.resource("mail", "SECONDARY")
                                    .noCopy()
                                    .drill(false, 42, "fsck: it is damaged")
                                    .verify(3, "", false)
                                    .build()),
                    List.of(Samples.unopened("music")),
                    List.of(),
                    ZoneOffset.UTC);
    private StatusPage page;

    @BeforeEach
    void open() throws IOException {
        page =
                StatusPage.open(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
                        () -> report,
                        ZoneOffset.UTC);
    }

    @AfterEach
    void close() {
        page.close();
    }

    @Test
    void theReplicatedUntilTimeIsAMomentAndNotALag() throws Exception {
        String metrics = body(get("/metrics", "localhost"));
        long until = Samples.NOW.getEpochSecond() - 14;
        assertTrue(
                metrics.contains(
                        "\nholdfast_replicated_until_timestamp_seconds{resource=\"home\"} "
                                + until
                                + "\n"),
                metrics);
        assertFalse(
                metrics.contains("holdfast_replicated_until_timestamp_seconds{resource=\"mail\"}"),
                "what is not known has no line");
        assertTrue(
                metrics.contains(
                        "\nholdfast_disk_state{resource=\"home\",state=\"UP_TO_DATE\"} 1\n"),
                metrics);
        assertTrue(
                metrics.contains("\nholdfast_behind_bytes{resource=\"home\"} 831488\n"), metrics);
    }

    @Test
    void whatAllOfTheRetentionNeedsIsForecast() throws Exception {
        String text = body(get("/", "localhost"));
        assertTrue(
                text.contains("\n               at this rate 24 h need 31 GiB; 40 GiB are set\n"),
                text);
        String metrics = body(get("/metrics", "localhost"));
        assertTrue(
                metrics.contains(
                        "\nholdfast_journal_needed_bytes{resource=\"home\"} " + (31L << 30) + "\n"),
                metrics);
        StatusReport.Journal journal = report.resources().getFirst().journal().orElseThrow();
        assertFalse(journal.isTooSmall());
        assertTrue(filled(30L << 30).isTooSmall());
        assertFalse(filled(10L << 30).isTooSmall(), "nothing has gone yet");
    }

    private static StatusReport.Journal filled(long usedBytes) {
        return new StatusReport.Journal(
                "/j",
                usedBytes,
                40L << 30,
                Optional.empty(),
                0,
                86_400,
                Optional.of((40L << 30) + 1),
                0);
    }

    /// Only the primary knows what it has written: a backup that says 0 hides that it is gone.
    @Test
    void whatTheCopyLacksAndHowTheServerAnswersIsNotSaidAtTheBackup() throws Exception {
        String metrics = body(get("/metrics", "localhost"));
        assertFalse(metrics.contains("holdfast_behind_bytes{resource=\"mail\"}"), metrics);
        assertFalse(metrics.contains("holdfast_behind_operations{resource=\"mail\"}"), metrics);
        String text = body(get("/", "localhost"));
        String mail = text.substring(text.indexOf("\nmail  "));
        assertTrue(mail.contains("behind       not known here, see status at server"), mail);
        assertTrue(mail.contains("replication  Established\n"), mail);
        String home = text.substring(text.indexOf("\nhome  "), text.indexOf("\nmail  "));
        assertTrue(home.contains("behind       203 operations, 812 KiB"), home);
        assertTrue(home.contains("replication  Established, protocol A\n"), home);
    }

    @Test
    void theLastDrillIsAMomentToo() throws Exception {
        String metrics = body(get("/metrics", "localhost"));
        long began = Samples.NOW.getEpochSecond() - 3 * 86_400;
        for (String line :
                List.of(
                        "holdfast_drill_timestamp_seconds{resource=\"mail\"} " + began,
                        "holdfast_drill_passed_timestamp_seconds{resource=\"mail\"} "
                                + (began - 86_400),
                        "holdfast_drill_passed{resource=\"mail\"} 0",
                        "holdfast_drill_duration_seconds{resource=\"mail\"} 42")) {
            assertTrue(metrics.contains("\n" + line + "\n"), line + " in " + metrics);
        }
        assertFalse(metrics.contains("holdfast_drill_passed{resource=\"home\"}"), metrics);
        String text = body(get("/", "localhost"));
        assertTrue(text.contains("last drill   3 days ago: failed: fsck: it is damaged"), text);
    }

    @Test
    void theLastVerificationIsAMomentToo() throws Exception {
        String metrics = body(get("/metrics", "localhost"));
        for (String line :
                List.of(
                        "holdfast_verify_timestamp_seconds{resource=\"mail\"} "
                                + (Samples.NOW.getEpochSecond() - 3 * 86_400),
                        "holdfast_verify_differing_blocks{resource=\"mail\"} 3")) {
            assertTrue(metrics.contains("\n" + line + "\n"), line + " in " + metrics);
        }
        assertFalse(
                metrics.contains("holdfast_verify_differing_blocks{resource=\"home\"}"), metrics);
        String text = body(get("/", "localhost"));
        assertTrue(text.contains("last verify  3 days ago: 3 blocks differ"), text);
    }

    @Test
    void whatCouldNotBeOpenedIsInTextAndMetrics() throws Exception {
        String metrics = body(get("/metrics", "localhost"));
        assertTrue(metrics.contains("\nholdfast_resource_open{resource=\"home\"} 1\n"), metrics);
        assertTrue(metrics.contains("\nholdfast_resource_open{resource=\"music\"} 0\n"), metrics);
        String text = body(get("/", "localhost"));
        assertTrue(text.contains("music  not opened  /srv/music.img"), text);
        assertTrue(text.contains("holdfast connect music"), text);
    }

    @Test
    void everyLineOfTheMetricsIsInTheFormat() throws Exception {
        Pattern sample =
                Pattern.compile("[a-z_]+(\\{[a-z]+=\"[^\"]*\"(,[a-z]+=\"[^\"]*\")*\\})? -?[0-9.]+");
        List<String> helped = new ArrayList<>();
        for (String line : body(get("/metrics", "localhost")).split("\n")) {
            if (line.startsWith("# HELP ")) {
                String name = line.split(" ")[2];
                assertFalse(helped.contains(name), name + " twice");
                helped.add(name);
            } else if (!line.startsWith("# TYPE ")) {
                assertTrue(sample.matcher(line).matches(), line);
                assertEquals(helped.getLast(), line.split("[ {]")[0]);
            }
        }
        assertTrue(helped.size() > 20);
    }

    @Test
    void theReportIsThereAsJsonAndAsText() throws Exception {
        assertEquals(
                report, Json.read(body(get("/status.json", "127.0.0.1:1")), StatusReport.class));
        assertTrue(
                body(get("/", "[::1]:80"))
                        .startsWith(
                                "If this server vanished now you would lose 14 s (812 KiB) of home."));
    }

    @Test
    void anythingButReadingIsRefused() throws Exception {
        for (String method : List.of("POST", "PUT", "DELETE", "OPTIONS", "PATCH")) {
            String answer =
                    exchange(
                            method
                                    + " /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assertTrue(answer.startsWith("HTTP/1.1 405 "), answer);
        }
        String head =
                exchange("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assertTrue(head.startsWith("HTTP/1.1 200 "), head);
        assertEquals("", body(head));
        assertTrue(get("/etc", "localhost").startsWith("HTTP/1.1 404 "));
    }

    @Test
    void anotherHostNameIsRefused() throws Exception {
        for (String host :
                List.of(
                        "evil.example",
                        "localhost.evil.example",
                        "127.0.0.1.evil.example:80",
                        "10.0.0.1")) {
            assertTrue(get("/", host).startsWith("HTTP/1.1 403 "), host);
        }
    }

    @Test
    void browsersAreKeptFromGuessing() throws Exception {
        String answer = get("/", "localhost");
        assertTrue(answer.contains("X-content-type-options: nosniff"), answer);
        assertTrue(answer.contains("Content-security-policy: default-src 'self'"), answer);
        assertFalse(answer.contains("Access-control"), answer);
    }

    @Test
    void aHeaderThatIsTooLongIsRefused() throws Exception {
        String answer =
                exchange(
                        "GET / HTTP/1.1\r\nHost: localhost\r\nX: "
                                + "a".repeat(20_000)
                                + "\r\n\r\n");
        assertFalse(answer.startsWith("HTTP/1.1 200"), answer);
    }

    @Test
    void onlyLoopbackIsListenedOn() {
        assertThrows(
                IllegalArgumentException.class,
                () ->
                        StatusPage.open(
                                new InetSocketAddress("0.0.0.0", 0), () -> report, ZoneOffset.UTC));
    }

    @Test
    void allLimitsOfTheServerAreSet() {
        for (String key :
                List.of(
                        "jdk.httpserver.maxConnections",
                        "sun.net.httpserver.maxIdleConnections",
                        "sun.net.httpserver.maxReqHeaderSize",
                        "sun.net.httpserver.maxReqTime",
                        "sun.net.httpserver.maxRspTime")) {
            assertTrue(Integer.getInteger(key, -1) > 0, key);
        }
    }

    private String get(String path, String host) throws IOException {
        return exchange(
                "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n".formatted(path, host));
    }

    private static String body(String answer) {
        return answer.substring(answer.indexOf("\r\n\r\n") + 4);
    }

    private String exchange(String request) throws IOException {
        try (Socket socket = new Socket(page.address().getAddress(), page.address().getPort())) {
            socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
            try {
                return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            } catch (IOException e) {
                return "reset: " + e;
            }
        }
    }
}
