package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.PeerClock;

import org.junit.jupiter.api.Test;

class PassedTimeTest {
    private static final long NOON = 1_790_000_000_000L;
    private static final long HOUR = 3_600_000L;
    private static final long MONTH = 30 * 24 * HOUR;

    /// How far the clocks are ahead of what they were when the last daemon ended, at noon.
    private long own;

    private long peer;

    private final ClockCheck check = new ClockCheck(NOON, NOON, NOON + 7);

    /// @param ran how long this daemon has run
    private Now now(long ran, boolean connected) {
        long shows = NOON + 7 + peer + ran;
        return new Now(
                ran * 1_000_000,
                NOON + own + ran,
                connected ? new PeerClock.Reading(shows, shows) : null);
    }

    private PassedTime begun() {
        PassedTime time = new PassedTime(check);
        time.tick(now(0, false));
        return time;
    }

    private static void ran(long expected, PassedTime time) {
        assertEquals(NOON + expected, time.millis());
    }

    @Test
    void itBeginsWithTheClockOnTheWall() {
        PassedTime first = new PassedTime(ClockCheck.NONE);
        first.tick(now(0, false));
        ran(0, first);
        assertEquals(0, first.doubtMillis());
    }

    @Test
    void aDaemonThatRunsCountsWhateverTheClocksDo() {
        PassedTime time = begun();
        time.tick(now(HOUR, false));
        own = MONTH;
        time.tick(now(2 * HOUR, false));
        own = -MONTH;
        time.tick(now(3 * HOUR, false));
        ran(3 * HOUR, time);
    }

    @Test
    void oneClockThatIsFarAheadAtAStartCountsForNothing() {
        own = MONTH;
        PassedTime time = begun();
        ran(0, time);
        assertEquals(MONTH, time.doubtMillis());
        time.tick(now(1000, true));
        ran(1000, time);
        assertEquals(0, time.doubtMillis(), "the peer has been asked");
        own = 0; // Somebody sets it right.
        time.tick(now(HOUR, true));
        ran(HOUR, time);
    }

    @Test
    void thePeersCountsForNothingEither() {
        peer = MONTH;
        PassedTime time = begun();
        time.tick(now(1000, true));
        ran(1000, time);
        peer = 2 * MONTH;
        time.tick(now(2000, true));
        ran(2000, time);
    }

    @Test
    void whatBothSayHasPassed() {
        own = MONTH;
        peer = MONTH;
        PassedTime time = begun();
        ran(0, time);
        time.tick(now(1000, true));
        ran(MONTH + 1000, time);
        assertEquals(0, time.doubtMillis());
    }

    @Test
    void theLesserCounts() {
        own = MONTH;
        peer = 2 * HOUR;
        PassedTime time = begun();
        time.tick(now(0, true));
        ran(2 * HOUR, time);
    }

    /// Its monotonic clock stands still.
    @Test
    void aHostThatSleptIsToldByThePeerToo() {
        PassedTime time = begun();
        time.tick(now(1000, true));
        own = HOUR;
        time.tick(now(1001, false));
        ran(1001, time);
        peer = HOUR;
        time.tick(now(1002, true));
        ran(HOUR + 1002, time);
    }

    /// It would else become older by what had passed before it was there.
    @Test
    void whatHadPassedWhenSomethingGotItsTimeNeverCounts() {
        own = MONTH;
        peer = MONTH;
        PassedTime time = begun();
        assertTrue(time.isLoose());
        time.forget();
        time.tick(now(1000, true));
        ran(1000, time);
        assertFalse(time.isLoose());
    }

    @Test
    void aClockThatWasSetBackStopsNothing() {
        own = -MONTH;
        PassedTime time = begun();
        time.tick(now(HOUR, true));
        ran(HOUR, time);
        assertEquals(0, time.doubtMillis());
    }

    @Test
    void whatWasReceivedLastIsNotInTheFuture() {
        PassedTime time = new PassedTime(check);
        time.atLeast(NOON + HOUR);
        time.tick(now(0, false));
        ran(HOUR, time);
        own = HOUR;
        peer = HOUR;
        time.tick(now(0, true));
        ran(HOUR, time);
    }
}
