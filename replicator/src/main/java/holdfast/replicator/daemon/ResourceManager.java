package holdfast.replicator.daemon;

import holdfast.replicator.config.Address;
import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.NodeSettings;
import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.config.Settings;
import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.Signature;
import holdfast.replicator.state.Role;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.Words;
import holdfast.tunnel.wire.Frame;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/// The resources of this node: made, attached, opened and removed, on order of an operator here or
/// of a peer.
final class ResourceManager implements Link.Resources {
    private static final Duration ANSWER = Duration.ofSeconds(30);

    /// A journal holds what a backup takes in while it cannot roll forward, and one epoch.
    private static final long JOURNAL_MIN_BYTES = 64L << 20;

    private static final long JOURNAL_MAX_PROPOSAL_BYTES = 4L << 30;

    private static final SecureRandom RANDOM = new SecureRandom();

    private final Shared shared;
    private final Supplier<NodeSettings> node;
    private final PeerBook peers;
    private final Path directory;
    private final KernelDevice kernel = new KernelDevice();
    private final SortedMap<String, LocalResource> byName = new ConcurrentSkipListMap<>();
    private Link link;

    ResourceManager(Shared shared, Supplier<NodeSettings> node, PeerBook peers) {
        this.shared = shared;
        this.node = node;
        this.peers = peers;
        this.directory = shared.paths().state().resolve("resources");
    }

    void use(Link link) {
        this.link = link;
    }

    // ---- start and end -----------------------------------------------------------------------

    /// Opens every resource there is. One that cannot be opened is reported and left alone; the
    /// others are not held up by it.
    void openAll() throws IOException {
        for (String name : ResourceDir.names(directory)) {
            try {
                open(name);
            } catch (IOException | RuntimeException e) {
                shared.events().of(name).accept("open-failed", String.valueOf(e.getMessage()));
            }
        }
    }

    private void open(String name) throws IOException {
        ResourceDir dir = ResourceDir.open(directory, name);
        if (dir.facts().isPrimary()) {
            LocalPrimary primary = new LocalPrimary(shared, dir, dir.settings());
            byName.put(name, primary);
            if (!dir.superblock().detached()) {
                primary.attach(tcp());
            }
        } else {
            try {
                byName.put(name, LocalBackup.open(shared, dir));
            } catch (IOException | RuntimeException e) {
                dir.close();
                throw e;
            }
        }
    }

    /// With several resources on one address a client chooses by name; so far each has its own Unix
    /// socket, and TCP serves the first that asks.
    private Optional<InetSocketAddress> tcp() {
        boolean taken =
                byName.values().stream()
                        .anyMatch(each -> each instanceof LocalPrimary p && p.isAttached());
        return taken
                ? Optional.empty()
                : node.get()
                        .nbdListen()
                        .map((Address a) -> new InetSocketAddress(a.host(), a.port()));
    }

    void tick(long nowNanos, long wallMillis) {
        for (LocalResource each : byName.values()) {
            if (each instanceof LocalPrimary primary) {
                primary.resource().ifPresent(at -> at.tick(nowNanos, wallMillis));
            }
        }
    }

    void keepWhatIsKnown() {
        for (LocalResource each : byName.values()) {
            if (each instanceof LocalPrimary primary) {
                primary.keepWhatIsKnown();
            }
        }
    }

    /// Clients are let finish while the link is still there, so that what they wrote still goes
    /// out.
    void stop() {
        for (LocalResource each : byName.values()) {
            if (each instanceof LocalPrimary primary) {
                primary.stopClients();
            }
        }
        for (LocalResource each : byName.values()) {
            if (each instanceof LocalPrimary primary) {
                primary.awaitAcknowledgement();
            }
        }
    }

    void closeAll() {
        byName.values().forEach(LocalResource::close);
        byName.clear();
    }

    // ---- looking -----------------------------------------------------------------------------

    Collection<LocalResource> all() {
        return byName.values();
    }

    @Override
    public Iterable<LocalResource> ofPeer(String peer) {
        return byName.values().stream()
                .filter(each -> each.dir().facts().peer().equals(peer) && !isStandalone(each))
                .toList();
    }

    @Override
    public Optional<LocalResource> find(UUID id) {
        return byName.values().stream()
                .filter(each -> each.id().equals(id) && !isStandalone(each))
                .findFirst();
    }

    private LocalResource get(String name) throws ProblemException {
        LocalResource found = byName.get(name);
        if (found == null) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "there is no resource " + name + " here",
                    "status",
                    byName.isEmpty() ? "no resource at all" : "resources: " + byName.keySet());
        }
        return found;
    }

    private LocalPrimary getPrimary(String name) throws ProblemException {
        if (get(name) instanceof LocalPrimary primary) {
            return primary;
        }
        throw refused(
                Role.SECONDARY,
                name + " is secondary here",
                "open " + name,
                "its primary is " + byName.get(name).dir().facts().peer());
    }

    private LocalBackup getBackup(String name) throws ProblemException {
        if (get(name) instanceof LocalBackup backup) {
            return backup;
        }
        throw refused(
                Role.PRIMARY,
                name + " is primary here: the copy is opened at its backup",
                "status",
                "the copy is at " + byName.get(name).dir().facts().peer());
    }

    private ProblemException refused(Role role, String cause, String next, String... evidence) {
        return new ProblemException(
                shared.problem(ExitCode.REFUSED, cause, next, evidence)
                        .problem()
                        .withRole(role.name()));
    }

    // ---- add ---------------------------------------------------------------------------------

    /// The same name at the same node is the same resource: an `add` that was cut off is made
    /// again.
    private UUID idOf(String name) {
        return UUID.nameUUIDFromBytes(
                (shared.nodeId() + "/" + name).getBytes(StandardCharsets.UTF_8));
    }

    ControlApi.AddReply add(ControlApi.AddRequest request, StatusReport.Rate rate)
            throws ProblemException {
        String name = checkedName(request.name());
        if (byName.containsKey(name)) {
            throw shared.problem(
                    ExitCode.REFUSED, "there is a resource " + name + " already", "status " + name);
        }
        PeerBook.Entry peer =
                peers.peer()
                        .orElseThrow(
                                () ->
                                        shared.problem(
                                                ExitCode.REFUSED,
                                                "this node has no peer yet",
                                                "join hf1:...",
                                                "at the other host: holdfast invite"));
        PeerSession session =
                link.awaitSession(peer.name(), Daemon.CONNECTING)
                        .orElseThrow(
                                () ->
                                        shared.problem(
                                                ExitCode.PEER_AWAY,
                                                peer.name() + " cannot be reached",
                                                "status"));
        Path disk = Path.of(request.disk());
        long size;
        Optional<String> holds;
        try (FileBlockDevice device = FileBlockDevice.openReadOnly(disk)) {
            size = device.sizeBytes();
            if (size == 0 || size % 512 != 0) {
                throw new IOException(
                        "%s has %d bytes, should be a whole number of 512".formatted(disk, size));
            }
            holds = holds(disk);
            requireNotUnderUs(disk);
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.REFUSED, disk + " cannot be replicated", "", e.getMessage());
        }
        long journal =
                request.journalBytes()
                        .orElse(
                                Math.clamp(
                                        size / 10, JOURNAL_MIN_BYTES, JOURNAL_MAX_PROPOSAL_BYTES));
        ResourceSettings settings = settingsFor(request, peer.name(), disk, journal);
        Frame.OfferReply answer =
                ask(
                        session,
                        peer.name(),
                        new Frame.Offer(
                                idOf(name),
                                name,
                                size,
                                settings.render(),
                                request.dryRun(),
                                request.confirm().orElse("")));
        String confirm = peer.name() + "/" + name;
        if (!answer.accepted()) {
            boolean asks = answer.reason().isEmpty();
            if (asks && !request.dryRun()) {
                throw new ProblemException(
                        Problem.of(
                                        ExitCode.CONFIRMATION_NEEDED,
                                        shared.node(),
                                        "what %s holds at %s would be overwritten"
                                                .formatted(answer.disk(), peer.name()))
                                .withEvidence(answer.holds())
                                .withNext(
                                        shared.command(
                                                "add %s %s%s --confirm %s"
                                                        .formatted(
                                                                name,
                                                                disk,
                                                                request.peerDisk()
                                                                        .map(
                                                                                each ->
                                                                                        " --peer-disk "
                                                                                                + each)
                                                                        .orElse(""),
                                                                confirm))));
            }
            if (!asks) {
                throw shared.problem(
                        ExitCode.REFUSED,
                        peer.name() + " does not take a copy of " + name,
                        "",
                        answer.reason());
            }
        }
        if (!request.dryRun()) {
            create(name, disk, size, peer.name(), settings);
        }
        Optional<Double> seconds =
                java.util.stream.Stream.of(rate.bytesPerSecond(), rate.catchUpBytesPerSecond())
                        .flatMap(Optional::stream)
                        .min(Long::compare)
                        .map(each -> (double) size / each);
        return new ControlApi.AddReply(
                !request.dryRun(),
                name,
                shared.node(),
                disk.toString(),
                size,
                holds,
                peer.name(),
                answer.disk(),
                answer.holds().isEmpty() ? Optional.empty() : Optional.of(answer.holds()),
                journal,
                seconds,
                Optional.of(
                        "/dev/holdfast/%s /MOUNTPOINT auto _netdev,nofail,x-systemd.requires=holdfast.service 0 2"
                                .formatted(name)),
                List.of(),
                answer.holds().isEmpty() ? Optional.empty() : Optional.of(confirm));
    }

    private String checkedName(String name) throws ProblemException {
        try {
            return Settings.checkResourceName(name);
        } catch (IllegalArgumentException e) {
            throw shared.problem(ExitCode.USAGE, e.getMessage(), "add home /dev/vg0/home");
        }
    }

    /// What a device holds, in words; empty when it is blank.
    private static Optional<String> holds(Path disk) throws IOException {
        return switch (Signature.probe(disk)) {
            case Signature.Blank() -> Optional.empty();
            case Signature.Unknown(long offset) ->
                    Optional.of("data of an unknown kind, at byte " + offset);
            case Signature.Known(List<Signature.Content> found) ->
                    Optional.of(
                            found.stream()
                                    .map(Signature.Content::toString)
                                    .collect(Collectors.joining("; ")));
        };
    }

    /// Our own files on a filesystem that the device carries would wait for themselves (R13).
    private void requireNotUnderUs(Path disk) throws IOException {
        if (Files.isRegularFile(disk)) {
            return;
        }
        Object device = Files.getAttribute(disk, "unix:rdev");
        for (Path own : List.of(shared.paths().state(), shared.paths().run())) {
            if (Files.getAttribute(own, "unix:dev").equals(device)) {
                throw new IOException(
                        own
                                + " lies on the filesystem that "
                                + disk
                                + " carries: move it elsewhere");
            }
        }
    }

    private ResourceSettings settingsFor(
            ControlApi.AddRequest request, String peer, Path disk, long journal)
            throws ProblemException {
        SortedMap<String, Path> disks = new TreeMap<>();
        disks.put(shared.node(), disk);
        request.peerDisk().ifPresent(each -> disks.put(peer, Path.of(each)));
        ResourceSettings usual = ResourceSettings.ofDisks(disks);
        try {
            ResourceSettings.Protocol protocol =
                    request.protocol()
                            .map(
                                    each ->
                                            ResourceSettings.Protocol.valueOf(
                                                    each.toUpperCase(java.util.Locale.ROOT)))
                            .orElse(usual.protocol());
            return new ResourceSettings(
                    protocol,
                    protocol.waitsForPeer()
                            ? ResourceSettings.OnCongestion.BLOCK
                            : usual.onCongestion(),
                    usual.compression(),
                    new Size(journal),
                    disks);
        } catch (IllegalArgumentException e) {
            throw shared.problem(ExitCode.USAGE, e.getMessage(), "add --help");
        }
    }

    private Frame.OfferReply ask(PeerSession session, String peer, Frame.Offer offer)
            throws ProblemException {
        try {
            return link.offer(session, offer).get(ANSWER.toSeconds(), TimeUnit.SECONDS);
        } catch (TimeoutException | ExecutionException e) {
            throw shared.problem(
                    ExitCode.PEER_AWAY,
                    peer + " has not answered within " + ANSWER.toSeconds() + " s",
                    "status");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw shared.problem(ExitCode.FAILED, "interrupted", "status");
        }
    }

    private void create(String name, Path disk, long size, String peer, ResourceSettings settings)
            throws ProblemException {
        try {
            ResourceDir.Facts facts =
                    new ResourceDir.Facts(
                            idOf(name).toString(),
                            Role.PRIMARY.name(),
                            disk.toAbsolutePath().toString(),
                            false,
                            "",
                            settings.journalSize().bytes(),
                            peer);
            Path file = settingsFile(name);
            Files.createDirectories(file.getParent());
            AtomicFile.write(file, settings.render().getBytes(StandardCharsets.UTF_8));
            ResourceDir dir =
                    ResourceDir.create(
                            directory,
                            name,
                            facts,
                            ResourceDir.newPrimary(idOf(name), size),
                            settings);
            LocalPrimary primary = new LocalPrimary(shared, dir, settings);
            byName.put(name, primary);
            link.session(peer).ifPresent(primary::connect);
            shared.events().of(name).accept("added", disk + ", the copy is at " + peer);
        } catch (IOException e) {
            throw shared.problem(ExitCode.FAILED, name + " was not added", "", e.getMessage());
        }
    }

    private Path settingsFile(String name) {
        return shared.paths().resourceDirectory().resolve(name + ".toml");
    }

    // ---- the peer's orders -------------------------------------------------------------------

    /// The peer wants its copy of a resource here. Takes only a new file or a device without any
    /// signature; anything else has to be typed.
    @Override
    public Frame.OfferReply offered(String peer, Frame.Offer offer) {
        try {
            return accept(peer, offer);
        } catch (IOException | ConfigException | IllegalArgumentException e) {
            return new Frame.OfferReply(
                    offer.resource(), false, "", "", shared.node() + ": " + e.getMessage());
        }
    }

    private synchronized Frame.OfferReply accept(String peer, Frame.Offer offer)
            throws IOException, ConfigException {
        String name = Settings.checkResourceName(offer.name());
        LocalResource existing = byName.get(name);
        if (existing != null) {
            if (existing.id().equals(offer.resource())
                    && existing instanceof LocalBackup
                    && existing.dir().superblock().sizeBytes() == offer.sizeBytes()) {
                return new Frame.OfferReply(
                        offer.resource(), true, existing.dir().facts().disk(), "", "");
            }
            throw new IOException("there is a resource " + name + " already");
        }
        if (Files.exists(directory.resolve(name).resolve("resource.json"))) {
            throw new IOException(
                    "%s is here already but could not be opened: see holdfast events"
                            .formatted(name));
        }
        if (offer.sizeBytes() <= 0 || offer.sizeBytes() > 1L << 50) {
            throw new IOException("a device of " + offer.sizeBytes() + " bytes");
        }
        ResourceSettings settings = ResourceSettings.parse(offer.settings(), "offer of " + peer);
        Path storage =
                node.get()
                        .storagePath()
                        .orElseThrow(
                                () ->
                                        new IOException(
                                                "no storage is set here; next, at "
                                                        + shared.node()
                                                        + ": holdfast storage DIR"));
        Path disk =
                settings.diskAt(shared.node()).orElse(storage.resolve(name + ".img")).normalize();
        requireAllowed(name, disk, storage);
        long journal = LocalBackup.wholeSegments(settings.journalSize().bytes());
        boolean isNew = !Files.exists(disk);
        String holds = "";
        if (!isNew) {
            try (FileBlockDevice device = FileBlockDevice.openReadOnly(disk)) {
                if (device.sizeBytes() < offer.sizeBytes()) {
                    throw new IOException(
                            "%s is too small: it has %s, %s are needed"
                                    .formatted(
                                            disk,
                                            Words.bytes(device.sizeBytes()),
                                            Words.bytes(offer.sizeBytes())));
                }
            }
            holds = holds(disk).orElse("");
            if (holds.isEmpty() && Files.isRegularFile(disk)) {
                holds = "a file that was there already";
            }
        }
        requireRoom(storage, journal, isNew ? offer.sizeBytes() : 0);
        String confirm = shared.node() + "/" + name;
        if (offer.dryRun() || (!holds.isEmpty() && !offer.confirm().equals(confirm))) {
            return new Frame.OfferReply(
                    offer.resource(), holds.isEmpty(), disk.toString(), holds, "");
        }
        take(peer, offer, settings, disk, isNew, storage.resolve(name + ".journal"), journal);
        return new Frame.OfferReply(offer.resource(), true, disk.toString(), holds, "");
    }

    /// A peer may name a block device, or a file directly in the storage directory. Any other file
    /// is used only if the settings that a person wrote here name it too: a peer gone bad must not
    /// choose where on this host something is written.
    private void requireAllowed(String name, Path disk, Path storage)
            throws IOException, ConfigException {
        boolean isBlockDevice =
                Files.exists(disk) && !Files.isRegularFile(disk) && !Files.isDirectory(disk);
        if (isBlockDevice || storage.normalize().equals(disk.getParent())) {
            return;
        }
        Path file = settingsFile(name);
        boolean isNamedHere =
                Files.exists(file)
                        && ResourceSettings.parse(Files.readString(file), file.toString())
                                .diskAt(shared.node())
                                .filter(each -> each.normalize().equals(disk))
                                .isPresent();
        if (!isNamedHere) {
            throw new IOException(
                    "%s is no device and lies outside the storage %s; to allow it, name it in %s at %s"
                            .formatted(disk, storage, file, shared.node()));
        }
    }

    private void requireRoom(Path storage, long journal, long copy) throws IOException {
        long free = Files.getFileStore(storage).getUsableSpace();
        if (free < journal) {
            throw new IOException(
                    "%s has %s free, the journal alone takes %s"
                            .formatted(storage, Words.bytes(free), Words.bytes(journal)));
        }
        Optional<Size> max = node.get().storageMax();
        if (max.isPresent()) {
            long used = journal + copy;
            for (LocalResource each : byName.values()) {
                if (each instanceof LocalBackup backup) {
                    used +=
                            backup.journalBytes()
                                    + (backup.dir().facts().ownDisk()
                                            ? backup.dir().superblock().sizeBytes()
                                            : 0);
                }
            }
            if (used > max.get().bytes()) {
                throw new IOException(
                        "storage.max is %s, with this copy %s would be used"
                                .formatted(max.get(), Words.bytes(used)));
            }
        }
    }

    /// A crash in between leaves files without `resource.json`: the next try begins anew.
    private void take(
            String peer,
            Frame.Offer offer,
            ResourceSettings settings,
            Path disk,
            boolean isNew,
            Path journal,
            long journalBytes)
            throws IOException {
        Path file = settingsFile(offer.name());
        Files.createDirectories(file.getParent());
        AtomicFile.write(file, settings.render().getBytes(StandardCharsets.UTF_8));
        ResourceDir.delete(journal);
        if (isNew) {
            FileBlockDevice.create(disk, offer.sizeBytes()).close();
        }
        try {
            ResourceDir.Facts facts =
                    new ResourceDir.Facts(
                            offer.resource().toString(),
                            Role.SECONDARY.name(),
                            disk.toAbsolutePath().toString(),
                            isNew,
                            journal.toString(),
                            journalBytes,
                            peer);
            ResourceDir dir =
                    ResourceDir.create(
                            directory,
                            offer.name(),
                            facts,
                            ResourceDir.newBackup(
                                    offer.resource(),
                                    offer.sizeBytes(),
                                    isNew,
                                    shared.nodeId(),
                                    RANDOM.nextLong() | 1),
                            settings);
            LocalBackup backup;
            try {
                backup = LocalBackup.open(shared, dir);
            } catch (IOException | RuntimeException e) {
                dir.remove();
                throw e;
            }
            byName.put(offer.name(), backup);
            link.session(peer).ifPresent(backup::connect);
            shared.events().of(offer.name()).accept("added", "a copy for " + peer + " on " + disk);
        } catch (IOException | RuntimeException e) {
            ResourceDir.delete(journal);
            if (isNew) {
                Files.deleteIfExists(disk);
            }
            throw e;
        }
    }

    @Override
    public synchronized void withdrawn(String peer, Frame.Withdraw withdraw) {
        Optional<LocalResource> found = find(withdraw.resource());
        if (found.isEmpty()
                || !(found.get() instanceof LocalBackup backup)
                || !backup.dir().facts().peer().equals(peer)) {
            return;
        }
        // History belongs to the backup: a peer can end replication but never delete the copy.
        standalone(backup, true);
        shared.events()
                .of(backup.name())
                .accept(
                        "withdrawn",
                        "%s has removed the resource; the copy stays until it is removed here"
                                .formatted(peer));
    }

    // ---- attach, detach ----------------------------------------------------------------------

    ControlApi.AttachReply attach(String name) throws ProblemException {
        LocalPrimary primary = getPrimary(name);
        try {
            primary.attach(tcp());
        } catch (DeviceException e) {
            throw refused(
                    Role.PRIMARY, name + " was not attached", "attach " + name, e.getMessage());
        } catch (IOException e) {
            throw refused(Role.PRIMARY, name + " was not attached", "doctor", e.getMessage());
        }
        shared.events().of(name).accept("attached", "exported on " + primary.socket());
        List<String> notes = new ArrayList<>();
        Optional<String> device = Optional.empty();
        if (kernel.isThere()) {
            try {
                device = Optional.of(kernel.connect(name, primary.socket()).toString());
            } catch (IOException e) {
                notes.add("the kernel's device was not connected: " + e.getMessage());
            }
        } else {
            notes.add(
                    "this kernel has no nbd device (modprobe nbd): use the export with any NBD"
                            + " client, for example nbdfuse or a virtual machine");
        }
        return new ControlApi.AttachReply(
                name,
                Reporter.uri(name, primary.socket().toString()),
                primary.socket().toString(),
                device,
                notes);
    }

    ControlApi.Done detach(String name) throws ProblemException {
        LocalPrimary primary = getPrimary(name);
        try {
            kernel.disconnect(name);
        } catch (IOException e) {
            throw refused(
                    Role.PRIMARY,
                    name + " is in use, nothing changed",
                    "detach " + name,
                    e.getMessage());
        }
        int clients = primary.resource().map(PrimaryResource::clients).orElse(0);
        if (clients > 0) {
            throw refused(
                    Role.PRIMARY,
                    name + " is in use, nothing changed",
                    "detach " + name,
                    clients
                            + (clients == 1 ? " client is" : " clients are")
                            + " connected to the export");
        }
        try {
            primary.detach(true);
        } catch (IOException e) {
            throw refused(
                    Role.PRIMARY,
                    name
                            + " was detached, but not cleanly: everything is compared at the next attach",
                    "attach " + name,
                    e.getMessage());
        }
        shared.events().of(name).accept("detached", "the device is closed");
        return ControlApi.Done.of(name + " is detached, " + primary.disk() + " is closed");
    }

    // ---- views -------------------------------------------------------------------------------

    ControlApi.OpenReply openView(ControlApi.OpenRequest request) throws ProblemException {
        LocalBackup backup = getBackup(request.name());
        if (request.at().isPresent() && !request.at().get().equals("latest")) {
            throw refused(
                    Role.SECONDARY,
                    "only the newest point can be opened so far",
                    "open " + request.name(),
                    "asked for " + request.at().get());
        }
        try {
            LocalBackup.OpenView view = backup.openView();
            if (view == null) {
                throw refused(
                        Role.SECONDARY,
                        request.name() + " has no copy yet: the first sync has not ended",
                        "status " + request.name());
            }
            shared.events()
                    .of(request.name())
                    .accept("view-opened", view.id() + " shows " + view.view().position());
            return new ControlApi.OpenReply(
                    request.name(), Reporter.view(view), view.export().sizeBytes());
        } catch (IOException e) {
            throw shared.problem(ExitCode.FAILED, "the view was not opened", "", e.getMessage());
        }
    }

    ControlApi.Done closeView(String id) throws ProblemException {
        for (LocalResource each : byName.values()) {
            if (each instanceof LocalBackup backup && backup.closeView(id)) {
                shared.events().of(each.name()).accept("view-closed", id);
                return ControlApi.Done.of(id + " is closed");
            }
        }
        throw shared.problem(ExitCode.REFUSED, "there is no open view " + id, "status");
    }

    // ---- remove ------------------------------------------------------------------------------

    synchronized ControlApi.RemoveReply remove(ControlApi.RemoveRequest request)
            throws ProblemException {
        LocalResource resource = get(request.name());
        String generation =
                "%06x".formatted(resource.dir().superblock().ancestry().generation() >>> 40);
        String confirm = "%s/%s@%s".formatted(shared.node(), request.name(), generation);
        List<String> effects = effects(resource, request.keepCopy());
        if (request.dryRun()) {
            return new ControlApi.RemoveReply(
                    false, request.name(), shared.node(), effects, confirm);
        }
        if (!request.confirm().map(confirm::equals).orElse(false)) {
            throw new ProblemException(
                    Problem.of(
                                    ExitCode.CONFIRMATION_NEEDED,
                                    shared.node(),
                                    request.confirm().isEmpty()
                                            ? "removing " + request.name() + " has to be confirmed"
                                            : "%s confirms something else"
                                                    .formatted(request.confirm().get()))
                            .withEvidence(effects.toArray(String[]::new))
                            .withNext(
                                    shared.command(
                                            "remove %s --confirm %s"
                                                    .formatted(request.name(), confirm))));
        }
        try {
            switch (resource) {
                case LocalPrimary primary -> removePrimary(primary, request.keepCopy());
                case LocalBackup backup -> removeBackup(backup, request.keepCopy());
            }
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.FAILED, request.name() + " was not removed", "", e.getMessage());
        }
        shared.events().of(request.name()).accept("removed", String.join("; ", effects));
        return new ControlApi.RemoveReply(true, request.name(), shared.node(), effects, confirm);
    }

    private List<String> effects(LocalResource resource, boolean keepCopy) {
        ResourceDir.Facts facts = resource.dir().facts();
        return switch (resource) {
            case LocalPrimary _ ->
                    List.of(
                            facts.disk() + " stays as it is",
                            "replication to " + facts.peer() + " ends",
                            "the copy at " + facts.peer() + " stays until it is removed there");
            case LocalBackup _ ->
                    keepCopy || !facts.ownDisk()
                            ? List.of(
                                    facts.disk() + " becomes the newest point and stays",
                                    "the journal and its points are deleted")
                            : List.of(
                                    "the copy " + facts.disk() + " is deleted",
                                    "the journal and its points are deleted");
        };
    }

    private void removePrimary(LocalPrimary primary, boolean keepCopy) throws IOException {
        primary.detach(true);
        link.session(primary.dir().facts().peer())
                .ifPresent(each -> each.send(new Frame.Withdraw(primary.id(), keepCopy)));
        byName.remove(primary.name());
        primary.close();
        primary.dir().remove();
        Files.deleteIfExists(settingsFile(primary.name()));
    }

    private void removeBackup(LocalBackup backup, boolean keepCopy) throws IOException {
        boolean stays = keepCopy || !backup.dir().facts().ownDisk();
        if (stays && backup.resource().snapshot().everCommitted() && !backup.settle()) {
            throw new IOException(
                    "the journal could not be rolled into the copy; close the open views first");
        }
        byName.remove(backup.name());
        backup.close();
        backup.delete(stays);
        Files.deleteIfExists(settingsFile(backup.name()));
    }

    // ---- connect, disconnect -----------------------------------------------------------------

    boolean isStandalone(LocalResource resource) {
        return Files.exists(resource.dir().standaloneMark());
    }

    void setConnect(String name, boolean connect) throws ProblemException {
        standalone(get(name), !connect);
    }

    private void standalone(LocalResource resource, boolean alone) {
        try {
            Optional<PeerSession> session = link.session(resource.dir().facts().peer());
            if (alone) {
                AtomicFile.write(resource.dir().standaloneMark(), new byte[0]);
                session.ifPresent(
                        each ->
                                each.send(
                                        new Frame.Refused(
                                                resource.id(),
                                                "disconnected by an operator of "
                                                        + shared.node())));
                session.ifPresent(resource::disconnect);
            } else {
                Files.deleteIfExists(resource.dir().standaloneMark());
                session.ifPresent(resource::connect);
            }
        } catch (IOException e) {
            shared.events().of(resource.name()).accept("metadata-error", e.getMessage());
        }
    }

    // ---- settings ----------------------------------------------------------------------------

    List<ControlApi.Change> changes(Map<String, ResourceSettings> read) throws IOException {
        List<ControlApi.Change> changes = new ArrayList<>();
        for (LocalResource each : byName.values()) {
            ResourceSettings next = read.get(each.name());
            if (next != null) {
                changes.addAll(
                        SettingsDiff.between(
                                "conf.d/" + each.name() + ".toml",
                                each.dir().settings().render(),
                                next.render()));
            }
        }
        return changes;
    }

    /// Takes what was read as accepted. What concerns an attached resource holds from its next
    /// attach.
    void accept(Map<String, ResourceSettings> read) throws IOException {
        for (LocalResource each : byName.values()) {
            ResourceSettings next = read.get(each.name());
            if (next != null && !next.equals(each.dir().settings())) {
                switch (each) {
                    case LocalPrimary primary -> primary.accept(next);
                    case LocalBackup backup -> backup.dir().accept(next);
                }
            }
        }
    }

    List<String> filesThatDiffer() throws IOException {
        List<String> differ = new ArrayList<>();
        for (LocalResource each : byName.values()) {
            Path file = settingsFile(each.name());
            try {
                if (!Files.exists(file)
                        || !ResourceSettings.parse(Files.readString(file), file.toString())
                                .equals(each.dir().settings())) {
                    differ.add(file.toString());
                }
            } catch (ConfigException e) {
                differ.add(file.toString());
            }
        }
        return differ;
    }
}
