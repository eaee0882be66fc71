package holdfast.replicator.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/// Orders to the kernel's NBD client about a device that is connected, over generic netlink
/// (`linux/nbd-netlink.h`): what `nbd-client` has no option for.
///
/// A message is a header of netlink, one of generic netlink and attributes, each a whole number of
/// 4 bytes, all in the order of bytes of the host:
///
/// | bytes | field                                                    |
/// |------:|----------------------------------------------------------|
/// |     4 | length of all                                            |
/// |     2 | type: the number of the family; 2 = the answer, or error |
/// |     2 | flags: 1 = request, 4 = with an answer                   |
/// |     8 | zero (number of the message, port)                       |
/// |   1+1 | command, version 1                                       |
/// |     2 | zero                                                     |
/// |       | attributes: 2 length with this, 2 type, value, padding   |
///
/// An answer of type 2 has, behind the first header, 4 bytes with `-errno`, 0 when it is done. It
/// ends what the kernel says of a request, also behind what was asked for.
public final class NbdNetlink {
    private static final int HEADER_BYTES = 16;
    private static final int GENERIC_HEADER_BYTES = 4;
    private static final int ATTRIBUTE_HEADER_BYTES = 4;

    /// Longer than any answer to what is asked here.
    private static final int ANSWER_BYTES = 8 << 10;

    private static final short REQUEST_WITH_ANSWER = 1 | 4;
    private static final short TYPE_ERROR = 2;

    /// The family that knows the numbers of the others.
    private static final short CONTROL = 16;

    private static final byte CONTROL_GET_FAMILY = 3;
    private static final short CONTROL_FAMILY_ID = 1;
    private static final short CONTROL_FAMILY_NAME = 2;

    private static final byte RECONFIGURE = 3;
    private static final short INDEX = 1;
    private static final short SIZE_BYTES = 2;

    private NbdNetlink() {}

    /// Gives a connected device another size, also under a mounted filesystem, which sees it at
    /// once. The server must answer for that size already.
    ///
    /// @param device N of `/dev/nbdN`
    /// @throws DeviceException if the kernel refuses: ENOENT when it has no nbd, EPERM without the
    ///   right to it, EINVAL for a device that is not connected, or was connected without netlink
    ///   or with an identifier
    public static void resize(int device, long sizeBytes) throws DeviceException {
        String what = "the size of /dev/nbd%d cannot be changed".formatted(device);
        int socket = Native.netlinkSocket();
        if (socket < 0) {
            throw new DeviceException(-socket, what);
        }
        try {
            ask(socket, resizeMessage(family(socket, "nbd", what), device, sizeBytes), what);
        } finally {
            Native.close(socket);
        }
    }

    static ByteBuffer resizeMessage(short family, int device, long sizeBytes) {
        ByteBuffer out = message(family, RECONFIGURE);
        attribute(out, INDEX, 4).putInt(device);
        attribute(out, SIZE_BYTES, 8).putLong(sizeBytes);
        return ended(out);
    }

    /// The number that this kernel has given a family.
    static short family(int socket, String name, String what) throws DeviceException {
        byte[] text = (name + "\0").getBytes(StandardCharsets.US_ASCII);
        ByteBuffer out = message(CONTROL, CONTROL_GET_FAMILY);
        attribute(out, CONTROL_FAMILY_NAME, text.length).put(text);
        ByteBuffer in = ask(socket, ended(out), what);
        in.position(HEADER_BYTES + GENERIC_HEADER_BYTES);
        while (in.remaining() >= ATTRIBUTE_HEADER_BYTES) {
            int start = in.position();
            int length = Short.toUnsignedInt(in.getShort());
            if (in.getShort() == CONTROL_FAMILY_ID) {
                return in.getShort();
            }
            in.position(Math.min(in.limit(), start + padded(Math.max(length, 4))));
        }
        throw new DeviceException(0, what + ": netlink does not name the number of " + name);
    }

    private static ByteBuffer message(short family, byte command) {
        return ByteBuffer.allocateDirect(64)
                .order(ByteOrder.nativeOrder())
                .putInt(0)
                .putShort(family)
                .putShort(REQUEST_WITH_ANSWER)
                .putLong(0)
                .put(command)
                .put((byte) 1)
                .putShort((short) 0);
    }

    private static ByteBuffer attribute(ByteBuffer out, short type, int valueBytes) {
        out.position(padded(out.position()));
        return out.putShort((short) (ATTRIBUTE_HEADER_BYTES + valueBytes)).putShort(type);
    }

    private static ByteBuffer ended(ByteBuffer out) {
        out.position(padded(out.position()));
        return out.flip().putInt(0, out.limit());
    }

    private static int padded(int bytes) {
        return bytes + 3 & ~3;
    }

    /// The kernel answers before the write returns: nothing is waited for. What was asked for comes
    /// first, if anything was; then, of type 2, that it is done.
    ///
    /// @return what was asked for, or that it is done
    private static ByteBuffer ask(int socket, ByteBuffer message, String what)
            throws DeviceException {
        long written = Native.write(socket, MemorySegment.ofBuffer(message));
        if (written < 0) {
            throw new DeviceException((int) -written, what);
        }
        ByteBuffer said = null;
        while (true) {
            ByteBuffer in = next(socket, what);
            if (in.getShort(4) != TYPE_ERROR) {
                said = in;
                continue;
            }
            int error = in.getInt(HEADER_BYTES);
            if (error != 0) {
                throw new DeviceException(-error, what);
            }
            return said == null ? in : said;
        }
    }

    private static ByteBuffer next(int socket, String what) throws DeviceException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment answer = arena.allocate(ANSWER_BYTES);
            long got = Native.read(socket, answer);
            if (got < 0) {
                throw new DeviceException((int) -got, what);
            }
            if (got < HEADER_BYTES + 4) {
                throw new DeviceException(0, what + ": an answer of %d bytes".formatted(got));
            }
            ByteBuffer in = ByteBuffer.allocate((int) got).order(ByteOrder.nativeOrder());
            return in.put(answer.asSlice(0, got).asByteBuffer()).flip();
        }
    }
}
