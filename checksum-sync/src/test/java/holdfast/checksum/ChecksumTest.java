package holdfast.checksum;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Random;

class ChecksumTest {
    private static final int BLOCK = TreeShape.BLOCK_BYTES;

    private final Random random = new Random(7);

    /// FIPS 180-2, appendix B.1.
    @Test
    void theDigestOfABlockIsSha256() {
        var abc = ByteBuffer.wrap("abc".getBytes(StandardCharsets.US_ASCII));
        assertEquals(
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                HexFormat.of().formatHex(TreeShape.DEFAULT.leaves(abc)));
    }

    @Test
    void allKindsOfBuffersGiveTheSameAndStayWhereTheyAre() {
        byte[] bytes = data(3 * BLOCK + 512);
        var whole = ByteBuffer.wrap(bytes);
        var direct = ByteBuffer.allocateDirect(bytes.length + 100);
        direct.put(33, bytes).position(33).limit(33 + bytes.length);
        ByteBuffer readOnly = direct.asReadOnlyBuffer();
        for (ByteBuffer data : new ByteBuffer[] {direct, readOnly, direct.slice()}) {
            int at = data.position();
            assertArrayEquals(TreeShape.DEFAULT.leaves(whole), TreeShape.DEFAULT.leaves(data));
            assertFalse(Zeros.isZero(data));
            assertEquals(at, data.position());
            assertEquals(bytes.length, data.remaining());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 8, BLOCK, 16 * BLOCK, 16 * BLOCK + 1, 100 * BLOCK})
    void oneBitAnywhereIsNotZero(int bytes) {
        var data = ByteBuffer.allocateDirect(bytes + 7).position(3).limit(3 + bytes);
        data.put(2, (byte) 1).limit(bytes + 7).put(3 + bytes, (byte) 1).limit(3 + bytes);
        assertTrue(Zeros.isZero(data), "what lies outside does not count");
        for (int at : new int[] {0, bytes / 2, bytes - 1}) {
            data.put(3 + at, (byte) 0x10);
            assertFalse(Zeros.isZero(data), "byte " + at);
            data.put(3 + at, (byte) 0);
        }
    }

    @Test
    void nothingIsAllZeroes() {
        assertTrue(Zeros.isZero(ByteBuffer.allocate(0)));
    }

    private byte[] data(int bytes) {
        byte[] data = new byte[bytes];
        random.nextBytes(data);
        return data;
    }
}
