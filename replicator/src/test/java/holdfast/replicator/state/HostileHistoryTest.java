package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.state.History.Moment;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import java.util.stream.IntStream;

/// History belongs to the backup (promise 7, R22): a peer that has gone bad and speaks the protocol
/// has no message that shortens it, deletes it or makes it old.
class HostileHistoryTest {
    private static final long HOUR = 3_600_000;
    private static final long DAY = 24 * HOUR;

    /// Of the backup, when the good moment was received.
    private static final long NOON = 1_000 * DAY;

    @TempDir Path dir;

    private CopyOnFiles copy;
    private Moment good;

    @BeforeEach
    void aCopyWithAGoodMoment() throws Exception {
        copy = new CopyOnFiles(dir);
        copy.open();
        copy.backup.retain(new Retention(DAY, 4 * HOUR), Integer.MAX_VALUE);
        copy.clockMillis = NOON;
        copy.connect(Position.NONE);
        copy.commit(10, 1, 0, 1, 2, 3);
        copy.write(11, 0, 2, NOON);
        good = copy.backup.history().newest();
        assertEquals(CopyOnFiles.at(11), good.position());
    }

    @AfterEach
    void close() {
        copy.close();
    }

    private void goodMomentIsThere() throws Exception {
        copy.rollWhatIsDue();
        Backup.View view = copy.backup.openView(good);
        assertNotNull(view, "the good moment is gone");
        assertEquals(2, copy.seen(view, 0));
        assertEquals(1, copy.seen(view, 1));
        copy.backup.closeView(view.id());
    }

    /// It fills the journal within an hour: no more is taken in, and nothing of it acknowledged.
    @Test
    void aFloodStopsAtTheLeastRetention() throws Exception {
        copy.clockMillis = NOON + HOUR;
        long number = 12;
        while (!copy.backup.isHolding()) {
            copy.write(number, (int) (number % 64), 99, NOON + HOUR);
            copy.rollWhatIsDue();
            number++;
            assertTrue(number < 2000, "the journal was never full");
        }
        goodMomentIsThere();
        Position taken = copy.backup.committed();
        copy.write(number, 5, 99, NOON + HOUR);
        copy.backup.tick(CopyOnFiles.now(NOON + 3 * HOUR));
        goodMomentIsThere();
        assertEquals(taken, copy.backup.committed());
        // Time alone makes room, and it is the backup's.
        copy.backup.tick(CopyOnFiles.now(NOON + 6 * HOUR));
        copy.rollWhatIsDue();
        assertNull(copy.backup.openView(good));
        assertTrue(copy.backup.committed().number() > taken.number());
    }

    /// As `add` leaves it with a journal of 16 GiB: nobody has set anything.
    @Test
    void aFloodStopsWithTheSettingsThatAreUsualForALargeJournalToo() throws Exception {
        ResourceSettings usual =
                ResourceSettings.parse(
                                "journal.size = \"16 GiB\"\non.backup.disk = \"/dev/b\"\n", "offer")
                        .withProposedHistory();
        long least = usual.retentionMin().toMillis();
        assertTrue(least >= 10_000, "a least retention of " + least + " ms");
        copy.backup.retain(new Retention(usual.retention().toMillis(), least), Integer.MAX_VALUE);
        copy.clockMillis = NOON + least / 2;
        long number = 12;
        while (!copy.backup.isHolding()) {
            copy.write(number, (int) (number % 64), 99, copy.clockMillis);
            copy.rollWhatIsDue();
            number++;
            assertTrue(number < 2000, "the journal was never full");
        }
        Position taken = copy.backup.committed();
        copy.backup.tick(CopyOnFiles.now(copy.clockMillis));
        assertTrue(
                copy.sent.getLast() instanceof Frame.Trouble(var _, String why)
                        && why.contains("journal.retention-min"),
                "the peer's operator is told: " + copy.sent.getLast());
        long until = copy.backup.heldUntilMillis();
        assertTrue(until >= NOON + least && until <= NOON + 2 * least, "until " + until);
        goodMomentIsThere();
        copy.write(number, 5, 99, copy.clockMillis);
        copy.backup.tick(CopyOnFiles.now(NOON + least - 1));
        goodMomentIsThere();
        assertEquals(taken, copy.backup.committed());
        // It goes on by itself, and says so.
        copy.backup.tick(CopyOnFiles.now(NOON + 3 * least));
        copy.rollWhatIsDue();
        assertTrue(copy.backup.committed().number() > taken.number());
        assertEquals(0, copy.backup.heldUntilMillis());
        assertTrue(
                copy.sent.stream()
                        .filter(each -> each instanceof Frame.Trouble)
                        .reduce((_, last) -> last)
                        .filter(each -> ((Frame.Trouble) each).text().isEmpty())
                        .isPresent());
    }

    /// In front of the first moment there is none that would be given up: else a first sync whose
    /// last pass fills the journal left a copy that stands still for all of the least retention.
    @Test
    void whatAFirstSyncEndsWithIsNotKeptForTheLeastRetention() throws Exception {
        try (CopyOnFiles other = new CopyOnFiles(Files.createDirectory(dir.resolve("other")))) {
            other.backup.retain(new Retention(DAY, 4 * HOUR), Integer.MAX_VALUE);
            other.clockMillis = NOON;
            other.connect(Position.NONE);
            int[] all = IntStream.range(0, CopyOnFiles.BLOCKS).toArray();
            int[] most = IntStream.range(0, 200).map(i -> all[i % all.length]).toArray();
            other.commit(10, 1, most);
            Moment first = other.backup.history().oldest();
            for (long number = 11; number < 400; number++) {
                other.write(number, (int) (number % 64), 2, NOON);
                other.rollWhatIsDue();
                assertFalse(other.backup.isHolding(), "it stands still at " + number);
            }
            // The first moment is what the base is now, and it is kept like any other.
            assertEquals(first.position(), other.durable.position());
            Backup.View view = other.backup.openView(first);
            assertEquals(1, other.seen(view, 5));
            other.backup.closeView(view.id());
        }
    }

    @Test
    void noTimeThatItSaysMakesHistoryOldOrYoung() throws Exception {
        copy.clockMillis = NOON + HOUR;
        copy.write(12, 0, 98, Long.MAX_VALUE / 2);
        copy.write(13, 0, 97, Long.MIN_VALUE / 2);
        copy.on(new Frame.Heartbeat(CopyOnFiles.at(13), Long.MAX_VALUE / 2));
        goodMomentIsThere();
        assertTrue(copy.backup.completeMillis() <= NOON + HOUR);
        // A moment is found by a time at which it was the newest, whatever came later: somewhere
        // between these two.
        Moment from = copy.backup.history().notAfter(NOON);
        assertTrue(from.address() <= good.address(), from.toString());
        assertTrue(copy.backup.history().behind(from.address()).labelMillis() > NOON);
        assertEquals(NOON + HOUR, copy.backup.history().newest().labelMillis());
    }

    /// Its clock, or one that the backup's host takes its time from, is a month ahead for a while.
    @Test
    void aClockThatIsSetBackDoesNotKeepHistoryForEverNorForgetIt() throws Exception {
        copy.open();
        copy.backup.retain(new Retention(DAY, 4 * HOUR), Integer.MAX_VALUE);
        copy.clockMillis = NOON - 30 * DAY;
        copy.connect(CopyOnFiles.at(11));
        copy.write(12, 0, 98, NOON);
        assertEquals(NOON, copy.backup.history().newest().receiptMillis());
        goodMomentIsThere();
        assertEquals(0, copy.durable.watermark());
        copy.clockMillis += 30 * HOUR;
        copy.write(13, 0, 97, NOON);
        copy.rollWhatIsDue();
        assertTrue(copy.durable.watermark() > 0);
    }

    @Test
    void whatItSendsOfEpochsAndFirstSyncsDeletesNothing() throws Exception {
        copy.on(new Frame.EpochBegin(77, Long.MAX_VALUE, Long.MAX_VALUE));
        copy.backup.tick(CopyOnFiles.now(NOON + HOUR));
        goodMomentIsThere();
        copy.on(new Frame.SyncBlocks(0, 1, 0, ByteBuffer.allocate(4096)));
        assertTrue(
                copy.sent.getLast() instanceof Frame.Refused(var _, String why)
                        && why.contains("a copy that has points"));
        goodMomentIsThere();
    }

    /// It makes the copy what it likes, under a history that has nothing of the one before: that is
    /// a newer moment, and the older ones stay.
    @Test
    void anotherHistoryLiesOnTopOfTheOneThatWasThere() throws Exception {
        Ancestry forged =
                Ancestry.EMPTY.plus(
                        new Ancestry.Entry(
                                666, Position.NONE, Ancestry.Reason.CREATE, new UUID(6, 6), 0));
        EpochDigest digest = new EpochDigest();
        copy.on(new Frame.EpochBegin(78, 1, 0));
        ByteBuffer block = ByteBuffer.allocate(4096);
        digest.blocks(0, block);
        copy.on(new Frame.EpochBlocks(0, 78, 0, block));
        copy.on(new Frame.EpochCommit(78, new Position(666, 1), NOON, 1, digest.finish(), forged));
        assertEquals(new Position(666, 1), copy.backup.committed());
        goodMomentIsThere();
    }
}
