package holdfast.replicator.daemon;

import static java.nio.charset.StandardCharsets.UTF_8;

import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.DeviceNode;
import holdfast.replicator.device.DurableDirectory;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.device.MetadataFile;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.replicator.metadata.ChangeList;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.Grown;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.Parted;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.ClockCheck;
import holdfast.replicator.state.Faults;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.Limits;
import holdfast.replicator.state.OwnChanges;
import holdfast.replicator.state.OwnWrites;
import holdfast.replicator.state.PageMemory;
import holdfast.replicator.state.PeerCopy;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Transaction;
import holdfast.replicator.state.Verdict;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
/// | `evidence`      | primary: what the device was like at the last clean stop, see [EvidenceFile] |
/// | `base`          | backup: which file or device the base is, see [DeviceNode#identity]; without it any is taken |
/// | `attached`      | what the disks were when they were attached last, see [DeviceNode#incarnation] |
/// | `journal-grown` | backup: how many bytes the journal may take, where it has become larger     |
///
/// A directory without `resource.json` is what a crash in the middle of creation left; it is
/// removed at start. The journal lies in the storage directory.
///
/// Its owner calls it from one thread at a time, except the reads of immutable facts and what is
/// synchronized.
final class ResourceDir implements AutoCloseable {
    /// What never changes.
    ///
    /// @param disks backing device or file of each volume
    /// @param ownDisk the files were made by us and go with the resource
    /// @param journal directory, empty for a primary
    /// @param peer name of the node that has the other copy
    record Facts(
            String id,
            String role,
            List<String> disks,
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

        List<Path> paths() {
            return disks.stream().map(Path::of).toList();
        }

        /// All of them, for people.
        String words() {
            return String.join(", ", disks);
        }
    }

    static final String SUPERBLOCK = "superblock";
    static final String METADATA = "metadata";
    private static final String JOURNAL_GROWN = "journal-grown";
    private static final String FACTS = "resource.json";

    /// What [#FACTS] becomes when the role is over and its history has still to be deleted.
    private static final String OVER = "over.json";

    private static final String GROWN = "grown";
    private static final String BASE = "base";
    private static final String DISCARDS = "discards";
    private static final String CHANGED = "changed";
    private static final String HEARD = "heard";
    private static final String DOUBTED = "disk-doubted";
    private static final String STANDALONE = "standalone";
    private static final String JOURNAL_BEGUN = "journal-begun";
    private static final String PARTED = "parted";

    /// Files whose presence says something.
    static final List<String> MARKS =
            List.of(
                    STANDALONE,
                    "sync-paused",
                    "compare-all",
                    "written-past",
                    "resize",
                    GROWN,
                    DISCARDS,
                    CHANGED,
                    HEARD,
                    DOUBTED,
                    JOURNAL_BEGUN,
                    PARTED,
                    "boot");

    /// What [#compareMark] holds when an operator ordered it; nothing when evidence did.
    static final byte[] ORDERED = "ordered\n".getBytes(UTF_8);

    /// Memory for a look that only counts.
    private static final long LOOK_BYTES = 8 << 20;

    private static final Logger LOG = LoggerFactory.getLogger(ResourceDir.class);

    private final Path dir;
    private final String name;
    private final Facts facts;
    private TwoSlotFile<Superblock> superblock;

    /// Null at a backup.
    private MetadataFile metadata;

    /// Whether there may be a [#grownMark].
    private volatile boolean isGrown = true;

    /// What [#isAccepted] saw last; any thread.
    private volatile Looked looked;

    private record Looked(String text, String accepted, boolean same) {}

    /// How much the peer may lack, as of the last look at the metadata.
    private long missingBytes;

    /// What was written that the peer may lack, as of that look; null before, and from an attach on
    /// until the next look. Any thread.
    private volatile Frame.Wrote wrote;

    private ResourceDir(
            Path dir, Facts facts, TwoSlotFile<Superblock> superblock, MetadataFile metadata) {
        this.dir = dir;
        this.name = nameOf(dir);
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
                    .map(ResourceDir::nameOf)
                    .distinct()
                    .sorted()
                    .toList();
        }
    }

    // A resource that changes its role gets a directory of its own for the new one, whole by its
    // last file: NAME, then NAME~1, NAME~2. The last whole one counts.

    private static final String ROLE = "~";

    private static String nameOf(Path dir) {
        return dir.getFileName().toString().split(ROLE)[0];
    }

    private static int roleOf(Path dir) {
        String[] parts = dir.getFileName().toString().split(ROLE);
        return parts.length == 1 ? 0 : Integer.parseInt(parts[1]);
    }

    /// Of all roles that this resource has had and that are not over, the last first.
    private static List<Path> roles(Path resources, String name) throws IOException {
        try (Stream<Path> dirs = Files.list(resources)) {
            return dirs.filter(each -> nameOf(each).equals(name))
                    .filter(each -> Files.exists(each.resolve(FACTS)))
                    .sorted(Comparator.comparingInt(ResourceDir::roleOf).reversed())
                    .toList();
        }
    }

    /// Whether anything of this name counts.
    static boolean isThere(Path resources, String name) throws IOException {
        return !roles(resources, name).isEmpty();
    }

    private static Path current(Path resources, String name) throws IOException {
        List<Path> roles = roles(resources, name);
        return roles.isEmpty() ? resources.resolve(name) : roles.getFirst();
    }

    /// What the resource was before it changed its role, where that is still needed: the copy that
    /// was promoted, however often another moment of it was chosen since. Of a primary that has
    /// become a backup nothing is. What is left of roles that are over is deleted.
    static Optional<ResourceDir> openBefore(Path resources, String name) throws IOException {
        try (Stream<Path> dirs = Files.list(resources)) {
            dirs.filter(each -> nameOf(each).equals(name)).toList().forEach(ResourceDir::isWhole);
        }
        List<Path> roles = roles(resources, name);
        Path copy = null;
        for (Path each : roles.subList(Math.min(roles.size(), 1), roles.size())) {
            if (copy == null && facts(roles.getFirst()).isPrimary() && !facts(each).isPrimary()) {
                copy = each;
            } else {
                forget(each);
            }
        }
        return copy == null ? Optional.empty() : Optional.of(open(copy));
    }

    private static void forget(Path role) throws IOException {
        Files.deleteIfExists(role.resolve(FACTS));
        DurableDirectory.sync(role); // Nothing that it needs goes before.
        delete(role);
    }

    /// Ends the role of a copy whose base has become the disk of the next role; [#clean] deletes
    /// what is left of it.
    ///
    /// | step                        | a crash behind it leaves                                   |
    /// |-----------------------------|------------------------------------------------------------|
    /// | `resource.json` renamed     | the same, or what the next step leaves                     |
    /// | the directory synced        | a role that is over: the next start deletes its history    |
    /// | history deleted, then the directory | nothing, or what the next start deletes            |
    ///
    /// @throws IOException if nothing has changed
    /// @throws UncheckedIOException if it could not be made durable: nobody knows which role a
    ///   start finds
    void end() throws IOException {
        Files.move(dir.resolve(FACTS), dir.resolve(OVER), StandardCopyOption.ATOMIC_MOVE);
        try {
            DurableDirectory.sync(dir); // Until then it may count again, and needs its history.
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        close();
    }

    /// Deletes the history of a role that is over, and the role.
    ///
    /// @return what of it is left to the next start, and why; empty for nothing
    Optional<String> clean() {
        try {
            deleteOver(dir);
            return Optional.empty();
        } catch (IOException | UncheckedIOException e) {
            return Optional.of(String.valueOf(e.getMessage()));
        }
    }

    private static void deleteOver(Path role) throws IOException {
        Path file = role.resolve(OVER);
        if (Files.exists(file)) {
            // Also at a start: a daemon that was killed may not have come to it.
            DurableDirectory.sync(role);
            Path journal = Path.of(factsIn(file).journal()).toAbsolutePath();
            if (!isUsed(role.getParent(), journal)) {
                PinStore.delete(journal);
                delete(journal);
            }
        }
        delete(role);
    }

    /// Whether some role that counts has this journal: its name may have been given again.
    static boolean isUsed(Path resources, Path journal) throws IOException {
        try (Stream<Path> dirs = Files.list(resources)) {
            for (Path each : dirs.filter(at -> Files.exists(at.resolve(FACTS))).toList()) {
                String other = facts(each).journal();
                if (!other.isEmpty() && Path.of(other).toAbsolutePath().equals(journal)) {
                    return true;
                }
            }
        }
        return false;
    }

    /// The resource in its next role; durable when this returns. When it fails, the role before
    /// goes on.
    ///
    /// @param marks files that it has from the first, see [#discarding] and [#carried]
    static ResourceDir next(
            Path resources,
            String name,
            Facts facts,
            Superblock first,
            ResourceSettings settings,
            Map<String, byte[]> marks)
            throws IOException {
        int role = roleOf(current(resources, name)) + 1;
        return make(
                resources, resources.resolve(name + ROLE + role), facts, first, settings, marks);
    }

    /// The marks of [#discards] and [#ownChanges].
    ///
    /// @param changes null when it is not known what was changed
    static Map<String, byte[]> discarding(UUID resource, long generation, OwnChanges changes) {
        Map<String, byte[]> marks = new LinkedHashMap<>();
        marks.put(DISCARDS, Long.toString(generation).getBytes(UTF_8));
        if (changes != null) {
            marks.put(CHANGED, new ChangeList(resource, changes).encode().array());
        }
        return marks;
    }

    /// At a copy that gives up a generation: what it has changed in it; null when that is not
    /// known, or its disk is doubted. A file that cannot be read costs comparing everything.
    OwnChanges ownChanges() {
        Path file = dir.resolve(CHANGED);
        if (!Files.exists(file) || isDiskDoubted()) {
            return null;
        }
        try {
            ChangeList found = ChangeList.decode(ByteBuffer.wrap(Files.readAllBytes(file)));
            return found.resource().equals(facts.uuid()) ? found.changes() : null;
        } catch (IOException | IllegalArgumentException e) {
            LOG.warn("{}: {}; every block is compared", file, e.getMessage());
            return null;
        }
    }

    /// The mark of a primary that is the newest moment of its copy: nothing but what it writes from
    /// now on differs from that.
    ///
    /// @param transaction the newest of the former primary that the copy was told of
    static Map<String, byte[]> promoted(long transaction) {
        return Map.of(HEARD, Long.toString(transaction).getBytes(UTF_8));
    }

    /// Of a promoted copy: the newest transaction of the former primary that it was told of; 0
    /// where nobody knows.
    long heard() throws IOException {
        return number(dir.resolve(HEARD), 0);
    }

    /// What an operator has ordered of the link, when it was exported last, what the disk was then,
    /// and a doubt of it: the next role has it from the first.
    Map<String, byte[]> carried() throws IOException {
        Map<String, byte[]> marks = new LinkedHashMap<>();
        if (Files.exists(standaloneMark())) {
            marks.put(STANDALONE, new byte[0]);
        }
        if (isDiskDoubted()) {
            marks.put(DOUBTED, new byte[0]);
        }
        for (Path each :
                List.of(syncPausedMark(), bootMark(), attachedFile(), dir.resolve(PARTED))) {
            if (Files.exists(each)) {
                marks.put(each.getFileName().toString(), Files.readAllBytes(each));
            }
        }
        return marks;
    }

    /// A promotion is about to begin that generation, also of a copy that is promoted already: when
    /// what it goes on from was written last. Durable before it has begun; the next role has it
    /// from the first. If it never begins, what was noted before still counts.
    void part(long generation, long millis) throws IOException {
        Path file = dir.resolve(PARTED);
        Parted before = Files.exists(file) ? Parted.decode(Files.readAllBytes(file)) : Parted.NONE;
        AtomicFile.write(file, before.with(new Parted.Promotion(millis, generation)).encode());
    }

    /// When what the last promotion of this past went on from was written last, by the clock of who
    /// wrote it; 0 where there was none, or that is not known.
    long partedMillis(Ancestry past) {
        try {
            for (Ancestry.Entry each : past.entries().reversed()) {
                if (each.reason() == Ancestry.Reason.PROMOTE) {
                    return Parted.decode(Files.readAllBytes(dir.resolve(PARTED)))
                            .millisOf(each.generation());
                }
            }
        } catch (IOException e) {
            LOG.debug("{}: {}", dir, e.getMessage());
        }
        return 0;
    }

    /// At a backup: the generation that an operator gives up for what its peer has.
    Optional<Long> discards() throws IOException {
        long generation = number(dir.resolve(DISCARDS), 0);
        return generation == 0 ? Optional.empty() : Optional.of(generation);
    }

    /// This copy gives up that generation, durably.
    void discard(long generation) throws IOException {
        AtomicFile.write(dir.resolve(DISCARDS), Long.toString(generation).getBytes(UTF_8));
    }

    /// It gives up nothing, durably.
    void keepOwn() throws IOException {
        AtomicFile.write(dir.resolve(DISCARDS), "0".getBytes(UTF_8));
    }

    /// At a primary: this journal is about to be made for the role that follows. Durable before
    /// there is any of it, for its space may be large, and nobody else knows of it.
    void beginJournal(Path journal) throws DeviceException {
        AtomicFile.write(dir.resolve(JOURNAL_BEGUN), journal.toString().getBytes(UTF_8));
    }

    /// Whether [#endJournal] has something to do.
    boolean hasBegunJournal() {
        return Files.exists(dir.resolve(JOURNAL_BEGUN));
    }

    /// No role has followed: the journal that was made for it goes, if no record is in it. Where
    /// none is to be seen the note stays, for its storage may not be mounted.
    ///
    /// It deletes what a file names: only what is called as such a journal is, and holds nothing
    /// that is not of one.
    ///
    /// | step                              | a crash behind it leaves                       |
    /// |-----------------------------------|------------------------------------------------|
    /// | the directory of roles is synced  | the same: no role that is gone comes back behind this |
    /// | the journal is deleted            | a part of it or nothing, and the note          |
    /// | the note is deleted               | nothing, or the note                           |
    void endJournal() throws IOException {
        Path note = dir.resolve(JOURNAL_BEGUN);
        if (!Files.exists(note)) {
            return;
        }
        Path journal = journalIn(note);
        if (!Files.isDirectory(journal)) {
            return;
        }
        Path resources = dir.toAbsolutePath().getParent();
        DurableDirectory.sync(resources);
        if (!isUsed(resources, journal) && JournalFiles.heldAt(journal).isEmpty()) {
            if (!JournalFiles.isNothingElse(journal)) {
                throw new IOException(
                        journal + " holds more than a journal, and nothing of it is deleted");
            }
            delete(journal);
            DurableDirectory.sync(journal.getParent());
        }
        Files.delete(note);
    }

    private Path journalIn(Path note) throws IOException {
        Path named = null;
        try {
            named = Path.of(Files.readString(note).strip());
        } catch (InvalidPathException e) {
            LOG.debug("{}: {}", note, e.getMessage());
        }
        if (named == null
                || !named.isAbsolute()
                || named.getFileName() == null
                || !isJournalName(named.getFileName().toString())) {
            throw new IOException("%s names no journal of %s".formatted(note, name));
        }
        return named;
    }

    /// As [Demotion] gives it: `home.journal`, `home.2.journal`.
    private boolean isJournalName(String file) {
        return file.startsWith(name)
                && file.substring(name.length()).matches("(\\.[0-9]+)?\\.journal");
    }

    private static boolean isWhole(Path dir) {
        if (Files.exists(dir.resolve(FACTS))) {
            return true;
        }
        try {
            deleteOver(dir);
        } catch (IOException | UncheckedIOException e) {
            LOG.warn("{} is over, and could not be deleted: {}", dir, e.getMessage());
        }
        return false;
    }

    static ResourceDir create(
            Path resources, String name, Facts facts, Superblock first, ResourceSettings settings)
            throws IOException {
        Path dir = resources.resolve(name);
        if (Files.exists(dir.resolve(FACTS))) {
            throw new IOException(
                    "%s is there already, though %s could not be opened: see the events of the start"
                            .formatted(dir, name));
        }
        return make(resources, dir, facts, first, settings, Map.of());
    }

    /// Makes the directory, whole by its last file. What fails is undone, also when that file is
    /// there and only could not be synced: its owner takes a failure for "there is none".
    private static ResourceDir make(
            Path resources,
            Path dir,
            Facts facts,
            Superblock first,
            ResourceSettings settings,
            Map<String, byte[]> marks)
            throws IOException {
        delete(dir);
        DurableDirectory.make(dir);
        TwoSlotFile<Superblock> slots = null;
        ResourceDir created = null;
        try {
            slots =
                    TwoSlotFile.create(
                            dir.resolve(SUPERBLOCK),
                            facts.uuid(),
                            Superblock.MAX_BYTES,
                            Superblock.CODEC,
                            first);
            // The peer of an earlier primary here was told of its transactions.
            long transaction = first.incarnation() == 0 ? 1 : beyondAll(first);
            MetadataFile metadata =
                    facts.isPrimary()
                            ? firstMetadata(
                                    dir,
                                    first,
                                    marks.containsKey(HEARD)
                                            ? Transaction.Blank.CLEAR
                                            : unknown(first),
                                    transaction)
                            : null;
            created = new ResourceDir(dir, facts, slots, metadata);
            created.accept(settings);
            if (!facts.isPrimary() || facts.paths().size() > 1) {
                AtomicFile.write(created.baseIdentityFile(), identity(facts).getBytes(UTF_8));
            }
            if (!facts.isPrimary()) {
                AtomicFile.write(created.attachedFile(), created.incarnation().getBytes(UTF_8));
            }
            for (Map.Entry<String, byte[]> mark : marks.entrySet()) {
                AtomicFile.write(dir.resolve(mark.getKey()), mark.getValue());
            }
            if (facts.isPrimary()) {
                created.recover();
            }
            AtomicFile.write(dir.resolve(FACTS), Json.writePretty(facts).getBytes(UTF_8));
            DurableDirectory.sync(resources);
            return created;
        } catch (IOException | RuntimeException e) {
            if (created != null) {
                created.close();
            } else if (slots != null) {
                slots.close();
            }
            undo(dir, e);
            throw e;
        }
    }

    private static void undo(Path dir, Exception why) {
        try {
            forget(dir);
        } catch (IOException | RuntimeException e) {
            why.addSuppressed(e); // A power cut may bring it back; it is whole then.
        }
    }

    static ResourceDir open(Path resources, String name) throws IOException {
        return open(current(resources, name));
    }

    private static ResourceDir open(Path dir) throws IOException {
        Facts facts = facts(dir);
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
            return TwoSlotFile.open(dir.resolve(SUPERBLOCK), facts.uuid(), Superblock.CODEC);
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
        return firstMetadata(dir, was, unknown(was), beyondAll(was));
    }

    private static Transaction.Blank unknown(Superblock of) {
        return of.ancestry().entries().isEmpty()
                ? Transaction.Blank.MISSING
                : Transaction.Blank.SUSPECT;
    }

    /// @param transaction number of the first one
    private static MetadataFile firstMetadata(
            Path dir, Superblock of, Transaction.Blank blank, long transaction)
            throws DeviceException {
        return MetadataFile.create(
                dir.resolve(METADATA),
                layout(of),
                MetadataLayout.first(
                        blank,
                        transaction,
                        new PeerCopy(of.acknowledged(), Position.NONE, of.peerMark(), 0)));
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
        return facts(current(resources, name));
    }

    private static Facts facts(Path dir) throws IOException {
        return factsIn(dir.resolve(FACTS));
    }

    private static Facts factsIn(Path file) throws IOException {
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

    /// How many bytes the journal may take: what it was made with, or more since.
    long journalBytes() throws IOException {
        return journalBytes(dir, facts);
    }

    /// The same of a resource that is not open.
    static long journalBytes(Path resources, String name, Facts facts) throws IOException {
        return journalBytes(current(resources, name), facts);
    }

    private static long journalBytes(Path dir, Facts facts) throws IOException {
        return number(dir.resolve(JOURNAL_GROWN), facts.journalBytes());
    }

    /// It may take so many from now on, durably.
    void journalGrown(long bytes) throws DeviceException {
        AtomicFile.write(dir.resolve(JOURNAL_GROWN), Long.toString(bytes).getBytes(UTF_8));
    }

    /// Where everything lies that is noted of the resource.
    Path path() {
        return dir.toAbsolutePath();
    }

    Superblock superblock() {
        return superblock.value();
    }

    /// Its presence means that the operator keeps this resource off the link.
    Path standaloneMark() {
        return dir.resolve(STANDALONE);
    }

    /// The boot of the host under which the primary was exported last.
    Path bootMark() {
        return dir.resolve("boot");
    }

    /// Why the peer keeps the boot gate closed, as it was told last.
    Path closedGateFile() {
        return dir.resolve("gate-closed");
    }

    /// What the disks were, as of the last attach of a primary or the last opening of a copy.
    private Path attachedFile() {
        return dir.resolve("attached");
    }

    /// Whether its disks are others now, and no evidence of a clean stop tells: the bitmap says
    /// nothing of what these hold.
    ///
    /// @param hasEvidence whether a clean stop took some; of a base with a journal none is taken
    boolean isDiskExchanged(boolean hasEvidence) throws IOException {
        return !(superblock().clean() && hasEvidence)
                && !superblock().ancestry().entries().isEmpty()
                && !isAttachedLast();
    }

    /// A disk that is certainly another one than the one attached last, in words; a new name of an
    /// old disk is none, nor is a restored file.
    Optional<String> otherDisk() throws IOException {
        if (!Files.exists(attachedFile())) {
            return Optional.empty();
        }
        List<String> were = Files.readString(attachedFile()).lines().toList();
        List<String> are = incarnation().lines().toList();
        for (int i = 0; i < Math.min(were.size(), are.size()); i++) {
            if (DeviceNode.areTwo(were.get(i), are.get(i))) {
                return Optional.of(
                        "%s is %s, and was %s"
                                .formatted(facts.paths().get(i), are.get(i), were.get(i)));
            }
        }
        return Optional.empty();
    }

    private boolean isAttachedLast() throws IOException {
        return Files.exists(attachedFile())
                && Files.readString(attachedFile()).equals(incarnation());
    }

    /// What the disks are now, a line for each volume.
    private String incarnation() throws DeviceException {
        List<String> lines = new ArrayList<>();
        for (Path each : facts.paths()) {
            lines.add(DeviceNode.of(each).incarnation());
        }
        return String.join("\n", lines);
    }

    /// The disks are attached. If they were exchanged, that everything is to be compared is durable
    /// by now. So neither an attach nor a stop forgets what [#isSameDisk] has to know.
    ///
    /// | step             | a crash behind it leaves                                          |
    /// |------------------|-------------------------------------------------------------------|
    /// | the mark written | a disk that is doubted, as it is to be                            |
    /// | or deleted       | the mark or none; that everything is to be compared stands for it |
    /// | identity written | the same                                                          |
    ///
    /// @param compared whether everything is to be
    synchronized void noteDisk(boolean compared) throws IOException {
        String now = incarnation();
        if (DeviceNode.mayBeAnother(now)) {
            doubtDisk();
        } else if (compared) {
            Files.deleteIfExists(dir.resolve(DOUBTED));
        }
        AtomicFile.write(attachedFile(), now.getBytes(UTF_8));
    }

    /// At a copy, which is opened: its base may be another one than last time where [#baseIdentity]
    /// does not tell, as a file that was restored under its name. Then it is doubted from now on,
    /// durably before it is forgotten what it was.
    ///
    /// @return whether it is another one
    synchronized boolean noteBase() throws IOException {
        if (isAttachedLast()) {
            return false;
        }
        doubtDisk();
        AtomicFile.write(attachedFile(), incarnation().getBytes(UTF_8));
        return true;
    }

    /// Whether the disks are those that were attached last, and there was no doubt of them since
    /// everything was compared: then they hold what was written to them, but for what was active in
    /// a crash.
    boolean isSameDisk() throws IOException {
        return !isDiskDoubted() && isAttachedLast();
    }

    boolean isDiskDoubted() {
        return Files.exists(dir.resolve(DOUBTED));
    }

    /// A disk has failed, and what an operator puts in its place or brings back to it nothing here
    /// says; or it is one that cannot be told from another. Whoever hears of a failure says so,
    /// also beside the one that ends the attach.
    synchronized void doubtDisk() throws DeviceException {
        AtomicFile.write(dir.resolve(DOUBTED), new byte[0]);
    }

    /// The base of a promoted copy is the disk here: what was doubted of it there is doubted here,
    /// and there no more. A crash in between leaves both marks, and it is done again.
    void takeDoubtOf(ResourceDir copy) throws IOException {
        if (copy.isDiskDoubted()) {
            doubtDisk();
            Files.deleteIfExists(copy.dir.resolve(DOUBTED));
        }
    }

    /// Everything was compared or sent while they were attached, and the copy has it. A crash
    /// leaves the mark or none, and both are right.
    synchronized void trustDisk() throws IOException {
        if (!DeviceNode.mayBeAnother(Files.readString(attachedFile()))) {
            Files.deleteIfExists(dir.resolve(DOUBTED));
        }
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

    /// Whether an operator has everything compared, and the peer's copy brought back to this.
    boolean isComparisonOrdered() throws IOException {
        return Arrays.equals(Files.readAllBytes(compareMark()), ORDERED);
    }

    /// What the last verification has found.
    Path verifyFile() {
        return dir.resolve("verify.json");
    }

    /// What a repair from the copy overwrites and writes ([RepairFile]), until it is finished: then
    /// its name is [#repairedFile].
    Path repairFile() {
        return dir.resolve("repair.blocks");
    }

    /// What was here before a repair that ended then: a name that no file has.
    Path repairedFile(Instant ended) {
        long millis = ended.toEpochMilli();
        Path file = dir.resolve("repaired-%d.blocks".formatted(millis));
        return Files.exists(file) ? repairedFile(ended.plusMillis(1)) : file;
    }

    /// The size that an operator has ordered, as [AddressSpace#text], until the resource has it.
    Path resizeMark() {
        return dir.resolve("resize");
    }

    /// The size from which on nobody knows whether the copy holds the same; at a backup, that of
    /// its points, and behind a space the generation of which [#grownIn] was told.
    Path grownMark() {
        return dir.resolve(GROWN);
    }

    /// The size that [#grownMark] holds, or `otherwise` without it.
    long grownFrom(long otherwise) throws IOException {
        return grown(grownMark()).map(Grown::fromBytes).orElse(otherwise);
    }

    /// At a backup: in this generation the primary uses a device of this size. Durable before
    /// anything of that generation is committed, so that of each point it is known which size it
    /// has.
    synchronized void grownIn(long sizeBytes, long generation) throws IOException {
        if (isGrown
                && sizeBytes >= superblock().sizeBytes()
                && grown(grownMark()).map(Grown::generation).orElse(0L) == 0) {
            AtomicFile.write(grownMark(), new Grown(grownFrom(sizeBytes), generation).encode());
        }
    }

    /// The size of a point with this past.
    synchronized long pointBytes(Ancestry past) throws IOException {
        return pointBytes(dir, superblock().sizeBytes(), past);
    }

    /// The same from the files alone.
    static long pointBytes(Path dir, long sizeBytes, Ancestry past) throws IOException {
        Path mark = dir.resolve(GROWN);
        return isOfGrown(mark, past)
                ? sizeBytes
                : grown(mark).map(Grown::fromBytes).orElse(sizeBytes);
    }

    /// At a backup: the mark of a growth goes when the newest point is of the larger device. One
    /// that a crash brings back means nothing, for the points say so themselves.
    ///
    /// Looked at all the time, so whoever writes the superblock to a disk that hangs is not waited
    /// for.
    void endGrowth(Ancestry past) throws IOException {
        if (!isGrown) {
            return;
        }
        synchronized (this) {
            if (isGrown && (isOfGrown(grownMark(), past) || !Files.exists(grownMark()))) {
                Files.deleteIfExists(grownMark());
                isGrown = false;
            }
        }
    }

    private static boolean isOfGrown(Path mark, Ancestry past) throws IOException {
        long generation = grown(mark).map(Grown::generation).orElse(0L);
        return generation != 0 && past.indexOf(generation) >= 0;
    }

    private static Optional<Grown> grown(Path mark) throws IOException {
        if (!Files.exists(mark)) {
            return Optional.empty();
        }
        try {
            return Optional.of(Grown.decode(Files.readAllBytes(mark)));
        } catch (IllegalArgumentException e) {
            throw new IOException(
                    "%s holds no size, or no generation: %s".formatted(mark, e.getMessage()), e);
        }
    }

    /// What [#resizeMark] holds, or null without it.
    AddressSpace wanted() throws IOException {
        if (!Files.exists(resizeMark())) {
            return null;
        }
        try {
            return AddressSpace.parse(Files.readString(resizeMark()).strip());
        } catch (IllegalArgumentException e) {
            throw new IOException(resizeMark() + ": " + e.getMessage(), e);
        }
    }

    /// The number in a small file of ours, or `otherwise` where there is none.
    private static long number(Path file, long otherwise) throws IOException {
        if (!Files.exists(file)) {
            return otherwise;
        }
        try {
            return Long.parseLong(Files.readString(file).strip());
        } catch (NumberFormatException e) {
            throw new IOException(file + " holds no number", e);
        }
    }

    /// The devices are larger from now on. A crash before the superblock is written leaves the
    /// smaller ones, and a mark behind their end that means nothing.
    synchronized void grow(AddressSpace space) throws IOException {
        Superblock was = superblock();
        long bytes = space.sizeBytes();
        long from = Faults.M28 ? bytes : Math.min(was.sizeBytes(), grownFrom(Long.MAX_VALUE));
        AtomicFile.write(grownMark(), new Grown(from, 0).encode());
        isGrown = true;
        write(was.ofSpace(space));
        if (metadata != null) {
            metadata.grown(layout(superblock()));
            missingBytes += bytes - was.sizeBytes();
        }
    }

    /// Takes the room for the metadata of devices of these sizes, before [#grow].
    void makeRoom(AddressSpace space) throws IOException {
        metadata.makeRoom(layout(superblock().ofSpace(space)));
    }

    /// What the device was like at the last clean stop, see [EvidenceFile].
    Path evidenceFile() {
        return dir.resolve("evidence");
    }

    /// Words about what was written past us, until all of it is compared.
    Path writtenPastFile() {
        return dir.resolve("written-past");
    }

    /// A sync of the superblock has failed: which of two it is, only a new opening finds out.
    boolean isSuperblockFailed() {
        return superblock.isFailed();
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

    /// What is durably known of the peer, for a look.
    MetadataLayout.Recovered recover() throws IOException {
        return recover(PageMemory.of(PageMemory.PAGE_BITS, LOOK_BYTES));
    }

    /// What is durably known of the peer.
    ///
    /// @param marks of the sets
    MetadataLayout.Recovered recover(PageMemory marks) throws IOException {
        // What a file that has failed holds in memory may not be on the disk.
        if (superblock.isFailed()) {
            superblock.close();
            superblock = openSuperblock(dir, facts);
        }
        if (metadata.isFailed()) {
            metadata.close();
            metadata = MetadataFile.open(dir.resolve(METADATA), layout(superblock()));
        }
        // The superblock may say more than it said when it was written: see [#grow].
        metadata.grown(layout(superblock()));
        MetadataLayout.Recovered found = metadata.recover(marks);
        long size = superblock().sizeBytes();
        missingBytes =
                Verdict.isFollowed(
                                superblock().ancestry(),
                                found.kept().peer().acknowledged(),
                                found.kept().peer().id())
                        ? found.kept().missingBytes() + size - grownFrom(size)
                        : size;
        wrote =
                OwnWrites.atRest(
                        facts.uuid(),
                        superblock().ancestry(),
                        superblock().position(),
                        superblock().clean(),
                        found.kept(),
                        Files.exists(compareMark()) || grownFrom(size) < size);
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
    /// Behind [#noteDisk]: from then on the mark of a doubt is that of these disks.
    ///
    /// @param kept from [#recover]
    /// @param unchanged whether nobody doubts that the device is what the clean stop left; if not,
    ///   its position there names another image by now
    /// @param generation of which nothing is heard if the one before goes on
    Primary.Attached attach(
            Kept kept, boolean unchanged, UUID node, long generation, long wallMillis)
            throws IOException {
        Superblock was = superblock();
        long heard = heard();
        boolean trusted = !isDiskDoubted();
        Ancestry.Reason reason;
        if (was.ancestry().entries().isEmpty()) {
            reason = Ancestry.Reason.CREATE;
        } else {
            reason = was.clean() ? Ancestry.Reason.ATTACH : Ancestry.Reason.CRASH;
        }
        Position unwritten = new Position(was.ancestry().generation(), 0);
        boolean goesOn =
                unchanged && reason == Ancestry.Reason.ATTACH && was.position().equals(unwritten);
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
        wrote = null;
        write(was.attached(ancestry, kept.peer()));
        return new Primary.Attached(ancestry, kept, heard, trusted);
    }

    /// What was written that the peer may lack, while the resource is not attached.
    Frame.Wrote wrote() {
        Frame.Wrote seen = wrote;
        Frame.Wrote known = seen == null ? notSeen() : seen;
        return isDiskDoubted() ? known.unknown() : known;
    }

    /// What can be said where nothing was looked at since an attach.
    private Frame.Wrote notSeen() {
        return new Frame.Wrote(
                facts.uuid(),
                superblock().position(),
                Position.NONE,
                0,
                Frame.Wrote.UNKNOWN,
                Frame.Wrote.UNKNOWN,
                !superblock().clean(),
                Frame.Wrote.UNKNOWN,
                false,
                Frame.Wrote.UNKNOWN);
    }

    /// An attach has failed, or a detach that did not end cleanly: what is known of it by now is
    /// looked at, as far as that can be.
    void lookAgain() {
        if (wrote != null) {
            return;
        }
        try {
            recover();
        } catch (IOException | RuntimeException e) {
            LOG.warn("{}: what it wrote is not known: {}", dir, e.getMessage());
        }
    }

    /// How much the peer may lack while the resource is not attached.
    long missingBytes() {
        return missingBytes;
    }

    /// A clean stop, after the metadata was kept and the evidence taken. A crash before its end
    /// leaves "not clean".
    void detached(Position last, PeerCopy peer, boolean byOperator) throws IOException {
        write(superblock().detached(last, peer, byOperator));
        recover();
    }

    // ---- backup ------------------------------------------------------------------------------

    /// A backup's first superblock. The random generation names this copy until it has a point.
    static Superblock newBackup(UUID id, AddressSpace space, boolean blank, UUID node, long copy) {
        Ancestry.Entry entry =
                new Ancestry.Entry(
                        copy,
                        Position.NONE,
                        Ancestry.Reason.CREATE,
                        node,
                        System.currentTimeMillis());
        return Superblock.ofBackup(id, space, blank, Ancestry.EMPTY.plus(entry));
    }

    /// Counts one more opening of the journal, durably.
    ///
    /// @return the number of this one
    long openJournal() throws DeviceException {
        write(superblock().opened());
        return superblock().incarnation();
    }

    /// What the disks are now, a line for each volume.
    ///
    /// @throws DeviceException if one of them is not there
    static String identity(Facts of) throws DeviceException {
        List<String> lines = new ArrayList<>();
        for (Path each : of.paths()) {
            lines.add(DeviceNode.of(each).identity());
        }
        return String.join("\n", lines);
    }

    Path baseIdentityFile() {
        return dir.resolve(BASE);
    }

    /// What the disks were when the resource was added; empty when an operator took the note away,
    /// and for the only disk of a primary.
    String baseIdentity() throws IOException {
        return baseIdentity(dir);
    }

    /// The same from the files alone.
    static String baseIdentity(Path dir) throws IOException {
        Path file = dir.resolve(BASE);
        return Files.exists(file) ? Files.readString(file) : "";
    }

    /// Where the role before this one has its files, of the same resource.
    static Path roleBefore(Path dir) {
        for (int role = roleOf(dir) - 1; role >= 0; role--) {
            Path before = dir.resolveSibling(nameOf(dir) + (role == 0 ? "" : ROLE + role));
            if (Files.exists(before.resolve(SUPERBLOCK))) {
                return before;
            }
        }
        return dir.resolveSibling(nameOf(dir));
    }

    /// A roll-forward begins or has ended. From the pool.
    synchronized void rolled(Backup.Base reached) throws DeviceException {
        write(superblock().rolled(reached));
    }

    /// Something of a first sync is about to be written to the base.
    ///
    /// @param tracked transaction of the primary's metadata under which it was written
    synchronized void filling(long tracked) throws DeviceException {
        Superblock was = superblock();
        Superblock next = was.filling(tracked);
        if (next != was) {
            write(next);
        }
    }

    /// The clocks of both hosts were compared.
    synchronized void checked(ClockCheck check) throws DeviceException {
        write(superblock().checked(check));
    }

    /// It was synced.
    synchronized void filled(Backup.Base upTo) throws DeviceException {
        write(superblock().filled(upTo));
    }

    @Override
    public void close() {
        superblock.close();
        if (metadata != null) {
            metadata.close();
        }
    }

    /// What is durable of it goes, and with it this role. An earlier one that is still there counts
    /// then.
    void remove() {
        close();
        try {
            forget(dir);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
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
