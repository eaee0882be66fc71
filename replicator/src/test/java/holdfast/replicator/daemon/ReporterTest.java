package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;

import holdfast.replicator.status.StatusReport;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.Optional;
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

    private static String troubleOfJournal(long usedBytes, Optional<Long> neededBytes) {
        return Reporter.tooSmall(
                        new StatusReport.Journal(
                                "/j",
                                usedBytes,
                                40L << 30,
                                Optional.empty(),
                                0,
                                86_400,
                                neededBytes,
                                0),
                        Path.of("/etc/holdfast/conf.d/home.toml"),
                        "holdfast adjust")
                .orElse("");
    }

    @Test
    void aJournalThatDoesNotHoldAllOfTheRetentionIsTroubleWithWhatToDo() {
        assertEquals("", troubleOfJournal(30L << 30, Optional.empty()));
        assertEquals("", troubleOfJournal(30L << 30, Optional.of(40L << 30)));
        // It is filled for the first time, and nothing has gone yet.
        assertEquals("", troubleOfJournal(10L << 30, Optional.of(61L << 30)));
        assertEquals(
                "the journal does not hold all of the retention: at this rate 24 h need 61 GiB; 40 GiB are set, and the oldest moments go."
                        + " Next: set journal.retention in /etc/holdfast/conf.d/home.toml to what it can hold,"
                        + " or raise journal.size there, then holdfast adjust",
                troubleOfJournal(30L << 30, Optional.of(61L << 30)));
    }

    /// Else what is missing looked younger than it is.
    @Test
    void nobodyKnowsHowOldItIsWhereTheClockWasSetBackSince() {
        assertEquals(0, Reporter.begunMillis(begunAt(100, 200, 150), 2, 400));
        assertEquals(0, Reporter.begunMillis(begunAt(100, 200, 300), 2, 250));
        assertEquals(150, Reporter.begunMillis(begunAt(100, 200, 150), 3, 400));
    }
}
