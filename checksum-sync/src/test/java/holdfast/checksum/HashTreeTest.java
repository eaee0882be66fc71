package holdfast.checksum;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.Random;

class HashTreeTest {
    private static final int BLOCK = TreeShape.BLOCK_BYTES;

    private final Random random = new Random(11);

    /// The definition, without cleverness.
    private static byte[] digest(TreeShape shape, byte[] data, int from, int to, int level)
            throws Exception {
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        if (level == 0) {
            sha.update(data, from, to - from);
        } else {
            int part = (int) shape.partBytes(level - 1);
            for (int at = from; at < to; at += part) {
                sha.update(digest(shape, data, at, Math.min(at + part, to), level - 1));
            }
        }
        return sha.digest();
    }

    /// Whatever is handed over as zeroes or as data, and in whatever pieces.
    @Test
    void everyLevelIsWhatItsDefinitionSays() throws Exception {
        for (int run = 0; run < 300; run++) {
            TreeShape shape = new TreeShape(2 + random.nextInt(4));
            byte[] data = sparse(1 + random.nextInt(Math.min(60 * BLOCK, longest(shape))));
            HashTree tree = treeOf(shape, data, true);
            for (int level = 0; level <= TreeShape.TOP; level++) {
                int part = (int) shape.partBytes(level);
                byte[] digests = tree.digests(0, data.length, level);
                assertEquals(shape.parts(data.length, level) * 32, digests.length);
                for (int i = 0; i * 32 < digests.length; i++) {
                    int to = Math.min(data.length, (i + 1) * part);
                    assertArrayEquals(
                            digest(shape, data, i * part, to, level),
                            Arrays.copyOfRange(digests, i * 32, i * 32 + 32));
                }
            }
            assertEquals(32, tree.digests(0, data.length, TreeShape.TOP).length);
        }
    }

    @Test
    void aHoleIsTakenInWholeBlocksOnly() {
        TreeShape shape = new TreeShape(2);
        var hole = new TreeBuilder(shape, 4 * BLOCK);
        assertEquals(0, hole.zeroes(BLOCK - 1));
        assertEquals(BLOCK, hole.zeroes(2 * BLOCK - 1));
        assertEquals(3 * BLOCK, hole.zeroes(Long.MAX_VALUE));
        var last = new TreeBuilder(shape, 2 * BLOCK + 512);
        assertEquals(BLOCK, last.zeroes(BLOCK + 512));
        assertEquals(BLOCK, last.wantedBytes(512), "one block at least");
        assertThrows(IllegalStateException.class, last::tree);
        assertThrows(IllegalArgumentException.class, () -> last.data(ByteBuffer.allocate(512)));
        last.data(ByteBuffer.allocate(BLOCK));
        assertEquals(512, last.zeroes(512));
        assertEquals(0, last.leftBytes());
    }

    /// Zeroes cost neither reading nor memory; the digests are those of zeroes that were read, of
    /// the range and of each part of it.
    @Test
    void zeroesNobodyReadAreTheSameAsThoseThatWereRead() throws Exception {
        for (int run = 0; run < 100; run++) {
            TreeShape shape = new TreeShape(2 + random.nextInt(4));
            int length = 1 + random.nextInt(Math.min(60 * BLOCK, longest(shape)));
            var hole = new TreeBuilder(shape, length);
            while (hole.leftBytes() > 0) {
                hole.zeroes(1 + random.nextInt(2 * length));
            }
            HashTree ofHole = hole.tree();
            assertEquals(0, ofHole.keptBytes());
            var read = new TreeBuilder(shape, length);
            read.data(ByteBuffer.allocate(length));
            HashTree ofRead = read.tree();
            for (int level = 0; level <= TreeShape.TOP; level++) {
                long part = shape.partBytes(level);
                long parts = shape.parts(length, level);
                long from = random.nextLong(parts) * part;
                long to = from + (1 + random.nextLong(parts - from / part)) * part;
                long asked = Math.min(length, to) - from;
                assertArrayEquals(
                        ofRead.digests(from, asked, level), ofHole.digests(from, asked, level));
            }
        }
    }

    static int longest(TreeShape shape) {
        return (int) Math.min(1 << 20, shape.rangeBytesMax());
    }

    private byte[] sparse(int length) {
        byte[] data = new byte[length];
        for (int at = 0; at < length; ) {
            int run = Math.min(length - at, 1 + random.nextInt(8 * BLOCK));
            if (random.nextBoolean()) {
                byte[] bytes = new byte[run];
                random.nextBytes(bytes);
                System.arraycopy(bytes, 0, data, at, run);
            }
            at += run;
        }
        return data;
    }

    private HashTree treeOf(TreeShape shape, byte[] data, boolean holes) {
        var builder = new TreeBuilder(shape, data.length);
        while (builder.leftBytes() > 0) {
            int at = (int) builder.doneBytes();
            int zeroes = 0;
            while (at + zeroes < data.length && data[at + zeroes] == 0) {
                zeroes++;
            }
            if (!holes || random.nextInt(3) == 0 || builder.zeroes(zeroes) == 0) {
                int length = builder.wantedBytes(1 + random.nextInt(10 * BLOCK));
                builder.data(ByteBuffer.wrap(data, at, length));
            }
        }
        return builder.tree();
    }
}
