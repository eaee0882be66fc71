package holdfast.replicator.state;

import holdfast.checksum.SectorDigests;
import holdfast.checksum.TreeBuilder;
import holdfast.checksum.TreeComparison;
import holdfast.checksum.TreeShape;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.function.IntFunction;

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
        LOOK,
        /// Digest only, while the stream goes on: as [#COMPARE].
        VERIFY,
        /// A digest of each block, by [#blockDigests], as of one number: locked as for an epoch.
        CONFIRM
    }

    final Op lock;

    /// Nobody waits for the result any more.
    boolean stale;

    /// What is compared, or null.
    final TreeComparison.Subject subject;

    /// See [#isGuess].
    final boolean guess;

    /// What the peer holds of it, or null.
    final SectorQuestions.Answered answered;

    private final Purpose purpose;
    private final BlockRun blocks;
    private final long key;

    ReadRun(Purpose purpose, BlockRun blocks, Op lock, boolean guess) {
        this(purpose, blocks, lock, null, guess, null, 0);
    }

    /// To be compared, or verified.
    ReadRun(Purpose purpose, BlockRun blocks, TreeComparison.Subject subject) {
        this(purpose, blocks, null, subject, false, null, 0);
    }

    /// For an epoch, of which the peer has said what it holds.
    ///
    /// @param key of its digests
    ReadRun(SectorQuestions.Answered answered, Op lock, long key) {
        this(Purpose.EPOCH, answered.run(), lock, null, false, answered, key);
    }

    private ReadRun(
            Purpose purpose,
            BlockRun blocks,
            Op lock,
            TreeComparison.Subject subject,
            boolean guess,
            SectorQuestions.Answered answered,
            long key) {
        this.answered = answered;
        this.key = key;
        this.guess = guess;
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

    /// All of it lay in a hole of the disk a moment ago, so it may be longer than what is read at a
    /// time. Where it still does, [Primary#readHole]; else [Primary#readDropped] without reading.
    public boolean isGuess() {
        return guess;
    }

    /// What takes the content of blocks that are compared, from the first to the last.
    public TreeBuilder newTree() {
        return subject.newTree();
    }

    /// What is handed over to confirm that blocks differ. It takes time, so do it outside of the
    /// resource's lock.
    ///
    /// @param data of all blocks
    public static byte[] blockDigests(ByteBuffer data) {
        return TreeShape.DEFAULT.leaves(data);
    }

    /// A part of what was read.
    public record Part(long offsetBytes, ByteBuffer data) {}

    /// Whether the peer may hold parts of it: then [#partsToSend], and [Primary#readParts].
    public boolean isAnswered() {
        return answered != null;
    }

    /// What of the data the peer does not hold, in runs of sectors. It takes time, so do it outside
    /// of the resource's lock.
    ///
    /// @param data of all blocks, from its position on
    /// @param memory for copies, by their length; when all of it is to be sent, `data` itself is
    ///   what is returned
    public List<Part> partsToSend(ByteBuffer data, IntFunction<ByteBuffer> memory) {
        BitSet differing =
                SectorDigests.differing(
                        key, blocks.offsetBytes(), data, answered.digests(), answered.at());
        int sectors = SectorDigests.sectors(data.remaining());
        if (differing.cardinality() == sectors) {
            return List.of(new Part(blocks.offsetBytes(), data));
        }
        List<Part> parts = new ArrayList<>();
        for (int from = differing.nextSetBit(0); from >= 0; ) {
            int end = differing.nextClearBit(from);
            int offset = from * SectorDigests.SECTOR_BYTES;
            int length = Math.min(end * SectorDigests.SECTOR_BYTES, data.remaining()) - offset;
            ByteBuffer copy = memory.apply(length);
            copy.put(data.slice(data.position() + offset, length)).flip();
            parts.add(new Part(blocks.offsetBytes() + offset, copy));
            from = differing.nextSetBit(end);
        }
        return parts;
    }
}
