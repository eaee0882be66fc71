package holdfast.replicator.control;

import holdfast.replicator.status.StatusReport;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.function.Consumer;

/// Decides when `wait` is over: when the copy has everything the resource held as the wait began.
/// Later writes do not prolong it.
///
/// With `acked` the backup's journal has to have it ("stored"), otherwise the copy that can be
/// opened ("committed"). A generation that begins meanwhile starts the wait over at its newest
/// position. The position alone does not tell while the copy is being compared or mended: what it
/// lacks may be older than where it stands. So nothing older than the wait may be missing either.
/// At the backup, which cannot know what the server wrote, it waits for a copy and an established
/// stream. What is just being opened is waited for as well.
final class Waiting {
    private static final Duration STEP = Duration.ofMillis(250);

    private final ControlApi.WaitRequest request;
    private final String statusCommand;
    private String target = "none";
    private Instant began = Instant.MAX;

    /// @param statusCommand told to whoever waits for a resource that is not there
    Waiting(ControlApi.WaitRequest request, String statusCommand) {
        this.request = request;
        this.statusCommand = statusCommand;
    }

    /// Asks `api` for its status until the wait is over.
    static ControlApi.WaitStatus on(
            ControlApi api,
            ControlApi.WaitRequest request,
            Consumer<ControlApi.WaitStatus> progress)
            throws ProblemException, InterruptedException {
        var waiting = new Waiting(request, api.command("status"));
        long start = System.nanoTime();
        while (true) {
            double waited = (System.nanoTime() - start) / 1e9;
            ControlApi.WaitStatus now = waiting.next(api.status(), waited);
            if (now.state() != ControlApi.WaitState.WAITING) {
                return now;
            }
            progress.accept(now);
            Thread.sleep(STEP);
        }
    }

    /// @throws ProblemException when there is no such resource, or it could not be opened
    ControlApi.WaitStatus next(StatusReport report, double waitedSeconds) throws ProblemException {
        boolean late = request.timeoutSeconds().filter(limit -> waitedSeconds >= limit).isPresent();
        int opening = openingIn(report);
        if (opening >= 0) {
            return new ControlApi.WaitStatus(
                    late ? ControlApi.WaitState.TIMED_OUT : ControlApi.WaitState.WAITING,
                    target,
                    "none",
                    "none",
                    Optional.empty(),
                    Optional.empty(),
                    sentence(report, report.resources().size() + opening));
        }
        int index = indexOf(report);
        StatusReport.Resource r = report.resources().get(index);
        if (!sameGeneration(target, r.position())) {
            target = r.position();
            began = report.node().now();
        }
        boolean done = isDone(r);
        ControlApi.WaitState state =
                done
                        ? ControlApi.WaitState.DONE
                        : !late
                                ? ControlApi.WaitState.WAITING
                                : r.isConnected()
                                        ? ControlApi.WaitState.TIMED_OUT
                                        : ControlApi.WaitState.PEER_AWAY;
        return new ControlApi.WaitStatus(
                state,
                target,
                r.stored(),
                r.committed(),
                r.behind(),
                r.progress(),
                sentence(report, index));
    }

    private static String sentence(StatusReport report, int index) {
        return report.sentences().size() > index ? report.sentences().get(index) : "";
    }

    /// Which of those that are not open it is, if it is opened without any command; else -1.
    private int openingIn(StatusReport report) {
        for (int i = 0; i < report.unopened().size(); i++) {
            StatusReport.Unopened each = report.unopened().get(i);
            if (each.soon() && each.name().equals(request.name())) {
                return i;
            }
        }
        return -1;
    }

    private int indexOf(StatusReport report) throws ProblemException {
        for (int i = 0; i < report.resources().size(); i++) {
            if (report.resources().get(i).name().equals(request.name())) {
                return i;
            }
        }
        for (StatusReport.Unopened each : report.unopened()) {
            if (each.name().equals(request.name())) {
                throw new ProblemException(
                        Problem.of(
                                        ExitCode.REFUSED,
                                        report.node().name(),
                                        request.name() + " is not open")
                                .withEvidence(each.cause())
                                .withNext(each.next()));
            }
        }
        throw new ProblemException(
                Problem.of(
                                ExitCode.REFUSED,
                                report.node().name(),
                                "there is no resource " + request.name())
                        .withEvidence(
                                report.resources().isEmpty()
                                        ? "it has no resource at all"
                                        : "it has "
                                                + String.join(
                                                        ", ",
                                                        report.resources().stream()
                                                                .map(StatusReport.Resource::name)
                                                                .toList()))
                        .withNext(statusCommand));
    }

    private boolean isDone(StatusReport.Resource r) {
        if (!r.isPrimary()) {
            return r.hasCopy() && r.isConnected() && r.replication().equals("ESTABLISHED");
        }
        return reaches(request.acked() ? r.stored() : r.committed(), target)
                && lacksNothingOlder(r)
                && (request.acked() || r.hasCopy());
    }

    private boolean lacksNothingOlder(StatusReport.Resource r) {
        return r.behind().filter(StatusReport.Behind.NOTHING::equals).isPresent()
                || r.replicatedUntil().filter(until -> !until.isBefore(began)).isPresent();
    }

    /// Whether `position` lies in the generation of `target` and not before it. `none` reaches
    /// nothing: a resource without a position has not begun.
    private static boolean reaches(String position, String target) {
        return !target.equals("none")
                && sameGeneration(position, target)
                && number(position).orElse(-1L) >= number(target).orElse(Long.MAX_VALUE);
    }

    private static boolean sameGeneration(String a, String b) {
        return generation(a).equals(generation(b));
    }

    private static String generation(String position) {
        int slash = position.indexOf('/');
        return slash < 0 ? "" : position.substring(0, slash);
    }

    private static Optional<Long> number(String position) {
        try {
            return Optional.of(Long.parseLong(position.substring(position.indexOf('/') + 1)));
        } catch (NumberFormatException _) {
            return Optional.empty();
        }
    }
}
