package holdfast.recovery;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/// Numbered writes whose trace shows whether a copy is a moment of the original or a mixture.
///
/// Write `n` (from 1) goes to slot `n mod slots`, over what was there, and says its number; its
/// content can be made again from that. A copy that shows `n` as its newest must then show in every
/// slot the newest number up to `n` that belongs there: one that is older was lost, one that is
/// newer came too early.
///
/// @param slots offsets of the blocks that the ledger may write
/// @param seed of the contents
record Ledger(List<Long> slots, long seed) {
    static final int BLOCK_BYTES = 4096;

    private static final long MAGIC = 0x484f4c4446415354L;

    /// @param newest number of the newest write seen, 0 when there is none
    /// @param wrong what does not belong to that moment, empty for a whole copy
    record Reading(long newest, List<String> wrong) {
        boolean isOneMoment() {
            return wrong.isEmpty();
        }
    }

    long offset(long number) {
        return slots.get((int) (number % slots.size()));
    }

    /// The block of one write: half of it like text, half like something compressed.
    byte[] block(long number) {
        ByteBuffer out = ByteBuffer.allocate(BLOCK_BYTES).putLong(MAGIC).putLong(number);
        byte[] line =
                "write %d of the demonstration; "
                        .formatted(number)
                        .getBytes(java.nio.charset.StandardCharsets.US_ASCII);
        while (out.position() + line.length <= BLOCK_BYTES / 2) {
            out.put(line);
        }
        var random = new SplittableRandom(seed ^ number);
        while (out.remaining() >= Long.BYTES) {
            out.putLong(random.nextLong());
        }
        return out.array();
    }

    /// Where a copy is read from; an [NbdClient] but in tests.
    interface Reader {
        void read(long offset, byte[] into) throws IOException;
    }

    Reading read(Reader copy) throws IOException {
        long[] numbers = new long[slots.size()];
        List<String> wrong = new ArrayList<>();
        byte[] block = new byte[BLOCK_BYTES];
        long newest = 0;
        for (int slot = 0; slot < numbers.length; slot++) {
            copy.read(slots.get(slot), block);
            ByteBuffer in = ByteBuffer.wrap(block);
            if (in.getLong() != MAGIC) {
                continue; // as the volume was made
            }
            numbers[slot] = in.getLong();
            if (!Arrays.equals(block, block(numbers[slot]))) {
                wrong.add("slot %d is torn in write %d".formatted(slot, numbers[slot]));
            }
            newest = Math.max(newest, numbers[slot]);
        }
        for (int slot = 0; slot < numbers.length; slot++) {
            long expected = expected(slot, newest);
            if (numbers[slot] != expected) {
                wrong.add(
                        "slot %d shows write %d instead of %d"
                                .formatted(slot, numbers[slot], expected));
            }
        }
        return new Reading(newest, wrong);
    }

    private long expected(int slot, long newest) {
        long last = newest - Math.floorMod(newest - slot, slots.size());
        return Math.max(0, last);
    }
}
