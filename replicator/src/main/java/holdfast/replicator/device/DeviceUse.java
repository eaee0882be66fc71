package holdfast.replicator.device;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// Who uses a device or file, as far as this namespace of mounts shows it. Opening exclusively is
/// what really keeps others out; this says who they are.
final class DeviceUse {
    private static final Path MOUNTS = Path.of("/proc/self/mountinfo");
    private static final Path SWAPS = Path.of("/proc/swaps");
    private static final Path BLOCK = Path.of("/sys/block");

    /// The rest of a sentence that begins with the name of the device, or null when it is free.
    static String of(DeviceNode node) throws DeviceException {
        String swap = swap(node);
        if (swap != null) {
            return swap;
        }
        if (!node.isBlockDevice()) {
            return loop(node);
        }
        String use = device(node.sys(), "");
        if (use != null) {
            return use;
        }
        for (Path partition : partitions(node.sys())) {
            use = device(partition, "has the partition " + partition.getFileName() + ", which ");

            if (use != null) {
                return use;
            }
        }
        return null;
    }

    /// Another process that has a block device open, like `process 812 (qemu-system-x86)`, or null:
    /// a virtual machine does without opening it exclusively. Only root sees those of other users.
    static String opener(DeviceNode node) {
        String self = Long.toString(ProcessHandle.current().pid());
        for (Path process : list(Path.of("/proc"))) {
            String pid = process.getFileName().toString();
            if (!Character.isDigit(pid.charAt(0)) || pid.equals(self)) {
                continue;
            }
            for (Path file : list(process.resolve("fd"))) {
                try {
                    // Whatever it is called in that process's mounts; sockets and pipes are not
                    // asked.
                    if (Files.readSymbolicLink(file).startsWith("/dev")
                            && Files.getAttribute(file, "unix:rdev").equals(node.device())) {
                        return "process %s (%s)"
                                .formatted(pid, LinuxText.read(process.resolve("comm")));
                    }
                } catch (IOException e) {
                    // It was closed meanwhile.
                }
            }
        }
        return null;
    }

    private static String device(Path sys, String prefix) {
        String numbers = LinuxText.read(sys.resolve("dev"));
        for (String line : LinuxText.lines(MOUNTS)) {
            // mountinfo: id parent major:minor root mountpoint options… - type source superoptions
            String[] fields = line.split(" ");
            int dash = List.of(fields).indexOf("-");
            boolean same =
                    fields[2].equals(numbers)
                            // btrfs shows a number of its own; its source still names a device.
                            || fields[dash + 2].startsWith("/dev/")
                                    && numbers.equals(
                                            numbersOf(LinuxText.unescape(fields[dash + 2])));
            if (same) {
                return prefix + "is mounted at " + LinuxText.unescape(fields[4]);
            }
        }
        for (String line : LinuxText.lines(SWAPS)) {
            String source = LinuxText.unescape(line.split("\\s+")[0]);
            if (source.startsWith("/") && numbers.equals(numbersOf(source))) {
                return prefix + "is used as swap";
            }
        }
        for (Path holder : list(sys.resolve("holders"))) {
            String mapped = LinuxText.read(holder.resolve("dm/name"));
            return prefix
                    + "is used by /dev/"
                    + (mapped.isEmpty() ? holder.getFileName() : "mapper/" + mapped);
        }
        return null;
    }

    private static String swap(DeviceNode file) throws DeviceException {
        if (file.isBlockDevice()) {
            return null;
        }
        for (String line : LinuxText.lines(SWAPS)) {
            Path source = Path.of(LinuxText.unescape(line.split("\\s+")[0]));
            if (source.isAbsolute()
                    && Files.isRegularFile(source)
                    && sameFile(DeviceNode.of(source), file)) {
                return "is used as swap";
            }
        }
        return null;
    }

    private static String loop(DeviceNode file) throws DeviceException {
        for (Path disk : list(BLOCK)) {
            Path backing = disk.resolve("loop/backing_file");
            if (!Files.exists(backing)) {
                continue;
            }
            Path source = Path.of(LinuxText.read(backing));
            if (Files.isRegularFile(source) && sameFile(DeviceNode.of(source), file)) {
                String name = "/dev/" + disk.getFileName();
                String use = device(disk, "is attached to " + name + ", which ");
                return use != null
                        ? use
                        : "is attached to %s; losetup -d %s lets it go".formatted(name, name);
            }
        }
        return null;
    }

    private static boolean sameFile(DeviceNode one, DeviceNode other) {
        return one.device() == other.device() && one.inode() == other.inode();
    }

    private static List<Path> partitions(Path sys) {
        return list(sys).stream().filter(p -> Files.exists(p.resolve("partition"))).toList();
    }

    /// The number of the block device at a path, or null.
    private static String numbersOf(String path) {
        try {
            DeviceNode node = DeviceNode.of(Path.of(path));
            return node.isBlockDevice() ? node.numbers() : null;
        } catch (DeviceException e) {
            return null;
        }
    }

    private static List<Path> list(Path directory) {
        try (Stream<Path> entries = Files.list(directory)) {
            return entries.sorted().toList();
        } catch (IOException e) {
            return List.of();
        }
    }

    private DeviceUse() {}
}
