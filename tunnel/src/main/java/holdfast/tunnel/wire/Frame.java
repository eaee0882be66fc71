package holdfast.tunnel.wire;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.UUID;
import java.util.regex.Pattern;

/// One message on the link. A new kind needs a record here, a type number that was never used
/// before, and a table in docs/protocol.md.
///
/// Buffers are read-only views of the packet they came in: valid as long as they are referenced,
/// never written to. A frame of the data stream has no resource id: the stream it travels on names
/// the resource (see [StreamStart]).
public sealed interface Frame {
    /// Frames that travel on stream 0, the control stream of the session.
    sealed interface Control extends Frame {}

    /// Control frames that concern one resource.
    sealed interface OfResource extends Control {
        UUID resource();
    }

    /// Frames of a resource's ordered data stream, from the primary to the backup (R14).
    sealed interface Data extends Frame {}

    // ---- session --------------------------------------------------------------------------------

    /// First frame of each side, inside TLS. `nonce` is fresh for each session; `instance` for each
    /// start of a daemon.
    record Hello(
            int minVersion,
            int maxVersion,
            long features,
            UUID node,
            String nodeName,
            long instance,
            byte[] nonce,
            long wallMillis)
            implements Control {}

    /// Answer to the peer's Hello: echoes its nonce and what was agreed, so that a downgrade is
    /// seen.
    record Welcome(int version, long features, byte[] peerNonce) implements Control {}

    record Ping(long token, long wallMillis) implements Control {}

    record Pong(long token, long wallMillis) implements Control {}

    /// The receiver of `stream` can take this many more bytes of raw payload.
    record Credit(int stream, long bytes) implements Control {}

    /// The session ends on purpose; `reason` is for the operator.
    record Goodbye(String reason) implements Control {}

    // ---- pairing --------------------------------------------------------------------------------

    /// Redeems a one-time invitation; the sender's key is the one of its TLS certificate.
    record Join(byte[] secret, UUID node, String nodeName) implements Control {}

    /// `accepted` false: `reason` says why, and nothing was changed.
    record Joined(boolean accepted, UUID node, String nodeName, String reason) implements Control {}

    // ---- resources: setting up ------------------------------------------------------------------

    /// Asks the peer to keep a copy of a resource. `settings` is the text of its settings file.
    ///
    /// @param space the sizes of its volumes
    /// @param dryRun only say what would be used and what it holds
    record Offer(UUID resource, String name, AddressSpace space, String settings, boolean dryRun)
            implements OfResource {}

    /// @param disk what the peer uses for the copy; of several volumes, all of them
    /// @param holds what that holds now and is overwritten; empty for nothing
    /// @param reason why it was not accepted, else empty; where it holds something, the command
    ///   that an operator of the peer permits it with
    record OfferReply(UUID resource, boolean accepted, String disk, String holds, String reason)
            implements OfResource {}

    /// The resource is taken away at the sender; `keepCopy` false asks the peer to delete its copy
    /// as well.
    record Withdraw(UUID resource, boolean keepCopy) implements OfResource {}

    // ---- resources: handshake and answers -------------------------------------------------------

    /// What a side knows of its copy and of the other; both send it once a session and again
    /// whenever role or disk state changes. The first of each are all that the verdict is made of,
    /// on both sides (R2). A backup that an operator connects again sends it as well: a primary
    /// that stands still then greets anew.
    ///
    /// @param role 1 primary, 2 secondary
    /// @param diskState ordinal of replicator.state.DiskState
    /// @param committed what a promotion of the sender would yield; for a primary its last position
    /// @param stored durable in the sender's journal
    /// @param openEpoch number of a staged and uncommitted epoch, 0 for none
    /// @param everCommitted whether the copy ever had a committed point (R19)
    /// @param journalBytes how much an epoch may take in the sender's journal, header bytes
    ///   included
    /// @param blank the base is known to read back zeros wherever nothing was written
    /// @param tracked the newest [Tracked] transaction of the primary that is known here; 0 for
    ///   none
    /// @param filled how often the base was synced with something of a first sync; it never falls
    /// @param known what the sender knows of the receiver's copy
    record ResourceHello(
            UUID resource,
            int role,
            int diskState,
            long sizeBytes,
            Position committed,
            Position stored,
            long openEpoch,
            boolean everCommitted,
            long journalBytes,
            boolean blank,
            long tracked,
            long filled,
            Known known,
            Ancestry ancestry)
            implements OfResource {
        /// From a side that knows nothing of the other, and had no first sync.
        public ResourceHello(
                UUID resource,
                int role,
                int diskState,
                long sizeBytes,
                Position committed,
                Position stored,
                long openEpoch,
                boolean everCommitted,
                long journalBytes,
                boolean blank,
                long tracked,
                Ancestry ancestry) {
            this(
                    resource,
                    role,
                    diskState,
                    sizeBytes,
                    committed,
                    stored,
                    openEpoch,
                    everCommitted,
                    journalBytes,
                    blank,
                    tracked,
                    0,
                    Known.NOTHING,
                    ancestry);
        }
    }

    /// What a primary durably knows of its peer's copy; from a copy that gives up what it has by
    /// itself and sends a [Changed], what it knew when it was one.
    ///
    /// @param acknowledged what it is known to have committed; [Position#NONE] for nothing
    /// @param completeFrom a copy that stands between `acknowledged` and here may lack what is not
    ///   marked: it was compared where it stood at `acknowledged`, and put back to another state
    ///   since; [Position#NONE] where there is no such place
    /// @param copy the copy that our last first sync filled, 0 for none
    /// @param filled how far that had come, as [ResourceHello#filled]
    /// @param told the newest [Tracked] transaction that the peer may have been told of
    /// @param marked blocks that it may lack, or of which nobody knows; not those in the buffer
    /// @param ordered an operator wants it compared with this side, which is right, whatever else
    ///   the two histories say of each other; from a copy, that it gives up what it has by itself
    record Known(
            Position acknowledged,
            Position completeFrom,
            long copy,
            long filled,
            long told,
            long marked,
            boolean ordered) {
        public static final Known NOTHING =
                new Known(Position.NONE, Position.NONE, 0, 0, 0, 0, false);

        /// Of a copy that was a primary: an operator gives up what it has by itself (R31).
        public static final Known GIVES_UP =
                new Known(Position.NONE, Position.NONE, 0, 0, 0, 0, true);

        /// Bytes on the wire.
        static final int BYTES = 2 * Position.BYTES + 8 + 8 + 8 + 8 + 1;
    }

    /// What a copy that gives up its own has changed by itself: outside of these ranges its disk is
    /// as it was at the last moment of both (R31). In front of its [ResourceHello].
    record Changed(UUID resource, List<KeptRange> ranges) implements OfResource {}

    /// What the sender has written that its peer may lack, for whoever has to choose between two
    /// histories; nothing is decided by it. Behind the [ResourceHello] of a side that will not be
    /// joined with the other, and again as long as that is so. A peer may say anything of times and
    /// counts: whoever reads one takes what is negative for [#UNKNOWN].
    ///
    /// @param at the position that it is at
    /// @param since the blocks are all that it has written from this position of its past on;
    ///   [Position#NONE] where nobody knows
    /// @param partedMillis when what it went on from in its last promotion was written last, by the
    ///   clock of who wrote it; 0 where there was none, or that is not known
    /// @param firstMillis its wall clock at the first of these writes, or an earlier one; 0 when
    ///   there is none, [#UNKNOWN]
    /// @param lastMillis at the last write, whoever has it; 0 when there is none, [#UNKNOWN]
    /// @param orLater it crashed, and may have written for a while after `lastMillis`
    /// @param blocks of 4 KiB, or [#UNKNOWN]
    /// @param exact whether it is so many, and not fewer
    /// @param doubtful blocks among which there may be others that it has written, or [#UNKNOWN]
    record Wrote(
            UUID resource,
            Position at,
            Position since,
            long partedMillis,
            long firstMillis,
            long lastMillis,
            boolean orLater,
            long blocks,
            boolean exact,
            long doubtful)
            implements OfResource {
        public static final long UNKNOWN = -1;

        /// The same where nobody knows which blocks were written.
        public Wrote unknown() {
            return new Wrote(
                    resource,
                    at,
                    Position.NONE,
                    partedMillis,
                    firstMillis,
                    lastMillis,
                    orLater,
                    UNKNOWN,
                    false,
                    UNKNOWN);
        }

        /// The same of one that was promoted.
        public Wrote parted(long millis) {
            return new Wrote(
                    resource,
                    at,
                    since,
                    millis,
                    firstMillis,
                    lastMillis,
                    orLater,
                    blocks,
                    exact,
                    doubtful);
        }
    }

    /// The primary opens its data stream: what follows on `stream` continues at `from`.
    ///
    /// @param session names this stream in every answer, so that a late answer of an older one is
    ///   known as such
    record StreamStart(UUID resource, long session, int stream, Position from)
            implements OfResource {}

    /// The primary's buffer is closed: what was written behind `whole` does not come write by
    /// write, but with an epoch, whose commit leads beyond it (R14). Until then the copy is behind.
    /// It may overtake what was sent on the data stream before.
    ///
    /// @param session as in [StreamStart]
    /// @param whole the last position up to which the stream brings everything; where that begins,
    ///   one of an older generation, or none
    record Behind(UUID resource, long session, Position whole) implements OfResource {}

    /// The sender will not replicate with this copy; the resource alone is disconnected, on both
    /// sides (R2).
    record Refused(UUID resource, String reason) implements OfResource {}

    /// The peer has everything up to `stored` on stable storage, and would yield `committed` if
    /// promoted.
    ///
    /// @param synced first-sync frames with a sequence number up to this are durable in the base
    /// @param filled as in [ResourceHello]
    record Ack(
            UUID resource,
            long session,
            Position stored,
            Position committed,
            long synced,
            long filled)
            implements OfResource {}

    /// Answer to [EpochBegin]: room is reserved for `grantedBlocks` and `grantedZeroRanges`, as
    /// they were asked for, or `missingBytes` more are needed first (R17).
    ///
    /// @param kept where the epoch goes on from what an earlier one has staged, which was cut off:
    ///   whatever is not sent of these ranges is as it was staged then, or as it is committed
    record EpochReply(
            UUID resource,
            long session,
            long epoch,
            long grantedBlocks,
            long grantedZeroRanges,
            long missingBytes,
            List<KeptRange> kept)
            implements OfResource {
        /// Of an epoch that begins with nothing.
        public EpochReply(
                UUID resource,
                long session,
                long epoch,
                long grantedBlocks,
                long grantedZeroRanges,
                long missingBytes) {
            this(
                    resource,
                    session,
                    epoch,
                    grantedBlocks,
                    grantedZeroRanges,
                    missingBytes,
                    List.of());
        }
    }

    /// Whole blocks of the device.
    record KeptRange(long offsetBytes, long lengthBytes) {
        /// Bytes on the wire.
        static final int BYTES = 8 + 8;
    }

    /// Answer to the [Compare] with this number: 32 bytes for each part it asked for.
    record CompareReply(UUID resource, long session, long number, byte[] digests)
            implements OfResource {}

    /// Answer to the [CompareSectors] with this number: 16 bytes for each sector it asked about.
    record SectorsReply(UUID resource, long session, long number, byte[] digests)
            implements OfResource {}

    /// Answer to the [Verify] with this run and number: 32 bytes for each part it asked for.
    record VerifyReply(
            UUID resource, long session, long run, long number, boolean exact, byte[] digests)
            implements OfResource {}

    /// Answer to the [Fetch] with this run and number: what the copy holds there.
    record Fetched(UUID resource, long session, long run, long number, byte[] data)
            implements OfResource {}

    /// Answer to the [Mark] with this number.
    ///
    /// @param refusal why there is no such moment, empty when its name is durable
    record MarkReply(UUID resource, long session, long number, String refusal)
            implements OfResource {}

    /// A verification is over: what it found, for the operator of the copy. Nothing is decided by
    /// it.
    ///
    /// @param comparedBytes of the device, all of it when it was not cut short
    /// @param trouble why it was cut short, empty when it was not
    record Verified(
            UUID resource,
            long run,
            long startedMillis,
            long endedMillis,
            long comparedBytes,
            long differingBlocks,
            String trouble)
            implements OfResource {}

    /// Orders the peer's primary to compare everything with the sender's copy, as an operator of
    /// the sender wants it.
    record Invalidate(UUID resource) implements OfResource {}

    /// Answer to [Invalidate].
    ///
    /// @param refusal empty: everything is marked, durably, and compared as soon as that can be
    record InvalidateReply(UUID resource, String refusal) implements OfResource {}

    /// The primary: a device of it is larger, and the copy is to have room for as much before it
    /// uses that.
    ///
    /// @param space what growths make of the one before; less is no order to shrink and is answered
    ///   as done
    record Resize(UUID resource, AddressSpace space) implements OfResource {}

    /// Answer to [Resize].
    ///
    /// @param sizeBytes of the address space that was asked for
    /// @param refusal why the copy cannot grow, empty when it has that size durably
    record ResizeReply(UUID resource, long sizeBytes, String refusal) implements OfResource {}

    /// What an operator at the sender must see to before its copy can go on, or keeps from going
    /// on, in words for the peer's status; empty when it is over. Nothing is decided by it.
    record Trouble(UUID resource, String text) implements OfResource {}

    // ---- data stream ----------------------------------------------------------------------------

    /// Replicates one application write.
    record Write(int volume, Position position, long wallMillis, long offsetBytes, ByteBuffer data)
            implements Data {}

    /// Replicates a write of zeroes or a trim: the range reads back zero. `punch` permits to give
    /// the space back.
    record Zero(
            int volume,
            Position position,
            long wallMillis,
            long offsetBytes,
            long lengthBytes,
            boolean punch)
            implements Data {}

    /// Nothing newer than `position` existed at `wallMillis`: the copy is complete until then
    /// (R26).
    record Heartbeat(Position position, long wallMillis) implements Data {}

    /// Asks for room for what is still to come of an epoch: nothing of that is frozen yet. Asking
    /// again replaces the request.
    ///
    /// @param blocks blocks that may carry data
    /// @param zeroRanges ranges that are known to read zero; each takes one [EpochZero]
    record EpochBegin(long epoch, long blocks, long zeroRanges) implements Data {}

    /// Blocks as of the epoch's position, or sectors of them where the peer holds the others.
    record EpochBlocks(int volume, long epoch, long offsetBytes, ByteBuffer data) implements Data {}

    record EpochZero(int volume, long epoch, long offsetBytes, long lengthBytes) implements Data {}

    /// The epoch is whole: the copy moves to `position` by this record alone (R18).
    ///
    /// @param blocks distinct blocks it holds
    /// @param digest SHA-256 over what was sent, see docs/protocol.md
    record EpochCommit(
            long epoch,
            Position position,
            long wallMillis,
            long blocks,
            byte[] digest,
            Ancestry ancestry)
            implements Data {}

    /// What follows was written when this transaction of the primary's metadata was durable. The
    /// backup keeps the number with it: a primary that knows only older ones was set back.
    record Tracked(long transaction) implements Data {}

    /// First sync, straight to the base (R19); `sequence` counts up from 1 within the session.
    record SyncBlocks(int volume, long sequence, long offsetBytes, ByteBuffer data)
            implements Data {}

    record SyncZero(int volume, long sequence, long offsetBytes, long lengthBytes)
            implements Data {}

    /// Asks for digests of a range of the peer's committed image (first sync: of its base), which
    /// begins to read it at once.
    ///
    /// @param number counts up from 1 within the session; the answer bears it
    /// @param level of the tree over the range (docs/protocol.md): one digest for each part there
    record Compare(int volume, long number, long offsetBytes, long lengthBytes, int level)
            implements Data {}

    /// Asks for digests of the sectors of blocks that an epoch is to carry, as the peer has them
    /// committed or kept of an epoch that was cut off: what is equal need not be sent.
    ///
    /// @param number the answer bears it
    record CompareSectors(long number, List<Range> ranges) implements Data {}

    /// Asks for digests of a range of what a promotion would yield, while writes go on. Unless it
    /// is `exact` it is answered as of moments between the question and the answer; what is found
    /// equal is, and what is not may have been written meanwhile. One that is exact is answered as
    /// of its place in the stream: with all that was sent before it, and nothing behind it.
    ///
    /// @param run tells the verifications of a session apart
    /// @param number the answer bears it; those that are exact are numbered apart
    /// @param level as in [Compare]; 0 when exact
    record Verify(
            int volume,
            long run,
            long number,
            long offsetBytes,
            long lengthBytes,
            int level,
            boolean exact)
            implements Data {}

    /// Asks for the content of a range of what a promotion would yield, as of its place in the
    /// stream, like a [Verify] that is exact: to bring it back to where the data is.
    ///
    /// @param run as in [Verify], with which it shares the numbers of those that are exact
    record Fetch(int volume, long run, long number, long offsetBytes, long lengthBytes)
            implements Data {}

    /// Gives the moment as of `position` a name, which the backup keeps with it in its journal. It
    /// goes with its moment, and asks for nothing to stay longer.
    ///
    /// @param number the answer bears it
    /// @param position of the last write that was sent
    /// @param name one that [#isName] accepts: what is shown to operators and typed by them
    record Mark(long number, Position position, long wallMillis, String name) implements Data {
        private static final Pattern NAME = Pattern.compile("[A-Za-z][A-Za-z0-9._-]{0,39}");

        /// Whether a moment may have this name. No time and no other point that can be asked for is
        /// one.
        public static boolean isName(String text) {
            return NAME.matcher(text).matches() && !text.equals("latest");
        }
    }

    /// A part of the device.
    record Range(long offsetBytes, int lengthBytes) {
        /// Bytes on the wire.
        static final int BYTES = 8 + 4;
    }

    /// What the stream's frames of one kind say of the list above.
    static boolean isBulk(Frame frame) {
        return switch (frame) {
            case EpochBlocks _,
                    EpochZero _,
                    SyncBlocks _,
                    SyncZero _,
                    Compare _,
                    CompareSectors _,
                    Verify _,
                    Fetch _ ->
                    true;
            case Control _,
                    Write _,
                    Zero _,
                    Heartbeat _,
                    EpochBegin _,
                    EpochCommit _,
                    Tracked _,
                    Mark _ ->
                    false;
        };
    }

    /// For checks that want every frame kind: the permitted records, in type-number order.
    List<Class<? extends Frame>> KINDS =
            List.of(
                    Hello.class,
                    Welcome.class,
                    Ping.class,
                    Pong.class,
                    Credit.class,
                    Goodbye.class,
                    Join.class,
                    Joined.class,
                    Offer.class,
                    OfferReply.class,
                    Withdraw.class,
                    ResourceHello.class,
                    StreamStart.class,
                    Refused.class,
                    Ack.class,
                    EpochReply.class,
                    CompareReply.class,
                    Write.class,
                    Zero.class,
                    Heartbeat.class,
                    EpochBegin.class,
                    EpochBlocks.class,
                    EpochZero.class,
                    EpochCommit.class,
                    SyncBlocks.class,
                    SyncZero.class,
                    Compare.class,
                    Trouble.class,
                    Invalidate.class,
                    InvalidateReply.class,
                    Tracked.class,
                    Resize.class,
                    ResizeReply.class,
                    CompareSectors.class,
                    SectorsReply.class,
                    Verify.class,
                    VerifyReply.class,
                    Verified.class,
                    Mark.class,
                    MarkReply.class,
                    Changed.class,
                    Behind.class,
                    Wrote.class,
                    Fetch.class,
                    Fetched.class);
}
