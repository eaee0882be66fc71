package holdfast.replicator.config;

import holdfast.throttle.Rate;

import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneId;
import java.util.List;
import java.util.Optional;

/// All keys there are. The loader, the examples in `conf.d/` and `docs/settings.md` follow this
/// list, and tests see that they do. A key stands here only when something uses it.
final class Schema {
    static final Key<String> NODE_NAME =
            Key.of(
                    "node.name",
                    Type.NODE_NAME,
                    "",
                    "What this node is called in `[on.NODE]`; without it the host name up to its"
                            + " first dot.");
    static final Key<Path> STATE_DIR =
            Key.of(
                    "node.state-dir",
                    Type.PATH,
                    "\"/var/lib/holdfast\"",
                    "Identity, metadata and audit log; never on a filesystem that a resource"
                            + " carries.");
    static final Key<Optional<Duration>> BOOT_GATE =
            Key.of(
                    "node.boot-gate",
                    Type.durationOrHold("1h"),
                    "\"30s\"",
                    "How long a primary waits for its peer before it is exported after a restart of this"
                            + " host; `hold`: for ever.");
    static final Key<Address> DIAL =
            Key.of(
                    "link.dial",
                    Type.ADDRESS,
                    "",
                    "Where the peer listens. The host that cannot be reached dials.");
    static final Key<Address> LISTEN =
            Key.of(
                    "link.listen",
                    Type.ADDRESS,
                    "",
                    "Where to listen for the peer. Set `dial` or `listen`, not both.");
    static final Key<Rate> RATE =
            Key.of(
                    "link.rate",
                    Type.RATE,
                    "\"unlimited\"",
                    "How fast this node may send, all bytes on the wire counted.");
    static final Key<Rate> CATCH_UP =
            Key.of(
                    "link.catch-up",
                    Type.RATE,
                    "\"unlimited\"",
                    "How much of it first sync and catch-up may take together.");
    static final Key<String> CALENDAR =
            Key.of(
                    "link.calendar",
                    Type.CALENDAR,
                    "[]",
                    "Other rates at other times. Where entries overlap the later one wins;"
                            + " `22:00-06:00` goes over midnight.");
    static final Key<ZoneId> TIME_ZONE =
            Key.of("link.time-zone", Type.ZONE, "\"system\"", "The clock that `calendar` means.");
    static final Key<Duration> KEEPALIVE =
            Key.of(
                    "link.keepalive",
                    Type.duration("1s", "10min"),
                    "\"10s\"",
                    "How long the link may be silent before the peer is asked.");
    static final Key<Path> STORAGE_PATH =
            Key.of(
                    "storage.path",
                    Type.PATH,
                    "",
                    "Directory for copies that have no `disk` of their own, and for journals.");
    static final Key<Size> STORAGE_MAX =
            Key.of(
                    "storage.max",
                    Type.size("1 MiB", "1024 TiB"),
                    "",
                    "How much of it may be used; without it, all.");
    static final Key<Address> NBD_LISTEN =
            Key.of(
                    "nbd.listen",
                    Type.ADDRESS,
                    "",
                    "NBD over TCP beside the Unix sockets, for all attached resources and the moments of"
                            + " copies; a client chooses by export name, like home or home@latest. Whoever"
                            + " can connect can read and write.");
    static final Key<Address> METRICS_LISTEN =
            Key.of(
                    "metrics.listen",
                    Type.LOOPBACK,
                    "",
                    "Metrics over HTTP, for this host alone; without it, none.");
    static final Key<Size> SEND_BUFFER =
            Key.of(
                    "buffer.send",
                    Type.size("1 MiB", "1 TiB"),
                    "\"256 MiB\"",
                    "Memory for writes that the peer does not have yet, all resources together.");

    static final Key<DrillSettings.Entry> DRILL_CALENDAR =
            Key.of(
                    "drill.calendar",
                    Type.DRILLS,
                    "[]",
                    "When `holdfast drill` is run by itself, of which resource, and with which check.");
    static final Key<ZoneId> DRILL_TIME_ZONE =
            Key.of(
                    "drill.time-zone",
                    Type.ZONE,
                    "\"system\"",
                    "The clock that this calendar means.");
    static final Key<Duration> DRILL_TIMEOUT =
            Key.of(
                    "drill.timeout",
                    Type.duration("1s", "1d"),
                    "\"10min\"",
                    "How long a check may run; then it is killed, and the drill has failed.");

    static final Key<VerifySettings.Entry> VERIFY_CALENDAR =
            Key.of(
                    "verify.calendar",
                    Type.VERIFICATIONS,
                    "[]",
                    "When `holdfast verify` is begun by itself, of which resource that is primary here.");
    static final Key<ZoneId> VERIFY_TIME_ZONE =
            Key.of(
                    "verify.time-zone",
                    Type.ZONE,
                    "\"system\"",
                    "The clock that this calendar means.");

    static final Key<Duration> HANDLER_TIMEOUT =
            Key.of(
                    "handlers.timeout",
                    Type.duration("1s", "1h"),
                    "\"30s\"",
                    "How long a command below may run; then it is killed with its children.");
    static final Key<String> ON_CONNECT =
            Key.of("handlers.connect", Type.COMMAND, "", "The peer is there for a resource.");
    static final Key<String> ON_DISCONNECT =
            Key.of("handlers.disconnect", Type.COMMAND, "", "It is there no longer.");
    static final Key<String> ON_BEFORE_RESYNC_SOURCE =
            Key.of(
                    "handlers.before-resync-source",
                    Type.COMMAND,
                    "",
                    "A first sync, comparison or catch-up of a peer's copy begins; it does not wait for the command.");
    static final Key<String> ON_AFTER_RESYNC_SOURCE =
            Key.of(
                    "handlers.after-resync-source",
                    Type.COMMAND,
                    "",
                    "A commit has moved the peer's copy to a newer moment.");
    static final Key<String> ON_BEFORE_RESYNC_TARGET =
            Key.of(
                    "handlers.before-resync-target",
                    Type.COMMAND,
                    "",
                    "As `before-resync-source`, where the copy is.");
    static final Key<String> ON_AFTER_RESYNC_TARGET =
            Key.of(
                    "handlers.after-resync-target",
                    Type.COMMAND,
                    "",
                    "As `after-resync-source`, where the copy is.");
    static final Key<String> ON_RESYNC_INTERRUPTED =
            Key.of(
                    "handlers.resync-interrupted",
                    Type.COMMAND,
                    "",
                    "The peer went away meanwhile.");
    static final Key<String> ON_LOCAL_IO_ERROR =
            Key.of(
                    "handlers.local-io-error",
                    Type.COMMAND,
                    "",
                    "The disk of a resource here, or a copy's base or journal, has failed; or what clients read fails or what is written finds no space (`HOLDFAST_KIND` is `read-error` or `no-space`), when it begins and at most once an hour while it goes on.");
    static final Key<String> ON_INITIAL_SPLIT_BRAIN =
            Key.of(
                    "handlers.initial-split-brain",
                    Type.COMMAND,
                    "",
                    "The histories of the two copies do not follow each other.");
    static final Key<String> ON_SPLIT_BRAIN =
            Key.of(
                    "handlers.split-brain",
                    Type.COMMAND,
                    "",
                    "The same: nothing is ever merged by itself.");
    static final Key<String> ON_OUT_OF_SYNC =
            Key.of(
                    "handlers.out-of-sync",
                    Type.COMMAND,
                    "",
                    "A verification has found that blocks of the copy are not what they should be; at both hosts.");

    static final Key<String> ON_ROLE_CHANGE =
            Key.of(
                    "handlers.role-change",
                    Type.COMMAND,
                    "",
                    "A promotion, or `reconnect --discard`, has changed the role here.");
    static final Key<String> ON_DRILL_RESULT =
            Key.of(
                    "handlers.drill-result",
                    Type.COMMAND,
                    "",
                    "A drill of the calendar has ended: `HOLDFAST_KIND` is `drill-passed` or `drill-failed`.");
    static final Key<String> ON_CHECKPOINT_PINNED =
            Key.of(
                    "handlers.checkpoint-pinned",
                    Type.COMMAND,
                    "",
                    "A moment of the copy is kept under a name.");
    static final Key<String> ON_CHECKPOINT_UNPINNED =
            Key.of(
                    "handlers.checkpoint-unpinned",
                    Type.COMMAND,
                    "",
                    "It is kept no longer: `HOLDFAST_KIND` is `pin-dropped`, `pin-expired`, `pin-lost` or `pin-damaged`.");

    /// What `[handlers]` has a command for.
    static final List<Key<String>> HANDLERS =
            List.of(
                    ON_CONNECT,
                    ON_DISCONNECT,
                    ON_BEFORE_RESYNC_SOURCE,
                    ON_AFTER_RESYNC_SOURCE,
                    ON_BEFORE_RESYNC_TARGET,
                    ON_AFTER_RESYNC_TARGET,
                    ON_RESYNC_INTERRUPTED,
                    ON_LOCAL_IO_ERROR,
                    ON_INITIAL_SPLIT_BRAIN,
                    ON_SPLIT_BRAIN,
                    ON_OUT_OF_SYNC,
                    ON_ROLE_CHANGE,
                    ON_DRILL_RESULT,
                    ON_CHECKPOINT_PINNED,
                    ON_CHECKPOINT_UNPINNED);

    static final List<Key<?>> NODE =
            List.of(
                    NODE_NAME,
                    STATE_DIR,
                    BOOT_GATE,
                    DIAL,
                    LISTEN,
                    RATE,
                    CATCH_UP,
                    CALENDAR,
                    TIME_ZONE,
                    KEEPALIVE,
                    STORAGE_PATH,
                    STORAGE_MAX,
                    NBD_LISTEN,
                    METRICS_LISTEN,
                    SEND_BUFFER,
                    DRILL_CALENDAR,
                    DRILL_TIME_ZONE,
                    DRILL_TIMEOUT,
                    VERIFY_CALENDAR,
                    VERIFY_TIME_ZONE,
                    HANDLER_TIMEOUT,
                    ON_CONNECT,
                    ON_DISCONNECT,
                    ON_BEFORE_RESYNC_SOURCE,
                    ON_AFTER_RESYNC_SOURCE,
                    ON_BEFORE_RESYNC_TARGET,
                    ON_AFTER_RESYNC_TARGET,
                    ON_RESYNC_INTERRUPTED,
                    ON_LOCAL_IO_ERROR,
                    ON_INITIAL_SPLIT_BRAIN,
                    ON_SPLIT_BRAIN,
                    ON_OUT_OF_SYNC,
                    ON_ROLE_CHANGE,
                    ON_DRILL_RESULT,
                    ON_CHECKPOINT_PINNED,
                    ON_CHECKPOINT_UNPINNED);

    static final Key<ResourceSettings.Protocol> PROTOCOL =
            Key.of(
                    "protocol",
                    Type.choice(ResourceSettings.Protocol.class),
                    "\"A\"",
                    "When a write is answered: A when it is on the local disk, C when the peer's"
                            + " journal has it too. B is served as C.");
    static final Key<ResourceSettings.OnCongestion> ON_CONGESTION =
            Key.of(
                    "on-congestion",
                    Type.choice(ResourceSettings.OnCongestion.class),
                    "\"pull-ahead\"",
                    "When the send buffer is full: note the changed blocks and catch up later, or"
                            + " make writers wait. With B and C always `block`.");
    static final Key<ResourceSettings.Compression> COMPRESSION =
            Key.of(
                    "compression",
                    Type.choice(ResourceSettings.Compression.class),
                    "\"stream\"",
                    "zstd over the whole stream, over each frame alone, or none. The last two hide"
                            + " how alike new data is to old.");
    static final Key<Size> JOURNAL_SIZE =
            Key.of(
                    "journal.size",
                    Type.size(ResourceSettings.JOURNAL_MIN, ResourceSettings.JOURNAL_MAX),
                    "\"4 GiB\"",
                    "Space for the journal of this resource, taken when it is created; it bounds"
                            + " how far back points reach. At the backup a larger one is taken by `holdfast"
                            + " adjust`; it never becomes smaller.");
    static final Key<Duration> RETENTION =
            Key.of(
                    "journal.retention",
                    Type.duration("0s", "3650d"),
                    "\"24h\"",
                    "How far back moments of the copy can be opened, by the backup's own clock, as long as"
                            + " the journal has room.");
    static final Key<Duration> RETENTION_MIN =
            Key.of(
                    "journal.retention-min",
                    Type.duration("0s", "3650d"),
                    "\"4h\"",
                    "How far back also when the journal is full: nothing more is taken in before that"
                            + " is given up. Where `retention` is shorter, that.");
    static final Key<Size> KEEP_MAX =
            Key.of(
                    "journal.keep-max",
                    Type.size("0 B", ResourceSettings.JOURNAL_MAX),
                    "\"%s\"".formatted(ResourceSettings.DEFAULT_KEEP_MAX),
                    "How much of the storage at the backup the moments may take that `holdfast keep` holds"
                            + " beyond the retention. When it is used up, the journal fills.");
    static final Key<Path> DISK =
            Key.of(
                    "on.NODE.disk",
                    Type.DISKS,
                    "",
                    "Device or file on that node; of several volumes a list, in the same order on both."
                            + " At least one node has one; for the other it may be left out: files"
                            + " under its storage.");

    static final List<Key<?>> RESOURCE =
            List.of(
                    PROTOCOL,
                    ON_CONGESTION,
                    COMPRESSION,
                    JOURNAL_SIZE,
                    RETENTION,
                    RETENTION_MIN,
                    KEEP_MAX,
                    DISK);

    private Schema() {}
}
