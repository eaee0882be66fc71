package holdfast.sim;

import holdfast.sim.SimDisk.Cut;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;

/// What a power cut may leave behind each step of a history that wrote something or made it
/// durable: of the writes that were not synced every subset when they are few, and of many none,
/// all, each beginning, each alone and each left out; and each of them torn between its sectors,
/// with the others kept and with the others lost. Each such state is opened by the code that
/// recovers from a real one, and every promise is checked.
final class CrashStates {
    /// Of so many writes every subset.
    private static final int FEW = 4;

    /// Behind one step, of one disk.
    private static final int MOST = 48;

    private static final Cut LOST = (_, _) -> false;
    private static final Cut KEPT = (_, _) -> true;

    private final Map<String, Integer> states = new TreeMap<>();
    private long seenDisk = -1;
    private long seenMetadata = -1;
    private final Map<PrimaryHost, Long> seenSuperblock = new HashMap<>();

    /// What was seen of a copy last.
    private static final class Seen {
        private long base = -1;
        private long journal = -1;
        private long superblock = -1;
    }

    private final Map<BackupHost, Seen> seen = new HashMap<>();
    private long steps;

    /// How many states there were, by what they are states of.
    Map<String, Integer> states() {
        return states;
    }

    void look(Simulation sim, PrimaryHost primary, BackupHost backup) {
        SplittableRandom random = Seeds.stream(++steps, "crash states");
        if (sim.canCheckCoverage() && primary.disk() != null) {
            lookAtPrimary(sim, primary, random);
        }
        lookAtSuperblock(primary, random);
        lookAtBackup(backup, random);
        if (primary.own() != null) {
            lookAtBackup(primary.own(), random); // It was promoted, and has another copy beside it.
        }
    }

    /// The device matters where it may differ from the copy, the metadata by what they then say.
    private void lookAtPrimary(Simulation sim, PrimaryHost primary, SplittableRandom random) {
        boolean metadata = primary.metadata().changes() != seenMetadata;
        boolean disk = primary.disk().changes() != seenDisk;
        if (!metadata && !disk) {
            return;
        }
        seenMetadata = primary.metadata().changes();
        seenDisk = primary.disk().changes();
        byte[] copy = sim.copyImage();
        if (metadata) {
            for (Cut cut : cuts(primary.metadata(), random, MOST)) {
                for (Cut ofDisk : List.of(LOST, KEPT)) {
                    sim.checkCoverage(ofDisk, cut, copy);
                    count("device, activity log and bitmap");
                }
            }
        }
        if (disk) {
            for (Cut cut : cuts(primary.disk(), random, MOST)) {
                sim.checkCoverage(cut, LOST, copy);
                count("device, activity log and bitmap");
            }
        }
    }

    private void lookAtSuperblock(PrimaryHost primary, SplittableRandom random) {
        Long changes = primary.superblock().changes();
        if (!changes.equals(seenSuperblock.put(primary, changes))) {
            for (Cut cut : cuts(primary.superblock(), random, MOST)) {
                primary.checkSuperblock(cut);
                count("superblock of a primary");
            }
        }
    }

    private void lookAtBackup(BackupHost backup, SplittableRandom random) {
        if (!backup.isUp()) {
            return;
        }
        Seen last = seen.computeIfAbsent(backup, _ -> new Seen());
        if (backup.journal().changes() != last.journal) {
            last.journal = backup.journal().changes();
            for (Cut cut : cuts(backup.journal(), random, MOST)) {
                Cut other = backup.base().pending() % 2 == 0 ? LOST : KEPT;
                backup.checkCrash(other, cut, other);
                count("journal and base");
            }
        }
        if (backup.base().changes() != last.base) {
            last.base = backup.base().changes();
            for (Cut cut : cuts(backup.base(), random, MOST)) {
                backup.checkCrash(cut, LOST, KEPT);
                count("journal and base");
            }
        }
        if (backup.superblock().changes() != last.superblock) {
            last.superblock = backup.superblock().changes();
            for (Cut cut : cuts(backup.superblock(), random, MOST)) {
                for (Cut ofOthers : List.of(LOST, KEPT)) {
                    backup.checkCrash(ofOthers, ofOthers, cut);
                    count("superblock of a copy");
                }
            }
        }
    }

    private void count(String what) {
        states.merge(what, 1, Integer::sum);
    }

    /// @param most so many at the most
    static List<Cut> cuts(SimDisk disk, SplittableRandom random, int most) {
        int writes = disk.pending();
        List<Cut> cuts = new ArrayList<>();
        if (writes <= FEW) {
            for (int subset = 0; subset < 1 << writes; subset++) {
                int kept = subset;
                cuts.add((write, _) -> (kept >> write & 1) != 0);
            }
        } else {
            cuts.add(LOST);
            cuts.add(KEPT);
            for (int i = 0; i < writes; i++) {
                int which = i;
                cuts.add((write, _) -> write <= which);
                cuts.add((write, _) -> write == which);
                cuts.add((write, _) -> write != which);
            }
        }
        for (int i = 0; i < writes; i++) {
            int which = i;
            int sectors = disk.sectorsOf(i);
            for (int edge = 1; edge < sectors; edge++) {
                int at = edge;
                cuts.add((write, sector) -> write == which ? sector < at : true);
                cuts.add((write, sector) -> write == which ? sector >= at : true);
                cuts.add((write, sector) -> write == which && sector < at);
                cuts.add((write, sector) -> write == which && sector >= at);
            }
        }
        // Many pending writes have more states than there is time for: then a part, drawn.
        while (cuts.size() > most) {
            int last = cuts.size() - 1;
            int drop = 2 + random.nextInt(cuts.size() - 2);
            cuts.set(drop, cuts.get(last));
            cuts.remove(last);
        }
        return cuts;
    }
}
