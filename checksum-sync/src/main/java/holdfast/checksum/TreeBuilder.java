package holdfast.checksum;

import java.nio.ByteBuffer;

/// Makes the tree of a range whose content is handed over from its beginning to its end: data that
/// was read, or so many bytes that are known to read zero and need not be read.
public final class TreeBuilder {
    private final TreeShape shape;
    private final long lengthBytes;

    /// Null as long as all of it reads zero.
    private byte[] leaves;

    private long doneBytes;

    /// @param lengthBytes 1 to [TreeShape#rangeBytesMax]
    TreeBuilder(TreeShape shape, long lengthBytes) {
        this.shape = shape;
        this.lengthBytes = lengthBytes;
    }

    public long doneBytes() {
        return doneBytes;
    }

    public long leftBytes() {
        return lengthBytes - doneBytes;
    }

    /// How much to read next: whole blocks, at least one.
    ///
    /// @param mostBytes at most, unless one block is more
    public int wantedBytes(int mostBytes) {
        return wantedBytes(leftBytes(), mostBytes);
    }

    static int wantedBytes(long leftBytes, int mostBytes) {
        int block = TreeShape.BLOCK_BYTES;
        return (int) Math.min(leftBytes, Math.max(block, mostBytes / block * block));
    }

    /// What follows is known to read zero for so many bytes, or more than are left.
    ///
    /// @return how many of them were taken: whole blocks; when there are none, it has to be read
    public long zeroes(long bytes) {
        long taken =
                bytes >= leftBytes()
                        ? leftBytes()
                        : Math.max(0, bytes) / TreeShape.BLOCK_BYTES * TreeShape.BLOCK_BYTES;
        if (taken > 0 && leaves != null) {
            leaves(taken, zeroLeaves(taken));
        } else {
            doneBytes += taken;
        }
        return taken;
    }

    private byte[] zeroLeaves(long bytes) {
        return HashTree.ofZeroes(shape, bytes).digests(0, bytes, 0);
    }

    /// What follows was read: [#wantedBytes] of it.
    public void data(ByteBuffer data) {
        leaves(data.remaining(), shape.leaves(data));
    }

    /// What follows was read and digested by [TreeShape#leaves].
    void leaves(long bytes, byte[] digests) {
        if (bytes > leftBytes()
                || (bytes % TreeShape.BLOCK_BYTES != 0 && bytes != leftBytes())
                || digests.length != shape.parts(bytes, 0) * TreeShape.DIGEST_BYTES) {
            throw new IllegalArgumentException(
                    "%d bytes and %d of digests, %d are left"
                            .formatted(bytes, digests.length, leftBytes()));
        }
        if (leaves == null) {
            leaves = new byte[(int) shape.parts(lengthBytes, 0) * TreeShape.DIGEST_BYTES];
            if (doneBytes > 0) {
                byte[] zeroes = zeroLeaves(doneBytes);
                System.arraycopy(zeroes, 0, leaves, 0, zeroes.length);
            }
        }
        int at = (int) (doneBytes / TreeShape.BLOCK_BYTES) * TreeShape.DIGEST_BYTES;
        System.arraycopy(digests, 0, leaves, at, digests.length);
        doneBytes += bytes;
    }

    /// When all is handed over.
    public HashTree tree() {
        if (leftBytes() != 0) {
            throw new IllegalStateException(leftBytes() + " bytes are left");
        }
        return leaves == null
                ? HashTree.ofZeroes(shape, lengthBytes)
                : HashTree.of(shape, lengthBytes, leaves);
    }
}
