package holdfast.replicator.journal;

import holdfast.replicator.journal.SegmentIndex.Part;

import java.util.ArrayList;
import java.util.List;

/// Makes one index of parts of a journal as they come, oldest first: what they hold of the
/// committed image. Memory is taken for what is left of them, twice at most, and not for what was
/// written over since.
public final class ImageBuilder {
    private final Layers counted = new Layers();
    private Layers staged = new Layers();
    private boolean begun;

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
        return counted.merged();
    }

    /// Indexes of which each is newer than those before, and less than half as large.
    private static final class Layers {
        private final List<JournalIndex> layers = new ArrayList<>();

        private void add(JournalIndex newer) {
            if (newer.size() == 0) {
                return;
            }
            JournalIndex top = newer;
            while (!layers.isEmpty() && layers.getLast().size() <= 2L * top.size()) {
                top = JournalIndex.over(layers.removeLast(), top);
            }
            layers.add(top);
        }

        private JournalIndex merged() {
            return JournalIndex.merged(layers);
        }
    }
}
