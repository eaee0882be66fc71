package holdfast.replicator.nbd;

import java.nio.ByteBuffer;
import java.util.List;

/// The three forms of a reply, one of which the handshake agrees on. Layouts: [Protocol].
///
/// Commands other than READ and BLOCK_STATUS are answered with simple replies as long as the client
/// allows it, 16 bytes instead of 20.
enum ReplyStyle {
    SIMPLE,
    STRUCTURED,
    EXTENDED;

    /// No [#putDone], [#putEmpty] or [#putReadHeader] is longer.
    static final int MAX_BYTES = 48;

    /// Answers a command that returns nothing.
    ///
    /// @param offset of the request
    /// @param errno what the client is told, 0 for success
    void putDone(ByteBuffer out, long cookie, long offset, int errno) {
        if (this == EXTENDED) {
            putFinal(out, cookie, offset, errno);
        } else {
            out.putInt(Protocol.SIMPLE_REPLY_MAGIC).putInt(errno).putLong(cookie);
        }
    }

    /// Answers a READ or BLOCK_STATUS that returns nothing: it failed, or it asked for nothing.
    void putEmpty(ByteBuffer out, long cookie, long offset, int errno) {
        if (this == SIMPLE) {
            putDone(out, cookie, offset, errno);
        } else {
            putFinal(out, cookie, offset, errno);
        }
    }

    /// What stands before the data of a successful read; nothing comes after it.
    void putReadHeader(ByteBuffer out, long cookie, long offset, int lengthBytes) {
        if (this == SIMPLE) {
            putDone(out, cookie, offset, Errno.OK);
            return;
        }
        putChunk(
                out,
                Protocol.REPLY_FLAG_DONE,
                Protocol.REPLY_OFFSET_DATA,
                cookie,
                offset,
                8L + lengthBytes);
        out.putLong(offset);
    }

    int readHeaderBytes() {
        return switch (this) {
            case SIMPLE -> 16;
            case STRUCTURED -> 20 + 8;
            case EXTENDED -> 32 + 8;
        };
    }

    /// The one chunk that answers a BLOCK_STATUS, for `base:allocation`.
    void putExtents(ByteBuffer out, long cookie, long offset, List<Extent> extents) {
        if (this == EXTENDED) {
            putChunk(
                    out,
                    Protocol.REPLY_FLAG_DONE,
                    Protocol.REPLY_BLOCK_STATUS_EXT,
                    cookie,
                    offset,
                    8 + 16L * extents.size());
            out.putInt(Protocol.BASE_ALLOCATION_ID).putInt(extents.size());
            extents.forEach(
                    extent -> out.putLong(extent.lengthBytes()).putLong(extent.stateFlags()));
        } else {
            putChunk(
                    out,
                    Protocol.REPLY_FLAG_DONE,
                    Protocol.REPLY_BLOCK_STATUS,
                    cookie,
                    offset,
                    4 + 8L * extents.size());
            out.putInt(Protocol.BASE_ALLOCATION_ID);
            extents.forEach(
                    extent -> out.putInt((int) extent.lengthBytes()).putInt(extent.stateFlags()));
        }
    }

    int extentsBytes(int extentCount) {
        return this == EXTENDED ? 40 + 16 * extentCount : 24 + 8 * extentCount;
    }

    private void putFinal(ByteBuffer out, long cookie, long offset, int errno) {
        if (errno == Errno.OK) {
            putChunk(out, Protocol.REPLY_FLAG_DONE, Protocol.REPLY_NONE, cookie, offset, 0);
        } else {
            putChunk(out, Protocol.REPLY_FLAG_DONE, Protocol.REPLY_ERROR, cookie, offset, 6);
            out.putInt(errno).putShort((short) 0);
        }
    }

    private void putChunk(
            ByteBuffer out, int flags, int type, long cookie, long offset, long lengthBytes) {
        if (this == EXTENDED) {
            out.putInt(Protocol.EXTENDED_REPLY_MAGIC)
                    .putShort((short) flags)
                    .putShort((short) type);
            out.putLong(cookie).putLong(offset).putLong(lengthBytes);
        } else {
            out.putInt(Protocol.STRUCTURED_REPLY_MAGIC)
                    .putShort((short) flags)
                    .putShort((short) type);
            out.putLong(cookie).putInt((int) lengthBytes);
        }
    }
}
