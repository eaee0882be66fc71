package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Ancestry.Reason;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;

/// Verdicts against what really happened: histories of two machines with crashes, clean stops,
/// promotions and either one put back to an older copy of itself, in a model in which each
/// operation writes one block and each block is an extent.
///
/// Another seed: `-Dholdfast.seed=N`; a failure names its own.
class VerdictTruthTest {
    private static final int HISTORIES = 9000;
    private static final int STEPS = 60;
    private static final int BLOCKS = 6;
    private static final int ACTIVE = 2;
    private static final UUID SERVER = new UUID(1, 1);
    private static final UUID BACKUP = new UUID(2, 2);

    private static final List<Verdict.How> WAYS =
            List.of(
                    Verdict.How.STREAM,
                    Verdict.How.BITMAP,
                    Verdict.How.COMPARISON,
                    Verdict.How.FIRST_SYNC,
                    Verdict.How.FIRST_SYNC_COMPARED);

    /// The copy's first generation is its name.
    private static final long COPY = 7;

    @Test
    void neverIsAForkJoinedAndWhatIsJoinedBecomesEqual() {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        int[] found = new int[20];
        for (int i = 0; i < HISTORIES; i++) {
            try {
                new History(new Random(seed + i), found).run();
            } catch (AssertionError | RuntimeException e) {
                throw new AssertionError("-Dholdfast.seed=" + (seed + i), e);
            }
        }
        // What is hardly ever met is not tested.
        assertEquals(13, Arrays.stream(found).filter(n -> n > HISTORIES / 300).count(), seed + "");
    }

    @Test
    void whateverIsSaidThereIsAVerdictAndItsMirrorImage() {
        long seed = Long.getLong("holdfast.seed", System.nanoTime() & 0xffffff);
        Random random = new Random(seed);
        for (int i = 0; i < 300_000; i++) {
            Frame.ResourceHello mine = anything(random);
            Frame.ResourceHello theirs = anything(random);
            assertEquals(
                    Verdict.of(mine, theirs).mirrored(),
                    Verdict.of(theirs, mine),
                    () -> "-Dholdfast.seed=" + seed + ": " + mine + " " + theirs);
        }
    }

    private static Frame.ResourceHello anything(Random random) {
        List<Ancestry.Entry> entries = new ArrayList<>();
        int count = random.nextInt(5);
        for (int i = 0; i < count; i++) {
            entries.add(
                    new Ancestry.Entry(
                            random.nextInt(5),
                            anywhere(random),
                            Reason.values()[random.nextInt(5)],
                            random.nextBoolean() ? SERVER : BACKUP,
                            0));
        }
        Position at = anywhere(random);
        return new Frame.ResourceHello(
                SERVER,
                random.nextInt(4),
                random.nextInt(9) - 1,
                1 + random.nextInt(2),
                at,
                at,
                0,
                random.nextInt(4) > 0,
                0,
                random.nextBoolean(),
                random.nextInt(3),
                random.nextInt(3),
                new Frame.Known(
                        anywhere(random),
                        anywhere(random),
                        random.nextInt(5),
                        random.nextInt(3),
                        random.nextInt(3),
                        random.nextInt(2),
                        random.nextBoolean()),
                new Ancestry(entries));
    }

    private static Position anywhere(Random random) {
        int generation = random.nextInt(5);
        return generation == 0 ? Position.NONE : new Position(generation, random.nextInt(4));
    }

    /// Who wrote what into a block: each has a number of its own, also where it writes what another
    /// one has written before.
    private record Op(long id, int block) {}

    /// Everything of the server that is copied when somebody copies it.
    private static final class Server implements Cloneable {
        private long[] device = new long[BLOCKS];

        /// What each active block held when it became so.
        private long[] before = new long[BLOCKS];

        private List<Op> ops = new ArrayList<>();

        /// Of the operations up to this one in a block, a crash may have taken any (R4): the block
        /// was active. Or an operator may have given up all of them.
        private long[] mayHaveLost = new long[BLOCKS];

        private Ancestry ancestry = Ancestry.EMPTY;
        private Position end = Position.NONE;
        private boolean clean;
        private long number;
        private long transaction = 1;
        private long told = 1;
        private Position acknowledged = Position.NONE;
        private Position completeFrom = Position.NONE;
        private long copy;
        private long filled;
        private boolean ordered;
        private BitSet active = new BitSet();
        private BitSet marked = new BitSet();
        private BitSet suspect = new BitSet();

        private Server copied() {
            try {
                Server other = (Server) clone();
                other.device = device.clone();
                other.before = before.clone();
                other.mayHaveLost = mayHaveLost.clone();
                other.ops = new ArrayList<>(ops);
                other.active = (BitSet) active.clone();
                other.marked = (BitSet) marked.clone();
                other.suspect = (BitSet) suspect.clone();
                return other;
            } catch (CloneNotSupportedException e) {
                throw new AssertionError(e);
            }
        }

        private Position position() {
            return new Position(ancestry.generation(), number);
        }
    }

    /// Everything of the backup.
    private static final class Copy implements Cloneable {
        private long[] image = new long[BLOCKS];
        private List<Op> ops = new ArrayList<>();
        private Ancestry ancestry =
                began(Ancestry.EMPTY, COPY, Position.NONE, Reason.CREATE, BACKUP);
        private Position committed = Position.NONE;
        private boolean everCommitted;
        private long tracked;
        private long filled;
        private boolean promoted;

        private Copy copied() {
            try {
                Copy other = (Copy) clone();
                other.image = image.clone();
                other.ops = new ArrayList<>(ops);
                return other;
            } catch (CloneNotSupportedException e) {
                throw new AssertionError(e);
            }
        }
    }

    private static Ancestry began(
            Ancestry from, long generation, Position parent, Reason reason, UUID author) {
        return from.plus(new Ancestry.Entry(generation, parent, reason, author, 0));
    }

    private static final class History {
        private final Random random;
        private final int[] found;
        private Server server = new Server();
        private Copy copy = new Copy();

        /// What it has written since it was promoted, or what a replacement that it fills lacks.
        private final BitSet copyMarked = new BitSet();

        /// That replacement, 0 for none. It never comes to a point, and is given up.
        private long replacement;

        private Server olderServer;
        private Copy olderCopy;

        /// As the copy was before it was put back.
        private Copy newerCopy;

        private boolean serverWasSetBack;
        private boolean streaming;

        /// An operator has to begin anew.
        private boolean isUnfit;

        /// The server as it was at the numbers of this generation, for a stream that is behind.
        private final List<Server> moments = new ArrayList<>();

        private long ids;
        private long generations = 100;

        /// What an operation has written, where that is what another one had: its number. In some
        /// histories only, for what is lost is found by what is different.
        private final Map<Long, Long> again = new HashMap<>();

        private final boolean writesAgain;

        private History(Random random, int[] found) {
            this.random = random;
            this.found = found;
            this.writesAgain = random.nextInt(3) == 0;
        }

        private void run() {
            Arrays.setAll(server.device, _ -> ++ids);
            server.marked.set(0, BLOCKS);
            attach();
            for (int i = 0; i < STEPS && !copy.promoted && !isUnfit; i++) {
                step();
            }
        }

        private void step() {
            switch (random.nextInt(25)) {
                case 0, 1, 2, 3, 4, 5, 6 -> write();
                case 7, 8, 9, 10, 11 -> send();
                case 12, 13, 14 -> connect();
                case 15 -> streaming = false;
                case 16 -> crash();
                case 17 -> stop();
                case 18 -> olderServer = server.copied();
                case 19 -> olderCopy = copy.copied();
                case 20 -> setBackServer();
                case 21 -> setBackCopy();
                case 22 -> acknowledge();
                case 23 -> comparePart();
                default -> {
                    if (random.nextInt(4) == 0) {
                        promote();
                    }
                }
            }
        }

        // ---- the server

        /// A new generation, but for one that nothing was written in.
        private void attach() {
            boolean goesOn = server.clean && server.end.number() == 0;
            Reason reason = server.clean ? Reason.ATTACH : Reason.CRASH;
            if (server.ancestry.entries().isEmpty()) {
                reason = Reason.CREATE;
            }
            if (reason == Reason.CRASH) {
                server.suspect.or(server.active);
                server.active.stream().forEach(b -> server.mayHaveLost[b] = ids);
            }
            if (!goesOn) {
                server.ancestry = began(server.ancestry, ++generations, server.end, reason, SERVER);
            }
            server.clean = false;
            server.number = 0;
            server.end = server.position();
            streaming = false;
            moments.clear();
            moments.add(server.copied());
        }

        private void transaction() {
            server.transaction++;
            if (streaming) {
                server.told = server.transaction;
            }
        }

        private void write() {
            int block = random.nextInt(BLOCKS);
            if (!server.active.get(block)) {
                if (server.active.cardinality() == ACTIVE) {
                    server.active.clear(server.active.nextSetBit(0));
                }
                server.active.set(block);
                server.before[block] = server.device[block];
                transaction();
            }
            server.device[block] = written(server.device[block], copy.image[block]);
            server.ops.add(new Op(ids, block));
            server.number++;
            server.marked.set(block);
            moments.add(server.copied());
        }

        /// Something new, or what one of the two sides has there, or has had first: so a block may
        /// be equal that both have written to, and become what it was.
        private long written(long here, long there) {
            long id = ++ids;
            switch (writesAgain ? random.nextInt(6) : -1) {
                case 0 -> again.put(id, content(here));
                case 1 -> again.put(id, content(there));
                case 2 -> again.put(id, 1L + random.nextInt(BLOCKS));
                default -> {}
            }
            return id;
        }

        private long content(long id) {
            return again.getOrDefault(id, id);
        }

        private boolean isSame(long[] first, long[] second) {
            return Arrays.equals(
                    Arrays.stream(first).map(this::content).toArray(),
                    Arrays.stream(second).map(this::content).toArray());
        }

        /// The disk keeps what was in it when a block became active, or what was written since.
        private void crash() {
            for (int b = server.active.nextSetBit(0); b >= 0; b = server.active.nextSetBit(b + 1)) {
                if (random.nextBoolean()) {
                    int block = b;
                    long kept = server.before[b];
                    long lost = server.device[b];
                    server.device[b] = kept;
                    server.ops.removeIf(
                            op -> op.block() == block && op.id() > kept && op.id() <= lost);
                }
            }
            attach();
        }

        private void stop() {
            server.end = server.position();
            server.clean = true;
            server.active.clear();
            transaction();
            attach();
        }

        private void setBackServer() {
            if (olderServer != null) {
                server = olderServer.copied();
                serverWasSetBack = true;
                newerCopy = null;
                if (olderCopy != null && olderCopy.tracked > copy.tracked) {
                    olderCopy = null;
                }
                attach();
            }
        }

        // ---- the copy

        private void setBackCopy() {
            if (newerCopy != null) {
                copy = newerCopy;
                newerCopy = null;
                streaming = false;
            } else if (olderCopy != null) {
                Copy was = copy;
                copy = olderCopy.copied();
                // Who put it back may think better of it. Where the server is put back as well,
                // what each was told of no longer says that they are of two histories.
                // In a first sync nothing tells the two from each other.
                if (!serverWasSetBack
                        && was.everCommitted
                        && copy.everCommitted
                        && random.nextBoolean()) {
                    newerCopy = was;
                }
                streaming = false;
            }
        }

        private void send() {
            if (!streaming || copy.promoted) {
                return;
            }
            copy.tracked = Math.max(copy.tracked, server.told);
            if (!copy.everCommitted) {
                firstSync();
            } else if (copy.committed.generation() == server.ancestry.generation()
                    && server.suspect.isEmpty()
                    && copy.committed.number() < server.number) {
                long number = copy.committed.number();
                number += 1 + random.nextLong(server.number - number);
                take(moments.get((int) number));
            } else {
                epoch();
            }
        }

        private void firstSync() {
            if (!server.suspect.isEmpty()) { // Compared first.
                for (int b = 0; b < BLOCKS; b++) {
                    if (server.suspect.get(b)
                            && content(copy.image[b]) != content(server.device[b])) {
                        server.marked.set(b);
                    }
                }
                server.suspect.clear();
            }
            if (server.marked.isEmpty() || random.nextInt(4) == 0) {
                epoch();
                return;
            }
            int block = server.marked.nextSetBit(0);
            copy.image[block] = server.device[block];
            copy.filled++;
            server.marked.clear(block);
            if (random.nextBoolean()) {
                server.filled = copy.filled;
            } else {
                server.marked.set(block); // The answer is lost with the session.
                streaming = false;
            }
        }

        /// What is found equal loses its mark, durably, before anything of it is committed. The end
        /// of it is that of [#epoch].
        private void comparePart() {
            if (!streaming || !copy.everCommitted || server.suspect.cardinality() < 2) {
                return;
            }
            int last = server.suspect.length() - 1;
            for (int b = server.suspect.nextSetBit(0);
                    b < last;
                    b = server.suspect.nextSetBit(b + 1)) {
                if (random.nextBoolean()) {
                    server.suspect.clear(b);
                    server.marked.set(b, content(copy.image[b]) != content(server.device[b]));
                }
            }
            transaction();
            found[19]++;
        }

        private void epoch() {
            for (int b = 0; b < BLOCKS; b++) {
                if (server.suspect.get(b) && content(copy.image[b]) != content(server.device[b])) {
                    server.marked.set(b);
                }
            }
            take(server);
            server.suspect.clear();
        }

        /// Moves the copy to this moment, with what the primary believes to differ.
        private void take(Server moment) {
            for (int b = 0; b < BLOCKS; b++) {
                if (server.marked.get(b)) {
                    copy.image[b] = moment.device[b];
                }
            }
            server.ordered = false;
            copy.everCommitted = true;
            copy.ops = new ArrayList<>(moment.ops);
            copy.committed = moment.position();
            copy.ancestry = server.ancestry;
            assertTrue(
                    isSame(moment.device, copy.image),
                    "joined, and not equal afterwards: " + describe());
        }

        private void acknowledge() {
            if (!streaming || !copy.everCommitted) {
                return;
            }
            server.acknowledged = copy.committed;
            completeAgain();
            server.copy = COPY;
            if (copy.committed.equals(server.position()) && server.suspect.isEmpty()) {
                server.marked.clear();
            }
        }

        private void completeAgain() {
            if (server.acknowledged.reaches(server.completeFrom)
                    || server.acknowledged.generation() != server.completeFrom.generation()
                            && server.acknowledged.generation() == server.ancestry.generation()) {
                server.completeFrom = Position.NONE;
            }
        }

        private void promote() {
            if (!copy.everCommitted) {
                return;
            }
            copy.promoted = true;
            copy.ancestry =
                    began(copy.ancestry, ++generations, copy.committed, Reason.PROMOTE, BACKUP);
            long written = random.nextInt(3);
            for (int i = 0; i < written; i++) {
                copy.ops.add(new Op(++ids, 0));
            }
            copy.committed = new Position(copy.ancestry.generation(), written);
            for (int i = random.nextInt(3); i > 0; i--) {
                write();
            }
            Verdict verdict = verdict(2);
            note(8, verdict);
            assertTrue(!verdict.joins(true), "a promoted copy is overwritten: " + verdict);
            Verdict primaries = verdict(1);
            assertTrue(!primaries.joins(true) && primaries.isSplit(), primaries.toString());
            if (verdict instanceof Verdict.Forked(Position at, _)) {
                assertTrue(isCommon(at), verdict + ": " + describe());
            }
            goOnByThemselves();
            giveUp(true);
            giveUp(false);
        }

        /// Both sides go on, and the server may crash, stop or be set back meanwhile. What the
        /// promoted copy writes it marks; only where it goes on from the newest moment nothing else
        /// is to be marked. A replacement for the server may be filled meanwhile, in part: what it
        /// has is marked no more.
        private void goOnByThemselves() {
            streaming = false;
            for (int i = random.nextInt(4); i > 0; i--) {
                copyWrites();
            }
            if (random.nextInt(4) == 0) {
                replacement = ++generations;
                copyMarked.set(0, BLOCKS);
                for (int i = random.nextInt(2 * BLOCKS); i > 0; i--) {
                    if (random.nextInt(4) == 0) {
                        copyWrites();
                    } else {
                        copyMarked.clear(random.nextInt(BLOCKS));
                    }
                }
                found[18]++;
            }
            for (int i = random.nextInt(4); i > 0; i--) {
                switch (random.nextInt(8)) {
                    case 0 -> crash();
                    case 1 -> stop();
                    case 2 -> setBackServer();
                    default -> write();
                }
            }
        }

        private void copyWrites() {
            int block = random.nextInt(BLOCKS);
            copy.image[block] = written(copy.image[block], server.device[block]);
            copyMarked.set(block);
        }

        /// One side becomes a copy of the other (R31). Whatever is outside of the union of what
        /// both know to have changed must be equal.
        private void giveUp(boolean isServers) {
            BitSet servers = (BitSet) server.marked.clone();
            servers.or(server.suspect);
            Ancestry ofLoser = isServers ? server.ancestry : copy.ancestry;
            Position stood = isServers ? server.position() : copy.committed;
            long generation = ++generations;
            Ancestry given =
                    began(
                            ofLoser,
                            generation,
                            stood,
                            random.nextBoolean() ? Reason.ATTACH : Reason.CRASH,
                            isServers ? SERVER : BACKUP);
            Position since =
                    Verdict.marksSince(
                            ofLoser,
                            isServers ? server.acknowledged : Position.NONE,
                            isServers ? server.copy : replacement);
            Frame.Known known =
                    since.isNone()
                            ? Frame.Known.GIVES_UP
                            : new Frame.Known(
                                    since,
                                    Position.NONE,
                                    0,
                                    isServers ? 0 : copy.tracked,
                                    isServers ? server.told : 1,
                                    1,
                                    true);
            Frame.ResourceHello winner =
                    isServers
                            ? side(
                                    1,
                                    copy.committed,
                                    copy.tracked,
                                    new Frame.Known(
                                            Position.NONE,
                                            Position.NONE,
                                            replacement,
                                            0,
                                            1,
                                            1,
                                            false),
                                    copy.ancestry)
                            : side(
                                    1,
                                    server.position(),
                                    0,
                                    new Frame.Known(
                                            server.acknowledged,
                                            server.completeFrom,
                                            server.copy,
                                            server.filled,
                                            server.told,
                                            servers.cardinality(),
                                            server.ordered),
                                    server.ancestry);
            Frame.ResourceHello loser = side(2, new Position(generation, 0), 0, known, given);
            Verdict verdict = Verdict.of(winner, loser);
            assertEquals(verdict.mirrored(), Verdict.of(loser, winner));
            if (!(verdict instanceof Verdict.Ahead(_, Verdict.How how, _))) {
                return; // Unrelated: set back to before the first sync.
            }
            assertTrue(
                    how == Verdict.How.UNION || how == Verdict.How.COMPARISON, verdict.toString());
            if (how == Verdict.How.UNION) {
                found[isServers ? 16 : 17]++;
                for (int b = 0; b < BLOCKS; b++) {
                    assertTrue(
                            servers.get(b)
                                    || copyMarked.get(b)
                                    || content(server.device[b]) == content(copy.image[b]),
                            "block " + b + " is left different: " + describe());
                }
            }
        }

        private static Frame.ResourceHello side(
                int role, Position at, long tracked, Frame.Known known, Ancestry past) {
            return new Frame.ResourceHello(
                    SERVER,
                    role,
                    DiskState.UP_TO_DATE.ordinal(),
                    BLOCKS,
                    at,
                    at,
                    0,
                    true,
                    0,
                    false,
                    tracked,
                    0,
                    known,
                    past);
        }

        /// Where it is known what both did up to there, both did the same.
        private boolean isCommon(Position at) {
            int index = copy.ancestry.indexOf(at.generation());
            return index >= 0
                    && server.ancestry.indexOf(at.generation()) >= 0
                    && (index + 1 == copy.ancestry.entries().size()
                            || copy.ancestry.entries().get(index + 1).parent().number()
                                    >= at.number()
                            || copy.ancestry.entries().get(index + 1).reason() == Reason.CRASH);
        }

        // ---- the verdict

        private void connect() {
            Verdict verdict = verdict(2);
            note(0, verdict);
            boolean hasMore = copy.everCommitted && hasMore();
            if (!verdict.joins(true)) {
                assertTrue(serverWasSetBack, "refused without cause: " + verdict + describe());
                if (verdict instanceof Verdict.Unfit) {
                    isUnfit =
                            true; // Set back to before it first saw this copy, which is blank now.
                    assertTrue(server.copy != COPY && !copy.everCommitted, verdict.toString());
                    return;
                }
                server.ordered = true;
                verdict = verdict(2);
                if (!verdict.joins(true)) {
                    assertEquals(server.ancestry.generation(), copy.committed.generation());
                    stop();
                    verdict = verdict(2);
                }
                assertTrue(verdict.joins(true), "an order does not help: " + verdict);
                server.suspect.set(0, BLOCKS);
            } else {
                assertTrue(server.ordered || !hasMore, "a fork is joined: " + verdict + describe());
            }
            if (server.ordered) {
                Arrays.fill(server.mayHaveLost, ids);
            }
            if (verdict instanceof Verdict.Ahead(_, Verdict.How how, _)) {
                join(how);
            } else {
                assertTrue(isSame(server.device, copy.image), "not equal: " + describe());
            }
            if (copy.everCommitted) {
                server.acknowledged = copy.committed; // Durable before anything is sent.
                completeAgain();
            }
            if (!copy.everCommitted || !server.suspect.isEmpty()) {
                server.completeFrom = server.position();
            }
            streaming = true;
            server.transaction = Math.max(server.transaction, copy.tracked);
            transaction();
        }

        private void join(Verdict.How how) {
            switch (how) {
                case STREAM, BITMAP -> {}
                case UNION -> throw new AssertionError("this copy gives up nothing");
                case COMPARISON -> server.suspect.set(0, BLOCKS);
                case FIRST_SYNC -> {
                    if (server.copy != COPY) {
                        server.marked.set(0, BLOCKS);
                        server.copy = COPY;
                    }
                    server.filled = copy.filled;
                }
                case FIRST_SYNC_COMPARED -> {
                    server.suspect.set(0, BLOCKS);
                    server.acknowledged = Position.NONE;
                    server.filled = copy.filled;
                }
            }
        }

        private void note(int from, Verdict verdict) {
            int kind =
                    switch (verdict) {
                        case Verdict.Equal _ -> 0;
                        case Verdict.Ahead(_, Verdict.How how, _) -> 1 + WAYS.indexOf(how);
                        case Verdict.SetBack _ -> 6;
                        case Verdict.Behind _ -> 7;
                        case Verdict.Forked _ -> 4;
                        case Verdict.Unrelated _, Verdict.Unfit _ -> 5;
                    };
            found[from + kind]++;
        }

        /// Whether the copy has what this server has not, and did not lose in a crash.
        private boolean hasMore() {
            List<Op> more = new ArrayList<>(copy.ops);
            more.removeAll(server.ops);
            return more.stream().anyMatch(op -> op.id() > server.mayHaveLost[op.block()]);
        }

        private Verdict verdict(int role) {
            Position here = server.position();
            BitSet marked = (BitSet) server.marked.clone();
            marked.or(server.suspect);
            Frame.ResourceHello mine =
                    new Frame.ResourceHello(
                            SERVER,
                            1,
                            DiskState.UP_TO_DATE.ordinal(),
                            BLOCKS,
                            here,
                            here,
                            0,
                            true,
                            0,
                            false,
                            0,
                            0,
                            new Frame.Known(
                                    server.acknowledged,
                                    server.completeFrom,
                                    server.copy,
                                    server.filled,
                                    server.told,
                                    marked.cardinality(),
                                    server.ordered),
                            server.ancestry);
            Frame.ResourceHello theirs =
                    new Frame.ResourceHello(
                            SERVER,
                            role,
                            DiskState.OUTDATED.ordinal(),
                            BLOCKS,
                            copy.committed,
                            copy.committed,
                            0,
                            copy.everCommitted,
                            0,
                            false,
                            copy.tracked,
                            copy.filled,
                            Frame.Known.NOTHING,
                            copy.ancestry);
            Verdict verdict = Verdict.of(mine, theirs);
            assertEquals(verdict.mirrored(), Verdict.of(theirs, mine));
            return verdict;
        }

        private String describe() {
            return "\nserver %s %s marked %s suspect %s at %s\ncopy %s %s at %s"
                    .formatted(
                            Arrays.toString(server.device),
                            server.ops,
                            server.marked,
                            server.suspect,
                            server.position(),
                            Arrays.toString(copy.image),
                            copy.ops,
                            copy.committed);
        }
    }
}
