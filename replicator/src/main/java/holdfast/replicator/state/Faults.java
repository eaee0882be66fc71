package holdfast.replicator.state;

import java.util.Arrays;

/// Deliberate mistakes for test builds, to prove that the tests see them (correctness page,
/// mutants). All are off unless the system property `holdfast.mutants` lists them; a daemon refuses
/// to start with it.
public final class Faults {
    /// Acknowledges before the journal is synced.
    public static final boolean M1 = on("M1");

    /// Clears a block when it is sent, not when it is applied.
    public static final boolean M2 = on("M2");

    /// Clears a block by an acknowledgement older than its newest write.
    public static final boolean M3 = on("M3");

    /// Finishes a resync with queued writes that are older than it.
    public static final boolean M8 = on("M8");

    /// Applies overlapping writes in any order.
    public static final boolean M16 = on("M16");

    /// Replicates only the whole blocks of an unaligned trim.
    public static final boolean M17 = on("M17");

    /// Shows blocks of an epoch before its commit record.
    public static final boolean M25 = on("M25");

    /// Takes late answers of an older session.
    public static final boolean M26 = on("M26");

    private Faults() {}

    /// Whether any mistake is switched on.
    public static boolean any() {
        return !System.getProperty("holdfast.mutants", "").isBlank();
    }

    private static boolean on(String id) {
        return Arrays.asList(System.getProperty("holdfast.mutants", "").split(",")).contains(id);
    }
}
