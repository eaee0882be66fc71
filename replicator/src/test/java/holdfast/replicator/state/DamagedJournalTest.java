package holdfast.replicator.state;

import static holdfast.replicator.state.CopyOnFiles.at;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.state.History.Moment;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.stream.IntStream;

/// What a damaged journal leaves of the copy (R25): the point in front of the damage, unless a
/// roll-forward that was interrupted may have been behind it already.
class DamagedJournalTest {
    @TempDir Path directory;

    private CopyOnFiles copy;

    private long first;
    private long second;
    private long third;

    /// The first point is 10, with 1 in the blocks 0 to 3; then 2, 3, 4 are written to 0, 1, 2.
    @BeforeEach
    void fill() throws Exception {
        copy = new CopyOnFiles(directory);
        copy.connect(Position.NONE);
        copy.commit(10, 1, 0, 1, 2, 3);
        first = copy.write(11, 0, 2);
        second = copy.write(12, 1, 3);
        third = copy.write(13, 2, 4);
        assertEquals(at(13), copy.backup.committed());
    }

    @AfterEach
    void close() {
        copy.close();
    }

    @Test
    void withoutDamageAnInterruptedRollForwardChangesNothing() throws Exception {
        copy.roll(2);
        copy.open();
        assertNull(copy.damage);
        assertView(at(13), 2, 3, 4, 1);
    }

    private Pins.Pin pin(long id, String name, long address, long number) {
        Moment moment = new Moment(address, at(number), copy.backup.ancestry(), 0, 0, 0, 1, 0);
        return new Pins.Pin(id, name, moment, 4 * 4096, 0, Long.MAX_VALUE, false);
    }

    @Test
    void aPinInFrontOfTheDamageStaysAndOneInItIsLost() throws Exception {
        copy.write(14, 3, 5);
        copy.damage(third + 200);
        copy.open();
        Pins.Pin before = pin(1, "before", second, 11);
        copy.backup.pins(List.of(before, pin(2, "in-it", third + 8192, 13)), 2);
        assertEquals(List.of(before), copy.backup.pins());
        assertTrue(copy.events.toString().contains("pin-lost in-it"), copy.events.toString());
        assertEquals(at(12), copy.backup.committed());
        assertFalse(copy.backup.isDamaged());
    }

    /// What had been saved behind the damage is no room any more.
    @Test
    void packedSegmentsBehindTheDamageCountNoMore() throws Exception {
        copy.packedAtStart = Map.of(0L, 4096L, CopyOnFiles.SEGMENT, 4096L);
        copy.damage(second + 200);
        copy.open();
        assertTrue(second < CopyOnFiles.SEGMENT);
        assertEquals(second, copy.backup.journalUsedBytes());
        copy.backup.packed(0, 4096);
        copy.backup.packed(0, 4096);
        assertEquals(second, copy.backup.journalUsedBytes());
        assertEquals(1, copy.backup.packedRatio());
    }

    /// Nothing of what stood behind the damage is taken for a record of what comes there.
    @Test
    void allMomentsInFrontOfTheDamageStayAndTheJournalGoesOnThere() throws Exception {
        copy.write(14, 3, 5);
        copy.write(15, 3, 6);
        copy.damage(third + 200);
        copy.open();
        assertTrue(copy.damage.contains("back at " + at(12)), copy.damage);
        assertEquals(third, copy.backup.end());
        copy.connect(at(12));
        copy.write(13, 2, 7);
        copy.open();
        assertNull(copy.damage);
        assertView(at(13), 2, 3, 7, 1);
        Backup.View older =
                copy.backup.openView(copy.backup.history().upTo(second, Long.MAX_VALUE));
        assertEquals(at(10), older.position());
        assertEquals(1, copy.seen(older, 0));
    }

    @Test
    void theCopyGoesBackToThePointInFrontOfTheDamage() throws Exception {
        copy.damage(second + 200);
        copy.open();
        assertTrue(copy.damage.contains("back at " + at(11)), copy.damage);
        assertView(at(11), 2, 1, 1, 1);
        assertGoesOnInFrontOfTheDamage();
    }

    @Test
    void aRollForwardThatEndedInFrontOfTheDamageIsHarmless() throws Exception {
        copy.roll(Integer.MAX_VALUE);
        assertEquals(at(13), copy.durable.position());
        copy.write(14, 3, 5);
        long late = copy.write(15, 0, 6);
        copy.write(16, 0, 7);
        copy.damage(late + 5);
        copy.open();
        assertView(at(14), 2, 3, 4, 5);
    }

    @Test
    void whatARollForwardMayHavePassedIsNoPoint() throws Exception {
        copy.roll(2);
        copy.damage(second + 200);
        assertNoPoint();
    }

    @Test
    void aJournalThatLostItsEndIsNoPointBelowARollForward() throws Exception {
        copy.roll(1);
        // No record behind it says that it had been durable; the roll-forward alone does.
        copy.damage(third);
        assertNoPoint();
    }

    @Test
    void aRollForwardThatOnlyReachedTheDamageIsFinished() throws Exception {
        copy.roll(1);
        long late = copy.write(14, 3, 5);
        copy.write(15, 3, 6);
        copy.damage(late + 200);
        copy.open();
        assertTrue(copy.damage.contains("back at " + at(13)), copy.damage);
        assertView(at(13), 2, 3, 4, 1);
    }

    // ---- found while the copy is open

    /// What nobody needs any more costs the moments in between, and nothing else.
    @Test
    void whatWasWrittenOverSinceIsPassed() throws Exception {
        copy.write(14, 1, 5);
        copy.write(15, 3, 6);
        copy.damage(second + 200);
        copy.rollAndLook();
        assertEvents("journal-damaged", "journal-mended");
        assertFalse(copy.backup.isRotten());
        assertEquals(at(15), copy.durable.position());
        assertView(at(15), 2, 5, 4, 6);
        copy.open();
        assertNull(copy.damage);
        assertView(at(15), 2, 5, 4, 6);
    }

    @Test
    void whatTheNewestMomentNeedsIsMendedByThePrimaryAndNothingElseIsLost() throws Exception {
        copy.write(14, 3, 5);
        copy.damage(second + 200);
        copy.rollAndLook();
        // The base is not rolled past the damage, and the newest moment stays what it was.
        assertStopped();
        assertEquals(at(10), copy.backup.history().upTo(second, Long.MAX_VALUE).position());
        assertTrue(copy.backup.isRotten());
        assertEquals(Set.of(second), copy.backup.unreadable());
        assertTrue(copy.backup.rotWords().contains("4096 bytes"), copy.backup.rotWords());
        assertEquals(at(14), copy.backup.committed());
        assertEquals(copy.backup.rotWords(), copy.backup.obstacle());
        assertEquals(1, asked(), "the primary is asked once");
        // Nothing behind the damage is a moment but the newest, whatever comes.
        for (int i = 15; i < 40; i++) {
            copy.write(i, 3, i);
        }
        assertEquals(1, asked());
        assertSame(copy.backup.history().newest(), copy.backup.history().behind(second));
        assertEquals(
                "the journal is damaged",
                copy.backup
                        .keep("mine", copy.backup.history().newest(), 4 * 4096, 1000)
                        .substring(0, 22));
        copy.rollAndLook();
        assertStopped();
        // It begins a session for it, and says what was wrong in an epoch.
        copy.connect(at(39));
        copy.clockMillis = 6;
        copy.epochMillis = 6;
        copy.commit(40, 9, 1);
        assertEvents("journal-damaged", "journal-damaged", "journal-mended");
        assertEquals(1, asked());
        Moment first = copy.backup.history().newest();
        assertTrue(first.endsGap());
        assertEquals(5, first.gapMillis());
        for (int i = 41; i < 60; i++) {
            copy.write(i, 0, i);
        }
        Backup.View older = copy.backup.openView(first);
        assertEquals(2, copy.seen(older, 0));
        assertEquals(9, copy.seen(older, 1));
        assertEquals(39, copy.seen(older, 3));
        copy.backup.closeView(older.id());
        copy.rollAndLook();
        assertEquals(at(59), copy.durable.position());
        assertView(at(59), 59, 9, 4, 39);
        copy.open();
        assertNull(copy.damage);
        assertView(at(59), 59, 9, 4, 39);
    }

    /// Else nothing ever ends it: what follows in the journal is not freed before the damage is.
    @Test
    void theStreamLeavesTheRoomForTheEpochThatMends() throws Exception {
        copy.damage(second + 200);
        copy.write(14, 3, 5);
        copy.rollAndLook();
        assertTrue(copy.backup.isRotten());
        int number = 14;
        while (!copy.backup.isHolding()) {
            copy.write(++number, 3, number % 100);
        }
        assertTrue(copy.events.getLast().contains("is for what mends it"), copy.events.getLast());
        long used = copy.backup.journalUsedBytes();
        assertTrue(used > CopyOnFiles.JOURNAL / 2, "%d bytes are used".formatted(used));
        // What is not taken in is marked, and comes with what is mended: here half of the device.
        copy.connect(at(number - 1));
        int[] half = IntStream.range(0, CopyOnFiles.BLOCKS / 2).toArray();
        copy.on(new Frame.EpochBegin(99, Primary.blocksToAsk(half.length), 0));
        assertEquals(
                new Frame.EpochReply(
                        new UUID(3, 4), 9, 99, Primary.blocksToAsk(half.length), 0, 0, List.of()),
                copy.sent.getLast());
        copy.commit(number, 9, half);
        assertFalse(copy.backup.isRotten());
        copy.rollAndLook();
        assertEquals(at(number), copy.durable.position());
        copy.write(number + 1, 3, 7);
        assertEquals(at(number + 1), copy.backup.committed());
    }

    /// A look at all of it takes its time, and perhaps nothing of it is concerned: then the journal
    /// is filled as ever meanwhile.
    @Test
    void whileItIsLookedAtTheStreamLeavesRoomForWhatIsKnownToBeConcerned() throws Exception {
        copy.write(14, 1, 5); // Over what is damaged.
        copy.damage(second + 200);
        assertTrue(copy.backup.damageFound(second));
        assertTrue(copy.backup.isDoubted());
        int number = fill(15);
        long used = copy.backup.journalUsedBytes();
        assertTrue(used > CopyOnFiles.JOURNAL - 5000, "%d bytes are used".formatted(used));
        assertFalse(String.join("\n", copy.events).contains("is for what mends it"));
        copy.rollAndLook();
        assertFalse(copy.backup.isHolding(), "nothing was concerned, and the roll made room");
        copy.write(number + 1, 3, 7);
        assertEquals(at(number + 1), copy.backup.committed());
    }

    @Test
    void whileItIsLookedAtTheStreamLeavesRoomWhereSomethingIsConcerned() throws Exception {
        int number = 14;
        for (; copy.lastAddress() < CopyOnFiles.SEGMENT; number++) {
            copy.write(number, 3, number % 100);
        }
        SegmentIndex whole = copy.indexOf(0);
        copy.indexes = address -> address == 0 ? whole : null;
        copy.damage(second + 200);
        assertTrue(copy.backup.damageFound(second));
        fill(number);
        long used = copy.backup.journalUsedBytes();
        assertTrue(used < CopyOnFiles.JOURNAL * 3 / 4, "%d bytes are used".formatted(used));
        assertTrue(copy.events.getLast().contains("is for what mends it"), copy.events.getLast());
        // So does a start that has the note of it, also before it has looked.
        copy.open();
        copy.connect(copy.backup.committed());
        assertTrue(copy.backup.isDoubted());
        copy.write(copy.backup.committed().number() + 1, 3, 7);
        assertTrue(copy.backup.isHolding());
    }

    /// Writes until nothing more is taken in.
    ///
    /// @return number of the last write, which waits
    private int fill(int from) {
        int number = from;
        for (copy.write(number, 3, number % 100); !copy.backup.isHolding(); ) {
            number++;
            copy.write(number, 3, number % 100);
        }
        return number;
    }

    /// The first frames of the stream lie right behind the commit, which is not durable yet.
    @Test
    void whatIsLeftForTheEpochThatMendsIsTakenInAgainBehindItsCommit() throws Exception {
        copy.damage(second + 200);
        copy.write(14, 3, 5);
        copy.rollAndLook();
        int number = fill(15);
        for (boolean mends : new boolean[] {false, true}) {
            copy.connect(copy.backup.committed());
            copy.stage(9, mends ? 1 : 2);
            copy.syncsLater = true;
            copy.commitStaged(++number, 9, mends ? 1 : 2);
            copy.write(++number, 3, 7);
            assertEquals(!mends, copy.backup.isHolding());
            copy.syncsLater = false;
            copy.settle();
            assertEquals(!mends, copy.backup.isHolding());
            assertEquals(!mends, copy.backup.isRotten());
        }
        assertEquals(at(number), copy.backup.committed());
    }

    /// What it still sends may be the only copy of that, and no epoch comes from it.
    @Test
    void aPrimaryWhoseDiskHasFailedFillsTheJournal() throws Exception {
        copy.damage(second + 200);
        copy.write(14, 3, 5);
        copy.rollAndLook();
        int number = 14;
        while (!copy.backup.isHolding()) {
            copy.write(++number, 3, number % 100);
        }
        long before = copy.backup.journalUsedBytes();
        copy.backup.primaryFails();
        assertFalse(copy.backup.isHolding());
        while (!copy.backup.isHolding()) {
            copy.write(++number, 3, number % 100);
        }
        assertTrue(copy.backup.journalUsedBytes() > before + CopyOnFiles.JOURNAL / 8);
    }

    @Test
    void aPeerThatWillNotMendIsNotWaitedFor() throws Exception {
        copy.damage(second + 200);
        copy.write(14, 3, 5);
        copy.rollAndLook();
        int number = 14;
        while (!copy.backup.isHolding()) {
            copy.write(++number, 3, number % 100);
        }
        copy.backup.on(new Frame.InvalidateReply(new UUID(3, 4), "its state takes no writes"));
        assertFalse(copy.backup.isHolding());
    }

    /// It waits for no epoch: its clients write on until the journal is full.
    @Test
    void aPromotedCopyLeavesNothingForAnEpochThatDoesNotCome() throws Exception {
        copy.damage(second + 200);
        copy.write(14, 3, 5);
        copy.rollAndLook();
        assertTrue(copy.backup.isRotten());
        copy.backup.sessionDown();
        Frame.Write own = null;
        long number = 14;
        do {
            number++;
            own = new Frame.Write(0, at(number), 5, 3 * 4096, ByteBuffer.allocate(4096));
        } while (copy.backup.takeOwn(own, copy.now()));
        long used = copy.backup.journalUsedBytes();
        assertTrue(used > CopyOnFiles.JOURNAL - 5000, "%d bytes are used".formatted(used));
    }

    /// Blocks that the epoch does not bring are as unreadable as before.
    @Test
    void anEpochThatMendsNothingIsNotTakenForOneThatDoes() throws Exception {
        copy.write(14, 3, 5);
        copy.damage(second + 200);
        copy.rollAndLook();
        copy.connect(at(14));
        copy.commit(20, 9, 2);
        assertTrue(copy.backup.isRotten());
        assertEquals(1, asked(), "not at once again: all of it would be compared without end");
        copy.backup.tick(CopyOnFiles.now(5 + Backup.ASK_AGAIN_MILLIS));
        assertEquals(2, asked());
        copy.backup.tick(CopyOnFiles.now(5 + 2 * Backup.ASK_AGAIN_MILLIS));
        assertEquals(2, asked());
        copy.backup.tick(CopyOnFiles.now(5 + 3 * Backup.ASK_AGAIN_MILLIS));
        assertEquals(3, asked());
        copy.rollAndLook();
        assertStopped();
        copy.connect(at(20));
        copy.commit(30, 8, 1);
        assertFalse(copy.backup.isRotten());
        copy.rollAndLook();
        assertView(at(30), 2, 8, 9, 5);
        assertEquals(at(30), copy.durable.position());
    }

    @Test
    void moreDamageBehindTheFirstIsFoundByTheRollThatPassesIt() throws Exception {
        copy.damage(second + 200);
        copy.write(14, 3, 5);
        copy.rollAndLook();
        copy.connect(at(14));
        copy.commit(20, 9, 1);
        assertFalse(copy.backup.isRotten());
        copy.damage(third + 200);
        copy.rollAndLook();
        assertTrue(copy.backup.isRotten());
        assertEquals(Set.of(third), copy.backup.unreadable());
        assertStopped();
        copy.connect(at(20));
        copy.commit(30, 8, 2);
        copy.rollAndLook();
        assertEquals(at(30), copy.durable.position());
        assertView(at(30), 2, 9, 8, 5);
    }

    /// A header that cannot be read: what is zero is known from the index.
    @Test
    void zeroesNeedNoRecord() throws Exception {
        copy.on(new Frame.Zero(0, at(14), 5, 3 * 4096, 4096, true));
        long zeroes = copy.lastAddress();
        copy.write(15, 0, 7);
        copy.damage(zeroes + 5);
        copy.rollAndLook();
        assertFalse(copy.backup.isRotten());
        assertEquals(at(15), copy.durable.position());
        assertView(at(15), 7, 3, 4, 0);
    }

    @Test
    void aPinBehindTheDamageIsLostAndAMarkToo() throws Exception {
        copy.write(14, 3, 5);
        Moment then = copy.backup.history().newest();
        assertEquals("", copy.backup.keep("then", then, 4 * 4096, 1000));
        copy.on(new Frame.Mark(1, at(14), 5, "marked"));
        copy.write(15, 3, 6);
        assertEquals(1, copy.backup.marks().size());
        copy.damage(second + 200);
        copy.rollAndLook();
        assertTrue(copy.events.toString().contains("pin-lost then"), copy.events.toString());
        assertEquals(List.of(), copy.backup.pins());
        assertEquals(List.of(), copy.backup.marks());
    }

    /// What is rolled in front of the damage is freed, and what goes on behind it needs it no more.
    @Test
    void theBaseMovesOnInFrontOfTheDamageAndThenPassesIt() throws Exception {
        copy.backup.retain(new Retention(1000, 0), Integer.MAX_VALUE);
        for (int i = 14; i < 214; i++) {
            copy.write(i, 10 + i % 20, i % 100);
        }
        copy.clockMillis = 900;
        long rotten = copy.write(214, 4, 5);
        copy.write(215, 4, 6);
        copy.damage(rotten + 200);
        assertTrue(copy.backup.damageFound(rotten));
        copy.look();
        assertFalse(copy.backup.isRotten());
        Moment goesOn = copy.backup.history().newest();
        copy.clockMillis = 1500;
        for (int i = 216; i < 226; i++) {
            copy.write(i, 5, i % 100);
        }
        copy.rollWhatIsDue();
        long watermark = copy.durable.watermark();
        assertTrue(watermark > 2 * CopyOnFiles.SEGMENT, "rolled to " + watermark);
        assertTrue(watermark <= rotten, "rolled to " + watermark);

        Backup.View view = copy.backup.openView(goesOn);
        assertEquals(2, copy.seen(view, 0));
        assertEquals(1, copy.seen(view, 3));
        assertEquals(6, copy.seen(view, 4));
        for (int block = 10; block < 30; block++) {
            int last = block - 10 + 20 * ((213 - (block - 10)) / 20);
            assertEquals(last % 100, copy.seen(view, block), "block " + block);
        }
        copy.backup.closeView(view.id());
        copy.rollAndLook();
        assertEquals(at(225), copy.durable.position());
        assertView(at(225), 2, 3, 4, 1, 6, 25);
    }

    @Test
    void aRollThatMeetsDamageWhichItShouldNotNeedDoesNotBeginAgain() {
        copy.backup.startRoll(true);
        copy.backup.rollMeetsDamage(copy.backup.end());
        assertEquals(DiskState.FAILED, copy.backup.diskState());
        assertNull(copy.backup.startRoll(true));
    }

    /// The moments from the one on that needed nothing of the first damage stay, kept ones too.
    @Test
    void moreDamageBehindWhatWentOnCostsWhatLiesBehindIt() throws Exception {
        copy.write(14, 1, 5);
        copy.damage(second + 200);
        copy.backup.damageFound(second);
        copy.look();
        assertFalse(copy.backup.isRotten());
        Moment goesOn = copy.backup.history().newest();
        assertEquals("", copy.backup.keep("kept", goesOn, 4 * 4096, 1000));
        copy.write(15, 3, 6);
        long later = copy.write(16, 2, 7);
        copy.write(17, 3, 8);
        Moment behind = copy.backup.history().newest();
        assertEquals("", copy.backup.keep("behind", behind, 4 * 4096, 1000));
        copy.damage(later + 200);
        assertTrue(copy.backup.damageFound(later));
        copy.look();
        assertTrue(copy.backup.isRotten());
        assertEquals(Set.of(later), copy.backup.unreadable());
        assertEquals(List.of("kept"), copy.backup.pins().stream().map(Pins.Pin::name).toList());
        assertTrue(copy.events.toString().contains("pin-lost behind"), copy.events.toString());
        Backup.View view = copy.backup.openView("kept");
        assertEquals(2, copy.seen(view, 0));
        assertEquals(5, copy.seen(view, 1));
        assertEquals(4, copy.seen(view, 2));
        assertEquals(1, copy.seen(view, 3));
        copy.backup.closeView(view.id());
        copy.connect(at(17));
        copy.commit(20, 9, 2);
        assertFalse(copy.backup.isRotten());
        Backup.Roll toKept = copy.backup.startRoll(true);
        assertEquals(goesOn.address(), toKept.to());
        copy.roll(toKept, Integer.MAX_VALUE);
        copy.rollAndLook();
        assertEquals(at(20), copy.durable.position());
        assertView(at(20), 2, 5, 9, 8);
    }

    /// Found later and standing earlier, and written over since as well.
    @Test
    void moreDamageInFrontOfTheFirstCostsNothingBehindWhatWentOn() throws Exception {
        copy.write(14, 0, 7);
        copy.write(15, 1, 5);
        copy.backup.damageFound(second);
        copy.look();
        copy.write(16, 3, 6);
        assertEquals("", copy.backup.keep("kept", copy.backup.history().newest(), 4 * 4096, 1000));
        assertTrue(copy.backup.damageFound(second), "again, and known");
        assertTrue(copy.backup.damageFound(first));
        assertEvents("journal-damaged", "journal-mended", "journal-damaged");
        assertFalse(copy.backup.isDoubted());
        assertFalse(copy.backup.isRotten());
        assertEquals(1, copy.backup.pins().size());
        Moment next = copy.backup.history().behind(first);
        assertEquals(at(15), next.position());
        copy.rollAndLook();
        assertEquals(at(16), copy.durable.position());
        assertView(at(16), 7, 5, 4, 6);
    }

    @Test
    void aMomentThatHasEndedIsNotKeptAndNoMarkOfItIsListed() throws Exception {
        copy.write(14, 1, 5);
        Backup.View ended = copy.backup.openView();
        copy.write(15, 3, 6);
        copy.backup.damageFound(second);
        copy.look();
        assertFalse(copy.backup.isRotten());
        assertEquals(
                "the moment has ended: the journal is damaged in front of it",
                copy.backup.keep("mine", ended.moment(), 4 * 4096, 1000));
        copy.backup.closeView(ended.id());
        // Marked before the damage was found, and durable behind that.
        copy.write(16, 2, 7);
        long bad = copy.lastAddress();
        copy.syncsLater = true;
        copy.on(new Frame.Mark(1, at(16), 5, "marked"));
        copy.backup.damageFound(bad);
        copy.settle();
        List<String> replies =
                copy.sent.stream()
                        .filter(each -> each instanceof Frame.MarkReply)
                        .map(each -> ((Frame.MarkReply) each).refusal())
                        .toList();
        assertEquals(1, replies.size());
        assertTrue(replies.getFirst().contains("damaged"), replies.getFirst());
        assertEquals(List.of(), copy.backup.marks());
        assertNull(copy.backup.openView("marked"));
    }

    /// The roll would have found it itself.
    @Test
    void damageThatIsHeardOfBesideARollThatMeetsItEndsTheMomentsBehind() throws Exception {
        long bad = aRollOverMoments();
        copy.backup.damageFound(bad);
        assertFalse(copy.backup.isRotten(), "the roll may pass it");
        copy.backup.rollMeetsDamage(bad);
        assertTrue(copy.backup.isRotten());
        assertSame(copy.backup.history().newest(), copy.backup.history().behind(bad));
        assertNotNull(copy.backup.history().upTo(bad, Long.MAX_VALUE));
    }

    @Test
    void damageThatIsHeardOfBesideARollThatPassesItCostsNothing() throws Exception {
        copy.write(14, 3, 5);
        Backup.Roll roll = copy.backup.startRoll(true);
        copy.write(15, 3, 6);
        assertEquals("", copy.backup.keep("kept", copy.backup.history().newest(), 4 * 4096, 1000));
        assertTrue(copy.backup.damageFound(second));
        copy.roll(roll, Integer.MAX_VALUE);
        assertFalse(copy.backup.isRotten());
        assertFalse(copy.backup.isDoubted());
        assertEvents();
        assertEquals(1, copy.backup.pins().size());
        assertView(at(15), 2, 3, 4, 6);
    }

    /// A roll that ends for want of room brings the moments back, but for those that have ended.
    @Test
    void damageThatIsHeardOfBesideARollThatLacksRoomEndsTheMomentsBehind() throws Exception {
        long bad = aRollOverMoments();
        copy.backup.damageFound(bad);
        copy.backup.saveLacksRoom("no room");
        assertTrue(copy.backup.isRotten());
        assertSame(copy.backup.history().newest(), copy.backup.history().behind(bad));
    }

    /// @return a record with moments in front of it and behind
    private long aRollOverMoments() {
        for (int i = 14; i < 34; i++) {
            copy.write(i, 3, i);
        }
        long bad = copy.lastAddress();
        for (int i = 34; i < 54; i++) {
            copy.write(i, 3, i);
        }
        assertTrue(copy.backup.history().upTo(bad, Long.MAX_VALUE).position().number() > 10);
        assertTrue(
                copy.backup.history().behind(bad).address()
                        < copy.backup.history().newest().address());
        assertTrue(copy.backup.startRoll(true).to() > bad);
        return bad;
    }

    @Test
    void aPinIsSaidToBeLostWhenThatIsDurable() {
        copy.write(14, 3, 5);
        Moment then = copy.backup.history().newest();
        assertEquals("", copy.backup.keep("then", then, 4 * 4096, Long.MAX_VALUE / 2));
        copy.pinsTrouble = "no space left";
        copy.backup.damageFound(second);
        copy.backup.tick(CopyOnFiles.now(6));
        assertEquals(1, copy.backup.pins().size());
        assertFalse(copy.events.toString().contains("pin-lost"), copy.events.toString());
        assertEquals(1, copy.events.stream().filter(e -> e.startsWith("metadata-error")).count());
        copy.pinsTrouble = null;
        copy.backup.tick(CopyOnFiles.now(7));
        assertEquals(List.of(), copy.backup.pins());
        assertTrue(copy.events.toString().contains("pin-lost then"), copy.events.toString());
    }

    /// What it leaves out comes with an epoch, which may mend that as well. On a slow line there is
    /// always another one to come, so the next one is not waited for.
    @Test
    void aPrimaryThatLeavesSomethingOutIsAskedOnceItsEpochHasMendedNothing() throws Exception {
        copy.damage(second + 200);
        copy.write(14, 3, 5);
        copy.leavesOutBehind(14);
        copy.rollAndLook();
        assertTrue(copy.backup.isRotten());
        copy.backup.tick(CopyOnFiles.now(6 + Backup.ASK_AGAIN_MILLIS));
        assertEquals(0, asked());
        copy.stage(6, 3);
        copy.leavesOutBehind(15);
        copy.commitStaged(15, 6, 3);
        assertTrue(copy.backup.isBehind());
        assertEquals(1, asked());
    }

    /// The primary may not be able to note it just now.
    @Test
    void aPrimaryThatRefusesToMendIsAskedAgainAndItsWordsAreTold() throws Exception {
        copy.damage(second + 200);
        copy.write(14, 3, 5);
        copy.rollAndLook();
        assertEquals(1, asked());
        copy.backup.on(new Frame.InvalidateReply(copy.primary().resource(), "its disk is full"));
        assertTrue(copy.backup.rotWords().contains("its disk is full"), copy.backup.rotWords());
        copy.backup.tick(CopyOnFiles.now(6));
        assertEquals(1, asked());
        copy.backup.tick(CopyOnFiles.now(6 + Backup.ASK_AGAIN_MILLIS));
        assertEquals(2, asked());
        copy.backup.on(new Frame.InvalidateReply(copy.primary().resource(), ""));
        assertFalse(copy.backup.rotWords().contains("its disk is full"), copy.backup.rotWords());
    }

    /// What a bridge leads over is not read, and what was kept behind it since stays.
    @Test
    void aRestartBehindTheMendingLosesNothing() throws Exception {
        Pins.Pin kept = mendedAndKept();
        copy.damage(first + 200); // More in front of the bridge costs nothing either.
        copy.open();
        assertNull(copy.damage);
        copy.backup.pins(List.of(kept), 1);
        assertFalse(copy.backup.isRotten());
        assertEquals(List.of(kept), copy.backup.pins());
        assertEquals(at(15), copy.backup.history().behind(second).position());
        assertView(at(17), 2, 5, 4, 7);
        Backup.View view = copy.backup.openView("kept");
        assertEquals(5, copy.seen(view, 1));
        assertEquals(6, copy.seen(view, 3));
        copy.backup.closeView(view.id());
        copy.events.clear();
        copy.rollAndLook();
        assertEvents();
        assertEquals(at(17), copy.durable.position());
        assertEquals(List.of(kept), copy.backup.pins());
        copy.open();
        assertNull(copy.damage);
        assertView(at(17), 2, 5, 4, 7);
    }

    /// The base is half of one moment and half of a later one, and the journal behind the bridge
    /// makes it whole.
    @Test
    void aCrashInTheRollThatPassesTheDamageChangesNothing() throws Exception {
        mendedAndKept();
        copy.backup.pins(List.of(), 1);
        Backup.Roll roll = copy.backup.startRoll(true);
        assertEquals(copy.backup.end(), roll.to());
        copy.roll(roll, 2);
        assertTrue(copy.durable.rollingTo() > second);
        copy.open();
        assertNull(copy.damage);
        assertFalse(copy.backup.isMixture());
        assertView(at(17), 2, 5, 4, 7);
        copy.rollAndLook();
        assertEquals(at(17), copy.durable.position());
        assertView(at(17), 2, 5, 4, 7);
    }

    /// @return what was kept of 16
    private Pins.Pin mendedAndKept() throws Exception {
        copy.write(14, 1, 5);
        copy.write(15, 0, 2);
        copy.damage(second + 200);
        copy.backup.damageFound(second);
        copy.look();
        assertFalse(copy.backup.isRotten());
        copy.write(16, 3, 6);
        assertEquals(
                "",
                copy.backup.keep(
                        "kept", copy.backup.history().newest(), 4 * 4096, Long.MAX_VALUE / 2));
        copy.write(17, 3, 7);
        return copy.backup.pins().getFirst();
    }

    /// The index of the segment has what is damaged, so a start reads and cuts nothing.
    @Test
    void aRestartInFrontOfTheMendingForgetsNothingOfTheDamage() throws Exception {
        copy.write(14, 3, 5);
        SegmentIndex whole = copy.indexOf(0);
        copy.indexes = address -> address == 0 ? whole : null;
        copy.damage(second + 200);
        copy.backup.damageFound(second);
        copy.open();
        assertNull(copy.damage);
        assertTrue(copy.backup.isRotten());
        assertTrue(copy.backup.isDoubted());
        assertSame(copy.backup.history().newest(), copy.backup.history().behind(second));
        // What it has by itself cannot be kept, so it is not given up.
        assertNotEquals("", copy.backup.discard(1, "discarded", 1000));
        copy.look();
        assertEquals(Set.of(second), copy.backup.unreadable());
        copy.connect(at(14));
        copy.commit(20, 9, 1);
        assertFalse(copy.backup.isRotten());
        copy.rollAndLook();
        assertEquals(at(20), copy.durable.position());
        assertView(at(20), 2, 9, 4, 5);
    }

    /// No segment has an index here, so a start that read what a bridge leads over would cut it.
    @Test
    void damageBehindABridgeThatNeedsItCostsNoMoreAtARestart() throws Exception {
        long needed = copy.write(14, 1, 5);
        copy.damage(second + 200);
        copy.backup.damageFound(second);
        copy.look();
        assertFalse(copy.backup.isRotten());
        copy.write(15, 0, 6);
        copy.damage(needed + 200);
        copy.backup.damageFound(needed);
        assertMendedBehindARestart(second, needed);
    }

    @Test
    void damageInFrontOfABridgeThatNeedsItCostsNoMoreAtARestart() throws Exception {
        copy.write(14, 2, 4);
        copy.damage(third + 200);
        copy.backup.damageFound(third);
        copy.look();
        assertFalse(copy.backup.isRotten());
        copy.write(15, 0, 6);
        copy.damage(second + 200);
        copy.backup.damageFound(second);
        assertMendedBehindARestart(second, second);
    }

    /// Whole records come to where the damaged ones were.
    @Test
    void noNoteStaysOfWhatTheJournalEndsInFrontOf() throws Exception {
        copy.damage(second + 200);
        copy.damage(third + 5); // Its header: nobody says that what is in front had been durable.
        copy.backup.damageFound(third);
        copy.backup.damageFound(second);
        copy.open();
        assertNull(copy.damage);
        assertEquals(second, copy.backup.end());
        copy.connect(at(11));
        copy.write(12, 1, 3);
        copy.write(13, 2, 4);
        copy.write(14, 3, 5);
        copy.open();
        assertFalse(copy.backup.isRotten());
        assertView(at(14), 2, 3, 4, 5);
    }

    private void assertMendedBehindARestart(long ended, long bad) throws Exception {
        for (int starts = 0; starts < 2; starts++) {
            copy.open();
            assertNull(copy.damage);
            assertTrue(copy.backup.isRotten());
            assertSame(copy.backup.history().newest(), copy.backup.history().behind(ended));
            copy.look();
            assertEquals(Set.of(bad), copy.backup.unreadable());
            assertEquals(at(15), copy.backup.committed());
        }
        copy.connect(at(15));
        copy.commit(20, 9, 1);
        assertFalse(copy.backup.isRotten());
        copy.open();
        assertNull(copy.damage);
        assertFalse(copy.backup.isRotten());
        assertView(at(20), 6, 9, 4, 1);
        copy.rollAndLook();
        assertEquals(at(20), copy.durable.position());
        assertView(at(20), 6, 9, 4, 1);
    }

    @Test
    void momentsGoOnWhenThatIsDurable() throws Exception {
        copy.write(14, 1, 5);
        copy.damage(second + 200);
        copy.noteTrouble = "no space left";
        copy.backup.damageFound(second);
        copy.look();
        assertTrue(copy.backup.isRotten());
        assertTrue(copy.backup.rotWords().contains("no space left"), copy.backup.rotWords());
        copy.connect(at(14));
        copy.backup.tick(CopyOnFiles.now(6));
        assertTrue(copy.backup.isRotten());
        assertEquals(0, asked(), "nothing is to be mended");
        copy.noteTrouble = null;
        copy.backup.tick(CopyOnFiles.now(6 + Backup.NOTE_AGAIN_MILLIS));
        assertFalse(copy.backup.isRotten());
        copy.open();
        assertNull(copy.damage);
        assertView(at(14), 2, 5, 4, 1);
    }

    @Test
    void goldenBytesOfTheNotesStayReadable() throws Exception {
        copy.damage(second + 200);
        copy.backup.damageFound(second);
        assertEquals(GOLDEN_OF_DAMAGE, hexOfNote());
        copy.look();
        copy.connect(at(13));
        copy.commit(14, 5, 1);
        assertFalse(copy.backup.isRotten());
        assertEquals(GOLDEN_OF_BRIDGE, hexOfNote());
    }

    private String hexOfNote() throws IOException {
        Path note = copy.journalDirectory.resolve("%016x.damage".formatted(second));
        return HexFormat.of().formatHex(Files.readAllBytes(note));
    }

    private static final String GOLDEN_OF_DAMAGE =
            "48464a58000000010000000000000003000000000000000400000000000053b8"
                    + "0000000000000000ffffffffffffffff000000000000000001883999";

    private static final String GOLDEN_OF_BRIDGE =
            "48464a58000000010000000000000003000000000000000400000000000053b8"
                    + "0000000000000001ffffffffffffffff00000000000000030200000000000053"
                    + "b800000000000053b80000000000000000000000000000000000000000000000"
                    + "0500000000000000000000000000000000000000000000000100000000000000"
                    + "000300000000000053b800000000000053b80000000000000000000000000000"
                    + "0000000000000000000000000000000000000000000000000000000000000000"
                    + "0001000000000000000400000000000000000000000000001000000000000000"
                    + "43b8000000000000433800000000000010000000000000001000000000000000"
                    + "75b8000000000000753900000000000020000000000000001000000000000000"
                    + "64b8000000000000643800000000000030000000000000001000000000000000"
                    + "328000000000000032010400000000000053b800000000000086700000000000"
                    + "000001000000000000000e000000000000000500000000000000050000000000"
                    + "0000000000000000000001000000310000000000000000000000010000000000"
                    + "0000000000000000000000010000000000000003000000000000000400000000"
                    + "000000002fb0b64f";

    @Test
    void aCutTakesWhatWasNotedBehindIt() throws Exception {
        copy.write(14, 3, 5);
        SegmentIndex whole = copy.indexOf(0);
        copy.indexes = address -> address == 0 ? whole : null;
        copy.damage(third + 200);
        copy.backup.damageFound(third);
        copy.damage(second + 200);
        copy.indexes = JournalScan.Indexes.NONE; // It is broken too.
        copy.open();
        assertTrue(copy.damage.contains("back at " + at(11)), copy.damage);
        copy.connect(at(11));
        copy.write(12, 1, 7);
        copy.write(13, 2, 8);
        copy.open();
        assertNull(copy.damage);
        assertFalse(copy.backup.isRotten());
        assertView(at(13), 2, 7, 8, 1);
    }

    // ---- damage of an epoch

    /// The moment in front of it stays meanwhile.
    @Test
    void anEpochOfWhichSomethingIsFoundDamagedBeforeItsCommitIsMendedBehindThat() throws Exception {
        long blocks = stage(9, 1);
        copy.damage(blocks + 200);
        assertTrue(copy.backup.damageFound(blocks));
        assertFalse(copy.backup.isRotten());
        assertTrue(copy.backup.stagedDamage().contains("offset " + blocks));
        copy.commitStaged(20, 9, 1);
        assertEquals(at(20), copy.backup.committed());
        assertTrue(copy.backup.isRotten());
        copy.look();
        assertEquals(Set.of(blocks), copy.backup.unreadable());
        assertEquals(1, asked());
        assertEquals(at(13), copy.backup.history().upTo(blocks, Long.MAX_VALUE).position());
        copy.connect(at(20));
        copy.commit(30, 8, 1);
        assertFalse(copy.backup.isRotten());
        copy.rollAndLook();
        assertEquals(at(30), copy.durable.position());
        assertView(at(30), 2, 8, 4, 1);
    }

    /// Heard of behind its commit, and in front of that being durable.
    @Test
    void anEpochThatIsFoundDamagedWhenItIsCommittedIsMended() throws Exception {
        long blocks = stage(9, 1);
        copy.syncsLater = true;
        copy.commitStaged(20, 9, 1);
        copy.damage(blocks + 200);
        assertTrue(copy.backup.damageFound(blocks));
        assertFalse(copy.backup.isRotten());
        copy.syncsLater = false;
        copy.settle();
        assertTrue(copy.backup.isRotten());
        copy.look();
        assertEquals(Set.of(blocks), copy.backup.unreadable());
        assertEquals(1, asked());
    }

    /// Behind the newest moment, and nothing of it.
    @Test
    void damageOfAnEpochThatWasGivenUpIsPassedWithTheNewestMoment() throws Exception {
        long blocks = stage(9, 3);
        copy.deviceBlocks = 2; // What is kept cannot be told to such a primary.
        copy.connect(at(13));
        stage(8, 1);
        copy.damage(blocks + 200);
        assertTrue(copy.backup.damageFound(blocks));
        copy.look();
        assertFalse(copy.backup.isRotten());
        copy.rollAndLook();
        assertTrue(copy.durable.watermark() > blocks, copy.durable.toString());
        copy.commitStaged(20, 8, 1);
        copy.write(21, 0, 7);
        copy.rollAndLook();
        assertEvents("journal-damaged", "journal-mended");
        assertEquals(at(21), copy.durable.position());
        assertView(at(21), 7, 8, 4, 1);
    }

    @Test
    void aKeptMomentThatHasEndedAndIsOpenIsSaidToBeInTheWay() throws Exception {
        copy.write(14, 1, 5);
        assertEquals("", copy.backup.keep("then", copy.backup.history().newest(), 4 * 4096, 1000));
        Backup.View open = copy.backup.openView("then");
        copy.write(15, 1, 6);
        copy.damage(second + 200);
        copy.backup.damageFound(second);
        copy.look();
        assertFalse(copy.backup.isRotten());
        assertEquals(1, copy.backup.endedOpen().size());
        assertTrue(copy.backup.obstacle().contains("then is open"), copy.backup.obstacle());
        copy.backup.closeView(open.id());
        assertEquals(List.of(), copy.backup.endedOpen());
        assertEquals(List.of(), copy.backup.pins());
        copy.rollAndLook();
        assertEquals(at(15), copy.durable.position());
    }

    /// The first is known, and a bridge leads over it.
    @Test
    void allThatIsHeardOfBesideARollCounts() throws Exception {
        copy.write(14, 1, 5);
        copy.backup.damageFound(second);
        copy.look();
        assertFalse(copy.backup.isRotten());
        long later = copy.write(15, 2, 6);
        copy.write(16, 3, 7);
        assertTrue(copy.backup.startRoll(true).to() > later);
        copy.backup.damageFound(second);
        copy.backup.damageFound(later);
        assertFalse(copy.backup.isRotten());
        copy.backup.rollLacksSpace("no space");
        assertTrue(copy.backup.isRotten());
        assertSame(copy.backup.history().newest(), copy.backup.history().behind(later));
    }

    /// @return where the record begins
    private long stage(int with, int block) {
        copy.stage(with, block);
        return copy.lastAddress();
    }

    private void assertStopped() {
        assertTrue(copy.durable.watermark() <= second, copy.durable.toString());
        assertTrue(copy.durable.rollingTo() <= second, copy.durable.toString());
    }

    private long asked() {
        return copy.sent.stream().filter(each -> each instanceof Frame.Invalidate).count();
    }

    private void assertEvents(String... kinds) {
        assertEquals(
                List.of(kinds),
                copy.events.stream()
                        .map(each -> each.substring(0, each.indexOf(' ')))
                        .filter(each -> each.startsWith("journal-"))
                        .toList());
    }

    private void assertNoPoint() throws Exception {
        copy.open();
        assertTrue(copy.damage.contains("no image of any moment"), copy.damage);
        assertMixture();
        // The damaged journal is left behind; that the copy is a mixture is not forgotten.
        copy.backup.sessionUp(copy.primary());
        assertNull(copy.lastHello(), "greets before the journal can take anything");
        copy.roll(Integer.MAX_VALUE);
        assertEquals(DiskState.INCONSISTENT.ordinal(), copy.lastHello().diskState());
        copy.open();
        assertNull(copy.damage);
        assertMixture();
        // A write cannot mend it, an epoch with all that differs can.
        copy.connect(Position.NONE);
        copy.write(14, 3, 9);
        assertTrue(copy.backup.refusal().contains("no point"), copy.backup.refusal());
        copy.connect(Position.NONE);
        copy.commit(20, 8, 0, 1, 2, 3);
        assertView(at(20), 8, 8, 8, 8);
        copy.write(21, 3, 9);
        copy.open();
        assertNull(copy.damage);
        assertView(at(21), 8, 8, 8, 9);
        copy.roll(Integer.MAX_VALUE);
        copy.open();
        assertFalse(copy.durable.mixture());
        assertView(at(21), 8, 8, 8, 9);
    }

    private void assertMixture() {
        assertTrue(copy.backup.isMixture());
        assertNull(copy.backup.openView());
        assertEquals(DiskState.INCONSISTENT, copy.backup.diskState());
    }

    private void assertGoesOnInFrontOfTheDamage() throws Exception {
        copy.connect(at(11));
        assertEquals(at(11), copy.lastHello().committed());
        copy.write(12, 3, 6);
        assertEquals(at(12), copy.backup.committed());
        copy.open();
        assertNull(copy.damage);
        assertView(at(12), 2, 1, 1, 6);
    }

    private void assertView(Position position, int... blocks) throws Exception {
        Backup.View view = copy.backup.openView();
        assertNotNull(view);
        assertEquals(position, view.position());
        for (int i = 0; i < blocks.length; i++) {
            assertEquals(blocks[i], copy.seen(view, i), "block " + i);
        }
        copy.backup.closeView(view.id());
    }
}
