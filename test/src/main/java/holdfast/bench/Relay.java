package holdfast.bench;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Instant;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/// A line between two programs of this host that counts what they send, and can be cut. What it
/// counts is what TCP carries, TLS included, for whoever uses it.
final class Relay implements AutoCloseable {
    private static final int PIECE_BYTES = 64 << 10;
    private static final InetAddress LOCAL = InetAddress.getLoopbackAddress();

    private final ServerSocket entrance;
    private final int target;
    private final long delayNanos;
    private final AtomicLong forth = new AtomicLong();
    private final AtomicLong back = new AtomicLong();
    private final Set<Socket> open = ConcurrentHashMap.newKeySet();
    private volatile boolean cut;
    private volatile Instant accepted = Instant.EPOCH;

    /// What has gone through so far.
    ///
    /// @param forth from who dialled
    /// @param back to who dialled
    record Bytes(long forth, long back) {
        Bytes minus(Bytes before) {
            return new Bytes(forth - before.forth, back - before.back);
        }

        long both() {
            return forth + back;
        }
    }

    private record Piece(byte[] data, long dueNanos) {}

    /// @param target a port of this host
    /// @param delayMillis how long each byte is on its way, in either direction
    Relay(int target, long delayMillis) throws IOException {
        this.entrance = new ServerSocket(0, 16, LOCAL);
        this.target = target;
        this.delayNanos = delayMillis * 1_000_000;
        Thread.ofVirtual().start(this::accept);
    }

    int port() {
        return entrance.getLocalPort();
    }

    Bytes bytes() {
        return new Bytes(forth.get(), back.get());
    }

    /// When somebody was let in last.
    Instant accepted() {
        return accepted;
    }

    /// Ends what is open, and lets nobody in until [#mend].
    void cut() {
        cut = true;
        open.forEach(Relay::close);
    }

    void mend() {
        cut = false;
    }

    private void accept() {
        while (!entrance.isClosed()) {
            try {
                Socket from = entrance.accept();
                if (cut) {
                    close(from);
                    continue;
                }
                accepted = Instant.now();
                Socket to;
                try {
                    to = new Socket(LOCAL, target);
                } catch (IOException e) {
                    close(from); // Nobody is at the target: who dials tries again.
                    continue;
                }
                from.setTcpNoDelay(true);
                to.setTcpNoDelay(true);
                open.add(from);
                open.add(to);
                pump(from, to, forth);
                pump(to, from, back);
            } catch (IOException e) {
                // It went again, or the entrance was closed.
            }
        }
    }

    private void pump(Socket from, Socket to, AtomicLong count) {
        if (delayNanos == 0) {
            Thread.ofVirtual().start(() -> carry(from, to, count));
            return;
        }
        BlockingQueue<Piece> onItsWay = new LinkedBlockingQueue<>();
        Thread.ofVirtual().start(() -> take(from, onItsWay, count));
        Thread.ofVirtual().start(() -> give(onItsWay, to));
    }

    private void carry(Socket from, Socket to, AtomicLong count) {
        byte[] data = new byte[PIECE_BYTES];
        try (from;
                to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int n = in.read(data); n >= 0; n = in.read(data)) {
                count.addAndGet(n);
                out.write(data, 0, n);
            }
        } catch (IOException e) {
            // One of the two has gone: both are closed.
        }
        open.remove(from);
        open.remove(to);
    }

    private void take(Socket from, BlockingQueue<Piece> into, AtomicLong count) {
        byte[] data = new byte[PIECE_BYTES];
        try (from) {
            InputStream in = from.getInputStream();
            for (int n = in.read(data); n >= 0; n = in.read(data)) {
                count.addAndGet(n);
                into.add(new Piece(Arrays.copyOf(data, n), System.nanoTime() + delayNanos));
            }
        } catch (IOException e) {
            // It has gone.
        }
        into.add(new Piece(null, 0));
        open.remove(from);
    }

    private void give(BlockingQueue<Piece> from, Socket to) {
        try (to) {
            OutputStream out = to.getOutputStream();
            for (Piece next = from.take(); next.data() != null; next = from.take()) {
                for (long left = next.dueNanos() - System.nanoTime();
                        left > 0;
                        left = next.dueNanos() - System.nanoTime()) {
                    LockSupport.parkNanos(left);
                }
                out.write(next.data());
            }
        } catch (IOException e) {
            // It has gone.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        open.remove(to);
    }

    private static void close(Socket socket) {
        try {
            socket.close();
        } catch (IOException e) {
            // It is closed, whatever else went wrong.
        }
    }

    @Override
    public void close() throws IOException {
        entrance.close();
        open.forEach(Relay::close);
    }
}
