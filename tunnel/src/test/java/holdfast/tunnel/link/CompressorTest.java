package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Packet;
import holdfast.tunnel.wire.Packet.Encoding;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.ProtocolException;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;

class CompressorTest {
    /// As it goes over the wire.
    private record Piece(Encoding encoding, byte[] bytes, int rawBytes) {
        Packet packet() {
            return new Packet(
                    new Packet.Header(encoding, 1, bytes.length, rawBytes, 0),
                    ByteBuffer.wrap(bytes));
        }
    }

    private static Piece compress(Compressor compressor, byte[] raw, int level) {
        ByteBuffer in = ByteBuffer.allocateDirect(raw.length).put(raw).flip();
        ByteBuffer out = ByteBuffer.allocateDirect(Compressor.bound(raw.length));
        Encoding how = compressor.compress(in, out, level);
        byte[] bytes = new byte[out.flip().remaining()];
        out.get(bytes);
        return new Piece(how, bytes, raw.length);
    }

    private static byte[] text(int seed) {
        byte[] bytes = new byte[10_000];
        var random = new Random(seed);
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) ('a' + random.nextInt(16));
        }
        return bytes;
    }

    private static byte[] decompress(Decompressor decompressor, Piece piece) throws Exception {
        ByteBuffer raw = decompressor.decompress(piece.packet());
        byte[] bytes = new byte[raw.remaining()];
        raw.get(bytes);
        return bytes;
    }

    @Test
    void anotherLevelBeginsANewContextAndTheSameGoesOn() throws Exception {
        try (var compressor = new Compressor(Compression.STREAM);
                var decompressor = new Decompressor()) {
            int[] levels = {1, 1, 3, 3, 6, 1};
            boolean[] repeats = {false, true, false, true, false, false};
            for (int i = 0; i < levels.length; i++) {
                Piece piece = compress(compressor, text(1), levels[i]);
                assertEquals(
                        repeats[i] ? Encoding.ZSTD_STREAM : Encoding.ZSTD_STREAM_START,
                        piece.encoding());
                assertEquals(repeats[i], piece.bytes().length < 200, "known from before");
                assertTrue(Arrays.equals(text(1), decompress(decompressor, piece)));
            }
        }
    }

    @Test
    void framesByThemselvesTakeAnyLevel() throws Exception {
        try (var compressor = new Compressor(Compression.FRAME);
                var decompressor = new Decompressor()) {
            for (int level : new int[] {1, 6, 3, 3, 1}) {
                Piece piece = compress(compressor, text(level), level);
                assertEquals(Encoding.ZSTD_FRAME, piece.encoding());
                assertTrue(Arrays.equals(text(level), decompress(decompressor, piece)));
            }
        }
    }

    @Test
    void aPieceOfAContextThatNeverBeganIsRefused() {
        try (var compressor = new Compressor(Compression.STREAM);
                var decompressor = new Decompressor()) {
            compress(compressor, text(1), 1);
            Piece second = compress(compressor, text(2), 1);
            assertEquals(Encoding.ZSTD_STREAM, second.encoding());
            assertThrows(ProtocolException.class, () -> decompressor.decompress(second.packet()));
        }
    }

    /// Batches as the pump makes them on a line that is full.
    @Test
    void paddingCostsALineThatIsFullLessThanOnePercent() throws Exception {
        long plain = 0;
        long padded = 0;
        for (Compression how : new Compression[] {Compression.STREAM, Compression.FRAME}) {
            try (var compressor = new Compressor(how)) {
                var random = new Random(5);
                for (int packet = 0; packet < 200; packet++) {
                    // A third of each block is new, the rest was seen before or is zero.
                    byte[] raw = new byte[128 << 10];
                    for (int at = 0; at < raw.length; at += 4096) {
                        byte[] fresh = new byte[random.nextInt(2700)];
                        random.nextBytes(fresh);
                        System.arraycopy(fresh, 0, raw, at, fresh.length);
                    }
                    int bytes = compress(compressor, raw, 1).bytes().length;
                    plain += PacketCodec.HEADER_BYTES + bytes;
                    padded += PacketCodec.HEADER_BYTES + bytes + PacketCodec.paddingFor(bytes);
                }
            }
        }
        assertTrue(padded > plain);
        assertTrue(padded < plain * 1.01, "%d became %d".formatted(plain, padded));
    }
}
