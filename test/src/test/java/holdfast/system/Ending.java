package holdfast.system;

import holdfast.system.FaultyDisk.First;
import holdfast.system.FaultyDisk.Kind;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Random;

/// At which call the process of a backup ends, and how.
///
/// @param what the file is
/// @param first what must have come by before, so that the call is one of this phase
/// @param calls the kind of calls that count
/// @param pattern of the paths of the files that count
/// @param nth of these calls
record Ending(
        Phase phase,
        String what,
        First first,
        int calls,
        String pattern,
        int nth,
        Kind kind,
        long seed) {
    /// @param most the n-th call at most
    /// @param times how often in all
    private record Target(
            Phase phase, String what, First first, int calls, String pattern, int most, int times) {
        private Target(Phase phase, String what, int calls, String pattern, int most, int times) {
            this(phase, what, First.NONE, calls, pattern, most, times);
        }
    }

    private static final int WRITE = FaultyDisk.WRITE;
    private static final int SYNC = FaultyDisk.SYNC;
    private static final int UNLINK = FaultyDisk.UNLINK;

    /// The header of a record that commits an epoch begins so: docs/on-disk-format.md.
    private static final First COMMIT =
            new First(WRITE, "home.journal/", bytes("HFJR\u0001\u0006"), false);

    /// The base is written by rolls alone, once there is a point.
    private static final First ROLLING = new First(WRITE, "storage/home.img");

    /// What is noted of a segment goes first when that is given free.
    private static final String NOTE = "*/home.journal/0*.index";

    private static final List<Target> TARGETS =
            List.of(
                    new Target(Phase.APPEND, "journal", WRITE, "home.journal/", 40, 8),
                    new Target(Phase.APPEND, "journal", SYNC, "home.journal/", 20, 8),
                    new Target(Phase.COMMIT, "journal", COMMIT, WRITE, "home.journal/", 1, 8),
                    new Target(Phase.COMMIT, "journal", COMMIT, SYNC, "home.journal/", 1, 8),
                    new Target(Phase.ROLL_FORWARD, "base", WRITE, "storage/home.img", 8, 4),
                    new Target(Phase.ROLL_FORWARD, "base", SYNC, "storage/home.img", 2, 4),
                    new Target(
                            Phase.ROLL_FORWARD,
                            "superblock",
                            ROLLING,
                            WRITE,
                            "home/superblock",
                            2,
                            4),
                    new Target(
                            Phase.ROLL_FORWARD,
                            "superblock",
                            ROLLING,
                            SYNC,
                            "home/superblock",
                            2,
                            4),
                    new Target(Phase.KEEP, "kept list", WRITE, "home.pins/pins", 2, 4),
                    new Target(Phase.KEEP, "kept list", SYNC, "home.pins", 4, 4),
                    new Target(Phase.KEEP, "kept blocks", WRITE, "pins/delta-", 4, 4),
                    new Target(Phase.KEEP, "kept blocks", SYNC, "pins/delta-", 2, 4),
                    // What must have come by has the name in it that expires: see expiring().
                    new Target(Phase.EXPIRE, "kept list", WRITE, "home.pins/pins", 1, 4),
                    new Target(Phase.EXPIRE, "kept list", SYNC, "home.pins", 2, 4),
                    new Target(Phase.EXPIRE, "journal's directory", UNLINK, NOTE, 1, 4),
                    new Target(
                            Phase.EXPIRE,
                            "journal's directory",
                            new First(UNLINK, NOTE),
                            SYNC,
                            "*/home.journal",
                            1,
                            4),
                    new Target(Phase.START, "state", WRITE, "resources/home/", 1, 2),
                    new Target(Phase.START, "state", SYNC, "resources/home/", 1, 2),
                    new Target(Phase.START, "journal", SYNC, "home.journal/", 1, 2),
                    new Target(Phase.START, "kept list", SYNC, "home.pins", 1, 2));

    private static final List<Kind> OF_WRITES =
            List.of(Kind.KILL_BEFORE, Kind.KILL_AFTER, Kind.TORN_KILL, Kind.CUT_AFTER);
    private static final List<Kind> OF_OTHERS =
            List.of(Kind.KILL_BEFORE, Kind.KILL_AFTER, Kind.CUT_BEFORE, Kind.CUT_AFTER);

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    /// All that there are, each of them in one lane, in any order: of each target every kind as
    /// often.
    static List<Deque<Ending>> draw(int lanes, int rounds, Random random) {
        List<List<Ending>> of = new ArrayList<>();
        for (int lane = 0; lane < lanes; lane++) {
            of.add(new ArrayList<>());
        }
        int number = 0;
        for (Target target : TARGETS) {
            List<Kind> kinds = new ArrayList<>(target.calls == WRITE ? OF_WRITES : OF_OTHERS);
            Collections.shuffle(kinds, random);
            for (int i = 0; i < target.times * rounds; i++) {
                // The second turn through the kinds is in the other lane.
                int lane = (number + i / kinds.size()) % lanes;
                of.get(lane).add(draw(target, kinds.get(i % kinds.size()), random));
                number++;
            }
        }
        return of.stream()
                .<Deque<Ending>>map(
                        each -> {
                            Collections.shuffle(each, random);
                            return new ArrayDeque<>(each);
                        })
                .toList();
    }

    private static Ending draw(Target target, Kind kind, Random random) {
        return new Ending(
                target.phase,
                target.what,
                target.first,
                target.calls,
                target.pattern,
                1 + random.nextInt(target.most),
                kind,
                random.nextLong() >>> 1);
    }

    boolean isExpiry() {
        return phase == Phase.EXPIRE && what.equals("kept list");
    }

    /// The same, of the list without this name.
    Ending expiring(String name) {
        First first = new First(WRITE, "home.pins/pins", bytes(name), true);
        return new Ending(phase, what, first, calls, pattern, nth, kind, seed);
    }

    void arm(FaultyDisk disk) {
        disk.arm(first, kind, calls, pattern, nth, seed);
    }

    private String call() {
        return switch (calls) {
            case WRITE -> "write";
            case SYNC -> "sync";
            default -> "unlink";
        };
    }

    /// For the table.
    String how() {
        return "%s at a %s of the %s".formatted(kind, call(), what);
    }

    @Override
    public String toString() {
        return "%s: %s at %s %d of the %s".formatted(phase, kind, call(), nth, what);
    }
}
