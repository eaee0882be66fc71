package holdfast.checksum;

import java.nio.ByteBuffer;
import java.security.DigestException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.BitSet;

/// Digests of sectors: which parts of a block does the peer hold as well?
///
/// A digest is the first half of SHA-256 over a key, the sector's place on the device, and its
/// bytes. Whoever may write into the device could look for two sectors of one digest, at 2^64
/// attempts, and have the second taken for the first; the key, which nobody but the two sides knows
/// and which is another in every session, leaves nothing to look for. Chance alone makes one pair
/// in 2^128 equal.
public final class SectorDigests {
    public static final int SECTOR_BYTES = 512;
    public static final int BYTES = 16;

    private SectorDigests() {}

    /// How many sectors so many bytes are, a short last one counted.
    public static int sectors(int lengthBytes) {
        return Math.ceilDiv(lengthBytes, SECTOR_BYTES);
    }

    /// The digests of the sectors that `data` is, one after the other; its position stays.
    ///
    /// @param offsetBytes where on the device it begins
    /// @param into at this index
    public static void digest(long key, long offsetBytes, ByteBuffer data, byte[] into, int at) {
        MessageDigest sha = Sha256.start();
        ByteBuffer prefix = ByteBuffer.allocate(16);
        byte[] whole = new byte[Sha256.BYTES];
        int count = sectors(data.remaining());
        for (int i = 0; i < count; i++) {
            int from = i * SECTOR_BYTES;
            int length = Math.min(SECTOR_BYTES, data.remaining() - from);
            sha.update(prefix.clear().putLong(key).putLong(offsetBytes + from).flip());
            sha.update(data.slice(data.position() + from, length));
            try {
                sha.digest(whole, 0, whole.length);
            } catch (DigestException e) {
                throw new IllegalStateException("32 bytes hold a SHA-256", e);
            }
            System.arraycopy(whole, 0, into, at + i * BYTES, BYTES);
        }
    }

    /// Which sectors of `data` are not what the peer has digested.
    ///
    /// @param theirs its digests, from this index on
    public static BitSet differing(
            long key, long offsetBytes, ByteBuffer data, byte[] theirs, int at) {
        int count = sectors(data.remaining());
        byte[] ours = new byte[count * BYTES];
        digest(key, offsetBytes, data, ours, 0);
        BitSet found = new BitSet(count);
        for (int i = 0; i < count; i++) {
            int from = i * BYTES;
            found.set(
                    i,
                    !Arrays.equals(ours, from, from + BYTES, theirs, at + from, at + from + BYTES));
        }
        return found;
    }
}
