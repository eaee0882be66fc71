package holdfast.replicator.state;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/// SHA-256 over an epoch as it travels: for each frame its offset and length, then its data (zero
/// runs have none). Both sides feed it in the order of the stream and compare at the commit
/// (docs/protocol.md, EpochCommit).
final class EpochDigest {
    private final MessageDigest sha;

    EpochDigest() {
        try {
            sha = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    void blocks(long offsetBytes, ByteBuffer data) {
        sha.update(ByteBuffer.allocate(16).putLong(offsetBytes).putLong(data.remaining()).flip());
        sha.update(data.duplicate());
    }

    void zero(long offsetBytes, long lengthBytes) {
        sha.update(
                ByteBuffer.allocate(17)
                        .putLong(offsetBytes)
                        .putLong(lengthBytes)
                        .put((byte) 0)
                        .flip());
    }

    byte[] finish() {
        return sha.digest();
    }
}
