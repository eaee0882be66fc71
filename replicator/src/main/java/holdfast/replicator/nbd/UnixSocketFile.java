package holdfast.replicator.nbd;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;

/// A listening Unix socket that only its owner can reach, at every moment: it is bound in a
/// directory of mode 0700, made 0600, and then renamed to its place. A socket that is there already
/// is replaced if nobody answers on it.
final class UnixSocketFile {
    private final Path path;
    private final Object fileKey;
    private final ServerSocketChannel channel;

    private UnixSocketFile(Path path, Object fileKey, ServerSocketChannel channel) {
        this.path = path;
        this.fileKey = fileKey;
        this.channel = channel;
    }

    /// @throws FileAlreadyExistsException if another process listens there or it is no socket
    static UnixSocketFile listen(Path path) throws IOException {
        Path target = path.toAbsolutePath();
        requireFree(target);
        Path directory =
                Files.createTempDirectory(
                        target.getParent(),
                        ".nbd",
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rwx------")));
        Path bound = directory.resolve("s");
        ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.bind(UnixDomainSocketAddress.of(bound));
            Files.setPosixFilePermissions(bound, PosixFilePermissions.fromString("rw-------"));
            Object fileKey = fileKey(bound);
            Files.move(bound, target, StandardCopyOption.ATOMIC_MOVE);
            return new UnixSocketFile(target, fileKey, channel);
        } catch (IOException | RuntimeException e) {
            channel.close();
            Files.deleteIfExists(bound);
            throw e;
        } finally {
            Files.deleteIfExists(directory);
        }
    }

    ServerSocketChannel channel() {
        return channel;
    }

    /// Stops listening and removes the file, unless another process has put its own there.
    void close() throws IOException {
        try {
            if (Files.exists(path, LinkOption.NOFOLLOW_LINKS) && fileKey.equals(fileKey(path))) {
                Files.deleteIfExists(path);
            }
        } finally {
            channel.close();
        }
    }

    private static void requireFree(Path target) throws IOException {
        if (!Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        BasicFileAttributes found =
                Files.readAttributes(target, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        if (!found.isOther()) {
            throw new FileAlreadyExistsException(target.toString(), null, "it is not a socket");
        }
        boolean answered;
        try (SocketChannel probe = SocketChannel.open(UnixDomainSocketAddress.of(target))) {
            answered = probe.isConnected();
        } catch (IOException e) {
            answered = false; // Refused: whoever made it is gone.
        }
        if (answered) {
            throw new FileAlreadyExistsException(
                    target.toString(), null, "another process listens there");
        }
    }

    private static Object fileKey(Path path) throws IOException {
        return Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                .fileKey();
    }
}
