package holdfast.replicator.daemon;

import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.ReadRun;
import holdfast.tunnel.wire.FrameCodec;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/// Brings blocks of the device here to what the copy holds, while the export takes no client.
///
/// ```
///  collect: here and the copy as of one number ─► what differs, both contents, to a file ─► synced
///  apply:   each block that holds what it held then ─► what the copy held, by the write path
///  finish:  flushed ─► the file gets its last name, and stays
/// ```
///
/// Why all is collected before the first block is written: a primary that crashes sends the extents
/// it was writing to as it finds them, and with them the blocks of these extents that are not
/// repaired yet. From then on the copy does not have what is right any more, but the file does.
///
/// Why only what holds its former content is written: after an attempt that was cut short the
/// device may have been used, and what was written since is newer than what was collected.
final class Repair {
    /// Blocks that are asked for at a time, and so many times at once.
    private static final int RUN_BLOCKS = FrameCodec.MAX_EXACT_BYTES / BlockSet.BLOCK_BYTES;

    private static final int RUNS_ASKED = 4;

    /// The copy answers within that, or it is away.
    private static final long ANSWER_SECONDS = 60;

    /// What else may need room where the file is.
    private static final long SPARE_BYTES = 64L << 20;

    /// What came of it.
    ///
    /// @param blocks that hold now what the copy held
    /// @param writtenSince that were left alone: they hold neither what they held nor that
    /// @param former the file with what they held; none where nothing differed
    record Outcome(long blocks, long bytes, long writtenSince, Optional<Path> former) {}

    private final PrimaryResource at;
    private final ResourceDir dir;
    private final UUID resource;
    private final String peer;
    private volatile boolean ends;
    private volatile long doneBytes;
    private volatile long totalBytes = 1;

    Repair(PrimaryResource at, ResourceDir dir, UUID resource, String peer) {
        this.at = at;
        this.dir = dir;
        this.resource = resource;
        this.peer = peer;
    }

    boolean isOf(PrimaryResource attached) {
        return at == attached;
    }

    /// From any thread: it ends soon, as after a crash.
    void end() {
        ends = true;
    }

    /// Of both halves together.
    long doneBytes() {
        return doneBytes;
    }

    long totalBytes() {
        return totalBytes;
    }

    /// Goes on with what an attempt before this has left, or does all of it.
    ///
    /// @param runs what differs; not looked at where there is something to go on with
    /// @throws IOException what is left is in the file, if that has its name already
    Outcome run(List<BlockRun> runs, Instant verified) throws IOException, InterruptedException {
        if (!Files.exists(dir.repairFile())) {
            collect(runs, verified);
        }
        Outcome outcome = apply();
        if (outcome.former.isPresent()) {
            AtomicFile.rename(dir.repairFile(), outcome.former.get());
        } else {
            Files.delete(dir.repairFile());
        }
        return outcome;
    }

    /// @throws IOException if there is no room for the file
    void requireRoom(long blocks) throws IOException {
        long needed = blocks * RepairFile.ENTRY_BYTES + SPARE_BYTES;
        Path parent = dir.repairFile().getParent();
        long usable = Files.getFileStore(parent).getUsableSpace();
        if (usable < needed) {
            throw new IOException(
                    "what the blocks hold now and what they are to hold takes %d bytes in %s, which has %d free"
                            .formatted(needed, parent, usable));
        }
    }

    // ---- collect -------------------------------------------------------------------------------

    private record Asked(
            BlockRun run, ByteBuffer ours, CompletableFuture<Primary.Fetched> answer) {}

    private void collect(List<BlockRun> runs, Instant verified)
            throws IOException, InterruptedException {
        long size = at.sizeBytes();
        Path unfinished = dir.repairFile().resolveSibling("repair.blocks.new");
        long blocks = runs.stream().mapToLong(BlockRun::count).sum();
        totalBytes = 2 * blocks * BlockSet.BLOCK_BYTES;
        try (RepairFile file = RepairFile.create(unfinished, resource, verified, size)) {
            ArrayDeque<Asked> asked = new ArrayDeque<>();
            for (BlockRun run : runs) {
                for (long first = run.first(); first < run.end(); first += RUN_BLOCKS) {
                    int count = (int) Math.min(RUN_BLOCKS, run.end() - first);
                    asked.add(ask(new BlockRun(first, count), size));
                    if (asked.size() == RUNS_ASKED) {
                        take(asked.poll(), file);
                    }
                }
            }
            while (!asked.isEmpty()) {
                take(asked.poll(), file);
            }
            file.finish();
            totalBytes = doneBytes + file.header().blocks() * BlockSet.BLOCK_BYTES;
            AtomicFile.rename(unfinished, dir.repairFile());
        } catch (IOException e) {
            Files.deleteIfExists(unfinished); // Nothing was overwritten.
            throw e;
        }
    }

    private Asked ask(BlockRun run, long size) throws IOException {
        requireGoesOn();
        ByteBuffer ours = read(run.offsetBytes(), run.lengthBytes(size));
        CompletableFuture<Primary.Fetched> answer =
                at.fetch(run, ReadRun.blockDigests(ours.duplicate()));
        if (answer == null) {
            throw new IOException("the copy at %s does not follow write by write".formatted(peer));
        }
        return new Asked(run, ours, answer);
    }

    private void take(Asked asked, RepairFile file) throws IOException, InterruptedException {
        Primary.Fetched answer = await(asked.answer, ANSWER_SECONDS);
        if (!answer.trouble().isEmpty()) {
            throw new IOException(answer.trouble());
        }
        if (answer.data() != null) {
            byte[] ours = new byte[asked.ours.remaining()];
            asked.ours.get(ours);
            for (int from = 0; from < ours.length; from += BlockSet.BLOCK_BYTES) {
                int to = Math.min(from + BlockSet.BLOCK_BYTES, ours.length);
                byte[] former = Arrays.copyOfRange(ours, from, to);
                byte[] right = Arrays.copyOfRange(answer.data(), from, to);
                if (!Arrays.equals(former, right)) {
                    file.add(new RepairFile.Entry(asked.run.offsetBytes() + from, former, right));
                }
            }
        }
        doneBytes += (long) asked.run.count() * BlockSet.BLOCK_BYTES;
    }

    // ---- apply ---------------------------------------------------------------------------------

    private Outcome apply() throws IOException, InterruptedException {
        try (RepairFile file = RepairFile.open(dir.repairFile(), resource)) {
            RepairFile.Header header = file.header();
            if (header.sizeBytes() > at.sizeBytes()) {
                throw new IOException(
                        "the device is smaller than it was when its blocks were collected");
            }
            totalBytes = doneBytes + header.blocks() * BlockSet.BLOCK_BYTES;
            long blocks = 0;
            long bytes = 0;
            long since = 0;
            List<CompletableFuture<Integer>> writes = new ArrayList<>();
            try {
                for (long i = 0; i < header.blocks(); i++) {
                    requireGoesOn();
                    RepairFile.Entry entry = file.entry(i);
                    byte[] now = new byte[entry.right().length];
                    read(entry.offsetBytes(), now.length).get(now);
                    if (!isEither(now, entry)) {
                        since++;
                    } else {
                        if (!Arrays.equals(now, entry.right())) {
                            writes.add(write(entry));
                        }
                        blocks++;
                        bytes += now.length;
                    }
                    if (writes.size() == RUN_BLOCKS) {
                        awaitAll(writes);
                        writes.clear();
                    }
                    doneBytes += BlockSet.BLOCK_BYTES;
                }
            } finally {
                // Clients are let in behind this: none of these may come then.
                for (CompletableFuture<Integer> each : writes) {
                    each.exceptionally(_ -> Errno.EIO).join();
                }
            }
            awaitAll(writes);
            CompletableFuture<Integer> flushed = new CompletableFuture<>();
            at.flush(flushed::complete);
            awaitAll(List.of(flushed));
            return new Outcome(
                    blocks,
                    bytes,
                    since,
                    header.blocks() == 0
                            ? Optional.empty()
                            : Optional.of(dir.repairedFile(Instant.now())));
        }
    }

    /// Each sector on its own: a power cut tears a block between them.
    private static boolean isEither(byte[] now, RepairFile.Entry entry) {
        for (int from = 0; from < now.length; from += FrameCodec.SECTOR_BYTES) {
            int to = Math.min(from + FrameCodec.SECTOR_BYTES, now.length);
            if (!Arrays.equals(now, from, to, entry.former(), from, to)
                    && !Arrays.equals(now, from, to, entry.right(), from, to)) {
                return false;
            }
        }
        return true;
    }

    private CompletableFuture<Integer> write(RepairFile.Entry entry) {
        ByteBuffer data = aligned(entry.right().length);
        data.put(entry.right()).flip();
        CompletableFuture<Integer> written = new CompletableFuture<>();
        at.write(Payload.of(data), entry.offsetBytes(), false, written::complete);
        return written;
    }

    /// All of them, also after one has failed: nothing is in flight afterwards.
    private void awaitAll(List<CompletableFuture<Integer>> writes)
            throws IOException, InterruptedException {
        int failed = Errno.OK;
        for (CompletableFuture<Integer> each : writes) {
            int errno = await(each, Long.MAX_VALUE);
            failed = failed == Errno.OK ? errno : failed;
        }
        if (failed != Errno.OK) {
            throw new IOException(
                    "a write of it failed with error %d; see status".formatted(failed));
        }
    }

    // ---- both ----------------------------------------------------------------------------------

    private void requireGoesOn() throws IOException {
        if (ends) {
            throw new IOException("it was stopped, by an order, a detach or the end of the daemon");
        }
    }

    /// @param seconds it lasts at most
    private <T> T await(CompletableFuture<T> answer, long seconds)
            throws IOException, InterruptedException {
        for (long waited = 0; ; waited++) {
            try {
                return answer.get(1, TimeUnit.SECONDS);
            } catch (TimeoutException e) {
                requireGoesOn();
                if (waited >= seconds) {
                    throw new IOException("the copy at %s does not answer".formatted(peer), e);
                }
            } catch (ExecutionException e) {
                throw new IOException(e.getCause());
            }
        }
    }

    private ByteBuffer read(long offsetBytes, int lengthBytes) throws IOException {
        ByteBuffer data = aligned(lengthBytes);
        try {
            at.read(offsetBytes, data);
        } catch (ExportException e) {
            throw new IOException(e.getMessage(), e);
        }
        return data.rewind();
    }

    private static ByteBuffer aligned(int lengthBytes) {
        return ByteBuffer.allocateDirect(lengthBytes + BlockSet.BLOCK_BYTES)
                .alignedSlice(BlockSet.BLOCK_BYTES)
                .limit(lengthBytes);
    }
}
