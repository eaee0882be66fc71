package holdfast.tunnel.link;

import holdfast.tunnel.link.Counters.Event;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Packet;
import holdfast.tunnel.wire.PacketAssembler;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.ProtocolException;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// One connection, from the first byte to the last: TLS, the judgement of the peer's key, Hello and
/// Welcome, and then the bytes of the session. Nothing from the peer is looked at before TLS has
/// proven its key and the key is known, or an invitation is being redeemed.
///
/// ```
///   TLS ──► HELLO ──► SESSION ──► (closed)
///     └───► JOIN
/// ```
final class Connection extends ChannelInboundHandlerAdapter {
    /// Hello with its longest name is 340 bytes.
    private static final int MAX_GREETING_BYTES = 1024;

    private enum Stage {
        TLS,
        HELLO,
        SESSION,
        JOIN
    }

    private final LinkEndpoint endpoint;
    private final Dialer dialer;
    private final PacketAssembler assembler = new PacketAssembler(this::packet);
    private final byte[] nonce = new byte[32];
    private ChannelHandlerContext context;
    private Stage stage = Stage.TLS;
    private Pin pin;
    private String peer;
    private Frame.Hello theirs;
    private Frame.Welcome answer;
    private LinkSession session;
    private long lastByteNanos;
    private long packetSinceNanos;
    private long pingedAtNanos;

    /// Why the connection was closed by us, before there was a session.
    private String ended;

    /// @param dialer who made the connection, null if the peer did
    Connection(LinkEndpoint endpoint, Dialer dialer) {
        this.endpoint = endpoint;
        this.dialer = dialer;
    }

    boolean dialled() {
        return dialer != null;
    }

    /// Whether its dialer was stopped before it became a session.
    boolean isUnwanted() {
        return dialer != null && dialer.isStopped();
    }

    InetAddress source() {
        return context.channel().remoteAddress() instanceof InetSocketAddress address
                ? address.getAddress()
                : null;
    }

    @Override
    public void handlerAdded(ChannelHandlerContext ctx) {
        context = ctx;
    }

    @Override
    public void channelActive(ChannelHandlerContext ctx) {
        // Absolute: one byte now and then does not put it off.
        ctx.executor()
                .schedule(
                        this::greetingIsLate,
                        endpoint.settings().authentication().toNanos(),
                        TimeUnit.NANOSECONDS);
        ctx.fireChannelActive();
    }

    private void greetingIsLate() {
        if (stage != Stage.SESSION && context.channel().isActive()) {
            endpoint.count(Event.AUTHENTICATION_LATE);
            refuse(
                    "no handshake within "
                            + endpoint.settings().authentication().toMillis()
                            + " ms");
        }
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
        if (event instanceof SslHandshakeCompletionEvent done) {
            if (done.isSuccess()) {
                authenticated(ctx.pipeline().get(SslHandler.class));
            } else if (ended == null) {
                endpoint.count(Event.HANDSHAKE_FAILED);
                refuse("TLS: " + done.cause().getMessage());
            }
        }
        ctx.fireUserEventTriggered(event);
    }

    private void authenticated(SslHandler tls) {
        pin = Tls.pinOf(tls.engine().getSession()).orElse(null);
        String protocol = tls.engine().getApplicationProtocol();
        if (pin == null || protocol == null || protocol.isEmpty()) {
            endpoint.count(Event.HANDSHAKE_FAILED);
            refuse("no certificate or no protocol of ours");
            return;
        }
        assembler.limit(MAX_GREETING_BYTES);
        lastByteNanos = System.nanoTime();
        if (protocol.equals(Tls.JOIN)) {
            stage = Stage.JOIN;
            return;
        }
        peer = endpoint.peers().find(pin).orElse(null);
        if (peer == null) {
            endpoint.count(Event.KEY_REFUSED);
            refuse("key " + pin + " is no peer's");
            return;
        }
        stage = Stage.HELLO;
        endpoint.fill(nonce);
        send(endpoint.hello(nonce));
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
        var bytes = (ByteBuf) message;
        try {
            if (ended != null || stage == Stage.TLS) {
                return;
            }
            lastByteNanos = System.nanoTime();
            boolean between = assembler.isBetweenPackets();
            for (ByteBuffer chunk : bytes.nioBuffers()) {
                assembler.accept(chunk);
            }
            if (between || assembler.isBetweenPackets()) {
                packetSinceNanos = lastByteNanos;
            }
        } catch (ProtocolException e) {
            endpoint.count(Event.PROTOCOL_ERROR);
            if (session != null) {
                endpoint.failed(session, "protocol error: " + e.getMessage(), null);
            } else {
                refuse("protocol error: " + e.getMessage());
            }
        } finally {
            bytes.release();
        }
    }

    private void packet(Packet packet) throws ProtocolException {
        packetSinceNanos = lastByteNanos;
        if (session != null) {
            session.packet(packet);
            return;
        }
        if (ended != null) {
            return;
        }
        if (packet.header().stream() != 0 || packet.header().encoding() != Packet.Encoding.RAW) {
            throw new ProtocolException("data before the handshake");
        }
        for (Frame frame : PacketCodec.frames(packet.header(), packet.payload())) {
            switch (frame) {
                case Frame.Hello hello when stage == Stage.HELLO && theirs == null -> hello(hello);
                case Frame.Welcome welcome when stage == Stage.HELLO && answer == null ->
                        answer = welcome;
                case Frame.Goodbye(String reason) when stage == Stage.HELLO ->
                        refuse("the peer says: " + reason);
                case Frame.Join join when stage == Stage.JOIN -> join(join);
                default ->
                        throw new ProtocolException(
                                frame.getClass().getSimpleName() + " during the handshake");
            }
            if (ended != null) {
                return;
            }
        }
        if (theirs != null && answer != null) {
            agree();
        }
    }

    private void hello(Frame.Hello hello) throws ProtocolException {
        if (hello.node().equals(endpoint.node())) {
            refuse("this is the node itself");
            return;
        }
        theirs = hello;
        int version = version();
        if (version < 1) {
            refuse(
                    "no common version: the peer speaks %d to %d, this node %d to %d"
                            .formatted(
                                    hello.minVersion(),
                                    hello.maxVersion(),
                                    LinkEndpoint.MIN_VERSION,
                                    LinkEndpoint.MAX_VERSION));
            return;
        }
        if (endpoint.refusesClone(this, peer, hello)) {
            return;
        }
        send(new Frame.Welcome(version, features(), hello.nonce()));
    }

    /// The newest version that both speak, 0 if there is none.
    private int version() {
        int version = Math.min(theirs.maxVersion(), LinkEndpoint.MAX_VERSION);
        return version >= Math.max(theirs.minVersion(), LinkEndpoint.MIN_VERSION) ? version : 0;
    }

    private long features() {
        return theirs.features() & LinkEndpoint.FEATURES;
    }

    private void agree() throws ProtocolException {
        if (!MessageDigest.isEqual(answer.peerNonce(), nonce)) {
            throw new ProtocolException("the peer's Welcome answers another Hello");
        }
        if (answer.version() != version() || answer.features() != features()) {
            throw new ProtocolException(
                    "the peer agreed to version %d and features %x, this node to %d and %x"
                            .formatted(answer.version(), answer.features(), version(), features()));
        }
        stage = Stage.SESSION;
        assembler.limit(PacketCodec.MAX_PAYLOAD_BYTES);
        session = endpoint.admit(this, context.channel(), peer, pin, theirs, features());
        if (session == null) {
            return;
        }
        watch();
    }

    /// Pings when it is time, and looks for death often enough to see it within an eighth of its
    /// time.
    private void watch() {
        if (!session.isOpen()) {
            return;
        }
        long now = System.nanoTime();
        long everyNanos = endpoint.settings().ping().toNanos();
        if (pingedAtNanos == 0 || now - pingedAtNanos >= everyNanos) {
            pingedAtNanos = now;
            session.ping();
        }
        long silence = endpoint.settings().silence().toNanos();
        long silenceNanos =
                Math.min(silence + 16 * session.rttNanos(), Math.max(silence, 60_000_000_000L));
        boolean stuck =
                !assembler.isBetweenPackets()
                        && now - packetSinceNanos > endpoint.settings().packet().toNanos();
        if (now - lastByteNanos > silenceNanos || stuck) {
            endpoint.count(Event.PEER_DEAD);
            endpoint.end(
                    session,
                    stuck
                            ? "one packet took longer than " + endpoint.settings().packet()
                            : "nothing heard for " + silenceNanos / 1_000_000 + " ms",
                    false);
            return;
        }
        context.executor()
                .schedule(this::watch, Math.min(silence, everyNanos) / 8, TimeUnit.NANOSECONDS);
    }

    private void join(Frame.Join join) {
        Pin joiner = pin;
        endpoint.redeem(
                join,
                joiner,
                reply ->
                        context.executor()
                                .execute(
                                        () -> {
                                            endpoint.count(
                                                    reply.accepted()
                                                            ? Event.JOIN_ACCEPTED
                                                            : Event.JOIN_REFUSED);
                                            ended = reply.accepted() ? "joined" : reply.reason();
                                            send(reply).addListener(ChannelFutureListener.CLOSE);
                                        }));
    }

    private ChannelFuture send(Frame frame) {
        return context.writeAndFlush(
                Unpooled.wrappedBuffer(PacketCodec.encodeRaw(0, List.of(frame))));
    }

    /// Closes a connection that has not become a session. A peer whose key is known hears why.
    void refuse(String reason) {
        if (ended != null) {
            return;
        }
        ended = reason;
        endpoint.refused(this, reason);
        if (stage == Stage.HELLO || stage == Stage.SESSION) {
            send(new Frame.Goodbye(reason)).addListener(ChannelFutureListener.CLOSE);
        } else {
            context.close();
        }
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext ctx) {
        if (session != null) {
            session.writabilityChanged();
        }
        ctx.fireChannelWritabilityChanged();
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
        if (session != null) {
            endpoint.end(session, "connection lost", false);
        } else if (ended == null) {
            endpoint.refused(
                    this,
                    "the peer closed the connection during authentication; is this node's key"
                            + " pinned there?");
            ended = "closed";
        }
        endpoint.gone(this, dialer, peer);
        ctx.fireChannelInactive();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
        if (session != null) {
            endpoint.end(session, "connection lost: " + cause.getMessage(), false);
        } else {
            refuse(String.valueOf(cause.getMessage()));
        }
        ctx.close();
    }
}
