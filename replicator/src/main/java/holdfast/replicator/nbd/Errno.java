package holdfast.replicator.nbd;

/// Error numbers that NBD knows; they are Linux's. Any other becomes [#EIO] on the wire.
public final class Errno {
    public static final int OK = 0;

    /// Writing to what is read-only here and now.
    public static final int EPERM = 1;

    public static final int EIO = 5;
    public static final int ENOMEM = 12;
    public static final int EINVAL = 22;

    /// No space, or a write past the end.
    public static final int ENOSPC = 28;

    /// The protocol allows it for two cases only: a read with DF, or an effect length, that is too
    /// long.
    public static final int EOVERFLOW = 75;

    /// The protocol allows it for a fast zero that is not fast, and nothing else.
    public static final int ENOTSUP = 95;

    /// A kernel client takes it for a dead disk, so the server itself never sends it: it closes.
    public static final int ESHUTDOWN = 108;

    private static final int EACCES = 13;
    private static final int EFBIG = 27;
    private static final int EROFS = 30;
    private static final int EDQUOT = 122;

    private Errno() {}

    /// The number a client may be told for a Linux error number.
    ///
    /// @param fastZero whether the request was a fast zero
    static int toWire(int errno, boolean fastZero) {
        return switch (errno) {
            case OK, EPERM, EIO, ENOMEM, EINVAL, ENOSPC, ESHUTDOWN -> errno;
            case EACCES, EROFS -> EPERM;
            case EFBIG, EDQUOT -> ENOSPC;
            case ENOTSUP -> fastZero ? ENOTSUP : EIO;
            default -> EIO;
        };
    }
}
