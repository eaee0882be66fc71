package holdfast.recovery;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.URI;
import java.net.URLDecoder;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/// A small NBD client over a Unix socket: one request at a time, simple replies. `demo` uses it so
/// that it runs where no other client is installed; it is no example of a fast one.
///
/// The protocol is that of the NBD project's `doc/proto.md`: fixed newstyle, NO_ZEROES,
/// `NBD_OPT_GO`.
final class NbdClient implements AutoCloseable {
    private static final long MAGIC = 0x4e42444d41474943L;
    private static final long OPTION_MAGIC = 0x49484156454f5054L;
    private static final long OPTION_REPLY_MAGIC = 0x3e889045565a9L;
    private static final int REQUEST_MAGIC = 0x25609513;
    private static final int REPLY_MAGIC = 0x67446698;

    private static final int OPTION_GO = 7;
    private static final int REPLY_ACK = 1;
    private static final int REPLY_INFO = 3;
    private static final int INFO_EXPORT = 0;

    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final int DISCONNECT = 2;
    private static final int FLUSH = 3;

    /// Of one request; every server takes that much.
    private static final int MAX_PIECE = 1 << 20;

    private final SocketChannel channel;
    private final DataInputStream in;
    private long size;
    private long cookie;

    private NbdClient(SocketChannel channel) {
        this.channel = channel;
        this.in = new DataInputStream(new BufferedInputStream(new ChannelInput(channel), 64 << 10));
    }

    /// @param uri like `nbd+unix:///home?socket=/run/holdfast/home.nbd`
    static NbdClient connect(String uri) throws IOException {
        URI parsed = URI.create(uri);
        String socket = "";
        for (String part : parsed.getRawQuery().split("&")) {
            if (part.startsWith("socket=")) {
                socket =
                        URLDecoder.decode(
                                part.substring("socket=".length()).replace("+", "%2B"),
                                StandardCharsets.UTF_8);
            }
        }
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        var client = new NbdClient(channel);
        try {
            channel.connect(UnixDomainSocketAddress.of(socket));
            client.negotiate(parsed.getPath().substring(1));
            return client;
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    long size() {
        return size;
    }

    void read(long offset, byte[] into) throws IOException {
        for (int at = 0; at < into.length; at += MAX_PIECE) {
            int length = Math.min(MAX_PIECE, into.length - at);
            request(READ, offset + at, length, new byte[0], 0);
            in.readFully(into, at, length);
        }
    }

    void write(long offset, byte[] data) throws IOException {
        for (int at = 0; at < data.length; at += MAX_PIECE) {
            request(WRITE, offset + at, Math.min(MAX_PIECE, data.length - at), data, at);
        }
    }

    void flush() throws IOException {
        request(FLUSH, 0, 0, new byte[0], 0);
    }

    @Override
    public void close() throws IOException {
        try (channel) {
            send(header(DISCONNECT, 0, 0));
        }
    }

    private void negotiate(String export) throws IOException {
        expect(in.readLong() == MAGIC && in.readLong() == OPTION_MAGIC, "no newstyle NBD server");
        int flags = in.readUnsignedShort();
        expect((flags & 1) != 0, "no fixed newstyle NBD server");
        boolean noZeroes = (flags & 2) != 0;
        byte[] name = export.getBytes(StandardCharsets.UTF_8);
        ByteBuffer out = ByteBuffer.allocate(4 + 16 + 6 + name.length);
        out.putInt(noZeroes ? 3 : 1);
        out.putLong(OPTION_MAGIC).putInt(OPTION_GO).putInt(6 + name.length);
        out.putInt(name.length).put(name).putShort((short) 0);
        send(out.flip());
        while (true) {
            expect(
                    in.readLong() == OPTION_REPLY_MAGIC && in.readInt() == OPTION_GO,
                    "a reply to no option of ours");
            int type = in.readInt();
            int length = in.readInt();
            expect(length >= 0 && length <= 4096, "an option reply of " + length + " bytes");
            byte[] body = in.readNBytes(length);
            if (type == REPLY_ACK) {
                return;
            }
            expect(
                    type == REPLY_INFO && body.length >= 2,
                    "export \"%s\" refused: %s"
                            .formatted(export, new String(body, StandardCharsets.UTF_8)));
            ByteBuffer info = ByteBuffer.wrap(body);
            if (info.getShort() == INFO_EXPORT) {
                size = info.getLong();
            }
        }
    }

    private void request(int command, long offset, int length, byte[] data, int at)
            throws IOException {
        ByteBuffer header = header(command, offset, length);
        send(header);
        if (command == WRITE) {
            send(ByteBuffer.wrap(data, at, length));
        }
        expect(in.readInt() == REPLY_MAGIC, "no simple reply");
        int error = in.readInt();
        expect(in.readLong() == cookie, "a reply to another request");
        expect(
                error == 0,
                "request of %d bytes at %d failed with error %d".formatted(length, offset, error));
    }

    private ByteBuffer header(int command, long offset, int length) {
        ByteBuffer header = ByteBuffer.allocate(28);
        header.putInt(REQUEST_MAGIC).putShort((short) 0).putShort((short) command);
        header.putLong(++cookie).putLong(offset).putInt(length);
        return header.flip();
    }

    private void send(ByteBuffer out) throws IOException {
        while (out.hasRemaining()) {
            channel.write(out);
        }
    }

    private static void expect(boolean holds, String otherwise) throws IOException {
        if (!holds) {
            throw new IOException("NBD: " + otherwise);
        }
    }

    private static final class ChannelInput extends InputStream {
        private final SocketChannel channel;

        ChannelInput(SocketChannel channel) {
            this.channel = channel;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            return channel.read(ByteBuffer.wrap(bytes, offset, length));
        }
    }
}
