package holdfast.replicator.daemon;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.History;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Since;
import holdfast.replicator.status.Words;
import holdfast.tunnel.wire.Frame;

import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

/// What an operator orders of promotions, typed where the copy is: to go on from it, from another
/// moment of it, and to make that final.
final class PromoteOrders {
    private final Shared shared;
    private final ResourceManager resources;
    private final Promotion promotion;
    private final Turns turns;

    PromoteOrders(Shared shared, ResourceManager resources, Promotion promotion, Turns turns) {
        this.shared = shared;
        this.resources = resources;
        this.promotion = promotion;
        this.turns = turns;
    }

    /// Makes the copy here the primary. The peer's primary, if it is alive, is refused a second one
    /// beside it unless that is ordered.
    ControlApi.PromoteReply promote(ControlApi.PromoteRequest request) throws ProblemException {
        return request.commit() ? commitPromotion(request) : promoteNow(request);
    }

    private ControlApi.PromoteReply promoteNow(ControlApi.PromoteRequest request)
            throws ProblemException {
        return request.dryRun()
                ? promoteAlone(request)
                : turns.of(request.name(), "promote", () -> promoteAlone(request));
    }

    private ControlApi.PromoteReply promoteAlone(ControlApi.PromoteRequest request)
            throws ProblemException {
        return switch (resources.get(request.name())) {
            case LocalBackup backup -> promoteCopy(backup, request);
            case LocalPrimary primary -> promoteAgain(primary, request);
        };
    }

    private ControlApi.PromoteReply promoteCopy(
            LocalBackup backup, ControlApi.PromoteRequest request) throws ProblemException {
        String name = request.name();
        AskedPoint at = resources.asked(request.at().orElse("latest"));
        requirePromotable(backup, request);
        String peer = backup.dir().facts().peer();
        Frame.ResourceHello theirs = backup.peerHello();
        Promotion.Promoted promoted;
        try {
            if (request.dryRun()) {
                OpenPoint point = pointOf(backup, at);
                backup.resource().closePoint(point);
                return preview(request, point, List.of(), Optional.empty());
            }
            promoted =
                    promotion.of(
                            backup,
                            Optional.of(at).filter(each -> !(each instanceof AskedPoint.Newest)));
        } catch (IOException e) {
            throw shared.refused(
                    Role.SECONDARY, name + " was not promoted", "promote " + name, e.getMessage());
        }
        if (promoted == null) {
            throw resources.notOpened(backup, at);
        }
        LocalPrimary primary = promoted.primary();
        resources.takesOver(backup, primary);
        ControlApi.Point from = LocalBackup.point(promoted.from());
        List<String> notes = new ArrayList<>();
        notes.add(laterNote(name));
        if (theirs != null && !theirs.committed().equals(promoted.from().position())) {
            notes.add(
                    "%s is at %s, this goes on from %s: what lies between is not here"
                            .formatted(peer, theirs.committed(), from.position()));
        }
        notes.add(
                "there is no second copy now; %s keeps what it has and stands apart from this"
                        .formatted(peer));
        return promoted(primary, from, List.of(), notes);
    }

    private String laterNote(String name) {
        return "the moments of before can still be opened, or gone on from instead (%s, %s), until they are too old or %s"
                .formatted(
                        shared.command("points " + name),
                        shared.command("promote " + name + " --at POINT"),
                        shared.command("promote " + name + " --commit"));
    }

    private OpenPoint pointOf(LocalBackup copy, AskedPoint at)
            throws IOException, ProblemException {
        OpenPoint point = copy.point(at);
        if (point == null) {
            throw resources.notOpened(copy, at);
        }
        return point;
    }

    private ControlApi.PromoteReply preview(
            ControlApi.PromoteRequest request,
            OpenPoint point,
            List<String> undone,
            Optional<String> confirm) {
        return new ControlApi.PromoteReply(
                false,
                request.name(),
                shared.node(),
                Optional.of(LocalBackup.point(point.moment())),
                Optional.empty(),
                undone,
                List.of(),
                confirm);
    }

    /// It is exported, and everybody is told.
    private ControlApi.PromoteReply promoted(
            LocalPrimary primary, ControlApi.Point from, List<String> undone, List<String> notes) {
        String name = primary.name();
        shared.events()
                .of(name)
                .accept(
                        "promoted",
                        "it goes on here from %s, as it was at %s%s"
                                .formatted(
                                        from.position(),
                                        from.time(),
                                        undone.isEmpty() ? "" : ": " + String.join("; ", undone)));
        List<String> told = new ArrayList<>(notes);
        Optional<ControlApi.AttachReply> attached = Optional.empty();
        try {
            attached = Optional.of(resources.attach(name));
        } catch (ProblemException e) {
            told.add(
                    "it is not exported yet: %s; next: %s"
                            .formatted(e.problem().why(), shared.command("attach " + name)));
        }
        return new ControlApi.PromoteReply(
                true,
                name,
                shared.node(),
                Optional.of(from),
                attached,
                undone,
                told,
                Optional.empty());
    }

    // ---- another moment, until it is final ---------------------------------------------------

    /// What is promoted here goes on from another moment (R31). Its device changes, and never below
    /// a client: with one that is connected it is refused.
    private ControlApi.PromoteReply promoteAgain(
            LocalPrimary primary, ControlApi.PromoteRequest request) throws ProblemException {
        String name = request.name();
        LocalBackup copy =
                primary.copy()
                        .orElseThrow(
                                () ->
                                        shared.refused(
                                                Role.PRIMARY,
                                                name + " is primary here already, nothing changed",
                                                "status"));
        if (request.at().isEmpty()) {
            throw shared.refused(
                    Role.PRIMARY,
                    name + " is promoted here already, nothing changed",
                    "points " + name,
                    "to go on from another moment: "
                            + shared.command("promote " + name + " --at POINT"),
                    "to make it final: " + shared.command("promote " + name + " --commit"));
        }
        AskedPoint at = resources.asked(request.at().get());
        String command = "promote %s --at %s".formatted(name, request.at().get());
        try {
            primary.requireWhole();
            OpenPoint point = pointOf(copy, at);
            try {
                List<String> undone = undone(primary, copy, point);
                // Of this moment, and of no later one that a relative time may mean by then.
                String confirm = shared.confirmOf(primary.dir()) + "-" + point.moment().position();
                if (request.dryRun()) {
                    return preview(request, point, undone, Optional.of(confirm));
                }
                shared.requireConfirmed(
                        request.confirm(),
                        confirm,
                        "what was written to %s since would be undone".formatted(name),
                        undone,
                        command);
                return goOnFrom(primary, copy, point, undone, command);
            } finally {
                copy.resource().closePoint(point);
            }
        } catch (IOException e) {
            throw shared.refused(
                    Role.PRIMARY,
                    name + " goes on as before, nothing changed",
                    command,
                    e.getMessage());
        }
    }

    /// What becomes of what the device is now.
    private List<String> undone(LocalPrimary primary, LocalBackup copy, OpenPoint point)
            throws IOException, ProblemException {
        String name = primary.name();
        History.Moment then = point.moment();
        long bytes = copy.resource().changedSince(point);
        if (bytes == 0) {
            throw shared.refused(
                    Role.PRIMARY,
                    "%s is what it was at %s, nothing changed"
                            .formatted(name, Instant.ofEpochMilli(then.labelMillis())),
                    "points " + name);
        }
        long writes =
                copy.resource()
                        .look(
                                now ->
                                        Since.writesBehind(
                                                now.ancestry(),
                                                now.committed(),
                                                then.ancestry(),
                                                then.position()));
        return List.of(
                "%s of %s become what they were at %s, and at least %d writes that are in it now are undone"
                        .formatted(
                                Words.bytes(bytes),
                                name,
                                Instant.ofEpochMilli(then.labelMillis()),
                                writes),
                "what it is now can still be opened, or gone on from again, until it is older than %s, the journal needs its room, or %s"
                        .formatted(
                                Words.span(primary.settings().retention()),
                                shared.command("promote " + name + " --commit")));
    }

    private ControlApi.PromoteReply goOnFrom(
            LocalPrimary primary,
            LocalBackup copy,
            OpenPoint point,
            List<String> undone,
            String command)
            throws ProblemException, IOException {
        String name = primary.name();
        resources.requireOpenGate(primary);
        // Else the detach would wait for the journal's disk, and nothing be exported meanwhile.
        copy.resource().storeAll(BackupResource.ANSWERS);
        if (copy.resource().snapshot().isFailed()) {
            throw new IOException(
                    "its journal or its disk has failed; next: "
                            + shared.command("status " + name));
        }
        boolean wasAttached = primary.isAttached();
        try (LocalPrimary.TurnedAway turnedAway = primary.turnAway()) {
            resources.requireUnused(primary, false, command);
            copy.resource().storeAll(BackupResource.ANSWERS); // What was written until then.
            synchronized (primary) { // Nobody attaches it in between.
                requireNotFinal(primary);
                turnedAway.requireStill();
                resources.detach(primary, false);
                promotion.again(primary, point);
            }
        } catch (IOException e) {
            throw notGoneOn(primary, copy, wasAttached, command, e);
        } catch (ProblemException e) {
            if (wasAttached && !primary.isAttached()) { // Not detached cleanly.
                throw notGoneOn(
                        primary, copy, true, command, new IOException(e.problem().why(), e));
            }
            throw e;
        }
        LocalPrimary next;
        try {
            next = resources.wholeRole(primary);
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.FAILED,
                    "%s goes on from what it was at %s, but its new role could not be written"
                            .formatted(name, Instant.ofEpochMilli(point.moment().labelMillis())),
                    "attach " + name,
                    e.getMessage());
        }
        return promoted(
                next,
                LocalBackup.point(point.moment()),
                undone,
                List.of(
                        laterNote(name),
                        "%s stands apart from this if it had what is undone; %s says so"
                                .formatted(
                                        next.dir().facts().peer(),
                                        shared.command("reconnect " + name))));
    }

    /// One that was made final while this order waited for its end.
    private static void requireNotFinal(LocalPrimary primary) throws IOException {
        if (primary.copy().isEmpty()) {
            throw new IOException("the promotion was made final just now");
        }
    }

    /// It is as it was, and exported if it was that; but for a journal that has failed, which may
    /// hold the commit.
    private ProblemException notGoneOn(
            LocalPrimary primary,
            LocalBackup copy,
            boolean wasAttached,
            String command,
            IOException why) {
        String name = primary.name();
        List<String> evidence = new ArrayList<>(List.of(String.valueOf(why.getMessage())));
        // While it is attached nothing was begun.
        boolean isSure = primary.isAttached() || !copy.resource().snapshot().isFailed();
        boolean isClosed = false;
        if (wasAttached && !primary.isAttached()) {
            try {
                resources.attach(name);
            } catch (ProblemException e) {
                isClosed = true;
                evidence.add("it is not attached: " + e.problem().why());
            }
        }
        if (isSure && isClosed) {
            return shared.refused(
                    Role.PRIMARY,
                    name + " does not go on from there, and is not exported any more",
                    "attach " + name,
                    evidence.toArray(String[]::new));
        }
        return shared.refused(
                Role.PRIMARY,
                isSure
                        ? name + " goes on as before, nothing changed"
                        : "the journal has failed, and whether %s goes on from there is known when it is opened again"
                                .formatted(name),
                isSure ? command : "connect " + name,
                evidence.toArray(String[]::new));
    }

    private void requirePromotable(LocalBackup backup, ControlApi.PromoteRequest request)
            throws ProblemException {
        String name = backup.name();
        BackupResource.Snapshot now = backup.resource().snapshot();
        if (!now.hasPoint() || now.disk() == DiskState.FAILED) {
            throw now.disk() == DiskState.FAILED
                    ? shared.refused(
                            Role.SECONDARY,
                            "the disk of the copy of " + name + " has failed, nothing changed",
                            "connect " + name)
                    : resources.notOpened(backup, new AskedPoint.Newest());
        }
        String peer = backup.dir().facts().peer();
        if (!request.force() && staysAlive(backup)) {
            throw new ProblemException(
                    Problem.of(
                                    ExitCode.REFUSED,
                                    shared.node(),
                                    "%s is alive at %s, and there would be two of it: nothing changed"
                                            .formatted(name, peer))
                            .withRole(Role.SECONDARY.name())
                            .withEvidence(
                                    "%s is connected and sends what is written there"
                                            .formatted(peer))
                            .withNext(
                                    "at %s: holdfast detach %s; or, for two histories: %s"
                                            .formatted(
                                                    peer,
                                                    name,
                                                    shared.command(
                                                            "promote " + name + " --force"))));
        }
    }

    /// Whether the peer's primary writes to the copy.
    private boolean staysAlive(LocalBackup backup) {
        long deadline = System.nanoTime() + ResourceManager.GOES.toNanos();
        while (resources.isConnected(backup)
                && !resources.isStandalone(backup)
                && !backup.resource().snapshot().replication().equals("OFF")) {
            if (System.nanoTime() - deadline >= 0) {
                return true;
            }
            LockSupport.parkNanos(20_000_000);
        }
        return false;
    }

    private ControlApi.PromoteReply commitPromotion(ControlApi.PromoteRequest request)
            throws ProblemException {
        String name = request.name();
        if (!(resources.get(name) instanceof LocalPrimary primary) || primary.copy().isEmpty()) {
            throw shared.problem(
                    ExitCode.REFUSED,
                    "there is no promotion of %s to make final, nothing changed".formatted(name),
                    "status " + name);
        }
        try {
            String obstacle = primary.makeFinal();
            if (!obstacle.isEmpty()) {
                throw shared.refused(
                        Role.PRIMARY,
                        "the promotion of %s is not final yet, the device goes on".formatted(name),
                        "status " + name,
                        obstacle);
            }
        } catch (IOException e) {
            throw shared.problem(
                    ExitCode.FAILED,
                    "the promotion of %s is not final".formatted(name),
                    "status " + name,
                    e.getMessage());
        }
        shared.events()
                .of(name)
                .accept("promotion-final", "the moments of before the promotion are given up");
        return new ControlApi.PromoteReply(
                true,
                name,
                shared.node(),
                Optional.empty(),
                Optional.empty(),
                List.of(),
                List.of(
                        "%s alone holds %s now, and nothing of the journal is needed any more"
                                .formatted(primary.dir().facts().words(), name)),
                Optional.empty());
    }
}
