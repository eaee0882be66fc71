package holdfast.replicator.daemon;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.status.StatusReport;
import holdfast.tunnel.link.Compression;
import holdfast.tunnel.link.LinkHandler;
import holdfast.tunnel.link.LinkSession;
import holdfast.tunnel.link.LinkStats;
import holdfast.tunnel.link.StreamSource;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.TrafficClass;

import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/// Hands what comes over the link to the resources it concerns, and gives each resource its place
/// on the session. Called from the link's event loop: nothing here waits.
final class Link implements LinkHandler {
    /// What the link needs of the daemon.
    interface Resources {
        Iterable<LocalResource> ofPeer(String peer);

        Optional<LocalResource> find(java.util.UUID id);

        /// Why [#find] finds nothing, for the peer.
        String whyNot(String peer, java.util.UUID id);

        /// A request of the peer that takes time; called on a pool thread.
        Frame.OfferReply offered(String peer, Frame.Offer offer);

        void withdrawn(String peer, Frame.Withdraw withdraw);

        /// An operator of the peer mistrusts its copy; on a pool thread.
        Frame.InvalidateReply invalidated(String peer, Frame.Invalidate order);

        /// The peer's device is larger, our copy of it is to be; on a pool thread.
        Frame.ResizeReply resized(String peer, Frame.Resize order);
    }

    private final Resources resources;
    private final java.util.concurrent.Executor pool;
    private final Events events;
    private final Map<String, Session> sessions = new ConcurrentHashMap<>();
    private final Map<String, Instant> lastContacts = new ConcurrentHashMap<>();
    private final Map<String, InetAddress> addresses = new ConcurrentHashMap<>();

    // Written by the event loop alone.
    private volatile LinkStats.Traffic sentBefore = new LinkStats.Traffic(0, 0, 0);
    private volatile LinkStats.Traffic receivedBefore = new LinkStats.Traffic(0, 0, 0);

    private final Questions<Frame.OfferReply> offers = new Questions<>(this::lives);
    private final Questions<Frame.InvalidateReply> invalidations = new Questions<>(this::lives);

    Link(Resources resources, java.util.concurrent.Executor pool, Events events) {
        this.resources = resources;
        this.pool = pool;
        this.events = events;
    }

    /// When the last session with the peer ended.
    Optional<Instant> lastContact(String peer) {
        return Optional.ofNullable(lastContacts.get(peer));
    }

    /// Where the peer is, or was when it was connected last.
    Optional<InetAddress> addressOf(String peer) {
        return Optional.ofNullable(addresses.get(peer));
    }

    /// What all sessions that have ended sent.
    LinkStats.Traffic sentBefore() {
        return sentBefore;
    }

    LinkStats.Traffic receivedBefore() {
        return receivedBefore;
    }

    static LinkStats.Traffic sum(LinkStats.Traffic a, LinkStats.Traffic b) {
        return new LinkStats.Traffic(
                a.packets() + b.packets(),
                a.rawBytes() + b.rawBytes(),
                a.wireBytes() + b.wireBytes());
    }

    private boolean lives(PeerSession session) {
        return sessions.values().stream().anyMatch(each -> each == session);
    }

    Optional<PeerSession> session(String peer) {
        return Optional.ofNullable(sessions.get(peer));
    }

    /// How the peer's clock compares with this host's at this moment; empty while that is not
    /// known.
    Optional<StatusReport.ClockOffset> clock(String peer) {
        return session(peer).flatMap(each -> offsetOf(each.peerClock()));
    }

    static Optional<StatusReport.ClockOffset> offsetOf(PeerClock clock) {
        long nowMillis = System.currentTimeMillis();
        return clock.at(System.nanoTime(), nowMillis)
                .map(
                        each ->
                                new StatusReport.ClockOffset(
                                        each.aheadMillis(nowMillis) / 1000,
                                        each.uncertaintyMillis() / 1000));
    }

    /// Waits a bounded time for a session with the peer; for callers that may block.
    Optional<PeerSession> awaitSession(String peer, Duration limit) {
        long deadline = System.nanoTime() + limit.toNanos();
        while (session(peer).isEmpty() && System.nanoTime() < deadline) {
            LockSupport.parkNanos(20_000_000);
        }
        return session(peer);
    }

    Optional<LinkSession> linkSession(String peer) {
        return Optional.ofNullable(sessions.get(peer)).map(Session::link);
    }

    /// Traffic of one resource's stream on the present session, if it has one.
    Optional<Integer> streamOf(String peer, LocalResource resource) {
        Session session = sessions.get(peer);
        if (session == null) {
            return Optional.empty();
        }
        return switch (resource) {
            case LocalPrimary primary ->
                    primary.resource().map(session.outgoing::get).map(Integer::valueOf);
            case LocalBackup _ ->
                    session.incoming.entrySet().stream()
                            .filter(each -> each.getValue() == resource)
                            .map(Map.Entry::getKey)
                            .max(Integer::compare);
        };
    }

    @Override
    public void connected(LinkSession session) {
        Session mine = new Session(session);
        sessions.put(session.peer(), mine);
        session.peerAddress().ifPresent(each -> addresses.put(session.peer(), each));
        events.node("link-up", "connected with " + session.peer());
        for (LocalResource each : resources.ofPeer(session.peer())) {
            each.connect(mine);
        }
    }

    @Override
    public void disconnected(LinkSession session, String reason) {
        Session mine = sessions.get(session.peer());
        if (mine == null || mine.link != session) {
            return;
        }
        sessions.remove(session.peer());
        lastContacts.put(session.peer(), Instant.now());
        LinkStats stats = session.stats();
        sentBefore = sum(sentBefore, stats.sent());
        receivedBefore = sum(receivedBefore, stats.received());
        events.node("link-down", "the connection with " + session.peer() + " is gone: " + reason);
        for (LocalResource each : resources.ofPeer(session.peer())) {
            each.disconnect(mine);
        }
        offers.lost(mine, session.peer());
        invalidations.lost(mine, session.peer());
    }

    @Override
    public void usedTwice(LinkSession session, String source) {
        Session mine = sessions.get(session.peer());
        if (mine == null || mine.link != session || mine.toldTwice) {
            return;
        }
        mine.toldTwice = true;
        events.node(
                "key-used-twice",
                "%s is connected from %s, and another host with the same key comes from %s and is refused. One of them is a clone, perhaps the one that is connected: look at status here before you stop one. The host whose resources are no fork of their copies goes on; stop the other, or remove its state directory and pair it anew. When the one that is connected goes, the other gets its place by itself"
                        .formatted(
                                session.peer(),
                                session.peerAddress()
                                        .map(InetAddress::getHostAddress)
                                        .orElse("an unknown address"),
                                source));
    }

    @Override
    public void received(LinkSession session, int stream, Frame frame) {
        Session mine = sessions.get(session.peer());
        if (mine == null || mine.link != session) {
            return;
        }
        switch (frame) {
            case Frame.Data data -> received(session, stream, List.of(data));
            case Frame.OfferReply reply -> offers.answered(mine, reply.resource(), reply);
            case Frame.Offer offer ->
                    order(
                            mine,
                            offer.resource(),
                            () -> mine.send(resources.offered(session.peer(), offer)));
            case Frame.Withdraw withdraw ->
                    order(
                            mine,
                            withdraw.resource(),
                            () -> resources.withdrawn(session.peer(), withdraw));
            case Frame.Invalidate invalidate ->
                    order(
                            mine,
                            invalidate.resource(),
                            () -> mine.send(resources.invalidated(session.peer(), invalidate)));
            case Frame.Resize resize ->
                    order(
                            mine,
                            resize.resource(),
                            () -> mine.send(resources.resized(session.peer(), resize)));
            case Frame.InvalidateReply reply -> {
                if (!invalidations.answered(mine, reply.resource(), reply)) {
                    dispatch(mine, reply); // No operator has asked, but the copy itself.
                }
            }
            case Frame.OfResource ofResource -> dispatch(mine, ofResource);
            default -> {}
        }
    }

    @Override
    public void received(LinkSession session, int stream, List<Frame> frames) {
        if (stream == 0) {
            LinkHandler.super.received(session, stream, frames);
            return;
        }
        Session mine = sessions.get(session.peer());
        if (mine != null && mine.link == session) {
            LocalBackup backup = mine.incoming.get(stream);
            if (backup != null) {
                backup.resource().received(mine, stream, frames);
            }
        }
    }

    /// Carries out what takes time. Who does not wait for answers does not keep the protocol.
    private void order(Session session, java.util.UUID resource, Runnable task) {
        if (!session.orders.post(resource, task)) {
            session.link.close(
                    "more than %d offers, withdrawals and orders are waiting"
                            .formatted(PeerOrders.MAX_WAITING));
        }
    }

    private Optional<LocalResource> find(Session session, Frame.OfResource frame) {
        return resources
                .find(frame.resource())
                .filter(each -> each.dir().facts().peer().equals(session.link.peer()));
    }

    private void dispatch(Session session, Frame.OfResource frame) {
        Optional<LocalResource> found = find(session, frame);
        if (found.isEmpty() && frame instanceof Frame.ResourceHello) {
            session.send(
                    new Frame.Refused(
                            frame.resource(),
                            resources.whyNot(session.link.peer(), frame.resource())));
            // One that was opened in between may have called before it was refused here: it answers
            // now, behind the refusal. What is opened from here on calls behind it.
            found = find(session, frame);
        }
        if (found.isEmpty()) {
            return;
        }
        if (frame instanceof Frame.StreamStart start && found.get() instanceof LocalBackup backup) {
            session.incoming.put(start.stream(), backup);
        }
        found.get().received(session, frame);
    }

    /// Sends an offer and gives the answer when it comes.
    CompletableFuture<Frame.OfferReply> offer(PeerSession session, Frame.Offer offer) {
        CompletableFuture<Frame.OfferReply> answer = offers.ask(session, offer.resource());
        session.send(offer);
        return answer;
    }

    /// Orders the peer to compare everything with our copy, and gives its answer when it comes.
    CompletableFuture<Frame.InvalidateReply> invalidate(PeerSession session, java.util.UUID id) {
        CompletableFuture<Frame.InvalidateReply> answer = invalidations.ask(session, id);
        session.send(new Frame.Invalidate(id));
        return answer;
    }

    /// The answer did not come in time.
    void forget(java.util.UUID id, CompletableFuture<Frame.InvalidateReply> answer) {
        invalidations.forget(id, answer);
    }

    static Compression compressionOf(ResourceSettings.Compression setting) {
        return switch (setting) {
            case STREAM -> Compression.STREAM;
            case FRAME -> Compression.FRAME;
            case OFF -> Compression.OFF;
        };
    }

    private static TrafficClass classOf(PrimaryResource source) {
        return switch (source.replication()) {
            case FIRST_SYNC -> TrafficClass.FIRST_SYNC;
            case SYNC_SOURCE, PAUSED -> TrafficClass.CATCH_UP;
            case COMPARE -> TrafficClass.VERIFY;
            case OFF, HANDSHAKE, ESTABLISHED, AHEAD -> TrafficClass.LIVE;
        };
    }

    /// One session, as resources see it.
    private final class Session implements PeerSession {
        private final LinkSession link;
        private final PeerOrders orders =
                new PeerOrders(pool, bug -> events.node("internal-error", String.valueOf(bug)));
        private final AtomicInteger lastStream = new AtomicInteger();
        private final Map<PrimaryResource, Integer> outgoing = new ConcurrentHashMap<>();
        private final Map<Integer, LocalBackup> incoming = new ConcurrentHashMap<>();

        /// Whether it was told that another host has its key; for the event loop.
        private boolean toldTwice;

        Session(LinkSession link) {
            this.link = link;
        }

        LinkSession link() {
            return link;
        }

        @Override
        public void send(Frame frame) {
            link.sendControl(frame);
        }

        @Override
        public PeerClock peerClock() {
            return link.peerClock();
        }

        @Override
        public int open(PrimaryResource source) {
            int stream = lastStream.incrementAndGet();
            outgoing.put(source, stream);
            StreamSource frames =
                    new StreamSource() {
                        @Override
                        public Frame next(int budgetBytes) {
                            return source.next(stream);
                        }

                        @Override
                        public boolean fill(List<Frame> into, int budgetBytes) {
                            return source.fill(stream, into, budgetBytes);
                        }

                        @Override
                        public TrafficClass trafficClass() {
                            return classOf(source);
                        }
                    };
            link.addStream(stream, frames, source.compression(), 1);
            return stream;
        }

        @Override
        public void close(int stream) {
            outgoing.values().remove(stream);
            link.removeStream(stream);
        }

        @Override
        public void drop(int stream) {
            incoming.remove(stream);
            link.dropStream(stream);
        }

        @Override
        public void wake(int stream) {
            link.wake(stream);
        }

        @Override
        public void grant(int stream, long bytes) {
            link.grant(stream, bytes);
        }
    }
}
