package holdfast.replicator.device;

import java.nio.file.Files;
import java.nio.file.Path;

/// Directories whose names survive a power cut: what lies in a directory that was never synced into
/// its parent may be gone, however well it was synced itself.
public final class DurableDirectory {
    /// Makes the directory and those above it that are missing, durably. One that is there is left
    /// as it is.
    public static void make(Path directory) throws DeviceException {
        Path absolute = directory.toAbsolutePath();
        if (Files.isDirectory(absolute)) {
            return;
        }
        make(absolute.getParent());
        int result = Native.mkdir(absolute.toString(), 0755);
        if (result < 0 && result != -Errno.EEXIST) {
            throw new DeviceException(-result, absolute + " cannot be made");
        }
        sync(absolute.getParent());
    }

    /// Makes durable what was made, renamed or deleted in the directory.
    public static void sync(Path directory) throws DeviceException {
        RawFile.syncDirectory(directory.toAbsolutePath().toString());
    }

    private DurableDirectory() {}
}
