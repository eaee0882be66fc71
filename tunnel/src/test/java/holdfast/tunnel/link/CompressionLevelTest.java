package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.time.Duration;

class CompressionLevelTest {
    private long now = Long.MAX_VALUE - 1_000_000_000L;
    private final CompressionLevel level = new CompressionLevel(() -> now);

    /// Packets for so long, one every 10 ms, of which so many milliseconds are spent compressing
    /// and so many waiting for the link.
    private void line(int seconds, double compressMillis, double waitMillis) {
        for (int i = 0; i < seconds * 100; i++) {
            now += Duration.ofMillis(10).toNanos();
            level.compressed((long) (compressMillis * 1e6));
            level.waited((long) (waitMillis * 1e6));
        }
    }

    @Test
    void itRisesStepByStepWhileTheLinkIsWaitedFor() {
        assertEquals(1, level.get());
        line(6, 0.5, 9);
        assertEquals(3, level.get());
        line(60, 0.5, 9);
        assertEquals(6, level.get());
    }

    @Test
    void itFallsWhenCompressingFillsTheTime() {
        line(60, 0.5, 9);
        line(6, 7, 2);
        assertEquals(3, level.get());
        line(60, 7, 2);
        assertEquals(1, level.get());
    }

    /// Three times the effort for a step: 0.8 of 10 become 2.4 and then 7.2, which is too much.
    @Test
    void itDoesNotFlap() {
        line(6, 0.8, 9.2);
        assertEquals(3, level.get());
        line(3600, 2.4, 7.6);
        assertEquals(3, level.get());
    }

    @Test
    void aLineThatIsNeverFullStaysWhereItIs() {
        line(60, 0.5, 9);
        assertEquals(6, level.get());
        line(3600, 0.5, 0);
        assertEquals(6, level.get());
    }

    @Test
    void waitingAloneProvesNothing() {
        line(60, 0, 10);
        assertEquals(1, level.get());
    }

    /// One slow packet after an idle hour is no trend.
    @Test
    void idleTimeIsNotSavedUp() {
        now += Duration.ofHours(1).toNanos();
        level.compressed(Duration.ofSeconds(4).toNanos());
        level.waited(Duration.ofSeconds(4).toNanos());
        assertEquals(1, level.get());
    }
}
