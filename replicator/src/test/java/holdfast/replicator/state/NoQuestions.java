package holdfast.replicator.state;

/// For tests of what goes on when the peer is not asked which sectors it holds.
final class NoQuestions {
    private static final Limits OF = Limits.DEFAULT;

    static final Limits LIMITS =
            new Limits(
                    OF.runBlocks(),
                    OF.holeBlocks(),
                    OF.fanOut(),
                    OF.treeBlocks(),
                    OF.treesInFlight(),
                    OF.comparesInFlight(),
                    OF.readAheadBytes(),
                    OF.dwellNanos(),
                    OF.heartbeatNanos(),
                    OF.askAgainNanos(),
                    OF.extentBlocks(),
                    OF.activeExtents(),
                    OF.keepNanos(),
                    0,
                    OF.wholeBlocks(),
                    OF.keptRanges());

    private NoQuestions() {}
}
