package holdfast.bench;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;

import java.nio.file.Files;
import java.nio.file.Path;

/// A copy that keeps no history for its own sake: when its journal is full, the oldest moments go.
/// For who writes more in a minute than the journal keeps by its settings, and means to.
public final class LeastRetention {
    private LeastRetention() {}

    /// What a new copy has is changed at once.
    public static void none(ControlApi backup, NodePaths paths, String resource) throws Exception {
        Path file = paths.resourceDirectory().resolve(resource + ".toml");
        String settings = Files.readString(file);
        String changed =
                settings.replaceFirst(
                        "journal = \\{ size = (\"[^\"]*\").*",
                        "journal = { size = $1, retention-min = \"0s\" }");
        if (changed.equals(settings)) {
            throw new IllegalStateException(file + " has no journal: " + settings);
        }
        Files.writeString(file, changed);
        if (!backup.adjust(new ControlApi.AdjustRequest(false)).applied()) {
            throw new IllegalStateException(file + " was not taken: " + changed);
        }
    }
}
