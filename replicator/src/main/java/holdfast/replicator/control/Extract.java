package holdfast.replicator.control;

import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;

/// Writing a moment of one volume of a copy to a file, from its base and its journal alone: without
/// a daemon, settings or the peer.
public final class Extract {
    private Extract() {}

    /// @param base device or file of the copy; of several volumes, of the one that is wanted
    /// @param journal directory of its journal
    /// @param superblock of the copy: how far the base was rolled forward, and which volumes there
    ///   are. Without it `sizes` is wanted, and only the newest moment of a whole journal can be
    ///   told
    /// @param sizes in place of a superblock that is lost: the bytes of the only volume, or
    ///   `VOLUME:BYTES` for each segment of several
    /// @param volume which one the base is of; absent: the only one, or the one that is noted
    ///   beside the superblock to have this base
    /// @param pins directory of the moments that are kept under a name; wanted where `at` is one
    /// @param to a file that does not exist yet
    /// @param at a point as `open` takes it; absent: the newest
    public record Request(
            Path base,
            Path journal,
            Optional<Path> superblock,
            Optional<String> sizes,
            Optional<Integer> volume,
            Optional<Path> pins,
            Path to,
            Optional<String> at) {}

    /// @param volume which one
    /// @param volumes how many the copy has
    /// @param position of the last write in it
    /// @param time by the primary's clock
    /// @param recordBytes of the journal that were read
    /// @param damage what is damaged behind the moment that was written, and would have been newer;
    ///   empty for nothing
    public record Reply(
            String to,
            int volume,
            int volumes,
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
