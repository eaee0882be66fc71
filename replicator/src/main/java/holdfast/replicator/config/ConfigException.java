package holdfast.replicator.config;

import java.util.List;
import java.util.stream.Collectors;

/// The settings cannot be used; nothing was opened. Its message is the whole report, one problem a
/// line.
public final class ConfigException extends Exception {
    private static final long serialVersionUID = 1;

    private final transient List<Problem> problems;

    public ConfigException(List<Problem> problems) {
        super(problems.stream().map(Problem::toString).collect(Collectors.joining("\n")));
        this.problems = List.copyOf(problems);
    }

    /// All of them, by file and in the order of the text.
    public List<Problem> problems() {
        return problems;
    }
}
