package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.device.Committer;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.JournalFiles;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// While it is there nothing of any journal of this filesystem is written, as when its disk hangs.
final class HungJournals implements AutoCloseable {
    private static final int BLOCK = 4096;
    private static final long SEGMENT = 4 << 20;
    private static final long LIMIT_SECONDS = 300;

    private final CountDownLatch began = new CountDownLatch(1);
    private final CountDownLatch ends = new CountDownLatch(1);
    private final JournalFiles files;
    private final Committer.Writer writer;

    /// @param dir of the filesystem, for a journal that nobody needs
    HungJournals(Committer committer, Path dir) throws Exception {
        Path other = Files.createTempDirectory(dir, "hung").resolve("other.journal");
        JournalFiles.create(other, SEGMENT, 4 * SEGMENT);
        files = JournalFiles.open(other, SEGMENT, 4 * SEGMENT, 0);
        writer =
                committer.register(
                        files,
                        1 << 20,
                        new Committer.Listener() {
                            @Override
                            public void durable(long endOffset) {
                                began.countDown();
                                try {
                                    assertTrue(ends.await(LIMIT_SECONDS, TimeUnit.SECONDS));
                                } catch (InterruptedException e) {
                                    throw new IllegalStateException(e);
                                }
                            }

                            @Override
                            public void failed(DeviceException cause) {
                                throw new IllegalStateException(cause);
                            }
                        });
        assertTrue(writer.append(0, ByteBuffer.allocateDirect(BLOCK)));
        assertTrue(began.await(LIMIT_SECONDS, TimeUnit.SECONDS));
    }

    /// The disk answers again.
    @Override
    public void close() {
        ends.countDown();
        writer.close();
        files.close();
    }
}
