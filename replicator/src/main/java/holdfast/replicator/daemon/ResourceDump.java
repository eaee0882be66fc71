package holdfast.replicator.daemon;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.MetadataDump;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.MetadataFile;
import holdfast.replicator.device.OwnedLock;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.Limits;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;

/// The files of a resource as `dump-md` shows them. It takes no lock and writes nothing, so it may
/// read beside the daemon that owns them; what was changed meanwhile is read again.
final class ResourceDump {
    /// A daemon makes a transaction every two seconds, and more only while cold extents are being
    /// written.
    private static final int TRIES = 20;

    private final NodePaths paths;
    private final Path resources;
    private final String name;
    private final int rangesLimit;

    ResourceDump(NodePaths paths, String name, int rangesLimit) {
        this.paths = paths;
        this.resources = paths.state().resolve("resources");
        this.name = name;
        this.rangesLimit = rangesLimit;
    }

    MetadataDump read() throws ProblemException {
        try {
            requireThere();
            ResourceDir.Facts facts = ResourceDir.facts(resources, name);
            Reading reading = new Reading(facts);
            for (int i = 1; i < TRIES && !reading.isDone(); i++) {
                reading = new Reading(facts);
            }
            return reading.dump();
        } catch (AccessDeniedException e) {
            throw new ProblemException(
                    problem(ExitCode.FAILED, e.getFile() + " may not be read")
                            .withEvidence(
                                    "this is user %s, and the state directory is its owner's alone"
                                            .formatted(System.getProperty("user.name")))
                            .withNext("sudo " + command(name)));
        } catch (IOException e) {
            throw new ProblemException(
                    problem(
                                    ExitCode.FAILED,
                                    "what %s is cannot be read".formatted(resources.resolve(name)))
                            .withEvidence(String.valueOf(e.getMessage()))
                            .withNext(paths.command("doctor")));
        }
    }

    private void requireThere() throws IOException, ProblemException {
        List<String> names;
        try {
            names = names();
        } catch (NoSuchFileException e) {
            throw new ProblemException(
                    problem(ExitCode.REFUSED, "there is no resource " + name + ", nor any other")
                            .withEvidence("%s does not exist".formatted(e.getFile()))
                            .withNext("holdfast --root DIR dump-md " + name));
        }
        Path dir = resources.resolve(name);
        if (names.contains(name)) {
            return;
        }
        if (resources.equals(dir.getParent())
                && dir.normalize().equals(dir)
                && Files.isDirectory(dir)) {
            throw new ProblemException(
                    problem(ExitCode.REFUSED, "the add of " + name + " was not finished")
                            .withEvidence(dir + " has no resource.json: the rest means nothing")
                            .withNext(paths.command("add " + name + " DISK")));
        }
        throw new ProblemException(
                problem(ExitCode.REFUSED, "there is no resource " + name)
                        .withEvidence(
                                names.isEmpty()
                                        ? resources + " is empty"
                                        : "there is " + String.join(", ", names))
                        .withNext(
                                names.isEmpty()
                                        ? paths.command("status")
                                        : command(names.getFirst())));
    }

    /// Of whole resources; nothing is tidied up.
    private List<String> names() throws IOException {
        try (Stream<Path> dirs = Files.list(resources)) {
            return dirs.filter(dir -> Files.exists(dir.resolve("resource.json")))
                    .map(dir -> dir.getFileName().toString())
                    .sorted()
                    .toList();
        }
    }

    private static Problem problem(ExitCode code, String cause) {
        return Problem.of(code, "this host", cause);
    }

    private String command(String of) {
        return paths.command("dump-md " + of);
    }

    /// One try.
    private final class Reading {
        private final ResourceDir.Facts facts;
        private final Path dir = resources.resolve(name);
        private final List<String> damage = new ArrayList<>();
        private final OptionalLong daemon = OwnedLock.holderOf(paths.state());
        private final TwoSlotFile.Seen<Superblock> superblock;
        private final MetadataFile.Seen metadata;
        private boolean isOneMoment = true;

        private Reading(ResourceDir.Facts facts) throws IOException {
            this.facts = facts;
            this.superblock = superblock();
            this.metadata = metadata();
            if (superblock != null) {
                isOneMoment &= superblock().counter() == superblock.counter();
            }
        }

        /// Damage beside a daemon may be a page that it is writing at this moment.
        private boolean isDone() {
            return isOneMoment && (damage.isEmpty() || daemon.isEmpty());
        }

        private TwoSlotFile.Seen<Superblock> superblock() throws IOException {
            try {
                TwoSlotFile.Seen<Superblock> seen =
                        TwoSlotFile.look(
                                readable(ResourceDir.SUPERBLOCK), facts.uuid(), Superblock.CODEC);
                if (seen.damage() != null && damage.isEmpty()) {
                    damage.add(seen.damage() + " (the other slot is shown)");
                }
                return seen;
            } catch (CorruptFormatException | NoSuchFileException e) {
                isOneMoment &= daemon.isEmpty();
                damage.add(why(e));
                return null;
            }
        }

        private MetadataFile.Seen metadata() throws IOException {
            if (!facts.isPrimary()) {
                return null;
            }
            if (superblock == null) {
                damage.add(
                        "%s was not read: how it is laid out follows from the size in the superblock"
                                .formatted(dir.resolve(ResourceDir.METADATA)));
                return null;
            }
            try {
                MetadataFile.Seen seen =
                        MetadataFile.look(
                                readable(ResourceDir.METADATA),
                                ResourceDir.layout(superblock.value()));
                isOneMoment &= seen.isOneMoment();
                if (seen.recovered().damage() != null) {
                    damage.add(
                            dir.resolve(ResourceDir.METADATA) + ": " + seen.recovered().damage());
                }
                return seen;
            } catch (AccessDeniedException e) {
                throw e;
            } catch (IOException e) {
                damage.add(why(e) + "; the next start compares every block");
                return null;
            }
        }

        /// So that whoever may not read it is told that and not an error's number.
        private Path readable(String file) throws IOException {
            Path path = dir.resolve(file);
            if (!Files.exists(path)) {
                throw new NoSuchFileException(path.toString());
            }
            if (!Files.isReadable(path)) {
                throw new AccessDeniedException(path.toString());
            }
            return path;
        }

        private static String why(Exception e) {
            return e instanceof NoSuchFileException
                    ? e.getMessage() + " is missing"
                    : e.getMessage();
        }

        private MetadataDump dump() {
            return new MetadataDump(
                    name,
                    dir.toString(),
                    daemon.isPresent() ? Optional.of(daemon.getAsLong()) : Optional.empty(),
                    isOneMoment,
                    facts.id(),
                    facts.role(),
                    facts.words(),
                    Optional.of(facts.journal()).filter(j -> !j.isEmpty()),
                    facts.peer(),
                    Optional.ofNullable(superblock).map(this::superOf),
                    superblock == null ? List.of() : generations(superblock.value().ancestry()),
                    Optional.ofNullable(metadata).map(this::trackingOf),
                    ResourceDir.MARKS.stream().filter(m -> Files.exists(dir.resolve(m))).toList(),
                    List.copyOf(damage));
        }

        private MetadataDump.Super superOf(TwoSlotFile.Seen<Superblock> seen) {
            Superblock s = seen.value();
            return new MetadataDump.Super(
                    dir.resolve(ResourceDir.SUPERBLOCK).toString(),
                    seen.slot(),
                    seen.counter(),
                    s.role().name(),
                    s.sizeBytes(),
                    segments(s.space()),
                    s.clean(),
                    s.everCommitted(),
                    s.blank(),
                    s.detached(),
                    s.mixture(),
                    text(s.position()),
                    text(s.acknowledged()),
                    hex(s.peerMark()),
                    s.watermark(),
                    s.rollingTo(),
                    s.incarnation(),
                    s.movedBy(),
                    s.filled());
        }

        private static List<MetadataDump.Segment> segments(AddressSpace space) {
            List<MetadataDump.Segment> segments = new ArrayList<>();
            long end = 0;
            for (AddressSpace.Segment each : space.segments()) {
                long address = Math.ceilDiv(end, AddressSpace.UNIT_BYTES) * AddressSpace.UNIT_BYTES;
                end = address + each.lengthBytes();
                segments.add(new MetadataDump.Segment(each.volume(), address, each.lengthBytes()));
            }
            return space.hasSeveral() ? segments : List.of();
        }

        private static List<MetadataDump.Generation> generations(Ancestry ancestry) {
            return ancestry.entries().stream()
                    .map(
                            e ->
                                    new MetadataDump.Generation(
                                            hex(e.generation()),
                                            text(e.parent()),
                                            e.reason().name(),
                                            e.author().toString(),
                                            Instant.ofEpochMilli(e.wallMillis())))
                    .toList();
        }

        private MetadataDump.Tracking trackingOf(MetadataFile.Seen seen) {
            Kept kept = seen.recovered().kept();
            return new MetadataDump.Tracking(
                    dir.resolve(ResourceDir.METADATA).toString(),
                    ResourceDir.layout(superblock.value()).fileBytes(),
                    kept.isLost(),
                    kept.transaction(),
                    kept.era(),
                    kept.blank().name(),
                    text(kept.peer().acknowledged()),
                    text(kept.peer().completeFrom()),
                    hex(kept.peer().id()),
                    kept.peer().filled(),
                    kept.told(),
                    kept.extents().size(),
                    Limits.DEFAULT.activeExtents(),
                    extents(kept.extents()),
                    marks(kept.dirty()),
                    marks(kept.suspect()));
        }

        private List<MetadataDump.Range> extents(List<Long> active) {
            BlockSet blocks = new BlockSet(BlockSet.blocksOf(superblock.value().sizeBytes()));
            int extentBlocks = Limits.DEFAULT.extentBlocks();
            for (long extent : active) {
                long first = Math.min(extent * extentBlocks, blocks.capacity());
                blocks.addRange(first, Math.min(first + extentBlocks, blocks.capacity()));
            }
            return ranges(blocks, Integer.MAX_VALUE);
        }

        private MetadataDump.Marks marks(BlockSet set) {
            return new MetadataDump.Marks(set.count(), set.runCount(), ranges(set, rangesLimit));
        }

        private List<MetadataDump.Range> ranges(BlockSet set, int limit) {
            List<MetadataDump.Range> ranges = new ArrayList<>();
            for (long b = set.next(0); b >= 0 && ranges.size() < limit; ) {
                BlockRun run = set.runAround(b);
                ranges.add(
                        new MetadataDump.Range(
                                run.offsetBytes(),
                                run.lengthBytes(superblock.value().sizeBytes())));
                b = set.next(run.end());
            }
            return ranges;
        }
    }

    /// All of it, unlike [Position#toString].
    private static String text(Position position) {
        return position.isNone()
                ? "none"
                : "%s/%d".formatted(hex(position.generation()), position.number());
    }

    private static String hex(long id) {
        return "%016x".formatted(id);
    }
}
