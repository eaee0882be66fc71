package holdfast.replicator.state;

import holdfast.tunnel.wire.Mutants;

/// Deliberate mistakes for test builds, to prove that the tests see them (correctness page,
/// mutants). All are off unless [Mutants] says otherwise.
public final class Faults {
    /// Acknowledges before the journal is synced.
    public static final boolean M1 = Mutants.on("M1");

    /// Clears a block when it is sent, not when it is applied.
    public static final boolean M2 = Mutants.on("M2");

    /// Clears a block by an acknowledgement older than its newest write.
    public static final boolean M3 = Mutants.on("M3");

    /// Writes before the activity log is durable.
    public static final boolean M4 = Mutants.on("M4");

    /// Writes although the activity log could not be written.
    public static final boolean M5 = Mutants.on("M5");

    /// Lets an extent leave the activity log before its data are durable.
    public static final boolean M6 = Mutants.on("M6");

    /// Forgets blocks when they are asked to be compared, not when the answer is there.
    public static final boolean M7 = Mutants.on("M7");

    /// Finishes a resync with queued writes that are older than it.
    public static final boolean M8 = Mutants.on("M8");

    /// Takes the stream up by position although blocks are marked.
    public static final boolean M10 = Mutants.on("M10");

    /// Takes a peer that has less than it acknowledged for one that is only behind.
    public static final boolean M15 = Mutants.on("M15");

    /// Applies overlapping writes in any order.
    public static final boolean M16 = Mutants.on("M16");

    /// Replicates only the whole blocks of an unaligned trim.
    public static final boolean M17 = Mutants.on("M17");

    /// Takes a damaged journal for one with a torn end.
    public static final boolean M21 = Mutants.on("M21");

    /// Takes any slot for the newest.
    public static final boolean M24 = Mutants.on("M24");

    /// Shows blocks of an epoch before its commit record.
    public static final boolean M25 = Mutants.on("M25");

    /// Takes late answers of an older session.
    public static final boolean M26 = Mutants.on("M26");

    /// Marks nothing after a crash.
    public static final boolean M31 = Mutants.on("M31");

    /// Reports as missing at the peer only what is marked, not what is buffered.
    public static final boolean M32 = Mutants.on("M32");

    private Faults() {}
}
