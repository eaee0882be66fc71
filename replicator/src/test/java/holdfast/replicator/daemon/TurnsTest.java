package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.ProblemException;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

class TurnsTest {
    @TempDir Path dir;

    private LoneNode node;
    private Turns turns;

    @BeforeEach
    void start() throws Exception {
        node = new LoneNode(dir, "");
        turns = new Turns(node.shared, Duration.ZERO);
    }

    @AfterEach
    void stop() {
        node.close();
    }

    @Test
    void aSecondOrderIsRefusedAndToldWhichIsUnderWay() throws Exception {
        try (var _ = HeldTurn.of(turns, "home", "remove")) {
            ProblemException e = refused("home");
            assertEquals(ExitCode.REFUSED.number(), e.problem().exitCode());
            assertEquals(
                    "another order on home is under way, nothing changed", e.problem().cause());
            assertTrue(
                    e.problem().why().matches("remove, since \\d{4}-.*Z"), e.problem().toString());
        }
        assertEquals("done", turns.of("home", "promote", () -> "done"));
    }

    @Test
    void anOrderOnAnotherResourceDoesNotWait() throws Exception {
        try (var _ = HeldTurn.of(turns, "home", "remove")) {
            assertEquals("done", turns.of("mail", "promote", () -> "done"));
        }
    }

    @Test
    void anOrderThatIsPatientHasItsTurnAfterTheOther() throws Exception {
        List<String> done = new ArrayList<>();
        Thread second;
        try (var _ = HeldTurn.of(turns, "home", "remove")) {
            second =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        try {
                                            turns.of(
                                                    "home",
                                                    "promote",
                                                    Duration.ofMinutes(5),
                                                    () -> done.add("second"));
                                        } catch (ProblemException e) {
                                            done.add(e.getMessage());
                                        }
                                    });
            while (second.getState() != Thread.State.TIMED_WAITING) {
                Thread.onSpinWait();
            }
            done.add("first");
        }
        second.join();
        assertEquals(List.of("first", "second"), done);
    }

    @Test
    void partsOfAnOrderHaveItsTurn() throws Exception {
        turns.run("home", "promote", () -> turns.run("home", "attach", () -> refusedElsewhere()));
    }

    /// The parts before have not given the turn away, nor changed its name.
    private void refusedElsewhere() {
        assertTrue(
                HeldTurn.elsewhere(() -> refused("home").problem().why()).startsWith("promote, "));
    }

    @Test
    void anOrderThatFailsGivesItsTurnBackAndNamesAreForgotten() throws Exception {
        assertThrows(
                IOException.class,
                () ->
                        turns.of(
                                "home",
                                "promote",
                                () -> {
                                    throw new IOException("broken");
                                }));
        assertEquals("done", HeldTurn.elsewhere(() -> turns.of("home", "remove", () -> "done")));
        for (int i = 0; i < 100; i++) {
            turns.run("typed-wrong-" + i, "remove", () -> {});
            turns.leave("withdrawn-" + i, () -> {});
        }
        try (var _ = HeldTurn.of(turns, "home", "remove")) {
            refused("home");
            assertEquals(1, turns.size());
        }
        assertEquals(0, turns.size());
    }

    @Test
    void whoIsInterruptedIsToldSoAndWhoHasTheTurnGoesOn() throws Exception {
        turns.run(
                "home",
                "promote",
                () -> {
                    Thread.currentThread().interrupt();
                    assertEquals("done", turns.of("home", "attach", () -> "done"));
                });
        assertTrue(Thread.currentThread().isInterrupted());
        ProblemException e = refused("home");
        assertTrue(Thread.interrupted());
        assertEquals("interrupted, nothing changed", e.problem().cause());
    }

    // ---- what is left ------------------------------------------------------------------------

    @Test
    void whatIsLeftIsDoneAtOnceWhereNobodyHasTheTurn() {
        List<String> done = new ArrayList<>();
        turns.leave("home", () -> done.add("left"));
        assertEquals(List.of("left"), done);
    }

    @Test
    void whatIsLeftWaitsForTheOrderAndNobodyWaitsForThat() throws Exception {
        List<String> done = new ArrayList<>();
        try (var _ = HeldTurn.of(turns, "home", "connect")) {
            turns.leave("home", () -> done.add("left"));
            turns.leave("home", () -> done.add("left again"));
            assertEquals(List.of(), done);
        }
        assertEquals(List.of("left again"), done);
    }

    @Test
    void anOrderThatFollowsFindsWhatWasLeftDone() throws Exception {
        List<String> done = new ArrayList<>();
        Thread patient;
        try (var _ = HeldTurn.of(turns, "home", "connect")) {
            patient =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        try {
                                            turns.of(
                                                    "home",
                                                    "offer",
                                                    Duration.ofMinutes(5),
                                                    () -> done.add("offer"));
                                        } catch (ProblemException e) {
                                            done.add(e.getMessage());
                                        }
                                    });
            while (patient.getState() != Thread.State.TIMED_WAITING) {
                Thread.onSpinWait();
            }
            turns.leave("home", () -> done.add("left"));
        }
        patient.join();
        assertEquals(List.of("left", "offer"), done);
    }

    @Test
    void whatIsLeftAndFailsIsReportedAndHarmsNoOrder() throws Exception {
        try (var _ = HeldTurn.of(turns, "home", "connect")) {
            turns.leave(
                    "home",
                    () -> {
                        throw new IllegalStateException("a bug");
                    });
        }
        assertEquals("done", turns.of("home", "promote", () -> "done"));
        assertTrue(node.said().stream().anyMatch(each -> each.contains("a bug")));
        assertFalse(node.said().isEmpty());
    }

    private ProblemException refused(String name) {
        return assertThrows(
                ProblemException.class, () -> turns.of(name, "promote", () -> "not refused"));
    }
}
