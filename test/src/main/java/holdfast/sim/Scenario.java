package holdfast.sim;

import holdfast.replicator.state.Limits;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/// What one seed plays: sizes, speeds, which kinds of fault, and when they strike. A random part of
/// the kinds is on in each, and sizes go to their extremes, so that rare meetings are not drowned
/// by the usual ones.
record Scenario(
        int deviceBytes,
        boolean protocolC,
        boolean blockOnCongestion,
        long budgetBytes,
        long journalBytes,
        long segmentBytes,
        long rollBytes,
        Limits limits,
        int operations,
        int queueDepth,
        int writeBytesMax,
        int hotBlocks,
        int zeroesPercent,
        int flushPercent,
        int unalignedPercent,
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
        List<Strike> strikes) {
    enum Fault {
        CUT,
        CUT_AT_BYTE,
        STALL_DOWN,
        STALL_UP,
        SLOW_LINK,
        BACKUP_POWER_CUT,
        BACKUP_KILL,
        PRIMARY_RESTART,
        PRIMARY_POWER_CUT,
        PRIMARY_KILL,
        FREEZE_BACKUP_DISK,
        SLOW_LOCAL_DISK,
        VIEW,
        ROLL,
        BACKUP_EIO,
        LOCAL_EIO,
        LOCAL_READ_EIO,
        LOCAL_SYNC_EIO,
        LOCAL_NO_SPACE,
        FREEZE_LOCAL_DISK,
        BACKUP_WRITE_EIO,
        BACKUP_BASE_EIO,
        BACKUP_DAMAGE
    }

    /// A fault, and how hard it is: `amount` from 0 to 1.
    ///
    /// @param nanos when it strikes; with a trigger: how long after that
    /// @param trigger the event of the trace whose `count`th occurrence sets it off; null for none
    record Strike(
            long nanos, String trigger, int count, Fault fault, double amount, long subSeed) {}

    /// Moments at which a fault is worth more than at any other.
    private static final List<String> MOMENTS =
            List.of(
                    "primary > EpochBegin",
                    "backup < EpochBegin",
                    "primary < EpochReply",
                    "primary > EpochBlocks",
                    "backup < EpochBlocks",
                    "primary > EpochCommit",
                    "backup < EpochCommit",
                    "backup > Ack",
                    "backup < Write",
                    "primary > SyncBlocks",
                    "backup < SyncBlocks",
                    "primary > Compare",
                    "primary < CompareReply",
                    "primary > StreamStart",
                    "primary < ResourceHello",
                    "roll",
                    "base synced",
                    "parked",
                    "preimage",
                    "primary starts");

    /// Drawn with everything else of a seed; the later kinds have draws of their own, so that the
    /// seeds without them stay what they were.
    private static final List<Fault> COMMON =
            List.of(Fault.values()).subList(0, Fault.LOCAL_EIO.ordinal() + 1);

    private static final List<Fault> DISKS =
            List.of(
                    Fault.LOCAL_NO_SPACE,
                    Fault.FREEZE_LOCAL_DISK,
                    Fault.BACKUP_WRITE_EIO,
                    Fault.BACKUP_BASE_EIO,
                    Fault.BACKUP_EIO,
                    Fault.BACKUP_DAMAGE);

    /// They end the primary's part of a history, so they are rare.
    private static final List<Fault> FINAL =
            List.of(Fault.LOCAL_READ_EIO, Fault.LOCAL_SYNC_EIO, Fault.LOCAL_EIO);

    /// Strikes of disks, in one history of two; and, in one of eight, a chain of faults that meets
    /// what they do apart hardly ever.
    private static List<Strike> ofDisks(long seed, long work) {
        SplittableRandom r = Seeds.stream(seed, "disks");
        List<Strike> strikes = new ArrayList<>();
        if (r.nextBoolean()) {
            int count = 1 + r.nextInt(5);
            for (int i = 0; i < count; i++) {
                strikes.add(at(r, work, DISKS.get(r.nextInt(DISKS.size()))));
            }
            if (r.nextInt(8) == 0) {
                strikes.add(at(r, work, FINAL.get(r.nextInt(FINAL.size()))));
            }
        }
        if (r.nextInt(8) == 0) {
            Chain chain = CHAINS.get(r.nextInt(CHAINS.size()));
            int count = 1 + r.nextInt(12);
            for (Link link : chain.links) {
                strikes.add(
                        new Strike(
                                link.afterMillis * 1_000_000L + r.nextLong(30_000_000L),
                                chain.trigger,
                                count,
                                link.fault,
                                r.nextDouble() * link.most,
                                r.nextLong()));
            }
        }
        return strikes;
    }

    private record Link(Fault fault, long afterMillis, double most) {}

    private record Chain(String trigger, List<Link> links) {}

    private static final List<Chain> CHAINS =
            List.of(
                    // A base sync of an old session ends during the next; then the power is cut.
                    new Chain(
                            "backup < SyncBlocks",
                            List.of(
                                    new Link(Fault.CUT, 0, 1),
                                    new Link(Fault.FREEZE_BACKUP_DISK, 0, 0.4),
                                    new Link(Fault.BACKUP_POWER_CUT, 400, 0.3))),
                    // A comparison in a first sync sees blocks that are not synced.
                    new Chain(
                            "backup < SyncBlocks",
                            List.of(
                                    new Link(Fault.PRIMARY_KILL, 0, 0.1),
                                    new Link(Fault.BACKUP_POWER_CUT, 400, 0.3))),
                    // A slow read of an epoch outlasts the comparison that follows.
                    new Chain(
                            "primary > EpochBlocks",
                            List.of(
                                    new Link(Fault.SLOW_LOCAL_DISK, 0, 0.2),
                                    new Link(Fault.BACKUP_DAMAGE, 30, 0.1))));

    private static Strike at(SplittableRandom r, long work, Fault fault) {
        if (r.nextBoolean()) {
            return new Strike(r.nextLong(work), null, 0, fault, r.nextDouble(), r.nextLong());
        }
        return new Strike(
                r.nextLong(r.nextBoolean() ? 200_000 : 40_000_000),
                MOMENTS.get(r.nextInt(MOMENTS.size())),
                1 + r.nextInt(r.nextBoolean() ? 3 : 20),
                fault,
                r.nextDouble(),
                r.nextLong());
    }

    static Scenario of(long seed) {
        SplittableRandom r = Seeds.stream(seed, "scenario");
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
        Limits limits =
                new Limits(
                        runBlocks,
                        pick(r, 1, 4, 16, 64),
                        pick(r, 1, 2, 8),
                        pick(r, 4096, 16384, 65536),
                        pick(r, 1, 200, 1000) * 1_000_000L,
                        pick(r, 100, 1000) * 1_000_000L,
                        pick(r, 200, 2000) * 1_000_000L);
        boolean protocolC = r.nextInt(3) == 0;
        int operations = r.nextInt(200, 420);
        long work = r.nextLong(10, 40) * 1_000_000_000L;
        List<Fault> kinds = new ArrayList<>();
        for (Fault fault : COMMON) {
            int percent =
                    switch (fault) {
                        case LOCAL_EIO -> 4;
                        case BACKUP_EIO -> 10;
                        case CUT, CUT_AT_BYTE -> 65;
                        case ROLL, VIEW -> 50;
                        default -> 40;
                    };
            if (r.nextInt(100) < percent) {
                kinds.add(fault);
            }
        }
        if (kinds.isEmpty() || kinds.getFirst() == Fault.LOCAL_EIO) {
            kinds.addFirst(Fault.CUT);
        }
        List<Strike> strikes = new ArrayList<>();
        int count = r.nextInt(7, 20);
        for (int i = 0; i < count; i++) {
            Fault fault = kinds.get(r.nextInt(kinds.size()));
            long at = r.nextInt(4) == 0 ? r.nextLong(work / 10) : r.nextLong(work);
            String trigger = null;
            int occurrence = 0;
            if (r.nextBoolean()) {
                trigger = MOMENTS.get(r.nextInt(MOMENTS.size()));
                occurrence = 1 + (r.nextBoolean() ? r.nextInt(3) : r.nextInt(20));
                at = r.nextBoolean() ? r.nextLong(200_000) : r.nextLong(40_000_000);
            }
            strikes.add(new Strike(at, trigger, occurrence, fault, r.nextDouble(), r.nextLong()));
        }
        strikes.addAll(ofDisks(seed, work));
        return new Scenario(
                device,
                protocolC,
                r.nextInt(4) == 0,
                pick(r, 12, 24, 64, 256, 1024) * 1024L,
                journal,
                segment,
                journal / pick(r, 8, 4, 2),
                limits,
                operations,
                pick(r, 1, 2, 4, 8, 16),
                pick(r, 4096, 8192, 16384, 32768),
                pick(r, 4, 16, blocks, blocks),
                pick(r, 0, 10, 10, 40),
                pick(r, 0, 5, 20),
                pick(r, 0, 20, 60),
                work,
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
                List.copyOf(strikes));
    }

    private static int pick(SplittableRandom r, int... of) {
        return of[r.nextInt(of.length)];
    }
}
