package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.system.BlockWriter.Shown;

import org.junit.jupiter.api.Test;

import java.util.List;

/// What [KillTest] takes for one moment of several writers' ranges.
class BlockWriterTest {
    /// Two writers in the ticks of one device: `a1` is sent at 1 and answered at 3, `b1` at 2 and
    /// 4, `a2` at 5 and 7, `b2` at 6 and 8, `a3` at 9.
    private static final List<Shown> A =
            List.of(
                    new Shown(0, 0, 0, 3),
                    new Shown(0, 1, 1, 7),
                    new Shown(0, 2, 5, Long.MAX_VALUE),
                    new Shown(0, 3, 9, Long.MAX_VALUE));

    private static final List<Shown> B =
            List.of(
                    new Shown(1, 0, 0, 4),
                    new Shown(1, 1, 2, 8),
                    new Shown(1, 2, 6, Long.MAX_VALUE));

    @Test
    void aWriteThatWasAnsweredBeforeAnotherWasSentIsNotMissingBesideIt() {
        boolean[][] areOneMoment = {
            {true, true, false}, {true, true, true}, {false, true, true}, {false, false, true}
        };
        for (int a = 0; a < A.size(); a++) {
            for (int b = 0; b < B.size(); b++) {
                List<Shown> shown = List.of(A.get(a), B.get(b));
                if (areOneMoment[a][b]) {
                    BlockWriter.requireOneMoment(shown);
                } else {
                    AssertionError e =
                            assertThrows(
                                    AssertionError.class,
                                    () -> BlockWriter.requireOneMoment(shown));
                    assertTrue(e.getMessage().contains("was answered before"), e.getMessage());
                }
            }
        }
    }
}
