package holdfast.replicator.state;

/// Counts, in milliseconds, the time that has passed at a backup, for what becomes old enough to be
/// given up (R22), and never more than has passed: history that is gone because a clock was wrong
/// comes back by nothing.
///
/// ```
///  the daemon runs          it goes on as the monotonic clock does
///  it did not run, or       it stands still, until the peer's clock is seen again: then as much has
///  the host slept           passed as both clocks say, the backup's and the peer's, each of itself
/// ```
///
/// So one clock that is wrong, or is set, makes nothing old, at either host and in whichever
/// direction. Where the two do not agree the lesser of what they say counts, and the rest of it
/// never: what was to expire then does so as much later. Nor does it when something has got its
/// time in between, which would else become older by it as well ([#forget]).
///
/// The count begins with the clock on the wall and is close to that as a rule, but is not set when
/// that is: between two counts lies a span of time, and a count is no time of day. All of it:
/// docs/decisions/0022-clocks.md.
final class PassedTime {
    /// What the clock on the wall may say more than is counted, without being news: a restart, a
    /// correction.
    private static final long DOUBT_MILLIS = 600_000;

    private boolean runs;

    /// Counted at `nanos`.
    private long millis;

    private long nanos;

    /// When both clocks were seen last.
    private ClockCheck check;

    /// Whether they have been since this began to run.
    private boolean checked;

    /// Whether they were at the last [#tick].
    private boolean seesBoth;

    /// What the clock on the wall says that has passed beyond what is counted.
    private long doubtMillis;

    /// @param check what is durable, [ClockCheck#NONE] for nothing
    PassedTime(ClockCheck check) {
        this.check = check;
        millis = check.passedMillis();
    }

    /// It had counted as much before it began to run.
    void atLeast(long counted) {
        millis = Math.max(millis, counted);
    }

    /// Time passes.
    void tick(Now now) {
        if (!runs) {
            runs = true;
            nanos = now.nanos();
            if (millis == 0 || Faults.M93) {
                millis = Math.max(millis, now.wallMillis());
            }
        }
        // What is left of a millisecond counts the next time.
        long passed = Math.max(0, now.nanos() - nanos) / 1_000_000;
        millis += passed;
        nanos += passed * 1_000_000;
        seesBoth = now.peer() != null;
        if (seesBoth) {
            compare(now);
        }
        doubtMillis =
                check.isNone()
                        ? 0
                        : now.wallMillis() - check.ownMillis() - (millis - check.passedMillis());
    }

    private void compare(Now now) {
        if (!check.isNone()) {
            long own = now.wallMillis() - check.ownMillis();
            long peer = now.peer().earliestMillis() - check.peerMillis();
            millis = Math.max(millis, check.passedMillis() + Math.min(own, peer));
        }
        check = new ClockCheck(millis, now.wallMillis(), now.peer().latestMillis());
        checked = true;
    }

    /// Whether more may have passed since the clocks were seen than is counted, and be counted
    /// later: before something gets what is counted for its time, [#forget].
    boolean isLoose() {
        return !check.isNone() && !seesBoth;
    }

    /// What has passed since the clocks were seen, and is not counted, never counts.
    void forget() {
        check = ClockCheck.NONE;
    }

    /// As of the last [#tick]; 0 before the first where nothing was counted before.
    long millis() {
        return millis;
    }

    ClockCheck check() {
        return check;
    }

    /// Whether the peer's clock was seen since this began to run.
    boolean isChecked() {
        return checked;
    }

    /// What the clock on the wall says that has passed, and is not counted before the peer's clock
    /// says so too; 0 for nothing worth telling. As of the last [#tick].
    long doubtMillis() {
        return doubtMillis > DOUBT_MILLIS ? doubtMillis : 0;
    }
}
