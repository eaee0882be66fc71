package holdfast.tunnel.wire;

import static holdfast.tunnel.wire.FrameCodec.require;

import holdfast.tunnel.wire.Packet.Encoding;
import holdfast.tunnel.wire.Packet.Header;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.zip.CRC32C;

/// Packets to bytes and back: no I/O, no state, no compression. Integers are big-endian.
///
/// | offset | bytes | field        | meaning                                                     |
/// |-------:|------:|--------------|-------------------------------------------------------------|
/// |      0 |     2 | magic        | `0x4846`, "HF"                                              |
/// |      2 |     1 | version      | 1                                                           |
/// |      3 |     1 | encoding     | 0 raw, 1 zstd with the stream's context, 2 zstd without,    |
/// |        |       |              | 3 zstd that begins a new context of the stream, 4 a part of |
/// |        |       |              | a packet                                                    |
/// |      4 |     4 | stream       | 0 = control                                                 |
/// |      8 |     4 | payloadBytes | 1 to [#MAX_PAYLOAD_BYTES], as they follow on the wire       |
/// |     12 |     4 | rawBytes     | the same, decompressed; equal to it when raw                |
/// |     16 |     4 | rawCrc       | CRC-32C of the raw payload                                  |
/// |     20 |     4 | paddingBytes | zeros at the end of the payload, below [#PADDING_LIMIT]     |
/// |     24 |     4 | headerCrc    | CRC-32C of bytes 0 to 23                                    |
public final class PacketCodec {
    public static final int HEADER_BYTES = 28;
    public static final int VERSION = 1;

    /// The most that follows a header, and the most that it decompresses to.
    public static final int MAX_PAYLOAD_BYTES = 2 << 20;

    /// Padding is shorter than this: one part in 128 of the longest payload.
    public static final int PADDING_LIMIT = MAX_PAYLOAD_BYTES >> 7;

    /// A packet longer than this goes in parts, so that another stream's may go in between. Most
    /// batches are shorter: they are filled up to [StreamScheduler#QUANTUM_BYTES].
    public static final int MAX_PART_BYTES = 256 << 10;

    /// So many streams may have a packet of which a part was sent and a part was not.
    public static final int MAX_OPEN = 16;

    /// Payloads up to 8 KiB are padded to multiples of this.
    private static final int SMALLEST_STEP = 64;

    private static final short MAGIC = 0x4846;
    private static final int CRC_AT = 24;
    private static final Encoding[] ENCODINGS = Encoding.values();

    private PacketCodec() {}

    /// A whole packet of uncompressed frames of one stream.
    public static ByteBuffer encodeRaw(int stream, List<? extends Frame> frames) {
        int rawBytes = 0;
        for (Frame frame : frames) {
            rawBytes = Math.addExact(rawBytes, FrameCodec.sizeOf(frame));
        }
        if (rawBytes > MAX_PAYLOAD_BYTES) {
            throw new IllegalArgumentException("packet of " + rawBytes + " bytes");
        }
        var out = ByteBuffer.allocate(HEADER_BYTES + rawBytes).position(HEADER_BYTES);
        for (Frame frame : frames) {
            FrameCodec.encode(frame, out);
        }
        int rawCrc = crc(out, HEADER_BYTES, rawBytes);
        out.flip();
        writeHeader(new Header(Encoding.RAW, stream, rawBytes, rawBytes, rawCrc), out);
        return out.rewind();
    }

    /// Writes the [#HEADER_BYTES] before a payload.
    public static void writeHeader(Header header, ByteBuffer out) {
        int at = out.position();
        out.putShort(MAGIC).put((byte) VERSION).put((byte) header.encoding().ordinal());
        out.putInt(header.stream())
                .putInt(header.payloadBytes())
                .putInt(header.rawBytes())
                .putInt(header.rawCrc());
        out.putInt(header.paddingBytes());
        out.putInt(crc(out, at, CRC_AT));
    }

    /// Writes the header of a part.
    ///
    /// @param bytes that follow
    /// @param left of the whole packet with these
    public static void writePartHeader(int stream, int bytes, int left, ByteBuffer out) {
        writeHeader(new Header(Encoding.PART, stream, bytes, left, 0), out);
    }

    /// How many zeros make the length of a compressed payload one of its size class: multiples of
    /// 64 bytes up to 8 KiB, of 1/128 to 1/256 of the length above. So a length that is seen tells
    /// less, at a cost of 0.4 % on average for whoever fills the line.
    public static int paddingFor(int payloadBytes) {
        int step = paddingBound(Integer.highestOneBit(payloadBytes));
        int padding = -payloadBytes & step - 1;
        return payloadBytes + padding <= MAX_PAYLOAD_BYTES ? padding : 0;
    }

    /// The most that any payload of up to so many bytes is padded with.
    public static int paddingBound(int payloadBytes) {
        return Math.max(SMALLEST_STEP, payloadBytes >> 7);
    }

    /// A payload without its padding, which must be zero.
    ///
    /// @param payload all of it, from its first byte on
    static ByteBuffer withoutPadding(Header header, ByteBuffer payload) throws ProtocolException {
        int length = header.payloadBytes() - header.paddingBytes();
        for (int at = length; at < header.payloadBytes(); at++) {
            require(payload.get(at) == 0, "padding of a packet is not zero");
        }
        return payload.limit(length);
    }

    /// Reads a header and steps past it. Its checksum is proven before any field is believed.
    ///
    /// @param in at least [#HEADER_BYTES]
    public static Header readHeader(ByteBuffer in) throws ProtocolException {
        int at = in.position();
        require(in.remaining() >= HEADER_BYTES, "packet header cut short");
        require(in.getShort(at) == MAGIC, "not a packet: it begins with %04x", in.getShort(at));
        require(in.getInt(at + CRC_AT) == crc(in, at, CRC_AT), "packet header checksum differs");
        require(
                in.get(at + 2) == VERSION,
                "packet version %d, expected %d",
                in.get(at + 2),
                VERSION);
        int encoding = in.get(at + 3) & 0xff;
        require(encoding < ENCODINGS.length, "packet encoding %d", encoding);
        int stream = in.getInt(at + 4);
        require(stream >= 0, "packet of stream %d", stream);
        int payloadBytes = in.getInt(at + 8);
        require(
                payloadBytes > 0 && payloadBytes <= MAX_PAYLOAD_BYTES,
                "packet of %d bytes",
                payloadBytes);
        int rawBytes = in.getInt(at + 12);
        require(rawBytes > 0 && rawBytes <= MAX_PAYLOAD_BYTES, "packet of %d raw bytes", rawBytes);
        int paddingBytes = in.getInt(at + 20);
        require(
                paddingBytes >= 0 && paddingBytes < Math.min(payloadBytes, PADDING_LIMIT),
                "packet of %d bytes with %d of padding",
                payloadBytes,
                paddingBytes);
        var header =
                new Header(
                        ENCODINGS[encoding],
                        stream,
                        payloadBytes,
                        paddingBytes,
                        rawBytes,
                        in.getInt(at + 16));
        require(
                header.encoding() != Encoding.RAW || payloadBytes == rawBytes && paddingBytes == 0,
                "raw packet of %d bytes claims %d",
                payloadBytes,
                rawBytes);
        require(
                header.encoding() != Encoding.PART || payloadBytes <= rawBytes && paddingBytes == 0,
                "part of %d bytes where %d are left",
                payloadBytes,
                rawBytes);
        in.position(at + HEADER_BYTES);
        return header;
    }

    /// Checks a decompressed payload against its header and reads its frames, which are views of
    /// it.
    ///
    /// @throws ProtocolException if length or checksum differ, or a frame is none; also if a frame
    ///   does not belong on this stream: control frames travel on stream 0 and data frames on the
    ///   others
    public static List<Frame> frames(Header header, ByteBuffer raw) throws ProtocolException {
        require(
                raw.remaining() == header.rawBytes(),
                "%d raw bytes, not %d",
                raw.remaining(),
                header.rawBytes());
        require(
                crc(raw, raw.position(), raw.remaining()) == header.rawCrc(),
                "packet payload checksum differs");
        List<Frame> frames = FrameCodec.decodeAll(raw);
        for (Frame frame : frames) {
            boolean control = frame instanceof Frame.Control;
            require(
                    control == (header.stream() == 0),
                    "%s on stream %d",
                    frame.getClass().getSimpleName(),
                    header.stream());
        }
        return frames;
    }

    /// CRC-32C of part of a buffer, whose position does not matter and is left as it was.
    public static int crc(ByteBuffer bytes, int at, int length) {
        var crc = new CRC32C();
        crc.update(bytes.slice(at, length));
        return (int) crc.getValue();
    }
}
