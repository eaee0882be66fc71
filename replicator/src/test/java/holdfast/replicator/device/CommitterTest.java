package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

class CommitterTest {
    private static final int SEGMENT = 1 << 20;

    @TempDir Path directory;

    /// Remembers what it was told; may be made to hold the committer up.
    private static final class Ear implements Committer.Listener {
        final BlockingQueue<Object> heard = new LinkedBlockingQueue<>();
        final BlockingQueue<Long> written = new LinkedBlockingQueue<>();
        final CountDownLatch gate;

        Ear(int closedGates) {
            gate = new CountDownLatch(closedGates);
        }

        @Override
        public void written(long endOffset) {
            written.add(endOffset);
        }

        @Override
        public void durable(long endOffset) {
            heard.add(endOffset);
            try {
                gate.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public void failed(DeviceException cause) {
            heard.add(cause);
        }

        Object next() throws InterruptedException {
            Object next = heard.poll(20, TimeUnit.SECONDS);
            assertNotNull(next, "nothing was heard");
            return next;
        }

        void awaitWritten(long endOffset) throws InterruptedException {
            long last = 0;
            while (last < endOffset) {
                Long next = written.poll(20, TimeUnit.SECONDS);
                assertNotNull(next, "nothing was written");
                last = next;
            }
            assertEquals(endOffset, last);
        }

        void awaitDurable(long endOffset) throws InterruptedException {
            long last = 0;
            while (last < endOffset) {
                long now = (Long) next();
                assertTrue(now > last, now + " after " + last);
                last = now;
            }
            assertEquals(endOffset, last);
        }
    }

    private JournalFiles files(String name) throws Exception {
        JournalFiles.create(directory.resolve(name), SEGMENT, 16 * SEGMENT);
        return JournalFiles.open(directory.resolve(name), SEGMENT, 16 * SEGMENT, 0);
    }

    private static ByteBuffer block() {
        return ByteBuffer.allocateDirect(4096);
    }

    @Test
    void whatIsAppendedBecomesDurableInOrder() throws Exception {
        var ear = new Ear(0);
        try (var files = files("a");
                var committer = new Committer("test");
                var writer = committer.register(files, 64 << 20, ear)) {
            for (int i = 0; i < 600; i++) {
                assertTrue(writer.append(i * 4096L, block()));
            }
            ear.awaitDurable(600 * 4096L);
            assertEquals(0, writer.queuedBytes());
        }
    }

    @Test
    void whoIsInNoHurryHearsWhenNothingIsToBeDone() throws Exception {
        var ear = new Ear(1);
        try (var files = files("a");
                var committer = new Committer("test");
                var writer = committer.register(files, 64 << 20, ear)) {
            assertTrue(committer.awaitIdle(0));
            assertTrue(writer.append(0, block()));
            assertFalse(committer.awaitIdle(1_000_000));
            assertEquals(4096L, ear.next());
            // Its round has not ended while it tells of it.
            assertFalse(committer.awaitIdle(1_000_000));
            ear.gate.countDown();
            assertTrue(committer.awaitIdle(20_000_000_000L));
            // What nobody waits for is no work once it is written.
            assertTrue(writer.appendUnsynced(4096, block()));
            ear.awaitWritten(8192);
            assertTrue(committer.awaitIdle(20_000_000_000L));
            writer.sync();
            ear.awaitDurable(8192);
            assertTrue(committer.awaitIdle(20_000_000_000L));
        }
    }

    @Test
    void whatNobodyWaitsForIsWrittenAndSyncedWhenAskedFor() throws Exception {
        var ear = new Ear(0);
        try (var files = files("a");
                var committer = new Committer("test");
                var writer = committer.register(files, 64 << 20, ear)) {
            writer.sync(); // Of nothing.
            for (int i = 0; i < 600; i++) {
                assertTrue(writer.appendUnsynced(i * 4096L, block()));
            }
            ear.awaitWritten(600 * 4096L);
            assertEquals(0, writer.queuedBytes());
            assertTrue(ear.heard.isEmpty(), "synced, and nobody has asked for it");
            writer.sync();
            ear.awaitDurable(600 * 4096L);
            writer.sync();
            assertTrue(writer.appendUnsynced(600 * 4096L, block()));
            ear.awaitWritten(601 * 4096L);
            assertTrue(ear.heard.isEmpty(), "what was asked for before is done");
            assertTrue(writer.append(601 * 4096L, block()));
            ear.awaitDurable(602 * 4096L);
        }
    }

    @Test
    void onlySoMuchIsWrittenAndNotSynced() throws Exception {
        var ear = new Ear(0);
        JournalFiles.create(directory.resolve("a"), SEGMENT, 20 * SEGMENT);
        try (var files = JournalFiles.open(directory.resolve("a"), SEGMENT, 20 * SEGMENT, 0);
                var committer = new Committer("test");
                var writer = committer.register(files, 64 << 20, ear)) {
            long at = 0;
            for (; at < Committer.UNSYNCED_BYTES; at += SEGMENT) {
                assertTrue(ear.heard.isEmpty());
                assertTrue(writer.appendUnsynced(at, ByteBuffer.allocateDirect(SEGMENT)));
            }
            assertEquals(at, ear.next());
            assertTrue(writer.appendUnsynced(at, block()));
            ear.awaitWritten(at + 4096);
            assertTrue(ear.heard.isEmpty());
            committer.close(); // Makes durable what is written.
            assertEquals(at + 4096, ear.next());
        }
    }

    @Test
    void aSyncThatIsAskedForCoversWhatIsStillQueued() throws Exception {
        var hold = new Ear(1);
        var ear = new Ear(0);
        try (var holdFiles = files("hold");
                var files = files("a");
                var committer = new Committer("test");
                var holdWriter = committer.register(holdFiles, 1 << 20, hold);
                var writer = committer.register(files, 64 << 20, ear)) {
            holdWriter.append(0, block());
            hold.next();
            long bytes = 2L * Committer.SHARE_BYTES + SEGMENT;
            for (long at = 0; at < bytes; at += SEGMENT) {
                assertTrue(writer.appendUnsynced(at, ByteBuffer.allocateDirect(SEGMENT)));
            }
            writer.sync();
            hold.gate.countDown();
            ear.awaitDurable(bytes);
        }
    }

    /// A new segment's name cannot be made durable here: its directory is not where it was.
    @Test
    void aFailedSyncOfWhatNobodyWaitsForIsFinal() throws Exception {
        var bad = new Ear(0);
        var good = new Ear(0);
        try (var badFiles = files("bad");
                var goodFiles = files("good");
                var committer = new Committer("test");
                var badWriter = committer.register(badFiles, 1 << 20, bad);
                var goodWriter = committer.register(goodFiles, 1 << 20, good)) {
            assertTrue(badWriter.appendUnsynced(SEGMENT, block()));
            bad.awaitWritten(SEGMENT + 4096);
            goodWriter.append(0, block());
            good.awaitDurable(4096); // So the round of the other has ended.
            Files.move(directory.resolve("bad"), directory.resolve("moved"));
            assertTrue(bad.heard.isEmpty());
            badWriter.sync();
            assertInstanceOf(DeviceException.class, bad.next());
            assertFalse(badWriter.appendUnsynced(SEGMENT + 4096, block()));
            assertFalse(badWriter.append(SEGMENT + 4096, block()));
            assertEquals(0, badWriter.queuedBytes());
            badWriter.sync();
            goodWriter.append(4096, block());
            good.awaitDurable(8192);
            assertTrue(bad.heard.isEmpty());
            assertTrue(bad.written.isEmpty());
        }
    }

    @Test
    void aFullQueueTakesNothingMoreUntilSomethingIsDurable() throws Exception {
        var ear = new Ear(1);
        try (var files = files("a");
                var committer = new Committer("test");
                var writer = committer.register(files, 3 * 4096, ear)) {
            assertTrue(writer.append(0, block()));
            // The committer now stands in the listener, so nothing more becomes durable.
            assertEquals(4096L, ear.next());
            for (int i = 1; i <= 3; i++) {
                assertTrue(writer.append(i * 4096L, block()));
            }
            assertFalse(writer.append(4 * 4096L, block()));
            assertEquals(3 * 4096, writer.queuedBytes());
            ear.gate.countDown();
            assertEquals(4 * 4096L, ear.next());
            assertTrue(writer.append(4 * 4096L, block()));
            assertEquals(5 * 4096L, ear.next());
        }
    }

    @Test
    void aResourceThatFailsHarmsNoOther() throws Exception {
        var bad = new Ear(0);
        var good = new Ear(0);
        JournalFiles.create(directory.resolve("bad"), 4096, 8192);
        try (var badFiles = JournalFiles.open(directory.resolve("bad"), 4096, 8192, 0);
                var goodFiles = files("good");
                var committer = new Committer("test");
                var badWriter = committer.register(badFiles, 1 << 20, bad);
                var goodWriter = committer.register(goodFiles, 1 << 20, good)) {
            badWriter.append(0, block());
            assertEquals(4096L, bad.next());
            badWriter.append(4096, block());
            assertEquals(8192L, bad.next());
            badWriter.append(8192, block());
            var cause = (DeviceException) bad.next();
            assertTrue(cause.isOutOfSpace(), cause.getMessage());
            assertFalse(badWriter.append(8192, block()));
            goodWriter.append(0, block());
            good.awaitDurable(4096);
            assertTrue(bad.heard.isEmpty());
        }
    }

    @Test
    void aListenerWithABugHarmsNoOther() throws Exception {
        var good = new Ear(0);
        var failed = new CountDownLatch(1);
        try (var badFiles = files("bad");
                var goodFiles = files("good");
                var committer = new Committer("test");
                var badWriter =
                        committer.register(
                                badFiles,
                                1 << 20,
                                new Committer.Listener() {
                                    @Override
                                    public void durable(long endOffset) {
                                        throw new IllegalStateException("a bug");
                                    }

                                    @Override
                                    public void failed(DeviceException cause) {
                                        failed.countDown();
                                    }
                                });
                var goodWriter = committer.register(goodFiles, 1 << 20, good)) {
            badWriter.append(0, block());
            assertTrue(failed.await(20, TimeUnit.SECONDS));
            goodWriter.append(0, block());
            good.awaitDurable(4096);
        }
    }

    @Test
    void aLongQueueDelaysTheOthersByOneShareOnly() throws Exception {
        var hold = new Ear(1);
        List<String> order = new ArrayList<>();
        var done = new CountDownLatch(1);
        long longBytes = 4L * Committer.SHARE_BYTES;
        try (var holdFiles = files("hold");
                var longFiles = files("long");
                var shortFiles = files("short");
                var committer = new Committer("test");
                var holdWriter = committer.register(holdFiles, 1 << 20, hold);
                var longWriter =
                        committer.register(
                                longFiles, longBytes, listener("long", order, longBytes, done));
                var shortWriter =
                        committer.register(
                                shortFiles, 1 << 20, listener("short", order, -1, done))) {
            holdWriter.append(0, block());
            hold.next();
            for (long at = 0; at < longBytes; at += SEGMENT) {
                assertTrue(longWriter.append(at, ByteBuffer.allocateDirect(SEGMENT)));
            }
            shortWriter.append(0, block());
            hold.gate.countDown();
            assertTrue(done.await(20, TimeUnit.SECONDS));
            assertEquals(List.of("long", "short", "long", "long", "long"), order);
        }
    }

    private static Committer.Listener listener(
            String name, List<String> order, long lastOffset, CountDownLatch done) {
        return new Committer.Listener() {
            @Override
            public void durable(long endOffset) {
                order.add(name);
                if (endOffset == lastOffset) {
                    done.countDown();
                }
            }

            @Override
            public void failed(DeviceException cause) {
                order.add(cause.getMessage());
                done.countDown();
            }
        };
    }

    @Test
    void closingTheCommitterMakesDurableWhatIsQueued() throws Exception {
        var ear = new Ear(0);
        try (var files = files("a")) {
            var committer = new Committer("test");
            var writer = committer.register(files, 64 << 20, ear);
            for (int i = 0; i < 200; i++) {
                writer.append(i * 4096L, block());
            }
            committer.close();
            ear.awaitDurable(200 * 4096L);
            writer.close();
        }
    }

    @Test
    void aClosedWriterIsNotCalledAnyMore() throws Exception {
        var ear = new Ear(0);
        try (var files = files("a");
                var committer = new Committer("test")) {
            var writer = committer.register(files, 64 << 20, ear);
            for (int i = 0; i < 200; i++) {
                writer.append(i * 4096L, block());
            }
            writer.close();
            int heard = ear.heard.size();
            assertFalse(writer.append(0, block()));
            committer.close();
            assertEquals(heard, ear.heard.size());
        }
    }
}
