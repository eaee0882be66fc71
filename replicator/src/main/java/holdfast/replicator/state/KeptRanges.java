package holdfast.replicator.state;

import holdfast.replicator.journal.JournalIndex;
import holdfast.tunnel.wire.Frame;

import java.util.ArrayList;
import java.util.List;

/// By which ranges of whole blocks a backup says what it has kept of an epoch that was cut off, or
/// changed by itself. All of that lies in them; what lies between may be in them as well, so that
/// they are few: it is compared in vain, and so it must not be much.
final class KeptRanges {
    /// Each run is an entry in memory, and was one in that of an epoch before, which goes whole
    /// beyond [SectorQuestions#MOST_PARTS].
    private static final int MOST_RUNS = 2 * SectorQuestions.MOST_PARTS;

    private KeptRanges() {}

    /// @param most ranges
    /// @return null if it takes more of them, or ranges of much more than is kept
    static List<Frame.KeptRange> of(JournalIndex kept, int most) {
        if (kept.size() > MOST_RUNS) {
            return null;
        }
        long keptBytes = 0;
        for (JournalIndex.Run run : kept.all()) {
            keptBytes += run.lengthBytes();
        }
        // One more for each run: of its first block and its last a sector may be all that is kept.
        long mostBytes = 2 * (keptBytes + (long) kept.size() * BlockSet.BLOCK_BYTES);
        for (long gap = 0; gap <= mostBytes; gap = Math.max(BlockSet.BLOCK_BYTES, 2 * gap)) {
            List<Frame.KeptRange> ranges = of(kept, most, gap);
            if (ranges != null) {
                long bytes = ranges.stream().mapToLong(Frame.KeptRange::lengthBytes).sum();
                return bytes <= mostBytes ? ranges : null;
            }
        }
        return null;
    }

    /// All blocks of the set lie in them; where they are too scattered, others between them too.
    ///
    /// @param most ranges
    static List<Frame.KeptRange> around(BlockSet set, int most) {
        for (long gap = 0; ; gap = Math.max(1, 2 * gap)) {
            List<Frame.KeptRange> ranges = around(set, most, gap);
            if (ranges != null) {
                return ranges;
            }
        }
    }

    /// @param gap blocks between two runs up to which they are one range
    private static List<Frame.KeptRange> around(BlockSet set, int most, long gap) {
        List<Frame.KeptRange> ranges = new ArrayList<>();
        for (long first = set.next(0); first >= 0; ) {
            long end = set.runEnd(first, set.capacity() - first);
            long next = set.next(end);
            while (next >= 0 && next - end <= gap) {
                end = set.runEnd(next, set.capacity() - next);
                next = set.next(end);
            }
            if (ranges.size() >= most) {
                return null;
            }
            ranges.add(
                    new Frame.KeptRange(
                            first * BlockSet.BLOCK_BYTES, (end - first) * BlockSet.BLOCK_BYTES));
            first = next;
        }
        return ranges;
    }

    /// @param gap bytes between two runs up to which they are one range
    private static List<Frame.KeptRange> of(JournalIndex kept, int most, long gap) {
        List<Frame.KeptRange> ranges = new ArrayList<>();
        long from = -1;
        long to = -1;
        for (JournalIndex.Run run : kept.all()) {
            long first = run.offsetBytes() / BlockSet.BLOCK_BYTES * BlockSet.BLOCK_BYTES;
            if (from >= 0 && first > to + gap) {
                ranges.add(new Frame.KeptRange(from, to - from));
                from = -1;
            }
            from = from < 0 ? first : from;
            to = BlockSet.blocksOf(run.endBytes()) * BlockSet.BLOCK_BYTES;
            if (ranges.size() >= most) {
                return null;
            }
        }
        if (from >= 0) {
            ranges.add(new Frame.KeptRange(from, to - from));
        }
        return ranges;
    }
}
