package holdfast.fuzz;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Damages valid bytes the way a bad peer, disk or paste does: flipped bits, cuts, pieces twice or
/// from elsewhere, and numbers that lie. Equal seeds damage alike.
final class Mutator {
    private static final long[] NUMBERS = {
        0,
        1,
        2,
        7,
        8,
        127,
        128,
        255,
        256,
        4095,
        4096,
        65_535,
        65_536,
        1 << 20,
        2 << 20,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        Long.MAX_VALUE,
        Long.MIN_VALUE,
        -1,
        -2,
        -8,
        -4096
    };

    private final Random random;

    Mutator(long seed) {
        random = new Random(seed);
    }

    /// One of the seeds, damaged in one to eight places.
    byte[] damage(List<byte[]> seeds) {
        byte[] bytes = pick(seeds).clone();
        int times = 1 + Integer.numberOfTrailingZeros(random.nextInt() | 1 << 7);
        for (int i = 0; i < times; i++) {
            bytes = once(bytes, seeds);
        }
        return bytes;
    }

    int below(int bound) {
        return random.nextInt(bound);
    }

    private byte[] once(byte[] bytes, List<byte[]> seeds) {
        int at = bytes.length == 0 ? 0 : random.nextInt(bytes.length);
        int length = Math.min(bytes.length - at, 1 + random.nextInt(64));
        if (bytes.length == 0) {
            return pick(seeds).clone();
        }
        return switch (random.nextInt(8)) {
            case 0 -> Arrays.copyOf(bytes, at);
            case 1 -> joined(bytes, at, new byte[0], at + length);
            case 2 -> joined(bytes, at, Arrays.copyOfRange(bytes, at, at + length), at);
            case 3 -> {
                byte[] other = pick(seeds);
                int from = other.length == 0 ? 0 : random.nextInt(other.length);
                yield joined(
                        bytes, at, Arrays.copyOfRange(other, from, other.length), bytes.length);
            }
            case 4 -> {
                byte[] noise = new byte[random.nextInt(20)];
                random.nextBytes(noise);
                yield joined(bytes, at, noise, at);
            }
            case 5 -> {
                bytes[at] ^= (byte) (1 << random.nextInt(8));
                yield bytes;
            }
            case 6 -> {
                bytes[at] = (byte) random.nextInt();
                yield bytes;
            }
            default -> {
                number(bytes, at);
                yield bytes;
            }
        };
    }

    /// A number of 1, 2, 4 or 8 bytes: a notable one, or what was there and a little.
    private void number(byte[] bytes, int at) {
        int size = 1 << random.nextInt(4);
        if (at + size > bytes.length) {
            return;
        }
        long old = 0;
        for (int i = 0; i < size; i++) {
            old = old << 8 | bytes[at + i] & 0xff;
        }
        long value =
                random.nextBoolean()
                        ? NUMBERS[random.nextInt(NUMBERS.length)]
                        : old + random.nextInt(17) - 8;
        byte[] big = ByteBuffer.allocate(8).putLong(value).array();
        System.arraycopy(big, 8 - size, bytes, at, size);
    }

    private byte[] pick(List<byte[]> seeds) {
        return seeds.get(random.nextInt(seeds.size()));
    }

    private static byte[] joined(byte[] bytes, int to, byte[] middle, int from) {
        return ByteBuffer.allocate(to + middle.length + bytes.length - from)
                .put(bytes, 0, to)
                .put(middle)
                .put(bytes, from, bytes.length - from)
                .array();
    }
}
