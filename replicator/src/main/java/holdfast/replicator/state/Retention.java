package holdfast.replicator.state;

/// How long what was received stays in the journal of a copy, so that any moment of it can be
/// opened: by the backup's own time of receipt, counted back from the newest record (R22).
///
/// @param millis records older than this go into the base
/// @param minMillis younger ones do not go, however little room the journal has
public record Retention(long millis, long minMillis) {
    /// Nothing but the newest moment.
    public static final Retention NONE = new Retention(0, 0);

    public Retention {
        if (minMillis < 0 || minMillis > millis) {
            throw new IllegalArgumentException(
                    "retention of %d ms, of %d ms at least".formatted(millis, minMillis));
        }
    }
}
