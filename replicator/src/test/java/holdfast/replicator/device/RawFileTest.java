package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertFalse;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;

class RawFileTest {
    @TempDir Path dir;

    /// Whoever reads a segment of the journal that is pushed out of the open ones opens it anew.
    @Test
    void whoReadsWhileItIsClosedIsTurnedAwayAndDoesNotFail() throws Exception {
        Path path = Files.write(dir.resolve("file"), new byte[512]);
        for (int rounds = 0; rounds < 3000; rounds++) {
            RawFile file = RawFile.open(path.toString(), Native.O_RDONLY, 0);
            CountDownLatch reads = new CountDownLatch(3);
            CompletableFuture<Boolean> reader =
                    CompletableFuture.supplyAsync(
                            () -> {
                                ByteBuffer into = ByteBuffer.allocateDirect(512);
                                try {
                                    while (file.tryRead(0, into.clear())) {
                                        reads.countDown();
                                    }
                                    return false;
                                } catch (DeviceException e) {
                                    throw new IllegalStateException(e);
                                }
                            });
            reads.await();
            file.close();
            assertFalse(reader.get());
        }
    }
}
