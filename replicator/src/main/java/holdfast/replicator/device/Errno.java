package holdfast.replicator.device;

/// The error numbers of Linux that this package tells apart, and words for them. The numbers are
/// the same on x86-64 and on aarch64.
final class Errno {
    static final int EPERM = 1;
    static final int ENOENT = 2;
    static final int EINTR = 4;
    static final int EIO = 5;
    static final int ENXIO = 6;
    static final int EBADF = 9;
    static final int EAGAIN = 11;
    static final int ENOMEM = 12;
    static final int EACCES = 13;
    static final int EBUSY = 16;
    static final int EEXIST = 17;
    static final int ENODEV = 19;
    static final int ENOTDIR = 20;
    static final int EISDIR = 21;
    static final int EINVAL = 22;
    static final int ENOTTY = 25;
    static final int EFBIG = 27;
    static final int ENOSPC = 28;
    static final int EROFS = 30;
    static final int ENOSYS = 38;
    static final int ENODATA = 61;
    static final int EOPNOTSUPP = 95;
    static final int ETIMEDOUT = 110;
    static final int EREMOTEIO = 121;
    static final int EDQUOT = 122;
    static final int ENOMEDIUM = 123;

    /// For people: the words first, then the name to search for.
    static String describe(int errno) {
        return switch (errno) {
            case EPERM -> "not permitted (EPERM)";
            case ENOENT -> "no such file or device (ENOENT)";
            case EINTR -> "interrupted (EINTR)";
            case EIO -> "input/output error (EIO)";
            case ENXIO -> "the device is gone (ENXIO)";
            case EBADF -> "not open (EBADF)";
            case EAGAIN -> "held by somebody else (EAGAIN)";
            case ENOMEM -> "out of memory (ENOMEM)";
            case EACCES -> "access denied (EACCES)";
            case EBUSY -> "in use (EBUSY)";
            case EEXIST -> "it exists already (EEXIST)";
            case ENODEV -> "the device is gone (ENODEV)";
            case ENOTDIR -> "not a directory (ENOTDIR)";
            case EISDIR -> "is a directory (EISDIR)";
            case EINVAL -> "not accepted (EINVAL)";
            case EFBIG -> "file too large (EFBIG)";
            case ENOSPC -> "no space left (ENOSPC)";
            case EROFS -> "read-only (EROFS)";
            case ENODATA -> "the medium has lost the data (ENODATA)";
            case EOPNOTSUPP -> "not supported (EOPNOTSUPP)";
            case ETIMEDOUT -> "timed out (ETIMEDOUT)";
            case EREMOTEIO -> "remote input/output error (EREMOTEIO)";
            case EDQUOT -> "quota exceeded (EDQUOT)";
            case ENOMEDIUM -> "no medium (ENOMEDIUM)";
            default -> "error " + errno;
        };
    }

    private Errno() {}
}
