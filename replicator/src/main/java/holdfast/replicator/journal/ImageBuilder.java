package holdfast.replicator.journal;

import holdfast.replicator.journal.SegmentIndex.Part;

import java.util.ArrayList;
import java.util.List;
import java.util.function.LongConsumer;

/// Makes one index of parts of a journal as they come, oldest first: what they hold of the
/// committed image. Memory is taken for what is left of them, twice at most, and not for what was
/// written over since.
public final class ImageBuilder {
    private final LongConsumer room;
    private final Layers counted = new Layers();
    private Layers staged = new Layers();
    private boolean begun;

    public ImageBuilder() {
        this(_ -> {});
    }

    /// @param room takes how many runs there may be at once in the next step, before that is done;
    ///   what it throws ends the building
    public ImageBuilder(LongConsumer room) {
        this.room = room;
    }

    /// The next part.
    public void add(Part part) {
        switch (part.kind()) {
            case LIVE -> {
                counted.add(part.runs());
                dropStaged();
            }
            case BEGIN -> {
                dropStaged();
                begun = true;
            }
            case CONTINUES -> {
                if (!begun) {
                    dropStaged();
                    begun = true;
                }
            }
            case STAGED -> staged.add(part.runs());
            case MARK -> dropStaged();
            case COMMIT -> {
                needs(staged.mergedRuns());
                counted.add(staged.merged());
                dropStaged();
            }
        }
    }

    private void dropStaged() {
        staged = new Layers();
        begun = false;
    }

    public JournalIndex image() {
        needs(counted.mergedRuns());
        return counted.merged();
    }

    /// Besides what the layers hold.
    private void needs(long runs) {
        room.accept(counted.runs() + staged.runs() + runs);
    }

    /// Indexes of which each is newer than those before, and less than half as large.
    private final class Layers {
        private final List<JournalIndex> layers = new ArrayList<>();

        private void add(JournalIndex newer) {
            if (newer.size() == 0) {
                return;
            }
            JournalIndex top = newer;
            while (!layers.isEmpty() && layers.getLast().size() <= 2L * top.size()) {
                // Both, and what comes of them: a newer run cuts an older one in two at most.
                needs(layers.getLast().size() + 3L * top.size());
                top = JournalIndex.over(layers.removeLast(), top);
            }
            needs(top.size());
            layers.add(top);
        }

        private long runs() {
            return layers.stream().mapToLong(JournalIndex::size).sum();
        }

        /// What merging them takes for a while: the last result and the one before.
        private long mergedRuns() {
            return layers.size() <= 1 ? 0 : 2 * runs();
        }

        private JournalIndex merged() {
            return JournalIndex.merged(layers);
        }
    }
}
