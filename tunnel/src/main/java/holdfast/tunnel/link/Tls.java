package holdfast.tunnel.link;

import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.util.Optional;

import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedKeyManager;
import javax.net.ssl.X509ExtendedTrustManager;

/// TLS as both sides of every connection use it: 1.3 only, both authenticated, no resumption, a
/// protocol name required.
///
/// The handshake proves that the peer holds the private key of the certificate it shows, and
/// nothing else; whether that key is one we know is judged after every handshake by its [Pin]. So
/// no cached verdict of a trust manager can outlive the removal of a peer.
final class Tls {
    static final String LINK = "holdfast/1";
    static final String JOIN = "holdfast-join/1";

    static {
        // A resumed session would skip the trust manager, and with JSSE's default a removed peer
        // comes back for a day.
        // JSSE reads this once, when its first context is made.
        System.setProperty("jdk.tls.server.newSessionTicketCount", "0");
        System.setProperty("jdk.tls.client.enableSessionTicketExtension", "false");
        System.setProperty("jdk.tls.server.enableSessionTicketExtension", "false");
    }

    private static final String[] PROTOCOLS = {"TLSv1.3"};
    private static final String[] CIPHERS = {
        "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"
    };
    private static final String[] GROUPS = {"x25519", "secp256r1"};

    private final SSLContext context;

    Tls(Identity identity) {
        this(identity, new WellFormed());
    }

    /// @param trust judges what the peer shows before its pin is looked at
    Tls(Identity identity, TrustManager trust) {
        try {
            context = SSLContext.getInstance("TLSv1.3");
            context.init(new KeyManager[] {new OneKey(identity)}, new TrustManager[] {trust}, null);
            context.getServerSessionContext().setSessionCacheSize(1);
            context.getClientSessionContext().setSessionCacheSize(1);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JVM has no TLS 1.3", e);
        }
    }

    /// An engine without a peer's name: JSSE then has no key under which it could cache a session.
    SSLEngine engine(boolean client, String... protocols) {
        SSLEngine engine = context.createSSLEngine();
        engine.setUseClientMode(client);
        engine.setEnableSessionCreation(true);
        engine.setSSLParameters(parameters(engine.getSSLParameters(), protocols));
        return engine;
    }

    SSLContext context() {
        return context;
    }

    static SSLParameters parameters(SSLParameters parameters, String... protocols) {
        parameters.setProtocols(PROTOCOLS);
        parameters.setCipherSuites(CIPHERS);
        parameters.setNamedGroups(GROUPS);
        parameters.setNeedClientAuth(true);
        parameters.setApplicationProtocols(protocols);
        return parameters;
    }

    /// The key the peer proved to hold; empty when it showed none.
    static Optional<Pin> pinOf(SSLSession session) {
        try {
            return session.getPeerCertificates()[0] instanceof X509Certificate shown
                    ? Optional.of(Pin.of(shown))
                    : Optional.empty();
        } catch (SSLPeerUnverifiedException e) {
            return Optional.empty();
        }
    }

    /// Shows one key to everybody. It is held decrypted: JSSE's "PKIX" manager derives the key from
    /// its password anew for each handshake, six times the cost.
    private static final class OneKey extends X509ExtendedKeyManager {
        private static final String ALIAS = "holdfast";
        private final Identity identity;

        OneKey(Identity identity) {
            this.identity = identity;
        }

        private static String alias(String... keyTypes) {
            for (String type : keyTypes) {
                if (type.startsWith("EC")) {
                    return ALIAS;
                }
            }
            return null;
        }

        @Override
        public String[] getClientAliases(String keyType, Principal[] issuers) {
            return new String[] {ALIAS};
        }

        @Override
        public String chooseClientAlias(String[] keyTypes, Principal[] issuers, Socket socket) {
            return alias(keyTypes);
        }

        @Override
        public String chooseEngineClientAlias(
                String[] keyTypes, Principal[] issuers, SSLEngine engine) {
            return alias(keyTypes);
        }

        @Override
        public String[] getServerAliases(String keyType, Principal[] issuers) {
            return new String[] {ALIAS};
        }

        @Override
        public String chooseServerAlias(String keyType, Principal[] issuers, Socket socket) {
            return alias(keyType);
        }

        @Override
        public String chooseEngineServerAlias(
                String keyType, Principal[] issuers, SSLEngine engine) {
            return alias(keyType);
        }

        @Override
        public X509Certificate[] getCertificateChain(String alias) {
            return new X509Certificate[] {identity.certificate()};
        }

        @Override
        public PrivateKey getPrivateKey(String alias) {
            return identity.key();
        }
    }

    /// Lets any P-256 certificate through to the check of its pin. Dates, names and issuers mean
    /// nothing for a pinned key.
    static class WellFormed extends X509ExtendedTrustManager {
        private static void check(X509Certificate[] chain) throws CertificateException {
            if (chain == null || chain.length == 0) {
                throw new CertificateException("no certificate");
            }
            if (!(chain[0].getPublicKey() instanceof ECPublicKey key)
                    || key.getParams().getCurve().getField().getFieldSize() != 256) {
                throw new CertificateException("not a P-256 key");
            }
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType)
                throws CertificateException {
            check(chain);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType)
                throws CertificateException {
            check(chain);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType, Socket socket)
                throws CertificateException {
            check(chain);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType, Socket socket)
                throws CertificateException {
            check(chain);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
                throws CertificateException {
            check(chain);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
                throws CertificateException {
            check(chain);
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
