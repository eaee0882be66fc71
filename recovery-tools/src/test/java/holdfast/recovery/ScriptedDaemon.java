package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.EventLog;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.status.StatusReport;

import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// A server that replicates `home`, as far as the commands can tell, and remembers what it was
/// asked.
final class ScriptedDaemon implements ControlApi {
    static final Instant NOW = Instant.parse("2026-11-20T12:03:21Z");

    final List<Record> asked = new ArrayList<>();
    final EventLog events = new EventLog("server", Clock.fixed(NOW, ZoneOffset.UTC));
    String stored = "3fa901/1234";
    String path = "/dev/vg0/home";
    String role = "PRIMARY";
    long uncountedSeconds;
    boolean hasJournal = true;
    boolean peerDiskInUse;
    static final String PERMIT = "at backup: holdfast permit home";
    List<String> settingsProblems = List.of();

    private StatusReport.Journal journal() {
        return new StatusReport.Journal(
                "/srv/holdfast/home.journal",
                3L << 30,
                40L << 30,
                Optional.empty(),
                0,
                86_400,
                Optional.of(31L << 30),
                uncountedSeconds);
    }

    @Override
    public StatusReport status() {
        boolean whole = stored.equals("3fa901/1234");
        var resource =
                new StatusReport.Resource(
                        "home",
                        "6e0c",
                        role,
                        Optional.of("backup"),
                        Optional.of("SECONDARY"),
                        "CONNECTED",
                        "UP_TO_DATE",
                        Optional.of("UP_TO_DATE"),
                        whole ? "ESTABLISHED" : "SYNC_SOURCE",
                        Optional.of("A"),
                        path,
                        10L << 30,
                        List.of(),
                        Optional.of(
                                new StatusReport.Export(
                                        "nbd+unix:///home?socket=/run/holdfast/home.nbd",
                                        "/run/holdfast/home.nbd",
                                        Optional.empty(),
                                        1)),
                        "3fa901/1234",
                        stored,
                        stored,
                        Optional.of(
                                whole
                                        ? StatusReport.Behind.NOTHING
                                        : new StatusReport.Behind(203, 812 << 10)),
                        Optional.of(NOW.minusSeconds(14)),
                        Optional.of(NOW.minusSeconds(14)),
                        whole
                                ? Optional.empty()
                                : Optional.of(
                                        new StatusReport.Progress(
                                                "CATCH_UP",
                                                41 << 20,
                                                100 << 20,
                                                2_000_000,
                                                Optional.of(30.0))),
                        StatusReport.Traffic.of(2_000_000, 5_000_000, 1000, 2000),
                        Optional.of(
                                new StatusReport.SendBuffer(
                                        1 << 20, 64 << 20, false, Optional.of(90.0))),
                        hasJournal ? Optional.of(journal()) : Optional.empty(),
                        List.of(),
                        Optional.empty(),
                        Optional.empty(),
                        false,
                        false,
                        Optional.empty(),
                        Optional.empty(),
                        Optional.empty());
        var node =
                new StatusReport.Node(
                        "server",
                        "b7d4",
                        "ab12",
                        "0.1.0",
                        ProcessHandle.current().pid(),
                        NOW.minusSeconds(3600),
                        NOW,
                        256 << 20);
        var link =
                new StatusReport.Link(
                        "backup",
                        "CONNECTED",
                        "DIAL",
                        "backup.example.net:7788",
                        NOW.minusSeconds(900),
                        Optional.of(NOW),
                        Optional.of(31.4),
                        Optional.of(new StatusReport.ClockOffset(0.25, 0.016)),
                        Optional.empty(),
                        Optional.empty(),
                        2_000_000,
                        5_000_000,
                        1000,
                        2000,
                        new StatusReport.Rate(
                                Optional.of(2_250_000L),
                                Optional.of(250_000L),
                                Optional.of(NOW.plusSeconds(3600)),
                                Optional.empty(),
                                Optional.empty()));
        return StatusReport.of(
                node, Optional.of(link), List.of(resource), List.of(), List.of(), ZoneOffset.UTC);
    }

    @Override
    public InviteReply invite(InviteRequest request) {
        asked.add(request);
        return new InviteReply(
                "hf1:c2VjcmV0",
                NOW.plusSeconds(1800),
                request.address().orElseThrow(),
                "ab12-cd34");
    }

    @Override
    public JoinReply join(JoinRequest request) {
        asked.add(request);
        return new JoinReply("backup", "cd34", "backup.example.net:7788");
    }

    @Override
    public PeersReply peers() {
        return new PeersReply(
                List.of(
                        new Peer(
                                "backup",
                                "e1",
                                "cd34",
                                Optional.of("backup.example.net:7788"),
                                "CONNECTED")));
    }

    @Override
    public StorageReply storage(StorageRequest request) {
        asked.add(request);
        return new StorageReply(request.path(), 1L << 40, request.maxBytes());
    }

    @Override
    public AddReply add(AddRequest request) throws ProblemException {
        asked.add(request);
        if (!request.dryRun() && peerDiskInUse) {
            throw new ProblemException(
                    Problem.of(ExitCode.CONFIRMATION_NEEDED, "server", "it has to be permitted")
                            .withNext(PERMIT));
        }
        return new AddReply(
                !request.dryRun(),
                request.name(),
                "server",
                String.join(", ", request.disks()),
                10L << 30,
                Optional.of("ext4, label home"),
                List.of(),
                "backup",
                request.peerDisks()
                        .map(each -> String.join(", ", each))
                        .orElse("/srv/holdfast/home.img"),
                peerDiskInUse ? Optional.of("xfs, label old") : Optional.empty(),
                request.journalBytes().orElse(4L << 30),
                Optional.of(4000.0),
                Optional.of("/dev/holdfast/home /home ext4 _netdev,nofail 0 2"),
                List.of(),
                peerDiskInUse ? Optional.of(PERMIT) : Optional.empty());
    }

    @Override
    public PermitReply permit(PermitRequest request) throws ProblemException {
        asked.add(request);
        String needed = "server/home@3fa901";
        if (!request.dryRun() && !request.confirm().equals(Optional.of(needed))) {
            throw new ProblemException(
                    Problem.of(ExitCode.CONFIRMATION_NEEDED, "server", "not confirmed"));
        }
        return new PermitReply(
                !request.dryRun(),
                request.name(),
                "server",
                "backup",
                "/dev/vg1/old",
                10L << 30,
                "xfs, label old",
                needed);
    }

    @Override
    public AttachReply attach(NameRequest request) {
        asked.add(request);
        return new AttachReply(
                request.name(),
                "nbd+unix:///home?socket=/run/holdfast/home.nbd",
                "/run/holdfast/home.nbd",
                Optional.empty(),
                List.of(),
                List.of("The kernel has no nbd here."));
    }

    @Override
    public Done detach(NameRequest request) throws ProblemException {
        throw new ProblemException(
                Problem.of(
                                ExitCode.REFUSED,
                                "server",
                                request.name() + " is in use, nothing changed")
                        .withRole("PRIMARY")
                        .withEvidence("1 client is connected to its export")
                        .withNext("umount /home"));
    }

    @Override
    public OpenReply open(OpenRequest request) {
        asked.add(request);
        return new OpenReply(
                "home",
                new StatusReport.View(
                        "v1",
                        "3fa901/1234",
                        NOW.minusSeconds(14),
                        Optional.of(14.0),
                        "nbd+unix:///home@latest?socket=/run/holdfast/v1.nbd",
                        "/run/holdfast/v1.nbd",
                        0,
                        List.of(),
                        request.writable()
                                ? Optional.of(
                                        new StatusReport.Overlay(
                                                0, request.overlayBytes().orElse(1L << 30), false))
                                : Optional.empty()),
                10L << 30,
                request.at().filter(at -> at.equals("12:04")).map(_ -> "the time lies in a gap"));
    }

    @Override
    public PromoteReply promote(PromoteRequest request) throws ProblemException {
        asked.add(request);
        Optional<String> needed =
                promoted && !request.commit()
                        ? Optional.of("backup/home@3fa901")
                        : Optional.empty();
        if (!request.dryRun() && needed.isPresent() && !request.confirm().equals(needed)) {
            throw new ProblemException(
                    Problem.of(ExitCode.CONFIRMATION_NEEDED, "backup", "it would be undone"));
        }
        return new PromoteReply(
                !request.dryRun(),
                request.name(),
                "backup",
                request.commit() ? Optional.empty() : Optional.of(point(14, "3fa901/1234")),
                request.commit() || request.dryRun()
                        ? Optional.empty()
                        : Optional.of(attach(new NameRequest(request.name()))),
                needed.isPresent() ? List.of("12 writes are undone") : List.of(),
                request.dryRun() ? List.of() : List.of("there is no second copy now"),
                request.dryRun() ? needed : Optional.empty());
    }

    /// Whether `home` is promoted already, and not final.
    boolean promoted;

    @Override
    public ReconnectReply reconnect(ReconnectRequest request) throws ProblemException {
        asked.add(request);
        String needed = "server/home@3fa901";
        boolean done = request.discard().isPresent();
        if (done && !request.confirm().filter(needed::equals).isPresent()) {
            throw new ProblemException(
                    Problem.of(ExitCode.CONFIRMATION_NEEDED, "server", "it would be given up"));
        }
        return new ReconnectReply(
                done,
                request.name(),
                "server",
                Optional.empty(),
                List.of("both were the same at 3fa901/7 for the last time"),
                List.of("to decide later: nothing"),
                needed);
    }

    @Override
    public PointsReply points(NameRequest request) {
        asked.add(request);
        return new PointsReply(
                request.name(),
                Optional.of(point(86_400, "3fa901/7")),
                Optional.of(point(14, "3fa901/1234")),
                Optional.of(NOW.minusSeconds(4)),
                List.of(new Gap(NOW.minusSeconds(7_200), NOW.minusSeconds(7_100))),
                86_400,
                14_400,
                10L << 30,
                40L << 30,
                Optional.of(31L << 30),
                kept,
                3L << 20,
                4L << 30,
                "nbd+unix:///home@latest?socket=/run/holdfast/home.nbd",
                List.of(
                        new Marked(
                                "nightly",
                                NOW.minusSeconds(3_600),
                                Optional.of(NOW.minusSeconds(3_599)),
                                "3fa901/1200")),
                promoted);
    }

    private static Point point(long secondsAgo, String position) {
        return new Point(
                NOW.minusSeconds(secondsAgo),
                Optional.of(NOW.minusSeconds(secondsAgo - 1)),
                position);
    }

    /// What `points` says is kept.
    List<Kept> kept = List.of();

    private static Kept kept(String as) {
        return new Kept(
                as,
                NOW.minusSeconds(3_600),
                Optional.of(NOW.minusSeconds(3_599)),
                "3fa901/7",
                NOW.minusSeconds(60),
                NOW.plusSeconds(30 * 86_400L),
                3L << 20,
                false);
    }

    @Override
    public MarkReply mark(MarkRequest request) {
        asked.add(request);
        return new MarkReply(request.name(), request.as(), "backup", NOW, "3fa901/1234");
    }

    @Override
    public KeepReply keep(KeepRequest request) {
        asked.add(request);
        kept = List.of(kept(request.as()));
        return new KeepReply(request.name(), kept.getFirst(), Optional.empty());
    }

    @Override
    public DropReply drop(DropRequest request) throws ProblemException {
        asked.add(request);
        String confirm = "backup/%s@%s".formatted(request.name(), request.as());
        return new DropReply(
                !request.dryRun(),
                request.name(),
                request.as(),
                "backup",
                List.of("3.0 MiB are given free"),
                confirm);
    }

    @Override
    public Done closeView(CloseRequest request) {
        asked.add(request);
        return Done.of("view " + request.id() + " is closed");
    }

    @Override
    public RemoveReply remove(RemoveRequest request) throws ProblemException {
        asked.add(request);
        String needed = "server/home@3fa901";
        if (!request.dryRun() && !request.confirm().equals(Optional.of(needed))) {
            throw new ProblemException(
                    Problem.of(
                                    ExitCode.CONFIRMATION_NEEDED,
                                    "server",
                                    "the confirmation is for another generation, nothing changed")
                            .withEvidence(
                                    "it says "
                                            + request.confirm().orElse("nothing")
                                            + ", the generation is 3fa901")
                            .withNext("holdfast remove home --dry-run"));
        }
        return new RemoveReply(
                !request.dryRun(),
                "home",
                "server",
                List.of("The copy at backup, 10 GiB, goes.", "The data in /dev/vg0/home stays."),
                needed);
    }

    @Override
    public SettleReply settle(SettleRequest request) throws ProblemException {
        asked.add(request);
        String needed = "backup/home@3fa901";
        if (!request.dryRun() && !request.confirm().equals(Optional.of(needed))) {
            throw new ProblemException(
                    Problem.of(ExitCode.CONFIRMATION_NEEDED, "backup", "it has to be confirmed")
                            .withNext("holdfast down home --settle --dry-run"));
        }
        return new SettleReply(
                !request.dryRun(),
                "home",
                "backup",
                "/srv/holdfast/home.img",
                List.of("its moments can be opened no more"),
                needed);
    }

    @Override
    public AdjustReply adjust(AdjustRequest request) {
        asked.add(request);
        return new AdjustReply(
                !request.dryRun() && settingsProblems.isEmpty(),
                List.of(
                        new Change(
                                "node.toml",
                                "link.rate",
                                Optional.of("18 Mbit/s"),
                                Optional.of("20 Mbit/s"),
                                "at once")),
                settingsProblems);
    }

    @Override
    public Done pauseSync(NameRequest request) {
        asked.add(request);
        return Done.of("paused " + request.name());
    }

    @Override
    public Done resumeSync(NameRequest request) {
        asked.add(request);
        return Done.of("resumed " + request.name());
    }

    @Override
    public Done invalidate(NameRequest request) {
        asked.add(request);
        return Done.of("compared here " + request.name());
    }

    @Override
    public Done invalidateRemote(NameRequest request) {
        asked.add(request);
        return Done.of("compared there " + request.name());
    }

    /// What the next verification finds.
    List<VerifyReport.Range> differing = List.of();

    /// What came of a repair from the copy.
    Optional<VerifyReport.Repair> repair = Optional.empty();

    /// Why it is cut short.
    Optional<String> verifyTrouble = Optional.empty();

    private int looks;

    @Override
    public VerifyReply verify(VerifyRequest request) {
        asked.add(request);
        looks = request.order().equals("start") ? 0 : looks + 1;
        boolean running = request.order().equals("start") || looks == 1;
        return new VerifyReply(
                request.name(),
                "server",
                "backup",
                request.order().equals("start"),
                running,
                running ? Optional.of(NOW.minusSeconds(60)) : Optional.empty(),
                Optional.empty(),
                running ? Optional.of("it waits for backup") : Optional.empty(),
                Optional.empty(),
                running
                        ? Optional.empty()
                        : Optional.of(
                                new VerifyReport(
                                        request.name(),
                                        "server",
                                        "backup",
                                        NOW.minusSeconds(60),
                                        NOW,
                                        verifyTrouble.isEmpty(),
                                        verifyTrouble,
                                        1 << 30,
                                        verifyTrouble.isEmpty() ? 1 << 30 : 1 << 20,
                                        "3fa901/1200",
                                        "3fa901/1234",
                                        differing.size(),
                                        differing.size() * 4096L,
                                        differing.size(),
                                        differing,
                                        Optional.empty(),
                                        repair)));
    }

    @Override
    public MendReply mend(MendRequest request) throws ProblemException {
        asked.add(request);
        String needed = "backup/home@17c";
        if (!request.dryRun() && !request.confirm().equals(Optional.of(needed))) {
            throw new ProblemException(
                    Problem.of(ExitCode.CONFIRMATION_NEEDED, "server", "confirms something else"));
        }
        return new MendReply(
                !request.dryRun(),
                request.name(),
                "server",
                "backup",
                request.from(),
                2,
                8192,
                1,
                List.of("2 blocks become what server holds"),
                needed);
    }

    @Override
    public Done resize(NameRequest request) {
        asked.add(request);
        return Done.of("enlarged " + request.name());
    }

    @Override
    public Done connect(LinkRequest request) {
        asked.add(request);
        return Done.of("connecting");
    }

    @Override
    public Done disconnect(LinkRequest request) {
        asked.add(request);
        return Done.of("disconnected");
    }

    @Override
    public void events(EventsRequest request, EventSink sink) throws InterruptedException {
        events.stream(request, sink);
    }

    @Override
    public Done shutdown() {
        asked.add(new NameRequest("shutdown"));
        return Done.of("stopping");
    }
}
