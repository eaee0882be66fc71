package holdfast.replicator.daemon;

import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.NodeSettings;
import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.config.Settings;
import holdfast.replicator.config.Size;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.device.Signature;
import holdfast.replicator.state.Role;
import holdfast.replicator.status.Words;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Frame;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/// A peer wants its copy of a resource here: what of this host it may have, and the making of the
/// copy. It takes only what is new or empty; anything else an operator of this host has to permit
/// ([Permits]), since the peer may have gone bad.
///
/// Offers of several names may be looked at at once; of one name its owner calls it in its turn
/// ([Turns]).
final class Offers {
    /// What a peer may ask to be kept here: 1 PiB.
    static final long MAX_BYTES = 1L << 50;

    /// A quarter of a text in a frame, which has at most four bytes for a character.
    private static final int WORDS_CHARS = 1000;

    private static final SecureRandom RANDOM = new SecureRandom();

    private final Shared shared;
    private final Supplier<NodeSettings> node;
    private final Path directory;
    private final Permits permits;
    private final Adding adding;
    private final Roster roster;
    private final TcpExports tcp;

    /// What is being made takes this room soon, by resource: nobody else counts on it. Guarded by
    /// this object's monitor.
    private final Map<String, Room> promised = new HashMap<>();

    /// @param journal bytes of the filesystem, all of which are taken as it is made
    /// @param copy bytes of new images, which have holes
    private record Room(long journal, long copy) {}

    /// @param directory of the resources in the state directory
    /// @param adding what is being made; an offer has begun there
    /// @param roster the resources of this node, which take room and have disks as well
    Offers(
            Shared shared,
            Supplier<NodeSettings> node,
            Path directory,
            Permits permits,
            Adding adding,
            Roster roster,
            TcpExports tcp) {
        this.shared = shared;
        this.node = node;
        this.directory = directory;
        this.permits = permits;
        this.adding = adding;
        this.roster = roster;
        this.tcp = tcp;
    }

    /// What comes of an offer.
    ///
    /// @param made the new copy, absent when nothing was made
    record Outcome(Frame.OfferReply reply, Optional<LocalBackup> made) {}

    /// Where the copy is to lie.
    ///
    /// @param isNew there is no such file yet, or it has no byte
    /// @param reads zero, all of it: new, or a file of holes
    private record Place(Path disk, boolean isNew, boolean blank, boolean ours, String holds) {}

    /// An offer of a name that nothing here has. [#kept] has to follow, whatever comes of it.
    ///
    /// @throws IOException if it is refused
    Outcome accept(String peer, Frame.Offer offer) throws IOException, ConfigException {
        String name = Settings.checkResourceName(offer.name());
        AddressSpace space = offer.space();
        if (space.dataBytes() > MAX_BYTES) {
            throw new IOException("a device of " + space.dataBytes() + " bytes");
        }
        if (!space.equals(AddressSpace.ofVolumes(space.volumeSizes()))) {
            throw new IOException("volumes that have grown before they were added");
        }
        ResourceSettings settings =
                withOwnHistory(name, ResourceSettings.parse(offer.settings(), "offer of " + peer));
        Path storage = storage();
        List<Path> disks = disks(name, settings, space.volumes(), storage);
        for (Path disk : disks) {
            requireAllowed(name, disk, storage);
        }
        adding.claim(name, disks);
        Roster.Now others = roster.now();
        for (Path disk : disks) {
            for (LocalResource each : others.open().values()) {
                requireOther(disk, each.name(), each.dir().facts());
            }
            for (Unopened each : others.unopened().values()) {
                if (each.facts().isPresent()) {
                    requireOther(disk, each.name(), each.facts().get());
                }
            }
        }
        Path oldJournal = storage.resolve(name + ".journal");
        List<Place> places = new ArrayList<>();
        long newBytes = 0;
        for (int i = 0; i < disks.size(); i++) {
            Place place = place(disks.get(i), storage, space.volumeBytes(i));
            places.add(place);
            newBytes += place.isNew() ? space.volumeBytes(i) : 0;
        }
        String holds = holds(places, JournalFiles.heldAt(oldJournal));
        String words = disks.stream().map(Path::toString).collect(Collectors.joining(", "));
        long journal = LocalBackup.wholeSegments(settings.journalSize().bytes());
        Room room = new Room(journal, newBytes);
        if (offer.dryRun()) {
            // It only looks, and keeps nothing from anybody.
            requireRoom(storage, room, promised(), node.get().storageMax());
        } else {
            promise(name, storage, room);
        }
        if (!holds.isEmpty()) {
            var wanted =
                    new Permits.Wanted(
                            peer, offer.resource(), name, words, space.dataBytes(), holds);
            if (!permits.allows(wanted)) {
                return new Outcome(
                        new Frame.OfferReply(
                                offer.resource(),
                                false,
                                bounded(words),
                                bounded(holds),
                                shared.command("permit " + name)),
                        Optional.empty());
            }
        }
        Frame.OfferReply yes =
                new Frame.OfferReply(offer.resource(), true, bounded(words), bounded(holds), "");
        if (offer.dryRun()) {
            return new Outcome(yes, Optional.empty());
        }
        LocalBackup made = make(peer, offer, settings, places, oldJournal, journal);
        permits.used(name);
        return new Outcome(yes, Optional.of(made));
    }

    /// What a frame takes, however many volumes there are.
    static String bounded(String words) {
        return words.substring(0, Math.min(words.length(), WORDS_CHARS));
    }

    /// What is kept of the history, and how long, is this host's to say (R22): as a person has
    /// written it here, else as it is proposed, and never as the peer has it.
    private ResourceSettings withOwnHistory(String name, ResourceSettings offered)
            throws IOException, ConfigException {
        Path file = shared.settingsFile(name);
        return Files.exists(file)
                ? offered.withHistoryOf(
                        ResourceSettings.parse(Files.readString(file), file.toString()))
                : offered.withProposedHistory();
    }

    /// Where the volumes are to lie: as the settings say, else `home.img`, `home.1.img` and so on.
    private List<Path> disks(String name, ResourceSettings settings, int volumes, Path storage)
            throws IOException {
        Optional<List<Path>> named = settings.disksAt(shared.node());
        if (named.isPresent() && named.get().size() != volumes) {
            throw new IOException(
                    "the settings name %d disks for the %d volumes of %s"
                            .formatted(named.get().size(), volumes, name));
        }
        List<Path> disks = new ArrayList<>();
        for (int i = 0; i < volumes; i++) {
            Path made = storage.resolve(i == 0 ? name + ".img" : "%s.%d.img".formatted(name, i));
            disks.add((named.isPresent() ? named.get().get(i) : made).normalize());
        }
        return disks;
    }

    /// All that would be lost, in words; empty for nothing.
    private static String holds(List<Place> places, Optional<String> more) {
        List<String> words = new ArrayList<>();
        for (Place each : places) {
            if (!each.holds().isEmpty()) {
                words.add(
                        places.size() == 1
                                ? each.holds()
                                : "%s: %s".formatted(each.disk(), each.holds()));
            }
        }
        more.ifPresent(words::add);
        return String.join("; ", words);
    }

    /// What is at a place now. A file without a byte of data is as good as none: it is what a crash
    /// in the middle of [#make] leaves, and nothing is lost by it.
    private static Place place(Path disk, Path storage, long sizeBytes) throws IOException {
        boolean inStorage = storage.normalize().equals(disk.getParent());
        if (!Files.exists(disk) || (Files.isRegularFile(disk) && Files.size(disk) == 0)) {
            return new Place(disk, true, true, true, "");
        }
        boolean empty;
        try (FileBlockDevice device = FileBlockDevice.openReadOnly(disk)) {
            if (device.sizeBytes() < sizeBytes) {
                throw new IOException(
                        "%s is too small: it has %s, %s are needed"
                                .formatted(
                                        disk,
                                        Words.bytes(device.sizeBytes()),
                                        Words.bytes(sizeBytes)));
            }
            empty =
                    Files.isRegularFile(disk)
                            && device.sizeBytes() == sizeBytes
                            && device.nextData(0) >= sizeBytes;
        }
        if (empty) {
            return new Place(disk, false, true, inStorage, "");
        }
        Optional<String> holds = holds(disk);
        return new Place(
                disk,
                false,
                false,
                false,
                Files.isRegularFile(disk)
                        ? holds.orElse("a file that was there already")
                        : holds.orElse(""));
    }

    /// The disk of another resource is not free, whatever it holds itself: the newest data may be
    /// in the journal alone. A lock keeps it only while the resource is open.
    private static void requireOther(Path disk, String owner, ResourceDir.Facts facts)
            throws IOException {
        for (Path theirs : facts.paths()) {
            boolean same =
                    Files.exists(disk) && Files.exists(theirs)
                            ? Files.isSameFile(disk, theirs)
                            : disk.toAbsolutePath().equals(theirs);
            if (same) {
                throw new IOException("%s belongs to the resource %s".formatted(disk, owner));
            }
        }
    }

    /// What a device holds, in words; empty when it is blank.
    static Optional<String> holds(Path disk) throws IOException {
        return switch (Signature.probe(disk)) {
            case Signature.Blank() -> Optional.empty();
            case Signature.Unknown(long offset) ->
                    Optional.of("data of an unknown kind, at byte " + offset);
            case Signature.Known(List<Signature.Content> found) ->
                    Optional.of(
                            found.stream()
                                    .map(Signature.Content::toString)
                                    .collect(Collectors.joining("; ")));
        };
    }

    /// A peer may name a block device, or a file directly in the storage directory. Any other file
    /// is used only if the settings that a person wrote here name it too: a peer gone bad must not
    /// choose where on this host something is written.
    private void requireAllowed(String name, Path disk, Path storage)
            throws IOException, ConfigException {
        boolean isBlockDevice =
                Files.exists(disk) && !Files.isRegularFile(disk) && !Files.isDirectory(disk);
        if (isBlockDevice || storage.normalize().equals(disk.getParent())) {
            return;
        }
        Path file = shared.settingsFile(name);
        boolean isNamedHere =
                Files.exists(file)
                        && ResourceSettings.parse(Files.readString(file), file.toString())
                                .disksAt(shared.node())
                                .orElse(List.of())
                                .stream()
                                .anyMatch(each -> each.normalize().equals(disk));
        if (!isNamedHere) {
            throw new IOException(
                    "%s is no device and lies outside the storage %s; to allow it, name it in %s at %s"
                            .formatted(disk, storage, file, shared.node()));
        }
    }

    /// Keeps the room for the journal of a copy whose disk is there already. [#kept] has to follow,
    /// whatever comes of it.
    ///
    /// @return where the journal may lie
    /// @throws IOException if the room is not there, or others are to have it
    Path promise(String name, long journalBytes) throws IOException {
        Path storage = storage();
        promise(name, storage, new Room(LocalBackup.wholeSegments(journalBytes), 0));
        return storage;
    }

    /// Keeps the room by which the journal of a copy that is there becomes larger. [#kept] has to
    /// follow, whatever comes of it.
    ///
    /// @param storage where it lies
    /// @param storageMax as it is to be
    /// @throws IOException if the room is not there, or others are to have it
    void promiseMore(String name, Path storage, long bytes, Optional<Size> storageMax)
            throws IOException {
        Room room = new Room(bytes, 0);
        requireRoom(storage, room, add(name, room), storageMax);
    }

    /// What was promised under this name is taken, and the resource counts for itself; or nothing
    /// has come of it. Without effect where nothing was promised.
    synchronized void kept(String name) {
        promised.remove(name);
    }

    private Path storage() throws IOException {
        return node.get()
                .storagePath()
                .orElseThrow(
                        () ->
                                new IOException(
                                        "no storage is set here; next, at "
                                                + shared.node()
                                                + ": holdfast storage DIR"));
    }

    /// All of it together.
    private synchronized Room promised() {
        return new Room(
                promised.values().stream().mapToLong(Room::journal).sum(),
                promised.values().stream().mapToLong(Room::copy).sum());
    }

    /// What was promised before, beside which this one counts from now on.
    private synchronized Room add(String name, Room room) {
        Room before = promised();
        promised.put(name, room);
        return before;
    }

    private void promise(String name, Path storage, Room room) throws IOException {
        requireRoom(storage, room, add(name, room), node.get().storageMax());
    }

    /// What is made and not [#kept] yet may be counted twice here, and a refusal come too early by
    /// that; never too late.
    ///
    /// @param soon what others are to have
    private void requireRoom(Path storage, Room room, Room soon, Optional<Size> max)
            throws IOException {
        long free = Files.getFileStore(storage).getUsableSpace();
        if (free - soon.journal() < room.journal()) {
            throw new IOException(
                    "%s has %s free%s, the journal alone takes %s: %s are missing"
                            .formatted(
                                    storage,
                                    Words.bytes(free),
                                    beingMade(soon.journal()),
                                    Words.bytes(room.journal()),
                                    Words.bytes(room.journal() + soon.journal() - free)));
        }
        if (max.isPresent()) {
            long used = room.journal() + room.copy() + soon.journal() + soon.copy();
            used += usedBytes(roster.now());
            if (used > max.get().bytes()) {
                throw new IOException(
                        "storage.max is %s, with this copy %s would be used%s"
                                .formatted(
                                        max.get(),
                                        Words.bytes(used),
                                        beingMade(soon.journal() + soon.copy())));
            }
        }
    }

    /// Journals and images of all copies, promoted ones and those that are not open as well.
    private long usedBytes(Roster.Now of) throws IOException {
        long used = 0;
        for (LocalResource each : of.open().values()) {
            Optional<LocalBackup> copy = ResourceManager.copyOf(each);
            if (copy.isPresent()) {
                LocalBackup backup = copy.get();
                used += backup.journalBytes();
                if (backup.dir().facts().ownDisk()) {
                    used += backup.dir().superblock().space().dataBytes();
                }
            }
        }
        for (Unopened each : of.unopened().values()) {
            ResourceDir.Facts facts = each.facts().orElse(null);
            if (facts != null && !facts.journal().isEmpty()) {
                used += ResourceDir.journalBytes(directory, each.name(), facts);
                for (Path disk : facts.ownDisk() ? facts.paths() : List.<Path>of()) {
                    used += Files.exists(disk) ? Files.size(disk) : 0;
                }
            }
        }
        return used;
    }

    private static String beingMade(long bytes) {
        return bytes == 0
                ? ""
                : ", %s of it by what is being made just now".formatted(Words.bytes(bytes));
    }

    /// Makes the copy, in this order. Nothing is written into what was there before the resource
    /// exists, and the same `add` goes on after a crash:
    ///
    /// | a crash after          | leaves                                         | the next try                       |
    /// |------------------------|------------------------------------------------|------------------------------------|
    /// | the settings file      | it                                             | writes it again                    |
    /// | the journal's deletion | that: it belonged to no resource, and records in it were permitted to go | deletes nothing |
    /// | an image's creation    | a file without data, of 0 bytes or of its size | makes it anew, or takes it as new  |
    /// | the journal's first segment | it, which belongs to no resource          | deletes it                         |
    /// | parts of the directory | no `resource.json`: the start removes it       | makes it again                     |
    /// | `resource.json`        | the resource, which a start opens              | finds it, without a point, and so is done |
    private LocalBackup make(
            String peer,
            Frame.Offer offer,
            ResourceSettings settings,
            List<Place> places,
            Path journal,
            long journalBytes)
            throws IOException {
        Path file = shared.settingsFile(offer.name());
        Files.createDirectories(file.getParent());
        AtomicFile.write(file, settings.render().getBytes(StandardCharsets.UTF_8));
        ResourceDir.delete(journal);
        try {
            for (int i = 0; i < places.size(); i++) {
                if (places.get(i).isNew()) {
                    Files.deleteIfExists(places.get(i).disk());
                    FileBlockDevice.create(places.get(i).disk(), offer.space().volumeBytes(i))
                            .close();
                }
            }
            ResourceDir.Facts facts =
                    new ResourceDir.Facts(
                            offer.resource().toString(),
                            Role.SECONDARY.name(),
                            places.stream()
                                    .map(each -> each.disk().toAbsolutePath().toString())
                                    .toList(),
                            places.stream().allMatch(Place::ours),
                            journal.toString(),
                            journalBytes,
                            peer);
            LocalBackup.create(facts);
            ResourceDir dir =
                    ResourceDir.create(
                            directory,
                            offer.name(),
                            facts,
                            ResourceDir.newBackup(
                                    offer.resource(),
                                    offer.space(),
                                    places.stream().allMatch(Place::blank),
                                    shared.nodeId(),
                                    RANDOM.nextLong() | 1),
                            settings);
            try {
                return LocalBackup.open(shared, dir, tcp);
            } catch (IOException | RuntimeException e) {
                dir.remove();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            ResourceDir.delete(journal);
            for (Place each : places) {
                if (each.isNew()) {
                    Files.deleteIfExists(each.disk());
                }
            }
            throw e;
        }
    }
}
