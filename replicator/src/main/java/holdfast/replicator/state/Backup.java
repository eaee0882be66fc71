package holdfast.replicator.state;

import holdfast.checksum.TreeAnswers;
import holdfast.checksum.TreeComparison;
import holdfast.checksum.TreeShape;
import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.replicator.journal.JournalScan;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/// Decides, at the backup of one resource, what is journaled, acknowledged, committed and rolled
/// forward, and never acts: no thread, clock, file or socket. One caller at a time; effects are
/// carried out in order.
///
/// ```
///  frame ─► append to the journal ─► durable: into the index, acknowledged ─► rolled into the base ─► segments freed
///           epoch blocks ─► staged ─► EPOCH_COMMIT durable: all of them into the index at once
///  committed image = base, overlaid by the index
/// ```
public final class Backup {
    /// Journal bytes that one block of an epoch may take.
    static final long EPOCH_BLOCK_BYTES = BlockSet.BLOCK_BYTES + JournalRecord.HEADER_BYTES;

    /// @param sizeBytes of the copy
    /// @param journalBytes most that the journal may take, a whole number of segments
    /// @param rollBytes journal use from which on records are rolled into the base
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
    /// @param position the image that the base holds together with nothing
    /// @param everCommitted false during a first sync: the base alone is no image of anything
    /// @param mixture damage to the journal took what an interrupted roll-forward needed: base and
    ///   journal are no image of anything until the next commit
    /// @param tracked newest transaction of the primary's metadata under which something of it was
    ///   written
    public record Base(
            long watermark,
            long rollingTo,
            Position position,
            boolean everCommitted,
            boolean mixture,
            long tracked,
            Ancestry ancestry) {
        /// A base on which no roll-forward is under way.
        public Base(long watermark, Position position, boolean everCommitted, Ancestry ancestry) {
            this(watermark, watermark, position, everCommitted, false, 0, ancestry);
        }
    }

    /// The committed image at one moment: what the index does not hold is read from the base. It
    /// stays right until [#closeView].
    public record View(
            long id, Position position, long completeMillis, JournalIndex index, long watermark) {}

    /// Records that should go into the base. A crash behind a step leaves:
    ///
    /// | step                                       | a crash behind it leaves                  |
    /// |--------------------------------------------|-------------------------------------------|
    /// | make [#begun] durable in the superblock    | the base as it was                        |
    /// | write every run of the index into the base | a base that is whole with the journal up to `rollingTo`, and with less of it a mixture |
    /// | sync the base                              | the same                                  |
    /// | make [#reached] durable in the superblock  | the base holds all below the watermark    |
    /// | call [Backup#rolled]                       | what it frees is freed at the next start  |
    public record Roll(JournalIndex index, Base begun, Base reached) {}

    private static final long NOTHING_STAGED = Long.MAX_VALUE;

    private record Pending(
            long endAddress, JournalRecord record, ByteBuffer data, Frame.Heartbeat heartbeat) {}

    private record Arrived(Frame.Data frame, long creditBytes) {}

    private final Config config;
    private final BackupEffects fx;
    private final long incarnation;
    private boolean failed;
    private long wallMillis;
    private boolean blank;

    // What is durable and would be promoted.
    private Base base;
    private final JournalIndex index = new JournalIndex();
    private Ancestry ancestry;

    /// Newest transaction of the primary's metadata that was heard of.
    private long tracked;

    private Position committed;
    private boolean everCommitted;
    private boolean mixture;
    private long completeMillis;
    private long appliedEnd;

    // What was appended.
    private long end;
    private long durableEnd;
    private Position appended;
    private final ArrayDeque<Pending> pending = new ArrayDeque<>();

    /// The journal is damaged where it ended at the start: nothing is taken in until what is good
    /// of it is in the base and the journal begins anew behind all its segments.
    private boolean damaged;

    /// Where that is.
    private long journalEnd;

    // The epoch being staged.
    private long openEpoch;

    /// Where the epoch begins whose blocks are staged or whose commit is not durable yet: the base
    /// must not roll past it.
    private long stagedFrom = NOTHING_STAGED;

    private JournalIndex staged = new JournalIndex();
    private long reservedBytes;

    /// The peer waits for room for its epoch, and asks again.
    private boolean epochLacksRoom;

    private long epochBlocks;
    private EpochDigest digest;

    // The session.
    private boolean sessionUp;
    private boolean helloDue;
    private long session;
    private long synced;
    private final ArrayDeque<Arrived> inbox = new ArrayDeque<>();
    private boolean holding;
    private String refusal = "";
    private String peerTrouble = "";

    /// What the peer compares with. In its session nothing changes the image meanwhile: an honest
    /// peer sends what does only when all its questions are answered.
    private final TreeAnswers answers;

    /// Why the base took nothing the last time; empty when it did.
    private String noSpace = "";

    /// The base is left alone until [#tryAgain].
    private boolean waitsForSpace;

    // Roll-forward and views.
    private boolean rolling;
    private long freed;
    private long nextView;
    private final List<View> views = new ArrayList<>();

    /// A copy as its superblock and journal have it; call [#recover] before anything else.
    ///
    /// @param incarnation greater than that of every earlier opening of this journal
    public Backup(Config config, Base base, long incarnation, BackupEffects fx) {
        this.config = config;
        this.fx = fx;
        this.incarnation = incarnation;
        this.blank = config.blank;
        this.answers = new TreeAnswers(new TreeShape(config.limits.fanOut()));
        this.base = base;
        this.ancestry = base.ancestry();
        this.tracked = base.tracked();
        this.committed = base.position();
        this.everCommitted = base.everCommitted();
        this.mixture = base.mixture();
        this.appliedEnd = base.watermark();
        this.end = base.watermark();
        this.freed = startOfSegment(base.watermark() - 1);
    }

    /// Reads the journal from the watermark on. The caller has synced journal and base: what a
    /// killed daemon wrote and did not sync reads back, and is taken for durable here.
    ///
    /// A damaged journal ends the points where the damage is (R25). What is in front of it makes a
    /// point together with the base, unless a roll-forward that was interrupted may have brought
    /// something from behind it into the base: then there is none until the primary has compared
    /// everything and committed an epoch. In both cases [#startRoll] answers with the roll that
    /// leaves the damaged journal behind.
    ///
    /// @param journalEnd where the last segment ends
    /// @return null, or what is damaged and what the copy is now, for the operator
    public String recover(JournalScan.Reader reader, long journalEnd) throws IOException {
        JournalScan scan = new JournalScan(config.resource, config.segmentBytes, reader);
        JournalScan.End found =
                scan.run(
                        base.watermark(),
                        (record, data) -> {
                            apply(record, data);
                            tracked = Math.max(tracked, record.tracked());
                            appliedEnd = record.address() + record.totalBytes();
                        });
        end = found.end();
        appliedEnd = end;
        durableEnd = end;
        appended = committed;
        openEpoch = 0;
        staged = new JournalIndex();
        String damage = Faults.M21 ? null : found.damage();
        if (damage == null && !Faults.M21 && end < base.rollingTo()) {
            damage = "it ends at offset %d, the base was rolled on to".formatted(end);
        }
        if (damage == null) {
            return null;
        }
        damaged = true;
        this.journalEnd = journalEnd;
        if (!everCommitted) {
            return damage + "; there was no point yet, the first sync goes on";
        }
        mixture |= end < base.rollingTo();
        return mixture
                ? damage
                        + "; an interrupted roll-forward may have brought more than that into the"
                        + " base: the copy is no image of any moment until the primary has compared"
                        + " and mended it"
                : damage + "; the copy is back at %s, the primary mends it".formatted(committed);
    }

    // ---- the session
    // ---------------------------------------------------------------------------------------------

    /// A session with the peer is up. The greeting waits until everything that was appended is
    /// durable, so that what it reports is what the journal holds.
    public void sessionUp() {
        sessionDown();
        sessionUp = true;
        helloDue = true;
        helloIfDue();
    }

    public void sessionDown() {
        sessionUp = false;
        helloDue = false;
        session = 0;
        synced = 0;
        inbox.clear();
        answers.end();
        holding = false;
        peerTrouble = "";
        abandonEpoch();
    }

    private void helloIfDue() {
        // What is pending on a failed journal stays so.
        if (helloDue && !damaged && (pending.isEmpty() || failed)) {
            helloDue = false;
            // Nothing is in flight, so what is appended is what is committed.
            appended = committed;
            fx.send(hello());
            if (!noSpace.isEmpty()) {
                tellTrouble();
            }
        }
    }

    /// What this copy is. While it [#isMixture] its position only says whose past it comes from.
    public Frame.ResourceHello hello() {
        return new Frame.ResourceHello(
                config.resource,
                Role.SECONDARY.ordinal() + 1,
                diskState().ordinal(),
                config.sizeBytes,
                committed,
                committed,
                openEpoch,
                everCommitted,
                config.journalBytes,
                blank,
                tracked,
                ancestry);
    }

    private void abandonEpoch() {
        openEpoch = 0;
        reservedBytes = 0;
        epochLacksRoom = false;
        if (openCommit() == null) {
            staged = new JournalIndex();
            stagedFrom = NOTHING_STAGED;
        }
    }

    /// Control frames of this resource.
    public void on(Frame.OfResource frame) {
        switch (frame) {
            case Frame.StreamStart start -> streamStarts(start);
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
                    Frame.Offer _,
                    Frame.OfferReply _,
                    Frame.Withdraw _,
                    Frame.Invalidate _,
                    Frame.InvalidateReply _ -> {}
            case Frame.Trouble trouble -> peerTrouble = trouble.text();
        }
    }

    private void streamStarts(Frame.StreamStart start) {
        if (!sessionUp || helloDue) {
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
        answers.end();
        synced = 0;
    }

    private void refuse(String why) {
        refusal = why;
        fx.send(new Frame.Refused(config.resource, why));
        fx.event("refused", why);
        session = 0;
        inbox.clear();
        answers.end();
        abandonEpoch();
    }

    // ---- the data stream
    // -----------------------------------------------------------------------------------------

    /// The next frame of the data stream; `creditBytes` are given back when it was taken in.
    public void on(Frame.Data frame, long creditBytes, long wallMillis) {
        this.wallMillis = wallMillis;
        if (session == 0 || failed) {
            return;
        }
        inbox.add(new Arrived(frame, creditBytes));
        takeIn();
    }

    private void takeIn() {
        while (!inbox.isEmpty() && session != 0 && !failed) {
            Arrived next = inbox.peek();
            if (!take(next.frame())) {
                if (!holding && !waitsForSpace) {
                    holding = true;
                    fx.event(
                            "journal-full",
                            "the journal is full: nothing more is taken in until records are rolled"
                                    + " forward");
                }
                fx.wakeRoller();
                return;
            }
            holding = false;
            inbox.poll();
            fx.grant(next.creditBytes());
        }
    }

    /// @return false if there is no room for it now
    private boolean take(Frame.Data frame) {
        if (!(frame instanceof Frame.Compare)) {
            answers.forgetKept();
        }
        return switch (frame) {
            case Frame.Write w ->
                    takeLive(
                            Kind.WRITE,
                            w.position(),
                            w.offsetBytes(),
                            w.data().remaining(),
                            w.wallMillis(),
                            false,
                            w.data());
            case Frame.Zero z ->
                    takeLive(
                            Kind.ZERO,
                            z.position(),
                            z.offsetBytes(),
                            z.lengthBytes(),
                            z.wallMillis(),
                            z.punch(),
                            null);
            case Frame.Heartbeat h -> {
                pending.add(new Pending(end, null, null, h));
                settle();
                yield true;
            }
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
            case Frame.EpochCommit c -> takeCommit(c);
            case Frame.SyncBlocks s ->
                    takeSync(s.sequence(), s.offsetBytes(), s.data().remaining(), s.data());
            case Frame.SyncZero s -> takeSync(s.sequence(), s.offsetBytes(), s.lengthBytes(), null);
            case Frame.Compare c -> {
                if (isInside(c.offsetBytes(), c.lengthBytes())) {
                    compare(c);
                }
                yield true;
            }
        };
    }

    private void compare(Frame.Compare c) {
        TreeAnswers.Answer known;
        try {
            known =
                    answers.ask(
                            new TreeComparison.Ask(
                                    c.number(), c.offsetBytes(), c.lengthBytes(), c.level()));
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
                new Frame.CompareReply(
                        config.resource, session, answer.number(), answer.digests()));
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
        if (offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes <= config.sizeBytes - lengthBytes) {
            return true;
        }
        refuse(
                "a range of %d bytes at %d lies outside the copy of %d"
                        .formatted(lengthBytes, offsetBytes, config.sizeBytes));
        return false;
    }

    private boolean takeLive(
            Kind kind,
            Position at,
            long offset,
            long length,
            long primaryMillis,
            boolean punch,
            ByteBuffer data) {
        if (!hasPoint() && openCommit() == null) {
            refuse("a write while there is no point");
            return true;
        }
        if (!at.equals(appended.plus(1))) {
            refuse("write %s does not follow %s".formatted(at, appended));
            return true;
        }
        if (!isInside(offset, length)) {
            return true;
        }
        int dataBytes = data == null ? 0 : data.remaining();
        if (!hasRoom(JournalRecord.totalBytes(dataBytes), reservedBytes)) {
            return false;
        }
        append(kind, punch, at, 0, offset, length, primaryMillis, data);
        appended = at;
        if (Faults.M1) {
            fx.send(new Frame.Ack(config.resource, session, at, at, synced));
        }
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
        boolean again = begin.epoch() == openEpoch && openEpoch != 0;
        if (!again) {
            abandonEpoch(); // What another one staged is void, and its room is to be had.
        }
        long commitBytes = JournalRecord.totalBytes(Ancestry.MAX_ENTRIES * Ancestry.Entry.BYTES);
        // More than the journal has bytes never fits, and the peer may have said anything: the sum
        // must not run over.
        long need =
                Math.min(begin.blocks(), config.journalBytes) * EPOCH_BLOCK_BYTES
                        + Math.min(begin.zeroRanges(), config.journalBytes)
                                * JournalRecord.HEADER_BYTES
                        + commitBytes;
        // A run that does not fit a segment's rest leaves a gap of at most one run in each segment,
        // and only what is
        // left of the segment counts.
        long run = JournalRecord.totalBytes(config.limits.runBlocks() * BlockSet.BLOCK_BYTES);
        need += (need / (config.segmentBytes - run) + 2) * run;
        long room = config.journalBytes - (end - freed);
        epochLacksRoom = need > room;
        if (epochLacksRoom) {
            fx.send(
                    new Frame.EpochReply(
                            config.resource, session, begin.epoch(), 0, 0, need - room));
            fx.wakeRoller();
            return true;
        }
        if (!again) {
            if (!hasRoom(JournalRecord.HEADER_BYTES, 0)) {
                return false;
            }
            openEpoch = begin.epoch();
            stagedFrom =
                    append(Kind.EPOCH_BEGIN, false, Position.NONE, begin.epoch(), 0, 0, 0, null);
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
                        0));
        return true;
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

    private boolean takeCommit(Frame.EpochCommit commit) {
        if (commit.epoch() != openEpoch || openEpoch == 0) {
            refuse("a commit of epoch " + commit.epoch() + " while " + openEpoch + " is open");
            return true;
        }
        if (commit.blocks() != epochBlocks
                || !java.util.Arrays.equals(commit.digest(), digest.finish())) {
            refuse(
                    "epoch %d arrived with %d blocks and another digest than was sent"
                            .formatted(openEpoch, epochBlocks));
            return true;
        }
        if (commit.ancestry().generation() != commit.position().generation()) {
            refuse("a commit at " + commit.position() + " with another generation's ancestry");
            return true;
        }
        append(
                Kind.EPOCH_COMMIT,
                false,
                commit.position(),
                openEpoch,
                epochBlocks,
                0,
                commit.wallMillis(),
                AncestryCodec.encode(commit.ancestry()));
        appended = commit.position();
        openEpoch = 0;
        reservedBytes = 0;
        return true;
    }

    private boolean takeSync(long sequence, long offset, long length, ByteBuffer data) {
        if (everCommitted) {
            refuse("a first sync into a copy that has points already");
        } else if (isInside(offset, length)) {
            blank = false;
            if (waitsForSpace || !fx.writeBase(session, sequence, offset, length, data)) {
                return false;
            }
            spaceAgain();
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
            fx.wakeRoller();
        }
    }

    private void spaceAgain() {
        if (!noSpace.isEmpty()) {
            noSpace = "";
            fx.event("space-again", "the base takes data again");
            tellTrouble();
        }
    }

    private void tellTrouble() {
        if (sessionUp) {
            fx.send(new Frame.Trouble(config.resource, noSpace));
        }
    }

    // ---- the journal
    // ---------------------------------------------------------------------------------------------

    private boolean hasRoom(long bytes, long keptFree) {
        return end + bytesToAppend(bytes) - freed + keptFree <= config.journalBytes;
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
        int dataBytes = data == null ? 0 : data.remaining();
        long left = config.segmentBytes - end % config.segmentBytes;
        if (JournalRecord.totalBytes(dataBytes) > left) {
            if (left >= JournalRecord.HEADER_BYTES) {
                write(record(Kind.PAD, false, Position.NONE, 0, 0, 0, 0, 0, 0), null);
            }
            end += left;
        }
        JournalRecord record =
                record(
                        kind,
                        punch,
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
                        end, record, kind == Kind.EPOCH_COMMIT ? data.duplicate() : null, null));
        return record.address();
    }

    private JournalRecord record(
            Kind kind,
            boolean punch,
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
                wallMillis,
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
        while (!pending.isEmpty() && pending.peek().endAddress() <= durableEnd) {
            Pending p = pending.poll();
            if (p.heartbeat() != null) {
                if (p.heartbeat().position().equals(committed)) {
                    completeMillis = Math.max(completeMillis, p.heartbeat().wallMillis());
                }
            } else {
                apply(p.record(), p.data());
                appliedEnd = p.endAddress();
                moved |= !p.record().position().isNone();
                if (p.record().kind() == Kind.EPOCH_COMMIT) {
                    fx.event("epoch-committed", "the copy has moved to " + committed);
                }
            }
        }
        if (moved) {
            acknowledge();
        }
        helloIfDue();
        if (rollIsDue()) {
            fx.wakeRoller();
        }
    }

    private void acknowledge() {
        if (session != 0) {
            fx.send(new Frame.Ack(config.resource, session, yields(), yields(), synced));
        }
    }

    /// Takes a durable record into what a promotion would yield; the same for a live record and for
    /// recovery.
    private void apply(JournalRecord r, ByteBuffer data) {
        long dataAddress = r.address() + JournalRecord.HEADER_BYTES;
        switch (r.kind()) {
            case WRITE -> advance(index, r, dataAddress);
            case ZERO -> advance(index, r, JournalIndex.Run.ZEROES);
            case EPOCH_BEGIN -> staged = new JournalIndex();
            case EPOCH_BLOCKS -> stage(r, dataAddress);
            case EPOCH_ZERO -> stage(r, JournalIndex.Run.ZEROES);
            case EPOCH_COMMIT -> {
                index.putAll(staged);
                staged = new JournalIndex();
                stagedFrom = NOTHING_STAGED;
                ancestry = AncestryCodec.decode(data.duplicate());
                committed = r.position();
                completeMillis = Math.max(completeMillis, r.primaryMillis());
                if (!hasPoint()) {
                    everCommitted = true;
                    mixture = false;
                    fx.event("first-point", "the copy can be opened from now on: " + committed);
                }
            }
            case PAD -> {}
        }
    }

    private void advance(JournalIndex into, JournalRecord r, long dataAddress) {
        put(into, r, dataAddress);
        committed = r.position();
        completeMillis = Math.max(completeMillis, r.primaryMillis());
    }

    private void stage(JournalRecord r, long dataAddress) {
        put(Faults.M25 ? index : staged, r, dataAddress);
    }

    private static void put(JournalIndex into, JournalRecord r, long dataAddress) {
        if (r.lengthBytes() > 0) {
            into.put(
                    new JournalIndex.Run(
                            r.offsetBytes(), r.lengthBytes(), dataAddress, r.address(), r.punch()));
        }
    }

    /// First-sync frames of `session` up to this one are durable in the base. Those of an older
    /// session say nothing: each counts from 1.
    public void baseDurable(long session, long sequence) {
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

    private boolean rollIsDue() {
        return !rolling
                && !failed
                && !waitsForSpace
                && views.isEmpty()
                && rollTarget() > base.watermark()
                && (holding || end - freed + reservedBytes > config.rollBytes);
    }

    private long rollTarget() {
        return Math.min(stagedFrom, appliedEnd);
    }

    /// What should be rolled into the base now, or null.
    ///
    /// @param settle also when the journal has room enough
    public Roll startRoll(boolean settle) {
        if (rolling || !obstacle().isEmpty()) {
            return null;
        }
        if (damaged) {
            return startLastRoll();
        }
        // Before the first point there is nothing to roll, but room that abandoned epochs took.
        if (rollTarget() <= base.watermark() || !(settle || wantsRoom() || rollIsDue())) {
            return null;
        }
        rolling = true;
        return new Roll(index.copy(), begun(rollTarget()), reached(rollTarget()));
    }

    /// Leaves a damaged journal behind: what is good of it goes into the base, and the journal goes
    /// on in a segment that was never used. A mixture gains nothing from it and stays as it is.
    private Roll startLastRoll() {
        rolling = true;
        return mixture
                ? new Roll(new JournalIndex(), base, reached(journalEnd))
                : new Roll(index.copy(), begun(end), reached(journalEnd));
    }

    private Base begun(long rollingTo) {
        return new Base(
                base.watermark(),
                Math.max(rollingTo, base.rollingTo()),
                base.position(),
                base.everCommitted(),
                base.mixture(),
                base.tracked(),
                base.ancestry());
    }

    private Base reached(long watermark) {
        return new Base(watermark, watermark, committed, everCommitted, mixture, tracked, ancestry);
    }

    private boolean wantsRoom() {
        return holding || epochLacksRoom || end - freed > config.journalBytes / 2;
    }

    /// What keeps records out of the base at present; empty for nothing.
    public String obstacle() {
        if (failed) {
            return "the journal or the base has failed";
        }
        if (!views.isEmpty()) {
            return views.size() == 1 ? "a view is open" : views.size() + " views are open";
        }
        return waitsForSpace ? noSpace : "";
    }

    /// A [Roll] met a full disk: the journal still holds all of it.
    public void rollLacksSpace(String why) {
        rolling = false;
        lacksSpace(why);
    }

    /// A [Roll] could not be finished: the journal still holds all of it.
    public void rollFailed(String why) {
        rolling = false;
        failed(why);
    }

    /// A [Roll] is in the base, synced, and its end is durable in the superblock.
    public void rolled(Roll roll) {
        rolling = false;
        spaceAgain();
        base = roll.reached();
        index.dropBelow(base.watermark());
        if (damaged) {
            damaged = false;
            end = base.watermark();
            appliedEnd = end;
            durableEnd = end;
        }
        free();
        helloIfDue();
        takeIn();
        if (rollIsDue()) {
            fx.wakeRoller();
        }
    }

    /// Frees what nobody needs, but never the newest segment: the files keep it, so that the
    /// journal is never without one.
    private void free() {
        long keep = base.watermark();
        for (View view : views) {
            keep = Math.min(keep, view.watermark());
        }
        long before = startOfSegment(Math.min(keep, end - 1));
        if (before > freed) {
            freed = before;
            fx.free(before);
        }
    }

    /// Opens the newest committed point. While a view is open the base stands still.
    ///
    /// @return null when there is none: [#isMixture], or no first point yet
    public View openView() {
        if (!hasPoint()) {
            return null;
        }
        View view = new View(++nextView, committed, completeMillis, index.copy(), base.watermark());
        views.add(view);
        return view;
    }

    public void closeView(long id) {
        views.removeIf(view -> view.id() == id);
        free();
        takeIn();
        if (rollIsDue() || holding || damaged) {
            fx.wakeRoller();
        }
    }

    private long startOfSegment(long address) {
        return Math.max(0, address) / config.segmentBytes * config.segmentBytes;
    }

    // ---- what it knows
    // -------------------------------------------------------------------------------------------

    public DiskState diskState() {
        if (failed) {
            return DiskState.FAILED;
        }
        if (!hasPoint()) {
            return DiskState.INCONSISTENT;
        }
        return session != 0 && openEpoch == 0 ? DiskState.UP_TO_DATE : DiskState.OUTDATED;
    }

    public Position committed() {
        return committed;
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

    public boolean isHolding() {
        return holding;
    }

    public boolean isRolling() {
        return rolling;
    }

    /// Whether the base alone holds the committed image.
    public boolean isSettled() {
        return hasPoint() && index.size() == 0;
    }

    /// Journal bytes in use, the room kept for an epoch included.
    public long journalUsedBytes() {
        return end - freed + reservedBytes;
    }

    public int openViews() {
        return views.size();
    }
}
