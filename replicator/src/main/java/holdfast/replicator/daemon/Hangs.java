package holdfast.replicator.daemon;

import holdfast.replicator.device.DiskCalls;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Which files of a resource do not answer, and what waits for each: its devices, its journal, and
/// what is noted beside them. A disk that hangs says nothing, and neither does whoever waits for
/// it; it is heard of here, in the status and the events, and nowhere else.
///
/// | role    | file                     | what waits                                             |
/// |---------|--------------------------|--------------------------------------------------------|
/// | primary | its disk                 | what was asked of it                                   |
/// | primary | `metadata`               | writes to extents that are not in the activity log yet |
/// | copy    | a segment of its journal | what comes from the peer, and there protocol C         |
/// | copy    | its base                 | the roll-forward, a first sync                         |
/// | copy    | what kept moments need   | the roll-forward                                       |
/// | both    | the rest                 | orders, and of a copy the roll-forward                 |
final class Hangs {
    /// A disk that takes longer for one request is said to hang. Slow ones, and those that spin up,
    /// answer within it.
    static final Duration LONG = Duration.ofSeconds(10);

    /// A file that does not answer.
    ///
    /// @param waits what waits for it, as a sentence
    record Hang(String file, Duration since, String waits) {
        String words() {
            return "%s has not answered a request for %d s: %s"
                    .formatted(file, since.toSeconds(), waits);
        }
    }

    private static final String OF_DISK = "what was asked of it waits";
    private static final String OF_ROLL = "nothing goes from the journal into the base meanwhile";

    private final Shared shared;

    /// By resource, the files of which it was told that they hang. The timer's.
    private final Map<String, List<String>> told = new HashMap<>();

    Hangs(Shared shared) {
        this.shared = shared;
    }

    /// Tells what hangs and what answers again; once a second, by one thread.
    void look(Collection<LocalResource> resources) {
        Map<String, List<String>> now = new HashMap<>();
        for (LocalResource each : resources) {
            List<String> before = told.getOrDefault(each.name(), List.of());
            List<String> files = new ArrayList<>();
            for (Hang hang : of(each)) {
                files.add(hang.file());
                if (!before.contains(hang.file())) {
                    tell(each, "disk-hangs", hang.words());
                }
            }
            for (String file : before) {
                if (!files.contains(file)) {
                    tell(each, "disk-answers", file + " answers again");
                }
            }
            if (!files.isEmpty()) {
                now.put(each.name(), files);
            }
        }
        told.clear();
        told.putAll(now);
    }

    private void tell(LocalResource of, String kind, String text) {
        // Its line in the log file may be on what hangs.
        shared.events().soon(of.name(), kind, text);
    }

    /// Those of one resource, the one first that has not answered for longest.
    static List<Hang> of(LocalResource resource) {
        long now = System.nanoTime();
        List<Hang> hangs = new ArrayList<>();
        for (DiskCalls.Owed each : DiskCalls.owedSince(now - LONG.toNanos())) {
            waits(resource, Path.of(each.path()))
                    .map(waits -> new Hang(each.path(), since(each.sinceNanos(), now), waits))
                    .ifPresent(hangs::add);
        }
        if (hangs.isEmpty()) {
            otherwise(resource, now).ifPresent(hangs::add);
        }
        hangs.sort((a, b) -> b.since().compareTo(a.since()));
        return hangs;
    }

    /// Whether what clients have written or flushed waits for the disk: then a sync of it would
    /// never end. That another file of the resource hangs is no reason to cut anybody off.
    static boolean holdsClients(LocalPrimary primary) {
        long now = System.nanoTime();
        if (primary.resource()
                .flatMap(at -> at.atDiskFor(now))
                .filter(each -> each.compareTo(LONG) >= 0)
                .isPresent()) {
            return true;
        }
        Optional<LocalBackup> copy = ResourceManager.copyOf(primary);
        return DiskCalls.owedSince(now - LONG.toNanos()).stream()
                .map(each -> Path.of(each.path()))
                .anyMatch(
                        file ->
                                copy.isPresent()
                                        ? file.startsWith(journal(copy.get()))
                                        : primary.dir().facts().paths().contains(file));
    }

    private static Path journal(LocalBackup copy) {
        return Path.of(copy.dir().facts().journal()).toAbsolutePath();
    }

    private static Duration since(long sinceNanos, long nowNanos) {
        return Duration.ofNanos(nowNanos - sinceNanos);
    }

    /// What waits for a file of this resource; empty for one of another.
    private static Optional<String> waits(LocalResource resource, Path file) {
        ResourceDir dir = resource.dir();
        Optional<LocalBackup> copy = ResourceManager.copyOf(resource);
        Optional<String> ofCopy = copy.flatMap(each -> waits(each, resource != each, file));
        if (ofCopy.isPresent()) {
            return ofCopy;
        }
        if (dir.facts().paths().contains(file)) {
            return Optional.of(OF_DISK);
        }
        if (file.equals(dir.path().resolve(ResourceDir.METADATA))) {
            return Optional.of(
                    "writes wait that go to a place where nothing was written lately, since that is noted there first");
        }
        return file.startsWith(dir.path())
                ? Optional.of("an attach, a detach or a growth of the device waits for it")
                : Optional.empty();
    }

    private static Optional<String> waits(LocalBackup copy, boolean promoted, Path file) {
        ResourceDir.Facts facts = copy.dir().facts();
        Path journal = journal(copy);
        if (file.startsWith(journal)) {
            return Optional.of(
                    promoted
                            ? "what clients write waits"
                            : "nothing that comes from %s is stored or acknowledged, and a write under protocol C waits there"
                                    .formatted(facts.peer()));
        }
        if (facts.paths().contains(file)) {
            return Optional.of(promoted ? OF_DISK : OF_ROLL + ", and a first sync waits");
        }
        boolean isRolledThrough =
                file.startsWith(PinStore.directoryBeside(journal))
                        || file.startsWith(copy.dir().path());
        return isRolledThrough ? Optional.of(OF_ROLL) : Optional.empty();
    }

    /// What waits in no call of its own.
    private static Optional<Hang> otherwise(LocalResource resource, long nowNanos) {
        return switch (resource) {
            case LocalPrimary primary ->
                    primary.resource()
                            .flatMap(
                                    at ->
                                            at.atDiskFor(nowNanos)
                                                    .filter(each -> each.compareTo(LONG) >= 0)
                                                    .map(
                                                            each ->
                                                                    new Hang(
                                                                            at.deviceName(),
                                                                            each,
                                                                            OF_DISK)));
            case LocalBackup copy ->
                    copy.resource()
                            .heldUp(nowNanos)
                            .filter(each -> each.since().compareTo(LONG) >= 0);
        };
    }
}
