package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.system.FaultyPair.Node;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/// One backup that is ended at many calls, one after the other, while its server is written to:
/// each start shows what the end before it has left, and is on the way to the next.
final class EndedBackup {
    private static final Duration PATIENCE = Duration.ofSeconds(6);

    /// Copy and device are compared behind so many ends, and in the end.
    private static final int ENDS_TO_COMPARE = 12;

    private static final int MOST_TRIES = 3;

    private final String name;
    private final FaultyPair pair;
    private final Node backup;
    private final Deque<Ending> startings = new ArrayDeque<>();

    /// What is told in a failure.
    private Ending last;

    /// Whether the server was told to leave the copy alone.
    private boolean isApart;

    private int ends;

    EndedBackup(String name, FaultyPair pair) {
        this.name = name;
        this.pair = pair;
        this.backup = pair.backup;
    }

    Ending last() {
        return last;
    }

    /// @param stop asked between two ends
    void play(Deque<Ending> plan, BooleanSupplier stop) throws Exception {
        plan.stream().filter(each -> each.phase() == Phase.START).forEach(startings::add);
        plan.removeAll(startings);
        int tries = MOST_TRIES * plan.size();
        pair.kept().rollAtOnce(true);
        pair.kept().keep(Optional.empty());
        pair.writeOn();
        while (!plan.isEmpty() && tries-- > 0 && !stop.getAsBoolean()) {
            Ending ending = plan.poll();
            long began = System.nanoTime();
            last = ending;
            boolean came = strike(ending);
            if (came) {
                revive(ending);
                ending.phase().ended(ending.how());
                ends++;
            } else {
                plan.add(ending);
            }
            System.out.printf(
                    "%s %2d %s%s, %d ms%n",
                    name,
                    ends,
                    ending,
                    came ? "" : " did not come",
                    (System.nanoTime() - began) / 1_000_000);
            if (came && (ends % ENDS_TO_COMPARE == 0 || plan.isEmpty())) {
                compare(!plan.isEmpty());
            }
        }
    }

    // ---- the end -----------------------------------------------------------------------------

    /// @return false if the call did not come
    private boolean strike(Ending ending) throws Exception {
        switch (ending.phase()) {
            case COMMIT -> {
                if (!isApart) {
                    pair.awaitStream();
                    setApart(true);
                }
                pair.hard();
                pair.pause(500);
                pair.gently();
                ending.arm(backup.disk);
                setApart(false);
            }
            case KEEP -> {
                setApart(false);
                pair.awaitStream();
                pair.kept().dropAll();
                ending.arm(backup.disk);
                pair.kept().keepSome();
            }
            case EXPIRE -> {
                setApart(false);
                pair.awaitStream();
                if (ending.isExpiry()) {
                    ending.expiring(pair.kept().keep(Optional.of("1s"))).arm(backup.disk);
                } else {
                    ending.arm(backup.disk);
                    pair.hard(); // Until a segment is full.
                }
            }
            default -> {
                setApart(false);
                pair.awaitStream();
                ending.arm(backup.disk);
            }
        }
        boolean came = isStruck();
        pair.gently();
        return came;
    }

    private void setApart(boolean apart) {
        if (apart != isApart) {
            pair.order(true, apart ? "disconnect" : "connect");
            isApart = apart;
        }
    }

    private boolean isStruck() throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!backup.disk.hasStruck()
                && backup.process.isAlive()
                && System.nanoTime() < deadline) {
            LockSupport.parkNanos(2_000_000);
        }
        backup.disk.disarm();
        if (backup.disk.hasStruck()) {
            assertTrue(backup.process.hasEnded(), "the process did not end");
            return true;
        }
        assertTrue(backup.process.isAlive(), "the backup has ended by itself");
        return false;
    }

    // ---- what it has left --------------------------------------------------------------------

    private void revive(Ending ending) throws Exception {
        // Where the power was cut nobody mends the copy before it was looked at.
        setApart(ending.kind().cutsThePower() || ending.seed() % 2 == 0);
        backup.disk.reset();
        if (ends % 5 == 4 && !startings.isEmpty()) {
            endTheStart(startings.poll());
        }
        backup.process.start();
        backup.process.awaitAnswer();
        TwoNodes.until("the backup is open", () -> backup.process.resource("home").isPresent());
        pair.requireCopy();
        if (ending.phase() != Phase.APPEND && ending.phase() != Phase.COMMIT) {
            pair.kept().requireAll(false);
        }
        assertEquals(0, pair.steps(), "somebody had to do something");
    }

    /// Ends it again before it is there.
    private void endTheStart(Ending ending) throws Exception {
        last = ending;
        ending.arm(backup.disk);
        backup.process.start();
        boolean came = isStruck();
        if (came) {
            ending.phase().ended(ending.how());
        } else {
            startings.add(ending);
            backup.disk.end(false, ending.seed());
            assertTrue(backup.process.hasEnded(), "the process did not end");
        }
        System.out.printf("%s    %s%s%n", name, ending, came ? "" : " did not come");
        backup.disk.reset();
    }

    /// @param goesOn whether more is written then
    private void compare(boolean goesOn) throws Exception {
        setApart(false);
        pair.endLoad();
        pair.awaitInSync();
        pair.requireOtherUntouched();
        pair.judge(false);
        pair.kept().requireAll(false);
        pair.compareOther();
        assertEquals(0, pair.steps(), "somebody had to do something");
        if (goesOn) {
            pair.writeOn();
        }
    }
}
