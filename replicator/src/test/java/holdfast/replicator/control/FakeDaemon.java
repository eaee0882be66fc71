package holdfast.replicator.control;

import holdfast.replicator.status.Samples;
import holdfast.replicator.status.StatusReport;

import java.time.Clock;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// A daemon that remembers what it was asked and answers from what the test put into it.
class FakeDaemon implements ControlApi {
    final List<Record> asked = new ArrayList<>();
    final EventLog events = new EventLog("server", Clock.systemUTC());
    volatile StatusReport.Resource resource = Samples.resource("home", "PRIMARY").build();

    /// In place of the resource, while there is one.
    volatile Optional<StatusReport.Unopened> unopened = Optional.empty();

    @Override
    public StatusReport status() {
        return StatusReport.of(
                Samples.node("server"),
                Optional.of(Samples.link("backup", "CONNECTED", 0)),
                unopened.isPresent() ? List.of() : List.of(resource),
                unopened.stream().toList(),
                List.of(),
                ZoneOffset.UTC);
    }

    @Override
    public InviteReply invite(InviteRequest request) {
        asked.add(request);
        return new InviteReply(
                "hf1:secret", Samples.NOW, request.address().orElse("localhost:7788"), "ab12");
    }

    @Override
    public JoinReply join(JoinRequest request) {
        asked.add(request);
        return new JoinReply("backup", "cd34", "localhost:7788");
    }

    @Override
    public PeersReply peers() {
        return new PeersReply(List.of());
    }

    @Override
    public StorageReply storage(StorageRequest request) {
        asked.add(request);
        return new StorageReply(request.path(), 1 << 30, request.maxBytes());
    }

    @Override
    public AddReply add(AddRequest request) throws ProblemException {
        throw new ProblemException(
                Problem.of(
                                ExitCode.REFUSED,
                                "server",
                                request.disks().getFirst() + " is in use, nothing changed")
                        .withRole("PRIMARY")
                        .withEvidence("mounted at /home")
                        .withNext("umount /home"));
    }

    @Override
    public PermitReply permit(PermitRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public AttachReply attach(NameRequest request) {
        throw new IllegalStateException("a bug");
    }

    @Override
    public Done detach(NameRequest request) {
        asked.add(request);
        return Done.of("home is detached");
    }

    @Override
    public OpenReply open(OpenRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Done closeView(CloseRequest request) {
        return Done.of("closed");
    }

    @Override
    public PromoteReply promote(PromoteRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public ReconnectReply reconnect(ReconnectRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public PointsReply points(NameRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public MarkReply mark(MarkRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public KeepReply keep(KeepRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public DropReply drop(DropRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public RemoveReply remove(RemoveRequest request) {
        return new RemoveReply(
                false, request.name(), "server", List.of("the journal"), "server/home@3fa901");
    }

    @Override
    public SettleReply settle(SettleRequest request) {
        throw new UnsupportedOperationException();
    }

    @Override
    public AdjustReply adjust(AdjustRequest request) {
        return new AdjustReply(!request.dryRun(), List.of(), List.of());
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

    @Override
    public VerifyReply verify(VerifyRequest request) {
        asked.add(request);
        return new VerifyReply(
                request.name(),
                "server",
                "backup",
                true,
                true,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty());
    }

    @Override
    public MendReply mend(MendRequest request) {
        asked.add(request);
        return new MendReply(
                !request.dryRun(),
                request.name(),
                "server",
                "backup",
                request.from(),
                1,
                4096,
                1,
                List.of("mended"),
                "backup/home@1");
    }

    @Override
    public Done resize(NameRequest request) {
        asked.add(request);
        return Done.of("enlarged " + request.name());
    }

    @Override
    public Done connect(LinkRequest request) {
        return Done.of("connecting");
    }

    @Override
    public Done disconnect(LinkRequest request) {
        return Done.of("disconnected");
    }

    @Override
    public void events(EventsRequest request, EventSink sink) throws InterruptedException {
        events.stream(request, sink);
    }

    @Override
    public Done shutdown() {
        return Done.of("stopping");
    }
}
