package holdfast.throttle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.time.Duration;

class LinkShaperTest {
    private static final int PACKET = (128 << 10) + 28;

    private final ManualClock clock = new ManualClock();
    private final LinkShaper shaper = new LinkShaper(clock);

    @Test
    void nothingWaitsBeforeALimitIsSet() {
        assertEquals(0, shaper.reserve(1 << 30, true));
        assertEquals(0, shaper.waitNanos(true));
    }

    @Test
    void backgroundWaitsForItsShareWhileLiveWritesGo() {
        limit("100 Mbit/s", "2 Mbit/s");
        shaper.spend(PACKET, true);
        clock.advance(Duration.ofMillis(50));
        assertEquals(0, shaper.waitNanos(false));
        assertTrue(shaper.waitNanos(true) > 0);
    }

    @Test
    void backgroundWaitsForTheLinkAsWell() {
        limit("2 Mbit/s", "unlimited");
        shaper.spend(PACKET, false);
        assertTrue(shaper.waitNanos(true) > 0);
        assertEquals(shaper.waitNanos(false), shaper.waitNanos(true));
    }

    @Test
    void aWaitIsShortEnoughToNoticeANewRate() {
        limit("64 kbit/s", "unlimited");
        assertTrue(shaper.reserve(PACKET, false) > 10_000_000_000L);
        assertEquals(LinkShaper.MAX_WAIT_NANOS, shaper.waitNanos(false));
        limit("1 Gbit/s", "unlimited");
        assertTrue(shaper.waitNanos(false) < 5_000_000);
    }

    @Test
    void aFullLinkCarriesItsRateAndTheBackgroundItsShareOfIt() {
        limit("18 Mbit/s", "2 Mbit/s");
        long live = 0;
        long background = 0;
        long begin = clock.nanoTime();
        while (clock.nanoTime() - begin < 10_000_000_000L) {
            if (shaper.waitNanos(true) == 0) {
                shaper.spend(16_412, true);
                background += 16_412;
            } else if (shaper.waitNanos(false) == 0) {
                shaper.spend(4_124, false);
                live += 4_124;
            }
            clock.advanceNanos(200_000);
        }
        assertEquals(1.0, background / 2_500_000.0, 0.03);
        assertEquals(1.0, (live + background) / 22_500_000.0, 0.03);
    }

    private void limit(String link, String catchUp) {
        shaper.setLimits(new Rates(Rate.parse(link), Rate.parse(catchUp)));
    }
}
