package holdfast.checksum;

import java.util.Arrays;

/// The digests of one range, from those of its smallest parts that are kept up to the one of the
/// whole, and on to the top: what is the last part of a longer range is asked for on its level.
public final class HashTree {
    private final TreeShape shape;
    private final long lengthBytes;
    private final int leafLevel;

    /// The digests of each level from [#leafLevel] on, those of one level in one array.
    private final byte[][] levels;

    HashTree(TreeShape shape, long lengthBytes, int leafLevel, byte[] leaves) {
        this.shape = shape;
        this.lengthBytes = lengthBytes;
        this.leafLevel = leafLevel;
        levels = new byte[TreeShape.TOP - leafLevel + 1][];
        levels[0] = leaves;
        for (int i = 1; i < levels.length; i++) {
            levels[i] = shape.above(levels[i - 1]);
        }
    }

    /// The lowest level that is kept.
    public int leafLevel() {
        return leafLevel;
    }

    /// Memory that its digests take.
    long keptBytes() {
        long bytes = 0;
        for (byte[] level : levels) {
            bytes += level.length;
        }
        return bytes;
    }

    /// Whether [#digests] of the same would give an answer.
    boolean has(long fromBytes, long lengthBytes, int level) {
        long part = shape.partBytes(level);
        long to = fromBytes + lengthBytes;
        return level >= leafLevel
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
        int first = (int) (fromBytes / shape.partBytes(level)) * TreeShape.DIGEST_BYTES;
        int count = (int) shape.parts(lengthBytes, level) * TreeShape.DIGEST_BYTES;
        return Arrays.copyOfRange(levels[level - leafLevel], first, first + count);
    }
}
