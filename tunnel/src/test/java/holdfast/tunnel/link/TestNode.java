package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.UnaryOperator;

/// A node on the loopback interface that writes down what its handler is told.
final class TestNode implements AutoCloseable, Peers, LinkHandler {
    /// More than any of these tests need, on a machine that is busy with other things.
    static final long PATIENCE_SECONDS = 20;

    final String name;
    final Identity identity;
    final Map<Pin, String> peers = new ConcurrentHashMap<>();
    final BlockingQueue<LinkSession> connected = new LinkedBlockingQueue<>();
    final BlockingQueue<String> disconnected = new LinkedBlockingQueue<>();
    final BlockingQueue<LinkSession> usedTwice = new LinkedBlockingQueue<>();
    final BlockingQueue<Received> received = new LinkedBlockingQueue<>();
    final LinkEndpoint endpoint;

    /// Instead of writing down, when set.
    volatile Reader reader;

    interface Reader {
        void received(LinkSession session, int stream, Frame frame);
    }

    record Received(LinkSession session, int stream, Frame frame) {}

    /// Short back-off, so that a test of reconnecting takes no seconds.
    static LinkSettings quick() {
        return LinkSettings.DEFAULT.withBackoff(Duration.ofMillis(10), Duration.ofMillis(100));
    }

    TestNode(String name) {
        this(name, Identity.generate(), b -> b.settings(quick()));
    }

    TestNode(String name, Identity identity, UnaryOperator<LinkEndpoint.Builder> more) {
        this.name = name;
        this.identity = identity;
        this.endpoint =
                more.apply(LinkEndpoint.builder(identity, name, this, this).random(new Random(1)))
                        .build();
    }

    void trusts(TestNode other) {
        peers.put(other.identity.pin(), other.name);
    }

    static void pair(TestNode a, TestNode b) {
        a.trusts(b);
        b.trusts(a);
    }

    HostPort listen() throws Exception {
        InetSocketAddress bound =
                endpoint.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        return new HostPort("127.0.0.1", bound.getPort());
    }

    LinkSession awaitConnected() throws InterruptedException {
        LinkSession session = connected.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertNotNull(session, name + " was not connected: " + endpoint.counters().all());
        return session;
    }

    String awaitDisconnected() throws InterruptedException {
        String reason = disconnected.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertNotNull(reason, name + " was not disconnected");
        return reason;
    }

    Received awaitReceived() throws InterruptedException {
        Received one = received.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertNotNull(one, name + " received nothing");
        return one;
    }

    void awaitCount(Counters.Event event, long atLeast) throws InterruptedException {
        await(
                () -> endpoint.counters().get(event) >= atLeast,
                event + " " + endpoint.counters().all());
    }

    static void await(BooleanSupplier condition, String what) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        boolean holds = condition.getAsBoolean();
        while (!holds && System.nanoTime() < deadline) {
            Thread.sleep(5);
            holds = condition.getAsBoolean();
        }
        assertTrue(holds, what);
    }

    @Override
    public Optional<String> find(Pin pin) {
        return Optional.ofNullable(peers.get(pin));
    }

    @Override
    public void connected(LinkSession session) {
        connected.add(session);
    }

    @Override
    public void disconnected(LinkSession session, String reason) {
        disconnected.add(reason);
    }

    @Override
    public void usedTwice(LinkSession session, String source) {
        usedTwice.add(session);
    }

    @Override
    public void received(LinkSession session, int stream, Frame frame) {
        Reader other = reader;
        if (other != null) {
            other.received(session, stream, frame);
        } else {
            received.add(new Received(session, stream, frame));
        }
    }

    @Override
    public void close() {
        endpoint.close();
    }
}
