package holdfast.tunnel.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;

class PacketAssemblerTest {
    private final List<Packet> packets = new ArrayList<>();
    private final PacketAssembler assembler = new PacketAssembler(packets::add);

    @Test
    void packetsComeWholeHoweverTheBytesAreCut() throws Exception {
        var sent =
                List.<Frame>of(
                        new Frame.Write(0, Samples.STORED, 1, 0, Samples.data(4096)),
                        new Frame.Write(0, Samples.STORED.plus(1), 1, 4096, Samples.data(100)),
                        new Frame.Heartbeat(Samples.STORED.plus(1), 2));
        var stream = ByteBuffer.allocate(1 << 20);
        for (Frame frame : sent) {
            stream.put(PacketCodec.encodeRaw(3, List.of(frame)));
        }
        stream.flip();
        var random = new Random(7);
        for (int run = 0; run < 200; run++) {
            packets.clear();
            stream.rewind();
            int most = 1 + random.nextInt(run + 1) * 8;
            while (stream.hasRemaining()) {
                int bytes = Math.min(stream.remaining(), 1 + random.nextInt(most));
                assembler.accept(stream.slice(stream.position(), bytes));
                stream.position(stream.position() + bytes);
            }
            assertTrue(assembler.isBetweenPackets());
            var got = new ArrayList<Frame>();
            for (Packet packet : packets) {
                got.addAll(PacketCodec.frames(packet.header(), packet.payload()));
            }
            assertEquals(sent, got);
        }
    }

    @Test
    void anyFlippedBitOfAPacketIsFound() {
        byte[] bytes =
                PacketCodec.encodeRaw(0, List.of(new Frame.Ping(1, 2), new Frame.Pong(3, 4)))
                        .array();
        for (int bit = 0; bit < bytes.length * 8; bit++) {
            byte[] damaged = bytes.clone();
            damaged[bit / 8] ^= (byte) (1 << bit % 8);
            assertThrows(ProtocolException.class, () -> read(damaged), "bit " + bit);
        }
    }

    @Test
    void aCutPacketIsNotDelivered() throws Exception {
        byte[] bytes = PacketCodec.encodeRaw(0, List.of(new Frame.Ping(1, 2))).array();
        for (int length = 1; length < bytes.length; length++) {
            var one = new PacketAssembler(packets::add);
            one.accept(ByteBuffer.wrap(bytes, 0, length));
            assertTrue(packets.isEmpty());
            assertFalse(one.isBetweenPackets());
        }
    }

    @Test
    void headersBeyondTheLimitsAreRefusedEvenWithARightChecksum() {
        int most = PacketCodec.MAX_PAYLOAD_BYTES;
        for (var header :
                List.of(
                        new Packet.Header(Packet.Encoding.RAW, 1, most + 1, most + 1, 0),
                        new Packet.Header(Packet.Encoding.ZSTD_FRAME, 1, 10, most + 1, 0),
                        new Packet.Header(Packet.Encoding.ZSTD_STREAM, 1, -1, 10, 0),
                        new Packet.Header(Packet.Encoding.ZSTD_STREAM, 1, 10, Integer.MIN_VALUE, 0),
                        new Packet.Header(Packet.Encoding.RAW, 1, 10, 11, 0),
                        new Packet.Header(Packet.Encoding.RAW, 1, 0, 0, 0),
                        new Packet.Header(Packet.Encoding.RAW, -1, 10, 10, 0))) {
            var bytes = ByteBuffer.allocate(PacketCodec.HEADER_BYTES);
            PacketCodec.writeHeader(header, bytes);
            assertThrows(
                    ProtocolException.class,
                    () -> PacketCodec.readHeader(bytes.flip()),
                    header.toString());
        }
    }

    @Test
    void framesTravelOnTheKindOfStreamTheyBelongTo() {
        byte[] data =
                PacketCodec.encodeRaw(0, List.of(new Frame.Heartbeat(Samples.STORED, 1))).array();
        assertThrows(ProtocolException.class, () -> read(data));
        byte[] control = PacketCodec.encodeRaw(1, List.of(new Frame.Ping(1, 2))).array();
        assertThrows(ProtocolException.class, () -> read(control));
    }

    /// To edit these bytes is to change the protocol.
    @Test
    void aPacketIsWrittenAsItAlwaysWas() {
        assertEquals(
                "4846010000000003000000200000002072cbed310000000059f3ca39"
                        + "001400000000001801020304050607080000000000000384000001a1fc6fc800",
                HexFormat.of()
                        .formatHex(
                                PacketCodec.encodeRaw(
                                                3,
                                                List.of(
                                                        new Frame.Heartbeat(
                                                                Samples.COMMITTED,
                                                                0x01a1fc6fc800L)))
                                        .array()));
    }

    private void read(byte[] bytes) throws ProtocolException {
        packets.clear();
        var one = new PacketAssembler(packets::add);
        one.accept(ByteBuffer.wrap(bytes));
        if (packets.isEmpty()) {
            throw new ProtocolException("nothing whole");
        }
        for (Packet packet : packets) {
            PacketCodec.frames(packet.header(), packet.payload());
        }
    }
}
