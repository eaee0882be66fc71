package holdfast.tunnel.link;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.PublicKey;
import java.security.cert.X509Certificate;
import java.util.HexFormat;
import java.util.Locale;

/// The SHA-256 of a node's public key (its SubjectPublicKeyInfo), by which its peers know it.
///
/// @param hex 64 lower-case hexadecimal digits
public record Pin(String hex) {
    public static final int BYTES = 32;

    public Pin {
        if (!hex.matches("[0-9a-f]{64}")) {
            throw new IllegalArgumentException("not a fingerprint: " + hex);
        }
    }

    public static Pin of(PublicKey key) {
        return new Pin(HexFormat.of().formatHex(sha256(key.getEncoded())));
    }

    public static Pin of(X509Certificate certificate) {
        return of(certificate.getPublicKey());
    }

    public static Pin of(byte[] digest) {
        return new Pin(HexFormat.of().formatHex(digest));
    }

    /// Reads what [#fingerprint] or [#hex] wrote; colons, hyphens, blanks and case do not matter.
    ///
    /// @throws IllegalArgumentException if it is no fingerprint
    public static Pin parse(String text) {
        return new Pin(text.replaceAll("[\\s:-]", "").toLowerCase(Locale.ROOT));
    }

    public byte[] bytes() {
        return HexFormat.of().parseHex(hex);
    }

    /// For people to compare by eye or over the telephone: 16 groups of 4 digits.
    public String fingerprint() {
        return hex.replaceAll("(.{4})(?!$)", "$1-");
    }

    @Override
    public String toString() {
        return fingerprint();
    }

    static byte[] sha256(byte[] bytes) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(bytes);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
