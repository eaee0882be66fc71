package holdfast.tunnel.wire;

/// The peer sent bytes that no right peer sends. Where the next message begins is then unknown, so
/// the session is closed; nothing else is.
public final class ProtocolException extends Exception {
    private static final long serialVersionUID = 1;

    public ProtocolException(String message) {
        super(message);
    }

    public ProtocolException(String message, Throwable cause) {
        super(message, cause);
    }
}
