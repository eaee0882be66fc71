package holdfast.tunnel.link;

import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.X500NameBuilder;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

import java.io.IOException;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.security.spec.ECGenParameterSpec;
import java.time.Instant;
import java.util.Date;
import java.util.UUID;

/// Makes identities. A class of its own, which only `init` and a new key need: the first class that
/// is loaded from Bouncy Castle's jars has the JVM verify the signatures of whole jars, and no
/// archive of classes saves that, a fifth of what a start of a daemon takes of the processor.
final class SelfSigned {
    private static final SecureRandom RANDOM = new SecureRandom();

    private SelfSigned() {}

    /// A new key in a certificate for this node.
    static Identity make(UUID node) {
        var provider = new BouncyCastleProvider();
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", provider);
            generator.initialize(new ECGenParameterSpec("secp256r1"), RANDOM);
            KeyPair pair = generator.generateKeyPair();
            X500Name name =
                    new X500NameBuilder()
                            .addRDN(BCStyle.CN, "holdfast")
                            .addRDN(BCStyle.SERIALNUMBER, node.toString())
                            .build();
            // Fixed dates: a clock that is wrong must not make a key that is right look expired.
            var certificate =
                    new JcaX509v3CertificateBuilder(
                                    name,
                                    new BigInteger(64, RANDOM).add(BigInteger.ONE),
                                    Date.from(Instant.parse("2020-01-01T00:00:00Z")),
                                    Date.from(Instant.parse("9999-12-31T23:59:59Z")),
                                    name,
                                    pair.getPublic())
                            .build(
                                    new JcaContentSignerBuilder("SHA256withECDSA")
                                            .setProvider(provider)
                                            .build(pair.getPrivate()));
            return Identity.of(pair.getPrivate().getEncoded(), certificate.getEncoded());
        } catch (GeneralSecurityException | OperatorCreationException | IOException e) {
            throw new IllegalStateException("this JVM cannot make a P-256 key", e);
        }
    }
}
