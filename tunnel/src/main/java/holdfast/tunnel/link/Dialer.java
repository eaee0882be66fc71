package holdfast.tunnel.link;

import holdfast.tunnel.link.Counters.Event;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.concurrent.TimeUnit;

/// Keeps one address dialled for as long as the endpoint lives: for ever, whatever goes wrong, ever
/// less often up to a cap, and not while a session with that peer is up. Owned by the event loop.
final class Dialer {
    private final LinkEndpoint endpoint;
    private final HostPort target;

    /// Failures since a session last was of use.
    private int failures;

    /// Whether an attempt or a connection of this dialer is under way, or a next attempt is
    /// scheduled.
    private boolean busy;

    private boolean stopped;

    /// Who answered there last; null until somebody did.
    private String peer;

    Dialer(LinkEndpoint endpoint, HostPort target) {
        this.endpoint = endpoint;
        this.target = target;
    }

    HostPort target() {
        return target;
    }

    void stop() {
        stopped = true;
    }

    boolean isStopped() {
        return stopped;
    }

    /// Dials unless that is pointless now; whenever a session ends it is asked again.
    void consider() {
        if (stopped || busy || (peer != null && endpoint.hasSession(peer))) {
            return;
        }
        busy = true;
        endpoint.loop()
                .schedule(this::attempt, failures == 0 ? 0 : delayNanos(), TimeUnit.NANOSECONDS);
    }

    /// Doubles from the least to the most; at least half of it, the rest by chance, so that many
    /// nodes do not come back all at once.
    private long delayNanos() {
        LinkSettings settings = endpoint.settings();
        long doubled = settings.backoffMin().toNanos() << Math.min(failures - 1, 20);
        long capped = Math.min(Math.max(doubled, 0), settings.backoffMax().toNanos());
        long half = capped / 2;
        return half + (long) (endpoint.jitter() * half);
    }

    private void attempt() {
        if (stopped || (peer != null && endpoint.hasSession(peer))) {
            busy = false;
            return;
        }
        // Asking for a name blocks, so it is not done on the event loop.
        int turn = failures;
        Thread.ofVirtual()
                .start(
                        () -> {
                            try {
                                InetAddress[] all = InetAddress.getAllByName(target.host());
                                InetAddress one = all[turn % all.length];
                                endpoint.onLoop(
                                        () ->
                                                endpoint.connect(
                                                        this,
                                                        new InetSocketAddress(one, target.port())));
                            } catch (UnknownHostException e) {
                                endpoint.onLoop(() -> failed("cannot resolve " + target.host()));
                            }
                        });
    }

    /// No connection came about.
    void failed(String reason) {
        endpoint.count(Event.DIAL_FAILED);
        endpoint.report(Event.DIAL_FAILED, "cannot reach " + target + ": " + reason);
        ended();
    }

    /// This is who answers there.
    void knows(String peer) {
        this.peer = peer;
    }

    /// A session with that peer has carried data or held for a while: after its loss the waits
    /// begin with the least again. One that did neither counts as a failure.
    void held(String peer) {
        if (peer.equals(this.peer)) {
            failures = 0;
        }
    }

    /// The attempt or the connection is over.
    void ended() {
        busy = false;
        failures++;
        consider();
    }
}
