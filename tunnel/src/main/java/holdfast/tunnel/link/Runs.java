package holdfast.tunnel.link;

import java.util.LinkedHashSet;

/// The runs of one peer's daemon that have had a session, in the order of their first: so that it
/// is seen when two of them are alive at once.
final class Runs {
    /// Each restart is one.
    static final int MOST = 64;

    private final LinkedHashSet<Long> known = new LinkedHashSet<>();

    /// Whether the run that comes now is one that came back though that of the present session had
    /// come before it.
    boolean isClone(long now, long present) {
        if (now == present || !known.contains(now)) {
            return false;
        }
        for (long each : known) {
            if (each == present || each == now) {
                return each == present;
            }
        }
        return false;
    }

    /// The run has a session from now on.
    ///
    /// @param before whose session ends for it, which may come back: it is not forgotten now
    void admitted(long now, long before) {
        known.add(now);
        if (known.size() > MOST) {
            known.stream()
                    .filter(each -> each != now && each != before)
                    .findFirst()
                    .ifPresent(known::remove);
        }
    }
}
