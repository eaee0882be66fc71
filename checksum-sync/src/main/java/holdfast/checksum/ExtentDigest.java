package holdfast.checksum;

import java.nio.ByteBuffer;

/// The first question of a comparison: is a whole extent the same at both sites? 32 bytes on the
/// wire for 4 MiB; only where they differ do [BlockDigests] follow.
public final class ExtentDigest {
    /// Bytes of a digest.
    public static final int BYTES = Sha256.BYTES;

    /// Bytes of an extent; the last one of a device may be shorter.
    public static final int EXTENT_BYTES = 4 << 20;

    private ExtentDigest() {}

    /// SHA-256 of what remains in `data`, at most one extent; its position stays.
    public static byte[] of(ByteBuffer data) {
        requireExtent(data);
        var digest = Sha256.start();
        digest.update(data.duplicate());
        return digest.digest();
    }

    static void requireExtent(ByteBuffer data) {
        if (data.remaining() > EXTENT_BYTES) {
            throw new IllegalArgumentException(
                    "%d bytes, an extent has at most %d".formatted(data.remaining(), EXTENT_BYTES));
        }
    }
}
