package holdfast.replicator.device;

import java.io.IOException;

/// A device or a file below the daemon did not do what it was asked.
///
/// Expected in operation. On a backing device the caller detaches: disk state `FAILED`, then
/// `DISKLESS` (protocol rule R11). On the journal or the metadata it acknowledges nothing more for
/// the resource concerned, and harms no other.
public class DeviceException extends IOException {
    private static final long serialVersionUID = 1;

    private final int errno;

    /// @param errno as in `errno(3)` of Linux, or 0 when the kernel reported no error but the
    ///   result was wrong all the same (a device that has shrunk)
    /// @param message what was tried on which file, and for an operator what to do; the name of the
    ///   error is added
    public DeviceException(int errno, String message) {
        this(errno, message, null);
    }

    public DeviceException(int errno, String message, Throwable cause) {
        super(errno == 0 ? message : message + ": " + Errno.describe(errno), cause);
        this.errno = errno;
    }

    /// The number as Linux gives it: 5 is EIO, 28 ENOSPC, 30 EROFS; 0 when there is none.
    public int errno() {
        return errno;
    }

    /// Whether space ran out (ENOSPC, EDQUOT, EFBIG), which giving space heals.
    public boolean isOutOfSpace() {
        return errno == Errno.ENOSPC || errno == Errno.EDQUOT || errno == Errno.EFBIG;
    }
}
