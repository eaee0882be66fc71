package holdfast.replicator.daemon;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.ReplicationState;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Verification;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/// What an operator orders of verifications, typed where the data is.
final class VerifyOrders {
    /// Of the ranges that differ, those that are told.
    static final int RANGES_TOLD = 1000;

    private final Shared shared;
    private final Use use;

    /// Who uses the export of a resource.
    interface Use {
        /// @param next what is to be typed when nobody does
        /// @throws ProblemException if somebody does
        void requireNone(LocalPrimary primary, String next) throws ProblemException;
    }

    /// How far a verification is, with its rate.
    private final Function<LocalPrimary, Optional<StatusReport.Progress>> progress;

    VerifyOrders(
            Shared shared,
            Use use,
            Function<LocalPrimary, Optional<StatusReport.Progress>> progress) {
        this.shared = shared;
        this.use = use;
        this.progress = progress;
    }

    ControlApi.VerifyReply verify(LocalResource found, ControlApi.VerifyRequest request)
            throws ProblemException {
        LocalPrimary primary = requirePrimary(found, "");
        boolean begun = false;
        switch (request.order()) {
            case "start" -> begun = start(primary);
            case "stop" -> {
                Optional<Repair> repair = primary.repairing();
                repair.ifPresent(Repair::end);
                String why = "an operator of %s stopped it".formatted(shared.node());
                boolean stopped =
                        repair.isPresent()
                                || primary.resource()
                                        .filter(each -> each.stopVerify(why))
                                        .isPresent();
                if (!stopped) {
                    throw refused(
                            "no verification or repair of %s is under way"
                                    .formatted(primary.name()),
                            "status " + primary.name());
                }
            }
            case "look" -> {}
            default ->
                    throw shared.problem(
                            ExitCode.USAGE,
                            "order is %s, should be start, stop or look".formatted(request.order()),
                            "help verify");
        }
        Optional<Verification.Progress> now =
                primary.resource().map(each -> each.look(Primary::verifying));
        return new ControlApi.VerifyReply(
                primary.name(),
                shared.node(),
                primary.dir().facts().peer(),
                begun,
                primary.isVerifying() || primary.repairing().isPresent(),
                now.map(each -> Instant.ofEpochMilli(each.startedMillis())),
                now.map(Verification.Progress::differingBlocks),
                now.filter(Verification.Progress::waits).map(_ -> waitsFor(primary)),
                progress.apply(primary),
                primary.lastVerify()
                        .filter(each -> each.primary().equals(shared.node()))
                        .map(each -> each.shortened(RANGES_TOLD)));
    }

    /// Begins one, or says in an event why it is left out. It may wait for an attach.
    void byCalendar(String name, Optional<LocalResource> found) {
        String why = "one is under way already";
        try {
            if (found.isEmpty()) {
                why = "there is no resource of this name here, or it cannot be opened";
            } else if (start(requirePrimary(found.get(), ""))) {
                return;
            }
        } catch (ProblemException e) {
            why = e.problem().cause();
        }
        shared.events().of(name).accept("verify-left-out", "by the calendar: " + why);
    }

    private boolean start(LocalPrimary primary) throws ProblemException {
        if (primary.repairing().isPresent()) {
            throw refused(primary.repairWords(), "verify %s --last".formatted(primary.name()));
        }
        Optional<PrimaryResource> attached = primary.resource();
        if (attached.isEmpty()) {
            throw refused(primary.name() + " is not attached", "attach " + primary.name());
        }
        if (attached.get().look(Primary::isFailed)) {
            throw refused("the disk has failed", "status " + primary.name());
        }
        if (attached.get().look(Primary::committed).isNone()) {
            throw refused(
                    primary.name() + " has no copy yet that could be verified",
                    "wait " + primary.name());
        }
        return primary.verify();
    }

    private String waitsFor(LocalPrimary primary) {
        return primary.isSyncPaused()
                ? "an operator has paused it; next: "
                        + shared.command("resume-sync " + primary.name())
                : "it goes on as soon as %s is there and every write goes to it in order"
                        .formatted(primary.dir().facts().peer());
    }

    /// @param options what has to be typed behind the name
    private LocalPrimary requirePrimary(LocalResource found, String options)
            throws ProblemException {
        if (found instanceof LocalPrimary primary) {
            return primary;
        }
        throw new ProblemException(
                Problem.of(
                                ExitCode.REFUSED,
                                shared.node(),
                                "%s is secondary here: it is verified where its data is"
                                        .formatted(found.name()))
                        .withRole(Role.SECONDARY.name())
                        .withNext(
                                "at %s: holdfast verify %s%s"
                                        .formatted(
                                                found.dir().facts().peer(),
                                                found.name(),
                                                options)));
    }

    /// Brings the blocks of the last report to what `request.from` holds, here or in the copy.
    ControlApi.MendReply mend(LocalResource found, ControlApi.MendRequest request)
            throws ProblemException {
        LocalPrimary primary = requirePrimary(found, " --repair " + request.from());
        String peer = primary.dir().facts().peer();
        boolean toCopy = !request.from().equals(peer);
        if (toCopy && !request.from().equals(shared.node())) {
            throw shared.problem(
                    ExitCode.USAGE,
                    "%s is neither %s nor %s".formatted(request.from(), shared.node(), peer),
                    "help verify");
        }
        if (primary.resource().isEmpty()) {
            throw refused(primary.name() + " is not attached", "attach " + primary.name());
        }
        if (primary.isVerifying()) {
            throw refused(
                    "a verification is under way, whose report is the next to be mended",
                    "verify " + primary.name());
        }
        if (primary.repairing().isPresent() || primary.isRepairLeft() && toCopy) {
            throw refused(
                    primary.repairWords(), "verify %s --repair %s".formatted(primary.name(), peer));
        }
        if (!toCopy) {
            return repair(primary, request);
        }
        VerifyReport report = reportOf(primary);
        String confirm =
                "%s/%s@%s"
                        .formatted(
                                peer,
                                primary.name(),
                                Long.toHexString(report.ended().toEpochMilli()));
        List<String> effects =
                List.of(
                        "%d blocks of the copy at %s, which differed at %s, become what %s holds"
                                .formatted(
                                        report.differingBlocks(),
                                        peer,
                                        report.ended(),
                                        shared.node()),
                        "they go as one epoch; as they are now the copy can be opened at any moment before that, as long as its history reaches");
        if (!request.dryRun()) {
            shared.requireConfirmed(
                    request.confirm(),
                    confirm,
                    "mending %s has to be confirmed".formatted(primary.name()),
                    List.of(),
                    "verify %s --repair %s".formatted(primary.name(), request.from()));
            carryOut(primary, report);
        }
        return new ControlApi.MendReply(
                !request.dryRun(),
                primary.name(),
                shared.node(),
                peer,
                request.from(),
                report.differingBlocks(),
                report.differingBytes(),
                report.rangeCount(),
                effects,
                confirm);
    }

    private VerifyReport reportOf(LocalPrimary primary) throws ProblemException {
        return primary.lastVerify()
                .filter(each -> each.differingBlocks() > 0 && !each.ranges().isEmpty())
                .filter(each -> each.primary().equals(shared.node()))
                .orElseThrow(
                        () ->
                                refused(
                                        "no verification has found that %s differs"
                                                .formatted(primary.name()),
                                        "verify " + primary.name()));
    }

    /// Brings blocks here to what the copy holds. Nobody may use the device: it is changed below
    /// whatever is mounted.
    private ControlApi.MendReply repair(LocalPrimary primary, ControlApi.MendRequest request)
            throws ProblemException {
        String name = primary.name();
        String peer = primary.dir().facts().peer();
        String command = "verify %s --repair %s".formatted(name, peer);
        PrimaryResource at = primary.resource().orElseThrow();
        Found found = primary.isRepairLeft() ? left(primary) : Found.of(reportOf(primary));
        Repair repair = new Repair(at, primary.dir(), primary.id(), peer);
        requireRepairable(primary, at, found, repair);
        String confirm =
                "%s/%s@%s"
                        .formatted(
                                shared.node(), name, Long.toHexString(found.when.toEpochMilli()));
        List<String> effects =
                List.of(
                        "%d blocks of %s here, at %s, which differed at %s, become what the copy at %s holds"
                                .formatted(found.blocks, name, shared.node(), found.when, peer),
                        "until that is over the export takes no client; it is done only while none is connected",
                        "what they hold now is kept in a file beside %s, which the outcome names"
                                .formatted(primary.dir().verifyFile()));
        if (!request.dryRun()) {
            shared.requireConfirmed(
                    request.confirm(),
                    confirm,
                    "repairing %s from its copy has to be confirmed".formatted(name),
                    List.of(),
                    command);
            begin(primary, repair, found, command);
        }
        return new ControlApi.MendReply(
                !request.dryRun(),
                name,
                shared.node(),
                peer,
                request.from(),
                found.blocks,
                found.bytes,
                found.ranges,
                effects,
                confirm);
    }

    /// What a repair is to bring back.
    ///
    /// @param when the verification ended that found it
    private record Found(Instant when, long blocks, long bytes, long ranges, List<BlockRun> runs) {
        static Found of(VerifyReport report) {
            return new Found(
                    report.ended(),
                    report.differingBlocks(),
                    report.differingBytes(),
                    report.rangeCount(),
                    runsOf(report));
        }
    }

    /// Of one that was cut short.
    private Found left(LocalPrimary primary) throws ProblemException {
        try (RepairFile file = RepairFile.open(primary.dir().repairFile(), primary.id())) {
            long blocks = file.header().blocks();
            return new Found(
                    file.header().verified(),
                    blocks,
                    blocks * BlockSet.BLOCK_BYTES,
                    blocks,
                    List.of());
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.FAILED,
                    "the file of the repair that was cut short cannot be read: move it away to give that up",
                    "verify " + primary.name(),
                    String.valueOf(e.getMessage()));
        }
    }

    private void requireRepairable(
            LocalPrimary primary, PrimaryResource at, Found found, Repair repair)
            throws ProblemException {
        if (at.look(Primary::isFailed)) {
            throw refused("the disk has failed", "status " + primary.name());
        }
        if (primary.isRepairLeft()) {
            return; // Everything is here already.
        }
        if (at.look(Primary::state) != ReplicationState.ESTABLISHED) {
            throw refused(
                    "the copy at %s does not follow write by write now"
                            .formatted(primary.dir().facts().peer()),
                    "wait " + primary.name());
        }
        try {
            repair.requireRoom(found.blocks);
        } catch (IOException e) {
            throw shared.refused(
                    Role.PRIMARY,
                    "there is no room for what the blocks hold now, nothing changed",
                    "status " + primary.name(),
                    String.valueOf(e.getMessage()));
        }
    }

    /// No client comes between the counting and the end of it.
    private void begin(LocalPrimary primary, Repair repair, Found found, String command)
            throws ProblemException {
        LocalPrimary.TurnedAway turnedAway = primary.turnAway();
        boolean begun = false;
        try {
            use.requireNone(primary, command);
            begun = primary.repair(repair, found.runs, found.when, turnedAway);
        } finally {
            if (!begun) {
                turnedAway.close();
            }
        }
        if (!begun) {
            throw refused(
                    "a repair is under way already, or it was detached just now",
                    "status " + primary.name());
        }
    }

    private void carryOut(LocalPrimary primary, VerifyReport report) throws ProblemException {
        try {
            primary.mend(runsOf(report), report.mended(Instant.now()));
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.FAILED,
                    "the blocks could not be marked durably",
                    "status " + primary.name(),
                    String.valueOf(e.getMessage()));
        }
    }

    private static List<BlockRun> runsOf(VerifyReport report) {
        List<BlockRun> runs = new ArrayList<>();
        for (VerifyReport.Range each : report.ranges()) {
            long count = BlockSet.blocksOf(each.lengthBytes());
            runs.add(
                    new BlockRun(
                            each.offsetBytes() / BlockSet.BLOCK_BYTES, Math.toIntExact(count)));
        }
        return runs;
    }

    private ProblemException refused(String cause, String next) {
        return new ProblemException(
                Problem.of(ExitCode.REFUSED, shared.node(), cause)
                        .withRole(Role.PRIMARY.name())
                        .withNext(next.startsWith("at ") ? next : shared.command(next)));
    }
}
