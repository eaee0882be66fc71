package holdfast.tunnel.wire;

import java.nio.ByteBuffer;

/// One whole packet as it came from the wire; its payload may still be compressed and is not yet
/// checked.
///
/// @param payload `header.payloadBytes()` less the padding, which nothing else refers to
public record Packet(Header header, ByteBuffer payload) {
    /// What a packet says of its payload, see [PacketCodec].
    ///
    /// @param stream 0 for control
    /// @param payloadBytes on the wire with its padding, 1 to [PacketCodec#MAX_PAYLOAD_BYTES]
    /// @param paddingBytes zeros at the end of it, which hide how well it could be compressed
    /// @param rawBytes decompressed, likewise
    /// @param rawCrc CRC-32C of the decompressed payload
    public record Header(
            Encoding encoding,
            int stream,
            int payloadBytes,
            int paddingBytes,
            int rawBytes,
            int rawCrc) {
        /// Without padding.
        public Header(Encoding encoding, int stream, int payloadBytes, int rawBytes, int rawCrc) {
            this(encoding, stream, payloadBytes, 0, rawBytes, rawCrc);
        }
    }

    /// How a payload is compressed. Numbers on the wire are the ordinals, never reused.
    public enum Encoding {
        RAW,
        /// The next piece of the stream's one zstd frame, flushed.
        ZSTD_STREAM,
        /// A zstd frame of its own.
        ZSTD_FRAME,
        /// The first piece, flushed, of a new zstd frame of the stream: the one before is never
        /// ended.
        ZSTD_STREAM_START,
        /// Not a payload: the next bytes of a packet, header and all, that goes in parts.
        PART
    }
}
