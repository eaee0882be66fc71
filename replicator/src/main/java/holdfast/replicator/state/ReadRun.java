package holdfast.replicator.state;

import holdfast.checksum.TreeBuilder;
import holdfast.checksum.TreeComparison;

/// Blocks of the local disk that somebody should read for the peer, see [Primary#nextRead].
public final class ReadRun {
    /// What the read is for.
    public enum Purpose {
        /// Copy to the peer's base; the content at any moment from now on will do.
        FIRST_SYNC,
        /// Copy as of the epoch's position: the blocks are locked against writes until the read is
        /// handed over.
        EPOCH,
        /// Digest only, see [#newTree]; it may be very long.
        COMPARE,
        /// Whether the blocks read zero and take no room in the journal; locked as for an epoch.
        LOOK
    }

    final Op lock;

    /// Nobody waits for the result any more.
    boolean stale;

    /// What is compared, or null.
    final TreeComparison.Subject subject;

    private final Purpose purpose;
    private final BlockRun blocks;

    ReadRun(Purpose purpose, BlockRun blocks, Op lock) {
        this(purpose, blocks, lock, null);
    }

    ReadRun(Purpose purpose, BlockRun blocks, Op lock, TreeComparison.Subject subject) {
        this.purpose = purpose;
        this.blocks = blocks;
        this.lock = lock;
        this.subject = subject;
    }

    public Purpose purpose() {
        return purpose;
    }

    public BlockRun blocks() {
        return blocks;
    }

    /// What takes the content of blocks that are compared, from the first to the last.
    public TreeBuilder newTree() {
        return subject.newTree();
    }
}
