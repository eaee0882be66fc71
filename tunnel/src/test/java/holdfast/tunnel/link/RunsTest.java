package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class RunsTest {
    private final Runs runs = new Runs();

    @Test
    void theRunThatCameLaterIsTheClone() {
        runs.admitted(1, 1);
        assertFalse(runs.isClone(2, 1), "a restart");
        runs.admitted(2, 1);
        assertFalse(runs.isClone(1, 2), "it was there first");
        runs.admitted(1, 2);
        assertTrue(runs.isClone(2, 1));
        assertFalse(runs.isClone(1, 1), "its own connection again");
    }

    /// Behind so many restarts of a clone the host was forgotten, and came back as the newer one.
    @Test
    void theRunThatHadTheSessionIsNotForgotten() {
        runs.admitted(1, 1);
        for (int run = 2; run <= Runs.MOST + 1; run++) {
            runs.admitted(run, 1);
            runs.admitted(1, run);
        }
        assertTrue(runs.isClone(Runs.MOST + 1, 1));
    }

    @Test
    void theOldestOfManyIsForgotten() {
        for (int run = 1; run <= Runs.MOST + 1; run++) {
            runs.admitted(run, run - 1);
        }
        assertFalse(runs.isClone(1, Runs.MOST + 1), "a new one, for all that is known");
        assertFalse(runs.isClone(2, Runs.MOST + 1), "it was there first");
    }
}
