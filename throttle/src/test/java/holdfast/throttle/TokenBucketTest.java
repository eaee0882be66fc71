package holdfast.throttle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.time.Duration;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;

class TokenBucketTest {
    private static final long MIB = 1 << 20;
    private static final long SECOND = 1_000_000_000L;

    private final ManualClock clock = new ManualClock();
    private final TokenBucket bucket = new TokenBucket(new Rate(MIB), Duration.ofSeconds(2), clock);

    @Test
    void idleTimeBeyondTheBurstIsNotSavedUp() {
        clock.advance(Duration.ofHours(1));
        assertEquals(0, bucket.reserve(2 * MIB));
        assertEquals(SECOND, bucket.reserve(MIB));
    }

    @Test
    void whatIsTakenIsPaidForInTime() {
        bucket.reserve(4 * MIB);
        assertEquals(2 * SECOND, bucket.waitNanos());
        clock.advance(Duration.ofMillis(1500));
        assertEquals(SECOND / 2, bucket.waitNanos());
        clock.advance(Duration.ofMillis(500));
        assertEquals(0, bucket.waitNanos());
    }

    @Test
    void askingTakesNothing() {
        bucket.reserve(2 * MIB);
        assertEquals(0, bucket.waitNanos());
        assertEquals(0, bucket.reserve(0));
        assertEquals(SECOND, bucket.reserve(MIB));
    }

    @Test
    void aPacketLargerThanTheBurstPassesAndTheNextOneWaits() {
        var slow = new TokenBucket(Rate.parse("64 kbit/s"), TokenBucket.DEFAULT_BURST, clock);
        long wait = slow.reserve((128 << 10) + 28);
        assertEquals(16.3, wait / 1e9, 0.1);
        clock.advanceNanos(wait);
        assertEquals(0, slow.waitNanos());
    }

    @Test
    void aFasterRateShortensOldDebt() {
        bucket.reserve(102 * MIB);
        assertEquals(100 * SECOND, bucket.waitNanos());
        bucket.setRate(new Rate(100 * MIB));
        assertEquals(SECOND, bucket.waitNanos());
    }

    @Test
    void aSlowerRateDoesNotStretchOldDebt() {
        bucket.setRate(new Rate(100 * MIB));
        clock.advance(Duration.ofHours(1));
        bucket.reserve(300 * MIB);
        assertEquals(SECOND, bucket.waitNanos());
        bucket.setRate(new Rate(MIB));
        assertEquals(SECOND, bucket.waitNanos());
        assertEquals(2 * SECOND, bucket.reserve(MIB));
    }

    @Test
    void withoutALimitNothingWaitsAndNothingIsOwedAfterwards() {
        bucket.reserve(1000 * MIB);
        bucket.setRate(Rate.UNLIMITED);
        assertEquals(0, bucket.waitNanos());
        assertEquals(0, bucket.reserve(1000 * MIB));
        bucket.setRate(new Rate(MIB));
        assertEquals(0, bucket.waitNanos());
        assertEquals(SECOND, bucket.reserve(MIB));
    }

    @Test
    void settingTheSameRateAgainAndAgainGivesNothingAway() {
        bucket.reserve(3 * MIB);
        for (int i = 0; i < 1000; i++) {
            bucket.setRate(new Rate(MIB));
        }
        assertEquals(SECOND, bucket.waitNanos());
    }

    @Test
    void aCallerThatNeverWaitsIsInDebtForADayAtMost() {
        for (int i = 0; i < 1000; i++) {
            bucket.reserve(TokenBucket.MAX_RESERVE_BYTES);
        }
        assertEquals(Duration.ofDays(1).toNanos(), bucket.waitNanos());
    }

    @Test
    void sizesThatMakeNoSenseAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> bucket.reserve(-1));
        assertThrows(
                IllegalArgumentException.class,
                () -> bucket.reserve(TokenBucket.MAX_RESERVE_BYTES + 1));
    }

    /// The caller is late by up to 2 ms, as timers are, and its packets have the sizes of a link's.
    @ParameterizedTest
    @CsvSource({
        "64 kbit/s, 1400",
        "256 kbit/s, 1400",
        "2 Mbit/s, 16412",
        "18 Mbit/s, 131100",
        "100 Mbit/s, 131100",
        "1 Gbit/s, 131100",
        "1 Gbit/s, 60",
        "10 Gbit/s, 60",
        "100 Gbit/s, 28"
    })
    void whatIsSetIsMetWithinThreePercentOverTenSeconds(String text, int maxPacketBytes) {
        Rate rate = Rate.parse(text);
        var shaped = new TokenBucket(rate, TokenBucket.DEFAULT_BURST, clock);
        var random = new Random(text.hashCode());
        // Small packets on a fast line: 10 s of them would be 10⁹ calls, so less of them, without
        // the burst's share.
        long seconds = rate.bytesPerSecond() / maxPacketBytes > 1_000_000 ? 0 : 10;
        long nanos = seconds == 0 ? SECOND / 100 : seconds * SECOND;
        shaped.reserve((long) (rate.bytesPerSecond() * (seconds == 0 ? 0.05 : 0)));
        long sent = 0;
        long begin = clock.nanoTime();
        while (clock.nanoTime() - begin < nanos) {
            long wait = shaped.waitNanos();
            if (wait > 0) {
                clock.advanceNanos(wait + (seconds == 0 ? 0 : random.nextLong(2_000_000)));
                continue;
            }
            int bytes = seconds == 0 ? maxPacketBytes : 28 + random.nextInt(maxPacketBytes - 27);
            shaped.reserve(bytes);
            sent += bytes;
        }
        double ratio = sent / (rate.bytesPerSecond() * (nanos / 1e9));
        assertEquals(1.0, ratio, 0.03, text + " came out at " + ratio);
    }

    @Test
    void packetsThatDoNotFitTheRateInTenSecondsMeetItOverMore() {
        Rate rate = Rate.parse("64 kbit/s");
        var shaped = new TokenBucket(rate, TokenBucket.DEFAULT_BURST, clock);
        long begin = clock.nanoTime();
        int packets = 100;
        for (int i = 0; i < packets; i++) {
            clock.advanceNanos(shaped.reserve((128 << 10) + 28));
        }
        double seconds = (clock.nanoTime() - begin) / 1e9;
        assertEquals(1.0, packets * ((128L << 10) + 28) / (seconds * rate.bytesPerSecond()), 0.001);
    }

    /// The same on the clock of this machine, with its late timers. Other work may stop the loop
    /// for longer than the burst makes up for, so the best of three counts below the rate, and all
    /// above.
    @Test
    void aRealLoopMeetsTheRateWithinThreePercent() {
        double best = 0;
        for (int run = 0; run < 3 && best < 0.97; run++) {
            double ratio = realRatio(Rate.parse("200 Mbit/s"), (128 << 10) + 28);
            assertTrue(ratio < 1.03, "came out at " + ratio);
            best = Math.max(best, ratio);
        }
        assertTrue(best > 0.97, "came out at " + best);
    }

    private static double realRatio(Rate rate, int packetBytes) {
        var bucket = new TokenBucket(rate, TokenBucket.DEFAULT_BURST, NanoClock.system());
        bucket.reserve(rate.bytesIn(TokenBucket.DEFAULT_BURST)); // the burst is not measured
        long begin = System.nanoTime();
        long sent = 0;
        while (System.nanoTime() - begin < 2 * SECOND) {
            LockSupport.parkNanos(bucket.reserve(packetBytes));
            sent += packetBytes;
        }
        return sent / (rate.bytesPerSecond() * ((System.nanoTime() - begin) / 1e9));
    }
}
