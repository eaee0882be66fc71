package holdfast.checksum;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.Random;

class ChecksumTest {
    private static final int BLOCK = BlockDigests.BLOCK_BYTES;

    private final Random random = new Random(7);

    /// FIPS 180-2, appendix B.1.
    @Test
    void anExtentDigestIsSha256() {
        var abc = ByteBuffer.wrap("abc".getBytes(StandardCharsets.US_ASCII));
        assertEquals(
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                HexFormat.of().formatHex(ExtentDigest.of(abc)));
    }

    @ParameterizedTest
    @ValueSource(
            ints = {0, 1, 512, BLOCK - 1, BLOCK, BLOCK + 512, 5 * BLOCK, ExtentDigest.EXTENT_BYTES})
    void blockDigestsAreThoseOfTheBlocksOneByOne(int bytes) {
        byte[] data = data(bytes);
        byte[] digests = BlockDigests.of(ByteBuffer.wrap(data));
        int count = BlockDigests.count(bytes);
        assertEquals(count * 32, digests.length);
        for (int i = 0; i < count; i++) {
            byte[] block = Arrays.copyOfRange(data, i * BLOCK, Math.min(bytes, (i + 1) * BLOCK));
            assertArrayEquals(
                    ExtentDigest.of(ByteBuffer.wrap(block)),
                    Arrays.copyOfRange(digests, i * 32, i * 32 + 32));
        }
    }

    @Test
    void exactlyTheBlocksThatDifferAreNamed() {
        for (int run = 0; run < 50; run++) {
            byte[] local = data(1 + random.nextInt(64 * BLOCK));
            byte[] peer = local.clone();
            var changed = new BitSet();
            for (int i = random.nextInt(5); i > 0; i--) {
                int at = random.nextInt(peer.length);
                if (peer[at] == local[at]) {
                    peer[at] ^= (byte) (1 << random.nextInt(8));
                    changed.set(at / BLOCK);
                }
            }
            BitSet differing =
                    BlockDigests.differing(
                            ByteBuffer.wrap(local), BlockDigests.of(ByteBuffer.wrap(peer)));
            assertEquals(changed, differing);
            assertEquals(
                    changed.isEmpty(),
                    Arrays.equals(
                            ExtentDigest.of(ByteBuffer.wrap(local)),
                            ExtentDigest.of(ByteBuffer.wrap(peer))));
        }
    }

    @Test
    void digestsOfAnotherRangeAreRefused() {
        var data = ByteBuffer.wrap(data(2 * BLOCK));
        assertThrows(
                IllegalArgumentException.class, () -> BlockDigests.differing(data, new byte[32]));
        assertThrows(
                IllegalArgumentException.class, () -> BlockDigests.differing(data, new byte[65]));
    }

    @Test
    void moreThanAnExtentIsRefused() {
        var data = ByteBuffer.allocate(ExtentDigest.EXTENT_BYTES + 1);
        assertThrows(IllegalArgumentException.class, () -> ExtentDigest.of(data));
        assertThrows(IllegalArgumentException.class, () -> BlockDigests.of(data));
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
            assertArrayEquals(ExtentDigest.of(whole), ExtentDigest.of(data));
            assertArrayEquals(BlockDigests.of(whole), BlockDigests.of(data));
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
