package holdfast.replicator.daemon;

import holdfast.replicator.config.Address;
import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.NodeFile;
import holdfast.replicator.config.NodeSettings;
import holdfast.replicator.config.Settings;
import holdfast.replicator.config.Size;
import holdfast.replicator.control.Audit;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlServer;
import holdfast.replicator.control.DaemonEntry;
import holdfast.replicator.control.EventLog;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Extract;
import holdfast.replicator.control.MetadataDump;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.Committers;
import holdfast.replicator.device.DurableDirectory;
import holdfast.replicator.device.GivingWay;
import holdfast.replicator.device.OwnedLock;
import holdfast.replicator.nbd.PayloadPool;
import holdfast.replicator.status.StatusPage;
import holdfast.replicator.status.StatusReport;
import holdfast.throttle.BulkPacer;
import holdfast.throttle.LinkShaper;
import holdfast.throttle.NanoClock;
import holdfast.throttle.Rate;
import holdfast.throttle.Rates;
import holdfast.tunnel.link.HostPort;
import holdfast.tunnel.link.Identity;
import holdfast.tunnel.link.Invitation;
import holdfast.tunnel.link.Invitations;
import holdfast.tunnel.link.LinkEndpoint;
import holdfast.tunnel.link.LinkSession;
import holdfast.tunnel.link.LinkSettings;
import holdfast.tunnel.link.LinkStats;
import holdfast.tunnel.link.Pairing;
import holdfast.tunnel.link.PairingException;
import holdfast.tunnel.link.Pin;
import holdfast.tunnel.link.WireLimiter;
import holdfast.tunnel.wire.Mutants;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.TrafficClass;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;

/// One node: opens what its settings and its state directory name, serves it until it is told to
/// stop, and closes it again. Start is recovery; a clean stop only makes it shorter.
public final class Daemon implements ControlApi, AutoCloseable {
    /// A command that needs the peer waits so long for a link that is about to come up.
    static final Duration CONNECTING = Duration.ofSeconds(10);

    private static final Duration TICK = Duration.ofMillis(100);

    /// Bulk reading may run ahead of a limited wire: what compresses well is read faster than sent.
    private static final int READ_PER_WIRE_BYTE = 8;

    private final NodePaths paths;
    private final OwnedLock lock;
    private final Identity identity;
    private final Events events;
    private final PeerBook peers;
    private final Invitations invitations;
    private final LinkShaper shaper = new LinkShaper(NanoClock.system());
    private final BulkPacer pacer = new BulkPacer(Rate.UNLIMITED);
    private final ExecutorService pool;
    private final ScheduledExecutorService timer;
    private final Shared shared;
    private final ResourceManager resources;
    private final Link link;
    private final Handlers handlers;
    private final Drills drills;
    private final CalendarLook verifyLook;
    private final LinkEndpoint endpoint;
    private final Reporter reporter;
    private final Instant started = Instant.now();
    private final AtomicBoolean closing = new AtomicBoolean();
    private final CountDownLatch opened = new CountDownLatch(1);
    private final CountDownLatch stopping = new CountDownLatch(1);

    /// One `adjust` at a time: what journals grow by may take minutes, and counts until then.
    private final ReentrantLock adjusting = new ReentrantLock();

    private volatile NodeSettings settings;
    private volatile Optional<InetSocketAddress> listening = Optional.empty();
    private ControlServer control;
    private StatusPage page;

    /// Where `page` is served, as the settings have it.
    private Optional<Address> pageAt = Optional.empty();

    private boolean closed;

    private Daemon(NodePaths paths, OwnedLock lock, NodeSettings settings) throws IOException {
        this.paths = paths;
        this.lock = lock;
        this.settings = settings;
        this.identity = Identity.load(paths.state());
        this.peers = new PeerBook(paths.state().resolve("peers.json"));
        this.invitations =
                Invitations.open(paths.state().resolve("invitations"), InstantSource.system());
        this.pool =
                Executors.newCachedThreadPool(
                        GivingWay.never(Thread.ofPlatform().daemon().name("work-", 0).factory()));
        this.events = new Events(new EventLog(settings.name(), Clock.systemUTC()), pool);
        this.timer =
                Executors.newSingleThreadScheduledExecutor(
                        Thread.ofPlatform().daemon().name("timer").factory());
        this.shared =
                new Shared(
                        settings.name(),
                        identity.node(),
                        paths,
                        pool,
                        Executors.newSingleThreadExecutor(Daemon::idleThread),
                        new Committers(),
                        new SendBudget(settings.sendBuffer().bytes()),
                        ViewMemory.ofHeap(Runtime.getRuntime().maxMemory()),
                        new PayloadPool(),
                        new ReadBuffers(),
                        pacer::acquire,
                        new KernelDevice(paths.run()),
                        events);
        this.resources = new ResourceManager(shared, this::settings, peers);
        this.link = new Link(resources, pool, events);
        resources.use(link);
        this.handlers =
                new Handlers(
                        () -> this.settings.handlers(),
                        resources::byName,
                        resources::facts,
                        link::addressOf,
                        settings.name(),
                        events,
                        pool);
        events.listener(handlers::happened);
        this.drills = new Drills(() -> this.settings.drills(), paths, events, pool, started);
        this.verifyLook = new CalendarLook(started);
        this.reporter =
                new Reporter(
                        shared,
                        link,
                        resources::tcpTrouble,
                        () -> this.settings.bootGate(),
                        NanoClock.system(),
                        drills::last);
        this.endpoint =
                LinkEndpoint.builder(identity, settings.name(), peers, link)
                        .settings(linkSettings(settings))
                        .limiter(new Limiter())
                        .threadBegins(GivingWay::fromNowOn)
                        .invitations(invitations, this::joined)
                        .build();
    }

    private static Thread idleThread(Runnable task) {
        return Thread.ofPlatform()
                .daemon()
                .name("idle")
                .unstarted(
                        () -> {
                            GivingWay.fromNowOn();
                            task.run();
                        });
    }

    private static LinkSettings linkSettings(NodeSettings settings) {
        LinkSettings usual = LinkSettings.DEFAULT;
        Duration ping = settings.keepalive();
        return usual.withTimes(ping, ping.plus(Duration.ofSeconds(5)), usual.packet());
    }

    /// What the command line runs of it.
    public static final class Entry implements DaemonEntry {
        @Override
        public int run(NodePaths paths) throws ProblemException, InterruptedException {
            if (Mutants.any()) {
                throw refusal(
                        ExitCode.USAGE, Mutants.PROPERTY + " is set: that is for tests alone");
            }
            try (Daemon daemon = start(paths)) {
                Thread stop =
                        Thread.ofPlatform()
                                .unstarted(
                                        () -> {
                                            daemon.stopping.countDown();
                                            daemon.close();
                                        });
                Runtime.getRuntime().addShutdownHook(stop);
                daemon.stopping.await();
            } catch (ConfigException e) {
                throw refusal(ExitCode.USAGE, e.getMessage());
            } catch (IOException e) {
                throw refusal(ExitCode.FAILED, e.getMessage());
            }
            return ExitCode.DONE.number();
        }

        @Override
        public MetadataDump dump(NodePaths paths, String resource, int rangesLimit)
                throws ProblemException {
            return new ResourceDump(paths, resource, rangesLimit).read();
        }

        @Override
        public Extract.Reply extract(Extract.Request request, Extract.Progress progress)
                throws ProblemException {
            try {
                return new Extraction(request, progress).run();
            } catch (IllegalArgumentException e) {
                throw refusal(ExitCode.USAGE, e.getMessage());
            } catch (Extraction.WantedException e) {
                throw new ProblemException(
                        Problem.of(ExitCode.FAILED, "this host", e.getMessage())
                                .withNext(e.next()));
            } catch (IOException e) {
                throw refusal(ExitCode.FAILED, e.getMessage());
            }
        }

        private static ProblemException refusal(ExitCode code, String cause) {
            return new ProblemException(Problem.of(code, "this host", cause));
        }
    }

    /// Opens everything and serves it.
    public static Daemon start(NodePaths paths) throws IOException, ConfigException {
        if (!Identity.exists(paths.state())) {
            throw new IOException(
                    paths.state()
                            + " holds no identity: this node was never set up; next: "
                            + paths.command("init"));
        }
        OwnedLock lock = OwnedLock.ofStateDirectory(paths.state());
        Daemon daemon = null;
        try {
            daemon = new Daemon(paths, lock, acceptedSettings(paths));
            daemon.open();
            return daemon;
        } catch (IOException | ConfigException | RuntimeException e) {
            if (daemon == null) {
                lock.close();
            } else {
                daemon.close();
            }
            throw e;
        }
    }

    /// A start uses the settings that were accepted last, so that a typing error never keeps a host
    /// from booting; the first start accepts what is there.
    private static NodeSettings acceptedSettings(NodePaths paths)
            throws IOException, ConfigException {
        Path accepted = acceptedNodeFile(paths);
        if (!Files.exists(accepted)) {
            String text = nodeText(paths);
            NodeSettings read = Settings.load(paths.etc()).node();
            acceptNode(paths, text);
            return read;
        }
        return NodeSettings.parse(Files.readString(accepted), accepted.toString());
    }

    static Path acceptedNodeFile(NodePaths paths) {
        return paths.state().resolve("accepted-node.toml");
    }

    private static void acceptNode(NodePaths paths, String text) throws IOException {
        AtomicFile.write(acceptedNodeFile(paths), text.getBytes(StandardCharsets.UTF_8));
    }

    private static String nodeText(NodePaths paths) throws IOException {
        return Files.exists(paths.nodeFile()) ? Files.readString(paths.nodeFile()) : "";
    }

    private void open() throws IOException {
        Files.createDirectories(paths.run());
        Files.setPosixFilePermissions(paths.run(), PosixFilePermissions.fromString("rwx------"));
        applyRates();
        resources.find();
        control =
                ControlServer.open(
                        paths.run(),
                        shared.node(),
                        this,
                        Audit.to(paths.auditFile()),
                        events.acceptTold("the control socket"));
        resources.openAll();
        listenForClients();
        listenAndDial();
        servePage();
        timer.scheduleAtFixedRate(
                this::tick, TICK.toMillis(), TICK.toMillis(), TimeUnit.MILLISECONDS);
        timer.scheduleAtFixedRate(this::everySecond, 1, 1, TimeUnit.SECONDS);
        pool.execute(this::watchGates);
        opened.countDown();
        events.node("started", "the daemon is up");
    }

    private static InetSocketAddress socketAddress(Address address) {
        return new InetSocketAddress(address.host(), address.port());
    }

    private void listenAndDial() throws IOException {
        if (settings.listen().isPresent() && listening.isEmpty()) {
            try {
                listening = Optional.of(endpoint.listen(socketAddress(settings.listen().get())));
            } catch (IOException e) {
                throw new IOException(
                        "link.listen is %s: %s".formatted(settings.listen().get(), e.getMessage()),
                        e);
            }
        }
        settings.dial().ifPresent(each -> endpoint.dial(new HostPort(each.host(), each.port())));
        if (settings.dial().isEmpty()) {
            for (PeerBook.Entry peer : peers.entries()) {
                if (peer.connect()) {
                    peer.address().map(HostPort::parse).ifPresent(endpoint::dial);
                }
            }
        }
    }

    /// Serves the status page where `metrics.listen` says now.
    private synchronized void servePage() throws IOException {
        Optional<Address> wanted = settings.metricsListen();
        if (wanted.equals(pageAt)) {
            return;
        }
        pageAt = Optional.empty();
        if (page != null) {
            page.close();
            page = null;
        }
        if (wanted.isPresent()) {
            page =
                    StatusPage.open(
                            socketAddress(wanted.get()), this::status, ZoneId.systemDefault());
        }
        pageAt = wanted;
    }

    /// A port that is taken does not keep the node from serving everything else; it is tried again
    /// until it is had.
    private void listenForClients() {
        boolean wasTrouble = resources.tcpTrouble().isPresent();
        try {
            resources.listenTcp();
        } catch (IOException e) {
            if (!wasTrouble) {
                events.node("nbd-listen-failed", e.getMessage());
            }
        }
    }

    private NodeSettings settings() {
        return settings;
    }

    // ---- time --------------------------------------------------------------------------------

    private void tick() {
        guarded(() -> resources.tick(System.nanoTime(), System.currentTimeMillis()));
    }

    private void everySecond() {
        guarded(shared.payloads()::trim);
        guarded(shared.readBuffers()::tick);
        guarded(events::everySecond);
        guarded(() -> drills.look(Instant.now()));
        guarded(
                () ->
                        verifyLook
                                .due(Instant.now(), this.settings.verifications()::due)
                                .forEach(each -> pool.execute(() -> verifyByCalendar(each))));
        guarded(() -> GivingWay.everySecond(resources.isPeerAwaited()));
        guarded(
                () -> {
                    applyRates();
                    if (resources.tcpTrouble().isPresent()) {
                        listenForClients();
                    }
                    reporter.sample(resources.all());
                });
        guarded(resources::tellHangs);
        guarded(resources::shareIndexMemory);
        guarded(resources::endComparisons);
        // It waits for clients, which must not stop the clock of the others.
        if (closing.compareAndSet(false, true)) {
            pool.execute(
                    () -> {
                        guarded(resources::closeLeftViews);
                        closing.set(false);
                    });
        }
    }

    /// An attach waits for a disk, which must not stop the clock of the others.
    private void watchGates() {
        guarded(resources::openGates);
        if (stopping.getCount() > 0 && !timer.isShutdown()) {
            var ignored = timer.schedule(() -> pool.execute(this::watchGates), 1, TimeUnit.SECONDS);
        }
    }

    /// The timer drops a task that throws.
    private void guarded(Runnable task) {
        try {
            task.run();
        } catch (RuntimeException e) {
            events.node("internal-error", String.valueOf(e));
        }
    }

    private void applyRates() {
        Rates rates = settings.calendar().at(Instant.now());
        shaper.setLimits(rates);
        Rate catchUp = rates.catchUp().min(rates.link());
        pacer.setRate(
                catchUp.isUnlimited()
                        ? catchUp
                        : new Rate(
                                Math.min(
                                        Rate.MAX_BYTES_PER_SECOND,
                                        catchUp.bytesPerSecond() * READ_PER_WIRE_BYTE)));
    }

    /// The link's rate; asked under the endpoint's lock.
    private final class Limiter implements WireLimiter {
        /// What is more urgent waits no longer than this behind a part.
        private static final Duration PART = Duration.ofMillis(100);

        /// A part has 50 bytes of its own, the header and what TLS adds: 2.4 % of this.
        private static final int SMALLEST_PART = 2 << 10;

        @Override
        public long waitNanos(TrafficClass trafficClass) {
            return shaper.waitNanos(isBackground(trafficClass));
        }

        @Override
        public void spend(long wireBytes, TrafficClass trafficClass) {
            shaper.spend(wireBytes, isBackground(trafficClass));
        }

        @Override
        public int partBytes(TrafficClass trafficClass) {
            return shaper.bytesIn(
                    PART, isBackground(trafficClass), SMALLEST_PART, PacketCodec.MAX_PART_BYTES);
        }

        private static boolean isBackground(TrafficClass trafficClass) {
            return switch (trafficClass) {
                case CONTROL, LIVE -> false;
                case CATCH_UP, FIRST_SYNC, VERIFY -> true;
            };
        }
    }

    // ---- pairing -----------------------------------------------------------------------------

    /// The control socket answers before the link listens: an invitation that is redeemed at once
    /// must find it.
    private void awaitOpened() throws ProblemException {
        try {
            if (!opened.await(CONNECTING.toSeconds(), TimeUnit.SECONDS)) {
                throw shared.problem(
                        ExitCode.FAILED, "the daemon is still opening its resources", "status");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public InviteReply invite(InviteRequest request) throws ProblemException {
        awaitOpened();
        try {
            if (request.address().isEmpty() && settings.listen().isEmpty()) {
                throw shared.problem(
                        ExitCode.USAGE,
                        "no address is known at which the peer reaches this node",
                        "invite --address backup.example.net:7788");
            }
            HostPort address =
                    request.address()
                            .map(HostPort::parse)
                            .orElseGet(() -> HostPort.parse(settings.listen().get().toString()));
            if (settings.listen().isEmpty()) {
                setNode("link", "listen", "\"" + listenFor(address) + "\"");
                listenAndDial();
            }
            Duration validity =
                    request.validMinutes()
                            .map(Duration::ofMinutes)
                            .orElse(Invitations.DEFAULT_VALIDITY);
            Invitation made =
                    invitations.create(identity, shared.node(), List.of(address), validity);
            events.node("invited", "an invitation to " + address + " was given out");
            return new InviteReply(
                    made.token(), made.expiry(), address.toString(), identity.pin().fingerprint());
        } catch (IOException | ConfigException | IllegalArgumentException e) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "no invitation was made",
                    "invite --address HOST:PORT",
                    e.getMessage());
        }
    }

    /// The address that an invitation names, when it is one of this host; behind NAT, or where the
    /// name leads elsewhere, all of them, which the event says.
    private HostPort listenFor(HostPort invited) {
        try {
            for (InetAddress each : InetAddress.getAllByName(invited.host())) {
                if (each.isLoopbackAddress() || NetworkInterface.getByInetAddress(each) != null) {
                    return new HostPort(each.getHostAddress(), invited.port());
                }
            }
        } catch (IOException e) {
            // The peer may know a name that this host does not.
        }
        events.node(
                "listening",
                "%s is no address of this host: port %d is opened on all of them"
                        .formatted(invited.host(), invited.port()));
        return new HostPort("0.0.0.0", invited.port());
    }

    @Override
    public JoinReply join(JoinRequest request) throws ProblemException {
        try {
            Pairing.Inviter inviter = Pairing.join(request.token(), identity, shared.node());
            store(
                    inviter.pin(),
                    inviter.node(),
                    inviter.nodeName(),
                    Optional.of(inviter.address()));
            endpoint.dial(inviter.address());
            link.awaitSession(inviter.nodeName(), CONNECTING);
            return new JoinReply(
                    inviter.nodeName(), inviter.pin().fingerprint(), inviter.address().toString());
        } catch (PairingException e) {
            ExitCode code =
                    e.kind() == PairingException.Kind.UNREACHABLE
                            ? ExitCode.PEER_AWAY
                            : ExitCode.REFUSED;
            throw shared.problem(code, e.getMessage(), "");
        } catch (IOException e) {
            throw shared.problem(ExitCode.FAILED, e.getMessage(), "");
        }
    }

    /// A peer has redeemed an invitation of ours.
    private void joined(Pin pin, UUID node, String nodeName) throws IOException {
        store(pin, node, nodeName, Optional.empty());
    }

    private void store(Pin pin, UUID node, String name, Optional<HostPort> address)
            throws IOException {
        Optional<PeerBook.Entry> known =
                peers.entries().stream().filter(each -> each.name().equals(name)).findFirst();
        if (name.equals(shared.node())) {
            throw new IOException(
                    "both nodes are called " + name + ": set node.name in one node.toml");
        }
        if (known.isPresent() && !known.get().id().equals(node.toString())) {
            throw new IOException(
                    "there is another peer called %s already, node %s"
                            .formatted(name, known.get().id()));
        }
        peers.put(
                new PeerBook.Entry(
                        name, node.toString(), pin.hex(), address.map(HostPort::toString), true));
        endpoint.peersChanged();
        events.node("paired", "paired with %s, key %s".formatted(name, pin.fingerprint()));
    }

    @Override
    public PeersReply peers() {
        List<Peer> list = new ArrayList<>();
        for (PeerBook.Entry each : peers.entries()) {
            list.add(
                    new Peer(
                            each.name(),
                            each.id(),
                            Pin.parse(each.pin()).fingerprint(),
                            each.address(),
                            connection(each)));
        }
        return new PeersReply(list);
    }

    private String connection(PeerBook.Entry peer) {
        if (!peer.connect()) {
            return "STANDALONE";
        }
        return link.session(peer.name()).isPresent() ? "CONNECTED" : "CONNECTING";
    }

    // ---- settings ----------------------------------------------------------------------------

    /// Changes one key in the file and in what is in force.
    private void setNode(String table, String key, String toml)
            throws IOException, ConfigException {
        if (!adjusting.tryLock()) {
            throw new IOException(
                    "other settings are being applied: `adjust` makes journals larger, it may be; try again when that has ended");
        }
        try {
            String next =
                    NodeFile.parse(nodeText(paths), paths.nodeFile().toString())
                            .set(table, key, toml)
                            .text();
            Files.createDirectories(paths.etc());
            AtomicFile.write(paths.nodeFile(), next.getBytes(StandardCharsets.UTF_8));
            acceptNode(paths, next);
            settings = NodeSettings.parse(next, paths.nodeFile().toString());
        } finally {
            adjusting.unlock();
        }
    }

    @Override
    public StorageReply storage(StorageRequest request) throws ProblemException {
        Path dir = Path.of(request.path());
        try {
            if (!dir.isAbsolute()) {
                throw new IOException(dir + " is not an absolute path");
            }
            if (Files.exists(dir) && !Files.isDirectory(dir)) {
                throw new IOException(dir + " is no directory");
            }
            DurableDirectory.make(dir);
            if (!Files.isWritable(dir)) {
                throw new IOException(dir + " cannot be written to");
            }
            setNode("storage", "path", "\"" + dir + "\"");
            if (request.maxBytes().isPresent()) {
                setNode("storage", "max", "\"" + new Size(request.maxBytes().get()) + "\"");
            }
            return new StorageReply(
                    dir.toString(), Files.getFileStore(dir).getUsableSpace(), request.maxBytes());
        } catch (IOException | ConfigException e) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "the storage was not changed",
                    "storage /srv/holdfast --max 500GiB",
                    e.getMessage());
        }
    }

    @Override
    public AdjustReply adjust(AdjustRequest request) throws ProblemException {
        adjusting.lock();
        try {
            String text = nodeText(paths); // It may be edited while journals grow.
            Settings.Loaded loaded = Settings.load(paths.etc());
            List<Change> changes =
                    new ArrayList<>(
                            SettingsDiff.between(
                                    "node.toml",
                                    Files.readString(acceptedNodeFile(paths)),
                                    text,
                                    false));
            changes.addAll(resources.changes(loaded.resources()));
            List<String> lacking =
                    resources.growJournals(
                            loaded.resources(), loaded.node().storageMax(), request.dryRun());
            if (!lacking.isEmpty()) {
                return new AdjustReply(false, List.of(), lacking);
            }
            if (!request.dryRun()) {
                acceptNode(paths, text);
                settings = loaded.node();
                shared.budget().limit(settings.sendBuffer().bytes());
                applyRates();
                listenAndDial();
                listenForClients();
                servePage();
                resources.accept(loaded.resources());
                events.node("adjusted", changes.size() + " settings changed");
            }
            return new AdjustReply(!request.dryRun(), changes, List.of());
        } catch (ConfigException e) {
            return new AdjustReply(
                    false, List.of(), e.problems().stream().map(Object::toString).toList());
        } catch (IOException e) {
            throw shared.problem(ExitCode.FAILED, e.getMessage(), "");
        } finally {
            adjusting.unlock();
        }
    }

    private List<String> settingsDiffer() {
        try {
            List<String> differ = new ArrayList<>();
            if (!nodeText(paths).equals(Files.readString(acceptedNodeFile(paths)))) {
                differ.add(paths.nodeFile().toString());
            }
            differ.addAll(resources.filesThatDiffer());
            return differ;
        } catch (IOException e) {
            return List.of(paths.nodeFile() + " (" + e.getMessage() + ")");
        }
    }

    // ---- resources ---------------------------------------------------------------------------

    @Override
    public AddReply add(AddRequest request) throws ProblemException {
        return resources.add(request, reporter.rate(settings, Instant.now()));
    }

    @Override
    public PermitReply permit(PermitRequest request) throws ProblemException {
        return resources.permit(request);
    }

    @Override
    public AttachReply attach(NameRequest request) throws ProblemException {
        return resources.attach(request.name());
    }

    @Override
    public Done detach(NameRequest request) throws ProblemException {
        return resources.detach(request.name());
    }

    @Override
    public OpenReply open(OpenRequest request) throws ProblemException {
        return resources.openView(request);
    }

    @Override
    public PromoteReply promote(PromoteRequest request) throws ProblemException {
        return resources.promote(request);
    }

    @Override
    public ReconnectReply reconnect(ReconnectRequest request) throws ProblemException {
        return resources.reconnect(request);
    }

    @Override
    public PointsReply points(NameRequest request) throws ProblemException {
        return resources.points(request.name());
    }

    @Override
    public MarkReply mark(MarkRequest request) throws ProblemException {
        return resources.mark(request);
    }

    @Override
    public KeepReply keep(KeepRequest request) throws ProblemException {
        return resources.keep(request);
    }

    @Override
    public DropReply drop(DropRequest request) throws ProblemException {
        return resources.drop(request);
    }

    @Override
    public Done closeView(CloseRequest request) throws ProblemException {
        return resources.closeView(request.id());
    }

    @Override
    public RemoveReply remove(RemoveRequest request) throws ProblemException {
        return resources.remove(request);
    }

    @Override
    public SettleReply settle(SettleRequest request) throws ProblemException {
        return resources.settle(request);
    }

    @Override
    public Done pauseSync(NameRequest request) throws ProblemException {
        return resources.pauseSync(request.name(), true);
    }

    @Override
    public Done resumeSync(NameRequest request) throws ProblemException {
        return resources.pauseSync(request.name(), false);
    }

    @Override
    public Done invalidate(NameRequest request) throws ProblemException {
        return resources.invalidate(request.name());
    }

    @Override
    public VerifyReply verify(VerifyRequest request) throws ProblemException {
        return verifyOrders().verify(resources.get(request.name()), request);
    }

    @Override
    public MendReply mend(MendRequest request) throws ProblemException {
        return verifyOrders().mend(resources.get(request.name()), request);
    }

    private void verifyByCalendar(String name) {
        guarded(() -> verifyOrders().byCalendar(name, resources.byName(name)));
    }

    private VerifyOrders verifyOrders() {
        return new VerifyOrders(
                shared,
                (primary, next) -> resources.requireUnused(primary, false, next),
                reporter::verifying);
    }

    @Override
    public Done resize(NameRequest request) throws ProblemException {
        return resources.resize(request.name());
    }

    @Override
    public Done invalidateRemote(NameRequest request) throws ProblemException {
        return resources.invalidateRemote(request.name());
    }

    @Override
    public Done connect(LinkRequest request) throws ProblemException {
        return setConnect(request, true);
    }

    @Override
    public Done disconnect(LinkRequest request) throws ProblemException {
        return setConnect(request, false);
    }

    private Done setConnect(LinkRequest request, boolean connect) throws ProblemException {
        String word = connect ? "connects" : "is disconnected until 'connect'";
        try {
            if (request.name().isPresent()) {
                resources.setConnect(request.name().get(), connect);
                return Done.of(request.name().get() + " " + word);
            }
            for (PeerBook.Entry each : peers.entries()) {
                peers.put(
                        new PeerBook.Entry(
                                each.name(), each.id(), each.pin(), each.address(), connect));
                if (!connect) {
                    link.linkSession(each.name())
                            .ifPresent(at -> at.close("an operator has disconnected it"));
                    each.address().map(HostPort::parse).ifPresent(endpoint::stopDialing);
                }
            }
            resources.all().forEach(each -> each.states().linkStandalone(!connect));
            if (connect) {
                endpoint.peersChanged();
                listenAndDial();
            } else {
                settings.dial()
                        .ifPresent(
                                each ->
                                        endpoint.stopDialing(
                                                new HostPort(each.host(), each.port())));
                endpoint.peersChanged();
            }
            return Done.of("the link " + word);
        } catch (IOException e) {
            throw shared.problem(ExitCode.FAILED, e.getMessage(), "");
        }
    }

    // ---- looking -----------------------------------------------------------------------------

    @Override
    public String command(String rest) {
        return shared.command(rest);
    }

    @Override
    public StatusReport status() {
        Instant now = Instant.now();
        StatusReport.Node node =
                new StatusReport.Node(
                        shared.node(),
                        identity.node().toString(),
                        identity.pin().hex(),
                        version(),
                        ProcessHandle.current().pid(),
                        started,
                        now,
                        shared.budget().limitBytes());
        List<StatusReport.Resource> list = new ArrayList<>();
        Roster.Now known = resources.now();
        for (LocalResource each : known.open().values()) {
            list.add(reporter.resource(each, isApart(each)));
        }
        return StatusReport.of(
                node,
                linkReport(now),
                list,
                known.unopened().values().stream().map(this::unopened).toList(),
                settingsDiffer(),
                ZoneId.systemDefault());
    }

    private StatusReport.Unopened unopened(Unopened each) {
        return new StatusReport.Unopened(
                each.name(),
                each.facts().map(ResourceDir.Facts::role),
                each.facts().map(ResourceDir.Facts::peer),
                each.facts().map(ResourceDir.Facts::words),
                each.cause(),
                shared.command(each.next()),
                each.soon());
    }

    /// Whether the operator keeps the resource, or the whole link, disconnected.
    private boolean isApart(LocalResource resource) {
        return resources.isStandalone(resource)
                || peers.entries().stream()
                        .anyMatch(
                                each ->
                                        each.name().equals(resource.dir().facts().peer())
                                                && !each.connect());
    }

    private static String version() {
        String version = Daemon.class.getPackage().getImplementationVersion();
        return version == null ? "unpacked" : version;
    }

    private static String shown(InetSocketAddress address) {
        return address.getHostString() + ":" + address.getPort();
    }

    private Optional<StatusReport.Link> linkReport(Instant now) {
        return peers.peer()
                .map(
                        peer -> {
                            Optional<LinkSession> session = link.linkSession(peer.name());
                            LinkStats stats = session.map(LinkSession::stats).orElse(null);
                            LinkStats.Traffic none = new LinkStats.Traffic(0, 0, 0);
                            LinkStats.Traffic sent =
                                    Link.sum(
                                            link.sentBefore(), stats == null ? none : stats.sent());
                            LinkStats.Traffic received =
                                    Link.sum(
                                            link.receivedBefore(),
                                            stats == null ? none : stats.received());
                            Optional<String> dialled =
                                    settings.dial().map(Address::toString).or(peer::address);
                            return new StatusReport.Link(
                                    peer.name(),
                                    connection(peer),
                                    dialled.isPresent() ? "DIAL" : "LISTEN",
                                    dialled.orElseGet(
                                            () -> listening.map(Daemon::shown).orElse("-")),
                                    stats == null
                                            ? started
                                            : Instant.ofEpochMilli(stats.connectedAtMillis()),
                                    session.isPresent()
                                            ? Optional.of(now)
                                            : link.lastContact(peer.name()),
                                    stats == null || stats.rttNanos() == 0
                                            ? Optional.empty()
                                            : Optional.of(stats.rttNanos() / 1e6),
                                    session.flatMap(each -> Link.offsetOf(each.peerClock())),
                                    session.isPresent() ? Optional.empty() : endpoint.trouble(),
                                    Optional.empty(),
                                    sent.wireBytes(),
                                    sent.rawBytes(),
                                    received.wireBytes(),
                                    received.rawBytes(),
                                    reporter.rate(settings, now));
                        });
    }

    @Override
    public void events(EventsRequest request, EventSink sink) throws InterruptedException {
        events.log().stream(request, sink);
    }

    // ---- the end -----------------------------------------------------------------------------

    @Override
    public Done shutdown() throws ProblemException {
        resources.requireKernelDevicesUnused();
        timer.schedule(stopping::countDown, 100, TimeUnit.MILLISECONDS);
        return Done.of(shared.node() + " stops");
    }

    /// In reverse order of opening; what cannot be closed cleanly is recovered by the next start.
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        stopping.countDown();
        // What the stop itself does to the connections is no news to anybody.
        handlers.close();
        drills.close();
        // Whoever waits for a slow pace would keep the stop waiting as well.
        pacer.close();
        resources.stop();
        endpoint.close();
        timer.shutdownNow();
        resources.closeAll();
        shared.committers().close();
        try {
            if (page != null) {
                page.close();
            }
            if (control != null) {
                control.close();
            }
        } catch (IOException e) {
            events.node("close-failed", e.getMessage());
        }
        pool.shutdown();
        lock.close();
    }
}
