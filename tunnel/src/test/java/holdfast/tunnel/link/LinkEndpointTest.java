package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.link.Counters.Event;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.TrafficClass;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

class LinkEndpointTest {
    private final TestNode a = new TestNode("a");
    private final TestNode b = new TestNode("b");

    @AfterEach
    void close() {
        a.close();
        b.close();
    }

    @Test
    void twoNodesThatKnowEachOtherConnectAndTalk() throws Exception {
        TestNode.pair(a, b);
        a.endpoint.dial(b.listen());
        LinkSession atA = a.awaitConnected();
        LinkSession atB = b.awaitConnected();
        assertEquals("b", atA.peer());
        assertEquals("a", atB.peer());
        assertEquals(a.identity.node(), atB.peerNode());
        assertTrue(atA.dialled());
        assertFalse(atB.dialled());
        var frame = new Frame.Refused(UUID.randomUUID(), "because");
        atA.sendControl(frame);
        assertEquals(frame, b.awaitReceived().frame());
        atB.sendControl(frame);
        assertEquals(frame, a.awaitReceived().frame());
        TestNode.await(() -> atA.stats().rttNanos() > 0, "round trip time");
    }

    @Test
    void aKeyThatIsNoPeersIsRefusedOnEitherSide() throws Exception {
        a.trusts(b);
        a.endpoint.dial(b.listen());
        b.awaitCount(Event.KEY_REFUSED, 2);
        a.peers.clear();
        b.trusts(a);
        a.awaitCount(Event.KEY_REFUSED, 1);
        assertTrue(a.connected.isEmpty());
        assertTrue(b.connected.isEmpty());
    }

    @Test
    void theNextSessionComesByItselfAfterALoss() throws Exception {
        TestNode.pair(a, b);
        a.endpoint.dial(b.listen());
        for (int i = 0; i < 5; i++) {
            a.awaitConnected();
            b.awaitConnected().close("test");
            assertEquals("the peer says: test", a.awaitDisconnected());
            assertEquals("test", b.awaitDisconnected());
        }
        a.awaitConnected();
    }

    /// Doubled after each of them the last wait alone would take more than the patience of a test.
    @Test
    void shortSessionsThatCarryDataDoNotMakeTheWaitsLonger() throws Exception {
        try (var dialler =
                new TestNode(
                        "d",
                        Identity.generate(),
                        builder ->
                                builder.settings(
                                        LinkSettings.DEFAULT.withBackoff(
                                                Duration.ofMillis(10), Duration.ofMinutes(10))))) {
            TestNode.pair(dialler, b);
            dialler.endpoint.dial(b.listen());
            for (int i = 0; i < 14; i++) {
                LinkSession atDialler = dialler.awaitConnected();
                LinkSession atB = b.awaitConnected();
                var once = new AtomicReference<Frame>(new Frame.EpochBegin(1, 1, 0));
                atDialler.addStream(
                        1,
                        new StreamSource() {
                            @Override
                            public Frame next(int budgetBytes) {
                                return once.getAndSet(null);
                            }

                            @Override
                            public TrafficClass trafficClass() {
                                return TrafficClass.LIVE;
                            }
                        });
                atB.grant(1, 1 << 20);
                b.awaitReceived();
                atB.close("test");
                dialler.awaitDisconnected();
                b.awaitDisconnected();
            }
        }
    }

    @Test
    void diallingGoesOnUntilSomebodyListens() throws Exception {
        TestNode.pair(a, b);
        HostPort address = b.listen();
        b.endpoint.stopListening();
        a.endpoint.dial(address);
        a.endpoint.dial(new HostPort("no-such-host.invalid", 7788));
        a.awaitCount(Event.DIAL_FAILED, 3);
        b.endpoint.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), address.port()));
        assertEquals("b", a.awaitConnected().peer());
    }

    @Test
    void whenBothDialAtOnceBothKeepTheSameOne() throws Exception {
        TestNode.pair(a, b);
        HostPort atA = a.listen();
        HostPort atB = b.listen();
        for (int i = 0; i < 10; i++) {
            a.endpoint.dial(atB);
            b.endpoint.dial(atA);
            var frame = new Frame.Refused(UUID.randomUUID(), "round " + i);
            TestNode.await(
                    () -> {
                        var one = a.endpoint.session("b");
                        var other = b.endpoint.session("a");
                        return one.isPresent()
                                && other.isPresent()
                                && one.get().dialled() != other.get().dialled();
                    },
                    "one session at each side");
            // Whatever duplicates were under way are gone once a frame passes on a session that
            // stays.
            TestNode.await(
                    () -> {
                        a.endpoint.session("b").ifPresent(s -> s.sendControl(frame));
                        TestNode.Received got = b.received.poll();
                        return got != null && got.frame().equals(frame);
                    },
                    "a frame passes");
            a.endpoint.stopDialing(atB);
            b.endpoint.stopDialing(atA);
            b.received.clear();
            // A connection that the peer had dialled may still become a session.
            TestNode.await(
                    () -> {
                        a.endpoint.sessions().forEach(s -> s.close("next round"));
                        return a.endpoint.sessions().isEmpty() && b.endpoint.sessions().isEmpty();
                    },
                    "all closed");
        }
    }

    /// A clone of the host takes the session once, as a restarted daemon does. The host whose clone
    /// it is comes again and has it from then on, until it is stopped itself.
    @Test
    void aHostAndItsCloneDoNotTakeTheSessionFromEachOtherForEver() throws Exception {
        TestNode.pair(a, b);
        HostPort address = b.listen();
        a.endpoint.dial(address);
        long first = b.awaitConnected().peerInstance();
        try (var clone =
                new TestNode("a", a.identity, builder -> builder.settings(TestNode.quick()))) {
            clone.trusts(b);
            clone.endpoint.dial(address);
            long second = b.awaitConnected().peerInstance();
            assertNotEquals(first, second);
            LinkSession again = b.awaitConnected();
            assertEquals(first, again.peerInstance());
            for (int refused = 0; refused < 3; refused++) {
                assertEquals(again, b.usedTwice.poll(TestNode.PATIENCE_SECONDS, TimeUnit.SECONDS));
            }
            assertTrue(b.connected.isEmpty(), "the host is connected still");
            assertEquals(1, clone.connected.size(), "one that is refused begins no session");
            TestNode.await(
                    () ->
                            clone.endpoint
                                    .trouble()
                                    .filter(why -> why.contains("another host with the key of a"))
                                    .isPresent(),
                    "it is told why");
            a.close();
            assertEquals(second, b.awaitConnected().peerInstance());
        }
    }

    @Test
    void aPeerWhoseKeyIsRemovedIsDroppedAtOnceAndCannotComeBack() throws Exception {
        TestNode.pair(a, b);
        a.endpoint.dial(b.listen());
        a.awaitConnected();
        b.awaitConnected();
        b.peers.clear();
        b.endpoint.peersChanged();
        assertEquals("the key of a was removed", b.awaitDisconnected());
        assertEquals("the peer says: the key of a was removed", a.awaitDisconnected());
        b.awaitCount(Event.KEY_REFUSED, 3);
        assertTrue(b.connected.isEmpty());
        assertTrue(a.connected.isEmpty());
    }

    @Test
    void aPeerMayRenewItsKeyWhileBothPinsAreKnown() throws Exception {
        TestNode.pair(a, b);
        Identity next = a.identity.renewed();
        assertEquals(a.identity.node(), next.node());
        assertNotEquals(a.identity.pin(), next.pin());
        b.peers.put(next.pin(), "a");
        HostPort address = b.listen();
        a.endpoint.dial(address);
        b.awaitConnected();
        try (var renewed = new TestNode("a", next, builder -> builder)) {
            renewed.trusts(b);
            a.endpoint.stopDialing(address);
            renewed.endpoint.dial(address);
            assertEquals(next.pin(), b.awaitConnected().peerPin());
            b.awaitDisconnected();
        }
    }

    @Test
    void aPeerThatFallsSilentIsDeclaredDead() throws Exception {
        var times =
                TestNode.quick()
                        .withTimes(
                                Duration.ofSeconds(30),
                                Duration.ofMillis(300),
                                Duration.ofSeconds(30));
        try (var c = new TestNode("c", Identity.generate(), builder -> builder.settings(times))) {
            TestNode.pair(c, b);
            b.endpoint.dial(c.listen());
            c.awaitConnected();
            assertTrue(c.awaitDisconnected().startsWith("nothing heard for"));
            assertEquals(1, c.endpoint.counters().get(Event.PEER_DEAD));
        }
    }

    @Test
    void aHandlerThatFailsEndsItsSessionAndNothingElse() throws Exception {
        TestNode.pair(a, b);
        b.reader =
                (_, _, _) -> {
                    throw new AssertionError("a bug");
                };
        a.endpoint.dial(b.listen());
        b.awaitConnected();
        a.awaitConnected().sendControl(new Frame.Withdraw(UUID.randomUUID(), true));
        assertTrue(b.awaitDisconnected().contains("a bug"));
        b.reader = null;
        b.awaitConnected();
        a.awaitConnected();
        assertEquals(1, b.endpoint.counters().get(Event.HANDLER_FAILED));
    }

    @Test
    void aNodeDoesNotConnectToItself() throws Exception {
        a.peers.put(a.identity.pin(), "myself");
        a.endpoint.dial(a.listen());
        a.awaitCount(Event.DIALLED, 2);
        assertTrue(a.connected.isEmpty());
    }
}
