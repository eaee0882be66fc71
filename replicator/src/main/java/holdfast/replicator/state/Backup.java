package holdfast.replicator.state;

import holdfast.checksum.SectorDigests;
import holdfast.checksum.TreeAnswers;
import holdfast.checksum.TreeComparison;
import holdfast.checksum.TreeShape;
import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.journal.BridgedScan;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.journal.SegmentIndex.Part;
import holdfast.replicator.state.History.Moment;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;

/// Decides, at the backup of one resource, what is journaled, acknowledged, committed and rolled
/// forward, and never acts: no thread, clock, file or socket. One caller at a time; effects are
/// carried out in order.
///
/// ```
///  frame ─► append to the journal ─► durable: into the index, acknowledged ─► old enough, or room is needed:
///           epoch blocks ─► staged ─► EPOCH_COMMIT durable:                    rolled into the base ─► segments freed
///                             │       all of them into the index at once
///                             └─► cut off: kept, the beginning of the next epoch
///  committed image = base, overlaid by the index
/// ```
public final class Backup {
    /// Journal bytes that one block of an epoch may take.
    static final long EPOCH_BLOCK_BYTES = BlockSet.BLOCK_BYTES + JournalRecord.HEADER_BYTES;

    /// Why a copy that calls refuses what may have been said to somebody else before. It is no end,
    /// and an operator reads it.
    public static final String NOT_GREETED =
            "this copy was not greeted; it says now what it is, and both begin anew";

    /// @param sizeBytes of the copy
    /// @param journalBytes most that the journal may take, a whole number of segments
    /// @param rollBytes what is rolled into the base at once, when there is time for it
    /// @param blank the base reads zero everywhere
    /// @param limits those of the peer
    public record Config(
            UUID resource,
            long sizeBytes,
            long journalBytes,
            long segmentBytes,
            long rollBytes,
            boolean blank,
            Limits limits) {
        public Config(
                UUID resource,
                long sizeBytes,
                long journalBytes,
                long segmentBytes,
                long rollBytes,
                boolean blank) {
            this(resource, sizeBytes, journalBytes, segmentBytes, rollBytes, blank, Limits.DEFAULT);
        }

        public Config {
            if (journalBytes % segmentBytes != 0
                    || journalBytes < 2 * segmentBytes
                    || segmentBytes
                            <= JournalRecord.totalBytes(
                                    limits.runBlocks() * BlockSet.BLOCK_BYTES)) {
                throw new IllegalArgumentException(
                        "a journal of %d bytes in segments of %d"
                                .formatted(journalBytes, segmentBytes));
            }
        }
    }

    /// What is durable about the base: the part of the superblock that a roll-forward moves on.
    ///
    /// @param watermark journal offset of the first record that the base does not hold
    /// @param rollingTo records below this journal offset may be in the base in part: where a
    ///   roll-forward leads that has begun; else the watermark
    /// @param movedBy the opening of the journal that moved the watermark there: none of the
    ///   records from there on is older. Whole ones behind a torn one are dropped by a start and
    ///   stay where they are; what is written over them may end just in front of one, and so may a
    ///   roll-forward
    /// @param position the image that the base holds together with nothing
    /// @param everCommitted false during a first sync: the base alone is no image of anything
    /// @param mixture damage to the journal took what an interrupted roll-forward needed: base and
    ///   journal are no image of anything until the next commit
    /// @param tracked newest transaction of the primary's metadata under which something of it was
    ///   written
    /// @param filled how often the base was synced with something of a first sync
    /// @param labelMillis wall clock of the primary at the position, 0 while there is no point
    /// @param receiptMillis when it was received
    /// @param check when the clocks of both hosts were compared
    public record Base(
            long watermark,
            long rollingTo,
            long movedBy,
            Position position,
            boolean everCommitted,
            boolean mixture,
            long tracked,
            long filled,
            long labelMillis,
            long receiptMillis,
            ClockCheck check,
            Ancestry ancestry) {
        /// A base on which no roll-forward is under way.
        public Base(long watermark, Position position, boolean everCommitted, Ancestry ancestry) {
            this(
                    watermark,
                    watermark,
                    0,
                    position,
                    everCommitted,
                    false,
                    0,
                    0,
                    0,
                    0,
                    ClockCheck.NONE,
                    ancestry);
        }

        /// The same, with what was made durable meanwhile and a roll-forward does not know of.
        public Base over(Base durable) {
            return filledAs(durable).checked(durable.check());
        }

        /// The same, with as much of a first sync in it as in another, or more.
        public Base filledAs(Base other) {
            return filled(Math.max(filled, other.filled()), Math.max(tracked, other.tracked()));
        }

        /// The same, with more of a first sync in it.
        public Base filled(long filled, long tracked) {
            return new Base(
                    watermark,
                    rollingTo,
                    movedBy,
                    position,
                    everCommitted,
                    mixture,
                    tracked,
                    filled,
                    labelMillis,
                    receiptMillis,
                    check,
                    ancestry);
        }

        /// The same, when the clocks were compared.
        public Base checked(ClockCheck check) {
            return new Base(
                    watermark,
                    rollingTo,
                    movedBy,
                    position,
                    everCommitted,
                    mixture,
                    tracked,
                    filled,
                    labelMillis,
                    receiptMillis,
                    check,
                    ancestry);
        }

        private Moment moment() {
            return new Moment(
                    watermark, position, ancestry, labelMillis, receiptMillis, tracked, movedBy, 0);
        }
    }

    /// The copy as it was at one moment: the base, overlaid by what the journal holds from
    /// `watermark` up to the moment ([SegmentIndex#image]). The base may be rolled as far as to
    /// that moment meanwhile. It stays right until [#closeView].
    ///
    /// @param completeMillis wall time of the primary until which nothing newer was written
    /// @param watermark where the journal begins that the view was opened over
    /// @param pin id of the pin that it shows, 0 for none: the base may be rolled past it, and what
    ///   is not in the index is read from the deltas from this pin's on, and then from the base
    public record View(long id, Moment moment, long completeMillis, long watermark, long pin) {
        public Position position() {
            return moment.position();
        }
    }

    /// What the primary's stream says of the copy, by its last frame that says anything.
    private enum Standing {
        UNKNOWN,
        COMPARED,
        IN_STEP
    }

    /// Records from one journal offset to another that should go into the base. A crash behind a
    /// step leaves:
    ///
    /// | step                                       | a crash behind it leaves                  |
    /// |--------------------------------------------|-------------------------------------------|
    /// | save what [Pins#unsaved] says, all of it durably | the base as it was, and more in a delta |
    /// | make [#begun] durable in the superblock    | the base as it was                        |
    /// | write every run of their image into the base | a base that is whole with the journal up to `rollingTo`, and with less of it a mixture |
    /// | sync the base                              | the same                                  |
    /// | make [#reached] durable in the superblock  | the base holds all below the watermark    |
    /// | call [Backup#rolled]                       | what it frees is freed at the next start  |
    ///
    /// @param from where the records to be read begin; they are of the opening `begun.movedBy` or a
    ///   later one
    /// @param over what is damaged in between, null for nothing
    /// @param save null for nothing
    public record Roll(long from, long to, Base begun, Base reached, Bridge over, Pins.Save save) {}

    /// What the journal holds of the image at one moment, from the watermark on. Nothing in it lies
    /// in a record that was damaged when the bridge was made, and what is damaged in front of that
    /// moment is in nothing that is made of it and of the records behind.
    public record Bridge(JournalIndex index, Moment moment) {
        /// From where on records are read again.
        public long address() {
            return moment.address();
        }
    }

    /// Ranges of the committed image whose sectors are to be digested for the peer.
    ///
    /// @param key of this session's digests
    public record Sectors(long key, long number, List<Frame.Range> ranges) {
        /// All ranges together.
        public int lengthBytes() {
            return ranges.stream().mapToInt(Frame.Range::lengthBytes).sum();
        }

        /// @param data the content of the ranges, one after the other
        public byte[] digest(ByteBuffer data) {
            int bytes = 0;
            for (Frame.Range each : ranges) {
                bytes += SectorDigests.sectors(each.lengthBytes()) * SectorDigests.BYTES;
            }
            byte[] digests = new byte[bytes];
            int at = 0;
            int from = data.position();
            for (Frame.Range each : ranges) {
                ByteBuffer part = data.slice(from, each.lengthBytes());
                SectorDigests.digest(key, each.offsetBytes(), part, digests, at);
                at += SectorDigests.sectors(each.lengthBytes()) * SectorDigests.BYTES;
                from += each.lengthBytes();
            }
            return digests;
        }
    }

    private static final long ONE_ROLL_BYTES = 1L << 30;

    /// Moments that a full segment of live records has at least.
    public static final int MOMENTS_IN_SEGMENT = 16;

    /// Questions about sectors that may wait: more than an honest peer has unanswered.
    private static final int SECTOR_QUESTIONS_MAX = 32;

    /// Exact questions of a verification that may wait, likewise.
    private static final int EXACT_MAX = 64;

    private static final long NOTHING_STAGED = Long.MAX_VALUE;

    private static final long NOT_SHORTENED = Long.MAX_VALUE;

    /// What the peer's operator reads.
    private static final String HELD =
            "the journal is full of moments that journal.retention-min keeps, and takes in nothing more until they are older; nothing is lost: what is written is sent later, or marked; with protocol B and C it waits";

    private static final String NOT_MENDED = "the copy's journal is damaged, and not mended yet";

    /// A primary that was asked to mend the copy, and has not, is asked again behind so much time,
    /// and twice as much each time from then on.
    static final long ASK_AGAIN_MILLIS = 60_000;

    private static final long ASK_AGAIN_MOST_MILLIS = 60 * ASK_AGAIN_MILLIS;

    /// What the primary marks until it has mended the copy may take so much of the journal, and a
    /// quarter of it at most: it is of the same epoch.
    private static final long MEND_SHARE_BYTES = 1L << 30;

    /// A bridge that could not be noted is tried again after so long.
    static final long NOTE_AGAIN_MILLIS = 10_000;

    /// How the clocks compare is made durable at the first look of each opening, and then so often
    /// at most, and half as often at least: copies that were opened together do not all sync in the
    /// same second.
    static final long CHECK_AGAIN_MILLIS = 300_000;

    /// At once when a clock has gone on by so much more than is counted, since it was set: a start
    /// that knows of neither of two that were set would count what they say together.
    private static final long CLOCK_SET_MILLIS = 60_000;

    /// A time of receipt that is so close to the clock on the wall is shown as it is.
    private static final long SAME_CLOCK_MILLIS = 2000;

    private record Pending(
            long endAddress,
            JournalRecord record,
            ByteBuffer data,
            Frame.Heartbeat heartbeat,
            Exact exact,
            Frame.MarkReply marked) {
        private Pending(
                long endAddress, JournalRecord record, ByteBuffer data, Frame.Heartbeat heartbeat) {
            this(endAddress, record, data, heartbeat, null, null);
        }
    }

    /// A question about this place in the stream.
    ///
    /// @param wantsData its content, and not digests of it
    private record Exact(
            long session,
            long run,
            long number,
            long offsetBytes,
            long lengthBytes,
            boolean wantsData) {}

    private record Arrived(Frame.Data frame, long creditBytes, Now at) {}

    /// How old the copy is when all of the journal in front of `end` is durable.
    private record AgeThen(long end, CopyAge age) {}

    private final Config config;

    /// Of the copy; grows.
    private long sizeBytes;

    /// Most that the journal may take; grows.
    private long journalBytes;

    private final BackupEffects fx;
    private final long incarnation;
    private boolean failed;

    /// The time of receipt now: retention goes by it (R22).
    private final PassedTime passedTime;

    /// Whether that runs.
    private boolean passes;

    /// What is durable of it since this opening of the journal; null while that is nothing.
    private ClockCheck durableCheck;

    private final long checkAgainMillis;

    private boolean blank;

    // What is durable and would be promoted.
    private Base base;
    private final JournalIndex index = new JournalIndex();
    private final History history;
    private Retention retention = Retention.NONE;
    private int indexRuns = Integer.MAX_VALUE;
    private Ancestry ancestry;

    /// The generation that is given up, 0 for none.
    private long discards;

    /// What it has changed by itself; null where it does not know.
    private OwnChanges ownChanges;

    /// Newest transaction of the primary's metadata that was heard of.
    private long tracked;

    /// How often the base was synced with something of a first sync.
    private long filled;

    private Position committed;
    private boolean everCommitted;
    private boolean mixture;
    private long completeMillis;
    private long appliedEnd;

    // What was appended.
    private long end;
    private long durableEnd;

    /// Where the journal ended at the start.
    private long foundEnd;

    private Position appended;
    private final ArrayDeque<Pending> pending = new ArrayDeque<>();

    /// How old the copy is; null while that is not known.
    private CopyAge age;

    /// How old what was appended makes it.
    private final ArrayDeque<AgeThen> ages = new ArrayDeque<>();

    /// The journal is damaged where it ended at the start: nothing is taken in until it is cut
    /// there or, where there is no point, goes on behind all its segments.
    private boolean damaged;

    /// Where that is.
    private long journalEnd;

    // ---- what was found damaged since the start, behind the watermark (R25)

    /// A part of the journal whose moments have ended.
    ///
    /// @param from it is damaged there
    /// @param over of the first moment behind that needs nothing of what is damaged; null while
    ///   there is none
    private record Rot(long from, Bridge over) {
        boolean ends(Moment moment) {
            return moment.address() > from && (over == null || moment.address() < over.address());
        }

        /// Whether that place lies in front of what is read again behind it.
        boolean reaches(long address) {
            return over == null || address < over.address();
        }

        /// The same, when the base holds everything below this journal offset: what of the bridge
        /// stands there need not be read any more, and may be freed.
        Rot above(long watermark) {
            if (over == null) {
                return this;
            }
            JournalIndex rest = over.index().copy(); // Who opens a view may be reading the other.
            rest.dropBelow(watermark);
            return new Rot(from, new Bridge(rest, over.moment()));
        }

        /// What of it is durable: where it is damaged, and the bridge as an epoch that brings all
        /// of it.
        SegmentIndex note(UUID resource) {
            return over == null
                    ? new SegmentIndex(resource, from, 0, -1, 0, List.of())
                    : noteOf(resource, from, over);
        }

        private static SegmentIndex noteOf(UUID resource, long from, Bridge over) {
            Moment moment = over.moment();
            JournalIndex none = new JournalIndex();
            ByteBuffer empty = ByteBuffer.allocate(0);
            long opening = moment.incarnation();
            Part begin =
                    new Part(
                            SegmentIndex.PartKind.BEGIN,
                            from,
                            from,
                            Position.NONE,
                            moment.gapMillis(),
                            0,
                            0,
                            opening,
                            empty,
                            none);
            Part blocks =
                    new Part(
                            SegmentIndex.PartKind.STAGED,
                            from,
                            from,
                            Position.NONE,
                            0,
                            0,
                            0,
                            opening,
                            empty,
                            over.index());
            Part commit =
                    new Part(
                            SegmentIndex.PartKind.COMMIT,
                            from,
                            moment.address(),
                            moment.position(),
                            moment.labelMillis(),
                            moment.receiptMillis(),
                            moment.tracked(),
                            opening,
                            AncestryCodec.encode(moment.ancestry()),
                            none);
            return new SegmentIndex(resource, from, opening, -1, 0, List.of(begin, blocks, commit));
        }
    }

    /// In the order of the journal. Only the last may be without a bridge, and then what is damaged
    /// concerns the newest moment.
    private final List<Rot> rots = new ArrayList<>();

    /// All of the newest image is to be looked at.
    private boolean checkDue;

    /// It is being looked at.
    private boolean checking;

    /// Records of the newest image that cannot be read, as far as it was looked at.
    private SortedSet<Long> unreadable = Collections.emptySortedSet();

    /// Blocks of the newest image that cannot be read, as far as that is known.
    private long unreadableBlocks;

    /// The commit that was appended and is not durable yet leaves none of them.
    private boolean commitMends;

    private String rotWords = "";

    /// Where the roll that is under way leads, 0 for none.
    private long rollsTo;

    /// It takes moments that the retention would keep.
    private boolean rollShortens;

    /// How far back moments reached when it was told last that some had to go; [#NOT_SHORTENED]
    /// when they reached as far as they should since.
    private long shortenedToMillis = NOT_SHORTENED;

    /// Damage in front of that which was heard of since it began.
    private final TreeSet<Long> heardOf = new TreeSet<>();

    /// Damage of an epoch that is staged or kept.
    private final TreeSet<Long> stagedRot = new TreeSet<>();

    /// Where [#appliedEnd] was when it was looked whether the copy is mended.
    private long mendedLookEnd;

    private long noteAgainMillis;

    /// An epoch was committed since damage was found that concerns the newest moment.
    private boolean epochSinceDamage;

    /// Why the primary does not mend the copy, as it said last; empty when it has not.
    private String mendRefusal = "";

    /// Time of receipt from which on it may be asked to, again.
    private long askAgainMillis;

    private long askPauseMillis = ASK_AGAIN_MILLIS;

    // The epoch being staged.
    private long openEpoch;

    /// Where the epoch begins whose blocks are kept or staged, or whose commit is not durable yet:
    /// the base must not roll past it. So a start finds what is kept again, and all of it.
    private long stagedFrom = NOTHING_STAGED;

    private JournalIndex staged = new JournalIndex();

    /// What epochs had staged that were cut off, as the beginning of the one that is open. While
    /// none is, what the last one added is in [#staged].
    private JournalIndex kept = new JournalIndex();

    /// What the peer is told of it: all that is kept lies in them, so all of them must be of the
    /// epoch that goes on from it.
    private List<Frame.KeptRange> keptRanges = List.of();

    private long reservedBytes;

    /// The peer waits for room for its epoch, and asks again.
    private boolean epochLacksRoom;

    private long missingBytes;

    /// Until when the copy was complete when the newest epoch began.
    private long gapMillis;

    private long epochBlocks;
    private EpochDigest digest;

    // The session.
    private boolean sessionUp;
    private boolean helloDue;

    /// What the primary said first in this session; null while there is none.
    private Frame.ResourceHello primary;

    /// Its disk has failed: what it still has is what it sends now, and nothing is compared.
    private boolean primaryFails;

    /// Nothing of this session is taken in: the verdict is against it.
    private Verdict apart;

    private long session;
    private Standing standing = Standing.UNKNOWN;

    /// Up to where the primary's stream brings everything; null when it leaves nothing out.
    private Position behind;

    /// Where the commit of an epoch ends that was appended last.
    private long commitEnd;

    private long synced;
    private final ArrayDeque<Arrived> inbox = new ArrayDeque<>();
    private boolean holding;
    private String refusal = "";
    private String peerTrouble = "";

    /// What the peer compares with. In its session nothing changes the image meanwhile: an honest
    /// peer sends what does only when all its questions are answered.
    private final TreeAnswers answers;

    /// The verification whose questions these are, 0 while a comparison asks: then the image
    /// changes meanwhile, and what was digested since it began is as good as what is there now.
    private long verifyRun;

    /// What the peer asks about sectors of the committed image; the first is given out as a
    /// [Sectors] when `digesting`.
    private final ArrayDeque<Frame.CompareSectors> sectorQuestions = new ArrayDeque<>();

    private Sectors digesting;

    /// The list of pins on the disk may be another one than ours.
    private boolean pinsUnsure;

    /// Why the base took nothing the last time; empty when it did.
    private String noSpace = "";

    /// The peer was told, or is to be, that nothing is taken in for the least retention.
    private boolean toldHeld;

    /// The base is left alone until [#tryAgain].
    private boolean waitsForSpace;

    // Roll-forward and views.
    private boolean rolling;
    private long freed;

    /// What was saved by packing segments, bytes, by where each begins; of those from `freed` on.
    private final TreeMap<Long, Long> saved = new TreeMap<>();

    private long savedBytes;
    private long nextView;

    /// From which journal offset on each view reads records.
    private final Map<View, Long> views = new LinkedHashMap<>();

    private final Pins pins = new Pins();

    private final Marks marks = new Marks();

    /// Time of receipt when the primary was heard of last; pins expire by it, so that none does
    /// while nothing comes (R22).
    private long heardMillis;

    /// A copy as its superblock and journal have it; call [#recover] before anything else.
    ///
    /// @param incarnation greater than that of every earlier opening of this journal
    public Backup(Config config, Base base, long incarnation, BackupEffects fx) {
        this.config = config;
        this.fx = fx;
        this.incarnation = incarnation;
        this.blank = config.blank;
        this.sizeBytes = config.sizeBytes;
        this.journalBytes = config.journalBytes;
        this.answers = new TreeAnswers(new TreeShape(config.limits.fanOut()));
        this.base = base;
        this.ancestry = base.ancestry();
        this.tracked = base.tracked();
        this.filled = base.filled();
        this.passedTime = new PassedTime(base.check());
        this.checkAgainMillis =
                CHECK_AGAIN_MILLIS
                        + Math.floorMod(config.resource().hashCode(), CHECK_AGAIN_MILLIS);
        this.committed = base.position();
        this.everCommitted = base.everCommitted();
        this.mixture = base.mixture();
        this.appliedEnd = base.watermark();
        this.end = base.watermark();
        this.freed = startOfSegment(base.watermark() - 1);
        this.history = new History(config.segmentBytes / MOMENTS_IN_SEGMENT);
        if (hasPoint()) {
            history.begin(base.moment(), base.rollingTo() == base.watermark());
            completeMillis = base.labelMillis(); // What the journal holds moves it on.
        }
    }

    /// This copy was a primary, and an operator gives up what it has by itself, which is of this
    /// generation. Before anybody is told, that is kept under a name, durably, also when the first
    /// try to was cut off. When the copy has moved on from there, nothing is given up any more.
    ///
    /// @return empty, or why it cannot be kept: nothing is given up then
    public String discard(long generation, String keptAs, long forMillis) {
        boolean isDue = ancestry.generation() == generation && pins.named(keptAs) == null;
        if (isDue && !Faults.M72) {
            String trouble = keep(keptAs, history.newest(), sizeBytes, forMillis);
            if (!trouble.isEmpty()) {
                return trouble;
            }
        }
        discards = generation;
        return "";
    }

    /// It knows what it has changed in the generation that it gives up, and tells its primary; from
    /// [#discard] on.
    public void changed(OwnChanges own) {
        ownChanges = isGivingUp() ? own : null;
    }

    /// How long records stay in the journal from now on.
    ///
    /// @param indexRuns how many runs of memory what they hold may take: beyond that history is
    ///   shortened as when the journal is full
    public void retain(Retention retention, int indexRuns) {
        this.retention = retention;
        this.indexRuns = indexRuns;
        if (rollIsDue()) {
            fx.wakeRoller();
        }
    }

    /// Reads the journal from the watermark on. The caller has synced journal and base: what a
    /// killed daemon wrote and did not sync reads back, and is taken for durable here.
    ///
    /// A damaged journal ends the points where the damage is (R25). What is in front of it makes
    /// points together with the base: then [#isToBeCut]. Unless a roll-forward that was interrupted
    /// may have brought something from behind it into the base: then there is none until the
    /// primary has compared everything and committed an epoch, and [#startRoll] answers with the
    /// roll that leaves the damaged journal behind.
    ///
    /// Damage that was found before is known: what a bridge leads over is not read, and where none
    /// does moments end as they did.
    ///
    /// @param indexes of whole segments, which then need not be read
    /// @param damages what [BackupEffects#damaged] has made durable, in the order of the journal
    /// @param journalEnd where the last segment ends
    /// @return null, or what is damaged and what the copy is now, for the operator
    public String recover(
            JournalScan.Reader reader,
            JournalScan.Indexes indexes,
            List<SegmentIndex> damages,
            long journalEnd)
            throws IOException {
        JournalScan scan = new JournalScan(config.resource, config.segmentBytes, reader);
        SortedSet<Long> unmended = new TreeSet<>();
        BridgedScan.Visitor visitor =
                new BridgedScan.Visitor() {
                    @Override
                    public void record(JournalRecord record, ByteBuffer data) {
                        if (record.kind() == Kind.EPOCH_BEGIN) {
                            foundBegin(record.continues(), record.address());
                        }
                        apply(record, data);
                        tracked = Math.max(tracked, record.tracked());
                        appliedEnd = record.address() + record.totalBytes();
                    }

                    @Override
                    public void segment(SegmentIndex whole) {
                        for (Part part : whole.parts()) {
                            switch (part.kind()) {
                                case BEGIN -> foundBegin(false, part.beginAddress());
                                case CONTINUES -> foundBegin(true, part.beginAddress());
                                case LIVE, STAGED, COMMIT, MARK -> {}
                            }
                            apply(part);
                            tracked = Math.max(tracked, part.tracked());
                            appliedEnd = part.endAddress();
                        }
                    }

                    @Override
                    public void passed(SegmentIndex note) {
                        fx.damagePassed(note.address(), note.address() + 1);
                    }

                    @Override
                    public void unmended(long address) {
                        unmended.add(address);
                    }

                    @Override
                    public void bridged(SegmentIndex bridge, long bridgedEnd) {
                        JournalIndex runs = bridge.parts().get(1).runs().copy();
                        runs.dropBelow(base.watermark());
                        index.dropBelow(base.watermark());
                        rots.add(new Rot(bridgedEnd, new Bridge(runs, history.newest())));
                    }
                };
        JournalScan.End found =
                BridgedScan.run(
                        scan,
                        indexes,
                        base.watermark(),
                        base.movedBy(),
                        Faults.M92 ? List.of() : damages,
                        journalEnd,
                        visitor);
        if (base.rollingTo() > base.watermark()) {
            history.rollBegins(base.rollingTo());
        }
        end = found.end();
        foundEnd = end;
        appliedEnd = end;
        durableEnd = end;
        appended = committed;
        String damage = Faults.M21 ? null : found.damage();
        if (damage == null && !Faults.M21 && end < base.rollingTo()) {
            damage = "it ends at offset %d, the base was rolled on to".formatted(end);
        }
        if (stagedFrom == NOTHING_STAGED || damage != null || !hasPoint()) {
            dropStaged();
        }
        if (damage == null) {
            areStillDamaged(unmended);
            return null;
        }
        damaged = true;
        this.journalEnd = journalEnd;
        if (!everCommitted) {
            return damage + "; there was no point yet, the first sync goes on";
        }
        mixture |= end < base.rollingTo();
        if (mixture) {
            history.clear();
            marks.clear();
            rots.clear();
            fx.damagePassed(0, Long.MAX_VALUE);
        } else {
            areStillDamaged(unmended);
        }
        return mixture
                ? damage
                        + "; an interrupted roll-forward may have brought more than that into the"
                        + " base: the copy is no image of any moment until the primary has compared"
                        + " and mended it"
                : damage + "; the copy is back at %s, the primary mends it".formatted(committed);
    }

    /// What was found damaged before, and not mended, in a journal that is being recovered.
    private void areStillDamaged(SortedSet<Long> notes) {
        long known = hasPoint() ? end : 0;
        if (!notes.tailSet(known).isEmpty()) {
            // The journal ends in front of it: other records come there.
            fx.damagePassed(known, Long.MAX_VALUE);
        }
        for (long each : notes.headSet(known)) {
            if (each >= stagedFrom) {
                stagedRot.add(each); // It counts when that is committed or given up.
            } else if (!isRotten()) {
                isStillDamaged(each);
            }
        }
    }

    private void isStillDamaged(long damaged) {
        long from = damaged;
        for (Rot rot : rots) {
            // Its bridge needs that, or it would have been noted with it.
            from = rot.reaches(damaged) ? Math.min(from, rot.from()) : from;
        }
        long first = from;
        rots.removeIf(each -> each.from() >= first);
        rots.add(new Rot(first, null));
        isToBeLookedAt(first);
        unreadableBlocks = blocksThatNeed(damaged);
        history.ends(first);
        marks.lost(this::hasEnded);
    }

    /// Whether the journal, which is damaged, has to end at [#end] for good before anything is
    /// taken in: what stands behind that would else be taken for durable records of what comes
    /// there.
    public boolean isToBeCut() {
        return damaged && hasPoint();
    }

    /// It ends there, durably.
    public void cut() {
        if (!isToBeCut()) {
            throw new IllegalStateException("there is nothing to cut");
        }
        damaged = false;
        Map<Long, Long> gone = saved.tailMap(startOfSegment(end), true);
        savedBytes -= gone.values().stream().mapToLong(each -> each).sum();
        gone.clear();
        helloIfDue();
        takeIn();
        if (rollIsDue()) {
            fx.wakeRoller();
        }
    }

    /// An epoch begins, in a journal that is being recovered: from nothing, or from what was given
    /// up since.
    private void foundBegin(boolean continues, long address) {
        if (!continues || stagedFrom == NOTHING_STAGED) {
            dropStaged();
            stagedFrom = address;
        }
    }

    // ---- the session
    // ---------------------------------------------------------------------------------------------

    /// The primary has greeted: a session with it is up. The answer waits until everything that was
    /// appended is durable, so that what it reports is what the journal holds. Then both sides have
    /// said what there is, and each comes to its verdict.
    public void sessionUp(Frame.ResourceHello primary) {
        sessionDown();
        sessionUp = true;
        this.primary = primary;
        primaryFails = primary.diskState() == DiskState.FAILED.ordinal();
        helloDue = true;
        helloIfDue();
    }

    /// The disk of the primary has failed in this session. It still sends what it has buffered,
    /// which may be the only copy of that (R11).
    public void primaryFails() {
        primaryFails = true;
        takeIn();
    }

    public void sessionDown() {
        sessionUp = false;
        helloDue = false;
        primary = null;
        apart = null;
        session = 0;
        standing = Standing.UNKNOWN;
        behind = null;
        synced = 0;
        inbox.clear();
        endAnswers();
        holding = false;
        toldHeld = false;
        peerTrouble = "";
        abandonEpoch();
    }

    private void helloIfDue() {
        // What is pending on a failed journal stays so.
        if (helloDue && !damaged && (pending.isEmpty() || failed)) {
            helloDue = false;
            // Nothing is in flight, so what is appended is what is committed.
            appended = committed;
            Frame.ResourceHello said = hello();
            greeting().forEach(fx::send);
            if (!noSpace.isEmpty() || toldHeld) {
                tellTrouble();
            }
            judge(Verdict.of(said, primary));
        }
    }

    private void judge(Verdict verdict) {
        if (verdict.joins(false) || failed) {
            return; // A disk that has failed is told of already.
        }
        apart = verdict;
        refusal = verdict.why();
        fx.event("refused", refusal);
        if (verdict.isSplit()) {
            fx.event("split-brain", refusal);
        }
    }

    /// The copy has room for a larger device, durably. What it holds behind the end of the smaller
    /// one means nothing until a primary of that size has committed.
    public void grow(long bytes) {
        sizeBytes = Math.max(sizeBytes, bytes);
    }

    /// The journal may take so many bytes from now on, a whole number of segments, and has the
    /// space for them. A peer that waits for room finds it when it asks again.
    public void growJournal(long bytes) {
        journalBytes = Math.max(journalBytes, bytes);
        takeIn();
    }

    /// What this copy says of itself: its [#hello], and in front of it what it has changed by
    /// itself, if it gives that up and knows. Whichever of its hellos the primary takes for the
    /// answer to its own, so it has both.
    public List<Frame.OfResource> greeting() {
        Frame.ResourceHello hello = hello();
        return hello.known().acknowledged().isNone()
                ? List.of(hello)
                : List.of(new Frame.Changed(config.resource, ownChanges.ranges()), hello);
    }

    /// What this copy is. While it [#isMixture] its position only says whose past it comes from.
    public Frame.ResourceHello hello() {
        return new Frame.ResourceHello(
                config.resource,
                Role.SECONDARY.ordinal() + 1,
                diskState().ordinal(),
                sizeBytes,
                committed,
                committed,
                openEpoch,
                everCommitted,
                journalBytes,
                blank,
                tracked,
                filled,
                known(),
                ancestry);
    }

    /// Whether what it has changed suffices is for [Verdict], from what both have said.
    private Frame.Known known() {
        if (!isGivingUp()) {
            return Frame.Known.NOTHING;
        }
        OwnChanges own = ownChanges;
        return own != null && own.generation() == discards
                ? new Frame.Known(
                        own.since(), Position.NONE, 0, own.heard(), own.told(), own.blocks(), true)
                : Frame.Known.GIVES_UP;
    }

    /// Until a commit has brought it to what its peer has.
    private boolean isGivingUp() {
        return discards != 0 && discards == ancestry.generation();
    }

    /// The epoch under way will not be committed, but what it has staged is kept: the next one may
    /// go on from it (R18).
    private void abandonEpoch() {
        openEpoch = 0;
        reservedBytes = 0;
        epochLacksRoom = false;
        if (!hasPoint() && openCommit() == null) {
            dropStaged();
        }
    }

    /// Whether there is something that an epoch could go on from, or does.
    private boolean keepsStaged() {
        return stagedFrom != NOTHING_STAGED && openCommit() == null;
    }

    /// What is staged or kept is void, and its room is to be had. No EPOCH_BEGIN that is appended
    /// from now on may go on from it: what of it is not durable yet is still applied.
    private void dropStaged() {
        staged = new JournalIndex();
        kept = new JournalIndex();
        keptRanges = List.of();
        stagedFrom = NOTHING_STAGED;
    }

    /// Control frames of this resource.
    public void on(Frame.OfResource frame) {
        switch (frame) {
            case Frame.StreamStart start -> streamStarts(start);
            case Frame.Behind said when said.session() == session && session != 0 ->
                    behind = Faults.M95 ? null : said.whole();
            case Frame.Behind _ -> {} // Of a stream that was refused, or is over.
            case Frame.Refused _ when apart != null -> {} // It says why both stand apart.
            case Frame.Refused refused -> {
                refusal = "the peer refuses: " + refused.reason();
                fx.event("refused", refusal);
            }
            case Frame.ResourceHello hello -> {
                if (hello.role() == Role.SECONDARY.ordinal() + 1) {
                    fx.event("no-primary", "both sides are secondary");
                }
            }
            case Frame.Ack _,
                    Frame.EpochReply _,
                    Frame.CompareReply _,
                    Frame.SectorsReply _,
                    Frame.VerifyReply _,
                    Frame.Fetched _,
                    Frame.Offer _,
                    Frame.OfferReply _,
                    Frame.Withdraw _,
                    Frame.Invalidate _,
                    Frame.Resize _,
                    Frame.ResizeReply _,
                    Frame.Changed _,
                    Frame.Wrote _,
                    Frame.MarkReply _ -> {}
            case Frame.InvalidateReply reply -> {
                mendRefusal = reply.refusal();
                takeIn();
            }
            case Frame.Trouble trouble -> peerTrouble = trouble.text();
            case Frame.Verified over when over.run() == verifyRun -> verifies(0);
            case Frame.Verified _ -> {}
        }
    }

    private void streamStarts(Frame.StreamStart start) {
        if (!sessionUp || helloDue) {
            return;
        }
        if (apart != null) {
            fx.send(new Frame.Refused(config.resource, refusal));
            return;
        }
        if (!start.from().equals(yields())) {
            refuse(
                    "the peer's stream begins at %s, this copy stands at %s"
                            .formatted(start.from(), yields()));
            return;
        }
        refusal = "";
        session = start.session();
        behind = null;
        endAnswers();
        synced = 0;
    }

    private void endAnswers() {
        answers.end();
        verifyRun = 0;
        sectorQuestions.clear();
        digesting = null;
    }

    private void refuse(String why) {
        refusal = why;
        fx.send(new Frame.Refused(config.resource, why));
        fx.event("refused", why);
        session = 0;
        inbox.clear();
        endAnswers();
        abandonEpoch();
    }

    // ---- the data stream
    // -----------------------------------------------------------------------------------------

    /// The next frame of the data stream; `creditBytes` are given back when it was taken in.
    public void on(Frame.Data frame, long creditBytes, Now now) {
        timeIs(now);
        if (session == 0 || failed) {
            return;
        }
        heardMillis = passedTime.millis();
        inbox.add(new Arrived(frame, creditBytes, now));
        takeIn();
    }

    private void takeIn() {
        while (!inbox.isEmpty() && session != 0 && !failed) {
            Arrived next = inbox.peek();
            if (!take(next.frame(), next.at())) {
                noteHolding();
                fx.wakeRoller();
                return;
            }
            holding = false;
            inbox.poll();
            fx.grant(next.creditBytes());
        }
        if (toldHeld) {
            tellIfHeld();
        }
    }

    /// @param came when it arrived
    /// @return false if there is no room for it now
    private boolean take(Frame.Data frame, Now came) {
        if (!(frame instanceof Frame.Compare) && verifyRun == 0) {
            answers.forgetKept();
        }
        standing =
                switch (frame) {
                    case Frame.Write _, Frame.Zero _, Frame.Heartbeat _, Frame.EpochCommit _ ->
                            Standing.IN_STEP;
                    case Frame.Compare _ -> Standing.COMPARED;
                    case Frame.EpochBegin _ -> Standing.UNKNOWN;
                    default -> standing;
                };
        return switch (frame) {
            case Frame.Write w ->
                    takeLive(
                            Kind.WRITE,
                            w.position(),
                            w.offsetBytes(),
                            w.data().remaining(),
                            w.wallMillis(),
                            came,
                            false,
                            w.data());
            case Frame.Zero z ->
                    takeLive(
                            Kind.ZERO,
                            z.position(),
                            z.offsetBytes(),
                            z.lengthBytes(),
                            z.wallMillis(),
                            came,
                            z.punch(),
                            null);
            case Frame.Heartbeat h -> {
                long until = completeUntil(h.wallMillis(), came);
                pending.add(new Pending(end, null, null, new Frame.Heartbeat(h.position(), until)));
                if (h.position().equals(appended)) {
                    agesBy(h.wallMillis(), came);
                }
                settle();
                yield true;
            }
            case Frame.Mark m -> takeMark(m, came);
            case Frame.Tracked t -> {
                tracked = Math.max(tracked, t.transaction());
                yield true;
            }
            case Frame.EpochBegin b -> takeBegin(b);
            case Frame.EpochBlocks b ->
                    takeStaged(
                            Kind.EPOCH_BLOCKS,
                            b.epoch(),
                            b.offsetBytes(),
                            b.data().remaining(),
                            b.data());
            case Frame.EpochZero z ->
                    takeStaged(Kind.EPOCH_ZERO, z.epoch(), z.offsetBytes(), z.lengthBytes(), null);
            case Frame.EpochCommit c -> takeCommit(c, came);
            case Frame.SyncBlocks s ->
                    takeSync(s.sequence(), s.offsetBytes(), s.data().remaining(), s.data());
            case Frame.SyncZero s -> takeSync(s.sequence(), s.offsetBytes(), s.lengthBytes(), null);
            case Frame.Compare c -> {
                if (isInside(c.offsetBytes(), c.lengthBytes())) {
                    compare(c);
                }
                yield true;
            }
            case Frame.CompareSectors c -> {
                compare(c);
                yield true;
            }
            case Frame.Verify v -> {
                if (isInside(v.offsetBytes(), v.lengthBytes())) {
                    verify(v);
                }
                yield true;
            }
            case Frame.Fetch f -> {
                if (isInside(f.offsetBytes(), f.lengthBytes())) {
                    take(
                            new Exact(
                                    session,
                                    f.run(),
                                    f.number(),
                                    f.offsetBytes(),
                                    f.lengthBytes(),
                                    true));
                }
                yield true;
            }
        };
    }

    private void compare(Frame.CompareSectors c) {
        if (sectorQuestions.size() >= SECTOR_QUESTIONS_MAX) {
            refuse("more than %d questions about sectors wait".formatted(SECTOR_QUESTIONS_MAX));
            return;
        }
        for (Frame.Range each : c.ranges()) {
            if (!isInside(each.offsetBytes(), each.lengthBytes())) {
                return;
            }
        }
        sectorQuestions.add(c);
        fx.wakeDigester();
    }

    /// What is to be digested by sectors for the peer; null while there is nothing, or what was
    /// given out is not handed over. To be read as [#indexOf] it over the base have it at any
    /// moment until then: an honest peer commits nothing that it asks about.
    public Sectors nextSectors() {
        if (session == 0 || failed || digesting != null || sectorQuestions.isEmpty()) {
            return null;
        }
        Frame.CompareSectors next = sectorQuestions.poll();
        digesting = new Sectors(session, next.number(), next.ranges());
        return digesting;
    }

    /// What of these ranges lies in the journal; the rest is in the base. It is the committed image
    /// overlaid by what is kept, but not by what the epoch under way has staged: so it stands still
    /// from the epoch's beginning on.
    public JournalIndex indexOf(Sectors sectors) {
        if (kept.size() == 0) {
            return index;
        }
        JournalIndex found = new JournalIndex();
        for (Frame.Range each : sectors.ranges()) {
            long end = each.offsetBytes() + each.lengthBytes();
            found.putAll(index, each.offsetBytes(), end);
            found.putAll(kept, each.offsetBytes(), end);
        }
        return found;
    }

    /// They were read and digested.
    public void sectorsDigested(Sectors of, byte[] digests) {
        if (of == digesting) {
            digesting = null;
            fx.send(new Frame.SectorsReply(config.resource, session, of.number(), digests));
        }
    }

    private void compare(Frame.Compare c) {
        verifies(0);
        ask(new TreeComparison.Ask(c.number(), c.offsetBytes(), c.lengthBytes(), c.level()));
    }

    /// What was digested for another run does not count.
    private void verifies(long run) {
        if (run != verifyRun) {
            answers.end();
            verifyRun = run;
        }
    }

    private void take(Exact exact) {
        if (Faults.M61) {
            answer(exact);
            return;
        }
        if (pending.stream().filter(each -> each.exact() != null).count() >= EXACT_MAX) {
            refuse("more than %d exact questions wait".formatted(EXACT_MAX));
            return;
        }
        pending.add(new Pending(end, null, null, null, exact, null));
        settle();
    }

    private void verify(Frame.Verify v) {
        if (v.exact()) {
            take(new Exact(session, v.run(), v.number(), v.offsetBytes(), v.lengthBytes(), false));
        } else {
            verifies(v.run());
            ask(new TreeComparison.Ask(v.number(), v.offsetBytes(), v.lengthBytes(), v.level()));
        }
    }

    /// All that was sent before it is in the image, and nothing that was sent behind it.
    private void answer(Exact exact) {
        if (exact.session != session || session == 0) {
            return;
        }
        ByteBuffer data = ByteBuffer.allocateDirect((int) exact.lengthBytes);
        if (!fx.readCommitted(exact.offsetBytes, data)) {
            return;
        }
        data.flip();
        if (exact.wantsData) {
            byte[] content = new byte[data.remaining()];
            data.get(content);
            fx.send(new Frame.Fetched(config.resource, session, exact.run, exact.number, content));
        } else {
            fx.send(
                    new Frame.VerifyReply(
                            config.resource,
                            session,
                            exact.run,
                            exact.number,
                            true,
                            ReadRun.blockDigests(data)));
        }
    }

    private void ask(TreeComparison.Ask ask) {
        TreeAnswers.Answer known;
        try {
            known = answers.ask(ask);
        } catch (IllegalArgumentException e) {
            refuse("the peer's comparison: " + e.getMessage());
            return;
        }
        if (known == null) {
            fx.wakeDigester();
        } else {
            answer(known);
        }
    }

    private void answer(TreeAnswers.Answer answer) {
        fx.send(
                verifyRun == 0
                        ? new Frame.CompareReply(
                                config.resource, session, answer.number(), answer.digests())
                        : new Frame.VerifyReply(
                                config.resource,
                                session,
                                verifyRun,
                                answer.number(),
                                false,
                                answer.digests()));
    }

    /// What of the committed image is to be digested next for the peer; null while there is
    /// nothing, or what was given out is not handed over. To be read as [#committedIndex] over the
    /// base have it at any moment from now on. While there is no point yet ([#everCommitted]) the
    /// base is synced before the first part of a range is read: a block that is found equal is not
    /// sent again, and the first commit rests on it.
    public TreeAnswers.Part nextDigest() {
        return session == 0 || failed ? null : answers.next();
    }

    /// The part begins with so many bytes that read zero, or more than it has.
    ///
    /// @return false if these are too few to be of use: it has to be read
    public boolean digestedZeroes(TreeAnswers.Part part, long bytes) {
        boolean taken = answers.zeroes(part, bytes);
        answerIfDone();
        return taken;
    }

    /// The part's beginning was read and digested.
    public void digested(TreeAnswers.Part part, long bytes, byte[] leaves) {
        answers.leaves(part, bytes, leaves);
        answerIfDone();
    }

    private void answerIfDone() {
        TreeAnswers.Answer answer = answers.finished();
        if (answer != null) {
            answer(answer);
        }
    }

    private boolean isInside(long offsetBytes, long lengthBytes) {
        if (offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes <= sizeBytes - lengthBytes) {
            return true;
        }
        refuse(
                "a range of %d bytes at %d lies outside the copy of %d"
                        .formatted(lengthBytes, offsetBytes, sizeBytes));
        return false;
    }

    private boolean takeLive(
            Kind kind,
            Position at,
            long offset,
            long length,
            long primaryMillis,
            Now came,
            boolean punch,
            ByteBuffer data) {
        if (!hasPoint() && openCommit() == null) {
            refuse("a write while there is no point");
            return true;
        }
        if (!at.follows(appended)) {
            refuse("write %s does not follow %s".formatted(at, appended));
            return true;
        }
        if (!isInside(offset, length)) {
            return true;
        }
        if (openEpoch != 0) {
            refuse("write " + at + " within epoch " + openEpoch);
            return true;
        }
        if (keepsStaged()) {
            dropStaged(); // It lies above what was committed then.
        }
        int dataBytes = data == null ? 0 : data.remaining();
        if (!hasRoom(JournalRecord.totalBytes(dataBytes), reservedBytes + bytesToMend())) {
            return false;
        }
        append(kind, punch, at, 0, offset, length, completeUntil(primaryMillis, came), data);
        appended = at;
        agesBy(primaryMillis, came);
        if (Faults.M1) {
            fx.send(new Frame.Ack(config.resource, session, at, at, synced, filled));
        }
        return true;
    }

    /// It counts, and is answered, when it is durable. An honest primary sends none while an epoch
    /// is on its way.
    private boolean takeMark(Frame.Mark m, Now came) {
        if (!hasPoint() && openCommit() == null || openEpoch != 0) {
            refuse("a mark while the copy is at no moment of the stream");
            return true;
        }
        if (!m.position().equals(appended)) {
            refuse("a mark of %s, this copy stands at %s".formatted(m.position(), appended));
            return true;
        }
        String refused =
                pins.named(m.name()) != null
                        ? "there is a kept moment %s already".formatted(m.name())
                        : isRotten() ? NOT_MENDED : marks.refusal(m.name());
        if (!refused.isEmpty()) {
            fx.send(new Frame.MarkReply(config.resource, session, m.number(), refused));
            return true;
        }
        if (keepsStaged()) {
            dropStaged(); // As by a write: it lies above what was committed then.
        }
        ByteBuffer name = Marks.encode(m.name());
        if (!hasRoom(JournalRecord.totalBytes(name.remaining()), reservedBytes)) {
            return false;
        }
        long until = completeUntil(m.wallMillis(), came);
        append(Kind.MARK, false, m.position(), 0, 0, 0, until, name);
        marks.appended(m.name());
        var reply = new Frame.MarkReply(config.resource, session, m.number(), "");
        if (Faults.M65) {
            fx.send(reply);
        }
        pending.add(new Pending(end, null, null, null, null, reply));
        return true;
    }

    /// The commit that was appended last and is not durable yet, or null.
    private JournalRecord openCommit() {
        JournalRecord found = null;
        for (Pending p : pending) {
            if (p.record() != null && p.record().kind() == Kind.EPOCH_COMMIT) {
                found = p.record();
            }
        }
        return found;
    }

    private boolean takeBegin(Frame.EpochBegin begin) {
        // What was asked before it is void: what is kept may be another thing from now on.
        sectorQuestions.clear();
        digesting = null;
        boolean again = begin.epoch() == openEpoch && openEpoch != 0;
        if (!again) {
            boolean voids = openEpoch != 0;
            abandonEpoch();
            if (keepsStaged() && (voids || !mayGoOn())) {
                dropStaged();
            }
        }
        long need = bytesOf(begin.blocks(), begin.zeroRanges());
        long room = journalBytes - storedBytes();
        epochLacksRoom = need > room;
        missingBytes = Math.max(0, need - room);
        if (epochLacksRoom) {
            giveUpKept(need);
            fx.send(
                    new Frame.EpochReply(
                            config.resource, session, begin.epoch(), 0, 0, missingBytes));
            fx.wakeRoller();
            return true;
        }
        if (!again) {
            // Memory for the index becomes free by a roll, and that waits for what this epoch
            // mends.
            if (!hasBytes(JournalRecord.HEADER_BYTES, 0) || !isRotten() && !hasMemory()) {
                return false;
            }
            openEpoch = begin.epoch();
            beginStaged();
            digest = new EpochDigest();
            epochBlocks = 0;
        }
        reservedBytes = need;
        fx.send(
                new Frame.EpochReply(
                        config.resource,
                        session,
                        begin.epoch(),
                        begin.blocks(),
                        begin.zeroRanges(),
                        0,
                        epochBlocks == 0 ? keptRanges : List.of()));
        return true;
    }

    /// Journal that is reserved for an epoch.
    private long bytesOf(long blocks, long zeroRanges) {
        long commitBytes = JournalRecord.totalBytes(Ancestry.MAX_ENTRIES * Ancestry.Entry.BYTES);
        // More than the journal has bytes never fits, and the peer may have said anything: the sum
        // must not run over.
        long most = Math.max(journalBytes, BlockSet.blocksOf(sizeBytes));
        long need =
                Math.min(blocks, most) * EPOCH_BLOCK_BYTES
                        + Math.min(zeroRanges, most) * JournalRecord.HEADER_BYTES
                        + commitBytes;
        // A run that does not fit a segment's rest leaves a gap of at most one run in each segment,
        // and only what is left of the segment counts.
        long run = JournalRecord.totalBytes(config.limits.runBlocks() * BlockSet.BLOCK_BYTES);
        return need + (need / (config.segmentBytes - run) + 2) * run;
    }

    /// Whether the next epoch can go on from what is kept: the peer can be told where it lies, and
    /// has a device that is as large.
    private boolean mayGoOn() {
        kept.putAll(staged);
        staged = new JournalIndex();
        List<Frame.KeptRange> ranges = KeptRanges.of(kept, config.limits.keptRanges());
        if (ranges == null || ranges.isEmpty() || !pending.isEmpty()) {
            return false;
        }
        keptRanges = ranges;
        Frame.KeptRange last = ranges.getLast();
        return last.offsetBytes() + last.lengthBytes()
                <= BlockSet.blocksOf(primary.sizeBytes()) * BlockSet.BLOCK_BYTES;
    }

    private void beginStaged() {
        boolean continues = keepsStaged();
        long at =
                append(
                        Kind.EPOCH_BEGIN,
                        false,
                        continues,
                        Position.NONE,
                        openEpoch,
                        0,
                        0,
                        completeMillis,
                        null);
        if (!continues) {
            stagedFrom = at;
            keptRanges = List.of();
        } else {
            long bytes = 0;
            for (JournalIndex.Run run : kept.all()) {
                bytes += run.lengthBytes();
            }
            fx.event(
                    "epoch-continued",
                    "%d bytes are kept of the epoch that was cut off".formatted(bytes));
        }
    }

    /// An epoch lacks room, and nothing in front of what is kept can be freed any more. Without it
    /// there may be room: the epoch then begins with nothing, and nothing waits for ever.
    private void giveUpKept(long need) {
        boolean keptOnly = openEpoch == 0 || !keptRanges.isEmpty();
        if (keepsStaged() && keptOnly && base.watermark() >= stagedFrom && need <= journalBytes) {
            openEpoch = 0;
            reservedBytes = 0;
            dropStaged();
            fx.event(
                    "kept-given-up",
                    "what was kept of an epoch that was cut off takes the room that the next one"
                            + " lacks");
        }
    }

    private boolean takeStaged(Kind kind, long epoch, long offset, long length, ByteBuffer data) {
        if (epoch != openEpoch || openEpoch == 0) {
            refuse("blocks of epoch " + epoch + " while " + openEpoch + " is open");
            return true;
        }
        if (!isInside(offset, length)) {
            return true;
        }
        long bytes = JournalRecord.totalBytes(data == null ? 0 : data.remaining());
        if (bytes > reservedBytes) {
            refuse("epoch " + epoch + " is larger than what was reserved for it");
            return true;
        }
        long before = end;
        append(kind, true, Position.NONE, epoch, offset, length, 0, data);
        reservedBytes -= end - before;
        epochBlocks += BlockSet.blocksOf(length);
        if (data == null) {
            digest.zero(offset, length);
        } else {
            digest.blocks(offset, data);
        }
        return true;
    }

    private boolean takeCommit(Frame.EpochCommit commit, Now came) {
        if (commit.epoch() != openEpoch || openEpoch == 0) {
            refuse("a commit of epoch " + commit.epoch() + " while " + openEpoch + " is open");
            return true;
        }
        if (commit.blocks() != epochBlocks
                || !java.util.Arrays.equals(commit.digest(), digest.finish())) {
            refuse(
                    "epoch %d arrived with %d blocks and another digest than was sent"
                            .formatted(openEpoch, epochBlocks));
            dropStaged();
            return true;
        }
        if (commit.ancestry().generation() != commit.position().generation()) {
            refuse("a commit at " + commit.position() + " with another generation's ancestry");
            return true;
        }
        commitStaged(
                commit.position(), completeUntil(commit.wallMillis(), came), commit.ancestry());
        agesBy(commit.wallMillis(), came);
        return true;
    }

    /// What is damaged of what is staged or kept, as far as is known; empty for nothing. A
    /// primary's epoch is committed all the same: to refuse it would end the session for good, and
    /// what is damaged of it is mended then, while the moment in front of it stays.
    public String stagedDamage() {
        return stagedRot.tailSet(stagedFrom).isEmpty()
                ? ""
                : "the journal is damaged at offset %d, in the epoch that is on its way"
                        .formatted(stagedRot.ceiling(stagedFrom));
    }

    /// What was damaged of an epoch that is committed meanwhile, or was given up, is damage as any
    /// other.
    private void hearOfStaged() {
        SortedSet<Long> now = stagedRot.headSet(Math.min(stagedFrom, appliedEnd));
        List<Long> heard = List.copyOf(now);
        now.clear();
        heard.forEach(this::damageFound);
    }

    private void commitStaged(Position to, long wallMillis, Ancestry adopted) {
        append(
                Kind.EPOCH_COMMIT,
                false,
                to,
                openEpoch,
                epochBlocks,
                0,
                wallMillis,
                AncestryCodec.encode(adopted));
        appended = to;
        commitEnd = end;
        openEpoch = 0;
        reservedBytes = 0;
        commitMends = isRotten() && isLookedAt() && commitBringsAll();
        if (behind != null && isBeyond(to, behind)) {
            behind = null;
        }
    }

    /// What was said of the stream may have overtaken a commit that does not bring what is left
    /// out.
    private static boolean isBeyond(Position to, Position whole) {
        return to.generation() != whole.generation() || to.number() > whole.number();
    }

    private boolean takeSync(long sequence, long offset, long length, ByteBuffer data) {
        if (everCommitted) {
            refuse("a first sync into a copy that has points already");
        } else if (isInside(offset, length)) {
            blank = false;
            if (waitsForSpace || !fx.writeBase(session, sequence, offset, length, data, tracked)) {
                return false;
            }
            if (!failed) {
                spaceAgain();
            }
        }
        return true;
    }

    /// The base has no space for what should go into it. Nothing is lost: it is still in the
    /// journal or, in a first sync, at the peer. Until [#tryAgain] the base is left alone; what a
    /// journal holds it goes on taking in.
    public void lacksSpace(String why) {
        waitsForSpace = true;
        if (noSpace.isEmpty()) {
            fx.event("no-space", why);
        }
        noSpace = why;
        tellTrouble();
    }

    /// Space may have been made.
    public void tryAgain() {
        if (waitsForSpace) {
            waitsForSpace = false;
            takeIn();
            if (inbox.isEmpty() && !pinsUnsure && !rollIsDue()) {
                spaceAgain("nothing waits for space in the base any more");
            }
            fx.wakeRoller();
        }
    }

    private void spaceAgain() {
        spaceAgain("the base takes data again");
    }

    private void spaceAgain(String why) {
        if (!noSpace.isEmpty()) {
            noSpace = "";
            fx.event("space-again", why);
            tellTrouble();
        }
    }

    private void tellTrouble() {
        if (sessionUp) {
            fx.send(
                    new Frame.Trouble(
                            config.resource, noSpace.isEmpty() && toldHeld ? HELD : noSpace));
        }
    }

    // ---- a promoted copy
    // ---------------------------------------------------------------------------------------------

    /// Takes in a frame of this host's own primary, which writes to the copy since it was promoted
    /// (R24): a write or a part of an epoch. No session with a peer is up then.
    ///
    /// @return false if there is no room for it now: it is to be given again after a roll-forward,
    ///   and may be at any time before
    /// @throws IllegalStateException if it does not fit what the copy is
    public boolean takeOwn(Frame.Data frame, Now now) {
        if (sessionUp) {
            throw new IllegalStateException("a peer writes to this copy");
        }
        timeIs(now);
        if (damaged) {
            return false;
        }
        if (frame instanceof Frame.EpochBegin) {
            // That something waits for room stays so: it may be this very frame.
            abandonEpoch();
            dropStaged();
        }
        refusal = "";
        // The clock of the primary is this host's.
        long wallMillis = now.wallMillis();
        var own = new PeerClock.Reading(wallMillis, wallMillis);
        boolean taken = take(frame, new Now(now.nanos(), wallMillis, own));
        if (!refusal.isEmpty()) {
            throw new IllegalStateException(refusal);
        }
        if (!taken || epochLacksRoom) {
            // Once: what it waits for then wakes the roller itself, and who is woken by that and
            // gives the frame again would never rest.
            if (noteHolding()) {
                fx.wakeRoller();
            }
            return false;
        }
        holding = false;
        return true;
    }

    /// Commits the epoch that [#takeOwn] has begun: as soon as that is durable the copy is at `to`,
    /// in a generation of this host's primary.
    public void commitOwn(Position to, long wallMillis, Ancestry adopted) {
        commitStaged(to, wallMillis, adopted);
    }

    /// What [#takeOwn] has begun of an epoch, or finds of a peer's, is void.
    public void abandonOwn() {
        abandonEpoch();
        dropStaged();
        holding = false;
    }

    /// Position of the next write of [#takeOwn].
    public Position nextOwn() {
        return appended.plus(1);
    }

    /// Journal offset behind everything that was appended.
    public long end() {
        return end;
    }

    /// Journal offset in front of which everything is in the [#committedIndex].
    public long appliedEnd() {
        return appliedEnd;
    }

    /// What must be written so that the committed image is that of an older moment again: the runs
    /// that came later.
    public List<JournalIndex.Run> since(Moment moment) {
        List<JournalIndex.Run> runs = new ArrayList<>();
        for (JournalIndex.Run run : index.all()) {
            if (run.recordAddress() >= moment.address() && !(Faults.M71 && run.isZero())) {
                runs.add(run);
            }
        }
        return runs;
    }

    /// Journal bytes that the epoch lacks that was asked for last; what is rolled into the base at
    /// once may make room.
    public long missingForEpoch() {
        return epochLacksRoom ? missingBytes : 0;
    }

    /// Journal bytes that this epoch would lack even when all is in the base that may be rolled
    /// there: [#takeOwn] would roll history for nothing then, and nothing is rolled by asking.
    ///
    /// @param restored the moment that the epoch brings back, which has to stay; null for none.
    ///   Other views may be closed meanwhile
    /// @return 0 where there is the room, or it may be made
    public long lacksForOwn(Frame.EpochBegin begin, View restored, Now now) {
        timeIs(now);
        long limit =
                restored == null || restored.pin() != 0
                        ? appliedEnd
                        : Math.min(appliedEnd, restored.moment().address());
        if (isRotten()) {
            limit = Math.min(limit, rots.getLast().from());
        }
        Moment least =
                hasPoint() ? history.upTo(limit, receivedMillis() - retention.minMillis()) : null;
        long to = base.watermark();
        if (least != null) {
            to = Math.max(to, least == history.newest() ? limit : least.address());
        }
        long first = Math.max(freed, startOfSegment(Math.min(to, end - 1)));
        long saves = saved.tailMap(first).values().stream().mapToLong(Long::longValue).sum();
        long stored = end - first - saves / config.segmentBytes * config.segmentBytes;
        return Math.max(0, bytesOf(begin.blocks(), begin.zeroRanges()) - (journalBytes - stored));
    }

    /// @return whether it is so only now
    private boolean noteHolding() {
        if (holding || waitsForSpace) {
            return false;
        }
        holding = true;
        fx.event(
                "journal-full",
                bytesToMend() > 0
                        ? "what is left of the damaged journal is for what mends it: nothing more is taken in before"
                        : "the journal is full: nothing more is taken in until records are rolled"
                                + " forward");
        return true;
    }

    // ---- the journal
    // ---------------------------------------------------------------------------------------------

    private boolean hasRoom(long bytes, long keptFree) {
        return hasBytes(bytes, keptFree) && hasMemory();
    }

    private boolean hasBytes(long bytes, long keptFree) {
        return storedBytes() + bytesToAppend(bytes) + keptFree <= journalBytes;
    }

    private boolean hasMemory() {
        return index.size() / 5 * 4 <= indexRuns;
    }

    /// What an append of this size takes, the rest of the segment included when it does not fit
    /// there.
    private long bytesToAppend(long bytes) {
        long left = config.segmentBytes - end % config.segmentBytes;
        return bytes <= left ? bytes : left + bytes;
    }

    private long append(
            Kind kind,
            boolean punch,
            Position at,
            long epoch,
            long offset,
            long length,
            long primaryMillis,
            ByteBuffer data) {
        return append(kind, punch, false, at, epoch, offset, length, primaryMillis, data);
    }

    private long append(
            Kind kind,
            boolean punch,
            boolean continues,
            Position at,
            long epoch,
            long offset,
            long length,
            long primaryMillis,
            ByteBuffer data) {
        int dataBytes = data == null ? 0 : data.remaining();
        long left = config.segmentBytes - end % config.segmentBytes;
        if (JournalRecord.totalBytes(dataBytes) > left) {
            if (left >= JournalRecord.HEADER_BYTES) {
                write(record(Kind.PAD, false, false, Position.NONE, 0, 0, 0, 0, 0, 0), null);
            }
            end += left;
        }
        JournalRecord record =
                record(
                        kind,
                        punch,
                        continues,
                        at,
                        epoch,
                        offset,
                        length,
                        primaryMillis,
                        dataBytes,
                        data == null ? 0 : JournalRecord.crcOf(data));
        write(record, data);
        end += record.totalBytes();
        pending.add(
                new Pending(
                        end,
                        record,
                        kind == Kind.EPOCH_COMMIT || kind == Kind.MARK ? data.duplicate() : null,
                        null));
        return record.address();
    }

    private JournalRecord record(
            Kind kind,
            boolean punch,
            boolean continues,
            Position at,
            long epoch,
            long offset,
            long length,
            long primaryMillis,
            int dataBytes,
            int crc) {
        return new JournalRecord(
                kind,
                punch,
                continues,
                config.resource,
                end,
                durableEnd,
                incarnation,
                0,
                dataBytes,
                at,
                epoch,
                offset,
                length,
                primaryMillis,
                stamp(),
                crc,
                tracked);
    }

    private void write(JournalRecord record, ByteBuffer data) {
        fx.append(record.address(), record.encode(), data == null ? null : data.duplicate());
    }

    /// Everything of the journal below this offset is on stable storage.
    public void durable(long upTo) {
        durableEnd = Math.max(durableEnd, upTo);
        settle();
    }

    private void settle() {
        boolean moved = false;
        boolean committedEpoch = false;
        while (!pending.isEmpty() && pending.peek().endAddress() <= durableEnd) {
            Pending p = pending.poll();
            if (p.exact() != null) {
                answer(p.exact());
            } else if (p.marked() != null) {
                if (session != 0 && p.marked().session() == session) {
                    fx.send(answer(p.marked()));
                }
            } else if (p.heartbeat() != null) {
                if (p.heartbeat().position().equals(committed)) {
                    completeMillis = p.heartbeat().wallMillis();
                }
            } else {
                apply(p.record(), p.data());
                appliedEnd = p.endAddress();
                moved |= !p.record().position().isNone();
                if (p.record().kind() == Kind.EPOCH_COMMIT) {
                    committedEpoch = true;
                    fx.event("epoch-committed", "the copy has moved to " + committed);
                }
            }
        }
        while (!ages.isEmpty() && ages.peek().end() <= durableEnd) {
            age = CopyAge.younger(age, ages.poll().age());
        }
        hearOfStaged();
        if (committedEpoch) {
            epochSinceDamage = true;
            commitMends = false; // It is durable, so the index says it.
            goOnIfMended();
            takeIn(); // What was kept free for that epoch is not any more.
        }
        if (moved) {
            acknowledge();
        }
        helloIfDue();
        askToMend();
        if (rollIsDue()) {
            fx.wakeRoller();
        }
    }

    /// The newest moment is the one that was to be marked. Since that was appended it may have
    /// ended.
    private Frame.MarkReply answer(Frame.MarkReply reply) {
        return hasEnded(history.newest())
                ? new Frame.MarkReply(reply.resource(), reply.session(), reply.number(), NOT_MENDED)
                : reply;
    }

    private void acknowledge() {
        if (session != 0) {
            fx.send(new Frame.Ack(config.resource, session, yields(), yields(), synced, filled));
        }
    }

    /// Takes a durable record into what a promotion would yield; the same for a live record and for
    /// recovery.
    private void apply(JournalRecord r, ByteBuffer data) {
        long behind = r.address() + r.totalBytes();
        switch (r.kind()) {
            case WRITE, ZERO -> {
                dropStagedBelow(r.address());
                put(index, r);
                moved(r, behind, false);
            }
            case EPOCH_BEGIN -> begins(r.continues(), r.primaryMillis());
            case EPOCH_BLOCKS, EPOCH_ZERO -> put(Faults.M25 ? index : staged, r);
            case EPOCH_COMMIT -> {
                committed(data);
                moved(r, behind, true);
            }
            case MARK -> {
                dropStagedBelow(r.address());
                moved(r, behind, false);
                marked(data);
            }
            case PAD -> {}
        }
    }

    private void begins(boolean continues, long untilMillis) {
        if (continues) {
            kept.putAll(staged);
        } else {
            kept = new JournalIndex();
        }
        staged = new JournalIndex();
        gapMillis = Math.max(completeMillis, untilMillis);
        if (Faults.M12 && primary != null && isGivingUp()) {
            committed = primary.committed();
            ancestry = primary.ancestry();
        }
    }

    /// The same for all records of a part of a segment.
    private void apply(Part p) {
        switch (p.kind()) {
            case LIVE -> {
                dropStagedBelow(p.beginAddress());
                index.putAll(p.runs());
                moved(p, false);
            }
            case BEGIN -> begins(false, p.primaryMillis());
            case CONTINUES -> begins(true, p.primaryMillis());
            case STAGED -> staged.putAll(p.runs());
            case COMMIT -> {
                committed(p.data());
                moved(p, true);
            }
            case MARK -> {
                dropStagedBelow(p.beginAddress());
                moved(p, false);
                marked(p.data());
            }
        }
    }

    /// The newest moment has this name.
    private void marked(ByteBuffer name) {
        String found = Marks.decode(name);
        if (found != null && hasPoint()) {
            marks.add(found, history.newest());
        }
    }

    /// A live record or a mark lies above what was committed when they were staged. When it was
    /// taken in they were given up; this is for recovery.
    private void dropStagedBelow(long address) {
        if (stagedFrom < address) {
            dropStaged();
        }
    }

    /// What is staged, and kept, counts from now on.
    private void committed(ByteBuffer newAncestry) {
        index.putAll(kept);
        index.putAll(staged);
        dropStaged();
        ancestry = AncestryCodec.decode(newAncestry.duplicate());
        if (!isGivingUp()) {
            ownChanges = null;
        }
    }

    private void moved(JournalRecord r, long address, boolean commit) {
        moved(
                new Moment(
                        address,
                        r.position(),
                        ancestry,
                        r.primaryMillis(),
                        r.receiptMillis(),
                        r.tracked(),
                        r.incarnation(),
                        gapMillis),
                commit);
    }

    private void moved(Part p, boolean commit) {
        moved(
                new Moment(
                        p.endAddress(),
                        p.position(),
                        ancestry,
                        p.primaryMillis(),
                        p.receiptMillis(),
                        p.tracked(),
                        p.incarnation(),
                        gapMillis),
                commit);
    }

    private void moved(Moment to, boolean commit) {
        committed = to.position();
        completeMillis = to.labelMillis();
        if (commit && !hasPoint()) {
            everCommitted = true;
            mixture = false;
            fx.event("first-point", "the copy can be opened from now on: " + committed);
        }
        if (hasPoint()) {
            history.add(to, commit);
        }
    }

    /// The moment as it is found by its time. The newest that came says it, and not the latest: a
    /// clock on the wall may be set back. What one that is ahead says lies in the future, as far as
    /// our own knows.
    private static long completeUntil(long primaryMillis, Now came) {
        return Math.min(primaryMillis, came.wallMillis());
    }

    /// All that the primary had written by then is in the copy when what was appended is durable.
    private void agesBy(long primaryMillis, Now came) {
        CopyAge then = CopyAge.of(primaryMillis, came);
        if (then != null) {
            ages.add(new AgeThen(end, then));
        }
    }

    /// How old the copy is; null while that is not known. It is not, from a start on, until
    /// something has come in while the primary's clock was known.
    public CopyAge age() {
        return age;
    }

    private static void put(JournalIndex into, JournalRecord r) {
        if (r.lengthBytes() > 0) {
            into.put(SegmentIndex.runOf(r));
        }
    }

    /// How often the base was synced with something of a first sync.
    public long filled() {
        return filled;
    }

    /// The base was synced behind something of a first sync: what must be durable in the superblock
    /// before that is acknowledged, [#baseDurable]. A copy that is put back to an older state has
    /// counted less than its primary knows of.
    public Base filling() {
        return base.filled(filled + 1, tracked);
    }

    /// First-sync frames of `session` up to this one are durable in the base, and [#filling]. Those
    /// of an older session say nothing: each counts from 1.
    public void baseDurable(long session, long sequence) {
        filled++;
        if (session != 0 && session == this.session && sequence > synced) {
            synced = sequence;
            acknowledge();
        }
    }

    /// The journal or the base reported an error: nothing is acknowledged any more.
    public void failed(String why) {
        if (!failed) {
            failed = true;
            fx.event("disk-failed", why);
            if (sessionUp) {
                helloDue = false;
                fx.send(hello());
            }
            session = 0;
        }
    }

    // ---- roll-forward and views
    // ----------------------------------------------------------------------------------

    /// Time passes; at least once a second while something waits for room.
    public void tick(Now now) {
        timeIs(now);
        expirePins();
        goOnIfMended();
        loseEndedPins();
        askToMend();
        tellIfHeld();
        if (holding) {
            takeIn(); // What was kept free for the mending may not be any more.
        }
        if (wantsRoom() && rollIsDue()) {
            fx.wakeRoller();
        }
    }

    private void timeIs(Now now) {
        if (!passes) {
            passes = true;
            passedTime.atLeast(receivedMillis());
        }
        long doubtedMillis = passedTime.doubtMillis();
        long before = passedTime.millis();
        passedTime.tick(now);
        if (doubtedMillis == 0 && passedTime.doubtMillis() > 0) {
            fx.event(
                    "time-in-doubt",
                    "this host's clock says that %s more have passed than are counted: they count, and make anything old, when the primary's clock says so too"
                            .formatted(minutes(passedTime.doubtMillis())));
        } else if (doubtedMillis > 0 && passedTime.doubtMillis() == 0) {
            fx.event(
                    "time-settled",
                    "of %s that this host's clock has gone on by, %s count, and no more will"
                            .formatted(
                                    minutes(doubtedMillis), minutes(passedTime.millis() - before)));
        }
        ClockCheck check = passedTime.check();
        if (passedTime.isChecked() && !check.isNone() && isDue(check)) {
            durableCheck = check;
            fx.checked(check);
        }
    }

    private boolean isDue(ClockCheck check) {
        if (durableCheck == null) {
            return true;
        }
        long passed = check.passedMillis() - durableCheck.passedMillis();
        long ahead =
                Math.max(
                        check.ownMillis() - durableCheck.ownMillis(),
                        check.peerMillis() - durableCheck.peerMillis());
        return passed >= checkAgainMillis || ahead - passed >= CLOCK_SET_MILLIS;
    }

    /// The time of receipt for something that will bear it.
    private long stamp() {
        if (passedTime.isLoose()) {
            passedTime.forget();
            durableCheck = null;
            fx.checked(ClockCheck.NONE);
        }
        return passedTime.millis();
    }

    private static String minutes(long millis) {
        return "%d min".formatted(millis / 60_000);
    }

    /// Minutes and more that this host's clock says have passed, and that make nothing old before
    /// the primary's clock says so too; 0 for none.
    public long doubtMillis() {
        return passedTime.doubtMillis();
    }

    /// When that was, by this host's clock as it is now: a time of receipt counts what has passed
    /// ([PassedTime]), and the clock may have been wrong then.
    public Instant onTheWall(long receiptMillis, Now now) {
        timeIs(now);
        long apart = now.wallMillis() - receivedMillis();
        return Instant.ofEpochMilli(
                receiptMillis + (Math.abs(apart) < SAME_CLOCK_MILLIS ? 0 : apart));
    }

    /// Something is not taken in for want of room in the journal.
    public boolean wantsRoom() {
        return holding || epochLacksRoom;
    }

    private boolean rollIsDue() {
        if (rolling || failed || waitsForSpace || !hasPoint()) {
            return false;
        }
        if (checkDue) {
            return true;
        }
        Moment goal = goal();
        return goal != null && goal.address() > base.watermark();
    }

    /// Journal offset that the base must not be rolled past.
    private long rollLimit() {
        return Math.min(limitBesidePins(), pins.stop(base.watermark()));
    }

    private long limitBesidePins() {
        long limit = Math.min(stagedFrom, appliedEnd);
        if (isRotten()) {
            limit = Math.min(limit, rots.getLast().from());
        }
        for (View view : Faults.M29 ? List.<View>of() : views.keySet()) {
            if (view.pin() == 0) {
                limit = Math.min(limit, view.moment().address());
            }
        }
        return limit;
    }

    /// The moment to which the base should be rolled now; null for none. What is older than the
    /// retention goes, many records at a time. When room is needed more goes, but nothing that is
    /// younger than the least retention.
    private Moment goal() {
        long limit = reach();
        long now = newestReceipt();
        Moment goal = history.upTo(limit, now - retention.millis());
        // A stop in front of a pin is worth what lies behind it too.
        Moment aged =
                goal == null || pins.stop(base.watermark()) == Long.MAX_VALUE
                        ? goal
                        : history.upTo(limitBesidePins(), now - retention.millis());
        if (goal != null && !isWorthIt(goal, now) && !isWorthIt(aged, now)) {
            goal = null;
        }
        long bytes = bytesWanted();
        if (bytes > 0) {
            // Whole segments are freed, and the one in which the base ends is not.
            long to = Math.min(limit, freeing(bytes) + 2 * config.segmentBytes);
            Moment least = leastKept(limit, now);
            Moment enough = history.behind(to - 1);
            Moment further =
                    least != null && enough != null && enough.address() < least.address()
                            ? enough
                            : least;
            if (further != null && (goal == null || further.address() > goal.address())) {
                goal = further;
            }
        }
        return goal == null ? null : tip(goal);
    }

    /// As far as the base may be rolled for room. In front of the oldest moment that can be opened
    /// there is none, so as far as there nothing is given up, however young it is: else what a
    /// first sync ends with would fill the journal for all of the least retention.
    private Moment leastKept(long limit, long now) {
        Moment least = history.upTo(limit, Faults.M50 ? now : now - retention.minMillis());
        Moment oldest = history.oldest();
        boolean isFree = oldest.address() > base.watermark() && oldest.address() <= limit;
        return isFree && (least == null || least.address() < oldest.address()) ? oldest : least;
    }

    /// Time of receipt from which on something is taken in again, when nothing is since all that
    /// could make room is younger than the least retention; 0 when that is not so.
    public long heldUntilMillis() {
        if (!wantsRoom() || failed || waitsForSpace || !hasPoint()) {
            return 0;
        }
        Moment next = history.behind(base.watermark());
        boolean isFree = history.oldest().address() > base.watermark();
        if (next == null || isFree || next.address() > rollLimit()) {
            return 0;
        }
        long until = next.receiptMillis() + retention.minMillis();
        return until > newestReceipt() ? until : 0;
    }

    /// The peer's operator is told why nothing is taken in, and that this has ended.
    private void tellIfHeld() {
        boolean isHeld = heldUntilMillis() > 0;
        if (isHeld != toldHeld) {
            toldHeld = isHeld;
            tellTrouble();
        }
    }

    /// Where the journal has to begin, so that it takes so many bytes less.
    private long freeing(long bytes) {
        long at = freed;
        long less = 0;
        for (Map.Entry<Long, Long> each : saved.entrySet()) {
            if (less + each.getKey() - at >= bytes) {
                break;
            }
            less += each.getKey() - at + config.segmentBytes - each.getValue();
            at = each.getKey() + config.segmentBytes;
        }
        return at + Math.max(0, bytes - less);
    }

    /// How far one roll may go: what it writes takes memory for an index of its own. A moment is
    /// within reach, or an epoch lies in front of the next, which goes in one piece.
    private long reach() {
        Moment first = history.behind(base.watermark());
        long most = base.watermark() + Math.max(config.rollBytes, ONE_ROLL_BYTES);
        return first == null ? rollLimit() : Math.min(rollLimit(), Math.max(most, first.address()));
    }

    /// Of the newest moment what follows in the journal goes too: it changes nothing, like an epoch
    /// that was cut off.
    private Moment tip(Moment goal) {
        long limit = rollLimit();
        return goal == history.newest() && limit > goal.address() ? goal.to(limit) : goal;
    }

    private boolean isWorthIt(Moment aged, long now) {
        return aged.address() - freed > config.rollBytes
                || retention.millis() > 0
                        && now - aged.receiptMillis() > retention.millis() / 8 * 9;
    }

    /// Retention stands still while nothing arrives (R22); what waits to be taken in has arrived.
    private long newestReceipt() {
        return wantsRoom() ? receivedMillis() : history.newest().receiptMillis();
    }

    /// Whether records should go into the base as fast as they can: something waits for the room,
    /// or will soon.
    public boolean isRollUrgent() {
        return hasPoint() && bytesWanted() > 0;
    }

    /// How much of the journal should become free.
    private long bytesWanted() {
        long used = journalUsedBytes();
        long wanted = used > journalBytes / 4 * 3 ? used - journalBytes / 2 : 0;
        if (holding || index.size() > indexRuns) {
            wanted = Math.max(wanted, journalBytes / 8);
        }
        return epochLacksRoom ? Math.max(wanted, missingBytes) : wanted;
    }

    /// What should be rolled into the base now, or null.
    ///
    /// @param settle all of it, whatever the retention, so that the base alone is the newest moment
    public Roll startRoll(boolean settle) {
        if (rolling || failed || waitsForSpace || checkDue || !isListWritten()) {
            return null;
        }
        if (settle && !obstacle().isEmpty()) {
            return null;
        }
        if (!hasPoint()) {
            return damaged ? startLastRoll() : startRollOfNothing(settle);
        }
        if (damaged) {
            return null;
        }
        Moment goal = settle ? settlingGoal() : goal();
        if (goal == null || goal.address() <= base.watermark()) {
            return null;
        }
        noteReach(goal);
        rollShortens &= !settle;
        return startRoll(goal);
    }

    private Roll startRoll(Moment goal) {
        rolling = true;
        rollsTo = goal.address();
        if (Faults.M44) {
            free(goal.address());
        }
        history.rollBegins(goal.address());
        return new Roll(
                base.watermark(),
                goal.address(),
                begun(goal.address()),
                reached(goal),
                bridge(base.watermark(), goal.address()),
                pins.save(base.watermark()));
    }

    private void noteReach(Moment goal) {
        Moment oldest = history.oldest();
        if (newestReceipt() - oldest.receiptMillis() >= retention.millis()) {
            shortenedToMillis = NOT_SHORTENED;
        }
        // What lies in front of the oldest moment is none.
        rollShortens =
                goal.address() > oldest.address()
                        && newestReceipt() - goal.receiptMillis() < retention.millis();
    }

    /// Once, and again when half of that is left: a journal that is too small would else tell it
    /// with each roll.
    private void tellShortened() {
        Moment oldest = history.oldest();
        long reachMillis = newestReceipt() - oldest.receiptMillis();
        if (shortenedToMillis == NOT_SHORTENED || reachMillis < shortenedToMillis / 2) {
            shortenedToMillis = reachMillis;
            fx.event(
                    "history-shortened",
                    "the oldest moment is that of %s now: older ones have gone before the retention has passed them by, since the journal lacked room"
                            .formatted(Instant.ofEpochMilli(oldest.labelMillis())));
        }
    }

    private Moment settlingGoal() {
        Moment goal = history.upTo(reach(), Long.MAX_VALUE);
        return goal == null ? null : tip(goal);
    }

    /// Before the first point there is nothing to roll, but room that abandoned epochs took.
    private Roll startRollOfNothing(boolean settle) {
        long limit = rollLimit();
        if (limit <= base.watermark()
                || !(settle || wantsRoom() || storedBytes() > journalBytes / 2)) {
            return null;
        }
        rolling = true;
        return new Roll(
                base.watermark(), base.watermark(), begun(limit), reached(limit), null, null);
    }

    /// Leaves a damaged journal behind of which nothing is a point: it goes on in a segment that
    /// was never used.
    private Roll startLastRoll() {
        rolling = true;
        return new Roll(base.watermark(), base.watermark(), base, reached(journalEnd), null, null);
    }

    private Base begun(long rollingTo) {
        return new Base(
                base.watermark(),
                Math.max(rollingTo, base.rollingTo()),
                base.movedBy(),
                base.position(),
                base.everCommitted(),
                base.mixture(),
                base.tracked(),
                filled,
                base.labelMillis(),
                base.receiptMillis(),
                base.check(),
                base.ancestry());
    }

    /// The base is no moment, and its journal begins there.
    private Base reached(long watermark) {
        return reached(
                new Moment(
                        watermark,
                        committed,
                        ancestry,
                        base.labelMillis(),
                        base.receiptMillis(),
                        tracked,
                        base.movedBy(),
                        0));
    }

    private Base reached(Moment goal) {
        return new Base(
                goal.address(),
                goal.address(),
                opening(goal),
                goal.position(),
                everCommitted,
                mixture,
                goal.tracked(),
                filled,
                goal.labelMillis(),
                goal.receiptMillis(),
                base.check(),
                goal.ancestry());
    }

    /// The opening that none of the records behind is older than: from where this one's start found
    /// the end, all is of this one.
    private long opening(Moment of) {
        return of.address() >= foundEnd ? incarnation : of.incarnation();
    }

    /// What keeps all of the records from going into the base at present; empty for nothing.
    public String obstacle() {
        if (failed) {
            return "the journal or the base has failed";
        }
        if (isRotten()) {
            return rotWords();
        }
        long open = views.keySet().stream().filter(each -> each.pin() == 0).count();
        if (open > 0 && !Faults.M29) {
            return open == 1 ? "a view is open" : open + " views are open";
        }
        if (!endedOpen().isEmpty()) {
            return "%s is open, and its moment has ended: the journal is damaged in front of it"
                    .formatted(endedOpen().getFirst().name());
        }
        return waitsForSpace ? noSpace : "";
    }

    /// What a [Roll] has to save for a pin finds no room: nothing was written to the base, nor said
    /// to be, and the journal still holds all of it.
    public void saveLacksRoom(String why) {
        rollIsOver();
        history.rollGivenUp();
        hear();
        sweepPins();
        lacksSpace(why);
    }

    /// A [Roll] met a full disk: the journal still holds all of it.
    public void rollLacksSpace(String why) {
        rollIsOver();
        hear();
        sweepPins();
        lacksSpace(why);
    }

    /// A [Roll] could not be finished: the journal still holds all of it.
    public void rollFailed(String why) {
        rollIsOver();
        failed(why);
    }

    private void rollIsOver() {
        rolling = false;
        rollsTo = 0;
        rollShortens = false;
    }

    /// Takes what was heard of during a roll that has ended: it concerns nothing that is here when
    /// the base has passed it.
    private void hear() {
        List<Long> heard = List.copyOf(heardOf);
        heardOf.clear();
        heard.forEach(this::damageFound);
    }

    // ---- damage of the journal that is found while it is open (R25)
    // -----------------------------------------------------------------------------------------
    //
    //  journal ──────┬──── d ▓▓▓ ──────────────────────────────┬───────────── newest
    //  moments ──────┤           none, but the newest by itself├─────────────
    //                base stops here                           first that needs nothing of ▓▓▓
    //
    // Nothing that can be read is given up for it. The newest image stays what it was, and a read
    // of it that would need what is damaged fails. The primary compares all of it, where what is
    // damaged differs from everything, and mends it in an epoch. As soon as nothing of the image
    // lies in a damaged record, however that has come about, moments go on; the base then passes
    // what is damaged in one roll, from the index of that moment, the bridge. Damage behind that
    // moment is the same again, and the moments from the bridge up to it stay.
    //
    // A note says durably where it is damaged, and holds the bridge before anything rests on that
    // ([BackupEffects#damaged]): a start reads nothing of what a bridge leads over, and ends no
    // moment anew. What is damaged of an epoch counts when that is committed or given up.

    /// Something of the journal is not what was written there, and had been durable: found by a
    /// roll, by the index of a whole segment, or by who reads or opens a moment. Next:
    /// [#startCheck]. In front of where a roll leads that is under way it counts when that has
    /// ended.
    ///
    /// @param address where the record begins
    /// @return whether it is known from now on; false where it concerns nothing of the copy
    public boolean damageFound(long address) {
        if (!hasPoint() || address < base.watermark() || address >= appliedEnd) {
            return false;
        }
        if (address >= stagedFrom) {
            stagedRot.add(address);
            return true;
        }
        if (address < rollsTo) {
            heardOf.add(address);
            return true;
        }
        int at = 0;
        while (at < rots.size() && !rots.get(at).reaches(address)) {
            at++;
        }
        Rot rot = at < rots.size() ? rots.get(at) : null;
        if (rot == null) {
            ends(at, address, address);
        } else if (rot.over() == null ? address < rot.from() : needs(rot.over(), address)) {
            ends(at, Math.min(rot.from(), address), address);
        } else if (address < rot.from()) {
            endsUpToBridge(at, address);
        }
        return true;
    }

    private static boolean needs(Bridge bridge, long record) {
        for (JournalIndex.Run run : bridge.index().all()) {
            if (!run.isZero() && run.recordAddress() == record) {
                return true;
            }
        }
        return false;
    }

    /// Moments behind `from` have ended, and whether the newest needs what is damaged is not known.
    ///
    /// @param rot the first whose place that takes
    private void ends(int rot, long from, long damaged) {
        rots.subList(rot, rots.size()).clear();
        rots.add(new Rot(from, null));
        isToBeLookedAt(damaged);
        // Not in the place of a bridge that needs it: a start can read nothing of what that leads
        // over.
        note(new Rot(damaged, null));
        history.ends(from);
        loseEndedPins();
        fx.event(
                "journal-damaged",
                "it is damaged at offset %d: moments behind offset %d have ended, the newest stays and is looked at"
                        .formatted(damaged, from));
        fx.wakeRoller();
    }

    private void isToBeLookedAt(long damaged) {
        checkDue = true;
        noteAgainMillis = 0;
        epochSinceDamage = false;
        unreadableBlocks = blocksThatNeed(damaged);
        commitMends = false;
        mayAskAgain();
        rotWords =
                "the journal is damaged at offset %d; which parts of the newest moment that concerns is being looked at"
                        .formatted(damaged);
    }

    /// Without it a start knows less, and finds the damage when it is read.
    private void note(Rot rot) {
        String trouble = fx.damaged(rot.note(config.resource));
        if (trouble != null) {
            fx.event("metadata-error", trouble);
        }
    }

    /// What is damaged lies in front of what was damaged before, and the bridge over that needs
    /// nothing of it.
    private void endsUpToBridge(int rot, long from) {
        Bridge over = rots.get(rot).over();
        rots.set(rot, new Rot(from, over));
        note(rots.get(rot));
        history.lost(from, over.address());
        loseEndedPins();
        fx.event(
                "journal-damaged",
                "it is damaged at offset %d too: moments between that and offset %d have ended, nothing else is concerned"
                        .formatted(from, over.address()));
    }

    /// A [Roll] has found damage: nothing was said to have begun.
    public void rollMeetsDamage(long address) {
        rollIsOver();
        history.rollGivenUp();
        if (!damageFound(address)) {
            // Else the same roll would begin again and meet it again, without end.
            failed(
                    "a roll met damage of the journal at offset %d, which it should not need"
                            .formatted(address));
        }
        hear();
    }

    /// The newest image is to be looked at: which of its records are not whole. Nothing is rolled
    /// until [#checked].
    ///
    /// @return what of it the journal holds; null for nothing to do
    public JournalIndex startCheck() {
        if (!checkDue || rolling || failed) {
            return null;
        }
        checkDue = false;
        checking = true;
        rolling = true;
        return index.copy();
    }

    /// @param bad the records that cannot be read, by where they begin; null: not all was looked at
    public void checked(SortedSet<Long> bad) {
        rollIsOver();
        checking = false;
        if (bad == null) {
            checkDue = true;
            return;
        }
        unreadable = bad;
        mendedLookEnd = -1;
        if (!bad.isEmpty()) {
            damageFound(bad.getFirst());
        }
        goOnIfMended();
        if (isRotten() && !checkDue) {
            fx.event("journal-damaged", rotWords());
        }
        askToMend();
        takeIn(); // An epoch may wait that lacked memory for the index.
        fx.wakeRoller();
    }

    /// Records of the newest image that cannot be read, as far as is known.
    public SortedSet<Long> unreadable() {
        return unreadable;
    }

    /// Whether something of the newest image cannot be read, or may not be.
    public boolean isRotten() {
        return !rots.isEmpty() && rots.getLast().over() == null;
    }

    /// Whether that is to be looked at, and nothing is rolled before.
    public boolean isDoubted() {
        return checkDue && !failed;
    }

    /// Whether it is known what of the newest image cannot be read.
    private boolean isLookedAt() {
        return !checkDue && !checking;
    }

    /// What is damaged, for the operator; empty for nothing.
    public String rotWords() {
        if (!isRotten()) {
            return "";
        }
        return mendRefusal.isEmpty()
                ? rotWords
                : "%s (the primary was asked to mend it, and does not: %s; it is asked again)"
                        .formatted(rotWords, mendRefusal);
    }

    /// Blocks of the newest image that lie in this record, or in one that could not be read when it
    /// was looked at last.
    private long blocksThatNeed(long record) {
        long blocks = 0;
        for (JournalIndex.Run run : index.all()) {
            if (isUnreadable(run) || !run.isZero() && run.recordAddress() == record) {
                blocks += blocksOf(run);
            }
        }
        return blocks;
    }

    private static long blocksOf(JournalIndex.Run run) {
        long first = run.offsetBytes() / BlockSet.BLOCK_BYTES;
        return BlockSet.blocksOf(run.endBytes()) - first;
    }

    /// Whether nothing of the newest image is unreadable any more when all that is appended is
    /// durable, the commit of an epoch at its end. Live records in front of the epoch are not
    /// looked at: what they mend is seen when they are durable.
    private boolean commitBringsAll() {
        JournalIndex brought = kept.copy();
        brought.putAll(staged);
        for (Pending each : pending) {
            JournalRecord record = each.record();
            Kind kind = record == null ? Kind.PAD : record.kind();
            if (kind == Kind.EPOCH_BEGIN && !record.continues()) {
                brought = new JournalIndex();
            } else if (kind == Kind.EPOCH_BLOCKS || kind == Kind.EPOCH_ZERO) {
                put(brought, record);
            }
        }
        JournalIndex image = index.copy();
        image.putAll(brought);
        for (JournalIndex.Run run : image.all()) {
            if (isUnreadable(run)) {
                return false;
            }
        }
        return true;
    }

    private long unreadableBytes() {
        long bytes = 0;
        unreadableBlocks = 0;
        for (JournalIndex.Run run : index.all()) {
            if (isUnreadable(run)) {
                bytes += run.lengthBytes();
                unreadableBlocks += blocksOf(run);
            }
        }
        return bytes;
    }

    /// Journal that live records leave free while something of the newest moment cannot be read:
    /// what the epoch takes that mends it, and what the primary marks meanwhile. Without it that
    /// epoch may never fit, and nothing behind the damage becomes free before it is committed. A
    /// promoted copy has nobody to wait for. As long as it is looked at what counts is what is
    /// known: mostly that is nothing, and writes would wait for a look at the whole image.
    private long bytesToMend() {
        // What only waits to be noted needs no epoch.
        if (!isRotten() || !sessionUp || unreadableBlocks == 0 || commitMends) {
            return 0;
        }
        // A peer that will not or cannot mend has more use for the room.
        if (primaryFails || !mendRefusal.isEmpty()) {
            return 0;
        }
        return bytesOf(Primary.blocksToAsk(unreadableBlocks), 0)
                + Math.min(journalBytes / 4, MEND_SHARE_BYTES);
    }

    /// What reads zero is in the index alone, and that is whole.
    private boolean isUnreadable(JournalIndex.Run run) {
        return !run.isZero() && unreadable.contains(run.recordAddress());
    }

    private void goOnIfMended() {
        if (!isRotten()
                || !isLookedAt()
                || failed
                || mendedLookEnd == appliedEnd
                || receivedMillis() < noteAgainMillis) {
            return;
        }
        mendedLookEnd = appliedEnd;
        long from = rots.getLast().from();
        long bytes = unreadableBytes();
        if (bytes > 0 && !Faults.M91) {
            rotWords =
                    "the journal is damaged at offset %d: %d bytes of the newest moment cannot be read, and no moment behind that place can be opened but the newest"
                            .formatted(from, bytes);
            return;
        }
        Moment first = bridged();
        Rot passed = new Rot(from, new Bridge(index.copy(), first));
        String trouble = fx.damaged(passed.note(config.resource));
        if (trouble != null) {
            mendedLookEnd = -1;
            noteAgainMillis = receivedMillis() + NOTE_AGAIN_MILLIS;
            rotWords =
                    "the journal is damaged at offset %d; nothing of the newest moment is concerned any more, but that cannot be noted, and is tried again: %s"
                            .formatted(from, trouble);
            return;
        }
        // What was noted of the bridge that this one is in the place of.
        fx.damagePassed(from + 1, first.address());
        rots.removeLast();
        rots.add(passed);
        history.goesOn(first);
        fx.event(
                "journal-mended",
                "nothing of the copy needs what is damaged of the journal any more: moments go on with %s"
                        .formatted(first.position()));
        fx.wakeRoller();
    }

    /// The newest moment, with what follows in the journal and changes nothing: what of that is
    /// damaged is passed as well.
    private Moment bridged() {
        Moment newest = history.newest().to(Math.min(stagedFrom, appliedEnd));
        return newest.in(opening(newest));
    }

    /// The primary says that the copy has all there is, and does not know: it compares everything.
    /// One that leaves something out is not asked before an epoch of its has come, which may mend
    /// it: on a line that is too slow for the writes there is always another one to come. But where
    /// the journal takes in nothing more, none comes.
    private void askToMend() {
        if (isRotten()
                && isLookedAt()
                && session != 0
                && receivedMillis() >= askAgainMillis
                && isOnStream()
                && (behind == null || epochSinceDamage || holding)) {
            askAgainMillis = receivedMillis() + askPauseMillis;
            if (unreadableBytes() == 0) {
                return; // Only that this is so was not looked at or noted yet.
            }
            askPauseMillis = Math.min(2 * askPauseMillis, ASK_AGAIN_MOST_MILLIS);
            fx.send(new Frame.Invalidate(config.resource));
        }
    }

    private void mayAskAgain() {
        askAgainMillis = 0;
        askPauseMillis = ASK_AGAIN_MILLIS;
        mendRefusal = "";
    }

    /// What whoever makes an image of the journal from one offset to another is to pass over; null
    /// for nothing.
    public Bridge bridge(long from, long to) {
        for (Rot rot : rots.reversed()) {
            Bridge over = rot.over();
            if (over != null && from <= rot.from() && to >= over.address()) {
                return over;
            }
        }
        return null;
    }

    /// Whether a moment lies where nothing but the newest can be opened.
    private boolean hasEnded(Moment moment) {
        return rots.stream().anyMatch(each -> each.ends(moment));
    }

    /// What is kept or marked of moments that have ended. A kept one that is open is kept until it
    /// is closed, and the base stops there until then. What cannot be stored is tried again with
    /// the next [#tick].
    private void loseEndedPins() {
        if (rots.isEmpty()) {
            return;
        }
        marks.lost(this::hasEnded);
        List<Pins.Pin> before = pins.all();
        List<Pins.Pin> lost =
                before.stream().filter(each -> hasEnded(each.moment()) && !isOpen(each)).toList();
        if (lost.isEmpty()) {
            return;
        }
        boolean isTold = pinsUnsure;
        lost.forEach(pins::drop);
        String trouble = sweptAndStored(before);
        if (trouble.isEmpty()) {
            lost.forEach(this::tellLost);
        } else if (!isTold) {
            fx.event("metadata-error", trouble);
        }
    }

    /// What of the damage the base has passed is forgotten.
    private void passRot() {
        if (rots.removeIf(each -> each.over() != null && base.watermark() > each.from())) {
            fx.damagePassed(0, base.watermark());
        }
        rots.replaceAll(each -> each.above(base.watermark()));
        if (rots.isEmpty()) {
            unreadable = Collections.emptySortedSet();
        }
    }

    /// A [Roll] is in the base, synced, and its end is durable in the superblock.
    public void rolled(Roll roll) {
        boolean isShorter = rollShortens;
        rollIsOver();
        spaceAgain();
        base = roll.reached();
        index.dropBelow(base.watermark());
        passRot();
        if (hasPoint() && base.everCommitted() && !base.mixture()) {
            history.rolled(base.moment());
            if (isShorter) {
                tellShortened();
            }
        }
        marks.rolled(base.watermark());
        hear();
        if (damaged && base.watermark() >= journalEnd) {
            damaged = false;
            end = base.watermark();
            appliedEnd = end;
            durableEnd = end;
        }
        sweepPins();
        free();
        helloIfDue();
        takeIn();
        if (rollIsDue() || damaged) {
            fx.wakeRoller();
        }
    }

    /// A segment of the journal has been packed, or was found so at the start: there is more room.
    ///
    /// @param address of its first byte
    /// @param bytes that it takes now
    public void packed(long address, long bytes) {
        if (address >= freed) {
            Long before = saved.put(address, config.segmentBytes - bytes);
            savedBytes += config.segmentBytes - bytes - (before == null ? 0 : before);
            takeIn();
        }
    }

    /// Frees what nobody needs, but never the newest segment: the files keep it, so that the
    /// journal is never without one.
    private void free() {
        free(base.watermark());
    }

    private void free(long needed) {
        long keep = needed;
        for (long read : views.values()) {
            keep = Math.min(keep, read);
        }
        long before = startOfSegment(Math.min(keep, end - 1));
        if (before > freed) {
            freed = before;
            while (!saved.isEmpty() && saved.firstKey() < before) {
                savedBytes -= saved.pollFirstEntry().getValue();
                if (Faults.M80) {
                    savedBytes += config.segmentBytes;
                }
            }
            fx.free(before);
        }
    }

    /// Time of receipt now, as far as it is known; retention goes by it.
    public long receivedMillis() {
        long newest = history.newest() == null ? 0 : history.newest().receiptMillis();
        return Math.max(newest, passedTime.millis());
    }

    /// Moments that can be opened.
    public History history() {
        return history;
    }

    /// Opens the newest moment.
    ///
    /// @return null when there is none: [#isMixture], or no first point yet
    public View openView() {
        return hasPoint() ? openView(history.newest(), completeMillis) : null;
    }

    /// Opens a moment of the [#history], or a later one before the next of these.
    ///
    /// @return null when it is too late: the base is rolled past it
    public View openView(Moment moment) {
        return hasPoint() && moment.address() >= history.oldest().address()
                ? openView(moment, moment.labelMillis())
                : null;
    }

    private View openView(Moment moment, long completeMillis) {
        View view = new View(++nextView, moment, completeMillis, base.watermark(), 0);
        views.put(view, base.watermark());
        return view;
    }

    /// Opens what is kept under this name, else what the primary has marked with it. From the
    /// journal it reads what lies between the base and that moment, and nothing when the base is
    /// behind it.
    ///
    /// @return null when there is none, or it is damaged, or can be opened no more
    public View openView(String name) {
        Pins.Pin pin = pins.named(name);
        if (pin == null) {
            Marks.Mark mark = marks.named(name);
            return mark == null || hasEnded(mark.moment()) ? null : openView(mark.moment());
        }
        if (pin.damaged()) {
            return null;
        }
        Moment moment = pin.moment();
        long from = Math.min(base.watermark(), moment.address());
        View view = new View(++nextView, moment, moment.labelMillis(), from, pin.id());
        views.put(view, from < moment.address() ? from : Long.MAX_VALUE);
        return view;
    }

    /// The view reads no records any more that stand below this journal offset; what they hold, the
    /// base holds.
    public void viewReads(View view, long fromAddress) {
        boolean isPast = view.pin() != 0 && fromAddress >= view.moment().address();
        long from = isPast ? Long.MAX_VALUE : fromAddress;
        if (views.computeIfPresent(view, (_, was) -> Math.max(was, from)) != null) {
            freeAndGoOn();
        }
    }

    public void closeView(long id) {
        views.keySet().removeIf(view -> view.id() == id);
        loseEndedPins();
        freeAndGoOn();
    }

    private void freeAndGoOn() {
        free();
        takeIn();
        if (rollIsDue() || holding) {
            fx.wakeRoller();
        }
    }

    // ---- pins
    // ------------------------------------------------------------------------------------------

    /// What was kept, as a start finds it; after [#recover]. A moment that was in the damaged part
    /// of a journal is lost.
    ///
    /// @param lastId greatest that a pin ever had
    public void pins(List<Pins.Pin> durable, long lastId) {
        pins.begin(durable, lastId);
        durable.forEach(each -> passedTime.atLeast(each.madeMillis()));
        heardMillis = receivedMillis();
        for (Pins.Pin each : durable) {
            long address = each.moment().address();
            if (address > base.watermark()
                    && (!hasPoint() || address > end || hasEnded(each.moment()))) {
                pins.drop(each);
                tellLost(each);
            } else if (address > base.watermark()) {
                history.insert(each.moment());
            }
        }
        sweepPins();
    }

    private void tellLost(Pins.Pin pin) {
        if (pin.isNamed()) {
            fx.event(
                    "pin-lost",
                    "%s, kept of %s, lay in the damaged part of the journal"
                            .formatted(pin.name(), pin.moment().position()));
        }
    }

    /// All that is kept, oldest moment first.
    public List<Pins.Pin> pins() {
        return pins.all().stream().filter(Pins.Pin::isNamed).toList();
    }

    /// What the primary has marked and can be opened, oldest moment first.
    public List<Marks.Mark> marks() {
        return hasPoint()
                ? marks.all().stream()
                        .filter(each -> each.moment().address() >= history.oldest().address())
                        .filter(each -> !hasEnded(each.moment()))
                        .toList()
                : List.of();
    }

    /// What is kept under this name; null for nothing.
    public Pins.Pin pin(String name) {
        return pins.named(name);
    }

    /// Keeps a moment of the [#history], or a later one before the next of these, under a name.
    /// When it returns that is durable.
    ///
    /// @param moment of an open view
    /// @param sizeBytes of the device then
    /// @return empty, or why not
    public String keep(String name, Moment moment, long sizeBytes, long forMillis) {
        if (!Pins.isName(name)) {
            return "\"%s\" is no name for a moment, that is %s".formatted(name, Pins.NAME_RULE);
        }
        if (pins.named(name) != null) {
            return "there is a kept moment " + name + " already";
        }
        String marked = marked(name, moment);
        if (!marked.isEmpty()) {
            return marked;
        }
        if (pins.all().size() >= Pins.MAX) {
            return "%d moments are kept, which is the most".formatted(Pins.MAX);
        }
        if (failed || !hasPoint() || moment.address() < history.oldest().address()) {
            return "the moment cannot be opened any more";
        }
        if (hasEnded(moment)) {
            return isRotten()
                    ? rotWords()
                    : "the moment has ended: the journal is damaged in front of it";
        }
        long now = Math.max(stamp(), receivedMillis());
        List<Pins.Pin> before = pins.all();
        pins.add(name, moment.alone(), sizeBytes, now, now + forMillis);
        String trouble = storePins(before);
        if (trouble.isEmpty()) {
            history.insert(moment);
        }
        return trouble;
    }

    /// Why another moment cannot have this name: one name is never two moments.
    private String marked(String name, Moment moment) {
        if (marks.isComing(name)) {
            return "%s is just being marked by the primary".formatted(name);
        }
        return marks().stream()
                .filter(
                        each ->
                                each.name().equals(name)
                                        && each.moment().address() != moment.address())
                .map(
                        each ->
                                "%s is marked as of %s; to keep that, add --at %s"
                                        .formatted(
                                                name,
                                                Instant.ofEpochMilli(each.moment().labelMillis()),
                                                name))
                .findFirst()
                .orElse("");
    }

    /// Keeps it no longer; when it returns that is durable.
    ///
    /// @return empty, or why not
    public String drop(String name) {
        Pins.Pin pin = pins.named(name);
        if (pin == null) {
            return "there is no kept moment " + name;
        }
        if (isOpen(pin)) {
            return name + " is open";
        }
        List<Pins.Pin> before = pins.all();
        pins.drop(pin);
        String trouble = sweptAndStored(before);
        tryAgain();
        return trouble;
    }

    /// Nothing of a pin, nor of the older ones that read through it, can be relied on any more.
    public void pinDamaged(long id, String why) {
        if (pins.all().stream().noneMatch(each -> each.id() == id)) {
            return; // Nobody reads it any more.
        }
        boolean some = false;
        for (Pins.Pin each : pins.all()) {
            if (!each.damaged()) {
                pins.damage(each);
                some = true;
                if (each.isNamed()) {
                    fx.event("pin-damaged", each.name() + " cannot be opened any more: " + why);
                }
            }
            if (each.id() == id) {
                break;
            }
        }
        String trouble = some ? sweptAndStored(pins.all()) : "";
        if (!trouble.isEmpty()) {
            failed(trouble); // Another start must not take it for whole.
        }
    }

    /// What is kept although its moment has ended, as long as it is open: the base stops in front
    /// of it.
    public List<Pins.Pin> endedOpen() {
        return rots.isEmpty()
                ? List.of()
                : pins().stream().filter(each -> hasEnded(each.moment()) && isOpen(each)).toList();
    }

    private boolean isOpen(Pins.Pin pin) {
        return views.keySet().stream().anyMatch(each -> each.pin() == pin.id());
    }

    /// What is open is kept until it is closed.
    private void expirePins() {
        List<Pins.Pin> before = pins.all();
        List<Pins.Pin> expired =
                pins().stream()
                        .filter(each -> each.expiresMillis() < heardMillis && !isOpen(each))
                        .toList();
        if (expired.isEmpty()) {
            return;
        }
        expired.forEach(pins::drop);
        if (sweptAndStored(before).isEmpty()) {
            for (Pins.Pin each : expired) {
                fx.event(
                        "pin-expired",
                        "%s, kept of %s, has expired"
                                .formatted(each.name(), each.moment().position()));
            }
            tryAgain();
        }
    }

    /// What nobody reads through goes. While a roll saves into a delta all stay.
    private void sweepPins() {
        List<Pins.Pin> before = pins.all();
        if (pins.sweep(base.watermark())) {
            storePins(before);
        }
    }

    private String sweptAndStored(List<Pins.Pin> before) {
        if (!rolling) {
            pins.sweep(base.watermark());
        }
        return storePins(before);
    }

    /// @param before what is kept when this fails
    private String storePins(List<Pins.Pin> before) {
        String trouble = fx.pins(pins.all(), pins.lastId());
        if (trouble != null) {
            pins.begin(before, pins.lastId());
            pinsUnsure = true; // What is on the disk may be either.
            return trouble;
        }
        pinsUnsure = false;
        return "";
    }

    /// A list of pins that could not be written may be on the disk all the same, and a base that is
    /// rolled would then be taken for what they need of it. So it is written again before.
    public boolean isListWritten() {
        if (!pinsUnsure) {
            return true;
        }
        String trouble = fx.pins(pins.all(), pins.lastId());
        pinsUnsure = trouble != null;
        if (pinsUnsure) {
            lacksSpace("the list of kept moments cannot be written: " + trouble);
        }
        return !pinsUnsure;
    }

    /// Whether nothing is rolled until the list of pins could be written.
    public boolean waitsForList() {
        return pinsUnsure && waitsForSpace;
    }

    private long startOfSegment(long address) {
        return Math.max(0, address) / config.segmentBytes * config.segmentBytes;
    }

    // ---- what it knows
    // -------------------------------------------------------------------------------------------

    /// Whether the primary has said in this session, as the newest, that the copy has all there is
    /// or gets it as it is written.
    public boolean isInStep() {
        return behind == null && isOnStream() && refusal.isEmpty();
    }

    /// Whether what comes is the stream of writes, all of it or not, and what was to come with an
    /// epoch is in the copy.
    private boolean isOnStream() {
        return !isTakingEpoch() && standing == Standing.IN_STEP;
    }

    /// Whether the primary has said that it leaves out what the stream should have brought, and no
    /// epoch has brought that yet.
    public boolean isBehind() {
        return behind != null;
    }

    /// Whether an epoch is being taken in, or its commit is not durable yet.
    public boolean isTakingEpoch() {
        return openEpoch != 0 || appliedEnd < commitEnd;
    }

    /// Whether nothing of this session is taken in, because the histories do not follow each other,
    /// or one side cannot take part.
    public boolean isApart() {
        return apart != null;
    }

    /// What the two copies are to each other, where that keeps them apart in this session; else
    /// null.
    public Verdict parted() {
        return apart;
    }

    /// Whether the primary asks for digests of the copy.
    public boolean isCompared() {
        return openEpoch == 0 && standing == Standing.COMPARED;
    }

    public DiskState diskState() {
        if (failed) {
            return DiskState.FAILED;
        }
        if (!hasPoint()) {
            return DiskState.INCONSISTENT;
        }
        return isInStep() ? DiskState.UP_TO_DATE : DiskState.OUTDATED;
    }

    public Position committed() {
        return committed;
    }

    /// Newest transaction of the primary's metadata that it was told of.
    public long tracked() {
        return tracked;
    }

    /// Whether there ever was a point; [#hasPoint] says whether there is one.
    public boolean everCommitted() {
        return everCommitted;
    }

    /// Whether base and journal are the image of a moment, which a view shows.
    public boolean hasPoint() {
        return everCommitted && !mixture;
    }

    /// Whether there was a point, and damage to the journal has taken it.
    public boolean isMixture() {
        return mixture;
    }

    /// Whether what a start found of the journal is damaged, and it does not go on yet.
    public boolean isDamaged() {
        return damaged;
    }

    /// What a promotion would get.
    private Position yields() {
        return hasPoint() ? committed : Position.NONE;
    }

    public Ancestry ancestry() {
        return ancestry;
    }

    public Base base() {
        return base;
    }

    /// What of the committed image lies in the journal; the rest is in the base. It changes with
    /// the next call of anything here; to read at leisure, open a view.
    public JournalIndex committedIndex() {
        return index;
    }

    /// Wall time of the primary until which the copy is complete; 0 when unknown.
    public long completeMillis() {
        return completeMillis;
    }

    public String refusal() {
        return refusal;
    }

    /// Whether the primary's stream is taken in.
    public boolean isStreaming() {
        return session != 0;
    }

    /// What the peer's operator must see to, or keeps from going on; empty for nothing.
    public String peerTrouble() {
        return peerTrouble;
    }

    /// Why the base takes nothing, until it does again; empty when it does.
    public String noSpace() {
        return noSpace;
    }

    public long openEpoch() {
        return openEpoch;
    }

    /// Whether the journal holds blocks of an epoch that is not committed and may be.
    public boolean holdsStaged() {
        return stagedFrom != NOTHING_STAGED;
    }

    public boolean isHolding() {
        return holding;
    }

    public boolean isRolling() {
        return rolling;
    }

    /// Whether the base alone holds the committed image, and nothing that was appended will change
    /// it.
    public boolean isSettled() {
        return hasPoint() && index.size() == 0 && appliedEnd >= end;
    }

    /// Journal bytes in use, the room kept for an epoch included.
    public long journalUsedBytes() {
        return storedBytes() + reservedBytes;
    }

    /// Journal bytes in use. What packing saves counts by whole segments: so many more find room.
    private long storedBytes() {
        return end - freed - savedBytes / config.segmentBytes * config.segmentBytes;
    }

    /// How long records stay in the journal at present.
    public Retention retention() {
        return retention;
    }

    /// Size that the journal needs for all of the retention at the rate of what it holds now; empty
    /// while that is too little to tell. A quarter of it is for what arrives ([#bytesWanted]).
    public Optional<Long> neededBytes() {
        return hasPoint()
                ? history.neededBytes(retention.millis(), packedRatio()).map(bytes -> bytes / 3 * 4)
                : Optional.empty();
    }

    /// How much of what it holds the journal takes, of whole segments: 1 when nothing is packed.
    double packedRatio() {
        long held = startOfSegment(end) - freed;
        return held <= 0 ? 1 : (double) (held - savedBytes) / held;
    }

    public int openViews() {
        return views.size();
    }

    /// The view that keeps in the journal what should be in the base by now, since it is older than
    /// the retention or its room is needed; null for none.
    public View inTheWay() {
        View first = null;
        for (View each : views.keySet()) {
            boolean isEarlier = first == null || each.moment().address() < first.moment().address();
            first = each.pin() == 0 && isEarlier ? each : first;
        }
        if (first == null || failed || !hasPoint()) {
            return null;
        }
        Moment next = history.behind(base.watermark());
        boolean stops = next == null || first.moment().address() < next.address();
        long age = newestReceipt() - first.moment().receiptMillis();
        boolean isOld = retention.millis() > 0 && age > retention.millis() / 8 * 9;
        boolean takesRoom = stops && bytesWanted() > 0 && age >= retention.minMillis();
        return isOld || takesRoom ? first : null;
    }
}
