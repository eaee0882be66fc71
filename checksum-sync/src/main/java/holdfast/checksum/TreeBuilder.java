package holdfast.checksum;

import java.nio.ByteBuffer;

/// Makes the tree of a range whose content is handed over from its beginning to its end: data that
/// was read, or so many bytes that are known to read zero and need not be read.
public final class TreeBuilder {
    private final TreeShape shape;
    private final long lengthBytes;
    private final int leafLevel;
    private final byte[] leaves;
    private long doneBytes;

    /// @param lengthBytes 1 to [TreeShape#rangeBytesMax]
    TreeBuilder(TreeShape shape, long lengthBytes) {
        this.shape = shape;
        this.lengthBytes = lengthBytes;
        this.leafLevel = shape.leafLevelOf(lengthBytes);
        this.leaves = new byte[(int) shape.parts(lengthBytes, leafLevel) * TreeShape.DIGEST_BYTES];
    }

    public int leafLevel() {
        return leafLevel;
    }

    public long doneBytes() {
        return doneBytes;
    }

    public long leftBytes() {
        return lengthBytes - doneBytes;
    }

    /// How much to read next: whole parts, at least one.
    ///
    /// @param mostBytes at most, unless one part is more
    public int wantedBytes(int mostBytes) {
        return wantedBytes(shape, leafLevel, leftBytes(), mostBytes);
    }

    static int wantedBytes(TreeShape shape, int leafLevel, long leftBytes, int mostBytes) {
        long part = shape.partBytes(leafLevel);
        return (int) Math.min(leftBytes, Math.max(part, mostBytes / part * part));
    }

    /// What follows is known to read zero for so many bytes, or more than are left.
    ///
    /// @return how many of them were taken: whole parts; when there are none, it has to be read
    public long zeroes(long bytes) {
        long taken =
                bytes >= leftBytes()
                        ? leftBytes()
                        : Math.max(0, bytes)
                                / shape.partBytes(leafLevel)
                                * shape.partBytes(leafLevel);
        if (taken > 0) {
            leaves(taken, shape.zeroLeaves(taken, leafLevel));
        }
        return taken;
    }

    /// What follows was read: [#wantedBytes] of it.
    public void data(ByteBuffer data) {
        leaves(data.remaining(), shape.leaves(data, leafLevel));
    }

    /// What follows was read and digested by [TreeShape#leaves].
    void leaves(long bytes, byte[] digests) {
        long part = shape.partBytes(leafLevel);
        if (bytes > leftBytes()
                || (bytes % part != 0 && bytes != leftBytes())
                || digests.length != shape.parts(bytes, leafLevel) * TreeShape.DIGEST_BYTES) {
            throw new IllegalArgumentException(
                    "%d bytes and %d of digests, %d are left"
                            .formatted(bytes, digests.length, leftBytes()));
        }
        int at = (int) (doneBytes / part) * TreeShape.DIGEST_BYTES;
        System.arraycopy(digests, 0, leaves, at, digests.length);
        doneBytes += bytes;
    }

    /// When all is handed over.
    public HashTree tree() {
        if (leftBytes() != 0) {
            throw new IllegalStateException(leftBytes() + " bytes are left");
        }
        return new HashTree(shape, lengthBytes, leafLevel, leaves);
    }
}
