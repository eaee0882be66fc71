package holdfast.replicator.daemon;

import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Role;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/// The states of one resource as its events told them last, whatever its role is or was. Each
/// change becomes an event at the moment it happens and in the order it happens, also one that is
/// over before anybody looks at the status. What a role tells follows what the one before it told,
/// so the values of each state are a chain without a gap from the start of the daemon on.
///
/// Any thread may call it, also under the resource's lock: nothing here waits or touches a file.
/// The words are those of [holdfast.replicator.status.StatusReport.Resource].
final class StateChanges {
    private static final Set<String> SYNCING =
            Set.of("FIRST_SYNC", "COMPARE", "SYNC_SOURCE", "SYNC_TARGET");

    static final String ROLE = "role";
    static final String CONNECTION = "connection";
    static final String DISK = "disk";
    static final String REPLICATION = "replication";
    static final String PEER_ROLE = "peer-role";
    static final String PEER_DISK = "peer-disk";

    /// What is said of a peer that has said nothing in this session.
    static final String UNKNOWN = "UNKNOWN";

    /// The same of its disk: DRBD's DUnknown.
    static final String UNKNOWN_DISK = "D_UNKNOWN";

    private final Events events;
    private final String resource;

    // All below is guarded by this object, which is held for moments.
    private final Map<String, String> told = new HashMap<>();
    private Voice speaker;

    /// That of the copy which is the speaker's device; null for none.
    private Voice below;

    private String disk = DiskState.DISKLESS.name();
    private boolean connected;
    private boolean standalone;
    private boolean linkStandalone;
    private boolean syncing;

    StateChanges(Events events, String resource) {
        this.events = events;
        this.resource = resource;
        told.put(DISK, disk);
        told.put(REPLICATION, ReplicationState.OFF.name());
        told.put(PEER_ROLE, UNKNOWN);
        told.put(PEER_DISK, UNKNOWN_DISK);
    }

    /// Its role speaks from now on, and no earlier one does: nothing is open yet, and no peer has
    /// said anything to it. The role itself is told by [Voice#takesOver].
    ///
    /// @param alone an operator keeps the resource off the link
    /// @param copy that of the copy which is the device of this role, null for none: of it only
    ///   counts whether it has failed
    synchronized Voice begin(Role role, boolean alone, Voice copy) {
        speaker = new Voice(role);
        below = copy;
        connected = false;
        standalone = alone;
        disk = DiskState.DISKLESS.name();
        is(REPLICATION, ReplicationState.OFF.name());
        tellDisk();
        is(PEER_ROLE, UNKNOWN);
        is(PEER_DISK, UNKNOWN_DISK);
        tellConnection();
        return speaker;
    }

    /// Of a copy that is about to be the device of a primary of this host, which speaks.
    synchronized Voice below() {
        return new Voice(Role.SECONDARY);
    }

    /// What one role tells.
    final class Voice {
        private final Role role;

        // Guarded as all of StateChanges is.
        private boolean failed;

        private Voice(Role role) {
            this.role = role;
        }

        /// It is in the place of the role before: whoever hears of it finds it there.
        void takesOver() {
            tell(() -> StateChanges.this.is(ROLE, role.name()));
        }

        /// One state has this value now.
        void is(String what, String value) {
            synchronized (StateChanges.this) {
                if (what.equals(DISK)) {
                    diskIs(this, value);
                } else if (speaker == this) {
                    StateChanges.this.is(what, value);
                }
            }
        }

        /// A commit has made the copy that of a newer moment.
        void synced(String text) {
            tell(
                    () -> {
                        syncing = false;
                        events.soon(resource, "sync-done", text);
                    });
        }

        void connected(boolean now) {
            tell(
                    () -> {
                        connected = now;
                        tellConnection();
                    });
        }

        /// An operator keeps this resource off the link, or does so no longer.
        void standalone(boolean now) {
            tell(
                    () -> {
                        standalone = now;
                        tellConnection();
                    });
        }

        /// An operator keeps the whole link down, or does so no longer.
        void linkStandalone(boolean now) {
            tell(
                    () -> {
                        linkStandalone = now;
                        tellConnection();
                    });
        }

        private void tell(Runnable what) {
            synchronized (StateChanges.this) {
                if (speaker == this) {
                    what.run();
                }
            }
        }
    }

    /// A role that is over counts no more, though its device may fail while it is closed.
    private void diskIs(Voice of, String value) {
        of.failed = value.equals(DiskState.FAILED.name());
        if (of == speaker) {
            disk = value;
        }
        tellDisk();
    }

    private void tellDisk() {
        boolean open =
                !disk.equals(DiskState.DISKLESS.name()) && !disk.equals(DiskState.ATTACHING.name());
        is(DISK, below != null && below.failed && open ? DiskState.FAILED.name() : disk);
    }

    /// What nobody was told before is how it began, and no change.
    private void is(String what, String value) {
        String before = told.put(what, value);
        if (before == null || value.equals(before)) {
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

    private void tellConnection() {
        is(
                CONNECTION,
                standalone || linkStandalone
                        ? "STANDALONE"
                        : connected ? "CONNECTED" : "CONNECTING");
    }
}
