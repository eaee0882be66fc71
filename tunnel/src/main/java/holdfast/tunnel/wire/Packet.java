package holdfast.tunnel.wire;

import java.nio.ByteBuffer;

/// One whole packet as it came from the wire; its payload may still be compressed and is not yet
/// checked.
///
/// @param payload `header.payloadBytes()` bytes that nothing else refers to
public record Packet(Header header, ByteBuffer payload) {
    /// What a packet says of its payload, see [PacketCodec].
    ///
    /// @param stream 0 for control
    /// @param payloadBytes on the wire, 1 to [PacketCodec#MAX_PAYLOAD_BYTES]
    /// @param rawBytes decompressed, likewise
    /// @param rawCrc CRC-32C of the decompressed payload
    public record Header(
            Encoding encoding, int stream, int payloadBytes, int rawBytes, int rawCrc) {}

    /// How a payload is compressed. Numbers on the wire are the ordinals, never reused.
    public enum Encoding {
        RAW,
        /// The next piece of the stream's one zstd frame, flushed.
        ZSTD_STREAM,
        /// A zstd frame of its own.
        ZSTD_FRAME
    }
}
