package holdfast.replicator.json;

/// Text that is not the JSON that was expected; the message names the key.
public final class JsonException extends Exception {
    private static final long serialVersionUID = 1L;

    public JsonException(String message) {
        super(message);
    }
}
