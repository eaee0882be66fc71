package holdfast.sim;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;

/// A fault, or something that an operator does, and how hard it is.
///
/// @param nanos when it strikes, after the beginning of the history; with a trigger: how long after
///   that
/// @param trigger the event of the trace whose `count`th occurrence sets it off
/// @param amount from 0 to 1
record Strike(int id, long nanos, Optional<String> trigger, int count, Fault fault, double amount) {
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
        BACKUP_DAMAGE,
        OUTAGE,
        PRIMARY_DISCONNECT,
        BACKUP_DISCONNECT,
        BACKUP_RESTART,
        BACKUP_COPIED,
        BACKUP_RESTORED,
        PRIMARY_CLOCK,
        BACKUP_CLOCK,
        CUT_DOWN_AT,
        CUT_UP_AT,
        PRIMARY_WRITTEN_PAST,
        PRIMARY_COPIED,
        PRIMARY_RESTORED,
        PRIMARY_GROWN,
        PRIMARY_GROWN_STOPPED,
        KEEP,
        KEPT_VIEW,
        VERIFY,
        COPY_DAMAGED,
        PROMOTE,
        PROMOTION_FINAL,
        DISCARD,
        MARK,
        MARKED_VIEW,
        JOURNAL_ROT,
        PROMOTE_AGAIN,
        PRIMARY_SUPERBLOCK,
        BACKUP_SUPERBLOCK;

        /// Whether it may strike where a promotion was ordered. The others change what a copy or a
        /// disk is behind the back of both sides.
        boolean isForTwoHistories() {
            return switch (this) {
                case BACKUP_DAMAGE,
                        BACKUP_COPIED,
                        BACKUP_RESTORED,
                        PRIMARY_WRITTEN_PAST,
                        PRIMARY_COPIED,
                        PRIMARY_RESTORED,
                        PRIMARY_GROWN,
                        PRIMARY_GROWN_STOPPED,
                        VERIFY,
                        COPY_DAMAGED,
                        JOURNAL_ROT ->
                        false;
                default -> true;
            };
        }

        /// Whether a history with it is not one in which both sides are set back in one order.
        private boolean isApart() {
            return switch (this) {
                case BACKUP_DAMAGE,
                        BACKUP_COPIED,
                        BACKUP_RESTORED,
                        PRIMARY_COPIED,
                        PRIMARY_RESTORED,
                        PRIMARY_GROWN,
                        PRIMARY_GROWN_STOPPED,
                        PROMOTE ->
                        true;
                default -> false;
            };
        }

        boolean isOfVerify() {
            return this == VERIFY || this == COPY_DAMAGED;
        }
    }

    /// `CUT_DOWN_AT` and `CUT_UP_AT` cut after `amount` times so many bytes.
    static final int CUT_BYTES_MAX = 1 << 20;

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
                    "transaction",
                    "primary starts");

    /// They are drawn from together; the others have draws of their own.
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

    private static final List<Fault> OPERATOR =
            List.of(
                    Fault.OUTAGE,
                    Fault.PRIMARY_DISCONNECT,
                    Fault.BACKUP_DISCONNECT,
                    Fault.BACKUP_RESTART,
                    Fault.PRIMARY_CLOCK,
                    Fault.BACKUP_CLOCK);

    /// They end the primary's part of a history, so they are rare.
    private static final List<Fault> FINAL =
            List.of(Fault.LOCAL_READ_EIO, Fault.LOCAL_SYNC_EIO, Fault.LOCAL_EIO);

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

    /// All of a history: some of a random part of the kinds; in one history of two some of disks;
    /// and, in one of eight, a chain that meets what they do apart hardly ever.
    static List<Strike> of(long seed, Scenario scenario) {
        SplittableRandom r = Seeds.stream(seed, "strikes");
        long work = scenario.workNanos();
        List<Strike> strikes = new ArrayList<>();
        List<Fault> kinds = kinds(r);
        int count = r.nextInt(7, 20);
        for (int i = 0; i < count; i++) {
            Fault fault = kinds.get(r.nextInt(kinds.size()));
            strikes.add(one(seed, strikes.size() + 1, work, fault));
        }
        if (r.nextBoolean()) {
            int ofDisks = 1 + r.nextInt(5);
            for (int i = 0; i < ofDisks; i++) {
                Fault fault = DISKS.get(r.nextInt(DISKS.size()));
                strikes.add(one(seed, strikes.size() + 1, work, fault));
            }
            if (r.nextInt(8) == 0) {
                Fault fault = FINAL.get(r.nextInt(FINAL.size()));
                strikes.add(one(seed, strikes.size() + 1, work, fault));
            }
        }
        if (r.nextInt(4) == 0) {
            int ofOperator = 1 + r.nextInt(4);
            for (int i = 0; i < ofOperator; i++) {
                Fault fault = OPERATOR.get(r.nextInt(OPERATOR.size()));
                strikes.add(one(seed, strikes.size() + 1, work, fault));
            }
        }
        if (r.nextInt(8) == 0) {
            long copied = r.nextLong(work);
            long restored = copied + r.nextLong(work - copied);
            strikes.add(one(seed, strikes.size() + 1, work, Fault.BACKUP_COPIED).at(copied));
            strikes.add(one(seed, strikes.size() + 1, work, Fault.BACKUP_RESTORED).at(restored));
        }
        if (r.nextInt(16) == 0) {
            strikes.addAll(ofMetadata(r, strikes.size() + 1));
        }
        SplittableRandom past = Seeds.stream(seed, "past");
        if (past.nextInt(8) == 0) {
            strikes.add(
                    one(seed, strikes.size() + 1, work, Fault.PRIMARY_WRITTEN_PAST)
                            .at(past.nextLong(work)));
        }
        SplittableRandom machine = Seeds.stream(seed, "machine");
        if (machine.nextInt(8) == 0) {
            long copied = machine.nextLong(work);
            long restored = copied + machine.nextLong(work - copied);
            strikes.add(one(seed, strikes.size() + 1, work, Fault.PRIMARY_COPIED).at(copied));
            strikes.add(one(seed, strikes.size() + 1, work, Fault.PRIMARY_RESTORED).at(restored));
        }
        SplittableRandom growth = Seeds.stream(seed, "growth");
        if (growth.nextInt(6) == 0) {
            for (int i = growth.nextInt(3); i >= 0; i--) {
                Fault fault =
                        growth.nextInt(3) == 0 ? Fault.PRIMARY_GROWN_STOPPED : Fault.PRIMARY_GROWN;
                strikes.add(one(seed, strikes.size() + 1, work, fault));
            }
        }
        if (r.nextInt(8) == 0) {
            Chain chain = CHAINS.get(r.nextInt(CHAINS.size()));
            int occurrence = 1 + r.nextInt(12);
            for (Link link : chain.links) {
                strikes.add(
                        new Strike(
                                strikes.size() + 1,
                                link.afterMillis * 1_000_000L + r.nextLong(30_000_000L),
                                Optional.of(chain.trigger),
                                occurrence,
                                link.fault,
                                r.nextDouble() * link.most));
            }
        }
        SplittableRandom verify = Seeds.stream(seed, "verify");
        if (verify.nextInt(3) == 0) {
            for (int i = verify.nextInt(4); i >= 0; i--) {
                Fault fault = verify.nextInt(3) == 0 ? Fault.COPY_DAMAGED : Fault.VERIFY;
                strikes.add(one(seed, strikes.size() + 1, work, fault).at(verify.nextLong(work)));
            }
        }
        strikes.addAll(ofTwoHistories(seed, strikes.size() + 1, work));
        SplittableRandom pins = Seeds.stream(seed, "pins");
        if (pins.nextInt(3) == 0) {
            int moments = 1 + pins.nextInt(6);
            for (int i = 0; i < moments; i++) {
                strikes.add(one(seed, strikes.size() + 1, work, Fault.KEEP));
            }
            for (int i = pins.nextInt(3); i > 0; i--) {
                strikes.add(one(seed, strikes.size() + 1, work, Fault.KEPT_VIEW));
                strikes.add(one(seed, strikes.size() + 1, work, Fault.ROLL));
            }
        }
        SplittableRandom marks = Seeds.stream(seed, "marks");
        if (marks.nextInt(3) == 0) {
            for (int i = marks.nextInt(6); i >= 0; i--) {
                strikes.add(one(seed, strikes.size() + 1, work, Fault.MARK));
            }
            for (int i = marks.nextInt(3); i >= 0; i--) {
                strikes.add(
                        one(seed, strikes.size() + 1, work, Fault.MARKED_VIEW)
                                .at(marks.nextLong(work)));
            }
        }
        SplittableRandom rot = Seeds.stream(seed, "rot");
        if (rot.nextInt(4) == 0) {
            for (int i = rot.nextInt(3); i >= 0; i--) {
                long at = rot.nextLong(work);
                strikes.add(one(seed, strikes.size() + 1, work, Fault.JOURNAL_ROT).at(at));
                long found = at + rot.nextLong(work / 8);
                strikes.add(one(seed, strikes.size() + 1, work, Fault.ROLL).at(found));
            }
        }
        strikes.addAll(ofBothSetBack(seed, strikes, work));
        strikes.addAll(ofFailingDisk(seed, strikes, work));
        strikes.addAll(ofFailingEnd(seed, strikes, work));
        strikes.addAll(ofChoosingAgain(seed, strikes, work));
        strikes.addAll(ofSuperblock(seed, strikes));
        return List.copyOf(strikes);
    }

    /// In one history of 24 the primary is set back, and later the copy to a moment that the
    /// primary has forgotten by that.
    private static List<Strike> ofBothSetBack(long seed, List<Strike> so, long work) {
        SplittableRandom r = Seeds.stream(seed, "both set back");
        if (r.nextInt(24) > 0 || so.stream().anyMatch(each -> each.fault().isApart())) {
            return List.of();
        }
        List<Fault> faults =
                List.of(
                        Fault.PRIMARY_COPIED,
                        Fault.PRIMARY_KILL,
                        Fault.BACKUP_COPIED,
                        Fault.PRIMARY_RESTORED,
                        Fault.BACKUP_RESTORED);
        long[] times = r.longs(faults.size(), 0, work).sorted().toArray();
        List<Strike> strikes = new ArrayList<>();
        for (int i = 0; i < times.length; i++) {
            int id = so.size() + i + 1;
            strikes.add(one(seed, id, work, faults.get(i)).at(times[i]).withAmount(0.2));
        }
        return strikes;
    }

    /// In one of eight histories with a promotion a disk fails before it, or behind it.
    private static List<Strike> ofFailingDisk(long seed, List<Strike> so, long work) {
        SplittableRandom r = Seeds.stream(seed, "failing disk");
        List<Strike> promotions =
                so.stream().filter(each -> each.fault() == Fault.PROMOTE).toList();
        if (promotions.isEmpty() || r.nextInt(8) > 0) {
            return List.of();
        }
        long at = promotions.getFirst().nanos() + r.nextLong(6_000_000_000L) - 3_000_000_000L;
        Fault fault = FINAL.get(r.nextInt(FINAL.size()));
        return List.of(one(seed, so.size() + 1, work, fault).at(Math.max(0, at)));
    }

    /// The base fails just when all of the journal is to go into it, for a promotion to be final or
    /// for its history to be given up.
    private static List<Strike> ofFailingEnd(long seed, List<Strike> so, long work) {
        SplittableRandom r = Seeds.stream(seed, "failing end");
        List<Strike> strikes = new ArrayList<>();
        for (Strike each : so) {
            int of =
                    switch (each.fault()) {
                        case PROMOTION_FINAL -> 5;
                        case DISCARD -> 12;
                        default -> 0;
                    };
            if (of > 0 && r.nextInt(of) == 0) {
                int id = so.size() + strikes.size() + 1;
                strikes.add(one(seed, id, work, Fault.BACKUP_BASE_EIO).at(each.nanos()));
            }
        }
        return strikes;
    }

    /// In one history of four a superblock cannot be written, or not be made durable: mostly just
    /// when it is to be, as at a start, a stop or a roll-forward.
    private static List<Strike> ofSuperblock(long seed, List<Strike> so) {
        SplittableRandom r = Seeds.stream(seed, "superblock");
        List<Strike> strikes = new ArrayList<>();
        if (r.nextInt(4) > 0) {
            return strikes;
        }
        for (int i = r.nextInt(4); i >= 0; i--) {
            boolean isPrimary = r.nextInt(3) == 0;
            strikes.add(
                    new Strike(
                            so.size() + strikes.size() + 1,
                            r.nextBoolean() ? 0 : r.nextLong(40_000_000),
                            Optional.of(isPrimary ? "primary superblock" : "backup superblock"),
                            1 + r.nextInt(r.nextBoolean() ? 4 : isPrimary ? 12 : 60),
                            isPrimary ? Fault.PRIMARY_SUPERBLOCK : Fault.BACKUP_SUPERBLOCK,
                            r.nextDouble()));
        }
        return strikes;
    }

    /// Behind every second promotion another moment is chosen, some seconds later.
    private static List<Strike> ofChoosingAgain(long seed, List<Strike> so, long work) {
        SplittableRandom r = Seeds.stream(seed, "choosing again");
        List<Strike> strikes = new ArrayList<>();
        for (Strike each : so) {
            if (each.fault() != Fault.PROMOTE || r.nextBoolean()) {
                continue;
            }
            int id = so.size() + strikes.size() + 1;
            long at = each.nanos() + work / 32 + r.nextLong(work / 8);
            strikes.add(one(seed, id, work, Fault.PROMOTE_AGAIN).at(at));
        }
        return strikes;
    }

    /// In one history of four the copy is promoted, early enough for much to happen behind it, and
    /// in most of these one side is given up later. In some that comes twice.
    private static List<Strike> ofTwoHistories(long seed, int id, long work) {
        SplittableRandom r = Seeds.stream(seed, "promotion");
        List<Strike> strikes = new ArrayList<>();
        if (r.nextInt(4) > 0) {
            return strikes;
        }
        long at = work / 8 + r.nextLong(work / 3);
        int times = r.nextInt(3) == 0 ? 2 : 1;
        for (int i = 0; i < times && at < work; i++) {
            strikes.add(one(seed, id + strikes.size(), work, Fault.PROMOTE).at(at));
            for (int j = r.nextInt(3); j > 0; j--) {
                Fault fault =
                        switch (r.nextInt(4)) {
                            case 0 -> Fault.PRIMARY_KILL;
                            case 1 -> Fault.BACKUP_KILL;
                            default -> Fault.BACKUP_POWER_CUT;
                        };
                long later = at + r.nextLong(r.nextBoolean() ? 60_000_000L : work / 4);
                strikes.add(one(seed, id + strikes.size(), work, fault).at(later).withAmount(0.3));
            }
            for (int j = r.nextInt(3); j > 0; j--) {
                long later = at + r.nextLong(work / 6);
                strikes.add(one(seed, id + strikes.size(), work, Fault.VIEW).at(later));
            }
            if (r.nextInt(3) == 0) {
                long later = at + r.nextLong(work / 4);
                strikes.add(one(seed, id + strikes.size(), work, Fault.PROMOTION_FINAL).at(later));
            }
            at += work / 16 + r.nextLong(work / 3);
            if (r.nextInt(4) > 0) {
                strikes.add(one(seed, id + strikes.size(), work, Fault.DISCARD).at(at));
                for (int j = r.nextInt(3); j > 0; j--) {
                    Fault fault =
                            switch (r.nextInt(5)) {
                                case 0 -> Fault.PRIMARY_KILL;
                                case 1 -> Fault.BACKUP_KILL;
                                case 2 -> Fault.BACKUP_POWER_CUT;
                                default -> Fault.CUT;
                            };
                    long later = at + r.nextLong(r.nextBoolean() ? 300_000_000L : work / 4);
                    strikes.add(
                            one(seed, id + strikes.size(), work, fault).at(later).withAmount(0.3));
                }
            }
            at += work / 8 + r.nextLong(work / 3);
        }
        return strikes;
    }

    /// A sync fails just as something is made durable, and the power a moment later.
    private static List<Strike> ofMetadata(SplittableRandom r, int id) {
        Optional<String> trigger = Optional.of("transaction");
        int count = 1 + r.nextInt(60);
        long later = r.nextLong(400_000_000L);
        return List.of(
                new Strike(id, 0, trigger, count, Fault.LOCAL_SYNC_EIO, 1),
                new Strike(id + 1, later, trigger, count, Fault.PRIMARY_POWER_CUT, r.nextDouble()));
    }

    private static List<Fault> kinds(SplittableRandom r) {
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
        return kinds;
    }

    /// Half of them strike at a time of their own, early ones oftener; half wait for a moment.
    private static Strike one(long seed, int id, long work, Fault fault) {
        SplittableRandom r = Seeds.stream(seed, "strike " + id);
        double amount = r.nextDouble();
        if (r.nextBoolean()) {
            long at = r.nextInt(4) == 0 ? r.nextLong(work / 10) : r.nextLong(work);
            return new Strike(id, at, Optional.empty(), 0, fault, amount);
        }
        return new Strike(
                id,
                r.nextBoolean() ? r.nextLong(200_000) : r.nextLong(40_000_000),
                Optional.of(MOMENTS.get(r.nextInt(MOMENTS.size()))),
                1 + (r.nextBoolean() ? r.nextInt(3) : r.nextInt(20)),
                fault,
                amount);
    }

    Strike at(long nanos) {
        return new Strike(id, nanos, Optional.empty(), 0, fault, amount);
    }

    Strike withAmount(double amount) {
        return new Strike(id, nanos, trigger, count, fault, amount);
    }
}
