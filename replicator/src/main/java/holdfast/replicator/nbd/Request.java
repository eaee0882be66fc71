package holdfast.replicator.nbd;

import java.net.ProtocolException;
import java.nio.ByteBuffer;

/// The header of one request. A connection has one of these and reads each request into it, so that
/// a request costs no object.
final class Request {
    int flags;
    int command;
    long cookie;
    long offset;

    /// Unsigned, like the offset: an extended header may hold any 64 bits.
    long length;

    static int headerBytes(boolean extended) {
        return extended ? Protocol.EXTENDED_REQUEST_BYTES : Protocol.REQUEST_BYTES;
    }

    /// Reads a whole header from `in` and steps past it.
    ///
    /// @throws ProtocolException if the magic is wrong: where the next request begins is then
    ///   unknown
    void read(ByteBuffer in, boolean extended) throws ProtocolException {
        int magic = in.getInt();
        if (magic != (extended ? Protocol.EXTENDED_REQUEST_MAGIC : Protocol.REQUEST_MAGIC)) {
            throw new ProtocolException("request magic is 0x%08x".formatted(magic));
        }
        flags = Short.toUnsignedInt(in.getShort());
        command = Short.toUnsignedInt(in.getShort());
        cookie = in.getLong();
        offset = in.getLong();
        length = extended ? in.getLong() : Integer.toUnsignedLong(in.getInt());
    }

    boolean has(int flag) {
        return (flags & flag) != 0;
    }

    /// How many bytes follow the header; unsigned.
    ///
    /// With extended headers a WRITE without PAYLOAD_LEN is against the protocol, but the clients
    /// known to send it send the data as well, and taking a header for data would be worse.
    long payloadLength(boolean extended) {
        return command == Protocol.CMD_WRITE || extended && has(Protocol.CMD_FLAG_PAYLOAD_LEN)
                ? length
                : 0;
    }
}
