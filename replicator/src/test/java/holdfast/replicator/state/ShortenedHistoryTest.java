package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Instant;
import java.util.List;

/// That moments go before the retention has passed them by is told, and not with each roll.
class ShortenedHistoryTest {
    private static final long MINUTE = 60_000;
    private static final long DAY = 24 * 60 * MINUTE;

    @TempDir Path dir;

    private CopyOnFiles copy;
    private long number = 10;

    @BeforeEach
    void aCopyWithAPoint() throws Exception {
        copy = new CopyOnFiles(dir);
        copy.backup.retain(new Retention(DAY, 0), Integer.MAX_VALUE);
        copy.clockMillis = 1_000 * DAY;
        copy.connect(Position.NONE);
        copy.commit(number, 1, 0, 1, 2, 3);
    }

    @AfterEach
    void close() {
        copy.close();
    }

    private void write(int times, long apartMillis) throws Exception {
        for (int i = 0; i < times; i++) {
            copy.clockMillis += apartMillis;
            number++;
            copy.write(number, (int) (number % CopyOnFiles.BLOCKS), 7, copy.clockMillis);
            copy.rollWhatIsDue();
        }
    }

    private List<String> told() {
        return copy.events.stream().filter(each -> each.startsWith("history-shortened ")).toList();
    }

    /// 2 MiB of journal hold some 370 writes before the oldest of them have to go.
    @Test
    void itIsToldWithTheOldestMomentThatIsLeft() throws Exception {
        write(300, MINUTE);
        assertEquals(List.of(), told());
        while (told().isEmpty()) {
            write(1, MINUTE);
            assertTrue(number < 1000, "nothing was told");
        }
        Instant oldest = Instant.ofEpochMilli(copy.backup.history().oldest().labelMillis());
        assertTrue(told().getFirst().contains(oldest.toString()), told() + " not " + oldest);
    }

    @Test
    void itIsToldAgainWhenHalfOfThatIsLeftOrAllWasThereInBetween() throws Exception {
        write(3000, MINUTE);
        assertEquals(1, told().size(), told().toString());
        write(3000, MINUTE / 4);
        int more = told().size();
        assertTrue(more == 2 || more == 3, told().toString());
        write(3000, MINUTE / 4);
        assertEquals(more, told().size(), told().toString());
        write(40, 60 * MINUTE); // All of a day, and nothing else.
        assertTrue(
                copy.backup.history().newest().receiptMillis()
                                - copy.backup.history().oldest().receiptMillis()
                        >= DAY);
        assertEquals(more, told().size(), told().toString());
        write(3000, MINUTE);
        assertEquals(more + 1, told().size(), told().toString());
    }

    /// Age is what the retention is for, and what an operator orders he knows.
    @Test
    void whatIsOldOrOrderedToGoIsNotToldOf() throws Exception {
        write(200, 60 * MINUTE);
        assertTrue(copy.durable.watermark() > 0);
        copy.roll(Integer.MAX_VALUE);
        assertTrue(copy.backup.isSettled());
        assertEquals(List.of(), told());
    }
}
