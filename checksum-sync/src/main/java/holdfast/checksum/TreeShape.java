package holdfast.checksum;

import java.nio.ByteBuffer;
import java.security.DigestException;
import java.security.MessageDigest;
import java.util.Arrays;

/// How a range of a device is cut into a tree of digests. Everything is counted from the range's
/// own beginning, so a range may begin at any block:
///
/// | level | a part is             | with 32 | its digest is SHA-256 over              |
/// |------:|-----------------------|--------:|-----------------------------------------|
/// |     0 | a block               |   4 KiB | the block's bytes                       |
/// |     1 | [#fanOut] blocks      | 128 KiB | the digests of its blocks               |
/// |     2 | [#fanOut] times that  |   4 MiB | the digests of its parts of level 1     |
/// | 3, 4  | [#fanOut] times that  | 128 MiB, 4 GiB | likewise                         |
///
/// The last part of each level is as short as the range makes it. SHA-256, because it decides
/// whether two sites hold the same and an attacker may have written the data.
public final class TreeShape {
    public static final int BLOCK_BYTES = 4 << 10;
    public static final int DIGEST_BYTES = Sha256.BYTES;

    /// The highest level.
    public static final int TOP = 4;

    /// Wide, so that a tree is low and few questions find a difference; not wider, because each
    /// question that goes down one level costs this many digests.
    public static final TreeShape DEFAULT = new TreeShape(32);

    private final int fanOut;
    private final long[] partBytes = new long[TOP + 1];

    /// For each level the digest of a whole part that reads zero.
    private final byte[][] zero = new byte[TOP + 1][];

    /// @param fanOut 2 to 32
    public TreeShape(int fanOut) {
        if (fanOut < 2 || fanOut > 32) {
            throw new IllegalArgumentException("a fan-out of " + fanOut);
        }
        this.fanOut = fanOut;
        partBytes[0] = BLOCK_BYTES;
        zero[0] = Sha256.start().digest(new byte[BLOCK_BYTES]);
        for (int level = 1; level <= TOP; level++) {
            partBytes[level] = partBytes[level - 1] * fanOut;
            zero[level] = ofZeroes(level, fanOut, zero[level - 1]);
        }
    }

    public int fanOut() {
        return fanOut;
    }

    /// Bytes of a whole part.
    public long partBytes(int level) {
        return partBytes[level];
    }

    /// The longest range that has a tree: 256 MiB, of which the digests of all blocks are 2 MiB.
    /// They are kept until the range is compared, so nothing is read twice.
    public long rangeBytesMax() {
        return 2 * partBytes[TOP - 1];
    }

    /// How many parts a range of this length has, a short last one counted.
    public long parts(long lengthBytes, int level) {
        return Math.ceilDiv(lengthBytes, partBytes[level]);
    }

    /// The most digests that one answer carries.
    public int digestsMax() {
        return fanOut * fanOut;
    }

    /// The longest range of which the digests of all blocks are one answer.
    public long shortBytes() {
        return partBytes[2];
    }

    /// The lowest level at which the range is one part.
    public int levelOf(long lengthBytes) {
        int level = 0;
        while (partBytes[level] < lengthBytes) {
            level++;
        }
        return level;
    }

    /// The digests of the blocks that `data` is, one after the other; its position stays.
    ///
    /// @param data whole blocks; only the last of the device may be short
    public byte[] leaves(ByteBuffer data) {
        int count = Math.ceilDiv(data.remaining(), BLOCK_BYTES);
        byte[] digests = new byte[count * DIGEST_BYTES];
        MessageDigest digest = Sha256.start();
        for (int i = 0; i < count; i++) {
            int at = i * BLOCK_BYTES;
            int length = Math.min(BLOCK_BYTES, data.remaining() - at);
            ByteBuffer block = data.slice(data.position() + at, length);
            if (length == BLOCK_BYTES && Zeros.isZero(block)) {
                System.arraycopy(zero[0], 0, digests, i * DIGEST_BYTES, DIGEST_BYTES);
            } else {
                digest.update(block);
                finish(digest, digests, i);
            }
        }
        return digests;
    }

    /// For each level the digest of the last part of a range that reads zero, however short it is.
    byte[][] lastOfZeroes(long lengthBytes) {
        byte[][] last = new byte[TOP + 1][];
        int ofBlock = (int) (lengthBytes % BLOCK_BYTES);
        last[0] = ofBlock == 0 ? zero[0] : Sha256.start().digest(new byte[ofBlock]);
        for (int level = 1; level <= TOP; level++) {
            long below = parts(lengthBytes, level - 1);
            last[level] = ofZeroes(level, (int) ((below - 1) % fanOut + 1), last[level - 1]);
        }
        return last;
    }

    /// The digest of a part that reads zero.
    ///
    /// @param count of the parts below that it has
    /// @param last digest of the last of them
    private byte[] ofZeroes(int level, int count, byte[] last) {
        MessageDigest digest = Sha256.start();
        for (int i = 0; i < count - 1; i++) {
            digest.update(zero[level - 1]);
        }
        return digest.digest(last);
    }

    /// The digests of parts that read zero, one after the other.
    ///
    /// @param last of [#lastOfZeroes] where the last of them is the range's last, else the digest
    ///   of a whole part
    byte[] zeroes(int level, int count, byte[] last) {
        byte[] digests = new byte[count * DIGEST_BYTES];
        for (int i = 0; i < count - 1; i++) {
            System.arraycopy(zero[level], 0, digests, i * DIGEST_BYTES, DIGEST_BYTES);
        }
        System.arraycopy(last, 0, digests, (count - 1) * DIGEST_BYTES, DIGEST_BYTES);
        return digests;
    }

    byte[] zero(int level) {
        return zero[level];
    }

    /// The digests of the level above.
    byte[] above(byte[] digests) {
        int group = fanOut * DIGEST_BYTES;
        int count = Math.ceilDiv(digests.length, group);
        byte[] above = new byte[count * DIGEST_BYTES];
        MessageDigest digest = Sha256.start();
        for (int i = 0; i < count; i++) {
            int from = i * group;
            digest.update(digests, from, Math.min(group, digests.length - from));
            finish(digest, above, i);
        }
        return above;
    }

    /// Whether two lists of digests agree in their `i`th.
    public static boolean isEqual(byte[] a, byte[] b, int i) {
        int from = i * DIGEST_BYTES;
        int to = from + DIGEST_BYTES;
        return Arrays.equals(a, from, to, b, from, to);
    }

    private static void finish(MessageDigest digest, byte[] into, int i) {
        try {
            digest.digest(into, i * DIGEST_BYTES, DIGEST_BYTES);
        } catch (DigestException e) {
            throw new IllegalStateException("32 bytes hold a SHA-256", e);
        }
    }
}
