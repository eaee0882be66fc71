package holdfast.replicator.control;

/// A request or reply that breaks the grammar or a limit; `status` is what a client is told.
final class HttpException extends Exception {
    private static final long serialVersionUID = 1L;

    private final int status;

    HttpException(int status, String message) {
        super(message);
        this.status = status;
    }

    int status() {
        return status;
    }
}
