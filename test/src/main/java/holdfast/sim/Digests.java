package holdfast.sim;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/// SHA-256 over each 4 KiB block of a range, and one over these.
final class Digests {
    private Digests() {}

    static byte[] ofBlocks(byte[] range) {
        MessageDigest sha = sha();
        int blocks = (range.length + 4095) / 4096;
        byte[] digests = new byte[blocks * 32];
        for (int i = 0; i < blocks; i++) {
            sha.update(range, i * 4096, Math.min(4096, range.length - i * 4096));
            System.arraycopy(sha.digest(), 0, digests, i * 32, 32);
        }
        return digests;
    }

    static byte[] root(byte[] blockDigests) {
        return sha().digest(blockDigests);
    }

    private static MessageDigest sha() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
