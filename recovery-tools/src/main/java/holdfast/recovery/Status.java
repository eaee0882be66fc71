package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.json.Json;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.StatusTable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.time.ZoneId;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "status",
        description =
                "Says what would be lost now, or what can be opened, and how everything stands.",
        mixinStandardHelpOptions = true)
final class Status implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME", arity = "0..1", description = "Only this resource.")
    private Optional<String> name;

    @Option(
            names = {"-w", "--watch"},
            description = "Go on, in place on a terminal, else a block each time.")
    private boolean watch;

    @Option(
            names = "--interval",
            paramLabel = "SECONDS",
            defaultValue = "1",
            description = "Of --watch. Default: 1.")
    private double seconds;

    @Option(names = "--count", paramLabel = "N", description = "End --watch after N times.")
    private Optional<Integer> count;

    @Override
    public Integer call() throws Exception {
        ControlApi api = holdfast.api();
        if (!watch) {
            return holdfast.answer(report(api), text);
        }
        int left = count.orElse(Integer.MAX_VALUE);
        while (true) {
            holdfast.terminal().refresh(block(api));
            if (--left <= 0) {
                return ExitCode.DONE.number();
            }
            Thread.sleep((long) (Math.max(0.1, seconds) * 1000));
        }
    }

    private String text;

    private StatusReport report(ControlApi api) throws ProblemException {
        StatusReport report = api.status();
        if (name.isPresent()) {
            report = only(report, name.get());
        }
        text = StatusTable.of(report, ZoneId.systemDefault());
        return report;
    }

    /// A daemon that is being restarted does not end the watching.
    private String block(ControlApi api) {
        try {
            StatusReport report = report(api);
            if (holdfast.json()) {
                return Json.write(report) + "\n";
            }
            return holdfast.terminal().interactive() ? text : text + "\n";
        } catch (ProblemException e) {
            return holdfast.json() ? Json.write(e.problem()) + "\n" : e.problem().text();
        }
    }

    private StatusReport only(StatusReport report, String name) throws ProblemException {
        for (int i = 0; i < report.resources().size(); i++) {
            if (report.resources().get(i).name().equals(name)) {
                return new StatusReport(
                        List.of(report.sentences().get(i)),
                        report.node(),
                        report.link(),
                        List.of(report.resources().get(i)),
                        List.of(),
                        report.settingsDiffer());
            }
        }
        for (int i = 0; i < report.unopened().size(); i++) {
            if (report.unopened().get(i).name().equals(name)) {
                return new StatusReport(
                        List.of(report.sentences().get(report.resources().size() + i)),
                        report.node(),
                        report.link(),
                        List.of(),
                        List.of(report.unopened().get(i)),
                        report.settingsDiffer());
            }
        }
        throw new ProblemException(
                Problem.of(ExitCode.REFUSED, report.node().name(), "there is no resource " + name)
                        .withNext(holdfast.paths().command("status")));
    }
}
