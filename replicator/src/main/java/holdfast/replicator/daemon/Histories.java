package holdfast.replicator.daemon;

import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Since;
import holdfast.replicator.state.Verdict;
import holdfast.replicator.status.StatusReport;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.LongStream;

/// What two copies have done since they were the same, for whoever has to choose between them. It
/// is put together of what both have said, and is the same on both sides but for their order.
///
/// @param node name of this host, whose id is `nodeId`
record Histories(String node, UUID nodeId, String peer) {
    /// What one side says of itself.
    ///
    /// @param hello with the position it is at
    /// @param wrote null while it has not said that
    record Said(Frame.ResourceHello hello, Frame.Wrote wrote) {}

    /// As both have told last; empty where nothing keeps them apart.
    static Optional<StatusReport.Histories> told(Shared shared, LocalResource of) {
        Frame.ResourceHello theirs = of.peerHello();
        Said mine = of.standoff().mine();
        return theirs == null || mine == null
                ? Optional.empty()
                : Optional.of(
                        new Histories(shared.node(), shared.nodeId(), of.dir().facts().peer())
                                .of(mine, new Said(theirs, of.standoff().theirs(theirs))));
    }

    StatusReport.Histories of(Said mine, Said theirs) {
        Position common = Since.common(Verdict.of(mine.hello(), theirs.hello()));
        Optional<Instant> time = timeOf(common, mine, theirs);
        return new StatusReport.Histories(
                common.isNone() ? Optional.empty() : Optional.of(common.toString()),
                time,
                List.of(side(node, mine, common, time), side(peer, theirs, common, time)));
    }

    /// When that position was written. Who was promoted there knows it best; else who stands there
    /// still. Both sides take the same of what both have said.
    private static Optional<Instant> timeOf(Position at, Said mine, Said theirs) {
        if (at.isNone()) {
            return Optional.empty();
        }
        long promoted = Math.max(partedMillis(mine, at), partedMillis(theirs, at));
        return moment(
                promoted > 0
                        ? promoted
                        : LongStream.of(standsMillis(mine, at), standsMillis(theirs, at))
                                .max()
                                .getAsLong());
    }

    private static long partedMillis(Said side, Position at) {
        return side.wrote() == null
                ? 0
                : side.hello().ancestry().entries().reversed().stream()
                        .filter(each -> each.reason() == Ancestry.Reason.PROMOTE)
                        .findFirst()
                        .filter(each -> each.parent().equals(at))
                        .map(_ -> side.wrote().partedMillis())
                        .orElse(0L);
    }

    private static long standsMillis(Said side, Position at) {
        return side.wrote() != null && !side.wrote().orLater() && side.wrote().at().equals(at)
                ? side.wrote().lastMillis()
                : 0;
    }

    private StatusReport.Side side(
            String host, Said said, Position common, Optional<Instant> commonTime) {
        Frame.ResourceHello hello = said.hello();
        Frame.Wrote wrote = said.wrote();
        boolean isKnown =
                wrote != null
                        && wrote.blocks() >= 0
                        && wrote.doubtful() >= 0
                        && !common.isNone()
                        && Verdict.isNotBehind(hello.ancestry(), wrote.since(), common);
        // Of what it wrote before the last moment of both some may be marked still.
        boolean isSinceThen = isKnown && wrote.since().equals(common);
        Optional<Long> blocks = isKnown ? Optional.of(wrote.blocks()) : Optional.empty();
        Optional<Long> doubtful = isKnown ? Optional.of(wrote.doubtful()) : Optional.empty();
        Optional<Instant> first = isKnown ? moment(wrote.firstMillis()) : Optional.empty();
        return new StatusReport.Side(
                host,
                (Verdict.isPrimary(hello) ? Role.PRIMARY : Role.SECONDARY).name(),
                (wrote == null ? hello.committed() : wrote.at()).toString(),
                Since.of(hello, common).begun().stream().map(this::begun).toList(),
                wrote != null,
                isSinceThen
                        ? first
                        : first.map(time -> commonTime.filter(time::isBefore).orElse(time)),
                wrote == null ? Optional.empty() : moment(wrote.lastMillis()),
                wrote != null && wrote.orLater(),
                blocks,
                blocks.map(Histories::bytes),
                isKnown && !(isSinceThen && wrote.exact()),
                doubtful,
                doubtful.map(Histories::bytes));
    }

    private StatusReport.Begun begun(Ancestry.Entry entry) {
        return new StatusReport.Begun(
                entry.reason().name(),
                entry.author().equals(nodeId) ? node : peer,
                Instant.ofEpochMilli(entry.wallMillis()));
    }

    private static Optional<Instant> moment(long millis) {
        return millis > 0 ? Optional.of(Instant.ofEpochMilli(millis)) : Optional.empty();
    }

    /// A peer may say anything.
    private static long bytes(long blocks) {
        return Math.min(blocks, Long.MAX_VALUE / BlockSet.BLOCK_BYTES) * BlockSet.BLOCK_BYTES;
    }
}
