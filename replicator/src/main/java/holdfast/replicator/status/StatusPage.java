package holdfast.replicator.status;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;

import holdfast.replicator.json.Json;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.ZoneId;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.function.Supplier;

/// The report over HTTP on a loopback address: `/metrics` for Prometheus, `/` as text,
/// `/status.json`. It reads and never changes anything.
///
/// The JDK's server has no limits unless told; the five it knows are system properties that it
/// reads once, when its first class is loaded, so they are set here before that. The `Host` of a
/// request must be a loopback name, or a web page elsewhere could read the report through the
/// operator's browser (DNS rebinding).
public final class StatusPage implements AutoCloseable {
    private static final Set<String> HOSTS = Set.of("localhost", "127.0.0.1", "[::1]");

    /// Requests that are answered at once; more wait. A report costs a few milliseconds.
    private static final int MAX_ACTIVE = 4;

    static {
        limit("jdk.httpserver.maxConnections", "64");
        limit("sun.net.httpserver.maxIdleConnections", "16");
        limit("sun.net.httpserver.maxReqHeaderSize", "8192");
        // Seconds, whatever the module's documentation says: ServerImpl multiplies both by 1000.
        limit("sun.net.httpserver.maxReqTime", "10");
        limit("sun.net.httpserver.maxRspTime", "30");
        // Otherwise each answer waits for a delayed acknowledgement.
        limit("sun.net.httpserver.nodelay", "true");
    }

    private final HttpServer server;
    private final ExecutorService executor;
    private final Semaphore active = new Semaphore(MAX_ACTIVE);
    private final Supplier<StatusReport> reports;
    private final ZoneId zone;

    private StatusPage(HttpServer server, Supplier<StatusReport> reports, ZoneId zone) {
        this.server = server;
        this.reports = reports;
        this.zone = zone;
        this.executor =
                Executors.newThreadPerTaskExecutor(
                        Thread.ofVirtual().name("status-page-", 0).factory());
    }

    /// @param address a loopback address; port 0 takes a free one
    /// @param reports asked on each request, from several threads
    /// @throws IllegalArgumentException if the address can be reached from elsewhere
    public static StatusPage open(
            InetSocketAddress address, Supplier<StatusReport> reports, ZoneId zone)
            throws IOException {
        InetAddress host = address.getAddress();
        if (host == null || !host.isLoopbackAddress()) {
            throw new IllegalArgumentException(
                    "the status page listens on a loopback address only, not on " + address);
        }
        HttpServer server = HttpServer.create(address, 16);
        var page = new StatusPage(server, reports, zone);
        server.setExecutor(page.executor);
        server.createContext("/", page::handle);
        server.start();
        return page;
    }

    public InetSocketAddress address() {
        return server.getAddress();
    }

    @Override
    public void close() {
        server.stop(0);
        executor.shutdownNow();
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            if (!active.tryAcquire()) {
                answer(exchange, 503, "text/plain; charset=utf-8", "too many requests at once\n");
                return;
            }
            try {
                route(exchange);
            } finally {
                active.release();
            }
        }
    }

    private void route(HttpExchange exchange) throws IOException {
        String plain = "text/plain; charset=utf-8";
        String method = exchange.getRequestMethod();
        if (!method.equals("GET") && !method.equals("HEAD")) {
            exchange.getResponseHeaders().set("Allow", "GET, HEAD");
            answer(exchange, 405, plain, "only GET and HEAD\n");
            return;
        }
        if (!isLocal(exchange.getRequestHeaders().getFirst("Host"))) {
            answer(exchange, 403, plain, "the Host of the request is not a loopback name\n");
            return;
        }
        URI uri = exchange.getRequestURI();
        switch (uri.getPath()) {
            case "/metrics" ->
                    answer(exchange, 200, Exposition.CONTENT_TYPE, Exposition.of(reports.get()));
            case "/status.json" ->
                    answer(exchange, 200, "application/json", Json.writePretty(reports.get()));
            case "/" -> answer(exchange, 200, plain, StatusTable.of(reports.get(), zone));
            default -> answer(exchange, 404, plain, "here are /, /metrics and /status.json\n");
        }
    }

    private static boolean isLocal(String host) {
        if (host == null) {
            return false;
        }
        int colon = host.lastIndexOf(':');
        boolean hasPort = colon > host.lastIndexOf(']');
        String name = hasPort ? host.substring(0, colon) : host;
        return HOSTS.contains(name.toLowerCase(Locale.ROOT));
    }

    private static void answer(HttpExchange exchange, int status, String type, String text)
            throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        var headers = exchange.getResponseHeaders();
        headers.set("Content-Type", type);
        headers.set("X-Content-Type-Options", "nosniff");
        headers.set("Content-Security-Policy", "default-src 'self'");
        headers.set("Cache-Control", "no-store");
        boolean isHead = exchange.getRequestMethod().equals("HEAD");
        if (isHead) {
            headers.set("Content-Length", Integer.toString(body.length));
        }
        exchange.sendResponseHeaders(status, isHead ? -1 : body.length);
        if (!isHead) {
            exchange.getResponseBody().write(body);
        }
    }

    private static void limit(String key, String value) {
        if (System.getProperty(key) == null) {
            System.setProperty(key, value);
        }
    }
}
