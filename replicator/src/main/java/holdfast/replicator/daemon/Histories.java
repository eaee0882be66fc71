package holdfast.replicator.daemon;

import holdfast.replicator.state.Since;
import holdfast.replicator.state.Verdict;
import holdfast.replicator.status.Words;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.time.Instant;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/// What two copies have done since they were the same, in words for whoever has to choose between
/// them.
///
/// @param node name of this host, whose id is `nodeId`
record Histories(String node, UUID nodeId, String peer, ZoneId zone) {
    /// @param mine what this side says of itself, with the position it is at
    /// @param theirs what the peer said of itself
    List<String> since(Frame.ResourceHello mine, Frame.ResourceHello theirs) {
        Position common = Since.common(Verdict.of(mine, theirs));
        List<String> lines = new ArrayList<>();
        lines.add(
                common.isNone()
                        ? "no moment is known at which both were the same"
                        : "both were the same at %s for the last time".formatted(common));
        lines.add(side(node, mine, common));
        lines.add(side(peer, theirs, common));
        return lines;
    }

    private String side(String host, Frame.ResourceHello side, Position common) {
        String role = Verdict.isPrimary(side) ? "primary" : "secondary";
        return "%s: %s, at %s%s".formatted(host, role, side.committed(), done(side, common));
    }

    private String done(Frame.ResourceHello side, Position common) {
        Since since = Since.of(side, common);
        List<String> events = new ArrayList<>();
        if (since.writes() > 0) {
            events.add("%d writes more".formatted(since.writes()));
        }
        for (Ancestry.Entry each : since.begun()) {
            events.add(
                    "%s by %s at %s"
                            .formatted(
                                    word(each.reason()),
                                    each.author().equals(nodeId) ? node : peer,
                                    Words.moment(
                                            Instant.ofEpochMilli(each.wallMillis()),
                                            Instant.now(),
                                            zone)));
        }
        if (since.writesSince() > 0) {
            events.add("%d writes since then".formatted(since.writesSince()));
        }
        return events.isEmpty() ? ", nothing since" : "; since then " + String.join(", ", events);
    }

    private static String word(Ancestry.Reason reason) {
        return switch (reason) {
            case CREATE -> "created";
            case ATTACH -> "attached";
            case CRASH -> "started again after a crash";
            case PROMOTE -> "promoted";
            case FORCE -> "forced";
        };
    }
}
