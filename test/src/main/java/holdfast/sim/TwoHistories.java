package holdfast.sim;

import holdfast.replicator.state.Backup;
import holdfast.replicator.state.Rest;
import holdfast.replicator.state.Since;
import holdfast.replicator.state.Verdict;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
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

    private Ancestry promotedTo = Ancestry.EMPTY;

    /// Generations of this promotion; one that was cut off has begun in the copy, or not.
    private final Set<Long> begun = new HashSet<>();

    private Truth.Line line;
    private PrimaryHost promoted;
    private boolean giveUpFirst;

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

    /// Whether neither side goes on from the other any more.
    boolean isSplit() {
        return state != State.ONE;
    }

    /// The primary of the promoted copy; null while there are no two.
    PrimaryHost promoted() {
        return promoted;
    }

    /// Whether this is of the time when both were the same.
    boolean isBeforePromotion(Position at) {
        return promoted != null
                && !begun.contains(at.generation())
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
            sim.agenda().in(own.nextLong(15_000_000_000L), sim.restartOf(sim.machineOf(former)));
        }
        state = State.PROMOTING;
        begun.clear();
        goOn();
    }

    /// A growth, and a primary that was set back, are stories of their own.
    private boolean isPlain() {
        PrimaryHost former = sim.primary();
        return !former.wasEverSetBack()
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
        boolean goneOn = begun.contains(copy.backup().ancestry().generation());
        if (goneOn) {
            part = 1;
            sim.reached(Rare.PROMOTION_CUT_OFF);
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
        Ancestry.Entry entry =
                new Ancestry.Entry(
                        random.nextLong() | 1,
                        view.position(),
                        Ancestry.Reason.PROMOTE,
                        sim.otherThan(sim.primary()).node(),
                        copy.clock().millis());
        Ancestry ancestry = view.moment().ancestry().plus(entry);
        if (!goneOn) {
            if (copy.isOfWhatIsGivenUp(view.position())) {
                sim.reached(Rare.PROMOTED_WHAT_WAS_GIVEN_UP); // They forked where they did then.
            } else {
                fork = view.position();
            }
            line = sim.truth().lineFrom(view.position());
        }
        Reach before = Reach.of(copy);
        boolean older = view.moment() != copy.backup().history().newest();
        byte[] image = older ? copy.imageOf(view) : copy.image();
        promotedTo = ancestry;
        begun.add(ancestry.generation());
        line.begin(ancestry.generation(), image);
        copy.begin(
                ancestry,
                older ? view : null,
                () -> {
                    copy.backup().closeView(view.id());
                    before.require(Reach.of(copy));
                    if (older) {
                        sim.reached(Rare.PROMOTED_OLDER);
                    }
                    copy.afterAWhile(() -> promoted(copy, ancestry));
                },
                () -> {
                    copy.backup().closeView(view.id());
                    part = 1;
                    copy.giveBack();
                });
    }

    /// From which moment on the copy can be opened.
    private record Reach(long watermark, long oldest, boolean rolling) {
        private static Reach of(BackupHost copy) {
            return new Reach(
                    copy.backup().base().watermark(),
                    copy.backup().history().oldest().address(),
                    copy.isRolling());
        }

        /// PIT: a promotion takes none of its moments away.
        private void require(Reach now) {
            if (now.watermark == watermark && !rolling && !now.rolling && now.oldest != oldest) {
                throw new Violation(
                        "PIT",
                        "moments from %d on could be opened, now from %d on"
                                .formatted(oldest, now.oldest));
            }
        }
    }

    /// The directory of the new role is whole.
    private void promoted(BackupHost copy, Ancestry ancestry) {
        Machine machine = sim.otherThan(sim.primary());
        copy.promoted();
        promoted =
                new PrimaryHost(
                        sim,
                        scenario,
                        sim.chance("promoted " + rounds),
                        machine,
                        copy,
                        ancestry,
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
            giveUpFirst = former;
            stopped = false;
            state = State.DISCARDING;
            tryToDiscard();
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
        if (loser.isDiskFailed()) {
            state = State.TWO;
            return;
        }
        // It has come up again, and waits for its peer before it is exported (R30).
        boolean waits = !loser.isUp() && !loser.isClean() && loser.own() == null;
        if (waits && random.nextInt(8) == 0) {
            sim.reached(Rare.GIVEN_UP_AFTER_CRASH);
            demote(loser);
            return;
        }
        if (loser.isUp() && !loser.isStopping() && sim.link() != null && !sim.link().isCut()) {
            dropWhatIsKept(loser.own());
            if (stopped) {
                sim.reached(Rare.DISCARD_CUT_OFF);
            }
            stopped = true;
            loser.stop(() -> loser.makeFinal(() -> stopped(loser)));
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

    private void dropWhatIsKept(BackupHost copy) {
        if (copy != null && copy.isUp()) {
            sim.closeViewsOf(copy);
            copy.backup().pins().forEach(each -> copy.backup().drop(each.name()));
        }
    }

    /// The directory of the new role is whole: its disk is the base of a copy that says that it
    /// gives up its own.
    private void demote(PrimaryHost loser) {
        if (state != State.DISCARDING || loser != loser() || loser.isUp()) {
            return;
        }
        Machine machine = sim.machineOf(loser);
        Rest rest = loser.rest();
        SimDisk disk = loser.disk();
        disk.dropClean();
        disk.syncNow();
        if (!loser.isClean()) {
            loser.line().begin(rest.position().generation(), loser.image());
        }
        long now = machine.clock().millis();
        BackupHost copy =
                new BackupHost(
                        sim,
                        scenario,
                        sim.chance("given up " + rounds),
                        machine,
                        disk,
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
                                rest.ancestry()),
                        rest.ancestry().generation());
        machine.plays(null, copy);
        sim.reached(giveUpFirst ? Rare.FORMER_PRIMARY_GIVEN_UP : Rare.PROMOTED_GIVEN_UP);
        sim.note("discarded", rest.position().number(), rest.position().generation());
        sim.pair(giveUpFirst ? promoted : sim.primary(), copy);
        promoted = null;
        state = State.ONE;
        sim.agenda()
                .in(
                        1 + random.nextLong(50_000_000L),
                        () -> {
                            if (sim.backup() == copy && !copy.isUp()) {
                                copy.start();
                                machine.call();
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
        if (!(verdict instanceof Verdict.Forked(Position at, _)) || !at.equals(fork)) {
            throw new Violation("SPL", "they forked at " + fork + ", it is said: " + verdict);
        }
        Since since = Since.of(mine, at);
        boolean isStillIn = since.begun().isEmpty();
        long counted = isStillIn ? since.writes() : since.writesSince();
        if (counted != writes - (isStillIn ? fork.number() : 0)) {
            throw new Violation(
                    "SPL", "%d were written since %s: %s".formatted(writes, fork, since));
        }
        sim.reached(Rare.TWO_HISTORIES_MET);
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
        require(patience, () -> state != State.DISCARDING, "neither is ever given up");
        if (state == State.ONE) {
            return true;
        }
        PrimaryHost former = sim.primary();
        if (former.isDiskFailed()) {
            require(patience, () -> isAtRest(promoted), "the promoted copy never comes to rest");
            promoted.checkImage();
            return false;
        }
        require(
                patience,
                () -> isAtRest(former) && isAtRest(promoted) && isApart(former, promoted),
                "they never say that they are two");
        former.checkImage();
        promoted.checkImage();
        sim.reached(Rare.TWO_HISTORIES_AT_THE_END);
        RandomGenerator own = Seeds.stream(sim.seed(), "the end of two");
        if (own.nextInt(4) == 0) {
            return false;
        }
        discard(own.nextBoolean());
        require(patience, () -> state == State.ONE, "neither is ever given up");
        return true;
    }

    private void require(long patience, java.util.function.BooleanSupplier done, String otherwise) {
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
