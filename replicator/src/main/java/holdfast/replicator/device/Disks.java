package holdfast.replicator.device;

import holdfast.replicator.metadata.Evidence;
import holdfast.tunnel.wire.AddressSpace;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/// The volumes of one resource, each locked and opened exclusively, and all of them as one device.
/// With a single volume that device is the volume's own.
public final class Disks implements AutoCloseable {
    private final List<Path> paths;
    private final List<OwnedLock> locks = new ArrayList<>();
    private final List<FileBlockDevice> volumes = new ArrayList<>();
    private BlockDevice whole;

    /// Somebody else opened them, and closes them.
    private boolean borrowed;

    private Disks(List<Path> paths) {
        this.paths = paths;
    }

    /// @param paths of the volumes of `space`, in order. Whether they are large enough is to be
    ///   asked of [#volumeBytes] before anything is read.
    /// @throws DeviceException if one of them cannot be had; then none is
    public static Disks open(
            Path lockDirectory, String resource, List<Path> paths, AddressSpace space)
            throws DeviceException {
        if (paths.size() != space.volumes()) {
            throw new DeviceException(
                    0,
                    "%s has %d disks and %d volumes: one of its files is of another time"
                            .formatted(resource, paths.size(), space.volumes()));
        }
        Disks disks = new Disks(List.copyOf(paths));
        try {
            for (Path each : paths) {
                disks.open(lockDirectory, resource, each);
            }
            disks.whole =
                    paths.size() == 1
                            ? disks.volumes.getFirst()
                            : new CombinedDevice(disks.volumes, space);
            return disks;
        } catch (DeviceException | RuntimeException e) {
            disks.close();
            throw e;
        }
    }

    /// The same disks under another device, which stands before them.
    public Disks under(BlockDevice device) {
        Disks disks = new Disks(paths);
        disks.volumes.addAll(volumes);
        disks.whole = device;
        disks.borrowed = true;
        return disks;
    }

    private void open(Path lockDirectory, String resource, Path path) throws DeviceException {
        try {
            locks.add(OwnedLock.ofDevice(lockDirectory, path, resource));
            volumes.add(FileBlockDevice.open(path));
        } catch (DeviceException e) {
            throw paths.size() == 1
                    ? e
                    : new DeviceException(
                            e.errno(),
                            "volume %d of %s: %s"
                                    .formatted(volumes.size(), resource, e.getMessage()),
                            e);
        }
    }

    /// All of them.
    public BlockDevice device() {
        return whole;
    }

    /// Sizes as they were when they were opened, or have grown to.
    public List<Long> volumeBytes() {
        return volumes.stream().map(FileBlockDevice::sizeBytes).toList();
    }

    /// Sizes of what is underneath now, which somebody may have changed.
    public List<Long> bytesNow() throws DeviceException {
        List<Long> sizes = new ArrayList<>();
        for (FileBlockDevice each : volumes) {
            sizes.add(each.sizeNow());
        }
        return sizes;
    }

    /// The same of disks that are not open.
    public static List<Long> bytesOf(List<Path> paths) throws DeviceException {
        List<Long> sizes = new ArrayList<>();
        for (Path each : paths) {
            try (FileBlockDevice device = FileBlockDevice.openReadOnly(each)) {
                sizes.add(device.sizeBytes());
            }
        }
        return sizes;
    }

    /// They have these sizes from now on; see [FileBlockDevice#grow].
    public void grow(AddressSpace larger) throws DeviceException {
        for (int i = 0; i < volumes.size(); i++) {
            if (larger.volumeBytes(i) > volumes.get(i).sizeBytes()) {
                volumes.get(i).grow(larger.volumeBytes(i));
            }
        }
        if (whole instanceof CombinedDevice combined) {
            combined.grow(larger);
        }
    }

    /// See [FileBlockDevice#signs]; of several volumes each sign names its own.
    public List<Evidence.Sign> signs() throws DeviceException {
        if (volumes.size() == 1) {
            return volumes.getFirst().signs();
        }
        List<Evidence.Sign> signs = new ArrayList<>();
        for (int i = 0; i < volumes.size(); i++) {
            for (Evidence.Sign each : volumes.get(i).signs()) {
                signs.add(
                        new Evidence.Sign(
                                "of volume %d %s".formatted(i, each.name()), each.value()));
            }
        }
        return signs;
    }

    /// Whether the kernel still has a call for one of them, also after [#close]: what that writes
    /// may land at any time.
    public boolean isInCall() {
        return volumes.stream().anyMatch(FileBlockDevice::isInCall);
    }

    @Override
    public void close() {
        if (borrowed) {
            return;
        }
        volumes.forEach(FileBlockDevice::close);
        locks.forEach(OwnedLock::close);
    }

    @Override
    public String toString() {
        return paths.size() == 1
                ? paths.getFirst().toString()
                : "one of " + paths.stream().map(Path::toString).collect(Collectors.joining(", "));
    }
}
