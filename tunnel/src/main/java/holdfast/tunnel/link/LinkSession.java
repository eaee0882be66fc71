package holdfast.tunnel.link;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Packet;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.ProtocolException;
import holdfast.tunnel.wire.TrafficClass;

import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/// One agreed connection to a peer. All methods may be called from any thread, and none waits.
///
/// Streams have a direction: the sender chooses the id (1 or more, not used before in this
/// session), adds the stream, and announces it with a control frame of its own; the receiver
/// answers by granting credit. Packets of a stream that was never granted any end the session.
public final class LinkSession {
    private static final Logger LOG = LoggerFactory.getLogger(LinkSession.class);

    /// More control frames than this waiting means that the peer has stopped reading.
    private static final long MAX_CONTROL_BYTES = 16 << 20;

    private static final int MAX_STREAMS = 4096;

    private final LinkEndpoint endpoint;
    private final Channel channel;
    private final Facts facts;
    private final Pump pump;
    private final long connectedAtMillis = System.currentTimeMillis();
    private final Map<Integer, Outgoing> outgoing = new ConcurrentHashMap<>();
    private final Map<Integer, Incoming> incoming = new ConcurrentHashMap<>();
    private final Queue<Frame> control = new ConcurrentLinkedQueue<>();
    private final AtomicLong controlBytes = new AtomicLong();
    private final Outgoing controlStream;
    private volatile LinkStats.Traffic received = LinkStats.NOTHING;
    private volatile long rttNanos;

    /// Written by the event loop alone.
    private volatile PeerClock peerClock = PeerClock.UNKNOWN;

    private volatile boolean closed;

    /// Written and read by the event loop alone.
    private boolean dataReceived;

    private long pingToken;

    /// What the handshake has shown.
    ///
    /// @param instance differs each time the peer's daemon starts
    /// @param dialled whether this side made the connection
    record Facts(
            long id,
            String peer,
            Pin pin,
            UUID node,
            String nodeName,
            long instance,
            long features,
            boolean dialled) {}

    LinkSession(
            LinkEndpoint endpoint,
            Channel channel,
            Facts facts,
            WireLimiter limiter,
            Runnable threadBegins) {
        this.endpoint = endpoint;
        this.channel = channel;
        this.facts = facts;
        this.pump = new Pump(this, channel, limiter, "link-" + facts.peer(), threadBegins);
        this.controlStream =
                new Outgoing(0, new ControlSource(), 1, new Compressor(Compression.OFF));
        pump.add(controlStream);
    }

    /// Tells one session from another in this process.
    public long id() {
        return facts.id();
    }

    /// The peer's name, as [Peers] gave it.
    public String peer() {
        return facts.peer();
    }

    /// Where the peer's end of this connection is, as this side sees it.
    public Optional<InetAddress> peerAddress() {
        return channel.remoteAddress() instanceof InetSocketAddress address
                ? Optional.ofNullable(address.getAddress())
                : Optional.empty();
    }

    public Pin peerPin() {
        return facts.pin();
    }

    public UUID peerNode() {
        return facts.node();
    }

    /// The name the peer gives itself, for display.
    public String peerNodeName() {
        return facts.nodeName();
    }

    /// Differs each time the peer's daemon starts.
    public long peerInstance() {
        return facts.instance();
    }

    /// What both sides can do, see docs/protocol.md.
    public long features() {
        return facts.features();
    }

    /// Whether this side made the connection.
    public boolean dialled() {
        return facts.dialled();
    }

    public boolean isOpen() {
        return !closed;
    }

    /// What the peer's clock shows, as far as this session's pings tell.
    public PeerClock peerClock() {
        return peerClock;
    }

    /// Queues a frame before everything else; without effect once the session has ended.
    public void sendControl(Frame frame) {
        if (!(frame instanceof Frame.Control)) {
            throw new IllegalArgumentException(
                    frame.getClass().getSimpleName() + " is sent on a stream");
        }
        if (closed) {
            return;
        }
        if (controlBytes.addAndGet(FrameCodec.sizeOf(frame)) > MAX_CONTROL_BYTES) {
            close("the peer does not read: " + MAX_CONTROL_BYTES + " bytes of control wait for it");
            return;
        }
        control.add(frame);
        controlStream.woken = true;
        pump.signal();
    }

    /// Begins to send a stream: compressed with a context of its own, of weight 1.
    public void addStream(int stream, StreamSource source) {
        addStream(stream, source, Compression.STREAM, 1);
    }

    /// Begins to send a stream. The source is asked as soon as the peer has granted credit; add the
    /// stream before the peer is told of it.
    ///
    /// @param weight share among the streams of a class, 1 or more
    public void addStream(int stream, StreamSource source, Compression compression, int weight) {
        if (stream < 1 || weight < 1) {
            throw new IllegalArgumentException("stream " + stream + " of weight " + weight);
        }
        var added = new Outgoing(stream, source, weight, new Compressor(compression));
        if (outgoing.putIfAbsent(stream, added) != null) {
            throw new IllegalArgumentException("stream " + stream + " is there already");
        }
        pump.add(added);
    }

    /// Ends an outgoing stream. Its source may still be asked once, but what it then gives is not
    /// sent, nor is what it gave and was not sent before: the memory of its frames is free.
    public void removeStream(int stream) {
        Outgoing gone = outgoing.remove(stream);
        if (gone != null) {
            gone.removed = true;
            pump.remove(gone);
        }
    }

    /// Some source may have something to send, or something of another class. Cheap, never waits,
    /// may be called under a lock.
    public void wake() {
        pump.wakeAll();
    }

    /// Like [#wake], for one stream.
    public void wake(int stream) {
        Outgoing woken = outgoing.get(stream);
        if (woken != null) {
            woken.woken = true;
            pump.signal();
        }
    }

    /// Lets the peer send this many more raw bytes of an incoming stream; the first grant opens it.
    /// The peer may cross what it was granted by one packet.
    public void grant(int stream, long bytes) {
        if (stream < 1 || bytes < 1) {
            throw new IllegalArgumentException(
                    "credit of " + bytes + " bytes for stream " + stream);
        }
        if (closed) {
            return;
        }
        if (incoming.size() >= MAX_STREAMS && !incoming.containsKey(stream)) {
            close("more than " + MAX_STREAMS + " streams");
            return;
        }
        // Counted before the peer hears of it, so that what it then sends is never too much.
        incoming.computeIfAbsent(stream, _ -> new Incoming()).creditBytes.addAndGet(bytes);
        sendControl(new Frame.Credit(stream, bytes));
    }

    /// Gives an incoming stream up: what the peer still sends within its credit is passed over. Its
    /// id is used up.
    public void dropStream(int stream) {
        Incoming gone = incoming.get(stream);
        if (gone != null) {
            gone.dropped = true;
            onLoop(gone.decompressor::close);
        }
    }

    /// What the peer may still send on a stream, 0 for one that was never granted any.
    public long grantedBytes(int stream) {
        Incoming in = incoming.get(stream);
        return in == null ? 0 : in.creditBytes.get();
    }

    public LinkStats stats() {
        var streams = new TreeMap<Integer, LinkStats.StreamStats>();
        for (Outgoing out : outgoing.values()) {
            streams.put(
                    out.id,
                    new LinkStats.StreamStats(out.sent, LinkStats.NOTHING, out.creditBytes));
        }
        incoming.forEach(
                (id, in) ->
                        streams.merge(
                                id,
                                new LinkStats.StreamStats(LinkStats.NOTHING, in.received, 0),
                                (out, _) ->
                                        new LinkStats.StreamStats(
                                                out.sent(), in.received, out.creditBytes())));
        return new LinkStats(pump.sent(), received, rttNanos, connectedAtMillis, streams);
    }

    /// Ends the session; the peer is told why if it still listens. [LinkHandler#disconnected]
    /// follows, once, from the event loop.
    public void close(String reason) {
        onLoop(() -> endpoint.end(this, reason, true));
    }

    @Override
    public String toString() {
        return "session %d with %s".formatted(id(), peer());
    }

    // ---- for the endpoint, on the event loop
    // -----------------------------------------------------------------------

    Channel channel() {
        return channel;
    }

    Facts facts() {
        return facts;
    }

    void start() {
        pump.start();
    }

    /// Fences the session: nothing is delivered from here on.
    ///
    /// @return false if that was done before
    boolean fence() {
        boolean first = !closed;
        closed = true;
        pump.stop();
        incoming.values().forEach(in -> in.decompressor.close());
        return first;
    }

    /// Closes the connection of a session that was fenced; `reason` is told to the peer unless it
    /// is null.
    void hangUp(String reason) {
        if (reason == null) {
            channel.close();
            return;
        }
        String told = reason.length() > 1000 ? reason.substring(0, 1000) : reason;
        channel.writeAndFlush(
                        Unpooled.wrappedBuffer(
                                PacketCodec.encodeRaw(0, List.of(new Frame.Goodbye(told)))))
                .addListener(ChannelFutureListener.CLOSE);
        // A peer that does not read does not get to keep the connection.
        channel.eventLoop().schedule(() -> channel.close(), 2, TimeUnit.SECONDS);
    }

    void writabilityChanged() {
        pump.signal();
    }

    void failed(String reason, Throwable cause) {
        onLoop(() -> endpoint.failed(this, reason, cause));
    }

    /// Asks the peer for a sign of life.
    void ping() {
        pingToken = System.nanoTime();
        sendControl(new Frame.Ping(pingToken, System.currentTimeMillis()));
    }

    long rttNanos() {
        return rttNanos;
    }

    /// Whether it was of use: a packet of a data stream has passed, in either direction.
    boolean hasCarriedData() {
        return dataReceived || pump.hasSentData();
    }

    /// One packet from the peer.
    void packet(Packet packet) throws ProtocolException {
        if (closed) {
            return;
        }
        Packet.Header header = packet.header();
        int wireBytes = PacketCodec.HEADER_BYTES + header.payloadBytes();
        received = received.plus(header.rawBytes(), wireBytes);
        if (header.stream() == 0) {
            if (header.encoding() != Packet.Encoding.RAW) {
                throw new ProtocolException("control is never compressed");
            }
            for (Frame frame : PacketCodec.frames(header, packet.payload())) {
                controlFrame(frame);
            }
            return;
        }
        dataReceived = true;
        Incoming in = incoming.get(header.stream());
        if (in == null) {
            throw new ProtocolException(
                    "data for stream " + header.stream() + ", which was granted no credit");
        }
        if (in.creditBytes.get() <= 0) {
            throw new ProtocolException(
                    "data for stream " + header.stream() + " beyond its credit");
        }
        in.creditBytes.addAndGet(-header.rawBytes());
        in.received = in.received.plus(header.rawBytes(), wireBytes);
        if (in.dropped) {
            return;
        }
        endpoint.deliver(
                this,
                header.stream(),
                PacketCodec.frames(header, in.decompressor.decompress(packet)));
    }

    private void controlFrame(Frame frame) throws ProtocolException {
        switch (frame) {
            case Frame.Ping(long token, _) ->
                    sendControl(new Frame.Pong(token, System.currentTimeMillis()));
            case Frame.Pong(long token, long wallMillis) -> {
                if (token == pingToken && token != 0) {
                    long now = System.nanoTime();
                    rttNanos = Math.max(1, now - token);
                    peerClock =
                            peerClock.answered(token, now, System.currentTimeMillis(), wallMillis);
                    pingToken = 0;
                }
            }
            case Frame.Credit(int stream, long bytes) -> {
                Outgoing out = outgoing.get(stream);
                if (out != null) {
                    if (out.creditInbox.addAndGet(bytes) < 0 || bytes > 1L << 50) {
                        throw new ProtocolException("credit of " + bytes + " bytes");
                    }
                    pump.signal();
                }
            }
            case Frame.Goodbye(String reason) ->
                    endpoint.end(this, "the peer says: " + reason, false);
            case Frame.Hello _, Frame.Welcome _, Frame.Join _, Frame.Joined _ ->
                    throw new ProtocolException(
                            frame.getClass().getSimpleName() + " within a session");
            default -> {
                if (!closed) {
                    endpoint.deliver(this, 0, List.of(frame));
                }
            }
        }
    }

    private void onLoop(Runnable task) {
        if (channel.eventLoop().inEventLoop()) {
            task.run();
        } else {
            try {
                channel.eventLoop().execute(task);
            } catch (RejectedExecutionException endpointIsClosed) {
                LOG.debug("{} ended with its endpoint", this);
            }
        }
    }

    /// The control frames that wait, as a stream like any other.
    private final class ControlSource implements StreamSource {
        @Override
        public Frame next(int budgetBytes) {
            Frame frame = control.poll();
            if (frame != null) {
                controlBytes.addAndGet(-FrameCodec.sizeOf(frame));
            }
            return frame;
        }

        @Override
        public TrafficClass trafficClass() {
            return TrafficClass.CONTROL;
        }
    }
}
