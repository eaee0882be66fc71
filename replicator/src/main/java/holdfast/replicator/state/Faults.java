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

    /// Counts a write as skipped before its blocks are marked.
    public static final boolean M9 = Mutants.on("M9");

    /// Takes the stream up by position although blocks are marked.
    public static final boolean M10 = Mutants.on("M10");

    /// Brings a copy that gives up its own on by what is marked here, which knows nothing of what
    /// the other side wrote.
    public static final boolean M11 = Mutants.on("M11");

    /// Takes a discard for done when the epoch that brings the copy on has begun.
    public static final boolean M12 = Mutants.on("M12");

    /// Takes a peer that has less than it acknowledged for one that is only behind.
    public static final boolean M15 = Mutants.on("M15");

    /// Applies overlapping writes in any order.
    public static final boolean M16 = Mutants.on("M16");

    /// Replicates only the whole blocks of an unaligned trim.
    public static final boolean M17 = Mutants.on("M17");

    /// Forgets the error of one piece of a request when a later one goes well.
    public static final boolean M18 = Mutants.on("M18");

    /// Takes a damaged journal for one with a torn end.
    public static final boolean M21 = Mutants.on("M21");

    /// Takes any slot for the newest.
    public static final boolean M24 = Mutants.on("M24");

    /// Shows blocks of an epoch before its commit record.
    public static final boolean M25 = Mutants.on("M25");

    /// Takes late answers of an older session.
    public static final boolean M26 = Mutants.on("M26");

    /// Takes what came with a growth of the device for equal.
    public static final boolean M28 = Mutants.on("M28");

    /// Rolls the point away that an open view shows.
    public static final boolean M29 = Mutants.on("M29");

    /// Marks nothing after a crash.
    public static final boolean M31 = Mutants.on("M31");

    /// Reports as missing at the peer only what is marked, not what is buffered.
    public static final boolean M32 = Mutants.on("M32");

    /// Takes a device that was written to behind our back for what it was at the clean stop.
    public static final boolean M36 = Mutants.on("M36");

    /// Gives an epoch the position of the last write, also where the peer has it already.
    public static final boolean M37 = Mutants.on("M37");

    /// Leaves out of a block what the committed image has, also where the epoch has staged other
    /// content of that block already.
    public static final boolean M38 = Mutants.on("M38");

    /// Takes a primary that was set back to an older copy of itself for what it was.
    public static final boolean M39 = Mutants.on("M39");

    /// Does not take into an epoch what the peer has kept of one that was cut off.
    public static final boolean M40 = Mutants.on("M40");

    /// Goes in a start by the bits that are there, and not by the acknowledgement that stands with
    /// them.
    public static final boolean M41 = Mutants.on("M41");

    /// Takes a discard for one piece, however many extents it touches.
    public static final boolean M42 = Mutants.on("M42");

    /// Gives segments of the journal free before it is durable that the base holds what is in them.
    public static final boolean M44 = Mutants.on("M44");

    /// Tells the age of the copy by the clock on the wall.
    public static final boolean M45 = Mutants.on("M45");

    /// Says of an epoch that it is complete until its commit is sent, and not until it was frozen.
    public static final boolean M46 = Mutants.on("M46");

    /// Shortens the history of a full journal below what is to be kept of it.
    public static final boolean M50 = Mutants.on("M50");

    /// Opens a moment also when the base is being rolled past it.
    public static final boolean M51 = Mutants.on("M51");

    /// Writes to the base before it is durable what was saved of it for a pin.
    public static final boolean M52 = Mutants.on("M52");

    /// Rolls the base past a pin without stopping there.
    public static final boolean M53 = Mutants.on("M53");

    /// Saves for a pin what is saved already.
    public static final boolean M54 = Mutants.on("M54");

    /// Reports a block as different that was not looked at again.
    public static final boolean M60 = Mutants.on("M60");

    /// Answers an exact question when it comes, not when what was sent before it is in the copy.
    public static final boolean M61 = Mutants.on("M61");

    /// Asks an exact question at any place in the stream.
    public static final boolean M62 = Mutants.on("M62");

    /// Sends a mark anywhere in the stream.
    public static final boolean M63 = Mutants.on("M63");

    /// Answers a mark when it is taken, not when it is durable.
    public static final boolean M65 = Mutants.on("M65");

    /// Leaves what was zeroed since as it is when an older moment is promoted.
    public static final boolean M71 = Mutants.on("M71");

    /// Gives up what a copy has by itself without keeping it.
    public static final boolean M72 = Mutants.on("M72");

    /// Brings a copy back that has gone on by itself, unasked.
    public static final boolean M73 = Mutants.on("M73");

    /// Counts the whole of a packed segment as room when it is freed.
    public static final boolean M80 = Mutants.on("M80");

    /// Leaves out of a union what the copy has changed that gives up its own.
    public static final boolean M84 = Mutants.on("M84");

    /// Leaves out of a union what the primary has marked.
    public static final boolean M85 = Mutants.on("M85");

    /// Takes a union also where one side was told of what the other never told.
    public static final boolean M86 = Mutants.on("M86");

    /// Takes the marks of a promoted side for all that changed also when it has filled a copy.
    public static final boolean M87 = Mutants.on("M87");

    /// Takes any epoch for the one that mends what of the copy cannot be read.
    public static final boolean M91 = Mutants.on("M91");

    /// Forgets with a restart what is damaged of the journal, and what leads over it.
    public static final boolean M92 = Mutants.on("M92");

    /// Believes the clock on the wall that a start finds, however far it is ahead.
    public static final boolean M93 = Mutants.on("M93");

    /// Takes what comes in for what the primary has written just then.
    public static final boolean M94 = Mutants.on("M94");

    /// Takes the stream for whole, whatever the primary says of what it leaves out.
    public static final boolean M95 = Mutants.on("M95");

    /// A copy that is put back again while a comparison with it has not ended in a commit is
    /// brought on by what that found different.
    public static final boolean M96 = Mutants.on("M96");

    /// Of the two slots of a value the one that holds it is written over.
    public static final boolean M98 = Mutants.on("M98");

    private Faults() {}
}
