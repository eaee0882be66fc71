package holdfast.sim;

import holdfast.replicator.state.Limits;
import holdfast.replicator.state.Retention;

import java.util.SplittableRandom;

/// The settings of a history: sizes, speeds, policies. They go to their extremes, so that rare
/// meetings are not drowned by the usual ones. What happens in it is its [Plan].
///
/// @param firstClockMillis how far the first machine's clock on the wall is ahead of the right time
///   from the beginning on; likewise `secondClockMillis`
/// @param clockOffPercent how many of the backup's starts find its clock far off, and right again
///   some seconds later
record Scenario(
        int deviceBytes,
        boolean protocolC,
        boolean blockOnCongestion,
        long budgetBytes,
        long journalBytes,
        long segmentBytes,
        long rollBytes,
        Limits limits,
        int queueDepth,
        long workNanos,
        long windowBytes,
        long linkBytesPerSecond,
        long linkDelayNanos,
        int chunkBytesMax,
        long localDiskNanos,
        long backupDiskNanos,
        boolean blank,
        boolean startsFilled,
        boolean eagerReader,
        int cutFate,
        int markPageBits,
        long markBytes,
        long retentionMillis,
        long retentionMinMillis,
        int indexRuns,
        int packedPercent,
        long firstClockMillis,
        long secondClockMillis,
        int clockOffPercent) {
    /// A packed segment takes so much of itself at least.
    static final int LEAST_PACKED_PERCENT = 50;

    /// What a plan has where it names nothing else, and what shrinking tries to come back to.
    static final Scenario PLAIN =
            new Scenario(
                    64 * 4096,
                    false,
                    false,
                    256 * 1024L,
                    1536 * 1024L,
                    64 * 1024L,
                    384 * 1024L,
                    new Limits(
                            4,
                            4,
                            3,
                            16,
                            2,
                            2,
                            16384,
                            1_000_000L,
                            1_000_000_000L,
                            200_000_000L,
                            64,
                            64,
                            2_000_000_000L,
                            8,
                            16,
                            64),
                    4,
                    10_000_000_000L,
                    64 * 1024L,
                    1_000_000L,
                    1_000_000L,
                    20_000,
                    200_000L,
                    1_000_000L,
                    true,
                    false,
                    true,
                    2,
                    15,
                    1 << 20,
                    0,
                    0,
                    1 << 20,
                    100,
                    0,
                    0,
                    0);

    static Scenario of(long seed) {
        SplittableRandom r = Seeds.stream(seed, "scenario");
        SplittableRandom marks = Seeds.stream(seed, "marks");
        SplittableRandom logs = Seeds.stream(seed, "log");
        int blocks = pick(r, 16, 24, 48, 64, 64, 96, 128, 192, 256, 400);
        int device = blocks * 4096 - (r.nextInt(3) == 0 ? r.nextInt(1, 8) * 512 : 0);
        int runBlocks = pick(r, 1, 2, 4, 4, 8);
        long segment = pick(r, 64, 64, 128, 256) * 1024L;
        long least =
                Math.max(768 * 1024L, 3 * segment + device * (r.nextInt(3) == 0 ? 3L : 7L) / 4);
        long journal = (least + segment - 1) / segment * segment;
        if (r.nextInt(3) == 0) {
            journal *= 2;
        }
        SplittableRandom trees = Seeds.stream(seed, "trees");
        int fanOut = pick(trees, 2, 2, 3, 4);
        SplittableRandom asked = Seeds.stream(seed, "sectors");
        Limits limits =
                new Limits(
                        runBlocks,
                        pick(Seeds.stream(seed, "holes"), 1, 16, 64, 128),
                        fanOut,
                        Math.min(pick(r, 1, 4, 16, 64), 2 * fanOut * fanOut * fanOut),
                        pick(trees, 1, 2, 4),
                        pick(r, 1, 2, 8),
                        pick(r, 4096, 16384, 65536),
                        pick(r, 1, 200, 1000) * 1_000_000L,
                        pick(r, 100, 1000) * 1_000_000L,
                        pick(r, 200, 2000) * 1_000_000L,
                        pick(logs, 4, 8, 16),
                        4 + pick(logs, 0, 1, 4, 12),
                        pick(logs, 100, 300, 2000) * 1_000_000L,
                        pick(asked, 1, 4, 8, 16),
                        pick(asked, 2, 16, 64),
                        pick(asked, 1, 2, 8, 64));
        boolean protocolC = r.nextInt(3) == 0;
        SplittableRandom clocks = Seeds.stream(seed, "clocks");
        SplittableRandom history = Seeds.stream(seed, "history");
        long retention = history.nextBoolean() ? 0 : pick(history, 500, 5_000, 20_000, 3_600_000);
        return new Scenario(
                device,
                protocolC,
                r.nextInt(4) == 0,
                pick(r, 12, 24, 64, 256, 1024) * 1024L,
                journal,
                segment,
                journal / pick(r, 8, 4, 2),
                limits,
                pick(r, 1, 2, 4, 8, 16),
                r.nextLong(10, 40) * 1_000_000_000L,
                pick(r, 16, 64, 256) * 1024L,
                pick(r, 60, 200, 1000, 20000) * 1000L,
                pick(r, 1, 10, 60) * 1_000_000L,
                pick(r, 700, 3000, 20000, 200000),
                pick(r, 20, 200, 2000) * 1000L,
                pick(r, 50, 1000, 10000, 40000) * 1000L,
                r.nextBoolean(),
                r.nextBoolean(),
                r.nextBoolean(),
                r.nextInt(4),
                marks.nextBoolean() ? 15 : pick(marks, 6, 7),
                pick(marks, 0, 50, 100, 300, 1 << 20),
                retention,
                Math.min(retention, pick(history, 0, 500, 3_000)),
                pick(history, 20, 60, 1 << 20, 1 << 20),
                pick(Seeds.stream(seed, "packed"), 100, 100, LEAST_PACKED_PERCENT, 80),
                off(clocks),
                off(clocks),
                pick(clocks, 0, 0, 30, 80));
    }

    /// How far a clock is ahead: as a rule not at all, else from milliseconds to a month either
    /// way.
    static long off(SplittableRandom clocks) {
        long millis = (long) Math.pow(10, 2 + clocks.nextDouble() * 7.4);
        return switch (clocks.nextInt(4)) {
            case 0 -> millis;
            case 1 -> -millis;
            default -> 0;
        };
    }

    /// How much of the journal is kept when all of it is packed.
    int journalRingBytes() {
        return (int)
                (packedPercent < 100 ? journalBytes * 100 / LEAST_PACKED_PERCENT : journalBytes);
    }

    Retention retention() {
        return new Retention(retentionMillis, retentionMinMillis);
    }

    private static int pick(SplittableRandom r, int... of) {
        return of[r.nextInt(of.length)];
    }
}
