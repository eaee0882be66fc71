package holdfast.replicator.control;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/// One end of a Unix socket with deadlines. A `SocketChannel` has no time limits of its own, so a
/// timer closes it when a deadline passes; whoever reads or writes then sees an `IOException`.
final class Connection implements AutoCloseable {
    private final SocketChannel channel;
    private final ScheduledExecutorService timer;
    private final InputStream in = new BufferedInputStream(new Reader(), 4096);
    private ScheduledFuture<?> deadline;

    Connection(SocketChannel channel, ScheduledExecutorService timer) {
        this.channel = channel;
        this.timer = timer;
    }

    InputStream in() {
        return in;
    }

    /// All that follows has to be finished within `limit`, until this is called again.
    void limit(Duration limit) {
        unlimited();
        deadline = timer.schedule(this::close, limit.toMillis(), TimeUnit.MILLISECONDS);
    }

    void unlimited() {
        if (deadline != null) {
            deadline.cancel(false);
            deadline = null;
        }
    }

    /// The next `count` bytes as UTF-8.
    String readText(int count) throws IOException, HttpException {
        byte[] bytes = in.readNBytes(count);
        if (bytes.length < count) {
            throw new HttpException(
                    400, "the body ends after %d of %d bytes".formatted(bytes.length, count));
        }
        return new String(bytes, StandardCharsets.UTF_8);
    }

    void write(String text) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException _) {
            // It is closed all the same, and nobody reads on.
        }
    }

    private final class Reader extends InputStream {
        @Override
        public int read() {
            throw new UnsupportedOperationException("read through the buffer");
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            return channel.read(ByteBuffer.wrap(bytes, offset, length));
        }
    }
}
