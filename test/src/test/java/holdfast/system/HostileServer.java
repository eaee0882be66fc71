package holdfast.system;

import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Role;
import holdfast.tunnel.link.HostPort;
import holdfast.tunnel.link.Identity;
import holdfast.tunnel.link.LinkEndpoint;
import holdfast.tunnel.link.LinkHandler;
import holdfast.tunnel.link.LinkSession;
import holdfast.tunnel.link.LinkSettings;
import holdfast.tunnel.link.StreamSource;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;
import holdfast.tunnel.wire.TrafficClass;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.UUID;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Predicate;

/// A server that has gone bad: it has the server's key, speaks the real protocol over the real link
/// as the server does, and says what a script has it say instead of what is true.
final class HostileServer implements LinkHandler, AutoCloseable {
    private static final long ANSWER_NANOS = 5_000_000_000L;

    /// Nothing was taken in for so long: it will not be soon.
    private static final long STALLED_NANOS = 1_000_000_000L;

    private final LinkEndpoint endpoint;
    private final UUID resource;
    private final Queue<Frame.Data> toSend = new ConcurrentLinkedQueue<>();
    private final List<Frame> heard = new CopyOnWriteArrayList<>();
    private volatile LinkSession session;
    private volatile int sessions;
    private volatile Frame.ResourceHello copy;
    private volatile int hellos;
    private int stream;
    private int ofSessions;

    /// Goes up with each stream, as [Frame.StreamStart] has it.
    private long streams = 1000;

    /// @param state of the server whose key it has
    HostileServer(Path state, int port, UUID resource) throws Exception {
        this.resource = resource;
        endpoint =
                LinkEndpoint.builder(
                                Identity.load(state), "server", _ -> Optional.of("backup"), this)
                        .settings(
                                LinkSettings.DEFAULT.withBackoff(
                                        Duration.ofMillis(10), Duration.ofMillis(50)))
                        .build();
        endpoint.dial(new HostPort("127.0.0.1", port));
        TwoNodes.until("the hostile peer is connected", this::isConnected);
    }

    @Override
    public void connected(LinkSession opened) {
        session = opened;
        sessions++;
    }

    @Override
    public void disconnected(LinkSession ended, String reason) {
        session = null;
    }

    @Override
    public void received(LinkSession from, int onStream, Frame frame) {
        heard.add(frame);
        if (frame instanceof Frame.ResourceHello hello && hello.resource().equals(resource)) {
            copy = hello;
            hellos++;
        }
    }

    private boolean isConnected() {
        return session != null;
    }

    /// What the copy has said of itself last.
    Frame.ResourceHello copy() {
        return copy;
    }

    /// As an honest primary that has what the copy has, and of the same past.
    Frame.ResourceHello honest() {
        return hello(copy.sizeBytes(), copy.committed(), copy.ancestry());
    }

    Frame.ResourceHello hello(long sizeBytes, Position at, Ancestry ancestry) {
        return hello(Role.PRIMARY, DiskState.UP_TO_DATE, sizeBytes, at, ancestry);
    }

    Frame.ResourceHello hello(
            Role role, DiskState disk, long sizeBytes, Position at, Ancestry ancestry) {
        return new Frame.ResourceHello(
                resource,
                role.ordinal() + 1,
                disk.ordinal(),
                sizeBytes,
                at,
                at,
                0,
                true,
                0,
                false,
                Long.MAX_VALUE,
                0,
                new Frame.Known(at, Position.NONE, 0, 0, Long.MAX_VALUE, 0, false),
                ancestry);
    }

    /// Says it, and waits for what the copy answers. One that is just being connected may not hear
    /// it: a primary is called then, and greets again.
    void greet(Frame.ResourceHello hello) {
        TwoNodes.until("it is connected", this::isConnected);
        int before = hellos;
        for (int i = 0; i < 20 && hellos == before && isConnected(); i++) {
            say(hello);
            long deadline = System.nanoTime() + ANSWER_NANOS / 5;
            while (hellos == before && isConnected() && System.nanoTime() < deadline) {
                LockSupport.parkNanos(1_000_000);
            }
        }
        if (hellos == before && isConnected()) {
            throw new AssertionError("the copy does not answer, and was heard last: " + last());
        }
    }

    void say(Frame.Control frame) {
        LinkSession now = session;
        if (now != null) {
            now.sendControl(frame);
        }
    }

    /// Opens a data stream on which the copy takes in what follows, as from its own primary.
    void begin() {
        for (int i = 0; i < 3; i++) {
            if (tryToBegin()) {
                return;
            }
        }
        throw new AssertionError("the copy does not join: " + copy + last());
    }

    private boolean tryToBegin() {
        greet(
                hello(
                        copy == null ? 1 << 20 : copy.sizeBytes(),
                        Position.NONE,
                        Ancestry.EMPTY)); // To hear where it stands.
        greet(honest());
        open(copy.committed());
        long of = streams;
        send(new Frame.Verify(0, 1, 1, 0, 4096, 0, true)); // It is answered on a stream alone.
        long deadline = System.nanoTime() + ANSWER_NANOS;
        while (!isAnswered(of) && isConnected() && System.nanoTime() < deadline) {
            LockSupport.parkNanos(2_000_000);
        }
        return isAnswered(of);
    }

    private boolean isAnswered(long of) {
        return has(each -> each instanceof Frame.VerifyReply reply && reply.session() == of);
    }

    /// A stream that begins there, whatever the copy says to that.
    void open(Position from) {
        LinkSession now = session;
        toSend.clear();
        if (now == null) {
            return;
        }
        if (ofSessions == sessions && stream != 0) {
            now.removeStream(stream);
        }
        stream = ofSessions == sessions ? stream + 1 : 1;
        ofSessions = sessions;
        streams++;
        now.addStream(
                stream,
                new StreamSource() {
                    @Override
                    public Frame next(int budgetBytes) {
                        return toSend.poll();
                    }

                    @Override
                    public TrafficClass trafficClass() {
                        return TrafficClass.LIVE;
                    }
                });
        say(new Frame.StreamStart(resource, streams, stream, from));
    }

    void send(Frame.Data... frames) {
        toSend.addAll(List.of(frames));
        LinkSession now = session;
        if (now != null) {
            now.wake();
        }
    }

    /// Until all of it is on its way, or the copy takes in no more, or has hung up.
    void awaitSent() {
        int left = toSend.size();
        long since = System.nanoTime();
        while (left > 0 && isConnected() && System.nanoTime() - since < STALLED_NANOS) {
            LockSupport.parkNanos(2_000_000);
            if (toSend.size() != left) {
                left = toSend.size();
                since = System.nanoTime();
            }
        }
    }

    void awaitRefusal(String words) {
        await(
                "it is refused with: " + words,
                e -> e instanceof Frame.Refused no && no.reason().contains(words));
    }

    /// Until such a frame was heard.
    void await(String what, Predicate<Frame> which) {
        long deadline = System.nanoTime() + 4 * ANSWER_NANOS;
        while (!has(which)) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError(
                        "%s: not within 20 s; sessions %d, connected %s, heard last: %s"
                                .formatted(what, sessions, isConnected(), last()));
            }
            LockSupport.parkNanos(2_000_000);
        }
    }

    boolean has(Predicate<Frame> which) {
        return heard.stream().anyMatch(which);
    }

    long count(Predicate<Frame> which) {
        return heard.stream().filter(which).count();
    }

    /// What was heard so far does not count any more.
    void forget() {
        heard.clear();
    }

    String last() {
        return heard.subList(Math.max(0, heard.size() - 5), heard.size()).toString();
    }

    /// One epoch of these blocks, whole and with its right digest.
    void commit(long epoch, Position to, Ancestry ancestry, byte with, int... blocks) {
        send(new Frame.EpochBegin(epoch, blocks.length, 0));
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (int each : blocks) {
                ByteBuffer data = filled(4096, with);
                long at = each * 4096L;
                digest.update(ByteBuffer.allocate(16).putLong(at).putLong(4096).flip());
                digest.update(data.duplicate());
                send(new Frame.EpochBlocks(0, epoch, at, data));
            }
            send(
                    new Frame.EpochCommit(
                            epoch,
                            to,
                            System.currentTimeMillis(),
                            blocks.length,
                            digest.digest(),
                            ancestry));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
        awaitSent();
    }

    static ByteBuffer filled(int bytes, byte with) {
        byte[] data = new byte[bytes];
        java.util.Arrays.fill(data, with);
        return ByteBuffer.wrap(data).asReadOnlyBuffer();
    }

    @Override
    public void close() {
        endpoint.close();
    }
}
