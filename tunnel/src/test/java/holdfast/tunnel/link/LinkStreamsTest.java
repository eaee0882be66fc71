package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.UTF_8;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.TrafficClass;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/// Streams over real sockets: a sends, b receives.
class LinkStreamsTest {
    private static final long MUCH = 1L << 40;

    private final TestNode a = new TestNode("a");
    private final TestNode b = new TestNode("b");
    private LinkSession sender;
    private LinkSession receiver;

    @BeforeEach
    void connect() throws Exception {
        TestNode.pair(a, b);
        a.endpoint.dial(b.listen());
        sender = a.awaitConnected();
        receiver = b.awaitConnected();
    }

    @AfterEach
    void close() {
        a.close();
        b.close();
    }

    @Test
    void oneStreamKeepsItsOrder() throws Exception {
        inOrder(1, 2000);
    }

    @Test
    void threeStreamsKeepTheirOrder() throws Exception {
        inOrder(3, 1000);
    }

    @Test
    void aHundredStreamsKeepTheirOrder() throws Exception {
        inOrder(100, 50);
    }

    private void inOrder(int streams, int each) throws Exception {
        var random = new Random(streams);
        var next = new ConcurrentHashMap<Integer, Long>();
        var wrong = new AtomicLong();
        var all = new AtomicLong();
        b.reader =
                (_, stream, frame) -> {
                    var write = (Frame.Write) frame;
                    long expected = next.merge(stream, 1L, Long::sum) - 1;
                    // What a write holds is made from its number, so that a mix-up shows.
                    boolean right =
                            write.position().number() == expected
                                    && write.data().get(0) == (byte) (expected + stream);
                    if (!right) {
                        wrong.incrementAndGet();
                    }
                    all.incrementAndGet();
                };
        for (int s = 1; s <= streams; s++) {
            var source = new QueueSource(TrafficClass.LIVE);
            for (int i = 0; i < each; i++) {
                byte[] data = new byte[1 + random.nextInt(8192)];
                if (i % 3 == 0) {
                    random.nextBytes(data);
                }
                data[0] = (byte) (i + s);
                source.frames.add(QueueSource.write(i, data));
            }
            sender.addStream(s, source, Compression.values()[s % 3], 1);
            receiver.grant(s, MUCH);
        }
        TestNode.await(
                () -> all.get() == (long) streams * each,
                "all frames arrive: " + b.endpoint.counters().all());
        assertEquals(0, wrong.get());
        assertTrue(Math.abs(sender.stats().sent().rawBytes() - sent()) < 1 << 16);
        assertEquals(streams, receiver.stats().streams().size());
    }

    private long sent() {
        return sender.stats().streams().values().stream().mapToLong(s -> s.sent().rawBytes()).sum();
    }

    @Test
    void oneFrameOfTheGreatestLengthPassesEvenOnLittleCredit() throws Exception {
        byte[] data = new byte[FrameCodec.MAX_DATA_BYTES];
        new Random(1).nextBytes(data);
        for (Compression how : Compression.values()) {
            int stream = 1 + how.ordinal();
            var source = new QueueSource(TrafficClass.LIVE);
            source.frames.add(QueueSource.write(1, data));
            sender.addStream(stream, source, how, 1);
            receiver.grant(stream, 1);
            var got = (Frame.Write) b.awaitReceived().frame();
            assertEquals(ByteBuffer.wrap(data), got.data());
            assertTrue(receiver.grantedBytes(stream) < 0);
        }
    }

    @Test
    void aStreamWithoutCreditStopsNobodyElse() throws Exception {
        Map<Integer, Long> bytes = new ConcurrentHashMap<>();
        b.reader =
                (session, stream, frame) -> {
                    long length = FrameCodec.sizeOf(frame);
                    bytes.merge(stream, length, Long::sum);
                    if (stream == 2) {
                        session.grant(stream, length);
                    }
                };
        for (int s = 1; s <= 2; s++) {
            var source = new QueueSource(TrafficClass.LIVE);
            source.endless = random(4096);
            sender.addStream(s, source, Compression.OFF, 1);
            receiver.grant(s, 1 << 20);
        }
        TestNode.await(() -> bytes.getOrDefault(2, 0L) > 20 << 20, "the other stream goes on");
        assertTrue(bytes.get(1) < (1 << 20) + PacketCodec.MAX_PAYLOAD_BYTES);
        assertTrue(sender.stats().streams().get(1).creditBytes() <= 0);
        long stalledAt = bytes.get(1);
        receiver.grant(1, 1 << 20);
        TestNode.await(() -> bytes.get(1) > stalledAt, "credit lets it go on");
    }

    @Test
    void streamsOfOneClassShareTheLine() throws Exception {
        Map<Integer, Long> bytes = new ConcurrentHashMap<>();
        var total = new AtomicLong();
        b.reader =
                (_, stream, frame) -> {
                    if (total.addAndGet(FrameCodec.sizeOf(frame)) < 64 << 20) {
                        bytes.merge(stream, 1L, Long::sum);
                    }
                };
        for (int s = 1; s <= 4; s++) {
            var source = new QueueSource(TrafficClass.CATCH_UP);
            source.endless = random(4096);
            sender.addStream(s, source, Compression.OFF, s == 4 ? 2 : 1);
        }
        for (int s = 1; s <= 4; s++) {
            receiver.grant(s, MUCH);
        }
        TestNode.await(() -> total.get() > 64 << 20, "64 MiB pass");
        assertEquals(1.0, (double) bytes.get(1) / bytes.get(2), 0.3, bytes.toString());
        assertEquals(2.0, (double) bytes.get(4) / bytes.get(3), 0.5, bytes.toString());
    }

    @Test
    void aLiveWriteOvertakesBulk() throws Exception {
        var bulkAtLive = new AtomicLong();
        var bulk = new AtomicLong();
        b.reader =
                (_, stream, frame) -> {
                    if (stream == 1) {
                        bulk.addAndGet(FrameCodec.sizeOf(frame));
                    } else {
                        bulkAtLive.set(bulk.get());
                    }
                };
        var verify = new QueueSource(TrafficClass.VERIFY);
        verify.endless = random(65536);
        sender.addStream(1, verify, Compression.OFF, 1);
        var live = new QueueSource(TrafficClass.LIVE);
        sender.addStream(2, live, Compression.STREAM, 1);
        receiver.grant(1, MUCH);
        receiver.grant(2, MUCH);
        TestNode.await(() -> bulk.get() > 8 << 20, "bulk flows");
        long before = verify.given.get() * 65536;
        live.frames.add(QueueSource.write(1, new byte[512]));
        sender.wake(2);
        TestNode.await(() -> bulkAtLive.get() > 0, "the live write arrives");
        // What was under way: the channel's and the kernel's buffers on both sides, not seconds of
        // bulk.
        assertTrue(bulkAtLive.get() - before < 24 << 20, "behind " + (bulkAtLive.get() - before));
    }

    @Test
    void aRepeatedBlockCostsLittleEvenIfItCannotBeCompressed() throws Exception {
        var source = new QueueSource(TrafficClass.LIVE);
        byte[] block = new byte[4096];
        new Random(5).nextBytes(block);
        sender.addStream(1, source);
        receiver.grant(1, MUCH);
        long wire = 0;
        for (int i = 0; i < 10; i++) {
            source.frames.add(QueueSource.write(i, block));
            sender.wake(1);
            assertEquals(ByteBuffer.wrap(block), ((Frame.Write) b.awaitReceived().frame()).data());
            long now = receiver.stats().streams().get(1).received().wireBytes();
            assertTrue(i == 0 || now - wire < 200, "copy " + i + " cost " + (now - wire));
            wire = now;
        }
        assertTrue(receiver.stats().streams().get(1).received().rawBytes() > 40_000);
    }

    @Test
    void textShrinksInBothModesAndOffStaysAsItIs() throws Exception {
        byte[] text = "the quick brown fox jumps over the lazy dog. ".repeat(200).getBytes(UTF_8);
        for (Compression how : Compression.values()) {
            int stream = 1 + how.ordinal();
            var source = new QueueSource(TrafficClass.LIVE);
            source.frames.add(QueueSource.write(1, text));
            sender.addStream(stream, source, how, 1);
            receiver.grant(stream, MUCH);
            b.awaitReceived();
            long wire = receiver.stats().streams().get(stream).received().wireBytes();
            assertEquals(how != Compression.OFF, wire < text.length / 10, how + " " + wire);
        }
    }

    @Test
    void aRemovedStreamEndsAndANewOneTakesItsPlace() throws Exception {
        var source = new QueueSource(TrafficClass.LIVE);
        source.endless = random(4096);
        sender.addStream(1, source);
        receiver.grant(1, MUCH);
        b.awaitReceived();
        receiver.dropStream(1);
        sender.removeStream(1);
        b.received.clear();
        var next = new QueueSource(TrafficClass.LIVE);
        next.frames.add(QueueSource.write(77, new byte[100]));
        sender.addStream(2, next);
        receiver.grant(2, MUCH);
        TestNode.await(() -> b.received.stream().anyMatch(r -> r.stream() == 2), "the new stream");
        assertTrue(receiver.isOpen());
    }

    @Test
    void aLimiterIsKeptTo() throws Exception {
        var spent = new AtomicLong();
        var open = new AtomicLong(1 << 20);
        WireLimiter limiter =
                new WireLimiter() {
                    @Override
                    public long waitNanos(TrafficClass trafficClass) {
                        return spent.get() < open.get() ? 0 : 1_000_000;
                    }

                    @Override
                    public void spend(long wireBytes, TrafficClass trafficClass) {
                        spent.addAndGet(wireBytes);
                    }
                };
        try (var c = new TestNode("c", Identity.generate(), builder -> builder.limiter(limiter))) {
            TestNode.pair(c, b);
            HostPort at = c.listen();
            b.endpoint.dial(at);
            LinkSession out = c.awaitConnected();
            LinkSession in = b.awaitConnected();
            var bytes = new AtomicLong();
            b.reader = (_, _, frame) -> bytes.addAndGet(FrameCodec.sizeOf(frame));
            var source = new QueueSource(TrafficClass.FIRST_SYNC);
            source.endless = random(4096);
            out.addStream(1, source, Compression.OFF, 1);
            in.grant(1, MUCH);
            // A packet of which parts are held back has not come.
            TestNode.await(() -> bytes.get() >= 3 << 18, "most of the first MiB");
            assertTrue(spent.get() < (1 << 20) + (300 << 10), "spent " + spent);
            open.set(2 << 20);
            TestNode.await(() -> bytes.get() >= 7 << 18, "most of the second MiB");
            assertTrue(out.stats().sent().wireBytes() <= spent.get());
        }
    }

    private static ByteBuffer random(int bytes) {
        byte[] data = new byte[bytes];
        new Random(bytes).nextBytes(data);
        return ByteBuffer.wrap(data);
    }
}
