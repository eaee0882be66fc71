package holdfast.replicator.daemon;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.OwnedLock;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Frame;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/// A resource that is primary here: attached, with its device open and exported, or detached.
final class LocalPrimary implements LocalResource {
    /// A planned stop lets clients finish what they have asked, and the link what it has to send.
    private static final Duration CLIENTS_LIMIT = Duration.ofSeconds(10);

    private static final Duration PEER_LIMIT = Duration.ofSeconds(5);

    private static final SecureRandom RANDOM = new SecureRandom();

    /// Numbers the streams of this process, so that a late answer is known as such.
    private static final AtomicLong STREAMS = new AtomicLong(RANDOM.nextLong() >>> 2);

    private final Shared shared;
    private final ResourceDir dir;
    private final TcpExports tcp;
    private final StateChanges states;
    private volatile ResourceSettings settings;

    /// Null while detached.
    private volatile Attached attached;

    /// Why the last attach failed; null after one that did not.
    private volatile String attachTrouble;

    private volatile PeerSession session;
    private volatile Frame.ResourceHello peerHello;
    private volatile boolean syncPaused;

    /// The comparison that an operator ordered is not over, and there is a mark of it.
    private boolean comparing;

    /// Since when it waits for the peer before it is exported, in nanoseconds; null when it does
    /// not.
    private volatile Long gatedSince;

    private boolean closedTold;

    /// Everything that an attach opened, in this order.
    private record Attached(
            OwnedLock lock, FileBlockDevice device, PrimaryResource resource, NbdServer server) {}

    LocalPrimary(Shared shared, ResourceDir dir, TcpExports tcp, ResourceSettings settings) {
        this.shared = shared;
        this.dir = dir;
        this.tcp = tcp;
        this.states =
                new StateChanges(shared.events(), dir.name(), Files.exists(dir.standaloneMark()));
        this.settings = settings;
        this.syncPaused = Files.exists(dir.syncPausedMark());
        this.comparing = Files.exists(dir.compareMark());
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

    ResourceSettings settings() {
        return settings;
    }

    void accept(ResourceSettings next) throws DeviceException {
        dir.accept(next);
        settings = next;
    }

    Path socket() {
        return shared.paths().run().resolve(name() + ".nbd");
    }

    Path disk() {
        return Path.of(dir.facts().disk());
    }

    boolean isAttached() {
        return attached != null;
    }

    /// The export and the deciding object; empty while detached.
    Optional<PrimaryResource> resource() {
        Attached now = attached;
        return now == null ? Optional.empty() : Optional.of(now.resource());
    }

    /// Opens the device exclusively, starts a generation and exports it. Until the device and the
    /// socket are had nothing durable changes: an attach that fails costs no clean bitmap.
    synchronized void attach() throws IOException {
        if (attached != null) {
            return;
        }
        try {
            open();
            AtomicFile.write(dir.bootMark(), bootId().getBytes(StandardCharsets.UTF_8));
            gatedSince = null;
            attachTrouble = null;
        } catch (IOException | RuntimeException e) {
            attachTrouble = String.valueOf(e.getMessage());
            throw e;
        }
        PeerSession peer = session;
        if (peer != null) {
            connect(peer);
        }
    }

    // ---- the boot gate
    // ---------------------------------------------------------------------------

    private static String bootId() throws IOException {
        return Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip();
    }

    /// Whether the host was restarted since this was exported last.
    boolean isAfterReboot() throws IOException {
        return Files.exists(dir.bootMark()) && !Files.readString(dir.bootMark()).equals(bootId());
    }

    /// Asks the peer before it is exported. [#gate] says what comes of it.
    void hold() {
        gatedSince = System.nanoTime();
    }

    /// Empty when it does not wait.
    Optional<BootGate.Outcome> gate(Optional<Duration> limit) {
        Long since = gatedSince;
        return since == null
                ? Optional.empty()
                : Optional.of(
                        BootGate.decide(
                                Duration.ofNanos(System.nanoTime() - since),
                                limit,
                                dir.superblock().ancestry(),
                                peerHello));
    }

    /// It is to be exported; an attach that fails now is not tried by itself again.
    void letGo() {
        gatedSince = null;
    }

    /// Whether it is news that the gate stays closed.
    boolean tellsClosed() {
        boolean news = !closedTold;
        closedTold = true;
        return news;
    }

    private void ask(PeerSession peer) {
        Superblock known = dir.superblock();
        peer.send(
                new Frame.ResourceHello(
                        id(),
                        Role.PRIMARY.ordinal() + 1,
                        DiskState.DISKLESS.ordinal(),
                        known.sizeBytes(),
                        known.position(),
                        known.position(),
                        0,
                        true,
                        0,
                        false,
                        0,
                        known.ancestry()));
    }

    /// Why the last attach failed, if it did.
    Optional<String> attachTrouble() {
        return Optional.ofNullable(attachTrouble);
    }

    private void open() throws IOException {
        OwnedLock lock = OwnedLock.ofDevice(shared.lockDirectory(), disk(), name());
        try {
            FileBlockDevice device = FileBlockDevice.open(disk());
            try {
                attached = open(lock, device);
            } catch (IOException | RuntimeException e) {
                device.close();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            lock.close();
            throw e;
        }
    }

    private Attached open(OwnedLock lock, FileBlockDevice device) throws IOException {
        if (device.sizeBytes() != dir.superblock().sizeBytes()) {
            throw new IOException(
                    "%s has %d bytes, it had %d when it was added"
                            .formatted(disk(), device.sizeBytes(), dir.superblock().sizeBytes()));
        }
        CompletableFuture<PrimaryResource> made = new CompletableFuture<>();
        NbdServer server = shared.nbdServer(exportOf(made));
        try {
            server.listenUnix(socket());
            PrimaryResource resource = start(device);
            made.complete(resource);
            return new Attached(lock, device, resource, server);
        } catch (IOException | RuntimeException e) {
            made.completeExceptionally(e);
            server.close();
            throw e;
        }
    }

    /// A client that comes while the attach is under way waits for its end.
    private static Exports exportOf(CompletableFuture<PrimaryResource> made) {
        return new Exports() {
            @Override
            public List<Export> list() {
                try {
                    return List.of(made.join());
                } catch (CompletionException e) {
                    return List.of(); // The attach has failed.
                }
            }

            @Override
            public Optional<Export> find(String name) {
                return Exports.of(list()).find(name);
            }
        };
    }

    /// From here on the superblock says "not clean".
    private PrimaryResource start(FileBlockDevice device) throws IOException {
        MetadataLayout.Recovered found = dir.recover();
        if (found.damage() != null) {
            shared.events().of(name()).accept("metadata-damaged", found.damage());
        }
        long generation = RANDOM.nextLong() | 1;
        Primary.Attached start =
                dir.attach(
                        comparing ? found.kept().allSuspect() : found.kept(),
                        shared.nodeId(),
                        generation,
                        System.currentTimeMillis());
        Primary.Config config =
                new Primary.Config(
                        id(),
                        device.sizeBytes(),
                        settings.protocol().waitsForPeer(),
                        settings.onCongestion() == ResourceSettings.OnCongestion.BLOCK);
        PrimaryResource resource =
                new PrimaryResource(
                        name(),
                        device,
                        dir.metadata(),
                        config,
                        start,
                        shared.budget(),
                        shared.pool(),
                        shared.pace(),
                        shared.readBuffers(),
                        Link.compressionOf(settings.compression()),
                        LocalBackup.told(shared, name(), states),
                        this::stateIs);
        resource.pauseSync(pauseWords());
        return resource;
    }

    /// Under the resource's lock, in the order it happens.
    private void stateIs(Primary now) {
        states.is(
                StateChanges.DISK,
                (now.isFailed() ? DiskState.FAILED : DiskState.UP_TO_DATE).name());
        states.is(StateChanges.REPLICATION, now.state().name());
        peerIs(now.state());
    }

    private void peerIs(ReplicationState state) {
        Frame.ResourceHello peer = peerHello;
        states.is(
                StateChanges.PEER_ROLE,
                peer == null ? StateChanges.UNKNOWN : Role.SECONDARY.name());
        states.is(
                StateChanges.PEER_DISK,
                peer == null ? StateChanges.UNKNOWN : Reporter.peerDisk(peer, state));
    }

    /// Lets clients finish, keeps what the peer may lack, and closes the device.
    ///
    /// @param byOperator a start of the daemon does not attach it again
    synchronized void detach(boolean byOperator) throws IOException {
        Attached now = attached;
        if (now == null) {
            return;
        }
        endClients(now);
        attached = null;
        try {
            if (now.resource().detach()) {
                dir.detached(
                        now.resource().look(Primary::position),
                        now.resource().look(Primary::committed),
                        now.resource().look(Primary::peerCopy),
                        byOperator);
                forgetComparison(); // What is left of it is in the bitmap.
            }
        } finally {
            now.device().close();
            now.lock().close();
            states.is(StateChanges.REPLICATION, ReplicationState.OFF.name());
            states.is(StateChanges.DISK, DiskState.DISKLESS.name());
        }
    }

    /// No client is let in any more, and those that are there finish what they have asked.
    synchronized void stopClients() {
        Attached now = attached;
        if (now != null) {
            endClients(now);
        }
    }

    private void endClients(Attached now) {
        now.resource().stopClients();
        now.server().close(CLIENTS_LIMIT);
        tcp.end(now.resource(), CLIENTS_LIMIT);
    }

    /// Waits a bounded time until the peer has everything, when it is there at all.
    void awaitAcknowledgement() {
        long deadline = System.nanoTime() + PEER_LIMIT.toNanos();
        while (session != null && isBehind() && System.nanoTime() < deadline) {
            LockSupport.parkNanos(20_000_000);
        }
    }

    private boolean isBehind() {
        return resource()
                .map(
                        each ->
                                each.look(
                                        at ->
                                                at.state() == ReplicationState.ESTABLISHED
                                                        && !at.committed().equals(at.position())))
                .orElse(false);
    }

    // ---- the link ----------------------------------------------------------------------------

    @Override
    public void connect(PeerSession peer) {
        session = peer;
        peerHello = null;
        states.connected(true);
        if (gatedSince != null) {
            ask(peer);
        }
        resource().ifPresent(each -> each.connect(peer, STREAMS.incrementAndGet()));
    }

    @Override
    public void disconnect(PeerSession peer) {
        if (session == peer) {
            session = null;
            peerHello = null;
            states.connected(false);
        }
        resource().ifPresent(each -> each.disconnect(peer));
        if (session == null) {
            peerIs(ReplicationState.OFF);
        }
    }

    @Override
    public void received(PeerSession peer, Frame.OfResource frame) {
        if (frame instanceof Frame.ResourceHello hello && session == peer) {
            if (resource().filter(PrimaryResource::isApart).isPresent()) {
                connect(peer); // What we had refused, or was refused to us, may be over.
                return;
            }
            peerHello = hello;
        }
        resource().ifPresent(each -> each.received(peer, frame));
    }

    @Override
    public Frame.ResourceHello peerHello() {
        return peerHello;
    }

    // ---- what an operator orders --------------------------------------------------------------

    boolean isSyncPaused() {
        return syncPaused;
    }

    /// Stops catch-up, first sync and comparison, also over restarts, or lets them go on.
    synchronized void pauseSync(boolean pause) throws IOException {
        if (pause) {
            AtomicFile.write(dir.syncPausedMark(), new byte[0]);
        } else {
            Files.deleteIfExists(dir.syncPausedMark());
        }
        syncPaused = pause;
        resource().ifPresent(each -> each.pauseSync(pauseWords()));
    }

    private String pauseWords() {
        return syncPaused
                ? "catch-up, first sync and comparison are paused by an operator of %s; next, there: %s"
                        .formatted(shared.node(), shared.command("resume-sync " + name()))
                : "";
    }

    /// Has everything compared with the copy, now or as soon as that can be. What differs goes to
    /// the copy as one epoch; until then it can be opened as it was.
    synchronized void compareAll(String why) throws IOException {
        AtomicFile.write(dir.compareMark(), new byte[0]);
        comparing = true;
        resource().ifPresent(each -> each.compareAll(why));
        PeerSession peer = session;
        if (peer != null) {
            connect(peer);
        }
    }

    private static boolean lacksNothing(Primary at) {
        Primary.Figures figures = at.figures();
        return at.state() == ReplicationState.ESTABLISHED
                && figures.dirtyBlocks() + figures.suspectBlocks() + figures.frozenBlocks() == 0;
    }

    private void forgetComparison() throws DeviceException {
        try {
            Files.deleteIfExists(dir.compareMark());
            comparing = false;
        } catch (IOException e) {
            throw new DeviceException(0, dir.compareMark() + " cannot be deleted", e);
        }
    }

    /// An ordered comparison is remembered until it is over.
    synchronized void endComparison() {
        if (comparing && resource().filter(at -> at.look(LocalPrimary::lacksNothing)).isPresent()) {
            try {
                forgetComparison();
            } catch (DeviceException e) {
                shared.events().of(name()).accept("metadata-error", e.getMessage());
            }
        }
    }

    @Override
    public void close() {
        try {
            detach(false);
        } catch (IOException e) {
            shared.events().of(name()).accept("detach-failed", e.getMessage());
        }
        dir.close();
    }
}
