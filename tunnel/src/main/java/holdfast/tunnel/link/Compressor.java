package holdfast.tunnel.link;

import com.github.luben.zstd.EndDirective;
import com.github.luben.zstd.ZstdCompressCtx;

import holdfast.tunnel.wire.Packet.Encoding;

import java.nio.ByteBuffer;

/// Compresses the packets of one outgoing stream. Its context is made for the first packet that
/// needs it and ends with the session; the pump thread owns it.
///
/// Packets that gained nothing are followed by some that are not tried: compressing random data
/// costs more than encrypting it. Such a packet is not part of the context on either side.
final class Compressor implements AutoCloseable {
    /// 4 MiB. Each context takes about twice that, for as long as the stream lives; the receiver as
    /// much once more.
    static final int WINDOW_LOG = 22;

    /// So many packets in a row must have gained nothing before some are skipped: a few random
    /// blocks in a row are common, and if they come again soon the context makes them cost nothing.
    private static final int PATIENCE = 16;

    /// At most so many packets are sent untried before the next try: 8 MiB of 128 KiB each.
    private static final int MAX_SKIP = 64;

    private final Compression compression;
    private ZstdCompressCtx context;

    /// Of the context.
    private int contextLevel;

    private int useless;
    private int skip;

    Compressor(Compression compression) {
        this.compression = compression;
    }

    /// Whether the next packet should be given to [#compress]; else it goes as it is.
    boolean wanted() {
        if (compression == Compression.OFF) {
            return false;
        }
        if (skip > 0) {
            skip--;
            return false;
        }
        return true;
    }

    /// More than any `rawBytes` become: zstd adds 3 bytes to each block of up to 128 KiB, and a
    /// header.
    static int bound(int rawBytes) {
        return rawBytes + (rawBytes >> 8) + 512;
    }

    /// Compresses all of `raw` into `out`; both are direct. Another level than the last time begins
    /// a new context, for zstd cannot change it within one.
    ///
    /// @param level zstd's
    /// @return how, or [Encoding#RAW] when nothing was gained and `raw` is to be sent instead; in
    ///   the streaming mode the result must be sent once it is made, because the next one builds on
    ///   it
    Encoding compress(ByteBuffer raw, ByteBuffer out, int level) {
        int rawBytes = raw.remaining();
        int at = out.position();
        boolean starts = context == null || level != contextLevel;
        if (context == null) {
            context = new ZstdCompressCtx().setChecksum(false);
            if (compression == Compression.STREAM) {
                context.setWindowLog(WINDOW_LOG);
            }
        }
        if (starts || compression == Compression.FRAME) {
            context.reset();
            context.setLevel(level);
            contextLevel = level;
        }
        if (compression == Compression.FRAME) {
            context.setPledgedSrcSize(rawBytes);
        }
        var end = compression == Compression.STREAM ? EndDirective.FLUSH : EndDirective.END;
        if (!context.compressDirectByteBufferStream(out, raw, end) || raw.hasRemaining()) {
            throw new IllegalStateException(rawBytes + " bytes did not fit when compressed");
        }
        int gained = rawBytes - (out.position() - at);
        if (gained > rawBytes / 50) {
            useless = 0;
        } else if (++useless >= PATIENCE) {
            skip = Math.min(MAX_SKIP, useless - PATIENCE + 4);
        }
        if (compression == Compression.STREAM) {
            return starts ? Encoding.ZSTD_STREAM_START : Encoding.ZSTD_STREAM;
        }
        return gained > 0 ? Encoding.ZSTD_FRAME : Encoding.RAW;
    }

    @Override
    public void close() {
        if (context != null) {
            context.close();
            context = null;
        }
    }
}
