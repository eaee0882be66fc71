package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.DeviceNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The resources that are being made just now, on order of an operator here or of a peer. Of two
/// that want one name or one disk the second is refused: neither can be seen among the resources
/// before it is whole.
final class Adding {
    /// By the name of the resource; none until its disks are claimed.
    private final Map<String, List<Path>> disks = new HashMap<>();

    /// @return false if that name is being added already; else [#end] must follow
    synchronized boolean begin(String name) {
        return disks.putIfAbsent(name, List.of()) == null;
    }

    /// Keeps the disks for `name` until its end. What belongs to resources that are whole is to be
    /// looked at after this.
    ///
    /// @throws IOException if another has one of them, or one is there twice
    synchronized void claim(String name, List<Path> wanted) throws IOException {
        for (int i = 0; i < wanted.size(); i++) {
            for (int j = 0; j < i; j++) {
                if (areSame(wanted.get(i), wanted.get(j))) {
                    throw new IOException(
                            "%s is the disk of volume %d and of volume %d"
                                    .formatted(wanted.get(i), j, i));
                }
            }
            for (Map.Entry<String, List<Path>> each : disks.entrySet()) {
                if (!each.getKey().equals(name) && isAmong(wanted.get(i), each.getValue())) {
                    throw new IOException(
                            "%s is just being added as %s".formatted(wanted.get(i), each.getKey()));
                }
            }
        }
        disks.put(name, wanted);
    }

    private static boolean isAmong(Path disk, List<Path> others) throws DeviceException {
        for (Path each : others) {
            if (areSame(disk, each)) {
                return true;
            }
        }
        return false;
    }

    private static boolean areSame(Path a, Path b) throws DeviceException {
        return Files.exists(a) && Files.exists(b) ? DeviceNode.areSame(a, b) : a.equals(b);
    }

    synchronized void end(String name) {
        disks.remove(name);
    }
}
