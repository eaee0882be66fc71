package holdfast.tunnel.link;

import holdfast.tunnel.wire.Packet;
import holdfast.tunnel.wire.PacketAssembler;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.ProtocolException;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// A connection's bytes as a session takes them, in the package of what nobody else needs: from the
/// wire to packets, decompressed, to frames; and the way there.
public final class PacketTarget {
    private PacketTarget() {}

    /// @param cut length of the pieces in which the bytes arrive
    public static void take(byte[] input, int cut) {
        try (var decompressor = new Decompressor()) {
            var assembler =
                    new PacketAssembler(
                            packet -> {
                                ByteBuffer raw = decompressor.decompress(packet);
                                PacketCodec.frames(packet.header(), raw);
                            });
            for (int at = 0; at < input.length; at += cut) {
                assembler.accept(ByteBuffer.wrap(input, at, Math.min(cut, input.length - at)));
            }
        } catch (ProtocolException e) {
            // The session ends.
        }
    }

    /// Payloads as packets of one stream, compressed and padded as the pump does.
    public static byte[] packets(Compression how, List<byte[]> payloads) {
        var pieces = new ArrayList<ByteBuffer>();
        try (var compressor = new Compressor(how)) {
            for (byte[] raw : payloads) {
                var in = ByteBuffer.allocateDirect(raw.length).put(raw).flip();
                var out = ByteBuffer.allocateDirect(Compressor.bound(raw.length));
                Packet.Encoding encoding = compressor.compress(in, out, 1);
                out.flip();
                int padding = PacketCodec.paddingFor(out.remaining());
                var packet =
                        ByteBuffer.allocate(PacketCodec.HEADER_BYTES + out.remaining() + padding);
                PacketCodec.writeHeader(
                        new Packet.Header(
                                encoding,
                                1,
                                out.remaining() + padding,
                                padding,
                                raw.length,
                                PacketCodec.crc(ByteBuffer.wrap(raw), 0, raw.length)),
                        packet);
                pieces.add(packet.put(out).rewind());
            }
        }
        var all = ByteBuffer.allocate(pieces.stream().mapToInt(ByteBuffer::remaining).sum());
        pieces.forEach(all::put);
        return all.array();
    }
}
