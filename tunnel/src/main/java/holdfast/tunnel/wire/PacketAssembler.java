package holdfast.tunnel.wire;

import static holdfast.tunnel.wire.FrameCodec.require;

import holdfast.tunnel.wire.Packet.Encoding;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;

/// Puts packets together from the bytes of a connection, however these are cut into pieces.
///
/// Packets may come in parts, those of several streams in turn.
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

    /// What has come of packets that go in parts, by their streams.
    private final Map<Integer, ByteBuffer> open = new HashMap<>();

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
                    require(
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
                    Packet.Header done = current;
                    ByteBuffer bytes = payload.flip();
                    current = null;
                    payload = null;
                    header.clear();
                    if (done.encoding() == Encoding.PART) {
                        part(done, bytes);
                    } else {
                        sink.packet(new Packet(done, PacketCodec.withoutPadding(done, bytes)));
                    }
                } else if (Mutants.M19) {
                    payload.position(at);
                }
            }
        }
    }

    /// Memory for the whole packet is taken with its first part, for at most [PacketCodec#MAX_OPEN]
    /// at once.
    private void part(Packet.Header part, ByteBuffer bytes) throws ProtocolException {
        ByteBuffer whole = open.get(part.stream());
        if (whole == null) {
            require(open.size() < PacketCodec.MAX_OPEN, "%d packets in parts", open.size() + 1);
            whole = ByteBuffer.allocate(part.rawBytes());
            open.put(part.stream(), whole);
        }
        require(
                whole.remaining() == part.rawBytes(),
                "part where %d bytes are left, not %d",
                whole.remaining(),
                part.rawBytes());
        whole.put(bytes);
        if (whole.hasRemaining()) {
            return;
        }
        open.remove(part.stream());
        Packet.Header inner = PacketCodec.readHeader(whole.flip());
        require(
                inner.stream() == part.stream()
                        && inner.encoding() != Encoding.PART
                        && inner.payloadBytes() == whole.remaining(),
                "parts that make no packet");
        sink.packet(new Packet(inner, PacketCodec.withoutPadding(inner, whole.slice())));
    }

    /// Whether the bytes so far end between two packets or parts: a connection that ends elsewhere
    /// was cut.
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
