package holdfast.replicator.metadata;

/// What is on disk is not what was written there. The daemon refuses to start the resource and
/// shows the message: it names the file, the place, what should stand there and what does.
public final class CorruptFormatException extends Exception {
    private static final long serialVersionUID = 1;

    /// @param file path for the operator
    /// @param offsetBytes where in the file
    /// @param expected what should stand there
    /// @param found what stands there
    public CorruptFormatException(String file, long offsetBytes, String expected, String found) {
        super("%s, byte %d: expected %s, found %s".formatted(file, offsetBytes, expected, found));
    }
}
