package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.DeviceNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/// The resources that are being made just now, on order of an operator here or of a peer. Of two
/// that want one name or one disk the second is refused: neither can be seen among the resources
/// before it is whole.
final class Adding {
    private static final Path NONE = Path.of("");

    /// By the name of the resource; [#NONE] until its disk is claimed.
    private final Map<String, Path> disks = new HashMap<>();

    /// @return false if that name is being added already; else [#end] must follow
    synchronized boolean begin(String name) {
        return disks.putIfAbsent(name, NONE) == null;
    }

    /// Keeps the disk for `name` until its end. What belongs to resources that are whole is to be
    /// looked at after this.
    ///
    /// @throws IOException if another has it
    synchronized void claim(String name, Path disk) throws IOException {
        for (Map.Entry<String, Path> each : disks.entrySet()) {
            if (!each.getKey().equals(name) && areSame(disk, each.getValue())) {
                throw new IOException(
                        "%s is just being added as %s".formatted(disk, each.getKey()));
            }
        }
        disks.put(name, disk);
    }

    private static boolean areSame(Path a, Path b) throws DeviceException {
        return Files.exists(a) && Files.exists(b) && !b.equals(NONE)
                ? DeviceNode.areSame(a, b)
                : a.equals(b);
    }

    synchronized void end(String name) {
        disks.remove(name);
    }
}
