package holdfast.replicator.daemon;

import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.DeviceNode;
import holdfast.replicator.device.DurableDirectory;
import holdfast.replicator.device.MetadataFile;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.Limits;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Transaction;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;

/// What is durable of one resource on this node, in a directory of its own under the state
/// directory:
///
/// | file            | what                                                              |
/// |-----------------|-------------------------------------------------------------------|
/// | `resource.json` | id, role at creation, backing path; written once, last of all     |
/// | `settings.toml` | the settings as accepted last                                     |
/// | `superblock`    | two slots, see [Superblock]                                       |
/// | `metadata`      | primary: activity log and bitmap, see [MetadataLayout]            |
/// | `base`          | backup: which file or device the base is, see [DeviceNode#identity]; without it any is taken |
///
/// A directory without `resource.json` is what a crash in the middle of creation left; it is
/// removed at start. The journal lies in the storage directory.
///
/// Its owner calls it from one thread at a time, except the reads of immutable facts.
final class ResourceDir implements AutoCloseable {
    /// What never changes.
    ///
    /// @param disk backing device or file
    /// @param ownDisk the file was made by us and goes with the resource
    /// @param journal directory, empty for a primary
    /// @param peer name of the node that has the other copy
    record Facts(
            String id,
            String role,
            String disk,
            boolean ownDisk,
            String journal,
            long journalBytes,
            String peer) {
        UUID uuid() {
            return UUID.fromString(id);
        }

        boolean isPrimary() {
            return role.equals(Role.PRIMARY.name());
        }
    }

    static final TwoSlotFile.Codec<Superblock> CODEC =
            new TwoSlotFile.Codec<>() {
                @Override
                public ByteBuffer encode(Superblock value) {
                    return value.encode();
                }

                @Override
                public Superblock decode(ByteBuffer content) {
                    return Superblock.decode(content);
                }
            };

    static final String SUPERBLOCK = "superblock";
    static final String METADATA = "metadata";

    /// Files whose presence says something.
    static final List<String> MARKS = List.of("standalone", "sync-paused", "compare-all", "boot");

    private static final Logger LOG = LoggerFactory.getLogger(ResourceDir.class);

    private final Path dir;
    private final String name;
    private final Facts facts;
    private TwoSlotFile<Superblock> superblock;

    /// Null at a backup.
    private MetadataFile metadata;

    /// What [#isAccepted] saw last; any thread.
    private volatile Looked looked;

    private record Looked(String text, String accepted, boolean same) {}

    /// How much the peer may lack, as of the last look at the metadata.
    private long missingBytes;

    private ResourceDir(
            Path dir, Facts facts, TwoSlotFile<Superblock> superblock, MetadataFile metadata) {
        this.dir = dir;
        this.name = dir.getFileName().toString();
        this.facts = facts;
        this.superblock = superblock;
        this.metadata = metadata;
        this.missingBytes = superblock.value().sizeBytes();
    }

    /// The names of all resources of the node; what a crash left of an unfinished one is removed.
    static List<String> names(Path resources) throws IOException {
        if (!Files.isDirectory(resources)) {
            return List.of();
        }
        try (Stream<Path> dirs = Files.list(resources)) {
            return dirs.filter(ResourceDir::isWhole)
                    .map(each -> each.getFileName().toString())
                    .sorted()
                    .toList();
        }
    }

    private static boolean isWhole(Path dir) {
        if (Files.exists(dir.resolve("resource.json"))) {
            return true;
        }
        delete(dir);
        return false;
    }

    static ResourceDir create(
            Path resources, String name, Facts facts, Superblock first, ResourceSettings settings)
            throws IOException {
        Path dir = resources.resolve(name);
        if (Files.exists(dir.resolve("resource.json"))) {
            throw new IOException(
                    "%s is there already, though %s could not be opened: see the events of the start"
                            .formatted(dir, name));
        }
        delete(dir);
        DurableDirectory.make(dir);
        TwoSlotFile<Superblock> slots =
                TwoSlotFile.create(
                        dir.resolve(SUPERBLOCK), facts.uuid(), Superblock.MAX_BYTES, CODEC, first);
        MetadataFile metadata =
                facts.isPrimary()
                        ? MetadataFile.create(
                                dir.resolve(METADATA),
                                layout(first),
                                MetadataLayout.first(
                                        Transaction.Blank.MISSING, 1, Position.NONE, 0))
                        : null;
        ResourceDir created = new ResourceDir(dir, facts, slots, metadata);
        created.accept(settings);
        if (!facts.isPrimary()) {
            AtomicFile.write(
                    created.baseIdentityFile(),
                    DeviceNode.of(Path.of(facts.disk())).identity().getBytes(UTF_8));
        }
        AtomicFile.write(dir.resolve("resource.json"), Json.writePretty(facts).getBytes(UTF_8));
        DurableDirectory.sync(resources);
        return created;
    }

    private static final java.nio.charset.Charset UTF_8 = java.nio.charset.StandardCharsets.UTF_8;

    static ResourceDir open(Path resources, String name) throws IOException {
        Path dir = resources.resolve(name);
        Facts facts = facts(resources, name);
        TwoSlotFile<Superblock> slots = openSuperblock(dir, facts);
        try {
            ResourceDir opened =
                    new ResourceDir(
                            dir,
                            facts,
                            slots,
                            facts.isPrimary() ? openMetadata(dir, slots.value()) : null);
            if (facts.isPrimary()) {
                opened.recover();
            }
            return opened;
        } catch (IOException | RuntimeException e) {
            slots.close();
            throw e;
        }
    }

    private static TwoSlotFile<Superblock> openSuperblock(Path dir, Facts facts)
            throws IOException {
        try {
            return TwoSlotFile.open(dir.resolve(SUPERBLOCK), facts.uuid(), CODEC);
        } catch (CorruptFormatException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    /// What was lost is not guessed about: everything is compared.
    private static MetadataFile openMetadata(Path dir, Superblock was) throws DeviceException {
        Path file = dir.resolve(METADATA);
        if (Files.exists(file)) {
            return MetadataFile.open(file, layout(was));
        }
        LOG.warn("{} is missing: every block is compared", file);
        return MetadataFile.create(
                file,
                layout(was),
                MetadataLayout.first(
                        was.ancestry().entries().isEmpty()
                                ? Transaction.Blank.MISSING
                                : Transaction.Blank.SUSPECT,
                        beyondAll(was),
                        was.acknowledged(),
                        was.peerMark()));
    }

    /// A number that no transaction has had, where nobody knows how far they got.
    private static long beyondAll(Superblock was) {
        return was.incarnation() + 1 << 32;
    }

    static MetadataLayout layout(Superblock of) {
        return new MetadataLayout(
                of.resource(),
                of.sizeBytes(),
                Limits.DEFAULT.extentBlocks(),
                MetadataLayout.RECORD_SLOTS);
    }

    /// What never changes, also of a resource that cannot be opened.
    static Facts facts(Path resources, String name) throws IOException {
        Path file = resources.resolve(name).resolve("resource.json");
        try {
            return Json.read(Files.readString(file), Facts.class);
        } catch (JsonException e) {
            throw new IOException(file + ": " + e.getMessage(), e);
        }
    }

    String name() {
        return name;
    }

    Facts facts() {
        return facts;
    }

    Superblock superblock() {
        return superblock.value();
    }

    /// Its presence means that the operator keeps this resource off the link.
    Path standaloneMark() {
        return dir.resolve("standalone");
    }

    /// The boot of the host under which the primary was exported last.
    Path bootMark() {
        return dir.resolve("boot");
    }

    /// Its presence means that the operator keeps catch-up, first sync and comparison from going
    /// on.
    Path syncPausedMark() {
        return dir.resolve("sync-paused");
    }

    /// Its presence means that everything is to be compared with the peer, and was not yet.
    Path compareMark() {
        return dir.resolve("compare-all");
    }

    void write(Superblock next) throws DeviceException {
        superblock.write(next);
    }

    // ---- settings ----------------------------------------------------------------------------

    /// The settings as accepted last.
    ResourceSettings settings() throws IOException {
        Path file = dir.resolve("settings.toml");
        try {
            return ResourceSettings.parse(Files.readString(file), file.toString());
        } catch (ConfigException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    /// Whether what an operator left in a file says what was accepted last. The answer is kept:
    /// every status asks, and the texts change seldom.
    ///
    /// @param file its name, for messages
    boolean isAccepted(String text, String file) throws IOException {
        String accepted = Files.readString(dir.resolve("settings.toml"));
        Looked last = looked;
        if (last == null || !last.text.equals(text) || !last.accepted.equals(accepted)) {
            boolean same;
            try {
                same = ResourceSettings.parse(text, file).equals(settings());
            } catch (ConfigException e) {
                same = false;
            }
            last = new Looked(text, accepted, same);
            looked = last;
        }
        return last.same;
    }

    void accept(ResourceSettings settings) throws DeviceException {
        AtomicFile.write(dir.resolve("settings.toml"), settings.render().getBytes(UTF_8));
    }

    // ---- primary -----------------------------------------------------------------------------

    /// A primary's first superblock: everything is still to be sent.
    static Superblock newPrimary(UUID id, long sizeBytes) {
        return new Superblock(
                id,
                Role.PRIMARY,
                sizeBytes,
                false,
                false,
                false,
                true,
                false,
                Position.NONE,
                Position.NONE,
                0,
                0,
                0,
                0,
                Ancestry.EMPTY);
    }

    /// What is durably known of the peer.
    MetadataLayout.Recovered recover() throws IOException {
        // What a file that has failed holds in memory may not be on the disk.
        if (superblock.isFailed()) {
            superblock.close();
            superblock = openSuperblock(dir, facts);
        }
        if (metadata.isFailed()) {
            metadata.close();
            metadata = MetadataFile.open(dir.resolve(METADATA), layout(superblock()));
        }
        MetadataLayout.Recovered found = metadata.recover();
        missingBytes = found.kept().missingBytes();
        return found.kept().isLost()
                ? new MetadataLayout.Recovered(
                        found.kept()
                                .numberedFrom(
                                        beyondAll(superblock()),
                                        superblock().acknowledged(),
                                        superblock().peerMark()),
                        found.damage())
                : found;
    }

    MetadataFile metadata() {
        return metadata;
    }

    /// Starts a generation, durably, before the first write of this attach (R1).
    ///
    /// A crash before the superblock is written leaves the one before, and the attach is simply
    /// made again; after it, the superblock says "not clean".
    ///
    /// A generation that ended cleanly without a write has given out no position: it goes on, and
    /// attaches while the peer is away do not use up the ancestry.
    ///
    /// @param kept from [#recover]
    /// @param generation of which nothing is heard if the one before goes on
    Primary.Attached attach(Kept kept, UUID node, long generation, long wallMillis)
            throws IOException {
        Superblock was = superblock();
        Ancestry.Reason reason;
        if (was.ancestry().entries().isEmpty()) {
            reason = Ancestry.Reason.CREATE;
        } else {
            reason = was.clean() ? Ancestry.Reason.ATTACH : Ancestry.Reason.CRASH;
        }
        Position unwritten = new Position(was.ancestry().generation(), 0);
        boolean goesOn = reason == Ancestry.Reason.ATTACH && was.position().equals(unwritten);
        Ancestry ancestry =
                goesOn
                        ? was.ancestry()
                        : was.ancestry()
                                .plus(
                                        new Ancestry.Entry(
                                                generation,
                                                was.position(),
                                                reason,
                                                node,
                                                wallMillis));
        Position here = new Position(ancestry.generation(), 0);
        write(
                new Superblock(
                        was.resource(),
                        Role.PRIMARY,
                        was.sizeBytes(),
                        false,
                        false,
                        false,
                        false,
                        false,
                        here,
                        kept.acknowledged(),
                        kept.peerCopy(),
                        0,
                        0,
                        was.incarnation() + 1,
                        ancestry));
        return new Primary.Attached(ancestry, kept);
    }

    /// How much the peer may lack while the resource is not attached.
    long missingBytes() {
        return missingBytes;
    }

    /// A clean stop, after the metadata was kept. A crash before its end leaves "not clean".
    void detached(Position last, Position acknowledged, long peerCopy, boolean byOperator)
            throws IOException {
        write(primary(superblock(), true, byOperator, last, acknowledged, peerCopy));
        recover();
    }

    private static Superblock primary(
            Superblock was,
            boolean clean,
            boolean detached,
            Position position,
            Position acknowledged,
            long peerCopy) {
        return new Superblock(
                was.resource(),
                Role.PRIMARY,
                was.sizeBytes(),
                clean,
                false,
                false,
                detached,
                false,
                position,
                acknowledged,
                peerCopy,
                0,
                0,
                was.incarnation(),
                was.ancestry());
    }

    // ---- backup ------------------------------------------------------------------------------

    /// A backup's first superblock. The random generation names this copy until it has a point.
    static Superblock newBackup(UUID id, long sizeBytes, boolean blank, UUID node, long copy) {
        Ancestry.Entry entry =
                new Ancestry.Entry(
                        copy,
                        Position.NONE,
                        Ancestry.Reason.CREATE,
                        node,
                        System.currentTimeMillis());
        return new Superblock(
                id,
                Role.SECONDARY,
                sizeBytes,
                false,
                false,
                blank,
                false,
                false,
                Position.NONE,
                Position.NONE,
                0,
                0,
                0,
                0,
                Ancestry.EMPTY.plus(entry));
    }

    /// Counts one more opening of the journal, durably.
    ///
    /// @return the number of this one
    long openJournal() throws DeviceException {
        Superblock was = superblock();
        write(backup(was, was.blank(), base(was), was.incarnation() + 1));
        return superblock().incarnation();
    }

    Path baseIdentityFile() {
        return dir.resolve("base");
    }

    /// What the base was when the copy was made; empty when an operator took the note away.
    String baseIdentity() throws IOException {
        return Files.exists(baseIdentityFile()) ? Files.readString(baseIdentityFile()) : "";
    }

    static Backup.Base base(Superblock of) {
        return new Backup.Base(
                of.watermark(),
                of.rollingTo(),
                of.position(),
                of.everCommitted(),
                of.mixture(),
                of.peerMark(),
                of.ancestry());
    }

    /// A roll-forward begins or has ended. From the pool, while nothing else writes it.
    synchronized void rolled(Backup.Base reached) throws DeviceException {
        Superblock was = superblock();
        write(backup(was, was.blank(), reached, was.incarnation()));
    }

    /// Something is about to be written to the base.
    synchronized void noLongerBlank() throws DeviceException {
        Superblock was = superblock();
        if (was.blank()) {
            write(backup(was, false, base(was), was.incarnation()));
        }
    }

    private static Superblock backup(
            Superblock was, boolean blank, Backup.Base base, long incarnation) {
        return new Superblock(
                was.resource(),
                Role.SECONDARY,
                was.sizeBytes(),
                false,
                base.everCommitted(),
                blank,
                false,
                base.mixture(),
                base.position(),
                Position.NONE,
                base.tracked(),
                base.watermark(),
                base.rollingTo(),
                incarnation,
                base.ancestry());
    }

    @Override
    public void close() {
        superblock.close();
        if (metadata != null) {
            metadata.close();
        }
    }

    /// Everything of the resource in the state directory goes.
    void remove() {
        close();
        try {
            Files.deleteIfExists(dir.resolve("resource.json"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        delete(dir);
    }

    static void delete(Path dir) {
        if (!Files.exists(dir)) {
            return;
        }
        try (Stream<Path> all = Files.walk(dir)) {
            for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(each);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
