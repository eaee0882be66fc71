package holdfast.replicator.daemon;

import holdfast.replicator.config.NodeSettings;
import holdfast.replicator.config.Size;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Verification;
import holdfast.replicator.status.ProgressMeter;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.Words;
import holdfast.throttle.NanoClock;
import holdfast.throttle.Rate;
import holdfast.throttle.RateCalendar;
import holdfast.throttle.Rates;
import holdfast.tunnel.link.LinkSession;
import holdfast.tunnel.link.LinkStats;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// Puts together what the daemon knows into a [StatusReport].
final class Reporter {
    private static final int BLOCK_BYTES = 4096;

    private final Shared shared;
    private final Link link;
    private final Supplier<Optional<String>> tcpTrouble;
    private final Supplier<Optional<Duration>> bootGate;
    private final NanoClock clock;
    private final Function<String, Optional<StatusReport.Drill>> drills;
    private final Map<String, Meter> meters = new ConcurrentHashMap<>();
    private final Map<String, Traffic> ended = new ConcurrentHashMap<>();

    /// The bulk work that a meter measures.
    private record Meter(String kind, ProgressMeter meter) {}

    /// Traffic of one stream when it was looked at last, to be added up over sessions.
    private record Traffic(
            long session,
            int stream,
            StatusReport.Traffic before,
            LinkStats.Traffic sent,
            LinkStats.Traffic received) {
        StatusReport.Traffic total() {
            return StatusReport.Traffic.of(
                    before.sentWireBytes() + sent.wireBytes(),
                    before.sentRawBytes() + sent.rawBytes(),
                    before.receivedWireBytes() + received.wireBytes(),
                    before.receivedRawBytes() + received.rawBytes());
        }
    }

    /// @param tcpTrouble why the exports are not on their TCP address
    /// @param bootGate how long an export waits for the peer
    /// @param drills the last one of a resource
    Reporter(
            Shared shared,
            Link link,
            Supplier<Optional<String>> tcpTrouble,
            Supplier<Optional<Duration>> bootGate,
            NanoClock clock,
            Function<String, Optional<StatusReport.Drill>> drills) {
        this.shared = shared;
        this.link = link;
        this.tcpTrouble = tcpTrouble;
        this.bootGate = bootGate;
        this.clock = clock;
        this.drills = drills;
    }

    StatusReport.Rate rate(NodeSettings settings, Instant now) {
        RateCalendar calendar = settings.calendar();
        Rates rates = calendar.at(now);
        Optional<Instant> change = calendar.nextChange(now);
        Optional<Rates> next = change.map(calendar::at);
        return new StatusReport.Rate(
                bytes(rates.link()),
                bytes(rates.catchUp()),
                change,
                next.flatMap(each -> bytes(each.link())),
                next.flatMap(each -> bytes(each.catchUp())));
    }

    private static Optional<Long> bytes(Rate rate) {
        return rate.isUnlimited() ? Optional.empty() : Optional.of(rate.bytesPerSecond());
    }

    StatusReport.Resource resource(LocalResource resource, boolean standalone) {
        String peer = resource.dir().facts().peer();
        Optional<LinkSession> session = standalone ? Optional.empty() : link.linkSession(peer);
        String connection =
                standalone ? "STANDALONE" : session.isPresent() ? "CONNECTED" : "CONNECTING";
        StatusReport.Traffic traffic = traffic(resource, session);
        return switch (resource) {
            case LocalPrimary primary -> primary(primary, connection, traffic);
            case LocalBackup backup -> backup(backup, connection, traffic);
        };
    }

    // ---- primary -----------------------------------------------------------------------------

    private StatusReport.Resource primary(
            LocalPrimary resource, String connection, StatusReport.Traffic traffic) {
        Optional<PrimaryResource> attached = resource.resource();
        Frame.ResourceHello peer = resource.peerHello();
        Optional<Seen> seen = attached.map(each -> each.look(Seen::of));
        Position position = seen.map(Seen::position).orElse(resource.dir().superblock().position());
        Position committed =
                seen.map(Seen::committed).orElse(resource.dir().superblock().acknowledged());
        boolean hasCopy = !committed.isNone();
        Instant now = Instant.now();
        Optional<Instant> until =
                hasCopy ? Optional.of(copyTime(resource, seen, committed, now)) : Optional.empty();
        ReplicationState state = seen.map(Seen::state).orElse(ReplicationState.OFF);
        return new StatusReport.Resource(
                resource.name(),
                resource.id().toString(),
                Role.PRIMARY.name(),
                Optional.of(resource.dir().facts().peer()),
                Optional.ofNullable(peer).map(Reporter::peerRole),
                connection,
                seen.map(
                                each ->
                                        each.failed() || hasFailedCopy(resource)
                                                ? DiskState.FAILED
                                                : DiskState.UP_TO_DATE)
                        .orElse(
                                resource.attachingFor().isPresent()
                                        ? DiskState.ATTACHING
                                        : DiskState.DISKLESS)
                        .name(),
                Optional.ofNullable(peer).map(each -> peerDisk(each, state)),
                state.name(),
                Optional.of(resource.settings().protocol().name()),
                resource.dir().facts().disks().getFirst(),
                resource.dir().superblock().space().dataBytes(),
                volumes(
                        resource.dir(),
                        resource.exports(),
                        resource.socket(),
                        _ -> Optional.empty()),
                attached.map(each -> export(resource, each)),
                position.toString(),
                seen.map(Seen::stored).orElse(committed).toString(),
                committed.toString(),
                Optional.of(
                        seen.map(each -> behind(each))
                                .orElseGet(() -> behindUnseen(resource.dir()))),
                until,
                until,
                repairing(resource).or(() -> seen.flatMap(each -> progress(resource.name(), each))),
                traffic,
                seen.map(
                        each ->
                                new StatusReport.SendBuffer(
                                        each.figures().bufferBytes(),
                                        shared.budget().limitBytes(),
                                        each.figures().closed(),
                                        Optional.empty())),
                resource.copy().map(Reporter::journal),
                resource.copy().map(this::views).orElse(List.of()),
                drills.apply(resource.name()),
                resource.lastVerify().map(VerifyReport::status),
                resource.isSyncPaused(),
                !hasCopy && resource.isPromoted(),
                resource.copy().flatMap(each -> promotion(resource, each)),
                Histories.told(shared, resource),
                trouble(seen, attached.isPresent(), resource));
    }

    /// The moment up to which the copy has everything. Where nobody knows how old the oldest
    /// missing write is, the attach that began the copy's generation: never younger than the truth.
    private static Instant copyTime(
            LocalPrimary resource, Optional<Seen> seen, Position committed, Instant now) {
        long missingFor = seen.map(Seen::missingForMillis).orElse(Long.MAX_VALUE);
        if (missingFor < Long.MAX_VALUE) {
            return now.minusMillis(missingFor);
        }
        long setBack = seen.map(Seen::setBackMillis).orElse(0L);
        long begun =
                begunMillis(
                        resource.dir().superblock().ancestry(),
                        committed.generation(),
                        now.toEpochMilli() + setBack);
        return Instant.ofEpochMilli(Math.max(0, begun - setBack));
    }

    /// When that generation began, 0 where nobody knows: it is none of ours, or the clock was set
    /// back since, as far as can be seen.
    ///
    /// @param nowMillis by the clock as it was at the attach
    static long begunMillis(Ancestry ancestry, long generation, long nowMillis) {
        int from = ancestry.indexOf(generation);
        if (from < 0) {
            return 0;
        }
        List<Ancestry.Entry> since = ancestry.entries().subList(from, ancestry.entries().size());
        long last = since.getFirst().wallMillis();
        for (Ancestry.Entry each : since) {
            if (each.wallMillis() < last) {
                return 0;
            }
            last = each.wallMillis();
        }
        return nowMillis < last ? 0 : since.getFirst().wallMillis();
    }

    /// What is read of the deciding object in one moment.
    private record Seen(
            Position position,
            Position stored,
            Position committed,
            ReplicationState state,
            boolean failed,
            String refusal,
            String peerTrouble,
            Primary.Figures figures,
            Verification.Progress verifying,
            long missingForMillis,
            long setBackMillis,
            long waitsSinceNanos) {
        static Seen of(Primary primary) {
            return new Seen(
                    primary.position(),
                    primary.stored(),
                    primary.committed(),
                    primary.state(),
                    primary.isFailed(),
                    primary.refusal(),
                    primary.peerTrouble(),
                    primary.figures(),
                    primary.verifying(),
                    primary.missingForMillis(System.nanoTime()),
                    primary.setBackMillis(),
                    primary.waitsForPeerSinceNanos());
        }
    }

    static String peerRole(Frame.ResourceHello peer) {
        return (peer.role() == Role.PRIMARY.ordinal() + 1 ? Role.PRIMARY : Role.SECONDARY).name();
    }

    static String peerDisk(Frame.ResourceHello peer, ReplicationState state) {
        return switch (state) {
            case ESTABLISHED -> DiskState.UP_TO_DATE.name();
            case FIRST_SYNC -> DiskState.INCONSISTENT.name();
            case AHEAD, SYNC_SOURCE, PAUSED, COMPARE ->
                    peer.everCommitted() && peer.diskState() != DiskState.INCONSISTENT.ordinal()
                            ? DiskState.OUTDATED.name()
                            : DiskState.INCONSISTENT.name();
            case OFF, HANDSHAKE -> DiskState.of(peer.diskState()).name();
        };
    }

    private static StatusReport.Export export(LocalPrimary resource, PrimaryResource attached) {
        return new StatusReport.Export(
                uri(resource.name(), resource.socket().toString()),
                resource.socket().toString(),
                Optional.empty(),
                attached.clients());
    }

    static String uri(String export, String socket) {
        return "nbd+unix:///" + export + "?socket=" + socket;
    }

    private static StatusReport.Behind behind(Seen seen) {
        long operations =
                seen.committed().generation() == seen.position().generation()
                        ? seen.position().number() - seen.committed().number()
                        : seen.position().number();
        return new StatusReport.Behind(operations, seen.figures().behindBytes());
    }

    /// What the peer may lack of a resource that is not attached, after a crash more than it does.
    private static StatusReport.Behind behindUnseen(ResourceDir dir) {
        return new StatusReport.Behind(0, dir.missingBytes());
    }

    private Optional<StatusReport.Progress> progress(String name, Seen seen) {
        String kind =
                switch (seen.state()) {
                    case FIRST_SYNC -> "FIRST_SYNC";
                    case SYNC_SOURCE, PAUSED -> "CATCH_UP";
                    case COMPARE -> "COMPARE";
                    case OFF, HANDSHAKE, ESTABLISHED, AHEAD -> "";
                };
        if (kind.isEmpty() && seen.verifying() != null) {
            return Optional.of(
                    progress(
                            name,
                            "VERIFY",
                            seen.verifying().comparedBytes(),
                            seen.verifying().sizeBytes()));
        }
        long total = seen.figures().bulkTotalBlocks() * BLOCK_BYTES;
        // The epoch that makes the first point after a sync of nothing but holes carries no block.
        if (kind.isEmpty() || total == 0) {
            meters.remove(name);
            return Optional.empty();
        }
        long done = Math.max(0, total - seen.figures().bulkLeftBlocks() * BLOCK_BYTES);
        return Optional.of(progress(name, kind, done, total));
    }

    private StatusReport.Progress progress(String name, String kind, long done, long total) {
        Meter meter =
                meters.compute(
                        name,
                        (_, old) ->
                                old != null && old.kind().equals(kind)
                                        ? old
                                        : new Meter(
                                                kind, new ProgressMeter(clock, kind, done, total)));
        meter.meter().report(done, total);
        return meter.meter().progress();
    }

    /// How far a verification or a repair is; empty while something else is reported.
    Optional<StatusReport.Progress> verifying(LocalPrimary resource) {
        return repairing(resource)
                .or(
                        () ->
                                resource.resource()
                                        .flatMap(
                                                each ->
                                                        progress(
                                                                resource.name(),
                                                                each.look(Seen::of)))
                                        .filter(each -> each.kind().equals("VERIFY")));
    }

    private Optional<StatusReport.Progress> repairing(LocalPrimary resource) {
        return resource.repairing()
                .map(
                        each ->
                                progress(
                                        resource.name(),
                                        "REPAIR",
                                        each.doneBytes(),
                                        each.totalBytes()));
    }

    private Optional<String> trouble(Optional<Seen> seen, boolean attached, LocalPrimary resource) {
        Optional<String> now =
                attached
                        ? troubleNow(seen.orElseThrow(), resource)
                        : Optional.of(
                                notAttached(resource)
                                        + hangs(resource).map(each -> ". " + each).orElse(""));
        String choice = resource.lostChoice();
        // An attach that was refused for it has said so.
        boolean isSaid = now.filter(words -> words.contains(choice)).isPresent();
        String lost = isSaid ? "" : choice;
        String past =
                Stream.of(resource.writtenPast(), lost, resource.repairWords())
                        .filter(each -> !each.isEmpty())
                        .collect(Collectors.joining(". "));
        return past.isEmpty()
                ? now
                : Optional.of(past + now.map(each -> ". Besides, " + each).orElse(""));
    }

    private String notAttached(LocalPrimary resource) {
        Optional<BootGate.Outcome> gate = resource.gate(bootGate.get());
        if (gate.isPresent()) {
            return gated(resource, gate.get());
        }
        Optional<Duration> attaching = resource.attachingFor();
        if (attaching.isPresent()) {
            return "%s is being attached, for %d s now: %s is read first. If it does not answer, see why it hangs (dmesg, and what it is on); it is attached when it answers, or that order is refused"
                    .formatted(
                            resource.name(),
                            attaching.get().toSeconds(),
                            resource.dir().facts().words());
        }
        String cause = resource.attachTrouble().map(why -> ": " + why).orElse("");
        return "%s is not attached%s. Next: %s"
                .formatted(resource.name(), cause, shared.command("attach " + resource.name()));
    }

    private Optional<String> troubleNow(Seen now, LocalPrimary resource) {
        if (hasFailedCopy(resource)) {
            // Its peer has the history of before the promotion: it is no way out.
            return Optional.of(
                    "the journal or the base of the promoted copy has failed: writes have stopped. What was flushed is in what is left; what was answered since the last sync, a second or 16 MiB of it, may be lost, and no flush after the attach says so: end what uses the device first. Next, once its disk is mended: %s, then %s, then %s"
                            .formatted(
                                    shared.command("detach " + resource.name()),
                                    shared.command("connect " + resource.name()),
                                    shared.command("attach " + resource.name())));
        }
        if (now.failed()) {
            return Optional.of(
                    "the disk has failed: writes have stopped, and what its last sync did not save may be gone from it; the copy at %s can go on with what it has: %s, then there holdfast promote %s. Or, once the disk is mended: %s, then %s, which brings the copy to what the disk holds now"
                            .formatted(
                                    resource.dir().facts().peer(),
                                    shared.command("detach " + resource.name()),
                                    resource.name(),
                                    shared.command("detach " + resource.name()),
                                    shared.command("attach " + resource.name())));
        }
        Optional<String> hangs = hangs(resource);
        if (hangs.isPresent()) {
            return hangs.map(
                    words ->
                            "%s; %s cuts the clients off and ends within a minute"
                                    .formatted(words, shared.command("detach " + resource.name())));
        }
        Optional<String> rot =
                resource.copy()
                        .map(each -> each.resource().snapshot().rot())
                        .filter(each -> !each.isEmpty());
        if (rot.isPresent()) {
            return Optional.of(
                    "%s: reading them is an I/O error until they are written anew, and until then the journal is not rolled forward. Next: bring back the files concerned, or go on from a moment in front of that place: %s, then %s"
                            .formatted(
                                    rot.get(),
                                    shared.command("points " + resource.name()),
                                    shared.command(
                                            "promote %s --at TIME".formatted(resource.name()))));
        }
        Optional<String> ended = resource.copy().flatMap(LocalBackup::endedWords);
        if (ended.isPresent()) {
            return ended;
        }
        Optional<String> noSpace =
                resource.copy()
                        .map(each -> each.resource().snapshot().noSpace())
                        .filter(each -> !each.isEmpty());
        if (noSpace.isPresent()) {
            return noSpace;
        }
        if (!now.refusal().isEmpty()) {
            return Optional.of(now.refusal() + toChoose(resource));
        }
        Optional<String> waits = waits(resource, now);
        if (waits.isPresent()) {
            return waits;
        }
        if (!now.peerTrouble().isEmpty()) {
            return Optional.of(
                    "at %s: %s".formatted(resource.dir().facts().peer(), now.peerTrouble()));
        }
        Optional<String> errors = errors(resource);
        if (errors.isPresent()) {
            return errors;
        }
        if (resource.isSyncPaused()) {
            return Optional.of(
                    "catch-up, first sync and comparison are paused by the operator%s. Next: %s"
                            .formatted(
                                    now.state() == ReplicationState.ESTABLISHED
                                            ? "; none is needed now"
                                            : "",
                                    shared.command("resume-sync " + resource.name())));
        }
        if (now.figures().missingBytes() > 0) {
            String peer = resource.dir().facts().peer();
            return Optional.of(
                    "the journal of the copy at %s lacks %s for the catch-up: writes go on, the copy gets older, and can be opened. What can be rolled into its base makes room by itself; if it stays so, next, at %s: raise journal.size in conf.d/%s.toml by %s or more (status there says to how much), then holdfast adjust"
                            .formatted(
                                    peer,
                                    Words.bytes(now.figures().missingBytes()),
                                    peer,
                                    resource.name(),
                                    new Size(enough(now.figures().missingBytes()))));
        }
        Optional<String> inTheWay = resource.copy().flatMap(LocalBackup::inTheWayWords);
        if (inTheWay.isPresent()) {
            return inTheWay;
        }
        Optional<String> resize = resource.resizeWords();
        return resize.isPresent() ? resize : tcpTrouble.get();
    }

    /// Requests of clients that fail while the disk goes on.
    private static Optional<String> errors(LocalPrimary resource) {
        ResourceDir.Facts facts = resource.dir().facts();
        return resource.resource()
                .flatMap(each -> each.errors().trouble(facts.words(), facts.peer()));
    }

    /// Which of its disks do not answer, and what waits for them.
    private static Optional<String> hangs(LocalResource resource) {
        List<Hangs.Hang> hangs = Hangs.of(resource);
        return hangs.isEmpty()
                ? Optional.empty()
                : Optional.of(
                        hangs.stream().map(Hangs.Hang::words).collect(Collectors.joining("; "))
                                + ". Next: see why the disk hangs (dmesg, and what it is on); all goes on when it answers");
    }

    /// By how much a journal is to grow that lacks so many bytes: it grows by whole segments, of
    /// which 64 MiB hold a whole number, and more is written meanwhile.
    static long enough(long missingBytes) {
        long segment = 64L << 20;
        long missing = Math.min(missingBytes, 1L << 60); // A peer may say anything.
        return Math.ceilDiv(missing + missing / 4, segment) * segment;
    }

    /// What clients wait for that only the peer can give, when that takes long.
    private static Optional<String> waits(LocalPrimary resource, Seen now) {
        long since = now.waitsSinceNanos();
        long nanos = since == Long.MAX_VALUE ? 0 : System.nanoTime() - since;
        if (nanos < Hangs.LONG.toNanos()) {
            return Optional.empty();
        }
        String peer = resource.dir().facts().peer();
        String why =
                resource.settings().protocol().waitsForPeer()
                        ? "under protocol %s it is answered only then"
                                .formatted(resource.settings().protocol())
                        : "the send buffer is full, and on-congestion is block";
        String there =
                now.peerTrouble().isEmpty() ? "" : ". At %s: %s".formatted(peer, now.peerTrouble());
        return Optional.of(
                "a write has waited for %d s until %s acknowledges it: %s%s. Next, at %s: holdfast status %s"
                        .formatted(
                                Duration.ofNanos(nanos).toSeconds(),
                                peer,
                                why,
                                there,
                                peer,
                                resource.name()));
    }

    private static boolean hasFailedCopy(LocalPrimary resource) {
        return resource.copy().filter(each -> each.resource().snapshot().isFailed()).isPresent();
    }

    private String gated(LocalPrimary resource, BootGate.Outcome gate) {
        String name = resource.name();
        String peer = resource.dir().facts().peer();
        if (gate instanceof BootGate.Outcome.Closed(String why)) {
            return "%s is not exported: %s. Next: %s"
                    .formatted(name, why, shared.command("reconnect " + name));
        }
        String left =
                gate instanceof BootGate.Outcome.Wait(Optional<Duration> time)
                        ? time.map(each -> ", for %d s more".formatted(each.toSeconds() + 1))
                                .orElse(", for ever")
                        : "";
        return "%s is not exported yet: this host was restarted, and %s is asked first whether it was promoted%s. If it was not, next: %s"
                .formatted(name, peer, left, shared.command("attach " + name));
    }

    // ---- two histories -----------------------------------------------------------------------

    private String toChoose(LocalResource of) {
        return of.standoff().mine() == null
                ? ""
                : ". Next: " + shared.command("reconnect " + of.name());
    }

    /// Keeps the rates of bulk work measured also while nobody asks.
    void sample(Iterable<LocalResource> resources) {
        for (LocalResource each : resources) {
            if (each instanceof LocalPrimary primary) {
                primary.resource()
                        .ifPresent(attached -> progress(primary.name(), attached.look(Seen::of)));
            }
        }
    }

    // ---- backup ------------------------------------------------------------------------------

    private StatusReport.Resource backup(
            LocalBackup resource, String connection, StatusReport.Traffic traffic) {
        BackupResource.Snapshot now = resource.resource().snapshot();
        Frame.ResourceHello peer = resource.peerHello();
        // Of a copy that is the image of no moment the position only says whose past it comes from.
        Position yields = now.hasPoint() ? now.committed() : Position.NONE;
        Optional<Instant> copyTime =
                now.hasPoint() ? moment(now.completeMillis()) : Optional.empty();
        Optional<Instant> until = copyTime.flatMap(_ -> completeUntil(now));
        return new StatusReport.Resource(
                resource.name(),
                resource.id().toString(),
                Role.SECONDARY.name(),
                Optional.of(resource.dir().facts().peer()),
                Optional.ofNullable(peer).map(Reporter::peerRole),
                connection,
                now.disk().name(),
                Optional.ofNullable(peer).map(each -> DiskState.of(each.diskState()).name()),
                now.replication(),
                Optional.empty(),
                resource.dir().facts().disks().getFirst(),
                resource.dir().superblock().space().dataBytes(),
                volumes(resource.dir(), List.of(), null, _ -> Optional.empty()),
                Optional.empty(),
                now.committed().toString(),
                yields.toString(),
                yields.toString(),
                Optional.empty(),
                copyTime,
                until,
                Optional.empty(),
                traffic,
                Optional.empty(),
                Optional.of(journal(resource)),
                views(resource),
                drills.apply(resource.name()),
                resource.lastVerify().map(VerifyReport::status),
                false,
                false,
                Optional.empty(),
                Histories.told(shared, resource),
                trouble(resource, now));
    }

    /// As long ago as the copy is old.
    private static Optional<Instant> completeUntil(BackupResource.Snapshot now) {
        long nowMillis = System.currentTimeMillis();
        return Optional.ofNullable(now.age())
                .map(
                        each ->
                                Instant.ofEpochMilli(
                                        nowMillis - each.at(System.nanoTime(), nowMillis)));
    }

    private static StatusReport.Journal journal(LocalBackup of) {
        BackupResource.Snapshot now = of.resource().snapshot();
        return new StatusReport.Journal(
                of.dir().facts().journal(),
                now.journalUsedBytes(),
                of.journalBytes(),
                moment(now.oldestMillis()),
                now.lacksBytes(),
                now.retention().millis() / 1000,
                now.neededBytes(),
                now.doubtMillis() / 1000);
    }

    /// Of a wall clock; 0 is not known, and less is none that a clock has shown.
    static Optional<Instant> moment(long millis) {
        return millis <= 0 ? Optional.empty() : Optional.of(Instant.ofEpochMilli(millis));
    }

    private static Optional<StatusReport.Promotion> promotion(LocalPrimary of, LocalBackup copy) {
        BackupResource.Snapshot now = copy.resource().snapshot();
        return of.dir().superblock().ancestry().entries().reversed().stream()
                .filter(each -> each.reason() == Ancestry.Reason.PROMOTE)
                .findFirst()
                .map(
                        each ->
                                new StatusReport.Promotion(
                                        Instant.ofEpochMilli(each.wallMillis()),
                                        each.parent().toString(),
                                        moment(now.oldestMillis()),
                                        now.hasPoint()
                                                ? moment(now.completeMillis())
                                                : Optional.empty(),
                                        now.kept()));
    }

    private List<StatusReport.View> views(LocalBackup of) {
        return of.views().stream().map(each -> view(of, each)).toList();
    }

    private Optional<String> trouble(LocalBackup of, BackupResource.Snapshot now) {
        String name = of.name();
        String peer = of.dir().facts().peer();
        if (now.disk() == DiskState.FAILED) {
            return Optional.of(
                    "the journal or the base has failed: nothing is taken in. Next, once its disk is mended: "
                            + shared.command("connect " + name));
        }
        Optional<String> hangs = hangs(of);
        if (hangs.isPresent()) {
            return hangs;
        }
        if (now.mixture()) {
            return Optional.of(
                    "the journal was damaged and the copy is no image of any moment until its primary"
                            + " has mended it");
        }
        if (!of.keepsOwn().isEmpty()) {
            return Optional.of(of.keepsOwn());
        }
        if (now.isRotten()) {
            String mends =
                    now.refusal().isEmpty()
                            ? "%s compares and mends it as soon as it is connected and can. If it does not come back"
                                    .formatted(peer)
                            : "%s cannot mend it, the copy does not follow it: %s. Until then"
                                    .formatted(peer, now.refusal());
            return Optional.of(
                    "%s. %s: a moment in front of that place is whole, %s; the newest can be opened and promoted too, and what cannot be read of it is an I/O error%s"
                            .formatted(
                                    now.rot(),
                                    mends,
                                    shared.command("points " + name),
                                    now.lacksBytes() > 0 ? ". And " + lacks(of, now) : ""));
        }
        Optional<String> ended = of.endedWords();
        if (ended.isPresent()) {
            return ended;
        }
        if (!now.noSpace().isEmpty()) {
            return Optional.of(now.noSpace());
        }
        if (!now.refusal().isEmpty()) {
            return Optional.of(now.refusal() + toChoose(of));
        }
        if (!now.peerTrouble().isEmpty()) {
            return Optional.of("at %s: %s".formatted(peer, now.peerTrouble()));
        }
        Optional<String> inTheWay = of.inTheWayWords();
        if (inTheWay.isPresent()) {
            return inTheWay;
        }
        if (now.lacksBytes() > 0) {
            return Optional.of(lacks(of, now));
        }
        if (now.heldUntil().isPresent()) {
            return Optional.of(held(of, now));
        }
        return tooSmall(journal(of), shared.settingsFile(name), shared.command("adjust"));
    }

    private String lacks(LocalBackup of, BackupResource.Snapshot now) {
        return "the journal lacks %s for what %s has to bring, which waits for it: the copy stays what it is. What can be rolled into the base makes room by itself; if it stays so, next: raise journal.size in %s by %s or more, to %s, then %s"
                .formatted(
                        Words.bytes(now.lacksBytes()),
                        of.dir().facts().peer(),
                        shared.settingsFile(of.name()),
                        new Size(enough(now.lacksBytes())),
                        new Size(of.journalBytes() + enough(now.lacksBytes())),
                        shared.command("adjust"));
    }

    private String held(LocalBackup of, BackupResource.Snapshot now) {
        return "the journal is full of moments younger than journal.retention-min (%s), which are kept whatever is written: nothing more is taken in until the oldest is that old, at %s. Nothing is lost: what %s writes is sent later, or marked, and the copy is brought on then; writers that wait for the copy (protocol B and C) wait. If that much was written by right, next: a shorter journal.retention-min in %s, then %s"
                .formatted(
                        Words.span(Duration.ofMillis(now.retention().minMillis())),
                        now.heldUntil().orElseThrow(),
                        of.dir().facts().peer(),
                        shared.settingsFile(of.name()),
                        shared.command("adjust"));
    }

    /// The oldest moments go sooner than the settings say, and nobody has been told otherwise.
    static Optional<String> tooSmall(StatusReport.Journal journal, Path settings, String adjust) {
        return journal.forecast()
                .filter(_ -> journal.isTooSmall())
                .map(
                        forecast ->
                                "the journal does not hold all of the retention: %s, and the oldest moments go. Next: set journal.retention in %s to what it can hold, or raise journal.size there, then %s"
                                        .formatted(forecast, settings, adjust));
    }

    /// Of a resource with several volumes, each of them; else none.
    ///
    /// @param exports of the volumes, in order; empty while there are none
    /// @param socket of the exports, null without any
    /// @param device of the kernel, by the number of the volume
    static List<StatusReport.Volume> volumes(
            ResourceDir dir,
            List<Export> exports,
            Path socket,
            IntFunction<Optional<String>> device) {
        AddressSpace space = dir.superblock().space();
        List<StatusReport.Volume> volumes = new ArrayList<>();
        for (int i = 0; space.hasSeveral() && i < space.volumes(); i++) {
            volumes.add(
                    new StatusReport.Volume(
                            i,
                            dir.facts().disks().get(i),
                            i < exports.size() ? exports.get(i).sizeBytes() : space.volumeBytes(i),
                            i < exports.size()
                                    ? Optional.of(uri(exports.get(i).name(), socket.toString()))
                                    : Optional.empty(),
                            device.apply(i)));
        }
        return volumes;
    }

    static StatusReport.View view(LocalBackup of, LocalBackup.OpenView view) {
        return new StatusReport.View(
                view.id(),
                view.point().moment().position().toString(),
                Instant.ofEpochMilli(view.point().shownMillis()),
                age(of.resource().snapshot(), view.point()),
                uri(view.export().name(), view.socket().toString()),
                view.socket().toString(),
                view.export().clients(),
                volumes(of.dir(), view.exports(), view.socket(), _ -> Optional.empty()),
                view.overlay()
                        .map(
                                each ->
                                        new StatusReport.Overlay(
                                                each.usedBytes(),
                                                each.limitBytes(),
                                                each.isFull())));
    }

    /// How old a moment is. It is older than the newest by what has passed in between, as either
    /// host's clock has it.
    private static Optional<Double> age(BackupResource.Snapshot now, OpenPoint point) {
        if (now.age() == null) {
            return Optional.empty();
        }
        long written = now.completeMillis() - point.shownMillis();
        long received = now.newestReceiptMillis() - point.moment().receiptMillis();
        long newest = now.age().at(System.nanoTime(), System.currentTimeMillis());
        return Optional.of((newest + Math.max(0, Math.max(written, received))) / 1000.0);
    }

    // ---- traffic -----------------------------------------------------------------------------

    private StatusReport.Traffic traffic(LocalResource resource, Optional<LinkSession> session) {
        Optional<Integer> stream =
                session.flatMap(_ -> link.streamOf(resource.dir().facts().peer(), resource));
        if (stream.isEmpty()) {
            Traffic last = ended.get(resource.name());
            return last == null ? StatusReport.Traffic.of(0, 0, 0, 0) : last.total();
        }
        LinkStats.StreamStats stats = session.get().stats().streams().get(stream.get());
        long sessionId = session.get().id();
        int streamId = stream.get();
        return ended.compute(
                        resource.name(),
                        (_, last) -> {
                            StatusReport.Traffic before =
                                    last == null
                                            ? StatusReport.Traffic.of(0, 0, 0, 0)
                                            : last.session() == sessionId
                                                            && last.stream() == streamId
                                                    ? last.before()
                                                    : last.total();
                            LinkStats.Traffic none = new LinkStats.Traffic(0, 0, 0);
                            return new Traffic(
                                    sessionId,
                                    streamId,
                                    before,
                                    stats == null ? none : stats.sent(),
                                    stats == null ? none : stats.received());
                        })
                .total();
    }
}
