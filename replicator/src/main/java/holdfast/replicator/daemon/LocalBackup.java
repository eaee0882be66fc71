package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.DeviceNode;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.device.OwnedLock;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Frame;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.BiConsumer;

/// A resource whose copy is kept here: its base and its journal, open for as long as the daemon
/// runs, and the views that somebody has opened.
final class LocalBackup implements LocalResource {
    private static final Duration CLIENTS_LIMIT = Duration.ofSeconds(10);

    /// Journal use from which on records are rolled into the base.
    private static final long ROLL_BYTES = 64 << 20;

    private final Shared shared;
    private final ResourceDir dir;
    private final OwnedLock lock;
    private final FileBlockDevice base;
    private final JournalFiles journal;
    private final BackupResource resource;
    private final StateChanges states;
    private final long journalBytes;
    private final Map<String, OpenView> views = new ConcurrentSkipListMap<>();
    private volatile Frame.ResourceHello peerHello;
    private volatile PeerSession session;

    /// A view that is served.
    record OpenView(
            String id, Backup.View view, ViewExport export, NbdServer server, Path socket) {}

    private LocalBackup(
            Shared shared,
            ResourceDir dir,
            OwnedLock lock,
            FileBlockDevice base,
            JournalFiles journal,
            BackupResource resource,
            StateChanges states,
            long journalBytes) {
        this.shared = shared;
        this.dir = dir;
        this.lock = lock;
        this.base = base;
        this.journal = journal;
        this.resource = resource;
        this.states = states;
        this.journalBytes = journalBytes;
    }

    /// The segment size of a journal of this size: 16 of them, within bounds.
    static long segmentBytes(long journalBytes) {
        return Math.clamp(Long.highestOneBit(journalBytes / 16), 4 << 20, 64 << 20);
    }

    /// The journal's size as whole segments.
    static long wholeSegments(long journalBytes) {
        long segment = segmentBytes(journalBytes);
        return Math.max(2, journalBytes / segment) * segment;
    }

    /// Makes the journal and notes what the base is, before the resource's directory is whole: from
    /// then on their absence is a loss. A crash leaves files that nobody refers to.
    static void create(ResourceDir.Facts facts) throws IOException {
        JournalFiles.create(
                Path.of(facts.journal()),
                segmentBytes(facts.journalBytes()),
                wholeSegments(facts.journalBytes()));
    }

    /// Opens base and journal and reads what the journal holds.
    ///
    /// @throws IOException if either is not there, is not the one it was or cannot be opened;
    ///   nothing was changed then
    static LocalBackup open(Shared shared, ResourceDir dir) throws IOException {
        long journalBytes = dir.facts().journalBytes();
        Path disk = Path.of(dir.facts().disk());
        requireSameBase(dir, disk);
        OwnedLock lock = OwnedLock.ofDevice(shared.lockDirectory(), disk, dir.name());
        FileBlockDevice base = null;
        JournalFiles journal = null;
        try {
            base = FileBlockDevice.open(disk);
            Superblock known = dir.superblock();
            if (base.sizeBytes() < known.sizeBytes()) {
                throw new IOException(
                        "%s has %d bytes, the copy needs %d"
                                .formatted(disk, base.sizeBytes(), known.sizeBytes()));
            }
            long segment = segmentBytes(journalBytes);
            long whole = wholeSegments(journalBytes);
            journal = openJournal(dir, segment, whole);
            journal.reserve(whole);
            // What a killed daemon had written and not synced reads back as if it were durable.
            base.sync();
            long incarnation = dir.openJournal();
            Backup.Config config =
                    new Backup.Config(
                            known.resource(),
                            known.sizeBytes(),
                            whole,
                            segment,
                            Math.min(ROLL_BYTES, whole / 4),
                            known.blank());
            StateChanges states =
                    new StateChanges(
                            shared.events(), dir.name(), Files.exists(dir.standaloneMark()));
            BackupResource resource =
                    new BackupResource(
                            dir.name(),
                            base,
                            journal,
                            shared.committer(),
                            config,
                            ResourceDir.base(dir.superblock()),
                            incarnation,
                            shared.pool(),
                            shared.pace(),
                            dir,
                            shared.command("connect " + dir.name()),
                            told(shared, dir.name(), states),
                            states::is);
            return new LocalBackup(shared, dir, lock, base, journal, resource, states, whole);
        } catch (IOException | RuntimeException e) {
            close(journal, base, lock);
            throw e;
        }
    }

    /// A commit that is durable ends a catch-up.
    static BiConsumer<String, String> told(Shared shared, String name, StateChanges states) {
        return (kind, text) -> {
            shared.events().of(name).accept(kind, text);
            if (kind.equals("epoch-committed")) {
                states.synced(text);
            }
        };
    }

    private static JournalFiles openJournal(ResourceDir dir, long segmentBytes, long maxBytes)
            throws IOException {
        try {
            return JournalFiles.open(
                    Path.of(dir.facts().journal()),
                    segmentBytes,
                    maxBytes,
                    dir.superblock().watermark());
        } catch (CorruptFormatException e) {
            throw notThere(dir, "its journal is not there or not whole", e.getMessage());
        }
    }

    /// An empty or strange base under a journal that is there would be taken for the copy.
    private static void requireSameBase(ResourceDir dir, Path disk) throws IOException {
        String expected = dir.baseIdentity();
        String found;
        try {
            found = DeviceNode.of(disk).identity();
        } catch (DeviceException e) {
            throw notThere(dir, "its base is not there", e.getMessage());
        }
        if (!expected.isEmpty() && !expected.equals(found)) {
            throw notThere(
                    dir,
                    "its base is another one",
                    "%s is %s, it was %s; if you moved the copy yourself: rm %s"
                            .formatted(disk, found, expected, dir.baseIdentityFile()));
        }
    }

    private static IOException notThere(ResourceDir dir, String cause, String evidence) {
        Superblock known = dir.superblock();
        return new IOException(
                "%s: %s: %s (%s). Nothing was changed. If its filesystem is not mounted, mount it"
                        .formatted(
                                dir.name(),
                                cause,
                                evidence,
                                known.everCommitted()
                                        ? "the copy stands at %s or later"
                                                .formatted(known.position())
                                        : "the copy was opened %d times"
                                                .formatted(known.incarnation())));
    }

    private static void close(JournalFiles journal, FileBlockDevice base, OwnedLock lock) {
        if (journal != null) {
            journal.close();
        }
        if (base != null) {
            base.close();
        }
        lock.close();
    }

    @Override
    public String name() {
        return dir.name();
    }

    @Override
    public UUID id() {
        return dir.facts().uuid();
    }

    @Override
    public ResourceDir dir() {
        return dir;
    }

    @Override
    public StateChanges states() {
        return states;
    }

    BackupResource resource() {
        return resource;
    }

    long journalBytes() {
        return journalBytes;
    }

    // ---- the link ----------------------------------------------------------------------------

    /// The primary greets first; nothing to do before.
    @Override
    public void connect(PeerSession peer) {
        session = peer;
        states.connected(true);
        resource.tryAgain();
    }

    /// An operator has put it on the link again: the primary is asked to greet.
    void call(PeerSession peer) {
        resource.call(peer);
    }

    @Override
    public void disconnect(PeerSession peer) {
        if (session == peer) {
            session = null;
            peerHello = null;
            states.connected(false);
            peerIs(StateChanges.UNKNOWN, StateChanges.UNKNOWN);
        }
        resource.disconnect(peer);
    }

    @Override
    public void received(PeerSession peer, Frame.OfResource frame) {
        if (session != peer) {
            return;
        }
        if (frame instanceof Frame.ResourceHello hello) {
            peerHello = hello;
            peerIs(Role.PRIMARY.name(), DiskState.of(hello.diskState()).name());
            resource.greeted(peer, hello);
        } else {
            resource.received(peer, frame);
        }
    }

    private void peerIs(String role, String disk) {
        states.is(StateChanges.PEER_ROLE, role);
        states.is(StateChanges.PEER_DISK, disk);
    }

    @Override
    public Frame.ResourceHello peerHello() {
        return peerHello;
    }

    // ---- views -------------------------------------------------------------------------------

    /// Serves the newest committed point read-only on a socket of its own.
    ///
    /// @return null while there is no point yet
    synchronized OpenView openView() throws IOException {
        Backup.View view = resource.openView();
        if (view == null) {
            return null;
        }
        String id = name() + "@" + view.id();
        Path socket = shared.paths().run().resolve(id + ".nbd");
        ViewExport export =
                new ViewExport(name() + "@latest", resource, view, dir.superblock().sizeBytes());
        NbdServer server = shared.nbdServer(Exports.of(List.of(export)));
        try {
            server.listenUnix(socket);
        } catch (IOException | RuntimeException e) {
            server.close();
            resource.closeView(view);
            throw e;
        }
        OpenView opened = new OpenView(id, view, export, server, socket);
        views.put(id, opened);
        return opened;
    }

    /// @return false if there is no such view
    synchronized boolean closeView(String id) {
        OpenView view = views.remove(id);
        if (view == null) {
            return false;
        }
        view.server().close(CLIENTS_LIMIT);
        resource.closeView(view.view());
        return true;
    }

    Collection<OpenView> views() {
        return views.values();
    }

    // ---- the end -----------------------------------------------------------------------------

    /// Rolls everything into the base, so that the base alone is the newest point.
    ///
    /// @return what prevents it; empty when it is done
    String settle() {
        return resource.settle();
    }

    @Override
    public synchronized void close() {
        for (String id : List.copyOf(views.keySet())) {
            closeView(id);
        }
        resource.stop();
        journal.close();
        try {
            base.sync();
        } catch (DeviceException e) {
            shared.events().of(name()).accept("base-error", e.getMessage());
        }
        base.close();
        lock.close();
        dir.close();
    }

    /// After [#close]: takes the journal away, and the copy with it unless it is to stay.
    void delete(boolean keepCopy) throws IOException {
        ResourceDir.delete(Path.of(dir.facts().journal()));
        if (!keepCopy && dir.facts().ownDisk()) {
            Files.deleteIfExists(Path.of(dir.facts().disk()));
        }
        dir.remove();
    }
}
