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
import java.util.TreeSet;

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
    void packetsOfSeveralStreamsMayComeInPartsInTurn() throws Exception {
        var one = new Frame.Write(0, Samples.STORED, 1, 0, Samples.data(4096));
        var two = new Frame.Write(0, Samples.STORED.plus(1), 1, 4096, Samples.data(8192));
        var urgent = new Frame.Ping(1, 2);
        ByteBuffer first = PacketCodec.encodeRaw(1, List.of(one));
        ByteBuffer second = PacketCodec.encodeRaw(2, List.of(two));
        assembler.accept(part(1, first, 1000));
        assembler.accept(part(2, second, 1));
        assembler.accept(PacketCodec.encodeRaw(0, List.of(urgent)));
        assembler.accept(part(2, second, 8000));
        assembler.accept(part(1, first, first.remaining()));
        assembler.accept(part(2, second, second.remaining()));
        var got = new ArrayList<Frame>();
        for (Packet packet : packets) {
            got.addAll(PacketCodec.frames(packet.header(), packet.payload()));
        }
        assertEquals(List.of(urgent, one, two), got);
    }

    @Test
    void partsThatMakeNoPacketAreRefused() {
        ByteBuffer packet =
                PacketCodec.encodeRaw(1, List.of(new Frame.Heartbeat(Samples.STORED, 2)));
        int all = packet.remaining();
        // Of another stream than the packet's own.
        assertThrows(
                ProtocolException.class, () -> assembler.accept(part(2, packet.duplicate(), all)));
        // A part of a part.
        ByteBuffer nested = part(1, packet.duplicate(), all);
        assertThrows(
                ProtocolException.class,
                () -> assembler.accept(part(1, nested, nested.remaining())));
        // More than was announced, and less.
        for (int wrong : new int[] {-1, 1}) {
            var strict = new PacketAssembler(packets::add);
            assertThrows(
                    ProtocolException.class,
                    () -> {
                        ByteBuffer rest = packet.duplicate();
                        strict.accept(part(1, rest, 10));
                        var next = ByteBuffer.allocate(200);
                        PacketCodec.writePartHeader(1, 10, rest.remaining() + wrong, next);
                        next.put(rest.slice(rest.position(), 10));
                        strict.accept(next.flip());
                    });
        }
        assertThrows(
                ProtocolException.class,
                () -> {
                    for (int stream = 1; stream <= PacketCodec.MAX_OPEN + 1; stream++) {
                        assembler.accept(part(stream, packet.duplicate(), 10));
                    }
                });
        assertTrue(packets.isEmpty());
    }

    /// The next bytes of a packet as a part of it.
    private static ByteBuffer part(int stream, ByteBuffer packet, int bytes) {
        var part = ByteBuffer.allocate(PacketCodec.HEADER_BYTES + bytes);
        PacketCodec.writePartHeader(stream, bytes, packet.remaining(), part);
        part.put(packet.slice(packet.position(), bytes));
        packet.position(packet.position() + bytes);
        return part.flip();
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
                        new Packet.Header(Packet.Encoding.RAW, 1, 10, 1, 10, 0),
                        new Packet.Header(Packet.Encoding.ZSTD_FRAME, 1, 10, -1, 10, 0),
                        new Packet.Header(Packet.Encoding.ZSTD_FRAME, 1, 10, 10, 10, 0),
                        new Packet.Header(
                                Packet.Encoding.ZSTD_FRAME,
                                1,
                                most,
                                PacketCodec.PADDING_LIMIT,
                                10,
                                0),
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
    void paddingIsTakenOffAndMustBeZero() throws Exception {
        byte[] bytes = new byte[PacketCodec.HEADER_BYTES + 64];
        var header = new Packet.Header(Packet.Encoding.ZSTD_FRAME, 1, 64, 14, 900, 7);
        PacketCodec.writeHeader(header, ByteBuffer.wrap(bytes));
        bytes[PacketCodec.HEADER_BYTES + 49] = 1;
        assembler.accept(ByteBuffer.wrap(bytes));
        assertEquals(header, packets.getFirst().header());
        assertEquals(50, packets.getFirst().payload().remaining());
        bytes[PacketCodec.HEADER_BYTES + 50] = 1;
        assertThrows(
                ProtocolException.class,
                () -> new PacketAssembler(packets::add).accept(ByteBuffer.wrap(bytes)));
    }

    @Test
    void aPaddedLengthIsOneOfFewAndNeverMuchLonger() {
        var lengths = new TreeSet<Integer>();
        for (int bytes = 1; bytes <= PacketCodec.MAX_PAYLOAD_BYTES; bytes++) {
            int padding = PacketCodec.paddingFor(bytes);
            assertTrue(padding >= 0 && padding < PacketCodec.PADDING_LIMIT, "at " + bytes);
            assertTrue(padding < Math.max(64, bytes / 64), "at " + bytes);
            assertTrue(bytes + padding <= PacketCodec.MAX_PAYLOAD_BYTES, "at " + bytes);
            lengths.add(bytes + padding);
        }
        // 128 up to 8 KiB, then 128 for each doubling up to 2 MiB.
        assertEquals(128 + 8 * 128, lengths.size());
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
