package holdfast.tunnel.wire;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// What the peer's clock on the wall shows, as far as answered pings tell: what a [Frame.Pong] says
/// it showed at some moment between the sending of the ping and the coming of the pong. A value;
/// each answer makes another.
///
/// ```
///  ours     sent ●───────────────────────────────● received
///                  ping ╲                   ╱ pong
///  the peer's             ╲──────● read ───╱        at the earliest at `sent`, at the latest at `received`
/// ```
///
/// From then on it goes on as our monotonic clock does, give or take [#DRIFT]. Of the last answers
/// the one counts that leaves least in doubt, which is as a rule the one that was back soonest (as
/// in NTP, RFC 5905 §10). One that contradicts those before it takes their place: somebody has set
/// the peer's clock.
public final class PeerClock {
    /// Before the first answer.
    public static final PeerClock UNKNOWN = new PeerClock(List.of());

    /// Eight pings are 80 s.
    private static final int KEPT = 8;

    /// Two clocks gain or lose less than a thousandth on each other: NTP corrects each of them by
    /// no more than half of that.
    private static final long DRIFT = 1000;

    /// A host whose clock has gained more on its monotonic one since an answer may have slept: how
    /// long ago that answer was is not known any more.
    private static final long SLEPT_MILLIS = 1000;

    /// The years 1970 to 9999.
    private static final long LATEST_MILLIS = 253_402_300_799_999L;

    /// What it shows now lies between these two.
    public record Reading(long earliestMillis, long latestMillis) {
        /// How far it is ahead of one that shows `ownMillis`; negative when it is behind.
        public double aheadMillis(long ownMillis) {
            return (earliestMillis - ownMillis + (latestMillis - ownMillis)) / 2.0;
        }

        /// By how much that may be wrong, either way.
        public double uncertaintyMillis() {
            return (latestMillis - earliestMillis) / 2.0;
        }
    }

    private record Answer(long sentNanos, long receivedNanos, long ownMillis, long peerMillis) {
        Reading at(long nowNanos) {
            long atLeast = Math.max(0, nowNanos - receivedNanos);
            long atMost = Math.max(0, nowNanos - sentNanos);
            long drift = atMost / DRIFT;
            return new Reading(
                    peerMillis + Math.floorDiv(atLeast - drift, 1_000_000L),
                    peerMillis + 1 + Math.ceilDiv(atMost + drift, 1_000_000L));
        }

        boolean holds(long nowNanos, long nowMillis) {
            long passed = (nowNanos - receivedNanos) / 1_000_000;
            return nowMillis - ownMillis - passed <= SLEPT_MILLIS;
        }
    }

    /// The oldest first.
    private final List<Answer> answers;

    private PeerClock(List<Answer> answers) {
        this.answers = answers;
    }

    /// The same with one more answer. What no clock shows is passed over.
    ///
    /// @param sentNanos by the monotonic clock, likewise `receivedNanos`
    /// @param ownMillis what our clock on the wall shows at the receipt
    /// @param peerMillis what the peer's showed
    public PeerClock answered(long sentNanos, long receivedNanos, long ownMillis, long peerMillis) {
        if (peerMillis < 0 || peerMillis > LATEST_MILLIS || receivedNanos < sentNanos) {
            return this;
        }
        Answer answer = new Answer(sentNanos, receivedNanos, ownMillis, peerMillis);
        Reading now = answer.at(receivedNanos);
        List<Answer> all = new ArrayList<>();
        for (Answer each : answers) {
            Reading said = each.at(receivedNanos);
            if (each.holds(receivedNanos, ownMillis)
                    && said.earliestMillis() <= now.latestMillis()
                    && now.earliestMillis() <= said.latestMillis()) {
                all.add(each);
            }
        }
        all.add(answer);
        return new PeerClock(List.copyOf(all.subList(Math.max(0, all.size() - KEPT), all.size())));
    }

    /// What it shows at this moment, which is not before the last answer; empty when nothing is
    /// known.
    ///
    /// @param nowMillis what our clock on the wall shows
    public Optional<Reading> at(long nowNanos, long nowMillis) {
        Reading best = null;
        for (Answer each : answers) {
            Reading said = each.at(nowNanos);
            if (each.holds(nowNanos, nowMillis)
                    && (best == null || said.uncertaintyMillis() <= best.uncertaintyMillis())) {
                best = said;
            }
        }
        return Optional.ofNullable(best);
    }
}
