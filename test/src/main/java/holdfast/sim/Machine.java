package holdfast.sim;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;

import java.util.List;
import java.util.UUID;
import java.util.function.LongSupplier;

/// One of the two hosts, with its clock, its end of the link and the part that it plays now: a
/// primary, a copy, or the primary of a copy that was promoted.
final class Machine {
    private final UUID node;
    private final WallClock clock;

    /// Null while it has none.
    private PrimaryHost primary;

    /// Null when there is none beside a primary, or none any more.
    private BackupHost copy;

    /// The connection that is there; null for none.
    private SimLink link;

    private SimLink.Pipe out;

    private final LongSupplier nanos;

    /// What is known of the other's clock.
    private PeerClock peerClock = PeerClock.UNKNOWN;

    /// @param aheadMillis how far its clock is ahead of the right time
    Machine(UUID node, LongSupplier nanos, long aheadMillis) {
        this.node = node;
        this.nanos = nanos;
        clock = new WallClock(nanos, aheadMillis);
    }

    UUID node() {
        return node;
    }

    WallClock clock() {
        return clock;
    }

    /// Asks the other over a connection what its clock shows; a ping and its answer take no bytes.
    void ping(SimLink over, SimLink.Pipe to, SimLink.Pipe back, Machine other) {
        long sent = nanos.getAsLong();
        to.behindAll(
                () -> {
                    long shown = other.clock.millis();
                    back.behindAll(
                            () -> {
                                if (link == over) {
                                    long now = nanos.getAsLong();
                                    peerClock =
                                            peerClock.answered(sent, now, clock.millis(), shown);
                                }
                            });
                });
    }

    /// What the other's clock shows; null while that is not known.
    PeerClock.Reading peerReading() {
        return peerClock.at(nanos.getAsLong(), clock.millis()).orElse(null);
    }

    void plays(PrimaryHost primary, BackupHost copy) {
        this.primary = primary;
        this.copy = copy;
    }

    PrimaryHost primary() {
        return primary;
    }

    BackupHost copy() {
        return copy;
    }

    boolean has(PrimaryHost host) {
        return primary == host;
    }

    boolean isReady() {
        return primary == null ? copy.isUp() : primary.isUp() && !primary.isStopping();
    }

    /// Whether a primary is up here.
    boolean isWrittenTo() {
        return primary != null && primary.isUp();
    }

    void sessionUp(SimLink with, SimLink.Pipe to) {
        link = with;
        out = to;
        peerClock = PeerClock.UNKNOWN;
        join();
    }

    /// Whoever plays here now takes the connection that is there.
    void join() {
        if (link == null || link.isCut()) {
            return;
        }
        if (primary == null) {
            copy.sessionUp(link, out);
        } else if (primary.isUp() && !primary.isStopping()) {
            primary.sessionUp(link, out);
        }
    }

    /// As [#join], of a copy that asks the primary to greet.
    void call() {
        join();
        if (primary == null && copy.isUp()) {
            copy.call();
        }
    }

    void sessionDown(SimLink of) {
        if (link == of) {
            link = null;
        }
        if (primary != null) {
            primary.sessionDown(of);
        }
        if (copy != null) {
            copy.sessionDown(of);
        }
    }

    void received(SimLink of, int stream, List<Frame> frames) {
        if (primary != null) {
            primary.received(of, frames);
        } else {
            copy.received(of, stream, frames);
        }
    }

    void drained() {
        if (primary != null && primary.isUp()) {
            primary.wakeSender();
        }
    }
}
