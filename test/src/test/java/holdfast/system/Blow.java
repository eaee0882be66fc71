package holdfast.system;

import holdfast.system.FaultyDisk.Kind;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;

/// What is done to which call of which daemon, and when.
///
/// @param what the file is
/// @param calls the kind of calls that count
/// @param pattern part of the path of the files that count
/// @param nth of these calls
/// @param afterMillis how long the application goes on behind it
/// @param end what becomes of the process when it is still there
record Blow(
        boolean atServer,
        String what,
        int calls,
        String pattern,
        int nth,
        Kind kind,
        Moment moment,
        long afterMillis,
        End end,
        long seed) {
    enum End {
        NONE,
        KILL,
        POWER_CUT
    }

    enum Moment {
        /// In the stream.
        WRITING,
        /// After an outage that the send buffer could not hold.
        CATCHING_UP,
        /// While the daemon recovers.
        STARTING,
        /// While an operator detaches and attaches.
        ATTACHING,
        /// While an operator keeps moments under names, drops them, and the base is rolled past
        /// them.
        KEEPING,
        /// While the daemon recovers, and the base has been rolled past a kept moment.
        STARTING_WITH_KEPT
    }

    /// Something that the pair does.
    interface Deed {
        void accept(FaultyPair pair) throws Exception;
    }

    private record Target(
            boolean atServer, String what, String pattern, int calls, int most, Moment moment) {}

    private static final int WRITE = FaultyDisk.WRITE;
    private static final int SYNC = FaultyDisk.SYNC;
    private static final int READ = FaultyDisk.READ;

    private static final List<Target> TARGETS =
            List.of(
                    new Target(true, "device", "home.disk", WRITE, 60, Moment.WRITING),
                    new Target(true, "device", "home.disk", SYNC, 3, Moment.WRITING),
                    new Target(true, "metadata", "home/metadata", WRITE, 2, Moment.WRITING),
                    new Target(true, "metadata", "home/metadata", SYNC, 2, Moment.WRITING),
                    new Target(false, "journal", "home.journal/", WRITE, 40, Moment.WRITING),
                    new Target(false, "journal", "home.journal/", SYNC, 20, Moment.WRITING),
                    new Target(false, "base", "storage/home.img", WRITE, 60, Moment.WRITING),
                    new Target(false, "base", "storage/home.img", SYNC, 1, Moment.WRITING),
                    new Target(false, "superblock", "home/superblock", WRITE, 2, Moment.WRITING),
                    new Target(false, "superblock", "home/superblock", SYNC, 2, Moment.WRITING),
                    new Target(true, "device", "home.disk", WRITE, 60, Moment.CATCHING_UP),
                    new Target(true, "device", "home.disk", READ, 8, Moment.CATCHING_UP),
                    new Target(true, "metadata", "home/metadata", WRITE, 2, Moment.CATCHING_UP),
                    new Target(true, "metadata", "home/metadata", SYNC, 2, Moment.CATCHING_UP),
                    new Target(false, "journal", "home.journal/", WRITE, 30, Moment.CATCHING_UP),
                    new Target(false, "journal", "home.journal/", SYNC, 10, Moment.CATCHING_UP),
                    new Target(true, "superblock", "home/superblock", WRITE, 2, Moment.ATTACHING),
                    new Target(true, "superblock", "home/superblock", SYNC, 2, Moment.ATTACHING),
                    new Target(true, "metadata", "home/metadata", WRITE, 1, Moment.ATTACHING),
                    new Target(true, "metadata", "home/metadata", SYNC, 1, Moment.ATTACHING),
                    new Target(true, "device", "home.disk", SYNC, 2, Moment.ATTACHING),
                    new Target(true, "state", "resources/home/", WRITE | SYNC, 2, Moment.STARTING),
                    new Target(true, "device", "home.disk", SYNC, 1, Moment.STARTING),
                    new Target(false, "state", "resources/home/", WRITE | SYNC, 1, Moment.STARTING),
                    new Target(false, "journal", "home.journal/", READ, 1, Moment.STARTING),
                    new Target(false, "journal", "home.journal/", SYNC, 3, Moment.STARTING),
                    new Target(false, "kept blocks", "pins/delta-", WRITE, 6, Moment.KEEPING),
                    new Target(false, "kept blocks", "pins/delta-", SYNC, 4, Moment.KEEPING),
                    new Target(false, "kept list", "home.pins/pins", WRITE, 4, Moment.KEEPING),
                    new Target(false, "kept list", "home.pins", SYNC, 8, Moment.KEEPING),
                    new Target(false, "base", "storage/home.img", WRITE, 12, Moment.KEEPING),
                    new Target(
                            false,
                            "kept blocks",
                            "pins/delta-",
                            READ,
                            1,
                            Moment.STARTING_WITH_KEPT),
                    new Target(
                            false, "kept list", "home.pins", SYNC, 1, Moment.STARTING_WITH_KEPT));

    private static final List<Kind> OF_WRITES =
            List.of(
                    Kind.KILL_BEFORE,
                    Kind.KILL_AFTER,
                    Kind.TORN_KILL,
                    Kind.TORN_KILL,
                    Kind.IO_ERROR,
                    Kind.IO_ERROR,
                    Kind.NO_SPACE,
                    Kind.SHORT,
                    Kind.CUT_AFTER);
    private static final List<Kind> OF_SYNCS =
            List.of(
                    Kind.KILL_BEFORE,
                    Kind.KILL_AFTER,
                    Kind.LOST_SYNC,
                    Kind.LOST_SYNC,
                    Kind.LOST_SYNC,
                    Kind.CUT_BEFORE,
                    Kind.CUT_AFTER);
    private static final List<Kind> OF_READS = List.of(Kind.IO_ERROR, Kind.SHORT);

    // Where a backup is ended, and at which of its calls: BackupEndsTest.
    private static final List<Kind> OF_WRITES_AT_BACKUP =
            List.of(Kind.IO_ERROR, Kind.NO_SPACE, Kind.SHORT);
    private static final List<Kind> OF_SYNCS_AT_BACKUP = List.of(Kind.LOST_SYNC);

    private static List<Kind> kindsOf(Target target, int call) {
        return switch (call) {
            case WRITE -> target.atServer ? OF_WRITES : OF_WRITES_AT_BACKUP;
            case SYNC -> target.atServer ? OF_SYNCS : OF_SYNCS_AT_BACKUP;
            default -> OF_READS;
        };
    }

    /// Draws one after the other, so that of each kind there are as many as the lists above say.
    static final class Draws {
        private final Random random;
        private final Map<List<Kind>, Deque<Kind>> left = new HashMap<>();

        Draws(Random random) {
            this.random = random;
        }

        /// @param number of the run: the targets come in turn
        Blow next(int number) {
            Target target = TARGETS.get(number % TARGETS.size());
            int call = target.calls;
            if (call == (WRITE | SYNC)) {
                call = random.nextBoolean() ? WRITE : SYNC;
            }
            Kind kind = kindOf(kindsOf(target, call));
            End end = End.NONE;
            if (!kind.endsTheProcess() && random.nextInt(3) == 0) {
                end = random.nextBoolean() ? End.KILL : End.POWER_CUT;
            }
            return new Blow(
                    target.atServer,
                    target.what,
                    call,
                    target.pattern,
                    1 + random.nextInt(target.most),
                    kind,
                    target.moment,
                    random.nextInt(150),
                    end,
                    random.nextLong() >>> 1);
        }

        private Kind kindOf(List<Kind> kinds) {
            Deque<Kind> of = left.computeIfAbsent(kinds, _ -> new ArrayDeque<>());
            if (of.isEmpty()) {
                List<Kind> all = new ArrayList<>(kinds);
                Collections.shuffle(all, random);
                of.addAll(all);
            }
            return of.poll();
        }
    }

    /// Whether what a client had written and not flushed may be gone.
    boolean mayLoseWrites() {
        return atServer && (kind.cutsThePower() || kind == Kind.LOST_SYNC || end == End.POWER_CUT);
    }

    /// Whether blocks that a client wrote may be torn.
    boolean mayTear() {
        return mayLoseWrites() || atServer && kind == Kind.TORN_KILL;
    }

    /// Kinds of events one of which tells of it, there where it struck; none where nothing has to.
    Set<String> tells() {
        boolean isFailure =
                kind == Kind.IO_ERROR || kind == Kind.NO_SPACE || kind == Kind.LOST_SYNC;
        if (!isFailure) {
            return Set.of();
        }
        if (calls == READ) {
            return switch (what) {
                case "kept blocks" -> Set.of("pin-damaged");
                // An index that cannot be read costs reading its segment, and nothing else.
                case "journal" -> Set.of();
                default -> Set.of("disk-failed", "read-error");
            };
        }
        // The list is made anew for each order; where that fails the order is refused.
        if (what.equals("kept list") && moment == Moment.KEEPING) {
            return Set.of();
        }
        if (kind == Kind.NO_SPACE && List.of("device", "base", "kept blocks").contains(what)) {
            return Set.of("no-space");
        }
        return switch (moment) {
            case WRITING, CATCHING_UP, KEEPING -> Set.of("disk-failed");
            case STARTING, STARTING_WITH_KEPT ->
                    Set.of("open-failed", "attach-failed", "disk-failed");
            case ATTACHING ->
                    Set.of("disk-failed", "attach-failed", "detach-failed", "evidence-failed");
        };
    }

    private boolean isOfKept() {
        return what.startsWith("kept");
    }

    /// Whether what was saved for kept moments may be said to be damaged.
    boolean mayDamageKept() {
        return isOfKept() && calls == READ;
    }

    /// Whether it waits for a roll-forward.
    private boolean isOfRoll() {
        return what.equals("base") || what.equals("superblock") && !atServer;
    }

    /// Whether the base was rolled at once.
    boolean isRolling() {
        return moment == Moment.KEEPING || moment == Moment.STARTING_WITH_KEPT || isOfRoll();
    }

    boolean isAtStart() {
        return moment == Moment.STARTING || moment == Moment.STARTING_WITH_KEPT;
    }

    Duration patience() {
        return Duration.ofSeconds(isAtStart() ? 10 : 4);
    }

    /// What the pair does before it is armed.
    Deed prepare() {
        return switch (moment) {
            case WRITING ->
                    pair -> {
                        if (isOfRoll()) {
                            pair.kept().rollAtOnce(true);
                        }
                        pair.pause(100);
                    };
            case CATCHING_UP ->
                    pair -> {
                        pair.order(true, "disconnect");
                        pair.pause(300);
                    };
            case STARTING ->
                    pair -> {
                        pair.pause(150);
                        pair.kill(atServer, seed);
                    };
            case ATTACHING ->
                    pair -> {
                        pair.pause(200);
                        pair.endLoad(); // Nobody detaches what is in use.
                    };
            case KEEPING ->
                    pair -> {
                        pair.kept().rollAtOnce(true);
                        pair.kept().keep(Optional.empty());
                    };
            case STARTING_WITH_KEPT ->
                    pair -> {
                        pair.kept().rollAtOnce(true);
                        pair.kept().keep(Optional.empty());
                        pair.kept().awaitRolledPast();
                        pair.kill(atServer, seed);
                    };
        };
    }

    /// What the pair does when it is armed.
    Deed meanwhile() {
        return switch (moment) {
            case WRITING -> _ -> {};
            case CATCHING_UP -> pair -> pair.order(true, "connect");
            case STARTING, STARTING_WITH_KEPT -> pair -> pair.start(atServer);
            case KEEPING -> pair -> pair.kept().keepSome();
            case ATTACHING ->
                    pair -> {
                        pair.order(true, "detach");
                        pair.order(true, "attach");
                    };
        };
    }

    /// Only a disk that has failed waits for somebody.
    boolean mayNeedHands() {
        return switch (kind) {
            case IO_ERROR, LOST_SYNC -> true;
            // Space for all but the device, the base and what is kept was taken beforehand.
            case NO_SPACE -> !what.equals("device") && !what.equals("base") && !isOfKept();
            default -> moment == Moment.ATTACHING;
        };
    }

    /// Whether the server's disk may fail before it has noted what the copy is told of.
    boolean failsAsTheLinkIsBack() {
        return atServer
                && (kind == Kind.IO_ERROR || kind == Kind.LOST_SYNC || kind == Kind.NO_SPACE);
    }

    @Override
    public String toString() {
        String call = calls == WRITE ? "write" : calls == SYNC ? "sync" : "read";
        return "%s, %s: %s at %s %d of the %s%s"
                .formatted(
                        atServer ? "server" : "backup",
                        moment,
                        kind,
                        call,
                        nth,
                        what,
                        end == End.NONE ? "" : ", then " + end);
    }
}
