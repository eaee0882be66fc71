package holdfast.replicator.daemon;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Primary;
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

    /// How far a verification is, with its rate.
    private final Function<LocalPrimary, Optional<StatusReport.Progress>> progress;

    VerifyOrders(Shared shared, Function<LocalPrimary, Optional<StatusReport.Progress>> progress) {
        this.shared = shared;
        this.progress = progress;
    }

    ControlApi.VerifyReply verify(LocalResource found, ControlApi.VerifyRequest request)
            throws ProblemException {
        LocalPrimary primary = requirePrimary(found, "");
        boolean begun = false;
        switch (request.order()) {
            case "start" -> begun = start(primary);
            case "stop" -> {
                boolean stopped =
                        primary.resource().isPresent()
                                && primary.resource()
                                        .get()
                                        .stopVerify(
                                                "an operator of %s stopped it"
                                                        .formatted(shared.node()));
                if (!stopped) {
                    throw refused(
                            "no verification of %s is under way".formatted(primary.name()),
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
                primary.isVerifying(),
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

    /// Brings the blocks of the last report to what `request.from` holds.
    ControlApi.MendReply mend(LocalResource found, ControlApi.MendRequest request)
            throws ProblemException {
        LocalPrimary primary = requirePrimary(found, " --repair " + request.from());
        String peer = primary.dir().facts().peer();
        if (request.from().equals(peer)) {
            throw refused(
                    "what the copy at %s holds is not written into a device here that may be in use, below its filesystem"
                            .formatted(peer),
                    "at %s: holdfast open %s, or holdfast mount %s DIR, and copy the files that are right back through the filesystem here; or, to go on from all of the copy, here: %s, then at %s: holdfast promote %s"
                            .formatted(
                                    peer,
                                    primary.name(),
                                    primary.name(),
                                    shared.command("detach " + primary.name()),
                                    peer,
                                    primary.name()));
        }
        if (!request.from().equals(shared.node())) {
            throw shared.problem(
                    ExitCode.USAGE,
                    "%s is neither %s nor %s".formatted(request.from(), shared.node(), peer),
                    "help verify");
        }
        VerifyReport report =
                primary.lastVerify()
                        .filter(each -> each.differingBlocks() > 0 && !each.ranges().isEmpty())
                        .filter(each -> each.primary().equals(shared.node()))
                        .orElseThrow(
                                () ->
                                        refused(
                                                "no verification has found that %s differs"
                                                        .formatted(primary.name()),
                                                "verify " + primary.name()));
        if (primary.resource().isEmpty()) {
            throw refused(primary.name() + " is not attached", "attach " + primary.name());
        }
        if (primary.isVerifying()) {
            throw refused(
                    "a verification is under way, whose report is the next to be mended",
                    "verify " + primary.name());
        }
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

    private void carryOut(LocalPrimary primary, VerifyReport report) throws ProblemException {
        List<BlockRun> runs = new ArrayList<>();
        for (VerifyReport.Range each : report.ranges()) {
            long count = BlockSet.blocksOf(each.lengthBytes());
            runs.add(
                    new BlockRun(
                            each.offsetBytes() / BlockSet.BLOCK_BYTES, Math.toIntExact(count)));
        }
        try {
            primary.mend(runs, report.mended(Instant.now()));
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.FAILED,
                    "the blocks could not be marked durably",
                    "status " + primary.name(),
                    String.valueOf(e.getMessage()));
        }
    }

    private ProblemException refused(String cause, String next) {
        return new ProblemException(
                Problem.of(ExitCode.REFUSED, shared.node(), cause)
                        .withRole(Role.PRIMARY.name())
                        .withNext(next.startsWith("at ") ? next : shared.command(next)));
    }
}
