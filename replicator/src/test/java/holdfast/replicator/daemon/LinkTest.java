package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.EventLog;
import holdfast.tunnel.link.HostPort;
import holdfast.tunnel.link.Identity;
import holdfast.tunnel.link.LinkEndpoint;
import holdfast.tunnel.link.LinkHandler;
import holdfast.tunnel.link.LinkSession;
import holdfast.tunnel.link.Peers;
import holdfast.tunnel.wire.Frame;

import org.junit.jupiter.api.Test;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

class LinkTest {
    private static final LinkHandler NOTHING =
            new LinkHandler() {
                @Override
                public void connected(LinkSession session) {}

                @Override
                public void disconnected(LinkSession session, String reason) {}

                @Override
                public void received(LinkSession session, int stream, Frame frame) {}
            };

    private final List<String> told = new ArrayList<>();
    private final Events events =
            new Events(new EventLog("backup", Clock.systemUTC()), Runnable::run);
    private final Link link = new Link(new NoResources(), Runnable::run, events);

    /// Two peers were cloned, and both clones knock in turn every few seconds.
    @Test
    void aKeyThatIsUsedTwiceIsToldOnceForEachPeer() throws Exception {
        Identity alpha = Identity.generate();
        Identity beta = Identity.generate();
        Peers peers = pin -> Optional.of(pin.equals(alpha.pin()) ? "alpha" : "beta");
        try (var backup = LinkEndpoint.builder(Identity.generate(), "backup", peers, link).build();
                var a = peer(alpha);
                var b = peer(beta)) {
            InetSocketAddress bound =
                    backup.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
            a.dial(new HostPort("127.0.0.1", bound.getPort()));
            b.dial(new HostPort("127.0.0.1", bound.getPort()));
            LinkSession withAlpha = awaitSession("alpha");
            LinkSession withBeta = awaitSession("beta");
            events.listener(
                    event -> {
                        if (event.kind().equals("key-used-twice")) {
                            told.add(event.text());
                        }
                    });
            for (int i = 0; i < 3; i++) {
                link.usedTwice(withAlpha, "192.0.2.1");
                link.usedTwice(withBeta, "192.0.2.2");
            }
            assertEquals(2, told.size(), told.toString());
        }
    }

    private LinkSession awaitSession(String peer) {
        assertTrue(link.awaitSession(peer, Duration.ofSeconds(20)).isPresent(), peer);
        return link.linkSession(peer).orElseThrow();
    }

    private static LinkEndpoint peer(Identity identity) {
        return LinkEndpoint.builder(identity, "peer", _ -> Optional.of("backup"), NOTHING).build();
    }

    private static final class NoResources implements Link.Resources {
        @Override
        public Iterable<LocalResource> ofPeer(String peer) {
            return List.of();
        }

        @Override
        public Optional<LocalResource> find(UUID id) {
            return Optional.empty();
        }

        @Override
        public String whyNot(String peer, UUID id) {
            throw new AssertionError(peer);
        }

        @Override
        public Frame.OfferReply offered(String peer, Frame.Offer offer) {
            throw new AssertionError(peer);
        }

        @Override
        public void withdrawn(String peer, Frame.Withdraw withdraw) {
            throw new AssertionError(peer);
        }

        @Override
        public Frame.InvalidateReply invalidated(String peer, Frame.Invalidate order) {
            throw new AssertionError(peer);
        }

        @Override
        public Frame.ResizeReply resized(String peer, Frame.Resize order) {
            throw new AssertionError(peer);
        }
    }
}
