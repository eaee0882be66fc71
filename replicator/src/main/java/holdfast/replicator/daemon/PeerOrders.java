package holdfast.replicator.daemon;

import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/// What a peer orders on one session and takes time: offers, withdrawals, orders to compare and to
/// grow. Those of one resource are carried out in their order, one after the other; one that waits
/// there for an order of this host's holds up no other resource.
final class PeerOrders {
    /// Orders of all resources that may wait. A daemon sends one and waits, on an operator's
    /// command; who sends more does not keep the protocol.
    static final int MAX_WAITING = 256;

    private final Executor pool;
    private final Consumer<RuntimeException> bug;

    // Guarded by this object.
    private final Map<UUID, Lane> lanes = new HashMap<>();
    private int waiting;

    private static final class Lane {
        final Mailbox mailbox;
        int waiting;

        Lane(Mailbox mailbox) {
            this.mailbox = mailbox;
        }
    }

    /// @param bug told when an order breaks an invariant
    PeerOrders(Executor pool, Consumer<RuntimeException> bug) {
        this.pool = pool;
        this.bug = bug;
    }

    /// Has an order carried out soon, behind those of its resource.
    ///
    /// @return false if too many wait: it is not carried out
    synchronized boolean post(UUID resource, Runnable order) {
        if (waiting >= MAX_WAITING) {
            return false;
        }
        waiting++;
        Lane lane =
                lanes.computeIfAbsent(resource, _ -> new Lane(new Mailbox(pool, () -> {}, bug)));
        lane.waiting++;
        lane.mailbox.post(
                () -> {
                    try {
                        order.run();
                    } finally {
                        done(resource, lane);
                    }
                });
        return true;
    }

    private synchronized void done(UUID resource, Lane lane) {
        waiting--;
        if (--lane.waiting == 0) {
            lanes.remove(resource);
        }
    }

    /// Resources that have an order waiting or under way.
    synchronized int size() {
        return lanes.size();
    }
}
