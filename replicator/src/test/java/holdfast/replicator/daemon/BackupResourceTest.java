package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.Committer;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.device.PackedSegment;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Retention;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.io.TempDir;

import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/// A copy whose base hangs, is full or fails, and whose journal is shorter than its index says.
class BackupResourceTest {
    private static final int BLOCK = 4096;
    private static final int SIZE = 64 * BLOCK;

    /// Of a test whose device takes more than is synced at once.
    private static final String LARGE = "large";

    private static final long LARGE_SIZE = 2L * RollPace.SYNC_BYTES;
    private static final UUID ID = new UUID(5, 6);
    private static final long SESSION = 9;
    private static final Ancestry ANCESTRY =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));
    private static final int ENOSPC = 28;

    @TempDir Path dir;

    private final List<Frame> sent = new CopyOnWriteArrayList<>();
    private final List<String> events = new CopyOnWriteArrayList<>();
    private final ExecutorService pool = Executors.newFixedThreadPool(4);
    private final Committer committer = new Committer("test");
    private ResourceDir store;
    private JournalFiles journal;
    private StrangeDevice base;
    private BackupResource resource;

    private final PeerSession peer =
            new PeerSession() {
                @Override
                public void send(Frame frame) {
                    sent.add(frame);
                }

                @Override
                public PeerClock peerClock() {
                    return PeerClock.UNKNOWN;
                }

                @Override
                public int open(PrimaryResource source) {
                    throw new AssertionError("a backup opens no stream");
                }

                @Override
                public void close(int stream) {}

                @Override
                public void drop(int stream) {}

                @Override
                public void wake(int stream) {}

                @Override
                public void grant(int stream, long bytes) {}
            };

    @BeforeEach
    void open(TestInfo test) throws Exception {
        Path disk = dir.resolve("home.img");
        long size = test.getTags().contains(LARGE) ? LARGE_SIZE : SIZE;
        base = new StrangeDevice(FileBlockDevice.create(disk, size));
        long journalBytes = 64 << 20;
        ResourceDir.Facts facts =
                new ResourceDir.Facts(
                        ID.toString(),
                        "SECONDARY",
                        List.of(disk.toString()),
                        true,
                        dir.resolve("home.journal").toString(),
                        journalBytes,
                        "server");
        LocalBackup.create(facts);
        store =
                ResourceDir.create(
                        dir.resolve("resources"),
                        "home",
                        facts,
                        ResourceDir.newBackup(ID, AddressSpace.of(size), true, ID, 7),
                        ResourceSettings.ofDisks(new TreeMap<>()));
        long segment = LocalBackup.segmentBytes(journalBytes);
        journal = JournalFiles.open(Path.of(facts.journal()), segment, journalBytes, 0);
        resource =
                new BackupResource(
                        "home",
                        base,
                        journal,
                        committer,
                        // Whatever is committed is rolled forward at once.
                        new Backup.Config(ID, size, journalBytes, segment, 1, true),
                        store.superblock().base(),
                        store.openJournal(),
                        pool,
                        pool,
                        true,
                        _ -> {},
                        store,
                        PinStore.open(dir.resolve("home.pins"), ID),
                        "holdfast connect home",
                        "holdfast keep home %s --drop",
                        (kind, text) -> events.add(kind + " " + text),
                        (_, _) -> {});
        resource.greeted(
                peer,
                new Frame.ResourceHello(
                        ID,
                        1,
                        DiskState.UP_TO_DATE.ordinal(),
                        size,
                        new Position(1, 1),
                        new Position(1, 1),
                        0,
                        true,
                        0,
                        false,
                        0,
                        ANCESTRY));
        await("greeted", () -> !sent.isEmpty());
        resource.received(peer, new Frame.StreamStart(ID, SESSION, 1, Position.NONE));
    }

    @AfterEach
    void close() {
        base.hang.release(1000);
        resource.stop();
        committer.close();
        journal.close();
        base.close();
        store.close();
        pool.shutdown();
    }

    @Test
    void settlingWaitsForARollForwardThatIsUnderWay() throws Exception {
        base.hangs = true;
        commit(1, (byte) 5, 3);
        await("the roll-forward hangs", () -> base.waiting);
        CompletableFuture<String> settled = CompletableFuture.supplyAsync(resource::settle);
        await("settling has begun", () -> resource.snapshot().replication().equals("OFF"));
        base.hangs = false;
        base.hang.release();
        assertEquals("", settled.join());
        assertEquals(5, base.at(3L * BLOCK));
    }

    /// What is overwritten meanwhile costs the base nothing.
    @Test
    void aRollWritesEachBlockOnce() throws Exception {
        base.hangs = true;
        commit(1, (byte) 5, 3);
        await("the roll-forward hangs", () -> base.waiting);
        for (int i = 0; i < 100; i++) {
            write(2 + i, (byte) (i + 1), 10 + i % 10);
        }
        await("acknowledged", () -> acknowledged() == 101);
        base.hangs = false;
        base.hang.release();
        assertEquals("", resource.settle());
        assertEquals((1 + 10) * BLOCK, base.bytesWritten);
        for (int i = 0; i < 10; i++) {
            assertEquals(91 + i, base.at((10L + i) * BLOCK));
        }
    }

    @Test
    void settlingSaysThatAViewIsOpen() throws Exception {
        base.hangs = true;
        commit(1, (byte) 5, 3);
        await("the roll-forward hangs", () -> base.waiting);
        OpenPoint point = resource.openPoint();
        base.hangs = false;
        base.hang.release();
        await("rolled", () -> store.superblock().watermark() > 0);
        write(2, (byte) 6, 3);
        await("committed", () -> resource.snapshot().committed().number() == 2);
        assertEquals("a view is open", resource.settle());
        resource.closePoint(point);
        assertEquals("", resource.settle());
        assertEquals(6, base.at(3L * BLOCK));
    }

    @Test
    void aMomentThatDoesNotFitIsNotLeftOpenAndOneThatDoesGivesBack() throws Exception {
        base.hangs = true;
        commit(1, (byte) 5, 3);
        await("the roll-forward hangs", () -> base.waiting);
        for (int i = 0; i < 20; i++) {
            int at = i;
            data(
                    new Frame.Write(
                            0, new Position(1, 2 + at), 6 + at, 2L * at * BLOCK, filled((byte) 6)));
        }
        await("committed", () -> acknowledged() == 21);
        ViewMemory small = new ViewMemory(3);
        ViewMemory.Claim lacks = small.claim("home", "holdfast "::concat);
        assertThrows(UncheckedIOException.class, () -> resource.openPoint(20, lacks::builds));
        lacks.giveBack();
        assertEquals(0, small.taken());

        ViewMemory enough = new ViewMemory(100);
        ViewMemory.Claim fits = enough.claim("home", "holdfast "::concat);
        OpenPoint point = resource.openPoint(20, fits::builds);
        assertTrue(enough.taken() >= 15, enough.taken() + " runs");
        point.counts(fits);
        assertEquals(16, enough.taken());
        resource.closePoint(point);
        await("given back", () -> enough.taken() == 0);
        base.hangs = false;
        base.hang.release(1000);
        await("no view is left open", () -> resource.settle().isEmpty());
    }

    @Test
    void aReaderThatHangsKeepsItsPartOfTheJournalAndNobodyWaiting() throws Exception {
        commit(1, (byte) 5, 3);
        await("rolled", () -> store.superblock().watermark() > 0);
        OpenPoint point = resource.openPoint();
        base.readsHang = true;
        CompletableFuture<Byte> read =
                CompletableFuture.supplyAsync(
                        () -> {
                            ByteBuffer into = ByteBuffer.allocate(BLOCK);
                            try {
                                point.read(3L * BLOCK, into);
                            } catch (DeviceException e) {
                                throw new AssertionError(e);
                            }
                            return into.get(0);
                        });
        await("the read hangs", () -> base.waiting);
        resource.closePoint(point);
        write(2, (byte) 6, 3);
        await("acknowledged", () -> acknowledged() == 2);
        assertEquals("a view is open", resource.settle());
        base.readsHang = false;
        base.hang.release();
        assertEquals((byte) 5, read.join());
        await("the view is closed", () -> resource.settle().isEmpty());
        assertThrows(DeviceException.class, () -> point.read(0, ByteBuffer.allocate(BLOCK)));
        assertEquals(6, base.at(3L * BLOCK));
    }

    @Test
    void aFullBaseLosesNothingAndGoesOnWhenThereIsSpace() throws Exception {
        base.error = ENOSPC;
        commit(1, (byte) 5, 3);
        await("the cause is told", () -> !resource.snapshot().noSpace().isEmpty());
        String words = resource.snapshot().noSpace();
        assertTrue(words.contains("no space left"), words);
        assertTrue(words.contains("holdfast connect home"), words);
        assertEquals(DiskState.UP_TO_DATE, resource.snapshot().disk());
        assertTrue(sent.contains(new Frame.Trouble(ID, words)));
        // The journal goes on, and what it holds can be seen.
        write(2, (byte) 6, 3);
        await("acknowledged", () -> acknowledged() == 2);
        int before = base.refused;
        resource.tick(System.nanoTime() + 3_600_000_000_000L);
        await("tried again", () -> base.refused > before);
        base.error = 0;
        // The last try may be about to end for want of space; then it is tried again later.
        await(
                "space again",
                () -> {
                    resource.tick(System.nanoTime() + 3_600_000_000_000L);
                    return resource.snapshot().noSpace().isEmpty();
                });
        assertEquals(new Frame.Trouble(ID, ""), sent.getLast());
        assertEquals(1, events.stream().filter(each -> each.startsWith("no-space")).count());
        assertEquals("", resource.settle());
        assertEquals(6, base.at(3L * BLOCK));
    }

    @Test
    void aFullBaseInTheFirstSyncAcknowledgesNothingUntilItIsWritten() throws Exception {
        base.error = ENOSPC;
        data(new Frame.SyncBlocks(0, 1, 0, filled((byte) 5)));
        data(new Frame.SyncBlocks(0, 2, BLOCK, filled((byte) 6)));
        await("the cause is told", () -> !resource.snapshot().noSpace().isEmpty());
        assertEquals(0, synced());
        base.error = 0;
        resource.tryAgain();
        await("synced", () -> synced() == 2);
        assertEquals(5, base.at(0));
        assertEquals(6, base.at(BLOCK));
        await("the cause is gone", () -> resource.snapshot().noSpace().isEmpty());
    }

    @Test
    void aSyncThatFailsForWantOfSpaceIsFinal() throws Exception {
        base.syncError = ENOSPC;
        commit(1, (byte) 5, 3);
        await("failed", () -> resource.snapshot().disk() == DiskState.FAILED);
        base.syncError = 0;
        resource.tryAgain();
        assertEquals("the journal or the base has failed", resource.settle());
        assertEquals(0, store.superblock().watermark());
    }

    /// Not as a base that takes no more: what was written before the sync may be gone.
    @Test
    @Tag(LARGE)
    void aSyncInTheMiddleOfARollThatFailsForWantOfSpaceIsFinal() throws Exception {
        base.hangs = true;
        commit(1, (byte) 5, 3);
        await("the roll-forward hangs", () -> base.waiting);
        int run = 64 << 10;
        int count = RollPace.SYNC_BYTES / run + 4;
        byte[] bytes = new byte[run];
        for (int i = 0; i < count; i++) {
            Arrays.fill(bytes, (byte) (i + 1));
            ByteBuffer data = ByteBuffer.wrap(bytes.clone());
            data(new Frame.Write(0, new Position(1, 2 + i), 5, (long) i * run, data));
        }
        await("acknowledged", () -> acknowledged() == 1 + count);
        base.syncsBeforeError = 1; // That of the roll which hangs.
        base.syncError = ENOSPC;
        base.hangs = false;
        base.hang.release(1000);
        await("failed", () -> resource.snapshot().disk() == DiskState.FAILED);
        assertEquals("", resource.snapshot().noSpace());
        assertTrue(
                base.bytesWritten < (long) count * run, "it failed at the end, not in the middle");
        base.syncError = 0;
        resource.tryAgain();
        assertEquals("the journal or the base has failed", resource.settle());
    }

    /// A bad sector under the journal that a comparison, or a view, meets first.
    @Test
    void whatTheDiskCannotReadOfTheJournalIsDamageAndNotAFailedDisk() throws Exception {
        // Nothing is rolled, and a start has read the first segment alone: so nobody has opened the
        // second one to read it.
        resource.retain(new Retention(3_600_000, 0), Integer.MAX_VALUE);
        commit(1, (byte) 5, 3);
        int number = 1;
        ByteBuffer large = ByteBuffer.allocate(32 * BLOCK);
        while (resource.look(Backup::end) < journal.segmentBytes()) {
            Position at = new Position(1, ++number);
            data(new Frame.Write(0, at, 5, 32L * BLOCK, large.duplicate()));
        }
        int last = number + 1;
        write(last, (byte) 6, 4);
        await("acknowledged", () -> acknowledged() == last);
        // Reading what is not mapped of a process is an EIO, as from a bad sector.
        Path segment = dir.resolve("home.journal").resolve("%016x".formatted(1));
        Files.delete(segment);
        Files.createSymbolicLink(segment, Path.of("/proc/self/mem"));
        data(new Frame.Compare(0, 1, 4 * BLOCK, 2 * BLOCK, 0));
        await("answered", () -> answers().size() == 1);
        await("told", () -> resource.snapshot().isRotten());
        OpenPoint newest = resource.openPoint();
        assertThrows(
                DeviceException.class, () -> newest.read(4L * BLOCK, ByteBuffer.allocate(BLOCK)));
        resource.closePoint(newest);
        await("looked at", () -> resource.snapshot().rot().contains(33 * BLOCK + " bytes"));
        write(last + 1, (byte) 7, 5);
        await("acknowledged", () -> acknowledged() == last + 1);
        await("the primary is asked", () -> sent.contains(new Frame.Invalidate(ID)));
        assertEquals(DiskState.UP_TO_DATE, resource.snapshot().disk());
    }

    /// Nothing is looked at while a roll is under way: whoever reads a record looks by himself.
    @Test
    void whileItIsNotKnownWhatIsDamagedAReaderGetsAnErrorAndNoRubbish() throws Exception {
        base.hangs = true;
        commit(1, (byte) 5, 3);
        await("the roll-forward hangs", () -> base.waiting);
        long record = resource.look(Backup::end);
        write(2, (byte) 6, 4);
        write(3, (byte) 7, 5);
        await("acknowledged", () -> acknowledged() == 3);
        Path segment = dir.resolve("home.journal").resolve("%016x".formatted(0));
        try (FileChannel file = FileChannel.open(segment, StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.wrap(new byte[] {9}), record + JournalRecord.HEADER_BYTES + 7);
        }
        boolean isKnown = resource.look(backup -> backup.damageFound(record));
        assertTrue(isKnown);
        await("told", () -> resource.snapshot().isRotten());
        assertTrue(resource.snapshot().rot().contains("is being looked at"));
        OpenPoint newest = resource.openPoint();
        ByteBuffer into = ByteBuffer.allocate(BLOCK);
        newest.read(5L * BLOCK, into);
        assertEquals(7, into.get(7));
        assertThrows(
                DeviceException.class, () -> newest.read(4L * BLOCK, ByteBuffer.allocate(BLOCK)));
        resource.closePoint(newest);
        base.hangs = false;
        base.hang.release(1000);
        await("looked at", () -> resource.snapshot().rot().contains(BLOCK + " bytes"));
    }

    @Test
    void aRottenByteOfASmallRecordIsAnErrorToAView() throws Exception {
        aRottenByteIsAnErrorToAView((byte) 6);
    }

    @Test
    void aRottenByteOfALargeRecordIsAnErrorToAView() throws Exception {
        aRottenByteIsAnErrorToAView((byte) 7);
    }

    /// The byte lies in front of what newer records have cut out.
    @Test
    void aRottenByteOfARecordThatIsWrittenOverInPartIsAnErrorToAView() throws Exception {
        aRottenByteIsAnErrorToAView((byte) 8);
    }

    /// Of a segment that is not packed, while nobody knows of any damage. The other records read as
    /// they were written.
    private void aRottenByteIsAnErrorToAView(byte with) throws Exception {
        resource.retain(new Retention(3_600_000, 0), Integer.MAX_VALUE);
        commit(1, (byte) 5, 3);
        write(2, (byte) 6, 4);
        data(new Frame.Write(0, new Position(1, 3), 5, 8L * BLOCK, filled((byte) 7, 32)));
        data(new Frame.Write(0, new Position(1, 4), 5, 50L * BLOCK, filled((byte) 8, 4)));
        write(5, (byte) 9, 51);
        await("acknowledged", () -> acknowledged() == 5);
        damage(with);
        OpenPoint newest = resource.openPoint();
        for (byte each : new byte[] {5, 6, 7, 8, 9}) {
            if (each != with) {
                int block = blockOf(each);
                assertRead(newest, block, filled(each));
                // What is remembered as whole reads the same.
                assertRead(newest, block, filled(each));
            }
        }
        if (with != 7) {
            assertRead(newest, 8, filled((byte) 7, 32));
        }
        if (with != 8) {
            assertRead(newest, 50, filled((byte) 8));
        }
        assertFalse(resource.snapshot().isRotten());
        assertThrows(
                PackedSegment.DamagedException.class,
                () -> newest.read((long) blockOf(with) * BLOCK, ByteBuffer.allocate(BLOCK)));
        await("told", () -> resource.snapshot().isRotten());
        await("an event", () -> events.stream().anyMatch(e -> e.startsWith("journal-damaged")));
        resource.closePoint(newest);
    }

    private static int blockOf(byte with) {
        return switch (with) {
            case 5 -> 3;
            case 6 -> 4;
            case 7 -> 30;
            case 8 -> 53;
            default -> 51;
        };
    }

    private static void assertRead(OpenPoint point, int block, ByteBuffer expected)
            throws Exception {
        ByteBuffer into = ByteBuffer.allocate(expected.remaining());
        point.read((long) block * BLOCK, into);
        assertEquals(expected, into.flip());
    }

    /// What lacks room for a kept moment is the filesystem, and no setting is to be raised.
    @Test
    void aFullFilesystemOfWhatIsKeptIsNotTakenForTheSetting() throws Exception {
        commit(1, (byte) 5, 3);
        await("rolled", () -> store.superblock().watermark() > 0);
        resource.keepMax(1 << 30);
        OpenPoint newest = resource.openPoint();
        assertEquals("", resource.keep("then", newest, SIZE, 3_600_000));
        resource.closePoint(newest);
        // As from the file of what is kept: it is what saves that fails.
        base.readError = ENOSPC;
        write(2, (byte) 6, 3);
        await("the cause is told", () -> !resource.snapshot().noSpace().isEmpty());
        String words = resource.snapshot().noSpace();
        assertTrue(words.contains("delta: no space left"), words);
        assertTrue(words.contains("make room for " + dir.resolve("home.pins")), words);
        assertTrue(words.contains("holdfast connect home"), words);
        assertTrue(words.contains("holdfast keep home then --drop"), words);
        assertFalse(words.contains("keep-max"), words);
        base.readError = 0;
        resource.tick(System.nanoTime() + 3_600_000_000_000L);
        await("it goes on", () -> store.superblock().position().number() == 2);
        assertEquals(6, base.at(3L * BLOCK));
    }

    @Test
    void whatIsAskedOfACopyThatIsClosedIsNotWritten() throws Exception {
        commit(1, (byte) 5, 3);
        await("rolled", () -> store.superblock().watermark() > 0);
        OpenPoint newest = resource.openPoint();
        resource.stop();
        assertEquals("the copy is closed", resource.keep("then", newest, SIZE, 1000));
    }

    @Test
    void aJournalThatEndsTooEarlyIsAFailedDisk() {
        JournalIndex index = new JournalIndex();
        long record = journal.endOffset() - 8;
        long data = record + JournalRecord.HEADER_BYTES;
        index.put(new JournalIndex.Run(0, BLOCK, data, record, false));
        DeviceException e =
                assertThrows(
                        DeviceException.class,
                        () -> resource.read(index, 0, ByteBuffer.allocate(BLOCK)));
        assertTrue(e.getMessage().contains("4216 bytes are missing"), e.getMessage());
        await("failed", () -> resource.snapshot().disk() == DiskState.FAILED);
    }

    /// A disk that takes its time to read for a comparison keeps nobody from being acknowledged.
    @Test
    void aComparisonIsReadBesideTheJournal() throws Exception {
        commit(1, (byte) 5, 3);
        await("rolled", () -> store.superblock().watermark() > 0);
        base.readsHang = true;
        data(new Frame.Compare(0, 1, 0, SIZE, 4));
        await("the comparison reads", () -> base.waiting);
        write(2, (byte) 6, 4);
        await("acknowledged", () -> acknowledged() == 2);
        assertEquals(0, answers().size());
        CompletableFuture<Void> stopped = CompletableFuture.runAsync(resource::stop);
        await("the stop has begun", () -> resource.snapshot().replication().equals("OFF"));
        assertFalse(stopped.isDone(), "the file would be closed under the read");
        base.readsHang = false;
        base.hang.release(1000);
        stopped.join();
    }

    @Test
    void aComparisonSeesTheCommittedImageWhereverItLies() throws Exception {
        base.error = ENOSPC; // Nothing is rolled: it stays in the journal.
        commit(1, (byte) 5, 3);
        write(2, (byte) 6, 4);
        await("acknowledged", () -> acknowledged() == 2);
        data(new Frame.Compare(0, 1, 2 * BLOCK, 4 * BLOCK, 0));
        await("answered", () -> answers().size() == 1);
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        ByteBuffer expected = ByteBuffer.allocate(4 * 32);
        for (int with : new int[] {0, 5, 6, 0}) {
            expected.put(sha.digest(filled((byte) with).array()));
        }
        assertArrayEquals(expected.array(), answers().getFirst().digests());
        assertEquals(1, answers().getFirst().number());
    }

    @Test
    void aQuestionThatNoHonestPeerAsksIsRefused() throws Exception {
        commit(1, (byte) 5, 3);
        await("acknowledged", () -> acknowledged() == 1);
        data(new Frame.Compare(0, 1, 0, SIZE, 5));
        await("refused", () -> !resource.snapshot().refusal().isEmpty());
        assertTrue(sent.stream().anyMatch(each -> each instanceof Frame.Refused));
    }

    @Test
    void whatARollFindsDamagedIsAnErrorToItsReadersUntilThePrimaryHasMendedIt() throws Exception {
        base.hangs = true;
        commit(1, (byte) 5, 3);
        await("the roll-forward hangs", () -> base.waiting);
        write(2, (byte) 6, 4);
        write(3, (byte) 7, 5);
        await("acknowledged", () -> acknowledged() == 3);
        damage((byte) 6);
        base.hangs = false;
        base.hang.release(1000);
        await("found", () -> sent.contains(new Frame.Invalidate(ID)));
        await("told", () -> resource.snapshot().isRotten());
        assertEquals(DiskState.UP_TO_DATE, resource.snapshot().disk());
        assertEquals(3, resource.snapshot().committed().number());
        OpenPoint newest = resource.openPoint();
        assertThrows(
                DeviceException.class, () -> newest.read(4L * BLOCK, ByteBuffer.allocate(BLOCK)));
        ByteBuffer block = ByteBuffer.allocate(BLOCK);
        newest.read(5L * BLOCK, block);
        assertEquals(7, block.get(0));
        resource.closePoint(newest);
        String words = resource.snapshot().rot();
        assertTrue(words.contains("4096 bytes of the newest moment cannot be read"), words);
        // To who compares it is what nobody has written.
        data(new Frame.Compare(0, 1, 4 * BLOCK, 2 * BLOCK, 0));
        await("answered", () -> answers().size() == 1);
        byte[] digests = answers().getFirst().digests();
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        byte[] first = Arrays.copyOf(digests, 32);
        for (int with : new int[] {0, 6}) {
            assertFalse(Arrays.equals(first, sha.digest(filled((byte) with).array())));
        }
        // And what lies beside it is as it is: else a bad sector would cost a MiB of the journal.
        byte[] beside = Arrays.copyOfRange(digests, 32, 64);
        assertArrayEquals(sha.digest(filled((byte) 7).array()), beside);
        commit(4, (byte) 8, 4);
        await("mended", () -> !resource.snapshot().isRotten());
        assertTrue(events.stream().anyMatch(each -> each.startsWith("journal-mended")));
        assertEquals("", resource.settle());
        assertEquals(5, base.at(3L * BLOCK));
        assertEquals(8, base.at(4L * BLOCK));
        assertEquals(7, base.at(5L * BLOCK));
        assertEquals(4, store.superblock().position().number());
    }

    /// A byte of the block of the journal that is filled with this.
    private void damage(byte with) throws Exception {
        Path segment = dir.resolve("home.journal").resolve("%016x".formatted(0));
        byte[] all = Files.readAllBytes(segment);
        for (int at = 0; at + BLOCK <= all.length; at += 8) {
            if (all[at] == with && all[at + 2000] == with && all[at + BLOCK - 1] == with) {
                try (FileChannel file = FileChannel.open(segment, StandardOpenOption.WRITE)) {
                    file.write(ByteBuffer.wrap(new byte[] {77}), at + 1000);
                }
                return;
            }
        }
        throw new AssertionError("the journal does not hold a block of " + with);
    }

    // ---- help --------------------------------------------------------------------------------

    private void commit(long number, byte with, int block) throws Exception {
        ByteBuffer data = filled(with);
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        digest.update(ByteBuffer.allocate(16).putLong((long) block * BLOCK).putLong(BLOCK).flip());
        digest.update(data.duplicate());
        data(new Frame.EpochBegin(1, 1, 0));
        data(new Frame.EpochBlocks(0, 1, (long) block * BLOCK, data));
        data(new Frame.EpochCommit(1, new Position(1, number), 5, 1, digest.digest(), ANCESTRY));
    }

    private void write(long number, byte with, int block) {
        data(new Frame.Write(0, new Position(1, number), 5, (long) block * BLOCK, filled(with)));
    }

    private void data(Frame frame) {
        resource.received(peer, 1, List.of(frame));
    }

    private static ByteBuffer filled(byte with) {
        return filled(with, 1);
    }

    private static ByteBuffer filled(byte with, int blocks) {
        byte[] bytes = new byte[blocks * BLOCK];
        Arrays.fill(bytes, with);
        return ByteBuffer.wrap(bytes);
    }

    private long acknowledged() {
        return sent.stream()
                .filter(each -> each instanceof Frame.Ack)
                .mapToLong(each -> ((Frame.Ack) each).committed().number())
                .max()
                .orElse(0);
    }

    private List<Frame.CompareReply> answers() {
        return sent.stream()
                .filter(each -> each instanceof Frame.CompareReply)
                .map(each -> (Frame.CompareReply) each)
                .toList();
    }

    private long synced() {
        return sent.stream()
                .filter(each -> each instanceof Frame.Ack)
                .mapToLong(each -> ((Frame.Ack) each).synced())
                .max()
                .orElse(0);
    }

    private static void await(String what, BooleanSupplier holds) {
        long deadline = System.nanoTime() + 30_000_000_000L;
        while (!holds.getAsBoolean()) {
            assertTrue(System.nanoTime() < deadline, "not within 30 s: " + what);
            LockSupport.parkNanos(1_000_000);
        }
    }

    /// A file that hangs, or reports errors, as long as it is told.
    private static final class StrangeDevice implements BlockDevice {
        private final BlockDevice file;
        final Semaphore hang = new Semaphore(0);
        volatile boolean hangs;
        volatile boolean readsHang;
        volatile boolean waiting;
        volatile int error;
        volatile int readError;
        volatile int refused;
        volatile int syncError;
        volatile int syncsBeforeError;
        volatile long bytesWritten;
        private volatile DeviceException syncFailure;

        StrangeDevice(BlockDevice file) {
            this.file = file;
        }

        @Override
        public DeviceException syncFailure() {
            return syncFailure;
        }

        int at(long offset) throws DeviceException {
            ByteBuffer one = ByteBuffer.allocate(1);
            file.read(offset, one);
            return one.get(0);
        }

        @Override
        public void write(long offsetBytes, ByteBuffer... parts) throws DeviceException {
            if (hangs) {
                waiting = true;
                hang.acquireUninterruptibly();
            }
            if (error != 0) {
                refused++;
                throw new DeviceException(error, "home.img cannot be written at byte 0");
            }
            for (ByteBuffer part : parts) {
                bytesWritten += part.remaining();
            }
            file.write(offsetBytes, parts);
        }

        @Override
        public void sync() throws DeviceException {
            if (syncError != 0 && syncsBeforeError-- <= 0) {
                syncFailure = new DeviceException(syncError, "home.img cannot be made durable");
                throw syncFailure;
            }
            file.sync();
        }

        @Override
        public void zero(long offsetBytes, long lengthBytes, boolean punch) throws DeviceException {
            file.zero(offsetBytes, lengthBytes, punch);
        }

        @Override
        public void read(long offsetBytes, ByteBuffer into) throws DeviceException {
            if (readsHang) {
                waiting = true;
                hang.acquireUninterruptibly();
            }
            if (readError != 0) {
                throw new DeviceException(readError, "delta: no space left");
            }
            file.read(offsetBytes, into);
        }

        @Override
        public long sizeBytes() {
            return file.sizeBytes();
        }

        @Override
        public int logicalBlockBytes() {
            return file.logicalBlockBytes();
        }

        @Override
        public boolean discardZeroes() {
            return file.discardZeroes();
        }

        @Override
        public long nextData(long offsetBytes) throws DeviceException {
            return file.nextData(offsetBytes);
        }

        @Override
        public long nextHole(long offsetBytes) throws DeviceException {
            return file.nextHole(offsetBytes);
        }

        @Override
        public void close() {
            file.close();
        }
    }
}
