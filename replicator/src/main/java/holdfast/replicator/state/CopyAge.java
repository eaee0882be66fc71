package holdfast.replicator.state;

/// How old the copy is, and never less than it is: how old it was when something came in, and how
/// long ago that is. What came in bears the primary's clock; what that clock shows now says how
/// long it has waited and travelled, however wrong it is.
///
/// ```
///  primary's clock       written ●────────────────────────● shows now at the latest
///                                 ╲ buffer, link, journal ╱
///  backup                          ╲─────────────────────● came in ───────────────► now
///                                                   `millis`        monotonic, or on the wall
/// ```
///
/// @param nanos of the monotonic clock when it came in
/// @param wallMillis of this host's clock on the wall then
/// @param millis how old the copy was then, at most
public record CopyAge(long nanos, long wallMillis, long millis) {
    /// Of something that has just come in.
    ///
    /// @param stampMillis of the primary's clock: until then everything is in the copy
    /// @return null when it is not known: the primary's clock was not seen, or was set since
    static CopyAge of(long stampMillis, Now now) {
        if (now.peer() == null || stampMillis < 0 || stampMillis > now.peer().latestMillis()) {
            return null;
        }
        long waited = Faults.M94 ? 0 : now.peer().latestMillis() - stampMillis;
        return new CopyAge(now.nanos(), now.wallMillis(), waited);
    }

    /// How old the copy is at a later moment. The monotonic clock stands still in a host that
    /// sleeps, the one on the wall does not, and may be set: the one that has gone on further
    /// counts.
    public long at(long nowNanos, long nowMillis) {
        long passed = Math.ceilDiv(Math.max(0, nowNanos - nanos), 1_000_000L);
        return millis + Math.max(passed, nowMillis - wallMillis);
    }

    /// The one by which the copy is younger: it has only become newer since either. Null is older
    /// than all.
    static CopyAge younger(CopyAge before, CopyAge next) {
        return next == null
                        || before != null && before.at(next.nanos, next.wallMillis) <= next.millis
                ? before
                : next;
    }
}
