package holdfast.tunnel.link;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;
import java.util.Set;

/// Reads and writes files that nobody but the owner may see: 0600, in a directory of 0700.
final class PrivateFile {
    private static final Set<PosixFilePermission> OF_OTHERS =
            EnumSet.complementOf(
                    EnumSet.of(
                            PosixFilePermission.OWNER_READ,
                            PosixFilePermission.OWNER_WRITE,
                            PosixFilePermission.OWNER_EXECUTE));

    private PrivateFile() {}

    /// Replaces the file as a whole: after a crash it holds either the old or the new content. The
    /// directory is made if it is missing.
    static void write(Path file, byte[] content) throws IOException {
        Path dir = file.toAbsolutePath().getParent();
        if (Files.notExists(dir)) {
            Files.createDirectories(
                    dir,
                    PosixFilePermissions.asFileAttribute(
                            PosixFilePermissions.fromString("rwx------")));
        }
        requirePrivate(dir);
        Path fresh = dir.resolve(file.getFileName() + ".new");
        Files.deleteIfExists(fresh);
        var options = Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        var mode =
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));
        try (var channel = FileChannel.open(fresh, options, mode)) {
            var bytes = ByteBuffer.wrap(content);
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        }
        Files.move(
                fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        try (var channel = FileChannel.open(dir)) {
            channel.force(true);
        }
    }

    /// @throws IOException also if the file or its directory is open to anybody else
    static byte[] read(Path file) throws IOException {
        requirePrivate(file.toAbsolutePath().getParent());
        requirePrivate(file);
        return Files.readAllBytes(file);
    }

    private static void requirePrivate(Path path) throws IOException {
        var attributes = Files.readAttributes(path, PosixFileAttributes.class);
        var open = EnumSet.copyOf(OF_OTHERS);
        open.retainAll(attributes.permissions());
        if (!open.isEmpty()) {
            throw new IOException(
                    "%s is open to others (%s), should be %s: chmod it and think about who may have read it"
                            .formatted(
                                    path,
                                    PosixFilePermissions.toString(attributes.permissions()),
                                    attributes.isDirectory() ? "0700" : "0600"));
        }
        // The name this process has towards the file system, which `user.name` need not be.
        int uid = (Integer) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        int owner = (Integer) Files.getAttribute(path, "unix:uid");
        if (owner != uid) {
            throw new IOException("%s belongs to uid %d, should be %d".formatted(path, owner, uid));
        }
    }
}
