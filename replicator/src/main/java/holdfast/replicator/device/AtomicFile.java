package holdfast.replicator.device;

import java.nio.ByteBuffer;
import java.nio.file.Path;

/// Replaces a small file whole: after a power cut it holds the old bytes or the new ones.
public final class AtomicFile {
    /// Writes `NAME.tmp` beside it, syncs it, renames it and syncs the directory. The file is
    /// readable by its owner alone (0600). One writer at a time.
    ///
    /// @throws DeviceException and then the old file is still there, or nothing if there was none;
    ///   only when the last step failed it may be either
    public static void write(Path path, byte[] content) throws DeviceException {
        String target = path.toAbsolutePath().toString();
        String temporary = target + ".tmp";
        // What a crash left behind.
        Native.unlink(temporary);
        try (RawFile file =
                RawFile.open(temporary, Native.O_RDWR | Native.O_CREAT | Native.O_EXCL, 0600)) {
            file.write(0, ByteBuffer.wrap(content));
            file.sync();
            RawFile.rename(temporary, target);
        } catch (DeviceException e) {
            Native.unlink(temporary);
            throw e;
        }
        RawFile.syncDirectory(path.toAbsolutePath().getParent().toString());
    }

    /// Gives a file that is synced another name in its directory, durably. What had that name is
    /// gone.
    public static void rename(Path from, Path to) throws DeviceException {
        RawFile.rename(from.toAbsolutePath().toString(), to.toAbsolutePath().toString());
        RawFile.syncDirectory(to.toAbsolutePath().getParent().toString());
    }

    private AtomicFile() {}
}
