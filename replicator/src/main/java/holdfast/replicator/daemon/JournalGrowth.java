package holdfast.replicator.daemon;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.config.Size;
import holdfast.replicator.status.Words;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Journals become larger by new settings: all that should, or none.
///
/// | step, for all of them        | a crash behind it leaves                                      |
/// |------------------------------|---------------------------------------------------------------|
/// | promise the room             | nothing                                                       |
/// | take the space               | spare segments, which the next start gives back               |
/// | note how large it is         | what is noted; the next `adjust` does the rest                |
/// | use it                       | the same                                                      |
///
/// Until the end nobody else counts on the room. A copy that is closed meanwhile stays out of it:
/// its next opening goes by what is noted, and the next `adjust` does the rest. One caller at a
/// time.
final class JournalGrowth {
    private static final Logger LOG = LoggerFactory.getLogger(JournalGrowth.class);

    /// A copy whose journal may grow. What is taken is used or given back, in either order of what
    /// happens beside that.
    interface Growable {
        String name();

        /// Where its journal lies.
        Path storage();

        /// How many bytes it takes more by these settings; 0 when it stays as it is.
        long moreJournal(ResourceSettings settings);

        /// Takes the space, and uses nothing of it yet.
        void takeJournal(ResourceSettings settings) throws IOException;

        /// Notes durably what [#takeJournal] has taken.
        void noteJournal() throws IOException;

        /// The journal has what was noted.
        void useJournal();

        /// The journal stays what it was, whatever was taken or noted.
        void giveJournalBack() throws IOException;
    }

    private record Growing(Growable copy, ResourceSettings next) {
        private String name() {
            return copy.name();
        }
    }

    private final Shared shared;
    private final Offers offers;

    JournalGrowth(Shared shared, Offers offers) {
        this.shared = shared;
        this.offers = offers;
    }

    /// @param storageMax as it is to be from now on
    /// @param dryRun whether there is room is looked at, and nothing is done
    /// @return what is in the way; empty for nothing: they have grown then
    List<String> grow(
            List<? extends Growable> copies,
            Map<String, ResourceSettings> read,
            Optional<Size> storageMax,
            boolean dryRun) {
        List<Growing> all = new ArrayList<>();
        for (Growable each : copies) {
            ResourceSettings next = read.get(each.name());
            if (next != null && each.moreJournal(next) > 0) {
                all.add(new Growing(each, next));
            }
        }
        List<String> problems = new ArrayList<>();
        try {
            for (Growing each : all) {
                try {
                    long more = each.copy().moreJournal(each.next());
                    offers.promiseMore(each.name(), each.copy().storage(), more, storageMax);
                } catch (IOException e) {
                    problems.add(words(each, e));
                }
            }
            if (problems.isEmpty() && !dryRun) {
                take(all, problems);
            }
        } finally {
            all.forEach(each -> offers.kept(each.name()));
        }
        return problems;
    }

    private void take(List<Growing> all, List<String> problems) {
        Growing at = null;
        boolean isNoted = false;
        try {
            for (Growing each : all) {
                at = each;
                each.copy().takeJournal(each.next());
            }
            for (Growing each : all) {
                at = each;
                each.copy().noteJournal();
            }
            isNoted = true;
        } catch (IOException e) {
            problems.add(words(at, e));
        } catch (RuntimeException e) {
            LOG.error("{}: its journal cannot grow", at.name(), e);
            problems.add(words(at, new IOException("error of the program: " + e, e)));
        } finally {
            if (!isNoted) {
                all.forEach(each -> giveBack(each.copy()));
            }
        }
        if (isNoted) {
            all.forEach(each -> each.copy().useJournal());
        }
    }

    /// Where it fails the space is taken until a start, which goes by what is noted.
    private void giveBack(Growable copy) {
        try {
            copy.giveJournalBack();
        } catch (IOException | RuntimeException e) {
            shared.events().of(copy.name()).accept("journal-error", String.valueOf(e.getMessage()));
        }
    }

    private String words(Growing of, IOException why) {
        return "%s: journal.size is %s, %s more than the journal has now: %s"
                .formatted(
                        shared.settingsFile(of.name()),
                        of.next().journalSize(),
                        Words.bytes(of.copy().moreJournal(of.next())),
                        why.getMessage());
    }
}
