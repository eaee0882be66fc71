package holdfast.checksum;

import java.util.Arrays;

/// The digests of one range, from those of its blocks up to the one of the whole, and on to the
/// top: what is the last part of a longer range is asked for on its level.
public final class HashTree {
    private final TreeShape shape;
    private final long lengthBytes;

    /// Those of one level in one array; null where all of it reads zero.
    private final byte[][] levels;

    /// Where all of it reads zero, for each level the digest of its last part.
    private final byte[][] lastOfZeroes;

    private HashTree(TreeShape shape, long lengthBytes, byte[][] levels, byte[][] lastOfZeroes) {
        this.shape = shape;
        this.lengthBytes = lengthBytes;
        this.levels = levels;
        this.lastOfZeroes = lastOfZeroes;
    }

    /// @param leaves digests of the blocks
    static HashTree of(TreeShape shape, long lengthBytes, byte[] leaves) {
        byte[][] levels = new byte[TreeShape.TOP + 1][];
        levels[0] = leaves;
        for (int level = 1; level <= TreeShape.TOP; level++) {
            levels[level] = shape.above(levels[level - 1]);
        }
        return new HashTree(shape, lengthBytes, levels, null);
    }

    /// Of a range that reads zero, which takes no memory: a sparse device has many.
    static HashTree ofZeroes(TreeShape shape, long lengthBytes) {
        return new HashTree(shape, lengthBytes, null, shape.lastOfZeroes(lengthBytes));
    }

    /// Memory that its digests take.
    long keptBytes() {
        return levels == null ? 0 : Arrays.stream(levels).mapToLong(level -> level.length).sum();
    }

    /// Whether [#digests] of the same would give an answer.
    boolean has(long fromBytes, long lengthBytes, int level) {
        long part = shape.partBytes(level);
        long to = fromBytes + lengthBytes;
        return level >= 0
                && level <= TreeShape.TOP
                && fromBytes >= 0
                && to <= this.lengthBytes
                && fromBytes % part == 0
                && (to == this.lengthBytes || to % part == 0);
    }

    /// The digests of the parts of a level that make up a part of the range.
    ///
    /// @param fromBytes counted from the beginning of the range
    byte[] digests(long fromBytes, long lengthBytes, int level) {
        if (!has(fromBytes, lengthBytes, level)) {
            throw new IllegalArgumentException(
                    "no digests of %d bytes at %d on level %d"
                            .formatted(lengthBytes, fromBytes, level));
        }
        int count = (int) shape.parts(lengthBytes, level);
        if (levels == null) {
            boolean isEnd = fromBytes + lengthBytes == this.lengthBytes;
            return shape.zeroes(level, count, isEnd ? lastOfZeroes[level] : shape.zero(level));
        }
        int first = (int) (fromBytes / shape.partBytes(level)) * TreeShape.DIGEST_BYTES;
        return Arrays.copyOfRange(levels[level], first, first + count * TreeShape.DIGEST_BYTES);
    }
}
