package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.state.History.Moment;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Instant;

/// One clock that is wrong, at either host, takes no history and no kept moment, and makes no copy
/// look younger. A backup with a day of history and a moment that is kept for a week is restarted.
class WrongClockTest {
    private static final long HOUR = 3_600_000;
    private static final long DAY = 24 * HOUR;

    /// By either clock, when the good moment was received.
    private static final long NOON = 1_000 * DAY;

    @TempDir Path dir;

    private CopyOnFiles copy;
    private Moment good;

    @BeforeEach
    void aCopyWithAGoodMomentThatIsKeptToo() throws Exception {
        copy = new CopyOnFiles(dir);
        clocks(0, 0);
        open(Position.NONE);
        copy.commit(10, 1, 0, 1, 2, 3);
        copy.write(11, 0, 2, NOON);
        good = copy.backup.history().newest();
        assertEquals("", copy.backup.keep("week", good, CopyOnFiles.BLOCKS * 4096L, 7 * DAY));
    }

    @AfterEach
    void close() {
        copy.close();
    }

    private void clocks(long own, long peer) {
        copy.clockMillis = NOON + own;
        copy.peerMillis = NOON + peer;
    }

    private void open(Position from) throws Exception {
        copy.open();
        copy.backup.pins(copy.keptPins, 1);
        copy.backup.retain(new Retention(DAY, 4 * HOUR), Integer.MAX_VALUE);
        copy.connect(from);
    }

    /// Something arrives, and whatever is old goes.
    private void arrives(long number) throws Exception {
        copy.write(number, 0, 98, copy.peerMillis);
        copy.backup.tick(copy.now());
        copy.rollWhatIsDue();
    }

    private boolean isOpenable() {
        Backup.View view = copy.backup.openView(good);
        if (view != null) {
            copy.backup.closeView(view.id());
        }
        return view != null;
    }

    @Test
    void aStartThatFindsItsClockAMonthAheadTakesNothing() throws Exception {
        clocks(31 * DAY, HOUR);
        open(CopyOnFiles.at(11));
        arrives(12);
        assertEquals(0, copy.durable.watermark());
        assertTrue(isOpenable());
        assertNotNull(copy.backup.pin("week"));
        assertEquals(NOON + HOUR, copy.backup.history().newest().receiptMillis());
        // It is set right, and the daemon restarted: time goes on, and is not frozen for a month.
        clocks(2 * HOUR, 2 * HOUR);
        open(CopyOnFiles.at(12));
        arrives(13);
        clocks(5 * HOUR, 5 * HOUR);
        arrives(14);
        assertEquals(NOON + 4 * HOUR, copy.backup.history().newest().receiptMillis());
        assertTrue(isOpenable());
        clocks(30 * HOUR, 30 * HOUR);
        arrives(15);
        assertTrue(copy.durable.watermark() > 0);
    }

    @Test
    void thePrimarysClockThatIsSetAMonthAheadTakesNothing() throws Exception {
        clocks(HOUR, 31 * DAY);
        open(CopyOnFiles.at(11));
        arrives(12);
        clocks(2 * HOUR, 61 * DAY);
        arrives(13);
        assertTrue(isOpenable());
        assertNotNull(copy.backup.pin("week"));
        assertEquals(NOON + 2 * HOUR, copy.backup.history().newest().labelMillis());
    }

    @Test
    void aMonthThatHasPassedMakesOldWhenBothClocksSaySo() throws Exception {
        clocks(31 * DAY, 31 * DAY);
        copy.peerMillis = 0;
        open(CopyOnFiles.at(11));
        copy.backup.tick(copy.now());
        assertTrue(copy.backup.doubtMillis() >= 31 * DAY);
        assertTrue(copy.events.getLast().startsWith("time-in-doubt"), copy.events.toString());
        assertNotNull(copy.backup.pin("week"));
        clocks(31 * DAY, 31 * DAY);
        arrives(12);
        assertEquals(0, copy.backup.doubtMillis());
        assertNull(copy.backup.pin("week"));
        assertTrue(copy.durable.watermark() > 0);
        assertEquals(NOON + 31 * DAY, copy.backup.history().newest().receiptMillis());
    }

    /// The primary's clock was not seen when it came: it must not become a month old by what had
    /// passed before it.
    @Test
    void whatComesBeforeTheClocksAreComparedForgetsWhatWasBefore() throws Exception {
        clocks(31 * DAY, 31 * DAY);
        copy.peerMillis = 0;
        open(CopyOnFiles.at(11));
        copy.write(12, 0, 97, NOON);
        Moment newer = copy.backup.history().newest();
        assertEquals(ClockCheck.NONE, copy.durable.check());
        for (int restart = 0; restart < 2; restart++) {
            clocks(31 * DAY + HOUR, 31 * DAY + HOUR);
            arrives(13 + restart);
            long counted = copy.backup.history().newest().receiptMillis() - newer.receiptMillis();
            assertTrue(counted >= 0 && counted <= HOUR, "%d ms".formatted(counted));
            open(CopyOnFiles.at(13 + restart));
        }
        assertNotNull(copy.backup.pin("week"));
    }

    /// As where two hosts boot without a battery, and NTP sets one and then the other. What was
    /// seen to be no time that has passed is none at the next start.
    @Test
    void twoClocksThatWereSetOneAfterTheOtherCountForNothingAtTheNextStartEither()
            throws Exception {
        long minute = 60_000;
        runs(minute, 31 * DAY, 0);
        runs(2 * minute, 31 * DAY, 31 * DAY);
        clocks(31 * DAY + 3 * minute, 31 * DAY + 3 * minute);
        open(CopyOnFiles.at(11));
        arrives(12);
        long counted = copy.backup.history().newest().receiptMillis() - NOON;
        assertTrue(counted <= 3 * minute, "%d ms".formatted(counted));
        assertTrue(isOpenable());
        assertNotNull(copy.backup.pin("week"));
    }

    /// @param millis since noon, by the monotonic clock
    /// @param own by how much this host's clock was set meanwhile
    private void runs(long millis, long own, long peer) {
        long theirs = NOON + millis + peer;
        copy.backup.tick(
                new Now(
                        (NOON + millis) * 1_000_000,
                        NOON + millis + own,
                        new PeerClock.Reading(theirs, theirs)));
    }

    /// Else a hundred copies that were opened together would sync in the same second.
    @Test
    void howTheClocksCompareIsNotedEveryFiveMinutesToTen() {
        ClockCheck first = copy.durable.check();
        assertNotEquals(ClockCheck.NONE, first);
        runs(Backup.CHECK_AGAIN_MILLIS - 1, 0, 0);
        assertEquals(first, copy.durable.check());
        runs(2 * Backup.CHECK_AGAIN_MILLIS, 0, 0);
        assertEquals(NOON + 2 * Backup.CHECK_AGAIN_MILLIS, copy.durable.check().ownMillis());
    }

    @Test
    void aTimeOfReceiptIsShownByTheClockAsItIsNow() throws Exception {
        // A daemon that began while its clock was a month ahead counts on from there.
        clocks(-31 * DAY, HOUR);
        open(CopyOnFiles.at(11));
        arrives(12);
        Moment newest = copy.backup.history().newest();
        assertEquals(NOON, newest.receiptMillis());
        assertEquals(
                Instant.ofEpochMilli(NOON - 31 * DAY),
                copy.backup.onTheWall(newest.receiptMillis(), copy.now()));
    }

    @Test
    void whatWaitedInTheBufferIsAsOldAsItIs() throws Exception {
        // Its clock is a month ahead all the time, and what comes now was written 14 s ago.
        clocks(20_000, 31 * DAY);
        copy.write(12, 0, 98, NOON + 31 * DAY - 14_000);
        assertEquals(14_000, copy.backup.age().at(copy.clockMillis * 1_000_000, copy.clockMillis));
        copy.peerMillis = 0;
        copy.clockMillis += 6_000;
        copy.on(new Frame.Heartbeat(CopyOnFiles.at(12), NOON + 31 * DAY + 6_000));
        assertEquals(20_000, copy.backup.age().at(copy.clockMillis * 1_000_000, copy.clockMillis));
        copy.peerMillis = NOON + 31 * DAY + 6_000;
        copy.on(new Frame.Heartbeat(CopyOnFiles.at(12), NOON + 31 * DAY + 5_500));
        assertEquals(500, copy.backup.age().at(copy.clockMillis * 1_000_000, copy.clockMillis));
    }

    @Test
    void aStartDoesNotKnowHowOldTheCopyIs() throws Exception {
        assertNotNull(copy.backup.age());
        open(CopyOnFiles.at(11));
        assertNull(copy.backup.age());
    }
}
