package holdfast.tunnel.wire;

import java.util.Set;

/// Deliberate defects by which the checks are checked: each is off unless the system property
/// `holdfast.mutants` names it when the process starts. A daemon refuses to start while [#any]
/// holds.
///
/// The code under test reads a `static final boolean` that was taken from [#on], so that the defect
/// is folded away by the compiler when it is off.
public final class Mutants {
    /// The property's name; its value is a list of ids, separated by commas.
    public static final String PROPERTY = "holdfast.mutants";

    // First among the constants: those below are computed from it.
    private static final Set<String> ON = parse(System.getProperty(PROPERTY, ""));

    /// The assembler does not step forward when a read ends inside a payload.
    public static final boolean M19 = on("M19");

    private Mutants() {}

    /// Whether the defect `id` is wanted in this process.
    public static boolean on(String id) {
        return ON.contains(id);
    }

    /// Whether any defect is wanted: no process that holds somebody's data may go on then.
    public static boolean any() {
        return !ON.isEmpty();
    }

    private static Set<String> parse(String list) {
        return list.isBlank() ? Set.of() : Set.of(list.strip().split("\\s*,\\s*"));
    }
}
