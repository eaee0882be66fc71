package holdfast.sim;

import java.nio.ByteBuffer;
import java.util.Arrays;

/// Content that says which operation wrote it: each sector begins with the operation's id, and the
/// rest follows from id and place, so that a torn, stale or misplaced sector is known as such.
final class Tags {
    private Tags() {}

    static byte[] content(long operation, long offset, int length) {
        byte[] bytes = new byte[length];
        ByteBuffer out = ByteBuffer.wrap(bytes);
        for (int at = 0; at < length; at += SimDisk.SECTOR) {
            out.putLong(at, operation);
            long x = (operation << 32) + offset + at;
            for (int i = 8; i < SimDisk.SECTOR; i += 8) {
                x = x * 0x5851f42d4c957f2dL + 0x14057b7ef767814fL;
                out.putLong(at + i, x ^ x >>> 31);
            }
        }
        return bytes;
    }

    /// How many zeroes the bytes begin with.
    static int zeroes(byte[] bytes) {
        int differs = Arrays.mismatch(bytes, new byte[bytes.length]);
        return differs < 0 ? bytes.length : differs;
    }

    /// Zero for a sector of zeroes.
    static long operationOf(byte[] image, int sectorOffset) {
        return ByteBuffer.wrap(image).getLong(sectorOffset);
    }
}
