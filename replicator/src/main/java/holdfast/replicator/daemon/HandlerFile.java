package holdfast.replicator.daemon;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/// Whether a file may be run as a handler: whoever could change it would be the daemon's user. It,
/// and each directory above it, belongs to root or to that user and is writable by nobody else.
final class HandlerFile {
    private static final int STICKY = 01000;
    private static final int WRITABLE_BY_OTHERS = 022;

    private HandlerFile() {}

    /// @return what speaks against it, with what would be right
    static Optional<String> danger(Path command) throws IOException {
        Path file;
        try {
            file = command.toRealPath();
        } catch (NoSuchFileException _) {
            return Optional.of("is not there");
        }
        if (!Files.isRegularFile(file) || !Files.isExecutable(file)) {
            return Optional.of("is no file that can be executed");
        }
        Optional<String> danger = danger(file, file);
        // Where the command is a link: whoever can write there can have it lead elsewhere.
        return danger.isPresent() ? danger : danger(command.getParent().toRealPath(), file);
    }

    private static Optional<String> danger(Path from, Path file) throws IOException {
        int own = (int) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        for (Path at = from; at != null; at = at.getParent()) {
            int owner = (int) Files.getAttribute(at, "unix:uid");
            int mode = (int) Files.getAttribute(at, "unix:mode");
            if (owner != 0 && owner != own) {
                return Optional.of(
                        "is not run: %s belongs to user %d, should belong to root or to the daemon's user"
                                .formatted(at, owner));
            }
            // In a sticky directory nobody replaces what is another's.
            boolean isSafeDirectory = !at.equals(file) && (mode & STICKY) != 0;
            if ((mode & WRITABLE_BY_OTHERS) != 0 && !isSafeDirectory) {
                return Optional.of(
                        "is not run: others may write %s, which has mode %o; next: chmod go-w %s"
                                .formatted(at, mode & 07777, at));
            }
        }
        return Optional.empty();
    }
}
