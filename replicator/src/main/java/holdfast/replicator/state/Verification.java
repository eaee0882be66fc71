package holdfast.replicator.state;

import holdfast.checksum.HashTree;
import holdfast.checksum.TreeComparison;
import holdfast.checksum.TreeShape;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Does the copy hold what it should? Asks while writes go on, changes nothing, and reports only
/// what is certain. The side that asks; it neither reads nor sends.
///
/// ```
///  scan:    a range, read here and there at any moments of the run ── equal: it is
///                                                                 └─ not: candidates, block by block
///  confirm: candidates, read here under their lock at number z ─► the question goes behind write z and
///           before write z + 1 ─► read there between these two ── equal: written meanwhile
///                                                              └─ not: they differ
/// ```
///
/// Why a scan at no one moment misses nothing that was there when it began: take a byte that both
/// sides were found to hold alike, ours read at number m, the copy's at number q. If it was written
/// between the two, the stream brings that write and heals whatever was there. If it was not, the
/// two are the byte as of one number. So equal is equal, at any load, whatever is torn; only what
/// differs needs a second look, and what is written faster than it can be looked at is replicated
/// by that very writing.
///
/// The second look is exact. Nothing was written to the blocks between the number at which they
/// were locked and `z`, the last one when they were let go, so what was read is their content as of
/// `z`; and the stream is in order, so the question meets the copy as of `z`.
public final class Verification {
    /// So many differ at most before it ends: then it is another copy, and comparing everything
    /// with `invalidate-remote` mends it better.
    public static final long DIFFERING_MAX = 1 << 18;

    /// Nothing more is scanned while so many wait to be confirmed.
    private static final long CANDIDATES_MAX = 1 << 16;

    /// Long ranges that are scanned at a time.
    private static final int TREES_IN_FLIGHT = 2;

    /// Exact questions that are unanswered at a time.
    private static final int EXACT_IN_FLIGHT = 8;

    /// How far it is.
    ///
    /// @param waits nothing is compared now: the stream is not established, or an operator has
    ///   paused what is in the background
    public record Progress(
            long startedMillis,
            long comparedBytes,
            long sizeBytes,
            long differingBlocks,
            boolean waits) {}

    /// What it found.
    ///
    /// @param comparedBytes of the device; all of it when it was not cut short
    /// @param from position of the resource when it began
    /// @param to when it ended: each block was compared as of one position from there to here
    /// @param differing runs of blocks in order, none of which touches the next
    /// @param trouble why it was cut short, empty when it was not
    public record Result(
            long startedMillis,
            long endedMillis,
            long sizeBytes,
            long comparedBytes,
            Position from,
            Position to,
            List<BlockRun> differing,
            String trouble) {
        public boolean isWhole() {
            return trouble.isEmpty();
        }

        public long differingBlocks() {
            return differing.stream().mapToLong(BlockRun::count).sum();
        }
    }

    private record Range(long offsetBytes, long lengthBytes) {}

    /// @param number of the write behind which it goes
    private record Exact(long question, BlockRun run, byte[] ours, long number) {}

    private final long run;
    private final long startedMillis;
    private final Position from;
    private final long sizeBytes;
    private final Limits limits;
    private final TreeComparison scan;

    /// What is to be scanned: from here on, and what came back.
    private long cursor;

    private final ArrayDeque<Range> again = new ArrayDeque<>();

    private final BlockSet candidates;
    private long candidateCursor;
    private final BlockSet differing;
    private final ArrayDeque<Exact> toAsk = new ArrayDeque<>();
    private final Map<Long, Exact> asked = new LinkedHashMap<>();
    private long exactQuestions;

    /// @param run tells it apart from others of the session
    Verification(long run, long startedMillis, Position from, long sizeBytes, Limits limits) {
        this.run = run;
        this.startedMillis = startedMillis;
        this.from = from;
        this.sizeBytes = sizeBytes;
        this.limits = limits;
        this.scan =
                new TreeComparison(
                        new TreeShape(limits.fanOut()), TREES_IN_FLIGHT, limits.comparesInFlight());
        this.candidates = new BlockSet(BlockSet.blocksOf(sizeBytes));
        this.differing = new BlockSet(BlockSet.blocksOf(sizeBytes));
    }

    long run() {
        return run;
    }

    // ---- what is read here
    // -------------------------------------------------------------------------------------------

    /// Whether [#nextScan] has something.
    boolean wantsScan() {
        return candidates.count() <= CANDIDATES_MAX && scan.takes() && isMoreToScan();
    }

    private boolean isMoreToScan() {
        return !again.isEmpty() || cursor < candidates.capacity();
    }

    /// The next range to be scanned, or null.
    TreeComparison.Subject nextScan() {
        if (!wantsScan()) {
            return null;
        }
        Range next = again.poll();
        if (next == null) {
            long offset = cursor * BlockSet.BLOCK_BYTES;
            long blocks = Math.min(limits.treeBlocks(), candidates.capacity() - cursor);
            cursor += blocks;
            next = new Range(offset, Math.min(blocks * BlockSet.BLOCK_BYTES, sizeBytes - offset));
        }
        return scan.open(next.offsetBytes, next.lengthBytes);
    }

    /// It was read.
    void scanned(TreeComparison.Subject subject, HashTree tree) {
        scan.read(subject, tree, this::suspect);
    }

    /// It will not be read now.
    void scanDropped(TreeComparison.Subject subject) {
        scan.drop(subject);
        again.add(new Range(subject.offsetBytes(), subject.lengthBytes()));
    }

    private void suspect(long offsetBytes, long lengthBytes) {
        (Faults.M60 ? differing : candidates).addBytes(offsetBytes, lengthBytes);
    }

    /// Whether [#nextCandidates] has something.
    boolean wantsCandidates() {
        return !candidates.isEmpty() && toAsk.size() + asked.size() < EXACT_IN_FLIGHT;
    }

    /// The next candidates to be read under their lock. When it is had: [#taken].
    ///
    /// @param most blocks of the run
    BlockRun nextCandidates(int most) {
        long first = candidates.next(candidateCursor);
        if (first < 0) {
            first = candidates.next(0);
        }
        return new BlockRun(first, (int) (candidates.runEnd(first, most) - first));
    }

    void taken(BlockRun candidate) {
        candidates.removeRange(candidate.first(), candidate.end());
        candidateCursor = candidate.end();
    }

    /// They are being written to: others are tried first.
    void passedOver(BlockRun candidate) {
        candidateCursor = candidate.end();
    }

    /// They are to be confirmed still.
    void unconfirmed(BlockRun candidate) {
        candidates.addRange(candidate.first(), candidate.end());
    }

    /// They were read, and are as they were read at this number and at each one since they were
    /// locked.
    ///
    /// @param digests of each block
    void confirm(BlockRun candidate, byte[] digests, long number) {
        toAsk.add(new Exact(++exactQuestions, candidate, digests, number));
    }

    // ---- what is asked
    // -----------------------------------------------------------------------------------------------

    /// The next question, or null.
    ///
    /// @param next number of the write that is sent next, [Long#MAX_VALUE] for none: a question
    ///   about the moment in front of it has to go now
    /// @param scans whether ranges may be scanned now
    Frame.Verify next(long next, boolean scans) {
        Exact exact = toAsk.peek();
        if (exact != null && exact.number < next) {
            toAsk.poll();
            asked.put(exact.question, exact);
            BlockRun blocks = exact.run;
            return new Frame.Verify(
                    0,
                    run,
                    exact.question,
                    blocks.offsetBytes(),
                    blocks.lengthBytes(sizeBytes),
                    0,
                    true);
        }
        TreeComparison.Ask ask = scans ? scan.next() : null;
        return ask == null
                ? null
                : new Frame.Verify(
                        0,
                        run,
                        ask.number(),
                        ask.offsetBytes(),
                        ask.lengthBytes(),
                        ask.level(),
                        false);
    }

    /// @throws IllegalArgumentException if it answers nothing that was asked
    void answered(Frame.VerifyReply reply) {
        if (reply.run() != run) {
            return; // Of one that was stopped.
        }
        if (!reply.exact()) {
            scan.answered(reply.number(), reply.digests(), this::suspect);
            return;
        }
        Exact exact = asked.remove(reply.number());
        if (exact == null || reply.digests().length != exact.ours.length) {
            throw new IllegalArgumentException(
                    "%d bytes of digests for the exact question %d"
                            .formatted(reply.digests().length, reply.number()));
        }
        for (int i = 0; i < exact.run.count(); i++) {
            long block = exact.run.first() + i;
            if (TreeShape.isEqual(exact.ours, reply.digests(), i)) {
                differing.removeRange(block, block + 1);
            } else {
                differing.add(block);
            }
        }
    }

    /// Nothing that was asked will be answered: it is asked again in the next session.
    void sessionDown() {
        scan.end(this::scanAgain, this::scanAgain);
        toAsk.forEach(each -> unconfirmed(each.run));
        toAsk.clear();
        asked.values().forEach(each -> unconfirmed(each.run));
        asked.clear();
    }

    private void scanAgain(long offsetBytes, long lengthBytes) {
        again.add(new Range(offsetBytes, lengthBytes));
    }

    // ---- what is known
    // -----------------------------------------------------------------------------------------------

    /// Whether all is compared, but for what is being read under a lock.
    boolean isDone() {
        return !isMoreToScan()
                && scan.isIdle()
                && candidates.isEmpty()
                && toAsk.isEmpty()
                && asked.isEmpty();
    }

    boolean isTooMuch() {
        return differing.count() > DIFFERING_MAX;
    }

    Progress progress(boolean waits) {
        return new Progress(startedMillis, comparedBytes(), sizeBytes, differing.count(), waits);
    }

    private long comparedBytes() {
        long opened = Math.min(cursor * BlockSet.BLOCK_BYTES, sizeBytes);
        return Math.max(0, opened - scan.unreadBytes() - againBytes());
    }

    private long againBytes() {
        long bytes = 0;
        for (Range each : again) {
            bytes += each.lengthBytes;
        }
        return bytes;
    }

    /// Of what was cut short: what was found equal, or different for certain.
    private long certainBytes() {
        long opened = Math.min(cursor * BlockSet.BLOCK_BYTES, sizeBytes);
        long blocks = candidates.count();
        for (Exact each : toAsk) {
            blocks += each.run.count();
        }
        for (Exact each : asked.values()) {
            blocks += each.run.count();
        }
        return Math.max(
                0, opened - scan.openBytes() - againBytes() - blocks * BlockSet.BLOCK_BYTES);
    }

    /// @param trouble why it is cut short, empty when all was compared
    Result result(long endedMillis, Position to, String trouble) {
        List<BlockRun> runs = new ArrayList<>();
        for (long b = differing.next(0); b >= 0; ) {
            long end = differing.runEnd(b, Integer.MAX_VALUE);
            runs.add(new BlockRun(b, (int) (end - b)));
            b = differing.next(end);
        }
        return new Result(
                startedMillis,
                endedMillis,
                sizeBytes,
                trouble.isEmpty() ? sizeBytes : certainBytes(),
                from,
                to,
                List.copyOf(runs),
                trouble);
    }
}
