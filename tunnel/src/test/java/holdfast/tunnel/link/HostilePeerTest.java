package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.luben.zstd.EndDirective;
import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;

import holdfast.tunnel.link.Counters.Event;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Packet;
import holdfast.tunnel.wire.Packet.Encoding;
import holdfast.tunnel.wire.PacketAssembler;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;

import javax.net.ssl.SSLSocket;

/// A node against clients that do not keep to the protocol: strangers, and a peer gone bad.
class HostilePeerTest {
    private final Identity bad = Identity.generate();
    private final UUID badNode = UUID.randomUUID();
    private TestNode node;
    private HostPort address;

    @BeforeEach
    void open() throws Exception {
        open(LinkSettings.DEFAULT);
    }

    private void open(LinkSettings settings) throws Exception {
        node = new TestNode("node", Identity.generate(), b -> b.settings(settings));
        node.peers.put(bad.pin(), "bad");
        address = node.listen();
    }

    @AfterEach
    void close() {
        node.close();
    }

    // ---- strangers
    // -------------------------------------------------------------------------------------------------

    @Test
    void garbageInsteadOfTlsIsHungUpOn() throws Exception {
        var random = new Random(1);
        for (int i = 0; i < 20; i++) {
            try (var socket = plain()) {
                byte[] garbage = new byte[1 + random.nextInt(3000)];
                random.nextBytes(garbage);
                garbage[0] = 'G';
                socket.getOutputStream().write(garbage);
                socket.getOutputStream().write(new byte[100]);
                assertClosed(socket);
            } catch (IOException reset) {
                continue;
            }
        }
        node.awaitCount(Event.HANDSHAKE_FAILED, 20);
        assertStillWorks();
    }

    @Test
    void whoSaysNothingIsHungUpOnInTime() throws Exception {
        close();
        open(LinkSettings.DEFAULT.withAuthentication(Duration.ofMillis(300)));
        try (var silent = plain();
                var slow = plain()) {
            // The beginning of a right record: the deadline does not move with each byte.
            for (byte one : new byte[] {22, 3, 1, 1, 0}) {
                slow.getOutputStream().write(one);
            }
            assertClosed(silent);
            assertClosed(slow);
        }
        assertStillWorks();
    }

    @Test
    void aFloodFromOneAddressIsCappedAndOthersGetIn() throws Exception {
        var flood = new ArrayList<Socket>();
        try {
            for (int i = 0; i < 40; i++) {
                flood.add(plain());
            }
            node.awaitCount(Event.FLOOD_REFUSED, 40 - LinkEndpoint.MAX_PENDING_PER_SOURCE);
            try (var other =
                    new Socket(
                            InetAddress.getLoopbackAddress(),
                            address.port(),
                            InetAddress.getByAddress(new byte[] {127, 0, 0, 2}),
                            0)) {
                greet(new Client(tls(bad, other, Tls.LINK)));
                assertEquals("bad", node.awaitConnected().peer());
            }
            for (int host = 3; host < 20; host++) {
                for (int i = 0; i < LinkEndpoint.MAX_PENDING_PER_SOURCE; i++) {
                    flood.add(
                            new Socket(
                                    InetAddress.getLoopbackAddress(),
                                    address.port(),
                                    InetAddress.getByAddress(new byte[] {127, 0, 0, (byte) host}),
                                    0));
                }
            }
            node.awaitCount(Event.FLOOD_REFUSED, 36 + 17 * 4 + 4 - LinkEndpoint.MAX_PENDING);
        } finally {
            for (Socket socket : flood) {
                socket.close();
            }
        }
        assertStillWorks();
    }

    @Test
    void whoHoldsAnotherKeyThanItShowsOrNoneIsRefused() throws Exception {
        try (var client = new Client(tls(Identity.generate(), plain(), Tls.LINK))) {
            client.send(hello());
            client.assertClosed();
        }
        node.awaitCount(Event.KEY_REFUSED, 1);
        try (var socket = tls(bad, plain())) {
            socket.getOutputStream().write(new byte[100]);
            assertClosed(socket);
        } catch (IOException refused) {
            node.awaitCount(Event.HANDSHAKE_FAILED, 1);
        }
        node.awaitCount(Event.HANDSHAKE_FAILED, 1);
        assertThrows(
                IOException.class,
                () -> {
                    try (var socket = tls(bad, plain(), "http/1.1")) {
                        assertEquals(-1, socket.getInputStream().read());
                        throw new IOException("closed");
                    }
                });
        assertThrows(
                IOException.class,
                () -> {
                    try (var socket =
                            (SSLSocket)
                                    new Tls(bad)
                                            .context()
                                            .getSocketFactory()
                                            .createSocket(plain(), null, address.port(), true)) {
                        socket.setEnabledProtocols(new String[] {"TLSv1.2"});
                        socket.startHandshake();
                    }
                });
        assertTrue(node.connected.isEmpty());
    }

    /// A resumed session shows no certificate, so its client would not ask its trust manager again.
    @Test
    void aSessionIsNeverResumed() throws Exception {
        var asked = new AtomicInteger();
        var tls =
                new Tls(
                        bad,
                        new Tls.WellFormed() {
                            @Override
                            public void checkServerTrusted(
                                    X509Certificate[] chain, String authType, Socket socket)
                                    throws CertificateException {
                                asked.incrementAndGet();
                                super.checkServerTrusted(chain, authType, socket);
                            }
                        });
        for (int i = 1; i <= 3; i++) {
            try (var client = named(tls)) {
                greet(client);
                node.awaitConnected();
                assertEquals(i, asked.get());
            }
            node.awaitDisconnected();
        }
        node.peers.clear();
        try (var client = named(tls)) {
            client.send(hello());
            client.assertClosed();
        }
        node.awaitCount(Event.KEY_REFUSED, 1);
    }

    /// With a name and a port JSSE would find an earlier session in its cache.
    private Client named(Tls tls) throws IOException {
        var socket =
                (SSLSocket)
                        tls.context()
                                .getSocketFactory()
                                .createSocket(plain(), "peer.example", address.port(), true);
        socket.setSSLParameters(Tls.parameters(socket.getSSLParameters(), Tls.LINK));
        return new Client(socket);
    }

    // ---- a peer gone bad, before there is a session
    // ----------------------------------------------------------------

    @Test
    void aGreetingThatIsNoneEndsTheConnection() throws Exception {
        var ping = PacketCodec.encodeRaw(0, List.of(new Frame.Ping(1, 1)));
        var data = PacketCodec.encodeRaw(1, List.of(new Frame.Heartbeat(Position.NONE, 1)));
        var twice = PacketCodec.encodeRaw(0, List.of(hello(), hello()));
        var large = PacketCodec.encodeRaw(0, List.of(new Frame.Goodbye("x".repeat(2000))));
        var join = PacketCodec.encodeRaw(0, List.of(new Frame.Join(new byte[32], badNode, "x")));
        for (ByteBuffer bytes : List.of(ping, data, twice, large, join, ByteBuffer.allocate(28))) {
            try (var client = new Client(tls(bad, plain(), Tls.LINK))) {
                client.write(bytes);
                client.assertClosed();
            }
        }
        node.awaitCount(Event.PROTOCOL_ERROR, 6);
        assertTrue(node.connected.isEmpty());
    }

    @Test
    void aReplayedOrDowngradedHandshakeIsRefused() throws Exception {
        try (var client = new Client(tls(bad, plain(), Tls.LINK))) {
            var hello = (Frame.Hello) client.read();
            client.send(hello());
            client.send(new Frame.Welcome(1, 0, new byte[32]));
            assertTrue(client.goodbye().contains("another Hello"), hello.toString());
        }
        try (var client = new Client(tls(bad, plain(), Tls.LINK))) {
            var hello = (Frame.Hello) client.read();
            client.send(hello());
            client.send(new Frame.Welcome(1, 4, hello.nonce()));
            assertTrue(client.goodbye().contains("features"));
        }
        try (var client = new Client(tls(bad, plain(), Tls.LINK))) {
            client.read();
            client.send(new Frame.Hello(7, 9, 0, badNode, "bad", 1, new byte[32], 1));
            assertTrue(client.goodbye().contains("no common version"));
        }
    }

    // ---- a peer gone bad, within a session
    // -------------------------------------------------------------------------

    @Test
    void dataForAStreamWithoutCreditEndsTheSession() throws Exception {
        refused("granted no credit", client -> client.write(data(5, Encoding.RAW, payload(100))));
    }

    @Test
    void dataBeyondItsCreditEndsTheSession() throws Exception {
        refused(
                "beyond its credit",
                client -> {
                    for (int i = 0; i < 3; i++) {
                        client.write(data(1, Encoding.RAW, payload(600_000)));
                    }
                });
    }

    @Test
    void anythingThatIsNoPacketEndsTheSession() throws Exception {
        refused("not a packet", client -> client.write(ByteBuffer.allocate(28)));
        ByteBuffer flipped = data(1, Encoding.RAW, payload(100));
        flipped.put(100, (byte) (flipped.get(100) ^ 4));
        refused("checksum differs", client -> client.write(flipped));
        refused("Hello within a session", client -> client.send(hello()));
        refused(
                "never compressed",
                client -> {
                    byte[] zip = Zstd.compress(payload(100));
                    var header = new Packet.Header(Encoding.ZSTD_FRAME, 0, zip.length, 100, 0);
                    client.write(packet(header, zip));
                });
    }

    @Test
    void compressedPayloadsThatLieEndTheSession() throws Exception {
        byte[] raw = payload(1000);
        byte[] zip = Zstd.compress(raw);
        int crc = crc(raw);
        refused(
                "more than it says",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_FRAME, 1, zip.length, 500, crc),
                                        zip)));
        refused(
                "holds 1000 bytes",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_FRAME, 1, zip.length, 1001, crc),
                                        zip)));
        byte[] bomb = Zstd.compress(new byte[512 << 20]);
        refused(
                "more than it says",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_FRAME, 1, bomb.length, 1 << 20, 0),
                                        bomb)));
        byte[] two = Arrays.copyOf(zip, zip.length * 2);
        System.arraycopy(zip, 0, two, zip.length, zip.length);
        refused(
                "more than it says",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_FRAME, 1, two.length, 1000, crc),
                                        two)));
        byte[] trailing = Arrays.copyOf(zip, zip.length + 1);
        refused(
                "more than it says",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_FRAME, 1, trailing.length, 1000, crc),
                                        trailing)));
        byte[] cut = Arrays.copyOf(zip, zip.length - 1);
        refused(
                "compressed payload",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_FRAME, 1, cut.length, 1000, crc),
                                        cut)));
        byte[] skippable = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
        refused(
                "does not begin as one",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_STREAM_START,
                                                1,
                                                skippable.length,
                                                10,
                                                0),
                                        skippable)));
        refused(
                "ends in the wrong place",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_STREAM_START,
                                                1,
                                                zip.length,
                                                1000,
                                                crc),
                                        zip)));
    }

    @Test
    void aWindowBeyondTheLimitIsRefused() throws Exception {
        byte[] raw = payload(1000);
        byte[] zip = new byte[2000];
        int length;
        try (var context = new ZstdCompressCtx().setWindowLog(27).setContentSize(false)) {
            var out = ByteBuffer.allocateDirect(2000);
            var in = ByteBuffer.allocateDirect(1000).put(raw).flip();
            context.compressDirectByteBufferStream(out, in, EndDirective.FLUSH);
            length = out.position();
            out.flip().get(zip, 0, length);
        }
        byte[] exact = Arrays.copyOf(zip, length);
        refused(
                "compressed payload",
                client ->
                        client.write(
                                packet(
                                        new Packet.Header(
                                                Encoding.ZSTD_STREAM_START,
                                                1,
                                                length,
                                                1000,
                                                crc(raw)),
                                        exact)));
    }

    @Test
    void aConnectionCutAnywhereDeliversWholeFramesOnly() throws Exception {
        ByteBuffer whole = data(1, Encoding.RAW, payload(300));
        for (int cut = 0; cut < whole.limit(); cut += 7) {
            try (var client = new Client(tls(bad, plain(), Tls.LINK))) {
                greet(client);
                node.awaitConnected().grant(1, 1 << 20);
                client.write(whole.slice(0, cut));
            }
            node.awaitDisconnected();
            assertTrue(node.received.isEmpty(), "cut at " + cut);
        }
    }

    @Test
    void aPacketThatTakesTooLongMeansDeath() throws Exception {
        close();
        open(
                LinkSettings.DEFAULT.withTimes(
                        Duration.ofSeconds(5), Duration.ofSeconds(2), Duration.ofMillis(300)));
        try (var client = new Client(tls(bad, plain(), Tls.LINK))) {
            greet(client);
            node.awaitConnected().grant(1, 1 << 20);
            ByteBuffer whole = data(1, Encoding.RAW, payload(3000));
            for (int i = 0; i < 1500 && node.disconnected.isEmpty(); i++) {
                client.write(whole.slice(i, 1));
                Thread.sleep(2);
            }
            assertTrue(node.awaitDisconnected().startsWith("one packet took longer"));
        } catch (IOException closedWhileWriting) {
            assertTrue(node.awaitDisconnected().startsWith("one packet took longer"));
        }
    }

    // ---- the client
    // ------------------------------------------------------------------------------------------------

    private interface Attack {
        void on(Client client) throws Exception;
    }

    /// The attack ends its own session, with that reason; the node lives and lets the peer in
    /// again.
    private void refused(String reason, Attack attack) throws Exception {
        long errors = node.endpoint.counters().get(Event.PROTOCOL_ERROR);
        try (var client = new Client(tls(bad, plain(), Tls.LINK))) {
            greet(client);
            node.awaitConnected().grant(1, 1 << 20);
            try {
                attack.on(client);
            } catch (IOException closedWhileWriting) {
                assertNotNull(closedWhileWriting);
            }
            String said = node.awaitDisconnected();
            assertTrue(said.contains(reason), said);
        }
        node.awaitCount(Event.PROTOCOL_ERROR, errors + 1);
        node.received.clear();
    }

    /// Strangers that hang up are counted until the node has seen it, so the first attempts may be
    /// refused.
    private void assertStillWorks() throws InterruptedException {
        TestNode.await(
                () -> {
                    try (var client = new Client(tls(bad, plain(), Tls.LINK))) {
                        greet(client);
                        return "bad".equals(node.awaitConnected().peer());
                    } catch (Exception refused) {
                        return false;
                    }
                },
                "a right peer is let in");
    }

    private void greet(Client client) throws Exception {
        client.send(hello());
        Frame.Hello theirs = null;
        boolean welcomed = false;
        while (theirs == null || !welcomed) {
            switch (client.read()) {
                case Frame.Hello hello -> theirs = hello;
                case Frame.Welcome _ -> welcomed = true;
                case Frame other -> throw new AssertionError(other);
            }
        }
        client.send(new Frame.Welcome(1, 0, theirs.nonce()));
    }

    private Frame.Hello hello() {
        return new Frame.Hello(1, 1, 0, badNode, "bad", System.nanoTime(), new byte[32], 1);
    }

    private static ByteBuffer data(int stream, Encoding encoding, byte[] raw) {
        return packet(new Packet.Header(encoding, stream, raw.length, raw.length, crc(raw)), raw);
    }

    /// A payload of exactly that many bytes: one write.
    private static byte[] payload(int bytes) {
        byte[] data = new byte[bytes - 8 - 36];
        new Random(3).nextBytes(data);
        var write = new Frame.Write(0, new Position(1, 1), 1, 0, ByteBuffer.wrap(data));
        byte[] packet = PacketCodec.encodeRaw(1, List.of(write)).array();
        byte[] payload = new byte[packet.length - PacketCodec.HEADER_BYTES];
        System.arraycopy(packet, PacketCodec.HEADER_BYTES, payload, 0, payload.length);
        assertEquals(bytes, payload.length);
        return payload;
    }

    private static int crc(byte[] raw) {
        return PacketCodec.crc(ByteBuffer.wrap(raw), 0, raw.length);
    }

    private static ByteBuffer packet(Packet.Header header, byte[] payload) {
        var out = ByteBuffer.allocate(PacketCodec.HEADER_BYTES + payload.length);
        PacketCodec.writeHeader(header, out);
        return out.put(payload).flip();
    }

    private Socket plain() throws IOException {
        return new Socket(InetAddress.getLoopbackAddress(), address.port());
    }

    private static SSLSocket tls(Identity identity, Socket plain, String... protocols)
            throws IOException {
        var socket =
                (SSLSocket)
                        new Tls(identity)
                                .context()
                                .getSocketFactory()
                                .createSocket(plain, null, 1, true);
        socket.setUseClientMode(true);
        socket.setSSLParameters(Tls.parameters(socket.getSSLParameters(), protocols));
        socket.setSoTimeout(20_000);
        socket.startHandshake();
        return socket;
    }

    private static void assertClosed(Socket socket) throws IOException {
        socket.setSoTimeout(20_000);
        byte[] bytes = new byte[4096];
        try {
            int count = socket.getInputStream().read(bytes);
            while (count >= 0) {
                count = socket.getInputStream().read(bytes);
            }
        } catch (SocketTimeoutException open) {
            throw new AssertionError("still open", open);
        } catch (IOException reset) {
            assertNotNull(reset);
        }
    }

    /// Speaks in frames, or in whatever bytes it is given.
    private static final class Client implements AutoCloseable {
        final SSLSocket socket;
        final Queue<Frame> frames = new ArrayDeque<>();
        final PacketAssembler assembler =
                new PacketAssembler(
                        p -> frames.addAll(PacketCodec.frames(p.header(), p.payload())));

        Client(SSLSocket socket) {
            this.socket = socket;
        }

        void send(Frame frame) throws IOException {
            write(PacketCodec.encodeRaw(0, List.of(frame)));
        }

        void write(ByteBuffer bytes) throws IOException {
            byte[] copy = new byte[bytes.remaining()];
            bytes.get(bytes.position(), copy);
            socket.getOutputStream().write(copy);
            socket.getOutputStream().flush();
        }

        Frame read() throws Exception {
            byte[] bytes = new byte[4096];
            while (frames.isEmpty()) {
                int count = socket.getInputStream().read(bytes);
                if (count < 0) {
                    throw new IOException("closed");
                }
                assembler.accept(ByteBuffer.wrap(bytes, 0, count));
            }
            return frames.remove();
        }

        String goodbye() throws Exception {
            Frame frame = read();
            while (!(frame instanceof Frame.Goodbye)) {
                frame = read();
            }
            return ((Frame.Goodbye) frame).reason();
        }

        void assertClosed() throws IOException {
            HostilePeerTest.assertClosed(socket);
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }
}
