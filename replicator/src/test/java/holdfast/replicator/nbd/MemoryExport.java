package holdfast.replicator.nbd;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// An export in memory that can also misbehave: answer late, or with an error.
final class MemoryExport implements Export {
    private final String name;
    private final byte[] bytes;
    boolean openedByAsking;
    final AtomicInteger opened = new AtomicInteger();
    final AtomicInteger closed = new AtomicInteger();
    final CountDownLatch firstHeld = new CountDownLatch(1);
    private final ArrayDeque<Runnable> held = new ArrayDeque<>();
    private final List<String> calls = new ArrayList<>();
    private boolean holding;
    volatile boolean readOnly;
    volatile int failWith;
    volatile boolean throwing;
    volatile boolean refuses;
    volatile int maxBlockBytes = 32 << 20;
    volatile int minBlockBytes = 1;
    volatile List<Extent> extents;

    MemoryExport(String name, int sizeBytes) {
        this.name = name;
        this.bytes = new byte[sizeBytes];
    }

    /// From now on changes wait for [#letGo].
    synchronized void hold() {
        holding = true;
    }

    /// Carries out what was held, on the caller's thread, and holds no more.
    void letGo() {
        while (true) {
            Runnable next;
            synchronized (this) {
                holding = false;
                next = held.pollFirst();
            }
            if (next == null) {
                return;
            }
            next.run();
        }
    }

    synchronized int heldCount() {
        return held.size();
    }

    /// What was called, in order, flags by name.
    synchronized List<String> calls() {
        return List.copyOf(calls);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        return "memory";
    }

    @Override
    public long sizeBytes() {
        return bytes.length;
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public int minBlockBytes() {
        return minBlockBytes;
    }

    @Override
    public int maxBlockBytes() {
        return maxBlockBytes;
    }

    @Override
    public boolean isOpenedByAsking() {
        return openedByAsking;
    }

    @Override
    public void opened() throws ExportException {
        if (refuses) {
            throw new ExportException(Errno.EPERM, "not now");
        }
        opened.incrementAndGet();
    }

    @Override
    public void closed() {
        closed.incrementAndGet();
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        if (throwing) {
            throw new IllegalStateException("a bug");
        }
        if (failWith != 0) {
            throw new ExportException(failWith, "told to fail");
        }
        synchronized (bytes) {
            into.put(bytes, (int) offsetBytes, into.remaining());
        }
    }

    @Override
    public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
        change(
                "write " + offsetBytes + "+" + payload.data().remaining() + (fua ? " fua" : ""),
                reply,
                () -> {
                    synchronized (bytes) {
                        payload.view().get(bytes, (int) offsetBytes, payload.view().remaining());
                    }
                    payload.release();
                });
    }

    @Override
    public void writeZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        String flags = (noHole ? " no-hole" : "") + (fua ? " fua" : "");
        change(
                "zero " + offsetBytes + "+" + lengthBytes + flags,
                reply,
                () -> zero(offsetBytes, lengthBytes));
    }

    @Override
    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
        change(
                "trim " + offsetBytes + "+" + lengthBytes,
                reply,
                () -> zero(offsetBytes, lengthBytes));
    }

    @Override
    public void flush(Reply reply) {
        change("flush", reply, () -> {});
    }

    @Override
    public List<Extent> blockStatus(long offsetBytes, long lengthBytes, int maxExtents) {
        return extents == null ? List.of(Extent.data(lengthBytes)) : extents;
    }

    boolean awaitFirstHeld() throws InterruptedException {
        return firstHeld.await(10, TimeUnit.SECONDS);
    }

    private void zero(long offsetBytes, long lengthBytes) {
        synchronized (bytes) {
            Arrays.fill(bytes, (int) offsetBytes, (int) (offsetBytes + lengthBytes), (byte) 0);
        }
    }

    private void change(String call, Reply reply, Runnable effect) {
        if (throwing) {
            effect.run();
            throw new IllegalStateException("a bug");
        }
        Runnable all =
                () -> {
                    effect.run();
                    reply.done(failWith);
                };
        synchronized (this) {
            calls.add(call);
            if (holding) {
                held.addLast(all);
                firstHeld.countDown();
                return;
            }
        }
        all.run();
    }
}
