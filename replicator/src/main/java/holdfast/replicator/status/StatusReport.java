package holdfast.replicator.status;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/// What one daemon knows about itself, its link and its resources at one moment. `status`, `status
/// --json`, the control socket and the Prometheus text all show this and nothing else.
///
/// States are the words of the field in upper case, as in `holdfast.replicator.state`. Positions
/// are written as `3fa901/1234` (generation and number), or `none`.
///
/// @param sentences what matters most, one for each resource, in words ([Sentences])
/// @param unopened resources that are here but not open: nothing is known of their state
/// @param settingsDiffer files whose content is not what `adjust` accepted last, as paths
public record StatusReport(
        List<String> sentences,
        Node node,
        Optional<Link> link,
        List<Resource> resources,
        List<Unopened> unopened,
        List<String> settingsDiffer) {

    /// A report whose sentences are made from its facts, so that the two cannot disagree.
    ///
    /// @param zone in which the times of day in the sentences are
    public static StatusReport of(
            Node node,
            Optional<Link> link,
            List<Resource> resources,
            List<Unopened> unopened,
            List<String> settingsDiffer,
            java.time.ZoneId zone) {
        var sentences = new Sentences(node, link, zone).of(resources, unopened);
        return new StatusReport(sentences, node, link, resources, unopened, settingsDiffer);
    }

    /// The resource of that name.
    public Optional<Resource> resource(String name) {
        return resources.stream().filter(r -> r.name().equals(name)).findFirst();
    }

    /// @param id of the node, as in its identity
    /// @param pin SHA-256 of the public key in hexadecimal
    /// @param now moment of this report by the node's clock
    /// @param sendBudgetBytes of the daemon, all resources together (R9)
    public record Node(
            String name,
            String id,
            String pin,
            String version,
            long pid,
            Instant started,
            Instant now,
            long sendBudgetBytes) {}

    /// @param peer name of the peer's node
    /// @param connection STANDALONE, CONNECTING or CONNECTED
    /// @param mode LISTEN or DIAL
    /// @param address listened on or dialled
    /// @param since when the connection state began
    /// @param lastContact when the peer was last heard of
    /// @param roundTripMillis of the last heartbeat
    /// @param clock how the peer's clock compares with this node's; absent while nobody knows
    /// @param trouble why the last attempt failed
    /// @param nextAttempt of dialling
    /// @param sentWireBytes since the daemon started, after compression and encryption
    /// @param sentRawBytes the same before compression
    public record Link(
            String peer,
            String connection,
            String mode,
            String address,
            Instant since,
            Optional<Instant> lastContact,
            Optional<Double> roundTripMillis,
            Optional<ClockOffset> clock,
            Optional<String> trouble,
            Optional<Instant> nextAttempt,
            long sentWireBytes,
            long sentRawBytes,
            long receivedWireBytes,
            long receivedRawBytes,
            Rate rate) {
        public boolean isConnected() {
            return connection.equals("CONNECTED");
        }
    }

    /// How the peer's clock compares with this node's, as heartbeats have measured it.
    ///
    /// @param aheadSeconds of the peer's; negative when it is behind
    /// @param uncertaintySeconds by which that may be wrong, either way
    public record ClockOffset(double aheadSeconds, double uncertaintySeconds) {
        /// Clocks that somebody keeps differ by less.
        private static final double NEWS_SECONDS = 2;

        /// Times are shown in whole ones.
        private static final double SHOWN_SECONDS = 1;

        /// Whether the clocks differ for certain, and by more than that.
        public boolean isNews() {
            return isBeyond(NEWS_SECONDS);
        }

        /// Whether times that are shown side by side, each by the clock of its host, show it.
        public boolean isSeenInTimes() {
            return isBeyond(SHOWN_SECONDS);
        }

        private boolean isBeyond(double seconds) {
            return Math.abs(aheadSeconds) - uncertaintySeconds > seconds;
        }
    }

    /// The rates in force on the wire, and when they change. An absent rate is unlimited.
    ///
    /// @param nextChange by the calendar; the two `next` rates hold from then on
    public record Rate(
            Optional<Long> bytesPerSecond,
            Optional<Long> catchUpBytesPerSecond,
            Optional<Instant> nextChange,
            Optional<Long> nextBytesPerSecond,
            Optional<Long> nextCatchUpBytesPerSecond) {
        public static final Rate UNLIMITED =
                new Rate(
                        Optional.empty(),
                        Optional.empty(),
                        Optional.empty(),
                        Optional.empty(),
                        Optional.empty());
    }

    /// One resource as this node sees it.
    ///
    /// @param id UUID of the resource
    /// @param role PRIMARY or SECONDARY
    /// @param peer name of the peer's node, absent when there is no second copy
    /// @param peerRole role of the peer as it said last
    /// @param connection of the link as far as this resource uses it: STANDALONE, CONNECTING or
    ///   CONNECTED
    /// @param disk state of the disk here: DISKLESS, ATTACHING, FAILED, INCONSISTENT, OUTDATED or
    ///   UP_TO_DATE
    /// @param peerDisk state of the peer's disk, as far as known
    /// @param replication OFF, HANDSHAKE, ESTABLISHED, FIRST_SYNC, COMPARE, AHEAD, SYNC_SOURCE,
    ///   PAUSED, and of a copy SYNC_TARGET and BEHIND
    /// @param protocol by which the primary answers a write; absent at the backup, which is not
    ///   told
    /// @param path of the backing device or file here; of several volumes, of the first
    /// @param sizeBytes of all volumes together
    /// @param volumes empty where there is a single one
    /// @param position of the newest write here; of a copy, where it stands
    /// @param stored what is durable in the backup's journal. A live write is committed as soon as
    ///   it is stored, and what is staged of an epoch has no position
    /// @param committed what a promotion of the backup would yield
    /// @param behind what the committed copy lacks; absent at the backup, since only the primary
    ///   knows what it has written
    /// @param copyTime the moment the committed copy shows, by the primary's clock; absent: no copy
    ///   yet
    /// @param replicatedUntil everything written before this moment, by this node's clock, is in
    ///   the copy: so old the copy is. It is never later than the truth; absent at a backup that
    ///   was not connected since its start
    /// @param drill the last rehearsal with the copy that is here
    /// @param verify the last comparison of the copy with what it should hold
    /// @param syncPaused an operator of this node lets no catch-up, first sync or comparison go on
    /// @param histories of both copies, where they stand apart until an operator chooses one
    /// @param trouble cause of a state that is not as it should be, in words
    /// @param promoted a primary that was a copy before, and has no copy itself yet
    /// @param journal of a copy that is here, also of one that was promoted and is not final
    /// @param promotion of a primary that was promoted and is not final
    public record Resource(
            String name,
            String id,
            String role,
            Optional<String> peer,
            Optional<String> peerRole,
            String connection,
            String disk,
            Optional<String> peerDisk,
            String replication,
            Optional<String> protocol,
            String path,
            long sizeBytes,
            List<Volume> volumes,
            Optional<Export> export,
            String position,
            String stored,
            String committed,
            Optional<Behind> behind,
            Optional<Instant> copyTime,
            Optional<Instant> replicatedUntil,
            Optional<Progress> progress,
            Traffic traffic,
            Optional<SendBuffer> sendBuffer,
            Optional<Journal> journal,
            List<View> views,
            Optional<Drill> drill,
            Optional<Verify> verify,
            boolean syncPaused,
            boolean promoted,
            Optional<Promotion> promotion,
            Optional<Histories> histories,
            Optional<String> trouble) {
        public boolean isPrimary() {
            return role.equals("PRIMARY");
        }

        public boolean isConnected() {
            return connection.equals("CONNECTED");
        }

        /// Whether writes should wait for the peer by its protocol, and do not: the stream is not
        /// established (R10).
        public boolean isUnprotected() {
            return isPrimary()
                    && export.isPresent()
                    && !protocol.equals(Optional.of("A"))
                    && !replication.equals("ESTABLISHED");
        }

        /// Whether the backup holds a whole copy, however old.
        public boolean hasCopy() {
            return copyTime.isPresent();
        }
    }

    /// A resource that is here and not open: it could not be opened, at the start of the daemon or
    /// since, or an order or the start is about to do so.
    ///
    /// @param role PRIMARY or SECONDARY, absent when not even that can be read
    /// @param path of the backing device or file here, as far as known
    /// @param cause why, in words
    /// @param next command that tries again once the cause is mended
    /// @param soon whoever has it opens it, and nothing has to be typed
    public record Unopened(
            String name,
            Optional<String> role,
            Optional<String> peer,
            Optional<String> path,
            String cause,
            String next,
            boolean soon) {}

    /// One volume of several.
    ///
    /// @param number from 0
    /// @param path of its backing device or file at this node
    /// @param uri of its export, when there is one
    /// @param device the kernel's device, when one is connected
    public record Volume(
            int number,
            String path,
            long sizeBytes,
            Optional<String> uri,
            Optional<String> device) {}

    /// The NBD export of an attached resource; of several volumes, that of the first.
    ///
    /// @param uri like `nbd+unix:///home?socket=/run/holdfast/home.nbd`
    /// @param device the kernel's device, when one is connected
    /// @param clients connected now
    public record Export(String uri, String socket, Optional<String> device, int clients) {}

    /// What the committed copy lacks, never less than it truly lacks. Bytes of blocks written many
    /// times count once where only a bitmap knows them.
    public record Behind(long operations, long bytes) {
        public static final Behind NOTHING = new Behind(0, 0);
    }

    /// A bulk transfer under way, in bytes of the device.
    ///
    /// @param kind FIRST_SYNC, CATCH_UP, COMPARE, VERIFY, which changes nothing, or REPAIR, which
    ///   brings blocks of the primary to what the copy holds
    /// @param bytesPerSecond over the last half minute
    /// @param secondsLeft absent while it cannot be said
    public record Progress(
            String kind,
            long doneBytes,
            long totalBytes,
            double bytesPerSecond,
            Optional<Double> secondsLeft) {
        /// Whole percent, rounded down: 100 only when all is done.
        public int percent() {
            return totalBytes <= 0
                    ? 100
                    : (int) (100.0 * Math.min(doneBytes, totalBytes) / totalBytes);
        }
    }

    /// Bytes of this resource sent and received on the link since the daemon started.
    ///
    /// @param ratio wire by raw, both directions; absent before anything moved
    public record Traffic(
            long sentWireBytes,
            long sentRawBytes,
            long receivedWireBytes,
            long receivedRawBytes,
            Optional<Double> ratio) {
        public static Traffic of(long sentWire, long sentRaw, long receivedWire, long receivedRaw) {
            long raw = sentRaw + receivedRaw;
            Optional<Double> ratio =
                    raw == 0
                            ? Optional.empty()
                            : Optional.of(
                                    Math.round(1000.0 * (sentWire + receivedWire) / raw) / 1000.0);
            return new Traffic(sentWire, sentRaw, receivedWire, receivedRaw, ratio);
        }
    }

    /// The writes kept for the peer (R9).
    ///
    /// @param closed it was full: later writes only mark blocks
    /// @param secondsUntilFull at the present rates; absent when it is not filling
    public record SendBuffer(
            long usedBytes, long sizeBytes, boolean closed, Optional<Double> secondsUntilFull) {}

    /// @param oldest time of the oldest record that is still there
    /// @param missingBytes above 0 when an epoch waits for room (R17)
    /// @param retentionSeconds how far back moments are kept while the journal has room
    /// @param neededBytes of journal for all of that, at the rate of what it holds now; absent
    ///   while that is too little to tell
    /// @param uncountedSeconds what this host's clock says has passed, and makes nothing old before
    ///   the peer's says so too; 0 for nothing worth telling
    public record Journal(
            String path,
            long usedBytes,
            long sizeBytes,
            Optional<Instant> oldest,
            long missingBytes,
            long retentionSeconds,
            Optional<Long> neededBytes,
            long uncountedSeconds) {
        /// Like `at this rate 24 h need 31 GiB; 40 GiB are set`; empty while nobody can tell.
        public Optional<String> forecast() {
            return neededBytes.map(
                    needed ->
                            "at this rate %s need %s; %s are set"
                                    .formatted(
                                            Words.span((double) retentionSeconds),
                                            Words.bytes(needed),
                                            Words.bytes(sizeBytes)));
        }

        /// Whether the oldest moments go before the retention has passed them by, or will: while
        /// most of the journal is empty a rate is that of an hour that may not come again.
        public boolean isTooSmall() {
            return usedBytes > sizeBytes / 2
                    && neededBytes.filter(needed -> needed > sizeBytes).isPresent();
        }
    }

    /// A promotion that is not final: the device can go on from another moment instead, any from
    /// `oldest` to `newest` that `points` lists, or one that is kept.
    ///
    /// @param since when it was promoted, or the moment chosen last
    /// @param from position from which it goes on
    /// @param kept names of moments that are kept
    public record Promotion(
            Instant since,
            String from,
            Optional<Instant> oldest,
            Optional<Instant> newest,
            List<String> kept) {}

    /// What two copies have done since they were the same. Both go on by themselves until an
    /// operator says which of them gives up its own.
    ///
    /// @param common the last position of both; absent where none is known
    /// @param commonTime when that was written, by the clock of who wrote it; absent: not known
    /// @param sides this node's first
    public record Histories(
            Optional<String> common, Optional<Instant> commonTime, List<Side> sides) {}

    /// What one of them has done since. What is absent is not known, and not nothing.
    ///
    /// @param begun what was done to it since, oldest first
    /// @param told it has said what it wrote
    /// @param since its first write since then, or the last moment of both where that is later; by
    ///   its own clock, as `last`. Absent as well when it wrote nothing
    /// @param last its last write, of a secondary that of the moment it holds
    /// @param lastOrLater it crashed, and may have written for a while after `last`
    /// @param blocks of 4 KiB that it wrote since
    /// @param atMost some of them may have been written before, or not at all
    /// @param doubtfulBlocks blocks among which there may be others that it wrote
    public record Side(
            String host,
            String role,
            String position,
            List<Begun> begun,
            boolean told,
            Optional<Instant> since,
            Optional<Instant> last,
            boolean lastOrLater,
            Optional<Long> blocks,
            Optional<Long> bytes,
            boolean atMost,
            Optional<Long> doubtfulBlocks,
            Optional<Long> doubtfulBytes) {}

    /// The beginning of a generation.
    ///
    /// @param reason CREATE, ATTACH, CRASH, PROMOTE or FORCE
    /// @param host where
    public record Begun(String reason, String host, Instant time) {}

    /// An open view.
    ///
    /// @param id for `close`
    /// @param point position it shows
    /// @param pointTime moment it shows, by the primary's clock
    /// @param pointAgeSeconds how old that is, and never less than it is; absent where nobody knows
    /// @param uri of the export; of several volumes, of the first
    /// @param volumes empty where there is a single one
    /// @param overlay of a writable view, what was written to it; absent: it is read-only
    public record View(
            String id,
            String point,
            Instant pointTime,
            Optional<Double> pointAgeSeconds,
            String uri,
            String socket,
            int clients,
            List<Volume> volumes,
            Optional<Overlay> overlay) {}

    /// A rehearsal of going on from the copy.
    ///
    /// @param check what was run on it; absent: it was mounted only
    /// @param seconds from its beginning until all was taken down
    /// @param trouble why it failed
    /// @param lastPassed when the last one began that passed
    public record Drill(
            Instant began,
            boolean passed,
            Optional<String> check,
            double seconds,
            Optional<String> trouble,
            Optional<Instant> lastPassed) {}

    /// What was found by comparing the copy with what it should hold.
    ///
    /// @param whole all of it was compared
    /// @param trouble why it was cut short
    /// @param mended when an operator had it mended
    public record Verify(
            Instant began,
            Instant ended,
            boolean whole,
            Optional<String> trouble,
            long differingBlocks,
            Optional<Instant> mended) {}

    /// What was written to a view and is thrown away with it, all volumes together.
    ///
    /// @param full a write was refused for want of space
    public record Overlay(long usedBytes, long limitBytes, boolean full) {}
}
