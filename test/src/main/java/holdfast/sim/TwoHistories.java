package holdfast.sim;

import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.ClockCheck;
import holdfast.replicator.state.History;
import holdfast.replicator.state.OwnChanges;
import holdfast.replicator.state.Rest;
import holdfast.replicator.state.Since;
import holdfast.replicator.state.Verdict;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;
import java.util.random.RandomGenerator;

/// The operator who promotes a copy and later gives up one of two histories, and the ledger of what
/// either side wrote by itself (SPL). What was answered on a side stays there until that side is
/// given up by name.
final class TwoHistories {
    private enum State {
        /// One primary and its copy.
        ONE,
        /// The copy is being promoted; a crash leaves it as it was, or gone on by itself.
        PROMOTING,
        /// Both are primary.
        TWO,
        /// The promoted one is detached, and another moment is being chosen; a crash leaves it as
        /// it was, or with the choice made and its role not written.
        CHOOSING,
        /// One of them is being made a copy; a crash leaves it a primary or that copy.
        DISCARDING
    }

    private static final long AGAIN_NANOS = 300_000_000L;

    private final Simulation sim;
    private final Scenario scenario;
    private State state = State.ONE;
    private boolean ordered;
    private int rounds;
    private RandomGenerator random;

    /// Which of the moments there are; 1 is the newest.
    private double part;

    /// The last position of both.
    private Position fork = Position.NONE;

    /// Where both said last that they parted.
    private Position met;

    private Ancestry promotedTo = Ancestry.EMPTY;

    /// Generations of this promotion, and where each has left what both were; one that was cut off
    /// has begun in the copy, or not.
    private final Map<Long, Position> begun = new HashMap<>();

    private Truth.Line line;
    private PrimaryHost promoted;
    private boolean giveUpFirst;

    /// Counts the orders to choose, so that what is left of an earlier one does nothing any more.
    private int choices;

    /// The past of the moment that is being chosen, and what its primary will have written; null
    /// while there is no such order, or it has appended nothing.
    private Ancestry chosen;

    private Truth.Line lineOfChosen;

    /// A start of what was to be given up is one too many.
    private boolean stopped;

    TwoHistories(Simulation sim, Scenario scenario) {
        this.sim = sim;
        this.scenario = scenario;
    }

    /// Whether a promotion was ever ordered.
    boolean wasOrdered() {
        return ordered;
    }

    /// Whether the copy goes on from its primary no more, or may have gone on by itself.
    boolean isSplit() {
        return switch (state) {
            case ONE -> false;
            case PROMOTING -> sim.backup().isTaken() || !begun.isEmpty();
            case TWO, CHOOSING, DISCARDING -> true;
        };
    }

    /// The primary of the promoted copy; null while there are no two.
    PrimaryHost promoted() {
        return promoted;
    }

    /// Whether this is of the time when both were the same.
    boolean isBeforePromotion(Position at) {
        return promoted != null
                && !begun.containsKey(at.generation())
                && promotedTo.indexOf(at.generation()) >= 0
                && !sim.truth().isBefore(fork, at);
    }

    /// How the product says that it keeps the two apart.
    static boolean isSplit(String why) {
        return why.contains("both sides are primary; the last position of both is ")
                || why.contains("the histories forked at ")
                || why.contains("by itself: it was promoted");
    }

    // ---- promotion
    // ------------------------------------------------------------------------------------------

    /// @param amount below a half: the primary's machine is gone first, for a while; in part which
    ///   moment
    void promote(double amount, SplittableRandom own) {
        if (state != State.ONE || sim.backup().isGivingUp() || !isPlain()) {
            return;
        }
        ordered = true;
        random = sim.chance("operator " + ++rounds);
        part = own.nextInt(3) == 0 ? own.nextDouble() : 1;
        PrimaryHost former = sim.primary();
        if (amount < 0.5 && former.isUp() && !former.isDiskFailed()) {
            former.crash(own.nextBoolean());
            sim.cut();
            sim.reached(Rare.PROMOTED_AFTER_PRIMARY_WAS_GONE);
            Machine machine = sim.machineOf(former);
            boolean isExchanged = own.nextInt(4) == 0;
            sim.agenda()
                    .in(
                            own.nextLong(15_000_000_000L),
                            () -> {
                                if (isExchanged && machine.has(former)) {
                                    former.exchangeDisk(own);
                                }
                                sim.restartOf(machine).run();
                            });
        }
        state = State.PROMOTING;
        begun.clear();
        goOn();
    }

    /// A growth, a primary that was set back, and damage that nobody is there to mend, are stories
    /// of their own.
    private boolean isPlain() {
        PrimaryHost former = sim.primary();
        return !former.wasEverSetBack()
                && !sim.backup().hasRot()
                && !former.isToGrow()
                && former.bytes() == scenario.deviceBytes()
                && sim.backup().bytes() == scenario.deviceBytes()
                && (sim.link() == null || !sim.backup().isUp() || sim.backup().isJudged());
    }

    /// Until it is promoted: whatever was cut off is ordered again.
    private void goOn() {
        if (state != State.PROMOTING) {
            return;
        }
        BackupHost copy = sim.backup();
        if (copy.isUp()
                && !copy.hasFailed()
                && !copy.isTaken()
                && copy.isJudged()
                && copy.backup().hasPoint()
                && !copy.backup().isDamaged()) {
            copy.take();
            begin(copy);
        } else if (copy.isUp() && !copy.backup().hasPoint() && sim.isHealed()) {
            state = State.ONE; // There is nothing to go on from.
            return;
        }
        sim.agenda().in(1 + random.nextLong(2_000_000_000L), this::goOn);
    }

    private void begin(BackupHost copy) {
        if (!copy.isTaken()) {
            return;
        }
        if (!copy.isQuiet()) {
            sim.agenda().in(1_000_000L, () -> begin(copy));
            return;
        }
        boolean goneOn = begun.containsKey(copy.backup().ancestry().generation());
        if (goneOn) {
            sim.reached(Rare.PROMOTION_CUT_OFF);
            // The operator sees that it has come about, and takes it, or chooses a moment again.
            part = random.nextBoolean() ? 1 : part < 1 ? part : random.nextDouble();
        }
        Backup.View view = copy.openView(part);
        if (view == null || view.moment().address() < copy.backup().base().watermark()) {
            if (view != null) {
                copy.backup().closeView(view.id());
            }
            part = 1;
            copy.giveBack();
            return;
        }
        if (part >= 1) {
            copy.requireNewest(view.position());
        }
        Ancestry.Entry entry =
                new Ancestry.Entry(
                        random.nextLong() | 1,
                        view.position(),
                        Ancestry.Reason.PROMOTE,
                        sim.otherThan(sim.primary()).node(),
                        copy.clock().millis());
        Ancestry ancestry = view.moment().ancestry().plus(entry);
        boolean older = view.moment() != copy.backup().history().newest();
        if (begun.containsKey(view.position().generation())) {
            fork = begun.get(view.position().generation());
            if (!older) {
                sim.reached(Rare.PROMOTED_FROM_CUT_OFF);
            }
        } else if (copy.isOfWhatIsGivenUp(view.position())) {
            sim.reached(Rare.PROMOTED_WHAT_WAS_GIVEN_UP); // They forked where they did then.
        } else {
            fork = view.position();
        }
        if (goneOn && older) {
            sim.reached(Rare.CHOSEN_AGAIN_AFTER_CUT_OFF);
        }
        line = sim.truth().lineFrom(view.position());
        List<History.Moment> moments = someMoments(copy);
        promotedTo = ancestry;
        begun.put(ancestry.generation(), fork);
        line.begin(ancestry.generation(), copy.imageOf(view));
        copy.begin(
                ancestry,
                older ? view : null,
                () -> {
                    copy.backup().closeView(view.id());
                    requireOpenable(copy, moments);
                    if (older) {
                        sim.reached(Rare.PROMOTED_OLDER);
                    }
                    copy.afterAWhile(() -> promoted(copy, ancestry, !older));
                },
                () -> {
                    copy.backup().closeView(view.id());
                    begun.remove(ancestry.generation()); // Its epoch is void.
                    part = 1;
                    copy.giveBack();
                });
    }

    /// Some of the moments that can be opened, the oldest and the newest among them.
    private List<History.Moment> someMoments(BackupHost copy) {
        History history = copy.backup().history();
        List<History.Moment> all = new ArrayList<>();
        for (History.Moment at = history.oldest(); at != null; ) {
            all.add(at);
            at = history.behind(at.address());
        }
        RandomGenerator which = sim.chance("moments");
        List<History.Moment> some = new ArrayList<>(List.of(all.getFirst(), all.getLast()));
        for (int i = 0; i < 3; i++) {
            some.add(all.get(which.nextInt(all.size())));
        }
        return some;
    }

    /// PIT: a promotion takes none of its moments away. The base may have been rolled past some of
    /// them meanwhile, for age or for room; [BackupHost] looks that it is not rolled further than
    /// it may be.
    private void requireOpenable(BackupHost copy, List<History.Moment> moments) {
        Backup of = copy.backup();
        for (History.Moment each : moments) {
            if (each.address() < copy.rolledTo()) {
                sim.reached(Rare.ROLLED_PAST_WHILE_PROMOTED);
                continue;
            }
            Backup.View view = of.openView(each);
            if (view == null || !view.position().equals(each.position())) {
                throw new Violation(
                        "PIT",
                        "%s at %d could be opened before the promotion, and now it is %s"
                                .formatted(each.position(), each.address(), view));
            }
            copy.checkView(view, copy.indexOf(view));
            of.closeView(view.id());
            sim.reached(Rare.MOMENT_OPENED_AT_PROMOTION);
        }
    }

    /// The directory of the new role is whole.
    private void promoted(BackupHost copy, Ancestry ancestry, boolean newest) {
        Machine machine = sim.otherThan(sim.primary());
        copy.promoted();
        promoted =
                new PrimaryHost(
                        sim,
                        scenario,
                        sim.chance("promoted " + rounds + (choices == 0 ? "" : "." + choices)),
                        machine,
                        copy,
                        ancestry,
                        newest,
                        line);
        machine.plays(promoted, copy);
        state = State.TWO;
        sim.note("promoted", fork.number(), ancestry.generation());
        sim.reached(Rare.PROMOTED);
        if (rounds > 1) {
            sim.reached(Rare.PROMOTED_AGAIN);
        }
        promoted.start();
    }

    // ---- another moment, until it is final
    // ------------------------------------------------------------------------------------------

    /// The promoted one goes on from another moment of before the promotion: it is detached, an
    /// epoch of its journal brings the moment back, and a role of its own takes over. (What was
    /// written since is numbered in two ways, of which only one is known to the former primary.)
    void again(SplittableRandom own) {
        PrimaryHost was = promoted;
        if (state == State.TWO && was.own() != null && was.isUp() && !was.isStopping()) {
            double which = own.nextDouble();
            was.stop(() -> choose(was, which));
        }
    }

    private void choose(PrimaryHost was, double which) {
        if (state != State.TWO || was != promoted || was.own() == null || !was.isClean()) {
            sim.restartOf(sim.machineOf(was)).run();
            return;
        }
        state = State.CHOOSING;
        choices++;
        was.own().take();
        choose(was, which, choices);
    }

    /// Once a while, until the order is over.
    private void choose(PrimaryHost was, double which, int choice) {
        BackupHost copy = was.own();
        if (isOver(choice) || !copy.isUp()) {
            return; // A start says, or has said, what became of it.
        }
        if (copy.hasFailed()) {
            was.crash(false);
            sim.restartOf(sim.machineOf(was)).run();
            return;
        }
        if (chosen != null || !copy.isQuiet()) {
            sim.agenda().in(AGAIN_NANOS, () -> choose(was, which, choice));
            return;
        }
        Backup.View view = copy.openView(which);
        if (view == null || !canBeChosen(copy, view)) {
            if (view != null) {
                copy.backup().closeView(view.id());
            }
            goOnAsBefore(was);
            return;
        }
        chosen =
                view.moment()
                        .ancestry()
                        .plus(
                                new Ancestry.Entry(
                                        random.nextLong() | 1,
                                        view.position(),
                                        Ancestry.Reason.PROMOTE,
                                        sim.machineOf(was).node(),
                                        copy.clock().millis()));
        begun.put(chosen.generation(), view.position());
        lineOfChosen = sim.truth().lineFrom(view.position());
        lineOfChosen.begin(chosen.generation(), copy.imageOf(view));
        List<History.Moment> moments = someMoments(copy);
        copy.begin(
                chosen,
                view,
                () -> {
                    copy.backup().closeView(view.id());
                    requireOpenable(copy, moments);
                    if (random.nextInt(3) == 0) {
                        cutOff(was, choice);
                    } else {
                        copy.afterAWhile(() -> takeOver(copy));
                    }
                },
                () -> {
                    copy.backup().closeView(view.id());
                    begun.remove(chosen.generation()); // Its epoch is void.
                    sim.reached(Rare.CHOICE_LACKED_ROOM);
                    goOnAsBefore(was);
                });
        if (random.nextInt(3) == 0) {
            sim.agenda().in(random.nextLong(4_000_000L), () -> cutOff(was, choice));
        }
        sim.agenda().in(AGAIN_NANOS, () -> choose(was, which, choice)); // Its disk may fail.
    }

    /// Its machine dies in the middle of the order.
    private void cutOff(PrimaryHost was, int choice) {
        if (!isOver(choice) && was.own().isUp()) {
            was.crash(random.nextBoolean());
            sim.cut();
            sim.agenda().in(random.nextLong(2_000_000_000L), sim.restartOf(sim.machineOf(was)));
        }
    }

    private boolean isOver(int choice) {
        return state != State.CHOOSING || choice != choices;
    }

    private boolean canBeChosen(BackupHost copy, Backup.View view) {
        long generation = view.position().generation();
        return view.moment() != copy.backup().history().newest()
                && view.moment().address() >= copy.backup().base().watermark()
                && promotedTo.indexOf(generation) >= 0
                && !begun.containsKey(generation)
                && !copy.isOfWhatIsGivenUp(view.position());
    }

    private void goOnAsBefore(PrimaryHost was) {
        chosen = null;
        state = State.TWO;
        sim.restartOf(sim.machineOf(was)).run();
    }

    private void takeOver(BackupHost copy) {
        promotedTo = chosen;
        fork = begun.get(chosen.generation());
        line = lineOfChosen;
        chosen = null;
        sim.reached(Rare.CHOSEN_AGAIN);
        promoted(copy, promotedTo, false);
    }

    /// As a start of the promoted one finds it: its journal says whether a choice was made that was
    /// cut off in front of its role. Whoever starts it while the order goes on waits for that.
    ///
    /// @param wasDown whether its machine was, and with it the order
    /// @return whether it is not to be started: the role of the choice has taken over, or may
    boolean takesOver(PrimaryHost starting, boolean wasDown) {
        if (state != State.CHOOSING || starting != promoted) {
            return false;
        }
        if (!wasDown) {
            return true;
        }
        BackupHost copy = starting.own();
        state = State.TWO;
        boolean isMade =
                chosen != null && copy.backup().ancestry().generation() == chosen.generation();
        sim.reached(isMade ? Rare.CHOICE_FOUND_BY_START : Rare.CHOICE_CUT_OFF);
        if (isMade) {
            takeOver(copy);
        }
        chosen = null;
        return isMade;
    }

    /// Where these two parted: of the promoted one, at the choice that counts for it.
    private Position forkOf(Frame.ResourceHello mine, Frame.ResourceHello theirs) {
        for (Frame.ResourceHello each : List.of(mine, theirs)) {
            for (Ancestry.Entry entry : each.ancestry().entries().reversed()) {
                if (begun.containsKey(entry.generation())) {
                    return begun.get(entry.generation());
                }
            }
        }
        return fork;
    }

    void makeFinal() {
        PrimaryHost host = promoted != null ? promoted : sim.primary();
        if (host.isUp() && !host.isStopping() && host.own() != null) {
            host.makeFinal(() -> {});
        }
    }

    // ---- giving up one of two
    // ------------------------------------------------------------------------------------------

    /// @param former whether it is the former primary's history
    void discard(boolean former) {
        if (state == State.TWO) {
            // A side whose disk has failed goes on from the other (R11).
            boolean isOneLost = sim.primary().isDiskFailed() != promoted.isDiskFailed();
            giveUpFirst = isOneLost ? sim.primary().isDiskFailed() : former;
            stopped = false;
            state = State.DISCARDING;
            breakSurvivor(giveUpFirst ? promoted : sim.primary());
            tryToDiscard();
        }
    }

    /// The side that goes on is no better, now and then: it fails as well, and what is restored
    /// into its disk is in no list of either side.
    private void breakSurvivor(PrimaryHost survivor) {
        RandomGenerator own = sim.chance("survivor " + rounds);
        if (own.nextBoolean() && survivor.failsAndIsRestored(own)) {
            sim.cut();
            sim.agenda().in(own.nextLong(5_000_000_000L), sim.restartOf(sim.machineOf(survivor)));
        }
    }

    private PrimaryHost loser() {
        return giveUpFirst ? sim.primary() : promoted;
    }

    /// Somebody must be there to bring it on, and whatever was cut off is ordered again.
    private void tryToDiscard() {
        if (state != State.DISCARDING) {
            return;
        }
        PrimaryHost loser = loser();
        boolean areConnected = sim.link() != null && !sim.link().isCut();
        if (loser.isDiskFailed() && loser.isUp()) {
            if (areConnected) {
                sim.reached(Rare.FAILED_DISK_GIVEN_UP);
                loser.crash(false); // What is in flight is lost, and nothing is synced any more.
                if (random.nextBoolean()) {
                    loser.exchangeDisk(random);
                }
                demote(loser);
                return;
            }
            sim.agenda().in(AGAIN_NANOS, this::tryToDiscard);
            return;
        }
        // It has come up again, and waits for its peer before it is exported (R30).
        boolean waits = isDown(loser) && !loser.isClean() && loser.own() == null;
        if (waits && random.nextInt(8) == 0) {
            sim.reached(Rare.GIVEN_UP_AFTER_CRASH);
            demote(loser);
            return;
        }
        if (isDown(loser) && loser.isClean() && loser.own() != null && loser.own().isUp()) {
            // It was detached, and not made final: a view was open, or its disk failed.
            sim.reached(Rare.DISCARD_AFTER_DETACH);
            dropWhatIsKept(loser.own());
            loser.makeFinal(() -> stopped(loser));
        }
        if (loser.isUp() && !loser.isStopping() && areConnected) {
            dropWhatIsKept(loser.own());
            if (stopped) {
                sim.reached(Rare.DISCARD_CUT_OFF);
            }
            stopped = true;
            loser.stop(
                    () -> {
                        loser.tellRest();
                        loser.makeFinal(() -> stopped(loser));
                    });
        }
        sim.agenda().in(AGAIN_NANOS, this::tryToDiscard);
    }

    /// It is detached, and its disk alone is what it has. A crash here leaves it a primary, and
    /// what a failed write has left has no number before the next start.
    private void stopped(PrimaryHost loser) {
        sim.agenda()
                .in(
                        1 + random.nextLong(20_000_000L),
                        () -> {
                            if (loser.line().hasLeftPart() || random.nextInt(6) == 0) {
                                sim.restartOf(sim.machineOf(loser)).run();
                            } else {
                                demote(loser);
                            }
                        });
    }

    /// Whether it is detached, or gone, and nobody is about to start it.
    private static boolean isDown(PrimaryHost host) {
        return !host.isUp() && !host.isStarting();
    }

    private void dropWhatIsKept(BackupHost copy) {
        if (copy != null && copy.isUp()) {
            sim.closeViewsOf(copy);
            copy.backup().pins().forEach(each -> copy.drop(each.name()));
        }
    }

    /// The directory of the new role is whole: its disk is the base of a copy that says that it
    /// gives up its own.
    private void demote(PrimaryHost loser) {
        if (state != State.DISCARDING || loser != loser() || !isDown(loser)) {
            return;
        }
        Machine machine = sim.machineOf(loser);
        Rest rest = loser.rest();
        SimDisk disk = loser.disk();
        disk.dropClean();
        disk.syncNow();
        loser.line().begin(rest.position().generation(), loser.image());
        OwnChanges changes = loser.ownChanges(rest.position().generation());
        long now = machine.clock().millis();
        BackupHost copy =
                new BackupHost(
                        sim,
                        scenario,
                        sim.chance("given up " + rounds),
                        machine,
                        disk,
                        Superblock.ofBackup(
                                        Simulation.RESOURCE,
                                        AddressSpace.of(disk.size()),
                                        false,
                                        rest.ancestry())
                                .rolled(
                                        new Backup.Base(
                                                0,
                                                0,
                                                0,
                                                rest.position(),
                                                true,
                                                false,
                                                0,
                                                0,
                                                now,
                                                now,
                                                ClockCheck.NONE,
                                                rest.ancestry())),
                        rest.ancestry().generation(),
                        changes);
        machine.plays(null, copy);
        sim.reached(giveUpFirst ? Rare.FORMER_PRIMARY_GIVEN_UP : Rare.PROMOTED_GIVEN_UP);
        sim.note("discarded", rest.position().number(), rest.position().generation());
        sim.pair(giveUpFirst ? promoted : sim.primary(), copy);
        promoted = null;
        state = State.ONE;
        begin(machine, copy);
    }

    /// The link has stayed, so a copy that is there asks to be greeted.
    private void begin(Machine machine, BackupHost copy) {
        sim.agenda()
                .in(
                        1 + random.nextLong(50_000_000L),
                        () -> {
                            if (sim.backup() == copy && !copy.isUp()) {
                                copy.start(machine::call, () -> begin(machine, copy));
                            }
                        });
    }

    // ---- the ledger
    // ------------------------------------------------------------------------------------------

    /// SPL: both sides say that they forked where they did, each the mirror image of the other, and
    /// count what was written since.
    ///
    /// @param writes numbers that this side had given out in its generation when it said so
    void check(Frame.ResourceHello mine, long writes, Frame.ResourceHello theirs) {
        Verdict verdict = Verdict.of(mine, theirs);
        Verdict mirrored = Verdict.of(theirs, mine);
        if (!mirrored.equals(verdict.mirrored())) {
            throw new Violation("SPL", verdict + " is not the mirror image of " + mirrored);
        }
        Position parted = forkOf(mine, theirs);
        if (!(verdict instanceof Verdict.Forked(Position at, _)) || !at.equals(parted)) {
            throw new Violation("SPL", "they forked at " + parted + ", it is said: " + verdict);
        }
        Since since = Since.of(mine, at);
        boolean isStillIn = since.begun().isEmpty();
        long counted = isStillIn ? since.writes() : since.writesSince();
        if (counted != writes - (isStillIn ? parted.number() : 0)) {
            throw new Violation(
                    "SPL", "%d were written since %s: %s".formatted(writes, parted, since));
        }
        sim.reached(Rare.TWO_HISTORIES_MET);
        met = parted;
    }

    /// COV: what it says that it has written since both were the same, and may have, is no less
    /// than what differs, and no more than was written where it says that it is exact.
    private void checkTold(PrimaryHost host) {
        Frame.Wrote wrote = host.primary().wrote();
        byte[] was = sim.truth().imageAt(met);
        byte[] is = host.image();
        boolean isSinceThen =
                wrote.since().generation() == met.generation()
                        && wrote.since().number() <= met.number();
        if (!isSinceThen || was.length != is.length) {
            return;
        }
        int differ = 0;
        for (int at = 0; at < is.length; at += BlockSet.BLOCK_BYTES) {
            int end = Math.min(at + BlockSet.BLOCK_BYTES, is.length);
            differ += Arrays.equals(was, at, end, is, at, end) ? 0 : 1;
        }
        if (wrote.blocks() + wrote.doubtful() < differ) {
            throw new Violation(
                    "COV", "%d blocks differ from %s: %s".formatted(differ, met, wrote));
        }
        sim.reached(Rare.TWO_HISTORIES_TOLD);
        if (wrote.exact() && wrote.since().equals(met) && !host.hadFailedWrites()) {
            int written = sim.truth().written(met, wrote.at()).cardinality();
            if (wrote.blocks() != written) {
                throw new Violation(
                        "COV",
                        "%d blocks were written since %s: %s".formatted(written, met, wrote));
            }
            sim.reached(Rare.TWO_HISTORIES_TOLD_EXACTLY);
        }
    }

    /// What becomes of two histories when all is healed: both are as they were written, and in most
    /// cases one of them is given up then.
    ///
    /// @return false if they stay two
    boolean end(long patience) {
        if (!ordered) {
            return true;
        }
        require(patience, () -> state != State.PROMOTING, "the copy is never promoted");
        require(patience, () -> state != State.CHOOSING, "no moment is ever chosen");
        require(patience, () -> state != State.DISCARDING, "neither is ever given up");
        if (state == State.ONE) {
            return true;
        }
        PrimaryHost former = sim.primary();
        // A disk may fail at the last moment.
        BooleanSupplier isOneLost = () -> former.isDiskFailed() || promoted.isDiskFailed();
        require(
                patience,
                () ->
                        isOneLost.getAsBoolean()
                                || isAtRest(former)
                                        && isAtRest(promoted)
                                        && isApart(former, promoted),
                "they never say that they are two");
        if (isOneLost.getAsBoolean()) {
            // What a failed disk holds nobody says any more, nor does it say that they are two.
            List<PrimaryHost> left =
                    List.of(former, promoted).stream()
                            .filter(each -> !each.isDiskFailed())
                            .toList();
            require(
                    patience,
                    () -> left.stream().allMatch(this::isAtRest),
                    "what has a good disk never comes to rest");
            left.forEach(PrimaryHost::checkImage);
        } else {
            former.checkImage();
            promoted.checkImage();
            checkTold(former);
            checkTold(promoted);
        }
        checkWhole(promoted.own());
        sim.reached(Rare.TWO_HISTORIES_AT_THE_END);
        RandomGenerator own = Seeds.stream(sim.seed(), "the end of two");
        if (own.nextInt(4) == 0 || former.isDiskFailed() && promoted.isDiskFailed()) {
            return false;
        }
        discard(own.nextBoolean());
        require(patience, () -> state == State.ONE, "neither is ever given up");
        return true;
    }

    /// PFX, LOW, PIN: all of a promoted copy, now and after a power cut.
    private void checkWhole(BackupHost copy) {
        if (copy != null && copy.isUp()) {
            copy.checkAll("the end of two");
            copy.checkPins("the end of two");
            copy.checkCrashedClone(Seeds.stream(sim.seed(), "the last crash of two"));
        }
    }

    private void require(long patience, BooleanSupplier done, String otherwise) {
        if (!sim.stepUntil(patience, done)) {
            throw new Violation("LIV", otherwise + ": " + sim.describe());
        }
    }

    private boolean isAtRest(PrimaryHost host) {
        return sim.hasIssuedAll() && host.isUp() && !host.isStopping() && host.outstanding() == 0;
    }

    private static boolean isApart(PrimaryHost one, PrimaryHost other) {
        return List.of(one, other).stream().allMatch(PrimaryHost::isApart);
    }
}
