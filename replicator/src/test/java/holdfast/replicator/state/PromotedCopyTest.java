package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.state.History.Moment;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.UUID;

/// A copy that a primary of its own host writes to: at any moment, also after crashes and over
/// roll-forwards, it is what was written and synced, and so is each older moment that can be
/// opened. A kill leaves all that was written, a power cut a beginning of what was not synced.
/// `-Dholdfast.promoted.seeds=N` plays more.
class PromotedCopyTest {
    private static final Now NOW = CopyOnFiles.now(5);

    private static final UUID HOST = new UUID(7, 7);
    private static final int SEEDS = Integer.getInteger("holdfast.promoted.seeds", 12);
    private static final int STEPS = 120;

    @TempDir Path dir;

    private CopyOnFiles copy;

    /// What was synced.
    private byte[] now = new byte[CopyOnFiles.BLOCKS];

    /// What it was after each write since.
    private final List<byte[]> since = new ArrayList<>();

    private int lost;
    private int kept;

    /// What the device was, by journal offset of the moment.
    private final TreeMap<Long, byte[]> moments = new TreeMap<>();

    private long generation;

    private byte[] seen(Backup.View view) throws Exception {
        byte[] image = new byte[CopyOnFiles.BLOCKS];
        for (int i = 0; i < image.length; i++) {
            image[i] = (byte) copy.seen(view, i);
        }
        return image;
    }

    private byte[] written() {
        return since.isEmpty() ? now : since.getLast();
    }

    private void settle() {
        copy.settle();
        now = written();
        since.clear();
    }

    /// The process is killed, or the power is cut.
    private void crash(Random random) throws Exception {
        boolean power = random.nextBoolean();
        if (power) {
            copy.powerCut(random);
        }
        copy.openAsItIs();
        assertNull(copy.damage, "what was not synced is taken for damage");
        Backup.View view = copy.backup.openView();
        byte[] found = seen(view);
        copy.backup.closeView(view.id());
        assertArrayEquals(found, power ? beginning(found) : written(), "after a crash");
        now = found;
        since.clear();
    }

    /// What it was at the latest moment at which it was this.
    private byte[] beginning(byte[] found) {
        for (int i = since.size() - 1; i >= 0; i--) {
            if (Arrays.equals(since.get(i), found)) {
                kept += i + 1;
                lost += since.size() - i - 1;
                return found;
            }
        }
        lost += since.size();
        return now;
    }

    private void newestIsRight(String when) throws Exception {
        Backup.View view = copy.backup.openView();
        assertArrayEquals(now, seen(view), when);
        copy.backup.closeView(view.id());
    }

    private void remember() {
        moments.put(copy.backup.history().newest().address(), now.clone());
    }

    private void promote(Ancestry from, Position parent) {
        begin(0);
        commit(from, parent);
    }

    private void begin(long blocks) {
        assertTrue(copy.backup.takeOwn(new Frame.EpochBegin(++generation, blocks, 0), NOW));
    }

    private void commit(Ancestry from, Position parent) {
        Ancestry.Entry entry =
                new Ancestry.Entry(generation, parent, Ancestry.Reason.PROMOTE, HOST, 5);
        copy.backup.commitOwn(new Position(generation, 0), 5, from.plus(entry));
        settle();
    }

    private static ByteBuffer filled(int with, int blocks) {
        byte[] bytes = new byte[blocks * CopyOnFiles.BLOCK];
        Arrays.fill(bytes, (byte) with);
        return ByteBuffer.wrap(bytes);
    }

    private void write(int block, int with) {
        writeUnsynced(block, with);
        settle();
    }

    private Frame.Data frame(int block, int with) {
        return with == 0
                ? new Frame.Zero(
                        0,
                        copy.backup.nextOwn(),
                        5,
                        (long) block * CopyOnFiles.BLOCK,
                        CopyOnFiles.BLOCK,
                        true)
                : new Frame.Write(
                        0,
                        copy.backup.nextOwn(),
                        5,
                        (long) block * CopyOnFiles.BLOCK,
                        filled(with, 1));
    }

    private void writeUnsynced(int block, int with) {
        assertTrue(copy.backup.takeOwn(frame(block, with), NOW));
        byte[] next = written().clone();
        next[block] = (byte) with;
        since.add(next);
    }

    /// Brings an older moment back, or is cut off in the middle of it.
    private void restore(Random random, Moment to, boolean cutOff) throws Exception {
        Backup.View view = copy.backup.openView(to);
        if (view == null) {
            return;
        }
        byte[] then = seen(view);
        Ancestry past = view.moment().ancestry();
        Position parent = view.position();
        long bytes = 0;
        for (JournalIndex.Run run : copy.backup.since(to)) {
            bytes += run.lengthBytes();
        }
        begin(bytes / CopyOnFiles.BLOCK);
        for (JournalIndex.Run run : copy.backup.since(to)) {
            if (cutOff && random.nextInt(4) == 0) {
                copy.open();
                newestIsRight("an older moment was being brought back");
                promote(copy.backup.ancestry(), copy.backup.committed());
                return;
            }
            for (long at = run.offsetBytes(); at < run.endBytes(); at += CopyOnFiles.BLOCK) {
                int with = then[(int) (at / CopyOnFiles.BLOCK)];
                assertTrue(
                        copy.backup.takeOwn(
                                new Frame.EpochBlocks(0, generation, at, filled(with, 1)), NOW));
                copy.settle();
            }
        }
        newestIsRight("nothing of it counts before its commit");
        commit(past, parent);
        copy.backup.closeView(view.id());
        now = then;
        assertEquals(new Position(generation, 0), copy.backup.committed());
        assertEquals(parent, copy.backup.ancestry().entries().getLast().parent());
    }

    private void oneSeed(long seed) throws Exception {
        Random random = new Random(seed);
        now = new byte[CopyOnFiles.BLOCKS];
        since.clear();
        moments.clear();
        generation = 1000;
        try (CopyOnFiles made =
                new CopyOnFiles(Files.createDirectories(dir.resolve("seed-" + seed)))) {
            copy = made;
            copy.connect(Position.NONE);
            copy.commit(1, 1, 0, 1, 2, 3);
            Arrays.fill(now, 0, 4, (byte) 1);
            remember();
            for (int i = 2; i < 10; i++) {
                int block = random.nextInt(CopyOnFiles.BLOCKS);
                copy.write(i, block, i);
                now[block] = (byte) i;
                remember();
            }
            copy.backup.sessionDown();
            promote(copy.backup.ancestry(), copy.backup.committed());
            remember();
            for (int step = 0; step < STEPS; step++) {
                switch (random.nextInt(12)) {
                    case 0 -> {
                        crash(random);
                        newestIsRight("after a crash");
                        promote(copy.backup.ancestry(), copy.backup.committed());
                    }
                    case 1 -> {
                        if (copy.backup.committedIndex().size() > 0) {
                            copy.roll(random.nextInt(3) == 0 ? random.nextInt(4) : 1000);
                            if (copy.backup.isRolling()) {
                                crash(random); // It was cut off.
                                newestIsRight("after a roll-forward that was cut off");
                                promote(copy.backup.ancestry(), copy.backup.committed());
                            }
                        }
                    }
                    case 2 -> {
                        Map.Entry<Long, byte[]> old =
                                moments.floorEntry(random.nextLong(moments.lastKey() + 1));
                        Moment to = old == null ? null : at(old.getKey());
                        if (to != null) {
                            settle(); // As whoever orders that does it.
                            restore(random, to, random.nextBoolean());
                        }
                    }
                    case 3 -> settle();
                    default ->
                            writeUnsynced(random.nextInt(CopyOnFiles.BLOCKS), random.nextInt(100));
                }
                remember();
                newestIsRight("step " + step);
            }
            olderOnesAreRight();
        } catch (Exception | AssertionError e) {
            throw new AssertionError("seed " + seed + ": " + e.getMessage(), e);
        }
    }

    /// A moment of the history at this journal offset.
    private Moment at(long address) {
        Moment found = copy.backup.history().behind(address - 1);
        return found != null && found.address() == address ? found : null;
    }

    private void olderOnesAreRight() throws Exception {
        int looked = 0;
        for (Map.Entry<Long, byte[]> each : moments.entrySet()) {
            Moment moment = at(each.getKey());
            Backup.View view = moment == null ? null : copy.backup.openView(moment);
            if (view != null) {
                assertArrayEquals(each.getValue(), seen(view), "the moment at " + each.getKey());
                copy.backup.closeView(view.id());
                looked++;
            }
        }
        assertTrue(looked > 0);
    }

    @Test
    void itIsWhatWasWrittenAndSoIsEachOlderMoment() throws Exception {
        for (long seed = 1; seed <= SEEDS; seed++) {
            oneSeed(seed);
        }
        assertTrue(lost > 0 && kept > 0, lost + " writes lost, " + kept + " kept");
    }

    /// Whoever gives it again whenever the roller has looked would keep a processor busy else.
    @Test
    void theRollerIsWokenOnceByWhatFindsNoRoom() throws Exception {
        try (CopyOnFiles made = new CopyOnFiles(dir)) {
            copy = made;
            copy.connect(Position.NONE);
            copy.commit(1, 1, 0);
            copy.backup.sessionDown();
            promote(copy.backup.ancestry(), copy.backup.committed());
            copy.rollerWoken = 0;
            int taken = 0;
            while (copy.backup.takeOwn(frame(taken % CopyOnFiles.BLOCKS, 1), NOW)) {
                taken++;
            }
            assertTrue(taken > CopyOnFiles.BLOCKS);
            assertEquals(1, copy.rollerWoken);
            for (int i = 0; i < 5; i++) {
                assertFalse(copy.backup.takeOwn(frame(0, 2), NOW));
            }
            assertEquals(1, copy.rollerWoken);
            copy.rollWhatIsDue(); // What was durable before.
            copy.rollerWoken = 0;
            assertFalse(copy.backup.takeOwn(frame(0, 2), NOW));
            assertNull(copy.backup.startRoll(false));
            assertEquals(0, copy.rollerWoken);
            copy.settle();
            assertEquals(1, copy.rollerWoken);
            copy.rollWhatIsDue();
            assertTrue(copy.backup.takeOwn(frame(0, 2), NOW));
        }
    }

    /// It is given again ten times a second.
    @Test
    void anEpochThatFindsNoRoomSaysSoOnce() throws Exception {
        try (CopyOnFiles made = new CopyOnFiles(dir)) {
            copy = made;
            copy.connect(Position.NONE);
            copy.commit(1, 1, 0);
            copy.backup.sessionDown();
            now[0] = 1;
            Frame.Data tooLarge = new Frame.EpochBegin(5, CopyOnFiles.JOURNAL, 0);
            for (int i = 0; i < 5; i++) {
                assertFalse(copy.backup.takeOwn(tooLarge, NOW));
                assertTrue(copy.backup.wantsRoom());
                assertTrue(copy.backup.missingForEpoch() > 0);
            }
            assertEquals(1, copy.events.stream().filter(e -> e.startsWith("journal-full")).count());
            generation = 5;
            promote(copy.backup.ancestry(), copy.backup.committed());
            assertFalse(copy.backup.wantsRoom());
            newestIsRight("promoted");
            assertFalse(copy.backup.takeOwn(new Frame.EpochBegin(9, CopyOnFiles.JOURNAL, 0), NOW));
            assertTrue(copy.backup.wantsRoom());
            copy.backup.abandonOwn();
            assertFalse(copy.backup.wantsRoom());
        }
    }

    /// An epoch that cannot have room whatever is rolled for it has nothing rolled.
    @Test
    void whetherThereCanBeRoomIsKnownBeforeAnythingIsRolled() throws Exception {
        try (CopyOnFiles made = new CopyOnFiles(dir)) {
            copy = made;
            copy.connect(Position.NONE);
            copy.commit(1, 1, 0);
            copy.backup.sessionDown();
            copy.backup.retain(new Retention(3_600_000, 0), Integer.MAX_VALUE);
            promote(copy.backup.ancestry(), copy.backup.committed());
            for (int i = 0; i < 100; i++) {
                write(i % CopyOnFiles.BLOCKS, 1);
            }
            Backup.View view = copy.backup.openView();
            Frame.EpochBegin begin = new Frame.EpochBegin(++generation, CopyOnFiles.BLOCKS, 0);
            int written = 0;
            while (copy.backup.lacksForOwn(begin, view, NOW) == 0) {
                write(written++ % CopyOnFiles.BLOCKS, 2);
            }
            assertTrue(written > CopyOnFiles.BLOCKS);
            copy.rollerWoken = 0;
            assertTrue(copy.backup.lacksForOwn(begin, view, NOW) > 0);
            assertEquals(0, copy.rollerWoken, "asking wakes nobody");
            assertEquals(0, copy.backup.base().watermark());
            assertFalse(copy.backup.takeOwn(begin, NOW));
            copy.rollWhatIsDue();
            assertTrue(copy.backup.base().watermark() > 0, "it would have been rolled for nothing");
            assertFalse(copy.backup.takeOwn(begin, NOW));
            assertTrue(copy.backup.lacksForOwn(begin, view, NOW) > 0);

            assertEquals(0, copy.backup.lacksForOwn(begin, null, NOW), "nothing has to stay");
            copy.backup.closeView(view.id());
            copy.rollWhatIsDue();
            assertTrue(copy.backup.takeOwn(begin, NOW));
        }
    }

    @Test
    void aPeerThatIsThereWritesAlone() throws Exception {
        try (CopyOnFiles made = new CopyOnFiles(dir)) {
            copy = made;
            copy.connect(Position.NONE);
            copy.commit(1, 1, 0);
            assertThrows(IllegalStateException.class, () -> write(0, 2));
            assertFalse(copy.backup.holdsStaged());
        }
    }

    @Test
    void nothingIsTakenInWhileTheJournalIsDamaged() throws Exception {
        try (CopyOnFiles made = new CopyOnFiles(dir)) {
            copy = made;
            copy.connect(Position.NONE);
            copy.commit(1, 1, 0);
            copy.write(2, 1, 2);
            long bad = copy.write(3, 2, 3);
            copy.write(4, 3, 4);
            copy.damage(bad + 200);
            copy.openAsItIs();
            assertTrue(copy.damage != null);
            assertFalse(copy.backup.takeOwn(new Frame.EpochBegin(5, 0, 0), NOW));
            copy.cut();
            now = new byte[CopyOnFiles.BLOCKS];
            now[0] = 1;
            now[1] = 2;
            generation = 5;
            promote(copy.backup.ancestry(), copy.backup.committed());
            write(7, 7);
            copy.open();
            assertNull(copy.damage);
            newestIsRight("what was written behind the damage stays");
        }
    }
}
