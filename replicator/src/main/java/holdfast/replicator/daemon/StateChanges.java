package holdfast.replicator.daemon;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/// The states of one resource as its events told them last. Each change becomes an event at the
/// moment it happens and in the order it happens, also one that is over before anybody looks at the
/// status.
///
/// Any thread may call it, also under the resource's lock: nothing here waits or touches a file.
/// The words are those of [holdfast.replicator.status.StatusReport.Resource].
final class StateChanges {
    private static final Set<String> SYNCING =
            Set.of("FIRST_SYNC", "COMPARE", "SYNC_SOURCE", "SYNC_TARGET");

    static final String CONNECTION = "connection";
    static final String DISK = "disk";
    static final String REPLICATION = "replication";
    static final String PEER_ROLE = "peer-role";
    static final String PEER_DISK = "peer-disk";

    /// What is said of a peer that has said nothing in this session.
    static final String UNKNOWN = "UNKNOWN";

    private final Events events;
    private final String resource;

    // All below is guarded by this object, which is held for moments.
    private final Map<String, String> told = new HashMap<>();
    private boolean connected;
    private boolean standalone;
    private boolean linkStandalone;
    private boolean syncing;

    /// @param standalone an operator keeps the resource off the link
    StateChanges(Events events, String resource, boolean standalone) {
        this.events = events;
        this.resource = resource;
        this.standalone = standalone;
        told.put(CONNECTION, standalone ? "STANDALONE" : "CONNECTING");
        told.put(DISK, "DISKLESS");
        told.put(REPLICATION, "OFF");
        told.put(PEER_ROLE, UNKNOWN);
        told.put(PEER_DISK, UNKNOWN);
    }

    /// One state has this value now.
    synchronized void is(String what, String value) {
        String before = told.put(what, value);
        if (value.equals(before)) {
            return;
        }
        events.changed(resource, what, before, value);
        if (what.equals(REPLICATION)) {
            replicationIs(value);
        }
    }

    private void replicationIs(String value) {
        if (SYNCING.contains(value) && !syncing) {
            syncing = true;
            events.soon(
                    resource,
                    "sync-started",
                    value.equals("SYNC_TARGET")
                            ? "the copy is being brought up to date"
                            : "the copy at the peer is being brought up to date");
        } else if (value.equals("OFF") && syncing) {
            syncing = false;
            events.soon(resource, "sync-interrupted", "it goes on when the peer is there again");
        }
    }

    /// A commit has made the copy that of a newer moment.
    synchronized void synced(String text) {
        syncing = false;
        events.soon(resource, "sync-done", text);
    }

    synchronized void connected(boolean now) {
        connected = now;
        tellConnection();
    }

    /// An operator keeps this resource off the link, or does so no longer.
    synchronized void standalone(boolean now) {
        standalone = now;
        tellConnection();
    }

    /// An operator keeps the whole link down, or does so no longer.
    synchronized void linkStandalone(boolean now) {
        linkStandalone = now;
        tellConnection();
    }

    private void tellConnection() {
        is(
                CONNECTION,
                standalone || linkStandalone
                        ? "STANDALONE"
                        : connected ? "CONNECTED" : "CONNECTING");
    }
}
