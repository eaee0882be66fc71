package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.util.UUID;

class ReporterTest {
    private static Ancestry begunAt(long... millis) {
        Ancestry ancestry = Ancestry.EMPTY;
        for (int i = 0; i < millis.length; i++) {
            ancestry =
                    ancestry.plus(
                            new Ancestry.Entry(
                                    i + 1,
                                    i == 0 ? Position.NONE : new Position(i, 3),
                                    i == 0 ? Ancestry.Reason.CREATE : Ancestry.Reason.ATTACH,
                                    new UUID(1, 1),
                                    millis[i]));
        }
        return ancestry;
    }

    @Test
    void aGenerationIsAsOldAsItsAttach() {
        assertEquals(200, Reporter.begunMillis(begunAt(100, 200, 300), 2, 400));
        assertEquals(0, Reporter.begunMillis(begunAt(100, 200, 300), 4, 400));
    }

    /// Else what is missing looked younger than it is.
    @Test
    void nobodyKnowsHowOldItIsWhereTheClockWasSetBackSince() {
        assertEquals(0, Reporter.begunMillis(begunAt(100, 200, 150), 2, 400));
        assertEquals(0, Reporter.begunMillis(begunAt(100, 200, 300), 2, 250));
        assertEquals(150, Reporter.begunMillis(begunAt(100, 200, 150), 3, 400));
    }
}
