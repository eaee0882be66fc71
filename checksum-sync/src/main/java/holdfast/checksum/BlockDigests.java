package holdfast.checksum;

import java.nio.ByteBuffer;
import java.security.DigestException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.BitSet;

/// The second question of a comparison: which blocks of an extent differ? The digests of its
/// blocks, one after the other: 32 KiB on the wire for 4 MiB.
public final class BlockDigests {
    /// Bytes of a block; the last one of a device may be shorter.
    public static final int BLOCK_BYTES = 4 << 10;

    private BlockDigests() {}

    /// SHA-256 of each block of what remains in `data`, at most one extent; its position stays. The
    /// last block is digested as long as it is.
    ///
    /// @return 32 bytes for each block
    public static byte[] of(ByteBuffer data) {
        ExtentDigest.requireExtent(data);
        int count = count(data.remaining());
        byte[] digests = new byte[count * ExtentDigest.BYTES];
        MessageDigest digest = Sha256.start();
        for (int i = 0; i < count; i++) {
            digest.update(block(data, i));
            try {
                digest.digest(digests, i * ExtentDigest.BYTES, ExtentDigest.BYTES);
            } catch (DigestException e) {
                throw new IllegalStateException("32 bytes hold a SHA-256", e);
            }
        }
        return digests;
    }

    /// Which blocks of `local` are not those that `peerDigests` were made of; bit `i` is the block
    /// at `i` × 4 KiB.
    ///
    /// @param peerDigests what [#of] gave at the peer for the same range
    /// @throws IllegalArgumentException if they are not as many as there are blocks: the peer
    ///   compared another range
    public static BitSet differing(ByteBuffer local, byte[] peerDigests) {
        byte[] digests = of(local);
        if (peerDigests.length != digests.length) {
            throw new IllegalArgumentException(
                    "%d bytes of digests for %d bytes of data, should be %d"
                            .formatted(peerDigests.length, local.remaining(), digests.length));
        }
        var differing = new BitSet(count(local.remaining()));
        for (int at = 0; at < digests.length; at += ExtentDigest.BYTES) {
            int end = at + ExtentDigest.BYTES;
            differing.set(
                    at / ExtentDigest.BYTES,
                    !Arrays.equals(digests, at, end, peerDigests, at, end));
        }
        return differing;
    }

    /// How many blocks that many bytes are, a short last one counted.
    public static int count(int dataBytes) {
        return (dataBytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    }

    private static ByteBuffer block(ByteBuffer data, int index) {
        int at = index * BLOCK_BYTES;
        return data.slice(data.position() + at, Math.min(BLOCK_BYTES, data.remaining() - at));
    }
}
