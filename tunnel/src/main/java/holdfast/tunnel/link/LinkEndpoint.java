package holdfast.tunnel.link;

import static java.nio.charset.StandardCharsets.UTF_8;

import holdfast.tunnel.link.Counters.Event;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;

import io.netty.bootstrap.AbstractBootstrap;
import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.ssl.SslHandler;
import io.netty.util.concurrent.DefaultThreadFactory;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;

/// This node's end of all its links: listens, dials, or both; lets in only those whose key is
/// known; keeps one session for each peer.
///
/// **Two connections of one peer**: when both sides dialled at the same time, both keep the one
/// that the node with the lower id dialled. Otherwise the newer one wins: the peer would not have
/// made it had the older one still worked. The old session is fenced and reported as disconnected
/// before the new one is reported as connected.
///
/// **Two hosts with one key**: each run of a daemon has a number of its own, and one that another
/// run has followed never comes back, unless both are alive: the host, or its state directory, was
/// cloned. The run that was there first is kept then and the other refused with the reason, so that
/// the two do not take the session from each other for ever.
///
/// One event loop does all the network work; [LinkHandler] is called from it. Each session has one
/// more thread, its pump.
public final class LinkEndpoint implements AutoCloseable {
    static final int MIN_VERSION = 1;
    static final int MAX_VERSION = 1;

    /// No optional features yet; the bits are negotiated so that they can come.
    static final long FEATURES = 0;

    /// Strangers between accept and a proven key: 32 in all, 4 from one address. A handshake costs
    /// about 3 ms of CPU.
    static final int MAX_PENDING = 32;

    static final int MAX_PENDING_PER_SOURCE = 4;

    private static final Logger LOG = LoggerFactory.getLogger(LinkEndpoint.class);

    /// A kind of refusal is logged once in this time; the counters have them all.
    private static final long LOG_EVERY_NANOS = TimeUnit.SECONDS.toNanos(10);

    /// Enough for the pump to make the next packet while the loop encrypts the last, and no more:
    /// what lies here can no longer be overtaken by a live write.
    private static final WriteBufferWaterMark WATER_MARK =
            new WriteBufferWaterMark(64 << 10, 192 << 10);

    // The pooled allocator, since the adaptive one leaves buffers of a megabyte to the system:
    // to give one back stops every thread for a moment (it closes a shared arena).

    private static final long NOT_SENT_BYTES = 128 << 10;

    private static final SecureRandom SECRETS = new SecureRandom();

    private final Identity identity;
    private final String nodeName;
    private final Peers peers;
    private final LinkSettings settings;
    private final LinkHandler handler;
    private final Optional<JoinHandler> joins;
    private final Optional<Invitations> invitations;
    private final WireLimiter limiter;
    private final RandomGenerator random;
    private final Runnable threadBegins;
    private final long instance = SECRETS.nextLong();
    private final Tls tls;
    private final Counters counters = new Counters();
    private final boolean epoll = Epoll.isAvailable();
    private final MultiThreadIoEventLoopGroup group;
    private final EventLoop loop;

    // All below is owned by the event loop, but for `sessions`, which anyone may read.
    private final Map<String, LinkSession> sessions = new ConcurrentHashMap<>();
    private final List<Dialer> dialers = new ArrayList<>();
    private final List<Channel> listeners = new ArrayList<>();
    private final Map<Connection, InetAddress> pending = new HashMap<>();

    /// By peer.
    private final Map<String, Runs> runs = new HashMap<>();

    private final Map<Event, Long> loggedAtNanos = new EnumMap<>(Event.class);
    private volatile String trouble;
    private long lastSession;
    private boolean closed;

    private LinkEndpoint(Builder b) {
        identity = b.identity;
        nodeName = b.nodeName;
        peers = b.peers;
        handler = b.handler;
        settings = b.settings;
        limiter = b.limiter;
        random = b.random;
        joins = Optional.ofNullable(b.joins);
        invitations = Optional.ofNullable(b.invitations);
        tls = new Tls(identity);
        IoHandlerFactory io = epoll ? EpollIoHandler.newFactory() : NioIoHandler.newFactory();
        threadBegins = b.threadBegins;
        group = new MultiThreadIoEventLoopGroup(1, new LoopThreads(), io);
        loop = group.next();
    }

    private final class LoopThreads extends DefaultThreadFactory {
        LoopThreads() {
            super("link-loop", true);
        }

        @Override
        protected Thread newThread(Runnable work, String name) {
            return super.newThread(
                    () -> {
                        threadBegins.run();
                        work.run();
                    },
                    name);
        }
    }

    /// What an endpoint needs. Nothing is opened before [LinkEndpoint#listen] or
    /// [LinkEndpoint#dial].
    public static Builder builder(
            Identity identity, String nodeName, Peers peers, LinkHandler handler) {
        return new Builder(identity, nodeName, peers, handler);
    }

    public static final class Builder {
        private final Identity identity;
        private final String nodeName;
        private final Peers peers;
        private final LinkHandler handler;
        private LinkSettings settings = LinkSettings.DEFAULT;
        private WireLimiter limiter = WireLimiter.NONE;
        private RandomGenerator random = new SecureRandom();
        private Invitations invitations;
        private JoinHandler joins;
        private Runnable threadBegins = () -> {};

        private Builder(Identity identity, String nodeName, Peers peers, LinkHandler handler) {
            if (nodeName.getBytes(UTF_8).length > FrameCodec.MAX_NAME_BYTES) {
                throw new IllegalArgumentException(
                        "a node's name has at most 255 bytes: " + nodeName);
            }
            this.identity = identity;
            this.nodeName = nodeName;
            this.peers = peers;
            this.handler = handler;
        }

        public Builder settings(LinkSettings settings) {
            this.settings = settings;
            return this;
        }

        public Builder limiter(WireLimiter limiter) {
            this.limiter = limiter;
            return this;
        }

        /// For the jitter of the back-off only.
        public Builder random(RandomGenerator random) {
            this.random = random;
            return this;
        }

        /// Runs first in each thread that encrypts, compresses or sends.
        public Builder threadBegins(Runnable task) {
            this.threadBegins = task;
            return this;
        }

        /// Lets invitations be redeemed here; without this a node cannot be joined.
        public Builder invitations(Invitations invitations, JoinHandler joins) {
            this.invitations = invitations;
            this.joins = joins;
            return this;
        }

        public LinkEndpoint build() {
            return new LinkEndpoint(this);
        }
    }

    // ---- for the daemon: any thread
    // --------------------------------------------------------------------------------

    /// Accepts connections at this address.
    ///
    /// @return the address, with the port that was chosen if it was 0
    /// @throws IOException if the address cannot be had
    public InetSocketAddress listen(InetSocketAddress address) throws IOException {
        var bootstrap =
                new ServerBootstrap()
                        .group(group)
                        .channel(
                                epoll
                                        ? EpollServerSocketChannel.class
                                        : NioServerSocketChannel.class)
                        .option(ChannelOption.SO_REUSEADDR, true)
                        .option(ChannelOption.SO_BACKLOG, 64)
                        .childHandler(
                                new ChannelInitializer<Channel>() {
                                    @Override
                                    protected void initChannel(Channel channel) {
                                        accepted(channel);
                                    }
                                });
        bootstrap.childOption(ChannelOption.ALLOCATOR, PooledByteBufAllocator.DEFAULT);
        bootstrap.childOption(ChannelOption.TCP_NODELAY, true);
        bootstrap.childOption(ChannelOption.SO_KEEPALIVE, true);
        bootstrap.childOption(ChannelOption.WRITE_BUFFER_WATER_MARK, WATER_MARK);
        if (epoll) {
            bootstrap.childOption(EpollChannelOption.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES);
            bootstrap.childOption(EpollChannelOption.TCP_USER_TIMEOUT, userTimeoutMillis());
        }
        ChannelFuture bound = bootstrap.bind(address).awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException(
                    "cannot listen at " + address + ": " + bound.cause().getMessage(),
                    bound.cause());
        }
        onLoop(() -> listeners.add(bound.channel()));
        return (InetSocketAddress) bound.channel().localAddress();
    }

    /// Accepts no more; sessions go on.
    public void stopListening() {
        onLoop(
                () -> {
                    listeners.forEach(Channel::close);
                    listeners.clear();
                });
    }

    /// Keeps a connection to this address for ever. Without effect if it is dialled already.
    public void dial(HostPort target) {
        onLoop(
                () -> {
                    if (!closed && dialers.stream().noneMatch(d -> d.target().equals(target))) {
                        var dialer = new Dialer(this, target);
                        dialers.add(dialer);
                        dialer.consider();
                    }
                });
    }

    /// Dials this address no more; a session that came of it goes on.
    public void stopDialing(HostPort target) {
        onLoop(
                () ->
                        dialers.removeIf(
                                d -> {
                                    boolean same = d.target().equals(target);
                                    if (same) {
                                        d.stop();
                                    }
                                    return same;
                                }));
    }

    /// [Peers] answers differently from now on: sessions whose key is gone, or is another's, end at
    /// once.
    public void peersChanged() {
        onLoop(
                () -> {
                    for (LinkSession session : List.copyOf(sessions.values())) {
                        if (!peers.find(session.peerPin()).equals(Optional.of(session.peer()))) {
                            counters.count(Event.KEY_REMOVED);
                            end(session, "the key of " + session.peer() + " was removed", true);
                        }
                    }
                    dialers.forEach(Dialer::consider);
                });
    }

    /// The session with a peer, if there is one.
    public Optional<LinkSession> session(String peer) {
        return Optional.ofNullable(sessions.get(peer));
    }

    public List<LinkSession> sessions() {
        return List.copyOf(sessions.values());
    }

    /// What went wrong last, in words; it may be over.
    public Optional<String> trouble() {
        return Optional.ofNullable(trouble);
    }

    public Counters counters() {
        return counters;
    }

    /// Ends all sessions and frees the addresses; waits for that, at most some seconds. Not to be
    /// called from a [LinkHandler].
    @Override
    public void close() {
        onLoop(
                () -> {
                    closed = true;
                    dialers.forEach(Dialer::stop);
                    listeners.forEach(Channel::close);
                    List.copyOf(sessions.values()).forEach(s -> end(s, "the daemon stops", true));
                    List.copyOf(pending.keySet()).forEach(c -> c.refuse("the daemon stops"));
                });
        group.shutdownGracefully(50, 3000, TimeUnit.MILLISECONDS)
                .awaitUninterruptibly(5, TimeUnit.SECONDS);
    }

    // ---- connections: on the event loop
    // ----------------------------------------------------------------------------

    private void accepted(Channel channel) {
        counters.count(Event.ACCEPTED);
        InetAddress source = ((InetSocketAddress) channel.remoteAddress()).getAddress();
        long same = pending.values().stream().filter(source::equals).count();
        if (closed || pending.size() >= MAX_PENDING || same >= MAX_PENDING_PER_SOURCE) {
            counters.count(Event.FLOOD_REFUSED);
            report(
                    Event.FLOOD_REFUSED,
                    "refused %s: %d connections wait to be authenticated, %d from there"
                            .formatted(source, pending.size(), same));
            channel.close();
            return;
        }
        String[] protocols =
                joins.isPresent() ? new String[] {Tls.LINK, Tls.JOIN} : new String[] {Tls.LINK};
        var connection = new Connection(this, null);
        pending.put(connection, source);
        equip(channel, connection, false, protocols);
    }

    private void equip(
            Channel channel, Connection connection, boolean client, String... protocols) {
        var ssl = new SslHandler(tls.engine(client, protocols));
        ssl.setHandshakeTimeoutMillis(settings.authentication().toMillis());
        ssl.setCloseNotifyFlushTimeoutMillis(1000);
        channel.pipeline().addLast(ssl, connection);
    }

    void connect(Dialer dialer, SocketAddress address) {
        var bootstrap =
                new Bootstrap()
                        .group(group)
                        .channel(epoll ? EpollSocketChannel.class : NioSocketChannel.class)
                        .handler(
                                new ChannelInitializer<Channel>() {
                                    @Override
                                    protected void initChannel(Channel channel) {
                                        equip(
                                                channel,
                                                new Connection(LinkEndpoint.this, dialer),
                                                true,
                                                Tls.LINK);
                                    }
                                });
        options(bootstrap);
        bootstrap
                .connect(address)
                .addListener(
                        (ChannelFuture connected) -> {
                            if (connected.isSuccess()) {
                                counters.count(Event.DIALLED);
                            } else {
                                dialer.failed(connected.cause().getMessage());
                            }
                        });
    }

    private void options(AbstractBootstrap<?, ?> bootstrap) {
        bootstrap.option(
                ChannelOption.CONNECT_TIMEOUT_MILLIS, (int) settings.authentication().toMillis());
        bootstrap.option(ChannelOption.ALLOCATOR, PooledByteBufAllocator.DEFAULT);
        bootstrap.option(ChannelOption.TCP_NODELAY, true);
        bootstrap.option(ChannelOption.SO_KEEPALIVE, true);
        bootstrap.option(ChannelOption.WRITE_BUFFER_WATER_MARK, WATER_MARK);
        if (epoll) {
            bootstrap.option(EpollChannelOption.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES);
            bootstrap.option(EpollChannelOption.TCP_USER_TIMEOUT, userTimeoutMillis());
        }
    }

    /// Longer than any silence that [LinkSettings] tolerates, so that the reason is ours to give.
    private int userTimeoutMillis() {
        return 90_000;
    }

    /// Called when a connection that is no session is given up, before it is closed.
    void refused(Connection connection, String reason) {
        String where = connection.dialled() ? "connection to " : "connection from ";
        report(Event.KEY_REFUSED, where + connection.source() + " given up: " + reason);
    }

    /// The connection is closed, whatever it was.
    void gone(Connection connection, Dialer dialer, String peer) {
        pending.remove(connection);
        if (dialer != null) {
            if (peer != null) {
                dialer.knows(peer);
            }
            dialer.ended();
        }
    }

    // ---- sessions: on the event loop
    // -------------------------------------------------------------------------------

    /// Makes a session of a connection whose handshake is complete.
    ///
    /// @return null if another connection of that peer is kept instead
    LinkSession admit(
            Connection connection,
            Channel channel,
            String peer,
            Pin pin,
            Frame.Hello hello,
            long features) {
        pending.remove(connection);
        // The key may have been removed while the peer greeted.
        if (closed || !peers.find(pin).equals(Optional.of(peer))) {
            counters.count(Event.KEY_REFUSED);
            connection.refuse("key " + pin + " is no peer's any more");
            return null;
        }
        if (connection.isUnwanted()) {
            connection.refuse("this address is dialled no more");
            return null;
        }
        // Somebody may have got the session while the peer answered.
        if (refusesClone(connection, peer, hello)) {
            return null;
        }
        LinkSession old = sessions.get(peer);
        long before = old == null ? hello.instance() : old.peerInstance();
        if (old != null) {
            counters.count(Event.DUPLICATE);
            if (keeps(old, connection.dialled(), hello)) {
                connection.refuse("a connection of the other direction is kept");
                return null;
            }
            end(old, "replaced by a newer connection", true);
        }
        runs.computeIfAbsent(peer, _ -> new Runs()).admitted(hello.instance(), before);
        var facts =
                new LinkSession.Facts(
                        ++lastSession,
                        peer,
                        pin,
                        hello.node(),
                        hello.nodeName(),
                        hello.instance(),
                        features,
                        connection.dialled());
        var session = new LinkSession(this, channel, facts, limiter, threadBegins);
        sessions.put(peer, session);
        counters.count(Event.CONNECTED);
        LOG.info("{} connected, key {}", session, pin);
        guarded(session, () -> handler.connected(session));
        session.start();
        return session;
    }

    /// Refuses the connection where another host with that key has a session and was there first.
    /// To be asked before the Welcome goes out: one that has it begins a session, and tells of it.
    ///
    /// @return whether it did
    boolean refusesClone(Connection connection, String peer, Frame.Hello hello) {
        LinkSession present = sessions.get(peer);
        if (present == null || !runs.get(peer).isClone(hello.instance(), present.peerInstance())) {
            return false;
        }
        counters.count(Event.DUPLICATE);
        connection.refuse(
                "another host with the key of %s is connected, from %s, and was there before: one of the two is a clone, and must not run with that state directory"
                        .formatted(peer, where(present.peerAddress())));
        handler.usedTwice(present, where(Optional.ofNullable(connection.source())));
        return true;
    }

    private static String where(Optional<InetAddress> address) {
        return address.map(InetAddress::getHostAddress).orElse("an unknown address");
    }

    /// Whether the old session is kept: only against one of the other direction, of the same run of
    /// the peer, when the lower id dialled the old one.
    private boolean keeps(LinkSession old, boolean dialledNow, Frame.Hello hello) {
        if (old.dialled() == dialledNow || old.peerInstance() != hello.instance()) {
            return false;
        }
        boolean lower = identity.node().compareTo(hello.node()) < 0;
        return old.dialled() == lower;
    }

    /// Ends a session, once; its peer may then be dialled again.
    void end(LinkSession session, String reason, boolean tell) {
        if (!session.fence()) {
            return;
        }
        sessions.remove(session.peer(), session);
        counters.count(Event.DISCONNECTED);
        LOG.info("{} ended: {}", session, reason);
        if (!session.hasCarriedData()) {
            trouble = reason; // It may have been one that the peer refused.
        }
        if (session.hasCarriedData()
                || System.currentTimeMillis() - session.stats().connectedAtMillis()
                        > settings.backoffMax().toMillis() / 4) {
            dialers.forEach(d -> d.held(session.peer()));
        }
        try {
            handler.disconnected(session, reason);
        } catch (RuntimeException | AssertionError e) {
            counters.count(Event.HANDLER_FAILED);
            LOG.error("{}: disconnected() failed", session, e);
        }
        session.hangUp(tell ? reason : null);
        dialers.forEach(Dialer::consider);
    }

    void failed(LinkSession session, String reason, Throwable cause) {
        if (cause != null) {
            counters.count(Event.HANDLER_FAILED);
            LOG.error("{}: {}", session, reason, cause);
        }
        end(session, reason, true);
    }

    void deliver(LinkSession session, int stream, List<Frame> frames) {
        guarded(session, () -> handler.received(session, stream, frames));
    }

    /// Whatever the peer has brought about ends its session, never the process.
    private void guarded(LinkSession session, Runnable call) {
        try {
            call.run();
        } catch (RuntimeException | AssertionError e) {
            failed(session, "internal error: " + e, e);
        }
    }

    /// Redeems an invitation on a thread that may touch the disk.
    void redeem(Frame.Join join, Pin pin, Consumer<Frame.Joined> reply) {
        Thread.ofVirtual()
                .name("join")
                .start(
                        () -> {
                            String reason;
                            try {
                                reason = invitations.orElseThrow().redeem(join.secret(), pin);
                                if (reason.isEmpty()) {
                                    joins.orElseThrow().joined(pin, join.node(), join.nodeName());
                                }
                            } catch (IOException | RuntimeException e) {
                                LOG.error("joining of {} failed", pin, e);
                                String why = String.valueOf(e.getMessage());
                                reason =
                                        "failed: " + why.substring(0, Math.min(why.length(), 1000));
                            }
                            LOG.info(
                                    "join of {} ({}): {}",
                                    join.nodeName(),
                                    pin,
                                    reason.isEmpty() ? "accepted" : reason);
                            reply.accept(
                                    new Frame.Joined(
                                            reason.isEmpty(), identity.node(), nodeName, reason));
                        });
    }

    // ---- what the parts ask of it
    // ----------------------------------------------------------------------------------

    boolean hasSession(String peer) {
        return sessions.containsKey(peer);
    }

    Frame.Hello hello(byte[] nonce) {
        return new Frame.Hello(
                MIN_VERSION,
                MAX_VERSION,
                FEATURES,
                identity.node(),
                nodeName,
                instance,
                nonce,
                System.currentTimeMillis());
    }

    void fill(byte[] nonce) {
        SECRETS.nextBytes(nonce);
    }

    double jitter() {
        return random.nextDouble();
    }

    UUID node() {
        return identity.node();
    }

    Peers peers() {
        return peers;
    }

    LinkSettings settings() {
        return settings;
    }

    EventLoop loop() {
        return loop;
    }

    void count(Event event) {
        counters.count(event);
    }

    /// Logs what may happen a thousand times a second, but not so often.
    void report(Event kind, String message) {
        trouble = message;
        long now = System.nanoTime();
        Long last = loggedAtNanos.get(kind);
        if (last == null || now - last > LOG_EVERY_NANOS) {
            loggedAtNanos.put(kind, now);
            LOG.warn("{}", message);
        }
    }

    void onLoop(Runnable task) {
        try {
            loop.execute(task);
        } catch (RejectedExecutionException closed) {
            LOG.debug("endpoint is closed");
        }
    }
}
