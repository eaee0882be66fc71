package holdfast.replicator.control;

import holdfast.replicator.status.StatusReport;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/// Everything a daemon can be asked for. The daemon implements it, [ControlServer] offers it as
/// HTTP and JSON on a Unix socket, and [ControlClient] is the same interface at the other end.
///
/// Methods are called from many threads at once and may block. Each refuses with a
/// [ProblemException], whose problem has the exit code that the command ends with. A change has
/// happened, durably, when its method has returned.
public interface ControlApi {

    StatusReport status() throws ProblemException;

    /// `holdfast` followed by what it takes to mean this node, for commands that are shown to
    /// people.
    default String command(String rest) {
        return "holdfast " + rest;
    }

    /// Makes a one-time token for a peer that is to join.
    InviteReply invite(InviteRequest request) throws ProblemException;

    /// Redeems a token; both sides have pinned each other when it returns.
    JoinReply join(JoinRequest request) throws ProblemException;

    PeersReply peers() throws ProblemException;

    /// Names the directory in which this node keeps copies and journals.
    StorageReply storage(StorageRequest request) throws ProblemException;

    /// Makes a resource of a device here and a copy of it at the peer; with `dryRun` only says what
    /// it would do.
    AddReply add(AddRequest request) throws ProblemException;

    /// Lets the peer's `add` overwrite what a disk here holds; with `dryRun` only says what that is
    /// and what `confirm` has to be.
    PermitReply permit(PermitRequest request) throws ProblemException;

    /// Exports the resource, and connects the kernel's device where there is one.
    AttachReply attach(NameRequest request) throws ProblemException;

    Done detach(NameRequest request) throws ProblemException;

    /// Opens the copy as an export of its own, read-only or with an overlay that takes what is
    /// written and is thrown away; replication goes on.
    OpenReply open(OpenRequest request) throws ProblemException;

    Done closeView(CloseRequest request) throws ProblemException;

    /// Makes the copy here the primary of its resource, exported at once, as it is or as it was;
    /// one that was promoted and is not final goes on from another moment. With `dryRun` only says
    /// what that would be, and what `confirm` has to be where something is undone.
    PromoteReply promote(PromoteRequest request) throws ProblemException;

    /// Says what both sides of a resource have done since they were the same, and what can be done
    /// about it; with `discard` gives up what this side has by itself, and makes it the copy of the
    /// other.
    ReconnectReply reconnect(ReconnectRequest request) throws ProblemException;

    /// Which moments of a copy here can be opened.
    PointsReply points(NameRequest request) throws ProblemException;

    /// Gives the present moment of a resource that is primary here a name in the journal of its
    /// copy; when it returns that is durable there.
    MarkReply mark(MarkRequest request) throws ProblemException;

    /// Keeps a moment of a copy here under a name, also when the retention has passed it by.
    KeepReply keep(KeepRequest request) throws ProblemException;

    /// Keeps it no longer. With `dryRun` only says what is lost and what `confirm` has to be.
    DropReply drop(DropRequest request) throws ProblemException;

    /// Forgets a resource. With `dryRun` only says what would be lost and what `confirm` has to be.
    RemoveReply remove(RemoveRequest request) throws ProblemException;

    /// Takes a copy down so that its base alone, a plain image, is the newest moment: it is parted
    /// from its peer, everything is rolled into the base, and the base is closed until [#connect].
    /// With `dryRun` only says what would be lost and what `confirm` has to be.
    SettleReply settle(SettleRequest request) throws ProblemException;

    /// Reads the settings files again and applies what changed; with `dryRun` only says it.
    AdjustReply adjust(AdjustRequest request) throws ProblemException;

    /// Lets replication connect: of one resource, or of the whole link when none is named.
    Done connect(LinkRequest request) throws ProblemException;

    /// Stops it until [#connect], also over restarts.
    Done disconnect(LinkRequest request) throws ProblemException;

    /// Stops catch-up, first sync and comparison of a resource until [#resumeSync], also over
    /// restarts; an established stream goes on. At its primary.
    Done pauseSync(NameRequest request) throws ProblemException;

    Done resumeSync(NameRequest request) throws ProblemException;

    /// Has the copy here compared with its primary and mended; typed at the backup.
    Done invalidate(NameRequest request) throws ProblemException;

    /// The same for the copy at the peer; typed at the primary.
    Done invalidateRemote(NameRequest request) throws ProblemException;

    /// Begins, stops or looks at a comparison of the copy with what it should hold, which goes on
    /// by itself and changes nothing; at its primary.
    VerifyReply verify(VerifyRequest request) throws ProblemException;

    /// Brings what the last [#verify] found to what one side holds; with `dryRun` only says what it
    /// would do.
    MendReply mend(MendRequest request) throws ProblemException;

    /// Takes the size that the primary's device has now, at the copy first.
    Done resize(NameRequest request) throws ProblemException;

    /// Gives the events after `since` to `sink` in order, and with `follow` goes on with those that
    /// happen, until the thread is interrupted or the sink throws. [EventLog#stream] does it.
    void events(EventsRequest request, EventSink sink)
            throws ProblemException, InterruptedException;

    /// Waits until the copy has what the resource holds now; see [Waiting].
    ///
    /// @param progress told about twice a second
    /// @return the last state, which is not [WaitState#WAITING]
    default WaitStatus waitFor(WaitRequest request, Consumer<WaitStatus> progress)
            throws ProblemException, InterruptedException {
        return Waiting.on(this, request, progress);
    }

    /// Stops the daemon cleanly soon after it has returned.
    Done shutdown() throws ProblemException;

    record NameRequest(String name) {}

    /// @param order start, stop or look
    record VerifyRequest(String name, String order) {}

    /// @param begun by this request; false where one was under way already
    /// @param running one is under way, or a repair of the primary
    /// @param began when it began
    /// @param differingBlocks found by it so far
    /// @param waits what it waits for, when it does
    /// @param last what the last one found that ended, with the first of its ranges
    record VerifyReply(
            String name,
            String host,
            String peer,
            boolean begun,
            boolean running,
            Optional<Instant> began,
            Optional<Long> differingBlocks,
            Optional<String> waits,
            Optional<StatusReport.Progress> progress,
            Optional<VerifyReport> last) {}

    /// @param from host whose content is right
    /// @param confirm `host/resource@TOKEN` as the dry run gave it
    record MendRequest(String name, String from, boolean dryRun, Optional<String> confirm) {}

    /// @param done false: only a preview
    /// @param peer host of the copy, which is mended; or from which the primary is, when it is
    ///   [#from]
    /// @param effects sentences
    record MendReply(
            boolean done,
            String name,
            String host,
            String peer,
            String from,
            long blocks,
            long bytes,
            long ranges,
            List<String> effects,
            String confirm) {}

    /// What was done, a sentence in each line.
    record Done(List<String> lines) {
        public static Done of(String... lines) {
            return new Done(List.of(lines));
        }
    }

    /// @param address `host:port` at which the peer reaches this node; absent: the one of the
    ///   settings
    /// @param validMinutes of the token, 30 unless told
    record InviteRequest(Optional<String> address, Optional<Integer> validMinutes) {}

    /// @param token one line to paste, it holds a secret
    /// @param pin SHA-256 of this node's public key, to compare by eye
    record InviteReply(String token, Instant expires, String address, String pin) {}

    record JoinRequest(String token) {}

    record JoinReply(String peer, String peerPin, String address) {}

    record PeersReply(List<Peer> peers) {}

    /// @param address dialled, absent where this side listens
    record Peer(String name, String id, String pin, Optional<String> address, String connection) {}

    record StorageRequest(String path, Optional<Long> maxBytes) {}

    record StorageReply(String path, long freeBytes, Optional<Long> maxBytes) {}

    /// @param disks absolute path of the device or file of each volume here, which hold the data
    /// @param peerDisks at the peer, as many; absent: new files under its storage
    /// @param protocol A, B or C; absent: A
    /// @param journalBytes for each side; absent: proposed
    record AddRequest(
            String name,
            List<String> disks,
            Optional<List<String>> peerDisks,
            Optional<String> protocol,
            Optional<Long> journalBytes,
            boolean dryRun) {
        /// Of one volume.
        public AddRequest(
                String name,
                String disk,
                Optional<String> peerDisk,
                Optional<String> protocol,
                Optional<Long> journalBytes,
                boolean dryRun) {
            this(name, List.of(disk), peerDisk.map(List::of), protocol, journalBytes, dryRun);
        }
    }

    /// @param confirm `host/resource@TOKEN` as the dry run gave it
    record PermitRequest(String name, boolean dryRun, Optional<String> confirm) {}

    /// @param host where the disk is
    /// @param peer who asks for it
    /// @param holds what would be lost
    record PermitReply(
            boolean done,
            String name,
            String host,
            String peer,
            String disk,
            long sizeBytes,
            String holds,
            String confirm) {}

    /// @param done false: only a preview
    /// @param host where the data is
    /// @param disk of several volumes, all of them
    /// @param sizeBytes of all volumes together
    /// @param signature what the disk holds, like `ext4, label home, UUID 8c…`
    /// @param volumes empty where there is a single one
    /// @param peerSignature what is overwritten at the peer
    /// @param firstSyncSeconds estimate at the rate in force
    /// @param fstabLine to mount the exported device instead of the disk
    /// @param notes sentences the operator should read
    /// @param permit what has to be typed at the peer first, absent when nothing is lost there or
    ///   it was permitted
    record AddReply(
            boolean done,
            String name,
            String host,
            String disk,
            long sizeBytes,
            Optional<String> signature,
            List<StatusReport.Volume> volumes,
            String peer,
            String peerDisk,
            Optional<String> peerSignature,
            long journalBytes,
            Optional<Double> firstSyncSeconds,
            Optional<String> fstabLine,
            List<String> notes,
            Optional<String> permit) {}

    /// @param uri of the export; of several volumes, of the first
    /// @param device of the kernel, absent where it has no nbd; likewise
    /// @param volumes empty where there is a single one
    record AttachReply(
            String name,
            String uri,
            String socket,
            Optional<String> device,
            List<StatusReport.Volume> volumes,
            List<String> notes) {}

    /// @param at a point like `latest`; absent: the same
    /// @param writable into an overlay, which is thrown away when the view is closed
    /// @param overlayBytes how much may be written; absent: a tenth of the device, at least 256
    ///   MiB, never more than is free
    /// @param socket where to serve it, an absolute path; absent: in the run directory
    /// @param whileUsed it is closed when its last client has gone for some seconds, or none comes
    ///   within a minute
    /// @param underName its export has the name of the resource, on the resource's socket, as if it
    ///   were primary here; read-only
    record OpenRequest(
            String name,
            Optional<String> at,
            boolean writable,
            Optional<Long> overlayBytes,
            Optional<String> socket,
            boolean whileUsed,
            boolean underName) {
        /// On a socket of its own.
        public OpenRequest(
                String name,
                Optional<String> at,
                boolean writable,
                Optional<Long> overlayBytes,
                Optional<String> socket,
                boolean whileUsed) {
            this(name, at, writable, overlayBytes, socket, whileUsed, false);
        }

        /// Read-only, until it is closed.
        public OpenRequest(String name, Optional<String> at) {
            this(name, at, false, Optional.empty(), Optional.empty(), false);
        }
    }

    record OpenReply(String name, StatusReport.View view, long sizeBytes, Optional<String> note) {}

    /// @param at a point like `latest`; absent: the newest. Of one that is promoted already it has
    ///   to be there
    /// @param force also while the present primary is connected and writes
    /// @param commit make an earlier promotion final: the moments of before are given up
    /// @param confirm `host/resource@GENERATION` as the dry run gave it, where another moment of
    ///   one that is promoted already is gone on from
    record PromoteRequest(
            String name,
            Optional<String> at,
            boolean force,
            boolean commit,
            boolean dryRun,
            Optional<String> confirm) {
        /// At once.
        public PromoteRequest(String name, Optional<String> at, boolean force, boolean commit) {
            this(name, at, force, commit, false, Optional.empty());
        }
    }

    /// @param done false: only a preview
    /// @param from the moment from which it goes on, by the clock of the primary of before; absent
    ///   of a `commit`
    /// @param attached absent of a `commit` and a preview, and where it was promoted but could not
    ///   be attached
    /// @param undone what is (or would be) undone by it, a sentence in each; nothing of the first
    ///   promotion
    /// @param notes what is to be known, a sentence in each
    /// @param confirm of a preview: what [PromoteRequest#confirm] has to be; absent where nothing
    ///   has to be confirmed
    record PromoteReply(
            boolean done,
            String name,
            String host,
            Optional<Point> from,
            Optional<AttachReply> attached,
            List<String> undone,
            List<String> notes,
            Optional<String> confirm) {}

    /// @param discard the host whose own part is given up; absent: only say
    /// @param confirm `host/resource@GENERATION` as it was said
    record ReconnectRequest(String name, Optional<String> discard, Optional<String> confirm) {}

    /// @param histories what either side has done since both were the same; absent while the peer
    ///   has not said it
    /// @param facts the same, a sentence in each
    /// @param choices what can be typed where, and what becomes of what
    /// @param confirm what [ReconnectRequest#confirm] has to be to give up this side's part
    record ReconnectReply(
            boolean done,
            String name,
            String host,
            Optional<StatusReport.Histories> histories,
            List<String> facts,
            List<String> choices,
            String confirm) {}

    /// Which moments of a copy can be opened: any from `oldest` to `newest` but those in `gaps`.
    /// All times are the primary's.
    ///
    /// @param oldest absent while there is no point yet
    /// @param completeUntil nothing newer than `newest` was written before this
    /// @param gaps the last ones, while an epoch was being applied
    /// @param retentionSeconds how far back moments are kept while the journal has room
    /// @param neededBytes of journal for all of the retention, at the rate of what it holds now;
    ///   absent while that is too little to tell
    /// @param kept under names, oldest moment first
    /// @param keptBytes what their deltas take together
    /// @param keepMaxBytes what they may take
    /// @param marked by the primary, oldest moment first: they go with the history
    /// @param uri of the newest moment for NBD clients; what follows the `@` may be any other one
    /// @param promoted the copy is the device of a primary here, which can go on from any of them
    record PointsReply(
            String name,
            Optional<Point> oldest,
            Optional<Point> newest,
            Optional<Instant> completeUntil,
            List<Gap> gaps,
            long retentionSeconds,
            long retentionMinSeconds,
            long journalUsedBytes,
            long journalBytes,
            Optional<Long> neededBytes,
            List<Kept> kept,
            long keptBytes,
            long keepMaxBytes,
            String uri,
            List<Marked> marked,
            boolean promoted) {}

    /// A moment that the primary has given a name, which is a point to be opened.
    ///
    /// @param received as of [Point]
    record Marked(String as, Instant time, Optional<Instant> received, String position) {}

    /// @param as the name, which no time and no other point has
    record MarkRequest(String name, String as) {}

    /// @param host where the copy is that has it
    /// @param time by the clock here
    /// @param position of the last write that is in it
    record MarkReply(String name, String as, String host, Instant time, String position) {}

    /// A moment that is kept under a name.
    ///
    /// @param as its name, which is a point to be opened
    /// @param received as of [Point]
    /// @param expires when the primary is heard of after this, by the backup's clock
    /// @param bytes saved of the copy's older content for it and for older ones that it serves
    /// @param damaged it cannot be opened
    record Kept(
            String as,
            Instant time,
            Optional<Instant> received,
            String position,
            Instant made,
            Instant expires,
            long bytes,
            boolean damaged) {}

    /// @param as the name, which no time and no other point has
    /// @param at a point like `latest`; absent: the same
    /// @param span how long it is kept, like `12h`; absent: 30 days
    record KeepRequest(String name, String as, Optional<String> at, Optional<String> span) {}

    /// @param note what the operator should read
    record KeepReply(String name, Kept kept, Optional<String> note) {}

    /// @param confirm `host/resource@NAME` as the dry run gave it
    record DropRequest(String name, String as, boolean dryRun, Optional<String> confirm) {}

    /// @param effects what is (or would be) gone, a sentence in each
    record DropReply(
            boolean done,
            String name,
            String as,
            String host,
            List<String> effects,
            String confirm) {}

    /// @param time by the primary's clock
    /// @param received by the backup's, as that goes now; absent of the first moment of a copy that
    ///   was a primary, and in the answers to `promote`
    /// @param position of the last write in it
    record Point(Instant time, Optional<Instant> received, String position) {}

    /// No moment between these two can be opened.
    record Gap(Instant after, Instant before) {}

    record CloseRequest(String id) {}

    /// @param keepCopy leave the copy at the backup as a plain image
    /// @param confirm `host/resource@GENERATION` as the dry run gave it
    record RemoveRequest(String name, boolean keepCopy, boolean dryRun, Optional<String> confirm) {}

    /// @param effects what is (or would be) gone and what stays, a sentence in each
    record RemoveReply(
            boolean done, String name, String host, List<String> effects, String confirm) {}

    /// @param confirm `host/resource@GENERATION` as the dry run gave it
    record SettleRequest(String name, boolean dryRun, Optional<String> confirm) {}

    /// @param disk the base; of several volumes, all of them
    /// @param effects what is (or would be) gone and what stays, a sentence in each
    record SettleReply(
            boolean done,
            String name,
            String host,
            String disk,
            List<String> effects,
            String confirm) {}

    record AdjustRequest(boolean dryRun) {}

    /// @param problems of the files, each with file, line and column, or what a larger journal
    ///   lacks; nothing is applied when there is one
    record AdjustReply(boolean applied, List<Change> changes, List<String> problems) {}

    /// @param from absent: the key was not there
    /// @param to absent: it is there no more
    /// @param takesEffect when, in words
    record Change(
            String file,
            String key,
            Optional<String> from,
            Optional<String> to,
            String takesEffect) {}

    /// @param name of a resource; absent: the link to the peer
    record LinkRequest(Optional<String> name) {}

    /// @param since number of the last event that is already known, 0 for none
    record EventsRequest(long since, boolean follow) {}

    /// @param number dense from 1 since the daemon started
    /// @param kind a word like `link-up`, stable for scripts; they are listed in `docs/control.md`
    /// @param text a sentence
    /// @param change of a kind that ends in `-changed`
    record Event(
            long number,
            Instant time,
            String host,
            Optional<String> resource,
            String kind,
            String text,
            Optional<StateChange> change) {}

    /// @param what like `replication`; the words are those of the status report
    record StateChange(String what, String from, String to) {}

    /// Takes events; throws unchecked to end the stream.
    @FunctionalInterface
    interface EventSink {
        void event(Event event);

        /// Nothing has happened for a few seconds; a sink to a socket finds out here that its
        /// reader is gone.
        default void idle() {}
    }

    /// @param acked return when the backup's journal has it; otherwise when the copy that can be
    ///   opened does
    /// @param timeoutSeconds absent: no limit
    record WaitRequest(String name, boolean acked, Optional<Double> timeoutSeconds) {}

    enum WaitState {
        WAITING,
        DONE,
        /// The work goes on.
        TIMED_OUT,
        /// The time is over and the peer is not there: nothing goes on.
        PEER_AWAY
    }

    /// @param target position that was the newest when the wait began
    /// @param behind absent while it is not known: of what is not open, and at the backup
    /// @param sentence of the resource, as in status
    record WaitStatus(
            WaitState state,
            String target,
            String stored,
            String committed,
            Optional<StatusReport.Behind> behind,
            Optional<StatusReport.Progress> progress,
            String sentence) {}
}
