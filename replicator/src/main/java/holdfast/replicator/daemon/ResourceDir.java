package holdfast.replicator.daemon;

import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.DeviceNode;
import holdfast.replicator.device.DurableDirectory;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.replicator.metadata.BitmapCodec;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.ByteArrayOutputStream;
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
/// | `bitmap`        | primary, after a clean stop: see [BitmapCodec]                    |
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

    private static final TwoSlotFile.Codec<Superblock> CODEC =
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

    private static final Logger LOG = LoggerFactory.getLogger(ResourceDir.class);

    private final Path dir;
    private final String name;
    private final Facts facts;
    private final TwoSlotFile<Superblock> superblock;

    private ResourceDir(Path dir, Facts facts, TwoSlotFile<Superblock> superblock) {
        this.dir = dir;
        this.name = dir.getFileName().toString();
        this.facts = facts;
        this.superblock = superblock;
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
                        dir.resolve("superblock"),
                        facts.uuid(),
                        Superblock.MAX_BYTES,
                        CODEC,
                        first);
        ResourceDir created = new ResourceDir(dir, facts, slots);
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
        try {
            return new ResourceDir(
                    dir, facts, TwoSlotFile.open(dir.resolve("superblock"), facts.uuid(), CODEC));
        } catch (CorruptFormatException e) {
            throw new IOException(e.getMessage(), e);
        }
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

    /// Starts a generation, durably, before the first write of this attach (R1).
    ///
    /// A crash before the superblock is written leaves the one before, and the attach is simply
    /// made again; after it, the superblock says "not clean" and the bitmap file is not looked at
    /// any more.
    ///
    /// A generation that ended cleanly without a write has given out no position: it goes on, and
    /// attaches while the peer is away do not use up the ancestry.
    ///
    /// @param generation of which nothing is heard if the one before goes on
    Primary.Attached attach(UUID node, long generation, long wallMillis) throws IOException {
        Superblock was = superblock();
        long blocks = BlockSet.blocksOf(was.sizeBytes());
        BlockSet dirty = new BlockSet(blocks);
        BlockSet suspect = new BlockSet(blocks);
        Ancestry.Reason reason;
        if (was.ancestry().entries().isEmpty()) {
            reason = Ancestry.Reason.CREATE;
            dirty.addAll();
        } else if (was.clean()) {
            reason = Ancestry.Reason.ATTACH;
            BitmapCodec.Sets sets = readBitmap(was, blocks);
            dirty = sets.dirty();
            suspect = sets.suspect();
        } else {
            reason = Ancestry.Reason.CRASH;
            suspect.addAll();
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
                        was.acknowledged(),
                        was.peerCopy(),
                        0,
                        0,
                        was.incarnation() + 1,
                        ancestry));
        return new Primary.Attached(ancestry, was.acknowledged(), was.peerCopy(), dirty, suspect);
    }

    /// How much the peer may lack while the resource is not attached: what the last clean stop
    /// kept; everything where there was none, because nobody knows what was written last.
    long unsentBytes() {
        Superblock was = superblock();
        if (!was.clean()) {
            return was.sizeBytes();
        }
        try {
            BitmapCodec.Sets kept = readBitmap(was, BlockSet.blocksOf(was.sizeBytes()));
            return (kept.dirty().count() + kept.suspect().count()) * BlockSet.BLOCK_BYTES;
        } catch (IOException e) {
            return was.sizeBytes();
        }
    }

    /// A bitmap that does not fit its superblock is not guessed about: everything is compared.
    private BitmapCodec.Sets readBitmap(Superblock was, long blocks) throws IOException {
        Path file = dir.resolve("bitmap");
        if (!Files.exists(file)) {
            return allSuspect(file + " is missing", blocks);
        }
        try {
            return BitmapCodec.decode(
                    was.resource(),
                    was.incarnation(),
                    blocks,
                    ByteBuffer.wrap(Files.readAllBytes(file)));
        } catch (IllegalArgumentException e) {
            return allSuspect(file + " cannot be used: " + e.getMessage(), blocks);
        }
    }

    private static BitmapCodec.Sets allSuspect(String why, long blocks) {
        LOG.warn("{}: every block is compared", why);
        BitmapCodec.Sets sets = new BitmapCodec.Sets(new BlockSet(blocks), new BlockSet(blocks));
        sets.suspect().addAll();
        return sets;
    }

    /// Keeps what the peer may lack over a clean stop. A crash between the two files leaves "not
    /// clean".
    void detached(Primary.Attached end, Position last, boolean byOperator) throws DeviceException {
        Superblock was = superblock();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BitmapCodec.encode(
                was.resource(),
                was.incarnation(),
                new BitmapCodec.Sets(end.dirty(), end.suspect()),
                part -> bytes.write(part.array(), part.arrayOffset(), part.remaining()));
        AtomicFile.write(dir.resolve("bitmap"), bytes.toByteArray());
        write(primary(was, true, byOperator, last, end.acknowledged(), end.peerCopy()));
    }

    /// Keeps what is known of the peer, now and then: a crash then compares instead of sending all.
    void knows(Position acknowledged, long peerCopy) throws DeviceException {
        Superblock was = superblock();
        if (!was.acknowledged().equals(acknowledged) || was.peerCopy() != peerCopy) {
            write(primary(was, false, false, was.position(), acknowledged, peerCopy));
        }
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
                0,
                base.watermark(),
                base.rollingTo(),
                incarnation,
                base.ancestry());
    }

    @Override
    public void close() {
        superblock.close();
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
