package holdfast.replicator.state;

import holdfast.checksum.SectorDigests;
import holdfast.tunnel.wire.Frame;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/// Of the blocks that an epoch is to carry, which sectors does the peer hold already? The side that
/// asks: it goes through the blocks from the first to the last, ahead of whoever reads them.
///
/// ```
///  OPEN ─► a few blocks ─► answered, read, judged ─┬─► a quarter equal: ASKS about more and more ahead, nothing unasked is read
///                                                  └─► less: SENDS_WHOLE, and asks about a few further on now and then
///  KEPT ─► all that the peer has kept of an epoch that was cut off, asked about as it pays ─► OPEN
/// ```
///
/// The answers are of the committed image and what is kept over it, which stand still while an
/// epoch is being made. So they hold for a block only while nothing of that block has been sent in
/// the epoch: then it is the staged image that the rest of the block would be laid over. Blocks of
/// which something was sent are not asked about when an extension brings them again.
final class SectorQuestions {
    /// Bytes of digests for a whole block.
    private static final int BLOCK_DIGEST_BYTES =
            BlockSet.BLOCK_BYTES / SectorDigests.SECTOR_BYTES * SectorDigests.BYTES;

    /// Questions ahead of the reader when it pays: 16 MiB of blocks, 512 KiB of digests. A line of
    /// 100 ms carries the sectors of so many little changed blocks at some 10 Mbit/s and more.
    private static final int QUESTIONS_AHEAD = 16;

    private enum Mode {
        OFF,
        KEPT,
        OPEN,
        ASKS,
        SENDS_WHOLE
    }

    private static final class Question {
        private final long number;
        private final List<BlockRun> runs;
        private final int blocks;
        private final int digestBytes;
        private byte[] digests;

        /// The first block that was not looked at.
        private long next;

        /// Reads that were handed out.
        private int reading;

        private int sectors;
        private int equalSectors;

        private Question(long number, List<BlockRun> runs, int blocks, int digestBytes) {
            this.number = number;
            this.runs = runs;
            this.blocks = blocks;
            this.digestBytes = digestBytes;
            this.next = runs.getFirst().first();
        }
    }

    /// A run of blocks with the peer's digests of it.
    static final class Answered {
        private final Question question;
        private final BlockRun run;
        private final int at;

        private Answered(Question question, BlockRun run, int at) {
            this.question = question;
            this.run = run;
            this.at = at;
        }

        BlockRun run() {
            return run;
        }

        byte[] digests() {
            return question.digests;
        }

        /// Where the run's digests begin.
        int at() {
            return at;
        }

        /// It is being read now.
        void taken() {
            question.next = run.end();
            question.reading++;
        }

        /// What came of it.
        void looked(int sectors, int equalSectors) {
            question.reading--;
            question.sectors += sectors;
            question.equalSectors += equalSectors;
        }
    }

    /// Each part is an entry of some 180 bytes in the peer's memory from its commit until it is in
    /// the base, where a run of whole blocks is one.
    static final int MOST_PARTS = 100_000;

    private final Limits limits;
    private final long sizeBytes;

    /// Blocks that the peer said to have kept and that were not read or sent since: most are equal.
    private final BlockSet kept;

    /// Blocks of which something was sent in this epoch.
    private final BlockSet sent;

    private final ArrayDeque<Question> questions = new ArrayDeque<>();
    private Mode mode = Mode.OFF;
    private long numbers;
    private long cursor;

    /// That went in this epoch.
    private int parts;

    /// Blocks that may be asked about ahead.
    private int aheadBlocks;

    /// Blocks that are sent unasked before a few are asked about again.
    private int wholeBlocks;

    /// @param sizeBytes of the device, whose last block may be short
    /// @param like a set over it, for others out of the same memory
    SectorQuestions(Limits limits, long sizeBytes, BlockSet like) {
        this.limits = limits;
        this.sizeBytes = sizeBytes;
        this.kept = like.another(BlockSet.Rounding.DOWN);
        this.sent = like.another(BlockSet.Rounding.UP);
    }

    /// A new epoch, of which nothing was sent.
    void begin() {
        end();
        mode = limits.askedBlocks() == 0 ? Mode.OFF : Mode.OPEN;
        parts = 0;
        cursor = 0;
        aheadBlocks = few();
    }

    /// Nothing more is asked in this epoch, and no answer used.
    void end() {
        questions.clear();
        kept.clear();
        sent.clear();
        mode = Mode.OFF;
    }

    /// The peer is asked for room, which voids what it was asked before: all that is open is asked
    /// anew, but for blocks of which something was sent.
    void askAnew() {
        questions.clear();
        cursor = 0;
        if (mode != Mode.OFF) {
            mode = kept.isEmpty() ? Mode.OPEN : Mode.KEPT;
        }
    }

    /// Something of these blocks goes to the peer in this epoch.
    void sent(BlockRun run) {
        if (mode != Mode.OFF && !Faults.M38) {
            sent.addRange(run.first(), run.end());
        }
    }

    /// The peer has kept these blocks of an epoch that was cut off. All of them are asked about
    /// before anything is read unasked, whatever was found of others.
    void pays(long from, long to) {
        if (mode == Mode.OFF) {
            return;
        }
        kept.addRange(from, to);
        if (mode != Mode.KEPT) {
            mode = Mode.KEPT;
            cursor = 0;
            aheadBlocks = QUESTIONS_AHEAD * limits.askedBlocks();
        }
    }

    /// These blocks are read or sent now.
    void gone(long from, long to) {
        kept.removeRange(from, to);
    }

    /// Blocks of which the peer keeps something that are still to be looked at.
    long keptCount() {
        return kept.count();
    }

    /// So many more parts go instead of their blocks.
    void partsGo(int more) {
        parts += more;
        if (parts > MOST_PARTS) {
            end();
        }
    }

    private int few() {
        return Math.max(1, limits.askedBlocks() / 4);
    }

    /// The next question, or null.
    ///
    /// @param blocks those that the epoch is to carry
    /// @param zeroes those of them that need no data
    Frame.CompareSectors next(BlockSet blocks, BlockSet zeroes) {
        forgetDone(blocks, zeroes);
        int most = mayAsk();
        if (most == 0) {
            return null;
        }
        List<BlockRun> runs = choose(blocks, zeroes, most);
        if (runs.isEmpty()) {
            return null;
        }
        List<Frame.Range> ranges = new ArrayList<>(runs.size());
        int count = 0;
        int digestBytes = 0;
        for (BlockRun run : runs) {
            int length = run.lengthBytes(sizeBytes);
            ranges.add(new Frame.Range(run.offsetBytes(), length));
            count += run.count();
            digestBytes += SectorDigests.sectors(length) * SectorDigests.BYTES;
        }
        questions.add(new Question(++numbers, runs, count, digestBytes));
        if (mode == Mode.SENDS_WHOLE) {
            wholeBlocks = limits.wholeBlocks();
        }
        return new Frame.CompareSectors(numbers, List.copyOf(ranges));
    }

    /// How many blocks the next question may ask about.
    private int mayAsk() {
        return switch (mode) {
            case OFF -> 0;
            case OPEN -> questions.isEmpty() ? few() : 0;
            case KEPT, ASKS -> {
                int open = 0;
                for (Question each : questions) {
                    open += each.blocks;
                }
                // Not a few at a time: each question costs a frame and an answer.
                int room = Math.min(aheadBlocks - open, limits.askedBlocks());
                yield room >= Math.min(aheadBlocks, limits.askedBlocks()) / 2 ? room : 0;
            }
            case SENDS_WHOLE -> wholeBlocks <= 0 && questions.isEmpty() ? few() : 0;
        };
    }

    private List<BlockRun> choose(BlockSet blocks, BlockSet zeroes, int most) {
        List<BlockRun> runs = new ArrayList<>();
        long at = firstToAsk(blocks, zeroes);
        for (int left = most; at >= 0 && left > 0 && runs.size() < limits.askedBlocks(); ) {
            long zero = zeroes.next(at);
            long end = blocks.runEnd(at, Math.min(left, limits.runBlocks()));
            if (zero >= 0 && zero < end) {
                end = zero;
            }
            if (mode == Mode.KEPT) {
                end = kept.runEnd(at, end - at);
            }
            long gone = sent.next(at);
            if (gone >= 0 && gone < end) {
                end = gone;
            }
            runs.add(new BlockRun(at, (int) (end - at)));
            left -= (int) (end - at);
            cursor = end;
            at = nextToAsk(blocks, zeroes, end);
        }
        return runs;
    }

    /// From where it got to; again from the beginning when that is the end and nothing is open.
    private long firstToAsk(BlockSet blocks, BlockSet zeroes) {
        long at = nextToAsk(blocks, zeroes, cursor);
        return at < 0 && questions.isEmpty() ? nextToAsk(blocks, zeroes, 0) : at;
    }

    /// The next block that may be asked about, or -1.
    private long nextToAsk(BlockSet blocks, BlockSet zeroes, long from) {
        long at = nextLeft(blocks, zeroes, from);
        while (at >= 0) {
            long next;
            if (sent.contains(at)) {
                next = sent.runEnd(at, sent.capacity() - at);
            } else if (mode == Mode.KEPT && !kept.contains(at)) {
                next = kept.next(at);
            } else {
                return at;
            }
            at = next < 0 ? -1 : nextLeft(blocks, zeroes, next);
        }
        return -1;
    }

    private static long nextLeft(BlockSet blocks, BlockSet zeroes, long from) {
        long at = from < blocks.capacity() ? blocks.next(from) : -1;
        while (at >= 0 && zeroes.contains(at)) {
            long end = zeroes.runEnd(at, zeroes.capacity() - at);
            at = end < blocks.capacity() ? blocks.next(end) : -1;
        }
        return at;
    }

    /// The peer's answer. One to a question that is not open any more is none.
    ///
    /// @throws IllegalArgumentException if it has not one digest for each sector
    void answered(long number, byte[] digests) {
        for (Question each : questions) {
            if (each.number == number && each.digests == null) {
                if (digests.length != each.digestBytes) {
                    throw new IllegalArgumentException(
                            "question %d: %d bytes of digests of %d blocks"
                                    .formatted(number, digests.length, each.blocks));
                }
                each.digests = digests;
            }
        }
    }

    /// The next blocks to read of which an answer is there, or null.
    ///
    /// @param unsent those that are to be read
    Answered answered(BlockSet unsent, BlockSet zeroes) {
        forgetDone(unsent, zeroes);
        for (Question each : questions) {
            if (each.digests != null) {
                int at = 0;
                for (BlockRun run : each.runs) {
                    long first = firstLeft(each, run, unsent, zeroes);
                    if (first >= 0) {
                        long end = unsent.runEnd(first, run.end() - first);
                        long zero = zeroes.next(first);
                        end = zero >= 0 ? Math.min(end, zero) : end;
                        return new Answered(
                                each,
                                new BlockRun(first, (int) (end - first)),
                                at + (int) (first - run.first()) * BLOCK_DIGEST_BYTES);
                    }
                    at += run.count() * BLOCK_DIGEST_BYTES;
                }
            }
        }
        return null;
    }

    /// The first block of the run that is still to be looked at, or -1.
    private static long firstLeft(
            Question question, BlockRun run, BlockSet unsent, BlockSet zeroes) {
        if (question.next >= run.end()) {
            return -1;
        }
        long at = nextLeft(unsent, zeroes, Math.max(question.next, run.first()));
        return at < run.end() ? at : -1;
    }

    /// Judges by what was asked about, all of which is read, or sent for other reasons.
    private void forgetDone(BlockSet unsent, BlockSet zeroes) {
        questions.removeIf(
                each -> {
                    if (each.digests == null || each.reading > 0) {
                        return false;
                    }
                    for (BlockRun run : each.runs) {
                        if (firstLeft(each, run, unsent, zeroes) >= 0) {
                            return false;
                        }
                    }
                    judge(each);
                    return true;
                });
        if (mode == Mode.KEPT && questions.isEmpty() && nextToAsk(unsent, zeroes, 0) < 0) {
            mode = Mode.OPEN;
            cursor = 0;
            aheadBlocks = few();
        }
    }

    /// A digest of 16 bytes for 512 that need not be sent: where a quarter of the sectors is equal,
    /// that is as good as data that compresses to an eighth.
    private void judge(Question done) {
        if (done.sectors == 0 || mode == Mode.KEPT) {
            return;
        }
        if (done.equalSectors * 4 >= done.sectors) {
            mode = Mode.ASKS;
            aheadBlocks =
                    Math.min(
                            Math.max(aheadBlocks, limits.askedBlocks() / 2) * 2,
                            QUESTIONS_AHEAD * limits.askedBlocks());
        } else {
            mode = Mode.SENDS_WHOLE;
            wholeBlocks = limits.wholeBlocks();
            aheadBlocks = few();
        }
    }

    /// Whether what was not asked about should wait for an answer.
    boolean waits(BlockSet unsent, BlockSet zeroes) {
        return switch (mode) {
            case OFF, SENDS_WHOLE -> false;
            case KEPT, OPEN, ASKS -> !questions.isEmpty() || firstToAsk(unsent, zeroes) >= 0;
        };
    }

    /// So many blocks were read unasked; the reader has come to `end`.
    void sentWhole(int count, long end) {
        wholeBlocks -= count;
        if (wholeBlocks <= 0) {
            // Far enough ahead that the answer is there before the reader.
            cursor = Math.max(cursor, end + limits.wholeBlocks());
        }
    }
}
