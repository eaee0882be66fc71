package holdfast.replicator.device;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What a path leads to: one file or one block device, however many names it has.
///
/// @param path as the user wrote it
/// @param isBlockDevice else it is a regular file
/// @param device the number of the block device; for a file that of the filesystem it is in
/// @param inode of the file, 0 for a block device
public record DeviceNode(Path path, boolean isBlockDevice, long device, long inode) {
    private static final Path SYS_BLOCK = Path.of("/sys/dev/block");
    private static final int TYPE_MASK = 0170000;
    private static final int TYPE_BLOCK = 0060000;
    private static final int TYPE_FILE = 0100000;

    /// Follows symbolic links.
    ///
    /// @throws DeviceException if there is nothing, or neither a file nor a block device
    public static DeviceNode of(Path path) throws DeviceException {
        Map<String, Object> stat;
        try {
            stat = Files.readAttributes(path, "unix:mode,dev,ino,rdev");
        } catch (NoSuchFileException e) {
            throw new DeviceException(Errno.ENOENT, path.toString(), e);
        } catch (IOException e) {
            throw new DeviceException(Errno.EACCES, path + " cannot be looked at", e);
        }
        return switch ((int) stat.get("mode") & TYPE_MASK) {
            case TYPE_BLOCK -> new DeviceNode(path, true, (long) stat.get("rdev"), 0);
            case TYPE_FILE ->
                    new DeviceNode(path, false, (long) stat.get("dev"), (long) stat.get("ino"));
            default ->
                    throw new DeviceException(
                            0, path + " is neither a regular file nor a block device");
        };
    }

    /// The file that a loop device, or a partition of one, shows; otherwise the node itself. All
    /// aliases of one content have one root.
    DeviceNode root() throws DeviceException {
        if (!isBlockDevice) {
            return this;
        }
        for (Path place : List.of(Path.of("loop"), Path.of("..", "loop"))) {
            Path backing = sys().resolve(place).resolve("backing_file");
            if (Files.exists(backing)) {
                String file = LinuxText.read(backing);
                Path target = Path.of(file);
                // A deleted file cannot be opened by another name; its loop device is all there is.
                return Files.isRegularFile(target) ? of(target).root() : this;
            }
        }
        return this;
    }

    /// Whether both show the same content, by whatever name.
    public static boolean areSame(Path a, Path b) throws DeviceException {
        return of(a).lockKey().equals(of(b).lockKey());
    }

    /// Names the content for [OwnedLock]: equal for a file, its hard links, symbolic links, bind
    /// mounts and loop devices.
    String lockKey() throws DeviceException {
        DeviceNode root = root();
        return root.isBlockDevice
                ? "dev-" + numbers(root.device).replace(':', '-')
                : "file-%s-%d".formatted(numbers(root.device).replace(':', '-'), root.inode);
    }

    /// A device that says nothing of itself by which another one could be told from it.
    private static final String WITHOUT_ID = "a device without an id";

    private static final String FILE = "the file with inode ";

    /// The same of a file.
    private static final String WITHOUT_BIRTH = "made nobody knows when";

    /// Which file or device it is, in words that stay the same over a reboot and differ for another
    /// one at the same path: for a file its inode, for a device what it says of itself, as far as
    /// it does.
    public String identity() {
        if (!isBlockDevice) {
            return FILE + inode;
        }
        Path sys = sys();
        String part = "";
        if (Files.exists(sys.resolve("partition"))) {
            part = "partition " + LinuxText.read(sys.resolve("partition")) + " of ";
            sys = sys.getParent();
        }
        for (String name : List.of("dm/uuid", "wwid", "device/wwid", "serial", "device/serial")) {
            if (Files.isReadable(sys.resolve(name))) {
                String id = LinuxText.read(sys.resolve(name)).strip();
                if (!id.isEmpty()) {
                    // A mapping of cryptsetup may be given another name: CRYPT-LUKS2-id-name.
                    return part
                            + "the device "
                            + id.replaceFirst("^(CRYPT-[^-]+-[0-9a-f]{32})-.*", "$1");
                }
            }
        }
        return part + WITHOUT_ID;
    }

    /// As [#identity], and of a file also when it was made: one that was deleted and restored, or
    /// lies in a filesystem made anew, often has the inode of the one before. The filesystem keeps
    /// that time (ext4 with inodes of 256 bytes, xfs with checksums, btrfs; tmpfs since Linux
    /// 5.18), and no copying nor restoring sets it. What is written into the same file, or beneath
    /// its filesystem, changes nothing of this.
    ///
    /// @throws DeviceException if it is not there any more
    public String incarnation() throws DeviceException {
        if (isBlockDevice) {
            return identity();
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment answer = arena.allocate(Native.STATX_BYTES, Long.BYTES);
            int result = Native.statx(path.toString(), Native.STATX_BTIME, answer);
            if (result == -Errno.ENOSYS || result == -Errno.EPERM) {
                return identity() + ", " + WITHOUT_BIRTH; // A sandbox older than the call.
            }
            if (result < 0) {
                throw new DeviceException(-result, path + " cannot be looked at");
            }
            int known = answer.get(JAVA_INT, Native.STATX_MASK_AT);
            long seconds = answer.get(JAVA_LONG, Native.STATX_BIRTH_AT);
            int nanos = answer.get(JAVA_INT, Native.STATX_BIRTH_AT + Long.BYTES);
            // The JDK would give the time of the last write where there is none. Inodes of before
            // their filesystem knew it have 0.
            String made =
                    (known & Native.STATX_BTIME) == 0 || seconds == 0 && nanos == 0
                            ? WITHOUT_BIRTH
                            : "made at %d.%09d".formatted(seconds, nanos);
            return identity() + ", " + made;
        }
    }

    /// Whether another file or device could say the same of itself.
    ///
    /// @param incarnation of one of them or of several
    public static boolean mayBeAnother(String incarnation) {
        return incarnation.contains(WITHOUT_ID) || incarnation.contains(WITHOUT_BIRTH);
    }

    /// Whether these are certainly two: not where one of them says nothing of itself, and not two
    /// files, of which one may be the other one restored.
    ///
    /// @param was [#incarnation] of one
    /// @param is of one
    public static boolean areTwo(String was, String is) {
        boolean areFiles = was.startsWith(FILE) && is.startsWith(FILE);
        return !was.isEmpty()
                && !areFiles
                && !was.contains(WITHOUT_ID)
                && !is.contains(WITHOUT_ID)
                && !was.equals(is);
    }

    /// @throws DeviceException if it, a part of it or something built on it is mounted, swapped on
    ///   or mapped; the message says what and where
    void requireUnused() throws DeviceException {
        String user = DeviceUse.of(this);
        if (user != null) {
            throw new DeviceException(Errno.EBUSY, path + " " + user);
        }
    }

    /// Another process that has this block device open, as far as this one may see, like `process
    /// 812 (qemu-system-x86)`.
    public Optional<String> openedBy() {
        return Optional.ofNullable(DeviceUse.opener(this));
    }

    /// Whether zeroing costs the device no transfer of data. Not the same as supporting discard,
    /// after which it may read anything.
    boolean zeroesWithoutWriting() {
        for (Path queue : List.of(sys().resolve("queue"), sys().resolve("../queue"))) {
            Path limit = queue.resolve("write_zeroes_max_bytes");
            if (Files.exists(limit)) {
                return !LinuxText.read(limit).equals("0");
            }
        }
        return false;
    }

    /// Its directory in sysfs; `..` in it is the whole disk of a partition.
    Path sys() {
        Path link = SYS_BLOCK.resolve(numbers(device));
        try {
            return link.toRealPath();
        } catch (IOException e) {
            return link;
        }
    }

    String numbers() {
        return numbers(device);
    }

    /// Major and minor number as Linux prints them, from the encoding of `dev_t` in glibc.
    static String numbers(long device) {
        long major = device >>> 8 & 0xfff | device >>> 32 & ~0xfffL;
        long minor = device & 0xff | device >>> 12 & ~0xffL & 0xffffffffL;
        return major + ":" + minor;
    }
}
