package holdfast.tunnel.link;

import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;

import holdfast.tunnel.wire.Packet;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.ProtocolException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Decompresses the packets of one incoming stream. Whatever the bytes say, it takes no more memory
/// than the packet's raw length, which was limited before, and one window of at most 4 MiB; the
/// event loop owns it.
final class Decompressor implements AutoCloseable {
    private static final int ZSTD_MAGIC = 0xFD2FB528;

    private ZstdDecompressCtx stream;
    private ZstdDecompressCtx frame;

    /// The raw payload. It has the length that the header names; its checksum is not yet proven.
    ///
    /// @throws ProtocolException if it does not decompress to exactly that
    ByteBuffer decompress(Packet packet) throws ProtocolException {
        Packet.Header header = packet.header();
        ByteBuffer payload = packet.payload();
        return switch (header.encoding()) {
            case RAW -> payload;
            case PART -> throw new ProtocolException("a part is no packet");
            case ZSTD_STREAM_START -> {
                requireMagic(payload);
                if (stream == null) {
                    stream = fresh();
                } else {
                    stream.reset();
                }
                yield inflate(stream, payload, header.rawBytes(), false);
            }
            case ZSTD_STREAM -> {
                if (stream == null) {
                    throw new ProtocolException("compressed payload goes on with what never began");
                }
                yield inflate(stream, payload, header.rawBytes(), false);
            }
            case ZSTD_FRAME -> {
                requireMagic(payload);
                if (frame == null) {
                    frame = fresh();
                } else {
                    frame.reset();
                }
                yield inflate(frame, payload, header.rawBytes(), true);
            }
        };
    }

    private static ZstdDecompressCtx fresh() {
        return new ZstdDecompressCtx().setLongMax(Compressor.WINDOW_LOG);
    }

    /// Skippable frames, which zstd would pass over in silence, are none of ours.
    private static void requireMagic(ByteBuffer payload) throws ProtocolException {
        if (payload.remaining() < 4
                || payload.slice().order(ByteOrder.LITTLE_ENDIAN).getInt(0) != ZSTD_MAGIC) {
            throw new ProtocolException("compressed payload does not begin as one");
        }
    }

    private static ByteBuffer inflate(
            ZstdDecompressCtx context, ByteBuffer in, int rawBytes, boolean ends)
            throws ProtocolException {
        // One byte more than it may become, so that a payload that holds more is caught rather than
        // cut.
        ByteBuffer out = ByteBuffer.allocate(Math.min(rawBytes, PacketCodec.MAX_PAYLOAD_BYTES) + 1);
        try {
            boolean ended = false;
            while (in.hasRemaining()) {
                int before = in.position() + out.position();
                if (ended || !out.hasRemaining()) {
                    throw new ProtocolException("compressed payload holds more than it says");
                }
                ended = context.decompressByteBufferStream(out, in);
                if (in.position() + out.position() == before) {
                    throw new ProtocolException("compressed payload makes no progress");
                }
            }
            if (ended != ends) {
                throw new ProtocolException("compressed payload ends in the wrong place");
            }
        } catch (ZstdException e) {
            throw new ProtocolException("compressed payload: " + e.getMessage(), e);
        }
        if (out.position() != rawBytes) {
            throw new ProtocolException(
                    "compressed payload holds %d bytes, not %d"
                            .formatted(out.position(), rawBytes));
        }
        return out.flip();
    }

    @Override
    public void close() {
        if (stream != null) {
            stream.close();
            stream = null;
        }
        if (frame != null) {
            frame.close();
            frame = null;
        }
    }
}
