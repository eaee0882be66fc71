package holdfast.replicator.state;

/// How good a copy is, in DRBD's words. Ordinals go over the wire; they are never reused.
public enum DiskState {
    DISKLESS,
    /// Of a primary: it is being opened, which a disk that hangs may take long for.
    ATTACHING,
    /// The disk reported an error: writes have stopped (R11).
    FAILED,
    /// In the middle of a first sync: a mixture, not usable (R32).
    INCONSISTENT,
    /// Whole, but known to be old.
    OUTDATED,
    UP_TO_DATE;

    private static final DiskState[] ALL = values();

    /// @throws IllegalArgumentException if the number is none of these
    public static DiskState of(int ordinal) {
        if (ordinal < 0 || ordinal >= ALL.length) {
            throw new IllegalArgumentException("disk state " + ordinal);
        }
        return ALL[ordinal];
    }
}
