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
import holdfast.replicator.device.DeviceNode;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Verdict;
import holdfast.replicator.status.HistoryWords;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.Words;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Frame;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/// The resources of this node: made, attached, opened and removed, on order of an operator here or
/// of a peer.
final class ResourceManager implements Link.Resources {
    /// How long the peer may take to answer an order.
    private static final Duration ANSWER = Duration.ofSeconds(30);

    /// How long an offer waits for an order on its name here: the peer does not wait for an answer
    /// longer than [#ANSWER], and is to be told why.
    private static final Duration OFFER_PATIENCE = Duration.ofSeconds(10);

    /// Whoever was told to go by the command typed before this one may not be gone yet.
    static final Duration GOES = Duration.ofSeconds(1);

    /// A journal holds what a backup takes in while it cannot roll forward, and one epoch.
    private static final long JOURNAL_MIN_BYTES = 64L << 20;

    private static final long JOURNAL_MAX_PROPOSAL_BYTES = 4L << 30;

    private static final long OVERLAY_MIN_BYTES = 1L << 20;

    private static final Duration KEPT_USUALLY = Duration.ofDays(30);

    private static final String IN_GAP =
            "the time asked for lies in a gap: the server was ahead of the copy then, and this is the"
                    + " last whole moment before";

    private static final String UNSYNCED =
            "what was written last is not in it: the journal's disk has failed or is slow, and has not"
                    + " synced that";

    /// What the mark of a copy holds whose primary was removed; of one that an operator
    /// disconnected it is empty.
    private static final String WITHDRAWN = "withdrawn";

    /// Why it is not open, as long as the start has not come to its end.
    private static final String OPENING = "it is being opened, the daemon has just started";

    /// Behind this an attach waits for a disk that hangs.
    private static final Duration ATTACHES = Duration.ofSeconds(10);

    /// How long the start of the daemon waits for one disk.
    private static final Duration OPEN_LIMIT = Duration.ofSeconds(10);

    private final Shared shared;
    private final Supplier<NodeSettings> node;
    private final PeerBook peers;
    private final Path directory;
    private final KernelDevice kernel;
    private final Roster roster = new Roster();
    private final Adding adding = new Adding();
    private final Permits permits = new Permits(InstantSource.system());
    private final Offers offers;
    private final JournalGrowth growth;
    private final Turns turns;
    private final Duration offerPatience;
    private final Promotion promotion;
    private final PromoteOrders promoteOrders;
    private final Demotion demotion;
    private final TcpExports tcp;
    private final Hangs hangs;
    private Link link;

    /// Those that have their part of the memory for indexes.
    private List<LocalBackup> sharing = List.of();

    ResourceManager(Shared shared, Supplier<NodeSettings> node, PeerBook peers) {
        this(shared, node, peers, new Turns(shared, Turns.PATIENCE), OFFER_PATIENCE);
    }

    /// For tests, which have turns themselves and wait as long as they like.
    ResourceManager(
            Shared shared,
            Supplier<NodeSettings> node,
            PeerBook peers,
            Turns turns,
            Duration offerPatience) {
        this.shared = shared;
        this.node = node;
        this.peers = peers;
        this.directory = shared.paths().state().resolve("resources");
        this.kernel = shared.kernel();
        this.tcp = new TcpExports(shared, this::attached, this::copies);
        this.hangs = new Hangs(shared);
        this.turns = turns;
        this.offerPatience = offerPatience;
        this.promotion = new Promotion(shared, directory, tcp);
        this.promoteOrders = new PromoteOrders(shared, this, promotion, turns);
        this.demotion = new Demotion(shared, directory, tcp);
        this.offers = new Offers(shared, node, directory, permits, adding, roster, tcp);
        this.growth = new JournalGrowth(shared, offers);
    }

    void use(Link link) {
        this.link = link;
    }

    // ---- start and end -----------------------------------------------------------------------

    /// Knows of every resource there is: whoever asks while a long journal is read, or a disk does
    /// not answer, is not told that there is nothing. Orders on them are carried out from now on.
    void find() throws IOException {
        for (String name : ResourceDir.names(directory)) {
            away(name, OPENING);
        }
    }

    /// Opens every resource that was found and that no order has opened or removed since. One that
    /// cannot be opened is reported and left alone, and one whose disk does not answer is opened
    /// when it does: the others are not held up by them.
    void openAll() throws IOException {
        for (String name : List.copyOf(roster.now().unopened().keySet())) {
            CompletableFuture<Void> opened =
                    CompletableFuture.runAsync(() -> openAtStart(name), shared.pool());
            try {
                opened.get(OPEN_LIMIT.toSeconds(), TimeUnit.SECONDS);
            } catch (TimeoutException e) {
                shared.events().of(name).accept("disk-hangs", "its disk does not answer");
                String why = "its disk does not answer; it is opened when it does";
                roster.putIfUnopened(Unopened.soon(directory, name, why));
            } catch (ExecutionException e) {
                throw new IOException(e.getCause());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }

    /// Keeps the turn as long as its disk does not let it be opened: an order would open it a
    /// second time. One that was faster has opened it, or removed it.
    private void openAtStart(String name) {
        try {
            turns.of(
                            name,
                            "it is opened at the start of the daemon",
                            () ->
                                    roster.now().unopened().containsKey(name)
                                            ? openLate(name)
                                            : Optional.<LocalPrimary>empty())
                    .ifPresent(this::export);
            endJournalSoon(name);
        } catch (ProblemException e) {
            // The other order opens it, or it is an operator's next one.
            notOpened(name, new IOException(e.problem().cause() + ": " + e.problem().why(), e));
        }
    }

    /// The link may be up already, and has greeted what was open by then.
    private Optional<LocalPrimary> openLate(String name) {
        Optional<LocalPrimary> exported = openAlone(name);
        byName(name).ifPresent(this::greet);
        return exported;
    }

    private void open(String name) {
        openAlone(name).ifPresent(this::export);
        endJournalSoon(name);
    }

    /// Opens one, or remembers why that cannot be done.
    ///
    /// @return what is to be exported
    private Optional<LocalPrimary> openAlone(String name) {
        LocalResource opened;
        try {
            opened = opened(name);
        } catch (IOException | RuntimeException e) {
            Unopened why = Unopened.of(directory, name, e);
            roster.put(why);
            shared.events().of(name).accept("open-failed", why.cause());
            return Optional.empty();
        }
        opened.states().linkStandalone(!isLinkWanted(opened));
        roster.put(opened);
        if (opened instanceof LocalPrimary primary && !primary.lostChoice().isEmpty()) {
            shared.events().of(name).accept("choice-lost", primary.lostChoice());
        }
        if (!(opened instanceof LocalPrimary primary) || opened.dir().superblock().detached()) {
            return Optional.empty();
        }
        try {
            if (primary.isAfterReboot()) {
                primary.hold();
                shared.events()
                        .of(name)
                        .accept(
                                "boot-gate",
                                "this host was restarted: %s is asked before %s is exported"
                                        .formatted(primary.dir().facts().peer(), name));
                return Optional.empty();
            }
        } catch (IOException e) {
            shared.events().of(name).accept("metadata-error", e.getMessage());
        }
        return Optional.of(primary);
    }

    /// What an order to become a copy has left that was cut off, once the primary is exported: the
    /// storage may be on another filesystem, and hang.
    private void endJournalSoon(String name) {
        if (primaryWithJournal(name).isPresent()) {
            shared.pool().execute(() -> endJournal(name));
        }
    }

    private Optional<LocalPrimary> primaryWithJournal(String name) {
        return byName(name)
                .filter(LocalPrimary.class::isInstance)
                .map(LocalPrimary.class::cast)
                .filter(primary -> primary.dir().hasBegunJournal());
    }

    private void endJournal(String name) {
        String trouble;
        try {
            turns.<IOException>run(
                    name,
                    "a journal that belongs to nothing is deleted",
                    () -> {
                        Optional<LocalPrimary> now = primaryWithJournal(name);
                        if (now.isPresent()) {
                            now.get().dir().endJournal();
                        }
                    });
            return;
        } catch (ProblemException e) {
            trouble = e.problem().cause();
        } catch (IOException | UncheckedIOException e) {
            trouble = e.getMessage();
        }
        shared.events()
                .of(name)
                .accept(
                        "metadata-error",
                        "what is left of a journal that was begun for it stays until the next start looks again: "
                                + trouble);
    }

    /// It is not to be had for a moment. Its name and its disks stay taken, and its peer is told
    /// so; [#back], or a new role, or its end has to follow.
    private void away(String name, String why) {
        roster.put(Unopened.soon(directory, name, why));
    }

    /// What was away is here again, as the disk has it.
    private void back(String name) throws IOException {
        try {
            if (ResourceDir.isThere(directory, name)) {
                open(name);
                byName(name).ifPresent(this::greet);
            } else {
                roster.remove(name);
            }
        } catch (IOException | RuntimeException e) {
            notOpened(name, e);
            throw e;
        }
    }

    /// Nobody is about to open it any more, and an operator has to.
    private void notOpened(String name, Exception why) {
        Unopened unopened = Unopened.of(directory, name, why);
        roster.putIfUnopened(unopened);
        shared.events().of(name).accept("open-failed", unopened.cause());
    }

    private void export(LocalPrimary primary) {
        String name = primary.name();
        try {
            primary.attachUnasked();
            if (kernel.isThere()) {
                connectKernel(primary, note -> shared.events().of(name).accept("attached", note));
            }
        } catch (IOException | RuntimeException e) {
            shared.events().of(name).accept("attach-failed", String.valueOf(e.getMessage()));
        }
    }

    /// Exports what has waited for its peer long enough (R30). It may wait for a disk.
    void openGates() {
        for (LocalResource each : roster.open()) {
            if (!(each instanceof LocalPrimary primary)) {
                continue;
            }
            try {
                openGate(primary);
            } catch (IOException e) {
                shared.events()
                        .of(primary.name())
                        .accept("metadata-error", String.valueOf(e.getMessage()));
            }
        }
    }

    private void openGate(LocalPrimary primary) throws IOException {
        switch (primary.gate(node.get().bootGate()).orElse(null)) {
            case BootGate.Outcome.Open(String why) -> {
                shared.events()
                        .of(primary.name())
                        .accept("boot-gate-opened", "it is exported: " + why);
                primary.letGo();
                shared.pool().execute(() -> export(primary)); // Its disk may hang.
            }
            case BootGate.Outcome.Closed(String why) -> {
                if (!primary.isClosed()) {
                    shared.events().of(primary.name()).accept("boot-gate-closed", why);
                }
                primary.closes(why);
            }
            case BootGate.Outcome.Wait _ -> {}
            case null -> {}
        }
    }

    private boolean isLinkWanted(LocalResource of) {
        return peers.entries().stream()
                .filter(each -> each.name().equals(of.dir().facts().peer()))
                .allMatch(PeerBook.Entry::connect);
    }

    private LocalResource opened(String name) throws IOException {
        Optional<ResourceDir> before = ResourceDir.openBefore(directory, name);
        Optional<LocalBackup> copy = Optional.empty();
        try {
            if (before.isPresent()) {
                copy = Optional.of(LocalBackup.open(shared, before.get(), tcp, true));
            }
            ResourceDir dir = ResourceDir.open(directory, name);
            try {
                return dir.facts().isPrimary()
                        ? promotion.whole(new LocalPrimary(shared, dir, tcp, dir.settings(), copy))
                        : LocalBackup.open(shared, dir, tcp);
            } catch (IOException | RuntimeException e) {
                dir.close();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            if (copy.isPresent()) {
                copy.get().close();
            } else {
                before.ifPresent(ResourceDir::close);
            }
            throw e;
        }
    }

    /// Listens where `nbd.listen` says now.
    ///
    /// @throws IOException if that address cannot be had
    void listenTcp() throws IOException {
        tcp.listen(
                node.get()
                        .nbdListen()
                        .map((Address a) -> new InetSocketAddress(a.host(), a.port())));
    }

    /// Why it is not listened there, though it should be.
    Optional<String> tcpTrouble() {
        return tcp.trouble();
    }

    private List<Export> attached() {
        return roster.open().stream()
                .filter(LocalPrimary.class::isInstance)
                .flatMap(each -> ((LocalPrimary) each).exports().stream())
                .toList();
    }

    void tick(long nowNanos, long wallMillis) {
        for (LocalResource each : roster.open()) {
            switch (each) {
                case LocalPrimary primary -> {
                    primary.resource().ifPresent(at -> at.tick(nowNanos, wallMillis));
                    primary.goOnIfWhole();
                }
                case LocalBackup _ -> {}
            }
            each.tellApart(nowNanos);
            copyOf(each).ifPresent(copy -> copy.resource().tick(nowNanos));
        }
    }

    /// The copy that is kept here, also of one that was promoted.
    static Optional<LocalBackup> copyOf(LocalResource of) {
        return switch (of) {
            case LocalPrimary primary -> primary.copy();
            case LocalBackup backup -> Optional.of(backup);
        };
    }

    private List<LocalBackup> copies() {
        return roster.open().stream()
                .map(ResourceManager::copyOf)
                .flatMap(Optional::stream)
                .toList();
    }

    /// Each copy has its part of the memory for the indexes of journals.
    void shareIndexMemory() {
        List<LocalBackup> copies = copies();
        shared.viewMemory()
                .newest(copies.stream().mapToLong(each -> each.resource().newestRuns()).sum());
        if (copies.equals(sharing)) {
            return;
        }
        sharing = copies;
        for (LocalBackup each : copies) {
            try {
                each.indexRuns(LocalBackup.INDEX_RUNS / copies.size());
            } catch (IOException e) {
                shared.events().of(each.name()).accept("metadata-error", e.getMessage());
            }
        }
    }

    /// Tells which disks do not answer.
    void tellHangs() {
        hangs.look(roster.open());
    }

    void endComparisons() {
        for (LocalResource each : roster.open()) {
            if (each instanceof LocalPrimary primary) {
                primary.endComparisonSoon();
            }
        }
    }

    /// Clients are let finish while the link is still there, so that what they wrote still goes
    /// out.
    void stop() {
        for (LocalResource each : roster.open()) {
            if (each instanceof LocalPrimary primary) {
                letKernelDevicesGo(primary);
                primary.stopClients();
            }
        }
        for (LocalResource each : roster.open()) {
            if (each instanceof LocalPrimary primary) {
                primary.awaitAcknowledgement();
            }
        }
    }

    private void letKernelDevicesGo(LocalPrimary primary) {
        for (String device : kernelNames(primary)) {
            try {
                kernel.disconnect(List.of(device), () -> canSync(primary));
            } catch (IOException e) {
                shared.events()
                        .of(primary.name())
                        .accept("kernel-device-lost", "the daemon stops while " + e.getMessage());
            }
        }
    }

    /// A sync of a disk that has failed fails, and one of a disk that hangs never ends.
    private static boolean canSync(LocalPrimary primary) {
        return primary.resource()
                .filter(at -> !at.look(Primary::isFailed) && !Hangs.holdsClients(primary))
                .isPresent();
    }

    /// What the kernel's devices of its volumes are called.
    private static List<String> kernelNames(LocalResource of) {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < of.dir().facts().disks().size(); i++) {
            names.add(KernelDevice.name(of.name(), i));
        }
        return names;
    }

    void closeAll() {
        closeEach(
                roster.open(),
                LocalResource::close,
                (resource, e) ->
                        shared.events()
                                .of(resource.name())
                                .accept("close-failed", String.valueOf(e)));
        roster.clear();
        tcp.close();
    }

    /// Closes all of them, whatever becomes of each.
    static <T> void closeEach(
            Iterable<T> all, Consumer<T> close, BiConsumer<T, RuntimeException> failed) {
        for (T each : all) {
            try {
                close.accept(each);
            } catch (RuntimeException e) {
                failed.accept(each, e);
            }
        }
    }

    // ---- looking -----------------------------------------------------------------------------

    /// Whether an application's writes are answered by the peer at this moment (protocol C).
    boolean isPeerAwaited() {
        for (LocalResource each : roster.open()) {
            if (each instanceof LocalPrimary primary
                    && primary.resource().filter(at -> at.look(Primary::isProtected)).isPresent()) {
                return true;
            }
        }
        return false;
    }

    Collection<LocalResource> all() {
        return roster.open();
    }

    Roster.Now now() {
        return roster.now();
    }

    Optional<LocalResource> byName(String name) {
        return Optional.ofNullable(roster.now().open().get(name));
    }

    /// What is written down of it, open or not.
    Optional<ResourceDir.Facts> facts(String name) {
        Roster.Now now = roster.now();
        LocalResource open = now.open().get(name);
        return open != null
                ? Optional.of(open.dir().facts())
                : Optional.ofNullable(now.unopened().get(name)).flatMap(Unopened::facts);
    }

    @Override
    public Iterable<LocalResource> ofPeer(String peer) {
        return roster.open().stream()
                .filter(each -> each.dir().facts().peer().equals(peer) && !isStandalone(each))
                .toList();
    }

    @Override
    public Optional<LocalResource> find(UUID id) {
        return roster.open().stream()
                .filter(each -> each.id().equals(id) && !isStandalone(each))
                .findFirst();
    }

    @Override
    public String whyNot(String peer, UUID id) {
        Roster.Now now = roster.now();
        Optional<String> name = now.nameOf(peer, id);
        if (name.isPresent()) {
            Unopened why = now.unopened().get(name.get());
            if (why != null) {
                return "it %s at %s: %s"
                        .formatted(
                                why.soon() ? "is not open" : "cannot be opened",
                                shared.node(),
                                why.cause());
            }
            return isStandalone(now.open().get(name.get()))
                    ? disconnectedBy()
                    : "it was opened at %s just now".formatted(shared.node());
        }
        String none = "there is no such resource at " + shared.node();
        return now.unopened().values().stream().allMatch(each -> each.facts().isPresent())
                ? none
                : none + ", unless it is one that cannot be read there any more";
    }

    private String disconnectedBy() {
        return "disconnected by an operator of " + shared.node();
    }

    LocalResource get(String name) throws ProblemException {
        Roster.Now now = roster.now();
        LocalResource found = now.open().get(name);
        Unopened why = now.unopened().get(name);
        if (found == null && why != null) {
            throw shared.problem(ExitCode.REFUSED, name + " is not open", why.next(), why.cause());
        }
        if (found == null) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "there is no resource " + name + " here",
                    "status",
                    now.open().isEmpty()
                            ? "no resource at all"
                            : "resources: " + now.open().keySet());
        }
        return found;
    }

    private LocalPrimary getPrimary(String name) throws ProblemException {
        LocalResource found = get(name);
        if (found instanceof LocalPrimary primary) {
            return primary;
        }
        throw shared.refused(
                Role.SECONDARY,
                name + " is secondary here",
                "open " + name,
                "its primary is " + found.dir().facts().peer());
    }

    private LocalBackup getBackup(String name) throws ProblemException {
        LocalResource found = get(name);
        Optional<LocalBackup> copy = copyOf(found);
        if (copy.isPresent()) {
            return copy.get();
        }
        throw shared.refused(
                Role.PRIMARY,
                name + " is primary here: the copy is opened at its backup",
                "status",
                "the copy is at " + found.dir().facts().peer());
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
        if (!adding.begin(name)) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "another command is adding " + name + " just now",
                    "status " + name);
        }
        try {
            return turns.of(name, "add", () -> addAlone(name, request, rate));
        } finally {
            adding.end(name);
        }
    }

    private ControlApi.AddReply addAlone(
            String name, ControlApi.AddRequest request, StatusReport.Rate rate)
            throws ProblemException {
        if (roster.now().unopened().containsKey(name)) {
            get(name);
        }
        if (roster.now().open().containsKey(name)) {
            throw shared.problem(
                    ExitCode.REFUSED, "there is a resource " + name + " already", "status " + name);
        }
        requireRight(request);
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
        List<Path> disks = request.disks().stream().map(Path::of).toList();
        List<Long> sizes = new ArrayList<>();
        List<Optional<String>> signatures = new ArrayList<>();
        for (Path disk : disks) {
            try {
                sizes.add(sizeOf(disk));
                signatures.add(Offers.holds(disk));
                requireNotUnderUs(disk);
                adding.claim(name, disks.subList(0, sizes.size()));
                requireNotOurs(disk);
            } catch (IOException e) {
                throw shared.problem(
                        ExitCode.REFUSED, disk + " cannot be replicated", "", e.getMessage());
            }
        }
        AddressSpace space = AddressSpace.ofVolumes(sizes);
        long size = space.dataBytes();
        long journal =
                request.journalBytes()
                        .orElse(
                                Math.clamp(
                                        size / 10, JOURNAL_MIN_BYTES, JOURNAL_MAX_PROPOSAL_BYTES));
        ResourceSettings settings = settingsFor(request, peer.name(), disks, journal);
        Frame.OfferReply answer =
                ask(
                        session,
                        peer.name(),
                        new Frame.Offer(
                                idOf(name), name, space, settings.render(), request.dryRun()));
        boolean asks = !answer.accepted() && !answer.holds().isEmpty();
        String permit = "at %s: %s".formatted(peer.name(), answer.reason());
        if (asks && !request.dryRun()) {
            throw new ProblemException(
                    Problem.of(
                                    ExitCode.CONFIRMATION_NEEDED,
                                    shared.node(),
                                    "%s would be overwritten at %s, which has to be permitted there"
                                            .formatted(answer.disk(), peer.name()))
                            .withEvidence("it holds " + answer.holds())
                            .withNext(permit + ", then this command again"));
        }
        if (!answer.accepted() && !asks) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    peer.name() + " does not take a copy of " + name,
                    "",
                    answer.reason());
        }
        if (!request.dryRun()) {
            create(name, disks, space, peer.name(), settings);
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
                words(disks),
                size,
                signatureWords(signatures),
                volumes(disks, space),
                peer.name(),
                answer.disk(),
                answer.holds().isEmpty() ? Optional.empty() : Optional.of(answer.holds()),
                journal,
                seconds,
                Optional.of(fstabLine(name)),
                notes(name, disks.size(), settings),
                asks ? Optional.of(permit) : Optional.empty());
    }

    /// What is wrong with the request itself needs neither a disk nor a peer to be seen.
    private void requireRight(ControlApi.AddRequest request) throws ProblemException {
        try {
            request.protocol().ifPresent(ResourceSettings::protocolOf);
            request.journalBytes()
                    .ifPresent(bytes -> ResourceSettings.requireJournalSize(new Size(bytes)));
            request.disks().forEach(ResourceManager::requirePath);
            request.peerDisks().stream()
                    .flatMap(List::stream)
                    .forEach(ResourceManager::requirePath);
            requireVolumes(
                    request.disks().size(),
                    request.peerDisks().map(List::size).orElse(request.disks().size()));
        } catch (IllegalArgumentException e) {
            throw shared.problem(ExitCode.USAGE, e.getMessage(), "add --help");
        }
    }

    private static void requireVolumes(int here, int there) {
        if (here < 1 || here > AddressSpace.MAX_VOLUMES) {
            throw new IllegalArgumentException(
                    "%d disks, should be 1 to %d".formatted(here, AddressSpace.MAX_VOLUMES));
        }
        if (there != here) {
            throw new IllegalArgumentException(
                    "%d disks here and %d at the peer, should be as many or none there"
                            .formatted(here, there));
        }
    }

    private static long sizeOf(Path disk) throws IOException {
        try (FileBlockDevice device = FileBlockDevice.openReadOnly(disk)) {
            long size = device.sizeBytes();
            if (size == 0 || size % 512 != 0) {
                throw new IOException(
                        "%s has %d bytes, should be a whole number of 512".formatted(disk, size));
            }
            return size;
        }
    }

    private static String fstabLine(String device) {
        return "/dev/holdfast/%s /MOUNTPOINT auto _netdev,nofail,x-systemd.requires=holdfast.service 0 2"
                .formatted(device);
    }

    private static List<String> notes(String name, int volumes, ResourceSettings settings) {
        List<String> notes = new ArrayList<>();
        if (settings.retentionMin().isZero()) {
            notes.add(
                    ("moments of the last %s can be opened as long as the journal has room; what is written"
                                    + " beyond that pushes the oldest out. To keep some whatever is"
                                    + " written: journal.retention-min in conf.d/%s.toml at the backup")
                            .formatted(Words.span(settings.retention()), name));
        }
        for (int i = 1; i < volumes; i++) {
            notes.add("fstab of volume %d: %s".formatted(i, fstabLine(KernelDevice.name(name, i))));
        }
        return notes;
    }

    /// Of several volumes each that has one names itself.
    private static Optional<String> signatureWords(List<Optional<String>> signatures) {
        if (signatures.size() == 1) {
            return signatures.getFirst();
        }
        List<String> words = new ArrayList<>();
        for (int i = 0; i < signatures.size(); i++) {
            int volume = i;
            signatures.get(i).ifPresent(each -> words.add("volume %d: %s".formatted(volume, each)));
        }
        return words.isEmpty() ? Optional.empty() : Optional.of(String.join("; ", words));
    }

    private static List<StatusReport.Volume> volumes(List<Path> disks, AddressSpace space) {
        List<StatusReport.Volume> volumes = new ArrayList<>();
        for (int i = 0; space.hasSeveral() && i < disks.size(); i++) {
            volumes.add(
                    new StatusReport.Volume(
                            i,
                            disks.get(i).toString(),
                            space.volumeBytes(i),
                            Optional.empty(),
                            Optional.empty()));
        }
        return volumes;
    }

    private static String words(List<Path> disks) {
        return disks.stream().map(Path::toString).collect(Collectors.joining(", "));
    }

    private static void requirePath(String disk) {
        if (!Path.of(disk).isAbsolute()) {
            throw new IllegalArgumentException(
                    "the disk is \"%s\", should be an absolute path".formatted(disk));
        }
    }

    private String checkedName(String name) throws ProblemException {
        try {
            return Settings.checkResourceName(name);
        } catch (IllegalArgumentException e) {
            throw shared.problem(
                    ExitCode.USAGE, "the name " + e.getMessage(), "add home /dev/vg0/home");
        }
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

    /// One that is detached is not held by its lock; that its disk is taken has to be known here.
    private void requireNotOurs(Path disk) throws IOException {
        Roster.Now others = roster.now();
        for (LocalResource each : others.open().values()) {
            requireOther(disk, each.name(), each.dir().facts());
        }
        for (Unopened each : others.unopened().values()) {
            if (each.facts().isPresent()) {
                requireOther(disk, each.name(), each.facts().get());
            }
        }
    }

    private static void requireOther(Path disk, String owner, ResourceDir.Facts facts)
            throws IOException {
        for (Path taken : facts.paths()) {
            if (Files.exists(taken) && DeviceNode.areSame(disk, taken)) {
                throw new IOException("it is the disk of the resource " + owner + " already");
            }
        }
    }

    private ResourceSettings settingsFor(
            ControlApi.AddRequest request, String peer, List<Path> here, long journal) {
        SortedMap<String, List<Path>> disks = new TreeMap<>();
        disks.put(shared.node(), here);
        request.peerDisks()
                .ifPresent(each -> disks.put(peer, each.stream().map(Path::of).toList()));
        ResourceSettings usual = ResourceSettings.ofDisks(disks);
        ResourceSettings.Protocol protocol =
                request.protocol().map(ResourceSettings::protocolOf).orElse(usual.protocol());
        return new ResourceSettings(
                        protocol,
                        protocol.waitsForPeer()
                                ? ResourceSettings.OnCongestion.BLOCK
                                : usual.onCongestion(),
                        usual.compression(),
                        new Size(journal),
                        usual.retention(),
                        usual.retentionMin(),
                        usual.keepMax(),
                        disks)
                .withProposedHistory();
    }

    private Frame.OfferReply ask(PeerSession session, String peer, Frame.Offer offer)
            throws ProblemException {
        try {
            return link.offer(session, offer).get(ANSWER.toSeconds(), TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw noAnswer(peer);
        } catch (ExecutionException e) {
            throw shared.problem(ExitCode.PEER_AWAY, e.getCause().getMessage(), "status");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw shared.problem(ExitCode.FAILED, "interrupted", "status");
        }
    }

    private ProblemException noAnswer(String peer) {
        return shared.problem(
                ExitCode.PEER_AWAY,
                peer + " has not answered within " + ANSWER.toSeconds() + " s",
                "status");
    }

    /// The peer has its copy already. A crash before `resource.json` leaves what the next `add`
    /// writes over, and after it the resource.
    private void create(
            String name,
            List<Path> disks,
            AddressSpace space,
            String peer,
            ResourceSettings settings)
            throws ProblemException {
        Path file = shared.settingsFile(name);
        boolean hadFile = Files.exists(file);
        try {
            ResourceDir.Facts facts =
                    new ResourceDir.Facts(
                            idOf(name).toString(),
                            Role.PRIMARY.name(),
                            disks.stream().map(each -> each.toAbsolutePath().toString()).toList(),
                            false,
                            "",
                            settings.journalSize().bytes(),
                            peer);
            Files.createDirectories(file.getParent());
            AtomicFile.write(file, settings.render().getBytes(StandardCharsets.UTF_8));
            ResourceDir dir =
                    ResourceDir.create(
                            directory,
                            name,
                            facts,
                            Superblock.ofPrimary(idOf(name), space),
                            settings);
            LocalPrimary primary = new LocalPrimary(shared, dir, tcp, settings, Optional.empty());
            roster.put(primary);
            link.session(peer).ifPresent(primary::connect);
            shared.events().of(name).accept("added", words(disks) + ", the copy is at " + peer);
        } catch (IOException e) {
            if (!hadFile) {
                deleteQuietly(file, e);
            }
            throw shared.problem(
                    ExitCode.FAILED,
                    name + " was not added",
                    "",
                    e.getMessage(),
                    "nothing of it is left here; %s has made its copy, and the same add goes on with that, or there: holdfast remove %s"
                            .formatted(peer, name));
        }
    }

    private static void deleteQuietly(Path file, IOException why) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            why.addSuppressed(e); // It is written over by the next add.
        }
    }

    // ---- the peer's orders -------------------------------------------------------------------

    @Override
    public Frame.OfferReply offered(String peer, Frame.Offer offer) {
        String name = offer.name();
        if (!adding.begin(name)) {
            return refusal(offer, name + " is just being added here");
        }
        try {
            return turns.of(
                    name, peer + " offers a copy", offerPatience, () -> answer(peer, offer));
        } catch (ProblemException e) {
            Problem why = e.problem();
            return refusal(offer, "%s: %s".formatted(why.cause(), why.why()));
        } finally {
            adding.end(name);
        }
    }

    private Frame.OfferReply answer(String peer, Frame.Offer offer) {
        try {
            return accept(peer, offer);
        } catch (IOException | ConfigException | RuntimeException e) {
            return refusal(offer, e.getMessage());
        } finally {
            offers.kept(offer.name());
        }
    }

    private Frame.OfferReply refusal(Frame.Offer offer, String why) {
        return new Frame.OfferReply(offer.resource(), false, "", "", shared.node() + ": " + why);
    }

    private Frame.OfferReply accept(String peer, Frame.Offer offer)
            throws IOException, ConfigException {
        String name = offer.name();
        Roster.Now now = roster.now();
        LocalResource existing = now.open().get(name);
        if (existing != null) {
            return offeredAgain(peer, offer, existing);
        }
        Unopened why = now.unopened().get(name);
        if (why != null) {
            throw new IOException(
                    "%s cannot be opened here: %s; next, at %s: %s"
                            .formatted(
                                    name, why.cause(), shared.node(), shared.command(why.next())));
        }
        Offers.Outcome outcome = offers.accept(peer, offer);
        outcome.made()
                .ifPresent(
                        backup -> {
                            roster.put(backup);
                            link.session(peer).ifPresent(backup::connect);
                            shared.events()
                                    .of(name)
                                    .accept(
                                            "added",
                                            "a copy for %s on %s"
                                                    .formatted(peer, outcome.reply().disk()));
                        });
        return outcome.reply();
    }

    /// An `add` that was cut off at the peer, or that follows a withdrawal, finds its copy here.
    /// One without a point is taken up again. One with points is history, which the peer cannot
    /// write over: an operator of this node removes it first.
    private Frame.OfferReply offeredAgain(String peer, Frame.Offer offer, LocalResource existing)
            throws IOException {
        String name = existing.name();
        if (!(existing instanceof LocalBackup backup)
                || !existing.id().equals(offer.resource())
                || !existing.dir().facts().peer().equals(peer)) {
            throw new IOException("there is another resource " + name + " already");
        }
        String here = "; next, at %s: ".formatted(shared.node());
        if (backup.resource().snapshot().hasPoint() || backup.resource().snapshot().mixture()) {
            throw new IOException(
                    "there is a copy of an earlier "
                            + name
                            + here
                            + shared.command("remove " + name));
        }
        AddressSpace begun = backup.dir().superblock().space();
        if (!begun.equals(offer.space())) {
            throw new IOException(
                    "there is a copy of %s begun, of %s"
                                    .formatted(
                                            name,
                                            begun.volumeSizes().stream()
                                                    .map(Words::bytes)
                                                    .collect(Collectors.joining(" + ")))
                            + here
                            + shared.command("remove " + name));
        }
        if (isStandalone(backup)) {
            if (!Files.readString(backup.dir().standaloneMark()).equals(WITHDRAWN)) {
                throw new IOException(
                        name
                                + " was disconnected by an operator"
                                + here
                                + shared.command("connect " + name));
            }
            if (!offer.dryRun()) {
                standalone(backup, false, "");
            }
        }
        return new Frame.OfferReply(
                offer.resource(), true, Offers.bounded(backup.dir().facts().words()), "", "");
    }

    /// Lets the peer have what it asked for, typed at the node whose data is lost.
    ControlApi.PermitReply permit(ControlApi.PermitRequest request) throws ProblemException {
        String name = request.name();
        Permits.Wanted wanted =
                permits.question(name)
                        .orElseThrow(
                                () ->
                                        shared.problem(
                                                ExitCode.REFUSED,
                                                "nobody asks to overwrite anything for " + name,
                                                "status",
                                                "it is asked by 'add' at the other host, and"
                                                        + " again after a restart here"));
        String confirm = "%s/%s@%s".formatted(shared.node(), name, permits.token(name).orElse(""));
        boolean done = false;
        if (!request.dryRun()) {
            done =
                    request.confirm().map(confirm::equals).orElse(false)
                            && permits.permit(name, confirm.substring(confirm.indexOf('@') + 1));
            if (!done) {
                throw new ProblemException(
                        Problem.of(
                                        ExitCode.CONFIRMATION_NEEDED,
                                        shared.node(),
                                        "%s would be overwritten for %s of %s"
                                                .formatted(wanted.disk(), name, wanted.peer()))
                                .withEvidence("it holds " + wanted.holds())
                                .withNext(shared.command("permit " + name)));
            }
            shared.events()
                    .of(name)
                    .accept(
                            "permitted",
                            "%s may overwrite %s, which holds %s"
                                    .formatted(wanted.peer(), wanted.disk(), wanted.holds()));
        }
        return new ControlApi.PermitReply(
                done,
                name,
                shared.node(),
                wanted.peer(),
                wanted.disk(),
                wanted.sizeBytes(),
                wanted.holds(),
                confirm);
    }

    @Override
    public void withdrawn(String peer, Frame.Withdraw withdraw) {
        UUID id = withdraw.resource();
        roster.now()
                .nameOf(peer, id)
                .ifPresent(name -> turns.leave(name, () -> withdrawnAlone(peer, id)));
    }

    /// By whoever has the turn: what the order before it has made of the resource is seen here.
    private void withdrawnAlone(String peer, UUID id) {
        Roster.Now now = roster.now();
        Optional<String> name = now.nameOf(peer, id);
        if (name.isEmpty()) {
            return; // It was removed here as well.
        }
        switch (now.open().get(name.get())) {
            case LocalBackup backup -> {
                // What an operator has disconnected stays so for every new offer.
                if (isStandalone(backup)) {
                    return;
                }
                // History belongs to the backup: a peer can end replication but never delete it.
                standalone(backup, true, WITHDRAWN);
            }
            case LocalPrimary _ -> {
                return; // The peer has removed the copy of it.
            }
            case null -> {} // It cannot be opened, and is not on the link.
        }
        shared.events()
                .of(name.get())
                .accept(
                        "withdrawn",
                        "%s has removed the resource; the copy stays until it is removed here"
                                .formatted(peer));
    }

    // ---- attach, detach ----------------------------------------------------------------------

    ControlApi.AttachReply attach(String name) throws ProblemException {
        LocalPrimary primary = getPrimary(name);
        requireOpenGate(primary);
        try {
            listenTcp();
            primary = roleToAttach(primary);
            requireNotAttaching(primary);
            primary.attach(BackupResource.ANSWERS);
        } catch (IOException e) {
            shared.events().of(name).accept("attach-failed", String.valueOf(e.getMessage()));
            throw shared.refused(
                    Role.PRIMARY,
                    name + " was not attached",
                    e instanceof DeviceException ? "attach " + name : "doctor",
                    e.getMessage());
        }
        shared.events().of(name).accept("attached", "exported on " + primary.socket());
        List<String> notes = new ArrayList<>();
        if (!primary.exchanged().isEmpty()) {
            notes.add(primary.exchanged());
        }
        if (!primary.writtenPast().isEmpty()) {
            notes.add(primary.writtenPast());
        }
        if (!primary.lostChoice().isEmpty()) {
            notes.add(primary.lostChoice());
        }
        primary.unusedWords().ifPresent(notes::add);
        List<Optional<String>> devices = connectKernel(primary, notes::add);
        return new ControlApi.AttachReply(
                name,
                Reporter.uri(name, primary.socket().toString()),
                primary.socket().toString(),
                devices.getFirst(),
                Reporter.volumes(primary.dir(), primary.exports(), primary.socket(), devices::get),
                notes);
    }

    /// One that waits for a disk that hangs is not waited for as well. Its monitor, which has no
    /// limit, is not touched.
    private void requireNotAttaching(LocalPrimary primary) throws ProblemException {
        for (Optional<Duration> since = primary.attachingFor();
                since.isPresent();
                since = primary.attachingFor()) {
            if (since.get().compareTo(ATTACHES) > 0) {
                throw shared.refused(
                        Role.PRIMARY,
                        primary.name() + " is being attached already",
                        "status " + primary.name(),
                        "for %d s now, and its disk has not answered; it is attached when it does, or that order is refused"
                                .formatted(since.get().toSeconds()));
            }
            LockSupport.parkNanos(20_000_000);
        }
    }

    /// The operator goes on from what is left of a damaged journal, and from the moment that was
    /// chosen last: neither while another order writes the one or the other.
    private LocalPrimary roleToAttach(LocalPrimary primary) throws IOException, ProblemException {
        String name = primary.name();
        if (!primary.isDamaged() && !Promotion.isLeftBehind(primary)) {
            return primary;
        }
        return turns.<LocalPrimary, IOException>of(
                name,
                "attach",
                () -> {
                    LocalPrimary now = getPrimary(name);
                    now.acceptDamage();
                    LocalPrimary next = wholeRole(now);
                    next.acceptDamageAs(now); // Of the one that takes over.
                    return next;
                });
    }

    void requireOpenGate(LocalPrimary primary) throws ProblemException {
        String name = primary.name();
        boolean isOrdered = isStandalone(primary); // Who disconnects it first means it.
        if (!isOrdered
                && primary.gate(node.get().bootGate()).orElse(null)
                        instanceof BootGate.Outcome.Closed(String why)) {
            throw shared.refused(
                    Role.PRIMARY,
                    "%s stays closed: %s".formatted(name, why),
                    "disconnect %s, and then attach %s, gives up what was written at %s"
                            .formatted(name, name, primary.dir().facts().peer()));
        }
    }

    /// The kernel's own clients on the exports, where the kernel has them.
    ///
    /// @return the device of each volume, absent where it was not connected
    private List<Optional<String>> connectKernel(LocalPrimary primary, Consumer<String> note) {
        List<String> names = kernelNames(primary);
        if (!kernel.isThere()) {
            note.accept(
                    "this kernel has no nbd device (modprobe nbd): use the export with any NBD"
                            + " client, for example nbdfuse or a virtual machine");
            return names.stream().map(_ -> Optional.<String>empty()).toList();
        }
        List<Optional<String>> devices = new ArrayList<>();
        for (int i = 0; i < names.size(); i++) {
            try {
                devices.add(
                        Optional.of(
                                kernel.connect(
                                                names.get(i),
                                                VolumeExport.name(primary.name(), i),
                                                primary.socket())
                                        .toString()));
            } catch (IOException e) {
                note.accept("the kernel's device was not connected: " + e.getMessage());
                devices.add(Optional.empty());
            }
        }
        primary.growKernelDevices(); // It may have grown since a client was told its size.
        return devices;
    }

    /// The first that the kernel's client uses is named, and nothing has changed: what is mounted
    /// does not outlive the daemon yet.
    void requireKernelDevicesUnused() throws ProblemException {
        for (LocalResource each : roster.open()) {
            String name = each.name();
            try {
                for (String device : kernelNames(each)) {
                    kernel.requireUnused(device);
                }
            } catch (IOException e) {
                throw shared.refused(
                        Role.PRIMARY,
                        name + " is in use and would see I/O errors, nothing changed",
                        "umount it and detach " + name,
                        e.getMessage());
            }
        }
    }

    /// How many clients are connected. One that has gone a moment ago, like the command typed
    /// before this one, may be there still.
    private static int clients(LocalPrimary primary, int usual) {
        long deadline = System.nanoTime() + GOES.toNanos();
        while (true) {
            int clients = primary.resource().map(PrimaryResource::clients).orElse(0);
            if (clients <= usual || System.nanoTime() - deadline >= 0) {
                return clients;
            }
            LockSupport.parkNanos(10_000_000);
        }
    }

    ControlApi.Done detach(String name) throws ProblemException {
        LocalPrimary primary = getPrimary(name);
        boolean wasAttached;
        boolean staysDetached;
        try (LocalPrimary.TurnedAway turnedAway = primary.turnAway()) {
            requireUnused(primary, true, "detach " + name);
            synchronized (primary) { // Nobody attaches it in between.
                turnedAway.requireStill();
                wasAttached = primary.isAttached();
                detach(primary, true);
                staysDetached = primary.dir().superblock().detached();
            }
        } catch (IOException e) {
            throw shared.refused(
                    Role.PRIMARY,
                    name + " is in use, nothing changed",
                    "detach " + name,
                    e.getMessage());
        }
        shared.events().of(name).accept("detached", "the device is closed");
        ResourceDir.Facts facts = primary.dir().facts();
        String soon = "";
        if (!staysDetached) {
            soon =
                    wasAttached
                            ? ". Its disk has failed, so it did not end cleanly: the next start of the daemon attaches it again"
                            : ". It was not attached, and the next start of the daemon attaches it";
        }
        return ControlApi.Done.of(
                "%s is detached, %s %s closed%s"
                        .formatted(
                                name,
                                facts.words(),
                                facts.disks().size() == 1 ? "is" : "are",
                                soon));
    }

    void detach(LocalPrimary primary, boolean byOperator) throws ProblemException {
        String name = primary.name();
        try {
            primary.detach(byOperator);
        } catch (IOException e) {
            shared.events().of(name).accept("detach-failed", String.valueOf(e.getMessage()));
            throw shared.refused(
                    Role.PRIMARY,
                    name
                            + " was detached, but not cleanly: what was being written to is compared at the next attach",
                    "attach " + name,
                    e.getMessage());
        }
    }

    /// Lets go of the kernel's own client when it is alone and nobody uses it.
    ///
    /// @param next what is to be typed when all others are gone
    /// @param lets those go that wait for a disk that hangs: they cannot go by themselves
    void requireUnused(LocalPrimary primary, boolean lets, String next) throws ProblemException {
        int clients = 0;
        String use = "";
        try {
            // The kernel's own client first when it is alone, or else it would be the only one to
            // go.
            int kernels = 0;
            for (String device : kernelNames(primary)) {
                kernels += kernel.isConnected(device) ? 1 : 0;
            }
            boolean hangs = lets && Hangs.holdsClients(primary);
            clients = clients(primary, hangs ? Integer.MAX_VALUE : kernels);
            use =
                    clients
                            + (clients == 1 ? " client is" : " clients are")
                            + " connected to the export";
            if (clients <= kernels || hangs) {
                kernel.disconnect(kernelNames(primary), () -> canSync(primary));
                clients = 0;
            }
        } catch (IOException e) {
            use = e.getMessage();
        }
        if (clients > 0) {
            throw shared.refused(
                    Role.PRIMARY, primary.name() + " is in use, nothing changed", next, use);
        }
    }

    // ---- views -------------------------------------------------------------------------------

    private ProblemException refused(LocalBackup.NoPoint why) {
        return shared.refused(
                Role.SECONDARY, why.cause(), why.next(), why.evidence().toArray(String[]::new));
    }

    ControlApi.OpenReply openView(ControlApi.OpenRequest request) throws ProblemException {
        LocalBackup backup = getBackup(request.name());
        AskedPoint asked = asked(request.at().orElse("latest"));
        requireUsable(request);
        LocalBackup.NoPoint refused = backup.notServed(request);
        if (refused != null) {
            throw refused(refused);
        }
        try {
            LocalBackup.OpenView view = backup.openView(asked, request);
            if (view == null) {
                throw notOpened(backup, asked);
            }
            shared.events()
                    .of(request.name())
                    .accept(
                            "view-opened",
                            view.id() + " shows " + view.point().moment().position());
            return new ControlApi.OpenReply(
                    request.name(),
                    Reporter.view(backup, view),
                    view.exports().stream().mapToLong(Export::sizeBytes).sum(),
                    noteOf(view));
        } catch (ViewMemory.FullException e) {
            throw refused(e.why());
        } catch (IOException e) {
            throw shared.problem(ExitCode.FAILED, "the view was not opened", "", e.getMessage());
        }
    }

    /// What one who looks at it should know.
    private static Optional<String> noteOf(LocalBackup.OpenView view) {
        List<String> notes = new ArrayList<>();
        if (view.behind()) {
            notes.add(UNSYNCED);
        }
        if (view.point().isInGap()) {
            notes.add(IN_GAP);
        }
        return notes.isEmpty() ? Optional.empty() : Optional.of(String.join("; ", notes));
    }

    ProblemException notOpened(LocalBackup backup, AskedPoint asked) {
        LocalBackup.NoPoint why = backup.whyNot(asked);
        return shared.refused(
                Role.SECONDARY, why.cause(), why.next(), why.evidence().toArray(String[]::new));
    }

    AskedPoint asked(String text) throws ProblemException {
        try {
            return AskedPoint.parse(text, ZoneId.systemDefault(), Instant.now());
        } catch (IllegalArgumentException e) {
            throw shared.problem(ExitCode.USAGE, e.getMessage(), "open --help");
        }
    }

    /// Which moments of a copy can be opened.
    ControlApi.PointsReply points(String name) throws ProblemException {
        LocalBackup backup = getBackup(name);
        try {
            return backup.points();
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.FAILED,
                    "the settings of " + name + " cannot be read",
                    "",
                    e.getMessage());
        }
    }

    private void requireUsable(ControlApi.OpenRequest request) throws ProblemException {
        String wrong = "";
        if (request.overlayBytes().isPresent() && !request.writable()) {
            wrong = "a view that is read-only has no overlay, whose size could be limited";
        } else if (request.overlayBytes().filter(each -> each < OVERLAY_MIN_BYTES).isPresent()) {
            wrong = "an overlay is limited to %d bytes or more".formatted(OVERLAY_MIN_BYTES);
        } else if (request.underName() && (request.writable() || request.socket().isPresent())) {
            wrong = "under the resource's name a view is read-only, and on the resource's socket";
        } else if (request.socket().filter(each -> !Path.of(each).isAbsolute()).isPresent()) {
            wrong = request.socket().get() + " is no absolute path";
        }
        if (!wrong.isEmpty()) {
            throw shared.problem(ExitCode.USAGE, wrong, "open --help");
        }
    }

    // ---- mark --------------------------------------------------------------------------------

    /// Gives the present moment a name in the copy's journal.
    ControlApi.MarkReply mark(ControlApi.MarkRequest request) throws ProblemException {
        String name = request.name();
        LocalPrimary primary =
                getPrimaryFor(
                        name,
                        "the present moment is its primary's; a moment of the copy is kept by "
                                + shared.command("keep " + name + " NAME --at POINT"),
                        "mark",
                        " " + request.as());
        if (!Pins.isName(request.as())) {
            throw shared.problem(
                    ExitCode.USAGE,
                    "\"%s\" is no name for a moment: it should be %s"
                            .formatted(request.as(), Pins.NAME_RULE),
                    "mark --help");
        }
        CompletableFuture<Primary.Marked> order =
                primary.resource().map(each -> each.mark(request.as())).orElse(null);
        if (order == null) {
            throw notMarked(primary, request.as());
        }
        String peer = primary.dir().facts().peer();
        try {
            Primary.Marked marked = order.get(ANSWER.toSeconds(), TimeUnit.SECONDS);
            if (marked.end() != Primary.MarkEnd.DURABLE) {
                throw notMarked(name, request.as(), peer, marked);
            }
            Instant time = Instant.ofEpochMilli(marked.wallMillis());
            shared.events()
                    .of(name)
                    .accept(
                            "marked",
                            "%s is what it was at %s, in the copy at %s"
                                    .formatted(request.as(), time, peer));
            return new ControlApi.MarkReply(name, request.as(), peer, time, marked.at().toString());
        } catch (TimeoutException | ExecutionException e) {
            throw shared.problem(
                    ExitCode.TIMED_OUT,
                    "the mark is on its way to %s, behind what was written before it"
                            .formatted(peer),
                    "status " + name,
                    "at %s: holdfast points %s".formatted(peer, name));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw shared.problem(ExitCode.FAILED, "interrupted", "status");
        }
    }

    private ProblemException notMarked(String name, String as, String peer, Primary.Marked marked) {
        String cause = "nothing was marked: " + marked.refusal();
        String points = "at %s: holdfast points %s".formatted(peer, name);
        String later = "wait %s && %s".formatted(name, shared.command("mark " + name + " " + as));
        return switch (marked.end()) {
            case UNSURE ->
                    shared.problem(
                            ExitCode.PEER_AWAY,
                            "%s did not answer, and may have marked it or not: %s"
                                    .formatted(peer, marked.refusal()),
                            "status " + name,
                            points);
            case LOST -> shared.problem(ExitCode.PEER_AWAY, cause, later);
            case BEHIND -> shared.refused(Role.PRIMARY, cause, later);
            case TAKEN, DURABLE ->
                    shared.refused(Role.PRIMARY, cause, "mark " + name + " ANOTHER-NAME", points);
        };
    }

    /// The present moment is none of the copy's.
    private ProblemException notMarked(LocalPrimary primary, String as) {
        String name = primary.name();
        String peer = primary.dir().facts().peer();
        if (!primary.isAttached()) {
            return shared.refused(
                    Role.PRIMARY,
                    "nothing was marked: %s is not attached".formatted(name),
                    "attach " + name);
        }
        if (link.session(peer).isEmpty()) {
            return shared.problem(
                    ExitCode.PEER_AWAY,
                    "nothing was marked: %s cannot be reached, and a mark is a record of its journal"
                            .formatted(peer),
                    "wait " + name);
        }
        if (isStandalone(primary)) {
            return shared.refused(
                    Role.PRIMARY,
                    "nothing was marked: %s is disconnected by an operator".formatted(name),
                    "connect " + name);
        }
        ReplicationState state =
                primary.resource()
                        .map(each -> each.look(Primary::state))
                        .orElse(ReplicationState.OFF);
        if (state == ReplicationState.ESTABLISHED) {
            return shared.refused(
                    Role.PRIMARY,
                    "nothing was marked: the copy has just fallen behind, or too many orders to mark wait for their answers",
                    "wait " + name);
        }
        return shared.refused(
                Role.PRIMARY,
                "nothing was marked: every write goes to %s in its order only while the replication is Established, and it is %s: the copy does not pass through the present moment"
                        .formatted(peer, Words.state(state.name())),
                "wait %s && %s".formatted(name, shared.command("mark %s %s".formatted(name, as))));
    }

    /// What was opened for somebody's use, and is used no longer.
    void closeLeftViews() {
        copies().forEach(each -> each.closeLeftViews(System.nanoTime()));
    }

    // ---- what is kept ------------------------------------------------------------------------

    /// Keeps a moment under a name; when it returns that is durable.
    ControlApi.KeepReply keep(ControlApi.KeepRequest request) throws ProblemException {
        LocalBackup backup = getBackup(request.name());
        AskedPoint asked = asked(request.at().orElse("latest"));
        if (!Pins.isName(request.as())) {
            throw shared.problem(
                    ExitCode.USAGE,
                    "\"%s\" is no name for a moment: it should be %s"
                            .formatted(request.as(), Pins.NAME_RULE),
                    "keep --help");
        }
        Duration span;
        try {
            span = request.span().map(AskedPoint::duration).orElse(KEPT_USUALLY);
        } catch (IllegalArgumentException e) {
            throw shared.problem(ExitCode.USAGE, e.getMessage(), "keep --help");
        }
        try {
            LocalBackup.Keeping keeping = backup.keep(request.as(), asked, span);
            if (!keeping.refusal().isEmpty()) {
                throw shared.refused(
                        Role.SECONDARY,
                        "nothing was kept: " + keeping.refusal(),
                        "points " + request.name());
            }
            ControlApi.Kept kept =
                    backup.kept().stream()
                            .filter(each -> each.as().equals(request.as()))
                            .findFirst()
                            .orElseThrow();
            shared.events()
                    .of(request.name())
                    .accept(
                            "pin-made",
                            "%s is kept as of %s until %s"
                                    .formatted(kept.as(), kept.time(), kept.expires()));
            return new ControlApi.KeepReply(
                    request.name(), kept, keeping.inGap() ? Optional.of(IN_GAP) : Optional.empty());
        } catch (IOException e) {
            throw shared.problem(ExitCode.FAILED, "nothing was kept", "", e.getMessage());
        }
    }

    /// Keeps it no longer. With `dryRun` only says what is lost and what `confirm` has to be.
    ControlApi.DropReply drop(ControlApi.DropRequest request) throws ProblemException {
        LocalBackup backup = getBackup(request.name());
        ControlApi.Kept kept =
                backup.kept().stream()
                        .filter(each -> each.as().equals(request.as()))
                        .findFirst()
                        .orElseThrow(
                                () ->
                                        shared.refused(
                                                Role.SECONDARY,
                                                "nothing of %s is kept under the name %s"
                                                        .formatted(request.name(), request.as()),
                                                "points " + request.name()));
        String confirm = "%s/%s@%s".formatted(shared.node(), request.name(), request.as());
        List<String> effects =
                List.of(
                        "%s as it was at %s cannot be opened under the name %s any more"
                                .formatted(request.name(), kept.time(), request.as()),
                        "%s of its old content are given free, as far as no older kept moment needs them"
                                .formatted(Words.bytes(kept.bytes())));
        if (request.dryRun()) {
            return new ControlApi.DropReply(
                    false, request.name(), request.as(), shared.node(), effects, confirm);
        }
        shared.requireConfirmed(
                request.confirm(),
                confirm,
                "dropping %s has to be confirmed".formatted(request.as()),
                effects,
                "keep %s %s --drop".formatted(request.name(), request.as()));
        String trouble = backup.resource().drop(request.as());
        if (!trouble.isEmpty()) {
            throw shared.refused(Role.SECONDARY, "nothing was dropped: " + trouble, "status");
        }
        shared.events().of(request.name()).accept("pin-dropped", String.join("; ", effects));
        backup.giveUpAgain();
        return new ControlApi.DropReply(
                true, request.name(), request.as(), shared.node(), effects, confirm);
    }

    ControlApi.Done closeView(String id) throws ProblemException {
        for (LocalBackup each : copies()) {
            if (each.closeView(id)) {
                shared.events().of(each.name()).accept("view-closed", id);
                return ControlApi.Done.of(id + " is closed");
            }
        }
        throw shared.problem(ExitCode.REFUSED, "there is no open view " + id, "status");
    }

    // ---- promote -----------------------------------------------------------------------------

    ControlApi.PromoteReply promote(ControlApi.PromoteRequest request) throws ProblemException {
        return promoteOrders.promote(request);
    }

    boolean isConnected(LocalBackup copy) {
        return link.session(copy.dir().facts().peer()).isPresent();
    }

    /// The resource has another role, or the same for another moment.
    void takesOver(LocalResource before, LocalPrimary now) {
        roster.put(now);
        Optional<PeerSession> session = link.session(now.dir().facts().peer());
        session.ifPresent(before::disconnect);
        session.filter(_ -> !isStandalone(now)).ifPresent(now::connect);
    }

    /// As [Promotion#whole], in the turn of an order.
    LocalPrimary wholeRole(LocalPrimary primary) throws IOException {
        LocalPrimary next = promotion.whole(primary);
        if (next != primary) {
            takesOver(primary, next);
        }
        return next;
    }

    // ---- two histories -----------------------------------------------------------------------

    /// What both sides have done since they were the same, and what can be done about it. Nothing
    /// is given up but here, by an operator of the host that loses it.
    ControlApi.ReconnectReply reconnect(ControlApi.ReconnectRequest request)
            throws ProblemException {
        return request.discard().isEmpty()
                ? reconnectAlone(request)
                : turns.of(request.name(), "reconnect --discard", () -> reconnectAlone(request));
    }

    private ControlApi.ReconnectReply reconnectAlone(ControlApi.ReconnectRequest request)
            throws ProblemException {
        String name = request.name();
        LocalResource found = get(name);
        String peer = found.dir().facts().peer();
        Verdict parted = found.parted();
        Optional<StatusReport.Histories> histories = histories(found, parted);
        List<String> facts = facts(found, parted, histories);
        String confirm = shared.confirmOf(found.dir());
        if (request.discard().isEmpty()) {
            return new ControlApi.ReconnectReply(
                    false,
                    name,
                    shared.node(),
                    histories,
                    facts,
                    choices(found, parted, histories),
                    confirm);
        }
        if (request.discard().get().equals(peer)) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "what is at %s is given up there, nothing changed".formatted(peer),
                    "",
                    "at %s: holdfast reconnect %s --discard %s".formatted(peer, name, peer));
        }
        if (!request.discard().get().equals(shared.node())) {
            throw shared.problem(
                    ExitCode.USAGE,
                    "%s is no host of %s; its hosts are %s and %s"
                            .formatted(request.discard().get(), name, shared.node(), peer),
                    "reconnect " + name);
        }
        requirePrimaryAtPeer(found);
        shared.requireConfirmed(
                request.confirm(),
                confirm,
                "what %s has of %s by itself would be given up".formatted(shared.node(), name),
                facts,
                "reconnect %s --discard %s".formatted(name, shared.node()));
        String keptAs =
                switch (found) {
                    case LocalPrimary primary -> discard(primary);
                    case LocalBackup backup -> discard(backup);
                };
        return new ControlApi.ReconnectReply(
                true,
                name,
                shared.node(),
                histories,
                facts,
                List.of(
                        "%s is a copy here now, and %s brings it on as soon as they are connected"
                                .formatted(name, peer),
                        "what it was is kept as %s for %s: %s"
                                .formatted(
                                        keptAs,
                                        Words.span(LocalBackup.DISCARDED_KEPT),
                                        shared.command("open %s --at %s".formatted(name, keptAs)))),
                confirm);
    }

    /// Somebody must be there to bring it on, and a copy have something by itself.
    private void requirePrimaryAtPeer(LocalResource of) throws ProblemException {
        String name = of.name();
        String peer = of.dir().facts().peer();
        Role role = of instanceof LocalPrimary ? Role.PRIMARY : Role.SECONDARY;
        Frame.ResourceHello theirs = of.peerHello();
        if (theirs == null) {
            throw shared.problem(
                    ExitCode.PEER_AWAY,
                    "%s is not connected: nothing is given up for what nobody knows"
                            .formatted(peer),
                    isStandalone(of) ? "connect " + name : "status " + name);
        }
        if (!Verdict.isPrimary(theirs)) {
            throw shared.refused(
                    role,
                    "%s is secondary at %s, nothing changed".formatted(name, peer),
                    "status " + name,
                    "to go on there, at %s: holdfast promote %s".formatted(peer, name));
        }
        Verdict verdict = Verdict.of(helloOf(of), theirs);
        if (verdict instanceof Verdict.Unrelated(String why)) {
            throw shared.refused(
                    role,
                    "%s cannot become a copy of what %s has, nothing changed".formatted(name, peer),
                    "reconnect " + name,
                    why);
        }
        if (of instanceof LocalBackup backup && !isByItself(backup, verdict)) {
            throw shared.refused(
                    role,
                    name + " is a copy here and has nothing by itself",
                    "status " + name,
                    verdict.why().isEmpty()
                            ? "%s brings it on by itself".formatted(peer)
                            : verdict.why());
        }
    }

    /// Whether a copy has what its peer's primary has not: one whose promotion was cut off, or
    /// whose primary was promoted and then another moment of it chosen.
    private static boolean isByItself(LocalBackup copy, Verdict verdict) {
        return copy.resource().look(Backup::isApart)
                && (verdict instanceof Verdict.Forked || verdict instanceof Verdict.Ahead);
    }

    private static Frame.ResourceHello helloOf(LocalResource of) {
        return switch (of) {
            case LocalPrimary primary -> primary.hello();
            case LocalBackup backup -> backup.resource().look(at -> at.hello());
        };
    }

    private Optional<StatusReport.Histories> histories(LocalResource of, Verdict parted) {
        Frame.ResourceHello theirs = of.peerHello();
        if (theirs == null || parted == null || !parted.isSplit()) {
            return Optional.empty();
        }
        of.standoff().await(theirs);
        return Histories.told(shared, of);
    }

    private List<String> facts(
            LocalResource of, Verdict parted, Optional<StatusReport.Histories> histories) {
        String peer = of.dir().facts().peer();
        if (of.peerHello() == null) {
            return List.of("%s is not connected, or has not said what it has".formatted(peer));
        }
        if (parted == null) {
            return List.of("nothing keeps the two copies apart");
        }
        return histories
                .map(known -> HistoryWords.of(known, link.clock(peer), ZoneId.systemDefault()))
                .orElseGet(() -> List.of(parted.why()));
    }

    /// What can be typed where, and what becomes of what then.
    private List<String> choices(
            LocalResource of, Verdict parted, Optional<StatusReport.Histories> histories) {
        String name = of.name();
        String status = "next: " + shared.command("status " + name);
        Frame.ResourceHello theirs = of.peerHello();
        if (theirs == null) {
            return List.of(
                    "nothing is given up for what nobody knows; %s"
                            .formatted(
                                    isStandalone(of)
                                            ? "next: " + shared.command("connect " + name)
                                            : status));
        }
        return switch (parted) {
            case null -> List.of("there is nothing to choose; " + status);
            case Verdict.Equal _, Verdict.Unfit _ ->
                    List.of("there is nothing to choose; " + status);
            case Verdict.SetBack(_, boolean again, _) -> setBack(of, again);
            case Verdict.Unrelated _ -> unrelated(of, theirs);
            case Verdict.Ahead _, Verdict.Behind _, Verdict.Forked _ ->
                    switch (of) {
                        case LocalBackup backup -> choices(backup, parted, histories);
                        case LocalPrimary primary -> choices(primary, theirs, histories);
                    };
        };
    }

    private List<String> choices(
            LocalPrimary primary,
            Frame.ResourceHello theirs,
            Optional<StatusReport.Histories> histories) {
        String name = primary.name();
        String peer = primary.dir().facts().peer();
        if (!Verdict.isPrimary(theirs)) {
            return List.of(
                    "to go on from what %s has, at %s: holdfast promote %s, and then here: %s"
                            .formatted(
                                    peer,
                                    peer,
                                    name,
                                    shared.command(
                                            "reconnect %s --discard %s"
                                                    .formatted(name, shared.node()))),
                    toKeepWhatIsHere(primary, histories));
        }
        return List.of(
                toGiveUp(primary, histories),
                toKeepWhatIsHere(primary, histories),
                "to decide later: nothing; " + meanwhile(primary, theirs));
    }

    /// What becomes of both as long as nobody chooses.
    private String meanwhile(LocalPrimary primary, Frame.ResourceHello theirs) {
        String name = primary.name();
        String peer = primary.dir().facts().peer();
        boolean isExportedThere = theirs.diskState() != DiskState.DISKLESS.ordinal();
        if (primary.isAttached()) {
            return isExportedThere
                    ? "both go on by themselves, and what each of them writes is given up with the rest of its own when the other one is chosen"
                    : "it goes on here by itself, and what it writes is given up with the rest of its own when the other one is chosen; at %s it is not exported"
                            .formatted(peer);
        }
        boolean isClosed =
                primary.gate(node.get().bootGate()).orElse(null) instanceof BootGate.Outcome.Closed;
        String here =
                isClosed
                        ? "it stays closed here, and is exported by itself when %s gives up its own; to write here all the same, beside what is there: %s, and then %s"
                                .formatted(
                                        peer,
                                        shared.command("disconnect " + name),
                                        shared.command("attach " + name))
                        : "it is not exported here; to write here all the same, beside what is there: "
                                + shared.command("attach " + name);
        return isExportedThere
                ? "%s goes on by itself, and what it writes is given up with the rest of its own when the other one is chosen; %s"
                        .formatted(peer, here)
                : "at %s it is not exported either; %s".formatted(peer, here);
    }

    private List<String> choices(
            LocalBackup backup, Verdict parted, Optional<StatusReport.Histories> histories) {
        String promote = "to go on from this copy: " + shared.command("promote " + backup.name());
        return isByItself(backup, parted)
                ? List.of(toGiveUp(backup, histories), promote)
                : List.of(
                        promote,
                        "to let the primary bring it on again, at %s: holdfast reconnect %s"
                                .formatted(backup.dir().facts().peer(), backup.name()));
    }

    private String toGiveUp(LocalResource of, Optional<StatusReport.Histories> histories) {
        String peer = of.dir().facts().peer();
        return "to go on from what %s has, here: %s (DRBD: connect --discard-my-data). %s"
                .formatted(
                        peer,
                        shared.command(
                                "reconnect %s --discard %s".formatted(of.name(), shared.node())),
                        consequence(of.name(), shared.node(), histories, peer, "here"));
    }

    private String toKeepWhatIsHere(
            LocalPrimary primary, Optional<StatusReport.Histories> histories) {
        String name = primary.name();
        String peer = primary.dir().facts().peer();
        return "to go on from what is here, at %s: holdfast reconnect %s --discard %s. %s"
                .formatted(
                        peer,
                        name,
                        peer,
                        consequence(name, peer, histories, shared.node(), "at " + peer));
    }

    /// @param where the loser is
    private static String consequence(
            String name,
            String loser,
            Optional<StatusReport.Histories> histories,
            String winner,
            String where) {
        String amount =
                histories.map(StatusReport.Histories::sides).stream()
                        .flatMap(List::stream)
                        .filter(side -> side.host().equals(loser))
                        .findFirst()
                        .flatMap(HistoryWords::amount)
                        .map(each -> ", " + each + ",")
                        .orElse("");
        return "Then what %s wrote since%s is in %s no more: it becomes what %s has, and what it is now is kept %s for %s as discarded-..., to be opened beside that"
                .formatted(
                        loser, amount, name, winner, where, Words.span(LocalBackup.DISCARDED_KEPT));
    }

    private List<String> setBack(LocalResource of, boolean again) {
        String name = of.name();
        String peer = of.dir().facts().peer();
        boolean isPrimary = of instanceof LocalPrimary;
        String primary = isPrimary ? shared.node() : peer;
        return List.of(
                "to go on with what the copy has: at %s holdfast detach %s, at %s holdfast promote %s, and then at %s holdfast reconnect %s --discard %s. What %s has is kept there for %s as discarded-..., to be opened beside that"
                        .formatted(
                                primary,
                                name,
                                isPrimary ? peer : shared.node(),
                                name,
                                primary,
                                name,
                                primary,
                                primary,
                                Words.span(LocalBackup.DISCARDED_KEPT)),
                "to go on with what %s holds, there: %sholdfast invalidate-remote %s. What the copy has more can be opened as long as its history reaches back"
                        .formatted(
                                primary,
                                again
                                        ? "holdfast detach %s, holdfast attach %s, "
                                                .formatted(name, name)
                                        : "",
                                name));
    }

    /// Neither can become a copy of the other: the resource is removed at both, and added anew at
    /// the one that is to be kept.
    private List<String> unrelated(LocalResource of, Frame.ResourceHello theirs) {
        String name = of.name();
        String peer = of.dir().facts().peer();
        Role mine = of instanceof LocalPrimary ? Role.PRIMARY : Role.SECONDARY;
        Role other = Verdict.isPrimary(theirs) ? Role.PRIMARY : Role.SECONDARY;
        String disks = String.join(" ", of.dir().facts().disks());
        List<String> choices = new ArrayList<>();
        choices.add(toKeepAlone(name, shared.node(), mine, disks, peer, other));
        choices.add(toKeepAlone(name, peer, other, "DISK", shared.node(), mine));
        if (mine == Role.SECONDARY) {
            choices.add(toWriteAtOnce(name, shared.node()));
        } else if (other == Role.SECONDARY) {
            choices.add(toWriteAtOnce(name, peer));
        }
        return choices;
    }

    /// The one that is kept first: what goes wrong there has deleted nothing yet.
    ///
    /// @param disks of the one that is kept
    private String toKeepAlone(
            String name, String kept, Role role, String disks, String other, Role otherRole) {
        return "to keep what %s has: %s (%s), then %s (%s), and then %s. That makes a new copy at %s, in its storage, or with --peer-disk on a disk there, which is overwritten"
                .formatted(
                        kept,
                        typedAt(
                                kept,
                                "remove " + name + (role == Role.PRIMARY ? "" : " --keep-copy")),
                        role == Role.PRIMARY
                                ? "the disk there stays as it is"
                                : "the disk there becomes the newest moment and stays, the older ones are deleted",
                        typedAt(other, "remove " + name),
                        otherRole == Role.PRIMARY
                                ? "the disk there stays as it is"
                                : "the copy there is deleted with all of its moments; to keep it as well: --keep-copy",
                        typedAt(kept, "add %s %s".formatted(name, disks)),
                        other);
    }

    private String toWriteAtOnce(String name, String copy) {
        return "to go on from the copy before that: %s. Then both are primary, and remove leaves either disk as it is"
                .formatted(typedAt(copy, "promote " + name));
    }

    private String typedAt(String host, String command) {
        return host.equals(shared.node())
                ? "here " + shared.command(command)
                : "at %s holdfast %s".formatted(host, command);
    }

    /// A copy stays one: it says that it gives up its own, and is brought on.
    private String discard(LocalBackup backup) throws ProblemException {
        try {
            String keptAs = backup.discard();
            tellDiscarded(backup);
            return keptAs;
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "what %s has by itself was not given up".formatted(backup.name()),
                    "reconnect " + backup.name(),
                    e.getMessage());
        }
    }

    private void tellDiscarded(LocalResource of) {
        shared.events()
                .of(of.name())
                .accept(
                        "discarded",
                        "what %s has by itself is given up for what %s has"
                                .formatted(shared.node(), of.dir().facts().peer()));
    }

    /// Closes the primary here and makes its disk a copy of the peer's.
    ///
    /// @return the name under which what it is now is kept
    private String discard(LocalPrimary primary) throws ProblemException {
        String name = primary.name();
        try {
            Path storage = offers.promise(name, primary.settings().journalSize().bytes());
            boolean watched = primary.isAttached() || primary.copy().isPresent();
            if (primary.isAttached()) {
                detach(name);
            }
            if (primary.copy().isPresent()) {
                String obstacle = primary.makeFinal();
                if (!obstacle.isEmpty()) {
                    throw new IOException(obstacle);
                }
            }
            LocalBackup made = demoted(primary, storage, watched);
            greet(made);
            if (!made.keepsOwn().isEmpty()) {
                throw shared.problem(
                        ExitCode.FAILED,
                        "%s is a copy from now on, and does not follow %s yet"
                                .formatted(name, made.dir().facts().peer()),
                        "status " + name,
                        made.keepsOwn());
            }
            tellDiscarded(made);
            return LocalBackup.discardedName(made.dir().discards().orElseThrow());
        } catch (IOException | RuntimeException e) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "%s was not made a copy".formatted(name),
                    "reconnect " + name,
                    e.getMessage());
        } finally {
            offers.kept(name);
        }
    }

    /// What fails leaves the role that the disk says: the primary as it was, or a copy that has to
    /// be opened.
    private LocalBackup demoted(LocalPrimary primary, Path storage, boolean watched)
            throws IOException, ProblemException {
        String name = primary.name();
        primary.requireAnswers("reconnect %s --discard %s".formatted(name, shared.node()));
        primary.end("it gives up its own and becomes a copy just now");
        link.session(primary.dir().facts().peer()).ifPresent(primary::disconnect);
        away(name, "it is just being made a copy");
        try {
            LocalBackup made = demotion.of(primary, storage, watched);
            roster.put(made);
            return made;
        } catch (IOException | RuntimeException e) {
            try {
                primary.close();
            } catch (RuntimeException closing) {
                e.addSuppressed(closing);
            }
            back(name);
            if (ResourceDir.facts(directory, name).isPrimary()) {
                throw e;
            }
            throw shared.problem(
                    ExitCode.FAILED,
                    "%s is a copy from now on, and could not be opened".formatted(name),
                    "connect " + name,
                    e.getMessage());
        }
    }

    // ---- remove ------------------------------------------------------------------------------

    ControlApi.RemoveReply remove(ControlApi.RemoveRequest request) throws ProblemException {
        return request.dryRun()
                ? removeAlone(request)
                : turns.of(request.name(), "remove", () -> removeAlone(request));
    }

    private ControlApi.RemoveReply removeAlone(ControlApi.RemoveRequest request)
            throws ProblemException {
        LocalResource resource = get(request.name());
        String confirm = shared.confirmOf(resource.dir());
        List<String> effects = effects(resource, request.keepCopy());
        if (request.dryRun()) {
            return new ControlApi.RemoveReply(
                    false, request.name(), shared.node(), effects, confirm);
        }
        shared.requireConfirmed(
                request.confirm(),
                confirm,
                "removing %s has to be confirmed".formatted(request.name()),
                effects,
                "remove %s%s".formatted(request.name(), request.keepCopy() ? " --keep-copy" : ""));
        try {
            switch (resource) {
                case LocalPrimary primary -> removePrimary(primary, request.keepCopy());
                case LocalBackup backup -> removeBackup(backup, request.keepCopy());
            }
        } catch (IOException | UncheckedIOException e) {
            Roster.Now now = roster.now();
            boolean isGone =
                    !now.open().containsKey(request.name())
                            && !now.unopened().containsKey(request.name());
            throw shared.problem(
                    ExitCode.FAILED,
                    request.name()
                            + (isGone
                                    ? " is removed, but not all that it had"
                                    : " was not removed"),
                    "",
                    e.getMessage());
        }
        shared.events().of(request.name()).accept("removed", String.join("; ", effects));
        return new ControlApi.RemoveReply(true, request.name(), shared.node(), effects, confirm);
    }

    private List<String> effects(LocalResource resource, boolean keepCopy) {
        ResourceDir.Facts facts = resource.dir().facts();
        String disks = facts.words();
        return switch (resource) {
            case LocalPrimary _ ->
                    List.of(
                            disks + " stays as it is",
                            "replication to " + facts.peer() + " ends",
                            "the copy at " + facts.peer() + " stays until it is removed there");
            case LocalBackup backup -> {
                List<String> all = new ArrayList<>();
                if (keepCopy || !facts.ownDisk()) {
                    all.add(
                            backup.resource().snapshot().hasPoint()
                                    ? disks + " becomes the newest point and stays"
                                    : disks + " stays, and is the image of no moment");
                } else {
                    all.add("the copy " + disks + " is deleted");
                }
                all.add("the journal and its points are deleted");
                for (ControlApi.Kept each : backup.kept()) {
                    all.add("%s, kept of %s, is deleted".formatted(each.as(), each.time()));
                }
                yield all;
            }
        };
    }

    private void removePrimary(LocalPrimary primary, boolean keepCopy) throws IOException {
        primary.detach(true);
        if (primary.copy().isPresent()) {
            String obstacle = primary.makeFinal();
            if (!obstacle.isEmpty()) {
                throw new IOException("the journal could not be rolled into the disk: " + obstacle);
            }
        }
        primary.end("it is just being removed");
        link.session(primary.dir().facts().peer())
                .ifPresent(each -> each.send(new Frame.Withdraw(primary.id(), keepCopy)));
        delete(primary, () -> primary.dir().remove());
    }

    private interface Deletion {
        void run() throws IOException;
    }

    /// What fails is what the disk still has of it.
    private void delete(LocalResource resource, Deletion deletion) throws IOException {
        String name = resource.name();
        away(name, "it is just being removed");
        try {
            resource.close();
            deletion.run();
        } catch (IOException | RuntimeException e) {
            back(name);
            throw e;
        }
        roster.remove(name);
        shared.events().forget(name);
        Path settings = shared.settingsFile(name);
        try {
            Files.deleteIfExists(settings);
        } catch (IOException e) {
            shared.events()
                    .of(name)
                    .accept(
                            "metadata-error",
                            "it is removed, but its settings stay: " + e.getMessage());
        }
    }

    private void removeBackup(LocalBackup backup, boolean keepCopy) throws IOException {
        boolean stays = keepCopy || !backup.dir().facts().ownDisk();
        if (stays && backup.resource().snapshot().hasPoint()) {
            settle(backup);
        }
        delete(backup, () -> backup.delete(stays));
    }

    private void settle(LocalBackup backup) throws IOException {
        String obstacle = backup.beginToSettle(false);
        if (!obstacle.isEmpty()) {
            throw new IOException(obstacle);
        }
        Optional<PeerSession> session = link.session(backup.dir().facts().peer());
        session.ifPresent(
                each ->
                        each.send(
                                new Frame.Refused(
                                        backup.id(),
                                        "the copy is being removed at " + shared.node())));
        obstacle = backup.settle();
        if (!obstacle.isEmpty()) {
            session.ifPresent(backup::call);
            throw new IOException("the journal could not be rolled into the copy: " + obstacle);
        }
    }

    // ---- down --settle -----------------------------------------------------------------------

    ControlApi.SettleReply settle(ControlApi.SettleRequest request) throws ProblemException {
        return request.dryRun()
                ? settleAlone(request)
                : turns.of(request.name(), "down --settle", () -> settleAlone(request));
    }

    private ControlApi.SettleReply settleAlone(ControlApi.SettleRequest request)
            throws ProblemException {
        String name = request.name();
        LocalBackup backup = toBeSettled(name);
        String disks = backup.dir().facts().words();
        String confirm = shared.confirmOf(backup.dir());
        String command = "down %s --settle".formatted(name);
        List<String> effects = settledEffects(backup);
        if (request.dryRun()) {
            return new ControlApi.SettleReply(false, name, shared.node(), disks, effects, confirm);
        }
        shared.requireConfirmed(
                request.confirm(),
                confirm,
                "giving up the moments of %s has to be confirmed".formatted(name),
                effects,
                command);
        String obstacle = backup.beginToSettle(false);
        if (!obstacle.isEmpty()) {
            throw shared.refused(Role.SECONDARY, "nothing changed: " + obstacle, command);
        }
        settleAndClose(backup, command);
        return new ControlApi.SettleReply(true, name, shared.node(), disks, effects, confirm);
    }

    private LocalBackup toBeSettled(String name) throws ProblemException {
        LocalResource found = get(name);
        if (found instanceof LocalPrimary) {
            boolean isFinal = copyOf(found).isEmpty();
            throw shared.refused(
                    Role.PRIMARY,
                    name
                            + (isFinal
                                    ? " is primary here: its disk alone is its data, always"
                                    : " was promoted here, and goes into its disk when that is final"),
                    isFinal ? "down " + name : "promote %s --commit".formatted(name),
                    "the copy that can be settled is at " + found.dir().facts().peer());
        }
        LocalBackup backup = (LocalBackup) found;
        if (!backup.resource().snapshot().hasPoint()) {
            throw shared.refused(
                    Role.SECONDARY,
                    "%s has no moment that %s could be brought to"
                            .formatted(name, backup.dir().facts().words()),
                    "status " + name);
        }
        return backup;
    }

    private List<String> settledEffects(LocalBackup backup) {
        BackupResource.Snapshot now = backup.resource().snapshot();
        String name = backup.name();
        List<String> effects = new ArrayList<>();
        effects.add(
                "%s alone becomes the copy of %s"
                        .formatted(
                                backup.dir().facts().words(),
                                LocalBackup.when(now.completeMillis())));
        effects.add(
                "the moments before that, from %s on, can be opened no more"
                        .formatted(LocalBackup.when(now.oldestMillis())));
        for (ControlApi.Kept each : backup.kept()) {
            effects.add("%s, kept of %s, stays".formatted(each.as(), each.time()));
        }
        effects.add(
                "it is parted from %s and closed here until: %s"
                        .formatted(backup.dir().facts().peer(), shared.command("connect " + name)));
        return effects;
    }

    /// It is off the link before anything is rolled, so that nothing comes behind that.
    private void settleAndClose(LocalBackup backup, String command) throws ProblemException {
        String name = backup.name();
        boolean connects = !isStandalone(backup);
        if (connects) {
            standalone(backup, true, "");
        }
        // Else the next start connected it, and the peer wrote into what is used as an image.
        String obstacle =
                isStandalone(backup)
                        ? backup.settle()
                        : "it cannot be noted that it is off the link, see: "
                                + shared.command("events");
        if (!obstacle.isEmpty()) {
            if (connects) {
                standalone(backup, false, "");
            }
            throw shared.problem(
                    ExitCode.FAILED,
                    "the journal of %s could not be rolled into the copy, or not all of it"
                            .formatted(name),
                    command,
                    obstacle);
        }
        String words =
                "it was taken down, and %s alone is the copy of %s"
                        .formatted(
                                backup.dir().facts().words(),
                                LocalBackup.when(backup.resource().snapshot().completeMillis()));
        roster.put(Unopened.told(directory, name, words));
        backup.close();
        shared.events().of(name).accept("settled", words);
    }

    // ---- pause-sync, invalidate
    // -------------------------------------------------------------------

    ControlApi.Done pauseSync(String name, boolean pause) throws ProblemException {
        String verb = pause ? "pause-sync" : "resume-sync";
        LocalPrimary primary = getPrimaryFor(name, "its catch-up goes from its primary", verb);
        if (primary.isSyncPaused() != pause) {
            try {
                primary.pauseSync(pause);
            } catch (IOException e) {
                throw shared.problem(ExitCode.FAILED, verb + " failed", "", e.getMessage());
            }
            shared.events()
                    .of(name)
                    .accept(
                            pause ? "sync-paused" : "sync-resumed",
                            pause
                                    ? "an operator lets no catch-up, first sync or comparison go on"
                                    : "catch-up, first sync and comparison may go on");
        }
        return ControlApi.Done.of(
                pause
                        ? name
                                + ": catch-up, first sync and comparison stand still until "
                                + shared.command("resume-sync " + name)
                        : name + ": catch-up, first sync and comparison go on");
    }

    /// What is ordered where the data is. At the backup the order is not carried out but sent on
    /// its way.
    private LocalPrimary getPrimaryFor(String name, String why, String verb)
            throws ProblemException {
        return getPrimaryFor(name, why, verb, "");
    }

    /// @param rest what follows the name in the command
    private LocalPrimary getPrimaryFor(String name, String why, String verb, String rest)
            throws ProblemException {
        LocalResource found = get(name);
        if (found instanceof LocalPrimary primary) {
            return primary;
        }
        throw new ProblemException(
                Problem.of(
                                ExitCode.REFUSED,
                                shared.node(),
                                "%s is secondary here: %s".formatted(name, why))
                        .withRole(Role.SECONDARY.name())
                        .withNext(
                                "at %s: holdfast %s %s%s"
                                        .formatted(found.dir().facts().peer(), verb, name, rest)));
    }

    /// Has everything compared with the peer's copy, ordered at the primary.
    ControlApi.Done invalidateRemote(String name) throws ProblemException {
        LocalPrimary primary =
                getPrimaryFor(
                        name,
                        "what is remote from here is the truth, and nothing overwrites it (here: "
                                + shared.command("invalidate " + name)
                                + ")",
                        "invalidate-remote");
        String refusal =
                compareAll(primary, "an operator of %s ordered it".formatted(shared.node()));
        if (!refusal.isEmpty()) {
            throw shared.refused(Role.PRIMARY, refusal, "status " + name);
        }
        String peer = primary.dir().facts().peer();
        String when =
                !primary.isAttached()
                        ? ", from the next attach on"
                        : link.session(peer).isEmpty() || isStandalone(primary)
                                ? ", as soon as it is connected"
                                : "";
        return ControlApi.Done.of(
                "%s is compared with all of its copy at %s%s".formatted(name, peer, when),
                "what differs is mended there by one epoch; until then the copy can be opened as it was");
    }

    /// @return what speaks against it, empty when it is ordered
    private static String compareAll(LocalPrimary primary, String why) {
        boolean hasCopy =
                !primary.resource()
                        .map(each -> each.look(at -> at.committed()))
                        .orElse(primary.dir().superblock().acknowledged())
                        .isNone();
        if (!hasCopy) {
            return primary.name() + " has no copy yet that could be compared";
        }
        try {
            primary.compareAll(why);
            return "";
        } catch (IOException e) {
            return "it cannot be noted that everything is to be compared: " + e.getMessage();
        }
    }

    /// Has our copy compared with the peer's primary. Nothing is changed here but by the epoch that
    /// mends it.
    ControlApi.Done invalidate(String name) throws ProblemException {
        LocalResource found = get(name);
        String peer = found.dir().facts().peer();
        if (!(found instanceof LocalBackup backup)) {
            throw shared.refused(
                    Role.PRIMARY,
                    name + " is primary here: its data is the truth, and no order overwrites it",
                    "invalidate-remote " + name,
                    "to have the copy at %s compared with it and mended is another order"
                            .formatted(peer));
        }
        if (isStandalone(backup)) {
            throw shared.refused(
                    Role.SECONDARY, name + " is disconnected by an operator", "connect " + name);
        }
        PeerSession session =
                link.awaitSession(peer, Daemon.CONNECTING)
                        .orElseThrow(
                                () ->
                                        shared.problem(
                                                ExitCode.PEER_AWAY,
                                                peer
                                                        + " cannot be reached, and only it can compare: nothing was changed",
                                                "status " + name));
        CompletableFuture<Frame.InvalidateReply> answer = link.invalidate(session, backup.id());
        try {
            Frame.InvalidateReply reply = answer.get(ANSWER.toSeconds(), TimeUnit.SECONDS);
            if (!reply.refusal().isEmpty()) {
                throw shared.refused(
                        Role.SECONDARY,
                        peer + " does not compare " + name,
                        "status " + name,
                        reply.refusal());
            }
        } catch (TimeoutException e) {
            // The copy asks by itself as well, and its answers are told apart by nothing.
            link.forget(backup.id(), answer);
            throw noAnswer(peer);
        } catch (ExecutionException e) {
            throw shared.problem(
                    ExitCode.PEER_AWAY, e.getCause().getMessage(), "invalidate " + name);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw shared.problem(ExitCode.FAILED, "interrupted", "status");
        }
        return ControlApi.Done.of(
                "%s compares all of %s with this copy".formatted(peer, name),
                "what differs is mended here by one epoch; until then the copy can be opened as it was");
    }

    @Override
    public Frame.InvalidateReply invalidated(String peer, Frame.Invalidate order) {
        Optional<LocalResource> found =
                find(order.resource()).filter(each -> each.dir().facts().peer().equals(peer));
        String refusal =
                found.isEmpty()
                        ? whyNot(peer, order.resource())
                        : found.get() instanceof LocalPrimary primary
                                ? compareAll(
                                        primary,
                                        "%s asked for it, by an operator's order or because its journal is damaged"
                                                .formatted(peer))
                                : "it is secondary at " + shared.node() + " too";
        return new Frame.InvalidateReply(order.resource(), refusal);
    }

    // ---- resize ------------------------------------------------------------------------------

    /// Takes the size that the primary's device has now, at the copy first.
    ControlApi.Done resize(String name) throws ProblemException {
        LocalResource found = get(name);
        String peer = found.dir().facts().peer();
        if (!(found instanceof LocalPrimary primary)) {
            throw new ProblemException(
                    Problem.of(
                                    ExitCode.REFUSED,
                                    shared.node(),
                                    name
                                            + " is secondary here: the copy takes the size of the primary's device")
                            .withRole(Role.SECONDARY.name())
                            .withEvidence("a device that it is to have must be as large before")
                            .withNext("at %s: holdfast resize %s".formatted(peer, name)));
        }
        LocalPrimary.Resize outcome;
        try {
            outcome = primary.resize();
        } catch (IOException e) {
            throw shared.refused(
                    Role.PRIMARY, name + " has the size it had", "resize " + name, e.getMessage());
        }
        AddressSpace space = primary.dir().superblock().space();
        String bytes = LocalPrimary.sizeWords(space);
        return switch (outcome) {
            case SAME -> {
                String same =
                        "%s has %s, as its device; enlarge that first, and where the copy at %s is a device, that too"
                                .formatted(name, bytes, peer);
                // A device that kept its size when this one grew has a second chance.
                yield primary.growKernelDevices()
                        ? ControlApi.Done.of(same, clientWords(primary, space))
                        : ControlApi.Done.of(same);
            }
            case RECORDED ->
                    ControlApi.Done.of(
                            "%s becomes larger as soon as %s is there; until then it has %s"
                                    .formatted(name, peer, bytes));
            case DONE ->
                    ControlApi.Done.of(
                            "%s has %s, and so has its copy at %s".formatted(name, bytes, peer),
                            clientWords(primary, space));
        };
    }

    /// Who sees the new size, by what the kernel shows.
    private String clientWords(LocalPrimary primary, AddressSpace space) {
        String name = primary.name();
        List<String> late = new ArrayList<>();
        List<String> grown = new ArrayList<>();
        List<String> devices = kernelNames(primary);
        for (int i = 0; i < devices.size(); i++) {
            String device = "/dev/holdfast/" + devices.get(i);
            try {
                Optional<Long> shown = kernel.sizeBytes(devices.get(i));
                if (shown.isPresent() && shown.get() != space.volumeBytes(i)) {
                    late.add("%s still has %d bytes".formatted(device, shown.get()));
                } else if (shown.isPresent()) {
                    grown.add(device);
                }
            } catch (IOException e) {
                late.add(e.getMessage());
            }
        }
        String then = "then enlarge the filesystem, for example with resize2fs";
        if (!late.isEmpty()) {
            return "%s: umount it, %s, %s, mount it; %s"
                    .formatted(
                            String.join(", ", late),
                            shared.command("detach " + name),
                            shared.command("attach " + name),
                            then);
        }
        return grown.isEmpty()
                ? "NBD clients see it when they connect again; " + then
                : "%s %s it now, mounted or not; other NBD clients see it when they connect again; %s"
                        .formatted(
                                String.join(" and ", grown),
                                grown.size() == 1 ? "has" : "have",
                                then);
    }

    @Override
    public Frame.ResizeReply resized(String peer, Frame.Resize order) {
        Optional<LocalResource> found =
                find(order.resource()).filter(each -> each.dir().facts().peer().equals(peer));
        String refusal = "";
        if (found.isEmpty()) {
            refusal = whyNot(peer, order.resource());
        } else if (found.get() instanceof LocalBackup backup) {
            try {
                backup.grow(order.space());
            } catch (IOException | RuntimeException e) {
                refusal = shared.node() + ": " + e.getMessage();
            }
        } else {
            refusal = "it is primary at " + shared.node() + " too";
        }
        return new Frame.ResizeReply(order.resource(), order.space().sizeBytes(), refusal);
    }

    // ---- connect, disconnect -----------------------------------------------------------------

    boolean isStandalone(LocalResource resource) {
        return Files.exists(resource.dir().standaloneMark());
    }

    /// To connect what could not be opened, or a copy that has failed since, is to try to open that
    /// again first.
    void setConnect(String name, boolean connect) throws ProblemException {
        turns.run(name, connect ? "connect" : "disconnect", () -> setConnectAlone(name, connect));
    }

    private void setConnectAlone(String name, boolean connect) throws ProblemException {
        LocalResource now = roster.now().open().get(name);
        if (connect
                && now != null
                && copyOf(now).filter(each -> each.resource().snapshot().isFailed()).isPresent()) {
            link.session(now.dir().facts().peer()).ifPresent(now::disconnect);
            away(name, "it is just being opened again");
            try {
                now.close();
                open(name);
            } catch (RuntimeException e) {
                notOpened(name, e);
            }
        } else if (connect && roster.now().unopened().containsKey(name)) {
            open(name);
        }
        standalone(get(name), !connect, "");
    }

    /// @param mark why, for later
    private void standalone(LocalResource resource, boolean alone, String mark) {
        resource.states().standalone(alone);
        try {
            Optional<PeerSession> session = link.session(resource.dir().facts().peer());
            if (alone) {
                AtomicFile.write(
                        resource.dir().standaloneMark(), mark.getBytes(StandardCharsets.UTF_8));
                session.ifPresent(
                        each -> each.send(new Frame.Refused(resource.id(), disconnectedBy())));
                session.ifPresent(resource::disconnect);
            } else {
                Files.deleteIfExists(resource.dir().standaloneMark());
                greet(resource);
            }
        } catch (IOException e) {
            shared.events().of(resource.name()).accept("metadata-error", e.getMessage());
        }
    }

    /// It greets its peer, or has itself greeted, unless it is to stay off the link.
    private void greet(LocalResource resource) {
        Optional<PeerSession> session = link.session(resource.dir().facts().peer());
        session.filter(_ -> !isStandalone(resource))
                .ifPresent(
                        each -> {
                            switch (resource) {
                                case LocalPrimary primary -> primary.connect(each);
                                case LocalBackup backup -> {
                                    backup.connect(each);
                                    backup.call(each);
                                }
                            }
                        });
    }

    // ---- settings ----------------------------------------------------------------------------

    List<ControlApi.Change> changes(Map<String, ResourceSettings> read) throws IOException {
        List<ControlApi.Change> changes = new ArrayList<>();
        for (LocalResource each : roster.open()) {
            ResourceSettings next = read.get(each.name());
            if (next != null) {
                Optional<LocalBackup> growing =
                        copyOf(each).filter(copy -> copy.moreJournal(next) > 0);
                String file = "conf.d/" + each.name() + ".toml";
                List<ControlApi.Change> found =
                        SettingsDiff.between(
                                file,
                                each.dir().settings().render(),
                                next.render(),
                                growing.isPresent());
                changes.addAll(found);
                boolean isSaid =
                        found.stream().anyMatch(at -> at.key().equals(SettingsDiff.JOURNAL_SIZE));
                if (growing.isPresent() && !isSaid) {
                    // Accepted before, and the journal is smaller all the same.
                    changes.add(
                            new ControlApi.Change(
                                    file,
                                    SettingsDiff.JOURNAL_SIZE,
                                    Optional.of(Words.bytes(growing.get().journalBytes())),
                                    Optional.of(next.journalSize().toString()),
                                    "at once"));
                }
            }
        }
        return changes;
    }

    /// As [JournalGrowth#grow].
    List<String> growJournals(
            Map<String, ResourceSettings> read, Optional<Size> storageMax, boolean dryRun) {
        return growth.grow(copies(), read, storageMax, dryRun);
    }

    /// Takes what was read as accepted. What concerns an attached resource holds from its next
    /// attach.
    void accept(Map<String, ResourceSettings> read) throws IOException {
        for (LocalResource each : roster.open()) {
            ResourceSettings next = read.get(each.name());
            if (next != null && !next.equals(each.dir().settings())) {
                switch (each) {
                    case LocalPrimary primary -> primary.accept(next);
                    case LocalBackup backup -> backup.accept(next);
                }
            }
        }
    }

    List<String> filesThatDiffer() throws IOException {
        List<String> differ = new ArrayList<>();
        for (LocalResource each : roster.open()) {
            Path file = shared.settingsFile(each.name());
            if (!Files.exists(file)
                    || !each.dir().isAccepted(Files.readString(file), file.toString())) {
                differ.add(file.toString());
            }
        }
        return differ;
    }
}
