package holdfast.tunnel.wire;

import java.nio.ByteBuffer;

/// Puts packets together from the bytes of a connection, however these are cut into pieces.
///
/// The header is collected and proven first; only then is memory for the payload taken, at most
/// [PacketCodec#MAX_PAYLOAD_BYTES]. After a [ProtocolException] the assembler is of no further use.
public final class PacketAssembler {
    /// Takes the packets as they become whole.
    public interface Sink {
        void packet(Packet packet) throws ProtocolException;
    }

    private final Sink sink;
    private final ByteBuffer header = ByteBuffer.allocate(PacketCodec.HEADER_BYTES);
    private int maxPayloadBytes = PacketCodec.MAX_PAYLOAD_BYTES;
    private Packet.Header current;
    private ByteBuffer payload;

    public PacketAssembler(Sink sink) {
        this.sink = sink;
    }

    /// The longest payload that later packets may have, for as long as the peer need not send more.
    public void limit(int payloadBytes) {
        maxPayloadBytes = Math.min(payloadBytes, PacketCodec.MAX_PAYLOAD_BYTES);
    }

    /// Takes all that is left in `chunk`; the sink is called for each packet that it ends.
    public void accept(ByteBuffer chunk) throws ProtocolException {
        while (chunk.hasRemaining()) {
            if (current == null) {
                move(chunk, header);
                if (!header.hasRemaining()) {
                    current = PacketCodec.readHeader(header.flip());
                    FrameCodec.require(
                            Math.max(current.payloadBytes(), current.rawBytes()) <= maxPayloadBytes,
                            "packet of %d bytes where at most %d may be",
                            current.payloadBytes(),
                            maxPayloadBytes);
                    payload = ByteBuffer.allocate(current.payloadBytes());
                }
            } else {
                int at = payload.position();
                move(chunk, payload);
                if (!payload.hasRemaining()) {
                    var whole = new Packet(current, payload.flip());
                    current = null;
                    payload = null;
                    header.clear();
                    sink.packet(whole);
                } else if (Mutants.M19) {
                    payload.position(at);
                }
            }
        }
    }

    /// Whether the bytes so far end between two packets: a connection that ends elsewhere was cut.
    public boolean isBetweenPackets() {
        return current == null && header.position() == 0;
    }

    private static void move(ByteBuffer from, ByteBuffer to) {
        int bytes = Math.min(from.remaining(), to.remaining());
        to.put(to.position(), from, from.position(), bytes);
        to.position(to.position() + bytes);
        from.position(from.position() + bytes);
    }
}
