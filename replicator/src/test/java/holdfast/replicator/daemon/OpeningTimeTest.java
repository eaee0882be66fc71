package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.Committer;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Retention;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

/// How long does it take to open a moment, and a copy, with much journal? Sketch: 10 GiB of records
/// of 4 KiB at random places are 2.5 million runs, 85 MB of index files; reading them at 1 GB/s and
/// merging them in eleven rounds at 15 ns a run are 0.5 s.
///
/// In the build with 128 MiB; `-Dholdfast.history.mib=10240 -DargLine=-Xmx512m` for what counts.
@Isolated("it measures")
class OpeningTimeTest {
    private static final int BLOCK = 4096;
    private static final long SIZE = 8L << 30;
    private static final int MIB = Integer.getInteger("holdfast.history.mib", 128);
    private static final UUID ID = new UUID(5, 6);
    private static final Ancestry ANCESTRY =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, 0));

    @TempDir Path dir;

    private final ExecutorService pool = Executors.newFixedThreadPool(4);
    private final Committer committer = new Committer("journal");
    private final Semaphore credit = new Semaphore(0);
    private Path disk;
    private ResourceDir store;
    private JournalFiles journal;
    private BlockDevice base;
    private BackupResource resource;
    private long journalBytes;
    private volatile long acknowledged;

    private final PeerSession peer =
            new PeerSession() {
                @Override
                public void send(Frame frame) {
                    if (frame instanceof Frame.Ack ack) {
                        acknowledged = ack.committed().number();
                    }
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
                public void grant(int stream, long bytes) {
                    credit.release((int) bytes);
                }
            };

    @BeforeEach
    void make() throws Exception {
        disk = dir.resolve("home.img");
        FileBlockDevice.create(disk, SIZE).close();
        journalBytes = LocalBackup.wholeSegments(2L * MIB << 20);
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
                        ResourceDir.newBackup(ID, AddressSpace.of(SIZE), true, ID, 7),
                        ResourceSettings.ofDisks(new TreeMap<>()));
        open();
    }

    private void open() throws Exception {
        base = FileBlockDevice.open(disk);
        long segment = LocalBackup.segmentBytes(journalBytes);
        journal = JournalFiles.open(dir.resolve("home.journal"), segment, journalBytes, 0);
        resource =
                new BackupResource(
                        "home",
                        base,
                        journal,
                        committer,
                        new Backup.Config(ID, SIZE, journalBytes, segment, 64 << 20, true),
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
                        (_, _) -> {},
                        (_, _) -> {});
        resource.retain(new Retention(TimeUnit.DAYS.toMillis(1), 0), LocalBackup.INDEX_RUNS);
    }

    private void shut() {
        resource.stop();
        journal.close();
        base.close();
    }

    @AfterEach
    void close() {
        shut();
        committer.close();
        store.close();
        pool.shutdown();
    }

    private void data(Frame... frames) {
        resource.received(peer, 1, List.of(frames));
    }

    private void fill(long records) throws Exception {
        resource.greeted(
                peer,
                new Frame.ResourceHello(
                        ID,
                        1,
                        DiskState.UP_TO_DATE.ordinal(),
                        SIZE,
                        new Position(1, 1),
                        new Position(1, 1),
                        0,
                        true,
                        0,
                        false,
                        0,
                        ANCESTRY));
        resource.received(peer, new Frame.StreamStart(ID, 9, 1, Position.NONE));
        ByteBuffer block = ByteBuffer.allocate(BLOCK);
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        digest.update(ByteBuffer.allocate(16).putLong(0).putLong(BLOCK).flip());
        digest.update(block.duplicate());
        long now = System.currentTimeMillis();
        data(
                new Frame.EpochBegin(1, 1, 0),
                new Frame.EpochBlocks(0, 1, 0, block),
                new Frame.EpochCommit(1, new Position(1, 1), now, 1, digest.digest(), ANCESTRY));
        SplittableRandom random = new SplittableRandom(1);
        byte[] half = new byte[BLOCK / 2];
        int batch = 32;
        for (long number = 2; number <= records; number += batch) {
            List<Frame> frames = new ArrayList<>();
            for (int i = 0; i < batch; i++) {
                // Half of it compresses.
                random.nextBytes(half);
                ByteBuffer data = ByteBuffer.allocate(BLOCK).put(half).clear();
                data.putLong(0, number + i);
                frames.add(
                        new Frame.Write(
                                0,
                                new Position(1, number + i),
                                System.currentTimeMillis(),
                                random.nextLong(SIZE / BLOCK) * BLOCK,
                                data));
            }
            credit.acquire(frames.stream().mapToInt(each -> FrameCodec.sizeOf(each)).sum());
            data(frames.toArray(Frame[]::new));
        }
        until("all is in the journal", () -> acknowledged >= records);
    }

    private interface Check {
        boolean holds() throws IOException;
    }

    private static void until(String what, Check check) throws IOException {
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(2);
        while (!check.holds()) {
            assertTrue(System.nanoTime() < deadline, what);
            LockSupport.parkNanos(10_000_000);
        }
    }

    private long indexes() throws IOException {
        try (Stream<Path> files = Files.list(dir.resolve("home.journal"))) {
            return files.filter(each -> each.toString().endsWith(".index")).count();
        }
    }

    private long packed() {
        return journal.packed().size();
    }

    private static double seconds(long since) {
        return (System.nanoTime() - since) / 1e9;
    }

    @Test
    void aMomentIsOpenedFromTheIndexesAndNotFromTheJournal() throws Exception {
        long records = (long) MIB * 256;
        long begun = System.nanoTime();
        fill(records);
        double filled = seconds(begun);
        long middle = System.currentTimeMillis() - (long) (filled * 500);
        until(
                "whole segments have an index",
                () -> indexes() >= journal.endOffset() / journal.segmentBytes() - 1);
        until(
                "they are packed",
                () -> packed() >= journal.endOffset() / journal.segmentBytes() - 1);
        double taken = (double) journal.packed().values().stream().mapToLong(each -> each).sum();
        double ratio = taken / packed() / journal.segmentBytes();

        // Once to warm up, as a daemon that runs is.
        resource.closePoint(resource.openPoint(middle));
        long opening = System.nanoTime();
        OpenPoint point = resource.openPoint(middle);
        double opened = seconds(opening);
        assertTrue(
                point.moment().position().number() > records / 10
                        && point.moment().position().number() < records,
                point.moment().toString());

        SplittableRandom random = new SplittableRandom(2);
        ByteBuffer block = ByteBuffer.allocateDirect(BLOCK);
        int reads = 20_000;
        long reading = System.nanoTime();
        for (int i = 0; i < reads; i++) {
            block.clear();
            point.read(random.nextLong(SIZE / BLOCK) * BLOCK, block);
        }
        double read = seconds(reading);
        long readingBase = System.nanoTime();
        for (int i = 0; i < reads; i++) {
            block.clear();
            base.read(random.nextLong(SIZE / BLOCK) * BLOCK, block);
        }
        double readBase = seconds(readingBase);
        resource.closePoint(point);

        long shutting = System.nanoTime();
        shut();
        double shut = seconds(shutting);
        long restarting = System.nanoTime();
        open();
        double restarted = seconds(restarting);
        assertEquals((double) records, (double) resource.snapshot().committed().number(), 32);
        System.out.printf(
                "%d MiB of records of 4 KiB: taken in at %.0f MiB/s; a moment opened in %.3f s; %.0f reads/s of it, %.0f of the base; stopped in %.2f s, opened again in %.2f s; packed to %.2f%n",
                MIB, MIB / filled, opened, reads / read, reads / readBase, shut, restarted, ratio);
        assertTrue(opened < 1, opened + " s");
    }
}
