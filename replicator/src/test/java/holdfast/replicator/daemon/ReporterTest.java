package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.Size;
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

    /// A peer may say any number, and none of them ends the status; one that is true suffices.
    @Test
    void byHowMuchAJournalIsToGrowIsEnoughAndFitsANumber() {
        long segment = 64L << 20;
        assertEquals(segment, Reporter.enough(1));
        assertEquals(segment, Reporter.enough(segment / 5 * 4));
        assertEquals(2 * segment, Reporter.enough(segment / 5 * 4 + 5));
        assertEquals(80L << 30, Reporter.enough(64L << 30));
        for (long huge : new long[] {1L << 60, (1L << 60) + 1, 1L << 62, Long.MAX_VALUE}) {
            long bytes = Reporter.enough(huge);
            assertEquals(5L << 58, bytes);
            // Beside what the largest journal has now, and as the file takes it.
            assertTrue((1L << 60) + bytes > bytes);
            assertEquals(bytes, Size.parse(new Size(bytes).toString()).bytes());
        }
    }

    /// Else what is missing looked younger than it is.
    @Test
    void nobodyKnowsHowOldItIsWhereTheClockWasSetBackSince() {
        assertEquals(0, Reporter.begunMillis(begunAt(100, 200, 150), 2, 400));
        assertEquals(0, Reporter.begunMillis(begunAt(100, 200, 300), 2, 250));
        assertEquals(150, Reporter.begunMillis(begunAt(100, 200, 150), 3, 400));
    }
}
