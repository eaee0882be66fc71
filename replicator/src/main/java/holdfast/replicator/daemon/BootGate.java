package holdfast.replicator.daemon;

import holdfast.replicator.state.Verdict;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.time.Duration;
import java.util.Optional;

/// Whether a primary that comes up after its host was restarted may be exported (R30): while the
/// host was down the copy may have been promoted, and then there must not be two. So the peer is
/// asked first, for a bounded time: a power cut together with a dead uplink must not keep the only
/// server down. It delays the export and never makes it read-only, for a journalling filesystem
/// that was not unmounted does not mount so.
///
/// A start under the same boot is not gated: an upgrade is a restart of the daemon.
final class BootGate {
    /// What comes of it.
    sealed interface Outcome {
        /// Export it.
        ///
        /// @param why for the event
        record Open(String why) implements Outcome {}

        /// @param left of the time; absent: for ever
        record Wait(Optional<Duration> left) implements Outcome {}

        /// The peer goes on from here by itself: two histories would begin.
        record Closed(String why) implements Outcome {}
    }

    private BootGate() {}

    /// @param waited since the daemon started
    /// @param limit absent: for ever
    /// @param mine what this host has
    /// @param peer what the other copy said of itself in this session; null when nothing
    static Outcome decide(
            Duration waited,
            Optional<Duration> limit,
            Frame.ResourceHello mine,
            Frame.ResourceHello peer) {
        if (peer != null) {
            return reason(mine, peer)
                    .<Outcome>map(Outcome.Closed::new)
                    .orElseGet(() -> new Outcome.Open("the peer was not promoted"));
        }
        if (limit.isEmpty()) {
            return new Outcome.Wait(Optional.empty());
        }
        Duration left = limit.get().minus(waited);
        return left.isPositive()
                ? new Outcome.Wait(Optional.of(left))
                : new Outcome.Open(
                        "the peer has not answered within %d s".formatted(limit.get().toSeconds()));
    }

    /// Why the other side keeps it closed. A primary there does when it was promoted since both
    /// were the same, or when nothing says what it is to this one. A former primary does not: where
    /// this one was promoted, it is the one that goes on.
    private static Optional<String> reason(Frame.ResourceHello mine, Frame.ResourceHello peer) {
        String promoted = "the copy at the peer was promoted and goes on by itself";
        return switch (Verdict.of(mine, peer)) {
            case Verdict.Forked(Position common, _) when Verdict.isPrimary(peer) ->
                    isPromotedSince(common, peer.ancestry())
                            ? Optional.of(promoted)
                            : Optional.empty();
            case Verdict.Behind _, Verdict.Forked _ -> Optional.of(promoted);
            case Verdict.Unrelated(String why) when Verdict.isPrimary(peer) -> Optional.of(why);
            case Verdict.Equal _,
                    Verdict.Ahead _,
                    Verdict.Unrelated _,
                    Verdict.SetBack _,
                    Verdict.Unfit _ ->
                    Optional.empty();
        };
    }

    private static boolean isPromotedSince(Position common, Ancestry past) {
        int from = past.indexOf(common.generation());
        return past.entries().subList(from + 1, past.entries().size()).stream()
                .anyMatch(each -> each.reason() == Ancestry.Reason.PROMOTE);
    }
}
