package holdfast.replicator.state;

/// When a primary has written, by its wall clock: labels for an operator, of which nothing follows.
///
/// @param firstMillis the oldest write that its peer may lack, or one before it; 0 for none,
///   [#UNKNOWN]
/// @param lastMillis the newest write, whoever has it; 0 for none, [#UNKNOWN]
public record WriteTimes(long firstMillis, long lastMillis) {
    public static final long UNKNOWN = -1;

    /// Nothing was written.
    public static final WriteTimes NONE = new WriteTimes(0, 0);

    public static final WriteTimes LOST = new WriteTimes(UNKNOWN, UNKNOWN);
}
