package holdfast.sim;

import holdfast.tunnel.wire.Frame;

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

    Machine(UUID node, LongSupplier nanos) {
        this.node = node;
        clock = new WallClock(nanos);
    }

    UUID node() {
        return node;
    }

    WallClock clock() {
        return clock;
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
