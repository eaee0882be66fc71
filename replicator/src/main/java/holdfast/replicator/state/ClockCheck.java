package holdfast.replicator.state;

/// What both hosts' clocks showed at one moment, so that each of them tells later how much time has
/// passed since.
///
/// @param passedMillis what [PassedTime] had counted then
/// @param ownMillis what this host's clock showed
/// @param peerMillis what the peer's showed at the latest
public record ClockCheck(long passedMillis, long ownMillis, long peerMillis) {
    /// They were not compared, or something bears a count of since then.
    public static final ClockCheck NONE = new ClockCheck(0, 0, 0);

    public boolean isNone() {
        return equals(NONE);
    }
}
