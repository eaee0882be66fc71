package holdfast.tunnel.link;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Who this node is: its id, its P-256 key, and a certificate over that key which only serves to
/// carry it through TLS.
///
/// Peers go by the key alone ([Pin]); the certificate's dates and names are never judged. The
/// node's id stands in the certificate's subject and stays when the key is renewed.
public final class Identity {
    private static final String FILE = "identity.pem";

    private final UUID node;
    private final PrivateKey key;
    private final X509Certificate certificate;

    private Identity(UUID node, PrivateKey key, X509Certificate certificate) {
        this.node = node;
        this.key = key;
        this.certificate = certificate;
    }

    /// A new node with a new key, in memory only.
    public static Identity generate() {
        return SelfSigned.make(UUID.randomUUID());
    }

    /// The same node with a new key: its peers need the new pin before they hear of it.
    public Identity renewed() {
        return SelfSigned.make(node);
    }

    /// Makes the identity of a node and stores it.
    ///
    /// @throws FileAlreadyExistsException if there is one: losing it would part the node from its
    ///   peers
    public static Identity create(Path dir) throws IOException {
        Path file = dir.resolve(FILE);
        if (Files.exists(file)) {
            throw new FileAlreadyExistsException(
                    file.toString(), null, "this node has an identity already");
        }
        Identity made = generate();
        made.store(dir);
        return made;
    }

    /// @throws IOException also if the file is damaged, or anybody else may read it
    public static Identity load(Path dir) throws IOException {
        Path file = dir.resolve(FILE);
        String text = new String(PrivateFile.read(file), US_ASCII);
        try {
            return of(section(text, "PRIVATE KEY"), section(text, "CERTIFICATE"));
        } catch (GeneralSecurityException | IllegalArgumentException e) {
            throw new IOException(file + " holds no identity: " + e.getMessage(), e);
        }
    }

    /// Whether `dir` holds an identity.
    public static boolean exists(Path dir) {
        return Files.exists(dir.resolve(FILE));
    }

    /// Replaces what is stored in `dir`.
    public void store(Path dir) throws IOException {
        try {
            String text =
                    pem("CERTIFICATE", certificate.getEncoded())
                            + pem("PRIVATE KEY", key.getEncoded());
            PrivateFile.write(dir.resolve(FILE), text.getBytes(US_ASCII));
        } catch (GeneralSecurityException e) {
            throw new IOException(e);
        }
    }

    public UUID node() {
        return node;
    }

    public Pin pin() {
        return Pin.of(certificate);
    }

    public X509Certificate certificate() {
        return certificate;
    }

    PrivateKey key() {
        return key;
    }

    /// Nothing secret.
    @Override
    public String toString() {
        return node + " " + pin();
    }

    static Identity of(byte[] key, byte[] certificate) throws GeneralSecurityException {
        var x509 =
                (X509Certificate)
                        CertificateFactory.getInstance("X.509")
                                .generateCertificate(new ByteArrayInputStream(certificate));
        // Through the JDK's own factory, so that JSSE signs with its own fast implementation.
        PrivateKey own = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(key));
        Matcher id =
                Pattern.compile("(?:SERIALNUMBER|2\\.5\\.4\\.5)=([0-9a-f-]{36})")
                        .matcher(x509.getSubjectX500Principal().getName("RFC1779"));
        if (!id.find()) {
            throw new IllegalArgumentException("its certificate names no node");
        }
        return new Identity(UUID.fromString(id.group(1)), own, x509);
    }

    private static String pem(String label, byte[] der) {
        return "-----BEGIN %s-----\n%s\n-----END %s-----\n"
                .formatted(
                        label,
                        Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der),
                        label);
    }

    private static byte[] section(String text, String label) {
        Matcher found =
                Pattern.compile(
                                "-----BEGIN " + label + "-----\n(.*?)\n-----END " + label + "-----",
                                Pattern.DOTALL)
                        .matcher(text);
        if (!found.find()) {
            throw new IllegalArgumentException("no " + label.toLowerCase(java.util.Locale.ROOT));
        }
        return Base64.getMimeDecoder().decode(found.group(1));
    }
}
