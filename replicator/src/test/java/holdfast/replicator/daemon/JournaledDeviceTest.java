package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.device.Committer;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BackupEffects;
import holdfast.replicator.state.ClockCheck;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Retention;
import holdfast.tunnel.wire.AddressSpace;
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
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// The device of a promoted copy: what was answered is read, also while only its journal's file has
/// it; nothing else knows of it before it is synced, and a flush says so.
class JournaledDeviceTest {
    private static final int BLOCK = 4096;
    private static final int BLOCKS = 64;
    private static final int SIZE = BLOCKS * BLOCK;
    private static final long JOURNAL = 64 << 20;
    private static final UUID ID = new UUID(5, 7);
    private static final Ancestry ANCESTRY =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));
    private static final Position POINT = new Position(1, 1);
    private static final Duration LIMIT = Duration.ofMinutes(2);

    @TempDir Path dir;

    private final ExecutorService pool = Executors.newFixedThreadPool(4);
    private final Committer committer = new Committer("test");
    private final byte[] model = new byte[SIZE];
    private ResourceDir store;
    private JournalFiles journal;
    private FileBlockDevice base;
    private BackupResource resource;
    private JournaledDevice device;

    @BeforeEach
    void open() throws Exception {
        Path disk = dir.resolve("home.img");
        base = FileBlockDevice.create(disk, SIZE);
        ResourceDir.Facts facts =
                new ResourceDir.Facts(
                        ID.toString(),
                        "SECONDARY",
                        List.of(disk.toString()),
                        true,
                        dir.resolve("home.journal").toString(),
                        JOURNAL,
                        "server");
        LocalBackup.create(facts);
        store =
                ResourceDir.create(
                        dir.resolve("resources"),
                        "home",
                        facts,
                        ResourceDir.newBackup(ID, AddressSpace.of(SIZE), true, ID, 7),
                        ResourceSettings.ofDisks(new TreeMap<>()));
        journal = JournalFiles.open(journalPath(), segment(), JOURNAL, 0);
        resource =
                new BackupResource(
                        "home",
                        base,
                        journal,
                        committer,
                        config(),
                        point(),
                        store.openJournal(),
                        pool,
                        pool,
                        true,
                        _ -> {},
                        store,
                        PinStore.open(dir.resolve("home.pins"), ID),
                        "holdfast connect home",
                        "holdfast keep home %s --drop",
                        (_, _) -> {},
                        (_, _) -> {});
        resource.retain(new Retention(3_600_000, 0), Integer.MAX_VALUE);
        resource.take(LIMIT);
        device = resource.own(SIZE);
        resource.begin(
                ANCESTRY.plus(new Ancestry.Entry(2, POINT, Ancestry.Reason.PROMOTE, ID, 5)),
                null,
                LIMIT,
                LIMIT);
    }

    private Path journalPath() {
        return dir.resolve("home.journal");
    }

    private static long segment() {
        return LocalBackup.segmentBytes(JOURNAL);
    }

    private static Backup.Config config() {
        return new Backup.Config(ID, SIZE, JOURNAL, segment(), 1 << 20, false);
    }

    private static Backup.Base point() {
        return new Backup.Base(0, POINT, true, ANCESTRY);
    }

    @AfterEach
    void close() {
        resource.stop();
        committer.close();
        journal.close();
        base.close();
        store.close();
        pool.shutdown();
    }

    private void write(int offset, byte[] data) throws DeviceException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(data.length).put(data).flip();
        device.write(offset, buffer);
        System.arraycopy(data, 0, model, offset, data.length);
        // The client's buffer is its own again.
        for (int i = 0; i < data.length; i++) {
            buffer.put(i, (byte) 0x77);
        }
    }

    private void zero(int offset, int length) throws DeviceException {
        device.zero(offset, length, true);
        Arrays.fill(model, offset, offset + length, (byte) 0);
    }

    private static byte[] filled(int with, int blocks) {
        byte[] data = new byte[blocks * BLOCK];
        Arrays.fill(data, (byte) with);
        return data;
    }

    private byte[] read(int offset, int length) throws DeviceException {
        ByteBuffer into = ByteBuffer.allocate(length + 8).position(5).limit(length + 5);
        device.read(offset, into);
        assertFalse(into.hasRemaining());
        return Arrays.copyOfRange(into.array(), 5, length + 5);
    }

    private boolean isAllDurable() {
        return resource.look(backup -> backup.appliedEnd() == backup.end());
    }

    private byte[] newestMoment() throws Exception {
        OpenPoint point = resource.openPoint();
        ByteBuffer into = ByteBuffer.allocate(SIZE);
        point.read(0, into);
        resource.closePoint(point);
        return into.array();
    }

    @Test
    void whatWasAnsweredIsReadAndIsNoMomentUntilItIsFlushed() throws Exception {
        write(BLOCK, filled(1, 2));
        device.sync();
        assertTrue(isAllDurable());
        byte[] flushed = model.clone();
        write(2 * BLOCK, filled(2, 2));
        zero(BLOCK, BLOCK);
        // Nobody has asked for a sync, and the timer does not run here.
        assertFalse(isAllDurable());
        assertArrayEquals(model, read(0, SIZE));
        assertArrayEquals(flushed, newestMoment());
        device.sync();
        assertTrue(isAllDurable());
        assertArrayEquals(model, newestMoment());
        assertArrayEquals(model, read(0, SIZE));
    }

    @Test
    void whatNobodyFlushesIsSyncedWithinASecond() throws Exception {
        long start = System.nanoTime();
        resource.tick(start);
        write(0, filled(3, 1));
        long end = resource.look(Backup::end);
        resource.tick(start + 500_000_000L);
        // Two rounds of the committer later it would be durable, had that asked for it.
        write(BLOCK, filled(4, 1));
        write(BLOCK, filled(5, 1));
        assertTrue(resource.look(Backup::appliedEnd) < end);
        resource.tick(start + 1_000_000_000L);
        awaitAllDurable();
        assertArrayEquals(model, newestMoment());
    }

    private void awaitAllDurable() {
        assertTimeoutPreemptively(
                LIMIT,
                () -> {
                    while (!isAllDurable()) {
                        Thread.sleep(1);
                    }
                });
    }

    /// Detached while the disk hangs, the client has its buffer back and fills it with another
    /// request; then the disk answers.
    @Test
    void aWriteThatComesTooLateIsTheOneThatWasAskedFor() throws Exception {
        write(0, filled(1, 1));
        device.sync();
        long before = resource.look(Backup::end);
        ByteBuffer clients = ByteBuffer.allocateDirect(BLOCK).put(filled(2, 1)).flip();
        try (var _ = new HungJournals(committer, dir)) {
            Future<?> writing =
                    pool.submit(
                            () -> {
                                device.write(0, clients);
                                return null;
                            });
            assertTimeoutPreemptively(
                    LIMIT,
                    () -> {
                        while (resource.look(Backup::end) == before) {
                            Thread.sleep(1);
                        }
                    });
            resource.fence();
            assertThrows(ExecutionException.class, writing::get);
            clients.clear().put(filled(0x77, 1));
        }
        resource.syncOwn();
        awaitAllDurable();
        Arrays.fill(model, 0, BLOCK, (byte) 2);
        assertArrayEquals(model, newestMoment());
        assertEquals(new Position(2, 2), startedFrom(copyOfJournal()).committed());
    }

    @Test
    void anOrderIsToldThatTheNewestWritesAreNotSynced() throws Exception {
        write(0, filled(1, 1));
        try (var _ = new HungJournals(committer, dir)) {
            assertFalse(resource.bringUp(Duration.ofMillis(20)));
        }
        assertTrue(resource.bringUp(LIMIT));
        assertArrayEquals(model, newestMoment());
        write(0, filled(2, 1));
        // Else the sync may be faster than the failure.
        try (var _ = new HungJournals(committer, dir)) {
            resource.failed("a test");
            assertFalse(resource.bringUp(LIMIT));
        }
    }

    @Test
    void whoNeedsAllOfItDurableIsRefusedWhileTheDiskHangs() throws Exception {
        write(0, filled(1, 1));
        try (var _ = new HungJournals(committer, dir)) {
            DeviceException why =
                    assertThrows(DeviceException.class, () -> resource.take(Duration.ofMillis(20)));
            assertTrue(why.getMessage().contains("see why its disk hangs"), why.getMessage());
        }
        resource.take(LIMIT);
        assertTrue(isAllDurable());
        assertArrayEquals(model, newestMoment());
    }

    @Test
    void itIsWhatWasWrittenWhateverOfItIsWhere() throws Exception {
        Random random = new Random(7);
        for (int step = 0; step < 2000; step++) {
            int block = random.nextInt(BLOCKS);
            int blocks = 1 + random.nextInt(Math.min(6, BLOCKS - block));
            switch (random.nextInt(8)) {
                case 0 -> zero(block * BLOCK, blocks * BLOCK);
                case 1 -> {
                    if (random.nextInt(10) == 0) {
                        device.sync();
                    }
                }
                case 2 -> {
                    int from = random.nextInt(SIZE - 1);
                    int length = 1 + random.nextInt(SIZE - from);
                    assertArrayEquals(
                            Arrays.copyOfRange(model, from, from + length), read(from, length));
                }
                case 3 -> holesAreRight(random.nextInt(SIZE));
                default -> write(block * BLOCK, filled(1 + random.nextInt(100), blocks));
            }
        }
        assertArrayEquals(model, read(0, SIZE));
        assertEquals("", device.goDirect(resource::settle, () -> {}));
        ByteBuffer into = ByteBuffer.allocate(SIZE);
        base.read(0, into);
        assertArrayEquals(model, into.array());
        write(0, filled(9, 1));
        device.sync();
        base.read(0, into.clear());
        assertArrayEquals(model, into.array());
    }

    /// What is said to be a hole reads zero.
    private void holesAreRight(int from) throws DeviceException {
        int data = (int) device.nextData(from);
        for (int at = from; at < data; at++) {
            assertEquals(0, model[at], "a hole at " + at);
        }
        int hole = (int) device.nextHole(from);
        assertTrue(hole == from || data == from, "neither data nor a hole at " + from);
    }

    @Test
    void aFlushFailsWhenTheJournalHas() throws Exception {
        write(0, filled(1, 1));
        device.sync();
        write(0, filled(2, 1));
        resource.failed("a test");
        assertThrows(DeviceException.class, () -> device.sync());
        assertThrows(DeviceException.class, () -> device.sync());
        assertThrows(DeviceException.class, () -> write(BLOCK, filled(3, 1)));
        assertArrayEquals(filled(2, 1), read(0, BLOCK));
    }

    @Test
    void whatWasAnsweredIsInTheFilesOfADaemonThatWasKilled() throws Exception {
        write(0, filled(1, 1));
        device.sync();
        write(BLOCK, filled(2, 3));
        zero(2 * BLOCK, BLOCK);
        assertFalse(isAllDurable());
        Backup started = startedFrom(copyOfJournal());
        assertEquals(new Position(2, 3), started.committed());
        assertEquals(resource.look(Backup::end), started.end());
    }

    /// What the kernel has of it: the journal itself is being written.
    private Path copyOfJournal() throws Exception {
        Path copy = Files.createDirectory(dir.resolve("copy.journal"));
        try (var files = Files.list(journalPath())) {
            for (Path each : files.toList()) {
                if (!each.getFileName().toString().startsWith("spare-")) {
                    Files.copy(each, copy.resolve(each.getFileName()));
                }
            }
        }
        return copy;
    }

    /// As a start finds it.
    private static Backup startedFrom(Path journal) throws Exception {
        try (JournalFiles found = JournalFiles.open(journal, segment(), JOURNAL, 0)) {
            Backup started = new Backup(config(), point(), 99, new Nothing());
            assertNull(
                    started.recover(
                            found::read, JournalScan.Indexes.NONE, List.of(), found.endOffset()));
            return started;
        }
    }

    private static final class Nothing implements BackupEffects {
        @Override
        public String damaged(SegmentIndex note) {
            return null;
        }

        @Override
        public void damagePassed(long from, long before) {}

        @Override
        public void send(Frame.OfResource frame) {}

        @Override
        public void append(long address, ByteBuffer header, ByteBuffer data) {}

        @Override
        public boolean writeBase(
                long session,
                long sequence,
                long offsetBytes,
                long lengthBytes,
                ByteBuffer data,
                long tracked) {
            return true;
        }

        @Override
        public void wakeDigester() {}

        @Override
        public boolean readCommitted(long offsetBytes, ByteBuffer into) {
            return false;
        }

        @Override
        public void grant(long bytes) {}

        @Override
        public void wakeRoller() {}

        @Override
        public void free(long beforeAddress) {}

        @Override
        public String pins(List<Pins.Pin> pins, long lastId) {
            return null;
        }

        @Override
        public void checked(ClockCheck check) {}

        @Override
        public void event(String kind, String text) {}
    }
}
