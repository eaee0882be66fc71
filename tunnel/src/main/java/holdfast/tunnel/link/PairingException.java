package holdfast.tunnel.link;

/// Two nodes could not be paired; the message says why and what to do.
public final class PairingException extends Exception {
    private static final long serialVersionUID = 1;

    /// Why, for exit codes and tests.
    public enum Kind {
        /// The token is no token, cut or mistyped.
        MALFORMED,
        /// None of the inviter's addresses answered.
        UNREACHABLE,
        /// Who answers there is not the inviter.
        WRONG_FINGERPRINT,
        EXPIRED,
        /// Another node has redeemed it.
        USED,
        /// The inviter knows of no such invitation.
        UNKNOWN,
        /// The inviter would not have this node, or could not store it.
        REFUSED
    }

    private final Kind kind;

    PairingException(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    public Kind kind() {
        return kind;
    }
}
