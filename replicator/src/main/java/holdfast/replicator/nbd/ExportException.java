package holdfast.replicator.nbd;

/// An export could not do what was asked. The client gets the number, the log the message.
public sealed class ExportException extends Exception permits UnknownExportException {
    private static final long serialVersionUID = 1L;

    private final int errno;

    /// @param errno one of [Errno], or any Linux error number, see [Errno#toWire]; what failed with
    ///   no number of the kernel, as a read behind the end of a file that has shrunk, is an I/O
    ///   error to the client, and never an answer that says OK
    public ExportException(int errno, String message) {
        super(message);
        this.errno = errno == Errno.OK ? Errno.EIO : errno;
    }

    public ExportException(int errno, String message, Throwable cause) {
        super(message, cause);
        this.errno = errno == Errno.OK ? Errno.EIO : errno;
    }

    public int errno() {
        return errno;
    }
}
