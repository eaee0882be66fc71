package holdfast.replicator.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// A client that sends exactly what a test tells it to, with the protocol's numbers written out
/// anew: it must not share a mistake with the server.
final class RawClient implements AutoCloseable {
    final SocketChannel channel;
    final DataInputStream in;

    /// Collects until [#send].
    final DataOutputStream out;

    private final ByteArrayOutputStream unsent = new ByteArrayOutputStream();

    RawClient(Path socket) throws IOException {
        this(SocketChannel.open(UnixDomainSocketAddress.of(socket)));
    }

    RawClient(SocketChannel channel) {
        this.channel = channel;
        in = new DataInputStream(Channels.newInputStream(channel));
        out = new DataOutputStream(unsent);
    }

    /// One answer to an option: its type and data.
    record OptionReply(int type, byte[] data) {
        static final int ACK = 1;
        static final int INFO = 3;
        static final int META_CONTEXT = 4;
        static final int ERR_UNSUP = 0x80000001;
        static final int ERR_POLICY = 0x80000002;
        static final int ERR_INVALID = 0x80000003;
        static final int ERR_UNKNOWN = 0x80000006;
        static final int ERR_TOO_BIG = 0x80000009;
        static final int ERR_EXT_HEADER_REQD = 0x8000000a;
    }

    void send() throws IOException {
        Channels.newOutputStream(channel).write(takeUnsent());
    }

    /// What was collected, for a test that sends it another way.
    byte[] takeUnsent() {
        byte[] bytes = unsent.toByteArray();
        unsent.reset();
        return bytes;
    }

    /// Greeting and client flags.
    RawClient greet(int clientFlags) throws IOException {
        assertEquals(0x4e42444d41474943L, in.readLong());
        assertEquals(0x49484156454f5054L, in.readLong());
        assertEquals(3, in.readShort());
        out.writeInt(clientFlags);
        send();
        return this;
    }

    RawClient putOption(int option, byte[] data) throws IOException {
        out.writeLong(0x49484156454f5054L);
        out.writeInt(option);
        out.writeInt(data.length);
        out.write(data);
        return this;
    }

    OptionReply option(int option, byte[] data) throws IOException {
        putOption(option, data).send();
        return optionReply(option);
    }

    OptionReply optionReply(int option) throws IOException {
        assertEquals(0x3e889045565a9L, in.readLong());
        assertEquals(option, in.readInt());
        int type = in.readInt();
        return new OptionReply(type, in.readNBytes(in.readInt()));
    }

    /// Data of INFO and GO.
    static byte[] info(String name, int... infos) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream data = new DataOutputStream(bytes);
        data.writeInt(name.length());
        data.write(name.getBytes(StandardCharsets.UTF_8));
        data.writeShort(infos.length);
        for (int info : infos) {
            data.writeShort(info);
        }
        return bytes.toByteArray();
    }

    /// Data of LIST_META_CONTEXT and SET_META_CONTEXT.
    static byte[] contexts(String name, String... queries) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream data = new DataOutputStream(bytes);
        data.writeInt(name.length());
        data.write(name.getBytes(StandardCharsets.UTF_8));
        data.writeInt(queries.length);
        for (String query : queries) {
            data.writeInt(query.length());
            data.write(query.getBytes(StandardCharsets.UTF_8));
        }
        return bytes.toByteArray();
    }

    /// GO, up to its ACK.
    ///
    /// @return the transmission flags
    int go(String name) throws IOException {
        putOption(7, info(name)).send();
        int flags = -1;
        while (true) {
            OptionReply reply = optionReply(7);
            if (reply.type == OptionReply.ACK) {
                return flags;
            }
            assertEquals(OptionReply.INFO, reply.type);
            if (reply.data[0] == 0 && reply.data[1] == 0) {
                flags = (reply.data[10] & 0xff) << 8 | reply.data[11] & 0xff;
            }
        }
    }

    RawClient putRequest(int flags, int command, long cookie, long offset, int length)
            throws IOException {
        out.writeInt(0x25609513);
        out.writeShort(flags);
        out.writeShort(command);
        out.writeLong(cookie);
        out.writeLong(offset);
        out.writeInt(length);
        return this;
    }

    RawClient putExtended(int flags, int command, long cookie, long offset, long length)
            throws IOException {
        out.writeInt(0x21e41c71);
        out.writeShort(flags);
        out.writeShort(command);
        out.writeLong(cookie);
        out.writeLong(offset);
        out.writeLong(length);
        return this;
    }

    /// @return the errno of the next reply, which must be a simple one with this cookie
    int simpleReply(long cookie) throws IOException {
        assertEquals(0x67446698, in.readInt());
        int errno = in.readInt();
        assertEquals(cookie, in.readLong());
        return errno;
    }

    /// One request without payload and its simple reply.
    int request(int flags, int command, long offset, int length) throws IOException {
        putRequest(flags, command, 77, offset, length).send();
        return simpleReply(77);
    }

    /// Whether the server has closed the connection, after whatever it still sends.
    boolean closedByServer() {
        try {
            while (in.read() >= 0) {
                // What comes before the end is not looked at.
            }
        } catch (IOException e) {
            // Reset: closed as well.
        }
        return true;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
