package holdfast.replicator.daemon;

import static java.util.stream.Collectors.joining;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.Disks;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.nbd.UnknownExportException;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.History;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.Marks;
import holdfast.replicator.state.Now;
import holdfast.replicator.state.OwnChanges;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Retention;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Verdict;
import holdfast.replicator.status.Words;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/// A resource whose copy is kept here: its base and its journal, open for as long as the daemon
/// runs, and the views that somebody has opened.
final class LocalBackup implements LocalResource, JournalGrowth.Growable {
    private static final Duration CLIENTS_LIMIT = Duration.ofSeconds(10);

    /// Journal use from which on records are rolled into the base.
    private static final long ROLL_BYTES = 64 << 20;

    static final Duration DISCARDED_KEPT = Duration.ofDays(30);

    private static final long SETTLE_NANOS = 200_000_000L;

    /// So often in a row nothing was rolled.
    private static final int SETTLE_IDLE = 10;

    /// How long the primary of a promoted copy waits for room that a view keeps from it.
    private static final long VIEW_GIVES_WAY_NANOS = 5_000_000_000L;

    /// How long an order, or an NBD client that chooses a moment, waits until what was written
    /// before it is synced.
    private static final Duration BRING_UP_LIMIT = Duration.ofSeconds(5);

    /// Runs of all journals' indexes together: 190 MiB of memory at most.
    static final int INDEX_RUNS = 4_000_000;

    /// Gaps that `points` names.
    private static final int MOST_GAPS = 20;

    /// How often it is tried to keep what an order gives up.
    private static final long GIVE_UP_NANOS = 10_000_000_000L;

    private final Shared shared;
    private final ResourceDir dir;
    private final TcpExports tcp;
    private final VerifyFile verifications;

    /// What clients find without anybody's opening it first, on the socket of the resource.
    private final MomentExports moments = new MomentExports(this);

    private final NbdServer server;

    /// That of the device of a promoted copy, while it is attached: it serves the moments as well.
    /// Null for none.
    private volatile NbdServer deviceServer;

    /// Whether it should listen, and does: the socket is the primary's while one of this host is
    /// attached. Guarded by this.
    private boolean listenWanted;

    private boolean listening;
    private String listenTrouble = "";

    /// What is to be stored of it; the newest takes the place of one that waits.
    private final AtomicReference<Frame.Verified> told = new AtomicReference<>();

    private final Disks base;
    private final JournalFiles journal;
    private final BackupResource resource;
    private final StateChanges.Voice states;

    /// Grows.
    private volatile long journalBytes;

    /// What the journal takes with what was taken for it and is not used yet; 0 for nothing.
    /// Guarded by this.
    private long journalTaken;

    private final SortedMap<String, OpenView> views = new ConcurrentSkipListMap<>();
    private volatile Frame.ResourceHello peerHello;
    private final Standoff standoff = new Standoff();
    private volatile PeerSession session;
    private volatile int indexRuns = INDEX_RUNS;

    /// Why what it has by itself is not given up, though that was ordered; empty for nothing.
    private volatile String keepsOwn = "";

    /// Held by who gives it up, or tries again to: one at a time.
    private final ReentrantLock givingUp = new ReentrantLock();

    /// The timer's: when that is tried again.
    private long giveUpAtNanos;

    /// A primary of this host writes to it, or does when it is attached.
    private volatile boolean promoted;

    /// Its base has become the disk of that primary: nothing is opened any more. Guarded by this.
    private volatile boolean over;

    /// Likewise, for good in this process.
    private boolean closed;

    /// All of its history is on the way into the base: what was opened or kept meanwhile would stop
    /// that in the middle, when the older moments are gone already. Guarded by this.
    private boolean settling;

    /// Views are closed one at a time, and a stop waits for the last. Taken before the monitor of
    /// this object, never under it.
    private final Object closing = new Object();

    /// A view that is served.
    ///
    /// @param exports one for each volume
    /// @param asked by a client, by its name: it ends with its last client
    /// @param behind what was written last was not synced when it was opened, and is in no moment
    /// @param own server of one that was opened by order; else it is served with the moments
    /// @param overlay of a writable one
    /// @param lease of one that ends with its use
    record OpenView(
            String id,
            OpenPoint point,
            ViewExport export,
            List<Export> exports,
            boolean asked,
            boolean behind,
            Optional<NbdServer> own,
            Path socket,
            Optional<OverlaySpace> overlay,
            Optional<ViewLease> lease) {
        /// Whether its export has the name of the resource.
        boolean isUnderName() {
            return !asked && own.isEmpty();
        }

        /// What follows the resource's name in the id.
        String number() {
            return id.substring(id.indexOf('@') + 1);
        }

        private boolean shows(Export export) {
            return exports.contains(export)
                    || export instanceof MomentExport moment && moment.isOf(exports);
        }
    }

    /// Views at once, whoever has opened them: each keeps an index in memory and the base from
    /// being rolled past it.
    static final int MOST_VIEWS = 16;

    private static final Pattern NUMBER = Pattern.compile("\\d+");

    private LocalBackup(
            Shared shared,
            ResourceDir dir,
            TcpExports tcp,
            Disks base,
            JournalFiles journal,
            BackupResource resource,
            StateChanges.Voice states,
            long journalBytes) {
        this.shared = shared;
        this.dir = dir;
        this.tcp = tcp;
        this.server = shared.nbdServer(moments);
        this.verifications = new VerifyFile(dir);
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

    /// The size of a new journal as whole segments.
    static long wholeSegments(long journalBytes) {
        return wholeSegments(journalBytes, segmentBytes(journalBytes));
    }

    private static long wholeSegments(long journalBytes, long segmentBytes) {
        return Math.max(2, journalBytes / segmentBytes) * segmentBytes;
    }

    /// Makes the journal with all the space that it may have, before the resource's directory is
    /// whole: from then on its absence is a loss, and a lack of room keeps the copy from being
    /// opened. A crash leaves files that nobody refers to; what fails leaves none.
    ///
    /// What was kept of an earlier copy means nothing beside this one.
    static void create(ResourceDir.Facts facts) throws IOException {
        Path journal = Path.of(facts.journal());
        long segment = segmentBytes(facts.journalBytes());
        long whole = wholeSegments(facts.journalBytes());
        PinStore.delete(journal.toAbsolutePath());
        JournalFiles.create(journal, segment, whole);
        try (JournalFiles made = JournalFiles.open(journal, segment, whole, 0)) {
            made.reserve(whole);
        } catch (IOException | CorruptFormatException | RuntimeException e) {
            ResourceDir.delete(journal);
            throw new IOException("no journal could be made: " + e.getMessage(), e);
        }
    }

    /// Opens base and journal and reads what the journal holds.
    ///
    /// @throws IOException if either is not there, is not the one it was or cannot be opened;
    ///   nothing was changed then
    static LocalBackup open(Shared shared, ResourceDir dir, TcpExports tcp) throws IOException {
        return open(shared, dir, tcp, false);
    }

    /// @param promoted it is the device of a primary of this host, which is not attached yet
    /// @throws IOException as above
    static LocalBackup open(Shared shared, ResourceDir dir, TcpExports tcp, boolean promoted)
            throws IOException {
        requireSameBase(dir);
        Superblock known = dir.superblock();
        Disks base =
                Disks.open(shared.lockDirectory(), dir.name(), dir.facts().paths(), known.space());
        JournalFiles journal = null;
        PinStore pins = null;
        try {
            requireLarge(base.volumeBytes(), dir);
            long segment = segmentBytes(dir.facts().journalBytes());
            long whole = wholeSegments(dir.journalBytes(), segment);
            journal = openJournal(dir, segment, whole);
            boolean reserved = reserve(journal, whole);
            journal.trim(whole); // What a growth had taken that was cut off.
            if (!promoted && dir.noteBase()) {
                shared.events()
                        .of(dir.name())
                        .accept(
                                "disk-exchanged",
                                "%s is not what it was when the copy was opened last (a file that was restored?), or nothing says that it is, and may not fit the journal. Unless somebody has moved the file as it was, next, at %s: holdfast invalidate-remote %s"
                                        .formatted(
                                                dir.facts().words(),
                                                dir.facts().peer(),
                                                dir.name()));
            }
            // What a killed daemon had written and not synced reads back as if it were durable.
            base.device().sync();
            pins = PinStore.open(PinStore.directoryBeside(journalPath(dir)), dir.facts().uuid());
            long incarnation = dir.openJournal();
            Backup.Config config =
                    new Backup.Config(
                            known.resource(),
                            known.sizeBytes(),
                            whole,
                            segment,
                            Math.min(ROLL_BYTES, whole / 4),
                            known.blank());
            StateChanges all = shared.events().states(dir.name());
            StateChanges.Voice states =
                    promoted
                            ? all.below()
                            : all.begin(Role.SECONDARY, Files.exists(dir.standaloneMark()), null);
            BackupResource resource =
                    new BackupResource(
                            dir.name(),
                            base.device(),
                            journal,
                            shared.committers().of(journalPath(dir)),
                            config,
                            dir.superblock().base(),
                            incarnation,
                            shared.pool(),
                            shared.idle(),
                            reserved,
                            shared.pace(),
                            dir,
                            pins,
                            shared.command("connect " + dir.name()),
                            shared.command("keep " + dir.name() + " %s --drop"),
                            told(shared, dir, states),
                            states::is);
            LocalBackup opened =
                    new LocalBackup(shared, dir, tcp, base, journal, resource, states, whole);
            opened.promoted = promoted;
            if (!promoted) {
                cutDamage(resource);
            }
            opened.retain(dir.settings());
            if (dir.discards().isPresent()) {
                opened.giveUpOrWait(dir.discards().get());
                OwnChanges changes = dir.ownChanges();
                resource.look(
                        at -> {
                            at.changed(changes);
                            return null;
                        });
            }
            opened.listen(true);
            return opened;
        } catch (IOException | RuntimeException e) {
            if (pins != null) {
                pins.close();
            }
            if (journal != null) {
                journal.close();
            }
            base.close();
            throw e;
        }
    }

    /// Takes all the space that a journal may have. Where others have what packed segments had set
    /// free there is less room, and that is all.
    private static boolean reserve(JournalFiles journal, long bytes) throws DeviceException {
        try {
            journal.reserve(bytes);
            return true;
        } catch (DeviceException e) {
            if (!e.isOutOfSpace() || journal.packed().isEmpty()) {
                throw e;
            }
            return false;
        }
    }

    private static void cutDamage(BackupResource resource) throws DeviceException {
        try {
            resource.cutDamage();
        } catch (DeviceException e) {
            resource.stop();
            throw e;
        }
    }

    /// @return empty, or why not
    private String tryToGiveUp(long generation) {
        String trouble =
                resource.discard(generation, discardedName(generation), DISCARDED_KEPT.toMillis());
        return trouble.isEmpty()
                ? ""
                : "%s: what it has by itself cannot be kept: %s".formatted(name(), trouble);
    }

    /// An order to give it up was carried out so far that the copy says so. Until it is kept the
    /// copy stands apart from its peer with what it has, which can be opened: nothing is lost, and
    /// whoever has to make room for it is told.
    private void giveUpOrWait(long generation) {
        String before = keepsOwn;
        String trouble = tryToGiveUp(generation);
        if (trouble.isEmpty()) {
            keepsOwn = "";
            return;
        }
        String next =
                resource.snapshot().isRotten()
                        ? "what is damaged cannot be mended while the copy does not follow its peer: copy what you need out of it (%s), then remove it and add it anew (%s)"
                                .formatted(
                                        shared.command("open " + name()),
                                        shared.command("remove " + name()))
                        : "make room beside %s, or drop something that is kept (%s); it goes on by itself then, or at once with: %s"
                                .formatted(
                                        dir.facts().journal(),
                                        shared.command("keep " + name()),
                                        shared.command("connect " + name()));
        keepsOwn =
                "%s. So it is not given up, nothing is lost, and the copy does not follow its peer. Next: %s"
                        .formatted(trouble, next);
        if (before.isEmpty()) {
            shared.events().of(name()).accept("discard-waits", keepsOwn);
        }
    }

    /// Why what it has by itself is not given up yet, for the operator; empty for nothing.
    String keepsOwn() {
        return keepsOwn;
    }

    /// Something may have made room for what could not be kept.
    void giveUpAgain() {
        if (keepsOwn.isEmpty() || !givingUp.tryLock()) {
            return;
        }
        try {
            Optional<Long> generation = dir.discards();
            if (generation.isEmpty()) {
                keepsOwn = "";
                return;
            }
            giveUpOrWait(generation.get());
        } catch (IOException e) {
            shared.events().of(name()).accept("metadata-error", e.getMessage());
        } finally {
            givingUp.unlock();
        }
        PeerSession peer = session;
        if (keepsOwn.isEmpty() && peer != null) {
            resource.call(peer);
        }
    }

    /// The name of what was given up in this generation.
    static String discardedName(long generation) {
        return "discarded-%06x".formatted(generation >>> 40);
    }

    private void requireNotOver() throws IOException {
        if (over) {
            throw new IOException(
                    "the promotion was made final, or may have been: no moment of before is left");
        }
    }

    private void requireOpenable() throws IOException {
        requireNotOver();
        if (closed) {
            throw new IOException("the copy is being closed");
        }
        if (settling) {
            throw new IOException(
                    "its moments are being given up; next: " + shared.command("status " + name()));
        }
    }

    /// Settings as accepted: what concerns the history holds at once. For more room it has
    /// [JournalGrowth].
    void accept(ResourceSettings settings) throws IOException {
        dir.accept(settings);
        retain(settings);
    }

    /// It never becomes smaller, and its segments stay as large as they are.
    @Override
    public long moreJournal(ResourceSettings settings) {
        long segment = segmentBytes(dir.facts().journalBytes());
        return Math.max(0, wholeSegments(settings.journalSize().bytes(), segment) - journalBytes);
    }

    @Override
    public synchronized void takeJournal(ResourceSettings settings) throws IOException {
        long more = moreJournal(settings);
        if (more > 0 && !closed && !over) {
            journal.grow(journalBytes + more);
            journalTaken = journalBytes + more;
        }
    }

    @Override
    public synchronized void noteJournal() throws IOException {
        if (hasTaken()) {
            dir.journalGrown(journalTaken);
        }
    }

    @Override
    public synchronized void useJournal() {
        if (hasTaken()) {
            journalBytes = journalTaken;
            journalTaken = 0;
            resource.growJournal(journalBytes);
            shared.events()
                    .of(name())
                    .accept(
                            "journal-grown",
                            "it may take %s now".formatted(Words.bytes(journalBytes)));
        }
    }

    /// What is noted is there: so the note goes first, and where it cannot, a start finds the
    /// journal as large as it says.
    @Override
    public synchronized void giveJournalBack() throws IOException {
        if (hasTaken()) {
            journalTaken = 0;
            dir.journalGrown(journalBytes);
            journal.shrink(journalBytes);
        }
    }

    /// What was taken for a copy that is closed, or over, meanwhile is no business of this object
    /// any more: its files may be those of another that was opened since.
    private boolean hasTaken() {
        if (closed || over) {
            journalTaken = 0;
        }
        return journalTaken > 0;
    }

    @Override
    public Path storage() {
        return journalPath(dir).getParent();
    }

    private static Path journalPath(ResourceDir dir) {
        return Path.of(dir.facts().journal()).toAbsolutePath();
    }

    /// While a primary of this host writes to the copy, history never holds its writes back.
    private void retain(ResourceSettings settings) {
        resource.keepMax(promoted ? Long.MAX_VALUE : settings.keepMax().bytes());
        long min = promoted ? 0 : settings.retentionMin().toMillis();
        resource.retain(new Retention(settings.retention().toMillis(), min), indexRuns);
    }

    /// How many runs the index of what its journal holds may have: its part of the daemon's.
    void indexRuns(int runs) throws IOException {
        indexRuns = runs;
        retain(dir.settings());
    }

    /// A commit that is durable ends a catch-up. That a disk has failed is durable before anybody
    /// is told: what it holds when it is back nobody knows.
    static BiConsumer<String, String> told(
            Shared shared, ResourceDir dir, StateChanges.Voice states) {
        BiConsumer<String, String> events = shared.events().of(dir.name());
        return (kind, text) -> {
            if (kind.equals("disk-failed")) {
                try {
                    dir.doubtDisk();
                } catch (DeviceException e) {
                    events.accept("metadata-error", e.getMessage());
                }
            }
            events.accept(kind, text);
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
    private static void requireSameBase(ResourceDir dir) throws IOException {
        String expected = dir.baseIdentity();
        String found;
        try {
            found = ResourceDir.identity(dir.facts());
        } catch (DeviceException e) {
            throw notThere(dir, "its base is not there", e.getMessage());
        }
        if (!expected.isEmpty() && !expected.equals(found)) {
            throw notThere(
                    dir,
                    "its base is another one",
                    "%s is %s, it was %s; if you moved the copy yourself: rm %s"
                            .formatted(
                                    dir.facts().words(),
                                    found.replace("\n", ", "),
                                    expected.strip().replace("\n", ", "),
                                    dir.baseIdentityFile()));
        }
    }

    private static void requireLarge(List<Long> found, ResourceDir dir) throws IOException {
        AddressSpace space = dir.superblock().space();
        for (int i = 0; i < found.size(); i++) {
            if (found.get(i) < space.volumeBytes(i)) {
                throw new IOException(
                        "%s has %d bytes, the copy needs %d"
                                .formatted(
                                        dir.facts().disks().get(i),
                                        found.get(i),
                                        space.volumeBytes(i)));
            }
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
    public StateChanges.Voice states() {
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
        if (session != peer) {
            standoff.end();
        }
        session = peer;
        states.connected(true);
        resource.tryAgain();
        shared.pool().execute(this::giveUpAgain);
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
            standoff.end();
            states.connected(false);
            peerIs(StateChanges.UNKNOWN, StateChanges.UNKNOWN_DISK);
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
            peerIs(Reporter.peerRole(hello), DiskState.of(hello.diskState()).name());
            resource.greeted(peer, hello);
        } else if (frame instanceof Frame.Wrote wrote) {
            standoff.received(wrote);
        } else {
            if (frame instanceof Frame.Verified verified && told.getAndSet(verified) == null) {
                shared.pool().execute(() -> verified(told.getAndSet(null)));
            }
            resource.received(peer, frame);
        }
    }

    @Override
    public Verdict parted() {
        return resource.look(this::parted);
    }

    /// One that is brought on has moved since its primary said what that has; a primary that is
    /// detached brings nothing on.
    private Verdict parted(Backup at) {
        Frame.ResourceHello theirs = peerHello;
        if (theirs == null || theirs.diskState() != DiskState.DISKLESS.ordinal()) {
            return at.parted();
        }
        Verdict verdict = Verdict.of(at.hello(), theirs);
        return verdict.joins(false) ? null : verdict;
    }

    @Override
    public Standoff standoff() {
        return standoff;
    }

    @Override
    public void tellApart(long nowNanos) {
        standoff.tick(
                session, peerHello, nowNanos, shared.pool(), () -> resource.look(this::saidApart));
    }

    /// Its primary wrote what it has: how much of that its peer lacks it does not know.
    private Optional<Histories.Said> saidApart(Backup at) {
        Verdict verdict = parted(at);
        return verdict == null || !verdict.isSplit()
                ? Optional.empty()
                : Optional.of(
                        new Histories.Said(
                                at.hello(),
                                new Frame.Wrote(
                                        id(),
                                        at.committed(),
                                        Position.NONE,
                                        dir.partedMillis(at.ancestry()),
                                        Frame.Wrote.UNKNOWN,
                                        at.hasPoint() ? at.history().newest().labelMillis() : 0,
                                        false,
                                        Frame.Wrote.UNKNOWN,
                                        false,
                                        Frame.Wrote.UNKNOWN)));
    }

    /// What the primary has found by comparing this copy.
    private void verified(Frame.Verified found) {
        VerifyReport report =
                new VerifyReport(
                        name(),
                        dir.facts().peer(),
                        shared.node(),
                        Instant.ofEpochMilli(found.startedMillis()),
                        Instant.ofEpochMilli(found.endedMillis()),
                        found.trouble().isEmpty(),
                        Optional.of(found.trouble()).filter(each -> !each.isEmpty()),
                        dir.superblock().sizeBytes(),
                        found.comparedBytes(),
                        "",
                        "",
                        found.differingBlocks(),
                        found.differingBlocks() * BlockSet.BLOCK_BYTES,
                        0,
                        List.of(),
                        Optional.empty(),
                        Optional.empty());
        try {
            verifications.save(report);
        } catch (IOException e) {
            shared.events().of(name()).accept("metadata-error", e.getMessage());
        }
        VerifyWords.tell(shared.events().of(name()), report);
    }

    @Override
    public Optional<VerifyReport> lastVerify() {
        return verifications.last();
    }

    private void peerIs(String role, String disk) {
        states.is(StateChanges.PEER_ROLE, role);
        states.is(StateChanges.PEER_DISK, disk);
    }

    @Override
    public Frame.ResourceHello peerHello() {
        return peerHello;
    }

    /// Makes room for larger devices: the base first, then the superblock, both durably. What a
    /// crash in between leaves is a base that is larger than needed. Twice is harmless.
    synchronized void grow(AddressSpace space) throws IOException {
        AddressSpace was = dir.superblock().space();
        if (space.growsTo(was)) {
            return;
        }
        if (space.dataBytes() > Offers.MAX_BYTES) {
            throw new IOException("a device of " + space.dataBytes() + " bytes");
        }
        if (!was.growsTo(space)) {
            // A primary that was set back may order another growth than the one it has forgotten.
            throw new IOException(
                    "the volumes of the copy lie at %s, which does not grow to %s; next: remove %s here and add it again"
                            .formatted(was.text(), space.text(), name()));
        }
        try {
            base.grow(space);
            dir.grow(space);
        } catch (IOException e) {
            if (base.device().syncFailure() != null || dir.isSuperblockFailed()) {
                resource.failed(e.getMessage());
            }
            throw e;
        }
        resource.grown(space.sizeBytes());
        shared.events()
                .of(name())
                .accept(
                        "resized",
                        "the copy has room for %s, it had for %s"
                                .formatted(
                                        LocalPrimary.sizeWords(space),
                                        LocalPrimary.sizeWords(was)));
    }

    // ---- promotion ---------------------------------------------------------------------------

    /// From now on no peer writes to the copy. Its history is kept as before until the promotion
    /// has come about: one that is refused for want of room has shortened nothing.
    ///
    /// @param limit as in [BackupResource#take]
    /// @throws IOException if it is over, or the view under the resource's name cannot be closed:
    ///   [#demote] or [#fence] has to follow
    void promote(Duration limit) throws IOException {
        listen(false);
        OpenView underName = underName(); // From now on this is the name of the device.
        if (underName != null && closeView(underName.id())) {
            shared.events()
                    .of(name())
                    .accept("view-closed", underName.id() + ": " + name() + " is promoted");
        }
        resource.take(limit);
    }

    /// What the primary of this host writes to, until [#fence].
    Disks ownDisks(Duration limit) throws IOException {
        requireNotOver();
        promote(limit);
        promoted = true;
        retain(dir.settings());
        return base.under(resource.own(dir.superblock().sizeBytes()));
    }

    /// It is detached.
    void fence() {
        resource.fence();
        listen(true);
    }

    /// It was not promoted: a peer may write to it again.
    void demote() throws IOException {
        resource.giveBack();
        promoted = false;
        listen(true);
        retain(dir.settings());
        PeerSession peer = session;
        if (peer != null) {
            resource.call(peer);
        }
    }

    /// The generation of that primary begins, with the device as it is or was; see
    /// [BackupResource#begin].
    void begin(Ancestry ancestry, OpenPoint restored, Duration patience, Duration limit)
            throws IOException {
        BackupResource.Snapshot now = resource.snapshot();
        if (now.isFailed() || now.mixture()) {
            throw new IOException(
                    now.isFailed()
                            ? "its journal or its disk has failed; next: "
                                    + shared.command("connect " + name())
                            : "its journal is damaged, and what is left is the image of no moment");
        }
        if (!resource.snapshot().committed().equals(new Position(ancestry.generation(), 0))) {
            resource.begin(ancestry, restored, patience, limit);
        }
    }

    /// Opens a moment without serving it.
    ///
    /// @return null when there is none yet, or all that there are are later
    /// @throws IOException also when it might be an older one than it is in a moment
    OpenPoint point(AskedPoint asked) throws IOException {
        requireBroughtUp(asked);
        synchronized (this) {
            requireOpenable();
            return openPoint(asked);
        }
    }

    /// Its peer's primary brings it on from what that has, and what it is now is kept under the
    /// name that is returned: durably, before anybody is told. A crash in between leaves a copy
    /// that does it at its next start.
    ///
    /// @throws IOException if it cannot be kept: nothing is given up
    String discard() throws IOException {
        long generation = resource.look(Backup::ancestry).generation();
        givingUp.lock();
        try {
            dir.discard(generation);
            String trouble = tryToGiveUp(generation);
            if (!trouble.isEmpty()) {
                dir.keepOwn();
                throw new IOException(trouble);
            }
        } finally {
            givingUp.unlock();
        }
        PeerSession peer = session;
        if (peer != null) {
            resource.call(peer);
        }
        return discardedName(generation);
    }

    /// Ends what keeps moments of before the promotion: all of it goes into the base, which the
    /// primary then writes to. Its clients stay. That it was a copy is forgotten, durably, before
    /// they write again.
    ///
    /// @return what prevents it; empty when it is done
    String settlePromoted() throws IOException {
        String obstacle = beginToSettle(true);
        if (!obstacle.isEmpty()) {
            return obstacle;
        }
        try {
            resource.retain(Retention.NONE, indexRuns);
            rollMost();
            JournaledDevice own = resource.own(dir.superblock().sizeBytes());
            return endRole(() -> own.goDirect(resource::settle, dir::end));
        } finally {
            endSettling();
            if (!over) {
                retain(dir.settings());
            }
        }
    }

    /// The same while no primary is attached.
    String settleDetached() throws IOException {
        String obstacle = beginToSettle(true);
        if (!obstacle.isEmpty()) {
            return obstacle;
        }
        try {
            obstacle = resource.settle();
            return obstacle.isEmpty()
                    ? endRole(
                            () -> {
                                dir.end();
                                return "";
                            })
                    : obstacle;
        } finally {
            endSettling();
        }
    }

    private interface EndOfRole {
        String run() throws IOException;
    }

    /// Nothing uses the copy any more once it may be over: also where nobody knows.
    private String endRole(EndOfRole end) throws IOException {
        try {
            String obstacle = end.run();
            over = obstacle.isEmpty();
            return obstacle;
        } catch (UncheckedIOException e) {
            over = true;
            resource.failed("that it was a copy may be forgotten, or not: " + e.getMessage());
            throw new IOException(
                    "whether it was a copy is not known for sure until it is opened again (%s): %s"
                            .formatted(shared.command("connect " + name()), e.getMessage()),
                    e);
        }
    }

    /// From now on nothing is opened or kept.
    ///
    /// @param forKept what is kept prevents it, else it goes as well
    /// @return what prevents it, and nothing has changed; else empty
    synchronized String beginToSettle(boolean forKept) {
        closeUnused();
        String obstacle = historyWords(forKept);
        settling(obstacle.isEmpty());
        return obstacle;
    }

    private synchronized void endSettling() {
        settling(false);
    }

    private void settling(boolean is) {
        if (settling != is) {
            settling = is;
            resource.hurry(is);
        }
    }

    /// What somebody looks at, or wants to look at later.
    private String historyWords(boolean forKept) {
        String kept = forKept ? keptWords() : "";
        if (!kept.isEmpty()) {
            return kept;
        }
        return views.isEmpty()
                ? ""
                : "a view is open; next: "
                        + shared.command("close " + views.keySet().iterator().next());
    }

    /// What is kept, and what ends that; empty for nothing.
    String keptWords() {
        List<String> kept = kept().stream().map(ControlApi.Kept::as).toList();
        return kept.isEmpty()
                ? ""
                : "%s; next: %s"
                        .formatted(
                                kept.size() == 1
                                        ? "the moment %s is kept".formatted(kept.getFirst())
                                        : "the moments %s are kept"
                                                .formatted(String.join(", ", kept)),
                                kept.stream()
                                        .map(
                                                each ->
                                                        shared.command(
                                                                "keep %s %s --drop"
                                                                        .formatted(name(), each)))
                                        .collect(joining(", ")));
    }

    /// As long as that makes progress, so that nobody is held up for it.
    private void rollMost() {
        long rolled = -1;
        for (int idle = 0; idle < SETTLE_IDLE; idle++) {
            long now = resource.look(each -> each.base().watermark());
            boolean rolls = resource.look(Backup::isRolling);
            if (resource.snapshot().journalUsedBytes() <= 2 * ROLL_BYTES) {
                return;
            }
            if (rolls || now > rolled) {
                idle = -1;
            }
            rolled = now;
            LockSupport.parkNanos(SETTLE_NANOS);
        }
    }

    // ---- views -------------------------------------------------------------------------------

    /// Serves one moment of the copy on a socket of its own, read-only or into an overlay.
    ///
    /// @return null when there is none yet, or all that there are are later
    OpenView openView(AskedPoint asked, ControlApi.OpenRequest request) throws IOException {
        boolean behind = !bringUp(asked);
        synchronized (this) {
            return openView(asked, request, behind);
        }
    }

    private OpenView openView(AskedPoint asked, ControlApi.OpenRequest request, boolean behind)
            throws IOException {
        requireOpenable();
        NoPoint refused = notServed(request);
        if (refused != null) {
            throw new IOException(refused.words());
        }
        OpenPoint point = openPoint(asked);
        if (point == null) {
            return null;
        }
        try {
            return openView(asked, request, behind, point);
        } catch (IOException | RuntimeException e) {
            resource.closePoint(point);
            throw e;
        }
    }

    private OpenView openView(
            AskedPoint asked, ControlApi.OpenRequest request, boolean behind, OpenPoint point)
            throws IOException {
        String id = idOf(point);
        String suffix = request.underName() ? "" : asked.suffix();
        ViewExport export = export(asked, suffix, point, Optional.empty());
        List<Export> exports = volumes(asked, suffix, point, export);
        Optional<ViewLease> lease =
                request.whileUsed()
                        ? Optional.of(new ViewLease(System.nanoTime()))
                        : Optional.empty();
        if (request.underName()) {
            OpenView opened =
                    new OpenView(
                            id,
                            point,
                            export,
                            exports,
                            false,
                            behind,
                            Optional.empty(),
                            socket(),
                            Optional.empty(),
                            lease);
            views.put(id, opened);
            return opened;
        }
        Path socket =
                request.socket()
                        .map(Path::of)
                        .orElseGet(() -> shared.paths().run().resolve(id + ".nbd"));
        Optional<OverlaySpace> overlay = Optional.empty();
        NbdServer own = null;
        try {
            if (request.writable()) {
                overlay = Optional.of(overlaySpace(id, exports, request.overlayBytes()));
                exports = overlays(id, exports, overlay.get());
            }
            own = shared.nbdServer(Exports.of(exports));
            own.listenUnix(socket);
        } catch (IOException | RuntimeException e) {
            if (own != null) {
                own.close();
            }
            closeOverlays(exports);
            throw e;
        }
        OpenView opened =
                new OpenView(
                        id,
                        point,
                        export,
                        exports,
                        false,
                        behind,
                        Optional.of(own),
                        socket,
                        overlay,
                        lease);
        views.put(id, opened);
        return opened;
    }

    private String idOf(OpenPoint point) {
        String id = name() + "@" + point.view().id();
        point.isOf(id);
        return id;
    }

    /// Why no view can be served as it is asked for, whatever the moment; null for nothing.
    NoPoint notServed(ControlApi.OpenRequest request) {
        NoPoint taken = request.underName() ? nameTaken() : null;
        return taken == null ? tooMany() : taken;
    }

    private synchronized NoPoint tooMany() {
        closeUnused();
        return views.size() < MOST_VIEWS
                ? null
                : new NoPoint(
                        "%d views of %s are open, which is the most".formatted(MOST_VIEWS, name()),
                        List.of(
                                views.values().stream()
                                        .map(LocalBackup::shownBy)
                                        .collect(joining(", "))),
                        "close " + views.firstKey());
    }

    private static String shownBy(OpenView view) {
        return "%s of %s".formatted(view.id(), Instant.ofEpochMilli(view.point().shownMillis()));
    }

    /// Why no view can have the name of the resource; null for nothing.
    private NoPoint nameTaken() {
        if (promoted) {
            return new NoPoint(
                    "%s was promoted, and its device has this name".formatted(name()),
                    List.of(),
                    "open " + name());
        }
        OpenView there = underName();
        return there == null
                ? null
                : new NoPoint(
                        "%s is open under its name already, as it was at %s"
                                .formatted(
                                        name(), Instant.ofEpochMilli(there.point().shownMillis())),
                        List.of(),
                        "close " + there.id());
    }

    /// Whether the socket's export without a name is the resource's own: its device, which can be
    /// attached, or a view under its name.
    boolean isDefault() {
        return promoted || underName() != null;
    }

    /// The view whose export has the name of the resource; null for none.
    private OpenView underName() {
        return views.values().stream().filter(OpenView::isUnderName).findFirst().orElse(null);
    }

    private ViewExport export(
            AskedPoint asked, String suffix, OpenPoint point, Optional<Runnable> left)
            throws IOException {
        long bytes = spaceOf(asked, point.moment()).sizeBytes();
        return new ViewExport(name() + suffix, point, bytes, left);
    }

    private List<Export> volumes(
            AskedPoint asked, String suffix, OpenPoint point, ViewExport export)
            throws IOException {
        AddressSpace space = spaceOf(asked, point.moment());
        return space.hasSeveral()
                ? VolumeExport.all(
                        name(), suffix, export, () -> space, (_, reply) -> export.flush(reply))
                : List.of(export);
    }

    // ---- what clients ask for by name --------------------------------------------------------

    MomentExports moments() {
        return moments;
    }

    /// Where they are.
    Path socket() {
        return shared.paths().run().resolve(name() + ".nbd");
    }

    /// @param device serves the moments as well from now on; null for no other
    void alsoServedBy(NbdServer device) {
        deviceServer = device;
    }

    private synchronized void listen(boolean wanted) {
        listenWanted = wanted;
        if (!wanted) {
            server.stopListening();
            listening = false;
        } else if (!listening) {
            try {
                server.listenUnix(socket());
                listening = true;
                listenTrouble = "";
            } catch (IOException e) {
                // Tried again every second; the copy is none the worse.
                String trouble = "%s: %s".formatted(socket(), e.getMessage());
                if (!trouble.equals(listenTrouble)) {
                    shared.events().of(name()).accept("nbd-listen-failed", trouble);
                }
                listenTrouble = trouble;
            }
        }
    }

    /// An export of a moment, opened for one client: that of the view that shows it already, or of
    /// a new one, read-only, which ends with its last client.
    ///
    /// @param name as the client wrote it
    /// @param moment what follows the `@` of that: as for `open --at`, or the number of a view;
    ///   empty for the view under the resource's name
    /// @param shown takes the export, before anybody can close its view
    /// @throws UnknownExportException if there is no such moment, or too many are open
    void openFor(String name, String moment, int volume, Consumer<Export> shown)
            throws ExportException {
        boolean isOpen = moment.isEmpty() || NUMBER.matcher(moment).matches();
        boolean behind = !isOpen && mayBeOpened() && !bringUp(askedFor(name, moment));
        synchronized (this) {
            shown.accept(openFor(name, moment, volume, behind));
        }
    }

    /// Nobody waits for a disk to be told that nothing is opened any more.
    private synchronized boolean mayBeOpened() {
        return !closed && !over && !settling;
    }

    private AskedPoint askedFor(String name, String moment) throws UnknownExportException {
        try {
            return AskedPoint.parse(moment, ZoneId.systemDefault(), Instant.now());
        } catch (IllegalArgumentException e) {
            throw new UnknownExportException(
                    "%s: %s; next: %s"
                            .formatted(name, e.getMessage(), shared.command("points " + name())));
        }
    }

    private Export openFor(String name, String moment, int volume, boolean behind)
            throws ExportException {
        if (closed) {
            throw new UnknownExportException(name + ": its copy is being closed");
        }
        if (moment.isEmpty() && !name.endsWith("@")) {
            if (promoted) {
                throw new UnknownExportException(
                        "%s: it was promoted here and is not attached; next: %s"
                                .formatted(name, shared.command("attach " + name())));
            }
            OpenView there = underName();
            if (there == null) {
                throw new UnknownExportException(
                        "%s: it is a copy here, whose newest moment is %s; next: %s"
                                .formatted(
                                        name,
                                        VolumeExport.name(name(), volume) + "@latest",
                                        shared.command("promote " + name() + " --read-only")));
            }
            return opened(there, volume);
        }
        if (NUMBER.matcher(moment).matches()) {
            OpenView numbered = views.get(name() + "@" + moment);
            if (numbered == null) {
                throw new UnknownExportException(
                        "%s: no such view is open; next: %s"
                                .formatted(name, shared.command("status " + name())));
            }
            return opened(numbered, volume);
        }
        AskedPoint asked = askedFor(name, moment);
        for (OpenView each : views.values()) {
            if (each.asked() && each.export().name().equals(name() + asked.suffix())) {
                try {
                    return opened(each, volume);
                } catch (ExportException e) {
                    closeUnused(); // Its last client has just gone.
                }
            }
        }
        return opened(openAsked(name, asked, behind), volume);
    }

    private static Export opened(OpenView view, int volume) throws ExportException {
        Export export = view.exports().get(volume);
        export.opened();
        return export;
    }

    /// Views whose last client has gone. One comes to them only through this object, so there is
    /// nobody to wait for.
    private synchronized void closeUnused() {
        for (OpenView each : List.copyOf(views.values())) {
            if (each.asked() && each.export().clients() == 0) {
                views.remove(each.id());
                each.export().end();
                resource.closePoint(each.point());
            }
        }
    }

    private OpenView openAsked(String name, AskedPoint asked, boolean behind)
            throws ExportException {
        NoPoint full = tooMany();
        if (full != null) {
            throw new UnknownExportException(
                    "%s: %s; next: %s".formatted(name, full.words(), shared.command(full.next())));
        }
        OpenPoint point = null;
        try {
            requireOpenable();
            point = openPoint(asked);
            if (point == null) {
                NoPoint why = whyNot(asked);
                throw new UnknownExportException(
                        "%s: %s; next: %s"
                                .formatted(name, why.words(), shared.command(why.next())));
            }
            String id = idOf(point);
            Runnable left = () -> shared.pool().execute(() -> closeView(id));
            ViewExport export = export(asked, asked.suffix(), point, Optional.of(left));
            OpenView opened =
                    new OpenView(
                            id,
                            point,
                            export,
                            volumes(asked, asked.suffix(), point, export),
                            true,
                            behind,
                            Optional.empty(),
                            socket(),
                            Optional.empty(),
                            Optional.empty());
            views.put(id, opened);
            point = null; // The view closes it.
            return opened;
        } catch (ViewMemory.FullException e) {
            throw new UnknownExportException(
                    "%s: %s; next: %s"
                            .formatted(name, e.why().words(), shared.command(e.why().next())));
        } catch (IOException e) {
            throw new ExportException(Errno.EIO, "%s: %s".formatted(name, e.getMessage()), e);
        } finally {
            if (point != null) {
                resource.closePoint(point);
            }
        }
    }

    /// Why a moment cannot be opened.
    ///
    /// @param next what to type, without the program's name
    record NoPoint(String cause, List<String> evidence, String next) {
        String words() {
            return cause + evidence.stream().map(each -> ": " + each).collect(joining());
        }
    }

    /// Of one that was not found.
    NoPoint whyNot(AskedPoint asked) {
        BackupResource.Snapshot now = resource.snapshot();
        if (asked instanceof AskedPoint.Named(String as)) {
            return new NoPoint(
                    "nothing of %s is kept or marked under the name %s, or it is damaged; and as a point it is none of: %s"
                            .formatted(name(), as, AskedPoint.WORDS),
                    List.of(),
                    "points " + name());
        }
        if (now.hasPoint()) {
            return new NoPoint(
                    "%s cannot be opened as it was then".formatted(name()),
                    List.of(
                            "the oldest moment is %s, the newest %s"
                                    .formatted(
                                            when(now.oldestMillis()), when(now.completeMillis()))),
                    "points " + name());
        }
        return new NoPoint(
                now.mixture()
                        ? "the copy of "
                                + name()
                                + " is the image of no moment: its journal was damaged, and the"
                                + " primary has not mended it yet"
                        : name() + " has no copy yet: the first sync has not ended",
                List.of(),
                "status " + name());
    }

    private AddressSpace spaceOf(AskedPoint asked, Moment moment) throws IOException {
        AddressSpace now = dir.superblock().space();
        Optional<Pins.Pin> pin =
                asked instanceof AskedPoint.Named(String as)
                        ? Optional.ofNullable(resource.look(backup -> backup.pin(as)))
                        : Optional.empty();
        return now.upTo(
                pin.isPresent() ? pin.get().sizeBytes() : dir.pointBytes(moment.ancestry()));
    }

    /// @param refusal why nothing is kept, or empty
    /// @param inGap the time that was asked for lies behind it
    record Keeping(String refusal, boolean inGap) {}

    /// Keeps a moment under a name; when it returns that is durable.
    Keeping keep(String as, AskedPoint asked, Duration span) throws IOException {
        requireBroughtUp(asked);
        synchronized (this) {
            return keepNow(as, asked, span);
        }
    }

    private Keeping keepNow(String as, AskedPoint asked, Duration span) throws IOException {
        requireOpenable();
        OpenPoint point = openPoint(asked);
        if (point == null) {
            return new Keeping(
                    resource.snapshot().hasPoint()
                            ? "all moments that can be opened are later"
                            : "there is no copy yet that could be opened",
                    false);
        }
        try {
            long bytes = spaceOf(asked, point.moment()).sizeBytes();
            return new Keeping(resource.keep(as, point, bytes, span.toMillis()), point.isInGap());
        } finally {
            resource.closePoint(point);
        }
    }

    /// What the primary has marked, oldest moment first.
    List<Marks.Mark> marked() {
        return resource.look(Backup::marks);
    }

    /// What is kept, oldest moment first.
    List<ControlApi.Kept> kept() {
        return resource.look(
                backup -> {
                    Now now = resource.now();
                    return backup.pins().stream().map(each -> kept(each, backup, now)).toList();
                });
    }

    private ControlApi.Kept kept(Pins.Pin pin, Backup backup, Now now) {
        return new ControlApi.Kept(
                pin.name(),
                Instant.ofEpochMilli(pin.moment().labelMillis()),
                received(pin.moment(), backup, now),
                pin.moment().position().toString(),
                backup.onTheWall(pin.madeMillis(), now),
                backup.onTheWall(pin.expiresMillis(), now),
                resource.pinStore().bytesOf(pin.id()),
                pin.damaged());
    }

    /// What clients of a promoted copy were answered before is in the newest moment when this
    /// returns. Not under the monitor of this object: a slow disk is waited for.
    ///
    /// @return false when it is not, and the moment that was asked for might be a later one then
    private boolean bringUp(AskedPoint asked) {
        return !promoted || isCertain(asked) || resource.bringUp(BRING_UP_LIMIT);
    }

    /// Whether it is the same moment whatever is synced meanwhile: one that has a name, or one that
    /// lies in front of the newest, since labels never fall. Of a journal that has failed only the
    /// former: whoever orders something by a time is to know of that first.
    private boolean isCertain(AskedPoint asked) {
        return switch (asked) {
            case AskedPoint.Named _ -> true;
            case AskedPoint.At(Instant time) ->
                    resource.look(
                            at ->
                                    at.diskState() != DiskState.FAILED
                                            && at.hasPoint()
                                            && at.history().newest().labelMillis()
                                                    > time.toEpochMilli());
            case AskedPoint.Newest _, AskedPoint.Before _ -> false;
        };
    }

    private void requireBroughtUp(AskedPoint asked) throws IOException {
        if (!bringUp(asked)) {
            throw new IOException(
                    resource.snapshot().isFailed()
                            ? "its journal or its disk has failed; next: "
                                    + shared.command("status " + name())
                            : "the newest writes are not synced yet, since the journal's disk is slow; try again");
        }
    }

    /// A moment by the primary's clock, in words.
    static String when(long millis) {
        return Reporter.moment(millis).map(Instant::toString).orElse("of a time that is not known");
    }

    /// @throws ViewMemory.FullException if there is no memory for it
    private OpenPoint openPoint(AskedPoint asked) throws IOException {
        ViewMemory.Claim claim = shared.viewMemory().claim(name(), shared::command);
        OpenPoint point = null;
        boolean counted = false;
        try {
            point = openPoint(asked, claim);
            if (point != null) {
                point.counts(claim);
                counted = true;
            }
            return point;
        } catch (UncheckedIOException e) {
            throw e.getCause();
        } finally {
            if (!counted) {
                claim.giveBack();
                if (point != null) {
                    resource.closePoint(point);
                }
            }
        }
    }

    private OpenPoint openPoint(AskedPoint asked, ViewMemory.Claim claim) throws IOException {
        return switch (asked) {
            case AskedPoint.Named(String as) -> resource.openPin(as, claim::builds);
            case AskedPoint.Newest _ -> resource.openPoint();
            case AskedPoint.At(Instant time) ->
                    resource.openPoint(time.toEpochMilli(), claim::builds);
            case AskedPoint.Before(Duration before) -> {
                BackupResource.Snapshot now = resource.snapshot();
                yield now.hasPoint()
                        ? resource.openPoint(
                                now.completeMillis() - before.toMillis(), claim::builds)
                        : null;
            }
        };
    }

    /// Which moments can be opened.
    ControlApi.PointsReply points() throws IOException {
        ResourceSettings settings = dir.settings();
        return resource.look(
                backup -> {
                    Now now = resource.now();
                    History history = backup.history();
                    boolean hasPoint = backup.hasPoint();
                    List<ControlApi.Gap> gaps =
                            history.gaps(MOST_GAPS).stream()
                                    .map(
                                            each ->
                                                    new ControlApi.Gap(
                                                            Instant.ofEpochMilli(each.gapMillis()),
                                                            Instant.ofEpochMilli(
                                                                    each.labelMillis())))
                                    .toList();
                    return new ControlApi.PointsReply(
                            name(),
                            hasPoint
                                    ? Optional.of(point(history.oldest(), backup, now))
                                    : Optional.empty(),
                            hasPoint
                                    ? Optional.of(point(history.newest(), backup, now))
                                    : Optional.empty(),
                            hasPoint ? Reporter.moment(backup.completeMillis()) : Optional.empty(),
                            gaps,
                            settings.retention().toSeconds(),
                            settings.retentionMin().toSeconds(),
                            backup.journalUsedBytes(),
                            journalBytes,
                            backup.neededBytes(),
                            backup.pins().stream().map(each -> kept(each, backup, now)).toList(),
                            resource.pinStore().usedBytes(),
                            settings.keepMax().bytes(),
                            Reporter.uri(
                                    name() + new AskedPoint.Newest().suffix(), socket().toString()),
                            backup.marks().stream()
                                    .map(
                                            each ->
                                                    new ControlApi.Marked(
                                                            each.name(),
                                                            Instant.ofEpochMilli(
                                                                    each.moment().labelMillis()),
                                                            received(each.moment(), backup, now),
                                                            each.moment().position().toString()))
                                    .toList(),
                            promoted);
                });
    }

    private static ControlApi.Point point(Moment moment, Backup backup, Now now) {
        return new ControlApi.Point(
                Instant.ofEpochMilli(moment.labelMillis()),
                received(moment, backup, now),
                moment.position().toString());
    }

    private static Optional<Instant> received(Moment moment, Backup backup, Now now) {
        return moment.receiptMillis() == 0
                ? Optional.empty()
                : Optional.of(backup.onTheWall(moment.receiptMillis(), now));
    }

    static ControlApi.Point point(Moment moment) {
        return new ControlApi.Point(
                Instant.ofEpochMilli(moment.labelMillis()),
                Optional.empty(),
                moment.position().toString());
    }

    /// Beside the journal, whose filesystem is the storage's and has room if any has.
    private Path overlayDirectory() {
        return Path.of(dir.facts().journal()).toAbsolutePath().getParent();
    }

    private OverlaySpace overlaySpace(String id, List<Export> exports, Optional<Long> limitBytes)
            throws IOException {
        FileStore store = Files.getFileStore(overlayDirectory());
        long freeBytes = store.getUsableSpace();
        long deviceBytes = exports.stream().mapToLong(Export::sizeBytes).sum();
        long limit = limitBytes.orElseGet(() -> OverlaySpace.usualLimit(deviceBytes, freeBytes));
        if (limit <= 0 || limit > freeBytes - OverlaySpace.RESERVE_BYTES) {
            throw new IOException(
                    "no room for an overlay of %s: %s has %s free, of which %s stay for the copy"
                            .formatted(
                                    limitBytes.map(Words::bytes).orElse("any size"),
                                    overlayDirectory(),
                                    Words.bytes(freeBytes),
                                    Words.bytes(OverlaySpace.RESERVE_BYTES)));
        }
        return new OverlaySpace(
                limit,
                () -> freeBytes(store),
                text -> shared.events().of(name()).accept("overlay-full", id + ": " + text));
    }

    private static long freeBytes(FileStore store) {
        try {
            return store.getUsableSpace();
        } catch (IOException e) {
            return 0;
        }
    }

    /// One for each volume; a failure leaves none of them.
    private List<Export> overlays(String id, List<Export> exports, OverlaySpace space)
            throws IOException {
        List<Export> overlays = new ArrayList<>();
        try {
            for (Export each : exports) {
                Path file =
                        overlayDirectory().resolve("%s.%d.overlay".formatted(id, overlays.size()));
                overlays.add(OverlayExport.over(each, file, space, shared.payloads()));
            }
            return overlays;
        } catch (IOException | RuntimeException e) {
            closeOverlays(overlays);
            throw e;
        }
    }

    private static void closeOverlays(List<Export> exports) {
        for (Export each : exports) {
            if (each instanceof OverlayExport overlay) {
                overlay.close();
            }
        }
    }

    /// Returns when its clients are gone. They are waited for outside of the monitor: one of them
    /// may be asking for another moment.
    ///
    /// @return false if there is no such view
    boolean closeView(String id) {
        synchronized (closing) {
            OpenView view;
            synchronized (this) {
                view = views.remove(id);
                if (view == null) {
                    return false;
                }
                view.export().end();
            }
            view.own().ifPresent(each -> each.close(CLIENTS_LIMIT));
            server.disconnect(view::shows, CLIENTS_LIMIT);
            NbdServer device = deviceServer;
            if (device != null) {
                device.disconnect(view::shows, CLIENTS_LIMIT);
            }
            tcp.end(view::shows, CLIENTS_LIMIT);
            closeOverlays(view.exports());
            resource.closePoint(view.point());
            return true;
        }
    }

    /// Closes the views that were to end with their use and have, and one that keeps room from the
    /// primary of a promoted copy, or from the copy when nobody has ordered it.
    void closeLeftViews(long nowNanos) {
        synchronized (this) {
            listen(listenWanted);
        }
        if (!keepsOwn.isEmpty() && nowNanos - giveUpAtNanos >= 0) {
            giveUpAtNanos = nowNanos + GIVE_UP_NANOS;
            shared.pool().execute(this::giveUpAgain);
        }
        Optional<String> inTheWay =
                views.values().stream().filter(this::isInTheWay).map(OpenView::id).findFirst();
        if (inTheWay.isPresent()) {
            String id = inTheWay.get();
            if (closeView(id)) {
                shared.events()
                        .of(name())
                        .accept(
                                "view-closed",
                                id
                                        + ": it kept the journal from being rolled forward, and what is"
                                        + " written lacked room");
            }
        }
        for (OpenView view : views.values()) {
            boolean isLeft =
                    view.lease()
                            .filter(
                                    each ->
                                            each.isOver(
                                                    view.export().clients(),
                                                    view.export().arrivals(),
                                                    nowNanos))
                            .isPresent();
            if (isLeft && closeView(view.id())) {
                shared.events()
                        .of(name())
                        .accept("view-closed", view.id() + ": nobody uses it any more");
            }
        }
    }

    /// Nobody has ordered that a view be there which a client has asked for, so that one does not
    /// keep the copy from following; one that was ordered only gives way to what is written here.
    private boolean isInTheWay(OpenView view) {
        Backup.View shown = view.point().view();
        BackupResource.Snapshot now = resource.snapshot();
        boolean hasEnded = hasEnded(view, now);
        if (shown.pin() != 0 && !hasEnded || !now.noSpace().isEmpty()) {
            return false;
        }
        boolean stopsRolling = hasEnded || shown.moment().address() < now.nextMoment();
        return resource.hasWaited(VIEW_GIVES_WAY_NANOS)
                || view.asked() && now.wantsRoom() && stopsRolling && now.heldUntil().isEmpty();
    }

    /// Whether it shows what is kept of a moment that has ended, and stays only while it is open.
    private static boolean hasEnded(OpenView view, BackupResource.Snapshot now) {
        long pin = view.point().view().pin();
        return now.endedOpen().stream().anyMatch(each -> each.id() == pin);
    }

    /// What is open and has ended, for the operator; empty for nothing.
    Optional<String> endedWords() {
        BackupResource.Snapshot now = resource.snapshot();
        return views.values().stream()
                .filter(each -> hasEnded(each, now))
                .map(
                        each ->
                                "%s is open, and its moment has ended, for the journal is damaged in front of it: the journal is not rolled forward until it is closed. Next, when it is not needed any more: %s"
                                        .formatted(each.id(), shared.command("close " + each.id())))
                .findFirst();
    }

    /// Which view keeps in the journal what should be in the base, for the operator; empty for
    /// none.
    Optional<String> inTheWayWords() {
        BackupResource.Snapshot now = resource.snapshot();
        return views.values().stream()
                .filter(each -> each.point().view().id() == now.viewInTheWay())
                .map(
                        each ->
                                "%s is open, and the journal is not rolled forward past it: %s. Next, when it is not needed any more: %s"
                                        .formatted(
                                                shownBy(each),
                                                now.rollUrgent()
                                                        ? "it is filling"
                                                        : "what lies behind it is older than the retention",
                                                shared.command("close " + each.id())))
                .findFirst();
    }

    Collection<OpenView> views() {
        return views.values();
    }

    // ---- the end -----------------------------------------------------------------------------

    /// After [#beginToSettle]: rolls everything into the base, so that the base alone is the newest
    /// point.
    ///
    /// @return what prevents it; empty when it is done
    String settle() {
        String obstacle = resource.settle();
        if (!obstacle.isEmpty()) {
            endSettling();
        }
        return obstacle;
    }

    @Override
    public void close() {
        synchronized (this) {
            closed = true; // From now on no view is added.
            listenWanted = false;
        }
        synchronized (closing) {
            for (String id : List.copyOf(views.keySet())) {
                closeView(id);
            }
        }
        server.close(CLIENTS_LIMIT); // Who waits for this object is refused now.
        stop();
    }

    private synchronized void stop() {
        resource.stop();
        journal.close();
        try {
            base.device().sync();
        } catch (DeviceException e) {
            shared.events().of(name()).accept("base-error", e.getMessage());
        }
        base.close();
        dir.close();
    }

    /// Everything beside the base.
    void deleteHistory() throws IOException {
        PinStore.delete(journalPath(dir));
        ResourceDir.delete(Path.of(dir.facts().journal()));
    }

    /// After [#close]: takes the journal away, and the copy with it unless it is to stay.
    void delete(boolean keepCopy) throws IOException {
        deleteHistory();
        if (!keepCopy && dir.facts().ownDisk()) {
            for (Path each : dir.facts().paths()) {
                Files.deleteIfExists(each);
            }
        }
        dir.remove();
    }
}
