package holdfast.replicator.nbd;

/// There is no export of this name, and why: for one that is made when it is asked for. A client is
/// told the message.
public final class UnknownExportException extends ExportException {
    private static final long serialVersionUID = 1L;

    public UnknownExportException(String message) {
        super(Errno.EINVAL, message);
    }
}
