package holdfast.replicator.nbd;

import java.util.function.LongSupplier;

/// Whether a request may reach the export, and if not, with which number it is refused. Decides
/// only.
///
/// @param sizeBytes of the export, asked for each request: one may grow under its clients
/// @param minBlockBytes every offset and length is a multiple of it
/// @param maxBlockBytes longest read or write
/// @param flags the transmission flags the client was told
/// @param extended whether extended headers were agreed on
/// @param blockStatus whether the client has selected `base:allocation`
record RequestRules(
        LongSupplier sizeBytes,
        int minBlockBytes,
        int maxBlockBytes,
        int flags,
        boolean extended,
        boolean blockStatus) {

    /// The number to answer with, [Errno#OK] if the request is in order. The range of a
    /// BLOCK_STATUS that has a payload is not looked at: call [#range] with what the payload says.
    int check(Request request) {
        int allowed = allowedFlags(request.command);
        if (allowed < 0 || (request.flags & ~allowed) != 0) {
            return Errno.EINVAL;
        }
        return switch (request.command) {
            case Protocol.CMD_READ -> {
                int errno = range(request.offset, request.length, Errno.EINVAL);
                yield errno == Errno.OK && request.length > maxBlockBytes ? Errno.EINVAL : errno;
            }
            case Protocol.CMD_WRITE -> {
                if (readOnly()) {
                    yield Errno.EPERM;
                }
                int errno = range(request.offset, request.length, Errno.ENOSPC);
                yield errno == Errno.OK && request.length > maxBlockBytes ? Errno.EINVAL : errno;
            }
            case Protocol.CMD_WRITE_ZEROES ->
                    readOnly() ? Errno.EPERM : range(request.offset, request.length, Errno.ENOSPC);
            case Protocol.CMD_TRIM ->
                    readOnly() ? Errno.EPERM : range(request.offset, request.length, Errno.EINVAL);
            case Protocol.CMD_FLUSH ->
                    request.offset == 0 && request.length == 0 ? Errno.OK : Errno.EINVAL;
            case Protocol.CMD_BLOCK_STATUS -> {
                if (!blockStatus) {
                    yield Errno.EINVAL;
                }
                if (request.has(Protocol.CMD_FLAG_PAYLOAD_LEN)) {
                    yield Errno.OK;
                }
                yield request.length == 0
                        ? Errno.EINVAL
                        : range(request.offset, request.length, Errno.EINVAL);
            }
            default -> range(request.offset, request.length, Errno.EINVAL);
        };
    }

    /// Whether the range lies inside the export and is aligned; both numbers are unsigned.
    ///
    /// @param pastEnd the answer if it ends behind the export
    int range(long offset, long length, int pastEnd) {
        long size = sizeBytes.getAsLong();
        // Nothing is added before it is known to be small, so nothing can wrap.
        if (offset < 0 || length < 0 || offset > size || length > size - offset) {
            return pastEnd;
        }
        return ((offset | length) & minBlockBytes - 1) == 0 ? Errno.OK : Errno.EINVAL;
    }

    private boolean readOnly() {
        return (flags & Protocol.READ_ONLY) != 0;
    }

    /// Flags this command may carry on this connection; negative for a command that does not exist.
    /// FUA was advertised, so it is accepted on every command.
    private int allowedFlags(int command) {
        return Protocol.CMD_FLAG_FUA
                | switch (command) {
                    case Protocol.CMD_READ ->
                            (flags & Protocol.SEND_DF) != 0 ? Protocol.CMD_FLAG_DF : 0;
                    case Protocol.CMD_WRITE -> extended ? Protocol.CMD_FLAG_PAYLOAD_LEN : 0;
                    case Protocol.CMD_FLUSH, Protocol.CMD_TRIM, Protocol.CMD_CACHE -> 0;
                    case Protocol.CMD_WRITE_ZEROES ->
                            Protocol.CMD_FLAG_NO_HOLE
                                    | ((flags & Protocol.SEND_FAST_ZERO) != 0
                                            ? Protocol.CMD_FLAG_FAST_ZERO
                                            : 0);
                    case Protocol.CMD_BLOCK_STATUS ->
                            Protocol.CMD_FLAG_REQ_ONE
                                    | (extended ? Protocol.CMD_FLAG_PAYLOAD_LEN : 0);
                    default -> 1 << 31;
                };
    }
}
