package holdfast.replicator.control;

import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;

/// Writing a moment of a copy to a file, from its base and its journal alone: without a daemon,
/// settings or the peer.
public final class Extract {
    private Extract() {}

    /// @param base device or file of the copy
    /// @param journal directory of its journal
    /// @param superblock of the copy; without it only the newest moment can be told for sure
    /// @param pins directory of the moments that are kept under a name; wanted where `at` is one
    /// @param to a file that does not exist yet
    /// @param at a point as `open` takes it; absent: the newest
    public record Request(
            Path base,
            Path journal,
            Optional<Path> superblock,
            Optional<Path> pins,
            Path to,
            Optional<String> at) {}

    /// @param position of the last write in it
    /// @param time by the primary's clock; absent where the journal holds nothing
    /// @param recordBytes of the journal that were read
    /// @param damage what is damaged behind the moment that was written, and would have been newer;
    ///   empty for nothing
    public record Reply(
            String to,
            String position,
            Optional<Instant> time,
            long sizeBytes,
            long recordBytes,
            String damage) {}

    /// Told now and then how far it is.
    @FunctionalInterface
    public interface Progress {
        void at(long doneBytes, long totalBytes);
    }
}
