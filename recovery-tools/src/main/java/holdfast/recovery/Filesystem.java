package holdfast.recovery;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.Signature;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/// What stands in a copy, as far as mounting and checking it have to know.
///
/// @param type in the words of mount(8)
/// @param uuid empty where it has none
record Filesystem(String type, String label, String uuid) {
    private static final Set<String> MOUNTABLE =
            Set.of(
                    "ext2",
                    "ext3",
                    "ext4",
                    "xfs",
                    "btrfs",
                    "vfat",
                    "exfat",
                    "ntfs",
                    "f2fs",
                    "jfs",
                    "reiserfs",
                    "nilfs2",
                    "gfs2",
                    "ocfs2",
                    "bcachefs",
                    "iso9660",
                    "udf",
                    "squashfs",
                    "erofs",
                    "cramfs");

    /// How a line of e2fsck ends by which a file or directory is no more: -p takes away the name of
    /// one whose inode is gone, and calls that mended. Names stand before that. Other things that
    /// are `CLEARED` cost no file: the index of a directory, which is made anew, a flag.
    private static final Pattern GIVEN_UP =
            Pattern.compile(
                    "(?m)( has deleted/unused inode \\d+\\.\\s+CLEARED"
                            + "| is a zero-length directory\\.\\s+CLEARED"
                            + "|(^|\\s)INODE CLEARED"
                            + "|(^|\\s)FILE DELETED)\\.$");

    private static final Path BLOCK_DEVICES = Path.of("/sys/class/block");
    private static final Path BTRFS = Path.of("/sys/fs/btrfs");

    /// The filesystem of a device.
    ///
    /// @throws ProblemException when there is none; it says what there is instead
    static Filesystem of(BlockDevice device) throws DeviceException, ProblemException {
        Signature signature = Signature.probe(device);
        if (signature instanceof Signature.Known(List<Signature.Content> found)) {
            for (Signature.Content each : found) {
                if (MOUNTABLE.contains(each.type())) {
                    return new Filesystem(each.type(), each.label(), each.uuid());
                }
            }
        }
        String instead =
                switch (signature) {
                    case Signature.Blank _ -> "where one begins all is zero";
                    case Signature.Unknown(long offset) ->
                            "what begins at byte %d is nothing that is known".formatted(offset);
                    case Signature.Known(List<Signature.Content> found) ->
                            "it holds %s; let the tools for that look into it".formatted(found);
                };
        throw new ProblemException(
                Problem.of(ExitCode.REFUSED, "this host", "no filesystem is recognised")
                        .withEvidence(instead)
                        .withNext("holdfast open NAME --writable"));
    }

    /// Like `ext4 "home" 8c…`.
    String words() {
        return new Signature.Content(type, label, uuid).toString();
    }

    /// Options for mount(8). What the copy's owner could do with a device node or a set-uid program
    /// he put there is not to be done here.
    String options(boolean readOnly) {
        // An xfs with the UUID of one that is mounted is refused by the kernel without nouuid.
        return (readOnly ? "ro" : "rw,noatime")
                + ",nosuid,nodev"
                + (type.equals("xfs") ? ",nouuid" : "");
    }

    /// How it is checked after its journal was replayed; empty where no way is known. It may mend
    /// what it finds: what it works on is thrown away.
    Optional<List<String>> check(String device) {
        return switch (type) {
            case "ext2", "ext3", "ext4" -> Optional.of(List.of("e2fsck", "-f", "-p", device));
            case "xfs" -> Optional.of(List.of("xfs_repair", "-n", "-f", device));
            case "btrfs" -> Optional.of(List.of("btrfs", "check", "--readonly", "--force", device));
            case "vfat" -> Optional.of(List.of("fsck.fat", "-n", device));
            case "f2fs" -> Optional.of(List.of("fsck.f2fs", "--dry-run", device));
            default -> Optional.empty();
        };
    }

    /// What a check has found.
    sealed interface Verdict {}

    record Sound() implements Verdict {}

    /// There were errors, which are gone, in the overlay alone.
    record Mended(String words) implements Verdict {}

    record Damaged(String words) implements Verdict {}

    /// What stands in a line of its output when something is lost, where the code does not say so.
    Optional<Pattern> signOfLoss() {
        return type.startsWith("ext") ? Optional.of(GIVEN_UP) : Optional.empty();
    }

    /// What the exit code of [#check] means, and [#signOfLoss] in what it printed.
    Verdict verdict(Programs.Ran ran) {
        if (ran.code() == 0) {
            return new Sound();
        }
        if (!type.startsWith("ext")) {
            return new Damaged(ran.words());
        }
        // e2fsck(8): a sum of bits. 4 is what -p dares not mend, 8 and more that it could not look.
        if ((ran.code() & ~7) != 0) {
            return new Damaged("it could not be checked: " + ran.words());
        }
        if (ran.found().isPresent()) {
            String line = ran.found().get();
            boolean isShown = ran.output().contains(line);
            return new Damaged("files are lost: " + (isShown ? "" : line + " … ") + ran.words());
        }
        return (ran.code() & 4) != 0
                ? new Damaged(ran.words())
                : new Mended("errors were mended, in the overlay alone: " + ran.words());
    }

    /// Where this host shows the same btrfs, in words. Its kernel tells the devices of a btrfs by
    /// its UUID and takes a second one of the same for its own: reads and writes of the mounted one
    /// could go to the copy.
    Optional<String> twin() throws IOException {
        if (!type.equals("btrfs") || uuid.isEmpty()) {
            return Optional.empty();
        }
        if (Files.exists(BTRFS.resolve(uuid))) {
            return Optional.of("mounted (" + BTRFS.resolve(uuid) + ")");
        }
        List<Path> devices = new ArrayList<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(BLOCK_DEVICES)) {
            all.forEach(devices::add);
        }
        for (Path each : devices) {
            Path node = Path.of("/dev").resolve(each.getFileName().toString().replace('!', '/'));
            if (hasUuid(node)) {
                return Optional.of("on " + node);
            }
        }
        return Optional.empty();
    }

    private boolean hasUuid(Path node) {
        try {
            return Signature.probe(node) instanceof Signature.Known(List<Signature.Content> found)
                    && found.stream().anyMatch(each -> each.uuid().equals(uuid));
        } catch (DeviceException e) {
            // A drive without a medium, a device that has gone: it shows nothing.
            return false;
        }
    }
}
