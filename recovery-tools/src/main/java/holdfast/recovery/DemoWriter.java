package holdfast.recovery;

import java.io.IOException;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;

/// The application of a demonstration: writes to the export, one request after the other, until it
/// is stopped.
///
/// With a ledger each write is a numbered one. Into a user's image it writes what it has just read
/// there: real writes that change nothing.
final class DemoWriter implements AutoCloseable {
    private static final long PAUSE_NANOS = 2_000_000;

    private final NbdClient export;
    private final DemoVolume volume;
    private final Thread thread;
    private volatile boolean stopped;
    private volatile long count;
    private volatile IOException failure;

    private DemoWriter(NbdClient export, DemoVolume volume) {
        this.export = export;
        this.volume = volume;
        this.thread = Thread.ofPlatform().daemon().name("demo-writer").unstarted(this::run);
    }

    static DemoWriter start(String uri, DemoVolume volume) throws IOException {
        var writer = new DemoWriter(NbdClient.connect(uri), volume);
        writer.thread.start();
        return writer;
    }

    /// Writes that the export has answered.
    long count() {
        return count;
    }

    /// Ends the writing and flushes.
    void stop() throws IOException, InterruptedException {
        stopped = true;
        thread.join();
        if (failure != null) {
            throw failure;
        }
        export.flush();
    }

    @Override
    public void close() throws IOException {
        stopped = true;
        export.close();
    }

    private void run() {
        var random = new SplittableRandom(7);
        byte[] block = new byte[Ledger.BLOCK_BYTES];
        long blocks = export.size() / Ledger.BLOCK_BYTES;
        try {
            while (!stopped) {
                long number = count + 1;
                if (volume.ledger().isPresent()) {
                    Ledger ledger = volume.ledger().get();
                    export.write(ledger.offset(number), ledger.block(number));
                } else {
                    long offset = random.nextLong(blocks) * Ledger.BLOCK_BYTES;
                    export.read(offset, block);
                    export.write(offset, block);
                }
                count = number;
                LockSupport.parkNanos(PAUSE_NANOS);
            }
        } catch (IOException e) {
            failure = e;
        }
    }
}
