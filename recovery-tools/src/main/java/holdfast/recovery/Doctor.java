package holdfast.recovery;

import holdfast.replicator.control.ExitCode;

import picocli.CommandLine.Command;
import picocli.CommandLine.ParentCommand;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;

@Command(
        name = "doctor",
        description =
                "Looks for what will hurt: each finding is green, yellow or red, with its evidence and what to do.",
        mixinStandardHelpOptions = true)
final class Doctor implements Callable<Integer> {
    private static final String[] COLOURS = {"\u001b[32m", "\u001b[33m", "\u001b[31m"};

    @ParentCommand private Holdfast holdfast;

    /// @param findings in the order in which they were looked for
    private record Report(List<Finding> findings) {}

    @Override
    public Integer call() {
        List<Finding> findings =
                new Examination(holdfast.paths(), holdfast.api(), Path.of("/")).findings();
        var out = new StringBuilder();
        findings.forEach(f -> out.append(line(f)));
        holdfast.answer(new Report(findings), out.toString());
        boolean red = findings.stream().anyMatch(f -> f.level() == Finding.Level.RED);
        return (red ? ExitCode.FAILED : ExitCode.DONE).number();
    }

    private String line(Finding f) {
        String word = "%-6s".formatted(f.level().name().toLowerCase(java.util.Locale.ROOT));
        String level =
                holdfast.terminal().interactive()
                        ? COLOURS[f.level().ordinal()] + word + "\u001b[0m"
                        : word;
        return "%s  %-20s  %s%n%s"
                .formatted(
                        level,
                        f.subject(),
                        f.evidence(),
                        f.next().map(n -> " ".repeat(30) + "next: " + n + "\n").orElse(""));
    }
}
