package holdfast.bench;

import holdfast.replicator.device.Committer;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.journal.JournalRecord;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicReference;

/// How fast does a journal become durable, beside `dd` that writes as much to the same disk and
/// syncs it in batches of the same size?
///
/// Sketch: a journal adds a header of 128 bytes and two checksums to each record, 3 GB/s of one
/// processor, and writes into space that it took before; the disk is what both wait for.
final class Append {
    /// How many bars there are.
    static final int BARS = 1;

    private static final double BAR = 0.7;
    private static final int RUNS = 3;
    private static final long SEGMENT = 64L << 20;

    /// As the journal's share of a round.
    private static final int BATCH_BYTES = 4 << 20;

    private static final int DATA_BYTES = 128 << 10;
    private static final int QUEUE_BYTES = 16 << 20;

    private final PrintWriter out;
    private final Path work;
    private final long bytes;

    /// @param work an empty directory
    /// @param bytes of each run
    Append(PrintWriter out, Path work, long bytes) {
        this.out = out;
        this.work = work;
        this.bytes = bytes / BATCH_BYTES * BATCH_BYTES;
    }

    /// Measures, prints, and says which bars were missed.
    List<String> run() throws Exception {
        Path directory = Files.createDirectories(work.resolve("append"));
        byte[] data = new byte[DATA_BYTES];
        new Random(1).nextBytes(data);
        double[] ratios = new double[RUNS];
        double[] rates = new double[RUNS];
        for (int i = 0; i < RUNS; i++) {
            double dd = rate(() -> dd(directory.resolve("dd"), data));
            Path journal = directory.resolve("journal-" + i);
            // Its space is taken before, as `add` takes it.
            JournalFiles.create(journal, SEGMENT, capacity());
            try (JournalFiles files = JournalFiles.open(journal, SEGMENT, capacity(), 0)) {
                files.reserve(capacity());
                rates[i] = rate(() -> append(files, ByteBuffer.wrap(data)));
            }
            Programs.delete(journal);
            ratios[i] = rates[i] / dd;
        }
        Programs.delete(directory);
        double ratio = Bench.median(ratios);
        out.printf(
                "%nthe journal takes %.0f MiB/s, records of 128 KiB, synced: %.2f of dd oflag=dsync bs=4M (%.2f, %.2f, %.2f)%n",
                Bench.median(rates), ratio, ratios[0], ratios[1], ratios[2]);
        return ratio >= BAR
                ? List.of()
                : List.of("appending: %.2f of dd, the bar is %.2f".formatted(ratio, BAR));
    }

    private interface Work {
        void run() throws Exception;
    }

    private double rate(Work what) throws Exception {
        long began = System.nanoTime();
        what.run();
        return bytes / ((System.nanoTime() - began) / 1e9) / (1 << 20);
    }

    private long capacity() {
        return (bytes / SEGMENT + 3) * SEGMENT;
    }

    private void dd(Path to, byte[] data) throws IOException, InterruptedException {
        Path from = to.resolveSibling("data");
        if (!Files.exists(from)) {
            byte[] batch = new byte[BATCH_BYTES];
            for (int at = 0; at < batch.length; at += data.length) {
                System.arraycopy(data, 0, batch, at, data.length);
            }
            Files.write(from, batch);
        }
        Programs.run(
                "sh",
                "-c",
                "i=0; while [ $i -lt %d ]; do cat %s; i=$((i+1)); done | dd of=%s bs=4M iflag=fullblock oflag=dsync 2>/dev/null"
                        .formatted(bytes / BATCH_BYTES, from, to));
        Files.delete(to);
    }

    private void append(JournalFiles files, ByteBuffer data) throws Exception {
        Semaphore room = new Semaphore(QUEUE_BYTES);
        AtomicReference<DeviceException> failure = new AtomicReference<>();
        Committer.Listener listener =
                new Committer.Listener() {
                    private long durable;

                    @Override
                    public void durable(long endOffset) {
                        room.release((int) (endOffset - durable));
                        durable = endOffset;
                    }

                    @Override
                    public void failed(DeviceException cause) {
                        failure.set(cause);
                        room.release(QUEUE_BYTES);
                    }
                };
        UUID resource = UUID.randomUUID();
        long record = JournalRecord.totalBytes(DATA_BYTES);
        try (Committer committer = new Committer("bench");
                Committer.Writer writer = committer.register(files, QUEUE_BYTES, listener)) {
            long at = 0;
            for (long number = 1; number <= bytes / DATA_BYTES; number++) {
                long left = SEGMENT - at % SEGMENT;
                long end = (left < record ? at + left : at) + record;
                room.acquire((int) (end - at));
                if (failure.get() != null) {
                    throw failure.get();
                }
                at = end - record;
                writer.append(at, header(resource, at, number, data), data.duplicate());
                at = end;
            }
            room.acquire(QUEUE_BYTES);
        }
    }

    private static ByteBuffer header(UUID resource, long at, long number, ByteBuffer data) {
        return new JournalRecord(
                        JournalRecord.Kind.WRITE,
                        false,
                        false,
                        resource,
                        at,
                        0,
                        1,
                        0,
                        DATA_BYTES,
                        new Position(1, number),
                        0,
                        number * DATA_BYTES,
                        DATA_BYTES,
                        0,
                        0,
                        JournalRecord.crcOf(data),
                        0)
                .encode();
    }
}
