package holdfast.bench;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// An NBD client that survives its server: one request at a time, and an [IOException] when the
/// answer does not come. (Clients nobody here wrote are in the interoperability tests.)
public final class BlockClient implements AutoCloseable {
    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final int DISCONNECT = 2;
    private static final int FLUSH = 3;
    private static final int WRITE_ZEROES = 6;

    private final SocketChannel channel;
    private final DataInputStream in;
    private long cookie;

    public BlockClient(Path socket, String export) throws IOException {
        channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.connect(UnixDomainSocketAddress.of(socket));
            in =
                    new DataInputStream(
                            new BufferedInputStream(Channels.newInputStream(channel), 64 << 10));
            negotiate(export.getBytes(StandardCharsets.UTF_8));
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    /// Fixed newstyle, NBD_OPT_GO.
    private void negotiate(byte[] export) throws IOException {
        in.skipNBytes(18);
        send(
                ByteBuffer.allocate(26 + export.length)
                        .putInt(3)
                        .putLong(0x49484156454f5054L)
                        .putInt(7)
                        .putInt(6 + export.length)
                        .putInt(export.length)
                        .put(export)
                        .putShort((short) 0)
                        .flip());
        int type;
        do {
            in.skipNBytes(12);
            type = in.readInt();
            in.skipNBytes(in.readInt());
            if (type < 0) {
                throw new IOException("the export is refused");
            }
        } while (type != 1);
    }

    public void write(long offset, ByteBuffer data, boolean fua) throws IOException {
        request(fua ? 1 : 0, WRITE, offset, data.remaining(), data);
    }

    public void writeZeroes(long offset, int length) throws IOException {
        request(0, WRITE_ZEROES, offset, length, null);
    }

    public void flush() throws IOException {
        request(0, FLUSH, 0, 0, null);
    }

    public ByteBuffer read(long offset, int length) throws IOException {
        request(0, READ, offset, length, null);
        byte[] data = new byte[length];
        in.readFully(data);
        return ByteBuffer.wrap(data);
    }

    private void request(int flags, int command, long offset, int length, ByteBuffer data)
            throws IOException {
        ByteBuffer out = ByteBuffer.allocate(28 + (data == null ? 0 : data.remaining()));
        out.putInt(0x25609513).putShort((short) flags).putShort((short) command);
        out.putLong(++cookie).putLong(offset).putInt(length);
        if (data != null) {
            out.put(data.duplicate());
        }
        send(out.flip());
        int magic = in.readInt();
        int error = in.readInt();
        long answered = in.readLong();
        if (magic != 0x67446698 || answered != cookie) {
            throw new AssertionError("an answer to no request: %x".formatted(magic));
        }
        if (error != 0) {
            throw new IOException("command %d fails with error %d".formatted(command, error));
        }
    }

    private void send(ByteBuffer out) throws IOException {
        while (out.hasRemaining()) {
            channel.write(out);
        }
    }

    @Override
    public void close() throws IOException {
        try (channel) {
            send(
                    ByteBuffer.allocate(28)
                            .putInt(0x25609513)
                            .putShort((short) 0)
                            .putShort((short) DISCONNECT)
                            .putLong(0)
                            .putLong(0)
                            .putInt(0)
                            .flip());
        } catch (IOException _) {
            // The server went first.
        }
    }
}
