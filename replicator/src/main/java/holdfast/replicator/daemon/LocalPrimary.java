package holdfast.replicator.daemon;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.Disks;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.PageMemory;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Verdict;
import holdfast.replicator.state.Verification;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;

/// A resource that is primary here: attached, with its device open and exported, or detached.
final class LocalPrimary implements LocalResource {
    /// A planned stop lets clients finish what they have asked, and the link what it has to send.
    private static final Duration CLIENTS_LIMIT = Duration.ofSeconds(10);

    private static final Duration PEER_LIMIT = Duration.ofSeconds(5);

    /// So long a detach from a disk that hangs waits for what it notes.
    private static final Duration NOTE_LIMIT = Duration.ofSeconds(5);

    /// What an operator waits for until the larger size is there; it goes on behind that.
    private static final Duration RESIZE_LIMIT = Duration.ofSeconds(20);

    /// For blocks that an operator has marked to be durably so.
    private static final Duration MARK_LIMIT = Duration.ofSeconds(20);

    private static final int SECTOR_BYTES = 512;

    private static final SecureRandom RANDOM = new SecureRandom();

    /// Numbers the streams of this process, so that a late answer is known as such.
    private static final AtomicLong STREAMS = new AtomicLong(RANDOM.nextLong() >>> 2);

    private final Shared shared;
    private final ResourceDir dir;
    private final TcpExports tcp;
    private final StateChanges.Voice states;
    private volatile ResourceSettings settings;

    /// Null while detached.
    private volatile Attached attached;

    /// What clients see of the volumes: in a growth it follows when requests are taken there.
    private volatile AddressSpace exported;

    /// Why the last attach failed; null after one that did not.
    private volatile String attachTrouble;

    /// When an attach that goes on began; null without one.
    private volatile Instant attachingSince;

    private volatile PeerSession session;
    private volatile Frame.ResourceHello peerHello;
    private final Standoff standoff = new Standoff();
    private volatile boolean syncPaused;

    /// A comparison of everything is not over, and there is a mark of it.
    private boolean comparing;

    private volatile String writtenPast;

    private volatile String exchanged = "";

    /// The sizes that an operator has ordered, null for none.
    private volatile AddressSpace wanted;

    /// Why it does not have that yet.
    private volatile String resizeTrouble = "";

    /// Completed when the order is carried out, or with what prevents it. Guarded by this.
    private CompletableFuture<String> resized;

    /// Since when it waits for the peer before it is exported, in nanoseconds; null when it does
    /// not.
    private volatile Long gatedSince;

    /// Why the gate is closed, until the peer says otherwise or an operator attaches all the same:
    /// also while the peer is away, and over starts of the daemon. Null when it is not.
    private volatile String closedWhy;

    /// Of a detach that a hanging disk did not let end: closed, with a call still in the kernel.
    /// Null for none.
    private Disks hanging;

    /// How many have come to [#growKernelDevices] since one began there; 0 while nobody is there.
    private final AtomicInteger kernelGrowths = new AtomicInteger();

    private final AtomicBoolean endingComparison = new AtomicBoolean();
    private final VerifyFile verifications;

    /// One is under way, or what it found is not stored yet.
    private volatile boolean verifying;

    /// The one that is under way, or null.
    private volatile Repair repairing;

    /// One was cut short after its file was whole.
    private volatile boolean repairLeft;

    /// Everything that an attach opened, in this order.
    ///
    /// @param exports one for each volume
    private record Attached(
            Disks disks,
            MarkMemory.Share marks,
            PrimaryResource resource,
            List<Export> exports,
            NbdServer server) {}

    /// Of a promoted copy: its base and journal, which hold the device; else null.
    private volatile LocalBackup copy;

    /// A disk that is plain, or the copy that was promoted.
    LocalPrimary(
            Shared shared,
            ResourceDir dir,
            TcpExports tcp,
            ResourceSettings settings,
            Optional<LocalBackup> copy) {
        this.copy = copy.orElse(null);
        this.shared = shared;
        this.dir = dir;
        this.tcp = tcp;
        this.states =
                shared.events()
                        .states(dir.name())
                        .begin(
                                Role.PRIMARY,
                                Files.exists(dir.standaloneMark()),
                                copy.map(LocalBackup::states).orElse(null));
        this.settings = settings;
        this.verifications = new VerifyFile(dir);
        this.repairLeft = Files.exists(dir.repairFile());
        this.syncPaused = Files.exists(dir.syncPausedMark());
        this.comparing = Files.exists(dir.compareMark());
        this.writtenPast = EvidenceFile.oldWords(dir);
        try {
            this.wanted = dir.wanted();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
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

    ResourceSettings settings() {
        return settings;
    }

    /// Also for the history of a promoted copy.
    void accept(ResourceSettings next) throws IOException {
        if (copy().isPresent()) {
            copy().get().accept(next);
        }
        dir.accept(next);
        settings = next;
    }

    Path socket() {
        return shared.paths().run().resolve(name() + ".nbd");
    }

    private AddressSpace space() {
        return dir.superblock().space();
    }

    boolean isAttached() {
        return attached != null;
    }

    private volatile boolean damageAccepted;

    /// As it was when an operator went on without it, see [#lostChoice()].
    private volatile String lostChoice = "";

    /// The device goes on without the copy, which is closed with it.
    private volatile boolean forgotten;

    /// Why this role is not carried on; empty while it is.
    private volatile String over = "";

    /// What was promoted, until all of it is in the base.
    Optional<LocalBackup> copy() {
        return forgotten ? Optional.empty() : Optional.ofNullable(copy);
    }

    /// Whether it was a copy of the peer's once.
    boolean isPromoted() {
        return dir.superblock().ancestry().entries().stream()
                .anyMatch(each -> each.reason() == Ancestry.Reason.PROMOTE);
    }

    /// Makes the promotion of the copy final: the base alone becomes the device. What keeps the
    /// earlier role is forgotten, durably, and then the journal deleted. The clients stay.
    ///
    /// @return what prevents it; empty when it is done
    synchronized String makeFinal() throws IOException {
        requireNotOver();
        LocalBackup was = copy;
        if (was == null || forgotten) {
            return "";
        }
        requireOwnHistory();
        if (attached == null) {
            requireAnswers("status " + name());
            // Its mark goes with its directory. While attached, a failure prevents what follows.
            dir.takeDoubtOf(was.dir());
        }
        String obstacle = attached == null ? was.settleDetached() : was.settlePromoted();
        if (!obstacle.isEmpty()) {
            return obstacle;
        }
        forgotten = true; // Nothing that fails from here on makes it a copy again.
        was.dir()
                .clean()
                .ifPresent(
                        left ->
                                shared.events()
                                        .of(name())
                                        .accept(
                                                "metadata-error",
                                                "what is left of the copy's journal is deleted at the next start: "
                                                        + left));
        if (attached == null) {
            was.close(); // Else its base stays open until the detach.
            copy = null;
        }
        return "";
    }

    /// Another moment of its copy goes on in the next role, which is whole: this one is over.
    ///
    /// @throws UncheckedIOException if its directory could not be deleted
    synchronized void handOver() {
        over = "another moment of it was chosen just now";
        copy = null;
        dir.remove();
    }

    /// What has found it before, and comes to it only now, does nothing with it any more.
    ///
    /// @param why what becomes of it
    /// @throws IOException if it is attached again, and so goes on
    synchronized void end(String why) throws IOException {
        if (attached != null) {
            throw new IOException("it was attached just now");
        }
        over = why;
    }

    private void requireNotOver() throws IOException {
        if (!over.isEmpty()) {
            throw new IOException(over);
        }
    }

    /// The export and the deciding object; empty while detached.
    Optional<PrimaryResource> resource() {
        Attached now = attached;
        return now == null ? Optional.empty() : Optional.of(now.resource());
    }

    /// What clients can choose from; nothing while detached.
    List<Export> exports() {
        Attached now = attached;
        return now == null ? List.of() : now.exports();
    }

    /// Opens the device exclusively, starts a generation and exports it. Until the device and the
    /// socket are had nothing durable changes: an attach that fails costs no clean bitmap.
    ///
    /// @param limit how long the journal of a promoted copy is waited for: behind it is what a
    ///   crash in the middle of an attach leaves, without any export, and the next attach goes on
    synchronized void attach(Duration limit) throws IOException {
        attach(limit, true);
    }

    /// The same at a start of the daemon, where nobody has looked at the disk: not another one than
    /// the one attached last. It is exported when it answers.
    synchronized void attachUnasked() throws IOException {
        attach(BackupResource.NO_LIMIT, false);
    }

    private void attach(Duration limit, boolean isOrdered) throws IOException {
        if (attached != null) {
            return;
        }
        attachingSince = Instant.now();
        states.is(StateChanges.DISK, DiskState.ATTACHING.name());
        try {
            open(limit, isOrdered);
            letGo(); // Durable with the next: what closed a gate once closes none that comes later.
            AtomicFile.write(dir.bootMark(), bootId().getBytes(StandardCharsets.UTF_8));
            attachTrouble = null;
        } catch (IOException | RuntimeException e) {
            attachTrouble = String.valueOf(e.getMessage());
            throw e;
        } finally {
            attachingSince = null;
            if (attached == null) {
                if (over.isEmpty()) {
                    dir.lookAgain();
                }
                states.is(StateChanges.DISK, DiskState.DISKLESS.name());
            }
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
    void hold() throws IOException {
        Path file = dir.closedGateFile();
        closedWhy = Files.exists(file) ? Files.readString(file) : null;
        gatedSince = System.nanoTime();
    }

    /// Empty when it does not wait.
    Optional<BootGate.Outcome> gate(Optional<Duration> limit) {
        Long since = gatedSince;
        if (since == null) {
            return Optional.empty();
        }
        Frame.ResourceHello peer = peerHello;
        String closed = closedWhy;
        return Optional.of(
                peer == null && closed != null
                        ? new BootGate.Outcome.Closed(closed)
                        : BootGate.decide(
                                Duration.ofNanos(System.nanoTime() - since),
                                limit,
                                atRest(),
                                peer));
    }

    /// It is to be exported; an attach that fails now is not tried by itself again.
    void letGo() throws IOException {
        gatedSince = null;
        closedWhy = null;
        Files.deleteIfExists(dir.closedGateFile());
    }

    /// Whether [#closes] was called.
    boolean isClosed() {
        return closedWhy != null;
    }

    /// The peer keeps the gate closed. Where that cannot be noted it holds until a start.
    void closes(String why) throws IOException {
        if (!why.equals(closedWhy)) {
            closedWhy = why;
            AtomicFile.write(dir.closedGateFile(), why.getBytes(StandardCharsets.UTF_8));
        }
    }

    private void ask(PeerSession peer) {
        peer.send(atRest());
    }

    /// What can be said while the device is not open: not which transactions the peer was told of.
    private Frame.ResourceHello atRest() {
        return said(DiskState.DISKLESS, dir.superblock().position());
    }

    /// What it is now.
    Frame.ResourceHello hello() {
        return resource()
                .map(each -> said(DiskState.UP_TO_DATE, each.look(Primary::position)))
                .orElseGet(this::atRest);
    }

    private Frame.ResourceHello said(DiskState disk, Position here) {
        Superblock known = dir.superblock();
        return new Frame.ResourceHello(
                id(),
                Role.PRIMARY.ordinal() + 1,
                disk.ordinal(),
                known.sizeBytes(),
                here,
                here,
                0,
                true,
                0,
                false,
                0,
                0,
                new Frame.Known(
                        known.acknowledged(),
                        Position.NONE,
                        known.peerMark(),
                        0,
                        Long.MAX_VALUE,
                        0,
                        false),
                known.ancestry());
    }

    /// How long an attach has been going on, if one does: the disk may hang.
    Optional<Duration> attachingFor() {
        return Optional.ofNullable(attachingSince)
                .map(since -> Duration.between(since, Instant.now()));
    }

    /// Why the last attach failed, if it did.
    Optional<String> attachTrouble() {
        return Optional.ofNullable(attachTrouble);
    }

    /// What the kernel has of before the detach may land at any time, also upon what is written to
    /// the disk from now on and told to be durable, or was compared and found equal.
    ///
    /// @param command what is to be typed again
    synchronized void requireAnswers(String command) throws IOException {
        if (hanging != null && hanging.isInCall()) {
            throw new IOException(
                    "%s has still not answered a request from before the detach, and what that writes would come between what is written from now on. Next: see why the disk hangs (dmesg, and what it is on), then %s"
                            .formatted(hanging, shared.command(command)));
        }
        hanging = null;
    }

    /// What a promoted copy's journal has lost had been durable: that is not passed over in
    /// silence.
    void requireWhole() throws IOException {
        Optional<String> damage = copy == null ? Optional.empty() : copy.resource().damageAtStart();
        if (damage.isPresent() && !damageAccepted) {
            String choice = lostChoice();
            throw new IOException(
                    "its journal is damaged, and what was written behind that is lost: %s. %sTo go on from what is left: %s"
                            .formatted(
                                    damage.get(),
                                    choice.isEmpty() ? "" : choice + ". ",
                                    shared.command("attach " + name())));
        }
    }

    /// That the promotion, or the choice of another moment, is among what a damaged journal has
    /// lost: what is left ends before it, and is what it had undone or left. Empty where that is
    /// not so. One that is newer than this role, and was not written yet, has lost nothing.
    String lostChoice() {
        LocalBackup now = copy;
        if (damageAccepted || now == null || now.resource().damageAtStart().isEmpty()) {
            return lostChoice;
        }
        return dir.superblock().ancestry().entries().reversed().stream()
                .filter(each -> each.reason() == Ancestry.Reason.PROMOTE)
                .findFirst()
                .filter(choice -> now.resource().look(at -> isBefore(at, choice)))
                .map(
                        choice ->
                                "The promotion of %s, which went on from %s, is among what is lost: what is left ends before it. To choose again, then: %s"
                                        .formatted(
                                                Instant.ofEpochMilli(choice.wallMillis()),
                                                choice.parent(),
                                                shared.command(
                                                        "promote " + name() + " --at POINT")))
                .orElse("");
    }

    private static boolean isBefore(Backup copy, Ancestry.Entry choice) {
        if (!copy.hasPoint() || copy.ancestry().indexOf(choice.generation()) >= 0) {
            return false;
        }
        Ancestry.Entry last = copy.ancestry().entries().getLast();
        boolean isNewer =
                last.reason() == Ancestry.Reason.PROMOTE && last.wallMillis() > choice.wallMillis();
        return !isNewer;
    }

    /// Whether [#acceptDamage] has something to do.
    boolean isDamaged() {
        LocalBackup now = copy;
        return now != null && !damageAccepted && now.resource().damageAtStart().isPresent();
    }

    /// An operator goes on from what is left. Until then nothing of the journal changes, so that
    /// the next start finds the damage as well. What was lost may be in the peer's copy, of which
    /// the bitmap says nothing: that all is to be compared is durable before.
    synchronized void acceptDamage() throws DeviceException {
        if (isDamaged()) {
            lostChoice = lostChoice();
            if (!lostChoice.isEmpty()) {
                shared.events()
                        .of(name())
                        .accept("choice-lost", "it goes on from what is left. " + lostChoice);
            }
            compareFromNowOn();
            copy.resource().cutDamage();
        }
        damageAccepted = true;
    }

    /// The same damage, which an operator has accepted in the role before.
    synchronized void acceptDamageAs(LocalPrimary before) throws DeviceException {
        acceptDamage();
        lostChoice = before.lostChoice;
    }

    /// Its copy would be written to under another history than its own.
    private void requireOwnHistory() throws IOException {
        requireNotOver();
        if (Promotion.isLeftBehind(this)) {
            throw new IOException(
                    "another moment was chosen, and the role that goes on from there could not be written; next: "
                            + shared.command("attach " + name()));
        }
    }

    private void open(Duration limit, boolean isOrdered) throws IOException {
        Disks disks = null;
        try {
            requireAnswers("attach " + name());
            requireOwnHistory();
            requireWhole();
            disks =
                    copy != null
                            ? copy.ownDisks(limit)
                            : Disks.open(
                                    shared.lockDirectory(), name(), dir.facts().paths(), space());
            requireOrder();
            if (!isOrdered) {
                requireSameDisk(disks);
            }
            attached = open(disks, limit);
        } catch (IOException | RuntimeException e) {
            if (disks != null) {
                disks.close();
            }
            if (copy != null) {
                copy.fence();
            }
            throw e;
        }
    }

    private Attached open(Disks disks, Duration limit) throws IOException {
        List<Long> found = disks.volumeBytes();
        for (int i = 0; i < found.size(); i++) {
            requireSize(i, found.get(i), space().volumeBytes(i));
        }
        MarkMemory.Share marks = MarkMemory.OF_PROCESS.share();
        CompletableFuture<List<Export>> made = new CompletableFuture<>();
        NbdServer server = shared.nbdServer(exportsOf(made));
        try {
            alsoServes(server);
            server.listenUnix(socket());
            PrimaryResource resource = start(disks, marks, limit);
            List<Export> exports = exportsOf(resource);
            made.complete(exports);
            return new Attached(disks, marks, resource, exports, server);
        } catch (IOException | RuntimeException e) {
            made.completeExceptionally(e);
            server.close();
            alsoServes(null);
            marks.close();
            throw e;
        }
    }

    /// The moments of a promoted copy.
    private void alsoServes(NbdServer device) {
        if (copy != null) {
            copy.alsoServedBy(device);
        }
    }

    /// Names of devices can change places in a reboot: then each volume would get what belongs to
    /// another one. A disk that is known no more (a new serial number, a restored file) is none of
    /// that.
    private void requireOrder() throws IOException {
        List<String> were = dir.baseIdentity().strip().lines().toList();
        List<String> are = ResourceDir.identity(dir.facts()).lines().toList();
        if (!are.equals(were)
                && are.stream().sorted().toList().equals(were.stream().sorted().toList())) {
            throw new IOException(
                    "the disks of %s have changed places: %s are %s, they were %s; nothing is exported. Next: give them back their names (links such as those in /dev/disk/by-id keep theirs), then %s"
                            .formatted(
                                    name(),
                                    dir.facts().words(),
                                    String.join(", ", are),
                                    String.join(", ", were),
                                    shared.command("attach " + name())));
        }
    }

    /// The name of a device may be another one's after a reboot, and what a foreign disk holds
    /// would be served, and go to the copy. One that holds what the last clean stop left was moved
    /// there.
    private void requireSameDisk(Disks disks) throws IOException {
        Optional<String> other = dir.otherDisk();
        boolean isWhatItWas =
                dir.superblock().clean()
                        && copy == null
                        && other.isPresent()
                        && EvidenceFile.doubt(dir, disks).isEmpty();
        if (other.isPresent() && !isWhatItWas) {
            throw new IOException(
                    "%s: another disk than the one that was attached last. It may hold anything, so nothing is exported, and the copy at %s stays as it is. Next, if the names of devices have changed: give the disk its name back (links such as those in /dev/disk/by-id keep theirs) and start the daemon again. If the disk was replaced and holds what is to be served: %s. All of it is compared then, and goes to the copy"
                            .formatted(
                                    other.get(),
                                    dir.facts().peer(),
                                    shared.command("attach " + name())));
        }
    }

    private void requireSize(int volume, long found, long expected) throws IOException {
        if (found < expected) {
            throw new IOException(
                    "%s has %d bytes, %s has %d: its last %d bytes are gone, and nothing is exported without them. Next: give it its size back; the copy at %s still has what was there"
                            .formatted(
                                    dir.facts().disks().get(volume),
                                    found,
                                    VolumeExport.words(name(), volume, space()),
                                    expected,
                                    expected - found,
                                    dir.facts().peer()));
        }
    }

    /// A single volume has the addresses of the resource.
    private List<Export> exportsOf(PrimaryResource resource) {
        exported = space();
        return exported.hasSeveral()
                ? VolumeExport.all(name(), "", resource, () -> exported, resource::flush)
                : List.of(resource);
    }

    /// A client that comes while the attach is under way waits for its end. The moments of a
    /// promoted copy are there as well.
    private Exports exportsOf(CompletableFuture<List<Export>> made) {
        return new Exports() {
            private List<Export> device() {
                try {
                    return made.join();
                } catch (CompletionException e) {
                    return List.of(); // The attach has failed.
                }
            }

            @Override
            public List<Export> list() {
                List<Export> listed = new ArrayList<>(device());
                copy().ifPresent(each -> listed.addAll(each.moments().list()));
                return listed;
            }

            @Override
            public Optional<Export> find(String name) {
                Optional<Export> found = Exports.of(device()).find(name);
                return name.isEmpty()
                        ? found
                        : found.or(() -> copy().flatMap(each -> each.moments().find(name)));
            }
        };
    }

    /// From here on the superblock says "not clean".
    private PrimaryResource start(Disks disks, PageMemory marks, Duration limit)
            throws IOException {
        MetadataLayout.Recovered found = dir.recover(marks);
        if (found.damage() != null) {
            shared.events().of(name()).accept("metadata-damaged", found.damage());
        }
        if (dir.superblock().clean() && copy == null) {
            lookForForeignWrites(disks);
        }
        exchanged = "";
        if (dir.isDiskExchanged(copy == null)) {
            compareFromNowOn();
            exchanged =
                    "%s, and no evidence of a clean stop says what it holds; all of it is compared, and what differs goes to the copy"
                            .formatted(
                                    dir.otherDisk()
                                            .orElse(
                                                    disks
                                                            + " is not the disk that was attached last, or nothing says that it is"));
            shared.events().of(name()).accept("disk-exchanged", exchanged);
        }
        if (copy != null) {
            dir.takeDoubtOf(copy.dir());
        }
        dir.noteDisk(comparing);
        long generation = RANDOM.nextLong() | 1;
        Kept kept = withComparison(found.kept());
        boolean isGrown = markGrown(kept);
        Primary.Attached start =
                dir.attach(
                        kept,
                        !comparing && !isGrown,
                        shared.nodeId(),
                        generation,
                        System.currentTimeMillis());
        if (copy != null) {
            copy.begin(start.ancestry(), null, limit, limit);
        }
        Primary.Config config = config();
        PrimaryResource resource =
                new PrimaryResource(
                        name(),
                        disks.device(),
                        dir.metadata(),
                        config,
                        start,
                        shared.budget(),
                        shared.pool(),
                        shared.pace(),
                        shared.readBuffers(),
                        Link.compressionOf(settings.compression()),
                        LocalBackup.told(shared, dir, states),
                        this::stateIs);
        resource.pauseSync(pauseWords());
        resource.onVerified(this::verified);
        return resource;
    }

    private Primary.Config config() {
        return new Primary.Config(
                id(),
                dir.superblock().sizeBytes(),
                settings.protocol().waitsForPeer(),
                settings.onCongestion() == ResourceSettings.OnCongestion.BLOCK);
    }

    private Kept withComparison(Kept kept) throws IOException {
        return comparing ? kept.allSuspect(dir.isComparisonOrdered()) : kept;
    }

    /// What came with a growth is to be compared, until all of it was.
    private boolean markGrown(Kept kept) throws IOException {
        long to = dir.superblock().sizeBytes();
        long from = dir.grownFrom(to);
        kept.suspect().addBytes(from, to - from);
        return from < to;
    }

    /// What the clean stop recorded of the device has to hold still. Where it does not, that all is
    /// to be compared is durable before the superblock says that there was no clean stop.
    private void lookForForeignWrites(Disks disks) throws IOException {
        Optional<EvidenceFile.Doubt> doubt = EvidenceFile.doubt(dir, disks);
        if (doubt.isPresent()) {
            writtenPast = doubt.get().words();
            AtomicFile.write(dir.writtenPastFile(), writtenPast.getBytes(StandardCharsets.UTF_8));
            compareFromNowOn();
            shared.events().of(name()).accept(doubt.get().event(), writtenPast);
        }
    }

    /// Everything is to be compared, durably.
    private void compareFromNowOn() throws DeviceException {
        if (!comparing) {
            AtomicFile.write(dir.compareMark(), new byte[0]);
            comparing = true;
        }
    }

    /// That the last attach found another disk than the one before; empty when it did not.
    String exchanged() {
        return exchanged;
    }

    /// What was written to the device behind our back, and that it is not all compared yet; empty
    /// when there is nothing of the kind.
    String writtenPast() {
        return writtenPast;
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
                peer == null ? StateChanges.UNKNOWN : Reporter.peerRole(peer));
        states.is(
                StateChanges.PEER_DISK,
                peer == null ? StateChanges.UNKNOWN_DISK : Reporter.peerDisk(peer, state));
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
        awaitAcknowledgement();
        attached = null;
        boolean answers = false;
        try {
            boolean isKept = now.resource().detach();
            answers = true;
            if (isKept) {
                if (copy == null || forgotten) {
                    recordEvidence(now);
                }
                dir.detached(
                        now.resource().look(Primary::position),
                        now.resource().look(Primary::peerCopy),
                        byOperator);
                forgetUnlessOrdered(now.resource());
                tellRest();
            } else {
                dir.doubtDisk(); // It has failed.
            }
        } finally {
            now.disks().close();
            if (!answers) {
                doubtHanging();
            } else {
                dir.lookAgain();
            }
            // Its own roll-forward may be in a call of a copy's base, which nobody has to wait for.
            if (now.disks().isInCall() && !(answers && copy != null && !forgotten)) {
                hanging = now.disks();
            }
            now.marks().close();
            if (copy != null && !forgotten) {
                copy.fence();
            }
            if (forgotten) {
                copy.close();
                copy = null;
                forgotten = false;
            }
            states.is(StateChanges.REPLICATION, ReplicationState.OFF.name());
            states.is(StateChanges.DISK, DiskState.DISKLESS.name());
        }
    }

    /// What a disk that hangs holds when it is back nobody knows. The directory may lie on it as
    /// well: nobody waits long for the mark.
    private void doubtHanging() {
        CompletableFuture.runAsync(
                        () -> {
                            try {
                                dir.doubtDisk();
                            } catch (DeviceException | RuntimeException e) {
                                shared.events()
                                        .of(name())
                                        .accept("metadata-error", String.valueOf(e.getMessage()));
                            }
                        },
                        shared.pool())
                .completeOnTimeout(null, NOTE_LIMIT.toMillis(), TimeUnit.MILLISECONDS)
                .join();
    }

    /// The copy knows then that nobody writes here any more, and how far it is behind.
    private void tellRest() {
        PeerSession peer = session;
        if (peer != null) {
            ask(peer);
        }
    }

    /// Without it the next attach compares everything.
    private void recordEvidence(Attached now) {
        try {
            EvidenceFile.record(dir, now.disks(), now.resource().recentlyWritten(), RANDOM);
        } catch (IOException e) {
            shared.events()
                    .of(name())
                    .accept(
                            "evidence-failed",
                            "the next attach compares all of it: " + e.getMessage());
        }
    }

    /// While it is open no client is let in: an order that is refused where there is one counts
    /// them meanwhile, and nobody comes between the counting and the detach.
    final class TurnedAway implements AutoCloseable {
        private final PrimaryResource of = resource().orElse(null);

        private TurnedAway() {
            if (of != null) {
                of.turnAway(true);
            }
        }

        /// Under the monitor of this role.
        ///
        /// @throws IOException if it was attached in between, and may have clients
        void requireStill() throws IOException {
            if (resource().filter(each -> each != of).isPresent()) {
                throw new IOException("it was attached just now");
            }
        }

        @Override
        public void close() {
            if (of != null) {
                of.turnAway(false); // What is detached lets nobody in all the same.
            }
        }
    }

    TurnedAway turnAway() {
        return new TurnedAway();
    }

    /// No client is let in any more, and those that are there finish what they have asked.
    synchronized void stopClients() {
        Attached now = attached;
        if (now != null) {
            endClients(now);
        }
    }

    private void endClients(Attached now) {
        endRepair();
        now.resource().stopClients();
        now.server().close(CLIENTS_LIMIT);
        alsoServes(null);
        tcp.end(now.exports()::contains, CLIENTS_LIMIT);
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
        if (session != peer) {
            peerHello = null;
            standoff.end();
        }
        session = peer;
        states.connected(true);
        if (gatedSince != null) {
            ask(peer);
        }
        AddressSpace order = wanted;
        if (order != null) {
            peer.send(new Frame.Resize(id(), order));
        }
        begin(peer);
    }

    private void begin(PeerSession peer) {
        resource().ifPresent(each -> each.connect(peer, STREAMS.incrementAndGet()));
    }

    @Override
    public void disconnect(PeerSession peer) {
        if (session == peer) {
            session = null;
            peerHello = null;
            standoff.end();
            states.connected(false);
        }
        resource().ifPresent(each -> each.disconnect(peer));
        if (session == null) {
            peerIs(ReplicationState.OFF);
        }
    }

    @Override
    public void received(PeerSession peer, Frame.OfResource frame) {
        if (frame instanceof Frame.ResizeReply reply) {
            // A peer gone bad enlarges nothing that nobody has ordered.
            long most = ordered().sizeBytes();
            if (session == peer && reply.sizeBytes() <= most) {
                shared.pool().execute(() -> copyIsResized(peer, reply));
            }
            return;
        }
        if (frame instanceof Frame.Wrote wrote) {
            if (session == peer) {
                standoff.received(wrote);
            }
        } else if (frame instanceof Frame.ResourceHello hello && session == peer) {
            greeted(peer, hello);
        } else {
            resource().ifPresent(each -> each.received(peer, frame));
        }
    }

    private void greeted(PeerSession peer, Frame.ResourceHello hello) {
        boolean wasPrimary = peerHello != null && Verdict.isPrimary(peerHello);
        if (hello.sizeBytes() < dir.superblock().sizeBytes()
                && wanted == null
                && !Verdict.isPrimary(hello)) {
            // The copy was set back to a time when it was smaller.
            peer.send(new Frame.Resize(id(), space()));
        }
        if (Verdict.isPrimary(hello) && !isAttached() && !wasPrimary) {
            ask(peer); // So it knows what there is here; once, for its answer comes here.
        }
        if (isAtRest(hello)) {
            if (isStreaming()) {
                begin(peer); // Its copy was promoted: there is nothing to stream to.
            }
            peerHello = hello;
            if (isAttached()) {
                peer.send(hello()); // It only asks (R30), or says that it is detached.
            }
            return;
        }
        if (resource().filter(PrimaryResource::isApart).isPresent()) {
            connect(peer); // What we had refused, or was refused to us, may be over.
            peerHello = hello;
            return;
        }
        if (Verdict.isPrimary(hello) && isStreaming()) {
            begin(peer); // Its copy was promoted: there is nothing to stream to.
        }
        peerHello = hello;
        resource().ifPresent(each -> each.received(peer, hello));
    }

    @Override
    public Verdict parted() {
        Frame.ResourceHello theirs = peerHello;
        if (theirs == null || isStreaming()) {
            return null;
        }
        Verdict judged = resource().map(each -> each.look(Primary::parted)).orElse(null);
        Verdict verdict = judged == null ? Verdict.of(hello(), theirs) : judged;
        return verdict.joins(true) ? null : verdict;
    }

    @Override
    public Standoff standoff() {
        return standoff;
    }

    @Override
    public void tellApart(long nowNanos) {
        standoff.tick(session, peerHello, nowNanos, shared.pool(), this::saidApart);
    }

    private Optional<Histories.Said> saidApart() {
        Verdict verdict = parted();
        return verdict == null || !verdict.isSplit()
                ? Optional.empty()
                : Optional.of(new Histories.Said(hello(), wrote()));
    }

    /// What was written here that the peer may lack.
    private Frame.Wrote wrote() {
        return resource()
                .map(each -> each.look(Primary::wrote))
                .orElseGet(dir::wrote)
                .parted(dir.partedMillis(dir.superblock().ancestry()));
    }

    private static boolean isAtRest(Frame.ResourceHello hello) {
        return Verdict.isPrimary(hello) && hello.diskState() == DiskState.DISKLESS.ordinal();
    }

    /// Or does something else that only a copy can be at the other end of.
    private boolean isStreaming() {
        return resource()
                .map(each -> each.look(Primary::state))
                .filter(each -> each != ReplicationState.HANDSHAKE && each != ReplicationState.OFF)
                .isPresent();
    }

    // ---- a larger device ----------------------------------------------------------------------

    /// What became of an order to take the size of the device.
    enum Resize {
        /// It has that size already.
        SAME,
        /// It is stored, and carried out when the peer is there.
        RECORDED,
        DONE
    }

    /// Takes the size that the device has now: first the copy makes room for it, then this side
    /// uses it. Stored until it is done, so that a crash, a peer that is away or a refusal of it
    /// only delay it.
    ///
    /// @throws IOException if the device is smaller, or the copy cannot grow; the resource is as it
    ///   was
    Resize resize() throws IOException {
        CompletableFuture<String> outcome = new CompletableFuture<>();
        PeerSession peer;
        AddressSpace order;
        synchronized (this) {
            requireFinal();
            List<Long> found = bytesNow();
            if (found.equals(space().volumeSizes())) {
                return Resize.SAME;
            }
            for (int i = 0; i < found.size(); i++) {
                requireLarger(i, found.get(i), space().volumeBytes(i));
            }
            order = grown(found);
            AtomicFile.write(dir.resizeMark(), order.text().getBytes(StandardCharsets.UTF_8));
            wanted = order;
            resizeTrouble = "";
            resized = outcome;
            peer = session;
        }
        if (peer == null) {
            return Resize.RECORDED;
        }
        peer.send(new Frame.Resize(id(), order));
        try {
            String refusal = outcome.get(RESIZE_LIMIT.toSeconds(), TimeUnit.SECONDS);
            if (!refusal.isEmpty()) {
                throw new IOException(refusal);
            }
            return Resize.DONE;
        } catch (TimeoutException | ExecutionException e) {
            // It may have its size already, and only the kernel's device not yet.
            return wanted == null ? Resize.DONE : Resize.RECORDED;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Resize.RECORDED;
        }
    }

    /// A device of base and journal has the size of its moments.
    private void requireFinal() throws IOException {
        if (copy().isPresent()) {
            String kept = copy().get().keptWords();
            String commit = shared.command("promote " + name() + " --commit");
            throw new IOException(
                    "it grows when its promotion is final, and that "
                            + (kept.isEmpty()
                                    ? "it is not yet; next: " + commit
                                    : "it cannot be while something is kept: %s, then %s"
                                            .formatted(kept, commit)));
        }
    }

    private void requireLarger(int volume, long found, long now) throws IOException {
        String disk = dir.facts().disks().get(volume);
        if (found < now) {
            throw new IOException(
                    "%s has %d bytes, %s has %d, and nothing is ever cut off: give it its size back; for a smaller one add another resource"
                            .formatted(
                                    disk, found, VolumeExport.words(name(), volume, space()), now));
        }
        if (found % SECTOR_BYTES != 0) {
            throw new IOException(
                    "%s has %d bytes, should be a whole number of 512".formatted(disk, found));
        }
    }

    /// What it is, or is to become. A further order goes on from there, so that whichever of them
    /// the copy has carried out, the later ones are growths of it.
    private AddressSpace ordered() {
        AddressSpace order = wanted;
        return order != null && space().growsTo(order) ? order : space();
    }

    private AddressSpace grown(List<Long> volumeBytes) throws IOException {
        AddressSpace from = space().hasSeveral() ? ordered() : space();
        try {
            return from.grown(volumeBytes);
        } catch (IllegalArgumentException e) {
            throw new IOException(
                    "%s were ordered before, %s are there: %s"
                            .formatted(
                                    sizeWords(from),
                                    sizeWords(AddressSpace.ofVolumes(volumeBytes)),
                                    e.getMessage()),
                    e);
        }
    }

    /// Of what is underneath, which may be more than is used of it.
    private List<Long> bytesNow() throws IOException {
        Attached now = attached;
        return now != null ? now.disks().bytesNow() : Disks.bytesOf(dir.facts().paths());
    }

    /// What the devices have behind the end of what is used of them; empty for nothing.
    Optional<String> unusedWords() {
        Attached now = attached;
        if (now == null) {
            return Optional.empty();
        }
        List<String> words = new ArrayList<>();
        for (int i = 0; i < dir.facts().disks().size(); i++) {
            long found = now.disks().volumeBytes().get(i);
            long used = space().volumeBytes(i);
            if (found > used) {
                words.add(
                        "%s has %d bytes, %d of them are used"
                                .formatted(dir.facts().disks().get(i), found, used));
            }
        }
        return words.isEmpty()
                ? Optional.empty()
                : Optional.of(
                        "%s. Next: %s"
                                .formatted(
                                        String.join("; ", words),
                                        shared.command("resize " + name())));
    }

    /// How large it is to become, and what is in the way; empty when nothing was ordered.
    Optional<String> resizeWords() {
        AddressSpace order = wanted;
        return order == null
                ? Optional.empty()
                : Optional.of(
                        "it is to have %s%s"
                                .formatted(
                                        sizeWords(order),
                                        resizeTrouble.isEmpty()
                                                ? ", once %s is there".formatted(dir.facts().peer())
                                                : ": " + resizeTrouble));
    }

    /// Like `4096 bytes`, or `4096 + 512 bytes` of two volumes.
    static String sizeWords(AddressSpace of) {
        return of.volumeSizes().stream().map(String::valueOf).collect(Collectors.joining(" + "))
                + " bytes";
    }

    /// The copy has the size, or cannot have it; from the pool.
    private void copyIsResized(PeerSession peer, Frame.ResizeReply reply) {
        String refusal = reply.refusal();
        if (refusal.isEmpty()) {
            try {
                grow(reply.sizeBytes());
            } catch (IOException | RuntimeException e) {
                refusal = shared.node() + ": " + e.getMessage();
            }
            if (session == peer) {
                begin(peer);
            }
            growKernelDevices();
        }
        CompletableFuture<String> waiting;
        synchronized (this) {
            resizeTrouble = refusal;
            waiting = resized;
        }
        if (!refusal.isEmpty()) {
            shared.events().of(name()).accept("resize-failed", refusal);
        }
        if (waiting != null) {
            waiting.complete(refusal);
        }
    }

    /// The copy has this size durably: now this side takes it. The space for its metadata first,
    /// while everything goes on; then everything in flight ends, and what follows is as at a clean
    /// stop and a start, with the clients staying.
    private synchronized void grow(long sizeBytes) throws IOException {
        AddressSpace was = space();
        AddressSpace to = ordered().upTo(sizeBytes);
        if (sizeBytes > was.sizeBytes()) {
            requireBytes(to);
            dir.makeRoom(to);
            Attached now = attached;
            if (now == null) {
                dir.grow(to);
            } else {
                now.disks().grow(to);
                if (settings.protocol().waitsForPeer()) {
                    now.resource().hold();
                    awaitAcknowledgement();
                }
                attached = renew(now, to);
                exported = to;
                now.resource().pauseSync(pauseWords());
            }
            shared.events()
                    .of(name())
                    .accept(
                            "resized",
                            "it has %s, it had %s; NBD clients see it when they connect again"
                                    .formatted(sizeWords(to), sizeWords(was)));
        }
        if (wanted == null || sizeBytes >= wanted.sizeBytes()) {
            Files.deleteIfExists(dir.resizeMark());
            wanted = null;
        }
    }

    /// Tells the kernel's devices of its volumes the size that their exports have, where they show
    /// another one; the exports have theirs whatever comes of this.
    ///
    /// Under no lock: since Linux 6.9 the kernel waits for what is in flight at the device. Who
    /// comes while another one is at it leaves it to him, who then looks once more: so a smaller
    /// size of before is never told behind a larger one.
    ///
    /// @return whether one had another size
    boolean growKernelDevices() {
        if (kernelGrowths.getAndIncrement() > 0) {
            return false;
        }
        boolean differed = false;
        int seen;
        do {
            seen = kernelGrowths.get();
            AddressSpace now = exported;
            for (int i = 0; now != null && i < now.volumes(); i++) {
                differed |= growKernelDevice(i, now.volumeBytes(i));
            }
        } while (kernelGrowths.addAndGet(-seen) > 0);
        return differed;
    }

    private boolean growKernelDevice(int volume, long sizeBytes) {
        if (!Hangs.of(this).isEmpty()) {
            // The kernel would wait for the disk, and whoever gives it such an order for that.
            return false;
        }
        String device = "/dev/holdfast/" + KernelDevice.name(name(), volume);
        String words = "%s has %d bytes now".formatted(device, sizeBytes);
        try {
            if (!shared.kernel().resize(KernelDevice.name(name(), volume), sizeBytes)) {
                return false;
            }
        } catch (IOException | RuntimeException e) {
            words =
                    "%s keeps its old size until it is detached and attached: %s"
                            .formatted(device, e.getMessage());
        }
        shared.events().of(name()).accept("kernel-device-size", words);
        return true;
    }

    private void requireBytes(AddressSpace to) throws IOException {
        List<Long> found = bytesNow();
        for (int i = 0; i < found.size(); i++) {
            if (found.get(i) < to.volumeBytes(i)) {
                throw new IOException(
                        "%s has %d bytes, %d were ordered"
                                .formatted(
                                        dir.facts().disks().get(i),
                                        found.get(i),
                                        to.volumeBytes(i)));
            }
        }
    }

    private Attached renew(Attached now, AddressSpace to) throws IOException {
        MarkMemory.Share marks = MarkMemory.OF_PROCESS.share();
        try {
            now.resource().renew(() -> renewed(now, to, marks));
        } catch (IOException | RuntimeException e) {
            marks.close();
            throw e;
        }
        now.marks().close();
        return new Attached(now.disks(), marks, now.resource(), now.exports(), now.server());
    }

    /// Nothing is in flight, and what the peer may lack is durable.
    private PrimaryResource.Renewed renewed(Attached now, AddressSpace to, PageMemory marks)
            throws IOException {
        recordEvidence(now);
        dir.detached(
                now.resource().look(Primary::position),
                now.resource().look(Primary::peerCopy),
                false);
        forgetUnlessOrdered(now.resource());
        dir.grow(to);
        Kept kept = withComparison(dir.recover(marks).kept());
        markGrown(kept);
        return new PrimaryResource.Renewed(
                config(),
                dir.attach(
                        kept,
                        false,
                        shared.nodeId(),
                        RANDOM.nextLong() | 1,
                        System.currentTimeMillis()));
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

    /// Who could not read what a peer is to be filled with has paused that; when the copy that it
    /// reads is whole again it goes on. Often.
    void goOnIfWhole() {
        boolean isRotten = copy().map(each -> each.resource().snapshot().isRotten()).orElse(false);
        if (!isRotten) {
            resource().ifPresent(each -> each.pauseSync(pauseWords()));
        }
    }

    private String pauseWords() {
        return syncPaused
                ? "catch-up, first sync and comparison are paused by an operator of %s; next, there: %s"
                        .formatted(shared.node(), shared.command("resume-sync " + name()))
                : "";
    }

    // ---- verification -------------------------------------------------------------------------

    /// Begins one.
    ///
    /// @return false if one is under way already
    synchronized boolean verify() {
        Attached now = attached;
        if (verifying) {
            return false; // Or the report of the one before is not stored yet.
        }
        verifying = true; // It may be over when the next line is.
        boolean begun = now != null && now.resource().verify();
        if (!begun) {
            verifying = false;
        } else {
            shared.events()
                    .of(name())
                    .accept(
                            "verify-started",
                            "the copy at %s is compared while writes go on"
                                    .formatted(dir.facts().peer()));
        }
        return begun;
    }

    boolean isVerifying() {
        return verifying;
    }

    @Override
    public Optional<VerifyReport> lastVerify() {
        return verifications.last();
    }

    private void verified(Verification.Result result) {
        List<VerifyReport.Range> ranges = new ArrayList<>();
        long bytes = 0;
        for (BlockRun each : result.differing()) {
            int length = each.lengthBytes(result.sizeBytes());
            ranges.add(new VerifyReport.Range(each.offsetBytes(), length));
            bytes += length;
        }
        VerifyReport report =
                new VerifyReport(
                        name(),
                        shared.node(),
                        dir.facts().peer(),
                        Instant.ofEpochMilli(result.startedMillis()),
                        Instant.ofEpochMilli(result.endedMillis()),
                        result.isWhole(),
                        Optional.of(result.trouble()).filter(each -> !each.isEmpty()),
                        result.sizeBytes(),
                        result.comparedBytes(),
                        result.from().toString(),
                        result.to().toString(),
                        result.differingBlocks(),
                        bytes,
                        ranges.size(),
                        ranges,
                        Optional.empty(),
                        Optional.empty());
        try {
            verifications.save(report);
        } catch (IOException e) {
            shared.events().of(name()).accept("metadata-error", e.getMessage());
        }
        verifying = false;
        VerifyWords.tell(shared.events().of(name()), report);
    }

    /// Brings blocks here to what the copy holds, in the background.
    ///
    /// @param runs what differs; not looked at while [#isRepairLeft]
    /// @param turnedAway closed when it is over, whatever comes of it
    /// @return false if one is under way already, or it was detached meanwhile: then nothing is
    ///   begun, and nothing closed
    synchronized boolean repair(
            Repair repair, List<BlockRun> runs, Instant verified, TurnedAway turnedAway) {
        if (repairing != null || resource().filter(repair::isOf).isEmpty()) {
            return false;
        }
        repairing = repair;
        shared.events()
                .of(name())
                .accept(
                        "repair-started",
                        "blocks of %s are brought to what the copy at %s holds; the export takes no client until that is over"
                                .formatted(name(), dir.facts().peer()));
        try {
            shared.pool().execute(() -> carryOut(repair, runs, verified, turnedAway));
        } catch (RuntimeException e) {
            repairing = null; // The daemon stops.
            throw e;
        }
        return true;
    }

    /// It takes no monitor: a detach waits for its end.
    private void carryOut(
            Repair repair, List<BlockRun> runs, Instant verified, TurnedAway turnedAway) {
        VerifyReport.Repair how = cutShort("an internal error");
        try {
            Repair.Outcome outcome = repair.run(runs, verified);
            how =
                    new VerifyReport.Repair(
                            Instant.now(),
                            outcome.blocks(),
                            outcome.bytes(),
                            outcome.writtenSince(),
                            outcome.former().map(Path::toString),
                            Optional.empty());
        } catch (IOException | RuntimeException e) {
            how = cutShort(e.getMessage() == null ? e.toString() : e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            how = cutShort("the daemon stopped");
        } finally {
            repairLeft = Files.exists(dir.repairFile());
            note(how, verified);
            turnedAway.close();
            repairing = null;
            tell(how);
        }
    }

    /// In the report of the verification that has found the blocks: another one knows of others.
    private void note(VerifyReport.Repair how, Instant verified) {
        try {
            Optional<VerifyReport> last = verifications.last();
            if (last.isPresent() && last.get().ended().equals(verified)) {
                verifications.save(last.get().repaired(how));
            }
        } catch (IOException e) {
            shared.events().of(name()).accept("metadata-error", e.getMessage());
        }
    }

    private VerifyReport.Repair cutShort(String why) {
        return new VerifyReport.Repair(
                Instant.now(),
                0,
                0,
                0,
                Optional.of(dir.repairFile()).filter(Files::exists).map(Path::toString),
                Optional.of(why));
    }

    private void tell(VerifyReport.Repair how) {
        String words =
                how.trouble()
                        .map(
                                why ->
                                        "%s. Next: %s"
                                                .formatted(
                                                        why,
                                                        shared.command(
                                                                "verify %s --repair %s"
                                                                        .formatted(
                                                                                name(),
                                                                                dir.facts()
                                                                                        .peer()))))
                        .orElseGet(
                                () ->
                                        "%d blocks are what the copy held%s"
                                                .formatted(
                                                        how.blocks(),
                                                        how.former()
                                                                .map(
                                                                        "; what they held before is in %s"
                                                                                ::formatted)
                                                                .orElse("")));
        shared.events()
                .of(name())
                .accept(how.trouble().isEmpty() ? "repaired" : "repair-cut-short", words);
    }

    /// The one that is under way.
    Optional<Repair> repairing() {
        return Optional.ofNullable(repairing);
    }

    /// Whether one was cut short in the middle, and is to be gone on with.
    boolean isRepairLeft() {
        return repairLeft;
    }

    /// What an operator should know of repairs; empty when there is nothing.
    String repairWords() {
        if (repairing != null) {
            return "blocks of %s are brought to what the copy at %s holds; until that is over its export takes no client"
                    .formatted(name(), dir.facts().peer());
        }
        return repairLeft
                ? "a repair of %s was cut short: some of its blocks may not be what the copy held. Next: end what uses it, then %s"
                        .formatted(
                                name(),
                                shared.command(
                                        "verify %s --repair %s"
                                                .formatted(name(), dir.facts().peer())))
                : "";
    }

    /// The device is about to be closed.
    private void endRepair() {
        Repair now = repairing;
        if (now == null) {
            return;
        }
        now.end();
        long deadline = System.nanoTime() + CLIENTS_LIMIT.toNanos();
        while (repairing != null && System.nanoTime() < deadline) {
            LockSupport.parkNanos(5_000_000);
        }
    }

    /// Has these blocks of the copy brought to what is here. They are marked durably when it
    /// returns.
    ///
    /// @param report says so from then on
    void mend(List<BlockRun> blocks, VerifyReport report) throws IOException {
        PrimaryResource at =
                resource().orElseThrow(() -> new IOException(name() + " is not attached"));
        at.mend(blocks);
        long deadline = System.nanoTime() + MARK_LIMIT.toNanos();
        while (!at.look(Primary::isMarkedDurably)) {
            if (at.look(Primary::isFailed)) {
                throw new IOException("the disk has failed");
            }
            if (System.nanoTime() > deadline) {
                throw new IOException("the disk does not answer; they are marked once it does");
            }
            LockSupport.parkNanos(5_000_000);
        }
        verifications.save(report);
        shared.events()
                .of(name())
                .accept(
                        "verify-mended",
                        "%d blocks of the copy are brought to what %s holds, by one epoch"
                                .formatted(report.differingBlocks(), shared.node()));
    }

    /// Has everything compared with the copy, now or as soon as that can be. What differs goes to
    /// the copy as one epoch; until then it can be opened as it was.
    synchronized void compareAll(String why) throws IOException {
        AtomicFile.write(dir.compareMark(), ResourceDir.ORDERED);
        comparing = true;
        if (resource().filter(each -> each.look(Primary::isFailed)).isPresent()) {
            // A disk that has failed compares nothing before the next attach, which reads the mark;
            // until then it sends what is still buffered, in this session and the next (R11).
            return;
        }
        resource().ifPresent(each -> each.compareAll(why));
        PeerSession peer = session;
        if (peer != null) {
            connect(peer);
        }
    }

    /// And that is durable: the mark of a growth stands for bits that are in no page.
    private static boolean lacksNothing(Primary at) {
        Primary.Figures figures = at.figures();
        return at.state() == ReplicationState.ESTABLISHED
                && at.isAllDurable()
                && figures.dirtyBlocks() + figures.suspectBlocks() + figures.frozenBlocks() == 0;
    }

    /// What is left of it is in the bitmap; that it was ordered is only in its mark, with which all
    /// is compared from the beginning. The mark of a growth stays: what came with it is in no page
    /// of the bitmap.
    private void forgetUnlessOrdered(PrimaryResource of) throws DeviceException {
        if (!of.look(Primary::isComparisonOrdered)) {
            forgetComparison();
        }
    }

    private void forgetComparison() throws DeviceException {
        try {
            Files.deleteIfExists(dir.compareMark());
            comparing = false;
        } catch (IOException e) {
            throw new DeviceException(0, dir.compareMark() + " cannot be deleted", e);
        }
    }

    /// As [#endComparison], on a thread of the pool: an attach or a detach that waits for a disk is
    /// waited for there, and nobody else does.
    void endComparisonSoon() {
        if (endingComparison.compareAndSet(false, true)) {
            shared.pool()
                    .execute(
                            () -> {
                                try {
                                    endComparison();
                                } finally {
                                    endingComparison.set(false);
                                }
                            });
        }
    }

    private record Compared(boolean lacksNothing, boolean trustsDisk) {
        static final Compared NOTHING = new Compared(false, false);
    }

    /// An ordered comparison is remembered until it is over, and a doubt of the disk until
    /// everything was compared or sent in one attach, for whatever reason.
    private synchronized void endComparison() {
        boolean isDoubted = dir.isDiskDoubted();
        if (!comparing && !isDoubted && writtenPast.isEmpty() && !Files.exists(dir.grownMark())) {
            return;
        }
        // At one moment: a greeting may mark everything, and trust the disk for what is to come.
        Compared now =
                resource()
                        .map(at -> at.look(p -> new Compared(lacksNothing(p), p.trustsDisk())))
                        .orElse(Compared.NOTHING);
        if (now.lacksNothing()) {
            try {
                if (isDoubted && now.trustsDisk()) {
                    dir.trustDisk();
                    if (resource().filter(at -> at.look(Primary::isFailed)).isPresent()) {
                        dir.doubtDisk(); // Just now: who notes it may have been too early.
                    }
                }
                forgetComparison();
                Files.deleteIfExists(dir.grownMark());
                Files.deleteIfExists(dir.writtenPastFile());
                writtenPast = "";
            } catch (IOException e) {
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
        if (copy != null) {
            copy.close();
        }
        dir.close();
    }
}
