package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.device.OwnedLock;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdLimits;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.state.Backup;
import holdfast.tunnel.wire.Frame;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentSkipListMap;

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
            long journalBytes) {
        this.shared = shared;
        this.dir = dir;
        this.lock = lock;
        this.base = base;
        this.journal = journal;
        this.resource = resource;
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

    /// Opens base and journal and reads what the journal holds.
    ///
    /// @throws IOException if either cannot be opened or is damaged where that is not expected
    static LocalBackup open(Shared shared, ResourceDir dir) throws IOException {
        long journalBytes = dir.facts().journalBytes();
        Path disk = Path.of(dir.facts().disk());
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
            journal =
                    JournalFiles.open(
                            Path.of(dir.facts().journal()), segment, whole, known.watermark());
            journal.reserve(whole);
            long incarnation = dir.openJournal();
            Backup.Config config =
                    new Backup.Config(
                            known.resource(),
                            known.sizeBytes(),
                            whole,
                            segment,
                            Math.min(ROLL_BYTES, whole / 4),
                            known.blank());
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
                            shared.events().of(dir.name()));
            return new LocalBackup(shared, dir, lock, base, journal, resource, whole);
        } catch (CorruptFormatException e) {
            close(journal, base, lock);
            throw new IOException(e.getMessage(), e);
        } catch (IOException | RuntimeException e) {
            close(journal, base, lock);
            throw e;
        }
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
    }

    @Override
    public void disconnect(PeerSession peer) {
        if (session == peer) {
            session = null;
            peerHello = null;
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
            resource.greeted(peer, hello);
        } else {
            resource.received(peer, frame);
        }
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
        NbdServer server =
                new NbdServer(Exports.of(List.of(export)), shared.payloads(), NbdLimits.DEFAULT);
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
    boolean settle() {
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
            java.nio.file.Files.deleteIfExists(Path.of(dir.facts().disk()));
        }
        dir.remove();
    }
}
